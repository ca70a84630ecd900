/* SPDX-License-Identifier: MIT */
/*
 * Jobs against a model: a guest reads and writes a disk at random while jobs
 * run over it; a shadow in memory says what every block must be.
 *
 *     test-jobs [ROUNDS [SEED]]
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "block/drive.h"
#include "block/driver.h"
#include "block/image.h"
#include "block/job/job.h"
#include "io/fiber.h"
#include "tests/block/qmp-client.h"

enum { SIZE = 3 << 20, UNIT = 4096, UNITS = SIZE / UNIT, WORKERS = 4 };

static unsigned rounds = 12;
static uint64_t seed = 1;

static __thread uint64_t state;

static uint32_t rnd(uint32_t below)
{
    state = state ? state : seed;
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % below;
}

/* ---- the guest ---- */

typedef struct {
    Session *s;
    Loop *loop;
    LoopThread *thread;             /* the guest's own, or NULL: the main one */
    QmpClient *c;
    Blk *blk;
    char *dir;
    uint8_t *shadow, *moment, *earlier;     /* now; at the end of the last drain, and of the one before */
    bool taken[UNITS];              /* a request is on its way there */
    bool stop;
    unsigned running, files;
    uint64_t done;
    int fail;                       /* requests may fail with this */
} Guest;

static void drained(void *opaque)
{
    Guest *g = opaque;

    if (!g->thread) {                   /* else the moment is known to the guest's thread only */
        memcpy(g->earlier, g->moment, SIZE);
        memcpy(g->moment, g->shadow, SIZE);
    }
}

static bool take(Guest *g, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        if (g->taken[i]) {
            return false;
        }
    }
    memset(g->taken + first, true, n);
    return true;
}

static void fill(uint8_t *buf, size_t len)
{
    uint64_t x = rnd(1 << 30) * 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < len; i += 8) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(buf + i, &x, 8);
    }
}

static void wrong(Guest *g, const uint8_t *got, uint64_t off, uint64_t len)
{
    uint64_t first = 0, last = len;

    while (got[first] == g->shadow[off + first]) {
        first++;
    }
    while (got[last - 1] == g->shadow[off + last - 1]) {
        last--;
    }
    g_error("read at %" PRIu64 "+%" PRIu64 " after %" PRIu64 " requests: %" PRIu64 " to %" PRIu64 " is not what was written (%02x, want %02x; node %s)", off, len, g->done,
            off + first, off + last, got[first], g->shadow[off + first], blk_node_driver(blk_node(g->blk)));
}

static void one_request(Guest *g, uint64_t off, uint64_t len)
{
    uint8_t *buf = g_malloc(len);
    uint32_t what = rnd(10);
    int r;

    if (what < 5) {
        fill(buf, len);
        r = blk_write(g->blk, off, buf, len, what == 0 ? BLK_FUA : 0);
        if (r == 0) {
            memcpy(g->shadow + off, buf, len);
        }
    } else if (what < 6) {
        r = blk_zeroes(g->blk, off, len, rnd(2) ? BLK_MAY_UNMAP : 0);
        if (r == 0) {
            memset(g->shadow + off, 0, len);
        }
    } else {
        r = blk_read(g->blk, off, buf, len, 0);
        if (r == 0 && memcmp(buf, g->shadow + off, len)) {
            wrong(g, buf, off, len);
        }
    }
    if (r < 0 && r != g->fail) {
        g_error("request %u at %" PRIu64 "+%" PRIu64 ": %s", what, off, len, g_strerror(-r));
    }
    __atomic_fetch_add(&g->done, 1, __ATOMIC_SEQ_CST);
    g_free(buf);
}

static void worker(void *opaque)
{
    Guest *g = opaque;

    while (!__atomic_load_n(&g->stop, __ATOMIC_SEQ_CST)) {
        unsigned n = 1 + (rnd(4) ? rnd(4) : rnd(40)), first = rnd(UNITS - n);
        uint64_t off, len;

        if (!take(g, first, n)) {
            fiber_pause();
            continue;
        }
        off = (uint64_t)first * UNIT + (rnd(3) ? 0 : 512);
        len = (uint64_t)(first + n) * UNIT - off - (rnd(3) ? 0 : 1024);
        one_request(g, off, len);
        memset(g->taken + first, false, n);
        if (rnd(8) == 0) {
            fiber_sleep(rnd(300000));
        }
    }
    __atomic_fetch_sub(&g->running, 1, __ATOMIC_SEQ_CST);
}

/* The guest's thread says nothing to this one. */
static void turn(Guest *g)
{
    if (!loop_step(g->loop, !g->thread)) {
        g_usleep(100);
    }
}

static void go(Guest *g)
{
    g->stop = false;
    for (unsigned i = 0; i < WORKERS; i++) {
        __atomic_fetch_add(&g->running, 1, __ATOMIC_SEQ_CST);
        fiber_start_on(g->thread ? loop_thread_loop(g->thread) : g->loop, worker, g);
    }
}

static void halt(Guest *g)
{
    __atomic_store_n(&g->stop, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&g->running, __ATOMIC_SEQ_CST)) {
        turn(g);
    }
}

static void same(Blk *b, const uint8_t *want, const char *what)
{
    g_autofree uint8_t *got = g_malloc(SIZE);

    g_assert_cmpint(blk_read(b, 0, got, SIZE, 0), ==, 0);
    for (unsigned i = 0; i < UNITS; i++) {
        if (memcmp(got + i * UNIT, want + i * UNIT, UNIT)) {
            g_error("%s: block %u is not what it should be", what, i);
        }
    }
}

static const BlkEvents events = { .drain_end = drained };

static char *new_file(Guest *g)
{
    return g_strdup_printf("%s/%u.qcow2", g->dir, g->files++);
}

static void create_image(Guest *g, const char *path, const char *backing)
{
    g_autoptr(Json) o = json_object();
    Error *err = NULL;

    json_set_uint(o, "size", SIZE);
    if (backing) {
        json_set_string(o, "backing_file", backing);
        json_set_string(o, "backing_fmt", "qcow2");
    }
    g_assert_true(blk_create(g->s, blk_driver_find("qcow2"), path, o, &err));
}

static Guest *guest_new(bool threaded)
{
    Guest *g = g_new0(Guest, 1);
    g_autofree char *path = NULL, *opts = NULL;
    DriveBoard board = {};
    Error *err = NULL;
    Drive *d;

    g->loop = loop_new_glib("test", NULL);
    g->s = session_new();
    g->c = client_new(g->s, g->loop);
    g->dir = g_dir_make_tmp("rhea-jobs-XXXXXX", NULL);
    g->shadow = g_malloc0(SIZE);
    g->moment = g_malloc0(SIZE);
    g->earlier = g_malloc0(SIZE);
    path = new_file(g);
    create_image(g, path, NULL);
    opts = g_strdup_printf("file=%s,format=qcow2,id=d0,if=none", path);
    d = drive_add(g->s, opts, &board, false, &err);
    g_assert_true(d);
    g->blk = d->blk;
    g_assert_true(blk_set_perm(g->blk, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE, NULL));
    blk_set_events(g->blk, &events, g);
    if (threaded) {
        g->thread = loop_thread_new("guest");
        blk_set_loop(g->blk, loop_thread_loop(g->thread));
    }
    return g;
}

static void guest_free(Guest *g)
{
    halt(g);
    jobs_end(g->s);
    same(g->blk, g->shadow, "the disk at the end");
    if (g->thread) {
        blk_set_loop(g->blk, g->loop);
        loop_thread_free(g->thread);
    }
    blk_set_events(g->blk, NULL, NULL);
    client_free(g->c);
    session_free(g->s);
    while (loop_step(g->loop, false)) {
    }
    loop_free(g->loop);
    for (unsigned i = 0; i < g->files; i++) {
        g_autofree char *path = g_strdup_printf("%s/%u.qcow2", g->dir, i);
        g_unlink(path);
    }
    g_rmdir(g->dir);
    g_free(g->shadow);
    g_free(g->moment);
    g_free(g->earlier);
    g_free(g->dir);
    g_free(g);
}

/* ---- the jobs ---- */

static void run_a_while(Guest *g, unsigned requests)
{
    uint64_t until = __atomic_load_n(&g->done, __ATOMIC_SEQ_CST) + requests;

    while (__atomic_load_n(&g->done, __ATOMIC_SEQ_CST) < until) {
        turn(g);
    }
}

static void snapshot(Guest *g)
{
    g_autofree char *path = new_file(g);

    client_ok(g->c, "{'execute':'blockdev-snapshot-sync','arguments':{'device':'d0','snapshot-file':'%s'}}", path);
}

/* Is the chain long enough for what needs two layers? */
static BlkNode *below(Guest *g)
{
    return blk_node_backing(blk_node(g->blk));
}

static void dismiss(Guest *g)
{
    g_autofree char *error = client_job_error(g->c, "j");

    if (error) {
        g_error("job: %s", error);
    }
    client_ok(g->c, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
}

static void stream(Guest *g)
{
    BlkNode *base = below(g) && blk_node_backing(below(g)) && rnd(2) ? blk_node_backing(below(g)) : NULL;
    g_autofree char *extra = base ? g_strdup_printf(",'base-node':'%s'", blk_node_name(base)) : g_strdup("");

    client_ok(g->c, "{'execute':'block-stream','arguments':{'job-id':'j','device':'d0','auto-dismiss':false%s}}", extra);
    client_wait(g->c, "j", "concluded");
    dismiss(g);
    g_assert_true(below(g) == base);
}

static void commit(Guest *g)
{
    BlkNode *top = below(g), *base = top ? blk_node_backing(top) : NULL;

    if (!base) {
        return;
    }
    client_ok(g->c, "{'execute':'block-commit','arguments':{'job-id':'j','device':'d0','top-node':'%s','base-node':'%s','auto-dismiss':false}}", blk_node_name(top),
              blk_node_name(base));
    client_wait(g->c, "j", "concluded");
    dismiss(g);
    g_assert_true(below(g) == base);
}

static void active_commit(Guest *g)
{
    BlkNode *base = below(g);

    if (!base) {
        return;
    }
    client_ok(g->c, "{'execute':'block-commit','arguments':{'job-id':'j','device':'d0','base-node':'%s','auto-dismiss':false}}", blk_node_name(base));
    client_wait(g->c, "j", "ready");
    run_a_while(g, rnd(100));
    client_ok(g->c, "{'execute':'job-complete','arguments':{'id':'j'}}");
    client_wait(g->c, "j", "concluded");
    dismiss(g);
    g_assert_true(blk_node(g->blk) == base);
}

/* A finished image on its own, compared with what it should hold. */
static void check_image(Guest *g, const char *path, const uint8_t *want, const char *what)
{
    Error *err = NULL;
    Blk *b = blk_open(g->s, path, NULL, BLK_O_FORCE_SHARE, 0, BLK_PERM_ALL, &err);
    BlkCheck c = {};

    if (!b) {
        g_error("%s: %s", what, error_message(err));
    }
    same(b, want, what);
    g_assert_cmpint(blk_check(b, &c), ==, 0);
    g_assert_cmpuint(c.corruptions + c.check_errors, ==, 0);
    blk_free(b);
}

static void mirror(Guest *g)
{
    g_autofree char *path = new_file(g);
    bool active = rnd(2), pivot = rnd(2), top = below(g) && rnd(2), late = !active && rnd(3) == 0;

    client_ok(g->c, "{'execute':'drive-mirror','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'%s','copy-mode':'%s','auto-dismiss':false}}",
              path, top ? "top" : "full", active ? "write-blocking" : "background");
    if (late) {
        client_ok(g->c, "{'execute':'block-job-change','arguments':{'id':'j','type':'mirror','copy-mode':'write-blocking'}}");
    }
    client_wait(g->c, "j", "ready");
    run_a_while(g, rnd(200));
    if (rnd(2)) {
        client_ok(g->c, "{'execute':'job-pause','arguments':{'id':'j'}}");
        run_a_while(g, rnd(100));
        client_ok(g->c, "{'execute':'job-resume','arguments':{'id':'j'}}");
        client_wait(g->c, "j", "ready");
    }
    client_ok(g->c, pivot ? "{'execute':'job-complete','arguments':{'id':'j'}}" : "{'execute':'block-job-cancel','arguments':{'device':'j'}}");
    client_wait(g->c, "j", "concluded");
    dismiss(g);
    if (!pivot && !g->thread) {
        check_image(g, path, g->earlier, "mirror");     /* the last drain took the filter away; the one before copied the rest */
    }
    g_assert_true(!pivot || g_str_has_suffix(blk_node_filename(blk_node(g->blk)), strrchr(path, '/')));
}

static void backup(Guest *g, bool incremental)
{
    g_autofree char *path = new_file(g);
    g_autofree uint8_t *want = NULL;

    client_ok(g->c, "{'execute':'drive-backup','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'full','auto-dismiss':false}}", path);
    want = g_memdup2(g->moment, SIZE);
    client_wait(g->c, "j", "concluded");
    dismiss(g);
    if (!g->thread) {                   /* else the moment is known to the guest's thread only */
        check_image(g, path, want, "backup");
    }
}

/* Stopped somewhere on the way: the guest must not notice. */
static void cancelled(Guest *g)
{
    static const char *const starts[] = {
        "{'execute':'drive-mirror','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'full','auto-dismiss':false}}",
        "{'execute':'drive-mirror','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'full','copy-mode':'write-blocking','auto-dismiss':false}}",
        "{'execute':'drive-backup','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'full','auto-dismiss':false}}",
        "{'execute':'drive-backup','arguments':{'job-id':'j','device':'d0','target':'%s','format':'qcow2','sync':'none','auto-dismiss':false}}",
        "{'execute':'block-stream','arguments':{'job-id':'j','device':'d0','auto-dismiss':false}}",
    };
    g_autofree char *path = new_file(g), *request = NULL;
    unsigned which = rnd(G_N_ELEMENTS(starts));

    request = g_strdup_printf(starts[which], path);
    client_ok(g->c, "%s", request);
    for (unsigned steps = rnd(60); steps; steps--) {
        turn(g);
    }
    json_unref(client_ask(g->c, "{'execute':'block-job-cancel','arguments':{'device':'j','force':true}}"));    /* it may have ended */
    client_wait(g->c, "j", "concluded");
    client_ok(g->c, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
}

static void run_model(bool threaded)
{
    Guest *g = guest_new(threaded);

    go(g);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned what = rnd(9);

        if (g_test_verbose()) {
            g_test_message("round %u: %u, chain %s", i, what, below(g) ? "long" : "short");
        }
        run_a_while(g, 20);
        switch (what) {
        case 0:
        case 1:
            snapshot(g);
            break;
        case 2:
            stream(g);
            break;
        case 3:
            commit(g);
            break;
        case 4:
            active_commit(g);
            break;
        case 5:
            mirror(g);
            break;
        case 6:
            backup(g, false);
            break;
        case 7:
            cancelled(g);
            break;
        default:
            snapshot(g);
            snapshot(g);
            break;
        }
        if (rnd(3) == 0) {
            halt(g);
            same(g->blk, g->shadow, "the disk");
            go(g);
        }
    }
    guest_free(g);
}

static void test_model(void)
{
    run_model(false);
}

static void test_thread(void)
{
    run_model(true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : rounds;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : seed;
    g_test_add_func("/jobs/model", test_model);
    g_test_add_func("/jobs/thread", test_thread);
    return g_test_run();
}
