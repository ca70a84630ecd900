/* SPDX-License-Identifier: MIT */
/* GICv3 and ITS at their registers, with two processors that are only ports. */
#include "tests/hw/bench-machine.h"
#include "hw/core/cpu.h"
#include "hw/intc/gicv3-its.h"
#include "hw/intc/gicv3.h"
#include "util/bswap.h"

enum { DIST = 0x8000000, REDIST = 0x80a0000, ITS = 0x8080000, STRIDE = 0x20000, SGI = 0x10000 };
#define ICC(crn, crm, op2) CPU_KEY_A64(3, 0, crn, crm, op2)
enum { PMR = ICC(4, 6, 0), IAR1 = ICC(12, 12, 0), EOIR1 = ICC(12, 12, 1), IAR0 = ICC(12, 8, 0), RPR = ICC(12, 11, 3),
       SGI1R = ICC(12, 11, 5), CTLR = ICC(12, 12, 4), IGRPEN0 = ICC(12, 12, 6), IGRPEN1 = ICC(12, 12, 7), DEACT = ICC(12, 11, 1) };

typedef struct Bench {
    Machine *m;
    Device *gic, *its;
    Cpu cpu[2];
} Bench;

static uint64_t icc_get(Bench *b, unsigned i, uint32_t key)
{
    uint64_t v = 0;

    g_assert_true(cpu_port_read(&b->cpu[i], CPU_PORT_GIC, key, (CpuPortCtx){ .el = 1 }, &v));
    return v;
}

static void icc_put(Bench *b, unsigned i, uint32_t key, uint64_t v)
{
    g_assert_true(cpu_port_write(&b->cpu[i], CPU_PORT_GIC, key, (CpuPortCtx){ .el = 1 }, v));
}

static bool irq(Bench *b, unsigned i)
{
    return cpu_pending(&b->cpu[i]) & CPU_IRQ;
}

static const CpuOps no_ops = { .arch = "none" };

static void setup(Bench *b)
{
    Error *err = NULL;

    *b = (Bench){ .m = bench_open() };
    b->gic = device_new(b->m, "arm-gicv3", NULL, &err);
    g_assert_null(err);
    device_set_or_die(b->gic, "num-cpu", "2");
    device_set_or_die(b->gic, "has-lpi", "on");
    g_assert_true(device_realize(b->gic, NULL, NULL, &err));
    device_map(b->gic, 0, &b->m->system_memory, DIST);
    device_map(b->gic, 1, &b->m->system_memory, REDIST);
    for (unsigned i = 0; i < 2; i++) {
        b->cpu[i].index = i;
        b->cpu[i].machine = b->m;
        b->cpu[i].ops = &no_ops;
        gicv3_connect_cpu(b->gic, i, &b->cpu[i], i);
    }
    b->its = device_new(b->m, "arm-gicv3-its", NULL, &err);
    gicv3_its_set_gic(b->its, b->gic);
    g_assert_true(device_realize(b->its, NULL, NULL, &err));
    device_map(b->its, 0, &b->m->system_memory, ITS);
    device_reset(b->gic);
    device_reset(b->its);
}

/* As Linux does: group 1 everywhere, distributor and interfaces on, all priorities let through. */
static void enable(Bench *b)
{
    bench_write(b->m, DIST, 4, 2);
    for (unsigned i = 0; i < 2; i++) {
        bench_write(b->m, REDIST + i * STRIDE + 0x14, 4, 0);
        bench_write(b->m, REDIST + i * STRIDE + SGI + 0x80, 4, ~0u);
        icc_put(b, i, PMR, 0xf0);
        icc_put(b, i, IGRPEN1, 1);
    }
    for (unsigned w = 1; w < 8; w++) {
        bench_write(b->m, DIST + 0x80 + w * 4, 4, ~0u);
    }
}

static void teardown(Bench *b)
{
    machine_close(b->m);
}

static void ids(void)
{
    Bench b;

    setup(&b);
    g_assert_cmphex(bench_read(b.m, DIST, 4), ==, 0x50);
    g_assert_cmphex(bench_read(b.m, DIST + 4, 4), ==, 0x37a0007);
    g_assert_cmphex(bench_read(b.m, DIST + 0xffe8, 4), ==, 0x3b);
    g_assert_cmphex(bench_read(b.m, REDIST, 4), ==, 2);
    g_assert_cmphex(bench_read(b.m, REDIST + 8, 8), ==, 0x1000001);
    g_assert_cmphex(bench_read(b.m, REDIST + STRIDE + 8, 8), ==, 0x101000111);
    g_assert_cmphex(bench_read(b.m, REDIST + 0x14, 4), ==, 6);
    g_assert_cmphex(bench_read(b.m, ITS, 4), ==, 0x80000000);
    g_assert_cmphex(bench_read(b.m, ITS + 8, 8), ==, 0x1f0001efb1);
    g_assert_cmphex(bench_read(b.m, ITS + 0x100, 8), ==, 0x107000000000200);
    g_assert_cmphex(bench_read(b.m, ITS + 0x108, 8), ==, 0x407000000000200);
    teardown(&b);
}

static void spi_level(void)
{
    Bench b;

    setup(&b);
    enable(&b);
    b.gic->type->irq_in(b.gic, 1, 1);                   /* SPI 1 = INTID 33, not enabled yet */
    g_assert_false(irq(&b, 0));
    bench_write(b.m, DIST + 0x104, 4, 2);
    g_assert_true(irq(&b, 0));
    g_assert_false(irq(&b, 1));
    g_assert_cmpint(icc_get(&b, 0, IAR0), ==, 1023);    /* wrong group: nothing */
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 33);
    g_assert_false(irq(&b, 0));                         /* active: not signalled again */
    g_assert_cmpint(icc_get(&b, 0, RPR), ==, 0);
    icc_put(&b, 0, EOIR1, 33);
    g_assert_true(irq(&b, 0));                          /* the level is still there */
    b.gic->type->irq_in(b.gic, 1, 0);
    g_assert_false(irq(&b, 0));
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 1023);
    /* routed to the other one */
    bench_write(b.m, DIST + 0x6108, 8, 1);
    b.gic->type->irq_in(b.gic, 1, 1);
    g_assert_false(irq(&b, 0));
    g_assert_true(irq(&b, 1));
    teardown(&b);
}

static void spi_edge_and_priority(void)
{
    Bench b;

    setup(&b);
    enable(&b);
    bench_write(b.m, DIST + 0xc08, 4, 0xaaaaaaaa);      /* INTIDs 32..47: edge */
    bench_write(b.m, DIST + 0x104, 4, ~0u);
    bench_write(b.m, DIST + 0x420, 4, 0x20408060);      /* priorities of 32..35 */
    for (int n = 0; n < 4; n++) {
        b.gic->type->irq_in(b.gic, n, 1);
        b.gic->type->irq_in(b.gic, n, 0);
    }
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 35);      /* 0x20 is the highest */
    g_assert_cmphex(icc_get(&b, 0, RPR), ==, 0x20);
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 1023);    /* the others do not preempt it */
    icc_put(&b, 0, EOIR1, 35);
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 34);
    bench_write(b.m, DIST + 0x424, 1, 0x10);            /* INTID 36 becomes more urgent and preempts */
    b.gic->type->irq_in(b.gic, 4, 1);
    g_assert_true(irq(&b, 0));
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 36);
    g_assert_cmphex(icc_get(&b, 0, RPR), ==, 0x10);
    icc_put(&b, 0, EOIR1, 36);
    g_assert_cmphex(icc_get(&b, 0, RPR), ==, 0x40);
    icc_put(&b, 0, EOIR1, 34);
    /* the priority mask keeps the rest out */
    icc_put(&b, 0, PMR, 0x60);
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 1023);
    icc_put(&b, 0, PMR, 0xf0);
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 32);
    teardown(&b);
}

static void sgi_and_ppi(void)
{
    Bench b;

    setup(&b);
    enable(&b);
    bench_write(b.m, REDIST + STRIDE + SGI + 0x100, 4, 0xffff0008u);
    icc_put(&b, 0, SGI1R, 3ull << 24 | 2);              /* SGI 3 to Aff0 = 1 */
    g_assert_true(irq(&b, 1));
    g_assert_false(irq(&b, 0));
    g_assert_cmpint(icc_get(&b, 1, IAR1), ==, 3);
    icc_put(&b, 1, EOIR1, 3);
    g_assert_false(irq(&b, 1));
    icc_put(&b, 0, SGI1R, 3ull << 24 | 1ull << 40);     /* all but self */
    g_assert_cmpint(icc_get(&b, 1, IAR1), ==, 3);
    icc_put(&b, 1, EOIR1, 3);
    b.gic->type->irq_in(b.gic, gicv3_ppi(b.gic, 1, 27), 1);
    g_assert_cmpint(icc_get(&b, 1, IAR1), ==, 27);
    /* split priority drop and deactivation */
    icc_put(&b, 1, CTLR, 2);
    icc_put(&b, 1, EOIR1, 27);
    g_assert_cmphex(icc_get(&b, 1, RPR), ==, 0xff);
    g_assert_false(irq(&b, 1));
    icc_put(&b, 1, DEACT, 27);
    g_assert_true(irq(&b, 1));
    teardown(&b);
}

static uint64_t queue_at;

static void its_command(Bench *b, uint64_t c0, uint64_t c1, uint64_t c2)
{
    bench_write(b->m, 0x10000 + queue_at, 8, c0);
    bench_write(b->m, 0x10008 + queue_at, 8, c1);
    bench_write(b->m, 0x10010 + queue_at, 8, c2);
    bench_write(b->m, 0x10018 + queue_at, 8, 0);
    queue_at += 32;
    bench_write(b->m, ITS + 0x88, 8, queue_at);
    g_assert_cmphex(bench_read(b->m, ITS + 0x90, 8), ==, queue_at);
}

static void lpi(void)
{
    Bench b;
    MemAttrs from = { .cpu = -1, .requester = 8 };
    uint8_t msg[4];

    setup(&b);
    enable(&b);
    queue_at = 0;
    for (unsigned i = 0; i < 2; i++) {
        bench_write(b.m, REDIST + i * STRIDE + 0x70, 8, 0x20000 | 15);
        bench_write(b.m, REDIST + i * STRIDE + 0x78, 8, (i ? 0x50000 : 0x40000) | 1ull << 62);
        bench_write(b.m, REDIST + i * STRIDE, 4, 1);
    }
    bench_write(b.m, 0x20000 + 5, 1, 0xa0 | 1);         /* LPI 8197: priority 0xa0, enabled */
    bench_write(b.m, ITS + 0x80, 8, 1ull << 63 | 0x10000);
    bench_write(b.m, ITS + 0x100, 8, 1ull << 63 | 0x60000 | 2 << 8);
    bench_write(b.m, ITS + 0x108, 8, 1ull << 63 | 0x70000 | 2 << 8);
    bench_write(b.m, ITS, 4, 1);
    its_command(&b, 0x09, 0, 1ull << 63 | 0 << 16 | 0);                 /* MAPC 0 -> processor 0 */
    its_command(&b, 0x09, 0, 1ull << 63 | 1 << 16 | 1);                 /* MAPC 1 -> processor 1 */
    its_command(&b, 0x08 | 8ull << 32, 3, 1ull << 63 | 0x80000);        /* MAPD 8, 4 event bits */
    its_command(&b, 0x0a | 8ull << 32, 2 | 8197ull << 32, 0);           /* MAPTI 8, event 2 */
    stl_le_p(msg, 2);
    g_assert_cmpint(dma_write(b.m->as, ITS + 0x10040, msg, 4, from), ==, MEM_OK);
    g_assert_true(irq(&b, 0));
    g_assert_cmpint(icc_get(&b, 0, IAR1), ==, 8197);
    g_assert_cmphex(icc_get(&b, 0, RPR), ==, 0xa0);
    icc_put(&b, 0, EOIR1, 8197);
    g_assert_false(irq(&b, 0));
    /* moved while pending */
    dma_write(b.m->as, ITS + 0x10040, msg, 4, from);
    its_command(&b, 0x01 | 8ull << 32, 2, 1);                           /* MOVI to collection 1 */
    g_assert_false(irq(&b, 0));
    g_assert_cmpint(icc_get(&b, 1, IAR1), ==, 8197);
    icc_put(&b, 1, EOIR1, 8197);
    /* disabled in the table: heard of with INV only */
    bench_write(b.m, 0x20000 + 5, 1, 0xa0);
    its_command(&b, 0x0c | 8ull << 32, 2, 0);
    dma_write(b.m->as, ITS + 0x10040, msg, 4, from);
    g_assert_false(irq(&b, 1));
    bench_write(b.m, 0x20000 + 5, 1, 0xa1);
    its_command(&b, 0x0c | 8ull << 32, 2, 0);
    g_assert_true(irq(&b, 1));
    its_command(&b, 0x0f | 8ull << 32, 2, 0);                           /* DISCARD */
    g_assert_false(irq(&b, 1));
    stl_le_p(msg, 77);                                                  /* an event that is not there */
    g_assert_cmpint(dma_write(b.m->as, ITS + 0x10040, msg, 4, from), ==, MEM_OK);
    teardown(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gicv3/ids", ids);
    g_test_add_func("/gicv3/spi-level", spi_level);
    g_test_add_func("/gicv3/spi-edge-and-priority", spi_edge_and_priority);
    g_test_add_func("/gicv3/sgi-and-ppi", sgi_and_ppi);
    g_test_add_func("/gicv3/lpi", lpi);
    return g_test_run();
}
