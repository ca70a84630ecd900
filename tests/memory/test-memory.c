/* SPDX-License-Identifier: MIT */
/* Regions, views, RAM, dirty pages and DMA, without a machine. */
#include "memory/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct Fixture {
    Memory *mem;
    MemRegion root;
    AddressSpace *as;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
    f->mem = memory_new();
    mem_region_init(&f->root, f->mem, "root", UINT64_MAX);
    f->as = address_space_new(f->mem, "test", &f->root);
}

static void teardown(Fixture *f, gconstpointer data)
{
    address_space_free(f->as);
    g_list_free(f->root.children);
    memory_free(f->mem);
}

static RamBlock *make_ram(Fixture *f, MemRegion *r, const char *id, uint64_t size, paddr at)
{
    RamSpec spec = { .id = id, .size = size };
    RamBlock *b = ram_block_new(f->mem, &spec, NULL);

    g_assert_nonnull(b);
    mem_region_init_ram(r, f->mem, id, b);
    mem_region_add(&f->root, at, r);
    return b;
}

/* A register file that remembers what reached it. */
typedef struct Probe { uint64_t offset, val; unsigned size, calls; } Probe;

static MemResult probe_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    Probe *p = opaque;

    p->offset = offset;
    p->size = size;
    p->calls++;
    *val = 0x8877665544332211ull >> (offset % 8 * 8);
    return MEM_OK;
}

static MemResult probe_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    Probe *p = opaque;

    *p = (Probe){ offset, val, size, p->calls + 1 };
    return MEM_OK;
}

static void test_overlap(Fixture *f, gconstpointer data)
{
    MemRegion low, high, ram;
    Probe a = { 0 }, b = { 0 };
    static const MemOps ops = { probe_read, probe_write };
    MemHit hit;

    make_ram(f, &ram, "ram", 0x10000, 0x1000);
    mem_region_init_io(&low, f->mem, "low", 0x1000, &ops, &a, NULL);
    mem_region_init_io(&high, f->mem, "high", 0x100, &ops, &b, NULL);
    mem_region_add_overlap(&f->root, 0x2000, &low, 1);
    mem_region_add_overlap(&f->root, 0x2800, &high, 2);

    mem_translate(f->as, 0x1fff, 0x10000, false, &hit);
    g_assert_true(hit.region == &ram && hit.len == 1 && hit.offset == 0xfff);
    mem_translate(f->as, 0x2000, 0x10000, false, &hit);
    g_assert_true(hit.region == &low && hit.len == 0x800 && !hit.ram);
    mem_translate(f->as, 0x2880, 0x10000, false, &hit);
    g_assert_true(hit.region == &high && hit.len == 0x80 && hit.offset == 0x80);
    mem_translate(f->as, 0x2900, 0x10000, false, &hit);
    g_assert_true(hit.region == &low && hit.offset == 0x900 && hit.len == 0x700);
    mem_translate(f->as, 0x3000, 0x100000, true, &hit);
    g_assert_true(hit.region == &ram && hit.len == 0xe000 && hit.ram);

    mem_region_set_enabled(&low, false);
    mem_translate(f->as, 0x2000, 0x10000, false, &hit);
    g_assert_true(hit.region == &ram && hit.len == 0x800);
    mem_translate(f->as, 0x20000, 16, false, &hit);
    g_assert_true(!hit.ram && hit.len == 16);
    g_assert_cmpint(mem_io_read(hit.region, hit.offset, 4, &a.val, MEM_ATTRS_NONE), ==, MEM_DECODE_ERROR);
    mem_translate(f->as, 0, UINT64_MAX, false, &hit);
    g_assert_cmpuint(hit.len, ==, 0x1000);
    mem_region_del(&low);
    mem_region_del(&high);
    mem_region_del(&ram);
}

static void test_alias(Fixture *f, gconstpointer data)
{
    MemRegion ram, inside, window;
    RamBlock *b = make_ram(f, &ram, "ram", 0x4000, 0x100000);
    MemHit hit;

    mem_region_init_alias(&window, f->mem, "window", &ram, 0x1800, 0x1000);
    mem_region_add(&f->root, 0x8000, &window);
    mem_translate(f->as, 0x8010, 0x2000, true, &hit);
    g_assert_true(hit.ram == b && hit.host == b->host + 0x1810 && hit.len == 0xff0);
    g_assert_cmpuint(hit.ram_addr, ==, b->ram_addr + 0x1810);
    /* an alias of a container shows its children; a read-only alias takes no stores */
    mem_region_init_alias(&inside, f->mem, "rom view", &f->root, 0x100000, 0x1000);
    inside.readonly = true;
    mem_region_add(&f->root, 0x20000, &inside);
    mem_translate(f->as, 0x20004, 4, false, &hit);
    g_assert_true(hit.ram == b && hit.host == b->host + 4 && hit.readonly);
    mem_translate(f->as, 0x20004, 4, true, &hit);
    g_assert_null(hit.ram);
    mem_region_del(&inside);
    mem_region_del(&window);
    mem_region_del(&ram);
}

static void test_top(Fixture *f, gconstpointer data)
{
    MemRegion ram;
    MemHit hit;

    make_ram(f, &ram, "top", 0x1000, 0ull - 0x1000);
    mem_translate(f->as, UINT64_MAX, 1, true, &hit);
    g_assert_true(hit.ram && hit.offset == 0xfff && hit.len == 1);
    mem_translate(f->as, 0ull - 0x1000, UINT64_MAX, true, &hit);
    g_assert_cmpuint(hit.len, ==, 0x1000);
    mem_region_del(&ram);
}

static void test_sizes(Fixture *f, gconstpointer data)
{
    static const MemOps narrow = { probe_read, probe_write, .min = 1, .max = 2 };
    static const MemOps word = { probe_read, probe_write, .min = 4, .max = 4 };
    static const MemOps big = { probe_read, probe_write, .min = 2, .max = 8, .endian = MEM_BIG };
    MemRegion r;
    Probe p = { 0 };
    uint64_t v;

    mem_region_init_io(&r, f->mem, "narrow", 0x100, &narrow, &p, NULL);
    g_assert_cmpint(mem_io_read(&r, 0, 8, &v, MEM_ATTRS_NONE), ==, MEM_OK);
    g_assert_cmphex(v, ==, 0x8877665544332211ull);
    g_assert_cmpuint(p.calls, ==, 4);
    p.calls = 0;
    mem_io_read(&r, 1, 4, &v, MEM_ATTRS_NONE);          /* 1 + 2 + 1 */
    g_assert_cmphex(v, ==, 0x55443322);
    g_assert_cmpuint(p.calls, ==, 3);

    mem_region_init_io(&r, f->mem, "word", 0x100, &word, &p, NULL);
    mem_io_read(&r, 6, 1, &v, MEM_ATTRS_NONE);
    g_assert_cmphex(v, ==, 0x77);
    g_assert_true(p.offset == 4 && p.size == 4);
    mem_io_write(&r, 6, 2, 0xabcd, MEM_ATTRS_NONE);
    g_assert_true(p.offset == 4 && p.size == 4 && p.val == 0xabcd0000);

    mem_region_init_io(&r, f->mem, "big", 0x100, &big, &p, NULL);
    mem_io_write(&r, 8, 2, 0x1234, MEM_ATTRS_NONE);
    g_assert_true(p.offset == 8 && p.size == 2 && p.val == 0x3412);
    mem_io_write(&r, 0, 8, 0x0102030405060708ull, MEM_ATTRS_NONE);
    g_assert_cmphex(p.val, ==, 0x0807060504030201ull);
}

static void test_romd(Fixture *f, gconstpointer data)
{
    static const MemOps ops = { probe_read, probe_write };
    RamSpec spec = { .id = "flash", .size = 0x2000 };
    RamBlock *b = ram_block_new(f->mem, &spec, NULL);
    Probe p = { 0 };
    MemRegion r;
    MemHit hit;

    mem_region_init_romd(&r, f->mem, "flash", b, &ops, &p, NULL);
    mem_region_add(&f->root, 0, &r);
    mem_translate(f->as, 4, 4, false, &hit);
    g_assert_true(hit.ram == b && hit.readonly);
    mem_translate(f->as, 4, 4, true, &hit);
    g_assert_null(hit.ram);
    mem_io_write(hit.region, hit.offset, 4, 0x90, MEM_ATTRS_NONE);
    g_assert_true(p.offset == 4 && p.val == 0x90);
    mem_region_set_romd(&r, false);
    mem_translate(f->as, 4, 4, false, &hit);
    g_assert_null(hit.ram);
    mem_region_del(&r);
}

typedef struct Heard { MemListener l; unsigned topology, code, logging; uint64_t addr, len; } Heard;
static void heard_topology(MemListener *l, AddressSpace *as) { ((Heard *)l)->topology++; }
static void heard_logging(MemListener *l, uint32_t clients) { ((Heard *)l)->logging++; }
static void heard_code(MemListener *l, uint64_t addr, uint64_t len)
{
    Heard *h = (Heard *)l;

    h->code++;
    h->addr = addr;
    h->len = len;
}

static void test_dirty(Fixture *f, gconstpointer data)
{
    Heard h = { { heard_topology, heard_code, heard_logging } };
    MemRegion ram, other;
    RamBlock *b, *c;
    uint64_t out[4], len = 0x3000;
    uint8_t bytes[0x3000] = { 1 };
    void *p;

    mem_listener_add(f->mem, &h.l);
    b = make_ram(f, &ram, "ram", 200 * 4096, 0x40000000);
    c = make_ram(f, &other, "other", 4096, 0);
    g_assert_cmpuint(h.topology, ==, 2);
    g_assert_cmpuint(c->ram_addr, >=, b->ram_addr + b->size);
    g_assert_true(mem_dirty_all(f->mem, DIRTY_CODE, b->ram_addr, b->size));

    mem_dirty_test_clear(f->mem, DIRTY_CODE, b->ram_addr + 5 * 4096, 4096, NULL);
    dma_write(f->as, 0x40000000 + 6 * 4096, bytes, 4096, MEM_ATTRS_NONE);
    g_assert_cmpuint(h.code, ==, 0);
    dma_write(f->as, 0x40000000 + 4 * 4096, bytes, 4097, MEM_ATTRS_NONE);
    g_assert_cmpuint(h.code, ==, 1);
    g_assert_true(h.addr == b->ram_addr + 4 * 4096 && h.len == 4097);

    mem_dirty_log(f->mem, DIRTY_MIGRATION, true);
    g_assert_cmpuint(h.logging, ==, 1);
    g_assert_true(mem_dirty_test_clear(f->mem, DIRTY_MIGRATION, b->ram_addr, b->size, NULL));
    g_assert_false(mem_dirty_any(f->mem, DIRTY_MIGRATION, b->ram_addr, b->size));
    dma_write(f->as, 0x40000000 + 63 * 4096 + 4095, bytes, 2, MEM_ATTRS_NONE);
    mem_store(f->as, 0x40000000 + 130 * 4096, 8, 7, MEM_ATTRS_NONE);
    g_assert_true(mem_dirty_test_clear(f->mem, DIRTY_MIGRATION, b->ram_addr + 4096, 199 * 4096, out));
    g_assert_cmphex(out[0], ==, 3ull << 62);            /* pages 63 and 64, counted from page 1 */
    g_assert_cmphex(out[2], ==, 2);                     /* page 130 */
    p = dma_map(f->as, 0x40000000 + 197 * 4096, &len, true, MEM_ATTRS_NONE);
    g_assert_true(p == b->host + 197 * 4096 && len == 0x3000);
    dma_unmap(f->as, p, len, true, 4097);
    g_assert_true(mem_dirty_all(f->mem, DIRTY_MIGRATION, b->ram_addr + 197 * 4096, 2 * 4096));
    g_assert_false(mem_dirty_any(f->mem, DIRTY_MIGRATION, b->ram_addr + 199 * 4096, 4096));
    mem_dirty_log(f->mem, DIRTY_MIGRATION, false);
    mem_listener_del(f->mem, &h.l);
    mem_region_del(&ram);
    mem_region_del(&other);
}

static void test_dma_registers(Fixture *f, gconstpointer data)
{
    static const MemOps ops = { probe_read, probe_write };
    Probe p = { 0 };
    MemRegion r;
    uint32_t word = 0x1234;

    mem_region_init_io(&r, f->mem, "doorbell", 0x1000, &ops, &p, NULL);
    mem_region_add(&f->root, 0x8020000, &r);
    g_assert_cmpint(dma_write(f->as, 0x8020040, &word, 4, MEM_ATTRS_NONE), ==, MEM_DECODE_ERROR);
    g_assert_cmpuint(p.calls, ==, 0);
    r.dma_target = true;
    g_assert_cmpint(dma_write(f->as, 0x8020040, &word, 4, MEM_ATTRS_NONE), ==, MEM_OK);
    g_assert_true(p.offset == 0x40 && p.val == 0x1234 && p.size == 4);
    mem_region_del(&r);
}

static void test_backings(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "rhea-ram-XXXXXX", NULL);
    RamSpec shared = { .id = "s", .size = 5000, .share = true, .prealloc = true };
    RamSpec file = { .id = "f", .size = 8192, .backing = RAM_FILE, .share = true };
    RamSpec bad = { .id = "b", .size = 8192, .backing = RAM_FILE, .path = "/nonexistent/x" };
    g_autoptr(Error) err = NULL;
    RamBlock *b = ram_block_new(f->mem, &shared, NULL), *c;
    int fd = g_mkstemp(path);
    char back[5];

    g_assert_true(b && b->fd >= 0 && b->backing == RAM_MEMFD && b->size == 8192);
    file.path = path;
    c = ram_block_new(f->mem, &file, NULL);
    g_assert_nonnull(c);
    memcpy(c->host, "hello", 5);
    g_assert_cmpint(pread(fd, back, 5, 0), ==, 5);
    g_assert_cmpint(memcmp(back, "hello", 5), ==, 0);
    g_assert_null(ram_block_new(f->mem, &bad, &err));
    g_assert_nonnull(strstr(error_message(err), "/nonexistent/x"));
    g_assert_true(ram_block_find(f->mem, "f") == c && ram_block_at(f->mem, c->ram_addr + 8191) == c);
    ram_block_free(b);
    b = ram_block_new(f->mem, &shared, NULL);           /* the hole is found again */
    g_assert_cmpuint(b->ram_addr, <, c->ram_addr);
    close(fd);
    unlink(path);
}

/* Readers while the topology changes under them: what they see is one of the two worlds. */
typedef struct Race { Fixture *f; int stop; uint64_t seen[2]; RamBlock *b[2]; } Race;

static void *racer(void *data)
{
    Race *r = data;

    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        MemHit hit;

        mem_read_begin();
        mem_translate(r->f->as, 0x1000, 8, false, &hit);
        g_assert_true(hit.ram == r->b[0] || hit.ram == r->b[1]);
        __atomic_fetch_add(&r->seen[hit.ram == r->b[1]], 1, __ATOMIC_RELAXED);
        mem_read_end();
    }
    return NULL;
}

static void test_race(Fixture *f, gconstpointer data)
{
    Race race = { .f = f };
    MemRegion a, b;
    GThread *t[2];

    race.b[0] = make_ram(f, &a, "a", 0x1000, 0x1000);
    race.b[1] = make_ram(f, &b, "b", 0x1000, 0x10000);
    mem_region_del(&b);
    mem_region_add_overlap(&f->root, 0x1000, &b, 1);
    t[0] = g_thread_new("r0", racer, &race);
    t[1] = g_thread_new("r1", racer, &race);
    for (int i = 0; i < 300; i++) {
        mem_region_set_enabled(&b, i & 1);
    }
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    g_thread_join(t[0]);
    g_thread_join(t[1]);
    mem_region_del(&a);
    mem_region_del(&b);
}

#define T(name, fn) g_test_add("/memory/" name, Fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    T("overlap", test_overlap);
    T("alias", test_alias);
    T("top", test_top);
    T("sizes", test_sizes);
    T("romd", test_romd);
    T("dirty", test_dirty);
    T("dma-registers", test_dma_registers);
    T("backings", test_backings);
    T("race", test_race);
    return g_test_run();
}
