/* SPDX-License-Identifier: MIT */
/* Random IR blocks. */
#ifndef TESTS_TCG_GEN_H
#define TESTS_TCG_GEN_H

#include "tests/tcg/fake.h"

typedef struct Rng { uint64_t s; } Rng;

static inline uint64_t rnd(Rng *r)
{
    r->s ^= r->s << 13;
    r->s ^= r->s >> 7;
    r->s ^= r->s << 17;
    return r->s * 0x2545f4914f6cdd1dull;
}

/* A value that likes edges. */
uint64_t rnd_value(Rng *r);
/* Which groups of operations a block may hold. */
enum { GEN_INT = 1, GEN_MEM = 2, GEN_FP = 4, GEN_VEC = 8, GEN_CALL = 16, GEN_EXIT = 32, GEN_ALL = 63 };
void gen_block(Rng *r, IrBlock *b, unsigned groups);
/* One that jumps to its own head while FAKE_COUNT, one less each time, is not 0. */
void gen_loop(Rng *r, IrBlock *b, unsigned groups);

#endif
