/* SPDX-License-Identifier: MIT */
/* Features of a CPU as bits, read off its ID registers by the table features.def. */
#ifndef TARGET_ARM_FEATURES_H
#define TARGET_ARM_FEATURES_H

typedef enum A64Feature {
#define FEAT(name, reg, shift, width, least, manual) A64_FEAT_##name,
#include "target/arm/features.def"
#undef FEAT
    A64_FEAT_pauth,             /* either algorithm */
    A64_FEAT_COUNT
} A64Feature;

#endif
