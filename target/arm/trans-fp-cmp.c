/* SPDX-License-Identifier: MIT */
/* A64 scalar floating point comparison, to flags and to masks: Arm ARM (DDI 0487), C7.2. */
#include "target/arm/trans-simd-priv.h"

/* To a mask; zeros above the operands raise nothing. */
static void mask(A64Dis *d, int size, int rd, IrVal x, IrVal y, unsigned c)
{
    IrVal v = ir_v2(d->ir, OP_vfcmp, size, c, ir_vzext(d->ir, IR_V128, x), ir_vzext(d->ir, IR_V128, y));

    f_set(d, rd, ir_vlow(d->ir, f_type(size), v));
}

static bool mask2(A64Dis *d, const arg_f_rrr *a, unsigned c, unsigned rt, bool magnitude)
{
    IrVal x, y;

    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, rt, a->size, a->rd, a->rn, a->rm, 0, 0);
    }
    x = f_in(d, a->size, a->rn);
    y = f_in(d, a->size, a->rm);
    if (magnitude) {
        x = ir_op1(d->ir, OP_fabs, f_type(a->size), 0, 0, x);
        y = ir_op1(d->ir, OP_fabs, f_type(a->size), 0, 0, y);
    }
    mask(d, a->size, a->rd, x, y, c);
    return true;
}
TRANS(fcmeq_s, f_rrr, mask2(d, a, IR_FEQ, RT_fcmeq, false))
TRANS(fcmge_s, f_rrr, mask2(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_fcmge, false))
TRANS(fcmgt_s, f_rrr, mask2(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_fcmgt, false))
TRANS(facge_s, f_rrr, mask2(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_facge, true))
TRANS(facgt_s, f_rrr, mask2(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_facgt, true))

static bool mask0(A64Dis *d, const arg_f_rr *a, unsigned c, unsigned rt)
{
    if (!simd_on(d)) {
        return true;
    }
    if (!f_inline(a->size)) {
        return simd_call_s(d, rt, a->size, a->rd, a->rn, a->rn, 0, 0);
    }
    mask(d, a->size, a->rd, f_in(d, a->size, a->rn), ir_vlow(d->ir, f_type(a->size), v_rep(d, 0)), c);
    return true;
}
TRANS(fcmeq0_s, f_rr, mask0(d, a, IR_FEQ, RT_fcmeq0))
TRANS(fcmge0_s, f_rr, mask0(d, a, IR_FGE_O | IR_FCMP_SIGNAL, RT_fcmge0))
TRANS(fcmgt0_s, f_rr, mask0(d, a, IR_FGT_O | IR_FCMP_SIGNAL, RT_fcmgt0))
TRANS(fcmle0_s, f_rr, mask0(d, a, IR_FLE_O | IR_FCMP_SIGNAL, RT_fcmle0))
TRANS(fcmlt0_s, f_rr, mask0(d, a, IR_FLT_O | IR_FCMP_SIGNAL, RT_fcmlt0))

static void compare(A64Dis *d, int size, int rn, int rm, bool zero, bool signal)
{
    IrVal v;

    if (f_inline(size)) {
        IrVal m = zero ? ir_vlow(d->ir, f_type(size), v_rep(d, 0)) : f_in(d, size, rm);

        flags_set(d, ir_flags_fcmp(d->ir, f_in(d, size, rn), m, signal));
        return;
    }
    v = ir_call(d->ir, RT_fcmp, IR_SIN(vslot((unsigned)rn)), IR_SIN(vslot((unsigned)rm)), IR_V(ir_i64(d->ir, RT_DESC(size, 1 << size, zero | signal << 1, 0))));
    flags_from_nzcv(d, ir_shli(d->ir, v, 28));
}

bool trans_fcmp(A64Dis *d, arg_fcmp *a)
{
    if (simd_on(d)) {
        compare(d, a->size, a->rn, a->rm, a->zero, a->signal);
    }
    return true;
}

/* The operands where the condition holds, else zeros, which raise nothing. */
static IrVal operand_if(A64Dis *d, A64Cond c, int size, int n)
{
    IrVal v = bits_get(d, size, n);

    return fz_scalar(d, size, ir_bitcast(d->ir, f_type(size), ir_movcond(d->ir, c.c, c.a, c.b, v, ir_const(d->ir, ir_type(d->ir, v), 0))));
}

static IrVal flag_if(A64Dis *d, A64Cond c, IrVal f, unsigned otherwise)
{
    return ir_movcond(d->ir, c.c, c.a, c.b, f, ir_i32(d->ir, (int)(otherwise & 1)));
}

static void compare_if(A64Dis *d, const arg_fccmp *a, A64Cond c)
{
    unsigned nzcv = (unsigned)a->nzcv;
    IrFlags f = ir_flags_fcmp(d->ir, operand_if(d, c, a->size, a->rn), operand_if(d, c, a->size, a->rm), a->signal);

    flags_set(d, (IrFlags){ .n = flag_if(d, c, f.n, nzcv >> 3), .z = flag_if(d, c, f.z, nzcv >> 2), .c = flag_if(d, c, f.c, nzcv >> 1), .v = flag_if(d, c, f.v, nzcv) });
}

/* FCCMP compares, and may raise, only where the condition holds. */
bool trans_fccmp(A64Dis *d, arg_fccmp *a)
{
    IrVal v;
    A64Cond c;

    if (!simd_on(d)) {
        return true;
    }
    if (a->cond >= 14) {
        compare(d, a->size, a->rn, a->rm, false, a->signal);
        return true;
    }
    c = cond_get(d, (unsigned)a->cond);
    if (f_inline(a->size)) {
        compare_if(d, a, c);
        return true;
    }
    v = ir_call(d->ir, RT_fccmp, IR_SIN(vslot((unsigned)a->rn)), IR_SIN(vslot((unsigned)a->rm)),
                IR_V(ir_i64(d->ir, RT_DESC(a->size, 1 << a->size, a->signal << 1, a->nzcv))), IR_V(ir_setcond(d->ir, IR_I64, c.c, c.a, c.b)));
    flags_from_nzcv(d, ir_shli(d->ir, v, 28));
    return true;
}
