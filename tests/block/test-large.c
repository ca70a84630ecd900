/* SPDX-License-Identifier: MIT */
/* Disks of terabytes with next to nothing in them: who asks or discards goes by tables, not by grains. */
#include "tests/block/conform.h"

#include <string.h>
#include <unistd.h>

#include "block/image.h"

typedef struct Large {
    const char *format;
    uint64_t size;
    bool drops;                     /* a grain that is discarded loses its place */
} Large;
#define TIB (1ull << 40)
static const Large larges[] = {
    { "vdi", 16 * TIB }, { "vmdk", 2 * TIB, true }, { "parallels", 16 * TIB, true }, { "vpc", 2040ull << 30 }, { "qed", 16 * TIB }, { "qcow", 16 * TIB, true }, { "vhdx", 16 * TIB, true },
    { "qcow2", 16 * TIB, true },
};
/* A look takes in 64 KiB of a table, or 4096 tables: never a step for each of the millions of grains. */
enum { LOOKS = 150 };

/* One look at the whole disk, then at what is left, ...: how often until its end, and how many of the parts hold data. */
static unsigned looks(Blk *b, unsigned *data)
{
    unsigned count = 0;
    BlkExtent e;

    *data = 0;
    for (uint64_t at = 0; at < blk_size(b); at += e.len) {
        g_assert_cmpint(blk_status(b, at, blk_size(b) - at, false, &e), ==, 0);
        *data += (e.flags & BLK_EXT_DATA) != 0;
        count++;
    }
    return count;
}

static void reads_as(Blk *b, uint64_t at, uint8_t byte)
{
    uint8_t buf[4096];

    g_assert_cmpint(blk_read(b, at, buf, sizeof(buf), 0), ==, 0);
    for (size_t i = 0; i < sizeof(buf); i++) {
        g_assert_cmpuint(buf[i], ==, byte);
    }
}

static void test_large(gconstpointer opaque)
{
    const Large *l = opaque;
    g_autofree char *path = NULL;
    g_autoptr(Json) o = json_object();
    uint64_t places[] = { 0, l->size / 3 / 4096 * 4096, l->size - 4096 };
    uint8_t buf[4096];
    unsigned data;
    Blk *b;

    setup();
    path = file_of(l->format, 0);
    json_set_uint(o, "size", l->size);
    g_assert_true(blk_create(session, blk_driver_find(l->format), path, o, NULL));
    b = open_ok(path, NULL, BLK_O_RDWR | BLK_O_UNMAP);
    g_assert_cmpuint(looks(b, &data), <=, LOOKS);
    g_assert_cmpuint(data, ==, 0);
    memset(buf, 0x5a, sizeof(buf));
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_assert_cmpint(blk_write(b, places[i], buf, sizeof(buf), 0), ==, 0);
    }
    g_assert_cmpuint(looks(b, &data), <=, LOOKS);
    g_assert_cmpuint(data, ==, 3);
    g_assert_cmpint(blk_discard(b, 4096, l->size - 8192), ==, 0);
    looks(b, &data);
    g_assert_cmpuint(data, ==, l->drops ? 2 : 3);
    g_assert_cmpint(blk_zeroes(b, 4096, l->size - 8192, BLK_MAY_UNMAP), ==, 0);
    reads_as(b, places[0], 0x5a);
    reads_as(b, places[0] + 4096, 0);
    reads_as(b, places[1], 0);
    reads_as(b, places[2] - 4096, 0);
    reads_as(b, places[2], 0x5a);
    blk_free(b);
    unlink(path);
    teardown();
}

int main(int argc, char **argv)
{
    int r;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("rhea-large-XXXXXX", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(larges); i++) {
        g_autofree char *path = g_strdup_printf("/block/large/%s", larges[i].format);

        g_test_add_data_func(path, &larges[i], test_large);
    }
    r = g_test_run();
    rmdir(dir);
    g_free(dir);
    return r;
}
