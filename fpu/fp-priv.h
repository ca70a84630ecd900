/* SPDX-License-Identifier: MIT */
/*
 * The canonical form of numbers inside fpu/.
 *
 * FP_NORM: value = sig * 2^(exp - 127), bit 127 of sig is set, bit 0 is sticky
 * after an inexact step.  The largest format has 113 significant bits, so that
 * at least 15 bits below them are there for rounding.
 * NaNs: the fraction field is left-aligned at bit 126 (the quiet bit).
 */
#ifndef FPU_FP_PRIV_H
#define FPU_FP_PRIV_H

#include "fpu/fp.h"

typedef enum { FPC_ZERO, FPC_NORM, FPC_INF, FPC_QNAN, FPC_SNAN } FpClass;

typedef struct Fp {
    FpBits sig;
    int32_t exp;
    uint8_t cls;            /* FpClass */
    bool sign;
} Fp;

typedef struct FpFmt {
    uint8_t width, exp_bits, frac_bits;
    bool no_inf;
    int32_t bias;
} FpFmt;

extern const FpFmt fp_fmt[FP_NFORMATS];

#define FP_TOP ((FpBits)1 << 127)

Fp fp_unpack(FpFormat f, FpBits a, FpStatus *s);
FpBits fp_pack(FpFormat f, Fp v, FpStatus *s);              /* rounds by s->round */
Fp fp_the_default_nan(const FpStatus *s);
Fp fp_invalid(FpStatus *s);                                 /* raises, gives the default NaN */
Fp fp_nan1(Fp a, FpStatus *s);                              /* a is a NaN */
Fp fp_nan2(Fp a, Fp b, FpStatus *s);                        /* one of them is */
Fp fp_nan3(Fp a, Fp b, Fp c, bool inf_zero, FpStatus *s);   /* one of them is; c is the addend, inf_zero: a * b is invalid */
Fp fp_sum(Fp a, Fp b, FpStatus *s);                         /* no NaNs */
Fp fp_product(Fp a, Fp b);                                  /* no NaNs, no inf * 0; sticky */
/* Shift to an integer: the fraction part is rounded away; *inexact says whether there was one. */
FpBits fp_integer(Fp v, int scale, FpRound r, bool *inexact);

static inline bool fp_nan(Fp a) { return a.cls >= FPC_QNAN; }

static inline unsigned fp_clz(FpBits v)
{
    uint64_t hi = (uint64_t)(v >> 64);

    return hi ? (unsigned)__builtin_clzll(hi) : (uint64_t)v ? 64 + (unsigned)__builtin_clzll((uint64_t)v) : 128;
}

/* Right shift that keeps in bit 0 whether anything was lost. */
static inline FpBits fp_shr_sticky(FpBits v, unsigned n)
{
    if (!n) {
        return v;
    }
    if (n > 127) {
        return v != 0;
    }
    return (v >> n) | ((v << (128 - n)) != 0);
}

#endif
