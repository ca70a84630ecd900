/* SPDX-License-Identifier: MIT */
/*
 * Bochs disk images, "growing"; read only.
 *
 * Facts: the Bochs user manual, "Disk Image Modes", and images made by bximage.
 * Little endian.  A catalog of extents; each extent has a bitmap of its
 * sectors in front.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

enum { H_TYPE = 32, H_SUBTYPE = 48, H_VERSION = 64, H_HEADER = 68, H_CATALOG = 72, H_BITMAP = 76, H_EXTENT = 80, H_DISK_V1 = 84, H_DISK_V2 = 88, H_SIZE = 512 };
enum { VERSION_1 = 0x00010000, VERSION_2 = 0x00020000, SECTOR = 512, MAX_CATALOG = 0x100000, MAX_EXTENT = 0x800000 };
#define NO_EXTENT 0xffffffffu

typedef struct {
    Grains g;
    uint64_t catalog_at, data_at, catalog, extent, bitmap_bytes, stride;
} Bochs;

static int bochs_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_SIZE && !memcmp(buf, "Bochs Virtual HD Image", 23) && !memcmp(buf + H_TYPE, "Redolog", 8) && !memcmp(buf + H_SUBTYPE, "Growing", 8) &&
           (ldl_le_p(buf + H_VERSION) == VERSION_1 || ldl_le_p(buf + H_VERSION) == VERSION_2) ? 100 : 0;
}

static bool read_header(BlkNode *n, const uint8_t *h, Error **errp)
{
    Bochs *s = n->state;
    uint64_t bitmap = (uint32_t)ldl_le_p(h + H_BITMAP);

    if (!bochs_probe(h, H_SIZE, NULL)) {
        return error_set(errp, "Image not in Bochs format");
    }
    n->size = ldq_le_p(h + (ldl_le_p(h + H_VERSION) == VERSION_1 ? H_DISK_V1 : H_DISK_V2));
    n->size &= ~511ull;
    s->catalog = (uint32_t)ldl_le_p(h + H_CATALOG);
    s->extent = (uint32_t)ldl_le_p(h + H_EXTENT);
    s->catalog_at = (uint32_t)ldl_le_p(h + H_HEADER);
    if (s->catalog > MAX_CATALOG) {
        return error_set(errp, "Catalog size is too large");
    }
    if (s->extent < SECTOR || (s->extent & (s->extent - 1))) {
        return error_set(errp, s->extent < SECTOR ? "Extent size must be at least 512" : "Extent size %" PRIu64 " is not a power of two", s->extent);
    }
    if (s->extent > MAX_EXTENT) {
        return error_set(errp, "Extent size %" PRIu64 " is too large", s->extent);
    }
    if (bitmap * 8 * SECTOR < s->extent || bitmap > MAX_EXTENT) {
        return error_set(errp, "the bitmap of an extent does not fit it");
    }
    if (s->catalog < (node_size(n) + s->extent - 1) / s->extent) {
        return error_set(errp, "Catalog size is too small for this disk size");
    }
    s->bitmap_bytes = format_round(bitmap, SECTOR);
    s->stride = s->bitmap_bytes + s->extent;
    s->data_at = s->catalog_at + s->catalog * 4;
    return true;
}

static const GrainOps bochs_ops;

static bool bochs_open(BlkNode *n, Json *o, Error **errp)
{
    uint8_t h[H_SIZE];

    if (!format_open_header(n, o, h, sizeof(h), errp) || !read_header(n, h, errp)) {
        return false;
    }
    n->read_only = true;
    grains_init(n, &bochs_ops, ((Bochs *)n->state)->extent);
    return true;
}

static int bochs_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    enum { LOOK = 1 << 15 };                /* sectors: an extent may have 2^22 of them, and this is for every request */
    Bochs *s = n->state;
    uint64_t run, sector = (off - p->start) / SECTOR, entry = s->catalog_at + p->start / s->extent * 4;
    MetaBits bits = { .file = n->file->node };
    uint32_t e;
    bool here;
    int r = meta_get32le(n, n->file->node, entry, &e);

    if (r == 0 && e == NO_EXTENT) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, entry, 4, s->extent, off - p->start, UINT64_MAX }, p);
    }
    if (r < 0 || e == NO_EXTENT) {
        return r;
    }
    bits.map = s->data_at + e * s->stride;
    r = meta_bits_run(n, &bits, sector, MIN((p->size + SECTOR - 1) / SECTOR - sector, LOOK), &run, &here);
    if (r < 0) {
        return r;
    }
    p->kind = here ? GRAIN_DATA : GRAIN_ABSENT;
    p->file = n->file->node;
    p->offset = bits.map + s->bitmap_bytes + (off - p->start);
    p->run = run * SECTOR - off % SECTOR;
    return 0;
}

static const GrainOps bochs_ops = { .find = bochs_find };
static const OptKey bochs_keys[] = { { "file", OPT_ANY, "what holds the image" }, {} };
static const BlkImageOps bochs_image = { .no_dirty_flag = true };
static const BlkDriver bochs = {
    .name = "bochs", .help = "Bochs disk images, growing (read only)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Bochs), .options = bochs_keys, .probe = bochs_probe,
    .open = bochs_open, .close = grains_close, .read = grains_read, .status = grains_status, .image = &bochs_image,
};
BLK_DRIVER(bochs);
