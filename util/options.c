/* SPDX-License-Identifier: MIT */
/* The option schema, table side: finding keys and variants, checking objects, merging. */
#include "util/options-priv.h"

#include <stdlib.h>
#include <string.h>

#include "util/size.h"
#include "util/suggest.h"

ROWS_DECLARE(opt_groups, OptGroup);
ROWS_DECLARE(opt_variants, OptVariant);

static bool name_equal(const char *a, const char *b, size_t len_b, bool loose)
{
    for (size_t i = 0; i < len_b; i++) {
        if (a[i] != b[i] && !(loose && strchr("-_", a[i]) && a[i] && strchr("-_", b[i]))) {
            return false;
        }
    }
    return !a[len_b];
}

bool options_one_of(const char *list, const char *name, bool loose)
{
    while (list && *list) {
        size_t len = strcspn(list, "|");

        if (name_equal(name, list, len, loose)) {
            return true;
        }
        list += len + (list[len] == '|');
    }
    return false;
}

bool options_id_ok(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    while (g_ascii_isalnum(*id) || (*id && strchr("-._", *id))) {
        id++;
    }
    return !*id;
}

const OptGroup *options_group(const char *name)
{
    ROWS_FOREACH(opt_groups, OptGroup, g) {
        if (!strcmp(g->name, name)) {
            return g;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const OptVariant *const *)a)->name, (*(const OptVariant *const *)b)->name);
}

const OptVariant **options_variants(const OptGroup *g)
{
    const OptVariant **list = g_new0(const OptVariant *, ROWS_COUNT(opt_variants) + 1);
    unsigned n = 0;

    ROWS_FOREACH(opt_variants, OptVariant, v) {
        if (!strcmp(v->group, g->name)) {
            list[n++] = v;
        }
    }
    qsort(list, n, sizeof(*list), by_name);
    return list;
}

const OptVariant *options_variant(const OptGroup *g, const char *name)
{
    ROWS_FOREACH(opt_variants, OptVariant, v) {
        if (!strcmp(v->group, g->name) && (!strcmp(v->name, name) || options_one_of(v->alias, name, false))) {
            return v;
        }
    }
    return NULL;
}

static const OptKey *key_in(const OptKey *keys, const char *name)
{
    for (const OptKey *k = keys; k && k->name; k++) {
        if (name_equal(name, k->name, strlen(k->name), true) || options_one_of(k->alias, name, true)) {
            return k;
        }
    }
    return NULL;
}

const OptKey *opt_key_find(const OptGroup *g, const OptVariant *v, const char *name)
{
    const OptKey *k = v ? key_in(v->keys, name) : NULL;

    return k ? k : key_in(g->keys, name);
}

bool opt_is_open(const OptGroup *g, const OptVariant *v)
{
    return g->open || (v && v->open);
}

bool opt_unknown_key(const OptGroup *g, const OptVariant *v, const char *name, Error **errp)
{
    Suggest *s = suggest_new(name);

    for (const OptKey *k = g->keys; k && k->name; k++) {
        suggest_add(s, k->name);
    }
    for (const OptKey *k = v ? v->keys : NULL; k && k->name; k++) {
        suggest_add(s, k->name);
    }
    error_set(errp, "Invalid parameter '%s'", name);
    return suggest_hint(s, NULL, errp);
}

bool opt_variant_of(const OptGroup *g, const Json *object, const OptVariant **v, Error **errp)
{
    const char *name = g->select ? json_get_string(object, g->select) : NULL;
    g_autofree const OptVariant **all = NULL;
    Suggest *s;

    *v = name ? options_variant(g, name) : NULL;
    if (!name || (*v && !(*v)->absent)) {
        return true;
    }
    if (*v) {
        return error_set(errp, "%s '%s' is not available in this build: %s", g->name, name, (*v)->absent);
    }
    all = options_variants(g);
    if (!all[0] && g->open) {
        return true;
    }
    s = suggest_new(name);
    for (unsigned i = 0; all[i]; i++) {
        suggest_add(s, all[i]->name);
    }
    error_set(errp, "Parameter '%s' does not accept value '%s'", g->select, name);
    return suggest_hint(s, NULL, errp);
}

static bool in_range(const OptKey *k, const char *text, uint64_t v, Error **errp)
{
    if (k->max && v > k->max) {
        return error_set(errp, "Value '%s' is out of range for parameter '%s': at most %" G_GUINT64_FORMAT, text, k->name, k->max);
    }
    return true;
}

static Json *number_from_text(const OptKey *k, const char *text, Error **errp)
{
    uint64_t u;
    int64_t i;

    if (text[0] == '-' && k->negative && number_parse_i64(text, &i, NULL)) {
        return json_int(i);
    }
    if (!number_parse_u64(text, &u, NULL)) {
        error_set(errp, "Parameter '%s' expects a number", k->name);
        return NULL;
    }
    return in_range(k, text, u, errp) ? json_uint(u) : NULL;
}

static Json *size_from_text(const OptKey *k, const char *text, Error **errp)
{
    uint64_t u;
    Error *err = NULL;

    if (size_parse(text, k->unit ? k->unit : 1, &u, &err)) {
        return in_range(k, text, u, errp) ? json_uint(u) : NULL;
    }
    error_set(errp, "Parameter '%s' expects a non-negative number below 2^64", k->name);
    error_hint(errp, "%s", error_hint_text(err));
    error_free(err);
    return NULL;
}

/* A value that is not one of the key's words; NULL. */
static Json *not_a_word(const OptKey *k, const char *text, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(k->values, "|", -1);
    Suggest *s = suggest_new(text);
    bool near;

    for (unsigned i = 0; words[i]; i++) {
        suggest_add(s, words[i]);
    }
    error_set(errp, "Parameter '%s' does not accept value '%s'", k->name, text);
    {
        g_autofree char *names = suggest_text(s);

        near = names;
        if (near) {
            error_hint(errp, "did you mean %s?", names);
        }
    }
    if (!near) {
        error_hint(errp, "it is one of %s", k->values);
    }
    return NULL;
}

Json *opt_value_from_text(const OptKey *k, const char *text, Error **errp)
{
    bool b;

    if (k->absent) {
        error_set(errp, "Parameter '%s' is not available in this build: %s", k->name, k->absent);
        return NULL;
    }
    switch (k->type) {
    case OPT_NUMBER:
        return number_from_text(k, text, errp);
    case OPT_SIZE:
        return size_from_text(k, text, errp);
    case OPT_BOOL:
        if (!bool_parse(text, &b, NULL)) {
            error_set(errp, "Parameter '%s' expects 'on' or 'off'", k->name);
            return NULL;
        }
        return json_bool(b);
    case OPT_ENUM:
        return options_one_of(k->values, text, false) ? json_string(text) : not_a_word(k, text, errp);
    case OPT_ID:
        if (!options_id_ok(text)) {
            error_set(errp, "Parameter '%s' expects an identifier", k->name);
            error_hint(errp, "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
            return NULL;
        }
        return json_string(text);
    default:
        return json_string(text);
    }
}

/* A value of JSON origin; takes nothing, returns a new reference or NULL. */
static Json *value_from_json(const OptKey *k, Json *v, bool text, Error **errp)
{
    const char *s = json_as_string(v), *want = "string";
    uint64_t u;
    int64_t i;
    bool b;

    if (k->absent) {
        return opt_value_from_text(k, "", errp);
    }
    switch (k->type) {
    case OPT_ANY:
        return json_ref(v);
    case OPT_TREE:
        if (json_is(v, JSON_OBJECT)) {
            bool ok = !k->sub || (text ? options_check_text(k->sub, v, errp) : options_check(k->sub, v, errp));

            if (!ok) {
                error_prepend(errp, "%s: ", k->name);
            }
            return ok ? json_ref(v) : NULL;
        }
        if (s || json_is(v, JSON_NULL)) {
            return json_ref(v);
        }
        want = "object";
        break;
    case OPT_BOOL:
        if (json_as_bool(v, &b)) {
            return json_ref(v);
        }
        want = "boolean";
        break;
    case OPT_NUMBER:
    case OPT_SIZE:
        if (json_as_u64(v, &u)) {
            g_autofree char *shown = json_text(v, JSON_COMPACT);

            return in_range(k, shown, u, errp) ? json_ref(v) : NULL;
        }
        if (k->negative && json_as_i64(v, &i)) {
            return json_ref(v);
        }
        want = "integer";
        break;
    default:
        if (s) {
            return opt_value_from_text(k, s, errp);
        }
        break;
    }
    if (text && s) {
        return opt_value_from_text(k, s, errp);
    }
    error_set(errp, "Invalid parameter type for '%s', expected: %s", k->name, want);
    return NULL;
}

/* A list: an array of values, one value, or what clients send for strings, [{"str": "..."}]. */
static Json *list_from_json(const OptKey *k, Json *v, bool text, Error **errp)
{
    g_autoptr(Json) list = json_array();
    unsigned n = json_is(v, JSON_ARRAY) ? json_size(v) : 1;

    for (unsigned i = 0; i < n; i++) {
        Json *item = json_is(v, JSON_ARRAY) ? json_at(v, i) : v, *typed;

        if (json_is(item, JSON_OBJECT) && k->type == OPT_STRING && json_get_string(item, "str")) {
            item = json_get(item, "str");
        }
        typed = value_from_json(k, item, text, errp);
        if (!typed) {
            return NULL;
        }
        json_append(list, typed);
    }
    return g_steal_pointer(&list);
}

static bool check_missing(const OptKey *keys, const Json *object, Error **errp)
{
    for (const OptKey *k = keys; k && k->name; k++) {
        if (k->must && !json_get(object, k->name)) {
            return error_set(errp, "Parameter '%s' is missing", k->name);
        }
    }
    return true;
}

static bool check(const OptGroup *g, Json *object, bool text, Error **errp)
{
    g_autoptr(Json) given = json_copy(object);
    const OptVariant *v;

    if (!opt_variant_of(g, object, &v, errp)) {
        return false;
    }
    while (json_size(object)) {
        json_remove(object, json_key_at(object, json_size(object) - 1));
    }
    for (unsigned i = 0; i < json_size(given); i++) {
        const char *name = json_key_at(given, i);
        const OptKey *k = opt_key_find(g, v, name);
        Json *in = json_at(given, i), *value;

        if (!k && !opt_is_open(g, v)) {
            return opt_unknown_key(g, v, name, errp);
        }
        value = !k ? json_ref(in) : k->many ? list_from_json(k, in, text, errp) : value_from_json(k, in, text, errp);
        if (!value) {
            return false;
        }
        json_set(object, k ? k->name : name, value);
    }
    return check_missing(g->keys, object, errp) && (!v || check_missing(v->keys, object, errp));
}

bool options_check(const OptGroup *g, Json *object, Error **errp)
{
    return check(g, object, false, errp);
}

bool options_check_text(const OptGroup *g, Json *object, Error **errp)
{
    return check(g, object, true, errp);
}

void options_merge(const OptGroup *g, Json *into, const Json *from)
{
    const OptVariant *v = NULL;

    opt_variant_of(g, from, &v, NULL);
    for (unsigned i = 0; i < json_size(from); i++) {
        const char *name = json_key_at(from, i);
        const OptKey *k = opt_key_find(g, v, name);
        Json *old = json_get(into, name), *value = json_at(from, i);

        if (k && k->many && json_is(old, JSON_ARRAY)) {
            for (unsigned n = 0; n < json_size(value); n++) {
                json_append(old, json_ref(json_at(value, n)));
            }
        } else if (json_is(old, JSON_OBJECT) && json_is(value, JSON_OBJECT)) {
            options_merge(k && k->sub ? k->sub : g, old, value);
        } else {
            json_set(into, name, json_copy(value));
        }
    }
}
