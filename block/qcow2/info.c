/* SPDX-License-Identifier: MIT */
/* What `info` says, and how large an image would be. */
#include "block/qcow2/qcow2-priv.h"

static Json *bitmap_info(const QBitmap *b)
{
    Json *j = json_object(), *flags = json_array();

    if (b->flags & 1) {
        json_append(flags, json_string("in-use"));
    }
    if (b->flags & 2) {
        json_append(flags, json_string("auto"));
    }
    json_set(j, "flags", flags);
    json_set_string(j, "name", b->name);
    json_set_uint(j, "granularity", 1ull << MIN(b->granularity_bits, 63));
    return j;
}

Json *qcow2_info(BlkNode *n)
{
    Qcow2 *s = q2(n);
    Json *j = json_object(), *d = json_object();

    json_set_string(j, "type", "qcow2");
    json_set_string(d, "compat", s->version < 3 ? "0.10" : "1.1");
    if (s->data_file_name) {
        json_set_string(d, "data-file", s->data_file_name);
    }
    json_set_string(d, "compression-type", s->compression ? "zstd" : "zlib");
    if (s->version >= 3) {
        g_autoptr(GPtrArray) bitmaps = qcow2_bitmaps(n);

        json_set_bool(d, "lazy-refcounts", s->compatible & COMPAT_LAZY);
        if (bitmaps->len) {
            Json *list = json_array();
            for (unsigned i = 0; i < bitmaps->len; i++) {
                json_append(list, bitmap_info(bitmaps->pdata[i]));
            }
            json_set(d, "bitmaps", list);
        }
    }
    json_set_uint(d, "refcount-bits", 1u << s->refcount_order);
    if (s->crypt) {
        json_set(d, "encrypt", qcow2_crypt_info(s));
    }
    if (s->incompatible & INCOMPAT_DATA_FILE) {
        json_set_bool(d, "data-file-raw", s->autoclear & AUTOCLEAR_RAW);
    }
    if (s->version >= 3) {
        json_set_bool(d, "corrupt", s->incompatible & INCOMPAT_CORRUPT);
        json_set_bool(d, "extended-l2", s->incompatible & INCOMPAT_EXTL2);
    }
    json_set(j, "data", d);
    return j;
}

/* ---- measure ---- */

typedef struct {
    unsigned cluster_bits, entry, refcount_order;
} Shape;

static bool shape(const Json *o, Shape *sh, Error **errp)
{
    uint64_t cluster = json_get_u64(o, "cluster_size", 65536), bits = json_get_u64(o, "refcount_bits", 16);

    if (cluster < 512 || cluster > 2 << 20 || (cluster & (cluster - 1))) {
        return error_set(errp, "Cluster size must be a power of two between 512 and 2048k");
    }
    if (!bits || bits > 64 || (bits & (bits - 1))) {
        return error_set(errp, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    sh->cluster_bits = __builtin_ctzll(cluster);
    sh->refcount_order = __builtin_ctzll(bits);
    sh->entry = json_get_bool(o, "extended_l2", false) ? 16 : 8;
    return true;
}

static uint64_t up(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) / unit * unit;
}

/* Clusters of tables for a full disk of this size, counts included. */
static uint64_t metadata_bytes(const Shape *sh, uint64_t size)
{
    uint64_t cs = 1ull << sh->cluster_bits, bytes = up(size, cs), l2 = up(bytes / cs * sh->entry, cs), l1 = MAX(cs, up(l2 / cs * 8, cs));
    uint64_t known = bytes + cs + l2 + l1, per_block = cs * 8 >> sh->refcount_order, blocks = 0, table = 0, last;

    do {
        uint64_t clusters;

        last = blocks + table;
        clusters = known / cs + blocks + table;
        blocks = (clusters + per_block - 1) / per_block;
        table = (blocks * 8 + cs - 1) / cs;
    } while (blocks + table > last);
    return cs + l2 + l1 + (blocks + table) * cs;
}

static bool count_source(Blk *source, const Shape *sh, uint64_t size, uint64_t *data, Error **errp)
{
    uint64_t cs = 1ull << sh->cluster_bits, last_end = 0;

    *data = 0;
    for (uint64_t off = 0; off < size;) {
        BlkExtent e;
        int r = blk_status(source, off, size - off, true, &e);

        if (r < 0) {
            return error_set_errno(errp, -r, "Unable to get block status");
        }
        if (!e.len) {
            break;
        }
        if ((e.flags & BLK_EXT_DATA) && !(e.flags & BLK_EXT_ZERO)) {
            uint64_t start = MAX(off & ~(cs - 1), last_end), end = up(off + e.len, cs);

            *data += end > start ? end - start : 0;
            last_end = MAX(last_end, end);
        }
        off += e.len;
    }
    return true;
}

bool qcow2_measure(Json *o, Blk *source, BlkMeasure *out, Error **errp)
{
    uint64_t size = json_get_u64(o, "size", 0), data = 0;
    const char *prealloc = json_get_string(o, "preallocation");
    Qcow2 crypt = {};
    Shape sh = {};

    if (!shape(o, &sh, errp) || !qcow2_crypt_plan(&crypt, o, errp)) {
        return false;
    }
    if (source) {
        size = up(blk_size(source), 512);
        if (!count_source(source, &sh, size, &data, errp)) {
            return false;
        }
    }
    if (!qcow2_size_fits(size, sh.cluster_bits, sh.entry == 16, errp)) {
        return false;
    }
    size = up(size, 1ull << sh.cluster_bits);
    *out = (BlkMeasure){ .fully_allocated = metadata_bytes(&sh, size) + up(crypt.crypt_length, 1ull << sh.cluster_bits) + size };
    if (prealloc && (prealloc[0] == 'f')) {
        data = size;
    }
    out->required = out->fully_allocated - size + data;
    out->has_bitmaps = source && blk_node(source)->drv->image == &qcow2_image_ops && q2(blk_node(source))->version >= 3;
    if (json_get_string(o, "data_file")) {
        out->required = out->fully_allocated = metadata_bytes(&sh, size);
    }
    return true;
}
