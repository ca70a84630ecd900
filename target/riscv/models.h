/* SPDX-License-Identifier: MIT */
#ifndef TARGET_RISCV_MODELS_H
#define TARGET_RISCV_MODELS_H

#include "target/riscv/cpu.h"

struct RvModel {
    const char *name;
    bool all;                   /* max: every extension there is */
};

extern const CpuType rv_type_rv64, rv_type_max;

#endif
