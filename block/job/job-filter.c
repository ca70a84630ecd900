/* SPDX-License-Identifier: MIT */
#include "block/job/job-filter.h"

#include "block/filter/filter.h"

typedef struct JobFilter {
    RangeLock ranges;
    const JobFilterOps *ops;
    void *opaque;
} JobFilter;

RangeLock *job_filter_ranges(BlkNode *filter)
{
    return &((JobFilter *)filter->state)->ranges;
}

static const OptKey filter_keys[] = { { "file", OPT_ANY, "the disk" }, {} };

static bool jf_open(BlkNode *n, Json *o, Error **errp)
{
    range_lock_init(&((JobFilter *)n->state)->ranges);
    if (filter_open(n, o, "file", errp)) {
        return true;
    }
    range_lock_destroy(&((JobFilter *)n->state)->ranges);
    return false;
}

static void jf_close(BlkNode *n)
{
    range_lock_destroy(&((JobFilter *)n->state)->ranges);
}

static void enter(BlkNode *n, RangeHold *hold, uint64_t off, uint64_t len)
{
    JobFilter *f = n->state;

    range_enter(&f->ranges, hold, off, len, f->ops && f->ops->own && f->ops->own(f->opaque));
}

static int leave(BlkNode *n, RangeHold *hold, BlkOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags, int r)
{
    JobFilter *f = n->state;

    if (f->ops && f->ops->wrote) {
        r = f->ops->wrote(f->opaque, op, off, len, v, flags, r);
    }
    range_leave(&f->ranges, hold);
    return r;
}

static int jf_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    RangeHold hold;

    enter(n, &hold, off, len);
    return leave(n, &hold, BLK_WRITE, off, len, v, flags, filter_write(n, off, len, v, flags));
}

static int jf_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    RangeHold hold;

    enter(n, &hold, off, len);
    return leave(n, &hold, BLK_WRITE, off, len, v, BLK_COMPRESSED_WRITE, filter_write_compressed(n, off, len, v));
}

static int jf_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    RangeHold hold;

    enter(n, &hold, off, len);
    return leave(n, &hold, BLK_DISCARD, off, len, (BlkVec){}, 0, filter_discard(n, off, len));
}

static int jf_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    RangeHold hold;

    enter(n, &hold, off, len);
    return leave(n, &hold, BLK_ZEROES, off, len, (BlkVec){}, flags, filter_wrote(n, off + len, node_zeroes(n->file->node, off, len, flags)));
}

static const BlkDriver job_filter = {
    .name = "job-filter", .help = "what a job puts on a disk; by itself it only passes on", .kind = BLK_DRV_FILTER, .state_size = sizeof(JobFilter),
    .options = filter_keys, .open = jf_open, .close = jf_close, .read = filter_read, .write = jf_write, .write_compressed = jf_write_compressed,
    .discard = jf_discard, .zeroes = jf_zeroes, .status = filter_status, .resize = filter_resize, .fua = true,
};
BLK_DRIVER(job_filter);

BlkNode *job_filter_insert(BlkJob *j, BlkNode *n, const char *name, const JobFilterOps *ops, void *opaque, Error **errp)
{
    Json *o = json_object();
    BlkNode *f;
    BlkGraph *g;

    json_set_string(o, "driver", "job-filter");
    json_set_string(o, "file", n->name);
    if (name) {
        json_set_string(o, "node-name", name);
    }
    f = blk_node_open(n->session, NULL, o, (n->flags & (BLK_O_RDWR | BLK_O_UNMAP)), errp);
    if (!f) {
        return NULL;
    }
    ((JobFilter *)f->state)->ops = ops;
    ((JobFilter *)f->state)->opaque = opaque;
    g = blk_graph_begin(n->session);
    blk_graph_replace(g, n, f);
    if (!blk_graph_commit(g, errp) || !job_claim(j, f, errp)) {
        blk_node_unref(f);
        return NULL;
    }
    return f;
}

void job_filter_remove(BlkNode *f)
{
    BlkNode *below = f && f->file ? f->file->node : NULL;
    BlkGraph *g;
    bool ok;

    if (!f) {
        return;
    }
    g = blk_graph_begin(f->session);
    ((JobFilter *)f->state)->ops = NULL;
    if (f->users) {
        blk_graph_replace(g, f, below);
    }
    ok = blk_graph_commit(g, NULL);
    g_assert(ok && "a filter asks for what its users ask for");
    blk_node_unref(f);
}
