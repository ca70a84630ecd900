/* SPDX-License-Identifier: MIT */
/* Floating point routines that round or convert. */
#include "target/arm/rt-fp-priv.h"

/* imm: rounding in bits 0..2, 7 for the current mode; 8: raises inexact; 16: unsigned; x: fraction bits */
enum { IMM_CURRENT = 7, IMM_EXACT = 8, IMM_UNSIGNED = 16 };

static FpRound round_of(unsigned imm, const FpStatus *s)
{
    return (imm & 7) == IMM_CURRENT ? (FpRound)s->round : (FpRound)(imm & 7);
}

#define RT_FP_CVT(name, ...) \
RT_FN(name) \
{ \
    ArmVec r = { .u128 = 0 }; \
    unsigned size = RT_SIZE(desc), count = RT_BYTES(desc) >> size, imm = RT_IMM(desc), x = RT_X(desc); \
    FpFormat f = a64_fp_format(size); \
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size); \
    for (unsigned i = 0; i < count; i++) { \
        uint64_t a = rt_elem(n, size, i); \
        rt_elem_set(&r, size, i, (uint64_t)(__VA_ARGS__)); \
    } \
    (void)x, (void)imm; \
    RT_FP_TAIL \
}

static uint64_t extend(uint64_t a, unsigned size, bool is_signed)
{
    unsigned n = 64 - (8 << size);

    return is_signed ? (uint64_t)((int64_t)(a << n) >> n) : a;
}

RT_FP_CVT(frint, fp_round_int(f, a, round_of(imm, &s), imm & IMM_EXACT, &s))
/* x: 32 or 64 */
RT_FP_CVT(frint_fit, fp_round_fit(f, a, round_of(imm, &s), x, &s))
RT_FP_CVT(fcvt_int, fp_to_int(f, a, 8 << size, !(imm & IMM_UNSIGNED), x, round_of(imm, &s), &s))
RT_FP_CVT(cvtf_int, fp_from_int(f, extend(a, size, !(imm & IMM_UNSIGNED)), !(imm & IMM_UNSIGNED), x, &s))

/* To a general register: x >> 8 = its width. */
uint64_t rt_a64_fcvt_gp(TcgEnv *env, const ArmVec *n, uint64_t desc)
{
    unsigned size = RT_SIZE(desc), imm = RT_IMM(desc);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);
    uint64_t r = fp_to_int(a64_fp_format(size), rt_elem(n, size, 0), RT_X(desc) >> 8, !(imm & IMM_UNSIGNED), RT_X(desc) & 255, round_of(imm, &s), &s);

    rt_raise(env, &s, size);
    return r;
}

/* From a general register, extended by the caller. */
void rt_a64_cvtf_gp(TcgEnv *env, ArmVec *d, uint64_t v, uint64_t desc)
{
    unsigned size = RT_SIZE(desc);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);

    *d = (ArmVec){ .u128 = fp_from_int(a64_fp_format(size), v, !(RT_IMM(desc) & IMM_UNSIGNED), RT_X(desc), &s) };
    rt_raise(env, &s, size);
}

/* JavaScript conversion: the result, and Z in bit 32. */
uint64_t rt_a64_fjcvtzs(TcgEnv *env, const ArmVec *n)
{
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, 3);
    bool exact;
    uint64_t r = fp_to_int_modulo(n->u64[0], &exact, &s);

    rt_raise(env, &s, 3);
    return r | (uint64_t)exact << 32;
}

/* ---- between formats ---- */
/* Conversions to and from halves look at FZ for the other side only, and at AHP. */
static FpFormat half(const TcgEnv *env)
{
    return a64_of_env((TcgEnv *)env)->fpcr >> 26 & 1 ? FP_F16_ALT : FP_F16;
}

static uint64_t convert(TcgEnv *env, unsigned to, unsigned from, uint64_t a, FpStatus *s)
{
    *s = a64_fp_status(a64_of_env(env)->fpcr, 2);
    s->flush_in = from != 1 && s->flush_in;
    s->flush_out = to != 1 && s->flush_out;
    return (uint64_t)fp_convert(to == 1 ? half(env) : a64_fp_format(to), from == 1 ? half(env) : a64_fp_format(from), a, s);
}

/* size: of n; imm: of the result */
RT_FN(fcvt)
{
    FpStatus s;

    *d = (ArmVec){ .u64 = { convert(env, RT_IMM(desc), RT_SIZE(desc), rt_elem(n, RT_SIZE(desc), 0), &s), 0 } };
    rt_raise(env, &s, 2);
}

/* size: the narrow one; imm: first element */
RT_FN(fcvtl)
{
    unsigned size = RT_SIZE(desc), count = 16 >> (size + 1);
    ArmVec r;
    FpStatus s;

    for (unsigned i = 0; i < count; i++) {
        rt_elem_set(&r, size + 1, i, convert(env, size + 1, size, rt_elem(n, size, RT_IMM(desc) + i), &s));
        rt_raise(env, &s, 2);
    }
    *d = r;
}

/* size: the narrow one; x & 1: into the upper half; imm 0: current rounding, 1: to odd, 2: to bfloat */
RT_FN(fcvtn)
{
    unsigned size = RT_SIZE(desc), count = RT_BYTES(desc) >> size, imm = RT_IMM(desc);
    ArmVec r = { .u128 = 0 };
    FpStatus s;

    for (unsigned i = 0; i < count; i++) {
        uint64_t a = rt_elem(n, size + 1, i), v;

        if (imm) {
            s = a64_fp_status(a64_of_env(env)->fpcr, 2);
            s.round = imm == 1 ? FPR_ODD : s.round;
            v = (uint64_t)fp_convert(imm == 2 ? FP_BF16 : FP_F32, imm == 2 ? FP_F32 : FP_F64, a, &s);
        } else {
            v = convert(env, size, size + 1, a, &s);
        }
        rt_elem_set(&r, size, i, v);
        rt_raise(env, &s, 2);
    }
    if (RT_X(desc) & 1) {
        r.u64[1] = r.u64[0];
        r.u64[0] = d->u64[0];
    }
    *d = r;
}
