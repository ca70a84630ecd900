/* SPDX-License-Identifier: MIT */
#include "util/json.h"

#include <string.h>

#include "util/bits.h"

static Json *parse(const char *text)
{
    Error *err = NULL;
    Json *j = json_parse(text, strlen(text), &err);

    if (err) {
        g_error("%s: %s", text, error_message(err));
    }
    return j;
}

/* Text in, the same value in our own spelling out. */
static void test_round(void)
{
    static const struct { const char *in, *out; } rows[] = {
        { "{}", "{}" }, { "[ ]", "[]" }, { " null ", "null" }, { "[true,false]", "[true, false]" },
        { "{'a': 'it\\'s', \"b\":\"it's\"}", "{\"a\": \"it's\", \"b\": \"it's\"}" },
        { "18446744073709551615", "18446744073709551615" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "123456789012345678901234567890", "1.2345678901234568e+29" },
        { "1.50", "1.5" }, { "0.1", "0.1" }, { "1e2", "100" }, { "-0", "0" }, { "5e-324", "4.94065645841247e-324" },
        { "\"\\u00e9\\ud83d\\ude00/\\/\\t\\u0000x\"", "\"\\u00E9\\uD83D\\uDE00//\\t\\u0000x\"" },
        { "\"\303\251\"", "\"\\u00E9\"" },
        { "{\"z\":1,\"a\":{\"b\":[1,2,{}]}}", "{\"z\": 1, \"a\": {\"b\": [1, 2, {}]}}" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autoptr(Json) j = parse(rows[i].in), copy = json_copy(j);
        g_autofree char *text = json_text(copy, JSON_COMPACT);

        g_assert_cmpstr(text, ==, rows[i].out);
        g_assert_true(json_equal(j, copy));
    }
}

static void test_pretty(void)
{
    g_autoptr(Json) j = parse("{\"return\": {}, \"l\": [1, {\"a\": []}]}");
    g_autofree char *text = json_text(j, JSON_PRETTY);

    g_assert_cmpstr(text, ==,
        "{\n    \"return\": {\n    },\n    \"l\": [\n        1,\n        {\n            \"a\": [\n            ]\n        }\n    ]\n}");
}

static void test_errors(void)
{
    static const struct { const char *in, *message, *hint; } rows[] = {
        { "{\"execute\" foo}", "missing : in object pair", "at line 1, column 12\n" },
        { "}", "expecting value", "at line 1, column 1\n" },
        { "{\"a\":1,}", "expecting value", "at line 1, column 8\n" },
        { "{\"a\":\n 1]", "expected separator in dict", "at line 2, column 3\n" },
        { "[1 2]", "expected separator in list", NULL },
        { "{\"driver\":", "premature EOI", NULL },
        { "", "premature EOI", NULL },
        { "\"abc", "premature EOI", NULL },
        { "\"q\001\"", "stray '\"q\001'", NULL },
        { "\"a\377\"", "stray '\"a\357\277\275'", NULL },
        { "\"\\x\"", "invalid escape sequence in string", NULL },
        { "\"\\ud800\"", "\\ud800 is not a valid Unicode character", NULL },
        { "\"\\ud800\\u0041\"", "\\ud800 is not a valid Unicode character", NULL },
        { "%s", "stray '%'", NULL }, { "01", "stray '01'", NULL }, { "1.", "stray '1.'", NULL }, { "-", "stray '-'", NULL },
        { "{\"a\":1,\"a\":2}", "duplicate key", NULL },
        { "1 2", "stray '2'", NULL }, { "nul", "invalid keyword", NULL },
        { "{1:2}", "key is not a string in object", NULL },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        Error *err = NULL;
        g_autofree char *want = g_strconcat("JSON parse error, ", rows[i].message, NULL);

        g_assert_null(json_parse(rows[i].in, strlen(rows[i].in), &err));
        g_assert_cmpstr(error_message(err), ==, want);
        if (rows[i].hint) {
            g_assert_cmpstr(error_hint_text(err), ==, rows[i].hint);
        }
        error_free(err);
    }
}

static void test_depth(void)
{
    g_autofree char *ok = g_strnfill(2 * JSON_DEPTH, '['), *deep = g_strnfill(JSON_DEPTH + 1, '[');
    Error *err = NULL;
    Json *j;

    memset(ok + JSON_DEPTH, ']', JSON_DEPTH);
    j = parse(ok);
    json_unref(j);
    g_assert_null(json_parse(deep, strlen(deep), &err));
    g_assert_cmpstr(error_message(err), ==, "JSON nesting depth limit exceeded");
    error_free(err);
}

static void test_typed(void)
{
    g_autoptr(Json) j = parse("{\"b\":true,\"i\":-1,\"u\":18446744073709551615,\"d\":1.5,\"s\":\"x\",\"n\":null}");
    int64_t i = 5;
    uint64_t u = 5;
    double d = 0;

    g_assert_true(json_get_bool(j, "b", false));
    g_assert_true(json_as_i64(json_get(j, "i"), &i) && i == -1);
    g_assert_false(json_as_u64(json_get(j, "i"), &u));
    g_assert_true(json_as_u64(json_get(j, "u"), &u) && u == UINT64_MAX);
    g_assert_false(json_as_i64(json_get(j, "u"), &i));
    g_assert_false(json_as_i64(json_get(j, "d"), &i));
    g_assert_true(json_as_double(json_get(j, "i"), &d) && d == -1);
    g_assert_cmpstr(json_get_string(j, "s"), ==, "x");
    g_assert_null(json_get_string(j, "i"));
    g_assert_null(json_get(j, "zz"));
    g_assert_cmpuint(json_get_u64(j, "zz", 42), ==, 42);
}

static void test_object(void)
{
    g_autoptr(Json) j = json_object();

    for (int i = 0; i < 100; i++) {
        g_autofree char *key = g_strdup_printf("k%d", i);

        json_set_int(j, key, i);
    }
    json_set_int(j, "k7", 700);
    g_assert_true(json_remove(j, "k50"));
    g_assert_false(json_remove(j, "k50"));
    g_assert_cmpuint(json_size(j), ==, 99);
    g_assert_cmpint(json_get_i64(j, "k7", 0), ==, 700);
    g_assert_cmpint(json_get_i64(j, "k99", 0), ==, 99);
    g_assert_cmpstr(json_key_at(j, 50), ==, "k51");
    for (int i = 0; i < 98; i++) {
        json_remove(j, json_key_at(j, 0));
    }
    g_assert_cmpint(json_get_i64(j, "k99", 0), ==, 99);
}

/* Everything that comes out of a stream fed in pieces of `step` bytes, one letter each: value v, error e. */
static char *stream_run(const char *in, size_t len, size_t step, GString *values)
{
    JsonStream *s = json_stream_new();
    GString *log = g_string_new(NULL);

    for (size_t at = 0; at < len; at += step) {
        JsonStreamResult r;
        Json *j = NULL;
        Error *err = NULL;

        json_stream_feed(s, in + at, MIN(step, len - at));
        while ((r = json_stream_next(s, &j, &err)) != JSON_STREAM_MORE) {
            g_string_append_c(log, r == JSON_STREAM_VALUE ? 'v' : 'e');
            if (j) {
                json_write(j, JSON_COMPACT, values);
            }
            g_clear_pointer(&j, json_unref);
            g_clear_pointer(&err, error_free);
        }
    }
    json_stream_free(s);
    return g_string_free(log, FALSE);
}

static void test_stream(void)
{
    static const struct { const char *in, *log, *values; } rows[] = {
        { "{'a':1}{\"b\":\"}\"}\n[1,\n2]", "vvv", "{\"a\": 1}{\"b\": \"}\"}[1, 2]" },
        { "{\"a\":\"\\\"}{\"} 12 true\"x\"", "vvvv", "{\"a\": \"\\\"}{\"}12true\"x\"" },
        { "{\"execute\":\"x\"]} {}", "eev", "{}" },
        { "\377{}", "ev", "{}" },
        { "{\"a\":\377{}", "ev", "{}" },
        { "{\"a\":1", "", "" },
        { "{\"a\" b}{}", "ev", "{}" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].in); step++) {
            g_autoptr(GString) values = g_string_new(NULL);
            g_autofree char *log = stream_run(rows[i].in, strlen(rows[i].in), step, values);

            g_assert_cmpstr(log, ==, rows[i].log);
            g_assert_cmpstr(values->str, ==, rows[i].values);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/round", test_round);
    g_test_add_func("/json/pretty", test_pretty);
    g_test_add_func("/json/errors", test_errors);
    g_test_add_func("/json/depth", test_depth);
    g_test_add_func("/json/typed", test_typed);
    g_test_add_func("/json/object", test_object);
    g_test_add_func("/json/stream", test_stream);
    return g_test_run();
}
