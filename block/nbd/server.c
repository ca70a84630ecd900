/* SPDX-License-Identifier: MIT */
/* The NBD server of a session: its socket, its connections, its exports, their buffers. */
#include "block/nbd/server-priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/nbd/address.h"
#include "io/tls.h"

enum { BACKLOG = 64, SMALLEST_BUFFER = 4096, SOCKET_BUFFER = 1 << 20, CONNECTIONS = 100, HANDSHAKE_SECONDS = 10 };

/* ---- buffers: kept between requests, since fresh memory costs a page fault every 4 KiB ---- */

static unsigned buffer_class(size_t len)
{
    unsigned k = 0;

    while (((size_t)SMALLEST_BUFFER << k) < len) {
        k++;
    }
    return k;
}

void *nbd_buffer_get(NbdServer *srv, size_t len, size_t *size)
{
    unsigned k = buffer_class(len);
    NbdBuffer *b = NULL;

    *size = k < NBD_BUFFER_CLASSES ? (size_t)SMALLEST_BUFFER << k : len;
    if (k < NBD_BUFFER_CLASSES) {
        io_lock(&srv->buffers_lock);
        b = srv->buffers[k];
        if (b) {
            srv->buffers[k] = b->next;
            srv->buffers_kept -= *size;
        }
        io_unlock(&srv->buffers_lock);
    }
    return b ? b : blk_buffer(*size);
}

void nbd_buffer_put(NbdServer *srv, void *buf, size_t size)
{
    unsigned k = buffer_class(size);
    NbdBuffer *b = buf;
    bool keep;

    io_lock(&srv->buffers_lock);
    keep = k < NBD_BUFFER_CLASSES && srv->buffers_kept + size <= NBD_BUFFER_KEEP;
    if (keep) {
        b->next = srv->buffers[k];
        srv->buffers[k] = b;
        srv->buffers_kept += size;
    }
    io_unlock(&srv->buffers_lock);
    if (!keep) {
        free(buf);
    }
}

static void free_buffers(NbdServer *srv)
{
    for (unsigned k = 0; k < NBD_BUFFER_CLASSES; k++) {
        while (srv->buffers[k]) {
            NbdBuffer *b = srv->buffers[k];

            srv->buffers[k] = b->next;
            free(b);
        }
    }
}

/* ---- exports ---- */

NbdExport *nbd_server_find(NbdServer *srv, const char *name)
{
    for (unsigned i = 0; i < srv->exports->len; i++) {
        NbdExport *x = srv->exports->pdata[i];

        if (!strcmp(x->name, name)) {
            return x;
        }
    }
    return NULL;
}

void nbd_server_add_export(NbdServer *srv, NbdExport *x)
{
    x->server = srv;
    g_ptr_array_add(srv->exports, x);
}

static void conn_free(NbdConn *c);

/* What runs is answered, and then the client is gone.  On its loop. */
static void send_away_here(NbdConn *c)
{
    c->closing = c->hurry = true;
    if (!c->negotiated) {
        nbd_conn_kill(c);
        return;
    }
    shutdown(stream_fd(c->stream), SHUT_RD);
    nbd_send(c);
}

static void away_done(void *opaque)
{
    NbdConn *c = opaque;

    c->away = false;
    if (c->over) {
        conn_free(c);
    }
}

static void send_away_there(void *opaque)
{
    NbdConn *c = opaque;

    if (!c->ended) {
        send_away_here(c);
    }
    c->away_post = (LoopPost){ NULL, away_done, c };
    loop_post_node(c->server->loop, &c->away_post);
}

static void send_away(NbdConn *c)
{
    if (c->loop == c->server->loop) {
        send_away_here(c);
    } else if (!c->away && !c->over) {
        c->away = true;
        c->away_post = (LoopPost){ NULL, send_away_there, c };
        loop_post_node(c->loop, &c->away_post);
    }
}

static void send_away_all(NbdServer *srv, const NbdExport *of)
{
    for (NbdConn *c = srv->conns, *next; c; c = next) {
        next = c->next;
        if (!of || c->exp == of) {
            send_away(c);
        }
    }
}

void nbd_server_remove_export(NbdServer *srv, NbdExport *x)
{
    g_ptr_array_remove(srv->exports, x);
    for (NbdConn *c = srv->conns; c; c = c->next) {
        if (!c->negotiated && c->context_exp == x) {
            c->context_exp = NULL;
        }
    }
    send_away_all(srv, x);
    export_wait_zero(&x->users);
}

/* ---- connections ---- */

static void accept_rest(NbdServer *srv);

static void conn_free(NbdConn *c)
{
    NbdServer *srv = c->server;
    NbdConn **at = &srv->conns;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    srv->conn_count--;
    loop_timer_cancel(&c->patience);
    if (c->exp) {
        c->exp->users--;
    }
    while (c->free_jobs) {
        NbdJob *j = c->free_jobs;

        c->free_jobs = j->next;
        g_free(j);
    }
    if (srv->closed && !srv->stopping) {
        srv->closed(srv->closed_opaque, srv->conn_count, c->negotiated);
    }
    g_free(c->in);
    g_free(c);
    accept_rest(srv);
}

static void conn_over(void *opaque)
{
    NbdConn *c = opaque;

    c->over = true;
    if (!c->away) {
        conn_free(c);
    }
}

void nbd_conn_unref(NbdConn *c)
{
    if (--c->refs == 0) {
        stream_free(c->stream);
        c->ended = true;
        if (c->loop == c->server->loop) {
            conn_free(c);
        } else {
            c->post = (LoopPost){ NULL, conn_over, c };
            loop_post_node(c->server->loop, &c->post);
        }
    }
}

void nbd_conn_kill(NbdConn *c)
{
    if (!c->dead) {
        c->dead = true;
        stream_shutdown(c->stream);
    }
}

static void serve_here(void *opaque)
{
    NbdConn *c = opaque;

    stream_enter(c->stream);
    nbd_serve(c);
    nbd_conn_unref(c);
}

static void serve(NbdConn *c)
{
    NbdExport *x = c->exp;
    Loop *loop = export_loop(x->exp, x->next_loop++);

    if (loop == c->loop) {
        nbd_serve(c);
        nbd_conn_unref(c);
    } else {
        stream_leave(c->stream);
        c->loop = loop;                 /* before anything of it runs there */
        fiber_start_on(loop, serve_here, c);
    }
}

static void run_conn(void *opaque)
{
    NbdConn *c = opaque;

    if (nbd_negotiate(c, NULL) && !c->closing) {
        c->negotiated = true;
        loop_timer_cancel(&c->patience);
        serve(c);
    } else {
        nbd_conn_unref(c);
    }
}

static void out_of_patience(void *opaque)
{
    nbd_conn_kill(opaque);
}

void nbd_server_adopt(NbdServer *srv, int fd)
{
    NbdConn *c = g_new0(NbdConn, 1);
    int size = SOCKET_BUFFER;

    socket_set_nodelay(fd);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    c->server = srv;
    c->loop = srv->loop;
    c->stream = stream_new_fd(fd);
    c->out_last = &c->out;
    c->refs = 1;
    c->next = srv->conns;
    srv->conns = c;
    srv->conn_count++;
    loop_timer_init(&c->patience, loop_current(), out_of_patience, c);
    if (srv->config.handshake_max) {
        loop_timer_at(&c->patience, loop_now() + (int64_t)srv->config.handshake_max * 1000000000);
    }
    fiber_start(run_conn, c);
}

/* ---- the socket ---- */

static bool full(const NbdServer *srv)
{
    return srv->config.max_connections && srv->conn_count >= srv->config.max_connections;
}

static void incoming(void *opaque, unsigned events)
{
    NbdServer *srv = opaque;

    while (!full(srv) && !srv->stopping) {
        int fd = socket_accept(srv->listener);

        if (fd < 0) {
            break;
        }
        nbd_server_adopt(srv, fd);
    }
    if (full(srv)) {
        loop_fd_events(srv->watch, 0);  /* the others wait in the queue of the socket */
    }
}

static void accept_rest(NbdServer *srv)
{
    if (srv->watch && !srv->stopping && !full(srv)) {
        loop_fd_events(srv->watch, LOOP_READ);
    }
}

static void destroy(void *object)
{
    NbdServer *srv = object;

    srv->stopping = true;
    loop_fd_remove(srv->watch);
    if (srv->listener >= 0) {
        close(srv->listener);
    }
    send_away_all(srv, NULL);
    export_wait_zero(&srv->conn_count);
    if (srv->unlink_path) {
        unlink(srv->unlink_path);
    }
    free_buffers(srv);
    io_lock_destroy(&srv->buffers_lock);
    tls_creds_unref(srv->creds);
    g_ptr_array_free(srv->exports, true);
    g_free(srv->unlink_path);
    g_free((char *)srv->config.tls_creds);
    g_free((char *)srv->config.tls_authz);
    g_free(srv);
}

static const SessionKind server_kind = { .name = "NBD server", .space = "nbd-server", .destroy = destroy };

static bool find_tls(Session *s, const NbdServerConfig *config, TlsCreds **creds, const TlsAuthz **authz, Error **errp)
{
    if (config->tls_authz) {
        *authz = tls_authz_get(s, config->tls_authz, errp);
        if (!*authz) {
            return false;
        }
    }
    if (config->tls_creds) {
        *creds = tls_creds_get(s, config->tls_creds, true, errp);
        return *creds ? true : error_prepend(errp, "Failed to get TLS creds: ");
    }
    return true;
}

bool nbd_server_start(Session *s, const SocketAddress *a, const NbdServerConfig *config, Error **errp)
{
    NbdServer *srv;
    TlsCreds *creds = NULL;
    const TlsAuthz *authz = NULL;
    int fd;

    if (nbd_server_get(s)) {
        return error_set(errp, "NBD server already running");
    }
    if (!find_tls(s, config, &creds, &authz, errp)) {
        return false;
    }
    fd = socket_listen(a, BACKLOG, errp);
    if (fd < 0) {
        tls_creds_unref(creds);
        return false;
    }
    srv = g_new0(NbdServer, 1);
    srv->session = s;
    srv->loop = loop_current();
    io_lock_init(&srv->buffers_lock);
    srv->config = *config;
    srv->config.tls_creds = g_strdup(config->tls_creds);
    srv->config.tls_authz = g_strdup(config->tls_authz);
    srv->creds = creds;
    srv->authz = authz;
    srv->listener = fd;
    srv->unlink_path = a->kind == SOCKET_UNIX && !a->abstract ? g_strdup(a->path) : NULL;
    srv->exports = g_ptr_array_new();
    session_add(s, &server_kind, "#nbd", srv, NULL);
    srv->watch = loop_fd_add(loop_current(), fd, LOOP_READ, incoming, srv);
    return true;
}

bool nbd_server_start_json(Session *s, const Json *o, Error **errp)
{
    g_autoptr(SocketAddress) a = nbd_address_from_json(s, o, "addr", errp);
    NbdServerConfig config = { .tls_creds = json_get_string(o, "tls-creds"), .tls_authz = json_get_string(o, "tls-authz"),
                               .max_connections = json_get_u64(o, "max-connections", CONNECTIONS), .handshake_max = json_get_u64(o, "handshake-max-seconds", HANDSHAKE_SECONDS) };

    return a && nbd_server_start(s, a, &config, errp);
}

static const Export *first_export(NbdServer *srv)
{
    return srv->exports->len ? ((NbdExport *)srv->exports->pdata[0])->exp : NULL;
}

bool nbd_server_stop(Session *s, Error **errp)
{
    NbdServer *srv = nbd_server_get(s);
    const Export *e;

    if (!srv) {
        return error_set(errp, "NBD server not running");
    }
    srv->stopping = true;
    while ((e = first_export(srv))) {
        g_autofree char *id = g_strdup(e->id);
        export_del(s, id, true, NULL);
    }
    session_destroy(s, &server_kind, "#nbd");
    return true;
}

NbdServer *nbd_server_get(Session *s)
{
    return session_get(s, &server_kind, "#nbd");
}

SocketAddress *nbd_server_address(const NbdServer *srv)
{
    return socket_local_address(srv->listener);
}

void nbd_server_set_closed(NbdServer *srv, NbdClosedFn *fn, void *opaque)
{
    srv->closed = fn;
    srv->closed_opaque = opaque;
}
