/* SPDX-License-Identifier: MIT */
/* info block: disks and nodes, for people. */
#include <string.h>

#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/throttle.h"

/* The node's image and all that lie below it. */
static void print_images(GString *out, BlkNode *n)
{
    g_autoptr(Json) all = blk_image_info(n, true);

    g_string_append(out, "\nImages:\n");
    for (const Json *j = all; j; j = json_get(j, "backing-image")) {
        blk_info_text(out, j);
    }
}

static void print_node(GString *out, BlkNode *n, const Blk *b, bool verbose)
{
    g_autofree char *name = blk_node_full_name(n);
    bool encrypted = n->drv->image && n->drv->image->encrypted && n->drv->image->encrypted(n);

    g_string_append_printf(out, ": %s (%s%s%s)\n", name, n->drv->name, n->read_only ? ", read-only" : "", encrypted ? ", encrypted" : "");
    if (b && blk_device(b)) {
        g_string_append_printf(out, "    Attached to:      %s\n", blk_device(b));
    }
    if (b && blk_io_status(b) && strcmp(blk_io_status(b), "ok")) {
        g_string_append_printf(out, "    I/O status:       %s\n", blk_io_status(b));
    }
    g_string_append_printf(out, "    Cache mode:       %s%s%s\n", b && blk_writethrough(b) ? "writethrough" : "writeback",
                           n->flags & BLK_O_DIRECT ? ", direct" : "", n->flags & BLK_O_NO_FLUSH ? ", ignore flushes" : "");
    if (n->backing) {
        g_autofree char *below = blk_node_full_name(n->backing->node);

        g_string_append_printf(out, "    Backing file:     %s (chain depth: %u)\n", below, blk_chain_depth(n));
    }
    if (n->detect_zeroes) {
        g_string_append_printf(out, "    Detect zeroes:    %s\n", n->flags & BLK_O_UNMAP ? "unmap" : "on");
    }
    if (b) {
        blk_throttle_print(b, out);
    }
    if (verbose) {
        print_images(out, n);
    }
}

typedef struct { GString *out; bool verbose; } Listing;

static void next_one(GString *out)
{
    if (out->len) {
        g_string_append_c(out, '\n');
    }
}

static void print_disk(Blk *b, void *opaque)
{
    const Listing *l = opaque;
    GString *out = l->out;
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
    print_node(out, n, b, l->verbose);
}

static void print_named(BlkNode *n, void *opaque)
{
    const Listing *l = opaque;

    next_one(l->out);
    g_string_append(l->out, n->name);
    print_node(l->out, n, NULL, l->verbose);
}

static bool block_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "device");
    bool nodes = json_get_bool(call->args, "nodes", false);
    Listing l = { call->out, json_get_bool(call->args, "verbose", false) };
    Blk *b = name ? blk_find(call->session, name) : NULL;
    BlkNode *n = name ? blk_node_find(call->session, name) : NULL;

    if (b && !nodes) {
        print_disk(b, &l);
    } else if (n) {
        print_named(n, &l);
    } else if (!name && nodes) {
        blk_nodes_foreach(call->session, print_named, &l);
    } else if (!name) {
        blks_foreach(call->session, print_disk, &l);
    }
    return true;
}
static const OptKey block_keys[] = { { "nodes", OPT_BOOL, .alias = "n" }, { "verbose", OPT_BOOL, .alias = "v" }, { "device", OPT_STRING }, {} };
COMMAND(block_command, .name = "info block", .params = "[-n] [-v] [device]",
        .help = "show info of one block device or all block devices (-n: show named nodes; -v: show details)", .keys = block_keys, .waits = true, .run = block_run);
