/* SPDX-License-Identifier: MIT */
/*
 * Writing a device tree: libfdt with paths instead of offsets, for boards.
 *
 * Names follow the Devicetree Specification 0.4.  Everything is asserted: what
 * goes in comes from the board.  Foreign trees (-dtb) go through dt_open().
 */
#ifndef HW_CORE_DT_H
#define HW_CORE_DT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "util/error.h"

typedef struct Dt Dt;

Dt *dt_new(size_t size);                                    /* an empty tree with room */
/* A tree made elsewhere, with `extra` bytes of room. */
Dt *dt_open(const void *blob, size_t len, size_t extra, Error **errp);
void dt_free(Dt *dt);
GBytes *dt_bytes(Dt *dt);                                   /* the blob at its full size */
size_t dt_size(const Dt *dt);
void *dt_blob(Dt *dt);                                      /* for libfdt, and DeviceType.fdt */

void dt_node(Dt *dt, const char *path);                     /* the parent exists; there already is fine */
bool dt_has(Dt *dt, const char *path);
void dt_cells_n(Dt *dt, const char *path, const char *prop, const uint32_t *cells, unsigned n);
#define dt_cells(dt, path, prop, ...) \
    dt_cells_n(dt, path, prop, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)
/* 64-bit values, two cells each. */
void dt_u64s_n(Dt *dt, const char *path, const char *prop, const uint64_t *vals, unsigned n);
#define dt_u64s(dt, path, prop, ...) \
    dt_u64s_n(dt, path, prop, (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)
void dt_text(Dt *dt, const char *path, const char *prop, const char *text);
/* A literal with \0 between the words: "arm,pl011\0arm,primecell". */
#define dt_words(dt, path, prop, literal) dt_data(dt, path, prop, literal, sizeof(literal))
void dt_data(Dt *dt, const char *path, const char *prop, const void *data, size_t len);
void dt_flag(Dt *dt, const char *path, const char *prop);
uint32_t dt_phandle(Dt *dt);                                /* a fresh one, from 0x8001 on */

#endif
