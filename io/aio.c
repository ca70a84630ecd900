/* SPDX-License-Identifier: MIT */
/* What both engines share: submission, and going on after short transfers. */
#include "io/aio-priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void engine_submit(AioReq *req)
{
    if (req->engine == AIO_URING) {
        aio_uring_submit(req);
    } else {
        aio_threads_submit(req);
    }
}

void aio_submit(Loop *loop, AioEngine engine, AioReq *req)
{
    assert(loop_current() == loop);
    req->loop = loop;
    req->engine = engine;
    req->moved = 0;
    req->rest = NULL;
    engine_submit(req);
}

/* Make req->rest the part of the vector behind the first `moved` bytes. */
static void skip(AioReq *req)
{
    uint64_t n = req->moved;
    unsigned i = 0;

    g_free(req->rest);
    while (n >= req->iov[i].iov_len) {
        n -= req->iov[i++].iov_len;
    }
    req->restcnt = req->iovcnt - i;
    req->rest = g_new(struct iovec, req->restcnt);
    memcpy(req->rest, req->iov + i, req->restcnt * sizeof(struct iovec));
    req->rest[0].iov_base = (char *)req->rest[0].iov_base + n;
    req->rest[0].iov_len -= n;
}

static bool transient(int64_t result)
{
    return result == -EINTR || result == -EAGAIN;
}

void aio_result(AioReq *req, int64_t result)
{
    bool transfer = req->op == AIO_READ || req->op == AIO_WRITE;

    if (transient(result)) {
        engine_submit(req);
        return;
    }
    if (transfer && result > 0) {
        req->moved += result;
        if (req->moved < req->len) {
            skip(req);
            engine_submit(req);
            return;
        }
        result = req->moved;
    } else if (transfer && result == 0) {
        result = req->op == AIO_WRITE && req->len ? -ENOSPC : (int64_t)req->moved;
    }
    g_free(req->rest);
    req->rest = NULL;
    req->done(req, result);
}
