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
} Vhdx;

static inline Vhdx *vhdx_of(BlkNode *n)
{
    return n->state;
}

/* ---- header.c ---- */
/* GUIDs of this format lie with their first three fields little endian. */
void vhdx_guid(const char *text, uint8_t out[16]);
bool vhdx_read_headers(BlkNode *n, Error **errp);
bool vhdx_read_regions(BlkNode *n, Error **errp);
bool vhdx_read_metadata(BlkNode *n, Error **errp);
/* The other header takes over; `log_guid` NULL: the log is empty. */
int vhdx_write_header(BlkNode *n, const uint8_t *log_guid, bool new_file, bool new_data);
void vhdx_seal(uint8_t *p, size_t len);         /* checksum at byte 4 */
bool vhdx_sealed(const uint8_t *p, size_t len);
bool vhdx_all_zero(const void *p, size_t len);

/* ---- log.c ---- */
bool vhdx_replay(BlkNode *n, Error **errp);
/* Changed pages of tables through the log to their places. */
int vhdx_sync(BlkNode *n, bool durable);

/* ---- create.c ---- */
extern const OptKey vhdx_create_keys[];
bool vhdx_create(Session *s, const char *filename, Json *o, Error **errp);

#endif
