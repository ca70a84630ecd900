/* SPDX-License-Identifier: MIT */
/* bitmap: changes of the persistent bitmaps of an image, in the order in which they are named. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/bitmap.h"
#include "block/img/img-priv.h"

typedef struct { int what; const char *source; } Step;
enum { ADD = 1, REMOVE, CLEAR, ENABLE, DISABLE, MERGE };
static const char *const names[] = { "", "add", "remove", "clear", "enable", "disable", "merge" };

typedef struct {
    Blk *b, *from;                  /* the image, and the one that merges take from */
    const Step *step;
    const char *name;
    uint64_t granularity;
    Error *err;
    bool ok;
} Work;

static BlkBitmap *find(BlkNode *n, const char *name, bool broken, Error **errp)
{
    BlkBitmap *b = blk_bitmap_find(n, name);

    if (!b) {
        error_set(errp, "Dirty bitmap '%s' not found", name);
    } else if (b->inconsistent && !broken) {
        error_set(errp, "Bitmap '%s' is inconsistent and cannot be used", name);
        error_hint(errp, "Try block-dirty-bitmap-remove to delete this bitmap from disk");
        b = NULL;
    }
    return b;
}

static bool add(BlkNode *n, const char *name, uint64_t granularity, Error **errp)
{
    BlkBitmap *b = blk_bitmap_new(n, name, granularity, errp);

    if (b && !blk_bitmap_make_persistent(b, errp)) {
        blk_bitmap_free(b);
        b = NULL;
    }
    return b;
}

static bool remove_one(BlkNode *n, const char *name, Error **errp)
{
    BlkBitmap *b = find(n, name, true, errp);

    if (!b || (b->stored && !n->drv->image->bitmap_remove(n, name, errp))) {
        return false;
    }
    blk_bitmap_free(b);
    return true;
}

static bool merge(Work *w, BlkBitmap *into, Error **errp)
{
    BlkBitmap *from = find(blk_node(w->from ? w->from : w->b), w->step->source, false, errp);

    if (from && from->size != into->size) {
        return error_set(errp, "Bitmaps are of different sizes (destination size is %" PRIu64 ", source size is %" PRIu64 ") and can't be merged", into->size, from->size);
    }
    if (from) {
        blk_bitmap_merge(into, from);
    }
    return from;
}

static bool one_step(Work *w, Error **errp)
{
    BlkNode *n = blk_node(w->b);
    BlkBitmap *b;

    if (w->step->what == ADD) {
        return add(n, w->name, w->granularity, errp);
    }
    if (w->step->what == REMOVE) {
        return remove_one(n, w->name, errp);
    }
    b = find(n, w->name, false, errp);
    if (!b) {
        return false;
    }
    switch (w->step->what) {
    case CLEAR:
        blk_bitmap_clear_all(b);
        return true;
    case MERGE:
        return merge(w, b, errp);
    default:
        b->enabled = w->step->what == ENABLE;
        return true;
    }
}

static void run_step(void *opaque)
{
    Work *w = opaque;

    w->ok = one_step(w, &w->err);
}

static const struct option bitmap_options[] = {
    { "add", no_argument, NULL, 1000 + ADD }, { "remove", no_argument, NULL, 1000 + REMOVE }, { "clear", no_argument, NULL, 1000 + CLEAR },
    { "enable", no_argument, NULL, 1000 + ENABLE }, { "disable", no_argument, NULL, 1000 + DISABLE }, { "merge", required_argument, NULL, 1000 + MERGE },
    { "source-file", required_argument, NULL, 'b' }, { "source-format", required_argument, NULL, 'F' }, { "granularity", required_argument, NULL, 'g' }, {}
};

static int run_steps(Img *im, Work *w, GArray *steps)
{
    for (unsigned i = 0; i < steps->len; i++) {
        w->step = &g_array_index(steps, Step, i);
        img_run(im, run_step, w);
        if (!w->ok) {
            error_prepend(&w->err, "Operation %s on bitmap %s failed: ", names[w->step->what], w->name);
            return img_fail(im, w->err);
        }
    }
    return 0;
}

static bool has(GArray *steps, int what)
{
    for (unsigned i = 0; i < steps->len; i++) {
        if (g_array_index(steps, Step, i).what == what) {
            return true;
        }
    }
    return false;
}

int img_bitmap(Img *im, int argc, char **argv)
{
    const char *format = NULL, *source = NULL, *source_format = NULL;
    g_autoptr(GArray) steps = g_array_new(false, false, sizeof(Step));
    Work w = {};
    int c, status;

    while ((c = img_getopt(im, argc, argv, "b:f:F:g:", bitmap_options)) != -1) {
        Step s = { c - 1000, c == 1000 + MERGE ? optarg : NULL };

        if (c == -2 || (c == 'g' && !img_size(im, optarg, "granularity", 1, &w.granularity))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        source = c == 'b' ? optarg : source;
        source_format = c == 'F' ? optarg : source_format;
        if (c > 1000) {
            g_array_append_val(steps, s);
        }
    }
    if (argc - optind != 2) {
        return img_error(im, "Expecting filename and bitmap name");
    }
    if (!steps->len) {
        return img_error(im, "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    }
    if (w.granularity && !has(steps, ADD)) {
        return img_error(im, "granularity only supported with --add");
    }
    if ((source || source_format) && !has(steps, MERGE)) {
        return img_error(im, source ? "Merge bitmap source image only supported with --merge" : "-F only supported with -b");
    }
    w.name = argv[optind + 1];
    w.b = img_open(im, argv[optind], format, BLK_O_RDWR);
    w.from = w.b && source ? img_open(im, source, source_format, 0) : NULL;
    if (!w.b || (source && !w.from)) {
        blk_free(w.b);
        return 1;
    }
    img_warn_raw(w.b);
    status = run_steps(im, &w, steps);
    blk_free(w.from);
    blk_free(w.b);
    return status;
}
