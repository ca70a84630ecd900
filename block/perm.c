/* SPDX-License-Identifier: MIT */
/*
 * Permissions: what the users of a node do and allow, handed down the graph.
 *
 * A change is a transaction: first every edge below gets its new permissions,
 * conflicts are looked for and the hosts' locks taken; then either all is
 * committed, or all is put back.
 */
#include "block/block-priv.h"

#include <assert.h>

typedef struct {
    BlkChild *edge;
    unsigned perm, shared;          /* before */
} Change;

typedef struct {
    GArray *edges;                  /* Change */
    GPtrArray *nodes;               /* whose perm_prepare was done */
} Transaction;

static const char *perm_name(unsigned perm)
{
    return perm & BLK_PERM_WRITE ? "write" : perm & BLK_PERM_RESIZE ? "resize" : perm & BLK_PERM_READ ? "consistent read" : "write unchanged";
}

static char *user_name(const BlkChild *c)
{
    if (c->parent) {
        return g_strdup_printf("node '%s'", c->parent->name);
    }
    return *c->blk->name ? g_strdup_printf("block device '%s'", c->blk->name) : g_strdup("a user without a name");
}

static bool check_users(const BlkNode *n, Error **errp)
{
    for (BlkChild *a = n->users; a; a = a->next_user) {
        for (BlkChild *b = n->users; b; b = b->next_user) {
            unsigned bad = a->perm & ~b->shared;

            if (a != b && bad) {
                g_autofree char *ua = user_name(a), *ub = user_name(b);
                return error_set(errp, "Permission conflict on node '%s': permissions '%s' are both required by %s (uses node '%s' as '%s' child) and unshared by %s (uses node '%s' as '%s' child)",
                                 n->name, perm_name(bad), ua, n->name, a->name, ub, n->name, b->name);
            }
        }
    }
    return true;
}

static void gather(BlkNode *n)
{
    n->perm = 0;
    n->shared = BLK_PERM_ALL;
    for (BlkChild *c = n->users; c; c = c->next_user) {
        n->perm |= c->perm;
        n->shared &= c->shared;
    }
}

/* What a node asks of a child when its driver does not say. */
static void default_child_perm(BlkNode *n, BlkChild *c, unsigned *perm, unsigned *shared)
{
    bool writable = !n->read_only;

    switch (c->role) {
    case BLK_CHILD_FILTERED:
        *perm = n->perm;
        *shared = n->shared;
        break;
    case BLK_CHILD_BACKING:
        *perm = BLK_PERM_READ;
        *shared = BLK_PERM_READ | BLK_PERM_WRITE_SAME | (n->shared & BLK_PERM_WRITE ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);
        break;
    default:
        *perm = BLK_PERM_READ | (writable ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);
        *shared = BLK_PERM_READ | BLK_PERM_WRITE_SAME;
        break;
    }
    if (n->flags & BLK_O_FORCE_SHARE) {
        *shared = BLK_PERM_ALL;
    }
}

static bool refresh(Transaction *t, BlkNode *n, Error **errp);

static bool change_edge(Transaction *t, BlkChild *c, unsigned perm, unsigned shared, Error **errp)
{
    Change ch = { c, c->perm, c->shared };

    if (c->perm == perm && c->shared == shared) {
        return true;
    }
    g_array_append_val(t->edges, ch);
    c->perm = perm;
    c->shared = shared;
    return refresh(t, c->node, errp);
}

static bool refresh(Transaction *t, BlkNode *n, Error **errp)
{
    gather(n);
    if (!check_users(n, errp)) {
        return false;
    }
    if ((n->perm & (BLK_PERM_WRITE | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE)) && n->read_only) {
        return error_set(errp, "Block node is read-only");
    }
    if (n->drv->perm_prepare) {
        if (!n->drv->perm_prepare(n, n->perm, n->shared, errp)) {
            return false;
        }
        g_ptr_array_add(t->nodes, n);
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        unsigned perm, shared;

        if (n->drv->child_perm) {
            n->drv->child_perm(n, c, n->perm, n->shared, &perm, &shared);
        } else {
            default_child_perm(n, c, &perm, &shared);
        }
        if (!change_edge(t, c, perm, shared, errp)) {
            return false;
        }
    }
    return true;
}

static void put_back(Transaction *t)
{
    for (unsigned i = t->edges->len; i-- > 0;) {
        Change *ch = &g_array_index(t->edges, Change, i);

        ch->edge->perm = ch->perm;
        ch->edge->shared = ch->shared;
        gather(ch->edge->node);
    }
    for (unsigned i = 0; i < t->nodes->len; i++) {
        BlkNode *n = t->nodes->pdata[i];
        n->drv->perm_abort(n);
    }
}

static void commit(Transaction *t)
{
    for (unsigned i = 0; i < t->nodes->len; i++) {
        BlkNode *n = t->nodes->pdata[i];
        n->drv->perm_commit(n, n->perm, n->shared);
    }
}

static bool finish(Transaction *t, bool ok)
{
    if (ok) {
        commit(t);
    } else {
        put_back(t);
    }
    g_array_free(t->edges, true);
    g_ptr_array_free(t->nodes, true);
    return ok;
}

static Transaction begin(void)
{
    return (Transaction){ g_array_new(false, false, sizeof(Change)), g_ptr_array_new() };
}

bool blk_edge_set_perm(BlkChild *c, unsigned perm, unsigned shared, Error **errp)
{
    Transaction t = begin();

    return finish(&t, change_edge(&t, c, perm, shared, errp));
}

bool blk_refresh_perms(BlkNode *n, Error **errp)
{
    Transaction t = begin();

    return finish(&t, refresh(&t, n, errp));
}

/* ---- the whole graph at once ---- */

typedef struct {
    GPtrArray *order;                   /* users before what they use */
    GHashTable *seen;
} Order;

static void visit(Order *o, BlkNode *n)
{
    if (!g_hash_table_add(o->seen, n)) {
        return;
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        visit(o, c->node);
    }
    g_ptr_array_add(o->order, n);
}

static void visit_one(const char *id, void *object, void *opaque)
{
    visit(opaque, object);
}

static void set_children(Transaction *t, BlkNode *n)
{
    for (BlkChild *c = n->children; c; c = c->next) {
        Change ch = { c, c->perm, c->shared };

        if (n->drv->child_perm) {
            n->drv->child_perm(n, c, n->perm, n->shared, &c->perm, &c->shared);
        } else {
            default_child_perm(n, c, &c->perm, &c->shared);
        }
        g_array_append_val(t->edges, ch);
    }
}

static bool check_node(Transaction *t, BlkNode *n, Error **errp)
{
    if (!check_users(n, errp)) {
        return false;
    }
    if ((n->perm & (BLK_PERM_WRITE | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE)) && n->read_only) {
        return error_set(errp, "Block node is read-only");
    }
    if (n->drv->perm_prepare) {
        if (!n->drv->perm_prepare(n, n->perm, n->shared, errp)) {
            return false;
        }
        g_ptr_array_add(t->nodes, n);
    }
    return true;
}

bool blk_perms_recompute(Session *s, Error **errp)
{
    Order o = { g_ptr_array_new(), g_hash_table_new(NULL, NULL) };
    Transaction t = begin();
    bool ok = true;

    session_foreach(s, &blk_node_kind, visit_one, &o);
    for (unsigned i = o.order->len; i-- > 0;) {
        gather(o.order->pdata[i]);
        set_children(&t, o.order->pdata[i]);
    }
    for (unsigned i = o.order->len; ok && i-- > 0;) {
        ok = check_node(&t, o.order->pdata[i], errp);
    }
    ok = finish(&t, ok);
    for (unsigned i = 0; !ok && i < o.order->len; i++) {
        gather(o.order->pdata[i]);
    }
    g_ptr_array_free(o.order, true);
    g_hash_table_destroy(o.seen);
    return ok;
}

/* A new edge asks for nothing and shares all, until somebody sets its permissions. */
void blk_edge_link(BlkChild *c, BlkNode *n)
{
    c->node = n;
    c->perm = 0;
    c->shared = BLK_PERM_ALL;
    c->next_user = n->users;
    n->users = c;
    blk_node_ref(n);
}

void blk_edge_unlink(BlkChild *c)
{
    BlkNode *n = c->node;
    BlkChild **at = &n->users;
    bool ok = blk_edge_set_perm(c, 0, BLK_PERM_ALL, NULL);

    assert(ok && "asking for less never fails");
    while (*at != c) {
        at = &(*at)->next_user;
    }
    *at = c->next_user;
    c->node = NULL;
    blk_node_unref(n);
}
