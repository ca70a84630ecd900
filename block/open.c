/* SPDX-License-Identifier: MIT */
/* Opening and closing nodes: options, file names, probing, the chain of backing files. */
#include "block/bitmap.h"
#include "block/block-priv.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "util/size.h"
#include "util/suggest.h"

enum { PROBE_BYTES = 2048 };

const SessionKind blk_node_kind = { .name = "node", .space = "block", .duplicate = "Duplicate nodes with node-name='%s'", .parameter = "node-name" };

/* Options that all nodes have. */
static const OptKey node_keys[] = {
    { "driver", OPT_STRING, "the node's driver" },
    { "node-name", OPT_STRING, "id of the node" },
    { "read-only", OPT_BOOL, "open for reading only" },
    { "auto-read-only", OPT_BOOL, "read-only when writing is not allowed" },
    { "cache", OPT_ANY, "cache.direct, cache.no-flush" },
    { "cache.direct", OPT_BOOL, "bypass the host's page cache" },
    { "cache.no-flush", OPT_BOOL, "ignore flushes" },
    { "discard", OPT_ENUM, "pass discards on", .values = "ignore|off|unmap|on" },
    { "detect-zeroes", OPT_ENUM, "turn written zeroes into holes", .values = "off|on|unmap" },
    { "force-share", OPT_BOOL, "share with other writers" },
    {}
};
static const OptGroup node_group = { .name = "blockdev", .keys = node_keys, .open = true };

/* ---- options ---- */

/* Every scalar as text, so that what was typed and what came as JSON are checked alike. */
static void to_text(Json *o)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        Json *v = json_at(o, i);
        g_autofree char *text = NULL;

        if (json_is(v, JSON_OBJECT) || json_is(v, JSON_ARRAY)) {
            continue;
        }
        text = json_scalar_text(v);
        if (text && !json_is(v, JSON_STRING)) {
            g_autofree char *key = g_strdup(json_key_at(o, i));
            json_set_string(o, key, text);
        }
    }
}

static bool known(const OptKey *keys, const char *name)
{
    for (; keys && keys->name; keys++) {
        if (!strcmp(keys->name, name) || (keys->alias && options_one_of(keys->alias, name, false))) {
            return true;
        }
    }
    return false;
}

static bool check_unknown(const BlkDriver *drv, const Json *o, Error **errp)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);

        if (!known(node_keys, key) && !known(drv->options, key)) {
            Suggest *s = suggest_new(key);

            for (const OptKey *k = drv->options; k && k->name; k++) {
                suggest_add(s, k->name);
            }
            error_set(errp, "Block %s '%s' does not support the option '%s'", drv->kind & BLK_DRV_PROTOCOL ? "protocol" : "format", drv->name, key);
            return suggest_hint(s, NULL, errp);
        }
    }
    return true;
}

bool blk_check_options(const BlkDriver *drv, Json *o, Error **errp)
{
    OptGroup own = { .name = drv->name, .keys = drv->options, .open = true };

    to_text(o);
    return options_check_text(&node_group, o, errp) && (!drv->options || options_check_text(&own, o, errp)) && check_unknown(drv, o, errp);
}

static void flag(unsigned *flags, unsigned bit, bool on)
{
    *flags = on ? *flags | bit : *flags & ~bit;
}

static bool cache_option(Json *o, const char *key, unsigned bit, unsigned *flags, Error **errp)
{
    g_autofree char *dotted = g_strdup_printf("cache.%s", key), *text = NULL;
    Json *v = json_get(json_get(o, "cache"), key);
    bool on;

    v = v ? v : json_get(o, dotted);
    text = v ? json_scalar_text(v) : NULL;
    if (v) {
        if (!text || !bool_parse(text, &on, NULL)) {
            return error_set(errp, "Parameter '%s' expects 'on' or 'off'", dotted);
        }
        flag(flags, bit, on);
    }
    return true;
}

/* What the options say about opening, over what the caller said. */
bool blk_option_flags(Json *o, unsigned *flags, Error **errp)
{
    const char *discard = json_get_string(o, "discard");

    if (json_get(o, "cache") && !json_is(json_get(o, "cache"), JSON_OBJECT)) {
        return error_set(errp, "Invalid parameter type for 'cache', expected: object");
    }
    if (json_get(o, "read-only")) {
        flag(flags, BLK_O_RDWR, !json_get_bool(o, "read-only", false));
    }
    if (json_get(o, "auto-read-only")) {
        flag(flags, BLK_O_AUTO_RDONLY, json_get_bool(o, "auto-read-only", false));
    }
    if (json_get(o, "force-share")) {
        flag(flags, BLK_O_FORCE_SHARE, json_get_bool(o, "force-share", false));
    }
    if (discard) {
        flag(flags, BLK_O_UNMAP, !strcmp(discard, "unmap") || !strcmp(discard, "on"));
    }
    if (json_get_string(o, "detect-zeroes") && !strcmp(json_get_string(o, "detect-zeroes"), "unmap") && !(*flags & BLK_O_UNMAP)) {
        return error_set(errp, "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
    }
    if ((*flags & BLK_O_FORCE_SHARE) && (*flags & BLK_O_RDWR)) {
        return error_set(errp, "force-share=on can only be used with read-only images");
    }
    return cache_option(o, "direct", BLK_O_DIRECT, flags, errp) && cache_option(o, "no-flush", BLK_O_NO_FLUSH, flags, errp);
}

/* ---- one node ---- */

static BlkNode *node_new(Session *s, const BlkDriver *drv, unsigned flags)
{
    BlkNode *n = g_new0(BlkNode, 1);

    n->drv = drv;
    n->session = s;
    n->flags = flags;
    n->refs = 1;
    n->align = n->mem_align = 1;
    n->shared = BLK_PERM_ALL;
    n->read_only = !(flags & BLK_O_RDWR);
    n->filename = g_strdup("");
    n->state = g_malloc0(MAX(drv->state_size, 1));
    io_lock_init(&n->lock);
    io_lock_init(&n->bitmaps_lock);
    fiber_queue_init(&n->tracked_wait);
    return n;
}

/* ---- nodes that hear of drains are counted ---- */

static const SessionKind hearers_kind = { .name = "count", .space = "drain-hearers", .destroy = g_free };
static const char hearers_id[] = "#hearers";

unsigned blk_drains_heard(Session *s)
{
    const unsigned *count = session_get(s, &hearers_kind, hearers_id);

    return count ? *count : 0;
}

static void hear_drains(BlkNode *n, bool on)
{
    unsigned *count = session_get(n->session, &hearers_kind, hearers_id);

    if (n->hears_drains == on) {
        return;
    }
    n->hears_drains = on;
    if (!count && on) {
        count = g_new0(unsigned, 1);
        session_add(n->session, &hearers_kind, hearers_id, count, NULL);
    }
    if (count) {                        /* none: the session ends */
        *count += on ? 1 : -1u;
    }
}

/* ---- life ---- */

static void node_free(BlkNode *n)
{
    hear_drains(n, false);
    while (n->children) {
        blk_detach_child(n, n->children);
    }
    if (n->name) {
        session_remove(n->session, &blk_node_kind, n->name);
    }
    fiber_queue_destroy(&n->tracked_wait);
    io_lock_destroy(&n->lock);
    blk_bitmaps_free(n);
    io_lock_destroy(&n->bitmaps_lock);
    json_unref(n->options);
    json_unref(n->backing_options);
    g_free(n->backing_name);
    g_free(n->backing_format);
    g_free(n->state);
    g_free(n->filename);
    g_free(n->name);
    g_free(n);
}

static bool name_node(BlkNode *n, const char *name, Error **errp)
{
    g_autofree char *id = name ? g_strdup(name) : session_make_id(n->session, "block");

    if (name && (!session_id_valid(name) || strlen(name) > 31)) {
        return error_set(errp, "Invalid node-name: '%s'", name);
    }
    if (blk_find(n->session, id)) {
        return error_set(errp, "node-name=%s is conflicting with a device id", id);
    }
    if (!session_add(n->session, &blk_node_kind, id, n, errp)) {
        return false;
    }
    n->name = g_steal_pointer(&id);
    return true;
}

static void set_filename(BlkNode *n, const Json *o)
{
    const char *name = json_get_string(o, "filename");

    if (!*n->filename && (name || n->file)) {
        g_free(n->filename);
        n->filename = g_strdup(name ? name : n->file->node->filename);
    }
}

static BlkNode *open_driver(Session *s, const BlkDriver *drv, Json *o, unsigned flags, Error **errp)
{
    BlkNode *n;

    if (!blk_check_options(drv, o, errp) || !blk_option_flags(o, &flags, errp)) {
        return NULL;
    }
    n = node_new(s, drv, flags);
    n->options = json_copy(o);
    n->detect_zeroes = json_get_string(o, "detect-zeroes") && strcmp(json_get_string(o, "detect-zeroes"), "off");
    if (!name_node(n, json_get_string(o, "node-name"), errp)) {
        node_free(n);
        return NULL;
    }
    if (drv->kind & BLK_DRV_PROTOCOL) {
        set_filename(n, o);
    }
    if (drv->needs_filename && !json_get_string(o, "filename")) {
        error_set(errp, "The '%s' block driver requires a file name", drv->name);
        node_free(n);
        return NULL;
    }
    if (!drv->open(n, o, errp)) {
        node_free(n);
        return NULL;
    }
    set_filename(n, o);
    hear_drains(n, drv->drain != NULL);
    return n;
}

/* ---- choosing a driver ---- */

static const BlkDriver *driver_named(const char *name, Error **errp)
{
    const BlkDriver *d = blk_driver_find(name);

    if (!d) {
        g_autofree const BlkDriver **list = blk_drivers();
        Suggest *s = suggest_new(name);

        for (unsigned i = 0; list[i]; i++) {
            suggest_add(s, list[i]->name);
        }
        error_set(errp, "Unknown driver '%s'", name);
        suggest_hint(s, NULL, errp);
    }
    return d;
}

static bool has_prefix(const BlkDriver *d, const char *filename)
{
    g_auto(GStrv) list = g_strsplit(d->prefix ? d->prefix : "", "|", -1);

    for (char **p = list; *p; p++) {
        if (**p && g_str_has_prefix(filename, *p)) {
            return true;
        }
    }
    return false;
}

const BlkDriver *blk_protocol_of(const char *filename, Error **errp)
{
    struct stat st;
    g_autofree const BlkDriver **list = blk_drivers();

    for (unsigned i = 0; list[i]; i++) {
        if ((list[i]->kind & BLK_DRV_PROTOCOL) && has_prefix(list[i], filename)) {
            return list[i];
        }
    }
    if (blk_path_has_protocol(filename)) {
        error_set(errp, "Unknown protocol '%.*s'", (int)strcspn(filename, ":"), filename);
        return NULL;
    }
    return blk_driver_find(stat(filename, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) ? "host_device" : "file");
}

static bool name_to_options(const BlkDriver *d, const char *filename, Json *o, Error **errp)
{
    if (json_get(o, "filename")) {
        return error_set(errp, "Can't specify 'file' and 'filename' options at the same time");
    }
    if (d->parse_filename) {
        return d->parse_filename(filename, o, errp);
    }
    json_set_string(o, "filename", filename);
    return true;
}

static BlkNode *open_protocol(Session *s, const char *filename, Json *o, unsigned flags, Error **errp)
{
    const char *name = json_get_string(o, "driver");
    const BlkDriver *d = name ? driver_named(name, errp) : blk_protocol_of(filename ? filename : "", errp);
    BlkNode *n;

    if (!d || (filename && (d->kind & BLK_DRV_PROTOCOL) && !name_to_options(d, filename, o, errp))) {
        return NULL;
    }
    n = open_driver(s, d, o, flags, errp);
    if (n && filename && !d->own_filename && !d->needs_filename) {      /* "file:x" is called x, as its option says */
        g_free(n->filename);
        n->filename = g_strdup(filename);
    }
    return n;
}

/* ---- children ---- */

static unsigned child_flags(const BlkNode *n, BlkRole role, unsigned more)
{
    unsigned flags = n->flags & (BLK_O_DIRECT | BLK_O_NO_FLUSH | BLK_O_FORCE_SHARE | BLK_O_UNMAP | BLK_O_NO_IO | BLK_O_AUTO_RDONLY | BLK_O_ONCE);

    if (role != BLK_CHILD_BACKING) {
        flags |= n->flags & BLK_O_RDWR;
        if (n->drv->kind & BLK_DRV_FORMAT) {
            flags |= BLK_O_UNMAP;
        }
        flags |= role == BLK_CHILD_FILTERED ? 0 : BLK_O_PROTOCOL_NODE;
    } else {
        flags &= ~(BLK_O_AUTO_RDONLY | BLK_O_UNMAP);
    }
    return flags | more;
}

BlkChild *blk_attach_child(BlkNode *n, BlkNode *child, const char *name, BlkRole role, Error **errp)
{
    BlkChild *c = g_new0(BlkChild, 1), **at = &n->children;

    c->parent = n;
    c->name = name;
    c->role = role;
    blk_edge_link(c, child);
    while (*at) {
        at = &(*at)->next;
    }
    *at = c;
    if (role == BLK_CHILD_BACKING) {
        n->backing = c;
    } else if (role == BLK_CHILD_FILE || role == BLK_CHILD_FILTERED) {
        n->file = n->file ? n->file : c;
    }
    if (!blk_refresh_perms(n, errp)) {
        blk_detach_child(n, c);
        return NULL;
    }
    return c;
}

void blk_detach_child(BlkNode *n, BlkChild *c)
{
    BlkChild **at = &n->children;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    if (n->backing == c) {
        n->backing = NULL;
    }
    if (n->file == c) {
        n->file = NULL;
    }
    blk_edge_unlink(c);
    g_free(c);
}

static BlkNode *find_reference(Session *s, const char *name, Error **errp)
{
    const SessionKind *kind = NULL;
    void *object = session_find(s, "block", name, &kind);
    BlkNode *n = !object ? NULL : kind == &blk_node_kind ? object : blk_node(object);

    if (!n) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", name, name);
        return NULL;
    }
    return blk_node_ref(n);
}

BlkChild *blk_open_child(BlkNode *n, Json *options, const char *name, const char *filename, BlkRole role, unsigned flags, Error **errp)
{
    Json *given = json_get(options, name);
    BlkNode *child;
    BlkChild *c;

    if (given && json_as_string(given)) {
        child = find_reference(n->session, json_as_string(given), errp);
    } else if (given || filename) {
        child = blk_node_open(n->session, json_get(given, "filename") ? NULL : filename, given ? json_copy(given) : json_object(), child_flags(n, role, flags), errp);
    } else {
        error_set(errp, "A block device must be specified for \"%s\"", name);
        return NULL;
    }
    if (!child) {
        return NULL;
    }
    c = blk_attach_child(n, child, name, role, errp);
    blk_node_unref(child);
    return c;
}

/* ---- formats ---- */

static const BlkDriver *probe_node(BlkNode *file, Error **errp)
{
    uint8_t buf[PROBE_BYTES];
    int r = node_pread_padded(file, 0, buf, sizeof(buf));

    if (r < 0) {
        error_set_errno(errp, -r, "Could not read image for determining its format");
        return NULL;
    }
    return blk_driver_probe(buf, MIN(sizeof(buf), node_size(file)), file->filename);
}

/* Nobody named a format: the file goes first, and says what it is. */
static BlkNode *open_probed(Session *s, const char *filename, Json *o, unsigned flags, Error **errp)
{
    Json *given = json_get(o, "file");
    BlkNode *file, *n = NULL;
    const BlkDriver *d;

    if (!given && !filename) {
        error_set(errp, "Must specify either driver or file");
        return NULL;
    }
    if (given && json_as_string(given)) {
        file = find_reference(s, json_as_string(given), errp);
    } else {
        unsigned f = flags;
        g_autoptr(Json) copy = json_copy(o);

        to_text(copy);
        if (!blk_option_flags(copy, &f, errp)) {
            return NULL;
        }
        f = (f & ~(BLK_O_NO_BACKING | BLK_O_CHECK | BLK_O_WRITETHROUGH)) | BLK_O_UNMAP | BLK_O_PROTOCOL_NODE;
        file = blk_node_open(s, filename, given ? json_copy(given) : json_object(), f, errp);
    }
    if (!file) {
        return NULL;
    }
    d = probe_node(file, errp);
    if (d) {
        json_set_string(o, "file", file->name);
        n = open_driver(s, d, o, flags, errp);
        if (n) {
            n->probed = true;
        }
    }
    blk_node_unref(file);
    return n;
}

static BlkNode *open_format(Session *s, const char *filename, Json *o, unsigned flags, Error **errp)
{
    const char *name = json_get_string(o, "driver");
    const BlkDriver *d;
    BlkNode *n;

    if (!name) {
        return open_probed(s, filename, o, flags, errp);
    }
    d = driver_named(name, errp);
    if (!d) {
        return NULL;
    }
    if (d->kind & BLK_DRV_PROTOCOL) {
        return open_protocol(s, filename, o, flags, errp);
    }
    if (filename && !json_get(o, "file")) {
        Json *file = json_object();

        json_set(o, "file", file);
        if (blk_path_has_protocol(filename) && !blk_protocol_of(filename, errp)) {
            return NULL;
        }
        if (!name_to_options(blk_protocol_of(filename, NULL), filename, file, errp)) {
            return NULL;
        }
        json_set_string(file, "driver", blk_protocol_of(filename, NULL)->name);
    }
    n = open_driver(s, d, o, flags, errp);
    if (n && filename && !*n->filename) {
        g_free(n->filename);
        n->filename = g_strdup(filename);
    }
    return n;
}

static bool has_dots(const Json *o)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        if (strchr(json_key_at(o, i), '.') || (json_is(json_at(o, i), JSON_OBJECT) && has_dots(json_at(o, i)))) {
            return true;
        }
    }
    return false;
}

/* json:{...}: the text's options lie below those given.  {"file.filename": "x"} is as good as {"file": {"filename": "x"}}. */
static Json *json_name(const char *filename, Json *o, Error **errp)
{
    g_autoptr(Json) from = json_parse(filename + 5, strlen(filename + 5), errp);

    if (!from || !json_is(from, JSON_OBJECT)) {
        if (from) {
            error_set(errp, "Invalid JSON object given");
        }
        error_prepend(errp, "Could not parse the JSON options: ");
        json_unref(o);
        return NULL;
    }
    if (has_dots(from)) {
        Json *tree = options_nest(from, errp);

        json_unref(from);
        from = tree;
    }
    for (unsigned i = 0; from && i < json_size(o); i++) {
        json_set(from, json_key_at(o, i), json_ref(json_at(o, i)));
    }
    json_unref(o);
    return g_steal_pointer(&from);
}

static BlkNode *open_one(Session *s, const char *filename, Json *options, unsigned flags, Error **errp)
{
    Json *o = options ? options : json_object();
    BlkNode *n;

    if (filename && g_str_has_prefix(filename, "json:")) {
        o = json_name(filename, o, errp);
        if (!o) {
            return NULL;
        }
        filename = NULL;
    }
    n = flags & BLK_O_PROTOCOL_NODE ? open_protocol(s, filename, o, flags & ~BLK_O_PROTOCOL_NODE, errp) : open_format(s, filename, o, flags, errp);
    json_unref(o);
    return n;
}

/* ---- the chain, one after the other however long it is ---- */

static BlkNode *open_backing(BlkNode *n, GHashTable *seen, Error **errp)
{
    Json *o = n->backing_options;
    g_autofree char *path = n->backing_name ? blk_path_combine(n->filename, n->backing_name) : NULL;

    if (o && json_as_string(o)) {
        return find_reference(n->session, json_as_string(o), errp);
    }
    if (path && !o && !g_hash_table_add(seen, g_strdup(path))) {
        error_set(errp, "Backing file '%s' creates an infinite loop.", path);
        return NULL;
    }
    o = o ? json_copy(o) : json_object();
    if (n->backing_format && !json_get(o, "driver")) {
        json_set_string(o, "driver", n->backing_format);
    }
    if (json_get(o, "file") || json_get(o, "filename")) {
        g_clear_pointer(&path, g_free);
    }
    return open_one(n->session, path, o, child_flags(n, BLK_CHILD_BACKING, 0), errp);
}

bool blk_backing_is(BlkNode *n, BlkNode *below, Error **errp)
{
    while (blk_filtered(below)) {
        below = blk_filtered(below);
    }
    return !n->drv->backing_is || n->drv->backing_is(n, below, errp);
}

static bool open_chain(BlkNode *top, const char *filename, Error **errp)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    BlkNode *n = top;

    g_hash_table_add(seen, g_strdup(filename ? filename : top->filename));
    while (n && !n->backing && !n->backing_off && (n->backing_name || n->backing_options) && !(n->flags & BLK_O_NO_BACKING)) {
        BlkNode *below = open_backing(n, seen, errp);
        BlkChild *c = below && blk_backing_is(n, below, errp) ? blk_attach_child(n, below, "backing", BLK_CHILD_BACKING, errp) : NULL;

        blk_node_unref(below);
        if (!c) {
            return error_prepend(errp, "Could not open backing file: ");
        }
        n = below;
    }
    return true;
}

typedef struct {
    Session *s;
    const char *filename;
    Json *options;
    unsigned flags;
    Error **errp;
    BlkNode *node;
} Open;

static void run_open(void *opaque)
{
    Open *p = opaque;

    p->node = open_one(p->s, p->filename, p->options, p->flags, p->errp);
    if (p->node && !open_chain(p->node, p->filename, p->errp)) {
        blk_node_unref(p->node);
        p->node = NULL;
    }
}

BlkNode *blk_node_open(Session *s, const char *filename, Json *options, unsigned flags, Error **errp)
{
    Open p = { s, filename, options, flags, errp, NULL };

    blk_run(NULL, run_open, &p);
    return p.node;
}

/* ---- life and facts ---- */

BlkNode *blk_node_ref(BlkNode *n)
{
    n->refs++;
    return n;
}

static void run_close(void *opaque)
{
    BlkNode *n = opaque;

    if (n->drv->close) {
        n->drv->close(n);
    }
}

/* Long chains: the node below is let go after this one, not from within. */
void blk_node_unref(BlkNode *n)
{
    while (n && --n->refs == 0) {
        BlkNode *below = n->backing ? blk_node_ref(n->backing->node) : NULL;

        assert(!n->users);
        blk_run(NULL, run_close, n);
        node_free(n);
        n = below;
    }
}

BlkNode *blk_node_find(Session *s, const char *name)
{
    return session_get(s, &blk_node_kind, name);
}

typedef struct { void (*fn)(BlkNode *n, void *opaque); void *opaque; } EachNode;

static void each_node(const char *id, void *object, void *opaque)
{
    EachNode *e = opaque;

    e->fn(object, e->opaque);
}

void blk_nodes_foreach(Session *s, void (*fn)(BlkNode *n, void *opaque), void *opaque)
{
    session_foreach(s, &blk_node_kind, each_node, &(EachNode){ fn, opaque });
}

const char *blk_node_name(const BlkNode *n)
{
    return n->name;
}

const char *blk_node_driver(const BlkNode *n)
{
    return n->drv->name;
}

const char *blk_node_filename(const BlkNode *n)
{
    return n->filename;
}

BlkNode *blk_node_backing(const BlkNode *n)
{
    return n->backing ? n->backing->node : NULL;
}

uint64_t blk_node_size(const BlkNode *n)
{
    return node_size(n);
}

bool blk_node_read_only(const BlkNode *n)
{
    return n->read_only;
}
