/* SPDX-License-Identifier: MIT */
/*
 * The filter that a job puts on a disk: it sees each write of the disk's users.
 *
 * Writes hold their range as users (or as owners, where the job says so); a
 * job that owns a range keeps them out.  `wrote` is called within the hold,
 * after the write to the disk below, with what was written; its answer is the
 * answer to the user.
 */
#ifndef BLOCK_JOB_JOB_FILTER_H
#define BLOCK_JOB_JOB_FILTER_H

#include "block/job/job.h"
#include "block/range-lock.h"

typedef struct JobFilterOps {
    bool (*own)(void *opaque);                      /* writes own their range now; NULL: never */
    /* r is the result below. */
    int (*wrote)(void *opaque, BlkOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags, int r);
} JobFilterOps;

/* Between n and its users; a claim of the job's. In a fiber, session locked. */
BlkNode *job_filter_insert(BlkJob *j, BlkNode *n, const char *name, const JobFilterOps *ops, void *opaque, Error **errp);
/* Its users use what is below again. NULL is fine. */
void job_filter_remove(BlkNode *filter);
RangeLock *job_filter_ranges(BlkNode *filter);

#endif
