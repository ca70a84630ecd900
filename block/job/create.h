/* SPDX-License-Identifier: MIT */
/* blockdev-create and x-blockdev-amend: making and changing images, as jobs. */
#ifndef BLOCK_JOB_CREATE_H
#define BLOCK_JOB_CREATE_H

#include "block/job/job.h"

/* `options` as the command has them ("driver", "file" or "filename", "size", "cluster-size" ...). In a fiber, session locked. */
BlkJob *create_start(Session *s, const char *job_id, const Json *options, Error **errp);
BlkJob *amend_start(BlkNode *n, const char *job_id, const Json *options, bool force, Error **errp);

#endif
