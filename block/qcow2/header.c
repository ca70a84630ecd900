/* SPDX-License-Identifier: MIT */
/* The header and its extensions: nothing in it is believed before it is checked. */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

/* ---- reading ---- */

static bool check_table(const Qcow2 *s, uint64_t offset, uint64_t bytes, uint64_t max, const char *name, Error **errp)
{
    if (bytes > max) {
        return error_set(errp, "%s too large", name);
    }
    if ((offset & (s->cluster_size - 1)) || offset > INT64_MAX - bytes) {
        return error_set(errp, "%s offset invalid", name);
    }
    return true;
}

static bool read_v3(Qcow2 *s, const uint8_t *h, Error **errp)
{
    s->refcount_order = 4;
    s->header_length = H_V2_LENGTH;
    if (s->version == 2) {
        return true;
    }
    s->incompatible = ldq_be_p(h + H_INCOMPATIBLE);
    s->compatible = ldq_be_p(h + H_COMPATIBLE);
    s->autoclear = ldq_be_p(h + H_AUTOCLEAR);
    s->refcount_order = (uint32_t)ldl_be_p(h + H_REFCOUNT_ORDER);
    s->header_length = (uint32_t)ldl_be_p(h + H_LENGTH);
    if (s->header_length < H_V3_LENGTH) {
        return error_set(errp, "qcow2 header too short");
    }
    if (s->header_length > s->cluster_size || s->header_length & 7) {
        return error_set(errp, "qcow2 header exceeds cluster size");
    }
    if (s->header_length > H_COMPRESSION) {
        s->compression = h[H_COMPRESSION];
    }
    if (s->refcount_order > 6) {
        return error_set(errp, "Reference count entry width too large; may not exceed 64 bits");
    }
    if (!!(s->incompatible & INCOMPAT_COMPRESSION) != (s->compression != 0)) {
        return error_set(errp, "qcow2: Compression type incompatible feature bit must %sbe set", s->compression ? "" : "not ");
    }
    return true;
}

static void geometry(Qcow2 *s)
{
    s->cluster_size = 1ull << s->cluster_bits;
    s->l2_entry_size = s->incompatible & INCOMPAT_EXTL2 ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->l2_entry_size == 16 ? 4 : 3);
    s->sc_per_cluster = s->l2_entry_size == 16 ? 32 : 1;
    s->sc_bits = s->cluster_bits - (s->sc_per_cluster == 32 ? 5 : 0);
    s->sc_size = 1ull << s->sc_bits;
    s->refcount_max = s->refcount_order == 6 ? INT64_MAX : (1ull << (1u << s->refcount_order)) - 1;
    s->refblock_bits = s->cluster_bits + 3 - s->refcount_order;
}

/* "Unsupported qcow2 feature(s): NAME": the image has a table of names. */
static bool unknown_features(BlkNode *n, uint64_t bits, Error **errp)
{
    return error_set(errp, "Unsupported qcow2 feature(s): Unknown incompatible feature: %" PRIx64, bits);
}

static bool read_backing(BlkNode *n, const uint8_t *h, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t offset = ldq_be_p(h + H_BACKING_OFFSET);
    uint32_t len = ldl_be_p(h + H_BACKING_SIZE);

    if (!offset) {
        return true;
    }
    if (len > MIN(1023, s->cluster_size - MIN(s->cluster_size, offset))) {
        return error_set(errp, "Backing file name too long");
    }
    n->backing_name = g_malloc0(len + 1);
    if (node_pread(n->file->node, offset, n->backing_name, len) < 0) {
        return error_set(errp, "Could not read backing file name");
    }
    if (!len) {
        g_clear_pointer(&n->backing_name, g_free);
    }
    return true;
}

static bool read_extension(BlkNode *n, uint32_t type, const uint8_t *p, uint32_t len, Error **errp)
{
    Qcow2 *s = q2(n);

    switch (type) {
    case EXT_BACKING_FORMAT:
        g_free(n->backing_format);
        n->backing_format = len < 16 ? g_strndup((const char *)p, len) : NULL;
        return n->backing_format || error_set(errp, "ERROR: ext_backing_format: len=%u too large (>=16)", len);
    case EXT_DATA_FILE:
        g_free(s->data_file_name);
        s->data_file_name = g_strndup((const char *)p, len);
        return true;
    case EXT_BITMAPS:
        if (len != 24) {
            return error_set(errp, "bitmaps_ext: Invalid extension length");
        }
        s->bitmaps_count = ldl_be_p(p);
        s->bitmaps_bytes = ldq_be_p(p + 8);
        s->bitmaps_offset = ldq_be_p(p + 16);
        return true;
    case EXT_CRYPT:
        if (len != 16) {
            return error_set(errp, "CRYPTO header extension size %u, but expected size 16", len);
        }
        s->crypt_offset = ldq_be_p(p);
        s->crypt_length = ldq_be_p(p + 8);
        return true;
    case EXT_FEATURES:
        return true;                            /* written anew */
    default:
        g_ptr_array_add(s->unknown_ext, g_bytes_new(p - 8, 8 + ((len + 7) & ~7u)));
        return true;
    }
}

static bool read_extensions(BlkNode *n, const uint8_t *cluster, uint64_t end, Error **errp)
{
    Qcow2 *s = q2(n);
    uint64_t at = s->header_length;

    while (at + 8 <= end) {
        uint32_t type = ldl_be_p(cluster + at), len = ldl_be_p(cluster + at + 4);

        if (type == EXT_END) {
            break;
        }
        if (len > end - at - 8) {
            return error_set(errp, "Header extension too large");
        }
        if (!read_extension(n, type, cluster + at + 8, len, errp)) {
            return false;
        }
        at += 8 + ((len + 7) & ~7ull);
    }
    return true;
}

bool qcow2_read_header(BlkNode *n, Error **errp)
{
    Qcow2 *s = q2(n);
    uint8_t h[512];
    g_autofree uint8_t *cluster = NULL;
    uint64_t backing, end;

    if (node_size(n->file->node) < H_V2_LENGTH) {
        return error_set(errp, node_size(n->file->node) < 8 ? "Image is not in qcow2 format" : "qcow2 header too short");
    }
    if (node_pread_padded(n->file->node, 0, h, sizeof(h)) < 0) {
        return error_set(errp, "Could not read qcow2 header");
    }
    if ((uint32_t)ldl_be_p(h) != QCOW2_MAGIC) {
        return error_set(errp, "Image is not in qcow2 format");
    }
    s->version = ldl_be_p(h + H_VERSION);
    if (s->version < 2 || s->version > 3) {
        return error_set(errp, "Unsupported qcow2 version %u", s->version);
    }
    s->cluster_bits = ldl_be_p(h + H_CLUSTER_BITS);
    if (s->cluster_bits < 9 || s->cluster_bits > 21) {
        return error_set(errp, "Unsupported cluster size: 2^%u", s->cluster_bits);
    }
    s->cluster_size = 1ull << s->cluster_bits;
    if (!read_v3(s, h, errp)) {
        return false;
    }
    if (s->incompatible & ~(uint64_t)INCOMPAT_KNOWN) {
        return unknown_features(n, s->incompatible & ~(uint64_t)INCOMPAT_KNOWN, errp);
    }
    if ((s->incompatible & INCOMPAT_CORRUPT) && !n->read_only && !(n->flags & BLK_O_CHECK)) {
        return error_set(errp, "qcow2: Image is corrupt; cannot be opened read/write");
    }
    if (!qcow2_compression_known(s->compression)) {
        return error_set(errp, s->compression == 1 ? "built without zstd; install libzstd-dev and build again" : "qcow2: unknown compression type: %u", s->compression);
    }
    if ((s->incompatible & INCOMPAT_EXTL2) && s->cluster_bits < 14) {
        return error_set(errp, "qcow2: Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
    }
    geometry(s);
    n->size = ldq_be_p(h + H_SIZE);
    s->crypt = ldl_be_p(h + H_CRYPT);
    s->l1_size = ldl_be_p(h + H_L1_SIZE);
    s->l1_offset = ldq_be_p(h + H_L1_OFFSET);
    s->reftable_offset = ldq_be_p(h + H_REFTABLE_OFFSET);
    uint64_t reftable_bytes = (uint64_t)(uint32_t)ldl_be_p(h + H_REFTABLE_CLUSTERS) << s->cluster_bits;
    s->snapshots_offset = ldq_be_p(h + H_SNAPSHOTS_OFFSET);
    if (!check_table(s, s->reftable_offset, reftable_bytes, MAX_REFTABLE_BYTES, "Reference count table", errp) ||
        !check_table(s, s->l1_offset, s->l1_size * 8ull, MAX_L1_BYTES, "Active L1 table", errp)) {
        return false;
    }
    if (!reftable_bytes && !(n->flags & BLK_O_CHECK)) {
        return error_set(errp, "Image does not contain a reference count table");
    }
    s->reftable_size = reftable_bytes / 8;
    if (n->size > INT64_MAX - s->cluster_size || (n->size >> q_l1_shift(s)) + !!(n->size & ((1ull << q_l1_shift(s)) - 1)) > s->l1_size) {
        return error_set(errp, n->size > INT64_MAX - s->cluster_size ? "Image is too big" : "L1 table is too small");
    }
    cluster = g_malloc0(s->cluster_size);
    if (node_pread_padded(n->file->node, 0, cluster, s->cluster_size) < 0) {
        return error_set(errp, "Could not read qcow2 header");
    }
    if (s->version >= 3 && s->header_length > H_OUR_LENGTH) {
        s->unknown_header = g_memdup2(cluster + H_OUR_LENGTH, s->header_length - H_OUR_LENGTH);
    }
    backing = ldq_be_p(h + H_BACKING_OFFSET);
    end = backing && backing < s->cluster_size ? backing : s->cluster_size;
    return read_extensions(n, cluster, end, errp) && read_backing(n, h, errp);
}

/* ---- writing ---- */

enum { SECTOR = 512 };                   /* what a power cut leaves whole */

typedef struct {
    uint8_t *p;
    uint64_t at, room;
    bool full;
} Out;

static void put(Out *o, const void *bytes, uint64_t len)
{
    if (o->full || o->at + len > o->room) {
        o->full = true;
        return;
    }
    if (len) {
        memcpy(o->p + o->at, bytes, len);
    }
    o->at += len;
}

static void put_extension(Out *o, uint32_t type, const void *bytes, uint32_t len)
{
    uint8_t head[8], zero[8] = {};

    stl_be_p(head, type);
    stl_be_p(head + 4, len);
    put(o, head, 8);
    put(o, bytes, len);
    put(o, zero, -len & 7);
}

static const struct {
    uint8_t type, bit;
    const char *name;
} features[] = {
    { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" }, { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" },
    { 1, 0, "lazy refcounts" }, { 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
};

/* Of the features that the image has, as many as the first sector has room for. */
static void put_features(Out *o, const Qcow2 *s)
{
    const uint64_t bits[] = { s->incompatible, s->compatible, s->autoclear };
    uint8_t rows[G_N_ELEMENTS(features)][48] = {};
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(features) && o->at + 16 + (n + 1) * sizeof(*rows) <= SECTOR; i++) {
        if (bits[features[i].type] >> features[i].bit & 1) {
            rows[n][0] = features[i].type;
            rows[n][1] = features[i].bit;
            memcpy(rows[n++] + 2, features[i].name, strlen(features[i].name));
        }
    }
    if (n) {
        put_extension(o, EXT_FEATURES, rows, n * sizeof(*rows));
    }
}

static void put_bitmaps(Out *o, const Qcow2 *s)
{
    uint8_t b[24] = {};

    stl_be_p(b, s->bitmaps_count);
    stq_be_p(b + 8, s->bitmaps_bytes);
    stq_be_p(b + 16, s->bitmaps_offset);
    put_extension(o, EXT_BITMAPS, b, sizeof(b));
}

static void fixed_fields(BlkNode *n, uint8_t *h)
{
    Qcow2 *s = q2(n);

    stl_be_p(h + H_MAGIC, QCOW2_MAGIC);
    stl_be_p(h + H_VERSION, s->version);
    stl_be_p(h + H_CLUSTER_BITS, s->cluster_bits);
    stq_be_p(h + H_SIZE, node_size(n));
    stl_be_p(h + H_CRYPT, s->crypt);
    stl_be_p(h + H_L1_SIZE, s->l1_size);
    stq_be_p(h + H_L1_OFFSET, s->l1_offset);
    stq_be_p(h + H_REFTABLE_OFFSET, s->reftable_offset);
    stl_be_p(h + H_REFTABLE_CLUSTERS, q_clusters(s, s->reftable_size * 8ull));
    stl_be_p(h + H_SNAPSHOTS, s->snapshots->len);
    stq_be_p(h + H_SNAPSHOTS_OFFSET, s->snapshots_offset);
    if (s->version >= 3) {
        stq_be_p(h + H_INCOMPATIBLE, s->incompatible);
        stq_be_p(h + H_COMPATIBLE, s->compatible);
        stq_be_p(h + H_AUTOCLEAR, s->autoclear);
        stl_be_p(h + H_REFCOUNT_ORDER, s->refcount_order);
        stl_be_p(h + H_LENGTH, MAX(s->header_length, H_OUR_LENGTH));
        h[H_COMPRESSION] = s->compression;
    }
}

/*
 * The backing file's name: in the first sector if it fits there, else where
 * the name that the disk has now is not, so that the first sector switches.
 */
static void place_name(Out *o, const uint8_t *old, const char *name)
{
    uint64_t len = strlen(name), was = ldq_be_p(old + H_BACKING_OFFSET), was_len = (uint32_t)ldl_be_p(old + H_BACKING_SIZE);

    if (o->at + len > SECTOR && o->room >= 3 * 1024 + SECTOR) {
        o->at = MAX(o->at, SECTOR);
        while (was < o->at + len && o->at < was + was_len) {
            o->at += 1024;
        }
    }
    stq_be_p(o->p + H_BACKING_OFFSET, o->at);
    stl_be_p(o->p + H_BACKING_SIZE, len);
    put(o, name, len);
    if (was >= SECTOR && was <= o->room && was_len <= 1023 && was + was_len <= o->room && (was + was_len <= o->at - len || was >= o->at)) {
        memcpy(o->p + was, old + was, was_len);         /* until the switch it is needed */
    }
}

/* Behind the first sector first, if anything changes there: the old first sector still finds what it names. */
static int write_in_order(BlkNode *n, const uint8_t *old, const uint8_t *cluster)
{
    uint64_t rest = q2(n)->cluster_size - SECTOR;
    int r = 0;

    if (rest && memcmp(old + SECTOR, cluster + SECTOR, rest)) {
        r = node_pwrite(n->file->node, SECTOR, cluster + SECTOR, rest);
        r = r ? r : node_flush(n->file->node);
    }
    return r ? r : node_pwrite(n->file->node, 0, cluster, SECTOR);
}

int qcow2_write_header(BlkNode *n)
{
    Qcow2 *s = q2(n);
    g_autofree uint8_t *cluster = g_malloc0(s->cluster_size), *old = g_malloc0(s->cluster_size);
    uint64_t fixed = s->version < 3 ? H_V2_LENGTH : MAX(s->header_length, H_OUR_LENGTH);
    Out o = { cluster, fixed, s->cluster_size, false };

    int r = node_pread_padded(n->file->node, 0, old, s->cluster_size);

    if (r < 0) {
        return r;
    }
    fixed_fields(n, cluster);
    if (s->unknown_header) {
        memcpy(cluster + H_OUR_LENGTH, s->unknown_header, fixed - H_OUR_LENGTH);
    }
    if (n->backing_format) {
        put_extension(&o, EXT_BACKING_FORMAT, n->backing_format, strlen(n->backing_format));
    }
    if (s->crypt_offset) {
        uint8_t b[16];

        stq_be_p(b, s->crypt_offset);
        stq_be_p(b + 8, s->crypt_length);
        put_extension(&o, EXT_CRYPT, b, sizeof(b));
    }
    if (s->bitmaps_count) {
        put_bitmaps(&o, s);
    }
    for (unsigned i = 0; i < s->unknown_ext->len; i++) {
        gsize len;
        const void *p = g_bytes_get_data(s->unknown_ext->pdata[i], &len);
        put(&o, p, len);
    }
    if (s->data_file_name && s->external) {
        put_extension(&o, EXT_DATA_FILE, s->data_file_name, strlen(s->data_file_name));
    }
    if (s->version >= 3) {
        put_features(&o, s);
    }
    put_extension(&o, EXT_END, NULL, 0);
    if (n->backing_name) {
        place_name(&o, old, n->backing_name);
    }
    if (o.full) {
        return -ENOSPC;
    }
    s->header_length = fixed;
    return write_in_order(n, old, cluster);
}

int qcow2_set_incompatible(BlkNode *n, uint64_t bits, bool on)
{
    Qcow2 *s = q2(n);
    uint64_t want = on ? s->incompatible | bits : s->incompatible & ~bits;
    uint8_t be[8];
    int r;

    if (want == s->incompatible || s->version < 3) {
        return 0;
    }
    stq_be_p(be, want);
    r = node_pwrite(n->file->node, H_INCOMPATIBLE, be, 8);
    r = r ? r : node_flush(n->file->node);
    if (r == 0) {
        s->incompatible = want;
    }
    return r;
}

/* ---- the directory of bitmaps ---- */

void qcow2_bitmap_free(void *p)
{
    QBitmap *b = p;

    g_free(b->name);
    g_free(b);
}

GPtrArray *qcow2_bitmaps(BlkNode *n)
{
    Qcow2 *s = q2(n);
    GPtrArray *list = g_ptr_array_new_with_free_func(qcow2_bitmap_free);
    g_autofree uint8_t *dir = NULL;
    uint64_t at = 0;

    if (!s->bitmaps_count || s->bitmaps_count > 65535 || s->bitmaps_bytes > 65535 * 1024 || !(s->autoclear & AUTOCLEAR_BITMAPS)) {
        return list;
    }
    dir = g_malloc(s->bitmaps_bytes + 1);
    if (node_pread_padded(n->file->node, s->bitmaps_offset, dir, s->bitmaps_bytes) < 0) {
        return list;
    }
    while (at + 24 <= s->bitmaps_bytes && list->len < s->bitmaps_count) {
        uint8_t *p = dir + at;
        unsigned name = lduw_be_p(p + 18);
        uint64_t extra = (uint32_t)ldl_be_p(p + 20), whole = (24 + extra + name + 7) & ~7ull;
        QBitmap *b;

        if (whole > s->bitmaps_bytes - at) {
            break;
        }
        b = g_new0(QBitmap, 1);
        b->table_offset = ldq_be_p(p);
        b->table_size = ldl_be_p(p + 8);
        b->flags = ldl_be_p(p + 12);
        b->granularity_bits = p[17];
        b->name = g_strndup((char *)p + 24 + extra, name);
        g_ptr_array_add(list, b);
        at += whole;
    }
    return list;
}
