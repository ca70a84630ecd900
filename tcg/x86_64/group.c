/* SPDX-License-Identifier: MIT */
/*
 * Accesses through one unchanged base share one TLB check: the first member
 * checks the bytes of all, and keeps the addend; the others only ask whether
 * it is there (0 after a miss: then each takes its slow path, in order, so
 * that exceptions stay precise).
 *
 * A group that stores is checked against the store table.  A load does not
 * join a store that may never happen (behind a side exit): pages that are only
 * read would miss for ever.  Routines may change mappings and end all groups.
 */
#include "tcg/target.h"
#include "tcg/x86_64/emit.h"

enum { OPEN = 4, SPAN = 1024 };

typedef struct Open { unsigned g[OPEN]; unsigned n; } Open;

static bool eligible(const Emit *e, const IrOp *op, unsigned *bytes, bool *store)
{
    unsigned size = IR_MEM_SIZE(op->imm), n = op->opc == OP_ld2 || op->opc == OP_st2 ? 2 : 1;

    if (op->opc != OP_ld && op->opc != OP_st && op->opc != OP_ld2 && op->opc != OP_st2) {
        return false;
    }
    *bytes = n << size;
    *store = op->opc == OP_st || op->opc == OP_st2;
    return size <= 4 && !IR_MEM_ALIGN_OF(op->imm) && !IR_MEM_IDX_OF(op->imm) && !(op->imm & (IR_MEM_SLOW | IR_MEM_BE)) &&
           op->type != IR_V64 && op->type != IR_V256 && (op->type == IR_V128) == (size == 4) && !e->b->values[op->in[0]].is_const;
}

/* One member alone is no group. */
static void close_at(Emit *e, Open *o, unsigned k)
{
    Group *g = &e->groups[o->g[k]];

    if (g->members < 2) {
        e->group_of[g->first] = 0;
    }
    o->g[k] = o->g[--o->n];
}

static bool join(Emit *e, Group *g, unsigned i, int32_t lo, int32_t hi, bool store)
{
    int32_t all_lo = lo < g->lo ? lo : g->lo, all_hi = hi > g->hi ? hi : g->hi;

    if (all_hi - all_lo > SPAN || (store && !g->store && g->exit_seen)) {
        return false;
    }
    g->lo = all_lo;
    g->hi = all_hi;
    g->store |= store;
    g->last = i;
    g->members++;
    return true;
}

static void member(Emit *e, Open *o, unsigned i, const IrOp *op, unsigned bytes, bool store)
{
    int32_t lo = e->disp[i], hi = lo + (int32_t)bytes;

    for (unsigned k = 0; k < o->n; k++) {
        Group *g = &e->groups[o->g[k]];

        if (g->base != op->in[0]) {
            continue;
        }
        if (join(e, g, i, lo, hi, store)) {
            e->group_of[i] = o->g[k] + 1;
            return;
        }
        close_at(e, o, k);
        break;
    }
    if (o->n == OPEN) {
        close_at(e, o, 0);
    }
    if (e->ngroups == G_N_ELEMENTS(e->groups)) {
        return;
    }
    e->groups[e->ngroups] = (Group){ .base = op->in[0], .first = i, .last = i, .lo = lo, .hi = hi, .store = store, .members = 1 };
    e->group_of[i] = e->ngroups + 1;
    o->g[o->n++] = e->ngroups++;
}

/* Give every real group its value. */
static void name_values(Emit *e)
{
    for (unsigned k = 0; k < e->ngroups; k++) {
        Group *g = &e->groups[k];
        uint16_t v = e->b->nvalues;

        if (g->members < 2) {
            continue;
        }
        if (v >= IR_MAX_VALUES) {
            for (unsigned i = g->first; i <= g->last; i++) {
                e->group_of[i] = e->group_of[i] == k + 1 ? 0 : e->group_of[i];
            }
            continue;
        }
        e->b->nvalues++;
        e->b->values[v] = (IrValue){ .type = IR_I64, .def = g->first };
        e->loc[v] = (VLoc){ NOREG, -1, -1 };
        e->hint[v] = NOREG;
        e->zext[v] = false;
        e->last_use[v] = g->last;
        g->val = v;
    }
}

void x86_groups(Emit *e)
{
    Open o = {};

    e->ngroups = 0;
    if (e->b->no_groups) {
        memset(e->group_of, 0, sizeof(*e->group_of) * e->b->nops);
        return;
    }
    for (unsigned i = 0; i < e->b->nops; i++) {
        const IrOp *op = &e->b->ops[i];
        unsigned bytes;
        bool store;

        e->group_of[i] = 0;
        if (eligible(e, op, &bytes, &store)) {
            member(e, &o, i, op, bytes, store);
        } else if (op->opc == OP_exit_if || op->opc == OP_raise_if) {
            for (unsigned k = 0; k < o.n; k++) {
                e->groups[o.g[k]].exit_seen = true;
            }
        } else if (op->opc == OP_call) {
            while (o.n) {
                close_at(e, &o, 0);
            }
        }
    }
    while (o.n) {
        close_at(e, &o, 0);
    }
    name_values(e);
}
