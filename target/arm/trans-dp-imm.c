/* SPDX-License-Identifier: MIT */
/* A64 data processing with immediates: Arm ARM (DDI 0487), C4.1.93. */
#include "target/arm/translate.h"

static IrType int_type(bool sf)
{
    return sf ? IR_I64 : IR_I32;
}

bool trans_adr(A64Dis *d, arg_adr *a)
{
    gpr_set(d, a->rd, ir_pc(d->ir, d->off + a->imm));
    return true;
}

bool trans_adrp(A64Dis *d, arg_adr *a)
{
    gpr_set(d, a->rd, ir_pc(d->ir, (int64_t)a->imm * 4096));
    return true;
}

bool trans_add_i(A64Dis *d, arg_rri *a)
{
    if (a->rd == 31 && a->imm & 15) {
        d->sp_checked = false;
    }
    gpr_set_sp(d, a->rd, ir_addi(d->ir, gpr_get_sp(d, a->rn, a->sf), a->imm));
    if (a->rd == 31 && a->rn != 31) {
        d->sp_checked = false;
    }
    return true;
}

bool trans_adds_i(A64Dis *d, arg_rri *a)
{
    gpr_set(d, a->rd, adds_flags(d, gpr_get_sp(d, a->rn, a->sf), ir_const(d->ir, int_type(a->sf), a->imm)));
    return true;
}

bool trans_sub_i(A64Dis *d, arg_rri *a)
{
    if (a->rd == 31 && (a->imm & 15 || a->rn != 31)) {
        d->sp_checked = false;
    }
    gpr_set_sp(d, a->rd, ir_addi(d->ir, gpr_get_sp(d, a->rn, a->sf), -(int64_t)a->imm));
    return true;
}

bool trans_subs_i(A64Dis *d, arg_rri *a)
{
    gpr_set(d, a->rd, subs_flags(d, gpr_get_sp(d, a->rn, a->sf), ir_const(d->ir, int_type(a->sf), a->imm)));
    return true;
}

static IrVal logic_const(A64Dis *d, const arg_logic_i *a)
{
    uint64_t v = logic_imm(a->sf, a->dbm);

    return ir_const(d->ir, int_type(a->sf), a->sf ? (int64_t)v : (int32_t)v);
}

static void set_sp(A64Dis *d, unsigned rd, IrVal v)
{
    if (rd == 31) {
        d->sp_checked = false;
    }
    gpr_set_sp(d, rd, v);
}

bool trans_and_i(A64Dis *d, arg_logic_i *a)
{
    set_sp(d, a->rd, ir_and(d->ir, gpr_get(d, a->rn, a->sf), logic_const(d, a)));
    return true;
}

bool trans_orr_i(A64Dis *d, arg_logic_i *a)
{
    set_sp(d, a->rd, ir_or(d->ir, gpr_get(d, a->rn, a->sf), logic_const(d, a)));
    return true;
}

bool trans_eor_i(A64Dis *d, arg_logic_i *a)
{
    set_sp(d, a->rd, ir_xor(d->ir, gpr_get(d, a->rn, a->sf), logic_const(d, a)));
    return true;
}

bool trans_ands_i(A64Dis *d, arg_logic_i *a)
{
    gpr_set(d, a->rd, ands_flags(d, gpr_get(d, a->rn, a->sf), logic_const(d, a)));
    return true;
}

bool trans_movz(A64Dis *d, arg_movw *a)
{
    gpr_set(d, a->rd, ir_i64(d->ir, (int64_t)((uint64_t)a->imm << (a->hw * 16))));
    return true;
}

bool trans_movn(A64Dis *d, arg_movw *a)
{
    uint64_t v = ~((uint64_t)a->imm << (a->hw * 16));

    gpr_set(d, a->rd, ir_i64(d->ir, (int64_t)(a->sf ? v : (uint32_t)v)));
    return true;
}

bool trans_movk(A64Dis *d, arg_movw *a)
{
    IrVal old = gpr_get(d, a->rd, a->sf);

    gpr_set(d, a->rd, ir_deposit(d->ir, old, ir_const(d->ir, int_type(a->sf), a->imm), a->hw * 16, 16));
    return true;
}

/* The three bitfield moves: imms >= immr takes a field down to bit 0, otherwise a field from bit 0 goes up. */
bool trans_sbfm(A64Dis *d, arg_bitfield *a)
{
    unsigned w = a->sf ? 64 : 32;
    IrVal n = gpr_get(d, a->rn, a->sf);

    if (a->imms >= a->immr) {
        gpr_set(d, a->rd, ir_sextract(d->ir, n, a->immr, a->imms - a->immr + 1));
    } else {
        gpr_set(d, a->rd, ir_shli(d->ir, ir_sextract(d->ir, n, 0, a->imms + 1), w - a->immr));
    }
    return true;
}

bool trans_ubfm(A64Dis *d, arg_bitfield *a)
{
    unsigned w = a->sf ? 64 : 32;
    IrVal n = gpr_get(d, a->rn, a->sf);

    if (a->imms >= a->immr) {
        gpr_set(d, a->rd, ir_extract(d->ir, n, a->immr, a->imms - a->immr + 1));
    } else if (a->imms + 1 == a->immr) {
        gpr_set(d, a->rd, ir_shli(d->ir, n, w - a->immr));          /* LSL */
    } else {
        gpr_set(d, a->rd, ir_shli(d->ir, ir_extract(d->ir, n, 0, a->imms + 1), w - a->immr));
    }
    return true;
}

bool trans_bfm(A64Dis *d, arg_bitfield *a)
{
    unsigned w = a->sf ? 64 : 32;
    IrVal n = gpr_get(d, a->rn, a->sf), old = gpr_get(d, a->rd, a->sf);

    if (a->imms >= a->immr) {
        unsigned len = a->imms - a->immr + 1;

        gpr_set(d, a->rd, ir_deposit(d->ir, old, ir_extract(d->ir, n, a->immr, len), 0, len));
    } else {
        gpr_set(d, a->rd, ir_deposit(d->ir, old, n, w - a->immr, a->imms + 1));
    }
    return true;
}

bool trans_extr(A64Dis *d, arg_extr *a)
{
    IrVal n = gpr_get(d, a->rn, a->sf), m = gpr_get(d, a->rm, a->sf);

    if (a->imm == 0) {
        gpr_set(d, a->rd, m);
    } else if (a->rn == a->rm) {
        gpr_set(d, a->rd, ir_rotri(d->ir, m, a->imm));
    } else {
        gpr_set(d, a->rd, ir_op2(d->ir, OP_extr, int_type(a->sf), 0, a->imm, n, m));
    }
    return true;
}
