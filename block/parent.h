/* SPDX-License-Identifier: MIT */
/*
 * Parents of differencing disks (VHD, VHDX), as such an image names them: by a
 * path from its own folder with backslashes, and by one from the root, which
 * here is one of this host.  Text is UTF-16.
 */
#ifndef BLOCK_PARENT_H
#define BLOCK_PARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* What an image says of its parent; strings are the caller's. */
typedef struct ParentPaths {
    char *relative;                 /* "..\base\parent.vhd", ".\parent.vhd" */
    char *absolute;                 /* "/images/base/parent.vhd" */
} ParentPaths;
/* For `image` with the parent `backing` (relative to the image's folder, or not). */
bool parent_paths(const char *image, const char *backing, ParentPaths *out, Error **errp);
void parent_paths_clear(ParentPaths *p);

/* Of paths in an image, NULL at the end: the first that leads to a file, else the first that could be one of this host; NULL: none could. */
char *parent_find(const char *image, char *const *paths);

uint8_t *parent_utf16(const char *text, bool big_endian, size_t *len);
char *parent_text(const uint8_t *utf16, size_t len, bool big_endian);

#endif
