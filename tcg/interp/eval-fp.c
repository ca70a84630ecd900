/* SPDX-License-Identifier: MIT */
/*
 * Floating point on values, with the host's SSE arithmetic under the MXCSR in
 * force and the guest's NaN rules on top: Arm propagates the first signalling,
 * else the first quiet NaN (addend first for fused operations); Arm's default
 * mode and RISC-V give the positive quiet NaN.
 */
#include "tcg/interp/eval.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "fpu/fp.h"
#include "tcg/ir-raw.h"

static double as_d(uint64_t x) { double d; memcpy(&d, &x, 8); return d; }
static uint64_t of_d(double d) { uint64_t x; memcpy(&x, &d, 8); return x; }
static float as_f(uint64_t x) { uint32_t w = (uint32_t)x; float f; memcpy(&f, &w, 4); return f; }
static uint64_t of_f(float f) { uint32_t w; memcpy(&w, &f, 4); return w; }

/* Keep the compiler from folding or moving arithmetic across changes of MXCSR. */
#define HIDE(x) __asm__ volatile("" : "+x"(x))

static bool is_nan(unsigned bits, uint64_t x)
{
    return bits == 32 ? (x & 0x7fffffff) > 0x7f800000 : (x & 0x7fffffffffffffffull) > 0x7ff0000000000000ull;
}

static uint64_t quiet_bit(unsigned bits)
{
    return bits == 32 ? 0x400000 : 0x8000000000000ull;
}

static bool is_snan(unsigned bits, uint64_t x)
{
    return is_nan(bits, x) && !(x & quiet_bit(bits));
}

static uint64_t default_nan(unsigned bits)
{
    return bits == 32 ? 0x7fc00000 : 0x7ff8000000000000ull;
}

static uint64_t sign_bit(unsigned bits)
{
    return bits == 32 ? 0x80000000 : 1ull << 63;
}

static void raise_flags(uint32_t f)
{
    _mm_setcsr(_mm_getcsr() | f);
}
enum { F_INVALID = 1, F_DENORMAL = 2, F_INEXACT = 32 };

/*
 * Where the host's arithmetic is not Arm's, fpu/ computes.  The host finds out after rounding that a result is tiny, Arm before it: the
 * difference shows where the result is the smallest normal number, which may have been tiny.  And when flushing the host raises
 * inexact for what became zero and nothing for operands.
 */
static bool is_arm(unsigned mode)
{
    return mode == IR_NAN_ARM || mode == IR_NAN_ARM_DEFAULT;
}

static bool soft(unsigned mode)
{
    return is_arm(mode) && _mm_getcsr() & 0x8000;
}

static bool doubtful(unsigned bits, unsigned mode, uint64_t r)
{
    return is_arm(mode) && (r & ~sign_bit(bits)) == (bits == 32 ? 0x800000 : 0x10000000000000ull);
}

static FpFormat format(unsigned bits)
{
    return bits == 32 ? FP_F32 : FP_F64;
}

static FpStatus soft_status(unsigned mode)
{
    static const uint8_t round[4] = { FPR_NEAREST, FPR_DOWN, FPR_UP, FPR_ZERO };
    uint32_t csr = _mm_getcsr();

    return (FpStatus){ .round = round[csr >> 13 & 3], .flush_in = csr & 0x40, .flush_out = csr & 0x8000, .default_nan = mode == IR_NAN_ARM_DEFAULT };
}

static uint64_t soft_result(FpBits r, const FpStatus *s)
{
    uint32_t f = s->flags;

    raise_flags((f & FP_INVALID) | (f & FP_IN_FLUSHED ? F_DENORMAL : 0) | (f & (FP_DIVZERO | FP_OVERFLOW | FP_UNDERFLOW | FP_INEXACT)) << 1 | (f & FP_OUT_FLUSHED ? FP_UNDERFLOW << 1 : 0));
    return (uint64_t)r;
}

/* The NaN that an operation on v[0..n) gives, when its inputs hold one. */
static bool pick_nan(unsigned bits, unsigned mode, unsigned n, const uint64_t *v, uint64_t *res)
{
    const uint64_t *pick = NULL;
    bool any = false;

    for (unsigned i = 0; i < n; i++) {
        any |= is_nan(bits, v[i]);
        if (!pick && mode != IR_NAN_X86 && is_snan(bits, v[i])) {
            pick = &v[i];
        }
    }
    for (unsigned i = 0; i < n && !pick; i++) {
        pick = is_nan(bits, v[i]) ? &v[i] : NULL;
    }
    if (!any) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (is_snan(bits, v[i])) {
            raise_flags(F_INVALID);
        }
    }
    *res = mode == IR_NAN_ARM || mode == IR_NAN_X86 ? *pick | quiet_bit(bits) : default_nan(bits);
    return true;
}

/* A NaN that arithmetic made out of numbers. */
static uint64_t made(unsigned bits, unsigned mode, uint64_t r)
{
    return is_nan(bits, r) ? default_nan(bits) | (mode == IR_NAN_X86 ? sign_bit(bits) : 0) : r;
}

static uint64_t arith(unsigned opc, unsigned bits, uint64_t x, uint64_t y)
{
    if (bits == 32) {
        float a = as_f(x), b = as_f(y), r;

        HIDE(a);
        switch (opc) {
        case OP_fadd: r = a + b; break;
        case OP_fsub: r = a - b; break;
        case OP_fmul: r = a * b; break;
        default: r = a / b; break;
        }
        HIDE(r);
        return of_f(r);
    }
    double a = as_d(x), b = as_d(y), r;

    HIDE(a);
    switch (opc) {
    case OP_fadd: r = a + b; break;
    case OP_fsub: r = a - b; break;
    case OP_fmul: r = a * b; break;
    default: r = a / b; break;
    }
    HIDE(r);
    return of_d(r);
}

/* Denormals count as zero when the guest flushes inputs. */
static uint64_t flushed(unsigned bits, uint64_t x)
{
    uint64_t exp = bits == 32 ? 0x7f800000 : 0x7ff0000000000000ull;

    return (_mm_getcsr() & 0x40) && !(x & exp) ? x & sign_bit(bits) : x;
}

static uint64_t min_max(unsigned opc, unsigned bits, uint64_t x, uint64_t y)
{
    bool max = opc == OP_fmax || opc == OP_fmaxnm;
    double a, b;

    x = flushed(bits, x);
    y = flushed(bits, y);
    a = bits == 32 ? as_f(x) : as_d(x);
    b = bits == 32 ? as_f(y) : as_d(y);
    if (a == b) {
        return max ? x & y : x | y;         /* equal numbers, or zeros of two signs */
    }
    return (a > b) == max ? x : y;
}

static bool min_max_nan(unsigned opc, unsigned bits, unsigned mode, uint64_t x, uint64_t y, uint64_t *r)
{
    bool nx = is_nan(bits, x), ny = is_nan(bits, y), signalling = is_snan(bits, x) || is_snan(bits, y);

    if (mode == IR_NAN_RISCV) {
        if (signalling) {
            raise_flags(F_INVALID);
        }
        *r = nx && ny ? default_nan(bits) : nx ? y : x;
        return nx || ny;
    }
    if ((opc == OP_fminnm || opc == OP_fmaxnm) && nx != ny && !signalling) {
        *r = flushed(bits, nx ? y : x);
        return true;
    }
    return pick_nan(bits, mode, 2, (const uint64_t[]){ x, y }, r);
}

static uint64_t soft2(unsigned opc, unsigned bits, unsigned mode, uint64_t x, uint64_t y)
{
    FpStatus s = soft_status(mode);
    FpFormat f = format(bits);

    switch (opc) {
    case OP_fadd: return soft_result(fp_add(f, x, y, &s), &s);
    case OP_fsub: return soft_result(fp_sub(f, x, y, &s), &s);
    case OP_fmul: return soft_result(fp_mul(f, x, y, &s), &s);
    default: return soft_result(fp_div(f, x, y, &s), &s);
    }
}

uint64_t tcg_fp2(unsigned opc, unsigned bits, unsigned nan_mode, uint64_t x, uint64_t y)
{
    uint64_t r;

    if (opc == OP_fmin || opc == OP_fmax || opc == OP_fminnm || opc == OP_fmaxnm) {
        return min_max_nan(opc, bits, nan_mode, x, y, &r) ? r : min_max(opc, bits, x, y);
    }
    if (soft(nan_mode)) {
        return soft2(opc, bits, nan_mode, x, y);
    }
    if (pick_nan(bits, nan_mode, 2, (const uint64_t[]){ x, y }, &r)) {
        return r;
    }
    r = made(bits, nan_mode, arith(opc, bits, x, y));
    return (opc == OP_fmul || opc == OP_fdiv) && doubtful(bits, nan_mode, r) ? soft2(opc, bits, nan_mode, x, y) : r;
}

static bool is_inf(unsigned bits, uint64_t x)
{
    return (x & ~sign_bit(bits)) == (bits == 32 ? 0x7f800000 : 0x7ff0000000000000ull);
}

static bool is_fzero(unsigned bits, uint64_t x)
{
    return !(flushed(bits, x) & ~sign_bit(bits));
}

static uint64_t host_fma(unsigned bits, uint64_t x, uint64_t y, uint64_t z)
{
    if (bits == 32) {
        float a = as_f(flushed(32, x)), f;

        HIDE(a);
        f = fmaf(a, as_f(flushed(32, y)), as_f(flushed(32, z)));
        HIDE(f);
        return of_f(f);
    }
    double a = as_d(flushed(64, x)), d;

    HIDE(a);
    d = fma(a, as_d(flushed(64, y)), as_d(flushed(64, z)));
    HIDE(d);
    return of_d(d);
}

static uint64_t soft_fma(unsigned bits, unsigned mode, uint64_t x, uint64_t y, uint64_t z)
{
    FpStatus s = soft_status(mode);

    return soft_result(fp_fma(format(bits), x, y, z, &s), &s);
}

uint64_t tcg_fma(unsigned bits, unsigned nan_mode, unsigned neg, uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t r;

    x ^= neg & IR_FMA_NEG_PROD ? sign_bit(bits) : 0;
    z ^= neg & IR_FMA_NEG_ADD ? sign_bit(bits) : 0;
    x = bits == 32 ? (uint32_t)x : x;
    y = bits == 32 ? (uint32_t)y : y;
    z = bits == 32 ? (uint32_t)z : z;
    if (soft(nan_mode)) {
        return soft_fma(bits, nan_mode, x, y, z);
    }
    if ((is_inf(bits, x) && is_fzero(bits, y)) || (is_fzero(bits, x) && is_inf(bits, y))) {
        if (!is_nan(bits, z) || (nan_mode != IR_NAN_X86 && !is_snan(bits, z)) || nan_mode == IR_NAN_RISCV) {
            raise_flags(F_INVALID);
            return made(bits, nan_mode, default_nan(bits));
        }
    }
    if (pick_nan(bits, nan_mode, 3, (const uint64_t[]){ z, x, y }, &r)) {
        return r;
    }
    r = made(bits, nan_mode, host_fma(bits, x, y, z));
    return doubtful(bits, nan_mode, r) ? soft_fma(bits, nan_mode, x, y, z) : r;
}

uint64_t tcg_fsqrt(unsigned bits, unsigned nan_mode, uint64_t x)
{
    uint64_t r;

    if (pick_nan(bits, nan_mode, 1, &x, &r)) {
        return r;
    }
    if (bits == 32) {
        return made(32, nan_mode, of_f(_mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(as_f(x))))));
    }
    return made(64, nan_mode, of_d(_mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(as_d(x))))));
}

bool tcg_fcompare(unsigned bits, unsigned cond, uint64_t x, uint64_t y)
{
    bool un = is_nan(bits, x) || is_nan(bits, y);
    double a, b;

    if (un && ((cond & IR_FCMP_SIGNAL) || is_snan(bits, x) || is_snan(bits, y))) {
        raise_flags(F_INVALID);
    }
    x = flushed(bits, x);
    y = flushed(bits, y);
    a = bits == 32 ? as_f(x) : as_d(x);
    b = bits == 32 ? as_f(y) : as_d(y);
    switch (cond & 15) {
    case IR_FEQ: return !un && a == b;
    case IR_FNE_U: return un || a != b;
    case IR_FLT_O: return !un && a < b;
    case IR_FLE_O: return !un && a <= b;
    case IR_FGT_O: return !un && a > b;
    case IR_FGE_O: return !un && a >= b;
    case IR_FLT_U: return un || a < b;
    case IR_FLE_U: return un || a <= b;
    case IR_FGT_U: return un || a > b;
    case IR_FGE_U: return un || a >= b;
    case IR_FUN: return un;
    default: return !un;
    }
}

static double to_integral(double x, unsigned mode)
{
    __m128d v = _mm_set_sd(x);

    switch (mode) {
    case IR_RN: return _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    case IR_RP: return _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC));
    case IR_RM: return _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    case IR_RZ: return _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
    case IR_RA: {
        double t = _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));

        return fabs(x - t) >= 0.5 ? t + copysign(1.0, x) : copysign(t, x);
    }
    default: return _mm_cvtsd_f64(_mm_round_sd(v, v, _MM_FROUND_CUR_DIRECTION | _MM_FROUND_NO_EXC));
    }
}

uint64_t tcg_f2i(unsigned fbits, unsigned ibits, unsigned sub, unsigned frac, unsigned nan_mode, uint64_t x)
{
    bool uns = sub & IR_CVT_UNSIGNED;
    uint64_t imask = ibits == 32 ? 0xffffffffull : ~0ull;
    uint64_t top = uns ? imask : imask >> 1, bottom = uns ? 0 : ~(imask >> 1) & imask;
    double limit = uns ? (ibits == 32 ? 0x1p32 : 0x1p64) : (ibits == 32 ? 0x1p31 : 0x1p63);
    double d, r;

    if (is_nan(fbits, x)) {
        raise_flags(F_INVALID);
        return nan_mode == IR_NAN_RISCV ? top : nan_mode == IR_NAN_X86 ? (uns ? imask : bottom) : 0;
    }
    x = flushed(fbits, x);
    d = fbits == 32 ? as_f(x) : as_d(x);
    if (fabs(d) < 0x1p64) {                     /* else it does not fit anyway, and scaling could overflow */
        d *= as_d((uint64_t)(1023 + frac) << 52);
    }
    r = to_integral(d, sub & 15);
    if (r >= limit || r < (uns ? 0.0 : -limit)) {
        raise_flags(F_INVALID);
        return nan_mode == IR_NAN_X86 ? (uns ? imask : bottom) : r < 0 ? bottom : top;
    }
    if (r != d) {
        raise_flags(F_INEXACT);
    }
    return (uns && r >= 0x1p63 ? (uint64_t)(int64_t)(r - 0x1p63) + (1ull << 63) : (uint64_t)(int64_t)r) & imask;
}

uint64_t tcg_i2f(unsigned ibits, unsigned fbits, bool is_unsigned, unsigned frac, uint64_t x)
{
    int64_t v = ibits == 32 ? (is_unsigned ? (int64_t)(uint32_t)x : (int32_t)x) : (int64_t)x;
    bool halve = is_unsigned && ibits == 64 && v < 0;

    if (halve) {
        v = (int64_t)((x >> 1) | (x & 1));      /* round to odd first: one rounding in effect */
    }
    if (fbits == 32) {
        float f = _mm_cvtss_f32(_mm_cvtsi64_ss(_mm_setzero_ps(), v));

        return of_f((halve ? f + f : f) * as_f((uint64_t)(127 - frac) << 23));
    }
    double d = _mm_cvtsd_f64(_mm_cvtsi64_sd(_mm_setzero_pd(), v));

    return of_d((halve ? d + d : d) * as_d((uint64_t)(1023 - frac) << 52));
}

uint64_t tcg_fround(unsigned bits, unsigned sub, unsigned nan_mode, uint64_t x)
{
    uint64_t r;
    double d, t;

    if (pick_nan(bits, nan_mode, 1, &x, &r)) {
        return r;
    }
    if (is_inf(bits, x)) {
        return x;
    }
    x = flushed(bits, x);
    d = bits == 32 ? as_f(x) : as_d(x);
    t = to_integral(d, sub & 15);
    t = t == 0 ? copysign(0.0, d) : t;
    if (t != d && (sub & IR_ROUND_EXACT)) {
        raise_flags(F_INEXACT);
    }
    return bits == 32 ? of_f((float)t) : of_d(t);
}

static uint64_t narrow(unsigned mode, uint64_t x)
{
    FpStatus s = soft_status(mode);
    uint64_t r;

    if (!soft(mode)) {
        r = of_f(_mm_cvtss_f32(_mm_cvtsd_ss(_mm_setzero_ps(), _mm_set_sd(as_d(x)))));
        if (!doubtful(32, mode, r)) {
            return r;
        }
    }
    return soft_result(fp_convert(FP_F32, FP_F64, x, &s), &s);
}

static uint64_t convert(unsigned to, unsigned mode, uint64_t x)
{
    unsigned from = to == 32 ? 64 : 32;

    if (is_nan(from, x)) {
        uint64_t sign = x & sign_bit(from), payload;

        if (is_snan(from, x)) {
            raise_flags(F_INVALID);
        }
        if (mode != IR_NAN_ARM && mode != IR_NAN_X86) {
            return default_nan(to);
        }
        payload = to == 32 ? (x >> 29 & 0x3fffff) : (x & 0x3fffff) << 29;
        return default_nan(to) | payload | (sign ? sign_bit(to) : 0);
    }
    if (to == 32) {
        return narrow(mode, x);
    }
    return of_d(_mm_cvtsd_f64(_mm_cvtss_sd(_mm_setzero_pd(), _mm_set_ss(as_f(x)))));
}

static uint64_t load_bits(unsigned bits, const TcgVal *v)
{
    return bits == 32 ? v->w[0] : v->q[0];
}

static void flags_fcmp(const TcgEvalOp *op, unsigned bits, const TcgVal *const in[], TcgVal *const out[])
{
    uint64_t x = load_bits(bits, in[0]), y = load_bits(bits, in[1]);
    bool lt = tcg_fcompare(bits, IR_FLT_O | op->sub, x, y), eq = tcg_fcompare(bits, IR_FEQ | op->sub, x, y);
    bool un = tcg_fcompare(bits, IR_FUN | op->sub, x, y);
    const uint64_t f[4] = { lt, eq, !lt, un };

    for (unsigned i = 0; i < 4; i++) {
        if (out[i]) {
            out[i]->q[0] = f[i];
        }
    }
}

bool tcg_eval_fp(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[])
{
    unsigned bits = ir_bits(op->type), in_bits = ir_bits(op->in_type);
    uint64_t x = load_bits(in_bits, in[0]), y = ir_op_info[op->opc].nin > 1 ? load_bits(in_bits, in[1]) : 0, r;

    switch (op->opc) {
    case OP_fadd: case OP_fsub: case OP_fmul: case OP_fdiv: case OP_fmin: case OP_fmax: case OP_fminnm: case OP_fmaxnm:
        r = tcg_fp2(op->opc, bits, op->nan_mode, x, y);
        break;
    case OP_fsqrt: r = tcg_fsqrt(bits, op->nan_mode, x); break;
    case OP_fma: r = tcg_fma(bits, op->nan_mode, op->sub, x, y, load_bits(bits, in[2])); break;
    case OP_fabs: r = x & ~sign_bit(bits); break;
    case OP_fneg: r = x ^ sign_bit(bits); break;
    case OP_fcvt: r = convert(bits, op->nan_mode, x); break;
    case OP_f2i: r = tcg_f2i(in_bits, bits, op->sub, (unsigned)op->imm, op->nan_mode, x); break;
    case OP_i2f: r = tcg_i2f(in_bits, bits, op->sub & IR_CVT_UNSIGNED, (unsigned)op->imm, x); break;
    case OP_fround: r = tcg_fround(bits, op->sub, op->nan_mode, x); break;
    case OP_setfcond: r = tcg_fcompare(in_bits, op->sub, x, y); break;
    case OP_movfcond:
        *out[0] = *in[tcg_fcompare(in_bits, op->sub, x, y) ? 2 : 3];
        return true;
    case OP_flags_fcmp:
        flags_fcmp(op, in_bits, in, out);
        return true;
    default:
        return false;
    }
    *out[0] = (TcgVal){ .q = { r } };
    return true;
}
