/* SPDX-License-Identifier: MIT */
/*
 * Inside of the vpc driver: Virtual PC disk images (VHD), fixed, dynamic and
 * differencing.
 *
 * Facts: "Virtual Hard Disk Image Format Specification", Microsoft, version
 * 1.0.  Big endian.  A footer of one sector at the end of the file; disks that
 * grow have a copy of it in front, then a header and a table of blocks.  A
 * block is a bitmap of its sectors, then the sectors.
 *
 * Every new block goes where the footer was, and the footer behind it.  A cut
 * may leave neither: the copy in front counts.
 *
 * A differencing disk names its parent in the header: its UUID, and up to
 * eight paths ("locators") whose text lies elsewhere.  Sectors whose bit is
 * not set are the parent's.
 *
 * The size: programs that make disks of whole cylinders mean the geometry,
 * others the size field; who made the image decides, and force_size_calc=.
 */
#ifndef BLOCK_VPC_VPC_PRIV_H
#define BLOCK_VPC_VPC_PRIV_H

#include "block/grains.h"

enum {
    F_COOKIE = 0, F_FEATURES = 8, F_VERSION = 12, F_DATA = 16, F_TIME = 24, F_CREATOR = 28, F_CREATOR_VERSION = 32, F_OS = 36, F_ORIGINAL = 40, F_SIZE = 48,
    F_CYLINDERS = 56, F_HEADS = 58, F_SECTORS = 59, F_TYPE = 60, F_CHECKSUM = 64, F_UUID = 68, FOOTER = 512,
    D_COOKIE = 0, D_NEXT = 8, D_TABLE = 16, D_VERSION = 24, D_ENTRIES = 28, D_BLOCK = 32, D_CHECKSUM = 36, D_PARENT = 40, D_PARENT_TIME = 56, D_PARENT_NAME = 64,
    D_PARENT_NAME_LEN = 512, D_LOCATORS = 576, DYNAMIC = 1024,
    P_CODE = 0, P_SPACE = 4, P_LENGTH = 8, P_OFFSET = 16, P_SIZE = 24, LOCATORS = 8,
};
enum { TYPE_FIXED = 2, TYPE_DYNAMIC = 3, TYPE_DIFFERENCING = 4, DEFAULT_BLOCK = 2 << 20, EPOCH_2000 = 946684800 };
#define NO_BLOCK 0xffffffffu
#define MAX_GEOMETRY (65535ull * 16 * 255)
#define MAX_SECTORS 0xff000000ull

typedef struct Vpc {
    Grains g;
    bool fixed;
    uint32_t entries;
    uint64_t table, block, bitmap;
    uint64_t full;                  /* block whose bitmap is known to be all ones, plus one */
    uint8_t footer[FOOTER];
    uint8_t header[DYNAMIC];
    uint64_t locators_end;          /* in the file; 0: there are none */
} Vpc;

static inline Vpc *vpc_of(BlkNode *n)
{
    return n->state;
}

/* ---- vpc.c ---- */
uint32_t vpc_checksum(const uint8_t *p, size_t len, size_t field);
bool vpc_differs(const Vpc *s);                     /* it has a parent */

/* ---- blocks.c ---- */
extern const GrainOps vpc_ops, vpc_diff_ops, vpc_fixed_ops;
/* Where the next block would go; lock held. */
int vpc_find_end(BlkNode *n);
/* What is not here becomes zeroes; lock held. */
int vpc_fill_parts(BlkNode *n);

/* ---- parent.c ---- */
/* The header's parent as n->backing_name.  `named`: the user says which it is. */
bool vpc_read_parent(BlkNode *n, bool named, Error **errp);
bool vpc_backing_is(BlkNode *n, BlkNode *below, Error **errp);
/* What the header of a child says, and the text of its locators, which will lie at `at`: the caller's. */
uint8_t *vpc_make_parent(Session *s, const char *image, const char *backing, const char *format, uint8_t *header, uint64_t at, uint64_t *len, Error **errp);
bool vpc_change_backing(BlkNode *n, const char *backing, const char *format, Error **errp);

/* ---- create.c ---- */
extern const OptKey vpc_create_keys[];
bool vpc_create(Session *session, const char *filename, Json *o, Error **errp);

#endif
