/* SPDX-License-Identifier: MIT */
/*
 * A lock for short sections between threads that may run fibers.
 *
 * Holding one across a fiber switch would block a whole loop, or deadlock it;
 * fiber_yield() asserts that the thread holds none.  Never held around a
 * callback or anything that may wait.
 */
#ifndef IO_LOCK_H
#define IO_LOCK_H

#include <pthread.h>

typedef struct IoLock {
    pthread_mutex_t mutex;
} IoLock;

#define IO_LOCK_INIT { PTHREAD_MUTEX_INITIALIZER }

extern __thread unsigned io_locks_held;

static inline void io_lock_init(IoLock *l)
{
    pthread_mutex_init(&l->mutex, NULL);
}

static inline void io_lock_destroy(IoLock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

static inline void io_lock(IoLock *l)
{
    pthread_mutex_lock(&l->mutex);
    io_locks_held++;
}

static inline void io_unlock(IoLock *l)
{
    io_locks_held--;
    pthread_mutex_unlock(&l->mutex);
}

#endif
