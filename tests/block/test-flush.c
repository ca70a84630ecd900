/* SPDX-License-Identifier: MIT */
/*
 * A host that could not write back what its page cache held says so once and then takes the pages for clean. A disk must not: after a failed
 * flush no flush succeeds until the file is opened anew. And each cache mode asks the host for what it promises, no more and no less.
 * fdatasync() and pwritev2() of this program are counted and fail by order.
 */
#include "tests/block/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/image.h"

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);

static int sync_error, write_error;     /* of the next call; 0: none */
static int syncs, writes, durable, directs;     /* calls; of the writes: that last when they return, past the page cache */

int __wrap_fdatasync(int fd)
{
    int e = __atomic_exchange_n(&sync_error, 0, __ATOMIC_SEQ_CST);

    __atomic_fetch_add(&syncs, 1, __ATOMIC_SEQ_CST);
    if (e) {
        errno = e;
        return -1;
    }
    return __real_fdatasync(fd);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    int e = __atomic_exchange_n(&write_error, 0, __ATOMIC_SEQ_CST);

    __atomic_fetch_add(&writes, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&durable, !!(flags & RWF_DSYNC), __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&directs, !!(fcntl(fd, F_GETFL) & O_DIRECT), __ATOMIC_SEQ_CST);
    if (e) {
        errno = e;
        return -1;
    }
    return __real_pwritev64v2(fd, iov, n, off, flags);
}

static uint8_t *bytes;                  /* aligned for direct I/O */

static Blk *open_file(const char *path, const char *driver)
{
    g_autofree char *o = g_strdup_printf("{\"driver\": \"%s\", \"file\": {\"driver\": \"file\", \"aio\": \"threads\", \"filename\": \"%s\"}}", driver, path);

    return open_ok(NULL, o, BLK_O_RDWR);
}

static int store(Blk *b, unsigned flags)
{
    return blk_write(b, 65536, bytes, 4096, flags);
}

static void stays(gconstpointer driver)
{
    g_autofree char *path = NULL;
    Json *o = json_object();
    Blk *b;

    setup();
    path = file_of("disk", SIZE);
    json_set_uint(o, "size", SIZE);
    g_assert_true(!strcmp(driver, "raw") || blk_create(session, blk_driver_find(driver), path, o, NULL));
    json_unref(o);
    b = open_file(path, driver);
    g_assert_cmpint(store(b, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    g_assert_cmpint(store(b, 0), ==, 0);
    sync_error = EIO;
    g_assert_cmpint(blk_flush(b), ==, -EIO);
    g_assert_cmpint(blk_flush(b), ==, -EIO);
    g_assert_cmpint(store(b, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, -EIO);
    g_assert_cmpint(store(b, BLK_FUA), ==, !strcmp(driver, "raw") ? 0 : -EIO);
    blk_free(b);
    b = open_file(path, driver);
    g_assert_cmpint(store(b, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    blk_free(b);
    unlink(path);
    teardown();
}

/* A write that was to last says the same of writes before it, unless it only found no space. */
static void written_through(void)
{
    g_autofree char *path = NULL;
    Blk *b;

    setup();
    path = file_of("disk", SIZE);
    b = open_file(path, "raw");
    write_error = ENOSPC;
    g_assert_cmpint(store(b, BLK_FUA), ==, -ENOSPC);
    g_assert_cmpint(store(b, BLK_FUA), ==, 0);
    g_assert_cmpint(store(b, 0), ==, 0);
    g_assert_cmpint(blk_flush(b), ==, 0);
    write_error = EIO;
    g_assert_cmpint(store(b, BLK_FUA), ==, -EIO);
    g_assert_cmpint(blk_flush(b), ==, -EIO);
    blk_free(b);
    unlink(path);
    teardown();
}

/* Past the page cache the disk itself is asked each time. */
static void direct(void)
{
    g_autofree char *path = NULL, *o = NULL;
    Error *err = NULL;
    Blk *b;
    int before;

    setup();
    path = file_of("disk", SIZE);
    o = g_strdup_printf("{\"driver\": \"raw\", \"cache\": {\"direct\": true}, \"file\": {\"driver\": \"file\", \"aio\": \"threads\", \"filename\": \"%s\"}}", path);
    b = blk_open(session, NULL, json_parse(o, strlen(o), NULL), BLK_O_RDWR, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, &err);
    if (!b) {
        g_test_skip("no direct I/O here");
        error_free(err);
    } else {
        g_assert_cmpint(store(b, 0), ==, 0);
        sync_error = EIO;
        g_assert_cmpint(blk_flush(b), ==, -EIO);
        before = syncs;
        g_assert_cmpint(blk_flush(b), ==, 0);
        g_assert_cmpint(syncs, ==, before + 1);
        blk_free(b);
    }
    unlink(path);
    teardown();
}

typedef struct Mode {
    const char *cache;
    bool through, direct;
    int syncs;                          /* of a flush after writes; -1: one or none */
} Mode;
static const Mode modes[] = {
    { "writeback", false, false, 1 }, { "none", false, true, 1 }, { "writethrough", true, false, -1 }, { "directsync", true, true, -1 }, { "unsafe", false, false, 0 },
};

static void mode(gconstpointer opaque)
{
    const Mode *m = opaque;
    g_autofree char *path = NULL, *o = NULL;
    unsigned flags = BLK_O_RDWR;
    Error *err = NULL;
    Blk *b;

    setup();
    path = file_of("disk", SIZE);
    o = g_strdup_printf("{\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"aio\": \"threads\", \"filename\": \"%s\"}}", path);
    g_assert_true(blk_cache_flags(m->cache, &flags, NULL));
    b = blk_open(session, NULL, json_parse(o, strlen(o), NULL), flags, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, &err);
    if (!b) {
        g_assert_true(m->direct);
        g_test_skip("no direct I/O here");
        error_free(err);
    } else {
        syncs = writes = durable = directs = 0;
        for (int i = 0; i < 3; i++) {
            g_assert_cmpint(store(b, 0), ==, 0);
        }
        g_assert_cmpint(writes, ==, 3);
        g_assert_cmpint(durable, ==, m->through ? 3 : 0);
        g_assert_cmpint(directs, ==, m->direct ? 3 : 0);
        g_assert_cmpint(syncs, ==, 0);
        g_assert_cmpint(blk_flush(b), ==, 0);
        g_assert_true(m->syncs < 0 ? syncs <= 1 : syncs == m->syncs);
        syncs = 0;
        g_assert_cmpint(blk_flush(b), ==, 0);       /* nothing was written since */
        g_assert_cmpint(syncs, ==, 0);
        durable = 0;
        g_assert_cmpint(store(b, BLK_FUA), ==, 0);
        g_assert_true(m->syncs == 0 || durable + syncs == 1);
        blk_free(b);
    }
    unlink(path);
    teardown();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("flush-XXXXXX", NULL);
    bytes = aligned_alloc(4096, 4096);
    memset(bytes, 0x5a, 4096);
    g_test_add_data_func("/flush/stays/raw", "raw", stays);
    g_test_add_data_func("/flush/stays/qcow2", "qcow2", stays);
    g_test_add_func("/flush/written-through", written_through);
    g_test_add_func("/flush/direct", direct);
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("/flush/mode/%s", modes[i].cache);

        g_test_add_data_func(name, &modes[i], mode);
    }
    ret = g_test_run();
    rmdir(dir);
    g_free(dir);
    free(bytes);
    return ret;
}
