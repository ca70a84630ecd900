/* SPDX-License-Identifier: MIT */
/* virtio-blk at its queue: what is written is read back and lies in the file; limits, errors, stops, size changes, resets. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "block/driver.h"
#include "block/throttle.h"
#include "hw/core/machine.h"
#include "hw/virtio/bootorder.h"
#include "io/object.h"
#include "tests/hw/virtio/guest.h"
#include "tests/wait.h"
#include "util/bits.h"

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13, DISK = 1 << 20 };

static Loop *loop;

/* ---- a disk that fails when told to ---- */

static int fault;
static unsigned written;

static bool fault_open(BlkNode *n, Json *o, Error **errp)
{
    (void)o, (void)errp;
    n->size = DISK;
    return true;
}

static int fault_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    (void)n, (void)off, (void)flags;
    blk_vec_fill(v, 0x77, len);
    return fault;
}

static int fault_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    (void)n, (void)off, (void)len, (void)v, (void)flags;
    written++;
    return fault;
}

static int fault_flush(BlkNode *n)
{
    (void)n;
    return fault;
}

static const BlkDriver fault_driver = { .name = "fault", .kind = BLK_DRV_PROTOCOL, .open = fault_open, .read = fault_read, .write = fault_write, .flush = fault_flush };
BLK_DRIVER(fault_driver);

/* ---- one disk ---- */

typedef struct Disk {
    Session *s;
    Blk *blk;
    Guest *g;
    char *path;
} Disk;

static Disk disk_new_clock(GuestKind kind, ClockMode clock, const char *const *props, bool faulty, bool read_only)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    Disk d = { .s = session_new() };
    Error *err = NULL;
    BlkNode *n;

    g_assert_true(session_object_parse(d.s, "iothread,id=io0", NULL));
    if (faulty) {
        Json *o = json_object();

        json_set_string(o, "driver", "fault");
        n = blk_node_open(d.s, NULL, o, BLK_O_RDWR, &err);
    } else {
        int fd = g_file_open_tmp("rhea-blk-XXXXXX", &d.path, NULL);
        Json *o = json_object();

        g_assert_cmpint(ftruncate(fd, DISK), ==, 0);
        close(fd);
        json_set_string(o, "driver", "raw");
        n = blk_node_open(d.s, d.path, o, read_only ? 0 : BLK_O_RDWR, &err);
    }
    if (!n) {
        g_error("%s", error_message(err));
    }
    d.blk = blk_new(d.s, "d0", BLK_PERM_READ, BLK_PERM_ALL, NULL);
    g_assert_true(blk_insert(d.blk, n, NULL));
    blk_node_unref(n);
    g_ptr_array_add(all, (char *)"drive");
    g_ptr_array_add(all, (char *)"d0");
    for (; props && *props; props++) {
        g_ptr_array_add(all, (char *)*props);
    }
    g_ptr_array_add(all, NULL);
    d.g = guest_new_clock(kind, clock, d.s, "virtio-blk", (const char *const *)all->pdata);
    return d;
}

static Disk disk_new(GuestKind kind, const char *const *props, bool faulty, bool read_only)
{
    return disk_new_clock(kind, CLOCK_FROZEN, props, faulty, read_only);
}

static void disk_free(Disk *d)
{
    guest_free(d->g);
    session_free(d->s);
    if (d->path) {
        unlink(d->path);
        g_free(d->path);
    }
}

static int begin(Disk *d, unsigned queue, uint32_t type, uint64_t sector, void *data, uint32_t len, uint64_t *at)
{
    DrvMem *m = &d->g->mem;
    uint64_t header = drv_alloc(m, 16, 8), buf = drv_alloc(m, len ? len : 1, 1), status = drv_alloc(m, 1, 1);
    bool out = type != IN && type != GET_ID;
    DrvSg sg[4] = { { header, 16 } };
    unsigned n = 1;

    drv_put32(m, header, type);
    drv_put64(m, header + 8, sector);
    *(uint8_t *)drv_ptr(m, status) = 0xee;
    if (len > 4) {                                      /* in two pieces */
        sg[n++] = (DrvSg){ buf, len / 4 };
        sg[n++] = (DrvSg){ buf + len / 4, len - len / 4 };
    } else if (len) {
        sg[n++] = (DrvSg){ buf, len };
    }
    if (out && len) {
        memcpy(drv_ptr(m, buf), data, len);
    }
    sg[n++] = (DrvSg){ status, 1 };
    *at = buf;
    return drvq_add(d->g->queues[queue], sg, out ? n - 1 : 1, out ? 1 : n - 1);
}

static uint8_t wait_for(Disk *d, unsigned queue, uint64_t status_at)
{
    WAIT_UNTIL(drvq_used(d->g->queues[queue], NULL) >= 0, loop_step(loop, false));
    guest_irq(d->g);
    return *(uint8_t *)drv_ptr(&d->g->mem, status_at);
}

static uint8_t request(Disk *d, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
    uint64_t keep = d->g->mem.next, buf;
    uint8_t status;

    g_assert_cmpint(begin(d, 0, type, sector, data, len, &buf), >=, 0);
    guest_kick(d->g, 0);
    status = wait_for(d, 0, buf + (len ? len : 1));
    if (type == IN || type == GET_ID) {
        memcpy(data, drv_ptr(&d->g->mem, buf), len);
    }
    d->g->mem.next = keep;
    return status;
}

static const uint64_t want = BIT64(28) | BIT64(29) | BIT64(9) | BIT64(11) | BIT64(13) | BIT64(14);

static void pattern(uint8_t *p, unsigned n, unsigned seed)
{
    for (unsigned i = 0; i < n; i++) {
        p[i] = (uint8_t)(i * 7 + seed * 13 + (i >> 8));
    }
}

static void io(gconstpointer data)
{
    static const char *const props[] = { "serial", "a serial of twenty characters", NULL };
    Disk d = disk_new(GPOINTER_TO_UINT(data), props, false, false);
    uint8_t a[4096], b[4096], range[16] = { 8 };
    g_autofree char *file = NULL;

    guest_start(d.g, want, 1, 64);
    g_assert_cmpuint(guest_config(d.g, 0, 8), ==, DISK / 512);
    g_assert_cmpuint(guest_config(d.g, 20, 4), ==, 512);
    g_assert_cmpuint(guest_config(d.g, 12, 4), ==, 254);
    for (unsigned i = 0; i < 64; i++) {
        pattern(a, sizeof(a), i);
        g_assert_cmpuint(request(&d, OUT, i * 8, a, sizeof(a)), ==, 0);
    }
    for (unsigned i = 64; i--;) {
        pattern(a, sizeof(a), i);
        g_assert_cmpuint(request(&d, IN, i * 8, b, sizeof(b)), ==, 0);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
    }
    g_assert_cmpuint(request(&d, FLUSH, 0, NULL, 0), ==, 0);
    g_assert_true(g_file_get_contents(d.path, &file, NULL, NULL));
    pattern(a, sizeof(a), 5);
    g_assert_cmpmem(a, sizeof(a), file + 5 * 4096, 4096);
    g_assert_cmpuint(request(&d, GET_ID, 0, b, 20), ==, 0);
    g_assert_cmpmem(b, 20, "a serial of twenty c", 20);
    range[8] = 8;
    if (d.g->features >> 14 & 1) {
        g_assert_cmpuint(request(&d, ZEROES, 0, range, 16), ==, 0);
        memset(a, 0, sizeof(a));
        g_assert_cmpuint(request(&d, IN, 8, b, sizeof(b)), ==, 0);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
        range[0] = 16;
        g_assert_cmpuint(request(&d, DISCARD, 0, range, 16), ==, 0);
        range[12] = 2;
        g_assert_cmpuint(request(&d, DISCARD, 0, range, 16), ==, 2);
        range[12] = 0;
        range[9] = 0x40;                                /* past the end */
        g_assert_cmpuint(request(&d, DISCARD, 0, range, 16), ==, 1);
    }
    g_assert_cmpuint(request(&d, IN, DISK / 512, b, 512), ==, 1);
    g_assert_cmpuint(request(&d, IN, ~0ull, b, 512), ==, 1);
    g_assert_cmpuint(request(&d, IN, 0, b, 100), ==, 1);
    g_assert_cmpuint(request(&d, 77, 0, b, 0), ==, 2);
    disk_free(&d);
}

/* Many at once, on several queues, served by this thread or by another one. */
static void deep(gconstpointer data)
{
    static const char *const plain[] = { "num-queues", "4", NULL }, *const threaded[] = { "num-queues", "4", "iothread", "io0", NULL };
    Disk d = disk_new(GUEST_PCI, data ? threaded : plain, false, false);
    uint64_t at[64];
    uint8_t a[512];

    guest_start(d.g, want | BIT64(12), 4, 64);
    g_assert_cmpuint(guest_config(d.g, 34, 2), ==, 4);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 64; i++) {
            pattern(a, sizeof(a), i);
            g_assert_cmpint(begin(&d, i % 4, round ? IN : OUT, i, a, sizeof(a), &at[i]), >=, 0);
        }
        for (unsigned q = 0; q < 4; q++) {
            guest_kick(d.g, q);
        }
        for (unsigned i = 0; i < 64; i++) {
            wait_for(&d, i % 4, at[0]);
        }
        for (unsigned i = 0; i < 64; i++) {
            pattern(a, sizeof(a), i);
            g_assert_cmpuint(*(uint8_t *)drv_ptr(&d.g->mem, at[i] + 512), ==, 0);
            g_assert_cmpmem(drv_ptr(&d.g->mem, at[i]), 512, a, 512);
        }
    }
    disk_free(&d);
}

/* The thread's life: in use it stays, a name that is none is said, and saves and resets meet requests half done. */
static void iothread(void)
{
    static const char *const props[] = { "iothread", "io0", NULL };
    Disk d = disk_new(GUEST_MMIO, props, false, false);
    Error *err = NULL;
    uint8_t a[512] = { 1 };
    uint64_t buf;

    g_assert_false(session_object_del(d.s, "io0", &err));
    g_assert_cmpstr(error_message(err), ==, "object 'io0' is in use, can not be deleted");
    g_clear_pointer(&err, error_free);
    for (int i = 0; i < 50; i++) {
        d.g->mem.next = 0x1000;
        guest_start(d.g, want, 1, 64);
        for (int k = 0; k < 8; k++) {
            begin(&d, 0, k & 1 ? OUT : IN, (uint64_t)k, a, 512, &buf);
        }
        guest_kick(d.g, 0);
        if (i & 1) {
            machine_reset(d.g->m, CAUSE_HOST_RESET);
        } else if (i % 3 == 0) {
            g_assert_true(machine_save(d.g->m, "/dev/null", NULL));
            for (int k = 0; k < 8; k++) {
                g_assert_cmpint(drvq_used(d.g->queues[0], NULL), >=, 0);
            }
        }
    }
    d.g->mem.next = 0x1000;
    guest_start(d.g, want, 1, 64);
    g_assert_cmpuint(request(&d, IN, 0, a, 512), ==, 0);
    disk_free(&d);
}

static void read_only(void)
{
    Disk d = disk_new(GUEST_MMIO, NULL, false, true);
    uint8_t a[512] = { 1 };

    g_assert_true(guest_offered(d.g) >> 5 & 1);
    g_assert_false(guest_offered(d.g) >> 13 & 1);
    guest_start(d.g, want, 1, 64);
    g_assert_cmpuint(request(&d, OUT, 0, a, 512), ==, 1);
    g_assert_cmpuint(request(&d, IN, 0, a, 512), ==, 0);
    disk_free(&d);
}

static void failing(void)
{
    Disk d = disk_new(GUEST_MMIO_LEGACY, NULL, true, false);
    uint8_t a[512] = { 1 };

    guest_start(d.g, want, 1, 64);
    fault = -EIO;
    g_assert_cmpuint(request(&d, IN, 0, a, 512), ==, 1);
    g_assert_cmpuint(request(&d, OUT, 0, a, 512), ==, 1);
    g_assert_cmpuint(request(&d, FLUSH, 0, NULL, 0), ==, 1);
    fault = 0;
    g_assert_cmpuint(request(&d, IN, 0, a, 512), ==, 0);
    g_assert_cmpuint(a[100], ==, 0x77);
    disk_free(&d);
}

/* Two writes find no space: the machine stops. */
static void fill_up(Disk *d, uint64_t buf[2])
{
    uint8_t a[512] = { 1 };

    guest_start(d->g, want, 1, 64);
    machine_run(d->g->m);
    fault = -ENOSPC;
    for (int i = 0; i < 2; i++) {
        begin(d, 0, OUT, (uint64_t)i, a, 512, &buf[i]);
    }
    guest_kick(d->g, 0);
    while (machine_is_running(d->g->m)) {               /* the test's own time limit ends this */
        loop_step(loop, false);
        machine_poll(d->g->m);
    }
    g_assert_cmpint(drvq_used(d->g->queues[0], NULL), ==, -1);
    g_assert_cmpint(machine_state(d->g->m), ==, RUN_IO_ERROR);
    g_assert_cmpstr(blk_io_status(d->blk), ==, "nospace");
    fault = 0;
}

static void go_on(Disk *d, const uint64_t buf[2])
{
    machine_run(d->g->m);
    g_assert_cmpstr(blk_io_status(d->blk), ==, "ok");
    for (int i = 0; i < 2; i++) {
        while (*(uint8_t *)drv_ptr(&d->g->mem, buf[i] + 512) == 0xee) {
            loop_step(loop, false);
        }
        g_assert_cmpuint(*(uint8_t *)drv_ptr(&d->g->mem, buf[i] + 512), ==, 0);
    }
    machine_pause(d->g->m, RUN_PAUSED);
}

/* The writes are tried again when it goes on ... */
static void stops(void)
{
    Disk d = disk_new(GUEST_MMIO_LEGACY, NULL, true, false);
    uint64_t buf[2];

    fill_up(&d, buf);
    go_on(&d, buf);
    g_assert_cmpint(drvq_used(d.g->queues[0], NULL), >=, 0);
    g_assert_cmpint(drvq_used(d.g->queues[0], NULL), >=, 0);
    disk_free(&d);
}

/* ... and by another machine that took the first one's place, also one step removed. */
static void stops_and_moves(void)
{
    static const GuestKind kinds[] = { GUEST_MMIO_LEGACY, GUEST_PCI };

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        Disk d[3];
        uint64_t buf[2];
        unsigned writes;
        g_autofree char *path = NULL;
        Error *err = NULL;

        close(g_file_open_tmp("rhea-blk-XXXXXX", &path, NULL));
        for (unsigned i = 0; i < 3; i++) {
            d[i] = disk_new(kinds[k], NULL, true, false);
        }
        fill_up(&d[0], buf);
        for (unsigned i = 0; i < 2; i++) {
            if (!machine_save(d[i].g->m, path, &err) || !machine_restore(d[i + 1].g->m, path, &err)) {
                g_error("%s", error_message(err));
            }
        }
        writes = written;
        go_on(&d[2], buf);
        g_assert_cmpuint(written, ==, writes + 2);
        for (unsigned i = 0; i < 3; i++) {
            disk_free(&d[i]);
        }
        unlink(path);
    }
}

static void grows(void)
{
    Disk d = disk_new(GUEST_MMIO, NULL, false, false);
    Error *err = NULL;
    uint32_t before;

    guest_start(d.g, want, 1, 64);
    before = (uint32_t)guest_rd(d.g, GUEST_WINDOW + 0xfc, 4);
    g_assert_true(blk_set_perm(d.blk, BLK_PERM_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_ALL, NULL));
    if (!blk_resize(d.blk, 2 * DISK, BLK_PREALLOC_OFF, &err)) {
        g_error("%s", error_message(err));
    }
    while (loop_step(loop, false)) {
    }
    g_assert_cmpuint(guest_config(d.g, 0, 8), ==, 2 * DISK / 512);
    g_assert_cmpuint(guest_rd(d.g, GUEST_WINDOW + 0xfc, 4), !=, before);
    g_assert_true(guest_irq(d.g));
    disk_free(&d);
}

/* A reset with requests in the air: none comes back into the new life of the queue. */
static void reset(void)
{
    Disk d = disk_new(GUEST_MMIO, NULL, false, false);
    uint8_t a[512] = { 1 };
    uint64_t buf;

    for (int i = 0; i < 20; i++) {
        d.g->mem.next = 0x1000;
        guest_start(d.g, want, 1, 64);
        for (int k = 0; k < 8; k++) {
            begin(&d, 0, k & 1 ? OUT : IN, (uint64_t)k, a, 512, &buf);
        }
        guest_kick(d.g, 0);
        for (int k = 0; k < i % 5; k++) {
            loop_step(loop, false);
        }
        if (i & 1) {
            machine_reset(d.g->m, CAUSE_HOST_RESET);
        }
    }
    d.g->mem.next = 0x1000;
    guest_start(d.g, want, 1, 64);
    while (loop_step(loop, false)) {
    }
    g_assert_cmpint(drvq_used(d.g->queues[0], NULL), ==, -1);
    g_assert_cmpuint(request(&d, IN, 0, a, 512), ==, 0);
    disk_free(&d);
}

static void limit(const Disk *d, ThrottleKind kind, int64_t avg)
{
    ThrottleConfig c;

    throttle_config_init(&c);
    c.limit[kind].avg = avg;            /* 0: none */
    blk_throttle(d->blk, "", &c);
}

/*
 * A reset while requests wait for a limit, each for nearly nine minutes, by the
 * machine or by the driver: it does not wait for them, and none comes back.
 */
static void reset_limited(void)
{
    Disk d = disk_new(GUEST_MMIO, NULL, false, false);
    uint8_t a[512] = { 1 };
    uint64_t buf;

    for (int i = 0; i < 8; i++) {
        limit(&d, THROTTLE_BPS_TOTAL, 1);
        d.g->mem.next = 0x1000;
        guest_start(d.g, want, 1, 64);                                      /* the driver's reset, of the life before */
        for (int k = 0; k < 8; k++) {
            begin(&d, 0, k & 1 ? OUT : IN, (uint64_t)k, a, 512, &buf);
        }
        guest_kick(d.g, 0);
        g_assert_cmpuint(blk_in_flight(d.blk), >=, 6);
        if (i & 1) {
            machine_reset(d.g->m, CAUSE_HOST_RESET);
        }
        d.g->mem.next = 0x1000;
        guest_start(d.g, want, 1, 64);
        while (loop_step(loop, false)) {
        }
        g_assert_cmpint(drvq_used(d.g->queues[0], NULL), ==, -1);
        limit(&d, THROTTLE_BPS_TOTAL, 0);
        g_assert_cmpint(request(&d, IN, 0, a, 512), ==, 0);
    }
    disk_free(&d);
}

/* ---- limits where time is instructions ---- */

enum { TURNS = 24, PIECE = 16384, RATE = 1 << 20 };

/* To the next moment at which something takes effect in the guest; the host is as late as it likes. */
static void next_moment(Disk *d, GRand *rnd)
{
    for (int i = g_rand_int_range(rnd, 0, 20); i > 0; i--) {
        loop_step(loop, false);
    }
    WAIT_UNTIL(blk_in_flight(d->blk) == 0, loop_step(loop, false));
    clock_icount_advance(d->g->m->clock, clock_icount_budget(d->g->m->clock, UINT64_MAX));
    clock_run(d->g->m->clock);
}

/* Writes all at once and reads one after the other, as two processors would; the counts at which each ended. */
static GArray *limited_run(ThrottleKind kind, unsigned seed)
{
    Disk d = disk_new_clock(GUEST_MMIO, CLOCK_ICOUNT, (const char *const []){ "num-queues", "2", NULL }, false, false);
    g_autofree uint8_t *data = g_malloc0(PIECE);
    GRand *rnd = g_rand_new_with_seed(seed);
    GArray *ends = g_array_new(false, false, sizeof(uint64_t));
    unsigned writes = 0, reads = 0;
    uint64_t buf;

    limit(&d, kind, kind >= THROTTLE_IOPS_TOTAL ? RATE / PIECE : RATE);
    clock_start(d.g->m->clock);
    d.g->mem.next = 0x1000;
    guest_start(d.g, want | BIT64(12), 2, 64);
    for (unsigned i = 0; i < TURNS; i++) {
        g_assert_cmpint(begin(&d, 0, OUT, i * (PIECE / 512), data, PIECE, &buf), >=, 0);
    }
    guest_kick(d.g, 0);
    g_assert_cmpint(begin(&d, 1, IN, 0, data, 512, &buf), >=, 0);
    guest_kick(d.g, 1);
    while (writes + reads < 2 * TURNS) {
        uint64_t now;

        next_moment(&d, rnd);
        now = clock_icount_total(d.g->m->clock);
        while (drvq_used(d.g->queues[0], NULL) >= 0) {
            writes++;
            g_array_append_val(ends, now);
        }
        while (drvq_used(d.g->queues[1], NULL) >= 0) {
            g_array_append_val(ends, now);
            if (++reads < TURNS) {
                g_assert_cmpint(begin(&d, 1, IN, 0, data, 512, &buf), >=, 0);
                guest_kick(d.g, 1);
            }
        }
    }
    g_rand_free(rnd);
    clock_stop(d.g->m->clock);
    disk_free(&d);
    return ends;
}

/* The same counts each time, however late the host is; and they are those that the limit says. */
static void limits_in_guest_time(gconstpointer data)
{
    ThrottleKind kind = (ThrottleKind)GPOINTER_TO_UINT(data);
    g_autoptr(GArray) first = limited_run(kind, 1);
    const uint64_t each = (uint64_t)NS_PER_S * PIECE / RATE, last = g_array_index(first, uint64_t, first->len - 1);

    for (unsigned i = 2; i < 5; i++) {
        g_autoptr(GArray) again = limited_run(kind, i);

        g_assert_cmpmem(first->data, first->len * 8, again->data, again->len * 8);
    }
    g_assert_cmpuint(last, >, (TURNS - 8) * each);                 /* what flows in 100 ms is there at once: 6.4 pieces */
    g_assert_cmpuint(last, <, (kind == THROTTLE_IOPS_TOTAL ? 2 * TURNS + 2 : TURNS + 2) * each);
    if (kind == THROTTLE_BPS_WRITE) {               /* reads do not wait behind writes */
        g_assert_cmpuint(g_array_index(first, uint64_t, TURNS), <, 6 * each);
    }
}

static void needs_drive(void)
{
    Disk d = disk_new(GUEST_MMIO, NULL, false, false);
    static const struct { const char *prop, *value, *why; } cases[] = {
        { NULL, NULL, "drive property not set" }, { "drive", "nosuch", "Property 'virtio-blk-device.drive' can't find value 'nosuch'" },
        { "iothread", "io9", "Property 'virtio-blk-device.iothread' can't find value 'io9'" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        Error *err = NULL;
        Device *w = device_new(d.g->m, "virtio-mmio", NULL, &err), *dev = device_new(d.g->m, "virtio-blk-device", NULL, &err);

        device_set_or_die(w, "index", "%u", 10 + i);
        g_assert_true(device_realize(w, NULL, NULL, &err));
        if (cases[i].prop) {
            device_set_or_die(dev, cases[i].prop, "%s", cases[i].value);
        }
        g_assert_false(device_realize(dev, bus_find(d.g->m, "virtio-bus", NULL, NULL), NULL, &err));
        g_assert_cmpstr(error_message(err), ==, cases[i].why);
        error_free(err);
        device_free(dev);
    }
    disk_free(&d);
}

/* Paths as firmware of this board reads them; recorded from another machine of its kind. */
static void boot_order(void)
{
    static const char *const props[] = { "bootindex", "3", NULL };
    Disk d = disk_new(GUEST_PCI, props, false, false), e = disk_new(GUEST_MMIO, props, false, false), none = disk_new(GUEST_MMIO, NULL, false, false);
    static const struct { const char *addr, *index; } cards[] = { { "7.1", "5" }, { "8", "0" } };
    Error *err = NULL;
    GString *order;

    for (unsigned i = 0; i < ARRAY_SIZE(cards); i++) {
        Device *dev = device_new(d.g->m, "virtio-net-pci", NULL, &err);

        device_set_or_die(dev, "addr", "%s", cards[i].addr);
        device_set_or_die(dev, "bootindex", "3");
        g_assert_false(device_realize(dev, bus_find(d.g->m, "PCI", NULL, NULL), NULL, &err));
        g_assert_cmpstr(error_message(err), ==, "The bootindex 3 has already been used");
        g_clear_pointer(&err, error_free);
        device_set_or_die(dev, "bootindex", "%s", cards[i].index);
        g_assert_true(device_realize(dev, bus_find(d.g->m, "PCI", NULL, NULL), NULL, &err));
    }
    order = virtio_bootorder(d.g->m);
    g_assert_cmpstr(order->str, ==, "/pci@ffffffffffffffff/ethernet@8/ethernet-phy@0\n/pci@ffffffffffffffff/scsi@1/disk@0,0\n"
                    "/pci@ffffffffffffffff/ethernet@7,1/ethernet-phy@0");
    g_assert_cmpuint(order->len, ==, strlen(order->str) + 1);
    g_string_free(order, TRUE);
    order = virtio_bootorder(e.g->m);
    g_assert_cmpstr(order->str, ==, "/virtio-mmio@0000000030000000/disk@0,0");
    g_string_free(order, TRUE);
    order = virtio_bootorder(none.g->m);
    g_assert_cmpuint(order->len, ==, 0);
    g_string_free(order, TRUE);
    disk_free(&d);
    disk_free(&e);
    disk_free(&none);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new("test");
    loop_attach(loop);
    g_test_add_data_func("/blk/io/mmio-legacy", GUINT_TO_POINTER(GUEST_MMIO_LEGACY), io);
    g_test_add_data_func("/blk/io/mmio", GUINT_TO_POINTER(GUEST_MMIO), io);
    g_test_add_data_func("/blk/io/pci", GUINT_TO_POINTER(GUEST_PCI), io);
    g_test_add_data_func("/blk/io/pci-legacy", GUINT_TO_POINTER(GUEST_PCI_LEGACY), io);
    g_test_add_data_func("/blk/deep", NULL, deep);
    g_test_add_data_func("/blk/deep-iothread", "iothread", deep);
    g_test_add_func("/blk/iothread", iothread);
    g_test_add_func("/blk/read-only", read_only);
    g_test_add_func("/blk/failing", failing);
    g_test_add_func("/blk/stops", stops);
    g_test_add_func("/blk/stops-and-moves", stops_and_moves);
    g_test_add_func("/blk/grows", grows);
    g_test_add_func("/blk/reset", reset);
    g_test_add_func("/blk/reset-limited", reset_limited);
    g_test_add_data_func("/blk/limits-in-guest-time/bps", GUINT_TO_POINTER(THROTTLE_BPS_TOTAL), limits_in_guest_time);
    g_test_add_data_func("/blk/limits-in-guest-time/bps-write", GUINT_TO_POINTER(THROTTLE_BPS_WRITE), limits_in_guest_time);
    g_test_add_data_func("/blk/limits-in-guest-time/iops", GUINT_TO_POINTER(THROTTLE_IOPS_TOTAL), limits_in_guest_time);
    g_test_add_func("/blk/needs-drive", needs_drive);
    g_test_add_func("/blk/boot-order", boot_order);
    status = g_test_run();
    loop_attach(NULL);
    loop_free(loop);
    return status;
}
