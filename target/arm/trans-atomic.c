/* SPDX-License-Identifier: MIT */
/* A64 exclusives and atomics: Arm ARM (DDI 0487), B2.12 and C3.2. */
#include "target/arm/translate.h"

#include "target/arm/trans-mem.h"

/* Atomics and exclusives want alignment to the whole access, with LSE2 only within 16 bytes. */
IrMem atomic_desc(A64Dis *d, unsigned sz, unsigned align)
{
    bool within = a64_feature(d, A64_FEAT_lse2) && !(d->key & KEY_ALIGN);

    return (mem_desc(d, sz) & ~IR_MEM_ALIGN(7)) | IR_MEM_ALIGN(align) | (within ? IR_MEM_WITHIN16 : 0);
}

#define RMW(name, op) \
bool trans_##name(A64Dis *d, arg_atomic *a) \
{ \
    return rmw(d, a, op); \
}

static bool rmw(A64Dis *d, const arg_atomic *a, IrRmw op)
{
    IrVal addr = base_get(d, a->rn);

    gpr_set(d, a->rt, ir_rmw(d->ir, op, addr, gpr_get(d, a->rs, a->sz == 3), atomic_desc(d, a->sz, a->sz)));
    return true;
}
RMW(ldadd, IR_RMW_ADD)
RMW(ldclr, IR_RMW_CLR)
RMW(ldeor, IR_RMW_XOR)
RMW(ldset, IR_RMW_OR)
RMW(ldsmax, IR_RMW_SMAX)
RMW(ldsmin, IR_RMW_SMIN)
RMW(ldumax, IR_RMW_UMAX)
RMW(ldumin, IR_RMW_UMIN)
RMW(swp, IR_RMW_XCHG)

bool trans_cas(A64Dis *d, arg_cas *a)
{
    IrBlock *b = d->ir;
    bool sf = a->sz == 3;
    IrVal addr = base_get(d, a->rn), expected = gpr_get(d, a->rs, sf);

    if (a->sz < 2) {
        expected = ir_extract(b, expected, 0, 8 << a->sz);
    }
    gpr_set(d, a->rs, ir_cas(b, addr, expected, gpr_get(d, a->rt, sf), atomic_desc(d, a->sz, a->sz)));
    return true;
}

bool trans_casp(A64Dis *d, arg_casp *a)
{
    IrBlock *b = d->ir;
    IrVal addr = base_get(d, a->rn), lo, hi;

    ir_cas2(b, addr, gpr_get(d, a->rs, a->s), gpr_get(d, a->rs + 1, a->s), gpr_get(d, a->rt, a->s), gpr_get(d, a->rt + 1, a->s),
            atomic_desc(d, 2 + a->s, 3 + a->s), &lo, &hi);
    gpr_set(d, a->rs, lo);
    gpr_set(d, a->rs + 1, hi);
    return true;
}

/*
 * Exclusives.  A closed form, exclusive load to exclusive store in one block with no access between and the
 * same address value, is exactly a compare and swap of the value that was loaded: nobody can see the difference
 * between "changed and changed back" and "not changed" without an access of his own in between.  The load is
 * then a plain one.  Whether the form is closed is found by looking ahead in the page before the load is
 * translated (closed_ahead); everything else goes through the routines and the accelerator's monitor.
 *
 * A program may leave a closed form on the side and store from there: that store finds no reservation and
 * fails, as it may.  When that happens often, KEY_OPEN_EXCL turns closed forms off for good.
 */
enum { LOOK_AHEAD = 12 };

/* Is the instruction one that neither touches memory nor leaves the block, nor changes what rn holds? */
static bool harmless(const A64Dis *d, uint32_t insn, unsigned rn)
{
    unsigned group = insn >> 25 & 15, rd = insn & 31;

    if ((group & 14) == 8 || (group & 7) == 5) {                /* data processing, immediate or register */
        return rd != rn;
    }
    if ((insn & 0xff000010) == 0x54000000) {                    /* b.cond leaves on the side; always-true ones end the block */
        return (insn & 14) != 14;
    }
    return (insn & 0x7e000000) == 0x34000000 || (insn & 0x7e000000) == 0x36000000;      /* cbz, tbz */
}

/* The exclusive store that closes the form, looking from the instruction behind the load. */
static bool closed_ahead(const A64Dis *d, const arg_excl *a, bool pair)
{
    if (d->key & KEY_OPEN_EXCL || d->tc->breaks || d->tc->own_breaks) {
        return false;
    }
    for (unsigned i = 1; i <= LOOK_AHEAD; i++) {
        uint32_t off = (uint32_t)d->off + 4 * i, insn;

        if (off >= 4096 || d->ninsns + i >= MIN(d->tc->max_insns, IR_MAX_INSNS - 1) || ir_full(d->ir)) {
            return false;
        }
        insn = (uint32_t)d->tc->page[off] | d->tc->page[off + 1] << 8 | d->tc->page[off + 2] << 16 | (uint32_t)d->tc->page[off + 3] << 24;
        if ((insn & 0x3fe00000) == (pair ? 0x08200000 : 0x08000000)) {      /* STXR, STXP */
            return insn >> 30 == (unsigned)a->sz && (insn >> 5 & 31) == (unsigned)a->rn;
        }
        if (!harmless(d, insn, a->rn)) {
            return false;
        }
    }
    return false;
}

static void open_closed_form(A64Dis *d, const arg_excl *a, IrVal addr, IrVal lo, IrVal hi, unsigned n)
{
    d->excl = true;
    d->excl_addr = addr;
    d->excl_old[0] = lo;
    d->excl_old[1] = hi;
    d->excl_size = a->sz;
    d->excl_n = n;
    d->excl_rn = a->rn;
}

bool trans_ldxr(A64Dis *d, arg_excl *a)
{
    IrBlock *b = d->ir;
    IrMem m = atomic_desc(d, a->sz, a->sz);
    IrVal addr = base_get(d, a->rn), v;

    if (a->rt != a->rn && closed_ahead(d, a, false)) {
        v = ldst_load(d, a->sz, false, true, addr, m);
        open_closed_form(d, a, addr, v, IR_NONE, 1);
    } else {
        v = ir_call(b, RT_load_excl, IR_V(addr), IR_V(ir_i64(b, m)));
    }
    if (a->ordered) {
        ir_fence(b, IR_FENCE_LOAD);
    }
    gpr_set(d, a->rt, v);
    return true;
}

bool trans_ldxp(A64Dis *d, arg_excl *a)
{
    IrBlock *b = d->ir;
    IrMem m = atomic_desc(d, a->sz, a->sz + 1);
    IrVal addr = base_get(d, a->rn), lo, hi;

    if (a->rt != a->rn && a->rt2 != a->rn && closed_ahead(d, a, true)) {
        ir_ld2(b, a->sz == 3 ? IR_I64 : IR_I32, addr, m, &lo, &hi);
        open_closed_form(d, a, addr, lo, hi, 2);
        if (a->ordered) {
            ir_fence(b, IR_FENCE_LOAD);
        }
        gpr_set(d, a->rt, lo);
        gpr_set(d, a->rt2, hi);
        return true;
    }
    ir_call(b, RT_load_excl2, IR_V(addr), IR_V(ir_i64(b, m)), IR_V(ir_i64(b, a->rt << 8 | a->rt2)));
    return true;
}

/* The store of a closed form: 0 when the old value was still there. */
static bool close_form(A64Dis *d, const arg_excl *a)
{
    IrBlock *b = d->ir;
    bool sf = a->sz == 3;
    IrMem m = atomic_desc(d, a->sz, a->sz + (d->excl_n == 2));
    IrVal differ;

    if (d->excl_n == 1) {
        IrVal old = ir_cas(b, d->excl_addr, d->excl_old[0], gpr_get(d, a->rt, sf), m);

        differ = ir_setcond(b, IR_I32, IR_NE, old, d->excl_old[0]);
    } else {
        IrVal lo, hi;

        ir_cas2(b, d->excl_addr, d->excl_old[0], d->excl_old[1], gpr_get(d, a->rt, sf), gpr_get(d, a->rt2, sf), m, &lo, &hi);
        differ = ir_setcond(b, IR_I32, IR_NE, ir_or(b, ir_xor(b, lo, d->excl_old[0]), ir_xor(b, hi, d->excl_old[1])), ir_const(b, sf ? IR_I64 : IR_I32, 0));
    }
    d->excl = false;
    gpr_set(d, a->rs, differ);
    return true;
}

bool trans_stxr(A64Dis *d, arg_excl *a)
{
    IrBlock *b = d->ir;
    IrVal addr;

    if (d->excl && d->excl_n == 1 && d->excl_size == a->sz && d->excl_rn == a->rn) {
        return close_form(d, a);
    }
    addr = base_get(d, a->rn);
    if (a->ordered) {
        ir_fence(b, IR_FENCE_STORE);
    }
    gpr_set(d, a->rs, ir_call(b, RT_store_excl, IR_V(addr), IR_V(gpr_get(d, a->rt, true)), IR_V(ir_i64(b, atomic_desc(d, a->sz, a->sz)))));
    return true;
}

bool trans_stxp(A64Dis *d, arg_excl *a)
{
    IrBlock *b = d->ir;
    IrVal addr;

    if (d->excl && d->excl_n == 2 && d->excl_size == a->sz && d->excl_rn == a->rn) {
        return close_form(d, a);
    }
    addr = base_get(d, a->rn);
    if (a->ordered) {
        ir_fence(b, IR_FENCE_STORE);
    }
    gpr_set(d, a->rs, ir_call(b, RT_store_excl2, IR_V(addr), IR_V(gpr_get(d, a->rt, true)), IR_V(gpr_get(d, a->rt2, true)), IR_V(ir_i64(b, atomic_desc(d, a->sz, a->sz + 1)))));
    return true;
}

bool trans_clrex(A64Dis *d, arg_crm *a)
{
    d->excl = false;
    ir_call(d->ir, RT_clrex, IR_V(ir_i64(d->ir, 0)));
    return true;
}
