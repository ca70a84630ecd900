/* SPDX-License-Identifier: MIT */
/* What the files of the layer itself share. */
#ifndef BLOCK_BLOCK_PRIV_H
#define BLOCK_BLOCK_PRIV_H

#include "block/driver.h"
#include "block/stats.h"
#include "block/throttle.h"

struct Blk {
    Session *session;
    char *name;
    BlkChild *root;                 /* NULL: no medium */
    unsigned perm, shared;
    Loop *loop;
    bool writethrough;
    bool pinned;                    /* stays where it is when a node is replaced (jobs) */
    char *device;
    BlkIoStatus io_status;          /* atomic */
    bool counted;                   /* somebody may look at: */
    BlkStats stats;
    const BlkEvents *events;
    void *opaque;
    ThrottleMember *throttle;       /* limits; changed while drained; NULL: none */
    GPtrArray *drained;             /* nodes that were told of the drain, held */
    unsigned in_flight;             /* atomic */
    unsigned quiesced;              /* atomic; changed on the main loop */
    IoLock lock;                    /* of the three below */
    BlkReq *held, **held_last;
    Loop *drainer;                  /* who waits for in_flight to become 0 */
    FiberQueue wait;                /* fibers held by a drain */
};

extern const SessionKind blk_kind, blk_node_kind;
/* How many nodes have a driver that wants to know of drains. */
unsigned blk_drains_heard(Session *s);

/* open.c: options against the driver's table (values get its types), and what they say about opening. */
bool blk_check_options(const BlkDriver *drv, Json *o, Error **errp);
bool blk_option_flags(Json *o, unsigned *flags, Error **errp);

/* perm.c: ask for these; on failure everything is as before. */
bool blk_edge_set_perm(BlkChild *c, unsigned perm, unsigned shared, Error **errp);
/* The permissions of all edges anew, from the handles down, checked as one. */
bool blk_perms_recompute(Session *s, Error **errp);
void blk_edge_link(BlkChild *c, BlkNode *n);
void blk_edge_unlink(BlkChild *c);

/* request.c */
bool blk_begin(Blk *b);                 /* false: held by a drain */
void blk_begin_wait(Blk *b);            /* fiber only */
void blk_quiesce(Blk *b);               /* the first half of blk_drain_begin() */
void blk_wait_idle(Blk *b);             /* the second */
void blk_end(Blk *b);
int blk_run_req(BlkReq *req);           /* fiber only; within begin and end */
/* rmw.c: write to a node with align > 1. */
int node_write_tracked(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int node_read_bounced(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);

#endif
