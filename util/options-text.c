/* SPDX-License-Identifier: MIT */
/* The option schema, text side: key=value lists to a tree of text, which the table then checks. */
#include "util/options-priv.h"

#include <string.h>

enum { LIST_MAX = 4096, DEPTH_MAX = 64 };

char **options_split(const char *text)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    g_autoptr(GString) part = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p != ',') {
            g_string_append_c(part, *p);
        } else if (p[1] == ',') {
            g_string_append_c(part, *p++);
        } else {
            g_ptr_array_add(parts, g_strdup(part->str));
            g_string_truncate(part, 0);
        }
    }
    if (part->len || parts->len) {
        g_ptr_array_add(parts, g_strdup(part->str));
    }
    g_ptr_array_add(parts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

/* ---- a tree out of dotted keys ---- */

static bool tree_put(Json *object, const char *key, Json *take, bool many, Error **errp)
{
    const char *dot = strchr(key, '.');
    g_autofree char *head = dot ? g_strndup(key, dot - key) : g_strdup(key);
    Json *old = json_get(object, head);

    if (!*head || (dot && !dot[1])) {
        json_unref(take);
        return error_set(errp, "Invalid parameter '%s'", key);
    }
    if (dot) {
        if (old && !json_is(old, JSON_OBJECT)) {
            json_unref(take);
            return error_set(errp, "Parameters '%s' and '%s' are used inconsistently", head, key);
        }
        if (!old) {
            json_set(object, head, old = json_object());
        }
        return tree_put(old, dot + 1, take, many, errp);
    }
    if (json_is(old, JSON_OBJECT)) {
        json_unref(take);
        return error_set(errp, "Parameters '%s.%s' and '%s' are used inconsistently", head, json_key_at(old, 0), head);
    }
    if (many && old) {
        if (!json_is(old, JSON_ARRAY)) {
            Json *list = json_array();

            json_append(list, json_ref(old));
            json_set(object, head, list);
            old = list;
        }
        json_append(old, take);
        return true;
    }
    json_set(object, head, take);
    return true;
}

/* The position that a key names, -1 when it is not a number. */
static int list_index(const char *key)
{
    if (!g_ascii_isdigit(*key) || strlen(key) > 4 || strspn(key, "0123456789") != strlen(key) || (*key == '0' && key[1])) {
        return -1;
    }
    return (int)g_ascii_strtoull(key, NULL, 10);
}

/* Objects whose keys are 0, 1, 2 ... become lists, from the leaves up.  Returns a new reference. */
static Json *tree_lists(Json *v)
{
    g_autoptr(Json) copy = NULL;
    bool list;

    if (!json_is(v, JSON_OBJECT) || !json_size(v)) {
        return json_ref(v);
    }
    list = json_size(v) <= LIST_MAX;
    copy = json_object();
    for (unsigned i = 0; i < json_size(v); i++) {
        int at = list_index(json_key_at(v, i));

        list = list && at >= 0 && at < (int)json_size(v);
        json_set(copy, json_key_at(v, i), tree_lists(json_at(v, i)));
    }
    if (!list) {
        return g_steal_pointer(&copy);
    }
    {
        Json *array = json_array();

        for (unsigned i = 0; i < json_size(copy); i++) {
            char key[16];

            g_snprintf(key, sizeof(key), "%u", i);
            json_append(array, json_ref(json_get(copy, key)));
        }
        return array;
    }
}

static unsigned depth_of(const char *key)
{
    unsigned n = 0;

    while ((key = strchr(key, '.'))) {
        key++;
        n++;
    }
    return n;
}

static bool tree_put_all(Json *tree, const char *prefix, const Json *from, Error **errp)
{
    for (unsigned i = 0; i < json_size(from); i++) {
        g_autofree char *key = g_strdup_printf("%s%s", prefix, json_key_at(from, i));
        Json *v = json_at(from, i);

        if (depth_of(key) > DEPTH_MAX) {
            return error_set(errp, "Invalid parameter '%.40s...': more than %d levels", key, DEPTH_MAX);
        }
        if (json_is(v, JSON_OBJECT) && json_size(v)) {
            g_autofree char *deeper = g_strdup_printf("%s.", key);

            if (!tree_put_all(tree, deeper, v, errp)) {
                return false;
            }
        } else if (!tree_put(tree, key, json_ref(v), false, errp)) {
            return false;
        }
    }
    return true;
}

static Json *tree_top(const Json *raw)
{
    Json *tree = json_object();

    for (unsigned i = 0; i < json_size(raw); i++) {     /* the top stays an object */
        json_set(tree, json_key_at(raw, i), tree_lists(json_at(raw, i)));
    }
    return tree;
}

Json *options_nest(const Json *object, Error **errp)
{
    g_autoptr(Json) raw = json_object();

    return tree_put_all(raw, "", object, errp) ? tree_top(raw) : NULL;
}

/* ---- pairs ---- */

typedef struct { char *key, *value; bool bare; } Pair;

static void pair_clear(void *p)
{
    Pair *pair = p;

    g_free(pair->key);
    g_free(pair->value);
}

/* The text as pairs; a first bare word goes to the implied key. */
static GArray *pairs_of(const OptGroup *g, const char *text)
{
    g_auto(GStrv) parts = options_split(text);
    GArray *pairs = g_array_new(FALSE, FALSE, sizeof(Pair));

    g_array_set_clear_func(pairs, pair_clear);
    for (unsigned i = 0; parts[i]; i++) {
        char *eq = strchr(parts[i], '=');
        Pair pair;

        if (eq) {
            pair = (Pair){ g_strndup(parts[i], eq - parts[i]), g_strdup(eq + 1), false };
        } else if (i == 0 && g->implied) {
            pair = (Pair){ g_strdup(g->implied), g_strdup(parts[i]), false };
        } else if (*parts[i]) {
            pair = (Pair){ g_strdup(parts[i]), NULL, true };
        } else {
            continue;                                   /* "a=b," : nothing behind the comma */
        }
        g_array_append_val(pairs, pair);
    }
    return pairs;
}

/* What a bare word means: k, nok, or (open tables) any name. */
static bool bare_resolve(const OptGroup *g, const OptVariant *v, Pair *pair, Error **errp)
{
    const OptKey *k = opt_key_find(g, v, pair->key);
    const char *value = "on";

    if (!k && g_str_has_prefix(pair->key, "no")) {
        k = opt_key_find(g, v, pair->key + 2);
        if (k && k->type == OPT_BOOL) {
            g_autofree char *old = pair->key;

            pair->key = g_strdup(old + 2);
            value = "off";
        } else {
            k = NULL;
        }
    }
    if (!k && !opt_is_open(g, v)) {
        return opt_unknown_key(g, v, pair->key, errp);
    }
    if (k && k->type != OPT_BOOL) {
        return error_set(errp, "Expected '=' after parameter '%s'", pair->key);
    }
    pair->value = g_strdup(value);
    return true;
}

/* Which variant do the pairs ask for? */
static bool pairs_variant(const OptGroup *g, GArray *pairs, const OptVariant **v, Error **errp)
{
    g_autoptr(Json) chosen = json_object();

    for (unsigned i = 0; g->select && i < pairs->len; i++) {
        const Pair *pair = &g_array_index(pairs, Pair, i);

        if (pair->value && !strcmp(pair->key, g->select)) {
            json_set_string(chosen, g->select, pair->value);
        }
    }
    return opt_variant_of(g, chosen, v, errp);
}

static Json *parse_text(const OptGroup *g, const char *text, Error **errp)
{
    g_autoptr(GArray) pairs = pairs_of(g, text);
    g_autoptr(Json) raw = json_object(), tree = NULL;
    const OptVariant *v;

    if (!pairs_variant(g, pairs, &v, errp)) {
        return NULL;
    }
    for (unsigned i = 0; i < pairs->len; i++) {
        Pair *pair = &g_array_index(pairs, Pair, i);
        const OptKey *k;

        if (pair->bare && !bare_resolve(g, v, pair, errp)) {
            return NULL;
        }
        k = opt_key_find(g, v, pair->key);
        if (k && strchr(pair->key, '.')) {              /* a dotted name of the table is one key */
            json_set_string(raw, pair->key, pair->value);
        } else if (depth_of(pair->key) > DEPTH_MAX) {
            error_set(errp, "Invalid parameter '%.40s...': more than %d levels", pair->key, DEPTH_MAX);
            return NULL;
        } else if (!tree_put(raw, k ? k->name : pair->key, json_string(pair->value), k && k->many, errp)) {
            return NULL;
        }
    }
    tree = tree_top(raw);
    return options_check_text(g, tree, errp) ? g_steal_pointer(&tree) : NULL;
}

Json *options_parse(const OptGroup *g, const char *text, Error **errp)
{
    g_autoptr(Json) j = NULL;

    if (text[0] != '{') {
        return parse_text(g, text, errp);
    }
    j = json_parse(text, strlen(text), errp);
    return j && options_check(g, j, errp) ? g_steal_pointer(&j) : NULL;
}

bool options_wants_help(const OptGroup *g, const char *text, char **variant)
{
    g_auto(GStrv) parts = options_split(text);
    bool help = false;

    if (variant) {
        *variant = NULL;
    }
    for (unsigned i = 0; parts[i]; i++) {
        if (!strcmp(parts[i], "help") || !strcmp(parts[i], "?")) {
            help = true;
        } else if (variant && !*variant && i == 0 && g->implied && !strchr(parts[i], '=')) {
            *variant = g_strdup(parts[i]);
        } else if (variant && g->select && g_str_has_prefix(parts[i], g->select) && parts[i][strlen(g->select)] == '=') {
            g_free(*variant);
            *variant = g_strdup(parts[i] + strlen(g->select) + 1);
        }
    }
    if (!help && variant) {
        g_clear_pointer(variant, g_free);
    }
    return help;
}
