/* SPDX-License-Identifier: MIT */
/*
 * Every load and store at page edges: precise faults.  usage: test-a64-edges HOST [SEED [WORDS]]
 *
 * Each row of the decode tables that touches memory, with random fields, on pairs of pages of all kinds (usable, read-only, unmapped, access
 * flag clear; the first of Device memory too) with the access in the first, in the second, or across; at EL0 and EL1, with and without SCTLR.A.  What has to
 * happen follows from the size and direction of the access (facts.c): which byte faults first, with which status and WnR, and that
 * nothing else has changed: no register, no base, no byte of memory.  The order of faults within an access is that of addresses.
 *
 * The instruction stands between two others in its block, whose effects must be there, or not.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/disas.h"
#include "target/arm/sysregs.h"
#include "tests/target/edges/facts.h"

enum { PAGE_OK, PAGE_RO, PAGE_NONE, PAGE_OLD, KINDS, PAGE_DEVICE = KINDS, WINDOWS = (KINDS + 1) * KINDS };  /* usable, read-only, unmapped, access flag clear; Device memory first */
enum { FSC_TRANS = 0x07, FSC_FLAG = 0x0b, FSC_PERM = 0x0f, FSC_ALIGN = 0x21 };

#define VECTORS  0x40100000ull
#define CODE     0x401ff800ull          /* read-only and executable; the pages are in reach of a literal */
#define PAGES    0x40200000ull          /* windows of two pages and two unmapped ones */
#define WINDOW   0x4000ull
#define TABLES   0x40800000ull
#define MEMORY   0x41000000ull          /* of the pages, the second of a window far from the first */
#define FAR_OFF  0x100000ull
#define NOP      0xd503201fu
#define HERE     0x14000000u            /* B . */

typedef struct Bench {
    Machine *m;
    A64Cpu *c;
    uint64_t seed;
    uint8_t mem[WINDOWS][2][4096], now[4096];
    uint64_t runs, faults;
    unsigned failed;
} Bench;

/* What stands before it: ADD marker, marker, 1; TLBI VMALLE1; the load of an exclusive store. */
typedef enum { FIRST_ADD, FIRST_FLUSH, FIRST_LDX } First;

typedef struct Case {
    uint32_t w;
    Facts f;
    First first;
    unsigned kind[2], window;
    bool el0, align;
    unsigned marker;            /* register that no field names */
    uint64_t x[31], sp, v[32][2];
    uint64_t at, edge;          /* first byte; start of the second page */
    uint64_t base_after;        /* when it succeeds */
} Case;

typedef struct Fault { bool any; unsigned fsc; bool wnr; uint64_t far; } Fault;

static uint64_t rnd(Bench *b)
{
    uint64_t z = b->seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* ---- the machine ---- */

static void poke(Bench *b, uint64_t pa, uint64_t val)
{
    dma_write(b->m->as, pa, &val, 8, MEM_ATTRS_NONE);
}

static void poke_word(Bench *b, uint64_t pa, uint32_t w)
{
    dma_write(b->m->as, pa, &w, 4, MEM_ATTRS_NONE);
}

static uint64_t page_pa(unsigned window, unsigned n)
{
    return MEMORY + n * FAR_OFF + window * 0x1000ull;
}

static unsigned kind_of(unsigned window, unsigned n)
{
    return n ? window % KINDS : window / KINDS;
}

/* 4 KiB pages, 39 bits: the code in one block, the windows behind it. */
static void make_tables(Bench *b)
{
    static const uint64_t bits[KINDS + 1] = { 0x443 | 3ull << 53, 0x4c3 | 3ull << 53, 0, 0x043 | 3ull << 53, 0x447 | 3ull << 53 };
    uint64_t l1 = TABLES, l2 = TABLES + 0x1000, l3 = TABLES + 0x2000;

    poke(b, l1 + 8, l2 | 3);
    poke(b, l2, 0x40000000 | 0x4c1);
    poke(b, l2 + 8, l3 | 3);
    for (unsigned i = 0; i < WINDOWS; i++) {
        for (unsigned n = 0; n < 2; n++) {
            uint64_t desc = bits[kind_of(i, n)];

            poke(b, l3 + 8 * (4 * i + 1 + n), desc ? page_pa(i, n) | desc : 0);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        poke_word(b, VECTORS + 0x80 * i, HERE);
    }
}

static void open_bench(Bench *b, const char *host)
{
    g_autofree char *accel = g_strdup_printf("tcg,host=%s", host);
    MachineConfig config = { .accel = accel, .cpu = "max", .ram_size = 64 << 20, .clock = CLOCK_ICOUNT, .have_seed = true, .seed = 1 };
    Error *err = NULL;

    b->m = machine_open(NULL, machine_type_find("aarch64", "virt", NULL), &config, &err);
    if (!b->m || !machine_ready(b->m, &err)) {
        fprintf(stderr, "%s\n", error_message(err));
        exit(1);
    }
    b->c = a64_cpu(machine_cpu(b->m, 0));
    make_tables(b);
    a64_sysreg_write(b->c, SR_MAIR_EL1, 0x04ff);
    a64_sysreg_write(b->c, SR_TCR_EL1, 25 | 0x3500 | 1 << 23 | 1ull << 32);
    a64_sysreg_write(b->c, SR_TTBR0_EL1, TABLES);
    a64_sysreg_write(b->c, SR_VBAR_EL1, VECTORS);
    a64_sysreg_write(b->c, SR_CPACR_EL1, 3 << 20);
}

/* ---- a case ---- */

static bool clash(uint32_t w, const Facts *f)
{
    unsigned rt = w & 31, rn = w >> 5 & 31, rt2 = w >> 10 & 31, rs = w >> 16 & 31;

    if (rn == 31 || (f->off == OFF_REG && (rs == rn || rs == 31)) || (f->wb == WB_POST_REG && rs == rn)) {
        return true;
    }
    if (f->exclusive && f->store && (rs == rt || rs == rn || (f->pair && rs == rt2))) {
        return true;
    }
    if (f->load && f->store && (rt == rn || rs == rn)) {                /* a base that is an operand is no address */
        return true;
    }
    return (f->wb != WB_NONE && !(w >> 26 & 1) && (rt == rn || (f->pair && rt2 == rn))) || (f->pair && f->load && rt == rt2);
}

/* A random word of the row that the manual gives a meaning. */
static bool random_word(Bench *b, unsigned row, uint32_t *w, Facts *f)
{
    const A64Row *r = &a64_rows[row];

    for (unsigned tries = 0; tries < 2000; tries++) {
        *w = ((uint32_t)rnd(b) & ~r->mask) | r->value;
        if (!strcmp(r->name, "cas")) {
            *w |= 31u << 10;
        } else if (!strcmp(r->name, "ldar") || !strcmp(r->name, "stlr")) {
            *w |= 31u << 16 | 31u << 10;
        } else if (!strcmp(r->name, "ldxr") || !strcmp(r->name, "stxr")) {
            *w |= 31u << 10;
        }
        *f = facts_of(*w);
        if (a64_row_of(*w) == (int)row && r->dis(NULL, *w) && f->known && !clash(*w, f)) {
            return true;
        }
    }
    return false;
}

static unsigned free_register(uint32_t w)
{
    static const uint8_t fields[] = { 0, 5, 10, 16 };

    for (unsigned i = 0;; i++) {
        bool used = false;

        for (unsigned k = 0; k < G_N_ELEMENTS(fields); k++) {
            used |= (w >> fields[k] & 31) == i || (w >> fields[k] & 31) + 1 == i;       /* CASP takes two */
        }
        if (!used) {
            return i;
        }
    }
}

/* Where its first byte is: across the edge, at the end of the first page, or at the start of the second. */
static uint64_t place(Bench *b, const Case *k)
{
    unsigned n = k->f.bytes, how = (unsigned)(rnd(b) % 8);
    uint64_t step = k->f.off == OFF_LITERAL ? 4 : k->f.whole && rnd(b) & 1 ? n : 1, at;

    at = how < 4 ? k->edge - 1 - rnd(b) % n : how < 6 ? k->edge - n - rnd(b) % 40 : k->edge + rnd(b) % 64;
    return at & ~(step - 1);
}

/* Base, index and literal so that the access begins at k->at.  False: out of reach. */
static bool aim(Bench *b, Case *k)
{
    unsigned rn = k->w >> k->f.base_at & 31, rm = k->w >> 16 & 31, option = k->w >> 13 & 7;
    uint64_t off = k->f.wb == WB_POST || k->f.wb == WB_POST_REG ? 0 : (uint64_t)k->f.imm;

    if (k->f.off == OFF_LITERAL) {
        int64_t words = (int64_t)(k->at - (CODE + 4)) / 4;

        k->w = (k->w & ~(0x7ffffu << 5)) | ((uint32_t)words & 0x7ffff) << 5;
        return words < 1 << 18;
    }
    if (k->f.off == OFF_REG) {
        uint64_t index = rnd(b) & 0xff, low = option & 4 && rnd(b) & 1 ? (uint64_t)-index : index;

        k->x[rm] = option & 1 ? low : (uint32_t)low | rnd(b) << 32;         /* LSL and SXTX take all of it */
        off = low << k->f.imm;
    }
    if (k->f.wb == WB_POST_REG) {
        k->x[rm] = rnd(b);
    }
    k->x[rn] = k->at - off;
    k->base_after = k->f.wb == WB_PRE ? k->at : k->f.wb == WB_POST ? k->at + (uint64_t)k->f.imm : k->f.wb == WB_POST_REG ? k->at + k->x[rm] : k->x[rn];
    return true;
}

static Fault page_fault(const Case *k, unsigned kind, uint64_t far)
{
    /* an atomic is a write only where a read would have been allowed */
    Fault f = { .any = true, .far = far, .wnr = (k->f.store && !k->f.load) || k->f.maint };

    if (kind == PAGE_RO && k->f.store) {
        f.fsc = FSC_PERM;
        f.wnr = true;
    } else if (kind == PAGE_NONE || kind == PAGE_OLD) {
        f.fsc = kind == PAGE_NONE ? FSC_TRANS : FSC_FLAG;
    } else {
        f.any = false;
    }
    return f;
}

static Fault expected(const Case *k)
{
    uint64_t last = k->at + k->f.bytes - 1;
    bool bad = k->f.whole ? (k->align ? k->at % k->f.bytes : (k->at ^ last) >> 4) != 0 : k->align && k->at % k->f.elem;
    Fault f = {};

    if (k->f.prefetch || (k->f.exclusive && k->f.store && k->first != FIRST_LDX)) {
        return f;               /* an exclusive store without a reservation: whether it looks at the address is up to the implementation */
    }
    if (bad) {
        return (Fault){ .any = true, .fsc = FSC_ALIGN, .far = k->at, .wnr = k->f.store && !k->f.load };
    }
    if (k->kind[0] == PAGE_DEVICE && k->at < k->edge && k->at % k->f.elem) {
        return (Fault){ .any = true, .fsc = FSC_ALIGN, .far = k->at, .wnr = k->f.store };
    }
    if (k->at < k->edge) {
        f = page_fault(k, k->kind[0], k->at);
    }
    return !f.any && last >= k->edge ? page_fault(k, k->kind[1], MAX(k->at, k->edge)) : f;
}

/* May it be preceded by its own load?  That must not fault. */
static bool after_load(const Case *k)
{
    return k->f.exclusive && k->f.store && k->at % k->f.bytes == 0 && k->kind[k->at >= k->edge] <= PAGE_RO;
}

static uint32_t first_word(const Case *k)
{
    switch (k->first) {
    case FIRST_ADD:
        return 0x91000400 | k->marker << 5 | k->marker;
    case FIRST_FLUSH:
        return 0xd508871f;
    default:                    /* LDXR to the zero register; LDXP to the marker too */
        return (k->w & 0xc02003e0) | 0x08400000 | 31 << 16 | (k->f.pair ? k->marker : 31) << 10 | 31;
    }
}

static void load_state(Bench *b, Case *k)
{
    A64Cpu *c = b->c;

    poke_word(b, CODE, first_word(k));
    poke_word(b, CODE + 4, k->w);
    poke_word(b, CODE + 8, 0x91000800 | k->marker << 5 | k->marker);
    poke_word(b, CODE + 12, HERE);
    memcpy(c->x, k->x, sizeof(c->x));
    memcpy(c->vreg, k->v, sizeof(c->vreg));
    a64_sysreg_write(c, SR_SCTLR_EL1, 0x30d00800 | SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_UCI | SCTLR_DZE | SCTLR_SPAN | (k->align ? SCTLR_A : 0));
    c->sys[SR_ESR_EL1] = c->sys[SR_FAR_EL1] = c->sys[SR_ELR_EL1] = 0;
    c->pan = c->uao = 0;
    c->el = c->spsel = 1;
    a64_pstate_set(c, k->el0 ? 0 : 0x3c5);
    c->sp = k->sp;
    c->env.pc = CODE;
    b->m->accel->state_changed(&c->cpu);
}

static void fill(Bench *b, Case *k)
{
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned i = 0; i < 4096; i += 8) {
            uint64_t v = rnd(b);

            memcpy(b->mem[k->window][n] + i, &v, 8);
        }
        dma_write(b->m->as, page_pa(k->window, n), b->mem[k->window][n], 4096, MEM_ATTRS_NONE);
    }
}

static bool is(const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        printf("#   %s: %#" PRIx64 ", must be %#" PRIx64 "\n", what, got, want);
    }
    return got == want;
}

static bool named(const Case *k, uint64_t va)
{
    return k->f.line ? (va ^ k->at) >> 6 == 0 : va - k->at < k->f.bytes;
}

/* Bytes that must be as they were: all, or those that the store did not name. */
static bool memory_is(Bench *b, const Case *k, bool stored)
{
    for (unsigned n = 0; n < 2; n++) {
        const uint8_t *was = b->mem[k->window][n];
        uint64_t va = k->edge - 4096 + 4096 * n;

        dma_read(b->m->as, page_pa(k->window, n), b->now, 4096, MEM_ATTRS_NONE);
        for (unsigned i = 0; i < 4096; i++) {
            if (b->now[i] != was[i] && !(stored && named(k, va + i))) {
                printf("#   byte %#" PRIx64 " has changed\n", va + i);
                return false;
            }
        }
        memcpy(b->mem[k->window][n], b->now, 4096);
    }
    return true;
}

static bool marker_is(const Bench *b, const Case *k, unsigned more)
{
    uint64_t before = k->first == FIRST_ADD ? k->x[k->marker] + 1 : k->x[k->marker];

    return (k->first == FIRST_LDX && k->f.pair) || is("marker", b->c->x[k->marker], before + more);
}

static bool faulted_right(Bench *b, Case *k, const Fault *f)
{
    const A64Cpu *c = b->c;
    uint32_t esr = (k->el0 ? EC_DABORT_LOW : EC_DABORT) << 26 | 1u << 25 | (uint32_t)k->f.maint << 8 | (uint32_t)f->wnr << 6 | f->fsc;
    bool ok = is("pc", c->env.pc, VECTORS + (k->el0 ? 0x400 : 0x200)) & is("ESR_EL1", c->sys[SR_ESR_EL1], esr) & is("FAR_EL1", c->sys[SR_FAR_EL1], f->far) &
              is("ELR_EL1", c->sys[SR_ELR_EL1], CODE + 4) & marker_is(b, k, 0);

    for (unsigned i = 0; i < 31; i++) {
        g_autofree char *name = g_strdup_printf("x%u", i);

        ok &= i == k->marker || is(name, c->x[i], k->x[i]);
    }
    for (unsigned i = 0; i < 32; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);

        ok &= is(name, c->vreg[i][0], k->v[i][0]) & is(name, c->vreg[i][1], k->v[i][1]);
    }
    return ok & memory_is(b, k, false);
}

static bool passed_right(Bench *b, Case *k)
{
    const A64Cpu *c = b->c;
    unsigned rn = k->w >> k->f.base_at & 31, rs = k->w >> 16 & 31;
    bool ok = is("pc", c->env.pc, CODE + 12) & marker_is(b, k, 2), stored = k->f.store && !k->f.maint;

    if (k->f.wb != WB_NONE) {
        ok &= is("base", c->x[rn], k->base_after);
    }
    if (k->f.exclusive && k->f.store) {
        stored = k->first == FIRST_LDX;
        ok &= rs == 31 || is("status", c->x[rs], !stored);
    }
    return ok & memory_is(b, k, stored);
}

static void run(Bench *b, Case *k)
{
    Fault want;
    bool ok;
    char text[128];

    k->first = after_load(k) && rnd(b) & 3 ? FIRST_LDX : !k->el0 && !(rnd(b) & 3) ? FIRST_FLUSH : FIRST_ADD;
    want = expected(k);
    load_state(b, k);
    for (unsigned left = 8; left;) {
        uint64_t n = b->m->accel->run_count(&b->c->cpu, left);

        g_assert_true(n && n <= left);
        left -= (unsigned)n;
    }
    b->runs++;
    b->faults += want.any;
    ok = want.any ? faulted_right(b, k, &want) : passed_right(b, k);
    if (!ok && b->failed++ < 20) {
        a64_disas(k->w, CODE + 4, text, sizeof(text));
        printf("# %08x %s at %#" PRIx64 " (%u bytes, edge %#" PRIx64 "), pages %u %u, EL%u, A %u, must %s %#x\n", k->w, text, k->at, k->f.bytes, k->edge, k->kind[0], k->kind[1],
               !k->el0, k->align, want.any ? "fault with" : "pass", want.fsc);
    }
}

static void one_window(Bench *b, Case *k, unsigned window)
{
    k->window = window;
    k->kind[0] = kind_of(window, 0);
    k->kind[1] = kind_of(window, 1);
    k->edge = PAGES + window * WINDOW + 0x2000;
    for (unsigned i = 0; i < 2; i++) {
        k->el0 = !k->f.el1 && rnd(b) & 1;
        k->align = !(rnd(b) & 3);
        k->at = place(b, k);
        if (aim(b, k)) {
            run(b, k);
        }
    }
}

/* Exclusives, atomics and DC ZVA in Device memory: up to the implementation. */
static bool for_device(const Facts *f)
{
    return !f->exclusive && !(f->load && f->store) && !f->line;
}

static void one_word(Bench *b, uint32_t w, const Facts *f)
{
    Case k = { .w = w, .f = *f, .marker = free_register(w) };

    for (unsigned i = 0; i < 31; i++) {
        k.x[i] = rnd(b);
    }
    for (unsigned i = 0; i < 32; i++) {
        k.v[i][0] = rnd(b);
        k.v[i][1] = rnd(b);
    }
    k.sp = 0x40000000;
    for (unsigned i = 0; i < WINDOWS; i++) {
        if (i / KINDS < PAGE_DEVICE || for_device(f)) {
            one_window(b, &k, i);
        }
    }
}

static bool is_memory_row(const A64Row *r)
{
    return strstr(r->where, "ldst") != NULL;
}

/* DC IVAC, CVAC, CVAU, CVAP, CVADP, CIVAC, ZVA; IC IVAU */
static const uint32_t maintenance[] = { 0xd5087620, 0xd50b7a20, 0xd50b7b20, 0xd50b7c20, 0xd50b7d20, 0xd50b7e20, 0xd50b7420, 0xd50b7520 };

static void caches(Bench *b, unsigned words)
{
    for (unsigned i = 0; i < words * G_N_ELEMENTS(maintenance); i++) {
        uint32_t w = maintenance[i % G_N_ELEMENTS(maintenance)] | (uint32_t)(rnd(b) % 31);
        Facts f = facts_of(w);

        one_word(b, w, &f);
    }
}

int main(int argc, char **argv)
{
    Bench *b = g_new0(Bench, 1);
    unsigned words = argc > 3 ? (unsigned)atoi(argv[3]) : 4, rows = 0, never = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: test-a64-edges HOST [SEED [WORDS]]\n");
        return 2;
    }
    b->seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    open_bench(b, argv[1]);
    for (unsigned i = 0; i < WINDOWS; i++) {
        fill(b, &(Case){ .window = i });
    }
    for (unsigned i = 0; i < a64_nrows; i++) {
        bool any = false;

        for (unsigned n = 0; is_memory_row(&a64_rows[i]) && n < words; n++) {
            uint32_t w;
            Facts f;

            if (random_word(b, i, &w, &f)) {
                one_word(b, w, &f);
                any = true;
            }
        }
        rows += any;
        if (is_memory_row(&a64_rows[i]) && !any) {
            printf("# %s (%s): never\n", a64_rows[i].name, a64_rows[i].where);
            never++;
        }
    }
    caches(b, words);
    printf("1..1\n%s 1 %s: %u rows, %" PRIu64 " accesses, %" PRIu64 " faults, %u wrong\n", b->failed || never ? "not ok" : "ok", argv[1], rows, b->runs, b->faults, b->failed);
    machine_close(b->m);
    never += b->failed;
    g_free(b);
    return never != 0;
}
