/* SPDX-License-Identifier: MIT */
/* One processor: memory, faults, code that changes, contexts, debugging, counts; on each back end. */
#include <string.h>

#include "tests/accel/toy-target.h"
#include "tests/wait.h"

static const char *accel = "tcg,host=interp";

/* Exceptions: x15 = cause, x14 = badva, x13 = epc, then on behind the instruction. */
static void skip_handler(ToyBoard *b)
{
    ToyAsm a = { b, 0x800 };

    toy_emit(&a, T_MFCAUSE, 15, 0, 0);
    toy_emit(&a, T_MFBADVA, 14, 0, 0);
    toy_emit(&a, T_MFEPC, 13, 0, 0);
    toy_emit(&a, T_ADDI, 12, 13, 4);
    toy_emit(&a, T_MTEPC, 0, 12, 0);
    toy_emit(&a, T_ERET, 0, 0, 0);
}

static ToyBoard *open_one(void)
{
    ToyBoard *b = toy_open(accel, 1, CLOCK_HOST, 0);

    skip_handler(b);
    return b;
}

static void finish(ToyBoard *b, ToyAsm *a)
{
    toy_emit(a, T_STOP, 0, 0, 0);
    g_assert_true(toy_run(b));
}

static void test_loop(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };

    toy_const(&a, 1, 300000);
    toy_emit(&a, T_LI, 2, 0, 0);
    toy_emit(&a, T_ADD, 2, 2, 1);               /* loop: */
    toy_emit(&a, T_ADDI, 1, 1, -1);
    toy_emit(&a, T_LI, 3, 0, 0);
    toy_branch(&a, T_BNE, 1, 3, a.at - 12);
    finish(b, &a);
    g_assert_cmpuint(toy_cpu(b, 0)->x[2], ==, 300000ull * 300001 / 2);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.blocks, <, 20);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.exits[TCG_EXIT_LINK], <, 20);
    toy_close(b);
}

static void test_sizes(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    memset(toy_ram(b, 0x20000), 0xaa, 0x3000);
    toy_const(&a, 1, 0x20ffc);                  /* 4 bytes before a page end */
    toy_const(&a, 2, 0x1122334455667788);
    toy_emit(&a, T_ST, 2, 1, 0);                /* crosses */
    toy_emit(&a, T_LD, 3, 1, 0);
    toy_emit(&a, T_LD4, 4, 1, 1);               /* unaligned within and across */
    toy_emit(&a, T_LD1, 5, 1, 7);
    toy_emit(&a, T_ST16B, 2, 1, 0x10);          /* big endian */
    toy_emit(&a, T_LI, 6, 0, -2);
    toy_emit(&a, T_ST4, 6, 1, 0x20);
    toy_emit(&a, T_LD4, 7, 1, 0x20);
    toy_emit(&a, T_STP, 2, 1, -8);              /* 16 bytes across the page end */
    toy_emit(&a, T_LDP, 8, 1, -8);
    finish(b, &a);
    g_assert_cmphex(t->x[3], ==, 0x1122334455667788);
    g_assert_cmphex(t->x[4], ==, 0x44556677);
    g_assert_cmphex(t->x[5], ==, 0x11);
    g_assert_cmphex(((uint8_t *)toy_ram(b, 0))[0x2100c], ==, 0x77);
    g_assert_cmphex(((uint8_t *)toy_ram(b, 0))[0x2100d], ==, 0x88);
    g_assert_cmphex(t->x[7], ==, (uint64_t)-2);
    g_assert_cmphex(t->x[8], ==, 0x1122334455667788);
    g_assert_cmphex(t->x[9], ==, 0x1122334455667788);
    toy_close(b);
}

/* A structure across a page end: accesses that share a check would never pass it; soon they have checks of their own. */
static void test_ungroup(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);
    const Counters *c = &toy_vcpu(b, 0)->count;
    enum { N = 100000 };

    toy_state(b)->needless_ns = UINT64_MAX;
    *toy_ram(b, 0x20ff8) = 3;
    toy_const(&a, 1, 0x20ff8);
    toy_const(&a, 2, N);
    toy_emit(&a, T_LI, 3, 0, 0);
    toy_emit(&a, T_LI, 6, 0, 0);
    toy_emit(&a, T_LD, 4, 1, 0);                /* loop: */
    toy_emit(&a, T_LD, 5, 1, 8);
    toy_emit(&a, T_ADD, 5, 5, 4);
    toy_emit(&a, T_ST, 5, 1, 8);
    toy_emit(&a, T_ADDI, 2, 2, -1);
    toy_branch(&a, T_BNE, 2, 3, a.at - 20);
    finish(b, &a);
    g_assert_cmpuint(*toy_ram(b, 0x21000), ==, 3 * N);
    g_assert_cmpuint(t->x[5], ==, 3 * N);
    if (!strstr(accel, "x86_64")) {
        g_assert_cmpuint(c->ungrouped, ==, 0);
    } else {
        g_assert_cmpuint(c->ungrouped, >, 0);
        g_assert_cmpuint(c->slow_load + c->slow_store, <, N);
    }
    toy_close(b);
}

enum { PT = 0x100000 };

static void map_identity(ToyBoard *b, paddr pt)
{
    for (vaddr va = 0; va < 0x10000; va += 4096) {
        toy_map(b, pt, va, va, TOY_V | TOY_W | TOY_X | TOY_G);
    }
    toy_map(b, pt, pt, pt, TOY_V | TOY_W | TOY_G);
}

static void test_faults(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    map_identity(b, PT);
    toy_map(b, PT, 0x40000, 0x40000, TOY_V | TOY_W);
    toy_map(b, PT, 0x41000, 0x41000, TOY_V);    /* read only */
    toy_const(&a, 1, PT);
    toy_emit(&a, T_SETPT, 0, 1, 0);
    toy_const(&a, 1, 0x40ffc);
    toy_const(&a, 2, 0x1122334455667788);
    toy_emit(&a, T_ST, 2, 1, 0);                /* second part faults: nothing is written */
    toy_emit(&a, T_ADDI, 3, 15, 0);
    toy_emit(&a, T_ADDI, 4, 14, 0);
    toy_emit(&a, T_STP, 2, 1, -4);
    toy_emit(&a, T_ADDI, 5, 14, 0);
    toy_emit(&a, T_LI, 6, 0, 77);
    toy_emit(&a, T_LD, 6, 1, 0x1000);           /* second page is not there: x6 stays */
    toy_emit(&a, T_ADDI, 7, 14, 0);
    toy_emit(&a, T_LI, 15, 0, 0);
    toy_emit(&a, T_LDALIGN, 8, 1, 1);
    toy_emit(&a, T_ADDI, 9, 15, 0);
    toy_const(&a, 1, 0x50000);
    toy_emit(&a, T_LI, 10, 0, 5);
    toy_emit(&a, T_CAS, 10, 1, 2);
    finish(b, &a);
    g_assert_cmpuint(t->x[3], ==, CAUSE_STORE);
    g_assert_cmphex(t->x[4], ==, 0x41000);
    g_assert_cmphex(t->x[5], ==, 0x41000);      /* its first byte in the second page */
    g_assert_cmphex(*toy_ram(b, 0x40ff8), ==, 0);
    g_assert_cmphex(t->x[6], ==, 77);
    g_assert_cmphex(t->x[7], ==, 0x42000);
    g_assert_cmpuint(t->x[9], ==, CAUSE_ALIGN);
    g_assert_cmpuint(t->cause, ==, CAUSE_STORE);
    g_assert_cmpuint(t->x[10], ==, 5);
    toy_close(b);
}

static void test_io(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    toy_const(&a, 1, TOY_IO);
    toy_emit(&a, T_LD, 2, 1, 0);
    toy_emit(&a, T_LD4, 3, 1, 4);
    toy_emit(&a, T_ST4, 3, 1, 8);
    toy_emit(&a, T_LDP, 4, 1, 16);              /* two reads, in order */
    toy_emit(&a, T_LD, 6, 1, 0x800);            /* refused */
    toy_emit(&a, T_ADDI, 7, 15, 0);
    toy_const(&a, 1, TOY_HOLE);
    toy_emit(&a, T_LI, 15, 0, 0);
    toy_emit(&a, T_ST, 2, 1, 0);
    toy_const(&a, 1, TOY_IO);
    toy_emit(&a, T_LI, 9, 0, 100);
    toy_emit(&a, T_RMWADD, 8, 1, 9);            /* read 5, write 105 */
    finish(b, &a);
    g_assert_cmpuint(t->x[2], ==, 1);
    g_assert_cmpuint(t->x[3], ==, 2);
    g_assert_cmpuint(t->x[4], ==, 3);
    g_assert_cmpuint(t->x[5], ==, 4);
    g_assert_cmpuint(t->x[7], ==, CAUSE_BUS);
    g_assert_cmpuint(t->x[15], ==, CAUSE_BUS);
    g_assert_cmphex(t->badva, ==, TOY_HOLE);
    g_assert_cmpuint(t->x[8], ==, 5);
    g_assert_cmpuint(b->io_last, ==, 105);
    g_assert_cmpuint(b->io_writes, ==, 2);
    toy_close(b);
}

/* ---- code that changes ---- */

static void test_next_insn(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };

    toy_const(&a, 1, toy_insn(T_LI, 2, 0, 22));
    toy_const(&a, 3, a.at + 9 * 4 + 8);         /* toy_const is 9 instructions: two behind the store */
    toy_emit(&a, T_LI, 4, 0, 1);
    toy_emit(&a, T_ST4, 1, 3, 0);
    g_assert_cmphex(a.at, ==, 0x1000 + (9 + 9 + 2) * 4);
    toy_emit(&a, T_LI, 2, 0, 11);               /* overwritten by the store before, in the same block */
    finish(b, &a);
    g_assert_cmpuint(toy_cpu(b, 0)->x[2], ==, 22);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.retries, ==, 1);
    toy_close(b);
}

/* A function at 0x3000 that is rewritten `times` times and called after each. */
static void rewrite(unsigned times, unsigned limit_blocks)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, f = { b, 0x3000 };
    paddr loop, ret;

    toy_emit(&f, T_LI, 2, 0, 0);
    toy_emit(&f, T_ADD, 3, 3, 2);
    toy_emit(&f, T_JR, 0, 4, 0);
    toy_const(&a, 1, toy_insn(T_LI, 2, 0, 0));
    toy_const(&a, 5, 0x3000);
    toy_const(&a, 6, times);
    toy_const(&a, 7, 0x10000);                  /* one in the imm field */
    toy_emit(&a, T_LI, 3, 0, 0);
    toy_emit(&a, T_LI, 8, 0, 0);
    ret = a.at + 4 * 12;
    toy_const(&a, 4, ret);
    loop = a.at;
    toy_emit(&a, T_ADD, 1, 1, 7);
    toy_emit(&a, T_ST4, 1, 5, 0);
    toy_emit(&a, T_JR, 0, 5, 0);
    g_assert_cmphex(a.at, ==, ret);
    toy_emit(&a, T_ADDI, 6, 6, -1);
    toy_branch(&a, T_BNE, 6, 8, loop);
    finish(b, &a);
    g_assert_cmpuint(toy_cpu(b, 0)->x[3], ==, (uint64_t)times * (times + 1) / 2);
    if (limit_blocks) {
        g_assert_cmpuint(toy_vcpu(b, 0)->count.blocks, >, 0);
    }
    toy_close(b);
}

static void test_rewrite(void)
{
    rewrite(5, 0);
    rewrite(2000, 1);                           /* hot */
}

/* Data beside code: the page stays protected, the code stays. */
static void test_granules(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    paddr loop;

    toy_const(&a, 1, 0x1800);
    toy_const(&a, 2, 1000);
    toy_emit(&a, T_LI, 3, 0, 0);
    loop = a.at;
    toy_emit(&a, T_ST, 2, 1, 0);
    toy_emit(&a, T_ADDI, 2, 2, -1);
    toy_branch(&a, T_BNE, 2, 3, loop);
    finish(b, &a);
    g_assert_cmpuint(*toy_ram(b, 0x1800), ==, 1);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.code_store, >=, 1000);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.code_hit, ==, 0);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.blocks, <, 10);
    toy_close(b);
}

static void test_dma_to_code(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    uint32_t insn = toy_insn(T_LI, 2, 0, 33);

    toy_emit(&a, T_LI, 2, 0, 11);
    finish(b, &a);
    g_assert_cmpuint(toy_cpu(b, 0)->x[2], ==, 11);
    g_assert_false(page_is_plain(toy_state(b), 0x1000));
    dma_write(b->m.as, 0x1000, &insn, 4, MEM_ATTRS_NONE);
    g_assert_true(page_is_plain(toy_state(b), 0x1000));         /* its only block is gone */
    toy_cpu(b, 0)->env.pc = 0x1000;
    toy_cpu(b, 0)->cpu.power_off = false;
    g_assert_true(toy_run(b));
    g_assert_cmpuint(toy_cpu(b, 0)->x[2], ==, 33);
    toy_close(b);
}

static void test_full(void)
{
    ToyBoard *b = toy_open("tcg,host=interp,tb-size=1", 1, CLOCK_HOST, 0);
    ToyAsm a = { b, 0x1000 };
    paddr loop;

    for (paddr at = 0x200000; at < 0x400000; at += 64) {        /* 32768 blocks */
        ToyAsm f = { b, at };

        toy_emit(&f, T_ADDI, 2, 2, 1);
        toy_emit(&f, T_ADDI, 1, 1, 64);
        toy_emit(&f, T_JR, 0, 4, 0);
    }
    toy_const(&a, 1, 0x200000);
    toy_const(&a, 3, 0x400000);
    toy_const(&a, 4, a.at + 9 * 4 + 8);
    toy_emit(&a, T_LI, 2, 0, 0);
    loop = a.at;
    toy_emit(&a, T_JR, 0, 1, 0);
    toy_branch(&a, T_BLT, 1, 3, loop);
    finish(b, &a);
    g_assert_cmpuint(toy_cpu(b, 0)->x[2], ==, 32768);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.evicted, >, 0);
    toy_close(b);
}

/* ---- contexts ---- */

/* Two address spaces with different code and data at the same addresses, switched many times. */
static void test_asids(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, f = { b, 0x60000 }, g = { b, 0x70000 };
    ToyCpu *t = toy_cpu(b, 0);
    paddr loop;

    for (unsigned n = 0; n < 2; n++) {
        paddr pt = n ? 0x110000 : PT;

        map_identity(b, pt);
        toy_map(b, pt, 0x60000, n ? 0x70000 : 0x60000, TOY_V | TOY_X);
        toy_map(b, pt, 0x80000, n ? 0x90000 : 0x80000, TOY_V | TOY_W);
    }
    toy_emit(&f, T_ADDI, 2, 2, 1);
    toy_emit(&f, T_ST, 2, 8, 0);
    toy_emit(&f, T_JR, 0, 4, 0);
    toy_emit(&g, T_ADDI, 3, 3, 1);
    toy_emit(&g, T_ST, 3, 8, 0);
    toy_emit(&g, T_JR, 0, 4, 0);
    toy_const(&a, 5, PT);
    toy_const(&a, 6, 0x110000);
    toy_const(&a, 7, 0x60000);
    toy_const(&a, 8, 0x80000);
    toy_emit(&a, T_LI, 9, 0, 1000);
    toy_emit(&a, T_LI, 10, 0, 1);
    toy_emit(&a, T_LI, 11, 0, 2);
    toy_emit(&a, T_LI, 1, 0, 0);
    loop = a.at;
    for (unsigned n = 0; n < 2; n++) {
        toy_emit(&a, T_SETASID, 0, 10 + n, 0);
        toy_emit(&a, T_SETPT, 0, 5 + n, 0);
        toy_const(&a, 4, a.at + 9 * 4 + 4);
        toy_emit(&a, T_JR, 0, 7, 0);
    }
    toy_emit(&a, T_ADDI, 9, 9, -1);
    toy_branch(&a, T_BNE, 9, 1, loop);
    finish(b, &a);
    g_assert_cmpuint(t->x[2], ==, 1000);
    g_assert_cmpuint(t->x[3], ==, 1000);
    g_assert_cmpuint(*toy_ram(b, 0x80000), ==, 1000);
    g_assert_cmpuint(*toy_ram(b, 0x90000), ==, 1000);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.contexts_made, <, 10);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.walks, <, 100);
    toy_close(b);
}

/* A page of code and one of data are remapped; after the flush the new ones are seen, whatever was linked. */
static void remap(bool all, unsigned extra)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, f = { b, 0x60000 }, g = { b, 0x70000 };
    ToyCpu *t = toy_cpu(b, 0);
    paddr loop;

    map_identity(b, PT);
    toy_map(b, PT, 0x60000, 0x60000, TOY_V | TOY_X | extra);
    *toy_ram(b, 0x61000) = 0;
    toy_emit(&f, T_ADDI, 2, 2, 1);
    toy_emit(&f, T_JR, 0, 4, 0);
    toy_emit(&g, T_ADDI, 3, 3, 1);
    toy_emit(&g, T_JR, 0, 4, 0);
    toy_const(&a, 5, PT);
    toy_emit(&a, T_SETPT, 0, 5, 0);
    toy_const(&a, 5, PT + 0x60 * 8);
    toy_const(&a, 6, 0x70000 | TOY_V | TOY_X | extra);
    toy_const(&a, 7, 0x60000);
    toy_const(&a, 4, a.at + 9 * 4 + 4 * 4);
    toy_emit(&a, T_LI, 9, 0, 10);
    toy_emit(&a, T_LI, 1, 0, 0);
    loop = a.at;
    toy_emit(&a, T_ADDI, 9, 9, -1);
    toy_branch(&a, T_JMP, 0, 0, 0x60000);       /* a direct link across pages */
    toy_branch(&a, T_BNE, 9, 1, loop);
    toy_emit(&a, T_ST, 6, 5, 0);
    toy_emit(&a, all ? T_FLUSH : T_FLUSHVA, 0, 7, 0);
    toy_const(&a, 4, a.at + 9 * 4 + 4);
    toy_branch(&a, T_JMP, 0, 0, 0x60000);
    finish(b, &a);
    g_assert_cmpuint(t->x[2], ==, 10);
    g_assert_cmpuint(t->x[3], ==, 1);
    toy_close(b);
}

static void test_remap(void)
{
    remap(false, 0);
    remap(false, TOY_G);
    remap(true, 0);
    remap(true, TOY_G);
}

/* Part of a large mapping is flushed: all its pages go. */
static void test_large(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    map_identity(b, PT);
    toy_map(b, PT, 0x200000, 0x200000, TOY_V | TOY_W | TOY_2M);
    toy_map(b, PT, 0x203000, 0x203000, TOY_V | TOY_W | TOY_2M);
    toy_map(b, PT, PT + 0x1000, PT + 0x1000, TOY_V | TOY_W);       /* where its entry is */
    *toy_ram(b, 0x203000) = 1;
    *toy_ram(b, 0x403000) = 2;
    toy_const(&a, 5, PT);
    toy_emit(&a, T_SETPT, 0, 5, 0);
    toy_const(&a, 5, PT + 0x203 * 8);
    toy_const(&a, 6, 0x403000 | TOY_V | TOY_W | TOY_2M);
    toy_const(&a, 7, 0x203000);
    toy_const(&a, 8, 0x200000);
    toy_emit(&a, T_LD, 1, 7, 0);
    toy_emit(&a, T_ST, 6, 5, 0);
    toy_emit(&a, T_FLUSHVA, 0, 8, 0);
    toy_emit(&a, T_LD, 2, 7, 0);
    finish(b, &a);
    g_assert_cmpuint(t->x[1], ==, 1);
    g_assert_cmpuint(t->x[2], ==, 2);
    toy_close(b);
}

/* More large mappings than are remembered: those that are not are not cached either. */
static void test_large_many(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);
    enum { N = 3 * LARGE_WAYS };
    vaddr at[N];

    map_identity(b, PT);
    for (unsigned i = 0; i < 8; i++) {          /* the table itself */
        toy_map(b, PT, PT + (i << 12), PT + (i << 12), TOY_V | TOY_W);
    }
    toy_const(&a, 5, PT);
    toy_emit(&a, T_SETPT, 0, 5, 0);
    toy_emit(&a, T_LI, 2, 0, 0);
    for (unsigned k = 1; k <= N; k++) {         /* region numbers that share a set */
        uint64_t number = k << 9 | (0x60 ^ k);

        at[k - 1] = (number - 1) << 21;
        toy_map(b, PT, at[k - 1] + 0x3000, 0x403000, TOY_V | TOY_W | TOY_2M);
        toy_const(&a, 7, at[k - 1] + 0x3000);
        toy_emit(&a, T_LD, 1, 7, 0);
    }
    *toy_ram(b, 0x403000) = 1;
    *toy_ram(b, 0x405000) = 2;
    for (unsigned k = 0; k < N; k++) {
        toy_const(&a, 5, PT + ((at[k] + 0x3000) >> 12 & 0xfff) * 8);
        toy_const(&a, 6, 0x405000 | TOY_V | TOY_W | TOY_2M);
        toy_emit(&a, T_ST, 6, 5, 0);
        toy_const(&a, 8, at[k]);
        toy_emit(&a, T_FLUSHVA, 0, 8, 0);       /* another page of it */
        toy_const(&a, 7, at[k] + 0x3000);
        toy_emit(&a, T_LD, 1, 7, 0);
        toy_emit(&a, T_ADD, 2, 2, 1);
    }
    finish(b, &a);
    g_assert_cmpuint(t->x[2], ==, 2 * N);
    toy_close(b);
}

/* Code was fetched under an ASID that is flushed while another one runs: links hold if it has not moved. */
static uint64_t flushed_elsewhere(bool moved)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, f = { b, 0x60000 }, g = { b, 0x70000 };
    ToyCpu *t = toy_cpu(b, 0);
    uint64_t generations;

    map_identity(b, PT);
    toy_map(b, PT, 0x60000, 0x60000, TOY_V | TOY_X);
    toy_emit(&f, T_ADDI, 2, 2, 1);
    toy_emit(&f, T_JR, 0, 4, 0);
    toy_emit(&g, T_ADDI, 3, 3, 1);
    toy_emit(&g, T_JR, 0, 4, 0);
    toy_const(&a, 5, PT);
    toy_emit(&a, T_LI, 10, 0, 1);
    toy_emit(&a, T_LI, 11, 0, 2);
    toy_emit(&a, T_SETASID, 0, 10, 0);
    toy_emit(&a, T_SETPT, 0, 5, 0);
    toy_const(&a, 4, a.at + 10 * 4);
    toy_branch(&a, T_JMP, 0, 0, 0x60000);
    toy_const(&a, 4, a.at + 10 * 4);
    toy_branch(&a, T_JMP, 0, 0, 0x60000);
    toy_emit(&a, T_SETASID, 0, 11, 0);
    toy_const(&a, 5, PT + 0x60 * 8);
    toy_const(&a, 6, (moved ? 0x70000 : 0x60000) | TOY_V | TOY_X);
    toy_emit(&a, T_ST, 6, 5, 0);
    toy_emit(&a, T_FLUSH, 0, 0, 0);
    toy_emit(&a, T_SETASID, 0, 10, 0);
    toy_const(&a, 4, a.at + 10 * 4);
    toy_branch(&a, T_JMP, 0, 0, 0x60000);
    finish(b, &a);
    g_assert_cmpuint(t->x[2], ==, moved ? 2 : 3);
    g_assert_cmpuint(t->x[3], ==, moved);
    g_assert_cmpuint(toy_vcpu(b, 0)->count.checks, >, 0);
    generations = toy_vcpu(b, 0)->count.generations;
    toy_close(b);
    return generations;
}

static void test_flushed_elsewhere(void)
{
    g_assert_cmpuint(flushed_elsewhere(false), <, flushed_elsewhere(true));
}

/* The last address is one like all others: nothing is dispatched there by mistake. */
static void test_last_pc(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, h = { b, 0x800 };
    ToyCpu *t = toy_cpu(b, 0);

    toy_emit(&h, T_MFCAUSE, 15, 0, 0);
    toy_emit(&h, T_MFEPC, 13, 0, 0);
    toy_emit(&h, T_STOP, 0, 0, 0);
    toy_emit(&a, T_LI, 1, 0, -1);
    toy_emit(&a, T_JR, 0, 1, 0);
    finish(b, &a);
    g_assert_cmpuint(t->x[15], ==, CAUSE_BUS);
    g_assert_cmphex(t->x[13], ==, UINT64_MAX);
    toy_close(b);
}

/* ---- atomics, monitors, interrupts ---- */

static void test_atomics(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    toy_put(b, 0x20ffc, 5);
    *toy_ram(b, 0x30000) = 7;
    toy_const(&a, 1, 0x20ffc);                  /* across pages */
    toy_emit(&a, T_LI, 2, 0, 3);
    toy_emit(&a, T_RMWADD, 3, 1, 2);
    toy_emit(&a, T_LI, 4, 0, 8);
    toy_emit(&a, T_CAS, 4, 1, 2);               /* 8 -> 3 */
    toy_const(&a, 1, 0x30000);
    toy_emit(&a, T_LI, 5, 0, 9);
    toy_emit(&a, T_CAS, 5, 1, 2);               /* fails, 7 comes back */
    toy_emit(&a, T_LDX, 6, 1, 0);
    toy_emit(&a, T_STX, 7, 1, 2);               /* 7 -> 3 */
    toy_emit(&a, T_STX, 8, 1, 4);               /* no monitor any more */
    toy_emit(&a, T_LD, 9, 1, 0);
    finish(b, &a);
    g_assert_cmpuint(t->x[3], ==, 5);
    g_assert_cmpuint(t->x[4], ==, 8);
    g_assert_cmpuint(toy_get(b, 0x20ffc), ==, 3);
    g_assert_cmpuint(t->x[5], ==, 7);
    g_assert_cmpuint(t->x[6], ==, 7);
    g_assert_cmpuint(t->x[7], ==, 0);
    g_assert_cmpuint(t->x[8], ==, 1);
    g_assert_cmpuint(t->x[9], ==, 3);
    toy_close(b);
}

static void test_irq(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 }, h = { b, 0x800 };
    ToyCpu *t = toy_cpu(b, 0);
    paddr loop;

    toy_emit(&h, T_MFCAUSE, 15, 0, 0);
    toy_emit(&h, T_STOP, 0, 0, 0);
    toy_emit(&a, T_IRQ, 0, 0, 1);
    toy_emit(&a, T_LI, 2, 0, 0x3000);
    loop = a.at;
    toy_emit(&a, T_ADDI, 1, 1, 1);
    toy_emit(&a, T_ST, 1, 2, 0);
    toy_branch(&a, T_JMP, 0, 0, loop);
    machine_run(&b->m);
    WAIT_UNTIL(__atomic_load_n(toy_ram(b, 0x3000), __ATOMIC_ACQUIRE), g_usleep(100));     /* the loop has begun */
    cpu_line(&t->cpu, 0, 1);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(t->x[15], ==, CAUSE_IRQ);
    g_assert_cmpuint(t->x[1], >, 0);
    toy_close(b);
}

/* Sleeps until the line goes up; then goes on behind WFI. */
static void test_sleep(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    toy_emit(&a, T_LI, 1, 0, 1);
    toy_emit(&a, T_WFI, 0, 0, 0);
    toy_emit(&a, T_LI, 1, 0, 2);
    toy_emit(&a, T_STOP, 0, 0, 0);
    machine_run(&b->m);
    WAIT_UNTIL(__atomic_load_n(&t->cpu.where, __ATOMIC_SEQ_CST) == VCPU_SLEEPING, g_usleep(1000));
    g_assert_cmpuint(t->x[1], ==, 1);
    cpu_line(&t->cpu, 0, 1);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(t->x[1], ==, 2);
    toy_close(b);
}

/* A device holds the vCPU that wrote to it: a loop behind the write does not go on, pauses work, other vCPUs run. */
static void hold_current(ToyBoard *b)
{
    (void)b;
    vcpu_hold(vcpu_current());
}

/* Counts in the word at 0x20000 + 0x1000 * n for ever. */
static void count_for_ever(ToyAsm *a, unsigned n)
{
    paddr loop;

    toy_const(a, 4, 0x20000 + 0x1000 * n);
    toy_emit(a, T_LI, 2, 0, 0);
    toy_emit(a, T_LI, 3, 0, 0);
    loop = a->at;
    toy_emit(a, T_ADDI, 2, 2, 1);
    toy_emit(a, T_ST, 2, 4, 0);
    toy_branch(a, T_BNE, 2, 3, loop);
}

static void test_hold(void)
{
    ToyBoard *b = toy_open(accel, 2, CLOCK_HOST, 0);
    ToyAsm a = { b, 0x1000 }, other = { b, 0x2000 };
    ToyCpu *t = toy_cpu(b, 0);
    uint64_t seen;

    skip_handler(b);
    b->io_hook = hold_current;
    toy_const(&a, 1, TOY_IO);
    toy_emit(&a, T_ST, 1, 1, 0);
    count_for_ever(&a, 0);
    count_for_ever(&other, 1);
    machine_run(&b->m);
    WAIT_UNTIL(__atomic_load_n(&t->cpu.where, __ATOMIC_SEQ_CST) == VCPU_SLEEPING && __atomic_load_n(toy_ram(b, 0x21000), __ATOMIC_RELAXED) > 1000,
               g_usleep(1000));
    seen = __atomic_load_n(toy_ram(b, 0x20000), __ATOMIC_SEQ_CST);
    g_assert_cmpuint(seen, <=, 1);                      /* to the loop's end at most */
    for (unsigned i = 0; i < 20; i++) {
        machine_pause(&b->m, RUN_PAUSED);
        machine_run(&b->m);
    }
    g_assert_cmpuint(__atomic_load_n(toy_ram(b, 0x20000), __ATOMIC_SEQ_CST), ==, seen);
    vcpu_release(&t->cpu);
    WAIT_UNTIL(__atomic_load_n(toy_ram(b, 0x20000), __ATOMIC_RELAXED) > 1000, g_usleep(1000));
    machine_pause(&b->m, RUN_PAUSED);
    toy_close(b);
}

/* ---- debugger ---- */

static void run_to_stop(ToyBoard *b, CpuStop why)
{
    Cpu *cpu = machine_cpu(&b->m, 0);

    cpu->exit_code = CPU_STOP_NONE;
    machine_run(&b->m);
    WAIT_UNTIL(machine_poll(&b->m), g_usleep(200));
    machine_pause(&b->m, RUN_DEBUG);
    g_assert_cmpint(cpu->exit_code, ==, why);
}

static void test_debug(void)
{
    ToyBoard *b = open_one();
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);
    int kind;
    paddr loop;

    toy_const(&a, 1, 0x20000);
    toy_emit(&a, T_LI, 2, 0, 0);
    toy_emit(&a, T_LI, 3, 0, 3);
    loop = a.at;
    toy_emit(&a, T_ADDI, 2, 2, 1);
    toy_emit(&a, T_ST, 2, 1, 8);
    toy_branch(&a, T_BLT, 2, 3, loop);
    toy_emit(&a, T_STOP, 0, 0, 0);
    g_assert_true(debug_break_insert(&b->m, 0, loop + 4, 4, NULL));
    run_to_stop(b, CPU_STOP_BREAKPOINT);
    g_assert_cmphex(t->env.pc, ==, loop + 4);
    g_assert_cmpuint(t->x[2], ==, 1);
    t->cpu.single_step = CPU_STEP;
    run_to_stop(b, CPU_STOP_STEP);
    g_assert_cmphex(t->env.pc, ==, loop + 8);
    run_to_stop(b, CPU_STOP_STEP);
    g_assert_cmphex(t->env.pc, ==, loop);
    t->cpu.single_step = 0;
    run_to_stop(b, CPU_STOP_BREAKPOINT);
    g_assert_cmpuint(t->x[2], ==, 2);
    g_assert_true(debug_break_remove(&b->m, 0, loop + 4, 4));
    g_assert_true(debug_break_insert(&b->m, 2, 0x20008, 4, NULL));
    run_to_stop(b, CPU_STOP_WATCHPOINT);
    g_assert_cmphex(debug_watch_hit(&t->cpu, &kind), ==, 0x20008);
    g_assert_cmphex(t->env.pc, ==, loop + 8);   /* the store has been made */
    g_assert_cmpuint(*toy_ram(b, 0x20008), ==, 2);
    debug_break_clear(&b->m);
    g_assert_true(toy_run(b));
    g_assert_cmpuint(t->x[2], ==, 3);
    toy_close(b);
}

/* ---- instruction counts ---- */

static uint64_t icount_run(uint64_t *time, uint64_t *other)
{
    ToyBoard *b = toy_open(accel, 2, CLOCK_ICOUNT, 3);
    uint64_t count;

    for (unsigned n = 0; n < 2; n++) {
        ToyAsm a = { b, 0x1000 + 0x1000 * n };
        paddr loop;

        toy_const(&a, 1, 0x20000);
        toy_const(&a, 5, TOY_IO);
        toy_emit(&a, T_LI, 2, 0, 3000 + 1000 * (int)n);
        toy_emit(&a, T_LI, 3, 0, 1);
        toy_emit(&a, T_LI, 4, 0, 0);
        loop = a.at;
        toy_emit(&a, T_RMWADD, 6, 1, 3);        /* order of the two shows here */
        toy_emit(&a, T_ADD, 7, 7, 6);
        toy_emit(&a, T_TIME, 8, 0, 0);
        toy_emit(&a, T_ADD, 9, 9, 8);
        toy_emit(&a, T_ST, 8, 5, 0);            /* registers: exact time */
        toy_emit(&a, T_ADDI, 2, 2, -1);
        toy_branch(&a, T_BNE, 2, 4, loop);
        toy_emit(&a, T_STOP, 0, 0, 0);
    }
    g_assert_true(toy_run(b));
    *time = toy_cpu(b, 0)->x[9] + toy_cpu(b, 1)->x[9];
    *other = toy_cpu(b, 0)->x[7];
    count = toy_cpu(b, 0)->cpu.clock_count;
    toy_close(b);
    return count;
}

static void test_icount(void)
{
    uint64_t t1, t2, o1, o2, c1 = icount_run(&t1, &o1), c2 = icount_run(&t2, &o2);

    g_assert_cmpuint(c1, ==, c2);
    g_assert_cmpuint(t1, ==, t2);
    g_assert_cmpuint(o1, ==, o2);
    g_assert_cmpuint(c1, ==, 9 + 9 + 3 + 3000 * 7 + 1);
}

/* Time as the guest sees it is the number of instructions before the reading one. */
static void test_icount_exact(void)
{
    ToyBoard *b = toy_open(accel, 1, CLOCK_ICOUNT, 0);
    ToyAsm a = { b, 0x1000 };
    ToyCpu *t = toy_cpu(b, 0);

    toy_emit(&a, T_TIME, 1, 0, 0);
    toy_emit(&a, T_LI, 5, 0, 0);
    toy_emit(&a, T_LI, 5, 0, 0);
    toy_emit(&a, T_TIME, 2, 0, 0);
    toy_emit(&a, T_SYS, 0, 0, 0);
    toy_emit(&a, T_TIME, 3, 0, 0);
    skip_handler(b);
    finish(b, &a);
    g_assert_cmpuint(t->x[2] - t->x[1], ==, 3);
    g_assert_cmpuint(t->x[3] - t->x[2], ==, 2 + 6);
    toy_close(b);
}

static void test_single(void)
{
    ToyBoard *b = toy_open("tcg,host=interp,thread=single", 2, CLOCK_HOST, 0);

    for (unsigned n = 0; n < 2; n++) {
        ToyAsm a = { b, 0x1000 + 0x1000 * n };
        paddr loop;

        toy_const(&a, 1, 0x20000 + 8 * n);      /* waits for the other one to count to 3 */
        toy_const(&a, 2, 0x20008 - 8 * n);
        toy_emit(&a, T_LI, 4, 0, 3);
        toy_emit(&a, T_LI, 3, 0, 1);
        loop = a.at;
        toy_emit(&a, T_ST, 3, 1, 0);
        toy_emit(&a, T_LD, 5, 2, 0);
        toy_branch(&a, T_BLT, 5, 3, a.at - 4);
        toy_emit(&a, T_ADDI, 3, 3, 1);
        toy_branch(&a, T_BLT, 3, 4, loop);
        toy_emit(&a, T_STOP, 0, 0, 0);
    }
    g_assert_true(toy_run(b));
    toy_close(b);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*fn)(void); } tests[] = {
        { "loop", test_loop }, { "sizes", test_sizes }, { "faults", test_faults }, { "io", test_io }, { "next-insn", test_next_insn },
        { "rewrite", test_rewrite }, { "granules", test_granules }, { "dma-to-code", test_dma_to_code }, { "full", test_full },
        { "asids", test_asids }, { "remap", test_remap }, { "ungroup", test_ungroup }, { "large", test_large },
        { "large-many", test_large_many }, { "flushed-elsewhere", test_flushed_elsewhere }, { "last-pc", test_last_pc }, { "atomics", test_atomics }, { "irq", test_irq },
        { "sleep", test_sleep }, { "hold", test_hold }, { "debug", test_debug }, { "icount", test_icount }, { "icount-exact", test_icount_exact }, { "single", test_single },
    };

    g_test_init(&argc, &argv, NULL);
    if (argc > 1) {
        accel = argv[1];
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/accel/%s", tests[i].name);

        g_test_add_func(path, tests[i].fn);
    }
    return g_test_run();
}
