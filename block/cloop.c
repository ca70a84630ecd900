/* SPDX-License-Identifier: MIT */
/*
 * Compressed loop images, format V2.0 (as the tools of cloop 2 and 3 make
 * them); read only.
 *
 * Facts: the README of cloop, and images made by create_compressed_fs.  Big
 * endian.  A script of 128 bytes, the size of a block, their number, their
 * places, one more for the end; each block is a zlib stream.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/deflate.h"
#include "util/bswap.h"

enum { H_BLOCK = 128, H_COUNT = 132, H_OFFSETS = 136, MAX_BLOCK = 64 << 20 };

typedef struct {
    Grains g;
    uint64_t block, count;
} Cloop;

static const char script[] = "#!/bin/sh\n#V2.0 Format\n";

static int cloop_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_OFFSETS && !memcmp(buf, script, sizeof(script) - 1) ? 2 : 0;
}

static const GrainOps cloop_ops;

static bool cloop_open(BlkNode *n, Json *o, Error **errp)
{
    Cloop *s = n->state;
    uint8_t h[H_OFFSETS];

    if (!format_open_header(n, o, h, sizeof(h), errp)) {
        return false;
    }
    n->read_only = true;
    if (!cloop_probe(h, sizeof(h), NULL)) {
        return error_set(errp, memcmp(h, "#!/bin/sh\n#V", 12) ? "Image is not in cloop format" : "cloop images of another format than V2.0 are not in this program");
    }
    s->block = (uint32_t)ldl_be_p(h + H_BLOCK);
    s->count = (uint32_t)ldl_be_p(h + H_COUNT);
    if (!s->block) {
        return error_set(errp, "block_size cannot be zero");
    }
    if (s->block % 512) {
        return error_set(errp, "block_size %" PRIu64 " must be a multiple of 512", s->block);
    }
    if (s->block > MAX_BLOCK) {
        return error_set(errp, "block_size %" PRIu64 " must be %u MB or less", s->block, MAX_BLOCK >> 20);
    }
    if (s->count > (512u << 20) / 8 - 1) {
        return error_set(errp, "image requires too many offsets, try increasing block size");
    }
    n->size = s->block * s->count;
    grains_init(n, &cloop_ops, s->block);
    return true;
}

static int cloop_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Cloop *s = n->state;
    uint64_t from = 0, to = 0, at = H_OFFSETS + off / s->block * 8;
    int r = meta_get64be(n, n->file->node, at, &from);

    r = r ? r : meta_get64be(n, n->file->node, at + 8, &to);
    p->kind = GRAIN_PACKED;
    p->file = n->file->node;
    p->offset = from;
    p->packed = to - from;
    return r ? r : to < from || to - from > 2 * MAX_BLOCK || to > INT64_MAX ? -EIO : 0;
}

static int cloop_unpack(BlkNode *n, const GrainPlace *p, uint8_t *buf)
{
    g_autofree uint8_t *in = g_try_malloc(p->packed + 1);
    int r = in ? node_pread_padded(p->file, p->offset, in, p->packed) : -ENOMEM;

    return r ? r : deflate_unpack(buf, p->size, in, p->packed, DEFLATE_ZLIB);
}

static const GrainOps cloop_ops = { .find = cloop_find, .unpack = cloop_unpack };
static const OptKey cloop_keys[] = { { "file", OPT_ANY, "what holds the image" }, {} };
static const BlkImageOps cloop_image = { .no_dirty_flag = true };
static const BlkDriver cloop = {
    .name = "cloop", .help = "compressed loop images (read only)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Cloop), .options = cloop_keys, .probe = cloop_probe,
    .open = cloop_open, .close = grains_close, .read = grains_read, .status = grains_status, .image = &cloop_image,
};
BLK_DRIVER(cloop);
