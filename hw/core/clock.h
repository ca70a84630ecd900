/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock of a machine, and timers on it.
 *
 * Guest time is a value in nanoseconds since power-on; nothing in a machine
 * reads the host's clock.  Modes:
 *
 *   CLOCK_HOST     runs with the host's monotonic clock while the machine runs,
 *                  stands while it is paused.  A thread (vm/clock) sleeps until
 *                  the earliest deadline and runs the callbacks.
 *   CLOCK_ICOUNT   one instruction is 2^shift ns.  The accelerator asks for the
 *                  budget, runs that many instructions, reports them and calls
 *                  clock_run(): callbacks happen at exact counts on the thread
 *                  that runs the vCPUs.
 *   CLOCK_FROZEN   stands but for clock_step(): tests, and single stepping.
 *
 * Timers are plain fields of device state (STATE_TIMER), one-shot, re-armed by
 * their callback when periodic.  A callback runs with the timer's lock held
 * (its device's; NULL: none) and may arm, disarm, raise lines and do DMA.
 * timer_mod and timer_del may be called with or without that lock, from any
 * thread; after timer_del under the lock the callback does not run.
 */
#ifndef HW_CORE_CLOCK_H
#define HW_CORE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "migration/state.h"

typedef struct Clock Clock;
typedef struct Timer Timer;

typedef enum { CLOCK_HOST, CLOCK_ICOUNT, CLOCK_FROZEN } ClockMode;
typedef void TimerFn(void *opaque);

#define NS_PER_US 1000ll
#define NS_PER_MS 1000000ll
#define NS_PER_S  1000000000ll
#define TIMER_NEVER INT64_MAX

/* Embedded in a device's state; zeroed memory is not a timer: timer_init first (realize). */
struct Timer {
    int64_t expires;            /* TIMER_NEVER: not armed */
    TimerFn *fn;
    void *opaque;
    pthread_mutex_t *lock;
    Clock *clock;
    int32_t heap_index;         /* -1: not queued */
    uint64_t seq;               /* equal deadlines fire in the order of arming */
};

extern const StateKind state_kind_timer;
/* Saved as deadline; reset disarms. */
#define STATE_TIMER(S, f, ...) STATE_KIND(S, f, state_kind_timer, __VA_ARGS__)

Clock *clock_new(ClockMode mode, const char *name);     /* stands at 0, not running */
void clock_free(Clock *c);
ClockMode clock_mode(const Clock *c);
int64_t clock_now(Clock *c);                /* any thread; lock-free */
/* The machine starts or stops; CLOCK_HOST's thread fires nothing while stopped. Idempotent. */
void clock_start(Clock *c);
void clock_stop(Clock *c);                  /* returns when no callback is running */
bool clock_running(const Clock *c);
void clock_set(Clock *c, int64_t now);      /* stopped: after a load */

void timer_init(Timer *t, Clock *c, TimerFn *fn, void *opaque, pthread_mutex_t *lock);
void timer_mod(Timer *t, int64_t expires);  /* absolute ns; in the past: fires at once, from the clock's thread */
void timer_del(Timer *t);
void timer_fini(Timer *t);                  /* disarms and waits for a running callback; no lock held */
static inline bool timer_armed(const Timer *t)
{
    return __atomic_load_n(&t->expires, __ATOMIC_RELAXED) != TIMER_NEVER;
}

int64_t clock_deadline(Clock *c);           /* earliest, or TIMER_NEVER */
/* Run what is due at clock_now(); ICOUNT's vCPU thread and tests.  Number of callbacks. */
unsigned clock_run(Clock *c);
/* FROZEN (and stopped others): advance by ns, firing each timer at its own time on the way. */
void clock_step(Clock *c, int64_t ns);

/* ---- instruction-driven ---- */
void clock_icount_set_shift(Clock *c, unsigned shift);
unsigned clock_icount_shift(const Clock *c);
/* Instructions until the earliest deadline, at most `most`, 0 when one is due now. */
uint64_t clock_icount_budget(Clock *c, uint64_t most);
void clock_icount_advance(Clock *c, uint64_t insns);
/* Instructions of the running slice that have retired so far and are not yet reported: clock_now() counts them.  The accelerator
 * keeps it true when a routine may ask for the time; _advance() sets it to 0. */
void clock_icount_progress(Clock *c, uint64_t insns);
uint64_t clock_icount_total(const Clock *c);
/*
 * Guest time keeps pace with the host's.  AUTO: the time of an instruction (1 to 1024 ns, powers of two) follows the host's speed.
 * ALIGN: it is fixed, and where it is ahead of the host's the caller sleeps.  Runs are not repeatable then.
 */
typedef enum { PACE_NONE, PACE_AUTO, PACE_ALIGN } ClockPace;
void clock_icount_set_pace(Clock *c, ClockPace pace);
/* The vCPU thread, between rounds, at host time `host` (ns of CLOCK_MONOTONIC): nanoseconds to sleep, 0 for none. */
int64_t clock_icount_pace(Clock *c, int64_t host);
int64_t clock_host_now(void);

/* All vCPUs sleep: time goes to the next deadline; with `sleep` not before the host has waited as long.  False: no deadline. */
bool clock_icount_idle(Clock *c, bool sleep);

/* a * b / c without overflow of the product: ticks and nanoseconds. */
static inline uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
