/* SPDX-License-Identifier: MIT */
/*
 * query-qmp-schema: the command table as types.
 *
 * Types have names that mean nothing ("0", "1" ...); the built-in ones have
 * their own.  Equal tables and equal word lists are one type.
 */
#include <string.h>

#include "io/qmp.h"

typedef struct Schema {
    Json *out;
    GHashTable *names;          /* table's address or word list -> name of its type */
    unsigned serial;
    Json *cases;                /* variants of the union that is being made */
} Schema;

static const struct { const char *name, *json; } builtins[] = {
    { "str", "string" }, { "int", "int" }, { "number", "number" }, { "bool", "boolean" }, { "null", "null" }, { "any", "value" },
};

static Json *entry(const char *name, const char *meta)
{
    Json *e = json_object();

    json_set_string(e, "name", name);
    json_set_string(e, "meta-type", meta);
    return e;
}

/* The name of the type with this identity; *fresh says that it has to be described. */
static const char *type_name(Schema *s, const char *identity, bool *fresh)
{
    char *name = g_hash_table_lookup(s->names, identity);

    *fresh = !name;
    if (!name) {
        name = g_strdup_printf("%u", s->serial++);
        g_hash_table_insert(s->names, g_strdup(identity), name);
    }
    return name;
}

static const char *enum_type(Schema *s, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    bool fresh;
    const char *name = type_name(s, words, &fresh);
    Json *e, *values, *members;

    if (!fresh) {
        return name;
    }
    e = entry(name, "enum");
    values = json_array();
    members = json_array();
    for (char **w = list; *w; w++) {
        Json *m = json_object();

        json_append(values, json_string(*w));
        json_set_string(m, "name", *w);
        json_append(members, m);
    }
    json_set(e, "members", members);
    json_set(e, "values", values);
    json_append(s->out, e);
    return name;
}

static const char *array_type(Schema *s, const char *of)
{
    g_autofree char *identity = g_strdup_printf("[%s]", of);
    const char *name = g_hash_table_lookup(s->names, identity);
    Json *e;

    if (name) {
        return name;
    }
    name = g_strdup(identity);
    g_hash_table_insert(s->names, g_strdup(identity), (char *)name);
    e = entry(name, "array");
    json_set_string(e, "element-type", of);
    json_append(s->out, e);
    return name;
}

static const char *object_type(Schema *s, const OptKey *keys, const MonCommand *c);

static const char *key_type(Schema *s, const OptKey *k)
{
    const char *t;

    switch (k->type) {
    case OPT_STRING:
    case OPT_ID:
        t = "str";
        break;
    case OPT_NUMBER:
    case OPT_SIZE:
        t = "int";
        break;
    case OPT_BOOL:
        t = "bool";
        break;
    case OPT_ENUM:
        t = enum_type(s, k->values);
        break;
    case OPT_TREE:
        t = k->sub && k->sub->keys ? object_type(s, k->sub->keys, NULL) : "any";
        break;
    default:
        t = "any";
        break;
    }
    return k->many ? array_type(s, t) : t;
}

static Json *members_of(Schema *s, const OptKey *keys)
{
    Json *members = json_array();

    for (const OptKey *k = keys; k && k->name; k++) {
        Json *m;

        if (k->absent || strchr(k->name, '.')) {
            continue;
        }
        m = json_object();
        json_set_string(m, "name", k->name);
        if (!k->must) {
            json_set(m, "default", json_null());
        }
        json_set_string(m, "type", key_type(s, k));
        json_append(members, m);
    }
    return members;
}

static void add_case(void *opaque, const char *value, const OptKey *keys)
{
    Schema *s = opaque;
    Json *one = json_object();

    json_set_string(one, "case", value);
    json_set_string(one, "type", object_type(s, keys, NULL));
    json_append(s->cases, one);
}

static const char *object_type(Schema *s, const OptKey *keys, const MonCommand *c)
{
    g_autofree char *identity = keys && keys->name ? g_strdup_printf("%p", (void *)keys) : g_strdup("");
    bool fresh;
    const char *name = type_name(s, identity, &fresh);
    Json *e;

    if (!fresh) {
        return name;
    }
    e = entry(name, "object");
    json_set(e, "members", members_of(s, keys));
    if (c && c->variants) {
        s->cases = json_array();
        c->variants(add_case, s);
        json_set_string(e, "tag", c->select);
        json_set(e, "variants", s->cases);
    }
    json_append(s->out, e);
    return name;
}

static const char *ret_type(Schema *s, const MonCommand *c)
{
    const char *t = c->ret_type;

    if (!t) {
        return object_type(s, c->ret, NULL);
    }
    if (!strcmp(t, "[]")) {
        return array_type(s, object_type(s, c->ret, NULL));
    }
    if (t[0] == '[') {
        g_autofree char *of = g_strndup(t + 1, strlen(t) - 2);
        return array_type(s, of);
    }
    return t;
}

static void add_command(Schema *s, const MonCommand *c)
{
    Json *e = entry(c->qmp, "command");

    json_set_string(e, "arg-type", object_type(s, c->keys, c));
    json_set_string(e, "ret-type", ret_type(s, c));
    if (c->features) {
        g_auto(GStrv) list = g_strsplit(c->features, "|", -1);
        Json *features = json_array();

        for (char **f = list; *f; f++) {
            json_append(features, json_string(*f));
        }
        json_set(e, "features", features);
    }
    json_append(s->out, e);
}

static void add_event(const QmpEvent *ev, void *opaque)
{
    Schema *s = opaque;
    Json *e = entry(ev->name, "event");

    json_set_string(e, "arg-type", object_type(s, ev->keys, NULL));
    json_append(s->out, e);
}

Json *qmp_schema(void)
{
    Schema s = { .out = json_array(), .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
    g_autofree const MonCommand **all = commands_list();

    for (unsigned i = 0; all[i]; i++) {
        add_command(&s, all[i]);
    }
    events_foreach(add_event, &s);
    for (unsigned i = 0; i < G_N_ELEMENTS(builtins); i++) {
        Json *e = entry(builtins[i].name, "builtin");

        json_set_string(e, "json-type", builtins[i].json);
        json_append(s.out, e);
    }
    g_hash_table_unref(s.names);
    return s.out;
}
