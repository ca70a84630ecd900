/* SPDX-License-Identifier: MIT */
/*
 * Shared libraries that are loaded when they are first needed, so that a
 * program is as small as what it does.  One static Library per user; loading
 * it happens once in a process, from any thread, and is not undone.
 */
#ifndef UTIL_LIBRARY_H
#define UTIL_LIBRARY_H

#include "util/error.h"

typedef struct LibrarySymbol {
    const char *name;
    void *at;                       /* address of the pointer that is set */
} LibrarySymbol;

typedef struct Library {
    const char *files[4];           /* names to try, in this order */
    const LibrarySymbol *symbols;   /* ends with {} */
    const char *missing;            /* what to say where there is none: which package to install */
    const char *(*start)(void);     /* first call into it; returns NULL, or what is wrong.  May be NULL */
    size_t once;                    /* the loader's own */
    char *why;
} Library;

/* True when its symbols can be used; the message begins with `who`. */
bool library_load(Library *l, const char *who, Error **errp);

#endif
