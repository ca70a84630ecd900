/* SPDX-License-Identifier: MIT */
#include "target/riscv/translate.h"

#include <string.h>

/* ---- registers ---- */

IrVal rv_x_get(RvDis *d, unsigned r)
{
    return r ? ir_get(d->ir, SLOT_X1 + r - 1) : ir_i64(d->ir, 0);
}

IrVal rv_w_get(RvDis *d, unsigned r)
{
    return ir_trunc(d->ir, rv_x_get(d, r));
}

void rv_x_set(RvDis *d, unsigned r, IrVal v)
{
    if (r) {
        ir_set(d->ir, SLOT_X1 + r - 1, ir_type(d->ir, v) == IR_I32 ? ir_sext(d->ir, v) : v);
    }
}

IrVal rv_f64_get(RvDis *d, unsigned r)
{
    return ir_get(d->ir, SLOT_F0 + r);
}

IrVal rv_f32_get(RvDis *d, unsigned r)
{
    IrBlock *b = d->ir;
    IrVal v, boxed, bits;

    if (d->single[r].id) {
        return d->single[r];
    }
    v = ir_bitcast(b, IR_I64, rv_f64_get(d, r));
    boxed = ir_trunc(b, ir_shri(b, v, 32));
    bits = ir_movcond(b, IR_EQ, boxed, ir_i32(b, -1), ir_trunc(b, v), ir_i32(b, 0x7fc00000));
    return d->single[r] = ir_bitcast(b, IR_F32, bits);
}

void rv_fp_mark(RvDis *d)
{
    IrBlock *b = d->ir;

    if (!(d->key & KEY_FP_DIRTY) && !d->fp_marked) {
        ir_set(b, SLOT_MSTATUS, ir_or(b, ir_get(b, SLOT_MSTATUS), ir_i64(b, MSTATUS_FS)));
        d->fp_marked = true;
    }
}

void rv_f64_set(RvDis *d, unsigned r, IrVal v)
{
    rv_fp_mark(d);
    d->single[r] = IR_NONE;
    ir_set(d->ir, SLOT_F0 + r, v);
}

void rv_f32_set(RvDis *d, unsigned r, IrVal v)
{
    IrBlock *b = d->ir;
    IrVal bits = ir_zext(b, ir_bitcast(b, IR_I32, v));

    rv_f64_set(d, r, ir_bitcast(b, IR_F64, ir_or(b, bits, ir_i64(b, (int64_t)0xffffffff00000000))));
    d->single[r] = v;
}

IrMem rv_mem_desc(const RvDis *d, unsigned size)
{
    return (IrMem)size | (d->key & KEY_MPRV ? IR_MEM_IDX(RV_MMU_DATA) : 0);
}

/* ---- leaving ---- */

/* The instruction that lay on two pages is done: what comes next is another key. */
static bool uncross(RvDis *d)
{
    if (d->key & KEY_CROSS) {
        ir_set(d->ir, SLOT_CROSS, ir_i32(d->ir, 0));
        return true;
    }
    return false;
}

void rv_end_goto(RvDis *d, int64_t disp)
{
    if (uncross(d)) {
        ir_leave(d->ir, IR_LEAVE_MODE, disp);
    } else {
        ir_goto(d->ir, disp);
    }
    d->done = true;
}

void rv_end_jump(RvDis *d, IrVal target, unsigned hint)
{
    if (uncross(d) || d->tc->step_over) {
        ir_leave_to(d->ir, IR_LEAVE_MODE, target);
    } else {
        ir_jump(d->ir, target, hint);
    }
    d->done = true;
}

void rv_end_leave(RvDis *d, IrLeave why)
{
    uncross(d);
    ir_leave(d->ir, why, d->off + d->len);
    d->done = true;
}

void rv_end_mode(RvDis *d)
{
    rv_end_leave(d, IR_LEAVE_MODE);
}

void rv_branch_if(RvDis *d, IrCond c, IrVal x, IrVal y, int64_t disp)
{
    IrBlock *b = d->ir;

    if (d->key & KEY_CROSS) {
        rv_end_jump(d, ir_movcond(b, c, x, y, ir_pc(b, disp), ir_pc(b, d->off + d->len)), IR_JUMP);
    } else {
        ir_exit_if(b, c, x, y, disp);
    }
}

void rv_raise_cause(RvDis *d, RvCause cause)
{
    ir_raise(d->ir, cause);
    d->done = true;
}

void rv_raise_illegal(RvDis *d)
{
    ir_raise(d->ir, (int64_t)((uint64_t)CAUSE_ILLEGAL | (uint64_t)d->insn << 8));
    d->done = true;
}

/* ---- the loop ---- */

static uint16_t half_at(const uint8_t *page, uint32_t off)
{
    return (uint16_t)(page[off] | page[off + 1] << 8);
}

static bool listed(const uint32_t *offs, uint32_t off)
{
    while (offs && *offs < off) {
        offs++;
    }
    return offs && *offs == off;
}

bool rv_ends_before(const RvDis *d, unsigned n, int64_t off)
{
    const TransCtx *tc = d->tc;

    return d->key & KEY_CROSS || n >= MIN(tc->max_insns, IR_MAX_INSNS - 1) || off >= 4096 || ir_full(d->ir) || listed(tc->breaks, (uint32_t)off);
}

static bool on_two_pages(const TransCtx *tc, int64_t off)
{
    return off == 4094 && (tc->page[off] & 3) == 3;
}

/* The block of an instruction whose second half is on the next page; false: there is no more to it. */
static bool begin_crossing(RvDis *d)
{
    const uint8_t *next = NULL;
    IrBlock *b = d->ir;
    IrVal half;

    d->len = 4;
    if (d->key & KEY_CROSS) {
        d->insn |= (uint32_t)(d->key >> KEY_CROSS_SHIFT & 0xffff) << 16;
        return true;
    }
    next = d->tc->next_page(d->tc);
    half = ir_call(b, RT_fetch_next, IR_V(ir_pc(b, 4096)));
    if (!next) {
        ir_raise(b, RV_RAISE_CROSS_UNSEEN);
        d->done = true;
        return false;
    }
    d->insn |= (uint32_t)half_at(next, 0) << 16;
    ir_raise_if(b, IR_NE, half, ir_i64(b, d->insn >> 16), RV_RAISE_CROSS);
    return true;
}

static void translate_one(RvDis *d)
{
    const TransCtx *tc = d->tc;
    int row;

    d->insn = half_at(tc->page, (uint32_t)d->off);
    d->len = 2;
    ir_insn(d->ir, d->off, 0);
    if ((d->insn & 3) == 3) {
        if (on_two_pages(tc, d->off)) {
            if (!begin_crossing(d)) {
                return;
            }
        } else {
            d->insn |= (uint32_t)half_at(tc->page, (uint32_t)d->off + 2) << 16;
            d->len = 4;
        }
    }
    row = rv_row_of(d->insn);
    if (row < 0 || !rv_trans[row](d, d->insn)) {
        rv_raise_illegal(d);
    }
}

void rv_translate(TransCtx *tc)
{
    RvDis d = { .tc = tc, .ir = tc->ir, .cpu = rv_cpu(tc->cpu), .key = tc->key, .off = tc->off };

    if (!tc->step_over && listed(tc->breaks, tc->off)) {
        ir_insn(d.ir, d.off, 0);
        ir_leave(d.ir, IR_LEAVE_DEBUG, d.off);
        d.ir->code_bytes = 2;
        return;
    }
    for (;;) {
        translate_one(&d);
        d.ninsns++;
        d.off += d.len;
        if (d.done) {
            break;
        }
        if (rv_ends_before(&d, d.ninsns, d.off) || on_two_pages(tc, d.off)) {
            rv_end_goto(&d, d.off);
            break;
        }
    }
    d.ir->code_bytes = (uint32_t)MIN(d.off, 4096) - tc->off;
}
