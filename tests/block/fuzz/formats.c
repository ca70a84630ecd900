/* SPDX-License-Identifier: MIT */
/*
 * Hostile images of every format beside qcow2: open, look, check, read, write.
 *
 * An input begins with the letter of a format (tests/block/images.c).  Then
 * comes a list of changes to a good image (two bytes of place, big endian, and
 * the new byte; places count the bytes of its sectors that are not all
 * zeroes), or after "R" the image itself.
 */
#include <stdlib.h>
#include <string.h>

#include "block/image.h"
#include "tests/block/images.h"
#include "tests/fuzz/fuzz.h"

/* The n-th byte of the sectors that hold something. */
static uint64_t hot_byte(const GByteArray *good, uint64_t n)
{
    static const uint8_t zero[512];
    uint64_t sectors = good->len / 512, used = 0;

    for (uint64_t i = 0; i < sectors; i++) {
        if (memcmp(good->data + i * 512, zero, 512) && (used++ == n / 512)) {
            return i * 512 + n % 512;
        }
    }
    return used ? hot_byte(good, n % (used * 512)) : 0;
}

/* What a key costs to try is bounded (block/luks), and still too much for thousands of inputs: the counts of iterations keep two bytes of four. */
static void cheap_keys(uint8_t *image, size_t len)
{
    static const uint8_t magic[6] = "LUKS\xba\xbe";
    uint8_t *h = memmem(image, len, magic, sizeof(magic));

    if (h && (size_t)(h - image) + 1024 <= len) {
        memset(h + 164, 0, 2);
        for (unsigned i = 0; i < 8; i++) {
            memset(h + 208 + 48 * i + 4, 0, 2);
        }
    }
}

static void load(const ImageRow *row, const uint8_t *data, size_t size)
{
    const GByteArray *good = image_good(row);
    g_autofree uint8_t *copy = NULL;

    if (size && data[0] == 'R') {
        memdisk_set(data + 1, size - 1);
        return;
    }
    copy = g_memdup2(good->data, good->len);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        copy[hot_byte(good, data[i] << 8 | data[i + 1])] = data[i + 2];
    }
    if (row->key) {
        cheap_keys(copy, good->len);
    }
    memdisk_set(copy, good->len);
}

static void look(Blk *b)
{
    uint64_t size = MIN(blk_size(b), 1 << 20), at = 0;
    g_autofree uint8_t *buf = g_malloc(65536);
    const BlkImageOps *ops = blk_node(b)->drv->image;
    BlkCheck c = {};

    if (ops && ops->info) {
        json_unref(ops->info(blk_node(b)));
    }
    if (blk_size(b) < 1ull << 36) {
        blk_check(b, &c);
    }
    for (int i = 0; i < 200 && at < size; i++) {
        BlkExtent e;
        if (blk_status(b, at, size - at, true, &e) < 0 || !e.len) {
            break;
        }
        at += e.len;
    }
    for (at = 0; at + 65536 <= size; at += 65536) {
        blk_read(b, at, buf, 65536, 0);
    }
    if (blk_size(b) > size) {
        blk_read(b, blk_size(b) - 512, buf, 512, 0);
    }
}

static void change(Blk *b)
{
    g_autofree uint8_t *buf = g_malloc0(4096);

    if (blk_size(b) >= 65536) {
        blk_write(b, 50, buf, 4000, 0);
        blk_zeroes(b, 8192, 4096, BLK_MAY_UNMAP);
        blk_write(b, 30000, buf, 10, 0);
        blk_flush(b);
        blk_write(b, blk_size(b) - 4096, buf, 4096, 0);
        blk_resize(b, blk_size(b) + 65536, BLK_PREALLOC_OFF, NULL);
        blk_flush(b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ImageRow *row = size ? image_row(data[0]) : NULL;
    Loop *loop;
    Session *s;
    Blk *b;

    if (!row) {
        return 0;
    }
    s = image_session(row);
    if (!s) {
        return 0;
    }
    loop = loop_new("fuzz");
    loop_attach(loop);
    load(row, data + 1, size - 1);
    b = image_open(row, s, BLK_O_CHECK | BLK_O_NO_BACKING, NULL);
    if (b) {
        look(b);
        blk_free(b);
    }
    b = image_open(row, s, BLK_O_RDWR | BLK_O_NO_BACKING, NULL);
    if (b) {
        change(b);
        blk_free(b);
    }
    session_free(s);
    loop_free(loop);
    memdisk_clear();
    return 0;
}
