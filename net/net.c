/* SPDX-License-Identifier: MIT */
/* Ports, cables and inboxes. */
#include "net/net.h"
#include "net/net-priv.h"

#include <assert.h>
#include <string.h>

/* ---- what hangs off a session ---- */

static void state_destroy(void *object)
{
    NetState *st = object;

    while (st->ports->len) {
        net_port_free(g_ptr_array_index(st->ports, st->ports->len - 1));
    }
    g_ptr_array_free(st->ports, TRUE);
    g_ptr_array_free(st->hubs, TRUE);
    g_free(st);
}

static const SessionKind state_kind = { .name = "network state", .space = "#net", .destroy = state_destroy };
static const SessionKind port_kind = { .name = "netdev", .space = "netdev", .duplicate = "Duplicate ID '%s' for netdev" };

NetState *net_state(Session *s)
{
    NetState *st = session_get(s, &state_kind, "#net");

    if (!st) {
        st = g_new0(NetState, 1);
        st->hubs = g_ptr_array_new_with_free_func(g_free);
        st->ports = g_ptr_array_new();
        session_add(s, &state_kind, "#net", st, NULL);
    }
    return st;
}

/* ---- inbox ---- */

static void pump(void *opaque);

static void wake(NetPort *p)
{
    if (!p->posted && p->loop) {
        p->posted = true;
        loop_post_node(p->loop, &p->post);
    }
}

static bool inbox_put(NetPort *p, const struct iovec *iov, unsigned n, size_t len, bool may_wait)
{
    NetFrame *f;
    size_t at = 0;

    if (p->frames >= NET_INBOX_FRAMES || p->bytes + len > NET_INBOX_BYTES) {
        p->starved |= may_wait;
        return false;
    }
    f = g_malloc(sizeof(*f) + len);
    f->next = NULL;
    f->len = len;
    for (unsigned i = 0; i < n; i++) {
        memcpy(f->data + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    *p->tail = f;
    p->tail = &f->next;
    p->frames++;
    p->bytes += len;
    return true;
}

static NetFrame *inbox_take(NetPort *p)
{
    NetFrame *f;

    pthread_mutex_lock(&p->lock);
    f = p->head;
    if (f) {
        p->head = f->next;
        p->tail = p->head ? p->tail : &p->head;
        p->frames--;
        p->bytes -= f->len;
    }
    pthread_mutex_unlock(&p->lock);
    return f;
}

static void inbox_return(NetPort *p, NetFrame *f)
{
    pthread_mutex_lock(&p->lock);
    f->next = p->head;
    p->tail = p->head ? p->tail : &f->next;
    p->head = f;
    p->frames++;
    p->bytes += f->len;
    pthread_mutex_unlock(&p->lock);
}

static void inbox_clear(NetPort *p)
{
    NetFrame *f;

    while ((f = inbox_take(p))) {
        g_free(f);
    }
}

/* Main loop: hand on what is there. */
static void pump(void *opaque)
{
    NetPort *p = opaque;
    NetPort *peer;
    NetFrame *f;
    bool starved;

    pthread_mutex_lock(&p->lock);
    p->posted = false;
    p->blocked = false;
    pthread_mutex_unlock(&p->lock);
    if (p->dead) {
        pthread_mutex_destroy(&p->lock);
        g_free(p);
        return;
    }
    while ((f = inbox_take(p))) {
        if (net_link_up(p) && !p->ops->receive(p, f->data, f->len)) {
            pthread_mutex_lock(&p->lock);
            p->blocked = true;
            pthread_mutex_unlock(&p->lock);
            inbox_return(p, f);
            return;
        }
        g_free(f);
    }
    pthread_mutex_lock(&p->lock);
    starved = p->starved;
    p->starved = false;
    peer = p->peer;
    pthread_mutex_unlock(&p->lock);
    if (starved && peer && peer->ops->resume) {
        peer->ops->resume(peer);
    }
}

bool net_send(NetPort *from, const struct iovec *iov, unsigned n)
{
    NetPort *p = __atomic_load_n(&from->peer, __ATOMIC_ACQUIRE);
    size_t len = 0;
    bool ok = true;

    for (unsigned i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    if (!p || !net_link_up(from) || len > NET_FRAME_MAX) {
        return true;                                    /* nobody there */
    }
    pthread_mutex_lock(&p->lock);
    ok = inbox_put(p, iov, n, len, true);
    if (ok && !p->blocked) {
        wake(p);
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void net_deliver(NetPort *from, const uint8_t *frame, size_t len)
{
    NetPort *p = from->peer;
    struct iovec iov = { (void *)frame, len };
    bool direct;

    if (!p || !net_link_up(from) || len > NET_FRAME_MAX) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    direct = !p->head && !p->blocked;
    if (!direct) {
        inbox_put(p, &iov, 1, len, false);              /* full: lost, as on a wire */
    }
    pthread_mutex_unlock(&p->lock);
    if (direct && !p->ops->receive(p, frame, len)) {
        pthread_mutex_lock(&p->lock);
        p->blocked = true;
        inbox_put(p, &iov, 1, len, false);
        pthread_mutex_unlock(&p->lock);
    }
}

void net_ready(NetPort *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->blocked || p->head) {
        wake(p);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- ports ---- */

NetPort *net_port_new(Session *s, const NetOps *ops, void *opaque, const char *id, Error **errp)
{
    NetPort *p = g_new0(NetPort, 1);

    *p = (NetPort){ .ops = ops, .opaque = opaque, .id = g_strdup(id), .session = s, .loop = loop_current(),
                    .post = { .fn = pump, .opaque = p } };
    p->tail = &p->head;
    pthread_mutex_init(&p->lock, NULL);
    if (s && strcmp(ops->type, "nic")) {                /* a card's name is its device's */
        if (!session_add(s, &port_kind, id, p, errp)) {
            g_free(p->id);
            g_free(p);
            return NULL;
        }
        p->named = true;
    }
    if (s) {
        p->state = net_state(s);
        g_ptr_array_add(p->state->ports, p);
    }
    return p;
}

void net_port_free(NetPort *p)
{
    bool posted;

    net_part(p);
    if (p->named && session_get(p->session, &port_kind, p->id) == p) {     /* not when the session ends */
        session_remove(p->session, &port_kind, p->id);
    }
    if (p->state) {
        g_ptr_array_remove(p->state->ports, p);
    }
    if (p->ops->destroy) {
        p->ops->destroy(p);
    }
    inbox_clear(p);
    g_clear_pointer(&p->id, g_free);
    pthread_mutex_lock(&p->lock);
    posted = p->posted;
    p->dead = true;
    pthread_mutex_unlock(&p->lock);
    if (!posted) {
        pthread_mutex_destroy(&p->lock);
        g_free(p);
    }
}

void *net_port_opaque(const NetPort *p)
{
    return p->opaque;
}

const char *net_port_id(const NetPort *p)
{
    return p->id;
}

const NetOps *net_port_ops(const NetPort *p)
{
    return p->ops;
}

NetPort *net_port_find(Session *s, const char *id)
{
    return session_get(s, &port_kind, id);
}

NetPort *net_port_peer(const NetPort *p)
{
    return p->peer;
}

void net_join(NetPort *a, NetPort *b)
{
    assert(!a->peer && !b->peer);
    __atomic_store_n(&a->peer, b, __ATOMIC_RELEASE);
    __atomic_store_n(&b->peer, a, __ATOMIC_RELEASE);
}

void net_part(NetPort *p)
{
    NetPort *peer = p->peer;

    if (peer) {
        __atomic_store_n(&p->peer, NULL, __ATOMIC_RELEASE);
        __atomic_store_n(&peer->peer, NULL, __ATOMIC_RELEASE);
        inbox_clear(p);
        inbox_clear(peer);
        if (peer->ops->link) {
            peer->ops->link(peer, false);
        }
    }
}

void net_ports_foreach(Session *s, void (*fn)(NetPort *p, void *data), void *data)
{
    NetState *st = net_state(s);

    for (unsigned i = 0; i < st->ports->len; i++) {
        fn(g_ptr_array_index(st->ports, i), data);
    }
}

/* ---- link ---- */

bool net_link_up(const NetPort *p)
{
    const NetPort *peer = __atomic_load_n(&p->peer, __ATOMIC_ACQUIRE);

    return peer && !__atomic_load_n(&p->pulled, __ATOMIC_RELAXED) && !__atomic_load_n(&peer->pulled, __ATOMIC_RELAXED);
}

void net_set_link(NetPort *p, bool up)
{
    __atomic_store_n(&p->pulled, !up, __ATOMIC_RELAXED);
    if (p->ops->link) {
        p->ops->link(p, net_link_up(p));
    }
    if (p->peer && p->peer->ops->link) {
        p->peer->ops->link(p->peer, net_link_up(p));
    }
}

/* ---- addresses ---- */

bool net_mac_parse(const char *text, uint8_t mac[6])
{
    for (unsigned i = 0; i < 6; i++) {
        int hi = g_ascii_xdigit_value(text[0]), lo;

        if (hi < 0) {
            return false;
        }
        text++;
        lo = g_ascii_xdigit_value(*text);
        if (lo >= 0) {
            text++;
            hi = hi << 4 | lo;
        }
        mac[i] = (uint8_t)hi;
        if (i < 5 ? *text != ':' && *text != '-' : *text != 0) {
            return false;
        }
        text++;
    }
    return true;
}

void net_mac_next(Session *s, uint8_t mac[6])
{
    uint32_t low = 0x123456 + (s ? net_state(s)->macs++ : 0);

    mac[0] = 0x52;
    mac[1] = 0x54;
    mac[2] = 0x00;
    mac[3] = (uint8_t)(low >> 16);
    mac[4] = (uint8_t)(low >> 8);
    mac[5] = (uint8_t)low;
}
