/* SPDX-License-Identifier: MIT */
/*
 * The page walk against a second model: tables are built from a list of mappings (the model's truth) for random
 * geometries, then addresses in and around them are walked and compared with what the list says.
 */
#include <glib.h>
#include <string.h>

#include "target/arm/mmu.h"

enum { TABLES = 1 << 20 };          /* bytes of table memory, at address 0 */
static uint64_t memory[TABLES / 8];
static uint64_t next_free;

static bool read_desc(void *opaque, uint64_t pa, uint64_t *desc)
{
    (void)opaque;
    if (pa >= TABLES) {
        return false;
    }
    *desc = memory[pa / 8];
    return true;
}

static bool update_desc(void *opaque, uint64_t pa, uint64_t old, uint64_t new)
{
    (void)opaque;
    g_assert_cmphex(memory[pa / 8], ==, old);
    memory[pa / 8] = new;
    return true;
}

static uint64_t rnd(void)
{
    return (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
}

/* The geometry of one half as plain lists: which address bits index which level. */
typedef struct Shape {
    unsigned gran, tsz;
    bool ds;                        /* LPA2 */
    unsigned lo[5], hi[5];          /* bits hi..lo-1 index level i - 1; hi == lo: level not used */
    int first;
} Shape;

static Shape shape_of(unsigned gran, unsigned tsz, bool ds)
{
    Shape s = { .gran = gran, .tsz = tsz, .ds = ds, .first = 4 };
    unsigned top = 64 - tsz, bit = gran;

    for (int level = 3; level >= -1 && bit < top; level--) {
        unsigned end = bit + gran - 3;

        s.lo[level + 1] = bit;
        s.hi[level + 1] = end < top ? end : top;
        s.first = level;
        bit = end;
    }
    return s;
}

/* Where a descriptor has the bits of an address: D8.3, with DS bits 51:50 in 9:8. */
static uint64_t address_bits(const Shape *s)
{
    return s->ds ? 0x0003fffffffff300ull : 0x0000fffffffff000ull;
}

static uint64_t address_in(const Shape *s, uint64_t pa)
{
    return s->ds ? (pa & 0x0003fffffffff000ull) | (pa >> 50 & 3) << 8 : pa;
}

typedef struct Truth {
    uint64_t va, pa, size, leaf_at, desc;
    bool ap_ro, ap_el1, uxn, pxn;   /* from tables */
} Truth;

static uint64_t table_new(const Shape *s)
{
    uint64_t at = next_free;

    next_free += 1ull << s->gran;
    return next_free <= TABLES ? at : 0;
}

/* Map one page or block; table attributes are random where a table is made. */
static bool map(const Shape *s, uint64_t root, uint64_t va, int level, uint64_t desc, Truth *t)
{
    uint64_t table = root;

    *t = (Truth){ .va = va };
    for (int l = s->first;; l++) {
        unsigned lo = s->lo[l + 1];
        uint64_t index = va >> lo & ((1ull << (s->hi[l + 1] - lo)) - 1), at = table + 8 * index, d = memory[at / 8];

        if (l == level) {
            if (d) {
                return false;
            }
            t->size = 1ull << lo;
            t->va = va & ~(t->size - 1);
            t->pa = desc & (s->ds ? 0x000fffffffffffffull : 0x0000ffffffffffffull) & ~(t->size - 1);
            t->leaf_at = at;
            memory[at / 8] = t->desc = (desc & 0x0060000000000cfcull) | (s->ds ? 0 : desc & 0x300) | (desc & ~address_bits(s) & 0xfff0000000000000ull) | address_in(s, t->pa) | (l == 3 ? 3 : 1);
            return true;
        }
        if (!d) {
            uint64_t new = table_new(s);

            if (!new) {
                return false;
            }
            memory[at / 8] = d = new | 3 | (g_test_rand_int() & 3 ? 0 : rnd() & (15ull << 59));
        }
        if ((d & 3) != 3) {
            return false;
        }
        t->pxn |= d >> 59 & 1;
        t->uxn |= d >> 60 & 1;
        t->ap_el1 |= d >> 61 & 1;
        t->ap_ro |= d >> 62 & 1;
        table = d & 0x0000fffffffff000ull & ~((1ull << s->gran) - 1);
    }
}

/* May this access be made?  D8.4 in words, independent of the code under test. */
static bool permitted(const Truth *t, const A64Regime *r, A64WalkAccess acc, bool dirty_managed)
{
    bool ap1 = t->desc >> 6 & 1, ap2 = t->desc >> 7 & 1;
    bool el0_read = ap1 && !t->ap_el1, el1_write = !((ap2 && !dirty_managed) || t->ap_ro), el0_write = el0_read && el1_write;
    bool wxn = r->sctlr >> 19 & 1;

    switch (acc) {
    case WALK_LOAD:
        return r->user ? el0_read : !(r->pan && el0_read);
    case WALK_STORE:
        return r->user ? el0_write : el1_write && !(r->pan && el0_read);
    default:
        if (r->user) {
            return !((t->desc >> 54 & 1) || t->uxn) && !(wxn && el0_write);
        }
        return !((t->desc >> 53 & 1) || t->pxn) && !el0_write && !(wxn && el1_write);
    }
}

static void check_hit(const A64Regime *r, const Truth *t, int level, uint64_t va)
{
    static const A64WalkAccess accesses[] = { WALK_LOAD, WALK_STORE, WALK_FETCH };

    for (unsigned i = 0; i < 3; i++) {
        bool ha = r->hafdbs && r->tcr >> 39 & 1, managed = r->hafdbs2 && ha && r->tcr >> 40 & 1 && t->desc >> 51 & 1;
        A64Mapping m = { 0 };
        bool ok;

        memory[t->leaf_at / 8] = t->desc;
        ok = a64_walk_regime(r, va, accesses[i], true, &m);
        if (!(t->desc >> 10 & 1) && !ha) {
            g_assert_false(ok);
            g_assert_cmpuint(m.fsc, ==, FSC_ACCESS_FLAG + (unsigned)level);
        } else if (!permitted(t, r, accesses[i], managed)) {
            g_assert_false(ok);
            g_assert_cmpuint(m.fsc, ==, FSC_PERMISSION + (unsigned)level);
        } else {
            uint64_t now = memory[t->leaf_at / 8];

            g_assert_true(ok);
            g_assert_cmphex(m.pa, ==, t->pa + (va - t->va) % t->size);
            g_assert_cmphex(m.size, ==, t->size);
            g_assert_cmpint(m.global, ==, !(t->desc >> 11 & 1));
            g_assert_cmpuint(m.sh, ==, (r->lpa2 && r->tcr >> 59 & 1 ? r->tcr >> (va >> 55 & 1 ? 28 : 12) : t->desc >> 8) & 3);
            g_assert_cmphex(m.attr, ==, r->mair >> (8 * (t->desc >> 2 & 7)) & 255);
            g_assert_cmphex(now & 1 << 10, ==, 1 << 10);
            g_assert_cmphex(now >> 7 & 1, ==, managed && accesses[i] == WALK_STORE ? 0 : t->desc >> 7 & 1);
            g_assert_true(m.prot & accesses[i]);
            /* a clean page must fault its first store into the walk */
            g_assert_cmpint(!!(m.prot & WALK_STORE), ==, permitted(t, r, WALK_STORE, false) || (managed && accesses[i] == WALK_STORE));
        }
    }
    memory[t->leaf_at / 8] = t->desc;
}

static void one_geometry(void)
{
    static const uint8_t grans[3] = { 12, 14, 16 };
    unsigned gran = grans[g_test_rand_int_range(0, 3)], half = (unsigned)g_test_rand_int_range(0, 2);
    bool ds = gran != 16 && g_test_rand_bit();
    unsigned tsz = (unsigned)g_test_rand_int_range(ds ? 12 : 16, gran == 16 ? 48 : 49);
    Shape s = shape_of(gran, tsz, ds);
    A64Regime r = { .sctlr = 1 | (rnd() & 1 << 19), .mair = rnd(), .pa_bits = ds ? 52 : 48, .lpa2 = ds, .user = g_test_rand_bit(), .ttst = true, .gran16 = true,
                    .hafdbs = g_test_rand_bit(), .hpds = false, .read = read_desc, .update = update_desc };
    uint64_t tg = half ? (gran == 12 ? 2ull : gran == 14 ? 1ull : 3ull) << 30 : (gran == 12 ? 0ull : gran == 14 ? 2ull : 1ull) << 14;
    uint64_t high = half ? ~0ull << (64 - tsz) : 0, root;
    Truth truth[64];
    int level[64];
    unsigned n = 0;

    r.hafdbs2 = r.hafdbs;
    r.pan = !r.user && g_test_rand_bit();
    r.tcr = (uint64_t)tsz << (half ? 16 : 0) | tg | (ds ? 1ull << 59 | 6ull << 32 | (rnd() & (3 << 12 | 3 << 28)) : 5ull << 32) | (rnd() & 3ull << 39) | (rnd() & 1ull << (37 + half));
    if (tsz > 47 && gran == 16) {
        return;
    }
    memset(memory, 0, sizeof(memory));
    next_free = 1ull << gran;
    root = table_new(&s);
    r.ttbr[half] = root;
    for (unsigned i = 0; i < 40; i++) {
        int l = g_test_rand_int_range(MAX(s.first, (gran == 12 ? 1 : 2) - ds), 4);
        uint64_t va = (rnd() & ~(~0ull << (64 - tsz))) | high;

        level[n] = l;
        n += map(&s, root, va, l, rnd() & ~(1ull << 50 | 1ull << 52) & 0x006ffffffffffffcull, &truth[n]);
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t va = truth[i].va + rnd() % truth[i].size;

        check_hit(&r, &truth[i], level[i], va);
        if (r.tcr >> (37 + half) & 1) {
            check_hit(&r, &truth[i], level[i], (va & 0x00ffffffffffffffull) | rnd() << 56);
        } else if (tsz < 55) {
            A64Mapping m;

            g_assert_false(a64_walk_regime(&r, va ^ 1ull << 60, WALK_LOAD, false, &m));
            g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION);
        }
    }
}

static void geometries(void)
{
    for (unsigned i = 0; i < 400; i++) {
        one_geometry();
    }
}

static void off(void)
{
    A64Regime r = { .pa_bits = 40, .tcr = 1ull << 37, .read = read_desc, .update = update_desc };
    A64Mapping m;

    g_assert_true(a64_walk_regime(&r, 0x5a00000012345678, WALK_STORE, true, &m));
    g_assert_cmphex(m.pa, ==, 0x12345678);
    g_assert_cmpuint(m.attr, ==, 0);
    g_assert_false(a64_walk_regime(&r, 1ull << 40, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_ADDRESS_SIZE);
}

/* What must fault before the first table is read, and external aborts on it. */
static void faults(void)
{
    A64Regime r = { .sctlr = 1, .pa_bits = 40, .tcr = 16 | 16 << 16 | 2ull << 30 | 5ull << 32, .gran16 = true, .read = read_desc, .update = update_desc };
    A64Mapping m;

    r.ttbr[0] = 1ull << 41;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_ADDRESS_SIZE);
    r.ttbr[0] = 1ull << 36;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_WALK_EXTERNAL);
    r.tcr |= 1 << 7;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION);
    memset(memory, 0, sizeof(memory));
    r.tcr &= ~(1ull << 7);
    r.ttbr[0] = 0;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION);
    memory[0] = 0x1003;
    memory[0x200] = 0x2003;
    memory[0x400] = 0x3003;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION + 3);
    memory[0x601] = 1ull << 41 | 0x703;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_ADDRESS_SIZE + 3);
    /* LPA2: level -1 */
    r = (A64Regime){ .sctlr = 1, .pa_bits = 52, .tcr = 12 | 12 << 16 | 2ull << 30 | 6ull << 32 | 1ull << 59, .gran16 = true, .lpa2 = true, .read = read_desc, .update = update_desc };
    memset(memory, 0, sizeof(memory));
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, 0x2b);
    r.ttbr[0] = 1ull << 36;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, 0x13);
    r.ttbr[0] = 0;
    r.tcr &= ~(7ull << 32);
    r.tcr |= 5ull << 32;
    memory[0] = 3 | 1ull << 49;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, 0x29);
    r.tcr &= ~(1ull << 59);                                                     /* without DS 52 bits are too many */
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));
    g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION);
    r = (A64Regime){ .sctlr = 1, .pa_bits = 40, .tcr = 16 | 16 << 16 | 2ull << 30 | 5ull << 32, .gran16 = true, .read = read_desc, .update = update_desc };
    memory[0x400] = 0x4001 | 1ull << 12;
    memory[0] = 1;
    g_assert_false(a64_walk_regime(&r, 0x1000, WALK_LOAD, true, &m));        /* no blocks at level 0 */
    g_assert_cmpuint(m.fsc, ==, FSC_TRANSLATION);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/a64-walk/geometries", geometries);
    g_test_add_func("/a64-walk/off", off);
    g_test_add_func("/a64-walk/faults", faults);
    return g_test_run();
}
