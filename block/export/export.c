/* SPDX-License-Identifier: MIT */
#include "block/export/export.h"

#include <string.h>

#include "util/suggest.h"

ROWS_DECLARE(export_types, ExportType);

const OptKey export_keys[] = {
    { "type", OPT_STRING, .must = true, .help = "kind of export" },
    { "id", OPT_STRING, .must = true, .help = "name of the export" },
    { "node-name", OPT_STRING, .must = true, .help = "node to export" },
    { "writable", OPT_BOOL, .def = "off", .help = "clients may write" },
    { "writethrough", OPT_BOOL, .def = "off", .help = "each write is flushed before it is answered" },
    { "iothread", OPT_ANY, .help = "I/O thread that serves it, or a list of them", .def = "the main loop" },
    { "fixed-iothread", OPT_BOOL, .help = "it stays on those threads; it always does", .def = "off" },
    { "allow-inactive", OPT_BOOL, .absent = "nodes are never inactive" },
    {}
};

static void destroy(void *object);
static const SessionKind export_kind = { .name = "export", .space = "export", .duplicate = "Block export id '%s' is already in use", .parameter = "id", .destroy = destroy };

/* ---- who is told ---- */

typedef struct {
    ExportDeletedFn *fn;
    void *opaque;
} Listener;
static const SessionKind listener_kind = { .name = "export listener", .space = "export-listener", .destroy = g_free };

void export_set_deleted(Session *s, ExportDeletedFn *fn, void *opaque)
{
    Listener *l = session_get(s, &listener_kind, "#listener");

    if (!l) {
        l = g_new0(Listener, 1);
        session_add(s, &listener_kind, "#listener", l, NULL);
    }
    *l = (Listener){ fn, opaque };
}

/* ---- life ---- */

static void free_export(Export *e)
{
    blk_free(e->blk);
    for (IoThread **t = e->threads; t && *t; t++) {
        iothread_unref(*t);
    }
    g_free(e->threads);
    g_free(e->node_name);
    g_free(e->id);
    g_free(e->state);
    g_free(e);
}

static void destroy(void *object)
{
    Export *e = object;
    Listener *l = session_get(e->session, &listener_kind, "#listener");

    e->closing = true;
    e->type->close(e);
    if (l && l->fn) {
        l->fn(l->opaque, e->id);
    }
    free_export(e);
}

static const ExportType *find_type(const char *name, Error **errp)
{
    Suggest *s;

    ROWS_FOREACH(export_types, ExportType, t) {
        if (!strcmp(t->name, name)) {
            return t;
        }
    }
    s = suggest_new(name);
    ROWS_FOREACH(export_types, ExportType, t) {
        suggest_add(s, t->name);
    }
    error_set(errp, "Parameter 'type' does not accept value '%s'", name);
    suggest_hint(s, NULL, errp);
    return NULL;
}

void export_types_foreach(void (*fn)(void *opaque, const char *name, const OptKey *keys), void *opaque)
{
    ROWS_FOREACH(export_types, ExportType, t) {
        fn(opaque, t->name, t->keys);
    }
}

/* Takes o over; NULL when it is not right. */
static Json *check_options(Json *o, bool text, const ExportType **type, Error **errp)
{
    g_autoptr(Json) own = o;
    g_autoptr(GArray) keys = g_array_new(true, true, sizeof(OptKey));
    OptGroup group = { .name = "export" };
    const char *name = json_get_string(o, "type");

    if (!name) {
        error_set(errp, "Parameter 'type' is missing");
        return NULL;
    }
    *type = find_type(name, errp);
    if (!*type) {
        return NULL;
    }
    for (const OptKey *k = export_keys; k->name; k++) {
        g_array_append_val(keys, *k);
    }
    for (const OptKey *k = (*type)->keys; k && k->name; k++) {
        g_array_append_val(keys, *k);
    }
    group.keys = (const OptKey *)keys->data;
    return (text ? options_check_text : options_check)(&group, o, errp) ? g_steal_pointer(&own) : NULL;
}

static Blk *open_blk(Session *s, const Json *o, Error **errp)
{
    const char *name = json_get_string(o, "node-name");
    BlkNode *n = blk_node_find(s, name);
    Blk *device = n ? NULL : blk_find(s, name), *b;

    n = device ? blk_node(device) : n;
    if (!n) {
        if (device) {
            error_set(errp, "Device '%s' has no medium", name);
        } else {
            error_set(errp, "Cannot find device='' nor node-name='%s'", name);
        }
        return NULL;
    }
    b = blk_new(s, NULL, BLK_PERM_READ | (json_get_bool(o, "writable", false) ? BLK_PERM_WRITE : 0), BLK_PERM_ALL, errp);
    if (b && !blk_insert(b, n, errp)) {
        blk_free(b);
        return NULL;
    }
    if (b) {
        blk_set_writethrough(b, json_get_bool(o, "writethrough", false));
    }
    return b;
}

/* ---- where it runs ---- */

static bool find_thread(Session *s, const Json *name, GPtrArray *threads, Error **errp)
{
    const char *id = json_as_string(name);
    IoThread *t = id ? iothread_get(s, id) : NULL;

    if (!id) {
        return error_set(errp, "Invalid parameter type for 'iothread', expected: the name of an iothread, or a list of names");
    }
    if (!t) {
        return error_set(errp, "iothread \"%s\" not found", id);
    }
    iothread_ref(t);
    g_ptr_array_add(threads, t);
    return true;
}

/* e->threads holds what was found even when this fails. */
static bool find_threads(Export *e, const Json *o, Error **errp)
{
    const Json *j = json_get(o, "iothread");
    GPtrArray *threads = g_ptr_array_new();
    bool ok = true;

    if (json_is(j, JSON_ARRAY)) {
        ok = json_size(j) > 0 || error_set(errp, "Parameter 'iothread' is an empty list");
        for (unsigned i = 0; ok && i < json_size(j); i++) {
            ok = find_thread(e->session, json_at(j, i), threads, errp);
        }
    } else if (j) {
        ok = find_thread(e->session, j, threads, errp);
    }
    g_ptr_array_add(threads, NULL);
    e->threads = (IoThread **)g_ptr_array_free(threads, false);
    return ok;
}

unsigned export_loops(const Export *e)
{
    unsigned n = 0;

    while (e->threads[n]) {
        n++;
    }
    return MAX(n, 1);
}

Loop *export_loop(const Export *e, unsigned i)
{
    return e->threads[0] ? iothread_loop(e->threads[i % export_loops(e)]) : e->loop;
}

typedef struct {
    FiberFn *fn;
    void *opaque;
    Fiber *waits;
} Elsewhere;

static void run_elsewhere(void *opaque)
{
    Elsewhere *w = opaque;

    w->fn(w->opaque);
    fiber_wake(w->waits);
}

void export_run_on(Loop *loop, FiberFn *fn, void *opaque)
{
    Elsewhere w = { fn, opaque, fiber_self() };

    if (loop == loop_current()) {
        fn(opaque);
        return;
    }
    fiber_start_on(loop, run_elsewhere, &w);
    fiber_yield();
}

/* ---- making ---- */

static Export *add(Session *s, const ExportType *type, const Json *o, Error **errp)
{
    const char *id = json_get_string(o, "id");
    Export *e;

    if ((*id != '#' && !session_id_check("id", id, errp))) {
        return NULL;
    }
    if (export_find(s, id)) {
        error_set(errp, "Block export id '%s' is already in use", id);
        return NULL;
    }
    e = g_new0(Export, 1);
    e->session = s;
    e->type = type;
    e->id = g_strdup(id);
    e->state = g_malloc0(MAX(type->state_size, 1));
    e->writable = json_get_bool(o, "writable", false);
    e->loop = loop_current();
    e->blk = find_threads(e, o, errp) ? open_blk(s, o, errp) : NULL;
    if (!e->blk || !type->open(e, o, errp)) {
        free_export(e);
        return NULL;
    }
    e->node_name = g_strdup(blk_node_name(blk_node(e->blk)));
    session_add(s, &export_kind, id, e, NULL);
    return e;
}

Export *export_add(Session *s, const Json *options, Error **errp)
{
    const ExportType *type = NULL;
    g_autoptr(Json) o = check_options(json_copy(options), false, &type, errp);

    return o ? add(s, type, o, errp) : NULL;
}

Export *export_add_text(Session *s, const char *text, Error **errp)
{
    static const OptKey none[] = { {} };
    static const OptGroup any = { .name = "export", .implied = "type", .keys = none, .open = true };
    const ExportType *type = NULL;
    Json *parsed = options_parse(&any, text, errp);
    g_autoptr(Json) o = parsed ? check_options(parsed, *text != '{', &type, errp) : NULL;

    return o ? add(s, type, o, errp) : NULL;
}

Export *export_find(Session *s, const char *id)
{
    return session_get(s, &export_kind, id);
}

bool export_del(Session *s, const char *id, bool hard, Error **errp)
{
    Export *e = export_find(s, id);

    if (!e || e->closing) {
        return error_set(errp, "Export '%s' is not found", id);
    }
    if (!hard && e->type->in_use(e)) {
        error_set(errp, "export '%s' still in use", id);
        return error_hint(errp, "Use mode='hard' to force client disconnect\n");
    }
    session_destroy(s, &export_kind, id);
    return true;
}

static void add_one(const char *id, void *object, void *opaque)
{
    Export *e = object;
    Json *j = json_object();

    json_set_string(j, "node-name", e->node_name);
    json_set_bool(j, "shutting-down", e->closing);
    json_set_string(j, "type", e->type->name);
    json_set_string(j, "id", e->id);
    json_append(opaque, j);
}

Json *export_list(Session *s)
{
    Json *list = json_array();

    session_foreach(s, &export_kind, add_one, list);
    return list;
}

static void last_id(const char *id, void *object, void *opaque)
{
    *(const char **)opaque = id;
}

void exports_close_all(Session *s)
{
    blk_drain_all_begin(s);             /* what waits for a target that is not there fails now */
    blk_drain_all_end(s);
    while (session_count(s, &export_kind)) {
        const char *id = NULL;
        g_autofree char *copy = NULL;

        session_foreach(s, &export_kind, last_id, &id);
        copy = g_strdup(id);
        session_destroy(s, &export_kind, copy);
    }
}

const char *export_id(const Export *e)
{
    return e->id;
}

const char *export_type(const Export *e)
{
    return e->type->name;
}

Blk *export_blk(const Export *e)
{
    return e->blk;
}

/* ---- waiting ---- */

static void nothing(void *opaque)
{
}

/* The timer only bounds how long a count that another thread brought to zero goes unseen. */
void export_wait_zero(const unsigned *count)
{
    Loop *loop = loop_current();
    LoopTimer again;

    loop_timer_init(&again, loop, nothing, NULL);
    while (__atomic_load_n(count, __ATOMIC_ACQUIRE)) {
        if (fiber_self()) {
            fiber_sleep(20000);
        } else {
            loop_timer_at(&again, loop_now() + 1000000);
            loop_step(loop, true);
        }
    }
    loop_timer_cancel(&again);
}
