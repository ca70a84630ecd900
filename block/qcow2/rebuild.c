/* SPDX-License-Identifier: MIT */
/*
 * New reference counts for an image whose own cannot be mended where they
 * are: a range of clusters without a block, a block or the table where
 * something else is or outside of the image.  All blocks and the table are
 * written behind the end of the file and switched to by one write of the
 * header; a cut before it leaves the image as it was.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bswap.h"

/* ---- is it needed ---- */

typedef struct {
    const Qcow2 *s;
    const QRefs *refs;
    uint8_t *used;              /* a byte for each range of a block: something in it is referred to */
    GHashTable *blocks;
} Sound;

/* Room that only the counts themselves may have. */
static bool own(Sound *o, uint64_t cluster)
{
    if (cluster >= o->refs->clusters || o->refs->get(o->refs->opaque, cluster)) {
        return false;
    }
    o->used[cluster >> o->s->refblock_bits] = 1;
    return true;
}

static bool own_table(Sound *o)
{
    uint64_t first = o->s->reftable_offset >> o->s->cluster_bits, number = q_clusters(o->s, o->s->reftable_size * 8ull);

    for (uint64_t i = 0; i < number; i++) {
        if (!own(o, first + i)) {
            return false;
        }
        g_hash_table_add(o->blocks, GSIZE_TO_POINTER(first + i));
    }
    return true;
}

static bool own_blocks(Sound *o)
{
    for (uint32_t i = 0; i < o->s->reftable_size; i++) {
        uint64_t block = o->s->reftable[i] & ~511ull, cluster = block >> o->s->cluster_bits;

        if (block && ((block & (o->s->cluster_size - 1)) || !own(o, cluster) || !g_hash_table_add(o->blocks, GSIZE_TO_POINTER(cluster)))) {
            return false;
        }
    }
    return true;
}

static uint64_t range_count(const Qcow2 *s, uint64_t clusters)
{
    return (clusters >> s->refblock_bits) + 1;
}

static void note_used(const Qcow2 *s, const QRefs *refs, uint8_t *used)
{
    uint64_t per = 1ull << s->refblock_bits;

    for (uint64_t i = 0; i < refs->clusters; i++) {
        if (used[i >> s->refblock_bits]) {
            i |= per - 1;                       /* on to the next range */
        } else if (refs->get(refs->opaque, i)) {
            used[i >> s->refblock_bits] = 1;
        }
    }
}

bool qcow2_counts_sound(BlkNode *n, const QRefs *refs)
{
    const Qcow2 *s = q2(n);
    uint64_t ranges = range_count(s, refs->clusters);
    g_autofree uint8_t *used = g_malloc0(ranges);
    Sound o = { s, refs, used, g_hash_table_new(NULL, NULL) };
    bool sound = own_table(&o) && own_blocks(&o);

    note_used(s, refs, used);
    for (uint64_t i = 0; i < ranges && sound; i++) {
        sound = !used[i] || (i < s->reftable_size && s->reftable[i] & ~511ull);
    }
    g_hash_table_destroy(o.blocks);
    return sound;
}

/* ---- making them anew ---- */

typedef struct {
    uint64_t first;             /* cluster where the table begins; the blocks follow it */
    uint64_t table_clusters, blocks;
    uint32_t entries;
    uint8_t *used;              /* a byte for each range */
    uint64_t ranges;
} Plan;

/* The table and the blocks are in ranges that need blocks themselves, and those a larger table: until nothing changes. */
static int plan(const Qcow2 *s, const QRefs *refs, Plan *p)
{
    uint64_t end = refs->clusters, before;

    p->first = refs->clusters;
    p->ranges = 0;
    do {
        before = end;
        p->used = g_realloc_n(p->used, range_count(s, end), 1);
        while (p->ranges < range_count(s, end)) {
            p->used[p->ranges++] = 0;
        }
        note_used(s, refs, p->used);
        for (uint64_t i = p->first; i < end; i++) {
            p->used[i >> s->refblock_bits] = 1;
        }
        p->blocks = 0;
        for (uint64_t i = 0; i < p->ranges; i++) {
            p->blocks += p->used[i];
        }
        p->table_clusters = MAX(q_clusters(s, p->ranges * 8), 1);
        end = p->first + p->table_clusters + p->blocks;
    } while (end != before);
    if (p->table_clusters << s->cluster_bits > MAX_REFTABLE_BYTES || end << s->cluster_bits > E_OFFSET) {
        return -EFBIG;
    }
    p->entries = (p->table_clusters << s->cluster_bits) / 8;
    return 0;
}

static int write_block(BlkNode *n, const QRefs *refs, const Plan *p, uint64_t range, uint64_t at, uint8_t *buf)
{
    const Qcow2 *s = q2(n);
    uint64_t per = 1ull << s->refblock_bits, from = range * per, end = p->first + p->table_clusters + p->blocks;

    memset(buf, 0, s->cluster_size);
    for (uint64_t i = 0; i < per && from + i < end; i++) {
        uint64_t v = from + i >= p->first ? 1 : refs->get(refs->opaque, from + i);

        if (v > s->refcount_max) {
            return -EINVAL;                     /* more than the width of the image's counts can say */
        }
        if (v) {
            qcow2_count_out(s, buf, i, v);
        }
    }
    return node_pwrite(n->file->node, at, buf, s->cluster_size);
}

static int write_all(BlkNode *n, const QRefs *refs, const Plan *p, uint64_t *table)
{
    const Qcow2 *s = q2(n);
    uint64_t at = (p->first + p->table_clusters) << s->cluster_bits;
    uint8_t *buf = blk_buffer(s->cluster_size);
    g_autofree uint64_t *be = g_new0(uint64_t, p->entries);
    int r = 0;

    for (uint64_t i = 0; i < p->ranges && r == 0; i++) {
        if (p->used[i]) {
            r = write_block(n, refs, p, i, at, buf);
            table[i] = at;
            stq_be_p(&be[i], at);
            at += s->cluster_size;
        }
    }
    free(buf);
    r = r ? r : node_pwrite(n->file->node, p->first << s->cluster_bits, be, p->entries * 8ull);
    return r ? r : node_flush(n->file->node);
}

static int switch_to(BlkNode *n, const Plan *p)
{
    const Qcow2 *s = q2(n);
    uint8_t be[12];
    int r;

    stq_be_p(be, p->first << s->cluster_bits);
    stl_be_p(be + 8, p->table_clusters);
    r = node_pwrite(n->file->node, H_REFTABLE_OFFSET, be, sizeof(be));
    return r ? r : node_flush(n->file->node);
}

static void take(BlkNode *n, const Plan *p, uint64_t *table)
{
    Qcow2 *s = q2(n);

    qcache_drop(&s->ref);                       /* all of it is in the file */
    g_free(s->reftable);
    s->reftable = table;
    s->reftable_size = p->entries;
    s->reftable_offset = p->first << s->cluster_bits;
    s->reftable_dirty = false;
    s->fresh_from = MAX(s->fresh_from, (p->first + p->table_clusters + p->blocks) << s->cluster_bits);
    s->free_hint = 0;
    s->free_byte = 0;
    memset(s->tails, 0, sizeof(s->tails));
}

int qcow2_rebuild_counts(BlkNode *n, const QRefs *refs, uint64_t *end)
{
    Plan p = {};
    uint64_t *table = NULL;
    int r = plan(q2(n), refs, &p);

    if (r == 0) {
        table = g_new0(uint64_t, p.entries);
        r = write_all(n, refs, &p, table);
    }
    if (r == 0) {
        r = switch_to(n, &p);
        q2(n)->broken |= r < 0;                 /* which table the disk names is not known */
    }
    if (r == 0) {
        take(n, &p, table);
        *end = p.first + p.table_clusters + p.blocks;
    } else {
        g_free(table);
    }
    g_free(p.used);
    return r;
}
