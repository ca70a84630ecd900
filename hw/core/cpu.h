/* SPDX-License-Identifier: MIT */
/*
 * The base of every virtual processor, and how one is stopped and asked.
 *
 * A target's CPU state begins with a Cpu.  Its thread (vm/cpuN) is made by this
 * file and calls the accelerator's run() again and again; what wants a vCPU's
 * attention sets bits in `pending` and kicks.
 *
 * pending.  Generated code and run loops look at one 32-bit word.  A bit of the
 * upper half makes run() return; one of the lower half is a line or event for
 * the target.  Setting a bit is cpu_pending_set(): an atomic or, and a wake when
 * the vCPU sleeps.  Level bits (CPU_IRQ...) follow their wire; the others are
 * cleared by who handles them.
 *
 * Stopping.  vcpu_pause_all() sets CPU_EXIT_PAUSE, kicks, and returns when every
 * vCPU is parked: at a block boundary, with its state in memory.  One that
 * sleeps (WFI, powered off) counts as parked and does not run again before the
 * resume.  Calls nest and may come from several threads, but not from a vCPU's:
 * there vcpu_exclusive() is the short form and machine_request() the long one.
 * The caller holds no device lock.
 *
 * vcpu_exclusive() stops the others for one function; a vCPU that waits in it,
 * or between vcpu_wait_begin and _end, counts as stopped for another's
 * exclusive section, but not for a pause: it finishes its instruction first.
 *
 * The control lock is a leaf: has_work() is called under it and takes none.
 */
#ifndef HW_CORE_CPU_H
#define HW_CORE_CPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "hw/core/cpu-port.h"
#include "hw/core/prop.h"
#include "memory/memory.h"
#include "migration/state.h"
#include "util/error.h"
#include "util/lsection.h"

typedef struct Machine Machine;
typedef struct Cpu Cpu;
typedef struct CpuType CpuType;
typedef struct CpuOps CpuOps;
typedef struct AccelType AccelType;
typedef struct VcpuThread VcpuThread;

enum {
    /* for the target: wires */
    CPU_IRQ        = 1u << 0,
    CPU_FIQ        = 1u << 1,
    CPU_VIRQ       = 1u << 2,
    CPU_VFIQ       = 1u << 3,
    CPU_NMI        = 1u << 4,
    CPU_SERROR     = 1u << 5,
    CPU_TARGET_0   = 1u << 6,       /* the target's own events (RISC-V software and timer lines, x86 SMI, INIT, SIPI) */
    CPU_TARGET_1   = 1u << 7,
    CPU_TARGET_2   = 1u << 8,
    CPU_TARGET_3   = 1u << 9,
    CPU_LINES      = 0x0000ffffu,
    /* for the accelerator */
    CPU_EXIT_KICK  = 1u << 16,      /* something has changed: look around */
    CPU_EXIT_PAUSE = 1u << 17,
    CPU_EXIT_WORK  = 1u << 18,      /* vcpu_run_on queue is not empty */
    CPU_EXIT_FLUSH = 1u << 19,      /* posted TLB flushes, code invalidations */
    CPU_EXIT_DEBUG = 1u << 20,
    CPU_EXIT_RESET = 1u << 21,
    CPU_EXITS      = 0xffff0000u,
};

/* Where the vCPU is, for others: they may act on its state, or post without a kick, unless it is VCPU_RUNNING. */
typedef enum { VCPU_NEW, VCPU_RUNNING, VCPU_SLEEPING, VCPU_WAITING, VCPU_PARKED, VCPU_GONE } VcpuWhere;

struct Cpu {
    const CpuType *type;
    const CpuOps *ops;
    Machine *machine;
    AddressSpace *as;           /* physical memory as this processor sees it (normal world) */
    AddressSpace *as_secure;    /* NULL: none */
    char *path;                 /* "cpu0": names its section */
    CpuPort ports[CPU_PORTS];   /* cpu-port.h */
    VcpuThread *thread;
    void *accel;                /* the accelerator's own */
    uint64_t clock_count;       /* instructions retired, when counted */
    int32_t index;
    int32_t exit_code;          /* why run() returned, for the debugger: CpuStop */
    uint32_t where;             /* VcpuWhere, atomic */
    bool power_off;             /* PSCI OFF, waiting for INIT: not runnable until vcpu_power_on */
    bool halted;                /* WFI: sleeps until ops->has_work() */
    bool start_off;             /* power state that reset gives */
    bool stopped_debug;         /* the debugger holds this one */
    uint32_t held;              /* atomic: how many devices want it to wait, vcpu_hold() */
    uint32_t single_step;       /* CpuStep flags */
    uint32_t lines;             /* levels of the wires (CPU_LINES); atomic.  Their bits in `pending` follow, but the accelerator
                                 * drops them while the target has them masked, so that code does not leave at each back-edge:
                                 * take_irq() and has_work() ask cpu_lines() */
    /* Last, so that it lies next to the TcgEnv that follows: generated code tests it. Atomic. */
    uint32_t pending __attribute__((aligned(16)));
};

typedef enum { CPU_STOP_NONE, CPU_STOP_BREAKPOINT, CPU_STOP_WATCHPOINT, CPU_STOP_STEP, CPU_STOP_REQUEST } CpuStop;
enum { CPU_STEP = 1, CPU_STEP_NO_IRQ = 2, CPU_STEP_NO_TIMER = 4 };

/* What a target gives: one const record per architecture state. Called by the vCPU's thread or with the vCPU parked. */
struct CpuOps {
    const char *arch;                                   /* "aarch64": gdb, monitor */
    const StateTable *state;                            /* of the whole CPU struct */
    void (*reset)(Cpu *cpu);                            /* architectural reset; power state by start_off */
    void (*set_pc)(Cpu *cpu, vaddr pc);
    vaddr (*get_pc)(Cpu *cpu);
    bool (*has_work)(Cpu *cpu);                         /* would WFI end now? reads `pending` and masks */
    /* A line has changed: the target keeps pending's low bits; NULL: level = bit. */
    void (*line)(Cpu *cpu, unsigned line, int level);
    void (*dump)(Cpu *cpu, uint32_t flags, GString *out);
    /* gdb: target description files and registers by number; return bytes put, 0: no such register. */
    const char *(*gdb_xml)(Cpu *cpu, const char *annex);    /* "target.xml", ...; NULL: none */
    unsigned (*gdb_read)(Cpu *cpu, unsigned reg, uint8_t *buf);      /* buf has room for 256 bytes */
    unsigned (*gdb_write)(Cpu *cpu, unsigned reg, const uint8_t *buf);
    unsigned gdb_core_regs;                             /* numbers in a `g` packet */
    /* Debugger's view of the current address space: no faults, no side effects. */
    bool (*translate)(Cpu *cpu, vaddr va, paddr *pa, uint64_t *page_size);
    /* A named register for the monitor ("$x0"). */
    bool (*reg_by_name)(Cpu *cpu, const char *name, uint64_t *val);
    bool (*big_endian)(Cpu *cpu);
    int (*disassemble)(Cpu *cpu, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room);
    /* Firmware calls that the board takes over (PSCI): true when done. regs are the argument registers. */
    void (*power_on)(Cpu *cpu, uint64_t entry, uint64_t context);   /* on the CPU's own thread or parked: start state for PSCI CPU_ON */
};

/* A CPU model: -cpu NAME[,prop=value]. */
struct CpuType {
    const char *name;
    const char *const *aliases;
    const char *desc;
    const char *arch;
    size_t size;
    const CpuOps *ops;
    const Prop *props;
    const void *model;                                  /* the target's feature record */
    bool (*init)(Cpu *cpu, Error **errp);               /* defaults set; properties follow */
    bool (*realize)(Cpu *cpu, Error **errp);
    void (*finalize)(Cpu *cpu);
};
#define CPU_TYPE(row) ROW_IN_SECTION(rhea_cpu_types, CpuType, row)

const CpuType *cpu_type_find(const char *arch, const char *name);
/* "unable to find CPU model", with the nearest names; false. */
bool cpu_type_unknown(const char *arch, const char *name, Error **errp);
void cpu_types_foreach(void (*fn)(const CpuType *t, void *data), void *data);
/* `props` is "name=value,name,name=off"; board settings by cpu_set before realize. */
Cpu *cpu_new(Machine *m, const CpuType *t, int index, const char *props, Error **errp);
bool cpu_set(Cpu *cpu, const char *prop, const char *text, Error **errp);
bool cpu_has_prop(const Cpu *cpu, const char *prop);
bool cpu_realize(Cpu *cpu, Error **errp);               /* adds it to machine->cpus */
void cpu_free(Cpu *cpu);

/* ---- pending ---- */

static inline uint32_t cpu_pending(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->pending, __ATOMIC_ACQUIRE);
}

static inline uint32_t cpu_lines(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->lines, __ATOMIC_ACQUIRE);
}

void cpu_pending_set(Cpu *cpu, uint32_t bits);          /* any thread; wakes a sleeper */
static inline void cpu_pending_clear(Cpu *cpu, uint32_t bits)
{
    __atomic_fetch_and(&cpu->pending, ~bits, __ATOMIC_ACQ_REL);
}
/* An IrqHandler: n is the bit's number (0: CPU_IRQ, 1: CPU_FIQ ...), opaque the Cpu. */
void cpu_line(void *cpu, int n, int level);

/* ---- accelerators ---- */

struct AccelType {
    const char *name, *desc;                            /* "tcg" */
    const Prop *props;                                  /* of Accel's own struct: tb-size, thread ... */
    size_t size;
    /* Can it run this machine? One sentence why not. */
    bool (*available)(Error **errp);
    bool (*init)(Machine *m, void *accel, Error **errp);
    void (*exit)(Machine *m, void *accel);
    bool (*cpu_init)(Cpu *cpu, Error **errp);           /* main thread, at realize */
    void (*cpu_exit)(Cpu *cpu);
    /* On the vCPU's thread: runs until an EXIT bit of pending is set, the CPU halts or is powered off, or the debugger
     * stops it (exit_code). Clears the bits it handles itself (KICK, FLUSH); leaves PAUSE, WORK, RESET to its caller. */
    void (*run)(Cpu *cpu);
    /* ICOUNT: run at most `insns`; returns how many retired. Called on one thread for all vCPUs in turn. */
    uint64_t (*run_count)(Cpu *cpu, uint64_t insns);
    /* State was changed from outside (reset, load, debugger): drop what was derived. vCPU parked. */
    void (*state_changed)(Cpu *cpu);
    /* A sleeping or parked vCPU is about to run: apply what was posted meanwhile. Own thread. */
    void (*wake)(Cpu *cpu);
    void (*info_jit)(Machine *m, GString *out);
    /* gdb: any number; vCPUs parked. kind: 0 software, 1 hardware, 2 write, 3 read, 4 access watch. */
    bool (*break_insert)(Machine *m, int kind, vaddr addr, uint64_t len, Error **errp);
    bool (*break_remove)(Machine *m, int kind, vaddr addr, uint64_t len);
    void (*break_clear)(Machine *m);
    /* With exit_code CPU_STOP_WATCHPOINT: the address. */
    vaddr (*watch_hit)(Cpu *cpu, int *kind);
};
#define ACCEL_TYPE(row) ROW_IN_SECTION(rhea_accel_types, AccelType, row)
const AccelType *accel_type_find(const char *name);
/* Says so, with what to use instead; false. */
bool accel_type_unknown(const char *name, Error **errp);
void accel_types_foreach(void (*fn)(const AccelType *t, void *data), void *data);

/* ---- run control ---- */

void vcpu_start_all(Machine *m);                        /* makes the threads; they park until the machine runs */
void vcpu_stop_all(Machine *m);                         /* ends and joins them */
void vcpu_kick(Cpu *cpu);                               /* CPU_EXIT_KICK: leave run() soon, wake from sleep and look again */
void vcpu_pause_all(Machine *m);
void vcpu_resume_all(Machine *m);
bool vcpu_all_parked(Machine *m);
/* Run fn on cpu's thread at a block boundary. _run_on waits (no device lock held; at once when called on that thread or when it
 * is parked: then on the caller's); _post does not. */
typedef void VcpuWork(Cpu *cpu, void *data);
void vcpu_run_on(Cpu *cpu, VcpuWork *fn, void *data);
void vcpu_post(Cpu *cpu, VcpuWork *fn, void *data);
/* fn once, with every other vCPU parked: page-crossing atomics, whole-cache flushes. Callable from a vCPU's thread between blocks or
 * from its slow path, or from any other thread; no device lock held. */
void vcpu_exclusive(Machine *m, void (*fn)(void *data), void *data);
/* Around a wait for another thread on a vCPU's thread (not for device locks): meanwhile it counts as parked. */
void vcpu_wait_begin(Cpu *cpu);
void vcpu_wait_end(Cpu *cpu);
Cpu *vcpu_current(void);                                /* NULL off vCPU threads */
void vcpu_power_on(Cpu *cpu, uint64_t entry, uint64_t context);
void vcpu_power_off(Cpu *cpu);                          /* on its own thread, or parked */
/*
 * From a device's function on a vCPU: this vCPU leaves its code soon after this instruction and does not go on until vcpu_release()
 * (any thread, locks held) was called as often.  Meanwhile it can be paused and saved like one that sleeps.  Not under ICOUNT.
 */
void vcpu_hold(Cpu *cpu);
void vcpu_release(Cpu *cpu);

#endif
