/* SPDX-License-Identifier: MIT */
/*
 * Exclusives that are not closed forms (trans-atomic.c): the accelerator monitors
 * the granule, so that a value that was changed and changed back is noticed.
 * A pair is one access of twice the size, low half first.
 */
#include "target/arm/rt.h"

#include "hw/core/machine.h"

/* An interrupt inside a closed form costs a miss now and then; a program that leaves closed forms on the side loops. */
enum { MISSES_UNTIL_OPEN = 64, QUICK_NS = 1000000 };

static void missed(A64Cpu *c)
{
    int64_t now = clock_now(c->cpu.machine->clock);

    if (now - c->excl_miss_at > QUICK_NS) {
        c->excl_misses = 0;
    }
    c->excl_miss_at = now;
    if (++c->excl_misses == MISSES_UNTIL_OPEN) {
        c->open_excl = true;
        a64_mode_changed(c);
        vcpu_kick(&c->cpu);
    }
}

static bool load(A64Cpu *c, uint64_t addr, IrMem m, uint64_t val[2])
{
    c->excl_addr = UINT64_MAX;
    if (!tcg_monitor_load(&c->cpu, addr, m, val)) {
        return false;
    }
    c->excl_addr = addr;
    c->excl_size = IR_MEM_SIZE(m);
    return true;
}

static uint64_t store(A64Cpu *c, uint64_t addr, IrMem m, const uint64_t val[2])
{
    bool ok = false;

    if (c->excl_addr != addr || c->excl_size != IR_MEM_SIZE(m)) {
        missed(c);
    } else if (tcg_monitor_store(&c->cpu, addr, m, val, &ok) && ok) {
        c->excl_misses = 0;
    }
    c->excl_addr = UINT64_MAX;
    return !ok;
}

/* Same descriptor with twice the size. */
static IrMem pair(IrMem m)
{
    return (m & ~7u) | (IR_MEM_SIZE(m) + 1);
}

uint64_t rt_a64_load_excl(TcgEnv *env, uint64_t addr, uint64_t m)
{
    uint64_t val[2] = { 0 };

    load(a64_of_env(env), addr, (IrMem)m, val);
    return val[0];
}

void rt_a64_load_excl2(TcgEnv *env, uint64_t addr, uint64_t m, uint64_t regs)
{
    A64Cpu *c = a64_of_env(env);
    uint64_t val[2] = { 0 };
    unsigned rt = regs >> 8 & 31, rt2 = regs & 31;

    if (!load(c, addr, pair((IrMem)m), val)) {
        return;
    }
    if (IR_MEM_SIZE(m) == 2) {
        bool be = m & IR_MEM_BE;

        val[1] = be ? (uint32_t)val[0] : val[0] >> 32;
        val[0] = be ? val[0] >> 32 : (uint32_t)val[0];
    }
    if (rt != 31) {
        c->x[rt] = val[0];
    }
    if (rt2 != 31) {
        c->x[rt2] = val[1];
    }
}

uint64_t rt_a64_store_excl(TcgEnv *env, uint64_t addr, uint64_t val, uint64_t m)
{
    uint64_t v[2] = { val, 0 };

    return store(a64_of_env(env), addr, (IrMem)m, v);
}

uint64_t rt_a64_store_excl2(TcgEnv *env, uint64_t addr, uint64_t lo, uint64_t hi, uint64_t m)
{
    uint64_t v[2] = { lo, hi };

    if (IR_MEM_SIZE(m) == 2) {
        v[0] = m & IR_MEM_BE ? lo << 32 | (uint32_t)hi : (uint32_t)lo | hi << 32;
        v[1] = 0;
    }
    return store(a64_of_env(env), addr, pair((IrMem)m), v);
}

void rt_a64_clrex(TcgEnv *env, uint64_t unused)
{
    A64Cpu *c = a64_of_env(env);

    (void)unused;
    c->excl_addr = UINT64_MAX;
    tcg_monitor_clear(&c->cpu);
}
