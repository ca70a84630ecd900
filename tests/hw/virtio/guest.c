/* SPDX-License-Identifier: MIT */
#include "tests/hw/virtio/guest.h"

#include <string.h>

#include "tests/hw/bench-machine.h"
#include "util/bits.h"

enum { DEVFN = 8 };

uint64_t guest_rd(Guest *g, uint64_t addr, unsigned size)
{
    return bench_read(g->m, addr, size);
}

void guest_wr(Guest *g, uint64_t addr, unsigned size, uint64_t val)
{
    bench_write(g->m, addr, size, val);
}

uint32_t guest_pci_rd(Guest *g, unsigned devfn, unsigned reg, unsigned size)
{
    return (uint32_t)guest_rd(g, GUEST_ECAM + (devfn << 12) + reg, size);
}

void guest_pci_wr(Guest *g, unsigned devfn, unsigned reg, unsigned size, uint32_t val)
{
    guest_wr(g, GUEST_ECAM + (devfn << 12) + reg, size, val);
}

static Device *must(Device *dev, Error *err)
{
    if (!dev || err) {
        g_error("%s", error_message(err));
    }
    return dev;
}

static void make_transport(Guest *g)
{
    bool mmio = g->kind <= GUEST_MMIO;
    Error *err = NULL;
    Device *t = must(device_new(g->m, mmio ? "virtio-mmio" : "gpex-pcihost", NULL, &err), err);

    if (mmio) {
        device_set_or_die(t, "force-legacy", "%s", g->kind == GUEST_MMIO_LEGACY ? "on" : "off");
    } else {
        device_set_or_die(t, "ecam-size", "1M");
    }
    device_realize(t, NULL, NULL, &err);
    must(t, err);
    device_map(t, 0, &g->m->system_memory, mmio ? GUEST_WINDOW : GUEST_ECAM);
    if (!mmio) {
        pci_host_map_mem((PciHost *)t, &g->m->system_memory, GUEST_MEM32, GUEST_MEM32, 1 << 28);
        pci_host_map_io((PciHost *)t, &g->m->system_memory, GUEST_IO, 0x10000);
    }
    g->transport = t;
}

void guest_assign(Guest *g)
{
    if (g->kind <= GUEST_MMIO) {
        return;
    }
    guest_pci_wr(g, DEVFN, PCI_COMMAND, 2, 0);
    for (unsigned i = 0; i < 6; i++) {
        guest_pci_wr(g, DEVFN, PCI_BAR0 + 4 * i, 4, i == 0 ? 0x1000 : i == 5 ? 0 : GUEST_MEM32 + (i << 20));
    }
    guest_pci_wr(g, DEVFN, PCI_COMMAND, 2, 7);
    for (unsigned cap = guest_pci_rd(g, DEVFN, PCI_CAP_PTR, 1); cap; cap = guest_pci_rd(g, DEVFN, cap + 1, 1)) {
        unsigned type = guest_pci_rd(g, DEVFN, cap + 3, 1), bar = guest_pci_rd(g, DEVFN, cap + 4, 1);
        uint64_t at = GUEST_MEM32 + (bar << 20) + guest_pci_rd(g, DEVFN, cap + 8, 4);

        if (guest_pci_rd(g, DEVFN, cap, 1) != PCI_CAP_VENDOR) {
            continue;
        }
        switch (type) {
        case 1: g->common = at; break;
        case 2: g->notify = at; break;
        case 3: g->isr = at; break;
        case 4: g->device = at; break;
        }
    }
    g->io = GUEST_IO + 0x1000;
}

Guest *guest_new(GuestKind kind, Session *s, const char *driver, const char *const *props)
{
    return guest_new_clock(kind, CLOCK_FROZEN, s, driver, props);
}

Guest *guest_new_clock(GuestKind kind, ClockMode clock, Session *s, const char *driver, const char *const *props)
{
    Guest *g = g_new0(Guest, 1);
    g_autofree char *name = g_strconcat(driver, kind <= GUEST_MMIO ? "-device" : "-pci", NULL);
    Error *err = NULL;
    Device *dev;
    Bus *bus;

    g->kind = kind;
    g->m = bench_open_clock(clock);
    g->m->session = s;
    g->mem = (DrvMem){ ram_block_first(g->m->mem)->host, 0, 1 << 20, 0x1000 };
    make_transport(g);
    dev = must(device_new(g->m, name, NULL, &err), err);
    for (; props && *props; props += 2) {
        device_set_or_die(dev, props[0], "%s", props[1]);
    }
    if (kind == GUEST_PCI_LEGACY) {
        device_set_or_die(dev, "disable-modern", "on");
    }
    if (kind > GUEST_MMIO) {
        device_set_or_die(dev, "addr", "1");
    }
    bus = bus_find(g->m, dev->type->bus, NULL, &err);
    g_assert_nonnull(bus);
    device_realize(dev, bus, NULL, &err);
    must(dev, err);
    g->vd = virtio_device(dev);
    machine_ready(g->m, &err);
    must(dev, err);
    guest_assign(g);
    return g;
}

void guest_free(Guest *g)
{
    for (unsigned i = 0; i < g->nqueues; i++) {
        drvq_free(g->queues[i]);
    }
    machine_close(g->m);
    g_free(g);
}

/* ---- registers by transport ---- */

uint8_t guest_status(Guest *g)
{
    return (uint8_t)(g->kind <= GUEST_MMIO ? guest_rd(g, GUEST_WINDOW + 0x70, 4) : g->kind == GUEST_PCI ? guest_rd(g, g->common + 0x14, 1) :
                     guest_rd(g, g->io + 18, 1));
}

void guest_set_status(Guest *g, uint8_t v)
{
    if (g->kind <= GUEST_MMIO) {
        guest_wr(g, GUEST_WINDOW + 0x70, 4, v);
    } else if (g->kind == GUEST_PCI) {
        guest_wr(g, g->common + 0x14, 1, v);
    } else {
        guest_wr(g, g->io + 18, 1, v);
    }
}

static uint32_t offered_word(Guest *g, unsigned sel)
{
    if (g->kind <= GUEST_MMIO) {
        guest_wr(g, GUEST_WINDOW + 0x14, 4, sel);
        return (uint32_t)guest_rd(g, GUEST_WINDOW + 0x10, 4);
    }
    if (g->kind == GUEST_PCI) {
        guest_wr(g, g->common, 4, sel);
        return (uint32_t)guest_rd(g, g->common + 4, 4);
    }
    return sel ? 0 : (uint32_t)guest_rd(g, g->io, 4);
}

uint64_t guest_offered(Guest *g)
{
    return offered_word(g, 0) | (uint64_t)offered_word(g, 1) << 32;
}

static void accept_word(Guest *g, unsigned sel, uint32_t val)
{
    if (g->kind <= GUEST_MMIO) {
        guest_wr(g, GUEST_WINDOW + 0x24, 4, sel);
        guest_wr(g, GUEST_WINDOW + 0x20, 4, val);
    } else if (g->kind == GUEST_PCI) {
        guest_wr(g, g->common + 8, 4, sel);
        guest_wr(g, g->common + 12, 4, val);
    } else if (!sel) {
        guest_wr(g, g->io + 4, 4, val);
    }
}

uint64_t guest_config(Guest *g, unsigned offset, unsigned size)
{
    return guest_rd(g, (g->kind <= GUEST_MMIO ? GUEST_WINDOW + 0x100 : g->kind == GUEST_PCI ? g->device : g->io + 20) + offset, size);
}

void guest_config_write(Guest *g, unsigned offset, unsigned size, uint64_t val)
{
    guest_wr(g, (g->kind <= GUEST_MMIO ? GUEST_WINDOW + 0x100 : g->kind == GUEST_PCI ? g->device : g->io + 20) + offset, size, val);
}

void guest_kick(Guest *g, unsigned queue)
{
    if (g->kind <= GUEST_MMIO) {
        guest_wr(g, GUEST_WINDOW + 0x50, 4, queue);
    } else if (g->kind == GUEST_PCI) {
        guest_wr(g, g->notify + 4 * queue, 2, queue);
    } else {
        guest_wr(g, g->io + 16, 2, queue);
    }
}

bool guest_irq(Guest *g)
{
    bool mmio = g->kind <= GUEST_MMIO;
    int level = __atomic_load_n(&g->transport->irq[mmio ? 0 : (DEVFN >> 3) % 4].level, __ATOMIC_ACQUIRE);
    uint32_t isr;

    if (!level) {
        return false;
    }
    if (mmio) {
        isr = (uint32_t)guest_rd(g, GUEST_WINDOW + 0x60, 4);
        guest_wr(g, GUEST_WINDOW + 0x64, 4, isr);
        g_assert_cmpint(g->transport->irq[0].level, ==, 0);
    } else {
        isr = (uint32_t)guest_rd(g, g->kind == GUEST_PCI ? g->isr : g->io + 19, 1);
        g_assert_cmpint(g->transport->irq[(DEVFN >> 3) % 4].level, ==, 0);
    }
    g_assert_cmpuint(isr, !=, 0);
    g->irqs++;
    return true;
}

/* ---- set-up ---- */

static uint16_t queue_max(Guest *g, unsigned i)
{
    if (g->kind <= GUEST_MMIO) {
        guest_wr(g, GUEST_WINDOW + 0x30, 4, i);
        return (uint16_t)guest_rd(g, GUEST_WINDOW + 0x34, 4);
    }
    if (g->kind == GUEST_PCI) {
        guest_wr(g, g->common + 0x16, 2, i);
        return (uint16_t)guest_rd(g, g->common + 0x18, 2);
    }
    guest_wr(g, g->io + 14, 2, i);
    return (uint16_t)guest_rd(g, g->io + 12, 2);
}

static void place64(Guest *g, uint64_t reg, uint64_t val)
{
    guest_wr(g, reg, 4, (uint32_t)val);
    guest_wr(g, reg + 4, 4, val >> 32);
}

static void queue_place(Guest *g, DrvQueue *q)
{
    switch (g->kind) {
    case GUEST_MMIO_LEGACY:
        guest_wr(g, GUEST_WINDOW + 0x38, 4, q->num);
        guest_wr(g, GUEST_WINDOW + 0x3c, 4, 4096);
        guest_wr(g, GUEST_WINDOW + 0x40, 4, q->desc >> 12);
        break;
    case GUEST_MMIO:
        guest_wr(g, GUEST_WINDOW + 0x38, 4, q->num);
        place64(g, GUEST_WINDOW + 0x80, q->desc);
        place64(g, GUEST_WINDOW + 0x90, q->avail);
        place64(g, GUEST_WINDOW + 0xa0, q->used);
        guest_wr(g, GUEST_WINDOW + 0x44, 4, 1);
        break;
    case GUEST_PCI:
        guest_wr(g, g->common + 0x18, 2, q->num);
        place64(g, g->common + 0x20, q->desc);
        place64(g, g->common + 0x28, q->avail);
        place64(g, g->common + 0x30, q->used);
        guest_wr(g, g->common + 0x1c, 2, 1);
        break;
    case GUEST_PCI_LEGACY:
        guest_wr(g, g->io + 8, 4, q->desc >> 12);
        break;
    }
}

void guest_start(Guest *g, uint64_t want, unsigned nqueues, uint16_t size)
{
    bool legacy = g->kind == GUEST_MMIO_LEGACY || g->kind == GUEST_PCI_LEGACY;

    if (g->kind == GUEST_MMIO_LEGACY) {
        guest_wr(g, GUEST_WINDOW + 0x28, 4, 4096);      /* in front of the reset, as drivers do it */
    }
    guest_set_status(g, 0);
    g_assert_cmpuint(guest_status(g), ==, 0);
    guest_set_status(g, 1);
    guest_set_status(g, 3);
    g->features = guest_offered(g) & (want | (legacy ? 0 : BIT64(32)));
    accept_word(g, 0, (uint32_t)g->features);
    accept_word(g, 1, g->features >> 32);
    if (!legacy) {
        guest_set_status(g, 11);
        g_assert_cmpuint(guest_status(g), ==, 11);
    }
    for (unsigned i = 0; i < g->nqueues; i++) {
        drvq_free(g->queues[i]);
    }
    g->nqueues = nqueues;
    for (unsigned i = 0; i < nqueues; i++) {
        uint16_t num = queue_max(g, i);

        num = size && g->kind != GUEST_PCI_LEGACY ? MIN(size, num) : num;
        g_assert_cmpuint(num, >, 0);
        g->queues[i] = drvq_new(&g->mem, num, g->features >> 34 & 1, g->features >> 29 & 1, g->features >> 28 & 1, legacy);
        queue_place(g, g->queues[i]);
    }
    guest_set_status(g, legacy ? 7 : 15);
}
