/* SPDX-License-Identifier: MIT */
/*
 * Slices of tables in memory, and the one place where the order of metadata
 * writes is decided (docs/block-crash.md).
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB = 32 };                     /* slices that are allocated together: each alone would be aligned at the cost of its size again */

void qcache_init(QCache *c, unsigned slice, unsigned max)
{
    unsigned buckets = 64;

    while (buckets < max) {
        buckets *= 2;
    }
    *c = (QCache){ .slice = slice, .max = max, .mask = buckets - 1, .low = UINT64_MAX };
    c->buckets = g_new0(unsigned, buckets);
}

void qcache_free(QCache *c)
{
    for (unsigned i = 0; i < c->count; i += SLAB) {
        free(c->entries[i].data);
    }
    g_free(c->entries);
    g_free(c->buckets);
    *c = (QCache){};
}

static unsigned *bucket(QCache *c, uint64_t offset)
{
    return &c->buckets[(offset / c->slice * 0x9e3779b97f4a7c15ull >> 40) & c->mask];
}

static QEntry *find(QCache *c, uint64_t offset)
{
    for (unsigned i = *bucket(c, offset); i; i = c->entries[i - 1].next) {
        if (c->entries[i - 1].offset == offset) {
            return &c->entries[i - 1];
        }
    }
    return NULL;
}

static void unlink_entry(QCache *c, QEntry *e)
{
    unsigned *at = bucket(c, e->offset), me = e - c->entries + 1;

    while (*at != me) {
        at = &c->entries[*at - 1].next;
    }
    *at = e->next;
    e->offset = 0;
}

static QEntry *grow(QCache *c)
{
    if (c->count == c->max) {
        return NULL;
    }
    if ((c->count & (c->count + 1)) == 0 || !c->entries) {
        unsigned room = MIN(c->max, 2 * (c->count + 1));

        c->entries = g_renew(QEntry, c->entries, room);
        memset(c->entries + c->count, 0, (room - c->count) * sizeof(QEntry));
    }
    c->entries[c->count].data = c->count % SLAB ? c->entries[c->count - 1].data + c->slice : blk_buffer(MIN(SLAB, c->max - c->count) * (size_t)c->slice);
    return &c->entries[c->count++];
}

/* A clean entry that was not used since the hand last passed; NULL: all are dirty. */
static QEntry *evict(QCache *c)
{
    for (unsigned i = 0; i < 2 * c->count; i++) {
        QEntry *e = &c->entries[c->hand];

        c->hand = (c->hand + 1) % c->count;
        if (e->dirty) {
            continue;
        }
        if (e->used && e->offset) {
            e->used = false;
            continue;
        }
        if (e->offset) {
            unlink_entry(c, e);
        }
        return e;
    }
    return NULL;
}

static int get_room(BlkNode *n, QCache *c, QEntry **out)
{
    Qcow2 *s = q2(n);
    int r;

    *out = grow(c);
    if (*out || (*out = evict(c))) {
        return 0;
    }
    r = c == &s->ref ? qcache_write(n, c) : qcow2_meta_flush(n, false);
    if (r < 0) {
        return r;
    }
    *out = evict(c);
    return *out ? 0 : -EIO;
}

static void link_entry(QCache *c, QEntry *e, uint64_t offset)
{
    unsigned *at = bucket(c, offset);

    e->offset = offset;
    e->used = true;
    e->dirty = false;
    e->next = *at;
    *at = e - c->entries + 1;
    c->low = MIN(c->low, offset);
    c->high = MAX(c->high, offset + c->slice);
}

int qcache_get(BlkNode *n, QCache *c, uint64_t offset, QEntry **out)
{
    QEntry *e = find(c, offset);
    int r;

    if (G_LIKELY(e)) {
        e->used = true;
        *out = e;
        return 0;
    }
    r = get_room(n, c, &e);
    if (r == 0) {
        r = node_pread_padded(n->file->node, offset, e->data, c->slice);
    }
    if (r < 0) {
        return r;
    }
    link_entry(c, e, offset);
    *out = e;
    return 0;
}

int qcache_new(BlkNode *n, QCache *c, uint64_t offset, QEntry **out)
{
    QEntry *e = find(c, offset);
    int r = e ? 0 : get_room(n, c, &e);

    if (r < 0) {
        return r;
    }
    if (!e->offset) {
        link_entry(c, e, offset);
    }
    memset(e->data, 0, c->slice);
    *out = e;
    return 0;
}

void qcache_dirty(QCache *c, QEntry *e)
{
    c->dirty += !e->dirty;
    e->dirty = true;
}

static int by_offset(const void *a, const void *b)
{
    const QEntry *x = *(QEntry *const *)a, *y = *(QEntry *const *)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int qcache_write(BlkNode *n, QCache *c)
{
    g_autofree QEntry **list = c->dirty ? g_new(QEntry *, c->dirty) : NULL;
    unsigned count = 0;
    int r = 0;

    for (unsigned i = 0; i < c->count && count < c->dirty; i++) {
        if (c->entries[i].dirty) {
            list[count++] = &c->entries[i];
        }
    }
    if (count > 1) {
        qsort(list, count, sizeof(*list), by_offset);
    }
    for (unsigned i = 0; i < count && r == 0; i++) {
        r = node_pwrite(n->file->node, list[i]->offset, list[i]->data, c->slice);
        if (r == 0) {
            list[i]->dirty = false;
            c->dirty--;
            q2(n)->metadata_written = true;
        }
    }
    return r;
}

void qcache_forget(QCache *c, uint64_t offset, uint64_t len)
{
    if (offset >= c->high || offset + len <= c->low) {
        return;
    }
    for (uint64_t at = offset; at < offset + len; at += c->slice) {
        QEntry *e = find(c, at);

        if (e) {
            c->dirty -= e->dirty;
            e->dirty = false;
            unlink_entry(c, e);
        }
    }
}

void qcache_drop(QCache *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (c->entries[i].offset) {
            c->dirty -= c->entries[i].dirty;
            c->entries[i].dirty = false;
            unlink_entry(c, &c->entries[i]);
        }
    }
}

/* ---- the order ---- */

static int barrier(BlkNode *n)
{
    Qcow2 *s = q2(n);
    int r = node_flush(n->file->node);

    if (r == 0 && s->external) {
        r = node_flush(s->data);
    }
    if (r == 0) {
        s->metadata_written = false;
    }
    return r;
}

static int flush_refcounts(BlkNode *n)
{
    Qcow2 *s = q2(n);
    int r = qcache_write(n, &s->ref);

    if (r == 0 && s->reftable_dirty) {          /* a block before the table that names it */
        r = barrier(n);
        if (r == 0) {
            r = qcow2_write_words(n, s->reftable_offset, s->reftable, s->reftable_size);
        }
        if (r == 0) {
            s->reftable_dirty = false;
            s->metadata_written = true;
        }
    }
    return r;
}

int qcow2_meta_flush(BlkNode *n, bool durable)
{
    Qcow2 *s = q2(n);
    int r;

    if (s->broken) {
        return -EIO;
    }
    r = flush_refcounts(n);
    if (r == 0 && (s->l2.dirty || s->l1_dirty)) {
        r = barrier(n);                         /* counts, and the data that entries will point at */
        if (r == 0) {
            r = qcache_write(n, &s->l2);
        }
        if (r == 0 && s->l1_dirty) {
            r = barrier(n);                     /* tables before the one that names them */
            if (r == 0) {
                r = qcow2_l1_write(n);
            }
        }
    }
    if (r == 0 && durable) {
        r = barrier(n);
        if (r == 0) {
            r = qcow2_apply_frees(n);
        }
    }
    return r;
}

/* ---- giving clusters back ---- */

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t clusters)
{
    GArray *list = s->frees[s->frees_now];
    QRun run = { offset, clusters };

    if (list->len) {
        QRun *last = &g_array_index(list, QRun, list->len - 1);

        if (last->offset + (last->clusters << s->cluster_bits) == offset) {
            last->clusters += clusters;
            return;
        }
    }
    g_array_append_val(list, run);
}

/* The tables on disk do not name what was freed before the last flush; give it back once no reader can still be there. */
int qcow2_apply_frees(BlkNode *n)
{
    Qcow2 *s = q2(n);
    unsigned old = 1 - s->frees_now;
    GArray *list = s->frees[old];
    int r = 0;

    if (__atomic_load_n(&s->readers[old], __ATOMIC_ACQUIRE)) {
        return 0;
    }
    for (unsigned i = 0; i < list->len; i++) {
        QRun *run = &g_array_index(list, QRun, i);
        int e = qcow2_refcount_add(n, run->offset, run->clusters, -1);

        r = e == -EINVAL ? r : r ? r : e;       /* a count that is wrong already: for the check to find */
    }
    g_array_set_size(list, 0);
    s->frees_now = old;
    return r;
}

int qcow2_settle(BlkNode *n)
{
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++) {             /* the frees of now, those of before, and their counts */
        r = qcow2_meta_flush(n, true);
    }
    return r;
}
