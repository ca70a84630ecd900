/* SPDX-License-Identifier: MIT */
#include "util/error.h"

#include <string.h>

struct Error {
    ErrorClass cls;
    int err;
    char *msg;
    GString *hint;
};

static bool setv(Error **errp, ErrorClass cls, int err, const char *fmt, va_list ap)
{
    Error *e;

    if (!errp) {
        return false;
    }
    g_assert(!*errp);               /* an error must not be overwritten */
    e = g_new0(Error, 1);
    e->cls = cls;
    e->err = err;
    e->msg = g_strdup_vprintf(fmt, ap);
    if (err) {
        char *full = g_strdup_printf("%s: %s", e->msg, g_strerror(err));

        g_free(e->msg);
        e->msg = full;
    }
    *errp = e;
    return false;
}

bool error_set(Error **errp, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    setv(errp, ERROR_GENERIC, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_errno(Error **errp, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    setv(errp, ERROR_GENERIC, err, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_class(Error **errp, ErrorClass cls, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    setv(errp, cls, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool error_prepend(Error **errp, const char *fmt, ...)
{
    g_autofree char *head = NULL;
    char *full;
    va_list ap;

    if (!errp || !*errp) {
        return false;
    }
    va_start(ap, fmt);
    head = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    full = g_strconcat(head, (*errp)->msg, NULL);
    g_free((*errp)->msg);
    (*errp)->msg = full;
    return false;
}

bool error_hint(Error **errp, const char *fmt, ...)
{
    va_list ap;

    if (!errp || !*errp) {
        return false;
    }
    if (!(*errp)->hint) {
        (*errp)->hint = g_string_new(NULL);
    }
    va_start(ap, fmt);
    g_string_append_vprintf((*errp)->hint, fmt, ap);
    va_end(ap);
    if ((*errp)->hint->len && (*errp)->hint->str[(*errp)->hint->len - 1] != '\n') {
        g_string_append_c((*errp)->hint, '\n');
    }
    return false;
}

bool error_propagate(Error **errp, Error *err)
{
    if (!err) {
        return true;
    }
    if (!errp || *errp) {
        error_free(err);
    } else {
        *errp = err;
    }
    return false;
}

const char *error_message(const Error *err)
{
    return err->msg;
}

const char *error_hint_text(const Error *err)
{
    return err->hint ? err->hint->str : "";
}

ErrorClass error_class(const Error *err)
{
    return err->cls;
}

int error_errno(const Error *err)
{
    return err->err;
}

Error *error_copy(const Error *err)
{
    Error *e = g_new0(Error, 1);

    *e = *err;
    e->msg = g_strdup(err->msg);
    e->hint = err->hint ? g_string_new(err->hint->str) : NULL;
    return e;
}

void error_free(Error *err)
{
    if (!err) {
        return;
    }
    g_free(err->msg);
    if (err->hint) {
        g_string_free(err->hint, TRUE);
    }
    g_free(err);
}
