/* SPDX-License-Identifier: MIT */
/* A64 Advanced SIMD: copies, permutations, tables, modified immediates: Arm ARM (DDI 0487), C4.1.96 and C7.2. */
#include "target/arm/trans-simd-priv.h"

/* ---- between elements and registers ---- */
static bool dup_lane(A64Dis *d, int size, int q, int rd, int rn, int idx)
{
    if (simd_on(d)) {
        v_put(d, rd, q, ir_v1(d->ir, OP_vduplane, size, idx, v_get(d, rn)));
    }
    return true;
}
TRANS(dup_v, v_dup, dup_lane(d, a->size, a->q, a->rd, a->rn, a->idx))

static IrVal gpr_for(A64Dis *d, int size, int rn)
{
    IrVal v = gpr_get(d, (unsigned)rn, true);

    return size == 3 ? v : ir_trunc(d->ir, v);
}

bool trans_dup_g(A64Dis *d, arg_v_dup *a)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_vdup(d->ir, IR_V128, a->size, gpr_for(d, a->size, a->rn)));
    }
    return true;
}

/* DUP of one element: the rest of the register is zero. */
bool trans_dup_s(A64Dis *d, arg_dup_s *a)
{
    if (simd_on(d)) {
        f_set(d, a->rd, ir_vget(d->ir, a->size == 3 ? IR_I64 : IR_I32, a->size, v_get(d, a->rn), a->idx, false));
    }
    return true;
}

static bool to_gpr(A64Dis *d, const arg_v_gp *a, bool is_signed)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_vget(d->ir, a->q ? IR_I64 : IR_I32, a->size, v_get(d, a->rn), a->idx, is_signed);
        gpr_set(d, (unsigned)a->rd, v);
    }
    return true;
}
TRANS(smov_g, v_gp, to_gpr(d, a, true))
TRANS(umov_g, v_gp, to_gpr(d, a, false))

bool trans_ins_g(A64Dis *d, arg_v_gp *a)
{
    if (simd_on(d)) {
        v_set(d, a->rd, ir_vset(d->ir, a->size, v_get(d, a->rd), a->idx, gpr_for(d, a->size, a->rn)));
    }
    return true;
}

bool trans_ins_e(A64Dis *d, arg_ins_e *a)
{
    if (simd_on(d)) {
        v_set(d, a->rd, ir_v2(d->ir, OP_vsetlane, a->size, a->idx | (a->from >> a->size) << 8, v_get(d, a->rd), v_get(d, a->rn)));
    }
    return true;
}

/* ---- permutations; 64-bit forms work on both low halves side by side ---- */
static bool permute(A64Dis *d, const arg_v_rrr *a, IrOpcode op)
{
    IrVal n, m, v;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    if (!a->q && (op == OP_vuzp1 || op == OP_vuzp2)) {
        n = m = v_join(d, n, m);
    }
    if (!a->q && op == OP_vzip2) {
        v = ir_v2(d->ir, OP_vzip1, a->size, 0, n, m);
        v = ir_v2(d->ir, OP_vext, IR_E8, 8, v, v);
    } else {
        v = ir_v2(d->ir, op, a->size, 0, n, m);
    }
    v_put(d, a->rd, a->q, v);
    return true;
}
TRANS(uzp1_v, v_rrr, permute(d, a, OP_vuzp1))
TRANS(uzp2_v, v_rrr, permute(d, a, OP_vuzp2))
TRANS(zip1_v, v_rrr, permute(d, a, OP_vzip1))
TRANS(zip2_v, v_rrr, permute(d, a, OP_vzip2))
TRANS(trn1_v, v_rrr, permute(d, a, OP_vtrn1))
TRANS(trn2_v, v_rrr, permute(d, a, OP_vtrn2))

bool trans_ext_v(A64Dis *d, arg_ext_v *a)
{
    IrVal n, m;

    if (!simd_on(d)) {
        return true;
    }
    n = v_get(d, a->rn);
    m = v_get(d, a->rm);
    if (!a->q) {
        n = m = v_join(d, n, m);
    }
    v_put(d, a->rd, a->q, a->imm ? ir_v2(d->ir, OP_vext, IR_E8, a->imm, n, m) : n);
    return true;
}

static bool reverse(A64Dis *d, const arg_v_rr *a, int container)
{
    if (simd_on(d)) {
        v_put(d, a->rd, a->q, ir_v1(d->ir, OP_vrev, a->size, container, v_get(d, a->rn)));
    }
    return true;
}
TRANS(rev64_v, v_rr, reverse(d, a, 8))
TRANS(rev32_v, v_rr, reverse(d, a, 4))
TRANS(rev16_v, v_rr, reverse(d, a, 2))

/* ---- tables: an index that is out of range for one register gives zero there ---- */
static IrVal lookup(A64Dis *d, int rn, int len, IrVal index)
{
    IrVal v = ir_v2(d->ir, OP_vtbl, IR_E8, 0, v_get(d, rn), index);

    for (int i = 1; i <= len; i++) {
        IrVal at = ir_v2(d->ir, OP_vsub, IR_E8, 0, index, v_rep(d, rep_of(0, 16u * (unsigned)i)));

        v = ir_v2(d->ir, OP_vor, IR_E64, 0, v, ir_v2(d->ir, OP_vtbl, IR_E8, 0, v_get(d, (rn + i) & 31), at));
    }
    return v;
}

static bool table(A64Dis *d, const arg_tbl *a, bool keep)
{
    IrVal index, v;

    if (!simd_on(d)) {
        return true;
    }
    index = v_get(d, a->rm);
    v = lookup(d, a->rn, a->len, index);
    if (keep) {
        IrVal out = ir_v2(d->ir, OP_vcmp, IR_E8, IR_GTU, index, v_rep(d, rep_of(0, 16u * (unsigned)(a->len + 1) - 1)));

        v = ir_v3(d->ir, OP_vsel, IR_E64, 0, out, v_get(d, a->rd), v);
    }
    v_put(d, a->rd, a->q, v);
    return true;
}
TRANS(tbl_v, tbl, table(d, a, false))
TRANS(tbx_v, tbl, table(d, a, true))

/* ---- modified immediates: AdvSIMDExpandImm ---- */
static uint64_t fp_imm(unsigned imm8, int size)
{
    uint64_t sign = imm8 >> 7, b = imm8 >> 6 & 1, low = imm8 & 63;

    switch (size) {
    case 1:
        return sign << 15 | (b ? 3ull << 12 : 4ull << 12) | low << 6;
    case 2:
        return sign << 31 | (b ? 0x1full << 25 : 0x20ull << 25) | low << 19;
    default:
        return sign << 63 | (b ? 0xffull << 54 : 0x100ull << 54) | low << 48;
    }
}

static uint64_t byte_mask(unsigned imm8)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++) {
        v |= imm8 >> i & 1 ? 0xffull << (8 * i) : 0;
    }
    return v;
}

/* cmode 16: half-precision FMOV */
static uint64_t expand(unsigned op, unsigned cmode, unsigned imm8)
{
    switch (cmode >> 1) {
    case 0: case 1: case 2: case 3:
        return rep_of(2, (uint64_t)imm8 << (8 * (cmode >> 1)));
    case 4: case 5:
        return rep_of(1, (uint64_t)imm8 << (8 * (cmode >> 1 & 1)));
    case 6:
        return rep_of(2, cmode & 1 ? imm8 << 16 | 0xffff : imm8 << 8 | 0xff);
    case 7:
        if (cmode & 1) {
            return op ? fp_imm(imm8, 3) : rep_of(2, fp_imm(imm8, 2));
        }
        return op ? byte_mask(imm8) : rep_of(0, imm8);
    default:
        return rep_of(1, fp_imm(imm8, 1));
    }
}

bool trans_movi_v(A64Dis *d, arg_movi *a)
{
    unsigned cmode = (unsigned)a->cmode, imm8 = (unsigned)(a->abc << 5 | a->defgh);
    uint64_t imm = expand((unsigned)a->op, cmode, imm8);

    if (!simd_on(d)) {
        return true;
    }
    if (cmode < 12 && cmode & 1) {                      /* ORR, BIC */
        v_put(d, a->rd, a->q, ir_v2(d->ir, a->op ? OP_vandc : OP_vor, IR_E64, 0, v_get(d, a->rd), v_rep(d, imm)));
        return true;
    }
    v_put(d, a->rd, a->q, v_rep(d, cmode < 14 && a->op ? ~imm : imm));
    return true;
}

bool trans_fmov_i(A64Dis *d, arg_fmov_i *a)
{
    if (simd_on(d)) {
        v_put(d, a->rd, 0, v_rep(d, fp_imm((unsigned)a->imm, a->size)));
    }
    return true;
}
