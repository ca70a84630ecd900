/* SPDX-License-Identifier: MIT */
/*
 * What boards know about Arm processors.
 *
 * CPU types are found with cpu_type_find("aarch64", NAME).  A board sets the
 * properties `mp-affinity`, `psci-conduit`, `cntfrq`, `start-powered-off` with
 * cpu_set(), connects the wires below, and the ports of hw/core/cpu-port.h.
 * Interrupts come in through cpu_line(cpu, 0 IRQ / 1 FIQ, level).
 */
#ifndef TARGET_ARM_ARM_CPU_H
#define TARGET_ARM_ARM_CPU_H

#include "hw/core/cpu.h"
#include "hw/core/irq.h"

/* Wires from the processor to the interrupt controller (PPIs). */
typedef enum { ARM_WIRE_TIMER_PHYS, ARM_WIRE_TIMER_VIRT, ARM_WIRE_TIMER_HYP, ARM_WIRE_TIMER_SEC, ARM_WIRE_PMU, ARM_WIRES } ArmWire;
IrqLine *arm_cpu_wire(Cpu *cpu, ArmWire wire);

/* General registers and entry state, for boot code: n 0-30, 31 is SP. CPU parked. */
void arm_cpu_set_reg(Cpu *cpu, unsigned n, uint64_t val);
uint64_t arm_cpu_get_reg(Cpu *cpu, unsigned n);
uint64_t arm_cpu_mpidr(const Cpu *cpu);             /* affinity fields of MPIDR_EL1 */
uint64_t arm_cpu_midr(const Cpu *cpu);
const char *arm_cpu_compatible(const Cpu *cpu);     /* device tree: "arm,cortex-a57" */

#endif
