/* SPDX-License-Identifier: MIT */
/* JSON values: build and look. Text is in json-parse.c, json-write.c and json-stream.c. */
#include "util/json.h"

#include <string.h>

enum { HASH_FROM = 16 };            /* objects with more members get an index */

typedef struct { char *key; Json *value; } Member;

struct Json {
    gatomicrefcount refs;
    JsonType type;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct { char *s; size_t len; };
        GPtrArray *items;
        struct { GArray *members; GHashTable *index; };     /* key -> position + 1 */
    };
};

static Json *json_new(JsonType type)
{
    Json *j = g_new0(Json, 1);

    g_atomic_ref_count_init(&j->refs);
    j->type = type;
    return j;
}

Json *json_null(void)
{
    return json_new(JSON_NULL);
}

Json *json_bool(bool v)
{
    Json *j = json_new(JSON_BOOL);

    j->b = v;
    return j;
}

Json *json_int(int64_t v)
{
    Json *j = json_new(JSON_INT);

    j->i = v;
    return j;
}

Json *json_uint(uint64_t v)
{
    Json *j = json_new(v > INT64_MAX ? JSON_UINT : JSON_INT);

    j->u = v;
    return j;
}

Json *json_double(double v)
{
    Json *j = json_new(JSON_DOUBLE);

    j->d = v;
    return j;
}

Json *json_string_len(const char *text, size_t len)
{
    Json *j = json_new(JSON_STRING);

    j->s = g_malloc(len + 1);
    memcpy(j->s, text, len);
    j->s[len] = 0;
    j->len = len;
    return j;
}

Json *json_string(const char *text)
{
    return json_string_len(text, strlen(text));
}

Json *json_printf(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return json_string(text);
}

Json *json_array(void)
{
    Json *j = json_new(JSON_ARRAY);

    j->items = g_ptr_array_new_with_free_func((GDestroyNotify)json_unref);
    return j;
}

static void member_clear(void *p)
{
    Member *m = p;

    g_free(m->key);
    json_unref(m->value);
}

Json *json_object(void)
{
    Json *j = json_new(JSON_OBJECT);

    j->members = g_array_new(FALSE, FALSE, sizeof(Member));
    g_array_set_clear_func(j->members, member_clear);
    return j;
}

Json *json_ref(Json *j)
{
    g_atomic_ref_count_inc(&j->refs);
    return j;
}

void json_unref(Json *j)
{
    if (!j || !g_atomic_ref_count_dec(&j->refs)) {
        return;
    }
    if (j->type == JSON_STRING) {
        g_free(j->s);
    } else if (j->type == JSON_ARRAY) {
        g_ptr_array_unref(j->items);
    } else if (j->type == JSON_OBJECT) {
        g_array_unref(j->members);
        g_clear_pointer(&j->index, g_hash_table_unref);
    }
    g_free(j);
}

Json *json_copy(const Json *j)
{
    Json *c;

    if (j->type == JSON_ARRAY) {
        c = json_array();
        for (unsigned i = 0; i < json_size(j); i++) {
            json_append(c, json_copy(json_at(j, i)));
        }
    } else if (j->type == JSON_OBJECT) {
        c = json_object();
        for (unsigned i = 0; i < json_size(j); i++) {
            json_set(c, json_key_at(j, i), json_copy(json_at(j, i)));
        }
    } else if (j->type == JSON_STRING) {
        c = json_string_len(j->s, j->len);
    } else {
        c = json_new(j->type);
        c->u = j->u;
    }
    return c;
}

JsonType json_type(const Json *j)
{
    return j->type;
}

const char *json_type_name(const Json *j)
{
    static const char *const names[] = {
        [JSON_NULL] = "null", [JSON_BOOL] = "boolean", [JSON_INT] = "integer", [JSON_UINT] = "integer",
        [JSON_DOUBLE] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
    };

    return names[j->type];
}

bool json_is(const Json *j, JsonType type)
{
    return j && j->type == type;
}

bool json_as_bool(const Json *j, bool *out)
{
    if (!json_is(j, JSON_BOOL)) {
        return false;
    }
    *out = j->b;
    return true;
}

bool json_as_i64(const Json *j, int64_t *out)
{
    if (!json_is(j, JSON_INT)) {
        return false;
    }
    *out = j->i;
    return true;
}

bool json_as_u64(const Json *j, uint64_t *out)
{
    if (!json_is(j, JSON_UINT) && !(json_is(j, JSON_INT) && j->i >= 0)) {
        return false;
    }
    *out = j->u;
    return true;
}

bool json_as_double(const Json *j, double *out)
{
    if (json_is(j, JSON_DOUBLE)) {
        *out = j->d;
    } else if (json_is(j, JSON_INT)) {
        *out = (double)j->i;
    } else if (json_is(j, JSON_UINT)) {
        *out = (double)j->u;
    } else {
        return false;
    }
    return true;
}

const char *json_as_string(const Json *j)
{
    return json_is(j, JSON_STRING) ? j->s : NULL;
}

size_t json_string_size(const Json *j)
{
    g_assert(j->type == JSON_STRING);
    return j->len;
}

char *json_scalar_text(const Json *j)
{
    if (!j || j->type == JSON_NULL || j->type >= JSON_ARRAY) {
        return NULL;
    }
    if (j->type == JSON_STRING) {
        return g_strdup(j->s);
    }
    return j->type == JSON_BOOL ? g_strdup(j->b ? "on" : "off") : json_text(j, JSON_COMPACT);
}

static bool members_equal(const Json *a, const Json *b)
{
    for (unsigned i = 0; i < json_size(a); i++) {
        const Json *other = a->type == JSON_ARRAY ? json_at(b, i) : json_get(b, json_key_at(a, i));

        if (!other || !json_equal(json_at(a, i), other)) {
            return false;
        }
    }
    return true;
}

bool json_equal(const Json *a, const Json *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->b == b->b;
    case JSON_INT:
    case JSON_UINT:
        return a->u == b->u;
    case JSON_DOUBLE:
        return a->d == b->d;
    case JSON_STRING:
        return a->len == b->len && !memcmp(a->s, b->s, a->len);
    default:
        return json_size(a) == json_size(b) && members_equal(a, b);
    }
}

unsigned json_size(const Json *j)
{
    g_assert(j->type >= JSON_ARRAY);
    return j->type == JSON_ARRAY ? j->items->len : j->members->len;
}

Json *json_at(const Json *j, unsigned i)
{
    g_assert(i < json_size(j));
    return j->type == JSON_ARRAY ? g_ptr_array_index(j->items, i) : g_array_index(j->members, Member, i).value;
}

const char *json_key_at(const Json *j, unsigned i)
{
    g_assert(j->type == JSON_OBJECT && i < j->members->len);
    return g_array_index(j->members, Member, i).key;
}

void json_append(Json *j, Json *take)
{
    g_assert(j->type == JSON_ARRAY);
    g_ptr_array_add(j->items, take);
}

static void index_rebuild(Json *j)
{
    g_clear_pointer(&j->index, g_hash_table_unref);
    if (j->members->len < HASH_FROM) {
        return;
    }
    j->index = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < j->members->len; i++) {
        g_hash_table_insert(j->index, (char *)json_key_at(j, i), GUINT_TO_POINTER(i + 1));
    }
}

/* Position of a key, -1 when it is not there. */
static int member_find(const Json *j, const char *key)
{
    g_assert(j->type == JSON_OBJECT);
    if (j->index) {
        return (int)GPOINTER_TO_UINT(g_hash_table_lookup(j->index, key)) - 1;
    }
    for (unsigned i = 0; i < j->members->len; i++) {
        if (!strcmp(json_key_at(j, i), key)) {
            return i;
        }
    }
    return -1;
}

Json *json_get(const Json *j, const char *key)
{
    int at = j && j->type == JSON_OBJECT ? member_find(j, key) : -1;

    return at < 0 ? NULL : json_at(j, at);
}

void json_set(Json *j, const char *key, Json *take)
{
    int at = member_find(j, key);
    Member m = { NULL, take };

    if (at >= 0) {
        Member *old = &g_array_index(j->members, Member, at);

        json_unref(old->value);
        old->value = take;
        return;
    }
    m.key = g_strdup(key);
    g_array_append_val(j->members, m);
    if (j->index) {
        g_hash_table_insert(j->index, m.key, GUINT_TO_POINTER(j->members->len));
    } else if (j->members->len == HASH_FROM) {
        index_rebuild(j);
    }
}

bool json_remove(Json *j, const char *key)
{
    int at = member_find(j, key);

    if (at < 0) {
        return false;
    }
    g_clear_pointer(&j->index, g_hash_table_unref);
    g_array_remove_index(j->members, at);
    index_rebuild(j);
    return true;
}

void json_set_string(Json *j, const char *key, const char *v)
{
    json_set(j, key, json_string(v));
}

void json_set_int(Json *j, const char *key, int64_t v)
{
    json_set(j, key, json_int(v));
}

void json_set_uint(Json *j, const char *key, uint64_t v)
{
    json_set(j, key, json_uint(v));
}

void json_set_bool(Json *j, const char *key, bool v)
{
    json_set(j, key, json_bool(v));
}

const char *json_get_string(const Json *j, const char *key)
{
    return json_as_string(json_get(j, key));
}

bool json_get_bool(const Json *j, const char *key, bool otherwise)
{
    json_as_bool(json_get(j, key), &otherwise);
    return otherwise;
}

uint64_t json_get_u64(const Json *j, const char *key, uint64_t otherwise)
{
    json_as_u64(json_get(j, key), &otherwise);
    return otherwise;
}

int64_t json_get_i64(const Json *j, const char *key, int64_t otherwise)
{
    json_as_i64(json_get(j, key), &otherwise);
    return otherwise;
}
