/* SPDX-License-Identifier: MIT */
/* The thread pool engine: plain system calls on other threads. */
#include "io/aio-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <unistd.h>

static AioReq *req_of(PoolTask *task)
{
    return (AioReq *)((char *)task - offsetof(AioReq, task));
}

static int64_t run_op(AioReq *req)
{
    int cnt = MIN(aio_iovcnt(req), (unsigned)IOV_MAX);

    switch (req->op) {
    case AIO_READ:
        return preadv(req->fd, aio_iov(req), cnt, req->off + req->moved);
    case AIO_WRITE:
        return pwritev2(req->fd, aio_iov(req), cnt, req->off + req->moved, req->flags & AIO_FUA ? RWF_DSYNC : 0);
    case AIO_FDATASYNC:
        return fdatasync(req->fd);
    case AIO_FALLOCATE:
        return fallocate(req->fd, req->mode, req->off, req->len);
    }
    return -1;
}

static void task_run(PoolTask *task)
{
    AioReq *req = req_of(task);

    do {
        req->result = run_op(req);
    } while (req->result < 0 && errno == EINTR);
    if (req->result < 0) {
        req->result = -errno;
    }
}

static void task_done(PoolTask *task)
{
    aio_result(req_of(task), req_of(task)->result);
}

void aio_threads_submit(AioReq *req)
{
    req->task.run = task_run;
    req->task.done = task_done;
    pool_submit(req->loop, &req->task);
}
