/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_JOB_STREAM_H
#define BLOCK_JOB_STREAM_H

#include "block/job/job.h"

/* In a fiber, session locked. `base` stays below; NULL: nothing does.  The job belongs to the session. */
BlkJob *stream_start(BlkNode *n, BlkNode *base, const char *backing_file, const char *filter_name, const JobParams *p, Error **errp);

#endif
