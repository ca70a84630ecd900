/* SPDX-License-Identifier: MIT */
/* Back ends that are descriptors: watches, reading at most what the front takes, writing without waiting. */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { READ_MAX = 4096, SHARED_MAX = 512 };

bool char_fd_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Read once.  False when the CharFd may be gone. */
static bool read_some(CharFd *f)
{
    uint8_t buf[READ_MAX];
    Chardev *c = f->c;
    size_t room = chardev_can_read(c);
    ssize_t n;

    if (!room) {
        return true;
    }
    n = f->receive ? f->receive(c, buf, MIN(room, sizeof(buf))) : read(f->in, buf, MIN(room, sizeof(buf)));
    if (n > 0) {
        chardev_input(c, buf, n);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    f->eof = true;
    char_fd_update(f);
    if (f->hup) {
        f->hup(c);
    }
    return false;
}

static void ready(void *opaque, unsigned events)
{
    CharFd *f = opaque;
    Chardev *c = f->c;

    if (events & (LOOP_WRITE | LOOP_HUP)) {
        chardev_drain(c);
    }
    if ((events & (LOOP_READ | LOOP_HUP)) && f->in >= 0 && !f->eof && !read_some(f)) {
        return;
    }
    c->type->update(c);
}

static LoopFd *watch(CharFd *f, LoopFd *w, int fd, unsigned events)
{
    if (w) {
        loop_fd_events(w, events);
    } else if (events) {
        w = loop_fd_add(f->c->loop, fd, events, ready, f);
    }
    return w;
}

void char_fd_update(CharFd *f)
{
    unsigned in = f->in >= 0 && !f->eof && chardev_can_read(f->c) ? LOOP_READ : 0;
    unsigned out = f->out >= 0 && chardev_has_output(f->c) ? LOOP_WRITE : 0;

    if (f->in == f->out) {
        f->read_watch = watch(f, f->read_watch, f->in, in | out);
        return;
    }
    f->read_watch = watch(f, f->read_watch, f->in, in);
    f->write_watch = watch(f, f->write_watch, f->out, out);
}

void char_fd_start(CharFd *f)
{
    f->eof = false;
    f->read_watch = f->write_watch = NULL;
}

void char_fd_stop(CharFd *f)
{
    loop_fd_remove(f->read_watch);
    loop_fd_remove(f->write_watch);
    f->read_watch = f->write_watch = NULL;
}

/* One write that does not wait: bytes, 0 when it would, -1 when it failed. */
static ssize_t write_once(CharFd *f, const uint8_t *buf, size_t len)
{
    ssize_t n;

    if (f->shared) {
        /* Not ours to make non-blocking: ask first, and write no more than a ready pipe or terminal takes. */
        struct pollfd p = { .fd = f->out, .events = POLLOUT };

        if (poll(&p, 1, 0) <= 0) {
            return 0;
        }
        len = MIN(len, SHARED_MAX);
    }
    n = write(f->out, buf, len);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -1;
}

ssize_t char_fd_write(CharFd *f, const uint8_t *buf, size_t len)
{
    size_t done = 0;

    if (f->out < 0) {
        return len;
    }
    while (done < len) {
        ssize_t n = write_once(f, buf + done, len - done);

        if (n < 0 && !done) {
            return -1;
        }
        if (n <= 0) {
            break;
        }
        done += n;
    }
    return done;
}
