/* SPDX-License-Identifier: MIT */
/*
 * The format extension: a cluster of features behind a checksum.  Of these,
 * dirty bitmaps are read, where the image is opened read-only: they are true as
 * long as nobody writes, and the first write drops them.  They are called by the
 * identifier of the backup that they belong to.  Other features are passed over.
 */
#include "block/parallels/parallels-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/bitmap.h"
#include "util/bswap.h"

enum { E_MAGIC = 0, E_SUM = 8, E_FEATURES = 24 };                           /* of the cluster */
enum { F_MAGIC = 0, F_FLAGS = 8, F_BYTES = 16, F_DATA = 24 };               /* of a feature */
enum { B_SIZE = 0, B_ID = 8, B_GRANULARITY = 24, B_TABLE_LEN = 28, B_TABLE = 32 };      /* of a bitmap */
enum { MD5 = 16, CLUSTER_MAX = 64 << 20, BITS_MAX = 512 << 20 };
#define EXTENSION_MAGIC 0xab234cef23dcea87ull
#define BITMAP_MAGIC 0x20385fae252cb34aull

static char *name_of(const uint8_t *id)
{
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < 16; i++) {
        g_string_append_printf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    }
    return g_string_free(out, FALSE);
}

static bool read_bits(BlkNode *n, BlkBitmap *b, const uint8_t *table, uint64_t total, Error **errp)
{
    Parallels *s = n->state;
    uint8_t *bits = (uint8_t *)b->words;

    for (uint64_t at = 0; at < total; at += s->g.grain) {
        uint64_t e = ldq_le_p(table + at / s->g.grain * 8), len = MIN(s->g.grain, total - at);
        int r = 0;

        if (e == 1) {
            memset(bits + at, 0xff, len);
        } else if (e) {
            r = e < INT64_MAX / 512 ? node_pread_padded(n->file->node, e * 512, bits + at, len) : -EINVAL;
        }
        if (r < 0) {
            return error_set_errno(errp, -r, "Failed to read bitmap data cluster");
        }
    }
    blk_bitmap_resize(b, b->size);                      /* counts, and drops what lies behind the end */
    return true;
}

static bool bitmap_ok(const Parallels *s, uint64_t disk, const uint8_t *data, uint32_t len, uint64_t *total, Error **errp)
{
    uint64_t sectors, granularity, want;

    if (len < B_TABLE) {
        return error_set(errp, "Bitmap feature of %" PRIu32 " bytes is too small", len);
    }
    sectors = ldq_le_p(data + B_SIZE);
    granularity = (uint32_t)ldl_le_p(data + B_GRANULARITY);
    if (sectors != disk / 512) {
        return error_set(errp, "Bitmap has %" PRIu64 " sectors, the disk %" PRIu64, sectors, disk / 512);
    }
    if (!granularity || (granularity & (granularity - 1)) || granularity > UINT32_MAX / 1024) {
        return error_set(errp, "Bitmap granularity of %" PRIu64 " sectors is no power of two", granularity);
    }
    *total = format_round(format_round(sectors, granularity) / granularity, 8) / 8;
    want = format_round(*total, s->g.grain) / s->g.grain;
    if ((uint32_t)ldl_le_p(data + B_TABLE_LEN) != want) {
        return error_set(errp, "Bitmap table size %" PRIu32 " does not correspond to bitmap size and cluster size. Expected %" PRIu64, (uint32_t)ldl_le_p(data + B_TABLE_LEN), want);
    }
    return (want * 8 <= len - B_TABLE && *total <= BITS_MAX) || error_set(errp, "Feature data_size %" PRIu32 " is too small for a bitmap of %" PRIu64 " bytes", len, *total);
}

static bool read_bitmap(BlkNode *n, const uint8_t *data, uint32_t len, Error **errp)
{
    g_autofree char *name = NULL;
    uint64_t total = 0;
    BlkBitmap *b;

    if (!bitmap_ok(n->state, n->size, data, len, &total, errp)) {
        return false;
    }
    name = name_of(data + B_ID);
    b = blk_bitmap_new(n, name, (uint32_t)ldl_le_p(data + B_GRANULARITY) * 512ull, errp);
    return b && read_bits(n, b, data + B_TABLE, total, errp);
}

static bool read_features(BlkNode *n, const uint8_t *p, uint64_t room, Error **errp)
{
    while (room >= F_DATA) {
        uint64_t magic = ldq_le_p(p + F_MAGIC), step;
        uint32_t len = ldl_le_p(p + F_BYTES);

        if (!magic) {
            return true;
        }
        step = F_DATA + format_round(len, 8);
        if (step > room) {
            return error_set(errp, "Feature of %" PRIu32 " bytes is larger than the Format Extension", len);
        }
        if (magic == BITMAP_MAGIC && !read_bitmap(n, p + F_DATA, len, errp)) {
            return false;
        }
        p += step;
        room -= step;
    }
    return error_set(errp, "Format Extension has no end of its features");
}

bool parallels_read_extension(BlkNode *n, Error **errp)
{
    Parallels *s = n->state;
    uint64_t len = s->g.grain;
    g_autofree uint8_t *e = NULL;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    uint8_t digest[MD5];
    gsize digest_len = MD5;
    int r;

    if (len > CLUSTER_MAX || len < E_FEATURES || s->ext >= INT64_MAX / 512 - len / 512) {
        return error_set(errp, "Format Extension at sector %" PRIu64 " of %" PRIu64 " bytes is not readable", s->ext, len);
    }
    e = g_malloc(len);
    r = node_pread_padded(n->file->node, s->ext * 512, e, len);
    if (r < 0) {
        return error_set_errno(errp, -r, "Failed to read Format Extension cluster");
    }
    if (ldq_le_p(e + E_MAGIC) != EXTENSION_MAGIC) {
        return error_set(errp, "Wrong parallels Format Extension magic: 0x%" PRIx64 ", expected: 0x%llx", (uint64_t)ldq_le_p(e + E_MAGIC), EXTENSION_MAGIC);
    }
    g_checksum_update(sum, e + E_FEATURES, (gssize)(len - E_FEATURES));
    g_checksum_get_digest(sum, digest, &digest_len);
    if (memcmp(digest, e + E_SUM, MD5)) {
        return error_set(errp, "Wrong checksum in Format Extension header. Format extension is corrupted.");
    }
    return read_features(n, e + E_FEATURES, len - E_FEATURES, errp);
}
