/* SPDX-License-Identifier: MIT */
/*
 * Jobs: long work on disks, in the background.
 *
 * One state machine for all of them:
 *
 *   created -> running <-> paused            and from either to
 *              ready   <-> standby           waiting -> pending -> concluded -> null
 *                                            aborting          -> concluded -> null
 *
 * A type gives run(), straight-line code in a fiber on the main loop, and what
 * follows it: prepare() (may fail; changes the graph), then commit() or
 * abort(), then clean().  Everything that a job does to a disk between two
 * looks at its state is one piece: job_begin() .. job_end() makes it a request
 * of the job's own handle, so that a drain waits for the piece and holds up
 * the next one.  A piece uses node_* calls only.
 *
 * Nodes that a job leans on are claimed; others can not be changed under it.
 * Main thread.
 */
#ifndef BLOCK_JOB_JOB_H
#define BLOCK_JOB_JOB_H

#include "block/driver.h"
#include "block/graph.h"

typedef struct BlkJob BlkJob;
typedef struct JobGroup JobGroup;

typedef enum {
    JOB_UNDEFINED, JOB_CREATED, JOB_RUNNING, JOB_PAUSED, JOB_READY, JOB_STANDBY, JOB_WAITING, JOB_PENDING, JOB_ABORTING, JOB_CONCLUDED, JOB_NULL
} JobStatus;
typedef enum { JOB_ON_ERROR_REPORT, JOB_ON_ERROR_IGNORE, JOB_ON_ERROR_STOP, JOB_ON_ERROR_ENOSPC } JobOnError;

typedef struct JobType {
    const char *name;                               /* "mirror" */
    size_t size;                                    /* of its own struct, which begins with BlkJob */
    bool block;                                     /* has BLOCK_JOB_ events and is in query-block-jobs */
    int (*run)(BlkJob *j);                          /* 0 or a negative errno; job_fail() for a text */
    bool (*complete)(BlkJob *j, Error **errp);      /* of a ready job; NULL: it is never ready */
    bool (*prepare)(BlkJob *j, Error **errp);       /* session locked; NULL: nothing */
    void (*commit)(BlkJob *j);
    void (*abort)(BlkJob *j);
    void (*clean)(BlkJob *j);                       /* filters go, claims end; before the handles are freed */
    void (*free)(BlkJob *j);
} JobType;

struct BlkJob {
    const JobType *type;
    Session *session;
    char *id;
    JobStatus status;
    bool user_paused, cancelled, forced, busy;
    bool auto_finalize, auto_dismiss;
    unsigned pauses;                                /* reasons to pause */
    bool finalizing;                                /* asked for */
    uint64_t current, total;                        /* progress, bytes */
    uint64_t speed;                                 /* bytes a second; 0: any */
    int64_t next_at;                                /* throttling: when the next piece may begin */
    JobOnError on_read, on_write;
    const char *io_status;                          /* "ok", "failed", "nospace" */
    int result;
    Error *error;
    Blk *blk;                                       /* counts the pieces; the first of */
    GPtrArray *blks;                                /* Blk *, the job's */
    GPtrArray *claimed;                             /* BlkNode *, referenced */
    FiberEvent wake;
    LoopTimer timer;
    FiberEvent decided;                             /* of a pending job: finalize or cancel was said; and by its group */
    JobGroup *group;                                /* ends with others (job/group.h); NULL: alone */
};

typedef struct JobParams {
    const char *id;                                 /* NULL: of the device */
    const char *device;                             /* what the user called the disk */
    bool auto_finalize, auto_dismiss;
    uint64_t speed;
    JobOnError on_read, on_write;
} JobParams;

/* ---- for a type ---- */
/* In state created. Freed by job_abandon(), or by itself once job_start() was called. */
void *job_new(Session *s, const JobType *type, const JobParams *p, Error **errp);
void job_abandon(BlkJob *j);
void job_start(BlkJob *j);
/* A handle of the job on a node, pinned.  The first is job->blk. */
Blk *job_add_node(BlkJob *j, BlkNode *n, unsigned perm, unsigned shared, Error **errp);
bool job_claim(BlkJob *j, BlkNode *n, Error **errp);
/* "Node 'x' is busy" when a job has claimed it. */
bool job_check_free(const BlkNode *n, Error **errp);

/* Fiber of the job: waits while it is paused. False: it has been cancelled (a ready job only by force). */
bool job_go_on(BlkJob *j);
void job_sleep(BlkJob *j, int64_t ns);              /* or until somebody kicks it */
void job_throttle(BlkJob *j, uint64_t bytes);       /* after each piece */
void job_kick(BlkJob *j);
void job_ready(BlkJob *j);
bool job_is_ready(const BlkJob *j);
void job_progress(BlkJob *j, uint64_t bytes);
void job_set_total(BlkJob *j, uint64_t bytes);
void job_begin(BlkJob *j);
void job_end(BlkJob *j);
/* What the policy says about a failed piece: report, ignore, or stop (it has been paused then). Sends the event. */
JobOnError job_io_error(BlkJob *j, bool read, int error);

/* ---- for commands ---- */
BlkJob *job_find(Session *s, const char *id);
void jobs_foreach(Session *s, void (*fn)(BlkJob *j, void *opaque), void *opaque);
const char *job_status_name(JobStatus s);
bool job_pause(BlkJob *j, Error **errp);
bool job_resume(BlkJob *j, Error **errp);
bool job_cancel(BlkJob *j, bool force, Error **errp);
bool job_complete(BlkJob *j, Error **errp);
bool job_finalize(BlkJob *j, Error **errp);
bool job_dismiss(BlkJob *j, Error **errp);
bool job_set_speed(BlkJob *j, int64_t speed, Error **errp);
/* The program ends: all are cancelled and waited for.  Not in a fiber. */
void jobs_end(Session *s);

#endif
