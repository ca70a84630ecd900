/* SPDX-License-Identifier: MIT */
/*
 * The host's floating point unit as an oracle: one operation under a chosen
 * MXCSR, the result bits and the flags it raised (in the values of fpu/fp.h).
 * x86-64 only; what the host cannot do is answered by host_has().
 */
#ifndef TESTS_FPU_HOST_FP_H
#define TESTS_FPU_HOST_FP_H

#include "fpu/fp.h"

typedef enum { HOST_ADD, HOST_SUB, HOST_MUL, HOST_DIV, HOST_SQRT, HOST_FMA, HOST_NARROW, HOST_WIDEN, HOST_TO_S32, HOST_TO_S64, HOST_FROM_S32,
               HOST_FROM_S64, HOST_RINT, HOST_UCOMI, HOST_COMI, HOST_NOPS } HostOp;

typedef struct HostMode { FpRound round; bool flush; } HostMode;

bool host_has(FpFormat f, HostOp op);
/* HOST_NARROW: f to the next smaller of F64, F32, F16; HOST_WIDEN the other way. Comparisons give ZF | PF << 2 | CF << 1. */
FpBits host_run(FpFormat f, HostOp op, FpBits a, FpBits b, FpBits c, HostMode m, uint8_t *flags);

#endif
