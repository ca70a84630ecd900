/* SPDX-License-Identifier: MIT */
/* What split and packed rings share: descriptors to pieces of memory, elements, life. */
#include "util/vring.h"
#include "util/vring-priv.h"

#include <glib.h>
#include <string.h>

bool vring_break(Vring *vr, const char *why)
{
    if (!vr->broken) {
        vr->broken = true;
        vr->why = why;
    }
    return false;
}

uint16_t vring_swap16(const Vring *vr, uint16_t v)
{
    return vr->big ? __builtin_bswap16(v) : v;
}

bool vring_load16(Vring *vr, uint64_t addr, uint16_t *val)
{
    uint64_t v;

    if (!vr->mem->load(vr->opaque, addr, 2, &v)) {
        return vring_break(vr, "the ring does not lie in memory");
    }
    *val = vring_swap16(vr, (uint16_t)v);
    return true;
}

bool vring_store16(Vring *vr, uint64_t addr, uint16_t val)
{
    return vr->mem->store(vr->opaque, addr, 2, vring_swap16(vr, val)) || vring_break(vr, "the ring does not lie in writable memory");
}

bool vring_store32(Vring *vr, uint64_t addr, uint32_t val)
{
    return vr->mem->store(vr->opaque, addr, 4, vr->big ? __builtin_bswap32(val) : val) ||
           vring_break(vr, "the ring does not lie in writable memory");
}

/* Split: addr, len, flags, next.  Packed: addr, len, id, flags. */
bool vring_desc(Vring *vr, uint64_t addr, Desc *d)
{
    struct { uint64_t addr; uint32_t len; uint16_t third, fourth; } raw;

    if (!vr->mem->read(vr->opaque, addr, &raw, sizeof(raw))) {
        return vring_break(vr, "a descriptor does not lie in memory");
    }
    if (vr->big) {
        *d = (Desc){ GUINT64_FROM_BE(raw.addr), GUINT32_FROM_BE(raw.len), GUINT16_FROM_BE(raw.third), GUINT16_FROM_BE(raw.fourth) };
    } else {
        *d = (Desc){ GUINT64_FROM_LE(raw.addr), GUINT32_FROM_LE(raw.len), GUINT16_FROM_LE(raw.third), GUINT16_FROM_LE(raw.fourth) };
    }
    if (vr->packed) {
        uint16_t id = d->flags;

        d->flags = d->next;
        d->next = id;
    }
    return true;
}

/* ---- building a request ---- */

static bool build_map(Vring *vr, Build *b, uint64_t addr, uint64_t len, bool in)
{
    while (len) {
        uint64_t part = len;
        void *host;

        if (b->n == VRING_PIECES_MAX) {
            return vring_break(vr, "a request has too many pieces");
        }
        host = vr->mem->map(vr->opaque, addr, &part, in);
        if (!host) {
            return vring_break(vr, "a descriptor points to what is not memory");
        }
        b->iov[b->n] = (struct iovec){ host, part };
        b->addr[b->n++] = addr;
        b->nout += !in;
        addr += part;
        len -= part;
    }
    return true;
}

bool vring_build_add(Vring *vr, Build *b, const Desc *d)
{
    bool in = d->flags & DESC_WRITE;

    if (++b->ndesc > VRING_CHAIN_MAX) {
        return vring_break(vr, "a chain of descriptors does not end");
    }
    if (!d->len) {
        return vring_break(vr, "a descriptor has length 0");
    }
    if (!in && b->bytes[1]) {
        return vring_break(vr, "a readable descriptor follows a writable one");
    }
    b->bytes[in] += d->len;
    if (b->bytes[in] > UINT32_MAX || d->addr + d->len < d->addr) {
        return vring_break(vr, "a request is longer than 4 GiB");
    }
    return b->measure || build_map(vr, b, d->addr, d->len, in);
}

bool vring_build_indirect(Vring *vr, Build *b, const Desc *table)
{
    unsigned count = table->len / DESC_BYTES, i = 0;
    Desc d;

    if (!count || table->len % DESC_BYTES) {
        return vring_break(vr, "an indirect table has an impossible size");
    }
    if (table->flags & DESC_NEXT) {
        return vring_break(vr, "an indirect descriptor has a successor");
    }
    if (vr->packed && count > VRING_CHAIN_MAX) {
        return vring_break(vr, "an indirect table has an impossible size");
    }
    do {
        if (!vring_desc(vr, table->addr + (uint64_t)i * DESC_BYTES, &d)) {
            return false;
        }
        if (d.flags & DESC_INDIRECT) {
            return vring_break(vr, "an indirect table holds an indirect descriptor");
        }
        if (!vring_build_add(vr, b, &d)) {              /* counts: a loop ends here */
            return false;
        }
        if (vr->packed) {
            i++;                                        /* one after the other */
        } else if (d.flags & DESC_NEXT) {
            i = d.next;
            if (i >= count) {
                return vring_break(vr, "an indirect table points outside of itself");
            }
        } else {
            i = count;
        }
    } while (i < count);
    return true;
}

static void build_undo(Vring *vr, Build *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        vr->mem->unmap(vr->opaque, b->iov[i].iov_base, b->iov[i].iov_len, i >= b->nout, 0);
    }
}

static VringElem *build_elem(const Build *b, uint16_t id, uint16_t slots)
{
    VringElem *e = g_malloc(sizeof(*e) + b->n * (sizeof(struct iovec) + sizeof(uint64_t)));
    struct iovec *iov = (struct iovec *)(e + 1);

    *e = (VringElem){
        .id = id, .ndesc = slots, .nout = b->nout, .nin = b->n - b->nout, .out_bytes = b->bytes[0], .in_bytes = b->bytes[1],
        .out = iov, .in = iov + b->nout, .addr = (uint64_t *)(iov + b->n),
    };
    memcpy(iov, b->iov, b->n * sizeof(*iov));
    memcpy(e->addr, b->addr, b->n * sizeof(*e->addr));
    return e;
}

static void build_start(Build *b, bool measure)
{
    b->n = b->nout = b->ndesc = 0;
    b->bytes[0] = b->bytes[1] = 0;
    b->measure = measure;
}

/* ---- elements ---- */

static void advance_avail(Vring *vr, uint16_t slots)
{
    if (!vr->packed) {
        vr->last_avail++;
        return;
    }
    vr->last_avail += slots;
    if (vr->last_avail >= vr->num) {
        vr->last_avail -= vr->num;
        vr->avail_wrap = !vr->avail_wrap;
    }
}

VringElem *vring_pop(Vring *vr)
{
    Build b;                            /* 26 KB: not initialised as a whole */
    uint16_t id, slots;

    if (!vring_usable(vr)) {
        return NULL;
    }
    build_start(&b, false);
    if (!(vr->packed ? packed_next : split_next)(vr, 0, &b, &id, &slots)) {
        build_undo(vr, &b);
        return NULL;
    }
    if (vr->in_flight + slots > vr->num) {
        vring_break(vr, "more requests than the ring has room for");
        build_undo(vr, &b);
        return NULL;
    }
    advance_avail(vr, slots);
    vr->in_flight += slots;
    if (vr->event_idx && !vr->notify_off) {
        vring_set_kicks(vr, true);      /* the event index follows our position */
    }
    return build_elem(&b, id, slots);
}

bool vring_empty(Vring *vr)
{
    uint16_t v;

    if (!vring_usable(vr)) {
        return true;
    }
    if (!vr->packed) {
        return !vring_load16(vr, vr->avail + 2, &v) || v == vr->last_avail;
    }
    return !vring_load16(vr, vr->desc + (uint64_t)vr->last_avail * DESC_BYTES + 14, &v) ||
           !!(v & DESC_AVAIL) != vr->avail_wrap || !!(v & DESC_USED) == vr->avail_wrap;
}

uint64_t vring_in_space(Vring *vr, uint64_t enough)
{
    uint64_t sum = 0;
    uint16_t ahead = 0, id, slots;
    Build b;

    while (sum < enough && vring_usable(vr) && ahead < vr->num) {
        build_start(&b, true);
        if (!(vr->packed ? packed_next : split_next)(vr, ahead, &b, &id, &slots)) {
            break;
        }
        sum += b.bytes[1];
        ahead += vr->packed ? slots : 1;
    }
    return sum;
}

static void elem_unmap(Vring *vr, VringElem *e, uint64_t written)
{
    for (unsigned i = 0; i < e->nout; i++) {
        vr->mem->unmap(vr->opaque, e->out[i].iov_base, e->out[i].iov_len, false, 0);
    }
    for (unsigned i = 0; i < e->nin; i++) {
        uint64_t part = MIN(written, e->in[i].iov_len);

        vr->mem->unmap(vr->opaque, e->in[i].iov_base, e->in[i].iov_len, true, part);
        written -= part;
    }
}

void vring_forget(Vring *vr, VringElem *e)
{
    elem_unmap(vr, e, e->in_bytes);                     /* something may have been written */
    g_free(e);
}

void vring_drop(Vring *vr, VringElem *e)
{
    elem_unmap(vr, e, 0);
    vr->in_flight -= MIN(vr->in_flight, e->ndesc);
    g_free(e);
}

void vring_unpop(Vring *vr, VringElem *e)
{
    if (!vr->packed) {
        vr->last_avail--;
    } else {
        if (vr->last_avail < e->ndesc) {
            vr->last_avail += vr->num;
            vr->avail_wrap = !vr->avail_wrap;
        }
        vr->last_avail -= e->ndesc;
    }
    vring_drop(vr, e);
}

void vring_fill(Vring *vr, VringElem *e, uint32_t written)
{
    elem_unmap(vr, e, written);
    vr->in_flight -= MIN(vr->in_flight, e->ndesc);
    if (vring_usable(vr)) {
        if (vr->packed) {
            packed_fill(vr, e->id, e->ndesc, written);
        } else {
            split_fill(vr, e->id, written);
        }
    }
    g_free(e);
}

void vring_flush(Vring *vr)
{
    if (vr->fill_elems && vring_usable(vr)) {
        vr->fresh = true;
        if (vr->packed) {
            packed_flush(vr);
        } else {
            split_flush(vr);
        }
    }
    vr->fill_elems = vr->fill_desc = 0;
}

void vring_push(Vring *vr, VringElem *e, uint32_t written)
{
    vring_fill(vr, e, written);
    vring_flush(vr);
}

VringElem *vring_remap(Vring *vr, uint16_t id, uint16_t ndesc, const uint64_t *addr, const uint64_t *len, unsigned nout, unsigned nin)
{
    Build b;

    build_start(&b, false);
    for (unsigned i = 0; i < nout + nin; i++) {
        b.bytes[i >= nout] += len[i];
        if (!build_map(vr, &b, addr[i], len[i], i >= nout)) {
            build_undo(vr, &b);
            return NULL;
        }
    }
    return build_elem(&b, id, ndesc);
}

/* ---- notifications ---- */

bool vring_should_notify(Vring *vr)
{
    if (!vr->fresh || !vring_usable(vr)) {
        return false;
    }
    vr->fresh = false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);            /* our used entries before their wish */
    return vr->packed ? packed_should_notify(vr) : split_should_notify(vr);
}

void vring_set_kicks(Vring *vr, bool on)
{
    vr->notify_off = !on;
    if (vring_usable(vr)) {
        if (vr->packed) {
            packed_set_kicks(vr, on);
        } else {
            split_set_kicks(vr, on);
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);            /* our wish before another look at the ring */
}

/* ---- life ---- */

void vring_init(Vring *vr, const VringMem *mem, void *opaque)
{
    *vr = (Vring){ .mem = mem, .opaque = opaque, .avail_wrap = true, .used_wrap = true };
}

void vring_reset(Vring *vr)
{
    uint16_t num = vr->num;

    vring_init(vr, vr->mem, vr->opaque);
    vr->num = num;
}

void vring_start(Vring *vr, bool packed, bool event_idx)
{
    vr->packed = packed;
    vr->event_idx = event_idx;
    vr->ready = true;
    vr->signalled_valid = false;
}

uint64_t vring_desc_bytes(const Vring *vr)
{
    return (uint64_t)vr->num * DESC_BYTES;
}

uint64_t vring_avail_bytes(const Vring *vr)
{
    return vr->packed ? 4 : 4 + 2ull * vr->num + (vr->event_idx ? 2 : 0);
}

uint64_t vring_used_bytes(const Vring *vr)
{
    return vr->packed ? 4 : 4 + 8ull * vr->num + (vr->event_idx ? 2 : 0);
}
