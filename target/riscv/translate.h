/* SPDX-License-Identifier: MIT */
/*
 * The RV64 front end: what trans-*.c share.
 *
 * rv_trans_NAME(d, a) is called by the decoder with the arguments of the row; it emits IR through d->ir and returns true, or
 * returns false for an illegal encoding (before it has emitted anything).  What it needs to know is in d->key, the features and
 * the instruction.  Operations that may fault come before rv_x_set() and f_set().
 *
 * Instructions on two pages.  A block belongs to one page, so an instruction whose second half is on the next page is
 * a block that first reads that half (rt_rv_fetch_next, which raises the faults of a fetch) and compares it with what it
 * was translated for.  When it is another one, or was not there to be seen, the block with KEY_CROSS runs, which has
 * the half in its key, and RvCpu.cross says so.
 */
#ifndef TARGET_RISCV_TRANSLATE_H
#define TARGET_RISCV_TRANSLATE_H

#include "target/riscv/rv-decode.h"
#include "target/riscv/cpu.h"
#include "tcg/ir.h"

/* ---- slots ---- */
enum {
    SLOT_X1 = 0,                /* 31, without x0 */
    SLOT_F0 = 31,               /* 32, F64 */
    SLOT_MSTATUS = 63,
    SLOT_CROSS,
    SLOT_CSR,                   /* the rows of csrs.def that say SLOT, in their order */
};

enum {
#define RT(name, flags, ret, nargs) RT_##name,
#include "target/riscv/rt.def"
#undef RT
    RT_COUNT
};

typedef struct RvDis {
    TransCtx *tc;
    IrBlock *ir;
    RvCpu *cpu;                 /* features only */
    uint64_t key;
    int64_t off;                /* of this instruction from the page base */
    uint32_t insn;
    unsigned len;               /* 2 or 4 */
    unsigned ninsns;            /* translated before this one */
    bool done;                  /* an END operation was emitted */
    bool fp_marked;             /* FS was made dirty in this block */
    IrVal single[32];           /* F32: what the register holds boxed, when that is known */
    /* an LR in this block whose SC makes a closed form */
    bool res;
    IrVal res_addr, res_old;
    uint8_t res_size, res_rs1;
} RvDis;

#define TRANS(name, set) bool rv_trans_##name(RvDis *d, arg_##set *a)

static inline bool rv_feature(const RvDis *d, RvFeature f)
{
    return rv_has(d->cpu, f);
}

static inline RvPriv priv_of(const RvDis *d)
{
    return KEY_PRIV(d->key);
}

/* ---- registers; x0 lives here ---- */
IrVal rv_x_get(RvDis *d, unsigned r);
IrVal rv_w_get(RvDis *d, unsigned r);              /* I32 */
void rv_x_set(RvDis *d, unsigned r, IrVal v);      /* I32 is sign-extended */
IrVal rv_f64_get(RvDis *d, unsigned r);             /* F64 */
IrVal rv_f32_get(RvDis *d, unsigned r);             /* F32; what is not boxed is the canonical NaN */
void rv_f64_set(RvDis *d, unsigned r, IrVal v);
void rv_f32_set(RvDis *d, unsigned r, IrVal v);
void rv_fp_mark(RvDis *d);                         /* mstatus.FS becomes dirty */
int rv_slot_of_csr(unsigned id);                /* -1: none */

/* ---- memory ---- */
IrMem rv_mem_desc(const RvDis *d, unsigned size);

/* ---- leaving: targets are offsets from the page base ---- */
void rv_end_goto(RvDis *d, int64_t disp);
void rv_end_jump(RvDis *d, IrVal target, unsigned hint);
void rv_end_mode(RvDis *d);                        /* state that the key depends on has changed: next instruction */
void rv_end_leave(RvDis *d, IrLeave why);          /* the same for another reason */
void rv_branch_if(RvDis *d, IrCond c, IrVal x, IrVal y, int64_t disp);
/* Codes of ir_raise: cause, with the instruction for tval above; or one of these. */
enum { RV_RAISE_CROSS = -1, RV_RAISE_CROSS_UNSEEN = -2 };
/* Words of instructions (ir_insn_word). */
enum { RV_WORD_CBO = 1 };                       /* faults are those of a store */
void rv_raise_cause(RvDis *d, RvCause cause);      /* tval 0 */
void rv_raise_illegal(RvDis *d);

void rv_translate(TransCtx *tc);
extern bool (*const rv_trans[])(struct RvDis *d, uint32_t insn);
int rv_row_of(uint32_t insn);
/* Does the block end between the instruction at `off`, number n of it, and the one before? */
bool rv_ends_before(const RvDis *d, unsigned n, int64_t off);

#endif
