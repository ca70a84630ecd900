/* SPDX-License-Identifier: MIT */
/* The two pointer authentication ciphers. */
#ifndef TARGET_ARM_PAUTH_H
#define TARGET_ARM_PAUTH_H

#include <stdint.h>

/* QARMA5 with Arm's choices (ComputePAC of the manual): key0 is the high half of the key. */
uint64_t pauth_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1);
/*
 * A fast one of our own, for FEAT_PACIMP: two rounds of multiply and fold (constants: the
 * fractions of the golden ratio and of the square root of 2).
 */
static inline uint64_t pauth_fast(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1)
{
    unsigned __int128 p = (unsigned __int128)(data ^ key0 ^ 0x9e3779b97f4a7c15) * ((modifier * 0x6a09e667f3bcc909 ^ key1) | 1);
    uint64_t v = (uint64_t)p ^ (uint64_t)(p >> 64);

    p = (unsigned __int128)(v ^ key1) * 0x9e3779b97f4a7c15;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

#endif
