/* SPDX-License-Identifier: MIT */
/* Several processors: code rewritten by another one, broadcast flushes, monitors, crossing atomics, stopping under load. */
#include <sched.h>
#include <string.h>

#include "tests/accel/toy-target.h"
#include "tests/wait.h"

static const char *accel = "tcg,host=interp";
static unsigned scale = 1;

static ToyBoard *open_smp(unsigned n)
{
    ToyBoard *b = toy_open(accel, n, CLOCK_HOST, 0);
    ToyAsm a = { b, 0x800 };

    toy_emit(&a, T_MFCAUSE, 15, 0, 0);
    toy_emit(&a, T_STOP, 0, 0, 0);
    return b;
}

static ToyAsm cpu_asm(ToyBoard *b, unsigned n)
{
    return (ToyAsm){ b, 0x1000 + 0x1000 * n };
}

static void set(ToyAsm *a, unsigned d, uint64_t val)
{
    if (val < 0x8000) {
        toy_emit(a, T_LI, d, 0, (int)val);
    } else {
        toy_const(a, d, val);
    }
}

/* Wait until the word at x[s]+off is x[v]; x11 is used. */
static void wait_for(ToyAsm *a, unsigned s, int off, unsigned val)
{
    paddr loop = a->at;

    toy_emit(a, T_YIELD, 0, 0, 0);
    toy_emit(a, T_LD, 11, s, off);
    toy_branch(a, T_BNE, 11, val, loop);
}

enum { FLAGS = 0x20000, CODE = 0x8000 };

/* Processor 1 rewrites a function, raises a flag; processor 0 calls it and must see the new one. */
static void test_cross_code(void)
{
    unsigned rounds = 300 * scale;
    ToyBoard *b = open_smp(2);
    ToyAsm a = cpu_asm(b, 0), w = cpu_asm(b, 1), f = { b, CODE };
    paddr loop;

    toy_emit(&f, T_LI, 2, 0, 0);
    toy_emit(&f, T_JR, 0, 4, 0);
    set(&a, 1, FLAGS);
    set(&a, 5, CODE);
    set(&a, 6, 0);
    set(&a, 7, rounds);
    loop = a.at;
    toy_emit(&a, T_ADDI, 6, 6, 1);
    toy_emit(&a, T_ST, 6, 1, 0);                /* I want round x6 */
    wait_for(&a, 1, 8, 6);
    toy_const(&a, 4, a.at + 9 * 4 + 4);
    toy_emit(&a, T_JR, 0, 5, 0);
    toy_emit(&a, T_ADD, 3, 3, 2);
    toy_branch(&a, T_BLT, 6, 7, loop);
    toy_emit(&a, T_STOP, 0, 0, 0);

    set(&w, 1, FLAGS);
    set(&w, 5, CODE);
    set(&w, 6, 0);
    set(&w, 7, rounds);
    toy_const(&w, 8, toy_insn(T_LI, 2, 0, 0));
    set(&w, 9, 0x10000);
    loop = w.at;
    toy_emit(&w, T_ADDI, 6, 6, 1);
    wait_for(&w, 1, 0, 6);
    toy_emit(&w, T_ADD, 8, 8, 9);
    toy_emit(&w, T_ST4, 8, 5, 0);
    toy_emit(&w, T_ST, 6, 1, 8);
    toy_branch(&w, T_BLT, 6, 7, loop);
    toy_emit(&w, T_STOP, 0, 0, 0);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(toy_cpu(b, 0)->x[3], ==, (uint64_t)rounds * (rounds + 1) / 2);
    toy_close(b);
}

enum { PT = 0x100000 };

static bool is_off(ToyBoard *b, unsigned n)
{
    return __atomic_load_n(&machine_cpu(&b->m, n)->power_off, __ATOMIC_ACQUIRE);
}

/* Processor 0 moves a page and flushes everywhere; processor 1 must read the new one afterwards. Processor 2 sleeps. */
static void test_broadcast(void)
{
    unsigned rounds = 300 * scale;
    ToyBoard *b = open_smp(3);
    ToyAsm a = cpu_asm(b, 0), r = cpu_asm(b, 1), z = cpu_asm(b, 2);
    paddr loop;

    for (vaddr va = 0; va < 0x30000; va += 4096) {
        toy_map(b, PT, va, va, TOY_V | TOY_W | TOY_X | TOY_G);
    }
    toy_map(b, PT, PT, PT, TOY_V | TOY_W | TOY_G);
    toy_map(b, PT, 0x60000, 0x60000, TOY_V | TOY_W);
    for (unsigned n = 0; n < 3; n++) {
        ToyAsm *s = n == 0 ? &a : n == 1 ? &r : &z;

        set(s, 5, PT);
        toy_emit(s, T_SETPT, 0, 5, 0);
        set(s, 1, FLAGS);
        set(s, 6, 0);
        set(s, 7, rounds);
        set(s, 8, 0x60000);
    }
    *toy_ram(b, 0x60000) = 0;
    *toy_ram(b, 0x61000) = 1;
    set(&a, 9, PT + 0x60 * 8);
    toy_const(&a, 2, 0x60000 | TOY_V | TOY_W);  /* x2, x3: the two entries, swapped each round */
    toy_const(&a, 3, 0x61000 | TOY_V | TOY_W);
    loop = a.at;
    toy_emit(&a, T_ADDI, 6, 6, 1);
    toy_emit(&a, T_ST, 3, 9, 0);
    toy_emit(&a, T_FLUSHVACPU, 0, 8, 0);
    toy_emit(&a, T_ST, 6, 1, 0);
    wait_for(&a, 1, 8, 6);
    toy_emit(&a, T_ADDI, 10, 2, 0);
    toy_emit(&a, T_ADDI, 2, 3, 0);
    toy_emit(&a, T_ADDI, 3, 10, 0);
    toy_branch(&a, T_BLT, 6, 7, loop);
    toy_emit(&a, T_STOP, 0, 0, 0);

    loop = r.at;
    toy_emit(&r, T_LD, 12, 8, 0);               /* keeps the old one warm */
    toy_emit(&r, T_ADDI, 6, 6, 1);
    wait_for(&r, 1, 0, 6);
    toy_emit(&r, T_LD, 12, 8, 0);
    toy_emit(&r, T_ADD, 3, 3, 12);              /* every second round reads 1 */
    toy_emit(&r, T_ST, 6, 1, 8);
    toy_branch(&r, T_BLT, 6, 7, loop);
    toy_emit(&r, T_STOP, 0, 0, 0);

    toy_emit(&z, T_WFI, 0, 0, 0);
    toy_emit(&z, T_STOP, 0, 0, 0);
    machine_run(&b->m);
    WAIT_UNTIL(is_off(b, 0) && is_off(b, 1), g_usleep(1000));
    cpu_line(machine_cpu(&b->m, 2), 0, 1);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(toy_cpu(b, 1)->x[3], ==, rounds / 2);
    toy_close(b);
}

/* Both count with an exclusive pair and, in another word of the same page, with crossing atomics. */
static void test_counters(void)
{
    unsigned rounds = 1000 * scale;
    ToyBoard *b = open_smp(2);

    for (unsigned n = 0; n < 2; n++) {
        ToyAsm a = cpu_asm(b, n);
        paddr loop, again;

        set(&a, 1, 0x30000);
        set(&a, 2, 0x30ffc);                    /* crosses */
        set(&a, 3, 1);
        set(&a, 4, 0);
        set(&a, 6, rounds);
        loop = a.at;
        again = a.at;
        toy_emit(&a, T_LDX, 7, 1, 0);
        toy_emit(&a, T_ADDI, 7, 7, 1);
        toy_emit(&a, T_STX, 8, 1, 7);
        toy_branch(&a, T_BNE, 8, 4, again);
        toy_emit(&a, T_RMWADD, 9, 2, 3);
        toy_emit(&a, T_ADDI, 10, 1, 64);
        toy_emit(&a, T_RMWADD, 9, 10, 3);       /* inline, same page */
        toy_emit(&a, T_ADDI, 6, 6, -1);
        toy_branch(&a, T_BNE, 6, 4, loop);
        toy_emit(&a, T_STOP, 0, 0, 0);
    }
    g_assert_true(toy_run(b));
    g_assert_cmpuint(*toy_ram(b, 0x30000), ==, 2 * rounds);
    g_assert_cmpuint(*toy_ram(b, 0x30040), ==, 2 * rounds);
    g_assert_cmpuint(toy_get(b, 0x30ffc), ==, 2 * rounds);
    toy_close(b);
}

/* A store of the same value breaks a monitor. */
static void test_same_value(void)
{
    ToyBoard *b = open_smp(2);
    ToyAsm a = cpu_asm(b, 0), w = cpu_asm(b, 1);
    unsigned rounds = 50 * scale;
    paddr loop;

    set(&a, 1, FLAGS);
    set(&a, 2, 0x30000);
    set(&a, 6, 0);
    set(&a, 7, rounds);
    loop = a.at;
    toy_emit(&a, T_ADDI, 6, 6, 1);
    toy_emit(&a, T_LDX, 5, 2, 0);
    toy_emit(&a, T_ST, 6, 1, 0);
    wait_for(&a, 1, 8, 6);
    toy_emit(&a, T_STX, 8, 2, 6);
    toy_emit(&a, T_ADD, 3, 3, 8);
    toy_branch(&a, T_BLT, 6, 7, loop);
    toy_emit(&a, T_STOP, 0, 0, 0);
    set(&w, 1, FLAGS);
    set(&w, 2, 0x30000);
    set(&w, 6, 0);
    set(&w, 7, rounds);
    loop = w.at;
    toy_emit(&w, T_LD, 4, 2, 0);
    toy_emit(&w, T_ST, 4, 2, 0);                /* its TLB entry is there before the other one monitors */
    toy_emit(&w, T_ADDI, 6, 6, 1);
    wait_for(&w, 1, 0, 6);
    toy_emit(&w, T_LD, 4, 2, 0);
    toy_emit(&w, T_ST, 4, 2, 0);
    toy_emit(&w, T_ST, 6, 1, 8);
    toy_branch(&w, T_BLT, 6, 7, loop);
    toy_emit(&w, T_STOP, 0, 0, 0);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(toy_cpu(b, 0)->x[3], ==, rounds);         /* every one failed */
    g_assert_cmpuint(*toy_ram(b, 0x30000), ==, 0);
    toy_close(b);
}

/* A look at a register of a processor that runs: any value that it has had. */
static uint64_t __attribute__((no_sanitize("thread"))) peek(const uint64_t *x)
{
    return *(const volatile uint64_t *)x;
}

/* Stops under registers, sleeping, exclusive sections and code that is rewritten: never a hang, state always in memory. */
static void test_pause(void)
{
    unsigned rounds = scale >= 50 ? 100000 : 2000;
    ToyBoard *b = open_smp(4);
    uint64_t before, after;

    for (unsigned n = 0; n < 4; n++) {
        ToyAsm a = cpu_asm(b, n);
        paddr loop;

        set(&a, 1, n == 0 ? TOY_IO : n == 1 ? 0x30ffc : n == 2 ? 0x40000 : 0x50000);
        set(&a, 3, 1);
        if (n == 3) {
            set(&a, 2, a.at + 9 * 4 + 4);       /* the loop's first instruction */
        }
        loop = a.at;
        switch (n) {
        case 0:
            toy_emit(&a, T_ST, 3, 1, 0);
            break;
        case 1:
            toy_emit(&a, T_RMWADD, 9, 1, 3);
            break;
        case 2:
            toy_emit(&a, T_WFI, 0, 0, 0);
            break;
        default:
            toy_emit(&a, T_LD4, 9, 2, 4);
            toy_emit(&a, T_ST4, 9, 2, 4);       /* rewrites the next instruction with itself */
        }
        toy_emit(&a, T_ADDI, 6, 6, 1);
        toy_emit(&a, T_ADDI, 7, 7, 1);
        toy_branch(&a, T_JMP, 0, 0, loop);
    }
    machine_run(&b->m);
    for (unsigned i = 0; i < rounds; i++) {
        const ToyCpu *t0 = toy_cpu(b, "\0\1\3"[i % 3]);
        uint64_t was = peek(&t0->x[6]);

        cpu_line(machine_cpu(&b->m, 2), 0, i & 1);
        for (unsigned spin = 0; spin < 20 && peek(&t0->x[6]) == was; spin++) {
            sched_yield();                      /* let them run, so that there is something to stop */
        }
        vcpu_pause_all(&b->m);
        before = 0;
        for (unsigned n = 0; n < 4; n++) {
            const ToyCpu *t = toy_cpu(b, n);

            g_assert_cmpuint(t->x[6] - t->x[7], <=, 1);
            before += t->x[6];
        }
        after = 0;
        for (unsigned n = 0; n < 4; n++) {
            after += toy_cpu(b, n)->x[6];
        }
        g_assert_cmpuint(before, ==, after);
        vcpu_resume_all(&b->m);
    }
    for (unsigned n = 0; n < 4; n++) {
        WAIT_UNTIL(peek(&toy_cpu(b, n)->x[6]), g_usleep(1000));
    }
    toy_close(b);
}

/* Little code memory and four processors that fill it. */
static void test_full(void)
{
    g_autofree char *small = g_strdup_printf("%s,tb-size=1", accel);
    ToyBoard *b = toy_open(small, 4, CLOCK_HOST, 0);
    unsigned blocks = 4000;

    for (unsigned i = 0; i < blocks; i++) {
        ToyAsm f = { b, 0x200000 + 64 * i };

        toy_emit(&f, T_ADDI, 2, 2, 1);
        toy_emit(&f, T_ADDI, 1, 1, 64);
        toy_emit(&f, T_JR, 0, 4, 0);
    }
    for (unsigned n = 0; n < 4; n++) {
        ToyAsm a = cpu_asm(b, n);
        paddr loop, outer;

        set(&a, 6, 4);
        set(&a, 9, 0);
        set(&a, 3, 0x200000 + 64 * blocks);
        outer = a.at;
        toy_const(&a, 1, 0x200000);
        toy_const(&a, 4, a.at + 9 * 4 + 4);
        loop = a.at;
        toy_emit(&a, T_JR, 0, 1, 0);
        toy_branch(&a, T_BLT, 1, 3, loop);
        toy_emit(&a, T_ADDI, 6, 6, -1);
        toy_branch(&a, T_BNE, 6, 9, outer);
        toy_emit(&a, T_STOP, 0, 0, 0);
    }
    g_assert_true(toy_run(b));
    for (unsigned n = 0; n < 4; n++) {
        g_assert_cmpuint(toy_cpu(b, n)->x[2], ==, 4 * blocks);
    }
    toy_close(b);
}

enum { LINKED_AT = 0x200000, LINKED = 8000 };

/* The same with direct links from block to block, while one processor keeps writing to their pages. */
static ToyBoard *linked_open(unsigned passes)
{
    g_autofree char *small = g_strdup_printf("%s,tb-size=1", accel);
    ToyBoard *b = toy_open(small, 4, CLOCK_HOST, 0);
    unsigned blocks = LINKED;

    for (unsigned i = 0; i < blocks; i++) {
        ToyAsm f = { b, LINKED_AT + 64 * i };

        toy_emit(&f, T_ADDI, 2, 2, 1);
        if (i + 1 < blocks) {
            toy_branch(&f, T_JMP, 0, 0, f.at + 60);
        } else {
            toy_emit(&f, T_JR, 0, 4, 0);
        }
    }
    for (unsigned n = 0; n < 4; n++) {
        ToyAsm a = cpu_asm(b, n);
        paddr outer, inner;

        set(&a, 6, passes);
        set(&a, 9, 0);
        set(&a, 7, toy_insn(T_ADDI, 2, 2, 1));
        toy_const(&a, 3, LINKED_AT + 64 * blocks);
        outer = a.at;
        toy_const(&a, 1, LINKED_AT);
        toy_const(&a, 4, a.at + 9 * 4 + 4);
        toy_emit(&a, T_JR, 0, 1, 0);
        inner = a.at;
        if (n == 3) {
            toy_emit(&a, T_ST4, 7, 1, 0);       /* what is there already: the block goes all the same */
            toy_emit(&a, T_ADDI, 1, 1, 64 * 16);
            toy_branch(&a, T_BLT, 1, 3, inner);
        }
        toy_emit(&a, T_ADDI, 6, 6, -1);
        toy_branch(&a, T_BNE, 6, 9, outer);
        toy_emit(&a, T_STOP, 0, 0, 0);
    }
    return b;
}

static void linked_close(ToyBoard *b, unsigned passes)
{
    uint64_t evicted = 0;

    g_assert_true(toy_run(b));
    for (unsigned n = 0; n < 4; n++) {
        g_assert_cmpuint(toy_cpu(b, n)->x[2], ==, passes * LINKED);
        evicted += toy_vcpu(b, n)->count.evicted;
    }
    g_assert_cmpuint(evicted, >, 0);
    toy_close(b);
}

static void test_full_links(void)
{
    linked_close(linked_open(3), 3);
}

/* And with a debugger, whose breakpoints change the blocks of a page and take links back. */
static bool off_or_stopped(ToyBoard *b)
{
    bool off = true;

    for (unsigned n = 0; n < 4; n++) {
        off &= __atomic_load_n(&toy_cpu(b, n)->cpu.power_off, __ATOMIC_ACQUIRE);
    }
    return off || machine_poll(&b->m);
}

static unsigned stopped_at(ToyBoard *b, vaddr at)
{
    unsigned here = 0;

    for (unsigned n = 0; n < 4; n++) {
        ToyCpu *t = toy_cpu(b, n);

        if (t->cpu.exit_code == CPU_STOP_BREAKPOINT) {
            g_assert_cmphex(t->env.pc, ==, at);
            here++;
        }
        t->cpu.exit_code = CPU_STOP_NONE;
    }
    return here;
}

static void test_full_debug(void)
{
    unsigned passes = 6 * scale, hits = 0;
    ToyBoard *b = linked_open(passes);

    for (unsigned i = 0; i < 30 * scale; i++) {
        vaddr at = LINKED_AT + 64 * (i * 2741 % LINKED);

        g_assert_true(debug_break_insert(&b->m, 0, at, 4, NULL));
        machine_run(&b->m);
        WAIT_UNTIL(off_or_stopped(b), g_usleep(200));
        machine_pause(&b->m, RUN_DEBUG);
        hits += stopped_at(b, at);
        g_assert_true(debug_break_remove(&b->m, 0, at, 4));
    }
    g_assert_cmpuint(hits, >=, passes / 2);     /* in a pass a processor goes by the breakpoint, or another has and it has moved */
    linked_close(b, passes);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*fn)(void); } tests[] = {
        { "cross-code", test_cross_code }, { "broadcast", test_broadcast }, { "counters", test_counters }, { "same-value", test_same_value },
        { "pause", test_pause }, { "full", test_full }, { "full-links", test_full_links },
        { "full-debug", test_full_debug },
    };

    g_test_init(&argc, &argv, NULL);
    if (argc > 1) {
        accel = argv[1];
    }
    if (argc > 2) {
        scale = (unsigned)atoi(argv[2]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/accel-smp/%s", tests[i].name);

        g_test_add_func(path, tests[i].fn);
    }
    return g_test_run();
}
