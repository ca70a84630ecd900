/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floating point numbers.  The host computes under the guest's MXCSR;
 * where a result or input is a NaN, cold code computes the whole operation again by the evaluator, which
 * knows the guest's rules.  So the result never takes the register of an input.
 */
#include "tcg/x86_64/vec.h"

static uint32_t ps(const IrOp *op, uint8_t code) { return M0F | (op->sub == IR_E64 ? P66 : 0) | code; }

static bool other(Emit *e, const IrOp *op)
{
    if (op->sub < IR_E32) {
        emit_eval(e);
        return true;
    }
    return v_eval(e, true);
}

/* Any NaN in x or y: to cold code. */
static void check(Emit *e, const IrOp *op, int d, int x, int y)
{
    v_imm(e, ps(op, 0xc2), SCRATCH_X, x, y, 3);
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    v_cold(e, CC_NE, d);
}

static void arith2(Emit *e, const IrOp *op, uint32_t code)
{
    int x, y, d;

    if (other(e, op)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    d = v_out(e, NOREG, 1u << x | 1u << y);
    sse3(e, code, d, x, y);
    if (e->b->nan_mode != IR_NAN_X86) {
        check(e, op, d, d, d);
    }
}
void vec_fadd(Emit *e, const IrOp *op) { arith2(e, op, ps(op, 0x58)); }
void vec_fsub(Emit *e, const IrOp *op) { arith2(e, op, ps(op, 0x5c)); }
void vec_fmul(Emit *e, const IrOp *op) { arith2(e, op, ps(op, 0x59)); }
void vec_fdiv(Emit *e, const IrOp *op) { arith2(e, op, ps(op, 0x5e)); }
void vec_paddf(Emit *e, const IrOp *op) { arith2(e, op, M0F | (op->sub == IR_E64 ? P66 : PF2) | 0x7c); }

void vec_fsqrt(Emit *e, const IrOp *op)
{
    int x, d;

    if (other(e, op)) {
        return;
    }
    x = v_in(e, 0);
    d = v_out(e, NOREG, 1u << x);
    sse2(e, ps(op, 0x51), d, x);
    check(e, op, d, d, d);
}

void vec_fma(Emit *e, const IrOp *op)
{
    static const uint8_t code[4] = { 0xb8, [IR_FMA_NEG_PROD] = 0xbc, [IR_FMA_NEG_ADD] = 0xba, [IR_FMA_NEG_PROD | IR_FMA_NEG_ADD] = 0xbe };
    int x, y, z, d;

    if (!e->has.fma) {
        emit_eval(e);
        return;
    }
    if (other(e, op)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    z = v_in(e, 2);
    d = v_out(e, NOREG, 1u << x | 1u << y | 1u << z);
    sse2(e, V_MOVAPS, d, z);
    vex_rr(&e->a, M38 | P66 | code[op->imm & 3], op->sub == IR_E64, d, x, y);
    check(e, op, d, d, d);
}

static void sign(Emit *e, const IrOp *op, uint32_t code, unsigned c)
{
    int x;

    if (!other(e, op)) {
        x = v_in(e, 0);
        v_mem(e, code, v_out(e, x, 0), x, v_const(e, c));
    }
}
void vec_fabs(Emit *e, const IrOp *op) { sign(e, op, V_PAND, op->sub == IR_E64 ? C_ABS64 : C_ABS32); }
void vec_fneg(Emit *e, const IrOp *op) { sign(e, op, V_PXOR, op->sub == IR_E64 ? C_NEG64 : C_NEG32); }

/* The host's extremes give the second operand for equal ones (zeros of two signs): both orders, joined; NaNs go another way first, quietly. */
static void extreme(Emit *e, const IrOp *op, uint8_t code, uint32_t join)
{
    uint8_t *skip, *back;
    int x, y, d;

    if (other(e, op)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    d = v_out(e, NOREG, 1u << x | 1u << y);
    v_imm(e, ps(op, 0xc2), SCRATCH_X, x, y, 3);
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    jcc_to(&e->a, CC_NE, e->a.p);
    skip = e->a.p;
    sse3(e, ps(op, code), SCRATCH_X, x, y);
    sse3(e, ps(op, code), d, y, x);
    sse3(e, join, d, d, SCRATCH_X);
    back = e->a.p;
    go_cold(e);
    land_near(skip, e->a.p);
    emit_eval_cold(e, d, back);
    go_hot(e);
}
void vec_fmin(Emit *e, const IrOp *op) { extreme(e, op, 0x5d, V_POR); }
void vec_fmax(Emit *e, const IrOp *op) { extreme(e, op, 0x5f, V_PAND); }

void vec_fcmp(Emit *e, const IrOp *op)
{
    unsigned c = op->imm & 15;
    bool swap = c == IR_FGT_O || c == IR_FGE_O, signal = op->imm & IR_FCMP_SIGNAL;
    int x, y;

    if (signal ? c < IR_FLT_O || c > IR_FGE_O : c != IR_FEQ) {
        emit_eval(e);
        return;
    }
    if (!other(e, op)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        v_imm(e, ps(op, 0xc2), v_out(e, x, 0), swap ? y : x, swap ? x : y, c == IR_FEQ ? 0 : c == IR_FLT_O || c == IR_FGT_O ? 1 : 2);
    }
}

/* ---- conversion: towards zero, signed; the host's answer to what does not fit is the smallest number ---- */
static void f2i_words(Emit *e, const IrOp *op)
{
    int x = v_in(e, 0), d = v_out(e, NOREG, 1u << x);

    sse2(e, M0F | PF3 | 0x5b, d, x);
    v_mem(e, V_PCMPEQD, SCRATCH_X, d, v_const(e, C_NEG32));
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    v_cold(e, CC_NE, d);
}

void vec_f2i(Emit *e, const IrOp *op)
{
    if (op->sub != IR_E32 || op->imm != IR_RZ) {
        emit_eval(e);
    } else if (!v_eval(e, true)) {
        f2i_words(e, op);
    }
}

void vec_i2f(Emit *e, const IrOp *op)
{
    int x;

    if (op->sub != IR_E32 || op->imm & IR_CVT_UNSIGNED) {
        emit_eval(e);
    } else if (!v_eval(e, true)) {
        x = v_in(e, 0);
        sse2(e, M0F | 0x5b, v_out(e, x, 0), x);
    }
}
