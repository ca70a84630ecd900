/* SPDX-License-Identifier: MIT */
/* The two pointer authentication ciphers. */
#ifndef TARGET_ARM_PAUTH_H
#define TARGET_ARM_PAUTH_H

#include <stdint.h>

/* QARMA5 with Arm's choices (ComputePAC of the manual): key0 is the high half of the key. */
uint64_t pauth_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1);
/* A fast one of our own, for FEAT_PACIMP. */
uint64_t pauth_fast(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1);

#endif
