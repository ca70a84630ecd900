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

static const GrainOps vhdx_ops;

static bool vhdx_open(BlkNode *n, Json *o, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint8_t id[8];
    int r;

    if (!format_open_file(n, o, errp)) {
        return false;
    }
    r = node_pread_padded(n->file->node, 0, id, sizeof(id));
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read image header");
    }
    if (memcmp(id, "vhdxfile", 8)) {
        return error_set(errp, "Image is not in VHDX format");
    }
    if (!vhdx_read_headers(n, errp) || !vhdx_replay(n, errp) || !vhdx_read_regions(n, errp) || !vhdx_read_metadata(n, errp)) {
        return false;
    }
    n->cluster = s->block;
    grains_init(n, &vhdx_ops, s->block);
    s->g.absent_is_zero = true;
    return true;
}

/* Read-only no longer: a log would have stopped the open before. */
static void vhdx_close(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);

    if (!n->read_only && s->g.begun) {
        fiber_mutex_lock(&s->g.lock);
        if (grains_sync(n, true) == 0 && (!s->log_live || vhdx_write_header(n, NULL, false, false) == 0)) {
            grains_trim(n);
        }
        fiber_mutex_unlock(&s->g.lock);
    }
    grains_free(n);
}

/* ---- grains ---- */

/* Entries of sector bitmaps lie between those of blocks. */
static uint64_t entry_at(const Vhdx *s, uint64_t start)
{
    uint64_t block = start / s->block;

    return s->bat_at + (block + block / s->ratio) * 8;
}

static int vhdx_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);
    uint64_t e;
    int r = meta_get64le(n, n->file->node, entry_at(s, p->start), &e);

    if (r < 0) {
        return r;
    }
    switch (e & VB_STATE) {
    case VB_ABSENT:
    case VB_UNDEFINED:
    case VB_UNMAPPED:
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
        return -EIO;                    /* parts of blocks are for differencing disks */
    }
}

static int vhdx_place(BlkNode *n, GrainPlace *p)
{
    Vhdx *s = vhdx_of(n);

    p->file = n->file->node;
    p->offset = format_round(MAX(MAX(node_size(p->file), s->g.next), MAX(MAX(s->bat_at + s->bat_len, s->meta_at + s->meta_len), s->log_at + s->log_len)), V_MB);
    s->g.next = p->offset + p->size;
    return 0;
}

static int vhdx_link(BlkNode *n, const GrainPlace *p)
{
    return meta_set64le(n, n->file->node, entry_at(vhdx_of(n), p->start), p->offset | VB_FULL, 0);
}

static int vhdx_link_zero(BlkNode *n, const GrainPlace *p)
{
    return meta_set64le(n, n->file->node, entry_at(vhdx_of(n), p->start), VB_ZERO, 0);
}

/* Both headers say that this is another writer and other data. */
static int vhdx_begin(BlkNode *n)
{
    int r = vhdx_write_header(n, NULL, true, true);

    return r ? r : vhdx_write_header(n, NULL, false, false);
}

static const GrainOps vhdx_ops = { .find = vhdx_find, .place = vhdx_place, .link = vhdx_link, .link_zero = vhdx_link_zero, .reuses = true, .begin = vhdx_begin, .sync = vhdx_sync };

/* ---- check ---- */

static int vhdx_check(BlkNode *n, BlkCheck *c)
{
    Vhdx *s = vhdx_of(n);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    uint64_t size = node_size(n->file->node);
    int r = 0;

    c->corruptions_fixed += s->replayed;
    fiber_mutex_lock(&s->g.lock);
    for (uint64_t off = 0; off < node_size(n) && r == 0 && entry_at(s, off) < size; off += s->block) {
        uint64_t e, at;

        r = meta_get64le(n, n->file->node, entry_at(s, off), &e);
        at = e & VB_OFFSET;
        if (r < 0 || (e & VB_STATE) == VB_ABSENT || (e & VB_STATE) < VB_FULL) {
            continue;
        }
        if ((e & VB_STATE) != VB_FULL || at < V_MB || at + s->block > format_round(size, V_MB) || at > INT64_MAX / 2) {
            format_report(c, "ERROR: the block at %" PRIu64 " lies outside of the file", off);
            c->corruptions++;
        } else if (!g_hash_table_add(seen, GSIZE_TO_POINTER(at / V_MB))) {
            format_report(c, "ERROR: the block at %" PRIu64 " is in use twice", off);
            c->corruptions++;
        }
    }
    fiber_mutex_unlock(&s->g.lock);
    return r;
}

static const OptKey vhdx_keys[] = { { "file", OPT_ANY, "what holds the image" }, {} };
static const BlkImageOps vhdx_image = { .check = vhdx_check };
static const BlkDriver vhdx = {
    .name = "vhdx", .help = "Hyper-V disk images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vhdx), .options = vhdx_keys, .probe = vhdx_probe, .open = vhdx_open,
    .close = vhdx_close, .child_moved = grains_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard,
    .status = grains_status,
    .create_options = vhdx_create_keys, .create = vhdx_create, .image = &vhdx_image, .zero_init = true,
};
BLK_DRIVER(vhdx);
