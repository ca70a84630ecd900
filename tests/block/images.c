/* SPDX-License-Identifier: MIT */
#include "tests/block/images.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/bitmap.h"
#include "block/image.h"
#include "io/object.h"
#include "tests/block/handmade.h"

const ImageRow image_rows[] = {
    { "vdi", 'v', "", 3 << 20 },
    { "parallels", 'p', "cluster_size=4096", 1 << 20 },
    { "vpc", 'c', "force_size=on", 4 << 20 },
    { "vpc", 'C', "force_size=on subformat=fixed", 1 << 20 },
    { "vpc", 'k', "", 4 << 20, .child = true },
    { "qed", 'e', "cluster_size=4096 table_size=1", 1 << 20 },
    { "qcow", 'q', "", 1 << 20 },
    { "vhdx", 'h', "block_size=1048576", 4 << 20 },
    { "vhdx", 'H', "block_size=1048576", 4 << 20, .child = true },
    { "vmdk", 'm', "zeroed_grain=on", 1 << 20 },
    { "vmdk", 's', "subformat=streamOptimized", 1 << 20 },
    { "qcow2", 'Q', "cluster_size=4096", 256 << 10 },
    { "qcow2", 'S', "cluster_size=512 refcount_bits=1", 256 << 10 },
    { "qcow2", 'X', "cluster_size=16384 extended_l2=on compression_type=zstd lazy_refcounts=on", 512 << 10, .live = true },
    { "qed", 'E', "cluster_size=4096 table_size=1", 1 << 20, .live = true },
    { "vhdx", 'J', "block_size=1048576", 4 << 20, .live = true },
    { "luks", 'l', "key-secret=key iter-time=1", 256 << 10, .key = "key-secret" },
    { "qcow2", 'L', "cluster_size=4096 encrypt.format=luks encrypt.key-secret=key encrypt.iter-time=1", 256 << 10, .key = "encrypt.key-secret" },
    { "qcow2", 'Y', "cluster_size=16384 compression_type=zstd refcount_bits=32", 256 << 10, .packed = true },
    { "qcow2", 'R', "cluster_size=512 refcount_bits=64", 1 << 20, .packed = true },
    { "qcow2", 'O', "cluster_size=4096", 256 << 10, .meta = 512 << 10 },
    { "qcow2", 'y', "cluster_size=4096 encrypt.format=aes encrypt.key-secret=key", 256 << 10, .key = "encrypt.key-secret" },
    { "qcow", 'a', "encrypt.format=aes encrypt.key-secret=key", 1 << 20, .key = "encrypt.key-secret" },
    { "parallels", 'P', .by_hand = hand_parallels },
    { "vmdk", 'W', .by_hand = hand_cowd },
    { "vmdk", 'z', .by_hand = hand_split_sesparse, .split = HAND_DESCRIPTOR },
    { "vmdk", 'f', .by_hand = hand_split_flat, .split = HAND_DESCRIPTOR },
    { "bochs", 'b', .by_hand = hand_bochs },
    { "cloop", 'o', .by_hand = hand_cloop },
    { "cow", 'w', .by_hand = hand_cow },
    { "dmg", 'd', .by_hand = hand_dmg },
    { "dmg", 'D', .by_hand = hand_dmg_old },
    { "dmg", 'Z', .by_hand = hand_dmg_lzfse },
    {}
};

static GByteArray *made[G_N_ELEMENTS(image_rows)];

Json *image_options(const char *text, uint64_t size)
{
    g_auto(GStrv) parts = g_strsplit(text, " ", -1);
    Json *o = json_object();

    json_set_uint(o, "size", size);
    for (char **p = parts; *p && **p; p++) {
        char *eq = strchr(*p, '=');

        *eq = 0;
        if (g_ascii_isdigit(eq[1])) {
            json_set_uint(o, *p, strtoul(eq + 1, NULL, 10));
        } else if (!strcmp(eq + 1, "on")) {
            json_set_bool(o, *p, true);
        } else {
            json_set_string(o, *p, eq + 1);
        }
    }
    return o;
}

Session *image_session(const ImageRow *row)
{
    Session *s = session_new();

    if (row->key && !session_object_parse(s, "secret,id=key,data=abc", NULL)) {
        session_free(s);
        return NULL;
    }
    return s;
}

/* ---- images of two files ---- */

static char *split_dir;

static void split_remove(void)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(split_dir, i ? HAND_EXTENT : "image", NULL);

        unlink(path);
    }
    rmdir(split_dir);
    g_free(split_dir);
}

void image_spill(const ImageRow *row)
{
    uint64_t len, head;
    const uint8_t *bytes = memdisk_get(&len);

    if (!row->split) {
        return;
    }
    if (!split_dir) {
        split_dir = g_dir_make_tmp("image-XXXXXX", NULL);
        g_assert_true(split_dir && !atexit(split_remove));
    }
    head = MIN(len, row->split);
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(split_dir, i ? HAND_EXTENT : "image", NULL);

        g_file_set_contents_full(path, (const char *)bytes + (i ? head : 0), (gssize)(i ? len - head : head), G_FILE_SET_CONTENTS_NONE, 0666, NULL);
    }
}

static Blk *open_split(const ImageRow *row, Session *s, unsigned flags, Error **errp)
{
    g_autofree char *text = g_strdup_printf("{\"driver\": \"%s\"}", row->format), *path = g_build_filename(split_dir, "image", NULL);
    unsigned perm = BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);

    return blk_open(s, path, json_parse(text, strlen(text), NULL), flags, perm, BLK_PERM_ALL, errp);
}

static char *data_file(const ImageRow *row)
{
    return !row->meta ? g_strdup("") : g_strdup_printf(", \"data-file\": {\"driver\": \"raw\", \"offset\": %u, \"file\": {\"driver\": \"test-bytes\"}}", row->meta);
}

Blk *image_open(const ImageRow *row, Session *s, unsigned flags, Error **errp)
{
    g_autofree char *data = data_file(row), *more = row->key ? g_strdup_printf(", \"%s\": \"key\"%s", row->key, data) : g_strdup(data);

    if (row->split) {
        return open_split(row, s, flags, errp);
    }
    return memdisk_open_part(s, row->format, more, row->meta, flags, errp);
}

/* A snapshot and a stored bitmap, where the format has them. */
static void add_extras(void *opaque)
{
    BlkNode *n = opaque;
    const BlkImageOps *ops = n->drv->image;
    BlkSnapshot sn = { .name = (char *)"s", .icount = UINT64_MAX };
    BlkBitmap *b;

    if (ops && ops->snapshot_create) {
        ops->snapshot_create(n, &sn, NULL);
    }
    if (ops && ops->bitmap_can_store) {
        b = blk_bitmap_new(n, "b", 0, NULL);
        b->persistent = ops->bitmap_can_store(n, "b", NULL);
    }
}

/* Bytes of the image while it is open, where the row asks for them. */
static GByteArray *write_some(const ImageRow *row, Session *s)
{
    GByteArray *live = NULL;
    Error *err = NULL;
    Blk *b = image_open(row, s, BLK_O_RDWR | BLK_O_NO_BACKING, &err);
    const uint8_t *now;
    uint64_t len;
    char data[3000];

    if (!b) {
        g_error("%s: %s", row->format, error_message(err));
    }
    memset(data, 'x', sizeof(data));
    blk_write(b, 4096, data, sizeof(data), BLK_COMPRESSED_WRITE);
    blk_write(b, 100, data, sizeof(data), 0);
    blk_write(b, 40000, data, 100, 0);
    fiber_call(blk_loop(b), add_extras, blk_node(b));
    blk_write(b, 200000, data, sizeof(data), 0);
    blk_zeroes(b, 20480, 8192, 0);
    if (row->packed) {
        g_autofree char *text = g_malloc(65536);

        for (unsigned i = 0; i < 65536; i++) {
            text[i] = (char)('a' + i * i / 1000 % 26);
        }
        blk_write(b, 65536, text, 65536, BLK_COMPRESSED_WRITE);
    }
    if (row->live) {
        blk_flush(b);
        now = memdisk_get(&len);
        live = g_byte_array_new();
        g_byte_array_append(live, now, len);
    }
    blk_free(b);
    return live;
}

static char *make_parent(const ImageRow *row, Session *s)
{
    g_autoptr(Json) o = json_object();
    Error *err = NULL;
    char *path = NULL;

    close(g_file_open_tmp("image-XXXXXX", &path, NULL));
    json_set_uint(o, "size", row->size);
    if (!blk_create(s, blk_driver_find(row->format), path, o, &err)) {
        g_error("%s: %s", row->format, error_message(err));
    }
    return path;
}

/* The files of an image, as its row wants them in the disk in memory. */
static void into_memory(const ImageRow *row, const char *path, const char *data)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree char *bytes = NULL, *more = NULL;
    gsize len, room = 0;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_byte_array_append(all, (uint8_t *)bytes, len);
    if (data) {
        g_assert_cmpuint(len, <=, row->meta);
        g_assert_true(g_file_get_contents(data, &more, &room, NULL));
        g_byte_array_set_size(all, row->meta);
        memset(all->data + len, 0, row->meta - len);
        g_byte_array_append(all, (uint8_t *)more, room);
        g_byte_array_set_size(all, row->meta + row->size);
        memset(all->data + row->meta + room, 0, row->size - room);
    }
    memdisk_set(all->data, all->len);
}

static GByteArray *create(const ImageRow *row)
{
    Session *s = image_session(row);
    g_autofree char *path = NULL, *data = NULL, *parent = NULL;
    g_autoptr(Json) o = image_options(row->options, row->size);
    GByteArray *a;
    Error *err = NULL;
    const uint8_t *now;
    uint64_t len;
    int fd = !s ? -1 : g_file_open_tmp("image-XXXXXX", &path, NULL);

    if (fd < 0) {
        return g_byte_array_new();      /* nothing, in a build without secrets */
    }
    close(fd);
    if (row->child) {
        parent = make_parent(row, s);
        json_set_string(o, "backing_file", parent);
        json_set_string(o, "backing_fmt", row->format);
    }
    if (row->meta) {
        data = g_strconcat(path, ".data", NULL);
        json_set_string(o, "data_file", data);
    }
    if (!blk_create(s, blk_driver_find(row->format), path, o, &err)) {
        g_error("%s: %s", row->format, error_message(err));
    }
    into_memory(row, path, data);
    unlink(path);
    if (data) {
        unlink(data);
    }
    if (parent) {
        unlink(parent);
    }
    a = write_some(row, s);
    if (!a) {
        now = memdisk_get(&len);
        a = g_byte_array_new();
        g_byte_array_append(a, now, len);
    }
    memdisk_clear();
    session_free(s);
    return a;
}

const GByteArray *image_good(const ImageRow *row)
{
    unsigned i = row - image_rows;

    if (!made[i]) {
        made[i] = row->by_hand ? row->by_hand() : create(row);
    }
    return made[i];
}

const ImageRow *image_row(char letter)
{
    for (const ImageRow *r = image_rows; r->format; r++) {
        if (r->letter == letter) {
            return r;
        }
    }
    return NULL;
}

void images_free(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(made); i++) {
        if (made[i]) {
            g_byte_array_unref(made[i]);
            made[i] = NULL;
        }
    }
}
