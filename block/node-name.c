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

static bool is_plain(const BlkNode *n)
{
    while (blk_filtered(n)) {
        n = blk_filtered(n);
    }
    if (n->drv->kind & BLK_DRV_PROTOCOL) {
        return *n->filename;
    }
    if (!strcmp(n->drv->name, "raw") && (json_get(n->options, "offset") || json_get(n->options, "size"))) {
        return false;
    }
    return n->file && !child_named(n, "children.0") && is_plain(n->file->node);
}

/* How a node is used, not what it holds. */
static bool is_use(const char *key)
{
    static const char *const keys[] = { "driver", "node-name", "read-only", "auto-read-only", "force-share", "cache", "discard", "detect-zeroes", "backing", "children",
                                        "locking", "aio", "aio-max-batch", "drop-cache" };

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!strcmp(key, keys[i])) {
            return true;
        }
    }
    return g_str_has_prefix(key, "cache.");
}

static Json *describe(const BlkNode *n);

/* A quorum's are a list in their order, children.0 first. */
static void describe_list(Json *j, const BlkNode *n)
{
    g_autoptr(Json) list = json_array();
    const BlkChild *c;

    for (unsigned i = 0; ; i++) {
        g_autofree char *name = g_strdup_printf("children.%u", i);

        c = child_named(n, name);
        if (!c) {
            break;
        }
        json_append(list, describe(c->node));
    }
    if (json_size(list)) {
        json_set(j, "children", json_ref(list));
    }
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

        if (!is_use(key) && !child_named(n, key)) {
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
