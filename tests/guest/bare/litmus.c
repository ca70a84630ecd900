/* SPDX-License-Identifier: MIT */
/*
 * Litmus tests of the memory order: docs/memory-order.md says what each shape is for.
 *
 * Each shape runs over an array of independent cells, so that the threads
 * meet in many of them; the outcome of each cell is then looked at.  A line a
 * shape: NAME cells=N forbidden=N seen=N met=N [skipped].  `forbidden` counts outcomes that the
 * architecture rules out; where a shape without fences allows the relaxed one,
 * `seen` counts it.  `met` are rounds whose cells had different
 * outcomes, so that threads did run side by side.  The last line is LITMUS DONE.
 *
 * With -DUNTIL a shape goes on for up to that many rounds until the outcome is there: for controls
 * that must show one.  With -DONLY="NAME NAME" the others are left out.
 */
#include "tests/guest/bare/bare.h"

enum { CELLS = 32768, PIECE = 256 };
#ifndef ROUNDS
#define ROUNDS 32               /* times CELLS: about 10^6 cells a shape */
#endif
#ifndef UNTIL
#define UNTIL 0
#endif
#ifndef ONLY
#define ONLY ""
#endif

typedef struct Cell { uint32_t x, pad[15], y, pad2[15]; } Cell;
static Cell cell[CELLS] __attribute__((aligned(4096)));
static uint32_t result[4][2][CELLS];
static Gate gate;
static unsigned ncpu;

/* One thread of a shape on one cell: loads into *r0, *r1.  HINT 127 does nothing: a mutant of the emulator knows the place by it. */
typedef void Body(uint32_t *x, uint32_t *y, uint32_t *r0, uint32_t *r1);

#define BODY(name, text) \
    static void name(uint32_t *x, uint32_t *y, uint32_t *r0, uint32_t *r1) \
    { \
        uint32_t a = 0, b = 0, t = 0; \
        uint64_t d = 0; \
        asm volatile("hint #127\n" text : [a] "+&r"(a), [b] "+&r"(b), [t] "+&r"(t), [d] "+&r"(d) : [x] "r"(x), [y] "r"(y), [one] "r"(1), [two] "r"(2) : "memory"); \
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
BODY(lb_0,        "ldr %w[a], [%[x]]\n str %w[one], [%[y]]\n")
BODY(lb_1,        "ldr %w[a], [%[y]]\n str %w[one], [%[x]]\n")
BODY(lb_0_dmb,    "ldr %w[a], [%[x]]\n dmb ish\n str %w[one], [%[y]]\n")
BODY(lb_1_dmb,    "ldr %w[a], [%[y]]\n dmb ish\n str %w[one], [%[x]]\n")
BODY(lb_0_data,   "ldr %w[a], [%[x]]\n eor %w[t], %w[a], %w[a]\n add %w[t], %w[t], #1\n str %w[t], [%[y]]\n")
BODY(lb_1_data,   "ldr %w[a], [%[y]]\n eor %w[t], %w[a], %w[a]\n add %w[t], %w[t], #1\n str %w[t], [%[x]]\n")
BODY(lb_0_acq,    "ldar %w[a], [%[x]]\n str %w[one], [%[y]]\n")
BODY(lb_1_acq,    "ldar %w[a], [%[y]]\n str %w[one], [%[x]]\n")
/* two writers, two places */
BODY(ww_0,        "str %w[one], [%[x]]\n str %w[two], [%[y]]\n")
BODY(ww_1,        "str %w[one], [%[y]]\n str %w[two], [%[x]]\n")
BODY(ww_0_dmb,    "str %w[one], [%[x]]\n dmb ishst\n str %w[two], [%[y]]\n")
BODY(ww_1_dmb,    "str %w[one], [%[y]]\n dmb ishst\n str %w[two], [%[x]]\n")
BODY(ww_0_rel,    "str %w[one], [%[x]]\n stlr %w[two], [%[y]]\n")
BODY(ww_1_rel,    "str %w[one], [%[y]]\n stlr %w[two], [%[x]]\n")
/* S: a write against one that was read before; R: two writes, and a read of what the other wrote first */
BODY(s_0,         "str %w[two], [%[x]]\n str %w[one], [%[y]]\n")
BODY(s_0_dmb,     "str %w[two], [%[x]]\n dmb ishst\n str %w[one], [%[y]]\n")
BODY(s_0_rel,     "str %w[two], [%[x]]\n stlr %w[one], [%[y]]\n")
BODY(s_1,         "ldr %w[a], [%[y]]\n str %w[one], [%[x]]\n")
BODY(s_1_data,    "ldr %w[a], [%[y]]\n eor %w[t], %w[a], %w[a]\n add %w[t], %w[t], #1\n str %w[t], [%[x]]\n")
BODY(s_1_acq,     "ldar %w[a], [%[y]]\n str %w[one], [%[x]]\n")
BODY(r_1,         "str %w[two], [%[y]]\n ldr %w[a], [%[x]]\n")
BODY(r_1_dmb,     "str %w[two], [%[y]]\n dmb ish\n ldr %w[a], [%[x]]\n")
BODY(r_1_rel,     "stlr %w[two], [%[y]]\n ldar %w[a], [%[x]]\n")
/* writes seen by others */
BODY(w_x,         "str %w[one], [%[x]]\n")
BODY(w_y,         "str %w[one], [%[y]]\n")
BODY(r_xy,        "ldr %w[a], [%[x]]\n ldr %w[b], [%[y]]\n")
BODY(r_yx,        "ldr %w[a], [%[y]]\n ldr %w[b], [%[x]]\n")
BODY(wrc_1,       "ldr %w[a], [%[x]]\n str %w[one], [%[y]]\n")
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
static bool s_bad(unsigned i)    { return R(1, 0) == 1 && cell[i].x == 2; }
static bool r_bad(unsigned i)    { return cell[i].y == 2 && R(1, 0) == 0; }
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
    { "LB",           2, lb_bad, true,  { lb_0, lb_1 } },
    { "LB+dmbs",      2, lb_bad, false, { lb_0_dmb, lb_1_dmb } },
    { "LB+datas",     2, lb_bad, false, { lb_0_data, lb_1_data } },
    { "LB+acqs",      2, lb_bad, false, { lb_0_acq, lb_1_acq } },
    { "2+2W",         2, ww_bad, true,  { ww_0, ww_1 } },
    { "2+2W+dmbs",    2, ww_bad, false, { ww_0_dmb, ww_1_dmb } },
    { "2+2W+rels",    2, ww_bad, false, { ww_0_rel, ww_1_rel } },
    { "S",            2, s_bad, true,   { s_0, s_1 } },
    { "S+dmb+data",   2, s_bad, false,  { s_0_dmb, s_1_data } },
    { "S+rel+acq",    2, s_bad, false,  { s_0_rel, s_1_acq } },
    { "R",            2, r_bad, true,   { mp_w_plain, r_1 } },
    { "R+dmbs",       2, r_bad, false,  { mp_w_dmb, r_1_dmb } },
    { "R+rels",       2, r_bad, false,  { mp_w_rel, r_1_rel } },
    { "IRIW",         4, iriw_bad, true, { w_x, w_y, r_xy, r_yx } },
    { "IRIW+dmbs",    4, iriw_bad, false, { w_x, w_y, r_xy_dmb, r_yx_dmb } },
    { "IRIW+acqs",    4, iriw_bad, false, { w_x, w_y, r_xy_acq, r_yx_acq } },
    { "WRC",          3, wrc_bad, true, { w_x, wrc_1, r_yx } },
    { "WRC+dmbs",     3, wrc_bad, false, { w_x, wrc_1_dmb, wrc_2_dmb } },
    { "WRC+rel+acq",  3, wrc_bad, false, { w_x, wrc_1_rel, wrc_2_acq } },
};

static uint32_t begun;              /* threads of this round */

/* All at once: who waits here is running when the last one comes. */
static void start_line(unsigned threads)
{
    __atomic_add_fetch(&begun, 1, __ATOMIC_RELAXED);
    for (unsigned n = 1; __atomic_load_n(&begun, __ATOMIC_RELAXED) < threads; n++) {
        if (!(n % 16384)) {
            asm volatile("yield");
        }
    }
}

/* Cells that each thread has begun, in pieces; a line of the cache for each. */
static struct { uint32_t pieces, pad[15]; } place[4] __attribute__((aligned(64)));

/*
 * One that runs ahead waits a little for the others, so that they pass each other again and again and not once a round.
 * Only a little: on a busy host the others may not be running at all.
 */
static void close_up(unsigned threads, unsigned t, unsigned piece)
{
    __atomic_store_n(&place[t].pieces, piece + 1, __ATOMIC_RELAXED);
    for (unsigned other = 0; other < threads; other++) {
        for (unsigned n = 0; n < 1000 && __atomic_load_n(&place[other].pieces, __ATOMIC_RELAXED) <= piece; n++) {
        }
    }
}

static void run_thread(const struct Shape *s, unsigned t, unsigned round)
{
    Body *body = s->body[t];

    start_line(s->threads);
    for (unsigned piece = 0; piece < CELLS / PIECE; piece++) {
        close_up(s->threads, t, piece);
        /* now and then one begins a little later, so that the threads meet in different ways */
        for (unsigned delay = ((round + piece) * 7 + t * 13) % 32 * 8; delay; delay--) {
            asm volatile("nop");
        }
        for (unsigned i = piece * PIECE; i < (piece + 1) * PIECE; i++) {
            body(&cell[i].x, &cell[i].y, &result[t][0][i], &result[t][1][i]);
        }
    }
}

typedef struct Count { uint64_t cells, bad, met; } Count;

static void report(const struct Shape *s, const Count *c)
{
    put_text(s->name);
    put_text(" cells=");
    put_num(c->cells);
    put_text(" forbidden=");
    put_num(s->allowed ? 0 : c->bad);
    put_text(" seen=");
    put_num(s->allowed ? c->bad : 0);
    put_text(" met=");
    put_num(c->met);
    put_text(c->cells ? "\n" : " skipped\n");
}

static void clear(void)
{
    for (unsigned i = 0; i < CELLS; i++) {
        cell[i].x = cell[i].y = 0;
    }
    for (unsigned t = 0; t < 4; t++) {
        place[t].pieces = 0;
    }
    begun = 0;
}

/* What happened in a cell, as one word. */
static uint64_t outcome(const struct Shape *s, unsigned i)
{
    uint64_t v = cell[i].x | cell[i].y << 2;

    for (unsigned t = 0; t < s->threads; t++) {
        v = v << 4 | result[t][0][i] << 2 | result[t][1][i];
    }
    return v;
}

static void look(const struct Shape *s, Count *c)
{
    bool met = false;

    for (unsigned i = 0; i < CELLS; i++) {
        c->bad += s->bad(i);
        met = met || outcome(s, i) != outcome(s, 0);
    }
    c->cells += CELLS;
    c->met += met;
}

/* What a control waits for has come; written between two gates. */
static uint32_t enough;

static void run_shape(const struct Shape *s, unsigned cpu)
{
    Count c = { 0 };

    if (!cpu) {
        __atomic_store_n(&enough, 0, __ATOMIC_RELAXED);     /* nobody looks at it in the first round */
    }
    for (unsigned round = 0; s->threads <= ncpu && (round < ROUNDS || (round < UNTIL && !__atomic_load_n(&enough, __ATOMIC_RELAXED))); round++) {
        if (!cpu) {
            clear();
        }
        gate_pass(&gate, ncpu);
        if (cpu < s->threads) {
            run_thread(s, cpu, round);
        }
        gate_pass(&gate, ncpu);
        if (!cpu) {
            look(s, &c);
            __atomic_store_n(&enough, c.bad != 0, __ATOMIC_RELAXED);
        }
        gate_pass(&gate, ncpu);
    }
    if (!cpu) {
        report(s, &c);
    }
    gate_pass(&gate, ncpu);
}

/* Is `name` a word of ONLY, or ONLY empty? */
static bool chosen(const char *name)
{
    for (const char *at = ONLY; *at; at++) {
        const char *n = name;

        for (; *n && *n == *at; n++) {
            at++;
        }
        if (!*n && (!*at || *at == ' ')) {
            return true;
        }
        while (*at && *at != ' ') {
            at++;
        }
        if (!*at) {
            return false;
        }
    }
    return !*ONLY;
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
        if (chosen(shapes[i].name)) {
            run_shape(&shapes[i], cpu);
        }
    }
    if (!cpu) {
        put_text("LITMUS DONE\n");
        psci(0x84000008, 0, 0, 0);
    }
    for (;;) {
        asm volatile("wfi");
    }
}
