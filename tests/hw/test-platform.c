/* SPDX-License-Identifier: MIT */
/* PL031, PL061, fw_cfg and CFI flash at their registers. */
#include <string.h>

#include "hw/block/cfi-flash.h"
#include "hw/nvram/fw_cfg.h"
#include "tests/hw/bench-machine.h"
#include "util/bswap.h"

enum { BASE = 0x9000000 };

static Device *put(Machine *m, const char *type)
{
    Error *err = NULL;
    Device *dev = device_new(m, type, NULL, &err);

    g_assert_null(err);
    g_assert_true(device_realize(dev, NULL, NULL, &err));
    device_map(dev, 0, &m->system_memory, BASE);
    device_reset(dev);
    return dev;
}

static uint32_t rd(Machine *m, unsigned off) { return bench_read(m, BASE + off, 4); }
static void wr(Machine *m, unsigned off, uint32_t v) { bench_write(m, BASE + off, 4, v); }

static void pl031(void)
{
    Machine *m = bench_open();
    Device *dev = put(m, "pl031");

    g_assert_cmphex(rd(m, 0xfe0), ==, 0x31);
    g_assert_cmphex(rd(m, 0x0c), ==, 1);
    wr(m, 0x08, 1000);                          /* set the clock */
    g_assert_cmpuint(rd(m, 0), ==, 1000);
    clock_step(m->clock, 5 * NS_PER_S);
    g_assert_cmpuint(rd(m, 0), ==, 1005);
    wr(m, 0x10, 1);
    wr(m, 0x04, 1008);                          /* alarm in three seconds */
    clock_step(m->clock, 2 * NS_PER_S);
    g_assert_cmpint(dev->irq[0].level, ==, 0);
    clock_step(m->clock, 1 * NS_PER_S);
    g_assert_cmpint(dev->irq[0].level, ==, 1);
    g_assert_cmphex(rd(m, 0x18), ==, 1);
    wr(m, 0x1c, 1);
    g_assert_cmpint(dev->irq[0].level, ==, 0);
    device_reset(dev);                          /* a battery keeps the time */
    g_assert_cmpuint(rd(m, 0), ==, 1008);
    machine_close(m);
}

static void pl061(void)
{
    Machine *m = bench_open();
    Device *dev = put(m, "pl061");

    wr(m, 0x400, 0x0f);                         /* lines 0..3 are outputs */
    wr(m, 0x3fc, 0xff);
    g_assert_cmphex(rd(m, 0x3fc), ==, 0x0f);
    wr(m, 0x004, 0);                            /* only line 0 is addressed at 0x004 */
    g_assert_cmphex(rd(m, 0x3fc), ==, 0x0e);
    g_assert_cmpint(dev->irq[1].level, ==, 0);
    g_assert_cmpint(dev->irq[2].level, ==, 1);
    wr(m, 0x40c, 0x20);                         /* line 5: rising edge */
    wr(m, 0x410, 0x20);
    dev->type->irq_in(dev, 5, 1);
    g_assert_cmphex(rd(m, 0x3fc), ==, 0x2e);
    g_assert_cmpint(dev->irq[0].level, ==, 1);
    wr(m, 0x41c, 0x20);
    g_assert_cmpint(dev->irq[0].level, ==, 0);
    dev->type->irq_in(dev, 5, 0);               /* falling: not asked for */
    g_assert_cmpint(dev->irq[0].level, ==, 0);
    wr(m, 0x404, 0x40);                         /* line 6: low level is active, masked until now */
    wr(m, 0x410, 0x40);
    g_assert_cmpint(dev->irq[0].level, ==, 1);
    dev->type->irq_in(dev, 6, 1);
    g_assert_cmpint(dev->irq[0].level, ==, 0);
    machine_close(m);
}

static uint32_t dma(Machine *m, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t cmd[16];

    stl_be_p(cmd, control);
    stl_be_p(cmd + 4, len);
    stq_be_p(cmd + 8, addr);
    dma_write(m->as, 0x1000, cmd, sizeof(cmd), MEM_ATTRS_NONE);
    bench_write(m, BASE + 0x10, 8, __builtin_bswap64(0x1000));
    dma_read(m->as, 0x1000, cmd, 4, MEM_ATTRS_NONE);
    return ldl_be_p(cmd);
}

static void fw_cfg(void)
{
    Machine *m = bench_open();
    Device *dev = put(m, "fw_cfg_mem");
    Error *err = NULL;
    uint8_t dir[4 + 2 * 64];
    char long_name[80] = { 0 };

    g_assert_true(fw_cfg_set_file(dev, "opt/b", "hello", 5, &err));
    g_assert_true(fw_cfg_set_file(dev, "etc/a", "xy", 2, &err));
    memset(long_name, 'n', 60);
    g_assert_false(fw_cfg_set_file(dev, long_name, "", 0, &err));
    error_free(err);
    bench_write(m, BASE + 8, 2, __builtin_bswap16(0));
    g_assert_cmphex(bench_read(m, BASE, 4), ==, 0x554d4551);        /* "QEMU", in memory order */
    g_assert_cmphex(bench_read(m, BASE, 1), ==, 0);                 /* behind the end */
    g_assert_cmphex(bench_read(m, BASE + 0x10, 8), ==, __builtin_bswap64(0x51454d5520434647ull));
    g_assert_cmphex(dma(m, 0x19u << 16 | 8 | 2, sizeof(dir), 0x2000), ==, 0);
    dma_read(m->as, 0x2000, dir, sizeof(dir), MEM_ATTRS_NONE);
    g_assert_cmpuint(ldl_be_p(dir), ==, 2);
    g_assert_cmpstr((char *)dir + 4 + 8, ==, "etc/a");              /* sorted */
    g_assert_cmpstr((char *)dir + 4 + 64 + 8, ==, "opt/b");
    g_assert_cmpuint(lduw_be_p(dir + 4 + 64 + 4), ==, 0x21);
    g_assert_cmpuint(ldl_be_p(dir + 4 + 64), ==, 5);
    g_assert_cmphex(dma(m, 0x21u << 16 | 8 | 4, 1, 0), ==, 0);      /* select, skip one */
    g_assert_cmphex(bench_read(m, BASE, 4), ==, 0x6f6c6c65);        /* "ello" */
    g_assert_cmphex(dma(m, 0x21u << 16 | 8 | 2, 16, 0x900000000), ==, 1);   /* no memory there */
    g_assert_cmphex(dma(m, 0x21u << 16 | 8 | 16, 5, 0x2000), ==, 1);        /* not writable */
    machine_close(m);
}

static struct { uint64_t off, len; uint8_t first; } stored;

static void store(void *opaque, uint64_t off, const void *data, uint64_t len)
{
    stored.off = off;
    stored.len = len;
    stored.first = *(const uint8_t *)data;
}

static const CfiFlashStore flash_store = { .write = store };

static void flash(void)
{
    Machine *m = bench_open();
    Error *err = NULL;
    Device *dev = device_new(m, "cfi.pflash01", NULL, &err);
    uint8_t text[] = "firmware";

    device_set_or_die(dev, "name", "flash0");
    device_set_or_die(dev, "size", "67108864");
    g_assert_true(device_realize(dev, NULL, NULL, &err));
    mem_region_add(&m->system_memory, BASE, cfi_flash_region(dev));
    device_reset(dev);
    g_assert_true(cfi_flash_load(dev, text, sizeof(text), &err));
    g_assert_cmphex(rd(m, 0), ==, ldl_le_p(text));
    wr(m, 0x154, 0x00980098);                   /* query */
    g_assert_cmphex(rd(m, 0x40), ==, 0x00510051);
    g_assert_cmphex(rd(m, 0x9c), ==, 0x00190019);
    g_assert_cmphex(rd(m, 0xb4), ==, 0x00ff00ff);
    g_assert_cmphex(rd(m, 0xc0), ==, 0x00020002);
    wr(m, 0, 0x00900090);                       /* identify */
    g_assert_cmphex(rd(m, 0), ==, 0x00890089);
    g_assert_cmphex(rd(m, 4), ==, 0x00180018);
    wr(m, 0, 0x00ff00ff);
    g_assert_cmphex(rd(m, 0), ==, ldl_le_p(text));

    cfi_flash_set_store(dev, &flash_store, NULL, false);
    wr(m, 0x40000, 0x00200020);                 /* erase the second sector */
    wr(m, 0x40000, 0x00d000d0);
    g_assert_cmphex(rd(m, 0), ==, 0x00800080);
    g_assert_cmphex(stored.off, ==, 0x40000);
    g_assert_cmphex(stored.len, ==, 0x40000);
    wr(m, 0, 0x00ff00ff);
    g_assert_cmphex(rd(m, 0x7fffc), ==, ~0u);
    g_assert_cmphex(rd(m, 0x80000), ==, 0);
    wr(m, 0x40000, 0x00400040);                 /* program a word: bits can only fall */
    wr(m, 0x40000, 0x12345678);
    wr(m, 0x40000, 0x00400040);
    wr(m, 0x40000, 0xff00ffff);
    wr(m, 0, 0x00ff00ff);
    g_assert_cmphex(rd(m, 0x40000), ==, 0x12005678);
    wr(m, 0x41000, 0x00e800e8);                 /* buffered: two words */
    g_assert_cmphex(rd(m, 0x41000), ==, 0x00800080);
    wr(m, 0x41000, 0x00010001);
    wr(m, 0x41000, 0xaabbccdd);
    wr(m, 0x41004, 0x11223344);
    wr(m, 0x41000, 0x00d000d0);
    wr(m, 0, 0x00ff00ff);
    g_assert_cmphex(rd(m, 0x41000), ==, 0xaabbccdd);
    g_assert_cmphex(rd(m, 0x41004), ==, 0x11223344);
    cfi_flash_set_store(dev, NULL, NULL, true); /* write-protected */
    wr(m, 0x41000, 0x00200020);
    wr(m, 0x41000, 0x00d000d0);
    g_assert_cmphex(rd(m, 0) & 0x22, ==, 0x22);
    wr(m, 0, 0x00500050);
    g_assert_cmphex(rd(m, 0x41000), ==, 0xaabbccdd);
    machine_close(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/platform/pl031", pl031);
    g_test_add_func("/platform/pl061", pl061);
    g_test_add_func("/platform/fw_cfg", fw_cfg);
    g_test_add_func("/platform/flash", flash);
    return g_test_run();
}
