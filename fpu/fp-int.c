/* SPDX-License-Identifier: MIT */
/* Between formats, to integral values, to and from integers. */
#include "fpu/fp-priv.h"

#include <assert.h>

FpBits fp_convert(FpFormat to, FpFormat from, FpBits a, FpStatus *s)
{
    Fp x = fp_unpack(from, a, s);
    bool keep = fp_fmt[to].no_inf;              /* what a NaN becomes has its own sign, whatever the default NaN is */

    return fp_pack(to, fp_nan(x) && !keep ? fp_nan1(x, s) : x, s);
}

/* Does the rounding go away from zero?  `frac` is the part cut off, left-aligned and not zero, `odd` the last bit kept. */
static bool rounds_up(FpBits frac, bool odd, bool sign, FpRound r)
{
    switch (r) {
    case FPR_NEAREST:
        return frac > FP_TOP || (frac == FP_TOP && odd);
    case FPR_AWAY:
        return frac >= FP_TOP;
    case FPR_UP:
        return !sign;
    case FPR_DOWN:
        return sign;
    case FPR_ODD:
        return !odd;
    default:
        return false;
    }
}

/* |v| * 2^scale, below 2^127, as an integer. */
FpBits fp_integer(Fp v, int scale, FpRound r, bool *inexact)
{
    int point = v.exp + scale;                  /* weight of bit 127 */
    FpBits whole, frac;

    if (point >= 127) {
        whole = v.sig;
        frac = 0;
    } else if (point < -1) {
        whole = 0;
        frac = 1;
    } else {
        whole = point < 0 ? 0 : v.sig >> (127 - point);
        frac = v.sig << (point + 1);
    }
    *inexact = frac != 0;
    return whole + (frac && rounds_up(frac, whole & 1, v.sign, r));
}

FpBits fp_round_int(FpFormat f, FpBits a, FpRound r, bool exact, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s);
    bool inexact;
    FpBits whole;
    unsigned n;

    if (fp_nan(x)) {
        return fp_pack(f, fp_nan1(x, s), s);
    }
    if (x.cls != FPC_NORM || x.exp >= fp_fmt[f].frac_bits) {
        return x.cls == FPC_ZERO ? fp_zero(f, x.sign) : a;
    }
    whole = fp_integer(x, 0, r, &inexact);
    if (inexact && exact) {
        s->flags |= FP_INEXACT;
    }
    if (!whole) {
        return fp_zero(f, x.sign);
    }
    n = fp_clz(whole);
    x.sig = whole << n;
    x.exp = 127 - (int)n;
    return fp_pack(f, x, s);
}

FpBits fp_round_fit(FpFormat f, FpBits a, FpRound r, unsigned width, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s);
    FpBits limit = (FpBits)1 << (width - 1), whole = 0;
    bool inexact = false, fits = x.cls == FPC_ZERO;

    assert(width == 32 || width == 64);
    if (x.cls == FPC_NORM && x.exp < (int)width) {
        whole = fp_integer(x, 0, r, &inexact);
        fits = whole < limit + x.sign;
    }
    if (!fits) {
        s->flags |= FP_INVALID;
        return fp_power2(f, (int)width - 1, true);
    }
    if (inexact) {
        s->flags |= FP_INEXACT;
    }
    if (!whole) {
        return fp_zero(f, x.sign);
    }
    x.sig = whole << fp_clz(whole);
    x.exp = 127 - (int)fp_clz(whole);
    return fp_pack(f, x, s);
}

static uint64_t width_mask(unsigned width) { return UINT64_MAX >> (64 - width); }

/* The result of a conversion that does not fit. */
static uint64_t misfit(unsigned width, bool is_signed, bool nan, bool sign, const FpStatus *s)
{
    uint64_t min = is_signed ? 1ull << (width - 1) : 0;
    uint64_t max = width_mask(width) ^ min;

    switch ((FpIntRule)s->int_rule) {
    case FP_INT_X86:
        return is_signed ? min : max;
    case FP_INT_RISCV:
        return nan || !sign ? max : min;
    default:
        return nan ? 0 : sign ? min : max;
    }
}

uint64_t fp_to_int(FpFormat f, FpBits a, unsigned width, bool is_signed, unsigned fbits, FpRound r, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s);
    FpBits whole = 0, limit;
    bool inexact = false, fits = x.cls == FPC_ZERO;

    assert(width >= 8 && width <= 64);
    limit = (FpBits)1 << (width - is_signed);
    if (x.cls == FPC_NORM && x.exp + (int)fbits <= (int)width) {
        whole = fp_integer(x, (int)fbits, r, &inexact);
        fits = x.sign ? whole <= (is_signed ? limit : 0) : whole < limit;
    }
    if (!fits) {
        s->flags |= FP_INVALID;
        return misfit(width, is_signed, fp_nan(x), x.sign, s);
    }
    if (inexact) {
        s->flags |= FP_INEXACT;
    }
    return (x.sign ? -(uint64_t)whole : (uint64_t)whole) & width_mask(width);
}

FpBits fp_from_int(FpFormat f, uint64_t v, bool is_signed, unsigned fbits, FpStatus *s)
{
    bool sign = is_signed && v >> 63;
    uint64_t mag = sign ? -v : v;
    unsigned n;

    if (!v) {
        return fp_zero(f, false);
    }
    n = (unsigned)__builtin_clzll(mag);
    return fp_pack(f, (Fp){ .cls = FPC_NORM, .sign = sign, .exp = 63 - (int)n - (int)fbits, .sig = (FpBits)(mag << n) << 64 }, s);
}

uint32_t fp_to_int_modulo(uint64_t a, bool *exact, FpStatus *s)
{
    Fp x = fp_unpack(FP_F64, a, s);
    bool inexact = false, fits = false;
    FpBits whole = 0;

    *exact = x.cls == FPC_ZERO && !x.sign && a == 0;
    if (x.cls == FPC_ZERO) {
        return 0;
    }
    if (x.cls == FPC_NORM && x.exp < 127) {
        whole = fp_integer(x, 0, FPR_ZERO, &inexact);
        fits = whole < (FpBits)0x80000000u + x.sign;
    }
    *exact = fits && !inexact;
    if (!fits) {
        s->flags |= FP_INVALID;
    } else if (inexact) {
        s->flags |= FP_INEXACT;
    }
    return x.sign ? -(uint32_t)whole : (uint32_t)whole;
}
