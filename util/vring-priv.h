/* SPDX-License-Identifier: MIT */
#ifndef UTIL_VRING_PRIV_H
#define UTIL_VRING_PRIV_H

#include "util/vring.h"

enum {
    DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15,
    AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1,
    EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2,
    DESC_BYTES = 16,
};

/* A descriptor of either kind. */
typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;              /* split: next slot; packed: id */
} Desc;

/* A request while its descriptors are read. */
typedef struct Build {
    struct iovec iov[VRING_PIECES_MAX];
    uint64_t addr[VRING_PIECES_MAX];
    unsigned n, nout, ndesc;
    uint64_t bytes[2];          /* out, in */
    bool measure;               /* add up only, map nothing */
} Build;

/* Marks the ring broken; false. */
bool vring_break(Vring *vr, const char *why);
bool vring_load16(Vring *vr, uint64_t addr, uint16_t *val);
bool vring_store16(Vring *vr, uint64_t addr, uint16_t val);
bool vring_store32(Vring *vr, uint64_t addr, uint32_t val);
uint16_t vring_swap16(const Vring *vr, uint16_t v);
/* The descriptor at an address; split or packed layout by vr->packed. */
bool vring_desc(Vring *vr, uint64_t addr, Desc *d);
bool vring_build_add(Vring *vr, Build *b, const Desc *d);
/* A table of indirect descriptors that d points to. */
bool vring_build_indirect(Vring *vr, Build *b, const Desc *d);

/* Read the request at the present position into b; *id and *slots are its name and ring slots.  False: none (or broken). */
bool split_next(Vring *vr, uint16_t ahead, Build *b, uint16_t *id, uint16_t *slots);
bool packed_next(Vring *vr, uint16_t ahead, Build *b, uint16_t *id, uint16_t *slots);
void split_fill(Vring *vr, uint16_t id, uint32_t written);
void packed_fill(Vring *vr, uint16_t id, uint16_t ndesc, uint32_t written);
void split_flush(Vring *vr);
void packed_flush(Vring *vr);
bool split_should_notify(Vring *vr);
bool packed_should_notify(Vring *vr);
void split_set_kicks(Vring *vr, bool on);
void packed_set_kicks(Vring *vr, bool on);

#endif
