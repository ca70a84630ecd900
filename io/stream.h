/* SPDX-License-Identifier: MIT */
/*
 * A Stream: bytes both ways over a socket, a TLS session or any descriptor.
 *
 * It lives on one loop, that of the thread which made it.  A stream is used in
 * one of two ways at a time, for each direction:
 *
 *  - from callbacks: stream_watch() says when there is something to do, and
 *    stream_readv()/stream_writev() never wait (-EAGAIN);
 *  - from fibers: the stream_*_all() calls wait; one fiber may read while
 *    another writes.
 *
 * stream_shutdown() makes every waiting and later call fail, from any fiber of
 * its loop; stream_free() wants nobody waiting.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "io/loop.h"
#include "util/error.h"

typedef struct Stream Stream;
typedef void StreamFn(void *opaque, unsigned events);       /* LOOP_READ, LOOP_WRITE, LOOP_HUP */

/* Takes the descriptor over; it is made non-blocking. */
Stream *stream_new_fd(int fd);
/* Two descriptors, as for stdin and stdout. */
Stream *stream_new_fds(int in, int out);
/* To another loop: nobody waits or watches; leave on the old one (fiber only), enter on the new one, and nothing else in between. */
void stream_leave(Stream *s);
void stream_enter(Stream *s);
void stream_free(Stream *s);                                /* closes; NULL is fine */
Loop *stream_loop(const Stream *s);
int stream_fd(const Stream *s);

/* ---- without waiting: bytes, 0 at the end, -EAGAIN, or another negative errno ---- */
ssize_t stream_readv(Stream *s, const struct iovec *iov, unsigned n);
ssize_t stream_writev(Stream *s, const struct iovec *iov, unsigned n);
ssize_t stream_read(Stream *s, void *buf, size_t len);
ssize_t stream_write(Stream *s, const void *buf, size_t len);
/* Over unix sockets; see socket_recv_fds(). */
ssize_t stream_read_fds(Stream *s, void *buf, size_t len, int **fds, unsigned *nfds);
ssize_t stream_write_fds(Stream *s, const void *buf, size_t len, const int *fds, unsigned nfds);

/* ---- callbacks: level-triggered; events 0 and fn NULL stop ---- */
void stream_watch(Stream *s, unsigned events, StreamFn *fn, void *opaque);

/* ---- fiber only: all of it, or false; an end in the middle is an error, at the very beginning one with errno ENOTCONN ---- */
bool stream_read_all(Stream *s, void *buf, size_t len, Error **errp);
bool stream_readv_all(Stream *s, const struct iovec *iov, unsigned n, Error **errp);
bool stream_write_all(Stream *s, const void *buf, size_t len, Error **errp);
bool stream_writev_all(Stream *s, const struct iovec *iov, unsigned n, Error **errp);
/* Some bytes: what is there, at least one.  0 at the end, -1 with *errp. */
ssize_t stream_read_some(Stream *s, void *buf, size_t len, Error **errp);

void stream_shutdown(Stream *s);
/* No more writes: the peer reads an end. */
void stream_shutdown_write(Stream *s);

#endif
