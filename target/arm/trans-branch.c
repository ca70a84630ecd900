/* SPDX-License-Identifier: MIT */
/* A64 branches: Arm ARM (DDI 0487), C4.1.94. */
#include "target/arm/translate.h"

bool trans_b(A64Dis *d, arg_b *a)
{
    end_goto(d, d->off + a->imm);
    return true;
}

static void set_link(A64Dis *d)
{
    ir_push_ret(d->ir, d->off + 4);
    gpr_set(d, 30, ir_pc(d->ir, d->off + 4));
}

bool trans_bl(A64Dis *d, arg_b *a)
{
    set_link(d);
    end_goto(d, d->off + a->imm);
    return true;
}

/* Conditional branches leave on the side; the block goes on behind them. */
bool trans_cbz(A64Dis *d, arg_cbz *a)
{
    IrVal t = gpr_get(d, a->rt, a->sf);

    branch_if(d, (A64Cond){ IR_EQ, t, ir_const(d->ir, ir_type(d->ir, t), 0) }, d->off + a->imm);
    return true;
}

bool trans_cbnz(A64Dis *d, arg_cbz *a)
{
    IrVal t = gpr_get(d, a->rt, a->sf);

    branch_if(d, (A64Cond){ IR_NE, t, ir_const(d->ir, ir_type(d->ir, t), 0) }, d->off + a->imm);
    return true;
}

static bool test_bit(A64Dis *d, const arg_tbz *a, IrCond c)
{
    bool wide = a->bit >= 32;
    IrVal t = gpr_get(d, a->rt, wide);

    branch_if(d, (A64Cond){ c, t, wide ? ir_i64(d->ir, (int64_t)(1ull << a->bit)) : ir_i32(d->ir, (int32_t)(1u << a->bit)) }, d->off + a->imm);
    return true;
}

bool trans_tbz(A64Dis *d, arg_tbz *a)
{
    return test_bit(d, a, IR_TSTEQ);
}

bool trans_tbnz(A64Dis *d, arg_tbz *a)
{
    return test_bit(d, a, IR_TSTNE);
}

/*
 * CCMP and B.cond as the two branches that the source of the program had: where the first condition fails the flags are constants,
 * and the branch is known, to its target or to what is behind it.
 */
static void branch_ccmp(A64Dis *d, unsigned cond, int64_t disp)
{
    IrCond fails = cond_negate(d->ccmp.c);

    d->ccmp.on = false;
    flags_set_nzcv(d, d->ccmp.nzcv);
    ir_exit_if(d->ir, fails, d->ccmp.a, d->ccmp.b, nzcv_holds(cond, d->ccmp.nzcv) ? disp : d->off + 4);
    if (d->ccmp.sub) {
        subs_flags(d, d->ccmp.n, d->ccmp.m);
    } else {
        adds_flags(d, d->ccmp.n, d->ccmp.m);
    }
    branch_if(d, cond_get(d, cond), disp);
}

bool trans_b_cond(A64Dis *d, arg_b_cond *a)
{
    if (d->ccmp.on) {
        branch_ccmp(d, a->cond, d->off + a->imm);
        return true;
    }
    if (a->cond >= 14) {
        end_goto(d, d->off + a->imm);
    } else {
        branch_if(d, cond_get(d, a->cond), d->off + a->imm);
    }
    return true;
}

/* PSTATE.BTYPE behind BR: what a procedure linkage table does with x16 and x17 passes as a call; from pages that are not guarded all does. */
static unsigned br_type(const A64Dis *d, unsigned rn)
{
    return d->key & KEY_GUARDED && rn != 16 && rn != 17 ? 3 : 1;
}

enum { BLR_TYPE = 2 };

bool trans_br(A64Dis *d, arg_r *a)
{
    end_branch(d, gpr_get(d, a->rn, true), br_type(d, a->rn));
    return true;
}

bool trans_blr(A64Dis *d, arg_r *a)
{
    IrVal target = gpr_get(d, a->rn, true);

    set_link(d);
    end_branch(d, target, BLR_TYPE);
    return true;
}

bool trans_ret(A64Dis *d, arg_r *a)
{
    end_jump(d, gpr_get(d, a->rn, true), IR_RET);
    return true;
}

static void exception_return(A64Dis *d)
{
    ir_leave_to(d->ir, IR_LEAVE_MODE, ir_call(d->ir, RT_eret, IR_V(ir_get(d->ir, a64_slot_of_sysreg(SR_ELR_EL1)))));
    d->done = true;
}

bool trans_eret(A64Dis *d, arg_none *a)
{
    if (!el1(d)) {
        return false;
    }
    exception_return(d);
    return true;
}

/* ---- with pointer authentication ---- */

bool trans_braz(A64Dis *d, arg_brz *a)
{
    end_branch(d, pauth_aut(d, gpr_get(d, a->rn, true), ir_i64(d->ir, 0), a->m), br_type(d, a->rn));
    return true;
}

bool trans_blraz(A64Dis *d, arg_brz *a)
{
    IrVal target = pauth_aut(d, gpr_get(d, a->rn, true), ir_i64(d->ir, 0), a->m);

    set_link(d);
    end_branch(d, target, BLR_TYPE);
    return true;
}

bool trans_bra(A64Dis *d, arg_bra *a)
{
    end_branch(d, pauth_aut(d, gpr_get(d, a->rn, true), gpr_get_sp(d, a->rm, true), a->m), br_type(d, a->rn));
    return true;
}

bool trans_blra(A64Dis *d, arg_bra *a)
{
    IrVal target = pauth_aut(d, gpr_get(d, a->rn, true), gpr_get_sp(d, a->rm, true), a->m);

    set_link(d);
    end_branch(d, target, BLR_TYPE);
    return true;
}

bool trans_reta(A64Dis *d, arg_reta *a)
{
    end_jump(d, pauth_aut(d, gpr_get(d, 30, true), gpr_get_sp(d, 31, true), a->m), IR_RET);
    return true;
}

bool trans_ereta(A64Dis *d, arg_reta *a)
{
    IrVal elr;

    if (!el1(d)) {
        return false;
    }
    elr = pauth_aut(d, ir_get(d->ir, a64_slot_of_sysreg(SR_ELR_EL1)), gpr_get_sp(d, 31, true), a->m);
    ir_leave_to(d->ir, IR_LEAVE_MODE, ir_call(d->ir, RT_eret, IR_V(elr)));
    d->done = true;
    return true;
}
