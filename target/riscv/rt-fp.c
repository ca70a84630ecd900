/* SPDX-License-Identifier: MIT */
/* Floating point under rounding modes that are not the host's, and classification. */
#include "fpu/fp.h"
#include "target/riscv/rt.h"

/* rm: RNE, RTZ, RDN, RUP, RMM */
static const uint8_t rounds[] = { FPR_NEAREST, FPR_ZERO, FPR_DOWN, FPR_UP, FPR_AWAY };

/* FP_*: invalid 1, division 2, overflow 4, underflow 8, inexact 16; fflags the other way round. */
static uint32_t fflags(unsigned f)
{
    return (f & FP_INVALID ? 16u : 0) | (f & FP_DIVZERO ? 8u : 0) | (f & FP_OVERFLOW ? 4u : 0) | (f & FP_UNDERFLOW ? 2u : 0) | (f & FP_INEXACT ? 1u : 0);
}

/* Table "Format of result of FCLASS". */
static uint64_t classify(FpFormat f, uint64_t a)
{
    unsigned width = fp_width(f), frac = f == FP_F64 ? 52 : 23;
    bool neg = a >> (width - 1) & 1;
    uint64_t mag = a & ((1ull << (width - 1)) - 1), top = (1ull << (width - 1 - frac)) - 1, exp = mag >> frac;
    unsigned kind;

    if (fp_is_nan(f, a)) {
        return fp_is_snan(f, a) ? 1 << 8 : 1 << 9;
    }
    kind = exp == top ? 0 : exp ? 1 : mag ? 2 : 3;          /* infinite, normal, subnormal, zero */
    return 1ull << (neg ? kind : 7 - kind);
}

static uint64_t from_int(FpFormat f, uint64_t a, unsigned type, FpStatus *s)
{
    uint64_t v = type & 2 ? a : type & 1 ? (uint32_t)a : (uint64_t)(int64_t)(int32_t)a;

    return (uint64_t)fp_from_int(f, v, !(type & 1), 0, s);
}

static uint64_t compute(uint64_t what, FpFormat f, uint64_t a, uint64_t b, uint64_t c, FpStatus *s)
{
    switch ((RvFpOp)(what & 0xff)) {
    case RV_FP_ADD:
        return (uint64_t)fp_add(f, a, b, s);
    case RV_FP_SUB:
        return (uint64_t)fp_sub(f, a, b, s);
    case RV_FP_MUL:
        return (uint64_t)fp_mul(f, a, b, s);
    case RV_FP_DIV:
        return (uint64_t)fp_div(f, a, b, s);
    case RV_FP_SQRT:
        return (uint64_t)fp_sqrt(f, a, s);
    case RV_FP_FMA:
        return (uint64_t)fp_fma(f, what & RV_FP_NEG_PROD ? fp_neg(f, a) : a, b, what & RV_FP_NEG_ADD ? fp_neg(f, c) : c, s);
    case RV_FP_TO_FORMAT:
        return (uint64_t)fp_convert(f, f == FP_F32 ? FP_F64 : FP_F32, a, s);
    case RV_FP_FROM_INT:
        return from_int(f, a, what >> 16 & 3, s);
    case RV_FP_CLASS:
        return classify(f, a);
    }
    g_assert_not_reached();
}

uint64_t rt_rv_fp(TcgEnv *env, uint64_t what, uint64_t a, uint64_t b, uint64_t c)
{
    FpStatus s = { .round = rounds[what >> 8 & 7], .default_nan = true, .tiny_after = true, .int_rule = FP_INT_RISCV };
    uint64_t r = compute(what, what >> 12 & 1 ? FP_F64 : FP_F32, a, b, c, &s);

    rv_of_env(env)->fflags |= fflags(s.flags);
    return r;
}
