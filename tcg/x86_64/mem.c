/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the soft TLB check in line, everything else out of line.
 *
 * The check leaves the entry's addend in a scratch register; an access is then
 * [addend + address].  A slow path puts its arguments into env->arg and calls a
 * thunk that keeps every register but does not come back when the guest faults.
 */
#include <assert.h>

#include "tcg/x86_64/emit.h"

typedef struct Access {
    IrMem m;
    unsigned bytes;             /* in all */
    int base;                   /* register of the guest address, before disp */
    int32_t disp;
    int addend;                 /* register, once checked */
    int tag;                    /* first member of a group: scratch of the check, free until `back` */
    uint8_t *miss[2];           /* forward jumps to the cold path */
    unsigned nmiss;
    const Group *group;         /* NULL: alone */
    bool keep;                  /* the addend is needed by later members */
} Access;

static void miss_if(Emit *e, Access *a, unsigned cc)
{
    jcc_to(&e->a, cc, e->a.p);
    a->miss[a->nmiss++] = e->a.p;
}

static void land_misses(Emit *e, const Access *a)
{
    for (unsigned k = 0; k < a->nmiss; k++) {
        land_near(a->miss[k], e->a.p);
    }
}

/* The address register plus displacement into r. */
static void address_to(Emit *e, const Access *a, int r, int32_t more)
{
    if (a->disp + more) {
        lea(&e->a, true, r, mem_bd(a->base, a->disp + more));
    } else if (r != a->base) {
        mov_rr(&e->a, true, r, a->base);
    }
}

/* A later member of a group: is the addend there? */
static void group_check(Emit *e, Access *a)
{
    a->addend = ra_use(e, a->group->val);
    test_rr(&e->a, true, a->addend, a->addend);
    miss_if(e, a, CC_E);
}

/* Check `write` access; a->addend is locked afterwards, the other scratch is free again. */
static void tlb_check(Emit *e, Access *a, bool write)
{
    unsigned align = IR_MEM_ALIGN_OF(a->m), idx = IR_MEM_IDX_OF(a->m);
    bool by_mask = align && (1u << align) >= a->bytes;      /* then no access crosses a page */
    int32_t lo = 0, last = (int32_t)a->bytes - 1, side;
    int tag, t, table = R15;

    if (a->group && a->group->first != e->i) {
        group_check(e, a);
        return;
    }
    tag = ra_temp(e);
    t = ra_temp(e);
    if (a->group) {
        lo = a->group->lo - a->disp;
        last = a->group->hi - a->disp - 1;
        write = a->group->store;
        ra_bind(e, a->group->val, t);
    }
    a->tag = tag;
    side = write ? (int32_t)offsetof(TlbFast, store) : 0;
    if (a->m & IR_MEM_SLOW) {
        jmp_to(&e->a, e->a.p);
        a->miss[a->nmiss++] = e->a.p;
    }
    if (align && !by_mask) {
        address_to(e, a, tag, 0);
        test_ri(&e->a, false, tag, (1 << align) - 1);
        miss_if(e, a, CC_NE);
    }
    address_to(e, a, t, lo);
    address_to(e, a, tag, by_mask ? 0 : last);
    shift_ri(&e->a, SH_SHR, false, t, 8);
    alu_ri(&e->a, ALU_AND, true, tag, by_mask ? -4096 | ((1 << align) - 1) : -4096);
    alu_ri(&e->a, ALU_AND, false, t, (TLB_SIZE - 1) * (int)sizeof(TlbEntry));
    if (idx) {
        alu_rm(&e->a, ALU_ADD, true, t, env_mem(offsetof(TcgEnv, tlb) + 8 * idx));
        alu_rm(&e->a, ALU_CMP, true, tag, mem_bd(t, side));
        miss_if(e, a, CC_NE);
        mov_rm(&e->a, true, t, mem_bd(t, side + 8));
    } else {
        alu_rm(&e->a, ALU_CMP, true, tag, mem_bid(table, t, side));
        miss_if(e, a, CC_NE);
        mov_rm(&e->a, true, t, mem_bid(table, t, side + 8));
    }
    a->addend = t;
    ra_unlock(e, tag);
}

static Access access_of(Emit *e, const IrOp *op, unsigned n)
{
    Access a = { .m = (IrMem)op->imm, .bytes = n << IR_MEM_SIZE(op->imm), .disp = e->disp[e->i] };

    if (e->group_of[e->i]) {
        a.group = &e->groups[e->group_of[e->i] - 1];
        a.keep = a.group->last > e->i;
    }
    a.base = ra_use(e, op->in[0]);
    return a;
}

static Mem at(const Access *a, int32_t more)
{
    return mem_bid(a->addend, a->base, a->disp + more);
}

/* In cold code: the address to arg[0], the descriptor to arg[7]. */
static void cold_address(Emit *e, const Access *a)
{
    if (a->disp) {
        /* the addend register is scratch here */
        lea(&e->a, true, a->addend, mem_bd(a->base, a->disp));
        mov_mr(&e->a, true, ENV(arg[0]), a->addend);
    } else {
        mov_mr(&e->a, true, ENV(arg[0]), a->base);
    }
    mov_mi(&e->a, true, ENV(arg[7]), (int32_t)a->m);
}

static void cold_call(Emit *e, unsigned which)
{
    call_to(&e->a, e->xc->mem[ra_live_xmm(e)][which]);
    side_record(e, false);
}

/* After the slow path of a first member: it has filled the TLB, so that most often the others can go the fast way. */
static void check_again(Emit *e, const Access *a, const uint8_t *back)
{
    int32_t side = a->group->store ? (int32_t)offsetof(TlbFast, store) : 0;

    address_to(e, a, a->addend, a->group->lo - a->disp);
    address_to(e, a, a->tag, a->group->hi - a->disp - 1);
    shift_ri(&e->a, SH_SHR, false, a->addend, 8);
    alu_ri(&e->a, ALU_AND, true, a->tag, -4096);
    alu_ri(&e->a, ALU_AND, false, a->addend, (TLB_SIZE - 1) * (int)sizeof(TlbEntry));
    alu_rm(&e->a, ALU_CMP, true, a->tag, mem_bid(R15, a->addend, side));
    mov_rm(&e->a, true, a->addend, mem_bid(R15, a->addend, side + 8));
    jcc_to(&e->a, CC_E, back);
}

/* Back to hot code; the group's later members must know that this one missed. */
static void cold_back(Emit *e, const Access *a, const uint8_t *back)
{
    if (a->keep) {
        if (a->group->first == e->i) {
            check_again(e, a, back);
        }
        mov_ri(&e->a, a->addend, 0);
    }
    jmp_to(&e->a, back);
}

static void end_access(Emit *e, const Access *a)
{
    go_hot(e);
    if (a->group && !a->keep) {
        ra_drop(e, a->group->val);
    }
}

static void cold_value(Emit *e, unsigned k, uint16_t v, unsigned type)
{
    store_val(e, env_mem(offsetof(TcgEnv, arg) + 8 * k), v, type == IR_I32 && !e->b->values[v].is_const && e->loc[v].reg != NOREG ? IR_I64 : type);
}

/* ---- one element between register and memory ---- */

static void load_elem(Emit *e, unsigned type, IrMem m, int d, Mem from)
{
    unsigned size = IR_MEM_SIZE(m);
    bool sign = m & IR_MEM_SIGN, w = type == IR_I64;

    if (d >= 16) {
        load_reg(e, d, from, size == 2 ? IR_F32 : size == 3 ? IR_F64 : IR_V128);
        return;
    }
    if ((m & IR_MEM_BE) && size) {
        if (size == 1) {
            op_rm(&e->a, M0F | 0xb7, false, d, from);
            put8(&e->a, 0x66);
            asm_head(&e->a, 0xc1, false, 0, 0, d, false);       /* rol d16, 8 */
            put8(&e->a, 0xc0 | (d & 7));
            put8(&e->a, 8);
            if (sign) {
                op_rr(&e->a, M0F | 0xbf, w, d, d);
            }
            return;
        }
        mov_rm(&e->a, size == 3, d, from);
        asm_head(&e->a, M0F | 0xc8 | (d & 7), size == 3, 0, 0, d, false);
        if (size == 2 && sign && w) {
            op_rr(&e->a, 0x63, true, d, d);
        }
        return;
    }
    switch (size) {
    case 0: op_rm(&e->a, M0F | (sign ? 0xbe : 0xb6), sign && w, d, from); break;
    case 1: op_rm(&e->a, M0F | (sign ? 0xbf : 0xb7), sign && w, d, from); break;
    case 2: op_rm(&e->a, sign && w ? 0x63 : 0x8b, sign && w, d, from); break;
    default: mov_rm(&e->a, true, d, from); break;
    }
}

/* The same from env->ret, which already is in host order. */
static void load_ret(Emit *e, unsigned type, IrMem m, int d, unsigned word)
{
    load_elem(e, type, m & ~(IrMem)IR_MEM_BE, d, env_mem(offsetof(TcgEnv, ret) + 8 * word));
}

static void store_elem(Emit *e, IrMem m, Mem to, int s)
{
    unsigned size = IR_MEM_SIZE(m);

    if (s >= 16) {
        store_reg(e, to, s, size == 2 ? IR_F32 : size == 3 ? IR_F64 : IR_V128);
        return;
    }
    switch (size) {
    case 0: op_rm8(&e->a, 0x88, s, to); break;
    case 1:
        put8(&e->a, 0x66);
        op_rm(&e->a, 0x89, false, s, to);
        break;
    default: mov_mr(&e->a, size == 3, to, s); break;
    }
}

/* Accesses that have no form in line. */
static bool odd(const IrOp *op, unsigned type)
{
    unsigned size = IR_MEM_SIZE(op->imm);

    return size > 4 || type == IR_V256 || type == IR_V64 || (is_xmm_type(type) && (op->imm & IR_MEM_BE)) ||
           (type == IR_V128 && size != 4) || (!is_xmm_type(type) && size > 3);
}

/* ---- loads and stores ---- */

static void emit_ld(Emit *e, const IrOp *op)
{
    Access a = access_of(e, op, 1);
    bool xmm = is_xmm_type(op->type);
    const uint8_t *back;
    int d = NOREG;

    if (odd(op, op->type)) {
        a.m |= IR_MEM_SLOW;
    }
    /* nothing may be evicted between the check and the way back from the cold path */
    if (xmm || a.group) {
        d = ra_def(e, op->out[0], NOREG, 0);
    }
    tlb_check(e, &a, false);
    if (d == NOREG) {
        d = ra_def(e, op->out[0], a.addend, 0);
    }
    load_elem(e, op->type, a.m, d, at(&a, 0));
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    cold_address(e, &a);
    cold_call(e, X86_LOAD1);
    load_ret(e, op->type, a.m, d, 0);
    cold_back(e, &a, back);
    end_access(e, &a);
}

/* ---- pairs in one access (IR_MEM_ATOMIC): 16 bytes through a vector register, 8 through a general one ---- */

static void vec_gpr(Emit *e, uint32_t op, bool w, int x, int r)
{
    if (e->has.avx) {
        vex_rr(&e->a, op, w, x, op == (M3A | P66 | 0x22) ? x : 0, r);
    } else {
        op_rr(&e->a, op, w, x, r);
    }
    if ((op & M3A) == M3A) {
        put8(&e->a, 1);
    }
}

/*
 * What was stored as two words just now can not be forwarded to a load of both, which waits until they are in the cache.
 * So the words come from loads of their own, which need not wait, and are the pair when the load of both has the same.
 */
static void load_words(Emit *e, const Access *a, int d0, int d1)
{
    uint8_t *differ;
    const uint8_t *back;

    load_reg(e, SCRATCH_X, at(a, 0), IR_V128);
    mov_rm(&e->a, true, d0, at(a, 0));
    mov_rm(&e->a, true, d1, at(a, 8));
    vec_gpr(e, M0F | P66 | 0x6e, true, SCRATCH_Y, d0);
    vec_gpr(e, M3A | P66 | 0x22, true, SCRATCH_Y, d1);
    sse3(e, M0F | P66 | 0xef, SCRATCH_Y, SCRATCH_Y, SCRATCH_X);     /* pxor */
    sse2(e, M38 | P66 | 0x17, SCRATCH_Y, SCRATCH_Y);                /* ptest */
    jcc_to(&e->a, CC_NE, e->a.p);
    differ = e->a.p;
    back = e->a.p;
    go_cold(e);
    land_near(differ, e->a.p);
    vec_gpr(e, M0F | P66 | 0x7e, true, SCRATCH_X, d0);
    vec_gpr(e, M3A | P66 | 0x16, true, SCRATCH_X, d1);
    jmp_to(&e->a, back);
    go_hot(e);
}

static void load_pair(Emit *e, unsigned type, const Access *a, int d0, int d1)
{
    if (IR_MEM_SIZE(a->m) == 3) {
        load_words(e, a, d0, d1);
        return;
    }
    mov_rm(&e->a, true, d0, at(a, 0));
    mov_rr(&e->a, true, d1, d0);
    if (a->m & IR_MEM_SIGN && type == IR_I64) {
        shift_ri(&e->a, SH_SAR, true, d1, 32);
        op_rr(&e->a, 0x63, true, d0, d0);
    } else {
        shift_ri(&e->a, SH_SHR, true, d1, 32);
        mov_rr(&e->a, false, d0, d0);
    }
}

static void store_pair(Emit *e, const IrOp *op, const Access *a)
{
    bool w = IR_MEM_SIZE(a->m) == 3;

    vec_gpr(e, M0F | P66 | 0x6e, w, SCRATCH_X, ra_use(e, op->in[1]));
    vec_gpr(e, M3A | P66 | 0x22, w, SCRATCH_X, ra_use(e, op->in[2]));
    store_reg(e, at(a, 0), SCRATCH_X, w ? IR_V128 : IR_F64);
}

static bool one_access(const IrOp *op, unsigned n)
{
    return n == 2 && op->imm & IR_MEM_ATOMIC && !is_xmm_type(op->type) && IR_MEM_SIZE(op->imm) >= 2 && !(op->imm & IR_MEM_BE);
}

static void emit_ld2(Emit *e, const IrOp *op)
{
    Access a = access_of(e, op, 2);
    int32_t size = 1 << IR_MEM_SIZE(a.m);
    const uint8_t *back;
    int d0, d1;

    if (odd(op, op->type) || (op->imm & IR_MEM_ATOMIC && op->imm & IR_MEM_BE)) {
        a.m |= IR_MEM_SLOW;
    }
    d0 = ra_def(e, op->out[0], NOREG, 1u << a.base);
    d1 = ra_def(e, op->out[1], NOREG, 1u << d0);
    tlb_check(e, &a, false);
    if (one_access(op, 2)) {
        load_pair(e, op->type, &a, d0, d1);
    } else {
        load_elem(e, op->type, a.m, d0, at(&a, 0));
        load_elem(e, op->type, a.m, d1, at(&a, size));
    }
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    cold_address(e, &a);
    cold_call(e, X86_LOAD2);
    load_ret(e, op->type, a.m, d0, 0);
    load_ret(e, op->type, a.m, d1, size > 8 ? size / 8 : 1);
    cold_back(e, &a, back);
    end_access(e, &a);
}

/* A constant that a store instruction can carry. */
static bool store_imm(Emit *e, const IrOp *op, uint16_t v, int32_t *imm)
{
    return !is_xmm_type(e->b->values[v].type) && !(op->imm & IR_MEM_BE) && ra_imm32(e, v, IR_MEM_SIZE(op->imm) == 3, imm) &&
           IR_MEM_SIZE(op->imm) != 1;
}

static void store_one(Emit *e, const IrOp *op, const Access *a, uint16_t v, int32_t more)
{
    int32_t imm;

    if (store_imm(e, op, v, &imm)) {
        if (IR_MEM_SIZE(a->m) == 0) {
            mov_mi8(&e->a, at(a, more), (uint8_t)imm);
        } else {
            mov_mi(&e->a, IR_MEM_SIZE(a->m) == 3, at(a, more), imm);
        }
        return;
    }
    store_elem(e, a->m, at(a, more), ra_use(e, v));
}

static void emit_store(Emit *e, const IrOp *op, unsigned n)
{
    Access a = access_of(e, op, n);
    unsigned words = 1u << IR_MEM_SIZE(a.m) > 8 ? (1u << IR_MEM_SIZE(a.m)) / 8 : 1;
    bool one = one_access(op, n);
    const uint8_t *back;
    int32_t imm;

    if (odd(op, op->type) || (a.m & IR_MEM_BE)) {
        a.m |= IR_MEM_SLOW;         /* big-endian stores are rare enough */
    }
    for (unsigned k = 0; k < n; k++) {
        if (one || !store_imm(e, op, op->in[1 + k], &imm)) {
            ra_use(e, op->in[1 + k]);
        }
    }
    tlb_check(e, &a, true);
    if (one) {
        store_pair(e, op, &a);
    }
    for (unsigned k = 0; k < n && !one; k++) {
        store_one(e, op, &a, op->in[1 + k], (int32_t)k << IR_MEM_SIZE(a.m));
    }
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    for (unsigned k = 0; k < n; k++) {
        cold_value(e, 1 + k * words, op->in[1 + k], op->type);
    }
    cold_address(e, &a);
    cold_call(e, n == 2 ? X86_STORE2 : X86_STORE1);
    cold_back(e, &a, back);
    end_access(e, &a);
}

static void emit_st(Emit *e, const IrOp *op) { emit_store(e, op, 1); }
static void emit_st2(Emit *e, const IrOp *op) { emit_store(e, op, 2); }

/* ---- atomics: inline when naturally aligned in RAM ---- */

/* Atomic operations check alignment to their size; the target's own demand is part of it, or the slow path's business. */
static void natural(Access *a)
{
    unsigned log2 = (unsigned)__builtin_ctz(a->bytes);

    if (IR_MEM_ALIGN_OF(a->m) < log2) {
        a->m = (a->m & ~IR_MEM_ALIGN(7)) | IR_MEM_ALIGN(log2);
    }
}

static void locked_op(Emit *e, uint32_t op8, uint32_t op, IrMem m, int reg, Mem to)
{
    unsigned size = IR_MEM_SIZE(m);

    put8(&e->a, 0xf0);
    if (size == 0) {
        op_rm8(&e->a, op8, reg, to);
        return;
    }
    if (size == 1) {
        put8(&e->a, 0x66);
    }
    op_rm(&e->a, op, size == 3, reg, to);
}

/* Zero-extend a result of the access size in place. */
static void narrow(Emit *e, IrMem m, int r)
{
    switch (IR_MEM_SIZE(m)) {
    case 0: movzx8_rr(&e->a, r, r); break;
    case 1: op_rr(&e->a, M0F | 0xb7, false, r, r); break;
    case 2: mov_rr(&e->a, false, r, r); break;
    default: break;
    }
}

static void emit_cas(Emit *e, const IrOp *op)
{
    const uint8_t *back;
    IrMem asked = (IrMem)op->imm;
    Access a;
    int val;

    ra_take(e, RAX);
    a = access_of(e, op, 1);
    natural(&a);
    if (asked & IR_MEM_BE) {
        a.m |= IR_MEM_SLOW;
    }
    val = ra_use(e, op->in[2]);
    tlb_check(e, &a, true);
    ra_load_to(e, RAX, op->in[1], true);
    locked_op(e, M0F | 0xb0, M0F | 0xb1, a.m, val, at(&a, 0));
    narrow(e, a.m, RAX);
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    ra_load_to(e, RAX, op->in[1], true);
    mov_mr(&e->a, true, ENV(arg[1]), RAX);
    mov_mr(&e->a, true, ENV(arg[2]), val);
    a.m = asked;
    cold_address(e, &a);
    cold_call(e, X86_CAS1);
    load_ret(e, op->type, a.m & ~(IrMem)IR_MEM_SIGN, RAX, 0);
    jmp_to(&e->a, back);
    go_hot(e);
    ra_bind(e, op->out[0], RAX);
}

/* cmpxchg16b wants rdx:rax and rcx:rbx: everything goes through env->arg. */
static void emit_cas2(Emit *e, const IrOp *op)
{
    static const int8_t temps[] = { RAX, RDX, RCX, R13, R14 };
    bool wide = IR_MEM_SIZE(op->imm) == 3;
    Access a = { .m = (IrMem)op->imm, .bytes = 2u << IR_MEM_SIZE(op->imm), .base = R13, .disp = 0 };
    const uint8_t *back;

    for (unsigned k = 0; k < 5; k++) {
        int r = ra_use(e, op->in[k]);

        mov_mr(&e->a, true, env_mem(offsetof(TcgEnv, arg) + 8 * k), r);
        ra_unlock(e, r);
    }
    for (unsigned k = 0; k < 5; k++) {
        ra_take(e, temps[k]);
    }
    mov_rm(&e->a, true, R13, ENV(arg[0]));
    natural(&a);
    if (IR_MEM_SIZE(op->imm) < 2 || (op->imm & IR_MEM_BE)) {
        a.m |= IR_MEM_SLOW;
    }
    ra_unlock(e, RAX);
    ra_unlock(e, RDX);
    tlb_check(e, &a, true);
    lea(&e->a, true, R13, at(&a, 0));
    mov_rm(&e->a, true, RAX, ENV(arg[1]));
    mov_rm(&e->a, true, RDX, ENV(arg[2]));
    mov_rr(&e->a, true, R14, RBX);
    mov_rm(&e->a, true, RBX, ENV(arg[3]));
    mov_rm(&e->a, true, RCX, ENV(arg[4]));
    put8(&e->a, 0xf0);
    op_rm(&e->a, M0F | 0xc7, wide, 1, mem_bd(R13, 0));
    mov_rr(&e->a, true, RBX, R14);
    if (!wide) {
        mov_rr(&e->a, false, RAX, RAX);
        mov_rr(&e->a, false, RDX, RDX);
    }
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    mov_mi(&e->a, true, ENV(arg[7]), (int32_t)op->imm);
    cold_call(e, X86_CAS2);
    load_ret(e, op->type, (IrMem)op->imm, RAX, 0);
    load_ret(e, op->type, (IrMem)op->imm, RDX, 1);
    jmp_to(&e->a, back);
    go_hot(e);
    e->locked |= 1u << RAX | 1u << RDX;
    ra_bind(e, op->out[0], RAX);
    ra_bind(e, op->out[1], RDX);
}

/* old in rax, new computed in t, until nobody came between. */
static void cas_loop(Emit *e, const IrOp *op, const Access *a, int val, int t)
{
    static const uint8_t alu[] = { [IR_RMW_AND] = ALU_AND, [IR_RMW_CLR] = ALU_AND, [IR_RMW_OR] = ALU_OR, [IR_RMW_XOR] = ALU_XOR };
    static const uint8_t keep[] = { [IR_RMW_SMAX] = CC_G, [IR_RMW_SMIN] = CC_L, [IR_RMW_UMAX] = CC_A, [IR_RMW_UMIN] = CC_B };
    bool w = IR_MEM_SIZE(a->m) == 3;
    const uint8_t *again;

    load_elem(e, IR_I64, a->m & ~(IrMem)IR_MEM_SIGN, RAX, at(a, 0));
    again = e->a.p;
    if (op->sub >= IR_RMW_SMAX) {
        alu_rr(&e->a, ALU_CMP, w, RAX, val);
        mov_rr(&e->a, true, t, val);
        cmov_rr(&e->a, keep[op->sub], w, t, RAX);
    } else if (op->sub == IR_RMW_CLR) {
        mov_rr(&e->a, true, t, val);
        grp3(&e->a, 2, true, t);
        alu_rr(&e->a, ALU_AND, true, t, RAX);
    } else {
        mov_rr(&e->a, true, t, RAX);
        alu_rr(&e->a, alu[op->sub], true, t, val);
    }
    locked_op(e, M0F | 0xb0, M0F | 0xb1, a->m, t, at(a, 0));
    jcc_to(&e->a, CC_NE, again);
    narrow(e, a->m, RAX);
}

static void emit_rmw(Emit *e, const IrOp *op)
{
    bool xadd = op->sub == IR_RMW_XCHG || op->sub == IR_RMW_ADD;
    IrMem asked = (IrMem)op->imm;
    const uint8_t *back;
    int val, t = NOREG;
    Access a;

    ra_take(e, RAX);
    a = access_of(e, op, 1);
    natural(&a);
    if ((asked & IR_MEM_BE) || (op->sub >= IR_RMW_SMAX && IR_MEM_SIZE(asked) < 2)) {
        a.m |= IR_MEM_SLOW;
    }
    val = ra_use(e, op->in[1]);
    tlb_check(e, &a, true);
    if (xadd) {
        mov_rr(&e->a, true, RAX, val);
        locked_op(e, op->sub == IR_RMW_ADD ? M0F | 0xc0 : 0x86, op->sub == IR_RMW_ADD ? M0F | 0xc1 : 0x87, a.m, RAX, at(&a, 0));
        narrow(e, a.m, RAX);
    } else {
        t = ra_temp(e);
        cas_loop(e, op, &a, val, t);
    }
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    mov_mr(&e->a, true, ENV(arg[1]), val);
    mov_mi(&e->a, true, ENV(arg[6]), op->sub);
    a.m = asked;
    cold_address(e, &a);
    cold_call(e, X86_RMW);
    load_ret(e, op->type, a.m & ~(IrMem)IR_MEM_SIGN, RAX, 0);
    jmp_to(&e->a, back);
    go_hot(e);
    ra_bind(e, op->out[0], RAX);
}

static void emit_probe(Emit *e, const IrOp *op)
{
    uint64_t bytes = (uint64_t)op->imm >> 32;
    Access a = { .m = (IrMem)op->imm, .bytes = (unsigned)bytes, .disp = e->disp[e->i] };
    const uint8_t *back;

    a.base = ra_use(e, op->in[0]);
    if (bytes > 2048) {
        a.m |= IR_MEM_SLOW;
        a.bytes = 1;
    }
    tlb_check(e, &a, op->sub);
    back = e->a.p;
    go_cold(e);
    land_misses(e, &a);
    mov_mi(&e->a, true, ENV(arg[5]), (int32_t)bytes);
    mov_mi(&e->a, true, ENV(arg[6]), op->sub);
    a.m = (IrMem)op->imm;
    cold_address(e, &a);
    cold_call(e, X86_PROBE);
    jmp_to(&e->a, back);
    go_hot(e);
}

static void emit_fence(Emit *e, const IrOp *op)
{
    /* one right behind another (STLR, then DMB) does nothing more */
    if (op->sub & IR_FENCE_FULL && e->fenced != e->a.p) {
        put8(&e->a, 0xf0);
        alu_mi(&e->a, ALU_OR, false, mem_bd(RSP, 0), 0);
        e->fenced = e->a.p;
    }
}

EmitTable x86_mem_ops = {
    [OP_ld] = emit_ld, [OP_ld2] = emit_ld2, [OP_st] = emit_st, [OP_st2] = emit_st2, [OP_cas] = emit_cas, [OP_cas2] = emit_cas2,
    [OP_rmw] = emit_rmw, [OP_probe] = emit_probe, [OP_fence] = emit_fence,
};
