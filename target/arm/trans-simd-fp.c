/* SPDX-License-Identifier: MIT */
/* A64 Advanced SIMD floating point: Arm ARM (DDI 0487), C4.1.96 and C7.2. */
#include "fpu/fp.h"
#include "target/arm/trans-simd-priv.h"

enum { CURRENT = 7, EXACT = 8, UNSIGNED = 16 };     /* imm of the conversion routines (rt-fp-cvt.c) */

/* Garbage above a 64-bit operand must not raise: both halves are made the same. */
static IrVal whole(A64Dis *d, int q, int n)
{
    IrVal v = v_get(d, n);

    return q ? v : v_join(d, v, v);
}

static IrVal operand(A64Dis *d, int size, int q, int n)
{
    return fz_vector(d, size, whole(d, q, n));
}

static IrVal arith(A64Dis *d, int size, int q, int n)
{
    return fz_vector_arith(d, size, whole(d, q, n));
}

static bool extreme(IrOpcode op)
{
    return op == OP_vfmax || op == OP_vfmin || op == OP_vfmaxnm || op == OP_vfminnm;
}

static bool arith2(A64Dis *d, const arg_v_rrr *a, IrOpcode op, unsigned rt)
{
    IrVal (*in)(A64Dis *, int, IrVal) = extreme(op) ? fz_vector_flush : fz_vector_arith;

    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(a->size)) {
        v_result(d, a->size, a->rd, a->q, ir_v2(d->ir, op, a->size, 0, in(d, a->size, whole(d, a->q, a->rn)), in(d, a->size, whole(d, a->q, a->rm))));
    } else {
        simd_call(d, rt, a->rd, a->rn, a->rm, RT_DESC(a->size, a->q ? 16 : 8, 0, 0));
    }
    return true;
}
TRANS(fadd_v, v_rrr, arith2(d, a, OP_vfadd, RT_fadd))
TRANS(fsub_v, v_rrr, arith2(d, a, OP_vfsub, RT_fsub))
TRANS(fmul_v, v_rrr, arith2(d, a, OP_vfmul, RT_fmul))
TRANS(fdiv_v, v_rrr, arith2(d, a, OP_vfdiv, RT_fdiv))
TRANS(fmax_v, v_rrr, arith2(d, a, OP_vfmax, RT_fmax))
TRANS(fmin_v, v_rrr, arith2(d, a, OP_vfmin, RT_fmin))
TRANS(fmaxnm_v, v_rrr, arith2(d, a, OP_vfmaxnm, RT_fmaxnm))
TRANS(fminnm_v, v_rrr, arith2(d, a, OP_vfminnm, RT_fminnm))

static bool fused(A64Dis *d, const arg_v_rrr *a, unsigned neg, unsigned rt)
{
    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(a->size)) {
        v_result(d, a->size, a->rd, a->q, ir_v3(d->ir, OP_vfma, a->size, neg, arith(d, a->size, a->q, a->rn), arith(d, a->size, a->q, a->rm), arith(d, a->size, a->q, a->rd)));
    } else {
        simd_call(d, rt, a->rd, a->rn, a->rm, RT_DESC(a->size, a->q ? 16 : 8, 0, 0));
    }
    return true;
}
TRANS(fmla_v, v_rrr, fused(d, a, 0, RT_fmla))
TRANS(fmls_v, v_rrr, fused(d, a, IR_FMA_NEG_PROD, RT_fmls))

static bool by_lane(A64Dis *d, const arg_v_rrx *a, bool fma, unsigned neg, unsigned rt)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        simd_call(d, rt, a->rd, a->rn, a->rm, RT_DESC(a->size, a->q ? 16 : 8, 0, 1 + (unsigned)a->idx));
        return true;
    }
    n = arith(d, a->size, a->q, a->rn);
    m = fz_lane_arith(d, a->size, v_get(d, a->rm), a->idx);
    v_result(d, a->size, a->rd, a->q, fma ? ir_v3(d->ir, OP_vfma, a->size, neg, n, m, arith(d, a->size, a->q, a->rd)) : ir_v2(d->ir, OP_vfmul, a->size, 0, n, m));
    return true;
}
TRANS(fmul_vx, v_rrx, by_lane(d, a, false, 0, RT_fmul))
TRANS(fmla_vx, v_rrx, by_lane(d, a, true, 0, RT_fmla))
TRANS(fmls_vx, v_rrx, by_lane(d, a, true, IR_FMA_NEG_PROD, RT_fmls))

static bool sqrt_v(A64Dis *d, const arg_v_rr *a)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_fsqrt, a->size, a->q, a->rd, a->rn, a->rn, 0, 0);
    }
    v_result(d, a->size, a->rd, a->q, ir_v1(d->ir, OP_vfsqrt, a->size, 0, operand(d, a->size, a->q, a->rn)));
    return true;
}
TRANS(fsqrt_v, v_rr, sqrt_v(d, a))

static bool abs_difference(A64Dis *d, const arg_v_rrr *a)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_fabd, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    v = ir_v2(d->ir, OP_vfsub, a->size, 0, arith(d, a->size, a->q, a->rn), arith(d, a->size, a->q, a->rm));
    v_result(d, a->size, a->rd, a->q, ir_v1(d->ir, OP_vfabs, a->size, 0, v));
    return true;
}
TRANS(fabd_v, v_rrr, abs_difference(d, a))

static bool add_pairs(A64Dis *d, const arg_v_rrr *a)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_faddp, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    if (!a->q) {
        n = m = v_join(d, n, m);
    }
    v_result(d, a->size, a->rd, a->q, ir_v2(d->ir, OP_vpaddf, a->size, 0, fz_vector_arith(d, a->size, n), fz_vector_arith(d, a->size, m)));
    return true;
}
TRANS(faddp_v, v_rrr, add_pairs(d, a))

static bool extreme_pairs(A64Dis *d, const arg_v_rrr *a, IrOpcode op, unsigned rt)
{
    IrVal n, m, v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    if (!a->q) {
        n = m = v_join(d, n, m);
    }
    n = fz_vector_flush(d, a->size, n);
    m = fz_vector_flush(d, a->size, m);
    v = ir_v2(d->ir, OP_vuzp1, a->size, 0, n, m);
    v_result(d, a->size, a->rd, a->q, ir_v2(d->ir, op, a->size, 0, v, ir_v2(d->ir, OP_vuzp2, a->size, 0, n, m)));
    return true;
}
TRANS(fmaxp_v, v_rrr, extreme_pairs(d, a, OP_vfmax, RT_fmaxp))
TRANS(fminp_v, v_rrr, extreme_pairs(d, a, OP_vfmin, RT_fminp))
TRANS(fmaxnmp_v, v_rrr, extreme_pairs(d, a, OP_vfmaxnm, RT_fmaxnmp))
TRANS(fminnmp_v, v_rrr, extreme_pairs(d, a, OP_vfminnm, RT_fminnmp))

/* ---- sign ---- */
static bool sign_op(A64Dis *d, const arg_v_rr *a, IrOpcode op)
{
    uint64_t sign = rep_of(a->size, 1ull << ((8 << a->size) - 1));

    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_v2(d->ir, op, IR_E64, 0, v_get(d, a->rn), v_rep(d, sign)));
    }
    return true;
}
TRANS(fabs_v, v_rr, sign_op(d, a, OP_vandc))
TRANS(fneg_v, v_rr, sign_op(d, a, OP_vxor))

/* ---- comparison ---- */
static bool cmp(A64Dis *d, int size, int q, int rd, IrVal x, IrVal y, IrFCond c)
{
    v_put(d, rd, q, ir_v2(d->ir, OP_vfcmp, size, c, x, y));
    return true;
}

static bool cmp2(A64Dis *d, const arg_v_rrr *a, IrFCond c, unsigned rt)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    return cmp(d, a->size, a->q, a->rd, operand(d, a->size, a->q, a->rn), operand(d, a->size, a->q, a->rm), c);
}

static bool cmp0(A64Dis *d, const arg_v_rr *a, IrFCond c, unsigned rt)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rn, 0, 0);
    }
    return cmp(d, a->size, a->q, a->rd, operand(d, a->size, a->q, a->rn), v_rep(d, 0), c);
}
/* Of magnitudes. */
static IrVal magnitude(A64Dis *d, int size, int q, int n)
{
    return ir_v1(d->ir, OP_vfabs, size, 0, operand(d, size, q, n));
}

static bool cmp_abs(A64Dis *d, const arg_v_rrr *a, IrFCond c, unsigned rt)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rm, 0, 0);
    }
    return cmp(d, a->size, a->q, a->rd, magnitude(d, a->size, a->q, a->rn), magnitude(d, a->size, a->q, a->rm), c);
}
TRANS(facge_v, v_rrr, cmp_abs(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_facge))
TRANS(facgt_v, v_rrr, cmp_abs(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_facgt))
TRANS(fcmeq_v, v_rrr, cmp2(d, a, IR_FEQ, RT_fcmeq))
TRANS(fcmge_v, v_rrr, cmp2(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_fcmge))
TRANS(fcmgt_v, v_rrr, cmp2(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_fcmgt))
TRANS(fcmeq0_v, v_rr, cmp0(d, a, IR_FEQ, RT_fcmeq0))
TRANS(fcmge0_v, v_rr, cmp0(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_fcmge0))
TRANS(fcmgt0_v, v_rr, cmp0(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_fcmgt0))
TRANS(fcmle0_v, v_rr, cmp0(d, a, IR_FLE_O | IR_FCMP_SIGNAL, RT_fcmle0))
TRANS(fcmlt0_v, v_rr, cmp0(d, a, IR_FLT_O | IR_FCMP_SIGNAL, RT_fcmlt0))

/* ---- routines ---- */
#define CALL3(name) TRANS(name##_v, v_rrr, simd_call_v(d, RT_##name, a->size, a->q, a->rd, a->rn, a->rm, 0, 0))
#define CALL2(name) TRANS(name##_v, v_rr, simd_call_v(d, RT_##name, a->size, a->q, a->rd, a->rn, a->rn, 0, 0))
CALL3(fmulx)
CALL3(frecps)
CALL3(frsqrts)
CALL2(frecpe)
CALL2(frsqrte)
CALL2(urecpe)
CALL2(ursqrte)
TRANS(fmulx_vx, v_rrx, simd_call_v(d, RT_fmulx, a->size, a->q, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))

#define ACROSS(name) TRANS(name##_v, v_rr, simd_call_v(d, RT_##name, a->size, 1, a->rd, a->rn, a->rn, 0, a->q ? 16 : 8))
ACROSS(fmaxv)
ACROSS(fminv)
ACROSS(fmaxnmv)
ACROSS(fminnmv)

/* ---- rounding and conversion ---- */
#define CVT(name, rt, imm, x) TRANS(name##_v, v_rr, simd_call_v(d, rt, a->size, a->q, a->rd, a->rn, a->rn, imm, x))

static bool round_int(A64Dis *d, const arg_v_rr *a, unsigned imm, IrRound r)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_frint, a->size, a->q, a->rd, a->rn, a->rn, imm, 0);
    }
    v_result(d, a->size, a->rd, a->q, ir_v1(d->ir, OP_vfround, a->size, r | (imm & EXACT ? IR_ROUND_EXACT : 0), operand(d, a->size, a->q, a->rn)));
    return true;
}
TRANS(frintn_v, v_rr, round_int(d, a, FPR_NEAREST, IR_RN))
TRANS(frintp_v, v_rr, round_int(d, a, FPR_UP, IR_RP))
TRANS(frintm_v, v_rr, round_int(d, a, FPR_DOWN, IR_RM))
TRANS(frintz_v, v_rr, round_int(d, a, FPR_ZERO, IR_RZ))
TRANS(frinta_v, v_rr, round_int(d, a, FPR_AWAY, IR_RA))
TRANS(frintx_v, v_rr, round_int(d, a, CURRENT | EXACT, IR_RCUR))
TRANS(frinti_v, v_rr, round_int(d, a, CURRENT, IR_RCUR))
CVT(frint32z, RT_frint_fit, FPR_ZERO, 32)
CVT(frint32x, RT_frint_fit, CURRENT, 32)
CVT(frint64z, RT_frint_fit, FPR_ZERO, 64)
CVT(frint64x, RT_frint_fit, CURRENT, 64)

static bool to_int(A64Dis *d, const arg_v_rri *a, unsigned imm, IrRound r)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_fcvt_int, a->size, a->q, a->rd, a->rn, a->rn, imm, (unsigned)a->imm);
    }
    v_put(d, a->rd, a->q, ir_v1(d->ir, OP_vf2i, a->size, r | (imm & UNSIGNED ? IR_CVT_UNSIGNED : 0) | a->imm << 8, operand(d, a->size, a->q, a->rn)));
    return true;
}

static bool from_int(A64Dis *d, const arg_v_rri *a, unsigned imm)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_cvtf_int, a->size, a->q, a->rd, a->rn, a->rn, imm, (unsigned)a->imm);
    }
    v_result(d, a->size, a->rd, a->q, ir_v1(d->ir, OP_vi2f, a->size, (imm & UNSIGNED ? IR_CVT_UNSIGNED : 0) | a->imm << 8, whole(d, a->q, a->rn)));
    return true;
}
#define NO_FRACTION(a) (&(arg_v_rri){ .q = (a)->q, .size = (a)->size, .rd = (a)->rd, .rn = (a)->rn })
TRANS(fcvtns_v, v_rr, to_int(d, NO_FRACTION(a), FPR_NEAREST, IR_RN))
TRANS(fcvtnu_v, v_rr, to_int(d, NO_FRACTION(a), FPR_NEAREST | UNSIGNED, IR_RN))
TRANS(fcvtps_v, v_rr, to_int(d, NO_FRACTION(a), FPR_UP, IR_RP))
TRANS(fcvtpu_v, v_rr, to_int(d, NO_FRACTION(a), FPR_UP | UNSIGNED, IR_RP))
TRANS(fcvtms_v, v_rr, to_int(d, NO_FRACTION(a), FPR_DOWN, IR_RM))
TRANS(fcvtmu_v, v_rr, to_int(d, NO_FRACTION(a), FPR_DOWN | UNSIGNED, IR_RM))
TRANS(fcvtzs_v, v_rr, to_int(d, NO_FRACTION(a), FPR_ZERO, IR_RZ))
TRANS(fcvtzu_v, v_rr, to_int(d, NO_FRACTION(a), FPR_ZERO | UNSIGNED, IR_RZ))
TRANS(fcvtas_v, v_rr, to_int(d, NO_FRACTION(a), FPR_AWAY, IR_RA))
TRANS(fcvtau_v, v_rr, to_int(d, NO_FRACTION(a), FPR_AWAY | UNSIGNED, IR_RA))
TRANS(scvtf_v, v_rr, from_int(d, NO_FRACTION(a), 0))
TRANS(ucvtf_v, v_rr, from_int(d, NO_FRACTION(a), UNSIGNED))
TRANS(fcvtzs_vf, v_rri, to_int(d, a, FPR_ZERO, IR_RZ))
TRANS(fcvtzu_vf, v_rri, to_int(d, a, FPR_ZERO | UNSIGNED, IR_RZ))
TRANS(scvtf_vf, v_rri, from_int(d, a, 0))
TRANS(ucvtf_vf, v_rri, from_int(d, a, UNSIGNED))

/* Two singles to two doubles and back: one at a time, then side by side. */
static IrVal convert(A64Dis *d, IrType to, IrVal v, int size, unsigned lane)
{
    IrVal f = ir_vget(d->ir, f_type(size), size, v, lane, false);

    return ir_vzext(d->ir, IR_V128, ir_op1(d->ir, OP_fcvt, to, 0, 0, f));
}

bool trans_fcvtl_v(A64Dis *d, arg_v_rr *a)
{
    unsigned from = a->q ? 8u >> a->size : 0;       /* of the routine */
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_fcvtl, a->size, 1, a->rd, a->rn, a->rn, from, 0);
    }
    v = v_get(d, a->rn);
    v = fz_vector(d, 2, ir_v1(d->ir, OP_vduplane, IR_E64, a->q, v));
    v_set(d, a->rd, v_join(d, convert(d, IR_F64, v, 2, 0), convert(d, IR_F64, v, 2, 1)));
    return true;
}

bool trans_fcvtn_v(A64Dis *d, arg_v_rr *a)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_v(d, RT_fcvtn, a->size, 0, a->rd, a->rn, a->rn, 0, (unsigned)a->q);
    }
    v = fz_vector(d, 3, v_get(d, a->rn));
    v = ir_v2(d->ir, OP_vzip1, IR_E32, 0, convert(d, IR_F32, v, 3, 0), convert(d, IR_F32, v, 3, 1));
    v_set(d, a->rd, a->q ? v_join(d, v_get(d, a->rd), v) : v);
    return true;
}
TRANS(fcvtxn_v, v_rr, simd_call_v(d, RT_fcvtn, 2, 0, a->rd, a->rn, a->rn, 1, (unsigned)a->q))
TRANS(bfcvtn_v, v_rr, simd_call_v(d, RT_fcvtn, 1, 0, a->rd, a->rn, a->rn, 2, (unsigned)a->q))

/* ---- mixed width, complex, bfloat ---- */
TRANS(fmlal_v, fmlal, simd_call_v(d, RT_fmlal, 1, a->q, a->rd, a->rn, a->rm, (unsigned)a->sub | (a->high ? (a->q ? 8u : 4u) : 0), 0))
TRANS(fmlal_vx, fmlal_vx, simd_call_v(d, RT_fmlal, 1, a->q, a->rd, a->rn, a->rm, (unsigned)a->sub | (a->high ? (a->q ? 8u : 4u) : 0), 1 + (unsigned)a->idx))
TRANS(fcadd_v, fcmla, simd_call_v(d, RT_fcadd, a->size, a->q, a->rd, a->rn, a->rm, (unsigned)a->rot, 0))
TRANS(fcmla_v, fcmla, simd_call_v(d, RT_fcmla, a->size, a->q, a->rd, a->rn, a->rm, (unsigned)a->rot, 0))
TRANS(fcmla_vx, fcmla_vx, simd_call_v(d, RT_fcmla, a->size, a->q, a->rd, a->rn, a->rm, (unsigned)a->rot, 1 + (unsigned)a->idx))
TRANS(bfdot_v, v_rrr, simd_call_v(d, RT_bfdot, 2, a->q, a->rd, a->rn, a->rm, 0, 0))
TRANS(bfdot_vx, v_rrx, simd_call_v(d, RT_bfdot, 2, a->q, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))
TRANS(bfmmla_v, v_rrr, simd_call_v(d, RT_bfmmla, 2, 1, a->rd, a->rn, a->rm, 0, 0))
TRANS(bfmlal_v, v_rrr, simd_call_v(d, RT_bfmlal, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->q, 0))
TRANS(bfmlal_vx, v_rrx, simd_call_v(d, RT_bfmlal, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->q, 1 + (unsigned)a->idx))
