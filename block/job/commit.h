/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_JOB_COMMIT_H
#define BLOCK_JOB_COMMIT_H

#include "block/job/job.h"

/* In a fiber, session locked. `overlay` is the layer right above top. */
BlkJob *commit_start(BlkNode *overlay, BlkNode *top, BlkNode *base, const char *backing_file, const JobParams *p, Error **errp);
bool commit_make_room(BlkNode *base, const BlkNode *top, Error **errp);

#endif
