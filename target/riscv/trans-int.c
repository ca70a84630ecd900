/* SPDX-License-Identifier: MIT */
/* RV64I and M without memory: volume I, chapters 2, 4 and "M"; Zicond. */
#include "target/riscv/translate.h"

#define OP_RR(name, expr) \
TRANS(name, r) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_x_get(d, a->rs1), y = rv_x_get(d, a->rs2); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define OP_WW(name, expr) \
TRANS(name, r) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_w_get(d, a->rs1), y = rv_w_get(d, a->rs2); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define OP_RI(name, expr) \
TRANS(name, i) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_x_get(d, a->rs1); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}
#define OP_WI(name, expr) \
TRANS(name, i) \
{ \
    IrBlock *b = d->ir; \
    IrVal x = rv_w_get(d, a->rs1); \
    rv_x_set(d, a->rd, expr); \
    return true; \
}

OP_RR(add, ir_add(b, x, y))
OP_RR(sub, ir_sub(b, x, y))
OP_RR(sll, ir_shl(b, x, y))
OP_RR(slt, ir_setcond(b, IR_I64, IR_LT, x, y))
OP_RR(sltu, ir_setcond(b, IR_I64, IR_LTU, x, y))
OP_RR(xor, ir_xor(b, x, y))
OP_RR(srl, ir_shr(b, x, y))
OP_RR(sra, ir_sar(b, x, y))
OP_RR(or, ir_or(b, x, y))
OP_RR(and, ir_and(b, x, y))
OP_WW(addw, ir_add(b, x, y))
OP_WW(subw, ir_sub(b, x, y))
OP_WW(sllw, ir_shl(b, x, y))
OP_WW(srlw, ir_shr(b, x, y))
OP_WW(sraw, ir_sar(b, x, y))
OP_RI(addi, ir_addi(b, x, a->imm))
OP_RI(slti, ir_setcond(b, IR_I64, IR_LT, x, ir_i64(b, a->imm)))
OP_RI(sltiu, ir_setcond(b, IR_I64, IR_LTU, x, ir_i64(b, a->imm)))
OP_RI(xori, ir_xor(b, x, ir_i64(b, a->imm)))
OP_RI(ori, ir_or(b, x, ir_i64(b, a->imm)))
OP_RI(andi, ir_andi(b, x, a->imm))
OP_RI(slli, ir_shli(b, x, (unsigned)a->imm))
OP_RI(srli, ir_shri(b, x, (unsigned)a->imm))
OP_RI(srai, ir_sari(b, x, (unsigned)a->imm))
OP_WI(addiw, ir_addi(b, x, a->imm))
OP_WI(slliw, ir_shli(b, x, (unsigned)a->imm))
OP_WI(srliw, ir_shri(b, x, (unsigned)a->imm))
OP_WI(sraiw, ir_sari(b, x, (unsigned)a->imm))

TRANS(lui, u)
{
    rv_x_set(d, a->rd, ir_i64(d->ir, a->imm));
    return true;
}

TRANS(auipc, u)
{
    rv_x_set(d, a->rd, ir_pc(d->ir, d->off + a->imm));
    return true;
}

/* ---- M ---- */

/* High half of signed times unsigned: the unsigned one less y where x is negative. */
static IrVal mulhsu(IrBlock *b, IrVal x, IrVal y)
{
    return ir_sub(b, ir_op2(b, OP_mulhu, IR_I64, 0, 0, x, y), ir_and(b, ir_sari(b, x, 63), y));
}

OP_RR(mul, ir_mul(b, x, y))
OP_RR(mulh, ir_op2(b, OP_mulhs, IR_I64, 0, 0, x, y))
OP_RR(mulhu, ir_op2(b, OP_mulhu, IR_I64, 0, 0, x, y))
OP_RR(mulhsu, mulhsu(b, x, y))
OP_RR(div, ir_op2(b, OP_divs, IR_I64, IR_DIV_ONES, 0, x, y))
OP_RR(divu, ir_op2(b, OP_divu, IR_I64, IR_DIV_ONES, 0, x, y))
OP_RR(rem, ir_op2(b, OP_rems, IR_I64, IR_DIV_ONES, 0, x, y))
OP_RR(remu, ir_op2(b, OP_remu, IR_I64, IR_DIV_ONES, 0, x, y))
OP_WW(mulw, ir_mul(b, x, y))
OP_WW(divw, ir_op2(b, OP_divs, IR_I32, IR_DIV_ONES, 0, x, y))
OP_WW(divuw, ir_op2(b, OP_divu, IR_I32, IR_DIV_ONES, 0, x, y))
OP_WW(remw, ir_op2(b, OP_rems, IR_I32, IR_DIV_ONES, 0, x, y))
OP_WW(remuw, ir_op2(b, OP_remu, IR_I32, IR_DIV_ONES, 0, x, y))

/* ---- Zicond ---- */
OP_RR(czero_eqz, ir_movcond(b, IR_EQ, y, ir_i64(b, 0), ir_i64(b, 0), x))
OP_RR(czero_nez, ir_movcond(b, IR_NE, y, ir_i64(b, 0), ir_i64(b, 0), x))

/* ---- branches: all targets are even, and with C that is all they need to be ---- */

static bool is_link(unsigned r)
{
    return r == 1 || r == 5;
}

TRANS(jal, j)
{
    if (a->rd) {
        rv_x_set(d, a->rd, ir_pc(d->ir, d->off + d->len));
    }
    if (is_link(a->rd) && !(d->key & KEY_CROSS)) {
        ir_push_ret(d->ir, d->off + d->len);
    }
    rv_end_goto(d, d->off + a->imm);
    return true;
}

TRANS(jalr, i)
{
    IrBlock *b = d->ir;
    IrVal target = ir_andi(b, ir_addi(b, rv_x_get(d, a->rs1), a->imm), -2);

    if (a->rd) {
        rv_x_set(d, a->rd, ir_pc(b, d->off + d->len));
    }
    if (is_link(a->rd) && !(d->key & KEY_CROSS)) {
        ir_push_ret(b, d->off + d->len);
    }
    rv_end_jump(d, target, !a->rd && is_link(a->rs1) ? IR_RET : IR_JUMP);
    return true;
}

#define BRANCH(name, cond) \
TRANS(name, b) \
{ \
    rv_branch_if(d, cond, rv_x_get(d, a->rs1), rv_x_get(d, a->rs2), d->off + a->imm); \
    return true; \
}
BRANCH(beq, IR_EQ)
BRANCH(bne, IR_NE)
BRANCH(blt, IR_LT)
BRANCH(bge, IR_GE)
BRANCH(bltu, IR_LTU)
BRANCH(bgeu, IR_GEU)
