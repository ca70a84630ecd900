/* SPDX-License-Identifier: MIT */
/*
 * `virt` for RISC-V guests: a board of standard parts that exists in no shop.
 *
 * docs/target-riscv.md has the map; the wiring reads from top to bottom in build().
 */
#include "hw/riscv/virt-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hw/block/cfi-flash-drive.h"
#include "hw/block/cfi-flash.h"
#include "hw/core/image.h"
#include "hw/intc/riscv-aclint.h"
#include "hw/nvram/fw_cfg.h"
#include "target/riscv/riscv-cpu.h"
#include "util/bits.h"
#include "util/size.h"

static const RvirtMap fixed[RVIRT_AREAS] = {
    [RVIRT_ROM]       = { 0x00001000, 0x0000f000 },
    [RVIRT_TEST]      = { 0x00100000, 0x00001000 },
    [RVIRT_RTC]       = { 0x00101000, 0x00001000 },
    [RVIRT_CLINT]     = { 0x02000000, 0x00010000 },
    [RVIRT_SSWI]      = { 0x02f00000, 0x00004000 },
    [RVIRT_PCIE_PIO]  = { 0x03000000, 0x00010000 },
    [RVIRT_PLATFORM]  = { 0x04000000, 0x02000000 },
    [RVIRT_PLIC]      = { 0x0c000000, 0x00600000 },
    [RVIRT_UART]      = { 0x10000000, 0x00000100 },
    [RVIRT_VIRTIO]    = { 0x10001000, 0x00001000 },         /* each */
    [RVIRT_FW_CFG]    = { 0x10100000, 0x00000018 },
    [RVIRT_FLASH]     = { 0x20000000, 0x04000000 },         /* two banks */
    [RVIRT_PCIE_ECAM] = { 0x30000000, 0x10000000 },
    [RVIRT_PCIE_MMIO] = { 0x40000000, 0x40000000 },
    [RVIRT_RAM]       = { 0x80000000, 0 },
    [RVIRT_PCIE_MMIO_HIGH] = { 16 * GiB, 16 * GiB },
};

static void layout(RvirtMachine *v)
{
    RvirtMap *high = &v->map[RVIRT_PCIE_MMIO_HIGH];

    memcpy(v->map, fixed, sizeof(fixed));
    v->map[RVIRT_RAM].size = v->m.ram_size;
    high->base = MAX(high->base, ALIGN_UP(v->map[RVIRT_RAM].base + v->m.ram_size, high->size));
}

static bool check_props(RvirtMachine *v, Error **errp)
{
    static const char *const aias[] = { "none", "aplic", "aplic-imsic" };

    if (v->aia != RVIRT_AIA_NONE || v->aia_guests) {
        return error_set(errp, "aia=%s is not there yet: this board's interrupt controller is a PLIC", aias[v->aia]);
    }
    if (v->usb) {
        return error_set(errp, "usb=on is not there yet");
    }
    if (v->acpi == PROP_ON) {
        return error_set(errp, "acpi=on is not there yet: firmware and guests get the device tree");
    }
    return true;
}

static const char *setting(const char *option, const char *prop)
{
    return option ? option : prop && *prop ? prop : NULL;
}

/* ---- parts ---- */

static Device *make(RvirtMachine *v, const char *type, Error **errp)
{
    return device_new(&v->m, type, NULL, errp);
}

static bool place(RvirtMachine *v, Device *dev, paddr at, Error **errp)
{
    g_autofree char *where = g_strdup_printf("%" PRIx64, at);

    if (!device_realize(dev, NULL, where, errp)) {
        device_free(dev);
        return false;
    }
    device_map(dev, 0, &v->m.system_memory, at);
    return true;
}

static bool make_ram(RvirtMachine *v, Error **errp)
{
    const MachineConfig *c = v->m.config;
    RamSpec spec = c->ram_spec ? *c->ram_spec : (RamSpec){ 0 }, rom_spec = { .id = "riscv_virt_board.mrom", .size = v->map[RVIRT_ROM].size };
    RamBlock *ram = c->ram, *rom = ram_block_new(v->m.mem, &rom_spec, errp);

    if (!rom) {
        return false;
    }
    mem_region_init_rom(&v->rom, v->m.mem, "riscv_virt_board.mrom", rom);
    mem_region_add(&v->m.system_memory, v->map[RVIRT_ROM].base, &v->rom);
    if (!ram) {
        spec.id = spec.id ? spec.id : "riscv_virt_board.ram";
        spec.size = v->m.ram_size;
        ram = ram_block_new(v->m.mem, &spec, errp);
    }
    if (!ram) {
        return false;
    }
    mem_region_init_ram(&v->ram, v->m.mem, "riscv_virt_board.ram", ram);
    mem_region_add(&v->m.system_memory, v->map[RVIRT_RAM].base, &v->ram);
    return true;
}

static bool make_cpus(RvirtMachine *v, Error **errp)
{
    const char *text = v->m.config->cpu ? v->m.config->cpu : v->m.type->default_cpu, *comma = strchr(text, ',');
    g_autofree char *model = comma ? g_strndup(text, (gsize)(comma - text)) : g_strdup(text);
    const CpuType *t = cpu_type_find("riscv64", model);

    if (!t) {
        return cpu_type_unknown("riscv64", model, errp);
    }
    for (unsigned i = 0; i < v->m.smp.cpus; i++) {
        Cpu *cpu = cpu_new(&v->m, t, (int)i, comma ? comma + 1 : NULL, errp);
        g_autofree char *id = g_strdup_printf("%u", i), *start = g_strdup_printf("%" PRIu64, (uint64_t)v->map[RVIRT_ROM].base);

        if (!cpu) {
            return false;
        }
        if (!cpu_set(cpu, "hartid", id, errp) || !cpu_set(cpu, "resetvec", start, errp) || !cpu_realize(cpu, errp)) {
            cpu_free(cpu);
            return false;
        }
    }
    return true;
}

/* ---- interrupts ---- */

static Device *make_swi(RvirtMachine *v, bool supervisor, paddr at, Error **errp)
{
    Device *dev = make(v, "riscv.aclint.swi", errp);

    if (!dev) {
        return NULL;
    }
    device_set_or_die(dev, "num-harts", "%u", machine_ncpus(&v->m));
    device_set_or_die(dev, "sswi", "%s", supervisor ? "on" : "off");
    if (!place(v, dev, at, errp)) {
        return NULL;
    }
    for (unsigned i = 0; i < machine_ncpus(&v->m); i++) {
        aclint_swi_connect(dev, i, machine_cpu(&v->m, i), supervisor ? RV_LINE_SSI : RV_LINE_MSI);
    }
    return dev;
}

static bool make_aclint(RvirtMachine *v, Error **errp)
{
    paddr base = v->map[RVIRT_CLINT].base;
    Device *dev;

    if (!make_swi(v, false, base, errp) || (v->aclint && !make_swi(v, true, v->map[RVIRT_SSWI].base, errp))) {
        return false;
    }
    dev = make(v, "riscv.aclint.mtimer", errp);
    if (!dev) {
        return false;
    }
    device_set_or_die(dev, "num-harts", "%u", machine_ncpus(&v->m));
    device_set_or_die(dev, "timebase-freq", "%u", RVIRT_TIMEBASE);
    if (!place(v, dev, base + 0x4000, errp)) {
        return false;
    }
    for (unsigned i = 0; i < machine_ncpus(&v->m); i++) {
        aclint_mtimer_connect(dev, i, machine_cpu(&v->m, i), RV_LINE_MTI, RV_LINE_STI);
    }
    return true;
}

static bool make_plic(RvirtMachine *v, Error **errp)
{
    Device *dev = v->plic = make(v, "riscv.sifive.plic", errp);

    if (!dev) {
        return false;
    }
    device_set_or_die(dev, "num-sources", "%u", RVIRT_SOURCES);
    device_set_or_die(dev, "num-contexts", "%u", 2 * machine_ncpus(&v->m));
    device_set_or_die(dev, "aperture-size", "%" PRIu64, v->map[RVIRT_PLIC].size);
    if (!place(v, dev, v->map[RVIRT_PLIC].base, errp)) {
        return false;
    }
    for (unsigned i = 0; i < machine_ncpus(&v->m); i++) {
        irq_connect(&dev->irq[2 * i], cpu_line, machine_cpu(&v->m, i), RV_LINE_MEI);
        irq_connect(&dev->irq[2 * i + 1], cpu_line, machine_cpu(&v->m, i), RV_LINE_SEI);
    }
    return true;
}

/* ---- devices ---- */

static bool make_simple(RvirtMachine *v, Device *dev, RvirtArea area, int source, Error **errp)
{
    if (!dev || !place(v, dev, v->map[area].base, errp)) {
        return false;
    }
    if (source) {
        device_connect(dev, 0, v->plic, (unsigned)source);
    }
    return true;
}

static bool make_uart(RvirtMachine *v, Error **errp)
{
    const char *const *serials = v->m.config->serials;
    Device *dev = make(v, "serial-mm", errp);

    if (!dev) {
        return false;
    }
    device_set_or_die(dev, "clock-frequency", "%u", RVIRT_UART_CLOCK);
    if (serials && serials[0]) {
        device_set_or_die(dev, "chardev", "%s", serials[0]);
    }
    if (serials && serials[0] && serials[1]) {
        device_free(dev);
        return error_set(errp, "this board has one serial port; a second one is -device virtio-serial-pci -device virtconsole");
    }
    return make_simple(v, dev, RVIRT_UART, RVIRT_SRC_UART, errp);
}

static bool make_flash(RvirtMachine *v, Error **errp)
{
    uint64_t size = v->map[RVIRT_FLASH].size / 2;

    for (unsigned i = 0; i < 2; i++) {
        Device *dev = v->flash[i] = make(v, "cfi.pflash01", errp);
        g_autofree char *where = g_strdup_printf("%" PRIx64, (uint64_t)(v->map[RVIRT_FLASH].base + i * size));

        if (!dev) {
            return false;
        }
        device_set_or_die(dev, "name", "virt.flash%u", i);
        device_set_or_die(dev, "size", "%" PRIu64, size);
        if (!device_realize(dev, NULL, where, errp)) {
            device_free(dev);
            return false;
        }
        mem_region_add(&v->m.system_memory, v->map[RVIRT_FLASH].base + i * size, cfi_flash_region(dev));
    }
    return true;
}

/* -device takes the first bus with room; the peer's users find their first disk in the last window. */
static bool make_windows(RvirtMachine *v, Error **errp)
{
    for (unsigned i = RVIRT_VIRTIO_SLOTS; i-- > 0;) {
        Device *dev = v->window[i] = make(v, "virtio-mmio", errp);

        if (!dev) {
            return false;
        }
        device_set_or_die(dev, "index", "%u", i);
        if (!place(v, dev, v->map[RVIRT_VIRTIO].base + i * v->map[RVIRT_VIRTIO].size, errp)) {
            return false;
        }
        device_connect(dev, 0, v->plic, RVIRT_SRC_VIRTIO + i);
    }
    return true;
}

static bool make_pci(RvirtMachine *v, Error **errp)
{
    const RvirtMap *ecam = &v->map[RVIRT_PCIE_ECAM], *lo = &v->map[RVIRT_PCIE_MMIO], *hi = &v->map[RVIRT_PCIE_MMIO_HIGH], *io = &v->map[RVIRT_PCIE_PIO];
    Device *dev = v->host = make(v, "gpex-pcihost", errp);

    if (!dev) {
        return false;
    }
    device_set_or_die(dev, "ecam-size", "%" PRIu64, ecam->size);
    if (!place(v, dev, ecam->base, errp)) {
        return false;
    }
    pci_host_map_mem((PciHost *)dev, &v->m.system_memory, lo->base, lo->base, lo->size);
    pci_host_map_io((PciHost *)dev, &v->m.system_memory, io->base, io->size);
    pci_host_map_mem((PciHost *)dev, &v->m.system_memory, hi->base, hi->base, hi->size);
    for (unsigned i = 0; i < PCI_PINS; i++) {
        device_connect(dev, i, v->plic, RVIRT_SRC_PCIE + i);
    }
    return true;
}

static bool make_nic(RvirtMachine *v, const char *text, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    g_autoptr(GPtrArray) opts = g_ptr_array_new();
    const char *model = v->m.type->default_nic;

    for (char **w = words; *w; w++) {
        char *eq = strchr(*w, '=');

        if (!eq) {
            return error_set(errp, "network card: '%s' has no value", *w);
        }
        *eq = 0;
        if (!strcmp(*w, "model")) {
            model = strcmp(eq + 1, "virtio") ? eq + 1 : v->m.type->default_nic;
        } else {
            g_ptr_array_add(opts, *w);
            g_ptr_array_add(opts, eq + 1);
        }
    }
    g_ptr_array_add(opts, (char *)"driver");
    g_ptr_array_add(opts, (char *)model);
    g_ptr_array_add(opts, NULL);
    return machine_add_device(&v->m, (const char *const *)opts->pdata, errp) != NULL;
}

static bool build(Machine *m, Error **errp)
{
    RvirtMachine *v = rvirt(m);

    layout(v);
    if (!check_props(v, errp) || !make_ram(v, errp) || !make_cpus(v, errp) || !make_aclint(v, errp) || !make_plic(v, errp) || !make_flash(v, errp)
        || !make_uart(v, errp) || !make_simple(v, make(v, "goldfish_rtc", errp), RVIRT_RTC, RVIRT_SRC_RTC, errp)
        || !make_simple(v, make(v, "riscv.sifive.test", errp), RVIRT_TEST, 0, errp)) {
        return false;
    }
    v->fw_cfg = make(v, "fw_cfg_mem", errp);
    if (!make_simple(v, v->fw_cfg, RVIRT_FW_CFG, 0, errp)) {
        return false;
    }
    m->fw_cfg = v->fw_cfg;
    if (!make_windows(v, errp) || !make_pci(v, errp)) {
        return false;
    }
    for (const char *const *n = m->config->nics; n && *n; n++) {
        if (!make_nic(v, *n, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- when everything is there ---- */

typedef struct BootFiles { const char *kernel, *initrd, *append, *dtb, *firmware; } BootFiles;

/* True in *has when bank 0 holds something to run. */
static bool load_flash(RvirtMachine *v, bool *has, Error **errp)
{
    for (const MachineDrive *d = v->m.config->drives; d && d->interface; d++) {
        if (strcmp(d->interface, "pflash")) {
            continue;
        }
        if (d->unit < 0 || d->unit > 1) {
            return error_set(errp, "this board has two flash chips: unit 0 and unit 1, not %d", d->unit);
        }
        if (!cfi_flash_set_drive(v->flash[d->unit], v->m.session, d->node, d->readonly, errp)) {
            return false;
        }
        *has |= d->unit == 0;
    }
    return true;
}

static bool foreign_tree(RvirtMachine *v, const char *path, Error **errp)
{
    g_autoptr(GBytes) file = image_file(path, errp);
    gsize len;
    const void *p;

    if (!file) {
        return error_prepend(errp, "could not load device tree: ");
    }
    p = g_bytes_get_data(file, &len);
    v->dt = dt_open(p, len, 64 * KiB, errp);
    if (!v->dt) {
        return error_prepend(errp, "device tree '%s': ", path);
    }
    dt_node(v->dt, "/chosen");
    return true;
}

static void complete_chosen(RvirtMachine *v, const BootFiles *f)
{
    const RvBoot *b = &v->boot;

    if (f->append && f->kernel) {
        dt_text(v->dt, "/chosen", "bootargs", f->append);
    }
    if (b->initrd_end) {
        dt_u64s(v->dt, "/chosen", "linux,initrd-start", b->initrd_start);
        dt_u64s(v->dt, "/chosen", "linux,initrd-end", b->initrd_end);
    }
}

static bool dump_tree(RvirtMachine *v, Error **errp)
{
    g_autoptr(GBytes) bytes = dt_bytes(v->dt);
    gsize len;
    const char *p = g_bytes_get_data(bytes, &len);
    FILE *f = fopen(v->dumpdtb, "we");

    if (!f || fwrite(p, 1, len, f) != len || fflush(f)) {
        error_set_errno(errp, errno, "cannot write the device tree to '%s'", v->dumpdtb);
        g_clear_pointer(&f, fclose);
        return false;
    }
    fclose(f);
    v->m.dumpdtb = g_strdup(v->dumpdtb);
    return true;
}

static bool boot(RvirtMachine *v, const BootFiles *f, Error **errp)
{
    bool none = !f->firmware || !strcmp(f->firmware, "none"), flash = false;
    paddr bank0 = v->map[RVIRT_FLASH].base;

    if (f->append && !f->kernel) {
        return error_set(errp, "-append only allowed with -kernel option");
    }
    if (!load_flash(v, &flash, errp)) {
        return false;
    }
    if (!f->firmware && f->kernel && !flash) {
        error_set(errp, "a kernel needs firmware under it, and none was found");
        return error_hint(errp, "-bios FILE names one (OpenSBI: fw_dynamic.bin of the package opensbi); -bios none starts the kernel in machine mode");
    }
    v->boot = (RvBoot){
        .firmware = none ? NULL : f->firmware, .kernel = f->kernel, .initrd = f->initrd, .rom_base = v->map[RVIRT_ROM].base,
        .ram_base = v->map[RVIRT_RAM].base, .ram_size = v->m.ram_size,
        .flash_start = flash && none ? bank0 : 0, .flash_next = flash && !none ? bank0 : 0,
    };
    if (f->dtb) {
        if (!foreign_tree(v, f->dtb, errp)) {
            return false;
        }
    } else {
        rvirt_make_tree(v);
    }
    if (!rv_boot_place(&v->m, &v->boot, errp)) {
        return false;
    }
    complete_chosen(v, f);
    fw_cfg_set_u16(v->fw_cfg, FW_CFG_NB_CPUS, (uint16_t)v->m.smp.cpus);
    if (v->dumpdtb && *v->dumpdtb && !dump_tree(v, errp)) {
        return false;
    }
    return rv_boot_finish(&v->m, &v->boot, v->dt, errp);
}

static bool finish(Machine *m, Error **errp)
{
    RvirtMachine *v = rvirt(m);
    const MachineConfig *c = m->config;
    BootFiles f = {
        .kernel = setting(c->kernel, v->kernel), .initrd = setting(c->initrd, v->initrd), .append = setting(c->append, v->append),
        .dtb = setting(c->dtb, v->dtb), .firmware = setting(c->firmware, v->firmware),
    };
    bool ok = boot(v, &f, errp);

    v->boot.firmware = v->boot.kernel = v->boot.initrd = NULL;         /* the configuration's strings */
    g_clear_pointer(&v->dt, dt_free);
    return ok;
}

static void destroy(Machine *m)
{
    g_clear_pointer(&rvirt(m)->dt, dt_free);
}

static const char *const aias[] = { "none", "aplic", "aplic-imsic", NULL };

static const Prop rvirt_props[] = {
    PROP_BOOL("aclint", RvirtMachine, aclint, false, .help = "Set on/off to enable/disable emulating ACLINT devices"),
    PROP_AUTO_ONOFF("acpi", RvirtMachine, acpi, PROP_AUTO, .help = "Enable ACPI"),
    PROP_ENUM("aia", RvirtMachine, aia, RVIRT_AIA_NONE, aias, .help = "Set type of AIA interrupt controller"),
    PROP_U32("aia-guests", RvirtMachine, aia_guests, 0, .max = 7, .help = "Set number of guest MMIO pages for AIA IMSIC (refused)"),
    PROP_STR("append", RvirtMachine, append, NULL, .help = "Linux kernel command line"),
    PROP_STR("dt-compatible", RvirtMachine, dt_compatible, NULL, .help = "Overrides the \"compatible\" property of the dt root node"),
    PROP_STR("dtb", RvirtMachine, dtb, NULL, .help = "Linux kernel device tree file"),
    PROP_STR("dumpdtb", RvirtMachine, dumpdtb, NULL, .help = "Dump current dtb to a file and quit"),
    PROP_STR("firmware", RvirtMachine, firmware, NULL, .help = "Firmware image"),
    PROP_STR("initrd", RvirtMachine, initrd, NULL, .help = "Linux initial ramdisk file"),
    PROP_STR("kernel", RvirtMachine, kernel, NULL, .help = "Linux kernel image file"),
    PROP_BOOL("usb", RvirtMachine, usb, false, .help = "USB controller (refused)"),
    {}
};

static const char *const rvirt_aliases[] = { "virt", NULL };
static const char *const rvirt_firmware[] = { "opensbi-riscv64-generic-fw_dynamic.bin", "fw_dynamic.bin", NULL };
static const MachineType rvirt_type = {
    .name = "riscv-virt", .aliases = rvirt_aliases, .desc = "RISC-V VirtIO board", .arch = "riscv64", .size = sizeof(RvirtMachine),
    .default_cpu = "rv64", .max_cpus = 512, .default_ram = 128 * MiB, .ram_id = "riscv_virt_board.ram", .props = rvirt_props,
    .default_nic = "virtio-net-device", .block_default = "virtio", .firmware = rvirt_firmware,
    .build = build, .finish = finish, .destroy = destroy,
};
MACHINE_TYPE(rvirt_type);
