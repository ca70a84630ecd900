/* SPDX-License-Identifier: MIT */
/*
 * Address contexts.
 *
 * A vCPU keeps up to CTX_MAX of them, least recently used goes first.  A flush
 * is applied at once to the contexts that are in use and written into a
 * journal for the others, which read it when they come into use again: a flush
 * costs what is mapped now, not what once was.
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"

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
        memset(s->entry, 0xff, sizeof(s->entry));
    } else {
        for (unsigned i = 0; i < s->nfilled; i++) {
            s->entry[s->filled[i]].pc = UINT64_MAX;
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

bool ctx_in_use(const TcgVcpu *v, const Ctx *c)
{
    for (unsigned i = 0; i < v->ops->nmmu; i++) {
        if (v->ctx[i] == c) {
            return true;
        }
    }
    return false;
}

void exec_changed(TcgVcpu *v, Exec *x)
{
    x->generation = new_generation(v);
    memset(x->bloom, 0, sizeof(x->bloom));
    x->any = false;
    memset(x->entry, 0xff, sizeof(x->entry));           /* page ~0 matches nothing: low bits are set */
    for (unsigned i = 0; i < CTX_JUMPS; i++) {
        jump_forget(x->jump[i]);
    }
    if (v->ctx[0] && v->ctx[0]->x == x) {
        v->env->generation = x->generation;
        tcg_env_flush_ring(v->env);
    }
}

static void clear_data(Ctx *c)
{
    if (c->nfilled > CTX_FILLED) {
        memset(&c->fast, 0xff, sizeof(c->fast));
    } else {
        for (unsigned i = 0; i < c->nfilled; i++) {
            unsigned f = c->filled[i];

            (f & 0x8000 ? c->fast.store : c->fast.load)[f & 0x7fff].tag = UINT64_MAX;
        }
    }
    c->nfilled = 0;
}

/* The tag byte of an address is not compared: entries keep it as accessed. */
static bool same_page(uint64_t tag, vaddr page)
{
    return !((tag ^ page) << 8 >> 20) && !(tag & TLB_INVALID);
}

static void clear_page(Ctx *c, vaddr page)
{
    unsigned i = (page >> 12) & (TLB_SIZE - 1);

    if (same_page(c->fast.load[i].tag, page)) {
        c->fast.load[i].tag = UINT64_MAX;
    }
    if (same_page(c->fast.store[i].tag, page)) {
        c->fast.store[i].tag = UINT64_MAX;
    }
}

static void clear_range(Ctx *c, const FlushRec *r)
{
    uint64_t pages = r->len >> 12;

    if (pages > 64) {
        clear_data(c);
        return;
    }
    for (uint64_t i = 0; i < pages; i++) {
        clear_page(c, r->va + (i << 12));
    }
}

static bool range_has_code(const Exec *x, const FlushRec *r)
{
    uint64_t pages = r->len >> 12;

    if (pages > 64) {
        return x->any;
    }
    for (uint64_t i = 0; i < pages; i++) {
        if (bloom_has(x, r->va + (i << 12))) {
            return true;
        }
    }
    return false;
}

/* Stores to this host page go the slow way from now on. */
static void mark_code(Ctx *c, const uint8_t *host)
{
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        TlbEntry *e = &c->fast.store[i];

        if ((uint8_t *)((e->tag & ~0xfffull) + e->addend) == host && !(e->tag & TLB_INVALID)) {
            e->tag |= TLB_CODE;
        }
    }
}

static void clear_stores(Ctx *c)
{
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        c->fast.store[i].tag = UINT64_MAX;
    }
}

static void apply_data(Ctx *c, const FlushRec *r)
{
    switch (r->kind) {
    case REC_ALL:
        clear_data(c);
        break;
    case REC_ASID:
        if (c->asid == (uint16_t)r->asid) {
            clear_data(c);
        }
        break;
    case REC_RANGE:
        clear_range(c, r);
        break;
    case REC_CODE:
        mark_code(c, r->host);
        break;
    case REC_STORES:
        clear_stores(c);
        break;
    }
}

static bool changes_code(const Exec *x, const FlushRec *r)
{
    switch (r->kind) {
    case REC_ALL:
        return x->any;
    case REC_ASID:
        return x->any && !x->shared && x->asid == (uint16_t)r->asid;
    case REC_RANGE:
        return range_has_code(x, r);
    default:
        return false;
    }
}

void exec_catch_up(TcgVcpu *v, Exec *x)
{
    bool changed = v->seq - x->seq > JOURNAL && x->any;

    for (uint64_t s = x->seq; !changed && s < v->seq; s++) {
        changed = changes_code(x, &v->journal[s % JOURNAL]);
    }
    x->seq = v->seq;
    if (changed) {
        exec_changed(v, x);
    }
}

void ctx_catch_up(TcgVcpu *v, Ctx *c)
{
    if (v->seq - c->seq > JOURNAL) {
        clear_data(c);
    } else {
        for (uint64_t s = c->seq; s < v->seq; s++) {
            apply_data(c, &v->journal[s % JOURNAL]);
        }
    }
    c->seq = v->seq;
    exec_catch_up(v, c->x);
}

void ctx_record(TcgVcpu *v, const FlushRec *r)
{
    v->journal[v->seq++ % JOURNAL] = *r;
    for (unsigned i = 0; i < v->ops->nmmu; i++) {
        if (v->ctx[i] && v->ctx[i]->seq != v->seq) {
            ctx_catch_up(v, v->ctx[i]);
        }
    }
}

static Ctx *ctx_victim(TcgVcpu *v)
{
    Ctx *old = NULL;

    for (unsigned i = 0; i < v->nctx; i++) {
        Ctx *c = v->all[i];

        if (!ctx_in_use(v, c) && (!old || c->last_used < old->last_used)) {
            old = c;
        }
    }
    return old;
}

static Exec *exec_new(TcgVcpu *v, bool shared)
{
    Exec *x = g_new0(Exec, 1);

    x->shared = shared;
    x->seq = v->seq;
    exec_changed(v, x);
    return x;
}

void ctx_go_private(TcgVcpu *v, Ctx *c)
{
    if (!c->own) {
        c->own = exec_new(v, false);
    }
    if (c->x != c->own) {
        c->own->asid = c->asid;
        c->own->seq = v->seq;
        exec_changed(v, c->own);
        c->x = c->own;
    }
    v->has_private[c->regime] = true;
}

static Exec *regime_exec(TcgVcpu *v, unsigned regime)
{
    if (!v->shared[regime]) {
        v->shared[regime] = exec_new(v, true);
    }
    return v->shared[regime];
}

static Ctx *ctx_make(TcgVcpu *v, uint64_t key)
{
    Ctx *c;
    unsigned i;

    v->count.contexts_made++;
    if (v->nctx < CTX_MAX) {
        c = g_new0(Ctx, 1);
        c->nfilled = CTX_FILLED + 1;
        i = v->nctx++;
        v->all[i] = c;
    } else {
        c = ctx_victim(v);
        for (i = 0; v->all[i] != c; i++) {
        }
    }
    v->keys[i] = c->key = key;
    c->asid = (uint16_t)key;
    c->regime = l2_regime(v, key >> 16);
    c->seq = v->seq;
    clear_data(c);
    c->x = NULL;
    if (v->has_private[c->regime]) {
        ctx_go_private(v, c);
    } else {
        c->x = regime_exec(v, c->regime);
    }
    return c;
}

Ctx *ctx_get(TcgVcpu *v, uint64_t key)
{
    Ctx *c = NULL;

    for (unsigned i = 0; i < v->nctx; i++) {
        if (v->keys[i] == key) {
            c = v->all[i];
            break;
        }
    }
    if (!c) {
        c = ctx_make(v, key);
    }
    c->last_used = ++v->tick;
    if (c->seq != v->seq || c->x->seq != v->seq) {
        ctx_catch_up(v, c);
    }
    return c;
}

static void exec_free(Exec *x)
{
    for (unsigned k = 0; x && k < CTX_JUMPS; k++) {
        if (x->jump[k]) {
            g_free(x->jump[k]->landing[0]);
            g_free(x->jump[k]->landing[1]);
        }
        g_free(x->jump[k]);
    }
    g_free(x);
}

void ctx_free_all(TcgVcpu *v)
{
    for (unsigned i = 0; i < v->nctx; i++) {
        exec_free(v->all[i]->own);
        g_free(v->all[i]);
    }
    for (unsigned i = 0; i < REGIMES; i++) {
        exec_free(v->shared[i]);
    }
    v->nctx = 0;
}

/* Host code is gone: nothing may be dispatched any more. */
void ctx_forget_jumps(TcgVcpu *v)
{
    for (unsigned i = 0; i < v->nctx + REGIMES; i++) {
        Exec *x = i < v->nctx ? v->all[i]->own : v->shared[i - v->nctx];

        for (unsigned k = 0; x && k < CTX_JUMPS; k++) {
            jump_forget(x->jump[k]);
        }
    }
}
