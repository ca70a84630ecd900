/* SPDX-License-Identifier: MIT */
/*
 * Loading firmware and kernels the way RISC-V boards do.
 *
 * rv_boot_place() reads the files and puts them where firmware and Linux expect them: firmware at the start of RAM (or where
 * its ELF says), a kernel at the next 2 MiB behind it, the initrd min(half of RAM, 128 MiB) behind the kernel.  The board then
 * makes the tree, which names the initrd, and calls rv_boot_finish(), which adds it and the reset vector.
 *
 * The reset vector starts every hart in machine mode with a0 = hart id, a1 = tree, a2 = the fw_dynamic record, which tells
 * OpenSBI where to go on (docs/target-riscv.md).
 */
#ifndef HW_RISCV_BOOT_H
#define HW_RISCV_BOOT_H

#include "hw/core/dt.h"
#include "hw/core/machine.h"

typedef struct RvBoot {
    /* in */
    const char *firmware, *kernel, *initrd;     /* paths; NULL: none */
    paddr rom_base;                             /* of the reset vector */
    paddr ram_base;
    uint64_t ram_size;
    paddr flash_start;                          /* where harts begin instead of RAM; 0: RAM */
    paddr flash_next;                           /* what firmware goes on with when there is no kernel; 0: nothing */
    /* out */
    paddr start, next, initrd_start, initrd_end, dtb_addr;
} RvBoot;

bool rv_boot_place(Machine *m, RvBoot *b, Error **errp);
bool rv_boot_finish(Machine *m, RvBoot *b, Dt *dt, Error **errp);

#endif
