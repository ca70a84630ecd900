/* SPDX-License-Identifier: MIT */
/* What the host's unit does not show: Arm's NaN rules, tininess, half precision forms, estimates, odd rounding, fixed point. Values worked out by hand from the Arm ARM. */
#include <glib.h>

#include "fpu/fp.h"
#include "util/bits.h"

typedef FpBits Fn2(FpFormat, FpBits, FpBits, FpStatus *);

static void is2(Fn2 *fn, FpFormat f, uint64_t a, uint64_t b, FpStatus s, uint64_t want, unsigned flags)
{
    uint64_t got = (uint64_t)fn(f, a, b, &s);

    g_assert_cmphex(got, ==, want);
    g_assert_cmphex(s.flags, ==, flags);
}

static void test_nans(void)
{
    FpStatus arm = { 0 }, dn = { .default_nan = true };

    is2(fp_add, FP_F32, 0x7fc00001, 0x7f800002, arm, 0x7fc00002, FP_INVALID);       /* the signalling one first */
    is2(fp_add, FP_F32, 0xffc00001, 0x7fc00002, arm, 0xffc00001, 0);
    is2(fp_add, FP_F32, 0xffc00001, 0x7fc00002, dn, 0x7fc00000, 0);
    is2(fp_sub, FP_F32, 0x7f800000, 0x7f800000, arm, 0x7fc00000, FP_INVALID);
    is2(fp_minnum, FP_F32, 0x7fc00001, 0x3f800000, arm, 0x3f800000, 0);
    is2(fp_minnum, FP_F32, 0x7f800001, 0x3f800000, arm, 0x7fc00001, FP_INVALID);
    is2(fp_min, FP_F32, 0x7fc00001, 0x3f800000, arm, 0x7fc00001, 0);
    is2(fp_min, FP_F64, 0, 1ull << 63, arm, 1ull << 63, 0);
    is2(fp_max, FP_F64, 1ull << 63, 0, arm, 0, 0);
    is2(fp_mulx, FP_F32, 0xff800000, 0, arm, 0xc0000000, 0);
    is2(fp_recip_step, FP_F32, 0x7f800000, 0, arm, 0x40000000, 0);
    is2(fp_rsqrt_step, FP_F32, 0, 0xff800000, arm, 0x3fc00000, 0);
    is2(fp_rsqrt_step, FP_F32, 0x3f800000, 0x3f800000, arm, 0x3f800000, 0);
    is2(fp_recip_step, FP_F64, 0x3ff0000000000000, 0x3ff8000000000000, arm, 0x3fe0000000000000, 0);
}

static void test_fma_nans(void)
{
    FpStatus s = { 0 };

    g_assert_cmphex(fp_fma(FP_F32, 0x7fc00001, 0x7fc00002, 0x7fc00003, &s), ==, 0x7fc00003);
    g_assert_cmphex(s.flags, ==, 0);
    g_assert_cmphex(fp_fma(FP_F32, 0x7f800000, 0, 0x7fc00003, &s), ==, 0x7fc00000);
    g_assert_cmphex(s.flags, ==, FP_INVALID);
    g_assert_cmphex(fp_fma(FP_F32, 0x7fc00001, 0x7f800002, 0x7fc00003, &s), ==, 0x7fc00002);
}

static void test_tininess(void)
{
    /* just below the smallest normal number, rounded up to it */
    FpStatus before = { 0 }, after = { .tiny_after = true }, flush = { .flush_out = true, .flush_in = true };

    is2(fp_mul, FP_F32, 0x00ffffff, 0x3f000000, before, 0x00800000, FP_UNDERFLOW | FP_INEXACT);
    is2(fp_mul, FP_F32, 0x00ffffff, 0x3f000000, after, 0x00800000, FP_UNDERFLOW | FP_INEXACT);  /* 24 bits hold it: tiny either way */
    is2(fp_mul, FP_F32, 0x3f7ffffe, 0x00800001, before, 0x00800000, FP_UNDERFLOW | FP_INEXACT);
    is2(fp_mul, FP_F32, 0x3f7ffffe, 0x00800001, after, 0x00800000, FP_INEXACT);
    is2(fp_mul, FP_F32, 0x3f7ffffe, 0x00800001, flush, 0, FP_OUT_FLUSHED);
    is2(fp_add, FP_F32, 0x80000001, 0x00800000, flush, 0x00800000, FP_IN_FLUSHED);
}

static void test_half(void)
{
    FpStatus s = { 0 };

    g_assert_cmphex(fp_convert(FP_F32, FP_F16_ALT, 0x7c01, &s), ==, 0x47802000);
    g_assert_cmphex(fp_convert(FP_F16_ALT, FP_F32, 0x47ffe000, &s), ==, 0x7fff);
    g_assert_cmphex(s.flags, ==, 0);
    g_assert_cmphex(fp_convert(FP_F16_ALT, FP_F32, 0x48000000, &s), ==, 0x7fff);
    g_assert_cmphex(s.flags, ==, FP_INVALID);
    s.flags = 0;
    g_assert_cmphex(fp_convert(FP_F16_ALT, FP_F64, 0xfff8000000000000, &s), ==, 0x8000);
    s.default_nan = true;
    g_assert_cmphex(fp_convert(FP_F16_ALT, FP_F64, 0xfff8000000000000, &s), ==, 0x8000);
    s.default_nan = false;
    g_assert_cmphex(s.flags, ==, FP_INVALID);
    s.flags = 0;
    g_assert_cmphex(fp_convert(FP_BF16, FP_F32, 0x3f808000, &s), ==, 0x3f80);
    g_assert_cmphex(fp_convert(FP_BF16, FP_F32, 0x3f818000, &s), ==, 0x3f82);
    g_assert_cmphex(s.flags, ==, FP_INEXACT);
    g_assert_cmphex(fp_fma_wide(FP_F32, FP_F16, 0x3c00, 0x4000, 0x3f800000, 0, &s), ==, 0x40400000);
}

static void test_odd(void)
{
    FpStatus s = { .round = FPR_ODD };

    g_assert_cmphex(fp_convert(FP_F32, FP_F64, 0x3ff0000000000001, &s), ==, 0x3f800001);
    g_assert_cmphex(fp_convert(FP_F32, FP_F64, 0x7fe0000000000000, &s), ==, 0x7f7fffff);
    s.odd_to_inf = true;
    g_assert_cmphex(fp_convert(FP_F32, FP_F64, 0x7fe0000000000000, &s), ==, 0x7f800000);
}

static void test_estimates(void)
{
    FpStatus s = { 0 };

    g_assert_cmphex(fp_recip_estimate(FP_F32, 0x3f800000, &s), ==, 0x3f7f8000);
    g_assert_cmphex(fp_recip_estimate(FP_F64, 0xc000000000000000, &s), ==, 0xbfdff00000000000);
    g_assert_cmphex(fp_recip_estimate(FP_F32, 0x7effffff, &s), ==, 0x00400000);      /* 2^127 - : a subnormal estimate */
    g_assert_cmphex(fp_rsqrt_estimate(FP_F32, 0x40800000, &s), ==, 0x3eff8000);
    g_assert_cmphex(fp_rsqrt_estimate(FP_F16, 0x3c00, &s), ==, 0x3bfc);
    g_assert_cmphex(fp_recip_exponent(FP_F32, 0x3f800000, &s), ==, 0x40000000);
    g_assert_cmphex(s.flags, ==, 0);
    g_assert_cmphex(fp_recip_estimate(FP_F32, 0x80000000, &s), ==, 0xff800000);
    g_assert_cmphex(s.flags, ==, FP_DIVZERO);
    g_assert_cmphex(fp_recip_estimate_u32(0x80000000), ==, 0xff800000);
    g_assert_cmphex(fp_recip_estimate_u32(0x7fffffff), ==, 0xffffffff);
    g_assert_cmphex(fp_rsqrt_estimate_u32(0x40000000), ==, 0xff800000);
}

static void test_integers(void)
{
    FpStatus s = { 0 };
    bool exact;

    g_assert_cmphex(fp_to_int(FP_F32, 0x7fc00000, 32, true, 0, FPR_ZERO, &s), ==, 0);
    g_assert_cmphex(fp_to_int(FP_F32, 0xcf000000, 32, true, 0, FPR_ZERO, &s), ==, 0x80000000);
    g_assert_cmphex(s.flags, ==, FP_INVALID);
    s.flags = 0;
    g_assert_cmphex(fp_to_int(FP_F64, 0x3ff8000000000000, 64, false, 1, FPR_ZERO, &s), ==, 3);
    g_assert_cmphex(fp_to_int(FP_F64, 0xbfe0000000000000, 64, false, 0, FPR_AWAY, &s), ==, 0);   /* -0.5 -> -1 does not fit */
    g_assert_cmphex(s.flags, ==, FP_INVALID);
    s.flags = 0;
    g_assert_cmphex(fp_to_int(FP_F64, 0x4004000000000000, 32, true, 0, FPR_AWAY, &s), ==, 3);
    g_assert_cmphex(fp_from_int(FP_F32, 3, true, 1, &s), ==, 0x3fc00000);
    g_assert_cmphex(fp_round_fit(FP_F64, 0x41e0000000000000, FPR_ZERO, 32, &s), ==, 0xc1e0000000000000);
    g_assert_cmphex(fp_to_int_modulo(0x41f0000000100000, &exact, &s), ==, 1);
    g_assert_false(exact);
    g_assert_cmphex(fp_to_int_modulo(0xc000000000000000, &exact, &s), ==, 0xfffffffe);
    g_assert_true(exact);
    fp_to_int_modulo(1ull << 63, &exact, &s);
    g_assert_false(exact);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fpu/arm/nans", test_nans);
    g_test_add_func("/fpu/arm/fma-nans", test_fma_nans);
    g_test_add_func("/fpu/arm/tininess", test_tininess);
    g_test_add_func("/fpu/arm/half", test_half);
    g_test_add_func("/fpu/arm/odd", test_odd);
    g_test_add_func("/fpu/arm/estimates", test_estimates);
    g_test_add_func("/fpu/arm/integers", test_integers);
    return g_test_run();
}
