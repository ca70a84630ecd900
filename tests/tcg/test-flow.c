/* SPDX-License-Identifier: MIT */
/* From block to block: links, killed blocks, dispatch, returns, the pending word, budgets; on every back end. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/tcg/fake.h"

enum { PAGE = 0x40000 };

typedef struct Fix {
    FakeCpu *cpu;
    TcgCode *code;
    TcgCtx *ctx;
} Fix;

static void open_fix(Fix *f, gconstpointer host)
{
    f->cpu = aligned_alloc(64, (sizeof(FakeCpu) + 63) & ~63ul);
    memset(f->cpu, 0, sizeof(*f->cpu));
    f->cpu->mem = mmap(NULL, FAKE_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->code = f->cpu->code = tcg_code_new(tcg_host_find(host), &fake_target, 4 << 20);
    f->ctx = tcg_ctx_new(f->code);
    tcg_code_set_mem_ops(f->code, &fake_mem_ops);
    memset(&f->cpu->tlb, 0xff, sizeof(f->cpu->tlb));
    jump_clear(f->cpu->jump);
    f->cpu->env.jump = f->cpu->jump;
    f->cpu->env.generation = 1;
    for (unsigned i = 0; i < ENV_MMU_IDX; i++) {
        f->cpu->env.tlb[i] = &f->cpu->tlb;
    }
    tcg_env_init(&f->cpu->env, f->code);
}

static void close_fix(Fix *f, gconstpointer host)
{
    for (unsigned i = 0; i < f->cpu->nblocks; i++) {
        g_free(f->cpu->blocks[i]);
    }
    munmap(f->cpu->mem, FAKE_MEM_SIZE);
    tcg_ctx_free(f->ctx);
    tcg_code_free(f->code);
    free(f->cpu);
}

static IrBlock *begin(Fix *f, uint32_t off)
{
    IrBlock *b = tcg_ctx_ir(f->ctx);

    ir_begin(b, &fake_target, off);
    ir_insn(b, off, 0);
    return b;
}

static void bump(IrBlock *b, unsigned slot, int64_t by)
{
    ir_set(b, slot, ir_addi(b, ir_get(b, slot), by));
}

static TcgBlock *compile(Fix *f)
{
    TcgBlock *tb = g_new0(TcgBlock, 1);

    ir_verify(tcg_ctx_ir(f->ctx));
    g_assert_cmpint(tcg_compile(f->ctx, tb), ==, TCG_COMPILED);
    f->cpu->blocks[f->cpu->nblocks++] = tb;
    return tb;
}

static TcgExit enter(Fix *f, TcgBlock *tb)
{
    f->cpu->env.page_base = PAGE;
    return tcg_enter(&f->cpu->env, f->code, tb);
}

/* x0 += by, then leave */
static TcgBlock *leaf(Fix *f, uint32_t off, int64_t by)
{
    IrBlock *b = begin(f, off);

    bump(b, FAKE_X0, by);
    ir_leave(b, IR_LEAVE_YIELD, off + 4);
    return compile(f);
}

static TcgBlock *goes_to(Fix *f, uint32_t off, int64_t disp)
{
    IrBlock *b = begin(f, off);

    bump(b, FAKE_X0, 1);
    ir_goto(b, disp);
    return compile(f);
}

static void test_link(Fix *f, gconstpointer host)
{
    TcgBlock *a = goes_to(f, 0x100, 0x200), *b = leaf(f, 0x200, 10);
    TcgLink *l;

    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x200);
    l = f->cpu->env.exit_link;
    g_assert_true(l == a->links && l->from == a && !l->cross_page);
    tcg_link_set(f->code, l, b, 1);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->env.exit_arg, ==, IR_LEAVE_YIELD);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x204);
    g_assert_cmpint(f->cpu->x[0], ==, 12);
    tcg_block_kill(f->code, b);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_STALE);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x200);
    g_assert_cmpint(f->cpu->x[0], ==, 13);
    tcg_link_clear(f->code, l);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
}

static void test_cross_page(Fix *f, gconstpointer host)
{
    TcgBlock *a = goes_to(f, 0xff0, 0x1008), *b = leaf(f, 0x8, 10), *c = leaf(f, 0x8, 100);
    TcgLink *l;

    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x1008);
    l = f->cpu->env.exit_link;
    g_assert_true(l->cross_page);
    tcg_link_set(f->code, l, b, 1);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x100c);
    /* another address space has another page there */
    f->cpu->env.generation = 2;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
    tcg_link_set(f->code, l, c, 2);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    f->cpu->env.generation = 1;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->x[0], ==, 1 + 11 + 1 + 101 + 11);
    f->cpu->env.generation = 3;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
}

/* A link that is set again and again is followed by what its target's page holds. */
static void test_confirmed(Fix *f, gconstpointer host)
{
    static TcgFetch fetch[FETCH_SIZE];
    TcgBlock *a = goes_to(f, 0xff0, 0x1008), *b = leaf(f, 0x8, 10);
    TcgFetch *at = &fetch[(PAGE + 0x1000) >> 12 & (FETCH_SIZE - 1)];
    TcgLink *l;

    memset(fetch, 0, sizeof(fetch));
    f->cpu->env.fetch = fetch;
    for (unsigned g = 1; g <= 8; g++) {
        f->cpu->env.generation = g;
        g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
        l = f->cpu->env.exit_link;
        g_assert_false(tcg_link_restless(l));
        tcg_link_set(f->code, l, b, g);
    }
    g_assert_true(tcg_link_restless(l));
    f->cpu->env.generation = 9;
    tcg_link_confirm(l, b, &fetch);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);            /* nothing is known of the page */
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x1008);
    *at = (TcgFetch){ PAGE + 0x1000, a };
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);            /* it holds something else */
    *at = (TcgFetch){ PAGE + 0x1000, &fetch };
    f->cpu->x[0] = 0;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x100c);
    g_assert_cmpint(f->cpu->x[0], ==, 11);
    tcg_link_clear(f->code, l);
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LINK);
}

/* n stores, then on to the next page. */
static TcgCompiled stores(Fix *f, TcgBlock *tb, unsigned n)
{
    IrBlock *b = begin(f, 0x100);

    *tb = (TcgBlock){};
    for (unsigned i = 0; i < n; i++) {
        ir_st(b, ir_addi(b, ir_get(b, FAKE_X0 + (i & 1)), (int64_t)i << 20), ir_get(b, FAKE_X0 + 2), 3);
    }
    ir_goto(b, 0x1000);
    return tcg_compile(f->ctx, tb);
}

/* Blocks that do not fit behind others, or not at all; and the oldest chunk that makes room. */
static void test_chunks(Fix *f, gconstpointer host)
{
    TcgCode *code = tcg_code_new(tcg_host_find(host), &fake_target, 1);
    Fix small = { .cpu = f->cpu, .code = code, .ctx = tcg_ctx_new(code) };
    unsigned chunks = tcg_code_chunks(code), done = 0, kinds;
    uint64_t first;
    TcgCompiled r;
    TcgBlock tb;

    g_assert_cmpint(stores(&small, &tb, 1300), ==, TCG_TOO_BIG);
    while ((r = stores(&small, &tb, 100)) != TCG_FULL) {
        done += r == TCG_COMPILED;
        g_assert_true(r == TCG_COMPILED || r == TCG_AGAIN);
        if (r == TCG_COMPILED) {
            g_assert_cmpuint(tcg_code_chunk_of(code, tb.entry), <, tcg_code_next(code));
        }
    }
    g_assert_cmpuint(done, >, chunks);
    first = tcg_code_oldest(code);
    g_assert_cmpuint(tcg_code_next(code) - first, ==, chunks);
    /* a compiler takes one chunk of each kind at most */
    for (kinds = 0; kinds < 3 && stores(&small, &tb, 100) == TCG_FULL; kinds++) {
        tcg_code_evict(code);
        tcg_ctx_evicted(small.ctx);
    }
    g_assert_cmpuint(tcg_code_oldest(code), ==, first + kinds);
    g_assert_cmpuint(kinds, >, 0);
    tcg_code_reset(code);
    tcg_ctx_evicted(small.ctx);
    g_assert_cmpint(stores(&small, &tb, 100), ==, TCG_COMPILED);
    g_assert_cmpuint(tcg_code_chunk_of(code, tb.entry), >=, first + chunks);
    tcg_ctx_free(small.ctx);
    tcg_code_free(code);
}

static TcgBlock *loop(Fix *f)
{
    IrBlock *b = begin(f, 0x100);

    bump(b, FAKE_X0, -1);
    bump(b, FAKE_X9, 1);
    ir_insn(b, 0x104, 0);
    ir_exit_if(b, IR_NE, ir_get(b, FAKE_X0), ir_i64(b, 0), 0x100);
    ir_leave(b, IR_LEAVE_HALT, 0x108);
    return compile(f);
}

static TcgExit run_linked(Fix *f, TcgBlock *tb)
{
    TcgExit why = enter(f, tb);

    if (why == TCG_EXIT_LINK) {
        tcg_link_set(f->code, f->cpu->env.exit_link, tb, 1);
        why = enter(f, tb);
    }
    return why;
}

static void test_loop(Fix *f, gconstpointer host)
{
    TcgBlock *tb = loop(f);

    f->cpu->x[0] = 1000;
    g_assert_cmpint(run_linked(f, tb), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->x[9], ==, 1000);
    g_assert_cmpint(f->cpu->x[0], ==, 0);
    f->cpu->x[0] = 1000;
    f->cpu->pending = 1;
    g_assert_cmpint(enter(f, tb), ==, TCG_EXIT_PENDING);
    /* wherever it left, going on from there gives the same sum */
    g_assert_true(f->cpu->env.pc == PAGE + 0x100 || f->cpu->env.pc == PAGE + 0x104);
    g_assert_cmpint(f->cpu->x[0], ==, 999);
}

/*
 * x8 and x9 have no register of their own but in the loop; its flags are those of count - 1.  Each turn loads from a page that
 * stays on the slow path, where `at_slow` is called.
 */
static TcgBlock *busy_loop(Fix *f)
{
    IrBlock *b = begin(f, 0x100);
    IrVal x, count;
    IrFlags n;

    x = ir_ld(b, IR_I64, ir_get(b, FAKE_X8), 3);
    ir_set(b, FAKE_X9, ir_add(b, ir_get(b, FAKE_X9), x));
    ir_insn(b, 0x104, 1);
    bump(b, FAKE_X8, 8);
    ir_insn(b, 0x108, 2);
    count = ir_get(b, FAKE_COUNT);
    n = ir_flags_sub(b, count, ir_i64(b, 1));
    ir_set(b, FAKE_COUNT, ir_addi(b, count, -1));
    ir_set(b, FAKE_N, n.n);
    ir_set(b, FAKE_Z, n.z);
    ir_set(b, FAKE_C, n.c);
    ir_set(b, FAKE_V, n.v);
    ir_insn(b, 0x10c, 3);
    ir_exit_if(b, IR_NE, n.z, ir_i32(b, 1), 0x100);
    ir_insn(b, 0x110, 4);
    ir_leave(b, IR_LEAVE_YIELD, 0x110);
    return compile(f);
}

enum { AT = 5 };        /* turns before something happens */

static void start_busy(Fix *f, void (*at_slow)(FakeCpu *))
{
    f->cpu->at_slow = at_slow;
    f->cpu->slow = 0;
    f->cpu->x[7] = 777;
    f->cpu->x[8] = FAKE_MEM_BASE + 0x1000;
    f->cpu->x[9] = 0;
    f->cpu->count = 10;
    f->cpu->flag[0] = f->cpu->flag[1] = f->cpu->flag[3] = 1;
    f->cpu->flag[2] = 0;
    for (unsigned i = 0; i < 20; i++) {
        f->cpu->mem[0x1000 + 8 * i] = 1;
    }
}

/* State in front of a turn (or of its last instruction) after `n` turns. */
static void check_busy(Fix *f, unsigned n)
{
    g_assert_cmpint(f->cpu->x[7], ==, 777);
    g_assert_cmphex(f->cpu->x[8], ==, FAKE_MEM_BASE + 0x1000 + 8 * n);
    g_assert_cmpint(f->cpu->x[9], ==, n);
    g_assert_cmpint(f->cpu->count, ==, 10 - n);
    g_assert_cmpint(f->cpu->flag[0], ==, 0);
    g_assert_cmpint(f->cpu->flag[1], ==, n == 10);
    g_assert_cmpint(f->cpu->flag[2], ==, 1);
    g_assert_cmpint(f->cpu->flag[3], ==, 0);
}

static void then_pending(FakeCpu *cpu) { cpu->pending = cpu->slow == AT; }

static void then_kill(FakeCpu *cpu)
{
    if (cpu->slow == AT) {
        tcg_block_kill(cpu->code, cpu->blocks[0]);
    }
}

static void then_fault(FakeCpu *cpu)
{
    if (cpu->slow == AT) {
        cpu->env.arg[0] = 0;
    }
}

static void test_busy_loop(Fix *f, gconstpointer host)
{
    TcgBlock *tb = busy_loop(f);
    TcgExit why;

    start_busy(f, NULL);
    while ((why = enter(f, tb)) == TCG_EXIT_LINK && f->cpu->env.pc == PAGE + 0x100) {
    }
    /* a loop goes on behind its end by a link, to where the block's own end would have gone */
    g_assert_true(why == TCG_EXIT_LEAVE || why == TCG_EXIT_LINK);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x110);
    check_busy(f, 10);

    start_busy(f, then_pending);
    while ((why = enter(f, tb)) == TCG_EXIT_LINK) {
    }
    g_assert_cmpint(why, ==, TCG_EXIT_PENDING);
    g_assert_true(f->cpu->env.pc == PAGE + 0x100 || f->cpu->env.pc == PAGE + 0x10c);
    check_busy(f, AT);
    f->cpu->pending = 0;

    start_busy(f, then_fault);
    while ((why = enter(f, tb)) == TCG_EXIT_LINK) {
    }
    g_assert_cmpint(why, ==, TCG_EXIT_EXC);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x100);
    check_busy(f, AT - 1);
    f->cpu->env.exc = 0;

    start_busy(f, then_kill);
    while ((why = enter(f, tb)) == TCG_EXIT_LINK) {
    }
    g_assert_cmpint(why, ==, TCG_EXIT_STALE);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x100);
    check_busy(f, AT);
}

static void test_dispatch(Fix *f, gconstpointer host)
{
    IrBlock *b = begin(f, 0x100);
    TcgBlock *a, *to;
    uint64_t pc = 0x77000;

    ir_jump(b, ir_get(b, FAKE_X3), IR_JUMP);
    a = compile(f);
    to = leaf(f, 0, 5);
    f->cpu->x[3] = pc;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(f->cpu->env.pc, ==, pc);
    f->cpu->jump[jump_index(pc)] = (JumpEntry){ pc, to->entry };
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LEAVE);
    g_assert_cmphex(f->cpu->env.pc, ==, pc + 4);
    /* the address that marks empty entries is an address like others */
    f->cpu->x[3] = UINT64_MAX;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_LOOKUP);
    f->cpu->x[3] = pc;
    f->cpu->pending = 1;
    g_assert_cmpint(enter(f, a), ==, TCG_EXIT_PENDING);
    g_assert_cmphex(f->cpu->env.pc, ==, pc);
}

static void test_return(Fix *f, gconstpointer host)
{
    IrBlock *b = begin(f, 0x100);
    TcgBlock *call, *callee, *after;
    TcgExit why;

    ir_set(b, FAKE_X5, ir_pc(b, 0x104));
    ir_push_ret(b, 0x104);
    ir_goto(b, 0x400);
    call = compile(f);
    b = begin(f, 0x400);
    bump(b, FAKE_X0, 1);
    ir_jump(b, ir_get(b, FAKE_X5), IR_RET);
    callee = compile(f);
    after = leaf(f, 0x104, 100);
    g_assert_cmpint(enter(f, call), ==, TCG_EXIT_LINK);
    tcg_link_set(f->code, f->cpu->env.exit_link, callee, 1);
    why = enter(f, call);
    g_assert_true(why == TCG_EXIT_LINK || why == TCG_EXIT_LOOKUP);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x104);
    if (why == TCG_EXIT_LINK) {
        tcg_link_set(f->code, f->cpu->env.exit_link, after, 1);
    } else {
        f->cpu->jump[jump_index(PAGE + 0x104)] = (JumpEntry){ PAGE + 0x104, after->entry };
    }
    g_assert_cmpint(enter(f, call), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->x[0], ==, 1 + 1 + 100);
    /* a return to somewhere else does not follow the prediction */
    f->cpu->x[5] = 0x99000;
    g_assert_cmpint(enter(f, callee), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(f->cpu->env.pc, ==, 0x99000);
    tcg_env_flush_ring(&f->cpu->env);
    f->cpu->x[5] = UINT64_MAX;
    g_assert_cmpint(enter(f, callee), ==, TCG_EXIT_LOOKUP);
}

static void test_budget(Fix *f, gconstpointer host)
{
    IrBlock *b = begin(f, 0x100);
    TcgBlock *tb;

    b->icount = true;
    bump(b, FAKE_X0, 1);
    ir_insn(b, 0x104, 0);
    ir_exit_if(b, IR_EQ, ir_get(b, FAKE_X1), ir_i64(b, 7), 0x300);
    ir_insn(b, 0x108, 0);
    ir_insn(b, 0x10c, 0);
    ir_leave(b, IR_LEAVE_YIELD, 0x110);
    tb = compile(f);
    f->cpu->env.budget = 10;
    g_assert_cmpint(enter(f, tb), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->env.budget, ==, 6);
    f->cpu->x[1] = 7;
    g_assert_cmpint(enter(f, tb), ==, TCG_EXIT_LINK);
    g_assert_cmpint(f->cpu->env.budget, ==, 4);
    f->cpu->x[1] = 0;
    g_assert_cmpint(enter(f, tb), ==, TCG_EXIT_LEAVE);
    g_assert_cmpint(f->cpu->env.budget, ==, 0);
    f->cpu->env.budget = 3;
    g_assert_cmpint(enter(f, tb), ==, TCG_EXIT_BUDGET);
    g_assert_cmpint(f->cpu->env.budget, ==, 3);
    g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x100);
    g_assert_cmpint(f->cpu->x[0], ==, 3);
}

/* A fault in the middle of a group of accesses: what was before is done, what is after is not. */
static void test_group_fault(Fix *f, gconstpointer host)
{
    uint64_t end = FAKE_MEM_BASE + FAKE_MEM_SIZE - 4096;
    IrBlock *b = begin(f, 0x100);
    IrVal base = ir_get(b, FAKE_X1);
    TcgBlock *tb;

    for (unsigned i = 0; i < 4; i++) {
        ir_insn(b, 0x104 + 4 * i, 100 + i);
        ir_st(b, ir_addi(b, base, 8 * i), ir_i64(b, 40 + i), 3);
        bump(b, FAKE_X0, 1);
    }
    ir_leave(b, IR_LEAVE_YIELD, 0x200);
    tb = compile(f);
    for (unsigned ok = 0; ok <= 4; ok++) {
        f->cpu->env.exc = 0;
        f->cpu->x[0] = 0;
        memset(f->cpu->mem, 0, FAKE_MEM_SIZE);
        f->cpu->x[1] = end - 8 * ok;
        g_assert_cmpint(enter(f, tb), ==, ok == 4 ? TCG_EXIT_LEAVE : TCG_EXIT_EXC);
        g_assert_cmpint(f->cpu->x[0], ==, ok);
        if (ok < 4) {
            g_assert_cmpint(f->cpu->fault_word, ==, 100 + ok);
            g_assert_cmphex(f->cpu->fault_addr, ==, end);
            g_assert_cmphex(f->cpu->env.pc, ==, PAGE + 0x104 + 4 * ok);
        }
        for (unsigned i = 0; i < ok; i++) {
            g_assert_cmpint(f->cpu->mem[f->cpu->x[1] - FAKE_MEM_BASE + 8 * i], ==, 40 + i);
        }
    }
}

static void add(const char *name, const char *host, void (*fn)(Fix *, gconstpointer))
{
    g_autofree char *path = g_strdup_printf("/flow/%s/%s", host, name);

    g_test_add(path, Fix, host, open_fix, fn, close_fix);
}

int main(int argc, char **argv)
{
    static const char *const hosts[] = { "interp", "x86_64" };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(hosts); i++) {
        if (!tcg_host_find(hosts[i])) {
            continue;
        }
        add("link", hosts[i], test_link);
        add("cross-page", hosts[i], test_cross_page);
        add("confirmed", hosts[i], test_confirmed);
        add("chunks", hosts[i], test_chunks);
        add("loop", hosts[i], test_loop);
        add("busy-loop", hosts[i], test_busy_loop);
        add("dispatch", hosts[i], test_dispatch);
        add("return", hosts[i], test_return);
        add("budget", hosts[i], test_budget);
        add("group-fault", hosts[i], test_group_fault);
    }
    return g_test_run();
}
