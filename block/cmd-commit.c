/* SPDX-License-Identifier: MIT */
/* commit, by hand: what an overlay holds goes into its backing file now, and the overlay is empty.  Guests wait meanwhile; the job block-commit lets them run. */
#include <string.h>

#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/image.h"
#include "block/job/job.h"

typedef struct {
    BlkNode *top;
    Blk *base;
    int result;
} CommitNow;

static void run_commit(void *opaque)
{
    CommitNow *c = opaque;

    c->result = blk_commit_data(c->top, c->base, NULL, NULL);
    c->result = c->result ? c->result : blk_make_empty(c->top);
}

/* With the handle drained: nobody else writes to the two. */
static bool commit_node(BlkNode *top, BlkNode *base, Error **errp)
{
    CommitNow c = { .top = top, .base = blk_new(top->session, NULL, BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_ALL, errp) };
    bool ok = c.base && blk_insert(c.base, base, errp) && (blk_size(c.base) >= node_size(top) || blk_resize(c.base, node_size(top), BLK_PREALLOC_OFF, errp));

    if (ok) {
        blk_run(NULL, run_commit, &c);
        ok = c.result == 0 || error_set_errno(errp, -c.result, "Could not write to the backing file");
    }
    blk_free(c.base);
    return ok;
}

static bool commit_blk(Blk *b, Error **errp)
{
    BlkNode *top = blk_node(b), *base;
    unsigned perm, shared;
    bool ok, was_read_only;

    while (blk_filtered(top)) {
        top = blk_filtered(top);
    }
    base = blk_node_backing(top);
    if (!base) {
        return error_set(errp, "'commit' error for '%s': it has no backing file", blk_name(b));
    }
    if (top->read_only) {
        return error_set(errp, "'commit' error for '%s': it is read-only", blk_name(b));
    }
    if (!job_check_free(top, errp) || !job_check_free(base, errp)) {
        return false;
    }
    was_read_only = base->read_only;
    blk_drain_begin(b);
    blk_get_perm(b, &perm, &shared);            /* the disk does not share writing below, and writes nothing while it is drained */
    ok = blk_set_perm(b, perm, BLK_PERM_ALL, errp) && blk_node_set_read_only(base, false, errp) && commit_node(top, base, errp);
    if (was_read_only && !base->read_only) {
        blk_node_set_read_only(base, true, NULL);
    }
    blk_set_perm(b, perm, shared, NULL);
    blk_drain_end(b);
    return ok || error_prepend(errp, "'commit' error for '%s': ", blk_name(b));
}

typedef struct {
    Error **errp;
    bool ok;
} All;

static void commit_each(Blk *b, void *data)
{
    All *all = data;
    BlkNode *top = blk_node(b);

    while (top && blk_filtered(top)) {
        top = blk_filtered(top);
    }
    if (all->ok && *blk_name(b) && top && blk_node_backing(top) && !top->read_only) {
        all->ok = commit_blk(b, all->errp);
    }
}

static bool run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device");
    Blk *b = blk_find(call->session, device);

    if (!strcmp(device, "all")) {
        All all = { errp, true };

        blks_foreach(call->session, commit_each, &all);
        return all.ok;
    }
    if (!b) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
    }
    if (!blk_node(b)) {
        return error_set(errp, "Device '%s' has no medium", device);
    }
    return commit_blk(b, errp);
}
static const OptKey keys[] = { { "device", OPT_STRING, .must = true }, {} };
COMMAND(commit_command, .name = "commit", .params = "device|all", .help = "commit changes to the disk images (if -snapshot is used) or backing files", .keys = keys, .waits = true,
        .run = run);
