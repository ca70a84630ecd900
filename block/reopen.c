/* SPDX-License-Identifier: MIT */
/*
 * blockdev-reopen: other options for nodes in use, of several at once.
 *
 * First everything that can be refused, in this order: what the options are,
 * edges that move, nodes that become writable, what drivers prepare, the
 * permissions of the whole graph, nodes that become read-only.  Each has its
 * way back.  Then what can not fail: flags, options, drivers' commits.
 *
 * A node that was opened as part of another ("#block...") follows that one's
 * cache mode, unless it has options of its own.
 */
#include <string.h>

#include "block/block-priv.h"
#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/job/job.h"

typedef struct Entry {
    BlkNode *node;
    Json *options;              /* checked; of a follower: what it had */
    unsigned flags;             /* wanted; BLK_O_RDWR among them */
    bool listed;                /* named by the user */
    void *state;                /* the driver's */
    bool prepared;
} Entry;

typedef struct Before {
    BlkNode *node;
    bool read_only;
} Before;

typedef struct Reopen {
    Session *session;
    BlkGraph *graph;
    GArray *entries;            /* Entry */
    GArray *before;             /* Before: all nodes */
} Reopen;

static Entry *entry(Reopen *r, unsigned i)
{
    return &g_array_index(r->entries, Entry, i);
}

/* ---- what may change ---- */

static bool is_child(const BlkNode *n, const char *key)
{
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (!strcmp(c->name, key)) {
            return true;
        }
    }
    return !strcmp(key, "backing");
}

static bool may_change(const BlkNode *n, const char *key)
{
    static const char words[] = "node-name|read-only|auto-read-only|cache|cache.direct|cache.no-flush|discard|detect-zeroes|force-share";

    return options_one_of(words, key, false) || is_child(n, key) || (n->drv->changes && options_one_of(n->drv->changes, key, false));
}

static bool same(const Json *a, const Json *b)
{
    g_autofree char *x = NULL, *y = NULL;

    if (!a || !b || json_is(a, JSON_OBJECT) || json_is(a, JSON_ARRAY)) {
        return a && b && json_equal(a, b);
    }
    x = json_scalar_text(a);
    y = json_scalar_text(b);
    return !g_strcmp0(x, y);
}

/* Options that the node was opened with and that are not said again stay. */
static bool check_same(const BlkNode *n, const Json *o, Error **errp)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);
        bool equal = !strcmp(key, "driver") ? !g_strcmp0(json_get_string(o, key), n->drv->name) : same(json_at(o, i), json_get(n->options, key));

        if (!equal && !may_change(n, key)) {
            return error_set(errp, "Cannot change the option '%s'", key);
        }
    }
    return true;
}

/* ---- the list of nodes ---- */

static bool follows(const BlkChild *c)
{
    return c->node->name[0] == '#' && !c->node->users->next_user;
}

static bool has_entry(Reopen *r, const BlkNode *n)
{
    for (unsigned i = 0; i < r->entries->len; i++) {
        if (entry(r, i)->node == n) {
            return true;
        }
    }
    return false;
}

static bool add_listed(Reopen *r, BlkNode *n, const Json *o, unsigned inherited, Error **errp);

static bool own_cache(const Json *o, const char *key)
{
    g_autofree char *dotted = g_strdup_printf("cache.%s", key);

    return json_get(json_get(o, "cache"), key) || json_get(o, dotted);
}

static bool add_follower(Reopen *r, BlkChild *c, const Entry *parent, Error **errp)
{
    const unsigned cache = BLK_O_DIRECT | BLK_O_NO_FLUSH;
    unsigned take = (own_cache(c->node->options, "direct") ? 0 : BLK_O_DIRECT) | (own_cache(c->node->options, "no-flush") ? 0 : BLK_O_NO_FLUSH);
    Entry e = { .node = c->node, .options = json_copy(c->node->options), .flags = c->node->flags };

    e.flags = (e.flags & ~(cache & take)) | (parent->flags & take);
    if (c->role != BLK_CHILD_BACKING) {
        e.flags = (e.flags & ~BLK_O_RDWR) | (parent->flags & BLK_O_RDWR);
    }
    g_array_append_val(r->entries, e);
    return true;
}

/* Children that came with the node: by what stands in its options for them, or after it. */
static bool add_children(Reopen *r, unsigned index, Error **errp)
{
    for (BlkChild *c = entry(r, index)->node->children; c; c = c->next) {
        Json *nested = entry(r, index)->listed ? json_get(entry(r, index)->options, c->name) : NULL;
        unsigned at = r->entries->len;
        bool ok;

        if (json_is(nested, JSON_OBJECT)) {
            if (!follows(c)) {
                return error_set(errp, "Cannot change the option '%s'", c->name);
            }
            ok = add_listed(r, c->node, nested, entry(r, index)->flags, errp);
        } else if (follows(c) && !json_as_string(nested) && !json_is(nested, JSON_NULL) && !has_entry(r, c->node)) {
            ok = add_follower(r, c, entry(r, index), errp) && add_children(r, at, errp);
        } else {
            continue;
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool add_listed(Reopen *r, BlkNode *n, const Json *given, unsigned inherited, Error **errp)
{
    const unsigned cache = BLK_O_DIRECT | BLK_O_NO_FLUSH;
    Json *o = json_copy(given);
    Entry e = { .node = n, .options = o, .listed = true };

    e.flags = (n->flags & ~(cache | BLK_O_UNMAP | BLK_O_RDWR | BLK_O_AUTO_RDONLY)) | (inherited & cache) | BLK_O_RDWR;
    if ((n->drv->kind & BLK_DRV_PROTOCOL) && inherited) {
        e.flags |= BLK_O_UNMAP;
    }
    g_array_append_val(r->entries, e);
    if (!blk_check_options(n->drv, o, errp) || !check_same(n, o, errp) || !job_check_free(n, errp) ||
        !blk_option_flags(o, &entry(r, r->entries->len - 1)->flags, errp)) {
        return false;
    }
    return add_children(r, r->entries->len - 1, errp);
}

/* ---- edges ---- */

/* The node that the option names for this child, NULL for none; false: it can not be had. */
static bool named_child(BlkNode *n, const Json *v, BlkNode **out, Error **errp)
{
    *out = json_is(v, JSON_NULL) ? NULL : cmd_node(n->session, json_as_string(v), json_as_string(v), errp);
    return *out || json_is(v, JSON_NULL);
}

static bool no_cycle(const BlkNode *n, const BlkNode *to, const char *what, Error **errp)
{
    return !to || !blk_graph_reaches(to, n) || error_set(errp, "Making '%s' a %s child of '%s' would create a cycle", to->name, what, n->name);
}

static bool move_backing(Reopen *r, BlkNode *n, const Json *v, Error **errp)
{
    BlkNode *to;

    if (!named_child(n, v, &to, errp)) {
        return false;
    }
    if (to == blk_node_backing(n)) {
        return true;
    }
    if (!n->drv->has_backing) {
        return error_set(errp, "'%s' driver does not support backing files", n->drv->name);
    }
    if (!no_cycle(n, to, "backing", errp)) {
        return false;
    }
    blk_graph_set_backing(r->graph, n, to);
    return true;
}

/* Only a filter comes or goes this way: the data below stays the same. */
static bool move_file(Reopen *r, BlkNode *n, const Json *v, Error **errp)
{
    BlkNode *to;

    if (!named_child(n, v, &to, errp)) {
        return false;
    }
    if (!n->file || to == n->file->node) {
        return true;
    }
    if (!to || (!blk_filtered(n) && !blk_filtered(to) && !blk_filtered(n->file->node))) {
        return error_set(errp, "Cannot change the option 'file'");
    }
    if (!no_cycle(n, to, "file", errp)) {
        return false;
    }
    blk_graph_move(r->graph, n->file, to);
    return true;
}

static bool move_edges(Reopen *r, Error **errp)
{
    for (unsigned i = 0; i < r->entries->len; i++) {
        Entry *e = entry(r, i);
        Json *backing = json_get(e->options, "backing"), *file = json_get(e->options, "file");

        if (!e->listed) {
            continue;
        }
        if ((backing && !json_is(backing, JSON_OBJECT) && !move_backing(r, e->node, backing, errp)) ||
            (file && json_as_string(file) && !move_file(r, e->node, file, errp))) {
            return false;
        }
    }
    return true;
}

/* ---- reading and writing ---- */

static void note(BlkNode *n, void *opaque)
{
    Before b = { n, n->read_only };

    g_array_append_val((GArray *)opaque, b);
}

/* Those that are to become writable, or those that are not to be any more.  Followers do when they can. */
static bool switch_access(Reopen *r, bool read_only, Error **errp)
{
    for (unsigned i = 0; i < r->entries->len; i++) {
        Entry *e = entry(r, i);
        Error *err = NULL;

        if (e->node->read_only == read_only || !(e->flags & BLK_O_RDWR) != read_only) {
            continue;
        }
        if (!blk_node_set_read_only(e->node, read_only, &err)) {
            if (e->listed && (read_only || !(e->flags & BLK_O_AUTO_RDONLY))) {
                error_propagate(errp, err);
                return false;
            }
            error_free(err);
        }
    }
    return true;
}

/* Users go before what they use, whichever order that is. */
static void access_back(Reopen *r)
{
    for (unsigned pass = 0, changed = 1; changed && pass <= r->before->len; pass++) {
        changed = 0;
        for (unsigned i = 0; i < r->before->len; i++) {
            Before *b = &g_array_index(r->before, Before, i);

            if (b->node->read_only != b->read_only && blk_node_set_read_only(b->node, b->read_only, NULL)) {
                changed = 1;
            }
        }
    }
}

/* ---- drivers ---- */

static bool driver_needed(const Entry *e)
{
    const char *changes = e->node->drv->changes;
    g_auto(GStrv) keys = g_strsplit(changes ? changes : "", "|", -1);

    for (char **k = keys; e->listed && *k; k++) {
        if (!same(json_get(e->options, *k), json_get(e->node->options, *k)) && (json_get(e->options, *k) || json_get(e->node->options, *k))) {
            return true;
        }
    }
    return (e->flags ^ e->node->flags) & BLK_O_DIRECT;
}

static bool prepare_drivers(Reopen *r, Error **errp)
{
    for (unsigned i = 0; i < r->entries->len; i++) {
        Entry *e = entry(r, i);

        if (!driver_needed(e)) {
            continue;
        }
        if (!e->node->drv->reopen_prepare) {
            if ((e->node->drv->kind & BLK_DRV_PROTOCOL) && e->listed) {
                return error_set(errp, "Cannot change the option 'cache.direct'");
            }
            continue;                           /* a format: its files have it */
        }
        e->state = e->node->drv->reopen_prepare(e->node, e->options, e->flags, errp);
        if (!e->state) {
            return false;
        }
        e->prepared = true;
    }
    return true;
}

static void abort_drivers(Reopen *r)
{
    for (unsigned i = r->entries->len; i-- > 0;) {
        Entry *e = entry(r, i);

        if (e->prepared) {
            e->node->drv->reopen_abort(e->node, e->state);
        }
    }
}

/* ---- the end ---- */

/* What can change is as said now; what can not is as it was. */
static void keep_options(BlkNode *n, const Json *o)
{
    for (unsigned i = json_size(n->options); i-- > 0;) {
        g_autofree char *key = g_strdup(json_key_at(n->options, i));

        if (may_change(n, key) && strcmp(key, "node-name") && !is_child(n, key)) {
            json_remove(n->options, key);
        }
    }
    for (unsigned i = 0; i < json_size(o); i++) {
        if (strcmp(json_key_at(o, i), "node-name") && !json_is(json_at(o, i), JSON_OBJECT)) {
            json_set(n->options, json_key_at(o, i), json_copy(json_at(o, i)));
        } else if (options_one_of("cache", json_key_at(o, i), false)) {
            json_set(n->options, "cache", json_copy(json_at(o, i)));
        }
    }
}

static void commit_one(Entry *e)
{
    const unsigned mine = BLK_O_DIRECT | BLK_O_NO_FLUSH | BLK_O_UNMAP;
    const char *zeroes = json_get_string(e->options, "detect-zeroes");
    BlkNode *n = e->node;

    n->flags = (n->flags & ~mine) | (e->flags & mine);
    if (e->listed) {
        n->flags = (n->flags & ~BLK_O_AUTO_RDONLY) | (e->flags & BLK_O_AUTO_RDONLY);
        n->detect_zeroes = zeroes && strcmp(zeroes, "off");
        keep_options(n, e->options);
    }
    if (e->prepared) {
        n->drv->reopen_commit(n, e->state);
    }
}

static bool prepare(Reopen *r, const Json *list, Error **errp)
{
    for (unsigned i = 0; i < json_size(list); i++) {
        const char *name = json_get_string(json_at(list, i), "node-name");
        BlkNode *n = name ? blk_node_find(r->session, name) : NULL;

        if (!n) {
            return name ? error_set(errp, "Failed to find node with node-name='%s'", name) : error_set(errp, "node-name not specified");
        }
        if (!add_listed(r, n, json_at(list, i), 0, errp)) {
            return false;
        }
    }
    return move_edges(r, errp) && switch_access(r, false, errp) && prepare_drivers(r, errp) && blk_graph_apply(r->graph, errp) &&
           switch_access(r, true, errp);
}

static bool reopen_run(MonCall *call, Error **errp)
{
    Reopen r = { .session = call->session, .entries = g_array_new(false, true, sizeof(Entry)), .before = g_array_new(false, false, sizeof(Before)) };
    bool ok;

    r.graph = blk_graph_begin(call->session);
    blk_nodes_foreach(call->session, note, r.before);
    ok = prepare(&r, json_get(call->args, "options"), errp);
    if (ok) {
        for (unsigned i = 0; i < r.entries->len; i++) {
            commit_one(entry(&r, i));
        }
        blk_graph_finish(r.graph);
    } else {
        abort_drivers(&r);
        access_back(&r);
        blk_graph_abort(r.graph);
    }
    for (unsigned i = 0; i < r.entries->len; i++) {
        json_unref(entry(&r, i)->options);
    }
    g_array_free(r.entries, true);
    g_array_free(r.before, true);
    return ok;
}
static const OptKey reopen_keys[] = { { "options", OPT_ANY, .must = true, .many = true }, {} };
COMMAND(reopen_command, .qmp = "blockdev-reopen", .keys = reopen_keys, .waits = true, .run = reopen_run);
