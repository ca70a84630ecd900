/* SPDX-License-Identifier: MIT */
/* The parent of a differencing VHD image: who it is and where it lies. */
#include "block/vpc/vpc-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "block/parent.h"
#include "util/bswap.h"

enum { MAX_TEXT = 16384 };
#define RELATIVE 0x57327275u            /* "W2ru": UTF-16, little endian */
#define ABSOLUTE 0x57326b75u            /* "W2ku" */
#define OLD_RELATIVE 0x57693272u        /* "Wi2r": of one byte a letter */
#define OLD_ABSOLUTE 0x5769326bu        /* "Wi2k" */

/* ---- reading ---- */

/* The text of the first locator of a kind; NULL: there is none. */
static char *locator_text(BlkNode *n, uint32_t code)
{
    Vpc *s = vpc_of(n);

    for (unsigned i = 0; i < LOCATORS; i++) {
        const uint8_t *p = s->header + D_LOCATORS + i * P_SIZE;
        uint64_t at = ldq_be_p(p + P_OFFSET), len = (uint32_t)ldl_be_p(p + P_LENGTH);
        g_autofree uint8_t *bytes = NULL;

        if ((uint32_t)ldl_be_p(p + P_CODE) != code || !len || len > MAX_TEXT || at > INT64_MAX / 2) {
            continue;
        }
        bytes = g_malloc0(len + 1);
        if (node_pread_padded(n->file->node, at, bytes, len) == 0) {
            return code == RELATIVE || code == ABSOLUTE ? parent_text(bytes, len, false) : g_utf8_validate((char *)bytes, -1, NULL) ? g_strdup((char *)bytes) : NULL;
        }
    }
    return NULL;
}

/* New blocks go behind all that there is. */
static void find_locators_end(Vpc *s)
{
    for (unsigned i = 0; i < LOCATORS; i++) {
        const uint8_t *p = s->header + D_LOCATORS + i * P_SIZE;
        uint64_t at = ldq_be_p(p + P_OFFSET), len = (uint32_t)ldl_be_p(p + P_LENGTH);

        if (ldl_be_p(p + P_CODE) && at < INT64_MAX / 2) {
            s->locators_end = MAX(s->locators_end, format_round(at + MIN(len, MAX_TEXT), 512));
        }
    }
}

bool vpc_read_parent(BlkNode *n, bool named, Error **errp)
{
    static const uint32_t order[] = { RELATIVE, ABSOLUTE, OLD_RELATIVE, OLD_ABSOLUTE };
    Vpc *s = vpc_of(n);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    char *name = parent_text(s->header + D_PARENT_NAME, D_PARENT_NAME_LEN, true);

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        char *text = locator_text(n, order[i]);

        if (text) {
            g_ptr_array_add(paths, text);
        }
    }
    if (name && *name) {
        g_ptr_array_add(paths, g_strdup(name + (strrchr(name, '\\') ? strrchr(name, '\\') + 1 - name : 0)));
    }
    g_free(name);
    g_ptr_array_add(paths, NULL);
    find_locators_end(s);
    n->backing_name = parent_find(n->file->node->filename, (char **)paths->pdata);
    n->backing_format = g_strdup(n->backing_name ? "vpc" : NULL);
    return n->backing_name || named || error_set(errp, "the image names no parent that could lie on this host; say which it is: backing.file.filename=..., or rebase -u");
}

bool vpc_backing_is(BlkNode *n, BlkNode *below, Error **errp)
{
    Vpc *s = vpc_of(n);

    if (below->drv != n->drv || !vpc_differs(s) || !memcmp(vpc_of(below)->footer + F_UUID, s->header + D_PARENT, 16)) {
        return true;
    }
    error_set(errp, "'%s' is not the parent of '%s': its UUID is another", below->filename, n->filename);
    return error_hint(errp, "If it is all the same, as after a copy by other tools: rhea-img rebase -u -f vpc -F vpc -b PARENT IMAGE\n");
}

/* ---- writing ---- */

/* Who is the parent? */
static bool ask_parent(Session *session, const char *path, uint8_t uuid[16], Error **errp)
{
    Json *o = json_object();
    BlkNode *b;

    json_set_string(o, "driver", "vpc");
    b = blk_node_open(session, path, o, BLK_O_NO_BACKING | BLK_O_FORCE_SHARE, errp);
    if (!b) {
        return false;
    }
    memcpy(uuid, vpc_of(b)->footer + F_UUID, 16);
    blk_node_unref(b);
    return true;
}

static void put_locator(uint8_t *p, uint32_t code, uint64_t at, uint64_t len)
{
    stl_be_p(p + P_CODE, code);
    stl_be_p(p + P_SPACE, format_round(len, 512));      /* bytes, whatever the specification says: so all others have it */
    stl_be_p(p + P_LENGTH, len);
    stq_be_p(p + P_OFFSET, at);
}

static void put_name(uint8_t *h, const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    size_t len;
    g_autofree uint8_t *wide = parent_utf16(base, true, &len);

    memset(h + D_PARENT_NAME, 0, D_PARENT_NAME_LEN);
    memcpy(h + D_PARENT_NAME, wide, MIN(len, D_PARENT_NAME_LEN - 2));
}

uint8_t *vpc_make_parent(Session *s, const char *image, const char *backing, const char *format, uint8_t *h, uint64_t at, uint64_t *len, Error **errp)
{
    ParentPaths paths = {};
    g_autofree uint8_t *rel = NULL, *abs = NULL;
    size_t rel_len, abs_len;
    uint8_t *out;
    struct stat st;

    if (format && strcmp(format, "vpc")) {
        error_set(errp, "Invalid backing file format: %s. Must be 'vpc'", format);
        return NULL;
    }
    if (!parent_paths(image, backing, &paths, errp)) {
        return NULL;
    }
    rel = parent_utf16(paths.relative, false, &rel_len);
    abs = parent_utf16(paths.absolute, false, &abs_len);
    if (rel_len > MAX_TEXT || abs_len > MAX_TEXT) {
        error_set(errp, "the name of the parent is too long");
    }
    if (rel_len > MAX_TEXT || abs_len > MAX_TEXT || !ask_parent(s, paths.absolute, h + D_PARENT, errp)) {
        parent_paths_clear(&paths);
        return NULL;
    }
    stl_be_p(h + D_PARENT_TIME, stat(paths.absolute, &st) == 0 ? st.st_mtime - EPOCH_2000 : 0);
    put_name(h, paths.absolute);
    memset(h + D_LOCATORS, 0, LOCATORS * P_SIZE);
    put_locator(h + D_LOCATORS, RELATIVE, at, rel_len);
    put_locator(h + D_LOCATORS + P_SIZE, ABSOLUTE, at + format_round(rel_len, 512), abs_len);
    *len = format_round(rel_len, 512) + format_round(abs_len, 512);
    out = g_malloc0(*len);
    memcpy(out, rel, rel_len);
    memcpy(out + format_round(rel_len, 512), abs, abs_len);
    parent_paths_clear(&paths);
    return out;
}

/* Another header, with its texts, behind all that there is; then the copy of the footer in front, one sector, switches to it. */
static int switch_header(BlkNode *n, uint8_t *h, const uint8_t *texts, uint64_t texts_len, uint32_t type)
{
    Vpc *s = vpc_of(n);
    BlkNode *file = n->file->node;
    uint64_t at = s->g.next;
    uint8_t f[FOOTER];
    int r;

    memcpy(f, s->footer, FOOTER);
    stl_be_p(f + F_TYPE, type);
    stq_be_p(f + F_DATA, at);
    stl_be_p(f + F_CHECKSUM, vpc_checksum(f, FOOTER, F_CHECKSUM));
    stl_be_p(h + D_CHECKSUM, vpc_checksum(h, DYNAMIC, D_CHECKSUM));
    r = node_pwrite(file, at, h, DYNAMIC);
    r = r || !texts_len ? r : node_pwrite(file, at + DYNAMIC, texts, texts_len);
    r = r ? r : node_pwrite(file, at + DYNAMIC + texts_len, f, FOOTER);
    s->g.next = at + DYNAMIC + texts_len;                   /* nothing that may be on its way is written over */
    r = r ? r : node_flush(file);
    r = r ? r : node_pwrite(file, 0, f, FOOTER);
    r = r ? r : node_flush(file);
    if (r == 0) {
        memcpy(s->footer, f, FOOTER);
        memcpy(s->header, h, DYNAMIC);
        find_locators_end(s);
    }
    return r;
}

static bool no_parent(BlkNode *n, Error **errp)
{
    Vpc *s = vpc_of(n);
    uint8_t h[DYNAMIC];
    int r = vpc_fill_parts(n);

    r = r ? r : grains_sync(n, true);
    memcpy(h, s->header, DYNAMIC);
    memset(h + D_PARENT, 0, DYNAMIC - D_PARENT);
    r = r ? r : switch_header(n, h, NULL, 0, TYPE_DYNAMIC);
    if (r == 0) {
        s->g.ops = &vpc_ops;
        s->g.absent_is_zero = true;
    }
    return r == 0 || error_set_errno(errp, -r, "Could not write the header");
}

static bool other_parent(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Vpc *s = vpc_of(n);
    uint8_t h[DYNAMIC];
    g_autofree uint8_t *texts = NULL;
    uint64_t len;
    int r;

    memcpy(h, s->header, DYNAMIC);
    texts = vpc_make_parent(n->session, n->file->node->filename, backing, format, h, s->g.next + DYNAMIC, &len, errp);
    if (!texts) {
        return false;
    }
    r = grains_sync(n, true);
    r = r ? r : switch_header(n, h, texts, len, TYPE_DIFFERENCING);
    return r == 0 || error_set_errno(errp, -r, "Could not write the header");
}

bool vpc_change_backing(BlkNode *n, const char *backing, const char *format, Error **errp)
{
    Vpc *s = vpc_of(n);
    bool ok = false;
    int r;

    if (!vpc_differs(s)) {
        return backing ? error_set(errp, "this VHD image has no parent; a child of one is made with create -b") : true;
    }
    fiber_mutex_lock(&s->g.lock);
    r = grains_begin(n);
    if (r < 0) {
        error_set_errno(errp, -r, "Could not read the table of blocks");
    } else {
        ok = backing ? other_parent(n, backing, format, errp) : no_parent(n, errp);
    }
    fiber_mutex_unlock(&s->g.lock);
    if (ok) {
        node_backing_named(n, backing, "vpc");
    }
    return ok;
}
