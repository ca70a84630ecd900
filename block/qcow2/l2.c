/* SPDX-License-Identifier: MIT */
/* The two levels of tables from guest offsets to clusters. */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <string.h>

#include "util/bswap.h"

int qcow2_read_words(BlkNode *n, uint64_t offset, uint64_t *words, uint64_t count)
{
    int r = count ? node_pread_padded(n->file->node, offset, words, count * 8) : 0;

    for (uint64_t i = 0; i < count && r == 0; i++) {
        words[i] = ldq_be_p(&words[i]);
    }
    return r;
}

int qcow2_write_words(BlkNode *n, uint64_t offset, const uint64_t *words, uint64_t count)
{
    g_autofree uint64_t *be = g_new(uint64_t, MAX(count, 1));

    for (uint64_t i = 0; i < count; i++) {
        stq_be_p(&be[i], words[i]);
    }
    return count ? node_pwrite(n->file->node, offset, be, count * 8) : 0;
}

int qcow2_l1_write(BlkNode *n)
{
    Qcow2 *s = q2(n);
    int r = qcow2_write_words(n, s->l1_offset, s->l1, s->l1_size);

    if (r == 0) {
        s->l1_dirty = false;
        s->metadata_written = true;
    }
    return r;
}

/* A longer L1 in a new place; the header switches to it. */
int qcow2_l1_grow(BlkNode *n, uint64_t entries)
{
    Qcow2 *s = q2(n);
    uint64_t clusters = q_clusters(s, entries * 8), old_clusters = q_clusters(s, s->l1_size * 8ull);
    uint8_t be[12];
    int64_t at;
    int r;

    if (entries <= s->l1_size) {
        return 0;
    }
    if (entries * 8 > MAX_L1_BYTES) {
        return -EFBIG;
    }
    at = qcow2_alloc(n, &clusters, true);
    if (at < 0) {
        return at;
    }
    q_take_fresh(s, at, clusters << s->cluster_bits);
    s->l1 = g_renew(uint64_t, s->l1, entries);
    memset(s->l1 + s->l1_size, 0, (entries - s->l1_size) * 8);
    r = qcow2_meta_flush(n, true);
    r = r ? r : qcow2_write_words(n, at, s->l1, entries);
    r = r ? r : node_flush(n->file->node);
    if (r < 0) {
        qcow2_refcount_add(n, at, clusters, -1);
        return r;
    }
    stl_be_p(be, entries);
    stq_be_p(be + 4, at);
    r = node_pwrite(n->file->node, H_L1_SIZE, be, sizeof(be));
    r = r ? r : node_flush(n->file->node);
    if (r < 0) {
        s->broken = true;
        return r;
    }
    if (s->l1_offset) {
        qcow2_free_later(s, s->l1_offset, old_clusters);
    }
    s->l1_size = entries;
    s->l1_offset = at;
    return 0;
}

/* ---- tables ---- */

static unsigned entries_per_slice(const Qcow2 *s)
{
    return s->l2.slice / s->l2_entry_size;
}

/* An empty table, or a private copy of one that a snapshot has too. */
static int make_table(BlkNode *n, uint64_t i, uint64_t old)
{
    Qcow2 *s = q2(n);
    uint64_t one = 1;
    int64_t at = qcow2_alloc(n, &one, true);
    bool fresh;
    int r = 0;

    if (at < 0) {
        return at;
    }
    fresh = q_take_fresh(s, at, s->cluster_size);
    qcache_forget(&s->l2, at, s->cluster_size);
    if (!old && fresh) {                /* one slice is enough: the file must reach to the table before L1 names it */
        QEntry *e;

        r = qcache_new(n, &s->l2, at, &e);
        if (r == 0) {
            qcache_dirty(&s->l2, e);
        }
    } else if (!old) {
        r = node_zeroes(n->file->node, at, s->cluster_size, BLK_MAY_UNMAP);
    }
    for (uint64_t part = 0; old && part < s->cluster_size && r == 0; part += s->l2.slice) {
        QEntry *from, *to;
        g_autofree uint8_t *copy = NULL;

        r = qcache_get(n, &s->l2, old + part, &from);
        if (r == 0) {
            copy = g_memdup2(from->data, s->l2.slice);
            r = qcache_new(n, &s->l2, at + part, &to);
        }
        if (r == 0) {
            memcpy(to->data, copy, s->l2.slice);
            qcache_dirty(&s->l2, to);
        }
    }
    if (r < 0) {
        qcache_forget(&s->l2, at, s->cluster_size);
        qcow2_refcount_add(n, at, 1, -1);
        return r;
    }
    if (old) {
        qcow2_free_later(s, old, 1);
    }
    s->l1[i] = at | E_COPIED;
    s->l1_dirty = true;
    return 0;
}

int qcow2_l2_find(BlkNode *n, uint64_t off, bool make, QL2 *out)
{
    Qcow2 *s = q2(n);
    uint64_t i = off >> q_l1_shift(s), index = (off >> s->cluster_bits) & ((1ull << s->l2_bits) - 1), table;
    unsigned per = entries_per_slice(s);
    int r;

    out->slice = NULL;
    out->left = (1u << s->l2_bits) - index;
    if (i >= s->l1_size) {
        return make ? -EIO : 0;
    }
    table = s->l1[i] & E_OFFSET;
    if (table & (s->cluster_size - 1)) {
        return -EIO;
    }
    if (make && (!table || !(s->l1[i] & E_COPIED))) {
        r = make_table(n, i, table);
        if (r < 0) {
            return r;
        }
        table = s->l1[i] & E_OFFSET;
    }
    if (!table) {
        return 0;
    }
    out->index = index % per;
    out->left = per - out->index;
    return qcache_get(n, &s->l2, table + index / per * s->l2.slice, &out->slice);
}

void qcow2_l2_set(Qcow2 *s, const QL2 *at, unsigned i, uint64_t entry, uint64_t bitmap)
{
    uint8_t *p = at->slice->data + (at->index + i) * s->l2_entry_size;

    stq_be_p(p, entry);
    if (s->l2_entry_size == 16) {
        stq_be_p(p + 8, bitmap);
    }
    s->gap_end = 0;
    qcache_dirty(&s->l2, at->slice);
}

/* What a subcluster is; without extended entries there is one to a cluster. */
QType qcow2_type(const Qcow2 *s, uint64_t e, uint64_t bitmap, unsigned sc)
{
    bool offset = (e & E_OFFSET) || (s->external && (e & E_COPIED));

    if (e & E_COMPRESSED) {
        return s->external ? Q_INVALID : Q_COMPRESSED;
    }
    if (e & E_OFFSET & (s->cluster_size - 1)) {
        return Q_INVALID;
    }
    if (s->l2_entry_size == 16) {
        bool alloc = bitmap >> sc & 1, zero = bitmap >> (32 + sc) & 1;

        if (alloc && (zero || !offset)) {
            return Q_INVALID;
        }
        return alloc ? Q_NORMAL : zero ? offset ? Q_ZERO_ALLOCATED : Q_ZERO : Q_UNALLOCATED;
    }
    if ((e & E_ZERO) && s->version >= 3) {
        return offset ? Q_ZERO_ALLOCATED : Q_ZERO;
    }
    return offset ? Q_NORMAL : Q_UNALLOCATED;
}

/* Bits 0 to x-1: offset; x to 61: additional 512-byte sectors, with x = 62 - (cluster_bits - 8). */
void qcow2_compressed_place(const Qcow2 *s, uint64_t e, uint64_t *offset, uint64_t *bytes)
{
    unsigned x = 62 - (s->cluster_bits - 8);
    uint64_t sectors = (e >> x & ((1ull << (s->cluster_bits - 8)) - 1)) + 1;

    *offset = e & ((1ull << x) - 1);
    *bytes = sectors * 512 - (*offset & 511);
}

void qcow2_l2_release(Qcow2 *s, uint64_t e)
{
    uint64_t offset, bytes;

    if (e & E_COMPRESSED) {
        qcow2_compressed_place(s, e, &offset, &bytes);
        uint64_t first = offset >> s->cluster_bits, last = (offset + bytes - 1) >> s->cluster_bits;
        qcow2_free_later(s, first << s->cluster_bits, last - first + 1);
    } else if ((e & E_OFFSET) && !s->external) {
        qcow2_free_later(s, e & E_OFFSET, 1);
    }
}
