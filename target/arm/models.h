/* SPDX-License-Identifier: MIT */
/* CPU models: the values of their identification registers, from which all features follow. */
#ifndef TARGET_ARM_MODELS_H
#define TARGET_ARM_MODELS_H

#include "target/arm/cpu.h"

struct A64Model {
    const char *name, *compatible;
    bool configurable;              /* max: features can be switched by properties */
    uint64_t midr, revidr, ctr, clidr;
    uint64_t pfr0, pfr1, dfr0, isar0, isar1, mmfr0, mmfr1, mmfr2;
};

#endif
