/* SPDX-License-Identifier: MIT */
/* Scalar floating point. */
#include "tcg/x86_64/emit.h"

EmitTable x86_fp_ops = { [OP_COUNT - 1] = 0 };
