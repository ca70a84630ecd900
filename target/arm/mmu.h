/* SPDX-License-Identifier: MIT */
/*
 * The page walk of the EL1&0 translation regime as a function of values: no CPU, so that
 * a test can run it against another model.  Arm ARM (DDI 0487), D8.
 */
#ifndef TARGET_ARM_MMU_H
#define TARGET_ARM_MMU_H

#include <stdbool.h>
#include <stdint.h>

typedef struct A64Regime {
    uint64_t sctlr, tcr, ttbr[2], mair;
    uint8_t pa_bits;            /* implemented: 32 ... 52 */
    bool user;                  /* the access is made as EL0 */
    bool pan;
    bool lva, ttst, hafdbs, hafdbs2, hpds, e0pd, gran16, lpa2;
    /* One descriptor: false on an external abort. */
    bool (*read)(void *opaque, uint64_t pa, uint64_t *desc);
    /* Compare and swap it; false: it has changed (walk again) or cannot be written. */
    bool (*update)(void *opaque, uint64_t pa, uint64_t old, uint64_t new);
    void *opaque;
} A64Regime;

typedef enum { WALK_LOAD = 1, WALK_STORE = 2, WALK_FETCH = 4 } A64WalkAccess;

typedef struct A64Mapping {
    uint64_t pa;                /* of the address asked for */
    uint64_t size;              /* of the page or block */
    uint8_t prot;               /* WALK_ bits that need no new walk */
    uint8_t attr;               /* MAIR byte; Device-nGnRnE when translation is off; after a permission fault too */
    uint8_t sh;
    bool global;
    bool guarded;               /* GP */
    uint8_t fsc;                /* when it failed */
} A64Mapping;

/* Fault status codes, level to be added. */
enum { FSC_ADDRESS_SIZE = 0x00, FSC_TRANSLATION = 0x04, FSC_ACCESS_FLAG = 0x08, FSC_PERMISSION = 0x0c, FSC_EXTERNAL = 0x10, FSC_WALK_EXTERNAL = 0x14,
       FSC_ALIGNMENT = 0x21, FSC_DEBUG = 0x22, FSC_ADDRESS_SIZE_M1 = 0x29, FSC_TRANSLATION_M1 = 0x2b, FSC_UPDATE = 0x31 };

/* `update_flags`: set the access flag and dirty state where the regime does so in hardware (not for probes and AT). */
bool a64_walk_regime(const A64Regime *r, uint64_t va, A64WalkAccess acc, bool update_flags, A64Mapping *m);

#endif
