/* SPDX-License-Identifier: MIT */
/* What the files of the `virt` board share. */
#ifndef HW_ARM_VIRT_PRIV_H
#define HW_ARM_VIRT_PRIV_H

#include "hw/arm/boot.h"
#include "hw/arm/psci.h"
#include "hw/core/dt.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"

enum { VIRT_SPIS = 256, VIRT_VIRTIO_SLOTS = 32 };
/* SPI numbers. */
enum {
    VIRT_SPI_UART = 1, VIRT_SPI_RTC = 2, VIRT_SPI_PCIE = 3, VIRT_SPI_GPIO = 7, VIRT_SPI_VIRTIO = 16, VIRT_SPI_V2M = 48, VIRT_V2M_SPIS = 64,
};

typedef enum {
    VIRT_FLASH, VIRT_GIC_DIST, VIRT_GIC_CPU, VIRT_GIC_V2M, VIRT_GIC_ITS, VIRT_GIC_REDIST, VIRT_UART, VIRT_RTC, VIRT_FW_CFG, VIRT_GPIO,
    VIRT_VIRTIO, VIRT_PLATFORM, VIRT_PCIE_MMIO, VIRT_PCIE_PIO, VIRT_PCIE_ECAM_LOW, VIRT_RAM, VIRT_GIC_REDIST2, VIRT_PCIE_ECAM_HIGH,
    VIRT_PCIE_MMIO_HIGH, VIRT_AREAS
} VirtArea;

typedef struct VirtMap { paddr base; uint64_t size; } VirtMap;

enum { GIC_VERSION_2, GIC_VERSION_3, GIC_VERSION_4, GIC_VERSION_HOST, GIC_VERSION_MAX };
enum { VIRT_IOMMU_NONE, VIRT_IOMMU_SMMUV3 };

typedef struct VirtMachine {
    Machine m;
    /* properties */
    bool secure, virtualization, highmem, its, dtb_randomness, mte, ras, usb;
    uint32_t gic_version, iommu, acpi;
    char *kernel, *initrd, *append, *dtb, *firmware, *dt_compatible, *dumpdtb;
    /* built */
    VirtMap map[VIRT_AREAS];
    MemRegion ram, redist_low, redist_high;
    Device *gic, *its_dev, *gpio, *key, *fw_cfg, *flash[2];
    Device *host;               /* PCI */
    Device *window[VIRT_VIRTIO_SLOTS];
    Psci psci;
    ArmBoot boot;
    Dt *dt;
    uint32_t ph_gic, ph_msi, ph_clock, ph_gpio;
} VirtMachine;

static inline VirtMachine *virt(Machine *m)
{
    return (VirtMachine *)m;
}

bool virt_gic3(const VirtMachine *v);
bool virt_has_msi(const VirtMachine *v);
uint64_t virt_affinity(const VirtMachine *v, unsigned cpu);
void virt_layout(VirtMachine *v);                           /* fills map */
void virt_make_tree(VirtMachine *v);                        /* everything but /chosen's boot properties */

#endif
