/* SPDX-License-Identifier: MIT */
/*
 * Consistency: count every reference there is, and compare with what the
 * image says.  Nothing is trusted; memory is two bytes a cluster of the file
 * (four where the image counts beyond 65535) and two bits.  Tables are read
 * once: which clusters were seen with and without the flag "copied" is kept
 * beside the counts, and only when a flag is wrong a second pass names it.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/bswap.h"

typedef struct {
    BlkNode *n;
    BlkCheck *c;
    void *refs;                 /* of 16 or 32 bits, which stay at their maximum */
    bool wide;
    uint8_t *seen;              /* two bits a cluster: some entry has it without, with E_COPIED */
    bool flags_wrong;
    uint64_t clusters;
    uint8_t *table;             /* one L2 table */
    uint64_t next;              /* where the following data cluster would lie if nothing is fragmented */
    bool flags_pass;            /* second pass: compare flags with counts */
    bool rebuild;               /* what is wrong with the counts is mended by new ones */
} Check;

static void report(BlkCheck *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void report(BlkCheck *c, const char *fmt, ...)
{
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (c->report) {
        c->report(c->opaque, line);
    }
}

static uint64_t refs_of(const void *opaque, uint64_t i)
{
    const Check *k = opaque;

    return k->wide ? ((const uint32_t *)k->refs)[i] : ((const uint16_t *)k->refs)[i];
}

static void set_refs(Check *k, uint64_t i, uint64_t v)
{
    if (k->wide) {
        ((uint32_t *)k->refs)[i] = MIN(v, UINT32_MAX);
    } else {
        ((uint16_t *)k->refs)[i] = MIN(v, UINT16_MAX);
    }
}

static void count(Check *k, uint64_t offset, uint64_t bytes)
{
    Qcow2 *s = q2(k->n);
    uint64_t first = offset >> s->cluster_bits, last;

    if (!bytes) {
        return;
    }
    last = (offset + bytes - 1) >> s->cluster_bits;
    for (uint64_t i = first; i <= last; i++) {
        if (i >= k->clusters) {
            report(k->c, "ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64, offset, bytes);
            k->c->corruptions++;
            return;
        }
        set_refs(k, i, refs_of(k, i) + 1);
    }
}

static bool aligned(Check *k, uint64_t offset)
{
    return !(offset & (q2(k->n)->cluster_size - 1));
}

/* ---- L2 ---- */

static void count_compressed(Check *k, uint64_t e, bool active)
{
    Qcow2 *s = q2(k->n);
    uint64_t offset, bytes;

    qcow2_compressed_place(s, e, &offset, &bytes);
    if (e & E_COPIED) {
        report(k->c, "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for compressed clusters", offset);
        k->c->corruptions++;
    }
    count(k, offset, bytes);
    if (active) {
        k->c->allocated_clusters++;
        k->c->compressed_clusters++;
        k->c->fragmented_clusters++;            /* by its nature */
    }
}

static void note_flag(Check *k, uint64_t cluster, uint64_t e, bool active)
{
    if (cluster >= k->clusters) {
        k->flags_wrong = true;          /* nothing counts it */
    } else if (active) {
        k->seen[cluster / 4] |= (e & E_COPIED ? 2 : 1) << cluster % 4 * 2;
    }
}

static void count_entry(Check *k, uint64_t e, bool active)
{
    Qcow2 *s = q2(k->n);
    uint64_t offset = e & E_OFFSET;

    if (e & E_COMPRESSED) {
        count_compressed(k, e, active);
        return;
    }
    if (e & L2_RESERVED) {
        report(k->c, "ERROR found l2 entry with reserved bits set: %" PRIx64, e);
        k->c->corruptions++;
    }
    if (!offset && !(s->external && (e & E_COPIED))) {
        return;
    }
    if (!aligned(k, offset)) {
        report(k->c, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry corrupted.", offset);
        k->c->corruptions++;
        return;
    }
    if (active) {
        k->c->allocated_clusters++;
        if (k->next && offset != k->next) {
            k->c->fragmented_clusters++;
        }
        k->next = offset + s->cluster_size;
    }
    if (!s->external) {
        count(k, offset, s->cluster_size);
        note_flag(k, offset >> s->cluster_bits, e, active);
    }
}

static bool copied_right(uint64_t e, uint64_t refcount)
{
    return (refcount == 1) == !!(e & E_COPIED);
}

static void check_entry_flag(Check *k, uint8_t *p, bool *changed)
{
    Qcow2 *s = q2(k->n);
    uint64_t e = ldq_be_p(p), cluster = (e & E_OFFSET) >> s->cluster_bits, refcount;

    if ((e & E_COMPRESSED) || !(e & E_OFFSET) || s->external || !aligned(k, e & E_OFFSET)) {
        return;
    }
    refcount = cluster < k->clusters ? refs_of(k, cluster) : 0;
    if (copied_right(e, refcount)) {
        return;
    }
    report(k->c, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64, k->c->repair_all ? "Repairing" : "ERROR", e, refcount);
    k->c->corruptions++;
    if (k->c->repair_all) {
        stq_be_p(p, (e & ~E_COPIED) | (refcount == 1 ? E_COPIED : 0));
        k->c->corruptions_fixed++;
        *changed = true;
    }
}

static int check_table(Check *k, uint64_t table, bool active)
{
    Qcow2 *s = q2(k->n);
    bool changed = false;
    int r;

    k->next = 0;                        /* a new table begins a new count of fragments */
    r = node_pread_padded(k->n->file->node, table, k->table, s->cluster_size);

    for (uint64_t i = 0; i < s->cluster_size && r == 0; i += s->l2_entry_size) {
        if (k->flags_pass) {
            check_entry_flag(k, k->table + i, &changed);
        } else {
            count_entry(k, ldq_be_p(k->table + i), active);
        }
    }
    if (r == 0 && changed) {
        qcache_forget(&s->l2, table, s->cluster_size);
        r = node_pwrite(k->n->file->node, table, k->table, s->cluster_size);
    }
    if (r < 0) {
        report(k->c, "ERROR: I/O error in check_refcounts_l2");
        k->c->check_errors++;
    }
    return r;
}

/* ---- L1 ---- */

static void check_l1(Check *k, const uint64_t *l1, uint32_t size, uint64_t offset, bool active)
{
    count(k, offset, size * 8ull);
    for (uint32_t i = 0; i < size; i++) {
        uint64_t table = l1[i] & E_OFFSET;

        if (l1[i] & L1_RESERVED) {
            report(k->c, "ERROR found L1 entry with reserved bits set: %" PRIx64, l1[i]);
            k->c->corruptions++;
        }
        if (!table) {
            continue;
        }
        if (!aligned(k, table)) {
            report(k->c, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted", table);
            k->c->corruptions++;
            continue;
        }
        count(k, table, q2(k->n)->cluster_size);
        if (table >> q2(k->n)->cluster_bits < k->clusters) {
            check_table(k, table, active);
        }
    }
}

static void check_snapshots(Check *k)
{
    Qcow2 *s = q2(k->n);

    count(k, s->crypt_offset, s->crypt_offset ? s->crypt_length : 0);
    count(k, s->snapshots_offset, s->snapshots->len ? s->snapshots_bytes : 0);
    for (unsigned i = 0; i < s->snapshots->len; i++) {
        QSnapshot *sn = s->snapshots->pdata[i];
        g_autofree uint64_t *l1 = g_new0(uint64_t, MAX(1, sn->l1_size));

        if (qcow2_read_words(k->n, sn->l1_offset, l1, sn->l1_size) < 0) {
            k->c->check_errors++;
            continue;
        }
        check_l1(k, l1, sn->l1_size, sn->l1_offset, false);
    }
}

static void check_bitmaps(Check *k)
{
    Qcow2 *s = q2(k->n);
    g_autoptr(GPtrArray) list = qcow2_bitmaps(k->n);

    if (!s->bitmaps_count || !(s->autoclear & AUTOCLEAR_BITMAPS)) {
        return;
    }
    count(k, s->bitmaps_offset, s->bitmaps_bytes);
    for (unsigned i = 0; i < list->len; i++) {
        QBitmap *b = list->pdata[i];
        g_autofree uint64_t *table = NULL;

        count(k, b->table_offset, b->table_size * 8ull);
        if (b->table_size * 8ull > MAX_L1_BYTES) {
            k->c->corruptions++;
            continue;
        }
        table = g_new0(uint64_t, MAX(1, b->table_size));
        if (qcow2_read_words(k->n, b->table_offset, table, b->table_size) < 0) {
            k->c->check_errors++;
        }
        for (uint32_t e = 0; e < b->table_size; e++) {
            if (table[e] & E_OFFSET) {
                count(k, table[e] & E_OFFSET, s->cluster_size);
            }
        }
    }
}

static void check_reftable(Check *k)
{
    Qcow2 *s = q2(k->n);

    count(k, s->reftable_offset, s->reftable_size * 8ull);
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t block = s->reftable[i] & ~511ull;

        if (!block) {
            continue;
        }
        if (!aligned(k, block) || block >> s->cluster_bits >= k->clusters) {
            report(k->c, "ERROR refcount block %u is %s", i, aligned(k, block) ? "outside image" : "not cluster aligned; refcount table entry corrupted");
            k->c->corruptions++;
            continue;
        }
        count(k, block, s->cluster_size);
        if (refs_of(k, block >> s->cluster_bits) != 1) {
            report(k->c, "ERROR refcount block %u refcount=%u", i, (unsigned)refs_of(k, block >> s->cluster_bits));
            k->c->corruptions++;
        }
    }
}

/* ---- compare ---- */

/* Says, and mends, that a cluster is counted otherwise than referred to; what it counts in the end. */
static uint64_t compare_one(Check *k, uint64_t i, uint64_t have, uint64_t want)
{
    Qcow2 *s = q2(k->n);
    bool leak = have > want, fix = leak ? k->c->repair_leaks : k->c->repair_all;

    report(k->c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, fix ? "Repairing" : leak ? "Leaked" : "ERROR", i, have, want);
    *(leak ? &k->c->leaks : &k->c->corruptions) += 1;
    if (k->rebuild) {
        return want;
    }
    if (!fix || qcow2_refcount_add(k->n, i << s->cluster_bits, 1, (int)(want - have)) < 0) {
        return have;
    }
    *(leak ? &k->c->leaks_fixed : &k->c->corruptions_fixed) += 1;
    return want;
}

static void compare_run(Check *k, uint64_t first, const uint64_t *counts, unsigned number)
{
    Qcow2 *s = q2(k->n);

    for (unsigned n = 0; n < number; n++) {
        uint64_t i = first + n, have = counts[n], want = refs_of(k, i);
        unsigned seen = k->seen[i / 4] >> i % 4 * 2 & 3;

        if (have | want) {
            k->c->image_end = (i + 1) << s->cluster_bits;
        }
        if (G_UNLIKELY(have != want)) {
            have = compare_one(k, i, have, want);
            set_refs(k, i, have);
        }
        k->flags_wrong |= seen & (have == 1 ? 1 : 2);
    }
}

static void compare(Check *k)
{
    uint64_t counts[512];

    for (uint64_t i = 0; i < k->clusters;) {
        unsigned number = MIN(G_N_ELEMENTS(counts), k->clusters - i);
        int r = qcow2_refcount_get_run(k->n, i, counts, &number);

        if (r == 0) {
            compare_run(k, i, counts, number);
        }
        for (unsigned n = 0; r < 0 && n < number; n++) {        /* flags are then judged by the references */
            report(k->c, "Can't get refcount for cluster %" PRIu64 ": %s", i + n, g_strerror(-r));
            k->c->check_errors++;
            k->flags_wrong = true;
        }
        i += number;
    }
}

static int check_flags(Check *k)
{
    Qcow2 *s = q2(k->n);

    k->flags_pass = true;
    for (uint32_t i = 0; i < s->l1_size; i++) {
        uint64_t table = s->l1[i] & E_OFFSET, refcount;

        if (!table || !aligned(k, table) || table >> s->cluster_bits >= k->clusters) {
            continue;
        }
        if (qcow2_refcount_get(k->n, table >> s->cluster_bits, &refcount) == 0 && !copied_right(s->l1[i], refcount)) {
            report(k->c, "%s OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%" PRIx64 " refcount=%" PRIu64, k->c->repair_all ? "Repairing" : "ERROR", i, s->l1[i], refcount);
            k->c->corruptions++;
            if (k->c->repair_all) {
                s->l1[i] = table | (refcount == 1 ? E_COPIED : 0);
                s->l1_dirty = true;
                k->c->corruptions_fixed++;
            }
        }
        if (k->flags_wrong) {
            check_table(k, table, true);
        }
    }
    return 0;
}

/* ---- counts anew ---- */

static void uncount(Check *k, uint64_t cluster)
{
    if (cluster < k->clusters) {
        set_refs(k, cluster, refs_of(k, cluster) - 1);
    }
}

/* Take back what check_reftable counted. */
static void uncount_reftable(Check *k)
{
    Qcow2 *s = q2(k->n);
    uint64_t number = q_clusters(s, s->reftable_size * 8ull);

    for (uint64_t i = 0; i < number; i++) {
        uncount(k, (s->reftable_offset >> s->cluster_bits) + i);
    }
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        uint64_t block = s->reftable[i] & ~511ull;

        if (block && aligned(k, block)) {
            uncount(k, block >> s->cluster_bits);
        }
    }
}

static void compare_and_rebuild(Check *k, const QRefs *refs)
{
    Qcow2 *s = q2(k->n);
    uint64_t corruptions = k->c->corruptions, leaks = k->c->leaks, errors = k->c->check_errors, end;
    int r;

    check_reftable(k);
    compare(k);
    k->c->check_errors = errors;                /* counts that could not be read are not needed any more */
    uncount_reftable(k);
    report(k->c, "Rebuilding refcount structure");
    r = qcow2_rebuild_counts(k->n, refs, &end);
    if (r < 0) {
        report(k->c, "ERROR writing new refcounts: %s", g_strerror(-r));
        k->c->check_errors++;
        return;
    }
    k->c->corruptions = MAX(k->c->corruptions, corruptions + 1);
    k->c->corruptions_fixed += k->c->corruptions - corruptions;
    k->c->leaks_fixed += k->c->leaks - leaks;
    k->c->image_end = end << s->cluster_bits;
}

/* All that refers, then what it is compared with. */
static void count_all(Check *k)
{
    Qcow2 *s = q2(k->n);
    QRefs refs = { k->clusters, refs_of, k };

    count(k, 0, s->cluster_size);
    check_l1(k, s->l1, s->l1_size, s->l1_offset, true);
    check_snapshots(k);
    check_bitmaps(k);
    k->rebuild = k->c->repair_all && !qcow2_counts_sound(k->n, &refs);
    if (k->rebuild) {
        compare_and_rebuild(k, &refs);
    } else {
        check_reftable(k);
        compare(k);
    }
}

/* The lock is held, and what was in memory is in the file. */
static int check_and_mend(Check *k)
{
    BlkNode *n = k->n;
    BlkCheck *c = k->c;
    int r = 0;

    count_all(k);
    if (c->repair_leaks || c->repair_all) {
        r = qcow2_meta_flush(n, true);
    }
    r = r ? r : check_flags(k);
    if (r == 0 && c->repair_all) {
        r = qcow2_meta_flush(n, true);
        if (r == 0 && c->corruptions == c->corruptions_fixed && !c->check_errors) {
            r = qcow2_set_incompatible(n, INCOMPAT_DIRTY | INCOMPAT_CORRUPT, false);
        }
    }
    return r;
}

int qcow2_check(BlkNode *n, BlkCheck *c)
{
    Qcow2 *s = q2(n);
    Check k = { .n = n, .c = c };
    QOp op;
    int r;

    qcow2_exclusive_begin(n, &op);
    c->total_clusters = q_clusters(s, node_size(n));
    r = n->read_only ? 0 : qcow2_settle(n);
    r = r ? r : qcow2_refcount_open(n);
    k.clusters = q_clusters(s, node_size(n->file->node));
    k.wide = s->refcount_max > UINT16_MAX;
    k.refs = g_try_malloc0_n(k.clusters + 1, k.wide ? 4 : 2);
    k.seen = g_try_malloc0(k.clusters / 4 + 1);
    k.table = blk_buffer(s->cluster_size);
    if (r == 0) {
        r = k.refs && k.seen ? check_and_mend(&k) : -ENOMEM;
    }
    qcow2_exclusive_end(n, &op);
    g_free(k.refs);
    g_free(k.seen);
    free(k.table);
    return r;
}
