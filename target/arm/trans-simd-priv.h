/* SPDX-License-Identifier: MIT */
/*
 * What the floating point and Advanced SIMD chapters of the A64 front end share.
 *
 * Every trans_ function here begins with simd_on(): where FP is trapped (a fact
 * of the block key) the instruction raises instead, and the function is done.
 * Most operations are inline IR; the others are calls of a routine of
 * rt-simd.def with the registers' slots and a descriptor.
 */
#ifndef TARGET_ARM_TRANS_SIMD_PRIV_H
#define TARGET_ARM_TRANS_SIMD_PRIV_H

#include "target/arm/rt-simd.h"
#include "target/arm/translate.h"

#define simd_on(d) fp_enabled(d)

static inline IrVal v_get(A64Dis *d, int n) { return ir_get(d->ir, SLOT_V0 + (unsigned)n); }
static inline void v_set(A64Dis *d, int n, IrVal v) { ir_set(d->ir, SLOT_V0 + (unsigned)n, v); }

/* A result of 64 (q = 0) or 128 bits: what is above becomes zero. */
static inline void v_put(A64Dis *d, int n, int q, IrVal v)
{
    v_set(d, n, q ? v : ir_vzext(d->ir, IR_V128, v));
}

static inline IrVal v_rep(A64Dis *d, uint64_t rep) { return ir_vconst(d->ir, IR_V128, rep); }

/* A value of `size` (log2 of the bytes) in every element of 64 bits. */
static inline uint64_t rep_of(int size, uint64_t v)
{
    return size == 3 ? v : (v & ((1ull << (8 << size)) - 1)) * (~0ull / ((1ull << (8 << size)) - 1));
}

/* The low halves of two registers side by side. */
static inline IrVal v_join(A64Dis *d, IrVal lo, IrVal hi)
{
    return ir_v2(d->ir, OP_vzip1, IR_E64, 0, lo, hi);
}

/* Saturation happened where bits are set. */
static inline void qc_add(A64Dis *d, int q, IrVal bits)
{
    bits = q ? bits : ir_vzext(d->ir, IR_V128, bits);
    ir_set(d->ir, SLOT_QC, ir_v2(d->ir, OP_vor, IR_E64, 0, ir_get(d->ir, SLOT_QC), bits));
}

/* Scalars of single and double precision. */
static inline IrType f_type(int size) { return size == 3 ? IR_F64 : IR_F32; }
static inline IrVal f_get(A64Dis *d, int size, int n) { return ir_vlow(d->ir, f_type(size), v_get(d, n)); }
static inline void f_set(A64Dis *d, int n, IrVal v) { v_set(d, n, ir_vzext(d->ir, IR_V128, v)); }

/* The bits of a scalar as an integer. */
static inline IrVal bits_get(A64Dis *d, int size, int n)
{
    return ir_vget(d->ir, size == 3 ? IR_I64 : IR_I32, size, v_get(d, n), 0, false);
}

/* May FP arithmetic be the host's? Halves never are. */
static inline bool f_inline(int size) { return size >= 2; }

/*
 * ---- operands and results of inline arithmetic, for FZ (trans-fz.c); a value comes back as it is but from _flush ----
 * Operands of sums and products, _arith, are the host code's business while the block says flush_exact.
 */
IrVal fz_vector(A64Dis *d, int size, IrVal v);
IrVal fz_vector_flush(A64Dis *d, int size, IrVal v);        /* where the host would not flush: minimum and maximum */
IrVal fz_lane_arith(A64Dis *d, int size, IrVal v, int lane);        /* in every element */
IrVal fz_low(A64Dis *d, int size, IrVal v);
IrVal fz_low_flush(A64Dis *d, int size, IrVal v);
IrVal fz_element_arith(A64Dis *d, int size, IrVal v, int lane);
IrVal fz_scalar(A64Dis *d, int size, IrVal f);
void fz_mark(A64Dis *d, int size, IrVal v);                 /* v has no denormals */

static inline IrVal fz_vector_arith(A64Dis *d, int size, IrVal v) { return d->ir->flush_exact ? v : fz_vector(d, size, v); }
static inline IrVal fz_low_arith(A64Dis *d, int size, IrVal v) { return d->ir->flush_exact ? ir_vlow(d->ir, f_type(size), v) : fz_low(d, size, v); }
static inline IrVal f_in(A64Dis *d, int size, int n) { return fz_low(d, size, v_get(d, n)); }
static inline IrVal f_arith(A64Dis *d, int size, int n) { return fz_low_arith(d, size, v_get(d, n)); }

static inline void f_result(A64Dis *d, int size, int n, IrVal f)
{
    IrVal v = ir_vzext(d->ir, IR_V128, f);

    fz_mark(d, size, v);
    v_set(d, n, v);
}

static inline void v_result(A64Dis *d, int size, int n, int q, IrVal v)
{
    v = q ? v : ir_vzext(d->ir, IR_V128, v);
    fz_mark(d, size, v);
    v_set(d, n, v);
}

/* The uniform call of rt-simd.def. */
static inline void simd_call(A64Dis *d, unsigned rt, int rd, int rn, int rm, uint32_t desc)
{
    ir_call(d->ir, rt, IR_SIO(SLOT_V0 + rd), IR_SIN(SLOT_V0 + rn), IR_SIN(SLOT_V0 + rm), IR_V(ir_i64(d->ir, desc)));
}

static inline bool simd_call_v(A64Dis *d, unsigned rt, int size, int q, int rd, int rn, int rm, unsigned imm, unsigned x)
{
    if (simd_on(d)) {
        simd_call(d, rt, rd, rn, rm, RT_DESC(size, q ? 16 : 8, imm, x));
    }
    return true;
}

/* One element. */
static inline bool simd_call_s(A64Dis *d, unsigned rt, int size, int rd, int rn, int rm, unsigned imm, unsigned x)
{
    if (simd_on(d)) {
        simd_call(d, rt, rd, rn, rm, RT_DESC(size, 1 << size, imm, x));
    }
    return true;
}

#define TRANS(name, set, ...) bool trans_##name(A64Dis *d, arg_##set *a) { return __VA_ARGS__; }

#endif
