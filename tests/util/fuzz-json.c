/* SPDX-License-Identifier: MIT */
/* Any bytes: what parses prints and parses back to an equal value; the stream finds the same value. */
#include "tests/fuzz/fuzz.h"

#include "util/json.h"

#include <string.h>

static bool has_double(const Json *j)
{
    if (json_type(j) >= JSON_ARRAY) {
        for (unsigned i = 0; i < json_size(j); i++) {
            if (has_double(json_at(j, i))) {
                return true;
            }
        }
    }
    return json_type(j) == JSON_DOUBLE;
}

static void check_value(const Json *j, JsonStyle style)
{
    g_autofree char *text = json_text(j, style), *again = NULL;
    g_autoptr(Json) back = json_parse(text, strlen(text), NULL);

    g_assert_nonnull(back);
    again = json_text(back, style);
    g_assert_cmpstr(text, ==, again);
    g_assert_true(has_double(j) || json_equal(j, back));    /* 100.0 prints as 100 */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Json) j = json_parse((const char *)data, size, NULL);
    JsonStream *s = json_stream_new();
    unsigned n = 0;

    if (j) {
        check_value(j, JSON_COMPACT);
        check_value(j, JSON_PRETTY);
    }
    json_stream_feed(s, data, size);
    json_stream_feed(s, "\n", 1);
    for (;;) {
        Json *v = NULL;
        Error *err = NULL;
        JsonStreamResult r = json_stream_next(s, &v, &err);

        g_assert_true((r == JSON_STREAM_VALUE) == (v != NULL) && (r == JSON_STREAM_ERROR) == (err != NULL));
        if (v && j && n++ == 0) {
            g_assert_true(json_equal(v, j));
        }
        json_unref(v);
        error_free(err);
        if (r == JSON_STREAM_MORE) {
            break;
        }
    }
    json_stream_free(s);
    return 0;
}
