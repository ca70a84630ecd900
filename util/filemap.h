/* SPDX-License-Identifier: MIT */
/*
 * A whole file in memory, read-only: kernels, device trees, firmware.
 *
 * A regular file is mapped privately; anything else that can be read to its
 * end (a pipe, /proc) is read.  The bytes must not be written.  An empty file
 * is a FileMap of size 0 with data != NULL.
 */
#ifndef UTIL_FILEMAP_H
#define UTIL_FILEMAP_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct FileMap {
    const uint8_t *data;
    size_t size;
    bool mapped;                /* else allocated */
} FileMap;

/* NULL and "Could not open 'PATH': reason" when it cannot be read. */
FileMap *file_map(const char *path, Error **errp);
void file_map_free(FileMap *map);                   /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FileMap, file_map_free)

#endif
