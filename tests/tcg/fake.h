/* SPDX-License-Identifier: MIT */
/* A guest for tests of the compiler: a few slots of every kind, a few routines, flat memory. */
#ifndef TESTS_TCG_FAKE_H
#define TESTS_TCG_FAKE_H

#include "tcg/code.h"

enum {
    FAKE_X0, FAKE_X1, FAKE_X2, FAKE_X3, FAKE_X4, FAKE_X5, FAKE_X6, FAKE_X7, FAKE_X8, FAKE_X9, FAKE_X10, FAKE_X11,
    FAKE_N, FAKE_Z, FAKE_C, FAKE_V, FAKE_W0, FAKE_W1,
    FAKE_Q0, FAKE_Q1, FAKE_Q2, FAKE_Q3, FAKE_D0, FAKE_D1, FAKE_S0, FAKE_S1, FAKE_COUNT, FAKE_NSLOTS
};
enum { FAKE_RT_MIX, FAKE_RT_SUM, FAKE_RT_POKE, FAKE_RT_RAISE, FAKE_RT_PEEK, FAKE_NRT };

enum { FAKE_MEM_SIZE = 4 * 4096 };      /* guest addresses 0x10000 ... */
#define FAKE_MEM_BASE 0x10000ull

typedef struct FakeCpu {
    uint32_t pending;
    TcgEnv env;
    uint64_t x[12];
    uint32_t flag[4];
    uint32_t w[2];
    uint64_t q[4][2] __attribute__((aligned(16)));
    uint64_t d[2];
    uint32_t s[2];
    uint64_t count;             /* of loops */
    /* the run loop's side */
    TcgCode *code;
    TlbFast tlb;
    JumpEntry jump[JUMP_SIZE];
    uint8_t *mem;
    TcgBlock *blocks[16];
    unsigned nblocks;
    uint64_t fault_addr;
    unsigned slow;              /* slow path calls */
    void (*at_slow)(struct FakeCpu *cpu);       /* called in each of them, when not NULL */
    uint16_t fault_word;
    unsigned fault_insns;
} FakeCpu;

extern const TcgTarget fake_target;
extern const TcgMemOps fake_mem_ops;

#endif
