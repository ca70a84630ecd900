/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_JOB_BACKUP_H
#define BLOCK_JOB_BACKUP_H

#include "block/bitmap.h"
#include "block/job/job.h"

typedef enum { BACKUP_FULL, BACKUP_TOP, BACKUP_NONE, BACKUP_BITMAP } BackupSync;
typedef enum { BITMAP_ON_SUCCESS, BITMAP_NEVER, BITMAP_ALWAYS } BackupBitmapMode;

typedef struct BackupParams {
    BlkNode *source, *target;
    BackupSync sync;
    BlkBitmap *bitmap;                  /* what to copy (BACKUP_BITMAP), or what is not in the backup afterwards; busy meanwhile */
    BackupBitmapMode mode;              /* when its bits go */
    bool compress;
    const char *filter_name;
} BackupParams;

/*
 * In a fiber, session locked and drained by the change of the graph that it
 * takes part in.  *job is started with job_start() when the change has been
 * made, or given up with job_abandon() when it has been taken back; it may be
 * set when this fails, too.
 */
bool backup_new(BlkGraph *g, const BackupParams *b, const JobParams *p, BlkJob **job, Error **errp);

#endif
