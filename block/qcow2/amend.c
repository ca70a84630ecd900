/* SPDX-License-Identifier: MIT */
/*
 * Changing what creation decided: the version, the width of counts, lazy
 * counts, the size, the name of the data file, passwords.
 *
 * Every step is whole by itself: one write of the header's first sector
 * switches, and before it the image is what it was (docs/block-crash.md).
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/bitmap.h"
#include "util/bswap.h"

/* With the lock: a header written by the way must not name a table that is still being made. */
static int write_header_now(BlkNode *n)
{
    int r = qcow2_write_header(n);

    return r ? r : node_flush(n->file->node);
}

/* ---- the width of counts ---- */

typedef struct {
    unsigned order;                     /* log2 of the bits of a count */
    uint64_t max;
    uint64_t end;                       /* clusters that have a count */
    uint64_t at, clusters;              /* of the new blocks, then the new table: where, how many */
    uint64_t blocks, table_clusters;
} Width;

static uint64_t counts_per_block(const Qcow2 *s, const Width *w)
{
    return 1ull << (s->cluster_bits + 3 - w->order);
}

/* The last cluster with a count, and whether each fits. */
static int measure(BlkNode *n, Width *w, Error **errp)
{
    Qcow2 *s = q2(n);
    int r = qcow2_refcount_open(n);

    if (r < 0) {
        error_set_errno(errp, -r, "Could not read the reference counts");
        return r;
    }
    w->end = 0;
    for (uint64_t c = 0; c < (uint64_t)s->reftable_size << s->refblock_bits; c++) {
        uint64_t count;

        if (!s->reftable[c >> s->refblock_bits]) {
            c |= (1ull << s->refblock_bits) - 1;
            continue;
        }
        r = qcow2_refcount_get(n, c, &count);
        if (r < 0) {
            error_set_errno(errp, -r, "Could not read the reference counts");
            return r;
        }
        if (count > w->max) {
            error_set(errp, "Cannot decrease refcount entry width to %u bits: Cluster at offset %#" PRIx64 " has a refcount of %" PRIu64, 1u << w->order, c << s->cluster_bits, count);
            return -EINVAL;
        }
        w->end = count ? c + 1 : w->end;
    }
    w->blocks = (w->end + counts_per_block(s, w) - 1) / counts_per_block(s, w);
    w->table_clusters = q_clusters(s, w->blocks * 8);
    return 0;
}

/* Room for blocks that count themselves too; what is allocated and not needed after all is given back. */
static int make_room(BlkNode *n, Width *w, Error **errp)
{
    Qcow2 *s = q2(n);
    int r;

    for (;;) {
        int64_t at;

        r = measure(n, w, errp);
        if (r < 0 || w->clusters >= w->blocks + w->table_clusters) {
            break;
        }
        if (w->clusters) {
            qcow2_refcount_add(n, w->at, w->clusters, -1);
        }
        w->clusters = (w->blocks + w->table_clusters) * (1 + 2 / counts_per_block(s, w)) + 2;
        at = qcow2_alloc(n, &w->clusters, true);
        if (at < 0) {
            w->clusters = 0;
            r = at;
            error_set_errno(errp, -r, "No room for the new reference counts");
            break;
        }
        w->at = at;
    }
    if (r == 0 && w->table_clusters << s->cluster_bits > MAX_REFTABLE_BYTES) {
        r = -EFBIG;
        error_set(errp, "the table of such counts would be larger than %d MiB: make the image again with larger clusters", MAX_REFTABLE_BYTES >> 20);
    }
    if (r < 0 && w->clusters) {
        qcow2_refcount_add(n, w->at, w->clusters, -1);
    }
    return r;
}

static int write_block(BlkNode *n, const Width *w, const Qcow2 *as, uint64_t b, uint8_t *buf)
{
    Qcow2 *s = q2(n);
    uint64_t first = b * counts_per_block(s, w);

    memset(buf, 0, s->cluster_size);
    for (uint64_t c = first; c < MIN(first + counts_per_block(s, w), w->end); c++) {
        uint64_t count;
        int r = qcow2_refcount_get(n, c, &count);

        if (r < 0) {
            return r;
        }
        qcow2_count_out(as, buf, c - first, count);
    }
    return node_pwrite(n->file->node, w->at + (b << s->cluster_bits), buf, s->cluster_size);
}

static int write_counts(BlkNode *n, const Width *w, uint64_t *table)
{
    Qcow2 *s = q2(n);
    g_autofree Qcow2 *as = g_new0(Qcow2, 1);
    uint8_t *buf = blk_buffer(s->cluster_size);
    int r = 0;

    as->refcount_order = w->order;
    as->refcount_max = w->max;
    for (uint64_t b = 0; b < w->blocks && r == 0; b++) {
        table[b] = w->at + (b << s->cluster_bits);
        r = write_block(n, w, as, b, buf);
    }
    free(buf);
    r = r ? r : qcow2_write_words(n, w->at + (w->blocks << s->cluster_bits), table, w->table_clusters << (s->cluster_bits - 3));
    return r ? r : node_flush(n->file->node);
}

/* Place, size and width switch in one sector. */
static int switch_counts(BlkNode *n, const Width *w)
{
    uint8_t h[512];
    int r = node_pread(n->file->node, 0, h, sizeof(h));

    stq_be_p(h + H_REFTABLE_OFFSET, w->at + (w->blocks << q2(n)->cluster_bits));
    stl_be_p(h + H_REFTABLE_CLUSTERS, w->table_clusters);
    stl_be_p(h + H_REFCOUNT_ORDER, w->order);
    r = r ? r : node_pwrite(n->file->node, 0, h, sizeof(h));
    return r ? r : node_flush(n->file->node);
}

static void adopt(BlkNode *n, const Width *w, uint64_t *table)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *old = s->reftable;

    for (uint32_t i = 0; i < s->reftable_size; i++) {
        if (old[i] & E_OFFSET) {
            qcow2_free_later(s, old[i] & E_OFFSET, 1);
        }
    }
    qcow2_free_later(s, s->reftable_offset, q_clusters(s, s->reftable_size * 8ull));
    qcache_drop(&s->ref);
    s->reftable = table;
    s->reftable_size = w->table_clusters << (s->cluster_bits - 3);
    s->reftable_offset = w->at + (w->blocks << s->cluster_bits);
    s->reftable_dirty = false;
    s->refcount_order = w->order;
    s->refcount_max = w->max;
    s->refblock_bits = s->cluster_bits + 3 - w->order;
    s->free_byte = 0;
}

static int change_width(BlkNode *n, Width *w, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t *table;
    int r = qcow2_settle(n);

    r = r ? r : make_room(n, w, errp);
    if (r < 0) {
        return r;
    }
    q_take_fresh(s, w->at, w->clusters << s->cluster_bits);
    if (w->clusters > w->blocks + w->table_clusters) {
        uint64_t used = w->blocks + w->table_clusters;
        qcow2_refcount_add(n, w->at + (used << s->cluster_bits), w->clusters - used, -1);
        w->clusters = used;
    }
    table = g_new0(uint64_t, w->table_clusters << (s->cluster_bits - 3));
    r = qcow2_meta_flush(n, true);
    r = r ? r : write_counts(n, w, table);
    if (r < 0) {
        qcow2_refcount_add(n, w->at, w->clusters, -1);
        g_free(table);
        return r;
    }
    r = switch_counts(n, w);
    if (r < 0) {
        s->broken = true;                       /* which counts the disk names is not known */
        g_free(table);
        return r;
    }
    adopt(n, w, table);
    return qcow2_meta_flush(n, true);
}

static bool amend_width(BlkNode *n, uint64_t bits, Error **errp)
{
    Qcow2 *s = q2(n);
    Width w = {};
    Error *err = NULL;
    QOp op;
    int r;

    if (!bits || bits > 64 || (bits & (bits - 1))) {
        return error_set(errp, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    w.order = __builtin_ctzll(bits);
    w.max = w.order == 6 ? INT64_MAX : (1ull << bits) - 1;
    qcow2_exclusive_begin(n, &op);
    if (w.order == s->refcount_order) {
        r = 0;
    } else if (s->version < 3) {
        r = -EINVAL;
        error_set(&err, "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
    } else {
        r = change_width(n, &w, &err);
    }
    qcow2_exclusive_end(n, &op);
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    return r == 0 || error_set_errno(errp, -r, "Could not change the width of reference counts");
}

/* ---- the version ---- */

static bool parse_compat(const char *text, unsigned *version, Error **errp)
{
    *version = !strcmp(text, "0.10") || !strcmp(text, "v2") ? 2 : !strcmp(text, "1.1") || !strcmp(text, "v3") ? 3 : 0;
    return *version || error_set(errp, "Unknown compatibility level %s", text);
}

static bool upgrade(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    unsigned old;
    QOp op;
    int r;

    qcow2_exclusive_begin(n, &op);
    old = s->version;
    s->version = 3;
    r = write_header_now(n);
    if (r < 0) {
        s->version = old;
    }
    qcow2_exclusive_end(n, &op);
    return r == 0 || error_set_errno(errp, -r, "Could not write the header");
}

/* Does a tree have entries that version 2 does not know? */
static int has_zero_entries(BlkNode *n, const uint64_t *l1, uint32_t size, bool *found)
{
    Qcow2 *s = q2(n);
    g_autofree uint64_t *table = g_new(uint64_t, s->cluster_size / 8);

    *found = false;
    for (uint32_t i = 0; i < size && !*found; i++) {
        int r = l1[i] & E_OFFSET ? qcow2_read_words(n, l1[i] & E_OFFSET, table, s->cluster_size / 8) : 0;

        if (r < 0) {
            return r;
        }
        for (uint64_t k = 0; (l1[i] & E_OFFSET) && k < s->cluster_size / 8; k++) {
            *found = *found || ((table[k] & E_ZERO) && !(table[k] & E_COMPRESSED));
        }
    }
    return 0;
}

static bool snapshots_allow(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);

    for (unsigned i = 0; i < s->snapshots->len; i++) {
        const QSnapshot *sn = s->snapshots->pdata[i];
        g_autofree uint64_t *l1 = g_new0(uint64_t, MAX(1, sn->l1_size));
        bool found = false;
        int r = qcow2_read_words(n, sn->l1_offset, l1, sn->l1_size);

        r = r ? r : has_zero_entries(n, l1, sn->l1_size, &found);
        if (r < 0) {
            return error_set_errno(errp, -r, "Could not read snapshot '%s'", sn->info.name);
        }
        if (found || sn->info.vm_state_size > UINT32_MAX || sn->info.disk_size != node_size(n)) {
            error_set(errp, "Internal snapshots prevent downgrade of image");
            return error_hint(errp, "snapshot '%s' has %s, which version 2 can not say\n", sn->info.name,
                              found ? "clusters of zeroes" : sn->info.disk_size != node_size(n) ? "another size" : "more than 4 GiB of a machine's state"), false;
        }
    }
    return true;
}

static bool may_downgrade(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);

    if (s->external) {
        return error_set(errp, "Cannot downgrade an image with a data file");
    }
    if (s->incompatible & ~(uint64_t)INCOMPAT_DIRTY) {
        return error_set(errp, "Cannot downgrade an image with incompatible features set");
    }
    if (s->refcount_order != 4) {
        return error_set(errp, "compat=0.10 requires refcount_bits=16");
    }
    for (const BlkBitmap *b = n->bitmaps; b; b = b->next) {
        if (b->persistent) {
            return error_set(errp, "version 2 has no bitmaps: remove bitmap '%s' first", b->name);
        }
    }
    return snapshots_allow(n, errp);
}

/* Something that answers for what is not here. */
static bool has_below(const BlkNode *n)
{
    return node_has_below(n);
}

/* A cluster of zeroes as data, encrypted if need be. */
static int zero_cluster(BlkNode *n, uint64_t off, uint64_t *entry)
{
    Qcow2 *s = q2(n);
    uint64_t one = 1;
    int64_t host = qcow2_alloc(n, &one, true);
    uint8_t *zero;
    int r;

    if (host < 0) {
        return host;
    }
    q_take_fresh(s, host, s->cluster_size);
    zero = blk_buffer(s->cluster_size);
    memset(zero, 0, s->cluster_size);
    r = qcow2_data_write(n, host, off, s->cluster_size, BLK_VEC1(zero, s->cluster_size), 0);
    free(zero);
    *entry = host | E_COPIED;
    return r;
}

/* An entry that reads as zeroes: data where something lies below, nothing where nothing does. */
static int expand_entry(BlkNode *n, uint64_t off, unsigned i)
{
    Qcow2 *s = q2(n);
    uint64_t want = 0;
    QL2 at;
    int r = has_below(n) ? zero_cluster(n, off + ((uint64_t)i << s->cluster_bits), &want) : 0;

    r = r ? r : qcow2_l2_find(n, off, true, &at);       /* a snapshot's table: ours first */
    if (r == 0) {
        qcow2_l2_release(s, qcow2_l2_entry(s, &at, i));
        qcow2_l2_set(s, &at, i, want, 0);
    }
    return r;
}

static int expand_all(BlkNode *n)
{
    Qcow2 *s = q2(n);
    uint64_t size = (node_size(n) + s->cluster_size - 1) & ~(s->cluster_size - 1);
    int r = 0;

    for (uint64_t off = 0; off < size && r == 0;) {
        QL2 at;

        r = qcow2_l2_find(n, off, false, &at);
        for (unsigned i = 0; r == 0 && at.slice && i < at.left; i++) {
            uint64_t e = qcow2_l2_entry(s, &at, i);

            if ((e & E_ZERO) && !(e & E_COMPRESSED)) {
                r = expand_entry(n, off, i);
                r = r ? r : qcow2_l2_find(n, off, false, &at);
            }
        }
        off += (uint64_t)at.left << s->cluster_bits;
    }
    return r;
}

/* Nobody writes meanwhile. */
static int switch_down(BlkNode *n)
{
    Qcow2 *s = q2(n);
    uint64_t compatible = s->compatible, autoclear = s->autoclear;
    int r = expand_all(n);

    r = r ? r : qcow2_meta_flush(n, true);
    if (r < 0) {
        return r;
    }
    s->version = 2;
    s->compatible = s->autoclear = 0;
    g_clear_pointer(&s->unknown_header, g_free);
    r = write_header_now(n);
    if (r < 0) {
        s->version = 3;
        s->compatible = compatible;
        s->autoclear = autoclear;
        s->broken = true;
    }
    return r;
}

static bool downgrade(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    Error *err = NULL;
    QOp op;
    int r = 0;

    qcow2_exclusive_begin(n, &op);
    if (s->version >= 3 && may_downgrade(n, &err)) {
        r = switch_down(n);
    }
    qcow2_exclusive_end(n, &op);
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    return r == 0 || error_set_errno(errp, -r, "Could not bring the image to version 2");
}

/* ---- names and flags ---- */

static bool same(const char *a, const char *b)
{
    return !strcmp(a ? a : "", b ? b : "");
}

static bool check_backing(BlkNode *n, const Json *o, Error **errp)
{
    const char *file = json_get_string(o, "backing_file"), *format = json_get_string(o, "backing_fmt");

    if ((!file || same(file, n->backing_name)) && (!format || same(format, n->backing_format))) {
        return true;
    }
    error_set(errp, "Cannot amend the backing file");
    return error_hint(errp, "You can use 'qemu-img rebase' instead.\n"), false;
}

static bool amend_data_file(BlkNode *n, const Json *o, Error **errp)
{
    Qcow2 *s = q2(n);
    const char *name = json_get_string(o, "data_file");
    char *old = s->data_file_name;
    uint64_t autoclear = s->autoclear;
    int r;

    if (name && !s->external) {
        return error_set(errp, "data-file can only be set for images that use an external data file");
    }
    if (json_get_bool(o, "data_file_raw", false) && !(s->autoclear & AUTOCLEAR_RAW)) {
        return error_set(errp, "data-file-raw cannot be set on existing images");
    }
    if ((!name || same(name, old)) && (!json_get(o, "data_file_raw") || json_get_bool(o, "data_file_raw", false) || !(autoclear & AUTOCLEAR_RAW))) {
        return true;
    }
    s->data_file_name = name && *name ? g_strdup(name) : name ? NULL : old;
    if (json_get(o, "data_file_raw") && !json_get_bool(o, "data_file_raw", false)) {
        s->autoclear &= ~(uint64_t)AUTOCLEAR_RAW;
        s->raw_data_file = false;
    }
    fiber_mutex_lock(&s->lock);
    r = write_header_now(n);
    fiber_mutex_unlock(&s->lock);
    if (r < 0) {
        if (s->data_file_name != old) {
            g_free(s->data_file_name);
        }
        s->data_file_name = old;
        s->autoclear = autoclear;
        s->raw_data_file = autoclear & AUTOCLEAR_RAW;
        return error_set_errno(errp, -r, "Could not write the header");
    }
    if (s->data_file_name != old) {
        g_free(old);
    }
    return true;
}

static bool amend_lazy(BlkNode *n, bool lazy, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t old;
    int r;

    fiber_mutex_lock(&s->lock);
    if ((lazy && s->version < 3) || lazy == !!(s->compatible & COMPAT_LAZY)) {
        bool same_now = lazy == !!(s->compatible & COMPAT_LAZY);

        fiber_mutex_unlock(&s->lock);
        return same_now || error_set(errp, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
    }
    old = s->compatible;
    s->compatible = lazy ? old | COMPAT_LAZY : old & ~(uint64_t)COMPAT_LAZY;
    r = write_header_now(n);
    if (r < 0) {
        s->compatible = old;
    }
    fiber_mutex_unlock(&s->lock);
    return r == 0 || error_set_errno(errp, -r, "Could not write the header");
}

/* ---- all of it ---- */

static bool has_crypt(const Json *o)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        if (g_str_has_prefix(json_key_at(o, i), "encrypt")) {
            return true;
        }
    }
    return false;
}

bool qcow2_amend(BlkNode *n, Json *o, bool force, Error **errp)
{
    Qcow2 *s = q2(n);
    const char *compat = json_get_string(o, "compat");
    unsigned version = s->version;
    uint64_t size = json_get_u64(o, "size", node_size(n));

    if ((compat && !parse_compat(compat, &version, errp)) || !check_backing(n, o, errp)) {
        return false;
    }
    if (version > s->version && !upgrade(n, errp)) {
        return false;
    }
    if (version < 3 && s->version >= 3 && json_get_u64(o, "refcount_bits", 1u << s->refcount_order) != 16) {
        return error_set(errp, "compat=0.10 requires refcount_bits=16");
    }
    if (version < 3 && json_get_bool(o, "lazy_refcounts", false)) {
        return error_set(errp, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
    }
    return (!json_get(o, "refcount_bits") || amend_width(n, json_get_u64(o, "refcount_bits", 0), errp)) &&
           (!has_crypt(o) || qcow2_crypt_amend(n, o, force, errp)) && amend_data_file(n, o, errp) &&
           (!json_get(o, "lazy_refcounts") || amend_lazy(n, json_get_bool(o, "lazy_refcounts", false), errp)) &&
           (size == node_size(n) || node_resize(n, size, BLK_PREALLOC_OFF, errp)) && (version >= s->version || downgrade(n, errp));
}

const OptKey qcow2_amend_keys[] = {
    LUKS_AMEND_KEYS("encrypt."),
    { "size", OPT_SIZE, "Virtual disk size" },
    { "compat", OPT_STRING, "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { "backing_file", OPT_STRING, "File name of a base image: as it is; rebase changes it" },
    { "backing_fmt", OPT_STRING, "Image format of the base image: as it is; rebase changes it" },
    { "data_file", OPT_STRING, "File name of an external data file" },
    { "data_file_raw", OPT_BOOL, "The external data file must stay valid as a raw image: off" },
    { "lazy_refcounts", OPT_BOOL, "Postpone refcount updates" },
    { "refcount_bits", OPT_NUMBER, "Width of a reference count entry in bits" },
    {}
};
