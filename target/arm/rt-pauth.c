/* SPDX-License-Identifier: MIT */
/* Signing and authenticating pointers: Arm ARM (DDI 0487), AddPAC, Auth and Strip. */
#include "target/arm/rt.h"

#include "target/arm/pauth.h"

static uint64_t compute(const A64Cpu *c, uint64_t data, uint64_t mod, unsigned lo_reg)
{
    uint64_t key1 = c->sys[lo_reg], key0 = c->sys[lo_reg + 1];

    return c->pac_fast ? pauth_fast(data, mod, key0, key1) : pauth_qarma5(data, mod, key0, key1);
}

static const uint16_t key_reg[4] = { SR_APIAKEYLO_EL1, SR_APIBKEYLO_EL1, SR_APDAKEYLO_EL1, SR_APDBKEYLO_EL1 };

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

void a64_pauth_update(A64Cpu *c)
{
    c->pac_fast = !a64_has(c, A64_FEAT_pauth_apa);
    for (unsigned data = 0; data < 2; data++) {
        c->pac_bit[data] = ignored(c, 0, data) || ignored(c, 1, data) ? 55 : 63;
        for (unsigned half = 0; half < 2; half++) {
            bool tbi = ignored(c, half, data);
            uint64_t above = ~0ull << bottom(c, half);

            c->pac[data][half].field = above & (tbi ? 0x00ffffffffffffffull : ~0ull);
            c->pac[data][half].mask = (above & 0x007fffffffffffffull) | (tbi ? 0 : 0xffull << 56);
        }
    }
}

/* The pointer with its code replaced by copies of the bit that chooses the half. */
static uint64_t extend(uint64_t ptr, unsigned half, uint64_t field)
{
    return half ? ptr | field : ptr & ~field;
}

uint64_t rt_a64_pac(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key)
{
    A64Cpu *c = a64_of_env(env);
    unsigned data = key >> 1 & 1, half = ptr >> c->pac_bit[data] & 1;
    uint64_t mask = c->pac[data][half].mask, pac = compute(c, extend(ptr, half, c->pac[data][half].field), mod, key_reg[key]);

    if ((ptr & mask) != 0 && (ptr & mask) != mask) {
        pac ^= 1ull << 62;              /* not canonical: spoil the code */
    }
    return (ptr & ~(mask | 1ull << 55)) | (pac & mask) | (uint64_t)half << 55;
}

uint64_t rt_a64_aut(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key)
{
    A64Cpu *c = a64_of_env(env);
    unsigned data = key >> 1 & 1, half = ptr >> 55 & 1;
    uint64_t mask = c->pac[data][half].mask, plain = extend(ptr, half, c->pac[data][half].field);
    uint64_t pac = compute(c, plain, mod, key_reg[key]);
    unsigned at = mask >> 63 ? 61 : 53;

    if (!((pac ^ ptr) & mask)) {
        return plain;
    }
    return (plain & ~(3ull << at)) | (uint64_t)(key & 1 ? 2 : 1) << at;     /* the error code makes it not canonical */
}

uint64_t rt_a64_xpac(TcgEnv *env, uint64_t ptr, uint64_t data)
{
    A64Cpu *c = a64_of_env(env);
    unsigned half = ptr >> 55 & 1;

    return extend(ptr, half, c->pac[data & 1][half].field);
}

uint64_t rt_a64_pacga(TcgEnv *env, uint64_t n, uint64_t m)
{
    return compute(a64_of_env(env), n, m, SR_APGAKEYLO_EL1) & 0xffffffff00000000ull;
}
