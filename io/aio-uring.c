/* SPDX-License-Identifier: MIT */
/* The io_uring engine: one ring per loop, submitted once per turn of the loop. */
#include "io/aio-priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ENTRIES = 256, REAP_BATCH = 64 };

typedef struct {
    struct io_uring ring;
    Loop *loop;
    LoopHook hook;
    int eventfd;                /* a ring with deferred completions does not wake who polls the ring itself */
    LoopFd *watch;
    LoopPost reap;
    bool reap_posted;
    bool deferred;              /* completions wait for us to enter the kernel */
    unsigned pending;           /* in the submission queue, not in the kernel */
    unsigned inflight;
    AioReq *first, *last;       /* no room in the submission queue yet */
    int error;                  /* why there is no ring */
} Ring;

static const char ring_key;

static void prepare(struct io_uring_sqe *sqe, AioReq *req)
{
    unsigned cnt = MIN(aio_iovcnt(req), (unsigned)IOV_MAX);

    switch (req->op) {
    case AIO_READ:
        io_uring_prep_readv(sqe, req->fd, aio_iov(req), cnt, req->off + req->moved);
        break;
    case AIO_WRITE:
        io_uring_prep_writev2(sqe, req->fd, aio_iov(req), cnt, req->off + req->moved, req->flags & AIO_FUA ? RWF_DSYNC : 0);
        break;
    case AIO_FDATASYNC:
        io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
        break;
    case AIO_FALLOCATE:
        io_uring_prep_fallocate(sqe, req->fd, req->mode, req->off, req->len);
        break;
    }
    io_uring_sqe_set_data(sqe, req);
}

static bool enqueue(Ring *r, AioReq *req)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

    if (!sqe) {
        return false;
    }
    prepare(sqe, req);
    r->pending++;
    return true;
}

static void submit(Ring *r)
{
    int n = io_uring_submit(&r->ring);

    if (n > 0) {
        r->pending -= n;
        r->inflight += n;
    } else {
        assert(n == -EAGAIN || n == -EBUSY || n == -EINTR || n == 0);   /* later: completions make room */
    }
}

static void refill(Ring *r)
{
    while (r->first && enqueue(r, r->first)) {
        r->first = r->first->next;
    }
}

static void reap(Ring *r)
{
    struct io_uring_cqe *cqes[REAP_BATCH];
    unsigned n;

    while ((n = io_uring_peek_batch_cqe(&r->ring, cqes, REAP_BATCH))) {
        struct { AioReq *req; int res; } got[REAP_BATCH];

        for (unsigned i = 0; i < n; i++) {
            got[i].req = io_uring_cqe_get_data(cqes[i]);
            got[i].res = cqes[i]->res;
        }
        io_uring_cq_advance(&r->ring, n);
        r->inflight -= n;
        for (unsigned i = 0; i < n; i++) {
            aio_result(got[i].req, got[i].res);
        }
    }
    refill(r);
}

static void reap_post(void *opaque)
{
    Ring *r = opaque;

    r->reap_posted = false;
    reap(r);
}

/* Before the loop sleeps: everything gathered goes to the kernel; what is done at once need not wait for a poll. */
static void before_sleep(void *opaque)
{
    Ring *r = opaque;

    refill(r);
    if (r->pending) {
        submit(r);
    }
    if (!r->reap_posted && r->inflight && io_uring_cq_ready(&r->ring)) {
        r->reap_posted = true;
        loop_post_node(r->loop, &r->reap);
    }
}

static void ring_ready(void *opaque, unsigned events)
{
    Ring *r = opaque;
    uint64_t count;

    if (read(r->eventfd, &count, sizeof(count)) < 0) {
        assert(errno == EAGAIN);
    }
    if (r->deferred) {
        io_uring_get_events(&r->ring);
    }
    reap(r);
}

static void ring_free(void *opaque)
{
    Ring *r = opaque;

    if (!r->error) {
        assert(!r->inflight && !r->pending);
        loop_fd_remove(r->watch);
        loop_hook_remove(r->loop, &r->hook);
        io_uring_queue_exit(&r->ring);
        close(r->eventfd);
    }
    g_free(r);
}

static int ring_open(Ring *r)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = ENTRIES * 8 };
    int err = io_uring_queue_init_params(ENTRIES, &r->ring, &p);

    r->deferred = err == 0;
    if (err == -EINVAL) {               /* before Linux 6.1 */
        p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = ENTRIES * 8 };
        err = io_uring_queue_init_params(ENTRIES, &r->ring, &p);
    }
    return err;
}

static Ring *ring_of(Loop *loop)
{
    Ring *r = loop_local_get(loop, &ring_key);

    if (r) {
        return r;
    }
    r = g_new0(Ring, 1);
    r->loop = loop;
    r->error = ring_open(r);
    if (!r->error) {
        r->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r->error = r->eventfd < 0 ? -errno : io_uring_register_eventfd(&r->ring, r->eventfd);
        if (r->error) {
            io_uring_queue_exit(&r->ring);
        }
    }
    if (!r->error) {
        r->hook = (LoopHook){ NULL, before_sleep, r };
        r->reap = (LoopPost){ NULL, reap_post, r };
        loop_hook_add(loop, &r->hook);
        r->watch = loop_fd_add(loop, r->eventfd, LOOP_READ, ring_ready, r);
    }
    loop_local_set(loop, &ring_key, r, ring_free);
    return r;
}

bool aio_uring_usable(Loop *loop, Error **errp)
{
    Ring *r = ring_of(loop);

    return r->error ? error_set_errno(errp, -r->error, "the kernel refuses io_uring (aio=threads works everywhere)") : true;
}

void aio_uring_submit(AioReq *req)
{
    Ring *r = ring_of(req->loop);

    assert(!r->error);
    req->next = NULL;
    if (!r->first && enqueue(r, req)) {
        return;
    }
    if (r->first) {
        r->last->next = req;
    } else {
        r->first = req;
    }
    r->last = req;
}
