/* SPDX-License-Identifier: MIT */
/* Parts of the parallels driver; the format's description is named in parallels.c. */
#ifndef BLOCK_PARALLELS_PARALLELS_PRIV_H
#define BLOCK_PARALLELS_PARALLELS_PRIV_H

#include "block/grains.h"

enum { H_MAGIC = 0, H_VERSION = 16, H_HEADS = 20, H_CYLINDERS = 24, H_TRACKS = 28, H_ENTRIES = 32, H_SECTORS = 36, H_INUSE = 44, H_DATA = 48, H_FLAGS = 52, H_EXT = 56, H_SIZE = 64 };
enum { VERSION = 2, FLAG_EMPTY = 1, DEFAULT_CLUSTER = 1 << 20 };
#define IN_USE 0x746f6e59u

typedef struct {
    Grains g;
    uint32_t entries;
    uint64_t unit;                  /* bytes that an entry counts in */
    uint64_t data;                  /* where clusters begin */
    uint64_t ext;                   /* header extension, in sectors; 0: none */
    uint32_t flags;
    bool in_use;
    bool bad_data;                  /* the header says something else about `data` */
} Parallels;

int parallels_check(BlkNode *n, BlkCheck *c);
/* The dirty bitmaps of the header extension onto the node, which is read-only. */
bool parallels_read_extension(BlkNode *n, Error **errp);

#endif
