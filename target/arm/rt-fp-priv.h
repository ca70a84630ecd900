/* SPDX-License-Identifier: MIT */
/* How the floating point routines are written: an expression over element encodings a, b, c (of n, m, d) in format f with status s. */
#ifndef TARGET_ARM_RT_FP_PRIV_H
#define TARGET_ARM_RT_FP_PRIV_H

#include "target/arm/rt-fp.h"
#include "target/arm/rt-simd-priv.h"

static inline uint64_t rt_elem(const ArmVec *v, unsigned size, unsigned i)
{
    return size == 0 ? v->u8[i] : size == 1 ? v->u16[i] : size == 2 ? v->u32[i] : v->u64[i];
}

static inline void rt_elem_set(ArmVec *v, unsigned size, unsigned i, uint64_t x)
{
    switch (size) {
    case 0:
        v->u8[i] = (uint8_t)x;
        break;
    case 1:
        v->u16[i] = (uint16_t)x;
        break;
    case 2:
        v->u32[i] = (uint32_t)x;
        break;
    default:
        v->u64[i] = x;
    }
}

static inline void rt_raise(TcgEnv *env, const FpStatus *s, unsigned size)
{
    a64_of_env(env)->fpsr |= a64_fp_flags(s->flags, size);
}

#define RT_FP_HEAD \
    ArmVec r = { .u128 = 0 }, lane; \
    unsigned size = RT_SIZE(desc), count = RT_BYTES(desc) >> size, imm = RT_IMM(desc); \
    FpFormat f = a64_fp_format(size); \
    uint64_t ones = UINT64_MAX >> (64 - (8 << size)); \
    FpStatus s = a64_fp_status(a64_of_env(env)->fpcr, size); \
    m = rt_lane(&lane, m, size, RT_X(desc)); \
    (void)imm, (void)f, (void)ones;

#define RT_FP_TAIL \
    *d = r; \
    rt_raise(env, &s, size);

#define RT_FP(name, ...) \
RT_FN(name) \
{ \
    RT_FP_HEAD \
    for (unsigned i = 0; i < count; i++) { \
        uint64_t a = rt_elem(n, size, i), b = rt_elem(m, size, i), c = rt_elem(d, size, i); \
        (void)a, (void)b, (void)c; \
        rt_elem_set(&r, size, i, (uint64_t)(__VA_ARGS__)); \
    } \
    RT_FP_TAIL \
}

/* Pairs of the concatenation n, m; with imm set, the pair of n only (the scalar forms). */
#define RT_FP_PAIR(name, ...) \
RT_FN(name) \
{ \
    RT_FP_HEAD \
    for (unsigned i = 0; i < count; i++) { \
        const ArmVec *v = i < (count + 1) / 2 ? n : m; \
        unsigned at = i < (count + 1) / 2 ? i : i - count / 2; \
        uint64_t a = rt_elem(v, size, 2 * at), b = rt_elem(v, size, 2 * at + 1); \
        rt_elem_set(&r, size, i, (uint64_t)(__VA_ARGS__)); \
    } \
    RT_FP_TAIL \
}

#endif
