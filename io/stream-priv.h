/* SPDX-License-Identifier: MIT */
/* What kinds of streams give stream.c. */
#ifndef IO_STREAM_PRIV_H
#define IO_STREAM_PRIV_H

#include "io/fiber.h"
#include "io/stream.h"

typedef struct StreamOps {
    ssize_t (*readv)(Stream *s, const struct iovec *iov, unsigned n);
    ssize_t (*writev)(Stream *s, const struct iovec *iov, unsigned n);
    /* Bytes that are in our hands already, so that no poll will announce them; NULL: never any. */
    bool (*pending)(Stream *s);
    void (*shutdown)(Stream *s, bool write_only);
    void (*close)(Stream *s);
} StreamOps;

struct Stream {
    const StreamOps *ops;
    Loop *loop;
    int in, out;                        /* descriptors to poll; may be the same */
    LoopFd *watch_in, *watch_out;       /* watch_out only when they differ */
    Fiber *reader, *writer;             /* who waits */
    unsigned watched;                   /* events of fn */
    StreamFn *fn;
    void *opaque;
    LoopPost again;                     /* for pending() */
    bool again_posted;
    bool down;
};

void stream_init(Stream *s, const StreamOps *ops, int in, int out);
/* Wait until LOOP_READ or LOOP_WRITE.  Fiber only. */
void stream_wait(Stream *s, unsigned event);

#endif
