/* SPDX-License-Identifier: MIT */
/*
 * Mutations of fuzz-formats' inputs that know what an input is made of: fields
 * of two, four and eight bytes in both orders, values that mean something in
 * an image, operations.  The format stays what it is.
 */
#include <string.h>

#include "tests/block/fuzz/image-input.h"
#include "tests/fuzz/fuzz.h"
#include "util/bswap.h"

static uint64_t state;

static uint32_t below(uint32_t n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return n ? (uint32_t)((state >> 33) % n) : 0;
}

/* Numbers that formats are full of; the image's own sizes among them. */
static uint64_t value(const ImageRow *row)
{
    uint64_t len = image_good(row)->len;

    switch (below(8)) {
    case 0:
        return below(16);
    case 1:
        return 1ull << below(64);
    case 2:
        return (1ull << below(64)) - 1;
    case 3:
        return len - below(3) * 512 + 256;
    case 4:
        return len / 512 + below(3) - 1;
    case 5:
        return -(uint64_t)below(4096);
    case 6:
        return (uint64_t)below(64) << (9 + below(12));
    default:
        return (uint64_t)below(0xffffffff) << below(32);
    }
}

/* A change as 8 bytes; values beyond 32 bits by their shift. */
static void make_change(const ImageRow *row, uint8_t *c)
{
    static const uint8_t modes[] = { IN_CHANGE_SET, IN_CHANGE_SET, IN_CHANGE_SET, IN_CHANGE_ADD, IN_CHANGE_ADD, IN_CHANGE_COPY, IN_CHANGE_CUT };
    const GArray *used = image_input_used(row);
    const GByteArray *good = image_good(row);
    uint8_t mode = modes[below(sizeof(modes))];
    uint32_t width = below(4), place = 0;
    uint64_t v = value(row);
    unsigned shift = v ? (unsigned)__builtin_ctzll(v) : 0;

    for (unsigned try = 0; try < 20; try++) {               /* where something is, rather */
        place = below(3) ? below(MIN(used->len, 128u)) * 512 + below(512) : below(512);
        place &= ~((1u << width) - 1);
        if (used->len && good->data[g_array_index(used, uint32_t, place / 512 % used->len) + place % 512]) {
            break;
        }
    }
    c[0] = (uint8_t)(width | (below(2) ? IN_CHANGE_BIG : 0) | mode);
    c[1] = (uint8_t)(place >> 8);
    c[2] = (uint8_t)place;
    if (mode == IN_CHANGE_ADD) {
        v = below(2) ? 1 + below(8) : -(uint64_t)(1 + below(8));
        shift = 0;
    } else if (mode == IN_CHANGE_CUT) {
        v = below(good->len);
        shift = 0;
    }
    stl_le_p(c + 3, (uint32_t)(v >> shift));
    c[7] = (uint8_t)shift;
}

static void make_op(uint8_t *op)
{
    static const uint8_t clusters[4] = { 1, 4, 8, 16 };

    op[0] = (uint8_t)(below(18) | (below(4) ? 0 : 0x80));
    op[1] = (uint8_t)(below(2) ? 0 : below(16));
    op[2] = (uint8_t)(below(3) ? below(256) : below(16) << 4);      /* clusters and parts of them */
    op[3] = (uint8_t)(below(2) ? below(16) : 0x80 | (below(2) ? below(20) : clusters[below(4)]));
}

/* Cuts out, puts in and replaces records of so many bytes. */
static size_t records(uint8_t *p, size_t len, size_t room, size_t record, const ImageRow *row)
{
    size_t n = len / record, at = below((uint32_t)n + 1) * record;
    unsigned what = below(4);

    if (what == 0 && at < n * record) {
        memmove(p + at, p + at + record, len - at - record);
        return len - record;
    }
    if ((what == 1 || !n) && len + record <= room) {
        memmove(p + at + record, p + at, len - at);
        len += record;
    }
    if (at + record > len) {
        return len;
    }
    if (what == 2) {
        LLVMFuzzerMutate(p + at, record, record);
    } else if (record == IN_OP) {
        make_op(p + at);
    } else {
        make_change(row, p + at);
    }
    return len;
}

/* One field of bytes that stand for themselves. */
static void field(uint8_t *p, size_t len, const ImageRow *row)
{
    uint32_t width = 1u << below(4);
    size_t at = below((uint32_t)(len / width)) * width;
    bool big = below(2);
    uint64_t v = below(2) ? value(row) : below(9) - 4ull, old = 0;

    if (len < width) {
        return;
    }
    for (unsigned i = 0; i < width; i++) {
        old |= (uint64_t)p[at + (big ? width - 1 - i : i)] << (8 * i);
    }
    v = below(2) ? old + v : v;
    for (unsigned i = 0; i < width; i++) {
        p[at + (big ? width - 1 - i : i)] = (uint8_t)(v >> (8 * i));
    }
}

/* The image's own bytes become the input's. */
static size_t fill(uint8_t *p, size_t room, const ImageRow *row, bool last)
{
    const GArray *used = image_input_used(row);
    size_t want = 1 + below(8), n = MIN(MIN(used->len, room / 512), want), from = last ? used->len - n : 0;

    for (size_t i = 0; i < n; i++) {
        memcpy(p + i * 512, image_good(row)->data + g_array_index(used, uint32_t, from + i), 512);
    }
    return n * 512;
}

static size_t body(uint8_t *data, const ImageInput *in, size_t room)
{
    uint8_t *p = data + (in->body - data);

    switch (in->flags & IN_KIND) {
    case IN_CHANGES:
        return records(p, in->len, room, IN_CHANGE, in->row);
    case IN_WHOLE:
        return LLVMFuzzerMutate(p, in->len, room);
    default:
        if (below(2) && in->len) {
            field(p, in->len, in->row);
            return in->len;
        }
        return in->len < 512 ? fill(p, room, in->row, in->flags & IN_LAST) : LLVMFuzzerMutate(p, in->len, in->len);
    }
}

static size_t operations(uint8_t *data, size_t size, size_t room, const ImageInput *in)
{
    uint8_t ops[IN_OP * (IN_OPS_MAX + 1)];
    size_t old = in->n_ops * (size_t)IN_OP, len;

    memcpy(ops, in->ops, old);
    len = records(ops, old, MIN(IN_OPS_MAX * (size_t)IN_OP, old + room), IN_OP, in->row);
    memmove(data + IN_HEAD + len, data + IN_HEAD + old, size - IN_HEAD - old);
    memcpy(data + IN_HEAD, ops, len);
    data[2] = (uint8_t)((data[2] & ~IN_OPS_MAX) | (len / IN_OP));
    return size - old + len;
}

/* Images are made where a loop is. */
static bool made(const ImageRow *row)
{
    static const ImageRow *last;
    Loop *loop;

    if (last != row) {
        loop = loop_new("mutate");
        loop_attach(loop);
        last = image_good(row)->len ? row : NULL;
        loop_free(loop);
    }
    return last == row;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    ImageInput in;

    state = seed;
    if (max < size || !image_input_parse(data, size, &in) || !made(in.row)) {
        return LLVMFuzzerMutate(data, size, max);
    }
    if (in.n_ops * (size_t)IN_OP + IN_HEAD > size) {
        return size;
    }
    data[2] = (uint8_t)((data[2] & ~IN_OPS_MAX) | in.n_ops);
    for (unsigned n = 1 + below(4); n; n--) {
        size_t before = size - in.len;

        switch (below(16)) {
        case 0:
            data[1] ^= (uint8_t)(1u << below(4));
            size = (data[1] & IN_KIND) == IN_FIRST || (data[1] & IN_KIND) == IN_LAST ? before + fill(data + before, max - before, in.row, data[1] & IN_LAST) : size;
            break;
        case 1: case 2: case 3: case 4: case 5:
            size = operations(data, size, max - size, &in);
            break;
        default:
            size = before + body(data, &in, max - before);
        }
        image_input_parse(data, size, &in);
    }
    return size;
}
