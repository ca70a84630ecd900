/* SPDX-License-Identifier: MIT */
#include "io/session.h"

#include <assert.h>
#include <string.h>

#include "io/fiber.h"

typedef struct {
    const SessionKind *kind;
    char *id;
    void *object;
} Entry;

struct Session {
    GQueue entries;             /* Entry, in the order of adding */
    GHashTable *by_name;        /* "space id" -> GList of entries */
    unsigned serial;
    bool ending;                /* in session_free() */
    FiberMutex mutex;
    unsigned depth;             /* of the one who holds it */
};

Session *session_new(void)
{
    Session *s = g_new0(Session, 1);

    g_queue_init(&s->entries);
    fiber_mutex_init(&s->mutex);
    s->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return s;
}

void session_lock(Session *s)
{
    if (s->mutex.owner != fiber_self()) {
        fiber_mutex_lock(&s->mutex);
    }
    s->depth++;
}

void session_unlock(Session *s)
{
    if (--s->depth == 0) {
        fiber_mutex_unlock(&s->mutex);
    }
}

static char *key_of(const char *space, const char *id)
{
    return g_strdup_printf("%s %s", space, id);
}

static GList *find(const Session *s, const char *space, const char *id)
{
    g_autofree char *key = key_of(space, id);

    return g_hash_table_lookup(s->by_name, key);
}

static void drop(Session *s, GList *link, bool destroy)
{
    Entry *e = link->data;
    g_autofree char *key = key_of(e->kind->space, e->id);

    g_hash_table_remove(s->by_name, key);
    g_queue_delete_link(&s->entries, link);
    if (destroy && e->kind->destroy) {
        e->kind->destroy(e->object);
    }
    g_free(e->id);
    g_free(e);
}

void session_free(Session *s)
{
    if (!s) {
        return;
    }
    s->ending = true;
    while (s->entries.tail) {
        drop(s, s->entries.tail, true);
    }
    g_hash_table_destroy(s->by_name);
    fiber_mutex_destroy(&s->mutex);
    g_free(s);
}

bool session_id_valid(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    for (; *id; id++) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}

bool session_id_check(const char *parameter, const char *id, Error **errp)
{
    if (session_id_valid(id)) {
        return true;
    }
    error_set(errp, "Parameter '%s' expects an identifier", parameter);
    return error_hint(errp, "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.\n");
}

static bool duplicate(const SessionKind *kind, const char *id, Error **errp)
{
    const char *at = kind->duplicate ? strstr(kind->duplicate, "%s") : NULL;

    if (!at) {
        return error_set(errp, "Duplicate ID '%s' for %s", id, kind->name);
    }
    return error_set(errp, "%.*s%s%s", (int)(at - kind->duplicate), kind->duplicate, id, at + 2);
}

bool session_add(Session *s, const SessionKind *kind, const char *id, void *object, Error **errp)
{
    Entry *e;

    if (id[0] != '#' && !session_id_check(kind->parameter ? kind->parameter : "id", id, errp)) {
        return false;
    }
    if (find(s, kind->space, id)) {
        return duplicate(kind, id, errp);
    }
    e = g_new(Entry, 1);
    *e = (Entry){ kind, g_strdup(id), object };
    g_queue_push_tail(&s->entries, e);
    g_hash_table_insert(s->by_name, key_of(kind->space, id), s->entries.tail);
    return true;
}

void *session_find(const Session *s, const char *space, const char *id, const SessionKind **kind)
{
    GList *link = find(s, space, id);
    Entry *e = link ? link->data : NULL;

    if (e && kind) {
        *kind = e->kind;
    }
    return e ? e->object : NULL;
}

void *session_get(const Session *s, const SessionKind *kind, const char *id)
{
    const SessionKind *found = NULL;
    void *object = session_find(s, kind->space, id, &found);

    return found == kind ? object : NULL;
}

static void drop_named(Session *s, const SessionKind *kind, const char *id, bool destroy)
{
    GList *link = find(s, kind->space, id);

    if (!link && s->ending) {
        return;                 /* what is destroyed late takes along what was forgotten before */
    }
    assert(link && ((Entry *)link->data)->kind == kind);
    drop(s, link, destroy);
}

void session_remove(Session *s, const SessionKind *kind, const char *id)
{
    drop_named(s, kind, id, false);
}

void session_destroy(Session *s, const SessionKind *kind, const char *id)
{
    drop_named(s, kind, id, true);
}

char *session_make_id(Session *s, const char *prefix)
{
    return g_strdup_printf("#%s%03u", prefix, s->serial++);
}

void session_foreach(const Session *s, const SessionKind *kind, SessionFn *fn, void *opaque)
{
    for (GList *l = s->entries.head; l; l = l->next) {
        Entry *e = l->data;

        if (e->kind == kind) {
            fn(e->id, e->object, opaque);
        }
    }
}

static void count_one(const char *id, void *object, void *opaque)
{
    ++*(unsigned *)opaque;
}

unsigned session_count(const Session *s, const SessionKind *kind)
{
    unsigned n = 0;

    session_foreach(s, kind, count_one, &n);
    return n;
}
