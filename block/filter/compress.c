/* SPDX-License-Identifier: MIT */
/* Whatever is written goes to the image compressed, in whole clusters. */
#include "block/filter/filter.h"

#include <errno.h>

static const OptKey compress_keys[] = { { "file", OPT_ANY, "an image that can hold compressed clusters" }, {} };

static bool compress_open(BlkNode *n, Json *o, Error **errp)
{
    if (!filter_open(n, o, "file", errp)) {
        return false;
    }
    if (!n->file->node->drv->write_compressed || !n->file->node->cluster) {
        return error_set(errp, "'%s' does not support compression", n->file->node->drv->name);
    }
    n->align = MAX(n->align, n->file->node->cluster);      /* the layer fills up what is less */
    return true;
}

/* Compressed clusters are written once: what is there already is replaced by plain data. */
static int compress_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t size = node_size(n);
    int r;

    len = off < size ? MIN(len, size - off) : 0;            /* the last cluster may be cut short by the end of the disk */
    r = len ? node_write(n->file->node, off, len, v, BLK_COMPRESSED_WRITE) : 0;
    if (r == -EIO) {
        r = node_write(n->file->node, off, len, v, 0);
    }
    return r || !(flags & BLK_FUA) ? r : node_flush(n);
}

static const BlkDriver compress = {
    .name = "compress", .help = "writes compressed", .kind = BLK_DRV_FILTER, .options = compress_keys, .open = compress_open, .read = filter_read,
    .write = compress_write, .write_compressed = filter_write_compressed, .discard = filter_discard, .zeroes = filter_zeroes, .status = filter_status,
    .resize = filter_resize, .fua = true,
};
BLK_DRIVER(compress);
