/* SPDX-License-Identifier: MIT */
/* The builder: values, slots, and the operations that do not fold. */
#include "tcg/ir.h"

#include <assert.h>
#include <string.h>

#include "tcg/ir-raw.h"
#include "tcg/target.h"

const IrOpInfo ir_op_info[OP_COUNT] = {
#define COMM  IR_COMM
#define SIDE  IR_SIDE
#define FAULT IR_FAULT
#define EXIT  IR_EXIT
#define END   IR_END
#define FP    IR_FP
#define OP(name, nout, nin, flags) { #name, nout, nin, flags },
#include "tcg/ops.def"
#undef OP
#undef COMM
#undef SIDE
#undef FAULT
#undef EXIT
#undef END
#undef FP
};

/* What one guest instruction may need at most is kept in reserve. */
enum { OPS_RESERVE = 640, VALUES_RESERVE = 1024 };

void ir_begin(IrBlock *b, const struct TcgTarget *t, uint32_t page_off)
{
    assert(t->nslots <= IR_MAX_SLOTS);
    b->target = t;
    b->page_off = page_off;
    b->nops = b->ninsns = b->code_bytes = 0;
    b->nvalues = 1;
    b->nan_mode = IR_NAN_ARM;
    b->icount = b->no_groups = b->flush_exact = b->full = false;
    memset(b->slot_val, 0, sizeof(b->slot_val));
    memset(b->const_val, 0, sizeof(b->const_val));
}

IrOp *ir_emit(IrBlock *b, IrOpcode o, IrType t)
{
    IrOp *op = &b->ops[b->nops++];

    assert(b->nops <= IR_MAX_OPS);
    *op = (IrOp){ .opc = o, .type = t };
    b->full |= b->nops > IR_MAX_OPS - OPS_RESERVE || b->nvalues > IR_MAX_VALUES - VALUES_RESERVE;
    return op;
}

IrVal ir_out(IrBlock *b, IrOp *op, unsigned k, IrType t)
{
    IrVal v = { b->nvalues++ };

    assert(b->nvalues <= IR_MAX_VALUES);
    b->values[v.id] = (IrValue){ .type = t, .def = op - b->ops };
    op->out[k] = v.id;
    return v;
}

void ir_insn(IrBlock *b, int64_t off, uint16_t word)
{
    IrOp *op = ir_emit(b, OP_insn, IR_I64);

    op->imm = off;
    op->sub = word;
    b->ninsns++;
    b->full |= b->ninsns >= IR_MAX_INSNS;
}

void ir_insn_word(IrBlock *b, uint16_t word)
{
    unsigned i = b->nops;

    while (b->ops[--i].opc != OP_insn) {
        assert(i);
    }
    b->ops[i].sub = word;
}

IrVal ir_const(IrBlock *b, IrType t, int64_t c)
{
    uint16_t *cache;
    IrVal v;

    c = ir_bits(t) == 32 ? (int32_t)c : c;
    cache = &b->const_val[((uint64_t)c * 31 + ((uint64_t)c >> 7) + t) % 64];
    if (*cache && b->values[*cache].c == c && b->values[*cache].type == t) {
        return (IrVal){ *cache };
    }
    v.id = b->nvalues++;
    assert(b->nvalues <= IR_MAX_VALUES);
    b->values[v.id] = (IrValue){ .type = t, .is_const = true, .c = c };
    *cache = v.id;
    return v;
}

IrType ir_type(const IrBlock *b, IrVal v)
{
    assert(v.id && v.id < b->nvalues);
    return b->values[v.id].type;
}

bool ir_is_const(const IrBlock *b, IrVal v, int64_t *c)
{
    if (v.id && b->values[v.id].is_const) {
        *c = b->values[v.id].c;
        return true;
    }
    return false;
}

IrVal ir_get(IrBlock *b, unsigned slot)
{
    IrOp *op;

    assert(slot < b->target->nslots);
    if (b->slot_val[slot]) {
        return (IrVal){ b->slot_val[slot] };
    }
    op = ir_emit(b, OP_get, b->target->slots[slot].type);
    op->imm = slot;
    b->slot_val[slot] = ir_out(b, op, 0, op->type).id;
    return (IrVal){ b->slot_val[slot] };
}

void ir_set(IrBlock *b, unsigned slot, IrVal v)
{
    IrOp *op;

    assert(slot < b->target->nslots && ir_type(b, v) == b->target->slots[slot].type);
    if (b->slot_val[slot] == v.id) {
        return;
    }
    op = ir_emit(b, OP_set, b->values[v.id].type);
    op->imm = slot;
    op->in[0] = v.id;
    b->slot_val[slot] = v.id;
}

IrVal ir_pc(IrBlock *b, int64_t disp)
{
    IrOp *op = ir_emit(b, OP_pc, IR_I64);

    op->imm = disp;
    return ir_out(b, op, 0, IR_I64);
}

static IrOp *emit_n(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, unsigned n, const IrVal *in)
{
    IrOp *op = ir_emit(b, o, t);

    op->sub = sub;
    op->imm = imm;
    for (unsigned i = 0; i < n; i++) {
        assert(in[i].id && in[i].id < b->nvalues);
        op->in[i] = in[i].id;
    }
    return op;
}
#define EMIT(b, o, t, sub, imm, ...) \
    emit_n(b, o, t, sub, imm, sizeof((IrVal[]){ __VA_ARGS__ }) / sizeof(IrVal), (IrVal[]){ __VA_ARGS__ })

IrVal ir_op1(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal a)
{
    return ir_out(b, EMIT(b, o, t, sub, imm, a), 0, t);
}

IrVal ir_op2(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal x, IrVal y)
{
    return ir_out(b, EMIT(b, o, t, sub, imm, x, y), 0, t);
}

IrVal ir_op3(IrBlock *b, IrOpcode o, IrType t, uint16_t sub, int64_t imm, IrVal x, IrVal y, IrVal z)
{
    return ir_out(b, EMIT(b, o, t, sub, imm, x, y, z), 0, t);
}

/* ---- memory ---- */

IrVal ir_ld(IrBlock *b, IrType t, IrVal addr, IrMem m)
{
    return ir_op1(b, OP_ld, t, 0, m, addr);
}

void ir_st(IrBlock *b, IrVal addr, IrVal val, IrMem m)
{
    EMIT(b, OP_st, ir_type(b, val), 0, m, addr, val);
}

void ir_vsha256r(IrBlock *b, IrVal x, IrVal y, IrVal w, IrVal *nx, IrVal *ny)
{
    IrOp *op;

    for (unsigned back = 1; back <= 6 && back <= b->nops; back++) {
        op = &b->ops[b->nops - back];
        if (op->opc == OP_vsha256r && op->in[0] == x.id && op->in[1] == y.id && op->in[2] == w.id) {
            *nx = (IrVal){ op->out[0] };
            *ny = (IrVal){ op->out[1] };
            return;
        }
    }
    op = EMIT(b, OP_vsha256r, IR_V128, 0, 0, x, y, w);
    *nx = ir_out(b, op, 0, IR_V128);
    *ny = ir_out(b, op, 1, IR_V128);
}

void ir_ld2(IrBlock *b, IrType t, IrVal addr, IrMem m, IrVal *lo, IrVal *hi)
{
    IrOp *op = EMIT(b, OP_ld2, t, 0, m, addr);

    *lo = ir_out(b, op, 0, t);
    *hi = ir_out(b, op, 1, t);
}

void ir_st2(IrBlock *b, IrVal addr, IrVal lo, IrVal hi, IrMem m)
{
    EMIT(b, OP_st2, ir_type(b, lo), 0, m, addr, lo, hi);
}

IrVal ir_cas(IrBlock *b, IrVal addr, IrVal expected, IrVal val, IrMem m)
{
    return ir_op3(b, OP_cas, ir_type(b, val), 0, m, addr, expected, val);
}

void ir_cas2(IrBlock *b, IrVal addr, IrVal elo, IrVal ehi, IrVal nlo, IrVal nhi, IrMem m, IrVal *lo, IrVal *hi)
{
    IrType t = ir_type(b, elo);
    IrOp *op = EMIT(b, OP_cas2, t, 0, m, addr, elo, ehi, nlo, nhi);

    *lo = ir_out(b, op, 0, t);
    *hi = ir_out(b, op, 1, t);
}

IrVal ir_rmw(IrBlock *b, IrRmw op, IrVal addr, IrVal val, IrMem m)
{
    return ir_op2(b, OP_rmw, ir_type(b, val), op, m, addr, val);
}

void ir_probe(IrBlock *b, IrVal addr, unsigned bytes, bool write, IrMem m)
{
    EMIT(b, OP_probe, IR_I64, write, (int64_t)((uint64_t)bytes << 32 | m), addr);
}

void ir_fence(IrBlock *b, unsigned kind)
{
    ir_emit(b, OP_fence, IR_I64)->sub = kind;
}

/* ---- control ---- */

static void out_if(IrBlock *b, IrOpcode o, IrRel r, int64_t imm)
{
    int64_t cx, cy;

    ir_rel_simplify(b, &r);
    if (ir_is_const(b, r.x, &cx) && ir_is_const(b, r.y, &cy) && !ir_cond_eval(r.c, ir_type(b, r.x), cx, cy)) {
        return;
    }
    EMIT(b, o, ir_type(b, r.x), r.c, imm, r.x, r.y);
}

void ir_exit_if(IrBlock *b, IrCond c, IrVal x, IrVal y, int64_t disp) { out_if(b, OP_exit_if, (IrRel){ c, x, y }, disp); }
void ir_raise_if(IrBlock *b, IrCond c, IrVal x, IrVal y, int64_t code) { out_if(b, OP_raise_if, (IrRel){ c, x, y }, code); }

static void leave_op(IrBlock *b, IrOpcode o, uint16_t sub, int64_t imm)
{
    IrOp *op = ir_emit(b, o, IR_I64);

    op->sub = sub;
    op->imm = imm;
}

void ir_goto(IrBlock *b, int64_t disp) { leave_op(b, OP_goto, 0, disp); }
void ir_push_ret(IrBlock *b, int64_t disp) { leave_op(b, OP_push_ret, 0, disp); }
void ir_leave(IrBlock *b, IrLeave why, int64_t disp) { leave_op(b, OP_leave, why, disp); }
void ir_raise(IrBlock *b, int64_t code) { leave_op(b, OP_raise, 0, code); }

void ir_jump(IrBlock *b, IrVal target, unsigned hint)
{
    EMIT(b, OP_jump, IR_I64, hint, 0, target);
}

void ir_leave_to(IrBlock *b, IrLeave why, IrVal target)
{
    EMIT(b, OP_leave_to, IR_I64, why, 0, target);
}

/* ---- runtime routines ---- */

IrVal ir_calln(IrBlock *b, unsigned rt, unsigned nargs, const IrArg *args)
{
    static const IrType ret_type[] = { [RT_I32] = IR_I32, [RT_I64] = IR_I64, [RT_F32] = IR_F32, [RT_F64] = IR_F64 };
    const RtRow *row = &b->target->rt[rt];
    IrOp *op;
    IrVal v = IR_NONE;

    assert(rt < b->target->nrt && nargs == row->nargs && nargs <= 6);
    op = ir_emit(b, OP_call, row->ret ? ret_type[row->ret] : IR_I64);
    op->imm = rt;
    for (unsigned i = 0; i < nargs; i++) {
        op->in[i] = args[i].kind == IR_ARG_VAL ? args[i].val.id : IR_IN_SLOT | args[i].kind << 12 | args[i].slot;
        if (args[i].kind == IR_ARG_SLOT_OUT || args[i].kind == IR_ARG_SLOT_INOUT) {
            b->slot_val[args[i].slot] = 0;
        }
    }
    if (row->ret) {
        v = ir_out(b, op, 0, op->type);
    }
    if (row->flags & RT_WRITE) {
        memset(b->slot_val, 0, sizeof(b->slot_val));
    }
    return v;
}

/* ---- floating point and vectors ---- */

IrVal ir_fop2(IrBlock *b, IrOpcode o, IrVal x, IrVal y)
{
    return ir_op2(b, o, ir_type(b, x), 0, 0, x, y);
}

IrVal ir_setfcond(IrBlock *b, IrFCond c, bool signal, IrVal x, IrVal y)
{
    return ir_op2(b, OP_setfcond, IR_I32, c | (signal ? IR_FCMP_SIGNAL : 0), 0, x, y);
}

IrVal ir_v1(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x)
{
    return ir_op1(b, o, ir_type(b, x), e, imm, x);
}

IrVal ir_v2(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x, IrVal y)
{
    return ir_op2(b, o, ir_type(b, x), e, imm, x, y);
}

IrVal ir_v3(IrBlock *b, IrOpcode o, IrElem e, int64_t imm, IrVal x, IrVal y, IrVal z)
{
    return ir_op3(b, o, ir_type(b, x), e, imm, x, y, z);
}

IrVal ir_vconst(IrBlock *b, IrType t, uint64_t rep)
{
    IrOp *op = ir_emit(b, OP_vconst, t);

    op->imm = (int64_t)rep;
    op->sub = IR_E64;
    return ir_out(b, op, 0, t);
}

IrVal ir_vdup(IrBlock *b, IrType t, IrElem e, IrVal x)
{
    return ir_op1(b, OP_vdup, t, e, 0, x);
}

IrVal ir_vget(IrBlock *b, IrType t, IrElem e, IrVal v, unsigned lane, bool sign)
{
    return ir_op1(b, OP_vget, t, e, lane | (sign ? 256 : 0) | (ir_is_int(t) ? 0 : 512), v);
}

IrVal ir_vset(IrBlock *b, IrElem e, IrVal v, unsigned lane, IrVal x)
{
    return ir_op2(b, OP_vset, ir_type(b, v), e, lane, v, x);
}

IrVal ir_vzext(IrBlock *b, IrType t, IrVal x)
{
    return ir_op1(b, OP_vzext, t, IR_E64, 0, x);
}

IrVal ir_vlow(IrBlock *b, IrType t, IrVal v)
{
    const IrOp *d = ir_def(b, v);

    if (d && d->opc == OP_vzext && b->values[d->in[0]].type == t) {
        return (IrVal){ d->in[0] };
    }
    return ir_op1(b, OP_vlow, t, t == IR_F32 ? IR_E32 : IR_E64, 0, v);
}
