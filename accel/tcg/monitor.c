/* SPDX-License-Identifier: MIT */
/*
 * Exclusive monitors for open forms, strict: a store of anybody else to the
 * 64-byte granule between the exclusive load and store breaks it, whatever
 * value it writes.
 *
 * A page with a monitored granule is protected like one with code, so every
 * other store to it takes the slow path, and all of them hold the page's
 * monitor lock while they write.  A page that nobody monitors any more becomes
 * plain again after a while.
 */
#include "accel/tcg/tcg-priv.h"

#define GRANULE_MASK (~(uint64_t)63)
#define NO_MONITOR (~0ull)
enum { STORES_UNTIL_PLAIN = 64 };

pthread_mutex_t *monitor_lock(TcgState *st, uint64_t ram_addr)
{
    return &st->mon_lock[(ram_addr >> MEM_PAGE_BITS) % G_N_ELEMENTS(st->mon_lock)];
}

static void mon_set(TcgVcpu *v, uint64_t granule)
{
    __atomic_store_n(&v->mon_addr, granule, __ATOMIC_SEQ_CST);
}

/* Monitor lock held. */
void monitor_break(TcgState *st, PageCode *p, uint64_t ram_addr, uint64_t len, const TcgVcpu *but)
{
    uint64_t first = ram_addr & GRANULE_MASK, last = (ram_addr + len - 1) & GRANULE_MASK;
    bool used = false;

    for (unsigned i = 0; i < st->vcpus->len; i++) {
        TcgVcpu *v = g_ptr_array_index(st->vcpus, i);
        uint64_t at = __atomic_load_n(&v->mon_addr, __ATOMIC_SEQ_CST);

        if (at == NO_MONITOR) {
            continue;
        }
        if (v != but && at >= first && at <= last) {
            mon_set(v, NO_MONITOR);
        } else {
            used |= at >> MEM_PAGE_BITS == p->ram_page;
        }
    }
    if (!used && __atomic_add_fetch(&p->unmonitored, 1, __ATOMIC_RELAXED) > STORES_UNTIL_PLAIN) {
        pthread_mutex_lock(&p->lock);
        __atomic_store_n(&p->monitored, 0, __ATOMIC_SEQ_CST);
        page_maybe_plain(st, p);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Marks the page; false: the walk failed and the fault is raised. */
static bool mark(TcgVcpu *v, vaddr va, unsigned idx, Span *s)
{
    uint64_t bit;
    PageCode *p;

    if (!tlb_span(v, va, ACC_LOAD, idx, false, s)) {
        return mem_fault(v, va, ACC_LOAD, idx);
    }
    if (s->region) {
        return true;
    }
    p = page_get(v->st, s->at >> MEM_PAGE_BITS, s->host - (s->at & 0xfff));
    bit = 1ull << ((s->at & 0xfff) >> GRANULE_BITS);
    if (!(__atomic_load_n(&p->monitored, __ATOMIC_SEQ_CST) & bit) || __atomic_load_n(&p->state, __ATOMIC_SEQ_CST) != PAGE_PROTECTED) {
        pthread_mutex_lock(&p->lock);
        __atomic_fetch_or(&p->monitored, bit, __ATOMIC_SEQ_CST);
        __atomic_store_n(&p->unmonitored, 0, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&p->lock);
        page_protect(v, p);                             /* may wait: look again afterwards */
    }
    return true;
}

bool tcg_monitor_load(Cpu *cpu, vaddr va, IrMem m, uint64_t val[2])
{
    TcgVcpu *v = vcpu_of(cpu);
    unsigned idx = IR_MEM_IDX_OF(m), size = 1u << IR_MEM_SIZE(m);
    Span s;

    mon_set(v, NO_MONITOR);
    val[1] = 0;
    if (!mem_aligned(v, va, m, ACC_LOAD)) {
        return false;
    }
    for (;;) {
        pthread_mutex_t *lock;
        PageCode *p;
        bool ok;

        if (!mark(v, va, idx, &s)) {
            return false;
        }
        if (s.region) {
            return tcg_load(cpu, va, m, val);
        }
        if (!tlb_span(v, va, ACC_LOAD, idx, false, &s)) {
            return mem_fault(v, va, ACC_LOAD, idx);
        }
        if (s.region) {
            continue;
        }
        p = page_find(v->st, s.at >> MEM_PAGE_BITS);
        lock = monitor_lock(v->st, s.at);
        pthread_mutex_lock(lock);
        mon_set(v, s.at & GRANULE_MASK);
        ok = p && __atomic_load_n(&p->state, __ATOMIC_SEQ_CST) == PAGE_PROTECTED
            && __atomic_load_n(&p->monitored, __ATOMIC_SEQ_CST) >> ((s.at & 0xfff) >> GRANULE_BITS) & 1;
        if (ok) {
            ok = tcg_load(cpu, va, m, val);
            v->mon_va = va;
            v->mon_size = size;
            pthread_mutex_unlock(lock);
            return ok;
        }
        mon_set(v, NO_MONITOR);
        pthread_mutex_unlock(lock);
    }
}

bool tcg_monitor_store(Cpu *cpu, vaddr va, IrMem m, const uint64_t val[2], bool *ok)
{
    TcgVcpu *v = vcpu_of(cpu);
    unsigned idx = IR_MEM_IDX_OF(m), size = 1u << IR_MEM_SIZE(m);
    pthread_mutex_t *lock;
    Span s;

    *ok = false;
    if (!mem_aligned(v, va, m, ACC_STORE)) {
        return false;
    }
    if (!tlb_span(v, va, ACC_STORE, idx, false, &s)) {
        return mem_fault(v, va, ACC_STORE, idx);
    }
    if (s.region || (s.flags & TLB_WATCH && debug_watch(v, va, size, ACC_STORE, idx))) {
        return !v->env->exc;
    }
    if (!mem_store_ok(v, &s, va, size)) {
        return false;
    }
    lock = monitor_lock(v->st, s.at);
    pthread_mutex_lock(lock);
    if (__atomic_load_n(&v->mon_addr, __ATOMIC_SEQ_CST) == (s.at & GRANULE_MASK)) {
        mem_put_raw(v, s.host, val, size, m);
        mon_set(v, NO_MONITOR);
        s.flags |= TLB_CODE;
        mem_store_done(v, &s, va, size);
        *ok = true;
    }
    pthread_mutex_unlock(lock);
    mon_set(v, NO_MONITOR);
    return true;
}

void tcg_monitor_clear(Cpu *cpu)
{
    mon_set(vcpu_of(cpu), NO_MONITOR);
}
