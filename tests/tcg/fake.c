/* SPDX-License-Identifier: MIT */
#include "tests/tcg/fake.h"

#include <stddef.h>
#include <string.h>

#define OFF(f) ((int32_t)(offsetof(FakeCpu, f) - offsetof(FakeCpu, env)))
#define X(n, p) { "x" #n, IR_I64, OFF(x[n]), p, false }

static const TcgSlot slots[FAKE_NSLOTS] = {
    X(0, 1), X(1, 2), X(2, 3), X(3, 4), X(4, 5), X(5, 6), X(6, 7), X(7, 8), X(8, 0), X(9, 0), X(10, 0), X(11, 0),
    { "n", IR_I32, OFF(flag[0]), 0, true }, { "z", IR_I32, OFF(flag[1]), 0, true },
    { "c", IR_I32, OFF(flag[2]), 0, true }, { "v", IR_I32, OFF(flag[3]), 0, true },
    { "w0", IR_I32, OFF(w[0]), 0, false }, { "w1", IR_I32, OFF(w[1]), 0, false },
    { "q0", IR_V128, OFF(q[0]), 0, false }, { "q1", IR_V128, OFF(q[1]), 0, false },
    { "q2", IR_V128, OFF(q[2]), 0, false }, { "q3", IR_V128, OFF(q[3]), 0, false },
    { "d0", IR_F64, OFF(d[0]), 0, false }, { "d1", IR_F64, OFF(d[1]), 0, false },
    { "s0", IR_F32, OFF(s[0]), 0, false }, { "s1", IR_F32, OFF(s[1]), 0, false },
    { "count", IR_I64, OFF(count), 0, false },
};

static FakeCpu *cpu_of(TcgEnv *env)
{
    return (FakeCpu *)((char *)env - offsetof(FakeCpu, env));
}

/* A slot in and out. */
static void rt_mix(TcgEnv *env, uint64_t a, uint64_t *slot)
{
    *slot = *slot * 31 + a;
}

static uint64_t rt_sum(TcgEnv *env, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}

static void rt_poke(TcgEnv *env)
{
    FakeCpu *cpu = cpu_of(env);

    for (unsigned i = 0; i < 12; i++) {
        cpu->x[i] += i;
    }
}

static TcgBlock *block_of(FakeCpu *cpu, const void *ra)
{
    for (unsigned i = 0; i < cpu->nblocks; i++) {
        TcgBlock *tb = cpu->blocks[i];
        const char *p = ra, *start = tb->entry;

        if (p > start && p <= start + tb->code_size) {
            return tb;
        }
        start = tb->cold;
        if (p > start && p <= start + tb->cold_size) {
            return tb;
        }
    }
    return NULL;
}

static bool raise_at(FakeCpu *cpu, uint64_t addr)
{
    TcgBlock *tb = block_of(cpu, cpu->env.fault_ra);

    cpu->fault_addr = addr;
    cpu->fault_word = tcg_restore(&cpu->env, cpu->code, tb, &cpu->fault_insns);
    cpu->env.exc = 1;
    return false;
}

static void rt_raise(TcgEnv *env, uint64_t really)
{
    if (really & 1) {
        raise_at(cpu_of(env), really);
    }
}

static uint64_t rt_peek(TcgEnv *env)
{
    FakeCpu *cpu = cpu_of(env);
    uint64_t sum = 0;

    for (unsigned i = 0; i < 12; i++) {
        sum = sum * 3 + cpu->x[i];
    }
    return sum;
}

static const RtRow routines[FAKE_NRT] = {
    [FAKE_RT_MIX] = { "mix", rt_mix, RT_PURE, RT_NONE, 2 },
    [FAKE_RT_SUM] = { "sum", rt_sum, RT_PURE, RT_I64, 6 },
    [FAKE_RT_POKE] = { "poke", rt_poke, RT_WRITE | RT_READ, RT_NONE, 0 },
    [FAKE_RT_RAISE] = { "raise", rt_raise, RT_RAISE, RT_NONE, 1 },
    [FAKE_RT_PEEK] = { "peek", rt_peek, RT_READ, RT_I64, 0 },
};

const TcgTarget fake_target = {
    .name = "fake", .slots = slots, .nslots = FAKE_NSLOTS, .rt = routines, .nrt = FAKE_NRT, .pending_off = OFF(pending),
};

/* ---- memory: three pages; the last one faults ---- */

static bool room(FakeCpu *cpu, uint64_t a, unsigned n)
{
    return a >= FAKE_MEM_BASE && a + n <= FAKE_MEM_BASE + FAKE_MEM_SIZE - 4096;
}

/* Fill the fast table, but leave page 1 to the slow path for ever. */
static void fill(FakeCpu *cpu, uint64_t a)
{
    uint64_t page = a & ~0xfffull;

    if (page != FAKE_MEM_BASE + 0x1000) {
        TlbEntry e = { page, (uint64_t)(uintptr_t)cpu->mem - FAKE_MEM_BASE };

        cpu->tlb.load[(page >> 12) % TLB_SIZE] = e;
        cpu->tlb.store[(page >> 12) % TLB_SIZE] = e;
    }
}

static uint64_t swap(uint64_t v, unsigned n)
{
    return n == 1 ? v : __builtin_bswap64(v) >> (64 - 8 * n);
}

static bool check(FakeCpu *cpu, IrMem m, uint64_t a, unsigned bytes)
{
    cpu->slow++;
    if (cpu->at_slow) {
        cpu->at_slow(cpu);
        a = cpu->env.arg[0];            /* which it may have changed */
    }
    if (!room(cpu, a, bytes) || (IR_MEM_ALIGN_OF(m) && (a & ((1u << IR_MEM_ALIGN_OF(m)) - 1)))) {
        return raise_at(cpu, a);
    }
    fill(cpu, a);
    return true;
}

static bool fake_load(TcgEnv *env, IrMem m, unsigned n)
{
    FakeCpu *cpu = cpu_of(env);
    unsigned size = 1u << IR_MEM_SIZE(m);
    const uint8_t *p = cpu->mem + (env->arg[0] - FAKE_MEM_BASE);

    if (!check(cpu, m, env->arg[0], size * n)) {
        return false;
    }
    memset(env->ret, 0, sizeof(env->ret));
    if (size > 8) {
        memcpy(env->ret, p, size * n);
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        memcpy(&env->ret[i], p + i * size, size);
        env->ret[i] = m & IR_MEM_BE ? swap(env->ret[i], size) : env->ret[i];
        if (m & IR_MEM_SIGN) {
            unsigned sh = 64 - 8 * size;

            env->ret[i] = (uint64_t)((int64_t)(env->ret[i] << sh) >> sh);
        }
    }
    return true;
}

static bool fake_store(TcgEnv *env, IrMem m, unsigned n)
{
    FakeCpu *cpu = cpu_of(env);
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t *p = cpu->mem + (env->arg[0] - FAKE_MEM_BASE);

    if (!check(cpu, m, env->arg[0], size * n)) {
        return false;
    }
    if (size > 8) {
        memcpy(p, &env->arg[1], size * n);
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t v = m & IR_MEM_BE ? swap(env->arg[1 + i], size) : env->arg[1 + i];

        memcpy(p + i * size, &v, size);
    }
    return true;
}

static uint64_t read_n(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

static bool fake_cas(TcgEnv *env, IrMem m, unsigned n)
{
    FakeCpu *cpu = cpu_of(env);
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint64_t mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;
    uint8_t *p = cpu->mem + (env->arg[0] - FAKE_MEM_BASE);
    bool same = true;

    if (!check(cpu, m, env->arg[0], size * n)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        env->ret[i] = read_n(p + i * size, size);
        same = same && env->ret[i] == (env->arg[1 + i] & mask);
    }
    for (unsigned i = 0; same && i < n; i++) {
        memcpy(p + i * size, &env->arg[1 + n + i], size);
    }
    return true;
}

static int64_t sx(uint64_t v, unsigned size)
{
    return (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
}

static uint64_t rmw_value(IrRmw op, uint64_t old, uint64_t x, unsigned size)
{
    uint64_t mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;

    x &= mask;
    switch (op) {
    case IR_RMW_XCHG: return x;
    case IR_RMW_ADD: return old + x;
    case IR_RMW_AND: return old & x;
    case IR_RMW_CLR: return old & ~x;
    case IR_RMW_OR: return old | x;
    case IR_RMW_XOR: return old ^ x;
    case IR_RMW_SMAX: return sx(old, size) > sx(x, size) ? old : x;
    case IR_RMW_SMIN: return sx(old, size) < sx(x, size) ? old : x;
    case IR_RMW_UMAX: return old > x ? old : x;
    default: return old < x ? old : x;
    }
}

static bool fake_rmw(TcgEnv *env, IrMem m, IrRmw op)
{
    FakeCpu *cpu = cpu_of(env);
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t *p = cpu->mem + (env->arg[0] - FAKE_MEM_BASE);
    uint64_t v;

    if (!check(cpu, m, env->arg[0], size)) {
        return false;
    }
    env->ret[0] = read_n(p, size);
    v = rmw_value(op, env->ret[0], env->arg[1], size);
    memcpy(p, &v, size);
    return true;
}

static bool fake_probe(TcgEnv *env, IrMem m, unsigned bytes, bool write)
{
    return check(cpu_of(env), m, env->arg[0], bytes);
}

const TcgMemOps fake_mem_ops = { fake_load, fake_store, fake_cas, fake_rmw, fake_probe };
