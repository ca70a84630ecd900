/* SPDX-License-Identifier: MIT */
/* Filters: each passes the workload, and does what it is for. */
#include "tests/block/conform.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"
#include "block/range-lock.h"
#include "util/bswap.h"

#define FILE_OF "{\"driver\": \"file\", \"filename\": \"%s\"}"

static char *qcow2_of(const char *name, const char *options)
{
    char *path = g_build_filename(dir, name, NULL);
    Json *o = json_parse(options, strlen(options), NULL);
    Error *err = NULL;

    unlink(path);
    if (!blk_create(session, blk_driver_find("qcow2"), path, o, &err)) {
        g_error("%s", error_message(err));
    }
    json_unref(o);
    return path;
}

static char *open_fails(const char *options)
{
    Error *err = NULL;
    Blk *b = blk_open(session, NULL, json_parse(options, strlen(options), NULL), BLK_O_RDWR, BLK_PERM_READ, BLK_PERM_ALL, &err);
    char *text;

    g_assert_null(b);
    text = g_strdup(error_message(err));
    error_free(err);
    return text;
}

/* ---- compress ---- */

static void compress(void)
{
    g_autofree char *path = NULL, *text = NULL, *no = NULL;
    uint8_t a[100000];
    BlkExtent e;
    Blk *b;

    setup();
    path = qcow2_of("c.qcow2", "{\"size\": 4194304}");
    text = g_strdup_printf("{\"driver\": \"compress\", \"file\": {\"driver\": \"qcow2\", \"file\": " FILE_OF "}}", path);
    b = open_ok(NULL, text, BLK_O_RDWR);
    memset(a, 7, sizeof(a));
    g_assert_cmpint(blk_write(b, 70000, a, sizeof(a), 0), ==, 0);
    g_assert_cmpint(blk_status(b, 131072, 1, false, &e), ==, 0);
    g_assert_true(e.flags & BLK_EXT_COMPRESSED);
    blk_free(b);
    g_free(path);
    path = qcow2_of("c.qcow2", "{\"size\": 4194304}");
    conform(NULL, text, 0);
    no = open_fails("{\"driver\": \"compress\", \"file\": {\"driver\": \"null-co\"}}");
    g_assert_cmpstr(no, ==, "'null-co' does not support compression");
    teardown();
}

/* ---- preallocate ---- */

static void preallocate(void)
{
    g_autofree char *path = NULL, *text = NULL, *q = NULL, *over = NULL;
    uint8_t a[512] = { 1 };
    Blk *b, *file;

    setup();
    path = file_of("p", SIZE);
    text = g_strdup_printf("{\"driver\": \"preallocate\", \"prealloc-size\": \"1M\", \"prealloc-align\": \"64k\", \"file\": " FILE_OF "}", path);
    conform(NULL, text, 0);
    q = qcow2_of("p.qcow2", "{\"size\": 4194304}");
    over = g_strdup_printf("{\"driver\": \"qcow2\", \"file\": {\"driver\": \"preallocate\", \"prealloc-size\": \"1M\", \"file\": {\"driver\": \"file\", "
                           "\"node-name\": \"f\", \"filename\": \"%s\"}}}", q);
    b = open_ok(NULL, over, BLK_O_RDWR);
    g_assert_cmpint(blk_write(b, 0, a, sizeof(a), 0), ==, 0);
    g_assert_cmpuint(blk_node_size(blk_node_find(session, "f")), >=, 1 << 20);
    g_assert_cmpuint(blk_node_size(blk_node_find(session, "f")) % (1 << 20), ==, 0);
    blk_free(b);
    file = open_ok(q, "{\"driver\": \"file\"}", 0);
    g_assert_cmpuint(blk_size(file), <, 1 << 20);           /* the rest was cut off */
    blk_free(file);
    g_free(q);
    q = qcow2_of("p.qcow2", "{\"size\": 4194304}");
    conform(NULL, over, 0);
    teardown();
}

/* ---- copy-on-read ---- */

static void copy_on_read(void)
{
    g_autofree char *base = NULL, *mid = NULL, *top = NULL, *text = NULL, *o = NULL, *no = NULL;
    g_autofree uint8_t *a = g_malloc(SIZE);
    BlkExtent e;
    Blk *b;

    setup();
    base = file_of("base", SIZE);
    b = open_ok(base, "{\"driver\": \"raw\"}", BLK_O_RDWR);
    for (unsigned i = 0; i < SIZE; i++) {
        a[i] = (uint8_t)(i >> 12);
    }
    g_assert_cmpint(blk_write(b, 0, a, SIZE, 0), ==, 0);
    blk_free(b);
    o = g_strdup_printf("{\"size\": 4194304, \"backing_file\": \"%s\", \"backing_fmt\": \"raw\"}", base);
    mid = qcow2_of("mid.qcow2", o);
    b = open_ok(mid, NULL, BLK_O_RDWR);
    memset(a + 65536, 0xee, 65536);
    g_assert_cmpint(blk_write(b, 65536, a + 65536, 65536, 0), ==, 0);
    blk_free(b);
    g_free(o);
    o = g_strdup_printf("{\"size\": 4194304, \"backing_file\": \"%s\", \"backing_fmt\": \"qcow2\"}", mid);
    top = qcow2_of("top.qcow2", o);
    /* only what lies in mid comes up */
    text = g_strdup_printf("{\"driver\": \"copy-on-read\", \"bottom\": \"m\", \"file\": {\"driver\": \"qcow2\", \"node-name\": \"t\", \"file\": " FILE_OF
                           ", \"backing\": {\"driver\": \"qcow2\", \"node-name\": \"m\", \"file\": " FILE_OF "}}}", top, mid);
    memcpy(shadow, a, SIZE);
    b = open_ok(NULL, text, BLK_O_RDWR);
    verify(b);
    blk_free(b);
    b = open_ok(top, NULL, BLK_O_RDWR);
    g_assert_cmpint(blk_status(b, 0, SIZE, false, &e), ==, 0);
    g_assert_false(e.flags & BLK_EXT_ALLOCATED);
    g_assert_cmpuint(e.len, ==, 65536);
    g_assert_cmpint(blk_status(b, 65536, SIZE - 65536, false, &e), ==, 0);
    g_assert_true(e.flags & BLK_EXT_ALLOCATED);
    g_assert_cmpuint(e.len, ==, 65536);
    blk_free(b);
    /* everything, while others write */
    g_free(text);
    text = g_strdup_printf("{\"driver\": \"copy-on-read\", \"file\": {\"driver\": \"qcow2\", \"file\": " FILE_OF "}}", top);
    b = open_ok(NULL, text, BLK_O_RDWR);
    workload(b, 3, false);
    verify(b);
    blk_free(b);
    b = open_ok(top, NULL, 0);
    for (uint64_t off = 0; off < SIZE; off += e.len) {
        g_assert_cmpint(blk_status(b, off, SIZE - off, false, &e), ==, 0);
        g_assert_true(e.flags & BLK_EXT_ALLOCATED);
    }
    verify(b);
    blk_free(b);
    no = open_fails("{\"driver\": \"copy-on-read\", \"bottom\": \"x\", \"file\": {\"driver\": \"null-co\"}}");
    g_assert_cmpstr(no, ==, "Bottom node 'x' not found");
    teardown();
}

/* ---- quorum ---- */

static char *quorum_text(const char *more, char **paths, unsigned n)
{
    GString *s = g_string_new(NULL);

    g_string_printf(s, "{\"driver\": \"quorum\", %s, \"children\": [", more);
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(s, "%s{\"driver\": \"raw\", \"file\": " FILE_OF "}", i ? ", " : "", paths[i]);
    }
    g_string_append(s, "]}");
    return g_string_free(s, FALSE);
}

static void spoil(const char *path, uint64_t off)
{
    Blk *b = open_ok(path, "{\"driver\": \"raw\"}", BLK_O_RDWR);
    uint8_t x[512] = { 0x99 };

    g_assert_cmpint(blk_write(b, off, x, sizeof(x), 0), ==, 0);
    blk_free(b);
}

static void quorum(void)
{
    char *paths[3];
    g_autofree char *text = NULL, *fix = NULL, *fifo = NULL, *no = NULL, *few = NULL;
    Blk *b;

    setup();
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("q%u", i);
        paths[i] = file_of(name, SIZE);
    }
    text = quorum_text("\"vote-threshold\": 2", paths, 3);
    conform(NULL, text, 0);
    spoil(paths[1], 4096);
    b = open_ok(NULL, text, BLK_O_RDWR);
    verify(b);
    blk_free(b);
    fix = quorum_text("\"vote-threshold\": 2, \"rewrite-corrupted\": true", paths, 3);
    b = open_ok(NULL, fix, BLK_O_RDWR);
    verify(b);
    blk_free(b);
    for (unsigned i = 0; i < 3; i++) {
        b = open_ok(paths[i], "{\"driver\": \"raw\"}", 0);
        verify(b);
        blk_free(b);
    }
    /* nobody has a majority */
    spoil(paths[0], 8192);
    spoil(paths[1], 8193);
    b = open_ok(NULL, text, 0);
    {
        uint8_t x[512];

        g_assert_cmpint(blk_read(b, 8192, x, 512, 0), ==, -EIO);
        g_assert_cmpint(blk_read(b, 0, x, 512, 0), ==, 0);
    }
    blk_free(b);
    fifo = quorum_text("\"vote-threshold\": 1, \"read-pattern\": \"fifo\"", paths + 2, 1);
    b = open_ok(NULL, fifo, 0);
    verify(b);
    blk_free(b);
    few = quorum_text("\"vote-threshold\": 4", paths, 3);
    no = open_fails(few);
    g_assert_cmpstr(no, ==, "threshold may not exceed children count");
    for (unsigned i = 0; i < 3; i++) {
        g_free(paths[i]);
    }
    teardown();
}

/* ---- blkdebug ---- */

static void blkdebug(void)
{
    g_autofree char *path = NULL, *plain = NULL, *rules = NULL, *no = NULL;
    uint8_t a[512] = { 0 };
    Blk *b;

    setup();
    path = file_of("d", SIZE);
    plain = g_strdup_printf("{\"driver\": \"blkdebug\", \"image\": " FILE_OF "}", path);
    conform(NULL, plain, 0);
    rules = g_strdup_printf("{\"driver\": \"blkdebug\", \"image\": " FILE_OF ", \"inject-error\": ["
                            "{\"event\": \"none\", \"iotype\": \"write\", \"sector\": 8, \"errno\": 28, \"once\": true},"
                            "{\"event\": \"read_aio\", \"state\": 2, \"errno\": 5}],"
                            "\"set-state\": [{\"event\": \"flush_to_disk\", \"state\": 1, \"new_state\": 2}]}", path);
    b = open_ok(NULL, rules, BLK_O_RDWR);
    g_assert_cmpint(blk_write(b, 0, a, 512, 0), ==, 0);
    g_assert_cmpint(blk_read(b, 4096, a, 512, 0), ==, 0);
    g_assert_cmpint(blk_write(b, 4096, a, 512, 0), ==, -ENOSPC);
    g_assert_cmpint(blk_write(b, 4096, a, 512, 0), ==, 0);
    g_assert_cmpint(blk_read(b, 0, a, 512, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    g_assert_cmpint(blk_read(b, 0, a, 512, 0), ==, -EIO);
    blk_free(b);
    no = open_fails("{\"driver\": \"blkdebug\", \"image\": {\"driver\": \"null-co\"}, \"inject-error\": [{\"event\": \"l1_update\"}]}");
    g_assert_true(g_str_has_prefix(no, "inject-error: Parameter 'event' does not accept value 'l1_update'"));
    g_free(no);
    no = open_fails("{\"driver\": \"blkdebug\", \"image\": {\"driver\": \"null-co\"}, \"set-state\": [{\"event\": \"none\", \"new_state\": 1, \"errno\": 5}]}");
    g_assert_true(g_str_has_prefix(no, "set-state: "));
    teardown();
}

/* ---- blklogwrites ---- */

/* The log, played over zeroes, is the disk. */
static uint64_t replay(const char *path, uint64_t *flushes)
{
    g_autofree char *log = NULL;
    g_autofree uint8_t *disk = g_malloc0(SIZE);
    uint64_t entries, at = 512;
    gsize len;

    g_assert_true(g_file_get_contents(path, &log, &len, NULL));
    g_assert_cmphex(ldq_le_p(log), ==, 0x6a736677736872);
    g_assert_cmpuint(ldq_le_p(log + 8), ==, 1);
    g_assert_cmpuint(ldl_le_p(log + 24), ==, 512);
    entries = ldq_le_p(log + 16);
    *flushes = 0;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t sector = ldq_le_p(log + at), n = ldq_le_p(log + at + 8), flags = ldq_le_p(log + at + 16);

        g_assert_cmpuint(at + 512 + n * 512, <=, len);
        *flushes += flags & 1;
        at += 512;
        if (!(flags & 4)) {
            memcpy(disk + sector * 512, log + at, n * 512);
            at += n * 512;
        }
    }
    g_assert_cmpint(memcmp(disk, shadow, SIZE), ==, 0);
    return entries;
}

static void blklogwrites(void)
{
    g_autofree char *path = NULL, *log = NULL, *text = NULL, *more = NULL;
    uint64_t flushes, before, entries;
    Blk *b;

    setup();
    path = file_of("w", SIZE);
    log = file_of("w.log", 0);
    text = g_strdup_printf("{\"driver\": \"blklogwrites\", \"file\": " FILE_OF ", \"log\": " FILE_OF "}", path, log);
    b = open_ok(NULL, text, BLK_O_RDWR);
    workload(b, 1, true);
    verify(b);
    g_assert_cmpint(blk_flush(b), ==, 0);
    blk_free(b);
    entries = replay(log, &before);
    g_assert_cmpuint(entries, >, 100);
    g_assert_cmpuint(before, >, 0);
    more = g_strdup_printf("{\"driver\": \"blklogwrites\", \"log-append\": true, \"file\": " FILE_OF ", \"log\": " FILE_OF "}", path, log);
    b = open_ok(NULL, more, BLK_O_RDWR);
    memset(shadow + 1024, 0x42, 512);
    g_assert_cmpint(blk_write(b, 1024, shadow + 1024, 512, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    blk_free(b);
    g_assert_cmpuint(replay(log, &flushes), ==, entries + 2);
    g_assert_cmpuint(flushes, ==, before + 1);
    teardown();
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("rhea-filter-XXXXXX", NULL);
    g_test_add_func("/filter/compress", compress);
    g_test_add_func("/filter/preallocate", preallocate);
    g_test_add_func("/filter/copy-on-read", copy_on_read);
    g_test_add_func("/filter/quorum", quorum);
    g_test_add_func("/filter/blkdebug", blkdebug);
    g_test_add_func("/filter/blklogwrites", blklogwrites);
    status = g_test_run();
    {
        g_autofree char *command = g_strdup_printf("rm -rf %s", dir);
        g_assert_cmpint(system(command), ==, 0);
    }
    g_free(dir);
    return status;
}
