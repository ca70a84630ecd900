/* SPDX-License-Identifier: MIT */
/* Rows, properties, clock, inputs, lines: a device made for the test. */
#include "tests/hw/bench-machine.h"
#include "tests/wait.h"

#include <string.h>

/* ---- a device with one of everything ---- */

enum { CTL, STAT, FIFO, N_REGS };
typedef struct Toy {
    Device dev;
    uint32_t r[N_REGS];
    uint32_t enable[2];
    uint8_t prio[2][8];
    uint64_t wide;
    Timer timer;
    uint32_t ticks, setting;
    bool flag;
    char *label;
    uint32_t lines_seen;
} Toy;
#define REG_OWNER Toy

static void ctl_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Toy *t = (Toy *)dev;

    irq_set(&dev->irq[0], (int)(val & 1));
    if (val & 2) {
        timer_mod(&t->timer, clock_now(device_clock(dev)) + 100);
    }
}

static uint64_t fifo_read(Device *dev, const RegAccess *a) { return ++((Toy *)dev)->r[FIFO]; }
static void enable_clear(Device *dev, const RegAccess *a, uint64_t val) { ((Toy *)dev)->enable[a->index] &= ~(uint32_t)val; }
static uint64_t enable_read(Device *dev, const RegAccess *a) { return ((Toy *)dev)->enable[a->index]; }

static const Reg toy_regs[] = {
    REG32(CTL,  0x00, .reset = 0x80, .ro = 0xf0, .rsvd = 0xffff0000, .written = ctl_written),
    REG32(STAT, 0x04, .reset = 0xff, .w1c = 0x0f, .w1s = 0xf00, .ro = 0xf0),
    REG32(FIFO, 0x08, .ro = ~0u, .read = fifo_read),
    FIELD_TODO(LATER, 0x0c, 4),
    REG32F(ENABLE, 0x10, enable, .count = 2, .w1s = ~0u),
    REG32V(DISABLE, 0x20, .count = 2, .read = enable_read, .written = enable_clear),
    REG8F(PRIO, 0x30, prio, .count = 8, .rsvd = 0x0f, .banks = 2),
    REG64F(WIDE, 0x40, wide, .reset = 0x1122334455667788),
    REG_CONST(ID, 0xfc, 0xb105f00d),
    {}
};
static const StateField toy_state[] = { STATE_TIMER(Toy, timer), STATE_U32(Toy, ticks), STATE_BOOL(Toy, flag, .def = 1), {} };
static const Prop toy_props[] = {
    PROP_U32("setting", Toy, setting, 7, .max = 100, .help = "a number"),
    PROP_STR("label", Toy, label, "none"),
    {}
};

static void toy_tick(void *opaque) { ((Toy *)opaque)->ticks++; }
static bool toy_realize(Device *dev, Error **errp)
{
    Toy *t = (Toy *)dev;

    if (t->setting == 13) {
        return error_set(errp, "13 is not wanted");
    }
    timer_init(&t->timer, device_clock(dev), toy_tick, t, dev->mutex);
    return true;
}
static void toy_unrealize(Device *dev) { timer_fini(&((Toy *)dev)->timer); }
static void toy_line(void *opaque, int n, int level)
{
    Toy *t = opaque;

    t->lines_seen = level ? t->lines_seen | 1u << n : t->lines_seen & ~(1u << n);
}

static const char *const toy_aliases[] = { "plaything", NULL };
static const DeviceType toy_type = {
    .name = "toy", .aliases = toy_aliases, .size = sizeof(Toy), .props = toy_props, .user_creatable = true,
    .regs = toy_regs, .mmio_size = 0x100, .irqs = 1, .irq_inputs = 8, .irq_in = toy_line, .state = toy_state,
    .realize = toy_realize, .unrealize = toy_unrealize,
};
DEVICE_TYPE(toy_type);

static Toy *toy_new(Machine *m, paddr at)
{
    Device *dev = device_new(m, "plaything", NULL, NULL);

    g_assert_true(device_realize(dev, NULL, NULL, NULL));
    device_map(dev, 0, &m->system_memory, at);
    device_reset(dev);
    return (Toy *)dev;
}

enum { AT = 0x200000 };

static void test_rows(void)
{
    Machine *m = bench_open();
    Toy *t = toy_new(m, AT);

    g_assert_cmphex(bench_read(m, AT, 4), ==, 0x80);
    bench_write(m, AT, 4, 0xffffff0f);
    g_assert_cmphex(bench_read(m, AT, 4), ==, 0xff8f);           /* ro kept, rsvd zero */
    bench_write(m, AT + 1, 1, 0x12);
    g_assert_cmphex(bench_read(m, AT, 4), ==, 0x128f);           /* one byte lane */
    bench_write(m, AT + 4, 4, 0x103);
    g_assert_cmphex(bench_read(m, AT + 4, 4), ==, 0x1fc);        /* w1c, w1s */
    g_assert_cmphex(bench_read(m, AT + 8, 4), ==, 1);
    bench_write(m, AT + 8, 4, 55);
    g_assert_cmphex(bench_read(m, AT + 8, 4), ==, 2);
    bench_write(m, AT + 0x14, 4, 0xf0);
    bench_write(m, AT + 0x14, 4, 0x0f);
    bench_write(m, AT + 0x24, 4, 0x11);
    g_assert_true(t->enable[1] == 0xee && bench_read(m, AT + 0x24, 4) == 0xee);
    g_assert_cmphex(bench_read(m, AT + 0x10, 8), ==, 0xee00000000);
    bench_write(m, AT + 0x30, 4, 0x44332211);                    /* four byte registers */
    g_assert_cmphex(bench_read(m, AT + 0x30, 4), ==, 0x40302010);
    mem_store(m->as, AT + 0x30, 1, 0x99, MEM_ATTRS_CPU(1));      /* the other bank */
    g_assert_true(t->prio[0][0] == 0x10 && t->prio[1][0] == 0x90);
    g_assert_cmphex(bench_read(m, AT + 0x44, 4), ==, 0x11223344);
    bench_write(m, AT + 0x40, 4, 0);
    g_assert_cmphex(bench_read(m, AT + 0x40, 8), ==, 0x1122334400000000);
    g_assert_cmphex(bench_read(m, AT + 0xfc, 4), ==, 0xb105f00d);
    g_assert_cmphex(bench_read(m, AT + 0x80, 4), ==, 0);
    g_assert_cmphex(bench_read(m, AT + 0x0c, 4), ==, 0);
    machine_close(m);
}

static void test_props(void)
{
    Machine *m = bench_open();
    g_autoptr(GString) help = g_string_new(NULL);
    g_autoptr(Error) err = NULL, err2 = NULL, err3 = NULL, err4 = NULL;
    Device *dev = device_new(m, "toy", "t0", NULL);
    g_autofree char *label = device_get(dev, "label", NULL);

    g_assert_cmpuint(((Toy *)dev)->setting, ==, 7);
    g_assert_cmpstr(label, ==, "none");
    g_assert_false(device_set(dev, "setting", "101", &err));
    g_assert_nonnull(strstr(error_message(err), "0 to 100"));
    g_assert_false(device_set(dev, "seting", "1", &err2));
    g_assert_nonnull(strstr(error_hint_text(err2), "setting"));
    g_assert_true(device_set(dev, "setting", "13", NULL));
    g_assert_false(device_realize(dev, NULL, NULL, &err3));
    g_assert_true(device_set(dev, "setting", "14", NULL));
    g_assert_true(device_realize(dev, NULL, NULL, NULL));
    g_assert_null(device_new(m, "toi", NULL, &err4));
    g_assert_nonnull(strstr(error_hint_text(err4), "toy"));
    g_assert_true(device_find(m, "t0") == dev && device_find(m, dev->path) == dev);
    device_help(dev->type, help);
    g_assert_nonnull(strstr(help->str, "  setting=<uint32> - a number (default: 7)\n"));
    machine_close(m);
}

static void test_state(void)
{
    Machine *m = bench_open();
    Toy *a = toy_new(m, AT), *b = toy_new(m, AT + 0x1000);
    uint64_t fresh = device_digest(&b->dev);
    StateWriter *w = state_writer_new();
    StateReader *r;
    size_t len;
    const uint8_t *data;

    g_assert_cmpstr(a->dev.path, !=, b->dev.path);
    bench_write(m, AT, 4, 3);
    bench_write(m, AT + 0x33, 1, 0x70);
    bench_write(m, AT + 0x40, 8, 99);
    device_save(&a->dev, w);
    data = state_writer_data(w, &len);
    for (size_t cut = 0; cut < len; cut++) {
        r = state_reader_new(data, cut);
        g_assert_false(device_check(&b->dev, r, NULL));
        state_reader_free(r);
    }
    r = state_reader_new(data, len);
    g_assert_true(device_check(&b->dev, r, NULL));
    g_assert_cmpuint(device_digest(&b->dev), ==, fresh);
    state_reader_free(r);
    r = state_reader_new(data, len);
    g_assert_true(device_load(&b->dev, r, NULL));
    state_reader_free(r);
    g_assert_cmpuint(device_digest(&a->dev), ==, device_digest(&b->dev));
    g_assert_true(b->wide == 99 && b->prio[0][3] == 0x70 && timer_armed(&b->timer) && b->dev.irq[0].level == 1);
    device_reset(&b->dev);
    irq_set(&b->dev.irq[0], 0);
    g_assert_cmpuint(device_digest(&b->dev), ==, fresh);
    state_writer_free(w);
    machine_close(m);
}

static void test_lines(void)
{
    Machine *m = bench_open();
    Toy *a = toy_new(m, AT), *b = toy_new(m, AT + 0x1000);

    device_connect(&a->dev, 0, &b->dev, 5);
    bench_write(m, AT, 4, 1);
    g_assert_cmphex(b->lines_seen, ==, 1 << 5);
    bench_write(m, AT, 4, 0);
    g_assert_cmphex(b->lines_seen, ==, 0);
    machine_close(m);
}

/* ---- clock ---- */

static int order[8], fired;
static void fire(void *opaque) { order[fired++] = (int)(intptr_t)opaque; }
typedef struct Periodic { Timer t; int n; } Periodic;
static void periodic(void *opaque)
{
    Periodic *p = opaque;

    p->n++;
    timer_mod(&p->t, p->t.clock ? clock_now(p->t.clock) + 10 : 0);
}

static void test_clock(void)
{
    Clock *c = clock_new(CLOCK_FROZEN, "test");
    Timer t[4];
    Periodic p = { .n = 0 };

    fired = 0;
    for (int i = 0; i < 4; i++) {
        timer_init(&t[i], c, fire, (void *)(intptr_t)i, NULL);
    }
    timer_mod(&t[2], 30);
    timer_mod(&t[0], 10);
    timer_mod(&t[1], 10);
    timer_mod(&t[3], 20);
    timer_del(&t[3]);
    g_assert_cmpint(clock_deadline(c), ==, 10);
    clock_step(c, 9);
    g_assert_cmpint(fired, ==, 0);
    clock_step(c, 100);
    g_assert_true(fired == 3 && order[0] == 0 && order[1] == 1 && order[2] == 2);
    g_assert_cmpint(clock_now(c), ==, 109);
    timer_init(&p.t, c, periodic, &p, NULL);
    timer_mod(&p.t, 110);
    clock_step(c, 91);
    g_assert_cmpint(p.n, ==, 10);
    timer_fini(&p.t);
    for (int i = 0; i < 4; i++) {
        timer_fini(&t[i]);
    }
    clock_free(c);
}

static void count(void *opaque) { __atomic_fetch_add((int *)opaque, 1, __ATOMIC_SEQ_CST); }

static void test_host_clock(void)
{
    Clock *c = clock_new(CLOCK_HOST, "test");
    int n = 0;
    int64_t now;
    Timer t;

    timer_init(&t, c, count, &n, NULL);
    timer_mod(&t, 1000000);
    g_usleep(3000);
    g_assert_cmpint(__atomic_load_n(&n, __ATOMIC_SEQ_CST), ==, 0);       /* stands */
    clock_start(c);
    WAIT_UNTIL(__atomic_load_n(&n, __ATOMIC_SEQ_CST), g_usleep(1000));
    g_assert_cmpint(n, ==, 1);
    g_assert_cmpint(clock_now(c), >=, 1000000);
    clock_stop(c);
    now = clock_now(c);
    g_usleep(2000);
    g_assert_cmpint(clock_now(c), ==, now);
    timer_fini(&t);
    clock_free(c);
}

static void test_icount(void)
{
    Clock *c = clock_new(CLOCK_ICOUNT, "test");
    int n = 0;
    Timer t;

    clock_icount_set_shift(c, 2);
    timer_init(&t, c, count, &n, NULL);
    timer_mod(&t, 101);
    g_assert_cmpuint(clock_icount_budget(c, 1000), ==, 26);
    g_assert_cmpuint(clock_icount_budget(c, 5), ==, 5);
    clock_icount_progress(c, 25);
    g_assert_cmpint(clock_now(c), ==, 100);
    g_assert_cmpuint(clock_icount_budget(c, 1000), ==, 1);
    clock_icount_advance(c, 26);
    g_assert_cmpuint(clock_icount_budget(c, 1000), ==, 0);
    g_assert_cmpuint(clock_run(c), ==, 1);
    g_assert_cmpuint(clock_icount_total(c), ==, 26);
    timer_fini(&t);
    clock_free(c);
}

/* A host that takes `ps` picoseconds an instruction, for `ms`; how far guest time is ahead at the end. */
static int64_t pace_for(Clock *c, int64_t *host_ps, int64_t ps, int64_t ms)
{
    int64_t end = *host_ps + ms * 1000000000, begin = clock_now(c) - *host_ps / 1000;

    while (*host_ps < end) {
        clock_icount_advance(c, 20000);
        *host_ps += 20000 * ps;
        *host_ps += 1000 * clock_icount_pace(c, *host_ps / 1000);
    }
    return clock_now(c) - *host_ps / 1000 - begin;
}

/* -icount shift=auto: guest time follows hosts of any speed, by the host's time that the test makes up. */
static void test_pace_auto(void)
{
    static const int64_t speeds[] = { 3000, 20000, 5500, 1000, 400000, 90000, 2000 };
    Clock *c = clock_new(CLOCK_ICOUNT, "test");
    int64_t host = 5000000000000;

    clock_icount_set_shift(c, 3);
    clock_icount_set_pace(c, PACE_AUTO);
    clock_start(c);
    clock_icount_pace(c, host / 1000);
    for (unsigned i = 0; i < G_N_ELEMENTS(speeds); i++) {
        int64_t ahead;

        pace_for(c, &host, speeds[i], 3000);            /* time to change over */
        ahead = pace_for(c, &host, speeds[i], 10000);
        g_assert_cmpint(ABS(ahead), <, 300000000);      /* 3 % */
    }
    clock_free(c);
}

/* align=on: never more than a round ahead; a slow host is not caught up with. */
static void test_pace_align(void)
{
    Clock *c = clock_new(CLOCK_ICOUNT, "test");
    int64_t host = 7000000000000;

    clock_icount_set_shift(c, 3);
    clock_icount_set_pace(c, PACE_ALIGN);
    clock_start(c);
    clock_icount_pace(c, host / 1000);
    g_assert_cmpint(ABS(pace_for(c, &host, 1000, 1000)), <, 1000000);
    g_assert_cmpint(pace_for(c, &host, 16000, 1000), <, -400000000);
    g_assert_cmpuint(clock_icount_shift(c), ==, 3);
    clock_free(c);
}

/* ---- inputs ---- */

static GString *heard;
static void hear(void *opaque, const void *data, size_t len) { g_string_append_len(heard, data, (gssize)len); }

static void test_inputs(void)
{
    Clock *c = clock_new(CLOCK_ICOUNT, "test");
    Inputs *in = inputs_new(c), *in2 = inputs_new(c);
    uint8_t a[32], b[32];
    InputTicket *t;
    InputPort p;

    inputs_seed(in, 5);
    inputs_seed(in2, 5);
    input_random(in, a, 32);
    input_random(in2, b, 32);
    g_assert_cmpmem(a, 32, b, 32);
    input_random(in, a, 32);
    g_assert_cmpint(memcmp(a, b, 32), !=, 0);
    g_assert_cmpint(input_host_time(in), ==, input_host_time(in2));
    g_assert_cmpuint(inputs_count(in, INPUT_RANDOM), ==, 2);

    heard = g_string_new(NULL);
    input_port_init(&p, in, INPUT_CHAR, "toy", hear, NULL, NULL);
    input_send(&p, "ab", 2);
    g_assert_cmpuint(heard->len, ==, 0);                         /* not before an exact point */
    g_assert_true(inputs_run(in));
    g_assert_cmpstr(heard->str, ==, "ab");
    t = input_ticket(&p, 1000);
    input_complete(t, "c", 1);
    g_assert_cmpstr(heard->str, ==, "ab");                       /* the host is early: it waits */
    clock_icount_advance(c, 1000);
    clock_run(c);
    g_assert_cmpstr(heard->str, ==, "abc");
    g_assert_cmpuint(inputs_count(in, INPUT_CHAR), ==, 2);
    g_string_free(heard, TRUE);
    inputs_free(in);
    inputs_free(in2);
    clock_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hw/core/rows", test_rows);
    g_test_add_func("/hw/core/props", test_props);
    g_test_add_func("/hw/core/state", test_state);
    g_test_add_func("/hw/core/lines", test_lines);
    g_test_add_func("/hw/core/clock", test_clock);
    g_test_add_func("/hw/core/host-clock", test_host_clock);
    g_test_add_func("/hw/core/icount-clock", test_icount);
    g_test_add_func("/hw/core/icount-auto", test_pace_auto);
    g_test_add_func("/hw/core/icount-align", test_pace_align);
    g_test_add_func("/hw/core/inputs", test_inputs);
    return g_test_run();
}
