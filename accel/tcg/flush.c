/* SPDX-License-Identifier: MIT */
/*
 * Flushes.  One's own take effect at once.  Those for others are put into
 * their mailbox, the vCPU sees CPU_EXIT_FLUSH at its next back-edge, applies
 * them and acknowledges; one that does not run has acknowledged, because it
 * reads its mailbox before it runs again.
 */
#include <assert.h>
#include <sched.h>

#include "accel/tcg/tcg-priv.h"

void flush_apply(TcgVcpu *v, FlushRec *r)
{
    switch (r->kind) {
    case REC_ALL:
    case REC_NEW:
        v->count.flush_all++;
        l2_flush_all(v);
        break;
    case REC_ASID:
        v->count.flush_asid++;
        l2_flush_asid(v, (uint16_t)r->asid);
        break;
    case REC_RANGE:
        v->count.flush_range++;
        if (!l2_flush_range(v, &r->va, &r->len)) {
            r->kind = REC_ALL;
        }
        break;
    case REC_CODE:
    case REC_STORES:
        break;                                          /* the second level knows nothing of these */
    }
    ctx_record(v, r);
}

void flush_drain(TcgVcpu *v)
{
    FlushRec mail[MAILBOX];
    unsigned n;
    uint64_t seq;
    bool all, new;

    cpu_pending_clear(v->cpu, CPU_EXIT_FLUSH);
    pthread_mutex_lock(&v->mail_lock);
    n = v->nmail;
    all = v->mail_all;
    new = v->mail_new;
    seq = v->posted;
    for (unsigned i = 0; i < n; i++) {
        mail[i] = v->mail[i];
    }
    v->nmail = 0;
    v->mail_all = v->mail_new = false;
    pthread_mutex_unlock(&v->mail_lock);
    if (all) {
        flush_apply(v, &(FlushRec){ .kind = new ? REC_NEW : REC_ALL });
        ctx_record(v, &(FlushRec){ .kind = REC_STORES });
    }
    for (unsigned i = 0; i < n && !all; i++) {
        flush_apply(v, &mail[i]);
    }
    exec_check(v);
    __atomic_store_n(&v->acked, seq, __ATOMIC_RELEASE);
}

void flush_post(TcgVcpu *to, const FlushRec *r)
{
    pthread_mutex_lock(&to->mail_lock);
    to->mail_new |= r->kind == REC_NEW;
    if (to->nmail < MAILBOX) {
        to->mail[to->nmail++] = *r;
    } else {
        to->mail_all = true;                            /* REC_ALL or REC_NEW, and REC_STORES, cover every kind */
    }
    __atomic_store_n(&to->posted, to->posted + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&to->mail_lock);
    if (!(cpu_pending(to->cpu) & CPU_EXIT_FLUSH)) {
        __atomic_fetch_or(&to->cpu->pending, CPU_EXIT_FLUSH, __ATOMIC_SEQ_CST);        /* a sleeper is not woken: it looks when it wakes */
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void flush_post_all(TcgState *st, const FlushRec *r)
{
    for (unsigned i = 0; i < st->vcpus->len; i++) {
        flush_post(g_ptr_array_index(st->vcpus, i), r);
    }
}

void flush_broadcast(TcgVcpu *v, const FlushRec *r)
{
    for (unsigned i = 0; i < v->st->vcpus->len; i++) {
        TcgVcpu *to = g_ptr_array_index(v->st->vcpus, i);

        if (to != v && v->st->icount) {                 /* its thread is this one */
            FlushRec copy = *r;

            flush_apply(to, &copy);
        } else if (to != v) {
            flush_post(to, r);
            v->ticket[i] = __atomic_load_n(&to->posted, __ATOMIC_RELAXED);
            v->tickets = true;
            v->count.posted++;
        }
    }
}

static bool heard(TcgVcpu *to, uint64_t ticket)
{
    return __atomic_load_n(&to->acked, __ATOMIC_ACQUIRE) >= ticket || __atomic_load_n(&to->cpu->where, __ATOMIC_SEQ_CST) != VCPU_RUNNING;
}

static bool all_heard(TcgVcpu *v)
{
    for (unsigned i = 0; i < v->st->vcpus->len; i++) {
        TcgVcpu *to = g_ptr_array_index(v->st->vcpus, i);

        if (v->ticket[i] && !heard(to, v->ticket[i])) {
            return false;
        }
        v->ticket[i] = 0;
    }
    return true;
}

void flush_wait(TcgVcpu *v)
{
    if (!v->tickets) {
        return;
    }
    v->tickets = false;
    if (all_heard(v)) {
        return;
    }
    v->count.waits++;
    vcpu_wait_begin(v->cpu);
    for (unsigned spins = 0; !all_heard(v); spins++) {
        if (spins < 200) {
            __builtin_ia32_pause();
        } else {
            sched_yield();
        }
    }
    vcpu_wait_end(v->cpu);
    flush_drain(v);                                     /* what came while this one counted as stopped */
}

/* ---- what targets call ---- */

static void flush_here(Cpu *cpu, FlushRec r)
{
    flush_apply(vcpu_of(cpu), &r);
    exec_check(vcpu_of(cpu));
}

static void flush_everywhere(Cpu *cpu, FlushRec r)
{
    TcgVcpu *v = vcpu_of(cpu);

    flush_broadcast(v, &r);
    flush_apply(v, &r);
    exec_check(v);
}

static FlushRec range(vaddr va, uint64_t len, int asid)
{
    vaddr end = va + len;

    va &= ~0xfffull;
    return (FlushRec){ .kind = REC_RANGE, .va = va, .len = ((end - va) + 0xfff) & ~0xfffull, .asid = asid };
}

void tcg_flush_all(Cpu *cpu) { flush_here(cpu, (FlushRec){ .kind = REC_ALL }); }
void tcg_flush_asid(Cpu *cpu, uint16_t asid) { flush_here(cpu, (FlushRec){ .kind = REC_ASID, .asid = asid }); }
void tcg_flush_range(Cpu *cpu, vaddr va, uint64_t len, int asid) { flush_here(cpu, range(va, len, asid)); }
void tcg_flush_all_broadcast(Cpu *cpu) { flush_everywhere(cpu, (FlushRec){ .kind = REC_ALL }); }
void tcg_flush_asid_broadcast(Cpu *cpu, uint16_t asid) { flush_everywhere(cpu, (FlushRec){ .kind = REC_ASID, .asid = asid }); }
void tcg_flush_range_broadcast(Cpu *cpu, vaddr va, uint64_t len, int asid) { flush_everywhere(cpu, range(va, len, asid)); }
void tcg_flush_wait(Cpu *cpu) { flush_wait(vcpu_of(cpu)); }
