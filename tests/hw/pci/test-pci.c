/* SPDX-License-Identifier: MIT */
/* PCI: bus numbers, bridge windows, a function behind a root port, pins through bridges, hostile configuration traffic. */
#include <string.h>

#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include "tests/hw/bench-machine.h"
#include "util/bits.h"

enum { ECAM = 0x70000000, MEM = 0x50000000, IO = 0x40000000 };

typedef struct Pci {
    Machine *m;
    Device *host, *port, *fn;
} Pci;

static Device *make(Machine *m, const char *type, const char *id, const char *bus, const char *addr)
{
    Error *err = NULL;
    Device *dev = device_new(m, type, id, &err);

    if (addr) {
        device_set_or_die(dev, "addr", "%s", addr);
    }
    if (!device_realize(dev, bus_find(m, dev->type->bus, bus, NULL), NULL, &err)) {
        g_error("%s: %s", type, error_message(err));
    }
    return dev;
}

static Pci pci_new(void)
{
    Pci p = { .m = bench_open() };
    Error *err = NULL;

    p.host = device_new(p.m, "gpex-pcihost", NULL, NULL);
    device_set_or_die(p.host, "ecam-size", "16M");
    g_assert_true(device_realize(p.host, NULL, NULL, &err));
    device_map(p.host, 0, &p.m->system_memory, ECAM);
    pci_host_map_mem((PciHost *)p.host, &p.m->system_memory, MEM, MEM, 1 << 28);
    pci_host_map_io((PciHost *)p.host, &p.m->system_memory, IO, 0x10000);
    p.port = make(p.m, "pcie-root-port", "rp", "pcie.0", "3.0");
    p.fn = make(p.m, "virtio-rng-pci", NULL, "rp", NULL);
    g_assert_true(machine_ready(p.m, &err));
    return p;
}

static uint32_t rd(Pci *p, unsigned bus, unsigned devfn, unsigned reg, unsigned size)
{
    return (uint32_t)bench_read(p->m, ECAM + (bus << 20) + (devfn << 12) + reg, size);
}

static void wr(Pci *p, unsigned bus, unsigned devfn, unsigned reg, unsigned size, uint32_t v)
{
    bench_write(p->m, ECAM + (bus << 20) + (devfn << 12) + reg, size, v);
}

enum { PORT = 3 << 3 };

static void open_bridge(Pci *p)
{
    wr(p, 0, PORT, PCI_PRIMARY_BUS, 4, 5 << 16 | 5 << 8);
    wr(p, 0, PORT, PCI_MEM_BASE, 2, 0x5010);
    wr(p, 0, PORT, PCI_MEM_LIMIT, 2, 0x5010);
    wr(p, 0, PORT, PCI_COMMAND, 2, 7);
}

static void behind_a_port(void)
{
    Pci p = pci_new();

    g_assert_cmphex(rd(&p, 0, PORT, 0, 4), ==, 0x000c1b36);
    g_assert_cmphex(rd(&p, 0, PORT, PCI_HEADER_TYPE, 1), ==, 1);
    g_assert_cmphex(rd(&p, 5, 0, 0, 4), ==, ~0u);
    open_bridge(&p);
    g_assert_cmphex(rd(&p, 5, 0, 0, 4), ==, 0x10441af4);            /* modern only */
    g_assert_cmphex(rd(&p, 5, 0, 8, 4), ==, 0x00ff0001);
    g_assert_cmphex(rd(&p, 5, 8, 0, 4), ==, ~0u);
    g_assert_cmphex(rd(&p, 4, 0, 0, 4), ==, ~0u);
    g_assert_cmphex(rd(&p, 5, 0, PCI_CAP_PTR, 1), ==, 0xdc);
    g_assert_cmphex(rd(&p, 5, 0, 0xdc, 2), ==, 0xc811);
    g_assert_cmphex(rd(&p, 5, 0, 0x7c, 1), ==, PCI_CAP_PM);
    g_assert_cmphex(rd(&p, 5, 0, 0x40, 1), ==, PCI_CAP_EXP);
    g_assert_cmphex(rd(&p, 0, PORT, 0x100, 4), ==, 0x14820001);     /* AER, then ACS */
    g_assert_cmphex(rd(&p, 0, PORT, 0x148, 4), ==, 0x0001000d);
    g_assert_cmphex(rd(&p, 0, PORT, 0x54 + 0x1a, 2), ==, 0x40);     /* somebody is in the slot */
    machine_close(p.m);
}

static void windows(void)
{
    Pci p = pci_new();

    open_bridge(&p);
    wr(&p, 5, 0, PCI_BAR0 + 4, 4, 0x50100000);                      /* MSI-X table */
    wr(&p, 5, 0, PCI_COMMAND, 2, 6);
    bench_write(p.m, 0x50100008, 4, 0xabcd);
    g_assert_cmphex(bench_read(p.m, 0x50100008, 4), ==, 0xabcd);
    wr(&p, 0, PORT, PCI_MEM_LIMIT, 2, 0x5000);                      /* closed */
    g_assert_cmphex(bench_read(p.m, 0x50100008, 4), ==, ~0u);
    wr(&p, 0, PORT, PCI_MEM_LIMIT, 2, 0x5020);
    g_assert_cmphex(bench_read(p.m, 0x50100008, 4), ==, 0xabcd);
    wr(&p, 5, 0, PCI_BAR0 + 4, 4, 0x50300000);                      /* outside of the window */
    g_assert_cmphex(bench_read(p.m, 0x50300008, 4), ==, ~0u);
    wr(&p, 5, 0, PCI_BAR0 + 4, 4, 0x50200000);
    g_assert_cmphex(bench_read(p.m, 0x50200008, 4), ==, 0xabcd);
    wr(&p, 0, PORT, PCI_COMMAND, 2, 0);
    g_assert_cmphex(bench_read(p.m, 0x50200008, 4), ==, ~0u);
    machine_close(p.m);
}

/* Slot 3, pin A behind it: root pin (0 + 0 + 3) % 4. */
static void pins(void)
{
    Pci p = pci_new();
    PciDevice *d = pci_device(p.fn);

    open_bridge(&p);
    device_lock(p.fn);
    pci_set_intx(d, 1);
    for (unsigned i = 0; i < PCI_PINS; i++) {
        g_assert_cmpint(p.host->irq[i].level, ==, i == 3);
    }
    device_unlock(p.fn);
    g_assert_true(rd(&p, 5, 0, PCI_STATUS, 2) & PCI_STATUS_INTX);
    wr(&p, 5, 0, PCI_COMMAND, 2, PCI_CMD_INTX_OFF);
    g_assert_cmpint(p.host->irq[3].level, ==, 0);
    wr(&p, 5, 0, PCI_COMMAND, 2, 0);
    g_assert_cmpint(p.host->irq[3].level, ==, 1);
    machine_reset(p.m, CAUSE_HOST_RESET);
    g_assert_cmpint(p.host->irq[3].level, ==, 0);
    machine_close(p.m);
}

static void places(void)
{
    Pci p = pci_new();
    g_autoptr(Error) err = NULL;
    Device *dev = device_new(p.m, "virtio-rng-pci", NULL, NULL);

    device_set_or_die(dev, "addr", "3.0");
    g_assert_false(device_realize(dev, bus_find(p.m, "PCI", "pcie.0", NULL), NULL, &err));
    g_assert_cmpstr(error_message(err), ==, "PCI: slot 3 function 0 not available for virtio-rng-pci, in use by pcie-root-port,id=rp");
    g_clear_pointer(&err, error_free);
    g_assert_false(device_set(dev, "addr", "32", &err));
    device_free(dev);
    machine_close(p.m);
}

static void random_config(void)
{
    Pci p = pci_new();
    g_autoptr(GRand) r = g_rand_new_with_seed(3);
    uint64_t fresh;

    machine_reset(p.m, CAUSE_HOST_RESET);
    fresh = device_digest(p.port);
    for (int i = 0; i < 40000; i++) {
        unsigned size = 1u << g_rand_int_range(r, 0, 3), reg = g_rand_int(r) % (g_rand_boolean(r) ? 0x40 : 0x200) & ~(size - 1);
        unsigned bus = g_rand_boolean(r) ? 0 : (unsigned)g_rand_int_range(r, 0, 16), devfn = g_rand_boolean(r) ? PORT : g_rand_int(r) & 0x1f;

        if (g_rand_boolean(r)) {
            wr(&p, bus, devfn, reg, size, g_rand_boolean(r) ? g_rand_int(r) : (unsigned)g_rand_int_range(r, 0, 16));
        } else {
            rd(&p, bus, devfn, reg, size);
        }
    }
    machine_reset(p.m, CAUSE_HOST_RESET);
    g_assert_true(device_digest(p.port) == fresh);
    open_bridge(&p);
    g_assert_cmphex(rd(&p, 5, 0, 0, 4), ==, 0x10441af4);
    machine_close(p.m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/behind-a-port", behind_a_port);
    g_test_add_func("/pci/windows", windows);
    g_test_add_func("/pci/pins", pins);
    g_test_add_func("/pci/places", places);
    g_test_add_func("/pci/random", random_config);
    return g_test_run();
}
