/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock: a binary heap of timers, and who advances it.
 *
 * Under host-driven time the thread vm/clock waits on a timerfd that timer_mod
 * sets when the earliest deadline moves: one system call, no wake-up of the
 * thread for a deadline that only moves nearer or away.
 *
 * Lock order: a device's lock before the clock's.  The thread takes a timer
 * off the heap under the clock's lock, lets go of it, takes the timer's own
 * lock and looks again (`seq`): whoever re-armed or disarmed it meanwhile wins.
 */
#include "hw/core/clock.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Guest and host time at the beginning of the run, and of the current window. */
typedef struct Pace {
    bool valid;
    int64_t guest, host;
    int64_t window;             /* host time */
    uint64_t insns;
    int64_t idle, idle_before;  /* host time spent asleep: in all, and up to the window */
} Pace;

struct Clock {
    ClockMode mode;
    pthread_mutex_t lock;
    pthread_cond_t idle;        /* a callback has ended */
    Timer **heap;
    unsigned n, room;
    uint64_t seq;
    bool running, quit;
    int64_t base;               /* HOST: guest time at host time `since`; else the time itself */
    int64_t since;
    uint32_t version;           /* seqlock over base, since, running */
    Timer *firing;
    pthread_t firing_thread;
    int fd;                     /* timerfd; -1 in other modes */
    int64_t armed;              /* what the timerfd is set to */
    pthread_t thread;
    char *name;
    unsigned shift;
    uint64_t insns;
    uint64_t progress;          /* of the running slice */
    ClockPace pace;
    Pace at;
};

int64_t clock_host_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- now ---- */

static int64_t now_locked(Clock *c)
{
    if (c->mode == CLOCK_ICOUNT) {
        return c->base + (int64_t)(c->progress << c->shift);
    }
    return c->mode == CLOCK_HOST && c->running ? c->base + (clock_host_now() - c->since) : c->base;
}

int64_t clock_now(Clock *c)
{
    uint32_t v;
    int64_t now;

    do {
        while ((v = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE)) & 1) {
        }
        now = __atomic_load_n(&c->base, __ATOMIC_RELAXED) +
              (int64_t)(__atomic_load_n(&c->progress, __ATOMIC_RELAXED) << __atomic_load_n(&c->shift, __ATOMIC_RELAXED));
        if (c->mode == CLOCK_HOST && __atomic_load_n(&c->running, __ATOMIC_RELAXED)) {
            now += clock_host_now() - __atomic_load_n(&c->since, __ATOMIC_RELAXED);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&c->version, __ATOMIC_RELAXED) != v);
    return now;
}

static void set_base(Clock *c, int64_t base, bool running)
{
    __atomic_store_n(&c->version, c->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&c->base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&c->since, c->mode == CLOCK_HOST ? clock_host_now() : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->running, running, __ATOMIC_RELAXED);
    __atomic_store_n(&c->version, c->version + 1, __ATOMIC_RELEASE);
}

/* ---- heap ---- */

static bool before(const Timer *a, const Timer *b)
{
    return a->expires < b->expires || (a->expires == b->expires && a->seq < b->seq);
}

static void heap_put(Clock *c, unsigned i, Timer *t)
{
    c->heap[i] = t;
    t->heap_index = (int32_t)i;
}

static void heap_up(Clock *c, unsigned i, Timer *t)
{
    while (i && before(t, c->heap[(i - 1) / 2])) {
        heap_put(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(c, i, t);
}

static void heap_down(Clock *c, unsigned i, Timer *t)
{
    for (;;) {
        unsigned k = 2 * i + 1;

        if (k >= c->n) {
            break;
        }
        k += k + 1 < c->n && before(c->heap[k + 1], c->heap[k]);
        if (before(t, c->heap[k])) {
            break;
        }
        heap_put(c, i, c->heap[k]);
        i = k;
    }
    heap_put(c, i, t);
}

static void heap_remove(Clock *c, Timer *t)
{
    unsigned i = (unsigned)t->heap_index;
    Timer *last = c->heap[--c->n];

    t->heap_index = -1;
    if (last != t) {
        heap_up(c, i, last);
        heap_down(c, (unsigned)last->heap_index, last);
    }
}

static void heap_add(Clock *c, Timer *t)
{
    if (c->n == c->room) {
        c->room = c->room ? c->room * 2 : 16;
        c->heap = g_renew(Timer *, c->heap, c->room);
    }
    heap_up(c, c->n++, t);
}

/* ---- arming the host ---- */

static void host_arm(Clock *c)
{
    int64_t want = TIMER_NEVER;
    struct itimerspec its = { 0 };

    if (c->fd < 0) {
        return;
    }
    if (c->running && c->n) {
        want = MAX(c->heap[0]->expires - c->base + c->since, 1);
    }
    if (c->quit) {
        want = 1;
    }
    if (want == c->armed) {
        return;
    }
    c->armed = want;
    if (want != TIMER_NEVER) {
        its.it_value.tv_sec = want / NS_PER_S;
        its.it_value.tv_nsec = want % NS_PER_S;
    }
    timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* ---- timers ---- */

void timer_init(Timer *t, Clock *c, TimerFn *fn, void *opaque, pthread_mutex_t *lock)
{
    *t = (Timer){ .expires = TIMER_NEVER, .fn = fn, .opaque = opaque, .lock = lock, .clock = c, .heap_index = -1 };
}

void timer_mod(Timer *t, int64_t expires)
{
    Clock *c = t->clock;

    if (expires == TIMER_NEVER) {
        timer_del(t);
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (t->heap_index >= 0) {
        heap_remove(c, t);
    }
    __atomic_store_n(&t->expires, expires, __ATOMIC_RELAXED);
    t->seq = ++c->seq;
    heap_add(c, t);
    host_arm(c);
    pthread_mutex_unlock(&c->lock);
}

void timer_del(Timer *t)
{
    Clock *c = t->clock;

    if (!c) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (t->heap_index >= 0) {
        heap_remove(c, t);
    }
    __atomic_store_n(&t->expires, TIMER_NEVER, __ATOMIC_RELAXED);
    t->seq = ++c->seq;
    pthread_mutex_unlock(&c->lock);     /* the timerfd may ring once for nothing */
}

static void wait_firing(Clock *c, Timer *t)
{
    while (c->firing && (!t || c->firing == t) && !pthread_equal(c->firing_thread, pthread_self())) {
        pthread_cond_wait(&c->idle, &c->lock);
    }
}

void timer_fini(Timer *t)
{
    if (!t->clock) {
        return;
    }
    timer_del(t);
    pthread_mutex_lock(&t->clock->lock);
    wait_firing(t->clock, t);
    pthread_mutex_unlock(&t->clock->lock);
    t->clock = NULL;
}

/* ---- running ---- */

/* Fire the earliest timer if it is due at `now`; clock lock held, let go during the callback. */
static bool fire_one(Clock *c, int64_t now)
{
    Timer *t = c->n ? c->heap[0] : NULL;
    uint64_t seq;
    pthread_mutex_t *lock;

    if (!t || t->expires > now || c->firing) {
        return false;
    }
    heap_remove(c, t);
    seq = t->seq;
    lock = t->lock;
    c->firing = t;
    c->firing_thread = pthread_self();
    pthread_mutex_unlock(&c->lock);
    if (lock) {
        pthread_mutex_lock(lock);
    }
    pthread_mutex_lock(&c->lock);
    if (t->seq == seq) {                    /* nobody re-armed or disarmed it while we waited */
        __atomic_store_n(&t->expires, TIMER_NEVER, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&c->lock);
        t->fn(t->opaque);
    } else {
        pthread_mutex_unlock(&c->lock);
    }
    if (lock) {
        pthread_mutex_unlock(lock);
    }
    pthread_mutex_lock(&c->lock);
    c->firing = NULL;
    pthread_cond_broadcast(&c->idle);
    return true;
}

static void *clock_thread(void *opaque)
{
    Clock *c = opaque;

    pthread_setname_np(pthread_self(), c->name);
    pthread_mutex_lock(&c->lock);
    while (!c->quit) {
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        uint64_t rings;

        while (c->running && fire_one(c, now_locked(c))) {
        }
        host_arm(c);
        pthread_mutex_unlock(&c->lock);
        poll(&p, 1, -1);
        pthread_mutex_lock(&c->lock);
        if (read(c->fd, &rings, sizeof(rings)) > 0) {
            c->armed = TIMER_NEVER;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

Clock *clock_new(ClockMode mode, const char *name)
{
    Clock *c = g_new0(Clock, 1);

    c->mode = mode;
    c->name = g_strndup(name, 15);
    c->fd = -1;
    c->armed = TIMER_NEVER;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->idle, NULL);
    if (mode == CLOCK_HOST) {
        c->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        assert(c->fd >= 0);
        pthread_create(&c->thread, NULL, clock_thread, c);
    }
    return c;
}

void clock_free(Clock *c)
{
    if (!c) {
        return;
    }
    if (c->fd >= 0) {
        pthread_mutex_lock(&c->lock);
        c->quit = true;
        host_arm(c);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
        close(c->fd);
    }
    assert(c->n == 0);                      /* a timer outlives its clock */
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    g_free(c->heap);
    g_free(c->name);
    g_free(c);
}

ClockMode clock_mode(const Clock *c)
{
    return c->mode;
}

void clock_start(Clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->running) {
        c->at.valid = false;
        set_base(c, c->base, true);
        host_arm(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_stop(Clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->running) {
        set_base(c, now_locked(c), false);
        host_arm(c);
    }
    wait_firing(c, NULL);
    pthread_mutex_unlock(&c->lock);
}

bool clock_running(const Clock *c)
{
    return __atomic_load_n(&c->running, __ATOMIC_ACQUIRE);
}

void clock_set(Clock *c, int64_t now)
{
    pthread_mutex_lock(&c->lock);
    assert(!c->running || c->mode != CLOCK_HOST);
    set_base(c, now, c->running);
    if (c->mode == CLOCK_ICOUNT) {
        c->insns = (uint64_t)now >> c->shift;
    }
    pthread_mutex_unlock(&c->lock);
}

int64_t clock_deadline(Clock *c)
{
    int64_t d;

    pthread_mutex_lock(&c->lock);
    d = c->n ? c->heap[0]->expires : TIMER_NEVER;
    pthread_mutex_unlock(&c->lock);
    return d;
}

unsigned clock_run(Clock *c)
{
    unsigned n = 0;

    pthread_mutex_lock(&c->lock);
    while (fire_one(c, now_locked(c))) {
        n++;
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}

void clock_step(Clock *c, int64_t ns)
{
    int64_t end;

    pthread_mutex_lock(&c->lock);
    assert(c->mode != CLOCK_HOST || !c->running);
    end = c->base + ns;
    while (c->n && c->heap[0]->expires <= end) {
        set_base(c, MAX(c->base, c->heap[0]->expires), c->running);
        fire_one(c, c->base);
    }
    set_base(c, end, c->running);
    pthread_mutex_unlock(&c->lock);
}

/* ---- instruction-driven ---- */

void clock_icount_set_shift(Clock *c, unsigned shift)
{
    assert(shift <= 10);
    c->shift = shift;
}

unsigned clock_icount_shift(const Clock *c)
{
    return c->shift;
}

uint64_t clock_icount_budget(Clock *c, uint64_t most)
{
    uint64_t insns = most;

    pthread_mutex_lock(&c->lock);
    if (c->n) {
        int64_t left = c->heap[0]->expires - now_locked(c);

        insns = left <= 0 ? 0 : MIN(most, ((uint64_t)left + (1ull << c->shift) - 1) >> c->shift);
    }
    pthread_mutex_unlock(&c->lock);
    return insns;
}

void clock_icount_advance(Clock *c, uint64_t insns)
{
    pthread_mutex_lock(&c->lock);
    __atomic_store_n(&c->insns, c->insns + insns, __ATOMIC_RELAXED);
    __atomic_store_n(&c->progress, 0, __ATOMIC_RELAXED);
    set_base(c, c->base + (int64_t)(insns << c->shift), c->running);
    pthread_mutex_unlock(&c->lock);
}

void clock_icount_progress(Clock *c, uint64_t insns)
{
    __atomic_store_n(&c->progress, insns, __ATOMIC_RELAXED);
}

uint64_t clock_icount_total(const Clock *c)
{
    return __atomic_load_n(&c->insns, __ATOMIC_RELAXED);
}

/* ---- keeping pace with the host ---- */

enum { PACE_WINDOW = 50000000, PACE_INSNS = 100000, PACE_FAR = 2000000000 };

void clock_icount_set_pace(Clock *c, ClockPace pace)
{
    c->pace = pace;
    c->at.valid = false;
}

static void pace_window(Clock *c, int64_t host)
{
    c->at.window = host;
    c->at.insns = c->insns;
    c->at.idle_before = c->at.idle;
}

static void pace_begin(Clock *c, int64_t host)
{
    c->at.valid = true;
    c->at.guest = c->base;
    c->at.host = host;
    pace_window(c, host);
}

/* One step towards the shift whose window takes `want` nanoseconds, by ratio: the border between two is the square root of 2. */
static void pace_step(Clock *c, uint64_t insns, uint64_t want)
{
    unsigned shift = c->shift;

    if (shift < 10 && (insns << shift) * 141 / 100 < want) {
        shift++;
    } else if (shift > 0 && (insns << shift) * 100 / 141 > want) {
        shift--;
    }
    __atomic_store_n(&c->shift, shift, __ATOMIC_RELAXED);
}

static void pace_auto(Clock *c, int64_t host, int64_t ahead)
{
    int64_t busy = host - c->at.window - (c->at.idle - c->at.idle_before);
    uint64_t insns = c->insns - c->at.insns;

    if (host - c->at.window < PACE_WINDOW) {
        return;
    }
    if (insns >= PACE_INSNS && busy > 0) {
        /* the next window makes up for what this one is off, by half of itself at most */
        pace_step(c, insns, (uint64_t)(busy - MAX(-busy / 2, MIN(ahead, busy / 2))));
    }
    pace_window(c, host);
}

int64_t clock_icount_pace(Clock *c, int64_t host)
{
    int64_t ahead, sleep = 0;

    if (c->pace == PACE_NONE) {
        return 0;
    }
    pthread_mutex_lock(&c->lock);
    ahead = (c->base - c->at.guest) - (host - c->at.host);
    if (!c->at.valid || ahead > PACE_FAR || ahead < -(int64_t)PACE_FAR) {
        pace_begin(c, host);                            /* hopelessly behind is not caught up with */
    } else if (c->pace == PACE_AUTO) {
        pace_auto(c, host, ahead);
    } else {
        sleep = MAX(ahead, 0);
    }
    pthread_mutex_unlock(&c->lock);
    return sleep;
}

bool clock_icount_idle(Clock *c, bool sleep)
{
    int64_t wait = 0, before = 0;
    bool any;

    pthread_mutex_lock(&c->lock);
    any = c->n > 0;
    if (any) {
        wait = MAX(c->heap[0]->expires - c->base, 0);
    }
    pthread_mutex_unlock(&c->lock);
    if (any && sleep && wait) {
        struct timespec ts = { wait / NS_PER_S, wait % NS_PER_S };

        before = clock_host_now();
        nanosleep(&ts, NULL);
        c->at.idle += clock_host_now() - before;
    }
    if (any) {
        pthread_mutex_lock(&c->lock);
        set_base(c, c->base + wait, c->running);
        pthread_mutex_unlock(&c->lock);
    }
    return any;
}

/* ---- state ---- */

static void timer_save(StateWriter *w, const void *field)
{
    state_put_u64(w, (uint64_t)((const Timer *)field)->expires);
}

static bool timer_check(StateReader *r, Error **errp)
{
    uint64_t v;

    return state_get_u64(r, &v, errp);
}

static bool timer_load(StateReader *r, void *field, Error **errp)
{
    uint64_t v;

    if (!state_get_u64(r, &v, errp)) {
        return false;
    }
    timer_mod(field, (int64_t)v);
    return true;
}

static void timer_reset(void *field)
{
    timer_del(field);
}

const StateKind state_kind_timer = {
    .name = "timer", .save = timer_save, .check = timer_check, .load = timer_load, .reset = timer_reset, .size = sizeof(Timer),
};
