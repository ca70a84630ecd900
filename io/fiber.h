/* SPDX-License-Identifier: MIT */
/*
 * Fibers: straight-line code that waits without blocking its thread.
 *
 * A fiber has a stack of its own and runs on the loop that it was started on,
 * from the start to its end, interrupted only where it waits.  So what only
 * the fibers and callbacks of one loop touch needs no lock between two waits.
 *
 * Everything that may wait says "fiber only" in its header.  Waking is allowed
 * from any thread: FiberMutex, FiberQueue and FiberEvent may be shared between
 * loops, and wake a fiber on its own loop.  Fibers take their turns from the
 * loop (wake-ups are posted), in the order in which they were woken.
 *
 * Stacks are FIBER_STACK bytes with a guard page below and are pooled per
 * thread; the sanitizers are told about each switch.
 */
#ifndef IO_FIBER_H
#define IO_FIBER_H

#include "io/lock.h"
#include "io/loop.h"

enum { FIBER_STACK = 256 * 1024 };

typedef struct Fiber Fiber;
typedef void FiberFn(void *opaque);

/* Run fn in a new fiber of this thread's loop, now, until it waits or ends.  From a fiber too: the starter goes on then. */
void fiber_start(FiberFn *fn, void *opaque);
/* The same on any loop; on another one, or from outside, it is posted. */
void fiber_start_on(Loop *loop, FiberFn *fn, void *opaque);
/* Run fn in a fiber of `loop`, this thread's, and step the loop until it ends: the bridge for main() and tests.  Not from a fiber or callback. */
void fiber_call(Loop *loop, FiberFn *fn, void *opaque);

Fiber *fiber_self(void);                        /* NULL outside of fibers */
Loop *fiber_loop(const Fiber *f);

/*
 * The two below everything else.  fiber_yield() waits for the fiber_wake()
 * that somebody has been told to call: exactly one per yield.  It may come
 * early, and from any thread.
 */
void fiber_yield(void);                         /* fiber only */
void fiber_wake(Fiber *f);
/* Go on with a waiting fiber at once instead of through the loop: from a callback of its loop, where the wake is the last thing done. */
void fiber_resume(Fiber *f);

void fiber_sleep(int64_t ns);                   /* fiber only */
unsigned fiber_wait_fd(int fd, unsigned events);        /* fiber only; LOOP_ events that came; one waiter per descriptor */
void fiber_pause(void);                         /* fiber only: let the loop's other work go first */
/* Run fn on a pool thread and wait for it: for host calls that block.  Fiber only. */
void fiber_blocking(FiberFn *fn, void *opaque);

/* Run fn on a fresh stack, as part of this fiber: for recursion as deep as a file says.  Fiber only. */
void fiber_nest(FiberFn *fn, void *opaque);
size_t fiber_stack_left(void);                  /* fiber only; bytes, roughly */

/* ---- a queue of waiting fibers ---- */
typedef struct FiberWaiter FiberWaiter;
typedef struct FiberQueue {
    IoLock lock;
    FiberWaiter *first, **last;
} FiberQueue;
void fiber_queue_init(FiberQueue *q);
void fiber_queue_destroy(FiberQueue *q);                /* nobody waits */
/* Wait; `lock` (may be NULL) is released once the fiber is in the queue and not taken again. */
void fiber_queue_wait(FiberQueue *q, IoLock *lock);     /* fiber only */
bool fiber_queue_wake(FiberQueue *q);                   /* the longest waiting one; false if there is none */
void fiber_queue_wake_all(FiberQueue *q);
bool fiber_queue_empty(FiberQueue *q);

/* ---- mutual exclusion between fibers; fair; may be held across waits ---- */
typedef struct FiberMutex {
    IoLock lock;
    Fiber *owner;
    FiberWaiter *first, **last;
} FiberMutex;
void fiber_mutex_init(FiberMutex *m);
void fiber_mutex_destroy(FiberMutex *m);
void fiber_mutex_lock(FiberMutex *m);                   /* fiber only */
bool fiber_mutex_try(FiberMutex *m);                    /* fiber only */
void fiber_mutex_unlock(FiberMutex *m);                 /* by the fiber that locked it */

/* ---- a flag to wait for; stays set until cleared ---- */
typedef struct FiberEvent {
    IoLock lock;
    bool set;
    FiberWaiter *first, **last;
} FiberEvent;
void fiber_event_init(FiberEvent *e);
void fiber_event_destroy(FiberEvent *e);
void fiber_event_set(FiberEvent *e);
void fiber_event_clear(FiberEvent *e);
void fiber_event_wait(FiberEvent *e);                   /* fiber only; returns at once when set */

#endif
