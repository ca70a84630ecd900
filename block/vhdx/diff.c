/* SPDX-License-Identifier: MIT */
/*
 * Blocks of differencing disks ([MS-VHDX] 2.5.1).  A block may be there in
 * part: a bit for each sector says whether it is here or the parent's.  The
 * bits of a chunk (2^23 sectors) are a block of 1 MiB with an entry of its own.
 *
 * Bits and the entries of their blocks are of level 0, entries that say "in
 * part" of level 1: the log has them in this order where one entry can not
 * take them all.  Bits of a block that was not there count for nothing, and
 * are cleared when it comes.
 */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>

/* Where the bits of the block at `start` are, if they are; `first` is its first one's number there. */
static int bits_of(BlkNode *n, uint64_t start, MetaBits *bits, uint64_t *first)
{
    Vhdx *s = vhdx_of(n);
    uint64_t e;
    int r = meta_get64le(n, n->file->node, vhdx_bitmap_entry(s, start), &e);

    *bits = (MetaBits){ .file = n->file->node, .map = e & VB_OFFSET };
    *first = start / s->sector % (1ull << 23);
    if (r == 0 && ((e & VB_STATE) != VB_FULL || bits->map < V_MB || bits->map > INT64_MAX / 2)) {
        r = -EIO;
    }
    return r;
}

static int diff_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);
    uint64_t e, first, run, sector = (off - p->start) / s->sector;
    MetaBits bits;
    bool here;
    int r = meta_get64le(n, n->file->node, vhdx_entry(s, p->start), &e);

    if (r < 0 || (e & VB_STATE) != VB_PART) {
        return r ? r : vhdx_find(n, off, p);
    }
    r = bits_of(n, p->start, &bits, &first);
    r = r ? r : meta_bits_run(n, &bits, first + sector, s->block / s->sector - sector, &run, &here);
    if (r < 0) {
        return r;
    }
    p->kind = here ? GRAIN_DATA : GRAIN_PART;
    p->file = n->file->node;
    p->offset = (e & VB_OFFSET) + (off - p->start);
    p->run = run * s->sector - off % s->sector;
    return (e & VB_OFFSET) >= V_MB && e < INT64_MAX / 2 ? 0 : -EIO;
}

/* The chunk's bits, behind the end of the file, where all is zeroes. */
static int make_bitmap(BlkNode *n, uint64_t start)
{
    Vhdx *s = vhdx_of(n);
    GrainPlace p = { .size = V_MB };
    int r = vhdx_place(n, &p);

    r = r ? r : format_reach(p.file, p.offset + V_MB);
    return r ? r : meta_set64le(n, n->file->node, vhdx_bitmap_entry(s, start), p.offset | VB_FULL, 0);
}

static int clear_bits(BlkNode *n, const MetaBits *bits, uint64_t first)
{
    uint64_t count = vhdx_of(n)->block / vhdx_of(n)->sector, run;
    bool set;
    int r = meta_bits_run(n, bits, first, count, &run, &set);

    return r || (run == count && !set) ? r : meta_zero(n, bits->file, bits->map + first / 8, count / 8, 0);
}

static int diff_link(BlkNode *n, const GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);
    MetaBits bits;
    uint64_t e, first;
    int r;

    if (p->whole) {
        return vhdx_link(n, p);
    }
    r = meta_get64le(n, n->file->node, vhdx_bitmap_entry(s, p->start), &e);
    if (r == 0 && (e & VB_STATE) != VB_FULL) {
        r = make_bitmap(n, p->start);
    }
    r = r ? r : bits_of(n, p->start, &bits, &first);
    r = r ? r : clear_bits(n, &bits, first);
    return r ? r : meta_set64le(n, n->file->node, vhdx_entry(s, p->start), p->offset | VB_PART, 1);
}

static int diff_mark(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len)
{
    Vhdx *s = vhdx_of(n);
    MetaBits bits;
    uint64_t e, first;
    int r = meta_get64le(n, n->file->node, vhdx_entry(s, p->start), &e);

    if (r < 0 || (e & VB_STATE) != VB_PART) {
        return r;
    }
    r = bits_of(n, p->start, &bits, &first);
    return r ? r : meta_bits_set(n, &bits, first + (off - p->start) / s->sector, (len + s->sector - 1) / s->sector, 0);
}

/* ---- without a parent ---- */

static int fill_block(BlkNode *n, uint64_t start)
{
    Vhdx *s = vhdx_of(n);
    uint64_t e, first, run, sectors = s->block / s->sector;
    MetaBits bits;
    bool here;
    int r = meta_get64le(n, n->file->node, vhdx_entry(s, start), &e);

    if (r < 0 || (e & VB_STATE) != VB_PART) {
        return r;
    }
    r = bits_of(n, start, &bits, &first);
    for (uint64_t i = 0; i < sectors && r == 0; i += run) {
        run = 1;
        r = meta_bits_run(n, &bits, first + i, sectors - i, &run, &here);
        if (r == 0 && !here) {
            r = node_zeroes(n->file->node, (e & VB_OFFSET) + i * s->sector, run * s->sector, 0);
        }
    }
    return r ? r : meta_set64le(n, n->file->node, vhdx_entry(s, start), (e & VB_OFFSET) | VB_FULL, 0);
}

int vhdx_fill_parts(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);
    int r = 0;

    for (uint64_t off = 0; off < node_size(n) && r == 0; off += s->block) {
        r = fill_block(n, off);
    }
    r = r ? r : vhdx_sync(n, true);
    for (uint64_t off = 0; off < node_size(n) && r == 0; off += s->block * s->ratio) {
        r = meta_set64le(n, n->file->node, vhdx_bitmap_entry(s, off), 0, 0);
    }
    return r;
}

/* What was committed is the parent's now, which therefore has another identity. */
int vhdx_make_empty(BlkNode *n, uint64_t size)
{
    Vhdx *s = vhdx_of(n);
    int r;

    if (!s->differs) {
        return -ENOTSUP;
    }
    fiber_mutex_lock(&s->g.lock);
    r = vhdx_relink(n);
    for (uint64_t off = 0; off < node_size(n) && r == 0; off += s->block) {
        uint64_t e;

        r = meta_get64le(n, n->file->node, vhdx_entry(s, off), &e);
        r = r || !e ? r : meta_set64le(n, n->file->node, vhdx_entry(s, off), 0, 1);
    }
    r = r ? r : vhdx_sync(n, true);
    fiber_mutex_unlock(&s->g.lock);
    return r;
}

/* The parent may have been written between the making of this image and the moment when it was put on top. */
static int diff_begin(BlkNode *n)
{
    int r = n->backing && !blk_backing_is(n, n->backing->node, NULL) ? vhdx_relink(n) : 0;

    return r ? r : vhdx_begin(n);
}

const GrainOps vhdx_diff_ops = {
    .find = diff_find, .place = vhdx_place, .link = diff_link, .mark = diff_mark, .link_zero = vhdx_link_zero, .reuses = true, .find_end = vhdx_find_end, .begin = diff_begin, .sync = vhdx_sync,
};
