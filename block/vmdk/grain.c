/* SPDX-License-Identifier: MIT */
/* Finding and making grains. */
#include "block/vmdk/vmdk-priv.h"

#include <errno.h>
#include <string.h>

#include "block/deflate.h"
#include "util/bswap.h"

static VmdkExtent *extent_at(const Vmdk *s, uint64_t off)
{
    unsigned lo = 0, hi = s->extents->len;

    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;
        const VmdkExtent *e = s->extents->pdata[mid];

        if (e->start <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return s->extents->pdata[lo];
}

/* What is not here comes from the parent, if that is still what it was. */
static int parent_counts(BlkNode *n)
{
    Vmdk *s = vmdk_of(n);
    BlkNode *b = n->backing ? n->backing->node : NULL;

    if (!b || s->parent_ok) {
        return 0;
    }
    if (b->drv == n->drv && vmdk_of(b)->cid != s->parent_cid) {
        return -EINVAL;
    }
    s->parent_ok = true;
    return 0;
}

/* The table of `in` is not there; nor are these. */
static void absent_tables(BlkNode *n, const VmdkExtent *e, uint64_t in, unsigned width, GrainPlace *p)
{
    meta_entries_run(n, &(MetaEntries){ e->file, e->gd + in / e->tables_span * width, width, e->tables_span, in % e->tables_span, e->size - in }, p);
}

static void absent_grains(BlkNode *n, const VmdkExtent *e, uint64_t at, uint64_t in, unsigned width, GrainPlace *p)
{
    meta_entries_run(n, &(MetaEntries){ e->file, at, width, e->grain, in % e->grain, MIN(e->size - in, e->tables_span - in % e->tables_span) }, p);
}

/* seSparse: the kind is in the top four bits of an entry. */
static int find_se(BlkNode *n, VmdkExtent *e, uint64_t in, GrainPlace *p)
{
    uint64_t d, t, at, index;
    int r = meta_get64le(n, e->file, e->gd + in / e->tables_span * 8, &d);

    if (r == 0 && !d) {
        absent_tables(n, e, in, 8, p);
    }
    if (r < 0 || !d) {
        return r;
    }
    if (d >> 32 != 0x10000000) {
        return -EIO;
    }
    at = e->tables_at + (d & UINT32_MAX) * e->table_bytes + in % e->tables_span / e->grain * 8;
    r = meta_get64le(n, e->file, at, &t);
    if (r < 0) {
        return r;
    }
    if (!t) {
        absent_grains(n, e, at, in, 8, p);
    }
    switch (t >> 60) {
    case 0:
        return t ? -EIO : 0;
    case 1:
    case 2:
        p->kind = GRAIN_ZERO;
        return 0;
    case 3:
        index = (t & 0x0fff000000000000ull) >> 48 | (t & 0x0000ffffffffffffull) << 12;
        if (index > INT64_MAX / e->grain / 2) {
            return -EIO;
        }
        p->kind = GRAIN_DATA;
        p->file = e->file;
        p->offset = e->grains_at + index * e->grain + in % e->grain;
        return 0;
    default:
        return -EIO;
    }
}

static int table_at(BlkNode *n, const VmdkExtent *e, uint64_t gd, uint64_t in, uint64_t *table)
{
    uint32_t v;
    int r = meta_get32le(n, e->file, gd + in / e->tables_span * 4, &v);

    *table = v * 512ull;
    return r;
}

static int find_sparse(BlkNode *n, VmdkExtent *e, uint64_t in, GrainPlace *p)
{
    uint64_t table;
    uint32_t t;
    int r = table_at(n, e, e->gd, in, &table);

    if (r < 0) {
        return r;
    }
    if (!table) {
        absent_tables(n, e, in, 4, p);
        return 0;
    }
    table += in % e->tables_span / e->grain * 4;
    r = meta_get32le(n, e->file, table, &t);
    if (r < 0) {
        return r;
    }
    p->file = e->file;
    if (!t || (t == ZERO_GRAIN && e->zero_grains)) {
        p->kind = t ? GRAIN_ZERO : GRAIN_ABSENT;
        absent_grains(n, e, table, in, 4, p);
    } else if (e->compressed) {
        p->kind = GRAIN_PACKED;
        p->offset = t * 512ull;
    } else {
        p->kind = GRAIN_DATA;
        p->offset = t * 512ull + in % e->grain;
    }
    return 0;
}

static int vmdk_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    VmdkExtent *e = extent_at(vmdk_of(n), off);
    uint64_t in = off - e->start;
    int r;

    p->part = e;
    if (e->kind == EXT_FLAT || e->kind == EXT_ZERO) {
        p->kind = e->kind == EXT_FLAT ? GRAIN_DATA : GRAIN_ZERO;
        p->file = e->file;
        p->offset = e->at + in;
        p->run = e->size - in;
        return 0;
    }
    p->start = off - in % e->grain;
    p->size = MIN(e->grain, e->size - (p->start - e->start));
    p->run = p->size - (off - p->start);
    r = e->kind == EXT_SE ? find_se(n, e, in, p) : find_sparse(n, e, in, p);
    return r == 0 && p->kind == GRAIN_ABSENT ? parent_counts(n) : r;
}

/* ---- new grains ---- */

static uint64_t take(VmdkExtent *e, uint64_t bytes, uint64_t unit)
{
    uint64_t at = format_round(MAX(MAX(format_end(e->file), e->next), e->overhead), unit);

    e->next = at + bytes;
    return at;
}

static uint64_t packed_end(uint64_t len)
{
    return format_round(MARKER + len, 512);
}

/* Of packed grains only the last one's length has to be read. */
static int table_end(BlkNode *n, VmdkExtent *e, uint64_t table, uint64_t *last)
{
    uint64_t count = e->tables_span / e->grain;
    uint32_t t;
    int r = 0;

    format_in_use(&e->next, e->file, table, count * 4);
    for (uint64_t i = 0; i < count && table + i * 4 < node_size(e->file) && r == 0; i++) {
        r = meta_get32le(n, e->file, table + i * 4, &t);
        if (r == 0 && t && !(t == ZERO_GRAIN && e->zero_grains)) {
            *last = MAX(*last, t * 512ull);
            format_in_use(&e->next, e->file, t * 512ull, e->compressed ? 512 : e->grain);
        }
    }
    return r;
}

static int directory_end(BlkNode *n, VmdkExtent *e, uint64_t gd, uint64_t *last)
{
    uint32_t t;
    int r = 0;

    for (uint64_t i = 0; i < e->entries && gd + i * 4 < node_size(e->file) && r == 0; i++) {
        r = meta_get32le(n, e->file, gd + i * 4, &t);
        r = r || !t ? r : table_end(n, e, t * 512ull, last);
    }
    return r;
}

static int extent_end(BlkNode *n, VmdkExtent *e)
{
    uint64_t last = 0;
    uint8_t len[4];
    int r = directory_end(n, e, e->gd, &last);

    format_in_use(&e->next, e->file, e->gd, e->entries * 4);
    if (r == 0 && e->rgd) {
        format_in_use(&e->next, e->file, e->rgd, e->entries * 4);
        r = directory_end(n, e, e->rgd, &last);
    }
    if (r == 0 && last && e->compressed) {
        r = node_pread_padded(e->file, last + MARKER - 4, len, sizeof(len));
        format_in_use(&e->next, e->file, last, r ? 0 : packed_end((uint32_t)ldl_le_p(len)));
    }
    return r;
}

static int vmdk_find_end(BlkNode *n)
{
    Vmdk *s = vmdk_of(n);
    int r = 0;

    for (unsigned i = 0; i < s->extents->len && r == 0; i++) {
        VmdkExtent *e = s->extents->pdata[i];

        if (e->kind == EXT_SPARSE && node_fixed(e->file)) {
            r = extent_end(n, e);
        }
    }
    return r;
}

static int vmdk_place(BlkNode *n, GrainPlace *p)
{
    VmdkExtent *e = p->part;

    if (e->kind != EXT_SPARSE || e->compressed) {
        return -ENOTSUP;
    }
    p->file = e->file;
    p->offset = take(e, e->grain, e->grain);
    return p->offset / 512 > UINT32_MAX ? -EFBIG : 0;
}

/* One of the two directories; a table that is not there yet is made. */
static int set_in(BlkNode *n, VmdkExtent *e, uint64_t gd, uint64_t in, uint32_t v)
{
    uint64_t table, bytes = e->tables_span / e->grain * 4;
    int r = table_at(n, e, gd, in, &table);

    if (r == 0 && !table) {
        table = take(e, format_round(bytes, 512), 512);
        r = table / 512 > UINT32_MAX ? -EFBIG : meta_zero(n, e->file, table, bytes, 0);
        r = r ? r : meta_set32le(n, e->file, gd + in / e->tables_span * 4, table / 512, 1);
    }
    return r ? r : meta_set32le(n, e->file, table + in % e->tables_span / e->grain * 4, v, 0);
}

static int set_entry(BlkNode *n, const GrainPlace *p, uint32_t v)
{
    VmdkExtent *e = p->part;
    int r = set_in(n, e, e->gd, p->start - e->start, v);

    return r || !e->rgd ? r : set_in(n, e, e->rgd, p->start - e->start, v);
}

static int vmdk_link(BlkNode *n, const GrainPlace *p)
{
    return set_entry(n, p, p->offset / 512);
}

static int vmdk_link_zero(BlkNode *n, const GrainPlace *p)
{
    VmdkExtent *e = p->part;

    return e->kind == EXT_SPARSE && e->zero_grains ? set_entry(n, p, ZERO_GRAIN) : -ENOTSUP;
}

static int vmdk_unlink(BlkNode *n, const GrainPlace *p)
{
    VmdkExtent *e = p->part;

    return e->kind == EXT_SPARSE ? set_entry(n, p, 0) : -ENOTSUP;
}

/* ---- packed grains: a marker (place in the disk, length), then zlib ---- */

static int vmdk_unpack(BlkNode *n, const GrainPlace *p, uint8_t *buf)
{
    VmdkExtent *e = p->part;
    g_autofree uint8_t *in = g_try_malloc(2 * e->grain + MARKER), *whole = g_try_malloc(e->grain);
    uint64_t len = 2 * e->grain, skip = 0;
    int r;

    if (!in || !whole) {
        return -ENOMEM;
    }
    r = node_pread_padded(p->file, p->offset, in, len + MARKER);
    if (r < 0) {
        return r;
    }
    if (e->markers) {
        if ((uint64_t)ldq_le_p(in) != (p->start - e->start) / 512) {
            return -EIO;
        }
        len = MIN(len, (uint32_t)ldl_le_p(in + 8));
        skip = MARKER;
    }
    r = len ? deflate_unpack(whole, e->grain, in + skip, len, DEFLATE_ZLIB) : -EIO;
    if (r < 0 && p->size < e->grain) {          /* the last one may be cut short */
        r = deflate_unpack(whole, p->size, in + skip, len, DEFLATE_ZLIB);
    }
    if (r == 0) {
        memcpy(buf, whole, p->size);
    }
    return r;
}

static int vmdk_pack(BlkNode *n, GrainPlace *p, const uint8_t *buf)
{
    VmdkExtent *e = p->part;
    g_autofree uint8_t *out = NULL, *whole = NULL;
    uint64_t room = e->grain + e->grain / 8 + 1024, at;
    ssize_t len;
    int r;

    if (e->kind != EXT_SPARSE || !e->compressed || !e->markers) {
        return -ENOTSUP;
    }
    out = g_malloc0(room + 512);
    whole = g_malloc0(e->grain);
    memcpy(whole, buf, p->size);
    len = deflate_pack(out + MARKER, room - MARKER, whole, e->grain, DEFLATE_ZLIB);
    if (len < 0) {
        return -EIO;
    }
    stq_le_p(out, (p->start - e->start) / 512);
    stl_le_p(out + 8, len);
    len = packed_end(len);
    at = take(e, len, 512);
    r = at / 512 > UINT32_MAX ? -EFBIG : node_pwrite(e->file, at, out, len);
    return r ? r : set_entry(n, p, at / 512);
}

const GrainOps vmdk_ops = {
    .find = vmdk_find, .place = vmdk_place, .link = vmdk_link, .link_zero = vmdk_link_zero, .unlink = vmdk_unlink, .reuses = true,
    .find_end = vmdk_find_end, .unpack = vmdk_unpack, .pack = vmdk_pack, .begin = vmdk_new_cid,
};
