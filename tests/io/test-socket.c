/* SPDX-License-Identifier: MIT */
/* Addresses, streams from fibers and from callbacks, descriptor passing. */
#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/fiber.h"
#include "io/stream.h"

static void test_addresses(void)
{
    static const struct { const char *in, *out; } good[] = {
        { "unix:/tmp/a b", "unix:/tmp/a b" }, { "unix:@abs", "unix:@abs" }, { "tcp:localhost:5900", "tcp:localhost:5900" },
        { "127.0.0.1:80", "tcp:127.0.0.1:80" }, { ":80", "tcp::80" }, { "[::1]:80", "tcp:[::1]:80" }, { "tcp:[::]:1,to=9,ipv6", "tcp:[::]:1" },
        { "fd:7", "fd:7" }, { "vsock:3:1234", "vsock:3:1234" },
    };
    static const char *const bad[] = { "unix:", "host", "host:", "::1:80", "[::1:80", "fd:x", "vsock:1", "tcp:h:1,foo=2", "h:1,to=x" };

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(SocketAddress) a = socket_address_parse(good[i].in, NULL);
        g_autofree char *text = a ? socket_address_text(a, true) : NULL;
        g_assert_cmpstr(text, ==, good[i].out);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Error) err = NULL;
        g_assert_null(socket_address_parse(bad[i], &err));
        g_assert_nonnull(err);
    }
}

enum { BYTES = 3 << 20 };

static void fill(char *buf, unsigned seed)
{
    for (unsigned i = 0; i < BYTES; i++) {
        buf[i] = (seed = seed * 1103515245 + 12345) >> 16;
    }
}

typedef struct {
    Stream *s;
    bool done;
} End;

static void echo(void *opaque)
{
    End *e = opaque;
    g_autofree char *buf = g_malloc(BYTES);
    Error *err = NULL;

    g_assert_true(stream_read_all(e->s, buf, BYTES, &err));
    g_assert_true(stream_write_all(e->s, buf, BYTES, &err));
    g_assert_false(stream_read_all(e->s, buf, 1, &err));        /* the other side goes */
    g_assert_cmpint(error_errno(err), ==, ENOTCONN);
    error_free(err);
    e->done = true;
}

static void ask(void *opaque)
{
    End *e = opaque;
    g_autofree char *buf = g_malloc(BYTES), *back = g_malloc0(BYTES);
    struct iovec iov[] = { { buf, 1 }, { buf + 1, 1000 }, { buf + 1001, BYTES - 1001 } };

    fill(buf, 7);
    g_assert_true(stream_writev_all(e->s, iov, 3, NULL));
    g_assert_true(stream_read_all(e->s, back, BYTES, NULL));
    g_assert_cmpint(memcmp(buf, back, BYTES), ==, 0);
    stream_free(e->s);
    e->done = true;
}

static int listen_and_connect(SocketAddress *a, int *client)
{
    Error *err = NULL;
    int listener = socket_listen(a, 1, &err), server;
    g_autoptr(SocketAddress) bound = NULL;

    g_assert_cmpint(listener, >=, 0);
    bound = socket_local_address(listener);
    *client = socket_connect(bound, &err);
    g_assert_cmpint(*client, >=, 0);
    server = socket_accept(listener);
    g_assert_cmpint(server, >=, 0);
    close(listener);
    return server;
}

static void exchange(SocketAddress *a)
{
    Loop *loop = loop_new("test");
    End server = {}, client = {};
    int fd, cfd;

    loop_attach(loop);
    fd = listen_and_connect(a, &cfd);
    server.s = stream_new_fd(fd);
    client.s = stream_new_fd(cfd);
    fiber_start(echo, &server);
    fiber_start(ask, &client);
    loop_run_until(loop, &client.done);
    loop_run_until(loop, &server.done);
    stream_free(server.s);
    loop_free(loop);
    socket_address_free(a);
}

static void test_unix(void)
{
    g_autofree char *dir = g_dir_make_tmp("sock-XXXXXX", NULL), *path = g_build_filename(dir, "s", NULL);

    exchange(socket_address_unix(path));
    exchange(socket_address_unix(path));                /* a stale file is no obstacle */
    unlink(path);
    rmdir(dir);
}

static void test_tcp(void)
{
    exchange(socket_address_inet("127.0.0.1", "0"));
}

/* ---- callbacks ---- */

typedef struct {
    Stream *s;
    int got;
    bool ended;
} Sink;

static void on_data(void *opaque, unsigned events)
{
    Sink *k = opaque;
    char buf[100];
    ssize_t r = stream_read(k->s, buf, sizeof(buf));

    if (r > 0) {
        k->got += r;
    } else if (r == 0) {
        k->ended = true;
        stream_watch(k->s, 0, NULL, NULL);
    }
}

static void test_callbacks(void)
{
    Loop *loop = loop_new("test");
    Sink k = {};
    int fds[2];

    loop_attach(loop);
    g_assert_true(socket_pair(fds, NULL));
    k.s = stream_new_fd(fds[0]);
    g_assert_cmpint(stream_read(k.s, &fds, 1), ==, -EAGAIN);
    stream_watch(k.s, LOOP_READ, on_data, &k);
    g_assert_cmpint(write(fds[1], "0123456789", 10), ==, 10);
    while (k.got < 10) {
        loop_step(loop, true);
    }
    close(fds[1]);
    loop_run_until(loop, &k.ended);
    stream_free(k.s);
    loop_free(loop);
}

/* ---- a waiting fiber is let go by a shutdown ---- */

static void read_until_down(void *opaque)
{
    End *e = opaque;
    char c;

    g_assert_false(stream_read_all(e->s, &c, 1, NULL));
    e->done = true;
}

static void test_shutdown(void)
{
    Loop *loop = loop_new("test");
    End e = {};
    int fds[2];

    loop_attach(loop);
    g_assert_true(socket_pair(fds, NULL));
    e.s = stream_new_fd(fds[0]);
    fiber_start(read_until_down, &e);
    g_assert_false(e.done);
    stream_shutdown(e.s);
    loop_run_until(loop, &e.done);
    stream_free(e.s);
    close(fds[1]);
    loop_free(loop);
}

/* ---- descriptors ---- */

static void test_fds(void)
{
    int fds[2], p[2], *got;
    unsigned n;
    char c = 'x';
    struct iovec iov = { &c, 1 };

    g_assert_true(socket_pair(fds, NULL));
    g_assert_cmpint(pipe(p), ==, 0);
    g_assert_cmpint(socket_send_fds(fds[0], &iov, 1, p, 2), ==, 1);
    g_assert_cmpint(socket_recv_fds(fds[1], &iov, 1, &got, &n), ==, 1);
    g_assert_cmpint(n, ==, 2);
    g_assert_cmpint(fcntl(got[0], F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(write(got[1], "y", 1), ==, 1);
    g_assert_cmpint(read(p[0], &c, 1), ==, 1);
    g_assert_cmpint(c, ==, 'y');
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(p[i]);
        close(got[i]);
    }
    g_free(got);
}

static void on_connect(void *opaque, int fd, Error *err)
{
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpstr(error_message(err), ==, "Failed to connect to '/nowhere/s': No such file or directory");
    *(bool *)opaque = true;
}

static void test_connect_fails(void)
{
    Loop *loop = loop_new("test");
    g_autoptr(SocketAddress) a = socket_address_unix("/nowhere/s");
    bool done = false;

    loop_attach(loop);
    socket_connect_async(a, on_connect, &done);
    g_assert_false(done);
    loop_run_until(loop, &done);
    loop_free(loop);
}

static void test_port_taken(void)
{
    g_autoptr(SocketAddress) any = socket_address_inet("127.0.0.1", "0"), taken = NULL;
    g_autoptr(Error) err = NULL;
    int fd = socket_listen(any, 1, NULL), second;

    taken = socket_local_address(fd);
    g_assert_cmpint(socket_listen(taken, 1, &err), ==, -1);
    g_assert_cmpstr(error_message(err), ==, "Failed to find an available port: Address already in use");
    taken->to = MIN(atoi(taken->port) + 50, 65535);
    second = socket_listen(taken, 1, NULL);
    g_assert_cmpint(second, >=, 0);
    close(fd);
    close(second);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/socket/addresses", test_addresses);
    g_test_add_func("/socket/unix", test_unix);
    g_test_add_func("/socket/tcp", test_tcp);
    g_test_add_func("/socket/callbacks", test_callbacks);
    g_test_add_func("/socket/shutdown", test_shutdown);
    g_test_add_func("/socket/fds", test_fds);
    g_test_add_func("/socket/connect-fails", test_connect_fails);
    g_test_add_func("/socket/port-taken", test_port_taken);
    return g_test_run();
}
