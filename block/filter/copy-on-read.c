/* SPDX-License-Identifier: MIT */
/*
 * What a read finds in a backing file is written into the layer above, so that
 * the next one finds it there.
 *
 * The copy of a cluster owns its range of the disk (range-lock.h): a guest's
 * write to it waits, or the copy would put the old bytes over the new ones.
 */
#include "block/filter/filter.h"

#include <errno.h>
#include <stdlib.h>

#include "block/range-lock.h"

enum { COPY_MAX = 1 << 20, COPY_MIN = 4096 };

typedef struct {
    RangeLock ranges;
    BlkNode *bottom;            /* what lies below it is not copied; NULL: everything is */
} Cor;

static const OptKey cor_keys[] = {
    { "file", OPT_ANY, "the disk" },
    { "bottom", OPT_STRING, "node of the chain below which nothing is copied up" },
    {}
};

/* The layer below `name` in the chain of `n`. */
static bool find_bottom(BlkNode *n, const char *name, Error **errp)
{
    Cor *s = n->state;
    BlkNode *b;

    for (b = n->file->node; b && g_strcmp0(b->name, name); b = b->backing ? b->backing->node : NULL) {
    }
    if (!b) {
        return error_set(errp, "Bottom node '%s' not found", name);
    }
    if (!b->backing) {
        return error_set(errp, "Bottom node '%s' has no backing file: leave bottom out", name);
    }
    s->bottom = b->backing->node;
    return true;
}

static bool cor_open(BlkNode *n, Json *o, Error **errp)
{
    Cor *s = n->state;
    const char *bottom = json_get_string(o, "bottom");

    range_lock_init(&s->ranges);
    return filter_open(n, o, "file", errp) && (!bottom || find_bottom(n, bottom, errp));
}

static void cor_close(BlkNode *n)
{
    range_lock_destroy(&((Cor *)n->state)->ranges);
}

static void cor_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm | (n->read_only ? 0 : BLK_PERM_WRITE_SAME);
    *child_shared = shared | BLK_PERM_WRITE_SAME;
}

/* Is the top layer, or one down to the bottom, without these bytes?  *len is cut to what has the same answer. */
static int missing(BlkNode *n, uint64_t off, uint64_t *len)
{
    Cor *s = n->state;
    BlkExtent e;
    int r = node_status_chain(n->file->node, NULL, off, *len, &e);

    if (r < 0) {
        return r;
    }
    *len = MIN(*len, e.len);
    if (e.depth == 0 || !(e.flags & BLK_EXT_ALLOCATED)) {
        return 0;                                       /* it is there, or nobody has it */
    }
    if (s->bottom) {
        r = node_status_chain(n->file->node, s->bottom, off, *len, &e);
        if (r < 0) {
            return r;
        }
        *len = MIN(*len, e.len);
        return e.depth > 0 && (e.flags & BLK_EXT_ALLOCATED);
    }
    return 1;
}

static int copy_up(BlkNode *n, uint64_t start, uint64_t end)
{
    Cor *s = n->state;
    uint8_t *buf = blk_buffer(end - start);
    RangeHold hold;
    int r = 0;

    range_enter(&s->ranges, &hold, start, end - start, true);
    for (uint64_t off = start, len; off < end && r == 0; off += len) {
        len = end - off;
        r = missing(n, off, &len);
        if (r > 0) {
            r = node_pread_padded(n->file->node, off, buf, len);
            r = r ? r : node_write(n->file->node, off, len, BLK_VEC1(buf, len), BLK_SAME);
        }
    }
    range_leave(&s->ranges, &hold);
    free(buf);
    return r;
}

static int cor_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t unit = MAX(n->cluster, COPY_MIN), size = node_size(n);

    for (uint64_t at = off, part; at < off + len && !n->read_only; at += part) {
        int r;

        part = off + len - at;
        r = missing(n, at, &part);
        if (r > 0) {
            uint64_t start = at / unit * unit, end = MIN((at + part + unit - 1) / unit * unit, size);

            for (uint64_t p = start; p < end && r >= 0; p += COPY_MAX) {
                r = copy_up(n, p, MIN(end, p + COPY_MAX));
            }
        }
        if (r < 0) {
            break;                                      /* the copy is a favour; the read itself says what is wrong */
        }
    }
    return flags & BLK_PREFETCH ? 0 : filter_read(n, off, len, v, flags);
}

static int cor_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    RangeHold hold;
    int r;

    range_enter(&((Cor *)n->state)->ranges, &hold, off, len, false);
    r = filter_write(n, off, len, v, flags);
    range_leave(&((Cor *)n->state)->ranges, &hold);
    return r;
}

static int cor_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    RangeHold hold;
    int r;

    range_enter(&((Cor *)n->state)->ranges, &hold, off, len, false);
    r = filter_write_compressed(n, off, len, v);
    range_leave(&((Cor *)n->state)->ranges, &hold);
    return r;
}

static int cor_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    RangeHold hold;
    int r;

    range_enter(&((Cor *)n->state)->ranges, &hold, off, len, false);
    r = filter_discard(n, off, len);
    range_leave(&((Cor *)n->state)->ranges, &hold);
    return r;
}

static int cor_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    RangeHold hold;
    int r;

    range_enter(&((Cor *)n->state)->ranges, &hold, off, len, false);
    r = filter_zeroes(n, off, len, flags);
    range_leave(&((Cor *)n->state)->ranges, &hold);
    return r;
}

static const BlkDriver copy_on_read = {
    .name = "copy-on-read", .help = "what is read from a backing file is kept in the layer above", .kind = BLK_DRV_FILTER, .state_size = sizeof(Cor),
    .options = cor_keys, .open = cor_open, .close = cor_close, .child_perm = cor_perm, .read = cor_read, .write = cor_write,
    .write_compressed = cor_write_compressed, .discard = cor_discard, .zeroes = cor_zeroes, .status = filter_status, .resize = filter_resize, .fua = true,
};
BLK_DRIVER(copy_on_read);
