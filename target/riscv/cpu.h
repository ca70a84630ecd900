/* SPDX-License-Identifier: MIT */
/*
 * State of an RV64 processor: M, S and U mode.
 *
 * General and floating point registers and some CSRs are slots of the recompiler (translate.h); what mip shows are the lines of
 * the Cpu, those that software sets among them.  Only the vCPU's own thread touches any of it while it runs.
 */
#ifndef TARGET_RISCV_CPU_H
#define TARGET_RISCV_CPU_H

#include "accel/tcg/cpu-ops.h"
#include "hw/core/clock.h"
#include "hw/core/cpu.h"
#include "target/riscv/features.h"
#include "target/riscv/riscv-cpu.h"

typedef enum {
#define CSR(name, ...) CSR_##name,
#include "target/riscv/csrs.def"
#undef CSR
    CSR_COUNT
} RvCsrId;

typedef enum { PRIV_U, PRIV_S, PRIV_M = 3 } RvPriv;
enum { RV_EXC_NONE, RV_EXC_TRAP, RV_EXC_NOTHING /* go on at env->pc */ };
enum { RV_PMPS = 16 };

typedef enum {
    CAUSE_FETCH_ALIGN, CAUSE_FETCH_ACCESS, CAUSE_ILLEGAL, CAUSE_BREAKPOINT, CAUSE_LOAD_ALIGN, CAUSE_LOAD_ACCESS, CAUSE_STORE_ALIGN, CAUSE_STORE_ACCESS,
    CAUSE_ECALL_U, CAUSE_ECALL_S, CAUSE_ECALL_M = 11, CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE = 15,
} RvCause;

typedef struct RvModel RvModel;

typedef struct RvPmp { uint64_t first, last; uint8_t cfg; } RvPmp;       /* inclusive; first > last: matches nothing */

typedef struct RvCpu {
    Cpu cpu;
    TcgEnv env;
    /* ---- slots ---- */
    uint64_t x[32];             /* x[0] is 0 and no slot */
    uint64_t f[32];             /* singles are boxed in ones */
    uint64_t mstatus;           /* without SD */
    uint64_t csr[CSR_COUNT];    /* of those rows that have no hooks */
    uint32_t cross;             /* 0x10000 | second half of the instruction at env.pc, which lies on two pages; else 0.  translate.c */
    /* ---- the rest ---- */
    uint32_t priv;              /* RvPriv */
    uint32_t frm;
    uint32_t fflags;            /* with env.guest_mxcsr while running: rv_fflags_get() */
    uint8_t pmpcfg[RV_PMPS];
    uint64_t pmpaddr[RV_PMPS];
    uint64_t cycle_off, instret_off;
    /* reservation: as A64's exclusives, a value for closed forms and the accelerator's monitor for open ones */
    uint64_t res_addr;          /* UINT64_MAX: none */
    uint32_t res_size;
    uint32_t res_misses;
    int64_t res_miss_at;
    bool open_res;              /* no closed forms any more */
    /* ---- derived, not saved ---- */
    uint64_t features;          /* bit per RvFeature */
    uint64_t key;               /* rv_mode_changed() */
    RvPmp pmp[RV_PMPS];
    unsigned npmp;              /* entries up to the last that is on */
    struct { uint64_t cause, tval; } exc;
    char *gdb_csrs;             /* description for the debugger */
    bool walk_access;           /* the failed walk was an access fault */
    /* ---- properties ---- */
    const RvModel *model;
    uint64_t hartid, resetvec;
    uint32_t sv;                /* levels - 3 of the largest address space; from the properties sv39, sv48, sv57 */
    bool feature[RV_FEAT_COUNT], sv39, sv48, sv57, mmu, pmp_on, h, v, smaia, ssaia, zfh, zfa, zicntr, zihpm, svade;
    uint32_t cbom_blocksize, cboz_blocksize;
} RvCpu;

static inline RvCpu *rv_cpu(Cpu *cpu)
{
    return (RvCpu *)cpu;
}

static inline RvCpu *rv_of_env(TcgEnv *env)
{
    return (RvCpu *)((char *)env - offsetof(RvCpu, env));
}

static inline bool rv_has(const RvCpu *c, RvFeature f)
{
    return f == RV_FEAT_none || c->features >> f & 1;
}

/* ---- fields ---- */
#define MSTATUS_SIE  (1ull << 1)
#define MSTATUS_MIE  (1ull << 3)
#define MSTATUS_SPIE (1ull << 5)
#define MSTATUS_MPIE (1ull << 7)
#define MSTATUS_SPP  (1ull << 8)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP  (3ull << 11)
#define MSTATUS_FS   (3ull << 13)
#define MSTATUS_MPRV (1ull << 17)
#define MSTATUS_SUM  (1ull << 18)
#define MSTATUS_MXR  (1ull << 19)
#define MSTATUS_TVM  (1ull << 20)
#define MSTATUS_TW   (1ull << 21)
#define MSTATUS_TSR  (1ull << 22)
#define MSTATUS_UXL  (3ull << 32)
#define MSTATUS_XLEN (2ull << 32 | 2ull << 34)          /* UXL and SXL: 64 bits */
#define MSTATUS_SD   (1ull << 63)

#define ENVCFG_CBIE_SHIFT 4
#define ENVCFG_CBCFE (1ull << 6)
#define ENVCFG_CBZE  (1ull << 7)
#define MENVCFG_ADUE (1ull << 61)
#define MENVCFG_PBMTE (1ull << 62)
#define MENVCFG_STCE (1ull << 63)

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_A_SHIFT = 3, PMP_L = 0x80 };

/* ---- block key: what a translation assumes ---- */
#define KEY_PRIV(k)  ((k) & 3)
#define KEY_MPRV     (1ull << 2)    /* data accesses go through RV_MMU_DATA */
#define KEY_FP       (1ull << 3)    /* FS is not off */
#define KEY_FP_DIRTY (1ull << 4)    /* FS is dirty already */
#define KEY_FRM_SHIFT 5
#define KEY_FRM(k)   ((k) >> KEY_FRM_SHIFT & 7)
#define KEY_TVM      (1ull << 8)
#define KEY_TW       (1ull << 9)
#define KEY_TSR      (1ull << 10)
#define KEY_CBZ      (1ull << 11)   /* cbo.zero is allowed in this mode */
#define KEY_CBCF     (1ull << 12)   /* cbo.clean and cbo.flush are */
#define KEY_CBI      (1ull << 13)   /* cbo.inval is */
#define KEY_OPEN_RES (1ull << 14)
#define KEY_CROSS    (1ull << 15)   /* the first instruction lies on two pages; its second half is ... */
#define KEY_CROSS_SHIFT 16          /* ... in bits 16-31 */

enum { RV_MMU_CURRENT, RV_MMU_DATA };       /* mmu indexes of the front end */

/* ---- between the files of this folder ---- */
extern const CpuOps rv_cpu_ops;
extern const TcgTarget rv_tcg_target;

void rv_mode_changed(RvCpu *c);                 /* recomputes the block key */
uint64_t rv_mip(const RvCpu *c);
uint32_t rv_fflags_get(const RvCpu *c);
void rv_fflags_set(RvCpu *c, uint32_t val);

/* exception.c.  Raise: makes it the pending exception; state must be precise. */
void rv_raise(RvCpu *c, RvCause cause, uint64_t tval);
void rv_deliver(Cpu *cpu);
bool rv_take_irq(Cpu *cpu);
bool rv_has_work(Cpu *cpu);
uint64_t rv_return(RvCpu *c, RvPriv from);      /* mret, sret: the new pc */

/* mmu.c */
bool rv_walk(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, bool probe, WalkResult *res);
uint64_t rv_context_key(Cpu *cpu, unsigned mmu_idx);
uint16_t rv_asid(Cpu *cpu);
void rv_raise_fault(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word);
void rv_raise_align(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word);
void rv_raise_bus(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t word);

/* pmp.c */
void rv_pmp_update(RvCpu *c);                   /* pmp[] from the registers */
bool rv_pmp_csr(RvCpu *c, unsigned number, bool write, uint64_t *val);      /* false: no such register */
/* What may be done at `pa` by `priv`: bits of WalkResult.prot. */
unsigned rv_pmp_prot(const RvCpu *c, paddr pa, RvPriv priv);

/* csr.c */
typedef struct RvCsr {
    const char *name;
    uint16_t number;
    uint8_t feature, flags;
    uint64_t mask;
    uint64_t (*read)(RvCpu *c, unsigned id);
    void (*write)(RvCpu *c, unsigned id, uint64_t val);
} RvCsr;
enum { RV_CSR_SLOT = 1, RV_CSR_COUNTER = 2, RV_CSR_FP = 4 };
extern const RvCsr rv_csrs[];
int rv_csr_by_number(unsigned number);          /* RvCsrId, -1: none, or one of several of a kind */
void rv_csr_reset(RvCpu *c);
/* Access with all checks; false: illegal.  old or val NULL: no read, no write. */
bool rv_csr_access(RvCpu *c, unsigned number, uint64_t *old, const uint64_t *val, bool debugger);

/* gdb.c */
const char *rv_gdb_xml(Cpu *cpu, const char *annex);
unsigned rv_gdb_read(Cpu *cpu, unsigned reg, uint8_t *buf);
unsigned rv_gdb_write(Cpu *cpu, unsigned reg, const uint8_t *buf);

#endif
