/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints and watchpoints of a debugger: any number, and nothing on the
 * fast path.  A page with breakpoints has blocks of a variant of its own, made
 * for the current set; a page with watchpoints has a flag in its TLB entries.
 * Sets change while all vCPUs are parked.
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"

enum { WATCH_WRITE = 2, WATCH_READ, WATCH_ACCESS };

void debug_init(TcgState *st)
{
    st->breaks = g_array_new(FALSE, FALSE, sizeof(DebugPoint));
    st->watches = g_array_new(FALSE, FALSE, sizeof(DebugPoint));
    st->break_set = st->break_next = VAR_BREAK;
}

void debug_fini(TcgState *st)
{
    g_array_free(st->breaks, TRUE);
    g_array_free(st->watches, TRUE);
}

static uint32_t new_set(TcgState *st)
{
    return __atomic_add_fetch(&st->break_next, 1, __ATOMIC_RELAXED);
}

static bool listed(const uint32_t *offs, uint32_t off)
{
    while (*offs < off) {
        offs++;
    }
    return *offs == off;
}

/* The address is part of it: two mappings of one page have different breakpoints. */
static uint32_t own_number(TcgVcpu *v, vaddr page)
{
    unsigned n = G_N_ELEMENTS(v->own_page), i;

    if (v->own_for != v->st->break_set) {
        v->nown = 0;
        v->own_for = v->st->break_set;
    }
    for (i = 0; i < MIN(v->nown, n); i++) {
        if (v->own_page[i].page == page) {
            return v->own_page[i].variant;
        }
    }
    i = v->nown++ % n;
    v->own_page[i].page = page;
    return v->own_page[i].variant = new_set(v->st);
}

/* Blocks of a page where this processor has a breakpoint of its own; a single instruction that is not at one is as ever. */
static uint32_t own_variant(TcgVcpu *v, vaddr pc, uint32_t otherwise)
{
    g_autofree uint32_t *offs = v->ops->own_breaks(v->cpu, pc & ~0xfffull);

    if (!offs || (v->one && !listed(offs, pc & 0xfff))) {
        return otherwise;
    }
    return own_number(v, pc & ~0xfffull);
}

uint32_t debug_variant(TcgVcpu *v, vaddr pc)
{
    TcgState *st = v->st;
    uint32_t variant = v->one ? VAR_ONE : VAR_NORMAL;

    for (unsigned i = 0; i < st->breaks->len && !v->one; i++) {
        if (g_array_index(st->breaks, DebugPoint, i).va >> 12 == pc >> 12) {
            variant = st->break_set;
        }
    }
    return v->own & 1 ? own_variant(v, pc, variant) : variant;
}

void tcg_debug_changed(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);
    unsigned old = v->own;

    v->own = v->ops->debug_armed(cpu);
    if (old | v->own) {
        v->nown = 0;
        flush_apply(v, &(FlushRec){ .kind = REC_NEW });
        exec_check(v);
    }
}

static gint by_offset(gconstpointer a, gconstpointer b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

uint32_t *debug_page_breaks(TcgState *st, vaddr pc)
{
    GArray *offs = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    uint32_t end = ~0u;

    for (unsigned i = 0; i < st->breaks->len; i++) {
        const DebugPoint *d = &g_array_index(st->breaks, DebugPoint, i);
        uint32_t off = d->va & 0xfff;

        if (d->va >> 12 == pc >> 12) {
            g_array_append_val(offs, off);
        }
    }
    g_array_sort(offs, by_offset);
    g_array_append_val(offs, end);
    return (uint32_t *)(void *)g_array_free(offs, FALSE);
}

bool debug_page_watched(TcgVcpu *v, vaddr page)
{
    TcgState *st = v->st;

    if (v->own & 2 && v->ops->page_watched(v->cpu, page)) {
        return true;
    }
    for (unsigned i = 0; i < st->watches->len; i++) {
        const DebugPoint *d = &g_array_index(st->watches, DebugPoint, i);

        if (page <= d->va + d->len - 1 && d->va <= page + 4095) {
            return true;
        }
    }
    return false;
}

static bool own_watch(TcgVcpu *v, vaddr va, unsigned len, AccType acc, unsigned idx)
{
    vaddr at;

    if (!v->env->fault_ra || !v->ops->watched(v->cpu, va, len, acc, idx, &at)) {
        return false;
    }
    tcg_restore_here(v->cpu);
    v->ops->raise_debug(v->cpu, at, acc);
    return true;
}

bool debug_watch(TcgVcpu *v, vaddr va, unsigned len, AccType acc, unsigned idx)
{
    if (v->own & 2 && own_watch(v, va, len, acc, idx)) {
        return true;
    }
    if (v->watch_off || !v->env->fault_ra) {
        return false;
    }
    for (unsigned i = 0; i < v->st->watches->len; i++) {
        const DebugPoint *d = &g_array_index(v->st->watches, DebugPoint, i);
        bool kind = d->kind == WATCH_ACCESS || (d->kind == WATCH_WRITE) == (acc == ACC_STORE);

        if (kind && va <= d->va + d->len - 1 && d->va <= va + len - 1) {
            v->watch_addr = MAX(va, d->va);
            v->watch_kind = d->kind;
            v->watch_stop = true;
            mem_retry(v);
            return true;
        }
    }
    return false;
}

/* What was derived from the old set goes. vCPUs parked. */
static void changed(Machine *m, bool code)
{
    TcgState *st = m->accel_state;

    st->break_set = code ? new_set(st) : st->break_set;
    for (unsigned i = 0; i < st->vcpus->len; i++) {
        flush_post(g_ptr_array_index(st->vcpus, i), &(FlushRec){ .kind = REC_NEW });
    }
}

bool debug_break_insert(Machine *m, int kind, vaddr addr, uint64_t len, Error **errp)
{
    TcgState *st = m->accel_state;
    DebugPoint d = { kind, addr, MAX(len, 1u) };

    if (kind < 0 || kind > WATCH_ACCESS) {
        return error_set(errp, "no kind %d of breakpoint", kind);
    }
    g_array_append_val(kind >= WATCH_WRITE ? st->watches : st->breaks, d);
    changed(m, kind < WATCH_WRITE);
    return true;
}

bool debug_break_remove(Machine *m, int kind, vaddr addr, uint64_t len)
{
    TcgState *st = m->accel_state;
    GArray *a = kind >= WATCH_WRITE ? st->watches : st->breaks;

    for (unsigned i = 0; i < a->len; i++) {
        const DebugPoint *d = &g_array_index(a, DebugPoint, i);

        if (d->kind == kind && d->va == addr && (kind < WATCH_WRITE || d->len == MAX(len, 1u))) {
            g_array_remove_index(a, i);
            changed(m, kind < WATCH_WRITE);
            return true;
        }
    }
    return false;
}

void debug_break_clear(Machine *m)
{
    TcgState *st = m->accel_state;

    if (st->breaks->len || st->watches->len) {
        g_array_set_size(st->breaks, 0);
        g_array_set_size(st->watches, 0);
        changed(m, true);
    }
}

vaddr debug_watch_hit(Cpu *cpu, int *kind)
{
    const TcgVcpu *v = vcpu_of(cpu);

    *kind = v->watch_kind;
    return v->watch_addr;
}
