/* SPDX-License-Identifier: MIT */
/* Where things lie on `virt`: what firmware and kernels built for this board expect. */
#include "hw/arm/virt-priv.h"

#include "util/bits.h"
#include "util/size.h"

static const VirtMap fixed[VIRT_AREAS] = {
    [VIRT_FLASH]         = { 0x00000000, 0x08000000 },      /* two banks */
    [VIRT_GIC_DIST]      = { 0x08000000, 0x00010000 },
    [VIRT_GIC_CPU]       = { 0x08010000, 0x00010000 },
    [VIRT_GIC_V2M]       = { 0x08020000, 0x00001000 },
    [VIRT_GIC_ITS]       = { 0x08080000, 0x00020000 },
    [VIRT_GIC_REDIST]    = { 0x080a0000, 0x00f60000 },      /* 123 processors */
    [VIRT_UART]          = { 0x09000000, 0x00001000 },
    [VIRT_RTC]           = { 0x09010000, 0x00001000 },
    [VIRT_FW_CFG]        = { 0x09020000, 0x00000018 },
    [VIRT_GPIO]          = { 0x09030000, 0x00001000 },
    [VIRT_VIRTIO]        = { 0x0a000000, 0x00000200 },      /* each */
    [VIRT_PLATFORM]      = { 0x0c000000, 0x02000000 },
    [VIRT_PCIE_MMIO]     = { 0x10000000, 0x2eff0000 },
    [VIRT_PCIE_PIO]      = { 0x3eff0000, 0x00010000 },
    [VIRT_PCIE_ECAM_LOW] = { 0x3f000000, 0x01000000 },
    [VIRT_RAM]           = { 0x40000000, 0 },
};

/* From 256 GiB, or from the end of RAM: each aligned to its own size. */
void virt_layout(VirtMachine *v)
{
    static const struct { VirtArea area; uint64_t size; } high[] = {
        { VIRT_GIC_REDIST2, 64 * MiB }, { VIRT_PCIE_ECAM_HIGH, 256 * MiB }, { VIRT_PCIE_MMIO_HIGH, 512 * GiB },
    };
    paddr at;

    for (unsigned i = 0; i < VIRT_AREAS; i++) {
        v->map[i] = fixed[i];
    }
    v->map[VIRT_RAM].size = v->m.ram_size;
    at = MAX(256 * GiB, ALIGN_UP(v->map[VIRT_RAM].base + v->m.ram_size, 1 * GiB));
    for (unsigned i = 0; i < ARRAY_SIZE(high); i++) {
        at = ALIGN_UP(at, high[i].size);
        v->map[high[i].area] = (VirtMap){ at, high[i].size };
        at += high[i].size;
    }
}
