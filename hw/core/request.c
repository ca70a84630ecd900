/* SPDX-License-Identifier: MIT */
/* What the guest and the host ask of a machine, and who hears of it. */
#include "hw/core/machine-priv.h"

static const char *const cause_names[] = {
    "none", "host-error", "host-qmp-quit", "host-qmp-system-reset", "host-signal", "host-ui",
    "guest-shutdown", "guest-reset", "guest-panic", "subsystem-reset"
};

const char *request_cause_name(RequestCause c)
{
    return cause_names[c];
}

/* Stop the vCPUs without waiting: they park at their next block boundary. Under request_lock. */
static void pause_for_request(Machine *m)
{
    MachinePriv *p = m->priv;

    if (p->request_pauses) {
        return;
    }
    p->request_pauses = true;
    pthread_mutex_lock(&p->vcpu_lock);
    p->pauses++;
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        __atomic_fetch_or(&machine_cpu(m, i)->pending, CPU_EXIT_PAUSE, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&p->vcpu_lock);
}

static void post(Machine *m, RequestKind kind, RequestCause cause, Cpu *cpu, int code)
{
    MachinePriv *p = m->priv;

    pthread_mutex_lock(&p->request_lock);
    if (kind == REQUEST_POWERDOWN) {
        p->powerdown = true;
    } else if (kind == REQUEST_STOP) {                  /* beside what the guest asked for at the same time */
        p->stop = true;
        p->stop_cause = cause;
        pause_for_request(m);
    } else if (p->request != REQUEST_SHUTDOWN) {        /* the first shutdown stands */
        p->request = kind;
        p->cause = cause;
        p->request_cpu = cpu;
        p->exit_code = code;
        if (vcpu_current() || kind == REQUEST_DEBUG) {
            pause_for_request(m);
        }
    }
    pthread_mutex_unlock(&p->request_lock);
    if (p->wake) {
        p->wake(p->wake_opaque);
    }
}

void machine_request(Machine *m, RequestKind kind, RequestCause cause)
{
    post(m, kind, cause, NULL, 0);
}

void machine_request_exit(Machine *m, int code)
{
    post(m, REQUEST_SHUTDOWN, CAUSE_GUEST_SHUTDOWN, NULL, code);
}

void machine_request_debug(Machine *m, Cpu *cpu)
{
    /* Called with vcpu_lock held by the vCPU's thread: only note it; the caller's loop sees the pause. */
    MachinePriv *p = m->priv;

    pthread_mutex_unlock(&p->vcpu_lock);
    post(m, REQUEST_DEBUG, CAUSE_NONE, cpu, 0);
    pthread_mutex_lock(&p->vcpu_lock);
}

void machine_stop_due(void *opaque)
{
    machine_request(opaque, REQUEST_STOP, CAUSE_NONE);
}

void machine_stop_at(Machine *m, int64_t when)
{
    timer_mod(&m->priv->stop_at, when);
}

void machine_event(Machine *m, const MachineEvent *ev)
{
    for (MachineListener *l = m->listeners, *next; l; l = next) {
        next = l->next;
        l->event(l, m, ev);
    }
}

void machine_listener_add(Machine *m, MachineListener *l)
{
    l->next = m->listeners;
    m->listeners = l;
}

void machine_listener_del(Machine *m, MachineListener *l)
{
    for (MachineListener **p = &m->listeners; *p; p = &(*p)->next) {
        if (*p == l) {
            *p = l->next;
            return;
        }
    }
}

/* A shutdown leaves the machine stopped; what happens then (exit, stay) is the listener's. */
static void carry_out(Machine *m, RequestKind kind, RequestCause cause, Cpu *cpu, int code)
{
    if (kind == REQUEST_RESET && m->reset_is_shutdown) {
        kind = REQUEST_SHUTDOWN;
    }
    switch (kind) {
    case REQUEST_SHUTDOWN:
        machine_pause(m, RUN_SHUTDOWN);
        machine_event(m, &(MachineEvent){ .kind = EVENT_SHUTDOWN, .cause = cause, .exit_code = code });
        break;
    case REQUEST_RESET:
        machine_reset(m, cause);
        break;
    case REQUEST_DEBUG:
        machine_pause(m, RUN_DEBUG);
        machine_event(m, &(MachineEvent){ .kind = EVENT_DEBUG, .cpu = cpu });
        break;
    case REQUEST_PANIC:
        machine_pause(m, RUN_PANICKED);
        machine_event(m, &(MachineEvent){ .kind = EVENT_PANIC, .cause = cause });
        break;
    default:
        break;
    }
}

bool machine_poll(Machine *m)
{
    MachinePriv *p = m->priv;
    bool paused, powerdown, stop;
    RequestKind kind;
    RequestCause cause, stop_cause;
    Cpu *cpu;
    int code;

    pthread_mutex_lock(&p->request_lock);
    kind = p->request;
    cause = p->cause;
    cpu = p->request_cpu;
    code = p->exit_code;
    paused = p->request_pauses;
    powerdown = p->powerdown;
    stop = p->stop;
    stop_cause = p->stop_cause;
    p->request = REQUEST_NONE;
    p->request_pauses = p->powerdown = p->stop = false;
    pthread_mutex_unlock(&p->request_lock);
    if (powerdown) {
        machine_powerdown(m);
    }
    carry_out(m, kind, cause, cpu, code);
    if (stop && machine_is_running(m)) {                /* one that has stopped meanwhile says why by itself */
        machine_pause(m, stop_cause == CAUSE_HOST_ERROR ? RUN_IO_ERROR : RUN_PAUSED);
    }
    if (paused) {
        vcpu_resume_all(m);
    }
    return kind != REQUEST_NONE || powerdown || stop;
}
