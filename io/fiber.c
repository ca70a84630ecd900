/* SPDX-License-Identifier: MIT */
#include "io/fiber.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/fiber-priv.h"

/* Enough for a busy disk; more only costs a mmap each. */
enum { POOL_MAX = 128, GUARD = 4096 };

struct Fiber {
    void *sp;                   /* while it does not run */
    FiberSan san;
    Fiber *caller;              /* who entered it; the thread's own context below all */
    Loop *loop;
    FiberFn *fn;
    void *opaque;
    LoopPost wake;
    char *stack;
    Fiber *pooled;
    bool done;
};

typedef struct {
    Fiber thread;               /* stands for the thread's own stack */
    Fiber *running;             /* NULL: the thread's own stack */
    Fiber *entered_from;        /* who made the last switch */
    Fiber *pool;
    unsigned pool_count;
} FiberThread;

static __thread FiberThread *thread_state;
__thread unsigned io_locks_held;

/* ---- stacks ---- */

static void fiber_release(Fiber *f)
{
    fiber_san_destroy(&f->san);
    munmap(f->stack, FIBER_STACK + GUARD);
    g_free(f);
}

static void thread_end(void *opaque)
{
    FiberThread *t = opaque;

    while (t->pool) {
        Fiber *f = t->pool;

        t->pool = f->pooled;
        fiber_release(f);
    }
    thread_state = NULL;
    g_free(t);
}

static GPrivate thread_key = G_PRIVATE_INIT(thread_end);

static FiberThread *thread_get(void)
{
    if (!thread_state) {
        thread_state = g_new0(FiberThread, 1);
        g_private_set(&thread_key, thread_state);
    }
    return thread_state;
}

static Fiber *fiber_alloc(FiberThread *t)
{
    Fiber *f = t->pool;

    if (f) {
        t->pool = f->pooled;
        t->pool_count--;
        return f;
    }
    f = g_new0(Fiber, 1);
    f->stack = mmap(NULL, FIBER_STACK + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->stack == MAP_FAILED || mprotect(f->stack, GUARD, PROT_NONE) < 0) {
        g_error("no memory for a fiber's stack");
    }
    fiber_san_create(&f->san, f->stack + GUARD, FIBER_STACK);
    return f;
}

static void fiber_recycle(FiberThread *t, Fiber *f)
{
    if (t->pool_count >= POOL_MAX) {
        fiber_release(f);
        return;
    }
    fiber_san_clean(&f->san);
    f->pooled = t->pool;
    t->pool = f;
    t->pool_count++;
}

/* ---- switching ---- */

__attribute__((no_sanitize("thread")))
static void go(FiberThread *t, Fiber *from, Fiber *to, bool last)
{
    t->running = to == &t->thread ? NULL : to;
    t->entered_from = from;
    fiber_san_leave(&from->san, &to->san, last);
    fiber_switch(&from->sp, to->sp);
    /* fibers stay on their thread: t is still right */
    fiber_san_arrive(&from->san, &t->entered_from->san);
}

__attribute__((no_sanitize("thread")))
static void fiber_main(void)
{
    FiberThread *t = thread_state;
    Fiber *f = t->running;

    fiber_san_arrive(&f->san, &t->entered_from->san);
    f->fn(f->opaque);
    assert(io_locks_held == 0);
    f->done = true;
    go(t, f, f->caller, true);
    __builtin_unreachable();
}

static void enter(FiberThread *t, Fiber *f)
{
    Fiber *self = t->running ? t->running : &t->thread;

    assert(!f->caller && io_locks_held == 0);
    f->caller = self;
    go(t, self, f, false);
    f->caller = NULL;
    if (f->done) {
        fiber_recycle(t, f);
    }
}

void fiber_yield(void)
{
    FiberThread *t = thread_state;
    Fiber *f = t ? t->running : NULL;

    assert(f && "only fibers may wait");
    assert(io_locks_held == 0 && "a lock is held across a switch");
    go(t, f, f->caller, false);
}

void fiber_resume(Fiber *f)
{
    assert(loop_current() == f->loop);
    enter(thread_get(), f);
}

static void wake_posted(void *opaque)
{
    fiber_resume(opaque);
}

void fiber_wake(Fiber *f)
{
    loop_post_node(f->loop, &f->wake);
}

/* ---- starting ---- */

Fiber *fiber_self(void)
{
    return thread_state ? thread_state->running : NULL;
}

Loop *fiber_loop(const Fiber *f)
{
    return f->loop;
}

void fiber_start(FiberFn *fn, void *opaque)
{
    FiberThread *t = thread_get();
    Fiber *f = fiber_alloc(t);

    assert(loop_current());
    f->loop = loop_current();
    f->fn = fn;
    f->opaque = opaque;
    f->wake = (LoopPost){ NULL, wake_posted, f };
    f->done = false;
    f->caller = NULL;
    f->san.fake = NULL;
    f->sp = fiber_stack_prepare(f->stack + GUARD + FIBER_STACK, fiber_main);
    enter(t, f);
}

size_t fiber_stack_left(void)
{
    char here;

    return &here - (fiber_self()->stack + GUARD);
}

typedef struct {
    FiberFn *fn;
    void *opaque;
    Fiber *waiter;              /* of fiber_nest(), once it waits */
    bool done;
} Start;

static void run_nested(void *opaque)
{
    Start *s = opaque;

    s->fn(s->opaque);
    s->done = true;
    if (s->waiter) {
        fiber_wake(s->waiter);
    }
}

void fiber_nest(FiberFn *fn, void *opaque)
{
    Start s = { .fn = fn, .opaque = opaque };

    fiber_start(run_nested, &s);
    if (!s.done) {
        s.waiter = fiber_self();
        fiber_yield();
    }
}

static void start_posted(void *opaque)
{
    Start s = *(Start *)opaque;

    g_free(opaque);
    fiber_start(s.fn, s.opaque);
}

void fiber_start_on(Loop *loop, FiberFn *fn, void *opaque)
{
    Start *s;

    if (loop_current() == loop) {
        fiber_start(fn, opaque);
        return;
    }
    s = g_new0(Start, 1);
    *s = (Start){ .fn = fn, .opaque = opaque };
    loop_post(loop, start_posted, s);
}

static void run_call(void *opaque)
{
    Start *s = opaque;

    s->fn(s->opaque);
    s->done = true;
}

void fiber_call(Loop *loop, FiberFn *fn, void *opaque)
{
    Start s = { .fn = fn, .opaque = opaque };
    Loop *before = loop_current();

    assert(!fiber_self());
    loop_attach(loop);
    fiber_start(run_call, &s);
    loop_run_until(loop, &s.done);
    loop_attach(before);
}
