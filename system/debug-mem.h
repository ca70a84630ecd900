/* SPDX-License-Identifier: MIT */
/*
 * Memory as a debugger sees it: by the current translation of a processor,
 * without faults or side effects.  Called with the vCPUs parked.
 */
#ifndef SYSTEM_DEBUG_MEM_H
#define SYSTEM_DEBUG_MEM_H

#include "hw/core/cpu.h"

/* Bytes done from the start; less than len where nothing is mapped. */
uint64_t debug_mem_read(Cpu *cpu, vaddr va, void *buf, uint64_t len);
uint64_t debug_mem_write(Cpu *cpu, vaddr va, const void *buf, uint64_t len);

#endif
