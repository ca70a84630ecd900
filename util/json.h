/* SPDX-License-Identifier: MIT */
/*
 * JSON values: parse, build, print (RFC 8259), and a stream of them.
 *
 * A value is counted: the creator holds one reference, containers hold one to
 * each member.  Values are changed by one thread at a time and may be read by
 * many; the count is atomic.  Objects keep the order of their members and
 * refuse duplicate keys when parsed.  Integers from -2^63 to 2^64-1 are kept
 * exactly; larger ones become doubles.  Strings are UTF-8 and may hold NULs.
 *
 * The parser takes JSON and, as QMP clients send it, 'single quotes'.  Errors
 * read "JSON parse error, <what>" with the line and column as their hint.
 * More than JSON_DEPTH nested containers are refused.
 */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum { JSON_DEPTH = 1000 };

typedef enum { JSON_NULL, JSON_BOOL, JSON_INT, JSON_UINT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;
typedef struct Json Json;

/* ---- life ---- */
Json *json_null(void);
Json *json_bool(bool v);
Json *json_int(int64_t v);
Json *json_uint(uint64_t v);                            /* JSON_INT when it fits, else JSON_UINT */
Json *json_double(double v);
Json *json_string(const char *text);
Json *json_string_len(const char *text, size_t len);
Json *json_printf(const char *fmt, ...) G_GNUC_PRINTF(1, 2);    /* a string */
Json *json_array(void);
Json *json_object(void);
Json *json_ref(Json *j);
void json_unref(Json *j);                               /* NULL is fine */
Json *json_copy(const Json *j);                         /* deep */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_unref)

/* ---- look ---- */
JsonType json_type(const Json *j);
const char *json_type_name(const Json *j);              /* "null boolean integer number string array object" */
bool json_is(const Json *j, JsonType type);             /* JSON_INT is also answered by nothing else; NULL is no type */
/* Read a value as a C type; false (and *out untouched) when it is of another type or out of range. */
bool json_as_bool(const Json *j, bool *out);
bool json_as_i64(const Json *j, int64_t *out);
bool json_as_u64(const Json *j, uint64_t *out);
bool json_as_double(const Json *j, double *out);        /* any number */
const char *json_as_string(const Json *j);              /* NULL when it is none */
size_t json_string_size(const Json *j);                 /* bytes of a string */
/* A scalar as people type it: on/off, digits, the text.  NULL for containers and null.  Caller frees. */
char *json_scalar_text(const Json *j);
bool json_equal(const Json *a, const Json *b);          /* members in any order; 1 and 1.0 differ */

/* ---- containers; the `take` of these is that they own the value from then on ---- */
unsigned json_size(const Json *j);                      /* members of an array or object */
Json *json_at(const Json *j, unsigned i);               /* array member, or value of the i-th object member */
const char *json_key_at(const Json *object, unsigned i);
void json_append(Json *array, Json *take);
Json *json_get(const Json *object, const char *key);    /* borrowed; NULL when absent, or object is NULL or none */
void json_set(Json *object, const char *key, Json *take);       /* replaces in place, else goes last */
bool json_remove(Json *object, const char *key);
/* Short forms. */
void json_set_string(Json *object, const char *key, const char *v);
void json_set_int(Json *object, const char *key, int64_t v);
void json_set_uint(Json *object, const char *key, uint64_t v);
void json_set_bool(Json *object, const char *key, bool v);
const char *json_get_string(const Json *object, const char *key);       /* NULL when absent or no string */
bool json_get_bool(const Json *object, const char *key, bool otherwise);
uint64_t json_get_u64(const Json *object, const char *key, uint64_t otherwise);
int64_t json_get_i64(const Json *object, const char *key, int64_t otherwise);

/* ---- text ---- */
/* One value, the whole text; trailing white space is fine. */
Json *json_parse(const char *text, size_t len, Error **errp);
typedef enum { JSON_COMPACT, JSON_PRETTY } JsonStyle;   /* {"a": 1, "b": []} on one line, or four blanks a level */
char *json_text(const Json *j, JsonStyle style);        /* ASCII (\uXXXX for the rest), no newline at the end */
void json_write(const Json *j, JsonStyle style, GString *out);

/* ---- a stream of values without separators (QMP) ---- */
typedef struct JsonStream JsonStream;
JsonStream *json_stream_new(void);
void json_stream_free(JsonStream *s);
void json_stream_feed(JsonStream *s, const void *bytes, size_t len);
typedef enum { JSON_STREAM_MORE, JSON_STREAM_VALUE, JSON_STREAM_ERROR } JsonStreamResult;
/*
 * The next whole value, as soon as its last byte has been fed.  After an error
 * the stream goes on behind the broken piece; byte 0xff ends any piece.
 */
JsonStreamResult json_stream_next(JsonStream *s, Json **out, Error **errp);

#endif
