/* SPDX-License-Identifier: MIT */
/*
 * Ranges of a disk that fibers use or own.
 *
 * Users of overlapping ranges go together; an owner waits until nobody else
 * has any byte of its range, and others wait for it.  Fair enough: whoever
 * waits is looked at again each time somebody leaves.  Fibers of any loop.
 */
#ifndef BLOCK_RANGE_LOCK_H
#define BLOCK_RANGE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "io/fiber.h"

typedef struct RangeHold {
    uint64_t start, end;
    bool owner;
    struct RangeHold *next;
} RangeHold;

typedef struct RangeLock {
    IoLock lock;
    RangeHold *holds;
    FiberQueue wait;
} RangeLock;

void range_lock_init(RangeLock *l);
void range_lock_destroy(RangeLock *l);              /* nobody holds anything */
/* Fiber only; may be held across waits.  `h` is the caller's until range_leave(). */
void range_enter(RangeLock *l, RangeHold *h, uint64_t off, uint64_t len, bool owner);
void range_leave(RangeLock *l, RangeHold *h);

#endif
