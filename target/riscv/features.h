/* SPDX-License-Identifier: MIT */
#ifndef TARGET_RISCV_FEATURES_H
#define TARGET_RISCV_FEATURES_H

typedef enum {
    RV_FEAT_none,           /* always there */
#define FEAT(name, letter, text, on) RV_FEAT_##name,
#include "target/riscv/features.def"
#undef FEAT
    RV_FEAT_COUNT
} RvFeature;

#endif
