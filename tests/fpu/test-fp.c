/* SPDX-License-Identifier: MIT */
/*
 * fpu/ against the host's floating point unit (F16, F32, F64) and the
 * compiler's __float128, bit for bit with flags, in every rounding mode:
 * cross products of corner values, then random pairs.
 *
 * usage: test-fp [--long]      the long form does about 30 times the random pairs
 */
#include <fenv.h>
#include <glib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "fpu/fp.h"
#include "tests/fpu/host-fp.h"
#include "util/bits.h"

#ifdef __clang__        /* has the type but not glibc's declarations of it */
__float128 sqrtf128(__float128 x);
__float128 fmaf128(__float128 x, __float128 y, __float128 z);
#endif

static unsigned scale = 1;
static uint64_t rng_state = 0x9e3779b97f4a7c15;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * 0x2545f4914f6cdd1dull;
}

static FpBits rng128(void) { return (FpBits)rng() << 64 | rng(); }

/* Positive corner values of a format; the sign doubles them. */
static unsigned corners(FpFormat f, FpBits *v)
{
    static const uint8_t frac_bits[] = { [FP_F16] = 10, [FP_BF16] = 7, [FP_F32] = 23, [FP_F64] = 52, [FP_F128] = 112 };
    unsigned fb = frac_bits[f], n = 0;
    FpBits one = fp_power2(f, 0, false), inf = fp_inf(f, false), ulp = 1, unit = (FpBits)1 << fb;
    const FpBits rows[] = {
        0, 1, 2, 3, unit / 2, unit / 2 - 1, unit - 1, unit, unit + 1, unit + unit / 2, 2 * unit, 2 * unit - 1, one - unit, one - ulp, one, one + ulp, one + unit / 2,
        one + unit, one + 2 * unit - 1, fp_power2(f, (int)fb, false) + 1, fp_power2(f, (int)fb - 1, false) + 1, inf - 1, inf - 2, inf - unit, inf - unit + 1, inf - 2 * unit,
        inf, inf + 1, inf + unit / 2 - 1, inf + unit / 2, inf + unit / 2 + 5, inf + unit - 1,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        v[n++] = rows[i];
        v[n++] = fp_neg(f, rows[i]);
    }
    return n;
}

enum { MAX_CORNERS = 80 };

/* Random operands that meet: near exponents, short fractions, corners. */
static FpBits operand(FpFormat f, FpBits near, const FpBits *corner, unsigned n)
{
    unsigned w = fp_width(f), kind = rng() & 7;
    FpBits mask = w == 128 ? ~(FpBits)0 : ((FpBits)1 << w) - 1, r = rng128() & mask;

    switch (kind) {
    case 0:
        return corner[rng() % n];
    case 1:
        return near ^ (r >> (rng() % w));               /* shares sign, exponent, part of the fraction */
    case 2:
        return r & ~(mask >> 1 >> rng() % w);          /* short fraction */
    case 3:
        return (near & fp_inf(f, true)) | (r & (mask >> 12));
    default:
        return r;
    }
}

static FpStatus host_status(HostMode m)
{
    return (FpStatus){ .round = m.round, .nan_rule = FP_NAN_X86, .int_rule = FP_INT_X86, .default_nan_neg = true, .tiny_after = true,
                       .flush_in = m.flush, .flush_out = m.flush };
}

static FpBits soft_run(FpFormat f, HostOp op, FpBits a, FpBits b, FpBits c, FpStatus *s)
{
    static const uint8_t order[] = { [FP_LESS] = 2, [FP_EQUAL] = 1, [FP_GREATER] = 0, [FP_UNORDERED] = 7 };

    switch (op) {
    case HOST_ADD: return fp_add(f, a, b, s);
    case HOST_SUB: return fp_sub(f, a, b, s);
    case HOST_MUL: return fp_mul(f, a, b, s);
    case HOST_DIV: return fp_div(f, a, b, s);
    case HOST_SQRT: return fp_sqrt(f, a, s);
    case HOST_FMA: return fp_fma(f, a, b, c, s);
    case HOST_NARROW: return fp_convert(f == FP_F64 ? FP_F32 : FP_F16, f, a, s);
    case HOST_WIDEN: return fp_convert(f == FP_F16 ? FP_F32 : FP_F64, f, a, s);
    case HOST_TO_S32: return fp_to_int(f, a, 32, true, 0, s->round, s);
    case HOST_TO_S64: return fp_to_int(f, a, 64, true, 0, s->round, s);
    case HOST_FROM_S32: return fp_from_int(f, (uint64_t)(int64_t)(int32_t)a, true, 0, s);
    case HOST_FROM_S64: return fp_from_int(f, (uint64_t)a, true, 0, s);
    case HOST_RINT: return fp_round_int(f, a, s->round, true, s);
    default: return order[fp_compare(f, a, b, op == HOST_COMI, s)];
    }
}

/* The flags of a flushed result are the caller's business: x86 says underflow and inexact. */
static uint8_t host_flags(uint8_t flags)
{
    if (flags & FP_OUT_FLUSHED) {
        flags |= FP_UNDERFLOW | FP_INEXACT;
    }
    return flags & 31;
}

static void compare_one(FpFormat f, HostOp op, FpBits a, FpBits b, FpBits c, HostMode m)
{
    uint8_t want_flags;
    FpBits want = host_run(f, op, a, b, c, m, &want_flags), got;
    FpStatus s = host_status(m);

    /* F16C and AVX512-FP16 ignore the flush bits for half precision, in and out */
    if (m.flush && (f == FP_F16 || (f == FP_F32 && op == HOST_NARROW))) {
        s.flush_out = false;
        s.flush_in = f != FP_F16;
    }
    got = soft_run(f, op, a, b, c, &s);
    if (got != want || host_flags(s.flags) != want_flags) {
        g_error("format %d op %d round %d flush %d: %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " host %016" PRIx64 " flags %02x, ours %016" PRIx64 " flags %02x", f, op,
                m.round, m.flush, (uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)want, want_flags, (uint64_t)got, s.flags);
    }
}

static unsigned operands_of(HostOp op)
{
    return op == HOST_FMA ? 3 : op <= HOST_DIV || op == HOST_UCOMI || op == HOST_COMI ? 2 : 1;
}

static void corner_products(FpFormat f, HostOp op, HostMode m, const FpBits *v, unsigned n)
{
    unsigned nb = operands_of(op) > 1 ? n : 1, nc = operands_of(op) > 2 ? n : 1;

    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < nb; j++) {
            for (unsigned k = nc > 1 ? rng() % 3 : 0; k < nc; k += scale > 1 ? 1 : 7) {
                compare_one(f, op, v[i], v[j], v[k], m);
            }
        }
    }
}

static void test_host(gconstpointer data)
{
    FpFormat f = GPOINTER_TO_INT(data) >> 8;
    HostOp op = GPOINTER_TO_INT(data) & 255;
    FpBits v[MAX_CORNERS];
    unsigned n = corners(f, v);

    if (!host_has(f, op)) {
        g_test_skip("the host has no instruction for it");
        return;
    }
    for (unsigned mode = 0; mode < 8; mode++) {
        HostMode m = { .round = mode & 3, .flush = mode >> 2 };

        corner_products(f, op, m, v, n);
        for (unsigned i = 0; i < 2000 * scale; i++) {
            FpBits a = operand(f, v[rng() % n], v, n), b = operand(f, a, v, n);

            compare_one(f, op, a, b, operand(f, rng() & 1 ? a : b, v, n), m);
            if (op == HOST_FMA) {               /* cancellation: c near -(a * b) */
                FpStatus s = host_status(m);

                compare_one(f, op, a, b, fp_neg(f, fp_mul(f, a, b, &s)) + (rng() & 3) - 1, m);
            }
        }
    }
}

/* ---- __float128 ---- */
typedef union { __float128 f; FpBits b; } Quad;

static uint8_t fenv_flags(void)
{
    int e = fetestexcept(FE_ALL_EXCEPT);

    return (e & FE_INVALID ? FP_INVALID : 0) | (e & FE_DIVBYZERO ? FP_DIVZERO : 0) | (e & FE_OVERFLOW ? FP_OVERFLOW : 0) | (e & FE_UNDERFLOW ? FP_UNDERFLOW : 0) |
           (e & FE_INEXACT ? FP_INEXACT : 0);
}

static FpBits quad_run(HostOp op, Quad a, Quad b, Quad c)
{
    Quad r = { .b = 0 };

    switch (op) {
    case HOST_ADD: r.f = a.f + b.f; break;
    case HOST_SUB: r.f = a.f - b.f; break;
    case HOST_MUL: r.f = a.f * b.f; break;
    case HOST_DIV: r.f = a.f / b.f; break;
    case HOST_SQRT: r.f = sqrtf128(a.f); break;
    default: r.f = fmaf128(a.f, b.f, c.f); break;
    }
    return r.b;
}

static void quad_one(HostOp op, FpBits a, FpBits b, FpBits c, FpRound round)
{
    static const int modes[] = { [FPR_NEAREST] = FE_TONEAREST, [FPR_UP] = FE_UPWARD, [FPR_DOWN] = FE_DOWNWARD, [FPR_ZERO] = FE_TOWARDZERO };
    FpStatus s = host_status((HostMode){ .round = round });
    FpBits want, got;
    volatile uint8_t flags;

    fesetround(modes[round]);
    feclearexcept(FE_ALL_EXCEPT);
    want = quad_run(op, (Quad){ .b = a }, (Quad){ .b = b }, (Quad){ .b = c });
    flags = fenv_flags();
    fesetround(FE_TONEAREST);
    got = soft_run(FP_F128, op, a, b, c, &s);
    if (fp_is_nan(FP_F128, want) && fp_is_nan(FP_F128, got)) {
        got = want;                             /* the library chooses payloads by size */
        flags = s.flags = (op == HOST_FMA || op == HOST_SQRT) ? 0 : (s.flags ^ flags) & FP_INVALID;
    }
    if (op == HOST_FMA) {                       /* glibc emulates it with spare steps: value only, and inexact */
        flags = flags & FP_OVERFLOW;
        s.flags &= FP_OVERFLOW;
    }
    if (got != want || s.flags != flags) {
        g_error("F128 op %d round %d: %016" PRIx64 "%016" PRIx64 " %016" PRIx64 "%016" PRIx64 " %016" PRIx64 "%016" PRIx64 " library %016" PRIx64 "%016" PRIx64
                " flags %02x, ours %016" PRIx64 "%016" PRIx64 " flags %02x", op, round, (uint64_t)(a >> 64), (uint64_t)a, (uint64_t)(b >> 64), (uint64_t)b, (uint64_t)(c >> 64),
                (uint64_t)c, (uint64_t)(want >> 64), (uint64_t)want, flags, (uint64_t)(got >> 64), (uint64_t)got, s.flags);
    }
}

static void test_quad(gconstpointer data)
{
    HostOp op = GPOINTER_TO_INT(data);
    FpBits v[MAX_CORNERS];
    unsigned n = corners(FP_F128, v);

    for (FpRound m = FPR_NEAREST; m <= FPR_ZERO; m++) {
        for (unsigned i = 0; i < n; i++) {
            for (unsigned j = 0; j < n; j++) {
                quad_one(op, v[i], v[j], v[rng() % n], m);
            }
        }
        for (unsigned i = 0; i < 2000 * scale; i++) {
            FpBits a = operand(FP_F128, v[rng() % n], v, n), b = operand(FP_F128, a, v, n);

            quad_one(op, a, b, operand(FP_F128, a, v, n), m);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct { FpFormat f; const char *name; } formats[] = { { FP_F16, "f16" }, { FP_F32, "f32" }, { FP_F64, "f64" } };
    static const char *const ops[] = { "add", "sub", "mul", "div", "sqrt", "fma", "narrow", "widen", "to-s32", "to-s64", "from-s32", "from-s64", "rint", "ucomi", "comi" };

    g_test_init(&argc, &argv, NULL);
    if (argc > 1 && !strcmp(argv[1], "--long")) {
        scale = 30;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        for (unsigned op = 0; op < HOST_NOPS; op++) {
            g_autofree char *path = g_strdup_printf("/fpu/%s/%s", formats[i].name, ops[op]);

            g_test_add_data_func(path, GINT_TO_POINTER(formats[i].f << 8 | op), test_host);
        }
    }
    for (unsigned op = HOST_ADD; op <= HOST_FMA; op++) {
        g_autofree char *path = g_strdup_printf("/fpu/f128/%s", ops[op]);

        g_test_add_data_func(path, GINT_TO_POINTER(op), test_quad);
    }
    return g_test_run();
}
