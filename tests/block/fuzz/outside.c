/* SPDX-License-Identifier: MIT */
#include "tests/block/fuzz/outside.h"

#include <glib.h>
#include <string.h>

static const char *const outside[] = { "file", "host_device", "host_cdrom", "nbd", "ssh", "http", "https", "ftp", "ftps", "vvfat", "fat", "iscsi" };

static bool names_outside(const char *text)
{
    bool found = strpbrk(text, "/:");

    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        found = found || !strcmp(text, outside[i]);
    }
    return found;
}

bool reaches_outside(const Json *j)
{
    if (json_is(j, JSON_STRING)) {
        return names_outside(json_as_string(j));
    }
    if (!json_is(j, JSON_OBJECT) && !json_is(j, JSON_ARRAY)) {
        return false;
    }
    for (unsigned i = 0; i < json_size(j); i++) {
        if ((json_is(j, JSON_OBJECT) && strstr(json_key_at(j, i), "filename")) || reaches_outside(json_at(j, i))) {
            return true;
        }
    }
    return false;
}

bool text_reaches_outside(const char *text)
{
    g_autoptr(Json) j = json_parse(text, strlen(text), NULL);

    if (j) {
        return reaches_outside(j);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        g_autofree char *driver = g_strconcat("=", outside[i], NULL);

        if (strstr(text, driver)) {
            return true;
        }
    }
    return strpbrk(text, "/:") || strstr(text, "filename");
}
