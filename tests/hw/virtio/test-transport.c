/* SPDX-License-Identifier: MIT */
/* Transports through the simplest device: registers, set-up, kicks, interrupts, lying drivers, save and restore. */
#include <string.h>

#include "hw/core/machine.h"
#include "tests/hw/virtio/guest.h"
#include "util/bits.h"

static const char *const kind_names[] = { "mmio-legacy", "mmio", "pci", "pci-legacy" };

static GuestKind kind_of(gconstpointer data)
{
    return GPOINTER_TO_UINT(data) & 15;
}

static uint64_t want_of(gconstpointer data)
{
    return BIT64(28) | BIT64(29) | (GPOINTER_TO_UINT(data) & 16 ? BIT64(34) : 0);
}

static Guest *rng_guest(gconstpointer data)
{
    static const char *const packed[] = { "packed", "on", NULL };

    return guest_new(kind_of(data), NULL, "virtio-rng", GPOINTER_TO_UINT(data) & 16 ? packed : NULL);
}

static unsigned nonzero(const uint8_t *p, unsigned n)
{
    unsigned count = 0;

    while (n--) {
        count += p[n] != 0;
    }
    return count;
}

/* 200 requests for random bytes, each answered in full, each with an interrupt. */
static void bytes(gconstpointer data)
{
    Guest *g = rng_guest(data);
    DrvSg sg[2];
    uint32_t len;
    uint64_t keep;

    guest_start(g, want_of(data), 1, 8);
    keep = g->mem.next;
    for (int i = 0; i < 200; i++) {
        g->mem.next = keep;
        sg[0] = (DrvSg){ drv_alloc(&g->mem, 100, 1), 100 };
        sg[1] = (DrvSg){ drv_alloc(&g->mem, 28, 1), 28 };
        g_assert_cmpint(drvq_add(g->queues[0], sg, 0, 2), >=, 0);
        g_assert_true(drvq_kick_wanted(g->queues[0]));
        guest_kick(g, 0);
        g_assert_true(guest_irq(g));
        g_assert_cmpint(drvq_used(g->queues[0], &len), >=, 0);
        g_assert_cmpuint(len, ==, 128);
        g_assert_cmpuint(nonzero(drv_ptr(&g->mem, sg[0].addr), 100), >, 80);
        g_assert_false(guest_irq(g));
    }
    guest_free(g);
}

/* Bytes lie there before DRIVER_OK: served when it comes. */
static void early_buffers(gconstpointer data)
{
    Guest *g = rng_guest(data);
    DrvSg sg;
    uint32_t len;

    guest_start(g, want_of(data), 1, 8);
    guest_set_status(g, 0);
    g_assert_cmpuint(guest_status(g), ==, 0);
    guest_start(g, want_of(data), 1, 8);
    sg = (DrvSg){ drv_alloc(&g->mem, 16, 1), 16 };
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_set_status(g, guest_status(g) & ~4);
    g_assert_cmpint(drvq_used(g->queues[0], &len), ==, -1);
    guest_set_status(g, guest_status(g) | 4);
    g_assert_cmpint(drvq_used(g->queues[0], &len), >=, 0);
    guest_free(g);
}

/* A buffer that is not memory: NEEDS_RESET with a configuration interrupt on modern transports, silence until the reset, then all is well. */
static void lying_driver(gconstpointer data)
{
    Guest *g = rng_guest(data);
    bool modern = kind_of(data) == GUEST_MMIO || kind_of(data) == GUEST_PCI;
    DrvSg sg = { 0x20000000, 16 };
    uint32_t len;

    guest_start(g, want_of(data), 1, 8);
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpint(!!(guest_status(g) & 64), ==, modern);
    g_assert_cmpint(guest_irq(g), ==, modern);
    sg = (DrvSg){ drv_alloc(&g->mem, 16, 1), 16 };
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpint(drvq_used(g->queues[0], &len), ==, -1);
    guest_start(g, want_of(data), 1, 8);
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpint(drvq_used(g->queues[0], &len), >=, 0);
    guest_free(g);
}

/* In the middle of traffic: saved, loaded into another machine with the same RAM, it goes on there. */
static void migrate(gconstpointer data)
{
    Guest *a = rng_guest(data), *b = rng_guest(data);
    StateWriter *w = state_writer_new(), *w2 = state_writer_new();
    const uint8_t *saved, *again;
    StateReader *r;
    size_t len, len2;
    Error *err = NULL;
    DrvSg sg;
    uint32_t n;

    guest_start(a, want_of(data), 1, 8);
    for (int i = 0; i < 5; i++) {
        sg = (DrvSg){ drv_alloc(&a->mem, 16, 1), 16 };
        drvq_add(a->queues[0], &sg, 0, 1);
        if (i < 4) {
            guest_kick(a, 0);
            drvq_used(a->queues[0], &n);
        }
    }
    device_save(&a->vd->dev, w);
    saved = state_writer_data(w, &len);
    r = state_reader_new(saved, len);
    g_assert_true(device_load(&b->vd->dev, r, &err));
    state_reader_free(r);
    device_save(&b->vd->dev, w2);
    again = state_writer_data(w2, &len2);
    g_assert_cmpmem(saved, len, again, len2);
    memcpy(b->mem.host, a->mem.host, a->mem.size);
    a->queues[0]->m = &b->mem;
    guest_kick(b, 0);
    g_assert_cmpint(drvq_used(a->queues[0], &n), >=, 0);
    g_assert_cmpuint(n, ==, 16);
    state_writer_free(w);
    state_writer_free(w2);
    guest_free(a);
    guest_free(b);
}

static void reset_equal(gconstpointer data)
{
    Guest *g = rng_guest(data);
    uint64_t fresh;
    DrvSg sg;

    machine_reset(g->m, CAUSE_HOST_RESET);
    fresh = device_digest(&g->vd->dev);
    guest_assign(g);
    guest_start(g, want_of(data), 1, 8);
    sg = (DrvSg){ drv_alloc(&g->mem, 16, 1), 16 };
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpuint(device_digest(&g->vd->dev), !=, fresh);
    machine_reset(g->m, CAUSE_HOST_RESET);
    g_assert_cmpuint(device_digest(&g->vd->dev), ==, fresh);
    g_assert_false(guest_irq(g));
    guest_free(g);
}

/* Any register, any value, any order; the device answers or complains, and works again after a reset. */
static void random_traffic(gconstpointer data)
{
    Guest *g = rng_guest(data);
    g_autoptr(GRand) r = g_rand_new_with_seed(7);
    DrvSg sg = { drv_alloc(&g->mem, 16, 1), 16 };
    uint64_t base[4] = { GUEST_WINDOW, 0, 0, 0 }, span = 0x200;
    uint32_t len;

    if (g->kind >= GUEST_PCI) {
        base[0] = GUEST_MEM32 + (4 << 20);
        base[1] = GUEST_ECAM + (8 << 12);
        base[2] = g->io;
        base[3] = GUEST_MEM32 + (1 << 20);
        span = 0x4000;
    }
    for (int i = 0; i < 30000; i++) {
        uint64_t at = base[g->kind >= GUEST_PCI ? g_rand_int_range(r, 0, 4) : 0];
        unsigned size = 1u << g_rand_int_range(r, 0, 4);

        at += (at == base[1] || at == base[3] ? g_rand_int(r) % 0x1000 : at == base[2] ? g_rand_int(r) % 32 : g_rand_int(r) % span) & ~(uint64_t)(size - 1);
        if (g->kind >= GUEST_PCI && g_rand_boolean(r) && at >= base[0] && at < base[0] + span) {
            at = base[0] + (at & 0x3f);                 /* where it matters */
        }
        if (g_rand_boolean(r)) {
            guest_wr(g, at, size, g_rand_boolean(r) ? g_rand_int(r) & 0x1f : g_rand_int(r));
        } else {
            guest_rd(g, at, size);
        }
    }
    machine_reset(g->m, CAUSE_HOST_RESET);
    guest_assign(g);
    guest_start(g, want_of(data), 1, 8);
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpint(drvq_used(g->queues[0], &len), >=, 0);
    guest_free(g);
}

static void mmio_identity(void)
{
    Guest *g = guest_new(GUEST_MMIO_LEGACY, NULL, "virtio-rng", NULL);

    g_assert_cmphex(guest_rd(g, GUEST_WINDOW, 4), ==, 0x74726976);
    g_assert_cmphex(guest_rd(g, GUEST_WINDOW + 4, 4), ==, 1);
    g_assert_cmphex(guest_rd(g, GUEST_WINDOW + 8, 4), ==, 4);
    g_assert_cmphex(guest_rd(g, GUEST_WINDOW + 12, 4), ==, 0x554d4551);
    guest_free(g);
    g = guest_new(GUEST_MMIO, NULL, "virtio-rng", NULL);
    g_assert_cmphex(guest_rd(g, GUEST_WINDOW + 4, 4), ==, 2);
    guest_set_status(g, 3);
    guest_set_status(g, 11);                            /* without VERSION_1 */
    g_assert_cmphex(guest_status(g), ==, 3);
    guest_free(g);
}

/* As recorded from a machine that people use: ids, BARs and capabilities of a transitional function. */
static void pci_identity(void)
{
    Guest *g = guest_new(GUEST_PCI, NULL, "virtio-rng", NULL);
    static const uint8_t caps[] = { 0x98, 0x84, 0x70, 0x60, 0x50, 0x40, 0 };
    unsigned cap = guest_pci_rd(g, 8, PCI_CAP_PTR, 1);

    g_assert_cmphex(guest_pci_rd(g, 0, 0, 4), ==, 0x00081b36);
    g_assert_cmphex(guest_pci_rd(g, 0, 0x2c, 4), ==, 0x11001af4);
    g_assert_cmphex(guest_pci_rd(g, 16, 0, 4), ==, ~0u);
    g_assert_cmphex(guest_pci_rd(g, 8, 0, 4), ==, 0x10051af4);
    g_assert_cmphex(guest_pci_rd(g, 8, 0x2c, 4), ==, 0x00041af4);
    g_assert_cmphex(guest_pci_rd(g, 8, 8, 4), ==, 0x00ff0000);
    for (unsigned i = 0; i < ARRAY_SIZE(caps); i++, cap = guest_pci_rd(g, 8, cap + 1, 1)) {
        g_assert_cmphex(cap, ==, caps[i]);
        if (!cap) {
            break;
        }
    }
    g_assert_cmphex(guest_pci_rd(g, 8, 0x98, 4), ==, 0x00018411);       /* two vectors */
    g_assert_cmphex(guest_pci_rd(g, 8, 0x9c, 4), ==, 1);
    g_assert_cmphex(guest_pci_rd(g, 8, 0xa0, 4), ==, 0x801);
    guest_pci_wr(g, 8, PCI_COMMAND, 2, 0);
    for (unsigned i = 0; i < 6; i++) {
        static const uint32_t sizes[] = { 0xffffffe1, 0xfffff000, 0, 0, 0xffffc00c, 0xffffffff };

        guest_pci_wr(g, 8, PCI_BAR0 + 4 * i, 4, ~0u);
        g_assert_cmphex(guest_pci_rd(g, 8, PCI_BAR0 + 4 * i, 4), ==, sizes[i]);
    }
    guest_free(g);
}

/* MSI-X: the message goes to the address in the table; a masked vector waits in the pending bits. */
static void pci_msix(void)
{
    Guest *g = guest_new(GUEST_PCI, NULL, "virtio-rng", NULL);
    uint64_t table = GUEST_MEM32 + (1 << 20), doorbell = drv_alloc(&g->mem, 4, 4);
    DrvSg sg = { drv_alloc(&g->mem, 16, 1), 16 };
    uint32_t len;

    guest_pci_wr(g, 8, 0x9a, 2, 0x8000);
    guest_wr(g, table + 16, 8, doorbell);
    guest_wr(g, table + 24, 4, 0x1234);
    guest_start(g, 0, 1, 8);
    guest_wr(g, g->common + 0x16, 2, 0);
    guest_wr(g, g->common + 0x1a, 2, 5);
    g_assert_cmphex(guest_rd(g, g->common + 0x1a, 2), ==, 0xffff);      /* no such vector */
    guest_wr(g, g->common + 0x1a, 2, 1);
    g_assert_cmphex(guest_rd(g, g->common + 0x1a, 2), ==, 1);
    drvq_add(g->queues[0], &sg, 0, 1);
    guest_kick(g, 0);
    g_assert_cmpint(drvq_used(g->queues[0], &len), >=, 0);
    g_assert_cmphex(drv_get32(&g->mem, doorbell), ==, 0);               /* masked since reset */
    g_assert_cmphex(guest_rd(g, table + 0x800, 8), ==, 2);
    g_assert_false(guest_irq(g));
    guest_wr(g, table + 28, 4, 0);
    g_assert_cmphex(drv_get32(&g->mem, doorbell), ==, 0x1234);
    g_assert_cmphex(guest_rd(g, table + 0x800, 8), ==, 0);
    guest_free(g);
}

/* Registers through the window in configuration space. */
static void pci_window(void)
{
    Guest *g = guest_new(GUEST_PCI, NULL, "virtio-rng", NULL);

    guest_set_status(g, 3);
    guest_pci_wr(g, 8, 0x84 + 4, 1, 4);
    guest_pci_wr(g, 8, 0x84 + 8, 4, 0x14);
    guest_pci_wr(g, 8, 0x84 + 12, 4, 1);
    g_assert_cmphex(guest_pci_rd(g, 8, 0x84 + 16, 1), ==, 3);
    guest_pci_wr(g, 8, 0x84 + 16, 1, 0);
    g_assert_cmphex(guest_status(g), ==, 0);
    guest_free(g);
}

static void add(const char *name, GTestDataFunc fn)
{
    for (unsigned k = 0; k < 4; k++) {
        g_autofree char *path = g_strdup_printf("/virtio/%s/%s", name, kind_names[k]);

        g_test_add_data_func(path, GUINT_TO_POINTER(k), fn);
        if (k == GUEST_MMIO || k == GUEST_PCI) {
            g_autofree char *packed = g_strconcat(path, "-packed", NULL);

            g_test_add_data_func(packed, GUINT_TO_POINTER(k | 16), fn);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("bytes", bytes);
    add("early", early_buffers);
    add("lying", lying_driver);
    add("migrate", migrate);
    add("reset", reset_equal);
    add("random", random_traffic);
    g_test_add_func("/virtio/identity/mmio", mmio_identity);
    g_test_add_func("/virtio/identity/pci", pci_identity);
    g_test_add_func("/virtio/msix", pci_msix);
    g_test_add_func("/virtio/window", pci_window);
    return g_test_run();
}
