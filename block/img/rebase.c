/* SPDX-License-Identifier: MIT */
/* rebase and commit: moving data between the layers of a chain. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"

enum { CHUNK = 2 << 20 };

/* ---- rebase ---- */

typedef struct {
    Img *im;
    Blk *b, *old, *new;         /* old, new: NULL for none */
    const char *backing, *format;
    Error *err;
    int result;
    bool compressed;
} Rebase;

static int read_layer(Blk *b, uint64_t off, uint8_t *buf, uint64_t len)
{
    uint64_t size = b ? blk_size(b) : 0, have = off < size ? MIN(len, size - off) : 0;

    memset(buf + have, 0, len - have);
    return have ? blk_read(b, off, buf, have, 0) : 0;
}

/* -c: whole clusters go compressed, what is less (the image's own end aside) as it is. */
static int copy_up(Rebase *k, uint64_t off, const uint8_t *buf, uint64_t len)
{
    uint64_t cluster = blk_node(k->b)->cluster;
    bool whole = k->compressed && off % cluster == 0 && (len == cluster || off + len == blk_size(k->b));
    int r = whole ? blk_write(k->b, off, buf, len, BLK_COMPRESSED_WRITE) : -EIO;

    return r == -EIO ? blk_write(k->b, off, buf, len, 0) : r;
}

/* What is copied up at once: the image is open without a backing file, which is changing, so the rest of a cluster would not come from there. */
static uint64_t unit_of(const Rebase *k)
{
    uint64_t cluster = blk_node(k->b)->cluster;

    return k->compressed ? cluster : MAX(cluster, 65536);
}

/* What is not in the image and reads differently through the new backing file is copied up.  buf: two chunks. */
static int rebase_data(Rebase *k, uint8_t *buf, uint64_t chunk)
{
    uint64_t size = blk_size(k->b), off = 0, unit = unit_of(k);
    int r = 0;

    while (off < size && r == 0) {
        BlkExtent e;
        uint64_t len;

        r = blk_status(k->b, off, size - off, false, &e);
        if (r < 0 || !e.len) {
            return r ? r : -EIO;
        }
        len = MIN(e.len, chunk);
        if (e.flags & BLK_EXT_ALLOCATED) {
            len = e.len;
        } else {
            r = read_layer(k->old, off, buf, len);
            r = r ? r : read_layer(k->new, off, buf + chunk, len);
            for (uint64_t at = 0; at < len && r == 0; at += unit) {
                uint64_t now = MIN(unit, len - at);
                if (memcmp(buf + at, buf + chunk + at, now)) {
                    r = copy_up(k, off + at, buf + at, now);
                }
            }
        }
        off += len;
        img_progress(k->im, 100.0 * off / size);
    }
    return r ? r : blk_flush(k->b);
}

static void run_rebase(void *opaque)
{
    Rebase *k = opaque;
    uint64_t chunk = MAX((uint64_t)CHUNK, unit_of(k));
    uint8_t *buf = blk_buffer(2 * chunk);

    k->result = rebase_data(k, buf, chunk);
    free(buf);
}

static void run_change(void *opaque)
{
    Rebase *k = opaque;
    const BlkImageOps *ops = blk_node(k->b)->drv->image;

    k->result = ops->change_backing(blk_node(k->b), k->backing, k->format, &k->err);
}

static int change_backing(Img *im, Rebase *k)
{
    const BlkImageOps *ops = blk_node(k->b)->drv->image;

    if (!ops || !ops->change_backing) {
        return img_error(im, "Could not change the backing file to '%s': Operation not supported", k->backing ? k->backing : "");
    }
    if (k->backing && !k->format) {
        return img_error(im, "Could not change the backing file to '%s': backing format must be specified", k->backing);
    }
    img_run(im, run_change, k);
    if (!k->result) {
        error_prepend(&k->err, "Could not change the backing file to '%s': ", k->backing ? k->backing : "");
        return img_fail(im, k->err);
    }
    return 0;
}

static bool open_layers(Img *im, Rebase *k, unsigned src_flags)
{
    BlkNode *n = blk_node(k->b);
    Error *err = NULL;

    if (n->backing_name) {
        g_autofree char *old = blk_path_combine(n->filename, n->backing_name);
        k->old = img_open_opts(im, old, false, n->backing_format, src_flags, &err);
        if (!k->old) {
            error_prepend(&err, "Could not open old backing file '%s': ", old);
            img_fail(im, err);
            return false;
        }
        if (!blk_backing_is(n, blk_node(k->old), &err)) {
            img_fail(im, err);
            return false;
        }
    }
    if (k->backing) {
        g_autofree char *new = blk_path_combine(n->filename, k->backing);
        k->new = img_open_opts(im, new, false, k->format, src_flags, &err);
        if (!k->new) {
            error_prepend(&err, "Could not open new backing file '%s': ", k->backing);
            img_fail(im, err);
            return false;
        }
    }
    return true;
}

static int rebase(Img *im, Rebase *k, bool unsafe, unsigned src_flags)
{
    const BlkImageOps *ops = blk_node(k->b)->drv->image;

    if (!ops || !ops->change_backing || (k->backing && !k->format && unsafe)) {
        return change_backing(im, k);
    }
    if (!unsafe) {
        if (!open_layers(im, k, src_flags)) {
            return 1;
        }
        if (k->backing && !k->format) {
            return change_backing(im, k);
        }
        img_progress(im, 0);
        img_run(im, run_rebase, k);
        if (k->result < 0) {
            return img_error(im, "error while copying data up: %s", g_strerror(-k->result));
        }
    }
    if (change_backing(im, k)) {
        return 1;
    }
    img_progress_end(im);
    return 0;
}

int img_rebase(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    Rebase k = { .im = im };
    bool unsafe = false, has = false;
    unsigned flags = BLK_O_RDWR | BLK_O_NO_BACKING, src_flags = 0;
    int c, status;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == 't' && !img_cache(im, optarg, "", &flags)) || (c == 'T' && !img_cache(im, optarg, "source ", &src_flags))) {
            return 1;
        }
        k.compressed |= c == 'c';
        format = c == 'f' ? optarg : format;
        k.format = c == 'F' ? optarg : k.format;
        has |= c == 'b';
        k.backing = c == 'b' ? optarg : k.backing;
        unsafe |= c == 'u';
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    if (!has && !unsafe) {
        return img_try_help(im, "Must specify backing file (-b) or use unsafe mode (-u)");
    }
    if (k.format && !blk_driver_find(k.format)) {
        return img_error(im, "Invalid format name: '%s'", k.format);
    }
    k.backing = k.backing && *k.backing ? k.backing : NULL;
    k.b = img_open(im, argv[optind], format, flags);
    if (!k.b) {
        return 1;
    }
    img_warn_raw(k.b);
    if (k.compressed && (!blk_node(k.b)->drv->write_compressed || !blk_node(k.b)->cluster)) {
        blk_free(k.b);
        return img_error(im, "Compression not supported for this file format");
    }
    status = rebase(im, &k, unsafe, src_flags);
    blk_free(k.old);
    blk_free(k.new);
    blk_free(k.b);
    return status;
}

/* ---- commit ---- */

typedef struct {
    Img *im;
    BlkNode *top;
    Blk *base;
    int result;
} Commit;

static void step(void *opaque, uint64_t len, double percent)
{
    Commit *k = opaque;

    img_pay(k->im, len);
    img_progress(k->im, percent);
}

static void run_commit(void *opaque)
{
    Commit *k = opaque;

    k->result = blk_commit_data(k->top, k->base, step, k);
}

static BlkNode *find_base(Blk *b, const char *base)
{
    BlkNode *n = blk_node_backing(blk_node(b));

    while (n && base && strcmp(n->filename, base)) {
        g_autofree char *path = blk_path_combine(blk_node_filename(blk_node(b)), base);
        if (!strcmp(n->filename, path)) {
            break;
        }
        n = blk_node_backing(n);
    }
    return n;
}

static void run_empty(void *opaque)
{
    Commit *k = opaque;

    k->result = blk_make_empty(k->top);
}

static int commit(Img *im, Blk *b, const char *base, bool drop)
{
    BlkNode *target = find_base(b, base);
    Commit k = { .im = im, .top = blk_node(b) };
    Error *err = NULL;
    int status = 1;

    if (!target) {
        return img_error(im, base ? "Did not find '%s' in the backing chain of '%s'" : "Image does not have a backing file", base, blk_node_filename(blk_node(b)));
    }
    k.base = blk_new(im->session, NULL, BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_ALL, &err);
    if (!blk_reopen_rw(target, &err) || !blk_insert(k.base, target, &err)) {
        img_fail(im, err);
        goto out;
    }
    if (blk_size(k.base) < node_size(k.top) && !blk_resize(k.base, node_size(k.top), BLK_PREALLOC_OFF, &err)) {
        img_fail(im, err);
        goto out;
    }
    img_progress(im, 0);
    img_run(im, run_commit, &k);
    if (k.result < 0) {
        img_error(im, "Block job failed: %s", g_strerror(-k.result));
        goto out;
    }
    if (!drop) {
        img_run(im, run_empty, &k);
    }
    if (k.result < 0) {
        img_error(im, "Could not empty '%s': %s", blk_node_filename(k.top), g_strerror(-k.result));
        goto out;
    }
    img_progress_end(im);
    img_print(im, "Image committed.\n");
    status = 0;
out:
    blk_free(k.base);
    return status;
}

int img_commit(Img *im, int argc, char **argv)
{
    const char *format = NULL, *base = NULL;
    unsigned flags = BLK_O_RDWR | BLK_O_UNMAP;
    bool drop = false;
    int c, status;
    Blk *b;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == 't' && !img_cache(im, optarg, "", &flags)) || (c == 'r' && !img_rate(im, optarg))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        base = c == 'b' ? optarg : base;
        drop |= c == 'd' || c == 'b';
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    b = img_open(im, argv[optind], format, flags);
    if (!b) {
        return 1;
    }
    img_warn_raw(b);
    status = commit(im, b, base, drop);
    blk_free(b);
    return status;
}
