/* SPDX-License-Identifier: MIT */
/* Runtime routines of system instructions. */
#include "target/arm/rt.h"

#include "target/arm/sysregs.h"

/* The argument of both: row in the low half, syndrome of a trap above. */
static const A64SysReg *allowed(A64Cpu *c, uint64_t arg, bool read)
{
    const A64SysReg *r = &a64_sysregs[arg & 0xffff];

    if (r->allow && !r->allow(c, r, read)) {
        tcg_restore_here(&c->cpu);
        a64_raise(c, EC_SYSREG, (uint32_t)(arg >> 16));
        return NULL;
    }
    return r;
}

uint64_t rt_a64_sysreg_read(TcgEnv *env, uint64_t arg)
{
    A64Cpu *c = a64_of_env(env);

    return allowed(c, arg, true) ? a64_sysreg_read(c, arg & 0xffff) : 0;
}

void rt_a64_sysreg_write(TcgEnv *env, uint64_t arg, uint64_t val)
{
    A64Cpu *c = a64_of_env(env);

    if (allowed(c, arg, false)) {
        a64_sysreg_write(c, arg & 0xffff, val);
    }
}

static void gic_absent(A64Cpu *c)
{
    tcg_restore_here(&c->cpu);
    a64_raise(c, EC_UNKNOWN, 0);
}

uint64_t rt_a64_gic_read(TcgEnv *env, uint64_t key)
{
    A64Cpu *c = a64_of_env(env);
    uint64_t val = 0;

    if (!cpu_port_read(&c->cpu, CPU_PORT_GIC, (uint32_t)key, (CpuPortCtx){ .el = 1 }, &val)) {
        gic_absent(c);
    }
    return val;
}

void rt_a64_gic_write(TcgEnv *env, uint64_t key, uint64_t val)
{
    A64Cpu *c = a64_of_env(env);

    if (!cpu_port_write(&c->cpu, CPU_PORT_GIC, (uint32_t)key, (CpuPortCtx){ .el = 1 }, val)) {
        gic_absent(c);
    }
}

/* field: op1 and op2 of MSR (immediate), as two octal digits */
void rt_a64_pstate_imm(TcgEnv *env, uint64_t field, uint64_t imm)
{
    A64Cpu *c = a64_of_env(env);

    switch (field) {
    case 003:
        c->uao = imm & 1;
        break;
    case 004:
        c->pan = imm & 1;
        break;
    case 005:
        a64_sp_save(c);
        c->spsel = imm & 1;
        a64_sp_load(c);
        break;
    case 031:
        c->ssbs = imm & 1;
        break;
    case 032:
        c->dit = imm & 1;
        break;
    }
    a64_mode_changed(c);
}

uint64_t rt_a64_eret(TcgEnv *env, uint64_t elr)
{
    A64Cpu *c = a64_of_env(env);

    if (G_UNLIKELY(c->pmu.on)) {
        a64_pmu_count(c, A64_EVENT_EXC_RETURN);
    }
    a64_pstate_set(c, c->sys[SR_SPSR_EL1]);
    c->excl_addr = UINT64_MAX;
    tcg_monitor_clear(&c->cpu);
    c->event = 1;
    return elr;
}

/* PSCI and SMCCC calls that the board answers; x0-x7 in and out. */
void rt_a64_firmware(TcgEnv *env, uint64_t conduit)
{
    A64Cpu *c = a64_of_env(env);

    if (c->psci_conduit != conduit + 1 || !cpu_port_call(&c->cpu, CPU_PORT_FIRMWARE, (uint32_t)conduit, (CpuPortCtx){ .el = 1 }, c->x)) {
        tcg_restore_here(&c->cpu);
        a64_raise(c, EC_UNKNOWN, 0);
    }
}

/* These run under the host's MXCSR: the guest's, with its sticky bits, is in env->guest_mxcsr. */
uint64_t rt_a64_fpsr_read(TcgEnv *env, uint64_t unused)
{
    (void)unused;
    return a64_fpsr_get(a64_of_env(env));
}

void rt_a64_fpsr_write(TcgEnv *env, uint64_t val)
{
    a64_fpsr_set(a64_of_env(env), val);
}

void rt_a64_dsb(TcgEnv *env, uint64_t unused)
{
    (void)unused;
    tcg_flush_wait(&a64_of_env(env)->cpu);
}
