/* SPDX-License-Identifier: MIT */
/*
 * Litmus tests of the memory order: docs/memory-order.md says what each shape is for.
 *
 * Each shape runs over an array of independent cells, so that the threads
 * meet in many of them; the outcome of each cell is then looked at.  A line a
 * shape: NAME cells=N forbidden=N seen=N [skipped].  `forbidden` counts outcomes that the
 * architecture rules out; where a shape without fences allows the relaxed one,
 * `seen` counts it.  The last line is LITMUS DONE.
 */
#include "tests/guest/bare/bare.h"

enum { CELLS = 4096 };
#ifndef ROUNDS
#define ROUNDS 250              /* times CELLS: about 10^6 cells a shape */
#endif

typedef struct Cell { uint32_t x, pad[15], y, pad2[15]; } Cell;
static Cell cell[CELLS] __attribute__((aligned(4096)));
static uint32_t result[4][2][CELLS];
static Gate gate;
static unsigned ncpu;

/* One thread of a shape on one cell: loads into *r0, *r1. */
typedef void Body(uint32_t *x, uint32_t *y, uint32_t *r0, uint32_t *r1);

#define BODY(name, text) \
    static void name(uint32_t *x, uint32_t *y, uint32_t *r0, uint32_t *r1) \
    { \
        uint32_t a = 0, b = 0, t = 0; \
        uint64_t d = 0; \
        asm volatile(text : [a] "+&r"(a), [b] "+&r"(b), [t] "+&r"(t), [d] "+&r"(d) : [x] "r"(x), [y] "r"(y), [one] "r"(1), [two] "r"(2) : "memory"); \
        (void)t; (void)d; \
        *r0 = a; \
        *r1 = b; \
    }

/* message passing */
BODY(mp_w_plain,  "str %w[one], [%[x]]\n str %w[one], [%[y]]\n")
BODY(mp_r_plain,  "ldr %w[a], [%[y]]\n ldr %w[b], [%[x]]\n")
BODY(mp_w_dmb,    "str %w[one], [%[x]]\n dmb ishst\n str %w[one], [%[y]]\n")
BODY(mp_r_dmb,    "ldr %w[a], [%[y]]\n dmb ishld\n ldr %w[b], [%[x]]\n")
BODY(mp_w_rel,    "str %w[one], [%[x]]\n stlr %w[one], [%[y]]\n")
BODY(mp_r_acq,    "ldar %w[a], [%[y]]\n ldr %w[b], [%[x]]\n")
BODY(mp_r_addr,   "ldr %w[a], [%[y]]\n eor %w[t], %w[a], %w[a]\n add %[d], %[x], %w[t], uxtw\n ldr %w[b], [%[d]]\n")
/* store buffering */
BODY(sb_0,        "str %w[one], [%[x]]\n ldr %w[a], [%[y]]\n")
BODY(sb_1,        "str %w[one], [%[y]]\n ldr %w[a], [%[x]]\n")
BODY(sb_0_dmb,    "str %w[one], [%[x]]\n dmb ish\n ldr %w[a], [%[y]]\n")
BODY(sb_1_dmb,    "str %w[one], [%[y]]\n dmb ish\n ldr %w[a], [%[x]]\n")
BODY(sb_0_rel,    "stlr %w[one], [%[x]]\n ldar %w[a], [%[y]]\n")
BODY(sb_1_rel,    "stlr %w[one], [%[y]]\n ldar %w[a], [%[x]]\n")
/* load buffering */
BODY(lb_0_dmb,    "ldr %w[a], [%[x]]\n dmb ish\n str %w[one], [%[y]]\n")
BODY(lb_1_dmb,    "ldr %w[a], [%[y]]\n dmb ish\n str %w[one], [%[x]]\n")
BODY(lb_0_data,   "ldr %w[a], [%[x]]\n eor %w[t], %w[a], %w[a]\n add %w[t], %w[t], #1\n str %w[t], [%[y]]\n")
BODY(lb_1_data,   "ldr %w[a], [%[y]]\n eor %w[t], %w[a], %w[a]\n add %w[t], %w[t], #1\n str %w[t], [%[x]]\n")
BODY(lb_0_acq,    "ldar %w[a], [%[x]]\n str %w[one], [%[y]]\n")
BODY(lb_1_acq,    "ldar %w[a], [%[y]]\n str %w[one], [%[x]]\n")
/* two writers, two places */
BODY(ww_0_dmb,    "str %w[one], [%[x]]\n dmb ishst\n str %w[two], [%[y]]\n")
BODY(ww_1_dmb,    "str %w[one], [%[y]]\n dmb ishst\n str %w[two], [%[x]]\n")
BODY(ww_0_rel,    "str %w[one], [%[x]]\n stlr %w[two], [%[y]]\n")
BODY(ww_1_rel,    "str %w[one], [%[y]]\n stlr %w[two], [%[x]]\n")
/* writes seen by others */
BODY(w_x,         "str %w[one], [%[x]]\n")
BODY(w_y,         "str %w[one], [%[y]]\n")
BODY(r_xy_dmb,    "ldr %w[a], [%[x]]\n dmb ish\n ldr %w[b], [%[y]]\n")
BODY(r_yx_dmb,    "ldr %w[a], [%[y]]\n dmb ish\n ldr %w[b], [%[x]]\n")
BODY(r_xy_acq,    "ldar %w[a], [%[x]]\n ldar %w[b], [%[y]]\n")
BODY(r_yx_acq,    "ldar %w[a], [%[y]]\n ldar %w[b], [%[x]]\n")
BODY(wrc_1_dmb,   "ldr %w[a], [%[x]]\n dmb ish\n str %w[one], [%[y]]\n")
BODY(wrc_2_dmb,   "ldr %w[a], [%[y]]\n dmb ish\n ldr %w[b], [%[x]]\n")
BODY(wrc_1_rel,   "ldr %w[a], [%[x]]\n stlr %w[one], [%[y]]\n")
BODY(wrc_2_acq,   "ldar %w[a], [%[y]]\n ldr %w[b], [%[x]]\n")

#define R(t, n) result[t][n][i]
static bool mp_bad(unsigned i)   { return R(1, 0) == 1 && R(1, 1) == 0; }
static bool sb_bad(unsigned i)   { return R(0, 0) == 0 && R(1, 0) == 0; }
static bool lb_bad(unsigned i)   { return R(0, 0) == 1 && R(1, 0) == 1; }
static bool ww_bad(unsigned i)   { return cell[i].x == 1 && cell[i].y == 1; }
static bool iriw_bad(unsigned i) { return R(2, 0) == 1 && R(2, 1) == 0 && R(3, 0) == 1 && R(3, 1) == 0; }
static bool wrc_bad(unsigned i)  { return R(1, 0) == 1 && R(2, 0) == 1 && R(2, 1) == 0; }

static const struct Shape {
    const char *name;
    unsigned threads;
    bool (*bad)(unsigned i);
    bool allowed;               /* the relaxed outcome is allowed: only counted */
    Body *body[4];
} shapes[] = {
    { "MP",           2, mp_bad, true,  { mp_w_plain, mp_r_plain } },
    { "MP+dmbs",      2, mp_bad, false, { mp_w_dmb, mp_r_dmb } },
    { "MP+rel+acq",   2, mp_bad, false, { mp_w_rel, mp_r_acq } },
    { "MP+dmb+addr",  2, mp_bad, false, { mp_w_dmb, mp_r_addr } },
    { "SB",           2, sb_bad, true,  { sb_0, sb_1 } },
    { "SB+dmbs",      2, sb_bad, false, { sb_0_dmb, sb_1_dmb } },
    { "SB+rel+acq",   2, sb_bad, false, { sb_0_rel, sb_1_rel } },
    { "LB+dmbs",      2, lb_bad, false, { lb_0_dmb, lb_1_dmb } },
    { "LB+datas",     2, lb_bad, false, { lb_0_data, lb_1_data } },
    { "LB+acqs",      2, lb_bad, false, { lb_0_acq, lb_1_acq } },
    { "2+2W+dmbs",    2, ww_bad, false, { ww_0_dmb, ww_1_dmb } },
    { "2+2W+rels",    2, ww_bad, false, { ww_0_rel, ww_1_rel } },
    { "IRIW+dmbs",    4, iriw_bad, false, { w_x, w_y, r_xy_dmb, r_yx_dmb } },
    { "IRIW+acqs",    4, iriw_bad, false, { w_x, w_y, r_xy_acq, r_yx_acq } },
    { "WRC+dmbs",     3, wrc_bad, false, { w_x, wrc_1_dmb, wrc_2_dmb } },
    { "WRC+rel+acq",  3, wrc_bad, false, { w_x, wrc_1_rel, wrc_2_acq } },
};

static void run_thread(const struct Shape *s, unsigned t, unsigned round)
{
    Body *body = s->body[t];

    /* begin at different cells now and then, so that the threads meet in different ways */
    for (unsigned delay = (round * 7 + t * 13) % 32; delay; delay--) {
        asm volatile("nop");
    }
    for (unsigned i = 0; i < CELLS; i++) {
        body(&cell[i].x, &cell[i].y, &result[t][0][i], &result[t][1][i]);
    }
}

static void report(const struct Shape *s, uint64_t cells, uint64_t bad)
{
    put_text(s->name);
    put_text(" cells=");
    put_num(cells);
    put_text(" forbidden=");
    put_num(s->allowed ? 0 : bad);
    put_text(" seen=");
    put_num(s->allowed ? bad : 0);
    put_text(cells ? "\n" : " skipped\n");
}

static void run_shape(const struct Shape *s, unsigned cpu)
{
    uint64_t bad = 0;
    bool enough = s->threads <= ncpu;

    for (unsigned round = 0; enough && round < ROUNDS; round++) {
        if (!cpu) {
            for (unsigned i = 0; i < CELLS; i++) {
                cell[i].x = cell[i].y = 0;
            }
        }
        gate_pass(&gate, ncpu);
        if (cpu < s->threads) {
            run_thread(s, cpu, round);
        }
        gate_pass(&gate, ncpu);
        for (unsigned i = 0; !cpu && i < CELLS; i++) {
            bad += s->bad(i);
        }
    }
    if (!cpu) {
        report(s, enough ? (uint64_t)CELLS * ROUNDS : 0, bad);
    }
    gate_pass(&gate, ncpu);
}

int main(unsigned cpu)
{
    static uint32_t go;

    if (!cpu) {
        ncpu = start_cpus(4);
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE)) {
    }
    for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        run_shape(&shapes[i], cpu);
    }
    if (!cpu) {
        put_text("LITMUS DONE\n");
        psci(0x84000008, 0, 0, 0);
    }
    for (;;) {
        asm volatile("wfi");
    }
}
