/* SPDX-License-Identifier: MIT */
/* Requests between nodes: bounds, alignment, flushes, and what drivers leave to the layer. */
#include "block/bitmap.h"
#include "block/block-priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ZERO_CHUNK = 1 << 20, STACK_RESERVE = 64 * 1024 };

static bool aligned(const BlkNode *n, uint64_t off, uint64_t len)
{
    return ((off | len) & (n->align - 1)) == 0;
}

/* What is read has changed, or may have. */
static void wrote(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    __atomic_fetch_add(&n->write_gen, 1, __ATOMIC_RELEASE);
    if (len && off + len > __atomic_load_n(&n->highest, __ATOMIC_RELAXED)) {
        __atomic_store_n(&n->highest, off + len, __ATOMIC_RELAXED);
    }
    if (__atomic_load_n(&n->bitmaps, __ATOMIC_ACQUIRE) && !(flags & BLK_SAME)) {
        blk_bitmaps_mark(n, off, len);
    }
}

static void discarded(BlkNode *n, uint64_t off, uint64_t len, int r)
{
    __atomic_fetch_add(r ? &n->discards.failed : &n->discards.ok, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&n->discards.bytes, r ? 0 : len, __ATOMIC_RELAXED);
    __atomic_fetch_add(&n->write_gen, 1, __ATOMIC_RELEASE);
    if (__atomic_load_n(&n->bitmaps, __ATOMIC_ACQUIRE)) {
        blk_bitmaps_mark(n, off, len);
    }
}

/* ---- read ---- */

int node_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t size = node_size(n);

    if (G_UNLIKELY(off + len > size)) {
        uint64_t have = off < size ? size - off : 0;

        blk_vec_fill(blk_vec_from(v, have), 0, len - have);
        len = have;
    }
    if (len == 0) {
        return 0;
    }
    return G_LIKELY(aligned(n, off, len)) ? n->drv->read(n, off, len, v, flags) : node_read_bounced(n, off, len, v, flags);
}

int node_pread_padded(BlkNode *n, uint64_t off, void *buf, uint64_t len)
{
    return node_read(n, off, len, BLK_VEC1(buf, len), 0);
}

typedef struct {
    BlkNode *n;
    uint64_t off, len;
    BlkVec v;
    unsigned flags;
    int result;
} Nested;

static void read_nested(void *opaque)
{
    Nested *r = opaque;

    r->result = node_read(r->n, r->off, r->len, r->v, r->flags);
}

int node_read_below(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Nested r = { n, off, len, v, flags, 0 };

    if (G_LIKELY(fiber_stack_left() > STACK_RESERVE)) {
        return node_read(n, off, len, v, flags);
    }
    fiber_nest(read_nested, &r);
    return r.result;
}

/* ---- write ---- */

int node_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    bool flush_after = (flags & BLK_FUA) && !n->drv->fua;
    int r;

    if (len == 0) {
        return flags & BLK_FUA ? node_flush(n) : 0;
    }
    assert(!n->read_only);
    if (!n->drv->write) {
        return -ENOTSUP;
    }
    if (n->detect_zeroes && !(flags & BLK_COMPRESSED_WRITE) && blk_vec_is_zero(v, len)) {
        r = node_zeroes(n, off, len, (flags & BLK_FUA) | BLK_NO_FALLBACK | (n->flags & BLK_O_UNMAP ? BLK_MAY_UNMAP : 0));
        if (r != -ENOTSUP) {
            return r;
        }
    }
    if (flags & BLK_COMPRESSED_WRITE) {
        r = n->drv->write_compressed ? n->drv->write_compressed(n, off, len, v) : -ENOTSUP;
    } else if (n->align > 1) {
        r = node_write_tracked(n, off, len, v, flags);
    } else {
        r = n->drv->write(n, off, len, v, flush_after ? flags & ~BLK_FUA : flags);
    }
    wrote(n, off, len, flags);
    return r || !flush_after ? r : node_flush(n);
}

/* ---- flush ---- */

int node_flush(BlkNode *n)
{
    uint64_t gen = __atomic_load_n(&n->write_gen, __ATOMIC_ACQUIRE);
    int r = 0;

    if (n->drv->kind & BLK_DRV_PROTOCOL) {
        if ((n->flags & BLK_O_NO_FLUSH) || gen == __atomic_load_n(&n->flush_gen, __ATOMIC_ACQUIRE)) {
            return 0;
        }
        r = n->drv->flush ? n->drv->flush(n) : 0;
        if (r == 0) {
            __atomic_store_n(&n->flush_gen, gen, __ATOMIC_RELEASE);
        }
        return r;
    }
    if (n->drv->flush) {
        return n->drv->flush(n);
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        if (c->role != BLK_CHILD_BACKING && !c->node->read_only) {
            int e = node_flush(c->node);
            r = r ? r : e;
        }
    }
    return r;
}

/* ---- discard and zeroes ---- */

int node_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    uint64_t end = (off + len) & ~(uint64_t)(n->align - 1);
    int r;

    assert(!n->read_only);
    off = (off + n->align - 1) & ~(uint64_t)(n->align - 1);
    if (off >= end || !n->drv->discard || !(n->flags & BLK_O_UNMAP)) {
        return 0;
    }
    r = n->drv->discard(n, off, end - off);
    discarded(n, off, end - off, r);
    return r == -ENOTSUP ? 0 : r;
}

/* Zeroes as data, from one buffer over and over. */
static int write_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    uint64_t chunk = MIN(len, ZERO_CHUNK);
    void *zero = blk_buffer(chunk);
    int r = 0;

    memset(zero, 0, chunk);
    while (len && r == 0) {
        uint64_t now = MIN(len, chunk);

        r = node_write(n, off, now, BLK_VEC1(zero, now), flags & (BLK_FUA | BLK_SAME));
        off += now;
        len -= now;
    }
    free(zero);
    return r;
}

static int zeroes_aligned(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    bool flush_after = (flags & BLK_FUA) && !n->drv->fua;
    int r = n->drv->zeroes ? n->drv->zeroes(n, off, len, flush_after ? flags & ~BLK_FUA : flags) : -ENOTSUP;

    wrote(n, off, len, flags);
    if (r == -ENOTSUP && !(flags & BLK_NO_FALLBACK)) {
        return write_zeroes(n, off, len, flags);
    }
    return r || !flush_after ? r : node_flush(n);
}

int node_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    uint64_t mask = n->align - 1, start = (off + mask) & ~mask, end = (off + len) & ~mask;
    int r = 0;

    assert(!n->read_only);
    if (aligned(n, off, len)) {
        return zeroes_aligned(n, off, len, flags);
    }
    if (flags & BLK_NO_FALLBACK) {
        return -ENOTSUP;
    }
    if (start >= end) {
        return write_zeroes(n, off, len, flags);
    }
    if (start > off) {
        r = write_zeroes(n, off, start - off, flags);
    }
    if (r == 0) {
        r = zeroes_aligned(n, start, end - start, flags);
    }
    if (r == 0 && off + len > end) {
        r = write_zeroes(n, end, off + len - end, flags);
    }
    return r;
}

/* ---- status ---- */

int node_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    uint64_t size = node_size(n);
    int r;

    *out = (BlkExtent){};
    if (off >= size) {
        out->flags = BLK_EXT_EOF;
        return 0;
    }
    len = MIN(len, size - off);
    if (blk_filtered(n)) {
        return node_status(blk_filtered(n), off, len, out);     /* it has nothing of its own */
    }
    if (!n->drv->status) {
        *out = (BlkExtent){ .len = len, .flags = BLK_EXT_DATA | BLK_EXT_ALLOCATED };
    } else {
        r = n->drv->status(n, off, len, out);
        if (r < 0) {
            return r;
        }
        assert(out->len > 0 && out->len <= len);
    }
    if (out->flags & (BLK_EXT_DATA | BLK_EXT_ZERO)) {
        out->flags |= BLK_EXT_ALLOCATED;
    } else if (!n->backing && !(out->flags & BLK_EXT_ALLOCATED)) {
        out->flags |= BLK_EXT_ZERO;             /* nobody below answers */
    }
    if (off + out->len == size) {
        out->flags |= BLK_EXT_EOF;
    }
    return 0;
}

int node_status_chain(BlkNode *top, BlkNode *base, uint64_t off, uint64_t len, BlkExtent *out)
{
    unsigned depth = 0;
    bool ends = false;
    int r;

    for (BlkNode *n = top; n != base; n = n->backing->node, depth++) {
        while (blk_filtered(n) && blk_filtered(n) != base) {
            top = n == top ? blk_filtered(n) : top;
            n = blk_filtered(n);
        }
        if (blk_filtered(n)) {
            *out = (BlkExtent){ .len = len, .depth = depth };   /* right above the base: it has nothing of its own */
            return 0;
        }
        r = node_status(n, off, len, out);
        if (r < 0) {
            return r;
        }
        if (n == top) {
            ends = out->flags & BLK_EXT_EOF;
            len = MIN(len, out->len);
        }
        out->depth = depth;
        if (out->len == 0) {                    /* beyond the end of a shorter layer: zeroes, of the one above it */
            *out = (BlkExtent){ .len = len, .flags = BLK_EXT_ZERO | BLK_EXT_ALLOCATED, .depth = depth ? depth - 1 : 0 };
        }
        if ((out->flags & BLK_EXT_ALLOCATED) || !n->backing || n->backing->node == base) {
            break;
        }
        ends = ends && out->len == len;
        len = MIN(len, out->len);
    }
    out->flags &= ~BLK_EXT_EOF;
    if (out->len > len) {
        out->len = len;
    }
    if (off + out->len == node_size(top)) {
        out->flags |= BLK_EXT_EOF;
    }
    return 0;
}

int node_status_refine(BlkExtent *e)
{
    BlkExtent f;
    int r;

    if ((e->flags & (BLK_EXT_OFFSET | BLK_EXT_DATA | BLK_EXT_ZERO)) != (BLK_EXT_OFFSET | BLK_EXT_DATA) || !(e->node->drv->kind & BLK_DRV_PROTOCOL)) {
        return 0;
    }
    r = node_status(e->node, e->offset, e->len, &f);
    if (r < 0) {
        return r;
    }
    if (f.len == 0) {
        e->flags |= BLK_EXT_ZERO;               /* behind the file's end */
    } else if (f.len <= e->len) {
        e->flags = (e->flags & (f.len < e->len ? ~(unsigned)BLK_EXT_EOF : ~0u)) | (f.flags & BLK_EXT_ZERO);
        e->len = f.len;
    }
    return 0;
}

/* ---- copy and resize ---- */

/* Where the bytes lie as they are read: in one piece of a node below formats. */
static int plain_source(BlkNode **from, uint64_t *off, uint64_t len)
{
    while (!((*from)->drv->kind & BLK_DRV_PROTOCOL)) {
        BlkExtent e;
        int r = node_status(*from, *off, len, &e);

        if (r < 0) {
            return r;
        }
        if (e.len < len || !(e.flags & BLK_EXT_DATA) || !(e.flags & BLK_EXT_OFFSET) || (e.flags & BLK_EXT_COMPRESSED) || e.node == *from) {
            return -EINVAL;
        }
        *from = e.node;
        *off = e.offset;
    }
    return 0;
}

int node_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off, uint64_t len, unsigned flags)
{
    int r;

    if (!to->drv->copy || to->read_only || !aligned(from, from_off, len) || !aligned(to, to_off, len) || from_off + len > node_size(from)) {
        return -ENOTSUP;
    }
    r = plain_source(&from, &from_off, len);
    if (r < 0) {
        return r;
    }
    r = to->drv->copy(from, from_off, to, to_off, len, flags);
    wrote(to, to_off, len, flags);
    return r;
}

void blk_node_resized(BlkNode *n, uint64_t size)
{
    if (size == node_size(n)) {
        return;
    }
    __atomic_store_n(&n->size, size, __ATOMIC_RELAXED);
    blk_bitmaps_resized(n, size);
    for (BlkChild *c = n->users; c; c = c->next_user) {
        if (c->blk && c->blk->events && c->blk->events->resized) {
            c->blk->events->resized(c->blk->opaque);
        }
    }
}

bool node_fixed(const BlkNode *n)
{
    bool through = true;

    for (; n && through; n = n->file ? n->file->node : NULL) {
        if (n->fixed || !n->drv->resize) {
            return true;
        }
        through = (n->drv->kind & BLK_DRV_FILTER) || n->drv->as_long_as_file;
    }
    return false;
}

/*
 * What a disk grows by is zeroes, where a longer backing file has other bytes too, and where a cluster of the old end has them from before the
 * disk was cut.
 */
static int clear_growth(BlkNode *n, uint64_t old, uint64_t size, BlkPrealloc prealloc)
{
    uint64_t end = n->cluster ? (old + n->cluster - 1) / n->cluster * n->cluster : old;
    int r;

    if (node_has_below(n)) {                    /* who opened it without will not be the last */
        end = n->backing ? MAX(end, node_size(n->backing->node)) : size;
    }
    end = MIN(end, size);
    if (end <= old || !(n->drv->kind & BLK_DRV_FORMAT)) {
        return 0;
    }
    r = node_zeroes(n, old, end - old, prealloc == BLK_PREALLOC_OFF ? BLK_MAY_UNMAP : 0);
    return r ? r : node_flush(n);
}

bool node_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    uint64_t old = node_size(n);
    int r;

    if (n->read_only) {
        return error_set(errp, "Image is read-only");
    }
    if (!n->drv->resize) {
        return error_set(errp, "Image format driver '%s' does not support resize", n->drv->name);
    }
    if (!n->drv->resize(n, size, prealloc, errp)) {
        return false;
    }
    wrote(n, 0, 0, 0);
    if (n->fixed) {
        return true;
    }
    blk_node_resized(n, size);
    r = size > old ? clear_growth(n, old, size, prealloc) : 0;
    if (r < 0) {
        error_set_errno(errp, -r, "Failed to clear what the image grew by");
        if (n->drv->resize(n, old, BLK_PREALLOC_OFF, NULL)) {
            blk_node_resized(n, old);
        }
        return false;
    }
    return true;
}
