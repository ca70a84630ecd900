/* SPDX-License-Identifier: MIT */
#include "block/parent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/driver.h"
#include "util/bswap.h"

/* ---- text ---- */

uint8_t *parent_utf16(const char *text, bool big_endian, size_t *len)
{
    glong n = 0;
    g_autofree gunichar2 *wide = g_utf8_to_utf16(text, -1, NULL, &n, NULL);
    uint8_t *out = g_malloc0(2 * (size_t)n + 2);

    for (glong i = 0; wide && i < n; i++) {
        if (big_endian) {
            stw_be_p(out + 2 * i, wide[i]);
        } else {
            stw_le_p(out + 2 * i, wide[i]);
        }
    }
    *len = wide ? 2 * (size_t)n : 0;
    return out;
}

char *parent_text(const uint8_t *utf16, size_t len, bool big_endian)
{
    g_autofree gunichar2 *wide = g_new0(gunichar2, len / 2 + 1);

    for (size_t i = 0; i < len / 2; i++) {
        wide[i] = big_endian ? lduw_be_p(utf16 + 2 * i) : lduw_le_p(utf16 + 2 * i);
    }
    return g_utf16_to_utf8(wide, -1, NULL, NULL, NULL);        /* to a zero, if there is one; NULL: no such text */
}

/* ---- what is written ---- */

/* From a folder to a file, both from the root and without links. */
static char *way_to(const char *folder, const char *file)
{
    g_auto(GStrv) from = g_strsplit(folder + 1, "/", -1), to = g_strsplit(file + 1, "/", -1);
    GString *out = g_string_new(NULL);
    unsigned same = 0;

    while (from[same] && *from[same] && to[same] && to[same + 1] && !strcmp(from[same], to[same])) {
        same++;
    }
    for (char **p = from + same; *p && **p; p++) {
        g_string_append(out, "../");
    }
    for (char **p = to + same; *p; p++) {
        g_string_append_printf(out, "%s%s", *p, p[1] ? "/" : "");
    }
    return g_string_free(out, false);
}

/* Without links as far as the file system knows it. */
static char *real(const char *path)
{
    char *r = realpath(path, NULL), *copy = g_strdup(r);

    free(r);
    return copy ? copy : g_canonicalize_filename(path, NULL);
}

bool parent_paths(const char *image, const char *backing, ParentPaths *out, Error **errp)
{
    g_autofree char *path = blk_path_combine(image, backing), *folder = g_path_get_dirname(image), *there = real(folder), *way = NULL;

    if (blk_path_has_protocol(path)) {
        return error_set(errp, "The parent of a differencing disk must be a file, not '%s'", backing);
    }
    out->absolute = real(path);
    way = g_path_is_absolute(backing) ? way_to(there, out->absolute) : g_strdup(backing);
    if (strchr(out->absolute, '\\') || strchr(way, '\\') || !g_utf8_validate(out->absolute, -1, NULL) || !g_utf8_validate(way, -1, NULL)) {
        parent_paths_clear(out);
        return error_set(errp, "A differencing disk can not name the parent '%s': backslashes, and what is no UTF-8, can not be told there", backing);
    }
    out->relative = g_strconcat(g_str_has_prefix(way, "../") || g_str_has_prefix(way, "./") ? "" : "./", way, NULL);
    g_strdelimit(out->relative, "/", '\\');
    return true;
}

void parent_paths_clear(ParentPaths *p)
{
    g_clear_pointer(&p->relative, g_free);
    g_clear_pointer(&p->absolute, g_free);
}

/* ---- what is read ---- */

/* As this host writes it; NULL: a path with a drive's letter, a server's name or a volume's. */
static char *of_this_host(const char *path)
{
    g_autofree char *p = g_strdelimit(g_strdup(path), "\\", '/');
    const char *name = p;

    while (g_str_has_prefix(name, "./")) {
        name += 2;
    }
    return !*name || g_str_has_prefix(name, "//") || (g_ascii_isalpha(name[0]) && name[1] == ':') || blk_path_has_protocol(name) ? NULL : g_strdup(name);
}

char *parent_find(const char *image, char *const *paths)
{
    char *first = NULL;

    for (; *paths; paths++) {
        char *name = of_this_host(*paths);
        g_autofree char *at = name ? blk_path_combine(image, name) : NULL;

        if (at && g_file_test(at, G_FILE_TEST_EXISTS)) {
            g_free(first);
            return name;
        }
        if (first) {
            g_free(name);
        } else {
            first = name;
        }
    }
    return first;
}
