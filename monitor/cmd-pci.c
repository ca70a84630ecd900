/* SPDX-License-Identifier: MIT */
/* info pci: functions, their BARs and bridges as they are programmed now. */
#include "monitor/command.h"

#include "hw/pci/pci.h"
#include "util/bits.h"

static const struct { uint16_t class; const char *name; } class_names[] = {
    { 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" }, { 0x0106, "SATA controller" }, { 0x0200, "Ethernet controller" },
    { 0x0300, "VGA controller" }, { 0x0380, "Display controller" }, { 0x0600, "Host bridge" }, { 0x0601, "ISA bridge" },
    { 0x0604, "PCI bridge" }, { 0x0c03, "USB controller" },
};

static void class_text(GString *out, uint16_t class)
{
    for (unsigned i = 0; i < ARRAY_SIZE(class_names); i++) {
        if (class_names[i].class == class) {
            g_string_append(out, class_names[i].name);
            return;
        }
    }
    g_string_append_printf(out, "Class %04u", class);
}

static void bar_line(GString *out, const PciDevice *d, unsigned n)
{
    const PciBar *b = &d->bar[n];
    uint64_t at = b->mapped ? b->addr : UINT64_MAX;

    g_string_append_printf(out, "      BAR%u: ", n);
    if (b->type & PCI_BAR_IO) {
        g_string_append_printf(out, "I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", at, at + b->size - 1);
    } else {
        g_string_append_printf(out, "%d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n", b->type & PCI_BAR_MEM64 ? 64 : 32,
                               b->type & PCI_BAR_PREFETCH ? " prefetchable" : "", at, at + b->size - 1);
    }
}

static void bridge_lines(GString *out, const PciDevice *d)
{
    const uint8_t *c = d->config;

    g_string_append_printf(out, "      BUS %u.\n      secondary bus %u.\n      subordinate bus %u.\n", c[PCI_PRIMARY_BUS], c[PCI_SECONDARY_BUS],
                           c[PCI_SUBORDINATE_BUS]);
    g_string_append_printf(out, "      IO range [0x%04x, 0x%04x]\n", (c[PCI_IO_BASE] & 0xf0) << 8, (c[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff);
    g_string_append_printf(out, "      memory range [0x%08x, 0x%08x]\n", (uint32_t)(pci_get16(d, PCI_MEM_BASE) & 0xfff0) << 16,
                           (uint32_t)(pci_get16(d, PCI_MEM_LIMIT) & 0xfff0) << 16 | 0xfffff);
    g_string_append_printf(out, "      prefetchable memory range [0x%08" PRIx64 ", 0x%08" PRIx64 "]\n",
                           (uint64_t)(pci_get16(d, PCI_PREF_BASE) & 0xfff0) << 16 | (uint64_t)pci_get32(d, PCI_PREF_BASE_HI) << 32,
                           (uint64_t)(pci_get16(d, PCI_PREF_LIMIT) & 0xfff0) << 16 | 0xfffff | (uint64_t)pci_get32(d, PCI_PREF_LIMIT_HI) << 32);
}

static void function(PciDevice *d, GString *out)
{
    device_lock(&d->dev);
    g_string_append_printf(out, "  Bus %2u, device %3u, function %u:\n    ", pci_bus_number(d->bus), d->devfn >> 3, d->devfn & 7);
    class_text(out, pci_get16(d, PCI_CLASS_PROG + 1));
    g_string_append_printf(out, ": PCI device %04x:%04x\n", pci_get16(d, PCI_VENDOR_ID), pci_get16(d, PCI_DEVICE_ID));
    if (!d->is_bridge) {
        g_string_append_printf(out, "      PCI subsystem %04x:%04x\n", pci_get16(d, PCI_SUBVENDOR), pci_get16(d, PCI_SUBDEVICE));
    }
    if (d->config[PCI_INT_PIN]) {
        g_string_append_printf(out, "      IRQ %u, pin %c\n", d->config[PCI_INT_LINE], 'A' + d->config[PCI_INT_PIN] - 1);
    }
    if (d->is_bridge) {
        bridge_lines(out, d);
    }
    for (unsigned n = 0; n < PCI_REGIONS; n++) {
        if (d->bar[n].size) {
            bar_line(out, d, n);
        }
    }
    g_string_append_printf(out, "      id \"%s\"\n", d->dev.id ? d->dev.id : "");
    device_unlock(&d->dev);
}

static void bus_lines(Bus *bus, void *data)
{
    PciBus *b = (PciBus *)bus;

    if (bus->type != &pci_bus_type) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(b->slots); i++) {
        if (b->slots[i]) {
            function(b->slots[i], data);
        }
    }
}

static bool pci_run(MonCall *call, Error **errp)
{
    buses_foreach(call->machine, bus_lines, call->out);
    return true;
}
static const MonCommand pci_command = { .name = "info pci", .help = "show PCI info", .run = pci_run };
MON_COMMAND(pci_command);
