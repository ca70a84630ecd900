/* SPDX-License-Identifier: MIT */
/* Kernel images: where they go, and what is refused with which words. */
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>
#include <zlib.h>

#include "hw/arm/boot.h"
#include "hw/core/image.h"
#include "tests/hw/bench-machine.h"
#include "util/bswap.h"

enum { MIB = 1 << 20 };
static char *dir;

static char *file(const char *name, const void *data, size_t len)
{
    char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
    return path;
}

/* An Image of `len` bytes that says it needs `said`. */
static char *image(const char *name, size_t len, uint64_t offset, uint64_t said)
{
    g_autofree uint8_t *p = g_malloc0(len);

    memset(p, 0x5a, len);
    stq_le_p(p + 8, offset);
    stq_le_p(p + 16, said);
    stl_le_p(p + 56, 0x644d5241);
    return file(name, p, len);
}

static void expect_error(ArmBoot b, const char *text)
{
    Machine *m = bench_open();
    Error *err = NULL;

    g_assert_false(arm_boot_place(m, &b, &err));
    if (!strstr(error_message(err), text)) {
        g_error("'%s' is not in '%s'", text, error_message(err));
    }
    error_free(err);
    machine_close(m);
}

static ArmBoot boot(const char *kernel, const char *initrd)
{
    return (ArmBoot){ .kernel = kernel, .initrd = initrd, .ram_base = 0x40000000, .ram_size = 512 * (uint64_t)MIB, .dtb_room = MIB };
}

static void linux_image(void)
{
    Machine *m = bench_open();
    g_autofree char *k = image("Image", 3 * MIB, 0, 4 * MIB), *i = file("initrd", "0123456789", 10);
    ArmBoot b = boot(k, i);
    Error *err = NULL;

    g_assert_true(arm_boot_place(m, &b, &err));
    g_assert_cmpint(b.kind, ==, ARM_BOOT_LINUX64);
    g_assert_cmphex(b.kernel_addr, ==, 0x40200000);
    g_assert_cmphex(b.entry, ==, 0x40000000);
    g_assert_cmphex(b.initrd_start, ==, 0x48000000);
    g_assert_cmphex(b.initrd_end, ==, 0x4800000a);
    g_assert_cmphex(b.dtb_addr, ==, 0x48200000);
    g_assert_true(b.has_dtb);
    g_assert_true(arm_boot_finish(m, &b, &err));
    machine_close(m);
}

static void small_ram(void)
{
    Machine *m = bench_open();
    g_autofree char *k = image("Image", 3 * MIB, 0, 4 * MIB);
    ArmBoot b = boot(k, NULL);
    Error *err = NULL;

    b.ram_size = 128 * MIB;
    g_assert_true(arm_boot_place(m, &b, &err));
    g_assert_cmphex(b.dtb_addr, ==, 0x44000000);
    machine_close(m);
}

static void gzip(void)
{
    Machine *m = bench_open();
    g_autofree char *k = image("Image", 3 * MIB, 0x80000, 4 * MIB), *gz = g_build_filename(dir, "Image.gz", NULL), *data = NULL;
    gsize len;
    gzFile z = gzopen(gz, "wb");
    ArmBoot b = boot(gz, NULL);
    Error *err = NULL;

    g_file_get_contents(k, &data, &len, NULL);
    gzwrite(z, data, len);
    gzclose(z);
    g_assert_true(arm_boot_place(m, &b, &err));
    g_assert_cmphex(b.kernel_addr, ==, 0x40080000);
    machine_close(m);
    b = boot(gz, NULL);
    b.ram_size = 2 * MIB;                       /* a bomb for this RAM */
    expect_error(b, "decompressed it has more than");
}

static char *elf(const char *name, unsigned machine, uint64_t addr, uint64_t filesz, uint64_t off)
{
    struct { Elf64_Ehdr e; Elf64_Phdr p; uint8_t code[16]; } f = {
        .e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 }, .e_type = ET_EXEC, .e_machine = machine, .e_entry = addr + 4,
               .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 },
        .p = { .p_type = PT_LOAD, .p_offset = off, .p_vaddr = addr, .p_paddr = addr, .p_filesz = filesz, .p_memsz = 4096 },
    };

    return file(name, &f, sizeof(f));
}

static void elf_image(void)
{
    enum { OFF = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) };
    Machine *m = bench_open();
    g_autofree char *k = elf("k.elf", EM_AARCH64, 0x40200000, 16, OFF), *low = elf("low.elf", EM_AARCH64, 0x40000000, 16, OFF);
    g_autofree char *x86 = elf("x.elf", EM_X86_64, 0x40000000, 16, OFF), *cut = elf("cut.elf", EM_AARCH64, 0x40000000, 4096, OFF);
    g_autofree char *wrap = elf("wrap.elf", EM_AARCH64, 0x40000000, 16, UINT64_MAX - 8);
    ArmBoot b = boot(k, NULL);
    Error *err = NULL;

    g_assert_true(arm_boot_place(m, &b, &err));
    g_assert_cmpint(b.kind, ==, ARM_BOOT_ELF);
    g_assert_cmphex(b.entry, ==, 0x40200004);
    g_assert_true(b.has_dtb);
    g_assert_cmphex(b.dtb_addr, ==, 0x40000000);
    machine_close(m);
    m = bench_open();
    b = boot(low, NULL);
    g_assert_true(arm_boot_place(m, &b, &err));
    g_assert_false(b.has_dtb);                  /* the image wants the place */
    machine_close(m);
    expect_error(boot(x86, NULL), "not for little-endian AArch64");
    expect_error(boot(cut, NULL), "does not fit the file");
    expect_error(boot(wrap, NULL), "does not fit the file");
}

static void refused(void)
{
    g_autofree char *empty = file("empty", "", 0), *big = image("big", 4096, 0, 1ull << 62), *ok = image("Image", 4096, 0, 8192);
    g_autofree char *gone = g_build_filename(dir, "gone", NULL);
    g_autofree char *junk = file("junk.gz", "\x1f\x8b\x08 these are not compressed bytes", 32);

    expect_error(boot(gone, NULL), "could not load kernel '");
    expect_error(boot(empty, NULL), "the file is empty");
    expect_error(boot(big, NULL), "is too large to fit in RAM");
    expect_error(boot(junk, NULL), "the compressed data is damaged");
    expect_error(boot(ok, gone), "could not load initrd '");
    expect_error(boot(NULL, ok), "-initrd only allowed with -kernel option");
}

int main(int argc, char **argv)
{
    int st;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("rhea-boot-XXXXXX", NULL);
    g_test_add_func("/boot/linux-image", linux_image);
    g_test_add_func("/boot/small-ram", small_ram);
    g_test_add_func("/boot/gzip", gzip);
    g_test_add_func("/boot/elf", elf_image);
    g_test_add_func("/boot/refused", refused);
    st = g_test_run();
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    for (const char *n; (n = g_dir_read_name(d));) {
        g_autofree char *p = g_build_filename(dir, n, NULL);

        g_unlink(p);
    }
    g_rmdir(dir);
    g_free(dir);
    return st;
}
