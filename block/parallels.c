/* SPDX-License-Identifier: MIT */
/*
 * Parallels expandable images, version 2, with both magics.
 *
 * Facts: docs/interop/parallels of the peer's manual.  Little endian; one
 * table of 32-bit entries from byte 64: 0 is "not there", else where the
 * cluster lies, in sectors ("WithoutFreeSpace") or in clusters
 * ("WithouFreSpacExt").
 *
 * Clusters are ordered before their entries, so the "in use" mark of the
 * header is not needed and never set here; an image that carries it was left
 * by another program and wants `check -r all` first.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"
#include "util/size.h"

enum { H_MAGIC = 0, H_VERSION = 16, H_HEADS = 20, H_CYLINDERS = 24, H_TRACKS = 28, H_ENTRIES = 32, H_SECTORS = 36, H_INUSE = 44, H_DATA = 48, H_FLAGS = 52, H_EXT = 56, H_SIZE = 64 };
enum { VERSION = 2, FLAG_EMPTY = 1, DEFAULT_CLUSTER = 1 << 20 };
#define IN_USE 0x746f6e59u

static const char magic_old[] = "WithoutFreeSpace", magic_ext[] = "WithouFreSpacExt";

typedef struct {
    Grains g;
    uint32_t entries;
    uint64_t unit;                  /* bytes that an entry counts in */
    uint64_t data;                  /* where clusters begin */
    uint64_t ext;                   /* header extension, 0: none */
    uint32_t flags;
    bool in_use;
} Parallels;

static int parallels_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_SIZE && (!memcmp(buf, magic_old, 16) || !memcmp(buf, magic_ext, 16)) && ldl_le_p(buf + H_VERSION) == VERSION ? 100 : 0;
}

static const GrainOps parallels_ops;

static bool read_header(BlkNode *n, const uint8_t *h, Error **errp)
{
    Parallels *s = n->state;
    uint64_t tracks = (uint32_t)ldl_le_p(h + H_TRACKS), sectors = ldq_le_p(h + H_SECTORS), cluster = tracks * 512;
    bool ext = !memcmp(h, magic_ext, 16);

    if (!parallels_probe(h, H_SIZE, NULL)) {
        return error_set(errp, "Image not in Parallels format");
    }
    if (!tracks) {
        return error_set(errp, "Invalid image: Zero sectors per track");
    }
    if (tracks > INT32_MAX / 513) {
        return error_set(errp, "Invalid image: Too big cluster");
    }
    sectors = ext ? sectors : (uint32_t)sectors;
    s->entries = ldl_le_p(h + H_ENTRIES);
    if (s->entries > INT32_MAX / 4) {
        return error_set(errp, "Catalog too large");
    }
    if (sectors > INT64_MAX / 512) {
        return error_set(errp, "Invalid image: %" PRIu64 " sectors are more than a disk can have", sectors);
    }
    s->unit = ext ? cluster : 512;
    s->data = (uint64_t)(uint32_t)ldl_le_p(h + H_DATA) * 512;
    s->data = MAX(s->data, format_round(H_SIZE + s->entries * 4ull, s->unit));
    s->ext = ldq_le_p(h + H_EXT);
    s->flags = ldl_le_p(h + H_FLAGS);
    s->in_use = ldl_le_p(h + H_INUSE) == IN_USE;
    n->size = sectors * 512;
    s->g.grain = cluster;
    return true;
}

static bool writable(BlkNode *n, Error **errp)
{
    Parallels *s = n->state;

    if (s->in_use && !n->read_only && !(n->flags & BLK_O_CHECK)) {
        return error_set(errp, "parallels: Image was not closed correctly; cannot be opened read/write");
    }
    return true;
}

static bool parallels_open(BlkNode *n, Json *o, Error **errp)
{
    Parallels *s = n->state;
    uint8_t h[H_SIZE];
    int r;

    if (!format_open_file(n, o, errp)) {
        return false;
    }
    r = node_pread_padded(n->file->node, 0, h, sizeof(h));
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read image header");
    }
    if (!read_header(n, h, errp) || !writable(n, errp)) {
        return false;
    }
    grains_init(n, &parallels_ops, s->g.grain);
    return true;
}

/* ---- grains ---- */

static int parallels_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Parallels *s = n->state;
    uint64_t i = off / s->g.grain;
    uint32_t e = 0;
    int r = i < s->entries ? meta_get32le(n, n->file->node, H_SIZE + i * 4, &e) : 0;

    if (r < 0 || !e) {
        p->size = i < s->entries ? p->size : 0;
        return r;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = e * s->unit + (off - p->start);
    return e * s->unit >= H_SIZE + s->entries * 4ull && e * s->unit < INT64_MAX - s->g.grain ? 0 : -EIO;
}

static int parallels_place(BlkNode *n, GrainPlace *p)
{
    Parallels *s = n->state;
    uint64_t end = MAX(MAX(node_size(n->file->node), s->data), s->g.next);

    p->file = n->file->node;
    p->offset = format_round(end, s->unit);
    s->g.next = p->offset + p->size;
    return p->offset / s->unit > UINT32_MAX ? -ENOSPC : 0;
}

static int parallels_link(BlkNode *n, const GrainPlace *p)
{
    Parallels *s = n->state;

    return meta_set32le(n, n->file->node, H_SIZE + p->start / s->g.grain * 4, p->offset / s->unit, 0);
}

static int parallels_unlink(BlkNode *n, const GrainPlace *p)
{
    Parallels *s = n->state;

    return meta_set32le(n, n->file->node, H_SIZE + p->start / s->g.grain * 4, 0, 0);
}

/* Bitmaps of what changed, kept in the extension, are of no use from here on. */
static int parallels_begin(BlkNode *n)
{
    Parallels *s = n->state;
    int r = 0;

    if (s->ext) {
        r = meta_set64le(n, n->file->node, H_EXT, 0, 0);
        s->ext = 0;
    }
    if (r == 0 && (s->flags & FLAG_EMPTY)) {
        s->flags &= ~FLAG_EMPTY;
        r = meta_set32le(n, n->file->node, H_FLAGS, s->flags, 0);
    }
    return r ? r : grains_sync(n, true);
}

static const GrainOps parallels_ops = { .find = parallels_find, .place = parallels_place, .link = parallels_link, .unlink = parallels_unlink, .reuses = true, .begin = parallels_begin };

/* ---- check ---- */

static int count(BlkNode *n, BlkCheck *c, uint64_t *high)
{
    Parallels *s = n->state;
    BlkNode *f = n->file->node;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    uint64_t size = node_size(f), prev = 0;

    for (uint32_t i = 0; i < s->entries && H_SIZE + i * 4ull < size; i++) {
        uint64_t at;
        uint32_t e;
        int r = meta_get32le(n, f, H_SIZE + i * 4ull, &e);

        if (r < 0) {
            return r;
        }
        at = e * s->unit;
        if (!e) {
            prev = 0;
            continue;
        }
        if (at >= size || at < H_SIZE + s->entries * 4ull) {
            format_report(c, "%s cluster %" PRIu32 " is outside image", c->repair_all ? "Repairing" : "ERROR", i);
            c->corruptions++;
            if (c->repair_all) {
                r = meta_set32le(n, f, H_SIZE + i * 4ull, 0, 0);
                c->corruptions_fixed += r == 0;
            }
            prev = 0;
            continue;
        }
        if (!g_hash_table_add(seen, GSIZE_TO_POINTER(e))) {
            format_report(c, "ERROR cluster %" PRIu32 " is in use twice", i);
            c->corruptions++;
        }
        c->allocated_clusters++;
        c->fragmented_clusters += prev && at != prev + s->g.grain;
        prev = at;
        *high = MAX(*high, at + s->g.grain);
    }
    return 0;
}

static int check_mark(BlkNode *n, BlkCheck *c)
{
    Parallels *s = n->state;
    int r = 0;

    if (s->in_use) {
        format_report(c, "%s image was not closed correctly", c->repair_all ? "Repairing" : "ERROR");
        c->corruptions++;
        if (c->repair_all) {
            r = meta_set32le(n, n->file->node, H_INUSE, 0, 0);
            s->in_use = r != 0;
            c->corruptions_fixed += r == 0;
        }
    }
    return r;
}

static int parallels_check(BlkNode *n, BlkCheck *c)
{
    Parallels *s = n->state;
    uint64_t size = node_size(n->file->node), high = s->data;
    int r;

    fiber_mutex_lock(&s->g.lock);
    c->total_clusters = s->entries;
    r = check_mark(n, c);
    r = r ? r : count(n, c, &high);
    c->image_end = high;
    if (r == 0 && size > high) {
        uint64_t clusters = format_round(size - high, s->g.grain) / s->g.grain;

        format_report(c, "%s space leaked at the end of the image %" PRIu64, c->repair_leaks ? "Repairing" : "ERROR", size - high);
        c->leaks += clusters;
        if (c->repair_leaks && node_resize(n->file->node, high, BLK_PREALLOC_OFF, NULL)) {
            c->leaks_fixed += clusters;
        }
    }
    r = r || n->read_only ? r : grains_sync(n, true);
    fiber_mutex_unlock(&s->g.lock);
    return r;
}

/* ---- create ---- */

static const OptKey parallels_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "cluster_size", OPT_SIZE, "Parallels image cluster size", .def = "1048576" },
    {}
};

static bool parallels_create(Session *session, const char *filename, Json *o, Error **errp)
{
    uint64_t size = json_get_u64(o, "size", 0), cluster = json_get_u64(o, "cluster_size", DEFAULT_CLUSTER), entries, data;
    uint8_t h[512] = {};
    Blk *b;
    int r;

    if (!cluster || cluster > INT32_MAX || cluster % 512) {
        return error_set(errp, "Cluster size must be a multiple of 512 bytes below 2G");
    }
    size = format_round(size, 512);
    entries = format_round(size, cluster) / cluster;
    if (size / 512 > (uint64_t)INT32_MAX * 2 * (cluster / 512) || entries > INT32_MAX / 4) {
        return error_set(errp, "Image size is too large for this cluster size");
    }
    data = format_round(H_SIZE + entries * 4, cluster);
    b = format_create_file(session, filename, data, NULL, errp);
    if (!b) {
        return false;
    }
    memcpy(h, magic_ext, 16);
    stl_le_p(h + H_VERSION, VERSION);
    stl_le_p(h + H_HEADS, 16);
    stl_le_p(h + H_CYLINDERS, MIN((size / 512 + 16 * 32 - 1) / (16 * 32), UINT32_MAX));
    stl_le_p(h + H_TRACKS, cluster / 512);
    stl_le_p(h + H_ENTRIES, entries);
    stq_le_p(h + H_SECTORS, size / 512);
    stl_le_p(h + H_DATA, data / 512);
    r = node_pwrite(blk_node(b), 0, h, MIN(sizeof(h), data));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Failed to create Parallels image");
}

static bool parallels_reopen_rw(BlkNode *n, Error **errp)
{
    return writable(n, errp);
}

static const OptKey parallels_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "prealloc-size", OPT_SIZE, "", .absent = "the file grows by one cluster at a time" },
    { "prealloc-mode", OPT_STRING, "", .absent = "the file grows by one cluster at a time" },
    {}
};
static const BlkImageOps parallels_image = { .check = parallels_check, .no_dirty_flag = true };
static const BlkDriver parallels = {
    .name = "parallels", .help = "Parallels expandable images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Parallels), .options = parallels_keys, .probe = parallels_probe,
    .open = parallels_open, .reopen_rw = parallels_reopen_rw, .close = grains_close, .child_moved = grains_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush,
    .zeroes = grains_zeroes, .discard = grains_discard, .status = grains_status, .create_options = parallels_create_keys, .create = parallels_create, .image = &parallels_image, .zero_init = true,
};
BLK_DRIVER(parallels);
