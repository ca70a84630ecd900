/* SPDX-License-Identifier: MIT */
/* Integer operations and flags. */
#include "tcg/target.h"
#include "tcg/x86_64/emit.h"
#include "util/bits.h"

static const uint8_t cc_of[IR_NCOND] = {
    [IR_EQ] = CC_E, [IR_NE] = CC_NE, [IR_LT] = CC_L, [IR_GE] = CC_GE, [IR_LE] = CC_LE, [IR_GT] = CC_G,
    [IR_LTU] = CC_B, [IR_GEU] = CC_AE, [IR_LEU] = CC_BE, [IR_GTU] = CC_A, [IR_TSTEQ] = CC_E, [IR_TSTNE] = CC_NE,
};

static bool is_w(const IrOp *op)
{
    return op->type == IR_I64;
}

/* A memory operand for a value that is read once more only. */
static bool mem_operand(Emit *e, uint16_t v, bool w, Mem *m)
{
    return ra_dies(e, v) && !(w && !ra_w(e, v)) && !ra_is_bool_home(e, v) && ra_in_memory(e, v, m);
}

/* d = d OP v */
static void alu_val(Emit *e, unsigned k, bool w, int d, uint16_t v)
{
    int32_t imm;
    Mem m;

    if (ra_imm32(e, v, w, &imm)) {
        alu_ri(&e->a, k, w, d, imm);
    } else if (mem_operand(e, v, w, &m)) {
        alu_rm(&e->a, k, w, d, m);
    } else {
        alu_rr(&e->a, k, w, d, ra_use(e, v));
    }
}

/* Bring the second operand where alu_val will find it; its register or NOREG. */
static int second(Emit *e, uint16_t v, bool w)
{
    int32_t imm;
    Mem m;

    return ra_imm32(e, v, w, &imm) || mem_operand(e, v, w, &m) ? NOREG : ra_use(e, v);
}

static uint32_t bit_of(int r)
{
    return r == NOREG ? 0 : 1u << r;
}

/* Result register that starts as a copy of x. */
static int def_copy(Emit *e, uint16_t out, uint16_t x, bool w, uint32_t avoid)
{
    int a = ra_use(e, x);
    int d = ra_def(e, out, ra_dies(e, x) ? a : NOREG, avoid & ~(1u << a));

    if (d != a) {
        mov_rr(&e->a, w, d, a);
    }
    return d;
}

/* Should x and y change places, so that the result can grow in y's register? */
static void order(Emit *e, uint16_t out, uint16_t *x, uint16_t *y)
{
    int64_t c;
    int ry = e->loc[*y].reg, rx = e->loc[*x].reg;
    bool y_const = ra_const(e, *y, &c);
    bool swap = !y_const && (ra_const(e, *x, &c) || (ry != NOREG && ry == e->hint[out] && rx != ry) ||
                             (ry != NOREG && ry < 16 && (TEMP_MASK >> ry & 1) && ra_dies(e, *y) && !ra_dies(e, *x) &&
                              e->hint[out] != rx));

    if (swap) {
        uint16_t t = *x;

        *x = *y;
        *y = t;
    }
}

static void emit_add(Emit *e, const IrOp *op)
{
    uint16_t x = op->in[0], y = op->in[1];
    bool w = is_w(op);
    int32_t imm = 0;
    int a, b, d;
    bool is_imm;

    if (op->sub) {
        Mem m;

        a = ra_use(e, x);
        b = ra_use(e, y);
        m = mem_bid(a, b, 0);
        m.scale = (uint8_t)op->sub;
        d = ra_def(e, op->out[0], ra_dies(e, x) ? a : ra_dies(e, y) ? b : NOREG, 0);
        lea(&e->a, w, d, m);
        return;
    }
    order(e, op->out[0], &x, &y);
    is_imm = ra_imm32(e, y, w, &imm);
    a = ra_use(e, x);
    b = second(e, y, w);
    d = ra_def(e, op->out[0], ra_dies(e, x) ? a : NOREG, b != a ? bit_of(b) & ~bit_of(e->hint[op->out[0]]) : 0);
    if (x == y && d == a) {
        alu_rr(&e->a, ALU_ADD, w, d, d);
    } else if (d == a) {
        alu_val(e, ALU_ADD, w, d, y);
    } else if (is_imm) {
        lea(&e->a, w, d, mem_bd(a, imm));
    } else if (b != NOREG) {
        lea(&e->a, w, d, mem_bid(a, b, 0));
    } else {
        mov_rr(&e->a, w, d, a);
        alu_val(e, ALU_ADD, w, d, y);
    }
}

static void alu2(Emit *e, const IrOp *op, unsigned k, bool comm)
{
    uint16_t x = op->in[0], y = op->in[1];
    bool w = is_w(op);
    int b, d;

    if (comm) {
        order(e, op->out[0], &x, &y);
    }
    ra_use(e, x);
    b = second(e, y, w);
    d = def_copy(e, op->out[0], x, w, x == y ? 0 : bit_of(b));
    if (x == y) {
        alu_rr(&e->a, k, w, d, d);
    } else {
        alu_val(e, k, w, d, y);
    }
}

static void emit_sub(Emit *e, const IrOp *op) { alu2(e, op, ALU_SUB, false); }
static void emit_and(Emit *e, const IrOp *op) { alu2(e, op, ALU_AND, true); }
static void emit_or(Emit *e, const IrOp *op) { alu2(e, op, ALU_OR, true); }
static void emit_xor(Emit *e, const IrOp *op) { alu2(e, op, ALU_XOR, true); }

/* x OP ~y */
static void with_not(Emit *e, const IrOp *op, unsigned k)
{
    uint16_t x = op->in[0], y = op->in[1];
    bool w = is_w(op);
    int a = ra_use(e, x), b = ra_use(e, y), d;

    if (k == ALU_AND && e->has.bmi) {
        d = ra_def(e, op->out[0], ra_dies(e, x) ? a : NOREG, 0);
        vex_rr(&e->a, M38 | 0xf2, w, d, b, a);          /* andn d, b, a */
        return;
    }
    d = ra_def(e, op->out[0], ra_dies(e, y) ? b : NOREG, a == b ? 0 : bit_of(a));
    if (a == b) {
        /* x & ~x, x | ~x */
        mov_ri(&e->a, d, k == ALU_AND ? 0 : w ? ~0ull : 0xffffffffull);
        return;
    }
    if (d != b) {
        mov_rr(&e->a, w, d, b);
    }
    grp3(&e->a, 2, w, d);
    alu_rr(&e->a, k, w, d, a);
}

static void emit_andc(Emit *e, const IrOp *op) { with_not(e, op, ALU_AND); }
static void emit_orc(Emit *e, const IrOp *op) { with_not(e, op, ALU_OR); }

static void emit_eqv(Emit *e, const IrOp *op)
{
    emit_xor(e, op);
    grp3(&e->a, 2, is_w(op), e->loc[op->out[0]].reg);
}

static void emit_not(Emit *e, const IrOp *op) { grp3(&e->a, 2, is_w(op), def_copy(e, op->out[0], op->in[0], is_w(op), 0)); }
static void emit_neg(Emit *e, const IrOp *op) { grp3(&e->a, 3, is_w(op), def_copy(e, op->out[0], op->in[0], is_w(op), 0)); }

static void emit_mul(Emit *e, const IrOp *op)
{
    uint16_t x = op->in[0], y = op->in[1];
    bool w = is_w(op);
    int32_t imm;
    int a, b, d;

    order(e, op->out[0], &x, &y);
    a = ra_use(e, x);
    if (ra_imm32(e, y, w, &imm)) {
        d = ra_def(e, op->out[0], ra_dies(e, x) ? a : NOREG, 0);
        op_rr(&e->a, 0x69, w, d, a);
        put32(&e->a, (uint32_t)imm);
        return;
    }
    b = ra_use(e, y);
    d = def_copy(e, op->out[0], x, w, b == a ? 0 : bit_of(b));
    op_rr(&e->a, M0F | 0xaf, w, d, b == a ? d : b);
}

static void emit_mulh(Emit *e, const IrOp *op)
{
    int b;

    ra_take(e, RAX);
    ra_take(e, RDX);
    ra_load_to(e, RAX, op->in[0], is_w(op));
    b = ra_use(e, op->in[1]);
    grp3(&e->a, op->opc == OP_mulhu ? 4 : 5, is_w(op), b);
    ra_bind(e, op->out[0], RDX);
}

/* Division is total: zero and minus one have cold answers. */
static void emit_div(Emit *e, const IrOp *op)
{
    bool w = is_w(op), rem = op->opc == OP_remu || op->opc == OP_rems, sign = op->opc == OP_divs || op->opc == OP_rems;
    uint8_t *zero, *minus = NULL, *back;
    int b;

    ra_take(e, RAX);
    ra_take(e, RDX);
    ra_load_to(e, RAX, op->in[0], w);
    b = ra_use(e, op->in[1]);
    test_rr(&e->a, w, b, b);
    jcc_to(&e->a, CC_E, e->a.p);
    zero = e->a.p;
    if (sign) {
        alu_ri(&e->a, ALU_CMP, w, b, -1);
        jcc_to(&e->a, CC_E, e->a.p);
        minus = e->a.p;
        asm_head(&e->a, 0x99, w, 0, 0, 0, false);       /* cdq, cqo */
        grp3(&e->a, 7, w, b);
    } else {
        mov_ri(&e->a, RDX, 0);
        grp3(&e->a, 6, w, b);
    }
    back = e->a.p;
    go_cold(e);
    land_near(zero, e->a.p);
    if (rem) {
        mov_rr(&e->a, w, RDX, RAX);
    } else {
        mov_ri(&e->a, RAX, op->sub != IR_DIV_ONES ? 0 : w ? ~0ull : 0xffffffffull);
    }
    jmp_to(&e->a, back);
    if (minus) {
        land_near(minus, e->a.p);
        if (rem) {
            mov_ri(&e->a, RDX, 0);
        } else {
            grp3(&e->a, 3, w, RAX);
        }
        jmp_to(&e->a, back);
    }
    go_hot(e);
    ra_bind(e, op->out[0], rem ? RDX : RAX);
}

/* ---- shifts ---- */

static void shift(Emit *e, const IrOp *op, unsigned k, uint32_t bmi_op)
{
    bool w = is_w(op);
    int64_t n;
    int a, d;

    if (ra_const(e, op->in[1], &n)) {
        n &= w ? 63 : 31;
        if (k == SH_ROR && e->has.bmi) {
            a = ra_use(e, op->in[0]);
            d = ra_def(e, op->out[0], ra_dies(e, op->in[0]) ? a : NOREG, 0);
            if (d != a) {
                vex_rr(&e->a, M3A | PF2 | 0xf0, w, d, 0, a);    /* rorx */
                put8(&e->a, (unsigned)n);
            } else {
                shift_ri(&e->a, SH_ROR, w, d, (unsigned)n);
            }
            return;
        }
        d = def_copy(e, op->out[0], op->in[0], w, 0);
        shift_ri(&e->a, k, w, d, (unsigned)n);
        return;
    }
    if (bmi_op && e->has.bmi) {
        int c = ra_use(e, op->in[1]);

        a = ra_use(e, op->in[0]);
        d = ra_def(e, op->out[0], ra_dies(e, op->in[0]) ? a : NOREG, 0);
        vex_rr(&e->a, bmi_op, w, d, c, a);
        return;
    }
    ra_take(e, RCX);
    ra_load_to(e, RCX, op->in[1], false);
    d = def_copy(e, op->out[0], op->in[0], w, e->loc[op->in[1]].reg == NOREG ? 0 : bit_of(e->loc[op->in[1]].reg));
    shift_cl(&e->a, k, w, d);
}

static void emit_shl(Emit *e, const IrOp *op) { shift(e, op, SH_SHL, M38 | P66 | 0xf7); }
static void emit_shr(Emit *e, const IrOp *op) { shift(e, op, SH_SHR, M38 | PF2 | 0xf7); }
static void emit_sar(Emit *e, const IrOp *op) { shift(e, op, SH_SAR, M38 | PF3 | 0xf7); }
static void emit_rotr(Emit *e, const IrOp *op) { shift(e, op, SH_ROR, 0); }

static void emit_extr(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int hi = ra_use(e, op->in[0]), d;

    d = def_copy(e, op->out[0], op->in[1], w, op->in[0] == op->in[1] ? 0 : bit_of(hi));
    if (op->in[0] == op->in[1]) {
        hi = d;
    }
    op_rr(&e->a, M0F | 0xac, w, hi, d);                 /* shrd d, hi, imm */
    put8(&e->a, op->imm & (w ? 63 : 31));
}

/* ---- counting, bytes ---- */

static void unary(Emit *e, const IrOp *op, uint32_t code)
{
    int a = ra_use(e, op->in[0]), d = ra_def(e, op->out[0], ra_dies(e, op->in[0]) ? a : NOREG, 0);

    op_rr(&e->a, code, is_w(op), d, a);
}

static void emit_clz(Emit *e, const IrOp *op)
{
    if (e->has.lzcnt) {
        unary(e, op, M0F | PF3 | 0xbd);
    } else {
        emit_eval(e);
    }
}

static void emit_ctz(Emit *e, const IrOp *op)
{
    if (e->has.bmi) {
        unary(e, op, M0F | PF3 | 0xbc);
    } else {
        emit_eval(e);
    }
}

static void emit_popcnt(Emit *e, const IrOp *op) { unary(e, op, M0F | PF3 | 0xb8); }

static void emit_cls(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int a, d;

    if (!e->has.lzcnt) {
        emit_eval(e);
        return;
    }
    a = ra_use(e, op->in[0]);
    d = ra_def(e, op->out[0], NOREG, bit_of(a));
    mov_rr(&e->a, w, d, a);
    shift_ri(&e->a, SH_SAR, w, d, 1);
    alu_rr(&e->a, ALU_XOR, w, d, a);
    op_rr(&e->a, M0F | PF3 | 0xbd, w, d, d);
    alu_ri(&e->a, ALU_SUB, false, d, 1);
}

static void emit_bswap(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int d = def_copy(e, op->out[0], op->in[0], w, 0);

    asm_head(&e->a, M0F | 0xc8 | (d & 7), w, 0, 0, d, false);
    if (op->opc == OP_bswap32 && w) {
        shift_ri(&e->a, SH_ROR, true, d, 32);
    }
}

/* ---- widths and fields ---- */

static const uint32_t ext_op[] = {
    [IR_U8] = M0F | 0xb6, [IR_S8] = M0F | 0xbe, [IR_U16] = M0F | 0xb7, [IR_S16] = M0F | 0xbf, [IR_U32] = 0x8b, [IR_S32] = 0x63,
};

/* d = ext(a) */
static void ext_rr(Emit *e, unsigned kind, bool w, int d, int a)
{
    w = w && (kind & 1);
    if (kind == IR_U8 || kind == IR_S8) {
        asm_head(&e->a, ext_op[kind], w, d, 0, a, a >= 4);
        put8(&e->a, 0xc0 | (d & 7) << 3 | (a & 7));
    } else {
        op_rr(&e->a, kind == IR_S32 && !w ? 0x8b : ext_op[kind], w, d, a);
    }
}

static void emit_ext(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    uint16_t x = op->in[0];
    int a, d;
    Mem m;

    if (mem_operand(e, x, false, &m)) {
        d = ra_def(e, op->out[0], NOREG, 0);
        op_rm(&e->a, op->sub == IR_S32 && !w ? 0x8b : ext_op[op->sub], w && (op->sub & 1), d, m);
        return;
    }
    a = ra_use(e, x);
    d = ra_def(e, op->out[0], ra_dies(e, x) ? a : NOREG, 0);
    ext_rr(e, op->sub, w, d, a);
}

static void emit_extract(Emit *e, const IrOp *op)
{
    bool w = is_w(op), sign = op->opc == OP_sextract;
    unsigned pos = op->imm & 0xff, len = op->imm >> 8 & 0xff, bits = w ? 64 : 32;
    int d = def_copy(e, op->out[0], op->in[0], w, 0);

    if (len == 8 || len == 16 || (len == 32 && w)) {
        if (pos) {
            shift_ri(&e->a, SH_SHR, w, d, pos);
        }
        ext_rr(e, (len == 8 ? IR_U8 : len == 16 ? IR_U16 : IR_U32) + sign, w, d, d);
    } else if (sign || len >= 32) {
        if (bits - len - pos) {
            shift_ri(&e->a, SH_SHL, w, d, bits - len - pos);
        }
        shift_ri(&e->a, sign ? SH_SAR : SH_SHR, w, d, bits - len);
    } else {
        if (pos) {
            shift_ri(&e->a, SH_SHR, w, d, pos);
        }
        alu_ri(&e->a, ALU_AND, false, d, (int32_t)((1u << len) - 1));
    }
}

/* Rotate the field to the bottom, shift the new one in from above, rotate back. */
static void emit_deposit(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    unsigned pos = op->imm & 0xff, len = op->imm >> 8 & 0xff, bits = w ? 64 : 32;
    int f = ra_use(e, op->in[1]), d;

    if (op->in[0] == op->in[1]) {
        d = ra_def(e, op->out[0], NOREG, bit_of(f));
        mov_rr(&e->a, w, d, f);
    } else {
        d = def_copy(e, op->out[0], op->in[0], w, bit_of(f));
    }
    if (pos) {
        shift_ri(&e->a, SH_ROR, w, d, pos);
    }
    op_rr(&e->a, M0F | 0xac, w, f, d);
    put8(&e->a, len);
    if (pos + len < bits) {
        shift_ri(&e->a, SH_ROL, w, d, pos + len);
    }
}

static void emit_mov(Emit *e, const IrOp *op)
{
    uint16_t x = op->in[0];
    bool from_x = is_xmm_type(e->b->values[x].type), to_x = is_xmm_type(op->type), w = ir_bits(op->type) == 64;
    int a, d;

    if (e->b->values[x].is_const) {
        d = ra_def(e, op->out[0], NOREG, 0);
        if (!to_x) {
            mov_ri_keep(&e->a, d, w ? (uint64_t)e->b->values[x].c : (uint32_t)e->b->values[x].c);
            return;
        }
        mov_mi(&e->a, true, ENV(arg[6]), (int32_t)e->b->values[x].c);
        mov_mi(&e->a, false, mem_bd(RBP, ENV(arg[6]).disp + 4), (int32_t)(e->b->values[x].c >> 32));
        load_reg(e, d, ENV(arg[6]), IR_F64);
        return;
    }
    a = ra_use(e, x);
    d = ra_def(e, op->out[0], NOREG, 0);
    if (from_x == to_x) {
        ra_load_to(e, d, x, w);
    } else if (e->has.avx) {
        vex_rr(&e->a, M0F | P66 | (to_x ? 0x6e : 0x7e), w, to_x ? d : a, 0, to_x ? a : d);
    } else {
        op_rr(&e->a, M0F | P66 | (to_x ? 0x6e : 0x7e), w, to_x ? d : a, to_x ? a : d);
    }
}

static void emit_pc(Emit *e, const IrOp *op)
{
    int d = ra_def(e, op->out[0], NOREG, 0);

    mov_rm(&e->a, true, d, ENV(page_base));
    if (op->imm == (int32_t)op->imm) {
        if (op->imm) {
            alu_ri(&e->a, ALU_ADD, true, d, (int32_t)op->imm);
        }
        return;
    }
    mov_mi(&e->a, false, ENV(arg[6]), (int32_t)op->imm);
    mov_mi(&e->a, false, mem_bd(RBP, ENV(arg[6]).disp + 4), (int32_t)(op->imm >> 32));
    alu_rm(&e->a, ALU_ADD, true, d, ENV(arg[6]));
}

/* ---- conditions ---- */

unsigned emit_compare(Emit *e, IrCond c, uint16_t x, uint16_t y)
{
    bool w = e->in_type[e->i] == IR_I64;
    int32_t imm;
    int64_t cx;
    Mem m;
    int a;

    if (c == IR_TSTEQ || c == IR_TSTNE) {
        a = ra_use(e, x);
        if (ra_imm32(e, y, w, &imm) && (!w || imm >= 0)) {
            test_ri(&e->a, w, a, imm);
        } else {
            test_rr(&e->a, w, a, ra_use(e, y));
        }
        return cc_of[c];
    }
    if (ra_imm32(e, y, w, &imm)) {
        if (!ra_const(e, x, &cx) && ra_is_bool_home(e, x) && ra_dies(e, x) && imm >= 0 && imm < 128 && c <= IR_NE) {
            op_rm_imm8(&e->a, 0x80, false, ALU_CMP, slot_mem(e, (unsigned)e->loc[x].slot), (unsigned)imm);
            return cc_of[c];
        }
        if (!ra_const(e, x, &cx) && mem_operand(e, x, w, &m)) {
            alu_mi(&e->a, ALU_CMP, w, m, imm);
            return cc_of[c];
        }
        a = ra_use(e, x);
        if (imm == 0) {
            test_rr(&e->a, w, a, a);
        } else {
            alu_ri(&e->a, ALU_CMP, w, a, imm);
        }
        return cc_of[c];
    }
    a = ra_use(e, x);
    alu_val(e, ALU_CMP, w, a, y);
    return cc_of[c];
}

static void emit_setcond(Emit *e, const IrOp *op)
{
    unsigned cc = emit_compare(e, op->sub, op->in[0], op->in[1]);
    int d = ra_def(e, op->out[0], NOREG, 0);

    setcc_r(&e->a, cc, d);
    movzx8_rr(&e->a, d, d);
}

static void movcond_xmm(Emit *e, const IrOp *op)
{
    int yes = ra_use(e, op->in[2]), no = ra_use(e, op->in[3]), d;
    unsigned cc = emit_compare(e, op->sub, op->in[0], op->in[1]);
    uint8_t *skip;

    d = ra_def(e, op->out[0], ra_dies(e, op->in[3]) ? no : NOREG, yes == no ? 0 : bit_of(yes));
    if (d != no) {
        sse2(e, M0F | 0x28, d, no);
    }
    skip = jcc_short(&e->a, cc ^ 1);
    sse2(e, M0F | 0x28, d, yes);
    land_short(&e->a, skip);
}

static void emit_movcond(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int yes, no, d;
    unsigned cc;

    if (is_xmm_type(op->type)) {
        movcond_xmm(e, op);
        return;
    }
    yes = ra_use(e, op->in[2]);
    cc = emit_compare(e, op->sub, op->in[0], op->in[1]);
    no = e->loc[op->in[3]].reg;
    d = ra_def(e, op->out[0], no != NOREG && ra_dies(e, op->in[3]) ? no : NOREG, op->in[2] == op->in[3] ? 0 : bit_of(yes));
    if (d != no) {
        if (no != NOREG) {
            mov_rr(&e->a, w, d, no);
        } else {
            ra_load_to(e, d, op->in[3], w);
        }
    }
    cmov_rr(&e->a, cc, w, d, yes);
}

/* ---- flags ---- */

int x86_flag_slot(const Emit *e, uint16_t v)
{
    unsigned last = e->last_use[v];

    if (last <= e->i || last > e->i + 16 || e->b->ops[last].opc != OP_set || (e->opf[last] & (OPF_DEAD | OPF_LAZY))) {
        return -1;
    }
    for (unsigned k = e->i + 1; k < last; k++) {
        const IrOp *op = &e->b->ops[k];

        if (!(e->opf[k] & OPF_DEAD) && ((ir_op_info[op->opc].flags & (IR_FAULT | IR_EXIT)) || op->in[0] == v || op->in[1] == v ||
                                        op->in[2] == v || op->in[3] == v ||
                                        (op->opc == OP_get && op->imm == e->b->ops[last].imm))) {
            return -1;
        }
    }
    return e->b->target->slots[e->b->ops[last].imm].is_bool ? (int)e->b->ops[last].imm : -1;
}

static void put_flag(Emit *e, uint16_t v, unsigned cc)
{
    int s, d;

    if (!v || !e->last_use[v] || e->waits[v]) {
        return;
    }
    s = x86_flag_slot(e, v);
    if (s >= 0) {
        ra_slot_clobbered(e, (unsigned)s);
        setcc_m(&e->a, cc, slot_mem(e, (unsigned)s));
        e->opf[e->last_use[v]] |= OPF_DEAD;
        e->last_use[v] = 0;
        return;
    }
    d = ra_def(e, v, NOREG, 0);
    setcc_r(&e->a, cc, d);
    movzx8_rr(&e->a, d, d);         /* does not change the flags */
    ra_unlock(e, d);
}

/* Does any output have to be computed here? */
static bool flags_wanted(const Emit *e, const IrOp *op)
{
    for (unsigned k = 0; k < ir_op_info[op->opc].nout; k++) {
        if (op->out[k] && e->last_use[op->out[k]] && !e->waits[op->out[k]]) {
            return true;
        }
    }
    return false;
}

unsigned x86_flag_cc(const IrOp *op, uint16_t v)
{
    return v == op->out[0] ? CC_S : v == op->out[1] ? CC_E : v == op->out[3] ? CC_O : op->opc == OP_flags_sub ? CC_AE : CC_B;
}

static void flag_operand(Emit *e, unsigned k, bool w, int r, uint16_t v)
{
    int32_t imm;
    Mem m;

    if (ra_imm32(e, v, w, &imm)) {
        alu_ri(&e->a, k, w, r, imm);
    } else if (ra_in_memory(e, v, &m)) {
        alu_rm(&e->a, k, w, r, m);
    } else {
        alu_rr(&e->a, k, w, r, e->loc[v].reg);
    }
}

void x86_flags_again(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int a = e->loc[op->in[0]].reg, b = e->loc[op->in[1]].reg, t = b == RAX ? RCX : RAX;
    int32_t imm;

    if (op->opc == OP_flags_sub && a != NOREG) {
        flag_operand(e, ALU_CMP, w, a, op->in[1]);
        return;
    }
    if (op->opc == OP_flags_and && a != NOREG && b != NOREG) {
        test_rr(&e->a, w, a, b);
        return;
    }
    if (op->opc == OP_flags_and && a != NOREG && ra_imm32(e, op->in[1], w, &imm) && (!w || imm >= 0)) {
        test_ri(&e->a, w, a, imm);
        return;
    }
    mov_mr(&e->a, true, ENV(arg[6]), t);
    ra_load_to(e, t, op->in[0], w);
    flag_operand(e, op->opc == OP_flags_sub ? ALU_CMP : op->opc == OP_flags_and ? ALU_AND : ALU_ADD, w, t, op->in[1]);
    mov_rm(&e->a, true, t, ENV(arg[6]));
}

/* A sum or difference for its flags; the result is kept where something wants it (live.c). */
static void flags_result(Emit *e, const IrOp *op)
{
    unsigned k = op->opc == OP_flags_sub ? ALU_SUB : op->opc == OP_flags_adc ? ALU_ADC : ALU_ADD;
    uint16_t x = op->in[0], y = op->in[1], result = (uint16_t)op->imm;
    int c = op->opc == OP_flags_adc ? ra_use(e, op->in[2]) : NOREG, b, d;
    bool w = is_w(op);

    if (result) {
        if (k != ALU_SUB) {
            order(e, result, &x, &y);
        }
        ra_use(e, x);
        b = second(e, y, w);
        d = def_copy(e, result, x, w, bit_of(b) | bit_of(c));
    } else {
        second(e, y, w);
        d = ra_temp(e);
        ra_load_to(e, d, x, w);
    }
    if (c != NOREG) {
        op_rr(&e->a, M0F | 0xba, false, 4, c);      /* bt c, 0 */
        put8(&e->a, 0);
    }
    if (x == y) {
        alu_rr(&e->a, k, w, d, d);
    } else {
        alu_val(e, k, w, d, y);
    }
    ra_unlock(e, d);
}

static void emit_flags(Emit *e, const IrOp *op)
{
    bool w = is_w(op);
    int32_t imm;

    if (!flags_wanted(e, op) && !op->imm) {
        return;
    }
    switch (op->opc) {
    case OP_flags_sub:
        if (op->imm) {
            flags_result(e, op);
            break;
        }
        ra_use(e, op->in[0]);
        alu_val(e, ALU_CMP, w, e->loc[op->in[0]].reg, op->in[1]);
        break;
    case OP_flags_and:
        ra_use(e, op->in[0]);
        if (ra_imm32(e, op->in[1], w, &imm) && (!w || imm >= 0)) {
            test_ri(&e->a, w, e->loc[op->in[0]].reg, imm);
        } else {
            test_rr(&e->a, w, e->loc[op->in[0]].reg, ra_use(e, op->in[1]));
        }
        break;
    default:
        flags_result(e, op);
        break;
    }
    e->locked = 0;
    put_flag(e, op->out[0], CC_S);
    put_flag(e, op->out[1], CC_E);
    if (op->opc != OP_flags_and) {
        put_flag(e, op->out[2], op->opc == OP_flags_sub ? CC_AE : CC_B);
        put_flag(e, op->out[3], CC_O);
    }
}

static void emit_crc32(Emit *e, const IrOp *op)
{
    unsigned size = op->sub & 3;
    int x, d;

    if (!(op->sub & 4)) {
        emit_eval(e);
        return;
    }
    x = ra_use(e, op->in[1]);
    d = def_copy(e, op->out[0], op->in[0], false, bit_of(x));
    if (size == 1) {
        put8(&e->a, 0x66);
    }
    asm_head(&e->a, M38 | PF2 | (size ? 0xf1 : 0xf0), size == 3, d, 0, x, size == 0 && x >= 4);
    put8(&e->a, 0xc0 | (d & 7) << 3 | (x & 7));
}

EmitTable x86_int_ops = {
    [OP_mov] = emit_mov, [OP_pc] = emit_pc,
    [OP_add] = emit_add, [OP_sub] = emit_sub, [OP_and] = emit_and, [OP_or] = emit_or, [OP_xor] = emit_xor,
    [OP_andc] = emit_andc, [OP_orc] = emit_orc, [OP_eqv] = emit_eqv, [OP_not] = emit_not, [OP_neg] = emit_neg,
    [OP_mul] = emit_mul, [OP_mulhu] = emit_mulh, [OP_mulhs] = emit_mulh,
    [OP_divu] = emit_div, [OP_divs] = emit_div, [OP_remu] = emit_div, [OP_rems] = emit_div,
    [OP_shl] = emit_shl, [OP_shr] = emit_shr, [OP_sar] = emit_sar, [OP_rotr] = emit_rotr, [OP_extr] = emit_extr,
    [OP_clz] = emit_clz, [OP_ctz] = emit_ctz, [OP_cls] = emit_cls, [OP_popcnt] = emit_popcnt,
    [OP_bswap] = emit_bswap, [OP_bswap32] = emit_bswap,
    [OP_ext] = emit_ext, [OP_extract] = emit_extract, [OP_sextract] = emit_extract, [OP_deposit] = emit_deposit,
    [OP_setcond] = emit_setcond, [OP_movcond] = emit_movcond, [OP_crc32] = emit_crc32,
    [OP_flags_add] = emit_flags, [OP_flags_sub] = emit_flags, [OP_flags_adc] = emit_flags, [OP_flags_and] = emit_flags,
};
