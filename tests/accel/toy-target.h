/* SPDX-License-Identifier: MIT */
/*
 * A toy guest for tests of the recompiling accelerator: 16 registers, fixed
 * 4-byte instructions, a one-level page table in guest memory, one interrupt.
 *
 * Instruction: op 0-7, d 8-11, s 12-15, imm 16-31 (signed).
 * Address translation is on when `pt` is not 0: entry (va >> 12) & 0xfff of the
 * table at pt, 8 bytes: physical page | TOY_V | TOY_W | TOY_X | TOY_G | TOY_2M.
 * Exceptions and interrupts go to vbar with epc, cause and badva set; interrupts are then off.
 */
#ifndef TESTS_ACCEL_TOY_TARGET_H
#define TESTS_ACCEL_TOY_TARGET_H

#include "accel/tcg/cpu-ops.h"
#include "accel/tcg/tcg-priv.h"
#include "hw/core/machine.h"

enum { TOY_V = 1, TOY_W = 2, TOY_X = 4, TOY_G = 8, TOY_2M = 16 };
enum { CAUSE_SYS = 1, CAUSE_LOAD, CAUSE_STORE, CAUSE_FETCH, CAUSE_ALIGN, CAUSE_BUS, CAUSE_IRQ };

typedef enum {
    T_ILL, T_LI, T_ADD, T_ADDI, T_SHLI, T_LD, T_ST, T_LD4, T_ST4, T_LD1, T_ST1, T_BNE, T_BLT, T_JR, T_JMP, T_CAS, T_RMWADD, T_SYS, T_ERET, T_WFI,
    T_FLUSH, T_FLUSHVA, T_FLUSHALLCPU, T_SETASID, T_SETPT, T_STOP, T_LDX, T_STX, T_LDP, T_STP, T_YIELD, T_TIME, T_IRQ, T_LDALIGN, T_FLUSHVACPU,
    T_MFCAUSE, T_MFEPC, T_MTEPC, T_MFBADVA, T_CPUNO, T_ST16B, T_FENCE
} ToyOp;

typedef struct ToyCpu {
    Cpu cpu;
    TcgEnv env;
    uint64_t x[16];
    uint64_t vbar, epc, cause, badva, pt;
    uint64_t asid, irq_on;
    vaddr fault_va;
} ToyCpu;

typedef struct ToyBoard {
    Machine m;
    MemRegion ram_region, io;
    RamBlock *ram;
    pthread_mutex_t io_lock;
    uint64_t io_reads, io_writes, io_last, io_last_size;
    void (*io_hook)(struct ToyBoard *b);        /* called under the device's lock in a write */
} ToyBoard;

enum { TOY_RAM = 16 << 20, TOY_IO = 0x10000000, TOY_IO_SIZE = 0x1000, TOY_HOLE = 0x20000000 };

static inline uint32_t toy_insn(ToyOp op, unsigned d, unsigned s, int imm)
{
    return (uint32_t)op | d << 8 | s << 12 | (uint32_t)(imm & 0xffff) << 16;
}

/* `accel`: "tcg,host=interp" ...; aborts on failure. */
ToyBoard *toy_open(const char *accel, unsigned cpus, ClockMode clock, unsigned shift);
void toy_close(ToyBoard *b);
static inline ToyCpu *toy_cpu(ToyBoard *b, unsigned i) { return (ToyCpu *)machine_cpu(&b->m, i); }
/* At any address; toy_ram() is for aligned ones. */
static inline uint64_t toy_get(ToyBoard *b, paddr at)
{
    uint64_t val;

    memcpy(&val, b->ram->host + at, sizeof(val));
    return val;
}
static inline void toy_put(ToyBoard *b, paddr at, uint64_t val) { memcpy(b->ram->host + at, &val, sizeof(val)); }
static inline uint64_t *toy_ram(ToyBoard *b, paddr at) { return (uint64_t *)(void *)(b->ram->host + at); }
/* A little assembler: writes instructions one after the other. */
typedef struct ToyAsm { ToyBoard *b; paddr at; } ToyAsm;
void toy_emit(ToyAsm *a, ToyOp op, unsigned d, unsigned s, int imm);
/* Any 63-bit constant into a register. */
void toy_const(ToyAsm *a, unsigned d, uint64_t val);
/* Branch of `op` to an address already emitted or known. */
void toy_branch(ToyAsm *a, ToyOp op, unsigned d, unsigned s, paddr to);
/* Run until every vCPU that was started has executed STOP, at most `ms` of host time; true when they have. */
bool toy_run(ToyBoard *b);
void toy_map(ToyBoard *b, paddr pt, vaddr va, paddr pa, unsigned flags);
TcgState *toy_state(ToyBoard *b);
TcgVcpu *toy_vcpu(ToyBoard *b, unsigned i);

#endif
