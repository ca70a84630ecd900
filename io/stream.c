/* SPDX-License-Identifier: MIT */
/* What all streams share: the watch, the waiting fibers, whole transfers. */
#include "io/stream-priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- readiness ---- */

static void again_run(void *opaque);

static unsigned wanted(const Stream *s)
{
    return s->watched | (s->reader ? LOOP_READ : 0) | (s->writer ? LOOP_WRITE : 0);
}

static void rewatch(Stream *s)
{
    unsigned want = wanted(s);

    if (s->watch_out) {
        loop_fd_events(s->watch_in, want & ~LOOP_WRITE);
        loop_fd_events(s->watch_out, want & LOOP_WRITE);
    } else {
        loop_fd_events(s->watch_in, want);
    }
    if ((want & LOOP_READ) && !s->again_posted && s->ops->pending && s->ops->pending(s)) {
        s->again_posted = true;
        loop_post_node(s->loop, &s->again);
    }
}

static void wake_fiber(Fiber **slot)
{
    Fiber *f = *slot;

    *slot = NULL;
    if (f) {
        fiber_wake(f);
    }
}

static void ready(void *opaque, unsigned events)
{
    Stream *s = opaque;
    unsigned told;

    if (events & (LOOP_READ | LOOP_HUP)) {
        wake_fiber(&s->reader);
    }
    if (events & (LOOP_WRITE | LOOP_HUP)) {
        wake_fiber(&s->writer);
    }
    rewatch(s);
    told = events & (s->watched | LOOP_HUP);
    if (s->fn && told) {
        s->fn(s->opaque, told);         /* may free the stream */
    }
}

static void again_run(void *opaque)
{
    Stream *s = opaque;

    s->again_posted = false;
    if (s->down || !s->ops->pending || !s->ops->pending(s)) {
        return;
    }
    if (s->reader) {
        wake_fiber(&s->reader);
    }
    if (s->fn && (s->watched & LOOP_READ)) {
        s->again_posted = true;         /* as long as bytes are left and wanted */
        loop_post_node(s->loop, &s->again);
        s->fn(s->opaque, LOOP_READ);
    }
}

void stream_enter(Stream *s)
{
    s->loop = loop_current();
    assert(s->loop);
    s->watch_in = loop_fd_add(s->loop, s->in, 0, ready, s);
    if (s->in != s->out) {
        s->watch_out = loop_fd_add(s->loop, s->out, 0, ready, s);
    }
}

void stream_leave(Stream *s)
{
    assert(!s->reader && !s->writer && !s->fn);
    while (s->again_posted) {
        fiber_pause();
    }
    loop_fd_remove(s->watch_in);
    loop_fd_remove(s->watch_out);
    s->watch_in = s->watch_out = NULL;
}

void stream_init(Stream *s, const StreamOps *ops, int in, int out)
{
    s->ops = ops;
    s->in = in;
    s->out = out;
    s->again = (LoopPost){ NULL, again_run, s };
    stream_enter(s);
}

static void free_now(void *opaque)
{
    g_free(opaque);
}

void stream_free(Stream *s)
{
    if (!s) {
        return;
    }
    assert(!s->reader && !s->writer);
    loop_fd_remove(s->watch_in);
    loop_fd_remove(s->watch_out);
    s->fn = NULL;
    s->watched = 0;
    s->down = true;
    s->ops->close(s);
    if (s->again_posted) {
        loop_post(s->loop, free_now, s);        /* behind the posted again_run() */
    } else {
        g_free(s);
    }
}

Loop *stream_loop(const Stream *s)
{
    return s->loop;
}

int stream_fd(const Stream *s)
{
    return s->in;
}

void stream_watch(Stream *s, unsigned events, StreamFn *fn, void *opaque)
{
    s->watched = fn ? events : 0;
    s->fn = fn;
    s->opaque = opaque;
    rewatch(s);
}

void stream_shutdown(Stream *s)
{
    s->down = true;
    s->ops->shutdown(s, false);
    wake_fiber(&s->reader);
    wake_fiber(&s->writer);
    rewatch(s);
}

void stream_shutdown_write(Stream *s)
{
    s->ops->shutdown(s, true);
}

void stream_wait(Stream *s, unsigned event)
{
    Fiber **slot = event == LOOP_READ ? &s->reader : &s->writer;

    assert(!*slot && "one fiber per direction");
    assert(loop_current() == s->loop);
    *slot = fiber_self();
    rewatch(s);
    fiber_yield();
    if (!s->down) {
        rewatch(s);
    }
}

/* ---- transfers ---- */

ssize_t stream_readv(Stream *s, const struct iovec *iov, unsigned n)
{
    return s->down ? -ESHUTDOWN : s->ops->readv(s, iov, n);
}

ssize_t stream_writev(Stream *s, const struct iovec *iov, unsigned n)
{
    return s->down ? -ESHUTDOWN : s->ops->writev(s, iov, n);
}

ssize_t stream_read(Stream *s, void *buf, size_t len)
{
    return stream_readv(s, &(struct iovec){ buf, len }, 1);
}

ssize_t stream_write(Stream *s, const void *buf, size_t len)
{
    return stream_writev(s, &(struct iovec){ (void *)buf, len }, 1);
}

static size_t total(const struct iovec *iov, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

/* Drop the first `done` bytes of a vector that is ours to change. */
static void advance(struct iovec **iov, unsigned *n, size_t done)
{
    while (*n && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        ++*iov;
        --*n;
    }
    if (done) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

static bool ended(size_t done, Error **errp)
{
    return done ? error_set(errp, "Unexpected end-of-file before all data were read") : error_set_errno(errp, ENOTCONN, "the connection was closed");
}

/* The vector is ours to change. */
static bool move_vector(Stream *s, unsigned event, struct iovec *v, unsigned n, Error **errp)
{
    size_t left = total(v, n), done = 0;

    while (left) {
        ssize_t r = event == LOOP_READ ? stream_readv(s, v, n) : stream_writev(s, v, n);

        if (r == -EAGAIN) {
            stream_wait(s, event);
        } else if (r < 0) {
            return error_set_errno(errp, -r, event == LOOP_READ ? "Unable to read from socket" : "Unable to write to socket");
        } else if (r == 0) {
            return ended(done, errp);
        } else {
            advance(&v, &n, r);
            done += r;
            left -= r;
        }
    }
    return true;
}

static bool move_all(Stream *s, unsigned event, const struct iovec *iov, unsigned n, Error **errp)
{
    struct iovec few[8];
    g_autofree struct iovec *many = n > G_N_ELEMENTS(few) ? g_new(struct iovec, n) : NULL;
    struct iovec *v = many ? many : few;

    memcpy(v, iov, n * sizeof(*iov));
    return move_vector(s, event, v, n, errp);
}

bool stream_readv_all(Stream *s, const struct iovec *iov, unsigned n, Error **errp)
{
    return move_all(s, LOOP_READ, iov, n, errp);
}

bool stream_writev_all(Stream *s, const struct iovec *iov, unsigned n, Error **errp)
{
    return move_all(s, LOOP_WRITE, iov, n, errp);
}

bool stream_read_all(Stream *s, void *buf, size_t len, Error **errp)
{
    return move_all(s, LOOP_READ, &(struct iovec){ buf, len }, 1, errp);
}

bool stream_write_all(Stream *s, const void *buf, size_t len, Error **errp)
{
    return move_all(s, LOOP_WRITE, &(struct iovec){ (void *)buf, len }, 1, errp);
}

ssize_t stream_read_some(Stream *s, void *buf, size_t len, Error **errp)
{
    for (;;) {
        ssize_t r = stream_read(s, buf, len);

        if (r != -EAGAIN) {
            if (r < 0) {
                error_set_errno(errp, -r, "Unable to read from socket");
                return -1;
            }
            return r;
        }
        stream_wait(s, LOOP_READ);
    }
}
