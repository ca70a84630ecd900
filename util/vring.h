/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues, from the device's side: split and packed rings, indirect
 * descriptors, event indices (Virtual I/O Device 1.2, sections 2.6-2.8).
 *
 * A Vring is a value: addresses, size, features and indices.  It reaches the
 * driver's memory through a VringMem only, so devices of a machine and a
 * vhost-user export share this file.  The ring is hostile: whatever the driver
 * puts there (loops, indices out of range, lengths, memory that is none), the
 * Vring becomes `broken` with the reason in `why`, hands out nothing more and
 * ignores what is pushed; resetting it is the only way on.
 *
 * One thread at a time: the caller has a lock per queue.  Elements may be
 * completed in any order.  Their memory stays mapped until vring_push,
 * vring_fill, vring_unpop or vring_drop, one of which must follow.
 */
#ifndef UTIL_VRING_H
#define UTIL_VRING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    VRING_SIZE_MAX = 1024,          /* descriptors in a split ring of ours */
    VRING_CHAIN_MAX = 1024,         /* descriptors in one request, indirect ones included */
    VRING_PIECES_MAX = 1024 + 64,   /* pieces of host memory of one request */
};

/* The driver's memory.  Numbers are little endian in memory and native here. */
typedef struct VringMem {
    /* Single values of 2, 4 or 8 bytes, naturally aligned: atomic in RAM. False: no memory there. */
    bool (*load)(void *opaque, uint64_t addr, unsigned size, uint64_t *val);
    bool (*store)(void *opaque, uint64_t addr, unsigned size, uint64_t val);
    bool (*read)(void *opaque, uint64_t addr, void *buf, uint64_t len);
    /* Host address of [addr, addr + *len), which may be cut short; NULL: not RAM. */
    void *(*map)(void *opaque, uint64_t addr, uint64_t *len, bool device_writes);
    void (*unmap)(void *opaque, void *host, uint64_t len, bool device_writes, uint64_t written);
} VringMem;

typedef struct Vring {
    const VringMem *mem;
    void *opaque;
    /* set up by the driver through the transport; saved */
    uint64_t desc, avail, used;     /* packed: descriptor ring, driver event area, device event area */
    uint16_t num;                   /* 0: not there */
    bool ready;
    /* negotiated */
    bool packed, event_idx;
    bool big;                       /* legacy device of a big-endian guest */
    /* position; saved */
    uint16_t last_avail;            /* next to look at: a running count (split), a slot (packed) */
    uint16_t used_idx;              /* likewise for what we return */
    bool avail_wrap, used_wrap;     /* packed; 1 after reset */
    uint16_t in_flight;             /* descriptors that we hold */
    uint16_t signalled;             /* used_idx when vring_should_notify last looked */
    bool signalled_valid, signalled_wrap;
    bool notify_off;                /* we asked the driver not to kick */
    /* filled and not yet flushed */
    uint16_t fill_desc, fill_elems, fill_flags;
    bool fresh;                     /* something was returned since vring_should_notify */
    bool broken;
    const char *why;                /* constant text */
} Vring;

/* A request.  Pieces are host memory; `out` is what the driver wrote, `in` what we write. */
typedef struct VringElem {
    uint16_t id;                    /* names it to the driver */
    uint16_t ndesc;                 /* ring slots that it takes */
    unsigned nout, nin;
    uint64_t out_bytes, in_bytes;
    struct iovec *out, *in;
    uint64_t *addr;                 /* guest address of each piece, out ones first: to map them again after a load */
} VringElem;

void vring_init(Vring *vr, const VringMem *mem, void *opaque);
/* Forgets positions and addresses; elements in flight may still be dropped, not pushed. */
void vring_reset(Vring *vr);
/* The driver's set-up is complete. */
void vring_start(Vring *vr, bool packed, bool event_idx);
static inline bool vring_usable(const Vring *vr)
{
    return vr->ready && vr->num && !vr->broken;
}
/* Bytes of the three areas. */
uint64_t vring_desc_bytes(const Vring *vr);
uint64_t vring_avail_bytes(const Vring *vr);
uint64_t vring_used_bytes(const Vring *vr);

/* The next request, NULL when there is none (or the ring is broken). */
VringElem *vring_pop(Vring *vr);
bool vring_empty(Vring *vr);
/* Put the last popped one back. */
void vring_unpop(Vring *vr, VringElem *e);
/* Bytes of `in` space that the driver offers in requests not yet popped, counted up to `enough`. */
uint64_t vring_in_space(Vring *vr, uint64_t enough);

/* Return one with `written` bytes of `in` filled; frees it. */
void vring_push(Vring *vr, VringElem *e, uint32_t written);
/* Several that become visible together: fill each, then flush. */
void vring_fill(Vring *vr, VringElem *e, uint32_t written);
void vring_flush(Vring *vr);
/* Unmap and free without telling the driver. */
void vring_drop(Vring *vr, VringElem *e);
/* Likewise for one of a former life of the ring, before vring_reset(). */
void vring_forget(Vring *vr, VringElem *e);

/* After pushes: does the driver want an interrupt for them? */
bool vring_should_notify(Vring *vr);
/* Ask for kicks or for silence.  After `on` look at the ring again (vring_empty). */
void vring_set_kicks(Vring *vr, bool on);

/* Elements that are saved by address and mapped again: bytes and direction of each piece as they were.  NULL: broken now. */
VringElem *vring_remap(Vring *vr, uint16_t id, uint16_t ndesc, const uint64_t *addr, const uint64_t *len, unsigned nout, unsigned nin);

#endif
