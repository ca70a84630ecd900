/* SPDX-License-Identifier: MIT */
/* A64 data processing with registers: Arm ARM (DDI 0487), C4.1.95. */
#include "target/arm/translate.h"

static IrType int_type(bool sf)
{
    return sf ? IR_I64 : IR_I32;
}

static IrVal shifted(A64Dis *d, const arg_shifted *a)
{
    IrVal m = gpr_get(d, a->rm, a->sf);

    if (!a->amount) {
        return m;
    }
    switch (a->shift) {
    case 0:
        return ir_shli(d->ir, m, a->amount);
    case 1:
        return ir_shri(d->ir, m, a->amount);
    case 2:
        return ir_sari(d->ir, m, a->amount);
    default:
        return ir_rotri(d->ir, m, a->amount);
    }
}

#define LOGIC(name, expr) \
bool trans_##name(A64Dis *d, arg_shifted *a) \
{ \
    IrVal n = gpr_get(d, a->rn, a->sf), m = shifted(d, a); \
    gpr_set(d, a->rd, expr); \
    return true; \
}
LOGIC(and_r, ir_and(d->ir, n, m))
LOGIC(bic_r, ir_andc(d->ir, n, m))
LOGIC(orr_r, a->rn == 31 ? m : ir_or(d->ir, n, m))
LOGIC(orn_r, a->rn == 31 ? ir_not(d->ir, m) : ir_orc(d->ir, n, m))
LOGIC(eor_r, ir_xor(d->ir, n, m))
LOGIC(eon_r, ir_eqv(d->ir, n, m))
LOGIC(ands_r, ands_flags(d, n, m))
LOGIC(bics_r, ands_flags(d, n, ir_not(d->ir, m)))
LOGIC(add_r, ir_add(d->ir, n, m))
LOGIC(adds_r, adds_flags(d, n, m))
LOGIC(sub_r, a->rn == 31 ? ir_neg(d->ir, m) : ir_sub(d->ir, n, m))
LOGIC(subs_r, subs_flags(d, n, m))
#undef LOGIC

/* rm extended by option, shifted left */
static IrVal extended(A64Dis *d, const arg_extended *a)
{
    static const IrExt ext[8] = { IR_U8, IR_U16, IR_U32, IR_U32, IR_S8, IR_S16, IR_S32, IR_S32 };
    IrVal m = gpr_get(d, a->rm, true);

    if (a->sf && (a->option & 3) != 3) {
        m = ir_ext(d->ir, IR_I64, ext[a->option], m);
    } else if (!a->sf) {
        m = ir_trunc(d->ir, m);
        if ((a->option & 3) < 2) {
            m = ir_ext(d->ir, IR_I32, ext[a->option], m);
        }
    }
    return a->amount ? ir_shli(d->ir, m, a->amount) : m;
}

bool trans_add_x(A64Dis *d, arg_extended *a)
{
    IrVal m = extended(d, a);

    d->sp_checked = d->sp_checked && a->rd != 31;
    gpr_set_sp(d, a->rd, ir_add(d->ir, gpr_get_sp(d, a->rn, a->sf), m));
    return true;
}

bool trans_adds_x(A64Dis *d, arg_extended *a)
{
    IrVal m = extended(d, a);

    gpr_set(d, a->rd, adds_flags(d, gpr_get_sp(d, a->rn, a->sf), m));
    return true;
}

bool trans_sub_x(A64Dis *d, arg_extended *a)
{
    IrVal m = extended(d, a);

    d->sp_checked = d->sp_checked && a->rd != 31;
    gpr_set_sp(d, a->rd, ir_sub(d->ir, gpr_get_sp(d, a->rn, a->sf), m));
    return true;
}

bool trans_subs_x(A64Dis *d, arg_extended *a)
{
    IrVal m = extended(d, a);

    gpr_set(d, a->rd, subs_flags(d, gpr_get_sp(d, a->rn, a->sf), m));
    return true;
}

/* ---- with carry: n + m + C, subtraction adds the complement ---- */

static bool carry_op(A64Dis *d, const arg_rrr *a, bool sub, bool flags)
{
    IrBlock *b = d->ir;
    IrVal n = gpr_get(d, a->rn, a->sf), m = gpr_get(d, a->rm, a->sf), c = ir_get(b, SLOT_C), cw = a->sf ? ir_zext(b, c) : c, r;

    if (sub) {
        m = ir_not(b, m);
    }
    r = ir_add(b, ir_add(b, n, m), cw);
    if (flags) {
        flags_set(d, ir_flags_adc(b, n, m, c));
    }
    gpr_set(d, a->rd, r);
    return true;
}

bool trans_adc(A64Dis *d, arg_rrr *a)
{
    return carry_op(d, a, false, false);
}

bool trans_adcs(A64Dis *d, arg_rrr *a)
{
    return carry_op(d, a, false, true);
}

bool trans_sbc(A64Dis *d, arg_rrr *a)
{
    return carry_op(d, a, true, false);
}

bool trans_sbcs(A64Dis *d, arg_rrr *a)
{
    return carry_op(d, a, true, true);
}

bool trans_rmif(A64Dis *d, arg_rmif *a)
{
    static const unsigned slot[4] = { SLOT_V, SLOT_C, SLOT_Z, SLOT_N };
    IrVal n = ir_trunc(d->ir, ir_rotri(d->ir, gpr_get(d, a->rn, true), a->imm));

    for (unsigned i = 0; i < 4; i++) {
        if (a->mask >> i & 1) {
            ir_set(d->ir, slot[i], ir_extract(d->ir, n, i, 1));
        }
    }
    d->cc = CC_NONE;
    return true;
}

bool trans_setf(A64Dis *d, arg_setf *a)
{
    IrBlock *b = d->ir;
    unsigned w = a->sz ? 16 : 8;
    IrVal n = gpr_get(d, a->rn, false), top = ir_extract(b, n, w - 1, 1);

    ir_set(b, SLOT_N, top);
    ir_set(b, SLOT_Z, ir_setcond(b, IR_I32, IR_EQ, ir_extract(b, n, 0, w), ir_i32(b, 0)));
    ir_set(b, SLOT_V, ir_xor(b, top, ir_extract(b, n, w, 1)));
    d->cc = CC_NONE;
    return true;
}

/* ---- conditional compare and select ---- */

static bool ccmp(A64Dis *d, unsigned cond, IrVal n, IrVal m, unsigned nzcv, bool sub)
{
    IrBlock *b = d->ir;
    A64Cond c;
    IrFlags f;

    if (cond >= 14) {
        if (sub) {
            subs_flags(d, n, m);
        } else {
            adds_flags(d, n, m);
        }
        return true;
    }
    c = cond_get(d, cond);
    if (a64_branch_follows(d)) {
        d->ccmp.on = true;
        d->ccmp.sub = sub;
        d->ccmp.nzcv = nzcv;
        d->ccmp.c = c.c;
        d->ccmp.a = c.a;
        d->ccmp.b = c.b;
        d->ccmp.n = n;
        d->ccmp.m = m;
        return true;
    }
    f = sub ? ir_flags_sub(b, n, m) : ir_flags_add(b, n, m);
    flags_set(d, (IrFlags){
        .n = ir_movcond(b, c.c, c.a, c.b, f.n, ir_i32(b, nzcv >> 3 & 1)),
        .z = ir_movcond(b, c.c, c.a, c.b, f.z, ir_i32(b, nzcv >> 2 & 1)),
        .c = ir_movcond(b, c.c, c.a, c.b, f.c, ir_i32(b, nzcv >> 1 & 1)),
        .v = ir_movcond(b, c.c, c.a, c.b, f.v, ir_i32(b, nzcv & 1)) });
    return true;
}

bool trans_ccmp_r(A64Dis *d, arg_ccmp_r *a)
{
    return ccmp(d, a->cond, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf), a->nzcv, true);
}

bool trans_ccmn_r(A64Dis *d, arg_ccmp_r *a)
{
    return ccmp(d, a->cond, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf), a->nzcv, false);
}

bool trans_ccmp_i(A64Dis *d, arg_ccmp_i *a)
{
    return ccmp(d, a->cond, gpr_get(d, a->rn, a->sf), ir_const(d->ir, int_type(a->sf), a->imm), a->nzcv, true);
}

bool trans_ccmn_i(A64Dis *d, arg_ccmp_i *a)
{
    return ccmp(d, a->cond, gpr_get(d, a->rn, a->sf), ir_const(d->ir, int_type(a->sf), a->imm), a->nzcv, false);
}

static bool choose(A64Dis *d, const arg_csel *a, IrVal no)
{
    IrVal yes = gpr_get(d, a->rn, a->sf);
    A64Cond c;

    if (a->cond >= 14) {
        gpr_set(d, a->rd, yes);
        return true;
    }
    c = cond_get(d, a->cond);
    gpr_set(d, a->rd, ir_movcond(d->ir, c.c, c.a, c.b, yes, no));
    return true;
}

/* CSET and CSETM: a compare as a value */
static bool set_value(A64Dis *d, const arg_csel *a, bool mask)
{
    A64Cond c = cond_get(d, a->cond ^ 1);
    IrVal v = ir_setcond(d->ir, int_type(a->sf), c.c, c.a, c.b);

    gpr_set(d, a->rd, mask ? ir_neg(d->ir, v) : v);
    return true;
}

bool trans_csel(A64Dis *d, arg_csel *a)
{
    return choose(d, a, gpr_get(d, a->rm, a->sf));
}

bool trans_csinc(A64Dis *d, arg_csel *a)
{
    if (a->rn == 31 && a->rm == 31 && a->cond < 14) {
        return set_value(d, a, false);
    }
    return choose(d, a, ir_addi(d->ir, gpr_get(d, a->rm, a->sf), 1));
}

bool trans_csinv(A64Dis *d, arg_csel *a)
{
    if (a->rn == 31 && a->rm == 31 && a->cond < 14) {
        return set_value(d, a, true);
    }
    return choose(d, a, ir_not(d->ir, gpr_get(d, a->rm, a->sf)));
}

bool trans_csneg(A64Dis *d, arg_csel *a)
{
    return choose(d, a, ir_neg(d->ir, gpr_get(d, a->rm, a->sf)));
}

/* ---- multiply ---- */

bool trans_madd(A64Dis *d, arg_rrrr *a)
{
    IrVal p = ir_mul(d->ir, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf));

    gpr_set(d, a->rd, a->ra == 31 ? p : ir_add(d->ir, gpr_get(d, a->ra, a->sf), p));
    return true;
}

bool trans_msub(A64Dis *d, arg_rrrr *a)
{
    IrVal p = ir_mul(d->ir, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf));

    gpr_set(d, a->rd, a->ra == 31 ? ir_neg(d->ir, p) : ir_sub(d->ir, gpr_get(d, a->ra, a->sf), p));
    return true;
}

static bool mul_long(A64Dis *d, const arg_rrrr *a, IrExt e, bool sub)
{
    IrBlock *b = d->ir;
    IrVal p = ir_mul(b, ir_ext(b, IR_I64, e, gpr_get(d, a->rn, true)), ir_ext(b, IR_I64, e, gpr_get(d, a->rm, true)));
    IrVal acc = gpr_get(d, a->ra, true);

    gpr_set(d, a->rd, sub ? ir_sub(b, acc, p) : a->ra == 31 ? p : ir_add(b, acc, p));
    return true;
}

bool trans_smaddl(A64Dis *d, arg_rrrr *a)
{
    return mul_long(d, a, IR_S32, false);
}

bool trans_smsubl(A64Dis *d, arg_rrrr *a)
{
    return mul_long(d, a, IR_S32, true);
}

bool trans_umaddl(A64Dis *d, arg_rrrr *a)
{
    return mul_long(d, a, IR_U32, false);
}

bool trans_umsubl(A64Dis *d, arg_rrrr *a)
{
    return mul_long(d, a, IR_U32, true);
}

bool trans_smulh(A64Dis *d, arg_rrr *a)
{
    gpr_set(d, a->rd, ir_op2(d->ir, OP_mulhs, IR_I64, 0, 0, gpr_get(d, a->rn, true), gpr_get(d, a->rm, true)));
    return true;
}

bool trans_umulh(A64Dis *d, arg_rrr *a)
{
    gpr_set(d, a->rd, ir_op2(d->ir, OP_mulhu, IR_I64, 0, 0, gpr_get(d, a->rn, true), gpr_get(d, a->rm, true)));
    return true;
}

/* ---- two sources ---- */

bool trans_udiv(A64Dis *d, arg_rrr *a)
{
    gpr_set(d, a->rd, ir_op2(d->ir, OP_divu, int_type(a->sf), IR_DIV_ZERO, 0, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf)));
    return true;
}

bool trans_sdiv(A64Dis *d, arg_rrr *a)
{
    gpr_set(d, a->rd, ir_op2(d->ir, OP_divs, int_type(a->sf), IR_DIV_ZERO, 0, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf)));
    return true;
}

#define SHIFT(name, fn) \
bool trans_##name(A64Dis *d, arg_rrr *a) \
{ \
    gpr_set(d, a->rd, fn(d->ir, gpr_get(d, a->rn, a->sf), gpr_get(d, a->rm, a->sf))); \
    return true; \
}
SHIFT(lslv, ir_shl)
SHIFT(lsrv, ir_shr)
SHIFT(asrv, ir_sar)
SHIFT(rorv, ir_rotr)
#undef SHIFT

bool trans_crc32(A64Dis *d, arg_crc32 *a)
{
    gpr_set(d, a->rd, ir_op2(d->ir, OP_crc32, IR_I32, a->sz | (a->c ? 4 : 0), 0, gpr_get(d, a->rn, false), gpr_get(d, a->rm, a->sz == 3)));
    return true;
}

/* ---- one source ---- */

#define ONE(name, op) \
bool trans_##name(A64Dis *d, arg_rr *a) \
{ \
    gpr_set(d, a->rd, ir_op1(d->ir, op, int_type(a->sf), 0, 0, gpr_get(d, a->rn, a->sf))); \
    return true; \
}
ONE(rbit, OP_rbit)
ONE(rev16, OP_bswap16)
ONE(rev_w, OP_bswap)
ONE(rev32, OP_bswap32)
ONE(rev_x, OP_bswap)
ONE(clz, OP_clz)
ONE(cls, OP_cls)
#undef ONE
