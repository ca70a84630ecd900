/* SPDX-License-Identifier: MIT */
/*
 * Inside of the vhost-user-blk export: the front end's memory and queues
 * (vhost-user.c), the requests in them (vhost-blk.c).
 *
 * Messages are read on the main loop.  A queue belongs to its loop, which may
 * be an I/O thread's: what a message changes of it is changed there, while the
 * main loop's fiber waits.  The memory changes while all queues are paused.
 */
#ifndef BLOCK_EXPORT_VHOST_PRIV_H
#define BLOCK_EXPORT_VHOST_PRIV_H

#include "block/export/export.h"
#include "util/vring.h"

enum { VHOST_REGIONS = 8, VHOST_QUEUES = 64, VHOST_RUNNING_MAX = 128 };

typedef struct VhostExport VhostExport;

typedef struct {
    uint64_t gpa, size, uaddr;          /* guest address; the front end's own */
    uint8_t *host;                      /* of gpa */
    void *map;
    size_t map_size;
} VhostRegion;

typedef struct {
    VhostExport *x;
    Vring vr;
    int kick, call;                     /* -1: none */
    LoopFd *watch;
    uint64_t desc_user, avail_user, used_user;
    Loop *loop;
    bool enabled, started, paused;
    unsigned running;                   /* requests */
} VhostQueue;

struct VhostExport {
    Export *exp;
    uint16_t nqueues;
    uint32_t block_size;
    bool writethrough;                  /* as the export was made; the driver may change it */
    int listener;
    char *unlink_path;
    LoopFd *watch;
    /* one front end at a time */
    int fd;                             /* -1: nobody */
    unsigned fibers;                    /* 0 or 1: the one that serves fd */
    uint64_t features, protocol;
    VhostRegion regions[VHOST_REGIONS];
    unsigned nregions;
    VhostQueue q[VHOST_QUEUES];
    bool quit;
};

/* vhost-blk.c */
uint64_t vhost_blk_features(const VhostExport *x);
enum { VHOST_BLK_CONFIG = 60 };
void vhost_blk_config(const VhostExport *x, uint8_t config[VHOST_BLK_CONFIG]);
bool vhost_blk_set_config(VhostExport *x, uint32_t off, const uint8_t *data, uint32_t len);
/* Run what is in the queue; each request in a fiber of its own. */
void vhost_blk_run(VhostQueue *q);
/* vhost-user.c */
void vhost_queue_done(VhostQueue *q);   /* something was returned */

#endif
