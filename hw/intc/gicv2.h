/* SPDX-License-Identifier: MIT */
/*
 * GICv2 for boards: device_new("arm_gic"), num-cpu, num-irq (32 plus the SPIs),
 * device_realize; mmio 0 is the distributor, 1 the CPU interface (which CPU is
 * in the access).  Outputs: IRQ of CPU c is c, FIQ is num-cpu + c.  Inputs: SPI
 * n is n; PPI p of CPU c is gicv2_ppi().
 */
#ifndef HW_INTC_GICV2_H
#define HW_INTC_GICV2_H

enum { GICV2_CPUS = 8, GIC_INTERNAL = 32 };

/* Input number of a private interrupt (its id 16..31) of a CPU. */
static inline unsigned gicv2_ppi(unsigned num_irq, unsigned cpu, unsigned id)
{
    return num_irq - GIC_INTERNAL + cpu * GIC_INTERNAL + id;
}

#endif
