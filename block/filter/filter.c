/* SPDX-License-Identifier: MIT */
#include "block/filter/filter.h"

bool filter_open(BlkNode *n, Json *o, const char *name, Error **errp)
{
    BlkChild *c = blk_open_child(n, o, name, NULL, BLK_CHILD_FILTERED, 0, errp);

    if (!c) {
        return false;
    }
    n->size = node_size(c->node);
    n->align = c->node->align;
    n->mem_align = c->node->mem_align;
    n->cluster = c->node->cluster;
    n->read_only = n->read_only || c->node->read_only;
    return true;
}

int filter_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return node_read_below(n->file->node, off, len, v, flags);
}

int filter_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return filter_wrote(n, off + len, node_write(n->file->node, off, len, v, flags));
}

int filter_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    return filter_wrote(n, off + len, node_write(n->file->node, off, len, v, BLK_COMPRESSED_WRITE));
}

int filter_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return node_discard(n->file->node, off, len);
}

int filter_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    return filter_wrote(n, off + len, node_zeroes(n->file->node, off, len, flags | BLK_NO_FALLBACK));
}

int filter_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    int r = node_status_chain(n->file->node, NULL, off, len, out);

    out->flags &= ~BLK_EXT_EOF;
    return r;
}

bool filter_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    return node_resize(n->file->node, size, prealloc, errp);
}
