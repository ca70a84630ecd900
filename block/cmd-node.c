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

/* As clients know it: /machine/peripheral/ID, and what hangs below it on some buses. */
static char *device_id(const char *id)
{
    static const char root[] = "/machine/peripheral/", below[] = "/virtio-backend";
    const char *from = id && g_str_has_prefix(id, root) ? id + strlen(root) : id;
    size_t len = from ? strlen(from) : 0;

    return from && g_str_has_suffix(from, below) ? g_strndup(from, len - strlen(below)) : g_strdup(from);
}

Blk *cmd_blk(Session *s, const char *device, const char *id, Error **errp)
{
    g_autofree char *wanted = device_id(id);
    OfDevice q = { wanted, NULL };

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
