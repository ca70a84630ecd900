/* SPDX-License-Identifier: MIT */
/*
 * The executable side of address contexts: which pages code was fetched from,
 * and the generation under which it was linked and dispatched.
 *
 * A flush that touches none of these pages changes nothing here.  One that
 * does marks the Exec: before it is used again its pages are walked, and if
 * each is where it was, all links hold.  (A process that forks has its whole
 * ASID flushed, and its code never moves.)
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"

enum { PAGES_MIN = 64, CHECK_MAX = 512 };

static uint64_t new_generation(TcgVcpu *v)
{
    v->count.generations++;
    return __atomic_add_fetch(&v->st->generation, 1, __ATOMIC_RELAXED);
}

static void forget_set(JumpSet *s)
{
    if (!s || !s->nfilled) {
        return;
    }
    if (s->nfilled > G_N_ELEMENTS(s->filled)) {
        jump_clear(s->entry);
    } else {
        for (unsigned i = 0; i < s->nfilled; i++) {
            jump_clear_entry(s->entry, s->filled[i]);
        }
    }
    s->nfilled = 0;
}

void jump_forget(JumpTable *j)
{
    if (j) {
        forget_set(&j->plain);
        forget_set(j->landing[0]);
        forget_set(j->landing[1]);
    }
}

/* ---- pages ---- */

/* The tag byte is left out: a flush does not name it. */
static inline uint32_t hash(const Exec *x, vaddr page)
{
    return (uint32_t)((page << 8 >> 20) * 0x9e3779b97f4a7c15ull >> 32) & (x->room - 1);
}

const ExecPage *exec_find(const Exec *x, vaddr page)
{
    for (uint32_t i = hash(x, page);; i = (i + 1) & (x->room - 1)) {
        if (x->page[i].page == page) {
            return &x->page[i];
        }
        if (x->page[i].page == 1) {
            return NULL;
        }
    }
}

static bool has_page(const Exec *x, vaddr page)
{
    uint32_t i;

    for (i = hash(x, page); x->page[i].page != 1; i = (i + 1) & (x->room - 1)) {
        if (!((x->page[i].page ^ page) << 8 >> 20)) {
            return true;
        }
    }
    return false;
}

static void empty(Exec *x, uint32_t room)
{
    x->page = g_renew(ExecPage, x->page, room);
    x->room = room;
    x->npages = 0;
    for (uint32_t i = 0; i < room; i++) {
        x->page[i].page = 1;
    }
}

static void put(Exec *x, const ExecPage *p)
{
    uint32_t i = hash(x, p->page);

    while (x->page[i].page != 1) {
        i = (i + 1) & (x->room - 1);
    }
    x->page[i] = *p;
    x->npages++;
}

void exec_add(Exec *x, const ExecPage *p)
{
    if (x->npages * 2 >= x->room) {
        g_autofree ExecPage *old = g_steal_pointer(&x->page);
        uint32_t room = x->room;

        empty(x, room * 2);
        for (uint32_t i = 0; i < room; i++) {
            if (old[i].page != 1) {
                put(x, &old[i]);
            }
        }
    }
    put(x, p);
}

static void fetch_forget(Exec *x)
{
    for (unsigned i = 0; x->fetch && i < FETCH_SIZE; i++) {
        x->fetch[i].page = 1;
    }
}

const void *exec_confirm(Exec *x, vaddr page)
{
    const ExecPage *p = exec_find(x, page);
    const void *token = p ? (const uint8_t *)p->code + p->guarded : NULL;

    if (token && !x->fetch) {
        x->fetch = g_new(TcgFetch, FETCH_SIZE);
        fetch_forget(x);
    }
    if (token) {
        x->fetch[page >> 12 & (FETCH_SIZE - 1)] = (TcgFetch){ page, token };
    }
    return token;
}

static bool range_has_code(const Exec *x, const FlushRec *r)
{
    uint64_t pages = r->len >> 12, va = r->va & 0x00ffffffffffffffull;

    if (pages > x->room) {
        for (uint32_t i = 0; i < x->room; i++) {
            if (x->page[i].page != 1 && (x->page[i].page & 0x00ffffffffffffffull) - va < r->len) {
                return true;
            }
        }
        return false;
    }
    for (uint64_t i = 0; i < pages; i++) {
        if (has_page(x, r->va + (i << 12))) {
            return true;
        }
    }
    return false;
}

/* ---- generations ---- */

void exec_changed(TcgVcpu *v, Exec *x)
{
    x->generation = new_generation(v);
    x->check = false;
    empty(x, x->npages * 4 < x->room ? PAGES_MIN : x->room);
    fetch_forget(x);
    for (unsigned i = 0; i < CTX_JUMPS; i++) {
        jump_forget(x->jump[i]);
    }
    if (v->ctx[0] && v->ctx[0]->x == x) {
        v->env->generation = x->generation;
        tcg_env_flush_ring(v->env);
    }
}

static bool changes_code(const Exec *x, const FlushRec *r)
{
    switch (r->kind) {
    case REC_ALL:
        return true;
    case REC_ASID:
        return !x->shared && x->asid == (uint16_t)r->asid;
    case REC_RANGE:
        return range_has_code(x, r);
    default:
        return false;
    }
}

void exec_catch_up(TcgVcpu *v, Exec *x)
{
    bool new = x->seq < v->seq_new, changed = v->seq - x->seq > JOURNAL;

    for (uint64_t s = x->seq; x->npages && !changed && s < v->seq; s++) {
        changed = changes_code(x, &v->journal[s % JOURNAL]);
    }
    x->seq = v->seq;
    if (new) {
        exec_changed(v, x);
        return;
    }
    x->check |= changed && x->npages;
}

/* Walking may evict a large mapping, which is a flush: then x is new already. */
static bool all_in_place(TcgVcpu *v, const Exec *x)
{
    uint64_t generation = x->generation;
    Span s = {};
    bool global;

    for (uint32_t i = 0; x->generation == generation && i < x->room; i++) {
        const ExecPage p = x->page[i];

        if (p.page == 1) {
            continue;
        }
        if (!tlb_fetch(v, p.page, &s, &global) || s.region || page_find(v->st, s.at >> 12) != p.code || s.guarded != p.guarded || (x->shared && !global)) {
            return false;
        }
    }
    return true;
}

/* The walks are made with the registers of now: only for the address space of now.  Others wait until they come into use. */
void exec_check(TcgVcpu *v)
{
    Exec *x = v->ctx[0] ? v->ctx[0]->x : NULL;

    if (!x || !x->check || v->ops->context_key(v->cpu, 0) != v->ctx[0]->key) {
        return;
    }
    x->check = false;
    v->count.checks++;
    if (x->npages > CHECK_MAX || !all_in_place(v, x)) {
        exec_changed(v, x);
    }
}

Exec *exec_new(TcgVcpu *v, bool shared)
{
    Exec *x = g_new0(Exec, 1);

    x->shared = shared;
    x->seq = v->seq;
    x->room = PAGES_MIN;
    exec_changed(v, x);
    return x;
}

void exec_free(Exec *x)
{
    for (unsigned k = 0; x && k < CTX_JUMPS; k++) {
        if (x->jump[k]) {
            g_free(x->jump[k]->landing[0]);
            g_free(x->jump[k]->landing[1]);
        }
        g_free(x->jump[k]);
    }
    if (x) {
        g_free(x->page);
        g_free(x->fetch);
    }
    g_free(x);
}
