/* SPDX-License-Identifier: MIT */
/*
 * How people name an export:
 *   nbd:HOST:PORT[:exportname=NAME]   nbd:unix:PATH[:exportname=NAME]
 *   nbd://HOST[:PORT][/NAME]  nbd+tcp://  nbds://     nbd+unix:///[NAME]?socket=PATH  nbds+unix://
 *   nbd+vsock://CID[:PORT][/NAME]
 * and as options: server.type=..., or host, port, path as once.
 */
#include <string.h>

#include "block/nbd/address.h"
#include "block/nbd/client-priv.h"
#include "block/nbd/proto.h"

/* ---- nbd:... ---- */

static bool parse_old(const char *name, Json *o, Error **errp)
{
    g_autofree char *where = g_strdup(name + strlen("nbd:"));
    char *export = strstr(where, ":exportname=");
    g_autoptr(SocketAddress) a = NULL;

    if (export) {
        *export = 0;
        export += strlen(":exportname=");
        if (*export) {
            json_set_string(o, "export", export);
        }
    }
    if (g_str_has_prefix(where, "unix:")) {
        if (where[5] != '/' && !where[5]) {
            return error_set(errp, "nbd: the path of the unix socket is missing");
        }
        json_set_string(o, "server.type", "unix");
        json_set_string(o, "server.path", where + 5);
        return true;
    }
    a = socket_address_parse_inet(where, errp);
    if (!a) {
        return false;
    }
    json_set_string(o, "server.type", "inet");
    json_set_string(o, "server.host", a->host && *a->host ? a->host : "127.0.0.1");
    json_set_string(o, "server.port", a->port);
    return true;
}

/* ---- URIs ---- */

typedef struct {
    char *path, *host;                  /* decoded; path without the leading slash */
    char *socket;
    int port;                           /* -1: not given */
} Uri;

static void uri_clear(Uri *u)
{
    g_free(u->path);
    g_free(u->host);
    g_free(u->socket);
}

static bool parse_query(Uri *u, const char *query, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(query, "&", -1);

    for (char **p = parts; *p; p++) {
        if (g_str_has_prefix(*p, "socket=") && !u->socket) {
            u->socket = g_uri_unescape_string(*p + 7, NULL);
        } else if (**p) {
            return error_set(errp, "NBD URI has a query '%s' that means nothing here; 'socket=PATH' does", *p);
        }
    }
    return true;
}

static bool split_uri(const char *name, Uri *u, Error **errp)
{
    GError *why = NULL;
    g_autoptr(GUri) uri = g_uri_parse(name, G_URI_FLAGS_ENCODED_QUERY | G_URI_FLAGS_ENCODED_PATH | G_URI_FLAGS_PARSE_RELAXED, &why);
    const char *path;

    if (!uri) {
        error_set(errp, "Invalid URI '%s': %s", name, why->message);
        g_error_free(why);
        return false;
    }
    path = g_uri_get_path(uri);
    u->path = g_uri_unescape_string(path + (*path == '/'), NULL);
    u->host = g_strdup(g_uri_get_host(uri));
    u->port = g_uri_get_port(uri);
    if (!u->path) {
        return error_set(errp, "Invalid URI '%s': its path is not UTF-8", name);
    }
    return !g_uri_get_query(uri) || parse_query(u, g_uri_get_query(uri), errp);
}

static bool fill_uri(const char *scheme, const Uri *u, Json *o, Error **errp)
{
    bool is_unix = strstr(scheme, "+unix") != NULL, vsock = strstr(scheme, "+vsock") != NULL;
    const char *host = u->host && *u->host ? u->host : NULL;
    g_autofree char *port = u->port < 0 ? g_strdup(G_STRINGIFY(10809)) : g_strdup_printf("%d", u->port);

    if (*u->path) {
        json_set_string(o, "export", u->path);
    }
    if (is_unix) {
        if (host || u->port >= 0 || !u->socket || !*u->socket) {
            return error_set(errp, host ? "a unix NBD URI has no host: nbd+unix:///NAME?socket=PATH" : "a unix NBD URI needs ?socket=PATH");
        }
        json_set_string(o, "server.type", "unix");
        json_set_string(o, "server.path", u->socket);
        return true;
    }
    if (u->socket) {
        return error_set(errp, "?socket= is for nbd+unix:// only");
    }
    json_set_string(o, "server.type", vsock ? "vsock" : "inet");
    if (vsock) {
        json_set_string(o, "server.cid", host ? host : "2");
    } else {
        json_set_string(o, "server.host", host ? host : "localhost");
    }
    json_set_string(o, "server.port", port);
    return true;
}

static bool parse_uri(const char *name, Json *o, Error **errp)
{
    g_autofree char *scheme = g_strndup(name, strcspn(name, ":"));
    Uri u = { .port = -1 };
    bool ok = split_uri(name, &u, errp) && fill_uri(scheme, &u, o, errp);

    uri_clear(&u);
    if (ok && g_str_has_prefix(scheme, "nbds")) {
        json_set_bool(o, "tls", true);
    }
    return ok;
}

static bool has_any(const Json *o, const char *const *keys)
{
    for (; *keys; keys++) {
        if (json_get(o, *keys)) {
            return true;
        }
    }
    return false;
}

bool nbd_parse_filename(const char *name, Json *o, Error **errp)
{
    static const char *const keys[] = { "host", "port", "path", "server", "export", NULL };

    if (has_any(o, keys)) {
        return error_set(errp, "host/port/path/server/export and a file name may not be used at the same time");
    }
    return strstr(name, "://") ? parse_uri(name, o, errp) : parse_old(name, o, errp);
}

/* ---- options to an address ---- */

SocketAddress *nbd_address_from_options(Session *s, Json *o, Error **errp)
{
    bool server = nbd_has_address(o, "server");
    const char *path = json_get_string(o, "path"), *host = json_get_string(o, "host"), *port = json_get_string(o, "port");

    if (path || host) {
        if (path && host) {
            error_set(errp, "path and host may not be used at the same time");
            return NULL;
        }
        if (server) {
            error_set(errp, "'server' and path/host/port may not be used at the same time");
            return NULL;
        }
        return path ? socket_address_unix(path) : socket_address_inet(host, port ? port : G_STRINGIFY(10809));
    }
    if (!server) {
        error_set(errp, port ? "port may not be used without host" : "NBD server address missing");
        return NULL;
    }
    return nbd_address_from_json(s, o, "server", errp);
}

/* ---- and back ---- */

char *nbd_uri(const SocketAddress *a, const char *export_name, bool tls)
{
    g_autofree char *export = g_uri_escape_string(export_name, "/:@!$&'()*+,;=", true), *where = NULL;
    const char *s = tls ? "s" : "";

    switch (a->kind) {
    case SOCKET_UNIX:
        where = g_uri_escape_string(a->path, "/:@!$'()*,;=", true);
        return *export ? g_strdup_printf("nbd%s+unix:///%s?socket=%s", s, export, where) : g_strdup_printf("nbd%s+unix://?socket=%s", s, where);
    case SOCKET_INET:
        where = socket_address_text(a, false);
        return g_strdup_printf("nbd%s://%s%s%s", s, where, *export ? "/" : "", export);
    default:
        return NULL;
    }
}
