/* SPDX-License-Identifier: MIT */
/* A64 loads and stores of general registers: Arm ARM (DDI 0487), C4.1.97. */
#include "target/arm/translate.h"

#include "hw/core/machine.h"
#include "target/arm/trans-mem.h"

/* Address of the access, and the base after it. */
IrVal ldst_addr(A64Dis *d, unsigned rn, int64_t imm, bool post)
{
    IrVal base = base_get(d, rn);

    return post ? base : ir_addi(d->ir, base, imm);
}

void ldst_writeback(A64Dis *d, unsigned rn, IrVal addr, int64_t imm, bool writeback, bool post)
{
    if (writeback) {
        if (rn == 31 && imm & 15) {
            d->sp_checked = false;
        }
        gpr_set_sp(d, rn, post ? ir_addi(d->ir, addr, imm) : addr);
    }
}

/* Base plus extended register. */
IrVal ldst_addr_reg(A64Dis *d, unsigned rn, unsigned rm, unsigned option, unsigned shift)
{
    IrVal base = base_get(d, rn), m = gpr_get(d, rm, true);

    if (option == 2) {
        m = ir_ext(d->ir, IR_I64, IR_U32, m);
    } else if (option == 6) {
        m = ir_ext(d->ir, IR_I64, IR_S32, m);
    }
    return ir_add(d->ir, base, shift ? ir_shli(d->ir, m, shift) : m);
}

/* A load of 1 << sz bytes into the form that the register takes: 64-bit values and sign extension to 64 bits are I64. */
IrVal ldst_load(A64Dis *d, unsigned sz, bool sign, bool sf, IrVal addr, IrMem m)
{
    IrType t = sz == 3 || (sign && sf) ? IR_I64 : IR_I32;

    return ir_ld(d->ir, t, addr, m | (sign ? IR_MEM_SIGN : 0));
}

static IrMem desc(A64Dis *d, const arg_ldst *a)
{
    return mem_desc(d, a->sz) | (a->priv && d->key & KEY_UNPRIV ? IR_MEM_IDX(A64_MMU_USER) : 0);
}

bool trans_str(A64Dis *d, arg_ldst *a)
{
    IrVal addr = ldst_addr(d, a->rn, a->imm, a->p);

    ir_st(d->ir, addr, gpr_get(d, a->rt, a->sz == 3), desc(d, a));
    ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    return true;
}

bool trans_ldr(A64Dis *d, arg_ldst *a)
{
    IrVal addr = ldst_addr(d, a->rn, a->imm, a->p), v = ldst_load(d, a->sz, a->sign, a->sf, addr, desc(d, a));

    ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    gpr_set(d, a->rt, v);
    return true;
}

bool trans_str_r(A64Dis *d, arg_ldst_r *a)
{
    IrVal addr = ldst_addr_reg(d, a->rn, a->rm, a->option, a->s ? a->sz : 0);

    ir_st(d->ir, addr, gpr_get(d, a->rt, a->sz == 3), mem_desc(d, a->sz));
    return true;
}

bool trans_ldr_r(A64Dis *d, arg_ldst_r *a)
{
    IrVal addr = ldst_addr_reg(d, a->rn, a->rm, a->option, a->s ? a->sz : 0);

    gpr_set(d, a->rt, ldst_load(d, a->sz, a->sign, a->sf, addr, mem_desc(d, a->sz)));
    return true;
}

bool trans_ldr_lit(A64Dis *d, arg_ldlit *a)
{
    gpr_set(d, a->rt, ldst_load(d, a->sz, a->sign, true, ir_pc(d->ir, d->off + a->imm), mem_desc(d, a->sz)));
    return true;
}

/* Prefetches have no effect that can be seen. */
bool trans_prfm(A64Dis *d, arg_prfm *a)
{
    return true;
}

bool trans_prfm_lit(A64Dis *d, arg_ldlit *a)
{
    return true;
}

/* With LSE2 the pair is one access within 16 bytes; nobody can tell where there is one processor. */
static IrMem pair_desc(A64Dis *d, unsigned sz)
{
    const Machine *m = d->cpu->cpu.machine;

    return mem_desc(d, sz) | (a64_feature(d, A64_FEAT_lse2) && (!m || machine_ncpus(m) > 1) ? IR_MEM_ATOMIC : 0);
}

bool trans_stp(A64Dis *d, arg_ldstp *a)
{
    bool sf = a->sz == 3;
    IrVal addr = ldst_addr(d, a->rn, a->imm, a->p);

    ir_st2(d->ir, addr, gpr_get(d, a->rt, sf), gpr_get(d, a->rt2, sf), pair_desc(d, a->sz));
    ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    return true;
}

bool trans_ldp(A64Dis *d, arg_ldstp *a)
{
    IrVal lo, hi, addr = ldst_addr(d, a->rn, a->imm, a->p);

    ir_ld2(d->ir, a->sz == 3 || a->sign ? IR_I64 : IR_I32, addr, pair_desc(d, a->sz) | (a->sign ? IR_MEM_SIGN : 0), &lo, &hi);
    ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    gpr_set(d, a->rt, lo);
    gpr_set(d, a->rt2, hi);
    return true;
}

/* ---- ordered accesses: plain accesses in order are acquire and release on a total-store-order host but for a later load ---- */

static IrMem ordered_desc(A64Dis *d, unsigned sz)
{
    return d->key & KEY_NAA ? mem_desc(d, sz) : atomic_desc(d, sz, sz);
}

bool trans_ldar(A64Dis *d, arg_ordered *a)
{
    IrVal v = ldst_load(d, a->sz, false, true, base_get(d, a->rn), ordered_desc(d, a->sz));

    ir_fence(d->ir, IR_FENCE_LOAD);
    gpr_set(d, a->rt, v);
    return true;
}

bool trans_stlr(A64Dis *d, arg_ordered *a)
{
    IrVal addr = base_get(d, a->rn);

    ir_fence(d->ir, IR_FENCE_STORE);
    ir_st(d->ir, addr, gpr_get(d, a->rt, a->sz == 3), ordered_desc(d, a->sz));
    if (!a->lo) {
        ir_fence(d->ir, IR_FENCE_FULL);         /* STLR then LDAR stay in order */
    }
    return true;
}

bool trans_ldapr(A64Dis *d, arg_ldapr *a)
{
    IrVal addr = ir_addi(d->ir, base_get(d, a->rn), a->imm);
    IrVal v = ldst_load(d, a->sz, a->sign, a->sf, addr, ordered_desc(d, a->sz));

    ir_fence(d->ir, IR_FENCE_LOAD);
    gpr_set(d, a->rt, v);
    return true;
}

bool trans_stlur(A64Dis *d, arg_ldapr *a)
{
    IrVal addr = ir_addi(d->ir, base_get(d, a->rn), a->imm);

    ir_fence(d->ir, IR_FENCE_STORE);
    ir_st(d->ir, addr, gpr_get(d, a->rt, a->sz == 3), ordered_desc(d, a->sz));
    ir_fence(d->ir, IR_FENCE_FULL);
    return true;
}

bool trans_ldra(A64Dis *d, arg_ldra *a)
{
    IrVal base = pauth_aut(d, base_get(d, a->rn), ir_i64(d->ir, 0), 2 + a->m);
    IrVal addr = ir_addi(d->ir, base, a->imm), v = ir_ld(d->ir, IR_I64, addr, mem_desc(d, 3));

    if (a->w) {
        d->sp_checked = d->sp_checked && a->rn != 31;
        gpr_set_sp(d, a->rn, addr);
    }
    gpr_set(d, a->rt, v);
    return true;
}
