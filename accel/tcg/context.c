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

bool ctx_in_use(const TcgVcpu *v, const Ctx *c)
{
    for (unsigned i = 0; i < v->ops->nmmu; i++) {
        if (v->ctx[i] == c) {
            return true;
        }
    }
    return false;
}

static TlbEntry *filled_entry(Ctx *c, unsigned i)
{
    unsigned f = c->filled[i];

    return &(f & 0x8000 ? c->fast.store : c->fast.load)[f & 0x7fff];
}

static void clear_data(Ctx *c)
{
    if (c->nfilled > CTX_FILLED) {
        memset(&c->fast, 0xff, sizeof(c->fast));
    } else {
        for (unsigned i = 0; i < c->nfilled; i++) {
            filled_entry(c, i)->tag = UINT64_MAX;
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

static void clear_if_in(TlbEntry *e, vaddr va, uint64_t len)
{
    if (((e->tag & 0x00fffffffffff000ull) - va) < len) {
        e->tag = UINT64_MAX;
    }
}

/* Entry by entry: what lies elsewhere stays. */
static void clear_scan(Ctx *c, vaddr va, uint64_t len)
{
    va &= 0x00ffffffffffffffull;
    if (c->nfilled <= CTX_FILLED) {
        for (unsigned i = 0; i < c->nfilled; i++) {
            clear_if_in(filled_entry(c, i), va, len);
        }
        return;
    }
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        clear_if_in(&c->fast.load[i], va, len);
        clear_if_in(&c->fast.store[i], va, len);
    }
}

static void clear_range(Ctx *c, const FlushRec *r)
{
    uint64_t pages = r->len >> 12;

    if (pages > 64) {
        clear_scan(c, r->va, r->len);
        return;
    }
    for (uint64_t i = 0; i < pages; i++) {
        clear_page(c, r->va + (i << 12));
    }
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
    case REC_NEW:
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
    if (r->kind == REC_NEW) {
        v->seq_new = v->seq;
    }
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
