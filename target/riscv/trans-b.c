/* SPDX-License-Identifier: MIT */
/* Zba, Zbb, Zbc, Zbs: volume I, chapter "B". */
#include "target/riscv/translate.h"

#define RR(name, expr) \
TRANS(name, r) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_x_get(d, a->rs1), y = rv_x_get(d, a->rs2); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define WW(name, expr) \
TRANS(name, r) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_w_get(d, a->rs1), y = rv_w_get(d, a->rs2); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define RI(name, get, expr) \
TRANS(name, i) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = get(d, a->rs1); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define R1(name, get, expr) \
TRANS(name, r1) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = get(d, a->rs1); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define UW(v) ir_zext(b, ir_trunc(b, v))
#define OP1(op, t) ir_op1(b, OP_##op, t, 0, 0, x)

/* ---- Zba ---- */
RR(add_uw, ir_add(b, UW(x), y))
RR(sh1add, ir_add(b, ir_shli(b, x, 1), y))
RR(sh2add, ir_add(b, ir_shli(b, x, 2), y))
RR(sh3add, ir_add(b, ir_shli(b, x, 3), y))
RR(sh1add_uw, ir_add(b, ir_shli(b, UW(x), 1), y))
RR(sh2add_uw, ir_add(b, ir_shli(b, UW(x), 2), y))
RR(sh3add_uw, ir_add(b, ir_shli(b, UW(x), 3), y))
RI(slli_uw, rv_x_get, ir_shli(b, UW(x), (unsigned)a->imm))

/* ---- Zbb ---- */
RR(andn, ir_andc(b, x, y))
RR(orn, ir_orc(b, x, y))
RR(xnor, ir_eqv(b, x, y))
R1(clz, rv_x_get, OP1(clz, IR_I64))
R1(ctz, rv_x_get, OP1(ctz, IR_I64))
R1(cpop, rv_x_get, OP1(popcnt, IR_I64))
R1(clzw, rv_w_get, OP1(clz, IR_I32))
R1(ctzw, rv_w_get, OP1(ctz, IR_I32))
R1(cpopw, rv_w_get, OP1(popcnt, IR_I32))
R1(sext_b, rv_x_get, ir_ext(b, IR_I64, IR_S8, x))
R1(sext_h, rv_x_get, ir_ext(b, IR_I64, IR_S16, x))
R1(zext_h, rv_x_get, ir_ext(b, IR_I64, IR_U16, x))
RR(min, ir_movcond(b, IR_LT, x, y, x, y))
RR(minu, ir_movcond(b, IR_LTU, x, y, x, y))
RR(max, ir_movcond(b, IR_LT, x, y, y, x))
RR(maxu, ir_movcond(b, IR_LTU, x, y, y, x))
RR(rol, ir_rotr(b, x, ir_neg(b, y)))
RR(ror, ir_rotr(b, x, y))
RI(rori, rv_x_get, ir_rotri(b, x, (unsigned)a->imm))
WW(rolw, ir_rotr(b, x, ir_neg(b, y)))
WW(rorw, ir_rotr(b, x, y))
RI(roriw, rv_w_get, ir_rotri(b, x, (unsigned)a->imm))
R1(rev8, rv_x_get, OP1(bswap, IR_I64))

/* Bit 7 of each byte says whether any bit of it is set; times 255 fills the byte. */
static IrVal orc_b(IrBlock *b, IrVal x)
{
    IrVal low = ir_i64(b, 0x7f7f7f7f7f7f7f7f), any = ir_or(b, ir_add(b, ir_and(b, x, low), low), x);

    return ir_mul(b, ir_and(b, ir_shri(b, any, 7), ir_i64(b, 0x0101010101010101)), ir_i64(b, 255));
}
R1(orc_b, rv_x_get, orc_b(b, x))

/* ---- Zbc ---- */
static IrVal product(IrBlock *b, IrVal x, IrVal y, unsigned half)
{
    IrVal v = ir_op2(b, OP_vclmul, IR_V128, 0, 0, ir_vzext(b, IR_V128, x), ir_vzext(b, IR_V128, y));

    return ir_vget(b, IR_I64, IR_E64, v, half, false);
}
RR(clmul, product(b, x, y, 0))
RR(clmulh, product(b, x, y, 1))
/* Bits 126 to 63 of the product. */
RR(clmulr, ir_or(b, ir_shli(b, product(b, x, y, 1), 1), ir_shri(b, product(b, x, y, 0), 63)))

/* ---- Zbs ---- */
#define BIT(n) ir_shl(b, ir_i64(b, 1), n)
#define BITI ir_i64(b, (int64_t)(1ull << a->imm))
RR(bclr, ir_andc(b, x, BIT(y)))
RR(bext, ir_andi(b, ir_shr(b, x, y), 1))
RR(binv, ir_xor(b, x, BIT(y)))
RR(bset, ir_or(b, x, BIT(y)))
RI(bclri, rv_x_get, ir_andc(b, x, BITI))
RI(bexti, rv_x_get, ir_extract(b, x, (unsigned)a->imm, 1))
RI(binvi, rv_x_get, ir_xor(b, x, BITI))
RI(bseti, rv_x_get, ir_or(b, x, BITI))
