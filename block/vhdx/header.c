/* SPDX-License-Identifier: MIT */
/* Headers, regions, metadata ([MS-VHDX] 2.2, 2.6). */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/crc32c.h"
#include "util/size.h"

void vhdx_guid(const char *text, uint8_t out[16])
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    unsigned n = 0;

    memset(out, 0, 16);
    for (const char *p = text; n < 16; p += 2) {
        p += *p == '-';
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1])) {
            return;
        }
        out[order[n++]] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
    }
}

static bool guid_is(const uint8_t *p, const char *text)
{
    uint8_t g[16];

    vhdx_guid(text, g);
    return !memcmp(p, g, 16);
}

bool vhdx_all_zero(const void *p, size_t len)
{
    const uint8_t *b = p;

    return !len || (!b[0] && !memcmp(b, b + 1, len - 1));
}

static uint32_t checksum(const uint8_t *p, size_t len)
{
    static const uint8_t zero[4];
    uint32_t c = crc32c(0, p, 4);

    c = crc32c(c, zero, 4);
    return crc32c(c, p + 8, len - 8);
}

void vhdx_seal(uint8_t *p, size_t len)
{
    stl_le_p(p + 4, checksum(p, len));
}

bool vhdx_sealed(const uint8_t *p, size_t len)
{
    return (uint32_t)ldl_le_p(p + 4) == checksum(p, len);
}

/* ---- headers ---- */

static bool header_valid(const uint8_t *h)
{
    return !memcmp(h, "head", 4) && vhdx_sealed(h, V_HEADER_SIZE) && lduw_le_p(h + VH_VERSION) == 1;
}

bool vhdx_load_header(BlkNode *file, uint8_t *header, bool *second, Error **errp)
{
    g_autofree uint8_t *h = g_malloc(2 * V_HEADER_SIZE);
    bool one, two;
    int r = node_pread_padded(file, V_HEADER1, h, V_HEADER_SIZE);

    r = r ? r : node_pread_padded(file, V_HEADER2, h + V_HEADER_SIZE, V_HEADER_SIZE);
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read the VHDX headers");
    }
    one = header_valid(h);
    two = header_valid(h + V_HEADER_SIZE);
    if (!one && !two) {
        return error_set(errp, "No valid VHDX header found");
    }
    *second = two && (!one || (uint64_t)ldq_le_p(h + V_HEADER_SIZE + VH_SEQUENCE) > (uint64_t)ldq_le_p(h + VH_SEQUENCE));
    memcpy(header, h + (*second ? V_HEADER_SIZE : 0), V_HEADER_SIZE);
    return true;
}

bool vhdx_read_headers(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);

    if (!vhdx_load_header(n->file->node, s->header, &s->second, errp)) {
        return false;
    }
    s->log_at = ldq_le_p(s->header + VH_LOG_OFFSET);
    s->log_len = (uint32_t)ldl_le_p(s->header + VH_LOG_LENGTH);
    if (lduw_le_p(s->header + VH_LOG_VERSION)) {
        return error_set(errp, "unsupported version of the VHDX log");
    }
    if (s->log_at < V_MB || s->log_at % V_MB || s->log_len < V_MB || s->log_len % V_MB || s->log_at > INT64_MAX / 2) {
        return error_set(errp, "invalid place of the VHDX log");
    }
    return true;
}

int vhdx_write_header(BlkNode *n, const uint8_t *log_guid, bool new_file, bool new_data)
{
    Vhdx *s = vhdx_of(n);
    uint8_t *h = s->header;
    int r;

    stq_le_p(h + VH_SEQUENCE, ldq_le_p(h + VH_SEQUENCE) + 1);
    if (new_file) {
        io_uuid(h + VH_FILE_GUID);
    }
    if (new_data) {
        io_uuid(h + VH_DATA_GUID);
    }
    if (log_guid) {
        memcpy(h + VH_LOG_GUID, log_guid, 16);
    } else {
        memset(h + VH_LOG_GUID, 0, 16);
    }
    vhdx_seal(h, V_HEADER_SIZE);
    s->second = !s->second;
    r = node_pwrite(n->file->node, s->second ? V_HEADER2 : V_HEADER1, h, V_HEADER_SIZE);
    return r ? r : node_flush(n->file->node);
}

/* ---- regions ---- */

static bool place_region(BlkNode *n, const uint8_t *e, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint64_t at = ldq_le_p(e + 16), len = (uint32_t)ldl_le_p(e + 24);
    bool required = ldl_le_p(e + 28) & 1, bat = guid_is(e, V_BAT_GUID), meta = guid_is(e, V_METADATA_GUID);

    if (at < V_MB || at % V_MB || len % V_MB || !len || at > INT64_MAX / 2) {
        return error_set(errp, "invalid place of a VHDX region");
    }
    if (at < s->log_at + s->log_len && s->log_at < at + len) {
        return error_set(errp, "VHDX regions overlap");
    }
    if (!bat && !meta && required) {
        return error_set(errp, "the image has a required VHDX region that is not known");
    }
    if ((bat && s->bat_len) || (meta && s->meta_len)) {
        return error_set(errp, "a VHDX region is there twice");
    }
    if (bat) {
        s->bat_at = at;
        s->bat_len = len;
    } else if (meta) {
        s->meta_at = at;
        s->meta_len = len;
    }
    return true;
}

bool vhdx_read_regions(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    g_autofree uint8_t *t = g_malloc(V_REGIONS_SIZE);
    int r = node_pread_padded(n->file->node, V_REGIONS1, t, V_REGIONS_SIZE);

    if (r < 0 || memcmp(t, "regi", 4) || !vhdx_sealed(t, V_REGIONS_SIZE)) {
        r = node_pread_padded(n->file->node, V_REGIONS2, t, V_REGIONS_SIZE);
    }
    if (r < 0 || memcmp(t, "regi", 4) || !vhdx_sealed(t, V_REGIONS_SIZE) || (uint32_t)ldl_le_p(t + VR_COUNT) > VR_MAX) {
        return error_set(errp, "No valid VHDX region table found");
    }
    for (uint32_t i = 0; i < (uint32_t)ldl_le_p(t + VR_COUNT); i++) {
        if (!place_region(n, t + VR_ENTRIES + i * VR_ENTRY, errp)) {
            return false;
        }
    }
    if (!s->bat_len || !s->meta_len) {
        return error_set(errp, "the VHDX region table lacks a region");
    }
    if (s->bat_at < s->meta_at + s->meta_len && s->meta_at < s->bat_at + s->bat_len) {
        return error_set(errp, "VHDX regions overlap");
    }
    return true;
}

/* ---- metadata ---- */

typedef struct {
    const char *guid;
    unsigned len;
    uint8_t data[16];
    bool found;
} Item;

static bool read_item(BlkNode *n, const uint8_t *e, uint64_t entry, Item *items, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint32_t at = ldl_le_p(e + 16), len = ldl_le_p(e + 20), flags = ldl_le_p(e + 24);
    int r;

    if (guid_is(e, VM_PARENT_LOCATOR)) {            /* read where it is wanted */
        s->locator_entry = entry;
        s->locator_at = at;
        s->locator_len = len;
        return true;
    }
    if (guid_is(e, VM_FILE_PARAMETERS)) {
        s->params_at = s->meta_at + at;
    }

    for (Item *i = items; i->guid; i++) {
        if (!guid_is(e, i->guid)) {
            continue;
        }
        if (len < i->len || at < VM_ITEMS || (uint64_t)at + len > s->meta_len) {
            return error_set(errp, "invalid place of a VHDX metadata item");
        }
        r = node_pread_padded(n->file->node, s->meta_at + at, i->data, i->len);
        i->found = r == 0;
        return r == 0 || error_set_errno(errp, -r, "Could not read VHDX metadata");
    }
    return !(flags & VM_REQUIRED) || (flags & VM_USER) || error_set(errp, "the image has required VHDX metadata that is not known");
}

static bool take_items(BlkNode *n, const Item *items, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint64_t sector = (uint32_t)ldl_le_p(items[2].data), blocks, entries;

    for (const Item *i = items; i->guid; i++) {
        if (!i->found) {
            return error_set(errp, "VHDX metadata lacks an item");
        }
    }
    s->block = (uint32_t)ldl_le_p(items[0].data);
    n->size = ldq_le_p(items[1].data);
    s->differs = ldl_le_p(items[0].data + 4) & VP_HAS_PARENT;
    s->sector = sector;
    if (sector != 512 && sector != 4096) {
        return error_set(errp, "invalid VHDX sector size %" PRIu64, sector);
    }
    if (s->block < V_MB || s->block > 256 * V_MB || (s->block & (s->block - 1))) {
        return error_set(errp, "invalid VHDX block size %" PRIu64, s->block);
    }
    if (node_size(n) % sector || node_size(n) > V_MAX_DISK) {
        return error_set(errp, "invalid VHDX disk size %" PRIu64, node_size(n));
    }
    s->ratio = (sector << 23) / s->block;
    blocks = (node_size(n) + s->block - 1) / s->block;
    entries = s->differs ? (blocks + s->ratio - 1) / s->ratio * (s->ratio + 1) : blocks ? blocks + (blocks - 1) / s->ratio : 0;
    return entries * 8 <= s->bat_len || error_set(errp, "the VHDX block table is too short for the disk");
}

bool vhdx_read_metadata(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    Item items[] = { { VM_FILE_PARAMETERS, 8 }, { VM_DISK_SIZE, 8 }, { VM_LOGICAL_SECTOR, 4 }, { VM_PHYSICAL_SECTOR, 4 }, { VM_PAGE83, 16 }, {} };
    g_autofree uint8_t *t = g_malloc(VM_ITEMS);
    int r = node_pread_padded(n->file->node, s->meta_at, t, VM_ITEMS);

    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read VHDX metadata");
    }
    if (memcmp(t, "metadata", 8) || lduw_le_p(t + VM_COUNT) > VM_MAX) {
        return error_set(errp, "invalid VHDX metadata table");
    }
    for (unsigned i = 0; i < lduw_le_p(t + VM_COUNT); i++) {
        if (!read_item(n, t + VM_ENTRIES + i * VM_ENTRY, s->meta_at + VM_ENTRIES + i * VM_ENTRY, items, errp)) {
            return false;
        }
    }
    return take_items(n, items, errp);
}
