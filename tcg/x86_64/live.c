/* SPDX-License-Identifier: MIT */
/*
 * Before emission: a forward look that removes copies and folds address
 * additions, then the backward pass: last uses, dead operations and sets,
 * which pinned register a result may be computed in.
 */
#include "tcg/x86_64/emit.h"

#include <limits.h>

#include "util/bits.h"

/* ---- forward: names ---- */

static bool is_mem_op(unsigned opc)
{
    return opc == OP_ld || opc == OP_st || opc == OP_ld2 || opc == OP_st2 || opc == OP_cas || opc == OP_rmw || opc == OP_probe;
}

/* Results whose register ends up with a zero upper half. */
static bool makes_zext(const Emit *e, const IrOp *op)
{
    switch (op->opc) {
    case OP_ext:
        return !(op->sub & 1) || op->type == IR_I32;
    case OP_setcond: case OP_setfcond: case OP_clz: case OP_ctz: case OP_popcnt: case OP_cls:
        return true;
    case OP_ld: case OP_ld2:
        return op->type == IR_I32 || (op->type == IR_I64 && IR_MEM_SIZE(op->imm) < 3 && !(op->imm & IR_MEM_SIGN));
    case OP_extract:
        return op->type == IR_I32 || (op->imm >> 8 & 0xff) <= 32;
    case OP_call:
        return false;
    default:
        return op->type == IR_I32;
    }
}

/* The value that an operation merely renames, or 0. */
static uint16_t renamed(const Emit *e, const IrOp *op)
{
    const IrValue *v = e->b->values;
    uint16_t in = op->in[0];
    unsigned from;

    switch (op->opc) {
    case OP_mov:
        from = v[in].type;
        if (v[in].is_const) {
            return 0;
        }
        return from == op->type || (op->type == IR_I32 && from == IR_I64) ? in : 0;
    case OP_ext:
        return op->sub == IR_U32 && op->type == IR_I64 && e->zext[in] && !v[in].is_const ? in : 0;
    case OP_vmov:
    case OP_vlow:
        return in;
    default:
        return 0;
    }
}

static void fold_address(Emit *e, unsigned i, IrOp *op)
{
    const IrValue *v = &e->b->values[op->in[0]];
    const IrOp *d = &e->b->ops[v->def];
    int64_t c;

    e->disp[i] = 0;
    /* once the sum is in a slot it has a register of its own, and its base may have lost its */
    if (v->is_const || e->hint[op->in[0]] != NOREG || d->opc != OP_add || d->sub || !ra_const(e, d->in[1], &c) || c < INT_MIN / 2 || c > INT_MAX / 2) {
        return;
    }
    if (e->b->values[d->in[0]].is_const) {
        return;
    }
    op->in[0] = d->in[0];
    e->disp[i] = (int32_t)c;
}

/* x + (y << 1 .. 3) is one lea: the shift becomes the addition's `sub`. */
static void fold_scale(Emit *e, IrOp *op)
{
    const IrBlock *b = e->b;

    for (unsigned k = 2; k-- > 0;) {
        const IrValue *v = &b->values[op->in[k]];
        const IrOp *d = &b->ops[v->def];
        int64_t n;

        if (v->is_const || d->opc != OP_shl || d->type != op->type || b->values[d->in[0]].is_const || b->values[op->in[!k]].is_const ||
            !ra_const(e, d->in[1], &n) || n < 1 || n > 3) {
            continue;
        }
        op->in[0] = op->in[!k];
        op->in[1] = d->in[0];
        op->sub = (uint16_t)n;
        return;
    }
}

static void names(Emit *e)
{
    IrBlock *b = e->b;
    int64_t insn_off = b->page_off;

    for (unsigned v = 0; v < b->nvalues; v++) {
        e->root[v] = v;
        e->waits[v] = e->used[v] = e->shared[v] = false;
        e->zext[v] = false;
        e->last_use[v] = 0;
        e->hint[v] = NOREG;
        e->loc[v] = (VLoc){ NOREG, -1, -1 };
    }
    for (unsigned i = 0; i < b->nops; i++) {
        IrOp *op = &b->ops[i];
        const IrOpInfo *info = &ir_op_info[op->opc];
        uint16_t same;

        e->opf[i] = 0;
        e->in_type[i] = 0;
        if (op->opc == OP_call) {
            for (unsigned k = 0; k < info->nin; k++) {
                e->in_type[i] |= op->in[k] && !(op->in[k] & IR_IN_SLOT) && b->values[op->in[k]].type == IR_I32 ? 1u << k : 0;
            }
        } else if (info->nin) {
            e->in_type[i] = b->values[op->in[0]].type;
        }
        for (unsigned k = 0; k < info->nin; k++) {
            if (!(op->in[k] & IR_IN_SLOT)) {
                op->in[k] = e->root[op->in[k]];
                e->shared[op->in[k]] |= e->used[op->in[k]];
                e->used[op->in[k]] = true;
            }
        }
        if ((same = renamed(e, op))) {
            e->root[op->out[0]] = same;
            e->opf[i] = OPF_DEAD;
            continue;
        }
        for (unsigned k = 0; k < info->nout; k++) {
            e->zext[op->out[k]] = info->nout > 2 || makes_zext(e, op);
        }
        e->zext[0] = false;
        if (is_mem_op(op->opc)) {
            fold_address(e, i, op);
        } else if (op->opc == OP_add) {
            fold_scale(e, op);
        } else if (op->opc == OP_set) {
            e->hint[op->in[0]] = RAX;       /* for fold_address only */
        } else if (op->opc == OP_insn) {
            insn_off = op->imm;
        } else if (op->opc == OP_exit_if && op->imm <= insn_off && !(e->in_loop && op->imm == b->page_off)) {
            e->opf[i] |= OPF_BACK;
        }
    }
    memset(e->hint, NOREG, b->nvalues);
}

/* ---- backward ---- */

typedef struct Back {
    Emit *e;
    unsigned next_set[IR_MAX_SLOTS];    /* the closest set behind, 0: none */
    unsigned next_get[IR_MAX_SLOTS];
    unsigned precise;                   /* the closest precise point behind */
    unsigned back_exit;                 /* the closest side exit backward behind: most likely taken, by a loop */
    unsigned hint_set[IR_MAX_VALUES];
} Back;

static void used(Back *k, uint16_t v, unsigned i)
{
    if (k->e->last_use[v] < i) {
        k->e->last_use[v] = i;
    }
}

/* A flag that nobody reads before it is set again: if its operands are at hand until then, who leaves in between can compute it. */
static bool flag_waits(Back *k, uint16_t v, unsigned next)
{
    Emit *e = k->e;
    const IrOp *d = x86_def(e, v);
    int32_t imm;

    if (e->b->values[v].is_const) {
        return true;
    }
    if (e->shared[v] || (d->opc != OP_flags_sub && d->opc != OP_flags_add && d->opc != OP_flags_and)) {
        return false;
    }
    for (unsigned n = 0; n < 2; n++) {
        const IrValue *x = &e->b->values[d->in[n]];

        if (x->is_const ? !n || !ra_imm32(e, d->in[n], d->type == IR_I64, &imm) : d->type == IR_I64 && x->type != IR_I64) {
            return false;
        }
    }
    used(k, d->in[0], next);
    used(k, d->in[1], next);
    e->waits[v] = true;
    return true;
}

/* May the store of a slot be left to those who leave before it is set again? */
static bool may_wait(Back *k, uint16_t v, unsigned s, unsigned next)
{
    return next && !(k->back_exit && k->back_exit < next) && (!k->e->b->target->slots[s].is_bool || flag_waits(k, v, next));
}

static void back_set(Back *k, IrOp *op, unsigned i)
{
    Emit *e = k->e;
    unsigned s = (unsigned)op->imm, next = k->next_set[s];
    uint16_t v = op->in[0];
    bool pinned = e->pins->slot_pin[s] != NOREG;

    if (next && k->precise > next) {
        e->opf[i] |= OPF_DEAD;          /* set again before anybody can see it */
        return;
    }
    if (pinned) {
        e->hint[v] = e->pins->slot_pin[s];
        k->hint_set[v] = i;
    } else if (may_wait(k, v, s, next)) {
        e->opf[i] |= OPF_LAZY;
        if (!e->waits[v]) {
            used(k, v, next);
        }
    }
    k->next_set[s] = i;
    used(k, v, i);
}

static void back_call(Back *k, const IrOp *op, unsigned i)
{
    Emit *e = k->e;
    const RtRow *row = &e->b->target->rt[op->imm];

    if (row->flags & (RT_READ | RT_WRITE)) {
        memset(k->next_set, 0, sizeof(k->next_set));
    }
    for (unsigned n = 0; n < row->nargs; n++) {
        if (op->in[n] & IR_IN_SLOT) {
            k->next_set[op->in[n] & 0xfff] = 0;
        } else {
            used(k, op->in[n], i);
        }
    }
}

/* Is the pinned register of the hint free between here (definition) and its set? */
static void check_hint(Back *k, uint16_t v)
{
    Emit *e = k->e;
    unsigned at = k->hint_set[v], s;

    if (!v || e->hint[v] == NOREG) {
        return;
    }
    s = (unsigned)e->pins->pin_slot[e->hint[v]];
    if (!at || k->next_set[s] != at || k->precise < at || (k->next_get[s] && k->next_get[s] < at)) {
        e->hint[v] = NOREG;
    }
}

/* The last operation in front of i that is still there. */
static unsigned before(const Emit *e, unsigned i)
{
    while (i && (e->opf[--i] & OPF_DEAD)) {
    }
    return i;
}

static bool both_in(const IrOp *op, uint16_t x, uint16_t y)
{
    return (op->in[0] == x && op->in[1] == y) || (op->in[0] == y && op->in[1] == x);
}

static bool flags_needed(const Emit *e, const IrOp *op)
{
    for (unsigned o = 0; o < 4; o++) {
        if (op->out[o] && e->last_use[op->out[o]] && !e->waits[op->out[o]]) {
            return true;
        }
    }
    return false;
}

/*
 * The flags of a sum or difference right behind it: one host instruction makes both, and the imm of the operation that makes flags names
 * the result.  x + y + carry are two additions.
 */
static void join_result(Emit *e, unsigned i)
{
    IrBlock *b = e->b;
    IrOp *op = &b->ops[i];
    unsigned at = before(e, i), first = op->opc == OP_flags_adc ? before(e, at) : at;
    const IrOp *last = &b->ops[at], *d = &b->ops[first];
    unsigned want = op->opc == OP_flags_sub ? OP_sub : OP_add;

    op->imm = 0;
    if (last->opc != want || last->sub || last->type != op->type || d->opc != want || d->sub || d->type != op->type ||
        !e->last_use[last->out[0]] || !flags_needed(e, op)) {
        return;
    }
    if (want == OP_sub ? d->in[0] != op->in[0] || d->in[1] != op->in[1] : !both_in(d, op->in[0], op->in[1])) {
        return;
    }
    if (first != at && (e->last_use[d->out[0]] || !both_in(last, d->out[0], op->in[2]))) {
        return;
    }
    op->imm = last->out[0];
    b->values[op->imm].def = (uint16_t)i;
    e->opf[at] |= OPF_DEAD;
    e->opf[first] |= OPF_DEAD;
}

void x86_liveness(Emit *e)
{
    static __thread Back back;
    IrBlock *b = e->b;
    Back *k = &back;

    names(e);
    x86_groups(e);
    memset(k->next_set, 0, sizeof(k->next_set));
    memset(k->next_get, 0, sizeof(k->next_get));
    memset(k->hint_set, 0, b->nvalues * sizeof(k->hint_set[0]));
    k->e = e;
    k->precise = b->nops;
    k->back_exit = 0;
    for (unsigned s = 0; s < b->target->nslots && e->in_loop; s++) {
        k->next_set[s] = e->loop_flag[s] ? b->nops : 0;         /* at the head again */
    }
    for (unsigned i = b->nops; i-- > 0;) {
        IrOp *op = &b->ops[i];
        const IrOpInfo *info = &ir_op_info[op->opc];
        bool live = info->flags & (IR_SIDE | IR_FP);       /* FP: for the sticky flags */

        if (e->opf[i] & OPF_DEAD) {
            continue;
        }
        if (op->opc == OP_flags_add || op->opc == OP_flags_adc || op->opc == OP_flags_sub) {
            join_result(e, i);
            check_hint(k, (uint16_t)op->imm);
        }
        for (unsigned o = 0; o < info->nout; o++) {
            live |= op->out[o] && e->last_use[op->out[o]];
            check_hint(k, op->out[o]);
        }
        if (op->opc == OP_call && (b->target->rt[op->imm].flags & RT_DROP) && !(op->out[0] && e->last_use[op->out[0]])) {
            live = false;
        }
        if (!live) {
            e->opf[i] |= OPF_DEAD;
            continue;
        }
        if (op->opc == OP_set) {
            back_set(k, op, i);
            continue;
        }
        if (op->opc == OP_get) {
            k->next_get[op->imm] = i;
        }
        if (op->opc == OP_call) {
            back_call(k, op, i);
        } else {
            for (unsigned n = 0; n < info->nin; n++) {
                used(k, op->in[n], i);
            }
        }
        if (info->flags & (IR_FAULT | IR_EXIT)) {
            k->precise = i;
        }
        if (e->opf[i] & OPF_BACK) {
            k->back_exit = i;
        }
    }
}
