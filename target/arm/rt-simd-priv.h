/* SPDX-License-Identifier: MIT */
/* How the integer routines are written: an expression over the elements a (of n), b (of m), c (of d), in an integer type that is wide enough. */
#ifndef TARGET_ARM_RT_SIMD_PRIV_H
#define TARGET_ARM_RT_SIMD_PRIV_H

#include <stdbool.h>
#include <string.h>

#include "target/arm/cpu.h"
#include "target/arm/rt-simd.h"

typedef __int128 S128;

static inline void rt_finish(TcgEnv *env, ArmVec *d, const ArmVec *r, bool saturated)
{
    *d = *r;
    if (saturated) {
        a64_of_env(env)->fpsr |= FPSR_QC;
    }
}

#define RT_FN(name) void rt_a64_##name(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, uint64_t desc)

/* Clamp to w bits; sets qc. */
#define SSAT(x, w) ({ __typeof__(x) v_ = (x), hi_ = ((__typeof__(x))1 << ((w) - 1)) - 1; v_ > hi_ ? (qc = true, hi_) : v_ < -hi_ - 1 ? (qc = true, -hi_ - 1) : v_; })
#define USAT(x, w) ({ __typeof__(x) v_ = (x), hi_ = ((__typeof__(x))1 << (w)) - 1; v_ > hi_ ? (qc = true, hi_) : v_ < 0 ? (qc = true, (__typeof__(x))0) : v_; })

/* x: 0, or 1 + the lane of m that stands for all its elements. */
static inline const ArmVec *rt_lane(ArmVec *out, const ArmVec *m, unsigned size, unsigned x)
{
    if (!x) {
        return m;
    }
    switch (size) {
    case 0:
        memset(out, m->u8[x - 1], 16);
        break;
    case 1:
        out->u64[0] = out->u64[1] = m->u16[x - 1] * 0x0001000100010001ull;
        break;
    case 2:
        out->u64[0] = out->u64[1] = m->u32[x - 1] * 0x0000000100000001ull;
        break;
    default:
        out->u64[0] = out->u64[1] = m->u64[x - 1];
    }
    return out;
}

#define RT_LOOP(FN, FM, FD, FR, X, ...) \
    for (unsigned i = 0; i < count; i++) { \
        X a = n->FN[i], b = m->FM[i], c = d->FD[i]; \
        (void)a, (void)b, (void)c; \
        r.FR[i] = (__VA_ARGS__); \
    }
#define RT_HEAD \
    ArmVec lane; \
    RT_HEAD_PLAIN \
    m = rt_lane(&lane, m, size, RT_X(desc)); \
    switch (size)
#define RT_HEAD_PLAIN \
    ArmVec r = { .u128 = 0 }; \
    unsigned size = RT_SIZE(desc), count = RT_BYTES(desc) >> size, imm = RT_IMM(desc); \
    bool qc = false; \
    (void)imm;

/* Elements of one size: T is s or u.  w: bits of an element, imm: of the descriptor. */
#define RT_SAME2(name, TN, TM, ...) \
RT_FN(name) \
{ \
    RT_HEAD { \
    case 0: { enum { w = 8 }; RT_LOOP(TN##8, TM##8, TN##8, u8, int64_t, __VA_ARGS__) break; } \
    case 1: { enum { w = 16 }; RT_LOOP(TN##16, TM##16, TN##16, u16, int64_t, __VA_ARGS__) break; } \
    case 2: { enum { w = 32 }; RT_LOOP(TN##32, TM##32, TN##32, u32, int64_t, __VA_ARGS__) break; } \
    default: { enum { w = 64 }; RT_LOOP(TN##64, TM##64, TN##64, u64, S128, __VA_ARGS__) break; } \
    } \
    rt_finish(env, d, &r, qc); \
}
#define RT_SAME(name, T, ...) RT_SAME2(name, T, T, __VA_ARGS__)

/* Wide result from narrow sources; size is the narrow one, imm its first element. w: bits of the narrow element. */
#define RT_LONG(name, T, ...) \
RT_FN(name) \
{ \
    RT_HEAD { \
    case 0: { enum { w = 8 }; RT_LOOP_FROM(T##8, T##16, u16, int64_t, __VA_ARGS__) break; } \
    case 1: { enum { w = 16 }; RT_LOOP_FROM(T##16, T##32, u32, int64_t, __VA_ARGS__) break; } \
    default: { enum { w = 32 }; RT_LOOP_FROM(T##32, T##64, u64, S128, __VA_ARGS__) break; } \
    } \
    rt_finish(env, d, &r, qc); \
}
#define RT_LOOP_FROM(FS, FD, FR, X, ...) \
    for (unsigned i = 0; i < count / 2; i++) { \
        X a = n->FS[imm + i], b = m->FS[imm + i], c = d->FD[i]; \
        (void)w, (void)a, (void)b, (void)c; \
        r.FR[i] = (__VA_ARGS__); \
    }

/* Narrow result from wide sources; size is the narrow one; x & 1: into the upper half of d, x >> 1: a shift. */
#define RT_NARROW(name, T, ...) \
RT_FN(name) \
{ \
    unsigned shift = RT_X(desc) >> 1, upper = RT_X(desc) & 1; \
    RT_HEAD_PLAIN \
    switch (size) { \
    case 0: { enum { w = 8 }; RT_LOOP_TO(T##16, u8, __VA_ARGS__) break; } \
    case 1: { enum { w = 16 }; RT_LOOP_TO(T##32, u16, __VA_ARGS__) break; } \
    default: { enum { w = 32 }; RT_LOOP_TO(T##64, u32, __VA_ARGS__) break; } \
    } \
    if (upper) { \
        r.u64[1] = r.u64[0]; \
        r.u64[0] = d->u64[0]; \
    } \
    (void)shift; \
    rt_finish(env, d, &r, qc); \
}
#define RT_LOOP_TO(FS, FR, ...) \
    for (unsigned i = 0; i < count; i++) { \
        S128 a = n->FS[i], b = m->FS[i]; \
        (void)w, (void)a, (void)b; \
        r.FR[i] = (__VA_ARGS__); \
    }

/* (a << sh), sh signed: right for negative ones; of a w-bit element, in 128 bits. */
static inline S128 rt_shift(S128 a, int sh, bool round)
{
    int k = -sh;

    if (sh >= 0) {
        return sh > 63 ? 0 : a << sh;
    }
    if (k > 66) {
        return a < 0 && !round ? -1 : 0;
    }
    return round ? (a + ((S128)1 << (k - 1))) >> k : a >> k;
}

/* The same where the result is going to be clamped: nothing is lost on the left. */
static inline S128 rt_shift_sat(S128 a, int sh, bool round)
{
    if (sh > 63) {
        return a > 0 ? (S128)1 << 100 : a < 0 ? -((S128)1 << 100) : 0;
    }
    return rt_shift(a, sh, round);
}

#endif
