/* SPDX-License-Identifier: MIT */
/* Headers of extents. */
#include "block/vmdk/vmdk-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"
#include "util/size.h"

void vmdk_extent_free(VmdkExtent *e)
{
    g_free(e->type);
    g_free(e);
}

VmdkExtent *vmdk_extent_new(BlkNode *n, BlkNode *file, const char *type, uint64_t size)
{
    VmdkExtent *e = g_new0(VmdkExtent, 1);

    e->file = file;
    e->type = g_strdup(type);
    e->start = node_size(n);
    e->size = size;
    n->size += size;
    g_ptr_array_add(vmdk_of(n)->extents, e);
    return e;
}

/* What the header claims of the grains must make sense for this much disk. */
static bool set_tables(VmdkExtent *e, uint64_t grain, uint64_t entries, uint64_t capacity, Error **errp)
{
    if (!grain || grain > 0x200000 || (grain & (grain - 1))) {
        return error_set(errp, "Invalid granularity, image may be corrupt");
    }
    if (!entries || entries > 4096) {
        return error_set(errp, "L2 table size too big");
    }
    if (capacity > INT64_MAX / 512) {
        return error_set(errp, "Invalid capacity of a sparse extent");
    }
    e->grain = grain * 512;
    e->tables_span = e->grain * entries;
    e->entries = (e->size + e->tables_span - 1) / e->tables_span;
    if (e->entries > 512 << 20) {
        return error_set(errp, "L1 size too big");
    }
    return true;
}

static bool read_at(BlkNode *file, uint64_t at, uint8_t *h, size_t len, Error **errp)
{
    int r = node_pread_padded(file, at, h, len);

    return r == 0 || error_set_errno(errp, -r, "Could not read header from file '%s'", file->filename);
}

/* Streams have their directory at the end, and a copy of the header with its place before it. */
static bool read_footer(VmdkExtent *e, uint8_t *h, Error **errp)
{
    uint64_t size = node_size(e->file);

    if (size < 4 * X_SIZE) {
        return error_set(errp, "Footer is missing");
    }
    if (!read_at(e->file, (size & ~511ull) - 1024, h, X_SIZE, errp)) {
        return false;
    }
    return ((uint32_t)ldl_le_p(h) == MAGIC_KDMV && (uint64_t)ldq_le_p(h + X_GD) != GD_AT_END) || error_set(errp, "Invalid footer");
}

static bool open_hosted(BlkNode *n, VmdkExtent *e, uint8_t *h, Error **errp)
{
    uint32_t version, flags, compress;

    if ((uint64_t)ldq_le_p(h + X_GD) == GD_AT_END && !read_footer(e, h, errp)) {
        return false;
    }
    version = ldl_le_p(h + X_VERSION);
    flags = ldl_le_p(h + X_FLAGS);
    compress = lduw_le_p(h + X_COMPRESS);
    if (version > 3) {
        return error_set(errp, "Unsupported VMDK version %" PRIu32, version);
    }
    if (version == 3 && !n->read_only && !(n->flags & BLK_O_NO_IO) && !(flags & XF_COMPRESSED)) {
        return error_set(errp, "VMDK version 3 must be read only");
    }
    if ((flags & XF_COMPRESSED) && compress > 1) {
        return error_set(errp, "Unsupported compression algorithm %" PRIu32, compress);
    }
    if (!set_tables(e, ldq_le_p(h + X_GRAIN), (uint32_t)ldl_le_p(h + X_GTES), ldq_le_p(h + X_CAPACITY), errp)) {
        return false;
    }
    if ((uint64_t)ldq_le_p(h + X_GD) > INT64_MAX / 1024 || (uint64_t)ldq_le_p(h + X_RGD) > INT64_MAX / 1024 || (uint64_t)ldq_le_p(h + X_OVERHEAD) > INT64_MAX / 1024) {
        return error_set(errp, "Tables of a sparse extent lie outside of any file");
    }
    e->gd = ldq_le_p(h + X_GD) * 512;
    e->rgd = flags & XF_RGD ? ldq_le_p(h + X_RGD) * 512 : 0;
    e->overhead = ldq_le_p(h + X_OVERHEAD) * 512;
    e->zero_grains = (flags & XF_ZERO_GRAINS) && version >= 2;
    e->compressed = flags & XF_COMPRESSED;
    e->markers = flags & XF_MARKERS;
    return true;
}

static bool open_cowd(VmdkExtent *e, const uint8_t *h, Error **errp)
{
    if (!set_tables(e, (uint32_t)ldl_le_p(h + C_GRAIN), 4096, (uint32_t)ldl_le_p(h + C_CAPACITY), errp)) {
        return false;
    }
    e->gd = (uint32_t)ldl_le_p(h + C_GD) * 512ull;
    e->overhead = e->gd + (uint32_t)ldl_le_p(h + C_GD_LEN) * 4ull;
    return true;
}

bool vmdk_open_sparse(BlkNode *n, VmdkExtent *e, Error **errp)
{
    uint8_t h[X_SIZE];

    e->kind = EXT_SPARSE;
    if (!read_at(e->file, 0, h, sizeof(h), errp)) {
        return false;
    }
    switch ((uint32_t)ldl_le_p(h)) {
    case MAGIC_KDMV:
        return open_hosted(n, e, h, errp);
    case MAGIC_COWD:
        return open_cowd(e, h, errp);
    default:
        return error_set(errp, "Image not in VMDK format");
    }
}

/*
 * Space-efficient sparse extents of ESX: 64-bit words, all places in sectors.
 * No document of its maker describes them; the layout is the one that free
 * readers of the format agree on.  Read only.
 */
enum { SE_MAGIC = 0, SE_VERSION = 8, SE_CAPACITY = 16, SE_GRAIN = 24, SE_TABLE = 32, SE_VOLATILE = 80, SE_GD = 128, SE_GD_LEN = 136, SE_TABLES = 144, SE_GRAINS = 192, SE_SIZE = 512 };
#define SE_MAGIC_VALUE 0xcafebabeull
#define SE_VERSION_VALUE 0x0000000200000001ull
#define SE_VOLATILE_MAGIC 0xcafecafeull

bool vmdk_open_se(BlkNode *n, VmdkExtent *e, Error **errp)
{
    uint8_t h[SE_SIZE], v[SE_SIZE];

    if (!n->read_only) {
        return error_set(errp, "No write support for seSparse images available");
    }
    if (!read_at(e->file, 0, h, sizeof(h), errp)) {
        return false;
    }
    if ((uint64_t)ldq_le_p(h) != SE_MAGIC_VALUE || (uint64_t)ldq_le_p(h + SE_VERSION) != SE_VERSION_VALUE) {
        return error_set(errp, "unsupported seSparse extent (magic %" PRIx64 ", version %" PRIx64 ")", (uint64_t)ldq_le_p(h), (uint64_t)ldq_le_p(h + SE_VERSION));
    }
    for (int at = SE_VOLATILE; at <= SE_GRAINS; at += 8) {
        if ((uint64_t)ldq_le_p(h + at) > INT64_MAX / 1024) {
            return error_set(errp, "Tables of a seSparse extent lie outside of any file");
        }
    }
    if (!read_at(e->file, ldq_le_p(h + SE_VOLATILE) * 512, v, sizeof(v), errp)) {
        return false;
    }
    if ((uint64_t)ldq_le_p(v) != SE_VOLATILE_MAGIC || v[24]) {
        return error_set(errp, "a seSparse extent was not closed: its journal is to be replayed where it was written");
    }
    if (ldq_le_p(h + SE_GRAIN) != 8 || ldq_le_p(h + SE_TABLE) != 64) {
        return error_set(errp, "unsupported grain or table size of a seSparse extent");
    }
    e->table_bytes = 64 * 512;
    if (!set_tables(e, 8, 64 * 512 / 8, ldq_le_p(h + SE_CAPACITY), errp)) {
        return false;
    }
    if (e->entries * 8 > (uint64_t)ldq_le_p(h + SE_GD_LEN) * 512) {
        return error_set(errp, "the grain directory of a seSparse extent is too short");
    }
    e->gd = ldq_le_p(h + SE_GD) * 512;
    e->tables_at = ldq_le_p(h + SE_TABLES) * 512;
    e->grains_at = ldq_le_p(h + SE_GRAINS) * 512;
    return true;
}
