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

/* |n - m| fits the narrow element as an unsigned number. */
static bool diff_long(A64Dis *d, const arg_v_rrr *a, bool is_signed, bool add)
{
    IrVal n, m, v;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    v = ir_v2(d->ir, OP_vsub, a->size, 0, ir_v2(d->ir, is_signed ? OP_vmaxs : OP_vmaxu, a->size, 0, n, m),
              ir_v2(d->ir, is_signed ? OP_vmins : OP_vminu, a->size, 0, n, m));
    v = widen(d, v, a->size, false, a->q);
    v_set(d, a->rd, add ? ir_v2(d->ir, OP_vadd, a->size + 1, 0, v_get(d, a->rd), v) : v);
    return true;
}
TRANS(sabdl_v, v_rrr, diff_long(d, a, true, false))
TRANS(uabdl_v, v_rrr, diff_long(d, a, false, false))
TRANS(sabal_v, v_rrr, diff_long(d, a, true, true))
TRANS(uabal_v, v_rrr, diff_long(d, a, false, true))

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

/* Half of the last bit that is kept; what carries out of the wide element is not kept either. */
static IrVal add_half(A64Dis *d, int size, IrVal v, int shift)
{
    return ir_v2(d->ir, OP_vadd, size + 1, 0, v, v_rep(d, rep_of(size + 1, 1ull << (shift - 1))));
}

/* the high halves of sums */
static bool add_high(A64Dis *d, const arg_v_rrr *a, IrOpcode op, bool round)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v2(d->ir, op, a->size + 1, 0, v_get(d, a->rn), v_get(d, a->rm));
        v = round ? add_half(d, a->size, v, 8 << a->size) : v;
        v = ir_v1(d->ir, OP_vshri, a->size + 1, 8 << a->size, v);
        narrow_put(d, a->rd, a->q, ir_v1(d->ir, OP_vnarrow, a->size, 0, v));
    }
    return true;
}
TRANS(addhn_v, v_rrr, add_high(d, a, OP_vadd, false))
TRANS(subhn_v, v_rrr, add_high(d, a, OP_vsub, false))
TRANS(raddhn_v, v_rrr, add_high(d, a, OP_vadd, true))
TRANS(rsubhn_v, v_rrr, add_high(d, a, OP_vsub, true))

static bool shift_narrow(A64Dis *d, int size, int q, int rd, int rn, int shift, bool round)
{
    IrVal v;

    if (simd_on(d)) {
        v = round ? add_half(d, size, v_get(d, rn), shift) : v_get(d, rn);
        v = shift ? ir_v1(d->ir, OP_vshri, size + 1, shift, v) : v;
        narrow_put(d, rd, q, ir_v1(d->ir, OP_vnarrow, size, 0, v));
    }
    return true;
}
TRANS(xtn_v, v_rr, shift_narrow(d, a->size, a->q, a->rd, a->rn, 0, false))
TRANS(shrn_v, v_rri, shift_narrow(d, a->size, a->q, a->rd, a->rn, a->imm, false))
TRANS(rshrn_v, v_rri, shift_narrow(d, a->size, a->q, a->rd, a->rn, a->imm, true))

/* x: 1 for the upper half, the shift above it */
#define NARROW_S(name, set, shift) \
    TRANS(name##_s, set, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rn, 0, (unsigned)(shift) << 1))
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

/* Rounding adds the last bit that is shifted out. */
static IrVal shift_round(A64Dis *d, int size, IrVal v, bool is_signed, int n)
{
    IrVal last = n == 1 ? v : ir_v1(d->ir, OP_vshri, size, n - 1, v);

    last = ir_v2(d->ir, OP_vand, IR_E64, 0, last, v_rep(d, rep_of(size, 1)));
    return ir_v2(d->ir, OP_vadd, size, 0, shift_right(d, size, v, is_signed, n), last);
}

/* Saturating narrow of shifted elements, to bytes and halfwords inline. */
static bool narrow_sat(A64Dis *d, int size, int q, int rd, int rn, int shift, bool round, bool from_signed, bool to_signed, unsigned rt)
{
    uint64_t ones = (1ull << (8 << size)) - 1;
    IrVal x, v;

    if (!simd_on(d)) {
        return true;
    }
    if (size >= 2) {
        return simd_call_v(d, rt, size, 0, rd, rn, rn, 0, (unsigned)q | (unsigned)shift << 1);
    }
    x = v_get(d, rn);
    x = shift ? (round ? shift_round : shift_right)(d, size + 1, x, from_signed, shift) : x;
    if (!from_signed) {
        v = ir_v2(d->ir, OP_vminu, size + 1, 0, x, v_rep(d, rep_of(size + 1, ones)));
    } else {
        v = ir_v2(d->ir, OP_vmaxs, size + 1, 0, x, v_rep(d, rep_of(size + 1, to_signed ? ~(ones >> 1) : 0)));
        v = ir_v2(d->ir, OP_vmins, size + 1, 0, v, v_rep(d, rep_of(size + 1, to_signed ? ones >> 1 : ones)));
    }
    qc_add(d, 1, ir_v2(d->ir, OP_vxor, IR_E64, 0, x, v));
    narrow_put(d, rd, q, ir_v1(d->ir, OP_vnarrow, size, 0, v));
    return true;
}
#define NARROW_SAT(name, set, shift, round, from_signed, to_signed) \
    TRANS(name##_v, set, narrow_sat(d, a->size, a->q, a->rd, a->rn, shift, round, from_signed, to_signed, RT_##name))
NARROW_SAT(sqxtn, v_rr, 0, false, true, true)
NARROW_SAT(uqxtn, v_rr, 0, false, false, false)
NARROW_SAT(sqxtun, v_rr, 0, false, true, false)
NARROW_SAT(sqshrn, v_rri, a->imm, false, true, true)
NARROW_SAT(sqrshrn, v_rri, a->imm, true, true, true)
NARROW_SAT(uqshrn, v_rri, a->imm, false, false, false)
NARROW_SAT(uqrshrn, v_rri, a->imm, true, false, false)
NARROW_SAT(sqshrun, v_rri, a->imm, false, true, false)
NARROW_SAT(sqrshrun, v_rri, a->imm, true, true, false)

static bool shift_r(A64Dis *d, int size, int q, int rd, int rn, int n, bool is_signed, bool add, bool round)
{
    IrVal v;

    if (simd_on(d)) {
        v = (round ? shift_round : shift_right)(d, size, v_get(d, rn), is_signed, n);
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
SHIFTS(sshr, shift_r, true, false, false)
SHIFTS(ushr, shift_r, false, false, false)
SHIFTS(ssra, shift_r, true, true, false)
SHIFTS(usra, shift_r, false, true, false)
SHIFTS(srshr, shift_r, true, false, true)
SHIFTS(urshr, shift_r, false, false, true)
SHIFTS(srsra, shift_r, true, true, true)
SHIFTS(ursra, shift_r, false, true, true)
SHIFTS(sri, shift_insert, true)
SHIFTS(sli, shift_insert, false)
SHIFTS(shl, shift_l)

#define SHIFT_CALL(name, v, s) \
    TRANS(name##v, v_rri, simd_call_v(d, RT_##name##_i, a->size, a->q, a->rd, a->rn, a->rn, (unsigned)a->imm, 0)) \
    TRANS(name##s, f_rri, simd_call_s(d, RT_##name##_i, a->size, a->rd, a->rn, a->rn, (unsigned)a->imm, 0))
SHIFT_CALL(sqshl, _vi, _si)
SHIFT_CALL(uqshl, _vi, _si)
SHIFT_CALL(sqshlu, _vi, _si)
