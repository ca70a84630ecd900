/* SPDX-License-Identifier: MIT */
/* The parent of a differencing disk ([MS-VHDX] 2.6.2.6): pairs of words in UTF-16, in an item of the metadata. */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>
#include <string.h>

#include "block/parent.h"
#include "util/bswap.h"

enum { PL_COUNT = 18, PL_PAIRS = 20, PL_PAIR = 12, MAX_PAIRS = 64 };
#define PL_TYPE "b04aefb7-d19e-4a81-b789-25b8e9445913"

static const char *const path_keys[] = { "relative_path", "volume_path", "absolute_win32_path" };

/* ---- reading ---- */

static char *word(const uint8_t *item, size_t len, uint32_t at, uint16_t n)
{
    return at > len || n > len - at ? NULL : parent_text(item + at, n, false);
}

static void take_pair(Vhdx *s, const char *key, const char *value, char *paths[])
{
    if (!strcmp(key, "parent_linkage") || !strcmp(key, "parent_linkage2")) {
        vhdx_guid(value + (*value == '{'), s->linkage[key[14] == '2']);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(path_keys); i++) {
        if (!strcmp(key, path_keys[i])) {
            g_free(paths[i]);
            paths[i] = g_strdup(value);
        }
    }
}

static uint8_t *load_locator(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint8_t *item, type[16];
    int r;

    vhdx_guid(PL_TYPE, type);
    if (!s->locator_entry || s->locator_len < PL_PAIRS || s->locator_len > MAX_LOCATOR || s->locator_at < VM_ITEMS || (uint64_t)s->locator_at + s->locator_len > s->meta_len) {
        error_set(errp, "the VHDX image has a parent, but no item of metadata that names it");
        return NULL;
    }
    item = g_malloc0(s->locator_len);
    r = node_pread_padded(n->file->node, s->meta_at + s->locator_at, item, s->locator_len);
    if (r < 0 || memcmp(item, type, 16) || lduw_le_p(item + PL_COUNT) > MAX_PAIRS || PL_PAIRS + lduw_le_p(item + PL_COUNT) * (unsigned)PL_PAIR > s->locator_len) {
        error_set(errp, "invalid name of the parent in a VHDX image");
        g_clear_pointer(&item, g_free);
    }
    return item;
}

/* Where the paths are used one after the other, none may be missing between them. */
static void close_gaps(char *paths[], unsigned n)
{
    unsigned to = 0;

    for (unsigned i = 0; i < n; i++) {
        char *p = paths[i];

        paths[i] = NULL;
        if (p) {
            paths[to++] = p;
        }
    }
}

bool vhdx_read_parent(BlkNode *n, bool named, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    g_autofree uint8_t *item = load_locator(n, errp);
    char *paths[G_N_ELEMENTS(path_keys) + 1] = {};

    if (!item) {
        return false;
    }
    for (unsigned i = 0; i < lduw_le_p(item + PL_COUNT); i++) {
        const uint8_t *p = item + PL_PAIRS + i * PL_PAIR;
        g_autofree char *key = word(item, s->locator_len, ldl_le_p(p), lduw_le_p(p + 8)), *value = word(item, s->locator_len, ldl_le_p(p + 4), lduw_le_p(p + 10));

        if (key && value) {
            take_pair(s, key, value, paths);
        }
    }
    close_gaps(paths, G_N_ELEMENTS(path_keys));
    n->backing_name = parent_find(n->file->node->filename, paths);
    n->backing_format = g_strdup(n->backing_name ? "vhdx" : NULL);
    for (char **p = paths; *p; p++) {
        g_free(*p);
    }
    return n->backing_name || named || error_set(errp, "the image names no parent that could lie on this host; say which it is: backing.file.filename=..., or rebase -u");
}

bool vhdx_backing_is(BlkNode *n, BlkNode *below, Error **errp)
{
    static const uint8_t none[16];
    Vhdx *s = vhdx_of(n);

    if (below->drv != n->drv || !s->differs) {
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (memcmp(s->linkage[i], none, 16) && !memcmp(s->linkage[i], vhdx_of(below)->header + VH_DATA_GUID, 16)) {
            return true;
        }
    }
    error_set(errp, "'%s' is not the parent of '%s', or was written since", below->filename, n->filename);
    return error_hint(errp, "If it is all the same, as after a commit that was cut short: rhea-img rebase -u -f vhdx -F vhdx -b PARENT IMAGE\n");
}

/* ---- making ---- */

static char *guid_text(const uint8_t *g)
{
    return g_strdup_printf("{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", (uint32_t)ldl_le_p(g), lduw_le_p(g + 4), lduw_le_p(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static uint8_t *pack(const char *const pairs[][2], unsigned count, size_t *len)
{
    GByteArray *a = g_byte_array_new();

    g_byte_array_set_size(a, PL_PAIRS + count * PL_PAIR);
    memset(a->data, 0, a->len);
    vhdx_guid(PL_TYPE, a->data);
    stuw_le_p(a->data + PL_COUNT, count);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < 2; k++) {
            size_t n;
            g_autofree uint8_t *wide = parent_utf16(pairs[i][k], false, &n);

            stl_le_p(a->data + PL_PAIRS + i * PL_PAIR + k * 4, a->len);
            stuw_le_p(a->data + PL_PAIRS + i * PL_PAIR + 8 + k * 2, n);
            g_byte_array_append(a, wide, n);
        }
    }
    *len = a->len;
    return g_byte_array_free(a, false);
}

/* What the parent's data is called.  Its headers alone are read: it may be open, with a log that is in use. */
static bool ask_parent(Session *s, const char *path, uint8_t guid[16], Error **errp)
{
    g_autofree uint8_t *header = g_malloc(V_HEADER_SIZE);
    uint8_t id[8] = {};
    bool second, ok;
    BlkNode *file = blk_node_open(s, path, json_object(), BLK_O_PROTOCOL_NODE | BLK_O_FORCE_SHARE, errp);

    if (!file) {
        return false;
    }
    ok = (node_pread_padded(file, 0, id, sizeof(id)) == 0 && !memcmp(id, "vhdxfile", 8)) || error_set(errp, "'%s' is not in VHDX format", path);
    ok = ok && vhdx_load_header(file, header, &second, errp);
    memcpy(guid, header + VH_DATA_GUID, 16);
    blk_node_unref(file);
    return ok;
}

uint8_t *vhdx_make_locator(Session *s, const char *image, const char *backing, const char *format, size_t *len, Error **errp)
{
    ParentPaths paths = {};
    g_autofree char *linkage = NULL;
    uint8_t *out = NULL, guid[16];

    if (format && strcmp(format, "vhdx")) {
        error_set(errp, "Invalid backing file format: %s. Must be 'vhdx'", format);
        return NULL;
    }
    if (!parent_paths(image, backing, &paths, errp)) {
        return NULL;
    }
    if (strlen(paths.relative) + strlen(paths.absolute) > MAX_LOCATOR / 8) {
        error_set(errp, "the name of the parent is too long");
    } else if (ask_parent(s, paths.absolute, guid, errp)) {
        linkage = guid_text(guid);
        out = pack((const char *const[][2]){ { "parent_linkage", linkage }, { "relative_path", paths.relative }, { "absolute_win32_path", paths.absolute } }, 3, len);
    }
    parent_paths_clear(&paths);
    return out;
}

/* ---- changing ---- */

/* The file changes, what is read from the disk does not: its own children need not know. */
static int begin_quietly(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);
    int r = s->g.begun || s->named_new ? 0 : vhdx_write_header(n, NULL, true, false);

    r = r || s->g.begun || s->named_new ? r : vhdx_write_header(n, NULL, false, false);
    s->named_new |= r == 0;
    return r;
}

/* Up to where another item begins, or the region ends. */
static int room_at(BlkNode *n, uint32_t at, uint32_t *room, uint32_t *end)
{
    Vhdx *s = vhdx_of(n);
    g_autofree uint8_t *t = g_malloc(VM_ITEMS);
    int r = meta_read(n, n->file->node, s->meta_at, t, VM_ITEMS);

    *room = s->meta_len - at;
    *end = VM_ITEMS;
    for (unsigned i = 0; r == 0 && i < MIN(lduw_le_p(t + VM_COUNT), VM_MAX); i++) {
        const uint8_t *e = t + VM_ENTRIES + i * VM_ENTRY;
        uint32_t from = ldl_le_p(e + 16), upto = from + (uint32_t)ldl_le_p(e + 20);

        *room = from > at ? MIN(*room, from - at) : *room;
        *end = MAX(*end, upto);
    }
    return r;
}

/* All of it in one entry of the log; all else has gone out before. */
static int put_locator(BlkNode *n, const uint8_t *item, size_t len)
{
    Vhdx *s = vhdx_of(n);
    uint32_t room, end, at = s->locator_at;
    int r = vhdx_sync(n, true);

    r = r ? r : room_at(n, at, &room, &end);
    if (r == 0 && len > room) {
        at = format_round(end, 8);
        r = at > s->meta_len || len > s->meta_len - at ? -ENOSPC : 0;
    }
    r = r ? r : meta_write(n, n->file->node, s->meta_at + at, item, len, 0);
    r = r ? r : meta_set32le(n, n->file->node, s->locator_entry + 16, at, 0);
    r = r ? r : meta_set32le(n, n->file->node, s->locator_entry + 20, len, 0);
    r = r ? r : vhdx_sync(n, true);
    if (r == 0) {
        s->locator_at = at;
        s->locator_len = len;
    }
    return r;
}

/* The last entry of the table takes the place of the locator's. */
static int drop_locator(BlkNode *n)
{
    static const uint8_t none[VM_ENTRY];
    Vhdx *s = vhdx_of(n);
    BlkNode *file = n->file->node;
    uint8_t count[2], last[VM_ENTRY];
    uint64_t last_at;
    uint32_t flags;
    int r = vhdx_sync(n, true);

    r = r ? r : meta_read(n, file, s->meta_at + VM_COUNT, count, 2);
    last_at = s->meta_at + VM_ENTRIES + (lduw_le_p(count) - 1u) * VM_ENTRY;
    r = r ? r : meta_read(n, file, last_at, last, VM_ENTRY);
    r = r ? r : meta_write(n, file, s->locator_entry, last, VM_ENTRY, 0);
    r = r ? r : meta_write(n, file, last_at, none, VM_ENTRY, 0);
    stuw_le_p(count, lduw_le_p(count) - 1u);
    r = r ? r : meta_write(n, file, s->meta_at + VM_COUNT, count, 2, 0);
    r = r ? r : meta_get32le(n, file, s->params_at + 4, &flags);
    r = r ? r : meta_set32le(n, file, s->params_at + 4, flags & ~(uint32_t)VP_HAS_PARENT, 0);
    return r ? r : vhdx_sync(n, true);
}

static bool no_parent(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    int r = vhdx_fill_parts(n);

    r = r ? r : drop_locator(n);
    if (r == 0) {
        s->differs = false;
        s->locator_entry = 0;
        s->g.ops = &vhdx_ops;
        s->g.absent_is_zero = true;
    }
    return r == 0 || error_set_errno(errp, -r, "Could not write the metadata");
}

static bool other_parent(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    size_t len;
    g_autofree uint8_t *item = vhdx_make_locator(n->session, n->file->node->filename, backing, format, &len, errp);
    int r;

    if (!item) {
        return false;
    }
    r = put_locator(n, item, len);
    memset(s->linkage, 0, sizeof(s->linkage));
    return r == 0 || error_set_errno(errp, -r, "Could not write the metadata");
}

bool vhdx_change_backing(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    bool ok;
    int r;

    if (!s->differs) {
        return backing ? error_set(errp, "this VHDX image has no parent; a child of one is made with create -b") : true;
    }
    fiber_mutex_lock(&s->g.lock);
    r = begin_quietly(n);
    ok = r < 0 ? error_set_errno(errp, -r, "Could not write the headers") : backing ? other_parent(n, backing, format, errp) : no_parent(n, errp);
    fiber_mutex_unlock(&s->g.lock);
    if (ok) {
        node_backing_named(n, backing, "vhdx");
    }
    return ok;
}

int vhdx_relink(BlkNode *n)
{
    Vhdx *s = vhdx_of(n);
    BlkNode *below = n->backing ? n->backing->node : NULL;
    g_autofree uint8_t *item = load_locator(n, NULL);
    g_autofree char *now = NULL;
    int r = begin_quietly(n);

    while (below && blk_filtered(below)) {
        below = blk_filtered(below);
    }
    if (r < 0 || !below || below->drv != n->drv || !item) {
        return r;
    }
    now = guid_text(vhdx_of(below)->header + VH_DATA_GUID);
    for (unsigned i = 0; i < lduw_le_p(item + PL_COUNT); i++) {
        uint8_t *p = item + PL_PAIRS + i * PL_PAIR;
        g_autofree char *key = word(item, s->locator_len, ldl_le_p(p), lduw_le_p(p + 8)), *value = word(item, s->locator_len, ldl_le_p(p + 4), lduw_le_p(p + 10));

        if (key && value && !strcmp(key, "parent_linkage") && strlen(value) == strlen(now)) {
            size_t len;
            g_autofree uint8_t *wide = parent_utf16(now, false, &len);

            memcpy(item + (uint32_t)ldl_le_p(p + 4), wide, len);
            memcpy(s->linkage[0], vhdx_of(below)->header + VH_DATA_GUID, 16);
        }
    }
    return put_locator(n, item, s->locator_len);
}
