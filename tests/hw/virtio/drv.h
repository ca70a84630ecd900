/* SPDX-License-Identifier: MIT */
/*
 * A small virtio driver for tests: the other side of a virtqueue, written from
 * the specification, in plain memory of the test.
 *
 * Memory is one host buffer that the device sees at guest address `base`.
 */
#ifndef TESTS_HW_VIRTIO_DRV_H
#define TESTS_HW_VIRTIO_DRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct DrvMem {
    uint8_t *host;
    uint64_t base, size, next;      /* next: free from here on */
} DrvMem;

uint64_t drv_alloc(DrvMem *m, uint64_t size, uint64_t align);      /* zeroed; guest address */
void *drv_ptr(DrvMem *m, uint64_t addr);
uint16_t drv_get16(DrvMem *m, uint64_t addr);
uint32_t drv_get32(DrvMem *m, uint64_t addr);
void drv_put16(DrvMem *m, uint64_t addr, uint16_t v);
void drv_put32(DrvMem *m, uint64_t addr, uint32_t v);
void drv_put64(DrvMem *m, uint64_t addr, uint64_t v);

typedef struct DrvSg { uint64_t addr; uint32_t len; } DrvSg;

typedef struct DrvQueue {
    DrvMem *m;
    uint16_t num;
    bool packed, event_idx, indirect;
    uint64_t desc, avail, used;
    /* own state */
    uint16_t free_head, free_count, avail_idx, last_used, kicked;
    bool wrap, used_wrap;
    uint16_t *next;                 /* split: free list; packed: ring slots of an id */
} DrvQueue;

/* Rings at addresses of its own; legacy: one block, used ring at the next multiple of 4096. */
DrvQueue *drvq_new(DrvMem *m, uint16_t num, bool packed, bool event_idx, bool indirect, bool legacy);
void drvq_free(DrvQueue *q);
/* The number that comes back with the completion; -1: no room. */
int drvq_add(DrvQueue *q, const DrvSg *sg, unsigned nout, unsigned nin);
/* Would a driver kick now? */
bool drvq_kick_wanted(DrvQueue *q);
/* A completed request, or -1. */
int drvq_used(DrvQueue *q, uint32_t *len);
void drvq_interrupts(DrvQueue *q, bool on);

#endif
