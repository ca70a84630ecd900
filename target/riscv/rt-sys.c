/* SPDX-License-Identifier: MIT */
/* Runtime routines of system instructions and of reservations. */
#include "target/riscv/rt.h"

#include "hw/core/machine.h"

uint64_t rt_rv_csr(TcgEnv *env, uint64_t what, uint64_t operand, uint64_t insn)
{
    RvCpu *c = rv_of_env(env);
    unsigned number = what & 0xfff, op = what >> 12 & 3;
    uint64_t old = 0, val;
    bool ok, read = what >> 14 & 1;

    ok = (!read && op == 1) || rv_csr_access(c, number, &old, NULL, false);
    if (ok && op) {
        val = op == 1 ? operand : op == 2 ? old | operand : old & ~operand;
        if (op != 1 && (number == 0x344 || number == 0x144)) {      /* mip, sip: the wire of SEIP is not written back */
            uint32_t sw = cpu_lines(&c->cpu) >> 9 & 1;

            val = (val & ~(1ull << 9)) | (op == 2 ? (sw | (operand >> 9 & 1)) : (sw & ~(operand >> 9 & 1))) << 9;
        }
        ok = rv_csr_access(c, number, NULL, &val, false);
    }
    if (!ok) {
        tcg_restore_here(&c->cpu);
        rv_raise(c, CAUSE_ILLEGAL, insn);
    } else if (op) {
        rv_mode_changed(c);
    }
    return old;
}

uint64_t rt_rv_trap_return(TcgEnv *env, uint64_t from)
{
    return rv_return(rv_of_env(env), (RvPriv)from);
}

void rt_rv_sfence(TcgEnv *env, uint64_t va, uint64_t asid, uint64_t which)
{
    RvCpu *c = rv_of_env(env);

    switch (which) {
    case 0:
        tcg_flush_all(&c->cpu);
        break;
    case 1:
        tcg_flush_range(&c->cpu, va & ~0xfffull, 4096, -1);
        break;
    case 2:
        tcg_flush_asid(&c->cpu, (uint16_t)asid);
        break;
    default:
        tcg_flush_range(&c->cpu, va & ~0xfffull, 4096, (int)(asid & 0xffff));
    }
}

uint64_t rt_rv_fetch_next(TcgEnv *env, uint64_t va)
{
    uint16_t half = 0;

    tcg_fetch_half(&rv_of_env(env)->cpu, va, &half);
    return half;
}

/* ---- reservations: an interrupt inside a closed form costs a miss now and then; what leaves closed forms on the side loops ---- */

enum { MISSES_UNTIL_OPEN = 64, QUICK_NS = 1000000 };

static void missed(RvCpu *c)
{
    int64_t now = clock_now(c->cpu.machine->clock);

    if (now - c->res_miss_at > QUICK_NS) {
        c->res_misses = 0;
    }
    c->res_miss_at = now;
    if (++c->res_misses == MISSES_UNTIL_OPEN) {
        c->open_res = true;
        rv_mode_changed(c);
        vcpu_kick(&c->cpu);
    }
}

uint64_t rt_rv_load_reserved(TcgEnv *env, uint64_t addr, uint64_t m)
{
    RvCpu *c = rv_of_env(env);
    uint64_t val[2] = { 0 };

    c->res_addr = UINT64_MAX;
    if (tcg_monitor_load(&c->cpu, addr, (IrMem)m, val)) {
        c->res_addr = addr;
        c->res_size = IR_MEM_SIZE(m);
    }
    return val[0];
}

/* A store without a reservation fails, but its address must be one that could be stored to. */
static bool could_store(RvCpu *c, uint64_t addr, IrMem m)
{
    if (addr & ((1u << IR_MEM_SIZE(m)) - 1)) {
        tcg_restore_here(&c->cpu);
        rv_raise(c, CAUSE_STORE_ALIGN, addr);
        return false;
    }
    return true;
}

uint64_t rt_rv_store_conditional(TcgEnv *env, uint64_t addr, uint64_t val, uint64_t m)
{
    RvCpu *c = rv_of_env(env);
    uint64_t v[2] = { val, 0 };
    bool ok = false;

    if (c->res_addr != addr || c->res_size != IR_MEM_SIZE(m)) {
        if (!could_store(c, addr, (IrMem)m)) {
            return 1;
        }
        missed(c);
    } else if (tcg_monitor_store(&c->cpu, addr, (IrMem)m, v, &ok) && ok) {
        c->res_misses = 0;
    }
    if (!env->exc) {
        c->res_addr = UINT64_MAX;
    }
    return !ok;
}
