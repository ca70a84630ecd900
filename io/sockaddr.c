/* SPDX-License-Identifier: MIT */
/* Socket addresses: text to struct and back. */
#include "io/socket.h"

#include <stdlib.h>
#include <string.h>

#include "util/size.h"

static SocketAddress *address_new(SocketKind kind)
{
    SocketAddress *a = g_new0(SocketAddress, 1);

    a->kind = kind;
    a->fd = -1;
    return a;
}

SocketAddress *socket_address_unix(const char *path)
{
    SocketAddress *a = address_new(SOCKET_UNIX);

    a->abstract = path[0] == '@';
    a->path = g_strdup(path + a->abstract);
    return a;
}

SocketAddress *socket_address_inet(const char *host, const char *port)
{
    SocketAddress *a = address_new(SOCKET_INET);

    a->host = g_strdup(host ? host : "");
    a->port = g_strdup(port);
    return a;
}

SocketAddress *socket_address_fd(int fd)
{
    SocketAddress *a = address_new(SOCKET_FD);

    a->fd = fd;
    return a;
}

SocketAddress *socket_address_copy(const SocketAddress *a)
{
    SocketAddress *b = g_memdup2(a, sizeof(*a));

    b->path = g_strdup(a->path);
    b->host = g_strdup(a->host);
    b->port = g_strdup(a->port);
    return b;
}

void socket_address_free(SocketAddress *a)
{
    if (a) {
        g_free(a->path);
        g_free(a->host);
        g_free(a->port);
        g_free(a);
    }
}

/* ---- options behind an inet address ---- */

static bool inet_flag(const char *value, bool *flag, Error **errp)
{
    *flag = true;
    return !value || bool_parse(value, flag, errp);
}

static bool inet_option(SocketAddress *a, const char *key, const char *value, Error **errp)
{
    uint64_t n;
    bool on;

    if (!strcmp(key, "to")) {
        if (!value || !number_parse_u64(value, &n, NULL) || n > 65535) {
            return error_set(errp, "error parsing address: 'to=%s' is no port", value ? value : "");
        }
        a->to = n;
        return true;
    }
    if (!strcmp(key, "ipv4") || !strcmp(key, "ipv6")) {
        if (!inet_flag(value, &on, errp)) {
            return false;
        }
        if (key[3] == '4') {
            a->v4_only |= on;
            a->v6_only |= !on;
        } else {
            a->v6_only |= on;
            a->v4_only |= !on;
        }
        return true;
    }
    if (!strcmp(key, "keep-alive")) {
        return inet_flag(value, &a->keep_alive, errp);
    }
    return error_set(errp, "Invalid parameter '%s'", key);
}

static bool inet_options(SocketAddress *a, const char *text, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (char **p = parts; *p; p++) {
        char *value = strchr(*p, '=');

        if (value) {
            *value++ = 0;
        }
        if (**p && !inet_option(a, *p, value, errp)) {
            return false;
        }
    }
    if (a->v4_only && a->v6_only) {     /* ipv4=on,ipv6=on: both */
        a->v4_only = a->v6_only = false;
    }
    return true;
}

SocketAddress *socket_address_parse_inet(const char *text, Error **errp)
{
    size_t len = strcspn(text, ",");
    g_autofree char *where = g_strndup(text, len);
    g_autoptr(SocketAddress) a = NULL;
    char *colon = strrchr(where, ':');
    char *host = where;

    if (!colon || !colon[1]) {
        error_set(errp, "error parsing address '%s'", text);
        error_hint(errp, "an address is HOST:PORT, [IPV6]:PORT or :PORT\n");
        return NULL;
    }
    *colon = 0;
    if (host[0] == '[') {
        size_t n = strlen(host);
        if (host[n - 1] != ']') {
            error_set(errp, "error parsing IPv6 address '%s'", text);
            return NULL;
        }
        host[n - 1] = 0;
        host++;
    } else if (strchr(host, ':')) {
        error_set(errp, "error parsing address '%s'", text);
        error_hint(errp, "an IPv6 address stands in brackets: [::1]:%s\n", colon + 1);
        return NULL;
    }
    a = socket_address_inet(host, colon + 1);
    if (text[len] && !inet_options(a, text + len + 1, errp)) {
        return NULL;
    }
    return g_steal_pointer(&a);
}

static SocketAddress *parse_fd(const char *text, Error **errp)
{
    uint64_t n;

    if (!number_parse_u64(text, &n, NULL) || n > INT32_MAX) {
        error_set(errp, "file descriptor '%s' is not a number", text);
        return NULL;
    }
    return socket_address_fd(n);
}

static SocketAddress *parse_vsock(const char *text, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    SocketAddress *a;

    if (g_strv_length(parts) != 2 || !*parts[0] || !*parts[1]) {
        error_set(errp, "error parsing address '%s'", text);
        return NULL;
    }
    a = socket_address_inet(parts[0], parts[1]);
    a->kind = SOCKET_VSOCK;
    return a;
}

SocketAddress *socket_address_parse(const char *text, Error **errp)
{
    if (g_str_has_prefix(text, "unix:")) {
        if (!text[5]) {
            error_set(errp, "invalid Unix socket address");
            return NULL;
        }
        return socket_address_unix(text + 5);
    }
    if (g_str_has_prefix(text, "fd:")) {
        return parse_fd(text + 3, errp);
    }
    if (g_str_has_prefix(text, "vsock:")) {
        return parse_vsock(text + 6, errp);
    }
    return socket_address_parse_inet(g_str_has_prefix(text, "tcp:") ? text + 4 : text, errp);
}

char *socket_address_text(const SocketAddress *a, bool scheme)
{
    const char *host = a->host ? a->host : "";

    switch (a->kind) {
    case SOCKET_UNIX:
        return g_strdup_printf("%s%s%s", scheme ? "unix:" : "", a->abstract ? "@" : "", a->path);
    case SOCKET_INET:
        return g_strdup_printf(strchr(host, ':') ? "%s[%s]:%s" : "%s%s:%s", scheme ? "tcp:" : "", host, a->port);
    case SOCKET_FD:
        return g_strdup_printf("fd:%d", a->fd);
    case SOCKET_VSOCK:
        return g_strdup_printf("vsock:%s:%s", host, a->port);
    }
    return NULL;
}
