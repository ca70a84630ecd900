/* SPDX-License-Identifier: MIT */
/*
 * Values out of a byte stream: find where one ends, then let the parser have
 * the piece.  A bracket that does not fit, a raw control character in a string
 * and 0xff end a piece, so that the stream recovers behind what is broken.
 */
#include "util/json.h"

#include <string.h>

enum { PIECE_MAX = 64 << 20 };

struct JsonStream {
    GByteArray *buf;
    size_t taken;               /* bytes of buf that have been handed out */
    size_t seen;                /* bytes behind `taken` that the scan has passed */
    char quote;                 /* inside a string, and how it began */
    bool escape;
    bool scalar;                /* inside a number or word outside of any container */
    unsigned depth;
    uint8_t closers[JSON_DEPTH + 1];
};

JsonStream *json_stream_new(void)
{
    JsonStream *s = g_new0(JsonStream, 1);

    s->buf = g_byte_array_new();
    return s;
}

void json_stream_free(JsonStream *s)
{
    if (s) {
        g_byte_array_unref(s->buf);
        g_free(s);
    }
}

void json_stream_feed(JsonStream *s, const void *bytes, size_t len)
{
    if (s->taken) {
        g_byte_array_remove_range(s->buf, 0, s->taken);
        s->taken = 0;
    }
    g_byte_array_append(s->buf, bytes, len);
}

/* A string's next byte; true when it ends the piece. */
static bool scan_string(JsonStream *s, uint8_t c)
{
    if (c < ' ') {
        return true;
    }
    if (s->escape) {
        s->escape = false;
    } else if (c == '\\') {
        s->escape = true;
    } else if (c == s->quote) {
        s->quote = 0;
        return !s->depth;
    }
    return false;
}

static bool scan_outside(JsonStream *s, uint8_t c)
{
    if (c == '"' || c == '\'') {
        s->quote = (char)c;
    } else if (c == '{' || c == '[') {
        if (s->depth > JSON_DEPTH) {
            return true;
        }
        s->closers[s->depth++] = c == '{' ? '}' : ']';
    } else if (c == '}' || c == ']') {
        if (!s->depth || s->closers[s->depth - 1] != c) {
            return true;
        }
        return --s->depth == 0;
    } else if (!s->depth) {
        if (c == ',' || c == ':') {
            return true;
        }
        s->scalar = true;
    }
    return false;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Scan on; the length of the piece once its end is known, else 0. */
static size_t piece_end(JsonStream *s)
{
    const uint8_t *data = s->buf->data + s->taken;
    size_t len = s->buf->len - s->taken;

    while (s->seen < len) {
        uint8_t c = data[s->seen];

        if (s->scalar && (blank(c) || strchr("{}[],:\"'", c))) {
            return s->seen;                     /* the byte belongs to what follows */
        }
        s->seen++;
        if (c == 0xff || s->seen > PIECE_MAX) {
            return s->seen;
        }
        if (s->quote ? scan_string(s, c) : !blank(c) && scan_outside(s, c)) {
            return s->seen;
        }
    }
    return 0;
}

static void skip_blanks(JsonStream *s)
{
    while (!s->seen && s->taken < s->buf->len && blank(s->buf->data[s->taken])) {
        s->taken++;
    }
}

JsonStreamResult json_stream_next(JsonStream *s, Json **out, Error **errp)
{
    size_t len;

    skip_blanks(s);
    len = piece_end(s);
    if (!len) {
        return JSON_STREAM_MORE;
    }
    *out = json_parse((const char *)s->buf->data + s->taken, len, errp);
    s->taken += len;
    s->seen = s->depth = 0;
    s->quote = 0;
    s->escape = s->scalar = false;
    return *out ? JSON_STREAM_VALUE : JSON_STREAM_ERROR;
}
