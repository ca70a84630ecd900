/* SPDX-License-Identifier: MIT */
/*
 * Instruction-driven time: one thread runs all vCPUs in turn.
 *
 * A round gives each runnable vCPU the same number of instructions: up to the
 * next deadline, at most one quantum.  The clock advances by the longest turn,
 * then what is due fires and what came from outside is delivered: at counts
 * that depend on nothing but the guest and its inputs.
 */
#include "hw/core/machine-priv.h"

enum { QUANTUM = 20000, SLEEP_MOST = 10000000 };

static void mark_all(Machine *m, VcpuWhere where)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        __atomic_store_n(&machine_cpu(m, i)->where, where, __ATOMIC_SEQ_CST);
    }
}

static bool drain_all(Machine *m)
{
    bool any = false;

    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        vcpu_set_current(machine_cpu(m, i));
        any |= vcpu_drain_work(machine_cpu(m, i));
    }
    return any;
}

/* vcpu_lock held. False: the end. */
static bool wait_to_run(Machine *m)
{
    MachinePriv *p = m->priv;
    Cpu *first = machine_cpu(m, 0);

    while (!p->quit) {
        if (drain_all(m)) {
            continue;
        }
        if (machine_may_run(first)) {
            mark_all(m, VCPU_RUNNING);
            return true;
        }
        mark_all(m, VCPU_PARKED);
        pthread_cond_broadcast(&p->changed);
        pthread_cond_wait(&first->thread->cond, &p->vcpu_lock);
    }
    return false;
}

/* Each runnable vCPU once; the longest turn, 0 when all sleep. */
static uint64_t run_round(Machine *m, uint64_t budget)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);
        uint64_t n;

        if (!vcpu_can_run(cpu)) {
            continue;
        }
        cpu->halted = false;
        vcpu_set_current(cpu);
        cpu_pending_clear(cpu, CPU_EXIT_PAUSE | CPU_EXIT_KICK);
        n = m->accel->run_count(cpu, budget);
        longest = MAX(longest, MAX(n, 1));
        clock_icount_progress(m->clock, 0);
        if (cpu->exit_code) {
            machine_request_debug(m, cpu);
        }
    }
    return longest;
}

/* A bit that was set before `where` said "sleeping" has rung nobody. */
static bool called(Machine *m)
{
    bool any = false;

    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        any |= (cpu_pending(cpu) & CPU_EXITS) || vcpu_can_run(cpu);
        cpu_pending_clear(cpu, CPU_EXIT_KICK | CPU_EXIT_PAUSE);
    }
    return any;
}

/* Everybody sleeps and no timer is armed: until something comes from outside. */
static void sleep_idle(Machine *m)
{
    MachinePriv *p = m->priv;
    Cpu *first = machine_cpu(m, 0);

    pthread_mutex_lock(&p->vcpu_lock);
    mark_all(m, VCPU_SLEEPING);
    pthread_cond_broadcast(&p->changed);
    while (!p->quit && machine_may_run(first) && !called(m)) {
        pthread_cond_wait(&first->thread->cond, &p->vcpu_lock);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
}

static bool stop_wanted(Machine *m)
{
    bool stop;

    pthread_mutex_lock(&m->priv->vcpu_lock);
    stop = !machine_may_run(machine_cpu(m, 0)) || m->priv->quit;
    pthread_mutex_unlock(&m->priv->vcpu_lock);
    return stop;
}

/* Sleeps are short: somebody may want the machine to stop. */
static void keep_pace(Machine *m)
{
    int64_t ns = m->priv->icount_pace == PACE_NONE ? 0 : clock_icount_pace(m->clock, clock_host_now());
    struct timespec ts = { 0, MIN(ns, SLEEP_MOST) };

    if (ns) {
        nanosleep(&ts, NULL);
    }
}

static void one_round(Machine *m)
{
    uint64_t budget, ran;

    vcpu_set_current(NULL);
    inputs_run(m->inputs);
    if (clock_run(m->clock) && stop_wanted(m)) {
        return;                                 /* machine_stop_at: exactly here */
    }
    budget = clock_icount_budget(m->clock, QUANTUM);
    ran = budget ? run_round(m, budget) : 0;
    if (ran) {
        clock_icount_advance(m->clock, ran);
        keep_pace(m);
    } else if (budget && !clock_icount_idle(m->clock, m->priv->icount_sleep)) {
        sleep_idle(m);
    }
}

void *vcpu_icount_thread(void *opaque)
{
    Machine *m = opaque;
    MachinePriv *p = m->priv;

    pthread_setname_np(pthread_self(), "vm/cpu0");
    pthread_mutex_lock(&p->vcpu_lock);
    while (wait_to_run(m)) {
        pthread_mutex_unlock(&p->vcpu_lock);
        one_round(m);
        pthread_mutex_lock(&p->vcpu_lock);
    }
    mark_all(m, VCPU_GONE);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->vcpu_lock);
    return NULL;
}
