/* SPDX-License-Identifier: MIT */
/*
 * GICv2m: a frame that turns message interrupts into SPIs (Arm Server Base
 * System Architecture, appendix on GICv2m).  Outputs: one per SPI.
 */
#include "hw/core/device.h"
#include "util/log.h"

typedef struct Gicv2m {
    Device dev;
    uint32_t base_spi, num_spi;
} Gicv2m;

static Gicv2m *gicv2m(Device *dev)
{
    return (Gicv2m *)dev;
}

static uint64_t typer_read(Device *dev, const RegAccess *a)
{
    return (gicv2m(dev)->base_spi + 32) << 16 | gicv2m(dev)->num_spi;
}

static void setspi_written(Device *dev, const RegAccess *a, uint64_t val)
{
    uint64_t n = (val & 0x3ff) - 32 - gicv2m(dev)->base_spi;

    if (n < gicv2m(dev)->num_spi) {
        irq_pulse(&dev->irq[n]);
    } else {
        log_guest("gicv2m: interrupt id %" PRIu64 " is not one of the frame's", val);
    }
}

static const Reg gicv2m_regs[] = {
    REG32V(V2M_MSI_TYPER, 0x008, .ro = ~0u, .read = typer_read),
    REG32V(V2M_MSI_SETSPI_NS, 0x040, .wo = true, .written = setspi_written),
    REG_CONST(V2M_IIDR, 0xfcc, 0x05100000),
    {}
};

static const Prop gicv2m_props[] = {
    PROP_U32("base-spi", Gicv2m, base_spi, 0, .max = 987),
    PROP_U32("num-spi", Gicv2m, num_spi, 64, .min = 1, .max = 128),
    {}
};

static bool gicv2m_realize(Device *dev, Error **errp)
{
    device_set_irqs(dev, gicv2m(dev)->num_spi, 0);
    return true;
}

static const RegBlock gicv2m_block = { .name = "gicv2m", .regs = gicv2m_regs, .size = 0x1000, .dma_target = true };

static const DeviceType gicv2m_type = {
    .name = "arm-gicv2m", .desc = "Arm GICv2m message interrupt frame", .category = "Interrupt", .size = sizeof(Gicv2m), .props = gicv2m_props,
    .blocks = &gicv2m_block, .nblocks = 1, .stateless = true, .realize = gicv2m_realize,
};
DEVICE_TYPE(gicv2m_type);
