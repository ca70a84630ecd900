/* SPDX-License-Identifier: MIT */
/*
 * The hand-written part: entering and leaving generated code, slow paths and
 * routine calls that keep every register, dispatch, constants.  Emitted once
 * per code memory, at its start.
 *
 * Inside generated code rsp is a multiple of 16; a thunk is entered by call.
 */
#include <stddef.h>

#include "tcg/target.h"
#include "tcg/x86_64/emit.h"
#include "util/bits.h"

typedef struct Th {
    Asm a;
    TcgCode *c;
    X86Code *xc;
} Th;

static const int8_t callee_saved[] = { RBX, RBP, R12, R13, R14, R15 };
static const int8_t caller_saved[] = { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11 };

static Mem save_mem(int r) { return env_mem(offsetof(TcgEnv, save_gpr) + 8 * (unsigned)r); }
static Mem vec_mem(unsigned i) { return env_mem(offsetof(TcgEnv, save_vec) + 32 * i); }

static Mem slot_of_pin(Th *t, int r)
{
    return mem_bd(RBP, t->c->target->slots[t->xc->pins.pin_slot[r]].offset - ENV_BIAS);
}

static void pins_to_slots(Th *t)
{
    for (uint32_t m = t->xc->pins.pin_mask; m; m &= m - 1) {
        mov_mr(&t->a, true, slot_of_pin(t, (int)ctz32(m)), (int)ctz32(m));
    }
}

static void slots_to_pins(Th *t)
{
    for (uint32_t m = t->xc->pins.pin_mask; m; m &= m - 1) {
        mov_rm(&t->a, true, (int)ctz32(m), slot_of_pin(t, (int)ctz32(m)));
    }
}

static void mxcsr(Th *t, unsigned load_or_store, Mem m)
{
    op_rm(&t->a, M0F | 0xae, false, load_or_store, m);
}
enum { LDMXCSR = 2, STMXCSR = 3 };

/* ---- in and out ---- */

static void make_enter(Th *t)
{
    t->xc->enter = tcg_rx(t->c, t->a.p);
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++) {
        push_r(&t->a, callee_saved[i]);
    }
    alu_ri(&t->a, ALU_SUB, true, RSP, 72);
    lea(&t->a, true, RBP, mem_bd(RDI, ENV_BIAS));
    mov_mr(&t->a, true, ENV(entry_sp), RSP);
    mxcsr(t, STMXCSR, ENV(host_mxcsr));
    mxcsr(t, LDMXCSR, ENV(guest_mxcsr));
    mov_rm(&t->a, true, R15, ENV(tlb[0]));
    mov_rr(&t->a, true, RAX, RSI);
    slots_to_pins(t);
    jmp_r(&t->a, RAX);
}

static void make_leave(Th *t)
{
    t->xc->leave = t->a.p;
    pins_to_slots(t);
    t->xc->leave_exc = t->a.p;
    mov_rm(&t->a, true, RSP, ENV(entry_sp));
    mxcsr(t, STMXCSR, ENV(guest_mxcsr));
    mxcsr(t, LDMXCSR, ENV(host_mxcsr));
    mov_mr(&t->a, false, ENV(exit_reason), RAX);
    alu_ri(&t->a, ALU_ADD, true, RSP, 72);
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;) {
        pop_r(&t->a, callee_saved[i]);
    }
    ret(&t->a);
}

static void leave_with(Th *t, TcgExit why)
{
    mov_ri(&t->a, RAX, why);
    jmp_to(&t->a, t->xc->leave);
}

/* rax = link (rx address): the pc it leads to, and which link it was. */
static const uint8_t *make_exit_link(Th *t, TcgExit why)
{
    const uint8_t *start = t->a.p;

    mov_rm(&t->a, true, RCX, mem_bd(RAX, offsetof(TcgLink, disp)));
    alu_rm(&t->a, ALU_ADD, true, RCX, ENV(page_base));
    mov_mr(&t->a, true, ENV(pc), RCX);
    mov_ri(&t->a, RCX, (uint64_t)(t->c->rw - t->c->rx));
    alu_rr(&t->a, ALU_ADD, true, RAX, RCX);
    mov_mr(&t->a, true, ENV(exit_link), RAX);
    leave_with(t, why);
    return start;
}

/* No way of a link has this generation.  All scratch registers are free at the end of a block. */
static void make_cross_miss(Th *t)
{
    uint8_t *none, *elsewhere, *other;

    t->xc->cross_miss = t->a.p;
    mov_rm(&t->a, true, RDX, mem_bd(RAX, offsetof(TcgLink, site)));
    mov_rm(&t->a, true, R14, mem_bd(RDX, offsetof(TcgCells, confirmed)));      /* before the token, as with generations */
    mov_rm(&t->a, true, RDX, mem_bd(RDX, offsetof(TcgCells, token)));
    test_rr(&t->a, true, RDX, RDX);
    none = jcc_short(&t->a, CC_E);
    mov_rm(&t->a, true, RCX, mem_bd(RAX, offsetof(TcgLink, disp)));
    alu_rm(&t->a, ALU_ADD, true, RCX, ENV(page_base));
    alu_ri(&t->a, ALU_AND, true, RCX, -4096);
    mov_rr(&t->a, false, R13, RCX);
    shift_ri(&t->a, SH_SHR, false, R13, 8);             /* page number times sizeof(TcgFetch) */
    alu_ri(&t->a, ALU_AND, false, R13, (FETCH_SIZE - 1) * (int)sizeof(TcgFetch));
    alu_rm(&t->a, ALU_ADD, true, R13, ENV(fetch));
    alu_rm(&t->a, ALU_CMP, true, RCX, mem_bd(R13, offsetof(TcgFetch, page)));
    elsewhere = jcc_short(&t->a, CC_NE);
    alu_rm(&t->a, ALU_CMP, true, RDX, mem_bd(R13, offsetof(TcgFetch, token)));
    other = jcc_short(&t->a, CC_NE);
    mov_mr(&t->a, true, ENV(page_base), RCX);
    jmp_r(&t->a, R14);
    land_short(&t->a, none);
    land_short(&t->a, elsewhere);
    land_short(&t->a, other);
    jmp_to(&t->a, t->xc->exit_link);
}

static void make_pending(Th *t)
{
    t->xc->pending_at = t->a.p;
    mov_mr(&t->a, true, ENV(pc), RAX);
    leave_with(t, TCG_EXIT_PENDING);
}

static void make_dispatch(Th *t)
{
    uint8_t *miss;

    t->xc->dispatch = t->a.p;
    alu_mi(&t->a, ALU_CMP, false, pending_mem(t->c->target), 0);
    jcc_to(&t->a, CC_NE, t->xc->pending_at);
    mov_rr(&t->a, true, RCX, RAX);
    mov_rr(&t->a, true, RDX, RAX);
    shift_ri(&t->a, SH_SHR, true, RCX, 12);
    shift_ri(&t->a, SH_SHR, true, RDX, 2);
    alu_rr(&t->a, ALU_XOR, false, RCX, RDX);
    alu_ri(&t->a, ALU_AND, false, RCX, JUMP_SIZE - 1);
    shift_ri(&t->a, SH_SHL, false, RCX, 4);
    alu_rm(&t->a, ALU_ADD, true, RCX, ENV(jump));
    mov_rr(&t->a, true, RDX, RAX);
    alu_ri(&t->a, ALU_AND, true, RDX, -4096);
    mov_mr(&t->a, true, ENV(page_base), RDX);
    alu_rm(&t->a, ALU_CMP, true, RAX, mem_bd(RCX, 0));
    miss = jcc_short(&t->a, CC_NE);
    jmp_m(&t->a, mem_bd(RCX, 8));
    land_short(&t->a, miss);
    t->xc->lookup_at = t->a.p;
    mov_mr(&t->a, true, ENV(pc), RAX);
    leave_with(t, TCG_EXIT_LOOKUP);
}

/* Called from in front of a killed block: [return address - 9] is its page offset.  A dispatch leaves the address of its entry in rcx. */
static void make_stale(Th *t)
{
    t->xc->stale = t->a.p;
    pop_r(&t->a, RAX);
    mov_mr(&t->a, true, ENV(exit_arg), RCX);
    mov_rm(&t->a, false, RCX, mem_bd(RAX, -9));
    alu_rm(&t->a, ALU_ADD, true, RCX, ENV(page_base));
    mov_mr(&t->a, true, ENV(pc), RCX);
    leave_with(t, TCG_EXIT_STALE);
}

/* ---- slow paths ---- */

static void save_all(Th *t)
{
    for (int r = 0; r < 16; r++) {
        if (r != RSP && r != RBP) {
            mov_mr(&t->a, true, save_mem(r), r);
        }
    }
    mov_rm(&t->a, true, RCX, mem_bd(RSP, 0));
    mov_mr(&t->a, true, ENV(fault_ra), RCX);
}

static void vectors(Th *t, uint32_t op)
{
    for (unsigned i = 0; i < 16; i++) {
        op_rm(&t->a, M0F | op, false, XMM0 + (int)i, vec_mem(i));      /* movups */
    }
}

static void restore_caller_saved(Th *t, bool rax)
{
    for (unsigned i = !rax; i < ARRAY_SIZE(caller_saved); i++) {
        mov_rm(&t->a, true, caller_saved[i], save_mem(caller_saved[i]));
    }
}

static void leave_on_exc(Th *t, unsigned cc)
{
    uint8_t *fine = jcc_short(&t->a, cc ^ 1);

    mov_ri(&t->a, RAX, TCG_EXIT_EXC);
    jmp_to(&t->a, t->xc->leave_exc);
    land_short(&t->a, fine);
}

static const uint8_t *make_mem(Th *t, unsigned which, bool vec)
{
    static const uint8_t fn[] = {
        [X86_LOAD1] = offsetof(TcgMemOps, load), [X86_LOAD2] = offsetof(TcgMemOps, load), [X86_STORE1] = offsetof(TcgMemOps, store),
        [X86_STORE2] = offsetof(TcgMemOps, store), [X86_CAS1] = offsetof(TcgMemOps, cas), [X86_CAS2] = offsetof(TcgMemOps, cas),
        [X86_RMW] = offsetof(TcgMemOps, rmw), [X86_PROBE] = offsetof(TcgMemOps, probe),
    };
    const uint8_t *start = t->a.p;

    save_all(t);
    if (vec) {
        vectors(t, 0x11);
    }
    alu_ri(&t->a, ALU_SUB, true, RSP, 8);
    lea(&t->a, true, RDI, mem_bd(RBP, -ENV_BIAS));
    mov_rm(&t->a, false, RSI, ENV(arg[7]));
    if (which == X86_RMW) {
        mov_rm(&t->a, false, RDX, ENV(arg[6]));
    } else if (which == X86_PROBE) {
        mov_rm(&t->a, false, RDX, ENV(arg[5]));
        mov_rm(&t->a, false, RCX, ENV(arg[6]));
    } else {
        mov_ri(&t->a, RDX, which == X86_LOAD1 || which == X86_STORE1 || which == X86_CAS1 ? 1 : 2);
    }
    mov_ri(&t->a, RAX, (uint64_t)(uintptr_t)&t->c->mem);
    mov_rm(&t->a, true, RAX, mem_bd(RAX, 0));
    op_rm(&t->a, 0xff, false, 2, mem_bd(RAX, fn[which]));
    alu_ri(&t->a, ALU_ADD, true, RSP, 8);
    op_rr8(&t->a, 0x84, RAX, RAX);
    leave_on_exc(t, CC_E);
    mov_mi(&t->a, true, ENV(fault_ra), 0);
    if (vec) {
        vectors(t, 0x10);
    }
    restore_caller_saved(t, true);
    mov_rm(&t->a, true, R15, ENV(tlb[0]));
    ret(&t->a);
    return start;
}

/* ---- runtime routines: rax = function, arguments in env->arg ---- */

static const uint8_t *make_call(Th *t, unsigned kind)
{
    const uint8_t *start = t->a.p;

    save_all(t);
    if (kind & X86_CALL_READ) {
        pins_to_slots(t);
    }
    alu_ri(&t->a, ALU_SUB, true, RSP, 24);
    mov_rm(&t->a, true, R11, ENV(arg[5]));
    mov_mr(&t->a, true, mem_bd(RSP, 0), R11);
    lea(&t->a, true, RDI, mem_bd(RBP, -ENV_BIAS));
    mov_rm(&t->a, true, RSI, ENV(arg[0]));
    mov_rm(&t->a, true, RDX, ENV(arg[1]));
    mov_rm(&t->a, true, RCX, ENV(arg[2]));
    mov_rm(&t->a, true, R8, ENV(arg[3]));
    mov_rm(&t->a, true, R9, ENV(arg[4]));
    if (kind & X86_CALL_FP) {
        mxcsr(t, STMXCSR, ENV(guest_mxcsr));
        mxcsr(t, LDMXCSR, ENV(host_mxcsr));
    }
    call_r(&t->a, RAX);
    if (kind & X86_CALL_FP) {
        mxcsr(t, LDMXCSR, ENV(guest_mxcsr));
    }
    alu_ri(&t->a, ALU_ADD, true, RSP, 24);
    if (kind & X86_CALL_RAISE) {
        alu_mi(&t->a, ALU_CMP, false, ENV(exc), 0);
        leave_on_exc(t, CC_NE);
    }
    mov_mi(&t->a, true, ENV(fault_ra), 0);
    restore_caller_saved(t, false);
    if (kind & X86_CALL_WRITE) {
        slots_to_pins(t);
    }
    mov_rm(&t->a, true, R15, ENV(tlb[0]));
    ret(&t->a);
    return start;
}

/* ---- operations out of line: rax = X86Eval ---- */

static void run_eval(TcgEnv *env, const X86Eval *x)
{
    const TcgVal *in[6];
    TcgVal *out[4];

    for (unsigned i = 0; i < x->nin; i++) {
        in[i] = (const TcgVal *)env->op_in[i];
    }
    for (unsigned i = 0; i < x->nout; i++) {
        out[i] = x->used >> i & 1 ? (TcgVal *)env->op_out[i] : NULL;
    }
    if (!tcg_eval(&x->e, in, out)) {
        g_error("operation %s has no evaluator", ir_op_info[x->e.opc].name);
    }
}

static const uint8_t *make_eval_thunk(Th *t, bool vec)
{
    const uint8_t *start = t->a.p;

    for (unsigned i = 0; i < ARRAY_SIZE(caller_saved); i++) {
        mov_mr(&t->a, true, save_mem(caller_saved[i]), caller_saved[i]);
    }
    if (vec) {
        vectors(t, 0x11);
    }
    alu_ri(&t->a, ALU_SUB, true, RSP, 8);
    lea(&t->a, true, RDI, mem_bd(RBP, -ENV_BIAS));
    mov_rr(&t->a, true, RSI, RAX);
    mov_ri(&t->a, RAX, (uint64_t)(uintptr_t)run_eval);
    call_r(&t->a, RAX);
    alu_ri(&t->a, ALU_ADD, true, RSP, 8);
    if (vec) {
        vectors(t, 0x10);
    }
    restore_caller_saved(t, true);
    ret(&t->a);
    return start;
}

/* ---- constants ---- */

static void make_consts(Th *t)
{
    uint8_t *k;

    t->a.p = (uint8_t *)(((uintptr_t)t->a.p + 63) & ~(uintptr_t)63);
    k = t->a.p;
    t->xc->consts = k;
    for (unsigned i = 0; i < 16; i++) {
        static const uint8_t bits_in[16] = { 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4 };

        k[C_NEG32 + i] = i % 4 == 3 ? 0x80 : 0;
        k[C_ABS32 + i] = i % 4 == 3 ? 0x7f : 0xff;
        k[C_NEG64 + i] = i % 8 == 7 ? 0x80 : 0;
        k[C_ABS64 + i] = i % 8 == 7 ? 0x7f : 0xff;
        k[C_ONES + i] = 0xff;
        k[C_TBL + i] = 0x70;                /* paddusb: an index of 16 or more gets its top bit */
        k[C_REV + i] = i ^ 1;
        k[C_REV + 16 + i] = i ^ 3;
        k[C_REV + 32 + i] = i ^ 7;
        k[C_REV16 + i] = i ^ 2;
        k[C_REV16 + 16 + i] = i ^ 6;
        k[C_NIB + i] = 0x0f;
        k[C_MIN32 + i] = i % 4 == 2 ? 0x80 : 0;
        k[C_MIN64 + i] = i % 8 == 6 ? 0x10 : 0;
        k[C_LOW32 + i] = i % 4 == 3 ? 0x20 : i % 4 == 2 ? 0x80 : 0;
        k[C_LOW64 + i] = i % 8 == 7 ? 0x20 : i % 8 == 6 ? 0x10 : 0;
        k[C_CNT + i] = bits_in[i];
    }
    t->a.p += C_SIZE;
}

void x86_make_thunks(TcgCode *c, X86Code *xc)
{
    Th t = { .a = { c->rw }, .c = c, .xc = xc };

    make_consts(&t);
    make_enter(&t);
    make_leave(&t);
    xc->exit_link = make_exit_link(&t, TCG_EXIT_LINK);
    xc->exit_pending = make_exit_link(&t, TCG_EXIT_PENDING);
    make_cross_miss(&t);
    make_pending(&t);
    make_dispatch(&t);
    make_stale(&t);
    for (unsigned vec = 0; vec < 2; vec++) {
        for (unsigned k = 0; k < 8; k++) {
            xc->mem[vec][k] = make_mem(&t, k, vec);
        }
    }
    for (unsigned kind = 0; kind < 16; kind++) {
        xc->call[kind] = make_call(&t, kind);
    }
    xc->eval = make_eval_thunk(&t, false);
    xc->eval_all = make_eval_thunk(&t, true);
    c->fixed = (size_t)(t.a.p - c->rw);
}
