/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps: which parts of a disk were written.
 *
 * A bitmap has a bit per granule (a power of two, 512 and up).  One that hangs
 * on a node gets marked by every write to the node that changes what is read,
 * after the write, whether it went well or not; from any thread.  One without
 * a node is a set of granules for whoever works through a disk.  Named bitmaps
 * are the user's; persistent ones live in the image (qcow2).
 *
 * Making, removing and renaming: main thread, node drained or without users.
 * The rest: any thread, each call by itself atomic.
 */
#ifndef BLOCK_BITMAP_H
#define BLOCK_BITMAP_H

#include "block/driver.h"

typedef struct BlkBitmap BlkBitmap;
struct BlkBitmap {
    BlkNode *node;              /* NULL: a set by itself */
    char *name;                 /* NULL: nobody's but a job's */
    bool enabled;               /* marked by writes */
    bool persistent;            /* stored with the image */
    bool inconsistent;          /* was in use when the image was not closed: only fit to be removed */
    bool busy;                  /* a job or an export needs it as it is */
    bool stored;                /* the image has it, marked as in use */
    unsigned shift;             /* of the granule */
    uint64_t size;              /* bytes that it covers */
    IoLock lock;                /* of the two below */
    uint64_t *words;
    uint64_t count;             /* granules set */
    BlkBitmap *next;            /* of the node's */
};

/* A set over `size` bytes. */
BlkBitmap *blk_bitmap_alloc(uint64_t size, uint32_t granularity);
void blk_bitmap_free(BlkBitmap *b);                     /* off its node, too; NULL is fine */
/* On a node; enabled.  Granularity 0: the cluster of the image, 4 to 64 KiB. */
BlkBitmap *blk_bitmap_new(BlkNode *n, const char *name, uint64_t granularity, Error **errp);
/* Stored with the image from now on; only where the format can. */
bool blk_bitmap_make_persistent(BlkBitmap *b, Error **errp);
BlkBitmap *blk_bitmap_find(const BlkNode *n, const char *name);
uint32_t blk_bitmap_granularity(const BlkBitmap *b);
void blk_bitmap_resize(BlkBitmap *b, uint64_t size);

void blk_bitmap_set(BlkBitmap *b, uint64_t off, uint64_t len);      /* every granule that the range touches */
void blk_bitmap_clear(BlkBitmap *b, uint64_t off, uint64_t len);    /* every granule that lies inside it (or ends at the end of the disk) */
void blk_bitmap_clear_all(BlkBitmap *b);
bool blk_bitmap_get(BlkBitmap *b, uint64_t off);
/* The first run of set granules at or behind `off`, at most max bytes long; false: there is none. */
bool blk_bitmap_next(BlkBitmap *b, uint64_t off, uint64_t max, uint64_t *start, uint64_t *len);
/* The run of equal bits at off: its length, cut at max; *set says which. */
uint64_t blk_bitmap_run(BlkBitmap *b, uint64_t off, uint64_t max, bool *set);
uint64_t blk_bitmap_bytes(BlkBitmap *b);                /* set, counted in bytes */
/* Adds the bits of another one of the same size; any granularity. */
void blk_bitmap_merge(BlkBitmap *into, BlkBitmap *from);

/* request.c calls this after each change. */
void blk_bitmaps_mark(BlkNode *n, uint64_t off, uint64_t len);
void blk_bitmaps_resized(BlkNode *n, uint64_t size);
void blk_bitmaps_free(BlkNode *n);
/* "dirty-bitmaps" of info. */
Json *blk_bitmaps_info(BlkNode *n);

#endif
