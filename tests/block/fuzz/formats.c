/* SPDX-License-Identifier: MIT */
/*
 * Hostile images of every format: open, look, check, repair, read, write,
 * resize, snapshots and bitmaps.  image-input.h says what an input is.
 *
 * Beside what the sanitizers see: an image that had no corruption before we
 * wrote to it has none afterwards.  RHEA_FUZZ_SAVE=FILE in the environment
 * leaves both, as FILE.before and FILE.after.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/image.h"
#include "tests/block/fuzz/image-input.h"
#include "tests/fuzz/fuzz.h"

enum { SOME = 65536 };

/* Corruptions, or -1: cannot be told.  Checks of other formats do not see tables that lie on each other. */
static int64_t corruptions(Blk *b)
{
    BlkCheck c = {};
    bool whole = !strcmp(blk_node_driver(blk_node(b)), "qcow2") || !strcmp(blk_node_driver(blk_node(b)), "qed");

    return blk_size(b) < 1ull << 36 && blk_check(b, &c) == 0 && !c.check_errors && whole ? (int64_t)c.corruptions : -1;
}

static void look(Blk *b)
{
    uint64_t size = MIN(blk_size(b), 1 << 20), at = 0;
    g_autofree uint8_t *buf = g_malloc(SOME);
    BlkExtent e;

    for (int i = 0; i < 200 && at < size && blk_status(b, at, size - at, true, &e) == 0 && e.len; i++) {
        at += e.len;
    }
    for (at = 0; at + SOME <= size; at += SOME) {
        blk_read(b, at, buf, SOME, 0);
    }
    if (blk_size(b) > size) {
        blk_read(b, blk_size(b) - 512, buf, 512, 0);
    }
}

/* For inputs that name no operations. */
static void change(Blk *b)
{
    g_autofree uint8_t *buf = g_malloc0(4096);

    if (blk_size(b) >= SOME) {
        blk_write(b, 50, buf, 4000, 0);
        blk_zeroes(b, 8192, 4096, BLK_MAY_UNMAP);
        blk_write(b, 30000, buf, 10, 0);
        blk_discard(b, 0, 4096);
        blk_flush(b);
        blk_write(b, blk_size(b) - 4096, buf, 4096, 0);
        blk_resize(b, blk_size(b) + SOME, BLK_PREALLOC_OFF, NULL);
        blk_flush(b);
    }
}

static int64_t look_and_count(const ImageRow *row, Session *s)
{
    Blk *b = image_open(row, s, BLK_O_CHECK | BLK_O_NO_BACKING, NULL);
    int64_t n = -1;

    if (b) {
        n = corruptions(b);
        look(b);
        blk_free(b);
    }
    return n;
}

static void work(const ImageInput *in, Session *s, Loop *loop)
{
    Blk *b = image_open(in->row, s, (in->flags & IN_LOOK ? BLK_O_CHECK : BLK_O_RDWR) | BLK_O_NO_BACKING, NULL);

    if (!b) {
        return;
    }
    if (in->n_ops) {
        b = image_ops(in, s, loop, b);
    } else if (!(in->flags & IN_LOOK)) {
        change(b);
    }
    blk_free(b);
}

static void save(const char *suffix)
{
    const char *name = g_getenv("RHEA_FUZZ_SAVE");
    g_autofree char *path = name ? g_strconcat(name, suffix, NULL) : NULL;
    uint64_t len;
    const uint8_t *bytes = memdisk_get(&len);

    if (path) {
        g_file_set_contents(path, (const char *)bytes, (gssize)len, NULL);
    }
}

static void try_image(const ImageInput *in, Session *s, Loop *loop)
{
    int64_t before = look_and_count(in->row, s), after;

    save(".before");
    work(in, s, loop);
    save(".after");
    after = before || !image_ops_keep_flags(in) ? -1 : look_and_count(in->row, s);
    if (after > 0) {
        fprintf(stderr, "%" PRId64 " corruptions where there were none\n", after);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ImageInput in;
    Session *s;
    Loop *loop;

    if (!image_input_parse(data, size, &in)) {
        return 0;
    }
    s = image_session(in.row);
    if (!s) {
        return 0;
    }
    loop = loop_new("fuzz");
    loop_attach(loop);
    image_input_load(&in);
    if (image_input_stays(&in)) {
        try_image(&in, s, loop);
    }
    session_free(s);
    loop_free(loop);
    memdisk_clear();
    return 0;
}
