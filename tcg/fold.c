/* SPDX-License-Identifier: MIT */
/* The folding half of the builder: constants, identities, comparisons behind 0/1 values. */
#include "tcg/ir-raw.h"

#include <assert.h>

#include "util/bits.h"

static int64_t norm(IrType t, int64_t c)
{
    return t == IR_I32 ? (int32_t)c : c;
}

static uint64_t zx(IrType t, int64_t c)
{
    return t == IR_I32 ? (uint32_t)c : (uint64_t)c;
}

/* ---- comparisons ---- */

IrCond ir_cond_not(IrCond c)
{
    static const uint8_t inverse[IR_NCOND] = {
        [IR_EQ] = IR_NE, [IR_NE] = IR_EQ, [IR_LT] = IR_GE, [IR_GE] = IR_LT, [IR_LE] = IR_GT, [IR_GT] = IR_LE,
        [IR_LTU] = IR_GEU, [IR_GEU] = IR_LTU, [IR_LEU] = IR_GTU, [IR_GTU] = IR_LEU, [IR_TSTEQ] = IR_TSTNE, [IR_TSTNE] = IR_TSTEQ,
    };
    return inverse[c];
}

bool ir_cond_eval(IrCond c, IrType t, int64_t x, int64_t y)
{
    uint64_t ux = zx(t, x), uy = zx(t, y);

    x = norm(t, x);
    y = norm(t, y);
    switch (c) {
    case IR_EQ: return ux == uy;
    case IR_NE: return ux != uy;
    case IR_LT: return x < y;
    case IR_GE: return x >= y;
    case IR_LE: return x <= y;
    case IR_GT: return x > y;
    case IR_LTU: return ux < uy;
    case IR_GEU: return ux >= uy;
    case IR_LEU: return ux <= uy;
    case IR_GTU: return ux > uy;
    case IR_TSTEQ: return !(ux & uy);
    default: return (ux & uy) != 0;
    }
}

static bool is_zero(const IrBlock *b, IrVal v)
{
    int64_t c;

    return ir_is_const(b, v, &c) && c == 0;
}

bool ir_rel_of(const IrBlock *b, IrVal v, IrRel *r)
{
    const IrOp *d = ir_def(b, v);

    if (!d) {
        return false;
    }
    *r = (IrRel){ d->sub, { d->in[0] }, { d->in[1] } };
    switch (d->opc) {
    case OP_setcond:
        return true;
    case OP_flags_sub:
        if (d->out[0] == v.id && is_zero(b, r->y)) {
            r->c = IR_LT;
            return true;
        }
        r->c = d->out[1] == v.id ? IR_EQ : IR_GEU;
        return d->out[1] == v.id || d->out[2] == v.id;
    case OP_flags_and:
        if (d->out[1] == v.id) {
            r->c = IR_TSTEQ;
            return true;
        }
        if (r->x.id == r->y.id) {
            r->c = IR_LT;
            r->y = (IrVal){ 0 };        /* the constant zero: the caller makes it */
            return true;
        }
        return false;
    default:
        return false;
    }
}

/* N and V of one subtraction: their equality is "signed greater or equal". */
static bool is_n_and_v(const IrBlock *b, IrVal p, IrVal q, IrRel *r)
{
    const IrOp *d = ir_def(b, p);

    if (d && d->opc == OP_flags_sub && d == ir_def(b, q) &&
        ((d->out[0] == p.id && d->out[3] == q.id) || (d->out[0] == q.id && d->out[3] == p.id))) {
        *r = (IrRel){ IR_GE, { d->in[0] }, { d->in[1] } };
        return true;
    }
    return false;
}

static void rel_fix_zero(const IrBlock *b, IrRel *r)
{
    if (!r->y.id) {
        r->y = ir_const((IrBlock *)b, b->values[r->x.id].type, 0);
    }
}

void ir_rel_simplify(const IrBlock *b, IrRel *r)
{
    int64_t c;
    IrRel q;

    while (r->c == IR_EQ || r->c == IR_NE) {
        bool want;

        if (is_n_and_v(b, r->x, r->y, &q)) {
            want = r->c == IR_EQ;
        } else if (ir_is_const(b, r->y, &c) && (c == 0 || c == 1) && ir_rel_of(b, r->x, &q)) {
            want = (r->c == IR_EQ) == (c == 1);
        } else {
            break;
        }
        rel_fix_zero(b, &q);
        q.c = want ? q.c : ir_cond_not(q.c);
        *r = q;
    }
    if (ir_is_const(b, r->x, &c) && !ir_is_const(b, r->y, &c)) {
        static const uint8_t swapped[IR_NCOND] = {
            [IR_EQ] = IR_EQ, [IR_NE] = IR_NE, [IR_LT] = IR_GT, [IR_GE] = IR_LE, [IR_LE] = IR_GE, [IR_GT] = IR_LT, [IR_LTU] = IR_GTU,
            [IR_GEU] = IR_LEU, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU, [IR_TSTEQ] = IR_TSTEQ, [IR_TSTNE] = IR_TSTNE,
        };
        *r = (IrRel){ swapped[r->c], r->y, r->x };
    }
}

/* A condition as the set of outcomes {less, equal, greater}, and whether it needs a sign. */
enum { LESS = 1, SAME = 2, MORE = 4 };
static const struct { uint8_t set; char sign; } outcomes[IR_NCOND] = {
    [IR_EQ] = { SAME, 0 }, [IR_NE] = { LESS | MORE, 0 },
    [IR_LT] = { LESS, 's' }, [IR_GE] = { SAME | MORE, 's' }, [IR_LE] = { LESS | SAME, 's' }, [IR_GT] = { MORE, 's' },
    [IR_LTU] = { LESS, 'u' }, [IR_GEU] = { SAME | MORE, 'u' }, [IR_LEU] = { LESS | SAME, 'u' }, [IR_GTU] = { MORE, 'u' },
};

bool ir_rel_join(const IrBlock *b, IrVal p, IrVal q, bool either, bool invert_q, IrRel *out, int *fixed)
{
    IrRel x, y;
    unsigned set;
    char sign;

    if (!ir_rel_of(b, p, &x) || !ir_rel_of(b, q, &y)) {
        return false;
    }
    rel_fix_zero(b, &x);
    rel_fix_zero(b, &y);
    if (x.x.id != y.x.id || x.y.id != y.y.id || !outcomes[x.c].set || !outcomes[y.c].set) {
        return false;
    }
    y.c = invert_q ? ir_cond_not(y.c) : y.c;
    sign = outcomes[x.c].sign ? outcomes[x.c].sign : outcomes[y.c].sign;
    if (outcomes[y.c].sign && outcomes[y.c].sign != sign) {
        return false;
    }
    set = either ? outcomes[x.c].set | outcomes[y.c].set : outcomes[x.c].set & outcomes[y.c].set;
    *fixed = set == 0 ? 0 : set == (LESS | SAME | MORE) ? 1 : -1;
    *out = x;
    for (unsigned c = 0; c < IR_NCOND; c++) {
        if (outcomes[c].set == set && (outcomes[c].sign == sign || !outcomes[c].sign)) {
            out->c = c;
        }
    }
    return true;
}

/* ---- two operands ---- */

bool ir_eval2(IrOpcode o, IrType t, uint16_t sub, int64_t x, int64_t y, int64_t *r)
{
    unsigned w = ir_bits(t), n = y & (w - 1);
    uint64_t ux = zx(t, x);

    switch (o) {
    case OP_add: *r = (int64_t)((uint64_t)x + (uint64_t)y); break;
    case OP_sub: *r = (int64_t)((uint64_t)x - (uint64_t)y); break;
    case OP_mul: *r = (int64_t)((uint64_t)x * (uint64_t)y); break;
    case OP_and: *r = x & y; break;
    case OP_or: *r = x | y; break;
    case OP_xor: *r = x ^ y; break;
    case OP_andc: *r = x & ~y; break;
    case OP_orc: *r = x | ~y; break;
    case OP_eqv: *r = ~(x ^ y); break;
    case OP_shl: *r = (int64_t)(ux << n); break;
    case OP_shr: *r = (int64_t)(ux >> n); break;
    case OP_sar: *r = norm(t, x) >> n; break;
    case OP_rotr: *r = t == IR_I32 ? (int64_t)ror32((uint32_t)x, n) : (int64_t)ror64(ux, n); break;
    case OP_setcond: *r = ir_cond_eval(sub, t, x, y); return true;
    default: return false;
    }
    *r = norm(t, *r);
    return true;
}

/* Constants to the right where that is allowed; fold when both are constant. */
static bool fold2(IrBlock *b, IrOpcode o, IrVal *x, IrVal *y, IrVal *res)
{
    IrType t = ir_type(b, *x);
    int64_t cx, cy, r;
    bool kx = ir_is_const(b, *x, &cx), ky = ir_is_const(b, *y, &cy);

    assert(ir_is_int(t) && ir_type(b, *y) == t);
    if (kx && ky && ir_eval2(o, t, 0, cx, cy, &r)) {
        *res = ir_const(b, t, r);
        return true;
    }
    if (kx && !ky && (ir_op_info[o].flags & IR_COMM)) {
        IrVal s = *x;

        *x = *y;
        *y = s;
    }
    return false;
}

static IrVal plain2(IrBlock *b, IrOpcode o, IrVal x, IrVal y)
{
    return ir_op2(b, o, ir_type(b, x), 0, 0, x, y);
}

/* x = inner + constant? */
static bool split_add(const IrBlock *b, IrVal x, IrVal *inner, int64_t *c)
{
    const IrOp *d = ir_def(b, x);

    if (d && d->opc == OP_add && ir_is_const(b, (IrVal){ d->in[1] }, c)) {
        inner->id = d->in[0];
        return true;
    }
    return false;
}

IrVal ir_add(IrBlock *b, IrVal x, IrVal y)
{
    const IrOp *d;
    IrVal r;
    int64_t c, c2;

    if (fold2(b, OP_add, &x, &y, &r)) {
        return r;
    }
    if (ir_is_const(b, y, &c)) {
        if (c == 0) {
            return x;
        }
        d = ir_def(b, x);
        if (d && d->opc == OP_pc) {
            return ir_pc(b, d->imm + c);
        }
        if (split_add(b, x, &r, &c2)) {
            return ir_add(b, r, ir_const(b, ir_type(b, x), (int64_t)((uint64_t)c + (uint64_t)c2)));
        }
    }
    return plain2(b, OP_add, x, y);
}

IrVal ir_addi(IrBlock *b, IrVal x, int64_t c)
{
    return ir_add(b, x, ir_const(b, ir_type(b, x), c));
}

IrVal ir_sub(IrBlock *b, IrVal x, IrVal y)
{
    IrType t = ir_type(b, x);
    IrVal r;
    int64_t c;

    if (fold2(b, OP_sub, &x, &y, &r)) {
        return r;
    }
    if (ir_is_const(b, y, &c)) {
        return ir_addi(b, x, (int64_t)(0 - (uint64_t)c));
    }
    if (x.id == y.id) {
        return ir_const(b, t, 0);
    }
    return is_zero(b, x) ? ir_neg(b, y) : plain2(b, OP_sub, x, y);
}

IrVal ir_mul(IrBlock *b, IrVal x, IrVal y)
{
    IrVal r;
    int64_t c;

    if (fold2(b, OP_mul, &x, &y, &r)) {
        return r;
    }
    if (ir_is_const(b, y, &c)) {
        if (c == 0 || c == 1) {
            return c ? x : y;
        }
        if (c > 0 && is_pow2((uint64_t)c)) {
            return ir_shli(b, x, ctz64((uint64_t)c));
        }
    }
    return plain2(b, OP_mul, x, y);
}

static IrVal bool_of(IrBlock *b, IrType t, const IrRel *r, int fixed)
{
    return fixed >= 0 ? ir_const(b, t, fixed) : ir_setcond(b, t, r->c, r->x, r->y);
}

IrVal ir_and(IrBlock *b, IrVal x, IrVal y)
{
    IrType t = ir_type(b, x);
    IrRel rel;
    IrVal r;
    int64_t c;
    int fixed;

    if (fold2(b, OP_and, &x, &y, &r)) {
        return r;
    }
    if (x.id == y.id) {
        return x;
    }
    if (ir_is_const(b, y, &c)) {
        if (c == 0) {
            return y;
        }
        if (c == -1) {
            return x;
        }
        if (c == 1 && ir_rel_of(b, x, &rel)) {
            return x;
        }
        if (c == 0xff || c == 0xffff || (t == IR_I64 && c == 0xffffffff)) {
            return ir_ext(b, t, c == 0xff ? IR_U8 : c == 0xffff ? IR_U16 : IR_U32, x);
        }
    } else if (ir_rel_join(b, x, y, false, false, &rel, &fixed)) {
        return bool_of(b, t, &rel, fixed);
    }
    return plain2(b, OP_and, x, y);
}

IrVal ir_andi(IrBlock *b, IrVal x, int64_t c)
{
    return ir_and(b, x, ir_const(b, ir_type(b, x), c));
}

IrVal ir_or(IrBlock *b, IrVal x, IrVal y)
{
    IrRel rel;
    IrVal r;
    int64_t c;
    int fixed;

    if (fold2(b, OP_or, &x, &y, &r)) {
        return r;
    }
    if (x.id == y.id) {
        return x;
    }
    if (ir_is_const(b, y, &c) && (c == 0 || c == -1)) {
        return c ? y : x;
    }
    if (ir_rel_join(b, x, y, true, false, &rel, &fixed)) {
        return bool_of(b, ir_type(b, x), &rel, fixed);
    }
    return plain2(b, OP_or, x, y);
}

IrVal ir_xor(IrBlock *b, IrVal x, IrVal y)
{
    IrType t = ir_type(b, x);
    IrRel rel;
    IrVal r;
    int64_t c;

    if (fold2(b, OP_xor, &x, &y, &r)) {
        return r;
    }
    if (x.id == y.id) {
        return ir_const(b, t, 0);
    }
    if (ir_is_const(b, y, &c)) {
        if (c == 0) {
            return x;
        }
        if (c == -1) {
            return ir_not(b, x);
        }
        if (c == 1 && ir_rel_of(b, x, &rel)) {
            rel_fix_zero(b, &rel);
            return ir_setcond(b, t, ir_cond_not(rel.c), rel.x, rel.y);
        }
    } else if (is_n_and_v(b, x, y, &rel)) {
        return ir_setcond(b, t, IR_LT, rel.x, rel.y);
    }
    return plain2(b, OP_xor, x, y);
}

IrVal ir_andc(IrBlock *b, IrVal x, IrVal y)
{
    IrRel rel;
    IrVal r;
    int64_t c;
    int fixed;

    if (fold2(b, OP_andc, &x, &y, &r)) {
        return r;
    }
    if (ir_is_const(b, y, &c)) {
        return ir_andi(b, x, ~c);
    }
    if (x.id == y.id) {
        return ir_const(b, ir_type(b, x), 0);
    }
    if (ir_rel_join(b, x, y, false, true, &rel, &fixed)) {
        return bool_of(b, ir_type(b, x), &rel, fixed);
    }
    return is_zero(b, x) ? x : plain2(b, OP_andc, x, y);
}

IrVal ir_orc(IrBlock *b, IrVal x, IrVal y)
{
    IrVal r;
    int64_t c;

    if (fold2(b, OP_orc, &x, &y, &r)) {
        return r;
    }
    if (ir_is_const(b, y, &c)) {
        return ir_or(b, x, ir_const(b, ir_type(b, x), ~c));
    }
    return is_zero(b, x) ? ir_not(b, y) : plain2(b, OP_orc, x, y);
}

IrVal ir_eqv(IrBlock *b, IrVal x, IrVal y)
{
    IrVal r;
    int64_t c;

    if (fold2(b, OP_eqv, &x, &y, &r)) {
        return r;
    }
    return ir_is_const(b, y, &c) ? ir_xor(b, x, ir_const(b, ir_type(b, x), ~c)) : plain2(b, OP_eqv, x, y);
}

IrVal ir_not(IrBlock *b, IrVal x)
{
    IrType t = ir_type(b, x);
    int64_t c;

    return ir_is_const(b, x, &c) ? ir_const(b, t, ~c) : ir_op1(b, OP_not, t, 0, 0, x);
}

IrVal ir_neg(IrBlock *b, IrVal x)
{
    IrType t = ir_type(b, x);
    int64_t c;

    return ir_is_const(b, x, &c) ? ir_const(b, t, (int64_t)(0 - (uint64_t)c)) : ir_op1(b, OP_neg, t, 0, 0, x);
}

/* ---- shifts ---- */

static IrVal shift(IrBlock *b, IrOpcode o, IrVal x, IrVal n)
{
    IrType t = ir_type(b, x);
    unsigned w = ir_bits(t);
    int64_t c, k;
    const IrOp *d;
    IrVal r;

    if (fold2(b, o, &x, &n, &r)) {
        return r;
    }
    if (ir_is_const(b, n, &c)) {
        c &= w - 1;
        if (c == 0) {
            return x;
        }
        d = ir_def(b, x);
        /* the same shift twice */
        if (d && d->opc == o && ir_is_const(b, (IrVal){ d->in[1] }, &k)) {
            k = (k & (w - 1)) + c;
            if (o == OP_rotr || k < w) {
                return shift(b, o, (IrVal){ d->in[0] }, ir_const(b, t, k & (w - 1)));
            }
        }
        n = ir_const(b, t, c);
    }
    return is_zero(b, x) ? x : plain2(b, o, x, n);
}

IrVal ir_shl(IrBlock *b, IrVal x, IrVal n) { return shift(b, OP_shl, x, n); }
IrVal ir_shr(IrBlock *b, IrVal x, IrVal n) { return shift(b, OP_shr, x, n); }
IrVal ir_sar(IrBlock *b, IrVal x, IrVal n) { return shift(b, OP_sar, x, n); }
IrVal ir_rotr(IrBlock *b, IrVal x, IrVal n) { return shift(b, OP_rotr, x, n); }
IrVal ir_shli(IrBlock *b, IrVal x, unsigned n) { return shift(b, OP_shl, x, ir_const(b, ir_type(b, x), n)); }
IrVal ir_shri(IrBlock *b, IrVal x, unsigned n) { return shift(b, OP_shr, x, ir_const(b, ir_type(b, x), n)); }
IrVal ir_sari(IrBlock *b, IrVal x, unsigned n) { return shift(b, OP_sar, x, ir_const(b, ir_type(b, x), n)); }
IrVal ir_rotri(IrBlock *b, IrVal x, unsigned n) { return shift(b, OP_rotr, x, ir_const(b, ir_type(b, x), n)); }

/* ---- widths and fields ---- */

static int64_t ext_const(IrExt e, int64_t c)
{
    switch (e) {
    case IR_U8: return (uint8_t)c;
    case IR_S8: return (int8_t)c;
    case IR_U16: return (uint16_t)c;
    case IR_S16: return (int16_t)c;
    case IR_U32: return (uint32_t)c;
    default: return (int32_t)c;
    }
}

static unsigned ext_bits(IrExt e)
{
    return 8u << (e / 2);
}

/* Is x already what the extension makes of it? */
static bool ext_is_noop(const IrBlock *b, IrType t, IrExt e, IrVal x)
{
    const IrOp *d = ir_def(b, x);

    if (!d || ir_type(b, x) != t) {
        return false;
    }
    switch (d->opc) {
    case OP_setcond:
        return true;
    case OP_ext:
        return d->sub == e || (!(d->sub & 1) && ext_bits(d->sub) < ext_bits(e)) ||
               ((d->sub & 1) && (e & 1) && ext_bits(d->sub) < ext_bits(e));
    case OP_ld:
        return !(d->imm & IR_MEM_SIGN) && (8u << IR_MEM_SIZE(d->imm)) + (e & 1) <= ext_bits(e);
    default:
        return false;
    }
}

IrVal ir_ext(IrBlock *b, IrType t, IrExt e, IrVal x)
{
    IrType from = ir_type(b, x);
    const IrOp *d;
    int64_t c;

    assert(ir_is_int(t) && ir_is_int(from));
    if (ir_is_const(b, x, &c)) {
        return ir_const(b, t, ext_const(e, c));
    }
    if (t == IR_I32 && ext_bits(e) == 32) {
        return from == IR_I32 ? x : ir_trunc(b, x);
    }
    if (ext_is_noop(b, t, e, x)) {
        return x;
    }
    d = ir_def(b, x);
    /* a wider extension or truncation below a narrower one is not needed */
    if (d && ((d->opc == OP_ext && ext_bits(d->sub) >= ext_bits(e)) || (d->opc == OP_mov && ir_is_int(b->values[d->in[0]].type)))) {
        return ir_ext(b, t, e, (IrVal){ d->in[0] });
    }
    return ir_op1(b, OP_ext, t, e, 0, x);
}

IrVal ir_trunc(IrBlock *b, IrVal x)
{
    const IrOp *d = ir_def(b, x);
    int64_t c;

    assert(ir_type(b, x) == IR_I64);
    if (ir_is_const(b, x, &c)) {
        return ir_const(b, IR_I32, c);
    }
    if (d && d->opc == OP_ext && ext_bits(d->sub) == 32 && b->values[d->in[0]].type == IR_I32) {
        return (IrVal){ d->in[0] };
    }
    return ir_op1(b, OP_mov, IR_I32, 0, 0, x);
}

IrVal ir_zext(IrBlock *b, IrVal x) { return ir_ext(b, IR_I64, IR_U32, x); }
IrVal ir_sext(IrBlock *b, IrVal x) { return ir_ext(b, IR_I64, IR_S32, x); }

static IrVal field(IrBlock *b, IrOpcode o, IrVal x, unsigned pos, unsigned len)
{
    IrType t = ir_type(b, x);
    unsigned w = ir_bits(t);
    bool sign = o == OP_sextract;
    int64_t c;

    assert(len && pos + len <= w);
    if (len == w) {
        return x;
    }
    if (ir_is_const(b, x, &c)) {
        return ir_const(b, t, sign ? sextract64((uint64_t)c, pos, len) : (int64_t)extract64((uint64_t)c, pos, len));
    }
    if (pos + len == w) {
        return sign ? ir_sari(b, x, pos) : ir_shri(b, x, pos);
    }
    if (pos == 0 && (len == 8 || len == 16 || len == 32)) {
        return ir_ext(b, t, (len == 8 ? IR_U8 : len == 16 ? IR_U16 : IR_U32) + sign, x);
    }
    return ir_op1(b, o, t, 0, pos | len << 8, x);
}

IrVal ir_extract(IrBlock *b, IrVal x, unsigned pos, unsigned len) { return field(b, OP_extract, x, pos, len); }
IrVal ir_sextract(IrBlock *b, IrVal x, unsigned pos, unsigned len) { return field(b, OP_sextract, x, pos, len); }

IrVal ir_deposit(IrBlock *b, IrVal x, IrVal f, unsigned pos, unsigned len)
{
    IrType t = ir_type(b, x);
    int64_t cx, cf;

    assert(len && pos + len <= ir_bits(t) && ir_type(b, f) == t);
    if (len == ir_bits(t)) {
        return f;
    }
    if (ir_is_const(b, f, &cf)) {
        uint64_t mask = mask64(pos, len);

        if (ir_is_const(b, x, &cx)) {
            return ir_const(b, t, (int64_t)deposit64((uint64_t)cx, pos, len, (uint64_t)cf));
        }
        return ir_or(b, ir_andi(b, x, (int64_t)~mask), ir_const(b, t, (int64_t)(((uint64_t)cf << pos) & mask)));
    }
    if (is_zero(b, x)) {
        return ir_shli(b, pos + len == ir_bits(t) ? f : ir_extract(b, f, 0, len), pos);
    }
    return ir_op2(b, OP_deposit, t, 0, pos | len << 8, x, f);
}

/* ---- conditions ---- */

IrVal ir_setcond(IrBlock *b, IrType t, IrCond c, IrVal x, IrVal y)
{
    IrRel r = { c, x, y };
    int64_t cx, cy;

    assert(ir_type(b, x) == ir_type(b, y));
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy)) {
        return ir_const(b, t, ir_cond_eval(c, ir_type(b, x), cx, cy));
    }
    ir_rel_simplify(b, &r);
    return ir_op2(b, OP_setcond, t, r.c, 0, r.x, r.y);
}

IrVal ir_movcond(IrBlock *b, IrCond c, IrVal x, IrVal y, IrVal yes, IrVal no)
{
    IrRel r = { c, x, y };
    IrType t = ir_type(b, yes);
    int64_t cx, cy;
    IrOp *op;

    assert(ir_type(b, x) == ir_type(b, y) && ir_type(b, no) == t);
    if (yes.id == no.id) {
        return yes;
    }
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy)) {
        return ir_cond_eval(c, ir_type(b, x), cx, cy) ? yes : no;
    }
    ir_rel_simplify(b, &r);
    if (ir_is_const(b, yes, &cx) && ir_is_const(b, no, &cy) && ir_is_int(t)) {
        if ((cx == 1 && cy == 0) || (cx == 0 && cy == 1)) {
            return ir_setcond(b, t, cx ? r.c : ir_cond_not(r.c), r.x, r.y);
        }
    }
    op = ir_emit(b, OP_movcond, t);
    op->sub = r.c;
    op->in[0] = r.x.id;
    op->in[1] = r.y.id;
    op->in[2] = yes.id;
    op->in[3] = no.id;
    return ir_out(b, op, 0, t);
}

IrVal ir_bitcast(IrBlock *b, IrType t, IrVal x)
{
    const IrOp *d = ir_def(b, x);
    int64_t c;

    if (ir_type(b, x) == t) {
        return x;
    }
    assert(ir_bits(t) == ir_bits(ir_type(b, x)));
    if (ir_is_const(b, x, &c)) {
        return ir_const(b, t, c);
    }
    if (d && d->opc == OP_mov && b->values[d->in[0]].type == t) {
        return (IrVal){ d->in[0] };
    }
    return ir_op1(b, OP_mov, t, 0, 0, x);
}

/* ---- condition flags ---- */

static IrFlags flags_op(IrBlock *b, IrOpcode o, IrVal x, IrVal y, IrVal z)
{
    IrOp *op = ir_emit(b, o, ir_type(b, x));
    IrVal f[4] = {};
    unsigned nout = ir_op_info[o].nout;

    op->in[0] = x.id;
    op->in[1] = y.id;
    op->in[2] = z.id;
    for (unsigned i = 0; i < nout; i++) {
        f[i] = ir_out(b, op, i, IR_I32);
    }
    return (IrFlags){ f[0], f[1], f[2], f[3] };
}

static IrFlags flags_const(IrBlock *b, bool n, bool z, bool c, bool v)
{
    return (IrFlags){ ir_i32(b, n), ir_i32(b, z), ir_i32(b, c), ir_i32(b, v) };
}

IrFlags ir_flags_adc(IrBlock *b, IrVal x, IrVal y, IrVal carry)
{
    IrType t = ir_type(b, x);
    int64_t cx, cy, cc;

    assert(ir_type(b, y) == t);
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy) && ir_is_const(b, carry, &cc)) {
        unsigned __int128 wide = (unsigned __int128)zx(t, cx) + zx(t, cy) + (cc & 1);
        int64_t r = norm(t, (int64_t)wide);

        return flags_const(b, r < 0, r == 0, (wide >> ir_bits(t)) & 1, ((cx ^ r) & (cy ^ r)) < 0);
    }
    return flags_op(b, OP_flags_adc, x, y, carry);
}

IrFlags ir_flags_add(IrBlock *b, IrVal x, IrVal y)
{
    int64_t cx, cy;

    assert(ir_type(b, y) == ir_type(b, x));
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy)) {
        return ir_flags_adc(b, x, y, ir_i32(b, 0));
    }
    return flags_op(b, OP_flags_add, x, y, IR_NONE);
}

IrFlags ir_flags_sub(IrBlock *b, IrVal x, IrVal y)
{
    int64_t cx, cy;

    assert(ir_type(b, y) == ir_type(b, x));
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy)) {
        return ir_flags_adc(b, x, ir_not(b, y), ir_i32(b, 1));
    }
    return flags_op(b, OP_flags_sub, x, y, IR_NONE);
}

IrFlags ir_flags_and(IrBlock *b, IrVal x, IrVal y)
{
    IrVal zero = ir_i32(b, 0);
    int64_t cx, cy;
    IrFlags f;

    assert(ir_type(b, y) == ir_type(b, x));
    if (ir_is_const(b, x, &cx) && ir_is_const(b, y, &cy)) {
        return flags_const(b, (cx & cy) < 0, !(cx & cy), false, false);
    }
    f = flags_op(b, OP_flags_and, x, y, IR_NONE);
    return (IrFlags){ f.n, f.z, zero, zero };
}

IrFlags ir_flags_fcmp(IrBlock *b, IrVal x, IrVal y, bool signal)
{
    IrFlags f = flags_op(b, OP_flags_fcmp, x, y, IR_NONE);

    b->ops[b->nops - 1].sub = signal ? IR_FCMP_SIGNAL : 0;
    return f;
}
