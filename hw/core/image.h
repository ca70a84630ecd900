/* SPDX-License-Identifier: MIT */
/*
 * Images of guest software: files, compressed files, ELF.
 *
 * Nothing here trusts the bytes: sizes and offsets are checked against the
 * file, a decompressed image against the room there is.  Main thread.
 */
#ifndef HW_CORE_IMAGE_H
#define HW_CORE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "memory/memory.h"
#include "util/error.h"

/* The whole file, mapped.  NULL: *errp says why. */
GBytes *image_file(const char *path, Error **errp);
/* The same; *mapped: its pages can be had from the file again (machine_rom_mapped()). */
GBytes *image_file_mapped(const char *path, bool *mapped, Error **errp);
bool image_is_gzip(GBytes *bytes);
/* At most `limit` bytes come out, else an error. */
GBytes *image_gunzip(GBytes *bytes, uint64_t limit, Error **errp);

/* One loadable segment: bytes, then zeroes up to `size`. */
typedef struct ImageSegment {
    paddr addr;                 /* physical (p_paddr) */
    GBytes *bytes;
    uint64_t size;
} ImageSegment;

typedef struct ImageElf {
    uint16_t machine;           /* e_machine: 183 AArch64, 40 Arm, 243 RISC-V, 62 x86-64, 3 i386 */
    bool is64, big_endian;
    uint64_t entry;             /* as physical where a segment holds it */
    uint64_t low, high;         /* range of all segments */
    GArray *segments;           /* of ImageSegment */
} ImageElf;

bool image_is_elf(GBytes *bytes);
/* NULL: not an ELF executable that can be loaded. */
ImageElf *image_elf_parse(GBytes *bytes, Error **errp);
void image_elf_free(ImageElf *elf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageElf, image_elf_free)

#endif
