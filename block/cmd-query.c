/* SPDX-License-Identifier: MIT */
/* What programs ask about disks and nodes. */
#include <string.h>

#include "block/bitmap.h"
#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/throttle.h"

/* ---- nodes ---- */

static Json *image_record(BlkNode *n, bool chain)
{
    Json *j = json_object();

    blk_node_info(n, j);
    if (chain && blk_node_below(n)) {
        json_set(j, "backing-image", image_record(blk_node_below(n), true));
    }
    return j;
}

static unsigned depth_of(const BlkNode *n)
{
    unsigned depth = 0;

    for (; blk_node_below(n); n = blk_node_below(n)) {
        depth += n->backing != NULL;
    }
    return depth;
}

static void add_backing_file(Json *j, const BlkNode *n)
{
    if (n->backing) {
        json_set_string(j, "backing_file", n->backing->node->filename);
    }
}

/* b: the handle that it is seen through; NULL: none. */
static Json *node_record(BlkNode *n, bool flat, const Blk *b)
{
    Json *j = json_object(), *cache = json_object(), *bitmaps;

    blk_throttle_describe(b, j);
    json_set_string(j, "detect_zeroes", n->detect_zeroes ? n->flags & BLK_O_UNMAP ? "unmap" : "on" : "off");
    json_set(j, "image", image_record(n, !flat));
    json_set_int(j, "write_threshold", 0);
    bitmaps = blk_bitmaps_info(n);
    if (bitmaps) {
        json_set(j, "dirty-bitmaps", bitmaps);
    }
    json_set_bool(j, "ro", n->read_only);
    json_set_string(j, "node-name", n->name);
    json_set_int(j, "backing_file_depth", depth_of(n));
    json_set_string(j, "drv", n->drv->name);
    json_set_bool(j, "encrypted", n->drv->image && n->drv->image->encrypted && n->drv->image->encrypted(n));
    add_backing_file(j, n);
    json_set_bool(cache, "no-flush", n->flags & BLK_O_NO_FLUSH);
    json_set_bool(cache, "direct", n->flags & BLK_O_DIRECT);
    json_set_bool(cache, "writeback", !b || !blk_writethrough(b));
    json_set(j, "cache", cache);
    json_set_string(j, "file", n->filename);
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
    json_set_string(j, "io-status", "ok");
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

/* ---- counters ---- */

static Json *counters(const BlkStats *s)
{
    static const struct { const char *word; BlkOp op; } rows[] = { { "unmap", BLK_DISCARD }, { "flush", BLK_FLUSH }, { "wr", BLK_WRITE }, { "rd", BLK_READ } };
    Json *j = json_object();

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *ops = g_strdup_printf("%s_operations", rows[i].word), *bytes = g_strdup_printf("%s_bytes", rows[i].word),
                        *failed = g_strdup_printf("failed_%s_operations", rows[i].word);
        uint64_t more = rows[i].op == BLK_WRITE ? s->ops[BLK_ZEROES] : 0, more_bytes = rows[i].op == BLK_WRITE ? s->bytes[BLK_ZEROES] : 0;

        json_set_uint(j, ops, s->ops[rows[i].op] + more);
        json_set_uint(j, failed, s->failed[rows[i].op]);
        if (rows[i].op != BLK_FLUSH) {
            json_set_uint(j, bytes, s->bytes[rows[i].op] + more_bytes);
        }
        for (unsigned k = 0; k < (rows[i].op == BLK_FLUSH ? 2 : 3); k++) {
            g_autofree char *key = g_strdup_printf(k == 0 ? "%s_total_time_ns" : k == 1 ? "invalid_%s_operations" : "%s_merged", rows[i].word);

            json_set_int(j, key, 0);
        }
    }
    json_set_uint(j, "wr_highest_offset", s->highest);
    json_set_bool(j, "account_invalid", true);
    json_set_bool(j, "account_failed", true);
    json_set(j, "timed_stats", json_array());
    return j;
}

static Json *node_counters(const BlkNode *n)
{
    Json *j = json_object();

    json_set(j, "stats", counters(&(BlkStats){}));
    json_set_string(j, "node-name", n->name);
    return j;
}

static void each_counter(Blk *b, void *opaque)
{
    BlkNode *n = blk_node(b);
    BlkStats s;
    Json *j;

    if (!*blk_name(b) && !blk_device(b)) {
        return;
    }
    blk_stats(b, &s);
    j = json_object();
    json_set_string(j, "device", blk_name(b));
    if (n && n->file) {
        json_set(j, "parent", node_counters(n->file->node));
    }
    json_set(j, "stats", counters(&s));
    if (n) {
        json_set_string(j, "node-name", n->name);
    }
    if (blk_device(b)) {
        json_set_string(j, "qdev", blk_device(b));
    }
    if (n && n->backing) {
        json_set(j, "backing", node_counters(n->backing->node));
    }
    json_append(opaque, j);
}

static void each_node_counter(BlkNode *n, void *opaque)
{
    json_append(opaque, node_counters(n));
}

static bool stats_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    if (json_get_bool(call->args, "query-nodes", false)) {
        blk_nodes_foreach(call->session, each_node_counter, call->ret);
    } else {
        blks_foreach(call->session, each_counter, call->ret);
    }
    return true;
}
static const OptKey stats_keys[] = { { "query-nodes", OPT_BOOL }, {} };
COMMAND(stats_command, .qmp = "query-blockstats", .keys = stats_keys, .waits = true, .run = stats_run, .ret_type = "[any]");
