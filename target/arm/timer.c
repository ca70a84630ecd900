/* SPDX-License-Identifier: MIT */
/*
 * The generic timer: Arm ARM (DDI 0487), D12.  Both counters count the machine's
 * clock at CNTFRQ (there is no EL2, so no offset).  A timer's line is a level:
 * counter >= CVAL, enabled and not masked; between changes a Timer of the clock
 * waits for the moment it rises.
 */
#include "target/arm/cpu.h"

#include "hw/core/machine.h"
#include "target/arm/sysreg-hooks.h"

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };

static uint64_t ticks(const A64Cpu *c, int64_t ns)
{
    return muldiv64((uint64_t)ns, c->cntfrq, NS_PER_S);
}

uint64_t a64_counter(A64Cpu *c)
{
    return ticks(c, clock_now(c->cpu.machine->clock));
}

static unsigned ctl_reg(unsigned which)
{
    return which ? SR_CNTV_CTL_EL0 : SR_CNTP_CTL_EL0;
}

static unsigned cval_reg(unsigned which)
{
    return which ? SR_CNTV_CVAL_EL0 : SR_CNTP_CVAL_EL0;
}

/* The moment at which the counter reaches `count`: rounded up. */
static int64_t moment(const A64Cpu *c, uint64_t count)
{
    unsigned __int128 ns = ((unsigned __int128)count * NS_PER_S + c->cntfrq - 1) / c->cntfrq;

    return ns >= (unsigned __int128)TIMER_NEVER ? TIMER_NEVER : (int64_t)ns;
}

static void update(A64Cpu *c, unsigned which)
{
    uint64_t ctl = c->sys[ctl_reg(which)], cval = c->sys[cval_reg(which)];
    bool met = a64_counter(c) >= cval;

    irq_set(&c->wire[which ? ARM_WIRE_TIMER_VIRT : ARM_WIRE_TIMER_PHYS], met && (ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE);
    if (ctl & CTL_ENABLE && !met) {
        timer_mod(&c->timer[which], moment(c, cval));
    } else {
        timer_del(&c->timer[which]);
    }
}

void a64_timer_update(A64Cpu *c, unsigned which)
{
    pthread_mutex_lock(&c->timer_lock);
    update(c, which);
    pthread_mutex_unlock(&c->timer_lock);
}

static void fired_phys(void *opaque)
{
    update(opaque, 0);
}

static void fired_virt(void *opaque)
{
    update(opaque, 1);
}

void a64_timer_init(A64Cpu *c)
{
    pthread_mutex_init(&c->timer_lock, NULL);
    timer_init(&c->timer[0], c->cpu.machine->clock, fired_phys, c, &c->timer_lock);
    timer_init(&c->timer[1], c->cpu.machine->clock, fired_virt, c, &c->timer_lock);
    a64_pmu_init(c);
}

void a64_timer_fini(A64Cpu *c)
{
    timer_fini(&c->timer[0]);
    timer_fini(&c->timer[1]);
    a64_pmu_fini(c);
    pthread_mutex_destroy(&c->timer_lock);
}

/* ---- registers: CRm 3 is the virtual timer, 2 the physical one ---- */

static unsigned which_of(const A64SysReg *r)
{
    return r->crm == 3;
}

uint64_t cnt_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    tcg_sync_time(&c->cpu);
    return a64_counter(c);
}

uint64_t tval_read(A64Cpu *c, const A64SysReg *r)
{
    tcg_sync_time(&c->cpu);
    return (uint32_t)(c->sys[cval_reg(which_of(r))] - a64_counter(c));
}

void tval_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    tcg_sync_time(&c->cpu);
    pthread_mutex_lock(&c->timer_lock);
    c->sys[cval_reg(which_of(r))] = a64_counter(c) + (uint64_t)(int64_t)(int32_t)val;
    update(c, which_of(r));
    pthread_mutex_unlock(&c->timer_lock);
}

uint64_t ctl_read(A64Cpu *c, const A64SysReg *r)
{
    unsigned w = which_of(r);
    uint64_t ctl = c->sys[ctl_reg(w)] & (CTL_ENABLE | CTL_IMASK);

    tcg_sync_time(&c->cpu);
    return ctl | (ctl & CTL_ENABLE && a64_counter(c) >= c->sys[cval_reg(w)] ? CTL_ISTATUS : 0);
}

void ctl_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    tcg_sync_time(&c->cpu);
    pthread_mutex_lock(&c->timer_lock);
    c->sys[ctl_reg(which_of(r))] = val & (CTL_ENABLE | CTL_IMASK);
    update(c, which_of(r));
    pthread_mutex_unlock(&c->timer_lock);
}

void cval_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    (void)old;
    tcg_sync_time(&c->cpu);
    a64_timer_update(c, which_of(r));
}
