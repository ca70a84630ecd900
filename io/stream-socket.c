/* SPDX-License-Identifier: MIT */
/* Streams over descriptors: sockets, pipes, terminals. */
#include "io/stream-priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/socket.h"

static ssize_t result(ssize_t r)
{
    return r >= 0 ? r : errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static ssize_t fd_readv(Stream *s, const struct iovec *iov, unsigned n)
{
    ssize_t r;

    do {
        r = readv(s->in, iov, MIN(n, (unsigned)IOV_MAX));
    } while (r < 0 && errno == EINTR);
    return result(r);
}

/* sendmsg first: a vanished peer must be an error and no signal. */
static ssize_t fd_writev(Stream *s, const struct iovec *iov, unsigned n)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = MIN(n, (unsigned)IOV_MAX) };
    ssize_t r;

    do {
        r = sendmsg(s->out, &msg, MSG_NOSIGNAL);
        if (r < 0 && errno == ENOTSOCK) {
            r = writev(s->out, iov, msg.msg_iovlen);
        }
    } while (r < 0 && errno == EINTR);
    return result(r);
}

static void fd_shutdown(Stream *s, bool write_only)
{
    shutdown(s->out, write_only ? SHUT_WR : SHUT_RDWR);
}

static void fd_close(Stream *s)
{
    close(s->in);
    if (s->out != s->in) {
        close(s->out);
    }
}

static const StreamOps fd_ops = { .readv = fd_readv, .writev = fd_writev, .shutdown = fd_shutdown, .close = fd_close };

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

Stream *stream_new_fds(int in, int out)
{
    Stream *s = g_new0(Stream, 1);

    set_nonblocking(in);
    set_nonblocking(out);
    stream_init(s, &fd_ops, in, out);
    return s;
}

Stream *stream_new_fd(int fd)
{
    return stream_new_fds(fd, fd);
}

ssize_t stream_read_fds(Stream *s, void *buf, size_t len, int **fds, unsigned *nfds)
{
    assert(s->ops == &fd_ops);
    return s->down ? -ESHUTDOWN : socket_recv_fds(s->in, &(struct iovec){ buf, len }, 1, fds, nfds);
}

ssize_t stream_write_fds(Stream *s, const void *buf, size_t len, const int *fds, unsigned nfds)
{
    assert(s->ops == &fd_ops);
    return s->down ? -ESHUTDOWN : socket_send_fds(s->out, &(struct iovec){ (void *)buf, len }, 1, fds, nfds);
}
