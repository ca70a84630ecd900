/* SPDX-License-Identifier: MIT */
/* Somebody who waits for his turn in a throttle group (block/throttle.h). */
#ifndef BLOCK_THROTTLE_WAIT_H
#define BLOCK_THROTTLE_WAIT_H

#include "io/loop.h"

typedef struct ThrottleWait {
    /* the caller's, until his turn has come */
    Loop *loop;                     /* where post.fn is called then */
    LoopPost post;
    uint64_t bytes;
    const int *cancelled;           /* may be NULL */
    /* inside */
    struct ThrottleWait *next;
    int result;                     /* 0, or -ECANCELED */
} ThrottleWait;

#endif
