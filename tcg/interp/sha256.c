/* SPDX-License-Identifier: MIT */
/* Rounds and schedule of SHA-256 (FIPS 180-4), cut as Arm's instructions cut them (DDI 0487, C7.2, SHA256H and others). */
#include "tcg/interp/eval.h"

#include <string.h>

#include "util/bits.h"

static inline uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }
static inline uint32_t big_sigma0(uint32_t x) { return ror32(x, 2) ^ ror32(x, 13) ^ ror32(x, 22); }
static inline uint32_t big_sigma1(uint32_t x) { return ror32(x, 6) ^ ror32(x, 11) ^ ror32(x, 25); }
static inline uint32_t sigma0(uint32_t x) { return ror32(x, 7) ^ ror32(x, 18) ^ x >> 3; }
static inline uint32_t sigma1(uint32_t x) { return ror32(x, 17) ^ ror32(x, 19) ^ x >> 10; }

void tcg_sha256_rounds(const TcgVal *x, const TcgVal *y, const TcgVal *w, TcgVal *nx, TcgVal *ny)
{
    uint32_t a[4], e[4];

    memcpy(a, x->w, sizeof(a));
    memcpy(e, y->w, sizeof(e));
    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = e[3] + big_sigma1(e[0]) + choose(e[0], e[1], e[2]) + w->w[i], last = a[3] + t;
        uint32_t first = t + big_sigma0(a[0]) + majority(a[0], a[1], a[2]);

        memmove(a + 1, a, 12);
        memmove(e + 1, e, 12);
        a[0] = first;
        e[0] = last;
    }
    if (nx) {
        *nx = (TcgVal){ .w = { a[0], a[1], a[2], a[3] } };
    }
    if (ny) {
        *ny = (TcgVal){ .w = { e[0], e[1], e[2], e[3] } };
    }
}

void tcg_sha256_schedule(unsigned kind, const TcgVal *x, const TcgVal *y, const TcgVal *z, TcgVal *r)
{
    const uint32_t t[4] = { x->w[1], x->w[2], x->w[3], y->w[0] }, u[4] = { y->w[1], y->w[2], y->w[3], z->w[0] };

    for (unsigned i = 0; i < 4; i++) {
        r->w[i] = x->w[i] + (kind == 0 ? sigma0(t[i]) : u[i] + sigma1(i < 2 ? z->w[2 + i] : r->w[i - 2]));
    }
}
