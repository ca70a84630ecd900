/* SPDX-License-Identifier: MIT */
/*
 * What image tools ask of a format beyond reading and writing: facts, checks,
 * snapshots, options that can be changed.  Each function may be NULL, and the
 * tool says so.  Fiber only.
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include "block/driver.h"

typedef struct BlkCheck {
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    bool repair_leaks, repair_all;
    void (*report)(void *opaque, const char *line);         /* one line each, without newline */
    void *opaque;
} BlkCheck;

typedef struct BlkSnapshot {
    char *id, *name;
    uint64_t vm_state_size;
    uint64_t disk_size;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t icount;                    /* UINT64_MAX: none */
} BlkSnapshot;

typedef struct BlkMeasure {
    uint64_t required, fully_allocated;
    uint64_t bitmaps;
    bool has_bitmaps;
} BlkMeasure;

typedef struct BlkImageOps {
    /* Format specific part of info: {"type": ..., "data": {...}}; NULL: none. */
    Json *(*info)(BlkNode *n);
    bool (*dirty)(BlkNode *n);
    bool no_dirty_flag;                                 /* info has no "dirty-flag" for this format */
    bool (*encrypted)(BlkNode *n);
    bool thin;                                          /* made without preallocation: nothing is read of the file but what was written since */
    bool (*wants_packed)(BlkNode *n);                   /* can only be written in compressed clusters: convert does so unasked */
    /* 0, or a negative errno when the check itself could not be done. */
    int (*check)(BlkNode *n, BlkCheck *c);
    bool (*amend)(BlkNode *n, Json *options, bool force, Error **errp);   /* force: even what may lock everybody out */
    const OptKey *amend_options;
    int (*make_empty)(BlkNode *n, uint64_t size);       /* drop all data: the backing file answers again */
    /* backing NULL: none any more */
    bool (*change_backing)(BlkNode *n, const char *backing, const char *format, Error **errp);
    bool (*snapshot_create)(BlkNode *n, BlkSnapshot *sn, Error **errp);
    bool (*snapshot_apply)(BlkNode *n, const char *id_or_name, Error **errp);
    bool (*snapshot_delete)(BlkNode *n, const char *id_or_name, Error **errp);
    GPtrArray *(*snapshot_list)(BlkNode *n);            /* of BlkSnapshot, freed with it */
    bool (*snapshot_load)(BlkNode *n, const char *id_or_name, Error **errp);    /* read-only view of one */
    /* A machine's state: what is written (from 0 on) goes with the next snapshot; read of one.  len 0: can it be had at all? */
    int (*vmstate_write)(BlkNode *n, uint64_t off, const void *buf, uint64_t len);
    int (*vmstate_read)(BlkNode *n, const char *snapshot_id, uint64_t off, void *buf, uint64_t len);
    /* Sizes of an image of `options` that would hold `source` (may be NULL). */
    bool (*measure)(Json *options, Blk *source, BlkMeasure *out, Error **errp);
    /* Persistent bitmaps: may one of this name be added; take one out of the image. */
    bool (*bitmap_can_store)(BlkNode *n, const char *name, Error **errp);
    bool (*bitmap_remove)(BlkNode *n, const char *name, Error **errp);
} BlkImageOps;

void blk_snapshot_free(BlkSnapshot *sn);
/* The members of a node's record of info, added to `into`; of a list of snapshots. */
void blk_node_info(BlkNode *n, Json *into);
Json *blk_snapshots_info(const GPtrArray *list);
unsigned blk_chain_depth(const BlkNode *n);         /* how many nodes lie below: backing files and what filters filter */
/* What requests to a node are best rounded to; 1 is any. */
Json *blk_limits_info(const BlkNode *n);
/* What programs see as a node's "image": with limits, and with what lies below it in "backing-image" when `chain`. */
Json *blk_image_info(BlkNode *n, bool chain);
/* Such records as people read them ("children" and "limits" where there are any), without what lies below; a list of snapshots, nothing when it is empty. */
void blk_info_text(GString *out, const Json *info);
void blk_snapshots_text(GString *out, const Json *list);
void blk_snapshot_rows_text(GString *out, const Json *list);         /* the same without a title */
int64_t blk_node_allocated(BlkNode *n);             /* bytes on the host's disk, of all its files without backing files; -1: not known */
/* The check of the format of b's node, from anywhere; -ENOTSUP when it has none. */
int blk_check(Blk *b, BlkCheck *c);

/* May another backing file be recorded in the image?  Asked before work that ends with that. */
bool blk_can_change_backing(const BlkNode *n, Error **errp);

/* Open a read-only node and all below it that it writes to for writing; nobody else may hold it back. */
bool blk_reopen_rw(BlkNode *n, Error **errp);
/* Show one snapshot of a read-only image instead of its present state. */
bool blk_snapshot_load(Blk *b, const char *name, Error **errp);

/* Make (or empty) a host file of this size. `prealloc` may be NULL: off. */
bool blk_create_file(Session *s, const char *filename, uint64_t size, const char *prealloc, Error **errp);
/* Is there a way to make images of this name? */
bool blk_can_make(const char *filename, Error **errp);
/* For a protocol's make(), where things have the size that they have: large enough, and without what looks like an image. */
bool blk_make_there(Session *s, const char *filename, uint64_t size, Error **errp);
/* The host's file of an image of any format: options of its creation, what is done before the format makes it, and after. */
extern const OptKey blk_host_file_keys[];
bool blk_host_file_prepare(const char *filename, const Json *options, Error **errp);
bool blk_host_file_finish(const char *filename, const Json *options, Error **errp);
/* A create that fails takes away what it has made.  Is a file there already?  Names of protocols are: nothing is removed there. */
bool blk_host_file_there(const char *filename);
void blk_host_file_remove(const char *filename);
/* A format's create_options and those of its file, as one table; caller frees. */
OptKey *blk_create_keys(const BlkDriver *drv);
/* Create an image; the options are those of the table above, checked. */
bool blk_create(Session *s, const BlkDriver *drv, const char *filename, Json *options, Error **errp);
/* Fiber: what all layers from top down to the one above base's node hold is written to base, and flushed.  `step` (may be NULL) is called before `len` bytes of
   data are written, and with the part that is done after each piece. */
typedef void BlkCommitStep(void *opaque, uint64_t len, double percent);
int blk_commit_data(BlkNode *top, Blk *base, BlkCommitStep *step, void *opaque);
/* Fiber: the overlay holds nothing any more, where its format can; its backing file answers. */
int blk_make_empty(BlkNode *top);
/* Does the image that was made with these options, open as n, read as zeroes?  Files do, and what is thin; a host's device keeps what was on it. */
bool blk_fresh_is_zero(const BlkNode *n, const Json *created);

#endif
