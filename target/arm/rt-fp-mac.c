/* SPDX-License-Identifier: MIT */
/* Floating point multiply-accumulate of mixed width: FHM, complex, bfloat. */
#include "target/arm/rt-fp-priv.h"

/* FMLAL, FMLSL: imm & 1: subtract, imm >> 1: first half of n (and of m unless by element); x: 1 + lane of m */
RT_FN(fmlal)
{
    ArmVec r = { .u128 = 0 }, lane;
    unsigned imm = RT_IMM(desc), from = imm >> 1, count = RT_BYTES(desc) >> 2;
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, 2);
    bool fz16 = a64_fp_status(a64_of_env(env)->fpcr, 1).flush_in;

    m = rt_lane(&lane, m, 1, RT_X(desc));
    for (unsigned i = 0; i < count; i++) {
        uint16_t a = n->u16[from + i] ^ (imm & 1 ? 0x8000 : 0), b = m->u16[from + i];

        /* FZ16 flushes the factors without a flag, FZ the sum: two formats, two statuses */
        a = fz16 && !(a & 0x7c00) ? a & 0x8000 : a;
        b = fz16 && !(b & 0x7c00) ? b & 0x8000 : b;
        {
            FpStatus t = s;
            uint32_t c = d->u32[i];

            if (t.flush_in && !(c & 0x7f800000) && (c & 0x7fffff)) {
                s.flags |= FP_IN_FLUSHED;
                c &= 0x80000000;
            }
            t.flush_in = false;
            r.u32[i] = (uint32_t)fp_fma_wide(FP_F32, FP_F16, a, b, c, 0, &t);
            s.flags |= t.flags;
        }
    }
    *d = r;
    rt_raise(env, &s, 2);
}

/* FCADD: imm = 0: rotate by 90, 1: by 270 */
RT_FN(fcadd)
{
    RT_FP_HEAD
    for (unsigned i = 0; i < count; i += 2) {
        uint64_t re = rt_elem(m, size, i), im = rt_elem(m, size, i + 1);

        if (imm) {
            re = (uint64_t)fp_neg(f, re);
        } else {
            im = (uint64_t)fp_neg(f, im);
        }
        rt_elem_set(&r, size, i, (uint64_t)fp_add(f, rt_elem(n, size, i), im, &s));
        rt_elem_set(&r, size, i + 1, (uint64_t)fp_add(f, rt_elem(n, size, i + 1), re, &s));
    }
    RT_FP_TAIL
}

/* FCMLA: imm = rotation / 90; x: 1 + index of the complex number of m */
RT_FN(fcmla)
{
    ArmVec r = { .u128 = 0 };
    unsigned size = RT_SIZE(desc), count = RT_BYTES(desc) >> size, rot = RT_IMM(desc), x = RT_X(desc);
    FpFormat f = a64_fp_format(size);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size);

    for (unsigned i = 0; i < count; i += 2) {
        unsigned at = x ? 2 * (x - 1) : i;
        uint64_t re = rt_elem(m, size, at), im = rt_elem(m, size, at + 1), p, q, e = rt_elem(n, size, i + (rot & 1));

        p = rot & 1 ? im : re;                          /* for the real part */
        q = rot & 1 ? re : im;
        if (rot == 1 || rot == 2) {
            p = (uint64_t)fp_neg(f, p);
        }
        if (rot == 2 || rot == 3) {
            q = (uint64_t)fp_neg(f, q);
        }
        rt_elem_set(&r, size, i, (uint64_t)fp_fma(f, e, p, rt_elem(d, size, i), &s));
        rt_elem_set(&r, size, i + 1, (uint64_t)fp_fma(f, e, q, rt_elem(d, size, i + 1), &s));
    }
    RT_FP_TAIL
}

/* ---- bfloat ---- */
static uint32_t widen(uint16_t a) { return (uint32_t)a << 16; }

/* BFMLALB, BFMLALT: imm = 0 or 1; x: 1 + lane of m */
RT_FN(bfmlal)
{
    ArmVec r;
    unsigned x = RT_X(desc), odd = RT_IMM(desc);
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, 2);

    for (unsigned i = 0; i < 4; i++) {
        r.u32[i] = (uint32_t)fp_fma(FP_F32, widen(n->u16[2 * i + odd]), widen(m->u16[x ? x - 1 : 2 * i + odd]), d->u32[i], &s);
    }
    *d = r;
    rt_raise(env, &s, 2);
}

/* Arm ARM, BFDotAdd without FEAT_EBF16: each step rounded to odd, flushed, default NaNs, no flags. */
static uint32_t dot_add(uint32_t sum, uint16_t a0, uint16_t b0, uint16_t a1, uint16_t b1)
{
    FpStatus s = { .round = FPR_ODD, .odd_to_inf = true, .default_nan = true, .flush_in = true, .flush_out = true };
    FpBits p = fp_mul(FP_F32, widen(a0), widen(b0), &s), q = fp_mul(FP_F32, widen(a1), widen(b1), &s);

    return (uint32_t)fp_add(FP_F32, sum, fp_add(FP_F32, p, q, &s), &s);
}

/* x: 1 + index of the pair of m */
RT_FN(bfdot)
{
    ArmVec r = { .u128 = 0 };
    unsigned x = RT_X(desc);

    for (unsigned i = 0; i < RT_BYTES(desc) / 4; i++) {
        unsigned at = x ? x - 1 : i;

        r.u32[i] = dot_add(d->u32[i], n->u16[2 * i], m->u16[2 * at], n->u16[2 * i + 1], m->u16[2 * at + 1]);
    }
    *d = r;
}

RT_FN(bfmmla)
{
    ArmVec r;

    for (unsigned i = 0; i < 4; i++) {
        const uint16_t *a = n->u16 + (i >> 1) * 4, *b = m->u16 + (i & 1) * 4;

        r.u32[i] = dot_add(dot_add(d->u32[i], a[0], b[0], a[1], b[1]), a[2], b[2], a[3], b[3]);
    }
    *d = r;
}
