/* SPDX-License-Identifier: MIT */
#include "hw/riscv/boot.h"

#include <libfdt.h>
#include <string.h>

#include "hw/core/image.h"
#include "util/bits.h"
#include "util/bswap.h"
#include "util/size.h"

enum { ELF_RISCV = 243 };
#define STEP (2 * MiB)
#define TREE_TOP (3 * GiB)              /* kernels of 32 bits and early page tables of others see no more */

static GBytes *load(Machine *m, const char *path, Error **errp)
{
    bool mapped;
    GBytes *bytes = image_file_mapped(path, &mapped, errp);

    if (mapped) {
        machine_rom_mapped(m, bytes);
    }
    return bytes;
}

static bool place_elf(Machine *m, const char *path, GBytes *bytes, paddr *entry, paddr *end, Error **errp)
{
    g_autoptr(ImageElf) elf = image_elf_parse(bytes, errp);

    if (!elf) {
        return false;
    }
    if (elf->machine != ELF_RISCV || !elf->is64 || elf->big_endian) {
        return error_set(errp, "it is an ELF file for another processor, not for little-endian RV64");
    }
    for (guint i = 0; i < elf->segments->len; i++) {
        const ImageSegment *s = &g_array_index(elf->segments, ImageSegment, i);
        g_autofree char *name = g_strdup_printf("%s:%u", path, i);

        if (g_bytes_get_size(s->bytes) && !machine_add_rom(m, name, s->addr, g_bytes_ref(s->bytes), errp)) {
            return false;
        }
    }
    *entry = elf->entry;
    *end = elf->high;
    return true;
}

/* An ELF file goes where it says, anything else to `at`. */
static bool place(Machine *m, const RvBoot *b, const char *path, GBytes *bytes, paddr at, paddr *entry, paddr *end, Error **errp)
{
    uint64_t size = g_bytes_get_size(bytes);

    if (image_is_elf(bytes)) {
        return place_elf(m, path, bytes, entry, end, errp);
    }
    if (!size) {
        return error_set(errp, "the file is empty");
    }
    if (at + size > b->ram_base + b->ram_size) {
        return error_set(errp, "it is too large to fit in RAM (%" PRIu64 " MiB at 0x%" PRIx64 ", RAM ends at 0x%" PRIx64 "); give the machine more with -m",
                         (uint64_t)(size / MiB), at, b->ram_base + b->ram_size);
    }
    *entry = at;
    *end = at + size;
    return machine_add_rom(m, path, at, g_bytes_ref(bytes), errp);
}

static bool place_firmware(Machine *m, RvBoot *b, paddr *end, Error **errp)
{
    g_autoptr(GBytes) bytes = load(m, b->firmware, errp);

    return (bytes && place(m, b, b->firmware, bytes, b->ram_base, &b->start, end, errp)) || error_prepend(errp, "could not load firmware '%s': ", b->firmware);
}

static bool place_initrd(Machine *m, RvBoot *b, paddr kernel, paddr kernel_end, Error **errp)
{
    paddr at = MAX(kernel + MIN(b->ram_size / 2, 128 * MiB), ALIGN_UP(kernel_end, 4096)), entry;
    g_autoptr(GBytes) bytes = load(m, b->initrd, errp);

    if (!bytes) {
        return error_prepend(errp, "could not load initrd '%s': ", b->initrd);
    }
    b->initrd_start = b->initrd_end = at;
    if (!g_bytes_get_size(bytes)) {
        return true;
    }
    b->initrd_end = at + g_bytes_get_size(bytes);
    if (b->initrd_end > b->ram_base + b->ram_size) {
        return error_set(errp, "initrd '%s' is too large to fit in RAM (%" PRIu64 " MiB at 0x%" PRIx64 ", RAM ends at 0x%" PRIx64 "); give the machine more with -m",
                         b->initrd, (uint64_t)(g_bytes_get_size(bytes) / MiB), at, b->ram_base + b->ram_size);
    }
    entry = at;
    return machine_add_rom(m, b->initrd, entry, g_bytes_ref(bytes), errp);
}

static bool place_kernel(Machine *m, RvBoot *b, paddr at, Error **errp)
{
    g_autoptr(GBytes) file = load(m, b->kernel, errp), bytes = NULL;
    paddr end = 0;
    gsize len;
    const char *p;

    bytes = !file ? NULL : image_is_gzip(file) ? image_gunzip(file, b->ram_size, errp) : g_bytes_ref(file);
    if (!bytes) {
        return error_prepend(errp, "could not load kernel '%s': ", b->kernel);
    }
    p = g_bytes_get_data(bytes, &len);
    if (len > 8 && !memcmp(p, "MZ", 2) && !memcmp(p + 4, "zimg", 4)) {
        return error_set(errp, "could not load kernel '%s': it is a compressed EFI program; unpack the Image inside it", b->kernel);
    }
    if (!place(m, b, b->kernel, bytes, at, &b->next, &end, errp)) {
        return error_prepend(errp, "could not load kernel '%s': ", b->kernel);
    }
    return !b->initrd || place_initrd(m, b, b->next, end, errp);
}

bool rv_boot_place(Machine *m, RvBoot *b, Error **errp)
{
    paddr end = b->ram_base;

    b->start = b->flash_start ? b->flash_start : b->ram_base;
    b->next = b->flash_next;
    if (b->initrd && !b->kernel) {
        return error_set(errp, "-initrd only allowed with -kernel option");
    }
    if (b->firmware && !place_firmware(m, b, &end, errp)) {
        return false;
    }
    if (b->kernel && !place_kernel(m, b, b->firmware ? ALIGN_UP(end, STEP) : b->ram_base, errp)) {
        return false;
    }
    if (b->kernel && !b->firmware && !b->flash_start) {
        b->start = b->next;                     /* -bios none: the kernel runs in machine mode */
    }
    return true;
}

/* ---- the tree and the reset vector ---- */

static bool add_tree(Machine *m, RvBoot *b, Dt *dt, Error **errp)
{
    paddr top = MIN(b->ram_base + b->ram_size, TREE_TOP);
    uint32_t size;

    if (b->ram_base + b->ram_size < b->ram_base + 64 * KiB) {
        return error_set(errp, "no room for the device tree; give the machine more with -m");
    }
    fdt_pack(dt_blob(dt));
    size = fdt_totalsize(dt_blob(dt));
    b->dtb_addr = (MAX(top, b->ram_base + size) - size) & ~(uint64_t)(b->ram_size >= 2 * STEP ? STEP - 1 : 7);
    return machine_add_rom(m, "dtb", b->dtb_addr, g_bytes_new(dt_blob(dt), size), errp);
}

/* docs/opensbi: struct fw_dynamic_info, version 2 */
#define FW_DYNAMIC_MAGIC 0x4942534f
enum { FW_DYNAMIC_VERSION = 2, MODE_S = 1 };

static GBytes *reset_vector(const RvBoot *b)
{
    static const uint32_t code[] = {
        0x00000297,             /* auipc t0, 0 */
        0x02828613,             /* addi  a2, t0, 0x28 */
        0xf1402573,             /* csrr  a0, mhartid */
        0x0202b583,             /* ld    a1, 32(t0) */
        0x0182b283,             /* ld    t0, 24(t0) */
        0x00028067,             /* jr    t0 */
    };
    uint64_t words[] = { b->start, b->dtb_addr, FW_DYNAMIC_MAGIC, FW_DYNAMIC_VERSION, b->next, MODE_S, 0, 0 };
    uint8_t bytes[sizeof(code) + sizeof(words)];

    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        stl_le_p(bytes + 4 * i, code[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        stq_le_p(bytes + sizeof(code) + 8 * i, words[i]);
    }
    return g_bytes_new(bytes, sizeof(bytes));
}

bool rv_boot_finish(Machine *m, RvBoot *b, Dt *dt, Error **errp)
{
    return add_tree(m, b, dt, errp) && machine_add_rom(m, "reset vector", b->rom_base, reset_vector(b), errp);
}
