/* SPDX-License-Identifier: MIT */
/* libslirp on our event loop: its descriptors, timers and clock. */
#include "net/user-priv.h"

#include <string.h>

#include "util/log.h"

/* ---- descriptors ---- */

static unsigned loop_events(int slirp)
{
    return (slirp & SLIRP_POLL_IN ? LOOP_READ : 0) | (slirp & SLIRP_POLL_OUT ? LOOP_WRITE : 0);
}

static int get_revents(int i, void *opaque)
{
    NetUser *u = opaque;

    return i >= 0 && (unsigned)i < u->polls->len ? g_array_index(u->polls, UserPoll, i).revents : 0;
}

/* All that became ready in one pass of the loop, and timeouts. */
static void poll_now(void *opaque)
{
    NetUser *u = opaque;

    u->posted = false;
    if (u->dead) {
        g_free(u);
        return;
    }
    u->inside = true;
    slirp_pollfds_poll(u->slirp, 0, get_revents, u);
    u->inside = false;
    user_refill(u);
}

static void poll_soon(NetUser *u)
{
    if (!u->posted) {
        u->posted = true;
        loop_post_node(u->loop, &u->post);
    }
}

typedef struct Ready { NetUser *u; int fd; } Ready;

static void fd_ready(void *opaque, unsigned events)
{
    Ready *r = opaque;
    NetUser *u = r->u;

    for (unsigned i = 0; i < u->polls->len; i++) {
        UserPoll *p = &g_array_index(u->polls, UserPoll, i);

        if (p->fd == r->fd) {
            p->revents = (events & LOOP_READ ? SLIRP_POLL_IN : 0) | (events & LOOP_WRITE ? SLIRP_POLL_OUT : 0) |
                         (events & LOOP_HUP ? SLIRP_POLL_HUP | (p->events & (SLIRP_POLL_IN | SLIRP_POLL_OUT)) : 0);
            loop_fd_events(p->watch, 0);                /* until the next fill */
        }
    }
    poll_soon(u);
}

static void timed_out(void *opaque)
{
    poll_soon(opaque);
}

static int add_poll(int fd, int events, void *opaque)
{
    GArray *fresh = opaque;
    UserPoll p = { .fd = fd, .events = events };

    g_array_append_val(fresh, p);
    return (int)fresh->len - 1;
}

/* The watch of a descriptor that was there before goes on. */
static void adopt(NetUser *u, UserPoll *p)
{
    for (unsigned i = 0; i < u->polls->len; i++) {
        UserPoll *old = &g_array_index(u->polls, UserPoll, i);

        if (old->fd == p->fd && old->watch) {
            p->watch = old->watch;
            p->ready = old->ready;
            old->watch = NULL;
            loop_fd_events(p->watch, loop_events(p->events));
            return;
        }
    }
}

static void watch(NetUser *u, UserPoll *p)
{
    if (!p->watch) {
        Ready *r = g_new(Ready, 1);

        *r = (Ready){ u, p->fd };
        p->watch = loop_fd_add(u->loop, p->fd, loop_events(p->events), fd_ready, r);
        p->ready = r;
    }
}

static void unwatch(UserPoll *p)
{
    if (p->watch) {
        loop_fd_remove(p->watch);
        p->watch = NULL;
        g_clear_pointer(&p->ready, g_free);
    }
}

void user_polls_clear(NetUser *u)
{
    for (unsigned i = 0; i < u->polls->len; i++) {
        unwatch(&g_array_index(u->polls, UserPoll, i));
    }
    g_array_set_size(u->polls, 0);
}

void user_refill(NetUser *u)
{
    GArray *fresh = g_array_new(FALSE, FALSE, sizeof(UserPoll)), *old = u->polls;
    uint32_t timeout = UINT32_MAX;

    slirp_pollfds_fill(u->slirp, &timeout, add_poll, fresh);
    for (unsigned i = 0; i < fresh->len; i++) {
        adopt(u, &g_array_index(fresh, UserPoll, i));
    }
    user_polls_clear(u);
    u->polls = fresh;
    g_array_free(old, TRUE);
    for (unsigned i = 0; i < fresh->len; i++) {
        watch(u, &g_array_index(fresh, UserPoll, i));
    }
    if (timeout == UINT32_MAX) {
        loop_timer_cancel(&u->timeout);
    } else {
        loop_timer_at(&u->timeout, loop_now() + (int64_t)MAX(timeout, 1) * 1000000);
    }
}

/* ---- what slirp asks for ---- */

typedef struct UserTimer {
    LoopTimer timer;
    NetUser *u;
    SlirpTimerId id;
    void *cb_opaque;
} UserTimer;

static ssize_t cb_send(const void *buf, size_t len, void *opaque)
{
    NetUser *u = opaque;

    net_deliver(u->port, buf, len);
    return (ssize_t)len;
}

static void cb_guest_error(const char *msg, void *opaque)
{
    (void)opaque;
    log_guest("user network: %s", msg);
}

static int64_t cb_clock(void *opaque)
{
    (void)opaque;
    return loop_now();
}

static void timer_fired(void *opaque)
{
    UserTimer *t = opaque;

    slirp_handle_timer(t->u->slirp, t->id, t->cb_opaque);
    user_refill(t->u);
}

static void *cb_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    NetUser *u = opaque;
    UserTimer *t = g_new0(UserTimer, 1);

    *t = (UserTimer){ .u = u, .id = id, .cb_opaque = cb_opaque };
    loop_timer_init(&t->timer, u->loop, timer_fired, t);
    return t;
}

static void cb_timer_free(void *timer, void *opaque)
{
    UserTimer *t = timer;

    (void)opaque;
    loop_timer_cancel(&t->timer);
    g_free(t);
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    (void)opaque;
    loop_timer_at(&((UserTimer *)timer)->timer, expire_ms * 1000000);
}

static void cb_register(int fd, void *opaque)
{
    (void)fd, (void)opaque;                             /* descriptors come with each fill */
}

/* The descriptor is about to be closed. */
static void cb_unregister(int fd, void *opaque)
{
    NetUser *u = opaque;

    for (unsigned i = 0; i < u->polls->len; i++) {
        UserPoll *p = &g_array_index(u->polls, UserPoll, i);

        if (p->fd == fd) {
            unwatch(p);
            p->fd = -1;
            p->revents = 0;
        }
    }
}

static void cb_notify(void *opaque)
{
    NetUser *u = opaque;

    if (!u->inside) {
        poll_soon(u);
    }
}

void user_loop_init(NetUser *u)
{
    u->polls = g_array_new(FALSE, FALSE, sizeof(UserPoll));
    u->post = (LoopPost){ .fn = poll_now, .opaque = u };
    loop_timer_init(&u->timeout, u->loop, timed_out, u);
}

const SlirpCb user_callbacks = {
    .send_packet = cb_send, .guest_error = cb_guest_error, .clock_get_ns = cb_clock, .timer_new_opaque = cb_timer_new,
    .timer_free = cb_timer_free, .timer_mod = cb_timer_mod, .register_poll_fd = cb_register, .unregister_poll_fd = cb_unregister,
    .notify = cb_notify,
};
