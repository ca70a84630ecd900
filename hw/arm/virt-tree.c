/* SPDX-License-Identifier: MIT */
/* The device tree of `virt`: names and values that kernels and firmware look for. */
#include "hw/arm/virt-priv.h"

#include <string.h>

#include "target/arm/arm-cpu.h"
#include "util/size.h"

enum { SPI = 0, PPI = 1, EDGE = 1, LEVEL = 4 };
enum { PPI_TIMER_SEC = 13, PPI_TIMER_PHYS = 14, PPI_TIMER_VIRT = 11, PPI_TIMER_HYP = 10, PPI_PMU = 7 };

#define PATH(...) g_autofree char *path = g_strdup_printf(__VA_ARGS__)

static void set_reg(Dt *dt, const char *path, VirtMap at)
{
    dt_u64s(dt, path, "reg", at.base, at.size);
}

/* GICv2 trees name the processors of a private interrupt. */
static uint32_t ppi_flags(const VirtMachine *v)
{
    return virt_gic3(v) ? LEVEL : LEVEL | ((1u << machine_ncpus(&v->m)) - 1) << 8;
}

static void root(VirtMachine *v)
{
    const char *compat = v->dt_compatible && *v->dt_compatible ? v->dt_compatible : "linux,dummy-virt";

    dt_text(v->dt, "/", "compatible", compat);
    dt_text(v->dt, "/", "model", "linux,dummy-virt");
    dt_cells(v->dt, "/", "#address-cells", 2);
    dt_cells(v->dt, "/", "#size-cells", 2);
    dt_cells(v->dt, "/", "interrupt-parent", v->ph_gic);
    dt_flag(v->dt, "/", "dma-coherent");
}

static void chosen(VirtMachine *v)
{
    uint32_t seed[10];

    dt_node(v->dt, "/aliases");
    dt_text(v->dt, "/aliases", "serial0", "/pl011@9000000");
    dt_node(v->dt, "/chosen");
    dt_text(v->dt, "/chosen", "stdout-path", "/pl011@9000000");
    if (v->dtb_randomness) {
        input_random(v->m.inputs, seed, sizeof(seed));
        dt_cells_n(v->dt, "/chosen", "kaslr-seed", seed, 2);
        dt_cells_n(v->dt, "/chosen", "rng-seed", seed + 2, 8);
    }
}

static void psci(VirtMachine *v)
{
    dt_node(v->dt, "/psci");
    dt_words(v->dt, "/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2\0arm,psci");
    dt_text(v->dt, "/psci", "method", "hvc");
    dt_cells(v->dt, "/psci", "cpu_suspend", 0xc4000001);
    dt_cells(v->dt, "/psci", "cpu_off", 0x84000002);
    dt_cells(v->dt, "/psci", "cpu_on", 0xc4000003);
    dt_cells(v->dt, "/psci", "migrate", 0xc4000005);
}

static void memory(VirtMachine *v)
{
    dt_node(v->dt, "/memory@40000000");
    dt_text(v->dt, "/memory@40000000", "device_type", "memory");
    set_reg(v->dt, "/memory@40000000", v->map[VIRT_RAM]);
}

/* ---- processors ---- */

static void map_core(VirtMachine *v, unsigned n, uint32_t phandle)
{
    const MachineSmp *s = &v->m.smp;
    unsigned core = n / s->threads, cluster = core / s->cores, socket = cluster / s->clusters;
    g_autofree char *at_socket = g_strdup_printf("/cpus/cpu-map/socket%u", socket);
    g_autofree char *at_cluster = g_strdup_printf("%s/cluster%u", at_socket, cluster % s->clusters);
    PATH("%s/core%u", at_cluster, core % s->cores);

    dt_node(v->dt, at_socket);
    dt_node(v->dt, at_cluster);
    dt_node(v->dt, path);
    if (s->threads > 1) {
        g_autofree char *thread = g_strdup_printf("%s/thread%u", path, n % s->threads);

        dt_node(v->dt, thread);
        dt_cells(v->dt, thread, "cpu", phandle);
    } else {
        dt_cells(v->dt, path, "cpu", phandle);
    }
}

static void cpus(VirtMachine *v)
{
    unsigned n = machine_ncpus(&v->m);

    dt_node(v->dt, "/cpus");
    dt_cells(v->dt, "/cpus", "#address-cells", 1);
    dt_cells(v->dt, "/cpus", "#size-cells", 0);
    dt_node(v->dt, "/cpus/cpu-map");
    for (unsigned i = n; i-- > 0;) {                    /* new nodes come first (virtio_windows) */
        uint64_t aff = virt_affinity(v, i);
        uint32_t phandle = dt_phandle(v->dt);
        PATH("/cpus/cpu@%" PRIx64, aff);

        dt_node(v->dt, path);
        dt_text(v->dt, path, "device_type", "cpu");
        dt_text(v->dt, path, "compatible", arm_cpu_compatible(machine_cpu(&v->m, i)));
        if (n > 1) {
            dt_text(v->dt, path, "enable-method", "psci");
        }
        dt_cells(v->dt, path, "reg", (uint32_t)aff);
        dt_cells(v->dt, path, "phandle", phandle);
        map_core(v, i, phandle);
    }
}

static void timer(VirtMachine *v)
{
    uint32_t f = ppi_flags(v);

    dt_node(v->dt, "/timer");
    dt_words(v->dt, "/timer", "compatible", "arm,armv8-timer\0arm,armv7-timer");
    dt_flag(v->dt, "/timer", "always-on");
    dt_cells(v->dt, "/timer", "interrupts", PPI, PPI_TIMER_SEC, f, PPI, PPI_TIMER_PHYS, f, PPI, PPI_TIMER_VIRT, f, PPI, PPI_TIMER_HYP, f);
    dt_node(v->dt, "/pmu");
    dt_text(v->dt, "/pmu", "compatible", "arm,armv8-pmuv3");
    dt_cells(v->dt, "/pmu", "interrupts", PPI, PPI_PMU, f);
}

/* ---- interrupts ---- */

static void gic_v2(VirtMachine *v, const char *gic)
{
    const char *v2m = "/intc@8000000/v2m@8020000";

    dt_text(v->dt, gic, "compatible", "arm,cortex-a15-gic");
    dt_u64s(v->dt, gic, "reg", v->map[VIRT_GIC_DIST].base, v->map[VIRT_GIC_DIST].size, v->map[VIRT_GIC_CPU].base, v->map[VIRT_GIC_CPU].size);
    v->ph_msi = dt_phandle(v->dt);
    dt_node(v->dt, v2m);
    dt_text(v->dt, v2m, "compatible", "arm,gic-v2m-frame");
    dt_flag(v->dt, v2m, "msi-controller");
    set_reg(v->dt, v2m, v->map[VIRT_GIC_V2M]);
    dt_cells(v->dt, v2m, "phandle", v->ph_msi);
}

static void gic_v3(VirtMachine *v, const char *gic)
{
    const char *its = "/intc@8000000/its@8080000";
    const VirtMap *d = &v->map[VIRT_GIC_DIST], *r = &v->map[VIRT_GIC_REDIST], *r2 = &v->map[VIRT_GIC_REDIST2];

    dt_text(v->dt, gic, "compatible", "arm,gic-v3");
    if (machine_ncpus(&v->m) > r->size / 0x20000) {
        dt_cells(v->dt, gic, "#redistributor-regions", 2);
        dt_u64s(v->dt, gic, "reg", d->base, d->size, r->base, r->size, r2->base, r2->size);
    } else {
        dt_cells(v->dt, gic, "#redistributor-regions", 1);
        dt_u64s(v->dt, gic, "reg", d->base, d->size, r->base, r->size);
    }
    if (v->its) {
        v->ph_msi = dt_phandle(v->dt);
        dt_node(v->dt, its);
        dt_text(v->dt, its, "compatible", "arm,gic-v3-its");
        dt_flag(v->dt, its, "msi-controller");
        dt_cells(v->dt, its, "#msi-cells", 1);
        set_reg(v->dt, its, v->map[VIRT_GIC_ITS]);
        dt_cells(v->dt, its, "phandle", v->ph_msi);
    }
}

static void gic(VirtMachine *v)
{
    const char *path = "/intc@8000000";

    dt_node(v->dt, path);
    dt_cells(v->dt, path, "#interrupt-cells", 3);
    dt_flag(v->dt, path, "interrupt-controller");
    dt_cells(v->dt, path, "#address-cells", 2);
    dt_cells(v->dt, path, "#size-cells", 2);
    dt_flag(v->dt, path, "ranges");
    dt_cells(v->dt, path, "phandle", v->ph_gic);
    if (virt_gic3(v)) {
        gic_v3(v, path);
    } else {
        gic_v2(v, path);
    }
}

/* ---- devices ---- */

static void apb_clock(VirtMachine *v)
{
    dt_node(v->dt, "/apb-pclk");
    dt_text(v->dt, "/apb-pclk", "compatible", "fixed-clock");
    dt_cells(v->dt, "/apb-pclk", "#clock-cells", 0);
    dt_cells(v->dt, "/apb-pclk", "clock-frequency", 24000000);
    dt_text(v->dt, "/apb-pclk", "clock-output-names", "clk24mhz");
    dt_cells(v->dt, "/apb-pclk", "phandle", v->ph_clock);
}

static void primecell(VirtMachine *v, const char *path, VirtArea area, unsigned spi)
{
    dt_node(v->dt, path);
    set_reg(v->dt, path, v->map[area]);
    dt_cells(v->dt, path, "interrupts", SPI, spi, LEVEL);
}

static void uart_and_rtc(VirtMachine *v)
{
    primecell(v, "/pl011@9000000", VIRT_UART, VIRT_SPI_UART);
    dt_words(v->dt, "/pl011@9000000", "compatible", "arm,pl011\0arm,primecell");
    dt_cells(v->dt, "/pl011@9000000", "clocks", v->ph_clock, v->ph_clock);
    dt_words(v->dt, "/pl011@9000000", "clock-names", "uartclk\0apb_pclk");
    primecell(v, "/pl031@9010000", VIRT_RTC, VIRT_SPI_RTC);
    dt_words(v->dt, "/pl031@9010000", "compatible", "arm,pl031\0arm,primecell");
    dt_cells(v->dt, "/pl031@9010000", "clocks", v->ph_clock);
    dt_text(v->dt, "/pl031@9010000", "clock-names", "apb_pclk");
}

static void gpio(VirtMachine *v)
{
    const char *path = "/pl061@9030000";

    primecell(v, path, VIRT_GPIO, VIRT_SPI_GPIO);
    dt_words(v->dt, path, "compatible", "arm,pl061\0arm,primecell");
    dt_cells(v->dt, path, "#gpio-cells", 2);
    dt_flag(v->dt, path, "gpio-controller");
    dt_cells(v->dt, path, "clocks", v->ph_clock);
    dt_text(v->dt, path, "clock-names", "apb_pclk");
    dt_cells(v->dt, path, "phandle", v->ph_gpio);
    dt_node(v->dt, "/gpio-keys");
    dt_text(v->dt, "/gpio-keys", "compatible", "gpio-keys");
    dt_node(v->dt, "/gpio-keys/poweroff");
    dt_text(v->dt, "/gpio-keys/poweroff", "label", "GPIO Key Poweroff");
    dt_cells(v->dt, "/gpio-keys/poweroff", "linux,code", 116);
    dt_cells(v->dt, "/gpio-keys/poweroff", "gpios", v->ph_gpio, 3, 0);
}

static void flash_and_fw_cfg(VirtMachine *v)
{
    uint64_t bank = v->map[VIRT_FLASH].size / 2;

    dt_node(v->dt, "/flash@0");
    dt_text(v->dt, "/flash@0", "compatible", "cfi-flash");
    dt_u64s(v->dt, "/flash@0", "reg", v->map[VIRT_FLASH].base, bank, v->map[VIRT_FLASH].base + bank, bank);
    dt_cells(v->dt, "/flash@0", "bank-width", 4);
    dt_node(v->dt, "/fw-cfg@9020000");
    dt_text(v->dt, "/fw-cfg@9020000", "compatible", "qemu,fw-cfg-mmio");
    set_reg(v->dt, "/fw-cfg@9020000", v->map[VIRT_FW_CFG]);
    dt_flag(v->dt, "/fw-cfg@9020000", "dma-coherent");
}

/* libfdt puts a new node in front of its siblings: from the last window to the first they come out in order. */
static void virtio_windows(VirtMachine *v)
{
    for (unsigned i = VIRT_VIRTIO_SLOTS; i-- > 0;) {
        VirtMap at = { v->map[VIRT_VIRTIO].base + i * v->map[VIRT_VIRTIO].size, v->map[VIRT_VIRTIO].size };
        PATH("/virtio_mmio@%" PRIx64, at.base);

        dt_node(v->dt, path);
        dt_text(v->dt, path, "compatible", "virtio,mmio");
        set_reg(v->dt, path, at);
        dt_cells(v->dt, path, "interrupts", SPI, VIRT_SPI_VIRTIO + i, EDGE);
        dt_flag(v->dt, path, "dma-coherent");
    }
}

static void platform_bus(VirtMachine *v)
{
    const char *path = "/platform-bus@c000000";

    dt_node(v->dt, path);
    dt_words(v->dt, path, "compatible", "qemu,platform\0simple-bus");
    dt_cells(v->dt, path, "#size-cells", 1);
    dt_cells(v->dt, path, "#address-cells", 1);
    dt_cells(v->dt, path, "ranges", 0, 0, (uint32_t)v->map[VIRT_PLATFORM].base, (uint32_t)v->map[VIRT_PLATFORM].size);
    dt_cells(v->dt, path, "interrupt-parent", v->ph_gic);
}

/* ---- PCI ---- */

static void pci_pins(VirtMachine *v, const char *path)
{
    uint32_t map[4 * 4 * 10], *p = map;

    for (unsigned slot = 0; slot < 4; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            uint32_t row[10] = { slot << 11, 0, 0, pin + 1, v->ph_gic, 0, 0, SPI, VIRT_SPI_PCIE + (slot + pin) % 4, LEVEL };

            memcpy(p, row, sizeof(row));
            p += 10;
        }
    }
    dt_cells_n(v->dt, path, "interrupt-map", map, 160);
    dt_cells(v->dt, path, "interrupt-map-mask", 0x1800, 0, 0, 7);
}

static void pci_ranges(VirtMachine *v, const char *path)
{
    const VirtMap *io = &v->map[VIRT_PCIE_PIO], *lo = &v->map[VIRT_PCIE_MMIO], *hi = &v->map[VIRT_PCIE_MMIO_HIGH];
    uint32_t r[21] = {
        0x1000000, 0, 0, 0, (uint32_t)io->base, 0, (uint32_t)io->size,
        0x2000000, 0, (uint32_t)lo->base, 0, (uint32_t)lo->base, 0, (uint32_t)lo->size,
        0x3000000, hi->base >> 32, (uint32_t)hi->base, hi->base >> 32, (uint32_t)hi->base, hi->size >> 32, (uint32_t)hi->size,
    };

    dt_cells_n(v->dt, path, "ranges", r, v->highmem ? 21 : 14);
}

static void pci(VirtMachine *v)
{
    const VirtMap *ecam = &v->map[v->highmem ? VIRT_PCIE_ECAM_HIGH : VIRT_PCIE_ECAM_LOW];
    const char *path = "/pcie@10000000";

    dt_node(v->dt, path);
    dt_text(v->dt, path, "compatible", "pci-host-ecam-generic");
    dt_text(v->dt, path, "device_type", "pci");
    dt_cells(v->dt, path, "#address-cells", 3);
    dt_cells(v->dt, path, "#size-cells", 2);
    dt_cells(v->dt, path, "linux,pci-domain", 0);
    dt_cells(v->dt, path, "bus-range", 0, (uint32_t)(ecam->size / MiB - 1));
    dt_flag(v->dt, path, "dma-coherent");
    if (virt_has_msi(v)) {
        dt_cells(v->dt, path, "msi-map", 0, v->ph_msi, 0, 0x10000);
    }
    set_reg(v->dt, path, *ecam);
    pci_ranges(v, path);
    dt_cells(v->dt, path, "#interrupt-cells", 1);
    pci_pins(v, path);
}

void virt_make_tree(VirtMachine *v)
{
    v->dt = dt_new(1 * MiB);
    v->ph_gic = dt_phandle(v->dt);
    v->ph_clock = dt_phandle(v->dt);
    v->ph_gpio = dt_phandle(v->dt);
    root(v);
    chosen(v);
    apb_clock(v);
    timer(v);
    cpus(v);
    flash_and_fw_cfg(v);
    gic(v);
    uart_and_rtc(v);
    pci(v);
    gpio(v);
    virtio_windows(v);
    platform_bus(v);
    memory(v);
    psci(v);
}
