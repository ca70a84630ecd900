/* SPDX-License-Identifier: MIT */
/*
 * Loading a kernel the way Arm boards do without firmware.
 *
 * arm_boot_place() reads kernel and initrd, puts them where Linux's
 * Documentation/arch/arm64/booting asks for (and where users of such a board
 * expect them) and says where the device tree goes; the board then makes the
 * tree, which names the initrd, adds it, and calls arm_boot_finish().
 *
 *   Linux Image (plain, gzip or EFI zboot): kernel at RAM + 2 MiB (RAM +
 *     text_offset where that leaves room), entered through a small stub at the
 *     start of RAM with x0 = tree, x1 = x2 = x3 = 0.
 *   ELF: where it says; pc = entry at once, tree at the start of RAM when the
 *     image leaves it free.
 *   nothing: pc = 0, tree at the start of RAM.
 */
#ifndef HW_ARM_BOOT_H
#define HW_ARM_BOOT_H

#include "hw/core/machine.h"

typedef enum { ARM_BOOT_NONE, ARM_BOOT_LINUX64, ARM_BOOT_ELF } ArmBootKind;

typedef struct ArmBoot {
    /* in */
    const char *kernel, *initrd;        /* paths; NULL: none */
    paddr ram_base;
    uint64_t ram_size;                  /* contiguous from ram_base */
    uint64_t dtb_room;                  /* bytes the tree will take */
    bool firmware;                      /* flash has code: nothing is placed but the tree, kernel and initrd go through fw_cfg */
    /* out */
    ArmBootKind kind;
    paddr entry;                        /* of the first processor */
    paddr kernel_addr, initrd_start, initrd_end;    /* 0: none */
    paddr dtb_addr;                     /* 0: no room for one */
    bool has_dtb;
    Machine *machine;
} ArmBoot;

bool arm_boot_place(Machine *m, ArmBoot *b, Error **errp);
/* The stub, and a reset hook that starts processor 0 at the entry; b lives as long as the machine. */
bool arm_boot_finish(Machine *m, ArmBoot *b, Error **errp);

#endif
