/* SPDX-License-Identifier: MIT */
#include "target/arm/translate.h"

#include <string.h>

/* ---- registers ---- */

IrVal gpr_get(A64Dis *d, unsigned r, bool sf)
{
    IrVal v;

    if (r == 31) {
        return ir_const(d->ir, sf ? IR_I64 : IR_I32, 0);
    }
    v = ir_get(d->ir, SLOT_X0 + r);
    return sf ? v : ir_trunc(d->ir, v);
}

IrVal gpr_get_sp(A64Dis *d, unsigned r, bool sf)
{
    IrVal v;

    if (r != 31) {
        return gpr_get(d, r, sf);
    }
    v = ir_get(d->ir, SLOT_SP);
    return sf ? v : ir_trunc(d->ir, v);
}

static IrVal widen(A64Dis *d, IrVal v)
{
    return ir_type(d->ir, v) == IR_I32 ? ir_zext(d->ir, v) : v;
}

void gpr_set(A64Dis *d, unsigned r, IrVal v)
{
    if (r != 31) {
        ir_set(d->ir, SLOT_X0 + r, widen(d, v));
    }
}

void gpr_set_sp(A64Dis *d, unsigned r, IrVal v)
{
    ir_set(d->ir, r == 31 ? SLOT_SP : SLOT_X0 + r, widen(d, v));
}

bool fp_enabled(A64Dis *d)
{
    if (d->key & KEY_FP) {
        return true;
    }
    raise_esr(d, EC_FP, 0x1e00000);         /* COND 0xe, CV */
    return false;
}

/* ---- flags ---- */

static void remember(A64Dis *d, A64CcKind kind, IrVal a, IrVal b, IrVal res)
{
    d->cc = kind;
    d->cc_a = a;
    d->cc_b = b;
    d->cc_res = res;
}

void flags_set(A64Dis *d, IrFlags f)
{
    ir_set(d->ir, SLOT_N, f.n);
    ir_set(d->ir, SLOT_Z, f.z);
    ir_set(d->ir, SLOT_C, f.c);
    ir_set(d->ir, SLOT_V, f.v);
    d->cc = CC_NONE;
}

void flags_set_nzcv(A64Dis *d, unsigned nzcv)
{
    flags_set(d, (IrFlags){ .n = ir_i32(d->ir, nzcv >> 3 & 1), .z = ir_i32(d->ir, nzcv >> 2 & 1), .c = ir_i32(d->ir, nzcv >> 1 & 1), .v = ir_i32(d->ir, nzcv & 1) });
}

bool nzcv_holds(unsigned cond, unsigned nzcv)
{
    bool n = nzcv >> 3 & 1, z = nzcv >> 2 & 1, c = nzcv >> 1 & 1, v = nzcv & 1;
    const bool even[7] = { z, c, n, v, c && !z, n == v, n == v && !z };

    return even[cond >> 1] != (cond & 1);
}

IrVal flags_nzcv(A64Dis *d)
{
    IrBlock *b = d->ir;
    IrVal hi = ir_or(b, ir_shli(b, ir_get(b, SLOT_N), 31), ir_shli(b, ir_get(b, SLOT_Z), 30));
    IrVal lo = ir_or(b, ir_shli(b, ir_get(b, SLOT_C), 29), ir_shli(b, ir_get(b, SLOT_V), 28));

    return ir_zext(b, ir_or(b, hi, lo));
}

void flags_from_nzcv(A64Dis *d, IrVal nzcv)
{
    IrBlock *b = d->ir;
    IrVal w = ir_type(b, nzcv) == IR_I64 ? ir_trunc(b, nzcv) : nzcv;

    flags_set(d, (IrFlags){ .n = ir_extract(b, w, 31, 1), .z = ir_extract(b, w, 30, 1), .c = ir_extract(b, w, 29, 1), .v = ir_extract(b, w, 28, 1) });
}

IrVal adds_flags(A64Dis *d, IrVal x, IrVal y)
{
    IrVal r = ir_add(d->ir, x, y);

    flags_set(d, ir_flags_add(d->ir, x, y));
    remember(d, CC_ADD, x, y, r);
    return r;
}

IrVal subs_flags(A64Dis *d, IrVal x, IrVal y)
{
    IrVal r = ir_sub(d->ir, x, y);

    flags_set(d, ir_flags_sub(d->ir, x, y));
    remember(d, CC_SUB, x, y, r);
    return r;
}

IrVal ands_flags(A64Dis *d, IrVal x, IrVal y)
{
    IrVal r = ir_and(d->ir, x, y);

    flags_set(d, ir_flags_and(d->ir, x, y));
    remember(d, CC_AND, x, y, r);
    return r;
}

static IrVal zero_like(A64Dis *d, IrVal v)
{
    return ir_const(d->ir, ir_type(d->ir, v), 0);
}

/* The even condition of each pair as a compare of what set the flags; false: only the flags themselves tell. */
static bool cond_fused(A64Dis *d, unsigned cond, A64Cond *out)
{
    static const IrCond sub[7] = { IR_EQ, IR_GEU, IR_LT, IR_NCOND, IR_GTU, IR_GE, IR_GT };
    static const IrCond and[7] = { IR_EQ, IR_NCOND, IR_LT, IR_NCOND, IR_NCOND, IR_GE, IR_GT };
    IrVal zero;

    if (d->cc == CC_NONE) {
        return false;
    }
    zero = zero_like(d, d->cc_res);
    if (cond == 0 && d->cc == CC_AND) {
        *out = (A64Cond){ IR_TSTEQ, d->cc_a, d->cc_b };
    } else if (d->cc == CC_SUB && sub[cond] != IR_NCOND && cond != 2) {
        *out = (A64Cond){ sub[cond], d->cc_a, d->cc_b };
    } else if (cond == 0 || cond == 2) {
        *out = (A64Cond){ cond ? IR_LT : IR_EQ, d->cc_res, zero };
    } else if (d->cc == CC_AND && and[cond] != IR_NCOND) {
        *out = (A64Cond){ and[cond], d->cc_res, zero };
    } else if (d->cc == CC_ADD && cond == 1) {
        *out = (A64Cond){ IR_LTU, d->cc_res, d->cc_a };
    } else {
        return false;
    }
    return true;
}

static A64Cond cond_slots(A64Dis *d, unsigned cond)
{
    IrBlock *b = d->ir;
    IrVal zero = ir_i32(b, 0);

    switch (cond) {
    case 0:
        return (A64Cond){ IR_NE, ir_get(b, SLOT_Z), zero };
    case 1:
        return (A64Cond){ IR_NE, ir_get(b, SLOT_C), zero };
    case 2:
        return (A64Cond){ IR_NE, ir_get(b, SLOT_N), zero };
    case 3:
        return (A64Cond){ IR_NE, ir_get(b, SLOT_V), zero };
    case 4:         /* C and not Z, as 0/1 values: C > Z */
        return (A64Cond){ IR_GTU, ir_get(b, SLOT_C), ir_get(b, SLOT_Z) };
    case 5:
        return (A64Cond){ IR_EQ, ir_get(b, SLOT_N), ir_get(b, SLOT_V) };
    default:
        return (A64Cond){ IR_EQ, ir_or(b, ir_xor(b, ir_get(b, SLOT_N), ir_get(b, SLOT_V)), ir_get(b, SLOT_Z)), zero };
    }
}

IrCond cond_negate(IrCond c)
{
    static const IrCond not[IR_NCOND] = {
        [IR_EQ] = IR_NE, [IR_NE] = IR_EQ, [IR_LT] = IR_GE, [IR_GE] = IR_LT, [IR_LE] = IR_GT, [IR_GT] = IR_LE,
        [IR_LTU] = IR_GEU, [IR_GEU] = IR_LTU, [IR_LEU] = IR_GTU, [IR_GTU] = IR_LEU, [IR_TSTEQ] = IR_TSTNE, [IR_TSTNE] = IR_TSTEQ,
    };

    return not[c];
}

A64Cond cond_get(A64Dis *d, unsigned cond)
{
    A64Cond c;

    if (cond >= 14) {
        return (A64Cond){ IR_EQ, ir_i32(d->ir, 0), ir_i32(d->ir, 0) };
    }
    if (!cond_fused(d, cond >> 1, &c)) {
        c = cond_slots(d, cond >> 1);
    }
    if (cond & 1) {
        c.c = cond_negate(c.c);
    }
    return c;
}

/* ---- memory ---- */

/* A misaligned SP is an exception: the check is a test and a branch. */
IrVal base_get(A64Dis *d, unsigned rn)
{
    if (rn == 31 && (d->key & KEY_SPALIGN) && !d->sp_checked) {
        d->sp_checked = true;
        ir_raise_if(d->ir, IR_TSTNE, ir_get(d->ir, SLOT_SP), ir_i64(d->ir, 15), (int64_t)EC_SP_ALIGN << 26 | ESR_IL);
    }
    return gpr_get_sp(d, rn, true);
}

IrMem mem_desc(A64Dis *d, unsigned size)
{
    return (IrMem)size | (d->key & KEY_BE ? IR_MEM_BE : 0) | (d->key & KEY_ALIGN ? IR_MEM_ALIGN(size) : 0);
}

/* ---- leaving ---- */

/* The stepped instruction is done: what comes next is another mode. */
static bool step_done(A64Dis *d)
{
    if (d->key & KEY_SS) {
        bool excl = (d->insn & 0x3fc00000) == 0x08400000;      /* LDXR, LDAXR, LDXP, LDAXP */

        ir_set(d->ir, SLOT_SS, ir_i32(d->ir, 0));
        ir_set(d->ir, SLOT_STEPPED, ir_i32(d->ir, excl ? A64_STEPPED_EXCL : A64_STEPPED));
        return true;
    }
    return false;
}

void end_goto(A64Dis *d, int64_t disp)
{
    if (step_done(d)) {
        ir_leave(d->ir, IR_LEAVE_MODE, disp);
    } else {
        ir_goto(d->ir, disp);
    }
    d->done = true;
}

void end_jump(A64Dis *d, IrVal target, unsigned hint)
{
    if (step_done(d) || d->tc->step_over) {
        if (IR_LANDING_OF(hint)) {
            ir_set(d->ir, SLOT_BTYPE, ir_i32(d->ir, IR_LANDING_OF(hint)));
        }
        ir_leave_to(d->ir, IR_LEAVE_MODE, target);
    } else {
        ir_jump(d->ir, target, hint);
    }
    d->done = true;
}

void end_branch(A64Dis *d, IrVal target, unsigned btype)
{
    end_jump(d, target, IR_JUMP | (a64_feature(d, A64_FEAT_bti) ? IR_LANDING(btype) : 0));
}

void branch_if(A64Dis *d, A64Cond c, int64_t disp)
{
    IrBlock *b = d->ir;

    if (d->key & KEY_SS) {
        end_jump(d, ir_movcond(b, c.c, c.a, c.b, ir_pc(b, disp), ir_pc(b, d->off + 4)), IR_JUMP);
    } else {
        ir_exit_if(b, c.c, c.a, c.b, disp);
    }
}

void end_mode(A64Dis *d)
{
    step_done(d);
    ir_leave(d->ir, IR_LEAVE_MODE, d->off + 4);
    d->done = true;
}

void raise_esr(A64Dis *d, uint32_t ec, uint32_t iss)
{
    ir_raise(d->ir, (int64_t)((uint64_t)ec << 26 | ESR_IL | iss));
    d->done = true;
}

void raise_after(A64Dis *d, uint32_t ec, uint32_t iss)
{
    ir_raise(d->ir, (int64_t)(1ull << 32 | (uint64_t)ec << 26 | ESR_IL | iss));
    d->done = true;
}

void raise_undef(A64Dis *d)
{
    raise_esr(d, EC_UNKNOWN, 0);
}

/* ---- the loop ---- */

static uint32_t fetch(const TransCtx *tc, uint32_t off)
{
    uint32_t w;

    memcpy(&w, tc->page + off, 4);
    return w;                   /* instructions are little-endian always */
}

static bool listed(const uint32_t *offs, uint32_t off)
{
    while (offs && *offs < off) {
        offs++;
    }
    return offs && *offs == off;
}

/* The pc is not a multiple of 4: a branch went astray. */
static void misaligned(A64Dis *d)
{
    ir_insn(d->ir, d->off, 0);
    if (KEY_BTYPE(d->key)) {
        ir_set(d->ir, SLOT_BTYPE, ir_i32(d->ir, (int32_t)KEY_BTYPE(d->key)));
    }
    ir_raise(d->ir, A64_RAISE_PC_ALIGN);
    d->ir->code_bytes = 4 - (d->off & 3);
}

static bool is_brk(uint32_t insn)
{
    return (insn & 0xffe0001f) == 0xd4200000;
}

/* May the first instruction on a guarded page be reached with this BTYPE?  BTI with its targets, PACIASP and PACIBSP, BRK and HLT: D1.3.6. */
static bool landing_allowed(uint64_t key, uint32_t insn, unsigned btype)
{
    static const uint8_t bti[4] = { 0, 1 << 1 | 1 << 2, 1 << 1 | 1 << 3, 1 << 1 | 1 << 2 | 1 << 3 };   /* of BTI, c, j, jc */

    if ((insn & 0xffffff3f) == 0xd503241f) {
        return bti[insn >> 6 & 3] >> btype & 1;
    }
    if ((insn & 0xffffffbf) == 0xd503233f) {
        return btype != 3 || !(key & KEY_BTI);
    }
    return is_brk(insn) || (insn & 0xffe0001f) == 0xd4400000;
}

/* What raises an exception right here, and BRK, keep BTYPE; the others clear it (AArch64.TakeException), so they are the blocks that everybody runs. */
uint64_t a64_landing_key(uint64_t key, unsigned btype, const uint8_t *code, uint32_t off, bool guarded)
{
    uint32_t insn;
    bool raises = key & (KEY_IL | KEY_SS_DUE) || off & 3;

    key |= guarded ? KEY_GUARDED : 0;
    if (btype && !raises) {
        memcpy(&insn, code, 4);
        raises = is_brk(insn) || (guarded && !landing_allowed(key, insn, btype));
    }
    return raises ? key | (uint64_t)btype << KEY_BTYPE_SHIFT : key;
}

/* True: the instruction is not looked at. */
static bool raise_before(A64Dis *d)
{
    unsigned btype = KEY_BTYPE(d->key);

    if (btype) {
        ir_set(d->ir, SLOT_BTYPE, ir_i32(d->ir, (int32_t)btype));
    }
    if (d->key & KEY_SS_DUE) {
        ir_raise(d->ir, A64_RAISE_STEP);
        d->done = true;
    } else if (listed(d->tc->own_breaks, (uint32_t)d->off)) {
        ir_raise(d->ir, A64_RAISE_BREAK);
        d->done = true;
    } else if (d->key & KEY_IL) {
        raise_esr(d, EC_ILLEGAL, 0);
    } else if (btype && d->key & KEY_GUARDED && !landing_allowed(d->key, d->insn, btype)) {
        raise_esr(d, EC_BTI, btype);
    }
    return d->done;
}

static void translate_one(A64Dis *d)
{
    int row;

    if (d->key & (KEY_SS_DUE | KEY_BREAK | KEY_IL | 3ull << KEY_BTYPE_SHIFT) && raise_before(d)) {
        return;
    }
    row = a64_row_of(d->insn);
    if (row < 0 || !a64_trans[row](d, d->insn)) {
        raise_undef(d);
    }
}

/* Does the block end between instruction number `n` and the one before? */
static bool ends_before(const A64Dis *d, unsigned n, int64_t off)
{
    const TransCtx *tc = d->tc;

    return d->key & KEY_SS || n >= MIN(tc->max_insns, IR_MAX_INSNS - 1) || off >= 4096 || ir_full(d->ir) ||
           listed(tc->breaks, (uint32_t)off) || listed(tc->own_breaks, (uint32_t)off);
}

bool a64_branch_follows(const A64Dis *d)
{
    uint32_t insn;

    if (ends_before(d, d->ninsns + 1, d->off + 4)) {
        return false;
    }
    insn = fetch(d->tc, (uint32_t)d->off + 4);
    return (insn & 0xff000010) == 0x54000000 && (insn & 15) < 14;
}

void a64_translate(TransCtx *tc)
{
    A64Dis d = { .tc = tc, .ir = tc->ir, .cpu = a64_cpu(tc->cpu), .key = tc->key, .off = tc->off };

    d.ir->flush_exact = (d.key & (KEY_FZ | KEY_IXC)) == KEY_FZ;
    if (tc->off & 3) {
        misaligned(&d);
        return;
    }
    if (!tc->step_over && listed(tc->breaks, tc->off)) {
        ir_insn(d.ir, d.off, 0);
        ir_leave(d.ir, IR_LEAVE_DEBUG, d.off);
        d.ir->code_bytes = 4;
        return;
    }
    for (;;) {
        d.insn = fetch(tc, (uint32_t)d.off);
        ir_insn(d.ir, d.ccmp.on ? d.off - 4 : d.off, 0);        /* both or none */
        translate_one(&d);
        d.ninsns++;
        d.off += 4;
        if (d.done) {
            break;
        }
        if (!d.ccmp.on && ends_before(&d, d.ninsns, d.off)) {
            end_goto(&d, d.off);
            break;
        }
    }
    d.ir->code_bytes = (uint32_t)d.off - tc->off;
}
