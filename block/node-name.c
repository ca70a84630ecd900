/* SPDX-License-Identifier: MIT */
/*
 * What a node is called in records and in images above it.  The name of its
 * file where that opens the same bytes; json:{...} where it does not: a window
 * of a raw file, a quorum, nodes of options alone, and formats over those.
 */
#include "block/driver.h"

#include <string.h>

static const BlkChild *child_named(const BlkNode *n, const char *name)
{
    const BlkChild *c = n->children;

    while (c && strcmp(c->name, name)) {
        c = c->next;
    }
    return c;
}

/* Of the node's options, is one among these words? */
static bool has_option(const BlkNode *n, const char *words)
{
    for (unsigned i = 0; words && n->options && i < json_size(n->options); i++) {
        if (options_one_of(words, json_key_at(n->options, i), false)) {
            return true;
        }
    }
    return false;
}

static bool is_plain(const BlkNode *n)
{
    while (blk_filtered(n)) {
        n = blk_filtered(n);
    }
    if (n->drv->kind & BLK_DRV_PROTOCOL) {
        return *n->filename;
    }
    return child_named(n, "file") && !has_option(n, n->drv->view_options) && is_plain(n->file->node);
}

/* How a node is used, not what it holds. */
static bool is_use(const BlkNode *n, const char *key)
{
    const char *all = "driver|node-name|read-only|auto-read-only|force-share|cache|discard|detect-zeroes|backing";

    return options_one_of(all, key, false) || g_str_has_prefix(key, "cache.") || (n->drv->use_options && options_one_of(n->drv->use_options, key, false));
}

static Json *describe(const BlkNode *n);

/* What has no file of its own has a list of others: in their order, LIST.0 first, in the place of the option of that name. */
static void describe_list(Json *j, const BlkNode *n)
{
    const BlkChild *c = child_named(n, "file") ? NULL : n->children;
    g_autofree char *list = c && strchr(c->name, '.') ? g_strndup(c->name, strchr(c->name, '.') - c->name) : NULL;
    Json *all = json_array();

    for (unsigned i = 0; list; i++) {
        g_autofree char *name = g_strdup_printf("%s.%u", list, i);

        c = child_named(n, name);
        if (!c) {
            break;
        }
        json_append(all, describe(c->node));
    }
    if (list) {
        json_set(j, list, json_ref(all));
    }
    json_unref(all);
}

static Json *describe(const BlkNode *n)
{
    Json *j = json_object();

    while (blk_filtered(n)) {
        n = blk_filtered(n);
    }
    json_set_string(j, "driver", n->drv->name);
    for (unsigned i = 0; n->options && i < json_size(n->options); i++) {
        const char *key = json_key_at(n->options, i);

        if (!is_use(n, key) && !child_named(n, key)) {
            json_set(j, key, json_copy(json_at(n->options, i)));
        }
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (c->role != BLK_CHILD_BACKING && !strchr(c->name, '.')) {
            json_set(j, c->name, describe(c->node));
        }
    }
    describe_list(j, n);
    return j;
}

char *blk_node_full_name(const BlkNode *n)
{
    g_autoptr(Json) j = is_plain(n) ? NULL : describe(n);
    g_autofree char *text = j ? json_text(j, JSON_COMPACT) : NULL;

    return text ? g_strdup_printf("json:%s", text) : g_strdup(n->filename);
}

char *blk_node_record_name(const BlkNode *below, const char *image)
{
    g_autofree char *name = blk_node_full_name(below), *found = blk_path_combine(image, name), *here = g_get_current_dir();
    const char *slash = strrchr(image, '/'), *rest = name;

    if (!strcmp(found, name)) {
        return g_steal_pointer(&name);
    }
    if (slash && !strncmp(name, image, slash + 1 - image)) {    /* in its folder, or below that */
        rest = name + (slash + 1 - image);
    }
    return rest != name && *rest != '/' && !blk_path_has_protocol(rest) ? g_strdup(rest) : g_build_filename(here, name, NULL);
}
