/* SPDX-License-Identifier: MIT */
/* Making images, and changing their size. */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "block/bitmap.h"
#include "util/size.h"

const OptKey qcow2_create_keys[] = {
    { "encryption", OPT_BOOL, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
    { "encrypt.format", OPT_STRING, "Encrypt the image, format choices: 'aes', 'luks'" },
    { "encrypt.key-secret", OPT_STRING, "ID of secret providing qcow AES key or LUKS passphrase" },
    LUKS_CREATE_KEYS("encrypt."),
    { "cluster_size", OPT_SIZE, "qcow2 cluster size", .def = "65536" },
    { "extended_l2", OPT_BOOL, "Extended L2 tables", .def = "off" },
    { "preallocation", OPT_ENUM, "Preallocation mode (allowed values: off, metadata, falloc, full)", .values = "off|metadata|falloc|full" },
    { "compression_type", OPT_ENUM, "Compression method used for image cluster compression", .values = "zlib|zstd", .def = "zlib" },
    { "keep_data_file", OPT_BOOL, "The external data file is there already: leave what is in it" },
    { "size", OPT_SIZE, "Virtual disk size" },
    { "compat", OPT_STRING, "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Image format of the base image" },
    { "data_file", OPT_STRING, "File name of an external data file" },
    { "data_file_raw", OPT_BOOL, "The external data file must stay valid as a raw image" },
    { "lazy_refcounts", OPT_BOOL, "Postpone refcount updates", .def = "off" },
    { "refcount_bits", OPT_NUMBER, "Width of a reference count entry in bits", .def = "16" },
    {}
};

static unsigned log2_of(uint64_t v)
{
    return v && !(v & (v - 1)) ? __builtin_ctzll(v) : 0;
}

/* ---- options ---- */

static bool parse_compat(Qcow2 *s, const Json *o, Error **errp)
{
    const char *compat = json_get_string(o, "compat");

    s->version = 3;
    if (!compat || !strcmp(compat, "1.1") || !strcmp(compat, "v3")) {
        return true;
    }
    if (strcmp(compat, "0.10") && strcmp(compat, "v2")) {
        return error_set(errp, "Invalid compatibility level: '%s'", compat);
    }
    s->version = 2;
    return true;
}

static bool parse_features(Qcow2 *s, const Json *o, Error **errp)
{
    uint64_t cluster = json_get_u64(o, "cluster_size", 65536), bits = json_get_u64(o, "refcount_bits", 16);

    s->cluster_bits = log2_of(cluster);
    if (s->cluster_bits < 9 || s->cluster_bits > 21) {
        return error_set(errp, "Cluster size must be a power of two between 512 and 2048k");
    }
    if (bits > 64 || !bits || (bits & (bits - 1))) {
        return error_set(errp, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    s->refcount_order = log2_of(bits);
    if (s->version < 3 && bits != 16) {
        return error_set(errp, "Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)");
    }
    if (json_get_bool(o, "lazy_refcounts", false)) {
        if (s->version < 3) {
            return error_set(errp, "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
        s->compatible |= COMPAT_LAZY;
    }
    if (json_get_bool(o, "extended_l2", false)) {
        if (s->version < 3) {
            return error_set(errp, "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
        if (s->cluster_bits < 14) {
            return error_set(errp, "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
        }
        s->incompatible |= INCOMPAT_EXTL2;
    }
    if (json_get_string(o, "compression_type") && !strcmp(json_get_string(o, "compression_type"), "zstd")) {
        if (s->version < 3) {
            return error_set(errp, "Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
        if (!qcow2_compression_known(1)) {
            return error_set(errp, "built without zstd; install libzstd-dev and build again");
        }
        s->compression = 1;
        s->incompatible |= INCOMPAT_COMPRESSION;
    }
    if (json_get_string(o, "data_file")) {
        if (s->version < 3) {
            return error_set(errp, "External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
        s->incompatible |= INCOMPAT_DATA_FILE;
        s->data_file_name = g_strdup(json_get_string(o, "data_file"));
        s->external = true;
    }
    if (json_get_bool(o, "data_file_raw", false)) {
        if (!s->external) {
            return error_set(errp, "data-file-raw requires data-file");
        }
        if (json_get_string(o, "backing_file")) {
            return error_set(errp, "Backing file and data-file-raw cannot be used at the same time");
        }
        s->autoclear |= AUTOCLEAR_RAW;
    }
    return true;
}

/* The data file stays as it is: what is in it must be seen through the image, and not be overwritten. */
static bool parse_keep(const Qcow2 *s, const Json *o, Error **errp)
{
    const char *mode = json_get_string(o, "preallocation");

    if (!json_get_bool(o, "keep_data_file", false)) {
        return true;
    }
    if (!s->external) {
        return error_set(errp, "Must not use 'keep_data_file=on' without 'data_file'");
    }
    if (mode && (!strcmp(mode, "falloc") || !strcmp(mode, "full"))) {
        return error_set(errp, "Preallocating more than only metadata would overwrite the external data file's content and is therefore incompatible with 'keep_data_file=on'");
    }
    return (mode && !strcmp(mode, "metadata")) || (s->autoclear & AUTOCLEAR_RAW) ||
           error_set(errp, "'keep_data_file=on' requires 'preallocation=metadata' or 'data_file_raw=on', or the file contents will not be visible");
}

static bool data_file_ready(Session *session, const Qcow2 *s, const Json *o, uint64_t size, Error **errp)
{
    if (json_get_bool(o, "keep_data_file", false)) {
        return access(s->data_file_name, R_OK | W_OK) == 0 || error_set_errno(errp, errno, "Could not open '%s'", s->data_file_name);
    }
    return blk_create_file(session, s->data_file_name, s->autoclear & AUTOCLEAR_RAW ? size : 0, NULL, errp);
}

static bool parse_options(Qcow2 *s, const Json *o, Error **errp)
{
    return parse_compat(s, o, errp) && parse_features(s, o, errp) && parse_keep(s, o, errp) && qcow2_crypt_plan(s, o, errp);
}

/* ---- the first clusters: header, table of counts, one block of them, L1 ---- */

static int write_skeleton(BlkNode *n, BlkNode *file, uint64_t size, Session *session, const Json *o, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t per_l1, l1_clusters, table_clusters, used, blocks = 1, table_entries;
    g_autofree uint64_t *table = NULL;
    g_autofree uint8_t *block = NULL;
    int r = 0;

    s->cluster_size = 1ull << s->cluster_bits;
    per_l1 = 1ull << (2 * s->cluster_bits - (s->incompatible & INCOMPAT_EXTL2 ? 4 : 3));
    s->l1_size = (size + per_l1 - 1) / per_l1;
    l1_clusters = MAX(1, q_clusters(s, s->l1_size * 8ull));
    s->refblock_bits = s->cluster_bits + 3 - s->refcount_order;
    s->refcount_max = s->refcount_order == 6 ? INT64_MAX : (1ull << (1u << s->refcount_order)) - 1;
    for (;;) {                                  /* the blocks count themselves */
        table_clusters = q_clusters(s, blocks * 8);
        used = 1 + table_clusters + blocks + l1_clusters + q_clusters(s, s->crypt_length);
        if (used <= blocks << s->refblock_bits) {
            break;
        }
        blocks++;
    }
    table_entries = table_clusters << (s->cluster_bits - 3);
    table = g_new0(uint64_t, table_entries);
    for (uint64_t b = 0; b < blocks; b++) {
        table[b] = (1 + table_clusters + b) << s->cluster_bits;
    }
    block = g_malloc0(blocks << s->cluster_bits);
    for (uint64_t c = 0; c < used; c++) {
        qcow2_count_out(s, block + ((c >> s->refblock_bits) << s->cluster_bits), c & ((1ull << s->refblock_bits) - 1), 1);
    }
    s->reftable_offset = s->cluster_size;
    s->reftable_size = table_entries;
    s->l1_offset = (1 + table_clusters + blocks) << s->cluster_bits;
    s->crypt_offset = s->crypt_length ? s->l1_offset + (l1_clusters << s->cluster_bits) : 0;
    r = node_pwrite(file, (1 + table_clusters) << s->cluster_bits, block, blocks << s->cluster_bits);
    r = r ? r : qcow2_write_words(n, s->reftable_offset, table, table_entries);
    r = r ? r : node_zeroes(file, s->l1_offset, l1_clusters << s->cluster_bits, BLK_MAY_UNMAP);
    r = r || qcow2_crypt_make(s, file, session, o, errp) ? r : -EIO;
    r = r ? r : node_flush(file);
    return r ? r : qcow2_write_header(n);
}

/* A node that is nothing but a header to be written. */
static int make_image(const Qcow2 *want, BlkChild *file, const Json *o, uint64_t size, Session *session, Error **errp)
{
    Qcow2 s = *want;
    BlkNode n = { .state = &s, .size = size, .file = file };
    int r;

    s.unknown_ext = g_ptr_array_new();
    s.snapshots = g_ptr_array_new();
    n.backing_name = (char *)json_get_string(o, "backing_file");
    n.backing_format = (char *)json_get_string(o, "backing_fmt");
    r = write_skeleton(&n, file->node, size, session, o, errp);
    g_ptr_array_unref(s.unknown_ext);
    g_ptr_array_unref(s.snapshots);
    return r;
}

static BlkPrealloc prealloc_mode(const Json *o)
{
    const char *mode = json_get_string(o, "preallocation");

    return !mode || !strcmp(mode, "off") ? BLK_PREALLOC_OFF : !strcmp(mode, "metadata") ? BLK_PREALLOC_METADATA : !strcmp(mode, "falloc") ? BLK_PREALLOC_FALLOC : BLK_PREALLOC_FULL;
}

static bool preallocate_new(Session *s, const char *filename, const char *secret, uint64_t size, BlkPrealloc mode, Error **errp)
{
    Json *o = json_object();
    Blk *b;
    int r;

    json_set_string(o, "driver", "qcow2");
    if (secret) {
        json_set_string(o, "encrypt.key-secret", secret);
    }
    b = blk_open(s, filename, o, BLK_O_RDWR | BLK_O_NO_BACKING | BLK_O_NO_FLUSH, BLK_PERM_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_READ, errp);
    if (!b) {
        return false;
    }
    r = qcow2_preallocate(blk_node(b), 0, size, mode);
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not preallocate metadata");
}

bool qcow2_size_fits(uint64_t size, unsigned cluster_bits, bool extended, Error **errp)
{
    bool fits = size <= (uint64_t)MAX_L1_BYTES / 8 << (2 * cluster_bits - (extended ? 4 : 3)) && size <= INT64_MAX - (4 << 20);

    return fits || error_set(errp, "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
}

static bool check_sizes(const Qcow2 *s, const Json *o, uint64_t size, Error **errp)
{
    if (size & 511) {
        return error_set(errp, "The image size must be a multiple of 512 bytes");
    }
    if (!qcow2_size_fits(size, s->cluster_bits, s->incompatible & INCOMPAT_EXTL2, errp)) {
        return false;
    }
    return prealloc_mode(o) == BLK_PREALLOC_OFF || !json_get_string(o, "backing_file") || (s->incompatible & INCOMPAT_EXTL2) ||
           error_set(errp, "Backing file and preallocation can only be used at the same time if extended_l2 is enabled");
}

static bool make_tables(Session *session, Qcow2 *s, const char *filename, Json *o, uint64_t size, Error **errp)
{
    Blk *b = blk_open(session, filename, NULL, BLK_O_RDWR | BLK_O_PROTOCOL_NODE | BLK_O_UNMAP, BLK_PERM_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_READ, errp);
    Error *err = NULL;
    int r;

    if (!b) {
        return false;
    }
    r = make_image(s, &(BlkChild){ .node = blk_node(b) }, o, size, session, &err);
    blk_free(b);
    if (r < 0 && !err) {
        error_set_errno(&err, -r, "Could not write the image '%s'", filename);
    }
    if (r < 0) {
        error_propagate(errp, err);
    }
    return r == 0;
}

static bool make_files(Session *session, Qcow2 *s, const char *filename, Json *o, uint64_t size, Error **errp)
{
    BlkPrealloc mode = prealloc_mode(o);

    if (!blk_create_file(session, filename, 0, NULL, errp) || (s->external && !data_file_ready(session, s, o, size, errp)) || !make_tables(session, s, filename, o, size, errp)) {
        return false;
    }
    if (s->external && mode == BLK_PREALLOC_OFF && (s->autoclear & AUTOCLEAR_RAW)) {
        mode = BLK_PREALLOC_METADATA;           /* the data file is the disk from the start */
    }
    return mode == BLK_PREALLOC_OFF || preallocate_new(session, filename, encrypt_option(o, "key-secret"), size, mode, errp);
}

bool qcow2_create(Session *session, const char *filename, Json *o, Error **errp)
{
    Qcow2 s = {};
    uint64_t size = json_get_u64(o, "size", 0);
    bool ok = parse_options(&s, o, errp) && check_sizes(&s, o, size, errp), there = !s.data_file_name || blk_host_file_there(s.data_file_name);

    ok = ok && make_files(session, &s, filename, o, size, errp);
    if (!ok && !there) {
        blk_host_file_remove(s.data_file_name);
    }
    g_free(s.data_file_name);
    return ok;
}

/* ---- preallocation ---- */

static int prealloc_run(BlkNode *n, uint64_t off, uint64_t clusters, uint64_t *got, int64_t *host)
{
    Qcow2 *s = q2(n);
    QL2 at;
    int r = qcow2_l2_find(n, off, true, &at);

    if (r < 0) {
        return r;
    }
    *got = MIN(clusters, at.left);
    *host = s->external ? (int64_t)off : qcow2_alloc(n, got, false);
    if (*host < 0) {
        return *host;
    }
    r = qcow2_l2_find(n, off, true, &at);
    for (uint64_t i = 0; i < *got && r == 0; i++) {
        qcow2_l2_set(s, &at, i, (*host + (i << s->cluster_bits)) | E_COPIED, s->sc_per_cluster > 1 ? (n->backing_name ? 0 : 0xffffffff) : 0);
    }
    return r;
}

static int prealloc_data(BlkNode *n, int64_t host, uint64_t bytes, BlkPrealloc mode, bool fresh)
{
    Qcow2 *s = q2(n);
    uint64_t end = host + bytes;
    Error *err = NULL;
    int r = 0;

    if (mode == BLK_PREALLOC_METADATA && (s->external || fresh)) {
        if (end > node_size(s->data)) {
            r = node_resize(s->data, end, BLK_PREALLOC_OFF, &err) ? 0 : -ENOSPC;
        }
    } else if (end > node_size(s->data) && node_size(s->data) <= (uint64_t)host) {
        r = node_resize(s->data, host, BLK_PREALLOC_OFF, &err) && node_resize(s->data, end, mode, &err) ? 0 : -ENOSPC;
    } else {
        r = node_zeroes(s->data, host, bytes, 0);
    }
    error_free(err);
    return r;
}

int qcow2_preallocate(BlkNode *n, uint64_t from, uint64_t to, BlkPrealloc mode)
{
    Qcow2 *s = q2(n);
    uint64_t off = from & ~(s->cluster_size - 1), end = (to + s->cluster_size - 1) & ~(s->cluster_size - 1);
    QOp op;
    int r = 0;

    qcow2_exclusive_begin(n, &op);
    while (off < end && r == 0) {
        uint64_t got = 0;
        int64_t host = 0;
        QL2 at;

        r = qcow2_l2_find(n, off, false, &at);
        if (r == 0 && at.slice && qcow2_l2_entry(s, &at, 0)) {
            off += s->cluster_size;
            continue;
        }
        r = r ? r : prealloc_run(n, off, (end - off) >> s->cluster_bits, &got, &host);
        if (r == 0) {
            bool fresh = s->external || q_take_fresh(s, host, got << s->cluster_bits);
            r = prealloc_data(n, host, s->external ? MIN(got << s->cluster_bits, to - off) : got << s->cluster_bits, mode, fresh);
        }
        off += got << s->cluster_bits;
    }
    qcow2_exclusive_end(n, &op);
    return r;
}

/* ---- resize ---- */

static int shrink(BlkNode *n, uint64_t size)
{
    Qcow2 *s = q2(n);
    uint64_t start = (size + s->cluster_size - 1) & ~(s->cluster_size - 1), old = node_size(n);
    int r = 0;

    for (uint64_t off = start; off < old && r == 0;) {
        QL2 at;

        r = qcow2_l2_find(n, off, false, &at);
        if (r == 0 && at.slice) {
            r = qcow2_l2_find(n, off, true, &at);
        }
        for (unsigned i = 0; r == 0 && at.slice && i < at.left && off + ((uint64_t)i << s->cluster_bits) < old; i++) {
            uint64_t e = qcow2_l2_entry(s, &at, i);

            if (e || qcow2_l2_bitmap(s, &at, i)) {
                qcow2_l2_release(s, e);
                qcow2_l2_set(s, &at, i, 0, 0);
            }
        }
        off += (uint64_t)at.left << s->cluster_bits;
    }
    return r;
}

bool qcow2_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t old = node_size(n), shift = q_l1_shift(s), need = (size + (1ull << shift) - 1) >> shift;
    QOp op;
    int r = 0;

    if (size & 511) {
        return error_set(errp, "The new size must be a multiple of 512");
    }
    if (s->snapshots->len && s->version < 3) {
        return error_set(errp, "Can't resize a v2 image which has snapshots");
    }
    for (const BlkBitmap *b = n->bitmaps; b; b = b->next) {     /* the layer makes the others as long */
        if (b->inconsistent) {
            return error_set(errp, "Bitmap '%s' is inconsistent and cannot be resized: remove it first", b->name);
        }
    }
    if (size < old && prealloc != BLK_PREALLOC_OFF) {
        return error_set(errp, "Preallocation can't be used for shrinking an image");
    }
    qcow2_exclusive_begin(n, &op);
    if (size < old) {
        r = shrink(n, size);
    } else {
        r = qcow2_vmstate_drop(n);              /* the disk shall not find it at its end */
        r = r ? r : qcow2_l1_grow(n, need);
    }
    r = r ? r : qcow2_meta_flush(n, true);
    if (r == 0) {
        __atomic_store_n(&n->size, size, __ATOMIC_RELAXED);
        r = qcow2_write_header(n);
        r = r ? r : node_flush(n->file->node);
        __atomic_store_n(&n->size, r ? old : size, __ATOMIC_RELAXED);
    }
    qcow2_exclusive_end(n, &op);
    if (r < 0) {
        return error_set_errno(errp, -r, size < old ? "Failed to discard cropped clusters" : "Failed to grow the L1 table");
    }
    if (s->raw_data_file && !node_resize(s->data, size, prealloc, errp)) {
        return false;
    }
    if (size > old && prealloc != BLK_PREALLOC_OFF) {
        r = qcow2_preallocate(n, old, size, prealloc);
        if (r < 0) {
            return error_set_errno(errp, -r, "Failed to preallocate");
        }
    }
    __atomic_store_n(&n->size, old, __ATOMIC_RELAXED);      /* the layer tells the users */
    return true;
}
