/* SPDX-License-Identifier: MIT */
#include "tests/target/el1/program.h"

#include <string.h>

#include "target/arm/disas.h"
#include "target/arm/sysregs.h"

enum { WINDOWS = 12, BASES = 9, FIRST_BASE = 19, TMP = 16, H1 = 17, H2 = 18, CONT = 28, SUM = 29 };

typedef struct Geometry { unsigned gran, tsz; uint64_t root; } Geometry;

typedef struct Window {
    uint64_t va, pa, size;      /* pa of its first byte */
    uint64_t leaf;              /* physical address of its descriptor */
    bool exec;
} Window;

typedef struct Gen {
    Program *p;
    uint64_t seed;
    unsigned at;                /* next word of the code */
    Geometry geo[2];
    Window win[WINDOWS];
    unsigned nwin;
    uint64_t sctlr, tcr;
    bool el1;                   /* the body begins there */
    bool device;                /* some memory may be of Device type */
    bool nowhere;               /* some windows lead to no memory */
} Gen;

static uint64_t rnd(Gen *g)
{
    uint64_t z = g->seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(Gen *g, unsigned n)
{
    return (unsigned)(rnd(g) % n);
}

static bool percent(Gen *g, unsigned n)
{
    return below(g, 100) < n;
}

static bool has(const Gen *g, A64Feature f)
{
    return a64_has(g->p->cpu, f);
}

/* ---- code ---- */

static void word(Gen *g, uint32_t w)
{
    g->p->code[g->at++] = w;
}

static uint64_t here(const Gen *g)
{
    return CODE_BASE + 4ull * g->at;
}

uint32_t msr_word(unsigned reg, unsigned rt, bool read)
{
    const A64SysReg *r = &a64_sysregs[reg];

    return 0xd5000000 | (uint32_t)read << 21 | (uint32_t)r->op0 << 19 | (uint32_t)r->op1 << 16 | (uint32_t)r->crn << 12 | (uint32_t)r->crm << 8 | (uint32_t)r->op2 << 5 | rt;
}

static void msr(Gen *g, unsigned reg, unsigned rt)
{
    word(g, msr_word(reg, rt, false));
}

static void mrs(Gen *g, unsigned rt, unsigned reg)
{
    word(g, msr_word(reg, rt, true));
}

/* MOVZ, then MOVK for the halfwords that are not zero. */
static void mov(Gen *g, unsigned rd, uint64_t val)
{
    word(g, 0xd2800000 | (uint32_t)(val & 0xffff) << 5 | rd);
    for (unsigned i = 1; i < 4; i++) {
        uint32_t half = (uint32_t)(val >> 16 * i & 0xffff);

        if (half) {
            word(g, 0xf2800000 | i << 21 | half << 5 | rd);
        }
    }
}

static void adr(Gen *g, unsigned rd, int words)
{
    word(g, 0x10000000 | ((uint32_t)words & 0x7ffff) << 5 | rd);
}

#define ISB 0xd5033fdfu
#define DSB 0xd5033b9fu
#define ERET 0xd69f03e0u
#define SVC 0xd4000001u

/* Sums up what an exception left, and goes on behind it, or at x28 where the pc itself was bad. */
static void handler(Gen *g)
{
    unsigned eret;

    for (unsigned v = 0; v < 16; v++) {
        g->at = v * 32;
        word(g, 0x14000000 | (512 + 32 - g->at));          /* B to 0x880 */
    }
    g->at = 512 + 32;
    mrs(g, H1, SR_ESR_EL1);
    if (has(g, A64_FEAT_lse2)) {
        g->p->raw_esr = here(g);
        word(g, 0x9279f800 | H1 << 5 | H1);                                /* AND H1, H1, all but WnR: the peer is wrong about it in atomics across 16 bytes */
    }
    word(g, 0xca000000 | SUM << 16 | H1 << 5 | SUM);                       /* EOR SUM, H1, SUM */
    mrs(g, H2, SR_FAR_EL1);
    word(g, 0xcac00000 | SUM << 16 | 13 << 10 | H2 << 5 | SUM);            /* EOR SUM, H2, SUM, ROR 13 */
    mrs(g, H2, SR_SPSR_EL1);
    g->p->raw_spsr = here(g);
    word(g, 0x9274f400 | H2 << 5 | H2);                                    /* AND H2, H2, all but BTYPE: not all exceptions keep it */
    word(g, 0xcac00000 | SUM << 16 | 17 << 10 | H2 << 5 | SUM);
    word(g, 0x926bf800 | H2 << 5 | H2);                                    /* AND H2, H2, all but IL */
    msr(g, SR_SPSR_EL1, H2);
    mrs(g, H2, SR_ELR_EL1);
    word(g, 0xcac00000 | SUM << 16 | 5 << 10 | H2 << 5 | SUM);
    word(g, 0xd35afc00 | H1 << 5 | H1);                                    /* LSR H1, H1, 26 */
    word(g, 0xf1000000 | EC_SVC64 << 10 | H1 << 5 | 31);                   /* CMP */
    eret = g->at;
    word(g, 0);
    word(g, 0x91001000 | H2 << 5 | H2);                                    /* ADD H2, H2, 4 */
    word(g, 0xd1008000 | H1 << 5 | H1);                                    /* SUB H1, H1, 0x20 */
    word(g, 0xf1000800 | H1 << 5 | 31);                                    /* CMP H1, 2 */
    word(g, 0x9a800000 | H2 << 16 | 9 << 12 | CONT << 5 | H2);             /* CSEL H2, CONT, H2, LS */
    word(g, 0xb1004800 | H1 << 5 | 31);                                    /* CMN H1, 0x12: illegal state */
    word(g, 0x9a800000 | H2 << 16 | 0 << 12 | CONT << 5 | H2);             /* CSEL H2, CONT, H2, EQ */
    msr(g, SR_ELR_EL1, H2);
    g->p->code[eret] = 0x54000000 | (g->at - eret) << 5;                   /* B.EQ */
    word(g, ERET);
    g_assert(here(g) <= CODE_OFF);
}

/* ---- tables ---- */

static uint64_t endian(const Gen *g, uint64_t v)
{
    return g->sctlr & SCTLR_EE ? __builtin_bswap64(v) : v;
}

static void put_desc(Gen *g, uint64_t at, uint64_t desc)
{
    desc = endian(g, desc);
    memcpy(g->p->tables + (at - TABLES_BASE), &desc, 8);
}

static uint64_t get_desc(const Gen *g, uint64_t at)
{
    uint64_t desc;

    memcpy(&desc, g->p->tables + (at - TABLES_BASE), 8);
    return endian(g, desc);
}

static uint64_t table_new(Gen *g, unsigned gran)
{
    uint64_t size = 1ull << gran, at = (g->p->tables_used + size - 1) & ~(size - 1);

    if (at + size > TABLES_SIZE) {
        return 0;
    }
    g->p->tables_used = (unsigned)(at + size);
    return TABLES_BASE + at;
}

static unsigned level_shift(const Geometry *o, unsigned level)
{
    return o->gran + (o->gran - 3) * (3 - level);
}

static unsigned first_level(const Geometry *o)
{
    unsigned stride = o->gran - 3;

    return 4 - (64 - o->tsz - o->gran + stride - 1) / stride;
}

/* Descriptor's address for va at `level`, tables made on the way; 0: no room, or a block is in the way. `limits`: some tables get attributes. */
static uint64_t slot(Gen *g, const Geometry *o, uint64_t va, unsigned level, bool limits)
{
    uint64_t table = o->root;

    for (unsigned l = first_level(o);; l++) {
        unsigned shift = level_shift(o, l), top = 64 - o->tsz - shift, bits = top < o->gran - 3 ? top : o->gran - 3;
        uint64_t at = table + (va >> shift & ((1ull << bits) - 1)) * 8, desc = get_desc(g, at);

        if (l == level) {
            return at;
        }
        if (desc && (desc & 3) != 3) {
            return 0;
        }
        if (!desc) {
            desc = table_new(g, o->gran);
            if (!desc) {
                return 0;
            }
            desc |= 3 | (limits && percent(g, 25) ? (rnd(g) & 15) << 59 : 0);
            put_desc(g, at, desc);
        }
        table = desc & 0x0000ffffffffffffull & ~0ull << o->gran;
    }
}

static void map_pages(Gen *g, uint64_t at, uint64_t size, uint64_t attrs)
{
    const Geometry *o = &g->geo[0];

    for (uint64_t va = at; va < at + size; va += 1ull << o->gran) {
        put_desc(g, slot(g, o, va, 3, false), va | 0x403 | attrs);
    }
}

static uint64_t guarded(Gen *g)
{
    return has(g, A64_FEAT_bti) && percent(g, 40) ? 1ull << 50 : 0;
}

static uint64_t random_attrs(Gen *g)
{
    uint64_t d = (rnd(g) & 7) << 2 | (rnd(g) & 3) << 6 | (rnd(g) & 3) << 8 | (percent(g, 85) ? 1 << 10 : 0) | (rnd(g) & 1) << 11;

    if (has(g, A64_FEAT_hafdbs) && percent(g, 30)) {
        d |= 1ull << 51;
    }
    return d | (rnd(g) & 15) << 55;
}

static bool block_level(const Gen *g, const Geometry *o, unsigned level)
{
    return level >= first_level(o) && (level == 2 || (level == 1 && o->gran == 12));
}

/* Where the leaf points: to data, rarely to nothing or beyond what is implemented. */
static uint64_t target_pa(Gen *g, unsigned shift, bool exec)
{
    uint64_t inside = exec ? EXEC_BASE : DATA_BASE + 0x20000 + (rnd(g) & 0x3ffff);

    if (percent(g, 3)) {
        g->nowhere = true;
        inside |= 1ull << (40 + below(g, 8));       /* above all that the board has, and perhaps too large */
    }
    return inside & ~0ull << shift;
}

/* The next page behind the last window, or anywhere in one of the halves. */
static uint64_t window_va(Gen *g, const Window *last, unsigned *half)
{
    const Geometry *o;
    uint64_t va;

    *half = last ? last->va >> 63 : 0;
    if (last && percent(g, 50)) {
        return last->va + last->size;
    }
    *half = below(g, 2);
    o = &g->geo[*half];
    va = rnd(g) & ((1ull << (64 - o->tsz)) - 1);
    if (percent(g, 20)) {                           /* ends of the range */
        va = percent(g, 50) ? 0 : (1ull << (64 - o->tsz)) - 1;
    }
    return *half ? va | ~0ull << (64 - o->tsz) : va;
}

static void contiguous(Gen *g, Window *w, uint64_t desc)
{
    uint64_t first = w->leaf & ~127ull, pa = desc & 0x0000fffffffff000ull & ~0xffffull;

    for (unsigned i = 0; i < 16; i++) {
        put_desc(g, first + 8 * i, (desc & ~0x0000fffffffff000ull) | 1ull << 52 | (pa + 4096 * i));
    }
    w->pa = pa + ((w->leaf - first) / 8) * 4096;
}

static void add_window(Gen *g)
{
    Window *last = g->nwin ? &g->win[g->nwin - 1] : NULL, *w = &g->win[g->nwin];
    unsigned half, level = 3, shift;
    uint64_t va = window_va(g, last, &half), at, desc;
    const Geometry *o = &g->geo[half];
    bool exec = percent(g, 15);

    if (percent(g, 20)) {
        level = 1 + below(g, 2);
    }
    level = block_level(g, o, level) ? level : 3;
    shift = level_shift(o, level);
    va &= ~0ull << shift;
    at = slot(g, o, va, level, true);
    if (!at || get_desc(g, at)) {
        return;
    }
    desc = random_attrs(g) | target_pa(g, shift, exec) | (level == 3 ? 3 : 1);
    desc |= exec ? (rnd(g) & 3) << 53 : 3ull << 53;     /* data would be a wild program */
    desc |= exec ? guarded(g) : 0;
    desc &= exec ? ~(1ull << 51) : ~0ull;               /* writable but clean: is it writable for WXN? */
    if (percent(g, 4)) {
        desc = level == 3 && percent(g, 50) ? desc & ~2ull : desc & ~1ull;
    }
    *w = (Window){ .va = va, .pa = desc & 0x0000fffffffff000ull, .size = 1ull << shift, .leaf = at, .exec = exec };
    put_desc(g, at, desc);
    if (level == 3 && o->gran == 12 && !exec && percent(g, 12)) {
        bool empty = true;

        for (unsigned i = 0; i < 16; i++) {
            empty = empty && (!get_desc(g, (at & ~127ull) + 8 * i) || (at & ~127ull) + 8 * i == at);
        }
        if (empty) {
            contiguous(g, w, desc);
        }
    }
    g->nwin++;
}

static void make_tables(Gen *g)
{
    memset(g->p->tables, 0, sizeof(g->p->tables));
    g->p->tables_used = 0;
    g->geo[0].root = table_new(g, g->geo[0].gran);
    g->geo[1].root = table_new(g, g->geo[1].gran);
    map_pages(g, CODE_BASE, CODE_SIZE, 3 << 6 | 3 << 8 | guarded(g));       /* read-only everywhere, executable */
    map_pages(g, TABLES_BASE, TABLES_SIZE, 0 << 6 | 3 << 8 | 3ull << 53);
    for (unsigned i = 0; i < 3 * WINDOWS && g->nwin < WINDOWS; i++) {
        add_window(g);
    }
}

/* ---- start ---- */

static void start(Gen *g, unsigned reg, uint64_t val)
{
    g->p->start[g->p->nstart++] = (Start){ (uint16_t)reg, val };
}

static unsigned random_gran(Gen *g)
{
    unsigned n = below(g, 10);

    return n < 5 ? 12 : n < 8 ? 16 : has(g, A64_FEAT_gran16) ? 14 : 12;
}

static uint64_t random_tcr(Gen *g)
{
    static const uint8_t tg0[17] = { [12] = 0, [14] = 2, [16] = 1 }, tg1[17] = { [12] = 2, [14] = 1, [16] = 3 };
    unsigned most = has(g, A64_FEAT_ttst) ? 47 : 39;
    uint64_t t;

    g->geo[0].gran = random_gran(g);
    g->geo[1].gran = random_gran(g);
    g->geo[0].tsz = 16 + below(g, 18);              /* to 33: the code must be in reach */
    g->geo[1].tsz = 16 + below(g, most - 15);
    for (unsigned i = 0; i < 2 && has(g, A64_FEAT_lva); i++) {
        if (g->geo[i].gran == 16 && percent(g, 30)) {
            g->geo[i].tsz = 12 + below(g, 4);
        }
    }
    t = g->geo[0].tsz | (uint64_t)g->geo[1].tsz << 16 | (uint64_t)tg0[g->geo[0].gran] << 14 | (uint64_t)tg1[g->geo[1].gran] << 30;
    t |= 0x3500 | 0x35000000;                       /* write-back, inner shareable walks */
    t |= (rnd(g) & 1) << 22 | (rnd(g) & 1) << 36 | (percent(g, 5) ? 1 << 23 : 0);      /* A1, AS, EPD1 */
    t |= (uint64_t)below(g, has(g, A64_FEAT_lpa) ? 7 : 6) << 32 | (rnd(g) & 3) << 37;                          /* IPS, TBI */
    if (has(g, A64_FEAT_hafdbs) && !g->device) {    /* an alignment fault in Device memory may or may not set the access flag */
        t |= (rnd(g) & 3) << 39;
    }
    if (has(g, A64_FEAT_hpds)) {
        t |= (rnd(g) & 3) << 41;
    }
    if (g->p->pauth) {
        t |= (rnd(g) & 3) << 51;
    }
    if (has(g, A64_FEAT_e0pd) && percent(g, 20)) {
        t |= 1ull << 56;
    }
    return t;
}

/* Bits that the body may change, with a flush behind. */
static uint64_t free_sctlr(const Gen *g)
{
    uint64_t m = SCTLR_A | SCTLR_DZE | SCTLR_UCT | SCTLR_UCI | SCTLR_E0E;

    m |= has(g, A64_FEAT_pan) ? SCTLR_SPAN : 0;
    m |= has(g, A64_FEAT_ssbs) ? SCTLR_DSSBS : 0;
    return m | (g->p->pauth ? SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB : 0);
}

static uint64_t random_sctlr(Gen *g)
{
    uint64_t s = (0x30d00800 & ~free_sctlr(g)) | SCTLR_C | SCTLR_I | SCTLR_NTWI | SCTLR_NTWE;

    s |= SCTLR_UMA | (rnd(g) & free_sctlr(g));
    if (percent(g, 70)) {
        s &= ~(SCTLR_A | SCTLR_E0E);
    }
    s |= percent(g, 90) ? SCTLR_M : 0;
    s |= percent(g, 10) ? SCTLR_WXN : 0;
    s |= percent(g, 8) ? SCTLR_EE : 0;
    return has(g, A64_FEAT_pan) ? s : s | SCTLR_SPAN;
}

static uint64_t random_mair(Gen *g)
{
    static const uint8_t kinds[] = { 0x00, 0x04, 0x0c, 0x44, 0xff, 0xff, 0xff, 0xbb, 0x4f, 0xf4 };
    uint64_t m = 0;

    for (unsigned i = 0; i < 8; i++) {
        m |= (uint64_t)kinds[g->device ? below(g, sizeof(kinds)) : 3 + below(g, sizeof(kinds) - 3)] << 8 * i;
    }
    return m;
}

static uint64_t random_spsr(Gen *g, unsigned mode)
{
    uint64_t s = mode | (rnd(g) & 15) << 6 | (rnd(g) & 15) << 28;

    s |= has(g, A64_FEAT_pan) ? (uint64_t)percent(g, 40) << 22 : 0;
    s |= has(g, A64_FEAT_uao) ? (uint64_t)percent(g, 40) << 23 : 0;
    s |= has(g, A64_FEAT_dit) ? (rnd(g) & 1) << 24 : 0;
    s |= has(g, A64_FEAT_bti) && percent(g, 30) ? (rnd(g) & 3) << 10 : 0;
    return s | (has(g, A64_FEAT_ssbs) ? (rnd(g) & 1) << 12 : 0);
}

/* An address in a window, often at its edges, sometimes with a tag, rarely wild. */
static uint64_t data_address(Gen *g)
{
    const Window *w = g->nwin ? &g->win[below(g, g->nwin)] : NULL;
    uint64_t off, a;

    if (!w || (g->sctlr & SCTLR_M && percent(g, 4))) {
        return rnd(g) | 1ull << 52;
    }
    if (w->size > DATA_SIZE) {                      /* a block: where it holds the data */
        a = w->va + (DATA_BASE + 0x30000 - w->pa) % w->size + (rnd(g) & 0x1ffff);
    } else {
        off = percent(g, 30) ? rnd(g) & 15 : percent(g, 50) ? w->size - 1 - below(g, 40) : rnd(g) & (w->size - 1);
        a = w->va + off;
    }
    if (!(g->sctlr & SCTLR_M)) {
        a = percent(g, 8) ? 0x48000000 : DATA_BASE + 0x20000 + (rnd(g) & 0x3ffff);
    }
    if (g->device && (a & 0xfff) > 0xfc0) {
        a &= ~63ull;                                /* across two pages the order of faults differs */
    }
    a &= percent(g, 60) ? ~15ull : ~0ull;
    return g->sctlr & SCTLR_M && percent(g, 12) ? (a & ~(0xffull << 56)) | rnd(g) << 56 : a;
}

static void start_values(Gen *g)
{
    static const uint16_t any[] = { SR_TPIDR_EL0, SR_TPIDRRO_EL0, SR_TPIDR_EL1, SR_CONTEXTIDR_EL1, SR_FAR_EL1, SR_ESR_EL1, SR_PAR_EL1 };
    static const uint16_t keys[] = { SR_APIAKEYLO_EL1, SR_APIAKEYHI_EL1, SR_APIBKEYLO_EL1, SR_APIBKEYHI_EL1, SR_APDAKEYLO_EL1, SR_APDAKEYHI_EL1, SR_APDBKEYLO_EL1,
                                     SR_APDBKEYHI_EL1, SR_APGAKEYLO_EL1, SR_APGAKEYHI_EL1 };
    static const uint32_t fpen[] = { 3, 3, 3, 1, 0, 2 };
    uint64_t asid = rnd(g) << 48;

    for (unsigned i = 0; i < G_N_ELEMENTS(any); i++) {
        start(g, any[i], any[i] == SR_CONTEXTIDR_EL1 || any[i] == SR_ESR_EL1 ? rnd(g) & 0xffffffff : any[i] == SR_PAR_EL1 ? 0 : rnd(g));
    }
    for (unsigned i = 0; g->p->pauth && i < G_N_ELEMENTS(keys); i++) {
        start(g, keys[i], rnd(g));
    }
    start(g, SR_SP_EL0, data_address(g));
    start(g, SR_MAIR_EL1, random_mair(g));
    start(g, SR_TCR_EL1, g->tcr);
    start(g, SR_TTBR0_EL1, g->geo[0].root | (asid & 0x00ffull << 48));
    start(g, SR_TTBR1_EL1, g->geo[1].root | (asid >> 8 & 0x00ffull << 48));
    start(g, SR_VBAR_EL1, CODE_BASE);
    start(g, SR_CPACR_EL1, fpen[below(g, 6)] << 20);
    start(g, SR_CNTKCTL_EL1, 0);
    start(g, SR_ELR_EL1, CODE_BODY);
    g->el1 = percent(g, 60);
    start(g, SR_SPSR_EL1, random_spsr(g, g->el1 ? 4 + below(g, 2) : 0));
    start(g, SR_SCTLR_EL1, g->sctlr);
}

static void start_core(Gen *g)
{
    PeerCore *c = &g->p->core;

    for (unsigned i = 0; i < 31; i++) {
        c->x[i] = i >= 8 && i < 16 ? rnd(g) & 0xff : i >= FIRST_BASE && i < FIRST_BASE + BASES ? data_address(g) : rnd(g) >> (rnd(g) & 63);
    }
    c->x[CONT] = CODE_BODY;
    c->sp = data_address(g) & ~15ull;
    c->cpsr = 0x3c5;
}

/* ---- body: one item each ---- */

static unsigned base(Gen *g)
{
    return FIRST_BASE + below(g, BASES);
}

/* A random word of row i with operands in x0-x15. */
static uint32_t of_row(Gen *g, unsigned i)
{
    return (((uint32_t)rnd(g) & ~(0x00104210u)) & ~a64_rows[i].mask) | a64_rows[i].value;
}

static bool named(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(*list, name)) {
            return true;
        }
    }
    return false;
}

/* Does the text name a register that items must not touch? */
static bool touches_ours(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((*c == 'x' || *c == 'w') && c > text && strchr(" ,", c[-1]) && g_ascii_isdigit(c[1]) && atoi(c + 1) >= 16) {
            return true;
        }
    }
    return false;
}

static const char *const not_here[] = {
    "b", "bl", "cbz", "cbnz", "tbz", "tbnz", "b_cond", "br", "blr", "ret", "eret", "braz", "blraz", "reta", "ereta", "bra", "blra", "svc", "hvc", "smc", "brk", "hlt",
    "wfe", "wfi", "sev", "sevl", "esb", "sys", "msr_mrs", "stxr", "ldxr", "stxp", "ldxp", "ldr_lit", "ldr_lit_f", "prfm_lit", "adr", "adrp",
    "msr_uao", "msr_pan", "msr_spsel", "msr_ssbs", "msr_dit", "msr_daifset", "msr_daifclr", "pac_hint", "xpaclri", "bti", "hint", NULL
};
static const char *const keyed[] = { "pac", "aut", "xpac", "pacga", "ldra", NULL };

/* Loads and stores of structures: where one faults half-way, the peer has done the first half, and it lets them be unaligned in Device memory. */
static bool structure(const char *name)
{
    return g_str_has_prefix(name, "ldn") || g_str_has_prefix(name, "stn") || strstr(name, "lane");
}

/* A store of an atomic to a read-only page of no memory, a pair of vector registers that faults half-way: the peer does the first part first. */
static bool two_steps(const Gen *g, uint32_t w)
{
    bool atomic = (w & 0x3f200c00) == 0x38200000 || (w & 0x3f000000) == 0x08000000, pair = (w & 0x3e000000) == 0x2c000000;

    return pair || (atomic && g->nowhere);
}

/* Rows of the files whose name has `where`. */
static uint32_t pick(Gen *g, const char *where)
{
    for (;;) {
        unsigned i = below(g, a64_nrows);
        const A64Row *r = &a64_rows[i];
        uint32_t w;
        char text[128];

        if (!strstr(r->where, where) || named(r->name, not_here) || (!g->p->pauth && named(r->name, keyed)) || structure(r->name)) {
            continue;
        }
        w = of_row(g, i);
        if (strstr(where, "ldst")) {
            bool pair = (w & 0x38000000) == 0x28000000 && (w & 31) == (w >> 10 & 31);

            w |= !strcmp(r->name, "cas") ? 31u << 10 : !strcmp(r->name, "ldar") || !strcmp(r->name, "stlr") ? 31u << 16 | 31u << 10 : 0;
            w = (w & ~(31u << 5)) | (percent(g, 10) ? 31u : base(g)) << 5;
            if (pair || two_steps(g, w)) {
                continue;
            }
        }
        if (a64_row_of(w) != (int)i || !a64_disas(w, 0, text, sizeof(text)) || (w & 31) == 31 || touches_ours(text)) {
            continue;
        }
        return w;
    }
}

static void item_memory(Gen *g)
{
    word(g, pick(g, "ldst"));
}

/* Structures within one page, and aligned: they fault at the first element or not at all. */
static void item_structure(Gen *g)
{
    unsigned i;
    uint32_t w;
    char text[128];

    do {
        i = below(g, a64_nrows);
        w = (of_row(g, i) & ~(31u << 5)) | TMP << 5;
    } while (!structure(a64_rows[i].name) || a64_row_of(w) != (int)i || !a64_disas(w, 0, text, sizeof(text)) || touches_ours(text));
    mov(g, TMP, data_address(g) & ~63ull);
    word(g, w);
}

static void item_compute(Gen *g)
{
    word(g, pick(g, percent(g, 60) ? "base" : percent(g, 50) ? "simd" : "fp"));
}

/* System registers that the body leaves alone, reads only, or that count. */
static bool readable(const A64SysReg *r)
{
    static const char *const begin[] = { "CNT", "PM", "RNDR", "DBG", "MDRAR", "OSDTR", "MIDR", "CCSIDR", "LOR", "ERR", "DISR", "DCZID", "ACTLR", NULL };

    for (unsigned i = 0; begin[i]; i++) {
        if (g_str_has_prefix(r->name, begin[i])) {
            return false;
        }
    }
    return !(r->access & (SR_OP | SR_CONST));
}

static bool writable(const A64SysReg *r)
{
    static const char *const fixed[] = { "SCTLR_EL1", "TCR_EL1", "TTBR0_EL1", "TTBR1_EL1", "MAIR_EL1", "VBAR_EL1", "MDSCR_EL1", "OSLAR_EL1", "OSDLR_EL1", "DBGPRCR_EL1", "SPSR_EL1", "AMAIR_EL1", NULL };

    return readable(r) && !named(r->name, fixed) && !g_str_has_prefix(r->name, "DBG");
}

static void item_sysreg(Gen *g)
{
    bool read = percent(g, 60);
    unsigned i;

    do {
        i = below(g, SR_COUNT);
    } while ((read ? !readable(&a64_sysregs[i]) : !writable(&a64_sysregs[i])) || (i == SR_ESR_EL1 && read && has(g, A64_FEAT_lse2)));
    if (!g->p->pauth && strstr(a64_sysregs[i].name, "KEY")) {
        return;
    }
    if (read) {
        mrs(g, below(g, 16), i);
    } else {
        uint64_t mask = a64_sysregs[i].mask ? a64_sysregs[i].mask : ~0ull;

        mask = i == SR_NZCV ? 15ull << 28 : i == SR_DAIF ? 15ull << 6 : i == SR_PAN ? 1 << 22 : i == SR_UAO ? 1 << 23 : i == SR_DIT ? 1 << 24 : i == SR_SSBS ? 1 << 12 :
               i == SR_SPSel ? 1 : i == SR_FPCR ? 0x07c00000 : i == SR_FPSR ? 0x0800009f : i == SR_ESR_EL1 ? 0xffffffff : i == SR_PAR_EL1 ? 0 : mask;
        mov(g, TMP, rnd(g) & mask);
        msr(g, i, TMP);
    }
}

static void item_pstate(Gen *g)
{
    static const uint8_t fields[] = { 003, 004, 005, 031, 032, 036, 037 };
    unsigned k = below(g, sizeof(fields)), f = fields[k];

    word(g, 0xd500401f | (f >> 3) << 16 | (f & 7) << 5 | below(g, f >= 036 ? 16 : 2) << 8);
}

static void item_exception(Gen *g)
{
    switch (below(g, 5)) {
    case 0:
        word(g, SVC | (uint32_t)(rnd(g) & 0x7fff) << 5);
        break;
    case 1:
        word(g, 0xd4200000 | (uint32_t)(rnd(g) & 0xffff) << 5);     /* BRK */
        break;
    case 2:
        word(g, (uint32_t)(rnd(g) & 0xffff));                       /* UDF */
        break;
    case 3:
        word(g, 0xd4000003 | (uint32_t)(rnd(g) & 0xffff) << 5);     /* SMC */
        break;
    default:
        word(g, 0xd4400000 | (uint32_t)(rnd(g) & 0x3fff) << 5);     /* HLT */
    }
}

/* SP: alignment checks. */
static void item_sp(Gen *g)
{
    if (percent(g, 50)) {
        word(g, 0x91000000 | base(g) << 5 | 31);                    /* MOV SP, base */
    } else {
        word(g, (percent(g, 50) ? 0x91000000 : 0xd1000000) | (uint32_t)(percent(g, 60) ? 16 * below(g, 8) : below(g, 64)) << 10 | 31 << 5 | 31);
    }
}

static void item_base(Gen *g)
{
    mov(g, base(g), data_address(g));
}

/* In an executable block: there is more behind it than BR X28. */
static bool runs_wild(const Gen *g, uint64_t va)
{
    for (unsigned i = 0; i < g->nwin; i++) {
        if (g->win[i].exec && ((va ^ g->win[i].va) << 8 & ~0ull << 8) < g->win[i].size << 8) {
            return true;
        }
    }
    return false;
}

/* Where a branch may go: on, beside an instruction, to BR X28 in a window, nowhere. */
static uint64_t branch_target(Gen *g, uint64_t on)
{
    unsigned k = below(g, 10);

    if (k < 3) {
        return on;
    }
    if (k < 4) {
        return on + 1 + below(g, 3);
    }
    for (unsigned i = 0; g->sctlr & SCTLR_M && k < 8 && i < g->nwin; i++) {
        const Window *w = &g->win[(i + k) % g->nwin];

        if (w->exec) {
            uint64_t a = w->va + (w->size > EXEC_SIZE ? (EXEC_BASE - w->pa) % w->size : 0) + (rnd(g) & 0xffc & (w->size - 1));

            return percent(g, 15) ? (a & ~(0xffull << 56)) | rnd(g) << 56 : a;
        }
    }
    if (g->sctlr & SCTLR_M && percent(g, 50) && g->nwin) {
        uint64_t a = g->win[below(g, g->nwin)].va ^ 1ull << below(g, 64);

        return runs_wild(g, a) ? on : a;
    }
    return rnd(g) | 1ull << 52;
}

/* On a guarded page what stands at the end of a jump may be skipped. */
static void land(Gen *g)
{
    static const uint32_t kinds[] = { 0xd503201f, 0xd503241f, 0xd503245f, 0xd503249f, 0xd50324df, 0xd503233f, 0xd4200000, 0xd4400000 };

    word(g, kinds[has(g, A64_FEAT_bti) ? below(g, G_N_ELEMENTS(kinds)) : 0]);
}

/* No accidental way into data that may be executed: all data windows are XN. */
static void item_branch(Gen *g)
{
    uint64_t target = branch_target(g, 0);
    unsigned from;
    bool on = target < 4;

    if (percent(g, 30)) {                                           /* B, BL over one */
        word(g, (percent(g, 50) ? 0x14000000 : 0x94000000) | 2);
        word(g, pick(g, "base"));
        return;
    }
    if (on) {                                                       /* relative to what follows */
        adr(g, CONT, 4);
        adr(g, TMP, 3);
        word(g, 0x91000000 | (uint32_t)target << 10 | TMP << 5 | TMP);
    } else {
        from = g->at++;
        mov(g, TMP, target);
        g->p->code[from] = 0x10000000 | (g->at + 1 - from) << 5 | CONT;
    }
    word(g, (const uint32_t[]){ 0xd61f0000, 0xd63f0000, 0xd65f0000 }[below(g, 3)] | TMP << 5);
    land(g);
}

static void item_eret(Gen *g)
{
    unsigned mode = (const uint8_t[]){ 0, 4, 5, 0, 4, 5, 1, 8, 9, 12, 13, 6 }[below(g, 12)], from = g->at++;
    uint64_t spsr = random_spsr(g, mode) | (percent(g, 5) ? 1 << 20 : 0), wild = percent(g, 15) && (mode == 0 || mode == 4 || mode == 5) ? branch_target(g, 0) : 0;

    mov(g, TMP, spsr);
    msr(g, SR_SPSR_EL1, TMP);
    if (wild >= 4) {
        mov(g, TMP, wild);
    } else {
        adr(g, TMP, 3 + (percent(g, 5) ? 1 : 0));
    }
    msr(g, SR_ELR_EL1, TMP);
    word(g, ERET);
    g->p->code[from] = 0x10000000 | (g->at - from) << 5 | CONT;
    land(g);
    land(g);                                                        /* one may be left out */
}

static void flush_all(Gen *g)
{
    msr(g, SR_TLBI_VMALLE1, 31);
    word(g, DSB);
    word(g, ISB);
}

static void item_control(Gen *g)
{
    switch (below(g, 4)) {
    case 0:
        mov(g, TMP, g->sctlr ^ (rnd(g) & rnd(g) & free_sctlr(g)) ^ (percent(g, 20) ? SCTLR_WXN : 0));
        msr(g, SR_SCTLR_EL1, TMP);
        break;
    case 1:
        mov(g, TMP, g->tcr ^ (rnd(g) & 3) << 37 ^
            (has(g, A64_FEAT_hpds) ? (rnd(g) & 3) << 41 : 0) ^ (has(g, A64_FEAT_hafdbs) && !g->device && percent(g, 40) ? (rnd(g) & 3) << 39 : 0) ^ (percent(g, 10) ? 1 << 23 : 0));
        msr(g, SR_TCR_EL1, TMP);
        break;
    case 2:
        mov(g, TMP, random_mair(g));
        msr(g, SR_MAIR_EL1, TMP);
        break;
    default:
        mov(g, TMP, (rnd(g) & 3) << 20);
        msr(g, SR_CPACR_EL1, TMP);
    }
    flush_all(g);
}

static void item_asid(Gen *g)
{
    unsigned n = below(g, 2);

    mov(g, TMP, g->geo[n].root | (rnd(g) & 3) << 48);
    msr(g, n ? SR_TTBR1_EL1 : SR_TTBR0_EL1, TMP);
    word(g, ISB);
}

/* A new descriptor over an old one, and the flush that it asks for. */
static void item_edit(Gen *g)
{
    static const uint16_t by_page[] = { SR_TLBI_VAAE1, SR_TLBI_VAAE1IS, SR_TLBI_VMALLE1, SR_TLBI_VMALLE1IS };
    const Window *w = g->nwin ? &g->win[below(g, g->nwin)] : NULL;
    uint64_t desc;
    unsigned op = by_page[below(g, 4)];

    if (!w || w->exec) {
        return;
    }
    desc = get_desc(g, w->leaf);
    if (desc & 1ull << 52) {
        return;                                                     /* one of a contiguous group must not differ */
    }
    desc ^= (rnd(g) & 3) << 6 | (uint64_t)percent(g, 30) << 10 | (uint64_t)percent(g, 25) | (uint64_t)percent(g, 20) << 11;
    mov(g, H1, w->leaf);
    mov(g, TMP, desc);
    word(g, 0xf9000000 | H1 << 5 | TMP);                            /* STR TMP, [H1] */
    word(g, DSB);
    mov(g, TMP, w->va >> 12 & 0xfffffffffffull);
    msr(g, op, TMP);
    word(g, DSB);
    word(g, ISB);
}

static void item_at(Gen *g)
{
    static const uint16_t ops[] = { SR_AT_S1E1R, SR_AT_S1E1W, SR_AT_S1E0R, SR_AT_S1E0W, SR_AT_S1E1RP, SR_AT_S1E1WP };

    msr(g, ops[below(g, 3) * 2 + (g->tcr >> 39 & 3 ? 0 : below(g, 2))], base(g));      /* the peer has no clean page writable for AT */
    word(g, ISB);
    mrs(g, below(g, 16), SR_PAR_EL1);
}

/* The peer does nothing for these, not even look whether the address is accessible. */
static bool by_address(const char *name)
{
    return !strcmp(name, "IC_IVAU") || (g_str_has_prefix(name, "DC_") && strcmp(name, "DC_ZVA") && !g_str_has_suffix(name, "SW"));
}

static void item_maintain(Gen *g)
{
    unsigned i;

    do {
        i = below(g, SR_COUNT);
    } while (!(a64_sysregs[i].access & SR_OP) || g_str_has_prefix(a64_sysregs[i].name, "AT_") || by_address(a64_sysregs[i].name));
    msr(g, i, g_str_has_prefix(a64_sysregs[i].name, "TLBI_V") || percent(g, 80) ? base(g) : below(g, 16));
}

static void item_exclusive(Gen *g)
{
    unsigned size = below(g, 4), b = base(g);

    word(g, 0x085f7c00 | size << 30 | b << 5 | below(g, 8));
    if (percent(g, 30)) {
        word(g, pick(g, "base"));
    }
    word(g, 0x08007c00 | size << 30 | (8 + below(g, 8)) << 16 | b << 5 | below(g, 8));
}

static const struct { void (*make)(Gen *g); unsigned weight; } items[] = {
    { item_memory, 32 }, { item_compute, 8 }, { item_sysreg, 14 }, { item_pstate, 6 }, { item_exception, 5 }, { item_sp, 4 }, { item_base, 6 },
    { item_branch, 5 }, { item_eret, 6 }, { item_control, 3 }, { item_asid, 2 }, { item_edit, 4 }, { item_at, 4 }, { item_maintain, 5 }, { item_exclusive, 1 },
    { item_structure, 3 },
};

static void body(Gen *g)
{
    unsigned total = 0, n = 20 + below(g, 40);

    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        total += items[i].weight;
    }
    land(g);
    while (n--) {
        unsigned k = below(g, total), i = 0;

        for (; k >= items[i].weight; i++) {
            k -= items[i].weight;
        }
        items[i].make(g);
    }
}

void program_make(Program *p, uint64_t seed)
{
    Gen g = { .p = p, .seed = seed * 0x2545f4914f6cdd1d + 1 };

    memset(p->code, 0, sizeof(p->code));
    p->nstart = 0;
    g.sctlr = random_sctlr(&g);
    g.device = !(g.sctlr & SCTLR_M) || percent(&g, 50);
    g.tcr = random_tcr(&g);
    p->sctlr_off = 0x30d00800 | (has(&g, A64_FEAT_pan) ? SCTLR_SPAN : 0);
    handler(&g);
    make_tables(&g);
    start_values(&g);
    start_core(&g);
    g.at = (CODE_OFF - CODE_BASE) / 4;
    msr(&g, SR_SCTLR_EL1, 0);
    flush_all(&g);
    g.at = (CODE_STUB - CODE_BASE) / 4;
    for (unsigned i = 0; i < p->nstart; i++) {
        msr(&g, p->start[i].reg, i % 28);
    }
    flush_all(&g);
    p->eret = here(&g);
    word(&g, ERET);
    g_assert(here(&g) <= CODE_BODY);
    g.at = (CODE_BODY - CODE_BASE) / 4;
    body(&g);
    p->end = here(&g);
    word(&g, 0x14000000);
    word(&g, SVC | 0xffff << 5);
}
