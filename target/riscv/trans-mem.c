/* SPDX-License-Identifier: MIT */
/* Loads, stores, fences, cache blocks: volume I, chapters 2, 4, "Zifencei", "F", "D", "CMO".  Misaligned accesses are done. */
#include "target/riscv/translate.h"

static IrVal address(RvDis *d, unsigned rs1, int imm)
{
    return ir_addi(d->ir, rv_x_get(d, rs1), imm);
}

#define LOAD(name, size, sign) \
TRANS(name, i) \
{ \
    rv_x_set(d, a->rd, ir_ld(d->ir, IR_I64, address(d, a->rs1, a->imm), rv_mem_desc(d, size) | (sign ? IR_MEM_SIGN : 0))); \
    return true; \
}
LOAD(lb, 0, true)
LOAD(lh, 1, true)
LOAD(lw, 2, true)
LOAD(ld, 3, false)
LOAD(lbu, 0, false)
LOAD(lhu, 1, false)
LOAD(lwu, 2, false)

#define STORE(name, size) \
TRANS(name, s) \
{ \
    ir_st(d->ir, address(d, a->rs1, a->imm), size == 3 ? rv_x_get(d, a->rs2) : rv_w_get(d, a->rs2), rv_mem_desc(d, size)); \
    return true; \
}
STORE(sb, 0)
STORE(sh, 1)
STORE(sw, 2)
STORE(sd, 3)

/* ---- F and D ---- */

TRANS(flw, i)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    rv_f32_set(d, a->rd, ir_ld(d->ir, IR_F32, address(d, a->rs1, a->imm), rv_mem_desc(d, 2)));
    return true;
}

TRANS(fld, i)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    rv_f64_set(d, a->rd, ir_ld(d->ir, IR_F64, address(d, a->rs1, a->imm), rv_mem_desc(d, 3)));
    return true;
}

TRANS(fsw, s)
{
    IrVal low;

    if (!(d->key & KEY_FP)) {
        return false;
    }
    low = d->single[a->rs2].id ? ir_bitcast(d->ir, IR_I32, d->single[a->rs2]) : ir_trunc(d->ir, ir_bitcast(d->ir, IR_I64, rv_f64_get(d, a->rs2)));
    ir_st(d->ir, address(d, a->rs1, a->imm), low, rv_mem_desc(d, 2));
    return true;
}

TRANS(fsd, s)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    ir_st(d->ir, address(d, a->rs1, a->imm), rv_f64_get(d, a->rs2), rv_mem_desc(d, 3));
    return true;
}

/* ---- fences ---- */

enum { SET_W = 1, SET_R = 2, SET_O = 4, SET_I = 8 };

/* On a total-store-order host only a store before a load needs an instruction.  PAUSE is the fence with neither set. */
TRANS(fence, fence)
{
    bool full = a->pred & (SET_W | SET_O) && a->succ & (SET_R | SET_I) && a->fm != 8;

    if (!a->pred && !a->succ) {
        return true;
    }
    ir_fence(d->ir, full ? IR_FENCE_FULL : IR_FENCE_LOAD | IR_FENCE_STORE);
    return true;
}

/* The accelerator notices stores to code by itself: the block ends, so that what follows is looked up again. */
TRANS(fence_i, none)
{
    rv_end_mode(d);
    return true;
}

/* ---- cache blocks of 64 bytes; caches are coherent here, so the others only check the address ---- */

static bool cbo(RvDis *d, unsigned rs1, bool allowed)
{
    IrBlock *b = d->ir;

    if (!allowed) {
        return false;
    }
    ir_insn_word(b, RV_WORD_CBO);
    ir_probe(b, ir_andi(b, rv_x_get(d, rs1), -64), 64, false, rv_mem_desc(d, 3));
    return true;
}

TRANS(cbo_inval, rs1)
{
    return cbo(d, a->rs1, d->key & KEY_CBI);
}

TRANS(cbo_clean, rs1)
{
    return cbo(d, a->rs1, d->key & KEY_CBCF);
}

TRANS(cbo_flush, rs1)
{
    return cbo(d, a->rs1, d->key & KEY_CBCF);
}

TRANS(cbo_zero, rs1)
{
    IrBlock *b = d->ir;
    IrVal at;

    if (!(d->key & KEY_CBZ)) {
        return false;
    }
    at = ir_andi(b, rv_x_get(d, a->rs1), -64);
    ir_probe(b, at, 64, true, rv_mem_desc(d, 3));
    for (unsigned i = 0; i < 8; i++) {
        ir_st(b, ir_addi(b, at, 8 * i), ir_i64(b, 0), rv_mem_desc(d, 3));
    }
    return true;
}
