/* SPDX-License-Identifier: MIT */
/* FPCR and FPSR as fpu/ takes and gives them. */
#ifndef TARGET_ARM_RT_FP_H
#define TARGET_ARM_RT_FP_H

#include "fpu/fp.h"
#include "target/arm/cpu.h"

/* Arithmetic in elements of `size` (1 half, 2 single, 3 double). */
static inline FpStatus a64_fp_status(uint64_t fpcr, unsigned size)
{
    bool flush = fpcr >> (size == 1 ? 19 : 24) & 1;         /* FZ16, FZ */

    return (FpStatus){ .round = fpcr >> 22 & 3, .default_nan = fpcr >> 25 & 1, .flush_in = flush, .flush_out = flush };
}

/* The cumulative bits of FPSR: a flushed result is an underflow; halves never raise IDC. */
static inline uint32_t a64_fp_flags(uint8_t flags, unsigned size)
{
    return (flags & 31) | (flags & FP_OUT_FLUSHED ? FP_UNDERFLOW : 0) | (size != 1 ? flags & FP_IN_FLUSHED : 0);
}

static inline FpFormat a64_fp_format(unsigned size)
{
    return size == 1 ? FP_F16 : size == 2 ? FP_F32 : FP_F64;
}

#endif
