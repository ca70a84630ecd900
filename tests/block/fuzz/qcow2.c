/* SPDX-License-Identifier: MIT */
/*
 * Hostile qcow2 images: open, look, check, read, write.
 *
 * An input is an image, or, when it begins with "P", a list of changes
 * (offset, two bytes big endian, and the new byte) to a good one of 512-byte
 * clusters with a snapshot.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"
#include "tests/block/memdisk.h"
#include "tests/fuzz/fuzz.h"

static GByteArray *good;                /* constant once made */

static void make_good(Loop *loop)
{
    Session *s = session_new();
    g_autofree char *path = NULL;
    char *bytes, data[3000];
    gsize len;
    g_autoptr(Json) o = json_object();
    int fd = g_file_open_tmp("fuzz-XXXXXX", &path, NULL);
    Blk *b;

    close(fd);
    json_set_uint(o, "size", 64 << 10);
    json_set_uint(o, "cluster_size", 512);
    blk_create(s, blk_driver_find("qcow2"), path, o, NULL);
    if (!g_file_get_contents(path, &bytes, &len, NULL)) {
        abort();
    }
    unlink(path);
    memdisk_set(bytes, len);
    g_free(bytes);
    memset(data, 'x', sizeof(data));
    b = memdisk_open(s, "qcow2", BLK_O_RDWR, NULL);
    blk_write(b, 100, data, sizeof(data), 0);
    blk_write(b, 8192, data, 512, BLK_COMPRESSED_WRITE);
    blk_write(b, 40000, data, 100, 0);
    blk_zeroes(b, 20480, 1024, 0);
    blk_free(b);
    good = g_byte_array_new();
    const uint8_t *now = memdisk_get(&len);
    g_byte_array_append(good, now, len);
    session_free(s);
}

static void load(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = NULL;

    if (!size || data[0] != 'P') {
        memdisk_set(data, size);
        return;
    }
    copy = g_memdup2(good->data, good->len);
    for (size_t i = 1; i + 3 <= size; i += 3) {
        copy[(data[i] << 8 | data[i + 1]) % good->len] = data[i + 2];
    }
    memdisk_set(copy, good->len);
}

static void look(Blk *b)
{
    uint64_t size = MIN(blk_size(b), 1 << 20), at = 0;
    g_autofree uint8_t *buf = g_malloc(65536);
    BlkNode *n = blk_node(b);
    BlkCheck c = {};

    json_unref(n->drv->image->info(n));
    g_ptr_array_unref(n->drv->image->snapshot_list(n));
    if (blk_size(b) < 1ull << 40) {
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
}

static void change(Blk *b)
{
    g_autofree uint8_t *buf = g_malloc0(4096);

    if (blk_size(b) >= 65536) {
        blk_write(b, 50, buf, 4000, 0);
        blk_zeroes(b, 8192, 4096, BLK_MAY_UNMAP);
        blk_write(b, 30000, buf, 10, 0);
        blk_discard(b, 0, 4096);
        blk_flush(b);
        blk_write(b, 12288, buf, 4096, 0);
        blk_flush(b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Loop *loop = loop_new("fuzz");
    Session *s = session_new();
    Blk *b;

    loop_attach(loop);
    if (!good) {
        make_good(loop);
    }
    load(data, size);
    b = memdisk_open(s, "qcow2", BLK_O_CHECK | BLK_O_NO_BACKING, NULL);
    if (b) {
        look(b);
        blk_free(b);
    }
    b = memdisk_open(s, "qcow2", BLK_O_RDWR | BLK_O_NO_BACKING, NULL);
    if (b) {
        change(b);
        blk_free(b);
    }
    session_free(s);
    loop_free(loop);
    memdisk_clear();
    return 0;
}
