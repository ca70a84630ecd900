/* SPDX-License-Identifier: MIT */
/*
 * The second-level TLB, and filling the first.
 *
 * The second level holds memory pages only (4 KiB each, whatever the guest's
 * page size), is shared by the contexts of a vCPU, and tags entries with the
 * regime (key >> 16) and the ASID.  Global entries serve every ASID.  An entry
 * is valid while its stamp is that of its ASID, so that flushing an ASID or
 * everything is one store.
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"

static inline uint32_t stamp_of(const TcgVcpu *v, uint16_t asid)
{
    uint32_t s = v->asid_stamp[asid];

    return s > v->floor ? s : v->floor;
}

static uint32_t next_stamp(TcgVcpu *v)
{
    if (++v->stamp == 0) {
        memset(v->l2, 0, sizeof(L2Entry) * L2_SETS * L2_WAYS);
        memset(v->asid_stamp, 0, 65536 * sizeof(*v->asid_stamp));
        v->stamp = 1;
    }
    return v->stamp;
}

void l2_flush_all(TcgVcpu *v)
{
    v->floor = next_stamp(v);
    if (v->any_large) {
        memset(v->large, 0, sizeof(v->large));
        v->any_large = false;
    }
    v->mid_size = 0;
    v->nhuge = 0;
}

void l2_flush_asid(TcgVcpu *v, uint16_t asid)
{
    v->asid_stamp[asid] = next_stamp(v);
}

uint16_t l2_regime(TcgVcpu *v, uint64_t word)
{
    for (unsigned i = 0; i < v->nregimes; i++) {
        if (v->regimes[i] == word) {
            return (uint16_t)i;
        }
    }
    if (v->nregimes == REGIMES) {
        l2_flush_all(v);
        v->nregimes = 0;
        for (unsigned i = 0; i < v->nctx; i++) {        /* at most CTX_MAX of them */
            v->all[i]->regime = l2_regime(v, v->keys[i] >> 16);
            ctx_go_private(v, v->all[i]);               /* the numbers of shared ones mean other regimes now */
        }
    }
    v->regimes[v->nregimes] = word;
    return (uint16_t)v->nregimes++;
}

/* ---- sizes of mappings, for flushes of a part of one ---- */

#define MIB2 (2ull << 20)
#define FAR_TOO_MUCH (1ull << 40)

static uint64_t *large_set(TcgVcpu *v, uint64_t region)
{
    return v->large[(region ^ region >> 9) & (LARGE_SETS - 1)];
}

static uint64_t large_region(vaddr va)
{
    return ((va & 0x00ffffffffffffffull) >> 21) + 1;
}

static uint64_t *large_find(TcgVcpu *v, uint64_t region)
{
    uint64_t *set = large_set(v, region);

    for (unsigned i = 0; i < LARGE_WAYS; i++) {
        if (set[i] == region) {
            return &set[i];
        }
    }
    return NULL;
}

/* What is not remembered any more must not be cached any more. */
static void large_forget(TcgVcpu *v, uint64_t region)
{
    flush_apply(v, &(FlushRec){ .kind = REC_RANGE, .va = (region - 1) << 21, .len = MIB2, .asid = -1 });
}

static void note_large(TcgVcpu *v, uint64_t region)
{
    uint64_t *set = large_set(v, region), *at;

    if (large_find(v, region)) {
        return;
    }
    for (at = set; at < set + LARGE_WAYS && *at; at++) {
    }
    if (at == set + LARGE_WAYS) {
        at = &set[v->large_next++ % LARGE_WAYS];
        large_forget(v, *at);
    }
    *at = region;
    v->any_large = true;
}

static void note_huge(TcgVcpu *v, vaddr va, uint64_t size)
{
    va &= ~(size - 1) & 0x00ffffffffffffffull;
    for (unsigned i = 0; i < v->nhuge; i++) {
        if (v->huge[i].va == va && v->huge[i].size == size) {
            return;
        }
    }
    if (v->nhuge == HUGES) {
        flush_apply(v, &(FlushRec){ .kind = REC_ALL });
    }
    v->huge[v->nhuge++] = (Huge){ va, size };
}

static void note_size(TcgVcpu *v, vaddr va, uint64_t size)
{
    if (size < MIB2) {
        v->mid_size = MAX(v->mid_size, size);
    } else if (size == MIB2) {
        note_large(v, large_region(va));
    } else {
        note_huge(v, va, size);
    }
}

static void widen(vaddr *va, uint64_t *len, uint64_t size)
{
    vaddr last = (*va + *len - 1) | (size - 1);

    *va &= ~(size - 1);
    *len = last - *va + 1;
}

/* Regions that go as a whole. */
static void forget_whole(TcgVcpu *v, vaddr va, uint64_t len)
{
    uint64_t skip = -va & (MIB2 - 1), n = len >= skip ? (len - skip) / MIB2 : 0;

    for (uint64_t i = 0; i < n && i < 64; i++) {
        uint64_t *at = large_find(v, large_region(va + skip + i * MIB2));

        if (at) {
            *at = 0;
        }
    }
}

/* All of the region goes when a part of it does; it is noted again when it is walked again. */
static void widen_to_large(TcgVcpu *v, vaddr *va, uint64_t *len)
{
    vaddr last = *va + *len - 1;

    if (large_find(v, large_region(last))) {
        *len = (last | (MIB2 - 1)) - *va + 1;
    }
    if (large_find(v, large_region(*va))) {
        widen(va, len, MIB2);
    }
    forget_whole(v, *va, *len);
}

/* False: part of something huge, whose pages nobody wants to drop one by one. */
static bool widen_to_mappings(TcgVcpu *v, vaddr *va, uint64_t *len)
{
    vaddr plain;

    widen(va, len, MAX(v->mid_size, 4096));
    plain = *va & 0x00ffffffffffffffull;
    for (unsigned i = 0; i < v->nhuge; i++) {
        if (plain - v->huge[i].va < v->huge[i].size || v->huge[i].va - plain < *len) {
            return false;
        }
    }
    if (v->any_large) {
        widen_to_large(v, va, len);
    }
    return true;
}

static void l2_drop_page(TcgVcpu *v, vaddr page)
{
    L2Entry *set = v->l2[(page >> 12) & (L2_SETS - 1)];

    for (unsigned i = 0; i < L2_WAYS; i++) {
        if (!((set[i].tag ^ page) << 8 >> 20)) {
            set[i].tag = 0;
            set[i].stamp = 0;
        }
    }
}

static void l2_drop_scan(TcgVcpu *v, vaddr va, uint64_t len)
{
    va &= 0x00ffffffffffffffull;
    for (unsigned s = 0; s < L2_SETS; s++) {
        for (unsigned i = 0; i < L2_WAYS; i++) {
            L2Entry *e = &v->l2[s][i];

            if ((e->tag & 0x00fffffffffff000ull) - va < len) {
                e->stamp = 0;
            }
        }
    }
}

bool l2_flush_range(TcgVcpu *v, vaddr *va, uint64_t *len)
{
    if (!widen_to_mappings(v, va, len) || *len >= FAR_TOO_MUCH) {
        l2_flush_all(v);
        return false;
    }
    if (*len >> 12 > 2048) {
        l2_drop_scan(v, *va, *len);
    } else {
        for (uint64_t i = 0; i < *len >> 12; i++) {
            l2_drop_page(v, *va + (i << 12));
        }
    }
    return true;
}

static L2Entry *l2_find(TcgVcpu *v, const Ctx *c, vaddr page)
{
    L2Entry *set = v->l2[(page >> 12) & (L2_SETS - 1)];

    for (unsigned i = 0; i < L2_WAYS; i++) {
        L2Entry *e = &set[i];

        if ((e->tag & ~0xfffull) == page && e->regime == c->regime
            && (e->tag & L2_GLOBAL ? e->stamp == v->floor : e->asid == c->asid && e->stamp == stamp_of(v, c->asid))) {
            return e;
        }
    }
    return NULL;
}

static void l2_put(TcgVcpu *v, const Ctx *c, const L2Entry *e)
{
    unsigned s = (e->tag >> 12) & (L2_SETS - 1);
    L2Entry *old = l2_find(v, c, e->tag & ~0xfffull);

    if (!old) {
        old = &v->l2[s][v->l2_next[s]++ % L2_WAYS];
    }
    *old = *e;
    old->regime = c->regime;
    old->asid = c->asid;
    old->stamp = e->tag & L2_GLOBAL ? v->floor : stamp_of(v, c->asid);
}

/* ---- first level ---- */

static void filled(Ctx *c, unsigned i, unsigned side)
{
    if (c->nfilled < CTX_FILLED) {
        c->filled[c->nfilled] = (uint16_t)(i | side);
    }
    c->nfilled += c->nfilled <= CTX_FILLED;
}

static uint32_t store_flags(TcgVcpu *v, uint64_t ram_addr)
{
    uint32_t others = mem_dirty_logging(v->st->m->mem) & ~DIRTY_MASK(DIRTY_CODE), flags = 0;

    if (!page_is_plain(v->st, ram_addr)) {
        flags |= TLB_CODE;
    }
    for (int client = 0; others && client < DIRTY_CLIENTS; client++) {
        if (others >> client & 1 && !mem_dirty_bit(mem_dirty_map(v->st->m->mem, client), ram_addr)) {
            flags |= TLB_CLEAN;
        }
    }
    return flags;
}

static void put_l1(TcgVcpu *v, Ctx *c, vaddr page, bool store, const Span *s)
{
    unsigned i = (page >> 12) & (TLB_SIZE - 1);
    TlbEntry *e = store ? &c->fast.store[i] : &c->fast.load[i];
    TlbSide *side = store ? &c->store_side[i] : &c->load_side[i];

    *side = (TlbSide){ s->region, s->at, s->pa };
    e->addend = s->region ? 0 : (uint64_t)(uintptr_t)s->host - page;
    e->tag = page | s->flags;
    filled(c, i, store ? 0x8000 : 0);
}

static bool slot_free(const Ctx *c, vaddr page)
{
    return c->fast.store[(page >> 12) & (TLB_SIZE - 1)].tag & TLB_INVALID;
}

/* A memory page with these rights is known: enter it for the access, and for the other kind where that costs nobody a place. */
static void put_memory(TcgVcpu *v, Ctx *c, vaddr page, AccType acc, uint32_t prot, uint32_t flags, uint8_t *host, uint64_t ram_addr, paddr pa, Span *s)
{
    Span l = { .host = host, .at = ram_addr, .pa = pa, .flags = flags }, st = l;

    if (prot & PROT_STORE && (acc == ACC_STORE || slot_free(c, page))) {
        st.flags |= store_flags(v, ram_addr);
        put_l1(v, c, page, true, &st);
    }
    if (prot & PROT_LOAD) {
        put_l1(v, c, page, false, &l);
    }
    *s = acc == ACC_STORE ? st : l;
}

static void span_at(Span *s, vaddr va)
{
    uint64_t off = va & 0xfff;

    s->host += s->region ? 0 : off;
    s->at += off;
    s->pa += off;
}

/* Pieces of different regions within one page: looked up each time. */
static void span_small(TcgVcpu *v, AddressSpace *as, paddr pa, bool store, Span *s)
{
    MemHit hit;

    mem_translate(as, pa, 1, store, &hit);
    *s = hit.ram ? (Span){ .host = hit.host, .at = hit.ram_addr, .pa = pa, .flags = store ? store_flags(v, hit.ram_addr) : 0 }
                 : (Span){ .region = hit.region, .at = hit.offset, .pa = pa, .flags = TLB_MMIO };
}

static void fill_walked(TcgVcpu *v, Ctx *c, vaddr va, AccType acc, const WalkResult *w, Span *s)
{
    AddressSpace *as = w->secure && v->cpu->as_secure ? v->cpu->as_secure : v->cpu->as;
    bool store = acc == ACC_STORE;
    vaddr page = va & ~0xfffull;
    paddr pa = w->pa & ~0xfffull;
    uint32_t flags = debug_page_watched(v, page) ? TLB_WATCH : 0;
    MemHit hit;

    if (w->size > 4096) {
        note_size(v, va, w->size);
    }
    mem_translate(as, pa, 4096, store, &hit);
    if (hit.len < 4096) {
        span_small(v, as, w->pa, store, s);
        return;
    }
    if (hit.ram) {
        uint32_t prot = w->prot & (hit.readonly ? PROT_LOAD | PROT_FETCH : PROT_LOAD | PROT_STORE | PROT_FETCH);

        if (!w->device) {
            L2Entry e = { .tag = page | prot | (w->global ? L2_GLOBAL : 0) | (w->guarded ? L2_GUARDED : 0), .host = hit.host, .ram_addr = hit.ram_addr };

            l2_put(v, c, &e);
        }
        put_memory(v, c, page, acc, prot, flags | (w->device ? TLB_SLOW : 0), hit.host, hit.ram_addr, pa, s);
    } else {
        *s = (Span){ .region = hit.region, .at = hit.offset, .pa = pa, .flags = flags | TLB_MMIO | (w->device ? TLB_SLOW : 0) };
        put_l1(v, c, page, store, s);
    }
    span_at(s, va);
}

static bool fill(TcgVcpu *v, Ctx *c, vaddr va, AccType acc, unsigned idx, bool probe, Span *s)
{
    uint32_t need = acc == ACC_STORE ? PROT_STORE : PROT_LOAD;
    vaddr page = va & ~0xfffull;
    L2Entry *e = l2_find(v, c, page);
    WalkResult w = {};

    if (e && e->tag & need) {
        v->count.l2_hit++;
        put_memory(v, c, page, acc, e->tag & 7, debug_page_watched(v, page) ? TLB_WATCH : 0, e->host, e->ram_addr, 0, s);
        span_at(s, va);
        return true;
    }
    v->count.walks++;
    if (!v->ops->walk(v->cpu, va, acc, idx, probe, &w)) {
        v->count.walk_faults++;
        v->fault_device = w.device;
        return false;
    }
    fill_walked(v, c, va, acc, &w, s);
    return true;
}

bool tlb_span(TcgVcpu *v, vaddr va, AccType acc, unsigned idx, bool probe, Span *s)
{
    Ctx *c = v->ctx[idx];
    unsigned i = (va >> 12) & (TLB_SIZE - 1);
    TlbEntry *e = acc == ACC_STORE ? &c->fast.store[i] : &c->fast.load[i];
    const TlbSide *side = acc == ACC_STORE ? &c->store_side[i] : &c->load_side[i];

    if ((e->tag & ~0xfffull) != (va & ~0xfffull) || e->tag & TLB_INVALID) {
        return fill(v, c, va, acc, idx, probe, s);
    }
    v->count.l1_slow++;
    v->needless += !(e->tag & 0xfff);
    if (e->tag & TLB_CODE && page_is_plain(v->st, side->at)) {
        e->tag &= ~(uint64_t)TLB_CODE;
    }
    *s = (Span){ .host = (uint8_t *)(uintptr_t)((va & ~0xfffull) + e->addend), .region = side->region, .at = side->at, .pa = side->pa, .flags = e->tag & 0xfff };
    span_at(s, va);
    return true;
}

/* ---- fetch ---- */

bool tlb_fetch(TcgVcpu *v, vaddr pc, Span *s, bool *global)
{
    Ctx *c = v->ctx[0];
    vaddr page = pc & ~0xfffull;
    L2Entry *e = l2_find(v, c, page);
    WalkResult w = {};
    MemHit hit;

    if (e && e->tag & PROT_FETCH) {
        *s = (Span){ .host = e->host, .at = e->ram_addr, .guarded = e->tag & L2_GUARDED };
        *global = e->tag & L2_GLOBAL;
        return true;
    }
    v->count.walks++;
    if (!v->ops->walk(v->cpu, pc, ACC_FETCH, 0, false, &w)) {
        v->count.walk_faults++;
        return false;
    }
    *global = w.global;
    if (w.size > 4096) {
        note_size(v, pc, w.size);
    }
    mem_translate(w.secure && v->cpu->as_secure ? v->cpu->as_secure : v->cpu->as, w.pa & ~0xfffull, 4096, false, &hit);
    if (hit.ram && hit.len == 4096) {
        uint32_t prot = w.prot & (hit.readonly ? PROT_LOAD | PROT_FETCH : 7);
        L2Entry new = { .tag = page | prot | (w.global ? L2_GLOBAL : 0) | (w.guarded ? L2_GUARDED : 0), .host = hit.host, .ram_addr = hit.ram_addr };

        if (!w.device) {
            l2_put(v, c, &new);
        }
        *s = (Span){ .host = hit.host, .at = hit.ram_addr, .pa = w.pa, .guarded = w.guarded };
    } else {
        *s = (Span){ .region = hit.region, .at = hit.offset, .pa = w.pa };
    }
    return true;
}

PageCode *tlb_exec(TcgVcpu *v, vaddr pc, Span *s)
{
    Ctx *c = v->ctx[0];
    vaddr page = pc & ~0xfffull;
    const ExecPage *known = exec_find(c->x, page);
    PageCode *p;
    bool global;

    if (known) {
        s->guarded = known->guarded;
        return known->code;
    }
    s->region = NULL;
    if (!tlb_fetch(v, pc, s, &global) || s->region) {
        return NULL;
    }
    if (!global && c->x->shared) {
        ctx_go_private(v, c);
        mode_update(v);
    }
    if (s->guarded && !c->x->guarded) {
        mode_guarded(v, c->x);
    }
    p = page_get(v->st, s->at >> 12, s->host);
    exec_add(c->x, &(ExecPage){ page, p, s->guarded });
    return p;
}

bool tcg_fetch_half(Cpu *cpu, vaddr va, uint16_t *half)
{
    TcgVcpu *v = vcpu_of(cpu);
    Span s;
    const PageCode *p = tlb_exec(v, va, &s);

    if (p) {
        *half = __atomic_load_n((const uint16_t *)(const void *)(p->host + (va & 0xfff)), __ATOMIC_ACQUIRE);
        return true;
    }
    tcg_restore_here(cpu);
    if (s.region) {
        v->ops->raise_bus(cpu, va, s.pa, ACC_FETCH, 0);
    } else {
        v->ops->raise_fault(cpu, va, ACC_FETCH, 0, 0);
    }
    return false;
}
