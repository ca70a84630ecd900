/* SPDX-License-Identifier: MIT */
/* States for instructions: random ones that meet corners often, and all pairs of corner operands in order. */
#ifndef TESTS_TARGET_ARM_INSN_VALUES_H
#define TESTS_TARGET_ARM_INSN_VALUES_H

#include <stdbool.h>

#include "tests/target/arm/insn-run.h"

void rng_seed(uint64_t seed);
uint64_t rng(void);

extern bool tiny;               /* values whose products and quotients are about as small as the smallest normal number */

/* For one instruction; memory: its base is in the window. */
void random_state(InsnRec *r, uint32_t insn, bool memory);

typedef void Use(void *data, const InsnRec *r);

/*
 * A floating point instruction on corner operands of its size: under each rounding mode all pairs (or `most` of them, when it is not 0), an eighth
 * of them under each other combination of controls.
 */
void corner_word(uint32_t insn, unsigned most, Use *use, void *data);

#endif
