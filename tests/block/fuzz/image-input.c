/* SPDX-License-Identifier: MIT */
#include "tests/block/fuzz/image-input.h"

#include <string.h>

#include "util/bswap.h"

bool image_input_parse(const uint8_t *data, size_t size, ImageInput *in)
{
    const ImageRow *row = size >= IN_HEAD ? image_row((char)data[0]) : NULL;
    size_t ops;

    if (!row) {
        return false;
    }
    ops = MIN((data[2] & IN_OPS_MAX) * (size_t)IN_OP, (size - IN_HEAD) / IN_OP * IN_OP);
    *in = (ImageInput){
        .row = row, .flags = data[1], .ops = data + IN_HEAD, .n_ops = ops / IN_OP, .body = data + IN_HEAD + ops, .len = size - IN_HEAD - ops,
    };
    return true;
}

const GArray *image_input_used(const ImageRow *row)
{
    static const uint8_t zero[512];
    static GArray *used[256];
    unsigned at = row - image_rows;

    if (!used[at]) {
        const GByteArray *good = image_good(row);

        used[at] = g_array_new(false, false, sizeof(uint32_t));
        for (uint32_t i = 0; i + 512 <= good->len; i += 512) {
            if (memcmp(good->data + i, zero, 512)) {
                g_array_append_val(used[at], i);
            }
        }
    }
    return used[at];
}

/* The n-th used byte. */
static uint32_t place(const ImageRow *row, size_t n)
{
    const GArray *used = image_input_used(row);

    return used->len ? g_array_index(used, uint32_t, n / 512 % used->len) + n % 512 : 0;
}

static uint64_t get(const uint8_t *p, unsigned width, bool big)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++) {
        v |= (uint64_t)p[big ? width - 1 - i : i] << (8 * i);
    }
    return v;
}

static void put(uint8_t *p, unsigned width, bool big, uint64_t v)
{
    for (unsigned i = 0; i < width; i++) {
        p[big ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
    }
}

static void change(const ImageRow *row, uint8_t *image, uint64_t *len, const uint8_t *c)
{
    unsigned width = 1u << (c[0] & IN_CHANGE_WIDTH);
    bool big = c[0] & IN_CHANGE_BIG;
    uint64_t v = (uint64_t)(int64_t)(int32_t)ldl_le_p(c + 3) << (c[7] & 63), at = place(row, (size_t)(c[1] << 8 | c[2]));

    if ((c[0] & IN_CHANGE_MODE) == IN_CHANGE_CUT) {
        *len = v < *len ? v : *len;
        return;
    }
    if (at + width > *len) {
        return;
    }
    switch (c[0] & IN_CHANGE_MODE) {
    case IN_CHANGE_SET:
        put(image + at, width, big, v);
        return;
    case IN_CHANGE_ADD:
        put(image + at, width, big, get(image + at, width, big) + v);
        return;
    default: {
        uint64_t from = place(row, v & 0xffff);

        if (from + width <= *len) {
            put(image + at, width, big, get(image + from, width, big));
        }
    }
    }
}

static void replace(const ImageInput *in, uint8_t *image, bool last)
{
    const GArray *used = image_input_used(in->row);
    size_t count = used->len * 512ul, n = MIN(in->len, count), from = last ? (count - n) / 512 * 512 : 0;

    for (size_t i = 0; i < n; i += 512) {
        memcpy(image + place(in->row, from + i), in->body + i, MIN(512, n - i));
    }
}

/* What a key costs to try is bounded (block/luks), and still too much for thousands of inputs: the counts of iterations keep ten bits. */
static void cheap_keys(uint8_t *image, size_t len)
{
    static const uint8_t magic[6] = "LUKS\xba\xbe";
    uint8_t *h = memmem(image, len, magic, sizeof(magic));

    if (h && (size_t)(h - image) + 1024 <= len) {
        put(h + 164, 4, true, get(h + 164, 4, true) % 1024);
        for (unsigned i = 0; i < 8; i++) {
            put(h + 212 + 48 * i, 4, true, get(h + 212 + 48 * i, 4, true) % 1024);
        }
    }
}

/* A descriptor could name any file of the host. */
bool image_input_stays(const ImageInput *in)
{
    uint64_t len;
    const uint8_t *bytes = memdisk_get(&len);

    return !in->row->split || !memchr(bytes, '/', MIN(len, in->row->split));
}

void image_input_load(const ImageInput *in)
{
    const GByteArray *good = image_good(in->row);
    uint64_t len = good->len;
    uint8_t *image;

    if ((in->flags & IN_KIND) == IN_WHOLE) {
        memdisk_set(in->body, in->len);
        return image_spill(in->row);
    }
    image = memdisk_set(good->data, good->len);
    if ((in->flags & IN_KIND) == IN_CHANGES) {
        for (size_t i = 0; i + IN_CHANGE <= in->len; i += IN_CHANGE) {
            change(in->row, image, &len, in->body + i);
        }
    } else {
        replace(in, image, (in->flags & IN_KIND) == IN_LAST);
    }
    if (in->flags & IN_SEAL) {
        image_seal(in->row, image, len);
    }
    if (in->row->key) {
        cheap_keys(image, len);
    }
    memdisk_cut(len);
    image_spill(in->row);
}
