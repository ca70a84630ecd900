/* SPDX-License-Identifier: MIT */
#ifndef HW_BLOCK_VIRTIO_BLK_PRIV_H
#define HW_BLOCK_VIRTIO_BLK_PRIV_H

#include "block/block.h"
#include "block/iothread.h"
#include "hw/core/machine.h"
#include "hw/virtio/virtio.h"

/* Virtio-blk's own feature bits, 5.2.3 */
enum { F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10, F_CONFIG_WCE = 11, F_MQ = 12, F_DISCARD = 13,
       F_WRITE_ZEROES = 14 };
enum { SECTOR = 512, RANGES_MAX = 1 };
enum { ON_REPORT, ON_IGNORE, ON_ENOSPC, ON_STOP, ON_AUTO };

typedef struct VirtioBlk VirtioBlk;
typedef struct HeldRequest HeldRequest;

typedef struct Request {
    BlkReq blk;
    VirtioBlk *s;
    VirtQueue *q;               /* NULL: the driver has reset the device meanwhile */
    VringElem *e;
    InputTicket *ticket;
    struct Request *next, **prev;   /* in flight, or waiting to be tried again */
    int result;
    uint32_t type;
    struct iovec iov[];
} Request;

struct VirtioBlk {
    VirtioDevice vd;
    /* properties */
    char *drive, *serial, *iothread;
    uint16_t num_queues, queue_size;
    uint32_t logical, physical;
    uint64_t logical_prop, physical_prop;
    bool share_rw, config_wce, discard, write_zeroes;
    uint32_t max_discard, max_zeroes, werror, rerror, write_cache, account_invalid, account_failed;
    /* */
    Blk *blk;
    IoThread *thread;           /* that serves the queues; NULL: the main loop */
    bool own_blk;               /* made for a node */
    Session *session;
    bool wce_at_reset;
    bool wce;                   /* the driver may see a volatile cache */
    InputPort port;
    Request *flying, *stopped;
    unsigned orphans;           /* of `flying`: the driver has reset their queue */
    GPtrArray *waiting;         /* vCPUs that must not see the reset done before they have landed */
    HeldRequest *held;          /* of a load: what was stopped then */
    bool has_listener;
    MachineListener listener;
};

static inline VirtioBlk *virtio_blk(VirtioDevice *vd)
{
    return (VirtioBlk *)vd;
}

/* ---- requests (virtio-blk.c); lock held unless said ---- */
void vblk_handle(VirtQueue *q);                 /* the driver kicked */
void vblk_completed(void *opaque, const void *data, size_t len);       /* through the door */
void vblk_resumed(MachineListener *l, Machine *m, const MachineEvent *ev);     /* no lock: what stopped the machine again */
void vblk_status_ok(VirtioBlk *s);              /* of a disk whose errors may stop the machine */
void vblk_reset(VirtioDevice *vd);
void vblk_queue_reset(VirtQueue *q);
void vblk_pre_save(Device *dev);
void vblk_fini(VirtioBlk *s);                   /* nothing runs below any more: let go of every request */
/* Take a request that has left the ring. */
void vblk_begin(VirtioBlk *s, VirtQueue *q, VringElem *e);

/* ---- what waits for the machine to go on, in a save (virtio-blk-held.c) ---- */
extern const StateKind vblk_held_kind;          /* of VirtioBlk.held; writes `stopped` too */
void vblk_held_begin(VirtioBlk *s);
void vblk_held_forget(VirtioBlk *s);

#endif
