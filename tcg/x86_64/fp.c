/* SPDX-License-Identifier: MIT */
/*
 * Scalar floating point.  As with vectors (vec-fp.c) the host computes under the guest's MXCSR, and where a NaN turns up
 * cold code computes again by the evaluator; so results never take the register of an input.
 * An input may be a whole vector whose low element is meant (vlow is a renaming).  e->zext of a result
 * says that what is above it in its register is zero: then extending it to a vector is free.
 */
#include "tcg/x86_64/vec.h"

static bool is_d(unsigned type) { return type == IR_F64; }
/* ss and sd, ps and pd forms */
static uint32_t ss(unsigned type, uint8_t code) { return M0F | (is_d(type) ? PF2 : PF3) | code; }
static uint32_t ps(unsigned type, uint8_t code) { return M0F | (is_d(type) ? P66 : 0) | code; }

typedef struct Src { int r; bool alone; } Src;

/* Input k in a register.  A value that is in memory and needed here only: just its element. */
static Src input(Emit *e, unsigned k, unsigned type)
{
    uint16_t v = e->op->in[k];
    Mem m;

    if (ra_dies(e, v) && ra_in_memory(e, v, &m)) {
        int t = ra_alloc(e, XMM_MASK);

        load_reg(e, t, m, type);
        return (Src){ t, true };
    }
    return (Src){ ra_use(e, v), v_alone(e, v, type) };
}

static uint32_t bit(int r) { return 1u << r; }

static int result(Emit *e, bool alone, uint32_t avoid)
{
    uint16_t v = e->op->out[0];
    int d = ra_def(e, v, NOREG, avoid);

    if (v) {
        e->zext[v] = alone;
    }
    return d;
}

static void compare(Emit *e, unsigned type, bool signal, int x, int y)
{
    sse2(e, ps(type, signal ? 0x2f : 0x2e), x, y);
}

/* d is a NaN: to cold code. */
static void check(Emit *e, int d)
{
    compare(e, e->op->type, false, d, d);
    v_cold(e, CC_P, d);
}

/* The same; and d may be tiny for Arm, which asks before rounding, when it is the smallest normal number.  One comparison: unordered is "equal". */
static void check_tiny(Emit *e, unsigned type, int d)
{
    if (e->b->nan_mode != IR_NAN_ARM && e->b->nan_mode != IR_NAN_ARM_DEFAULT) {
        check(e, d);
        return;
    }
    v_mem(e, V_PAND, SCRATCH_X, d, v_const(e, is_d(type) ? C_ABS64 : C_ABS32));
    vex_rm(&e->a, ps(type, 0x2e), false, SCRATCH_X, 0, mem_rip(v_const(e, is_d(type) ? C_MIN64 : C_MIN32)));
    v_cold(e, CC_E, d);
}

static bool no_avx(Emit *e)
{
    if (!e->has.avx) {
        emit_eval(e);
    }
    return !e->has.avx;
}

/*
 * Where what is flushed must not raise inexact (b->flush_exact): sums and products of zeros and numbers from 2^-62 (2^-510 for doubles)
 * on are never tiny, nor fused ones: x * y is at least 2^-124, and where z cancels most of it, so large that its last bit is
 * not tiny.  Anything smaller in x: jump to what is patched in later.
 * t: a temporary from before the first of these jumps.
 */
static uint8_t *small(Emit *e, unsigned type, int t, int x)
{
    vex_rr(&e->a, M0F | P66 | 0x7e, is_d(type), x, 0, t);
    lea(&e->a, is_d(type), t, mem_bid(t, t, -1));           /* without the sign; 0 becomes the largest */
    if (is_d(type)) {
        shift_ri(&e->a, SH_SHR, true, t, 32);
    }
    alu_ri(&e->a, ALU_CMP, false, t, is_d(type) ? 0x40200000 : 0x41000000);
    jcc_to(&e->a, CC_B, e->a.p);
    return e->a.p;
}

/* Cold code of n jumps; back is behind the operation. */
static void cold_of(Emit *e, int d, uint8_t *const *from, unsigned n, uint8_t *back)
{
    go_cold(e);
    for (unsigned i = 0; i < n; i++) {
        land_near(from[i], e->a.p);
    }
    emit_eval_cold(e, d, back);
    go_hot(e);
}

/* Sums and products with b->flush_exact; division may be tiny for other reasons. */
static void arith2_exact(Emit *e, const IrOp *op, uint8_t code)
{
    uint8_t *jump[2];
    Src x, y;
    int d, t;

    if (op->opc == OP_fdiv) {
        emit_eval(e);
        return;
    }
    x = input(e, 0, op->type);
    y = op->in[1] == op->in[0] ? x : input(e, 1, op->type);
    d = result(e, x.alone, bit(x.r) | bit(y.r));
    t = ra_temp(e);
    jump[0] = small(e, op->type, t, x.r);
    jump[1] = small(e, op->type, t, y.r);
    ra_unlock(e, t);
    sse3(e, ss(op->type, code), d, x.r, y.r);
    check(e, d);
    cold_of(e, d, jump, 2, e->a.p);
}

static void arith2(Emit *e, const IrOp *op, uint8_t code)
{
    uint16_t v = op->in[1];
    Src x, y;
    Mem m;
    int d;

    if (no_avx(e)) {
        return;
    }
    if (e->b->flush_exact) {
        arith2_exact(e, op, code);
        return;
    }
    x = input(e, 0, op->type);
    if (v != op->in[0] && ra_dies(e, v) && ra_in_memory(e, v, &m)) {
        d = result(e, x.alone, bit(x.r));
        vex_rm(&e->a, ss(op->type, code), false, d, x.r, m);
    } else {
        y = v == op->in[0] ? x : input(e, 1, op->type);
        d = result(e, x.alone, bit(x.r) | bit(y.r));
        sse3(e, ss(op->type, code), d, x.r, y.r);
    }
    if (e->b->nan_mode != IR_NAN_X86) {
        if (op->opc == OP_fmul || op->opc == OP_fdiv) {         /* sums that are tiny are exact */
            check_tiny(e, op->type, d);
        } else {
            check(e, d);
        }
    }
}
static void fadd(Emit *e, const IrOp *op) { arith2(e, op, 0x58); }
static void fsub(Emit *e, const IrOp *op) { arith2(e, op, 0x5c); }
static void fmul(Emit *e, const IrOp *op) { arith2(e, op, 0x59); }
static void fdiv_(Emit *e, const IrOp *op) { arith2(e, op, 0x5e); }

static void fsqrt_(Emit *e, const IrOp *op)
{
    Src x;
    int d;

    if (no_avx(e)) {
        return;
    }
    x = input(e, 0, op->type);
    d = result(e, x.alone, bit(x.r));
    sse3(e, ss(op->type, 0x51), d, x.r, x.r);
    check(e, d);
}

static void fma_(Emit *e, const IrOp *op)
{
    static const uint8_t code[4] = { 0xb9, [IR_FMA_NEG_PROD] = 0xbd, [IR_FMA_NEG_ADD] = 0xbb, [IR_FMA_NEG_PROD | IR_FMA_NEG_ADD] = 0xbf };
    uint8_t *jump[3];
    Src x, y, z;
    int d, t;

    if (!e->has.fma) {
        emit_eval(e);
        return;
    }
    x = input(e, 0, op->type);
    y = input(e, 1, op->type);
    z = input(e, 2, op->type);
    d = result(e, z.alone, bit(x.r) | bit(y.r) | bit(z.r));
    if (e->b->flush_exact) {
        t = ra_temp(e);
        jump[0] = small(e, op->type, t, x.r);
        jump[1] = small(e, op->type, t, y.r);
        jump[2] = small(e, op->type, t, z.r);
        ra_unlock(e, t);
    }
    sse2(e, V_MOVAPS, d, z.r);
    vex_rr(&e->a, M38 | P66 | code[op->sub & 3], is_d(op->type), d, x.r, y.r);
    check_tiny(e, op->type, d);
    if (e->b->flush_exact) {
        cold_of(e, d, jump, 3, e->a.p);
    }
}

/* Only the element changes its sign. */
static void fneg(Emit *e, const IrOp *op)
{
    Src x;

    if (!no_avx(e)) {
        x = input(e, 0, op->type);
        v_mem(e, V_PXOR, result(e, x.alone, 0), x.r, v_bytes(e, is_d(op->type) ? 1ull << 63 : 0x80000000, 0));
    }
}

static void fabs_(Emit *e, const IrOp *op)
{
    Src x;

    if (!no_avx(e)) {
        x = input(e, 0, op->type);
        v_mem(e, V_PAND, result(e, x.alone, 0), x.r, v_const(e, is_d(op->type) ? C_ABS64 : C_ABS32));
    }
}

/* Both orders joined, because of zeros of two signs; NaNs are told apart first, quietly. */
static void extreme(Emit *e, const IrOp *op, uint8_t code, uint32_t join)
{
    uint8_t *skip, *back;
    Src x, y;
    int d;

    if (no_avx(e)) {
        return;
    }
    x = input(e, 0, op->type);
    y = op->in[1] == op->in[0] ? x : input(e, 1, op->type);
    d = result(e, x.alone && y.alone, bit(x.r) | bit(y.r));
    compare(e, op->type, false, x.r, y.r);
    jcc_to(&e->a, CC_P, e->a.p);
    skip = e->a.p;
    sse3(e, ss(op->type, code), SCRATCH_X, x.r, y.r);
    sse3(e, ss(op->type, code), d, y.r, x.r);
    sse3(e, join, d, d, SCRATCH_X);
    back = e->a.p;
    go_cold(e);
    land_near(skip, e->a.p);
    emit_eval_cold(e, d, back);
    go_hot(e);
}
static void fmin_(Emit *e, const IrOp *op) { extreme(e, op, 0x5d, V_POR); }
static void fmax_(Emit *e, const IrOp *op) { extreme(e, op, 0x5f, V_PAND); }

/* ---- conversion and rounding ---- */
static void fcvt_(Emit *e, const IrOp *op)
{
    unsigned from = e->in_type[e->i];
    Src x;
    int d;

    if (e->b->flush_exact && is_d(from)) {
        emit_eval(e);
        return;
    }
    if (no_avx(e)) {
        return;
    }
    x = input(e, 0, from);
    d = result(e, true, bit(x.r));
    v_zero(e, SCRATCH_Y);
    sse3(e, ss(from, 0x5a), d, SCRATCH_Y, x.r);
    if (is_d(from)) {
        check_tiny(e, op->type, d);
    } else {
        check(e, d);
    }
}

/* imm of ROUNDSS: 8 suppresses inexact */
static int round_imm(unsigned sub)
{
    static const int8_t imm[] = { [IR_RN] = 0, [IR_RP] = 2, [IR_RM] = 1, [IR_RZ] = 3, [IR_RA] = -1, [IR_RCUR] = 4 };

    return imm[sub & 7];
}

static void fround_(Emit *e, const IrOp *op)
{
    int imm = round_imm(op->sub), d;
    Src x;

    if (imm < 0) {
        emit_eval(e);
        return;
    }
    if (no_avx(e)) {
        return;
    }
    x = input(e, 0, op->type);
    d = result(e, x.alone, bit(x.r));
    v_imm(e, M3A | P66 | (is_d(op->type) ? 0x0b : 0x0a), d, x.r, x.r, (unsigned)imm | (op->sub & IR_ROUND_EXACT ? 0 : 8));
    check(e, d);
}

static void cvtt(Emit *e, unsigned type, bool w, int d, int x)
{
    vex_rr(&e->a, ss(type, 0x2c), w, d, 0, x);
}

/* Signed, towards zero: the host's answer to what does not fit is the smallest number. */
static void f2i_truncate(Emit *e, unsigned from, bool w, int d, int x)
{
    cvtt(e, from, w, d, x);
    alu_ri(&e->a, ALU_CMP, w, d, 1);
    v_cold(e, CC_O, d);
}

/* Numbers from 2^63 on, negative ones and NaNs: as integers they are all above the encoding of 2^63. */
static void compare_2_63(Emit *e, unsigned from, int x)
{
    int t = ra_temp(e);

    vex_rr(&e->a, M0F | P66 | 0x7e, is_d(from), x, 0, t);
    if (is_d(from)) {
        shift_ri(&e->a, SH_SHR, true, t, 32);
    }
    alu_ri(&e->a, ALU_CMP, false, t, is_d(from) ? 0x43e00000 : 0x5f000000);
    ra_unlock(e, t);
}

/* Otherwise: rounded quietly, converted exactly, its range checked; inexact is raised when all is well. */
static void f2i_round(Emit *e, unsigned from, bool w, int d, int x, unsigned imm)
{
    uint32_t round = M3A | P66 | (is_d(from) ? 0x0b : 0x0a);
    bool is_unsigned = e->op->sub & IR_CVT_UNSIGNED;
    uint8_t *misfit, *back;
    int t;

    v_imm(e, round, SCRATCH_X, x, x, imm | 8);
    if (is_unsigned && w) {
        compare_2_63(e, from, SCRATCH_X);
        jcc_to(&e->a, CC_AE, e->a.p);
        misfit = e->a.p;
        cvtt(e, from, true, d, SCRATCH_X);
    } else {
        cvtt(e, from, w || is_unsigned, d, SCRATCH_X);
        if (is_unsigned) {
            t = ra_temp(e);
            mov_rr(&e->a, true, t, d);
            shift_ri(&e->a, SH_SHR, true, t, 32);
            ra_unlock(e, t);
        } else {
            alu_ri(&e->a, ALU_CMP, w, d, 1);
        }
        jcc_to(&e->a, is_unsigned ? CC_NE : CC_O, e->a.p);
        misfit = e->a.p;
    }
    v_imm(e, round, SCRATCH_X, x, x, imm);
    back = e->a.p;
    go_cold(e);
    land_near(misfit, e->a.p);
    emit_eval_cold(e, d, back);
    go_hot(e);
}

static const uint8_t *power2(Emit *e, bool wide, int n)
{
    return v_bytes(e, wide ? (uint64_t)(1023 + n) << 52 : (uint64_t)(127 + n) << 23, 0);
}

/* x * 2^op->imm in SCRATCH_Y; what is so large that the product might overflow jumps: it does not fit anyway. */
static uint8_t *f2i_scale(Emit *e, unsigned from, int x)
{
    uint8_t *large;

    v_mem(e, V_PAND, SCRATCH_Y, x, v_const(e, is_d(from) ? C_ABS64 : C_ABS32));
    vex_rm(&e->a, ps(from, 0x2e), false, SCRATCH_Y, 0, mem_rip(power2(e, is_d(from), 64)));
    jcc_to(&e->a, CC_AE, e->a.p);
    large = e->a.p;
    vex_rm(&e->a, ss(from, 0x59), false, SCRATCH_Y, x, mem_rip(power2(e, is_d(from), (int)e->op->imm)));
    return large;
}

static void f2i(Emit *e, const IrOp *op)
{
    unsigned from = e->in_type[e->i];
    bool w = op->type == IR_I64, is_unsigned = op->sub & IR_CVT_UNSIGNED;
    int imm = round_imm(op->sub), d, r;
    uint8_t *large = NULL;

    if (imm < 0 || imm == 4 || !op->out[0] || !e->last_use[op->out[0]]) {
        emit_eval(e);
        return;
    }
    if (no_avx(e)) {
        return;
    }
    r = input(e, 0, from).r;
    d = ra_def(e, op->out[0], NOREG, 0);
    if (op->imm) {
        ra_unlock(e, ra_temp(e));               /* so that nothing is evicted behind the jump */
        large = f2i_scale(e, from, r);
        r = SCRATCH_Y;
    }
    if (imm == 3 && !is_unsigned) {
        f2i_truncate(e, from, w, d, r);
    } else {
        f2i_round(e, from, w, d, r, (unsigned)imm);
    }
    if (large) {
        cold_of(e, d, &large, 1, e->a.p);
    }
}

/* Fraction bits: a power of two that cannot make it tiny. */
static void i2f_scale(Emit *e, const IrOp *op, int d)
{
    if (op->imm) {
        vex_rm(&e->a, ss(op->type, 0x59), false, d, d, mem_rip(power2(e, is_d(op->type), -(int)op->imm)));
    }
}

static void i2f(Emit *e, const IrOp *op)
{
    bool w = e->in_type[e->i] == IR_I64, is_unsigned = op->sub & IR_CVT_UNSIGNED;
    int x, d, t;

    if (no_avx(e)) {
        return;
    }
    x = ra_use(e, op->in[0]);
    d = result(e, true, 0);
    v_zero(e, SCRATCH_Y);
    if (is_unsigned && !w) {
        t = ra_temp(e);
        mov_rr(&e->a, false, t, x);
        vex_rr(&e->a, ss(op->type, 0x2a), true, d, SCRATCH_Y, t);
        ra_unlock(e, t);
        i2f_scale(e, op, d);
        return;
    }
    vex_rr(&e->a, ss(op->type, 0x2a), w, d, SCRATCH_Y, x);
    i2f_scale(e, op, d);
    if (is_unsigned) {                          /* half of them are beyond the host's signed numbers; inexact is raised again at worst */
        test_rr(&e->a, true, x, x);
        v_cold(e, CC_S, d);
    }
}

/* ---- comparison ---- */
/* Where a flag goes: its slot, a register, or nowhere. */
typedef struct Dest { int slot, reg; } Dest;

static Dest dest_of(Emit *e, uint16_t v)
{
    Dest d = { -1, NOREG };

    if (v && e->last_use[v]) {
        d.slot = x86_flag_slot(e, v);
        if (d.slot >= 0) {
            ra_slot_clobbered(e, (unsigned)d.slot);
            e->opf[e->last_use[v]] |= OPF_DEAD;
            e->last_use[v] = 0;
        } else {
            d.reg = ra_def(e, v, NOREG, 0);
        }
    }
    return d;
}

static void flag_is(Emit *e, Dest d, unsigned cc)
{
    if (d.slot >= 0) {
        setcc_m(&e->a, cc, slot_mem(e, (unsigned)d.slot));
    } else if (d.reg != NOREG) {
        setcc_r(&e->a, cc, d.reg);
        movzx8_rr(&e->a, d.reg, d.reg);             /* does not change the flags */
    }
}

static void flag_const(Emit *e, Dest d, unsigned v)
{
    if (d.slot >= 0) {
        mov_mi8(&e->a, slot_mem(e, (unsigned)d.slot), v);
    } else if (d.reg != NOREG) {
        mov_ri_keep(&e->a, d.reg, v);
    }
}

/* Ordered: N, Z, C are the host's below, equal, not below, and V is clear.  Unordered is cold: C and V. */
static void flags_fcmp(Emit *e, const IrOp *op)
{
    unsigned from = e->in_type[e->i];
    uint8_t *unordered, *back;
    Dest d[4];
    Src x, y;

    if (no_avx(e)) {
        return;
    }
    x = input(e, 0, from);
    y = op->in[1] == op->in[0] ? x : input(e, 1, from);
    for (unsigned k = 0; k < 4; k++) {
        d[k] = dest_of(e, op->out[k]);
    }
    compare(e, from, op->sub & IR_FCMP_SIGNAL, x.r, y.r);
    jcc_to(&e->a, CC_P, e->a.p);
    unordered = e->a.p;
    flag_is(e, d[0], CC_B);
    flag_is(e, d[1], CC_E);
    flag_is(e, d[2], CC_AE);
    flag_const(e, d[3], 0);
    back = e->a.p;
    go_cold(e);
    land_near(unordered, e->a.p);
    for (unsigned k = 0; k < 4; k++) {
        flag_const(e, d[k], k >= 2);
    }
    jmp_to(&e->a, back);
    go_hot(e);
}

EmitTable x86_fp_ops = {
    [OP_fadd] = fadd, [OP_fsub] = fsub, [OP_fmul] = fmul, [OP_fdiv] = fdiv_, [OP_fsqrt] = fsqrt_, [OP_fma] = fma_, [OP_fabs] = fabs_, [OP_fneg] = fneg,
    [OP_fmin] = fmin_, [OP_fmax] = fmax_, [OP_fminnm] = fmin_, [OP_fmaxnm] = fmax_,
    [OP_fcvt] = fcvt_, [OP_f2i] = f2i, [OP_i2f] = i2f, [OP_fround] = fround_, [OP_flags_fcmp] = flags_fcmp,
};
