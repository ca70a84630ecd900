/* SPDX-License-Identifier: MIT */
/* Making images: the descriptor and its extents. */
#include "block/vmdk/vmdk-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/size.h"

const OptKey vmdk_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "adapter_type", OPT_STRING, "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX" },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Must be 'vmdk' if present" },
    { "compat6", OPT_BOOL, "VMDK version 6 image", .def = "off" },
    { "hwversion", OPT_STRING, "VMDK hardware version", .def = "undefined" },
    { "toolsversion", OPT_STRING, "VMware guest tools version" },
    { "subformat", OPT_STRING, "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} " },
    { "zeroed_grain", OPT_BOOL, "Enable efficient zero writes using the zeroed-grain GTE feature" },
    {}
};

enum { GRAIN = 65536, GTES = 512 };
#define SPLIT (2 * GiB)

typedef struct {
    const char *filename, *sub, *adapter, *hwversion, *tools, *backing;
    uint64_t size;
    bool flat, split, packed, zero_grains;
    uint32_t parent_cid;
    char *stem, *suffix;                /* of the file name: "dir/disk", ".vmdk" */
} Wish;

static bool parse_sub(Wish *w, Error **errp)
{
    static const char *const known[] = { "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL };

    if (!g_strv_contains(known, w->sub)) {
        return error_set(errp, "invalid parameter value: %s", w->sub);
    }
    w->flat = g_str_has_suffix(w->sub, "Flat");
    w->split = g_str_has_prefix(w->sub, "twoGb");
    w->packed = !strcmp(w->sub, "streamOptimized");
    if (w->flat && w->backing) {
        return error_set(errp, "Flat image can't have backing file");
    }
    if (w->flat && w->zero_grains) {
        return error_set(errp, "Flat image can't enable zeroed grain");
    }
    return true;
}

static bool parse_wish(Wish *w, const Json *o, Error **errp)
{
    static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };
    const char *v = json_get_string(o, "hwversion"), *format = json_get_string(o, "backing_fmt");
    bool compat6 = json_get_bool(o, "compat6", false), given = v && strcmp(v, "undefined");

    w->size = format_round(json_get_u64(o, "size", 0), 512);
    w->sub = json_get_string(o, "subformat") ? json_get_string(o, "subformat") : "monolithicSparse";
    w->adapter = json_get_string(o, "adapter_type") ? json_get_string(o, "adapter_type") : "ide";
    w->tools = json_get_string(o, "toolsversion") ? json_get_string(o, "toolsversion") : "2147483647";
    w->backing = json_get_string(o, "backing_file");
    w->zero_grains = json_get_bool(o, "zeroed_grain", false);
    if (!g_strv_contains(adapters, w->adapter)) {
        return error_set(errp, "invalid parameter value: %s", w->adapter);
    }
    if (compat6 && given) {
        return error_set(errp, "compat6 cannot be enabled with hwversion set");
    }
    if (w->backing && format && strcmp(format, "vmdk")) {
        return error_set(errp, "Invalid backing file format: %s. Must be 'vmdk'", format);
    }
    w->hwversion = given ? v : compat6 ? "6" : "4";
    return parse_sub(w, errp);
}

/* The identity of the parent's content, for the child to remember. */
static bool ask_parent(Session *s, Wish *w, Error **errp)
{
    g_autofree char *path = NULL;
    Json *o;
    BlkNode *b;

    w->parent_cid = NO_PARENT;
    if (!w->backing) {
        return true;
    }
    path = blk_path_combine(w->filename, w->backing);
    o = json_object();
    b = blk_node_open(s, path, o, BLK_O_NO_BACKING, errp);
    if (!b) {
        return false;
    }
    if (strcmp(b->drv->name, "vmdk")) {
        blk_node_unref(b);
        return error_set(errp, "Invalid parent image format. Must be 'vmdk'");
    }
    w->parent_cid = vmdk_of(b)->cid;
    blk_node_unref(b);
    return true;
}

/* ---- extents ---- */

typedef struct {
    uint64_t rgd, gd, tables, directory, overhead;      /* sectors; number of tables */
} Layout;

static Layout layout_of(uint64_t size)
{
    Layout l;
    uint64_t table = GTES * 4 / 512;

    l.tables = (size + (uint64_t)GRAIN * GTES - 1) / ((uint64_t)GRAIN * GTES);
    l.directory = (l.tables * 4 + 511) / 512;
    l.rgd = (DESCRIPTOR_AT + DESCRIPTOR_BYTES) / 512;
    l.gd = l.rgd + l.directory + l.tables * table;
    l.overhead = format_round(l.gd + l.directory + l.tables * table, GRAIN / 512);
    return l;
}

static void make_header(uint8_t *h, const Wish *w, uint64_t size, const Layout *l, bool described)
{
    memset(h, 0, X_SIZE);
    stl_le_p(h, MAGIC_KDMV);
    stl_le_p(h + X_VERSION, w->packed ? 3 : w->zero_grains ? 2 : 1);
    stl_le_p(h + X_FLAGS, XF_NEWLINES | XF_RGD | (w->packed ? XF_COMPRESSED | XF_MARKERS : 0) | (w->zero_grains ? XF_ZERO_GRAINS : 0));
    stq_le_p(h + X_CAPACITY, size / 512);
    stq_le_p(h + X_GRAIN, GRAIN / 512);
    stq_le_p(h + X_DESC, described ? DESCRIPTOR_AT / 512 : 0);
    stq_le_p(h + X_DESC_LEN, described ? DESCRIPTOR_BYTES / 512 : 0);
    stl_le_p(h + X_GTES, GTES);
    stq_le_p(h + X_RGD, l->rgd);
    stq_le_p(h + X_GD, l->gd);
    stq_le_p(h + X_OVERHEAD, l->overhead);
    memcpy(h + X_NEWLINES, "\n \r\n", 4);
    stuw_le_p(h + X_COMPRESS, w->packed ? 1 : 0);
}

/* The directory of tables that follow it. */
static int write_directory(BlkNode *file, uint64_t at, const Layout *l)
{
    g_autofree uint8_t *buf = g_malloc0(l->directory * 512 + 1);

    for (uint64_t i = 0; i < l->tables; i++) {
        stl_le_p(buf + i * 4, at + l->directory + i * (GTES * 4 / 512));
    }
    return l->directory ? node_pwrite(file, at * 512, buf, l->directory * 512) : 0;
}

static bool make_sparse(Session *s, const Wish *w, const char *path, uint64_t size, const char *text, Error **errp)
{
    Layout l = layout_of(size);
    uint8_t h[X_SIZE];
    Blk *b;
    int r;

    if (size / 512 > UINT32_MAX * (uint64_t)(GRAIN / 512) / 4) {
        return error_set(errp, "Image of %" PRIu64 " bytes is larger than sparse extents can be", size);
    }
    b = format_create_file(s, path, l.overhead * 512, NULL, errp);
    if (!b) {
        return false;
    }
    make_header(h, w, size, &l, text != NULL);
    r = write_directory(blk_node(b), l.rgd, &l);
    r = r ? r : write_directory(blk_node(b), l.gd, &l);
    r = r || !text ? r : node_pwrite(blk_node(b), DESCRIPTOR_AT, text, strlen(text));
    r = r ? r : node_flush(blk_node(b));
    r = r ? r : node_pwrite(blk_node(b), 0, h, sizeof(h));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", path);
}

/* ---- the descriptor ---- */

static char *extent_path(const Wish *w, unsigned i)
{
    if (!w->split) {
        return w->flat ? g_strdup_printf("%s-flat%s", w->stem, w->suffix) : g_strdup(w->filename);
    }
    return g_strdup_printf("%s-%c%03u%s", w->stem, w->flat ? 'f' : 's', i + 1, w->suffix);
}

static void describe_extents(const Wish *w, GString *out)
{
    uint64_t unit = w->split ? SPLIT : MAX(w->size, 1);

    for (uint64_t at = 0, i = 0; at < w->size || i == 0; at += unit, i++) {
        g_autofree char *path = extent_path(w, i), *base = g_path_get_basename(path);

        g_string_append_printf(out, "RW %" PRIu64 " %s \"%s\"%s\n", MIN(unit, w->size - at) / 512, w->flat ? "FLAT" : "SPARSE", base, w->flat ? " 0" : "");
    }
}

static char *describe(const Wish *w)
{
    GString *t = g_string_new("# Disk DescriptorFile\nversion=1\n");
    unsigned heads = strcmp(w->adapter, "ide") ? 255 : 16;
    uint32_t cid;

    io_entropy(&cid, sizeof(cid));
    g_string_append_printf(t, "CID=%08x\nparentCID=%08x\ncreateType=\"%s\"\n", cid & 0x7fffffff, w->parent_cid, w->sub);
    if (w->backing) {
        g_string_append_printf(t, "parentFileNameHint=\"%s\"\n", w->backing);
    }
    g_string_append(t, "\n# Extent description\n");
    describe_extents(w, t);
    g_string_append_printf(t, "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%llu\"\nddb.geometry.heads = \"%u\"\n"
                           "ddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\nddb.toolsVersion = \"%s\"\n",
                           w->hwversion, w->size / (63 * 512ull * heads), heads, w->adapter, w->tools);
    return g_string_free(t, false);
}

static bool write_descriptor_file(Session *s, const Wish *w, const char *text, Error **errp)
{
    Blk *b = format_create_file(s, w->filename, 0, NULL, errp);
    int r;

    if (!b) {
        return false;
    }
    r = node_pwrite(blk_node(b), 0, text, strlen(text));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", w->filename);
}

/* `made` gets the names of extents that were not there before. */
static bool make_all(Session *s, const Wish *w, GPtrArray *made, Error **errp)
{
    g_autofree char *text = describe(w);
    uint64_t unit = w->split ? SPLIT : MAX(w->size, 1);

    if (strlen(text) > DESCRIPTOR_BYTES && !w->flat && !w->split) {
        return error_set(errp, "the descriptor has no room for these names");
    }
    if (!w->flat && !w->split) {
        return make_sparse(s, w, w->filename, w->size, text, errp);
    }
    for (uint64_t at = 0, i = 0; at < w->size || i == 0; at += unit, i++) {
        g_autofree char *path = extent_path(w, i);
        uint64_t now = MIN(unit, w->size - at);

        if (!blk_host_file_there(path)) {
            g_ptr_array_add(made, g_strdup(path));
        }
        if (w->flat ? !blk_create_file(s, path, now, NULL, errp) : !make_sparse(s, w, path, now, NULL, errp)) {
            return false;
        }
    }
    return write_descriptor_file(s, w, text, errp);
}

static bool make_or_remove(Session *s, const Wish *w, Error **errp)
{
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    bool ok = make_all(s, w, made, errp);

    for (unsigned i = 0; i < made->len && !ok; i++) {
        blk_host_file_remove(made->pdata[i]);
    }
    return ok;
}

bool vmdk_create(Session *session, const char *filename, Json *o, Error **errp)
{
    const char *slash = strrchr(filename, '/'), *dot = strrchr(slash ? slash : filename, '.');
    Wish w = { .filename = filename };
    bool ok;

    w.stem = dot ? g_strndup(filename, dot - filename) : g_strdup(filename);
    w.suffix = g_strdup(dot ? dot : "");
    ok = parse_wish(&w, o, errp) && ask_parent(session, &w, errp) && make_or_remove(session, &w, errp);
    g_free(w.stem);
    g_free(w.suffix);
    return ok;
}
