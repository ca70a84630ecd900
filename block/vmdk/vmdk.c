/* SPDX-License-Identifier: MIT */
/* Opening and closing VMDK images; the driver's row. */
#include "block/vmdk/vmdk-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bswap.h"
#include "util/size.h"

static int vmdk_probe(const uint8_t *buf, size_t len, const char *filename)
{
    uint32_t magic = len >= 4 ? ldl_le_p(buf) : 0;

    return magic == MAGIC_KDMV || magic == MAGIC_COWD || vmdk_is_descriptor(buf, len) ? 100 : 0;
}

static void state_free(BlkNode *n)
{
    Vmdk *s = vmdk_of(n);

    g_ptr_array_unref(s->extents);
    g_free(s->create_type);
    fiber_mutex_destroy(&s->packing);
}

/* ---- open ---- */

static bool open_single(BlkNode *n, const uint8_t *h, Error **errp)
{
    Vmdk *s = vmdk_of(n);
    bool hosted = (uint32_t)ldl_le_p(h) == MAGIC_KDMV;
    uint64_t sectors = hosted ? (uint64_t)ldq_le_p(h + X_CAPACITY) : (uint32_t)ldl_le_p(h + C_CAPACITY), desc = ldq_le_p(h + X_DESC), desc_len = ldq_le_p(h + X_DESC_LEN);
    g_autofree char *text = NULL;
    VmdkExtent *e;

    if (!sectors && hosted && (uint64_t)ldq_le_p(h + X_GD) == GD_AT_END) {
        uint8_t f[X_SIZE];

        if (node_pread_padded(n->file->node, (node_size(n->file->node) & ~511ull) - MIN(node_size(n->file->node), 1024), f, sizeof(f)) == 0 && (uint32_t)ldl_le_p(f) == MAGIC_KDMV) {
            sectors = ldq_le_p(f + X_CAPACITY);
        }
    }
    if (sectors > INT64_MAX / 512) {
        return error_set(errp, "Invalid capacity of a sparse extent");
    }
    e = vmdk_extent_new(n, n->file->node, "", sectors * 512);
    if (!vmdk_open_sparse(n, e, errp)) {
        return false;
    }
    s->create_type = g_strdup(hosted ? "monolithicSparse" : "vmfsSparse");
    s->parent_cid = NO_PARENT;
    if (!hosted || !desc) {
        return true;
    }
    if (desc > INT64_MAX / 1024) {
        return error_set(errp, "the descriptor lies outside of any file");
    }
    s->desc_at = desc * 512;
    s->desc_len = MIN(desc_len, MAX_DESCRIPTOR / 512) * 512;
    return vmdk_desc_read(n, &text, errp) && (!*text || vmdk_desc_apply(n, text, errp));
}

static bool open_described(BlkNode *n, Json *o, Error **errp)
{
    static const char *const types[] = { "monolithicFlat", "monolithicSparse", "vmfs", "vmfsSparse", "vmfsThin", "seSparse", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL };
    Vmdk *s = vmdk_of(n);
    g_autofree char *text = NULL;

    s->desc_len = MIN(node_size(n->file->node), MAX_DESCRIPTOR - 1);
    if (!vmdk_desc_read(n, &text, errp)) {
        return false;
    }
    if (!vmdk_is_descriptor((uint8_t *)text, strlen(text))) {
        return error_set(errp, "Image not in VMDK format");
    }
    if (!vmdk_desc_apply(n, text, errp)) {
        return false;
    }
    if (!g_strv_contains(types, s->create_type)) {
        return error_set(errp, "Unsupported image type '%s'", s->create_type);
    }
    return vmdk_desc_extents(n, o, text, errp);
}

static bool open_parts(BlkNode *n, Json *o, Error **errp)
{
    uint8_t h[X_SIZE];
    int r = node_pread_padded(n->file->node, 0, h, sizeof(h));
    uint32_t magic = ldl_le_p(h);

    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read image header");
    }
    return magic == MAGIC_KDMV || magic == MAGIC_COWD ? open_single(n, h, errp) : open_described(n, o, errp);
}

static bool vmdk_open(BlkNode *n, Json *o, Error **errp)
{
    Vmdk *s = vmdk_of(n);
    const VmdkExtent *first;

    s->extents = g_ptr_array_new_with_free_func((GDestroyNotify)vmdk_extent_free);
    fiber_mutex_init(&s->packing);
    if (!format_open_file(n, o, errp) || !open_parts(n, o, errp)) {
        state_free(n);
        return false;
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        n->read_only = n->read_only || c->node->read_only;
    }
    first = s->extents->pdata[0];
    n->cluster = first->kind == EXT_SPARSE || first->kind == EXT_SE ? first->grain : 0;
    format_backing_option(n, json_get(o, "backing"));
    grains_init(n, &vmdk_ops, 0);
    return true;
}

static void vmdk_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    Vmdk *s = vmdk_of(n);

    for (unsigned i = 0; i < s->extents->len; i++) {
        VmdkExtent *e = s->extents->pdata[i];

        e->file = e->file == before ? c->node : e->file;
    }
    grains_child_moved(n, c, before);
}

static void vmdk_close(BlkNode *n)
{
    grains_close(n);
    state_free(n);
}

/* Packed extents know only whole grains: the rest of one is read and packed with what is new. */
static int write_packed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    uint64_t grain = ((VmdkExtent *)vmdk_of(n)->extents->pdata[0])->grain;
    int r = 0;

    while (len && r == 0) {
        uint64_t start = off - off % grain, now = MIN(len, grain - (off - start)), have = MIN(grain, node_size(n) - start);
        uint8_t *buf = blk_buffer(grain);

        fiber_mutex_lock(&vmdk_of(n)->packing);
        r = now < have ? grains_read(n, start, have, BLK_VEC1(buf, have), 0) : 0;
        blk_vec_read(v, buf + (off - start), now);
        r = r ? r : grains_write_compressed(n, start, have, BLK_VEC1(buf, have));
        fiber_mutex_unlock(&vmdk_of(n)->packing);
        free(buf);
        off += now;
        len -= now;
        v = blk_vec_from(v, now);
    }
    return r;
}

static bool packed(BlkNode *n)
{
    return ((VmdkExtent *)vmdk_of(n)->extents->pdata[0])->compressed;
}

static int vmdk_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return packed(n) ? write_packed(n, off, len, v) : grains_write(n, off, len, v, flags);
}

/* ---- facts ---- */

static Json *extent_info(const VmdkExtent *e)
{
    Json *j = json_object();

    if (e->compressed) {
        json_set_bool(j, "compressed", true);
    }
    json_set_uint(j, "virtual-size", e->size);
    json_set_string(j, "filename", e->file ? e->file->filename : "");
    if (e->grain) {
        json_set_uint(j, "cluster-size", e->grain);
    }
    json_set_string(j, "format", e->type);
    return j;
}

static Json *vmdk_info(BlkNode *n)
{
    Vmdk *s = vmdk_of(n);
    Json *j = json_object(), *d = json_object(), *list = json_array();

    json_set_string(j, "type", "vmdk");
    json_set_uint(d, "cid", s->cid);
    json_set_uint(d, "parent-cid", s->parent_cid);
    json_set_string(d, "create-type", s->create_type);
    for (unsigned i = 0; i < s->extents->len; i++) {
        json_append(list, extent_info(s->extents->pdata[i]));
    }
    json_set(d, "extents", list);
    json_set(j, "data", d);
    return j;
}

/* Every grain of sparse extents lies in its file. */
static int vmdk_check(BlkNode *n, BlkCheck *c)
{
    Vmdk *s = vmdk_of(n);
    int r = 0;

    if (c->repair_leaks || c->repair_all) {
        return -ENOTSUP;
    }
    fiber_mutex_lock(&s->g.lock);
    for (uint64_t off = 0; off < node_size(n);) {
        GrainPlace p = { .want = node_size(n) - off };
        const VmdkExtent *e;

        r = s->g.ops->find(n, off, &p);
        e = p.part;
        if (r < 0) {
            format_report(c, "ERROR: could not look up the grain at %" PRIu64, off);
            c->corruptions++;
            break;
        }
        if (e->kind != EXT_FLAT && (p.kind == GRAIN_DATA || p.kind == GRAIN_PACKED) && p.offset >= node_size(p.file)) {
            format_report(c, "ERROR: the grain at %" PRIu64 " lies outside of its file", off);
            c->corruptions++;
        }
        off += p.run;
    }
    fiber_mutex_unlock(&s->g.lock);
    return 0;
}

static const OptKey vmdk_keys[] = {
    { "file", OPT_ANY, "what holds the image or its descriptor" },
    { "backing", OPT_ANY, "what answers for what is not in it; null: nothing" },
    {}
};
static const BlkImageOps vmdk_image = { .info = vmdk_info, .check = vmdk_check, .wants_packed = packed };
static const BlkDriver vmdk = {
    .name = "vmdk", .help = "VMware disk images", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vmdk), .options = vmdk_keys, .probe = vmdk_probe, .open = vmdk_open,
    .close = vmdk_close, .child_moved = vmdk_child_moved,
    .read = grains_read, .write = vmdk_write, .write_compressed = grains_write_compressed, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard, .status = grains_status,
    .create_options = vmdk_create_keys, .create = vmdk_create, .image = &vmdk_image, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(vmdk);
