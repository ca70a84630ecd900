/* SPDX-License-Identifier: MIT */
/* Comparison, minimum and maximum. */
#include "fpu/fp-priv.h"

/* No NaNs. */
static FpOrder order(Fp a, Fp b)
{
    int x, y;

    if (a.cls == FPC_ZERO && b.cls == FPC_ZERO) {
        return FP_EQUAL;
    }
    if (a.cls != FPC_ZERO && b.cls != FPC_ZERO && a.sign != b.sign) {
        return a.sign ? FP_LESS : FP_GREATER;
    }
    if (a.cls == FPC_ZERO || b.cls == FPC_ZERO) {
        return a.cls == FPC_ZERO ? (b.sign ? FP_GREATER : FP_LESS) : (a.sign ? FP_LESS : FP_GREATER);
    }
    x = a.cls == FPC_INF ? INT32_MAX : a.exp;
    y = b.cls == FPC_INF ? INT32_MAX : b.exp;
    if (x == y && (a.cls == FPC_INF || a.sig == b.sig)) {
        return FP_EQUAL;
    }
    return (x != y ? x < y : a.sig < b.sig) != a.sign ? FP_LESS : FP_GREATER;
}

FpOrder fp_compare(FpFormat f, FpBits a, FpBits b, bool signal, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);

    if (fp_nan(x) || fp_nan(y)) {
        if (signal || x.cls == FPC_SNAN || y.cls == FPC_SNAN) {
            s->flags |= FP_INVALID;
        }
        return FP_UNORDERED;
    }
    return order(x, y);
}

static FpBits select_one(FpFormat f, FpBits a, FpBits b, bool max, bool number, FpStatus *s)
{
    Fp x = fp_unpack(f, a, s), y = fp_unpack(f, b, s);
    FpOrder o;

    if (number && x.cls == FPC_QNAN && !fp_nan(y)) {
        return fp_pack(f, y, s);
    }
    if (number && y.cls == FPC_QNAN && !fp_nan(x)) {
        return fp_pack(f, x, s);
    }
    if (fp_nan(x) || fp_nan(y)) {
        return fp_pack(f, fp_nan2(x, y, s), s);
    }
    o = order(x, y);
    if (o == FP_EQUAL) {
        return fp_pack(f, x.sign != max ? x : y, s);        /* differs for zeros only */
    }
    return fp_pack(f, (o == FP_GREATER) == max ? x : y, s);
}

FpBits fp_min(FpFormat f, FpBits a, FpBits b, FpStatus *s) { return select_one(f, a, b, false, false, s); }
FpBits fp_max(FpFormat f, FpBits a, FpBits b, FpStatus *s) { return select_one(f, a, b, true, false, s); }
FpBits fp_minnum(FpFormat f, FpBits a, FpBits b, FpStatus *s) { return select_one(f, a, b, false, true, s); }
FpBits fp_maxnum(FpFormat f, FpBits a, FpBits b, FpStatus *s) { return select_one(f, a, b, true, true, s); }
