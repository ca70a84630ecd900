/* SPDX-License-Identifier: MIT */
/* State tables and save files: round trips, versions, and every way a file can be bad. */
#include "migration/state.h"
#include "migration/stream.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/bits.h"

typedef struct Inner { uint16_t a; uint8_t b; } Inner;
typedef struct Thing {
    uint8_t u8; uint32_t u32; uint64_t u64; int64_t i64; bool flag;
    uint32_t arr[3][2];
    Inner in[2], *more;
    uint32_t nmore, len;
    uint8_t *bytes;
    uint32_t late, opt;
} Thing;

static const StateField inner_rows[] = { STATE_U16(Inner, a), STATE_U8(Inner, b), {} };
static const StateTable inner_table = { .name = "inner", .fields = inner_rows };
static bool opt_needed(const void *obj) { return ((const Thing *)obj)->opt != 5; }
static const StateField opt_rows[] = { STATE_U32(Thing, opt, .def = 5), {} };
static const StateTable opt_table = { .name = "opt", .fields = opt_rows, .needed = opt_needed };

#define COMMON_ROWS STATE_U8(Thing, u8, .max = 7), STATE_U32(Thing, u32), STATE_U64(Thing, u64, .keep = true), STATE_I64(Thing, i64), \
    STATE_BOOL(Thing, flag, .def = 1), STATE_ARRAY(Thing, arr, uint32_t), STATE_STRUCT_ARRAY(Thing, in, inner_table), \
    STATE_STRUCT_PTR(Thing, more, nmore, inner_table), STATE_VBUF(Thing, bytes, len)

static const StateField rows_v1[] = { COMMON_ROWS, {} };
static const StateField rows_v2[] = { COMMON_ROWS, STATE_U32(Thing, late, .since = 2, .def = 77), STATE_SUBSECTION(opt_table, .since = 2), {} };
static bool thing_check(const void *obj, Error **errp)
{
    return ((const Thing *)obj)->u32 != 0xdead || error_set(errp, "u32 is dead");
}
static const StateTable v1 = { .name = "thing", .version = 1, .fields = rows_v1 };
static const StateTable v2 = { .name = "thing", .version = 2, .fields = rows_v2, .check = thing_check, .obj_size = sizeof(Thing) };

static Thing *thing_new(int seed)
{
    Thing *t = g_new0(Thing, 1);

    t->nmore = 3;
    t->more = g_new0(Inner, 3);
    t->len = 10;
    t->bytes = g_malloc0(10);
    t->opt = 5;
    if (seed) {
        t->u8 = 6; t->u32 = seed; t->u64 = ~0ull; t->i64 = -seed; t->flag = true;
        t->arr[2][1] = 9; t->in[1].a = 0xabcd; t->more[2].b = 8; t->bytes[9] = 3; t->late = 4; t->opt = 6;
    }
    return t;
}

static void thing_free(Thing *t)
{
    g_free(t->more);
    g_free(t->bytes);
    g_free(t);
}

static void test_roundtrip(void)
{
    Thing *a = thing_new(42), *b = thing_new(0);
    StateWriter *w = state_writer_new(), *w2 = state_writer_new();
    size_t len, len2;
    const uint8_t *data, *data2;
    StateReader *r;

    state_save(w, &v2, a);
    data = state_writer_data(w, &len);
    r = state_reader_new(data, len);
    g_assert_true(state_check(r, &v2, b, NULL));
    g_assert_cmpuint(b->u32, ==, 0);
    state_reader_free(r);
    r = state_reader_new(data, len);
    g_assert_true(state_load(r, &v2, b, NULL));
    g_assert_cmpuint(state_reader_left(r), ==, 0);
    g_assert_true(b->u8 == 6 && b->i64 == -42 && b->flag && b->arr[2][1] == 9 && b->in[1].a == 0xabcd && b->more[2].b == 8
                  && b->bytes[9] == 3 && b->late == 4 && b->opt == 6);
    state_save(w2, &v2, b);
    data2 = state_writer_data(w2, &len2);
    g_assert_cmpmem(data, len, data2, len2);
    g_assert_cmpuint(state_digest(&v2, a), ==, state_digest(&v2, b));
    b->arr[0][0] ^= 1;
    g_assert_cmpuint(state_digest(&v2, a), !=, state_digest(&v2, b));
    state_reader_free(r);
    state_writer_free(w);
    state_writer_free(w2);
    thing_free(a);
    thing_free(b);
}

static void test_older(void)
{
    Thing *a = thing_new(42), *b = thing_new(1);
    StateWriter *w = state_writer_new();
    size_t len;
    const uint8_t *data;
    StateReader *r;

    state_save(w, &v1, a);
    data = state_writer_data(w, &len);
    r = state_reader_new(data, len);
    b->late = 1;
    g_assert_true(state_load(r, &v2, b, NULL));
    g_assert_cmpuint(b->late, ==, 77);
    state_reader_free(r);
    state_writer_free(w);
    w = state_writer_new();
    state_save(w, &v2, a);                      /* newer than the reader */
    data = state_writer_data(w, &len);
    r = state_reader_new(data, len);
    g_assert_false(state_check(r, &v1, b, NULL));
    state_reader_free(r);
    state_writer_free(w);
    thing_free(a);
    thing_free(b);
}

/* Cut anywhere, ranges, cross-check, other array sizes: refused, and the object is as before. */
static void test_refused(void)
{
    Thing *a = thing_new(42), *b = thing_new(7);
    uint64_t before = state_digest(&v2, b);
    StateWriter *w = state_writer_new();
    size_t len;
    const uint8_t *data;
    StateReader *r;

    state_save(w, &v2, a);
    data = state_writer_data(w, &len);
    for (size_t cut = 0; cut < len; cut++) {
        r = state_reader_new(data, cut);
        g_assert_false(state_check(r, &v2, b, NULL));
        state_reader_free(r);
    }
    b->nmore = 2;
    r = state_reader_new(data, len);
    g_assert_false(state_check(r, &v2, b, NULL));
    b->nmore = 3;
    state_reader_free(r);
    state_writer_free(w);
    for (int i = 0; i < 2; i++) {
        g_autoptr(Error) err = NULL;

        if (i) {
            a->u8 = 8;                          /* above .max */
        } else {
            a->u32 = 0xdead;
        }
        w = state_writer_new();
        state_save(w, &v2, a);
        data = state_writer_data(w, &len);
        r = state_reader_new(data, len);
        g_assert_false(state_check(r, &v2, b, &err));
        g_assert_nonnull(strstr(error_message(err), i ? "u8" : "dead"));
        state_reader_free(r);
        state_writer_free(w);
    }
    g_assert_cmpuint(state_digest(&v2, b), ==, before);
    thing_free(a);
    thing_free(b);
}

static void test_reset(void)
{
    Thing *a = thing_new(42);

    state_reset(&v2, a);
    g_assert_true(a->u8 == 0 && a->u64 == ~0ull && a->flag && a->late == 77 && a->opt == 5 && !a->in[1].a && !a->more[2].b && !a->bytes[9]);
    thing_free(a);
}

/* ---- files ---- */

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL), *path = g_build_filename(dir, "save", NULL);
    g_autofree char *copy = g_build_filename(dir, "copy", NULL);
    Memory *mem = memory_new();
    RamSpec spec = { .id = "ram", .size = 64 * 4096 }, small = { .id = "ram", .size = 4096 };
    RamBlock *b = ram_block_new(mem, &spec, NULL);
    Thing *t = thing_new(9);
    g_autoptr(Error) err = NULL;
    g_autofree char *bytes = NULL;
    gsize len;
    SaveOut *out = save_out_new(path, "virt-8.2", NULL);
    SaveIn *in;
    StateReader *r;

    memset(b->host + 3 * 4096, 0xa5, 2 * 4096);
    b->host[63 * 4096 + 4095] = 1;
    g_assert_true(save_out_object(out, "thing", &v2, t, NULL));
    g_assert_true(save_out_ram(out, b, NULL));
    g_assert_true(save_out_finish(out, NULL));
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_assert_cmpuint(len, <, 4 * 4096);                 /* zero pages are left out */

    in = save_in_open(path, &err);
    g_assert_no_error((GError *)NULL);
    g_assert_nonnull(in);
    g_assert_cmpstr(save_in_machine(in), ==, "virt-8.2");
    g_assert_null(save_in_section(in, "ram"));
    r = save_in_section(in, "thing");
    g_assert_true(state_check(r, &v2, t, NULL));
    state_reader_free(r);
    memset(b->host, 0xff, b->size);
    g_assert_true(save_in_load_ram(in, b, NULL));
    g_assert_true(b->host[0] == 0 && b->host[3 * 4096] == 0xa5 && b->host[5 * 4096] == 0 && b->host[63 * 4096 + 4095] == 1);
    ram_block_free(b);
    b = ram_block_new(mem, &small, NULL);
    g_assert_false(save_in_check_ram(in, b, NULL));
    save_in_free(in);

    /* one bit anywhere, one byte less or more */
    for (gsize i = 0; i < len; i += i < 400 || i + 64 > len ? 1 : 97) {
        bytes[i] ^= 0x10;
        g_assert_true(g_file_set_contents(copy, bytes, (gssize)len, NULL));
        g_assert_null(save_in_open(copy, NULL));
        bytes[i] ^= 0x10;
    }
    for (gsize i = 0; i < len; i += 61) {
        g_assert_true(g_file_set_contents(copy, bytes, (gssize)i, NULL));
        g_assert_null(save_in_open(copy, NULL));
    }
    memory_free(mem);
    thing_free(t);
    unlink(path);
    unlink(copy);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/roundtrip", test_roundtrip);
    g_test_add_func("/migration/older", test_older);
    g_test_add_func("/migration/refused", test_refused);
    g_test_add_func("/migration/reset", test_reset);
    g_test_add_func("/migration/file", test_file);
    return g_test_run();
}
