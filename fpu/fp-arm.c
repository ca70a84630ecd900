/* SPDX-License-Identifier: MIT */
/*
 * Arm's estimates and Newton steps: Arm ARM (DDI 0487), shared pseudocode,
 * RecipEstimate, RecipSqrtEstimate, FPRecipEstimate, FPRSqrtEstimate,
 * FPRecpX, FPRecipStepFused, FPRSqrtStepFused, FPMulX.
 */
#include "fpu/fp-priv.h"

/* 256..511 to 256..511: the reciprocal of the middle of the interval. */
static unsigned recip_table(unsigned a)
{
    return ((1u << 19) / (a * 2 + 1) + 1) / 2;
}

/* 128..511 to 256..511. */
static unsigned rsqrt_table(unsigned a)
{
    unsigned b = 512;

    a = a < 256 ? a * 2 + 1 : ((a >> 1 << 1) + 1) * 2;
    for (unsigned bit = 256; bit; bit /= 2) {               /* the largest b with a * b * b < 2^28 */
        b += (uint64_t)a * (b + bit) * (b + bit) < 1u << 28 ? bit : 0;
    }
    return (b + 1) / 2;
}

uint32_t fp_recip_estimate_u32(uint32_t a)
{
    return a >> 31 ? recip_table(a >> 23) << 23 : UINT32_MAX;
}

uint32_t fp_rsqrt_estimate_u32(uint32_t a)
{
    return a >> 30 ? rsqrt_table(a >> 23) << 23 : UINT32_MAX;
}

FpBits fp_recip_estimate(FpFormat f, FpBits a, FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];
    Fp x = fp_unpack(f, a, s);
    int exp;

    if (fp_nan(x)) {
        return fp_pack(f, fp_nan1(x, s), s);
    }
    if (x.cls == FPC_INF) {
        return fp_zero(f, x.sign);
    }
    if (x.cls == FPC_ZERO) {
        s->flags |= FP_DIVZERO;
        return fp_inf(f, x.sign);
    }
    if (x.exp < -m->bias - 1) {                             /* the reciprocal is too large for the format */
        bool inf = s->round == FPR_NEAREST || s->round == FPR_AWAY || s->round == (x.sign ? FPR_DOWN : FPR_UP);

        s->flags |= FP_OVERFLOW | FP_INEXACT;
        return inf ? fp_inf(f, x.sign) : fp_largest(f, x.sign);
    }
    if (s->flush_out && x.exp >= m->bias - 1) {
        s->flags |= FP_OUT_FLUSHED;
        return fp_zero(f, x.sign);
    }
    exp = -1 - x.exp;
    x.sig = (FpBits)recip_table((unsigned)(x.sig >> 119)) << 119;
    x.exp = exp;
    return fp_pack(f, x, s);                                /* a subnormal result is exact: 9 bits */
}

FpBits fp_rsqrt_estimate(FpFormat f, FpBits a, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s);
    bool odd;

    if (fp_nan(x)) {
        return fp_pack(f, fp_nan1(x, s), s);
    }
    if (x.cls == FPC_ZERO) {
        s->flags |= FP_DIVZERO;
        return fp_inf(f, x.sign);
    }
    if (x.sign) {
        return fp_pack(f, fp_invalid(s), s);
    }
    if (x.cls == FPC_INF) {
        return fp_zero(f, false);
    }
    odd = x.exp & 1;                                        /* value in [1/4, 1): even exponents have the leading bit one lower */
    x.sig = (FpBits)rsqrt_table((unsigned)(x.sig >> (odd ? 119 : 120))) << 119;
    x.exp = -1 - (x.exp - odd) / 2;
    return fp_pack(f, x, s);
}

FpBits fp_recip_exponent(FpFormat f, FpBits a, FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];
    FpBits exp_mask = fp_inf(f, false);
    Fp x = fp_unpack(f, a, s);

    if (fp_nan(x)) {
        return fp_pack(f, fp_nan1(x, s), s);
    }
    if (!(a & exp_mask)) {
        return fp_zero(f, x.sign) | (exp_mask - ((FpBits)1 << m->frac_bits));
    }
    return fp_zero(f, x.sign) | (~a & exp_mask);
}

/* (c - a * b) / 2^halve, c for inf * 0 as well. */
static FpBits step(FpFormat f, FpBits a, FpBits b, FpBits c, FpBits c_halved, unsigned halve, FpStatus *s)
{
    Fp x, y;

    a = fp_neg(f, a);
    x = fp_unpack(f, a, s);
    y = fp_unpack(f, b, s);
    if (fp_nan(x) || fp_nan(y)) {
        return fp_pack(f, fp_nan2(x, y, s), s);
    }
    if ((x.cls == FPC_INF && y.cls == FPC_ZERO) || (x.cls == FPC_ZERO && y.cls == FPC_INF)) {
        return c_halved;
    }
    return fp_fma_wide(f, f, a, b, c, halve, s);
}

/* m * 2^e of a small m, 2 or 3 */
static FpBits three_halves(FpFormat f, int exp)
{
    return fp_power2(f, exp, false) | (FpBits)1 << (fp_fmt[f].frac_bits - 1);
}

FpBits fp_recip_step(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    FpBits two = fp_power2(f, 1, false);

    return step(f, a, b, two, two, 0, s);
}

FpBits fp_rsqrt_step(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    return step(f, a, b, three_halves(f, 1), three_halves(f, 0), 1, s);
}

FpBits fp_mulx(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);

    if ((x.cls == FPC_INF && y.cls == FPC_ZERO) || (x.cls == FPC_ZERO && y.cls == FPC_INF)) {
        return fp_power2(f, 1, x.sign != y.sign);
    }
    return fp_mul(f, a, b, s);
}
