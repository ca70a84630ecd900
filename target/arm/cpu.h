/* SPDX-License-Identifier: MIT */
/*
 * State of an AArch64 processor (EL0 and EL1).
 *
 * General registers, flags and vectors are slots of the recompiler (translate.h);
 * system registers live in sys[], one element per row of sysregs.def, but for those
 * whose rows have hooks.  Only the vCPU's own thread touches any of it while it runs.
 */
#ifndef TARGET_ARM_CPU_H
#define TARGET_ARM_CPU_H

#include "accel/tcg/cpu-ops.h"
#include "hw/core/clock.h"
#include "hw/core/cpu.h"
#include "hw/core/irq.h"
#include "target/arm/arm-cpu.h"
#include "target/arm/features.h"

typedef enum {
#define REG(name, ...) SR_##name,
#include "target/arm/sysregs.def"
#undef REG
    SR_COUNT
} A64SysRegId;

/* Exceptions on their way to deliver(): what env->exc says. */
typedef enum { A64_EXC_NONE, A64_EXC_SYNC, A64_EXC_IRQ, A64_EXC_FIQ, A64_EXC_SERROR, A64_EXC_NOTHING /* go on at env->pc */ } A64ExcKind;

typedef struct A64Exc {
    uint64_t esr, far;
    bool set_far;
    bool after;                 /* preferred return address is behind the instruction (SVC) */
} A64Exc;

/* Result of a failed walk: prepared by walk, used by raise_fault. */
typedef struct A64Fault {
    uint8_t fsc;                /* fault status code, level included */
} A64Fault;

typedef struct A64Model A64Model;

typedef struct A64Cpu {
    Cpu cpu;
    TcgEnv env;
    /* ---- slots ---- */
    uint64_t x[31];
    uint64_t sp;                /* the current one */
    uint64_t sp_el1;            /* SP_EL1 while it is not the current one; SP_EL0 is in sys[] */
    uint32_t n, z, c, v;        /* 0 or 1 */
    uint64_t vreg[32][2] __attribute__((aligned(16)));
    /* gathered by inline code; with fpsr when the processor is parked */
    uint64_t qc[2] __attribute__((aligned(16)));            /* saturation: any bit */
    uint64_t idc[2][2] __attribute__((aligned(16)));        /* flushed operands: any bit of singles, of doubles, but for the signs */
    /* ---- PSTATE but for the flags ---- */
    uint32_t el;                /* 0 or 1 */
    uint32_t spsel;
    uint32_t daif;              /* D 8, A 4, I 2, F 1 */
    uint32_t pan, uao, dit, ssbs, il, ss;       /* BTYPE is env.landing */
    uint64_t fpcr;
    uint64_t fpsr;              /* the cumulative exception bits are in env.guest_mxcsr too while running: a64_fpsr_get() */
    uint64_t sys[SR_COUNT];
    /* exclusive monitor: a value reservation for closed forms, the accelerator's monitor for open ones */
    uint64_t excl_addr;         /* UINT64_MAX: none */
    uint64_t excl_val[2];
    uint32_t excl_size;
    uint32_t excl_misses;       /* exclusive stores without a reservation in quick succession */
    bool open_excl;             /* no closed forms any more */
    int64_t excl_miss_at;       /* clock at the last one */
    uint32_t event;             /* WFE event register */
    uint32_t stepped;           /* A64_STEPPED*: what the step exception says of the instruction that was stepped */
    /* ---- derived, not saved ---- */
    uint64_t features[(A64_FEAT_COUNT + 63) / 64];
    uint32_t debug_armed;       /* a64_debug_armed() at the last write */
    uint64_t key;               /* block key, kept up to date by a64_mode_changed() */
    /* layout of pointer authentication codes by [data][half of the address space]: a64_pauth_update() */
    struct { uint64_t mask, field; } pac[2][2];     /* bits of the code; bits that a plain pointer repeats bit 55 in */
    uint8_t pac_bit[2];         /* bit that chooses the half when signing */
    bool pac_fast;
    A64Exc exc;
    A64Fault fault;
    /* ---- wires and timers ---- */
    IrqLine wire[ARM_WIRES];
    Timer timer[2];             /* physical, virtual */
    pthread_mutex_t timer_lock;
    struct {                    /* performance monitors: pmu.c; under timer_lock */
        Timer timer;
        uint64_t cycles, insns; /* when the counters were brought up to date */
        uint32_t by_cycles, by_insns;   /* counters that run in this mode */
        uint32_t el;
        bool on;                /* some counter is enabled */
    } pmu;
    /* ---- properties ---- */
    const A64Model *model;
    uint64_t mp_affinity;
    uint64_t cntfrq;
    uint64_t rvbar;
    uint32_t psci_conduit;      /* 0 none, 1 hvc, 2 smc */
    uint64_t midr;
    uint32_t sve_max_vq;
    bool pauth_qarma5, cfgend, reset_hivecs;
    bool pauth, pauth_impdef, pauth_qarma3, lpa2, sve, sme, mte, aarch64, pmu_on, has_el2, has_el3;
} A64Cpu;

static inline A64Cpu *a64_cpu(Cpu *cpu)
{
    return (A64Cpu *)cpu;
}

static inline A64Cpu *a64_of_env(TcgEnv *env)
{
    return (A64Cpu *)((char *)env - offsetof(A64Cpu, env));
}

static inline bool a64_has(const A64Cpu *c, A64Feature f)
{
    return c->features[f / 64] >> (f % 64) & 1;
}

/* ---- fields ---- */
#define SCTLR_M    (1ull << 0)
#define SCTLR_A    (1ull << 1)
#define SCTLR_C    (1ull << 2)
#define SCTLR_SA   (1ull << 3)
#define SCTLR_NAA  (1ull << 6)
#define SCTLR_SA0  (1ull << 4)
#define SCTLR_UMA  (1ull << 9)
#define SCTLR_I    (1ull << 12)
#define SCTLR_ENDB (1ull << 13)
#define SCTLR_DZE  (1ull << 14)
#define SCTLR_UCT  (1ull << 15)
#define SCTLR_NTWI (1ull << 16)
#define SCTLR_NTWE (1ull << 18)
#define SCTLR_WXN  (1ull << 19)
#define SCTLR_SPAN (1ull << 23)
#define SCTLR_E0E  (1ull << 24)
#define SCTLR_EE   (1ull << 25)
#define SCTLR_UCI  (1ull << 26)
#define SCTLR_ENDA (1ull << 27)
#define SCTLR_ENIB (1ull << 30)
#define SCTLR_ENIA (1ull << 31)
#define SCTLR_BT0  (1ull << 35)
#define SCTLR_BT1  (1ull << 36)
#define SCTLR_DSSBS (1ull << 44)

#define FPSR_QC    (1u << 27)
#define FPSR_IDC   (1u << 7)
#define FPSR_IXC   (1u << 4)
#define FPCR_RMODE_SHIFT 22
#define FPCR_FZ    (1u << 24)
#define FPCR_DN    (1u << 25)
#define FPCR_AHP   (1u << 26)
#define FPCR_FZ16  (1u << 19)

/* ---- block key: what a translation assumes ---- */
#define KEY_EL       (1ull << 0)    /* EL1 */
#define KEY_SPSEL    (1ull << 1)
#define KEY_FP       (1ull << 2)    /* FP and SIMD are not trapped */
#define KEY_DN       (1ull << 3)    /* default NaN */
#define KEY_BE       (1ull << 4)    /* data are big-endian */
#define KEY_ALIGN    (1ull << 5)    /* SCTLR.A */
#define KEY_SPALIGN  (1ull << 6)    /* SCTLR.SA or SA0 */
#define KEY_UNPRIV   (1ull << 7)    /* LDTR accesses as EL0 */
#define KEY_UCT      (1ull << 8)
#define KEY_DZE      (1ull << 9)
#define KEY_UCI      (1ull << 10)
#define KEY_UMA      (1ull << 11)
#define KEY_NTWI     (1ull << 12)
#define KEY_NTWE     (1ull << 13)
#define KEY_ENIA     (1ull << 14)
#define KEY_ENIB     (1ull << 15)
#define KEY_ENDA     (1ull << 16)
#define KEY_ENDB     (1ull << 17)
#define KEY_FZ16     (1ull << 18)
#define KEY_FZ       (1ull << 19)
#define KEY_RMODE(k) ((k) >> 20 & 3)    /* FPCR.RMode */
#define KEY_RMODE_SHIFT 20
#define KEY_IL       (1ull << 22)   /* PSTATE.IL: every instruction is illegal */
#define KEY_BTI      (1ull << 23)   /* SCTLR.BT of this EL: PACIxSP is no landing pad for BR */
#define KEY_AHP      (1ull << 24)
#define KEY_SS       (1ull << 25)   /* software step: one instruction, then ... */
#define KEY_SS_DUE   (1ull << 28)   /* ... the step exception */
#define KEY_OPEN_EXCL (1ull << 26)  /* no closed forms of exclusives (trans-atomic.c) */
#define KEY_TBI      (1ull << 27)   /* some branch targets may have a tag: TCR.TBI0 or TBI1 */
#define KEY_GUARDED  (1ull << 29)   /* the page is guarded; not in A64Cpu.key */
#define KEY_BTYPE(k) ((k) >> 30 & 3)    /* PSTATE.BTYPE, where the first instruction raises an exception that shows it; not in A64Cpu.key */
#define KEY_BTYPE_SHIFT 30
#define KEY_NAA      (1ull << 32)   /* SCTLR.nAA: ordered accesses need no alignment */
#define KEY_IXC      (1ull << 33)   /* FZ is set and FPSR.IXC is: inexact need not be told from flushed (docs/arm-simd.md) */

#define KEY_BREAK    (1ull << 35)   /* some breakpoint register may match in this mode */
#define KEY_DEBUG_D  (1ull << 34)   /* PSTATE.D masks debug exceptions that are enabled */

#define KEY_COUNT    (1ull << 36)   /* some counter counts instructions in this mode */
/* All of them, joined by an operator: no two share a bit. */
#define KEY_ALL(o) (KEY_EL o KEY_SPSEL o KEY_FP o KEY_DN o KEY_BE o KEY_ALIGN o KEY_SPALIGN o KEY_UNPRIV o KEY_UCT o KEY_DZE o KEY_UCI o KEY_UMA o KEY_NTWI o \
    KEY_NTWE o KEY_ENIA o KEY_ENIB o KEY_ENDA o KEY_ENDB o KEY_FZ16 o KEY_FZ o (3ull << KEY_RMODE_SHIFT) o KEY_IL o KEY_BTI o KEY_AHP o KEY_SS o KEY_SS_DUE o \
    KEY_OPEN_EXCL o KEY_TBI o KEY_GUARDED o (3ull << KEY_BTYPE_SHIFT) o KEY_NAA o KEY_IXC o KEY_BREAK o KEY_DEBUG_D o KEY_COUNT)
_Static_assert(KEY_ALL(+) == KEY_ALL(|), "bits of the block key are distinct");

enum { A64_PMU_COUNTERS = 6, A64_EVENT_EXC_TAKEN = 0x09, A64_EVENT_EXC_RETURN = 0x0a };
enum { A64_STEPPED = 1, A64_STEPPED_EXCL };     /* an instruction, a load-exclusive one */
enum { A64_MMU_CURRENT, A64_MMU_USER };     /* mmu indexes of the front end */

/* ---- between the files of this folder ---- */
extern const CpuOps a64_cpu_ops;
extern const TcgTarget a64_tcg_target;

/* Recomputes the block key and what else is derived from PSTATE and control registers. */
void a64_mode_changed(A64Cpu *c);
void a64_features_update(A64Cpu *c);        /* from the ID registers */

uint64_t a64_pstate(const A64Cpu *c);       /* as SPSR has it */
void a64_pstate_set(A64Cpu *c, uint64_t spsr);
void a64_sp_save(A64Cpu *c);                /* the current SP to its bank ... */
void a64_sp_load(A64Cpu *c);                /* ... and from it, after EL or SPSel changed */

uint64_t a64_fpsr_of_mxcsr(uint32_t mxcsr);
uint64_t a64_fpsr_of_slots(const A64Cpu *c);
uint64_t a64_fpsr_get(A64Cpu *c);
void a64_fpsr_set(A64Cpu *c, uint64_t val);
void a64_fpcr_set(A64Cpu *c, uint64_t val);

/* Make it the pending exception: sets env.exc.  State must be precise. */
void a64_raise(A64Cpu *c, uint32_t ec, uint32_t iss);
void a64_raise_esr(A64Cpu *c, uint64_t esr, bool after);
void a64_deliver(Cpu *cpu);
bool a64_take_irq(Cpu *cpu);
bool a64_has_work(Cpu *cpu);

void a64_timer_init(A64Cpu *c);
void a64_timer_fini(A64Cpu *c);
void a64_timer_update(A64Cpu *c, unsigned which);
uint64_t a64_counter(A64Cpu *c);

/* debug.c: what the accelerator asks, part of the block key, exceptions */
unsigned a64_debug_armed(Cpu *cpu);
uint32_t *a64_own_breaks(Cpu *cpu, vaddr page);
bool a64_page_watched(Cpu *cpu, vaddr page);
bool a64_watched(Cpu *cpu, vaddr va, unsigned len, AccType acc, unsigned mmu_idx, vaddr *at);
void a64_raise_watch(Cpu *cpu, vaddr va, AccType acc);
void a64_raise_step(A64Cpu *c);
bool a64_stepping(const A64Cpu *c);
uint64_t a64_debug_key(const A64Cpu *c);

/* pmu.c */
extern const uint64_t a64_pmu_events;       /* PMCEID0_EL0 */
void a64_pmu_init(A64Cpu *c);
void a64_pmu_fini(A64Cpu *c);
void a64_pmu_begin(A64Cpu *c);              /* after reset or restore */
void a64_pmu_sync(A64Cpu *c);               /* bring the counters up to date, go on in the mode of now */
void a64_pmu_count(A64Cpu *c, unsigned event);

/* rt-pauth.c: after TCR_EL1 or the features changed */
void a64_pauth_update(A64Cpu *c);

/* mmu.c */
bool a64_walk(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, bool probe, WalkResult *res);
/* The address that a branch to `pc` goes to: without its tag where the regime ignores it. */
vaddr a64_plain_pc(const A64Cpu *c, vaddr pc);
uint64_t a64_context_key(Cpu *cpu, unsigned mmu_idx);
uint16_t a64_asid(Cpu *cpu);
void a64_raise_fault(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word);
void a64_raise_align(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word);
void a64_raise_bus(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t word);
void a64_at(A64Cpu *c, vaddr va, bool el0, bool write, bool pan);

/* Exception classes */
enum {
    EC_UNKNOWN = 0x00, EC_WFX = 0x01, EC_FP = 0x07, EC_PAC = 0x09, EC_BTI = 0x0d, EC_ILLEGAL = 0x0e, EC_SVC64 = 0x15, EC_HVC64 = 0x16, EC_SMC64 = 0x17,
    EC_SYSREG = 0x18, EC_FPAC = 0x1c, EC_IABORT_LOW = 0x20, EC_IABORT = 0x21, EC_PC_ALIGN = 0x22, EC_DABORT_LOW = 0x24, EC_DABORT = 0x25, EC_SP_ALIGN = 0x26,
    EC_SERROR = 0x2f, EC_BREAKPOINT_LOW = 0x30, EC_STEP_LOW = 0x32, EC_STEP = 0x33, EC_WATCHPOINT_LOW = 0x34, EC_BRK64 = 0x3c,
};
#define ESR_IL (1u << 25)

#endif
