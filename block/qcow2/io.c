/* SPDX-License-Identifier: MIT */
/* Requests: maps under the lock, data outside of it. */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ALLOC_BYTES = 4 << 20 };

/* ---- operations in flight ---- */

static bool op_clash(const Qcow2 *s, const QOp *op)
{
    for (const QOp *o = s->ops; o; o = o->next) {
        if (o->start < op->end && op->start < o->end && !(o->kind == OP_WRITE && op->kind == OP_WRITE)) {
            return true;
        }
    }
    return false;
}

/* Waiters let the lock go, and must look at their map again. */
static void op_wait(Qcow2 *s)
{
    io_lock(&s->ops_lock);
    fiber_mutex_unlock(&s->lock);
    fiber_queue_wait(&s->ops_wait, &s->ops_lock);
    fiber_mutex_lock(&s->lock);
}

static bool op_try(BlkNode *n, QOp *op)
{
    Qcow2 *s = q2(n);

    if (op_clash(s, op)) {
        op_wait(s);
        return false;
    }
    op->next = s->ops;
    s->ops = op;
    return true;
}

void qcow2_op_begin(BlkNode *n, QOp *op)
{
    while (!op_try(n, op)) {
    }
}

void qcow2_op_end(BlkNode *n, QOp *op)
{
    Qcow2 *s = q2(n);
    QOp **at = &s->ops;

    while (*at != op) {
        at = &(*at)->next;
    }
    *at = op->next;
    io_lock(&s->ops_lock);              /* whoever saw this op is in the queue */
    io_unlock(&s->ops_lock);
    fiber_queue_wake_all(&s->ops_wait);
}

void qcow2_exclusive_begin(BlkNode *n, QOp *op)
{
    *op = (QOp){ 0, UINT64_MAX, OP_EXCLUSIVE, NULL };
    fiber_mutex_lock(&q2(n)->lock);
    qcow2_op_begin(n, op);
}

void qcow2_exclusive_end(BlkNode *n, QOp *op)
{
    qcow2_op_end(n, op);
    fiber_mutex_unlock(&q2(n)->lock);
}

/* ---- the map of a range ---- */

typedef struct {
    QType type;
    uint64_t len;               /* of the range, the same kind of thing and contiguous */
    uint64_t host;              /* of its first byte */
    uint64_t entry;             /* compressed */
    bool copied;                /* may be written in place */
} Map;

static uint64_t host_of(const Qcow2 *s, uint64_t entry)
{
    return entry & E_OFFSET;
}

static bool has_host(QType t)
{
    return t == Q_NORMAL || t == Q_ZERO_ALLOCATED;
}

/* With the lock.  Runs end at the slice. */
static int map(BlkNode *n, uint64_t off, uint64_t len, Map *m)
{
    Qcow2 *s = q2(n);
    QL2 at;
    uint64_t in = off & (s->cluster_size - 1), done = 0, entry;
    int r = qcow2_l2_find(n, off, false, &at);

    if (r < 0) {
        return r;
    }
    *m = (Map){ .type = Q_UNALLOCATED };
    if (!at.slice) {
        m->len = MIN(len, ((uint64_t)at.left << s->cluster_bits) - in);
        return 0;
    }
    entry = qcow2_l2_entry(s, &at, 0);
    m->type = qcow2_type(s, entry, qcow2_l2_bitmap(s, &at, 0), in >> s->sc_bits);
    m->entry = entry;
    m->copied = entry & E_COPIED;
    m->host = host_of(s, entry) + in;
    if (m->type == Q_INVALID) {
        return -EIO;
    }
    for (unsigned i = 0; done < len && i < at.left; i++) {
        uint64_t e = qcow2_l2_entry(s, &at, i), b = qcow2_l2_bitmap(s, &at, i);

        if (i && (m->type == Q_COMPRESSED || ((e ^ entry) & E_COPIED) || (has_host(m->type) && host_of(s, e) != m->host + done))) {
            break;
        }
        for (; in < s->cluster_size && done < len; in = (in & ~(s->sc_size - 1)) + s->sc_size) {
            if (qcow2_type(s, e, b, in >> s->sc_bits) != m->type) {
                goto out;
            }
            done += s->sc_size - (in & (s->sc_size - 1));
        }
        in = 0;
    }
out:
    m->len = MIN(done, len);
    return 0;
}

/* ---- read ---- */

static int read_piece(BlkNode *n, const Map *m, uint64_t off, BlkVec v, unsigned flags)
{
    Qcow2 *s = q2(n);

    switch (m->type) {
    case Q_NORMAL:
        return qcow2_data_read(n, m->host, off, m->len, v, flags);
    case Q_COMPRESSED:
        return qcow2_read_compressed(n, m->entry, off & (s->cluster_size - 1), m->len, v);
    case Q_UNALLOCATED:
        if (n->backing) {
            return node_read_below(n->backing->node, off, m->len, v, flags);
        }
        /* fall through */
    default:
        blk_vec_fill(v, 0, m->len);
        return 0;
    }
}

int qcow2_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Qcow2 *s = q2(n);
    uint64_t done = 0;
    int r = 0;

    while (done < len && r == 0) {
        Map m;
        unsigned epoch;

        fiber_mutex_lock(&s->lock);
        r = map(n, off + done, len - done, &m);
        epoch = s->frees_now;
        __atomic_fetch_add(&s->readers[epoch], 1, __ATOMIC_RELAXED);
        fiber_mutex_unlock(&s->lock);
        if (r == 0) {
            r = read_piece(n, &m, off + done, blk_vec_from(v, done), flags);
            done += m.len;
        }
        __atomic_fetch_sub(&s->readers[epoch], 1, __ATOMIC_RELEASE);
    }
    return r;
}

/* ---- write ---- */

/* The first part of a range, with a place for it; its op is listed, so that nobody else changes the map there. */
typedef struct {
    QOp op;                     /* whole clusters where they get a place, else whole subclusters: others may work in the rest of the cluster */
    uint64_t off, len;          /* what the guest writes, within the clusters */
    uint64_t start;             /* of the first cluster: the guest's offset */
    uint64_t host;              /* and the host's */
    uint64_t clusters;
    bool in_place;              /* the tables stay as they are; of the rest only `op`, `off`, `len`, `start` and `host` count */
    bool in_cluster;            /* the cluster is ours already: subclusters are added */
    bool fresh;                 /* the host's clusters read as zeroes */
    bool counted;
} Piece;

static uint64_t host_byte(const Piece *p)
{
    return p->host + (p->off - p->start);
}

/* Whether a cluster is ours alone and has its place, so that what is missing in it can be added there. */
static bool is_ours(const Qcow2 *s, uint64_t entry)
{
    return !(entry & E_COMPRESSED) && (entry & E_COPIED) && ((entry & E_OFFSET) || s->external);
}

/* `off` to `off + len`, outward to whole subclusters. */
static QOp subclusters(const Qcow2 *s, uint64_t off, uint64_t len, int kind)
{
    return (QOp){ off & ~(s->sc_size - 1), (off + len + s->sc_size - 1) & ~(s->sc_size - 1), kind, NULL };
}

/* How many clusters from here on need a new host cluster each. */
static unsigned count_new(const Qcow2 *s, const QL2 *at, uint64_t off, uint64_t len)
{
    unsigned want = q_clusters(s, (off & (s->cluster_size - 1)) + len), i;

    want = MIN(want, MAX(1, MAX_ALLOC_BYTES >> s->cluster_bits));
    for (i = 0; i < want && i < at->left; i++) {
        if (is_ours(s, qcow2_l2_entry(s, at, i))) {
            break;
        }
    }
    return i;
}

/* Choose where the bytes go; the op is listed on success. */
static int begin_alloc(BlkNode *n, uint64_t off, uint64_t len, Piece *a)
{
    Qcow2 *s = q2(n);
    uint64_t start = off & ~(s->cluster_size - 1), e;
    QL2 at;
    int64_t host;
    int r = qcow2_l2_find(n, off, true, &at);

    if (r < 0) {
        return r;
    }
    *a = (Piece){ .off = off, .start = start };
    e = qcow2_l2_entry(s, &at, 0);
    a->clusters = count_new(s, &at, off, len);
    if (a->clusters == 0) {
        a->in_cluster = true;
        a->clusters = 1;
        a->host = host_of(s, e);
    } else if (s->external) {
        a->host = start;
        a->fresh = start >= node_size(s->data);
    } else {
        host = qcow2_alloc(n, &a->clusters, false);
        if (host < 0) {
            return host;
        }
        a->host = host;
        a->counted = true;
        a->fresh = q_take_fresh(s, host, a->clusters << s->cluster_bits);
    }
    a->len = MIN(len, start + (a->clusters << s->cluster_bits) - off);
    a->op = a->in_cluster ? subclusters(s, off, a->len, OP_ALLOC) : (QOp){ start, start + (a->clusters << s->cluster_bits), OP_ALLOC, NULL };
    return 0;
}

/* The parts of the first and last subcluster that the guest does not write are copied from below, or zeroes. */
static int write_new(BlkNode *n, const Piece *a, BlkVec v, unsigned flags)
{
    Qcow2 *s = q2(n);
    uint64_t whole = a->in_cluster || s->sc_per_cluster > 1 ? s->sc_size : s->cluster_size;
    uint64_t head = a->off & (whole - 1), end = a->off + a->len, tail = -end & (whole - 1);
    uint64_t host = host_byte(a);
    g_autofree struct iovec *iov = NULL;
    uint8_t *buf = NULL;
    unsigned cnt = 0;
    BlkVec part = v;
    Map m = { .type = Q_ZERO };
    int r = 0;

    if (head + tail == 0) {
        return qcow2_data_write(n, host, a->off, a->len, v, flags & BLK_FUA);
    }
    if (a->fresh && !a->in_cluster && !s->crypt) {           /* what reads as zeroes below needs no writing */
        fiber_mutex_lock(&s->lock);
        r = map(n, a->op.start, a->op.end - a->op.start, &m);
        fiber_mutex_unlock(&s->lock);
        if (r == 0 && m.len == a->op.end - a->op.start && (m.type == Q_ZERO || m.type == Q_ZERO_ALLOCATED || (m.type == Q_UNALLOCATED && !n->backing))) {
            return qcow2_data_write(n, host, a->off, a->len, v, flags & BLK_FUA);
        }
    }
    buf = blk_buffer(head + tail);
    if (r == 0 && head) {
        r = qcow2_read(n, a->off - head, head, BLK_VEC1(buf, head), 0);
    }
    if (r == 0 && tail) {
        uint64_t size = node_size(n), have = end < size ? MIN(tail, size - end) : 0;

        memset(buf + head, 0, tail);
        r = have ? qcow2_read(n, end, have, BLK_VEC1(buf + head, have), 0) : 0;
    }
    if (r == 0) {
        iov = g_new(struct iovec, v.n + 2);
        if (head) {
            iov[cnt++] = (struct iovec){ buf, head };
        }
        for (uint64_t left = a->len, skip = part.skip, i = 0; left; i++) {
            uint64_t l = part.iov[i].iov_len;

            if (skip >= l) {
                skip -= l;
                continue;
            }
            l = MIN(l - skip, left);
            iov[cnt++] = (struct iovec){ (char *)part.iov[i].iov_base + skip, l };
            left -= l;
            skip = 0;
        }
        if (tail) {
            iov[cnt++] = (struct iovec){ buf + head, tail };
        }
        r = qcow2_data_write(n, host - head, a->off - head, head + a->len + tail, (BlkVec){ iov, cnt, 0 }, flags & BLK_FUA);
    }
    free(buf);
    return r;
}

/* Bits of the subclusters of cluster i that now hold data. */
static uint64_t new_bitmap(const Qcow2 *s, const Piece *a, uint64_t cluster, uint64_t old)
{
    uint64_t from = MAX(a->off, cluster), to = MIN(a->off + a->len, cluster + s->cluster_size);
    unsigned first, last;
    uint64_t mask;

    if (s->sc_per_cluster == 1) {
        return 0;
    }
    first = (from - cluster) >> s->sc_bits;
    last = (to - 1 - cluster) >> s->sc_bits;
    mask = ((2ull << last) - 1) & ~((1ull << first) - 1);
    return (old | mask) & ~(mask << 32);
}

/* The data is written: let the tables say so.  Subclusters of a cluster that moved are copied with it. */
static int link_alloc(BlkNode *n, const Piece *a)
{
    Qcow2 *s = q2(n);

    for (uint64_t i = 0; i < a->clusters; i++) {
        uint64_t guest = a->start + (i << s->cluster_bits), old, bitmap;
        QL2 at;
        int r = qcow2_l2_find(n, guest, true, &at);

        if (r < 0) {
            return r;
        }
        old = qcow2_l2_entry(s, &at, 0);
        bitmap = qcow2_l2_bitmap(s, &at, 0);
        if (!a->in_cluster) {
            qcow2_l2_release(s, old);
        }
        qcow2_l2_set(s, &at, 0, (a->host + (i << s->cluster_bits)) | E_COPIED, new_bitmap(s, a, guest, old & E_COMPRESSED ? 0 : bitmap));
    }
    return 0;
}

/*
 * A cluster with subclusters that must move (shared or compressed) takes all
 * of its data with it: widen the write to the whole cluster.
 */
static int write_whole_clusters(BlkNode *n, Piece *a, BlkVec v, unsigned flags)
{
    uint64_t start = a->op.start, bytes = a->op.end - start, size = node_size(n), have = MIN(bytes, size - start);
    uint8_t *buf = blk_buffer(bytes);
    int r;

    memset(buf + have, 0, bytes - have);
    r = qcow2_read(n, start, have, BLK_VEC1(buf, have), 0);
    if (r == 0) {
        blk_vec_read(v, buf + (a->off - start), a->len);
        r = qcow2_data_write(n, a->host, start, bytes, BLK_VEC1(buf, bytes), flags & BLK_FUA);
    }
    free(buf);
    a->off = start;
    a->len = bytes;
    return r;
}

static bool must_move_whole(BlkNode *n, const Piece *a)
{
    Qcow2 *s = q2(n);

    if (s->sc_per_cluster == 1 || a->in_cluster || a->in_place) {
        return false;
    }
    for (uint64_t at = a->op.start; at < a->op.end; at += s->cluster_size) {
        QL2 l2;

        if (qcow2_l2_find(n, at, false, &l2) < 0 || (qcow2_l2_entry(s, &l2, 0) & (E_COMPRESSED | E_OFFSET))) {
            return true;
        }
    }
    return false;
}

static bool in_place(const Map *m)
{
    return m->type == Q_NORMAL && m->copied;
}

/*
 * With the lock; returns with it.  1: a place is chosen and the op listed; 0: it was waited for another, look again.
 * `ours`: the cluster has a place, only subclusters are missing.
 */
static int list_alloc(BlkNode *n, uint64_t off, uint64_t len, bool ours, Piece *a)
{
    Qcow2 *s = q2(n);
    uint64_t start = off & ~(s->cluster_size - 1);
    /* wait before anything is allocated: what is there now may be ours after */
    QOp op = ours ? subclusters(s, off, MIN(len, start + s->cluster_size - off), OP_ALLOC) : (QOp){ start, start + s->cluster_size, OP_ALLOC, NULL };
    int r;

    if (op_clash(s, &op)) {
        op_wait(s);
        return 0;
    }
    r = begin_alloc(n, off, len, a);
    if (r < 0) {
        return r;
    }
    while (op_clash(s, &a->op) && a->clusters > 1) {    /* leave the clusters that another one is at */
        uint64_t last = --a->clusters;

        if (a->counted) {
            qcow2_refcount_add(n, a->host + (last << s->cluster_bits), 1, -1);
        }
        a->op.end -= s->cluster_size;
        a->len = MIN(a->len, a->op.end - a->off);
    }
    a->op.next = s->ops;
    s->ops = &a->op;
    return 1;
}

/* With the lock; returns with it.  1: the op of *p is listed, and the data may move without the lock; 0: it was waited for another, look again. */
static int begin_piece(BlkNode *n, uint64_t off, uint64_t len, Piece *p)
{
    const Qcow2 *s = q2(n);
    const uint64_t in = off & (s->cluster_size - 1);
    Map m;
    int r = map(n, off, len, &m);

    if (r < 0) {
        return r;
    }
    if (!in_place(&m)) {
        return list_alloc(n, off, len, is_ours(s, m.entry), p);
    }
    *p = (Piece){ .off = off, .len = m.len, .start = off - in, .host = m.host - in, .in_place = true };
    p->op = subclusters(s, off, m.len, OP_WRITE);
    return op_try(n, &p->op);
}

/* The data was written, or not (r): takes the lock, and the tables say so. */
static int end_piece(BlkNode *n, Piece *p, int r)
{
    Qcow2 *s = q2(n);
    int e;

    fiber_mutex_lock(&s->lock);
    if (r == 0 && !p->in_place) {
        r = link_alloc(n, p);
        if (r < 0) {
            s->broken = true;               /* some entries may be changed, some not */
        }
    } else if (p->counted) {
        e = qcow2_refcount_add(n, p->host, p->clusters, -1);
        r = e < 0 ? e : r;
    }
    qcow2_op_end(n, &p->op);
    return r;
}

/* With the lock; returns with it.  The first part of a range: *done bytes of it. */
static int write_piece(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags, uint64_t *done)
{
    Piece p;
    bool whole;
    int r = begin_piece(n, off, len, &p);

    *done = r > 0 ? p.len : 0;
    if (r <= 0) {
        return r;
    }
    whole = must_move_whole(n, &p);
    fiber_mutex_unlock(&q2(n)->lock);
    if (p.in_place) {
        r = qcow2_data_write(n, host_byte(&p), off, p.len, v, flags & BLK_FUA);
    } else {
        r = whole ? write_whole_clusters(n, &p, v, flags) : write_new(n, &p, v, flags);
    }
    return end_piece(n, &p, r);
}

int qcow2_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Qcow2 *s = q2(n);
    uint64_t done = 0, now;
    int r = s->broken ? -EIO : 0;

    fiber_mutex_lock(&s->lock);
    while (done < len && r == 0) {
        r = write_piece(n, off + done, len - done, blk_vec_from(v, done), flags, &now);
        done += now;
    }
    fiber_mutex_unlock(&s->lock);
    return r;
}

/* ---- copying by the host: whole clusters ---- */

static int copy_piece(BlkNode *n, BlkNode *from, uint64_t from_off, uint64_t off, uint64_t len, unsigned flags, uint64_t *done)
{
    Qcow2 *s = q2(n);
    Piece p;
    int r = begin_piece(n, off, len, &p);

    *done = r > 0 ? p.len : 0;
    if (r <= 0) {
        return r;
    }
    fiber_mutex_unlock(&s->lock);
    return end_piece(n, &p, node_copy(from, from_off, s->data, host_byte(&p), p.len, flags));
}

int qcow2_copy(BlkNode *from, uint64_t from_off, BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    Qcow2 *s = q2(n);
    uint64_t done = 0, now;
    int r = s->broken ? -EIO : 0;

    if (s->crypt || s->sc_per_cluster > 1) {
        return -ENOTSUP;
    }
    if ((off | len) & (s->cluster_size - 1)) {
        return -EINVAL;
    }
    fiber_mutex_lock(&s->lock);
    while (done < len && r == 0) {
        r = copy_piece(n, from, from_off + done, off + done, len - done, flags, &now);
        done += now;
    }
    fiber_mutex_unlock(&s->lock);
    return r;
}

/* ---- flush ---- */

int qcow2_flush(BlkNode *n)
{
    Qcow2 *s = q2(n);
    int r;

    fiber_mutex_lock(&s->lock);
    r = qcow2_meta_flush(n, true);
    fiber_mutex_unlock(&s->lock);
    return r;
}

/* ---- whole clusters to zeroes or nothing ---- */

static uint64_t all_zero_bitmap(const Qcow2 *s)
{
    return s->sc_per_cluster > 1 ? 0xffffffffull << 32 : 0;
}

/* What a cluster becomes when it is to read as zeroes. */
static void zero_entry(BlkNode *n, const QL2 *at, unsigned i, bool unmap)
{
    Qcow2 *s = q2(n);
    uint64_t e = qcow2_l2_entry(s, at, i), b = qcow2_l2_bitmap(s, at, i), want = 0;
    bool keep = !unmap && !(e & E_COMPRESSED) && (e & E_COPIED);

    if (s->version >= 3 && s->sc_per_cluster == 1) {
        want = E_ZERO;
    }
    want |= keep ? e & (E_OFFSET | E_COPIED) : 0;
    if (s->version < 3 || (want == e && b == all_zero_bitmap(s))) {
        if (s->version >= 3 || !e) {
            return;
        }
    }
    if (!keep) {
        qcow2_l2_release(s, e);
    }
    qcow2_l2_set(s, at, i, want, all_zero_bitmap(s));
}

static int zero_clusters(BlkNode *n, uint64_t off, uint64_t len, bool unmap, bool skip_unallocated)
{
    Qcow2 *s = q2(n);

    if (s->version < 3 && node_has_below(n)) {
        return -ENOTSUP;                        /* amended meanwhile */
    }

    while (len) {
        uint64_t now;
        bool make = !skip_unallocated && node_has_below(n);
        QL2 at;
        int r = qcow2_l2_find(n, off, make, &at);

        if (r == 0 && at.slice && !make && !(s->l1[off >> q_l1_shift(s)] & E_COPIED)) {
            r = qcow2_l2_find(n, off, true, &at);   /* a snapshot's table: ours first */
        }
        if (r < 0) {
            return r;
        }
        now = MIN(len, (uint64_t)at.left << s->cluster_bits);
        for (uint64_t i = 0; at.slice && i < now >> s->cluster_bits; i++) {
            if (skip_unallocated && qcow2_l2_entry(s, &at, i) == 0 && qcow2_l2_bitmap(s, &at, i) == 0) {
                continue;
            }
            zero_entry(n, &at, i, unmap);
        }
        off += now;
        len -= now;
    }
    return 0;
}

/* Whole clusters; the end of the disk counts as one. */
static int zero_range(BlkNode *n, uint64_t off, uint64_t end, bool unmap, bool skip)
{
    Qcow2 *s = q2(n);
    QOp op = { off, end, OP_EXCLUSIVE, NULL };
    int r;

    fiber_mutex_lock(&s->lock);
    if (s->broken) {
        fiber_mutex_unlock(&s->lock);
        return -EIO;
    }
    qcow2_op_begin(n, &op);
    r = zero_clusters(n, off, end - off, unmap, skip);
    qcow2_op_end(n, &op);
    fiber_mutex_unlock(&s->lock);
    return r;
}

static uint64_t cluster_end(BlkNode *n, uint64_t end)
{
    Qcow2 *s = q2(n);

    return end == node_size(n) ? (end + s->cluster_size - 1) & ~(s->cluster_size - 1) : end & ~(s->cluster_size - 1);
}

int qcow2_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    Qcow2 *s = q2(n);
    uint64_t start = (off + s->cluster_size - 1) & ~(s->cluster_size - 1), end = cluster_end(n, off + len);

    if (start >= end || (s->version < 3 && node_has_below(n)) || s->raw_data_file) {
        return -ENOTSUP;
    }
    return zero_range(n, start, end, true, true);
}

/* Does a small range read as zeroes already? */
static bool reads_zero(BlkNode *n, uint64_t off, uint64_t len)
{
    while (len) {
        BlkExtent e;

        if (node_status_chain(n, NULL, off, len, &e) < 0 || !(e.flags & BLK_EXT_ZERO) || !e.len) {
            return false;
        }
        off += e.len;
        len -= e.len;
    }
    return true;
}

static int zero_edge(BlkNode *n, uint64_t off, uint64_t len)
{
    uint8_t *zero;
    int r;

    if (len == 0 || reads_zero(n, off, len)) {
        return 0;
    }
    zero = blk_buffer(len);
    memset(zero, 0, len);
    r = qcow2_write(n, off, len, BLK_VEC1(zero, len), 0);
    free(zero);
    return r;
}

int qcow2_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    Qcow2 *s = q2(n);
    uint64_t start = (off + s->cluster_size - 1) & ~(s->cluster_size - 1), end = cluster_end(n, off + len);
    int r;

    if ((s->version < 3 && node_has_below(n)) || s->raw_data_file || start >= end) {
        return -ENOTSUP;
    }
    r = zero_edge(n, off, start - off);
    if (r == 0) {
        r = zero_range(n, start, end, flags & BLK_MAY_UNMAP || s->version < 3, false);
    }
    if (r == 0 && off + len > end) {
        r = zero_edge(n, end, off + len - end);
    }
    return r;
}

/* ---- status ---- */

/* One more piece of a run; false: it is of another kind, and the run ends before it. */
static inline bool run_add(Map *run, QType type, uint64_t host, uint64_t len)
{
    if (!run->len) {
        *run = (Map){ .type = type, .host = host };
    } else if (type != run->type || type == Q_COMPRESSED || (has_host(type) && host != run->host + run->len)) {
        return false;
    }
    run->len += len;
    return true;
}

/* Entries that are nothing, from this one on. */
static unsigned empty_entries(const Qcow2 *s, const QL2 *at, unsigned i)
{
    const uint8_t *p = at->slice->data + (at->index + i) * s->l2_entry_size;
    unsigned words = (at->left - i) * (s->l2_entry_size / 8), w = 0;

    while (w < words && ldq_be_p(p + w * 8) == 0) {
        w++;
    }
    return w / (s->l2_entry_size / 8);
}

/* What of `off` to `end` one slice of a table knows; false: the run ends here. */
static bool run_slice(const Qcow2 *s, const QL2 *at, uint64_t off, uint64_t end, Map *run)
{
    uint64_t in = off & (s->cluster_size - 1);

    if (!at->slice) {
        return run_add(run, Q_UNALLOCATED, 0, MIN(end - off, ((uint64_t)at->left << s->cluster_bits) - in));
    }
    for (unsigned i = 0; i < at->left && off < end; i++) {
        uint64_t e = qcow2_l2_entry(s, at, i), b = qcow2_l2_bitmap(s, at, i);

        if (!e && !b) {
            unsigned empty = empty_entries(s, at, i);
            uint64_t len = MIN(end - off, ((uint64_t)empty << s->cluster_bits) - in);

            if (!run_add(run, Q_UNALLOCATED, 0, len)) {
                return false;
            }
            off += len;
            i += empty - 1;
            in = 0;
            continue;
        }
        for (; in < s->cluster_size && off < end; in = (in & ~(s->sc_size - 1)) + s->sc_size) {
            uint64_t len = MIN(end - off, s->sc_size - (in & (s->sc_size - 1)));

            if (!run_add(run, qcow2_type(s, e, b, in >> s->sc_bits), host_of(s, e) + in, len)) {
                return false;
            }
            off += len;
        }
        in = 0;
    }
    return true;
}

int qcow2_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    Qcow2 *s = q2(n);
    Map first = {};
    QL2 at;
    int r = 0;

    fiber_mutex_lock(&s->lock);
    if (off >= s->gap_start && off < s->gap_end) {
        first = (Map){ .type = Q_UNALLOCATED, .len = MIN(len, s->gap_end - off) };
    }
    while (first.len < len) {
        r = qcow2_l2_find(n, off + first.len, false, &at);
        if (r < 0 || !run_slice(s, &at, off + first.len, off + len, &first)) {
            break;
        }
    }
    if (first.len && first.type == Q_UNALLOCATED && !(off >= s->gap_start && off + first.len <= s->gap_end)) {
        s->gap_start = off;
        s->gap_end = off + first.len;
    }
    fiber_mutex_unlock(&s->lock);
    if (!first.len || first.type == Q_INVALID) {
        return r < 0 ? r : -EIO;
    }
    *out = (BlkExtent){ .len = first.len };
    switch (first.type) {
    case Q_NORMAL:
        out->flags = BLK_EXT_DATA | BLK_EXT_OFFSET | BLK_EXT_ALLOCATED;
        break;
    case Q_ZERO_ALLOCATED:
        out->flags = BLK_EXT_ZERO | BLK_EXT_OFFSET | BLK_EXT_ALLOCATED;
        break;
    case Q_ZERO:
        out->flags = BLK_EXT_ZERO | BLK_EXT_ALLOCATED;
        break;
    case Q_COMPRESSED:
        out->flags = BLK_EXT_DATA | BLK_EXT_COMPRESSED | BLK_EXT_ALLOCATED;
        break;
    default:
        break;
    }
    if (s->crypt) {
        out->flags &= ~(unsigned)BLK_EXT_OFFSET;        /* what lies there is not what is read */
    }
    out->offset = first.host;
    out->node = s->data;
    return 0;
}
