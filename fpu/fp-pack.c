/* SPDX-License-Identifier: MIT */
/* Encodings to canonical form and back: the one place that rounds and raises overflow, underflow and inexact. */
#include "fpu/fp-priv.h"

#include <assert.h>
#include <stddef.h>

const FpFmt fp_fmt[FP_NFORMATS] = {
    [FP_F16]     = { .width = 16, .exp_bits = 5, .frac_bits = 10, .bias = 15 },
    [FP_BF16]    = { .width = 16, .exp_bits = 8, .frac_bits = 7, .bias = 127 },
    [FP_F32]     = { .width = 32, .exp_bits = 8, .frac_bits = 23, .bias = 127 },
    [FP_F64]     = { .width = 64, .exp_bits = 11, .frac_bits = 52, .bias = 1023 },
    [FP_F128]    = { .width = 128, .exp_bits = 15, .frac_bits = 112, .bias = 16383 },
    [FP_F16_ALT] = { .width = 16, .exp_bits = 5, .frac_bits = 10, .bias = 15, .no_inf = true },
};

static inline FpBits frac_mask(const FpFmt *m) { return ((FpBits)1 << m->frac_bits) - 1; }
static inline unsigned exp_ones(const FpFmt *m) { return (1u << m->exp_bits) - 1; }
static inline unsigned exp_of(const FpFmt *m, FpBits a) { return (unsigned)(a >> m->frac_bits) & exp_ones(m); }

static inline FpBits encode(const FpFmt *m, bool sign, unsigned exp, FpBits frac)
{
    return (FpBits)sign << (m->width - 1) | (FpBits)exp << m->frac_bits | frac;
}

unsigned fp_width(FpFormat f) { return fp_fmt[f].width; }
FpBits fp_zero(FpFormat f, bool sign) { return encode(&fp_fmt[f], sign, 0, 0); }
FpBits fp_inf(FpFormat f, bool sign) { return encode(&fp_fmt[f], sign, exp_ones(&fp_fmt[f]), 0); }

FpBits fp_largest(FpFormat f, bool sign)
{
    const FpFmt *m = &fp_fmt[f];

    return encode(m, sign, exp_ones(m) - !m->no_inf, frac_mask(m));
}

FpBits fp_power2(FpFormat f, int exp, bool sign) { return encode(&fp_fmt[f], sign, exp + fp_fmt[f].bias, 0); }

FpBits fp_default_nan(FpFormat f, const FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];

    return encode(m, s->default_nan_neg, exp_ones(m), (FpBits)1 << (m->frac_bits - 1));
}

bool fp_is_nan(FpFormat f, FpBits a)
{
    const FpFmt *m = &fp_fmt[f];

    return !m->no_inf && exp_of(m, a) == exp_ones(m) && (a & frac_mask(m));
}

bool fp_is_snan(FpFormat f, FpBits a)
{
    return fp_is_nan(f, a) && !(a >> (fp_fmt[f].frac_bits - 1) & 1);
}

FpBits fp_neg(FpFormat f, FpBits a) { return a ^ (FpBits)1 << (fp_fmt[f].width - 1); }
FpBits fp_abs(FpFormat f, FpBits a) { return a & ~((FpBits)1 << (fp_fmt[f].width - 1)); }

Fp fp_unpack(FpFormat f, FpBits a, FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];
    FpBits frac = a & frac_mask(m);
    unsigned exp = exp_of(m, a);
    Fp v = { .sign = (a >> (m->width - 1)) & 1, .cls = FPC_NORM, .exp = (int)exp - m->bias, .sig = frac << (127 - m->frac_bits) };

    if (exp == exp_ones(m) && !m->no_inf) {
        v.cls = !frac ? FPC_INF : v.sig >> 126 & 1 ? FPC_QNAN : FPC_SNAN;
    } else if (exp) {
        v.sig |= FP_TOP;
    } else if (!frac) {
        v.cls = FPC_ZERO;
    } else if (s->flush_in) {
        s->flags |= FP_IN_FLUSHED;
        v.cls = FPC_ZERO;
    } else {
        unsigned n = fp_clz(v.sig);

        v.sig <<= n;
        v.exp = 1 - m->bias - (int)n;
    }
    return v;
}

/* What to add to a significand before its low `drop` bits are cut, for the modes that round by adding. */
static FpBits increment(FpBits sig, unsigned drop, bool sign, FpRound r)
{
    FpBits unit = (FpBits)1 << drop;

    switch (r) {
    case FPR_NEAREST:
        return (unit >> 1) - !(sig & unit);
    case FPR_AWAY:
        return unit >> 1;
    case FPR_UP:
        return sign ? 0 : unit - 1;
    case FPR_DOWN:
        return sign ? unit - 1 : 0;
    default:
        return 0;
    }
}

static bool overflows_to_inf(bool sign, const FpStatus *s)
{
    switch ((FpRound)s->round) {
    case FPR_UP:
        return !sign;
    case FPR_DOWN:
        return sign;
    case FPR_ZERO:
        return false;
    case FPR_ODD:
        return s->odd_to_inf;
    default:
        return true;
    }
}

static FpBits pack_overflow(FpFormat f, bool sign, FpStatus *s)
{
    if (fp_fmt[f].no_inf) {
        s->flags |= FP_INVALID;
        return fp_largest(f, sign);
    }
    s->flags |= FP_OVERFLOW | FP_INEXACT;
    return overflows_to_inf(sign, s) ? fp_inf(f, sign) : fp_largest(f, sign);
}

/* Would the number be below the smallest normal one, were the exponent unbounded?  `exp` is biased, at most 0. */
static bool is_tiny(Fp v, int exp, unsigned drop, const FpStatus *s)
{
    if (!s->tiny_after || exp < 0) {
        return true;
    }
    return v.sig + increment(v.sig, drop, v.sign, s->round) >= v.sig;       /* no carry out of bit 127 */
}

static FpBits pack_norm(FpFormat f, Fp v, FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];
    unsigned drop = 127 - m->frac_bits;
    int exp = v.exp + m->bias;
    bool tiny = false;
    FpBits lost, inc, sum;

    if (exp <= 0) {
        tiny = is_tiny(v, exp, drop, s);
        if (tiny && s->flush_out) {
            s->flags |= FP_OUT_FLUSHED;
            return fp_zero(f, v.sign);
        }
        v.sig = fp_shr_sticky(v.sig, 1 - exp);
        exp = 0;
    }
    lost = v.sig & (((FpBits)1 << drop) - 1);
    if (!lost) {
        sum = v.sig;
    } else if (s->round == FPR_ODD) {
        sum = v.sig | (FpBits)1 << drop;
    } else {
        inc = increment(v.sig, drop, v.sign, s->round);
        sum = v.sig + inc;
        if (sum < inc) {                        /* carried out: the significand is 1.0, one binade up */
            sum = FP_TOP;
            exp++;
        }
    }
    if (!exp && sum & FP_TOP) {                 /* a subnormal became the smallest normal number */
        exp = 1;
    }
    if (exp >= (int)exp_ones(m) + m->no_inf) {
        return pack_overflow(f, v.sign, s);
    }
    if (lost) {
        s->flags |= FP_INEXACT | (tiny ? FP_UNDERFLOW : 0);
    }
    return encode(m, v.sign, exp, (sum >> drop) & frac_mask(m));
}

FpBits fp_pack(FpFormat f, Fp v, FpStatus *s)
{
    const FpFmt *m = &fp_fmt[f];

    switch ((FpClass)v.cls) {
    case FPC_ZERO:
        return fp_zero(f, v.sign);
    case FPC_NORM:
        return pack_norm(f, v, s);
    case FPC_INF:
        return m->no_inf ? pack_overflow(f, v.sign, s) : fp_inf(f, v.sign);
    default:
        if (m->no_inf) {
            s->flags |= FP_INVALID;
            return fp_zero(f, v.sign);
        }
        return encode(m, v.sign, exp_ones(m), (v.sig & ~FP_TOP) >> (127 - m->frac_bits) | (FpBits)1 << (m->frac_bits - 1));
    }
}

/* ---- NaNs ---- */
Fp fp_the_default_nan(const FpStatus *s)
{
    return (Fp){ .cls = FPC_QNAN, .sign = s->default_nan_neg, .sig = (FpBits)1 << 126 };
}

Fp fp_invalid(FpStatus *s)
{
    s->flags |= FP_INVALID;
    return fp_the_default_nan(s);
}

Fp fp_nan1(Fp a, FpStatus *s)
{
    if (a.cls == FPC_SNAN) {
        s->flags |= FP_INVALID;
    }
    if (s->default_nan) {
        return fp_the_default_nan(s);
    }
    a.cls = FPC_QNAN;
    a.sig |= (FpBits)1 << 126;
    return a;
}

/* v is in order of priority. */
static Fp nan_of(const Fp *v, unsigned n, FpStatus *s)
{
    const Fp *quiet = NULL, *signalling = NULL;

    for (unsigned i = n; i-- > 0;) {
        if (v[i].cls == FPC_SNAN) {
            signalling = &v[i];
        }
        if (fp_nan(v[i])) {
            quiet = &v[i];
        }
    }
    if (signalling) {
        s->flags |= FP_INVALID;
    }
    assert(quiet);
    return fp_nan1(signalling && s->nan_rule == FP_NAN_ARM ? *signalling : *quiet, s);
}

Fp fp_nan2(Fp a, Fp b, FpStatus *s)
{
    return nan_of((Fp[]){ a, b }, 2, s);
}

Fp fp_nan3(Fp a, Fp b, Fp c, bool inf_zero, FpStatus *s)
{
    if (s->nan_rule == FP_NAN_X86) {
        return nan_of((Fp[]){ a, b, c }, 3, s);
    }
    if (inf_zero && c.cls == FPC_QNAN) {
        return fp_invalid(s);
    }
    if (inf_zero) {
        s->flags |= FP_INVALID;
    }
    return nan_of((Fp[]){ c, a, b }, 3, s);
}
