/* SPDX-License-Identifier: MIT */
/*
 * A write or flush of the host fails, once, at each point of a workload.
 *
 * Whatever fails, requests say so or succeed; the image opens afterwards and
 * has no corruption; and each sector holds what was last flushed with success
 * or something that was written after.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"
#include "tests/block/memdisk.h"

enum { DISK = 256 << 10, SECTORS = DISK / 512, OPS = 70, VERSIONS = 12 };

typedef struct {
    uint8_t flushed[SECTORS];
    uint8_t since[SECTORS][VERSIONS];
    uint8_t count[SECTORS];
    uint8_t maybe[SECTORS];             /* of a write that failed: done, or not, until one that succeeds is flushed */
    bool unsure[SECTORS], overwritten[SECTORS];
} Shadow;

static Shadow shadow;
static Loop *loop;
static GByteArray *base;

static void wrote(uint64_t first, uint64_t n, uint8_t value)
{
    for (uint64_t i = first; i < first + n; i++) {
        if (shadow.count[i] < VERSIONS) {
            shadow.since[i][shadow.count[i]++] = value;
        }
        shadow.overwritten[i] = true;
    }
}

static void failed(uint64_t first, uint64_t n, uint8_t value)
{
    for (uint64_t i = first; i < first + n; i++) {
        if (shadow.unsure[i]) {
            shadow.count[i] = VERSIONS;         /* two in a row: anything goes */
        }
        shadow.maybe[i] = value;
        shadow.unsure[i] = true;
        shadow.overwritten[i] = false;
    }
}

static void flushed(void)
{
    for (unsigned i = 0; i < SECTORS; i++) {
        if (shadow.count[i]) {
            shadow.flushed[i] = shadow.since[i][shadow.count[i] - 1];
            shadow.count[i] = 0;
            shadow.unsure[i] = shadow.unsure[i] && !shadow.overwritten[i];
        }
    }
}

static void do_write(Blk *b, GRand *rnd, uint8_t value)
{
    uint64_t first = g_rand_int_range(rnd, 0, SECTORS), n = 1 + g_rand_int_range(rnd, 0, 20);
    uint8_t buf[21 * 512];

    n = MIN(n, SECTORS - first);
    memset(buf, value, sizeof(buf));
    if (blk_write(b, first * 512, buf, n * 512, 0) == 0) {
        wrote(first, n, value);
    } else {
        failed(first, n, value);
    }
}

static void do_zero(Blk *b, GRand *rnd)
{
    uint64_t first = g_rand_int_range(rnd, 0, SECTORS - 16);

    if (blk_zeroes(b, first * 512, 16 * 512, BLK_MAY_UNMAP) == 0) {
        wrote(first, 16, 0);
    } else {
        failed(first, 16, 0);
    }
}

static void workload(Blk *b, unsigned seed)
{
    GRand *rnd = g_rand_new_with_seed(seed);

    for (unsigned i = 0; i < OPS; i++) {
        int what = g_rand_int_range(rnd, 0, 10);

        if (what < 6) {
            do_write(b, rnd, i + 1);
        } else if (what < 8) {
            do_zero(b, rnd);
        } else if (blk_flush(b) == 0 && what == 8) {
            flushed();          /* (every second flush is not relied on: a longer list of what may be) */
        }
    }
    g_rand_free(rnd);
}

static bool allowed(unsigned s, uint8_t value)
{
    if (value == shadow.flushed[s] || (shadow.unsure[s] && value == shadow.maybe[s])) {
        return true;
    }
    for (unsigned i = 0; i < shadow.count[s]; i++) {
        if (shadow.since[s][i] == value) {
            return true;
        }
    }
    return shadow.count[s] == VERSIONS;
}

static int check(unsigned point)
{
    Session *s = session_new();
    g_autofree uint8_t *all = g_malloc(DISK);
    Error *err = NULL;
    BlkCheck c = {};
    Blk *b = memdisk_open(s, "qcow2", 0, &err);
    int bad = 0;

    if (!b) {
        printf("# failure at %u: does not open: %s\n", point, error_message(err));
        error_free(err);
        session_free(s);
        return 1;
    }
    blk_check(b, &c);
    if (c.corruptions || c.check_errors) {
        printf("# failure at %u: %u corruptions\n", point, (unsigned)c.corruptions);
        bad++;
    }
    g_assert_cmpint(blk_read(b, 0, all, DISK, 0), ==, 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        if (!allowed(i, all[i * 512]) || memcmp(all + i * 512, all + i * 512 + 1, 511)) {
            bad++;
            printf("# failure at %u: sector %u holds %u, flushed %u\n", point, i, all[i * 512], shadow.flushed[i]);
            break;
        }
    }
    blk_free(b);
    session_free(s);
    return bad;
}

static unsigned run(int point, int error, unsigned seed)
{
    Session *s = session_new();
    Blk *b;
    unsigned ops;

    memset(&shadow, 0, sizeof(shadow));
    memdisk_set(base->data, base->len);
    b = memdisk_open(s, "qcow2", BLK_O_RDWR | BLK_O_UNMAP, NULL);
    g_assert_nonnull(b);
    memdisk_fail(point, error);
    workload(b, seed);
    blk_free(b);
    session_free(s);
    ops = memdisk_fail(-1, 0);
    return ops;
}

static void make_base(unsigned cluster)
{
    Session *s = session_new();
    g_autofree char *path = NULL;
    g_autoptr(Json) o = json_object();
    char *bytes;
    gsize len;
    int fd = g_file_open_tmp("errors-XXXXXX", &path, NULL);

    close(fd);
    json_set_uint(o, "size", DISK);
    json_set_uint(o, "cluster_size", cluster);
    g_assert_true(blk_create(s, blk_driver_find("qcow2"), path, o, NULL));
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    unlink(path);
    base = g_byte_array_new_take((guint8 *)bytes, len);
    session_free(s);
}

static void test_faults(gconstpointer cluster)
{
    unsigned all = 0;
    int bad = 0;

    make_base(GPOINTER_TO_UINT(cluster));
    for (unsigned seed = 1; seed <= 8; seed++) {
        unsigned points = run(-1, 0, seed);

        g_assert_cmpint(check(0), ==, 0);
        for (unsigned i = 0; i < points && bad < 5; i++) {
            run(i, i & 1 ? EIO : ENOSPC, seed);
            bad += check(i);
        }
        all += points;
    }
    printf("# %u points\n", all);
    g_assert_cmpint(bad, ==, 0);
    g_byte_array_unref(base);
    memdisk_clear();
}

int main(int argc, char **argv)
{
    int r;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new("errors");
    loop_attach(loop);
    g_test_add_data_func("/errors/qcow2/512", GUINT_TO_POINTER(512), test_faults);
    g_test_add_data_func("/errors/qcow2/4096", GUINT_TO_POINTER(4096), test_faults);
    g_test_add_data_func("/errors/qcow2/65536", GUINT_TO_POINTER(65536), test_faults);
    r = g_test_run();
    loop_free(loop);
    return r;
}
