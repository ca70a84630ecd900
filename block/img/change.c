/* SPDX-License-Identifier: MIT */
/* resize, snapshot, measure: short verbs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "util/size.h"

/* ---- resize ---- */

static bool parse_prealloc(Img *im, const char *text, BlkPrealloc *out)
{
    static const char *const names[] = { "off", "metadata", "falloc", "full" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(text, names[i])) {
            *out = i;
            return true;
        }
    }
    img_error(im, "Invalid preallocation mode '%s'", text);
    return false;
}

static int resize(Img *im, Blk *b, const char *text, bool shrink, BlkPrealloc prealloc)
{
    int sign = *text == '+' ? 1 : *text == '-' ? -1 : 0;
    uint64_t size, old = blk_size(b);
    Error *err = NULL;

    if (!size_parse(text + (sign != 0), 1, &size, NULL)) {
        img_error(im, "Parameter 'size' expects a non-negative number below 2^64");
        fprintf(stderr, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.\n");
        return 1;
    }
    if (sign < 0 && size >= old) {
        return img_error(im, "New image size must be positive");
    }
    size = sign > 0 ? old + size : sign < 0 ? old - size : size;
    if (size == 0 || size > INT64_MAX) {
        return img_error(im, "New image size must be positive");
    }
    if (size < old && !shrink) {
        img_error(im, "Use the --shrink option to perform a shrink operation.");
        return img_error(im, "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.");
    }
    if (size < old && prealloc != BLK_PREALLOC_OFF) {
        return img_error(im, "Preallocation can only be used for growing images");
    }
    if (!blk_resize(b, size, prealloc, &err)) {
        return img_fail(im, err);
    }
    img_print(im, "Image resized.\n");
    return 0;
}

/* "-1M" is a size and no option: the word is taken out before options are looked for.  It is the last that can be one, or else the last. */
static const char *take_size(int *argc, char **argv)
{
    int at = *argc - 1;
    uint64_t bytes;
    char *size;

    while (at > 1 && !size_parse(argv[at] + (*argv[at] == '+' || *argv[at] == '-'), 1, &bytes, NULL)) {
        at--;
    }
    at = at > 1 ? at : *argc - 1;
    size = argv[at];
    memmove(argv + at, argv + at + 1, (*argc - at) * sizeof(*argv));
    (*argc)--;
    return size;
}

int img_resize(Img *im, int argc, char **argv)
{
    const char *format = NULL, *size;
    BlkPrealloc prealloc = BLK_PREALLOC_OFF;
    bool shrink = false;
    int c, status;
    Blk *b;

    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        img_verb_help(im, im->verb);
        return 0;
    }
    if (argc < 3) {
        return img_try_help(im, "Not enough arguments");
    }
    size = take_size(&argc, argv);
    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == OPT_PREALLOCATION && !parse_prealloc(im, optarg, &prealloc))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        shrink |= c == OPT_SHRINK;
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting image file name and size");
    }
    b = img_open(im, argv[optind], format, BLK_O_RDWR);
    if (!b) {
        return 1;
    }
    img_warn_raw(b);
    status = resize(im, b, size, shrink, prealloc);
    blk_free(b);
    return status;
}

/* ---- snapshot ---- */

typedef struct {
    Blk *b;
    int action;
    const char *name;
    Error *err;
    bool ok;
    GPtrArray *list;
} Snap;

static void run_snapshot(void *opaque)
{
    Snap *s = opaque;
    BlkNode *n = blk_node(s->b);
    const BlkImageOps *ops = n->drv->image;
    int64_t now = loop_wall_time();
    BlkSnapshot sn = { .name = (char *)s->name, .date_sec = now / 1000000, .date_nsec = now % 1000000 * 1000 };

    s->ok = true;
    switch (s->action) {
    case 'l':
        s->list = ops && ops->snapshot_list ? ops->snapshot_list(n) : NULL;
        break;
    case 'c':
        s->ok = ops && ops->snapshot_create ? ops->snapshot_create(n, &sn, &s->err) : error_set(&s->err, "Operation not supported");
        break;
    case 'a':
        s->ok = ops && ops->snapshot_apply ? ops->snapshot_apply(n, s->name, &s->err) : error_set(&s->err, "Operation not supported");
        break;
    case 'd':
        s->ok = ops && ops->snapshot_delete ? ops->snapshot_delete(n, s->name, &s->err) : error_set(&s->err, "Operation not supported");
        break;
    }
}

static int snapshot_failed(Img *im, Snap *s)
{
    const char *verb = s->action == 'c' ? "create" : s->action == 'a' ? "apply" : "delete";

    if (s->action == 'c') {
        const char *text = error_message(s->err), *colon = strrchr(text, ':');
        int r = img_error(im, "Could not create snapshot '%s': %s", s->name, colon ? colon + 2 : text);
        error_free(s->err);
        return r;
    }
    error_prepend(&s->err, "Could not %s snapshot '%s': ", verb, s->name);
    return img_fail(im, s->err);
}

int img_snapshot(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    Snap s = {};
    int c, status = 0;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        if (c < 256 && strchr("lacd", c)) {
            if (s.action) {
                return img_try_help(im, "Cannot mix '-l', '-a', '-c', '-d'");
            }
            s.action = c;
            s.name = optarg;
        }
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    if (!s.action) {
        s.action = 'l';
    }
    s.b = img_open(im, argv[optind], format, s.action == 'l' ? 0 : BLK_O_RDWR);
    if (!s.b) {
        return 1;
    }
    img_warn_raw(s.b);
    img_run(im, run_snapshot, &s);
    if (!s.ok) {
        status = snapshot_failed(im, &s);
    } else if (s.list) {
        img_print_snapshots(s.list);
        g_ptr_array_unref(s.list);
    }
    blk_free(s.b);
    return status;
}

/* ---- measure ---- */

typedef struct {
    const BlkDriver *drv;
    Json *o;
    Blk *source;
    BlkMeasure out;
    Error *err;
    bool ok;
} Measure;

static void run_measure(void *opaque)
{
    Measure *m = opaque;

    if (!strcmp(m->drv->name, "raw")) {
        uint64_t size = m->source ? blk_size(m->source) : json_get_u64(m->o, "size", 0);

        m->out = (BlkMeasure){ .required = size, .fully_allocated = size };
        m->ok = true;
    } else if (!m->drv->image || !m->drv->image->measure) {
        m->ok = error_set(&m->err, "Block driver '%s' does not support size measurement", m->drv->name);
    } else {
        m->ok = m->drv->image->measure(m->o, m->source, &m->out, &m->err);
    }
}

static void print_measure(const BlkMeasure *m, bool json)
{
    if (json) {
        g_autoptr(Json) j = json_object();
        g_autofree char *text = NULL;

        if (m->has_bitmaps) {
            json_set_uint(j, "bitmaps", m->bitmaps);
        }
        json_set_uint(j, "required", m->required);
        json_set_uint(j, "fully-allocated", m->fully_allocated);
        text = json_text(j, JSON_PRETTY);
        puts(text);
        return;
    }
    printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", m->required, m->fully_allocated);
    if (m->has_bitmaps) {
        printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
    }
}

int img_measure(Img *im, int argc, char **argv)
{
    const char *format = NULL, *out_format = "raw", *snapshot = NULL;
    g_autoptr(GPtrArray) opts = g_ptr_array_new();
    g_autoptr(Json) o = json_object();
    uint64_t size = UINT64_MAX;
    bool json = false;
    Measure m = {};
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == OPT_OUTPUT && !img_is_json(im, optarg, &json)) || (c == 's' && !img_size(im, optarg, "image size", 1, &size))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        out_format = c == 'O' ? optarg : out_format;
        snapshot = c == 'l' ? optarg : snapshot;
        if (c == 'o') {
            g_ptr_array_add(opts, optarg);
        }
    }
    if (argc - optind > 1) {
        return img_error(im, "At most one filename argument is allowed.");
    }
    if (argc - optind == 1 && size != UINT64_MAX) {
        return img_error(im, "--size N cannot be used together with a filename.");
    }
    if (argc - optind == 0 && size == UINT64_MAX) {
        return img_error(im, "Either --size N or one filename must be specified.");
    }
    if (snapshot && argc - optind == 0) {
        return img_error(im, "--image-opts, -f, and -l require a filename argument.");
    }
    m.drv = blk_driver_find(out_format);
    if (!m.drv || !m.drv->create_options) {
        return img_error(im, m.drv ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", out_format);
    }
    for (unsigned i = 0; i < opts->len; i++) {
        if (!img_parse_create(im, m.drv, opts->pdata[i], &o, &m.err)) {
            return img_fail(im, m.err);
        }
    }
    if (size != UINT64_MAX) {
        json_set_uint(o, "size", size);
    }
    m.o = o;
    if (argc - optind == 1) {
        m.source = img_open(im, argv[optind], format, BLK_O_ONCE);
        if (!m.source || (snapshot && !img_load_snapshot(im, m.source, snapshot))) {
            blk_free(m.source);
            return 1;
        }
    }
    img_run(im, run_measure, &m);
    blk_free(m.source);
    if (!m.ok) {
        return img_fail(im, m.err);
    }
    print_measure(&m.out, json);
    return 0;
}
