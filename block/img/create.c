/* SPDX-License-Identifier: MIT */
/* create */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "util/size.h"

/* "Formatting 'x', fmt=qcow2 cluster_size=65536 ...": what is set, and the defaults that the format's table names. */
static void print_formatting(Img *im, const BlkDriver *drv, const char *name, const Json *o)
{
    g_autofree OptKey *keys = blk_create_keys(drv);

    img_print(im, "Formatting '%s', fmt=%s", name, drv->name);
    for (const OptKey *k = keys; k->name; k++) {
        Json *v = json_get(o, k->name);
        g_autofree char *text = v ? json_scalar_text(v) : g_strdup(k->def);

        if (text) {
            g_auto(GStrv) parts = g_strsplit(text, ",", -1);
            g_autofree char *typed = g_strjoinv(",,", parts);       /* as it would be typed */

            img_print(im, " %s=%s", k->name, typed);
        }
    }
    img_print(im, "\n");
}

int img_old_encrypt(Img *im)
{
    return img_error(im, "-e is of old programs, which asked for the password; now: --object secret,id=ID,file=PATH -o encrypt.format=luks,encrypt.key-secret=ID");
}

int img_old_compat6(Img *im, const BlkDriver *drv, const char *name, Json *options)
{
    if (strcmp(drv->name, "vmdk")) {
        return img_error(im, "%s: -6 is for the format vmdk, and means -o compat6=on there", name);
    }
    json_set_bool(options, "compat6", true);
    return 0;
}

int img_print_keys(const OptKey *keys)
{
    for (const OptKey *k = keys; k->name; k++) {
        if (k->absent) {
            continue;
        }
        const char *type = k->type == OPT_SIZE ? "size" : k->type == OPT_BOOL ? "bool (on/off)" : k->type == OPT_NUMBER ? "num" : "str";
        g_autofree char *left = g_strdup_printf("%s=<%s>", k->name, type);

        printf("  %-22s - %s\n", left, k->help);
    }
    return 0;
}

int img_create_help(const BlkDriver *drv, bool with_file)
{
    g_autofree OptKey *keys = blk_create_keys(drv);

    printf("Supported %s options:\n", drv->name);
    return img_print_keys(with_file ? keys : drv->create_options);
}

/* Size of the backing file, and a check that it is there; also the words about a missing format. */
static bool look_at_backing(Img *im, const char *name, Json *o, bool unsafe, Error **errp)
{
    const char *backing = json_get_string(o, "backing_file"), *format = json_get_string(o, "backing_fmt");
    g_autofree char *path = blk_path_combine(name, backing);
    Blk *b;

    if (unsafe) {
        return format || error_set(errp, "Backing file specified without backing format");
    }
    b = img_open_opts(im, path, false, format, BLK_O_NO_BACKING | (format ? 0 : BLK_O_NO_IO), errp);
    if (!b) {
        error_hint(errp, "Could not open backing image.\n");
        return false;
    }
    if (!format) {
        error_set(errp, "Backing file specified without backing format");
        error_hint(errp, img_talks(im) ? "Detected format of %s: say -F %s if that is right.\n" : "Detected format of %s.\n", blk_node_driver(blk_node(b)), blk_node_driver(blk_node(b)));
    } else if (!json_get(o, "size")) {
        json_set_uint(o, "size", blk_size(b));
    }
    blk_free(b);
    return format != NULL;
}

typedef struct {
    const char *format, *backing, *backing_format;
    GPtrArray *opts;
    bool unsafe, compat6;           /* compat6: -6 of old guides */
} Args;

static int parse(Img *im, int argc, char **argv, Args *a)
{
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        switch (c) {
        case 'f':
            a->format = optarg;
            break;
        case 'b':
            a->backing = optarg;
            break;
        case 'F':
            a->backing_format = optarg;
            break;
        case 'o':
            g_ptr_array_add(a->opts, optarg);
            break;
        case 'u':
            a->unsafe = true;
            break;
        case '6':
            a->compat6 = true;
            break;
        case 'e':
            return img_old_encrypt(im);
        case -2:
            return 1;
        }
    }
    return 0;
}

static int do_create(Img *im, const Args *a, const char *name, const char *size)
{
    const BlkDriver *drv = blk_driver_find(a->format);
    Error *err = NULL;
    g_autoptr(Json) o = json_object();
    uint64_t bytes;

    if (!drv || !drv->create) {
        return img_error(im, drv ? "%s: Format driver '%s' does not support image creation" : "%s: Unknown file format '%s'", name, a->format);
    }
    for (unsigned i = 0; i < a->opts->len; i++) {
        if (img_wants_help(a->opts->pdata[i])) {
            return img_create_help(drv, true);
        }
        if (!img_parse_create(im, drv, a->opts->pdata[i], &o, &err)) {
            goto fail;
        }
    }
    if (a->compat6 && img_old_compat6(im, drv, name, o)) {
        return 1;
    }
    if (size) {
        if (!img_size(im, size, "image size", 1, &bytes)) {
            return 1;
        }
        if (json_get(o, "size") && json_get_u64(o, "size", 0) != bytes) {
            return img_error(im, "%s: The image size must be specified only once", name);
        }
        json_set_uint(o, "size", bytes);
    }
    if (a->backing) {
        if (!drv->has_backing) {
            return img_error(im, "%s: Backing file not supported for file format '%s'", name, drv->name);
        }
        json_set_string(o, "backing_file", a->backing);
    }
    if (a->backing_format) {
        if (!blk_driver_find(a->backing_format)) {
            return img_error(im, "%s: Unknown backing file format '%s'", name, a->backing_format);
        }
        json_set_string(o, "backing_fmt", a->backing_format);
    }
    if (json_get_string(o, "backing_file") && !look_at_backing(im, name, o, a->unsafe, &err)) {
        goto fail;
    }
    if (!json_get(o, "size") && json_get_bool(o, "detached-header", false)) {
        json_set_int(o, "size", -1);            /* a header alone has none; so the other program prints it */
    }
    if (!json_get(o, "size")) {
        return img_error(im, "%s: Image creation needs a size parameter", name);
    }
    if (!blk_can_make(name, &err)) {
        goto fail;
    }
    print_formatting(im, drv, name, o);
    fflush(stdout);
    json_set_uint(o, "size", json_get_bool(o, "detached-header", false) ? 0 : (json_get_u64(o, "size", 0) + 511) & ~511ull);
    if (blk_create(im->session, drv, name, o, &err)) {
        return 0;
    }
fail:
    error_prepend(&err, "%s: ", name);
    return img_fail(im, err);
}

int img_create(Img *im, int argc, char **argv)
{
    Args a = { .format = "raw", .opts = g_ptr_array_new() };
    int status = parse(im, argc, argv, &a), left = argc - optind;

    if (status == 0 && left < 1) {
        bool help = a.opts->len && img_wants_help(a.opts->pdata[a.opts->len - 1]) && blk_driver_find(a.format);
        status = help ? img_create_help(blk_driver_find(a.format), false) : img_try_help(im, "Expecting image file name");
    } else if (status == 0 && left > 2) {
        status = img_try_help(im, "Unexpected argument: %s", argv[optind + 2]);
    } else if (status == 0) {
        status = do_create(im, &a, argv[optind], left > 1 ? argv[optind + 1] : NULL);
    }
    g_ptr_array_unref(a.opts);
    return status;
}
