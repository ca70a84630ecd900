/* SPDX-License-Identifier: MIT */
/*
 * Jobs that end together (completion-mode=grouped): when all have done their
 * work they are finalized as one; when one fails or is cancelled, all are.
 *
 * Each job's fiber comes by three times: at the end of its work, when it was
 * decided that it may be finalized, and to settle.  Main thread.
 */
#ifndef BLOCK_JOB_GROUP_H
#define BLOCK_JOB_GROUP_H

#include "block/job/job.h"

JobGroup *job_group_new(void);
void job_group_unref(JobGroup *g);                      /* NULL is fine */
/* In state created. */
void job_group_add(JobGroup *g, BlkJob *j);
/* Out again: abandoned, or freed at its end. */
void job_group_remove(BlkJob *j);

typedef enum { JOB_MEET_WORKED, JOB_MEET_DECIDED, JOB_MEETS } JobMeet;
/* Waits for the others; j->result is -ECANCELED behind it when one of them failed.  At once for a job without a group. */
void job_group_meet(BlkJob *j, JobMeet where);
/* Once for a group, behind the last meeting: its jobs (caller frees the array); NULL: somebody has done it. */
GPtrArray *job_group_settle(BlkJob *j);
/* job-finalize of one means all of them. */
void job_group_finalize(BlkJob *j);

#endif
