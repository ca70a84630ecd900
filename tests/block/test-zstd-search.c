/* SPDX-License-Identifier: MIT */
/* The search for repetitions: what it finds comes back through the library, and is about as much as the library finds. */
#include "block/qcow2/zstd-search.h"

#include <glib.h>
#include <stdint.h>
#include <string.h>

typedef void Fill(uint8_t *buf, size_t len, GRand *rnd);

static void zeroes(uint8_t *buf, size_t len, GRand *rnd)
{
    memset(buf, 0, len);
}

static void noise(uint8_t *buf, size_t len, GRand *rnd)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = g_rand_int(rnd);
    }
}

static void periods(uint8_t *buf, size_t len, GRand *rnd)
{
    unsigned period = 1;

    for (size_t i = 0; i < len; i++) {
        if (i % 700 == 0) {
            period = 1 + g_rand_int(rnd) % 40;
        }
        buf[i] = i < period || g_rand_int(rnd) % 200 == 0 ? g_rand_int(rnd) : buf[i - period];
    }
}

static void words(uint8_t *buf, size_t len, GRand *rnd)
{
    for (size_t i = 0; i < len;) {
        unsigned word = g_rand_int(rnd) % 300;

        for (unsigned k = 0; k < 2 + word % 9 && i < len; k++) {
            buf[i++] = 'a' + (word * (k + 3) + k) % 26;
        }
        if (i < len) {
            buf[i++] = ' ';
        }
    }
}

/* Numbers in a row, as in tables: distances that come again and again. */
static void records(uint8_t *buf, size_t len, GRand *rnd)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = i % 24 < 4 ? (i / 24) >> (8 * (i % 24)) : i % 24 == 9 ? g_rand_int(rnd) : i % 24;
    }
}

static Fill *const kinds[] = { zeroes, noise, periods, words, records };

typedef struct {
    ZSTD_CCtx *ctx;
    ZstdSearch *search;
    GRand *rnd;
} Fixture;

static void set_up(Fixture *f, const void *opaque)
{
    f->ctx = ZSTD_createCCtx();
    f->search = zstd_search_new(f->ctx);
    f->rnd = g_rand_new_with_seed(9);
}

static void tear_down(Fixture *f, const void *opaque)
{
    zstd_search_free(f->search);
    ZSTD_freeCCtx(f->ctx);
    g_rand_free(f->rnd);
}

static size_t one(Fixture *f, const uint8_t *in, size_t len)
{
    g_autofree uint8_t *data = g_memdup2(in, len);          /* as long as it is: a sanitizer sees a read behind it */
    g_autofree uint8_t *out = g_malloc(ZSTD_compressBound(len)), *back = g_malloc(len);
    size_t r = zstd_search_compress(f->search, out, ZSTD_compressBound(len), data, len);

    g_assert_false(ZSTD_isError(r));
    g_assert_cmpuint(ZSTD_decompress(back, len, out, r), ==, len);
    g_assert_cmpmem(back, len, in, len);
    return r;
}

static void test_lengths(Fixture *f, const void *opaque)
{
    uint8_t buf[ZSTD_SEARCH_MAX];

    if (!f->search) {
        g_test_skip("this library's own search is used");
        return;
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        for (size_t len = 1; len <= sizeof(buf); len += 1 + (len > 100) * (g_rand_int(f->rnd) % len)) {
            kinds[k](buf, len, f->rnd);
            one(f, buf, len);
        }
    }
}

static void test_as_small(Fixture *f, const void *opaque)
{
    uint8_t buf[ZSTD_SEARCH_MAX], out[ZSTD_COMPRESSBOUND(ZSTD_SEARCH_MAX)];

    if (!f->search) {
        g_test_skip("this library's own search is used");
        return;
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        size_t ours = 0, library = 0;

        for (unsigned i = 0; i < 8; i++) {
            kinds[k](buf, sizeof(buf), f->rnd);
            ours += one(f, buf, sizeof(buf));
            library += ZSTD_compress(out, sizeof(out), buf, sizeof(buf), ZSTD_CLEVEL_DEFAULT);
        }
        g_test_message("kind %u: %zu bytes, the library %zu", k, ours, library);
        g_assert_cmpuint(ours, <=, library + library / 50 + 64);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/zstd-search/lengths", Fixture, NULL, set_up, test_lengths, tear_down);
    g_test_add("/zstd-search/as-small", Fixture, NULL, set_up, test_as_small, tear_down);
    return g_test_run();
}
