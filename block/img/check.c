/* SPDX-License-Identifier: MIT */
/* check */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/img/img-priv.h"

static void print_line(void *opaque, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void print_text(Img *im, const BlkCheck *c)
{
    if (!c->corruptions && !c->leaks && !c->check_errors) {
        img_print(im, "No errors were found on the image.\n");
    }
    if (c->corruptions) {
        img_print(im, "\n%" PRIu64 " errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n", c->corruptions);
    }
    if (c->leaks) {
        img_print(im, "\n%" PRIu64 " leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n", c->leaks);
    }
    if (c->check_errors) {
        img_print(im, "\n%" PRIu64 " internal errors have occurred during the check.\n", c->check_errors);
    }
    if (c->total_clusters && c->allocated_clusters) {
        img_print(im, "%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n", c->allocated_clusters, c->total_clusters,
                  c->allocated_clusters * 100.0 / c->total_clusters, c->fragmented_clusters * 100.0 / c->allocated_clusters, c->compressed_clusters * 100.0 / c->allocated_clusters);
    }
    if (c->image_end) {
        img_print(im, "Image end offset: %" PRIu64 "\n", c->image_end);
    }
}

static void set_some(Json *j, const char *key, uint64_t v)
{
    if (v) {
        json_set_uint(j, key, v);
    }
}

static void print_json(const BlkCheck *c, const char *name, const char *format)
{
    g_autoptr(Json) j = json_object();
    g_autofree char *text = NULL;

    set_some(j, "image-end-offset", c->image_end);
    set_some(j, "total-clusters", c->total_clusters);
    json_set_uint(j, "check-errors", c->check_errors);
    set_some(j, "corruptions", c->corruptions);
    set_some(j, "leaks", c->leaks);
    set_some(j, "corruptions-fixed", c->corruptions_fixed);
    set_some(j, "leaks-fixed", c->leaks_fixed);
    set_some(j, "compressed-clusters", c->compressed_clusters);
    set_some(j, "fragmented-clusters", c->fragmented_clusters);
    set_some(j, "allocated-clusters", c->allocated_clusters);
    json_set_string(j, "filename", name);
    json_set_string(j, "format", format);
    text = json_text(j, JSON_PRETTY);
    puts(text);
}

/* After a repair: look again, with the figures of what was mended kept. */
static int again(Img *im, Blk *b, BlkCheck *c, bool json)
{
    uint64_t leaks = c->leaks_fixed, corruptions = c->corruptions_fixed;
    int r;

    if (!leaks && !corruptions) {
        return 0;
    }
    if (!json) {
        img_print(im, "The following inconsistencies were found and repaired:\n\n    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\nDouble checking the fixed image now...\n", leaks, corruptions);
    }
    *c = (BlkCheck){ .report = print_line };
    r = blk_check(b, c);
    c->leaks_fixed = leaks;
    c->corruptions_fixed = corruptions;
    return r;
}

int img_check(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    BlkCheck c = { .report = print_line };
    unsigned flags = BLK_O_CHECK;
    bool json = false;
    Blk *b;
    int o, r;

    while ((o = img_getopt(im, argc, argv)) != -1) {
        if (o == -2 || (o == OPT_OUTPUT && !img_is_json(im, optarg, &json)) || (o == 'T' && !img_cache(im, optarg, "source ", &flags))) {
            return 1;
        }
        format = o == 'f' ? optarg : format;
        if (o == 'r') {
            c.repair_leaks = true;
            c.repair_all = !strcmp(optarg, "all");
            flags |= BLK_O_RDWR;
            if (!c.repair_all && strcmp(optarg, "leaks")) {
                return img_try_help(im, "Unknown option value for -r (expecting 'leaks' or 'all'): %s", optarg);
            }
        }
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    b = img_open(im, argv[optind], format, flags);
    if (!b) {
        return 1;
    }
    r = blk_check(b, &c);
    if (r == -ENOTSUP) {
        img_error(im, "This image format does not support checks");
        blk_free(b);
        return 63;
    }
    if (r == 0) {
        r = again(im, b, &c, json);
    }
    if (r < 0) {
        img_error(im, "Check failed: %s", g_strerror(-r));
        blk_free(b);
        return 1;
    }
    if (json) {
        print_json(&c, argv[optind], blk_node_driver(blk_node(b)));
    } else {
        print_text(im, &c);
    }
    blk_free(b);
    return c.check_errors ? 1 : c.corruptions ? 2 : c.leaks ? 3 : 0;
}
