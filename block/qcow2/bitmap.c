/* SPDX-License-Identifier: MIT */
/*
 * Persistent bitmaps (qcow2 specification, "Bitmaps").
 *
 * They are read when the image is opened.  Before the first write of an image
 * that is open for writing they are marked as in use, and they are stored, and
 * the marks taken off, when it is closed or made read-only: what was not
 * closed is found marked, and only fit to be removed.
 *
 * Storing makes new tables beside the old ones; the header's extension is
 * switched by one write, and the old tables are free then.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/bitmap.h"
#include "util/bswap.h"

enum { IN_USE = 1, AUTO = 2, ENTRY = 24, NAME_MAX_BYTES = 1023, TABLE_MAX = 8 << 20, BITMAPS_MAX = 65535 };

/* ---- loading ---- */

static uint64_t bytes_of(const BlkBitmap *b)
{
    uint64_t bits = (b->size + (1ull << b->shift) - 1) >> b->shift;

    return (bits + 7) / 8;
}

static int load_bits(BlkNode *n, const QBitmap *q, BlkBitmap *b)
{
    Qcow2 *s = q2(n);
    uint64_t total = bytes_of(b);
    g_autofree uint64_t *table = NULL;
    g_autofree uint8_t *bits = NULL;
    int r;

    if (q->table_size != q_clusters(s, total) || q->table_size * 8ull > TABLE_MAX) {
        return -EINVAL;
    }
    table = g_new0(uint64_t, MAX(1, q->table_size));
    bits = g_malloc0((total + 7) & ~7ull);
    r = qcow2_read_words(n, q->table_offset, table, q->table_size);
    for (uint32_t i = 0; i < q->table_size && r == 0; i++) {
        uint64_t at = (uint64_t)i << s->cluster_bits, len = MIN(s->cluster_size, total - at);

        if (table[i] & E_OFFSET) {
            r = node_pread(n->file->node, table[i] & E_OFFSET, bits + at, len);
        } else if (table[i] & 1) {
            memset(bits + at, 0xff, len);
        }
    }
    if (r == 0 && total) {                              /* a disk of no bytes has no words */
        memcpy(b->words, bits, total);                  /* the first bit is the lowest of the first byte */
        blk_bitmap_resize(b, b->size);                  /* counts, and drops what lies behind the end */
    }
    return r;
}

static bool load_one(BlkNode *n, const QBitmap *q, Error **errp)
{
    BlkBitmap *b;

    if (q->granularity_bits < 9 || q->granularity_bits > 31 || !*q->name) {
        return error_set(errp, "Bitmap '%s' of the image has a granularity of 2^%u", q->name, q->granularity_bits);
    }
    b = blk_bitmap_new(n, q->name, 1ull << q->granularity_bits, errp);
    if (!b) {
        return false;
    }
    b->persistent = b->stored = true;
    b->enabled = q->flags & AUTO;
    b->inconsistent = q->flags & IN_USE;
    if (!b->inconsistent && load_bits(n, q, b) < 0) {
        return error_set(errp, "Bitmap '%s' of the image can not be read", q->name);
    }
    return true;
}

bool qcow2_bitmaps_load(BlkNode *n, Error **errp)
{
    g_autoptr(GPtrArray) list = qcow2_bitmaps(n);

    for (unsigned i = 0; i < list->len; i++) {
        if (!load_one(n, list->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

/* ---- storing ---- */

static void put_entry(GByteArray *out, const QBitmap *q)
{
    uint8_t p[ENTRY] = {}, zero[8] = {};

    stq_be_p(p, q->table_offset);
    stl_be_p(p + 8, q->table_size);
    stl_be_p(p + 12, q->flags);
    p[16] = 1;                                          /* a dirty bitmap */
    p[17] = q->granularity_bits;
    stw_be_p(p + 18, strlen(q->name));
    g_byte_array_append(out, p, ENTRY);
    g_byte_array_append(out, (const uint8_t *)q->name, strlen(q->name));
    g_byte_array_append(out, zero, -out->len & 7);
}

/* A new directory; the lock is held and nobody writes. */
static int write_directory(BlkNode *n, GPtrArray *list)
{
    Qcow2 *s = q2(n);
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint64_t old = s->bitmaps_offset, old_clusters = q_clusters(s, s->bitmaps_bytes);
    int64_t at;
    int r;

    for (unsigned i = 0; i < list->len; i++) {
        put_entry(out, list->pdata[i]);
    }
    at = qcow2_write_new(n, out);
    if (at < 0) {
        return at;
    }
    s->bitmaps_count = list->len;
    s->bitmaps_offset = at;
    s->bitmaps_bytes = out->len;
    s->autoclear = list->len ? s->autoclear | AUTOCLEAR_BITMAPS : s->autoclear & ~(uint64_t)AUTOCLEAR_BITMAPS;
    r = qcow2_write_header(n);
    r = r ? r : node_flush(n->file->node);
    if (r < 0) {
        s->broken = true;
        return r;
    }
    if (old && old_clusters) {
        qcow2_free_later(s, old, old_clusters);
    }
    return 0;
}

static void free_table(BlkNode *n, const QBitmap *q)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *table = g_new0(uint64_t, MAX(1, q->table_size));

    if (q->table_size * 8ull > TABLE_MAX || qcow2_read_words(n, q->table_offset, table, q->table_size) < 0) {
        return;                                         /* leaked rather than freed by guess */
    }
    for (uint32_t i = 0; i < q->table_size; i++) {
        if (table[i] & E_OFFSET) {
            qcow2_free_later(s, table[i] & E_OFFSET, 1);
        }
    }
    if (q->table_size) {
        qcow2_free_later(s, q->table_offset, q_clusters(s, q->table_size * 8ull));
    }
}

static bool all_equal(const uint8_t *p, uint64_t len, uint8_t byte)
{
    return !len || (p[0] == byte && !memcmp(p, p + 1, len - 1));
}

static int store_bits(BlkNode *n, BlkBitmap *b, uint64_t *table, uint32_t count)
{
    Qcow2 *s = q2(n);
    uint64_t total = bytes_of(b);
    uint8_t *buf = blk_buffer(s->cluster_size);
    int r = 0;

    for (uint32_t i = 0; i < count && r == 0; i++) {
        uint64_t at = (uint64_t)i << s->cluster_bits, len = MIN(s->cluster_size, total - at), one = 1;
        int64_t place;

        memset(buf, 0, s->cluster_size);
        memcpy(buf, (uint8_t *)b->words + at, len);
        if (all_equal(buf, s->cluster_size, 0)) {
            continue;
        }
        place = qcow2_alloc(n, &one, true);
        if (place < 0) {
            r = place;
            break;
        }
        q_take_fresh(s, place, s->cluster_size);
        table[i] = place;
        r = node_pwrite(n->file->node, place, buf, s->cluster_size);
    }
    free(buf);
    return r;
}

static int store_one(BlkNode *n, BlkBitmap *b, QBitmap *q)
{
    Qcow2 *s = q2(n);
    uint32_t count = q_clusters(s, bytes_of(b));
    uint64_t clusters = MAX(1, q_clusters(s, count * 8ull));
    g_autofree uint64_t *table = g_new0(uint64_t, MAX(1, count));
    int64_t at;
    int r = store_bits(n, b, table, count);

    at = r < 0 ? r : qcow2_alloc(n, &clusters, true);
    if (at >= 0) {
        q_take_fresh(s, at, clusters << s->cluster_bits);
        r = qcow2_write_words(n, at, table, count);
    } else {
        r = at;
    }
    *q = (QBitmap){ g_strdup(b->name), b->enabled ? AUTO : 0, b->shift, MAX(at, 0), count };
    return r;
}

static QBitmap *entry_named(GPtrArray *list, const char *name)
{
    for (unsigned i = 0; i < list->len; i++) {
        QBitmap *q = list->pdata[i];

        if (!strcmp(q->name, name)) {
            return q;
        }
    }
    return NULL;
}

static bool anything_to_store(BlkNode *n)
{
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        if (b->persistent && !b->inconsistent) {
            return true;
        }
    }
    return false;
}

/* What is in memory, and of the old directory what can not be: the bitmaps that were not closed. */
static int store_all(BlkNode *n)
{
    g_autoptr(GPtrArray) old = qcow2_bitmaps(n), list = g_ptr_array_new_with_free_func(qcow2_bitmap_free);
    int r = 0;

    for (BlkBitmap *b = n->bitmaps; b && r == 0; b = b->next) {
        QBitmap *q, *was = b->name ? entry_named(old, b->name) : NULL;

        if (!b->persistent || (b->inconsistent && !was)) {
            continue;
        }
        q = g_new0(QBitmap, 1);
        g_ptr_array_add(list, q);
        if (b->inconsistent) {
            *q = *was;
            q->name = g_strdup(was->name);
            was->table_size = 0;                        /* its table stays */
        } else {
            r = store_one(n, b, q);
        }
    }
    r = r ? r : write_directory(n, list);
    for (unsigned i = 0; i < old->len && r == 0; i++) {
        free_table(n, old->pdata[i]);
    }
    return r;
}

int qcow2_bitmaps_store(BlkNode *n)
{
    QOp op;
    int r;

    if (!anything_to_store(n) || q2(n)->version < 3) {
        return 0;
    }
    qcow2_exclusive_begin(n, &op);
    r = store_all(n);
    qcow2_exclusive_end(n, &op);
    for (BlkBitmap *b = n->bitmaps; b && r == 0; b = b->next) {
        b->stored |= b->persistent;
    }
    return r;
}

/* In place: a directory that is half marked is as good as one that is. */
int qcow2_bitmaps_mark_in_use(BlkNode *n)
{
    Qcow2 *s = q2(n);
    g_autofree uint8_t *dir = NULL;
    int r;

    if (!s->bitmaps_count || !(s->autoclear & AUTOCLEAR_BITMAPS) || s->bitmaps_bytes > BITMAPS_MAX * 1024ull) {
        return 0;
    }
    dir = g_malloc(s->bitmaps_bytes + 1);
    r = node_pread(n->file->node, s->bitmaps_offset, dir, s->bitmaps_bytes);
    for (uint64_t at = 0; r == 0 && at + ENTRY <= s->bitmaps_bytes;) {
        uint8_t *p = dir + at;

        stl_be_p(p + 12, (uint32_t)ldl_be_p(p + 12) | IN_USE);
        at += (ENTRY + (uint64_t)(uint32_t)ldl_be_p(p + 20) + lduw_be_p(p + 18) + 7) & ~7ull;
    }
    r = r ? r : node_pwrite(n->file->node, s->bitmaps_offset, dir, s->bitmaps_bytes);
    return r ? r : node_flush(n->file->node);
}

/* ---- for commands ---- */

bool qcow2_bitmap_can_store(BlkNode *n, const char *name, Error **errp)
{
    Qcow2 *s = q2(n);
    unsigned count = 0;

    if (s->version < 3) {
        return error_set(errp, "Cannot store dirty bitmaps in qcow2 v2 files");
    }
    if (strlen(name) > NAME_MAX_BYTES) {
        return error_set(errp, "Bitmap name too long");
    }
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        count += b->persistent;
    }
    return count < BITMAPS_MAX || error_set(errp, "Maximum number of persistent bitmaps is already reached");
}

/* Out of the image, at once. */
bool qcow2_bitmap_remove(BlkNode *n, const char *name, Error **errp)
{
    g_autoptr(GPtrArray) list = NULL;
    QBitmap *q, gone = {};
    QOp op;
    int r = 0;

    qcow2_exclusive_begin(n, &op);
    list = qcow2_bitmaps(n);
    q = entry_named(list, name);
    if (q) {
        gone = *q;
        gone.name = NULL;
        g_ptr_array_remove(list, q);
        r = write_directory(n, list);
        if (r == 0) {
            free_table(n, &gone);
        }
    }
    qcow2_exclusive_end(n, &op);
    return r == 0 || error_set_errno(errp, -r, "Failed to remove bitmap '%s' from file", name);
}
