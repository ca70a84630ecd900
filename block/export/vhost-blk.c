/* SPDX-License-Identifier: MIT */
/* Requests of a virtio block device (Virtual I/O Device 1.2, section 5.2) that another program drives. */
#include "block/export/vhost-priv.h"

#include <errno.h>
#include <string.h>

#include "io/fiber.h"
#include "util/bswap.h"
#include "util/iov.h"

enum { F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10, F_CONFIG_WCE = 11, F_MQ = 12, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEAD = 16, SEGMENT = 16, SECTOR = 512, SEGMENTS_MAX = 32, ID_BYTES = 20, RANGE_MAX = 1 << 21, CONFIG_WCE = 32 };

uint64_t vhost_blk_features(const VhostExport *x)
{
    uint64_t f = 1ull << F_SEG_MAX | 1ull << F_BLK_SIZE | 1ull << F_FLUSH | 1ull << F_TOPOLOGY | 1ull << F_CONFIG_WCE | 1ull << F_MQ;

    return x->exp->writable ? f | 1ull << F_DISCARD | 1ull << F_WRITE_ZEROES : f | 1ull << F_RO;
}

void vhost_blk_config(const VhostExport *x, uint8_t c[VHOST_BLK_CONFIG])
{
    memset(c, 0, VHOST_BLK_CONFIG);
    stq_le_p(c, blk_size(x->exp->blk) / SECTOR);
    stl_le_p(c + 12, 126);                              /* seg_max */
    stl_le_p(c + 20, x->block_size);
    stw_le_p(c + 26, 1);                                /* min_io_size */
    stl_le_p(c + 28, 1);                                /* opt_io_size */
    c[CONFIG_WCE] = !blk_writethrough(x->exp->blk);
    stw_le_p(c + 34, x->nqueues);
    if (x->exp->writable) {
        stl_le_p(c + 36, RANGE_MAX);                    /* max_discard_sectors */
        stl_le_p(c + 40, SEGMENTS_MAX);
        stl_le_p(c + 44, x->block_size / SECTOR);       /* discard_sector_alignment */
        stl_le_p(c + 48, RANGE_MAX);                    /* max_write_zeroes_sectors */
        stl_le_p(c + 52, SEGMENTS_MAX);
        c[56] = 1;                                      /* write_zeroes_may_unmap */
    }
}

bool vhost_blk_set_config(VhostExport *x, uint32_t off, const uint8_t *data, uint32_t len)
{
    if (off != CONFIG_WCE || len != 1 || data[0] > 1) {
        return false;
    }
    blk_set_writethrough(x->exp->blk, !data[0]);
    return true;
}

/* ---- one request ---- */

typedef struct {
    VhostQueue *q;
    VringElem *e;
} Work;

/* Whole blocks within the disk. */
static bool in_range(const VhostExport *x, uint64_t sector, uint64_t len)
{
    uint64_t size = blk_size(x->exp->blk);

    return len % x->block_size == 0 && sector % (x->block_size / SECTOR) == 0 && sector <= size / SECTOR && len <= size - sector * SECTOR;
}

static int move(VhostQueue *q, VringElem *e, uint64_t sector, bool write)
{
    Blk *b = q->x->exp->blk;
    uint64_t len = write ? e->out_bytes - HEAD : e->in_bytes - 1;
    g_autofree struct iovec *iov = g_new(struct iovec, MAX(e->nout, e->nin) + 1);
    unsigned n = write ? iov_cut(e->out, e->nout, HEAD, len, iov, e->nout) : iov_cut(e->in, e->nin, 0, len, iov, e->nin);

    if (!in_range(q->x, sector, len)) {
        return -EIO;
    }
    return write ? blk_writev(b, sector * SECTOR, iov, n, len, 0) : blk_readv(b, sector * SECTOR, iov, n, len, 0);
}

static int one_range(VhostExport *x, bool zeroes, const uint8_t *seg)
{
    uint64_t sector = ldq_le_p(seg), len = (uint64_t)ldl_le_p(seg + 8) * SECTOR;
    uint32_t flags = ldl_le_p(seg + 12);

    if (!in_range(x, sector, len) || len > (uint64_t)RANGE_MAX * SECTOR) {
        return -EIO;
    }
    if (flags & ~(uint32_t)zeroes) {
        return -ENOTSUP;                /* unmap is for zeroes only, the others mean nothing */
    }
    return zeroes ? blk_zeroes(x->exp->blk, sector * SECTOR, len, flags ? BLK_MAY_UNMAP : 0) : blk_discard(x->exp->blk, sector * SECTOR, len);
}

static int ranges(VhostQueue *q, VringElem *e, bool zeroes)
{
    uint64_t len = e->out_bytes - HEAD;
    uint8_t seg[SEGMENT];
    int r = 0;

    if (!q->x->exp->writable || len == 0 || len % SEGMENT || len / SEGMENT > SEGMENTS_MAX) {
        return q->x->exp->writable ? -ENOTSUP : -EIO;
    }
    for (uint64_t at = 0; at < len && r == 0; at += SEGMENT) {
        iov_read(e->out, e->nout, HEAD + at, seg, SEGMENT);
        r = one_range(q->x, zeroes, seg);
    }
    return r;
}

static int identify(VhostQueue *q, VringElem *e)
{
    char id[ID_BYTES] = {};

    strncpy(id, q->x->exp->id, sizeof(id) - 1);
    iov_write(e->in, e->nin, 0, id, MIN(sizeof(id), e->in_bytes - 1));
    return 0;
}

static int perform(VhostQueue *q, VringElem *e)
{
    uint8_t head[HEAD];

    iov_read(e->out, e->nout, 0, head, HEAD);
    switch (ldl_le_p(head)) {
    case T_IN:
        return move(q, e, ldq_le_p(head + 8), false);
    case T_OUT:
        return q->x->exp->writable ? move(q, e, ldq_le_p(head + 8), true) : -EIO;
    case T_FLUSH:
        return blk_flush(q->x->exp->blk);
    case T_GET_ID:
        return identify(q, e);
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return ranges(q, e, ldl_le_p(head) == T_WRITE_ZEROES);
    }
    return -ENOTSUP;
}

static void run(void *opaque)
{
    Work w = *(Work *)opaque;
    int r = perform(w.q, w.e);
    uint8_t status = r == 0 ? S_OK : r == -ENOTSUP ? S_UNSUPP : S_IOERR;

    iov_write(w.e->in, w.e->nin, w.e->in_bytes - 1, &status, 1);
    vring_push(&w.q->vr, w.e, w.e->in_bytes);
    w.q->running--;
    vhost_queue_done(w.q);
}

void vhost_blk_run(VhostQueue *q)
{
    VringElem *e;

    while (q->started && q->enabled && !q->paused && q->running < VHOST_RUNNING_MAX && (e = vring_pop(&q->vr))) {
        Work w = { q, e };

        if (e->out_bytes < HEAD || e->in_bytes < 1) {
            vring_push(&q->vr, e, 0);   /* no place for a status */
            vhost_queue_done(q);
            continue;
        }
        q->running++;
        fiber_start(run, &w);           /* copies w before it waits */
    }
}
