/* SPDX-License-Identifier: MIT */
/* Overlays: a node goes on as the backing file of a new one. */
#include <string.h>

#include "block/image.h"
#include "block/job/job.h"
#include "block/transaction.h"

/* ---- joining ---- */

bool blk_overlay_attach(BlkGraph *g, BlkNode *n, BlkNode *overlay, Error **errp)
{
    if (!job_check_free(n, errp) || !job_check_free(overlay, errp)) {
        return false;
    }
    if (overlay->users) {
        return error_set(errp, "The overlay is already in use");
    }
    if (!overlay->drv->has_backing) {
        return error_set(errp, "The overlay does not support backing images");
    }
    if (overlay->backing) {
        return error_set(errp, "The overlay already has a backing image");
    }
    if (blk_graph_reaches(overlay, n) || n == overlay) {
        return error_set(errp, "Making '%s' a backing child of '%s' would create a cycle", n->name, overlay->name);
    }
    blk_graph_replace(g, n, overlay);
    blk_graph_set_backing(g, overlay, n);
    return blk_graph_apply(g, errp);
}

/* What the new layer holds back must not be mistaken for what was there: the node's own writes are on the medium first. */
static bool settle(BlkNode *n, Error **errp)
{
    int r = n->read_only ? 0 : node_flush(n);

    return r == 0 || error_set_errno(errp, -r, "Write to node '%s' failed", n->name);
}

/* ---- blockdev-snapshot ---- */

static bool snapshot_prepare(Action *a, Error **errp)
{
    const char *node = json_get_string(a->args, "node"), *over = json_get_string(a->args, "overlay");
    BlkNode *n = cmd_node(a->session, node, node, errp), *overlay = n ? cmd_node(a->session, over, over, errp) : NULL;

    return overlay && settle(n, errp) && blk_overlay_attach(a->transaction->graph, n, overlay, errp);
}
static const OptKey snapshot_keys[] = { { "node", OPT_STRING, .must = true }, { "overlay", OPT_STRING, .must = true }, {} };
static const ActionKind snapshot_action = { .name = "blockdev-snapshot", .keys = snapshot_keys, .prepare = snapshot_prepare };
ACTION_KIND(snapshot_action);

static bool snapshot_run(MonCall *call, Error **errp)
{
    return action_run(call, "blockdev-snapshot", errp);
}
COMMAND(snapshot_command, .qmp = "blockdev-snapshot", .keys = snapshot_keys, .waits = true, .run = snapshot_run, .features = "allow-write-only-overlay");

/* ---- blockdev-snapshot-sync ---- */

bool blk_image_create_for(Session *s, const char *file, const char *format, uint64_t size, BlkNode *backing, Error **errp)
{
    const BlkDriver *drv = blk_driver_find(format);
    g_autoptr(Json) o = json_object();

    if (!drv || !drv->create) {
        return error_set(errp, "Unknown file format '%s'", format);
    }
    json_set_uint(o, "size", size);
    if (backing) {
        g_autofree char *name = blk_node_record_name(backing, file);

        if (!drv->has_backing) {
            return error_set(errp, "Format '%s' does not support backing files", format);
        }
        json_set_string(o, "backing_file", name);
        json_set_string(o, "backing_fmt", backing->drv->name);
    }
    return blk_create(s, drv, file, o, errp);
}

/* Opened without what its header says lies below: the caller knows better. */
BlkNode *blk_image_open_alone(Session *s, const char *file, const char *format, const char *node_name, unsigned flags, Error **errp)
{
    Json *o = json_object();

    json_set_string(o, "driver", format);
    if (node_name) {
        json_set_string(o, "node-name", node_name);
    }
    return blk_node_open(s, file, o, BLK_O_RDWR | BLK_O_NO_BACKING | flags, errp);
}

typedef struct { Action a; BlkNode *overlay; } SyncAction;

static bool sync_prepare(Action *a, Error **errp)
{
    SyncAction *s = (SyncAction *)a;
    const char *file = json_get_string(a->args, "snapshot-file"), *format = json_get_string(a->args, "format"), *mode = json_get_string(a->args, "mode");
    BlkNode *n = cmd_node(a->session, json_get_string(a->args, "device"), json_get_string(a->args, "node-name"), errp);

    format = format ? format : "qcow2";
    if (!n || !settle(n, errp)) {
        return false;
    }
    if (g_strcmp0(mode, "existing") && !blk_image_create_for(a->session, file, format, node_size(n), blk_node_skip_filters(n), errp)) {
        return false;
    }
    s->overlay = blk_image_open_alone(a->session, file, format, json_get_string(a->args, "snapshot-node-name"),
                                      n->flags & (BLK_O_DIRECT | BLK_O_NO_FLUSH | BLK_O_UNMAP), errp);
    return s->overlay && blk_overlay_attach(a->transaction->graph, n, s->overlay, errp);
}

static void sync_clean(Action *a)
{
    blk_node_unref(((SyncAction *)a)->overlay);
}
static const OptKey sync_keys[] = {
    { "device", OPT_STRING }, { "node-name", OPT_STRING }, { "snapshot-file", OPT_STRING, .must = true }, { "snapshot-node-name", OPT_STRING }, { "format", OPT_STRING },
    { "mode", OPT_ENUM, .values = "existing|absolute-paths" }, {}
};
static const ActionKind sync_action = { .name = "blockdev-snapshot-sync", .keys = sync_keys, .size = sizeof(SyncAction), .prepare = sync_prepare, .clean = sync_clean };
ACTION_KIND(sync_action);

static bool sync_run(MonCall *call, Error **errp)
{
    return action_run(call, "blockdev-snapshot-sync", errp);
}
COMMAND(sync_command, .qmp = "blockdev-snapshot-sync", .keys = sync_keys, .waits = true, .run = sync_run);

/* snapshot_blkdev [-n] device [file] [format] */
static bool human_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) args = json_object();
    MonCall inner = *call;

    if (!json_get(call->args, "snapshot-file")) {
        return error_set(errp, "Parameter 'snapshot-file' is missing");
    }
    json_set_string(args, "device", json_get_string(call->args, "device"));
    json_set_string(args, "snapshot-file", json_get_string(call->args, "snapshot-file"));
    if (json_get_string(call->args, "format_")) {
        json_set_string(args, "format", json_get_string(call->args, "format_"));
    }
    json_set_string(args, "mode", json_get_bool(call->args, "reuse", false) ? "existing" : "absolute-paths");
    inner.args = args;
    return action_run(&inner, "blockdev-snapshot-sync", errp);
}
static const OptKey human_keys[] = {
    { "reuse", OPT_BOOL, .alias = "n" }, { "device", OPT_STRING, .must = true }, { "snapshot-file", OPT_STRING }, { "format_", OPT_STRING }, {}
};
COMMAND(human_command, .name = "snapshot_blkdev", .params = "[-n] device [new-image-file] [format]", .help = "go on in a new image above the present one (-n: it exists already)",
        .keys = human_keys, .waits = true, .run = human_run);
