/* SPDX-License-Identifier: MIT */
/* Limits: the buckets against what they promise, turns, drains, cancelling, and how they are set.  Time is the test's own. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/block.h"
#include "block/drive.h"
#include "block/driver.h"
#include "block/throttle.h"
#include "io/fiber.h"
#include "io/object.h"
#include "tests/block/qmp-client.h"

#define S 1000000000ll
#define MS 1000000ll

/* ---- buckets ---- */

static ThrottleState state_of(ThrottleKind kind, int64_t avg, int64_t max, int64_t length, int64_t op_size)
{
    ThrottleState s = {};

    throttle_config_init(&s.config);
    s.config.limit[kind] = (ThrottleLimit){ avg, max, length };
    s.config.op_size = op_size;
    g_assert_true(throttle_config_check(&s.config, NULL));
    return s;
}

static void test_buckets(void)
{
    ThrottleState s = state_of(THROTTLE_IOPS_READ, 10, 0, 1, 0);

    g_assert_cmpint(throttle_wait(&s, false), ==, 0);
    throttle_account(&s, false, 4096);
    g_assert_cmpint(throttle_wait(&s, false), ==, 0);       /* what flows in 100 ms may be there */
    throttle_account(&s, false, 4096);
    g_assert_cmpint(throttle_wait(&s, false), ==, 100 * MS);
    g_assert_cmpint(throttle_wait(&s, true), ==, 0);        /* nobody said anything about writes */
    throttle_leak(&s, 60 * MS);
    g_assert_cmpint(throttle_wait(&s, false), ==, 40 * MS);
    throttle_leak(&s, 30 * MS);                             /* time does not run backwards */
    g_assert_cmpint(throttle_wait(&s, false), ==, 40 * MS);
    throttle_leak(&s, 100 * MS);
    g_assert_cmpint(throttle_wait(&s, false), ==, 0);

    s = state_of(THROTTLE_BPS_TOTAL, 1000, 5000, 1, 0);     /* a burst of 5000 at once, then 1000 a second */
    throttle_account(&s, true, 5000);
    g_assert_cmpint(throttle_wait(&s, false), ==, 0);
    throttle_account(&s, false, 1000);
    g_assert_cmpint(throttle_wait(&s, true), ==, S);

    s = state_of(THROTTLE_IOPS_TOTAL, 100, 0, 1, 4096);     /* 40 KiB are ten */
    throttle_account(&s, true, 40960);
    throttle_account(&s, true, 100);
    g_assert_cmpint(throttle_wait(&s, false), ==, 10 * MS);
}

/* Somebody always wants more: in no window passes more than the buckets and the rate allow, and overall no less. */
static void check_rate(ThrottleState s, ThrottleKind kind, uint64_t bytes)
{
    const ThrottleLimit *l = &s.config.limit[kind];
    bool ops = kind >= THROTTLE_IOPS_TOTAL;
    double unit = ops ? s.config.op_size && bytes > (uint64_t)s.config.op_size ? (double)bytes / (double)s.config.op_size : 1 : (double)bytes;
    double size = l->max ? (double)l->max * (double)l->length : (double)l->avg / 10, done = 0;
    int64_t now = 0;

    while (now < 100 * S) {
        int64_t wait = throttle_wait(&s, false);

        if (wait) {
            now += wait;
            throttle_leak(&s, now);
            g_assert_cmpint(throttle_wait(&s, false), ==, 0);
        }
        throttle_account(&s, false, bytes);
        done += unit;
        g_assert_cmpfloat(done, <=, size + (double)l->avg * (double)now / 1e9 + unit * 1.001);
        if (l->length > 1) {
            g_assert_cmpfloat(done, <=, (double)l->max / 10 + (double)l->max * (double)now / 1e9 + unit * 1.001);
        }
    }
    g_assert_cmpfloat(done, >=, (double)l->avg * 100 * 0.999);
    if (l->max) {
        g_assert_cmpfloat(done, >=, size);                  /* the burst was had, too */
    }
}

static void test_rates(void)
{
    check_rate(state_of(THROTTLE_IOPS_TOTAL, 50, 0, 1, 0), THROTTLE_IOPS_TOTAL, 4096);
    check_rate(state_of(THROTTLE_IOPS_READ, 7, 0, 1, 512), THROTTLE_IOPS_READ, 2000);
    check_rate(state_of(THROTTLE_BPS_TOTAL, 100000, 200000, 1, 0), THROTTLE_BPS_TOTAL, 4096);
    check_rate(state_of(THROTTLE_BPS_READ, 100000, 300000, 10, 0), THROTTLE_BPS_READ, 65536);
    check_rate(state_of(THROTTLE_IOPS_READ, 30, 100, 20, 0), THROTTLE_IOPS_READ, 512);
}

static void refuses(ThrottleKind kind, int64_t avg, int64_t max, int64_t length, int64_t op_size, const char *text)
{
    ThrottleConfig c;
    Error *err = NULL;

    throttle_config_init(&c);
    c.limit[kind] = (ThrottleLimit){ avg, max, length };
    c.limit[THROTTLE_BPS_WRITE].avg = kind == THROTTLE_BPS_TOTAL ? op_size : 0;
    c.op_size = kind == THROTTLE_BPS_TOTAL ? 0 : op_size;
    g_assert_false(throttle_config_check(&c, &err));
    g_assert_cmpstr(error_message(err), ==, text);
    error_free(err);
}

static void test_config(void)
{
    refuses(THROTTLE_BPS_TOTAL, 5, 0, 1, 5, "bps/iops/max total values and read/write values cannot be used at the same time");
    refuses(THROTTLE_BPS_READ, 5, 0, 1, 5, "iops size requires an iops value to be set");
    refuses(THROTTLE_IOPS_READ, -1, 0, 1, 0, "bps/iops/max values must be within [0, 1000000000000000]");
    refuses(THROTTLE_IOPS_READ, 1000000000000001, 0, 1, 0, "bps/iops/max values must be within [0, 1000000000000000]");
    refuses(THROTTLE_IOPS_READ, 5, 4, 1, 0, "bps_max/iops_max cannot be lower than bps/iops");
    refuses(THROTTLE_IOPS_READ, 0, 4, 1, 0, "bps_max/iops_max require corresponding bps/iops values");
    refuses(THROTTLE_IOPS_READ, 5, 0, 2, 0, "burst length set without burst rate");
    refuses(THROTTLE_IOPS_READ, 5, 5, 0, 0, "the burst length cannot be 0");
    refuses(THROTTLE_IOPS_READ, 5, 1000000000000000, 2, 0, "burst length too high for this burst rate");
}

/* ---- disks in a world with a clock of its own ---- */

typedef struct { Session *s; Loop *loop; int64_t now; GString *log; unsigned done; } World;

typedef struct { BlkReq req; World *w; char tag; int result; } One;

static int64_t world_now(void *opaque)
{
    return ((World *)opaque)->now;
}

static void world_open(World *w)
{
    *w = (World){ .now = 1000 * S, .log = g_string_new(NULL) };
    w->loop = loop_new_glib("test", NULL);
    w->s = session_new();
}

static void settle(World *w)
{
    while (loop_step(w->loop, false)) {
    }
}

static void world_close(World *w)
{
    session_free(w->s);
    settle(w);
    loop_free(w->loop);
    g_string_free(w->log, TRUE);
}

static void group(World *w, const char *text)
{
    Error *err = NULL;

    if (!session_object_parse(w->s, text, &err)) {
        g_error("%s", error_message(err));
    }
    throttle_group_clock(throttle_group_find(w->s, "g"), world_now, w);
}

static Blk *disk(World *w, const char *fmt, ...)
{
    static const DriveBoard board = { .kind = DRIVE_NONE };
    Error *err = NULL;
    va_list ap;
    Drive *d;
    char *text;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    d = drive_add(w->s, text, &board, false, &err);
    if (!d) {
        g_error("%s: %s", text, error_message(err));
    }
    g_free(text);
    return d->blk;
}

static void done(BlkReq *req, int result)
{
    One *o = req->opaque;

    o->result = result;
    o->w->done++;
    g_string_append_c(o->w->log, o->tag);
}

static One *ask(World *w, Blk *b, BlkOp op, uint64_t len, char tag)
{
    One *o = g_new0(One, 1);

    o->w = w;
    o->tag = tag;
    o->result = 1;
    o->req = (BlkReq){ .blk = b, .op = op, .len = len, .done = done, .opaque = o };
    if (op == BLK_READ || op == BLK_WRITE) {
        struct iovec *iov = g_new0(struct iovec, 1);

        *iov = (struct iovec){ g_malloc0(len), len };
        o->req.iov = iov;
        o->req.iovcnt = 1;
    }
    blk_submit(&o->req);
    settle(w);
    return o;
}

static void drop(One *o)
{
    if (o->req.iov) {
        g_free(o->req.iov->iov_base);
        g_free((void *)o->req.iov);
    }
    g_free(o);
}

/* To the moment when the next one may go. */
static void tick(World *w, ThrottleGroup *g)
{
    int64_t at = throttle_group_next(g);

    g_assert_cmpint(at, <, INT64_MAX);
    w->now = at;
    throttle_group_run(g);
    settle(w);
}

enum { DISKS = 8, EACH = 5 };

static void test_turns(void)
{
    One *all[DISKS][EACH];
    Blk *b[DISKS];
    World w;
    ThrottleGroup *g;
    int64_t begin;

    world_open(&w);
    group(&w, "throttle-group,id=g,limits.iops-total=20");
    g = throttle_group_find(w.s, "g");
    for (unsigned i = 0; i < DISKS; i++) {
        b[i] = disk(&w, "driver=null-co,if=none,id=d%u,throttling.group=g,throttling.iops-total=20", i);
        g_assert_cmpstr(blk_throttle_group(b[i]), ==, "g");
    }
    g_assert_cmpuint(throttle_group_members(g), ==, DISKS);
    begin = w.now;
    for (unsigned i = 0; i < DISKS; i++) {                  /* the first disk asks for all of its own before the second begins */
        for (unsigned k = 0; k < EACH; k++) {
            all[i][k] = ask(&w, b[i], BLK_READ, 512, (char)('a' + i));
        }
    }
    while (w.done < DISKS * EACH) {
        tick(&w, g);
    }
    g_assert_cmpint(w.now - begin, >=, (DISKS * EACH - 3) * S / 20);
    g_assert_cmpint(w.now - begin, <=, (DISKS * EACH) * S / 20);
    /* Three fill the bucket; from then on nobody has a second turn before all others had theirs. */
    for (unsigned i = 3; i + DISKS <= w.log->len; i++) {
        for (unsigned k = i + 1; k < i + DISKS - 1 && k < DISKS * (EACH - 1); k++) {
            g_assert_cmpint(w.log->str[i], !=, w.log->str[k]);
        }
    }
    for (unsigned i = 0; i < DISKS * EACH; i++) {
        drop(all[i / EACH][i % EACH]);
    }
    world_close(&w);
}

static void test_sides(void)
{
    One *all[12];
    World w;
    Blk *b;

    world_open(&w);
    group(&w, "throttle-group,id=g,x-iops-total=10");
    b = disk(&w, "driver=null-co,if=none,id=d,throttling.group=g,iops=10");
    for (unsigned i = 0; i < 12; i++) {
        all[i] = ask(&w, b, i < 6 ? BLK_READ : BLK_WRITE, 512, i < 6 ? 'r' : 'w');
    }
    while (w.done < 12) {
        tick(&w, throttle_group_find(w.s, "g"));
    }
    g_assert_cmpstr(w.log->str, ==, "rrrwrwrwrwww");
    for (unsigned i = 0; i < 12; i++) {
        drop(all[i]);
    }
    world_close(&w);
}

static void test_sides_apart(void)
{
    One *r[3], *wr;
    World w;
    Blk *b;

    world_open(&w);
    group(&w, "throttle-group,id=g");
    b = disk(&w, "driver=null-co,if=none,id=d,group=g,throttling.iops-read=1");
    for (unsigned i = 0; i < 3; i++) {
        r[i] = ask(&w, b, BLK_READ, 512, 'r');
    }
    g_assert_cmpstr(w.log->str, ==, "r");
    wr = ask(&w, b, BLK_WRITE, 512, 'w');                   /* not behind reads that wait for a limit of reads */
    g_assert_cmpstr(w.log->str, ==, "rw");
    while (w.done < 4) {
        tick(&w, throttle_group_find(w.s, "g"));
    }
    for (unsigned i = 0; i < 3; i++) {
        drop(r[i]);
    }
    drop(wr);
    world_close(&w);
}

/* The clock stands: drain and cancel must end what waits. */
static void test_drain(void)
{
    One *all[10];
    World w;
    Blk *b;

    world_open(&w);
    group(&w, "throttle-group,id=g");
    b = disk(&w, "driver=null-co,if=none,id=d,group=g,throttling.iops-total=1");
    for (unsigned i = 0; i < 10; i++) {
        all[i] = ask(&w, b, i & 1 ? BLK_READ : BLK_ZEROES, 512, 'x');
    }
    g_assert_cmpuint(w.done, <, 10);
    blk_drain_begin(b);
    g_assert_cmpuint(w.done, ==, 10);
    drop(all[0]);
    all[0] = ask(&w, b, BLK_READ, 512, 'y');
    g_assert_cmpuint(w.done, ==, 10);
    blk_drain_end(b);
    settle(&w);
    g_assert_cmpuint(w.done, ==, 10);                       /* what came by was counted: this one waits its time */
    tick(&w, throttle_group_find(w.s, "g"));
    g_assert_cmpuint(w.done, ==, 11);
    for (unsigned i = 0; i < 10; i++) {
        drop(all[i]);
    }
    world_close(&w);
}

static void test_cancel(void)
{
    One *all[4];
    World w;
    Blk *b;

    world_open(&w);
    group(&w, "throttle-group,id=g");
    b = disk(&w, "driver=null-co,if=none,id=d,group=g,throttling.iops-total=1");
    for (unsigned i = 0; i < 4; i++) {
        all[i] = ask(&w, b, BLK_READ, 512, (char)('0' + i));
    }
    g_assert_cmpstr(w.log->str, ==, "0");
    blk_cancel(&all[2]->req);
    settle(&w);
    g_assert_cmpstr(w.log->str, ==, "02");
    g_assert_cmpint(all[2]->result, ==, -ECANCELED);
    tick(&w, throttle_group_find(w.s, "g"));
    tick(&w, throttle_group_find(w.s, "g"));
    g_assert_cmpstr(w.log->str, ==, "0213");
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(all[i]->result, ==, i == 2 ? -ECANCELED : 0);
        drop(all[i]);
    }
    world_close(&w);
}

/* A node with limits below a format: the disk's drain reaches it. */
static void test_node(void)
{
    One *all[4];
    World w;
    Blk *b;

    world_open(&w);
    group(&w, "throttle-group,id=g,limits.bps-write=1024");
    g_assert_true(blockdev_add(w.s, "driver=throttle,node-name=t,throttle-group=g,file.driver=null-co", NULL));
    g_assert_true(blockdev_add(w.s, "driver=raw,node-name=r,file=t", NULL));
    b = drive_resolve(w.s, "r", NULL);
    for (unsigned i = 0; i < 4; i++) {
        all[i] = ask(&w, b, i == 3 ? BLK_READ : BLK_WRITE, 1024, (char)('0' + i));
    }
    g_assert_cmpstr(w.log->str, ==, "03");
    tick(&w, throttle_group_find(w.s, "g"));
    g_assert_cmpstr(w.log->str, ==, "031");
    blk_drain_begin(b);
    g_assert_cmpstr(w.log->str, ==, "0312");
    blk_drain_end(b);
    for (unsigned i = 0; i < 4; i++) {
        drop(all[i]);
    }
    g_assert_false(session_object_del(w.s, "g", NULL));
    blk_free(b);
    g_assert_true(blockdev_del(w.s, "r", NULL));
    g_assert_true(blockdev_del(w.s, "t", NULL));
    g_assert_true(session_object_del(w.s, "g", NULL));
    g_assert_null(throttle_group_find(w.s, "g"));
    world_close(&w);
}

/* Disks on threads of their own, in real time: all that was asked for is done, and not sooner than allowed. */
enum { THREADS = 3, REQUESTS = 400, PER_SECOND = 4000 };

typedef struct { World w; unsigned done; } Threads;

static void done_there(BlkReq *req, int result)
{
    Threads *t = req->opaque;

    g_assert_cmpint(result, ==, 0);
    if (__atomic_add_fetch(&t->done, 1, __ATOMIC_ACQ_REL) == THREADS * REQUESTS) {
        loop_quit(t->w.loop);
    }
}

static void test_threads(void)
{
    LoopThread *thread[THREADS];
    BlkReq *all = g_new0(BlkReq, THREADS * REQUESTS);
    Threads t = {};
    int64_t begin;

    world_open(&t.w);
    begin = loop_now();
    for (unsigned i = 0; i < THREADS; i++) {
        Blk *b = disk(&t.w, "driver=null-co,if=none,id=d%u,throttling.group=shared,throttling.iops-total=%d", i, PER_SECOND);

        thread[i] = loop_thread_new("disk");
        for (unsigned k = 0; k < REQUESTS; k++) {
            all[i * REQUESTS + k] = (BlkReq){ .blk = b, .op = k & 1 ? BLK_DISCARD : BLK_ZEROES, .len = 512, .done = done_there, .opaque = &t, .loop = loop_thread_loop(thread[i]) };
            blk_submit(&all[i * REQUESTS + k]);
        }
    }
    loop_run(t.w.loop);
    g_assert_cmpint(loop_now() - begin, >=, (THREADS * REQUESTS - PER_SECOND / 10 - 1) * S / PER_SECOND);
    for (unsigned i = 0; i < THREADS; i++) {
        loop_thread_free(thread[i]);
    }
    g_free(all);
    world_close(&t.w);
}

/* ---- how programs set them ---- */

static Json *inserted(QmpClient *c, unsigned i)
{
    g_autoptr(Json) list = client_ask(c, "{'execute':'query-block'}");

    return json_ref(json_get(json_at(list, i), "inserted"));
}

static void limits_are(QmpClient *c, const char *want)
{
    g_autoptr(Json) now = inserted(c, 0);
    GString *text = g_string_new(NULL);

    for (const ThrottleName *n = throttle_names; n->name; n++) {
        if (json_get(now, n->old)) {
            g_string_append_printf(text, "%s=%d ", n->old, (int)json_get_i64(now, n->old, -1));
        }
    }
    g_string_append(text, json_get_string(now, "group") ? json_get_string(now, "group") : "-");
    g_assert_cmpstr(text->str, ==, want);
    g_string_free(text, TRUE);
}

#define SET "{'execute':'block_set_io_throttle','arguments':{'device':'d','bps':%d,'bps_rd':%d,'bps_wr':0,'iops':0,'iops_rd':0,'iops_wr':0%s}}"

static void test_commands(void)
{
    QmpClient *c;
    World w;

    world_open(&w);
    c = client_new(w.s, w.loop);
    disk(&w, "driver=null-co,if=none,id=d,iops_wr=5,throttling.iops-write-max=50,iops_size=4096");
    limits_are(c, "bps=0 bps_rd=0 bps_wr=0 iops=0 iops_rd=0 iops_wr=5 iops_wr_max=50 iops_wr_max_length=1 iops_size=4096 d");
    client_ok(c, SET, 1000, 0, ",'bps_max':2000,'bps_max_length':3");
    limits_are(c, "bps=1000 bps_max=2000 bps_max_length=3 bps_rd=0 bps_wr=0 iops=0 iops_rd=0 iops_wr=0 d");
    client_refused(c, "bps/iops/max total values and read/write values cannot be used at the same time", SET, 1, 1, "");
    client_refused(c, "iops size requires an iops value to be set", SET, 1, 0, ",'iops_size':1");
    client_refused(c, "bps/iops/max values must be within [0, 1000000000000000]", SET, -1, 0, "");
    limits_are(c, "bps=1000 bps_max=2000 bps_max_length=3 bps_rd=0 bps_wr=0 iops=0 iops_rd=0 iops_wr=0 d");
    client_ok(c, SET, 7, 0, ",'group':'other'");
    limits_are(c, "bps=7 bps_rd=0 bps_wr=0 iops=0 iops_rd=0 iops_wr=0 other");
    g_assert_null(throttle_group_find(w.s, "d"));
    client_ok(c, SET, 0, 0, "");
    limits_are(c, "bps=0 bps_rd=0 bps_wr=0 iops=0 iops_rd=0 iops_wr=0 -");
    g_assert_null(throttle_group_find(w.s, "other"));
    client_refused(c, "Need exactly one of 'device' and 'id'", "{'execute':'block_set_io_throttle','arguments':{'bps':1,'bps_rd':0,'bps_wr':0,'iops':0,'iops_rd':0,'iops_wr':0}}");
    client_refused(c, "Throttle group 'no' does not exist", "{'execute':'blockdev-add','arguments':{'driver':'throttle','node-name':'t','throttle-group':'no','file':{'driver':'null-co'}}}");
    client_free(c);
    world_close(&w);
}

static void drive_refused(World *w, const char *text, const char *why)
{
    DriveBoard board = { .kind = DRIVE_NONE };
    Error *err = NULL;

    g_assert_null(drive_add(w->s, text, &board, false, &err));
    g_assert_cmpstr(error_message(err), ==, why);
    error_free(err);
}

static void test_drives(void)
{
    World w;

    world_open(&w);
    drive_refused(&w, "driver=null-co,if=none,id=d,bps=5,throttling.bps-total=6", "'throttling.bps-total' and its alias 'bps' can't be used at the same time");
    drive_refused(&w, "driver=null-co,if=none,id=d,iops_wr=5,iops_wr_max=4", "bps_max/iops_max cannot be lower than bps/iops");
    drive_refused(&w, "driver=null-co,if=none,id=d,throttling.bps-total=-1", "bps/iops/max values must be within [0, 1000000000000000]");
    g_assert_null(blk_throttle_group(disk(&w, "driver=null-co,if=none,id=d,throttling.group=g")));
    g_assert_cmpstr(blk_throttle_group(disk(&w, "driver=null-co,if=none,id=e,bps=8,throttling.group=g")), ==, "g");
    world_close(&w);
}

/* -m perf: what a request costs with few and with many disks in the group. */
static void cost(unsigned disks)
{
    enum { TOTAL = 200000 };
    One *all = g_new0(One, TOTAL);
    World w;
    ThrottleGroup *g;
    int64_t begin, ns;

    world_open(&w);
    group(&w, "throttle-group,id=g");
    g = throttle_group_find(w.s, "g");
    for (unsigned i = 0; i < disks; i++) {
        disk(&w, "driver=null-co,if=none,id=d%u,group=g,iops=1000000", i);
    }
    begin = loop_now();
    for (unsigned i = 0; i < TOTAL; i++) {
        g_autofree char *id = g_strdup_printf("d%u", i % disks);

        all[i] = (One){ .w = &w, .tag = 'x' };
        all[i].req = (BlkReq){ .blk = blk_find(w.s, id), .op = BLK_ZEROES, .len = 512, .done = done, .opaque = &all[i] };
        blk_submit(&all[i].req);
    }
    while (w.done < TOTAL) {
        w.now += S;
        throttle_group_run(g);
        settle(&w);
    }
    ns = loop_now() - begin;
    g_test_message("%u disks: %" PRId64 " ns a request", disks, ns / TOTAL);
    g_free(all);
    world_close(&w);
}

static void test_cost(void)
{
    if (!g_test_perf()) {
        g_test_skip("a measurement: -m perf");
        return;
    }
    cost(1);
    cost(100);
    cost(10000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/throttle/buckets", test_buckets);
    g_test_add_func("/throttle/rates", test_rates);
    g_test_add_func("/throttle/config", test_config);
    g_test_add_func("/throttle/turns", test_turns);
    g_test_add_func("/throttle/sides", test_sides);
    g_test_add_func("/throttle/sides-apart", test_sides_apart);
    g_test_add_func("/throttle/drain", test_drain);
    g_test_add_func("/throttle/cancel", test_cancel);
    g_test_add_func("/throttle/node", test_node);
    g_test_add_func("/throttle/threads", test_threads);
    g_test_add_func("/throttle/commands", test_commands);
    g_test_add_func("/throttle/drives", test_drives);
    g_test_add_func("/throttle/cost", test_cost);
    return g_test_run();
}
