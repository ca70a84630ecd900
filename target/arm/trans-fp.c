/* SPDX-License-Identifier: MIT */
/* A64 scalar floating point: Arm ARM (DDI 0487), C4.1.96 "scalar floating-point" and C7.2. */
#include "fpu/fp.h"
#include "target/arm/trans-simd-priv.h"

/* What the conversion routines take as imm (rt-fp-cvt.c). */
enum { CURRENT = 7, EXACT = 8, UNSIGNED = 16 };

/* ---- moves ---- */
bool trans_fmov_s(A64Dis *d, arg_f_rr *a)
{
    if (simd_on(d)) {
        f_set(d, a->rd, a->size == 1 ? bits_get(d, 1, a->rn) : f_get(d, a->size, a->rn));
    }
    return true;
}

static bool sign_op(A64Dis *d, const arg_f_rr *a, IrOpcode op)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (a->size == 1) {
        v = bits_get(d, 1, a->rn);
        v = op == OP_fabs ? ir_andi(d->ir, v, 0x7fff) : ir_xor(d->ir, v, ir_i32(d->ir, 0x8000));
    } else {
        v = ir_op1(d->ir, op, f_type(a->size), 0, 0, f_get(d, a->size, a->rn));
    }
    f_set(d, a->rd, v);
    return true;
}
TRANS(fabs_s, f_rr, sign_op(d, a, OP_fabs))
TRANS(fneg_s, f_rr, sign_op(d, a, OP_fneg))

bool trans_fmov_to_g(A64Dis *d, arg_fcvt_gp *a)
{
    if (simd_on(d)) {
        gpr_set(d, (unsigned)a->rd, bits_get(d, a->size, a->rn));
    }
    return true;
}

bool trans_fmov_from_g(A64Dis *d, arg_fcvt_gp *a)
{
    IrVal v;

    if (simd_on(d)) {
        v = gpr_get(d, (unsigned)a->rn, a->size == 3);
        f_set(d, a->rd, a->size == 1 ? ir_andi(d->ir, v, 0xffff) : v);
    }
    return true;
}

bool trans_fmov_to_gh(A64Dis *d, arg_rn_rd *a)
{
    if (simd_on(d)) {
        gpr_set(d, (unsigned)a->rd, ir_vget(d->ir, IR_I64, IR_E64, v_get(d, a->rn), 1, false));
    }
    return true;
}

bool trans_fmov_from_gh(A64Dis *d, arg_rn_rd *a)
{
    if (simd_on(d)) {
        v_set(d, a->rd, ir_vset(d->ir, IR_E64, v_get(d, a->rd), 1, gpr_get(d, (unsigned)a->rn, true)));
    }
    return true;
}

bool trans_fcsel(A64Dis *d, arg_fcsel *a)
{
    IrVal n, m;
    A64Cond c;

    if (simd_on(d)) {
        n = bits_get(d, a->size, a->rn);
        m = bits_get(d, a->size, a->rm);
        c = cond_get(d, (unsigned)a->cond);
        f_set(d, a->rd, a->cond >= 14 ? n : ir_movcond(d->ir, c.c, c.a, c.b, n, m));
    }
    return true;
}

/* ---- arithmetic ---- */
#define CALL3(name) TRANS(name##_s, f_rrr, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rm, 0, 0))
#define CALL2(name) TRANS(name##_s, f_rr, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rn, 0, 0))

static bool extreme(IrOpcode op)
{
    return op == OP_fmax || op == OP_fmin || op == OP_fmaxnm || op == OP_fminnm;
}

static bool arith2(A64Dis *d, const arg_f_rrr *a, IrOpcode op, unsigned rt)
{
    IrVal (*in)(A64Dis *, int, IrVal) = extreme(op) ? fz_low_flush : fz_low_arith;

    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(a->size)) {
        f_result(d, a->size, a->rd, ir_fop2(d->ir, op, in(d, a->size, v_get(d, a->rn)), in(d, a->size, v_get(d, a->rm))));
    } else {
        simd_call(d, rt, a->rd, a->rn, a->rm, RT_DESC(a->size, 1 << a->size, 0, 0));
    }
    return true;
}
#define ARITH2(name) TRANS(name##_s, f_rrr, arith2(d, a, OP_##name, RT_##name))
ARITH2(fadd)
ARITH2(fsub)
ARITH2(fmul)
ARITH2(fdiv)
TRANS(fmax_s, f_rrr, arith2(d, a, OP_fmax, RT_fmax))
TRANS(fmin_s, f_rrr, arith2(d, a, OP_fmin, RT_fmin))
TRANS(fmaxnm_s, f_rrr, arith2(d, a, OP_fmaxnm, RT_fmaxnm))
TRANS(fminnm_s, f_rrr, arith2(d, a, OP_fminnm, RT_fminnm))

bool trans_fnmul_s(A64Dis *d, arg_f_rrr *a)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, RT_fnmul, a->size, a->rd, a->rn, a->rm, 0, 0);
    }
    v = ir_fop2(d->ir, OP_fmul, f_arith(d, a->size, a->rn), f_arith(d, a->size, a->rm));
    f_result(d, a->size, a->rd, ir_op1(d->ir, OP_fneg, f_type(a->size), 0, 0, v));
    return true;
}

bool trans_fsqrt_s(A64Dis *d, arg_f_rr *a)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, RT_fsqrt, a->size, a->rd, a->rn, a->rn, 0, 0);
    }
    f_result(d, a->size, a->rd, ir_op1(d->ir, OP_fsqrt, f_type(a->size), 0, 0, f_in(d, a->size, a->rn)));
    return true;
}

static bool fused(A64Dis *d, const arg_f_rrrr *a, unsigned neg)
{
    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(a->size)) {
        f_result(d, a->size, a->rd, ir_op3(d->ir, OP_fma, f_type(a->size), (uint16_t)neg, 0, f_arith(d, a->size, a->rn), f_arith(d, a->size, a->rm), f_arith(d, a->size, a->ra)));
    } else {
        ir_call(d->ir, RT_fmadd, IR_SIO(vslot((unsigned)a->rd)), IR_SIN(vslot((unsigned)a->rn)), IR_SIN(vslot((unsigned)a->rm)), IR_SIN(vslot((unsigned)a->ra)),
                IR_V(ir_i64(d->ir, RT_DESC(a->size, 1 << a->size, neg, 0))));
    }
    return true;
}
TRANS(fmadd_s, f_rrrr, fused(d, a, 0))
TRANS(fmsub_s, f_rrrr, fused(d, a, IR_FMA_NEG_PROD))
TRANS(fnmadd_s, f_rrrr, fused(d, a, IR_FMA_NEG_PROD | IR_FMA_NEG_ADD))
TRANS(fnmsub_s, f_rrrr, fused(d, a, IR_FMA_NEG_ADD))

static bool abs_difference(A64Dis *d, const arg_f_rrr *a)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, RT_fabd, a->size, a->rd, a->rn, a->rm, 0, 0);
    }
    v = ir_fop2(d->ir, OP_fsub, f_arith(d, a->size, a->rn), f_arith(d, a->size, a->rm));
    f_result(d, a->size, a->rd, ir_op1(d->ir, OP_fabs, f_type(a->size), 0, 0, v));
    return true;
}
TRANS(fabd_s, f_rrr, abs_difference(d, a))

CALL3(fmulx)
CALL3(frecps)
CALL3(frsqrts)
CALL2(frecpe)
CALL2(frecpx)
CALL2(frsqrte)
static bool add_pair(A64Dis *d, const arg_f_rr *a)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, RT_faddp, a->size, a->rd, a->rn, a->rn, 0, 0);
    }
    v = v_get(d, a->rn);
    v = fz_vector_arith(d, a->size, a->size == 3 ? v : v_join(d, v, v));
    f_result(d, a->size, a->rd, ir_vlow(d->ir, f_type(a->size), ir_v2(d->ir, OP_vpaddf, a->size, 0, v, v)));
    return true;
}
TRANS(faddp_s, f_rr, add_pair(d, a))

static bool extreme_pair(A64Dis *d, const arg_f_rr *a, IrOpcode op, unsigned rt)
{
    IrVal v, second;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, rt, a->size, a->rd, a->rn, a->rn, 0, 0);
    }
    v = v_get(d, a->rn);
    second = fz_vector_flush(d, a->size, ir_v1(d->ir, OP_vduplane, a->size, 1, v));
    f_result(d, a->size, a->rd, ir_fop2(d->ir, op, fz_low_flush(d, a->size, v), ir_vlow(d->ir, f_type(a->size), second)));
    return true;
}
TRANS(fmaxp_s, f_rr, extreme_pair(d, a, OP_fmax, RT_fmaxp))
TRANS(fminp_s, f_rr, extreme_pair(d, a, OP_fmin, RT_fminp))
TRANS(fmaxnmp_s, f_rr, extreme_pair(d, a, OP_fmaxnm, RT_fmaxnmp))
TRANS(fminnmp_s, f_rr, extreme_pair(d, a, OP_fminnm, RT_fminnmp))

#define CALL_LANE(name) TRANS(name##_sx, f_rrx, simd_call_s(d, RT_##name, a->size, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx))
CALL_LANE(fmulx)

/* neg: of the product added to d, -1 for no d */
static bool by_lane(A64Dis *d, const arg_f_rrx *a, int neg, unsigned rt)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, rt, a->size, a->rd, a->rn, a->rm, 0, 1 + (unsigned)a->idx);
    }
    n = f_arith(d, a->size, a->rn);
    m = fz_element_arith(d, a->size, v_get(d, a->rm), a->idx);
    f_result(d, a->size, a->rd, neg < 0 ? ir_fop2(d->ir, OP_fmul, n, m) : ir_op3(d->ir, OP_fma, f_type(a->size), (uint16_t)neg, 0, n, m, f_arith(d, a->size, a->rd)));
    return true;
}
TRANS(fmul_sx, f_rrx, by_lane(d, a, -1, RT_fmul))
TRANS(fmla_sx, f_rrx, by_lane(d, a, 0, RT_fmla))
TRANS(fmls_sx, f_rrx, by_lane(d, a, IR_FMA_NEG_PROD, RT_fmls))

/* ---- rounding ---- */
static bool round_int(A64Dis *d, const arg_f_rr *a, unsigned imm, IrRound r)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, RT_frint, a->size, a->rd, a->rn, a->rn, imm, 0);
    }
    f_result(d, a->size, a->rd, ir_op1(d->ir, OP_fround, f_type(a->size), (uint16_t)(r | (imm & EXACT ? IR_ROUND_EXACT : 0)), 0, f_in(d, a->size, a->rn)));
    return true;
}
TRANS(frintn_s, f_rr, round_int(d, a, FPR_NEAREST, IR_RN))
TRANS(frintp_s, f_rr, round_int(d, a, FPR_UP, IR_RP))
TRANS(frintm_s, f_rr, round_int(d, a, FPR_DOWN, IR_RM))
TRANS(frintz_s, f_rr, round_int(d, a, FPR_ZERO, IR_RZ))
TRANS(frinta_s, f_rr, round_int(d, a, FPR_AWAY, IR_RA))
TRANS(frintx_s, f_rr, round_int(d, a, CURRENT | EXACT, IR_RCUR))
TRANS(frinti_s, f_rr, round_int(d, a, CURRENT, IR_RCUR))
TRANS(frint32z_s, f_rr, simd_call_s(d, RT_frint_fit, a->size, a->rd, a->rn, a->rn, FPR_ZERO, 32))
TRANS(frint32x_s, f_rr, simd_call_s(d, RT_frint_fit, a->size, a->rd, a->rn, a->rn, CURRENT, 32))
TRANS(frint64z_s, f_rr, simd_call_s(d, RT_frint_fit, a->size, a->rd, a->rn, a->rn, FPR_ZERO, 64))
TRANS(frint64x_s, f_rr, simd_call_s(d, RT_frint_fit, a->size, a->rd, a->rn, a->rn, CURRENT, 64))

/* ---- between formats ---- */
bool trans_fcvt_s(A64Dis *d, arg_fcvt *a)
{
    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(a->size) && f_inline(a->to)) {
        f_result(d, a->to, a->rd, ir_op1(d->ir, OP_fcvt, f_type(a->to), 0, 0, f_in(d, a->size, a->rn)));
    } else {
        simd_call(d, RT_fcvt, a->rd, a->rn, a->rn, RT_DESC(a->size, 16, a->to, 0));
    }
    return true;
}
TRANS(bfcvt_s, rn_rd, !simd_on(d) || (simd_call(d, RT_fcvtn, a->rd, a->rn, a->rn, RT_DESC(1, 2, 2, 0)), true))
TRANS(fcvtxn_s, f_rr, simd_call_s(d, RT_fcvtn, 2, a->rd, a->rn, a->rn, 1, 0))

/* ---- to and from integers ---- */
static const uint8_t ir_round[] = { [FPR_NEAREST] = IR_RN, [FPR_UP] = IR_RP, [FPR_DOWN] = IR_RM, [FPR_ZERO] = IR_RZ, [FPR_AWAY] = IR_RA };

static bool to_gpr(A64Dis *d, int size, int sf, int rd, int rn, unsigned imm, unsigned fbits)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    if (f_inline(size)) {
        v = ir_op1(d->ir, OP_f2i, sf ? IR_I64 : IR_I32, (uint16_t)(ir_round[imm & 7] | (imm & UNSIGNED ? IR_CVT_UNSIGNED : 0)), fbits, f_in(d, size, rn));
    } else {
        v = ir_call(d->ir, RT_fcvt_gp, IR_SIN(vslot((unsigned)rn)), IR_V(ir_i64(d->ir, RT_DESC(size, 1 << size, imm, (sf ? 64u : 32u) << 8 | fbits))));
    }
    gpr_set(d, (unsigned)rd, v);
    return true;
}
#define TO_GPR(name, imm) TRANS(name##_g, fcvt_gp, to_gpr(d, a->size, a->sf, a->rd, a->rn, imm, 0))
TO_GPR(fcvtns, FPR_NEAREST)
TO_GPR(fcvtnu, FPR_NEAREST | UNSIGNED)
TO_GPR(fcvtps, FPR_UP)
TO_GPR(fcvtpu, FPR_UP | UNSIGNED)
TO_GPR(fcvtms, FPR_DOWN)
TO_GPR(fcvtmu, FPR_DOWN | UNSIGNED)
TO_GPR(fcvtzs, FPR_ZERO)
TO_GPR(fcvtzu, FPR_ZERO | UNSIGNED)
TO_GPR(fcvtas, FPR_AWAY)
TO_GPR(fcvtau, FPR_AWAY | UNSIGNED)
TRANS(fcvtzs_gf, fcvt_fix, to_gpr(d, a->size, a->sf, a->rd, a->rn, FPR_ZERO, (unsigned)a->scale))
TRANS(fcvtzu_gf, fcvt_fix, to_gpr(d, a->size, a->sf, a->rd, a->rn, FPR_ZERO | UNSIGNED, (unsigned)a->scale))

static bool from_gpr(A64Dis *d, int size, int sf, int rd, int rn, unsigned imm, unsigned fbits)
{
    IrVal v;

    if (!simd_on(d)) {
        return true;
    }
    v = gpr_get(d, (unsigned)rn, sf);
    if (f_inline(size)) {
        f_set(d, rd, ir_op1(d->ir, OP_i2f, f_type(size), imm & UNSIGNED ? IR_CVT_UNSIGNED : 0, fbits, v));
        return true;
    }
    v = sf ? v : imm & UNSIGNED ? ir_zext(d->ir, v) : ir_sext(d->ir, v);
    ir_call(d->ir, RT_cvtf_gp, IR_SOUT(vslot((unsigned)rd)), IR_V(v), IR_V(ir_i64(d->ir, RT_DESC(size, 1 << size, imm, fbits))));
    return true;
}
TRANS(scvtf_g, fcvt_gp, from_gpr(d, a->size, a->sf, a->rd, a->rn, 0, 0))
TRANS(ucvtf_g, fcvt_gp, from_gpr(d, a->size, a->sf, a->rd, a->rn, UNSIGNED, 0))
TRANS(scvtf_gf, fcvt_fix, from_gpr(d, a->size, a->sf, a->rd, a->rn, 0, (unsigned)a->scale))
TRANS(ucvtf_gf, fcvt_fix, from_gpr(d, a->size, a->sf, a->rd, a->rn, UNSIGNED, (unsigned)a->scale))

bool trans_fjcvtzs(A64Dis *d, arg_rn_rd *a)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_call(d->ir, RT_fjcvtzs, IR_SIN(vslot((unsigned)a->rn)));
        flags_from_nzcv(d, ir_shli(d->ir, ir_shri(d->ir, v, 32), 30));
        gpr_set(d, (unsigned)a->rd, ir_trunc(d->ir, v));
    }
    return true;
}

/* ---- scalar forms of the vector chapter ---- */
static bool to_int(A64Dis *d, int size, int rd, int rn, unsigned imm, unsigned fbits)
{
    IrType t = size == 3 ? IR_I64 : IR_I32;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(size)) {
        return simd_call_s(d, RT_fcvt_int, size, rd, rn, rn, imm, fbits);
    }
    f_set(d, rd, ir_op1(d->ir, OP_f2i, t, (uint16_t)(ir_round[imm & 7] | (imm & UNSIGNED ? IR_CVT_UNSIGNED : 0)), fbits, f_in(d, size, rn)));
    return true;
}

static bool from_int(A64Dis *d, int size, int rd, int rn, unsigned imm, unsigned fbits)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(size)) {
        return simd_call_s(d, RT_cvtf_int, size, rd, rn, rn, imm, fbits);
    }
    f_result(d, size, rd, ir_op1(d->ir, OP_i2f, f_type(size), imm & UNSIGNED ? IR_CVT_UNSIGNED : 0, fbits, bits_get(d, size, rn)));
    return true;
}

TRANS(fcvtns_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_NEAREST, 0))
TRANS(fcvtnu_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_NEAREST | UNSIGNED, 0))
TRANS(fcvtps_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_UP, 0))
TRANS(fcvtpu_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_UP | UNSIGNED, 0))
TRANS(fcvtms_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_DOWN, 0))
TRANS(fcvtmu_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_DOWN | UNSIGNED, 0))
TRANS(fcvtzs_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_ZERO, 0))
TRANS(fcvtzu_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_ZERO | UNSIGNED, 0))
TRANS(fcvtas_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_AWAY, 0))
TRANS(fcvtau_s, f_rr, to_int(d, a->size, a->rd, a->rn, FPR_AWAY | UNSIGNED, 0))
TRANS(scvtf_s, f_rr, from_int(d, a->size, a->rd, a->rn, 0, 0))
TRANS(ucvtf_s, f_rr, from_int(d, a->size, a->rd, a->rn, UNSIGNED, 0))
TRANS(fcvtzs_sf, f_rri, to_int(d, a->size, a->rd, a->rn, FPR_ZERO, (unsigned)a->imm))
TRANS(fcvtzu_sf, f_rri, to_int(d, a->size, a->rd, a->rn, FPR_ZERO | UNSIGNED, (unsigned)a->imm))
TRANS(scvtf_sf, f_rri, from_int(d, a->size, a->rd, a->rn, 0, (unsigned)a->imm))
TRANS(ucvtf_sf, f_rri, from_int(d, a->size, a->rd, a->rn, UNSIGNED, (unsigned)a->imm))
