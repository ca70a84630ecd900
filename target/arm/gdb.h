/* SPDX-License-Identifier: MIT */
/*
 * Registers as gdb numbers them: 0-30 x, 31 sp, 32 pc, 33 cpsr, 34-65 v, 66 fpsr, 67 fpcr; with pointer authentication
 * 68 pauth_dmask, 69 pauth_cmask: the bits that the debugger removes from signed pointers to data and to code.
 */
#ifndef TARGET_ARM_GDB_H
#define TARGET_ARM_GDB_H

#include "target/arm/cpu.h"

const char *a64_gdb_xml(Cpu *cpu, const char *annex);
unsigned a64_gdb_read(Cpu *cpu, unsigned reg, uint8_t *buf);
unsigned a64_gdb_write(Cpu *cpu, unsigned reg, const uint8_t *buf);

#endif
