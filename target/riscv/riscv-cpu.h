/* SPDX-License-Identifier: MIT */
/*
 * What boards know about RISC-V processors.
 *
 * CPU types are found with cpu_type_find("riscv64", NAME).  A board sets `hartid` and `resetvec` with cpu_set(), drives the
 * interrupt lines with cpu_line(cpu, RV_LINE_x, level), and connects CPU_PORT_TIMER, whose keys are CSR numbers:
 * RV_PORT_TIME reads the machine's time, RV_PORT_STIMECMP reads and writes the comparator of the supervisor timer, whose
 * output is RV_LINE_STI.
 */
#ifndef TARGET_RISCV_RISCV_CPU_H
#define TARGET_RISCV_RISCV_CPU_H

#include <stdint.h>

#include "hw/core/cpu.h"

/* Interrupt lines: the numbers of their bits in mip, but for two that share a bit with software. */
enum { RV_LINE_SSI = 1, RV_LINE_MSI = 3, RV_LINE_STI = 6, RV_LINE_MTI = 7, RV_LINE_SEI = 10, RV_LINE_MEI = 11 };

enum { RV_PORT_TIME = 0xc01, RV_PORT_STIMECMP = 0x14d };

char *rv_cpu_isa(const Cpu *cpu);           /* "rv64imafdc_zicsr_...", for device trees; the caller frees it */
const char *rv_cpu_mmu_type(const Cpu *cpu);        /* "riscv,sv57" */
bool rv_cpu_has(const Cpu *cpu, const char *extension);

#endif
