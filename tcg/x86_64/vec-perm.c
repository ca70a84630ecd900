/* SPDX-License-Identifier: MIT */
/* Vectors: lanes, permutations, widths. */
#include "tcg/x86_64/vec.h"

/* ---- interleaving ---- */
static void zip(Emit *e, const IrOp *op, unsigned first)
{
    static const uint8_t code[2][4] = { { 0x60, 0x61, 0x62, 0x6c }, { 0x68, 0x69, 0x6a, 0x6d } };

    if (!v_eval(e, false)) {
        v_two(e, M0F | P66 | code[first][op->sub]);
    }
}
void vec_zip1(Emit *e, const IrOp *op) { zip(e, op, 0); }
void vec_zip2(Emit *e, const IrOp *op) { zip(e, op, 1); }

/* Halfwords as words that a saturating pack leaves alone; `odd`: the upper one of each word. */
static void words_of(Emit *e, int t, int x, bool odd)
{
    if (!odd) {
        v_shift(e, V_SHIFTD, SHIFT_LEFT, t, x, 16);
    }
    v_shift(e, V_SHIFTD, SHIFT_ARITH, t, odd ? x : t, 16);
}

static void bytes_of(Emit *e, int t, int x, bool odd, const uint8_t *low)
{
    if (odd) {
        v_shift(e, V_SHIFTW, SHIFT_RIGHT, t, x, 8);
    } else {
        v_mem(e, V_PAND, t, x, low);
    }
}

static void uzp(Emit *e, const IrOp *op, bool odd)
{
    int x, y, second;
    const uint8_t *low;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    second = x == y ? SCRATCH_X : SCRATCH_Y;
    switch (op->sub) {
    case IR_E64:
        sse3(e, odd ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, v_out(e, x, 0), x, y);
        break;
    case IR_E32:
        v_imm(e, V_SHUFPS, v_out(e, x, 0), x, y, odd ? 0xdd : 0x88);
        break;
    case IR_E16:
        words_of(e, SCRATCH_X, x, odd);
        if (x != y) {
            words_of(e, SCRATCH_Y, y, odd);
        }
        sse3(e, V_PACKSSDW, v_out(e, x, 0), SCRATCH_X, second);
        break;
    default:
        low = odd ? NULL : v_rep(e, 0x00ff00ff00ff00ff);
        bytes_of(e, SCRATCH_X, x, odd, low);
        if (x != y) {
            bytes_of(e, SCRATCH_Y, y, odd, low);
        }
        sse3(e, V_PACKUSWB, v_out(e, x, 0), SCRATCH_X, second);
    }
}
void vec_uzp1(Emit *e, const IrOp *op) { uzp(e, op, false); }
void vec_uzp2(Emit *e, const IrOp *op) { uzp(e, op, true); }

static void trn(Emit *e, const IrOp *op, bool odd)
{
    int x, y;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    switch (op->sub) {
    case IR_E64:
        sse3(e, odd ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, v_out(e, x, 0), x, y);
        break;
    case IR_E32:
        v_imm(e, V_SHUFPS, SCRATCH_X, x, y, odd ? 0xdd : 0x88);
        v_imm2(e, V_PSHUFD, v_out(e, x, 0), SCRATCH_X, 0xd8);
        break;
    case IR_E16:
        v_shift(e, V_SHIFTD, odd ? SHIFT_RIGHT : SHIFT_LEFT, SCRATCH_X, odd ? x : y, 16);
        v_imm(e, V_PBLENDW, v_out(e, x, 0), odd ? SCRATCH_X : x, odd ? y : SCRATCH_X, 0xaa);
        break;
    default:
        v_shift(e, V_SHIFTW, odd ? SHIFT_RIGHT : SHIFT_LEFT, SCRATCH_X, odd ? x : y, 8);
        v_mem(e, V_PAND, SCRATCH_Y, odd ? y : x, v_rep(e, odd ? 0xff00ff00ff00ff00 : 0x00ff00ff00ff00ff));
        sse3(e, V_POR, v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
    }
}
void vec_trn1(Emit *e, const IrOp *op) { trn(e, op, false); }
void vec_trn2(Emit *e, const IrOp *op) { trn(e, op, true); }

void vec_ext(Emit *e, const IrOp *op)
{
    int x, y;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        v_imm(e, M3A | P66 | 0x0f, v_out(e, x, 0), y, x, (unsigned)op->imm);
    }
}

void vec_rev(Emit *e, const IrOp *op)
{
    unsigned bytes = (unsigned)op->imm;
    int x;

    if (v_eval(e, false)) {
        return;
    }
    x = v_in(e, 0);
    if (op->sub == IR_E32) {
        v_imm2(e, V_PSHUFD, v_out(e, x, 0), x, 0xb1);
    } else {
        unsigned at = op->sub == IR_E8 ? C_REV + (bytes == 2 ? 0 : bytes == 4 ? 16 : 32) : C_REV16 + (bytes == 4 ? 0 : 16);

        v_mem(e, V_PSHUFB, v_out(e, x, 0), x, v_const(e, at));
    }
}

void vec_tbl(Emit *e, const IrOp *op)
{
    int x, y;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        y = v_in(e, 1);
        v_mem(e, M0F | P66 | 0xdc, SCRATCH_X, y, v_const(e, C_TBL));
        sse3(e, V_PSHUFB, v_out(e, x, 0), x, SCRATCH_X);
    }
}

/* ---- lanes ---- */
/* The lowest element of t in every element of d. */
static void spread(Emit *e, unsigned size, int d, int t)
{
    switch (size) {
    case IR_E8:
        v_zero(e, SCRATCH_Y);
        sse3(e, V_PSHUFB, d, t, SCRATCH_Y);
        break;
    case IR_E16:
        v_imm2(e, M0F | PF2 | 0x70, SCRATCH_Y, t, 0);           /* pshuflw */
        v_imm2(e, V_PSHUFD, d, SCRATCH_Y, 0);
        break;
    case IR_E32:
        v_imm2(e, V_PSHUFD, d, t, 0);
        break;
    default:
        v_imm2(e, V_PSHUFD, d, t, 0x44);
    }
}

void vec_dup(Emit *e, const IrOp *op)
{
    int r;

    if (!v_eval(e, true)) {
        r = v_in(e, 0);
        vex_rr(&e->a, M0F | P66 | 0x6e, op->sub == IR_E64, SCRATCH_X, 0, r);
        spread(e, op->sub, v_out(e, NOREG, 0), SCRATCH_X);
    }
}

void vec_duplane(Emit *e, const IrOp *op)
{
    unsigned lane = (unsigned)op->imm;
    int x;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    switch (op->sub) {
    case IR_E64:
        v_imm2(e, V_PSHUFD, v_out(e, x, 0), x, lane ? 0xee : 0x44);
        break;
    case IR_E32:
        v_imm2(e, V_PSHUFD, v_out(e, x, 0), x, lane * 0x55);
        break;
    default:
        if (lane) {
            v_shift(e, V_SHIFTQ, 3, SCRATCH_X, x, lane << op->sub);     /* psrldq */
        }
        spread(e, op->sub, v_out(e, x, 0), lane ? SCRATCH_X : x);
    }
}

static bool is_v128(const Emit *e, unsigned k)
{
    return e->b->values[e->op->in[k]].type == IR_V128;
}

/* An element as a float: the lane moved down; what is above does not matter. */
static void get_float(Emit *e, int x, unsigned size, unsigned lane)
{
    int d = v_out(e, x, 0);

    if (lane) {
        v_imm2(e, V_PSHUFD, d, x, size == IR_E64 ? 0xee : lane);
    } else if (d != x) {
        sse2(e, V_MOVAPS, d, x);
    }
}

static void get_integer(Emit *e, int d, int x, unsigned size, unsigned lane)
{
    switch (size) {
    case IR_E8:
        vex_rr(&e->a, M3A | P66 | 0x14, false, x, 0, d);
        break;
    case IR_E16:
        vex_rr(&e->a, M0F | P66 | 0xc5, false, d, 0, x);
        break;
    default:
        if (!lane) {
            vex_rr(&e->a, M0F | P66 | 0x7e, size == IR_E64, x, 0, d);
            return;
        }
        vex_rr(&e->a, M3A | P66 | 0x16, size == IR_E64, x, 0, d);
    }
    put8(&e->a, lane);
}

void vec_get(Emit *e, const IrOp *op)
{
    unsigned lane = op->imm & 255;
    int x, d;

    if (!is_v128(e, 0) || !e->has.avx) {
        emit_eval(e);
        return;
    }
    x = v_in(e, 0);
    if (is_xmm_type(op->type)) {
        get_float(e, x, op->sub, lane);
        return;
    }
    d = v_out(e, NOREG, 0);
    get_integer(e, d, x, op->sub, lane);
    if (op->imm & 256) {
        bool w = op->type == IR_I64;

        if (op->sub == IR_E8) {
            asm_head(&e->a, M0F | 0xbe, w, d, 0, d, true);
            put8(&e->a, 0xc0 | (d & 7) << 3 | (d & 7));
        } else if (op->sub == IR_E16) {
            op_rr(&e->a, M0F | 0xbf, w, d, d);
        } else if (op->sub == IR_E32 && w) {
            op_rr(&e->a, 0x63, true, d, d);
        }
    }
}

static void insert(Emit *e, unsigned size, int d, int x, int r, unsigned lane)
{
    static const uint32_t code[4] = { M3A | P66 | 0x20, M0F | P66 | 0xc4, M3A | P66 | 0x22, M3A | P66 | 0x22 };

    vex_rr(&e->a, code[size], size == IR_E64, d, x, r);
    put8(&e->a, lane);
}

void vec_set(Emit *e, const IrOp *op)
{
    int x, r;

    if (!v_eval(e, true)) {
        x = v_in(e, 0);
        r = v_in(e, 1);
        insert(e, op->sub, v_out(e, x, 0), x, r, (unsigned)op->imm);
    }
}

void vec_setlane(Emit *e, const IrOp *op)
{
    unsigned to = op->imm & 255, from = op->imm >> 8 & 255;
    int x, y, t;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    y = v_in(e, 1);
    switch (op->sub) {
    case IR_E64:
        if (to == from) {
            v_imm(e, V_PBLENDW, v_out(e, x, 0), x, y, to ? 0xf0 : 0x0f);
        } else if (to) {
            sse3(e, V_PUNPCKLQDQ, v_out(e, x, 0), x, y);
        } else {
            sse3(e, V_PUNPCKHQDQ, v_out(e, x, 0), y, x);
        }
        break;
    case IR_E32:
        v_imm(e, M3A | P66 | 0x21, v_out(e, x, 0), x, y, from << 6 | to << 4);
        break;
    default:
        t = ra_temp(e);
        get_integer(e, t, y, op->sub, from);
        insert(e, op->sub, v_out(e, x, 0), x, t, to);
        ra_unlock(e, t);
    }
}

bool v_alone(const Emit *e, uint16_t v, unsigned type)
{
    const IrValue *k = &e->b->values[v];
    unsigned from;

    if (k->is_const || (e->zext[v] && k->type == type)) {
        return true;
    }
    if (k->type == type) {
        return e->b->ops[k->def].opc == OP_ld || e->b->ops[k->def].opc == OP_ld2;
    }
    if (k->type != IR_V128 || e->b->ops[k->def].opc != OP_vzext) {
        return false;
    }
    from = e->in_type[k->def];
    return from == IR_F32 || from == IR_I32 || type == IR_F64;
}

void vec_zext(Emit *e, const IrOp *op)
{
    unsigned from = e->in_type[e->i];                           /* the value itself may be the vector whose low element is meant */
    int x, d;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    d = v_out(e, x, 0);
    if (x < 16) {
        vex_rr(&e->a, M0F | P66 | 0x6e, from == IR_I64, d, 0, x);
    } else if (v_alone(e, op->in[0], from == IR_F32 ? IR_F32 : IR_F64)) {
        if (d != x) {
            sse2(e, V_MOVAPS, d, x);
        }
    } else if (from == IR_F32) {
        v_imm(e, M3A | P66 | 0x21, d, x, x, 0x0e);              /* insertps that clears the other three */
    } else {
        sse2(e, V_MOVQ, d, x);
    }
}

void vec_low(Emit *e, const IrOp *op)
{
    if (!is_v128(e, 0)) {
        emit_eval(e);
        return;
    }
    get_float(e, v_in(e, 0), op->sub, 0);
}

/* ---- widths ---- */
static void widen(Emit *e, const IrOp *op, bool is_signed)
{
    static const uint8_t extend[2][3] = { { 0x30, 0x33, 0x35 }, { 0x20, 0x23, 0x25 } }, unpack[3] = { 0x68, 0x69, 0x6a };
    int x;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    if (!(op->imm & 1)) {
        sse2(e, M38 | P66 | extend[is_signed][op->sub], v_out(e, x, 0), x);
    } else if (is_signed) {
        v_imm2(e, V_PSHUFD, SCRATCH_X, x, 0xee);
        sse2(e, M38 | P66 | extend[1][op->sub], v_out(e, x, 0), SCRATCH_X);
    } else {
        v_zero(e, SCRATCH_X);
        sse3(e, M0F | P66 | unpack[op->sub], v_out(e, x, 0), x, SCRATCH_X);
    }
}
void vec_widenu(Emit *e, const IrOp *op) { widen(e, op, false); }
void vec_widens(Emit *e, const IrOp *op) { widen(e, op, true); }

void vec_narrow(Emit *e, const IrOp *op)
{
    int x;

    if (v_eval(e, true)) {
        return;
    }
    x = v_in(e, 0);
    v_zero(e, SCRATCH_Y);
    switch (op->sub) {
    case IR_E8:
        v_mem(e, V_PAND, SCRATCH_X, x, v_rep(e, 0x00ff00ff00ff00ff));
        sse3(e, V_PACKUSWB, v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    case IR_E16:
        words_of(e, SCRATCH_X, x, false);
        sse3(e, V_PACKSSDW, v_out(e, x, 0), SCRATCH_X, SCRATCH_Y);
        break;
    default:
        v_imm(e, V_SHUFPS, v_out(e, x, 0), x, SCRATCH_Y, 0x88);
    }
}
