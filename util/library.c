/* SPDX-License-Identifier: MIT */
#include "util/library.h"

#include <dlfcn.h>
#include <glib.h>

static char *load(const Library *l)
{
    const char *wrong;
    void *so = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(l->files) && l->files[i] && !so; i++) {
        so = dlopen(l->files[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!so) {
        return g_strdup(l->missing);
    }
    for (const LibrarySymbol *s = l->symbols; s->name; s++) {
        *(void **)s->at = dlsym(so, s->name);
        if (!*(void **)s->at) {
            return g_strdup_printf("%s is too old: it has no %s", l->files[0], s->name);
        }
    }
    wrong = l->start ? l->start() : NULL;
    return g_strdup(wrong);
}

bool library_load(Library *l, const char *who, Error **errp)
{
    if (g_once_init_enter(&l->once)) {
        l->why = load(l);
        g_once_init_leave(&l->once, 1);
    }
    return !l->why || error_set(errp, "%s: %s", who, l->why);
}
