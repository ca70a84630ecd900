/* SPDX-License-Identifier: MIT */
#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/fiber.h"

typedef struct {
    struct sockaddr_storage addr;
    socklen_t len;
} Bound;

static int new_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* ---- names to numbers ---- */

typedef struct {
    const SocketAddress *a;
    bool passive;
    struct addrinfo *list;
    int result;
} Lookup;

static void lookup_run(void *opaque)
{
    Lookup *l = opaque;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = l->passive ? AI_PASSIVE : 0 };
    const char *host = l->a->host && *l->a->host ? l->a->host : NULL;

    hints.ai_family = l->a->v4_only ? AF_INET : l->a->v6_only ? AF_INET6 : AF_UNSPEC;
    l->result = getaddrinfo(host, l->a->port, &hints, &l->list);
}

static struct addrinfo *lookup(const SocketAddress *a, bool passive, Error **errp)
{
    Lookup l = { .a = a, .passive = passive };

    if (fiber_self()) {
        fiber_blocking(lookup_run, &l);
    } else {
        lookup_run(&l);
    }
    if (l.result) {
        error_set(errp, "address resolution failed for %s:%s: %s", a->host ? a->host : "", a->port, gai_strerror(l.result));
        return NULL;
    }
    return l.list;
}

static bool unix_bound(const SocketAddress *a, Bound *b, Error **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&b->addr;
    size_t n = strlen(a->path);

    *b = (Bound){};
    un->sun_family = AF_UNIX;
    if (n + a->abstract >= sizeof(un->sun_path)) {
        error_set(errp, "UNIX socket path '%s' is too long", a->path);
        return error_hint(errp, "Path must be less than %zu bytes\n", sizeof(un->sun_path));
    }
    memcpy(un->sun_path + a->abstract, a->path, n);
    b->len = offsetof(struct sockaddr_un, sun_path) + n + 1;
    return true;
}

static bool vsock_bound(const SocketAddress *a, Bound *b, Error **errp)
{
    struct sockaddr_vm *vm = (struct sockaddr_vm *)&b->addr;
    char *end1, *end2;

    *b = (Bound){ .len = sizeof(*vm) };
    vm->svm_family = AF_VSOCK;
    vm->svm_cid = strtoul(a->host, &end1, 10);
    vm->svm_port = strtoul(a->port, &end2, 10);
    if (*end1 || *end2) {
        return error_set(errp, "error parsing address 'vsock:%s:%s'", a->host, a->port);
    }
    return true;
}

/* ---- listening ---- */

static int fail(int fd)
{
    int e = errno;

    if (fd >= 0) {
        close(fd);
    }
    errno = e;
    return -1;
}

static int listen_one(const struct sockaddr *addr, socklen_t len, int backlog)
{
    int one = 1, fd = new_socket(addr->sa_family);

    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (addr->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(fd, addr, len) < 0 || listen(fd, backlog) < 0) {
        return fail(fd);
    }
    return fd;
}

static void set_port(struct addrinfo *ai, unsigned port)
{
    if (ai->ai_family == AF_INET) {
        ((struct sockaddr_in *)ai->ai_addr)->sin_port = htons(port);
    } else if (ai->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)ai->ai_addr)->sin6_port = htons(port);
    }
}

static int listen_inet(const SocketAddress *a, int backlog, Error **errp)
{
    struct addrinfo *list = lookup(a, true, errp);
    unsigned from = atoi(a->port), to = MAX(a->to, from);
    int fd = -1, why = 0;

    if (!list) {
        return -1;
    }
    for (unsigned port = from; port <= to && fd < 0; port++) {
        for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
            if (a->to) {
                set_port(ai, port);
            }
            fd = listen_one(ai->ai_addr, ai->ai_addrlen, backlog);
            if (fd < 0 && why != EADDRINUSE) {
                why = errno;
            }
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_set_errno(errp, why, why == EADDRINUSE ? "Failed to find an available port" : "Failed to bind socket");
    }
    return fd;
}

/* A socket file that nobody listens behind is left over from a program that died. */
static void remove_stale(const SocketAddress *a)
{
    struct stat st;

    if (!a->abstract && lstat(a->path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(a->path);
    }
}

int socket_listen(const SocketAddress *a, int backlog, Error **errp)
{
    Bound b;
    int fd;

    switch (a->kind) {
    case SOCKET_FD:
        fcntl(a->fd, F_SETFL, fcntl(a->fd, F_GETFL) | O_NONBLOCK);
        if (listen(a->fd, backlog) < 0) {
            error_set_errno(errp, errno, "Unable to use file descriptor %d", a->fd);
            return -1;
        }
        return a->fd;
    case SOCKET_INET:
        return listen_inet(a, backlog, errp);
    case SOCKET_UNIX:
        if (!unix_bound(a, &b, errp)) {
            return -1;
        }
        remove_stale(a);
        break;
    case SOCKET_VSOCK:
        if (!vsock_bound(a, &b, errp)) {
            return -1;
        }
        break;
    }
    fd = listen_one((struct sockaddr *)&b.addr, b.len, backlog);
    if (fd < 0) {
        error_set_errno(errp, errno, "Failed to bind socket to %s", a->kind == SOCKET_UNIX ? a->path : a->port);
    }
    return fd;
}

int socket_accept(int listener)
{
    int fd;

    do {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

bool socket_pair(int fds[2], Error **errp)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
        return error_set_errno(errp, errno, "no pair of sockets");
    }
    return true;
}

/* ---- connecting ---- */

static void wait_writable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };

    if (fiber_self()) {
        fiber_wait_fd(fd, LOOP_WRITE);
    } else {
        while (poll(&p, 1, -1) < 0 && errno == EINTR) {
        }
    }
}

static int connect_one(const struct sockaddr *addr, socklen_t len)
{
    int fd = new_socket(addr->sa_family), err = 0;
    socklen_t n = sizeof(err);

    if (fd < 0) {
        return -1;
    }
    if (connect(fd, addr, len) == 0) {
        return fd;
    }
    if (errno == EAGAIN && addr->sa_family == AF_UNIX) {
        errno = ECONNREFUSED;           /* the listener's queue is full */
    }
    if (errno != EINPROGRESS) {
        return fail(fd);
    }
    wait_writable(fd);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
    if (err) {
        errno = err;
        return fail(fd);
    }
    return fd;
}

static int connect_inet(const SocketAddress *a, Error **errp)
{
    struct addrinfo *list = lookup(a, false, errp);
    int fd = -1, one = 1;

    if (!list) {
        return -1;
    }
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
        fd = connect_one(ai->ai_addr, ai->ai_addrlen);
    }
    freeaddrinfo(list);
    if (fd >= 0 && a->keep_alive) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    if (fd < 0) {
        g_autofree char *where = socket_address_text(a, false);
        error_set_errno(errp, errno, "Failed to connect to '%s'", where);
    }
    return fd;
}

int socket_connect(const SocketAddress *a, Error **errp)
{
    Bound b;
    int fd;

    switch (a->kind) {
    case SOCKET_FD:
        fcntl(a->fd, F_SETFL, fcntl(a->fd, F_GETFL) | O_NONBLOCK);
        return a->fd;
    case SOCKET_INET:
        return connect_inet(a, errp);
    case SOCKET_UNIX:
        if (!unix_bound(a, &b, errp)) {
            return -1;
        }
        break;
    case SOCKET_VSOCK:
        if (!vsock_bound(a, &b, errp)) {
            return -1;
        }
        break;
    }
    fd = connect_one((struct sockaddr *)&b.addr, b.len);
    if (fd < 0) {
        g_autofree char *where = socket_address_text(a, false);
        error_set_errno(errp, errno, "Failed to connect to '%s'", where);
    }
    return fd;
}

typedef struct {
    SocketAddress *a;
    SocketConnected *fn;
    void *opaque;
} Connecting;

static void connect_fiber(void *opaque)
{
    Connecting *c = opaque;
    Error *err = NULL;
    int fd;

    fiber_pause();                      /* never before socket_connect_async() returns */
    fd = socket_connect(c->a, &err);
    c->fn(c->opaque, fd, err);
    error_free(err);
    socket_address_free(c->a);
    g_free(c);
}

void socket_connect_async(const SocketAddress *a, SocketConnected *fn, void *opaque)
{
    Connecting *c = g_new(Connecting, 1);

    *c = (Connecting){ socket_address_copy(a), fn, opaque };
    fiber_start(connect_fiber, c);
}

/* ---- questions ---- */

static SocketAddress *address_of(const Bound *b)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&b->addr;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    size_t n = b->len - offsetof(struct sockaddr_un, sun_path);

    if (b->addr.ss_family == AF_UNIX) {
        g_autofree char *path = b->len <= offsetof(struct sockaddr_un, sun_path) ? g_strdup("")
            : un->sun_path[0] ? g_strndup(un->sun_path, n) : g_strdup_printf("@%.*s", (int)n - 1, un->sun_path + 1);
        return socket_address_unix(path);
    }
    if (getnameinfo((const struct sockaddr *)&b->addr, b->len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV)) {
        return NULL;
    }
    return socket_address_inet(host, port);
}

SocketAddress *socket_local_address(int fd)
{
    Bound b = { .len = sizeof(b.addr) };

    return getsockname(fd, (struct sockaddr *)&b.addr, &b.len) < 0 ? NULL : address_of(&b);
}

SocketAddress *socket_peer_address(int fd)
{
    Bound b = { .len = sizeof(b.addr) };

    return getpeername(fd, (struct sockaddr *)&b.addr, &b.len) < 0 ? NULL : address_of(&b);
}

void socket_set_nodelay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- messages with descriptors ---- */

typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(SOCKET_FDS_MAX * sizeof(int))];
} Control;

static void take_fds(struct msghdr *msg, int **fds, unsigned *nfds)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && n) {
            *fds = g_renew(int, *fds, *nfds + n);
            memcpy(*fds + *nfds, CMSG_DATA(c), n * sizeof(int));
            *nfds += n;
        }
    }
}

ssize_t socket_recv_fds(int fd, const struct iovec *iov, unsigned iovcnt, int **fds, unsigned *nfds)
{
    Control control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = iovcnt, .msg_control = &control, .msg_controllen = sizeof(control) };
    ssize_t r;

    *fds = NULL;
    *nfds = 0;
    do {
        r = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return -errno;
    }
    take_fds(&msg, fds, nfds);
    return r;
}

ssize_t socket_send_fds(int fd, const struct iovec *iov, unsigned iovcnt, const int *fds, unsigned nfds)
{
    Control control = {};
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = iovcnt };
    ssize_t r;

    if (nfds > SOCKET_FDS_MAX) {
        return -EINVAL;
    }
    if (nfds) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        *CMSG_FIRSTHDR(&msg) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(nfds * sizeof(int)) };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, nfds * sizeof(int));
    }
    do {
        r = sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}
