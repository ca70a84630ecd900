/* SPDX-License-Identifier: MIT */
/* File names: protocols in front, relative ones, cache modes. */
#include "block/driver.h"

#include <string.h>

bool blk_path_has_protocol(const char *path)
{
    const char *colon = strchr(path, ':'), *slash = strchr(path, '/');

    return colon && (!slash || colon < slash);
}

char *blk_path_combine(const char *base, const char *name)
{
    const char *slash;

    if (name[0] == '/' || blk_path_has_protocol(name)) {
        return g_strdup(name);
    }
    slash = strrchr(base, '/');
    if (!slash) {
        slash = blk_path_has_protocol(base) ? strchr(base, ':') : NULL;
    }
    return slash ? g_strdup_printf("%.*s%s", (int)(slash + 1 - base), base, name) : g_strdup(name);
}

static const struct {
    const char *mode;
    unsigned flags;
} cache_modes[] = {
    { "none", BLK_O_DIRECT },
    { "off", BLK_O_DIRECT },
    { "writeback", 0 },
    { "writethrough", BLK_O_WRITETHROUGH },
    { "directsync", BLK_O_DIRECT | BLK_O_WRITETHROUGH },
    { "unsafe", BLK_O_NO_FLUSH },
};

bool blk_cache_flags(const char *mode, unsigned *flags, Error **errp)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cache_modes); i++) {
        if (!strcmp(mode, cache_modes[i].mode)) {
            *flags = (*flags & ~(BLK_O_DIRECT | BLK_O_NO_FLUSH | BLK_O_WRITETHROUGH)) | cache_modes[i].flags;
            return true;
        }
    }
    error_set(errp, "invalid cache option");
    return error_hint(errp, "'%s' is none of none, writeback, writethrough, directsync, unsafe\n", mode);
}
