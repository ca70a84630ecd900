/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of loads and stores.
 *
 * Generated code comes here when the inline TLB check does not match: a miss,
 * a page crossing, registers, a page with code, a watchpoint, an alignment
 * that is not there.  Both pages of a crossing access are looked up before the
 * first byte moves.  Nothing waits while a Span is held.
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"
#include "util/bswap.h"

/* ---- faults ---- */

uint16_t tcg_restore_here(Cpu *cpu)
{
    TcgVcpu *v = vcpu_of(cpu);
    TcgEnv *env = v->env;

    if (env->fault_ra) {
        Block *b = block_of_ra(v, env->fault_ra);
        unsigned begun = 0;

        v->word = tcg_restore(env, v->unit->code, &b->tb, &begun);
        v->begun = begun;
        v->left_ninsns = b->counted ? b->tb.ninsns : begun;
    }
    return v->word;
}

bool mem_fault(TcgVcpu *v, vaddr va, AccType acc, unsigned idx)
{
    uint16_t word = tcg_restore_here(v->cpu);

    v->ops->raise_fault(v->cpu, va, acc, idx, word);
    return false;
}

bool mem_bus(TcgVcpu *v, vaddr va, paddr pa, AccType acc)
{
    uint16_t word = tcg_restore_here(v->cpu);

    v->ops->raise_bus(v->cpu, va, pa, acc, word);
    return false;
}

bool mem_retry(TcgVcpu *v)
{
    tcg_restore_here(v->cpu);
    v->count.retries++;
    v->one = true;
    v->env->exc = TCG_EXC_RETRY;
    return false;
}

bool mem_align_fault(TcgVcpu *v, vaddr va, AccType acc, unsigned idx)
{
    uint16_t word = tcg_restore_here(v->cpu);

    v->ops->raise_align(v->cpu, va, acc, idx, word);
    return false;
}

bool mem_aligned(TcgVcpu *v, vaddr va, IrMem m, AccType acc)
{
    uint64_t mask = (1u << IR_MEM_ALIGN_OF(m)) - 1;

    return !(va & mask) || (m & IR_MEM_WITHIN16 && (va & 15) + mask < 16) || mem_align_fault(v, va, acc, IR_MEM_IDX_OF(m));
}

/* Exact counts and watchpoints need the access to be the whole block. */
static bool alone(TcgVcpu *v)
{
    return !v->env->fault_ra || block_of_ra(v, v->env->fault_ra)->variant == VAR_ONE;
}

/* ---- registers ---- */

static unsigned io_size(uint64_t at, unsigned left)
{
    unsigned n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;

    return n;
}

static bool io_ready(TcgVcpu *v)
{
    v->count.io++;
    if (v->st->icount && v->env->fault_ra) {
        if (!alone(v)) {
            return mem_retry(v);
        }
        tcg_sync_time(v->cpu);
    }
    return true;
}

static bool io_read(TcgVcpu *v, const Span *s, vaddr va, unsigned len, uint8_t *buf)
{
    if (!io_ready(v)) {
        return false;
    }
    for (unsigned done = 0, n; done < len; done += n) {
        uint64_t val;

        n = io_size(s->at + done, len - done);
        if (mem_io_read(s->region, s->at + done, n, &val, MEM_ATTRS_CPU(v->index)) != MEM_OK) {
            return mem_bus(v, va, s->pa + done, ACC_LOAD);
        }
        memcpy(buf + done, &val, n);
    }
    return true;
}

static bool io_write(TcgVcpu *v, const Span *s, vaddr va, unsigned len, const uint8_t *buf)
{
    if (!io_ready(v)) {
        return false;
    }
    for (unsigned done = 0, n; done < len; done += n) {
        uint64_t val = 0;

        n = io_size(s->at + done, len - done);
        memcpy(&val, buf + done, n);
        if (mem_io_write(s->region, s->at + done, n, val, MEM_ATTRS_CPU(v->index)) != MEM_OK) {
            return mem_bus(v, va, s->pa + done, ACC_STORE);
        }
    }
    return true;
}

/* ---- memory ---- */

/* One move instruction for each size, so that what is aligned is single-copy atomic. */
__attribute__((no_sanitize("thread"))) static void copy_atomic(void *to, const void *from, unsigned len)
{
    typedef uint64_t Two __attribute__((vector_size(16), aligned(1)));
    typedef uint64_t U64 __attribute__((aligned(1), may_alias));
    typedef uint32_t U32 __attribute__((aligned(1), may_alias));
    typedef uint16_t U16 __attribute__((aligned(1), may_alias));

    switch (len) {
    case 1: *(volatile uint8_t *)to = *(const volatile uint8_t *)from; break;
    case 2: *(volatile U16 *)to = *(const volatile U16 *)from; break;
    case 4: *(volatile U32 *)to = *(const volatile U32 *)from; break;
    case 8: *(volatile U64 *)to = *(const volatile U64 *)from; break;
    case 16: *(volatile Two *)to = *(const volatile Two *)from; break;
    case 32:
        copy_atomic(to, from, 16);
        copy_atomic((char *)to + 16, (const char *)from + 16, 16);
        break;
    default:
        for (unsigned i = 0; i < len; i++) {
            ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
        }
    }
}

bool mem_store_ok(TcgVcpu *v, const Span *s, vaddr va, unsigned len)
{
    PageCode *p;

    if (!(s->flags & TLB_CODE) || !v->env->fault_ra) {
        return true;
    }
    p = page_find(v->st, s->at >> MEM_PAGE_BITS);
    if (p && page_hits(p, s->at & 0xfff, len)) {
        const Block *b = block_of_ra(v, v->env->fault_ra);
        uint64_t off = s->at & 0xfff;

        /* the rest of the running block may be what is overwritten: make the store in a block of its own */
        if (b->page == p && b->variant != VAR_ONE && b->tb.page_off < off + len && off < b->tb.page_off + b->tb.guest_bytes) {
            return mem_retry(v);
        }
    }
    return true;
}

void mem_store_done(TcgVcpu *v, const Span *s, vaddr va, unsigned len)
{
    if (s->flags & TLB_CLEAN) {
        Memory *mem = v->st->m->mem;
        Ctx *c = NULL;

        mem_dirty_set(mem, mem_dirty_logging(mem) & ~DIRTY_MASK(DIRTY_CODE), s->at, len);
        for (unsigned i = 0; i < v->ops->nmmu; i++) {
            TlbEntry *e = &(c = v->ctx[i])->fast.store[(va >> 12) & (TLB_SIZE - 1)];

            if ((e->tag & ~0xfffull) == (va & ~0xfffull) && !(e->tag & TLB_INVALID)) {
                e->tag &= ~(uint64_t)TLB_CLEAN;
            }
        }
    }
    if (s->flags & TLB_CODE) {
        PageCode *p = page_find(v->st, s->at >> MEM_PAGE_BITS);

        v->count.code_store++;
        if (p) {
            if (__atomic_load_n(&p->monitored, __ATOMIC_SEQ_CST)) {
                monitor_break(v->st, p, s->at, len, v);
            }
            if (page_hits(p, s->at & 0xfff, len)) {
                v->count.code_hit++;
            }
            page_written(v->st, p, s->at, len);
        }
    }
}

static bool odd(vaddr va, unsigned len)
{
    return va & (len - 1) && !(len & (len - 1));
}

/* Bytes that are aligned for themselves. */
static unsigned unit_of(IrMem m)
{
    return 1u << IR_MEM_UNIT_OF(m);
}

/* What must be settled before the access is made; false: leave. */
static bool before(TcgVcpu *v, const Span *s, vaddr va, unsigned len, unsigned unit, AccType acc, unsigned idx)
{
    if (s->flags & TLB_SLOW && odd(va, unit)) {
        return mem_align_fault(v, va, acc, idx);        /* device memory: unaligned accesses are faults */
    }
    if (s->flags & TLB_WATCH && debug_watch(v, va, len, acc, idx)) {
        return false;
    }
    return acc != ACC_STORE || s->region || mem_store_ok(v, s, va, len);
}

/* The page of va, where an access of units of so many bytes at `from` is to be made. */
static bool span_for(TcgVcpu *v, vaddr va, AccType acc, unsigned idx, Span *s, vaddr from, unsigned unit)
{
    if (tlb_span(v, va, acc, idx, false, s)) {
        return true;
    }
    return v->fault_device && odd(from, unit) ? mem_align_fault(v, from, acc, idx) : mem_fault(v, va, acc, idx);
}

static bool span(TcgVcpu *v, vaddr va, AccType acc, unsigned idx, Span *s, unsigned unit)
{
    return span_for(v, va, acc, idx, s, va, unit);
}

static bool get(TcgVcpu *v, const Span *s, vaddr va, unsigned len, uint8_t *buf)
{
    if (s->region) {
        return io_read(v, s, va, len, buf);
    }
    copy_atomic(buf, s->host, len);
    return true;
}

static bool put(TcgVcpu *v, const Span *s, vaddr va, unsigned len, const uint8_t *buf)
{
    if (s->region) {
        return io_write(v, s, va, len, buf);
    }
    if (s->flags & TLB_CODE) {
        pthread_mutex_t *lock = NULL;
        PageCode *p = page_find(v->st, s->at >> MEM_PAGE_BITS);

        if (p && __atomic_load_n(&p->monitored, __ATOMIC_SEQ_CST)) {
            lock = monitor_lock(v->st, s->at);
            pthread_mutex_lock(lock);
        }
        copy_atomic(s->host, buf, len);
        mem_store_done(v, s, va, len);
        if (lock) {
            pthread_mutex_unlock(lock);
        }
        return true;
    }
    copy_atomic(s->host, buf, len);
    mem_store_done(v, s, va, len);
    return true;
}

static unsigned first_part(vaddr va, unsigned len)
{
    unsigned room = (unsigned)(4096 - (va & 0xfff));

    return len < room ? len : room;
}

/*
 * The page of va + n, behind the one that a spans.  An alignment that the first byte's memory asks for comes before all that is wrong there; what memory
 * the last bytes are does not count (of an access to two types it may be either, or each for itself).
 */
static bool span_rest(TcgVcpu *v, const Span *a, vaddr va, unsigned n, unsigned unit, AccType acc, unsigned idx, Span *b)
{
    if (a->flags & TLB_SLOW && odd(va, unit)) {
        return mem_align_fault(v, va, acc, idx);
    }
    return span_for(v, va + n, acc, idx, b, va, 1);
}

static bool read_units(TcgVcpu *v, vaddr va, unsigned len, unsigned unit, unsigned idx, void *buf)
{
    unsigned n = first_part(va, len);
    Span a, b = {};

    if (!span(v, va, ACC_LOAD, idx, &a, unit) || (n < len && !span_rest(v, &a, va, n, unit, ACC_LOAD, idx, &b))) {
        return false;
    }
    if ((a.flags & (TLB_SLOW | TLB_WATCH) && !before(v, &a, va, len, unit, ACC_LOAD, idx)) || (n < len && b.flags & TLB_WATCH && debug_watch(v, va + n, len - n, ACC_LOAD, idx))) {
        return false;
    }
    return get(v, &a, va, n, buf) && (n == len || get(v, &b, va + n, len - n, (uint8_t *)buf + n));
}

static bool write_units(TcgVcpu *v, vaddr va, unsigned len, unsigned unit, unsigned idx, const void *buf)
{
    unsigned n = first_part(va, len);
    Span a, b = {};

    if (!span(v, va, ACC_STORE, idx, &a, unit) || (n < len && !span_rest(v, &a, va, n, unit, ACC_STORE, idx, &b))) {
        return false;
    }
    if ((a.flags && !before(v, &a, va, n, unit, ACC_STORE, idx)) || (n < len && b.flags && !before(v, &b, va + n, len - n, 1, ACC_STORE, idx))) {
        return false;
    }
    return put(v, &a, va, n, buf) && (n == len || put(v, &b, va + n, len - n, (const uint8_t *)buf + n));
}

bool mem_read(TcgVcpu *v, vaddr va, unsigned len, unsigned idx, void *buf)
{
    return read_units(v, va, len, len, idx, buf);
}

bool mem_write(TcgVcpu *v, vaddr va, unsigned len, unsigned idx, const void *buf)
{
    return write_units(v, va, len, len, idx, buf);
}

/* ---- values ---- */

static uint64_t sign_extend(uint64_t x, unsigned bits)
{
    return bits == 64 ? x : (uint64_t)((int64_t)(x << (64 - bits)) >> (64 - bits));
}

static uint64_t element(const uint8_t *p, unsigned size, IrMem m)
{
    uint64_t x = 0;

    memcpy(&x, p, size);
    if (m & IR_MEM_BE) {
        x = bswap64(x) >> (64 - size * 8);
    }
    return m & IR_MEM_SIGN ? sign_extend(x, size * 8) : x;
}

static void swap_wide(uint8_t *p, unsigned size)
{
    for (unsigned i = 0; i < size / 2; i++) {
        uint8_t t = p[i];

        p[i] = p[size - 1 - i];
        p[size - 1 - i] = t;
    }
}

/* Element sizes of more than 8 bytes take several words of arg[] or ret[]. */
static void unpack(uint64_t *ret, uint8_t *buf, unsigned size, unsigned n, IrMem m)
{
    if (size <= 8) {
        for (unsigned i = 0; i < n; i++) {
            ret[i] = element(buf + i * size, size, m);
        }
        for (unsigned i = n; i < 4; i++) {
            ret[i] = 0;
        }
        return;
    }
    for (unsigned i = 0; i < n && m & IR_MEM_BE; i++) {
        swap_wide(buf + i * size, size);
    }
    memcpy(ret, buf, size * n);
}

static void pack(uint8_t *buf, const uint64_t *arg, unsigned size, unsigned n, IrMem m)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(buf + i * size, size <= 8 ? &arg[i] : &arg[i * (size / 8)], size);
        if (m & IR_MEM_BE) {
            swap_wide(buf + i * size, size);
        }
    }
}

void mem_put_raw(TcgVcpu *v, uint8_t *host, const uint64_t *val, unsigned size, IrMem m)
{
    uint8_t buf[16] __attribute__((aligned(16)));

    pack(buf, val, size, 1, m);
    copy_atomic(host, buf, size);
}

/* ---- TcgMemOps ---- */

static bool mem_load_pair(TcgVcpu *v, vaddr va, unsigned size, unsigned idx, uint8_t *buf)
{
    unsigned n = first_part(va, 2 * size);
    Span s, e;

    /* registers: an access for each element, in order */
    if (!span(v, va, ACC_LOAD, idx, &s, size)) {
        return false;
    }
    if (n == 2 * size && !s.region && !(s.flags & TLB_SLOW)) {
        return mem_read(v, va, 2 * size, idx, buf);
    }
    if (n < 2 * size && !span_rest(v, &s, va, n, size, ACC_LOAD, idx, &e)) {
        return false;
    }
    return mem_read(v, va, size, idx, buf) && mem_read(v, va + size, size, idx, buf + size);
}

/*
 * Accesses of a group take the slow path one by one while its bytes lie on both sides of a page end, for a structure in a loop for
 * ever.  When they do little else, the block is made anew without groups.
 */
static void ungroup(TcgVcpu *v)
{
    uint64_t now = tcg_now_ns(), since = v->needless_since;
    Block *b;

    v->needless = 0;
    v->needless_since = now;
    if (now - since > v->st->needless_ns || !v->env->fault_ra || !tcg_code_groups(v->unit->code)) {
        return;
    }
    b = block_of_ra(v, v->env->fault_ra);
    if (b->variant == VAR_NORMAL && !b->checked && !b->tb.dead) {
        __atomic_fetch_or(&b->page->no_groups, 1ull << (b->tb.page_off >> GRANULE_BITS), __ATOMIC_RELAXED);
        block_drop(b->page, b);
        v->count.ungrouped++;
    }
}

static bool slow_load(TcgEnv *env, IrMem m, unsigned n)
{
    TcgVcpu *v = vcpu_of_env(env);
    unsigned size = 1u << IR_MEM_SIZE(m), idx = IR_MEM_IDX_OF(m);
    vaddr va = env->arg[0];
    uint8_t buf[64] __attribute__((aligned(32)));

    v->count.slow_load++;
    if (G_UNLIKELY(v->needless >= NEEDLESS)) {
        ungroup(v);
    }
    if (!mem_aligned(v, va, m, ACC_LOAD)) {
        return false;
    }
    if (!(n == 1 ? read_units(v, va, size, unit_of(m), idx, buf) : mem_load_pair(v, va, size, idx, buf))) {
        return false;
    }
    unpack(env->ret, buf, size, n, m);
    return true;
}

/* Stores of several elements look at every page before the first byte. */
static bool store_pair(TcgVcpu *v, vaddr va, unsigned size, unsigned idx, const uint8_t *buf)
{
    unsigned n = first_part(va, 2 * size);
    Span s, e = {};

    if (!span(v, va, ACC_STORE, idx, &s, size) || (n < 2 * size && !span_rest(v, &s, va, n, size, ACC_STORE, idx, &e))) {
        return false;
    }
    if (!s.region && !e.region && !(s.flags & TLB_SLOW)) {      /* device memory: each element is aligned for itself */
        return mem_write(v, va, 2 * size, idx, buf);
    }
    return mem_write(v, va, size, idx, buf) && mem_write(v, va + size, size, idx, buf + size);
}

static bool slow_store(TcgEnv *env, IrMem m, unsigned n)
{
    TcgVcpu *v = vcpu_of_env(env);
    unsigned size = 1u << IR_MEM_SIZE(m), idx = IR_MEM_IDX_OF(m);
    vaddr va = env->arg[0];
    uint8_t buf[64] __attribute__((aligned(32)));

    v->count.slow_store++;
    if (G_UNLIKELY(v->needless >= NEEDLESS)) {
        ungroup(v);
    }
    if (!mem_aligned(v, va, m, ACC_STORE)) {
        return false;
    }
    pack(buf, &env->arg[1], size, n, m);
    return n == 1 ? write_units(v, va, size, unit_of(m), idx, buf) : store_pair(v, va, size, idx, buf);
}

static bool slow_probe(TcgEnv *env, IrMem m, unsigned bytes, bool write)
{
    TcgVcpu *v = vcpu_of_env(env);
    vaddr va = env->arg[0], last = va + (bytes ? bytes - 1 : 0);
    AccType acc = write ? ACC_STORE : ACC_LOAD;
    Span s;

    if (!mem_aligned(v, va, m, acc)) {
        return false;
    }
    for (vaddr at = va;; at = (at & ~0xfffull) + 4096) {
        if (!span(v, at, acc, IR_MEM_IDX_OF(m), &s, at == va ? unit_of(m) : 1)) {
            return false;
        }
        if (s.flags & TLB_SLOW && odd(va, unit_of(m))) {
            return mem_align_fault(v, at, acc, IR_MEM_IDX_OF(m));
        }
        if ((at ^ last) >> 12 == 0) {
            return true;
        }
    }
}

const TcgMemOps tcg_mem_ops = { .load = slow_load, .store = slow_store, .cas = atomic_cas, .rmw = atomic_rmw, .probe = slow_probe };

/* ---- what routines call ---- */

bool tcg_load(Cpu *cpu, vaddr va, IrMem m, uint64_t *val)
{
    TcgVcpu *v = vcpu_of(cpu);
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t buf[32];
    uint64_t out[4];

    if (!mem_aligned(v, va, m, ACC_LOAD) || !mem_read(v, va, size, IR_MEM_IDX_OF(m), buf)) {
        return false;
    }
    unpack(out, buf, size, 1, m);
    memcpy(val, out, MAX(size, 8u));
    return true;
}

bool tcg_store(Cpu *cpu, vaddr va, IrMem m, uint64_t val)
{
    TcgVcpu *v = vcpu_of(cpu);
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t buf[8];

    if (!mem_aligned(v, va, m, ACC_STORE)) {
        return false;
    }
    pack(buf, &val, MIN(size, 8u), 1, m);
    return mem_write(v, va, MIN(size, 8u), IR_MEM_IDX_OF(m), buf);
}

void *tcg_probe_host(Cpu *cpu, vaddr va, unsigned len, AccType acc, unsigned mmu_idx)
{
    TcgVcpu *v = vcpu_of(cpu);
    Span s;

    if (first_part(va, len) < len || acc == ACC_FETCH || !tlb_span(v, va, acc, mmu_idx, true, &s) || s.region || s.flags) {
        return NULL;
    }
    return s.host;
}
