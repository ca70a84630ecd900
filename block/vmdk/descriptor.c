/* SPDX-License-Identifier: MIT */
/* The text that says what a disk is made of. */
#include "block/vmdk/vmdk-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/entropy.h"

/* Comments and blank lines, then a version that we know. */
bool vmdk_is_descriptor(const uint8_t *buf, size_t len)
{
    const char *p = (const char *)buf, *end = p + len;

    while (p < end) {
        const char *nl = memchr(p, '\n', end - p);
        size_t line = nl ? (size_t)(nl - p) : (size_t)(end - p);

        if (*p != '#' && strspn(p, " \r") < line && line) {
            while (line && (p[line - 1] == '\r' || p[line - 1] == ' ')) {
                line--;
            }
            return line == 9 && !memcmp(p, "version=", 8) && p[8] >= '1' && p[8] <= '3';
        }
        p = nl ? nl + 1 : end;
    }
    return false;
}

static const char *find_line(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (!strncmp(p, name, len)) {
            size_t gap = strspn(p + len, " \t");

            if (p[len + gap] == '=') {
                return p + len + gap + 1;
            }
        }
    }
    return NULL;
}

char *vmdk_desc_get(const char *text, const char *name)
{
    const char *v = find_line(text, name);
    char *value;
    size_t len;

    if (!v) {
        return NULL;
    }
    value = g_strstrip(g_strndup(v, strcspn(v, "\r\n")));
    len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        memmove(value, value + 1, len - 2);
        value[len - 2] = 0;
    }
    return value;
}

bool vmdk_desc_read(BlkNode *n, char **text, Error **errp)
{
    Vmdk *s = vmdk_of(n);
    char *buf = g_malloc0(s->desc_len + 1);
    int r = node_pread_padded(n->file->node, s->desc_at, buf, s->desc_len);

    if (r < 0) {
        g_free(buf);
        return error_set_errno(errp, -r, "Could not read the descriptor");
    }
    *text = buf;
    return true;
}

static uint32_t hex(const char *text, const char *name, uint32_t absent)
{
    g_autofree char *v = vmdk_desc_get(text, name);

    return v ? g_ascii_strtoull(v, NULL, 16) : absent;
}

bool vmdk_desc_apply(BlkNode *n, const char *text, Error **errp)
{
    Vmdk *s = vmdk_of(n);
    g_autofree char *parent = vmdk_desc_get(text, "parentFileNameHint");

    s->cid = hex(text, "CID", 0);
    s->parent_cid = hex(text, "parentCID", NO_PARENT);
    g_free(s->create_type);
    s->create_type = vmdk_desc_get(text, "createType");
    if (!s->create_type) {
        return error_set(errp, "invalid VMDK image descriptor");
    }
    if (parent && *parent && s->parent_cid != NO_PARENT) {
        if (strlen(parent) > 1023) {
            return error_set(errp, "the name of the parent is too long");
        }
        n->backing_name = g_steal_pointer(&parent);
        n->backing_format = g_strdup("vmdk");
    }
    return true;
}

/* ---- extents ---- */

typedef struct {
    char access[11], type[16];
    uint64_t sectors, offset;
    char *name;                         /* NULL: ZERO has none */
} Line;

/* RW 4192256 SPARSE "disk-s001.vmdk" [offset] */
static bool parse_line(const char *line, Line *l)
{
    int at = 0;
    const char *quote, *end;

    *l = (Line){};
    if (sscanf(line, "%10s %" G_GUINT64_FORMAT " %15s%n", l->access, &l->sectors, l->type, &at) < 3) {
        return false;
    }
    quote = line + at + strspn(line + at, " \t");
    if (*quote != '"') {
        return !strcmp(l->type, "ZERO");
    }
    end = strchr(quote + 1, '"');
    if (!end || end == quote + 1) {
        return false;
    }
    l->name = g_strndup(quote + 1, end - quote - 1);
    l->offset = g_ascii_strtoull(end + 1, NULL, 10);
    return true;
}

static VmdkKind kind_of(const char *type, bool *known)
{
    static const struct {
        const char *name;
        VmdkKind kind;
    } kinds[] = { { "FLAT", EXT_FLAT }, { "VMFS", EXT_FLAT }, { "ZERO", EXT_ZERO }, { "SPARSE", EXT_SPARSE }, { "VMFSSPARSE", EXT_SPARSE }, { "SESPARSE", EXT_SE } };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(type, kinds[i].name)) {
            *known = true;
            return kinds[i].kind;
        }
    }
    *known = false;
    return EXT_ZERO;
}

static BlkNode *open_extent_file(BlkNode *n, Json *o, const Line *l, Error **errp)
{
    g_autofree char *key = g_strdup_printf("extents.%u", vmdk_of(n)->extents->len), *path = NULL;
    BlkChild *c;

    if (blk_path_has_protocol(l->name) || g_str_has_prefix(l->name, "json:")) {
        error_set(errp, "extent '%s' names a protocol; extents are files", l->name);
        return NULL;
    }
    path = blk_path_combine(n->file->node->filename, l->name);
    c = blk_open_child(n, o, g_intern_string(key), path, BLK_CHILD_DATA, 0, errp);
    return c ? c->node : NULL;
}

static bool add_extent(BlkNode *n, Json *o, const Line *l, const char *text, Error **errp)
{
    BlkNode *file = NULL;
    VmdkExtent *e;
    bool known;
    VmdkKind kind = kind_of(l->type, &known);

    if (!known) {
        return error_set(errp, "Unsupported extent type '%s'", l->type);
    }
    if (!l->sectors || l->sectors > INT64_MAX / 512 - node_size(n) / 512 || l->offset > INT64_MAX / 512) {
        return error_set(errp, "Invalid extent line: %.*s", (int)strcspn(text, "\r\n"), text);
    }
    if (kind != EXT_ZERO) {
        file = open_extent_file(n, o, l, errp);
        if (!file) {
            return false;
        }
    }
    e = vmdk_extent_new(n, file, l->type, l->sectors * 512);
    e->kind = kind;
    e->at = l->offset * 512;
    return kind == EXT_SPARSE ? vmdk_open_sparse(n, e, errp) : kind == EXT_SE ? vmdk_open_se(n, e, errp) : true;
}

/* Lines of other access modes (RDONLY, NOACCESS) are no part of the disk. */
bool vmdk_desc_extents(BlkNode *n, Json *o, const char *text, Error **errp)
{
    enum { MAX_EXTENTS = 4096 };

    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        bool ok;
        Line l;

        if (strncmp(p, "RW ", 3)) {
            continue;
        }
        if (vmdk_of(n)->extents->len >= MAX_EXTENTS) {
            return error_set(errp, "more than %d extents", MAX_EXTENTS);
        }
        if (!parse_line(p, &l)) {
            g_free(l.name);
            return error_set(errp, "Invalid extent line: %.*s", (int)strcspn(p, "\r\n"), p);
        }
        ok = add_extent(n, o, &l, p, errp);
        g_free(l.name);
        if (!ok) {
            return false;
        }
    }
    return vmdk_of(n)->extents->len || error_set(errp, "the descriptor names no extents");
}

/* The content identity changes with the first write: children made on the old content notice. */
int vmdk_new_cid(BlkNode *n)
{
    Vmdk *s = vmdk_of(n);
    g_autofree char *text = NULL;
    char value[9];
    const char *at;
    uint32_t cid;

    if (!s->desc_len || !vmdk_desc_read(n, &text, NULL)) {
        return s->desc_len ? -EIO : 0;
    }
    at = find_line(text, "CID");
    if (!at || strspn(at, "0123456789abcdefABCDEF") != 8) {
        return 0;
    }
    do {
        io_entropy(&cid, sizeof(cid));
    } while (cid >= NO_PARENT - 1 || cid == s->cid);
    s->cid = cid;
    snprintf(value, sizeof(value), "%08x", cid);
    return meta_write(n, n->file->node, s->desc_at + (at - text), value, 8, 0);
}
