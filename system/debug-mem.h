/* SPDX-License-Identifier: MIT */
/*
 * Memory as a debugger sees it: by the current translation of a processor,
 * without faults or side effects.  Called with the vCPUs parked.
 */
#ifndef SYSTEM_DEBUG_MEM_H
#define SYSTEM_DEBUG_MEM_H

#include "hw/core/cpu.h"

/* Physical: RAM in any piece, a register in an access of its own size.  False where nothing answers. */
bool debug_phys_read(AddressSpace *as, paddr pa, void *buf, uint64_t len);
bool debug_phys_write(AddressSpace *as, paddr pa, const void *buf, uint64_t len);
/* Bytes done from the start; less than len where nothing is mapped. */
uint64_t debug_mem_read(Cpu *cpu, vaddr va, void *buf, uint64_t len);
uint64_t debug_mem_write(Cpu *cpu, vaddr va, const void *buf, uint64_t len);

#endif
