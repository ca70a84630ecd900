/* SPDX-License-Identifier: MIT */
/* Making VHDX images. */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/size.h"

const OptKey vhdx_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size; max of 64TB." },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Must be 'vhdx' if present" },
    { "log_size", OPT_SIZE, "Log size; min 1MB.", .def = "1048576" },
    { "block_size", OPT_SIZE, "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size.", .def = "0" },
    { "subformat", OPT_STRING, "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'." },
    { "block_state_zero", OPT_BOOL, "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using 'qemu-img convert' with subformat=dynamic." },
    {}
};

typedef struct {
    uint64_t size, block, log_len;
    bool fixed, zero;
    uint8_t *locator;                   /* of the parent; NULL: there is none */
    size_t locator_len;
    uint64_t blocks, entries, ratio;
    uint64_t log_at, meta_at, bat_at, bat_len, data_at;
} Wish;

static uint64_t block_for(uint64_t size)
{
    return size > 32 * TiB ? 64 * MiB : size > 100 * GiB ? 32 * MiB : size > 1 * GiB ? 16 * MiB : 8 * MiB;
}

static bool parse_wish(Wish *w, const Json *o, Error **errp)
{
    const char *sub = json_get_string(o, "subformat");

    w->size = format_round(json_get_u64(o, "size", 0), 512);
    w->log_len = json_get_u64(o, "log_size", MiB);
    w->block = json_get_u64(o, "block_size", 0);
    w->block = w->block ? w->block : block_for(w->size);
    w->fixed = sub && !strcmp(sub, "fixed");
    w->zero = json_get_bool(o, "block_state_zero", true);
    if (sub && !w->fixed && strcmp(sub, "dynamic")) {
        return error_set(errp, "invalid parameter value: %s", sub);
    }
    if (w->fixed && json_get_string(o, "backing_file")) {
        return error_set(errp, "A fixed VHDX image can't have a backing file");
    }
    if (w->size > V_MAX_DISK) {
        return error_set(errp, "Image size too large; max of 64TB");
    }
    if (w->log_len < MiB || w->log_len % MiB || w->log_len > UINT32_MAX) {
        return error_set(errp, "Log size must be a multiple of 1 MB");
    }
    if (w->block < MiB || w->block % MiB) {
        return error_set(errp, "Block size must be a multiple of 1 MB");
    }
    if (w->block & (w->block - 1)) {
        return error_set(errp, "Block size must be a power of two");
    }
    if (w->block > 256 * MiB) {
        return error_set(errp, "Block size must not exceed 256 MB");
    }
    return true;
}

static void lay_out(Wish *w)
{
    w->ratio = (512ull << 23) / w->block;
    w->blocks = (w->size + w->block - 1) / w->block;
    w->entries = w->locator ? (w->blocks + w->ratio - 1) / w->ratio * (w->ratio + 1) : w->blocks ? w->blocks + (w->blocks - 1) / w->ratio : 0;
    w->log_at = MiB;
    w->bat_at = w->log_at + w->log_len;
    w->bat_len = format_round(MAX(w->entries * 8, 1), MiB);
    w->meta_at = w->bat_at + w->bat_len;
    w->data_at = w->meta_at + MiB;
}

static int write_headers(BlkNode *f, const Wish *w)
{
    uint8_t *h = g_malloc0(V_HEADER_SIZE);
    int r = 0;

    memcpy(h, "head", 4);
    io_uuid(h + VH_FILE_GUID);
    io_uuid(h + VH_DATA_GUID);
    stuw_le_p(h + VH_VERSION, 1);
    stl_le_p(h + VH_LOG_LENGTH, w->log_len);
    stq_le_p(h + VH_LOG_OFFSET, w->log_at);
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        stq_le_p(h + VH_SEQUENCE, 1 + i);
        vhdx_seal(h, V_HEADER_SIZE);
        r = node_pwrite(f, i ? V_HEADER2 : V_HEADER1, h, V_HEADER_SIZE);
    }
    g_free(h);
    return r;
}

static void put_region(uint8_t *e, const char *guid, uint64_t at, uint64_t len)
{
    vhdx_guid(guid, e);
    stq_le_p(e + 16, at);
    stl_le_p(e + 24, len);
    stl_le_p(e + 28, 1);
}

static int write_regions(BlkNode *f, const Wish *w)
{
    uint8_t *t = g_malloc0(V_REGIONS_SIZE);
    int r;

    memcpy(t, "regi", 4);
    stl_le_p(t + VR_COUNT, 2);
    put_region(t + VR_ENTRIES, V_BAT_GUID, w->bat_at, w->bat_len);
    put_region(t + VR_ENTRIES + VR_ENTRY, V_METADATA_GUID, w->meta_at, MiB);
    vhdx_seal(t, V_REGIONS_SIZE);
    r = node_pwrite(f, V_REGIONS1, t, V_REGIONS_SIZE);
    r = r ? r : node_pwrite(f, V_REGIONS2, t, V_REGIONS_SIZE);
    g_free(t);
    return r;
}

static void put_item(uint8_t *e, const char *guid, unsigned at, unsigned len, unsigned flags)
{
    vhdx_guid(guid, e);
    stl_le_p(e + 16, VM_ITEMS + at);
    stl_le_p(e + 20, len);
    stl_le_p(e + 24, flags);
}

static int write_metadata(BlkNode *f, const Wish *w)
{
    enum { LOCATOR_AT = 4096 };
    size_t len = VM_ITEMS + LOCATOR_AT + w->locator_len;
    uint8_t *t = g_malloc0(len), *items = t + VM_ITEMS, *e = t + VM_ENTRIES;
    int r;

    memcpy(t, "metadata", 8);
    stuw_le_p(t + VM_COUNT, 5);
    put_item(e, VM_FILE_PARAMETERS, 0, 8, VM_REQUIRED);
    put_item(e + VM_ENTRY, VM_DISK_SIZE, 8, 8, VM_REQUIRED | VM_DISK);
    put_item(e + 2 * VM_ENTRY, VM_PAGE83, 16, 16, VM_REQUIRED | VM_DISK);
    put_item(e + 3 * VM_ENTRY, VM_LOGICAL_SECTOR, 32, 4, VM_REQUIRED | VM_DISK);
    put_item(e + 4 * VM_ENTRY, VM_PHYSICAL_SECTOR, 36, 4, VM_REQUIRED | VM_DISK);
    stl_le_p(items, w->block);
    if (w->locator) {
        stuw_le_p(t + VM_COUNT, 6);
        put_item(e + 5 * VM_ENTRY, VM_PARENT_LOCATOR, LOCATOR_AT, w->locator_len, VM_REQUIRED);
        memcpy(items + LOCATOR_AT, w->locator, w->locator_len);
    }
    stl_le_p(items + 4, w->locator ? VP_HAS_PARENT : w->fixed);
    stq_le_p(items + 8, w->size);
    io_uuid(items + 16);
    stl_le_p(items + 32, 512);
    stl_le_p(items + 36, 512);
    r = node_pwrite(f, w->meta_at, t, len);
    g_free(t);
    return r;
}

static int write_bat(BlkNode *f, const Wish *w)
{
    enum { CHUNK = 65536 };
    uint64_t bytes = w->entries * 8;
    uint8_t *buf;
    int r = 0;

    if ((!w->fixed && !w->zero) || w->locator) {
        return 0;
    }
    buf = g_malloc(CHUNK);
    for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK) {
        for (uint64_t i = 0; i < CHUNK / 8; i++) {
            uint64_t index = at / 8 + i, block = index - index / (w->ratio + 1);
            bool bitmap = index % (w->ratio + 1) == w->ratio;

            stq_le_p(buf + i * 8, bitmap || index >= w->entries ? 0 : w->fixed ? (w->data_at + block * w->block) | VB_FULL : VB_ZERO);
        }
        r = node_pwrite(f, w->bat_at + at, buf, MIN(bytes - at, CHUNK));
    }
    g_free(buf);
    return r;
}

static bool make_image(Session *session, const char *filename, Wish w, Error **errp)
{
    uint8_t id[512] = "vhdxfile";
    Blk *b;
    int r;

    lay_out(&w);
    b = format_create_file(session, filename, w.data_at + (w.fixed ? w.blocks * w.block : 0), NULL, errp);
    if (!b) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        stuw_le_p(id + 8 + i * 2, "Rhea"[i]);
    }
    r = write_headers(blk_node(b), &w);
    r = r ? r : write_regions(blk_node(b), &w);
    r = r ? r : write_metadata(blk_node(b), &w);
    r = r ? r : write_bat(blk_node(b), &w);
    r = r ? r : node_flush(blk_node(b));
    r = r ? r : node_pwrite(blk_node(b), 0, id, sizeof(id));
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", filename);
}

bool vhdx_create(Session *session, const char *filename, Json *o, Error **errp)
{
    const char *backing = json_get_string(o, "backing_file");
    Wish w = {};
    bool ok;

    if (!parse_wish(&w, o, errp)) {
        return false;
    }
    if (backing) {
        w.locator = vhdx_make_locator(session, filename, backing, json_get_string(o, "backing_fmt"), &w.locator_len, errp);
        if (!w.locator) {
            return false;
        }
    }
    ok = make_image(session, filename, w, errp);
    g_free(w.locator);
    return ok;
}
