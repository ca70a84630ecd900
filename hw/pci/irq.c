/* SPDX-License-Identifier: MIT */
/* How a PCI device interrupts: pins through bridges, messages (MSI, MSI-X). */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"
#include "util/log.h"

MemAttrs pci_attrs(const PciDevice *d)
{
    MemAttrs attrs = MEM_ATTRS_NONE;

    attrs.requester = d->bus ? (uint16_t)(pci_bus_number(d->bus) << 8 | d->devfn) : 0;
    return attrs;
}

bool pci_bus_master(const PciDevice *d)
{
    return pci_get16(d, PCI_COMMAND) & PCI_CMD_MASTER;
}

/* ---- pins ---- */

/* Bridges turn pins by slot (PCI-to-PCI Bridge 9.1); the root pin's devices are counted. */
static void intx_wire(PciDevice *d, int level)
{
    unsigned pin = d->config[PCI_INT_PIN] - 1u;
    PciHost *host = d->bus->host;
    bool changed;

    for (PciDevice *at = d; at; at = at->bus->bridge) {
        pin = (pin + (at->devfn >> 3)) % PCI_PINS;
    }
    pthread_mutex_lock(&host->intx_lock);
    host->intx_count[pin] += level ? 1 : -1;
    changed = level ? host->intx_count[pin] == 1 : host->intx_count[pin] == 0;
    if (changed) {
        if (host->set_intx) {
            host->set_intx(host, pin, level);
        } else {
            irq_set(&host->dev.irq[pin], level);
        }
    }
    pthread_mutex_unlock(&host->intx_lock);
}

/* Bit 7 of intx: what the wire has heard from us. */
enum { INTX_ASKED = 1, INTX_ON_WIRE = 0x80 };

void pci_intx_update(PciDevice *d)
{
    bool on = (d->intx & INTX_ASKED) && !(pci_get16(d, PCI_COMMAND) & PCI_CMD_INTX_OFF) && !pci_msi_enabled(d) && !pci_msix_enabled(d);
    uint16_t status = pci_get16(d, PCI_STATUS) & ~PCI_STATUS_INTX;

    pci_set16(d, PCI_STATUS, status | (d->intx & INTX_ASKED ? PCI_STATUS_INTX : 0));
    if (d->bus && d->config[PCI_INT_PIN] && on != !!(d->intx & INTX_ON_WIRE)) {
        d->intx ^= INTX_ON_WIRE;
        intx_wire(d, on);
    }
}

void pci_set_intx(PciDevice *d, int level)
{
    d->intx = (uint8_t)((d->intx & ~INTX_ASKED) | (level ? INTX_ASKED : 0));
    pci_intx_update(d);
}

/* ---- messages ---- */

static void send_message(PciDevice *d, uint64_t addr, uint32_t data)
{
    if (pci_bus_master(d)) {
        dma_store_le(d->dev.dma_as, addr, 4, data, pci_attrs(d));
    } else {
        log_guest("%s: message interrupt while bus mastering is off", d->dev.path);
    }
}

void pci_add_msi(PciDevice *d, uint16_t offset, unsigned vectors_log2, bool is64, bool maskable)
{
    uint16_t flags = (uint16_t)(vectors_log2 << 1 | (is64 ? MSI_64 : 0) | (maskable ? MSI_MASKABLE : 0));
    unsigned data;

    d->cap_msi = pci_add_cap(d, PCI_CAP_MSI, offset, (is64 ? 14 : 10) + (maskable ? 10 : 0));
    data = d->cap_msi + (is64 ? 12 : 8);
    pci_set16(d, d->cap_msi + 2, flags);
    pci_writable(d, d->cap_msi, 0x00710000);
    pci_writable(d, d->cap_msi + 4, ~3u);
    if (is64) {
        pci_writable(d, d->cap_msi + 8, ~0u);
    }
    pci_writable(d, data, 0xffff);
    if (maskable) {
        pci_writable(d, data + 4, (uint32_t)mask64(0, 1u << vectors_log2));
    }
}

bool pci_msi_enabled(const PciDevice *d)
{
    return d->cap_msi && (pci_get16(d, d->cap_msi + 2) & MSI_ENABLE);
}

void pci_msi_notify(PciDevice *d, unsigned vector)
{
    uint16_t flags = pci_get16(d, d->cap_msi + 2);
    unsigned data_at = d->cap_msi + (flags & MSI_64 ? 12 : 8), granted = 1u << (flags >> 4 & 7);
    uint64_t addr = pci_get32(d, d->cap_msi + 4);
    uint16_t data = pci_get16(d, data_at);

    if (!(flags & MSI_ENABLE)) {
        return;
    }
    if (flags & MSI_64) {
        addr |= (uint64_t)pci_get32(d, d->cap_msi + 8) << 32;
    }
    vector &= granted - 1;
    if ((flags & MSI_MASKABLE) && (pci_get32(d, data_at + 4) & BIT(vector))) {
        pci_set32(d, data_at + 8, pci_get32(d, data_at + 8) | BIT(vector));
        return;
    }
    send_message(d, addr, (data & ~(granted - 1)) | vector);
}

/* ---- MSI-X ---- */

static uint8_t *msix_entry(const PciDevice *d, unsigned vector)
{
    return d->msix_table + (size_t)vector * MSIX_ENTRY;
}

bool pci_msix_enabled(const PciDevice *d)
{
    return d->cap_msix && (pci_get16(d, d->cap_msix + 2) & MSIX_ENABLE);
}

bool pci_msix_masked(const PciDevice *d, unsigned vector)
{
    return (pci_get16(d, d->cap_msix + 2) & MSIX_MASK_ALL) || (ldl_le_p(msix_entry(d, vector) + 12) & MSIX_VECTOR_MASKED);
}

void pci_msix_notify(PciDevice *d, unsigned vector)
{
    const uint8_t *e;

    if (!pci_msix_enabled(d) || vector >= d->msix_vectors) {
        return;
    }
    if (pci_msix_masked(d, vector)) {
        d->msix_pba[vector / 8] |= BIT(vector % 8);
        return;
    }
    e = msix_entry(d, vector);
    send_message(d, ldq_le_p(e), ldl_le_p(e + 8));
}

static void msix_fire_pending(PciDevice *d, unsigned vector)
{
    if ((d->msix_pba[vector / 8] & BIT(vector % 8)) && pci_msix_enabled(d) && !pci_msix_masked(d, vector)) {
        d->msix_pba[vector / 8] &= ~BIT(vector % 8);
        pci_msix_notify(d, vector);
    }
}

void pci_msix_update(PciDevice *d)
{
    pci_intx_update(d);
    for (unsigned i = 0; i < d->msix_vectors; i++) {
        msix_fire_pending(d, i);
    }
    if (d->msix_changed) {
        d->msix_changed(d);
    }
}

static MemResult table_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    PciDevice *d = opaque;

    (void)attrs;
    *val = offset + size <= d->msix_bytes ? ldn_le_p(d->msix_table + offset, size) : 0;
    return MEM_OK;
}

static MemResult table_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    PciDevice *d = opaque;

    (void)attrs;
    if (offset + size > d->msix_bytes) {
        return MEM_OK;
    }
    stn_le_p(d->msix_table + offset, size, val);
    msix_fire_pending(d, offset / MSIX_ENTRY);
    if (d->msix_changed) {
        d->msix_changed(d);
    }
    return MEM_OK;
}

static MemResult pba_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    PciDevice *d = opaque;

    (void)attrs;
    *val = offset + size <= d->msix_pba_bytes ? ldn_le_p(d->msix_pba + offset, size) : 0;
    return MEM_OK;
}

static MemResult pba_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    (void)offset, (void)size, (void)val, (void)attrs;
    log_guest("%s: write to the MSI-X pending bits", ((PciDevice *)opaque)->dev.path);
    return MEM_OK;
}

static const MemOps table_ops = { table_read, table_write, 4, 8, MEM_LITTLE, false };
static const MemOps pba_ops = { pba_read, pba_write, 4, 8, MEM_LITTLE, false };

void pci_msix_clear(PciDevice *d)
{
    if (!d->cap_msix) {
        return;
    }
    memset(d->msix_table, 0, d->msix_bytes);
    memset(d->msix_pba, 0, d->msix_pba_bytes);
    for (unsigned i = 0; i < d->msix_vectors; i++) {
        stl_le_p(msix_entry(d, i) + 12, MSIX_VECTOR_MASKED);
    }
}

void pci_add_msix(PciDevice *d, uint16_t offset, unsigned vectors, unsigned bar, MemRegion *in, uint32_t table, uint32_t pba)
{
    Memory *mem = d->dev.machine->mem;

    assert(vectors && vectors <= 2048 && !d->cap_msix);
    d->cap_msix = pci_add_cap(d, PCI_CAP_MSIX, offset, 12);
    d->msix_vectors = vectors;
    d->msix_bytes = vectors * MSIX_ENTRY;
    d->msix_pba_bytes = DIV_ROUND_UP(vectors, 64) * 8;
    d->msix_table = g_malloc0(d->msix_bytes);
    d->msix_pba = g_malloc0(d->msix_pba_bytes);
    pci_set16(d, d->cap_msix + 2, (uint16_t)(vectors - 1));
    pci_writable(d, d->cap_msix, (uint32_t)(MSIX_ENABLE | MSIX_MASK_ALL) << 16);
    pci_set32(d, d->cap_msix + 4, table | bar);
    pci_set32(d, d->cap_msix + 8, pba | bar);
    pci_msix_clear(d);
    mem_region_init_io(&d->msix_table_mr, mem, "msix-table", d->msix_bytes, &table_ops, d, d->dev.mutex);
    mem_region_init_io(&d->msix_pba_mr, mem, "msix-pba", d->msix_pba_bytes, &pba_ops, d, d->dev.mutex);
    mem_region_add(in, table, &d->msix_table_mr);
    mem_region_add(in, pba, &d->msix_pba_mr);
}

void pci_add_msix_bar(PciDevice *d, uint16_t offset, unsigned vectors, unsigned bar)
{
    uint32_t pba = vectors * MSIX_ENTRY <= 0x800 ? 0x800 : (uint32_t)pow2_ceil(vectors * MSIX_ENTRY);

    mem_region_init(&d->msix_bar, d->dev.machine->mem, "msix", pba == 0x800 ? 0x1000 : 2 * pba);
    pci_add_msix(d, offset, vectors, bar, &d->msix_bar, 0, pba);
    pci_add_bar(d, bar, PCI_BAR_MEM32, &d->msix_bar);
}
