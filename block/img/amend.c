/* SPDX-License-Identifier: MIT */
/* amend */
#include <stdio.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "util/options.h"

static bool known(const OptKey *keys, const char *name)
{
    for (; keys && keys->name; keys++) {
        if (!strcmp(keys->name, name)) {
            return true;
        }
    }
    return false;
}

/* What only creation knows gets a word more. */
static bool creation_only(const BlkDriver *drv, const char *text, Error **errp)
{
    g_auto(GStrv) parts = options_split(text);

    for (char **p = parts; *p; p++) {
        (*p)[strcspn(*p, "=")] = 0;
        if (!known(drv->image->amend_options, *p) && known(drv->create_options, *p)) {
            error_set(errp, "Invalid parameter '%s'", *p);
            error_hint(errp, "This option is only supported for image creation");
            return true;
        }
    }
    return false;
}

static bool parse_options(const BlkDriver *drv, GPtrArray *texts, Json *o, Error **errp)
{
    OptGroup g = { .name = drv->name, .keys = drv->image->amend_options };

    for (unsigned i = 0; i < texts->len; i++) {
        Json *one = creation_only(drv, texts->pdata[i], errp) ? NULL : options_parse(&g, texts->pdata[i], errp);

        if (!one) {
            return false;
        }
        options_merge(&g, o, one);
        json_unref(one);
    }
    return true;
}

typedef struct {
    BlkNode *n;
    Json *o;
    bool force;
    Error **errp;
    bool ok;
} Job;

static void run_amend(void *opaque)
{
    Job *j = opaque;

    j->ok = j->n->drv->image->amend(j->n, j->o, j->force, j->errp);
}

static int amend(Img *im, Blk *b, GPtrArray *texts, bool force)
{
    const BlkDriver *drv = blk_node(b)->drv;
    g_autoptr(Json) o = json_object();
    Error *err = NULL;
    Job j = { blk_node(b), o, force, &err, false };

    if (!drv->image || !drv->image->amend) {
        return img_error(im, "Format driver '%s' does not support option amendment", drv->name);
    }
    if (!parse_options(drv, texts, o, &err)) {
        return img_fail(im, err);
    }
    img_progress(im, 0);
    img_run(im, run_amend, &j);
    if (!j.ok) {
        img_progress_end(im);
        return img_fail(im, err);
    }
    img_progress_end(im);
    return 0;
}

static int print_help(Img *im, const char *format)
{
    const BlkDriver *drv = format ? blk_driver_find(format) : NULL;

    if (!drv || !drv->image || !drv->image->amend_options) {
        return img_error(im, drv ? "Format driver '%s' does not support option amendment" : "Need an image format (-f) to list its options%.0s", drv ? drv->name : "");
    }
    printf("Amend options for '%s':\n", drv->name);
    return img_print_keys(drv->image->amend_options);
}

int img_amend(Img *im, int argc, char **argv)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new();
    unsigned flags = BLK_O_RDWR;
    const char *format = NULL;
    Blk *b;
    bool force = false;
    int o, status;

    while ((o = img_getopt(im, argc, argv)) != -1) {
        if (o == -2 || (o == 't' && !img_cache(im, optarg, "", &flags))) {
            return 1;
        }
        format = o == 'f' ? optarg : format;
        force |= o == OPT_FORCE;
        if (o == 'o') {
            g_ptr_array_add(texts, optarg);
        }
    }
    if (!texts->len) {
        return img_try_help(im, "Must specify options (-o)");
    }
    for (unsigned i = 0; i < texts->len; i++) {
        if (img_wants_help(texts->pdata[i])) {
            return print_help(im, format);
        }
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    b = img_open(im, argv[optind], format, flags);
    if (!b) {
        return 1;
    }
    img_warn_raw(b);
    status = amend(im, b, texts, force);
    blk_free(b);
    return status;
}
