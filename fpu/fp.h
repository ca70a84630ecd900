/* SPDX-License-Identifier: MIT */
/*
 * Soft floating point, bit exact (IEEE 754-2008), without touching the host's
 * floating point unit.
 *
 * A number travels as its encoding in the low bits of an FpBits; FpFormat says
 * which encoding.  Every operation unpacks to one canonical form, computes
 * with sticky bits, and rounds and packs once, so the formats share all code.
 *
 * FpStatus holds the modes in and the sticky flags out; it belongs to the
 * caller (usually a local built from the guest's control register).  The flag
 * values are those of Arm's FPSR.  Functions are pure but for `flags` and may
 * be called from any thread.  A size or width that is not offered is asserted.
 *
 * Modes that differ between guests are fields, never compile-time choices.
 */
#ifndef FPU_FP_H
#define FPU_FP_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 FpBits;

typedef enum {
    FP_F16, FP_BF16, FP_F32, FP_F64, FP_F128,
    FP_F16_ALT,             /* Arm alternative half precision: no infinities, no NaNs. Conversions only */
    FP_NFORMATS
} FpFormat;

/* Up to `FPR_ZERO` in the order of Arm's FPCR.RMode and of the A64 rounding suffixes. */
typedef enum { FPR_NEAREST, FPR_UP, FPR_DOWN, FPR_ZERO, FPR_AWAY /* ties away from zero */, FPR_ODD } FpRound;

enum {
    FP_INVALID = 1, FP_DIVZERO = 2, FP_OVERFLOW = 4, FP_UNDERFLOW = 8, FP_INEXACT = 16,
    FP_OUT_FLUSHED = 64,    /* a tiny result became zero (flush_out); neither underflow nor inexact is raised for it */
    FP_IN_FLUSHED = 128,    /* a subnormal operand became zero (flush_in) */
};

/* Which NaN is the result; it is quieted. With default_nan the choice does not matter. */
typedef enum {
    FP_NAN_ARM,             /* a signalling one first, then operand order; fma: addend, then the factors; inf * 0 + qNaN is the default NaN, invalid */
    FP_NAN_X86,             /* operand order; inf * 0 + qNaN is that NaN, not invalid */
} FpNanRule;

/* What a conversion to integer gives when the value does not fit. All raise invalid. */
typedef enum {
    FP_INT_ARM,             /* saturated; NaN is 0 */
    FP_INT_RISCV,           /* saturated; NaN is the largest value */
    FP_INT_X86,             /* 1 << (width - 1) signed, all ones unsigned */
} FpIntRule;

typedef struct FpStatus {
    uint8_t flags;          /* out: gathered, never cleared here */
    uint8_t round;          /* FpRound */
    uint8_t nan_rule, int_rule;
    bool default_nan;       /* every NaN result is the default one */
    bool default_nan_neg;   /* its sign */
    bool tiny_after;        /* tininess is detected after rounding (x86, RISC-V), else before (Arm) */
    bool flush_in, flush_out;
    bool odd_to_inf;        /* FPR_ODD overflows to infinity instead of the largest number (Arm BFDOT) */
} FpStatus;

typedef enum { FP_LESS, FP_EQUAL, FP_GREATER, FP_UNORDERED } FpOrder;

/* ---- encodings ---- */
unsigned fp_width(FpFormat f);
FpBits fp_inf(FpFormat f, bool sign);
FpBits fp_zero(FpFormat f, bool sign);
FpBits fp_largest(FpFormat f, bool sign);
FpBits fp_default_nan(FpFormat f, const FpStatus *s);
FpBits fp_power2(FpFormat f, int exp, bool sign);       /* 2^exp, a normal number */
bool fp_is_nan(FpFormat f, FpBits a);
bool fp_is_snan(FpFormat f, FpBits a);
FpBits fp_neg(FpFormat f, FpBits a);
FpBits fp_abs(FpFormat f, FpBits a);

/* ---- arithmetic ---- */
FpBits fp_add(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_sub(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_mul(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_div(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_sqrt(FpFormat f, FpBits a, FpStatus *s);
FpBits fp_fma(FpFormat f, FpBits a, FpBits b, FpBits c, FpStatus *s);       /* a * b + c, one rounding */

/* (a * b + c) / 2^halve with factors of format `ff` and addend and result of format `f` (which holds the former exactly). */
FpBits fp_fma_wide(FpFormat f, FpFormat ff, FpBits a, FpBits b, FpBits c, unsigned halve, FpStatus *s);

/* ---- comparison ---- */
/* A quiet NaN raises invalid with `signal` only. */
FpOrder fp_compare(FpFormat f, FpBits a, FpBits b, bool signal, FpStatus *s);
/* NaN wins; -0 < +0. */
FpBits fp_min(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_max(FpFormat f, FpBits a, FpBits b, FpStatus *s);
/* A quiet NaN loses against a number, a signalling one wins (IEEE 754-2008 minNum, maxNum). */
FpBits fp_minnum(FpFormat f, FpBits a, FpBits b, FpStatus *s);
FpBits fp_maxnum(FpFormat f, FpBits a, FpBits b, FpStatus *s);

/* ---- conversion ---- */
FpBits fp_convert(FpFormat to, FpFormat from, FpBits a, FpStatus *s);
/* To an integral value in the format; inexact is raised with `exact` only. */
FpBits fp_round_int(FpFormat f, FpBits a, FpRound r, bool exact, FpStatus *s);
/* The same for values that fit in a signed integer of `width` 32 or 64, else -2^(width - 1) and invalid (Arm FRINT32, FRINT64). */
FpBits fp_round_fit(FpFormat f, FpBits a, FpRound r, unsigned width, FpStatus *s);
/* a * 2^fbits rounded to an integer of `width` 8..64 bits; the result is zero-extended from width. */
uint64_t fp_to_int(FpFormat f, FpBits a, unsigned width, bool is_signed, unsigned fbits, FpRound r, FpStatus *s);
/* v / 2^fbits, under the current rounding mode; v is extended to 64 bits by the caller. */
FpBits fp_from_int(FpFormat f, uint64_t v, bool is_signed, unsigned fbits, FpStatus *s);
/* F64 to int32 modulo 2^32, towards zero (JavaScript's ToInt32, Arm FJCVTZS); *exact: the value was that int32 (-0 is not). */
uint32_t fp_to_int_modulo(uint64_t a, bool *exact, FpStatus *s);

/* ---- Arm's estimates and steps (Arm ARM, shared pseudocode, functions/float) ---- */
FpBits fp_recip_estimate(FpFormat f, FpBits a, FpStatus *s);
FpBits fp_rsqrt_estimate(FpFormat f, FpBits a, FpStatus *s);
FpBits fp_recip_exponent(FpFormat f, FpBits a, FpStatus *s);                /* FRECPX */
FpBits fp_recip_step(FpFormat f, FpBits a, FpBits b, FpStatus *s);          /* 2 - a * b */
FpBits fp_rsqrt_step(FpFormat f, FpBits a, FpBits b, FpStatus *s);          /* (3 - a * b) / 2 */
FpBits fp_mulx(FpFormat f, FpBits a, FpBits b, FpStatus *s);                /* inf * 0 = +-2 */
uint32_t fp_recip_estimate_u32(uint32_t a);
uint32_t fp_rsqrt_estimate_u32(uint32_t a);

#endif
