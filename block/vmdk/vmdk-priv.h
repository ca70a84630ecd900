/* SPDX-License-Identifier: MIT */
/*
 * Inside of the vmdk driver.  Facts: "Virtual Disk Format 1.1" and "Virtual
 * Disk Format 5.0", VMware technical notes; little endian.
 *
 * A disk is a list of extents that a descriptor (a text) names; the descriptor
 * may lie in the only extent.  Sparse extents map grains by a directory of
 * tables, hosted ones twice over.
 */
#ifndef BLOCK_VMDK_VMDK_PRIV_H
#define BLOCK_VMDK_VMDK_PRIV_H

#include "block/grains.h"

/* Sparse extent header, "KDMV". */
enum {
    X_MAGIC = 0, X_VERSION = 4, X_FLAGS = 8, X_CAPACITY = 12, X_GRAIN = 20, X_DESC = 28, X_DESC_LEN = 36, X_GTES = 44, X_RGD = 48, X_GD = 56, X_OVERHEAD = 64,
    X_UNCLEAN = 72, X_NEWLINES = 73, X_COMPRESS = 77, X_SIZE = 512,
};
enum { XF_NEWLINES = 1, XF_RGD = 2, XF_ZERO_GRAINS = 4, XF_COMPRESSED = 1 << 16, XF_MARKERS = 1 << 17 };
/* ESX server sparse extent header, "COWD". */
enum { C_MAGIC = 0, C_VERSION = 4, C_CAPACITY = 12, C_GRAIN = 16, C_GD = 20, C_GD_LEN = 24, C_SIZE = 28 };
#define MAGIC_KDMV 0x564d444bu
#define MAGIC_COWD 0x44574f43u
#define GD_AT_END UINT64_MAX
#define NO_PARENT 0xffffffffu
enum { MAX_DESCRIPTOR = 1 << 20, DESCRIPTOR_AT = 512, DESCRIPTOR_BYTES = 20 * 512, MARKER = 12, ZERO_GRAIN = 1 };

typedef enum { EXT_FLAT, EXT_ZERO, EXT_SPARSE, EXT_SE } VmdkKind;

typedef struct VmdkExtent {
    VmdkKind kind;
    BlkNode *file;
    char *type;                 /* as the descriptor says; "" in a single file */
    uint64_t start, size;       /* in the disk */
    uint64_t at;                /* flat: offset in the file */
    /* sparse */
    uint64_t grain;
    uint64_t tables_span;       /* bytes of disk that one table maps */
    uint64_t gd, rgd;           /* offsets; rgd 0: none */
    uint64_t entries;           /* of the directory */
    uint64_t overhead;          /* data begins here at the earliest */
    uint64_t next;
    bool zero_grains, compressed, markers;
    /* sesparse */
    uint64_t tables_at, grains_at, table_bytes;
} VmdkExtent;

typedef struct Vmdk {
    Grains g;
    GPtrArray *extents;         /* VmdkExtent, by start */
    FiberMutex packing;         /* of a grain read, changed and packed again */
    uint64_t desc_at, desc_len; /* of the descriptor in the file; 0 length: none */
    uint32_t cid, parent_cid;
    char *create_type;
    bool parent_ok;             /* the backing file is the one that the image was made on */
} Vmdk;

static inline Vmdk *vmdk_of(BlkNode *n)
{
    return n->state;
}

/* ---- descriptor.c ---- */
bool vmdk_is_descriptor(const uint8_t *buf, size_t len);
/* The value of "name=", without quotes; NULL: not there.  Caller frees. */
char *vmdk_desc_get(const char *text, const char *name);
bool vmdk_desc_read(BlkNode *n, char **text, Error **errp);
/* CIDs, type, parent. */
bool vmdk_desc_apply(BlkNode *n, const char *text, Error **errp);
bool vmdk_desc_extents(BlkNode *n, Json *o, const char *text, Error **errp);
int vmdk_new_cid(BlkNode *n);

/* ---- extent.c ---- */
VmdkExtent *vmdk_extent_new(BlkNode *n, BlkNode *file, const char *type, uint64_t size);
bool vmdk_open_sparse(BlkNode *n, VmdkExtent *e, Error **errp);         /* either header */
bool vmdk_open_se(BlkNode *n, VmdkExtent *e, Error **errp);
void vmdk_extent_free(VmdkExtent *e);

/* ---- grain.c ---- */
extern const GrainOps vmdk_ops;

/* ---- create.c ---- */
extern const OptKey vmdk_create_keys[];
bool vmdk_create(Session *s, const char *filename, Json *o, Error **errp);

#endif
