/* SPDX-License-Identifier: MIT */
/*
 * Threads for host calls that block.
 *
 * A task runs once on some thread of the one pool of the process; threads are
 * made when work waits, at most POOL_THREADS, and end after idling for ten
 * seconds.  The task's memory is the caller's, until done() was called on the
 * loop that it was submitted for.
 */
#ifndef IO_POOL_H
#define IO_POOL_H

#include "io/loop.h"

enum { POOL_THREADS = 64 };

typedef struct PoolTask PoolTask;
struct PoolTask {
    void (*run)(PoolTask *task);        /* on a pool thread */
    void (*done)(PoolTask *task);       /* on the loop */
    PoolTask *next;
    Loop *loop;
    LoopPost post;
};

void pool_submit(Loop *loop, PoolTask *task);           /* any thread */
/* Take a task back that no thread has begun: true, and done() will not be called. */
bool pool_cancel(PoolTask *task);

#endif
