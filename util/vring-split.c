/* SPDX-License-Identifier: MIT */
/* Split virtqueues: Virtual I/O Device 1.2, section 2.7. */
#include "util/vring.h"
#include "util/vring-priv.h"

static uint64_t avail_entry(const Vring *vr, uint16_t i)
{
    return vr->avail + 4 + 2ull * (i % vr->num);
}

static uint64_t used_entry(const Vring *vr, uint16_t i)
{
    return vr->used + 4 + 8ull * (i % vr->num);
}

/* used_event lies behind the available ring, avail_event behind the used one. */
static uint64_t used_event(const Vring *vr)
{
    return vr->avail + 4 + 2ull * vr->num;
}

static uint64_t avail_event(const Vring *vr)
{
    return vr->used + 4 + 8ull * vr->num;
}

static bool chain(Vring *vr, Build *b, uint16_t head)
{
    unsigned seen = 0;
    uint16_t i = head;
    Desc d;

    do {
        if (i >= vr->num) {
            return vring_break(vr, "a descriptor index is out of range");
        }
        if (++seen > vr->num) {
            return vring_break(vr, "a chain of descriptors does not end");
        }
        if (!vring_desc(vr, vr->desc + (uint64_t)i * DESC_BYTES, &d)) {
            return false;
        }
        if (d.flags & DESC_INDIRECT ? !vring_build_indirect(vr, b, &d) : !vring_build_add(vr, b, &d)) {
            return false;
        }
        i = d.next;
    } while (d.flags & DESC_NEXT);
    return true;
}

bool split_next(Vring *vr, uint16_t ahead, Build *b, uint16_t *id, uint16_t *slots)
{
    uint16_t at = vr->last_avail + ahead, idx;

    if (!vring_load16(vr, vr->avail + 2, &idx) || idx == at) {
        return false;
    }
    if ((uint16_t)(idx - vr->last_avail) > vr->num) {
        return vring_break(vr, "the available index jumped by more than the size of the ring");
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);            /* the index before what it announces */
    if (!vring_load16(vr, avail_entry(vr, at), id) || !chain(vr, b, *id)) {
        return false;
    }
    *slots = 1;                                         /* heads in flight: at most num */
    return true;
}

void split_fill(Vring *vr, uint16_t id, uint32_t written)
{
    uint64_t at = used_entry(vr, vr->used_idx + vr->fill_elems);

    if (vring_store32(vr, at, id) && vring_store32(vr, at + 4, written)) {
        vr->fill_elems++;
    }
}

void split_flush(Vring *vr)
{
    uint16_t old = vr->used_idx;

    vr->used_idx += vr->fill_elems;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vring_store16(vr, vr->used + 2, vr->used_idx);
    /* signalled would be passed by more than half of its range: it says nothing any more */
    if ((uint16_t)(vr->used_idx - vr->signalled) < (uint16_t)(vr->used_idx - old)) {
        vr->signalled_valid = false;
    }
}

bool split_should_notify(Vring *vr)
{
    uint16_t v, old = vr->signalled;
    bool valid = vr->signalled_valid;

    if (!vr->event_idx) {
        return vring_load16(vr, vr->avail, &v) && !(v & AVAIL_NO_INTERRUPT);
    }
    if (!vring_load16(vr, used_event(vr), &v)) {
        return false;
    }
    vr->signalled = vr->used_idx;
    vr->signalled_valid = true;
    return !valid || (uint16_t)(vr->used_idx - v - 1) < (uint16_t)(vr->used_idx - old);
}

void split_set_kicks(Vring *vr, bool on)
{
    if (!vr->event_idx) {
        vring_store16(vr, vr->used, on ? 0 : USED_NO_NOTIFY);
    } else if (on) {
        vring_store16(vr, avail_event(vr), vr->last_avail);
    }                                                   /* off: avail_event stays behind, and that is silence */
}
