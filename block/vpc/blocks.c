/* SPDX-License-Identifier: MIT */
/* Blocks of VHD images: where they are, new ones, their bitmaps. */
#include "block/vpc/vpc-priv.h"

#include <errno.h>
#include <string.h>

#include "util/bswap.h"

static int fixed_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = off;
    p->run = UINT64_MAX;
    return 0;
}

static uint64_t entry_at(const Vpc *s, uint64_t off)
{
    return s->table + off / s->block * 4;
}

static int entry_of(BlkNode *n, uint64_t off, GrainPlace *p, uint32_t *e)
{
    Vpc *s = n->state;
    int r = meta_get32be(n, n->file->node, entry_at(s, off), e);

    if (r == 0 && *e == NO_BLOCK) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, entry_at(s, off), 4, s->block, off - p->start, UINT64_MAX }, p);
    }
    return r;
}

static int vpc_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vpc *s = n->state;
    uint32_t e;
    int r = entry_of(n, off, p, &e);

    if (r < 0 || e == NO_BLOCK) {
        return r;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = e * 512ull + s->bitmap + (off - p->start);
    return 0;
}

/* Where the blocks end: the footer is, or was, there. */
int vpc_find_end(BlkNode *n)
{
    Vpc *s = n->state;
    uint64_t size = node_size(n->file->node), end = MAX(MAX(format_round(s->table + s->entries * 4ull, 512), ldq_be_p(s->footer + F_DATA) + DYNAMIC), s->locators_end);

    for (uint32_t i = 0; i < s->entries && s->table + i * 4ull < size; i++) {
        uint32_t e;
        int r = meta_get32be(n, n->file->node, s->table + i * 4ull, &e);

        if (r < 0) {
            return r;
        }
        if (e != NO_BLOCK) {
            end = MAX(end, e * 512ull + s->bitmap + s->block);
        }
    }
    s->g.next = end;
    return 0;
}

static int place(BlkNode *n, GrainPlace *p, uint8_t bits)
{
    Vpc *s = n->state;
    g_autofree uint8_t *map = g_malloc(s->bitmap);
    uint64_t at = s->g.next;
    int r;

    if (at / 512 >= NO_BLOCK) {
        return -ENOSPC;
    }
    memset(map, bits, s->bitmap);
    r = meta_write(n, n->file->node, at, map, s->bitmap, 0);
    s->g.next = at + s->bitmap + s->block;
    r = r ? r : meta_write(n, n->file->node, s->g.next, s->footer, FOOTER, 0);
    p->file = n->file->node;
    p->offset = at + s->bitmap;
    return r;
}

static int vpc_place(BlkNode *n, GrainPlace *p)
{
    return place(n, p, 0xff);
}

static int vpc_link(BlkNode *n, const GrainPlace *p)
{
    Vpc *s = n->state;

    return meta_set32be(n, n->file->node, entry_at(s, p->start), (p->offset - s->bitmap) / 512, 1);
}

/* Sectors of a block that was made elsewhere may count as never written. */
static int vpc_touch(BlkNode *n, const GrainPlace *p)
{
    Vpc *s = n->state;
    uint64_t block = p->start / s->block + 1;
    g_autofree uint8_t *have = NULL;
    uint32_t e;
    int r;

    if (s->full == block) {
        return 0;
    }
    have = g_malloc(2 * s->bitmap);
    memset(have + s->bitmap, 0xff, s->bitmap);
    r = meta_get32be(n, n->file->node, entry_at(s, p->start), &e);
    r = r ? r : meta_read(n, n->file->node, e * 512ull, have, s->bitmap);
    if (r == 0 && memcmp(have, have + s->bitmap, s->bitmap)) {
        r = meta_write(n, n->file->node, e * 512ull, have + s->bitmap, s->bitmap, 0);
    }
    s->full = r ? 0 : block;
    return r;
}

/* ---- differencing disks ---- */

static MetaBits bits_of(BlkNode *n, uint32_t entry)
{
    return (MetaBits){ .file = n->file->node, .map = entry * 512ull, .msb = true };
}

static int diff_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vpc *s = n->state;
    uint64_t sector = (off - p->start) / 512, run;
    MetaBits bits;
    uint32_t e;
    bool here;
    int r = entry_of(n, off, p, &e);

    if (r < 0 || e == NO_BLOCK) {
        return r;
    }
    bits = bits_of(n, e);
    r = meta_bits_run(n, &bits, sector, s->block / 512 - sector, &run, &here);
    if (r < 0) {
        return r;
    }
    p->kind = here ? GRAIN_DATA : GRAIN_PART;
    p->file = n->file->node;
    p->offset = e * 512ull + s->bitmap + (off - p->start);
    p->run = run * 512 - off % 512;
    return 0;
}

static int diff_place(BlkNode *n, GrainPlace *p)
{
    return place(n, p, 0);
}

static int diff_mark(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len)
{
    Vpc *s = n->state;
    MetaBits bits;
    uint32_t e;
    int r = meta_get32be(n, n->file->node, entry_at(s, off), &e);

    bits = bits_of(n, e);
    return r ? r : meta_bits_set(n, &bits, (off - p->start) / 512, len / 512, 0);
}

static int fill_block(BlkNode *n, uint32_t e)
{
    Vpc *s = n->state;
    MetaBits bits = bits_of(n, e);
    uint64_t run, sectors = s->block / 512;
    int r = 0;

    for (uint64_t i = 0; i < sectors && r == 0; i += run) {
        bool here;

        run = 1;
        r = meta_bits_run(n, &bits, i, sectors - i, &run, &here);
        if (r < 0 || here) {
            continue;
        }
        r = node_zeroes(n->file->node, e * 512ull + s->bitmap + i * 512, run * 512, 0);
        r = r ? r : meta_bits_set(n, &bits, i, run, 0);
    }
    return r;
}

int vpc_fill_parts(BlkNode *n)
{
    Vpc *s = n->state;
    int r = 0;

    for (uint32_t i = 0; i < s->entries && r == 0; i++) {
        uint32_t e;

        r = meta_get32be(n, n->file->node, s->table + i * 4ull, &e);
        if (r == 0 && e != NO_BLOCK) {
            r = fill_block(n, e);
        }
    }
    return r;
}

const GrainOps vpc_ops = { .find = vpc_find, .place = vpc_place, .link = vpc_link, .touch = vpc_touch, .begin = vpc_find_end };
const GrainOps vpc_diff_ops = { .find = diff_find, .place = diff_place, .link = vpc_link, .mark = diff_mark, .begin = vpc_find_end };
const GrainOps vpc_fixed_ops = { .find = fixed_find };
