/* SPDX-License-Identifier: MIT */
#include "block/nbd/address.h"

#include <stdlib.h>
#include <string.h>

#include "io/qmp-fds.h"

/* KEY.MEMBER, nested or flat, as text. */
static char *member(const Json *o, const char *key, const char *name)
{
    g_autofree char *flat = g_strdup_printf("%s.%s", key, name);
    Json *nested = json_get(o, key), *v = json_get(o, flat);

    if (!v && json_is(nested, JSON_OBJECT)) {
        v = json_get(nested, name);
        if (!v && json_is(json_get(nested, "data"), JSON_OBJECT)) {
            v = json_get(json_get(nested, "data"), name);
        }
    }
    return v ? json_scalar_text(v) : NULL;
}

static SocketAddress *missing(const char *key, const char *name, Error **errp)
{
    error_set(errp, "Parameter '%s.%s' is missing", key, name);
    return NULL;
}

static SocketAddress *inet(const Json *o, const char *key, Error **errp)
{
    g_autofree char *host = member(o, key, "host"), *port = member(o, key, "port"), *to = member(o, key, "to");
    SocketAddress *a;

    if (!host || !port) {
        return missing(key, host ? "port" : "host", errp);
    }
    a = socket_address_inet(host, port);
    a->to = to ? atoi(to) : 0;
    return a;
}

static SocketAddress *by_text(const char *fmt, const char *a, const char *b, Error **errp)
{
    g_autofree char *text = g_strdup_printf(fmt, a, b);

    return socket_address_parse(text, errp);
}

/* A number, or the name of one that came over a monitor. */
static SocketAddress *by_fd(Session *s, const char *str, Error **errp)
{
    int fd;

    if (g_ascii_isdigit(str[0])) {
        return by_text("fd:%s%s", str, "", errp);
    }
    fd = fd_named_take(s, str, errp);
    return fd < 0 ? NULL : socket_address_fd(fd);
}

SocketAddress *nbd_address_from_json(Session *s, const Json *o, const char *key, Error **errp)
{
    g_autofree char *type = member(o, key, "type"), *path = member(o, key, "path"), *port = member(o, key, "port"), *cid = member(o, key, "cid"), *str = member(o, key, "str");

    if (!type) {
        return missing(key, "type", errp);
    }
    if (!strcmp(type, "unix")) {
        return path ? socket_address_unix(path) : missing(key, "path", errp);
    }
    if (!strcmp(type, "inet")) {
        return inet(o, key, errp);
    }
    if (!strcmp(type, "vsock")) {
        return !cid || !port ? missing(key, cid ? "port" : "cid", errp) : by_text("vsock:%s:%s", cid, port, errp);
    }
    if (!strcmp(type, "fd")) {
        return str ? by_fd(s, str, errp) : missing(key, "str", errp);
    }
    error_set(errp, "Parameter '%s.type' does not accept value '%s'", key, type);
    return NULL;
}

bool nbd_has_address(const Json *o, const char *key)
{
    g_autofree char *type = member(o, key, "type");

    return type != NULL;
}
