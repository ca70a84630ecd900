/* SPDX-License-Identifier: MIT */
/* Text to JSON: recursive descent over bytes, RFC 8259 and 'single quotes'. */
#include "util/json.h"

#include <errno.h>
#include <string.h>

typedef struct {
    const char *start, *p, *end;
    unsigned depth;
    Error **errp;
} Parser;

/* A message about the text at `at`; always returns NULL. */
static Json *fail(Parser *ps, const char *at, const char *what)
{
    unsigned line = 1;
    const char *line_start = ps->start;

    for (const char *p = ps->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            line_start = p + 1;
        }
    }
    error_set(ps->errp, "JSON parse error, %s", what);
    error_hint(ps->errp, "at line %u, column %u", line, (unsigned)(at - line_start) + 1);
    return NULL;
}

static Json *fail_stray(Parser *ps, const char *from, const char *to)
{
    size_t len = MIN((size_t)(to - from), 60);
    g_autofree char *raw = g_strndup(from, len), *valid = g_utf8_make_valid(raw, -1);
    g_autofree char *what = g_strdup_printf("stray '%s'", valid);

    return fail(ps, from, what);
}

static void skip_blanks(Parser *ps)
{
    while (ps->p < ps->end && strchr(" \t\r\n", *ps->p) && *ps->p) {
        ps->p++;
    }
}

/* Take c if it is next. */
static bool accept(Parser *ps, char c)
{
    skip_blanks(ps);
    if (ps->p < ps->end && *ps->p == c) {
        ps->p++;
        return true;
    }
    return false;
}

static bool hex4(Parser *ps, unsigned *out)
{
    unsigned v = 0;

    if (ps->end - ps->p < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(ps->p[i]);

        if (digit < 0) {
            return false;
        }
        v = v * 16 + digit;
    }
    ps->p += 4;
    *out = v;
    return true;
}

static bool surrogate(unsigned c, unsigned base)
{
    return c >= base && c < base + 0x400;
}

/* Behind "\u": append the character, or fail. */
static bool parse_unicode(Parser *ps, GString *out)
{
    const char *at = ps->p - 2;
    unsigned c, low = 0;

    if (!hex4(ps, &c)) {
        fail(ps, at, "invalid escape sequence in string");
        return false;
    }
    if (surrogate(c, 0xd800) && ps->end - ps->p >= 6 && ps->p[0] == '\\' && ps->p[1] == 'u') {
        ps->p += 2;
        if (hex4(ps, &low) && surrogate(low, 0xdc00)) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (c >= 0xd800 && c < 0xe000) {
        g_autofree char *what = g_strdup_printf("%.*s is not a valid Unicode character", 6, at);

        fail(ps, at, what);
        return false;
    }
    if (c) {
        g_string_append_unichar(out, c);
    } else {
        g_string_append_c(out, 0);
    }
    return true;
}

static bool parse_escape(Parser *ps, GString *out)
{
    static const char letters[] = "b\bf\fn\nr\rt\t\"\"''\\\\//";
    const char *at = ps->p - 1;
    char c = ps->p < ps->end ? *ps->p++ : 0;

    if (c == 'u') {
        return parse_unicode(ps, out);
    }
    for (unsigned i = 0; c && letters[i]; i += 2) {
        if (letters[i] == c) {
            g_string_append_c(out, letters[i + 1]);
            return true;
        }
    }
    fail(ps, at, "invalid escape sequence in string");
    return false;
}

/* Behind the opening quote.  NULL on an error. */
static GString *parse_string(Parser *ps)
{
    const char *open = ps->p++;
    g_autoptr(GString) out = g_string_new(NULL);

    while (ps->p < ps->end && *ps->p != *open) {
        const char *from = ps->p;

        if ((uint8_t)*from < ' ') {
            fail_stray(ps, open, from + 1);
            return NULL;
        }
        ps->p++;
        if (*from == '\\') {
            if (!parse_escape(ps, out)) {
                return NULL;
            }
        } else if ((uint8_t)*from < 0x80) {
            g_string_append_c(out, *from);
        } else {
            gunichar c = g_utf8_get_char_validated(from, ps->end - from);

            if (c >= (gunichar)-2) {
                fail_stray(ps, open, from + 1);
                return NULL;
            }
            ps->p = from + g_utf8_skip[(uint8_t)*from];
            g_string_append_unichar(out, c);
        }
    }
    if (ps->p == ps->end) {
        fail(ps, open, "premature EOI");
        return NULL;
    }
    ps->p++;
    return g_steal_pointer(&out);
}

static bool skip_digits(const char **p, const char *end)
{
    const char *from = *p;

    while (*p < end && g_ascii_isdigit(**p)) {
        (*p)++;
    }
    return *p > from;
}

/* The extent of a number by its grammar; *whole says whether it is an integer.  NULL when it is none. */
static const char *number_end(const char *p, const char *end, bool *whole)
{
    const char *first;

    *whole = true;
    p += p < end && *p == '-';
    first = p;
    if (!skip_digits(&p, end) || (*first == '0' && p > first + 1)) {
        return NULL;
    }
    if (p < end && *p == '.') {
        p++;
        *whole = false;
        if (!skip_digits(&p, end)) {
            return NULL;
        }
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        *whole = false;
        p += p < end && (*p == '+' || *p == '-');
        if (!skip_digits(&p, end)) {
            return NULL;
        }
    }
    return p;
}

static Json *parse_number(Parser *ps)
{
    bool whole, negative = *ps->p == '-';
    const char *from = ps->p, *to = number_end(from, ps->end, &whole);
    g_autofree char *text = NULL;

    if (!to) {
        for (to = from + 1; to < ps->end && (g_ascii_isalnum(*to) || *to == '.'); to++) {
        }
        return fail_stray(ps, from, to);
    }
    ps->p = to;
    text = g_strndup(from, to - from);
    errno = 0;
    if (whole) {
        uint64_t u = negative ? (uint64_t)g_ascii_strtoll(text, NULL, 10) : g_ascii_strtoull(text, NULL, 10);

        if (!errno) {
            return negative ? json_int((int64_t)u) : json_uint(u);
        }
    }
    return json_double(g_ascii_strtod(text, NULL));
}

static Json *parse_word(Parser *ps)
{
    const char *from = ps->p, *to = from;
    g_autofree char *word = NULL;

    while (to < ps->end && (g_ascii_isalnum(*to) || *to == '_')) {
        to++;
    }
    word = g_strndup(from, to - from);
    ps->p = to;
    if (!strcmp(word, "true") || !strcmp(word, "false")) {
        return json_bool(word[0] == 't');
    }
    if (!strcmp(word, "null")) {
        return json_null();
    }
    return to > from ? fail(ps, from, "invalid keyword") : fail_stray(ps, from, from + 1);
}

static Json *parse_value(Parser *ps);

static Json *parse_array(Parser *ps)
{
    g_autoptr(Json) j = json_array();

    if (accept(ps, ']')) {
        return g_steal_pointer(&j);
    }
    for (;;) {
        Json *v = parse_value(ps);

        if (!v) {
            return NULL;
        }
        json_append(j, v);
        if (accept(ps, ']')) {
            return g_steal_pointer(&j);
        }
        if (!accept(ps, ',')) {
            return fail(ps, ps->p, ps->p == ps->end ? "premature EOI" : "expected separator in list");
        }
    }
}

/* One `key: value`; false on an error. */
static bool parse_member(Parser *ps, Json *object)
{
    g_autoptr(GString) key = NULL;
    const char *at;
    Json *v;

    skip_blanks(ps);
    at = ps->p;
    if (at == ps->end || (*at != '"' && *at != '\'')) {
        fail(ps, at, at == ps->end ? "premature EOI" : *at == '}' ? "expecting value" : "key is not a string in object");
        return false;
    }
    key = parse_string(ps);
    if (!key) {
        return false;
    }
    if (!accept(ps, ':')) {
        fail(ps, ps->p, ps->p == ps->end ? "premature EOI" : "missing : in object pair");
        return false;
    }
    if (strlen(key->str) != key->len || json_get(object, key->str)) {
        fail(ps, at, strlen(key->str) != key->len ? "NUL in a key" : "duplicate key");
        return false;
    }
    v = parse_value(ps);
    if (v) {
        json_set(object, key->str, v);
    }
    return v;
}

static Json *parse_object(Parser *ps)
{
    g_autoptr(Json) j = json_object();

    if (accept(ps, '}')) {
        return g_steal_pointer(&j);
    }
    while (parse_member(ps, j)) {
        if (accept(ps, '}')) {
            return g_steal_pointer(&j);
        }
        if (!accept(ps, ',')) {
            return fail(ps, ps->p, ps->p == ps->end ? "premature EOI" : "expected separator in dict");
        }
    }
    return NULL;
}

static Json *parse_container(Parser *ps)
{
    bool object = *ps->p++ == '{';
    Json *j;

    if (++ps->depth > JSON_DEPTH) {
        error_set(ps->errp, "JSON nesting depth limit exceeded");
        return NULL;
    }
    j = object ? parse_object(ps) : parse_array(ps);
    ps->depth--;
    return j;
}

static Json *parse_value(Parser *ps)
{
    skip_blanks(ps);
    if (ps->p == ps->end) {
        return fail(ps, ps->p, "premature EOI");
    }
    switch (*ps->p) {
    case '{':
    case '[':
        return parse_container(ps);
    case '"':
    case '\'': {
        g_autoptr(GString) s = parse_string(ps);

        return s ? json_string_len(s->str, s->len) : NULL;
    }
    case '}':
    case ']':
    case ',':
    case ':':
        return fail(ps, ps->p, "expecting value");
    case '-':
    case '0' ... '9':
        return parse_number(ps);
    default:
        return parse_word(ps);
    }
}

Json *json_parse(const char *text, size_t len, Error **errp)
{
    Parser ps = { .start = text, .p = text, .end = text + len, .errp = errp };
    g_autoptr(Json) j = parse_value(&ps);

    if (!j) {
        return NULL;
    }
    skip_blanks(&ps);
    if (ps.p < ps.end) {
        return fail_stray(&ps, ps.p, ps.end);
    }
    return g_steal_pointer(&j);
}
