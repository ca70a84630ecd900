/* SPDX-License-Identifier: MIT */
/* bitmap: changes of the persistent bitmaps of an image, in the order in which they are named. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/bitmap.h"
#include "block/img/img-priv.h"

typedef struct { int what; const char *source; } Step;

static const char *step_name(const Step *s)
{
    static const char *const names[] = { "add", "remove", "remove-all", "clear", "enable", "disable", "merge" };

    return names[s->what - OPT_ADD];
}

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

static bool remove_all(BlkNode *n, Error **errp)
{
    while (n->bitmaps) {
        g_autofree char *name = g_strdup(n->bitmaps->name);

        if (!remove_one(n, name, errp)) {
            return error_prepend(errp, "%s: ", name);
        }
    }
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

    switch (w->step->what) {
    case OPT_ADD:
        return add(n, w->name, w->granularity, errp);
    case OPT_REMOVE:
        return remove_one(n, w->name, errp);
    case OPT_REMOVE_ALL:
        return remove_all(n, errp);
    }
    b = find(n, w->name, false, errp);
    if (!b) {
        return false;
    }
    switch (w->step->what) {
    case OPT_CLEAR:
        blk_bitmap_clear_all(b);
        return true;
    case OPT_MERGE:
        return merge(w, b, errp);
    default:
        b->enabled = w->step->what == OPT_ENABLE;
        return true;
    }
}

static void run_step(void *opaque)
{
    Work *w = opaque;

    w->ok = one_step(w, &w->err);
}

static int run_steps(Img *im, Work *w, GArray *steps)
{
    for (unsigned i = 0; i < steps->len; i++) {
        w->step = &g_array_index(steps, Step, i);
        img_run(im, run_step, w);
        if (!w->ok) {
            error_prepend(&w->err, w->name ? "Operation %s on bitmap %s failed: " : "Operation %s failed: ", step_name(w->step), w->name);
            return img_fail(im, w->err);
        }
    }
    return 0;
}

/* All but --remove-all are about one bitmap. */
static bool needs_name(GArray *steps)
{
    for (unsigned i = 0; i < steps->len; i++) {
        if (g_array_index(steps, Step, i).what != OPT_REMOVE_ALL) {
            return true;
        }
    }
    return !steps->len;
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

    while ((c = img_getopt(im, argc, argv)) != -1) {
        Step s = { c, c == OPT_MERGE ? optarg : NULL };

        if (c == -2 || (c == 'g' && !img_size(im, optarg, "granularity", 1, &w.granularity))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        source = c == 'b' ? optarg : source;
        source_format = c == 'F' ? optarg : source_format;
        if (c >= OPT_ADD && c <= OPT_MERGE) {
            g_array_append_val(steps, s);
        }
    }
    if (!steps->len && argc - optind == 2) {
        return img_error(im, "Need at least one of --add, --remove, --remove-all, --clear, --enable, --disable, or --merge");
    }
    if (argc - optind != 1 + needs_name(steps)) {
        return img_error(im, needs_name(steps) ? "Expecting filename and bitmap name" : "Expecting filename");
    }
    if (w.granularity && !has(steps, OPT_ADD)) {
        return img_error(im, "granularity only supported with --add");
    }
    if ((source || source_format) && !has(steps, OPT_MERGE)) {
        return img_error(im, source ? "Merge bitmap source image only supported with --merge" : "-F only supported with -b");
    }
    w.name = needs_name(steps) ? argv[optind + 1] : NULL;
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
