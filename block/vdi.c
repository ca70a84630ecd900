/* SPDX-License-Identifier: MIT */
/*
 * VirtualBox disk images, version 1.1, dynamic and static.
 *
 * Facts: the header as the forum of VirtualBox describes it ("All about VDIs",
 * by its developers).  All fields are little endian.  A block's entry is its
 * number in the data area; two values say that it has none.
 *
 * The header counts the blocks handed out.  Other programs put the next block
 * there, so the count goes to the medium before the entry (level 0, then 1).
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/size.h"

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION 0x00010001u
#define NO_BLOCK 0xffffffffu            /* never written */
#define ZERO_BLOCK 0xfffffffeu          /* given back: reads as zeroes */

enum {
    H_SIGNATURE = 0x40, H_VERSION = 0x44, H_LENGTH = 0x48, H_TYPE = 0x4c, H_TABLE = 0x154, H_DATA = 0x158, H_SECTOR = 0x168, H_DISK = 0x170,
    H_BLOCK = 0x178, H_EXTRA = 0x17c, H_BLOCKS = 0x180, H_ALLOCATED = 0x184, H_UUID = 0x188, H_UUID_SNAP = 0x198, H_UUID_LINK = 0x1a8, H_UUID_PARENT = 0x1b8, H_SIZE = 512,
};
enum { TYPE_DYNAMIC = 1, TYPE_STATIC = 2 };
enum { TABLE_AT = 512 };
#define BLOCK_SIZE ((uint64_t)MiB)
#define MAX_BLOCKS ((uint64_t)0x3fffffff)

typedef struct {
    Grains g;
    uint32_t blocks, allocated;
    uint64_t table, data;
    uint8_t *taken;                 /* a bit a block, once all places have been handed out: those that failed or were cut are used then */
    uint32_t hand;                  /* no free one before */
} Vdi;

static int vdi_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_SIGNATURE + 4 && (uint32_t)ldl_le_p(buf + H_SIGNATURE) == VDI_SIGNATURE ? 100 : 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

static bool header_ok(const uint8_t *h, Error **errp)
{
    uint64_t disk = format_round(ldq_le_p(h + H_DISK), 512);
    uint32_t version = ldl_le_p(h + H_VERSION), blocks = ldl_le_p(h + H_BLOCKS), block = ldl_le_p(h + H_BLOCK);

    if ((uint32_t)ldl_le_p(h + H_SIGNATURE) != VDI_SIGNATURE) {
        return error_set(errp, "Image not in VDI format (bad signature %08" PRIx32 ")", (uint32_t)ldl_le_p(h + H_SIGNATURE));
    }
    if (version != VDI_VERSION) {
        return error_set(errp, "unsupported VDI image (version %" PRIu32 ".%" PRIu32 ")", version >> 16, version & 0xffff);
    }
    if (ldl_le_p(h + H_TABLE) % 512) {
        return error_set(errp, "unsupported VDI image (unaligned block map offset 0x%" PRIx32 ")", (uint32_t)ldl_le_p(h + H_TABLE));
    }
    if (ldl_le_p(h + H_DATA) % 512) {
        return error_set(errp, "unsupported VDI image (unaligned data offset 0x%" PRIx32 ")", (uint32_t)ldl_le_p(h + H_DATA));
    }
    if (ldl_le_p(h + H_SECTOR) != 512) {
        return error_set(errp, "unsupported VDI image (sector size %" PRIu32 " is not 512)", (uint32_t)ldl_le_p(h + H_SECTOR));
    }
    if (block != BLOCK_SIZE) {
        return error_set(errp, "unsupported VDI image (block size %" PRIu32 " is not %" PRIu64 ")", block, BLOCK_SIZE);
    }
    if (ldq_le_p(h + H_DISK) > MAX_BLOCKS * BLOCK_SIZE || blocks > MAX_BLOCKS) {
        return error_set(errp, "unsupported VDI image (disk of 0x%" PRIx64 " bytes in %" PRIu32 " blocks, more than 0x%" PRIx64 ")", (uint64_t)ldq_le_p(h + H_DISK), blocks, MAX_BLOCKS);
    }
    if (disk > (uint64_t)blocks * block) {
        return error_set(errp, "unsupported VDI image (disk size %" PRIu64 ", image bitmap has room for %" PRIu64 ")", disk, (uint64_t)blocks * block);
    }
    if (!all_zero(h + H_UUID_LINK, 16)) {
        return error_set(errp, "unsupported VDI image (non-NULL link UUID)");
    }
    if (!all_zero(h + H_UUID_PARENT, 16)) {
        return error_set(errp, "unsupported VDI image (non-NULL parent UUID)");
    }
    return true;
}

static const GrainOps vdi_ops;

static bool vdi_open(BlkNode *n, Json *o, Error **errp)
{
    uint8_t h[H_SIZE];
    Vdi *s = n->state;

    if (!format_open_header(n, o, h, sizeof(h), errp)) {
        return false;
    }
    if (!header_ok(h, errp)) {
        return false;
    }
    s->blocks = ldl_le_p(h + H_BLOCKS);
    s->allocated = ldl_le_p(h + H_ALLOCATED);
    s->table = ldl_le_p(h + H_TABLE);
    s->data = ldl_le_p(h + H_DATA);
    if (s->table < H_SIZE || s->data < s->table + (uint64_t)s->blocks * 4) {
        return error_set(errp, "unsupported VDI image (header, block map and data overlap)");
    }
    n->size = format_round(ldq_le_p(h + H_DISK), 512);
    n->cluster = BLOCK_SIZE;
    grains_init(n, &vdi_ops, BLOCK_SIZE);
    s->g.absent_is_zero = true;
    return true;
}

/* ---- grains ---- */

static uint64_t entry_at(const Vdi *s, uint64_t start)
{
    return s->table + start / BLOCK_SIZE * 4;
}

static int vdi_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Vdi *s = n->state;
    uint32_t e;
    int r = meta_get32le(n, n->file->node, entry_at(s, p->start), &e);

    if (r < 0) {
        return r;
    }
    if (e >= ZERO_BLOCK) {
        p->kind = e == ZERO_BLOCK ? GRAIN_ZERO : GRAIN_ABSENT;
        meta_entries_run(n, &(MetaEntries){ n->file->node, entry_at(s, p->start), 4, BLOCK_SIZE, off - p->start, UINT64_MAX }, p);
        return 0;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = s->data + e * BLOCK_SIZE + (off - p->start);
    return e < s->blocks ? 0 : -EIO;
}

/* Which places the table names. */
static int look_for_holes(BlkNode *n)
{
    Vdi *s = n->state;

    s->taken = g_try_malloc0(s->blocks / 8 + 1);
    if (!s->taken) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < s->blocks; i++) {
        uint32_t e;
        int r = meta_get32le(n, n->file->node, entry_at(s, i * BLOCK_SIZE), &e);

        if (r < 0) {
            g_clear_pointer(&s->taken, g_free);
            return r;
        }
        if (e < s->blocks) {
            s->taken[e / 8] |= 1 << e % 8;
        }
    }
    s->hand = 0;
    return 0;
}

static int place_in_hole(BlkNode *n, uint32_t *place)
{
    Vdi *s = n->state;
    int r = s->taken ? 0 : look_for_holes(n);

    if (r < 0) {
        return r;
    }
    while (s->hand < s->blocks && (s->taken[s->hand / 8] & 1 << s->hand % 8)) {
        s->hand++;
    }
    if (s->hand == s->blocks) {
        return -ENOSPC;
    }
    s->taken[s->hand / 8] |= 1 << s->hand % 8;
    *place = s->hand++;
    return 0;
}

/* The last one placed comes first. */
static void vdi_unplace(BlkNode *n, const GrainPlace *p)
{
    Vdi *s = n->state;
    uint32_t place = (uint32_t)((p->offset - s->data) / BLOCK_SIZE);

    if (s->taken) {
        s->taken[place / 8] &= (uint8_t)~(1 << place % 8);
        s->hand = MIN(s->hand, place);
    } else if (place + 1 == s->allocated && meta_set32le(n, n->file->node, H_ALLOCATED, place, 0) == 0) {
        s->allocated = place;
    }
}

/* Behind all that was counted and all that the file holds while there is room: what a failed or cut write left there comes last. */
static int vdi_place(BlkNode *n, GrainPlace *p)
{
    Vdi *s = n->state;
    uint64_t end = node_size(n->file->node), used = end > s->data ? format_round(end - s->data, BLOCK_SIZE) / BLOCK_SIZE : 0, next = MAX(used, s->allocated);
    uint32_t place;
    int r = 0;

    next = next < s->blocks ? next : s->allocated;      /* a file on a device is as long as that is */
    place = (uint32_t)next;
    if (s->taken || next >= s->blocks) {
        r = place_in_hole(n, &place);
    }
    p->file = n->file->node;
    p->offset = s->data + place * BLOCK_SIZE;
    if (r == 0 && place >= s->allocated) {
        r = meta_set32le(n, n->file->node, H_ALLOCATED, place + 1, 0);
        s->allocated = r ? s->allocated : place + 1;
    }
    if (r < 0 && s->taken && r != -ENOSPC) {
        vdi_unplace(n, p);
    }
    return r;
}

static int vdi_link(BlkNode *n, const GrainPlace *p)
{
    Vdi *s = n->state;

    return meta_set32le(n, n->file->node, entry_at(s, p->start), (p->offset - s->data) / BLOCK_SIZE, 1);
}

static void vdi_close(BlkNode *n)
{
    grains_close(n);
    g_free(((Vdi *)n->state)->taken);
}

static const GrainOps vdi_ops = { .find = vdi_find, .place = vdi_place, .unplace = vdi_unplace, .link = vdi_link };

/* ---- check ---- */

static int vdi_check(BlkNode *n, BlkCheck *c)
{
    Vdi *s = n->state;
    g_autofree uint8_t *seen = g_try_malloc0(s->blocks / 8 + 1);
    uint32_t counted = 0;

    if (!seen) {
        return -ENOMEM;
    }
    if (c->repair_leaks || c->repair_all) {
        return -ENOTSUP;
    }
    for (uint32_t i = 0; i < s->blocks; i++) {
        uint32_t e;

        if (entry_at(s, i * BLOCK_SIZE) >= node_size(n->file->node)) {
            format_report(c, "ERROR: the block map reaches beyond the end of the file");
            c->corruptions++;
            break;
        }
        if (meta_get32le(n, n->file->node, entry_at(s, i * BLOCK_SIZE), &e) < 0) {
            c->check_errors++;
        } else if (e < ZERO_BLOCK) {
            counted++;
            if (e >= s->allocated || e >= s->blocks) {
                format_report(c, "ERROR: block index %" PRIu32 " out of range, is %" PRIu32, i, e);
                c->corruptions++;
            } else if (seen[e / 8] & 1 << e % 8) {
                format_report(c, "ERROR: allocated block number %" PRIu32 " shared", e);
                c->corruptions++;
            } else {
                seen[e / 8] |= 1 << e % 8;
            }
        }
    }
    if (counted < s->allocated) {
        format_report(c, "Leaked: %" PRIu32 " blocks are counted in the header and %" PRIu32 " are in use", s->allocated, counted);
        c->leaks += s->allocated - counted;
    }
    return 0;
}

/* ---- create ---- */

static const OptKey vdi_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "static", OPT_BOOL, "VDI static (pre-allocated) image", .def = "off" },
    {}
};

static void make_header(uint8_t *h, uint64_t size, uint32_t blocks, uint64_t data, bool whole)
{
    memset(h, 0, H_SIZE);
    memcpy(h, "<<< Rhea Virtual Disk Image >>>\n", 32);
    stl_le_p(h + H_SIGNATURE, VDI_SIGNATURE);
    stl_le_p(h + H_VERSION, VDI_VERSION);
    stl_le_p(h + H_LENGTH, 0x180);
    stl_le_p(h + H_TYPE, whole ? TYPE_STATIC : TYPE_DYNAMIC);
    stl_le_p(h + H_TABLE, TABLE_AT);
    stl_le_p(h + H_DATA, data);
    stl_le_p(h + H_SECTOR, 512);
    stq_le_p(h + H_DISK, size);
    stl_le_p(h + H_BLOCK, BLOCK_SIZE);
    stl_le_p(h + H_BLOCKS, blocks);
    stl_le_p(h + H_ALLOCATED, whole ? blocks : 0);
    io_uuid(h + H_UUID);
    io_uuid(h + H_UUID_SNAP);
}

static int write_table(BlkNode *file, uint32_t blocks, uint64_t bytes, bool whole)
{
    enum { CHUNK = 1 << 16 };
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    int r = 0;

    for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK) {
        uint64_t now = MIN(bytes - at, CHUNK);

        for (uint64_t i = 0; i < now / 4; i++) {
            uint64_t b = at / 4 + i;
            stl_le_p(buf + i * 4, b >= blocks ? 0 : whole ? b : NO_BLOCK);
        }
        r = node_pwrite(file, TABLE_AT + at, buf, now);
    }
    return r;
}

static bool vdi_create(Session *session, const char *filename, Json *o, Error **errp)
{
    uint64_t size = json_get_u64(o, "size", 0), blocks = format_round(size, BLOCK_SIZE) / BLOCK_SIZE, table = format_round(blocks * 4, 512), data = TABLE_AT + table;
    bool whole = json_get_bool(o, "static", false);
    uint8_t h[H_SIZE];
    Blk *b;
    int r;

    if (size > MAX_BLOCKS * BLOCK_SIZE) {
        return error_set(errp, "Unsupported VDI image size (size is 0x%" PRIx64 ", max supported is 0x%" PRIx64 ")", size, MAX_BLOCKS * BLOCK_SIZE);
    }
    b = format_create_file(session, filename, whole ? data + blocks * BLOCK_SIZE : 0, NULL, errp);
    if (!b) {
        return false;
    }
    make_header(h, size, blocks, data, whole);
    r = write_table(blk_node(b), blocks, table, whole);
    r = r ? r : node_flush(blk_node(b));
    r = r ? r : node_pwrite(blk_node(b), 0, h, sizeof(h));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", filename);
}

static const OptKey vdi_keys[] = { { "file", OPT_ANY, "what holds the image" }, {} };
static const BlkImageOps vdi_image = { .check = vdi_check };
static const BlkDriver vdi = {
    .name = "vdi", .help = "VirtualBox disk images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vdi), .options = vdi_keys, .probe = vdi_probe, .open = vdi_open,
    .close = vdi_close, .child_moved = grains_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard,
    .status = grains_status,
    .create_options = vdi_create_keys, .create = vdi_create, .image = &vdi_image, .zero_init = true,
};
BLK_DRIVER(vdi);
