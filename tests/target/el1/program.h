/* SPDX-License-Identifier: MIT */
/*
 * A random program for EL1 and EL0: page tables, system registers to begin with, instructions and the handler of their exceptions.
 * Everything is a function of the seed and the processor's features.
 *
 * Physical memory.  Code (vectors and handler, stubs, body) is mapped at its own address in the lower half, as are the
 * tables for EL1; data are mapped by random windows in both halves.
 *
 * Registers of the body: x0-x15 operands, x16 scratch, x17 and x18 the handler's, x19-x27 addresses, x28 where to go on after a
 * branch that fails, x29 a sum of all syndromes.
 */
#ifndef TESTS_TARGET_EL1_PROGRAM_H
#define TESTS_TARGET_EL1_PROGRAM_H

#include "target/arm/cpu.h"
#include "tests/target/el1/peer.h"

#define RAM_BASE     0x40000000ull
#define RAM_SIZE     0x04000000ull
#define CODE_BASE    0x40010000ull
#define CODE_SIZE    0x10000u
#define CODE_OFF     (CODE_BASE + 0x900)        /* MMU off */
#define CODE_STUB    (CODE_BASE + 0xa00)        /* MSR of each start value */
#define CODE_BODY    (CODE_BASE + 0x1000)
#define EXEC_BASE    0x40100000ull              /* filled with BR X28 */
#define EXEC_SIZE    0x10000u
#define TABLES_BASE  0x40200000ull
#define TABLES_SIZE  0x200000u
#define DATA_BASE    0x40400000ull
#define DATA_SIZE    0x80000u

typedef struct Start { uint16_t reg; uint64_t val; } Start;     /* A64SysRegId */

typedef struct Program {
    const A64Cpu *cpu;          /* features */
    bool pauth;                 /* with pointer authentication */
    uint32_t code[CODE_SIZE / 4];
    uint8_t tables[TABLES_SIZE];
    unsigned tables_used;       /* bytes */
    uint64_t sctlr_off;         /* what turns translation off */
    Start start[64];
    unsigned nstart;
    PeerCore core;              /* before the ERET at `eret` */
    uint64_t raw_esr, raw_spsr; /* here the handler's x17 has ESR, its x18 SPSR as it was */
    uint64_t eret, end;         /* the body is over at `end`; behind it stands an SVC */
} Program;

void program_make(Program *p, uint64_t seed);
uint32_t msr_word(unsigned reg, unsigned rt, bool read);        /* of a row of sysregs.def */

#endif
