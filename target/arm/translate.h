/* SPDX-License-Identifier: MIT */
/*
 * The A64 front end: what trans-*.c share.
 *
 * trans_NAME(d, a) is called by the decoder with the arguments of the row; it
 * emits IR through d->ir and returns true, or returns false for an encoding that
 * is not allocated (before it has emitted anything).  What it needs to know is
 * in d->key, d->cpu's features and the instruction; never the CPU's state.
 *
 * Order within an instruction: accesses and other operations that may fault
 * first, then gpr_set() and friends.
 */
#ifndef TARGET_ARM_TRANSLATE_H
#define TARGET_ARM_TRANSLATE_H

#include "target/arm/a64-decode.h"
#include "target/arm/cpu.h"
#include "target/arm/decode-fields.h"
#include "tcg/ir.h"

/* ---- slots ---- */
enum {
    SLOT_X0 = 0,
    SLOT_SP = 31,
    SLOT_N, SLOT_Z, SLOT_C, SLOT_V,
    SLOT_V0 = 36,               /* 32 vectors, V128 */
    SLOT_SYS = SLOT_V0 + 32,    /* some system registers: target.c */
    SLOT_DAIF = SLOT_SYS + 7,
    SLOT_SS,
    SLOT_QC,                    /* any bit set: FPSR.QC */
    SLOT_STEPPED,
    SLOT_BTYPE,                 /* 0 while blocks run: TcgEnv.landing */
    SLOT_IDC,                   /* two, for singles and doubles: any bit but signs: FPSR.IDC */
};

/* ---- runtime routines: rt.def, and rt-simd.def for FP and SIMD ---- */
enum {
#define RT(name, flags, ret, nargs) RT_##name,
#include "target/arm/rt.def"
#undef RT
#define RT_SIMD(name) RT_##name,
#include "target/arm/rt-simd.def"
#undef RT_SIMD
    RT_COUNT
};

/* What set the flags last in this block: conditions are then a compare of these. */
typedef enum { CC_NONE, CC_SUB, CC_AND, CC_ADD } A64CcKind;

typedef struct A64Dis {
    TransCtx *tc;
    IrBlock *ir;
    A64Cpu *cpu;            /* features only */
    uint64_t key;
    int64_t off;            /* of this instruction from the page base */
    uint32_t insn;
    unsigned ninsns;        /* translated before this one */
    bool done;              /* an END operation was emitted */
    bool sp_checked;        /* SP is aligned to 16 from here on */
    A64CcKind cc;
    IrVal cc_a, cc_b, cc_res;
    /* a conditional compare that is one with the B.cond behind it: two branches */
    struct { bool on, sub; unsigned nzcv; IrCond c; IrVal a, b, n, m; } ccmp;
    /* an open LDXR in this block whose STXR would be a closed form */
    bool excl;
    IrVal excl_addr, excl_old[2];
    uint8_t excl_size, excl_n;
    uint16_t excl_rn;
    uint8_t flushed[IR_MAX_VALUES];     /* vectors without denormals: FLUSHED bits of trans-fz.c */
} A64Dis;

static inline bool a64_feature(const A64Dis *d, A64Feature f)
{
    return a64_has(d->cpu, f);
}

static inline bool el1(const A64Dis *d)
{
    return d->key & KEY_EL;
}

/* ---- registers ---- */
IrVal gpr_get(A64Dis *d, unsigned r, bool sf);      /* I64 or I32; 31 is zero */
IrVal gpr_get_sp(A64Dis *d, unsigned r, bool sf);   /* 31 is SP */
void gpr_set(A64Dis *d, unsigned r, IrVal v);       /* I32 is zero-extended; 31 is dropped */
void gpr_set_sp(A64Dis *d, unsigned r, IrVal v);

static inline unsigned vslot(unsigned r)
{
    return SLOT_V0 + r;
}

/* FP or SIMD is enabled; else the trap has been emitted and the translator just returns true. */
bool fp_enabled(A64Dis *d);

/* ---- flags ---- */
typedef struct A64Cond { IrCond c; IrVal a, b; } A64Cond;
IrCond cond_negate(IrCond c);
A64Cond cond_get(A64Dis *d, unsigned cond);         /* 0-13; 14 and 15 are always true: a == a */
void flags_set(A64Dis *d, IrFlags f);
void flags_set_nzcv(A64Dis *d, unsigned nzcv);
bool nzcv_holds(unsigned cond, unsigned nzcv);      /* ConditionHolds(): cond 0-13 */
IrVal flags_nzcv(A64Dis *d);                        /* I64, bits 31-28 */
void flags_from_nzcv(A64Dis *d, IrVal nzcv);
/* add or subtract with flags; remembers what conditions need */
IrVal adds_flags(A64Dis *d, IrVal x, IrVal y);
IrVal subs_flags(A64Dis *d, IrVal x, IrVal y);
IrVal ands_flags(A64Dis *d, IrVal x, IrVal y);

/* ---- memory ---- */
/* Base register with the SP alignment check where it is on. */
IrVal base_get(A64Dis *d, unsigned rn);
/* Descriptor of a normal access of 1 << size bytes. */
IrMem mem_desc(A64Dis *d, unsigned size);

/* ---- leaving ---- */
/* Codes of ir_raise beside ESR values (bit 32: the preferred return address is the next instruction). */
enum { A64_RAISE_PC_ALIGN = -1, A64_RAISE_STEP = -2, A64_RAISE_BREAK = -3 };

/* Words of instructions (ir_insn_word), for the syndrome of a fault. */
enum { A64_WORD_CM = 1 };       /* cache maintenance */
void end_goto(A64Dis *d, int64_t disp);             /* to an offset from the page base */
void end_jump(A64Dis *d, IrVal target, unsigned hint);
void end_branch(A64Dis *d, IrVal target, unsigned btype);   /* BR and BLR: PSTATE.BTYPE at the target */
void branch_if(A64Dis *d, A64Cond c, int64_t disp); /* conditional branch; the block goes on behind it */
void end_mode(A64Dis *d);                           /* state that the key depends on changed: back to the run loop, next instruction */
void raise_esr(A64Dis *d, uint32_t ec, uint32_t iss);       /* exception at this instruction */
void raise_after(A64Dis *d, uint32_t ec, uint32_t iss);     /* preferred return is the next one */
void raise_undef(A64Dis *d);

void a64_translate(TransCtx *tc);
/* The next instruction is a B.cond with a condition, and in this block. */
bool a64_branch_follows(const A64Dis *d);
uint64_t a64_landing_key(uint64_t key, unsigned btype, const uint8_t *code, uint32_t off, bool guarded);
/* Thunk per row of the decode tables. */
extern bool (*const a64_trans[])(struct A64Dis *d, uint32_t insn);
int a64_row_of(uint32_t insn);

/* Slot of a system register that has one (SR_PLAIN), -1. */
int a64_slot_of_sysreg(unsigned id);

/* ---- pointer authentication: the result of AUT*, the pointer itself where the key is disabled ---- */
IrVal pauth_aut(A64Dis *d, IrVal ptr, IrVal mod, unsigned key);

#endif
