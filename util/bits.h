/* SPDX-License-Identifier: MIT */
/*
 * Bit fields and alignment, as small pure functions.
 *
 * A field is (start, length) counted from bit 0.  Lengths of 1..64 (32) are
 * asserted; a length of zero is a mistake of ours.
 */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define BIT(n)   (1u << (n))
#define BIT64(n) (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Round to a power of two `to`, and ask about it. */
#define ALIGN_DOWN(v, to) ((v) & ~((__typeof__(v))(to) - 1))
#define ALIGN_UP(v, to)   ALIGN_DOWN((v) + ((__typeof__(v))(to) - 1), to)
#define IS_ALIGNED(v, to) (((v) & ((__typeof__(v))(to) - 1)) == 0)
#define DIV_ROUND_UP(v, by) (((v) + (by) - 1) / (by))

/* `len` ones at `start`. */
static inline uint64_t mask64(unsigned start, unsigned len)
{
    assert(len > 0 && len <= 64 && start <= 64 - len);
    return (~0ull >> (64 - len)) << start;
}

static inline uint32_t mask32(unsigned start, unsigned len)
{
    assert(len > 0 && len <= 32 && start <= 32 - len);
    return (~0u >> (32 - len)) << start;
}

static inline uint64_t extract64(uint64_t v, unsigned start, unsigned len)
{
    return (v & mask64(start, len)) >> start;
}

static inline uint32_t extract32(uint32_t v, unsigned start, unsigned len)
{
    return (v & mask32(start, len)) >> start;
}

static inline int64_t sextract64(uint64_t v, unsigned start, unsigned len)
{
    assert(len > 0 && len <= 64 && start <= 64 - len);
    return (int64_t)(v << (64 - len - start)) >> (64 - len);
}

static inline int32_t sextract32(uint32_t v, unsigned start, unsigned len)
{
    assert(len > 0 && len <= 32 && start <= 32 - len);
    return (int32_t)(v << (32 - len - start)) >> (32 - len);
}

/* v with the field replaced by the low bits of `field`. */
static inline uint64_t deposit64(uint64_t v, unsigned start, unsigned len, uint64_t field)
{
    uint64_t mask = mask64(start, len);

    return (v & ~mask) | ((field << start) & mask);
}

static inline uint32_t deposit32(uint32_t v, unsigned start, unsigned len, uint32_t field)
{
    uint32_t mask = mask32(start, len);

    return (v & ~mask) | ((field << start) & mask);
}

/* Sign-extend the low `len` bits. */
static inline int64_t sext64(uint64_t v, unsigned len)
{
    return sextract64(v, 0, len);
}

/* Counts; of zero they answer the width, as the instructions of most guests do. */
static inline unsigned ctz64(uint64_t v) { return v ? (unsigned)__builtin_ctzll(v) : 64; }
static inline unsigned ctz32(uint32_t v) { return v ? (unsigned)__builtin_ctz(v) : 32; }
static inline unsigned clz64(uint64_t v) { return v ? (unsigned)__builtin_clzll(v) : 64; }
static inline unsigned clz32(uint32_t v) { return v ? (unsigned)__builtin_clz(v) : 32; }
static inline unsigned popcount64(uint64_t v) { return (unsigned)__builtin_popcountll(v); }
static inline unsigned popcount32(uint32_t v) { return (unsigned)__builtin_popcount(v); }

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

/* The smallest power of two >= v; 0 when there is none in 64 bits; 1 for 0. */
static inline uint64_t pow2_ceil(uint64_t v)
{
    unsigned n = v > 1 ? 64 - clz64(v - 1) : 0;

    return n < 64 ? 1ull << n : 0;
}

static inline uint64_t rol64(uint64_t v, unsigned n) { return (v << (n & 63)) | (v >> (-n & 63)); }
static inline uint64_t ror64(uint64_t v, unsigned n) { return (v >> (n & 63)) | (v << (-n & 63)); }
static inline uint32_t rol32(uint32_t v, unsigned n) { return (v << (n & 31)) | (v >> (-n & 31)); }
static inline uint32_t ror32(uint32_t v, unsigned n) { return (v >> (n & 31)) | (v << (-n & 31)); }

/* Bits in reverse order. */
static inline uint64_t bitrev64(uint64_t v)
{
    v = ((v >> 1) & 0x5555555555555555ull) | ((v & 0x5555555555555555ull) << 1);
    v = ((v >> 2) & 0x3333333333333333ull) | ((v & 0x3333333333333333ull) << 2);
    v = ((v >> 4) & 0x0f0f0f0f0f0f0f0full) | ((v & 0x0f0f0f0f0f0f0f0full) << 4);
    return __builtin_bswap64(v);
}

static inline uint32_t bitrev32(uint32_t v)
{
    return (uint32_t)(bitrev64(v) >> 32);
}

#endif
