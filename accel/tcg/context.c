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

void jump_forget(JumpTable *j)
{
    if (!j || !j->nfilled) {
        return;
    }
    if (j->nfilled > G_N_ELEMENTS(j->filled)) {
        memset(j->entry, 0xff, sizeof(j->entry));
    } else {
        for (unsigned i = 0; i < j->nfilled; i++) {
            j->entry[j->filled[i]].pc = UINT64_MAX;
        }
    }
    j->nfilled = 0;
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

void ctx_code_changed(TcgVcpu *v, Ctx *c, uint64_t generation)
{
    c->generation = generation ? generation : new_generation(v);
    memset(c->exec_bloom, 0, sizeof(c->exec_bloom));
    c->exec_any = false;
    memset(c->exec, 0xff, sizeof(c->exec));             /* page ~0 matches nothing: low bits are set */
    for (unsigned i = 0; i < CTX_JUMPS; i++) {
        jump_forget(c->jump[i]);
    }
    if (v->ctx[0] == c) {
        v->env->generation = c->generation;
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

static void clear_all(TcgVcpu *v, Ctx *c, uint64_t generation)
{
    clear_data(c);
    if (c->exec_any) {
        ctx_code_changed(v, c, generation);
    }
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

static void clear_range(TcgVcpu *v, Ctx *c, const FlushRec *r)
{
    uint64_t pages = r->len >> 12;
    bool code = false;

    if (pages > 64) {
        clear_all(v, c, r->generation);
        return;
    }
    for (uint64_t i = 0; i < pages; i++) {
        vaddr page = r->va + (i << 12);

        clear_page(c, page);
        code |= bloom_has(c, page);
    }
    if (code) {
        ctx_code_changed(v, c, r->generation);
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

static void apply(TcgVcpu *v, Ctx *c, const FlushRec *r)
{
    switch (r->kind) {
    case REC_ALL:
        clear_all(v, c, r->generation);
        break;
    case REC_ASID:
        if (c->asid == (uint16_t)r->asid) {
            clear_all(v, c, r->generation);
        }
        break;
    case REC_RANGE:
        clear_range(v, c, r);
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
        clear_all(v, c, 0);
    } else {
        for (uint64_t s = c->seq; s < v->seq; s++) {
            apply(v, c, &v->journal[s % JOURNAL]);
        }
    }
    c->seq = v->seq;
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
    ctx_code_changed(v, c, 0);
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
    if (c->seq != v->seq) {
        ctx_catch_up(v, c);
    }
    return c;
}

void ctx_free_all(TcgVcpu *v)
{
    for (unsigned i = 0; i < v->nctx; i++) {
        for (unsigned k = 0; k < CTX_JUMPS; k++) {
            g_free(v->all[i]->jump[k]);
        }
        g_free(v->all[i]);
    }
    v->nctx = 0;
}
