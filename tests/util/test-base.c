/* SPDX-License-Identifier: MIT */
/* bits, byte order, sizes, nearest names, files in memory, rows in sections */
#include "util/bits.h"
#include "util/bswap.h"
#include "util/error.h"
#include "util/filemap.h"
#include "util/lsection.h"
#include "util/size.h"
#include "util/suggest.h"

#include <string.h>
#include <unistd.h>

static void test_bits(void)
{
    g_assert_cmphex(extract64(0x123456789abcdef0, 60, 4), ==, 1);
    g_assert_cmphex(extract64(~0ull, 0, 64), ==, ~0ull);
    g_assert_cmpint(sextract64(0x80, 4, 4), ==, -8);
    g_assert_cmpint(sextract32(0x70, 4, 4), ==, 7);
    g_assert_cmphex(deposit32(0xffffffff, 8, 8, 0x12), ==, 0xffff12ff);
    g_assert_cmphex(deposit64(0, 63, 1, 3), ==, 1ull << 63);
    g_assert_cmpint(sext64(0xfff, 12), ==, -1);
    g_assert_cmpuint(ctz64(0), ==, 64);
    g_assert_cmpuint(clz32(0), ==, 32);
    g_assert_cmpuint(clz32(1), ==, 31);
    g_assert_cmphex(pow2_ceil(0), ==, 1);
    g_assert_cmphex(pow2_ceil(4096), ==, 4096);
    g_assert_cmphex(pow2_ceil(4097), ==, 8192);
    g_assert_cmphex(pow2_ceil(~0ull), ==, 0);
    g_assert_cmphex(ALIGN_UP(0x1001ull, 0x1000), ==, 0x2000);
    g_assert_cmphex(ALIGN_DOWN(0x1fffu, 0x1000), ==, 0x1000);
    g_assert_cmphex(bitrev32(1), ==, 0x80000000);
    g_assert_cmphex(bitrev64(0x8000000000000001), ==, 0x8000000000000001);
    g_assert_cmphex(ror32(1, 1), ==, 0x80000000);
    g_assert_cmphex(rol64(1, 0), ==, 1);
}

static void test_bswap(void)
{
    uint8_t b[9] = { 0xff, 0x81, 2, 3, 4, 5, 6, 7, 8 };

    g_assert_cmphex(lduw_le_p(b + 1), ==, 0x0281);
    g_assert_cmphex(lduw_be_p(b + 1), ==, 0x8102);
    g_assert_cmphex(ldl_be_p(b + 1), ==, 0x81020304);
    g_assert_cmphex(ldq_le_p(b + 1), ==, 0x0807060504030281);
    g_assert_cmpint(ldsw_be_p(b + 1), ==, (int16_t)0x8102);
    g_assert_cmphex(ldn_le_p(b + 1, 1), ==, 0x81);
    stl_be_p(b + 1, 0x11223344);
    g_assert_cmphex(b[1], ==, 0x11);
    stn_le_p(b + 5, 2, 0xaabbcc);
    g_assert_cmphex(b[5], ==, 0xcc);
    g_assert_cmphex(b[7], ==, 7);
}

static void size_is(const char *text, uint64_t unit, uint64_t want)
{
    uint64_t v = 1;

    g_assert_true(size_parse(text, unit, &v, NULL));
    g_assert_cmpuint(v, ==, want);
}

static void test_size(void)
{
    static const char *const bad[] = { "", "k", "1kk", "-1", "1.", "16E", "18446744073709551616", "1e3", "1.5e3", " 1", "0x", NULL };

    size_is("512", 1, 512);
    size_is("128", MiB, 128 * MiB);
    size_is("1.5G", MiB, 3 * GiB / 2);
    size_is("0x10k", 1, 16384);
    size_is("15E", 1, 15ull << 60);
    for (int i = 0; bad[i]; i++) {
        uint64_t v = 7;
        Error *err = NULL;

        g_assert_false(size_parse(bad[i], 1, &v, &err));
        g_assert_cmpuint(v, ==, 7);
        g_assert_nonnull(strstr(error_message(err), "is not a size"));
        error_free(err);
    }
}

static void test_numbers(void)
{
    uint64_t u;
    int64_t i;
    bool b;

    g_assert_true(number_parse_u64("18446744073709551615", &u, NULL) && u == UINT64_MAX);
    g_assert_false(number_parse_u64("18446744073709551616", &u, NULL));
    g_assert_false(number_parse_u64("-1", &u, NULL));
    g_assert_true(number_parse_i64("-0x10", &i, NULL) && i == -16);
    g_assert_false(number_parse_i64("1x", &i, NULL));
    g_assert_true(bool_parse("off", &b, NULL) && !b);
    g_assert_false(bool_parse("ON", &b, NULL));
}

static void test_size_text(void)
{
    static const struct { uint64_t v; const char *text; } rows[] = {
        { 0, "0 B" }, { 512, "512 B" }, { 1024, "1 KiB" }, { 10 * GiB, "10 GiB" }, { 1536 * KiB, "1.5 MiB" }, { 1000, "0.977 KiB" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *text = size_text(rows[i].v);

        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

static void test_suggest(void)
{
    static const char *const names[] = { "virtio-net-pci", "virtio-rng-pci", "virtio-blk-pci", "e1000", "virtio-net-device", NULL };
    Suggest *s = suggest_new("virtio_nte-pci");
    g_autofree char *near = NULL, *far = NULL;

    for (int i = 0; names[i]; i++) {
        suggest_add(s, names[i]);
    }
    near = suggest_text(s);
    g_assert_cmpstr(near, ==, "'virtio-net-pci'");
    s = suggest_new("zzz");
    suggest_add(s, "e1000");
    far = suggest_text(s);
    g_assert_null(far);
}

static void test_filemap(void)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("filemapXXXXXX", &name, NULL);
    FileMap *map;
    Error *err = NULL;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    map = file_map(name, NULL);
    g_assert_true(map && map->data && !map->size);
    file_map_free(map);
    g_assert_true(g_file_set_contents(name, "hello", 5, NULL));
    map = file_map(name, NULL);
    g_assert_cmpmem(map->data, map->size, "hello", 5);
    file_map_free(map);
    unlink(name);
    g_assert_null(file_map(name, &err));
    g_assert_true(g_str_has_prefix(error_message(err), "Could not open '"));
    error_free(err);
    err = NULL;
    g_assert_null(file_map("/", &err));
    g_assert_nonnull(strstr(error_message(err), "Is a directory"));
    error_free(err);
}

typedef struct { int v; } Row;
static const Row row_a = { 1 }, row_b = { 2 };
ROW_IN_SECTION(test_rows, Row, row_a);
ROW_IN_SECTION(test_rows, Row, row_b);
ROWS_DECLARE(test_rows, Row);
ROWS_DECLARE(test_no_rows, Row);

static void test_rows(void)
{
    int sum = 0;

    ROWS_FOREACH(test_rows, Row, r) {
        sum += r->v;
    }
    ROWS_FOREACH(test_no_rows, Row, r) {
        sum += r->v + 100;
    }
    g_assert_cmpint(sum, ==, 3);
    g_assert_cmpuint(ROWS_COUNT(test_rows), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/util/bits", test_bits);
    g_test_add_func("/util/bswap", test_bswap);
    g_test_add_func("/util/size", test_size);
    g_test_add_func("/util/numbers", test_numbers);
    g_test_add_func("/util/size-text", test_size_text);
    g_test_add_func("/util/suggest", test_suggest);
    g_test_add_func("/util/filemap", test_filemap);
    g_test_add_func("/util/rows", test_rows);
    return g_test_run();
}
