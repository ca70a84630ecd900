/* SPDX-License-Identifier: MIT */
/*
 * Inside of the vhdx driver.  Facts: [MS-VHDX] "Virtual Hard Disk v2 (VHDX)
 * File Format".  Little endian.
 *
 * Two headers, of which the valid one with the higher number counts; two
 * copies of a table of regions; a log; a table of blocks ("BAT"); metadata.
 * The table changes through the log only: an entry of the log with the new
 * pages is on the medium before the pages are written in place.
 */
#ifndef BLOCK_VHDX_VHDX_PRIV_H
#define BLOCK_VHDX_VHDX_PRIV_H

#include "block/grains.h"

/* 2.2: headers and regions */
enum {
    V_HEADER1 = 64 << 10, V_HEADER2 = 128 << 10, V_REGIONS1 = 192 << 10, V_REGIONS2 = 256 << 10, V_HEADER_SIZE = 4096, V_REGIONS_SIZE = 64 << 10, V_MB = 1 << 20,
    VH_SIGNATURE = 0, VH_CHECKSUM = 4, VH_SEQUENCE = 8, VH_FILE_GUID = 16, VH_DATA_GUID = 32, VH_LOG_GUID = 48, VH_LOG_VERSION = 64, VH_VERSION = 66, VH_LOG_LENGTH = 68, VH_LOG_OFFSET = 72,
    VR_COUNT = 8, VR_ENTRIES = 16, VR_ENTRY = 32, VR_MAX = 2047,
};
/* 2.6: metadata */
enum { VM_COUNT = 10, VM_ENTRIES = 32, VM_ENTRY = 32, VM_MAX = 2047, VM_ITEMS = 64 << 10, VM_USER = 1, VM_DISK = 2, VM_REQUIRED = 4 };
/* 2.5: states of blocks */
enum { VB_ABSENT = 0, VB_UNDEFINED = 1, VB_ZERO = 2, VB_UNMAPPED = 3, VB_FULL = 6, VB_PART = 7, VB_STATE = 7 };
#define VB_OFFSET 0xfffffffffff00000ull
#define V_MAX_DISK (64ull << 40)

#define V_BAT_GUID "2dc27766-f623-4200-9d64-115e9bfd4a08"
#define V_METADATA_GUID "8b7ca206-4790-4b9a-b8fe-575f050f886e"
#define VM_FILE_PARAMETERS "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
#define VM_DISK_SIZE "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
#define VM_PAGE83 "beca12ab-b2e6-4523-93ef-c309e000c746"
#define VM_LOGICAL_SECTOR "8141bf1d-a96f-4709-ba47-f233a8faab5f"
#define VM_PHYSICAL_SECTOR "cda348c7-445d-4471-9cc9-e9885251c556"
#define VM_PARENT_LOCATOR "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
enum { VP_HAS_PARENT = 2, MAX_LOCATOR = 64 << 10 };

typedef struct Vhdx {
    Grains g;
    uint8_t header[V_HEADER_SIZE];      /* the one that counts */
    bool second;                        /* it is the second of the two */
    uint64_t log_at, log_len;
    uint64_t bat_at, bat_len;
    uint64_t meta_at, meta_len;
    uint64_t block;
    uint64_t ratio;                     /* payload entries between two of sector bitmaps */
    /* writing the log */
    bool log_live;                      /* the header names it */
    uint8_t log_guid[16];
    uint64_t log_next, log_sequence;
    bool replayed;
    bool named_new;                     /* the headers say that the file changes */
    /* a differencing disk */
    uint32_t sector;
    bool differs;
    uint64_t params_at;                 /* in the file */
    uint64_t locator_entry;             /* in the file: of the table of metadata */
    uint32_t locator_at, locator_len;   /* in the region of metadata */
    uint8_t linkage[2][16];             /* what the parent's header may say; all zeroes: not given */
} Vhdx;

static inline Vhdx *vhdx_of(BlkNode *n)
{
    return n->state;
}

/* ---- header.c ---- */
/* GUIDs of this format lie with their first three fields little endian. */
void vhdx_guid(const char *text, uint8_t out[16]);
/* The header that counts of the two in a file: V_HEADER_SIZE bytes. */
bool vhdx_load_header(BlkNode *file, uint8_t *header, bool *second, Error **errp);
bool vhdx_read_headers(BlkNode *n, Error **errp);
bool vhdx_read_regions(BlkNode *n, Error **errp);
bool vhdx_read_metadata(BlkNode *n, Error **errp);
/* The other header takes over; `log_guid` NULL: the log is empty. */
int vhdx_write_header(BlkNode *n, const uint8_t *log_guid, bool new_file, bool new_data);
void vhdx_seal(uint8_t *p, size_t len);         /* checksum at byte 4 */
bool vhdx_sealed(const uint8_t *p, size_t len);
bool vhdx_all_zero(const void *p, size_t len);

/* ---- vhdx.c ---- */
extern const GrainOps vhdx_ops;
/* Entries of sector bitmaps lie between those of blocks: where is the one of the block at `start`, and the one of its bitmap? */
uint64_t vhdx_entry(const Vhdx *s, uint64_t start);
uint64_t vhdx_bitmap_entry(const Vhdx *s, uint64_t start);
int vhdx_find(BlkNode *n, uint64_t off, GrainPlace *p);
int vhdx_find_end(BlkNode *n);
int vhdx_place(BlkNode *n, GrainPlace *p);
int vhdx_link(BlkNode *n, const GrainPlace *p);
int vhdx_link_zero(BlkNode *n, const GrainPlace *p);
int vhdx_begin(BlkNode *n);

/* ---- diff.c: blocks of differencing disks ---- */
extern const GrainOps vhdx_diff_ops;
/* What is not here becomes zeroes, and no bitmap is needed any more; lock held. */
int vhdx_fill_parts(BlkNode *n);
int vhdx_make_empty(BlkNode *n, uint64_t size);

/* ---- parent.c ---- */
/* The parent as n->backing_name.  `named`: the user says which it is. */
bool vhdx_read_parent(BlkNode *n, bool named, Error **errp);
bool vhdx_backing_is(BlkNode *n, BlkNode *below, Error **errp);
/* The metadata item that names it: the caller's. */
uint8_t *vhdx_make_locator(Session *s, const char *image, const char *backing, const char *format, size_t *len, Error **errp);
bool vhdx_change_backing(BlkNode *n, const char *backing, const char *format, Error **errp);
/* The parent has other data since, and that is as it should be; lock held. */
int vhdx_relink(BlkNode *n);

/* ---- log.c ---- */
bool vhdx_replay(BlkNode *n, Error **errp);
/* Changed pages of tables through the log to their places. */
int vhdx_sync(BlkNode *n, bool durable);

/* ---- create.c ---- */
extern const OptKey vhdx_create_keys[];
bool vhdx_create(Session *s, const char *filename, Json *o, Error **errp);

#endif
