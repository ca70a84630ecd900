/* SPDX-License-Identifier: MIT */
/* Conformance of nodes: every driver that stores bytes passes the same random workload; drains, permissions, locks. */
#include "tests/block/conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/image.h"
#include "io/fiber.h"

static void test_raw(gconstpointer options)
{
    g_autofree char *path = NULL, *text = NULL;

    setup();
    path = file_of("raw", SIZE);
    text = g_strdup_printf("{\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"filename\": \"%s\"%s}}", path, (const char *)options);
    conform(NULL, text, 0);
    teardown();
}

static void test_offset(void)
{
    g_autofree char *path = NULL, *text = NULL;

    setup();
    path = file_of("part", SIZE + 8192);
    text = g_strdup_printf("{\"driver\": \"raw\", \"offset\": 4096, \"size\": %d, \"file\": {\"driver\": \"file\", \"filename\": \"%s\"}}", SIZE, path);
    conform(NULL, text, 0);
    teardown();
}

static bool with_peer;                          /* argument "peer" */

/* Another program finds the image clean, and the same bytes in it. */
static void ask_peer(const char *path, const char *format)
{
    g_autofree char *raw = g_strdup_printf("%s.raw", path);
    const char *check[] = { "qemu-img", "check", "-q", "-f", format, path, NULL }, *convert[] = { "qemu-img", "convert", "-f", format, "-O", "raw", path, raw, NULL };
    g_autofree char *bytes = NULL;
    gsize len;
    int status;

    g_autofree char *program = g_find_program_in_path("qemu-img");

    if (!program) {
        return;
    }
    g_assert_true(g_spawn_sync(NULL, (char **)check, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_true(status == 0 || WEXITSTATUS(status) == 63);      /* 63: it has no check for this format */
    g_assert_true(g_spawn_sync(NULL, (char **)convert, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(raw, &bytes, &len, NULL));
    g_assert_cmpuint(len, ==, SIZE);
    g_assert_cmpint(memcmp(bytes, shadow, SIZE), ==, 0);
    unlink(raw);
}

static void check_clean(const char *path)
{
    Blk *b = open_ok(path, NULL, BLK_O_CHECK);
    BlkCheck c = {};

    blk_check(b, &c);
    g_assert_cmpuint(c.corruptions + c.leaks + c.check_errors, ==, 0);
    blk_free(b);
}

/* Every format that can be made. */
static void test_format(gconstpointer opaque)
{
    g_auto(GStrv) parts = g_strsplit(opaque, " ", -1);
    g_autofree char *path = NULL, *text = NULL;
    Json *o = json_object();
    Error *err = NULL;

    setup();
    path = file_of("image", 0);
    json_set_uint(o, "size", SIZE);
    for (char **p = parts + 1; *p; p++) {
        char *eq = strchr(*p, '=');
        *eq = 0;
        if (g_ascii_isdigit(eq[1]) && strcmp(*p, "compat")) {
            json_set_uint(o, *p, strtoul(eq + 1, NULL, 10));
        } else if (!strcmp(eq + 1, "on")) {
            json_set_bool(o, *p, true);
        } else {
            json_set_string(o, *p, eq + 1);
        }
    }
    if (!blk_create(session, blk_driver_find(parts[0]), path, o, &err)) {
        g_error("%s", error_message(err));
    }
    json_unref(o);
    text = g_strdup_printf("{\"driver\": \"%s\"}", parts[0]);
    conform(path, text, BLK_O_NO_FLUSH);             /* what flushes are for is test-crash.c's; the host's disk need not be waited for */
    check_clean(path);
    if (with_peer) {
        ask_peer(path, parts[0]);
    }
    teardown();
}

/*
 * Subclusters of one cluster that are written at once, over a file whose bytes the rest of each keeps: 64 requests in flight that share
 * subclusters and clusters; half of them after a snapshot, so that clusters move meanwhile.
 */
enum { PART = 1536, PARTS = SIZE / PART, AT_ONCE = 64 };

typedef struct {
    BlkReq req;
    struct iovec iov;
    uint8_t buf[PART];
} PartReq;

static unsigned part_order[PARTS], part_next, part_end, parts_running;

static void part_issue(PartReq *r)
{
    unsigned part;

    do {
        if (part_next == part_end) {
            return;
        }
        part = part_order[part_next++];
    } while (part % 3 == 0);                    /* stays as it is below */
    memset(r->buf, part % 251 + 1, PART);
    memcpy(shadow + part * PART, r->buf, PART);
    r->req.off = part * PART;
    parts_running++;
    blk_submit(&r->req);
}

static void part_done(BlkReq *req, int result)
{
    g_assert_cmpint(result, ==, 0);
    parts_running--;
    part_issue(req->opaque);
}

static void write_parts(Blk *b, unsigned from, unsigned to)
{
    PartReq *r = g_new0(PartReq, AT_ONCE);

    part_next = from;
    part_end = to;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        r[i].iov = (struct iovec){ r[i].buf, PART };
        r[i].req = (BlkReq){ .blk = b, .op = BLK_WRITE, .len = PART, .iov = &r[i].iov, .iovcnt = 1, .done = part_done, .opaque = &r[i] };
        part_issue(&r[i]);
    }
    while (parts_running) {
        loop_step(loop, true);
    }
    g_free(r);
}

static void take_snapshot(void *opaque)
{
    BlkNode *n = *(BlkNode **)opaque;
    BlkSnapshot sn = { .name = (char *)"half" };

    g_assert_true(n->drv->image->snapshot_create(n, &sn, NULL));
    *(BlkNode **)opaque = NULL;
}

static void test_parts(gconstpointer opaque)
{
    g_autofree char *base = NULL, *path = NULL, *create = NULL;
    g_autoptr(Error) err = NULL;
    g_autoptr(Json) o = NULL;
    BlkNode *n;
    Blk *b;

    setup();
    base = file_of("below", SIZE);
    path = file_of("parts", 0);
    for (unsigned i = 0; i < SIZE; i++) {
        shadow[i] = i * 2654435761u >> 24;
    }
    g_assert_true(g_file_set_contents(base, (char *)shadow, SIZE, NULL));
    create = g_strdup_printf("{\"size\": %d, \"backing_file\": \"%s\", \"backing_fmt\": \"raw\", \"extended_l2\": true, \"cluster_size\": %d}", SIZE, base, GPOINTER_TO_INT(opaque));
    o = json_parse(create, strlen(create), NULL);
    g_assert_true(blk_create(session, blk_driver_find("qcow2"), path, o, &err));
    for (unsigned i = 0; i < PARTS; i++) {
        unsigned j = g_random_int_range(0, i + 1);

        part_order[i] = part_order[j];
        part_order[j] = i;
    }
    b = open_ok(path, "{\"driver\": \"qcow2\"}", BLK_O_RDWR | BLK_O_NO_FLUSH);
    write_parts(b, 0, PARTS / 2);
    verify(b);
    n = blk_node(b);
    fiber_start(take_snapshot, &n);
    while (n) {
        loop_step(loop, true);
    }
    write_parts(b, PARTS / 2, PARTS);
    verify(b);
    blk_free(b);
    b = open_ok(path, "{\"driver\": \"qcow2\"}", 0);
    verify(b);
    blk_free(b);
    check_clean(path);
    if (with_peer) {
        ask_peer(path, "qcow2");
    }
    teardown();
}

static void test_detect_zeroes(void)
{
    g_autofree char *path = NULL;
    g_autofree uint8_t *zero = g_malloc0(262144);
    g_autoptr(Error) err = NULL;
    Json *o = json_object();
    BlkExtent e;
    Blk *b;

    setup();
    path = file_of("detect", 0);
    json_set_uint(o, "size", SIZE);
    g_assert_true(blk_create(session, blk_driver_find("qcow2"), path, o, NULL));
    json_unref(o);
    conform(path, "{\"driver\": \"qcow2\", \"detect-zeroes\": \"on\"}", BLK_O_NO_FLUSH);
    b = open_ok(path, "{\"driver\": \"qcow2\", \"detect-zeroes\": \"on\"}", BLK_O_RDWR);
    g_assert_cmpint(blk_write(b, 65536, zero, 262144, 0), ==, 0);
    for (uint64_t at = 65536; at < 65536 + 262144; at += e.len) {
        g_assert_cmpint(blk_status(b, at, 65536 + 262144 - at, false, &e), ==, 0);
        g_assert_true(e.len && (e.flags & BLK_EXT_ZERO));
    }
    blk_free(b);
    g_assert_null(blk_open(session, path, json_parse("{\"detect-zeroes\": \"unmap\"}", 26, NULL), 0, 0, BLK_PERM_ALL, &err));
    teardown();
}

static void test_direct(void)
{
    g_autofree char *path = NULL;
    Error *err = NULL;
    Blk *b;

    setup();
    path = file_of("direct", SIZE);
    b = blk_open(session, path, json_parse("{\"driver\": \"raw\"}", 17, NULL), BLK_O_DIRECT, BLK_PERM_READ, BLK_PERM_ALL, &err);
    if (!b) {
        g_test_skip("no direct I/O here");
        error_free(err);
    } else {
        blk_free(b);
        conform(path, "{\"driver\": \"raw\"}", BLK_O_DIRECT);
    }
    teardown();
}

/* ---- null ---- */

static int submitted;

static void null_done(BlkReq *req, int result)
{
    int *left = req->opaque;

    g_assert_cmpint(result, ==, 0);
    if (--*left > 0) {
        submitted++;
        blk_submit(req);                        /* from done(), again and again, on a bounded stack */
        submitted--;
        g_assert_cmpint(submitted, ==, 0);
    }
}

static void test_null(void)
{
    Blk *b;
    int left = 100000;
    BlkReq req = { .op = BLK_FLUSH, .done = null_done, .opaque = &left };
    uint8_t buf[512];

    setup();
    b = open_ok("null-co://", "{\"driver\": \"raw\"}", BLK_O_RDWR);
    g_assert_cmpuint(blk_size(b), ==, 1u << 30);
    req.blk = b;
    blk_submit(&req);
    g_assert_cmpint(left, ==, 100000);          /* never from inside */
    while (left) {
        loop_step(loop, true);
    }
    g_assert_cmpint(blk_read(b, blk_size(b) - 511, buf, 512, 0), ==, -EIO);
    g_assert_cmpint(blk_read(b, UINT64_MAX - 100, buf, 512, 0), ==, -EIO);
    blk_free(b);
    b = open_ok("null-co://", "{\"driver\": \"raw\"}", 0);
    g_assert_cmpint(blk_write(b, 0, buf, 512, 0), ==, -EPERM);
    blk_free(b);
    teardown();
}

/* ---- drain ---- */

static int done_count;

static void count_done(BlkReq *req, int result)
{
    g_assert_cmpint(result, ==, 0);
    __atomic_fetch_add(&done_count, 1, __ATOMIC_SEQ_CST);
}

static void test_drain(void)
{
    LoopThread *t;
    BlkReq req[20] = {};
    Blk *b;

    setup();
    t = loop_thread_new("io");
    b = open_ok(NULL, "{\"driver\": \"null-aio\", \"latency-ns\": 2000000}", BLK_O_RDWR);
    done_count = 0;
    for (int i = 0; i < 20; i++) {
        req[i] = (BlkReq){ .blk = b, .op = BLK_FLUSH, .done = count_done, .loop = i & 1 ? loop_thread_loop(t) : NULL };
        if (i == 10) {
            blk_drain_begin(b);
            blk_drain_begin(b);
            g_assert_cmpint(blk_in_flight(b), ==, 0);
        }
        blk_submit(&req[i]);
    }
    g_usleep(10000);
    while (loop_step(loop, false)) {
    }
    g_assert_cmpint(__atomic_load_n(&done_count, __ATOMIC_SEQ_CST), <=, 10);
    blk_drain_end(b);
    blk_drain_end(b);
    while (__atomic_load_n(&done_count, __ATOMIC_SEQ_CST) < 20) {
        loop_step(loop, false);
    }
    loop_thread_free(t);
    blk_free(b);
    teardown();
}

/* From a thread that has no loop. */
static void *plain_thread(void *opaque)
{
    char buf[512] = "x";

    g_assert_cmpint(blk_write(opaque, 0, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpint(blk_flush(opaque), ==, 0);
    __atomic_store_n(&done_count, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_plain_thread(void)
{
    g_autofree char *path = NULL;
    GThread *t;
    Blk *b;

    setup();
    path = file_of("plain", SIZE);
    b = open_ok(path, "{\"driver\": \"raw\"}", BLK_O_RDWR);
    done_count = 0;
    t = g_thread_new("plain", plain_thread, b);
    while (!__atomic_load_n(&done_count, __ATOMIC_SEQ_CST)) {
        loop_step(loop, false);
    }
    g_thread_join(t);
    blk_free(b);
    teardown();
}

/* ---- permissions and locks ---- */

static void test_perm(void)
{
    g_autofree char *path = NULL;
    g_autoptr(Error) err = NULL, err2 = NULL;
    BlkNode *n;
    Blk *a, *b;

    setup();
    path = file_of("perm", SIZE);
    n = blk_node_open(session, path, json_parse("{\"driver\": \"raw\", \"node-name\": \"x\"}", 35, NULL), BLK_O_RDWR, NULL);
    g_assert_true(blk_node_find(session, "x") == n);
    a = blk_new(session, "a", BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ, NULL);
    b = blk_new(session, "b", BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, NULL);
    g_assert_null(blk_new(session, "a", 0, 0, &err));
    g_assert_cmpstr(error_message(err), ==, "Duplicate ID 'a' for drive");
    g_assert_true(blk_insert(a, n, NULL));
    g_assert_false(blk_insert(b, n, &err2));
    g_assert_nonnull(strstr(error_message(err2), "write"));
    g_assert_true(blk_set_perm(b, BLK_PERM_READ, BLK_PERM_ALL, NULL));
    g_assert_true(blk_insert(b, n, NULL));
    blk_node_unref(n);
    blk_free(a);
    blk_free(b);
    g_assert_null(blk_node_find(session, "x"));
    teardown();
}

static void test_lock(void)
{
    g_autofree char *path = NULL;
    g_autoptr(Error) err = NULL;
    Blk *a, *b;

    setup();
    path = file_of("lock", SIZE);
    a = blk_open(session, path, json_parse("{\"driver\": \"raw\"}", 17, NULL), BLK_O_RDWR, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ, NULL);
    g_assert_nonnull(a);
    b = blk_open(session, path, json_parse("{\"driver\": \"raw\"}", 17, NULL), BLK_O_RDWR, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ, &err);
    g_assert_null(b);
    g_assert_cmpstr(error_message(err), ==, "Failed to get \"write\" lock");
    g_assert_nonnull(strstr(error_hint_text(err), "Is another process using the image ["));
    b = open_ok(path, "{\"driver\": \"raw\", \"force-share\": true}", 0);
    blk_free(b);
    blk_free(a);
    teardown();
}

int main(int argc, char **argv)
{
    static const char *const formats[] = {
        "qcow2", "qcow2 compat=0.10", "qcow2 cluster_size=512", "qcow2 cluster_size=2097152", "qcow2 refcount_bits=1", "qcow2 refcount_bits=64 lazy_refcounts=on",
        "qcow2 preallocation=metadata", "qcow2 extended_l2=on", "vdi", "vdi static=on", "parallels", "parallels cluster_size=65536", "parallels cluster_size=12288",
        "vpc force_size=on", "vpc force_size=on subformat=fixed", "qed", "qed cluster_size=4096 table_size=2", "qcow", "vmdk", "vmdk zeroed_grain=on", "vmdk subformat=twoGbMaxExtentSparse",
        "vmdk subformat=monolithicFlat", "vmdk subformat=streamOptimized", "vhdx", "vhdx block_size=1048576", "vhdx subformat=fixed",
    };

    g_test_init(&argc, &argv, NULL);
    with_peer = argc > 1 && !strcmp(argv[1], "peer");
    dir = g_dir_make_tmp("block-XXXXXX", NULL);
    g_test_add_func("/block/null", test_null);
    g_test_add_data_func("/block/raw/default", "", test_raw);
    g_test_add_data_func("/block/raw/threads", ", \"aio\": \"threads\"", test_raw);
    g_test_add_func("/block/raw/direct", test_direct);
    g_test_add_func("/block/raw/offset", test_offset);
    g_test_add_func("/block/detect-zeroes", test_detect_zeroes);
    g_test_add_func("/block/drain", test_drain);
    g_test_add_func("/block/plain-thread", test_plain_thread);
    g_test_add_func("/block/perm", test_perm);
    g_test_add_func("/block/lock", test_lock);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats) && blk_driver_find("qcow2"); i++) {
        g_autofree char *name = g_strdup_printf("/block/format/%s", formats[i]);
        g_test_add_data_func(name, formats[i], test_format);
    }
    for (unsigned cluster = 16384; cluster <= 2097152 && blk_driver_find("qcow2"); cluster *= 2) {
        g_autofree char *name = g_strdup_printf("/block/subclusters/%u", cluster);
        g_test_add_data_func(name, GINT_TO_POINTER(cluster), test_parts);
    }
    int r = g_test_run();
    g_autofree char *clean = g_strdup_printf("rm -rf '%s'", dir);
    if (system(clean)) {
        return 1;
    }
    g_free(dir);
    return r;
}
