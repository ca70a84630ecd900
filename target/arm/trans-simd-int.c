/* SPDX-License-Identifier: MIT */
/* A64 Advanced SIMD, integer arithmetic on elements of one size: Arm ARM (DDI 0487), C4.1.96 and C7.2. */
#include "target/arm/trans-simd-priv.h"

/* ---- forms ---- */
static bool op2(A64Dis *d, const arg_v_rrr *a, IrOpcode op)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_v2(d->ir, op, a->size, 0, v_get(d, a->rn), v_get(d, a->rm)));
    }
    return true;
}

static bool op1(A64Dis *d, const arg_v_rr *a, IrOpcode op)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_v1(d->ir, op, a->size, 0, v_get(d, a->rn)));
    }
    return true;
}

static bool compare(A64Dis *d, int q, int size, int rd, IrCond c, IrVal x, IrVal y)
{
    v_put(d, rd, q, ir_v2(d->ir, OP_vcmp, size, c, x, y));
    return true;
}

static bool cmp2(A64Dis *d, const arg_v_rrr *a, IrCond c)
{
    return !simd_on(d) || compare(d, a->q, a->size, a->rd, c, v_get(d, a->rn), v_get(d, a->rm));
}

/* against zero; swapped: zero comes first */
static bool cmp0(A64Dis *d, int q, int size, int rd, int rn, IrCond c, bool swapped)
{
    IrVal x, z;

    if (!simd_on(d)) {
        return true;
    }
    x = v_get(d, rn);
    z = v_rep(d, 0);
    return compare(d, q, size, rd, c, swapped ? z : x, swapped ? x : z);
}

#define OP2(name, op) TRANS(name##_v, v_rrr, op2(d, a, op))
#define OP1(name, op) TRANS(name##_v, v_rr, op1(d, a, op))
#define CALL3(name) TRANS(name##_v, v_rrr, simd_call_v(d, RT_##name, a->size, a->q, a->rd, a->rn, a->rm, 0, 0))
#define CALL2(name) TRANS(name##_v, v_rr, simd_call_v(d, RT_##name, a->size, a->q, a->rd, a->rn, a->rn, 0, 0))
#define CALL3S(name) TRANS(name##_s, f_rrr, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rm, 0, 0))
#define CALL2S(name) TRANS(name##_s, f_rr, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rn, 0, 0))

/* ---- bits ---- */
OP2(and, OP_vand)
OP2(bic, OP_vandc)
OP2(orr, OP_vor)
OP2(orn, OP_vorc)
OP2(eor, OP_vxor)
OP1(not, OP_vnot)
OP1(cnt, OP_vcnt)
CALL2(rbit)

static bool select_bits(A64Dis *d, const arg_v_rrr *a, int mask, int yes, int no)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_v3(d->ir, OP_vsel, IR_E64, 0, v_get(d, mask), v_get(d, yes), v_get(d, no)));
    }
    return true;
}
TRANS(bsl_v, v_rrr, select_bits(d, a, a->rd, a->rn, a->rm))
TRANS(bit_v, v_rrr, select_bits(d, a, a->rm, a->rn, a->rd))
TRANS(bif_v, v_rrr, select_bits(d, a, a->rm, a->rd, a->rn))

/* ---- add, subtract, multiply, compare, extremes ---- */
OP2(add, OP_vadd)
OP2(sub, OP_vsub)
OP2(mul, OP_vmul)
OP2(smax, OP_vmaxs)
OP2(umax, OP_vmaxu)
OP2(smin, OP_vmins)
OP2(umin, OP_vminu)
OP1(abs, OP_vabs)
OP1(neg, OP_vneg)
TRANS(cmgt_v, v_rrr, cmp2(d, a, IR_GT))
TRANS(cmge_v, v_rrr, cmp2(d, a, IR_GE))
TRANS(cmhi_v, v_rrr, cmp2(d, a, IR_GTU))
TRANS(cmhs_v, v_rrr, cmp2(d, a, IR_GEU))
TRANS(cmeq_v, v_rrr, cmp2(d, a, IR_EQ))
TRANS(cmgt0_v, v_rr, cmp0(d, a->q, a->size, a->rd, a->rn, IR_GT, false))
TRANS(cmge0_v, v_rr, cmp0(d, a->q, a->size, a->rd, a->rn, IR_GE, false))
TRANS(cmeq0_v, v_rr, cmp0(d, a->q, a->size, a->rd, a->rn, IR_EQ, false))
TRANS(cmle0_v, v_rr, cmp0(d, a->q, a->size, a->rd, a->rn, IR_GE, true))
TRANS(cmlt0_v, v_rr, cmp0(d, a->q, a->size, a->rd, a->rn, IR_GT, true))

static bool test_bits(A64Dis *d, int q, int size, int rd, int rn, int rm)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v2(d->ir, OP_vand, IR_E64, 0, v_get(d, rn), v_get(d, rm));
        v = ir_v2(d->ir, OP_vcmp, size, IR_EQ, v, v_rep(d, 0));
        v_put(d, rd, q, ir_v1(d->ir, OP_vnot, IR_E64, 0, v));
    }
    return true;
}
TRANS(cmtst_v, v_rrr, test_bits(d, a->q, a->size, a->rd, a->rn, a->rm))

/* d + or - something of n and m */
static bool accumulate(A64Dis *d, const arg_v_rrr *a, IrVal term, bool subtract)
{
    v_put(d, a->rd, a->q, ir_v2(d->ir, subtract ? OP_vsub : OP_vadd, a->size, 0, v_get(d, a->rd), term));
    return true;
}

static IrVal product(A64Dis *d, const arg_v_rrr *a)
{
    return ir_v2(d->ir, OP_vmul, a->size, 0, v_get(d, a->rn), v_get(d, a->rm));
}

static IrVal difference(A64Dis *d, const arg_v_rrr *a, bool is_signed)
{
    IrVal n = v_get(d, a->rn), m = v_get(d, a->rm);

    return ir_v2(d->ir, OP_vsub, a->size, 0, ir_v2(d->ir, is_signed ? OP_vmaxs : OP_vmaxu, a->size, 0, n, m),
                 ir_v2(d->ir, is_signed ? OP_vmins : OP_vminu, a->size, 0, n, m));
}

static bool abs_difference(A64Dis *d, const arg_v_rrr *a, bool is_signed)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, difference(d, a, is_signed));
    }
    return true;
}
TRANS(mla_v, v_rrr, !simd_on(d) || accumulate(d, a, product(d, a), false))
TRANS(mls_v, v_rrr, !simd_on(d) || accumulate(d, a, product(d, a), true))
TRANS(sabd_v, v_rrr, abs_difference(d, a, true))
TRANS(uabd_v, v_rrr, abs_difference(d, a, false))
TRANS(saba_v, v_rrr, !simd_on(d) || accumulate(d, a, difference(d, a, true), false))
TRANS(uaba_v, v_rrr, !simd_on(d) || accumulate(d, a, difference(d, a, false), false))

/* by element */
static bool by_lane(A64Dis *d, const arg_v_rrx *a, int sign)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v1(d->ir, OP_vduplane, a->size, a->idx, v_get(d, a->rm));
        v = ir_v2(d->ir, OP_vmul, a->size, 0, v_get(d, a->rn), v);
        if (sign) {
            v = ir_v2(d->ir, sign < 0 ? OP_vsub : OP_vadd, a->size, 0, v_get(d, a->rd), v);
        }
        v_put(d, a->rd, a->q, v);
    }
    return true;
}
TRANS(mul_vx, v_rrx, by_lane(d, a, 0))
TRANS(mla_vx, v_rrx, by_lane(d, a, 1))
TRANS(mls_vx, v_rrx, by_lane(d, a, -1))

/* ---- pairwise and across: the even and the odd elements ---- */
static IrVal pairs(A64Dis *d, IrOpcode op, int size, IrVal x, IrVal y)
{
    return ir_v2(d->ir, op, size, 0, ir_v2(d->ir, OP_vuzp1, size, 0, x, y), ir_v2(d->ir, OP_vuzp2, size, 0, x, y));
}

static bool pairwise(A64Dis *d, const arg_v_rrr *a, IrOpcode op)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    if (!a->q) {
        n = m = v_join(d, n, m);
    }
    v_put(d, a->rd, a->q, op == OP_vpaddl ? ir_v2(d->ir, op, a->size, 0, n, m) : pairs(d, op, a->size, n, m));
    return true;
}
TRANS(addp_v, v_rrr, pairwise(d, a, OP_vpaddl))
TRANS(smaxp_v, v_rrr, pairwise(d, a, OP_vmaxs))
TRANS(umaxp_v, v_rrr, pairwise(d, a, OP_vmaxu))
TRANS(sminp_v, v_rrr, pairwise(d, a, OP_vmins))
TRANS(uminp_v, v_rrr, pairwise(d, a, OP_vminu))

static bool across(A64Dis *d, const arg_v_rr *a, IrOpcode op)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    v = v_get(d, a->rn);
    for (int bytes = a->q ? 16 : 8; bytes > 1 << a->size; bytes /= 2) {
        v = op == OP_vpaddl ? ir_v2(d->ir, op, a->size, 0, v, v) : pairs(d, op, a->size, v, v);
    }
    f_set(d, a->rd, ir_vget(d->ir, IR_I32, a->size, v, 0, false));
    return true;
}
TRANS(addv_v, v_rr, across(d, a, OP_vpaddl))
TRANS(smaxv_v, v_rr, across(d, a, OP_vmaxs))
TRANS(umaxv_v, v_rr, across(d, a, OP_vmaxu))
TRANS(sminv_v, v_rr, across(d, a, OP_vmins))
TRANS(uminv_v, v_rr, across(d, a, OP_vminu))

/* Neighbours added to double size: the even ones and the odd ones of each wide element. */
static IrVal pairs_long(A64Dis *d, int size, bool is_signed, IrVal v)
{
    int w = 8 << size;
    IrVal even, odd;

    if (is_signed) {
        even = ir_v1(d->ir, OP_vsari, size + 1, w, ir_v1(d->ir, OP_vshli, size + 1, w, v));
        odd = ir_v1(d->ir, OP_vsari, size + 1, w, v);
    } else {
        even = ir_v2(d->ir, OP_vand, IR_E64, 0, v, v_rep(d, rep_of(size + 1, (1ull << w) - 1)));
        odd = ir_v1(d->ir, OP_vshri, size + 1, w, v);
    }
    return ir_v2(d->ir, OP_vadd, size + 1, 0, even, odd);
}

static bool pairwise_long(A64Dis *d, const arg_v_rr *a, bool is_signed, bool add)
{
    IrVal v;

    if (simd_on(d)) {
        v = pairs_long(d, a->size, is_signed, v_get(d, a->rn));
        v_put(d, a->rd, a->q, add ? ir_v2(d->ir, OP_vadd, a->size + 1, 0, v_get(d, a->rd), v) : v);
    }
    return true;
}
TRANS(saddlp_v, v_rr, pairwise_long(d, a, true, false))
TRANS(uaddlp_v, v_rr, pairwise_long(d, a, false, false))
TRANS(sadalp_v, v_rr, pairwise_long(d, a, true, true))
TRANS(uadalp_v, v_rr, pairwise_long(d, a, false, true))

static bool across_long(A64Dis *d, const arg_v_rr *a, bool is_signed)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    v = pairs_long(d, a->size, is_signed, v_get(d, a->rn));
    for (int bytes = a->q ? 16 : 8; bytes > 2 << a->size; bytes /= 2) {
        v = ir_v2(d->ir, OP_vpaddl, a->size + 1, 0, v, v);
    }
    f_set(d, a->rd, ir_vget(d->ir, a->size == 2 ? IR_I64 : IR_I32, a->size + 1, v, 0, false));
    return true;
}
TRANS(saddlv_v, v_rr, across_long(d, a, true))
TRANS(uaddlv_v, v_rr, across_long(d, a, false))
static bool add_pair(A64Dis *d, const arg_f_rr *a)
{
    IrVal v;

    if (simd_on(d)) {
        v = v_get(d, a->rn);
        v_put(d, a->rd, 0, ir_v2(d->ir, OP_vpaddl, IR_E64, 0, v, v));
    }
    return true;
}
TRANS(addp_s, f_rr, add_pair(d, a))

/* ---- scalars of 64 bits ---- */
static bool scalar2(A64Dis *d, const arg_f_rrr *a, IrOpcode op, IrCond c)
{
    if (simd_on(d)) {
        v_put(d, a->rd, 0, ir_v2(d->ir, op, IR_E64, c, v_get(d, a->rn), v_get(d, a->rm)));
    }
    return true;
}

static bool scalar1(A64Dis *d, const arg_f_rr *a, IrOpcode op)
{
    if (simd_on(d)) {
        v_put(d, a->rd, 0, ir_v1(d->ir, op, IR_E64, 0, v_get(d, a->rn)));
    }
    return true;
}
TRANS(add_s, f_rrr, scalar2(d, a, OP_vadd, 0))
TRANS(sub_s, f_rrr, scalar2(d, a, OP_vsub, 0))
TRANS(cmgt_s, f_rrr, scalar2(d, a, OP_vcmp, IR_GT))
TRANS(cmge_s, f_rrr, scalar2(d, a, OP_vcmp, IR_GE))
TRANS(cmhi_s, f_rrr, scalar2(d, a, OP_vcmp, IR_GTU))
TRANS(cmhs_s, f_rrr, scalar2(d, a, OP_vcmp, IR_GEU))
TRANS(cmeq_s, f_rrr, scalar2(d, a, OP_vcmp, IR_EQ))
TRANS(cmtst_s, f_rrr, test_bits(d, 0, 3, a->rd, a->rn, a->rm))
TRANS(cmgt0_s, f_rr, cmp0(d, 0, 3, a->rd, a->rn, IR_GT, false))
TRANS(cmge0_s, f_rr, cmp0(d, 0, 3, a->rd, a->rn, IR_GE, false))
TRANS(cmeq0_s, f_rr, cmp0(d, 0, 3, a->rd, a->rn, IR_EQ, false))
TRANS(cmle0_s, f_rr, cmp0(d, 0, 3, a->rd, a->rn, IR_GE, true))
TRANS(cmlt0_s, f_rr, cmp0(d, 0, 3, a->rd, a->rn, IR_GT, true))
TRANS(abs_s, f_rr, scalar1(d, a, OP_vabs))
TRANS(neg_s, f_rr, scalar1(d, a, OP_vneg))

/* ---- shifts by register: words, and doublewords to where hosts can ---- */
TRANS(ushl_v, v_rrr, a->size >= 2 ? op2(d, a, OP_vushlr) : simd_call_v(d, RT_ushl, a->size, a->q, a->rd, a->rn, a->rm, 0, 0))
TRANS(sshl_v, v_rrr, a->size == 2 ? op2(d, a, OP_vsshlr) : simd_call_v(d, RT_sshl, a->size, a->q, a->rd, a->rn, a->rm, 0, 0))

/* ---- routines ---- */
CALL3(sqshl)
CALL3(uqshl)
CALL3(srshl)
CALL3(urshl)
CALL3(sqrshl)
CALL3(uqrshl)
CALL3(pmul)
CALL3(sqrdmlah)
CALL3(sqrdmlsh)
CALL2(suqadd)
CALL2(usqadd)
CALL2(sqabs)
CALL2(sqneg)
CALL2(cls)
CALL2(clz)
CALL3S(sqadd)
CALL3S(uqadd)
CALL3S(sqsub)
CALL3S(uqsub)
CALL3S(sshl)
CALL3S(ushl)
CALL3S(sqshl)
CALL3S(uqshl)
CALL3S(srshl)
CALL3S(urshl)
CALL3S(sqrshl)
CALL3S(uqrshl)
CALL3S(sqdmulh)
CALL3S(sqrdmulh)
CALL3S(sqrdmlah)
CALL3S(sqrdmlsh)
CALL2S(suqadd)
CALL2S(usqadd)
CALL2S(sqabs)
CALL2S(sqneg)

/* ---- halving: what both operands share, and half of what they do not ---- */
static bool halving(A64Dis *d, const arg_v_rrr *a, bool is_signed, bool subtract, bool round)
{
    IrVal n, m, half, v;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    half = ir_v1(d->ir, is_signed ? OP_vsari : OP_vshri, a->size, 1, ir_v2(d->ir, OP_vxor, IR_E64, 0, n, m));
    if (subtract) {                                     /* n - m = (n ^ m) - 2 * (m & ~n) */
        v = ir_v2(d->ir, OP_vsub, a->size, 0, half, ir_v2(d->ir, OP_vandc, IR_E64, 0, m, n));
    } else if (round) {
        v = ir_v2(d->ir, OP_vsub, a->size, 0, ir_v2(d->ir, OP_vor, IR_E64, 0, n, m), half);
    } else {
        v = ir_v2(d->ir, OP_vadd, a->size, 0, ir_v2(d->ir, OP_vand, IR_E64, 0, n, m), half);
    }
    v_put(d, a->rd, a->q, v);
    return true;
}
TRANS(shadd_v, v_rrr, halving(d, a, true, false, false))
TRANS(uhadd_v, v_rrr, halving(d, a, false, false, false))
TRANS(srhadd_v, v_rrr, halving(d, a, true, false, true))
TRANS(urhadd_v, v_rrr, a->size < 2 ? op2(d, a, OP_vavgu) : halving(d, a, false, false, true))
TRANS(shsub_v, v_rrr, halving(d, a, true, true, false))
TRANS(uhsub_v, v_rrr, halving(d, a, false, true, false))

/* ---- saturating: bytes and halfwords inline ---- */
static bool saturating(A64Dis *d, const arg_v_rrr *a, IrOpcode sat, IrOpcode wrap, unsigned rt)
{
    IrVal n, m, v;

    if (!simd_on(d)) {
        return true;
    }
    if (a->size >= 2) {
        return simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    v = ir_v2(d->ir, sat, a->size, 0, n, m);
    qc_add(d, a->q, ir_v2(d->ir, OP_vxor, IR_E64, 0, v, ir_v2(d->ir, wrap, a->size, 0, n, m)));
    v_put(d, a->rd, a->q, v);
    return true;
}
TRANS(sqadd_v, v_rrr, saturating(d, a, OP_vsadds, OP_vadd, RT_sqadd))
TRANS(uqadd_v, v_rrr, saturating(d, a, OP_vsaddu, OP_vadd, RT_uqadd))
TRANS(sqsub_v, v_rrr, saturating(d, a, OP_vssubs, OP_vsub, RT_sqsub))
TRANS(uqsub_v, v_rrr, saturating(d, a, OP_vssubu, OP_vsub, RT_uqsub))

/* Doubled high halves of the products of one half of the halfwords; only -1 * -1 is out of range. */
static IrVal doubled_high(A64Dis *d, IrVal n, IrVal m, int high, bool round)
{
    IrVal p = ir_v2(d->ir, OP_vmulls, IR_E16, high, n, m), v;

    p = round ? ir_v2(d->ir, OP_vadd, IR_E32, 0, p, v_rep(d, rep_of(2, 0x4000))) : p;
    p = ir_v1(d->ir, OP_vsari, IR_E32, 15, p);
    v = ir_v2(d->ir, OP_vmins, IR_E32, 0, p, v_rep(d, rep_of(2, 0x7fff)));
    qc_add(d, 1, ir_v2(d->ir, OP_vxor, IR_E64, 0, v, p));
    return ir_v1(d->ir, OP_vnarrow, IR_E16, 0, v);
}

static bool mul_high(A64Dis *d, int size, int q, int rd, int rn, int rm, int lane, bool round, unsigned rt)
{
    IrVal n, m, v;

    if (!simd_on(d)) {
        return true;
    }
    if (size != IR_E16) {
        return simd_call_v(d, rt, size, q, rd, rn, rm, 0, (unsigned)(lane + 1));
    }
    n = v_get(d, rn);
    m = lane < 0 ? v_get(d, rm) : ir_v1(d->ir, OP_vduplane, IR_E16, lane, v_get(d, rm));
    v = doubled_high(d, n, m, 0, round);
    v_set(d, rd, q ? v_join(d, v, doubled_high(d, n, m, 1, round)) : v);
    return true;
}
TRANS(sqdmulh_v, v_rrr, mul_high(d, a->size, a->q, a->rd, a->rn, a->rm, -1, false, RT_sqdmulh))
TRANS(sqrdmulh_v, v_rrr, mul_high(d, a->size, a->q, a->rd, a->rn, a->rm, -1, true, RT_sqrdmulh))
TRANS(sqdmulh_vx, v_rrx, mul_high(d, a->size, a->q, a->rd, a->rn, a->rm, a->idx, false, RT_sqdmulh))
TRANS(sqrdmulh_vx, v_rrx, mul_high(d, a->size, a->q, a->rd, a->rn, a->rm, a->idx, true, RT_sqrdmulh))
TRANS(sqdmulh_sx, f_rrx, simd_call_s(d, RT_sqdmulh, a->size, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))
TRANS(sqrdmulh_sx, f_rrx, simd_call_s(d, RT_sqrdmulh, a->size, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))

#define CALL_LANE(name) \
    TRANS(name##_vx, v_rrx, simd_call_v(d, RT_##name, a->size, a->q, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx)) \
    TRANS(name##_sx, f_rrx, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))
CALL_LANE(sqrdmlah)
CALL_LANE(sqrdmlsh)

/* ---- dot products: imm 1: n is signed, 2: m is signed ---- */
TRANS(sdot_v, v_rrr, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 3, 0))
TRANS(udot_v, v_rrr, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 0, 0))
TRANS(usdot_v, v_rrr, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 2, 0))
TRANS(sdot_vx, v_rrx, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 3, 1 + (unsigned)a->idx))
TRANS(udot_vx, v_rrx, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))
TRANS(usdot_vx, v_rrx, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 2, 1 + (unsigned)a->idx))
TRANS(sudot_vx, v_rrx, simd_call_v(d, RT_dot, 2, a->q, a->rd, a->rn, a->rm, 1, 1 + (unsigned)a->idx))
TRANS(smmla_v, v_rrr, simd_call_v(d, RT_mmla, 2, 1, a->rd, a->rn, a->rm, 3, 0))
TRANS(ummla_v, v_rrr, simd_call_v(d, RT_mmla, 2, 1, a->rd, a->rn, a->rm, 0, 0))
TRANS(usmmla_v, v_rrr, simd_call_v(d, RT_mmla, 2, 1, a->rd, a->rn, a->rm, 2, 0))
