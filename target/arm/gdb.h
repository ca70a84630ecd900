/* SPDX-License-Identifier: MIT */
/* Registers as gdb numbers them: 0-30 x, 31 sp, 32 pc, 33 cpsr, 34-65 v, 66 fpsr, 67 fpcr. */
#ifndef TARGET_ARM_GDB_H
#define TARGET_ARM_GDB_H

#include "target/arm/cpu.h"

const char *a64_gdb_xml(Cpu *cpu, const char *annex);
unsigned a64_gdb_read(Cpu *cpu, unsigned reg, uint8_t *buf);
unsigned a64_gdb_write(Cpu *cpu, unsigned reg, const uint8_t *buf);

#endif
