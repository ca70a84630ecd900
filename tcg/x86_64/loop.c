/* SPDX-License-Identifier: MIT */
/*
 * A block that jumps to its own head is emitted twice: as it stands, and as a
 * loop, which the jump to the head of the first copy leads to.
 *
 * In the loop, pinned registers whose slots the body does not name hold slots
 * that it does, and vector registers hold vector slots.  Whoever leaves exchanges them.  Flags that the body sets from
 * values which slots still hold at the back-edge are described at the head
 * (flags of slots, set again) and computed by nobody but those who leave.
 *
 * The back-edge is a jump that can be patched: killing the block turns it to
 * a stub that brings everything back and enters the block at its head.
 */
#include <assert.h>

#include "tcg/target.h"
#include "tcg/x86_64/emit.h"
#include "util/bits.h"

/* An operand of flags as seen from the back-edge: slot + add, or a constant value. */
typedef struct Operand { int slot; bool narrow; int64_t add; uint16_t konst; } Operand;

/* ---- is it one? ---- */

/* Nothing that wants slots where they usually are, or that ends blocks. */
static bool fits(const IrOp *op)
{
    switch (op->opc) {
    case OP_call: case OP_push_ret: case OP_leave: case OP_leave_to: case OP_jump: case OP_raise:
        return false;
    default:
        return true;
    }
}

/* The pending word is looked at in front of the back-edge: its instruction must not have changed anything. */
static bool clean_edge(const IrBlock *b, unsigned edge)
{
    unsigned i = edge;

    while (i > 0 && b->ops[i].opc != OP_insn) {
        if (b->ops[i].opc == OP_set) {
            return false;
        }
        i--;
    }
    return b->ops[i].imm != b->page_off;
}

static bool find_edge(const IrBlock *b, unsigned *edge)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->nops; i++) {
        const IrOp *op = &b->ops[i];

        if ((op->opc == OP_exit_if || op->opc == OP_goto) && op->imm == b->page_off) {
            *edge = i;
            n++;
        }
    }
    if (n != 1 || *edge >= LOOP_OPS || b->nvalues >= LOOP_VALUES) {
        return false;
    }
    for (unsigned i = 0; i < *edge; i++) {
        if (!fits(&b->ops[i])) {
            return false;
        }
    }
    if (b->ops[*edge].opc == OP_goto) {
        return true;
    }
    return clean_edge(b, *edge) && (b->ops[*edge + 1].opc == OP_insn || b->ops[*edge + 1].opc == OP_goto);
}

/* ---- who gets a register ---- */

typedef struct Use { unsigned weight; bool named, got, set; } Use;

static void count_uses(const IrBlock *b, unsigned edge, Use *use)
{
    for (unsigned i = 0; i <= edge; i++) {
        const IrOp *op = &b->ops[i];

        if (op->opc == OP_get) {
            use[op->imm].weight += 2;
            use[op->imm].got = use[op->imm].named = true;
        } else if (op->opc == OP_set) {
            use[op->imm].weight += use[op->imm].got ? 3 : 2;
            use[op->imm].set = use[op->imm].named = true;
        }
    }
}

enum { LOOP_XMM = XMM0 + 7 };       /* vector registers from here on may hold slots */

static void give_pin(X86Pins *p, int r, unsigned slot)
{
    p->pin_slot[r] = (int16_t)slot;
    p->slot_pin[slot] = (int8_t)r;
    p->pin_mask |= 1u << r;
}

/* The slot of a type that gains most by a register; -1: none is left. */
static int most_used(const Emit *e, const Use *use, unsigned type)
{
    const TcgTarget *t = e->b->target;
    int best = -1;

    for (unsigned s = 0; s < t->nslots; s++) {
        if (use[s].named && t->slots[s].type == type && e->loop_pins.slot_pin[s] == NOREG && (best < 0 || use[s].weight > use[best].weight)) {
            best = (int)s;
        }
    }
    return best;
}

static void choose_pins(Emit *e, unsigned edge)
{
    Use use[IR_MAX_SLOTS] = {};
    int best;

    e->loop_clean = 0;
    count_uses(e->b, edge, use);
    for (uint32_t m = e->xc->pins.pin_mask; m; m &= m - 1) {
        if (!use[e->xc->pins.pin_slot[ctz32(m)]].named && (best = most_used(e, use, IR_I64)) >= 0) {
            e->loop_pins.slot_pin[e->xc->pins.pin_slot[ctz32(m)]] = NOREG;
            give_pin(&e->loop_pins, (int)ctz32(m), (unsigned)best);
            e->loop_clean |= use[best].set ? 0 : m & -m;
        }
    }
    for (int r = LOOP_XMM; r < SCRATCH_Y && (best = most_used(e, use, IR_V128)) >= 0; r++) {
        give_pin(&e->loop_pins, r, (unsigned)best);
        e->loop_clean |= use[best].set ? 0 : 1u << r;
    }
}

/* Before the passes of the first copy: they use the operations up. */
void x86_loop_find(Emit *e)
{
    IrBlock *b = e->b;

    e->loop_edge = 0;
    e->loop_from = NULL;
    e->in_loop = false;
    e->loop_pins = e->xc->pins;
    if (b->icount || !find_edge(b, &e->loop_edge)) {
        e->loop_edge = 0;
        return;
    }
    choose_pins(e, e->loop_edge);
    memcpy(e->loop_ops, b->ops, (e->loop_edge + 2) * sizeof(IrOp));
    memcpy(e->loop_values, b->values, b->nvalues * sizeof(IrValue));
    e->loop_nvalues = b->nvalues;
}

/* ---- flags ---- */

static const IrOp *def_of(const Emit *e, uint16_t v)
{
    return e->loop_values[v].is_const ? NULL : &e->loop_ops[e->loop_values[v].def];
}

/* What the slot's value is an extension of, when v is narrow. */
static uint16_t core(const Emit *e, uint16_t held, bool narrow)
{
    const IrOp *d = def_of(e, held);

    return narrow && d && d->opc == OP_ext && d->sub == IR_U32 && d->type == IR_I64 ? d->in[0] : held;
}

static bool find_operand(const Emit *e, const uint16_t *held, uint16_t v, Operand *o)
{
    const IrValue *val = &e->loop_values[v];
    bool narrow = val->type == IR_I32;
    const IrOp *d = def_of(e, v);

    *o = (Operand){ .slot = -1, .narrow = narrow };
    if (val->is_const) {
        o->konst = v;
        return true;
    }
    for (unsigned s = 0; s < e->b->target->nslots; s++) {
        uint16_t c = held[s] && e->b->target->slots[s].type == IR_I64 ? core(e, held[s], narrow) : 0;
        const IrOp *k = c ? def_of(e, c) : NULL;

        if (!k) {
            continue;
        }
        o->slot = (int)s;
        if (c == v || (narrow && d->opc == OP_mov && d->in[0] == held[s])) {
            return true;
        }
        if (k->opc == OP_add && !k->sub && k->in[0] == v && e->loop_values[k->in[1]].is_const && e->loop_values[c].type == val->type) {
            o->add = (int64_t)(0 - (uint64_t)e->loop_values[k->in[1]].c);
            return true;
        }
    }
    return false;
}

typedef struct Build {
    Emit *e;
    uint16_t first[IR_MAX_SLOTS];       /* value that a slot has at the head, where the body asks for it */
    uint16_t held[IR_MAX_SLOTS];        /* value that it has at the back-edge */
    bool set[IR_MAX_SLOTS];
    bool hoisted[IR_MAX_SLOTS];
} Build;

static void look(Build *k)
{
    const Emit *e = k->e;

    for (unsigned i = 0; i <= e->loop_edge; i++) {
        const IrOp *op = &e->loop_ops[i];

        if (op->opc == OP_get) {
            k->held[op->imm] = op->out[0];
            if (!k->set[op->imm] && !k->first[op->imm]) {
                k->first[op->imm] = op->out[0];
            }
        } else if (op->opc == OP_set) {
            k->held[op->imm] = op->in[0];
            k->set[op->imm] = true;
        }
    }
}

/* The operation that all flags of the body are from at the back-edge; NULL: there is none, or not one. */
static const IrOp *flags_source(const Build *k)
{
    const TcgTarget *t = k->e->b->target;
    const IrOp *source = NULL;

    for (unsigned s = 0; s < t->nslots; s++) {
        const IrOp *d = t->slots[s].is_bool && k->set[s] ? def_of(k->e, k->held[s]) : source;

        if ((d != source && source) || (t->slots[s].is_bool && k->set[s] && k->first[s])) {
            return NULL;        /* several, or the body asks for what the flags were before it sets them */
        }
        if (t->slots[s].is_bool && k->set[s] && !d && !k->e->loop_values[k->held[s]].is_const) {
            return NULL;
        }
        source = d ? d : source;
    }
    return source && (source->opc == OP_flags_sub || source->opc == OP_flags_add || source->opc == OP_flags_and) ? source : NULL;
}

/* ---- the operations of the loop ---- */

static IrOp *append(Emit *e, unsigned opc, unsigned type)
{
    IrOp *op = &e->b->ops[e->b->nops++];

    *op = (IrOp){ .opc = (uint8_t)opc, .type = (uint8_t)type };
    return op;
}

static uint16_t define(Emit *e, IrOp *op, unsigned out, unsigned type)
{
    uint16_t v = (uint16_t)e->b->nvalues++;

    e->b->values[v] = (IrValue){ .type = (uint8_t)type, .def = (uint16_t)(op - e->b->ops) };
    op->out[out] = v;
    return v;
}

static uint16_t slot_at_head(Build *k, unsigned s)
{
    Emit *e = k->e;
    IrOp *op;

    if (k->hoisted[s]) {
        return k->first[s];
    }
    op = append(e, OP_get, IR_I64);
    op->imm = s;
    k->hoisted[s] = true;
    if (k->first[s]) {
        op->out[0] = k->first[s];
        e->b->values[k->first[s]].def = (uint16_t)(e->b->nops - 1);
    } else {
        k->first[s] = define(e, op, 0, IR_I64);
    }
    return k->first[s];
}

static uint16_t make_operand(Build *k, const Operand *o)
{
    Emit *e = k->e;
    unsigned type = o->narrow ? IR_I32 : IR_I64;
    uint16_t v, c;
    IrOp *op;

    if (o->konst) {
        return o->konst;
    }
    v = slot_at_head(k, (unsigned)o->slot);
    if (o->narrow) {
        op = append(e, OP_mov, type);
        op->in[0] = v;
        v = define(e, op, 0, type);
    }
    if (o->add) {
        c = (uint16_t)e->b->nvalues++;
        e->b->values[c] = (IrValue){ .type = (uint8_t)type, .is_const = true, .c = o->narrow ? (int32_t)o->add : o->add };
        op = append(e, OP_add, type);
        op->in[0] = v;
        op->in[1] = c;
        v = define(e, op, 0, type);
    }
    return v;
}

/* Say at the head what the flags are. */
static void flags_at_head(Build *k, const IrOp *source)
{
    Emit *e = k->e;
    const TcgTarget *t = e->b->target;
    uint16_t in[2], out[4] = {};
    Operand o[2];
    IrOp *op;

    if (!find_operand(e, k->held, source->in[0], &o[0]) || !find_operand(e, k->held, source->in[1], &o[1]) || o[0].konst) {
        return;
    }
    in[0] = make_operand(k, &o[0]);
    in[1] = make_operand(k, &o[1]);
    op = append(e, source->opc, source->type);
    op->in[0] = in[0];
    op->in[1] = in[1];
    for (unsigned n = 0; n < 4; n++) {
        if (source->out[n]) {
            out[n] = define(e, op, n, IR_I32);
        }
    }
    for (unsigned s = 0; s < t->nslots; s++) {
        uint16_t v = k->held[s];

        if (!t->slots[s].is_bool || !k->set[s]) {
            continue;
        }
        for (unsigned n = 0; n < 4 && !e->loop_values[v].is_const; n++) {
            if (source->out[n] == v) {
                v = out[n];
                break;
            }
        }
        op = append(e, OP_set, IR_I32);
        op->imm = s;
        op->in[0] = v;
        e->loop_flag[s] = true;
    }
}

static void copy_body(Build *k, unsigned from)
{
    Emit *e = k->e;

    for (unsigned i = from; i <= e->loop_edge; i++) {
        const IrOp *op = &e->loop_ops[i];

        if (op->opc == OP_get && k->hoisted[op->imm] && k->first[op->imm] == op->out[0]) {
            continue;
        }
        for (unsigned n = 0; n < ir_op_info[op->opc].nout; n++) {
            e->b->values[op->out[n]].def = (uint16_t)e->b->nops;     /* 0 is nobody's */
        }
        e->b->ops[e->b->nops++] = *op;
    }
}

/* Where the block goes on when the back-edge is not taken. */
static void close_body(Emit *e)
{
    IrOp *op;

    if (e->loop_ops[e->loop_edge].opc == OP_exit_if) {
        op = append(e, OP_goto, IR_I64);
        op->imm = e->loop_ops[e->loop_edge + 1].imm;
    }
}

/* False: the loop would be no better. */
static bool build(Emit *e)
{
    static __thread Build build;
    Build *k = &build;
    const IrOp *source;
    IrBlock *b = e->b;

    memset(k, 0, sizeof(*k));
    memset(e->loop_flag, 0, sizeof(e->loop_flag));
    k->e = e;
    look(k);
    memcpy(b->values, e->loop_values, e->loop_nvalues * sizeof(IrValue));
    b->nvalues = e->loop_nvalues;
    b->nops = 1;
    b->ops[0] = e->loop_ops[0];             /* insn */
    if ((source = flags_source(k))) {
        flags_at_head(k, source);
    }
    if (b->nops == 1 && !memcmp(&e->loop_pins, &e->xc->pins, sizeof(X86Pins))) {
        return false;
    }
    copy_body(k, 1);
    close_body(e);
    return true;
}

/* ---- in and out ---- */

/* Registers that hold another slot than between blocks. */
static uint32_t exchanged(const Emit *e)
{
    uint32_t r = 0;

    for (uint32_t m = e->loop_pins.pin_mask; m; m &= m - 1) {
        if (e->loop_pins.pin_slot[ctz32(m)] != e->xc->pins.pin_slot[ctz32(m)]) {
            r |= m & -m;
        }
    }
    return r;
}

/* Vector registers hold no slot between blocks. */
static void exchange(Emit *e, const X86Pins *from, const X86Pins *to)
{
    for (uint32_t m = exchanged(e) & from->pin_mask & ~(from == &e->loop_pins ? e->loop_clean : 0); m; m &= m - 1) {
        store_reg(e, slot_mem(e, (unsigned)from->pin_slot[ctz32(m)]), (int)ctz32(m), ctz32(m) < 16 ? IR_I64 : IR_V128);
    }
    for (uint32_t m = exchanged(e) & to->pin_mask; m; m &= m - 1) {
        load_reg(e, (int)ctz32(m), slot_mem(e, (unsigned)to->pin_slot[ctz32(m)]), ctz32(m) < 16 ? IR_I64 : IR_V128);
    }
}

void x86_loop_leave(Emit *e)
{
    if (e->in_loop) {
        exchange(e, &e->loop_pins, &e->xc->pins);
    }
}

/* For the side table: registers and what they hold. */
unsigned x86_loop_pins(const Emit *e, uint8_t *regs, uint8_t *slots)
{
    unsigned n = 0;

    for (uint32_t m = exchanged(e); m; m &= m - 1) {
        regs[n] = (uint8_t)ctz32(m);
        slots[n++] = (uint8_t)e->loop_pins.pin_slot[ctz32(m)];
    }
    return n;
}

/* After the first copy: the operations of the loop are in e->b; its head follows. */
bool x86_loop_begin(Emit *e)
{
    if (!e->loop_from || !build(e)) {
        return false;
    }
    land_near(e->loop_from, e->a.p);
    exchange(e, &e->xc->pins, &e->loop_pins);
    nops(&e->a, -(uintptr_t)e->a.p & 15);
    e->in_loop = true;
    e->pins = &e->loop_pins;
    e->loop_head = e->a.p;
    e->fenced = NULL;
    e->insns_begun = 0;
    e->insn_off = e->b->page_off;
    e->set_in_insn = false;
    return true;
}
