/* SPDX-License-Identifier: MIT */
/* Add, subtract, multiply, divide, square root, fused multiply-add. */
#include "fpu/fp-priv.h"

static Fp zero_of(bool sign) { return (Fp){ .cls = FPC_ZERO, .sign = sign }; }
static Fp inf_of(bool sign) { return (Fp){ .cls = FPC_INF, .sign = sign }; }

/* Shift the leading one to bit 127; a zero gets the sign of an exact difference. */
static Fp normalise(FpBits sig, int exp, bool sign, const FpStatus *s)
{
    unsigned n;

    if (!sig) {
        return zero_of(s->round == FPR_DOWN);
    }
    n = fp_clz(sig);
    return (Fp){ .cls = FPC_NORM, .sign = sign, .exp = exp - (int)n, .sig = sig << n };
}

Fp fp_sum(Fp a, Fp b, FpStatus *s)
{
    FpBits x, y;

    if (a.cls == FPC_INF || b.cls == FPC_INF) {
        if (a.cls == b.cls && a.sign != b.sign) {
            return fp_invalid(s);
        }
        return a.cls == FPC_INF ? a : b;
    }
    if (a.cls == FPC_ZERO || b.cls == FPC_ZERO) {
        if (a.cls == b.cls) {
            return zero_of(a.sign == b.sign ? a.sign : s->round == FPR_DOWN);
        }
        return a.cls == FPC_ZERO ? b : a;
    }
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        Fp t = a;

        a = b;
        b = t;
    }
    x = fp_shr_sticky(a.sig, 1);
    y = fp_shr_sticky(b.sig, a.exp - b.exp + 1);
    return normalise(a.sign == b.sign ? x + y : x - y, a.exp + 1, a.sign, s);
}

FpBits fp_add(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);

    return fp_pack(f, fp_nan(x) || fp_nan(y) ? fp_nan2(x, y, s) : fp_sum(x, y, s), s);
}

FpBits fp_sub(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);

    if (fp_nan(x) || fp_nan(y)) {
        return fp_pack(f, fp_nan2(x, y, s), s);
    }
    y.sign = !y.sign;
    return fp_pack(f, fp_sum(x, y, s), s);
}

/* ---- multiply ---- */
typedef struct Wide { FpBits hi, lo; } Wide;

static Wide multiply(FpBits a, FpBits b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a, b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    FpBits high = (FpBits)a1 * b1, m1, m2, low, mid;

    if (!a0 && !b0) {
        return (Wide){ high, 0 };
    }
    m1 = (FpBits)a1 * b0;
    m2 = (FpBits)a0 * b1;
    low = (FpBits)a0 * b0;
    mid = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;
    return (Wide){ high + (m1 >> 64) + (m2 >> 64) + (mid >> 64), mid << 64 | (uint64_t)low };
}

Fp fp_product(Fp a, Fp b)
{
    bool sign = a.sign != b.sign;
    Wide p;

    if (a.cls == FPC_INF || b.cls == FPC_INF) {
        return inf_of(sign);
    }
    if (a.cls == FPC_ZERO || b.cls == FPC_ZERO) {
        return zero_of(sign);
    }
    p = multiply(a.sig, b.sig);
    if (p.hi & FP_TOP) {
        return (Fp){ .cls = FPC_NORM, .sign = sign, .exp = a.exp + b.exp + 1, .sig = p.hi | (p.lo != 0) };
    }
    return (Fp){ .cls = FPC_NORM, .sign = sign, .exp = a.exp + b.exp, .sig = p.hi << 1 | p.lo >> 127 | (p.lo << 1 != 0) };
}

static bool inf_times_zero(Fp a, Fp b)
{
    return (a.cls == FPC_INF && b.cls == FPC_ZERO) || (a.cls == FPC_ZERO && b.cls == FPC_INF);
}

FpBits fp_mul(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);

    if (fp_nan(x) || fp_nan(y)) {
        return fp_pack(f, fp_nan2(x, y, s), s);
    }
    return fp_pack(f, inf_times_zero(x, y) ? fp_invalid(s) : fp_product(x, y), s);
}

/* ---- fused multiply-add ---- */
static Wide wide_shr_sticky(Wide v, unsigned n)
{
    if (n >= 128) {
        v = (Wide){ 0, fp_shr_sticky(v.hi, n - 128 < 128 ? n - 128 : 128) | (v.lo != 0) };
    } else if (n) {
        v = (Wide){ v.hi >> n, v.hi << (128 - n) | fp_shr_sticky(v.lo, n) };
    }
    return v;
}

static bool wide_less(Wide a, Wide b) { return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo; }

/* a * b + c of non-zero numbers whose product does not fit in 128 bits: 256 bit arithmetic, exponents are those of bit 255. */
static Fp wide_fma(Fp a, Fp b, Fp c, FpStatus *s)
{
    Wide p = multiply(a.sig, b.sig), x, y, r;
    Wide q = { c.sig, 0 };
    int pe = a.exp + b.exp + 1, ce = c.exp, e = pe > ce ? pe : ce;
    bool psign = a.sign != b.sign, sign = psign;
    Fp v;

    x = wide_shr_sticky(p, e - pe + 1);
    y = wide_shr_sticky(q, e - ce + 1);
    if (psign == c.sign) {
        r.lo = x.lo + y.lo;
        r.hi = x.hi + y.hi + (r.lo < x.lo);
    } else {
        if (wide_less(x, y)) {
            Wide t = x;

            x = y;
            y = t;
            sign = c.sign;
        }
        r.hi = x.hi - y.hi - (x.lo < y.lo);
        r.lo = x.lo - y.lo;
    }
    if (!r.hi) {
        return normalise(r.lo, e + 1 - 128, sign, s);
    }
    v = normalise(r.hi, e + 1, sign, s);
    if (e + 1 != v.exp) {
        v.sig |= r.lo >> (128 - (e + 1 - v.exp));
        r.lo <<= e + 1 - v.exp;
    }
    v.sig |= r.lo != 0;
    return v;
}

static Fp fma_numbers(Fp x, Fp y, Fp z, FpStatus *s)
{
    bool fits = !(uint64_t)x.sig && !(uint64_t)y.sig;      /* the product then is exact in fp_product */

    if (!fits && x.cls == FPC_NORM && y.cls == FPC_NORM && z.cls == FPC_NORM) {
        return wide_fma(x, y, z, s);
    }
    return fp_sum(fp_product(x, y), z, s);
}

FpBits fp_fma_wide(FpFormat f, FpFormat ff, FpBits a, FpBits b, FpBits c, unsigned halve, FpStatus *s)
{
    Fp z = fp_unpack(f, c, s), x = fp_unpack(ff, a, s), y = fp_unpack(ff, b, s), r;
    bool inf_zero = inf_times_zero(x, y);

    if (fp_nan(x) || fp_nan(y) || fp_nan(z)) {
        return fp_pack(f, fp_nan3(x, y, z, inf_zero, s), s);
    }
    r = inf_zero ? fp_invalid(s) : fma_numbers(x, y, z, s);
    r.exp -= (int)halve;
    return fp_pack(f, r, s);
}

FpBits fp_fma(FpFormat f, FpBits a, FpBits b, FpBits c, FpStatus *s)
{
    return fp_fma_wide(f, f, a, b, c, 0, s);
}

/* ---- divide ---- */
/* n / d of numbers in [2^127, 2^128), left-aligned, sticky; *exp is adjusted. */
static FpBits quotient(FpBits n, FpBits d, bool narrow, int *exp)
{
    bool carry = n < d;                         /* the numerator is doubled: bit 128 of the remainder */
    FpBits q = 0, rem = carry ? n << 1 : n;

    *exp -= carry;
    if (narrow) {                               /* 63 bits are enough */
        FpBits num = carry ? n : n >> 1;
        uint64_t d1 = (uint64_t)(d >> 64);

        return num / d1 << 64 | (num % d1 != 0);
    }
    for (unsigned i = 0; i < 127; i++) {
        q <<= 1;
        if (carry || rem >= d) {
            rem -= d;
            q |= 1;
        }
        carry = rem >> 127;
        rem <<= 1;
    }
    return q << 1 | (rem || carry);
}

FpBits fp_div(FpFormat f, FpBits a, FpBits b, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);
    bool sign = x.sign != y.sign;

    if (fp_nan(x) || fp_nan(y)) {
        return fp_pack(f, fp_nan2(x, y, s), s);
    }
    if (x.cls == y.cls && x.cls != FPC_NORM) {
        return fp_pack(f, fp_invalid(s), s);
    }
    if (x.cls == FPC_INF || y.cls == FPC_ZERO) {
        s->flags |= x.cls == FPC_INF ? 0 : FP_DIVZERO;
        return fp_inf(f, sign);
    }
    if (x.cls == FPC_ZERO || y.cls == FPC_INF) {
        return fp_zero(f, sign);
    }
    x.exp -= y.exp;
    x.sig = quotient(x.sig, y.sig, fp_fmt[f].frac_bits <= 60, &x.exp);
    x.sign = sign;
    return fp_pack(f, x, s);
}

/* ---- square root ---- */
/* The root of v (1 <= v * 2^-126 < 4) to `bits` bits, one bit a step; left-aligned, sticky. */
static FpBits square_root(FpBits v, unsigned bits)
{
    FpBits root = 0, rem = 0, trial;

    for (unsigned i = 0; i < bits; i++) {
        rem = rem << 2 | v >> 126;
        v <<= 2;
        trial = root << 2 | 1;
        root <<= 1;
        if (rem >= trial) {
            rem -= trial;
            root |= 1;
        }
    }
    return root << (128 - bits) | (rem || v);
}

FpBits fp_sqrt(FpFormat f, FpBits a, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s);

    if (fp_nan(x)) {
        return fp_pack(f, fp_nan1(x, s), s);
    }
    if (x.cls == FPC_ZERO) {
        return fp_zero(f, x.sign);
    }
    if (x.sign) {
        return fp_pack(f, fp_invalid(s), s);
    }
    if (x.cls == FPC_NORM) {
        bool odd = x.exp & 1;

        x.sig = square_root(odd ? x.sig : x.sig >> 1, fp_fmt[f].frac_bits + 3u);
        x.exp = (x.exp - odd) / 2;
    }
    return fp_pack(f, x, s);
}
