/* SPDX-License-Identifier: MIT */
/*
 * Runtime routines of floating point and Advanced SIMD instructions (A64, and
 * A32 where the operation is the same): what is not, or not yet, inline IR.
 *
 * All have one signature: destination (read by those that accumulate), two
 * sources, and a descriptor.  A source may be the destination.  A scalar form
 * is a vector of one element: only `bytes` bytes are computed, the rest of the
 * destination register becomes zero.
 */
#ifndef TARGET_ARM_RT_SIMD_H
#define TARGET_ARM_RT_SIMD_H

#include <stdint.h>

#include "tcg/env.h"

typedef union ArmVec {
    uint8_t u8[16];
    int8_t s8[16];
    uint16_t u16[8];
    int16_t s16[8];
    uint32_t u32[4];
    int32_t s32[4];
    uint64_t u64[2];
    int64_t s64[2];
    unsigned __int128 u128;
} ArmVec;

/* size: log2 of the element's bytes; bytes: of the result (1 << size for scalars, 8, 16); imm, x: by routine. */
#define RT_DESC(size, bytes, imm, x) ((uint32_t)(size) | (uint32_t)(bytes) << 2 | (uint32_t)((imm) & 0xff) << 8 | (uint32_t)(x) << 16)
#define RT_SIZE(desc)  ((unsigned)(desc) & 3)
#define RT_BYTES(desc) ((unsigned)(desc) >> 2 & 31)
#define RT_IMM(desc)   ((unsigned)(desc) >> 8 & 255)
#define RT_X(desc)     ((unsigned)(desc) >> 16)

typedef void RtSimdFn(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, uint64_t desc);

#define RT_SIMD(name) RtSimdFn rt_a64_##name;
#include "target/arm/rt-simd.def"
#undef RT_SIMD

/* The others: rows of rt.def. */
void rt_a64_fmadd(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, const ArmVec *c, uint64_t desc);
uint64_t rt_a64_fcmp(TcgEnv *env, const ArmVec *n, const ArmVec *m, uint64_t desc);
uint64_t rt_a64_fccmp(TcgEnv *env, const ArmVec *n, const ArmVec *m, uint64_t desc, uint64_t holds);
uint64_t rt_a64_fcvt_gp(TcgEnv *env, const ArmVec *n, uint64_t desc);
void rt_a64_cvtf_gp(TcgEnv *env, ArmVec *d, uint64_t v, uint64_t desc);
uint64_t rt_a64_fjcvtzs(TcgEnv *env, const ArmVec *n);
void rt_a64_sm3ss1(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, const ArmVec *a);

#endif
