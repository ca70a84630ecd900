/* SPDX-License-Identifier: MIT */
/* The device tree of the RISC-V `virt` board: names and values that firmware and kernels look for. */
#include "hw/riscv/virt-priv.h"

#include <string.h>

#include "target/riscv/riscv-cpu.h"

enum { INT_S_SOFT = 1, INT_M_SOFT = 3, INT_M_TIMER = 7, INT_S_EXT = 9, INT_M_EXT = 11 };

#define PATH(...) g_autofree char *path = g_strdup_printf(__VA_ARGS__)
/* Phandles from 1 on, of the processors' own interrupt controllers: as many as there are harts. */
#define INTC(v, i) ((v)->ph_plic + 1 + (i))

static void set_reg(Dt *dt, const char *path, paddr base, uint64_t size)
{
    dt_u64s(dt, path, "reg", base, size);
}

static void interrupt(RvirtMachine *v, const char *path, unsigned source)
{
    dt_cells(v->dt, path, "interrupt-parent", v->ph_plic);
    dt_cells(v->dt, path, "interrupts", source);
}

/* {controller, number} pairs of all harts. */
static void extended(RvirtMachine *v, const char *path, unsigned a, unsigned b)
{
    unsigned n = machine_ncpus(&v->m), per = b ? 4 : 2;
    g_autofree uint32_t *cells = g_new(uint32_t, n * per);

    for (unsigned i = 0; i < n; i++) {
        uint32_t row[4] = { INTC(v, i), a, INTC(v, i), b };

        memcpy(cells + per * i, row, per * 4);
    }
    dt_cells_n(v->dt, path, "interrupts-extended", cells, n * per);
}

static void root(RvirtMachine *v)
{
    dt_text(v->dt, "/", "compatible", v->dt_compatible && *v->dt_compatible ? v->dt_compatible : "riscv-virtio");
    dt_text(v->dt, "/", "model", "riscv-virtio,qemu");
    dt_cells(v->dt, "/", "#address-cells", 2);
    dt_cells(v->dt, "/", "#size-cells", 2);
    dt_node(v->dt, "/soc");
    dt_cells(v->dt, "/soc", "#address-cells", 2);
    dt_cells(v->dt, "/soc", "#size-cells", 2);
    dt_text(v->dt, "/soc", "compatible", "simple-bus");
    dt_flag(v->dt, "/soc", "ranges");
}

static void chosen(RvirtMachine *v)
{
    uint32_t seed[8];

    input_random(v->m.inputs, seed, sizeof(seed));
    dt_node(v->dt, "/chosen");
    dt_text(v->dt, "/chosen", "stdout-path", "/soc/serial@10000000");
    dt_cells_n(v->dt, "/chosen", "rng-seed", seed, 8);
}

static void memory(RvirtMachine *v)
{
    dt_node(v->dt, "/memory@80000000");
    dt_text(v->dt, "/memory@80000000", "device_type", "memory");
    set_reg(v->dt, "/memory@80000000", v->map[RVIRT_RAM].base, v->map[RVIRT_RAM].size);
}

/* ---- processors ---- */

static void hart(RvirtMachine *v, unsigned i)
{
    const Cpu *cpu = machine_cpu(&v->m, i);
    g_autofree char *isa = rv_cpu_isa(cpu);
    uint32_t phandle = dt_phandle(v->dt);
    PATH("/cpus/cpu@%x", i);
    g_autofree char *intc = g_strdup_printf("%s/interrupt-controller", path), *core = g_strdup_printf("/cpus/cpu-map/cluster0/core%u", i);

    dt_node(v->dt, path);
    dt_text(v->dt, path, "device_type", "cpu");
    dt_cells(v->dt, path, "reg", i);
    dt_text(v->dt, path, "status", "okay");
    dt_text(v->dt, path, "compatible", "riscv");
    dt_text(v->dt, path, "riscv,isa", isa);
    dt_text(v->dt, path, "mmu-type", rv_cpu_mmu_type(cpu));
    if (rv_cpu_has(cpu, "zicbom")) {
        dt_cells(v->dt, path, "riscv,cbom-block-size", 64);
    }
    if (rv_cpu_has(cpu, "zicboz")) {
        dt_cells(v->dt, path, "riscv,cboz-block-size", 64);
    }
    dt_cells(v->dt, path, "phandle", phandle);
    dt_node(v->dt, intc);
    dt_cells(v->dt, intc, "#interrupt-cells", 1);
    dt_flag(v->dt, intc, "interrupt-controller");
    dt_text(v->dt, intc, "compatible", "riscv,cpu-intc");
    dt_cells(v->dt, intc, "phandle", INTC(v, i));
    dt_node(v->dt, core);
    dt_cells(v->dt, core, "cpu", phandle);
}

static void cpus(RvirtMachine *v)
{
    dt_node(v->dt, "/cpus");
    dt_cells(v->dt, "/cpus", "#address-cells", 1);
    dt_cells(v->dt, "/cpus", "#size-cells", 0);
    dt_cells(v->dt, "/cpus", "timebase-frequency", RVIRT_TIMEBASE);
    dt_node(v->dt, "/cpus/cpu-map");
    dt_node(v->dt, "/cpus/cpu-map/cluster0");
    for (unsigned i = machine_ncpus(&v->m); i-- > 0;) {         /* libfdt puts new nodes first */
        hart(v, i);
    }
}

/* ---- interrupts ---- */

static void aclint(RvirtMachine *v)
{
    paddr base = v->map[RVIRT_CLINT].base;

    if (!v->aclint) {
        dt_node(v->dt, "/soc/clint@2000000");
        dt_words(v->dt, "/soc/clint@2000000", "compatible", "sifive,clint0\0riscv,clint0");
        set_reg(v->dt, "/soc/clint@2000000", base, v->map[RVIRT_CLINT].size);
        extended(v, "/soc/clint@2000000", INT_M_SOFT, INT_M_TIMER);
        return;
    }
    dt_node(v->dt, "/soc/mswi@2000000");
    dt_text(v->dt, "/soc/mswi@2000000", "compatible", "riscv,aclint-mswi");
    set_reg(v->dt, "/soc/mswi@2000000", base, 0x4000);
    extended(v, "/soc/mswi@2000000", INT_M_SOFT, 0);
    dt_flag(v->dt, "/soc/mswi@2000000", "interrupt-controller");
    dt_cells(v->dt, "/soc/mswi@2000000", "#interrupt-cells", 0);
    dt_node(v->dt, "/soc/mtimer@2004000");
    dt_text(v->dt, "/soc/mtimer@2004000", "compatible", "riscv,aclint-mtimer");
    dt_u64s(v->dt, "/soc/mtimer@2004000", "reg", base + 0xbff8, 0x4000 + 8 - 0x8, base + 0x4000, 0x7ff8);
    extended(v, "/soc/mtimer@2004000", INT_M_TIMER, 0);
    dt_node(v->dt, "/soc/sswi@2f00000");
    dt_text(v->dt, "/soc/sswi@2f00000", "compatible", "riscv,aclint-sswi");
    set_reg(v->dt, "/soc/sswi@2f00000", v->map[RVIRT_SSWI].base, v->map[RVIRT_SSWI].size);
    extended(v, "/soc/sswi@2f00000", INT_S_SOFT, 0);
    dt_flag(v->dt, "/soc/sswi@2f00000", "interrupt-controller");
    dt_cells(v->dt, "/soc/sswi@2f00000", "#interrupt-cells", 0);
}

static void plic(RvirtMachine *v)
{
    const char *path = "/soc/plic@c000000";

    dt_node(v->dt, path);
    dt_words(v->dt, path, "compatible", "sifive,plic-1.0.0\0riscv,plic0");
    dt_cells(v->dt, path, "#address-cells", 0);
    dt_cells(v->dt, path, "#interrupt-cells", 1);
    dt_flag(v->dt, path, "interrupt-controller");
    extended(v, path, INT_M_EXT, INT_S_EXT);
    set_reg(v->dt, path, v->map[RVIRT_PLIC].base, v->map[RVIRT_PLIC].size);
    dt_cells(v->dt, path, "riscv,ndev", RVIRT_SOURCES);
    dt_cells(v->dt, path, "phandle", v->ph_plic);
}

/* ---- devices ---- */

static void finisher(RvirtMachine *v)
{
    static const struct { const char *path, *compatible; uint32_t value; } users[] = {
        { "/reboot", "syscon-reboot", 0x7777 }, { "/poweroff", "syscon-poweroff", 0x5555 },
    };
    uint32_t phandle = dt_phandle(v->dt);
    const char *path = "/soc/test@100000";

    dt_node(v->dt, path);
    dt_words(v->dt, path, "compatible", "sifive,test1\0sifive,test0\0syscon");
    set_reg(v->dt, path, v->map[RVIRT_TEST].base, v->map[RVIRT_TEST].size);
    dt_cells(v->dt, path, "phandle", phandle);
    for (unsigned i = 0; i < G_N_ELEMENTS(users); i++) {
        dt_node(v->dt, users[i].path);
        dt_text(v->dt, users[i].path, "compatible", users[i].compatible);
        dt_cells(v->dt, users[i].path, "regmap", phandle);
        dt_cells(v->dt, users[i].path, "offset", 0);
        dt_cells(v->dt, users[i].path, "value", users[i].value);
    }
}

static void uart_and_rtc(RvirtMachine *v)
{
    dt_node(v->dt, "/soc/serial@10000000");
    dt_text(v->dt, "/soc/serial@10000000", "compatible", "ns16550a");
    set_reg(v->dt, "/soc/serial@10000000", v->map[RVIRT_UART].base, v->map[RVIRT_UART].size);
    dt_cells(v->dt, "/soc/serial@10000000", "clock-frequency", RVIRT_UART_CLOCK);
    interrupt(v, "/soc/serial@10000000", RVIRT_SRC_UART);
    dt_node(v->dt, "/soc/rtc@101000");
    dt_text(v->dt, "/soc/rtc@101000", "compatible", "google,goldfish-rtc");
    set_reg(v->dt, "/soc/rtc@101000", v->map[RVIRT_RTC].base, v->map[RVIRT_RTC].size);
    interrupt(v, "/soc/rtc@101000", RVIRT_SRC_RTC);
}

static void flash_and_fw_cfg(RvirtMachine *v)
{
    uint64_t bank = v->map[RVIRT_FLASH].size / 2;

    dt_node(v->dt, "/flash@20000000");
    dt_text(v->dt, "/flash@20000000", "compatible", "cfi-flash");
    dt_u64s(v->dt, "/flash@20000000", "reg", v->map[RVIRT_FLASH].base, bank, v->map[RVIRT_FLASH].base + bank, bank);
    dt_cells(v->dt, "/flash@20000000", "bank-width", 4);
    dt_node(v->dt, "/fw-cfg@10100000");
    dt_text(v->dt, "/fw-cfg@10100000", "compatible", "qemu,fw-cfg-mmio");
    set_reg(v->dt, "/fw-cfg@10100000", v->map[RVIRT_FW_CFG].base, v->map[RVIRT_FW_CFG].size);
    dt_flag(v->dt, "/fw-cfg@10100000", "dma-coherent");
}

static void virtio_windows(RvirtMachine *v)
{
    for (unsigned i = 0; i < RVIRT_VIRTIO_SLOTS; i++) {
        paddr base = v->map[RVIRT_VIRTIO].base + i * v->map[RVIRT_VIRTIO].size;
        PATH("/soc/virtio_mmio@%" PRIx64, base);

        dt_node(v->dt, path);
        dt_text(v->dt, path, "compatible", "virtio,mmio");
        set_reg(v->dt, path, base, v->map[RVIRT_VIRTIO].size);
        interrupt(v, path, RVIRT_SRC_VIRTIO + i);
    }
}

static void platform_bus(RvirtMachine *v)
{
    const char *path = "/platform-bus@4000000";

    dt_node(v->dt, path);
    dt_words(v->dt, path, "compatible", "qemu,platform\0simple-bus");
    dt_cells(v->dt, path, "#size-cells", 1);
    dt_cells(v->dt, path, "#address-cells", 1);
    dt_cells(v->dt, path, "ranges", 0, 0, (uint32_t)v->map[RVIRT_PLATFORM].base, (uint32_t)v->map[RVIRT_PLATFORM].size);
    dt_cells(v->dt, path, "interrupt-parent", v->ph_plic);
}

/* ---- PCI ---- */

static void pci_pins(RvirtMachine *v, const char *path)
{
    uint32_t map[4 * 4 * 6], *p = map;

    for (unsigned slot = 0; slot < 4; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            uint32_t row[6] = { slot << 11, 0, 0, pin + 1, v->ph_plic, RVIRT_SRC_PCIE + (slot + pin) % 4 };

            memcpy(p, row, sizeof(row));
            p += 6;
        }
    }
    dt_cells_n(v->dt, path, "interrupt-map", map, G_N_ELEMENTS(map));
    dt_cells(v->dt, path, "interrupt-map-mask", 0x1800, 0, 0, 7);
}

static void pci(RvirtMachine *v)
{
    const RvirtMap *io = &v->map[RVIRT_PCIE_PIO], *lo = &v->map[RVIRT_PCIE_MMIO], *hi = &v->map[RVIRT_PCIE_MMIO_HIGH];
    const char *path = "/soc/pci@30000000";

    dt_node(v->dt, path);
    dt_text(v->dt, path, "compatible", "pci-host-ecam-generic");
    dt_text(v->dt, path, "device_type", "pci");
    dt_cells(v->dt, path, "#address-cells", 3);
    dt_cells(v->dt, path, "#size-cells", 2);
    dt_cells(v->dt, path, "#interrupt-cells", 1);
    dt_cells(v->dt, path, "linux,pci-domain", 0);
    dt_cells(v->dt, path, "bus-range", 0, 255);
    dt_flag(v->dt, path, "dma-coherent");
    set_reg(v->dt, path, v->map[RVIRT_PCIE_ECAM].base, v->map[RVIRT_PCIE_ECAM].size);
    dt_cells(v->dt, path, "ranges", 0x1000000, 0, 0, 0, (uint32_t)io->base, 0, (uint32_t)io->size,
             0x2000000, 0, (uint32_t)lo->base, 0, (uint32_t)lo->base, 0, (uint32_t)lo->size,
             0x3000000, hi->base >> 32, (uint32_t)hi->base, hi->base >> 32, (uint32_t)hi->base, hi->size >> 32, (uint32_t)hi->size);
    pci_pins(v, path);
}

void rvirt_make_tree(RvirtMachine *v)
{
    v->dt = dt_new(1 * 1024 * 1024);
    v->ph_plic = dt_phandle(v->dt);
    for (unsigned i = 0; i < machine_ncpus(&v->m); i++) {
        dt_phandle(v->dt);                      /* INTC() */
    }
    root(v);
    chosen(v);
    memory(v);
    cpus(v);
    aclint(v);
    plic(v);
    virtio_windows(v);
    pci(v);
    finisher(v);
    uart_and_rtc(v);
    flash_and_fw_cfg(v);
    platform_bus(v);
}
