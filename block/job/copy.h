/* SPDX-License-Identifier: MIT */
/* Working through a set of granules, several pieces at a time. */
#ifndef BLOCK_JOB_COPY_H
#define BLOCK_JOB_COPY_H

#include "block/bitmap.h"
#include "block/job/job.h"

enum { COPY_CHUNK = 1 << 20, COPY_PIECES = 8, COPY_UNIT_MAX = 64 << 20 };

typedef struct JobCopy JobCopy;
struct JobCopy {
    BlkJob *job;
    BlkBitmap *todo;                    /* pieces are taken out of it, and put back when they are to be tried again */
    /* One piece, within job_begin() and job_end().  -errno; *read says that the source failed. */
    int (*piece)(JobCopy *c, uint64_t off, uint64_t len, bool *read);
    void *opaque;
    bool again;                         /* the set fills up meanwhile (mirror); what was ignored is put back, else it is left out */
    unsigned in_flight;
    uint64_t at;                        /* where the next piece is looked for */
    int error;                          /* the first that is reported */
    int ignored;                        /* the first that was not, and not tried again */
    FiberQueue idle;
    void *spare[COPY_PIECES];           /* buffers; fresh memory for each piece would cost as much as copying it */
    unsigned spares;
};

void job_copy_init(JobCopy *c, BlkJob *j, BlkBitmap *todo, int (*piece)(JobCopy *c, uint64_t off, uint64_t len, bool *read), void *opaque);
void job_copy_fini(JobCopy *c);
/* Until the set is empty (`again`: once through it) and nothing is in flight: 0; -errno, -ECANCELED. */
int job_copy_run(JobCopy *c);
/* What was copied is on the medium; a flush that fails is told by the policy, and tried again after a stop. */
int job_flush(BlkJob *j, BlkNode *target);

/* Read what `from` shows and write it, holes as holes. `flags` go to the writes.  `c` has buffers to lend (the job's loop only), or is NULL. */
int job_copy_range(JobCopy *c, BlkNode *from, BlkNode *to, uint64_t off, uint64_t len, unsigned flags, bool *read);
/* Fill a set with what lies between `top` and (not including) base; NULL: down to the end.  With job_go_on() in between. */
int job_find_allocated(BlkJob *j, BlkNode *top, BlkNode *base, BlkBitmap *set);

#endif
