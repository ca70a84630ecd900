/* SPDX-License-Identifier: MIT */
#include "block/range-lock.h"

void range_lock_init(RangeLock *l)
{
    *l = (RangeLock){};
    io_lock_init(&l->lock);
    fiber_queue_init(&l->wait);
}

void range_lock_destroy(RangeLock *l)
{
    fiber_queue_destroy(&l->wait);
    io_lock_destroy(&l->lock);
}

static bool clash(const RangeLock *l, const RangeHold *h)
{
    for (const RangeHold *o = l->holds; o; o = o->next) {
        if (o->start < h->end && h->start < o->end && (o->owner || h->owner)) {
            return true;
        }
    }
    return false;
}

void range_enter(RangeLock *l, RangeHold *h, uint64_t off, uint64_t len, bool owner)
{
    *h = (RangeHold){ .start = off, .end = off + len, .owner = owner };
    io_lock(&l->lock);
    while (clash(l, h)) {
        fiber_queue_wait(&l->wait, &l->lock);
        io_lock(&l->lock);
    }
    h->next = l->holds;
    l->holds = h;
    io_unlock(&l->lock);
}

void range_leave(RangeLock *l, RangeHold *h)
{
    RangeHold **at;

    io_lock(&l->lock);
    for (at = &l->holds; *at != h; at = &(*at)->next) {
    }
    *at = h->next;
    io_unlock(&l->lock);
    fiber_queue_wake_all(&l->wait);
}
