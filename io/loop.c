/* SPDX-License-Identifier: MIT */
#include "io/loop-priv.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "io/fiber.h"

/* Rounds of posts before descriptors get their turn again. */
enum { POST_ROUNDS = 16 };

static __thread Loop *current;

Loop *loop_current(void)
{
    return current;
}

void loop_attach(Loop *loop)
{
    current = loop;
}

int64_t loop_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t loop_wall_time(void)
{
    return g_get_real_time();
}

/* ---- life ---- */

Loop *loop_new(const char *name)
{
    Loop *loop = g_new0(Loop, 1);
    struct epoll_event ev = { .events = EPOLLIN };

    loop->name = g_strdup(name);
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epfd < 0 || loop->wakefd < 0) {
        g_error("no descriptors left for the event loop '%s': %s", name, g_strerror(errno));
    }
    epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wakefd, &ev);
    loop->locals = g_hash_table_new(NULL, NULL);
    return loop;
}

Loop *loop_new_glib(const char *name, GMainContext *context)
{
    Loop *loop = loop_new(name);

    loop_glib_attach(loop, context);
    loop_attach(loop);
    return loop;
}

typedef struct {
    void *object;
    GDestroyNotify destroy;
} Local;

void *loop_local_get(Loop *loop, const void *key)
{
    Local *l = g_hash_table_lookup(loop->locals, key);

    return l ? l->object : NULL;
}

void loop_local_set(Loop *loop, const void *key, void *object, GDestroyNotify destroy)
{
    Local *l = g_new(Local, 1);

    assert(!loop_local_get(loop, key));
    *l = (Local){ object, destroy };
    g_hash_table_insert(loop->locals, (void *)key, l);
}

static void free_dead(Loop *loop)
{
    while (loop->dead) {
        LoopFd *w = loop->dead;

        loop->dead = w->next;
        g_free(w);
    }
}

void loop_free(Loop *loop)
{
    GHashTableIter it;
    gpointer local;

    if (!loop) {
        return;
    }
    assert(loop->depth == 0);
    if (loop->source) {
        loop_glib_detach(loop);
    }
    g_hash_table_iter_init(&it, loop->locals);
    while (g_hash_table_iter_next(&it, NULL, &local)) {
        Local *l = local;
        if (l->destroy) {
            l->destroy(l->object);
        }
        g_free(l);
    }
    g_hash_table_destroy(loop->locals);
    free_dead(loop);
    assert(loop->timers == 0);
    /* who posted what was the last thing to do may still be about to wake us */
    while (__atomic_load_n(&loop->posting, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
    close(loop->epfd);
    close(loop->wakefd);
    if (current == loop) {
        current = NULL;
    }
    g_free(loop->heap);
    g_free(loop->name);
    g_free(loop);
}

const char *loop_name(const Loop *loop)
{
    return loop->name;
}

/* ---- posts ---- */

static void wake(Loop *loop)
{
    uint64_t one = 1;

    /* a full counter wakes as well as any */
    if (write(loop->wakefd, &one, sizeof(one)) < 0) {
        assert(errno == EAGAIN);
    }
}

void loop_post_node(Loop *loop, LoopPost *post)
{
    LoopPost *head = __atomic_load_n(&loop->posted, __ATOMIC_RELAXED);
    bool foreign = current != loop;

    if (foreign) {
        __atomic_fetch_add(&loop->posting, 1, __ATOMIC_RELAXED);
    }
    do {
        post->next = head;
    } while (!__atomic_compare_exchange_n(&loop->posted, &head, post, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    /* its own thread looks at `posted` before it sleeps; between the sources of a GLib context it may be about to */
    if (!head && (foreign || (loop->source && !loop->depth))) {
        wake(loop);
    }
    if (foreign) {
        __atomic_fetch_sub(&loop->posting, 1, __ATOMIC_RELEASE);
    }
}

typedef struct {
    LoopPost post;
    LoopFn *fn;
    void *opaque;
} AllocatedPost;

static void run_allocated(void *opaque)
{
    AllocatedPost p = *(AllocatedPost *)opaque;

    g_free(opaque);
    p.fn(p.opaque);
}

void loop_post(Loop *loop, LoopFn *fn, void *opaque)
{
    AllocatedPost *p = g_new(AllocatedPost, 1);

    *p = (AllocatedPost){ { NULL, run_allocated, p }, fn, opaque };
    loop_post_node(loop, &p->post);
}

static void take_posts(Loop *loop)
{
    LoopPost *p = __atomic_exchange_n(&loop->posted, NULL, __ATOMIC_ACQUIRE), *list = NULL;

    while (p) {
        LoopPost *next = p->next;

        p->next = list;
        list = p;
        p = next;
    }
    loop->ready = list;
}

static bool run_posts(Loop *loop)
{
    bool any = false;

    for (int round = 0; round < POST_ROUNDS; round++) {
        if (!loop->ready) {
            take_posts(loop);
        }
        if (!loop->ready) {
            break;
        }
        any = true;
        while (loop->ready) {
            LoopPost *p = loop->ready;

            loop->ready = p->next;
            p->fn(p->opaque);
        }
    }
    return any;
}

typedef struct {
    LoopFn *fn;
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} Call;

static void run_call(void *opaque)
{
    Call *c = opaque;

    c->fn(c->opaque);
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

void loop_call(Loop *loop, LoopFn *fn, void *opaque)
{
    Call c = { .fn = fn, .opaque = opaque };

    if (current == loop) {
        fn(opaque);
        return;
    }
    assert(!fiber_self());
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.cond, NULL);
    loop_post(loop, run_call, &c);
    pthread_mutex_lock(&c.lock);
    while (!c.done) {
        pthread_cond_wait(&c.cond, &c.lock);
    }
    pthread_mutex_unlock(&c.lock);
    pthread_mutex_destroy(&c.lock);
    pthread_cond_destroy(&c.cond);
}

/* ---- descriptors ---- */

static uint32_t epoll_mask(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
}

LoopFd *loop_fd_add(Loop *loop, int fd, unsigned events, LoopFdFn *fn, void *opaque)
{
    LoopFd *w = g_new0(LoopFd, 1);
    struct epoll_event ev = { .data.ptr = w };

    *w = (LoopFd){ .loop = loop, .fd = fd, .fn = fn, .opaque = opaque };
    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        assert(errno == EPERM);     /* anything else: closed or watched twice */
        w->always = true;
        w->next = loop->always;
        loop->always = w;
    } else {
        epoll_ctl(loop->epfd, EPOLL_CTL_DEL, fd, NULL);
    }
    loop_fd_events(w, events);
    return w;
}

/* A resting descriptor is taken out: epoll would report its hang-up again and again. */
void loop_fd_events(LoopFd *w, unsigned events)
{
    struct epoll_event ev = { .events = epoll_mask(events), .data.ptr = w };

    if (!w->always && events != w->events) {
        int op = !events ? EPOLL_CTL_DEL : w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        int r = epoll_ctl(w->loop->epfd, op, w->fd, &ev);
        assert(r == 0 || op == EPOLL_CTL_DEL);
    }
    w->events = events;
    if (current != w->loop) {
        wake(w->loop);              /* before it runs, or a file that is always ready */
    }
}

void loop_fd_remove(LoopFd *w)
{
    if (!w) {
        return;
    }
    loop_fd_events(w, 0);
    if (w->always) {
        LoopFd **at = &w->loop->always;
        while (*at != w) {
            at = &(*at)->next;
        }
        *at = w->next;
    }
    w->removed = true;
    w->next = w->loop->dead;
    w->loop->dead = w;
    if (w->loop->depth == 0) {
        free_dead(w->loop);
    }
}

static unsigned loop_events(uint32_t mask)
{
    return (mask & (EPOLLIN | EPOLLRDHUP) ? LOOP_READ : 0) | (mask & EPOLLOUT ? LOOP_WRITE : 0) |
           (mask & (EPOLLHUP | EPOLLERR) ? LOOP_HUP | LOOP_READ : 0);
}

static bool run_always(Loop *loop)
{
    bool any = false;

    for (LoopFd *w = loop->always, *next; w; w = next) {
        next = w->next;
        if (w->events) {
            w->fn(w->opaque, w->events);
            any = true;
            if (w->removed) {
                break;              /* the list changed: the rest next time */
            }
        }
    }
    return any;
}

static bool run_fds(Loop *loop, const struct epoll_event *ev, int n)
{
    bool any = false;

    for (int i = 0; i < n; i++) {
        LoopFd *w = ev[i].data.ptr;

        if (!w) {
            uint64_t count;
            if (read(loop->wakefd, &count, sizeof(count)) < 0) {
                assert(errno == EAGAIN);
            }
        } else if (!w->removed && w->events) {
            w->fn(w->opaque, loop_events(ev[i].events));
            any = true;
        }
    }
    return any;
}

/* ---- hooks ---- */

void loop_hook_add(Loop *loop, LoopHook *hook)
{
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void loop_hook_remove(Loop *loop, LoopHook *hook)
{
    LoopHook **at = &loop->hooks;

    while (*at != hook) {
        at = &(*at)->next;
    }
    *at = hook->next;
}

/* ---- running ---- */

int64_t loop_prepare(Loop *loop)
{
    int64_t next;

    for (LoopHook *h = loop->hooks; h; h = h->next) {
        h->fn(h->opaque);
    }
    if (loop->ready || __atomic_load_n(&loop->posted, __ATOMIC_ACQUIRE) || __atomic_load_n(&loop->quit, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    for (LoopFd *w = loop->always; w; w = w->next) {
        if (w->events) {
            return 0;
        }
    }
    next = loop_timers_next(loop);
    if (next < 0) {
        return -1;
    }
    next -= loop_now();                 /* once: MAX would ask the clock again, and a time that has just passed would mean for ever */
    return MAX(next, 0);
}

bool loop_dispatch(Loop *loop, struct epoll_event *ev, int n)
{
    Loop *before = current;
    bool any;

    assert(loop->depth == 0 && !fiber_self());
    current = loop;
    loop->depth++;
    any = run_fds(loop, ev, n);
    any |= run_always(loop);
    any |= loop_timers_run(loop);
    any |= run_posts(loop);
    loop->depth--;
    free_dead(loop);
    current = before;
    return any;
}

static int epoll_sleep(Loop *loop, struct epoll_event *ev, int64_t ns)
{
    struct timespec ts = { ns / 1000000000, ns % 1000000000 };

    return epoll_pwait2(loop->epfd, ev, LOOP_BATCH, ns < 0 ? NULL : &ts, NULL);
}

static bool step_epoll(Loop *loop, bool block)
{
    struct epoll_event ev[LOOP_BATCH];
    Loop *before = current;
    int64_t sleep;
    int n;

    current = loop;
    sleep = loop_prepare(loop);
    n = epoll_sleep(loop, ev, block ? sleep : 0);
    if (n < 0) {
        if (errno == ENOSYS) {      /* kernels before 5.11 */
            n = epoll_wait(loop->epfd, ev, LOOP_BATCH, !block ? 0 : sleep < 0 ? -1 : (int)MIN((sleep + 999999) / 1000000, 1 << 30));
        }
        n = MAX(n, 0);
    }
    current = before;
    return loop_dispatch(loop, ev, n);
}

bool loop_step(Loop *loop, bool block)
{
    assert(!fiber_self() && loop->depth == 0);
    return loop->source ? g_main_context_iteration(loop->context, block) : step_epoll(loop, block);
}

void loop_run(Loop *loop)
{
    Loop *before = current;

    current = loop;
    while (!__atomic_load_n(&loop->quit, __ATOMIC_ACQUIRE)) {
        loop_step(loop, true);
    }
    __atomic_store_n(&loop->quit, false, __ATOMIC_RELEASE);
    current = before;
}

void loop_quit(Loop *loop)
{
    __atomic_fetch_add(&loop->posting, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&loop->quit, true, __ATOMIC_RELEASE);
    wake(loop);
    __atomic_fetch_sub(&loop->posting, 1, __ATOMIC_RELEASE);
}

void loop_run_until(Loop *loop, const bool *done)
{
    while (!*(volatile const bool *)done) {
        loop_step(loop, true);
    }
}
