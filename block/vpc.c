/* SPDX-License-Identifier: MIT */
/*
 * Virtual PC disk images (VHD), fixed and dynamic.
 *
 * Facts: "Virtual Hard Disk Image Format Specification", Microsoft, version
 * 1.0.  Big endian.  A footer of one sector at the end of the file; dynamic
 * disks have a copy of it in front, then a header and a table of blocks.  A
 * block is a bitmap of its sectors, then the sectors.
 *
 * Every new block goes where the footer was, and the footer behind it.  A cut
 * may leave neither: the copy in front counts.
 *
 * The size: programs that make disks of whole cylinders mean the geometry,
 * others the size field; who made the image decides, and force_size_calc=.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/size.h"

enum {
    F_COOKIE = 0, F_FEATURES = 8, F_VERSION = 12, F_DATA = 16, F_TIME = 24, F_CREATOR = 28, F_CREATOR_VERSION = 32, F_OS = 36, F_ORIGINAL = 40, F_SIZE = 48,
    F_CYLINDERS = 56, F_HEADS = 58, F_SECTORS = 59, F_TYPE = 60, F_CHECKSUM = 64, F_UUID = 68, FOOTER = 512,
    D_COOKIE = 0, D_NEXT = 8, D_TABLE = 16, D_VERSION = 24, D_ENTRIES = 28, D_BLOCK = 32, D_CHECKSUM = 36, DYNAMIC = 1024,
};
enum { TYPE_FIXED = 2, TYPE_DYNAMIC = 3, TYPE_DIFFERENCING = 4, DEFAULT_BLOCK = 2 << 20, EPOCH_2000 = 946684800 };
#define NO_BLOCK 0xffffffffu
#define MAX_GEOMETRY (65535ull * 16 * 255)
#define MAX_SECTORS 0xff000000ull

typedef struct {
    Grains g;
    bool fixed;
    uint32_t entries;
    uint64_t table, block, bitmap;
    uint64_t full;                  /* block whose bitmap is known to be all ones, plus one */
    uint8_t footer[FOOTER];
} Vpc;

static int vpc_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && !memcmp(buf, "conectix", 8) ? 100 : 0;
}

static uint32_t checksum(const uint8_t *p, size_t len, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i >= field && i < field + 4 ? 0 : p[i];
    }
    return ~sum;
}

/* ---- open ---- */

static bool by_size_field(const uint8_t *f)
{
    static const char *const makers[] = { "win ", "qem2", "d2v ", "tap", "CTXS", "rhea" };

    for (unsigned i = 0; i < G_N_ELEMENTS(makers); i++) {
        if (!memcmp(f + F_CREATOR, makers[i], 4)) {
            return true;
        }
    }
    return false;
}

static bool disk_size(BlkNode *n, const Json *o, Error **errp)
{
    Vpc *s = n->state;
    const uint8_t *f = s->footer;
    const char *how = json_get_string(o, "force-size-calc");
    uint64_t chs = (uint64_t)lduw_be_p(f + F_CYLINDERS) * f[F_HEADS] * f[F_SECTORS], size = ldq_be_p(f + F_SIZE);
    bool use_size = how ? !strcmp(how, "current_size") : by_size_field(f) || chs == MAX_GEOMETRY;

    n->size = use_size ? size / 512 * 512 : chs * 512;
    return n->size <= MAX_SECTORS * 512 || error_set(errp, "VHD image of %" PRIu64 " bytes is larger than such an image can be", n->size);
}

static bool read_dynamic(BlkNode *n, Error **errp)
{
    Vpc *s = n->state;
    uint64_t at = ldq_be_p(s->footer + F_DATA);
    uint8_t h[DYNAMIC];
    int r = at > INT64_MAX - DYNAMIC ? -EINVAL : node_pread_padded(n->file->node, at, h, sizeof(h));

    if (r < 0) {
        return error_set_errno(errp, -r, "Error reading dynamic VHD header");
    }
    if (memcmp(h, "cxsparse", 8)) {
        return error_set(errp, "Invalid header magic");
    }
    s->block = (uint32_t)ldl_be_p(h + D_BLOCK);
    s->entries = ldl_be_p(h + D_ENTRIES);
    s->table = ldq_be_p(h + D_TABLE);
    if (s->block < 512 || (s->block & (s->block - 1))) {
        return error_set(errp, "Invalid block size %" PRIu64, s->block);
    }
    if (s->entries > MAX_SECTORS * 512 / s->block) {
        return error_set(errp, "Too many blocks");
    }
    if (s->entries * s->block < n->size) {
        return error_set(errp, "Page table too small");
    }
    if (s->table > INT64_MAX - s->entries * 4ull) {
        return error_set(errp, "Page table offset too large");
    }
    s->bitmap = format_round((s->block / 512 + 7) / 8, 512);
    n->cluster = s->block;
    return true;
}

static bool read_footer(BlkNode *n, Error **errp)
{
    Vpc *s = n->state;
    uint64_t size = node_size(n->file->node);
    int r = node_pread_padded(n->file->node, 0, s->footer, FOOTER);

    if (r == 0 && memcmp(s->footer, "conectix", 8) && size >= FOOTER) {
        s->fixed = true;
        r = node_pread(n->file->node, size - FOOTER, s->footer, FOOTER);
    }
    if (r < 0) {
        return error_set_errno(errp, -r, "Unable to read VHD header");
    }
    if (memcmp(s->footer, "conectix", 8) || (s->fixed && ldl_be_p(s->footer + F_TYPE) != TYPE_FIXED)) {
        return error_set(errp, "invalid VPC image");
    }
    if (ldl_be_p(s->footer + F_TYPE) == TYPE_DIFFERENCING) {
        return error_set(errp, "differencing VHD images are not in this program; merge it with its parent where it was made");
    }
    s->fixed = ldl_be_p(s->footer + F_TYPE) == TYPE_FIXED;
    return true;
}

static const GrainOps vpc_ops, vpc_fixed_ops;

static bool vpc_open(BlkNode *n, Json *o, Error **errp)
{
    Vpc *s = n->state;

    if (!format_open_file(n, o, errp) || !read_footer(n, errp) || !disk_size(n, o, errp) || (!s->fixed && !read_dynamic(n, errp))) {
        return false;
    }
    grains_init(n, s->fixed ? &vpc_fixed_ops : &vpc_ops, s->fixed ? 0 : s->block);
    s->g.absent_is_zero = true;
    return true;
}

/* ---- grains ---- */

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

static int vpc_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vpc *s = n->state;
    uint32_t e;
    int r = meta_get32be(n, n->file->node, entry_at(s, off), &e);

    if (r < 0 || e == NO_BLOCK) {
        return r;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = e * 512ull + s->bitmap + (off - p->start);
    return 0;
}

/* Where the blocks end: the footer is, or was, there. */
static int find_end(BlkNode *n)
{
    Vpc *s = n->state;
    uint64_t size = node_size(n->file->node), end = MAX(format_round(s->table + s->entries * 4ull, 512), ldq_be_p(s->footer + F_DATA) + DYNAMIC);

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

static int vpc_place(BlkNode *n, GrainPlace *p)
{
    Vpc *s = n->state;
    g_autofree uint8_t *ones = g_malloc(s->bitmap);
    uint64_t at = s->g.next;
    int r;

    if (at / 512 >= NO_BLOCK) {
        return -ENOSPC;
    }
    memset(ones, 0xff, s->bitmap);
    r = meta_write(n, n->file->node, at, ones, s->bitmap, 0);
    s->g.next = at + s->bitmap + s->block;
    r = r ? r : meta_write(n, n->file->node, s->g.next, s->footer, FOOTER, 0);
    p->file = n->file->node;
    p->offset = at + s->bitmap;
    return r;
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

static const GrainOps vpc_ops = { .find = vpc_find, .place = vpc_place, .link = vpc_link, .touch = vpc_touch, .begin = find_end };
static const GrainOps vpc_fixed_ops = { .find = fixed_find };

/* ---- create ---- */

static const OptKey vpc_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "subformat", OPT_STRING, "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} " },
    { "force_size", OPT_BOOL, "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation" },
    {}
};

typedef struct {
    uint16_t cylinders;
    uint8_t heads, sectors;
} Geometry;

/* The specification's appendix "CHS Calculation". */
static Geometry geometry_of(uint64_t total)
{
    uint64_t tracks, heads, sectors;

    total = MIN(total, MAX_GEOMETRY);
    if (total >= 65535ull * 16 * 63) {
        return (Geometry){ total / 255 / 16, 16, 255 };
    }
    sectors = 17;
    tracks = total / sectors;
    heads = MAX((tracks + 1023) / 1024, 4);
    if (tracks >= heads * 1024 || heads > 16) {
        sectors = 31;
        heads = 16;
        tracks = total / sectors;
    }
    if (tracks >= heads * 1024) {
        sectors = 63;
        heads = 16;
        tracks = total / sectors;
    }
    return (Geometry){ tracks / heads, heads, sectors };
}

static uint64_t sectors_of(Geometry g)
{
    return (uint64_t)g.cylinders * g.heads * g.sectors;
}

/* The smallest geometry that holds that many. */
static Geometry geometry_for(uint64_t sectors)
{
    Geometry g = geometry_of(sectors);

    for (uint64_t more = 0; sectors_of(g) < MIN(sectors, MAX_GEOMETRY); more++) {
        g = geometry_of(sectors + more);
    }
    return g;
}

static void make_footer(uint8_t *f, uint64_t size, Geometry g, bool fixed, bool by_size)
{
    memset(f, 0, FOOTER);
    memcpy(f, "conectix", 8);
    stl_be_p(f + F_FEATURES, 2);
    stl_be_p(f + F_VERSION, 0x00010000);
    stq_be_p(f + F_DATA, fixed ? UINT64_MAX : FOOTER);
    stl_be_p(f + F_TIME, loop_wall_time() / 1000000 - EPOCH_2000);
    memcpy(f + F_CREATOR, "rhea", 4);
    stl_be_p(f + F_CREATOR_VERSION, 0x00050003);
    memcpy(f + F_OS, "Wi2k", 4);
    stq_be_p(f + F_ORIGINAL, size);
    stq_be_p(f + F_SIZE, size);
    stw_be_p(f + F_CYLINDERS, by_size ? 65535 : g.cylinders);
    f[F_HEADS] = by_size ? 16 : g.heads;
    f[F_SECTORS] = by_size ? 255 : g.sectors;
    stl_be_p(f + F_TYPE, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
    io_uuid(f + F_UUID);
    stl_be_p(f + F_CHECKSUM, checksum(f, FOOTER, F_CHECKSUM));
}

static int write_dynamic(BlkNode *file, const uint8_t *footer, uint64_t size)
{
    enum { CHUNK = 1 << 16, TABLE = FOOTER + DYNAMIC };
    uint64_t entries = (size + DEFAULT_BLOCK - 1) / DEFAULT_BLOCK, bytes = format_round(entries * 4, 512);
    g_autofree uint8_t *ones = g_malloc(CHUNK);
    uint8_t h[DYNAMIC] = "cxsparse";
    int r = 0;

    memset(ones, 0xff, CHUNK);
    memset(h + D_NEXT, 0xff, 8);
    stq_be_p(h + D_TABLE, TABLE);
    stl_be_p(h + D_VERSION, 0x00010000);
    stl_be_p(h + D_ENTRIES, entries);
    stl_be_p(h + D_BLOCK, DEFAULT_BLOCK);
    stl_be_p(h + D_CHECKSUM, checksum(h, sizeof(h), D_CHECKSUM));
    for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK) {
        r = node_pwrite(file, TABLE + at, ones, MIN(bytes - at, CHUNK));
    }
    r = r ? r : node_pwrite(file, FOOTER, h, sizeof(h));
    r = r ? r : node_pwrite(file, TABLE + bytes, footer, FOOTER);
    r = r ? r : node_flush(file);
    return r ? r : node_pwrite(file, 0, footer, FOOTER);
}

static bool vpc_create(Session *session, const char *filename, Json *o, Error **errp)
{
    uint64_t size = format_round(json_get_u64(o, "size", 0), 512);
    const char *sub = json_get_string(o, "subformat");
    bool fixed = sub && !strcmp(sub, "fixed"), force = json_get_bool(o, "force_size", false);
    Geometry g = {};
    uint8_t footer[FOOTER];
    Blk *b;
    int r;

    if (sub && !fixed && strcmp(sub, "dynamic")) {
        return error_set(errp, "invalid parameter value: %s", sub);
    }
    if (!force) {
        g = geometry_for(size / 512);
        size = size / 512 > MAX_GEOMETRY ? size : sectors_of(g) * 512;
    }
    if (size > MAX_SECTORS * 512) {
        return error_set(errp, "Disk size is too large, max size is 2040 GiB");
    }
    b = format_create_file(session, filename, fixed ? size + FOOTER : 0, NULL, errp);
    if (!b) {
        return false;
    }
    make_footer(footer, size, g, fixed, force || size / 512 > MAX_GEOMETRY);
    r = fixed ? node_pwrite(blk_node(b), size, footer, FOOTER) : write_dynamic(blk_node(b), footer, size);
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", filename);
}

static const OptKey vpc_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "force-size-calc", OPT_ENUM, "where the size comes from", .values = "chs|current_size", .alias = "force_size_calc" },
    {}
};
static const BlkDriver vpc = {
    .name = "vpc", .help = "Virtual PC disk images (VHD)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vpc), .options = vpc_keys, .probe = vpc_probe, .open = vpc_open,
    .close = grains_close, .child_moved = grains_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .status = grains_status,
    .create_options = vpc_create_keys, .create = vpc_create, .zero_init = true,
};
BLK_DRIVER(vpc);
