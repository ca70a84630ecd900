/* SPDX-License-Identifier: MIT */
/* JSON to text: ASCII only, `": "` behind keys, `", "` between members. */
#include "util/json.h"

#include <math.h>
#include <string.h>

static void write_escape(GString *out, gunichar c)
{
    static const char letters[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    const char *at = c && c < 0x80 ? strchr(letters, (int)c) : NULL;

    for (; at && (at - letters) % 2 == 0; at = strchr(at + 1, (int)c)) {
        /* the letter, not what it stands for */
    }
    if (at) {
        g_string_append_c(out, '\\');
        g_string_append_c(out, at[-1]);
    } else if (c > 0xffff) {
        c -= 0x10000;
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
        g_string_append_printf(out, "\\u%04X", c);
    }
}

static void write_string(GString *out, const char *s, size_t len)
{
    const char *end = s + len;

    g_string_append_c(out, '"');
    while (s < end) {
        gunichar c = g_utf8_get_char_validated(s, end - s);

        if (!*s) {
            c = 0;
        } else if (c >= (gunichar)-2) {
            write_escape(out, 0xfffd);          /* not UTF-8: strings of the host may hold anything */
            s++;
            continue;
        }
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            g_string_append_c(out, (char)c);
        } else {
            write_escape(out, c);
        }
        s += c ? g_utf8_skip[(uint8_t)*s] : 1;
    }
    g_string_append_c(out, '"');
}

/* The shortest text that reads back as the same double. */
static void write_double(GString *out, double v)
{
    char text[40];

    if (!isfinite(v)) {
        g_string_append(out, "null");           /* JSON has no word for it */
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        g_autofree char *fmt = g_strdup_printf("%%.%dg", digits);

        g_ascii_formatd(text, sizeof(text), fmt, v);
        if (g_ascii_strtod(text, NULL) == v) {
            break;
        }
    }
    g_string_append(out, text);
}

static void newline(GString *out, JsonStyle style, unsigned level)
{
    if (style == JSON_PRETTY) {
        g_string_append_printf(out, "\n%*s", (int)level * 4, "");
    }
}

static void write_value(const Json *j, JsonStyle style, GString *out, unsigned level);

static void write_container(const Json *j, JsonStyle style, GString *out, unsigned level)
{
    bool object = json_type(j) == JSON_OBJECT;

    g_string_append_c(out, object ? '{' : '[');
    for (unsigned i = 0; i < json_size(j); i++) {
        if (i) {
            g_string_append(out, style == JSON_PRETTY ? "," : ", ");
        }
        newline(out, style, level + 1);
        if (object) {
            write_string(out, json_key_at(j, i), strlen(json_key_at(j, i)));
            g_string_append(out, ": ");
        }
        write_value(json_at(j, i), style, out, level + 1);
    }
    newline(out, style, level);
    g_string_append_c(out, object ? '}' : ']');
}

static void write_value(const Json *j, JsonStyle style, GString *out, unsigned level)
{
    bool b = false;
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;

    switch (json_type(j)) {
    case JSON_NULL:
        g_string_append(out, "null");
        break;
    case JSON_BOOL:
        json_as_bool(j, &b);
        g_string_append(out, b ? "true" : "false");
        break;
    case JSON_INT:
        json_as_i64(j, &i);
        g_string_append_printf(out, "%" G_GINT64_FORMAT, i);
        break;
    case JSON_UINT:
        json_as_u64(j, &u);
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, u);
        break;
    case JSON_DOUBLE:
        json_as_double(j, &d);
        write_double(out, d);
        break;
    case JSON_STRING:
        write_string(out, json_as_string(j), json_string_size(j));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        write_container(j, style, out, level);
        break;
    }
}

void json_write(const Json *j, JsonStyle style, GString *out)
{
    write_value(j, style, out, 0);
}

char *json_text(const Json *j, JsonStyle style)
{
    GString *out = g_string_new(NULL);

    json_write(j, style, out);
    return g_string_free(out, FALSE);
}
