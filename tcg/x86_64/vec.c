/* SPDX-License-Identifier: MIT */
/* Vectors of integers. */
#include "tcg/x86_64/vec.h"

const uint8_t *v_bytes(Emit *e, uint64_t lo, uint64_t hi)
{
    uint64_t *p = (uint64_t *)(((uintptr_t)tcg_area_take(e->x, 24) + 15) & ~(uintptr_t)15);

    p[0] = lo;
    p[1] = hi;
    return (const uint8_t *)p;
}

const uint8_t *v_rep(Emit *e, uint64_t v) { return v_bytes(e, v, v); }

void v_two(Emit *e, uint32_t op)
{
    int x = v_in(e, 0), y = v_in(e, 1);

    sse3(e, op, v_out(e, x, 0), x, y);
}

void v_cold(Emit *e, unsigned cc, int d)
{
    uint8_t *back;

    jcc_to(&e->a, cc, e->a.p);
    back = e->a.p;
    go_cold(e);
    land_near(back, e->a.p);
    emit_eval_cold(e, d, back);
    go_hot(e);
}

/* An opcode per element size; 0: none. */
static void by_size(Emit *e, const IrOp *op, const uint32_t code[4])
{
    if (!code[op->sub]) {
        emit_eval(e);
    } else if (!v_eval(e, false)) {
        v_two(e, code[op->sub]);
    }
}

#define P(x)   (M0F | P66 | (x))
#define P38(x) (M38 | P66 | (x))
#define SIZES(name, b, w, d, q) \
static void name(Emit *e, const IrOp *op) \
{ \
    static const uint32_t code[4] = { b, w, d, q }; \
    by_size(e, op, code); \
}
SIZES(add, P(0xfc), P(0xfd), P(0xfe), P(0xd4))
SIZES(sub, P(0xf8), P(0xf9), P(0xfa), P(0xfb))
SIZES(mins, P38(0x38), P(0xea), P38(0x39), 0)
SIZES(maxs, P38(0x3c), P(0xee), P38(0x3d), 0)
SIZES(minu, P(0xda), P38(0x3a), P38(0x3b), 0)
SIZES(maxu, P(0xde), P38(0x3e), P38(0x3f), 0)
SIZES(sadds, P(0xec), P(0xed), 0, 0)
SIZES(saddu, P(0xdc), P(0xdd), 0, 0)
SIZES(ssubs, P(0xe8), P(0xe9), 0, 0)
SIZES(ssubu, P(0xd8), P(0xd9), 0, 0)
SIZES(avgu, P(0xe0), P(0xe3), 0, 0)

static const uint32_t eq_code[4] = { P(0x74), P(0x75), P(0x76), P38(0x29) };
static const uint32_t gt_code[4] = { P(0x64), P(0x65), P(0x66), P38(0x37) };
static const uint32_t minu_code[4] = { P(0xda), P38(0x3a), P38(0x3b), 0 };
static const uint32_t maxu_code[4] = { P(0xde), P38(0x3e), P38(0x3f), 0 };
static const uint32_t sub_code[4] = { P(0xf8), P(0xf9), P(0xfa), P(0xfb) };

/* Bytes: the even and the odd ones as halfwords. */
static void mul_bytes(Emit *e)
{
    int x = v_in(e, 0), y = v_in(e, 1), d;

    v_shift(e, V_SHIFTW, SHIFT_RIGHT, SCRATCH_X, x, 8);
    v_mem(e, V_PAND, SCRATCH_Y, y, v_rep(e, 0xff00ff00ff00ff00));
    sse3(e, P(0xd5), SCRATCH_X, SCRATCH_X, SCRATCH_Y);          /* odd: (x >> 8) * (y & ff00), its low byte is zero but for the product's place */
    sse3(e, P(0xd5), SCRATCH_Y, x, y);                          /* even: low bytes of x * y */
    d = v_out(e, NOREG, 0);
    v_mem(e, V_PAND, SCRATCH_Y, SCRATCH_Y, v_rep(e, 0x00ff00ff00ff00ff));
    sse3(e, V_POR, d, SCRATCH_X, SCRATCH_Y);
}

static void mul(Emit *e, const IrOp *op)
{
    static const uint32_t code[4] = { 0, P(0xd5), P38(0x40), 0 };

    if (op->sub == IR_E8 && !v_eval(e, true)) {
        mul_bytes(e);
    } else if (op->sub != IR_E8) {
        by_size(e, op, code);
    }
}

static void neg(Emit *e, const IrOp *op)
{
    int x;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        v_zero(e, SCRATCH_X);
        sse3(e, sub_code[op->sub], v_out(e, x, 0), SCRATCH_X, x);
    }
}

static void abs_(Emit *e, const IrOp *op)
{
    static const uint32_t code[3] = { P38(0x1c), P38(0x1d), P38(0x1e) };
    int x;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    if (op->sub < IR_E64) {
        sse2(e, code[op->sub], v_out(e, x, 0), x);
        return;
    }
    v_zero(e, SCRATCH_X);
    sse3(e, P38(0x37), SCRATCH_X, SCRATCH_X, x);                /* all ones where negative */
    sse3(e, V_PXOR, SCRATCH_Y, x, SCRATCH_X);
    sse3(e, P(0xfb), v_out(e, x, 0), SCRATCH_Y, SCRATCH_X);
}

/* ---- bits ---- */
static void logic(Emit *e, uint32_t code)
{
    if (!v_eval(e, false)) {
        v_two(e, code);
    }
}
static void and_(Emit *e, const IrOp *op) { logic(e, V_PAND); }
static void or_(Emit *e, const IrOp *op) { logic(e, V_POR); }
static void xor_(Emit *e, const IrOp *op) { logic(e, V_PXOR); }

static void andc(Emit *e, const IrOp *op)
{
    int x, y;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        sse3(e, V_PANDN, v_out(e, x, 0), y, x);
    }
}

static void orc(Emit *e, const IrOp *op)
{
    int x, y;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        v_mem(e, V_PXOR, SCRATCH_X, y, v_const(e, C_ONES));
        sse3(e, V_POR, v_out(e, x, 0), x, SCRATCH_X);
    }
}

static void not_(Emit *e, const IrOp *op)
{
    int x;

    if (!v_eval(e, false)) {
        x = v_in(e, 0);
        v_mem(e, V_PXOR, v_out(e, x, 0), x, v_const(e, C_ONES));
    }
}

static void sel(Emit *e, const IrOp *op)
{
    int m, x, y;

    if (!v_eval(e, true)) {
        m = v_in(e, 0);
        x = v_in(e, 1);
        y = v_in(e, 2);
        sse3(e, V_PAND, SCRATCH_X, m, x);
        sse3(e, V_PANDN, SCRATCH_Y, m, y);
        sse3(e, V_POR, v_out(e, m, 0), SCRATCH_X, SCRATCH_Y);
    }
}

static void mov(Emit *e, const IrOp *op)
{
    int x, d;

    if (!v_eval(e, false)) {
        x = v_in(e, 0);
        d = v_out(e, x, 0);
        if (d != x) {
            sse2(e, V_MOVAPS, d, x);
        }
    }
}

static void vconst(Emit *e, const IrOp *op)
{
    int d;

    if (v_eval(e, true)) {
        return;
    }
    d = v_out(e, NOREG, 0);
    if (!op->imm) {
        v_zero(e, d);
    } else if (op->imm == -1) {
        sse3(e, V_PCMPEQD, d, d, d);
    } else {
        vex_rm(&e->a, M0F | 0x28, false, d, 0, mem_rip(v_rep(e, (uint64_t)op->imm)));
    }
}

static void cnt(Emit *e, const IrOp *op)
{
    int x;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    v_mem(e, V_PAND, SCRATCH_X, x, v_const(e, C_NIB));
    v_shift(e, V_SHIFTW, SHIFT_RIGHT, SCRATCH_Y, x, 4);
    v_mem(e, V_PAND, SCRATCH_Y, SCRATCH_Y, v_const(e, C_NIB));
    {
        int d = v_out(e, NOREG, 1u << x);

        vex_rm(&e->a, V_MOVAPS, false, d, 0, mem_rip(v_const(e, C_CNT)));
        sse3(e, V_PSHUFB, SCRATCH_X, d, SCRATCH_X);
        sse3(e, V_PSHUFB, SCRATCH_Y, d, SCRATCH_Y);
        sse3(e, P(0xfc), d, SCRATCH_X, SCRATCH_Y);
    }
}

/* ---- comparison ---- */
static void compare_into(Emit *e, unsigned size, IrCond c, int d, int x, int y)
{
    bool invert = c == IR_NE || c == IR_GE || c == IR_LE;

    switch (c) {
    case IR_EQ: case IR_NE:
        sse3(e, eq_code[size], d, x, y);
        break;
    case IR_GT: case IR_LE:
        sse3(e, gt_code[size], d, x, y);
        break;
    default:
        sse3(e, gt_code[size], d, y, x);
    }
    if (invert) {
        v_mem(e, V_PXOR, d, d, v_const(e, C_ONES));
    }
}

static void compare_unsigned(Emit *e, unsigned size, IrCond c, int d, int x, int y)
{
    static const IrCond as_signed[IR_NCOND] = { [IR_LTU] = IR_LT, [IR_GEU] = IR_GE, [IR_LEU] = IR_LE, [IR_GTU] = IR_GT };
    bool ge = c == IR_GEU || c == IR_LTU;               /* x >= y or its opposite: max(x, y) == x; else min(x, y) == x */

    if (size == IR_E64) {
        v_mem(e, V_PXOR, SCRATCH_X, x, v_const(e, C_NEG64));
        v_mem(e, V_PXOR, SCRATCH_Y, y, v_const(e, C_NEG64));
        compare_into(e, size, as_signed[c], d, SCRATCH_X, SCRATCH_Y);
        return;
    }
    sse3(e, ge ? maxu_code[size] : minu_code[size], SCRATCH_X, x, y);
    sse3(e, eq_code[size], d, SCRATCH_X, x);
    if (c == IR_LTU || c == IR_GTU) {
        v_mem(e, V_PXOR, d, d, v_const(e, C_ONES));
    }
}

static void cmp(Emit *e, const IrOp *op)
{
    IrCond c = (IrCond)op->imm;
    int x, y, d;

    if (c > IR_GTU) {
        emit_eval(e);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    d = v_out(e, x, 0);
    (c >= IR_LTU ? compare_unsigned : compare_into)(e, op->sub, c, d, x, y);
}

/* ---- shifts by immediate ---- */
static uint64_t rep8(unsigned v) { return v * 0x0101010101010101ull; }

static void shift(Emit *e, const IrOp *op, unsigned kind)
{
    static const uint32_t code[4] = { V_SHIFTW, V_SHIFTW, V_SHIFTD, V_SHIFTQ };
    unsigned n = (unsigned)op->imm;
    int x, d;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    if (op->sub != IR_E8) {
        v_shift(e, code[op->sub], kind, v_out(e, x, 0), x, n);
        return;
    }
    v_shift(e, V_SHIFTW, kind, SCRATCH_X, x, n);
    d = v_out(e, x, 0);
    v_mem(e, V_PAND, d, SCRATCH_X, v_rep(e, rep8(kind == SHIFT_LEFT ? 0xff << n & 0xff : 0xff >> n)));
}

static void shli(Emit *e, const IrOp *op) { shift(e, op, SHIFT_LEFT); }
static void shri(Emit *e, const IrOp *op) { shift(e, op, SHIFT_RIGHT); }

static void sari(Emit *e, const IrOp *op)
{
    unsigned n = (unsigned)op->imm;
    int x;

    if (op->sub == IR_E16 || op->sub == IR_E32) {
        shift(e, op, SHIFT_ARITH);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    if (op->sub == IR_E64) {                            /* the sign bits, moved to the top, over a logical shift */
        v_zero(e, SCRATCH_X);
        sse3(e, P38(0x37), SCRATCH_X, SCRATCH_X, x);
        if (n) {
            v_shift(e, V_SHIFTQ, SHIFT_LEFT, SCRATCH_X, SCRATCH_X, 64 - n);
        } else {
            v_zero(e, SCRATCH_X);
        }
        v_shift(e, V_SHIFTQ, SHIFT_RIGHT, SCRATCH_Y, x, n);
        sse3(e, V_POR, v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        return;
    }
    v_shift(e, V_SHIFTW, SHIFT_RIGHT, SCRATCH_X, x, n);
    v_mem(e, V_PAND, SCRATCH_X, SCRATCH_X, v_rep(e, rep8(0xff >> n)));
    {                                                   /* (v ^ s) - s extends the sign bit s */
        const uint8_t *s = v_rep(e, rep8(0x80 >> n));

        v_mem(e, V_PXOR, SCRATCH_X, SCRATCH_X, s);
        v_mem(e, P(0xf8), v_out(e, x, 0), SCRATCH_X, s);
    }
}

/* ---- shifts by register ---- */
/* The counts of both directions: the low byte u, and 256 - u; where one is meant the other is too large for the host's shifts, which give 0. */
static void shlr(Emit *e, const IrOp *op, bool arithmetic)
{
    bool q = op->sub == IR_E64;
    uint32_t by_imm = q ? V_SHIFTQ : V_SHIFTD;
    unsigned n = q ? 56 : 24;
    int x, y, d;

    if (!e->has.avx2 || op->sub < IR_E32 || (q && arithmetic)) {
        emit_eval(e);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    v_shift(e, by_imm, SHIFT_LEFT, SCRATCH_X, y, n);
    if (!arithmetic) {
        v_shift(e, by_imm, SHIFT_RIGHT, SCRATCH_X, SCRATCH_X, n);
        vex_rm(&e->a, V_MOVAPS, false, SCRATCH_Y, 0, mem_rip(v_rep(e, q ? 256 : 0x0000010000000100)));
        sse3(e, sub_code[op->sub], SCRATCH_Y, SCRATCH_Y, SCRATCH_X);
        vex_rr(&e->a, P38(0x47), q, SCRATCH_X, x, SCRATCH_X);
        vex_rr(&e->a, P38(0x45), q, SCRATCH_Y, x, SCRATCH_Y);
        sse3(e, V_POR, v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        return;
    }
    v_shift(e, by_imm, SHIFT_ARITH, SCRATCH_X, SCRATCH_X, n);           /* signed: its top bit chooses */
    v_zero(e, SCRATCH_Y);
    sse3(e, sub_code[op->sub], SCRATCH_Y, SCRATCH_Y, SCRATCH_X);
    vex_rr(&e->a, P38(0x46), false, SCRATCH_Y, x, SCRATCH_Y);
    d = v_out(e, NOREG, 1u << x);
    vex_rr(&e->a, P38(0x47), false, d, x, SCRATCH_X);
    v_imm(e, M3A | P66 | 0x4a, d, d, SCRATCH_Y, (SCRATCH_X - XMM0) << 4);   /* blendvps */
}
static void ushlr(Emit *e, const IrOp *op) { shlr(e, op, false); }
static void sshlr(Emit *e, const IrOp *op) { shlr(e, op, true); }

/* ---- pairwise, long products, cryptography ---- */
static void paddl(Emit *e, const IrOp *op)
{
    int x, y, d;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    switch (op->sub) {
    case IR_E16: case IR_E32:
        sse3(e, op->sub == IR_E16 ? P38(0x01) : P38(0x02), v_out(e, x, 0), x, y);
        break;
    case IR_E64:
        sse3(e, V_PUNPCKLQDQ, SCRATCH_X, x, y);
        sse3(e, V_PUNPCKHQDQ, SCRATCH_Y, x, y);
        sse3(e, P(0xd4), v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    default: {                                          /* sums in the low bytes of halfwords, packed */
        const uint8_t *low = v_rep(e, 0x00ff00ff00ff00ff);

        v_shift(e, V_SHIFTW, SHIFT_RIGHT, SCRATCH_X, x, 8);
        sse3(e, P(0xfc), SCRATCH_X, SCRATCH_X, x);
        v_mem(e, V_PAND, SCRATCH_X, SCRATCH_X, low);
        if (x == y) {
            sse3(e, V_PACKUSWB, v_out(e, x, 0), SCRATCH_X, SCRATCH_X);
            break;
        }
        v_shift(e, V_SHIFTW, SHIFT_RIGHT, SCRATCH_Y, y, 8);
        sse3(e, P(0xfc), SCRATCH_Y, SCRATCH_Y, y);
        d = v_out(e, x, 0);
        v_mem(e, V_PAND, SCRATCH_Y, SCRATCH_Y, low);
        sse3(e, V_PACKUSWB, d, SCRATCH_X, SCRATCH_Y);
    }
    }
}

/* low halves, with imm the high halves, to products of double size */
static void mul_long(Emit *e, const IrOp *op, bool is_signed)
{
    bool high = op->imm & 1;
    int x, y, d;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    switch (op->sub) {
    case IR_E8:
        if (high) {
            v_imm2(e, V_PSHUFD, SCRATCH_X, x, 0xee);
            v_imm2(e, V_PSHUFD, SCRATCH_Y, y, 0xee);
        }
        sse2(e, is_signed ? P38(0x20) : P38(0x30), SCRATCH_X, high ? SCRATCH_X : x);
        sse2(e, is_signed ? P38(0x20) : P38(0x30), SCRATCH_Y, high ? SCRATCH_Y : y);
        sse3(e, P(0xd5), v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    case IR_E16:
        sse3(e, P(0xd5), SCRATCH_X, x, y);
        sse3(e, is_signed ? P(0xe5) : P(0xe4), SCRATCH_Y, x, y);
        sse3(e, high ? P(0x69) : P(0x61), v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    case IR_E32:
        v_imm2(e, V_PSHUFD, SCRATCH_X, x, high ? 0xfa : 0x50);
        v_imm2(e, V_PSHUFD, SCRATCH_Y, y, high ? 0xfa : 0x50);
        d = v_out(e, x, 0);
        sse3(e, is_signed ? P38(0x28) : P(0xf4), d, SCRATCH_X, SCRATCH_Y);
        break;
    }
}
static void mulls(Emit *e, const IrOp *op) { mul_long(e, op, true); }
static void mullu(Emit *e, const IrOp *op) { mul_long(e, op, false); }

static void aes(Emit *e, const IrOp *op)
{
    int x, k;

    if (!e->has.aes) {
        emit_eval(e);
        return;
    }
    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    k = v_in(e, 1);
    v_zero(e, SCRATCH_Y);
    switch (op->sub) {
    case IR_AESE: case IR_AESD:
        sse3(e, V_PXOR, SCRATCH_X, x, k);
        sse3(e, op->sub == IR_AESE ? P38(0xdd) : P38(0xdf), v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    case IR_AESMC:                                      /* undo what AESENC does before it mixes columns */
        sse3(e, P38(0xdf), SCRATCH_X, x, SCRATCH_Y);
        sse3(e, P38(0xdc), v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    default:
        sse2(e, P38(0xdb), v_out(e, x, 0), x);
    }
}

enum { SHA256RNDS2 = M38 | 0xcb, SHA256MSG1 = M38 | 0xcc, SHA256MSG2 = M38 | 0xcd };

/* The host has the state as f e b a and h g d c (lowest first), and does two rounds with the schedule in xmm0. */
static void sha256_rounds(Emit *e, const IrOp *op)
{
    int x, y, w;

    if (!e->has.sha) {
        emit_eval(e);
        return;
    }
    ra_take(e, XMM0);
    x = v_in(e, 0);
    y = v_in(e, 1);
    w = v_in(e, 2);
    sse2(e, V_MOVAPS, XMM0, w);
    v_imm(e, V_SHUFPS, SCRATCH_X, y, x, 0xbb);
    v_imm(e, V_SHUFPS, SCRATCH_Y, y, x, 0x11);
    op_rr(&e->a, SHA256RNDS2, false, SCRATCH_X, SCRATCH_Y);
    v_imm2(e, V_PSHUFD, XMM0, XMM0, 0x0e);
    op_rr(&e->a, SHA256RNDS2, false, SCRATCH_Y, SCRATCH_X);
    for (unsigned k = 0; k < 2; k++) {
        if (e->last_use[op->out[k]]) {
            v_imm(e, V_SHUFPS, ra_def(e, op->out[k], NOREG, 0), SCRATCH_Y, SCRATCH_X, k ? 0x11 : 0xbb);
        }
    }
}

static void sha256_schedule(Emit *e, const IrOp *op)
{
    int x, y, z;

    if (!e->has.sha) {
        emit_eval(e);
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    z = v_in(e, 2);
    if (op->sub) {
        v_imm(e, M3A | P66 | 0x0f, SCRATCH_X, z, y, 4);         /* palignr */
        sse3(e, P(0xfe), SCRATCH_X, SCRATCH_X, x);              /* paddd */
        op_rr(&e->a, SHA256MSG2, false, SCRATCH_X, z);
    } else {
        sse2(e, V_MOVAPS, SCRATCH_X, x);
        op_rr(&e->a, SHA256MSG1, false, SCRATCH_X, y);
    }
    sse2(e, V_MOVAPS, v_out(e, x, 0), SCRATCH_X);
}

static void clmul(Emit *e, const IrOp *op)
{
    int x, y;

    if (!e->has.clmul) {
        emit_eval(e);
        return;
    }
    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        v_imm(e, M3A | P66 | 0x44, v_out(e, x, 0), x, y, (unsigned)op->imm & 0x11);
    }
}

EmitTable x86_vec_ops = {
    [OP_vconst] = vconst, [OP_vmov] = mov, [OP_vdup] = vec_dup, [OP_vduplane] = vec_duplane, [OP_vget] = vec_get, [OP_vset] = vec_set, [OP_vsetlane] = vec_setlane,
    [OP_vzext] = vec_zext, [OP_vlow] = vec_low,
    [OP_vadd] = add, [OP_vsub] = sub, [OP_vmul] = mul, [OP_vneg] = neg, [OP_vabs] = abs_,
    [OP_vand] = and_, [OP_vor] = or_, [OP_vxor] = xor_, [OP_vandc] = andc, [OP_vorc] = orc, [OP_vnot] = not_, [OP_vsel] = sel, [OP_vcmp] = cmp,
    [OP_vshli] = shli, [OP_vshri] = shri, [OP_vsari] = sari, [OP_vushlr] = ushlr, [OP_vsshlr] = sshlr,
    [OP_vmins] = mins, [OP_vmaxs] = maxs, [OP_vminu] = minu, [OP_vmaxu] = maxu,
    [OP_vsadds] = sadds, [OP_vsaddu] = saddu, [OP_vssubs] = ssubs, [OP_vssubu] = ssubu, [OP_vavgu] = avgu, [OP_vpaddl] = paddl, [OP_vcnt] = cnt,
    [OP_vzip1] = vec_zip1, [OP_vzip2] = vec_zip2, [OP_vuzp1] = vec_uzp1, [OP_vuzp2] = vec_uzp2, [OP_vtrn1] = vec_trn1, [OP_vtrn2] = vec_trn2,
    [OP_vext] = vec_ext, [OP_vrev] = vec_rev, [OP_vtbl] = vec_tbl, [OP_vwidenu] = vec_widenu, [OP_vwidens] = vec_widens, [OP_vnarrow] = vec_narrow,
    [OP_vmulls] = mulls, [OP_vmullu] = mullu, [OP_vaes] = aes, [OP_vsha256r] = sha256_rounds, [OP_vsha256m] = sha256_schedule, [OP_vclmul] = clmul,
    [OP_vfadd] = vec_fadd, [OP_vfsub] = vec_fsub, [OP_vfmul] = vec_fmul, [OP_vfdiv] = vec_fdiv, [OP_vfsqrt] = vec_fsqrt, [OP_vfma] = vec_fma,
    [OP_vfabs] = vec_fabs, [OP_vfneg] = vec_fneg,
    [OP_vfmin] = vec_fmin, [OP_vfmax] = vec_fmax, [OP_vfminnm] = vec_fmin, [OP_vfmaxnm] = vec_fmax, [OP_vfround] = vec_fround, [OP_vfcmp] = vec_fcmp,
    [OP_vf2i] = vec_f2i, [OP_vi2f] = vec_i2f,
    [OP_vpaddf] = vec_paddf,
};
