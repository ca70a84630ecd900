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
#include "block/parallels/parallels-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

static const char magic_old[] = "WithoutFreeSpace", magic_ext[] = "WithouFreSpacExt";

static int parallels_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_SIZE && (!memcmp(buf, magic_old, 16) || !memcmp(buf, magic_ext, 16)) && ldl_le_p(buf + H_VERSION) == VERSION ? 100 : 0;
}

static const GrainOps parallels_ops;

/* Where clusters begin, in sectors: behind the table, at a whole cluster; old images may say 0. */
static bool data_ok(const Parallels *s, uint32_t data, bool ext)
{
    return data ? data * 512ull >= H_SIZE + s->entries * 4ull && data * 512ull % s->unit == 0 : !ext;
}

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
    s->bad_data = sectors && !data_ok(s, ldl_le_p(h + H_DATA), ext);
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

    if (!format_open_header(n, o, h, sizeof(h), errp) || !read_header(n, h, errp) || !writable(n, errp)) {
        return false;
    }
    grains_init(n, &parallels_ops, s->g.grain);
    return !s->ext || !n->read_only || parallels_read_extension(n, errp);
}

/* ---- grains ---- */

static int parallels_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Parallels *s = n->state;
    uint64_t i = off / s->g.grain, at = H_SIZE + i * 4;
    uint32_t e;
    int r;

    if (i >= s->entries) {                      /* a table that is too short: nothing can be made there */
        p->size = 0;
        p->run = UINT64_MAX;
        return 0;
    }
    r = meta_get32le(n, n->file->node, at, &e);
    if (r == 0 && !e) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, at, 4, s->g.grain, off - p->start, s->entries * s->g.grain - off }, p);
    }
    if (r < 0 || !e) {
        return r;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = e * s->unit + (off - p->start);
    return e * s->unit >= H_SIZE + s->entries * 4ull && e * s->unit < INT64_MAX - s->g.grain ? 0 : -EIO;
}

static int parallels_find_end(BlkNode *n)
{
    Parallels *s = n->state;
    BlkNode *file = n->file->node;
    uint64_t end = s->g.next;
    uint32_t e;
    int r = 0;

    for (uint64_t i = 0; node_fixed(file) && i < s->entries && H_SIZE + i * 4 < node_size(file) && r == 0; i++) {
        r = meta_get32le(n, file, H_SIZE + i * 4, &e);
        if (r == 0 && e) {
            format_in_use(&end, file, e * s->unit, s->g.grain);
        }
    }
    s->g.next = r ? s->g.next : end;
    return r;
}

static int parallels_place(BlkNode *n, GrainPlace *p)
{
    Parallels *s = n->state;
    uint64_t end = MAX(MAX(format_end(n->file->node), s->data), s->g.next);

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

static const GrainOps parallels_ops = { .find = parallels_find, .place = parallels_place, .link = parallels_link, .unlink = parallels_unlink, .reuses = true,
    .find_end = parallels_find_end, .begin = parallels_begin };

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
