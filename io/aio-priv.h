/* SPDX-License-Identifier: MIT */
#ifndef IO_AIO_PRIV_H
#define IO_AIO_PRIV_H

#include "io/aio.h"

/* An engine hands in what the kernel said; this continues short transfers and calls done(). */
void aio_result(AioReq *req, int64_t result);
void aio_threads_submit(AioReq *req);
void aio_uring_submit(AioReq *req);

static inline const struct iovec *aio_iov(const AioReq *req)
{
    return req->rest ? req->rest : req->iov;
}

static inline unsigned aio_iovcnt(const AioReq *req)
{
    return req->rest ? req->restcnt : req->iovcnt;
}

#endif
