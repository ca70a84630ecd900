/* SPDX-License-Identifier: MIT */
#include "block/graph.h"

#include <assert.h>
#include <string.h>

#include "block/block-priv.h"
#include "block/image.h"

/* ---- drain ---- */

typedef struct { Blk *blk; char *name; } Drained;

struct BlkDrain {
    Session *session;
    GArray *list;               /* Drained */
};

static void note(Blk *b, void *data)
{
    Drained one = { b, g_strdup(b->name) };

    g_array_append_val((GArray *)data, one);
}

static bool alive(BlkDrain *d, unsigned i)
{
    Drained *one = &g_array_index(d->list, Drained, i);

    return session_get(d->session, &blk_kind, one->name) == one->blk;
}

/* All are told before any is waited for, so that none is kept busy by another. */
BlkDrain *blk_drain_session(Session *s)
{
    BlkDrain *d = g_new0(BlkDrain, 1);

    d->session = s;
    d->list = g_array_new(false, false, sizeof(Drained));
    blks_foreach(s, note, d->list);
    for (unsigned i = 0; i < d->list->len; i++) {
        blk_quiesce(g_array_index(d->list, Drained, i).blk);
    }
    for (unsigned i = 0; i < d->list->len; i++) {
        if (alive(d, i)) {
            blk_wait_idle(g_array_index(d->list, Drained, i).blk);
        }
    }
    return d;
}

void blk_undrain(BlkDrain *d)
{
    for (unsigned i = 0; i < d->list->len; i++) {
        if (alive(d, i)) {
            blk_drain_end(g_array_index(d->list, Drained, i).blk);
        }
        g_free(g_array_index(d->list, Drained, i).name);
    }
    g_array_free(d->list, true);
    g_free(d);
}

/* ---- steps, each with its way back ---- */

typedef enum { STEP_MOVE, STEP_ATTACH, STEP_DETACH } StepKind;

typedef struct {
    StepKind kind;
    BlkChild *edge;
    BlkNode *parent;
    BlkNode *before, *after;            /* references */
} Step;

struct BlkGraph {
    Session *session;
    BlkDrain *drain;
    GArray *steps;
    GPtrArray *retired;                 /* edges that are gone, freed at the end */
};

BlkGraph *blk_graph_begin(Session *s)
{
    BlkGraph *g = g_new0(BlkGraph, 1);

    g->session = s;
    g->steps = g_array_new(false, false, sizeof(Step));
    g->retired = g_ptr_array_new_with_free_func(g_free);
    g->drain = blk_drain_session(s);
    return g;
}

static void users_remove(BlkNode *n, BlkChild *c)
{
    BlkChild **at = &n->users;

    while (*at != c) {
        at = &(*at)->next_user;
    }
    *at = c->next_user;
}

/* The edge's end, references untouched. */
static void point(BlkChild *c, BlkNode *to)
{
    BlkNode *before = c->node;

    if (before) {
        users_remove(before, c);
    }
    c->node = to;
    if (to) {
        c->next_user = to->users;
        to->users = c;
    }
    if (before && to && c->parent && c->parent->drv->child_moved) {
        c->parent->drv->child_moved(c->parent, c, before);
    }
}

static void children_add(BlkNode *n, BlkChild *c)
{
    BlkChild **at = &n->children;

    while (*at) {
        at = &(*at)->next;
    }
    *at = c;
    c->next = NULL;
    if (c->role == BLK_CHILD_BACKING) {
        n->backing = c;
    } else if (!n->file && (c->role == BLK_CHILD_FILE || c->role == BLK_CHILD_FILTERED)) {
        n->file = c;
    }
}

static void children_remove(BlkNode *n, BlkChild *c)
{
    BlkChild **at = &n->children;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    if (n->backing == c) {
        n->backing = NULL;
    }
    if (n->file == c) {
        n->file = NULL;
    }
}

static void add_step(BlkGraph *g, StepKind kind, BlkChild *c, BlkNode *before, BlkNode *after)
{
    Step s = { kind, c, c->parent, before ? blk_node_ref(before) : NULL, after ? blk_node_ref(after) : NULL };

    g_array_append_val(g->steps, s);
}

void blk_graph_move(BlkGraph *g, BlkChild *c, BlkNode *to)
{
    BlkNode *before = c->node;

    add_step(g, STEP_MOVE, c, before, to);
    blk_node_ref(to);                           /* the edge's */
    point(c, to);
    blk_node_unref(before);                     /* the step holds one */
}

void blk_graph_attach(BlkGraph *g, BlkNode *n, BlkNode *child, const char *name, BlkRole role)
{
    BlkChild *c = g_new0(BlkChild, 1);

    c->parent = n;
    c->name = name;
    c->role = role;
    c->shared = BLK_PERM_ALL;
    add_step(g, STEP_ATTACH, c, NULL, child);
    blk_node_ref(child);
    point(c, child);
    children_add(n, c);
}

void blk_graph_detach(BlkGraph *g, BlkChild *c)
{
    BlkNode *before = c->node;

    add_step(g, STEP_DETACH, c, before, NULL);
    children_remove(c->parent, c);
    point(c, NULL);
    blk_node_unref(before);
}

void blk_graph_set_backing(BlkGraph *g, BlkNode *n, BlkNode *backing)
{
    if (n->backing && backing) {
        blk_graph_move(g, n->backing, backing);
    } else if (n->backing) {
        blk_graph_detach(g, n->backing);
    } else if (backing) {
        blk_graph_attach(g, n, backing, "backing", BLK_CHILD_BACKING);
    }
}

void blk_graph_replace(BlkGraph *g, BlkNode *from, BlkNode *to)
{
    for (BlkChild *c = from->users, *next; c; c = next) {
        next = c->next_user;
        if (!(c->parent && blk_graph_reaches(to, c->parent)) && !(c->blk && c->blk->pinned)) {
            blk_graph_move(g, c, to);
        }
    }
}

/* ---- the end ---- */

static void tell_sizes(BlkGraph *g)
{
    for (unsigned i = 0; i < g->steps->len; i++) {
        Step *s = &g_array_index(g->steps, Step, i);
        Blk *b = s->edge->blk;

        if (b && s->before && s->after && node_size(s->before) != node_size(s->after) && b->events && b->events->resized) {
            b->events->resized(b->opaque);
        }
    }
}

static void take_back(BlkGraph *g)
{
    for (unsigned i = g->steps->len; i-- > 0;) {
        Step *s = &g_array_index(g->steps, Step, i);

        switch (s->kind) {
        case STEP_MOVE:
            blk_node_ref(s->before);
            point(s->edge, s->before);
            blk_node_unref(s->after);
            break;
        case STEP_ATTACH:
            children_remove(s->parent, s->edge);
            point(s->edge, NULL);
            blk_node_unref(s->after);
            g_ptr_array_add(g->retired, s->edge);
            break;
        case STEP_DETACH:
            blk_node_ref(s->before);
            point(s->edge, s->before);
            children_add(s->parent, s->edge);
            break;
        }
    }
}

static void end(BlkGraph *g, bool kept)
{
    BlkDrain *drain = g->drain;

    for (unsigned i = 0; i < g->steps->len; i++) {
        Step *s = &g_array_index(g->steps, Step, i);

        if (kept && s->kind == STEP_DETACH) {
            g_ptr_array_add(g->retired, s->edge);
        }
    }
    blk_undrain(drain);
    for (unsigned i = 0; i < g->steps->len; i++) {      /* may close nodes */
        Step *s = &g_array_index(g->steps, Step, i);

        blk_node_unref(s->before);
        blk_node_unref(s->after);
    }
    g_array_free(g->steps, true);
    g_ptr_array_free(g->retired, true);
    g_free(g);
}

bool blk_graph_apply(BlkGraph *g, Error **errp)
{
    return blk_perms_recompute(g->session, errp);
}

void blk_graph_finish(BlkGraph *g)
{
    tell_sizes(g);
    end(g, true);
}

void blk_graph_abort(BlkGraph *g)
{
    bool ok;

    take_back(g);
    ok = blk_perms_recompute(g->session, NULL);
    assert(ok && "what was granted is granted again");
    end(g, false);
}

bool blk_graph_commit(BlkGraph *g, Error **errp)
{
    if (!blk_graph_apply(g, errp)) {
        blk_graph_abort(g);
        return false;
    }
    blk_graph_finish(g);
    return true;
}

/* ---- looking ---- */

bool blk_graph_reaches(const BlkNode *n, const BlkNode *below)
{
    if (n == below) {
        return true;
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (blk_graph_reaches(c->node, below)) {
            return true;
        }
    }
    return false;
}

BlkNode *blk_node_below(const BlkNode *n)
{
    return n->backing ? n->backing->node : blk_filtered(n);
}

BlkNode *blk_node_skip_filters(BlkNode *n)
{
    while (n && blk_filtered(n)) {
        n = blk_filtered(n);
    }
    return n;
}

BlkNode *blk_node_overlay_of(BlkNode *top, const BlkNode *n)
{
    while (top && blk_node_below(top) != n) {
        top = blk_node_below(top);
    }
    return top;
}

void blk_pin(Blk *b)
{
    b->pinned = true;
}

bool blk_node_set_read_only(BlkNode *n, bool read_only, Error **errp)
{
    if (n->read_only == read_only) {
        return true;
    }
    if (!read_only) {
        return blk_reopen_rw(n, errp);
    }
    if (n->perm & (BLK_PERM_WRITE | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE)) {
        return error_set(errp, "Node '%s' is being written to; it can not become read-only", n->name);
    }
    if (n->drv->reopen_ro && !n->drv->reopen_ro(n, errp)) {
        return false;
    }
    if (node_flush(n) < 0) {
        return error_set(errp, "Node '%s' can not be flushed", n->name);
    }
    n->read_only = true;
    n->flags &= ~BLK_O_RDWR;
    return blk_refresh_perms(n, errp);
}
