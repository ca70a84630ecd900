/* SPDX-License-Identifier: MIT */
/* The page walk as a function of values: The RISC-V Instruction Set Manual, volume II, 4.3.2, for Sv39, Sv48 and Sv57. */
#ifndef TARGET_RISCV_MMU_WALK_H
#define TARGET_RISCV_MMU_WALK_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { RV_WALK_LOAD, RV_WALK_STORE, RV_WALK_FETCH } RvWalkAcc;
typedef enum { RV_WALK_OK, RV_WALK_PAGE_FAULT, RV_WALK_ACCESS_FAULT } RvWalkResult;

typedef struct RvRegime {
    uint64_t satp;              /* mode 8 to 10 */
    bool user;                  /* the access is one of U mode */
    bool sum, mxr, adue, pbmte, napot;
    /* False: no memory there, or protected.  update: compare and swap, *same says whether `old` was there. */
    bool (*read)(void *opaque, uint64_t pa, uint64_t *pte);
    bool (*update)(void *opaque, uint64_t pa, uint64_t old, uint64_t val, bool *same);
    void *opaque;
} RvRegime;

typedef struct RvMapping {
    uint64_t pa, size;
    uint8_t prot;               /* 1 load, 2 store, 4 fetch: what needs no more work */
    bool global;
} RvMapping;

/* With `change`, accessed and dirty bits are set where the regime says so. */
RvWalkResult rv_walk_regime(const RvRegime *r, uint64_t va, RvWalkAcc acc, bool change, RvMapping *out);

#endif
