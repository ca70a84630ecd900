/* SPDX-License-Identifier: MIT */
/* info: one record a node, printed as text or JSON. */
#include <stdio.h>
#include <string.h>

#include "block/img/img-priv.h"

static Json *with_limits_first(BlkNode *n, bool with_limits)
{
    Json *j = json_object();

    if (with_limits) {
        json_set(j, "limits", blk_limits_info(n));
    }
    return j;
}

static Json *file_info(BlkNode *n, bool with_limits)
{
    Json *j = with_limits_first(n, with_limits);

    json_set(j, "children", json_array());
    blk_node_info(n, j);
    return j;
}

static Json *children(BlkNode *n, bool with_limits)
{
    Json *list = json_array();

    for (BlkChild *c = n->children; c; c = c->next) {
        Json *j;

        if (c->role == BLK_CHILD_BACKING || !(c->node->drv->kind & BLK_DRV_PROTOCOL)) {
            continue;
        }
        j = json_object();
        json_set_string(j, "name", c->name);
        json_set(j, "info", file_info(c->node, with_limits));
        json_append(list, j);
    }
    return list;
}

static Json *node_info(BlkNode *n, bool with_limits)
{
    Json *j = with_limits_first(n, with_limits);

    json_set(j, "children", children(n, with_limits));
    blk_node_info(n, j);
    return j;
}

static void print_info(const Json *info)
{
    g_autoptr(GString) out = g_string_new(NULL);

    blk_info_text(out, info);
    fputs(out->str, stdout);
}

void img_print_snapshots(const GPtrArray *list)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(Json) j = blk_snapshots_info(list);

    blk_snapshots_text(out, j);
    fputs(out->str, stdout);
}

/* ---- the verb ---- */

typedef struct {
    BlkNode *n;
    bool limits;
    Json *info;
} Ask;

static void run_info(void *opaque)
{
    Ask *a = opaque;

    a->info = node_info(a->n, a->limits);
}

/* One image of the chain at a time, so that a chain of any length is read with one open. */
static Json *collect(Img *im, const char *name, const char *format, bool chain, bool with_limits, unsigned flags)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *at = g_strdup(name), *fmt = g_strdup(format);
    Json *list = json_array();

    while (at) {
        Ask a = { .limits = with_limits };
        Blk *b;

        if (!g_hash_table_add(seen, g_strdup(at))) {
            img_error(im, "Backing file '%s' creates an infinite loop.", at);
            json_unref(list);
            return NULL;
        }
        b = img_open(im, at, fmt, flags | BLK_O_NO_BACKING | BLK_O_NO_IO);
        if (!b) {
            json_unref(list);
            return NULL;
        }
        a.n = blk_node(b);
        img_run(im, run_info, &a);
        json_append(list, a.info);
        g_free(at);
        g_free(fmt);
        at = g_strdup(json_get_string(a.info, "full-backing-filename"));
        fmt = g_strdup(json_get_string(a.info, "backing-filename-format"));
        im->image_opts = false;
        blk_free(b);
        if (!chain) {
            break;
        }
    }
    return list;
}

int img_info(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    bool json = false, chain = false, with_limits = false;
    unsigned flags = 0;
    g_autoptr(Json) list = NULL;
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == OPT_OUTPUT && !img_is_json(im, optarg, &json)) || (c == 't' && !img_cache(im, optarg, "", &flags))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        chain |= c == OPT_BACKING_CHAIN;
        with_limits |= c == OPT_LIMITS;
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    list = collect(im, argv[optind], format, chain, with_limits, flags);
    if (!list) {
        return 1;
    }
    if (json) {
        g_autofree char *text = json_text(chain ? list : json_at(list, 0), JSON_PRETTY);
        puts(text);
        return 0;
    }
    for (unsigned i = 0; i < json_size(list); i++) {
        printf("%s", i ? "\n" : "");
        print_info(json_at(list, i));
    }
    return 0;
}
