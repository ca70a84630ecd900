/* SPDX-License-Identifier: MIT */
/*
 * Threads of virtual processors: start, stop, park, sleep, work.
 *
 * One lock and a condition variable per vCPU.  A vCPU that goes to sleep says
 * so in `where` and then looks at `pending` once more; who sets a bit does it
 * the other way round: one of the two always sees the other.
 */
#include "hw/core/cpu.h"

#include <assert.h>
#include <stdio.h>

#include "hw/core/machine-priv.h"

typedef struct WorkItem {
    VcpuWork *fn;
    void *data;
    bool *done;                 /* NULL: posted, the item is the queue's to free */
} WorkItem;

static __thread Cpu *current;

Cpu *vcpu_current(void)
{
    return current;
}

void vcpu_set_current(Cpu *cpu)
{
    current = cpu;
}

static MachinePriv *control(const Cpu *cpu)
{
    return cpu->machine->priv;
}

static uint32_t where_get(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->where, __ATOMIC_SEQ_CST);
}

static void where_set(Cpu *cpu, VcpuWhere where)
{
    __atomic_store_n(&cpu->where, where, __ATOMIC_SEQ_CST);
}

void vcpu_control_init(Machine *m)
{
    pthread_mutex_init(&m->priv->vcpu_lock, NULL);
    pthread_cond_init(&m->priv->changed, NULL);
}

void vcpu_control_fini(Machine *m)
{
    pthread_cond_destroy(&m->priv->changed);
    pthread_mutex_destroy(&m->priv->vcpu_lock);
}

/* ---- pending and kicks ---- */

/* The condition that this vCPU's thread waits on: under instruction-driven time one thread serves all. */
static pthread_cond_t *cond_of(Cpu *cpu)
{
    return cpu->thread->exists ? &cpu->thread->cond : &machine_cpu(cpu->machine, 0)->thread->cond;
}

static void wake(Cpu *cpu)
{
    pthread_mutex_lock(&control(cpu)->vcpu_lock);
    pthread_cond_broadcast(cond_of(cpu));
    pthread_mutex_unlock(&control(cpu)->vcpu_lock);
}

void cpu_pending_set(Cpu *cpu, uint32_t bits)
{
    uint32_t old = __atomic_fetch_or(&cpu->pending, bits, __ATOMIC_SEQ_CST);

    if ((old & bits) != bits && where_get(cpu) == VCPU_SLEEPING) {
        wake(cpu);
    }
}

void vcpu_kick(Cpu *cpu)
{
    cpu_pending_set(cpu, CPU_EXIT_KICK);
    if (where_get(cpu) == VCPU_SLEEPING) {
        wake(cpu);
    }
}

/* ---- one vCPU's life ---- */

bool vcpu_can_run(Cpu *cpu)
{
    if (cpu->power_off || cpu->stopped_debug || __atomic_load_n(&cpu->held, __ATOMIC_SEQ_CST)) {
        return false;
    }
    return !cpu->halted || cpu->ops->has_work(cpu);
}

bool machine_may_run(const Cpu *cpu)
{
    const MachinePriv *p = control(cpu);

    return !p->pauses && !p->exclusive;
}

bool vcpu_drain_work(Cpu *cpu)
{
    MachinePriv *p = control(cpu);
    bool any = false;
    WorkItem *w;

    while ((w = g_queue_pop_head(&cpu->thread->work))) {
        pthread_mutex_unlock(&p->vcpu_lock);
        w->fn(cpu, w->data);
        pthread_mutex_lock(&p->vcpu_lock);
        any = true;
        if (w->done) {
            *w->done = true;
            pthread_cond_broadcast(&p->changed);
        } else {
            g_free(w);
        }
    }
    cpu_pending_clear(cpu, CPU_EXIT_WORK);
    return any;
}

/* Returns with the vCPU marked as running, or false to end. vcpu_lock held. */
static bool wait_to_run(Cpu *cpu)
{
    MachinePriv *p = control(cpu);

    while (!p->quit) {
        if (vcpu_drain_work(cpu)) {
            continue;
        }
        where_set(cpu, machine_may_run(cpu) ? VCPU_SLEEPING : VCPU_PARKED);
        if (machine_may_run(cpu) && vcpu_can_run(cpu)) {
            where_set(cpu, VCPU_RUNNING);
            return true;
        }
        pthread_cond_broadcast(&p->changed);
        pthread_cond_wait(&cpu->thread->cond, &p->vcpu_lock);
    }
    return false;
}

static void *vcpu_thread(void *opaque)
{
    Cpu *cpu = opaque;
    MachinePriv *p = control(cpu);
    const AccelType *a = cpu->machine->accel;
    char name[16];

    snprintf(name, sizeof(name), "vm/cpu%d", cpu->index);
    pthread_setname_np(pthread_self(), name);
    current = cpu;
    pthread_mutex_lock(&p->vcpu_lock);
    while (wait_to_run(cpu)) {
        cpu_pending_clear(cpu, CPU_EXIT_PAUSE);
        pthread_mutex_unlock(&p->vcpu_lock);
        cpu->halted = false;
        if (a->wake) {
            a->wake(cpu);
        }
        a->run(cpu);
        pthread_mutex_lock(&p->vcpu_lock);
        if (cpu->exit_code) {
            machine_request_debug(cpu->machine, cpu);
        }
    }
    where_set(cpu, VCPU_GONE);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->vcpu_lock);
    return NULL;
}

void vcpu_start_all(Machine *m)
{
    MachinePriv *p = m->priv;
    bool one = clock_mode(m->clock) == CLOCK_ICOUNT;

    assert(!p->started);
    p->started = true;
    p->quit = false;
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        where_set(cpu, VCPU_PARKED);
        if (!one || i == 0) {
            pthread_create(&cpu->thread->thread, NULL, one ? vcpu_icount_thread : vcpu_thread, one ? (void *)m : cpu);
            cpu->thread->exists = true;
        }
    }
}

void vcpu_stop_all(Machine *m)
{
    MachinePriv *p = m->priv;

    if (!p->started) {
        return;
    }
    pthread_mutex_lock(&p->vcpu_lock);
    p->quit = true;
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        __atomic_fetch_or(&cpu->pending, CPU_EXIT_PAUSE, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&cpu->thread->cond);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        if (cpu->thread->exists) {
            pthread_join(cpu->thread->thread, NULL);
            cpu->thread->exists = false;
        }
        where_set(cpu, VCPU_NEW);
    }
    p->started = false;
}

/* ---- pause ---- */

static bool stopped(const Cpu *cpu, bool waiting_counts)
{
    uint32_t w = where_get(cpu);

    return w != VCPU_RUNNING && (w != VCPU_WAITING || waiting_counts);
}

bool vcpu_all_parked(Machine *m)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        if (!stopped(machine_cpu(m, i), false)) {
            return false;
        }
    }
    return true;
}

static void call_out(Machine *m, const Cpu *but)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        if (cpu != but) {
            __atomic_fetch_or(&cpu->pending, CPU_EXIT_PAUSE, __ATOMIC_SEQ_CST);
        }
    }
}

static void let_go(Machine *m)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        pthread_cond_broadcast(&machine_cpu(m, i)->thread->cond);
    }
    pthread_cond_broadcast(&m->priv->changed);
}

void vcpu_pause_all(Machine *m)
{
    MachinePriv *p = m->priv;

    assert(!current);
    pthread_mutex_lock(&p->vcpu_lock);
    p->pauses++;
    call_out(m, NULL);
    while (!vcpu_all_parked(m)) {
        pthread_cond_wait(&p->changed, &p->vcpu_lock);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
}

void vcpu_resume_all(Machine *m)
{
    MachinePriv *p = m->priv;

    pthread_mutex_lock(&p->vcpu_lock);
    assert(p->pauses > 0);
    if (--p->pauses == 0) {
        let_go(m);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
}

/* ---- exclusive sections and waits ---- */

static bool others_stopped(Machine *m, const Cpu *but)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        if (cpu != but && !stopped(cpu, true)) {
            return false;
        }
    }
    return true;
}

void vcpu_exclusive(Machine *m, void (*fn)(void *data), void *data)
{
    MachinePriv *p = m->priv;
    Cpu *self = current && current->machine == m ? current : NULL;

    if (clock_mode(m->clock) == CLOCK_ICOUNT && self) {
        fn(data);                               /* one thread: nobody else runs */
        return;
    }
    pthread_mutex_lock(&p->vcpu_lock);
    if (self) {
        where_set(self, VCPU_WAITING);
        pthread_cond_broadcast(&p->changed);
    }
    while (p->exclusive) {
        pthread_cond_wait(&p->changed, &p->vcpu_lock);
    }
    p->exclusive = true;
    call_out(m, self);
    while (!others_stopped(m, self)) {
        pthread_cond_wait(&p->changed, &p->vcpu_lock);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
    fn(data);
    pthread_mutex_lock(&p->vcpu_lock);
    p->exclusive = false;
    if (self) {
        where_set(self, VCPU_RUNNING);
    }
    let_go(m);
    pthread_mutex_unlock(&p->vcpu_lock);
}

void vcpu_wait_begin(Cpu *cpu)
{
    MachinePriv *p = control(cpu);

    assert(cpu == current);
    pthread_mutex_lock(&p->vcpu_lock);
    where_set(cpu, VCPU_WAITING);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->vcpu_lock);
}

void vcpu_wait_end(Cpu *cpu)
{
    MachinePriv *p = control(cpu);

    pthread_mutex_lock(&p->vcpu_lock);
    while (p->exclusive) {
        pthread_cond_wait(&p->changed, &p->vcpu_lock);
    }
    where_set(cpu, VCPU_RUNNING);
    pthread_mutex_unlock(&p->vcpu_lock);
}

/* ---- work ---- */

static void enqueue(Cpu *cpu, WorkItem *w)
{
    g_queue_push_tail(&cpu->thread->work, w);
    __atomic_fetch_or(&cpu->pending, CPU_EXIT_WORK, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(cond_of(cpu));
}

void vcpu_run_on(Cpu *cpu, VcpuWork *fn, void *data)
{
    MachinePriv *p = control(cpu);
    bool done = false;
    WorkItem w = { fn, data, &done };

    if (cpu == current || where_get(cpu) == VCPU_NEW) {
        fn(cpu, data);
        return;
    }
    assert(!current);                           /* a vCPU that waits for a vCPU: use vcpu_post or vcpu_exclusive */
    pthread_mutex_lock(&p->vcpu_lock);
    enqueue(cpu, &w);
    while (!done) {
        pthread_cond_wait(&p->changed, &p->vcpu_lock);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
}

void vcpu_post(Cpu *cpu, VcpuWork *fn, void *data)
{
    WorkItem *w = g_new0(WorkItem, 1);

    *w = (WorkItem){ fn, data, NULL };
    pthread_mutex_lock(&control(cpu)->vcpu_lock);
    enqueue(cpu, w);
    pthread_mutex_unlock(&control(cpu)->vcpu_lock);
}

/* ---- power ---- */

typedef struct PowerOn { uint64_t entry, context; } PowerOn;

static void power_on_work(Cpu *cpu, void *data)
{
    PowerOn *on = data;

    cpu->ops->reset(cpu);
    cpu->ops->power_on(cpu, on->entry, on->context);
    if (cpu->machine->accel && cpu->machine->accel->state_changed) {
        cpu->machine->accel->state_changed(cpu);
    }
    cpu->halted = false;
    cpu->power_off = false;
    g_free(on);
}

void vcpu_power_on(Cpu *cpu, uint64_t entry, uint64_t context)
{
    PowerOn *on = g_new0(PowerOn, 1);

    *on = (PowerOn){ entry, context };
    vcpu_post(cpu, power_on_work, on);
}

void vcpu_power_off(Cpu *cpu)
{
    __atomic_store_n(&cpu->power_off, true, __ATOMIC_RELEASE);         /* others look at it */
    cpu_pending_set(cpu, CPU_EXIT_KICK);
}

/* ---- devices that need the guest to wait ---- */

void vcpu_hold(Cpu *cpu)
{
    __atomic_fetch_add(&cpu->held, 1, __ATOMIC_SEQ_CST);
    cpu_pending_set(cpu, CPU_EXIT_KICK);
}

void vcpu_release(Cpu *cpu)
{
    __atomic_fetch_sub(&cpu->held, 1, __ATOMIC_SEQ_CST);
    vcpu_kick(cpu);
}
