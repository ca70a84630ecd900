/* SPDX-License-Identifier: MIT */
/* Opening and closing VHDX images; blocks; the driver's row. */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"
#include "util/size.h"

static int vhdx_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && !memcmp(buf, "vhdxfile", 8) ? 100 : 0;
}

static bool vhdx_open(BlkNode *n, Json *o, Error **errp)
{
    Json *backing = json_get(o, "backing");
    Vhdx *s = vhdx_of(n);
    uint8_t id[8];

    if (!format_open_header(n, o, id, sizeof(id), errp)) {
        return false;
    }
    if (memcmp(id, "vhdxfile", 8)) {
        return error_set(errp, "Image is not in VHDX format");
    }
    if (!vhdx_read_headers(n, errp) || !vhdx_replay(n, errp) || !vhdx_read_regions(n, errp) || !vhdx_read_metadata(n, errp)) {
        return false;
    }
    if (s->differs && !vhdx_read_parent(n, backing || (n->flags & BLK_O_NO_BACKING), errp)) {
        return false;
    }
    if (backing && !json_is(backing, JSON_NULL) && !s->differs) {
        return error_set(errp, "this VHDX image has no parent; a child of one is made with create -b");
    }
    format_backing_option(n, backing);
    n->cluster = s->block;
    n->align = s->differs || s->sector > 512 ? s->sector : n->align;      /* a child has whole sectors */
    grains_init(n, s->differs ? &vhdx_diff_ops : &vhdx_ops, s->block);
    s->g.absent_is_zero = !s->differs;
    return true;
}

/* Read-only no longer: a log would have stopped the open before. */
static void vhdx_close(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);

    if (!n->read_only && (s->g.begun || s->named_new)) {
        fiber_mutex_lock(&s->g.lock);
        if (grains_sync(n, true) == 0 && (!s->log_live || vhdx_write_header(n, NULL, false, false) == 0)) {
            grains_trim(n);
        }
        fiber_mutex_unlock(&s->g.lock);
    }
    grains_free(n);
}

/* ---- grains ---- */

uint64_t vhdx_bitmap_entry(const Vhdx *s, uint64_t start)
{
    return s->bat_at + ((start / s->block / s->ratio + 1) * (s->ratio + 1) - 1) * 8;
}

uint64_t vhdx_entry(const Vhdx *s, uint64_t start)
{
    uint64_t block = start / s->block;

    return s->bat_at + (block + block / s->ratio) * 8;
}

int vhdx_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);
    uint64_t e, at = vhdx_entry(s, p->start), chunk = s->block * s->ratio;
    int r = meta_get64le(n, n->file->node, at, &e);

    if (r < 0) {
        return r;
    }
    if ((e & VB_STATE) != VB_FULL) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, at, 8, s->block, off - p->start, chunk - off % chunk }, p);
    }
    switch (e & VB_STATE) {
    case VB_ABSENT:
        return 0;
    case VB_UNDEFINED:
    case VB_UNMAPPED:                   /* not the parent's, whatever it is */
        p->kind = s->differs ? GRAIN_ZERO : GRAIN_ABSENT;
        return 0;
    case VB_ZERO:
        p->kind = GRAIN_ZERO;
        return 0;
    case VB_FULL:
        p->kind = GRAIN_DATA;
        p->file = n->file->node;
        p->offset = (e & VB_OFFSET) + (off - p->start);
        return (e & VB_OFFSET) >= V_MB && e < INT64_MAX / 2 ? 0 : -EIO;
    default:
        return -EIO;                    /* parts of blocks are for differencing disks (diff.c) */
    }
}

static int entry_end(BlkNode *n, uint64_t at, uint64_t len, uint64_t *end)
{
    uint64_t e;
    int r = meta_get64le(n, n->file->node, at, &e);

    if (r == 0 && (e & VB_STATE) >= VB_FULL) {
        format_in_use(end, n->file->node, e & VB_OFFSET, len);
    }
    return r;
}

int vhdx_find_end(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);
    BlkNode *file = n->file->node;
    uint64_t end = s->g.next;
    int r = 0;

    for (uint64_t off = 0; node_fixed(file) && off < node_size(n) && vhdx_entry(s, off) < node_size(file) && r == 0; off += s->block) {
        r = entry_end(n, vhdx_entry(s, off), s->block, &end);
        if (r == 0 && s->differs && off / s->block % s->ratio == 0) {
            r = entry_end(n, vhdx_bitmap_entry(s, off), V_MB, &end);
        }
    }
    s->g.next = r ? s->g.next : end;
    return r;
}

int vhdx_place(BlkNode *n, GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);

    p->file = n->file->node;
    p->offset = format_round(MAX(MAX(format_end(p->file), s->g.next), MAX(MAX(s->bat_at + s->bat_len, s->meta_at + s->meta_len), s->log_at + s->log_len)), V_MB);
    s->g.next = p->offset + p->size;
    return 0;
}

int vhdx_link(BlkNode *n, const GrainPlace *p)
{
    return meta_set64le(n, n->file->node, vhdx_entry(vhdx_of(n), p->start), p->offset | VB_FULL, 0);
}

int vhdx_link_zero(BlkNode *n, const GrainPlace *p)
{
    return meta_set64le(n, n->file->node, vhdx_entry(vhdx_of(n), p->start), VB_ZERO, 0);
}

/* Both headers say that this is another writer and other data. */
int vhdx_begin(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);
    const uint8_t *log = s->log_live ? s->log_guid : NULL;
    int r = vhdx_write_header(n, log, true, true);

    return r ? r : vhdx_write_header(n, log, false, false);
}

const GrainOps vhdx_ops = { .find = vhdx_find, .place = vhdx_place, .link = vhdx_link, .link_zero = vhdx_link_zero, .reuses = true, .find_end = vhdx_find_end, .begin = vhdx_begin, .sync = vhdx_sync };

/* ---- check ---- */

typedef struct {
    BlkNode *n;
    BlkCheck *c;
    GHashTable *seen;
} Check;

static void check_place(const Check *k, uint64_t at, uint64_t len, const char *what, uint64_t off)
{
    uint64_t size = node_size(k->n->file->node);

    if (at < V_MB || at + len > format_round(size, V_MB) || at > INT64_MAX / 2) {
        format_report(k->c, "ERROR: the %s at %" PRIu64 " lies outside of the file", what, off);
        k->c->corruptions++;
    } else if (!g_hash_table_add(k->seen, GSIZE_TO_POINTER(at / V_MB))) {
        format_report(k->c, "ERROR: the %s at %" PRIu64 " is in use twice", what, off);
        k->c->corruptions++;
    }
}

static int check_block(const Check *k, uint64_t off)
{
    Vhdx *s = vhdx_of(k->n);
    uint64_t e, map;
    int r = meta_get64le(k->n, k->n->file->node, vhdx_entry(s, off), &e);

    if (r < 0 || (e & VB_STATE) == VB_ABSENT || (e & VB_STATE) < VB_FULL) {
        return r;
    }
    check_place(k, (e & VB_STATE) == VB_FULL || s->differs ? e & VB_OFFSET : 0, s->block, "block", off);
    if ((e & VB_STATE) == VB_PART && s->differs) {
        r = meta_get64le(k->n, k->n->file->node, vhdx_bitmap_entry(s, off), &map);
        if (r == 0 && (map & VB_STATE) != VB_FULL) {
            format_report(k->c, "ERROR: the block at %" PRIu64 " is there in part, and has no bitmap", off);
            k->c->corruptions++;
        }
    }
    return r;
}

static int check_bitmap(const Check *k, uint64_t off)
{
    uint64_t e;
    int r = meta_get64le(k->n, k->n->file->node, vhdx_bitmap_entry(vhdx_of(k->n), off), &e);

    if (r == 0 && (e & VB_STATE) == VB_FULL) {
        check_place(k, e & VB_OFFSET, V_MB, "bitmap of the blocks", off);
    }
    return r;
}

static int vhdx_check(BlkNode *n, BlkCheck *c)
{
    Vhdx *s = vhdx_of(n);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    Check k = { n, c, seen };
    uint64_t size = node_size(n->file->node);
    int r = 0;

    c->corruptions_fixed += s->replayed;
    fiber_mutex_lock(&s->g.lock);
    for (uint64_t off = 0; off < node_size(n) && r == 0 && vhdx_entry(s, off) < size; off += s->block) {
        r = check_block(&k, off);
        if (r == 0 && s->differs && off / s->block % s->ratio == 0) {
            r = check_bitmap(&k, off);
        }
    }
    fiber_mutex_unlock(&s->g.lock);
    return r;
}

static const OptKey vhdx_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "the parent of a differencing disk; null: nothing" },
    {}
};
static const BlkImageOps vhdx_image = { .check = vhdx_check, .change_backing = vhdx_change_backing, .make_empty = vhdx_make_empty };
static const BlkDriver vhdx = {
    .name = "vhdx", .help = "Hyper-V disk images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vhdx), .options = vhdx_keys, .probe = vhdx_probe, .open = vhdx_open,
    .close = vhdx_close, .child_moved = grains_child_moved, .backing_is = vhdx_backing_is,
    .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard, .status = grains_status,
    .create_options = vhdx_create_keys, .create = vhdx_create, .image = &vhdx_image, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(vhdx);
