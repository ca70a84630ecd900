/* SPDX-License-Identifier: MIT */
/*
 * socket: unix and tcp, as server (one client at a time, the next when it has
 * left) or client (with reconnect= it tries again).  telnet=on speaks enough of
 * that protocol.  Descriptors that come along a unix socket are kept until the
 * front takes them.
 */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev/telnet.h"
#include "io/socket.h"

typedef struct Attempt { struct CharSocket *s; } Attempt;

typedef struct CharSocket {
    Chardev c;
    CharFd fd;
    SocketAddress *addr;
    char *text;                     /* "unix:PATH,server=on" */
    bool server, telnet;
    int64_t reconnect_ns;           /* 0: never */
    int listener;
    LoopFd *listen_watch;
    LoopTimer retry;
    Attempt *attempt;               /* a connection that is being made */
    TelnetState telnet_state;
    GArray *fds;                    /* int */
} CharSocket;

static const OptKey socket_keys[] = {
    { "path", OPT_STRING, .help = "unix socket" },
    { "abstract", OPT_BOOL, .def = "off", .help = "the path is a name in the abstract space" },
    { "tight", OPT_BOOL, .def = "on", .absent = "abstract names are never padded" },
    { "host", OPT_STRING, .help = "tcp: name or address" },
    { "port", OPT_STRING, .help = "tcp: number or service" },
    { "fd", OPT_STRING, .help = "an open socket, by number" },
    { "to", OPT_NUMBER, .max = 65535, .help = "tcp server: the last port to try" },
    { "ipv4", OPT_BOOL }, { "ipv6", OPT_BOOL },
    { "server", OPT_BOOL, .def = "off", .help = "listen" },
    { "wait", OPT_BOOL, .def = "on", .help = "server: the start waits for a client" },
    { "telnet", OPT_BOOL, .def = "off" },
    { "delay", OPT_BOOL, .def = "off", .alias = "nagle", .help = "tcp: gather small packets" },
    { "reconnect", OPT_NUMBER, .max = 1000000, .help = "client: seconds between attempts" },
    { "reconnect-ms", OPT_NUMBER, .max = 1000000000, .help = "client: milliseconds between attempts" },
    { "websocket", OPT_BOOL, .absent = "no WebSocket on character devices" },
    { "tn3270", OPT_BOOL, .absent = "no 3270 terminal" },
    { "tls-creds", OPT_STRING, .absent = "no TLS on character devices" },
    { "tls-authz", OPT_STRING, .absent = "no TLS on character devices" },
    {}
};
static const OptVariant socket_options = { .group = "chardev", .name = "socket", .help = "unix or tcp socket", .keys = socket_keys };
OPT_VARIANT(socket_options);

static void client_gone(Chardev *c);
static void connect_start(CharSocket *s);

static void disconnected_name(CharSocket *s)
{
    chardev_set_filename(&s->c, "disconnected:%s", s->text);
}

static void connected_name(CharSocket *s)
{
    g_autoptr(SocketAddress) peer = s->addr->kind == SOCKET_INET ? socket_peer_address(s->fd.in) : NULL;
    g_autofree char *text = peer ? socket_address_text(peer, false) : NULL;

    chardev_set_filename(&s->c, "%s%s%s", s->text, text ? " <-> " : "", text ? text : "");
}

static ssize_t receive(Chardev *c, uint8_t *buf, size_t len)
{
    CharSocket *s = (CharSocket *)c;
    struct iovec iov = { buf, len };
    unsigned nfds = 0, breaks = 0;
    g_autofree int *fds = NULL;
    ssize_t n;

    n = s->addr->kind == SOCKET_INET ? recv(s->fd.in, buf, len, 0) : socket_recv_fds(s->fd.in, &iov, 1, &fds, &nfds);
    if (n < 0 && s->addr->kind != SOCKET_INET) {
        errno = (int)-n;
        n = -1;
    }
    if (nfds) {
        g_array_append_vals(s->fds, fds, nfds);
    }
    if (n > 0 && s->telnet) {
        n = telnet_input(&s->telnet_state, buf, n, &breaks);
        while (breaks--) {
            chardev_event(c, CHAR_BREAK);
        }
        if (!n) {
            errno = EAGAIN;             /* only commands */
            return -1;
        }
    }
    return n;
}

static void connected(CharSocket *s, int fd)
{
    s->fd = (CharFd){ .c = &s->c, .in = fd, .out = fd, .hup = client_gone, .receive = receive };
    char_fd_start(&s->fd);
    char_fd_nonblock(fd);
    s->telnet_state = TELNET_DATA;
    connected_name(s);
    if (s->telnet && s->server) {
        char_fd_write(&s->fd, telnet_hello, sizeof(telnet_hello));
    }
    chardev_set_open(&s->c, true);
}

static void drop_fds(CharSocket *s)
{
    for (unsigned i = 0; i < s->fds->len; i++) {
        close(g_array_index(s->fds, int, i));
    }
    g_array_set_size(s->fds, 0);
}

/* ---- server ---- */

static void accept_ready(void *opaque, unsigned events)
{
    CharSocket *s = opaque;
    int fd = socket_accept(s->listener);

    if (fd >= 0) {
        loop_fd_events(s->listen_watch, 0);         /* one client at a time */
        connected(s, fd);
    }
}

static bool server_open(CharSocket *s, bool wait, Error **errp)
{
    s->listener = socket_listen(s->addr, 1, errp);
    if (s->listener < 0) {
        return false;
    }
    if (s->addr->kind == SOCKET_INET) {
        g_autoptr(SocketAddress) bound = socket_local_address(s->listener);

        if (bound) {                                /* port 0 and to= */
            g_autofree char *where = socket_address_text(bound, false);

            g_free(s->text);
            s->text = g_strdup_printf("%s:%s,server=on", s->telnet ? "telnet" : "tcp", where);
            disconnected_name(s);
        }
    }
    s->listen_watch = loop_fd_add(s->c.loop, s->listener, LOOP_READ, accept_ready, s);
    while (wait && !s->c.open) {
        struct pollfd p = { .fd = s->listener, .events = POLLIN };
        g_autofree char *line = g_strdup_printf("QEMU waiting for connection on: %s", s->c.filename);

        s->c.all->host.info(s->c.all->host.opaque, line);
        while (poll(&p, 1, -1) < 0 && errno == EINTR) {
        }
        accept_ready(s, LOOP_READ);
    }
    return true;
}

/* ---- client ---- */

static void connect_done(void *opaque, int fd, Error *err)
{
    Attempt *a = opaque;
    CharSocket *s = a->s;

    g_free(a);
    if (!s) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    s->attempt = NULL;
    if (fd >= 0) {
        connected(s, fd);
    } else {
        loop_timer_at(&s->retry, loop_now() + s->reconnect_ns);
    }
}

static void connect_start(CharSocket *s)
{
    s->attempt = g_new(Attempt, 1);
    s->attempt->s = s;
    socket_connect_async(s->addr, connect_done, s->attempt);
}

static void retry(void *opaque)
{
    connect_start(opaque);
}

static bool client_open(CharSocket *s, bool delay, Error **errp)
{
    int fd;

    if (s->reconnect_ns) {
        connect_start(s);
        return true;
    }
    fd = s->addr->kind == SOCKET_FD ? s->addr->fd : socket_connect(s->addr, errp);
    if (fd < 0) {
        return false;
    }
    if (!delay) {
        socket_set_nodelay(fd);
    }
    connected(s, fd);
    return true;
}

/* ---- both ---- */

static void client_gone(Chardev *c)
{
    CharSocket *s = (CharSocket *)c;

    if (s->fd.in < 0) {
        return;
    }
    char_fd_stop(&s->fd);
    io_lock(&c->lock);
    close(s->fd.in);
    s->fd.in = s->fd.out = -1;
    io_unlock(&c->lock);
    drop_fds(s);
    disconnected_name(s);
    chardev_set_open(c, false);
    if (s->server) {
        loop_fd_events(s->listen_watch, LOOP_READ);
    } else if (s->reconnect_ns) {
        loop_timer_at(&s->retry, loop_now() + s->reconnect_ns);
    }
}

static SocketAddress *address_of(const Json *opts, Error **errp)
{
    const char *path = json_get_string(opts, "path"), *port = json_get_string(opts, "port"), *fd = json_get_string(opts, "fd");
    SocketAddress *a;

    if (path) {
        a = socket_address_unix(path);
        a->abstract = a->abstract || json_get_bool(opts, "abstract", false);
    } else if (fd) {
        char *end;
        long n = strtol(fd, &end, 10);

        if (*end || !*fd || n < 0 || n > INT32_MAX) {
            error_set(errp, "Unable to parse FD number %s", fd);
            return NULL;
        }
        a = socket_address_fd((int)n);
    } else if (port) {
        a = socket_address_inet(json_get_string(opts, "host"), port);
        a->to = (uint16_t)json_get_u64(opts, "to", 0);
        a->v4_only = json_get_bool(opts, "ipv4", false) && !json_get_bool(opts, "ipv6", false);
        a->v6_only = json_get_bool(opts, "ipv6", false) && !json_get_bool(opts, "ipv4", false);
    } else {
        error_set(errp, json_get(opts, "host") ? "chardev: socket: no port given" : "chardev: socket: give it a path=, a port= or an fd=");
        return NULL;
    }
    return a;
}

static bool options_fit(const Json *opts, bool server, Error **errp)
{
    if (server && (json_get(opts, "reconnect") || json_get(opts, "reconnect-ms"))) {
        return error_set(errp, "'reconnect' option is incompatible with socket in server listen mode");
    }
    if (!server && json_get_bool(opts, "wait", false)) {
        return error_set(errp, "'wait' option is incompatible with socket in client connect mode");
    }
    return true;
}

static bool socket_open(Chardev *c, const Json *opts, Error **errp)
{
    CharSocket *s = (CharSocket *)c;
    g_autofree char *where = NULL;

    s->listener = s->fd.in = s->fd.out = -1;
    s->fd.c = c;
    s->fds = g_array_new(FALSE, FALSE, sizeof(int));
    loop_timer_init(&s->retry, c->loop, retry, s);
    s->server = json_get_bool(opts, "server", false);
    s->telnet = json_get_bool(opts, "telnet", false);
    s->reconnect_ns = (int64_t)json_get_u64(opts, "reconnect-ms", json_get_u64(opts, "reconnect", 0) * 1000) * 1000000;
    s->addr = address_of(opts, errp);
    if (!s->addr || !options_fit(opts, s->server, errp)) {
        return false;
    }
    where = socket_address_text(s->addr, s->addr->kind != SOCKET_INET);
    s->text = s->addr->kind == SOCKET_INET ? g_strdup_printf("%s:%s%s", s->telnet ? "telnet" : "tcp", where, s->server ? ",server=on" : "")
                                           : g_strdup_printf("%s%s", where, s->server ? ",server=on" : "");
    disconnected_name(s);
    return s->server ? server_open(s, json_get_bool(opts, "wait", true), errp) : client_open(s, json_get_bool(opts, "delay", false), errp);
}

static void socket_close(Chardev *c)
{
    CharSocket *s = (CharSocket *)c;

    if (s->attempt) {
        s->attempt->s = NULL;
    }
    loop_timer_cancel(&s->retry);
    char_fd_stop(&s->fd);
    loop_fd_remove(s->listen_watch);
    if (s->fd.in >= 0) {
        close(s->fd.in);
    }
    if (s->listener >= 0) {
        close(s->listener);
        if (s->addr->kind == SOCKET_UNIX && !s->addr->abstract) {
            unlink(s->addr->path);
        }
    }
    if (s->fds) {
        drop_fds(s);
        g_array_unref(s->fds);
    }
    socket_address_free(s->addr);
    g_free(s->text);
}

static ssize_t socket_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return char_fd_write(&((CharSocket *)c)->fd, buf, len);
}

static void socket_update(Chardev *c)
{
    CharSocket *s = (CharSocket *)c;

    if (s->fd.in >= 0) {
        char_fd_update(&s->fd);
    }
}

static int socket_take_fd(Chardev *c)
{
    CharSocket *s = (CharSocket *)c;
    int fd = -1;

    if (s->fds->len) {
        fd = g_array_index(s->fds, int, 0);
        g_array_remove_index(s->fds, 0);
    }
    return fd;
}

static const CharType socket_type = {
    .name = "socket", .size = sizeof(CharSocket), .open = socket_open, .close = socket_close, .write = socket_write,
    .update = socket_update, .take_fd = socket_take_fd, .hang_up = client_gone,
};
CHAR_TYPE(socket_type);
