/* SPDX-License-Identifier: MIT */
/*
 * What a target gives the recompiling accelerator, and what it may call back.
 *
 * The target's CPU state begins with Cpu (hw/core/cpu.h), then TcgEnv; it
 * registers one TcgCpuOps row (TCG_CPU_OPS).  All calls are made by the vCPU's own thread.
 *
 * env->exc.  A target uses values from 1 on; those from TCG_EXC_FIRST on belong to the machinery.
 */
#ifndef ACCEL_TCG_CPU_OPS_H
#define ACCEL_TCG_CPU_OPS_H

#include "hw/core/cpu.h"
#include "memory/memory.h"
#include "tcg/env.h"
#include "tcg/ir.h"
#include "tcg/target.h"
#include "util/lsection.h"

enum { TCG_EXC_FIRST = 0xffffff00u };

typedef enum { ACC_LOAD, ACC_STORE, ACC_FETCH } AccType;

/* Result of a page walk. */
typedef struct WalkResult {
    paddr pa;               /* of the address asked for */
    uint64_t size;          /* of the mapping that was found, a power of two of 4096 or more */
    uint8_t prot;           /* 1 load, 2 store, 4 fetch: what this regime may do now (dirty-state management included) */
    bool device;            /* unaligned accesses are alignment faults */
    bool global;            /* holds for every ASID */
    bool secure;
    bool guarded;           /* code here is guarded: TcgCpuOps.landing_key chooses its blocks */
} WalkResult;

/* The front end's view of one translation. */
typedef struct TransCtx {
    Cpu *cpu;               /* constant features only: the result must depend on bytes, key and features alone */
    IrBlock *ir;
    uint64_t key;           /* block key, as block_key() gave it */
    const uint8_t *page;    /* host address of the 4 KiB guest page */
    uint32_t off;           /* where to begin */
    unsigned max_insns;     /* 1 for single step and exact counts */
    vaddr pc;               /* for logs only */
    /* page offsets with breakpoints, sorted, ~0u last; NULL: none. The front end ends the block before one and
     * begins a block at one with ir_leave(IR_LEAVE_DEBUG) unless `step_over`. */
    const uint32_t *breaks;
    bool step_over;
    /* the same for the processor's own breakpoints (TcgCpuOps.own_breaks): a block that begins at one raises their exception */
    const uint32_t *own_breaks;
    /* Bytes of the virtually following page for an instruction that crosses, as it is known to this processor just now; NULL: it has not been
     * executed (tcg_fetch_half).  A hint: the block belongs to its own page alone, so it must compare what it was made for whenever it runs. */
    const uint8_t *(*next_page)(struct TransCtx *tc);
} TransCtx;

typedef struct TcgCpuOps {
    const CpuOps *cpu;      /* whose Cpu.ops this row belongs to */
    const TcgTarget *tcg;
    TcgEnv *(*env)(Cpu *cpu);
    /* Mode and feature word: blocks with different words never mix. */
    uint64_t (*block_key)(Cpu *cpu);
    /*
     * The key of the block at `code` (offset `off` in its page) when it is reached by a jump with IR_LANDING(landing), or `landing` is 0, and lies
     * on a guarded page or not: `key`, with bits that say so where that makes another block.  A block whose instruction does not allow the landing has the
     * kind in its key and raises; before, it stores the kind to env->landing, which is 0 while blocks run.  NULL where no walk says `guarded` and no jump has IR_LANDING.
     */
    uint64_t (*landing_key)(uint64_t key, unsigned landing, const uint8_t *code, uint32_t off, bool guarded);
    IrNanMode (*nan_mode)(uint64_t key);
    bool (*counted)(uint64_t key);          /* instructions of such blocks are counted for tcg_insns(); NULL: none are, but under instruction-driven time */
    void (*insns_due)(Cpu *cpu);            /* as many as tcg_insns_limit() said: sets another limit */
    void (*translate)(TransCtx *tc);
    int (*disassemble)(uint64_t key, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room);   /* bytes consumed */

    /*
     * Address contexts: equal keys share TLBs.  Index 0 is the current regime; others as the front end uses them (IR_MEM_IDX).
     * Bits 0-15 of a key are the ASID whose private entries it uses (0 with translation off); the rest says everything else
     * that a walk's result depends on: privilege, PAN/SUM/SMAP, stage 2, MMU on or off.  Global entries are shared
     * between contexts that differ in the ASID alone.
     */
    unsigned nmmu;
    uint64_t (*context_key)(Cpu *cpu, unsigned mmu_idx);
    uint16_t (*asid)(Cpu *cpu);
    /* Walk: true and *res, or false with the target's fault state prepared for raise_fault, and res->device where that is known
     * (an unaligned access then is an alignment fault rather). `probe`: no side effect, no fault state. *res is zero before. */
    bool (*walk)(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, bool probe, WalkResult *res);
    bool atomic_reads;      /* a fault of an atomic that a load would have had too is a load's (else all are a store's) */
    /* After a failed walk, with precise state in the slots: make it the pending exception (sets env->exc). */
    void (*raise_fault)(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t insn_word);
    void (*raise_align)(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t insn_word);
    /* A bus error (nothing there, device refused). */
    void (*raise_bus)(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t insn_word);
    /* ir_raise(code) was reached. */
    void (*raise_code)(Cpu *cpu, int64_t code);
    /*
     * Breakpoints and watchpoints of the guest, in registers of this processor; NULL where it has none.  debug_armed: 1 some breakpoint, 2 some watchpoint
     * may match in some mode; after a change the target calls tcg_debug_changed() and ends the block.  What is asked next is asked for the current mode.
     */
    unsigned (*debug_armed)(Cpu *cpu);
    uint32_t *(*own_breaks)(Cpu *cpu, vaddr page);              /* page offsets, sorted, ~0u last (the caller frees them); NULL: none.  The key says whether there are any */
    bool (*page_watched)(Cpu *cpu, vaddr page);                 /* in any mode */
    bool (*watched)(Cpu *cpu, vaddr va, unsigned len, AccType acc, unsigned mmu_idx, vaddr *at);    /* *at: the first byte that is */
    void (*raise_debug)(Cpu *cpu, vaddr va, AccType acc);       /* a watchpoint; state is precise */
    /* Take the exception in env->exc: change state to the handler. Clears env->exc. */
    void (*deliver)(Cpu *cpu);
    uint32_t exc_none;      /* a value of env->exc that is none: deliver() only goes on (0: there is no such value) */
    /* pending has bits: take an interrupt if one is due (cpu_lines()); true when state changed.  After false the bits of lines are out
     * of `pending` until the next IR_LEAVE_MODE: what unmasks must leave so. */
    bool (*take_irq)(Cpu *cpu);
    /* WFI and friends: may the CPU sleep now? (hw: work that wakes it even when masked) */
    bool (*has_work)(Cpu *cpu);
    /* Guest FP control as host MXCSR (rounding, flush bits) and back: sticky bits go to the target's status. */
    uint32_t (*mxcsr_from_guest)(Cpu *cpu);
    void (*mxcsr_to_guest)(Cpu *cpu, uint32_t mxcsr);
} TcgCpuOps;
#define TCG_CPU_OPS(row) ROW_IN_SECTION(rhea_tcg_cpu_ops, TcgCpuOps, row)

/* ---- what targets call (accel/tcg) ---- */

/* Flushes of this vCPU's translations.  A va flush drops all sizes and, without `asid`, all contexts. */
void tcg_flush_all(Cpu *cpu);
void tcg_flush_asid(Cpu *cpu, uint16_t asid);
void tcg_flush_range(Cpu *cpu, vaddr va, uint64_t len, int asid /* -1: any, global too */);
/* The same on every vCPU of the machine (inner shareable): posted and kicked; tcg_flush_wait at the guest's completion barrier. */
void tcg_flush_all_broadcast(Cpu *cpu);
void tcg_flush_asid_broadcast(Cpu *cpu, uint16_t asid);
void tcg_flush_range_broadcast(Cpu *cpu, vaddr va, uint64_t len, int asid);
void tcg_flush_wait(Cpu *cpu);

/* The processor's breakpoints or watchpoints are others now. */
void tcg_debug_changed(Cpu *cpu);

/* In a routine that reads the machine's clock: under instruction-driven time, make clock_now() count up to here. */
void tcg_sync_time(Cpu *cpu);

/* Instructions that were begun in counted blocks, in all; under instruction-driven time, in any block. */
uint64_t tcg_insns(Cpu *cpu);
/* Call insns_due after n (> 0) counted instructions from here; under instruction-driven time it does nothing: clocks are exact there. */
void tcg_insns_limit(Cpu *cpu, uint64_t n);

/* The halfword of code at an even address, from runtime routines and raise_code; false: the fault of the fetch is raised. */
bool tcg_fetch_half(Cpu *cpu, vaddr va, uint16_t *half);
/* Outside generated code: blocks of these bytes are made anew when they are run again. */
void tcg_forget_code(Cpu *cpu, vaddr va, unsigned len);

/* Guest memory from runtime routines, as the current regime; false: env->exc is set, return at once. */
bool tcg_load(Cpu *cpu, vaddr va, IrMem m, uint64_t *val);
bool tcg_store(Cpu *cpu, vaddr va, IrMem m, uint64_t val);
/* Host address of [va, va+len) when it is plain RAM within one page, else NULL (no fault). */
void *tcg_probe_host(Cpu *cpu, vaddr va, unsigned len, AccType acc, unsigned mmu_idx);
/* The routine can make state precise (slots, env->pc at the calling instruction) with this; returns the instruction's word. */
uint16_t tcg_restore_here(Cpu *cpu);

/* Open-form exclusives: monitor the 64-byte granule at va for stores of other vCPUs and DMA. */
bool tcg_monitor_load(Cpu *cpu, vaddr va, IrMem m, uint64_t val[2]);                 /* marks and loads; false: env->exc */
bool tcg_monitor_store(Cpu *cpu, vaddr va, IrMem m, const uint64_t val[2], bool *ok); /* stores only if unbroken */
void tcg_monitor_clear(Cpu *cpu);

#endif
