/* SPDX-License-Identifier: MIT */
/*
 * Unaligned requests to nodes that need alignment (direct I/O): read, change,
 * write.  While such a write is on its way nobody else may write to the same
 * blocks, so all writes to such a node are listed, and wait for those that
 * they overlap if either is unaligned.
 */
#include "block/block-priv.h"

#include <errno.h>
#include <stdlib.h>

typedef struct NodeWrite {
    uint64_t start, end;            /* in whole blocks */
    bool unaligned;
    struct NodeWrite *next;
} NodeWrite;

static bool clash(const BlkNode *n, const NodeWrite *w)
{
    for (const NodeWrite *o = n->tracked; o; o = o->next) {
        if (o->start < w->end && w->start < o->end && (o->unaligned || w->unaligned)) {
            return true;
        }
    }
    return false;
}

static void enter(BlkNode *n, NodeWrite *w)
{
    io_lock(&n->lock);
    while (clash(n, w)) {
        fiber_queue_wait(&n->tracked_wait, &n->lock);
        io_lock(&n->lock);
    }
    w->next = n->tracked;
    n->tracked = w;
    io_unlock(&n->lock);
}

static void leave(BlkNode *n, NodeWrite *w)
{
    NodeWrite **at;

    io_lock(&n->lock);
    for (at = &n->tracked; *at != w; at = &(*at)->next) {
    }
    *at = w->next;
    io_unlock(&n->lock);
    fiber_queue_wake_all(&n->tracked_wait);
}

/* The driver's read of whole blocks; what lies beyond the end is zeroes. */
static int read_blocks(BlkNode *n, uint64_t off, void *buf, uint64_t len)
{
    return n->drv->read(n, off, len, BLK_VEC1(buf, len), 0);
}

static int write_rmw(BlkNode *n, const NodeWrite *w, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t all = w->end - w->start, tail = w->end - n->align;
    char *buf = blk_buffer(all);
    int r = 0;

    if (off > w->start) {
        r = read_blocks(n, w->start, buf, n->align);
    }
    if (r == 0 && off + len < w->end && (tail > w->start || off == w->start)) {
        r = read_blocks(n, tail, buf + (tail - w->start), n->align);
    }
    if (r == 0) {
        blk_vec_read(v, buf + (off - w->start), len);
        r = n->drv->write(n, w->start, all, BLK_VEC1(buf, all), flags);
    }
    free(buf);
    return r;
}

int node_write_tracked(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t mask = n->align - 1;
    NodeWrite w = { off & ~mask, (off + len + mask) & ~mask, ((off | len) & mask) != 0, NULL };
    uint64_t size = node_size(n);
    int r;

    enter(n, &w);
    r = w.unaligned ? write_rmw(n, &w, off, len, v, flags) : n->drv->write(n, off, len, v, flags);
    if (r == 0 && w.unaligned && w.end > size && off + len < w.end) {
        /* whole blocks went beyond the end: cut what nobody asked for */
        r = n->drv->resize && !n->drv->resize(n, MAX(size, off + len), BLK_PREALLOC_OFF, NULL) ? -EIO : 0;
        if (r == 0) {
            __atomic_store_n(&n->size, MAX(size, off + len), __ATOMIC_RELAXED);
        }
    }
    leave(n, &w);
    return r;
}

int node_read_bounced(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t mask = n->align - 1, start = off & ~mask, end = (off + len + mask) & ~mask;
    char *buf = blk_buffer(end - start);
    int r = n->drv->read(n, start, end - start, BLK_VEC1(buf, end - start), flags);

    if (r == 0) {
        blk_vec_write(v, buf + (off - start), len);
    }
    free(buf);
    return r;
}
