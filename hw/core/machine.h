/* SPDX-License-Identifier: MIT */
/*
 * A machine is a handle: open, run, pause, reset, save, restore, close.
 *
 * machine_open() builds a whole machine from a MachineConfig and a Session
 * (back ends and objects that exist without one) or builds nothing.  It does
 * not run yet.  Several may live in one process; everything that a machine owns
 * hangs off it.  All calls come from the main thread unless they say so; device
 * code and vCPUs ask for a stop with machine_request(), which any thread may.
 *
 * Requests.  A guest that powers off, resets or dies sets a request; the vCPUs
 * go on to their next block boundary and park.  Listeners hear of it on the main
 * thread, through the `wake` hook of the config: the main loop calls
 * machine_poll(), which carries out resets and tells listeners.
 */
#ifndef HW_CORE_MACHINE_H
#define HW_CORE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "hw/core/clock.h"
#include "hw/core/cpu.h"
#include "hw/core/device.h"
#include "hw/core/inputs.h"
#include "hw/core/prop.h"
#include "memory/memory.h"
#include "util/error.h"
#include "util/lsection.h"

typedef struct Session Session;
typedef struct MachineType MachineType;
typedef struct MachineConfig MachineConfig;

typedef enum {
    RUN_PRELAUNCH,              /* built, never run (-S) */
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_DEBUG,                  /* stopped by the debugger */
    RUN_SHUTDOWN,               /* the guest is off; the process has been told to stay */
    RUN_INMIGRATE,
    RUN_SAVING,
    RUN_IO_ERROR,
    RUN_INTERNAL_ERROR,
    RUN_PANICKED,
    RUN_STATES
} RunState;
const char *run_state_name(RunState s);     /* "running", "paused", "prelaunch", ... as clients expect */

typedef enum { REQUEST_NONE, REQUEST_SHUTDOWN, REQUEST_RESET, REQUEST_POWERDOWN, REQUEST_DEBUG, REQUEST_PANIC, REQUEST_STOP } RequestKind;
typedef enum {
    CAUSE_NONE, CAUSE_HOST_ERROR, CAUSE_HOST_QUIT, CAUSE_HOST_RESET, CAUSE_HOST_SIGNAL, CAUSE_HOST_UI,
    CAUSE_GUEST_SHUTDOWN, CAUSE_GUEST_RESET, CAUSE_GUEST_PANIC, CAUSE_SUBSYSTEM_RESET
} RequestCause;
const char *request_cause_name(RequestCause c);     /* "guest-shutdown", ... */

typedef enum { EVENT_RESUME, EVENT_STOP, EVENT_RESET, EVENT_SHUTDOWN, EVENT_POWERDOWN, EVENT_DEBUG, EVENT_PANIC, EVENT_RTC_CHANGE, EVENT_DEVICE } MachineEventKind;
typedef struct MachineEvent {
    MachineEventKind kind;
    RequestCause cause;
    Cpu *cpu;                   /* DEBUG */
    const char *device;         /* DEVICE: path, and */
    const char *name;           /* DEVICE: what happened, in QMP's word */
    int exit_code;              /* SHUTDOWN by semihosting and exit devices */
} MachineEvent;

typedef struct MachineListener MachineListener;
struct MachineListener {
    void (*event)(MachineListener *l, Machine *m, const MachineEvent *ev);    /* main thread */
    MachineListener *next;
};

/* Pinned defaults of a machine version, and -global. */
typedef struct PropDefault { const char *driver, *prop, *value; } PropDefault;

/* What -machine, -cpu, -smp, -m, -kernel ... say.  Strings are borrowed until machine_open returns. */
typedef struct MachineSmp { unsigned cpus, sockets, dies, clusters, cores, threads, max_cpus; } MachineSmp;    /* 0: not given */
typedef struct MachineDrive {       /* -drive if=pflash|none ..., as boards need them */
    const char *interface;          /* "pflash" */
    int unit;
    const char *node;               /* name of the block node in the session */
    bool readonly;
} MachineDrive;
struct MachineConfig {
    const char *id;                 /* -name */
    const char *accel;              /* "tcg[,tb-size=..]"; NULL: best available */
    const char *cpu;                /* "max,pauth-impdef=on"; NULL: the type's default */
    MachineSmp smp;
    uint64_t ram_size;              /* 0: the type's default */
    uint64_t ram_max;               /* maxmem=; 0: same */
    unsigned ram_slots;
    RamBlock *ram;                  /* ready-made (memory-backend=ID); NULL: by ram_spec */
    const RamSpec *ram_spec;        /* -mem-path, -mem-prealloc or the backend object's settings; NULL: plain */
    const char *kernel, *initrd, *append, *dtb, *firmware;      /* -kernel ... -bios */
    const char *const *props;       /* name, value, name, value, NULL: -machine */
    const PropDefault *globals;     /* -global, { NULL } ends */
    const MachineDrive *drives;     /* { NULL } ends */
    const char *const *serials;     /* chardev ids, in order; NULL ends; "" : none for this one */
    const char *const *nics;        /* "model=virtio-net-pci,netdev=n0,mac=..", NULL ends: -nic, -net; boards make their default model */
    const char *rtc_base;           /* "utc", "localtime", ISO date; NULL: utc */
    const char *rtc_clock;          /* "host", "vm" ("rt") */
    ClockMode clock;
    unsigned icount_shift;
    bool icount_sleep;
    ClockPace icount_pace;          /* auto: icount_shift is where it begins */
    bool have_seed;
    uint64_t seed;
    bool no_acpi;
    const char *uuid;
    void (*wake)(void *opaque);     /* any thread: machine_poll() is wanted */
    void *wake_opaque;
};

struct Machine {
    const MachineType *type;
    Session *session;
    char *name;
    Memory *mem;
    MemRegion system_memory;            /* root, 2^64 */
    MemRegion system_io;                /* port space of boards that have one */
    AddressSpace *as, *as_io;
    Clock *clock;
    Inputs *inputs;
    GPtrArray *cpus;                    /* Cpu *, by index */
    GPtrArray *devices;                 /* realized, in order */
    GPtrArray *buses;
    const AccelType *accel;
    void *accel_state;
    MachineSmp smp;                     /* complete */
    uint64_t ram_size;
    const MachineConfig *config;        /* while opening; NULL afterwards */
    GPtrArray *globals;                 /* PropDefault */
    MachineListener *listeners;
    bool reset_is_shutdown;             /* -no-reboot: a guest's reset request ends the machine, with the cause of the reset */
    /* for this and that */
    void *fw_cfg;                       /* Device of hw/nvram, or NULL */
    char *dumpdtb;                      /* write the tree and be done */
    GPtrArray *reset_hooks;
    uint32_t next_device;
    struct MachinePriv *priv;
};

/* A board.  Its own struct begins with Machine. */
struct MachineType {
    const char *name;                   /* "virt-8.2" */
    const char *const *aliases;         /* "virt" */
    const char *desc;
    const char *arch;                   /* "aarch64": which program names offer it */
    size_t size;
    const char *default_cpu;
    unsigned max_cpus;
    uint64_t default_ram;
    const char *ram_id;                 /* "mach-virt.ram" */
    const Prop *props;                  /* -machine */
    const PropDefault *compat;          /* pinned by this version; { NULL } ends */
    const char *default_nic;
    const char *block_default;          /* interface of -drive without if= and of -hda: "virtio" */
    const char *const *firmware;        /* file names of -bios default, best first; NULL: a machine without -bios has none */
    bool is_default;
    bool (*smp_check)(Machine *m, Error **errp);
    bool (*build)(Machine *m, Error **errp);            /* memory, CPUs, devices; may fail anywhere */
    /* After -device devices are there: device tree, boot memory, fw_cfg contents. */
    bool (*finish)(Machine *m, Error **errp);
    void (*powerdown)(Machine *m);                      /* power key */
    void (*destroy)(Machine *m);                        /* what build made and no owner frees */
    void (*info)(Machine *m, const char *what, GString *out);
};
#define MACHINE_TYPE(row) ROW_IN_SECTION(rhea_machine_types, MachineType, row)
/* By name or alias among those of an architecture (NULL: any); a hint names the nearest. */
const MachineType *machine_type_find(const char *arch, const char *name, Error **errp);
void machine_types_foreach(const char *arch, void (*fn)(const MachineType *t, void *data), void *data);

/* NULL and nothing left behind on failure. */
Machine *machine_open(Session *session, const MachineType *type, const MachineConfig *config, Error **errp);
/* -device, after open and before the first run, or as hot-plug.  Pairs name, value ..., NULL; "driver", "id", "bus" among them. */
Device *machine_add_device(Machine *m, const char *const *opts, Error **errp);
/* Everything is there: the board's finish(), then reset.  Must be called once before machine_run. */
bool machine_ready(Machine *m, Error **errp);
void machine_run(Machine *m);               /* starts or continues */
void machine_pause(Machine *m, RunState why);   /* vCPUs parked, clock stopped, listeners told */
bool machine_is_running(const Machine *m);
RunState machine_state(const Machine *m);
void machine_set_state(Machine *m, RunState s);
void machine_reset(Machine *m, RequestCause cause);     /* pauses meanwhile */
void machine_powerdown(Machine *m);
void machine_close(Machine *m);

/* Whole-machine save and restore.  Pauses for the time of it. A refused file changes nothing. */
bool machine_save(Machine *m, const char *path, Error **errp);
bool machine_save_fd(Machine *m, int fd, Error **errp);
bool machine_restore(Machine *m, const char *path, Error **errp);
bool machine_restore_over(Machine *m, const char *path, Error **errp);      /* a machine that has run: it is reset before the state comes */
bool machine_restore_fd(Machine *m, int fd, Error **errp);
uint64_t machine_digest(Machine *m, bool with_ram);

/* Any thread, locks held or not: the vCPUs stop soon, the main loop is woken. */
void machine_request(Machine *m, RequestKind kind, RequestCause cause);
void machine_request_exit(Machine *m, int code);        /* shutdown with an exit status */
void machine_request_debug(Machine *m, Cpu *cpu);
/* Main thread: carries out what was requested. True when something was. */
bool machine_poll(Machine *m);
/* Ask for REQUEST_STOP when the guest's clock reads `when` (once; TIMER_NEVER takes it back).  Under instruction-driven time it
 * stops exactly there: no instruction later. */
void machine_stop_at(Machine *m, int64_t when);
void machine_event(Machine *m, const MachineEvent *ev); /* to all listeners */
void machine_listener_add(Machine *m, MachineListener *l);
void machine_listener_del(Machine *m, MachineListener *l);

/* State that is no device's: saved under its own name, reset and loaded with the devices. */
void machine_add_state(Machine *m, const char *name, const StateTable *t, void *obj);
/* Called in each reset after the devices' hold and before exit: boot code sets entry states, ROMs are copied again. */
void machine_add_reset(Machine *m, void (*fn)(void *opaque), void *opaque);
/* Bytes that every reset puts at a physical address (kernel, initrd, tree, ROMs); takes the bytes.  Overlaps are errors.
 * `info roms` lists them. */
bool machine_add_rom(Machine *m, const char *name, paddr addr, GBytes *bytes, Error **errp);
/* ROMs lie in these bytes, a mapped file: after each load its pages leave the process, whose memory has the bytes a second time as the guest's. */
void machine_rom_mapped(Machine *m, GBytes *bytes);
bool machine_rom_free(Machine *m, paddr addr, uint64_t size);   /* nothing there yet */
void machine_roms_foreach(Machine *m, void (*fn)(const char *name, paddr addr, uint64_t size, void *data), void *data);

static inline Cpu *machine_cpu(const Machine *m, unsigned i)
{
    return g_ptr_array_index(m->cpus, i);
}

static inline unsigned machine_ncpus(const Machine *m)
{
    return m->cpus->len;
}

#endif
