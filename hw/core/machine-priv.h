/* SPDX-License-Identifier: MIT */
/* What the files of hw/core/ share about a machine. */
#ifndef HW_CORE_MACHINE_PRIV_H
#define HW_CORE_MACHINE_PRIV_H

#include "hw/core/machine.h"

typedef struct ExtraState { char *name; const StateTable *table; void *obj; } ExtraState;
typedef struct ResetHook { void (*fn)(void *opaque); void *opaque; } ResetHook;
typedef struct Rom { char *name; paddr addr; GBytes *bytes; } Rom;

typedef struct MachinePriv {
    RunState state;
    bool ready;
    GArray *extra;              /* ExtraState */
    GArray *hooks;              /* ResetHook */
    GArray *roms;               /* Rom */
    GPtrArray *rom_maps;        /* GBytes of mapped files that ROMs lie in */
    /* run control */
    pthread_mutex_t vcpu_lock;  /* leaf */
    pthread_cond_t changed;     /* somebody parked, left an exclusive section, or ended */
    int pauses;                 /* nesting of vcpu_pause_all */
    Cpu *exclusive_cpu;
    pthread_t exclusive_thread;
    bool exclusive, quit, started;
    /* requests */
    pthread_mutex_t request_lock;
    RequestKind request;
    RequestCause cause;
    Cpu *request_cpu;
    int exit_code;
    bool request_pauses;        /* one of `pauses` belongs to the request */
    bool powerdown, stop;
    RequestCause stop_cause;
    void (*wake)(void *opaque);
    void *wake_opaque;
    bool icount_sleep;
    ClockPace icount_pace;
    Timer stop_at;              /* the host's wish, no state of the machine */
} MachinePriv;

struct VcpuThread {
    pthread_t thread;
    bool exists;
    pthread_cond_t cond;        /* with vcpu_lock: pending changed, resume, work, quit */
    GQueue work;                /* WorkItem */
};

bool machine_may_run(const Cpu *cpu);       /* vcpu_lock held: neither paused nor waiting for an exclusive section */
void vcpu_control_init(Machine *m);
void vcpu_control_fini(Machine *m);
void *vcpu_icount_thread(void *machine);
bool vcpu_drain_work(Cpu *cpu);             /* vcpu_lock held, let go while it runs; true when there was some */
bool vcpu_can_run(Cpu *cpu);
void vcpu_set_current(Cpu *cpu);
void machine_reset_now(Machine *m);         /* vCPUs parked */
void machine_load_roms(Machine *m);
void machine_stop_due(void *machine);

#endif
