/* SPDX-License-Identifier: MIT */
/*
 * Internal snapshots: a copy of the L1 table that shares everything below.
 *
 * Each step is one that may be the last before a power cut: counts grow first,
 * one write to the header switches, counts shrink after (docs/block-crash.md).
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

void qcow2_snapshot_free(QSnapshot *sn)
{
    g_free(sn->info.id);
    g_free(sn->info.name);
    g_free(sn->unknown);
    g_free(sn);
}

/* ---- the table of snapshots ---- */

enum { FIXED = 40, EXTRA_KNOWN = 24 };

static bool parse_one(BlkNode *n, const uint8_t *p, uint64_t left, uint64_t *used)
{
    Qcow2 *s = q2(n);
    unsigned id = lduw_be_p(p + 12), name = lduw_be_p(p + 14);
    uint32_t extra = ldl_be_p(p + 36);
    uint64_t whole = FIXED + (uint64_t)extra + id + name;
    const uint8_t *e = p + FIXED;
    QSnapshot *sn;

    if (extra > 1024 || whole > left) {
        return false;
    }
    sn = g_new0(QSnapshot, 1);
    sn->l1_offset = ldq_be_p(p);
    sn->l1_size = ldl_be_p(p + 8);
    sn->info.date_sec = ldl_be_p(p + 16);
    sn->info.date_nsec = ldl_be_p(p + 20);
    sn->info.vm_clock_nsec = ldq_be_p(p + 24);
    sn->info.vm_state_size = extra >= 8 ? ldq_be_p(e) : (uint32_t)ldl_be_p(p + 32);
    sn->info.disk_size = extra >= 16 ? ldq_be_p(e + 8) : node_size(n);
    sn->info.icount = extra >= 24 ? ldq_be_p(e + 16) : UINT64_MAX;
    if (extra > EXTRA_KNOWN) {
        sn->unknown_size = extra - EXTRA_KNOWN;
        sn->unknown = g_memdup2(e + EXTRA_KNOWN, sn->unknown_size);
    }
    sn->info.id = g_strndup((const char *)e + extra, id);
    sn->info.name = g_strndup((const char *)e + extra + id, name);
    g_ptr_array_add(s->snapshots, sn);
    *used = MIN((whole + 7) & ~7ull, left);
    return sn->l1_size * 8ull <= MAX_L1_BYTES && !(sn->l1_offset & (s->cluster_size - 1));
}

int qcow2_snapshots_read(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    uint8_t be[4];
    uint32_t count;
    uint64_t room, at = 0, used;
    g_autofree uint8_t *buf = NULL;
    int r = node_pread(n->file->node, H_SNAPSHOTS, be, 4);

    if (r < 0) {
        error_set_errno(errp, -r, "Could not read snapshots");
        return r;
    }
    count = ldl_be_p(be);
    if (count > MAX_SNAPSHOTS || (count && (s->snapshots_offset & (s->cluster_size - 1)))) {
        error_set(errp, count > MAX_SNAPSHOTS ? "Snapshot table too large" : "Snapshot table offset invalid");
        return -EINVAL;
    }
    room = s->snapshots_offset < node_size(n->file->node) ? node_size(n->file->node) - s->snapshots_offset : 0;
    room = MIN(room, MIN(64ull << 20, (uint64_t)count * (FIXED + 1024 + 2 * 65536)));
    if (!count) {
        return 0;
    }
    if (count > room / FIXED) {
        error_set(errp, "Snapshot table too large");
        return -EINVAL;
    }
    buf = g_malloc(room);
    r = node_pread_padded(n->file->node, s->snapshots_offset, buf, room);
    for (uint32_t i = 0; i < count && r == 0; i++) {
        if (room - at < FIXED || !parse_one(n, buf + at, room - at, &used)) {
            error_set(errp, "Snapshot table is damaged at entry %u", i);
            return -EINVAL;
        }
        at += used;
    }
    s->snapshots_bytes = at;
    if (r < 0) {
        error_set_errno(errp, -r, "Could not read snapshots");
    }
    return r;
}

static void put_one(GByteArray *out, const QSnapshot *sn)
{
    uint8_t p[FIXED + EXTRA_KNOWN] = {}, zero[8] = {};
    unsigned extra = sn->info.icount == UINT64_MAX && !sn->unknown_size ? 16 : 24;

    stq_be_p(p, sn->l1_offset);
    stl_be_p(p + 8, sn->l1_size);
    stw_be_p(p + 12, strlen(sn->info.id));
    stw_be_p(p + 14, strlen(sn->info.name));
    stl_be_p(p + 16, sn->info.date_sec);
    stl_be_p(p + 20, sn->info.date_nsec);
    stq_be_p(p + 24, sn->info.vm_clock_nsec);
    stl_be_p(p + 32, sn->info.vm_state_size <= UINT32_MAX ? sn->info.vm_state_size : 0);
    stl_be_p(p + 36, extra + sn->unknown_size);
    stq_be_p(p + 40, sn->info.vm_state_size);
    stq_be_p(p + 48, sn->info.disk_size);
    stq_be_p(p + 56, sn->info.icount);
    g_byte_array_append(out, p, FIXED + extra);
    g_byte_array_append(out, sn->unknown ? sn->unknown : zero, sn->unknown_size);
    g_byte_array_append(out, (uint8_t *)sn->info.id, strlen(sn->info.id));
    g_byte_array_append(out, (uint8_t *)sn->info.name, strlen(sn->info.name));
    g_byte_array_append(out, zero, -out->len & 7);
}

/* A new table beside the old one; one write to the header switches to it. */
static int write_table(BlkNode *n)
{
    Qcow2 *s = q2(n);
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint64_t old_clusters = q_clusters(s, s->snapshots_bytes);
    int64_t at;
    uint8_t be[12];
    int r;

    for (unsigned i = 0; i < s->snapshots->len; i++) {
        put_one(out, s->snapshots->pdata[i]);
    }
    at = qcow2_write_new(n, out);
    if (at < 0) {
        return at;
    }
    stl_be_p(be, s->snapshots->len);
    stq_be_p(be + 4, at);
    r = node_pwrite(n->file->node, H_SNAPSHOTS, be, sizeof(be));
    r = r ? r : node_flush(n->file->node);
    if (r < 0) {
        s->broken = true;
        return r;
    }
    if (s->snapshots_offset && old_clusters) {
        qcow2_free_later(s, s->snapshots_offset, old_clusters);
    }
    s->snapshots_offset = at;
    s->snapshots_bytes = out->len;
    return 0;
}

/* ---- trees ---- */

typedef int EntryFn(BlkNode *n, const QL2 *at, uint64_t entry, void *opaque);

/* Every used entry of a table. */
static int each_entry(BlkNode *n, uint64_t table, EntryFn *fn, void *opaque)
{
    Qcow2 *s = q2(n);

    for (uint64_t part = 0; part < s->cluster_size; part += s->l2.slice) {
        for (unsigned i = 0; i < s->l2.slice / s->l2_entry_size; i++) {
            QL2 at = { .index = i };
            int r = qcache_get(n, &s->l2, table + part, &at.slice);
            uint64_t e = r < 0 ? 0 : qcow2_l2_entry(s, &at, 0);

            if (r == 0 && e) {
                r = fn(n, &at, e, opaque);
            }
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

typedef struct Count {
    int delta;
    uint64_t left, done;                /* entries */
} Count;

static int add_to(BlkNode *n, uint64_t e, int delta)
{
    Qcow2 *s = q2(n);
    uint64_t offset, bytes;

    if (e & E_COMPRESSED) {
        qcow2_compressed_place(s, e, &offset, &bytes);
        uint64_t first = offset >> s->cluster_bits, last = (offset + bytes - 1) >> s->cluster_bits;
        return qcow2_refcount_add(n, first << s->cluster_bits, last - first + 1, delta);
    }
    return (e & E_OFFSET) && !s->external ? qcow2_refcount_add(n, e & E_OFFSET, 1, delta) : 0;
}

static int add_entry(BlkNode *n, const QL2 *at, uint64_t e, void *opaque)
{
    Count *c = opaque;
    int r;

    if (!c->left) {
        return 0;
    }
    r = add_to(n, e, c->delta);
    c->left--;
    c->done += r == 0;
    return r;
}

/* The first `entries` of a tree, tables among them.  Errors going down are leaks and no more. */
static int count_some(BlkNode *n, const uint64_t *l1, uint32_t size, Count *c)
{
    int first = 0;

    for (uint32_t i = 0; i < size && c->left; i++) {
        uint64_t table = l1[i] & E_OFFSET;
        int r;

        if (!table) {
            continue;
        }
        r = each_entry(n, table, add_entry, c);
        if (r == 0 && c->left) {
            c->left--;
            r = qcow2_refcount_add(n, table, 1, c->delta);
            c->done += r == 0;
        }
        first = first ? first : r;
        if (r < 0 && c->delta > 0) {
            return r;
        }
    }
    return first;
}

/* Count a whole tree once more, or not at all; or once less. */
int qcow2_count_tree(BlkNode *n, const uint64_t *l1, uint32_t size, int delta)
{
    Count c = { .delta = delta, .left = UINT64_MAX };
    int r = count_some(n, l1, size, &c);

    if (r < 0 && delta > 0) {
        Count back = { .delta = -delta, .left = c.done };

        count_some(n, l1, size, &back);
    }
    return r;
}

static int copied_entry(BlkNode *n, const QL2 *at, uint64_t e, void *opaque)
{
    Qcow2 *s = q2(n);
    uint64_t count = 0, index = at->index;
    QL2 again = *at;
    int r;

    if ((e & E_COMPRESSED) || !(e & E_OFFSET) || s->external) {
        return 0;
    }
    r = qcow2_refcount_get(n, (e & E_OFFSET) >> s->cluster_bits, &count);
    if (r == 0 && (count == 1) != !!(e & E_COPIED)) {
        again.index = index;
        qcow2_l2_set(s, &again, 0, (e & ~E_COPIED) | (count == 1 ? E_COPIED : 0), qcow2_l2_bitmap(s, at, 0));
    }
    return r;
}

/* The active tree's flags say whether counts are one. */
static int set_copied(BlkNode *n)
{
    Qcow2 *s = q2(n);
    int r = 0;

    for (uint32_t i = 0; i < s->l1_size && r == 0; i++) {
        uint64_t table = s->l1[i] & E_OFFSET, count, want;

        if (!table) {
            continue;
        }
        r = qcow2_refcount_get(n, table >> s->cluster_bits, &count);
        want = table | (count == 1 ? E_COPIED : 0);
        if (r == 0 && s->l1[i] != want) {
            s->l1[i] = want;
            s->l1_dirty = true;
        }
        r = r ? r : each_entry(n, table, copied_entry, NULL);
    }
    return r;
}

/* ---- finding ---- */

QSnapshot *qcow2_snapshot_find(Qcow2 *s, const char *name)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < s->snapshots->len; i++) {
            QSnapshot *sn = s->snapshots->pdata[i];

            if (!strcmp(pass ? sn->info.name : sn->info.id, name)) {
                return sn;
            }
        }
    }
    return NULL;
}

static char *fresh_id(Qcow2 *s)
{
    uint64_t max = 0;

    for (unsigned i = 0; i < s->snapshots->len; i++) {
        max = MAX(max, g_ascii_strtoull(((QSnapshot *)s->snapshots->pdata[i])->info.id, NULL, 10));
    }
    return g_strdup_printf("%" PRIu64, max + 1);
}

GPtrArray *qcow2_snapshot_list(BlkNode *n)
{
    Qcow2 *s = q2(n);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)blk_snapshot_free);

    for (unsigned i = 0; i < s->snapshots->len; i++) {
        BlkSnapshot *sn = g_memdup2(&((QSnapshot *)s->snapshots->pdata[i])->info, sizeof(*sn));

        sn->id = g_strdup(sn->id);
        sn->name = g_strdup(sn->name);
        g_ptr_array_add(list, sn);
    }
    return list;
}

/* ---- create ---- */

static int create(BlkNode *n, QSnapshot *sn)
{
    Qcow2 *s = q2(n);
    uint64_t clusters = MAX(1, q_clusters(s, s->l1_size * 8ull));
    int64_t at;
    int r = sn->info.vm_state_size ? 0 : qcow2_vmstate_drop(n);        /* of one that was never taken along */

    r = r ? r : qcow2_meta_flush(n, true);
    if (r < 0) {
        return r;
    }
    at = qcow2_alloc(n, &clusters, true);
    if (at < 0) {
        return at;
    }
    q_take_fresh(s, at, clusters << s->cluster_bits);
    r = qcow2_count_tree(n, s->l1, s->l1_size, 1);
    if (r < 0) {
        qcow2_refcount_add(n, at, clusters, -1);
        return r;
    }
    r = set_copied(n);
    r = r ? r : qcow2_meta_flush(n, true);
    if (r == 0) {
        g_autofree uint64_t *copy = g_memdup2(s->l1, MAX(1, s->l1_size) * 8ull);

        for (uint32_t i = 0; i < s->l1_size; i++) {
            copy[i] &= ~E_COPIED;
        }
        r = qcow2_write_words(n, at, copy, s->l1_size);
    }
    if (r < 0) {
        return r;
    }
    sn->l1_offset = at;
    sn->l1_size = s->l1_size;
    g_ptr_array_add(s->snapshots, sn);
    r = write_table(n);
    if (r < 0) {
        g_ptr_array_steal_index(s->snapshots, s->snapshots->len - 1);
        return r;
    }
    return qcow2_vmstate_drop(n);           /* it is the snapshot's now */
}

bool qcow2_snapshot_create(BlkNode *n, BlkSnapshot *info, Error **errp)
{
    Qcow2 *s = q2(n);
    QSnapshot *sn = g_new0(QSnapshot, 1);
    QOp op;
    int r;

    if (s->external || s->snapshots->len >= MAX_SNAPSHOTS) {
        g_free(sn);
        return error_set_errno(errp, s->external ? ENOTSUP : EFBIG, "Could not create snapshot");
    }
    qcow2_exclusive_begin(n, &op);
    sn->info = *info;
    sn->info.id = fresh_id(s);
    sn->info.name = g_strdup(info->name);
    sn->info.disk_size = node_size(n);
    r = qcow2_snapshot_find(s, info->name) && !strcmp(qcow2_snapshot_find(s, info->name)->info.id, sn->info.id) ? -EEXIST : create(n, sn);
    if (r < 0) {
        qcow2_snapshot_free(sn);
    }
    qcow2_exclusive_end(n, &op);
    return r == 0 || error_set_errno(errp, -r, "Could not create snapshot");
}

/* ---- apply ---- */

static int read_l1(BlkNode *n, const QSnapshot *sn, uint64_t **out)
{
    *out = g_new0(uint64_t, MAX(sn->l1_size, 1));
    return qcow2_read_words(n, sn->l1_offset, *out, sn->l1_size);
}

/* The snapshot's table becomes the active one, as a copy in a new place; size, length and place switch in one sector. */
static int apply(BlkNode *n, const QSnapshot *sn)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *l1 = NULL, *old = NULL;
    uint32_t size = MIN(sn->l1_size, qcow2_disk_entries(s, sn->info.disk_size));        /* without the state of a machine */
    uint64_t clusters = MAX(1, q_clusters(s, size * 8ull)), old_offset = s->l1_offset, old_size = s->l1_size;
    uint8_t be[24] = {};
    int64_t at;
    int r = qcow2_meta_flush(n, true);

    r = r ? r : read_l1(n, sn, &l1);
    r = r ? r : qcow2_count_tree(n, l1, size, 1);
    if (r < 0) {
        return r;
    }
    at = qcow2_alloc(n, &clusters, true);
    if (at < 0) {
        qcow2_count_tree(n, l1, size, -1);
        return at;
    }
    q_take_fresh(s, at, clusters << s->cluster_bits);
    for (uint32_t i = 0; i < size; i++) {
        l1[i] &= ~E_COPIED;
    }
    r = qcow2_write_words(n, at, l1, size);
    r = r ? r : qcow2_meta_flush(n, true);
    if (r < 0) {
        return r;
    }
    stq_be_p(be, sn->info.disk_size);
    stl_be_p(be + 8, s->crypt);
    stl_be_p(be + 12, size);
    stq_be_p(be + 16, at);
    r = node_pwrite(n->file->node, H_SIZE, be, sizeof(be));
    r = r ? r : node_flush(n->file->node);
    if (r < 0) {
        s->broken = true;
        return r;
    }
    old = s->l1;
    s->l1 = g_steal_pointer(&l1);
    s->gap_end = 0;
    s->l1_size = size;
    s->l1_offset = at;
    qcow2_count_tree(n, old, old_size, -1);
    qcow2_free_later(s, old_offset, MAX(1, q_clusters(s, old_size * 8)));
    blk_node_resized(n, sn->info.disk_size);
    r = set_copied(n);
    return r ? r : qcow2_meta_flush(n, true);
}

bool qcow2_snapshot_apply(BlkNode *n, const char *name, Error **errp)
{
    QOp op;
    QSnapshot *sn;
    int r;

    qcow2_exclusive_begin(n, &op);
    sn = qcow2_snapshot_find(q2(n), name);
    r = sn ? apply(n, sn) : -ENOENT;
    qcow2_exclusive_end(n, &op);
    return r == 0 || error_set_errno(errp, -r, "Failed to load snapshot");
}

/* ---- delete ---- */

static int delete(BlkNode *n, QSnapshot *sn)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *l1 = NULL;
    guint index;
    int r = qcow2_meta_flush(n, true);

    r = r ? r : read_l1(n, sn, &l1);
    if (r < 0) {
        return r;
    }
    g_ptr_array_find(s->snapshots, sn, &index);
    g_ptr_array_steal_index(s->snapshots, index);
    r = write_table(n);
    if (r < 0) {
        g_ptr_array_insert(s->snapshots, index, sn);
        return r;
    }
    qcow2_count_tree(n, l1, sn->l1_size, -1);
    qcow2_free_later(s, sn->l1_offset, MAX(1, q_clusters(s, sn->l1_size * 8ull)));
    qcow2_snapshot_free(sn);
    r = set_copied(n);
    return r ? r : qcow2_meta_flush(n, true);
}

bool qcow2_snapshot_delete(BlkNode *n, const char *name, Error **errp)
{
    QSnapshot *sn;
    QOp op;
    int r;

    qcow2_exclusive_begin(n, &op);
    sn = qcow2_snapshot_find(q2(n), name);
    r = sn ? delete(n, sn) : -ENOENT;
    qcow2_exclusive_end(n, &op);
    if (r == -ENOENT) {
        return error_set(errp, "snapshot not found");
    }
    return r == 0 || error_set_errno(errp, -r, "Could not delete snapshot");
}

/* ---- a look at one ---- */

bool qcow2_snapshot_load(BlkNode *n, const char *name, Error **errp)
{
    Qcow2 *s = q2(n);
    QSnapshot *sn = qcow2_snapshot_find(s, name);
    uint64_t *l1;
    int r;

    if (!n->read_only || !sn) {
        return error_set(errp, sn ? "Device is not readonly" : "Can't find snapshot");
    }
    r = read_l1(n, sn, &l1);
    if (r < 0) {
        g_free(l1);
        return error_set_errno(errp, -r, "Could not read snapshot");
    }
    g_free(s->l1);
    s->l1 = l1;
    s->gap_end = 0;
    s->l1_size = sn->l1_size;
    qcache_drop(&s->l2);
    blk_node_resized(n, sn->info.disk_size);
    return true;
}
