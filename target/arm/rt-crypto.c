/* SPDX-License-Identifier: MIT */
/* Cryptographic instructions: Arm ARM (DDI 0487), C7.2. SHA-1, SHA-2 (FIPS 180-4), SHA-3 helpers, SM3 (GB/T 32905), SM4 (GB/T 32907). */
#include "target/arm/rt-simd-priv.h"

#include "util/bits.h"

static inline uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }
static inline uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }

/* ---- SHA-1 ---- */
typedef uint32_t Mix(uint32_t x, uint32_t y, uint32_t z);

static inline void sha1_rounds(ArmVec *d, const ArmVec *n, const ArmVec *m, Mix *mix)
{
    ArmVec x = *d;
    uint32_t y = n->u32[0];

    for (unsigned e = 0; e < 4; e++) {
        uint32_t t = y + rol32(x.u32[0], 5) + mix(x.u32[1], x.u32[2], x.u32[3]) + m->u32[e];

        y = x.u32[3];
        x.u32[3] = x.u32[2];
        x.u32[2] = rol32(x.u32[1], 30);
        x.u32[1] = x.u32[0];
        x.u32[0] = t;
    }
    *d = x;
}

RT_FN(sha1c) { sha1_rounds(d, n, m, choose); }
RT_FN(sha1m) { sha1_rounds(d, n, m, majority); }
RT_FN(sha1p) { sha1_rounds(d, n, m, parity); }
RT_FN(sha1h) { *d = (ArmVec){ .u32 = { rol32(n->u32[0], 30) } }; }

RT_FN(sha1su0)
{
    ArmVec t = { .u64 = { d->u64[1], n->u64[0] } };

    d->u128 ^= t.u128 ^ m->u128;
}

RT_FN(sha1su1)
{
    ArmVec t = { .u128 = d->u128 ^ n->u128 >> 32 };

    for (unsigned e = 0; e < 4; e++) {
        d->u32[e] = rol32(t.u32[e], 1);
    }
    d->u32[3] ^= rol32(t.u32[0], 2);
}

/* ---- SHA-512 ---- */
static inline uint64_t choose64(uint64_t x, uint64_t y, uint64_t z) { return ((y ^ z) & x) ^ z; }
static inline uint64_t majority64(uint64_t x, uint64_t y, uint64_t z) { return (x & y) | ((x | y) & z); }
static inline uint64_t big_sigma0_512(uint64_t x) { return ror64(x, 28) ^ ror64(x, 34) ^ ror64(x, 39); }
static inline uint64_t big_sigma1_512(uint64_t x) { return ror64(x, 14) ^ ror64(x, 18) ^ ror64(x, 41); }
static inline uint64_t sigma0_512(uint64_t x) { return ror64(x, 1) ^ ror64(x, 8) ^ x >> 7; }
static inline uint64_t sigma1_512(uint64_t x) { return ror64(x, 19) ^ ror64(x, 61) ^ x >> 6; }

RT_FN(sha512h)
{
    uint64_t hi = choose64(m->u64[1], n->u64[0], n->u64[1]) + big_sigma1_512(m->u64[1]) + d->u64[1];
    uint64_t t = hi + m->u64[0];
    uint64_t lo = choose64(t, m->u64[1], n->u64[0]) + big_sigma1_512(t) + d->u64[0];

    *d = (ArmVec){ .u64 = { lo, hi } };
}

RT_FN(sha512h2)
{
    uint64_t hi = majority64(n->u64[0], m->u64[1], m->u64[0]) + big_sigma0_512(m->u64[0]) + d->u64[1];
    uint64_t lo = majority64(hi, m->u64[0], m->u64[1]) + big_sigma0_512(hi) + d->u64[0];

    *d = (ArmVec){ .u64 = { lo, hi } };
}

RT_FN(sha512su0)
{
    *d = (ArmVec){ .u64 = { d->u64[0] + sigma0_512(d->u64[1]), d->u64[1] + sigma0_512(n->u64[0]) } };
}

RT_FN(sha512su1)
{
    *d = (ArmVec){ .u64 = { d->u64[0] + sigma1_512(n->u64[0]) + m->u64[0], d->u64[1] + sigma1_512(n->u64[1]) + m->u64[1] } };
}

/* ---- SHA-3 helpers ---- */
RT_FN(rax1) { *d = (ArmVec){ .u64 = { n->u64[0] ^ rol64(m->u64[0], 1), n->u64[1] ^ rol64(m->u64[1], 1) } }; }
RT_FN(xar) { *d = (ArmVec){ .u64 = { ror64(n->u64[0] ^ m->u64[0], RT_IMM(desc)), ror64(n->u64[1] ^ m->u64[1], RT_IMM(desc)) } }; }

/* ---- SM3 ---- */
void rt_a64_sm3ss1(TcgEnv *env, ArmVec *d, const ArmVec *n, const ArmVec *m, const ArmVec *a)
{
    *d = (ArmVec){ .u32 = { 0, 0, 0, rol32(rol32(n->u32[3], 12) + m->u32[3] + a->u32[3], 7) } };
}

/* imm: bits 0-1 the element of m; x: 0 TT1A, 1 TT1B, 2 TT2A, 3 TT2B */
RT_FN(sm3tt)
{
    uint32_t a = d->u32[3], b = d->u32[2], c = d->u32[1], t, w = m->u32[RT_IMM(desc) & 3];
    unsigned x = RT_X(desc);

    t = x == 1 ? majority(a, c, b) : x == 3 ? choose(a, b, c) : a ^ b ^ c;
    t += d->u32[0] + w + (x < 2 ? n->u32[3] ^ rol32(a, 12) : n->u32[3]);
    *d = (ArmVec){ .u32 = { c, rol32(b, x < 2 ? 9 : 19), a, x < 2 ? t : t ^ rol32(t, 9) ^ rol32(t, 17) } };
}

static inline uint32_t sm3_p1(uint32_t x) { return x ^ rol32(x, 15) ^ rol32(x, 23); }

RT_FN(sm3partw1)
{
    ArmVec r;

    for (unsigned i = 0; i < 4; i++) {
        r.u32[i] = sm3_p1(d->u32[i] ^ n->u32[i] ^ rol32(i < 3 ? m->u32[i + 1] : r.u32[0], 15));
    }
    *d = r;
}

RT_FN(sm3partw2)
{
    ArmVec r;
    uint32_t t = n->u32[0] ^ rol32(m->u32[0], 7);

    for (unsigned i = 0; i < 4; i++) {
        r.u32[i] = d->u32[i] ^ n->u32[i] ^ rol32(m->u32[i], 7);
    }
    r.u32[3] ^= sm3_p1(rol32(t, 15));
    *d = r;
}

/* ---- SM4 ---- */
static const uint8_t sm4_sbox[256] = {
    0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
    0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
    0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
    0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
    0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
    0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
    0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
    0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
    0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
    0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
    0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
    0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
    0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
    0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
    0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
    0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48
};

static uint32_t sm4_substitute(uint32_t v)
{
    return sm4_sbox[v & 255] | (uint32_t)sm4_sbox[v >> 8 & 255] << 8 | (uint32_t)sm4_sbox[v >> 16 & 255] << 16 | (uint32_t)sm4_sbox[v >> 24] << 24;
}

static ArmVec sm4_rounds(ArmVec x, const ArmVec *key, bool expand)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = sm4_substitute(x.u32[3] ^ x.u32[2] ^ x.u32[1] ^ key->u32[i]);

        t ^= expand ? rol32(t, 13) ^ rol32(t, 23) : rol32(t, 2) ^ rol32(t, 10) ^ rol32(t, 18) ^ rol32(t, 24);
        x.u128 = x.u128 >> 32 | (unsigned __int128)(t ^ x.u32[0]) << 96;
    }
    return x;
}

RT_FN(sm4e) { *d = sm4_rounds(*d, n, false); }
RT_FN(sm4ekey) { *d = sm4_rounds(*n, m, true); }
