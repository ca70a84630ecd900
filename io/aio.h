/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous file I/O for one loop: io_uring, or the thread pool where the
 * kernel forbids it.
 *
 * Requests are submitted on the loop's thread, gathered, and go to the kernel
 * together before the loop sleeps.  The AioReq and all it points at are the
 * caller's and stay untouched until done() is called, on the loop and never
 * from inside aio_submit().  done() gets the bytes moved, or a negative errno;
 * a short count is the end of the file (read) or a full disk met half-way
 * (write, reported as -ENOSPC by the try for the rest).
 *
 * A ring belongs to the thread that first used it, so fork (-daemonize) before.
 */
#ifndef IO_AIO_H
#define IO_AIO_H

#include <sys/uio.h>

#include "io/pool.h"
#include "util/error.h"

typedef enum { AIO_READ, AIO_WRITE, AIO_FDATASYNC, AIO_FALLOCATE } AioOp;
typedef enum { AIO_URING, AIO_THREADS } AioEngine;
enum { AIO_FUA = 1 };                   /* a write that is on the medium when it is done */

typedef struct AioReq AioReq;
struct AioReq {
    AioOp op;
    int fd;
    unsigned flags;
    int mode;                           /* of fallocate */
    const struct iovec *iov;            /* read, write */
    unsigned iovcnt;
    uint64_t off;
    uint64_t len;                       /* bytes of iov, or of the range for fallocate */
    void (*done)(AioReq *req, int64_t result);
    void *opaque;
    /* inside */
    Loop *loop;
    AioEngine engine;
    uint64_t moved;
    struct iovec *rest;                 /* what is left of iov after a short transfer */
    unsigned restcnt;
    int64_t result;
    AioReq *next;
    PoolTask task;
};

/* Whether io_uring works for this loop (opens its ring at the first call); false with the reason in *errp otherwise. */
bool aio_uring_usable(Loop *loop, Error **errp);
/* AIO_URING needs aio_uring_usable(). */
void aio_submit(Loop *loop, AioEngine engine, AioReq *req);

#endif
