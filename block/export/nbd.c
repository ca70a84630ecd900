/* SPDX-License-Identifier: MIT */
/* Exports over NBD. */
#include <string.h>

#include "block/bitmap.h"
#include "block/graph.h"
#include "block/nbd/server-priv.h"

static const OptKey nbd_keys[] = {
    { "name", OPT_STRING, "name that clients ask for", .def = "the node's" },
    { "description", OPT_STRING, "text for people" },
    { "allocation-depth", OPT_BOOL, "offer qemu:allocation-depth", .def = "off" },
    { "bitmaps", OPT_ANY, "dirty bitmaps to offer" },
    {}
};

static uint16_t export_flags(const Export *e, const NbdServer *srv)
{
    uint16_t f = NBD_FLAG_HAS_FLAGS | NBD_FLAG_FLUSH | NBD_FLAG_FUA | NBD_FLAG_CACHE;

    if (!e->writable) {
        return f | NBD_FLAG_READ_ONLY | NBD_FLAG_MULTI_CONN;
    }
    /* Every connection sees what any flush made safe: all go through the same node. */
    return f | NBD_FLAG_TRIM | NBD_FLAG_WRITE_ZEROES | NBD_FLAG_FAST_ZERO | (srv->config.max_connections == 1 ? 0 : NBD_FLAG_MULTI_CONN);
}

static bool check_text(const char *what, const char *text, Error **errp)
{
    return !text || strlen(text) <= NBD_MAX_STRING ? true : error_set(errp, "export %s '%.20s...' is longer than %d bytes", what, text, NBD_MAX_STRING);
}

/* ---- dirty bitmaps ---- */

static int dirty(NbdExport *x, const NbdContext *c, uint64_t off, uint64_t len, uint64_t *piece, uint64_t *flags)
{
    bool set;

    *piece = blk_bitmap_run(c->opaque, off, len, &set);
    *flags = set;                       /* the protocol's one flag of such a context */
    return 0;
}

/* Of the node or of one below it. */
static BlkBitmap *find_bitmap(BlkNode *n, const char *name)
{
    BlkBitmap *b = NULL;

    for (; n && !b; n = blk_node_below(n)) {
        b = blk_bitmap_find(n, name);
    }
    return b;
}

static bool usable(const Export *e, const BlkBitmap *b, Error **errp)
{
    if (b->busy) {
        return error_set(errp, "Bitmap '%s' is currently in use by another operation and cannot be used", b->name);
    }
    if (b->inconsistent) {
        error_set(errp, "Bitmap '%s' is inconsistent and cannot be used", b->name);
        return error_hint(errp, "Try block-dirty-bitmap-remove to delete this bitmap from disk\n");
    }
    if (!e->writable && b->enabled && !b->node->read_only) {
        return error_set(errp, "Enabled bitmap '%s' incompatible with readonly export", b->name);
    }
    return true;
}

/* A member of `bitmaps`: a name, or {node, name}. */
static BlkBitmap *choose_bitmap(const Export *e, const Json *j, Error **errp)
{
    const char *name = json_is(j, JSON_OBJECT) ? json_get_string(j, "name") : json_as_string(j);
    const char *node = json_is(j, JSON_OBJECT) ? json_get_string(j, "node") : NULL;
    BlkNode *n = node ? blk_node_find(e->session, node) : blk_node(e->blk);
    BlkBitmap *b = n && name ? find_bitmap(n, name) : NULL;

    if (node && !n) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", node, node);
    } else if (!b) {
        error_set(errp, "Bitmap '%s' is not found", name ? name : "");
    }
    return b && usable(e, b, errp) ? b : NULL;
}

static bool add_bitmaps(const Export *e, NbdExport *x, const Json *list, Error **errp)
{
    for (unsigned i = 0; list && i < json_size(list); i++) {
        BlkBitmap *b = choose_bitmap(e, json_at(list, i), errp);
        g_autofree char *name = b ? g_strdup_printf("qemu:dirty-bitmap:%s", b->name) : NULL;

        if (!b) {
            return false;
        }
        if (x->context_count == NBD_CONTEXTS_MAX) {
            return error_set(errp, "more bitmaps than %d contexts", NBD_CONTEXTS_MAX);
        }
        b->busy = true;
        nbd_context_add(x, name, dirty, b);
    }
    return true;
}

static void free_contexts(NbdExport *x)
{
    for (unsigned i = 0; i < x->context_count; i++) {
        if (x->contexts[i].opaque) {
            ((BlkBitmap *)x->contexts[i].opaque)->busy = false;
        }
        g_free(x->contexts[i].name);
    }
    g_free(x->name);
    g_free(x->description);
}

/* Those who come from now on are told; the others may go on within what they know, or what is left of it. */
static void resized(void *opaque)
{
    NbdExport *x = opaque;

    __atomic_store_n(&x->size, blk_size(x->exp->blk), __ATOMIC_RELAXED);
}

static const BlkEvents nbd_events = { .resized = resized };

static bool nbd_open(Export *e, const Json *o, Error **errp)
{
    NbdServer *srv = nbd_server_get(e->session);
    NbdExport *x = e->state;
    const char *name = json_get_string(o, "name"), *description = json_get_string(o, "description");
    BlkLimits limits;

    if (!srv) {
        return error_set(errp, "NBD server not running");
    }
    name = name ? name : json_get_string(o, "node-name");
    if (!check_text("name", name, errp) || !check_text("description", description, errp)) {
        return false;
    }
    if (nbd_server_find(srv, name)) {
        return error_set(errp, "NBD server already has export named '%s'", name);
    }
    if (json_get(o, "bitmaps") && !json_is(json_get(o, "bitmaps"), JSON_ARRAY)) {
        return error_set(errp, "Invalid parameter type for 'bitmaps', expected: array");
    }
    blk_limits(e->blk, &limits);
    x->exp = e;
    x->name = g_strdup(name);
    x->description = g_strdup(description);
    x->size = blk_size(e->blk);
    x->flags = export_flags(e, srv);
    x->min_block = 1;                   /* the layer below cuts and fills */
    x->pref_block = MAX(limits.align, 4096);
    nbd_context_add_allocation(x, json_get_bool(o, "allocation-depth", false));
    if (!add_bitmaps(e, x, json_get(o, "bitmaps"), errp)) {
        free_contexts(x);
        return false;
    }
    blk_set_events(e->blk, &nbd_events, x);
    nbd_server_add_export(srv, x);
    return true;
}

static bool nbd_in_use(const Export *e)
{
    return ((const NbdExport *)e->state)->users;
}

static void nbd_close(Export *e)
{
    NbdExport *x = e->state;

    blk_set_events(e->blk, NULL, NULL);
    nbd_server_remove_export(x->server, x);
    free_contexts(x);
}

static const ExportType nbd_type = {
    .name = "nbd", .help = "the network block device protocol", .state_size = sizeof(NbdExport), .keys = nbd_keys, .open = nbd_open, .in_use = nbd_in_use, .close = nbd_close,
};
EXPORT_TYPE(nbd_type);
