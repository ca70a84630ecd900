/* SPDX-License-Identifier: MIT */
/*
 * Filters: nodes that look at what passes to one child, and change how, not
 * what.  A filter names the functions of its own in its row and takes
 * the rest from here.
 */
#ifndef BLOCK_FILTER_FILTER_H
#define BLOCK_FILTER_FILTER_H

#include "block/driver.h"

/* Open the child of option `name` and be as large, as aligned and as writable as it. */
bool filter_open(BlkNode *n, Json *o, const char *name, Error **errp);

int filter_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int filter_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int filter_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);
int filter_discard(BlkNode *n, uint64_t off, uint64_t len);
int filter_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int filter_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);
bool filter_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp);
/* A write reached beyond what was the end. */
static inline int filter_wrote(BlkNode *n, uint64_t end, int r)
{
    if (r == 0 && end > node_size(n)) {
        blk_node_resized(n, end);
    }
    return r;
}

#endif
