/* SPDX-License-Identifier: MIT */
/* PCI buses: places, numbers, and how a configuration cycle finds its device. */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bits.h"

static bool slot_free(const PciBus *b, unsigned slot)
{
    for (unsigned fn = 0; fn < 8; fn++) {
        if (b->slots[slot << 3 | fn]) {
            return false;
        }
    }
    return true;
}

static bool pick(PciBus *b, PciDevice *d, Error **errp)
{
    PciDevice *first;

    if (d->addr < 0) {
        for (unsigned slot = b->slot_min; slot <= b->slot_max; slot++) {
            if (slot_free(b, slot)) {
                d->devfn = (uint8_t)(slot << 3);
                return true;
            }
        }
        return error_set(errp, "PCI: no slot/function available for %s, all in use or reserved", d->dev.type->name);
    }
    d->devfn = (uint8_t)d->addr;
    if (b->slots[d->devfn]) {
        return error_set(errp, "PCI: slot %u function %u not available for %s, in use by %s,id=%s", d->devfn >> 3, d->devfn & 7,
                         d->dev.type->name, b->slots[d->devfn]->dev.type->name,
                         b->slots[d->devfn]->dev.id ? b->slots[d->devfn]->dev.id : "");
    }
    first = b->slots[d->devfn & ~7];
    if ((d->devfn & 7) && first && !first->multifunction) {
        return error_set(errp, "PCI: %x.0 indicates single function, but %x.%x is already populated.", d->devfn >> 3, d->devfn >> 3, d->devfn & 7);
    }
    if (b->bridge && b->express && (d->devfn >> 3)) {
        return error_set(errp, "PCI: slot %u is not valid for %s, parent device only allows plugging into slot 0.", d->devfn >> 3, d->dev.type->name);
    }
    return true;
}

static bool pci_attach(Bus *bus, Device *dev, char **where, Error **errp)
{
    PciBus *b = pci_bus(bus);
    PciDevice *d = pci_device(dev);

    if (!pick(b, d, errp)) {
        return false;
    }
    b->slots[d->devfn] = d;
    d->bus = b;
    if (where) {
        *where = g_strdup_printf("%02x.%x", d->devfn >> 3, d->devfn & 7);
    }
    return true;
}

static void pci_detach(Bus *bus, Device *dev)
{
    PciDevice *d = pci_device(dev);

    pci_bus(bus)->slots[d->devfn] = NULL;
    d->bus = NULL;
}

const BusType pci_bus_type = { .name = "PCI", .attach = pci_attach, .detach = pci_detach };

void pci_bus_init(PciBus *b, PciHost *host, PciDevice *bridge, Device *parent, const char *name, bool express, MemRegion *mem, MemRegion *io)
{
    b->host = host;
    b->bridge = bridge;
    b->express = express;
    b->mem = mem;
    b->io = io;
    b->slot_min = 0;
    b->slot_max = bridge && express ? 0 : 31;           /* a link has one device */
    bus_init(&b->bus, &pci_bus_type, parent, name);
}

uint8_t pci_bus_number(const PciBus *b)
{
    return b->bridge ? b->bridge->config[PCI_SECONDARY_BUS] : 0;
}

bool pci_is_express_bus(const PciDevice *d)
{
    return d->bus->express;
}

bool pci_is_root_bus(const PciDevice *d)
{
    return !d->bus->bridge;
}

PciDevice *pci_find(PciBus *b, uint8_t bus, uint8_t devfn)
{
    while (pci_bus_number(b) != bus) {
        PciBus *down = NULL;

        for (unsigned i = 0; i < ARRAY_SIZE(b->slots) && !down; i++) {
            PciDevice *d = b->slots[i];

            if (d && d->is_bridge && bus >= d->config[PCI_SECONDARY_BUS] && bus <= d->config[PCI_SUBORDINATE_BUS] &&
                d->config[PCI_SECONDARY_BUS] > pci_bus_number(b)) {
                down = pci_bridge_bus(d);
            }
        }
        if (!down) {
            return NULL;
        }
        b = down;
    }
    return b->slots[devfn];
}
