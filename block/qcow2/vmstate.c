/* SPDX-License-Identifier: MIT */
/*
 * The state of a machine: clusters behind the end of the disk, from the first
 * entry of L1 that the disk has no use for.  Snapshots share them as all else.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <string.h>

#include "util/bswap.h"

uint32_t qcow2_disk_entries(const Qcow2 *s, uint64_t size)
{
    return (uint32_t)((size >> q_l1_shift(s)) + ((size & ((1ull << q_l1_shift(s)) - 1)) != 0));
}

/* What an earlier attempt left goes first. */
static int make_room(BlkNode *n, uint64_t end, bool first)
{
    QOp op;
    int r;

    qcow2_exclusive_begin(n, &op);
    r = q2(n)->broken ? -EIO : first ? qcow2_vmstate_drop(n) : 0;
    r = r ? r : qcow2_l1_grow(n, qcow2_disk_entries(q2(n), end));
    qcow2_exclusive_end(n, &op);
    return r;
}

int qcow2_vmstate_write(BlkNode *n, uint64_t off, const void *buf, uint64_t len)
{
    Qcow2 *s = q2(n);
    uint64_t at = ((uint64_t)qcow2_disk_entries(s, node_size(n)) << q_l1_shift(s)) + off;
    int r;

    if (s->external || !len) {
        return s->external ? -ENOTSUP : 0;
    }
    if (at > INT64_MAX - len) {
        return -EFBIG;
    }
    r = make_room(n, at + len, off == 0);
    return r ? r : qcow2_write(n, at, len, BLK_VEC1(buf, len), 0);
}

/* One cluster, by the tables of a snapshot. */
static int read_cluster(BlkNode *n, const uint64_t *l1, uint64_t off, uint8_t *buf, uint64_t len)
{
    Qcow2 *s = q2(n);
    uint64_t in_table = (off >> s->cluster_bits & ((1ull << s->l2_bits) - 1)) * s->l2_entry_size, table = l1[off >> q_l1_shift(s)] & E_OFFSET, in = off & (s->cluster_size - 1);
    QL2 at = { .index = (unsigned)(in_table % s->l2.slice / s->l2_entry_size) };
    uint64_t e = 0, bitmap = 0;
    int r = 0;

    fiber_mutex_lock(&s->lock);
    if (table) {
        r = qcache_get(n, &s->l2, table + in_table / s->l2.slice * s->l2.slice, &at.slice);
        e = r ? 0 : qcow2_l2_entry(s, &at, 0);
        bitmap = r ? 0 : qcow2_l2_bitmap(s, &at, 0);
    }
    fiber_mutex_unlock(&s->lock);
    if (r < 0) {
        return r;
    }
    switch (qcow2_type(s, e, bitmap, (unsigned)(in >> s->sc_bits))) {
    case Q_NORMAL:
        return qcow2_data_read(n, (e & E_OFFSET) + in, off, len, BLK_VEC1(buf, len), 0);
    case Q_INVALID:
    case Q_COMPRESSED:
        return -EIO;
    default:
        memset(buf, 0, len);
        return 0;
    }
}

int qcow2_vmstate_read(BlkNode *n, const char *id, uint64_t off, void *buf, uint64_t len)
{
    Qcow2 *s = q2(n);
    const QSnapshot *sn = qcow2_snapshot_find(s, id);
    uint64_t at = sn ? ((uint64_t)qcow2_disk_entries(s, sn->info.disk_size) << q_l1_shift(s)) + off : 0;
    g_autofree uint64_t *l1 = sn ? g_new0(uint64_t, MAX(sn->l1_size, 1)) : NULL;
    int r = sn ? qcow2_read_words(n, sn->l1_offset, l1, sn->l1_size) : -ENOENT;

    if (r == 0 && (at > INT64_MAX - len || qcow2_disk_entries(s, at + len) > sn->l1_size)) {
        return -EIO;
    }
    for (uint64_t done = 0, now; done < len && r == 0; done += now) {
        now = MIN(len - done, s->sc_size - ((at + done) & (s->sc_size - 1)));
        r = read_cluster(n, l1, at + done, (uint8_t *)buf + done, now);
    }
    return r;
}

/* What the active tables have behind the end of the disk is a snapshot's now, or nobody's.  With the lock, exclusively. */
int qcow2_vmstate_drop(BlkNode *n)
{
    Qcow2 *s = q2(n);
    uint32_t first = qcow2_disk_entries(s, node_size(n)), number = s->l1_size > first ? s->l1_size - first : 0;
    g_autofree uint64_t *old = g_new0(uint64_t, MAX(number, 1));
    bool any = false;
    int r;

    for (uint32_t i = 0; i < number; i++) {
        old[i] = s->l1[first + i];
        any = any || old[i];
        s->l1[first + i] = 0;
    }
    if (!any) {
        return 0;
    }
    s->l1_dirty = true;
    s->gap_end = 0;
    r = qcow2_meta_flush(n, true);
    r = r ? r : qcow2_count_tree(n, old, number, -1);
    return r;
}
