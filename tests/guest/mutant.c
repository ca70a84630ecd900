/* SPDX-License-Identifier: MIT */
/*
 * Two ways to break the memory order, linked into the program under another name with the linker's --wrap, so that
 * the litmus tests can be seen to fail.  Nothing of this is in the program that people get.
 *
 *   MUTANT_FENCE   fences of the front end are left out
 *   MUTANT_SWAP    of the first two accesses behind HINT 127, which begins each thread of a shape, the second is made first, fence or not
 */
#include <string.h>

#include "accel/tcg/cpu-ops.h"
#include "target/arm/translate.h"

#ifdef MUTANT_FENCE
void __wrap_ir_fence(IrBlock *b, unsigned kind);

void __wrap_ir_fence(IrBlock *b, unsigned kind)
{
    (void)b, (void)kind;
}
#endif

#ifdef MUTANT_SWAP
void __real_a64_translate(TransCtx *tc);
void __wrap_a64_translate(TransCtx *tc);

static bool is_access(const IrOp *op)
{
    return op->opc == OP_ld || op->opc == OP_st;
}

/* May not be passed by an access. */
static bool is_wall(const IrOp *op)
{
    return !is_access(op) && op->opc != OP_set && op->opc != OP_insn && op->opc != OP_fence && ir_op_info[op->opc].flags & (IR_SIDE | IR_EXIT | IR_FAULT);
}

/* Index of the operation that defines an input, below `from` for what is there before. */
static unsigned maker(const IrBlock *b, uint16_t v, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        for (unsigned k = 0; k < ir_op_info[b->ops[i].opc].nout; k++) {
            if (b->ops[i].out[k] == v) {
                return i;
            }
        }
    }
    return to;
}

/* Everything that operation j needs of what stands between i and j, j itself last; false: it needs i, or something with an effect. */
static bool needs(const IrBlock *b, unsigned i, unsigned j, bool *take)
{
    take[j] = true;
    for (unsigned k = 0; k < ir_op_info[b->ops[j].opc].nin; k++) {
        unsigned m = maker(b, b->ops[j].in[k], i, j);

        if (m < j && !take[m] && (m == i || ir_op_info[b->ops[m].opc].flags & (IR_SIDE | IR_FAULT | IR_EXIT) || !needs(b, i, m, take))) {
            return false;
        }
    }
    return true;
}

static void move_up(IrBlock *b, unsigned i, unsigned j, const bool *take)
{
    static __thread IrOp first[IR_MAX_OPS], rest[IR_MAX_OPS];
    unsigned nf = 0, nr = 0;

    for (unsigned k = i; k <= j; k++) {
        if (take[k]) {
            first[nf++] = b->ops[k];
        } else {
            rest[nr++] = b->ops[k];
        }
    }
    memcpy(b->ops + i, first, nf * sizeof(*first));
    memcpy(b->ops + i + nf, rest, nr * sizeof(*rest));
    for (unsigned k = i; k <= j; k++) {
        for (unsigned n = 0; n < ir_op_info[b->ops[k].opc].nout; n++) {
            if (b->ops[k].out[n]) {
                b->values[b->ops[k].out[n]].def = (uint16_t)k;
            }
        }
    }
}

/* The access at i and the next one change places, if they can. */
static void swap_at(IrBlock *b, unsigned i)
{
    bool take[IR_MAX_OPS] = { false };
    unsigned j = i + 1;

    while (j < b->nops && !is_access(&b->ops[j])) {
        if (is_wall(&b->ops[j])) {
            return;
        }
        j++;
    }
    if (j < b->nops && needs(b, i, j, take)) {
        move_up(b, i, j, take);
    }
}

static bool is_mark(const TransCtx *tc, const IrOp *op)
{
    uint32_t w;

    if (op->opc != OP_insn) {
        return false;
    }
    memcpy(&w, tc->page + op->imm, 4);
    return w == 0xd5032fff;
}

void __wrap_a64_translate(TransCtx *tc)
{
    IrBlock *b = tc->ir;
    bool marked = false;

    __real_a64_translate(tc);
    for (unsigned i = 0; i < b->nops; i++) {
        marked = marked || is_mark(tc, &b->ops[i]);
        if (marked && is_access(&b->ops[i])) {
            swap_at(b, i);
            return;
        }
    }
}
#endif
