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

/* The same for a result, and the smallest normal number, which Arm may call tiny (fp.c): one comparison, "equal or unordered". */
static void check_tiny(Emit *e, const IrOp *op, int d)
{
    bool wide = op->sub == IR_E64;

    if (e->b->nan_mode != IR_NAN_ARM && e->b->nan_mode != IR_NAN_ARM_DEFAULT) {
        check(e, op, d, d, d);
        return;
    }
    v_mem(e, V_PAND, SCRATCH_X, d, v_const(e, wide ? C_ABS64 : C_ABS32));
    v_mem_imm(e, ps(op, 0xc2), SCRATCH_X, SCRATCH_X, v_const(e, wide ? C_MIN64 : C_MIN32), 8);
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    v_cold(e, CC_NE, d);
}

/* The cold code of several jumps, for the operation that ends here. */
static void cold_all(Emit *e, int d, uint8_t *const *from, unsigned n)
{
    uint8_t *back = e->a.p;

    go_cold(e);
    for (unsigned i = 0; i < n; i++) {
        land_near(from[i], e->a.p);
    }
    emit_eval_cold(e, d, back);
    go_hot(e);
}

/* Operands that are too small for b->flush_exact (fp.c), none of them zero: bits of theirs in SCRATCH_X; for further ones those are added. */
static void small(Emit *e, const IrOp *op, int x, bool more)
{
    bool wide = op->sub == IR_E64;
    int t = more ? SCRATCH_Y : SCRATCH_X;

    v_mem(e, V_PAND, t, x, v_const(e, wide ? C_ABS64 : C_ABS32));
    if (more) {
        int u = ra_alloc(e, XMM_MASK);

        v_mem_imm(e, ps(op, 0xc2), u, t, v_const(e, wide ? C_LOW64 : C_LOW32), 0x11);       /* less, quietly */
        sse3(e, V_PAND, t, t, u);
        sse3(e, V_POR, SCRATCH_X, SCRATCH_X, t);
        ra_unlock(e, u);
    } else {
        v_mem_imm(e, ps(op, 0xc2), SCRATCH_Y, t, v_const(e, wide ? C_LOW64 : C_LOW32), 0x11);
        sse3(e, V_PAND, t, t, SCRATCH_Y);
    }
}

/* Any bit of SCRATCH_X: jump to what is patched in later. */
static uint8_t *if_any(Emit *e)
{
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    jcc_to(&e->a, CC_NE, e->a.p);
    return e->a.p;
}

static void arith2_exact(Emit *e, const IrOp *op, uint32_t code)
{
    uint8_t *jump;
    int x, y, d;

    if (op->opc == OP_vfdiv) {
        emit_eval(e);
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    d = v_out(e, NOREG, 1u << x | 1u << y);
    small(e, op, x, false);
    if (y != x) {
        small(e, op, y, true);
    }
    jump = if_any(e);
    sse3(e, code, d, x, y);
    check(e, op, d, d, d);
    cold_all(e, d, &jump, 1);
}

static void arith2(Emit *e, const IrOp *op, uint32_t code)
{
    bool tiny = op->opc == OP_vfmul || op->opc == OP_vfdiv;         /* sums that are tiny are exact */
    int x, y, d;

    if (other(e, op)) {
        return;
    }
    if (e->b->flush_exact) {
        arith2_exact(e, op, code);
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    d = v_out(e, NOREG, 1u << x | 1u << y);
    sse3(e, code, d, x, y);
    if (e->b->nan_mode == IR_NAN_X86) {
        return;
    }
    if (tiny) {
        check_tiny(e, op, d);
    } else {
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
    uint8_t *jump = NULL;
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
    if (e->b->flush_exact) {
        small(e, op, x, false);
        small(e, op, y, true);
        small(e, op, z, true);
        jump = if_any(e);
    }
    sse2(e, V_MOVAPS, d, z);
    vex_rr(&e->a, M38 | P66 | code[op->imm & 3], op->sub == IR_E64, d, x, y);
    check_tiny(e, op, d);
    if (jump) {
        cold_all(e, d, &jump, 1);
    }
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

void vec_fround(Emit *e, const IrOp *op)
{
    static const int8_t mode[] = { [IR_RN] = 0, [IR_RP] = 2, [IR_RM] = 1, [IR_RZ] = 3, [IR_RA] = -1, [IR_RCUR] = 4 };
    int imm = mode[op->imm & 7], x, d;

    if (imm < 0) {
        emit_eval(e);
        return;
    }
    if (other(e, op)) {
        return;
    }
    x = v_in(e, 0);
    d = v_out(e, NOREG, 1u << x);
    v_imm2(e, M3A | P66 | (op->sub == IR_E64 ? 0x09 : 0x08), d, x, (unsigned)imm | (op->imm & IR_ROUND_EXACT ? 0 : 8));
    check(e, op, d, d, d);
}

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

/* ---- conversion ---- */
/* Any lane of x with its top bit set: to cold code; gives the place behind the jump. */
static uint8_t *any_negative(Emit *e, const IrOp *op, int x)
{
    v_mem(e, V_PAND, SCRATCH_X, x, v_const(e, op->sub == IR_E64 ? C_NEG64 : C_NEG32));
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    jcc_to(&e->a, CC_NE, e->a.p);
    return e->a.p;
}

/* Towards zero.  The host's answer to what does not fit is the smallest number; for unsigned results numbers from 2^31 on, negative
 * ones and NaNs are told apart first: as integers they are all above the encoding of 2^31. */
static void f2i_words(Emit *e, const IrOp *op, int d, int x)
{
    bool is_unsigned = op->imm & IR_CVT_UNSIGNED;
    uint8_t *cold;

    if (is_unsigned) {
        v_mem(e, M38 | P66 | 0x3f, SCRATCH_X, x, v_rep(e, 0x4f0000004f000000));
        sse3(e, V_PCMPEQD, SCRATCH_X, SCRATCH_X, x);
    } else {
        sse2(e, M0F | PF3 | 0x5b, d, x);
        v_mem(e, V_PCMPEQD, SCRATCH_X, d, v_const(e, C_NEG32));
    }
    sse2(e, V_PTEST, SCRATCH_X, SCRATCH_X);
    jcc_to(&e->a, CC_NE, e->a.p);
    cold = e->a.p;
    if (is_unsigned) {
        sse2(e, M0F | PF3 | 0x5b, d, x);
    }
    cold_all(e, d, &cold, 1);
}

/* One doubleword: in x's low element. */
static uint8_t *truncate_one(Emit *e, int r, int x)
{
    vex_rr(&e->a, M0F | PF2 | 0x2c, true, r, 0, x);
    alu_ri(&e->a, ALU_CMP, true, r, 1);
    jcc_to(&e->a, CC_O, e->a.p);
    return e->a.p;
}

static void f2i_doublewords(Emit *e, int d, int x, int r)
{
    uint8_t *cold[2];

    cold[0] = truncate_one(e, r, x);
    vex_rr(&e->a, M0F | P66 | 0x6e, true, SCRATCH_Y, 0, r);
    v_imm2(e, V_PSHUFD, SCRATCH_X, x, 0xee);
    cold[1] = truncate_one(e, r, SCRATCH_X);
    vex_rr(&e->a, M3A | P66 | 0x22, true, d, SCRATCH_Y, r);
    put8(&e->a, 1);
    cold_all(e, d, cold, 2);
}

static const uint8_t *power2(Emit *e, bool wide, int n)
{
    return v_rep(e, wide ? (uint64_t)(1023 + n) << 52 : (uint64_t)(127 + n) << 23 | (uint64_t)(127 + n) << 55);
}

/* x * 2^n in u; numbers so large that the product might overflow jump: they do not fit anyway. */
static uint8_t *f2i_scale(Emit *e, const IrOp *op, int u, int x)
{
    bool wide = op->sub == IR_E64;
    uint8_t *large;

    v_mem(e, V_PAND, SCRATCH_X, x, v_const(e, wide ? C_ABS64 : C_ABS32));
    v_mem_imm(e, ps(op, 0xc2), SCRATCH_X, SCRATCH_X, power2(e, wide, 64), 0x1d);        /* greater or equal, quietly */
    large = if_any(e);
    v_mem(e, ps(op, 0x59), u, x, power2(e, wide, (int)(op->imm >> 8)));
    return large;
}

void vec_f2i(Emit *e, const IrOp *op)
{
    int x, r, u, d;
    uint8_t *large = NULL;

    if (op->sub < IR_E32 || (op->imm & 7) != IR_RZ || (op->sub == IR_E64 && op->imm & IR_CVT_UNSIGNED)) {
        emit_eval(e);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    r = ra_temp(e);
    d = v_out(e, NOREG, 1u << x);
    if (op->imm >> 8) {
        u = ra_alloc(e, XMM_MASK);
        large = f2i_scale(e, op, u, x);
        x = u;
    }
    if (op->sub == IR_E32) {
        f2i_words(e, op, d, x);
    } else {
        f2i_doublewords(e, d, x, r);
    }
    if (large) {
        cold_all(e, d, &large, 1);
        ra_unlock(e, u);
    }
    ra_unlock(e, r);
}

static void i2f_doublewords(Emit *e, int x, int d, int r)
{
    vex_rr(&e->a, M0F | P66 | 0x7e, true, x, 0, r);
    v_zero(e, SCRATCH_Y);
    vex_rr(&e->a, M0F | PF2 | 0x2a, true, SCRATCH_X, SCRATCH_Y, r);
    vex_rr(&e->a, M3A | P66 | 0x16, true, x, 0, r);
    put8(&e->a, 1);
    vex_rr(&e->a, M0F | PF2 | 0x2a, true, SCRATCH_Y, SCRATCH_Y, r);
    sse3(e, V_PUNPCKLQDQ, d, SCRATCH_X, SCRATCH_Y);
}

/* Unsigned numbers with their top bit clear are signed ones. */
void vec_i2f(Emit *e, const IrOp *op)
{
    uint8_t *cold = NULL;
    int x, d, r = NOREG;

    if (op->sub < IR_E32) {
        emit_eval(e);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    d = v_out(e, NOREG, 1u << x);
    if (op->sub == IR_E64) {
        r = ra_temp(e);             /* before the jump: what it evicts must be stored on both ways */
    }
    if (op->imm & IR_CVT_UNSIGNED) {
        cold = any_negative(e, op, x);
    }
    if (op->sub == IR_E32) {
        sse2(e, M0F | 0x5b, d, x);
    } else {
        i2f_doublewords(e, x, d, r);
    }
    if (op->imm >> 8) {                 /* a power of two that cannot make it tiny */
        v_mem(e, ps(op, 0x59), d, d, power2(e, op->sub == IR_E64, -(int)(op->imm >> 8)));
    }
    if (cold) {
        cold_all(e, d, &cold, 1);
    }
}
