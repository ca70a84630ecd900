/* SPDX-License-Identifier: MIT */
/* Zeroes and discards of disks in grains: a word in a table where there is one for it, else the bytes of the grain (block/grains.h). */
#include "block/grains.h"

#include <errno.h>

static Grains *grains(BlkNode *n)
{
    return n->state;
}

/* Of the `len` bytes from `off` on, `*now` are done; 1: but for the bytes where they lie.  With the lock. */
typedef int Step(BlkNode *n, uint64_t off, uint64_t len, unsigned flags, GrainPlace *p, uint64_t *now);
typedef int Bytes(BlkNode *file, uint64_t off, uint64_t len, unsigned flags);

static int each_grain(BlkNode *n, uint64_t off, uint64_t len, unsigned flags, Step *step, Bytes *bytes)
{
    Grains *g = grains(n);
    int r = 0;

    while (len && r == 0) {
        uint64_t now = 0;
        GrainPlace p;
        GrainUse u;

        fiber_mutex_lock(&g->lock);
        r = grains_begin(n);
        r = r ? r : grains_find(n, off, len, &p);
        now = r ? 0 : MIN(len, p.run);
        r = r ? r : step(n, off, len, flags, &p, &now);
        if (r == 1) {
            grains_use_begin(g, &u, off, now);
        }
        fiber_mutex_unlock(&g->lock);
        if (r == 1) {
            r = bytes(p.file, p.offset, now, flags);
            grains_use_end(g, &u);
        }
        off += now;
        len -= now;
    }
    return r;
}

/* All of the grain loses its place; -ENOTSUP: it keeps it. */
static int drop(BlkNode *n, uint64_t off, uint64_t len, const GrainPlace *p, uint64_t *now)
{
    int r = grains_can_drop(n, p, off, len) ? grains_drop(n, p) : -ENOTSUP;

    *now = r == 0 ? MIN(len, p->size) : *now;
    return r;
}

static int discard_step(BlkNode *n, uint64_t off, uint64_t len, unsigned flags, GrainPlace *p, uint64_t *now)
{
    int r = drop(n, off, len, p, now);

    return r != -ENOTSUP ? r : p->kind == GRAIN_DATA && !grains(n)->ops->encode;
}

static int discard_bytes(BlkNode *file, uint64_t off, uint64_t len, unsigned flags)
{
    return node_discard(file, off, len);
}

int grains_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return each_grain(n, off, len, 0, discard_step, discard_bytes);
}

static int zero_step(BlkNode *n, uint64_t off, uint64_t len, unsigned flags, GrainPlace *p, uint64_t *now)
{
    const GrainOps *ops = grains(n)->ops;
    int r = flags & BLK_MAY_UNMAP ? drop(n, off, len, p, now) : -ENOTSUP;

    if (p->kind == GRAIN_ZERO || (p->kind == GRAIN_ABSENT && !node_has_below(n) && !ops->mark)) {
        return 0;
    }
    if (r != -ENOTSUP) {
        return r;
    }
    if (p->kind == GRAIN_DATA) {
        r = ops->touch ? ops->touch(n, p) : 0;
        return ops->encode ? -ENOTSUP : r ? r : 1;
    }
    if (ops->link_zero && off == p->start && (len >= p->size || off + len >= node_size(n))) {
        *now = MIN(len, p->size);
        grains_forget_unpacked(grains(n));
        return ops->link_zero(n, p);
    }
    return -ENOTSUP;
}

int grains_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    return each_grain(n, off, len, flags & ~(unsigned)BLK_FUA, zero_step, node_zeroes);
}
