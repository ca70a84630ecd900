/* SPDX-License-Identifier: MIT */
/*
 * `virt`: a board of standard parts that exists in no shop, for AArch64 guests.
 *
 * docs/virt.md has the map; the wiring reads from top to bottom in build().
 */
#include "hw/arm/virt-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hw/block/cfi-flash.h"
#include "hw/block/cfi-flash-drive.h"
#include "hw/core/image.h"
#include "hw/intc/gicv2.h"
#include "hw/intc/gicv3.h"
#include "hw/intc/gicv3-its.h"
#include "hw/nvram/fw_cfg.h"
#include "target/arm/arm-cpu.h"
#include "util/size.h"

bool virt_gic3(const VirtMachine *v)
{
    return v->gic_version != GIC_VERSION_2;
}

bool virt_has_msi(const VirtMachine *v)
{
    return !virt_gic3(v) || v->its;
}

/* Clusters as large as the interrupt controller's target lists: 8 or 16. */
uint64_t virt_affinity(const VirtMachine *v, unsigned cpu)
{
    unsigned per = virt_gic3(v) ? 16 : 8;

    return cpu % per | (uint64_t)(cpu / per) << 8;
}

/* ---- settings ---- */

static bool check_props(VirtMachine *v, Error **errp)
{
    static const char missing[] = "%s is not there yet: this board's processors begin at EL1";

    if (v->secure) {
        return error_set(errp, missing, "secure=on");
    }
    if (v->virtualization) {
        return error_set(errp, missing, "virtualization=on");
    }
    if (v->mte) {
        return error_set(errp, "mte=on is not there yet");
    }
    if (v->ras) {
        return error_set(errp, "ras=on is not there yet");
    }
    if (v->iommu == VIRT_IOMMU_SMMUV3) {
        return error_set(errp, "iommu=smmuv3 is not there yet");
    }
    if (v->usb) {
        return error_set(errp, "usb=on is not there yet");
    }
    if (v->acpi == PROP_ON) {
        return error_set(errp, "acpi=on is not there yet: firmware and guests get the device tree");
    }
    if (v->gic_version == GIC_VERSION_4 || v->gic_version == GIC_VERSION_HOST) {
        return error_set(errp, "gic-version=%s is not there yet; there are 2, 3 and max", v->gic_version == GIC_VERSION_4 ? "4" : "host");
    }
    return true;
}

static bool smp_check(Machine *m, Error **errp)
{
    VirtMachine *v = virt(m);
    unsigned max = virt_gic3(v) ? 512 : GICV2_CPUS;

    if (m->smp.max_cpus > max) {
        error_set(errp, "Number of SMP CPUs requested (%u) exceeds max CPUs supported by machine 'mach-virt' (%u)", m->smp.max_cpus, max);
        return error_hint(errp, "%s", virt_gic3(v) ? "" : "-machine gic-version=3 has up to 512");
    }
    return true;
}

/* A setting of -machine, or the option of the same name. */
static const char *setting(const char *option, const char *prop)
{
    return option ? option : prop && *prop ? prop : NULL;
}

/* ---- parts ---- */

static Device *make(VirtMachine *v, const char *type, Error **errp)
{
    return device_new(&v->m, type, NULL, errp);
}

static bool place(VirtMachine *v, Device *dev, VirtArea area, unsigned window, Error **errp)
{
    g_autofree char *where = g_strdup_printf("%" PRIx64, v->map[area].base);

    if (!device_realize(dev, NULL, where, errp)) {
        device_free(dev);
        return false;
    }
    device_map(dev, window, &v->m.system_memory, v->map[area].base);
    return true;
}

static bool make_ram(VirtMachine *v, Error **errp)
{
    const MachineConfig *c = v->m.config;
    RamSpec spec = c->ram_spec ? *c->ram_spec : (RamSpec){ 0 };
    RamBlock *ram = c->ram;
    const VirtMap *at = &v->map[VIRT_RAM];

    if (!v->highmem && at->base + at->size > 4 * GiB) {
        return error_set(errp, "Addressing limited to 32 bits, but memory exceeds it by %" PRIu64 " bytes", (uint64_t)(at->base + at->size - 4 * GiB));
    }
    if (!ram) {
        spec.id = spec.id ? spec.id : "mach-virt.ram";
        spec.size = v->m.ram_size;
        ram = ram_block_new(v->m.mem, &spec, errp);
    }
    if (!ram) {
        return false;
    }
    mem_region_init_ram(&v->ram, v->m.mem, "mach-virt.ram", ram);
    mem_region_add(&v->m.system_memory, at->base, &v->ram);
    return true;
}

static bool make_cpu(VirtMachine *v, const CpuType *t, const char *props, unsigned i, Error **errp)
{
    Cpu *cpu = cpu_new(&v->m, t, (int)i, props, errp);
    g_autofree char *aff = g_strdup_printf("%" PRIu64, virt_affinity(v, i));

    if (!cpu) {
        return false;
    }
    cpu->start_off = i > 0;
    if (!cpu_set(cpu, "mp-affinity", aff, errp) || !cpu_set(cpu, "psci-conduit", "hvc", errp) || !cpu_realize(cpu, errp)) {
        cpu_free(cpu);
        return false;
    }
    return true;
}

static bool make_cpus(VirtMachine *v, Error **errp)
{
    const char *text = v->m.config->cpu ? v->m.config->cpu : v->m.type->default_cpu, *comma = strchr(text, ',');
    g_autofree char *model = comma ? g_strndup(text, (gsize)(comma - text)) : g_strdup(text);
    const CpuType *t = cpu_type_find("aarch64", model);

    if (!t) {
        return cpu_type_unknown("aarch64", model, errp);
    }
    for (unsigned i = 0; i < v->m.smp.cpus; i++) {
        if (!make_cpu(v, t, comma ? comma + 1 : NULL, i, errp)) {
            return false;
        }
    }
    psci_connect(&v->psci, &v->m);
    return true;
}

/* ---- interrupt controllers ---- */

enum { PPI_HYP = 26, PPI_VIRT = 27, PPI_SEC = 29, PPI_PHYS = 30, PPI_PMU = 23 };

static void connect_ppis(VirtMachine *v, unsigned i)
{
    static const uint8_t ids[ARM_WIRES] = {
        [ARM_WIRE_TIMER_PHYS] = PPI_PHYS, [ARM_WIRE_TIMER_VIRT] = PPI_VIRT, [ARM_WIRE_TIMER_HYP] = PPI_HYP, [ARM_WIRE_TIMER_SEC] = PPI_SEC,
        [ARM_WIRE_PMU] = PPI_PMU,
    };
    Cpu *cpu = machine_cpu(&v->m, i);

    for (unsigned w = 0; w < ARM_WIRES; w++) {
        unsigned in = virt_gic3(v) ? gicv3_ppi(v->gic, i, ids[w]) : gicv2_ppi(VIRT_SPIS + GIC_INTERNAL, i, ids[w]);

        irq_connect(arm_cpu_wire(cpu, (ArmWire)w), device_irq_in(v->gic), v->gic, (int)in);
    }
}

static bool make_gicv2(VirtMachine *v, Error **errp)
{
    Device *gic = v->gic = make(v, "arm_gic", errp), *v2m;
    unsigned n = machine_ncpus(&v->m);

    if (!gic) {
        return false;
    }
    device_set_or_die(gic, "num-cpu", "%u", n);
    device_set_or_die(gic, "num-irq", "%u", VIRT_SPIS + GIC_INTERNAL);
    if (!place(v, gic, VIRT_GIC_DIST, 0, errp)) {
        return false;
    }
    device_map(gic, 1, &v->m.system_memory, v->map[VIRT_GIC_CPU].base);
    for (unsigned i = 0; i < n; i++) {
        irq_connect(&gic->irq[i], cpu_line, machine_cpu(&v->m, i), 0);
        irq_connect(&gic->irq[n + i], cpu_line, machine_cpu(&v->m, i), 1);
        connect_ppis(v, i);
    }
    v2m = make(v, "arm-gicv2m", errp);
    if (!v2m) {
        return false;
    }
    device_set_or_die(v2m, "base-spi", "%u", VIRT_SPI_V2M);
    device_set_or_die(v2m, "num-spi", "%u", VIRT_V2M_SPIS);
    if (!place(v, v2m, VIRT_GIC_V2M, 0, errp)) {
        return false;
    }
    for (unsigned i = 0; i < VIRT_V2M_SPIS; i++) {
        device_connect(v2m, i, gic, VIRT_SPI_V2M + i);
    }
    return true;
}

/* 123 redistributors behind the distributor, more of them high up. */
static void map_redistributors(VirtMachine *v)
{
    const VirtMap *lo = &v->map[VIRT_GIC_REDIST], *hi = &v->map[VIRT_GIC_REDIST2];
    MemRegion *all = &v->gic->mmio[1];
    uint64_t low = MIN(all->size, lo->size);

    mem_region_init_alias(&v->redist_low, v->m.mem, "gicv3_redist", all, 0, low);
    mem_region_add(&v->m.system_memory, lo->base, &v->redist_low);
    if (all->size > low) {
        mem_region_init_alias(&v->redist_high, v->m.mem, "gicv3_redist", all, low, all->size - low);
        mem_region_add(&v->m.system_memory, hi->base, &v->redist_high);
    }
}

static bool make_its(VirtMachine *v, Error **errp)
{
    Device *its = v->its_dev = make(v, "arm-gicv3-its", errp);

    if (!its) {
        return false;
    }
    gicv3_its_set_gic(its, v->gic);
    return place(v, its, VIRT_GIC_ITS, 0, errp);
}

static bool make_gicv3(VirtMachine *v, Error **errp)
{
    Device *gic = v->gic = make(v, "arm-gicv3", errp);
    unsigned n = machine_ncpus(&v->m), first = (unsigned)(v->map[VIRT_GIC_REDIST].size / 0x20000);

    if (!gic) {
        return false;
    }
    device_set_or_die(gic, "num-cpu", "%u", n);
    device_set_or_die(gic, "num-irq", "%u", VIRT_SPIS + GIC_INTERNAL);
    device_set_or_die(gic, "has-lpi", "%s", v->its ? "on" : "off");
    device_set_or_die(gic, "redist-first", "%u", n > first ? first : 0);
    if (!place(v, gic, VIRT_GIC_DIST, 0, errp)) {
        return false;
    }
    map_redistributors(v);
    for (unsigned i = 0; i < n; i++) {
        gicv3_connect_cpu(gic, i, machine_cpu(&v->m, i), (uint32_t)virt_affinity(v, i));
        connect_ppis(v, i);
    }
    return !v->its || make_its(v, errp);
}

/* ---- devices ---- */

static bool make_uart(VirtMachine *v, Error **errp)
{
    const char *const *serials = v->m.config->serials;
    Device *dev = make(v, "pl011", errp);

    if (!dev) {
        return false;
    }
    if (serials && serials[0]) {
        device_set_or_die(dev, "chardev", "%s", serials[0]);
    }
    if (!place(v, dev, VIRT_UART, 0, errp)) {
        return false;
    }
    device_connect(dev, 0, v->gic, VIRT_SPI_UART);
    if (serials && serials[0] && serials[1]) {
        return error_set(errp, "this board has one serial port; a second one is -device virtio-serial-pci -device virtconsole");
    }
    return true;
}

static bool make_simple(VirtMachine *v, const char *type, VirtArea area, unsigned spi, Device **out, Error **errp)
{
    Device *dev = make(v, type, errp);

    if (!dev || !place(v, dev, area, 0, errp)) {
        return false;
    }
    device_connect(dev, 0, v->gic, spi);
    if (out) {
        *out = dev;
    }
    return true;
}

/* The power key on line 3 of the GPIO. */
static bool make_key(VirtMachine *v, Error **errp)
{
    v->key = make(v, "gpio-key", errp);
    if (!v->key || !device_realize(v->key, NULL, NULL, errp)) {
        return false;
    }
    device_connect(v->key, 0, v->gpio, 3);
    return true;
}

static bool make_flash(VirtMachine *v, Error **errp)
{
    uint64_t size = v->map[VIRT_FLASH].size / 2;

    for (unsigned i = 0; i < 2; i++) {
        Device *dev = v->flash[i] = make(v, "cfi.pflash01", errp);
        g_autofree char *where = g_strdup_printf("%" PRIx64, i * size);

        if (!dev) {
            return false;
        }
        device_set_or_die(dev, "name", "virt.flash%u", i);
        device_set_or_die(dev, "size", "%" PRIu64, size);
        if (!device_realize(dev, NULL, where, errp)) {
            device_free(dev);
            return false;
        }
        mem_region_add(&v->m.system_memory, v->map[VIRT_FLASH].base + i * size, cfi_flash_region(dev));
    }
    return true;
}

/* The last window is filled first, so -device finds it first. */
static bool make_windows(VirtMachine *v, Error **errp)
{
    for (unsigned i = VIRT_VIRTIO_SLOTS; i-- > 0;) {
        Device *dev = v->window[i] = make(v, "virtio-mmio", errp);
        paddr at = v->map[VIRT_VIRTIO].base + i * v->map[VIRT_VIRTIO].size;
        g_autofree char *where = g_strdup_printf("%" PRIx64, at);

        if (!dev) {
            return false;
        }
        device_set_or_die(dev, "index", "%u", i);
        if (!device_realize(dev, NULL, where, errp)) {
            device_free(dev);
            return false;
        }
        device_map(dev, 0, &v->m.system_memory, at);
        device_connect(dev, 0, v->gic, VIRT_SPI_VIRTIO + i);
    }
    return true;
}

static bool make_pci(VirtMachine *v, Error **errp)
{
    const VirtMap *ecam = &v->map[v->highmem ? VIRT_PCIE_ECAM_HIGH : VIRT_PCIE_ECAM_LOW];
    const VirtMap *lo = &v->map[VIRT_PCIE_MMIO], *hi = &v->map[VIRT_PCIE_MMIO_HIGH];
    Device *dev = v->host = make(v, "gpex-pcihost", errp);

    if (!dev) {
        return false;
    }
    device_set_or_die(dev, "ecam-size", "%" PRIu64, ecam->size);
    if (!place(v, dev, v->highmem ? VIRT_PCIE_ECAM_HIGH : VIRT_PCIE_ECAM_LOW, 0, errp)) {
        return false;
    }
    pci_host_map_mem((PciHost *)dev, &v->m.system_memory, lo->base, lo->base, lo->size);
    pci_host_map_io((PciHost *)dev, &v->m.system_memory, v->map[VIRT_PCIE_PIO].base, v->map[VIRT_PCIE_PIO].size);
    if (v->highmem) {
        pci_host_map_mem((PciHost *)dev, &v->m.system_memory, hi->base, hi->base, hi->size);
    }
    for (unsigned i = 0; i < PCI_PINS; i++) {
        device_connect(dev, i, v->gic, VIRT_SPI_PCIE + i);
    }
    return true;
}

static bool make_nic(VirtMachine *v, const char *text, Error **errp)
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

static bool make_nics(VirtMachine *v, Error **errp)
{
    for (const char *const *n = v->m.config->nics; n && *n; n++) {
        if (!make_nic(v, *n, errp)) {
            return false;
        }
    }
    return true;
}

static bool build(Machine *m, Error **errp)
{
    VirtMachine *v = virt(m);

    virt_layout(v);
    if (!check_props(v, errp) || !make_ram(v, errp) || !make_cpus(v, errp)) {
        return false;
    }
    if (!(virt_gic3(v) ? make_gicv3(v, errp) : make_gicv2(v, errp))) {
        return false;
    }
    if (!make_flash(v, errp) || !make_uart(v, errp) || !make_simple(v, "pl031", VIRT_RTC, VIRT_SPI_RTC, NULL, errp)
        || !make_simple(v, "pl061", VIRT_GPIO, VIRT_SPI_GPIO, &v->gpio, errp) || !make_key(v, errp)) {
        return false;
    }
    v->fw_cfg = make(v, "fw_cfg_mem", errp);
    if (!v->fw_cfg || !place(v, v->fw_cfg, VIRT_FW_CFG, 0, errp)) {
        return false;
    }
    m->fw_cfg = v->fw_cfg;
    return make_windows(v, errp) && make_pci(v, errp) && make_nics(v, errp);
}

/* ---- when everything is there ---- */

static bool load_firmware(VirtMachine *v, const char *path, Error **errp)
{
    uint64_t size = v->map[VIRT_FLASH].size / 2;
    g_autoptr(GBytes) image = image_file(path, errp);
    gsize len;
    const void *p;

    if (!image) {
        return error_prepend(errp, "could not load ROM image: ");
    }
    p = g_bytes_get_data(image, &len);
    if (len > size) {
        return error_set(errp, "firmware '%s' has %zu bytes, the flash %" PRIu64, path, len, size);
    }
    v->boot.firmware = true;
    return cfi_flash_load(v->flash[0], p, len, errp);
}

static bool load_flash(VirtMachine *v, const char *firmware, Error **errp)
{
    for (const MachineDrive *d = v->m.config->drives; d && d->interface; d++) {
        if (strcmp(d->interface, "pflash")) {
            continue;
        }
        if (d->unit < 0 || d->unit > 1) {
            return error_set(errp, "this board has two flash chips: unit 0 and unit 1, not %d", d->unit);
        }
        if (d->unit == 0 && firmware) {
            return error_set(errp, "The contents of the first flash device may be specified with -bios or with -drive if=pflash... but you"
                             " cannot use both options at once");
        }
        if (!cfi_flash_set_drive(v->flash[d->unit], v->m.session, d->node, d->readonly, errp)) {
            return false;
        }
        v->boot.firmware |= d->unit == 0;
    }
    return !firmware || load_firmware(v, firmware, errp);
}

/* ---- boot ---- */

typedef struct BootFiles { const char *kernel, *initrd, *append, *dtb, *firmware; } BootFiles;

/* With firmware, the kernel goes through fw_cfg: it loads kernel, initrd and command line itself. */
static bool file_to_fw_cfg(VirtMachine *v, const char *path, uint16_t size_key, uint16_t data_key, Error **errp)
{
    g_autoptr(GBytes) bytes = path ? image_file(path, errp) : NULL;

    if (!path) {
        return true;
    }
    if (!bytes) {
        return error_prepend(errp, "could not load '%s': ", path);
    }
    fw_cfg_set_u32(v->fw_cfg, size_key, (uint32_t)g_bytes_get_size(bytes));
    fw_cfg_set_bytes(v->fw_cfg, data_key, bytes);
    return true;
}

static bool fill_fw_cfg(VirtMachine *v, const BootFiles *f, Error **errp)
{
    fw_cfg_set_u16(v->fw_cfg, FW_CFG_NB_CPUS, (uint16_t)v->m.smp.cpus);
    if (!v->boot.firmware) {
        return true;
    }
    if (f->append) {
        fw_cfg_set_u32(v->fw_cfg, FW_CFG_CMDLINE_SIZE, (uint32_t)strlen(f->append) + 1);
        fw_cfg_set(v->fw_cfg, FW_CFG_CMDLINE_DATA, f->append, strlen(f->append) + 1);
    }
    return file_to_fw_cfg(v, f->kernel, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, errp)
        && file_to_fw_cfg(v, f->initrd, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, errp);
}

static bool foreign_tree(VirtMachine *v, const char *path, Error **errp)
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

static void set_address(Dt *dt, const char *prop, paddr at)
{
    if (at >> 32) {
        dt_u64s(dt, "/chosen", prop, at);
    } else {
        dt_cells(dt, "/chosen", prop, (uint32_t)at);
    }
}

/* What the kernel was given; with firmware that is the firmware's to say. */
static void complete_chosen(VirtMachine *v, const BootFiles *f)
{
    const ArmBoot *b = &v->boot;

    if (f->append && f->kernel && !b->firmware) {
        dt_text(v->dt, "/chosen", "bootargs", f->append);
    }
    if (b->initrd_end) {
        set_address(v->dt, "linux,initrd-start", b->initrd_start);
        set_address(v->dt, "linux,initrd-end", b->initrd_end);
    }
}

static bool add_tree(VirtMachine *v, Error **errp)
{
    return !v->boot.has_dtb || machine_add_rom(&v->m, "dtb", v->boot.dtb_addr, dt_bytes(v->dt), errp);
}

static bool dump_tree(VirtMachine *v, Error **errp)
{
    g_autoptr(GBytes) bytes = dt_bytes(v->dt);
    gsize len;
    const char *p = g_bytes_get_data(bytes, &len);
    FILE *f = fopen(v->dumpdtb, "we");

    /* never a new file in the place of an old one: that may be a device */
    if (!f || fwrite(p, 1, len, f) != len || fflush(f)) {
        error_set_errno(errp, errno, "cannot write the device tree to '%s'", v->dumpdtb);
        g_clear_pointer(&f, fclose);
        return false;
    }
    fclose(f);
    v->m.dumpdtb = g_strdup(v->dumpdtb);
    return true;
}

static bool boot(VirtMachine *v, const BootFiles *f, Error **errp)
{
    Machine *m = &v->m;

    v->boot = (ArmBoot){ .kernel = f->kernel, .initrd = f->initrd, .ram_base = v->map[VIRT_RAM].base, .ram_size = m->ram_size };
    if (f->append && !f->kernel) {
        return error_set(errp, "-append only allowed with -kernel option");
    }
    if (f->dtb) {
        if (!foreign_tree(v, f->dtb, errp)) {
            return false;
        }
    } else {
        virt_make_tree(v);
    }
    v->boot.dtb_room = dt_size(v->dt);
    if (!load_flash(v, f->firmware, errp) || !arm_boot_place(m, &v->boot, errp)) {
        return false;
    }
    complete_chosen(v, f);
    if (!add_tree(v, errp) || !fill_fw_cfg(v, f, errp) || !arm_boot_finish(m, &v->boot, errp)) {
        return false;
    }
    return !v->dumpdtb || !*v->dumpdtb || dump_tree(v, errp);
}

static bool finish(Machine *m, Error **errp)
{
    VirtMachine *v = virt(m);
    const MachineConfig *c = m->config;
    BootFiles f = {
        .kernel = setting(c->kernel, v->kernel), .initrd = setting(c->initrd, v->initrd), .append = setting(c->append, v->append),
        .dtb = setting(c->dtb, v->dtb), .firmware = setting(c->firmware, v->firmware),
    };
    bool ok = boot(v, &f, errp);

    v->boot.kernel = v->boot.initrd = NULL;             /* the configuration's strings */
    g_clear_pointer(&v->dt, dt_free);
    return ok;
}

static void powerdown(Machine *m)
{
    device_irq_in(virt(m)->key)(virt(m)->key, 0, 1);
}

static void destroy(Machine *m)
{
    g_clear_pointer(&virt(m)->dt, dt_free);
}

static const char *const gic_versions[] = { "2", "3", "4", "host", "max", NULL };
static const char *const iommus[] = { "none", "smmuv3", NULL };

static const Prop virt_props[] = {
    PROP_AUTO_ONOFF("acpi", VirtMachine, acpi, PROP_AUTO, .help = "Enable ACPI"),
    PROP_STR("append", VirtMachine, append, NULL, .help = "Linux kernel command line"),
    PROP_STR("dt-compatible", VirtMachine, dt_compatible, NULL, .help = "Overrides the \"compatible\" property of the dt root node"),
    PROP_STR("dtb", VirtMachine, dtb, NULL, .help = "Linux kernel device tree file"),
    PROP_BOOL("dtb-kaslr-seed", VirtMachine, dtb_randomness, true, .help = "Deprecated synonym of dtb-randomness"),
    PROP_BOOL("dtb-randomness", VirtMachine, dtb_randomness, true, .help = "Set off to disable passing random or non-deterministic dtb nodes to guest"),
    PROP_STR("dumpdtb", VirtMachine, dumpdtb, NULL, .help = "Dump current dtb to a file and quit"),
    PROP_STR("firmware", VirtMachine, firmware, NULL, .help = "Firmware image"),
    PROP_ENUM("gic-version", VirtMachine, gic_version, GIC_VERSION_2, gic_versions, .help = "Set GIC version"),
    PROP_BOOL("highmem", VirtMachine, highmem, true, .help = "Set on/off to enable/disable using physical address space above 32 bits"),
    PROP_STR("initrd", VirtMachine, initrd, NULL, .help = "Linux initial ramdisk file"),
    PROP_ENUM("iommu", VirtMachine, iommu, VIRT_IOMMU_NONE, iommus, .help = "Set the IOMMU type"),
    PROP_BOOL("its", VirtMachine, its, true, .help = "Set on/off to enable/disable ITS instantiation"),
    PROP_STR("kernel", VirtMachine, kernel, NULL, .help = "Linux kernel image file"),
    PROP_BOOL("mte", VirtMachine, mte, false, .help = "Memory Tagging Extension (refused)"),
    PROP_BOOL("ras", VirtMachine, ras, false, .help = "report host memory errors to the guest (refused)"),
    PROP_BOOL("secure", VirtMachine, secure, false, .help = "Arm Security Extensions (refused)"),
    PROP_BOOL("usb", VirtMachine, usb, false, .help = "USB controller (refused)"),
    PROP_BOOL("virtualization", VirtMachine, virtualization, false, .help = "Arm Virtualization Extensions (refused)"),
    {}
};

static const char *const virt_aliases[] = { "virt", NULL };
static const MachineType virt_type = {
    .name = "virt-8.2", .aliases = virt_aliases, .desc = "Arm virtual machine", .arch = "aarch64", .size = sizeof(VirtMachine),
    .default_cpu = "cortex-a57", .max_cpus = 512, .default_ram = 128 * MiB, .ram_id = "mach-virt.ram", .props = virt_props,
    .default_nic = "virtio-net-pci", .block_default = "virtio",
    .smp_check = smp_check, .build = build, .finish = finish, .powerdown = powerdown, .destroy = destroy,
};
MACHINE_TYPE(virt_type);
