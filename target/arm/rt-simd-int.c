/* SPDX-License-Identifier: MIT */
/* Advanced SIMD integer routines, elements of one size: Arm ARM (DDI 0487), C7.2. */
#include "target/arm/rt-simd-priv.h"

#include "util/bits.h"

/* ---- saturating add, subtract ---- */
RT_SAME(sqadd, s, SSAT(a + b, w))
RT_SAME(uqadd, u, USAT(a + b, w))
RT_SAME(sqsub, s, SSAT(a - b, w))
RT_SAME(uqsub, u, USAT(a - b, w))
RT_SAME(sqabs, s, SSAT(a < 0 ? -a : a, w))
RT_SAME(sqneg, s, SSAT(-a, w))

/* SUQADD, USQADD: the accumulator is of the other kind */
#define RT_ACC2(name, TA, TC, SAT) \
RT_FN(name) \
{ \
    RT_HEAD { \
    case 0: { enum { w = 8 }; RT_LOOP(TA##8, u8, TC##8, u8, int64_t, SAT(c + a, w)) break; } \
    case 1: { enum { w = 16 }; RT_LOOP(TA##16, u16, TC##16, u16, int64_t, SAT(c + a, w)) break; } \
    case 2: { enum { w = 32 }; RT_LOOP(TA##32, u32, TC##32, u32, int64_t, SAT(c + a, w)) break; } \
    default: { enum { w = 64 }; RT_LOOP(TA##64, u64, TC##64, u64, S128, SAT(c + a, w)) break; } \
    } \
    rt_finish(env, d, &r, qc); \
}
RT_ACC2(suqadd, u, s, SSAT)
RT_ACC2(usqadd, s, u, USAT)

/* ---- shifts by register: the count is the signed low byte of each element ---- */
RT_SAME2(sshl, s, s, (void)w, rt_shift(a, (int8_t)b, false))
RT_SAME2(ushl, u, s, (void)w, rt_shift(a, (int8_t)b, false))
RT_SAME2(srshl, s, s, (void)w, rt_shift(a, (int8_t)b, true))
RT_SAME2(urshl, u, s, (void)w, rt_shift(a, (int8_t)b, true))
RT_SAME2(sqshl, s, s, SSAT(rt_shift_sat(a, (int8_t)b, false), w))
RT_SAME2(uqshl, u, s, USAT(rt_shift_sat(a, (int8_t)b, false), w))
RT_SAME2(sqrshl, s, s, SSAT(rt_shift_sat(a, (int8_t)b, true), w))
RT_SAME2(uqrshl, u, s, USAT(rt_shift_sat(a, (int8_t)b, true), w))

/* ---- shifts by immediate ---- */
RT_SAME(sqshl_i, s, SSAT(rt_shift_sat(a, (int)imm, false), w))
RT_SAME(uqshl_i, u, USAT(rt_shift_sat(a, (int)imm, false), w))
RT_SAME(sqshlu_i, s, USAT(rt_shift_sat(a, (int)imm, false), w))

/* ---- multiplies: 16 and 32 bits ---- */
static inline int64_t doubling_high(int64_t a, int64_t b, int64_t c, unsigned w, bool round)
{
    return (int64_t)((((S128)c << w) + 2 * (S128)a * b + (round ? (S128)1 << (w - 1) : 0)) >> w);
}

#define RT_MULH(name, ...) \
RT_FN(name) \
{ \
    RT_HEAD { \
    case 1: { enum { w = 16 }; RT_LOOP(s16, s16, s16, u16, int64_t, __VA_ARGS__) break; } \
    default: { enum { w = 32 }; RT_LOOP(s32, s32, s32, u32, int64_t, __VA_ARGS__) break; } \
    } \
    rt_finish(env, d, &r, qc); \
}
RT_MULH(sqdmulh, SSAT(doubling_high(a, b, 0, w, false), w))
RT_MULH(sqrdmulh, SSAT(doubling_high(a, b, 0, w, true), w))
RT_MULH(sqrdmlah, SSAT(doubling_high(a, b, c, w, true), w))
RT_MULH(sqrdmlsh, SSAT(doubling_high(-a, b, c, w, true), w))

static uint16_t carryless8(uint8_t a, uint8_t b)
{
    uint16_t r = 0;

    for (unsigned i = 0; i < 8; i++) {
        r ^= b >> i & 1 ? a << i : 0;
    }
    return r;
}

RT_FN(pmul)
{
    ArmVec r = { .u128 = 0 };

    for (unsigned i = 0; i < RT_BYTES(desc); i++) {
        r.u8[i] = (uint8_t)carryless8(n->u8[i], m->u8[i]);
    }
    *d = r;
}

/* imm: first element */
RT_FN(pmull8)
{
    ArmVec r;
    unsigned from = RT_IMM(desc);

    for (unsigned i = 0; i < 8; i++) {
        r.u16[i] = carryless8(n->u8[from + i], m->u8[from + i]);
    }
    *d = r;
}

/* ---- bits ---- */
RT_SAME(clz, u, a ? w - 1 - (63 - __builtin_clzll((uint64_t)a)) : w)
RT_SAME(cls, s, ({ uint64_t v_ = (uint64_t)(a < 0 ? ~a : a); (v_ ? __builtin_clzll(v_) - (64 - w) : w) - 1; }))

RT_FN(rbit)
{
    ArmVec r = { .u128 = 0 };

    for (unsigned i = 0; i < RT_BYTES(desc) / 8; i++) {
        r.u64[i] = __builtin_bswap64(bitrev64(n->u64[i]));
    }
    *d = r;
}

/* ---- dot products: imm 1: n is signed, 2: m is signed; x: 1 + index of the group of m, or 0 ---- */
static int32_t byte_of(const ArmVec *v, unsigned i, bool is_signed)
{
    return is_signed ? v->s8[i] : v->u8[i];
}

RT_FN(dot)
{
    ArmVec r = { .u128 = 0 };
    unsigned imm = RT_IMM(desc), x = RT_X(desc);

    for (unsigned i = 0; i < RT_BYTES(desc) / 4; i++) {
        uint32_t sum = d->u32[i];
        unsigned group = x ? x - 1 : i;

        for (unsigned j = 0; j < 4; j++) {
            sum += (uint32_t)(byte_of(n, i * 4 + j, imm & 1) * byte_of(m, group * 4 + j, imm & 2));
        }
        r.u32[i] = sum;
    }
    *d = r;
}

RT_FN(mmla)
{
    ArmVec r;
    unsigned imm = RT_IMM(desc);

    for (unsigned i = 0; i < 4; i++) {
        uint32_t sum = d->u32[i];

        for (unsigned j = 0; j < 8; j++) {
            sum += (uint32_t)(byte_of(n, (i >> 1) * 8 + j, imm & 1) * byte_of(m, (i & 1) * 8 + j, imm & 2));
        }
        r.u32[i] = sum;
    }
    *d = r;
}
