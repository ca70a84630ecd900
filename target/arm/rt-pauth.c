/* SPDX-License-Identifier: MIT */
/* Signing and authenticating pointers: Arm ARM (DDI 0487), AddPAC, Auth and Strip. */
#include "target/arm/rt.h"

#include "target/arm/pauth.h"

static uint64_t compute(const A64Cpu *c, uint64_t data, uint64_t mod, unsigned lo_reg)
{
    uint64_t key1 = c->sys[lo_reg], key0 = c->sys[lo_reg + 1];

    return a64_has(c, A64_FEAT_pauth_apa) ? pauth_qarma5(data, mod, key0, key1) : pauth_fast(data, mod, key0, key1);
}

static unsigned key_reg(unsigned key)
{
    static const uint16_t reg[4] = { SR_APIAKEYLO_EL1, SR_APIBKEYLO_EL1, SR_APDAKEYLO_EL1, SR_APDBKEYLO_EL1 };

    return reg[key];
}

/* Is the top byte ignored in this half of the address space?  TBID excludes instruction addresses. */
static bool ignored(const A64Cpu *c, unsigned half, bool data)
{
    uint64_t tcr = c->sys[SR_TCR_EL1];

    return (tcr >> (37 + half) & 1) && (data || !(tcr >> (51 + half) & 1));
}

/* Bits of the address proper in this half. */
static unsigned bottom(const A64Cpu *c, unsigned half)
{
    unsigned tsz = c->sys[SR_TCR_EL1] >> (half ? 16 : 0) & 63, least = a64_has(c, A64_FEAT_lva) ? 12 : 16;

    return 64 - (tsz < least ? least : tsz > 48 ? 48 : tsz);
}

/* The pointer with its code replaced by copies of bit 55 (or what stands for it). */
static uint64_t extend(uint64_t ptr, unsigned half, unsigned low, bool tbi)
{
    uint64_t field = ~0ull << low & (tbi ? 0x00ffffffffffffffull : ~0ull);

    return half ? ptr | field : ptr & ~field;
}

static uint64_t code_mask(unsigned low, bool tbi)
{
    return (~0ull << low & 0x007fffffffffffffull) | (tbi ? 0 : 0xffull << 56);
}

uint64_t rt_a64_pac(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key)
{
    A64Cpu *c = a64_of_env(env);
    bool data = key >= 2, any = ignored(c, 0, data) || ignored(c, 1, data);
    unsigned half = ptr >> (any ? 55 : 63) & 1, low = bottom(c, half);
    bool tbi = ignored(c, half, data);
    uint64_t mask = code_mask(low, tbi), pac = compute(c, extend(ptr, half, low, tbi), mod, key_reg((unsigned)key));

    if ((ptr & mask) != 0 && (ptr & mask) != mask) {
        pac ^= 1ull << 62;              /* not canonical: spoil the code */
    }
    return (ptr & ~(mask | 1ull << 55)) | (pac & mask) | (uint64_t)half << 55;
}

uint64_t rt_a64_aut(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key)
{
    A64Cpu *c = a64_of_env(env);
    bool data = key >= 2;
    unsigned half = ptr >> 55 & 1, low = bottom(c, half);
    bool tbi = ignored(c, half, data);
    uint64_t mask = code_mask(low, tbi), plain = extend(ptr, half, low, tbi);
    uint64_t pac = compute(c, plain, mod, key_reg((unsigned)key));
    unsigned at = tbi ? 53 : 61;

    if (!((pac ^ ptr) & mask)) {
        return plain;
    }
    return (plain & ~(3ull << at)) | (uint64_t)(key & 1 ? 2 : 1) << at;     /* the error code makes it not canonical */
}

uint64_t rt_a64_xpac(TcgEnv *env, uint64_t ptr, uint64_t data)
{
    A64Cpu *c = a64_of_env(env);
    unsigned half = ptr >> 55 & 1;

    return extend(ptr, half, bottom(c, half), ignored(c, half, data));
}

uint64_t rt_a64_pacga(TcgEnv *env, uint64_t n, uint64_t m)
{
    return compute(a64_of_env(env), n, m, SR_APGAKEYLO_EL1) & 0xffffffff00000000ull;
}
