/* SPDX-License-Identifier: MIT */
/*
 * Before a guest's write to the disk, what it overwrites is copied to a target,
 * once a granule: the target (above the disk as its backing file, or after a
 * job has copied the rest) shows the disk as it was when the filter came.
 *
 * A copy owns its granules, a write uses them; the copy goes first, so a write
 * never overtakes it.  Readers of the old state use their granules: as long as
 * they do, none of them is copied, and so none overwritten.
 */
#include "block/job/cbw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/filter/filter.h"
#include "block/job/copy.h"
#include "block/range-lock.h"

typedef struct Cbw {
    RangeLock ranges;
    BlkNode *target;
    BlkBitmap *todo;
    bool break_snapshot;            /* a copy that fails costs the snapshot, not the guest's write */
    int error;                      /* atomic */
} Cbw;

static const OptKey cbw_keys[] = {
    { "file", OPT_ANY, "the disk" },
    { "target", OPT_ANY, "where the old data goes" },
    { "on-cbw-error", OPT_ENUM, "what a copy that fails breaks", .values = "break-guest-write|break-snapshot", .def = "break-guest-write" },
    { "min-cluster-size", OPT_SIZE, "what is copied at once, at least", .max = 1 << 30 },
    { "bitmap", OPT_ANY, "", .absent = "the whole disk is kept; blockdev-backup takes a bitmap" },
    { "cbw-timeout", OPT_NUMBER, "", .absent = "a copy takes as long as the target" },
    {}
};

BlkBitmap *cbw_todo(BlkNode *n)
{
    return ((Cbw *)n->state)->todo;
}

int cbw_error(BlkNode *n)
{
    return __atomic_load_n(&((Cbw *)n->state)->error, __ATOMIC_RELAXED);
}

static bool cbw_open(BlkNode *n, Json *o, Error **errp)
{
    Cbw *s = n->state;
    const char *on_error = json_get_string(o, "on-cbw-error");
    uint64_t least = json_get_u64(o, "min-cluster-size", 65536);
    BlkChild *c;

    range_lock_init(&s->ranges);
    if (!filter_open(n, o, "file", errp) || !(c = blk_open_child(n, o, "target", NULL, BLK_CHILD_DATA, 0, errp))) {
        range_lock_destroy(&s->ranges);
        return false;
    }
    if (node_size(c->node) != node_size(n) || (least & (least - 1)) || least < 512) {
        range_lock_destroy(&s->ranges);
        return error_set(errp, node_size(c->node) != node_size(n) ? "Source and target image have different sizes" : "min-cluster-size needs to be a power of 2");
    }
    s->target = c->node;
    s->break_snapshot = on_error && !strcmp(on_error, "break-snapshot");
    s->todo = blk_bitmap_alloc(node_size(n), MAX(MAX(least, c->node->cluster), c->node->align));
    blk_bitmap_set(s->todo, 0, node_size(n));
    return true;
}

static void cbw_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    Cbw *s = n->state;

    s->target = c->role == BLK_CHILD_DATA ? c->node : s->target;
}

static void cbw_close(BlkNode *n)
{
    Cbw *s = n->state;

    blk_bitmap_free(s->todo);
    range_lock_destroy(&s->ranges);
}

static void cbw_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    if (c->role == BLK_CHILD_FILTERED) {
        *child_perm = perm | (n->users ? BLK_PERM_READ : 0);
        *child_shared = shared;
    } else {
        *child_perm = BLK_PERM_WRITE;
        *child_shared = BLK_PERM_ALL;           /* who reads it sees the old state */
    }
}

int cbw_copy(BlkNode *n, uint64_t off, uint64_t len, unsigned flags, bool *read)
{
    Cbw *s = n->state;
    uint64_t g = blk_bitmap_granularity(s->todo), end = MIN(node_size(n), s->todo->size);
    RangeHold hold;
    int r = 0;

    len = MIN((off + len + g - 1) & ~(g - 1), end) - (off & ~(g - 1));
    off &= ~(g - 1);
    range_enter(&s->ranges, &hold, off, len, true);
    for (uint64_t at = off, run; at < off + len && r == 0; at += run) {
        bool set;

        run = blk_bitmap_run(s->todo, at, off + len - at, &set);
        if (set) {
            r = job_copy_range(NULL, n->file->node, s->target, at, run, flags, read);
            if (r == 0) {
                blk_bitmap_clear(s->todo, at, run);
            }
        }
    }
    range_leave(&s->ranges, &hold);
    return r;
}

/* A piece at a time, so that a large discard does not own the disk for long. */
static int before_write(BlkNode *n, uint64_t off, uint64_t len)
{
    Cbw *s = n->state;
    bool read = false;
    int r = cbw_error(n) ? 0 : 1;

    while (len && r) {
        uint64_t now = MIN(len, COPY_CHUNK - (off & (COPY_CHUNK - 1)));

        r = cbw_copy(n, off, now, 0, &read);
        if (r < 0 && s->break_snapshot) {
            __atomic_store_n(&s->error, r, __ATOMIC_RELAXED);
            return 0;
        }
        if (r < 0) {
            return r;
        }
        off += now;
        len -= now;
        r = 1;
    }
    return 0;
}

static int use(BlkNode *n, RangeHold *hold, uint64_t off, uint64_t len)
{
    int r = before_write(n, off, len);

    if (r == 0) {
        range_enter(&((Cbw *)n->state)->ranges, hold, off, len, false);
    }
    return r;
}

static int unuse(BlkNode *n, RangeHold *hold, int r)
{
    range_leave(&((Cbw *)n->state)->ranges, hold);
    return r;
}

static int cbw_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    RangeHold hold;
    int r = use(n, &hold, off, len);

    return r < 0 ? r : unuse(n, &hold, filter_write(n, off, len, v, flags));
}

static int cbw_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    RangeHold hold;
    int r = use(n, &hold, off, len);

    return r < 0 ? r : unuse(n, &hold, filter_write_compressed(n, off, len, v));
}

static int cbw_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    RangeHold hold;
    int r = use(n, &hold, off, len);

    return r < 0 ? r : unuse(n, &hold, filter_discard(n, off, len));
}

static int cbw_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    RangeHold hold;
    int r = use(n, &hold, off, len);

    return r < 0 ? r : unuse(n, &hold, filter_wrote(n, off + len, node_zeroes(n->file->node, off, len, flags)));
}

/* ---- the old state ---- */

int cbw_read_old(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Cbw *s = n->state;
    RangeHold hold;
    int r = cbw_error(n) ? -EACCES : 0;

    range_enter(&s->ranges, &hold, off, len, false);
    for (uint64_t at = off, run; at < off + len && r == 0; at += run) {
        bool here;

        run = blk_bitmap_run(s->todo, at, off + len - at, &here);
        r = node_read_below(here ? n->file->node : s->target, at, run, blk_vec_from(v, at - off), 0);
    }
    range_leave(&s->ranges, &hold);
    return r;
}

const BlkDriver cbw_driver = {
    .name = "copy-before-write", .help = "what is overwritten is kept on another disk", .kind = BLK_DRV_FILTER, .state_size = sizeof(Cbw), .options = cbw_keys,
    .open = cbw_open, .close = cbw_close, .child_moved = cbw_child_moved, .child_perm = cbw_perm, .read = filter_read, .write = cbw_write, .write_compressed = cbw_write_compressed,
    .discard = cbw_discard, .zeroes = cbw_zeroes, .status = filter_status, .fua = true,
};
BLK_DRIVER(cbw_driver);

/* ---- snapshot-access: a disk of its own that shows the old state ---- */

static const OptKey access_keys[] = { { "file", OPT_ANY, "a copy-before-write node" }, {} };

static bool access_open(BlkNode *n, Json *o, Error **errp)
{
    BlkChild *c = blk_open_child(n, o, "file", NULL, BLK_CHILD_DATA, 0, errp);

    if (!c) {
        return false;
    }
    if (c->node->drv != &cbw_driver) {
        return error_set(errp, "snapshot-access needs a copy-before-write node below it, not '%s'", c->node->drv->name);
    }
    n->size = node_size(c->node);
    n->read_only = true;
    return true;
}

static void access_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = 0;
    *child_shared = BLK_PERM_ALL;
}

static int access_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return cbw_read_old(n->children->node, off, len, v);
}

static const BlkDriver snapshot_access = {
    .name = "snapshot-access", .help = "the disk as a copy-before-write node keeps it", .kind = BLK_DRV_FORMAT, .options = access_keys, .open = access_open,
    .child_perm = access_perm, .read = access_read,
};
BLK_DRIVER(snapshot_access);

/* ---- the guard of a target whose backing file is the disk ---- */

typedef struct { BlkNode *filter; } Guard;

static bool guard_open(BlkNode *n, Json *o, Error **errp)
{
    n->read_only = true;
    return filter_open(n, o, "file", errp);
}

/* The target has found nothing of its own; it may have it by now. */
static int guard_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    BlkNode *f = ((Guard *)n->state)->filter;
    Cbw *s = f ? f->state : NULL;
    RangeHold hold;
    int r = 0;

    if (!s) {
        return filter_read(n, off, len, v, flags);
    }
    range_enter(&s->ranges, &hold, off, len, false);
    for (uint64_t at = off, run; at < off + len && r == 0; at += run) {
        BlkExtent e = {};
        bool here;

        run = blk_bitmap_run(s->todo, at, off + len - at, &here);
        if (!here && node_status(s->target, at, run, &e) == 0 && e.len) {
            run = e.len;
        }
        r = node_read_below(e.flags & BLK_EXT_ALLOCATED ? s->target : n->file->node, at, run, blk_vec_from(v, at - off), 0);
    }
    range_leave(&s->ranges, &hold);
    return r;
}

static const BlkDriver cbw_guard = {
    .name = "snapshot-guard", .help = "between a backup's target and the disk below it; by itself it only passes on", .kind = BLK_DRV_FILTER,
    .state_size = sizeof(Guard), .options = access_keys, .open = guard_open, .read = guard_read, .status = filter_status,
};
BLK_DRIVER(cbw_guard);

BlkNode *cbw_guard_new(BlkNode *filter, BlkNode *source, Error **errp)
{
    Json *o = json_object();
    BlkNode *n;

    json_set_string(o, "driver", "snapshot-guard");
    json_set_string(o, "file", source->name);
    n = blk_node_open(source->session, NULL, o, 0, errp);
    if (n) {
        ((Guard *)n->state)->filter = filter;
    }
    return n;
}
