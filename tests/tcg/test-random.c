/* SPDX-License-Identifier: MIT */
/*
 * Random blocks on every back end and with host features switched off must do
 * the same as the interpreter: slots, memory, way out, precise state of faults.
 *
 * usage: test-tcg-random [--blocks=N] [--first=SEED] [-- glib options]
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/tcg/gen.h"

static unsigned long blocks = 400, first = 1;
static unsigned groups = GEN_ALL;

typedef struct Side {
    FakeCpu *cpu;
    TcgCode *code;
    TcgCtx *ctx;
} Side;

static void side_open(Side *s, const char *host)
{
    s->cpu = aligned_alloc(64, (sizeof(FakeCpu) + 63) & ~63ul);
    memset(s->cpu, 0, sizeof(*s->cpu));
    s->cpu->mem = mmap(NULL, FAKE_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s->code = tcg_code_new(tcg_host_find(host), &fake_target, 16 << 20);
    s->ctx = tcg_ctx_new(s->code);
    tcg_code_set_mem_ops(s->code, &fake_mem_ops);
    s->cpu->code = s->code;
}

static void side_close(Side *s)
{
    munmap(s->cpu->mem, FAKE_MEM_SIZE);
    tcg_ctx_free(s->ctx);
    tcg_code_free(s->code);
    free(s->cpu);
}

static void start_state(FakeCpu *cpu, Rng r)
{
    for (unsigned i = 0; i < 12; i++) {
        cpu->x[i] = rnd_value(&r);
    }
    for (unsigned i = 0; i < 4; i++) {
        cpu->flag[i] = rnd(&r) >> 40 & 1;
        cpu->q[i][0] = rnd_value(&r);
        cpu->q[i][1] = rnd_value(&r);
    }
    for (unsigned i = 0; i < 2; i++) {
        cpu->w[i] = (uint32_t)rnd_value(&r);
        cpu->d[i] = rnd_value(&r);
        cpu->s[i] = (uint32_t)rnd_value(&r);
    }
    for (unsigned i = 0; i < FAKE_MEM_SIZE; i += 8) {
        uint64_t v = rnd(&r);

        memcpy(cpu->mem + i, &v, 8);
    }
    cpu->count = 1 + rnd(&r) % 6;
    cpu->env.exc = 0;
    cpu->env.exit_arg = 0;
    cpu->env.fault_ra = NULL;
    cpu->env.guest_mxcsr = 0x1f80;
    cpu->fault_addr = cpu->fault_word = cpu->fault_insns = cpu->slow = 0;
    cpu->env.page_base = 0x4000;
    cpu->env.generation = 1;
    cpu->env.jump = cpu->jump;
    cpu->env.ring_top = 0;
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        cpu->tlb.load[i].tag = cpu->tlb.store[i].tag = TLB_INVALID;
    }
    jump_clear(cpu->jump);
    for (unsigned i = 0; i < ENV_MMU_IDX; i++) {
        cpu->env.tlb[i] = &cpu->tlb;
    }
}

static TcgExit run(Side *s, Rng state)
{
    static TcgBlock tb;
    static IrBlock keep;
    TcgCompiled r;
    TcgExit why;

    keep = *tcg_ctx_ir(s->ctx);                         /* compiling uses it up */
    start_state(s->cpu, state);
    tcg_env_init(&s->cpu->env, s->code);
    for (tb = (TcgBlock){}; (r = tcg_compile(s->ctx, &tb)) != TCG_COMPILED; tb = (TcgBlock){}) {
        g_assert_cmpint(r, !=, TCG_TOO_BIG);
        if (r == TCG_FULL) {
            tcg_code_reset(s->code);
            tcg_ctx_reset(s->ctx);
        }
        *tcg_ctx_ir(s->ctx) = keep;
    }
    s->cpu->blocks[0] = &tb;
    s->cpu->nblocks = 1;
    do {
        why = tcg_enter(&s->cpu->env, s->code, &tb);
    } while (why == TCG_EXIT_LINK && s->cpu->env.pc == 0x4000 + tb.page_off);
    return why;
}

static bool same(const Side *a, const Side *b, TcgExit ea, TcgExit eb, GString *why)
{
    const FakeCpu *x = a->cpu, *y = b->cpu;

#define SAME(what, p, q) do { if ((p) != (q)) { g_string_append_printf(why, "%s: %llx, not %llx\n", what, (unsigned long long)(q), (unsigned long long)(p)); } } while (0)
    SAME("exit", ea, eb);
    SAME("pc", x->env.pc, y->env.pc);
    if (ea == TCG_EXIT_LEAVE || ea == TCG_EXIT_EXC) {
        SAME("exit_arg", x->env.exit_arg, y->env.exit_arg);
    }
    SAME("count", x->count, y->count);
    SAME("exc", x->env.exc, y->env.exc);
    SAME("fault address", x->fault_addr, y->fault_addr);
    SAME("fault word", x->fault_word, y->fault_word);
    SAME("fault insns", x->fault_insns, y->fault_insns);
    for (unsigned i = 0; i < 12; i++) {
        char name[8];

        g_snprintf(name, sizeof(name), "x%u", i);
        SAME(name, x->x[i], y->x[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        char name[8];

        g_snprintf(name, sizeof(name), "flag%u", i);
        SAME(name, x->flag[i], y->flag[i]);
        g_snprintf(name, sizeof(name), "q%u.lo", i);
        SAME(name, x->q[i][0], y->q[i][0]);
        g_snprintf(name, sizeof(name), "q%u.hi", i);
        SAME(name, x->q[i][1], y->q[i][1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        SAME("w", x->w[i], y->w[i]);
        SAME("d", x->d[i], y->d[i]);
        SAME("s", x->s[i], y->s[i]);
    }
    if (memcmp(x->mem, y->mem, FAKE_MEM_SIZE)) {
        g_string_append(why, "memory differs\n");
    }
#undef SAME
    return !why->len;
}

static void compare(const char *host, void (*gen)(Rng *, IrBlock *, unsigned))
{
    Side a, b;

    side_open(&a, "interp");
    side_open(&b, host);
    for (unsigned long seed = first; seed < first + blocks; seed++) {
        Rng r = { seed * 0x9e3779b97f4a7c15ull | 1 }, state;
        GString *why = g_string_new(NULL);
        TcgExit ea, eb;

        rnd(&r);
        rnd(&r);
        state = (Rng){ rnd(&r) | 1 };
        gen(&r, tcg_ctx_ir(a.ctx), groups);
        ir_verify(tcg_ctx_ir(a.ctx));
        memcpy(tcg_ctx_ir(b.ctx), tcg_ctx_ir(a.ctx), sizeof(IrBlock));
        ea = run(&a, state);
        if (g_getenv("SHOW")) {
            ir_print(stderr, tcg_ctx_ir(a.ctx));
        }
        eb = run(&b, state);
        if (!same(&a, &b, ea, eb, why)) {
            ir_print(stderr, tcg_ctx_ir(a.ctx));
            tcg_dump_host(stderr, tcg_host_find(host), b.cpu->blocks[0]);
            g_error("seed %lu on %s:\n%s", seed, host, why->str);
        }
        g_string_free(why, TRUE);
    }
    side_close(&a);
    side_close(&b);
}

static void both(void)
{
    compare(NULL, gen_block);
    compare(NULL, gen_loop);
}

static void test_plain(void) { compare(NULL, gen_block); }
static void test_loops(void) { compare(NULL, gen_loop); }

static void without(const char *features)
{
    g_auto(GStrv) list = g_strsplit(features, ",", 0);

    if (g_test_subprocess()) {
        for (unsigned i = 0; list[i]; i++) {
            tcg_host_disable(list[i]);
        }
        both();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

static void test_no_bmi(void) { without("bmi,lzcnt,sha"); }
static void test_no_avx(void) { without("avx,movbe,aes,sha,clmul,fma"); }

int main(int argc, char **argv)
{
    const char *env = g_getenv("TCG_GROUPS");

    g_test_init(&argc, &argv, NULL);
    for (int i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--blocks=")) {
            blocks = strtoul(argv[i] + 9, NULL, 0);
        } else if (g_str_has_prefix(argv[i], "--first=")) {
            first = strtoul(argv[i] + 8, NULL, 0);
        }
    }
    if (g_getenv("TCG_BLOCKS")) {
        blocks = strtoul(g_getenv("TCG_BLOCKS"), NULL, 0);
    }
    groups = env ? (unsigned)strtoul(env, NULL, 0) : GEN_ALL;
    g_test_add_func("/random/all-features", test_plain);
    g_test_add_func("/random/loops", test_loops);
    g_test_add_func("/random/no-bmi", test_no_bmi);
    g_test_add_func("/random/no-avx", test_no_avx);
    return g_test_run();
}
