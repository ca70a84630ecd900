/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_JOB_MIRROR_H
#define BLOCK_JOB_MIRROR_H

#include "block/bitmap.h"
#include "block/job/job.h"

typedef enum { MIRROR_FULL, MIRROR_TOP, MIRROR_NONE, MIRROR_INCREMENTAL } MirrorSync;

typedef struct MirrorParams {
    BlkNode *source, *target;
    MirrorSync sync;
    BlkBitmap *bitmap;                  /* incremental: what to begin with */
    bool active;                        /* write-blocking: a guest's write is done when both have it */
    bool is_commit;                     /* the target is the base of the source */
    bool set_backing;                   /* the target gets the backing file that the source has (none: the source) */
    const char *filter_name, *replaces;
    uint32_t granularity;               /* 0: of the target's clusters */
} MirrorParams;

/* In a fiber, session locked. */
BlkJob *mirror_start(const MirrorParams *m, const JobParams *p, Error **errp);
/* block-job-change: background to write-blocking. */
bool mirror_set_active(BlkJob *j, Error **errp);

#endif
