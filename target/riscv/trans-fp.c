/* SPDX-License-Identifier: MIT */
/*
 * F and D: volume I, chapters "F" and "D".
 *
 * The host computes under frm, which is in the block key.  An instruction that names another rounding mode, or ties away
 * from zero, which the host does not have, goes through rt_rv_fp; conversions to integers take any mode in line.
 */
#include "target/riscv/translate.h"

#include "target/riscv/rt.h"

enum { RM_RNE, RM_RTZ, RM_RDN, RM_RUP, RM_RMM, RM_DYN = 7 };

static IrVal get(RvDis *d, unsigned fmt, unsigned r)
{
    return fmt ? rv_f64_get(d, r) : rv_f32_get(d, r);
}

static void set(RvDis *d, unsigned fmt, unsigned r, IrVal v)
{
    if (fmt) {
        rv_f64_set(d, r, v);
    } else {
        rv_f32_set(d, r, v);
    }
}

static IrVal bits_of(RvDis *d, unsigned fmt, IrVal v)
{
    return fmt ? ir_bitcast(d->ir, IR_I64, v) : ir_zext(d->ir, ir_bitcast(d->ir, IR_I32, v));
}

static IrVal of_bits(RvDis *d, unsigned fmt, IrVal v)
{
    return fmt ? ir_bitcast(d->ir, IR_F64, v) : ir_bitcast(d->ir, IR_F32, ir_trunc(d->ir, v));
}

/* The rounding mode in force; false: illegal. */
static bool rounding(const RvDis *d, int rm, unsigned *out)
{
    *out = rm == RM_DYN ? KEY_FRM(d->key) : (unsigned)rm;
    return d->key & KEY_FP && *out <= RM_RMM;
}

static bool host_rounds(const RvDis *d, unsigned rm)
{
    return rm == KEY_FRM(d->key) && rm != RM_RMM;
}

static IrVal soft(RvDis *d, uint64_t what, IrVal a, IrVal b, IrVal c)
{
    IrVal none = ir_i64(d->ir, 0);

    return ir_call(d->ir, RT_fp, IR_V(ir_i64(d->ir, (int64_t)what)), IR_V(a.id ? a : none), IR_V(b.id ? b : none), IR_V(c.id ? c : none));
}

/* ---- arithmetic ---- */

static bool arith(RvDis *d, const arg_frm *a, IrOpcode opc, RvFpOp op)
{
    IrVal x, y;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    x = get(d, a->fmt, a->rs1);
    y = get(d, a->fmt, a->rs2);
    if (host_rounds(d, rm)) {
        set(d, a->fmt, a->rd, ir_fop2(d->ir, opc, x, y));
    } else {
        set(d, a->fmt, a->rd, of_bits(d, a->fmt, soft(d, RV_FP_WHAT(op, rm, a->fmt), bits_of(d, a->fmt, x), bits_of(d, a->fmt, y), IR_NONE)));
    }
    return true;
}

TRANS(fadd, frm)
{
    return arith(d, a, OP_fadd, RV_FP_ADD);
}

TRANS(fsub, frm)
{
    return arith(d, a, OP_fsub, RV_FP_SUB);
}

TRANS(fmul, frm)
{
    return arith(d, a, OP_fmul, RV_FP_MUL);
}

TRANS(fdiv, frm)
{
    return arith(d, a, OP_fdiv, RV_FP_DIV);
}

static IrType type_of(unsigned fmt)
{
    return fmt ? IR_F64 : IR_F32;
}

TRANS(fsqrt, f1)
{
    IrVal x;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    x = get(d, a->fmt, a->rs1);
    if (host_rounds(d, rm)) {
        set(d, a->fmt, a->rd, ir_op1(d->ir, OP_fsqrt, type_of(a->fmt), 0, 0, x));
    } else {
        set(d, a->fmt, a->rd, of_bits(d, a->fmt, soft(d, RV_FP_WHAT(RV_FP_SQRT, rm, a->fmt), bits_of(d, a->fmt, x), IR_NONE, IR_NONE)));
    }
    return true;
}

static bool fused(RvDis *d, const arg_f4 *a, unsigned neg)
{
    IrVal x, y, z;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    x = get(d, a->fmt, a->rs1);
    y = get(d, a->fmt, a->rs2);
    z = get(d, a->fmt, a->rs3);
    if (host_rounds(d, rm)) {
        set(d, a->fmt, a->rd, ir_op3(d->ir, OP_fma, type_of(a->fmt), (uint16_t)neg, 0, x, y, z));
    } else {
        uint64_t what = RV_FP_WHAT(RV_FP_FMA, rm, a->fmt) | (neg & IR_FMA_NEG_PROD ? RV_FP_NEG_PROD : 0) | (neg & IR_FMA_NEG_ADD ? RV_FP_NEG_ADD : 0);

        set(d, a->fmt, a->rd, of_bits(d, a->fmt, soft(d, what, bits_of(d, a->fmt, x), bits_of(d, a->fmt, y), bits_of(d, a->fmt, z))));
    }
    return true;
}

TRANS(fmadd, f4)
{
    return fused(d, a, 0);
}

TRANS(fmsub, f4)
{
    return fused(d, a, IR_FMA_NEG_ADD);
}

TRANS(fnmsub, f4)
{
    return fused(d, a, IR_FMA_NEG_PROD);
}

TRANS(fnmadd, f4)
{
    return fused(d, a, IR_FMA_NEG_PROD | IR_FMA_NEG_ADD);
}

static bool min_max(RvDis *d, const arg_fr *a, IrOpcode opc)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    set(d, a->fmt, a->rd, ir_fop2(d->ir, opc, get(d, a->fmt, a->rs1), get(d, a->fmt, a->rs2)));
    return true;
}

TRANS(fmin, fr)
{
    return min_max(d, a, OP_fminnm);
}

TRANS(fmax, fr)
{
    return min_max(d, a, OP_fmaxnm);
}

/* ---- signs and bits ---- */

static bool sign(RvDis *d, const arg_fr *a, bool negate, bool multiply)
{
    IrBlock *b = d->ir;
    IrVal x, y, s, mask = a->fmt ? ir_i64(b, INT64_MIN) : ir_i64(b, 0x80000000);

    if (!(d->key & KEY_FP)) {
        return false;
    }
    x = bits_of(d, a->fmt, get(d, a->fmt, a->rs1));
    y = bits_of(d, a->fmt, get(d, a->fmt, a->rs2));
    s = ir_and(b, negate ? ir_not(b, y) : y, mask);
    set(d, a->fmt, a->rd, of_bits(d, a->fmt, multiply ? ir_xor(b, x, s) : ir_or(b, ir_andc(b, x, mask), s)));
    return true;
}

TRANS(fsgnj, fr)
{
    return sign(d, a, false, false);
}

TRANS(fsgnjn, fr)
{
    return sign(d, a, true, false);
}

TRANS(fsgnjx, fr)
{
    return sign(d, a, false, true);
}

/* The low bits as they are, boxed or not. */
TRANS(fmv_x, fx)
{
    IrVal v;

    if (!(d->key & KEY_FP)) {
        return false;
    }
    v = ir_bitcast(d->ir, IR_I64, rv_f64_get(d, a->rs1));
    rv_x_set(d, a->rd, a->fmt ? v : ir_ext(d->ir, IR_I64, IR_S32, v));
    return true;
}

TRANS(fmv_f, fx)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    set(d, a->fmt, a->rd, of_bits(d, a->fmt, rv_x_get(d, a->rs1)));
    return true;
}

TRANS(fclass, fx)
{
    if (!(d->key & KEY_FP)) {
        return false;
    }
    rv_x_set(d, a->rd, soft(d, RV_FP_WHAT(RV_FP_CLASS, 0, a->fmt), bits_of(d, a->fmt, get(d, a->fmt, a->rs1)), IR_NONE, IR_NONE));
    return true;
}

/* ---- comparisons: feq is quiet ---- */

static bool compare(RvDis *d, const arg_fr *a, IrFCond c, bool signal)
{
    IrVal v;

    if (!(d->key & KEY_FP)) {
        return false;
    }
    v = ir_setfcond(d->ir, c, signal, get(d, a->fmt, a->rs1), get(d, a->fmt, a->rs2));
    rv_fp_mark(d);
    rv_x_set(d, a->rd, v);
    return true;
}

TRANS(feq, fr)
{
    return compare(d, a, IR_FEQ, false);
}

TRANS(flt, fr)
{
    return compare(d, a, IR_FLT_O, true);
}

TRANS(fle, fr)
{
    return compare(d, a, IR_FLE_O, true);
}

/* ---- conversions ---- */

TRANS(fcvt_int, fcvt)
{
    static const uint8_t modes[] = { [RM_RNE] = IR_RN, [RM_RTZ] = IR_RZ, [RM_RDN] = IR_RM, [RM_RUP] = IR_RP, [RM_RMM] = IR_RA };
    IrVal v;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    v = ir_op1(d->ir, OP_f2i, a->type & 2 ? IR_I64 : IR_I32, (uint16_t)(modes[rm] | (a->type & 1 ? IR_CVT_UNSIGNED : 0)), 0, get(d, a->fmt, a->rs1));
    rv_fp_mark(d);
    rv_x_set(d, a->rd, v);
    return true;
}

TRANS(fcvt_fp, fcvt)
{
    IrBlock *b = d->ir;
    IrVal x;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    if (host_rounds(d, rm) || (a->fmt && !(a->type & 2))) {         /* 32 bits always fit into a double */
        x = a->type & 2 ? rv_x_get(d, a->rs1) : rv_w_get(d, a->rs1);
        set(d, a->fmt, a->rd, ir_op1(b, OP_i2f, type_of(a->fmt), a->type & 1 ? IR_CVT_UNSIGNED : 0, 0, x));
    } else {
        x = soft(d, RV_FP_WHAT(RV_FP_FROM_INT, rm, a->fmt) | RV_FP_TYPE(a->type), rv_x_get(d, a->rs1), IR_NONE, IR_NONE);
        set(d, a->fmt, a->rd, of_bits(d, a->fmt, x));
    }
    return true;
}

TRANS(fcvt_s_d, f1)
{
    IrVal x;
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    x = rv_f64_get(d, a->rs1);
    if (host_rounds(d, rm)) {
        rv_f32_set(d, a->rd, ir_op1(d->ir, OP_fcvt, IR_F32, 0, 0, x));
    } else {
        rv_f32_set(d, a->rd, of_bits(d, 0, soft(d, RV_FP_WHAT(RV_FP_TO_FORMAT, rm, 0), bits_of(d, 1, x), IR_NONE, IR_NONE)));
    }
    return true;
}

TRANS(fcvt_d_s, f1)
{
    unsigned rm;

    if (!rounding(d, a->rm, &rm)) {
        return false;
    }
    rv_f64_set(d, a->rd, ir_op1(d->ir, OP_fcvt, IR_F64, 0, 0, rv_f32_get(d, a->rs1)));
    return true;
}
