/* SPDX-License-Identifier: MIT */
/* Zicsr and the privileged instructions: volume I, chapter "Zicsr"; volume II, 3.3 and 4.2. */
#include "target/riscv/translate.h"

typedef enum { CSR_OP_WRITE = 1, CSR_OP_SET, CSR_OP_CLEAR } CsrOp;

TRANS(ecall, none)
{
    rv_raise_cause(d, (RvCause)(CAUSE_ECALL_U + priv_of(d)));
    return true;
}

TRANS(ebreak, none)
{
    rv_raise_cause(d, CAUSE_BREAKPOINT);
    return true;
}

/* ---- CSRs ---- */

static IrVal combine(IrBlock *b, CsrOp op, IrVal old, IrVal v)
{
    return op == CSR_OP_WRITE ? v : op == CSR_OP_SET ? ir_or(b, old, v) : ir_andc(b, old, v);
}

/* A register that is a slot: no routine, and nothing that a key depends on. */
static bool csr_slot(RvDis *d, const arg_csr *a, unsigned id, CsrOp op, IrVal v, bool write)
{
    IrBlock *b = d->ir;
    unsigned slot = (unsigned)rv_slot_of_csr(id);
    IrVal old = ir_get(b, slot);

    if (write) {
        ir_set(b, slot, ir_andi(b, combine(b, op, old, v), (int64_t)rv_csrs[id].mask));
    }
    rv_x_set(d, a->rd, old);
    return true;
}

/* Masking interrupts in supervisor mode is the most frequent of all, and needs nobody's attention. */
static bool csr_mask_interrupts(RvDis *d, const arg_csr *a)
{
    IrBlock *b = d->ir;
    IrVal s = ir_get(b, SLOT_MSTATUS), old;

    if (a->rd) {
        IrVal dirty = ir_setcond(b, IR_I64, IR_EQ, ir_andi(b, s, MSTATUS_FS), ir_i64(b, MSTATUS_FS));

        old = ir_andi(b, s, MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_UXL);
        rv_x_set(d, a->rd, ir_or(b, old, ir_shli(b, dirty, 63)));
    }
    ir_set(b, SLOT_MSTATUS, ir_andi(b, s, ~(int64_t)MSTATUS_SIE));
    return true;
}

static bool csr(RvDis *d, const arg_csr *a, CsrOp op, bool imm)
{
    IrBlock *b = d->ir;
    bool write = op == CSR_OP_WRITE || a->rs1, read = op != CSR_OP_WRITE || a->rd;
    int id = rv_csr_by_number((unsigned)a->csr);
    IrVal v = imm ? ir_i64(b, a->rs1) : rv_x_get(d, a->rs1), old;

    if ((unsigned)(a->csr >> 8 & 3) > priv_of(d) || (write && a->csr >> 10 == 3)) {
        return false;
    }
    if (id >= 0 && rv_csrs[id].flags & RV_CSR_SLOT) {
        return csr_slot(d, a, (unsigned)id, op, v, write);
    }
    if (id == CSR_sstatus && op == CSR_OP_CLEAR && imm && a->rs1 == MSTATUS_SIE) {
        return csr_mask_interrupts(d, a);
    }
    old = ir_call(b, RT_csr, IR_V(ir_i64(b, a->csr | (write ? op : 0) << 12 | read << 14)), IR_V(v), IR_V(ir_i64(b, d->insn)));
    rv_x_set(d, a->rd, old);
    if (write) {
        rv_end_mode(d);
    }
    return true;
}

TRANS(csrrw, csr)
{
    return csr(d, a, CSR_OP_WRITE, false);
}

TRANS(csrrs, csr)
{
    return csr(d, a, CSR_OP_SET, false);
}

TRANS(csrrc, csr)
{
    return csr(d, a, CSR_OP_CLEAR, false);
}

TRANS(csrrwi, csr)
{
    return csr(d, a, CSR_OP_WRITE, true);
}

TRANS(csrrsi, csr)
{
    return csr(d, a, CSR_OP_SET, true);
}

TRANS(csrrci, csr)
{
    return csr(d, a, CSR_OP_CLEAR, true);
}

/* ---- returns and waits ---- */

static bool trap_return(RvDis *d, RvPriv from)
{
    IrBlock *b = d->ir;

    if (d->key & KEY_CROSS) {
        ir_set(b, SLOT_CROSS, ir_i32(b, 0));
    }
    ir_leave_to(b, IR_LEAVE_MODE, ir_call(b, RT_trap_return, IR_V(ir_i64(b, from))));
    d->done = true;
    return true;
}

TRANS(mret, none)
{
    return priv_of(d) == PRIV_M && trap_return(d, PRIV_M);
}

TRANS(sret, none)
{
    bool allowed = priv_of(d) == PRIV_M || (priv_of(d) == PRIV_S && !(d->key & KEY_TSR));

    return allowed && trap_return(d, PRIV_S);
}

TRANS(wfi, none)
{
    if (priv_of(d) == PRIV_U || (priv_of(d) == PRIV_S && d->key & KEY_TW)) {
        return false;
    }
    rv_end_leave(d, IR_LEAVE_HALT);
    return true;
}

/* The wait may end at any time: others get a turn. */
TRANS(wrs, none)
{
    rv_end_leave(d, IR_LEAVE_YIELD);
    return true;
}

/* ---- address translation ---- */

static bool may_fence(const RvDis *d)
{
    return priv_of(d) == PRIV_M || (priv_of(d) == PRIV_S && !(d->key & KEY_TVM));
}

static bool fence_vma(RvDis *d, const arg_rs12 *a)
{
    IrBlock *b = d->ir;

    if (!may_fence(d)) {
        return false;
    }
    ir_call(b, RT_sfence, IR_V(rv_x_get(d, a->rs1)), IR_V(rv_x_get(d, a->rs2)), IR_V(ir_i64(b, (a->rs1 ? 1 : 0) | (a->rs2 ? 2 : 0))));
    rv_end_mode(d);
    return true;
}

TRANS(sfence_vma, rs12)
{
    return fence_vma(d, a);
}

TRANS(sinval_vma, rs12)
{
    return fence_vma(d, a);
}

/* The invalidations between them have been done already. */
TRANS(sfence_w_inval, none)
{
    return priv_of(d) != PRIV_U;
}

TRANS(sfence_inval_ir, none)
{
    return priv_of(d) != PRIV_U;
}
