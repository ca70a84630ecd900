/* SPDX-License-Identifier: MIT */
/* Counters, intervals and histograms on times that the test says; and what of them programs see. */
#include <string.h>

#include "block/block.h"
#include "block/drive.h"
#include "block/stats.h"
#include "io/object.h"
#include "tests/block/qmp-client.h"

#define S 1000000000ll

static uint64_t num(const Json *j, const char *key)
{
    g_assert_nonnull(json_get(j, key));
    return json_get_u64(j, key, 0);
}

static void test_counters(void)
{
    g_autoptr(Json) j = NULL;
    BlkStats s;

    stats_init(&s);
    j = stats_record(&s, 5 * S);
    g_assert_null(json_get(j, "idle_time_ns"));
    json_unref(j);
    stats_done(&s, STAT_READ, 4096, false, 10, 110);
    stats_done(&s, STAT_READ, 512, false, 100, 150);
    stats_done(&s, STAT_WRITE, 512, true, 200, 207);
    stats_done(&s, STAT_FLUSH, 0, false, 300, 303);
    stats_invalid(&s, STAT_WRITE, 400);
    j = stats_record(&s, 1000);
    g_assert_cmpuint(num(j, "rd_operations"), ==, 2);
    g_assert_cmpuint(num(j, "rd_bytes"), ==, 4608);
    g_assert_cmpuint(num(j, "rd_total_time_ns"), ==, 150);
    g_assert_cmpuint(num(j, "wr_operations"), ==, 0);
    g_assert_cmpuint(num(j, "wr_bytes"), ==, 0);
    g_assert_cmpuint(num(j, "failed_wr_operations"), ==, 1);
    g_assert_cmpuint(num(j, "invalid_wr_operations"), ==, 1);
    g_assert_cmpuint(num(j, "wr_total_time_ns"), ==, 7);
    g_assert_cmpuint(num(j, "flush_operations"), ==, 1);
    g_assert_cmpuint(num(j, "idle_time_ns"), ==, 600);
    json_unref(j);
    s.account_invalid = s.account_failed = false;
    stats_done(&s, STAT_WRITE, 512, true, 500, 600);
    stats_invalid(&s, STAT_READ, 700);
    j = stats_record(&s, 1000);
    g_assert_cmpuint(num(j, "failed_wr_operations"), ==, 2);
    g_assert_cmpuint(num(j, "invalid_rd_operations"), ==, 1);
    g_assert_cmpuint(num(j, "wr_total_time_ns"), ==, 7);
    g_assert_cmpuint(num(j, "idle_time_ns"), ==, 600);
    stats_fini(&s);
}

static void bins_are(BlkStats *s, const char *key, const char *want)
{
    g_autoptr(Json) j = stats_record(s, 0);
    g_autofree char *text = json_get(j, key) ? json_text(json_get(j, key), JSON_COMPACT) : g_strdup("none");

    g_assert_cmpstr(text, ==, want);
}

static void test_histogram(void)
{
    static const uint64_t bounds[] = { 10, 50, 100 }, down[] = { 10, 5 }, twice[] = { 10, 10 }, zero[] = { 0, 1 };
    static const int64_t ns[] = { 0, 9, 10, 49, 50, 99, 99, 100, 1000000 };
    BlkStats s;

    stats_init(&s);
    g_assert_false(stats_set_histogram(&s, STAT_READ, down, 2));
    g_assert_false(stats_set_histogram(&s, STAT_READ, twice, 2));
    g_assert_false(stats_set_histogram(&s, STAT_READ, zero, 2));
    bins_are(&s, "rd_latency_histogram", "none");
    g_assert_true(stats_set_histogram(&s, STAT_READ, bounds, 3));
    for (unsigned i = 0; i < G_N_ELEMENTS(ns); i++) {
        stats_done(&s, STAT_READ, 1, i & 1, 1000, 1000 + ns[i]);
        stats_done(&s, STAT_WRITE, 1, false, 1000, 1000 + ns[i]);
    }
    bins_are(&s, "rd_latency_histogram", "{\"bins\": [2, 2, 3, 2], \"boundaries\": [10, 50, 100]}");
    bins_are(&s, "wr_latency_histogram", "none");
    g_assert_true(stats_set_histogram(&s, STAT_READ, bounds, 1));
    bins_are(&s, "rd_latency_histogram", "{\"bins\": [0, 0], \"boundaries\": [10]}");
    g_assert_true(stats_set_histogram(&s, STAT_READ, NULL, 0));
    bins_are(&s, "rd_latency_histogram", "none");
    stats_fini(&s);
}

static Json *interval_at(BlkStats *s, int64_t now)
{
    g_autoptr(Json) j = stats_record(s, now);

    g_assert_cmpuint(json_size(json_get(j, "timed_stats")), ==, 1);
    return json_ref(json_at(json_get(j, "timed_stats"), 0));
}

static void expect(BlkStats *s, int64_t now, uint64_t min, uint64_t max, uint64_t avg, double depth)
{
    g_autoptr(Json) j = interval_at(s, now);
    double d = -1;

    g_assert_cmpuint(num(j, "interval_length"), ==, 10);
    g_assert_cmpuint(num(j, "min_rd_latency_ns"), ==, min);
    g_assert_cmpuint(num(j, "max_rd_latency_ns"), ==, max);
    g_assert_cmpuint(num(j, "avg_rd_latency_ns"), ==, avg);
    g_assert_true(json_as_double(json_get(j, "avg_rd_queue_depth"), &d));
    g_assert_cmpfloat_with_epsilon(d, depth, 1e-9);
    g_assert_cmpuint(num(j, "max_wr_latency_ns"), ==, 0);
}

/* Ten seconds: windows from 100 to 105, 100 to 110, 105 to 115, 110 to 120 ... */
static void test_intervals(void)
{
    BlkStats s;

    stats_init(&s);
    stats_add_interval(&s, 10, 100 * S);
    expect(&s, 100 * S, 0, 0, 0, 0);
    stats_done(&s, STAT_READ, 1, false, 100 * S, 101 * S);
    stats_done(&s, STAT_READ, 1, false, 99 * S, 102 * S);
    expect(&s, 104 * S, S, 3 * S, 2 * S, 1);                /* 4 s of waiting in 4 s */
    expect(&s, 108 * S, S, 3 * S, 2 * S, 0.5);
    stats_done(&s, STAT_READ, 1, false, 104 * S, 109 * S);
    expect(&s, 109 * S, S, 5 * S, 3 * S, 1);
    expect(&s, 111 * S, 5 * S, 5 * S, 5 * S, 5.0 / 6);      /* those before 105 are forgotten */
    expect(&s, 200 * S, 0, 0, 0, 0);
    stats_fini(&s);
}

/* ---- through disks and commands ---- */

typedef struct { Session *s; Loop *loop; QmpClient *c; } World;

static Json *stats_of(World *w)
{
    g_autoptr(Json) list = client_ask(w->c, "{'execute':'query-blockstats'}");

    return json_ref(json_get(json_at(list, 0), "stats"));
}

static void test_disk(void)
{
    static const DriveBoard board = { .kind = DRIVE_NONE };
    g_autoptr(Json) j = NULL;
    World w = { .loop = loop_new_glib("test", NULL) };
    uint8_t buf[1024] = {};
    Blk *b;

    w.s = session_new();
    w.c = client_new(w.s, w.loop);
    b = drive_add(w.s, "driver=null-co,if=none,id=d,stats-intervals.0=60,stats-intervals.1=3600,stats-account-failed=off,file.size=1M", &board, false, NULL)->blk;
    blk_set_device(b, "bus.0/disk7");
    g_assert_cmpint(blk_write(b, 4096, buf, 1024, 0), ==, 0);
    g_assert_cmpint(blk_zeroes(b, 8192, 512, 0), ==, 0);
    g_assert_cmpint(blk_read(b, 0, buf, 512, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    g_assert_cmpint(blk_discard(b, 0, 4096), ==, 0);
    blk_invalid(b, BLK_READ);
    client_ok(w.c, "{'execute':'block-latency-histogram-set','arguments':{'id':'disk7','boundaries':[1000,2000],'boundaries-flush':[7]}}");
    client_refused(w.c, "Device 'bus.0/disk7' set write boundaries fail",
                   "{'execute':'block-latency-histogram-set','arguments':{'id':'bus.0/disk7','boundaries-write':[]}}");
    client_ok(w.c, "{'execute':'block-latency-histogram-set','arguments':{'id':'/machine/peripheral/disk7/virtio-backend','boundaries-read':[1,2]}}");
    client_refused(w.c, "Device 'd' not found", "{'execute':'block-latency-histogram-set','arguments':{'id':'d'}}");
    g_assert_cmpint(blk_flush(b), ==, 0);
    j = stats_of(&w);
    g_assert_cmpuint(num(j, "wr_operations"), ==, 2);
    g_assert_cmpuint(num(j, "wr_bytes"), ==, 1536);
    g_assert_cmpuint(num(j, "wr_highest_offset"), ==, 8704);
    g_assert_cmpuint(num(j, "rd_operations"), ==, 1);
    g_assert_cmpuint(num(j, "flush_operations"), ==, 2);
    g_assert_cmpuint(num(j, "unmap_bytes"), ==, 4096);
    g_assert_cmpuint(num(j, "invalid_rd_operations"), ==, 1);
    g_assert_cmpuint(json_size(json_get(j, "timed_stats")), ==, 2);
    g_assert_false(json_get_bool(j, "account_failed", true));
    g_assert_cmpuint(json_size(json_get(json_get(j, "rd_latency_histogram"), "bins")), ==, 3);
    g_assert_cmpuint(json_size(json_get(json_get(j, "flush_latency_histogram"), "bins")), ==, 2);
    json_unref(j);
    client_ok(w.c, "{'execute':'block-latency-histogram-set','arguments':{'id':'disk7'}}");
    j = stats_of(&w);
    g_assert_null(json_get(j, "rd_latency_histogram"));
    client_free(w.c);
    session_free(w.s);
    while (loop_step(w.loop, false)) {
    }
    loop_free(w.loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stats/counters", test_counters);
    g_test_add_func("/stats/histogram", test_histogram);
    g_test_add_func("/stats/intervals", test_intervals);
    g_test_add_func("/stats/disk", test_disk);
    return g_test_run();
}
