/* SPDX-License-Identifier: MIT */
/* A64 Advanced SIMD, elements that change size, and shifts by immediate: Arm ARM (DDI 0487), C4.1.96 and C7.2. */
#include "target/arm/trans-simd-priv.h"

static IrVal widen(A64Dis *d, IrVal v, int size, bool is_signed, int high)
{
    return ir_v1(d->ir, is_signed ? OP_vwidens : OP_vwidenu, size, high, v);
}

/* ---- long and wide add, subtract ---- */
static bool add_long(A64Dis *d, const arg_v_rrr *a, IrOpcode op, bool is_signed, bool n_is_wide)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    n = n_is_wide ? n : widen(d, n, a->size, is_signed, a->q);
    m = widen(d, v_get(d, a->rm), a->size, is_signed, a->q);
    v_set(d, a->rd, ir_v2(d->ir, op, a->size + 1, 0, n, m));
    return true;
}
TRANS(saddl_v, v_rrr, add_long(d, a, OP_vadd, true, false))
TRANS(uaddl_v, v_rrr, add_long(d, a, OP_vadd, false, false))
TRANS(ssubl_v, v_rrr, add_long(d, a, OP_vsub, true, false))
TRANS(usubl_v, v_rrr, add_long(d, a, OP_vsub, false, false))
TRANS(saddw_v, v_rrr, add_long(d, a, OP_vadd, true, true))
TRANS(uaddw_v, v_rrr, add_long(d, a, OP_vadd, false, true))
TRANS(ssubw_v, v_rrr, add_long(d, a, OP_vsub, true, true))
TRANS(usubw_v, v_rrr, add_long(d, a, OP_vsub, false, true))

/* ---- long multiplies; sign: of the product added to d, 0 for no d ---- */
static bool mul_long(A64Dis *d, int size, int q, int rd, int rn, IrVal m, bool is_signed, int sign)
{
    IrVal v = ir_v2(d->ir, is_signed ? OP_vmulls : OP_vmullu, size, q, v_get(d, rn), m);

    if (sign) {
        v = ir_v2(d->ir, sign < 0 ? OP_vsub : OP_vadd, size + 1, 0, v_get(d, rd), v);
    }
    v_set(d, rd, v);
    return true;
}

#define MULL(name, is_signed, sign) \
    TRANS(name##_v, v_rrr, !simd_on(d) || mul_long(d, a->size, a->q, a->rd, a->rn, v_get(d, a->rm), is_signed, sign)) \
    TRANS(name##_vx, v_rrx, !simd_on(d) || mul_long(d, a->size, a->q, a->rd, a->rn, ir_v1(d->ir, OP_vduplane, a->size, a->idx, v_get(d, a->rm)), is_signed, sign))
MULL(smull, true, 0)
MULL(umull, false, 0)
MULL(smlal, true, 1)
MULL(umlal, false, 1)
MULL(smlsl, true, -1)
MULL(umlsl, false, -1)

/* Routines with long results: imm = first element of the sources. */
#define LONG_CALL(name) \
    TRANS(name##_v, v_rrr, simd_call_v(d, RT_##name, a->size, 1, a->rd, a->rn, a->rm, a->q ? 8u >> a->size : 0, 0))
#define LONG_CALL_ALL(name) \
    LONG_CALL(name) \
    TRANS(name##_vx, v_rrx, simd_call_v(d, RT_##name, a->size, 1, a->rd, a->rn, a->rm, a->q ? 8u >> a->size : 0, 1 + (unsigned)a->idx)) \
    TRANS(name##_s, f_rrr, long_scalar(d, RT_##name, a->size, a->rd, a->rn, a->rm, 0)) \
    TRANS(name##_sx, f_rrx, long_scalar(d, RT_##name, a->size, a->rd, a->rn, a->rm, 1 + (unsigned)a->idx))

static bool long_scalar(A64Dis *d, unsigned rt, int size, int rd, int rn, int rm, unsigned x)
{
    if (simd_on(d)) {
        simd_call(d, rt, rd, rn, rm, RT_DESC(size, 2 << size, 0, x));
    }
    return true;
}
LONG_CALL_ALL(sqdmull)
LONG_CALL_ALL(sqdmlal)
LONG_CALL_ALL(sqdmlsl)
LONG_CALL(sabdl)
LONG_CALL(uabdl)
LONG_CALL(sabal)
LONG_CALL(uabal)

static bool pmull(A64Dis *d, const arg_v_rrr *a)
{
    if (!simd_on(d)) {
        return true;
    }
    if (a->size == 3) {
        v_set(d, a->rd, ir_v2(d->ir, OP_vclmul, IR_E64, a->q ? 0x11 : 0, v_get(d, a->rn), v_get(d, a->rm)));
    } else {
        simd_call(d, RT_pmull8, a->rd, a->rn, a->rm, RT_DESC(0, 16, a->q ? 8 : 0, 0));
    }
    return true;
}
TRANS(pmull_v, v_rrr, pmull(d, a))

/* ---- narrowing: the result goes to the lower half, or with q over the upper one ---- */
static void narrow_put(A64Dis *d, int rd, int q, IrVal low)
{
    v_set(d, rd, q ? v_join(d, v_get(d, rd), low) : low);
}

/* the high halves of sums */
static bool add_high(A64Dis *d, const arg_v_rrr *a, IrOpcode op)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v2(d->ir, op, a->size + 1, 0, v_get(d, a->rn), v_get(d, a->rm));
        v = ir_v1(d->ir, OP_vshri, a->size + 1, 8 << a->size, v);
        narrow_put(d, a->rd, a->q, ir_v1(d->ir, OP_vnarrow, a->size, 0, v));
    }
    return true;
}
TRANS(addhn_v, v_rrr, add_high(d, a, OP_vadd))
TRANS(subhn_v, v_rrr, add_high(d, a, OP_vsub))

static bool shift_narrow(A64Dis *d, int size, int q, int rd, int rn, int shift)
{
    IrVal v;

    if (simd_on(d)) {
        v = v_get(d, rn);
        v = shift ? ir_v1(d->ir, OP_vshri, size + 1, shift, v) : v;
        narrow_put(d, rd, q, ir_v1(d->ir, OP_vnarrow, size, 0, v));
    }
    return true;
}
TRANS(xtn_v, v_rr, shift_narrow(d, a->size, a->q, a->rd, a->rn, 0))
TRANS(shrn_v, v_rri, shift_narrow(d, a->size, a->q, a->rd, a->rn, a->imm))

/* x: 1 for the upper half, the shift above it */
#define NARROW_V(name, set, rm, shift) \
    TRANS(name##_v, set, simd_call_v(d, RT_##name, a->size, 0, a->rd, a->rn, rm, 0, (unsigned)a->q | (unsigned)(shift) << 1))
#define NARROW_S(name, set, shift) \
    TRANS(name##_s, set, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rn, 0, (unsigned)(shift) << 1))
NARROW_V(raddhn, v_rrr, a->rm, 0)
NARROW_V(rsubhn, v_rrr, a->rm, 0)
NARROW_V(sqxtn, v_rr, a->rn, 0)
NARROW_V(uqxtn, v_rr, a->rn, 0)
NARROW_V(sqxtun, v_rr, a->rn, 0)
NARROW_V(rshrn, v_rri, a->rn, a->imm)
NARROW_V(sqshrn, v_rri, a->rn, a->imm)
NARROW_V(sqrshrn, v_rri, a->rn, a->imm)
NARROW_V(uqshrn, v_rri, a->rn, a->imm)
NARROW_V(uqrshrn, v_rri, a->rn, a->imm)
NARROW_V(sqshrun, v_rri, a->rn, a->imm)
NARROW_V(sqrshrun, v_rri, a->rn, a->imm)
NARROW_S(sqxtn, f_rr, 0)
NARROW_S(uqxtn, f_rr, 0)
NARROW_S(sqxtun, f_rr, 0)
NARROW_S(sqshrn, f_rri, a->imm)
NARROW_S(sqrshrn, f_rri, a->imm)
NARROW_S(uqshrn, f_rri, a->imm)
NARROW_S(uqrshrn, f_rri, a->imm)
NARROW_S(sqshrun, f_rri, a->imm)
NARROW_S(sqrshrun, f_rri, a->imm)

/* ---- shifts by immediate ---- */
static bool shift_long(A64Dis *d, int size, int q, int rd, int rn, bool is_signed, int shift)
{
    IrVal v;

    if (simd_on(d)) {
        v = widen(d, v_get(d, rn), size, is_signed, q);
        v_set(d, rd, shift ? ir_v1(d->ir, OP_vshli, size + 1, shift, v) : v);
    }
    return true;
}
TRANS(sshll_v, v_rri, shift_long(d, a->size, a->q, a->rd, a->rn, true, a->imm))
TRANS(ushll_v, v_rri, shift_long(d, a->size, a->q, a->rd, a->rn, false, a->imm))
TRANS(shll_v, v_rr, shift_long(d, a->size, a->q, a->rd, a->rn, false, 8 << a->size))

/* Right shifts reach the width of an element. */
static IrVal shift_right(A64Dis *d, int size, IrVal v, bool is_signed, int n)
{
    int width = 8 << size;

    if (!is_signed && n == width) {
        return v_rep(d, 0);
    }
    return ir_v1(d->ir, is_signed ? OP_vsari : OP_vshri, size, n == width ? width - 1 : n, v);
}

static bool shift_r(A64Dis *d, int size, int q, int rd, int rn, int n, bool is_signed, bool add)
{
    IrVal v;

    if (simd_on(d)) {
        v = shift_right(d, size, v_get(d, rn), is_signed, n);
        v_put(d, rd, q, add ? ir_v2(d->ir, OP_vadd, size, 0, v_get(d, rd), v) : v);
    }
    return true;
}

static bool shift_l(A64Dis *d, int size, int q, int rd, int rn, int n)
{
    if (simd_on(d)) {
        v_put(d, rd, q, ir_v1(d->ir, OP_vshli, size, n, v_get(d, rn)));
    }
    return true;
}

/* SRI, SLI: the bits that are shifted in stay those of d */
static bool shift_insert(A64Dis *d, int size, int q, int rd, int rn, int n, bool right)
{
    uint64_t ones = size == 3 ? ~0ull : (1ull << (8 << size)) - 1;
    uint64_t mask = right ? (n == 8 << size ? 0 : ones >> n) : ones << n & ones;
    IrVal v;

    if (simd_on(d)) {
        v = right ? shift_right(d, size, v_get(d, rn), false, n) : ir_v1(d->ir, OP_vshli, size, n, v_get(d, rn));
        v_put(d, rd, q, ir_v3(d->ir, OP_vsel, IR_E64, 0, v_rep(d, rep_of(size, mask)), v, v_get(d, rd)));
    }
    return true;
}

#define SHIFTS(name, fn, ...) \
    TRANS(name##_v, v_rri, fn(d, a->size, a->q, a->rd, a->rn, a->imm, ##__VA_ARGS__)) \
    TRANS(name##_s, f_rri, fn(d, a->size, 0, a->rd, a->rn, a->imm, ##__VA_ARGS__))
SHIFTS(sshr, shift_r, true, false)
SHIFTS(ushr, shift_r, false, false)
SHIFTS(ssra, shift_r, true, true)
SHIFTS(usra, shift_r, false, true)
SHIFTS(sri, shift_insert, true)
SHIFTS(sli, shift_insert, false)
SHIFTS(shl, shift_l)

#define SHIFT_CALL(name, v, s) \
    TRANS(name##v, v_rri, simd_call_v(d, RT_##name##_i, a->size, a->q, a->rd, a->rn, a->rn, (unsigned)a->imm, 0)) \
    TRANS(name##s, f_rri, simd_call_s(d, RT_##name##_i, a->size, a->rd, a->rn, a->rn, (unsigned)a->imm, 0))
SHIFT_CALL(srshr, _v, _s)
SHIFT_CALL(urshr, _v, _s)
SHIFT_CALL(srsra, _v, _s)
SHIFT_CALL(ursra, _v, _s)
SHIFT_CALL(sqshl, _vi, _si)
SHIFT_CALL(uqshl, _vi, _si)
SHIFT_CALL(sqshlu, _vi, _si)
