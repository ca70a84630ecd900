/* SPDX-License-Identifier: MIT */
/* Handles: life, medium, permissions, facts. */
#include "block/block-priv.h"

#include <assert.h>

static void destroy_blk(void *object)
{
    Blk *b = object;

    blk_eject(b);
    throttle_leave(b->throttle);
    stats_fini(&b->stats);
    fiber_queue_destroy(&b->wait);
    io_lock_destroy(&b->lock);
    g_free(b->device);
    g_free(b->name);
    g_free(b);
}

const SessionKind blk_kind = { .name = "drive", .space = "block", .duplicate = "Duplicate ID '%s' for drive", .destroy = destroy_blk };

Blk *blk_new(Session *s, const char *name, unsigned perm, unsigned shared, Error **errp)
{
    g_autofree char *id = name && *name ? g_strdup(name) : session_make_id(s, "blk");
    Blk *b = g_new0(Blk, 1);

    b->session = s;
    b->name = g_strdup(id);
    b->perm = perm;
    b->shared = shared;
    b->loop = loop_current();
    b->held_last = &b->held;
    b->counted = name && *name;
    stats_init(&b->stats);
    io_lock_init(&b->lock);
    fiber_queue_init(&b->wait);
    if (!session_add(s, &blk_kind, id, b, errp)) {
        destroy_blk(b);
        return NULL;
    }
    return b;
}

typedef struct { void (*fn)(Blk *b, void *data); void *data; } EachBlk;

static void each_blk(const char *id, void *object, void *opaque)
{
    EachBlk *e = opaque;

    e->fn(object, e->data);
}

void blks_foreach(Session *s, void (*fn)(Blk *b, void *data), void *data)
{
    session_foreach(s, &blk_kind, each_blk, &(EachBlk){ fn, data });
}

Blk *blk_find(Session *s, const char *name)
{
    return session_get(s, &blk_kind, name);
}

Blk *blk_open(Session *s, const char *filename, Json *options, unsigned flags, unsigned perm, unsigned shared, Error **errp)
{
    BlkNode *n = blk_node_open(s, filename, options, flags, errp);
    Blk *b;

    if (!n) {
        return NULL;
    }
    b = blk_new(s, NULL, perm, shared, errp);
    if (b && !blk_insert(b, n, errp)) {
        blk_free(b);
        b = NULL;
    }
    blk_node_unref(n);
    if (b) {
        b->writethrough = flags & BLK_O_WRITETHROUGH;
    }
    return b;
}

void blk_free(Blk *b)
{
    if (b) {
        blk_drain_begin(b);
        blk_drain_end(b);
        session_destroy(b->session, &blk_kind, b->name);
    }
}

const char *blk_name(const Blk *b)
{
    return b->name[0] == '#' ? "" : b->name;
}

Session *blk_session(const Blk *b)
{
    return b->session;
}

/* ---- medium ---- */

static void tell_medium(Blk *b, bool inserted)
{
    if (b->events && b->events->medium) {
        b->events->medium(b->opaque, inserted);
    }
}

bool blk_insert(Blk *b, BlkNode *n, Error **errp)
{
    BlkChild *c;

    assert(!b->root);
    c = g_new0(BlkChild, 1);
    c->blk = b;
    c->name = "root";
    c->role = BLK_CHILD_ROOT;
    blk_edge_link(c, n);
    if (!blk_edge_set_perm(c, b->perm, b->shared, errp)) {
        blk_edge_unlink(c);
        g_free(c);
        return false;
    }
    b->root = c;
    tell_medium(b, true);
    return true;
}

void blk_eject(Blk *b)
{
    BlkChild *c = b->root;

    if (!c) {
        return;
    }
    blk_drain_begin(b);
    b->root = NULL;
    blk_edge_unlink(c);
    g_free(c);
    blk_drain_end(b);
    tell_medium(b, false);
}

BlkNode *blk_node(const Blk *b)
{
    return b->root ? b->root->node : NULL;
}

bool blk_set_perm(Blk *b, unsigned perm, unsigned shared, Error **errp)
{
    if (b->root && !blk_edge_set_perm(b->root, perm, shared, errp)) {
        return false;
    }
    b->perm = perm;
    b->shared = shared;
    return true;
}

void blk_get_perm(const Blk *b, unsigned *perm, unsigned *shared)
{
    *perm = b->perm;
    *shared = b->shared;
}

void blk_set_loop(Blk *b, Loop *loop)
{
    assert(!blk_in_flight(b));
    b->loop = loop;
}

Loop *blk_loop(const Blk *b)
{
    return b->loop;
}

void blk_set_writethrough(Blk *b, bool on)
{
    __atomic_store_n(&b->writethrough, on, __ATOMIC_RELAXED);
}

bool blk_writethrough(const Blk *b)
{
    return __atomic_load_n(&b->writethrough, __ATOMIC_RELAXED);
}

void blk_set_events(Blk *b, const BlkEvents *events, void *opaque)
{
    b->events = events;
    b->opaque = opaque;
}

void blk_set_device(Blk *b, const char *path)
{
    g_free(b->device);
    b->device = g_strdup(path);
    b->counted = b->counted || path;
}

const char *blk_device(const Blk *b)
{
    return b->device;
}

/* ---- facts ---- */

BlkStats *blk_stats(Blk *b)
{
    return &b->stats;
}

bool blk_present(const Blk *b)
{
    return b->root != NULL;
}

bool blk_read_only(const Blk *b)
{
    return !b->root || b->root->node->read_only;
}

uint64_t blk_size(const Blk *b)
{
    return b->root ? node_size(b->root->node) : 0;
}

void blk_limits(const Blk *b, BlkLimits *out)
{
    const BlkNode *n = blk_node(b);

    *out = (BlkLimits){ .align = 1, .discard_align = 512, .max_transfer = 1u << 30 };
    if (n) {
        out->align = MAX(n->align, n->mem_align);
        out->cluster = n->cluster;
        out->discard_align = MAX(n->cluster, 512);
    }
}
