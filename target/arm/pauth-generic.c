/* SPDX-License-Identifier: MIT */
/*
 * QARMA-64: R. Avanzi, "The QARMA Block Cipher Family", ToSC 2017(1), with five rounds and
 * S-box sigma 2, as ComputePAC of the Arm ARM (DDI 0487) uses it.  Cell 0 is bits 3-0.
 */
#include "target/arm/pauth.h"

enum { ROUNDS = 5 };

static const uint64_t round_const[ROUNDS] = { 0, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89, 0x452821e638d01377 };
static const uint64_t alpha = 0xc0ac29b7c97c50dd;
static const uint8_t sub[16] = { 11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10 };
static const uint8_t inv_sub[16] = { 5, 14, 13, 8, 10, 11, 1, 9, 2, 6, 15, 0, 4, 12, 7, 3 };
/* cell i comes from cell shuffle[i] */
static const uint8_t shuffle[16] = { 13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15 };
static const uint8_t tweak_shuffle[16] = { 4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9 };
enum { TWEAK_LFSR = 1 << 2 | 1 << 4 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 15 };     /* cells that step */

static unsigned cell(uint64_t v, unsigned i)
{
    return v >> (4 * i) & 15;
}

static uint64_t permute(uint64_t v, const uint8_t *from)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r |= (uint64_t)cell(v, from[i]) << (4 * i);
    }
    return r;
}

static uint64_t permute_back(uint64_t v, const uint8_t *from)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r |= (uint64_t)cell(v, i) << (4 * from[i]);
    }
    return r;
}

static uint64_t substitute(uint64_t v, const uint8_t *box)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r |= (uint64_t)box[cell(v, i)] << (4 * i);
    }
    return r;
}

static unsigned rot(unsigned nibble, unsigned n)
{
    return (nibble << n | nibble >> (4 - n)) & 15;
}

/* Each column times the circulant matrix (0, 1, 2, 1) of rotations, which is its own inverse. */
static uint64_t mix(uint64_t v)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned c0 = cell(v, i), c4 = cell(v, i + 4), c8 = cell(v, i + 8), c12 = cell(v, i + 12);

        r |= (uint64_t)(rot(c8, 1) ^ rot(c4, 2) ^ rot(c0, 1)) << (4 * (i + 12));
        r |= (uint64_t)(rot(c12, 1) ^ rot(c4, 1) ^ rot(c0, 2)) << (4 * (i + 8));
        r |= (uint64_t)(rot(c12, 2) ^ rot(c8, 1) ^ rot(c0, 1)) << (4 * (i + 4));
        r |= (uint64_t)(rot(c12, 1) ^ rot(c8, 2) ^ rot(c4, 1)) << (4 * i);
    }
    return r;
}

static unsigned lfsr(unsigned c)
{
    return c >> 1 | ((c ^ c >> 1) & 1) << 3;
}

static unsigned lfsr_back(unsigned c)
{
    return (c << 1 & 14) | ((c ^ c >> 3) & 1);
}

static uint64_t step_cells(uint64_t t, unsigned (*step)(unsigned))
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r |= (uint64_t)(TWEAK_LFSR >> i & 1 ? step(cell(t, i)) : cell(t, i)) << (4 * i);
    }
    return r;
}

static uint64_t tweak_next(uint64_t t)
{
    return step_cells(permute(t, tweak_shuffle), lfsr);
}

static uint64_t tweak_back(uint64_t t)
{
    return permute_back(step_cells(t, lfsr_back), tweak_shuffle);
}

uint64_t pauth_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1)
{
    uint64_t modk0 = key0 << 63 | (key0 >> 1 ^ key0 >> 63), t = modifier, v = data ^ key0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        v ^= key1 ^ t ^ round_const[i];
        if (i > 0) {
            v = mix(permute(v, shuffle));
        }
        v = substitute(v, sub);
        t = tweak_next(t);
    }
    v = mix(permute(v ^ modk0 ^ t, shuffle));
    v = mix(permute(substitute(v, sub), shuffle)) ^ key1;
    v = substitute(permute_back(v, shuffle), inv_sub);
    v = permute_back(mix(v), shuffle) ^ key0 ^ t;
    for (unsigned i = 0; i < ROUNDS; i++) {
        v = substitute(v, inv_sub);
        if (i < ROUNDS - 1) {
            v = permute_back(mix(v), shuffle);
        }
        t = tweak_back(t);
        v ^= round_const[ROUNDS - 1 - i] ^ key1 ^ t ^ alpha;
    }
    return v ^ modk0;
}
