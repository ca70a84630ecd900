/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait for the machine to go on (werror=stop) as saved state.
 *
 * A save writes each by its descriptor's number and the guest addresses of its
 * pieces; the words of the request themselves lie in guest memory.  A load
 * keeps that until the machine goes on, when RAM and the rings are whole
 * again, and reads the request anew.
 */
#include "hw/block/virtio-blk-priv.h"

#include "util/vring.h"

struct HeldRequest {
    uint16_t queue, id, ndesc;
    uint32_t nout, nin;
    HeldRequest *next;
    uint64_t words[];           /* address of each piece, then length of each */
};

enum { HELD_MAX = VIRTIO_QUEUES_MAX * VRING_SIZE_MAX };

static VirtioBlk *owner(const void *field)
{
    return (VirtioBlk *)((char *)(uintptr_t)field - offsetof(VirtioBlk, held));
}

/* ---- save ---- */

static void put_head(StateWriter *w, uint32_t queue, uint32_t id, uint32_t ndesc, uint32_t nout, uint32_t nin)
{
    state_put_u32(w, queue);
    state_put_u32(w, id);
    state_put_u32(w, ndesc);
    state_put_u32(w, nout);
    state_put_u32(w, nin);
}

static void put_request(StateWriter *w, const Request *r)
{
    const VringElem *e = r->e;

    put_head(w, r->q->index, e->id, e->ndesc, e->nout, e->nin);
    for (unsigned i = 0; i < e->nout + e->nin; i++) {
        state_put_u64(w, e->addr[i]);
    }
    for (unsigned i = 0; i < e->nout + e->nin; i++) {
        state_put_u64(w, i < e->nout ? e->out[i].iov_len : e->in[i - e->nout].iov_len);
    }
}

static void put_held(StateWriter *w, const HeldRequest *h)
{
    put_head(w, h->queue, h->id, h->ndesc, h->nout, h->nin);
    for (unsigned i = 0; i < 2 * (h->nout + h->nin); i++) {
        state_put_u64(w, h->words[i]);
    }
}

static void held_save(StateWriter *w, const void *field)
{
    const VirtioBlk *s = owner(field);
    uint32_t n = 0;

    for (const Request *r = s->stopped; r; r = r->next) {
        n++;
    }
    for (const HeldRequest *h = s->held; h; h = h->next) {
        n++;
    }
    state_put_u32(w, n);
    for (const Request *r = s->stopped; r; r = r->next) {
        put_request(w, r);
    }
    for (const HeldRequest *h = s->held; h; h = h->next) {
        put_held(w, h);
    }
}

/* ---- load ---- */

static HeldRequest *held_get(StateReader *r, Error **errp)
{
    uint32_t head[5], pieces;
    HeldRequest *h;

    for (unsigned i = 0; i < 5; i++) {
        if (!state_get_u32(r, &head[i], errp)) {
            return NULL;
        }
    }
    if (head[0] >= VIRTIO_QUEUES_MAX || head[1] >= VRING_SIZE_MAX || !head[2] || head[2] > VRING_SIZE_MAX || head[3] > VRING_PIECES_MAX ||
        head[4] > VRING_PIECES_MAX || head[3] + head[4] > VRING_PIECES_MAX) {
        error_set(errp, "a disk request of queue %u, descriptor %u with %u + %u pieces cannot be", head[0], head[1], head[3], head[4]);
        return NULL;
    }
    pieces = head[3] + head[4];
    h = g_malloc(sizeof(*h) + 2 * pieces * sizeof(uint64_t));
    *h = (HeldRequest){ .queue = (uint16_t)head[0], .id = (uint16_t)head[1], .ndesc = (uint16_t)head[2], .nout = head[3], .nin = head[4] };
    for (unsigned i = 0; i < 2 * pieces; i++) {
        if (!state_get_u64(r, &h->words[i], errp)) {
            g_free(h);
            return NULL;
        }
    }
    return h;
}

static bool list_get(StateReader *r, HeldRequest **tail, Error **errp)
{
    uint32_t n;

    if (!state_get_u32(r, &n, errp)) {
        return false;
    }
    if (n > HELD_MAX) {
        return error_set(errp, "%u waiting disk requests are more than there can be", n);
    }
    while (n--) {
        HeldRequest *h = held_get(r, errp);

        if (!h) {
            return false;
        }
        if (tail) {
            *tail = h;
            tail = &h->next;
        } else {
            g_free(h);
        }
    }
    return true;
}

static bool held_check(StateReader *r, Error **errp)
{
    return list_get(r, NULL, errp);
}

void vblk_held_forget(VirtioBlk *s)
{
    HeldRequest *h;

    while ((h = s->held)) {
        s->held = h->next;
        g_free(h);
    }
}

static bool held_load(StateReader *r, void *field, Error **errp)
{
    VirtioBlk *s = owner(field);

    vblk_held_forget(s);
    return list_get(r, &s->held, errp);
}

const StateKind vblk_held_kind = { .name = "requests", .save = held_save, .check = held_check, .load = held_load, .size = sizeof(HeldRequest *) };

/* ---- the machine goes on ---- */

void vblk_held_begin(VirtioBlk *s)
{
    HeldRequest *h;

    while ((h = s->held) && virtio_running(&s->vd)) {
        VirtQueue *q = h->queue < s->vd.nqueues ? virtio_queue(&s->vd, h->queue) : NULL;
        VringElem *e = NULL;

        if (q && vring_usable(&q->ring) && h->id < q->ring.num) {
            e = vring_remap(&q->ring, h->id, h->ndesc, h->words, h->words + h->nout + h->nin, h->nout, h->nin);
        }
        if (!e) {
            virtio_broken(&s->vd, "a saved request lies in memory that is not there");
            break;
        }
        s->held = h->next;
        g_free(h);
        vblk_begin(s, q, e);
    }
    vblk_held_forget(s);
}
