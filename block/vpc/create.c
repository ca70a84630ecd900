/* SPDX-License-Identifier: MIT */
/* Making VHD images. */
#include "block/vpc/vpc-priv.h"

#include <errno.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"

const OptKey vpc_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Must be 'vpc' if present" },
    { "subformat", OPT_STRING, "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} " },
    { "force_size", OPT_BOOL, "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation" },
    {}
};

typedef struct {
    uint16_t cylinders;
    uint8_t heads, sectors;
} Geometry;

/* The specification's appendix "CHS Calculation". */
static Geometry geometry_of(uint64_t total)
{
    uint64_t tracks, heads, sectors;

    total = MIN(total, MAX_GEOMETRY);
    if (total >= 65535ull * 16 * 63) {
        return (Geometry){ total / 255 / 16, 16, 255 };
    }
    sectors = 17;
    tracks = total / sectors;
    heads = MAX((tracks + 1023) / 1024, 4);
    if (tracks >= heads * 1024 || heads > 16) {
        sectors = 31;
        heads = 16;
        tracks = total / sectors;
    }
    if (tracks >= heads * 1024) {
        sectors = 63;
        heads = 16;
        tracks = total / sectors;
    }
    return (Geometry){ tracks / heads, heads, sectors };
}

static uint64_t sectors_of(Geometry g)
{
    return (uint64_t)g.cylinders * g.heads * g.sectors;
}

/* The smallest geometry that holds that many. */
static Geometry geometry_for(uint64_t sectors)
{
    Geometry g = geometry_of(sectors);

    for (uint64_t more = 0; sectors_of(g) < MIN(sectors, MAX_GEOMETRY); more++) {
        g = geometry_of(sectors + more);
    }
    return g;
}

typedef struct {
    uint64_t size;
    Geometry g;
    bool fixed, by_size;
    const char *filename, *backing, *backing_format;
} Wish;

static void make_footer(uint8_t *f, const Wish *w)
{
    memset(f, 0, FOOTER);
    memcpy(f, "conectix", 8);
    stl_be_p(f + F_FEATURES, 2);
    stl_be_p(f + F_VERSION, 0x00010000);
    stq_be_p(f + F_DATA, w->fixed ? UINT64_MAX : FOOTER);
    stl_be_p(f + F_TIME, loop_wall_time() / 1000000 - EPOCH_2000);
    memcpy(f + F_CREATOR, "rhea", 4);
    stl_be_p(f + F_CREATOR_VERSION, 0x00050003);
    memcpy(f + F_OS, "Wi2k", 4);
    stq_be_p(f + F_ORIGINAL, w->size);
    stq_be_p(f + F_SIZE, w->size);
    stw_be_p(f + F_CYLINDERS, w->by_size ? 65535 : w->g.cylinders);
    f[F_HEADS] = w->by_size ? 16 : w->g.heads;
    f[F_SECTORS] = w->by_size ? 255 : w->g.sectors;
    stl_be_p(f + F_TYPE, w->fixed ? TYPE_FIXED : w->backing ? TYPE_DIFFERENCING : TYPE_DYNAMIC);
    io_uuid(f + F_UUID);
    stl_be_p(f + F_CHECKSUM, vpc_checksum(f, FOOTER, F_CHECKSUM));
}

/* Footer, header, texts of locators, table, footer. */
static bool write_dynamic(Session *session, BlkNode *file, const uint8_t *footer, const Wish *w, Error **errp)
{
    enum { CHUNK = 1 << 16, TEXTS = FOOTER + DYNAMIC };
    uint64_t entries = (w->size + DEFAULT_BLOCK - 1) / DEFAULT_BLOCK, bytes = format_round(entries * 4, 512), texts_len = 0, table;
    g_autofree uint8_t *ones = g_malloc(CHUNK), *texts = NULL;
    uint8_t h[DYNAMIC] = "cxsparse";
    int r = 0;

    if (w->backing) {
        texts = vpc_make_parent(session, w->filename, w->backing, w->backing_format, h, TEXTS, &texts_len, errp);
        if (!texts) {
            return false;
        }
    }
    table = TEXTS + texts_len;
    memset(ones, 0xff, CHUNK);
    memset(h + D_NEXT, 0xff, 8);
    stq_be_p(h + D_TABLE, table);
    stl_be_p(h + D_VERSION, 0x00010000);
    stl_be_p(h + D_ENTRIES, entries);
    stl_be_p(h + D_BLOCK, DEFAULT_BLOCK);
    stl_be_p(h + D_CHECKSUM, vpc_checksum(h, sizeof(h), D_CHECKSUM));
    for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK) {
        r = node_pwrite(file, table + at, ones, MIN(bytes - at, CHUNK));
    }
    r = r || !texts_len ? r : node_pwrite(file, TEXTS, texts, texts_len);
    r = r ? r : node_pwrite(file, FOOTER, h, sizeof(h));
    r = r ? r : node_pwrite(file, table + bytes, footer, FOOTER);
    r = r ? r : node_flush(file);
    r = r ? r : node_pwrite(file, 0, footer, FOOTER);
    r = r ? r : node_flush(file);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", w->filename);
}

static bool write_fixed(BlkNode *file, const uint8_t *footer, const Wish *w, Error **errp)
{
    int r = node_pwrite(file, w->size, footer, FOOTER);

    r = r ? r : node_flush(file);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", w->filename);
}

/* A child is as large as its parent, whose size may be any. */
static bool choose_size(Wish *w, const Json *o, Error **errp)
{
    uint64_t sectors = format_round(json_get_u64(o, "size", 0), 512) / 512;
    bool force = json_get_bool(o, "force_size", false);

    w->g = w->backing ? geometry_of(sectors) : geometry_for(sectors);
    w->by_size = force || sectors > MAX_GEOMETRY || (w->backing && sectors_of(w->g) != sectors);
    w->size = (w->by_size ? sectors : sectors_of(w->g)) * 512;
    return w->size <= MAX_SECTORS * 512 || error_set(errp, "Disk size is too large, max size is 2040 GiB");
}

bool vpc_create(Session *session, const char *filename, Json *o, Error **errp)
{
    const char *sub = json_get_string(o, "subformat");
    Wish w = { .filename = filename, .fixed = sub && !strcmp(sub, "fixed"), .backing = json_get_string(o, "backing_file"), .backing_format = json_get_string(o, "backing_fmt") };
    uint8_t footer[FOOTER];
    bool ok;
    Blk *b;

    if (sub && !w.fixed && strcmp(sub, "dynamic")) {
        return error_set(errp, "invalid parameter value: %s", sub);
    }
    if (w.fixed && w.backing) {
        return error_set(errp, "A fixed VHD image can't have a backing file");
    }
    if (!choose_size(&w, o, errp)) {
        return false;
    }
    b = format_create_file(session, filename, w.fixed ? w.size + FOOTER : 0, NULL, errp);
    if (!b) {
        return false;
    }
    make_footer(footer, &w);
    ok = w.fixed ? write_fixed(blk_node(b), footer, &w, errp) : write_dynamic(session, blk_node(b), footer, &w, errp);
    blk_free(b);
    return ok;
}
