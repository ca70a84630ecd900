/* SPDX-License-Identifier: MIT */
/*
 * PCI and PCI Express: configuration space, base address registers, bridges,
 * interrupts (INTx, MSI, MSI-X).  PCI Local Bus 3.0, PCI-to-PCI Bridge 1.2,
 * PCI Express Base 3.0.
 *
 * A PCI device's struct begins with a PciDevice and its type has .bus = "PCI"
 * and .base = &pci_device_base (or a base on top of it).  In realize it calls
 * pci_set_ids(), adds capabilities and registers its BARs; what configuration
 * space holds when realize is over is what every reset brings back.
 *
 * Configuration space is bytes with three masks: writable, write-one-to-clear,
 * and read-only for the rest.  A write goes through the masks; then this file
 * looks at what it touched (BARs, command, bridge windows, MSI) and the
 * device's config_written() hears of it.
 *
 * Locks.  An access to configuration space takes the device's lock, as one to
 * its BARs does.  Interrupt functions are called with it held.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include "hw/core/device.h"
#include "hw/pci/regs.h"

typedef struct PciDevice PciDevice;
typedef struct PciBus PciBus;
typedef struct PciHost PciHost;

enum { PCI_BARS = 6, PCI_ROM = 6, PCI_REGIONS = 7, PCI_PINS = 4, PCI_CONFIG_SIZE = 256, PCIE_CONFIG_SIZE = 4096 };

typedef struct PciBar {
    uint64_t size;              /* 0: not there */
    uint8_t type;               /* PCI_BAR_IO, or PCI_BAR_MEM64 | PCI_BAR_PREFETCH */
    MemRegion *region;
    uint64_t addr;              /* where it is mapped now */
    bool mapped;
} PciBar;

typedef struct PciIds {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_code;        /* base, sub, interface: 0x020000 */
    uint8_t revision;
    uint8_t pin;                /* 0: none; 1: INTA */
} PciIds;

struct PciDevice {
    Device dev;
    PciBus *bus;                /* while plugged */
    uint8_t devfn;
    bool is_bridge, express;
    /* properties */
    int32_t addr;               /* slot << 3 | function; -1: any */
    bool multifunction;
    char *romfile;
    uint32_t rombar, acpi_index;
    /* configuration space */
    uint32_t config_size;
    uint8_t *config, *wmask, *w1c, *config_reset;
    uint16_t next_cap, last_cap, last_ext_cap;
    PciBar bar[PCI_REGIONS];
    MemRegion rom;
    RamBlock *rom_block;
    uint8_t intx;               /* our pin's level, before the command register's say */
    /* capabilities; offset 0: none */
    uint16_t cap_msi, cap_msix, cap_exp, cap_pm;
    uint32_t msix_vectors, msix_bytes, msix_pba_bytes;
    uint8_t *msix_table, *msix_pba;
    MemRegion msix_table_mr, msix_pba_mr;
    MemRegion msix_bar;         /* pci_msix_init_bar */
    /* hooks, set in realize; the device's lock is held */
    void (*config_written)(PciDevice *d, unsigned offset, unsigned len);
    uint32_t (*config_read)(PciDevice *d, unsigned offset, unsigned len, uint32_t val);
    void (*msix_changed)(PciDevice *d);                 /* enable, mask or a vector's mask */
};

extern const DeviceBase pci_device_base;

static inline PciDevice *pci_device(Device *dev)
{
    return (PciDevice *)dev;
}

/* ---- in realize ---- */
void pci_set_ids(PciDevice *d, const PciIds *ids);
void pci_set8(PciDevice *d, unsigned offset, uint8_t v);
void pci_set16(PciDevice *d, unsigned offset, uint16_t v);
void pci_set32(PciDevice *d, unsigned offset, uint32_t v);
void pci_writable(PciDevice *d, unsigned offset, uint32_t mask);        /* 32 bits from offset */
/* A capability of `size` bytes; offset 0: the next free place.  Returns where it is. */
uint16_t pci_add_cap(PciDevice *d, uint8_t id, uint16_t offset, uint16_t size);
uint16_t pci_add_ext_cap(PciDevice *d, uint16_t id, uint8_t version, uint16_t offset, uint16_t size);
/* size is a power of two; the region belongs to the device. */
void pci_add_bar(PciDevice *d, unsigned n, uint8_t type, MemRegion *region);
/* A base above this one that is only done in its realize_late calls this at the end: what reset brings back. */
void pci_config_done(PciDevice *d);
bool pci_is_express_bus(const PciDevice *d);            /* behind a root port or on a root complex */
bool pci_is_root_bus(const PciDevice *d);

void pci_add_pm(PciDevice *d, uint16_t offset);
void pci_add_express(PciDevice *d, uint16_t offset, uint8_t port_type);
void pci_add_msi(PciDevice *d, uint16_t offset, unsigned vectors_log2, bool is64, bool maskable);
/* Table and pending bits inside a BAR that the device has. */
void pci_add_msix(PciDevice *d, uint16_t offset, unsigned vectors, unsigned bar, MemRegion *in, uint32_t table, uint32_t pba);
/* A BAR of its own: 4 KiB, table at 0, pending bits at 0x800 (more when there are more than 128 vectors). */
void pci_add_msix_bar(PciDevice *d, uint16_t offset, unsigned vectors, unsigned bar);

static inline uint16_t pci_get16(const PciDevice *d, unsigned offset)
{
    return (uint16_t)(d->config[offset] | d->config[offset + 1] << 8);
}

static inline uint32_t pci_get32(const PciDevice *d, unsigned offset)
{
    return pci_get16(d, offset) | (uint32_t)pci_get16(d, offset + 2) << 16;
}

/* ---- running; device lock held ---- */
void pci_set_intx(PciDevice *d, int level);
bool pci_msi_enabled(const PciDevice *d);
void pci_msi_notify(PciDevice *d, unsigned vector);
bool pci_msix_enabled(const PciDevice *d);
void pci_msix_notify(PciDevice *d, unsigned vector);
bool pci_msix_masked(const PciDevice *d, unsigned vector);
MemAttrs pci_attrs(const PciDevice *d);                 /* for DMA: the requester id */
bool pci_bus_master(const PciDevice *d);

/* ---- configuration access, by host bridges; takes the device's lock ---- */
uint32_t pci_config_read(PciDevice *d, unsigned offset, unsigned len);
void pci_config_write(PciDevice *d, unsigned offset, uint32_t val, unsigned len);

/* ---- buses ---- */
struct PciBus {
    Bus bus;
    PciHost *host;
    PciDevice *bridge;          /* NULL: the root */
    PciDevice *slots[256];      /* by devfn */
    MemRegion *mem, *io;        /* address spaces behind it */
    bool express;
    uint8_t slot_min, slot_max; /* of automatic placement */
};

void pci_bus_init(PciBus *b, PciHost *host, PciDevice *bridge, Device *parent, const char *name, bool express, MemRegion *mem, MemRegion *io);
uint8_t pci_bus_number(const PciBus *b);
/* Walks bridges; NULL: nobody there. */
PciDevice *pci_find(PciBus *root, uint8_t bus, uint8_t devfn);
static inline PciBus *pci_bus(Bus *bus)
{
    return (PciBus *)bus;
}
extern const BusType pci_bus_type;

/* ---- hosts: what a board's bridge to PCI gives; its struct begins with it ---- */
struct PciHost {
    Device dev;
    PciBus root;
    MemRegion mem, io;          /* PCI's own memory and port space */
    pthread_mutex_t intx_lock;  /* leaf */
    int32_t intx_count[PCI_PINS];   /* devices that pull a root pin */
    GSList *windows;            /* MemRegion aliases in the board's map */
    /* Root pin after swizzling has changed; NULL: dev.irq[pin] */
    void (*set_intx)(PciHost *h, unsigned pin, int level);
};

void pci_host_init(PciHost *h, const char *bus_name, bool express);
void pci_host_fini(PciHost *h);
/* A window: PCI memory [pci, +size) at `at` of a board's region; the same for ports.  The board takes `in` apart only after the host is gone. */
void pci_host_map_mem(PciHost *h, MemRegion *in, paddr at, uint64_t pci, uint64_t size);
void pci_host_map_io(PciHost *h, MemRegion *in, paddr at, uint64_t size);
/* ECAM decoding of an offset (PCIe base 7.2.2). */
extern const MemOps pci_ecam_ops;       /* opaque: the PciHost */

#endif
