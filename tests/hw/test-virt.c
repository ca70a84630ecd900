/* SPDX-License-Identifier: MIT */
/*
 * The virt board without running a processor: the map, the tree, settings, and
 * the three checks of each device that it has: reset twice is equal, save-load-
 * save is byte-equal, random register traffic ends nothing and leaks nothing.
 */
#include "tests/hw/bench-machine.h"

#include <glib/gstdio.h>
#include <libfdt.h>
#include <string.h>

#include "util/bswap.h"

static Machine *virt_open(const char *const *props, unsigned cpus, uint64_t ram, Error **errp)
{
    MachineConfig config = {
        .accel = "bench", .clock = CLOCK_FROZEN, .have_seed = true, .seed = 7, .smp = { .cpus = cpus }, .ram_size = ram, .props = props,
    };
    const MachineType *t = machine_type_find("aarch64", "virt", NULL);
    Machine *m = machine_open(NULL, t, &config, errp);

    if (m && !machine_ready(m, errp)) {
        machine_close(m);
        return NULL;
    }
    return m;
}

static Machine *must_open(const char *const *props, unsigned cpus)
{
    Error *err = NULL;
    Machine *m = virt_open(props, cpus, 64 << 20, &err);

    if (err) {
        g_error("%s", error_message(err));
    }
    return m;
}

static const char *const v3[] = { "gic-version", "3", NULL };

/* ---- the tree as the guest finds it at the start of RAM ---- */

static void *tree(Machine *m)
{
    MemHit hit;

    mem_translate(m->as, 0x40000000, 1 << 20, false, &hit);
    g_assert_cmpint(fdt_check_header(hit.host), ==, 0);
    g_assert_cmpuint(fdt_totalsize(hit.host), ==, 1 << 20);
    return hit.host;
}

static void expect_cells(const void *fdt, const char *path, const char *prop, unsigned n, const uint32_t *want)
{
    int len, at = fdt_path_offset(fdt, path);
    const uint8_t *p;

    g_assert_cmpint(at, >=, 0);
    p = fdt_getprop(fdt, at, prop, &len);
    g_assert_nonnull(p);
    g_assert_cmpint(len, ==, (int)n * 4);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmphex(ldl_be_p(p + 4 * i), ==, want[i]);
    }
}
#define EXPECT(fdt, path, prop, ...) \
    expect_cells(fdt, path, prop, G_N_ELEMENTS(((uint32_t[]){ __VA_ARGS__ })), (uint32_t[]){ __VA_ARGS__ })

static void expect_text(const void *fdt, const char *path, const char *prop, const char *want)
{
    const char *p = fdt_getprop(fdt, fdt_path_offset(fdt, path), prop, NULL);

    g_assert_cmpstr(p, ==, want);
}

static void test_tree(void)
{
    Machine *m = must_open(NULL, 4);
    void *t = tree(m);
    int len;

    expect_text(t, "/", "compatible", "linux,dummy-virt");
    expect_text(t, "/psci", "method", "hvc");
    expect_text(t, "/chosen", "stdout-path", "/pl011@9000000");
    EXPECT(t, "/memory@40000000", "reg", 0, 0x40000000, 0, 64 << 20);
    EXPECT(t, "/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0, 0x10000);
    EXPECT(t, "/timer", "interrupts", 1, 13, 0xf04, 1, 14, 0xf04, 1, 11, 0xf04, 1, 10, 0xf04);
    EXPECT(t, "/pl011@9000000", "interrupts", 0, 1, 4);
    EXPECT(t, "/virtio_mmio@a003e00", "interrupts", 0, 0x2f, 1);
    EXPECT(t, "/pcie@10000000", "reg", 0x40, 0x10000000, 0, 0x10000000);
    EXPECT(t, "/pcie@10000000", "ranges", 0x1000000, 0, 0, 0, 0x3eff0000, 0, 0x10000, 0x2000000, 0, 0x10000000, 0, 0x10000000, 0, 0x2eff0000,
           0x3000000, 0x80, 0, 0x80, 0, 0x80, 0);
    expect_text(t, "/cpus/cpu@3", "enable-method", "psci");
    expect_text(t, "/cpus/cpu@0", "compatible", "arm,cortex-a57");
    g_assert_nonnull(fdt_getprop(t, fdt_path_offset(t, "/chosen"), "kaslr-seed", &len));
    g_assert_cmpint(fdt_path_offset(t, "/intc@8000000/v2m@8020000"), >=, 0);
    machine_close(m);

    m = must_open(v3, 18);
    t = tree(m);
    EXPECT(t, "/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000);
    EXPECT(t, "/cpus/cpu@101", "reg", 0x101);
    EXPECT(t, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
    g_assert_cmpint(fdt_path_offset(t, "/intc@8000000/its@8080000"), >=, 0);
    machine_close(m);
}

static void test_settings(void)
{
    static const char *const low[] = { "highmem", "off", "dtb-randomness", "off", NULL };
    static const char *const bad[][3] = {
        { "secure", "on" }, { "virtualization", "on" }, { "iommu", "smmuv3" }, { "gic-version", "4" }, { "gic-version", "5" }, { "gic", "3" },
        { "acpi", "on" },
    };
    g_autoptr(Error) err = NULL, err2 = NULL;
    Machine *m = must_open(low, 1);
    void *t = tree(m);

    EXPECT(t, "/pcie@10000000", "reg", 0, 0x3f000000, 0, 0x1000000);
    EXPECT(t, "/timer", "interrupts", 1, 13, 0x104, 1, 14, 0x104, 1, 11, 0x104, 1, 10, 0x104);
    g_assert_null(fdt_getprop(t, fdt_path_offset(t, "/chosen"), "rng-seed", NULL));
    machine_close(m);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Error) e = NULL;

        g_assert_null(virt_open(bad[i], 1, 64 << 20, &e));
        g_assert_nonnull(strstr(error_message(e), bad[i][0]));
    }
    g_assert_null(virt_open(NULL, 9, 64 << 20, &err));
    g_assert_cmpstr(error_message(err), ==, "Number of SMP CPUs requested (9) exceeds max CPUs supported by machine 'mach-virt' (8)");
    g_assert_null(virt_open(low, 1, 4ull << 30, &err2));
}

/* ---- values read at power-on (observed on the peer) ---- */

static void test_reset_values(void)
{
    static const struct { paddr at; uint32_t val; } values[] = {
        { 0x08000000, 0 }, { 0x08000004, 0x8 }, { 0x08000008, 0x43b }, { 0x08000080, 0 }, { 0x08000100, 0xffff }, { 0x08000c00, 0xaaaaaaaa },
        { 0x08000c04, 0 }, { 0x08000fe8, 0x2b }, { 0x08020008, 0x500040 }, { 0x08020fcc, 0x5100000 }, { 0x09000018, 0x90 }, { 0x09000030, 0x300 },
        { 0x09000034, 0x12 }, { 0x09000fe0, 0x11 }, { 0x0b000000, 0 }, { 0x0a003e00, 0x74726976 }, { 0x0a003e08, 0 }, { 0x4010000000, 0x00081b36 },
        { 0x4010008000, 0xffffffff }, { 0x40000000, 0xedfe0dd0 }, { 0, 0 },
    };
    Machine *m = must_open(NULL, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        g_assert_cmphex(bench_read(m, values[i].at, 4), ==, values[i].val);
    }
    machine_close(m);
}

/* ---- GICv2 through its registers ---- */

enum { GICD = 0x08000000, GICC = 0x08010000, SPI_UART = 33 };

static uint64_t cpu_read(Machine *m, int cpu, paddr at)
{
    uint64_t v;

    mem_load(m->as, at, 4, &v, MEM_ATTRS_CPU(cpu));
    return v;
}

static void cpu_write(Machine *m, int cpu, paddr at, uint64_t v)
{
    mem_store(m->as, at, 4, v, MEM_ATTRS_CPU(cpu));
}

static bool line_up(Machine *m, unsigned cpu)
{
    return device_find(m, "arm_gic@8000000")->irq[cpu].level;
}

static void test_gicv2(void)
{
    Machine *m = must_open(NULL, 2);
    IrqLine wire = { 0 };
    Device *gic = device_find(m, "arm_gic@8000000");

    for (int cpu = 0; cpu < 2; cpu++) {
        cpu_write(m, cpu, GICC, 1);
        cpu_write(m, cpu, GICC + 4, 0xf0);
    }
    cpu_write(m, 0, GICD, 1);
    /* SGI from 1 to 0 */
    cpu_write(m, 1, GICD + 0xf00, 1 << 16 | 5);
    g_assert_true(line_up(m, 0) && !line_up(m, 1));
    g_assert_cmphex(cpu_read(m, 0, GICC + 0xc), ==, 1 << 10 | 5);
    g_assert_false(line_up(m, 0));
    g_assert_cmphex(cpu_read(m, 0, GICC + 0x14), ==, 0);
    cpu_write(m, 0, GICC + 0x10, 1 << 10 | 5);
    g_assert_cmphex(cpu_read(m, 0, GICC + 0x14), ==, 0xff);
    /* a level SPI for CPU 1: pending as long as the wire is up, not while active */
    irq_connect(&wire, device_irq_in(gic), gic, SPI_UART - 32);
    cpu_write(m, 0, GICD + 0x104, 2);
    mem_store(m->as, GICD + 0x400 + SPI_UART, 1, 0xa0, MEM_ATTRS_CPU(0));
    mem_store(m->as, GICD + 0x800 + SPI_UART, 1, 2, MEM_ATTRS_CPU(0));
    irq_set(&wire, 1);
    g_assert_true(!line_up(m, 0) && line_up(m, 1));
    g_assert_cmphex(cpu_read(m, 0, GICD + 0x204), ==, 2);
    g_assert_cmphex(cpu_read(m, 1, GICC + 0xc), ==, SPI_UART);
    g_assert_false(line_up(m, 1));
    cpu_write(m, 1, GICC + 0x10, SPI_UART);
    g_assert_true(line_up(m, 1));                       /* still up: again */
    irq_set(&wire, 0);
    g_assert_false(line_up(m, 1));
    g_assert_cmphex(cpu_read(m, 1, GICC + 0xc), ==, 1023);
    /* an edge is remembered; the mask holds it back */
    cpu_write(m, 0, GICD + 0xc08, 2 << 2);
    cpu_write(m, 1, GICC + 4, 0xa0);
    irq_pulse(&wire);
    g_assert_false(line_up(m, 1));
    cpu_write(m, 1, GICC + 4, 0xa8);
    g_assert_true(line_up(m, 1));
    /* a message: GICv2m */
    cpu_write(m, 0, GICD + 0x100 + 4 * (80 / 32), 1 << (80 % 32));
    mem_store(m->as, GICD + 0x800 + 80, 1, 1, MEM_ATTRS_CPU(0));
    cpu_write(m, 0, GICD + 0xc00 + 4 * (80 / 16), 2u);
    dma_write(m->as, 0x08020040, &(uint32_t){ 80 }, 4, MEM_ATTRS_NONE);
    g_assert_cmphex(cpu_read(m, 0, GICC + 0xc), ==, 80);
    machine_close(m);
}

/* ---- UART ---- */

static void test_uart(void)
{
    Machine *m = must_open(NULL, 1);
    Device *uart = device_find(m, "pl011@9000000");
    paddr at = 0x09000000;

    bench_write(m, at + 0x2c, 4, 0x70);                 /* FIFOs on */
    bench_write(m, at + 0x30, 4, 0x381);                /* loop back */
    bench_write(m, at + 0x38, 4, 0x50);
    for (int i = 0; i < 7; i++) {
        bench_write(m, at, 1, 'a' + i);
    }
    g_assert_false(uart->irq[0].level);                 /* half full is 8 */
    clock_step(m->clock, NS_PER_S);
    g_assert_true(uart->irq[0].level);                  /* but the timeout speaks */
    g_assert_cmphex(bench_read(m, at + 0x40, 4), ==, 0x40);
    for (int i = 0; i < 7; i++) {
        g_assert_cmpint(bench_read(m, at, 4), ==, 'a' + i);
    }
    g_assert_false(uart->irq[0].level);
    g_assert_cmphex(bench_read(m, at + 0x18, 4) & 0x10, ==, 0x10);
    for (int i = 0; i < 17; i++) {
        bench_write(m, at, 1, i);
    }
    g_assert_cmphex(bench_read(m, at + 0x40, 4), ==, 0x10);
    g_assert_cmphex(bench_read(m, at + 0x3c, 4) & 0x400, ==, 0x400);    /* overrun */
    machine_close(m);
}

/* ---- the three checks ---- */

static uint64_t rng = 88172645463325252ull;
static uint64_t next_random(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    return rng ^= rng << 17;
}

/* Registers of a window, in sizes and at offsets that are mostly plausible. */
static void traffic(Device *dev, unsigned accesses)
{
    static const unsigned sizes[] = { 4, 4, 4, 1, 2, 8 };

    for (unsigned i = 0; i < accesses; i++) {
        MemRegion *r = &dev->mmio[next_random() % dev->nmmio];
        unsigned size = sizes[next_random() % 6];
        uint64_t at = next_random() % (next_random() & 1 ? MIN(r->size, 0x400) : r->size) & ~(uint64_t)(size - 1), v;
        MemAttrs attrs = MEM_ATTRS_CPU((int)(next_random() % 2));

        if (next_random() & 1) {
            mem_io_read(r, at, size, &v, attrs);
        } else {
            v = next_random();
            mem_io_write(r, at, size, next_random() & 1 ? v & 0xff : v, attrs);
        }
    }
}

static void check_reset(Device *dev, void *data)
{
    uint64_t first;

    device_reset(dev);
    first = device_digest(dev);
    if (dev->nmmio) {
        traffic(dev, g_test_slow() ? 10000000 : 300);
    }
    device_reset(dev);
    clock_step(dev->machine->clock, NS_PER_MS);
    device_reset(dev);
    if (device_digest(dev) != first && !g_str_has_prefix(dev->path, "cfi.pflash") && strcmp(dev->type->name, "pl031")) {
        g_error("%s is not the same after a reset", dev->path);     /* but for what keeps its contents */
    }
}

static void check_save(Device *dev, void *data)
{
    StateWriter *a = state_writer_new(), *b = state_writer_new();
    size_t la, lb;
    const uint8_t *pa, *pb;
    StateReader *r;
    Error *err = NULL;

    if (dev->nmmio) {
        traffic(dev, 300);
    }
    device_save(dev, a);
    pa = state_writer_data(a, &la);
    r = state_reader_new(pa, la);
    if (!device_check(dev, r, &err)) {
        g_error("%s", error_message(err));
    }
    state_reader_free(r);
    device_reset(dev);
    r = state_reader_new(pa, la);
    if (!device_load(dev, r, &err)) {
        g_error("%s", error_message(err));
    }
    state_reader_free(r);
    device_save(dev, b);
    pb = state_writer_data(b, &lb);
    if (la != lb || memcmp(pa, pb, la)) {
        g_error("%s: save, load, save differ", dev->path);
    }
    state_writer_free(a);
    state_writer_free(b);
}

static void check_devices(gconstpointer props)
{
    Machine *m = must_open(props, 2);

    devices_foreach(m, check_reset, NULL);
    devices_foreach(m, check_save, NULL);
    machine_close(m);
}

/* Two in one process, and a whole-machine save from one into the other. */
static void test_two(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL), *path = g_build_filename(dir, "save", NULL);
    Machine *a = must_open(v3, 2), *b = must_open(v3, 2), *c = must_open(NULL, 2);
    g_autoptr(Error) err = NULL, err2 = NULL;
    uint64_t before;

    bench_write(a, 0x40200000, 8, 0x1234567890);
    bench_write(a, 0x09000030, 4, 0x301);
    clock_step(a->clock, 12345);
    before = machine_digest(a, true);
    g_assert_cmphex(machine_digest(b, true), !=, before);
    g_assert_true(machine_save(a, path, NULL));
    if (!machine_restore(b, path, &err)) {
        g_error("%s", error_message(err));
    }
    g_assert_cmphex(machine_digest(b, true), ==, before);
    before = machine_digest(c, true);
    g_assert_false(machine_restore(c, path, &err2));            /* GICv2: other devices */
    g_assert_cmphex(machine_digest(c, true), ==, before);
    machine_close(a);
    machine_close(b);
    machine_close(c);
    g_remove(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virt/tree", test_tree);
    g_test_add_func("/virt/settings", test_settings);
    g_test_add_func("/virt/reset-values", test_reset_values);
    g_test_add_func("/virt/gicv2", test_gicv2);
    g_test_add_func("/virt/uart", test_uart);
    g_test_add_data_func("/virt/devices-gicv2", NULL, check_devices);
    g_test_add_data_func("/virt/devices-gicv3", v3, check_devices);
    g_test_add_func("/virt/two", test_two);
    return g_test_run();
}
