/* SPDX-License-Identifier: MIT */
/*
 * Slots, side exits, ways out of a block, and calls of runtime routines.
 *
 * A same-page link is a jump whose rel32 lies inside one cache line and is
 * patched with one store; unlinked it leads to a stub that leaves with
 * TCG_EXIT_LINK.  A cross-page link compares data cells with env->generation.
 */
#include <assert.h>

#include "tcg/target.h"
#include "tcg/x86_64/emit.h"
#include "util/bits.h"

static void emit_get(Emit *e, const IrOp *op) { ra_get(e, op->out[0], (unsigned)op->imm); }

static void emit_set(Emit *e, const IrOp *op)
{
    e->set_in_insn = true;
    ra_set(e, (unsigned)op->imm, op->in[0], e->opf[e->i] & OPF_LAZY);
}

static void emit_insn(Emit *e, const IrOp *op)
{
    e->insn_off = op->imm;
    e->insn_word = op->sub;
    e->insns_begun++;
    e->set_in_insn = false;
}

/* ---- links ---- */

static TcgLink *new_link(Emit *e, int64_t disp)
{
    TcgLink *l = e->next_link++;

    *l = (TcgLink){ .from = e->tb, .disp = disp, .cross_page = !tcg_disp_same_page(disp) };
    return l;
}

/* rax = link, then leave. */
static void link_stub(Emit *e, const TcgLink *l, const uint8_t *thunk)
{
    lea(&e->a, true, RAX, mem_rip((const uint8_t *)l));
    jmp_to(&e->a, thunk);
}

/* No cache line boundary inside the rel32 that follows `skip` opcode bytes. */
static void align_rel32(Emit *e, unsigned skip)
{
    unsigned at = ((uintptr_t)e->a.p + skip) & 63;

    if (at > 60) {
        nops(&e->a, 64 - at);
    }
}

static void site_init(Emit *e, TcgLink *l, uint8_t *rel, const uint8_t *stub)
{
    X86Site *s = tcg_area_take(e->x, sizeof(X86Site));

    *s = (X86Site){ .rel = rel, .stub = stub };
    l->site = s;
}

static uint8_t *cells_init(Emit *e, TcgLink *l)
{
    TcgCells *cells = tcg_area_take(e->x, sizeof(TcgCells));

    memset(cells, 0, sizeof(*cells));
    l->site = cells;
    return (uint8_t *)cells;
}

/* Jump through the cells, at the cursor. */
static void cross_jump(Emit *e, TcgLink *l)
{
    uint8_t *cells = cells_init(e, l);
    int32_t delta = (int32_t)(l->disp & ~0xfffll);

    mov_rm(&e->a, true, RCX, ENV(generation));
    for (unsigned way = 0; way < 2; way++) {
        uint8_t *next;

        /* host before generation: a writer empties the generation first */
        mov_rm(&e->a, true, RAX, mem_rip(cells + offsetof(TcgCells, host) + 8 * way));
        alu_rm(&e->a, ALU_CMP, true, RCX, mem_rip(cells + offsetof(TcgCells, gen) + 8 * way));
        next = jcc_short(&e->a, CC_NE);
        alu_mi(&e->a, ALU_ADD, true, ENV(page_base), delta);
        jmp_r(&e->a, RAX);
        land_short(&e->a, next);
    }
    link_stub(e, l, e->xc->cross_miss);
}

/* Displacements beyond 2 GiB do not fit the additions above: through the dispatcher. */
static bool far_away(int64_t disp)
{
    return disp > INT32_MAX - 4096 || disp < INT32_MIN + 4096;
}

static void far_jump(Emit *e, int64_t disp)
{
    mov_ri(&e->a, RAX, (uint64_t)disp);
    alu_rm(&e->a, ALU_ADD, true, RAX, ENV(page_base));
    jmp_to(&e->a, e->xc->dispatch);
}

/* The stub of a same-page link goes to cold code. */
static const uint8_t *same_page_stub(Emit *e, const TcgLink *l)
{
    const uint8_t *stub;

    go_cold(e);
    stub = e->a.p;
    link_stub(e, l, e->xc->exit_link);
    go_hot(e);
    return stub;
}

static bool to_self(const Emit *e, int64_t disp)
{
    return disp == e->b->page_off;
}

static bool is_backward(const Emit *e, int64_t disp)
{
    return disp <= e->insn_off;
}

/* The jump at the cursor leads to the head; of a block with a loop, into that. */
static void went_to_head(Emit *e)
{
    if (e->loop_edge && e->loop_edge == e->i) {
        e->loop_from = e->a.p;
    }
}

static void patchable_jmp(Emit *e, TcgLink *l, const uint8_t *stub)
{
    align_rel32(e, 1);
    jmp_to(&e->a, stub);
    site_init(e, l, e->a.p - 4, stub);
}

/* Jump to a link's target, at the cursor (hot, or in a cold stub with the stub code right behind). */
static void go_link(Emit *e, TcgLink *l, bool cold)
{
    if (l->cross_page) {
        cross_jump(e, l);
    } else if (to_self(e, l->disp)) {
        jmp_to(&e->a, e->entry);
        went_to_head(e);
    } else if (cold) {
        /* the jump leads to the next instruction until it is patched */
        align_rel32(e, 1);
        patchable_jmp(e, l, e->a.p + 5);
        link_stub(e, l, e->xc->exit_link);
    } else {
        patchable_jmp(e, l, same_page_stub(e, l));
    }
}

static void check_pending(Emit *e, const TcgLink *l)
{
    uint8_t *seen;

    alu_mi(&e->a, ALU_CMP, false, pending_mem(e->b->target), 0);
    jcc_to(&e->a, CC_NE, e->a.p);
    seen = e->a.p;
    go_cold(e);
    land_near(seen, e->a.p);
    link_stub(e, l, e->xc->exit_pending);
    go_hot(e);
}

/* Before a backward side exit whose instruction has changed nothing yet: leave at the instruction itself. */
static void check_pending_here(Emit *e, int64_t at)
{
    uint8_t *seen;

    alu_mi(&e->a, ALU_CMP, false, pending_mem(e->b->target), 0);
    jcc_to(&e->a, CC_NE, e->a.p);
    seen = e->a.p;
    go_cold(e);
    land_near(seen, e->a.p);
    ra_store_dirty(e, true);
    x86_loop_leave(e);
    mov_rm(&e->a, true, RAX, ENV(page_base));
    alu_ri(&e->a, ALU_ADD, true, RAX, (int32_t)at);
    jmp_to(&e->a, e->xc->pending_at);
    go_hot(e);
}

/* The loop's jump to its head.  A block that is killed turns it to the stub, which enters the block as everybody does. */
static void loop_back(Emit *e, const IrOp *op)
{
    bool always = op->opc == OP_goto;
    unsigned cc = 0;
    const uint8_t *stub;
    X86Site *s;

    check_pending_here(e, always ? op->imm : e->insn_off);
    if (!always) {
        cc = emit_compare(e, op->sub, op->in[0], op->in[1]);
    }
    for (unsigned k = 0; k < e->ndirty; k++) {
        assert(e->loop_flag[e->dirty_list[k]]);     /* the head knows it from other slots */
    }
    go_cold(e);
    stub = e->a.p;
    ra_store_dirty(e, true);
    x86_loop_leave(e);
    jmp_to(&e->a, e->entry);
    go_hot(e);
    align_rel32(e, always ? 1 : 2);
    if (always) {
        jmp_to(&e->a, e->loop_head);
    } else {
        jcc_to(&e->a, cc, e->loop_head);
    }
    s = tcg_area_take(e->x, sizeof(*s));
    *s = (X86Site){ .rel = e->a.p - 4, .stub = stub };
    e->tb->loop = s;
}

static void emit_goto(Emit *e, const IrOp *op)
{
    TcgLink *l;

    if (e->in_loop && to_self(e, op->imm)) {
        loop_back(e, op);
        return;
    }
    ra_store_dirty(e, false);
    x86_loop_leave(e);
    l = new_link(e, op->imm);
    if (is_backward(e, op->imm)) {
        check_pending(e, l);
    }
    if (far_away(op->imm)) {
        far_jump(e, op->imm);
    } else {
        go_link(e, l, false);
    }
}

/* Side exit with work on the way: dirty slots, budget, cross-page cells. */
static void slow_exit(Emit *e, TcgLink *l, unsigned cc, bool backward)
{
    uint8_t *from, *seen = NULL;

    jcc_to(&e->a, cc, e->a.p);
    from = e->a.p;
    go_cold(e);
    land_near(from, e->a.p);
    ra_store_dirty(e, true);
    x86_loop_leave(e);
    if (e->b->icount && e->insns_begun < e->b->ninsns) {
        alu_mi(&e->a, ALU_ADD, true, ENV(budget), (int32_t)(e->b->ninsns - e->insns_begun));
    }
    if (backward) {
        alu_mi(&e->a, ALU_CMP, false, pending_mem(e->b->target), 0);
        jcc_to(&e->a, CC_NE, e->a.p);
        seen = e->a.p;
    }
    if (far_away(l->disp)) {
        far_jump(e, l->disp);
    } else {
        go_link(e, l, true);
    }
    if (backward) {
        land_near(seen, e->a.p);
        link_stub(e, l, e->xc->exit_pending);
    }
    go_hot(e);
}

static void emit_exit_if(Emit *e, const IrOp *op)
{
    TcgLink *l;
    bool backward = is_backward(e, op->imm), here = backward && !e->set_in_insn && !e->b->icount && e->insn_off != e->b->page_off;
    bool slow = e->ndirty || e->b->icount || e->in_loop || !tcg_disp_same_page(op->imm) || (backward && !here);
    unsigned cc;

    if (e->in_loop && to_self(e, op->imm)) {
        loop_back(e, op);
        return;
    }
    l = new_link(e, op->imm);
    if (here && !slow) {
        check_pending_here(e, e->insn_off);
    }
    cc = emit_compare(e, op->sub, op->in[0], op->in[1]);
    if (slow) {
        slow_exit(e, l, cc, backward);
    } else if (to_self(e, l->disp)) {
        jcc_to(&e->a, cc, e->entry);
        went_to_head(e);
    } else {
        const uint8_t *stub = same_page_stub(e, l);

        align_rel32(e, 2);
        jcc_to(&e->a, cc, stub);
        site_init(e, l, e->a.p - 4, stub);
    }
}

/* ---- indirect ---- */

static Mem jump_cache(unsigned landing)
{
    return landing ? env_mem(offsetof(TcgEnv, landing_jump) + 8 * (landing == 3)) : ENV(jump);
}

/* rax = target, not known yet or not to be reached now: the run loop hears which landing it is. */
static void landing_stub(Emit *e, uint8_t *miss, uint8_t *seen, unsigned landing)
{
    go_cold(e);
    land_near(miss, e->a.p);
    mov_mi(&e->a, false, ENV(landing), (int32_t)landing);
    jmp_to(&e->a, e->xc->lookup_at);
    land_near(seen, e->a.p);
    mov_mi(&e->a, false, ENV(landing), (int32_t)landing);
    jmp_to(&e->a, e->xc->pending_at);
    go_hot(e);
}

/* rax = target; the dispatch cache in line, so that each jump has its own prediction. */
static void inline_dispatch(Emit *e, unsigned landing)
{
    uint8_t *miss, *seen;

    alu_mi(&e->a, ALU_CMP, false, pending_mem(e->b->target), 0);
    jcc_to(&e->a, CC_NE, e->a.p);
    seen = e->a.p;
    mov_rr(&e->a, true, RCX, RAX);
    mov_rr(&e->a, true, RDX, RAX);
    shift_ri(&e->a, SH_SHR, true, RCX, 12);
    shift_ri(&e->a, SH_SHR, true, RDX, 2);
    alu_rr(&e->a, ALU_XOR, false, RCX, RDX);
    alu_ri(&e->a, ALU_AND, false, RCX, JUMP_SIZE - 1);
    shift_ri(&e->a, SH_SHL, false, RCX, 4);
    alu_rm(&e->a, ALU_ADD, true, RCX, jump_cache(landing));
    alu_rm(&e->a, ALU_CMP, true, RAX, mem_bd(RCX, 0));
    jcc_to(&e->a, CC_NE, e->a.p);
    miss = e->a.p;
    alu_ri(&e->a, ALU_AND, true, RAX, -4096);
    mov_mr(&e->a, true, ENV(page_base), RAX);
    jmp_m(&e->a, mem_bd(RCX, 8));
    if (landing) {
        landing_stub(e, miss, seen, landing);
    } else {
        land_near(miss, e->xc->dispatch);
        land_near(seen, e->xc->pending_at);
    }
}

static void ring_return(Emit *e)
{
    int32_t ring = ENV(ring).disp;

    mov_rm(&e->a, false, RCX, ENV(ring_top));
    lea(&e->a, false, RDX, mem_bd(RCX, -16));
    alu_ri(&e->a, ALU_AND, false, RDX, (RING_SIZE - 1) * 16);
    mov_mr(&e->a, false, ENV(ring_top), RDX);
    alu_rm(&e->a, ALU_CMP, true, RAX, mem_bid(RBP, RCX, ring));
    jcc_to(&e->a, CC_NE, e->xc->dispatch);
    mov_rm(&e->a, true, RDX, mem_bid(RBP, RCX, ring + 8));
    alu_mi(&e->a, ALU_CMP, false, pending_mem(e->b->target), 0);
    jcc_to(&e->a, CC_NE, e->xc->pending_at);
    mov_rr(&e->a, true, RCX, RAX);
    alu_ri(&e->a, ALU_AND, true, RCX, -4096);
    mov_mr(&e->a, true, ENV(page_base), RCX);
    jmp_r(&e->a, RDX);
}

static void emit_jump(Emit *e, const IrOp *op)
{
    if (e->loc[op->in[0]].reg != RAX) {
        ra_load_to(e, RAX, op->in[0], true);
    }
    if (op->sub == IR_RET) {
        ring_return(e);
    } else {
        inline_dispatch(e, IR_LANDING_OF(op->sub));
    }
}

static void emit_push_ret(Emit *e, const IrOp *op)
{
    int t = ra_temp(e), key = ra_temp(e);
    int32_t ring = ENV(ring).disp;

    mov_rm(&e->a, false, t, ENV(ring_top));
    alu_ri(&e->a, ALU_ADD, false, t, 16);
    alu_ri(&e->a, ALU_AND, false, t, (RING_SIZE - 1) * 16);
    mov_mr(&e->a, false, ENV(ring_top), t);
    mov_rm(&e->a, true, key, ENV(page_base));
    alu_ri(&e->a, ALU_ADD, true, key, (int32_t)op->imm);
    mov_mr(&e->a, true, mem_bid(RBP, t, ring), key);
    if (tcg_disp_same_page(op->imm)) {
        TcgLink *l = new_link(e, op->imm);
        const uint8_t *stub = same_page_stub(e, l);
        X86Site *s;

        site_init(e, l, NULL, stub);
        s = l->site;
        s->cell = tcg_rx(e->c, stub);
        mov_rm(&e->a, true, key, mem_rip((uint8_t *)s + offsetof(X86Site, cell)));
    } else {
        lea(&e->a, true, key, mem_rip(e->xc->dispatch));
    }
    mov_mr(&e->a, true, mem_bid(RBP, t, ring + 8), key);
}

/* ---- to the run loop ---- */

static void emit_leave(Emit *e, const IrOp *op)
{
    if (op->opc == OP_leave_to) {
        ra_load_to(e, RAX, op->in[0], true);
    } else {
        mov_rm(&e->a, true, RAX, ENV(page_base));
        mov_ri(&e->a, RCX, (uint64_t)op->imm);
        alu_rr(&e->a, ALU_ADD, true, RAX, RCX);
    }
    mov_mr(&e->a, true, ENV(pc), RAX);
    mov_mi(&e->a, true, ENV(exit_arg), op->sub);
    mov_ri(&e->a, RAX, TCG_EXIT_LEAVE);
    jmp_to(&e->a, e->xc->leave);
}

static void emit_raise(Emit *e, const IrOp *op)
{
    ra_store_dirty(e, true);
    x86_loop_leave(e);
    mov_rm(&e->a, true, RAX, ENV(page_base));
    alu_ri(&e->a, ALU_ADD, true, RAX, (int32_t)e->insn_off);
    mov_mr(&e->a, true, ENV(pc), RAX);
    mov_ri(&e->a, RAX, (uint64_t)op->imm);
    mov_mr(&e->a, true, ENV(exit_arg), RAX);
    mov_mi(&e->a, false, ENV(exc), (int32_t)TCG_EXC_RAISE);
    mov_mi(&e->a, true, ENV(fault_ra), 0);
    mov_ri(&e->a, RAX, TCG_EXIT_EXC);
    jmp_to(&e->a, e->xc->leave);
}

static void emit_raise_if(Emit *e, const IrOp *op)
{
    uint8_t *from;

    jcc_to(&e->a, emit_compare(e, op->sub, op->in[0], op->in[1]), e->a.p);
    from = e->a.p;
    go_cold(e);
    land_near(from, e->a.p);
    if (e->b->icount && e->insns_begun < e->b->ninsns) {
        alu_mi(&e->a, ALU_ADD, true, ENV(budget), (int32_t)(e->b->ninsns - e->insns_begun));
    }
    emit_raise(e, op);
    go_hot(e);
}

/* ---- runtime routines ---- */

static void slot_arg(Emit *e, unsigned k, uint16_t in)
{
    unsigned s = in & 0xfff, kind = in >> 12 & 3;
    int p = e->pins->slot_pin[s], t;

    if (kind != IR_ARG_SLOT_OUT) {
        if (p != NOREG) {
            mov_mr(&e->a, true, slot_mem(e, s), p);
        } else if (e->dirty[s]) {
            ra_store_dirty(e, false);
        }
    } else if (p != NOREG) {
        mov_mr(&e->a, true, slot_mem(e, s), p);         /* in case the routine leaves it alone */
    }
    t = ra_temp(e);
    lea(&e->a, true, t, slot_mem(e, s));
    mov_mr(&e->a, true, env_mem(offsetof(TcgEnv, arg) + 8 * k), t);
    ra_unlock(e, t);
}

static void value_arg(Emit *e, unsigned k, uint16_t v, bool narrow)
{
    Mem to = env_mem(offsetof(TcgEnv, arg) + 8 * k);
    int64_t c;
    int r, t;

    if (ra_const(e, v, &c)) {
        c = narrow ? (uint32_t)c : c;
        if (c == (int32_t)c) {
            mov_mi(&e->a, true, to, (int32_t)c);
            return;
        }
        t = ra_temp(e);
        mov_ri_keep(&e->a, t, (uint64_t)c);
        mov_mr(&e->a, true, to, t);
        ra_unlock(e, t);
        return;
    }
    r = ra_use(e, v);
    if (r >= 16) {
        mov_mi(&e->a, true, to, 0);
        store_reg(e, to, r, e->b->values[v].type == IR_F32 ? IR_F32 : IR_F64);
    } else if (narrow && !e->zext[v]) {
        t = ra_temp(e);
        mov_rr(&e->a, false, t, r);
        mov_mr(&e->a, true, to, t);
        ra_unlock(e, t);
    } else {
        mov_mr(&e->a, true, to, r);
    }
    ra_unlock(e, r);
}

/* What the routine may write must not be the only place of a value that is still needed. */
static void before_writes(Emit *e, const IrOp *op, const RtRow *row)
{
    for (unsigned k = 0; k < row->nargs; k++) {
        unsigned s = op->in[k] & 0xfff;

        if ((op->in[k] & IR_IN_SLOT) && (op->in[k] >> 12 & 3) != IR_ARG_SLOT_IN) {
            if (e->pins->slot_pin[s] != NOREG) {
                ra_forget_pin(e, e->pins->slot_pin[s]);
            } else {
                ra_slot_clobbered(e, s);
            }
        }
    }
    if (row->flags & RT_WRITE) {
        for (unsigned s = 0; s < e->b->target->nslots; s++) {
            if (e->pins->slot_pin[s] != NOREG) {
                ra_forget_pin(e, e->pins->slot_pin[s]);
            } else {
                ra_slot_clobbered(e, s);
            }
        }
    }
}

static void emit_call(Emit *e, const IrOp *op)
{
    const RtRow *row = &e->b->target->rt[op->imm];
    bool stored = row->flags & (RT_READ | RT_WRITE);
    unsigned kind = (stored ? X86_CALL_READ : 0) | (row->flags & RT_WRITE ? X86_CALL_WRITE : 0) |
                    (row->flags & (RT_RAISE | RT_MEM) ? X86_CALL_RAISE : 0) | (row->flags & RT_FP ? X86_CALL_FP : 0);

    for (unsigned k = 0; k < row->nargs; k++) {
        if (op->in[k] & IR_IN_SLOT) {
            slot_arg(e, k, op->in[k]);
        } else {
            value_arg(e, k, op->in[k], e->in_type[e->i] >> k & 1);
        }
    }
    if (stored) {
        ra_store_dirty(e, false);
    }
    before_writes(e, op, row);
    ra_evict_xmm(e);
    e->locked = 0;
    ra_take(e, RAX);
    mov_ri(&e->a, RAX, (uint64_t)(uintptr_t)row->fn);
    call_to(&e->a, e->xc->call[kind]);
    side_record(e, stored);
    for (unsigned k = 0; k < row->nargs; k++) {
        int p = op->in[k] & IR_IN_SLOT ? e->pins->slot_pin[op->in[k] & 0xfff] : NOREG;

        if (p != NOREG && (op->in[k] >> 12 & 3) != IR_ARG_SLOT_IN && !(row->flags & RT_WRITE)) {
            mov_rm(&e->a, true, p, slot_mem(e, op->in[k] & 0xfff));
        }
    }
    if (!row->ret || !e->last_use[op->out[0]]) {
        return;
    }
    if (is_xmm_type(op->type)) {
        mov_mr(&e->a, true, ENV(ret[0]), RAX);
        load_reg(e, ra_def(e, op->out[0], NOREG, 0), ENV(ret[0]), op->type);
    } else {
        ra_bind(e, op->out[0], RAX);
    }
}

EmitTable x86_flow_ops = {
    [OP_get] = emit_get, [OP_set] = emit_set, [OP_insn] = emit_insn, [OP_exit_if] = emit_exit_if, [OP_goto] = emit_goto,
    [OP_jump] = emit_jump, [OP_push_ret] = emit_push_ret, [OP_leave] = emit_leave, [OP_leave_to] = emit_leave, [OP_raise] = emit_raise, [OP_raise_if] = emit_raise_if,
    [OP_call] = emit_call,
};
