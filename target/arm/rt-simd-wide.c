/* SPDX-License-Identifier: MIT */
/* Advanced SIMD routines whose elements change size. */
#include "target/arm/rt-simd-priv.h"

/* ---- saturating doubling multiplies: size 1 or 2, imm = first element ---- */
RT_LONG(sqdmull, s, ({ S128 p_ = 2 * (S128)a * b; SSAT(p_, 2 * w); }))
RT_LONG(sqdmlal, s, ({ S128 p_ = 2 * (S128)a * b; S128 q_ = SSAT(p_, 2 * w); q_ += c; SSAT(q_, 2 * w); }))
RT_LONG(sqdmlsl, s, ({ S128 p_ = 2 * (S128)a * b; S128 q_ = SSAT(p_, 2 * w); q_ = c - q_; SSAT(q_, 2 * w); }))

/* ---- narrowing ---- */
RT_NARROW(sqxtn, s, SSAT(a, w))
RT_NARROW(uqxtn, u, USAT(a, w))
RT_NARROW(sqxtun, s, USAT(a, w))
RT_NARROW(sqshrn, s, SSAT(a >> shift, w))
RT_NARROW(sqrshrn, s, SSAT(rt_shift(a, -(int)shift, true), w))
RT_NARROW(uqshrn, u, USAT(a >> shift, w))
RT_NARROW(uqrshrn, u, USAT(rt_shift(a, -(int)shift, true), w))
RT_NARROW(sqshrun, s, USAT(a >> shift, w))
RT_NARROW(sqrshrun, s, USAT(rt_shift(a, -(int)shift, true), w))
