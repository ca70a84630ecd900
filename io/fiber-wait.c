/* SPDX-License-Identifier: MIT */
/* What fibers wait for: queues, mutexes, events, time, descriptors. */
#include "io/fiber.h"

#include <assert.h>

#include "io/pool.h"

struct FiberWaiter {
    Fiber *fiber;
    FiberWaiter *next;
};

/* ---- the list that all three share; under their lock ---- */

static void list_add(FiberWaiter **first, FiberWaiter ***last, FiberWaiter *w)
{
    w->fiber = fiber_self();
    w->next = NULL;
    assert(w->fiber && "only fibers may wait");
    if (*first) {
        **last = w;
    } else {
        *first = w;
    }
    *last = &w->next;
}

static Fiber *list_take(FiberWaiter **first)
{
    FiberWaiter *w = *first;

    if (!w) {
        return NULL;
    }
    *first = w->next;
    return w->fiber;
}

/* ---- queue ---- */

void fiber_queue_init(FiberQueue *q)
{
    io_lock_init(&q->lock);
    q->first = NULL;
}

void fiber_queue_destroy(FiberQueue *q)
{
    assert(!q->first);
    io_lock_destroy(&q->lock);
}

void fiber_queue_wait(FiberQueue *q, IoLock *lock)
{
    FiberWaiter w;

    io_lock(&q->lock);
    list_add(&q->first, &q->last, &w);
    io_unlock(&q->lock);
    if (lock) {
        io_unlock(lock);
    }
    fiber_yield();
}

bool fiber_queue_wake(FiberQueue *q)
{
    Fiber *f;

    io_lock(&q->lock);
    f = list_take(&q->first);
    io_unlock(&q->lock);
    if (f) {
        fiber_wake(f);
    }
    return f != NULL;
}

void fiber_queue_wake_all(FiberQueue *q)
{
    Fiber *f;

    io_lock(&q->lock);
    while ((f = list_take(&q->first))) {
        fiber_wake(f);          /* a post: never runs the fiber under the lock */
    }
    io_unlock(&q->lock);
}

bool fiber_queue_empty(FiberQueue *q)
{
    bool empty;

    io_lock(&q->lock);
    empty = !q->first;
    io_unlock(&q->lock);
    return empty;
}

/* ---- mutex: handed over to the longest waiting fiber ---- */

void fiber_mutex_init(FiberMutex *m)
{
    io_lock_init(&m->lock);
    m->owner = NULL;
    m->first = NULL;
}

void fiber_mutex_destroy(FiberMutex *m)
{
    assert(!m->owner);
    io_lock_destroy(&m->lock);
}

bool fiber_mutex_try(FiberMutex *m)
{
    bool got;

    assert(fiber_self());
    io_lock(&m->lock);
    got = !m->owner;
    if (got) {
        m->owner = fiber_self();
    }
    io_unlock(&m->lock);
    return got;
}

void fiber_mutex_lock(FiberMutex *m)
{
    FiberWaiter w;

    assert(fiber_self());
    io_lock(&m->lock);
    if (!m->owner) {
        m->owner = fiber_self();
        io_unlock(&m->lock);
        return;
    }
    assert(m->owner != fiber_self());
    list_add(&m->first, &m->last, &w);
    io_unlock(&m->lock);
    fiber_yield();
    assert(m->owner == fiber_self());
}

void fiber_mutex_unlock(FiberMutex *m)
{
    Fiber *next;

    assert(m->owner == fiber_self());
    io_lock(&m->lock);
    next = list_take(&m->first);
    m->owner = next;
    io_unlock(&m->lock);
    if (next) {
        fiber_wake(next);
    }
}

/* ---- event ---- */

void fiber_event_init(FiberEvent *e)
{
    io_lock_init(&e->lock);
    e->set = false;
    e->first = NULL;
}

void fiber_event_destroy(FiberEvent *e)
{
    assert(!e->first);
    io_lock_destroy(&e->lock);
}

void fiber_event_set(FiberEvent *e)
{
    Fiber *f;

    io_lock(&e->lock);
    e->set = true;
    while ((f = list_take(&e->first))) {
        fiber_wake(f);
    }
    io_unlock(&e->lock);
}

void fiber_event_clear(FiberEvent *e)
{
    io_lock(&e->lock);
    e->set = false;
    io_unlock(&e->lock);
}

void fiber_event_wait(FiberEvent *e)
{
    FiberWaiter w;

    assert(fiber_self());
    io_lock(&e->lock);
    if (e->set) {
        io_unlock(&e->lock);
        return;
    }
    list_add(&e->first, &e->last, &w);
    io_unlock(&e->lock);
    fiber_yield();
}

/* ---- time, descriptors, blocking calls ---- */

static void timer_fired(void *opaque)
{
    fiber_resume(opaque);
}

void fiber_sleep(int64_t ns)
{
    LoopTimer t;

    loop_timer_init(&t, fiber_loop(fiber_self()), timer_fired, fiber_self());
    loop_timer_at(&t, loop_now() + ns);
    fiber_yield();
}

void fiber_pause(void)
{
    fiber_wake(fiber_self());
    fiber_yield();
}

typedef struct {
    Fiber *fiber;
    LoopFd *watch;
    unsigned events;
} FdWait;

static void fd_ready(void *opaque, unsigned events)
{
    FdWait *w = opaque;

    w->events = events;
    loop_fd_remove(w->watch);
    fiber_resume(w->fiber);
}

unsigned fiber_wait_fd(int fd, unsigned events)
{
    FdWait w = { .fiber = fiber_self() };

    w.watch = loop_fd_add(fiber_loop(w.fiber), fd, events, fd_ready, &w);
    fiber_yield();
    return w.events;
}

typedef struct {
    PoolTask task;
    FiberFn *fn;
    void *opaque;
    Fiber *fiber;
} Blocking;

static void blocking_run(PoolTask *task)
{
    Blocking *b = (Blocking *)task;

    b->fn(b->opaque);
}

static void blocking_done(PoolTask *task)
{
    fiber_resume(((Blocking *)task)->fiber);
}

void fiber_blocking(FiberFn *fn, void *opaque)
{
    Blocking b = { .task = { .run = blocking_run, .done = blocking_done }, .fn = fn, .opaque = opaque, .fiber = fiber_self() };

    pool_submit(fiber_loop(b.fiber), &b.task);
    fiber_yield();
}
