/* SPDX-License-Identifier: MIT */
/*
 * Translated blocks: found by (RAM page, offset, key, variant), made, linked, killed.
 *
 * Finding takes no lock: blocks are pushed onto and cut out of their bucket's
 * list with single stores, and their memory stays until the chunks of code
 * memory in which they have a part are evicted (evict.c), which happens only
 * while no vCPU is inside generated code.
 */
#include <assert.h>
#include <sched.h>
#include <string.h>

#include "accel/tcg/tcg-priv.h"
#include "util/log.h"

enum { MAX_INSNS = 64, MAX_INSNS_HOT = 16 };

/* ---- find ---- */

Block *block_find(PageCode *p, const TcgUnit *u, uint32_t off, uint64_t key, uint32_t variant)
{
    Block *b = __atomic_load_n(&p->bucket[off >> PAGE_BUCKET_BITS], __ATOMIC_ACQUIRE);

    while (b && (b->tb.page_off != off || b->key != key || b->variant != variant || b->unit != u)) {
        b = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE);
    }
    return b;
}

static void range_add(Block *b, unsigned part, const void *at, size_t size)
{
    const uint8_t *from = at, *to = from + size;

    for (uintptr_t page = (uintptr_t)from >> 12, first = page; at && size && page <= (uintptr_t)to >> 12; page++) {
        HostRange *r = page == first ? &b->range[part] : g_new(HostRange, 1), **head = range_head(b->unit, page);

        *r = (HostRange){ from, to, b, __atomic_load_n(head, __ATOMIC_RELAXED) };
        while (!__atomic_compare_exchange_n(head, &r->next, r, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        }
    }
}

Block *block_of_ra(TcgVcpu *v, const void *ra)
{
    const uint8_t *at = ra;
    HostRange *r = __atomic_load_n(range_head(v->unit, (uintptr_t)at >> 12), __ATOMIC_ACQUIRE);

    while (r && !(r->from < at && at <= r->to)) {
        r = r->next;
    }
    assert(r);                                          /* a return address is in a block */
    return r->block;
}

bool block_unchanged(const Block *b)
{
    return !memcmp(b->copy, b->page->host + b->tb.page_off, b->tb.guest_bytes);
}

/* ---- kill and link ---- */

/* A link remembers nothing of the lists it is in: where its chunk or another one of its block was evicted, the memory is something else now. */
static void links_clear(Block *b)
{
    const TcgCode *code = b->unit->code;
    LinkIn *in, *next;

    for (in = b->in; in; in = next) {
        next = in->next;
        if (in->chunk >= tcg_code_oldest(code) && !__atomic_load_n(&in->link->from->dead, __ATOMIC_ACQUIRE)) {
            tcg_link_clear(b->unit->code, in->link);    /* a cross-page one both ways: the other one is found again */
            __atomic_store_n(&in->link->to, NULL, __ATOMIC_RELAXED);
        }
        g_free(in);
    }
    b->in = NULL;
}

void block_kill(Block *b)
{
    tcg_block_kill(b->unit->code, &b->tb);
    links_clear(b);
}

void block_drop(PageCode *p, Block *b)
{
    pthread_mutex_lock(&p->lock);
    for (Block **at = &p->bucket[b->tb.page_off >> PAGE_BUCKET_BITS]; *at; at = &(*at)->next) {
        if (*at == b) {
            __atomic_store_n(at, b->next, __ATOMIC_RELEASE);
            block_kill(b);
            p->nblocks--;
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* Two pages in the order of their addresses. */
static void lock_both(PageCode *a, PageCode *b)
{
    pthread_mutex_lock(a < b ? &a->lock : &b->lock);
    if (a != b) {
        pthread_mutex_lock(a < b ? &b->lock : &a->lock);
    }
}

static void unlock_both(PageCode *a, PageCode *b)
{
    pthread_mutex_unlock(&a->lock);
    if (a != b) {
        pthread_mutex_unlock(&b->lock);
    }
}

static void link_in(TcgLink *l, Block *to)
{
    LinkIn *in = g_new(LinkIn, 1);

    *in = (LinkIn){ l, tcg_code_chunk_of(to->unit->code, l), to->in };
    to->in = in;
}

static void link_cross(TcgVcpu *v, TcgLink *l, Block *to)
{
    const void *token;

    if (__atomic_load_n(&l->to, __ATOMIC_RELAXED) != &to->tb) {
        link_in(l, to);                                 /* once more than needed when two targets take turns */
        __atomic_store_n(&l->to, &to->tb, __ATOMIC_RELAXED);
    }
    tcg_link_set(v->unit->code, l, &to->tb, v->env->generation);
    if (tcg_link_restless(l) && to->variant == VAR_NORMAL) {
        token = exec_confirm(v->ctx[0]->x, v->env->pc & ~0xfffull);
        v->env->fetch = v->ctx[0]->x->fetch ? v->ctx[0]->x->fetch : v->env->fetch;
        if (token) {
            tcg_link_confirm(l, &to->tb, token);
        }
    }
}

void block_link(TcgVcpu *v, TcgLink *l, Block *to)
{
    Block *from = (Block *)l->from;

    if (from->checked || to->checked || from->variant != to->variant || from->variant == VAR_ONE || from->unit != to->unit) {
        return;
    }
    if (!l->cross_page && from->page != to->page) {
        return;                                         /* the mapping has changed under the running block */
    }
    lock_both(from->page, to->page);
    if (!from->tb.dead && !__atomic_load_n(&to->tb.dead, __ATOMIC_ACQUIRE)) {
        if (l->cross_page) {
            link_cross(v, l, to);
        } else if (!l->to) {
            link_in(l, to);
            tcg_link_set(v->unit->code, l, &to->tb, 0);
        }
        v->count.links++;
    }
    unlock_both(from->page, to->page);
}

/* ---- translate ---- */

static const uint8_t *next_page(TransCtx *tc)
{
    const ExecPage *p = exec_find(vcpu_of(tc->cpu)->ctx[0]->x, (tc->pc & ~0xfffull) + 4096);

    return p ? p->code->host : NULL;
}

void tcg_forget_code(Cpu *cpu, vaddr va, unsigned len)
{
    TcgVcpu *v = vcpu_of(cpu);
    const ExecPage *p = exec_find(v->ctx[0]->x, va & ~0xfffull);

    if (p) {
        page_written(v->st, p->code, p->code->ram_page << MEM_PAGE_BITS | (va & 0xfff), len);
    }
}

static void log_insns(TcgVcpu *v, const TransCtx *tc)
{
    uint32_t off = tc->off, end = tc->off + tc->ir->code_bytes;
    char text[128];

    log_print("-- block at 0x%" PRIx64 " key 0x%" PRIx64 " (%u instructions)", tc->pc, (uint64_t)tc->key, tc->ir->ninsns);
    while (off < end && v->ops->disassemble) {
        int n = v->ops->disassemble(tc->key, tc->page + off, end - off, (tc->pc & ~0xfffull) + off, text, sizeof(text));

        if (n <= 0) {
            break;
        }
        log_print("0x%08" PRIx64 ":  %s", (uint64_t)((tc->pc & ~0xfffull) + off), text);
        off += (uint32_t)n;
    }
}

static void log_ir(const IrBlock *ir)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    ir_print(f, ir);
    fclose(f);
    log_print("%s", text);
    free(text);
}

static void front_end(TcgVcpu *v, const PageCode *p, vaddr pc, uint64_t key, uint32_t variant, unsigned max_insns)
{
    IrBlock *ir = tcg_ctx_ir(v->compiler);
    g_autofree uint32_t *breaks = variant >= VAR_BREAK ? debug_page_breaks(v->st, pc) : NULL;
    g_autofree uint32_t *own = variant >= VAR_BREAK && v->own & 1 ? v->ops->own_breaks(v->cpu, pc & ~0xfffull) : NULL;
    TransCtx tc = {
        .cpu = v->cpu, .ir = ir, .key = key, .page = p->host, .off = pc & 0xfff, .pc = pc,
        .max_insns = max_insns,
        .breaks = breaks, .own_breaks = own, .step_over = variant == VAR_ONE, .next_page = next_page,
    };

    ir_begin(ir, v->ops->tcg, tc.off);
    ir->nan_mode = v->ops->nan_mode(key);
    ir->icount = v->st->icount || (v->ops->counted && v->ops->counted(key));
    ir->no_groups = __atomic_load_n(&p->no_groups, __ATOMIC_RELAXED) >> (tc.off >> GRANULE_BITS) & 1;
    v->ops->translate(&tc);
    if (log_enabled(LOG_IN)) {
        log_insns(v, &tc);
    }
    if (log_enabled(LOG_IR)) {
        log_ir(ir);
    }
}

/* False: code memory is full. */
static bool emit_block(TcgVcpu *v, Block *b, vaddr pc)
{
    unsigned insns = b->variant == VAR_ONE || v->st->one_insn ? 1 : b->checked ? MAX_INSNS_HOT : MAX_INSNS;
    TcgCompiled r;

    do {
        memset(&b->tb, 0, sizeof(b->tb));
        front_end(v, b->page, pc, b->key, b->variant, insns);
        b->counted = tcg_ctx_ir(v->compiler)->icount;
        r = tcg_compile(v->compiler, &b->tb);
        if (r == TCG_TOO_BIG) {
            v->count.too_big++;
            assert(insns > 1);                          /* an instruction fits into a chunk */
            insns /= 2;
        }
    } while (r == TCG_AGAIN || r == TCG_TOO_BIG);
    return r == TCG_COMPILED;
}

static Block *compile(TcgVcpu *v, PageCode *p, vaddr pc, uint64_t key, uint32_t variant, bool checked)
{
    uint64_t start = tcg_now_ns();
    Block *b = g_new0(Block, 1);

    b->page = p;
    b->unit = v->unit;
    b->key = key;
    b->variant = variant;
    b->checked = checked;
    if (!emit_block(v, b, pc)) {
        g_free(b);
        return NULL;
    }
    if (checked) {
        b->copy = g_memdup2(p->host + b->tb.page_off, b->tb.guest_bytes);
    }
    /* its return addresses are known before anybody can run it */
    range_add(b, 0, b->tb.entry, b->tb.code_size);
    if (b->tb.cold != b->tb.entry) {
        range_add(b, 1, b->tb.cold, b->tb.cold_size);
    }
    block_in_chunks(b);
    if (log_enabled(LOG_OUT)) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        tcg_dump_host(f, tcg_host_find(v->st->host_name), &b->tb);
        fclose(f);
        log_print("%s", text);
        free(text);
    }
    v->count.blocks++;
    v->count.insns += b->tb.ninsns;
    v->count.host_bytes += b->tb.code_size + b->tb.cold_size;
    v->count.translate_ns += tcg_now_ns() - start;
    return b;
}

/* Publish b unless the page changed meanwhile (NULL) or somebody was faster (his). */
static Block *publish(TcgVcpu *v, PageCode *p, Block *b, uint32_t version)
{
    uint32_t off = b->tb.page_off, bytes = MAX(b->tb.guest_bytes, 1u);
    Block **bucket = &p->bucket[off >> PAGE_BUCKET_BITS], *other;

    pthread_mutex_lock(&p->lock);
    other = block_find(p, b->unit, off, b->key, b->variant);
    if (other || (!b->checked && __atomic_load_n(&p->version, __ATOMIC_SEQ_CST) != version)) {
        v->count.lost++;
        b->tb.dead = true;                              /* nobody knows it; it goes with its chunks */
        b = other;
    } else {
        if (!b->checked) {
            uint64_t mask = (~0ull << (off >> GRANULE_BITS)) & (~0ull >> (63 - ((off + bytes - 1) >> GRANULE_BITS)));

            __atomic_fetch_or(&p->granules, mask, __ATOMIC_SEQ_CST);
        }
        b->next = *bucket;
        __atomic_store_n(bucket, b, __ATOMIC_RELEASE);
        p->nblocks++;
    }
    pthread_mutex_unlock(&p->lock);
    return b;
}

static void translating(TcgState *st, PageCode *p, int by)
{
    pthread_mutex_lock(&p->lock);
    __atomic_add_fetch(&p->translating, by, __ATOMIC_SEQ_CST);
    if (by < 0) {
        page_maybe_plain(st, p);
    }
    pthread_mutex_unlock(&p->lock);
}

/* One try: false when code memory is full. *out may be NULL: the bytes changed under our eyes. */
static bool translate_once(TcgVcpu *v, PageCode *p, vaddr pc, uint64_t key, uint32_t variant, bool checked, Block **out)
{
    uint32_t version;
    Block *b;

    if (!checked) {
        translating(v->st, p, 1);
        page_protect(v, p);
    }
    version = __atomic_load_n(&p->version, __ATOMIC_SEQ_CST);
    b = compile(v, p, pc, key, variant, checked);
    *out = NULL;
    if (b) {
        *out = publish(v, p, b, version);
    }
    if (!checked) {
        translating(v->st, p, -1);
    }
    return b != NULL;
}

Block *block_translate(TcgVcpu *v, PageCode *p, vaddr pc, uint64_t key, uint32_t variant)
{
    Block *b = NULL;

    for (unsigned tries = 0; !b; tries++) {
        bool checked = __atomic_load_n(&p->hot, __ATOMIC_RELAXED) || (tries > 3 && !v->st->icount);

        if (!translate_once(v, p, pc, key, variant, checked, &b)) {
            blocks_make_room(v);
        }
    }
    v->count.checked += b->checked;
    return b;
}

/* ---- code memory of a kind of processor ---- */

TcgUnit *unit_new(TcgState *st, const TcgCpuOps *ops, Error **errp)
{
    const TcgHost *host = tcg_host_find(st->host_name);
    TcgUnit *u;
    TcgCode *code;

    if (!host) {
        error_set(errp, "no back end '%s' for this host", st->host_name);
        return NULL;
    }
    code = tcg_code_new(host, ops->tcg, st->tb_size);
    if (!code) {
        error_set(errp, "no memory for %" PRIu64 " MiB of translated code", st->tb_size >> 20);
        return NULL;
    }
    u = g_new0(TcgUnit, 1);
    *u = (TcgUnit){ .st = st, .ops = ops, .code = code, .next = st->units };
    u->ranges = g_new0(HostRange *, 1 << RANGE_BITS);
    u->in_chunk = g_new0(InChunk *, tcg_code_chunks(code));
    tcg_code_set_mem_ops(code, &tcg_mem_ops);
    return st->units = u;
}

void unit_free(TcgUnit *u)
{
    blocks_free_all(u);
    tcg_code_free(u->code);
    g_free(u->in_chunk);
    g_free(u->ranges);
    g_free(u);
}
