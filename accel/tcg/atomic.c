/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of atomic operations.
 *
 * In memory within one 16-byte unit: the host's own compare-and-exchange on
 * the aligned word around the operand (never a locked access across a cache
 * line).  Elsewhere, pages crossing and registers: an exclusive section.
 */
#include <string.h>

#include "accel/tcg/tcg-priv.h"
#include "util/bswap.h"

static uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

static int64_t as_signed(uint64_t x, unsigned size)
{
    return (int64_t)(x << (64 - size * 8)) >> (64 - size * 8);
}

uint64_t rmw_apply(IrRmw op, unsigned size, uint64_t old, uint64_t x)
{
    x &= size_mask(size);
    switch (op) {
    case IR_RMW_XCHG: return x;
    case IR_RMW_ADD: return (old + x) & size_mask(size);
    case IR_RMW_AND: return old & x;
    case IR_RMW_CLR: return old & ~x;
    case IR_RMW_OR: return old | x;
    case IR_RMW_XOR: return old ^ x;
    case IR_RMW_SMAX: return as_signed(old, size) > as_signed(x, size) ? old : x;
    case IR_RMW_SMIN: return as_signed(old, size) < as_signed(x, size) ? old : x;
    case IR_RMW_UMAX: return old > x ? old : x;
    case IR_RMW_UMIN: return old < x ? old : x;
    }
    return old;
}

/* One operation, whatever its kind: new value from old; false: leave memory alone. */
typedef struct AtomicOp {
    unsigned size, n;           /* n elements */
    bool is_cas, be;
    IrRmw rmw;
    uint64_t expected[2], val[2];
    uint64_t old[2];            /* result, as values */
} AtomicOp;

static uint64_t to_value(const AtomicOp *a, const uint8_t *p)
{
    uint64_t x = 0;

    memcpy(&x, p, a->size);
    return a->be ? bswap64(x) >> (64 - a->size * 8) : x;
}

static void from_value(const AtomicOp *a, uint8_t *p, uint64_t x)
{
    if (a->be) {
        x = bswap64(x) >> (64 - a->size * 8);
    }
    memcpy(p, &x, a->size);
}

static bool compute(AtomicOp *a, uint8_t *bytes)
{
    for (unsigned i = 0; i < a->n; i++) {
        a->old[i] = to_value(a, bytes + i * a->size);
    }
    if (!a->is_cas) {
        from_value(a, bytes, rmw_apply(a->rmw, a->size, a->old[0], a->val[0]));
        return true;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (a->old[i] != (a->expected[i] & size_mask(a->size))) {
            return false;
        }
    }
    for (unsigned i = 0; i < a->n; i++) {
        from_value(a, bytes + i * a->size, a->val[i]);
    }
    return true;
}

/* The operand lies in the aligned unit of 8 bytes. */
static void in_word(AtomicOp *a, uint8_t *host)
{
    unsigned off = (uintptr_t)host & 7;
    uint64_t *word = (uint64_t *)(host - off), old = __atomic_load_n(word, __ATOMIC_SEQ_CST), new;

    do {
        new = old;
        if (!compute(a, (uint8_t *)&new + off)) {
            return;
        }
    } while (!__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

/* ... of 16 bytes. */
static void in_pair(AtomicOp *a, uint8_t *host)
{
    unsigned off = (uintptr_t)host & 15;
    unsigned __int128 *pair = (unsigned __int128 *)(host - off), seen, old = *pair, new;

    for (;;) {
        new = old;
        if (!compute(a, (uint8_t *)&new + off)) {
            new = old;                                  /* a torn first look must not decide: swap it with itself */
        }
        seen = __sync_val_compare_and_swap(pair, old, new);
        if (seen == old) {
            return;
        }
        old = seen;
    }
}

typedef struct Exclusive {
    TcgVcpu *v;
    AtomicOp *a;
    vaddr va;
    unsigned idx, len;
    bool ok;
} Exclusive;

static void exclusively(void *data)
{
    Exclusive *x = data;
    uint8_t bytes[16];

    flush_drain(x->v);
    x->ok = mem_read(x->v, x->va, x->len, x->idx, bytes) && (!compute(x->a, bytes) || mem_write(x->v, x->va, x->len, x->idx, bytes));
}

static AccType first_access(const TcgVcpu *v)
{
    return v->ops->atomic_reads ? ACC_LOAD : ACC_STORE;
}

static bool writable(TcgVcpu *v, vaddr va, unsigned idx, unsigned len, Span *s)
{
    AccType acc = ACC_STORE;

    if (tlb_span(v, va, ACC_STORE, idx, false, s)) {
        return true;
    }
    if (v->ops->atomic_reads) {
        if (!tlb_span(v, va, ACC_LOAD, idx, false, s)) {
            acc = ACC_LOAD;
        } else if (tlb_span(v, va, ACC_STORE, idx, false, s)) {
            return true;
        }
    }
    return v->fault_device && va & (len - 1) ? mem_align_fault(v, va, first_access(v), idx) : mem_fault(v, va, acc, idx);
}

static bool perform(TcgVcpu *v, vaddr va, IrMem m, AtomicOp *a)
{
    unsigned len = a->size * a->n, idx = IR_MEM_IDX_OF(m);
    Span s;

    if (!mem_aligned(v, va, m, first_access(v))) {
        return false;
    }
    if (!writable(v, va, idx, len, &s)) {
        return false;
    }
    if (s.flags & TLB_SLOW && va & (len - 1)) {
        return mem_align_fault(v, va, first_access(v), idx);    /* device memory */
    }
    if (s.flags & TLB_WATCH && (debug_watch(v, va, len, ACC_LOAD, idx) || debug_watch(v, va, len, ACC_STORE, idx))) {
        return false;
    }
    if (s.region || ((uintptr_t)s.host & 15) + len > 16) {
        Exclusive x = { v, a, va, idx, len, false };

        vcpu_exclusive(v->st->m, exclusively, &x);
        flush_drain(v);
        return x.ok;
    }
    if (!mem_store_ok(v, &s, va, len)) {
        return false;
    }
    if (s.flags & TLB_CODE) {
        pthread_mutex_t *lock = monitor_lock(v->st, s.at);

        pthread_mutex_lock(lock);
        (((uintptr_t)s.host & 7) + len <= 8 ? in_word : in_pair)(a, s.host);
        mem_store_done(v, &s, va, len);
        pthread_mutex_unlock(lock);
        return true;
    }
    (((uintptr_t)s.host & 7) + len <= 8 ? in_word : in_pair)(a, s.host);
    mem_store_done(v, &s, va, len);
    return true;
}

bool atomic_cas(TcgEnv *env, IrMem m, unsigned n)
{
    AtomicOp a = { .size = 1u << IR_MEM_SIZE(m), .n = n, .is_cas = true, .be = m & IR_MEM_BE };

    for (unsigned i = 0; i < n; i++) {
        a.expected[i] = env->arg[1 + i];
        a.val[i] = env->arg[1 + n + i];
    }
    if (!perform(vcpu_of_env(env), env->arg[0], m, &a)) {
        return false;
    }
    env->ret[0] = a.old[0];
    env->ret[1] = a.old[1];
    return true;
}

bool atomic_rmw(TcgEnv *env, IrMem m, IrRmw op)
{
    AtomicOp a = { .size = 1u << IR_MEM_SIZE(m), .n = 1, .rmw = op, .be = m & IR_MEM_BE, .val = { env->arg[1] } };

    if (!perform(vcpu_of_env(env), env->arg[0], m, &a)) {
        return false;
    }
    env->ret[0] = m & IR_MEM_SIGN ? (uint64_t)as_signed(a.old[0], a.size) : a.old[0];
    return true;
}
