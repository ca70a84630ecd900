/* SPDX-License-Identifier: MIT */
/* Opening and closing qcow2 images; the driver's row. */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <string.h>

#include "block/grains.h"
#include "util/bswap.h"
#include "util/size.h"

static const OptKey open_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "what answers for what is not in it; null: nothing" },
    { "data-file", OPT_ANY, "what holds the data" },
    { "lazy-refcounts", OPT_BOOL, "", .absent = "counts are always kept in order; the image's own flag is honoured" },
    { "l2-cache-size", OPT_SIZE, "memory for L2 tables", .def = "32M" },
    { "refcount-cache-size", OPT_SIZE, "memory for reference counts", .def = "256K" },
    { "cache-size", OPT_SIZE, "both together" },
    { "l2-cache-entry-size", OPT_SIZE, "", .absent = "tables are read 4 KiB at a time" },
    { "cache-clean-interval", OPT_NUMBER, "", .absent = "memory is bounded by l2-cache-size" },
    { "pass-discard-request", OPT_BOOL, "", .absent = "discard=unmap decides" },
    { "pass-discard-snapshot", OPT_BOOL, "", .absent = "discard=unmap decides" },
    { "pass-discard-other", OPT_BOOL, "", .absent = "freed clusters are discarded with the rest" },
    { "overlap-check", OPT_ANY, "", .absent = "metadata is not compared with each write" },
    { "encrypt", OPT_ANY, "how it is encrypted: format, key-secret" },
    { "encrypt.format", OPT_STRING, "luks or aes" },
    { "encrypt.key-secret", OPT_STRING, "id of the secret with the password" },
    {}
};

static int qcow2_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && (uint32_t)ldl_be_p(buf) == QCOW2_MAGIC && (uint32_t)ldl_be_p(buf + 4) >= 2 ? 100 : 0;
}

static void state_init(BlkNode *n)
{
    Qcow2 *s = q2(n);

    fiber_mutex_init(&s->lock);
    fiber_queue_init(&s->ops_wait);
    io_lock_init(&s->ops_lock);
    fiber_queue_init(&s->packers_wait);
    fiber_queue_init(&s->turn_wait);
    io_lock_init(&s->packers_lock);
    s->packers_max = 2 * g_get_num_processors();
    s->unknown_ext = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    s->snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)qcow2_snapshot_free);
    s->frees[0] = g_array_new(false, false, sizeof(QRun));
    s->frees[1] = g_array_new(false, false, sizeof(QRun));
}

static void state_free(BlkNode *n)
{
    Qcow2 *s = q2(n);

    qcow2_crypt_free(s);
    qcache_free(&s->l2);
    qcache_free(&s->ref);
    g_free(s->l1);
    g_free(s->reftable);
    g_free(s->unknown_header);
    g_free(s->data_file_name);
    g_ptr_array_unref(s->unknown_ext);
    g_ptr_array_unref(s->snapshots);
    g_array_unref(s->frees[0]);
    g_array_unref(s->frees[1]);
    fiber_queue_destroy(&s->ops_wait);
    io_lock_destroy(&s->ops_lock);
    qcow2_packers_free(s);
    fiber_queue_destroy(&s->packers_wait);
    fiber_queue_destroy(&s->turn_wait);
    io_lock_destroy(&s->packers_lock);
    fiber_mutex_destroy(&s->lock);
}

static bool open_data_file(BlkNode *n, Json *o, Error **errp)
{
    Qcow2 *s = q2(n);
    g_autofree char *path = NULL;
    BlkChild *c;

    s->data = n->file->node;
    if (!(s->incompatible & INCOMPAT_DATA_FILE)) {
        return !json_get(o, "data-file") || error_set(errp, "'data-file' can only be set for images with an external data file");
    }
    if (n->flags & BLK_O_NO_IO) {
        s->external = true;
        s->raw_data_file = s->autoclear & AUTOCLEAR_RAW;
        return true;
    }
    path = s->data_file_name ? blk_path_combine(n->file->node->filename, s->data_file_name) : NULL;
    if (!path && !json_get(o, "data-file")) {
        return error_set(errp, "'data-file' is required for this image");
    }
    c = blk_open_child(n, o, "data-file", path, BLK_CHILD_DATA, 0, errp);
    if (!c) {
        return false;
    }
    s->data = c->node;
    s->external = true;
    s->raw_data_file = s->autoclear & AUTOCLEAR_RAW;
    return true;
}

static void child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    Qcow2 *s = q2(n);

    if (c->role != BLK_CHILD_BACKING && s->data == before) {
        s->data = c->node;
    }
    s->luks.file = n->file->node;
}

static void make_caches(BlkNode *n, Json *o)
{
    Qcow2 *s = q2(n);
    bool once = n->read_only && (n->flags & BLK_O_ONCE);
    unsigned slice = MIN(once ? SLICE_ONCE : SLICE, s->cluster_size), least = once ? 4 : 16;
    uint64_t l2 = json_get_u64(o, "l2-cache-size", json_get_u64(o, "cache-size", once ? 4 * SLICE_ONCE : 32 * MiB)), ref = json_get_u64(o, "refcount-cache-size", 256 * KiB);
    uint64_t need = (node_size(n) >> s->cluster_bits) * s->l2_entry_size / slice + least;

    qcache_init(&s->l2, slice, CLAMP(MIN(l2 / slice, need), least, 1u << 20));
    slice = MIN(SLICE, s->cluster_size);
    qcache_init(&s->ref, slice, CLAMP(ref / slice, 16, 1u << 20));
}

/* Bits that promise what we do not keep up are cleared before the first write. */
static bool prepare_writes(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t keep = s->autoclear & (AUTOCLEAR_BITMAPS | (s->external ? AUTOCLEAR_RAW : 0));
    int r = 0;

    if (s->autoclear != keep && s->version >= 3) {
        s->autoclear = keep;
        r = qcow2_write_header(n);
        r = r ? r : node_flush(n->file->node);
    }
    r = r ? r : qcow2_bitmaps_mark_in_use(n);
    return r == 0 || error_set_errno(errp, -r, "Could not update qcow2 header");
}

/* Counts of an image that was not closed may be too small: they are made right before anything is written. */
static bool repair_dirty(BlkNode *n, Error **errp)
{
    BlkCheck c = { .repair_leaks = true, .repair_all = true };
    int r;

    if (!(q2(n)->incompatible & INCOMPAT_DIRTY) || n->read_only || (n->flags & BLK_O_CHECK)) {
        return true;
    }
    r = qcow2_check(n, &c);
    if (r == 0 && c.corruptions == c.corruptions_fixed) {
        r = qcow2_set_incompatible(n, INCOMPAT_DIRTY, false);
    }
    return r == 0 || error_set_errno(errp, -r, "Could not repair dirty image");
}

static bool open_tables(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    int r;

    s->l1 = g_new0(uint64_t, MAX(s->l1_size, 1));
    r = qcow2_read_words(n, s->l1_offset, s->l1, s->l1_size);
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read L1 table");
    }
    r = n->read_only ? 0 : qcow2_refcount_open(n);
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not initialize refcount handling");
    }
    r = qcow2_snapshots_read(n, errp);
    if (r < 0) {
        return false;
    }
    s->fresh_from = (node_size(n->file->node) + s->cluster_size - 1) & ~(s->cluster_size - 1);
    return true;
}

static bool qcow2_open(BlkNode *n, Json *o, Error **errp)
{
    Qcow2 *s = q2(n);

    state_init(n);
    if (!blk_open_child(n, o, "file", NULL, BLK_CHILD_FILE, 0, errp)) {
        goto fail;
    }
    n->read_only = n->read_only || n->file->node->read_only;
    if (!qcow2_read_header(n, errp)) {
        goto fail;
    }
    if (s->crypt && !qcow2_crypt_open(n, o, errp)) {
        goto fail;
    }
    make_caches(n, o);
    if (!open_tables(n, errp) || !open_data_file(n, o, errp)) {
        goto fail;
    }
    n->cluster = s->cluster_size;
    format_backing_option(n, json_get(o, "backing"));
    if (!(n->flags & (BLK_O_NO_IO | BLK_O_CHECK)) && !qcow2_bitmaps_load(n, errp)) {
        goto fail;
    }
    if (!n->read_only && !(n->flags & BLK_O_CHECK) && (!prepare_writes(n, errp) || !repair_dirty(n, errp))) {
        goto fail;
    }
    return true;
fail:
    state_free(n);
    return false;
}

static bool qcow2_reopen_rw(BlkNode *n, Error **errp)
{
    if (q2(n)->incompatible & INCOMPAT_CORRUPT) {
        return error_set(errp, "qcow2: Image is corrupt; cannot be opened read/write");
    }
    q2(n)->fresh_from = (node_size(n->file->node) + q2(n)->cluster_size - 1) & ~(q2(n)->cluster_size - 1);
    return prepare_writes(n, errp) && repair_dirty(n, errp);
}

static bool qcow2_reopen_ro(BlkNode *n, Error **errp)
{
    int r = qcow2_bitmaps_store(n);

    r = r ? r : qcow2_flush(n);
    return r == 0 || error_set_errno(errp, -r, "Could not store the bitmaps of '%s'", n->name);
}

/* Everything is let go; what was here answers from below again. */
static int make_empty(BlkNode *n, uint64_t size)
{
    QOp op;
    int r = 0;

    qcow2_exclusive_begin(n, &op);
    for (uint64_t off = 0; off < size && r == 0;) {
        QL2 at;

        r = qcow2_l2_find(n, off, false, &at);
        r = r == 0 && at.slice ? qcow2_l2_find(n, off, true, &at) : r;
        for (unsigned i = 0; r == 0 && at.slice && i < at.left; i++) {
            uint64_t e = qcow2_l2_entry(q2(n), &at, i);

            if (e || qcow2_l2_bitmap(q2(n), &at, i)) {
                qcow2_l2_release(q2(n), e);
                qcow2_l2_set(q2(n), &at, i, 0, 0);
            }
        }
        off += (uint64_t)at.left << q2(n)->cluster_bits;
    }
    r = r ? r : qcow2_meta_flush(n, true);
    qcow2_exclusive_end(n, &op);
    return r;
}

/* All tables out, then what they freed, then those counts. */
static void qcow2_close(BlkNode *n)
{
    Qcow2 *s = q2(n);

    if (!n->read_only && !s->broken && !(n->flags & BLK_O_CHECK)) {
        qcow2_bitmaps_store(n);                 /* what can not be stored stays marked as in use */
    }
    if (!n->read_only && !s->broken) {
        fiber_mutex_lock(&s->lock);
        qcow2_settle(n);
        fiber_mutex_unlock(&s->lock);
    }
    state_free(n);
}

static bool qcow2_dirty(BlkNode *n)
{
    return q2(n)->incompatible & INCOMPAT_DIRTY;
}

static bool qcow2_encrypted(BlkNode *n)
{
    return q2(n)->crypt != 0;
}

static bool change_backing(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    char *old_name = n->backing_name, *old_format = n->backing_format;
    int r;

    if (q2(n)->raw_data_file) {
        return error_set_errno(errp, EINVAL, "a raw data file knows no backing file");
    }
    fiber_mutex_lock(&q2(n)->lock);         /* no table is half made */
    n->backing_name = g_strdup(backing);
    n->backing_format = g_strdup(backing ? format : NULL);
    r = qcow2_write_header(n);
    r = r ? r : node_flush(n->file->node);
    fiber_mutex_unlock(&q2(n)->lock);
    if (r < 0) {
        g_free(n->backing_name);
        g_free(n->backing_format);
        n->backing_name = old_name;
        n->backing_format = old_format;
        return error_set_errno(errp, -r, "the header has no room for it");
    }
    g_free(old_name);
    g_free(old_format);
    return true;
}

const BlkImageOps qcow2_image_ops = {
    .thin = true,
    .info = qcow2_info, .dirty = qcow2_dirty, .encrypted = qcow2_encrypted, .check = qcow2_check, .change_backing = change_backing, .make_empty = make_empty,
    .snapshot_create = qcow2_snapshot_create, .snapshot_apply = qcow2_snapshot_apply, .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_list = qcow2_snapshot_list, .snapshot_load = qcow2_snapshot_load,
    .vmstate_write = qcow2_vmstate_write, .vmstate_read = qcow2_vmstate_read, .measure = qcow2_measure,
    .bitmap_can_store = qcow2_bitmap_can_store, .bitmap_remove = qcow2_bitmap_remove,
    .amend = qcow2_amend, .amend_options = qcow2_amend_keys,
};

static const BlkDriver qcow2 = {
    .name = "qcow2", .help = "copy-on-write images, versions 2 and 3", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Qcow2), .options = open_keys, .view_options = "data-file",
    .probe = qcow2_probe,
    .open = qcow2_open, .reopen_rw = qcow2_reopen_rw, .reopen_ro = qcow2_reopen_ro, .close = qcow2_close, .child_moved = child_moved,
    .read = qcow2_read, .write = qcow2_write, .write_compressed = qcow2_write_compressed, .copy = qcow2_copy, .flush = qcow2_flush,
    .discard = qcow2_discard, .zeroes = qcow2_zeroes, .status = qcow2_status, .resize = qcow2_resize,
    .create_options = qcow2_create_keys, .create = qcow2_create, .preallocates = true, .image = &qcow2_image_ops, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(qcow2);
