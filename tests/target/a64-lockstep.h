/* SPDX-License-Identifier: MIT */
/* Memory of the random instruction test, the same here and in the emulator that is compared with; a64-runner.S has the numbers too. */
#ifndef TESTS_TARGET_A64_LOCKSTEP_H
#define TESTS_TARGET_A64_LOCKSTEP_H

#include <stdint.h>

enum { CASE_INSNS = 12, CASES_MAX = 8192 };
#define RUNNER_BASE  0x10000000u    /* a64-runner.S */
#define BLOB_BASE    0x20000000u    /* word 0: number of cases */
#define BLOB_CODE    0x1000u        /* 64 bytes each: instructions, RET */
#define BLOB_STATE   0x100000u      /* CaseState each */
#define BLOB_SCRATCH 0x900000u      /* what loads and stores reach: x27 is its middle */
#define SCRATCH_SIZE 0x40000u
#define BLOB_SIZE    (BLOB_SCRATCH + SCRATCH_SIZE)

typedef struct CaseState {          /* 1024 bytes */
    uint64_t x[31];
    uint64_t nzcv, fpcr, fpsr;
    uint64_t pad[30];
    uint64_t v[32][2];
} CaseState;
_Static_assert(sizeof(CaseState) == 1024, "as a64-runner.S has it");

#endif
