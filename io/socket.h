/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses as people spell them, and the calls on them.
 *
 *   unix:PATH   tcp:HOST:PORT   HOST:PORT   :PORT   [V6]:PORT   fd:NUMBER
 *   vsock:CID:PORT   (a path with a leading '@' is in Linux' abstract space)
 *
 * All descriptors made here are close-on-exec and non-blocking.  Calls that
 * wait (names, connections) let other work go on when they are made from a
 * fiber, and block the thread otherwise.
 */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "util/error.h"

typedef enum { SOCKET_UNIX, SOCKET_INET, SOCKET_FD, SOCKET_VSOCK } SocketKind;

typedef struct SocketAddress {
    SocketKind kind;
    char *path;                         /* unix */
    bool abstract;                      /* unix: abstract name, without the '@' */
    char *host;                         /* inet; "" or NULL: any (listen) or the local host (connect); vsock: the CID */
    char *port;                         /* inet: number or service name; vsock: number */
    uint16_t to;                        /* inet, listen: try ports up to this one */
    bool v4_only, v6_only;              /* inet */
    bool keep_alive;
    int fd;                             /* fd: an open socket */
} SocketAddress;

SocketAddress *socket_address_parse(const char *text, Error **errp);
/* HOST:PORT, [V6]:PORT, :PORT with ,to=N ,ipv4 ,ipv6 behind; what stands after "tcp:" in old options. */
SocketAddress *socket_address_parse_inet(const char *text, Error **errp);
SocketAddress *socket_address_unix(const char *path);           /* "@name": abstract */
SocketAddress *socket_address_inet(const char *host, const char *port);
SocketAddress *socket_address_fd(int fd);
SocketAddress *socket_address_copy(const SocketAddress *a);
void socket_address_free(SocketAddress *a);                     /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SocketAddress, socket_address_free)
/* unix:PATH, HOST:PORT ...; with `scheme`, tcp:HOST:PORT.  Caller frees. */
char *socket_address_text(const SocketAddress *a, bool scheme);

/* A listening socket, or -1.  A stale unix socket file is removed first.  For SOCKET_FD the caller's descriptor itself. */
int socket_listen(const SocketAddress *a, int backlog, Error **errp);
/* A connected socket, or -1: "Failed to connect to 'WHERE': reason". */
int socket_connect(const SocketAddress *a, Error **errp);
/* The same without waiting: fn is called on this thread's loop, never before the return; owns fd (-1: *err says why, freed after). */
typedef void SocketConnected(void *opaque, int fd, Error *err);
void socket_connect_async(const SocketAddress *a, SocketConnected *fn, void *opaque);
/* One waiting connection, or -1 (errno EAGAIN: there is none). */
int socket_accept(int listener);
bool socket_pair(int fds[2], Error **errp);

/* Where a socket is bound or connected to; NULL if the system does not say. */
SocketAddress *socket_local_address(int fd);
SocketAddress *socket_peer_address(int fd);
/* Send small packets at once; no effect on unix sockets. */
void socket_set_nodelay(int fd);

/*
 * recvmsg and sendmsg with descriptors.  *fds is allocated for received ones
 * (NULL when none came), close-on-exec.  Returns bytes, 0 at the end, or a
 * negative errno.
 */
ssize_t socket_recv_fds(int fd, const struct iovec *iov, unsigned iovcnt, int **fds, unsigned *nfds);
ssize_t socket_send_fds(int fd, const struct iovec *iov, unsigned iovcnt, const int *fds, unsigned nfds);
enum { SOCKET_FDS_MAX = 16 };

#endif
