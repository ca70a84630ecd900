/* SPDX-License-Identifier: MIT */
/* Block status: what is where, one chunk for each context. */
#include "block/nbd/server-priv.h"

#include <errno.h>

#include "util/bswap.h"

/* ---- contexts ---- */

void nbd_context_add(NbdExport *x, const char *name, int (*status)(NbdExport *, const NbdContext *, uint64_t, uint64_t, uint64_t *, uint64_t *), void *opaque)
{
    x->contexts[x->context_count++] = (NbdContext){ g_strdup(name), status, opaque };
}

static int allocation(NbdExport *x, const NbdContext *c, uint64_t off, uint64_t len, uint64_t *piece, uint64_t *flags)
{
    BlkExtent e;
    int r = blk_status(x->exp->blk, off, len, true, &e);

    *piece = e.len;
    *flags = (e.flags & BLK_EXT_DATA ? 0 : NBD_STATE_HOLE) | (e.flags & BLK_EXT_ZERO ? NBD_STATE_ZERO : 0);
    return r;
}

/* 0: nowhere in the chain; 1: in the top layer; 2: in the one below... */
static int depth(NbdExport *x, const NbdContext *c, uint64_t off, uint64_t len, uint64_t *piece, uint64_t *flags)
{
    BlkExtent e;
    int r = blk_status(x->exp->blk, off, len, true, &e);

    *piece = e.len;
    *flags = e.flags & BLK_EXT_ALLOCATED ? e.depth + 1 : 0;
    return r;
}

void nbd_context_add_allocation(NbdExport *x, bool with_depth)
{
    nbd_context_add(x, "base:allocation", allocation, NULL);
    if (with_depth) {
        nbd_context_add(x, "qemu:allocation-depth", depth, NULL);
    }
}

/* ---- an answer ---- */

typedef struct {
    NbdJob *job;
    uint8_t *at;                        /* where the next chunk goes */
    size_t room;                        /* for one chunk */
} Answer;

static unsigned entry_size(const NbdConn *c)
{
    return c->extended ? 16 : 8;
}

static void put_entry(const NbdConn *c, uint8_t *p, uint64_t len, uint64_t flags)
{
    if (c->extended) {
        stq_be_p(p, len);
        stq_be_p(p + 8, flags);
    } else {
        stl_be_p(p, len);
        stl_be_p(p + 4, flags);
    }
}

/* Pieces of one context behind `p`; equal neighbours are one.  How many, or -errno. */
static int gather(const NbdJob *j, const NbdContext *x, uint8_t *p, unsigned max)
{
    uint64_t off = j->off, end = j->off + j->len, len = 0, state = 0;
    unsigned n = 0;

    while (off < end) {
        uint64_t piece, flags;
        int r = x->status(j->conn->exp, x, off, end - off, &piece, &flags);

        if (r < 0 || piece == 0) {
            return r < 0 ? r : n ? (int)n : -EIO;
        }
        if (n && flags == state) {
            len += piece;
        } else if (n == max) {
            break;
        } else {
            n++;
            len = piece;
            state = flags;
        }
        put_entry(j->conn, p + (size_t)(n - 1) * entry_size(j->conn), len, state);
        off += piece;
    }
    return n;
}

static int put_context(Answer *a, unsigned id, bool last)
{
    const NbdJob *j = a->job;
    const NbdConn *c = j->conn;
    unsigned head = nbd_chunk_size(c), fixed = c->extended ? 8 : 4;
    unsigned max = j->flags & NBD_CMD_REQ_ONE ? 1 : (a->room - head - fixed) / entry_size(c);
    int n = gather(j, &c->exp->contexts[id], a->at + head + fixed, max);
    size_t len = fixed + (size_t)MAX(n, 0) * entry_size(c);

    if (n < 0) {
        return n;
    }
    nbd_put_chunk(j, a->at, last ? NBD_CHUNK_DONE : 0, c->extended ? NBD_CHUNK_STATUS_EXT : NBD_CHUNK_STATUS, len);
    stl_be_p(a->at + head, id);
    if (c->extended) {
        stl_be_p(a->at + head + 4, n);
    }
    a->at += head + len;
    return 0;
}

void nbd_status_run(NbdJob *j)
{
    uint32_t left = j->context_mask;
    Answer a = { j, j->buf, NBD_STATUS_BYTES / __builtin_popcount(left) };

    while (left) {
        unsigned id = __builtin_ctz(left);
        int r;

        left &= left - 1;
        r = put_context(&a, id, !left);
        if (r < 0) {
            nbd_answer(j, -r);          /* chunks so far are thrown away: the error is the whole answer */
            return;
        }
    }
    j->data_len = a.at - (uint8_t *)j->buf;
    nbd_answer_raw(j);
}
