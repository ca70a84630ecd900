/* SPDX-License-Identifier: MIT */
/* Vectors. */
#include "tcg/x86_64/emit.h"

EmitTable x86_vec_ops = { [OP_COUNT - 1] = 0 };
