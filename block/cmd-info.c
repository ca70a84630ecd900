/* SPDX-License-Identifier: MIT */
/* info block: disks and nodes, for people. */
#include <string.h>

#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/throttle.h"

static unsigned chain_depth(const BlkNode *n)
{
    unsigned depth = 0;

    for (; blk_node_below(n); n = blk_node_below(n)) {
        depth += n->backing != NULL;
    }
    return depth;
}

static void print_node(GString *out, BlkNode *n, const Blk *b)
{
    bool encrypted = n->drv->image && n->drv->image->encrypted && n->drv->image->encrypted(n);

    g_string_append_printf(out, ": %s (%s%s%s)\n", n->filename, n->drv->name, n->read_only ? ", read-only" : "", encrypted ? ", encrypted" : "");
    if (b && blk_device(b)) {
        g_string_append_printf(out, "    Attached to:      %s\n", blk_device(b));
    }
    g_string_append_printf(out, "    Cache mode:       %s%s%s\n", b && blk_writethrough(b) ? "writethrough" : "writeback",
                           n->flags & BLK_O_DIRECT ? ", direct" : "", n->flags & BLK_O_NO_FLUSH ? ", ignore flushes" : "");
    if (n->backing) {
        g_string_append_printf(out, "    Backing file:     %s (chain depth: %u)\n", n->backing->node->filename, chain_depth(n));
    }
    if (n->detect_zeroes) {
        g_string_append_printf(out, "    Detect zeroes:    %s\n", n->flags & BLK_O_UNMAP ? "unmap" : "on");
    }
    if (b) {
        blk_throttle_print(b, out);
    }
}

static void next_one(GString *out)
{
    if (out->len) {
        g_string_append_c(out, '\n');
    }
}

static void print_disk(Blk *b, void *opaque)
{
    GString *out = opaque;
    BlkNode *n = blk_node(b);

    if (!*blk_name(b) && !blk_device(b)) {
        return;                                 /* a job's, an export's */
    }
    next_one(out);
    g_string_append(out, *blk_name(b) ? blk_name(b) : n ? n->name : "<anonymous>");
    if (!n) {
        g_string_append_printf(out, ": [not inserted]\n%s%s%s", blk_device(b) ? "    Attached to:      " : "", blk_device(b) ? blk_device(b) : "", blk_device(b) ? "\n" : "");
        return;
    }
    if (*blk_name(b)) {
        g_string_append_printf(out, " (%s)", n->name);
    }
    print_node(out, n, b);
}

static void print_named(BlkNode *n, void *opaque)
{
    GString *out = opaque;

    next_one(out);
    g_string_append(out, n->name);
    print_node(out, n, NULL);
}

static bool block_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "device");
    bool nodes = json_get_bool(call->args, "nodes", false);
    Blk *b = name ? blk_find(call->session, name) : NULL;
    BlkNode *n = name ? blk_node_find(call->session, name) : NULL;

    if (b && !nodes) {
        print_disk(b, call->out);
    } else if (n) {
        print_named(n, call->out);
    } else if (!name && nodes) {
        blk_nodes_foreach(call->session, print_named, call->out);
    } else if (!name) {
        blks_foreach(call->session, print_disk, call->out);
    }
    return true;
}
static const OptKey block_keys[] = { { "nodes", OPT_BOOL, .alias = "n" }, { "device", OPT_STRING }, {} };
COMMAND(block_command, .name = "info block", .params = "[-n] [device]", .help = "show info of one block device or all block devices (-n: show named nodes)",
        .keys = block_keys, .run = block_run);
