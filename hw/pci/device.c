/* SPDX-License-Identifier: MIT */
/* The life of a PCI device: plugging in, reset, saved state, option ROM. */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/filemap.h"

/* "6", "06.0", "0x6.1": slot and function. */
static bool addr_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    int32_t *at = (int32_t *)((char *)obj + p->offset);
    unsigned long slot, fn = 0;
    char *end;

    slot = strtoul(text, &end, 16);
    if (end != text && *end == '.') {
        const char *dot = end + 1;

        fn = strtoul(dot, &end, 16);
        end = end == dot ? (char *)text : end;
    }
    if (end == text || *end || slot > 31 || fn > 7) {
        return error_set(errp, "Property '%s' doesn't take value '%s'", p->name, text);
    }
    *at = (int32_t)(slot << 3 | fn);
    return true;
}

static char *addr_print(void *obj, const Prop *p)
{
    int32_t at = *(int32_t *)((char *)obj + p->offset);

    return at < 0 ? g_strdup("<unset>") : g_strdup_printf("%02x.%x", at >> 3, at & 7);
}

static void addr_default(void *obj, const Prop *p)
{
    *(int32_t *)((char *)obj + p->offset) = -1;
}

static const PropType prop_pci_addr = { .name = "int32", .parse = addr_parse, .print = addr_print, .set_default = addr_default };

static const Prop pci_props[] = {
    PROP_FIELD("addr", PciDevice, addr, prop_pci_addr, int32_t, .help = "Slot and optional function number, example: 06.0 or 06"),
    PROP_BOOL("multifunction", PciDevice, multifunction, false, .help = "the slot has more functions"),
    PROP_STR("romfile", PciDevice, romfile, NULL, .help = "file of the option ROM"),
    PROP_U32("rombar", PciDevice, rombar, 1, .max = 1, .help = "0: no BAR for the option ROM"),
    PROP_U32("acpi-index", PciDevice, acpi_index, 0, .help = "number of the device in firmware's tables"),
    {}
};

static bool rom_load(PciDevice *d, Error **errp)
{
    g_autoptr(FileMap) map = NULL;
    RamSpec spec = { 0 };
    g_autofree char *id = g_strdup_printf("%s.rom", d->dev.path);

    if (!d->romfile || !*d->romfile || !d->rombar) {
        return true;
    }
    map = file_map(d->romfile, errp);
    if (!map) {
        return error_prepend(errp, "option ROM '%s': ", d->romfile);
    }
    if (!map->size || map->size > 16 << 20) {
        return error_set(errp, "option ROM '%s' has %zu bytes; 1 byte to 16 MiB are fine", d->romfile, map->size);
    }
    spec.id = id;
    spec.size = pow2_ceil(MAX(map->size, 2048));
    d->rom_block = ram_block_new(d->dev.machine->mem, &spec, errp);
    if (!d->rom_block) {
        return false;
    }
    memcpy(d->rom_block->host, map->data, map->size);
    mem_region_init_rom(&d->rom, d->dev.machine->mem, "rom", d->rom_block);
    pci_add_bar(d, PCI_ROM, PCI_BAR_MEM32, &d->rom);
    return true;
}

static bool pci_realize(Device *dev, Error **errp)
{
    PciDevice *d = pci_device(dev);

    d->config_size = d->bus->express ? PCIE_CONFIG_SIZE : PCI_CONFIG_SIZE;
    d->config = g_malloc0(d->config_size);
    d->wmask = g_malloc0(d->config_size);
    d->w1c = g_malloc0(d->config_size);
    d->config_reset = g_malloc0(d->config_size);
    d->next_cap = 0x40;
    pci_writable(d, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER | PCI_CMD_PARITY | PCI_CMD_SERR | PCI_CMD_INTX_OFF);
    d->w1c[PCI_STATUS + 1] = 0xf9;
    d->wmask[PCI_CACHE_LINE] = 0xff;
    d->wmask[PCI_INT_LINE] = 0xff;
    pci_set8(d, PCI_HEADER_TYPE, d->multifunction ? PCI_HEADER_MULTI : 0);
    return rom_load(d, errp);
}

void pci_config_done(PciDevice *d)
{
    memcpy(d->config_reset, d->config, d->config_size);
}

static bool pci_realize_late(Device *dev, Error **errp)
{
    (void)errp;
    pci_config_done(pci_device(dev));
    return true;
}

static void pci_unrealize(Device *dev)
{
    PciDevice *d = pci_device(dev);

    if (!d->config) {
        return;                                         /* realize did not come this far */
    }
    pci_set_intx(d, 0);
    mem_topology_begin(dev->machine->mem);
    pci_unmap_bars(d);
    mem_topology_commit(dev->machine->mem);
    mem_synchronize();
    g_clear_pointer(&d->rom_block, ram_block_free);
    g_clear_pointer(&d->config, g_free);
    g_clear_pointer(&d->wmask, g_free);
    g_clear_pointer(&d->w1c, g_free);
    g_clear_pointer(&d->config_reset, g_free);
    g_clear_pointer(&d->msix_table, g_free);
    g_clear_pointer(&d->msix_pba, g_free);
    memset(d->bar, 0, sizeof(d->bar));
    d->cap_msi = d->cap_msix = d->cap_exp = d->cap_pm = 0;
}

static void pci_reset_enter(Device *dev)
{
    PciDevice *d = pci_device(dev);

    memcpy(d->config, d->config_reset, d->config_size);
    pci_msix_clear(d);
    pci_update_bars(d);
    if (d->is_bridge) {
        pci_bridge_update(d);
    }
}

static void pci_reset_hold(Device *dev)
{
    pci_set_intx(pci_device(dev), 0);
}

/* What a guest cannot write is as the device made it, whatever a stream says. */
static bool pci_post_load(void *obj, Error **errp)
{
    PciDevice *d = obj;

    (void)errp;
    for (unsigned i = 0; i < d->config_size; i++) {
        uint8_t free_bits = d->wmask[i] | d->w1c[i];

        d->config[i] = (d->config[i] & free_bits) | (d->config_reset[i] & ~free_bits);
    }
    if (d->intx & 1) {
        pci_set16(d, PCI_STATUS, pci_get16(d, PCI_STATUS) | PCI_STATUS_INTX);
    }
    pci_update_bars(d);
    if (d->is_bridge) {
        pci_bridge_update(d);
    }
    return true;
}

static const StateField pci_fields[] = {
    STATE_VBUF(PciDevice, config, config_size, .keep = true),
    STATE_VBUF(PciDevice, msix_table, msix_bytes, .keep = true),
    STATE_VBUF(PciDevice, msix_pba, msix_pba_bytes, .keep = true),
    STATE_U8(PciDevice, intx, .keep = true),
    {}
};
static const StateTable pci_state = { .name = "pci", .fields = pci_fields, .post_load = pci_post_load };

const DeviceBase pci_device_base = {
    .name = "pci", .props = pci_props, .state = &pci_state,
    .realize = pci_realize, .realize_late = pci_realize_late, .unrealize = pci_unrealize,
    .reset_enter = pci_reset_enter, .reset_hold = pci_reset_hold,
};
