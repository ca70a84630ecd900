/* SPDX-License-Identifier: MIT */
/*
 * The intermediate representation of the recompiler, and how to build it.
 *
 * A block (IrBlock) is one straight line of operations with one entry: side
 * exits leave it, nothing joins it.  Values (IrVal) are defined once; there
 * are no labels inside a block.  What an instruction needs beyond that it gets
 * from `movcond`, from a side exit, or from a runtime routine.
 *
 * Guest state is a bank of *slots* that the target describes (tcg/target.h).
 * The builder keeps the current value of each slot, so reading a slot after
 * writing it costs nothing; only the first read emits `get`.
 *
 * Rules for front ends (checked by ir_verify in debug builds)
 *  - each guest instruction begins with ir_insn();
 *  - within one instruction every operation that may fault comes before the
 *    first ir_set(): state at a fault is the state at the start of the
 *    instruction.  Stores that may fault in their second part use ir_probe()
 *    or one wide/pair access first;
 *  - the last operation is one of the END operations;
 *  - all code of a block lies in one 4 KiB page of guest-physical memory and
 *    addresses are displacements from the block's virtual page base, which is
 *    a run-time value (ir_pc): the same block serves every virtual alias;
 *  - whatever the translation assumed (mode, features) is in the block key.
 *
 * Building folds constants and the simple identities.  A builder belongs to
 * one thread; all memory is in the block's arrays and is reused, there is no
 * allocation per operation.
 */
#ifndef TCG_IR_H
#define TCG_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum { IR_I32, IR_I64, IR_I128, IR_F32, IR_F64, IR_V64, IR_V128, IR_V256, IR_NTYPES } IrType;

typedef enum {
#define OP(name, nout, nin, flags) OP_##name,
#include "tcg/ops.def"
#undef OP
    OP_COUNT
} IrOpcode;

enum { IR_COMM = 1, IR_SIDE = 2, IR_FAULT = 4, IR_EXIT = 8, IR_END = 16, IR_FP = 32 };

typedef struct { const char *name; uint8_t nout, nin, flags; } IrOpInfo;
extern const IrOpInfo ir_op_info[OP_COUNT];

/* A value; 0 is "none". */
typedef struct { uint16_t id; } IrVal;
#define IR_NONE ((IrVal){ 0 })

typedef enum {
    IR_EQ, IR_NE, IR_LT, IR_GE, IR_LE, IR_GT, IR_LTU, IR_GEU, IR_LEU, IR_GTU,
    IR_TSTEQ, IR_TSTNE,                     /* (a & b) ==, != 0 */
    IR_NCOND
} IrCond;

/* Floating point conditions: O = false when unordered, U = true when unordered. */
typedef enum {
    IR_FEQ, IR_FNE_U, IR_FLT_O, IR_FLE_O, IR_FGT_O, IR_FGE_O, IR_FLT_U, IR_FLE_U, IR_FGT_U, IR_FGE_U, IR_FUN, IR_FORD,
    IR_NFCOND, IR_FCMP_SIGNAL = 16          /* quiet NaNs raise invalid too */
} IrFCond;

typedef enum { IR_U8, IR_S8, IR_U16, IR_S16, IR_U32, IR_S32 } IrExt;
typedef enum { IR_E8, IR_E16, IR_E32, IR_E64 } IrElem;
typedef enum { IR_RN, IR_RP, IR_RM, IR_RZ, IR_RA /* ties away */, IR_RCUR /* guest's current mode */ } IrRound;
enum { IR_CVT_UNSIGNED = 16, IR_ROUND_EXACT = 32 };
enum { IR_FMA_NEG_PROD = 1, IR_FMA_NEG_ADD = 2 };
enum { IR_DIV_ZERO = 0, IR_DIV_ONES = 1 };
enum { IR_JUMP, IR_RET };
/* Added to IR_JUMP: a kind from 1 to 3 that the code at the target must allow (branch target identification).  What was looked up for kinds
 * 1 and 2 is kept in one dispatch cache, for kind 3 in another; where no code is known the kind is left in env->landing. */
#define IR_LANDING(k) ((k) << 1)
#define IR_LANDING_OF(hint) ((hint) >> 1 & 3)
enum { IR_FENCE_LOAD = 1, IR_FENCE_STORE = 2, IR_FENCE_FULL = 4 };
enum { IR_AESE, IR_AESD, IR_AESMC, IR_AESIMC };
typedef enum { IR_RMW_XCHG, IR_RMW_ADD, IR_RMW_AND, IR_RMW_CLR /* old & ~x */, IR_RMW_OR, IR_RMW_XOR,
               IR_RMW_SMAX, IR_RMW_SMIN, IR_RMW_UMAX, IR_RMW_UMIN } IrRmw;

/* Why a block goes back to the run loop. */
typedef enum {
    IR_LEAVE_MODE,          /* block key, contexts or interrupt masks may have changed: look them up again */
    IR_LEAVE_HALT,          /* the CPU waits for an interrupt (WFI) */
    IR_LEAVE_YIELD,         /* let others run (YIELD, WFE) */
    IR_LEAVE_DEBUG,         /* breakpoint or single step */
} IrLeave;

/*
 * Access descriptor (IrMem), the imm of memory operations.
 * bits 0-2  size log2, 0..5 (of one element for ld2/st2/cas2)
 * bit  3    sign-extend to the output type
 * bit  4    big-endian
 * bits 5-7  required alignment log2 (0: none); a miss is the target's alignment fault
 * bits 8-11 mmu index: 0 the current translation regime; others by the target
 * bit  12   of ld2 and st2: both elements are one single-copy atomic access where they lie in an aligned unit of 16 bytes of memory
 * bit  13   never through the inline path (device-like, tagged ...): always call the slow path
 * bit  14   with an alignment of the whole access's size: one within an aligned unit of 16 bytes need not be aligned
 * bits 15-17 the access is several of 1 << (n - 1) bytes (0: it is one): that is what memory that wants alignment wants aligned
 */
typedef uint32_t IrMem;
#define IR_MEM_SIZE(m)     ((m) & 7)
#define IR_MEM_SIGN        (1u << 3)
#define IR_MEM_BE          (1u << 4)
#define IR_MEM_ALIGN(log2) ((IrMem)(log2) << 5)
#define IR_MEM_ALIGN_OF(m) (((m) >> 5) & 7)
#define IR_MEM_IDX(i)      ((IrMem)(i) << 8)
#define IR_MEM_IDX_OF(m)   (((m) >> 8) & 15)
#define IR_MEM_ATOMIC      (1u << 12)
#define IR_MEM_SLOW        (1u << 13)
#define IR_MEM_WITHIN16    (1u << 14)
#define IR_MEM_UNIT(log2)  ((IrMem)((log2) + 1) << 15)
#define IR_MEM_UNIT_OF(m)  ((m) >> 15 & 7 ? ((m) >> 15 & 7) - 1 : IR_MEM_SIZE(m))

typedef struct IrOp {
    uint8_t opc, type;
    uint16_t sub;
    uint16_t out[4];
    uint16_t in[6];
    int64_t imm;
} IrOp;

typedef struct IrValue {
    uint8_t type;
    bool is_const;
    uint16_t def;           /* index of the defining operation */
    int64_t c;              /* of a constant (sign-extended for I32) */
} IrValue;

enum { IR_MAX_OPS = 4096, IR_MAX_VALUES = 6144, IR_MAX_SLOTS = 160, IR_MAX_INSNS = 128 };

struct TcgTarget;

/* How NaNs and flushing behave; constant over a block, part of the block key. */
typedef enum { IR_NAN_ARM, IR_NAN_ARM_DEFAULT, IR_NAN_RISCV, IR_NAN_X86 } IrNanMode;

typedef struct IrBlock {
    const struct TcgTarget *target;
    uint32_t page_off;              /* offset of the first instruction in its page */
    uint32_t nops, nvalues, ninsns;
    uint32_t code_bytes;            /* guest bytes covered, from page_off on, for invalidation */
    IrNanMode nan_mode;
    bool no_groups;                 /* accesses do not share TLB checks: their addresses lie on both sides of a page end too often */
    bool flush_exact;               /* results and operands are flushed (MXCSR); what is flushed must not raise inexact, as the host does */
    bool icount;                    /* spend an instruction budget at the head */
    bool full;                      /* the arrays are nearly exhausted: the front end must end the block now */
    IrOp ops[IR_MAX_OPS];
    IrValue values[IR_MAX_VALUES];  /* 0 is unused */
    uint16_t slot_val[IR_MAX_SLOTS];    /* builder: current value of each slot, 0 = not known */
    uint16_t const_val[64];             /* builder: small cache of constants */
} IrBlock;

/* ---- building ---- */
void ir_begin(IrBlock *b, const struct TcgTarget *t, uint32_t page_off);
void ir_insn(IrBlock *b, int64_t off, uint16_t word);
void ir_insn_word(IrBlock *b, uint16_t word);       /* another word for the current instruction */
static inline bool ir_full(const IrBlock *b) { return b->full; }

IrVal ir_const(IrBlock *b, IrType t, int64_t c);
static inline IrVal ir_i32(IrBlock *b, int32_t c) { return ir_const(b, IR_I32, c); }
static inline IrVal ir_i64(IrBlock *b, int64_t c) { return ir_const(b, IR_I64, c); }
IrType ir_type(const IrBlock *b, IrVal v);
bool ir_is_const(const IrBlock *b, IrVal v, int64_t *c);

IrVal ir_get(IrBlock *b, unsigned slot);
void ir_set(IrBlock *b, unsigned slot, IrVal v);
IrVal ir_pc(IrBlock *b, int64_t disp);

/* Any operation: the type is that of the result.  The named ones below fold first. */
IrVal ir_op1(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal a);
IrVal ir_op2(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal x, IrVal y);
IrVal ir_op3(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal x, IrVal y, IrVal z);

/* Integers: result type is the type of the first operand; both operands have one type. */
IrVal ir_add(IrBlock *b, IrVal x, IrVal y);
IrVal ir_sub(IrBlock *b, IrVal x, IrVal y);
IrVal ir_addi(IrBlock *b, IrVal x, int64_t c);
IrVal ir_mul(IrBlock *b, IrVal x, IrVal y);
IrVal ir_and(IrBlock *b, IrVal x, IrVal y);
IrVal ir_andi(IrBlock *b, IrVal x, int64_t c);
IrVal ir_or(IrBlock *b, IrVal x, IrVal y);
IrVal ir_xor(IrBlock *b, IrVal x, IrVal y);
IrVal ir_andc(IrBlock *b, IrVal x, IrVal y);
IrVal ir_orc(IrBlock *b, IrVal x, IrVal y);
IrVal ir_eqv(IrBlock *b, IrVal x, IrVal y);
IrVal ir_not(IrBlock *b, IrVal x);
IrVal ir_neg(IrBlock *b, IrVal x);
IrVal ir_shl(IrBlock *b, IrVal x, IrVal n);
IrVal ir_shr(IrBlock *b, IrVal x, IrVal n);
IrVal ir_sar(IrBlock *b, IrVal x, IrVal n);
IrVal ir_rotr(IrBlock *b, IrVal x, IrVal n);
IrVal ir_shli(IrBlock *b, IrVal x, unsigned n);
IrVal ir_shri(IrBlock *b, IrVal x, unsigned n);
IrVal ir_sari(IrBlock *b, IrVal x, unsigned n);
IrVal ir_rotri(IrBlock *b, IrVal x, unsigned n);
IrVal ir_ext(IrBlock *b, IrType t, IrExt e, IrVal x);
IrVal ir_trunc(IrBlock *b, IrVal x);            /* I64 -> I32 */
IrVal ir_zext(IrBlock *b, IrVal x);             /* I32 -> I64 */
IrVal ir_sext(IrBlock *b, IrVal x);             /* I32 -> I64 */
IrVal ir_extract(IrBlock *b, IrVal x, unsigned pos, unsigned len);
IrVal ir_sextract(IrBlock *b, IrVal x, unsigned pos, unsigned len);
IrVal ir_deposit(IrBlock *b, IrVal x, IrVal field, unsigned pos, unsigned len);
IrVal ir_setcond(IrBlock *b, IrType t, IrCond c, IrVal x, IrVal y);
IrVal ir_movcond(IrBlock *b, IrCond c, IrVal x, IrVal y, IrVal yes, IrVal no);
IrVal ir_bitcast(IrBlock *b, IrType t, IrVal x);        /* I32 <-> F32, I64 <-> F64 */

typedef struct { IrVal n, z, c, v; } IrFlags;
IrFlags ir_flags_add(IrBlock *b, IrVal x, IrVal y);
IrFlags ir_flags_sub(IrBlock *b, IrVal x, IrVal y);
IrFlags ir_flags_adc(IrBlock *b, IrVal x, IrVal y, IrVal carry);
IrFlags ir_flags_and(IrBlock *b, IrVal x, IrVal y);     /* c and v are the constant 0 */
IrFlags ir_flags_fcmp(IrBlock *b, IrVal x, IrVal y, bool signal);

/* Memory; `t` is the type of the value (I32, I64, F32, F64, V64, V128, V256). */
IrVal ir_ld(IrBlock *b, IrType t, IrVal addr, IrMem m);
void ir_st(IrBlock *b, IrVal addr, IrVal val, IrMem m);
void ir_ld2(IrBlock *b, IrType t, IrVal addr, IrMem m, IrVal *lo, IrVal *hi);
void ir_st2(IrBlock *b, IrVal addr, IrVal lo, IrVal hi, IrMem m);
IrVal ir_cas(IrBlock *b, IrVal addr, IrVal expected, IrVal val, IrMem m);
void ir_cas2(IrBlock *b, IrVal addr, IrVal elo, IrVal ehi, IrVal nlo, IrVal nhi, IrMem m, IrVal *lo, IrVal *hi);
IrVal ir_rmw(IrBlock *b, IrRmw op, IrVal addr, IrVal val, IrMem m);
void ir_probe(IrBlock *b, IrVal addr, unsigned bytes, bool write, IrMem m);
void ir_fence(IrBlock *b, unsigned kind);

/* Control. */
void ir_exit_if(IrBlock *b, IrCond c, IrVal x, IrVal y, int64_t disp);
void ir_goto(IrBlock *b, int64_t disp);
void ir_jump(IrBlock *b, IrVal target, unsigned hint);     /* IR_JUMP, with IR_LANDING() or without, or IR_RET */
void ir_push_ret(IrBlock *b, int64_t disp);
void ir_leave(IrBlock *b, IrLeave why, int64_t disp);
void ir_leave_to(IrBlock *b, IrLeave why, IrVal target);
void ir_raise_if(IrBlock *b, IrCond c, IrVal x, IrVal y, int64_t code);
void ir_raise(IrBlock *b, int64_t code);

/*
 * Runtime routines (tcg/target.h, RtRow).  Up to 6 arguments; the first C
 * argument of every routine is the TcgEnv.  An argument is a value, a
 * constant, or the address of a slot (in, out or both), which then is in
 * memory during the call.  Returns the result value (IR_NONE without one).
 */
typedef struct IrArg { enum { IR_ARG_VAL, IR_ARG_SLOT_IN, IR_ARG_SLOT_OUT, IR_ARG_SLOT_INOUT } kind; IrVal val; uint16_t slot; } IrArg;
#define IR_V(x)   ((IrArg){ .kind = IR_ARG_VAL, .val = (x) })
#define IR_SIN(s) ((IrArg){ .kind = IR_ARG_SLOT_IN, .slot = (s) })
#define IR_SOUT(s) ((IrArg){ .kind = IR_ARG_SLOT_OUT, .slot = (s) })
#define IR_SIO(s) ((IrArg){ .kind = IR_ARG_SLOT_INOUT, .slot = (s) })
IrVal ir_calln(IrBlock *b, unsigned rt, unsigned nargs, const IrArg *args);
#define ir_call(b, rt, ...) ir_calln(b, rt, sizeof((IrArg[]){ __VA_ARGS__ }) / sizeof(IrArg), (IrArg[]){ __VA_ARGS__ })
/* In the IrOp a value argument is in[i]; a slot argument has IR_IN_SLOT set: kind << 12 | slot. */
#define IR_IN_SLOT 0x8000u

/* Scalar floating point. */
IrVal ir_fop2(IrBlock *b, IrOpcode o, IrVal x, IrVal y);
IrVal ir_setfcond(IrBlock *b, IrFCond c, bool signal, IrVal x, IrVal y);

/* Vectors: the type of the result is that of the first operand. */
IrVal ir_v1(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x);
IrVal ir_v2(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x, IrVal y);
IrVal ir_v3(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x, IrVal y, IrVal z);
IrVal ir_vconst(IrBlock *b, IrType t, uint64_t rep);
IrVal ir_vdup(IrBlock *b, IrType t, IrElem e, IrVal x);
IrVal ir_vget(IrBlock *b, IrType t, IrElem e, IrVal v, unsigned lane, bool sign);   /* t I32, I64, F32, F64 */
IrVal ir_vset(IrBlock *b, IrElem e, IrVal v, unsigned lane, IrVal x);
IrVal ir_vzext(IrBlock *b, IrType t, IrVal x);      /* scalar, or V128 keeping its low 64 bits -> t */
IrVal ir_vlow(IrBlock *b, IrType t, IrVal v);       /* low F32/F64 of a vector */

/* Four rounds of SHA-256; asked again for the same operands, which is how Arm gets the second result, it is the same operation. */
void ir_vsha256r(IrBlock *b, IrVal x, IrVal y, IrVal w, IrVal *nx, IrVal *ny);

/* ---- looking at it ---- */
void ir_print(FILE *f, const IrBlock *b);           /* text form, docs/ir.md */
bool ir_parse(IrBlock *b, const struct TcgTarget *t, const char *text, char **err);
void ir_verify(const IrBlock *b);                   /* aborts with the text of a rule that is broken */

#endif
