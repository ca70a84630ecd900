/* SPDX-License-Identifier: MIT */
/*
 * QED images.
 *
 * Facts: docs/interop/qed_spec of the peer's manual.  Little endian; a table
 * of tables of cluster offsets, each table `table_size` clusters long.  0: not
 * here, 1: zeroes.
 *
 * New tables go out before the entry that names them (levels 0 and 1), so the
 * mark "needs a check" is never set here; an image that carries it is checked
 * and mended before it is written.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"
#include "util/size.h"

enum { H_MAGIC = 0, H_CLUSTER = 4, H_TABLE = 8, H_HEADER = 12, H_FEATURES = 16, H_COMPAT = 24, H_AUTOCLEAR = 32, H_L1 = 40, H_IMAGE = 48, H_BACKING = 56, H_BACKING_LEN = 60, H_SIZE = 64 };
enum { F_BACKING = 1, F_NEED_CHECK = 2, F_BACKING_RAW = 4, F_KNOWN = 7 };
enum { MAGIC = 0x00444551, MIN_CLUSTER = 4096, MAX_CLUSTER = 64 << 20, DEFAULT_CLUSTER = 65536, MAX_TABLE = 16, DEFAULT_TABLE = 4, MAX_NAME = 1023, ZERO_ENTRY = 1 };

typedef struct {
    Grains g;
    uint64_t cluster, table, header;        /* bytes */
    uint64_t per_table;                     /* entries */
    uint64_t features, l1;
} Qed;

static int qed_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_SIZE && ldl_le_p(buf) == MAGIC ? 100 : 0;
}

static bool power_of_2(uint64_t v)
{
    return v && !(v & (v - 1));
}

static uint64_t max_size(uint64_t cluster, uint64_t per_table)
{
    return per_table * per_table > INT64_MAX / cluster ? INT64_MAX / cluster * cluster : per_table * per_table * cluster;
}

/* ---- open ---- */

static bool read_backing(BlkNode *n, const uint8_t *h, Error **errp)
{
    Qed *s = n->state;
    uint64_t at = (uint32_t)ldl_le_p(h + H_BACKING), len = (uint32_t)ldl_le_p(h + H_BACKING_LEN);
    g_autofree char *name = NULL;
    int r;

    if (!(s->features & F_BACKING)) {
        return true;
    }
    if (at + len > s->header || len > MAX_NAME) {
        return error_set(errp, "the name of the backing file lies outside of the header");
    }
    name = g_malloc0(len + 1);
    r = node_pread_padded(n->file->node, at, name, len);
    if (r < 0) {
        return error_set_errno(errp, -r, "Failed to read backing filename");
    }
    n->backing_name = g_steal_pointer(&name);
    n->backing_format = s->features & F_BACKING_RAW ? g_strdup("raw") : NULL;
    return true;
}

static bool read_header(BlkNode *n, const uint8_t *h, Error **errp)
{
    Qed *s = n->state;
    uint64_t table = (uint32_t)ldl_le_p(h + H_TABLE), size = node_size(n->file->node);

    if (ldl_le_p(h) != MAGIC) {
        return error_set(errp, "Image not in QED format");
    }
    s->features = ldq_le_p(h + H_FEATURES);
    if (s->features & ~(uint64_t)F_KNOWN) {
        return error_set(errp, "Unsupported QED features: %" PRIx64, s->features & ~(uint64_t)F_KNOWN);
    }
    s->cluster = (uint32_t)ldl_le_p(h + H_CLUSTER);
    if (!power_of_2(s->cluster) || s->cluster < MIN_CLUSTER || s->cluster > MAX_CLUSTER) {
        return error_set(errp, "QED cluster size %" PRIu64 " is invalid", s->cluster);
    }
    if (!power_of_2(table) || table > MAX_TABLE) {
        return error_set(errp, "QED table size %" PRIu64 " is invalid", table);
    }
    s->table = table * s->cluster;
    s->per_table = s->table / 8;
    s->header = (uint32_t)ldl_le_p(h + H_HEADER) * s->cluster;
    s->l1 = ldq_le_p(h + H_L1);
    n->size = ldq_le_p(h + H_IMAGE);
    if ((n->size & 511) || n->size > max_size(s->cluster, s->per_table)) {
        return error_set(errp, "QED image size %" PRIu64 " is invalid", node_size(n));
    }
    if ((s->l1 & (s->cluster - 1)) || s->l1 < s->cluster || s->l1 < s->header || s->l1 > size) {
        return error_set(errp, "QED table at %" PRIu64 " is invalid", s->l1);
    }
    return read_backing(n, h, errp);
}

static const GrainOps qed_ops;
static int qed_check(BlkNode *n, BlkCheck *c);

static bool mend(BlkNode *n, Error **errp)
{
    Qed *s = n->state;
    BlkCheck c = { .repair_leaks = true, .repair_all = true };
    int r;

    if (!(s->features & F_NEED_CHECK) || n->read_only || (n->flags & BLK_O_CHECK)) {
        return true;
    }
    r = qed_check(n, &c);
    return (r == 0 && c.corruptions == c.corruptions_fixed) || error_set(errp, "Could not repair dirty image");
}

static bool qed_open(BlkNode *n, Json *o, Error **errp)
{
    Qed *s = n->state;
    Json *backing = json_get(o, "backing");
    uint8_t h[H_SIZE];

    if (!format_open_header(n, o, h, sizeof(h), errp) || !read_header(n, h, errp)) {
        return false;
    }
    format_backing_option(n, backing);
    n->cluster = s->cluster;
    grains_init(n, &qed_ops, s->cluster);
    if (!mend(n, errp)) {
        grains_free(n);
        return false;
    }
    return true;
}

static bool qed_reopen_rw(BlkNode *n, Error **errp)
{
    return mend(n, errp);
}

/* ---- grains ---- */

static bool in_file(const Qed *s, uint64_t at, uint64_t len)
{
    return !(at & (s->cluster - 1)) && at >= s->header && at && at <= INT64_MAX - len;
}

static int table_of(BlkNode *n, uint64_t off, uint64_t *table)
{
    Qed *s = n->state;
    int r = meta_get64le(n, n->file->node, s->l1 + off / s->cluster / s->per_table * 8, table);

    return r ? r : *table && !in_file(s, *table, s->table) ? -EIO : 0;
}

static int qed_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Qed *s = n->state;
    uint64_t table, e, span = s->cluster * s->per_table;
    int r = table_of(n, off, &table);

    if (r < 0) {
        return r;
    }
    if (!table) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, s->l1 + off / span * 8, 8, span, off % span, UINT64_MAX }, p);
        return 0;
    }
    table += off / s->cluster % s->per_table * 8;
    r = meta_get64le(n, n->file->node, table, &e);
    if (r < 0) {
        return r;
    }
    if (!e || e == ZERO_ENTRY) {
        p->kind = e ? GRAIN_ZERO : GRAIN_ABSENT;
        meta_entries_run(n, &(MetaEntries){ n->file->node, table, 8, s->cluster, off - p->start, span - off % span }, p);
        return 0;
    }
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = e + (off - p->start);
    return in_file(s, e, s->cluster) ? 0 : -EIO;
}

static uint64_t take(BlkNode *n, uint64_t bytes)
{
    Qed *s = n->state;
    uint64_t at = format_round(MAX(MAX(format_end(n->file->node), s->g.next), s->l1 + s->table), s->cluster);

    s->g.next = at + bytes;
    return at;
}

static int table_end(BlkNode *n, uint64_t table, uint64_t *end)
{
    Qed *s = n->state;
    BlkNode *file = n->file->node;
    uint64_t e;
    int r = 0;

    format_in_use(end, file, table, s->table);
    for (uint64_t i = 0; i < s->per_table && table + i * 8 < node_size(file) && r == 0; i++) {
        r = meta_get64le(n, file, table + i * 8, &e);
        if (r == 0 && e && e != ZERO_ENTRY) {
            format_in_use(end, file, e, s->cluster);
        }
    }
    return r;
}

static int qed_find_end(BlkNode *n)
{
    Qed *s = n->state;
    BlkNode *file = n->file->node;
    uint64_t table, end = MAX(s->g.next, s->header);
    int r = 0;

    for (uint64_t i = 0; node_fixed(file) && i < s->per_table && s->l1 + i * 8 < node_size(file) && r == 0; i++) {
        r = meta_get64le(n, file, s->l1 + i * 8, &table);
        r = r || !table ? r : table_end(n, table, &end);
    }
    s->g.next = r ? s->g.next : end;
    return r;
}

static int qed_place(BlkNode *n, GrainPlace *p)
{
    p->file = n->file->node;
    p->offset = take(n, p->size);
    return 0;
}

static int set_entry(BlkNode *n, uint64_t off, uint64_t e)
{
    Qed *s = n->state;
    uint64_t table;
    int r = table_of(n, off, &table);

    if (r == 0 && !table) {
        table = take(n, s->table);
        r = meta_zero(n, n->file->node, table, s->table, 0);
        r = r ? r : meta_set64le(n, n->file->node, s->l1 + off / s->cluster / s->per_table * 8, table, 1);
    }
    return r ? r : meta_set64le(n, n->file->node, table + off / s->cluster % s->per_table * 8, e, 0);
}

static int qed_link(BlkNode *n, const GrainPlace *p)
{
    return set_entry(n, p->start, p->offset);
}

static int qed_link_zero(BlkNode *n, const GrainPlace *p)
{
    return set_entry(n, p->start, ZERO_ENTRY);
}

/* Bits that promise what we do not keep up go before the first write. */
static int qed_begin(BlkNode *n)
{
    uint64_t bits;
    int r = meta_get64le(n, n->file->node, H_AUTOCLEAR, &bits);

    if (r == 0 && bits) {
        r = meta_set64le(n, n->file->node, H_AUTOCLEAR, 0, 0);
        r = r ? r : grains_sync(n, true);
    }
    return r;
}

static const GrainOps qed_ops = { .find = qed_find, .place = qed_place, .link = qed_link, .link_zero = qed_link_zero, .find_end = qed_find_end, .begin = qed_begin };

/* ---- check ---- */

typedef struct {
    BlkNode *n;
    BlkCheck *c;
    GArray *used;               /* one bit for each cluster of the file, as bytes */
    uint64_t clusters;
} Walk;

static bool use(Walk *w, uint64_t at, uint64_t len)
{
    Qed *s = w->n->state;
    bool good = true;

    for (uint64_t i = at / s->cluster; i < (at + len) / s->cluster && i < w->clusters; i++) {
        uint8_t *b = &g_array_index(w->used, uint8_t, i / 8);

        good = good && !(*b & 1 << i % 8);
        *b |= 1 << i % 8;
    }
    return good;
}

static bool place_ok(Walk *w, uint64_t at, uint64_t len)
{
    Qed *s = w->n->state;

    return in_file(s, at, len) && at + len <= w->clusters * s->cluster && use(w, at, len);
}

static int bad(Walk *w, const char *what, uint64_t index, uint64_t entry_at)
{
    int r = 0;

    format_report(w->c, "%s %s %" PRIu64 " points outside of the image or at what is in use", w->c->repair_all ? "Repairing" : "ERROR", what, index);
    w->c->corruptions++;
    if (w->c->repair_all) {
        r = meta_set64le(w->n, w->n->file->node, entry_at, 0, 0);
        w->c->corruptions_fixed += r == 0;
    }
    return r;
}

static int walk_table(Walk *w, uint64_t table, uint64_t first)
{
    Qed *s = w->n->state;
    uint64_t last = 0;

    for (uint64_t i = 0; i < s->per_table; i++) {
        uint64_t e;
        int r = meta_get64le(w->n, w->n->file->node, table + i * 8, &e);

        if (r < 0) {
            return r;
        }
        if (!e || e == ZERO_ENTRY) {
            continue;
        }
        if (!place_ok(w, e, s->cluster)) {
            r = bad(w, "cluster", first + i, table + i * 8);
            if (r < 0) {
                return r;
            }
            continue;
        }
        w->c->allocated_clusters++;
        w->c->fragmented_clusters += last && e != last + s->cluster;
        last = e;
    }
    return 0;
}

static int walk(Walk *w)
{
    Qed *s = w->n->state;
    int r = 0;

    use(w, 0, s->header);
    if (!use(w, s->l1, s->table)) {
        w->c->corruptions++;
    }
    for (uint64_t i = 0; i < s->per_table && s->l1 + i * 8 < node_size(w->n->file->node) && r == 0; i++) {
        uint64_t table;

        r = meta_get64le(w->n, w->n->file->node, s->l1 + i * 8, &table);
        if (r == 0 && table) {
            r = place_ok(w, table, s->table) ? walk_table(w, table, i * s->per_table) : bad(w, "table", i, s->l1 + i * 8);
        }
    }
    return r;
}

static int clear_mark(BlkNode *n, BlkCheck *c)
{
    Qed *s = n->state;
    int r = 0;

    if ((s->features & F_NEED_CHECK) && c->repair_all && c->corruptions == c->corruptions_fixed && !n->read_only) {
        r = grains_sync(n, true);
        s->features &= ~(uint64_t)F_NEED_CHECK;
        r = r ? r : meta_set64le(n, n->file->node, H_FEATURES, s->features, 0);
    }
    return r;
}

static bool in_use(const Walk *w, uint64_t i)
{
    return g_array_index(w->used, uint8_t, i / 8) & 1 << i % 8;
}

static int qed_check(BlkNode *n, BlkCheck *c)
{
    Qed *s = n->state;
    Walk w = { n, c, NULL, node_size(n->file->node) / s->cluster };
    int r;

    w.used = g_array_sized_new(false, true, 1, w.clusters / 8 + 1);
    g_array_set_size(w.used, w.clusters / 8 + 1);
    fiber_mutex_lock(&s->g.lock);
    c->total_clusters = format_round(node_size(n), s->cluster) / s->cluster;
    r = walk(&w);
    while (node_fixed(n->file->node) && w.clusters && !in_use(&w, w.clusters - 1)) {
        w.clusters--;                   /* the room of a device behind the image */
    }
    for (uint64_t i = 0; i < w.clusters && r == 0; i++) {
        c->leaks += !in_use(&w, i);
    }
    r = r ? r : clear_mark(n, c);
    r = r || n->read_only ? r : grains_sync(n, true);
    fiber_mutex_unlock(&s->g.lock);
    g_array_unref(w.used);
    return r;
}

/* ---- header ---- */

static bool write_backing(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Qed *s = n->state;
    size_t len = backing ? strlen(backing) : 0;
    g_autofree uint8_t *h = g_malloc0(MAX(H_SIZE + len, 512));
    int r;

    if (len > MAX_NAME || H_SIZE + len > s->header) {
        return error_set(errp, "Backing file name too long");
    }
    r = meta_read(n, n->file->node, 0, h, H_SIZE);
    s->features = (s->features & ~(uint64_t)(F_BACKING | F_BACKING_RAW)) | (backing ? F_BACKING : 0) | (backing && format && !strcmp(format, "raw") ? F_BACKING_RAW : 0);
    stq_le_p(h + H_FEATURES, s->features);
    stl_le_p(h + H_BACKING, backing ? H_SIZE : 0);
    stl_le_p(h + H_BACKING_LEN, len);
    memcpy(h + H_SIZE, backing ? backing : "", len);
    /* the name first: it may reach over more sectors than the one that counts */
    r = r ? r : meta_write(n, n->file->node, 0, h, H_SIZE + len, 0);
    r = r ? r : grains_sync(n, true);
    return r == 0 || error_set_errno(errp, -r, "Could not write the header");
}

static bool qed_change_backing(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Qed *s = n->state;
    bool ok;

    fiber_mutex_lock(&s->g.lock);
    ok = write_backing(n, backing, format, errp);
    fiber_mutex_unlock(&s->g.lock);
    if (ok) {
        node_backing_named(n, backing, format && !strcmp(format, "raw") ? "raw" : NULL);
    }
    return ok;
}

static bool qed_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Qed *s = n->state;
    int r;

    if (prealloc != BLK_PREALLOC_OFF) {
        return error_set(errp, "Unsupported preallocation mode for a QED image");
    }
    if ((size & 511) || size > max_size(s->cluster, s->per_table)) {
        return error_set(errp, "Invalid image size specified");
    }
    if (size < node_size(n)) {
        return error_set(errp, "Shrinking images is currently not supported");
    }
    fiber_mutex_lock(&s->g.lock);
    r = grains_begin(n);
    r = r ? r : meta_set64le(n, n->file->node, H_IMAGE, size, 0);
    r = r ? r : grains_sync(n, true);
    fiber_mutex_unlock(&s->g.lock);
    return r == 0 || error_set_errno(errp, -r, "Failed to update the image size");
}

static bool qed_dirty(BlkNode *n)
{
    return ((Qed *)n->state)->features & F_NEED_CHECK;
}

/* ---- create ---- */

static const OptKey qed_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Image format of the base image" },
    { "cluster_size", OPT_SIZE, "Cluster size (in bytes)", .def = "65536" },
    { "table_size", OPT_SIZE, "L1/L2 table size (in clusters)" },
    {}
};

static bool qed_create(Session *session, const char *filename, Json *o, Error **errp)
{
    uint64_t size = json_get_u64(o, "size", 0), cluster = json_get_u64(o, "cluster_size", DEFAULT_CLUSTER), table = json_get_u64(o, "table_size", DEFAULT_TABLE);
    const char *backing = json_get_string(o, "backing_file"), *format = json_get_string(o, "backing_fmt");
    g_autofree uint8_t *h = NULL;
    Blk *b;
    int r;

    if (!power_of_2(cluster) || cluster < MIN_CLUSTER || cluster > MAX_CLUSTER) {
        return error_set(errp, "QED cluster size must be within range [%d, %d] and power of 2", MIN_CLUSTER, MAX_CLUSTER);
    }
    if (!power_of_2(table) || table > MAX_TABLE) {
        return error_set(errp, "QED table size must be within range [1, %d] and power of 2", MAX_TABLE);
    }
    size = format_round(size, 512);
    if (size > max_size(cluster, table * cluster / 8)) {
        return error_set(errp, "QED image size must be a non-zero multiple of cluster size and less than %" PRIu64 " bytes", max_size(cluster, table * cluster / 8));
    }
    if (backing && (strlen(backing) > MAX_NAME || H_SIZE + strlen(backing) > cluster)) {
        return error_set(errp, "Backing file name too long");
    }
    b = format_create_file(session, filename, cluster * (1 + table), NULL, errp);
    if (!b) {
        return false;
    }
    h = g_malloc0(cluster);
    stl_le_p(h + H_MAGIC, MAGIC);
    stl_le_p(h + H_CLUSTER, cluster);
    stl_le_p(h + H_TABLE, table);
    stl_le_p(h + H_HEADER, 1);
    stq_le_p(h + H_L1, cluster);
    stq_le_p(h + H_IMAGE, size);
    if (backing) {
        stq_le_p(h + H_FEATURES, F_BACKING | (format && !strcmp(format, "raw") ? F_BACKING_RAW : 0));
        stl_le_p(h + H_BACKING, H_SIZE);
        stl_le_p(h + H_BACKING_LEN, strlen(backing));
        memcpy(h + H_SIZE, backing, strlen(backing));
    }
    r = node_pwrite(blk_node(b), 0, h, MIN(cluster, 4096));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", filename);
}

static const OptKey qed_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "what answers for what is not in it; null: nothing" },
    {}
};
static const BlkImageOps qed_image = { .check = qed_check, .dirty = qed_dirty, .change_backing = qed_change_backing };
static const BlkDriver qed = {
    .name = "qed", .help = "QED images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Qed), .options = qed_keys, .probe = qed_probe, .open = qed_open, .reopen_rw = qed_reopen_rw,
    .close = grains_close, .child_moved = grains_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard,
    .status = grains_status, .resize = qed_resize,
    .create_options = qed_create_keys, .create = qed_create, .image = &qed_image, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(qed);
