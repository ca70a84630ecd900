/* SPDX-License-Identifier: MIT */
/* Configuration space: bytes and masks, base address registers, capabilities. */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bits.h"
#include "util/log.h"

void pci_set8(PciDevice *d, unsigned offset, uint8_t v)
{
    assert(offset < d->config_size);
    d->config[offset] = v;
}

void pci_set16(PciDevice *d, unsigned offset, uint16_t v)
{
    pci_set8(d, offset, (uint8_t)v);
    pci_set8(d, offset + 1, v >> 8);
}

void pci_set32(PciDevice *d, unsigned offset, uint32_t v)
{
    pci_set16(d, offset, (uint16_t)v);
    pci_set16(d, offset + 2, v >> 16);
}

static void mask_bytes(uint8_t *mask, unsigned offset, uint32_t bits)
{
    for (unsigned i = 0; i < 4; i++) {
        mask[offset + i] = (uint8_t)(bits >> 8 * i);
    }
}

void pci_writable(PciDevice *d, unsigned offset, uint32_t mask)
{
    assert(offset + 4 <= d->config_size);
    mask_bytes(d->wmask, offset, mask);
}

void pci_set_ids(PciDevice *d, const PciIds *ids)
{
    pci_set16(d, PCI_VENDOR_ID, ids->vendor);
    pci_set16(d, PCI_DEVICE_ID, ids->device);
    pci_set8(d, PCI_REVISION, ids->revision);
    pci_set8(d, PCI_CLASS_PROG, (uint8_t)ids->class_code);
    pci_set16(d, PCI_CLASS_PROG + 1, ids->class_code >> 8);
    pci_set8(d, PCI_INT_PIN, ids->pin);
    if (!d->is_bridge) {
        pci_set16(d, PCI_SUBVENDOR, ids->subvendor);
        pci_set16(d, PCI_SUBDEVICE, ids->subdevice);
    }
}

/* ---- capabilities ---- */

uint16_t pci_add_cap(PciDevice *d, uint8_t id, uint16_t offset, uint16_t size)
{
    offset = offset ? offset : d->next_cap;
    assert(offset >= 0x40 && offset + size <= PCI_CONFIG_SIZE && !(offset & 3));
    d->next_cap = MAX(d->next_cap, ALIGN_UP(offset + size, 4));
    pci_set8(d, offset, id);
    pci_set8(d, offset + 1, d->config[PCI_CAP_PTR]);    /* newest first, as drivers see it on real boards too */
    pci_set8(d, PCI_CAP_PTR, (uint8_t)offset);
    pci_set16(d, PCI_STATUS, pci_get16(d, PCI_STATUS) | PCI_STATUS_CAPS);
    return offset;
}

uint16_t pci_add_ext_cap(PciDevice *d, uint16_t id, uint8_t version, uint16_t offset, uint16_t size)
{
    assert(offset >= 0x100 && offset + size <= (int)d->config_size);
    if (offset != 0x100) {
        assert(d->last_ext_cap);
        pci_set32(d, d->last_ext_cap, pci_get32(d, d->last_ext_cap) | (uint32_t)offset << 20);
    }
    pci_set32(d, offset, id | (uint32_t)version << 16);
    d->last_ext_cap = offset;
    return offset;
}

void pci_add_pm(PciDevice *d, uint16_t offset)
{
    d->cap_pm = pci_add_cap(d, PCI_CAP_PM, offset, 8);
    pci_set16(d, d->cap_pm + 2, 3);                     /* version 3: PM 1.2 */
    pci_set16(d, d->cap_pm + 4, 8);                     /* no soft reset on D3hot to D0 */
    pci_writable(d, d->cap_pm + 4, 3);                  /* power state */
}

/* PCIe 7.8: version 2, 0x3c bytes. */
void pci_add_express(PciDevice *d, uint16_t offset, uint8_t port_type)
{
    uint16_t cap = pci_add_cap(d, PCI_CAP_EXP, offset, 0x3c);
    bool slot = port_type == PCI_EXP_ROOT_PORT;

    d->cap_exp = cap;
    pci_set16(d, cap + 2, 2 | port_type << 4 | (slot ? 0x100 : 0));
    pci_set32(d, cap + 4, 0x8000);                      /* role-based error reporting; 128-byte payloads */
    pci_writable(d, cap + 8, 0x0000 | 0x7fff);
    mask_bytes(d->w1c, cap + 8, 0x000f0000);
    if (port_type != PCI_EXP_ROOT_ENDPOINT) {
        pci_set32(d, cap + 0x0c, 1 | 1 << 4);           /* 2.5 GT/s, x1 */
        pci_set16(d, cap + 0x12, 1 | 1 << 4);
        pci_writable(d, cap + 0x10, 0x00d3);
    }
    pci_writable(d, cap + 0x28, 0x001f);
}

/* ---- base address registers ---- */

static unsigned bar_offset(const PciDevice *d, unsigned n)
{
    return n != PCI_ROM ? PCI_BAR0 + 4 * n : d->is_bridge ? PCI_BRIDGE_ROM : PCI_ROM_ADDR;
}

void pci_add_bar(PciDevice *d, unsigned n, uint8_t type, MemRegion *region)
{
    PciBar *bar = &d->bar[n];
    unsigned at = bar_offset(d, n);
    uint64_t mask = ~(region->size - 1);

    assert(is_pow2(region->size) && region->size >= 4 && !bar->size);
    *bar = (PciBar){ .size = region->size, .type = type, .region = region };
    if (n == PCI_ROM) {
        pci_writable(d, at, (uint32_t)(mask & ~0x7ffu) | 1);
        return;
    }
    pci_set8(d, at, type);
    pci_writable(d, at, (uint32_t)(type & PCI_BAR_IO ? mask & ~3u : mask & ~0xfu));
    if (type & PCI_BAR_MEM64) {
        pci_writable(d, at + 4, (uint32_t)(mask >> 32));
    }
}

/* Where a BAR decodes now; false: nowhere. */
static bool bar_place(const PciDevice *d, unsigned n, uint64_t *addr)
{
    const PciBar *bar = &d->bar[n];
    unsigned at = bar_offset(d, n);
    uint16_t cmd = pci_get16(d, PCI_COMMAND);
    uint64_t top = bar->type & PCI_BAR_IO ? 0x10000 : bar->type & PCI_BAR_MEM64 ? UINT64_MAX : 1ull << 32;

    if (!bar->size || !(cmd & (bar->type & PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEM))) {
        return false;
    }
    *addr = pci_get32(d, at);
    if (n == PCI_ROM && !(*addr & 1)) {
        return false;
    }
    if (bar->type & PCI_BAR_MEM64) {
        *addr |= (uint64_t)pci_get32(d, at + 4) << 32;
    }
    *addr &= ~(bar->size - 1);
    /* 0 and the very top mean "not assigned": the latter is what sizing leaves for a moment */
    return *addr && *addr < top && bar->size <= top - *addr && *addr + bar->size - 1 != UINT64_MAX;
}

static void bar_update(PciDevice *d, unsigned n)
{
    PciBar *bar = &d->bar[n];
    uint64_t addr = 0;
    bool on = d->bus && bar_place(d, n, &addr);

    if (on == bar->mapped && (!on || addr == bar->addr)) {
        return;
    }
    if (bar->mapped) {
        mem_region_del(bar->region);
    }
    bar->mapped = on;
    bar->addr = addr;
    if (on) {
        mem_region_add_overlap(bar->type & PCI_BAR_IO ? d->bus->io : d->bus->mem, addr, bar->region, 1);
    }
}

void pci_update_bars(PciDevice *d)
{
    mem_topology_begin(d->dev.machine->mem);
    for (unsigned n = 0; n < PCI_REGIONS; n++) {
        if (d->bar[n].size) {
            bar_update(d, n);
        }
    }
    mem_topology_commit(d->dev.machine->mem);
}

void pci_unmap_bars(PciDevice *d)
{
    for (unsigned n = 0; n < PCI_REGIONS; n++) {
        if (d->bar[n].mapped) {
            mem_region_del(d->bar[n].region);
            d->bar[n].mapped = false;
        }
    }
}

/* ---- access ---- */

static bool touches(unsigned offset, unsigned len, unsigned from, unsigned size)
{
    return offset < from + size && from < offset + len;
}

void pci_config_changed(PciDevice *d, unsigned offset, unsigned len)
{
    if (touches(offset, len, PCI_COMMAND, 2) || touches(offset, len, PCI_BAR0, d->is_bridge ? 8 : 24) ||
        touches(offset, len, bar_offset(d, PCI_ROM), 4)) {
        pci_update_bars(d);
    }
    if (touches(offset, len, PCI_COMMAND, 2)) {
        pci_intx_update(d);
    }
    if (d->is_bridge && (touches(offset, len, PCI_COMMAND, 2) || touches(offset, len, PCI_IO_BASE, PCI_BRIDGE_CONTROL + 2 - PCI_IO_BASE))) {
        pci_bridge_update(d);
    }
    if (d->cap_msix && touches(offset, len, d->cap_msix + 2, 2)) {
        pci_msix_update(d);
    }
    if (d->cap_msi && touches(offset, len, d->cap_msi, 0x18)) {
        pci_intx_update(d);
    }
    if (d->config_written) {
        d->config_written(d, offset, len);
    }
}

uint32_t pci_config_read(PciDevice *d, unsigned offset, unsigned len)
{
    uint32_t val = 0;

    if (offset + len > d->config_size) {
        return len == 4 ? ~0u : mask32(0, 8 * len);
    }
    device_lock(&d->dev);
    for (unsigned i = 0; i < len; i++) {
        val |= (uint32_t)d->config[offset + i] << 8 * i;
    }
    if (d->config_read) {
        val = d->config_read(d, offset, len, val);
    }
    device_unlock(&d->dev);
    return val;
}

void pci_config_write(PciDevice *d, unsigned offset, uint32_t val, unsigned len)
{
    if (offset + len > d->config_size) {
        return;
    }
    device_lock(&d->dev);
    for (unsigned i = 0; i < len; i++, val >>= 8) {
        uint8_t *c = &d->config[offset + i], w = d->wmask[offset + i];

        *c = (uint8_t)((*c & ~w) | (val & w));
        *c &= (uint8_t)~(val & d->w1c[offset + i]);
    }
    pci_config_changed(d, offset, len);
    device_unlock(&d->dev);
}
