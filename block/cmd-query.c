/* SPDX-License-Identifier: MIT */
/* What programs ask about disks and nodes. */
#include <string.h>

#include "block/bitmap.h"
#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/throttle.h"

/* ---- nodes ---- */

static void add_backing_file(Json *j, const BlkNode *n)
{
    if (n->backing) {
        g_autofree char *name = blk_node_full_name(n->backing->node);

        json_set_string(j, "backing_file", name);
    }
}

static Json *children_record(const BlkNode *n)
{
    Json *list = json_array();

    for (const BlkChild *c = n->children; c; c = c->next) {
        Json *j = json_object();

        json_set_string(j, "node-name", c->node->name);
        json_set_string(j, "child", c->name);
        json_append(list, j);
    }
    return list;
}

/* b: the handle that it is seen through; NULL: none. */
static Json *node_record(BlkNode *n, bool flat, const Blk *b)
{
    g_autofree char *name = blk_node_full_name(n);
    Json *j = json_object(), *cache = json_object(), *bitmaps;

    blk_throttle_describe(b, j);
    json_set_string(j, "detect_zeroes", n->detect_zeroes ? n->flags & BLK_O_UNMAP ? "unmap" : "on" : "off");
    json_set(j, "image", blk_image_info(n, !flat));
    json_set_int(j, "write_threshold", 0);
    bitmaps = blk_bitmaps_info(n);
    if (bitmaps) {
        json_set(j, "dirty-bitmaps", bitmaps);
    }
    json_set_bool(j, "ro", n->read_only);
    json_set_bool(j, "active", true);
    json_set(j, "children", children_record(n));
    json_set_string(j, "node-name", n->name);
    json_set_int(j, "backing_file_depth", flat ? 0 : blk_chain_depth(n));
    json_set_string(j, "drv", n->drv->name);
    json_set_bool(j, "encrypted", n->drv->image && n->drv->image->encrypted && n->drv->image->encrypted(n));
    add_backing_file(j, n);
    json_set_bool(cache, "no-flush", n->flags & BLK_O_NO_FLUSH);
    json_set_bool(cache, "direct", n->flags & BLK_O_DIRECT);
    json_set_bool(cache, "writeback", !b || !blk_writethrough(b));
    json_set(j, "cache", cache);
    json_set_string(j, "file", name);
    return j;
}

typedef struct { Json *list; bool flat; } NodeList;

static void each_node(BlkNode *n, void *opaque)
{
    NodeList *l = opaque;

    json_append(l->list, node_record(n, l->flat, NULL));
}

static bool nodes_run(MonCall *call, Error **errp)
{
    NodeList l = { json_array(), json_get_bool(call->args, "flat", false) };

    blk_nodes_foreach(call->session, each_node, &l);
    call->ret = l.list;
    return true;
}
static const OptKey nodes_keys[] = { { "flat", OPT_BOOL }, {} };
COMMAND(nodes_command, .qmp = "query-named-block-nodes", .keys = nodes_keys, .waits = true, .run = nodes_run, .ret_type = "[any]");

/* ---- disks ---- */

static void each_disk(Blk *b, void *opaque)
{
    Json *j;

    if (!*blk_name(b) && !blk_device(b)) {
        return;                                 /* a job's, an export's */
    }
    j = json_object();
    if (blk_io_status(b)) {
        json_set_string(j, "io-status", blk_io_status(b));
    }
    json_set_string(j, "device", blk_name(b));
    json_set_bool(j, "locked", false);
    json_set_bool(j, "removable", false);
    if (blk_node(b)) {
        json_set(j, "inserted", node_record(blk_node(b), false, b));
    }
    if (blk_device(b)) {
        json_set_string(j, "qdev", blk_device(b));
    }
    json_set_string(j, "type", "unknown");
    json_append(opaque, j);
}

static bool disks_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    blks_foreach(call->session, each_disk, call->ret);
    return true;
}
COMMAND(disks_command, .qmp = "query-block", .waits = true, .run = disks_run, .ret_type = "[any]");
