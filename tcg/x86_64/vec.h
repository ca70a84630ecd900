/* SPDX-License-Identifier: MIT */
/*
 * Vector operations on x86-64: what vec.c, vec-perm.c and vec-fp.c share.
 *
 * Only 128-bit values are computed here; other widths go to the evaluator.  Sequences of several
 * instructions build their parts in the scratch registers, which no value lives in, and write the result last,
 * so that it may take the register of an input.  They need VEX (three operands);
 * a host without AVX has single instructions here and the evaluator for the rest.
 */
#ifndef TCG_X86_64_VEC_H
#define TCG_X86_64_VEC_H

#include "tcg/x86_64/emit.h"

/* Opcodes used in more than one file. */
enum {
    V_MOVAPS = M0F | 0x28, V_PXOR = M0F | P66 | 0xef, V_PAND = M0F | P66 | 0xdb, V_PANDN = M0F | P66 | 0xdf, V_POR = M0F | P66 | 0xeb, V_PTEST = M38 | P66 | 0x17,
    V_MOVQ = M0F | PF3 | 0x7e, V_PSHUFD = M0F | P66 | 0x70, V_PSHUFB = M38 | P66 | 0x00, V_SHUFPS = M0F | 0xc6, V_PUNPCKLQDQ = M0F | P66 | 0x6c,
    V_PUNPCKHQDQ = M0F | P66 | 0x6d, V_PACKUSWB = M0F | P66 | 0x67, V_PACKSSDW = M0F | P66 | 0x6b, V_PCMPEQD = M0F | P66 | 0x76, V_PBLENDW = M3A | P66 | 0x0e,
};
/* Shifts by immediate: the opcode, and the register field in `reg`. */
enum { V_SHIFTW = M0F | P66 | 0x71, V_SHIFTD = M0F | P66 | 0x72, V_SHIFTQ = M0F | P66 | 0x73, SHIFT_RIGHT = 2, SHIFT_ARITH = 4, SHIFT_LEFT = 6 };

static inline void v_imm(Emit *e, uint32_t op, int d, int x, int y, unsigned imm)
{
    sse3(e, op, d, x, y);
    put8(&e->a, imm);
}

static inline void v_imm2(Emit *e, uint32_t op, int d, int x, unsigned imm)
{
    sse2(e, op, d, x);
    put8(&e->a, imm);
}

static inline void v_shift(Emit *e, uint32_t op, unsigned kind, int d, int x, unsigned n)
{
    if (e->has.avx) {
        vex_rr(&e->a, op, false, (int)kind, d, x);
    } else {
        if (d != x) {
            op_rr(&e->a, V_MOVAPS, false, d, x);
        }
        op_rr(&e->a, op, false, (int)kind, d);
    }
    put8(&e->a, n);
}

/* y in memory, aligned to 16 */
static inline void v_mem(Emit *e, uint32_t op, int d, int x, const uint8_t *y)
{
    if (e->has.avx) {
        vex_rm(&e->a, op, false, d, x, mem_rip(y));
        return;
    }
    if (d != x) {
        op_rr(&e->a, V_MOVAPS, false, d, x);
    }
    op_rm(&e->a, op, false, d, mem_rip(y));
}

/* The same with an immediate byte; VEX only. */
static inline void v_mem_imm(Emit *e, uint32_t op, int d, int x, const uint8_t *y, unsigned imm)
{
    vex_head(&e->a, op, false, false, d, x, NOREG, NOREG);
    asm_mem(&e->a, d, mem_rip(y), 1);
    put8(&e->a, imm);
}

static inline const uint8_t *v_const(const Emit *e, unsigned c) { return e->xc->consts + c; }

/* Is what lies above the low element, of type F32 or F64, zero in the value's register?  (e->zext of a float says so as well.) */
bool v_alone(const Emit *e, uint16_t v, unsigned type);

/* 16 bytes, 64 bits twice, for this block. */
const uint8_t *v_rep(Emit *e, uint64_t v);
const uint8_t *v_bytes(Emit *e, uint64_t lo, uint64_t hi);

static inline void v_zero(Emit *e, int d) { sse3(e, V_PXOR, d, d, d); }

static inline int v_in(Emit *e, unsigned k) { return ra_use(e, e->op->in[k]); }
static inline int v_out(Emit *e, int prefer, uint32_t avoid) { return ra_def(e, e->op->out[0], prefer, avoid); }

/* Not for code of this file: width, or no AVX for a sequence. */
static inline bool v_eval(Emit *e, bool sequence)
{
    if (e->op->type == IR_V128 && (e->has.avx || !sequence)) {
        return false;
    }
    emit_eval(e);
    return true;
}

/* One instruction of two operands. */
void v_two(Emit *e, uint32_t op);
/* jcc over to cold code that computes the operation again by the evaluator; inputs are where they were, d is none of them. */
void v_cold(Emit *e, unsigned cc, int d);

EmitFn vec_zip1, vec_zip2, vec_uzp1, vec_uzp2, vec_trn1, vec_trn2, vec_ext, vec_rev, vec_tbl, vec_dup, vec_duplane, vec_get, vec_set, vec_setlane, vec_zext, vec_low,
    vec_widenu, vec_widens, vec_narrow;
EmitFn vec_fadd, vec_fsub, vec_fmul, vec_fdiv, vec_fsqrt, vec_fma, vec_fabs, vec_fneg, vec_fmin, vec_fmax, vec_fcmp, vec_f2i, vec_i2f, vec_fround, vec_paddf;

#endif
