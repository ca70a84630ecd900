/* SPDX-License-Identifier: MIT */
/*
 * Reference counts of clusters: two levels, the table in memory and blocks of
 * counts in the cache.  A count grows in the cache before anything names the
 * cluster, and shrinks only after nothing on disk does (cache.c).
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <string.h>

#include "util/bswap.h"

uint64_t qcow2_count_in(const Qcow2 *s, const uint8_t *block, uint64_t i)
{
    switch (s->refcount_order) {
    case 0:
        return block[i / 8] >> (i % 8) & 1;
    case 1:
        return block[i / 4] >> (i % 4 * 2) & 3;
    case 2:
        return block[i / 2] >> (i % 2 * 4) & 15;
    case 3:
        return block[i];
    case 4:
        return lduw_be_p(block + i * 2);
    case 5:
        return (uint32_t)ldl_be_p(block + i * 4);
    default:
        return ldq_be_p(block + i * 8);
    }
}

void qcow2_count_out(const Qcow2 *s, uint8_t *block, uint64_t i, uint64_t v)
{
    unsigned bits = 1u << s->refcount_order;

    if (bits < 8) {
        unsigned per = 8 / bits, shift = i % per * bits;

        block[i / per] = (block[i / per] & ~(s->refcount_max << shift)) | v << shift;
        return;
    }
    switch (bits) {
    case 8:
        block[i] = v;
        break;
    case 16:
        stw_be_p(block + i * 2, v);
        break;
    case 32:
        stl_be_p(block + i * 4, v);
        break;
    default:
        stq_be_p(block + i * 8, v);
        break;
    }
}

static unsigned counts_per_slice(const Qcow2 *s)
{
    return s->ref.slice * 8u >> s->refcount_order;
}

/* Who only reads an image has no use for counts: in a chain of 1000 their tables were two thirds of all memory. */
int qcow2_refcount_open(BlkNode *n)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *table = NULL;
    int r;

    if (s->reftable) {
        return 0;
    }
    table = g_new0(uint64_t, MAX(s->reftable_size, 1));
    r = qcow2_read_words(n, s->reftable_offset, table, s->reftable_size);
    if (r == 0) {
        s->reftable = g_steal_pointer(&table);
    }
    return r;
}

/* The slice with a cluster's count; NULL where there is no block. */
static int get_slice(BlkNode *n, uint64_t cluster, QEntry **out)
{
    Qcow2 *s = q2(n);
    uint64_t t = cluster >> s->refblock_bits, block;
    int r = qcow2_refcount_open(n);

    *out = NULL;
    if (r < 0) {
        return r;
    }
    block = t < s->reftable_size ? s->reftable[t] & ~511ull : 0;
    if (!block) {
        return 0;
    }
    if (block & (s->cluster_size - 1)) {
        return -EIO;
    }
    cluster &= (1ull << s->refblock_bits) - 1;
    return qcache_get(n, &s->ref, block + cluster / counts_per_slice(s) * s->ref.slice, out);
}

int qcow2_refcount_get(BlkNode *n, uint64_t cluster, uint64_t *out)
{
    Qcow2 *s = q2(n);
    QEntry *e;
    int r = get_slice(n, cluster, &e);

    *out = r == 0 && e ? qcow2_count_in(s, e->data, cluster % counts_per_slice(s)) : 0;
    return r;
}

int qcow2_refcount_get_run(BlkNode *n, uint64_t cluster, uint64_t *out, unsigned *number)
{
    Qcow2 *s = q2(n);
    unsigned per = counts_per_slice(s), first = cluster % per;
    QEntry *e;
    int r = get_slice(n, cluster, &e);

    *number = MIN(*number, per - first);
    for (unsigned i = 0; i < *number && r == 0; i++) {
        out[i] = e ? qcow2_count_in(s, e->data, first + i) : 0;
    }
    return r;
}

/* ---- growing ---- */

static int set_count(BlkNode *n, uint64_t cluster, uint64_t value)
{
    Qcow2 *s = q2(n);
    QEntry *e;
    int r = get_slice(n, cluster, &e);

    if (r < 0 || !e) {
        return r < 0 ? r : -EIO;
    }
    qcow2_count_out(s, e->data, cluster % counts_per_slice(s), value);
    qcache_dirty(&s->ref, e);
    return 0;
}

/* First cluster behind everything that any block of counts covers and any count says is used. */
static uint64_t end_of_blocks(const Qcow2 *s)
{
    uint64_t t = s->reftable_size;

    while (t && !s->reftable[t - 1]) {
        t--;
    }
    return t << s->refblock_bits;
}

/* A larger table at the end of the file, with the blocks that count it; switched to by one header write. */
static int grow_table(BlkNode *n, uint64_t entries)
{
    Qcow2 *s = q2(n);
    uint64_t per = 1ull << s->refblock_bits, at = MAX(end_of_blocks(s), (uint64_t)s->reftable_size << s->refblock_bits);
    uint64_t table_clusters, first = at, blocks, size;
    g_autofree uint64_t *table = NULL;
    uint64_t old_offset = s->reftable_offset, old_clusters = q_clusters(s, s->reftable_size * 8ull);
    uint8_t be[12];
    int r = 0;

    while (first << s->cluster_bits < s->fresh_from) {  /* what lies there has no counts: not ours to overwrite */
        first += per;
    }
    entries = MAX(entries, first / per + 1);
    size = MAX(entries, s->reftable_size + s->reftable_size / 2ull + 1);
    size = (size * 8 + s->cluster_size - 1) / s->cluster_size * s->cluster_size / 8;
    for (;;) {                                  /* a table that also covers itself and its own blocks */
        table_clusters = size * 8 / s->cluster_size;
        for (blocks = 1; blocks * per < table_clusters + blocks; blocks++) {
        }
        if ((first + table_clusters + blocks + per - 1) / per <= size) {
            break;
        }
        size += s->cluster_size / 8;
    }
    if (size * 8 > MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    table = g_new0(uint64_t, size);
    memcpy(table, s->reftable, s->reftable_size * 8ull);
    for (uint64_t b = 0; b < blocks; b++) {
        table[first / per + b] = (first + table_clusters + b) << s->cluster_bits;
        r = r ? r : node_zeroes(n->file->node, table[first / per + b], s->cluster_size, BLK_MAY_UNMAP);
    }
    if (r == 0) {
        r = qcow2_meta_flush(n, true);
    }
    if (r < 0) {
        return r;
    }
    g_free(s->reftable);
    s->reftable = g_steal_pointer(&table);
    s->reftable_size = size;
    for (uint64_t c = first; c < first + table_clusters + blocks && r == 0; c++) {
        r = set_count(n, c, 1);
    }
    s->reftable_offset = first << s->cluster_bits;
    s->reftable_dirty = true;
    r = r ? r : qcow2_meta_flush(n, true);
    if (r == 0) {
        stq_be_p(be, s->reftable_offset);
        stl_be_p(be + 8, table_clusters);
        r = node_pwrite(n->file->node, H_REFTABLE_OFFSET, be, sizeof(be));
        r = r ? r : node_flush(n->file->node);
    }
    if (r < 0) {
        s->broken = true;                       /* which table the disk names is not known */
        return r;
    }
    s->fresh_from = MAX(s->fresh_from, (first + table_clusters + blocks) << s->cluster_bits);
    qcow2_free_later(s, old_offset, old_clusters);
    return 0;
}

/*
 * A block of counts for a range that has none yet; it is the first cluster of
 * that range, and counts itself.  A range that begins within the file is left
 * alone (-ERANGE): what is there has no count, so it may be anything, from the
 * rest of a power cut to the live clusters of a damaged image.
 */
static int new_block(BlkNode *n, uint64_t t)
{
    Qcow2 *s = q2(n);
    uint64_t cluster = t << s->refblock_bits, offset = cluster << s->cluster_bits;
    QEntry *e;
    int r;

    if (offset < s->fresh_from) {
        return -ERANGE;
    }
    if (t >= s->reftable_size) {
        return grow_table(n, t + 1);
    }
    r = node_zeroes(n->file->node, offset, s->cluster_size, BLK_MAY_UNMAP);
    if (r < 0) {
        return r;
    }
    for (uint64_t i = 0; i < s->cluster_size; i += s->ref.slice) {
        qcache_forget(&s->ref, offset + i, s->ref.slice);
    }
    s->reftable[t] = offset;
    s->reftable_dirty = true;
    s->fresh_from = MAX(s->fresh_from, offset + s->cluster_size);
    r = qcache_new(n, &s->ref, offset, &e);
    if (r == 0) {
        qcow2_count_out(s, e->data, 0, 1);
        qcache_dirty(&s->ref, e);
    }
    return r;
}

/* ---- changing ---- */

static void cluster_free(BlkNode *n, uint64_t cluster)
{
    Qcow2 *s = q2(n);
    uint64_t offset = cluster << s->cluster_bits;

    s->free_hint = MIN(s->free_hint, cluster);
    if (s->free_byte >> s->cluster_bits == cluster) {
        s->free_byte = 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s->tails); i++) {
        s->tails[i] = s->tails[i] >> s->cluster_bits == cluster ? 0 : s->tails[i];
    }
    qcache_forget(&s->l2, offset, s->cluster_size);
    qcache_forget(&s->ref, offset, s->cluster_size);
    if (n->flags & BLK_O_UNMAP) {
        node_discard(n->file->node, offset, s->cluster_size);
    }
}

static int add_one(BlkNode *n, uint64_t cluster, int delta)
{
    Qcow2 *s = q2(n);
    uint64_t count;
    int r = qcow2_refcount_get(n, cluster, &count);

    if (r < 0) {
        return r;
    }
    if (delta > 0 && count > s->refcount_max - delta) {
        return -EINVAL;
    }
    if (delta < 0 && count < (uint64_t)-delta) {
        return -EINVAL;                         /* the image is corrupt; leave it */
    }
    r = set_count(n, cluster, count + delta);
    if (r == 0 && count + delta == 0) {
        cluster_free(n, cluster);
    }
    return r;
}

int qcow2_refcount_add(BlkNode *n, uint64_t offset, uint64_t clusters, int delta)
{
    Qcow2 *s = q2(n);
    uint64_t first = offset >> s->cluster_bits;

    for (uint64_t i = 0; i < clusters; i++) {
        int r = add_one(n, first + i, delta);

        if (r < 0) {
            while (i-- > 0) {
                add_one(n, first + i, -delta);
            }
            return r;
        }
    }
    return 0;
}

/* ---- allocation ---- */

/* How many free clusters are at `cluster`, up to max; a range without a block is all free but for the block to come. */
static int free_run(BlkNode *n, uint64_t cluster, uint64_t max, uint64_t *run)
{
    Qcow2 *s = q2(n);
    unsigned per = counts_per_slice(s);

    *run = 0;
    while (*run < max) {
        QEntry *e;
        uint64_t i = (cluster + *run) % per;
        int r = get_slice(n, cluster + *run, &e);

        if (r < 0) {
            return r;
        }
        if (!e) {
            uint64_t t = (cluster + *run) >> s->refblock_bits;

            if (*run) {
                return 0;                       /* what there is before it */
            }
            r = new_block(n, t);
            return r < 0 ? r : -EAGAIN;
        }
        for (; i < per && *run < max; i++) {
            if (qcow2_count_in(s, e->data, i)) {
                return 0;
            }
            ++*run;
        }
    }
    return 0;
}

int64_t qcow2_alloc(BlkNode *n, uint64_t *clusters, bool all)
{
    Qcow2 *s = q2(n);
    uint64_t at = s->free_hint, run, want = *clusters;
    bool skipped = false;
    int r;

    if (s->broken) {
        return -EIO;
    }
    for (;;) {
        if (at << s->cluster_bits > E_OFFSET - want * s->cluster_size) {
            return -EFBIG;
        }
        r = free_run(n, at, want, &run);
        if (r == -EAGAIN) {
            continue;                           /* there is a block now */
        }
        if (r == -ERANGE) {
            at = ((at >> s->refblock_bits) + 1) << s->refblock_bits;
            s->free_hint = skipped ? s->free_hint : at;
            continue;
        }
        if (r < 0) {
            return r;
        }
        if (run == want || (run && !all)) {
            break;
        }
        skipped |= run > 0;
        at += MAX(run, 1);
        if (!skipped) {
            s->free_hint = at;
        }
    }
    for (uint64_t i = 0; i < run; i++) {
        r = set_count(n, at + i, 1);
        if (r < 0) {
            return r;
        }
    }
    if (!skipped) {
        s->free_hint = at + run;
    }
    *clusters = run;
    return at << s->cluster_bits;
}

/* Compressed clusters are packed byte behind byte; each counts once in every host cluster that it touches. */
static uint64_t room_behind(const Qcow2 *s, uint64_t at)
{
    return at ? -at & (s->cluster_size - 1) : 0;
}

/* One more begins in the cluster of *at, if it has room and may be counted once more. */
static bool share(BlkNode *n, uint64_t *at, unsigned bytes)
{
    Qcow2 *s = q2(n);
    uint64_t count;

    if (room_behind(s, *at) < bytes) {
        return false;
    }
    if (qcow2_refcount_get(n, *at >> s->cluster_bits, &count) < 0 || count == s->refcount_max ||
        qcow2_refcount_add(n, *at & ~(s->cluster_size - 1), 1, 1) < 0) {
        *at = 0;
        return false;
    }
    *at += bytes;
    return true;
}

/* The end of a cluster that the next could not run on from: for a smaller one. */
static void keep_tail(Qcow2 *s, uint64_t at)
{
    uint64_t *least = s->tails;

    for (unsigned i = 1; i < G_N_ELEMENTS(s->tails); i++) {
        least = room_behind(s, s->tails[i]) < room_behind(s, *least) ? &s->tails[i] : least;
    }
    if (room_behind(s, at) > room_behind(s, *least)) {
        *least = at;
    }
}

/* The next place of the run of compressed data, in a new cluster; it begins in the old one when they are neighbours. */
static int64_t go_on(BlkNode *n, unsigned bytes)
{
    Qcow2 *s = q2(n);
    uint64_t old = s->free_byte, one = 1, count = s->refcount_max;
    int64_t fresh = qcow2_alloc(n, &one, true);
    int r;

    if (fresh < 0) {
        return fresh;
    }
    s->free_byte = fresh;
    if (room_behind(s, old) && (uint64_t)fresh == old + room_behind(s, old)) {
        r = qcow2_refcount_get(n, old >> s->cluster_bits, &count);
        r = r == 0 && count < s->refcount_max ? qcow2_refcount_add(n, old & ~(s->cluster_size - 1), 1, 1) : r;
        if (r < 0) {
            return r;
        }
    }
    if (count < s->refcount_max) {
        s->free_byte = old;
    } else {
        keep_tail(s, old);
    }
    old = s->free_byte;
    s->free_byte += bytes;
    return old;
}

int64_t qcow2_alloc_bytes(BlkNode *n, unsigned bytes)
{
    Qcow2 *s = q2(n);

    for (unsigned i = 0; i < G_N_ELEMENTS(s->tails); i++) {
        if (share(n, &s->tails[i], bytes)) {
            return s->tails[i] - bytes;
        }
    }
    return share(n, &s->free_byte, bytes) ? (int64_t)(s->free_byte - bytes) : go_on(n, bytes);
}

int64_t qcow2_write_new(BlkNode *n, const GByteArray *bytes)
{
    Qcow2 *s = q2(n);
    uint64_t clusters = q_clusters(s, bytes->len);
    int64_t at = clusters ? qcow2_alloc(n, &clusters, true) : 0;
    int r = 0;

    if (at < 0) {
        return at;
    }
    if (clusters) {
        q_take_fresh(s, at, clusters << s->cluster_bits);
        r = node_pwrite(n->file->node, at, bytes->data, bytes->len);
    }
    r = r ? r : qcow2_meta_flush(n, true);
    if (r < 0 && clusters) {
        qcow2_refcount_add(n, at, clusters, -1);
    }
    return r < 0 ? r : at;
}
