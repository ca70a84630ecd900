/* SPDX-License-Identifier: MIT */
/* Groups: who waits, whose turn it is, and when. */
#include "block/throttle.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct ThrottleMember {
    ThrottleGroup *group;
    unsigned drained;                       /* this and the rest: under the group's lock */
    struct {
        ThrottleWait *first, **last;
        ThrottleMember *next;               /* in the group's circle of those that wait */
    } side[2];
};

/* Requests that have their turn ahead of time, one after the other. */
typedef struct GuestLine {
    ThrottleState state;
    int64_t seen;                           /* the last `now`: time that went back begins anew */
    int64_t begin;                          /* of the last one */
} GuestLine;

struct ThrottleGroup {
    Session *session;
    char *name;
    unsigned refs, members;
    Loop *loop;                             /* has the timer */
    int64_t (*now)(void *opaque);
    void *opaque;
    LoopTimer timer;
    LoopPost post;
    IoLock lock;
    bool posted;
    int64_t deadline;                       /* INT64_MAX: nobody waits */
    ThrottleState state;
    struct { ThrottleMember *first, **last; } side[2];      /* 0: reads, 1: writes */
    unsigned turn;                          /* which side goes first */
    GuestLine line[2];                      /* of throttle_reserve() */
};

/* ---- whose turn ---- */

static void queue_member(ThrottleGroup *g, ThrottleMember *m, unsigned side)
{
    m->side[side].next = NULL;
    *g->side[side].last = m;
    g->side[side].last = &m->side[side].next;
}

static ThrottleMember *unqueue_first(ThrottleGroup *g, unsigned side)
{
    ThrottleMember *m = g->side[side].first;

    g->side[side].first = m->side[side].next;
    if (!g->side[side].first) {
        g->side[side].last = &g->side[side].first;
    }
    return m;
}

static void unqueue(ThrottleGroup *g, ThrottleMember *m, unsigned side)
{
    ThrottleMember **at = &g->side[side].first;

    while (*at && *at != m) {
        at = &(*at)->side[side].next;
    }
    if (*at) {
        *at = m->side[side].next;
        if (!*at) {
            g->side[side].last = at;
        }
    }
}

static ThrottleWait *take_waiter(ThrottleMember *m, unsigned side)
{
    ThrottleWait *w = m->side[side].first;

    m->side[side].first = w->next;
    if (!m->side[side].first) {
        m->side[side].last = &m->side[side].first;
    }
    return w;
}

/* The record is its owner's again. */
static void let_go(ThrottleGroup *g, ThrottleWait *w, unsigned side, int result)
{
    if (result == 0) {
        throttle_account(&g->state, side, w->bytes);
    }
    w->result = result;
    loop_post_node(w->loop, &w->post);
}

static void release_one(ThrottleGroup *g, unsigned side)
{
    ThrottleMember *m = unqueue_first(g, side);
    ThrottleWait *w = take_waiter(m, side);

    if (m->side[side].first) {
        queue_member(g, m, side);
    }
    let_go(g, w, side, w->cancelled && __atomic_load_n(w->cancelled, __ATOMIC_RELAXED) ? -ECANCELED : 0);
}

/* ---- time ---- */

static int64_t now_of(const ThrottleGroup *g)
{
    return g->now ? g->now(g->opaque) : loop_now();
}

static void arm(ThrottleGroup *g)
{
    if (g->deadline == INT64_MAX) {
        loop_timer_cancel(&g->timer);
    } else {
        loop_timer_at(&g->timer, g->deadline);
    }
}

static void arm_posted(void *opaque)
{
    ThrottleGroup *g = opaque;

    io_lock(&g->lock);
    g->posted = false;
    arm(g);
    io_unlock(&g->lock);
}

/* The timer belongs to one loop, waiters to any. */
static void set_deadline(ThrottleGroup *g, int64_t deadline)
{
    if (g->deadline == deadline) {
        return;
    }
    g->deadline = deadline;
    if (g->now) {
        return;
    }
    if (loop_current() == g->loop) {
        arm(g);
    } else if (!g->posted) {
        g->posted = true;
        g->post = (LoopPost){ NULL, arm_posted, g };
        loop_post_node(g->loop, &g->post);
    }
}

/* Let go whoever may; the rest is looked at again when the next one may. */
static void dispatch(ThrottleGroup *g)
{
    int64_t now = now_of(g), wait[2];

    throttle_leak(&g->state, now);
    for (;;) {
        unsigned side = g->turn;

        for (unsigned i = 0; i < 2; i++) {
            wait[i] = g->side[i].first ? throttle_wait(&g->state, i) : INT64_MAX;
        }
        side = wait[side] ? !side : side;
        if (wait[side]) {
            break;
        }
        release_one(g, side);
        g->turn = !side;
    }
    wait[0] = MIN(wait[0], wait[1]);
    set_deadline(g, wait[0] == INT64_MAX ? INT64_MAX : now + wait[0]);
}

static void timer_fired(void *opaque)
{
    throttle_group_run(opaque);
}

void throttle_group_run(ThrottleGroup *g)
{
    io_lock(&g->lock);
    g->deadline = INT64_MAX;
    dispatch(g);
    io_unlock(&g->lock);
}

int64_t throttle_group_next(ThrottleGroup *g)
{
    int64_t at;

    io_lock(&g->lock);
    at = g->deadline;
    io_unlock(&g->lock);
    return at;
}

void throttle_group_clock(ThrottleGroup *g, int64_t (*now)(void *opaque), void *opaque)
{
    loop_timer_cancel(&g->timer);
    g->now = now;
    g->opaque = opaque;
    g->state.last = now_of(g);
}

/* ---- members ---- */

ThrottleMember *throttle_join(ThrottleGroup *g)
{
    ThrottleMember *m = g_new0(ThrottleMember, 1);

    m->group = throttle_group_ref(g);
    g->members++;
    m->side[0].last = &m->side[0].first;
    m->side[1].last = &m->side[1].first;
    return m;
}

void throttle_leave(ThrottleMember *m)
{
    if (m) {
        assert(!m->side[0].first && !m->side[1].first);
        m->group->members--;
        throttle_group_unref(m->group);
        g_free(m);
    }
}

ThrottleGroup *throttle_group_of(const ThrottleMember *m)
{
    return m->group;
}

unsigned throttle_group_members(const ThrottleGroup *g)
{
    return g->members;
}

/* Nobody is overtaken by a newcomer. */
static bool may_pass(ThrottleGroup *g, const ThrottleMember *m, bool write)
{
    if (m->drained) {
        return true;
    }
    if (g->side[0].first || g->side[1].first) {
        return false;
    }
    throttle_leak(&g->state, now_of(g));
    return throttle_wait(&g->state, write) == 0;
}

bool throttle_enter(ThrottleMember *m, bool write, ThrottleWait *w)
{
    ThrottleGroup *g = m->group;
    bool now;

    w->next = NULL;
    io_lock(&g->lock);
    now = may_pass(g, m, write);
    if (now) {
        throttle_account(&g->state, write, w->bytes);
    } else {
        if (!m->side[write].first) {
            queue_member(g, m, write);
        }
        *m->side[write].last = w;
        m->side[write].last = &w->next;
        dispatch(g);
    }
    io_unlock(&g->lock);
    return now;
}

static void resume(void *fiber)
{
    fiber_resume(fiber);
}

int throttle_io(ThrottleMember *m, bool write, uint64_t bytes, const int *cancelled)
{
    ThrottleWait w = { .loop = loop_current(), .post = { NULL, resume, fiber_self() }, .bytes = bytes, .cancelled = cancelled };

    if (throttle_enter(m, write, &w)) {
        return 0;
    }
    fiber_yield();
    return w.result;
}

/* ---- turns in another time ---- */

static void line_reset(GuestLine *l, const ThrottleConfig *c, int64_t now)
{
    *l = (GuestLine){ .state = { .config = *c, .last = now }, .seen = now, .begin = now };
}

/* A limit of the sum puts reads and writes into one line. */
static GuestLine *line_of(ThrottleGroup *g, bool write)
{
    const ThrottleLimit *l = g->state.config.limit;

    return &g->line[write && !l[THROTTLE_BPS_TOTAL].avg && !l[THROTTLE_IOPS_TOTAL].avg];
}

int64_t throttle_reserve(ThrottleMember *m, bool write, uint64_t bytes, int64_t now)
{
    ThrottleGroup *g = m->group;
    GuestLine *l;
    int64_t wait;

    io_lock(&g->lock);
    l = line_of(g, write);
    if (now < l->seen || memcmp(&l->state.config, &g->state.config, sizeof(l->state.config))) {
        line_reset(l, &g->state.config, now);
    }
    l->seen = now;
    l->begin = MAX(l->begin, now);
    throttle_leak(&l->state, l->begin);
    l->begin += throttle_wait(&l->state, write);
    throttle_leak(&l->state, l->begin);
    throttle_account(&l->state, write, bytes);
    wait = m->drained ? 0 : l->begin - now;
    io_unlock(&g->lock);
    return wait;
}

/* ---- drains ---- */

void throttle_drain(ThrottleMember *m, bool on)
{
    ThrottleGroup *g = m->group;

    io_lock(&g->lock);
    m->drained += on ? 1 : -1u;
    for (unsigned side = 0; on && side < 2; side++) {
        if (m->side[side].first) {
            unqueue(g, m, side);
        }
        while (m->side[side].first) {
            let_go(g, take_waiter(m, side), side, 0);
        }
    }
    dispatch(g);
    io_unlock(&g->lock);
}

unsigned throttle_drained_times(ThrottleMember *m)
{
    unsigned times;

    io_lock(&m->group->lock);
    times = m->drained;
    io_unlock(&m->group->lock);
    return times;
}

void throttle_check_cancelled(ThrottleMember *m)
{
    ThrottleGroup *g = m->group;

    io_lock(&g->lock);
    for (unsigned side = 0; side < 2; side++) {
        ThrottleWait **at = &m->side[side].first;
        bool had = *at;

        while (*at) {
            ThrottleWait *w = *at;

            if (w->cancelled && __atomic_load_n(w->cancelled, __ATOMIC_RELAXED)) {
                *at = w->next;
                let_go(g, w, side, -ECANCELED);
            } else {
                at = &w->next;
            }
        }
        m->side[side].last = at;
        if (had && !m->side[side].first) {
            unqueue(g, m, side);
        }
    }
    dispatch(g);
    io_unlock(&g->lock);
}

/* ---- life ---- */

static const SessionKind group_kind = { .name = "throttle group", .space = "throttle-group" };

ThrottleGroup *throttle_group_find(Session *s, const char *name)
{
    return session_get(s, &group_kind, name);
}

ThrottleGroup *throttle_group_get(Session *s, const char *name)
{
    ThrottleGroup *g = throttle_group_find(s, name);

    if (g) {
        return throttle_group_ref(g);
    }
    g = g_new0(ThrottleGroup, 1);
    g->session = s;
    g->name = g_strdup(name);
    g->refs = 1;
    g->loop = loop_current();
    g->deadline = INT64_MAX;
    g->side[0].last = &g->side[0].first;
    g->side[1].last = &g->side[1].first;
    io_lock_init(&g->lock);
    loop_timer_init(&g->timer, g->loop, timer_fired, g);
    throttle_config_init(&g->state.config);
    g->state.last = loop_now();
    session_add(s, &group_kind, name, g, NULL);
    return g;
}

ThrottleGroup *throttle_group_ref(ThrottleGroup *g)
{
    g->refs++;
    return g;
}

static void group_free(void *opaque)
{
    ThrottleGroup *g = opaque;

    loop_timer_cancel(&g->timer);
    io_lock_destroy(&g->lock);
    g_free(g->name);
    g_free(g);
}

void throttle_group_unref(ThrottleGroup *g)
{
    bool posted;

    if (--g->refs) {
        return;
    }
    session_remove(g->session, &group_kind, g->name);
    io_lock(&g->lock);
    posted = g->posted;
    io_unlock(&g->lock);
    if (posted) {
        loop_post(g->loop, group_free, g);  /* behind the one that is under way */
    } else {
        group_free(g);
    }
}

const char *throttle_group_name(const ThrottleGroup *g)
{
    return g->name;
}

void throttle_group_config(ThrottleGroup *g, ThrottleConfig *out)
{
    io_lock(&g->lock);
    *out = g->state.config;
    io_unlock(&g->lock);
}

void throttle_group_set(ThrottleGroup *g, const ThrottleConfig *c)
{
    io_lock(&g->lock);
    if (memcmp(&g->state.config, c, sizeof(*c))) {
        g->state = (ThrottleState){ .config = *c, .last = now_of(g) };
        dispatch(g);
    }
    io_unlock(&g->lock);
}
