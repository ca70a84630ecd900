/* SPDX-License-Identifier: MIT */
/*
 * QARMA5 with a cell in each byte of an SSE register: permutations and S-boxes are byte shuffles.
 * The cipher and its tables are explained in pauth-generic.c.
 */
#include "target/arm/pauth.h"

#include <tmmintrin.h>

enum { ROUNDS = 5 };

static const uint64_t round_const[ROUNDS] = { 0, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89, 0x452821e638d01377 };
static const uint64_t alpha = 0xc0ac29b7c97c50dd;

static inline __m128i spread(uint64_t v)
{
    __m128i x = _mm_cvtsi64_si128((long long)v), low = _mm_set1_epi8(15);

    return _mm_unpacklo_epi8(_mm_and_si128(x, low), _mm_and_si128(_mm_srli_epi16(x, 4), low));
}

static inline uint64_t gather(__m128i v)
{
    __m128i pair = _mm_or_si128(v, _mm_srli_epi16(v, 4));           /* even bytes hold two cells */

    return (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(_mm_and_si128(pair, _mm_set1_epi16(255)), pair));
}

static inline __m128i lookup(__m128i table, __m128i v)
{
    return _mm_shuffle_epi8(table, v);
}

#define TABLE(...) _mm_setr_epi8(__VA_ARGS__)
#define SUB        TABLE(11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10)
#define INV_SUB    TABLE(5, 14, 13, 8, 10, 11, 1, 9, 2, 6, 15, 0, 4, 12, 7, 3)
#define SHUFFLE    TABLE(13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15)
#define UNSHUFFLE  TABLE(3, 6, 12, 9, 14, 11, 1, 4, 8, 13, 7, 2, 5, 0, 10, 15)
#define TWEAK      TABLE(4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9)
#define UNTWEAK    TABLE(12, 13, 5, 6, 0, 1, 2, 3, 7, 15, 14, 4, 8, 9, 10, 11)
#define ROT1       TABLE(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)
#define ROT2       TABLE(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
#define LFSR       TABLE(0, 8, 9, 1, 2, 10, 11, 3, 4, 12, 13, 5, 6, 14, 15, 7)
#define UNLFSR     TABLE(0, 3, 4, 7, 8, 11, 12, 15, 1, 2, 5, 6, 9, 10, 13, 14)
#define LFSR_CELLS TABLE(0, 0, -1, 0, -1, 0, 0, -1, 0, 0, 0, -1, -1, 0, -1, -1)

static inline __m128i mix(__m128i v)
{
    __m128i r1 = lookup(ROT1, v), r2 = lookup(ROT2, v);

    return _mm_xor_si128(_mm_xor_si128(_mm_shuffle_epi32(r1, 0x39), _mm_shuffle_epi32(r1, 0x93)), _mm_shuffle_epi32(r2, 0x4e));
}

static inline __m128i step(__m128i t, __m128i table)
{
    __m128i s = LFSR_CELLS;

    return _mm_or_si128(_mm_and_si128(s, lookup(table, t)), _mm_andnot_si128(s, t));
}

uint64_t pauth_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1)
{
    __m128i modk0 = spread(key0 << 63 | (key0 >> 1 ^ key0 >> 63)), k0 = spread(key0), k1 = spread(key1);
    __m128i t = spread(modifier), v = _mm_xor_si128(spread(data), k0), ka = _mm_xor_si128(k1, spread(alpha));

    for (unsigned i = 0; i < ROUNDS; i++) {
        v = _mm_xor_si128(_mm_xor_si128(v, k1), _mm_xor_si128(t, spread(round_const[i])));
        if (i > 0) {
            v = mix(_mm_shuffle_epi8(v, SHUFFLE));
        }
        v = lookup(SUB, v);
        t = step(_mm_shuffle_epi8(t, TWEAK), LFSR);
    }
    v = mix(_mm_shuffle_epi8(_mm_xor_si128(_mm_xor_si128(v, modk0), t), SHUFFLE));
    v = _mm_xor_si128(mix(_mm_shuffle_epi8(lookup(SUB, v), SHUFFLE)), k1);
    v = lookup(INV_SUB, _mm_shuffle_epi8(v, UNSHUFFLE));
    v = _mm_xor_si128(_mm_xor_si128(_mm_shuffle_epi8(mix(v), UNSHUFFLE), k0), t);
    for (unsigned i = 0; i < ROUNDS; i++) {
        v = lookup(INV_SUB, v);
        if (i < ROUNDS - 1) {
            v = _mm_shuffle_epi8(mix(v), UNSHUFFLE);
        }
        t = _mm_shuffle_epi8(step(t, UNLFSR), UNTWEAK);
        v = _mm_xor_si128(_mm_xor_si128(v, ka), _mm_xor_si128(t, spread(round_const[ROUNDS - 1 - i])));
    }
    return gather(_mm_xor_si128(v, modk0));
}
