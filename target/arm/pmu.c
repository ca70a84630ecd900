/* SPDX-License-Identifier: MIT */
/*
 * Performance monitors: PMUv3, Arm ARM (DDI 0487), D13.
 *
 * A cycle counter (a cycle is a nanosecond of the machine's clock) and six event counters of 32 bits.  Between looks the
 * registers hold the counts as of `pmu.cycles` and `pmu.insns`, and by_cycles and by_insns say which counters run in
 * this mode.  A change of mode or of a register takes a look and sets the next moment: a timer for cycles, the
 * accelerator's limit for instructions.  The timer's thread counts cycles only; the lock is that of the generic timers.
 */
#include "target/arm/cpu.h"

#include "hw/core/machine.h"
#include "target/arm/sysreg-hooks.h"

enum { COUNTERS = A64_PMU_COUNTERS, CYCLE = 31, ALL = 1u << CYCLE | ((1u << COUNTERS) - 1) };
enum { EV_SW_INCR = 0x00, EV_INST_RETIRED = 0x08, EV_CPU_CYCLES = 0x11, EV_CHAIN = 0x1e };
enum { PMCR_E = 1, PMCR_P = 2, PMCR_C = 4, PMCR_LC = 1 << 6 };
#define FILTER_EL1 (1u << 31)
#define FILTER_EL0 (1u << 30)
#define EVENT 0x3ff

const uint64_t a64_pmu_events = 1 << EV_SW_INCR | 1 << EV_INST_RETIRED | 1 << A64_EVENT_EXC_TAKEN | 1 << A64_EVENT_EXC_RETURN | 1 << EV_CPU_CYCLES | 1 << EV_CHAIN;

/* PMEVCNTR0, PMEVTYPER0, PMEVCNTR1 ... are neighbours; the cycle counter has registers of its own. */
static uint64_t *value_of(A64Cpu *c, unsigned n)
{
    return &c->sys[n == CYCLE ? SR_PMCCNTR_EL0 : SR_PMEVCNTR0_EL0 + 2 * n];
}

static uint64_t *type_of(A64Cpu *c, unsigned n)
{
    return &c->sys[n == CYCLE ? SR_PMCCFILTR_EL0 : SR_PMEVTYPER0_EL0 + 2 * n];
}

static unsigned event_of(A64Cpu *c, unsigned n)
{
    return n == CYCLE ? EV_CPU_CYCLES : *type_of(c, n) & EVENT;
}

static bool runs(A64Cpu *c, unsigned n)
{
    return c->sys[SR_PMCR_EL0] & PMCR_E && c->sys[SR_PMCNTENSET_EL0] >> n & 1 && !(*type_of(c, n) & (c->el ? FILTER_EL1 : FILTER_EL0));
}

/* An odd counter may count the overflows of the even one below it. */
static void overflowed(A64Cpu *c, unsigned n)
{
    c->sys[SR_PMOVSSET_EL0] |= 1u << n;
    if (n < COUNTERS && !(n & 1) && event_of(c, n + 1) == EV_CHAIN && runs(c, n + 1)) {
        uint64_t *next = value_of(c, n + 1);

        *next = (uint32_t)(*next + 1);
        c->sys[SR_PMOVSSET_EL0] |= *next ? 0 : 2u << n;
    }
}

static void add(A64Cpu *c, unsigned n, uint64_t delta)
{
    uint64_t *val = value_of(c, n), sum = *val + delta;
    bool over = n == CYCLE ? sum < delta : sum >> 32;

    *val = n == CYCLE ? sum : (uint32_t)sum;
    if (over) {
        overflowed(c, n);
    }
}

static void look_at_cycles(A64Cpu *c)
{
    uint64_t now = (uint64_t)clock_now(c->cpu.machine->clock), delta = now - c->pmu.cycles;

    for (uint32_t left = c->pmu.by_cycles; left; left &= left - 1) {
        add(c, (unsigned)__builtin_ctz(left), delta);
    }
    c->pmu.cycles = now;
}

/* The processor's thread, or it is parked. */
static void look(A64Cpu *c)
{
    look_at_cycles(c);
    if (c->pmu.by_insns) {
        uint64_t now = tcg_insns(&c->cpu), delta = now - c->pmu.insns;

        for (uint32_t left = c->pmu.by_insns; left; left &= left - 1) {
            add(c, (unsigned)__builtin_ctz(left), delta);
        }
        c->pmu.insns = now;
    }
}

static void wire(A64Cpu *c)
{
    irq_set(&c->wire[ARM_WIRE_PMU], (c->sys[SR_PMOVSSET_EL0] & c->sys[SR_PMINTENSET_EL1]) && c->sys[SR_PMCR_EL0] & PMCR_E);
}

/* How far the first of these is from an overflow that somebody waits for. */
static uint64_t nearest(A64Cpu *c, uint32_t which)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t left = which & (uint32_t)c->sys[SR_PMINTENSET_EL1]; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        uint64_t rest = n == CYCLE ? -*value_of(c, n) : (1ull << 32) - *value_of(c, n);

        least = rest ? MIN(least, rest) : least;
    }
    return least;
}

/* A counter that chains asks for its lower half's overflow too. */
static uint64_t next_overflow(A64Cpu *c, uint32_t which)
{
    uint32_t odd = (uint32_t)c->sys[SR_PMINTENSET_EL1] & 0x2a & ((1u << COUNTERS) - 1);
    uint64_t least = nearest(c, which);

    for (uint32_t left = odd; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left) - 1;

        if (event_of(c, n + 1) == EV_CHAIN && which >> n & 1) {
            least = MIN(least, (1ull << 32) - *value_of(c, n));
        }
    }
    return least;
}

static void set_timer(A64Cpu *c, uint64_t ns)
{
    if (ns < 1ull << 60) {
        timer_mod(&c->pmu.timer, (int64_t)(c->pmu.cycles + ns));
    } else {
        timer_del(&c->pmu.timer);
    }
}

/* Under instruction-driven time a count of instructions is a time at least that far away. */
static uint64_t as_time(A64Cpu *c, uint64_t insns)
{
    Clock *clock = c->cpu.machine->clock;

    if (clock_mode(clock) != CLOCK_ICOUNT || insns >= 1ull << 40) {
        return UINT64_MAX;
    }
    return MAX(insns << clock_icount_shift(clock), 1u);
}

static void run_on(A64Cpu *c)
{
    uint64_t insns;

    c->pmu.el = c->el;
    c->pmu.by_cycles = c->pmu.by_insns = 0;
    for (unsigned n = 0; n <= CYCLE; n = n + 1 == COUNTERS ? CYCLE : n + 1) {
        unsigned ev = event_of(c, n);

        if (runs(c, n)) {
            c->pmu.by_cycles |= ev == EV_CPU_CYCLES ? 1u << n : 0;
            c->pmu.by_insns |= ev == EV_INST_RETIRED ? 1u << n : 0;
        }
    }
    c->pmu.on = c->sys[SR_PMCR_EL0] & PMCR_E && c->sys[SR_PMCNTENSET_EL0];
    insns = next_overflow(c, c->pmu.by_insns);
    if (c->pmu.by_insns && c->cpu.accel) {
        tcg_insns_limit(&c->cpu, insns);
        c->pmu.insns = tcg_insns(&c->cpu);
    }
    set_timer(c, MIN(next_overflow(c, c->pmu.by_cycles), as_time(c, insns)));
    wire(c);
}

void a64_pmu_sync(A64Cpu *c)
{
    if (a64_has(c, A64_FEAT_pmu) && c->cpu.accel) {
        tcg_sync_time(&c->cpu);
        pthread_mutex_lock(&c->timer_lock);
        look(c);
        run_on(c);
        pthread_mutex_unlock(&c->timer_lock);
    }
}

/* Registers are new (reset, restored): nothing has been counted since. */
void a64_pmu_begin(A64Cpu *c)
{
    if (a64_has(c, A64_FEAT_pmu) && c->cpu.machine) {
        pthread_mutex_lock(&c->timer_lock);
        c->pmu.by_cycles = c->pmu.by_insns = 0;
        look(c);
        run_on(c);
        pthread_mutex_unlock(&c->timer_lock);
    }
}

void a64_pmu_count(A64Cpu *c, unsigned event)
{
    pthread_mutex_lock(&c->timer_lock);
    for (unsigned n = 0; n < COUNTERS; n++) {
        if (runs(c, n) && event_of(c, n) == event) {
            add(c, n, 1);
        }
    }
    wire(c);
    pthread_mutex_unlock(&c->timer_lock);
}

static void fired(void *opaque)
{
    A64Cpu *c = opaque;

    look_at_cycles(c);
    if (c->pmu.by_insns && clock_mode(c->cpu.machine->clock) == CLOCK_ICOUNT) {
        look(c);                    /* no other thread runs the processor */
        set_timer(c, MIN(next_overflow(c, c->pmu.by_cycles), as_time(c, next_overflow(c, c->pmu.by_insns))));
    } else {
        set_timer(c, next_overflow(c, c->pmu.by_cycles));
    }
    wire(c);
}

void a64_pmu_init(A64Cpu *c)
{
    timer_init(&c->pmu.timer, c->cpu.machine->clock, fired, c, &c->timer_lock);
}

void a64_pmu_fini(A64Cpu *c)
{
    timer_fini(&c->pmu.timer);
}

/* ---- registers ---- */

/* PMUSERENR: EN everything, CR reading the cycle counter, ER reading event counters and choosing one, SW the increment register. */
bool pmu_allow(A64Cpu *c, const A64SysReg *r, bool read)
{
    uint64_t en = c->sys[SR_PMUSERENR_EL0];
    unsigned id = r - a64_sysregs;
    bool counter = id == SR_PMXEVCNTR_EL0 || (id >= SR_PMEVCNTR0_EL0 && id < SR_PMEVCNTR0_EL0 + 2 * COUNTERS && r->crm < 12);

    if (c->el != 0 || en & 1) {
        return true;
    }
    return (id == SR_PMCCNTR_EL0 && read && en & 4) || (id == SR_PMSWINC_EL0 && en & 2) || ((id == SR_PMSELR_EL0 || (counter && read)) && en & 8);
}

/* Counting goes on with the new value of a register. */
static void change(A64Cpu *c, uint64_t *reg, uint64_t val)
{
    tcg_sync_time(&c->cpu);
    pthread_mutex_lock(&c->timer_lock);
    look(c);
    *reg = val;
    run_on(c);
    pthread_mutex_unlock(&c->timer_lock);
    a64_mode_changed(c);            /* KEY_COUNT */
}

static uint64_t current(A64Cpu *c, const uint64_t *reg)
{
    a64_pmu_sync(c);
    return *reg;
}

void pmcr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    tcg_sync_time(&c->cpu);
    pthread_mutex_lock(&c->timer_lock);
    look(c);
    if (val & PMCR_C) {
        c->sys[SR_PMCCNTR_EL0] = 0;
    }
    for (unsigned n = 0; n < COUNTERS && val & PMCR_P; n++) {
        *value_of(c, n) = 0;
    }
    c->sys[SR_PMCR_EL0] = (c->sys[SR_PMCR_EL0] & ~0x29ull) | (val & 0x29);      /* DP, D, E */
    run_on(c);
    pthread_mutex_unlock(&c->timer_lock);
    a64_mode_changed(c);
}

static A64SysRegId pair_of(const A64SysReg *r)
{
    switch (r - a64_sysregs) {
    case SR_PMCNTENSET_EL0:
    case SR_PMCNTENCLR_EL0:
        return SR_PMCNTENSET_EL0;
    case SR_PMINTENSET_EL1:
    case SR_PMINTENCLR_EL1:
        return SR_PMINTENSET_EL1;
    default:
        return SR_PMOVSSET_EL0;
    }
}

static void pair_write(A64Cpu *c, const A64SysReg *r, uint64_t set, uint64_t clear)
{
    uint64_t *reg = &c->sys[pair_of(r)];

    tcg_sync_time(&c->cpu);
    pthread_mutex_lock(&c->timer_lock);
    look(c);
    *reg = (*reg & ~clear) | (set & ALL);
    run_on(c);
    pthread_mutex_unlock(&c->timer_lock);
    a64_mode_changed(c);
}

void pm_set_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    pair_write(c, r, val, 0);
}

void pm_clr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    pair_write(c, r, 0, val);
}

uint64_t pm_pair_read(A64Cpu *c, const A64SysReg *r)
{
    return current(c, &c->sys[pair_of(r)]);
}

void pmswinc_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    pthread_mutex_lock(&c->timer_lock);
    for (unsigned n = 0; n < COUNTERS; n++) {
        if (val >> n & 1 && runs(c, n) && event_of(c, n) == EV_SW_INCR) {
            add(c, n, 1);
        }
    }
    wire(c);
    pthread_mutex_unlock(&c->timer_lock);
}

uint64_t pm_value_read(A64Cpu *c, const A64SysReg *r)
{
    return current(c, &c->sys[r - a64_sysregs]);
}

void pmccntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    change(c, value_of(c, CYCLE), val);
}

void pmevcntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    change(c, &c->sys[r - a64_sysregs], (uint32_t)val);
}

void pmevtyper_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    change(c, &c->sys[r - a64_sysregs], val & (FILTER_EL1 | FILTER_EL0 | EVENT));
}

void pmccfiltr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    change(c, type_of(c, CYCLE), val & (FILTER_EL1 | FILTER_EL0));
}

/* The counter that PMSELR names; 31 is the cycle counter, for its filter only. */
static int selected(A64Cpu *c, bool filter)
{
    unsigned n = c->sys[SR_PMSELR_EL0] & 31;

    return n < COUNTERS || (n == CYCLE && filter) ? (int)n : -1;
}

uint64_t pmxevtyper_read(A64Cpu *c, const A64SysReg *r)
{
    int n = selected(c, true);

    (void)r;
    return n < 0 ? 0 : *type_of(c, (unsigned)n);
}

void pmxevtyper_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    int n = selected(c, true);

    (void)r;
    if (n >= 0) {
        change(c, type_of(c, (unsigned)n), val & (FILTER_EL1 | FILTER_EL0 | (n == CYCLE ? 0 : EVENT)));
    }
}

uint64_t pmxevcntr_read(A64Cpu *c, const A64SysReg *r)
{
    int n = selected(c, false);

    (void)r;
    return n < 0 ? 0 : current(c, value_of(c, (unsigned)n));
}

void pmxevcntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    int n = selected(c, false);

    (void)r;
    if (n >= 0) {
        change(c, value_of(c, (unsigned)n), (uint32_t)val);
    }
}
