/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: raw deflate with a 4 KiB window, or zstd.  Packing runs
 * on pool threads, a batch of clusters on each, which is written together.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/deflate.h"
#include "block/qcow2/zstd.h"

enum { BATCH = 512 << 10 };

/* What packing needs, kept from one batch to the next: a context that is warm, and room. */
struct QPacker {
    QPacker *next;
    DeflatePacker *deflate;
    ZstdPacker *zstd;
    uint8_t *in, *out;          /* of a batch: clusters, and packed one behind the other */
    ssize_t *bytes;             /* of each; -ENOMEM: it does not shrink */
    int64_t *host;
};

bool qcow2_compression_known(unsigned type)
{
    return type == 0 || (type == 1 && qcow2_zstd_here());
}

int qcow2_read_compressed(BlkNode *n, uint64_t entry, uint64_t in_cluster, uint64_t len, BlkVec v)
{
    Qcow2 *s = q2(n);
    uint64_t offset, bytes;
    uint8_t *in, *out;
    int r;

    qcow2_compressed_place(s, entry, &offset, &bytes);
    in = blk_buffer(bytes);
    out = blk_buffer(s->cluster_size);
    r = node_pread_padded(n->file->node, offset, in, bytes);
    if (r == 0) {
        r = s->compression == 0 ? deflate_unpack(out, s->cluster_size, in, bytes, DEFLATE_RAW_4K) : qcow2_zstd_decompress(out, s->cluster_size, in, bytes);
    }
    if (r == 0) {
        blk_vec_write(v, out + in_cluster, len);
    }
    free(in);
    free(out);
    return r;
}

/* ---- packers: as many as can be at work ---- */

static uint64_t batch_bytes(const Qcow2 *s)
{
    return MAX(BATCH, s->cluster_size);
}

static QPacker *packer_new(const Qcow2 *s)
{
    QPacker *p = g_new0(QPacker, 1);
    unsigned clusters = batch_bytes(s) >> s->cluster_bits;

    p->deflate = s->compression == 0 ? deflate_packer_new(DEFLATE_RAW_4K) : NULL;
    p->zstd = s->compression == 1 ? qcow2_zstd_new() : NULL;
    p->in = blk_buffer(batch_bytes(s));
    p->out = blk_buffer(batch_bytes(s));
    p->bytes = g_new(ssize_t, clusters);
    p->host = g_new(int64_t, clusters);
    return p;
}

void qcow2_packers_free(Qcow2 *s)
{
    for (QPacker *p = s->packers, *next; p; p = next) {
        next = p->next;
        deflate_packer_free(p->deflate);
        qcow2_zstd_free(p->zstd);
        free(p->in);
        free(p->out);
        g_free(p->bytes);
        g_free(p->host);
        g_free(p);
    }
}

/* Two for each processor: one is packed while another is written. */
static QPacker *packer_take(Qcow2 *s)
{
    QPacker *p;

    io_lock(&s->packers_lock);
    while (!s->packers && s->packers_made >= s->packers_max) {
        fiber_queue_wait(&s->packers_wait, &s->packers_lock);
        io_lock(&s->packers_lock);
    }
    p = s->packers;
    if (p) {
        s->packers = p->next;
    } else {
        s->packers_made++;
    }
    io_unlock(&s->packers_lock);
    return p ? p : packer_new(s);
}

static void packer_give(Qcow2 *s, QPacker *p)
{
    io_lock(&s->packers_lock);
    p->next = s->packers;
    s->packers = p;
    io_unlock(&s->packers_lock);
    fiber_queue_wake(&s->packers_wait);
}

/*
 * Batches are stored in the order in which they came, with what does not
 * shrink among them: readers find the disk in order, and the runs of packed
 * data are as long as can be.  Whoever has a turn to come has a packer.
 */
static uint64_t turn_get(Qcow2 *s)
{
    uint64_t turn;

    io_lock(&s->packers_lock);
    turn = s->turns++;
    io_unlock(&s->packers_lock);
    return turn;
}

static void turn_wait(Qcow2 *s, uint64_t turn)
{
    io_lock(&s->packers_lock);
    while (s->turn != turn) {
        fiber_queue_wait(&s->turn_wait, &s->packers_lock);
        io_lock(&s->packers_lock);
    }
    io_unlock(&s->packers_lock);
}

static void turn_end(Qcow2 *s)
{
    io_lock(&s->packers_lock);
    s->turn++;
    io_unlock(&s->packers_lock);
    fiber_queue_wake_all(&s->turn_wait);
}

/* ---- write ---- */

typedef struct {
    const Qcow2 *s;
    QPacker *p;
    BlkVec v;
    uint64_t off, len;
    unsigned clusters;
} Batch;

/* On a pool thread. */
static void pack_batch(void *opaque)
{
    Batch *b = opaque;
    QPacker *p = b->p;
    uint64_t size = b->s->cluster_size, at = 0;

    blk_vec_read(b->v, p->in, b->len);
    memset(p->in + b->len, 0, (b->clusters * size) - b->len);
    if (p->zstd) {
        qcow2_zstd_begin(p->zstd);
    }
    for (unsigned i = 0; i < b->clusters; i++) {
        const uint8_t *in = p->in + i * size;

        p->bytes[i] = p->deflate ? deflate_packer_run(p->deflate, p->out + at, size - 1, in, size) : qcow2_zstd_compress(p->zstd, p->out + at, size - 1, in, size);
        at += MAX(p->bytes[i], 0);
    }
}

static void give_back(BlkNode *n, const Batch *b, unsigned from, unsigned to)
{
    Qcow2 *s = q2(n);

    for (unsigned i = from; i < to; i++) {
        if (b->p->bytes[i] > 0) {
            uint64_t first = b->p->host[i] >> s->cluster_bits, last = (b->p->host[i] + b->p->bytes[i] - 1) >> s->cluster_bits;
            qcow2_refcount_add(n, first << s->cluster_bits, last - first + 1, -1);
        }
    }
}

static int place_one(BlkNode *n, uint64_t off, unsigned bytes, int64_t *host)
{
    Qcow2 *s = q2(n);
    QL2 at;
    int r = qcow2_l2_find(n, off, true, &at);

    if (r < 0) {
        return r;
    }
    if (qcow2_l2_entry(s, &at, 0) || qcow2_l2_bitmap(s, &at, 0)) {
        return -EIO;                    /* compressed clusters are written once */
    }
    *host = qcow2_alloc_bytes(n, bytes);
    if (*host < 0) {
        return *host;
    }
    q_take_fresh(s, *host & ~(s->cluster_size - 1), s->cluster_size);
    q_take_fresh(s, *host, bytes);
    return 0;
}

/* A place in the file for each, with the lock. */
static int place_batch(BlkNode *n, const Batch *b)
{
    Qcow2 *s = q2(n);

    for (unsigned i = 0; i < b->clusters; i++) {
        int r = b->p->bytes[i] > 0 ? place_one(n, b->off + ((uint64_t)i << s->cluster_bits), b->p->bytes[i], &b->p->host[i]) : 0;

        if (r < 0) {
            give_back(n, b, 0, i);
            return r;
        }
    }
    return 0;
}

/* What came to lie side by side is written at once. */
static int write_batch(BlkNode *n, const Batch *b)
{
    const QPacker *p = b->p;
    uint64_t done = 0, len = 0;
    int64_t start = 0;
    int r = 0;

    for (unsigned i = 0; i < b->clusters && r == 0; i++) {
        if (p->bytes[i] <= 0) {
            continue;
        }
        if (len && p->host[i] != start + (int64_t)len) {
            r = node_pwrite(n->file->node, start, p->out + done, len);
            done += len;
            len = 0;
        }
        start = len ? start : p->host[i];
        len += p->bytes[i];
    }
    return r == 0 && len ? node_pwrite(n->file->node, start, p->out + done, len) : r;
}

static int link_batch(BlkNode *n, const Batch *b)
{
    Qcow2 *s = q2(n);
    unsigned x = 62 - (s->cluster_bits - 8);

    for (unsigned i = 0; i < b->clusters; i++) {
        uint64_t host = b->p->host[i], bytes = b->p->bytes[i];
        QL2 at;
        int r;

        if (b->p->bytes[i] <= 0) {
            continue;
        }
        r = qcow2_l2_find(n, b->off + ((uint64_t)i << s->cluster_bits), true, &at);
        if (r < 0) {
            give_back(n, b, i, b->clusters);
            return r;
        }
        qcow2_l2_set(s, &at, 0, E_COMPRESSED | host | ((((host + bytes - 1) >> 9) - (host >> 9)) << x), 0);
    }
    return 0;
}

static int store_batch(BlkNode *n, const Batch *b)
{
    Qcow2 *s = q2(n);
    QOp op = { b->off, b->off + ((uint64_t)b->clusters << s->cluster_bits), OP_EXCLUSIVE, NULL };
    int r;

    fiber_mutex_lock(&s->lock);
    qcow2_op_begin(n, &op);
    r = place_batch(n, b);
    if (r == 0) {
        fiber_mutex_unlock(&s->lock);
        r = write_batch(n, b);
        fiber_mutex_lock(&s->lock);
        if (r < 0) {
            give_back(n, b, 0, b->clusters);
        } else {
            r = link_batch(n, b);
        }
    }
    qcow2_op_end(n, &op);
    fiber_mutex_unlock(&s->lock);
    return r;
}

/* Those that do not shrink are stored as they are. */
static int store_plain(BlkNode *n, const Batch *b)
{
    Qcow2 *s = q2(n);
    int r = 0;

    for (unsigned i = 0; i < b->clusters && r == 0; i++) {
        uint64_t at = (uint64_t)i << s->cluster_bits, len = MIN(s->cluster_size, b->len - at);

        if (b->p->bytes[i] <= 0) {
            r = qcow2_write(n, b->off + at, len, BLK_VEC1(b->p->in + at, len), 0);
        }
    }
    return r;
}

int qcow2_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Qcow2 *s = q2(n);
    uint64_t done = 0;
    QPacker *p;
    int r = 0;

    if (s->external || s->crypt) {
        return -ENOTSUP;
    }
    if ((off & (s->cluster_size - 1)) || ((len & (s->cluster_size - 1)) && off + len != node_size(n))) {
        return -EINVAL;
    }
    p = packer_take(s);
    while (done < len && r == 0) {
        uint64_t now = MIN(len - done, batch_bytes(s));
        Batch b = { s, p, blk_vec_from(v, done), off + done, now, q_clusters(s, now) };
        uint64_t turn = turn_get(s);

        fiber_blocking(pack_batch, &b);
        turn_wait(s, turn);
        r = store_batch(n, &b);
        r = r ? r : store_plain(n, &b);
        turn_end(s);
        done += now;
    }
    packer_give(s, p);
    return r;
}
