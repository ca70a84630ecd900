/* SPDX-License-Identifier: MIT */
/* Field values of A64 instructions that need more than bits put together; used by the rows of a64-*.decode. */
#ifndef TARGET_ARM_DECODE_FIELDS_H
#define TARGET_ARM_DECODE_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

/* ftype of scalar floating point -> log2 of the bytes; 0: not allocated */
static inline int fp_size(int ftype)
{
    static const uint8_t size[4] = { 2, 3, 0, 1 };

    return size[ftype];
}

/* immh:immb of shifts: the element size is given by the highest set bit of immh */
static inline int shift_right_imm(int x)
{
    return x >> 3 ? (16 << (31 - __builtin_clz(x >> 3))) - x : 0;
}

static inline int shift_left_imm(int x)
{
    return x >> 3 ? x - (8 << (31 - __builtin_clz(x >> 3))) : 0;
}

/* opc:imm7 of SIMD pairs */
static inline int pair_offset(int x)
{
    return ((int)((unsigned)x << 25) >> 25) * (4 << (x >> 7));
}

/* DecodeBitMasks of the manual: the value of a logical immediate, 0 if it is reserved. */
static inline uint64_t logic_imm(bool sf, int dbm)
{
    unsigned n = dbm >> 12, immr = dbm >> 6 & 63, imms = dbm & 63, top = n << 6 | (~imms & 63);
    unsigned len, size, s, r;
    uint64_t v;

    if (top < 2 || (!sf && n)) {
        return 0;
    }
    len = 31 - __builtin_clz(top);
    size = 1u << len;
    s = imms & (size - 1);
    r = immr & (size - 1);
    if (s == size - 1) {
        return 0;
    }
    v = ~0ull >> (63 - s);
    if (r) {
        v = v >> r | v << (size - r);
        v &= ~0ull >> (64 - size);
    }
    for (; size < 64; size *= 2) {
        v |= v << size;
    }
    return sf ? v : (uint32_t)v;
}

static inline bool logic_imm_ok(bool sf, int dbm)
{
    return logic_imm(sf, dbm) != 0;
}

#endif
