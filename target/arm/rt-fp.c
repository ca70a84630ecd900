/* SPDX-License-Identifier: MIT */
/* Floating point routines on elements of one size, scalar and vector: Arm ARM (DDI 0487), C7.2. */
#include "target/arm/rt-fp-priv.h"

/* ---- arithmetic ---- */
RT_FP(fadd, fp_add(f, a, b, &s))
RT_FP(fsub, fp_sub(f, a, b, &s))
RT_FP(fmul, fp_mul(f, a, b, &s))
RT_FP(fnmul, fp_neg(f, fp_mul(f, a, b, &s)))
RT_FP(fdiv, fp_div(f, a, b, &s))
RT_FP(fsqrt, fp_sqrt(f, a, &s))
RT_FP(fmulx, fp_mulx(f, a, b, &s))
RT_FP(fabd, fp_abs(f, fp_sub(f, a, b, &s)))
RT_FP(fmla, fp_fma(f, a, b, c, &s))
RT_FP(fmls, fp_fma(f, fp_neg(f, a), b, c, &s))
RT_FP(fmax, fp_max(f, a, b, &s))
RT_FP(fmin, fp_min(f, a, b, &s))
RT_FP(fmaxnm, fp_maxnum(f, a, b, &s))
RT_FP(fminnm, fp_minnum(f, a, b, &s))
RT_FP(frecps, fp_recip_step(f, a, b, &s))
RT_FP(frsqrts, fp_rsqrt_step(f, a, b, &s))
RT_FP(frecpe, fp_recip_estimate(f, a, &s))
RT_FP(frsqrte, fp_rsqrt_estimate(f, a, &s))
RT_FP(frecpx, fp_recip_exponent(f, a, &s))
RT_FP(urecpe, fp_recip_estimate_u32((uint32_t)a))
RT_FP(ursqrte, fp_rsqrt_estimate_u32((uint32_t)a))

RT_FP_PAIR(faddp, fp_add(f, a, b, &s))
RT_FP_PAIR(fmaxp, fp_max(f, a, b, &s))
RT_FP_PAIR(fminp, fp_min(f, a, b, &s))
RT_FP_PAIR(fmaxnmp, fp_maxnum(f, a, b, &s))
RT_FP_PAIR(fminnmp, fp_minnum(f, a, b, &s))

/* Scalar d = c + a * b with c of its own: x (in imm) 1 negates the product, 2 the addend. */
void rt_a64_fmadd(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, const ArmVec *c, uint64_t desc)
{
    unsigned size = RT_SIZE(desc), imm = RT_IMM(desc);
    FpFormat f = a64_fp_format(size);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);
    uint64_t x = rt_elem(n, size, 0), y = rt_elem(m, size, 0), z = rt_elem(c, size, 0);

    x = imm & 1 ? (uint64_t)fp_neg(f, x) : x;
    z = imm & 2 ? (uint64_t)fp_neg(f, z) : z;
    *d = (ArmVec){ .u128 = fp_fma(f, x, y, z, &s) };
    rt_raise(env, &s, size);
}

/* ---- comparison ---- */
RT_FP(fcmeq, fp_compare(f, a, b, false, &s) == FP_EQUAL ? ones : 0)
RT_FP(fcmge, fp_compare(f, b, a, true, &s) <= FP_EQUAL ? ones : 0)
RT_FP(fcmgt, fp_compare(f, b, a, true, &s) == FP_LESS ? ones : 0)
RT_FP(facge, fp_compare(f, fp_abs(f, b), fp_abs(f, a), true, &s) <= FP_EQUAL ? ones : 0)
RT_FP(facgt, fp_compare(f, fp_abs(f, b), fp_abs(f, a), true, &s) == FP_LESS ? ones : 0)
RT_FP(fcmeq0, fp_compare(f, a, 0, false, &s) == FP_EQUAL ? ones : 0)
RT_FP(fcmge0, fp_compare(f, 0, a, true, &s) <= FP_EQUAL ? ones : 0)
RT_FP(fcmgt0, fp_compare(f, 0, a, true, &s) == FP_LESS ? ones : 0)
RT_FP(fcmle0, fp_compare(f, a, 0, true, &s) <= FP_EQUAL ? ones : 0)
RT_FP(fcmlt0, fp_compare(f, a, 0, true, &s) == FP_LESS ? ones : 0)

/* NZCV in bits 3..0. imm 1: against zero, 2: signalling */
uint64_t rt_a64_fcmp(TcgEnv *env, const ArmVec *n, const ArmVec *m, uint64_t desc)
{
    static const uint8_t nzcv[] = { [FP_LESS] = 8, [FP_EQUAL] = 6, [FP_GREATER] = 2, [FP_UNORDERED] = 3 };
    unsigned size = RT_SIZE(desc), imm = RT_IMM(desc);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);
    FpOrder o = fp_compare(a64_fp_format(size), rt_elem(n, size, 0), imm & 1 ? 0 : rt_elem(m, size, 0), imm & 2, &s);

    rt_raise(env, &s, size);
    return nzcv[o];
}

uint64_t rt_a64_fccmp(TcgEnv *env, const ArmVec *n, const ArmVec *m, uint64_t desc, uint64_t holds)
{
    return holds ? rt_a64_fcmp(env, n, m, desc) : RT_X(desc);
}

/* ---- across: x = bytes of the source ---- */
typedef FpBits FpBinary(FpFormat f, FpBits a, FpBits b, FpStatus *s);

static void across(TcgEnv *env, ArmVec *d, const ArmVec *n, uint64_t desc, FpBinary *fn)
{
    unsigned size = RT_SIZE(desc), count = RT_X(desc) >> size;
    FpFormat f = a64_fp_format(size);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);
    uint64_t v[8];

    for (unsigned i = 0; i < count; i++) {
        v[i] = rt_elem(n, size, i);
    }
    for (; count > 1; count /= 2) {                     /* Reduce() halves: neighbours first */
        for (unsigned i = 0; i < count / 2; i++) {
            v[i] = (uint64_t)fn(f, v[2 * i], v[2 * i + 1], &s);
        }
    }
    *d = (ArmVec){ .u64 = { v[0], 0 } };
    rt_raise(env, &s, size);
}

RT_FN(fmaxv) { across(env, d, n, desc, fp_max); }
RT_FN(fminv) { across(env, d, n, desc, fp_min); }
RT_FN(fmaxnmv) { across(env, d, n, desc, fp_maxnum); }
RT_FN(fminnmv) { across(env, d, n, desc, fp_minnum); }
