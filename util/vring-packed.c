/* SPDX-License-Identifier: MIT */
/* Packed virtqueues: Virtual I/O Device 1.2, section 2.8. */
#include "util/vring.h"
#include "util/vring-priv.h"

static uint64_t desc_at(const Vring *vr, uint16_t slot)
{
    return vr->desc + (uint64_t)slot * DESC_BYTES;
}

/* slot + n, and the wrap counter there. */
static uint16_t step(const Vring *vr, uint16_t slot, uint16_t n, bool *wrap)
{
    unsigned to = (unsigned)slot + n;

    if (to >= vr->num) {
        to -= vr->num;
        *wrap = !*wrap;
    }
    return (uint16_t)to;
}

static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
}

bool packed_next(Vring *vr, uint16_t ahead, Build *b, uint16_t *id, uint16_t *slots)
{
    bool wrap = vr->avail_wrap;
    uint16_t slot = step(vr, vr->last_avail, ahead, &wrap), n = 0, flags;
    Desc d;

    if (!vring_load16(vr, desc_at(vr, slot) + 14, &flags) || !is_available(flags, wrap)) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);            /* the first flags before the rest */
    do {
        if (++n > vr->num) {
            return vring_break(vr, "a chain of descriptors does not end");
        }
        if (!vring_desc(vr, desc_at(vr, slot), &d)) {
            return false;
        }
        if ((d.flags & DESC_INDIRECT) && n > 1) {
            return vring_break(vr, "an indirect descriptor inside a chain");
        }
        if (d.flags & DESC_INDIRECT ? !vring_build_indirect(vr, b, &d) : !vring_build_add(vr, b, &d)) {
            return false;
        }
        slot = step(vr, slot, 1, &wrap);
    } while (d.flags & DESC_NEXT);
    *id = d.next;
    *slots = n;
    return true;
}

/* All but the flags of the first one of a batch: those make the whole batch visible. */
void packed_fill(Vring *vr, uint16_t id, uint16_t ndesc, uint32_t written)
{
    bool wrap = vr->used_wrap;
    uint64_t at = desc_at(vr, step(vr, vr->used_idx, vr->fill_desc, &wrap));
    uint16_t flags = (wrap ? DESC_AVAIL | DESC_USED : 0) | (written ? DESC_WRITE : 0);

    if (!vring_store32(vr, at + 8, written) || !vring_store16(vr, at + 12, id)) {
        return;
    }
    if (!vr->fill_elems) {
        vr->fill_flags = flags;
    } else if (!vring_store16(vr, at + 14, flags)) {
        return;
    }
    vr->fill_elems++;
    vr->fill_desc += ndesc;
}

void packed_flush(Vring *vr)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vring_store16(vr, desc_at(vr, vr->used_idx) + 14, vr->fill_flags);
    vr->used_idx = step(vr, vr->used_idx, vr->fill_desc, &vr->used_wrap);
}

bool packed_should_notify(Vring *vr)
{
    uint16_t where, flags, old = vr->signalled, now = vr->used_idx, event;
    bool valid = vr->signalled_valid, old_wrap = vr->signalled_wrap;
    int to, from;

    vr->signalled = now;
    vr->signalled_wrap = vr->used_wrap;
    vr->signalled_valid = true;
    if (!vring_load16(vr, vr->avail + 2, &flags)) {
        return false;
    }
    flags &= 3;
    if (flags != EVENT_DESC || !vr->event_idx) {
        return flags != EVENT_DISABLE;
    }
    if (!vring_load16(vr, vr->avail, &where)) {
        return false;
    }
    event = where & 0x7fff;
    /* positions on a line that ends at `now`: what was before the last wrap is num lower */
    from = old - (old_wrap != vr->used_wrap ? vr->num : 0);
    to = event - (!!(where >> 15) != vr->used_wrap ? vr->num : 0);
    return !valid || (from <= to && to < now);
}

void packed_set_kicks(Vring *vr, bool on)
{
    if (!on) {
        vring_store16(vr, vr->used + 2, EVENT_DISABLE);
    } else if (!vr->event_idx) {
        vring_store16(vr, vr->used + 2, EVENT_ENABLE);
    } else {
        vring_store16(vr, vr->used, vr->last_avail | (vr->avail_wrap ? 0x8000 : 0));
        __atomic_thread_fence(__ATOMIC_RELEASE);
        vring_store16(vr, vr->used + 2, EVENT_DESC);
    }
}
