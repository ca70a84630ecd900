/* SPDX-License-Identifier: MIT */
/*
 * GICv3 for boards: device "arm-gicv3".
 *
 * Properties: num-irq (INTIDs, 32 of them private), num-cpu, has-lpi,
 * redist-first (redistributors in the first region when there are two).
 * Windows: 0 the distributor, 1 all redistributors behind each other (a board
 * with two regions maps aliases).  Inputs: SPI n at n, then for processor i PPI
 * p (INTID p, 16..31) at gicv3_ppi(dev, i, p).  Outputs: processor i's IRQ at
 * 2i, FIQ at 2i + 1.  After realize: gicv3_connect_cpu for each processor.
 */
#ifndef HW_INTC_GICV3_H
#define HW_INTC_GICV3_H

#include "hw/core/device.h"

typedef struct Cpu Cpu;

/* Affinity as in MPIDR_EL1: Aff3 in bits 31:24, Aff2 23:16, Aff1 15:8, Aff0 7:0. Wires IRQ and FIQ to the processor's lines. */
void gicv3_connect_cpu(Device *dev, unsigned index, Cpu *cpu, uint32_t affinity);
unsigned gicv3_ppi(Device *dev, unsigned cpu_index, unsigned intid);

/* For the ITS: processor by number (PTA = 0). False: no such processor or its LPIs are off. Any thread, takes the lock. */
bool gicv3_lpi_set(Device *dev, unsigned cpu_index, uint32_t intid, bool pending);
bool gicv3_lpi_move(Device *dev, unsigned from, unsigned to, uint32_t intid /* 0: all */);
/* Read configuration bytes again. */
void gicv3_lpi_invalidate(Device *dev, unsigned cpu_index, uint32_t intid /* 0: all */);
unsigned gicv3_ncpu(Device *dev);

#endif
