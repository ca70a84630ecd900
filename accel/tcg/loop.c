/* SPDX-License-Identifier: MIT */
/* The run loop: find code, run it, deal with why it left. */
#include <assert.h>
#include <sched.h>
#include <time.h>

#include "accel/tcg/tcg-priv.h"
#include "util/log.h"

/* ---- finding code ---- */

static void remember_in(JumpSet *set, vaddr pc, Block *b)
{
    unsigned i = jump_index(pc);

    set->entry[i] = (JumpEntry){ pc, b->tb.entry };
    if (set->nfilled < G_N_ELEMENTS(set->filled)) {
        set->filled[set->nfilled] = (uint16_t)i;
    }
    set->nfilled += set->nfilled <= G_N_ELEMENTS(set->filled);
}

/* The key of the block at pc: TcgCpuOps.landing_key. */
static uint64_t key_at(TcgVcpu *v, const PageCode *p, vaddr pc, unsigned landing, bool guarded)
{
    uint32_t off = pc & 0xfff;

    return G_UNLIKELY(landing | guarded) ? v->ops->landing_key(v->key, landing, p->host + off, off, guarded) : v->key;
}

/* Does a jump with IR_LANDING get another block here, though nothing is guarded?  No cache knows then how it was come here. */
static bool landing_matters(TcgVcpu *v, const PageCode *p, vaddr pc)
{
    return v->ops->landing_key && v->ops->landing_key(v->key, 1, p->host + (pc & 0xfff), pc & 0xfff, false) != v->key;
}

/* Jumps with IR_LANDING share a cache with others until a page is guarded; from then on one holds what all of its kinds may reach. */
static void remember(TcgVcpu *v, const PageCode *p, vaddr pc, Block *b, unsigned landing, bool guarded)
{
    JumpTable *j = v->jump;

    if (landing && (b->variant != VAR_NORMAL || b->key != key_at(v, p, pc, 0, guarded))) {
        return;
    }
    if (!j->landing[0] && landing_matters(v, p, pc)) {
        return;
    }
    if (!landing || !j->landing[0]) {
        j->block[jump_index(pc)] = b;
        remember_in(&j->plain, pc, b);
    } else if (landing == 3 || b->key == key_at(v, p, pc, 3 - landing, guarded)) {
        remember_in(j->landing[landing == 3], pc, b);
    }
}

static void fetch_failed(TcgVcpu *v, vaddr pc, const Span *s)
{
    v->env->fault_ra = NULL;
    if (s->region) {
        v->ops->raise_bus(v->cpu, pc, s->pa, ACC_FETCH, 0);
    } else {
        v->ops->raise_fault(v->cpu, pc, ACC_FETCH, 0, 0);
    }
}

/* The block at env->pc, or NULL with env->exc set. */
static Block *block_get(TcgVcpu *v)
{
    vaddr pc = v->env->pc;
    unsigned landing = v->env->landing;
    uint32_t variant = v->st->breaks->len || v->own & 1 ? debug_variant(v, pc) : v->one ? VAR_ONE : VAR_NORMAL;
    Span s;
    PageCode *p = tlb_exec(v, pc, &s);
    uint64_t key;
    Block *b;

    v->count.lookups++;
    if (!p) {
        fetch_failed(v, pc, &s);
        return NULL;
    }
    key = key_at(v, p, pc, landing, s.guarded);
    b = block_find(p, v->unit, pc & 0xfff, key, variant);
    if (b && b->checked && !(__atomic_load_n(&p->hot, __ATOMIC_RELAXED) && block_unchanged(b))) {
        block_drop(p, b);
        b = NULL;
    }
    if (!b) {
        b = block_translate(v, p, pc, key, variant);
    }
    if (!b->checked && variant != VAR_ONE) {
        remember(v, p, pc, b, landing, s.guarded);
    }
    return b;
}

static Block *next_block(TcgVcpu *v)
{
    unsigned i = jump_index(v->env->pc);

    if (v->jump->plain.entry[i].pc == v->env->pc && !v->one && !v->env->landing) {
        return v->jump->block[i];
    }
    return block_get(v);
}

/* ---- leaving ---- */

static void give_back(TcgVcpu *v)
{
    if (v->left_ninsns) {
        v->env->budget += v->left_ninsns - v->begun;
    }
}

/* The exception in env->exc.  An instruction that was not completed counts too, else a handler that can not be
 * fetched would take no time, and the slice would never end. */
static void take(TcgVcpu *v, bool counted)
{
    uint32_t none = v->ops->exc_none;

    if (v->st->icount && !counted && v->env->exc != none) {
        v->env->budget--;
    }
    v->ops->deliver(v->cpu);
    mode_update(v);
}

static void exception(TcgVcpu *v)
{
    TcgEnv *env = v->env;
    bool counted;

    tcg_restore_here(v->cpu);
    give_back(v);
    counted = !v->left_ninsns;
    v->left_ninsns = 0;
    if (env->exc == TCG_EXC_RETRY) {
        env->exc = 0;
        return;
    }
    v->count.exc++;
    if (env->exc == TCG_EXC_RAISE) {
        env->exc = 0;
        v->ops->raise_code(v->cpu, (int64_t)env->exit_arg);
    }
    if (env->exc) {
        take(v, counted);
    }
    mode_update(v);
}

static void mxcsr_in(TcgVcpu *v)
{
    v->env->guest_mxcsr = v->ops->mxcsr_from_guest(v->cpu);
}

static void mxcsr_out(TcgVcpu *v)
{
    v->ops->mxcsr_to_guest(v->cpu, v->env->guest_mxcsr);
}

/* Time may have a nearer deadline now: the rest of the slice must not run past it. */
static void cut_slice(TcgVcpu *v)
{
    if (v->st->icount && v->env->budget > 0) {
        uint64_t left;

        clock_icount_progress(v->st->m->clock, (uint64_t)(v->slice - v->env->budget));
        left = clock_icount_budget(v->st->m->clock, (uint64_t)v->env->budget);
        v->slice -= v->env->budget - (int64_t)left;
        v->env->budget = (int64_t)left;
    }
}

/* Masks may have changed: what attend() dropped counts again. */
static void lines_back(Cpu *cpu)
{
    uint32_t lines = cpu_lines(cpu), gone;

    if (lines) {
        __atomic_fetch_or(&cpu->pending, lines, __ATOMIC_SEQ_CST);
        gone = lines & ~cpu_lines(cpu);
        if (gone) {
            cpu_pending_clear(cpu, gone);
        }
    }
}

/* True: go on. */
static bool leave(TcgVcpu *v)
{
    Cpu *cpu = v->cpu;

    lines_back(cpu);

    mxcsr_out(v);
    mxcsr_in(v);
    mode_update(v);
    cut_slice(v);
    switch ((IrLeave)v->env->exit_arg) {
    case IR_LEAVE_MODE:
        return true;
    case IR_LEAVE_HALT:
        cpu->halted = !v->ops->has_work(cpu);
        return !cpu->halted;
    case IR_LEAVE_YIELD:
        if (v->st->icount) {
            return false;
        }
        if (v->st->vcpus->len > 1) {
            sched_yield();
        }
        return true;
    case IR_LEAVE_DEBUG:
        cpu->exit_code = CPU_STOP_BREAKPOINT;
        return false;
    }
    return true;
}

static void follow_link(TcgVcpu *v)
{
    uint64_t evictions = v->st->evictions;
    TcgLink *l = v->env->exit_link;
    Block *to;

    if (v->one || (v->st->icount && v->env->budget <= 0)) {
        return;
    }
    to = next_block(v);
    if (to && evictions == v->st->evictions) {
        block_link(v, l, to);
    }
    if (!to) {
        take(v, false);
    }
}

/* A jump with IR_LANDING that found its target in a cache and the target killed: it is looked up again as that jump. */
static void forget_landing(TcgVcpu *v, unsigned i)
{
    for (unsigned k = 0; k < 2; k++) {
        JumpEntry *j = v->jump->landing[k]->entry;

        if (j[i].pc == v->env->pc) {
            jump_clear_entry(j, i);
            v->env->landing = v->env->exit_arg == (uintptr_t)&j[i] ? (k ? 3 : 1) : v->env->landing;
        }
    }
}

static void forget_jump(TcgVcpu *v)
{
    unsigned i = jump_index(v->env->pc);

    v->count.stale++;
    if (v->jump->plain.entry[i].pc == v->env->pc) {
        jump_clear_entry(v->jump->plain.entry, i);
    }
    if (v->jump->landing[0]) {
        forget_landing(v, i);
    }
    tcg_env_flush_ring(v->env);
}

/* The budget is used up: under host time the target wanted to hear of it. */
static bool insns_due(TcgVcpu *v)
{
    if (v->st->icount) {
        return false;
    }
    v->ops->insns_due(v->cpu);
    mode_update(v);
    return true;
}

/* A block came back. True: go on. */
static bool handle(TcgVcpu *v, TcgExit why, bool was_one)
{
    v->count.exits[why]++;
    switch (why) {
    case TCG_EXIT_LOOKUP:
    case TCG_EXIT_PENDING:
        return true;
    case TCG_EXIT_LINK:
        if (!was_one) {
            follow_link(v);
        }
        return true;
    case TCG_EXIT_EXC:
        exception(v);
        return true;
    case TCG_EXIT_LEAVE:
        return leave(v);
    case TCG_EXIT_BUDGET:
        v->one = v->env->budget > 0;
        return v->one || insns_due(v);
    case TCG_EXIT_STALE:
        forget_jump(v);
        return true;
    }
    return true;
}

/* ---- running ---- */

/* One entry into generated code. True: go on. */
static bool run_once(TcgVcpu *v)
{
    TcgEnv *env = v->env;
    bool was_one = v->one, watch = v->watch_stop, on;
    Block *b = next_block(v);
    uint32_t landing = env->landing;
    vaddr pc = env->pc;
    TcgExit why;

    v->one = false;
    if (!b) {
        take(v, false);
        return true;
    }
    v->watch_off = watch;
    env->landing = 0;
    env->page_base = env->pc & ~0xfffull;
    __atomic_store_n(&v->in_code, true, __ATOMIC_RELEASE);
    why = tcg_enter(env, v->unit->code, &b->tb);
    __atomic_store_n(&v->in_code, false, __ATOMIC_RELEASE);
    v->watch_off = false;
    if (landing && env->pc == pc && b->variant >= VAR_BREAK && (why == TCG_EXIT_EXC ? env->exc == TCG_EXC_RAISE : why == TCG_EXIT_LEAVE && env->exit_arg == IR_LEAVE_DEBUG)) {
        env->landing = landing;             /* a breakpoint: the instruction has not begun */
    }
    on = handle(v, why, was_one);
    if (was_one && why != TCG_EXIT_STALE) {
        cut_slice(v);
        if (watch && v->watch_stop) {
            v->watch_stop = false;
            v->cpu->exit_code = CPU_STOP_WATCHPOINT;
            return false;
        }
    }
    v->one |= was_one && why == TCG_EXIT_STALE;
    return on;
}

static bool stepped(TcgVcpu *v)
{
    if (v->cpu->single_step & CPU_STEP && !v->one) {
        v->cpu->exit_code = CPU_STOP_STEP;
        return true;
    }
    return false;
}

/* Attention is wanted. True: go on. */
static bool attend(TcgVcpu *v, uint32_t pending, uint32_t stops)
{
    Cpu *cpu = v->cpu;

    if (pending & CPU_EXIT_FLUSH) {
        flush_drain(v);
    }
    if (pending & stops) {
        return false;
    }
    if (!(pending & CPU_LINES)) {
        return true;
    }
    if (!(cpu->single_step & CPU_STEP_NO_IRQ) && v->ops->take_irq(cpu)) {
        v->count.irq++;
        mode_update(v);
    }
    cpu_pending_clear(cpu, pending & CPU_LINES);        /* masked now */
    return true;
}

static void begin(TcgVcpu *v)
{
    v->cpu->exit_code = CPU_STOP_NONE;
    v->env->exc = 0;
    v->env->fault_ra = NULL;
    v->left_ninsns = 0;
    lines_back(v->cpu);
    mxcsr_in(v);
    mode_update(v);
}

static void run_multi(TcgVcpu *v)
{
    Cpu *cpu = v->cpu;

    begin(v);
    do {
        uint32_t pending = cpu_pending(cpu);

        if (G_UNLIKELY(pending) && !attend(v, pending, CPU_EXITS & ~(uint32_t)CPU_EXIT_FLUSH)) {
            break;
        }
        if (G_UNLIKELY(cpu->single_step & CPU_STEP)) {
            v->one = true;
        }
    } while (run_once(v) && !stepped(v));
    cpu_pending_clear(cpu, CPU_EXIT_KICK);
    mxcsr_out(v);
}

/* ---- one at a time under host time (thread=single) ---- */

static void turn_begin(TcgVcpu *v)
{
    TcgState *st = v->st;
    struct timespec until;

    vcpu_wait_begin(v->cpu);
    do {
        TcgVcpu *other = __atomic_load_n(&st->turn_of, __ATOMIC_ACQUIRE);

        if (other) {
            vcpu_kick(other->cpu);                      /* its time is over */
        }
        tcg_deadline_in(&until, 2000000);
    } while (pthread_mutex_timedlock(&st->turn, &until) != 0);
    __atomic_store_n(&st->turn_of, v, __ATOMIC_RELEASE);
    vcpu_wait_end(v->cpu);
    flush_drain(v);
}

static void turn_end(TcgVcpu *v)
{
    __atomic_store_n(&v->st->turn_of, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&v->st->turn);
    sched_yield();
}

void tcg_run(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);

    if (v->st->thread == TCG_THREAD_SINGLE && v->st->vcpus->len > 1) {
        turn_begin(v);
        run_multi(v);
        turn_end(v);
    } else {
        run_multi(v);
    }
}

uint64_t tcg_run_count(Cpu *cpu, uint64_t insns)
{
    TcgVcpu *v = vcpu_of(cpu);
    uint32_t later = 0;

    flush_drain(v);
    v->slice = v->env->budget = (int64_t)insns;
    begin(v);
    do {
        uint32_t pending = cpu_pending(cpu);

        if (pending & CPU_EXITS & ~(uint32_t)(CPU_EXIT_FLUSH | CPU_EXIT_DEBUG)) {
            /* the host's wishes wait for the end of the slice: counts depend on the guest alone */
            later |= pending & CPU_EXITS & ~(uint32_t)(CPU_EXIT_FLUSH | CPU_EXIT_DEBUG);
            cpu_pending_clear(cpu, later);
        }
        if (pending && !attend(v, pending, CPU_EXIT_DEBUG)) {
            break;
        }
        if (G_UNLIKELY(cpu->single_step & CPU_STEP)) {
            v->one = true;
        }
    } while (!cpu->power_off && run_once(v) && v->env->budget > 0 && !stepped(v));
    if (later) {
        __atomic_fetch_or(&cpu->pending, later, __ATOMIC_SEQ_CST);
    }
    mxcsr_out(v);
    insns = (uint64_t)(v->slice - v->env->budget);
    cpu->clock_count += insns;
    v->slice = v->env->budget = 0;
    return insns;
}

/* Charged at the head of the block that calls a routine, and not begun yet. */
static int64_t not_begun(TcgVcpu *v)
{
    const void *ra = v->env->fault_ra;
    Block *b = ra ? block_of_ra(v, ra) : NULL;
    unsigned begun = 0;

    if (!b || !b->counted) {
        return 0;
    }
    tcg_restore(v->env, v->unit->code, &b->tb, &begun);
    v->env->fault_ra = ra;
    return (int64_t)b->tb.ninsns - begun;
}

uint64_t tcg_insns(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);
    uint64_t before = v->st->icount ? cpu->clock_count : v->insns;

    return before + (uint64_t)(v->slice - v->env->budget - not_begun(v));
}

void tcg_insns_limit(Cpu *cpu, uint64_t n)
{
    TcgVcpu *v = vcpu_of(cpu);
    int64_t charged;

    if (v->st->icount) {
        return;
    }
    charged = not_begun(v);
    v->insns = tcg_insns(cpu);
    v->slice = n < INT64_MAX / 2 ? (int64_t)n : INT64_MAX / 2;
    v->env->budget = v->slice - charged;
}

void tcg_sync_time(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);

    if (v->st->icount) {
        int64_t done = v->slice - v->env->budget - not_begun(v);

        clock_icount_progress(v->st->m->clock, (uint64_t)MAX(done, 0));
    }
}

void tcg_state_changed(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);

    flush_post(v, &(FlushRec){ .kind = REC_NEW });
    v->own = v->ops->debug_armed ? v->ops->debug_armed(cpu) : 0;
    v->nown = 0;
    v->one = v->watch_stop = false;
    tcg_monitor_clear(cpu);
}

void tcg_wake(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);

    if (cpu_pending(cpu) & CPU_EXIT_FLUSH) {
        flush_drain(v);
    }
    if (mem_dirty_logging(v->st->m->mem) != DIRTY_MASK(DIRTY_CODE)) {
        ctx_record(v, &(FlushRec){ .kind = REC_STORES });       /* a log may have been read while this one was parked */
    }
}
