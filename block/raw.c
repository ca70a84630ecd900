/* SPDX-License-Identifier: MIT */
/* A file as it is, or a part of it (offset, size). */
#include "block/driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/image.h"
#include "util/size.h"

typedef struct {
    uint64_t offset;
    bool has_size;
} Raw;

static const OptKey raw_keys[] = {
    { "file", OPT_ANY, "what holds it" },
    { "offset", OPT_SIZE, "where in the file it begins", .def = "0" },
    { "size", OPT_SIZE, "how much of the file it is", .def = "all" },
    {}
};

static int raw_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return 1;
}

static bool raw_open(BlkNode *n, Json *o, Error **errp)
{
    Raw *s = n->state;
    BlkChild *c = blk_open_child(n, o, "file", NULL, BLK_CHILD_FILTERED, BLK_O_PROTOCOL_NODE, errp);
    uint64_t real;

    if (!c) {
        return false;
    }
    real = (node_size(c->node) + 511) & ~511ull;        /* disks are whole sectors; what the file lacks reads as zeroes */
    s->offset = json_get_u64(o, "offset", 0);
    s->has_size = n->fixed = json_get(o, "size") != NULL;
    if (s->offset > real) {
        return error_set(errp, "Offset (%" PRIu64 ") cannot be greater than size of the containing file (%" PRIu64 ")", s->offset, real);
    }
    n->size = json_get_u64(o, "size", real - s->offset);
    if (n->size > real - s->offset) {
        return error_set(errp, "The sum of offset (%" PRIu64 ") and size (%" PRIu64 ") has to be smaller or equal to the actual size of the containing file (%" PRIu64 ")", s->offset, n->size, real);
    }
    if ((s->offset || s->has_size) && ((s->offset | n->size) & (c->node->align - 1))) {
        return error_set(errp, "Specified offset and size must be multiples of %u here", c->node->align);
    }
    n->read_only = n->read_only || c->node->read_only;
    n->align = c->node->align;
    n->mem_align = c->node->mem_align;
    return true;
}

static int raw_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return node_read(n->file->node, off + ((Raw *)n->state)->offset, len, v, flags);
}

static int raw_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Raw *s = n->state;
    int r;

    if ((s->offset || s->has_size) && off + len > node_size(n)) {
        return -ENOSPC;
    }
    r = node_write(n->file->node, off + s->offset, len, v, flags);
    if (r == 0 && off + len > node_size(n)) {
        blk_node_resized(n, off + len);
    }
    return r;
}

static int raw_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return node_discard(n->file->node, off + ((Raw *)n->state)->offset, len);
}

static int raw_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    return node_zeroes(n->file->node, off + ((Raw *)n->state)->offset, len, flags | BLK_NO_FALLBACK);
}

static int raw_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    Raw *s = n->state;
    int r = node_status(n->file->node, off + s->offset, len, out);

    if (r == 0 && out->len == 0) {
        *out = (BlkExtent){ .len = len, .flags = BLK_EXT_ZERO };
    }
    out->flags &= ~BLK_EXT_EOF;
    return r;
}

static int raw_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off, uint64_t len, unsigned flags)
{
    return node_copy(from, from_off, to->file->node, to_off + ((Raw *)to->state)->offset, len, flags);
}

static bool raw_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Raw *s = n->state;

    if (s->has_size) {
        return error_set(errp, "Cannot resize fixed-size raw disks");
    }
    if (node_fixed(n->file->node) && size + s->offset < node_size(n->file->node)) {
        return error_set(errp, "Cannot resize device files");
    }
    if (prealloc == BLK_PREALLOC_METADATA) {
        return error_set(errp, "Unsupported preallocation mode: metadata");
    }
    return node_resize(n->file->node, size + s->offset, prealloc, errp);
}

/* ---- create ---- */

static const OptKey raw_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "preallocation", OPT_ENUM, "Preallocation mode (allowed values: off, falloc, full)", .values = "off|falloc|full" },
    { "nocow", OPT_BOOL, "Turn off copy-on-write (valid only on btrfs)" },
    { "extent_size_hint", OPT_SIZE, "Extent size hint for the image file, 0 to disable" },
    {}
};

static bool raw_create(Session *s, const char *filename, Json *o, Error **errp)
{
    return blk_create_file(s, filename, json_get_u64(o, "size", 0), json_get_string(o, "preallocation"), errp);
}

static const BlkDriver raw = {
    .name = "raw", .help = "a file as it is", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Raw), .options = raw_keys, .probe = raw_probe,
    .open = raw_open, .read = raw_read, .write = raw_write, .discard = raw_discard, .zeroes = raw_zeroes, .status = raw_status, .copy = raw_copy, .resize = raw_resize, .as_long_as_file = true,
    .create_options = raw_create_keys, .create = raw_create, .preallocates = true, .view_options = "offset|size", .fua = true, .zero_init = true,
};
BLK_DRIVER(raw);
