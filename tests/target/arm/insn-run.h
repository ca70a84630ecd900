/* SPDX-License-Identifier: MIT */
/* A few instructions, the state before them, and after them the state that they left: what test-insn.c and the guest program insn-run.c exchange. */
#ifndef TESTS_TARGET_ARM_INSN_RUN_H
#define TESTS_TARGET_ARM_INSN_RUN_H

#include <stdint.h>

/* Memory that loads and stores may touch: zero at the start but for a window in its middle, which is set and compared. */
enum { INSN_FLAT = 0x40000, INSN_MEM = 256, INSN_MAX = 12 };
#define INSN_NOP 0xd503201fu
#define INSN_FLAT_BASE 0x10000000ull
#define INSN_MEM_BASE (INSN_FLAT_BASE + INSN_FLAT / 2)

typedef struct InsnRec {
    uint64_t x[31];
    uint64_t nzcv;                      /* bits 31-28 */
    uint64_t fpcr, fpsr;
    uint64_t v[32][2];
    uint32_t insn[INSN_MAX];            /* filled up with INSN_NOP */
    uint32_t fault;                     /* out: signal number */
    uint32_t count;
    uint8_t mem[INSN_MEM];
    uint64_t pad;
} InsnRec;

#endif
