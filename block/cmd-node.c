/* SPDX-License-Identifier: MIT */
/* Commands on nodes: making, removing, sizes, overlays. */
#include <string.h>
#include <sys/stat.h>

#include "block/cmd-priv.h"
#include "block/drive.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/job/job.h"

/* ---- finding ---- */

BlkNode *cmd_node(Session *s, const char *device, const char *name, Error **errp)
{
    Blk *b = device ? blk_find(s, device) : NULL;
    BlkNode *n = b ? blk_node(b) : blk_node_find(s, name ? name : device ? device : "");

    if (b && !n) {
        error_set(errp, "Device '%s' has no medium", device);
    } else if (!n) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", device ? device : "", name ? name : device && !b && !name ? device : "");
    }
    return n;
}

typedef struct { const char *id; Blk *found; } OfDevice;

/* A device's id is the end of its path. */
static void of_device(Blk *b, void *data)
{
    OfDevice *q = data;
    const char *path = blk_device(b), *end = path ? strrchr(path, '/') : NULL;

    if (path && (!strcmp(path, q->id) || (end && !strcmp(end + 1, q->id)))) {
        q->found = q->found ? q->found : b;
    }
}

Blk *cmd_blk(Session *s, const char *device, const char *id, Error **errp)
{
    OfDevice q = { id, NULL };

    if (!device == !id) {
        error_set(errp, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    if (device) {
        q.found = blk_find(s, device);
    } else {
        blks_foreach(s, of_device, &q);
    }
    if (!q.found) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device ? device : id);
    }
    return q.found;
}

/* ---- blockdev-add, -del ---- */

static bool add_run(MonCall *call, Error **errp)
{
    return blockdev_add_json(call->session, json_copy(call->args), errp);
}
static const OptKey add_keys[] = {
    { "driver", OPT_STRING, .must = true }, { "node-name", OPT_STRING }, { "read-only", OPT_BOOL }, { "auto-read-only", OPT_BOOL }, { "force-share", OPT_BOOL },
    { "discard", OPT_ENUM, .values = "ignore|unmap" }, { "detect-zeroes", OPT_ENUM, .values = "off|on|unmap" }, { "cache", OPT_ANY }, {}
};
static void driver_variants(void (*add)(void *opaque, const char *value, const OptKey *keys), void *opaque)
{
    g_autofree const BlkDriver **list = blk_drivers();

    for (unsigned i = 0; list[i]; i++) {
        add(opaque, list[i]->name, list[i]->options);
    }
}
COMMAND(add_command, .qmp = "blockdev-add", .keys = add_keys, .open = true, .waits = true, .run = add_run, .select = "driver", .variants = driver_variants);

static bool del_run(MonCall *call, Error **errp)
{
    return blockdev_del(call->session, json_get_string(call->args, "node-name"), errp);
}
static const OptKey del_keys[] = { { "node-name", OPT_STRING, .must = true }, {} };
COMMAND(del_command, .qmp = "blockdev-del", .keys = del_keys, .waits = true, .run = del_run);

/* ---- blockdev-reopen ---- */

/* Options that may differ from what the node was opened with; the rest must be as it was. */
static bool same_but(BlkNode *n, const Json *o, Error **errp)
{
    static const char *const may[] = { "node-name", "read-only", "auto-read-only", "cache", "discard", "detect-zeroes", "backing", "file", "force-share", "data-file" };

    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);
        g_autofree char *now = json_scalar_text(json_at(o, i)), *was = json_get(n->options, key) ? json_scalar_text(json_get(n->options, key)) : NULL;
        bool change = true;

        for (unsigned k = 0; k < G_N_ELEMENTS(may); k++) {
            change = change && strcmp(key, may[k]);
        }
        if (change && g_strcmp0(now, !strcmp(key, "driver") ? n->drv->name : was)) {
            return error_set(errp, "Cannot change the option '%s'", key);
        }
    }
    return true;
}

/* The node that the option names for this child, NULL for none; false: it can not be had. */
static bool named_child(BlkNode *n, const Json *o, const char *key, BlkNode **out, Error **errp)
{
    Json *v = json_get(o, key);

    *out = NULL;
    if (json_is(v, JSON_NULL)) {
        return true;
    }
    if (!json_as_string(v)) {
        return error_set(errp, "Cannot change the option '%s': name a node", key);
    }
    *out = cmd_node(n->session, json_as_string(v), json_as_string(v), errp);
    return *out;
}

static bool reopen_children(BlkNode *n, const Json *o, BlkGraph *g, Error **errp)
{
    BlkNode *to;

    if (json_get(o, "backing")) {
        if (!named_child(n, o, "backing", &to, errp)) {
            return false;
        }
        if (to != blk_node_backing(n) && !n->drv->has_backing) {
            return error_set(errp, "'%s' driver does not support backing files", n->drv->name);
        }
        if (to && blk_graph_reaches(to, n)) {
            return error_set(errp, "Making '%s' a backing child of '%s' would create a cycle", to->name, n->name);
        }
        if (to != blk_node_backing(n)) {
            blk_graph_set_backing(g, n, to);
        }
    }
    if (json_get(o, "file") && json_as_string(json_get(o, "file"))) {
        if (!named_child(n, o, "file", &to, errp)) {
            return false;
        }
        if (n->file && to != n->file->node) {
            if (!blk_filtered(n) && !blk_filtered(to) && !blk_filtered(n->file->node)) {
                return error_set(errp, "Cannot change the option 'file'");
            }
            if (blk_graph_reaches(to, n)) {
                return error_set(errp, "Making '%s' a file child of '%s' would create a cycle", to->name, n->name);
            }
            blk_graph_move(g, n->file, to);
        }
    }
    return true;
}

static void reopen_flags(BlkNode *n, const Json *o)
{
    const char *discard = json_get_string(o, "discard"), *zeroes = json_get_string(o, "detect-zeroes");
    bool unmap = discard && strcmp(discard, "ignore");

    n->flags = unmap ? n->flags | BLK_O_UNMAP : n->flags & ~BLK_O_UNMAP;
    n->detect_zeroes = zeroes && strcmp(zeroes, "off");
}

static bool reopen_one(BlkNode *n, const Json *o, BlkGraph *g, Error **errp)
{
    bool ro = json_get_bool(o, "read-only", false);
    Json *direct = json_get(json_get(o, "cache"), "direct");
    bool want = false;

    if (!same_but(n, o, errp) || !job_check_free(n, errp)) {
        return false;
    }
    if (direct && json_as_bool(direct, &want) && want != !!(n->flags & BLK_O_DIRECT)) {
        return error_set(errp, "Cannot change the option 'cache.direct'");
    }
    if (!reopen_children(n, o, g, errp) || !blk_node_set_read_only(n, ro, errp)) {
        return false;
    }
    reopen_flags(n, o);
    return true;
}

static bool reopen_run(MonCall *call, Error **errp)
{
    Json *list = json_get(call->args, "options");
    BlkGraph *g = blk_graph_begin(call->session);
    bool ok = true;

    for (unsigned i = 0; ok && i < json_size(list); i++) {
        const char *name = json_get_string(json_at(list, i), "node-name");
        BlkNode *n = name ? blk_node_find(call->session, name) : NULL;

        ok = !name ? error_set(errp, "node-name not specified") : !n ? error_set(errp, "Failed to find node with node-name='%s'", name)
             : reopen_one(n, json_at(list, i), g, errp);
    }
    if (!ok) {
        blk_graph_abort(g);
        return false;
    }
    return blk_graph_commit(g, errp);
}
static const OptKey reopen_keys[] = { { "options", OPT_ANY, .must = true, .many = true }, {} };
COMMAND(reopen_command, .qmp = "blockdev-reopen", .keys = reopen_keys, .waits = true, .run = reopen_run);

/* ---- sizes and names ---- */

static bool resize_run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device"), *name = json_get_string(call->args, "node-name");
    int64_t size = json_get_i64(call->args, "size", 0);
    BlkNode *n = cmd_node(call->session, device, name, errp);
    BlkDrain *d;
    bool ok;

    if (!n) {
        return false;
    }
    if (size < 0) {
        return error_set(errp, "Parameter 'size' expects a >0 size");
    }
    if (!job_check_free(n, errp)) {
        return false;
    }
    d = blk_drain_session(call->session);
    ok = n->shared & BLK_PERM_RESIZE ? node_resize(n, ((uint64_t)size + 511) & ~511ull, BLK_PREALLOC_OFF, errp)
                                     : error_set(errp, "Node '%s' is used in a way that does not allow another size", n->name);
    blk_undrain(d);
    return ok;
}
static const OptKey resize_keys[] = { { "device", OPT_STRING }, { "size", OPT_SIZE, .must = true, .negative = true, .unit = 1 << 20 }, { "node-name", OPT_STRING }, {} };
COMMAND(resize_command, .name = "block_resize", .qmp = "block_resize", .params = "device size", .help = "resize a block image", .keys = resize_keys, .waits = true,
        .run = resize_run);

static bool change_backing_run(MonCall *call, Error **errp)
{
    const char *file = json_get_string(call->args, "backing-file");
    BlkNode *top = cmd_node(call->session, json_get_string(call->args, "device"), NULL, errp), *n;
    bool was_ro, ok;
    BlkDrain *d;

    n = top ? blk_node_find(call->session, json_get_string(call->args, "image-node-name")) : NULL;
    if (!top) {
        return false;
    }
    if (!n) {
        return error_set(errp, "Failed to find node with node-name='%s'", json_get_string(call->args, "image-node-name"));
    }
    if (!blk_graph_reaches(top, n)) {
        return error_set(errp, "'%s' and image file are not in the same chain", json_get_string(call->args, "device"));
    }
    if (!n->drv->image || !n->drv->image->change_backing) {
        return error_set(errp, "Format driver '%s' does not support backing files", n->drv->name);
    }
    if (!job_check_free(n, errp)) {
        return false;
    }
    was_ro = n->read_only;
    d = blk_drain_session(call->session);
    ok = blk_node_set_read_only(n, false, errp) &&
         n->drv->image->change_backing(n, *file ? file : NULL, n->backing ? n->backing->node->drv->name : n->backing_format, errp);
    if (ok && was_ro) {
        ok = blk_node_set_read_only(n, true, errp);
    }
    blk_undrain(d);
    return ok;
}
static const OptKey change_backing_keys[] = {
    { "device", OPT_STRING, .must = true }, { "image-node-name", OPT_STRING, .must = true }, { "backing-file", OPT_STRING, .must = true }, {}
};
COMMAND(change_backing_command, .qmp = "change-backing-file", .keys = change_backing_keys, .waits = true, .run = change_backing_run);
