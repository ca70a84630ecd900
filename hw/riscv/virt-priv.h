/* SPDX-License-Identifier: MIT */
/* What the files of the RISC-V `virt` board share. */
#ifndef HW_RISCV_VIRT_PRIV_H
#define HW_RISCV_VIRT_PRIV_H

#include "hw/core/dt.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include "hw/riscv/boot.h"

enum { RVIRT_VIRTIO_SLOTS = 8, RVIRT_SOURCES = 96, RVIRT_TIMEBASE = 10000000, RVIRT_UART_CLOCK = 3686400 };
/* Sources of the PLIC. */
enum { RVIRT_SRC_VIRTIO = 1, RVIRT_SRC_UART = 10, RVIRT_SRC_RTC = 11, RVIRT_SRC_PCIE = 32 };

typedef enum {
    RVIRT_ROM, RVIRT_TEST, RVIRT_RTC, RVIRT_CLINT, RVIRT_SSWI, RVIRT_PCIE_PIO, RVIRT_PLATFORM, RVIRT_PLIC, RVIRT_UART, RVIRT_VIRTIO, RVIRT_FW_CFG,
    RVIRT_FLASH, RVIRT_PCIE_ECAM, RVIRT_PCIE_MMIO, RVIRT_RAM, RVIRT_PCIE_MMIO_HIGH, RVIRT_AREAS
} RvirtArea;

typedef struct RvirtMap { paddr base; uint64_t size; } RvirtMap;
enum { RVIRT_AIA_NONE, RVIRT_AIA_APLIC, RVIRT_AIA_APLIC_IMSIC };

typedef struct RvirtMachine {
    Machine m;
    /* properties */
    bool aclint, usb;
    uint32_t aia, aia_guests, acpi;
    char *kernel, *initrd, *append, *dtb, *firmware, *dt_compatible, *dumpdtb;
    /* built */
    RvirtMap map[RVIRT_AREAS];
    MemRegion ram, rom;
    Device *plic, *fw_cfg, *flash[2], *host, *window[RVIRT_VIRTIO_SLOTS];
    RvBoot boot;
    Dt *dt;
    uint32_t ph_plic;
} RvirtMachine;

static inline RvirtMachine *rvirt(Machine *m)
{
    return (RvirtMachine *)m;
}

void rvirt_make_tree(RvirtMachine *v);          /* everything but /chosen's boot properties */

#endif
