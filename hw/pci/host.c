/* SPDX-License-Identifier: MIT */
/* Host bridges: ECAM decoding, windows into a board's address map. */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include "util/bits.h"

static MemResult ecam_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    PciHost *h = opaque;
    PciDevice *d = pci_find(&h->root, (uint8_t)(offset >> 20), (uint8_t)(offset >> 12));

    (void)attrs;
    *val = d ? pci_config_read(d, offset & 0xfff, size) : mask64(0, 8 * size);
    return MEM_OK;
}

static MemResult ecam_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    PciHost *h = opaque;
    PciDevice *d = pci_find(&h->root, (uint8_t)(offset >> 20), (uint8_t)(offset >> 12));

    (void)attrs;
    if (d) {
        pci_config_write(d, offset & 0xfff, (uint32_t)val, size);
    }
    return MEM_OK;
}

const MemOps pci_ecam_ops = { ecam_read, ecam_write, 1, 4, MEM_LITTLE, false };

/* Where nobody answers the host ends the transaction: reads give ones, writes are gone (PCI Local Bus 3.0, 3.2.2.3.4 and 6.1). */
static MemResult nobody_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    (void)opaque, (void)offset, (void)attrs;
    *val = mask64(0, 8 * size);
    return MEM_OK;
}

static MemResult nobody_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    (void)opaque, (void)offset, (void)size, (void)val, (void)attrs;
    return MEM_OK;
}

static const MemOps nobody_ops = { nobody_read, nobody_write, 1, 8, MEM_LITTLE, true };

void pci_host_init(PciHost *h, const char *bus_name, bool express)
{
    pthread_mutex_init(&h->intx_lock, NULL);
    mem_region_init_io(&h->mem, h->dev.machine->mem, "pci-mem", UINT64_MAX, &nobody_ops, h, NULL);
    mem_region_init_io(&h->io, h->dev.machine->mem, "pci-io", 0x10000, &nobody_ops, h, NULL);
    pci_bus_init(&h->root, h, NULL, &h->dev, bus_name, express, &h->mem, &h->io);
}

void pci_host_fini(PciHost *h)
{
    for (GSList *l = h->windows; l; l = l->next) {
        mem_region_del(l->data);
    }
    mem_synchronize();
    g_slist_free_full(g_steal_pointer(&h->windows), g_free);
    bus_fini(&h->root.bus);
    pthread_mutex_destroy(&h->intx_lock);
}

static void map_alias(PciHost *h, const char *name, MemRegion *of, uint64_t offset, uint64_t size, MemRegion *in, paddr at)
{
    MemRegion *alias = g_new0(MemRegion, 1);

    mem_region_init_alias(alias, h->dev.machine->mem, name, of, offset, size);
    mem_region_add(in, at, alias);
    h->windows = g_slist_prepend(h->windows, alias);
}

void pci_host_map_mem(PciHost *h, MemRegion *in, paddr at, uint64_t pci, uint64_t size)
{
    map_alias(h, "pcie-mmio", &h->mem, pci, size, in, at);
}

void pci_host_map_io(PciHost *h, MemRegion *in, paddr at, uint64_t size)
{
    map_alias(h, "pcie-ioport", &h->io, 0, size, in, at);
}
