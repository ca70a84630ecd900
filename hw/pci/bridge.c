/* SPDX-License-Identifier: MIT */
#include "hw/pci/bridge.h"
#include "hw/pci/pci-priv.h"

#include "util/bits.h"

static PciBridge *bridge(PciDevice *d)
{
    return (PciBridge *)d;
}

PciBus *pci_bridge_bus(PciDevice *d)
{
    return &bridge(d)->sec;
}

/* Base and limit of a window, PCI-to-PCI Bridge 3.2.5; empty when base is above limit. */
static void window_range(const PciDevice *d, unsigned w, uint64_t *base, uint64_t *limit)
{
    if (w == BRIDGE_IO) {
        *base = (uint64_t)(d->config[PCI_IO_BASE] & 0xf0) << 8;
        *limit = (uint64_t)(d->config[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff;
    } else {
        unsigned at = w == BRIDGE_MEM ? PCI_MEM_BASE : PCI_PREF_BASE;

        *base = (uint64_t)(pci_get16(d, at) & 0xfff0) << 16;
        *limit = (uint64_t)(pci_get16(d, at + 2) & 0xfff0) << 16 | 0xfffff;
        if (w == BRIDGE_PREF && (d->config[PCI_PREF_BASE] & 1)) {
            *base |= (uint64_t)pci_get32(d, PCI_PREF_BASE_HI) << 32;
            *limit |= (uint64_t)pci_get32(d, PCI_PREF_LIMIT_HI) << 32;
        }
    }
}

static void window_update(PciBridge *b, unsigned w)
{
    static const char *const names[] = { "bridge-mem", "bridge-pref", "bridge-io" };
    PciDevice *d = &b->pci;
    uint16_t need = w == BRIDGE_IO ? PCI_CMD_IO : PCI_CMD_MEM;
    uint64_t base, limit;
    bool on;

    window_range(d, w, &base, &limit);
    on = d->bus && base <= limit && (pci_get16(d, PCI_COMMAND) & need);
    if (b->open[w] && on && b->window[w].offset == base && b->window[w].size == limit - base + 1) {
        return;
    }
    if (b->open[w]) {
        mem_region_del(&b->window[w]);
    }
    b->open[w] = on;
    if (on) {
        mem_region_init_alias(&b->window[w], d->dev.machine->mem, names[w], w == BRIDGE_IO ? &b->io : &b->mem, base, limit - base + 1);
        mem_region_add_overlap(w == BRIDGE_IO ? d->bus->io : d->bus->mem, base, &b->window[w], 1);
    }
}

void pci_bridge_update(PciDevice *d)
{
    mem_topology_begin(d->dev.machine->mem);
    for (unsigned w = 0; w < BRIDGE_WINDOWS; w++) {
        window_update(bridge(d), w);
    }
    mem_topology_commit(d->dev.machine->mem);
}

void pci_bridge_init(PciBridge *b)
{
    b->pci.is_bridge = true;
}

void pci_bridge_setup(PciBridge *b, bool express)
{
    PciDevice *d = &b->pci;
    g_autofree char *name = d->dev.id ? g_strdup(d->dev.id) : g_strdup_printf("pci.%u", d->dev.nr);

    pci_set8(d, PCI_HEADER_TYPE, d->config[PCI_HEADER_TYPE] | PCI_HEADER_BRIDGE);
    pci_writable(d, PCI_PRIMARY_BUS, 0xffffff);
    pci_set16(d, PCI_IO_BASE, 0);
    pci_writable(d, PCI_IO_BASE, 0xf0f0);
    d->w1c[PCI_SEC_STATUS + 1] = 0xf9;
    pci_writable(d, PCI_MEM_BASE, 0xfff0fff0);
    pci_set16(d, PCI_PREF_BASE, 1);                     /* 64 bit */
    pci_set16(d, PCI_PREF_LIMIT, 1);
    pci_writable(d, PCI_PREF_BASE, 0xfff0fff0);
    pci_writable(d, PCI_PREF_BASE_HI, ~0u);
    pci_writable(d, PCI_PREF_LIMIT_HI, ~0u);
    d->wmask[PCI_BRIDGE_CONTROL] = 0x43;
    d->wmask[PCI_BRIDGE_CONTROL + 1] = 0;
    mem_region_init(&b->mem, d->dev.machine->mem, "bridge-space", UINT64_MAX);
    mem_region_init(&b->io, d->dev.machine->mem, "bridge-ports", 0x10000);
    pci_bus_init(&b->sec, d->bus->host, d, &d->dev, name, express, &b->mem, &b->io);
}

void pci_bridge_teardown(PciBridge *b)
{
    mem_topology_begin(b->pci.dev.machine->mem);
    for (unsigned w = 0; w < BRIDGE_WINDOWS; w++) {
        if (b->open[w]) {
            mem_region_del(&b->window[w]);
            b->open[w] = false;
        }
    }
    mem_topology_commit(b->pci.dev.machine->mem);
    bus_fini(&b->sec.bus);
}
