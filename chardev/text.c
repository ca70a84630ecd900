/* SPDX-License-Identifier: MIT */
/* The words of -serial, -monitor, -gdb ...: one line of text to the options of a back end. */
#include "chardev/chardev-priv.h"

#include <string.h>

static bool after(const char *text, const char *prefix, const char **rest)
{
    if (!g_str_has_prefix(text, prefix)) {
        return false;
    }
    *rest = text + strlen(prefix);
    return true;
}

/* Commas of a path are not separators of ours. */
static char *escape_commas(const char *s)
{
    g_auto(GStrv) parts = g_strsplit(s, ",", -1);

    return g_strjoinv(",,", parts);
}

/* "HOST:PORT,server..." or "[V6]:PORT,..." to host=,port=,... */
static char *inet_words(const char *rest, const char *more, Error **errp)
{
    size_t addr_len = strcspn(rest, ",");
    g_autofree char *addr = g_strndup(rest, addr_len);
    char *colon = strrchr(addr, ':'), *host = addr;

    if (!colon || !colon[1]) {
        error_set(errp, "address '%s' is not HOST:PORT", addr);
        return NULL;
    }
    *colon = 0;
    if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') {
        colon[-1] = 0;
        host++;
    }
    return g_strdup_printf("socket,host=%s,port=%s%s%s", host, colon + 1, more, rest + addr_len);
}

/* What `text` means in the words of -chardev, without the id; NULL: not a word of ours (no error) or an error. */
static char *to_words(const char *text, Error **errp)
{
    static const char *const plain[] = { "stdio", "null", "pty", "ringbuf", NULL };
    const char *rest;
    g_autofree char *path = NULL;

    if (g_strv_contains(plain, text)) {
        return g_strdup(text);
    }
    if (!strcmp(text, "vc") || g_str_has_prefix(text, "vc:")) {
        return g_strdup("null");                    /* a text console of a display: nobody looks at it */
    }
    if (after(text, "file:", &rest)) {
        path = escape_commas(rest);
        return g_strdup_printf("file,path=%s", path);
    }
    if (after(text, "pipe:", &rest)) {
        path = escape_commas(rest);
        return g_strdup_printf("pipe,path=%s", path);
    }
    if (after(text, "unix:", &rest)) {
        return g_strdup_printf("socket,path=%s", rest);
    }
    if (after(text, "tcp:", &rest)) {
        return inet_words(rest, "", errp);
    }
    if (after(text, "telnet:", &rest)) {
        return inet_words(rest, ",telnet=on", errp);
    }
    return NULL;
}

Chardev *chardev_new_text(Session *s, const char *id, const char *text, bool *monitor, Error **errp)
{
    const OptGroup *g = options_group("chardev");
    g_autofree char *words = NULL;
    g_autoptr(Json) opts = NULL;
    Error *err = NULL;
    const char *rest;
    bool mux = false;

    if (after(text, "chardev:", &rest)) {
        Chardev *c = chardev_find(s, rest);

        if (!c) {
            error_set(errp, "chardev \"%s\" not found", rest);
        }
        return c;
    }
    if (after(text, "mon:", &rest) && monitor) {
        mux = *monitor = true;
        text = rest;
    }
    words = to_words(text, &err);
    if (!words) {
        if (!err) {
            error_set(&err, "'%s' is not a valid char driver", text);
        }
        error_propagate(errp, err);
        return NULL;
    }
    opts = options_parse(g, words, errp);
    if (!opts) {
        return NULL;
    }
    json_set_string(opts, "id", id);
    if (mux) {
        json_set_bool(opts, "mux", true);
        if (!strcmp(json_get_string(opts, "backend"), "stdio")) {
            json_set_bool(opts, "signal", false);   /* Ctrl-C goes to the guest */
        }
    }
    return chardev_new(s, opts, errp);
}
