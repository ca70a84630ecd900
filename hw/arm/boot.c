/* SPDX-License-Identifier: MIT */
#include "hw/arm/boot.h"

#include <string.h>

#include "hw/core/image.h"
#include "util/bswap.h"

enum { MIB = 1 << 20, ALIGN_IMAGE = 2 * MIB, STUB_ROOM = 4096, ELF_AARCH64 = 183, ELF_ARM = 40, OLD_TEXT_OFFSET = 0x80000 };

/* Documentation/arch/arm64/booting: the header of an Image. */
enum { HDR_TEXT_OFFSET = 8, HDR_IMAGE_SIZE = 16, HDR_MAGIC = 56, HDR_BYTES = 64 };
#define IMAGE_MAGIC 0x644d5241u         /* "ARM\x64" */
/* include/linux/pe.h, drivers/firmware/efi/libstub/zboot: a compressed Image inside an EFI program. */
enum { ZBOOT_MAGIC_AT = 4, ZBOOT_OFFSET = 8, ZBOOT_SIZE = 12, ZBOOT_METHOD = 24, ZBOOT_METHOD_LEN = 8 };

/* A file that ROMs lie in as it stands. */
static GBytes *load(Machine *m, const char *path, Error **errp)
{
    bool mapped;
    GBytes *bytes = image_file_mapped(path, &mapped, errp);

    if (mapped) {
        machine_rom_mapped(m, bytes);
    }
    return bytes;
}

static bool add(Machine *m, const char *name, paddr addr, GBytes *bytes, Error **errp)
{
    return machine_add_rom(m, name, addr, g_bytes_ref(bytes), errp);
}

/* ---- kernels ---- */

static GBytes *unzboot(GBytes *bytes, uint64_t limit, Error **errp)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);
    g_autoptr(GBytes) inner = NULL;
    uint32_t off, size;

    if (len < HDR_BYTES || memcmp(p, "MZ", 2) || memcmp(p + ZBOOT_MAGIC_AT, "zimg", 4)) {
        return g_bytes_ref(bytes);
    }
    off = ldl_le_p(p + ZBOOT_OFFSET);
    size = ldl_le_p(p + ZBOOT_SIZE);
    if (off > len || size > len - off) {
        error_set(errp, "the compressed kernel inside it is cut short");
        return NULL;
    }
    if (strncmp((const char *)p + ZBOOT_METHOD, "gzip", ZBOOT_METHOD_LEN)) {
        error_set(errp, "the kernel inside it is compressed with '%.*s', only gzip can be read; unpack it first", ZBOOT_METHOD_LEN, p + ZBOOT_METHOD);
        return NULL;
    }
    inner = g_bytes_new_from_bytes(bytes, off, size);
    return image_gunzip(inner, limit, errp);
}

static bool place_elf(Machine *m, ArmBoot *b, GBytes *bytes, Error **errp)
{
    g_autoptr(ImageElf) elf = image_elf_parse(bytes, errp);

    if (!elf) {
        return false;
    }
    if (elf->machine != ELF_AARCH64 || elf->big_endian) {
        return error_set(errp, "it is an ELF file for %s, not for little-endian AArch64", elf->machine == ELF_ARM ? "32-bit Arm" : "another processor");
    }
    for (guint i = 0; i < elf->segments->len; i++) {
        const ImageSegment *s = &g_array_index(elf->segments, ImageSegment, i);
        g_autofree char *name = g_strdup_printf("%s:%u", b->kernel, i);

        if (g_bytes_get_size(s->bytes) && !add(m, name, s->addr, s->bytes, errp)) {
            return false;
        }
    }
    b->kind = ARM_BOOT_ELF;
    b->entry = elf->entry;
    b->kernel_addr = elf->low;
    b->has_dtb = machine_rom_free(m, b->ram_base, b->dtb_room) && (elf->low >= b->ram_base + b->dtb_room || elf->high <= b->ram_base);
    b->dtb_addr = b->ram_base;
    return true;
}

/* An Image, or bytes that are taken for one; *end is behind what it will use. */
static bool place_image(Machine *m, ArmBoot *b, GBytes *bytes, paddr *end, Error **errp)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);
    uint64_t offset = OLD_TEXT_OFFSET, size = len;

    if (len >= HDR_BYTES && (uint32_t)ldl_le_p(p + HDR_MAGIC) == IMAGE_MAGIC) {
        uint64_t said = ldq_le_p(p + HDR_IMAGE_SIZE);

        if (said) {
            offset = ldq_le_p(p + HDR_TEXT_OFFSET);
            size = MAX(said, len);
        }
    }
    if (offset < STUB_ROOM) {
        offset += ALIGN_IMAGE;                  /* keep clear of the stub */
    }
    if (offset > b->ram_size || size > b->ram_size - offset) {
        return error_set(errp, "kernel '%s' is too large to fit in RAM (it needs %" PRIu64 " MiB, RAM has %" PRIu64 "); give the machine more with -m",
                         b->kernel, (offset + size + MIB - 1) / MIB, b->ram_size / MIB);
    }
    b->kind = ARM_BOOT_LINUX64;
    b->kernel_addr = b->ram_base + offset;
    b->entry = b->ram_base;
    *end = b->kernel_addr + size;
    return add(m, b->kernel, b->kernel_addr, bytes, errp);
}

/* Clear of the kernel, low enough for kernels that want everything within some range, leaving room below for what they unpack. */
static bool place_initrd(Machine *m, ArmBoot *b, paddr kernel_end, paddr *end, Error **errp)
{
    paddr at = MAX(b->ram_base + MIN(b->ram_size / 2, 128 * (uint64_t)MIB), (kernel_end + 4095) & ~4095ull);
    g_autoptr(GBytes) bytes = NULL;
    uint64_t size;

    *end = at;
    if (!b->initrd) {
        return true;
    }
    bytes = load(m, b->initrd, errp);
    if (!bytes) {
        return error_prepend(errp, "could not load initrd '%s': ", b->initrd);
    }
    size = g_bytes_get_size(bytes);
    if (at + size > b->ram_base + b->ram_size) {
        return error_set(errp, "initrd '%s' is too large to fit in RAM (%" PRIu64 " MiB at 0x%" PRIx64 ", RAM ends at 0x%" PRIx64 "); give the machine more with -m",
                         b->initrd, size / MIB, at, b->ram_base + b->ram_size);
    }
    b->initrd_start = at;
    b->initrd_end = *end = at + size;
    return !size || add(m, b->initrd, at, bytes, errp);
}

static bool place_kernel(Machine *m, ArmBoot *b, Error **errp)
{
    g_autoptr(GBytes) file = load(m, b->kernel, errp), plain = NULL, kernel = NULL;
    paddr end = b->ram_base;

    if (!file) {
        return error_prepend(errp, "could not load kernel '%s': ", b->kernel);
    }
    plain = image_is_gzip(file) ? image_gunzip(file, b->ram_size, errp) : g_bytes_ref(file);
    kernel = plain ? unzboot(plain, b->ram_size, errp) : NULL;
    if (!kernel) {
        return error_prepend(errp, "could not load kernel '%s': ", b->kernel);
    }
    if (image_is_elf(kernel)) {
        if (!place_elf(m, b, kernel, errp)) {
            return error_prepend(errp, "could not load kernel '%s': ", b->kernel);
        }
        end = b->ram_base + (b->has_dtb ? b->dtb_room : 0);
        return !b->initrd || place_initrd(m, b, end, &end, errp);
    }
    if (!g_bytes_get_size(kernel)) {
        return error_set(errp, "could not load kernel '%s': the file is empty", b->kernel);
    }
    if (!place_image(m, b, kernel, &end, errp) || !place_initrd(m, b, end, &end, errp)) {
        return false;
    }
    b->dtb_addr = (end + ALIGN_IMAGE - 1) & ~(ALIGN_IMAGE - 1ull);
    b->has_dtb = true;
    if (b->dtb_addr + b->dtb_room > b->ram_base + b->ram_size) {
        return error_set(errp, "no room for the device tree at 0x%" PRIx64 ", RAM ends at 0x%" PRIx64 "; give the machine more with -m",
                         b->dtb_addr, b->ram_base + b->ram_size);
    }
    return true;
}

bool arm_boot_place(Machine *m, ArmBoot *b, Error **errp)
{
    b->kind = ARM_BOOT_NONE;
    b->entry = 0;
    b->dtb_addr = b->ram_base;
    b->has_dtb = b->dtb_room <= b->ram_size;
    if (b->initrd && !b->kernel) {
        return error_set(errp, "-initrd only allowed with -kernel option");
    }
    return b->firmware || !b->kernel || place_kernel(m, b, errp);
}

/* ---- the stub ---- */

static GBytes *stub(const ArmBoot *b)
{
    static const uint32_t code[] = {
        0x580000c0,             /* ldr x0, tree */
        0xaa1f03e1,             /* mov x1, xzr */
        0xaa1f03e2,             /* mov x2, xzr */
        0xaa1f03e3,             /* mov x3, xzr */
        0x58000084,             /* ldr x4, kernel */
        0xd61f0080,             /* br x4 */
    };
    uint8_t bytes[40];

    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        stl_le_p(bytes + 4 * i, code[i]);
    }
    stq_le_p(bytes + 0x18, b->dtb_addr);
    stq_le_p(bytes + 0x20, b->kernel_addr);
    return g_bytes_new(bytes, sizeof(bytes));
}

static void start_at_entry(void *opaque)
{
    const ArmBoot *b = opaque;
    Cpu *cpu = machine_cpu(b->machine, 0);

    cpu->ops->set_pc(cpu, b->entry);
}

bool arm_boot_finish(Machine *m, ArmBoot *b, Error **errp)
{
    if (b->kind == ARM_BOOT_LINUX64) {
        g_autoptr(GBytes) bytes = stub(b);

        if (!add(m, "boot stub", b->ram_base, bytes, errp)) {
            return false;
        }
    }
    b->machine = m;
    machine_add_reset(m, start_at_entry, b);
    return true;
}
