/* SPDX-License-Identifier: MIT */
/* Back ends against real descriptors: what one side writes, the other reads. */
#include "chardev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/telnet.h"
#include "io/loop.h"
#include "io/session.h"
#include "tests/wait.h"
#include "util/options.h"

/* A front that keeps what it gets, and takes `room` bytes at most. */
typedef struct Sink {
    CharFront front;
    GString *got;
    GString *events;
    size_t room;
    unsigned writable;
} Sink;

typedef struct World {
    Loop *loop;
    Session *session;
    GString *said;
    unsigned quits;
    char *dir;
} World;

static size_t sink_can_read(void *opaque)
{
    return ((Sink *)opaque)->room;
}

static void sink_read(void *opaque, const uint8_t *buf, size_t len)
{
    Sink *s = opaque;

    g_assert_cmpuint(len, <=, s->room);
    s->room -= len;
    g_string_append_len(s->got, (const char *)buf, len);
}

static void sink_event(void *opaque, CharEvent ev)
{
    g_string_append_c(((Sink *)opaque)->events, "ocbif"[ev]);
}

static void sink_writable(void *opaque)
{
    ((Sink *)opaque)->writable++;
}

static const CharOps sink_ops = { .can_read = sink_can_read, .read = sink_read, .event = sink_event, .writable = sink_writable };
static const CharOps back_ops = {
    .can_read = sink_can_read, .read = sink_read, .event = sink_event, .writable = sink_writable, .background = true,
};

static Sink *sink_new(Chardev *c, const CharOps *ops)
{
    Sink *s = g_new0(Sink, 1);
    Error *err = NULL;

    s->got = g_string_new(NULL);
    s->events = g_string_new(NULL);
    s->room = 1 << 20;
    if (!char_attach(&s->front, c, ops, s, &err)) {
        g_error("%s", error_message(err));
    }
    return s;
}

static void sink_free(Sink *s)
{
    char_detach(&s->front);
    g_string_free(s->got, TRUE);
    g_string_free(s->events, TRUE);
    g_free(s);
}

static void host_quit(void *opaque)
{
    ((World *)opaque)->quits++;
}

static void host_say(void *opaque, const char *line)
{
    g_string_append_printf(((World *)opaque)->said, "%s\n", line);
}

static World *world_new(void)
{
    World *w = g_new0(World, 1);
    CharHost host = { .quit = host_quit, .say = host_say, .info = host_say, .opaque = w, .escape = 1 };

    w->loop = loop_new("test");
    loop_attach(w->loop);
    w->session = session_new();
    w->said = g_string_new(NULL);
    w->dir = g_dir_make_tmp("chardevXXXXXX", NULL);
    chardevs_init(w->session, w->loop, &host);
    return w;
}

static void run(World *w)
{
    for (int i = 0; i < 50; i++) {
        loop_step(w->loop, false);
    }
}

static void world_free(World *w)
{
    chardevs_exit(w->session);
    run(w);
    session_free(w->session);
    loop_attach(NULL);
    loop_free(w->loop);
    g_string_free(w->said, TRUE);
    rmdir(w->dir);
    g_free(w->dir);
    g_free(w);
}

static Chardev *make(World *w, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static Chardev *make(World *w, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(Json) opts = NULL;
    Error *err = NULL;
    Chardev *c = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    opts = options_parse(options_group("chardev"), text, &err);
    c = opts ? chardev_new(w->session, opts, &err) : NULL;
    if (!c) {
        g_error("%s: %s", text, error_message(err));
    }
    return c;
}

static int client(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static void reads(int fd, const char *want, size_t len)
{
    g_autofree char *buf = g_malloc(len + 1);
    ssize_t n = read(fd, buf, len + 1);

    g_assert_cmpmem(buf, n < 0 ? 0 : n, want, len);
}

static void test_server(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL), *there = NULL;
    Chardev *c = make(w, "socket,id=c,path=%s,server,nowait", path);
    Sink *s = sink_new(c, &sink_ops);
    int fd;

    there = g_strdup_printf("disconnected:unix:%s,server=on", path);
    g_assert_cmpstr(chardev_filename(c), ==, there);
    g_assert_cmpuint(char_write(&s->front, "lost", 4), ==, 4);
    for (int round = 0; round < 2; round++) {           /* the next client after the first has left */
        fd = client(path);
        run(w);
        g_assert_cmpstr(s->events->str, ==, "o");
        g_assert_cmpstr(chardev_filename(c), ==, there + strlen("disconnected:"));
        g_assert_cmpint(write(fd, "hello", 5), ==, 5);
        run(w);
        g_assert_cmpstr(s->got->str, ==, "hello");
        char_write(&s->front, "world", 5);
        run(w);
        reads(fd, "world", 5);
        close(fd);
        run(w);
        g_assert_cmpstr(s->events->str, ==, "oc");
        g_string_truncate(s->events, 0);
        g_string_truncate(s->got, 0);
    }
    sink_free(s);
    world_free(w);
    g_assert_cmpint(access(path, F_OK), !=, 0);
}

/* Nothing is read that the front has no room for; nothing is lost. */
static void test_input_flow(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL);
    Sink *s = sink_new(make(w, "socket,id=c,path=%s,server=on,wait=off", path), &sink_ops);
    int fd = client(path);

    s->room = 3;
    g_assert_cmpint(write(fd, "0123456789", 10), ==, 10);
    run(w);
    g_assert_cmpstr(s->got->str, ==, "012");
    s->room = 4;
    char_accept(&s->front);
    run(w);
    g_assert_cmpstr(s->got->str, ==, "0123456");
    s->room = 100;
    char_accept(&s->front);
    run(w);
    g_assert_cmpstr(s->got->str, ==, "0123456789");
    close(fd);
    sink_free(s);
    world_free(w);
}

static void test_output_flow(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL);
    Sink *s = sink_new(make(w, "socket,id=c,path=%s,server=on,wait=off", path), &sink_ops);
    g_autofree uint8_t *block = g_malloc(100000);
    size_t sent = 0, back = 0, n;
    int fd = client(path);
    uint8_t buf[4096];
    ssize_t got;

    for (size_t i = 0; i < 100000; i++) {
        block[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    run(w);
    while (sent < 100000 * 20) {                        /* until the queue is full */
        n = char_write(&s->front, block + sent % 100000, 100000 - sent % 100000);
        sent += n;
        if (sent % 100000) {
            break;
        }
    }
    g_assert_cmpuint(sent % 100000, !=, 0);
    g_assert_cmpuint(char_write(&s->front, "x", 1), ==, 0);
    g_assert_cmpuint(s->writable, ==, 0);
    while (back < sent) {
        run(w);
        while ((got = read(fd, buf, sizeof(buf))) > 0) {
            for (ssize_t i = 0; i < got; i++, back++) {
                g_assert_cmphex(buf[i], ==, block[back % 100000]);
            }
        }
    }
    run(w);
    g_assert_cmpuint(back, ==, sent);
    g_assert_cmpuint(s->writable, >=, 1);
    g_assert_cmpuint(char_write(&s->front, "x", 1), ==, 1);
    close(fd);
    sink_free(s);
    world_free(w);
}

/* ---- device threads write while the loop drains: nothing is lost, and each thread's bytes stay in order ---- */

enum { THREADS = 3, BYTES_EACH = 300000 };

typedef struct Writer { CharFront *front; uint8_t tag; unsigned *stalls; } Writer;

static void *writer_thread(void *opaque)
{
    Writer *w = opaque;
    uint8_t buf[512];

    for (unsigned sent = 0; sent < BYTES_EACH;) {
        size_t n = MIN(sizeof(buf) / 2, BYTES_EACH - sent), taken;

        for (size_t i = 0; i < n; i++) {                /* pairs: who, and the low bits of its position */
            buf[2 * i] = w->tag;
            buf[2 * i + 1] = (uint8_t)(sent + i);
        }
        for (size_t at = 0; at < 2 * n; at += taken) {
            taken = char_write(w->front, buf + at, 2);  /* a pair at a time goes whole or not at all here: the queue's size is even */
            if (!taken) {
                __atomic_fetch_add(w->stalls, 1, __ATOMIC_RELAXED);
                g_usleep(100);
            }
            g_assert_true(taken == 0 || taken == 2);
        }
        sent += n;
    }
    return NULL;
}

static void test_threads(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL);
    Sink *s = sink_new(make(w, "socket,id=c,path=%s,server=on,wait=off", path), &sink_ops);
    unsigned seen[THREADS] = { 0 }, total = 0, stalls = 0;
    GThread *threads[THREADS];
    Writer writers[THREADS];
    uint8_t buf[8192], tag = 0;
    int fd = client(path);
    bool half = false;

    run(w);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (Writer){ &s->front, (uint8_t)i, &stalls };
        threads[i] = g_thread_new("writer", writer_thread, &writers[i]);
    }
    while (total < THREADS * BYTES_EACH) {
        ssize_t n = read(fd, buf, sizeof(buf));

        for (ssize_t i = 0; i < n; i++, half = !half) {
            if (!half) {
                tag = buf[i];
                g_assert_cmpuint(tag, <, THREADS);
            } else {
                g_assert_cmpuint(buf[i], ==, (uint8_t)seen[tag]);
                seen[tag]++;
                total++;
            }
        }
        loop_step(w->loop, false);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        g_assert_cmpuint(seen[i], ==, BYTES_EACH);
    }
    close(fd);
    sink_free(s);
    world_free(w);
}

static void type(int fd, World *w, const char *keys, size_t len)
{
    g_assert_cmpint(write(fd, keys, len), ==, (ssize_t)len);
    run(w);
}

static void test_mux(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL);
    Chardev *c = make(w, "socket,id=c,path=%s,server=on,wait=off,mux=on", path);
    Sink *monitor = sink_new(c, &back_ops), *serial = sink_new(c, &sink_ops);
    int fd = client(path);
    char buf[1000];
    ssize_t n;

    run(w);
    g_assert_true(chardev_is_mux(c));
    g_assert_nonnull(chardev_find(w->session, "c-base"));
    type(fd, w, "abc", 3);
    g_assert_cmpstr(serial->got->str, ==, "abc");
    type(fd, w, "d\001ce", 4);
    g_assert_cmpstr(serial->got->str, ==, "abcd");
    g_assert_cmpstr(monitor->got->str, ==, "e");
    type(fd, w, "\001", 1);                             /* the letter comes in another piece */
    type(fd, w, "cX\001\001Y\001b", 7);
    g_assert_cmpstr(serial->got->str, ==, "abcdX\001Y");
    g_assert_nonnull(strchr(serial->events->str, 'b'));
    type(fd, w, "\001h", 2);
    n = read(fd, buf, sizeof(buf) - 1);
    buf[MAX(n, 0)] = 0;
    g_assert_true(g_str_has_prefix(buf, "\n\rC-a h    print this help\n\rC-a x    exit emulator\n\r"));
    g_assert_cmpuint(w->quits, ==, 0);
    type(fd, w, "\001x", 2);
    reads(fd, "QEMU: Terminated\n\r", 18);
    g_assert_cmpuint(w->quits, ==, 1);
    char_write(&monitor->front, "m", 1);
    char_write(&serial->front, "s", 1);
    run(w);
    reads(fd, "ms", 2);
    close(fd);
    sink_free(serial);
    sink_free(monitor);
    world_free(w);
}

static void test_pty(void)
{
    World *w = world_new();
    Sink *s = sink_new(make(w, "pty,id=serial0"), &sink_ops);
    g_auto(GStrv) words = g_strsplit(w->said->str, " ", -1);
    int fd;

    g_assert_true(g_regex_match_simple("^char device redirected to /dev/pts/[0-9]+ \\(label serial0\\)\n$", w->said->str, 0, 0));
    fd = open(words[4], O_RDWR | O_NOCTTY | O_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    while (!s->events->len) {
        loop_step(w->loop, true);
    }
    type(fd, w, "in", 2);
    while (s->got->len < 2) {                           /* the kernel passes them on when it likes */
        loop_step(w->loop, true);
    }
    g_assert_cmpstr(s->got->str, ==, "in");
    char_write(&s->front, "out\n", 4);
    g_assert_cmpint(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_SECONDS * 1000), ==, 1);
    reads(fd, "out\n", 4);
    close(fd);
    while (s->events->len < 2) {
        loop_step(w->loop, true);
    }
    g_assert_cmpstr(s->events->str, ==, "oc");
    sink_free(s);
    world_free(w);
}

static void test_file(void)
{
    World *w = world_new();
    g_autofree char *out = g_build_filename(w->dir, "out", NULL), *in = g_build_filename(w->dir, "in", NULL);
    g_autofree char *log = g_build_filename(w->dir, "log", NULL), *text = NULL, *logged = NULL;
    Sink *s;

    g_assert_true(g_file_set_contents(in, "input", 5, NULL));
    s = sink_new(make(w, "file,id=f,path=%s,input-path=%s,logfile=%s", out, in, log), &sink_ops);
    char_printf(&s->front, "line %d\n", 1);
    run(w);
    g_assert_cmpstr(s->got->str, ==, "input");
    sink_free(s);
    g_assert_true(chardev_remove(w->session, "f", NULL));
    s = sink_new(make(w, "file,id=f,path=%s,append=on", out), &sink_ops);
    char_printf(&s->front, "line %d\n", 2);
    sink_free(s);
    world_free(w);
    g_assert_true(g_file_get_contents(out, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "line 1\nline 2\n");
    g_assert_true(g_file_get_contents(log, &logged, NULL, NULL));
    g_assert_cmpstr(logged, ==, "line 1\n");
    unlink(out);
    unlink(in);
    unlink(log);
}

static void test_ringbuf(void)
{
    World *w = world_new();
    Chardev *c = make(w, "ringbuf,id=r,size=8");
    Sink *s = sink_new(c, &sink_ops);
    g_autofree char *first = NULL, *rest = NULL;
    size_t len;

    char_write(&s->front, "0123456789", 10);
    first = (char *)chardev_ringbuf_read(c, 3, &len, NULL);
    g_assert_cmpstr(first, ==, "234");
    rest = (char *)chardev_ringbuf_read(c, 100, &len, NULL);
    g_assert_cmpstr(rest, ==, "56789");
    sink_free(s);
    world_free(w);
}

static void test_reconnect(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL);
    Sink *client_side = sink_new(make(w, "socket,id=c,path=%s,reconnect-ms=1", path), &sink_ops), *server_side;

    run(w);
    g_assert_cmpuint(client_side->events->len, ==, 0);
    server_side = sink_new(make(w, "socket,id=d,path=%s,server=on,wait=off", path), &sink_ops);
    while (!client_side->events->len || !server_side->events->len) {
        loop_step(w->loop, true);
    }
    char_write(&client_side->front, "hi", 2);
    run(w);
    g_assert_cmpstr(server_side->got->str, ==, "hi");
    sink_free(client_side);
    sink_free(server_side);
    world_free(w);
}

static void test_refused(void)
{
    static const struct { const char *text, *message; } rows[] = {
        { "nosuch,id=c", "Parameter 'backend' does not accept value 'nosuch'" },
        { "null", "chardev: no id specified" },
        { "file,id=c", "chardev: file: no filename given" },
        { "file,id=c,path=/gone/x", "Could not open '/gone/x': No such file or directory" },
        { "pipe,id=c,path=/gone", "Could not open '/gone': No such file or directory" },
        { "null,id=c,foo=1", "Invalid parameter 'foo'" },
        { "socket,id=c,path=x,server=maybe", "Parameter 'server' expects 'on' or 'off'" },
        { "socket,id=c,path=gone.sock", "Failed to connect to 'gone.sock': No such file or directory" },
        { "spicevmc,id=c", "chardev 'spicevmc' is not available in this build: no SPICE" },
        { "socket,id=c,port=1,tls-creds=x", "Parameter 'tls-creds' is not available in this build: no TLS on character devices" },
        { "ringbuf,id=c,size=100", "size of ringbuf chardev must be power of two" },
        { "null,id=taken", "Duplicate ID 'taken' for chardev" },
    };
    World *w = world_new();

    make(w, "null,id=taken");
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Error *err = NULL;
        g_autoptr(Json) opts = options_parse(options_group("chardev"), rows[i].text, &err);

        if (opts) {
            g_assert_null(chardev_new(w->session, opts, &err));
        }
        g_assert_cmpstr(error_message(err), ==, rows[i].message);
        error_free(err);
    }
    world_free(w);
}

static void test_text(void)
{
    World *w = world_new();
    g_autofree char *path = g_build_filename(w->dir, "s", NULL), *text = g_strdup_printf("unix:%s,server,nowait", path);
    bool monitor = false;
    Error *err = NULL;
    Chardev *c = chardev_new_text(w->session, "serial0", text, &monitor, &err);

    g_assert_nonnull(c);
    g_assert_true(strstr(chardev_filename(c), ",server=on") && !monitor);
    c = chardev_new_text(w->session, "serial1", "mon:null", &monitor, &err);
    g_assert_true(c && monitor && chardev_is_mux(c));
    g_assert_true(chardev_new_text(w->session, "x", "chardev:serial1", NULL, &err) == c);
    g_assert_null(chardev_new_text(w->session, "serial2", "nosuch", NULL, &err));
    g_assert_cmpstr(error_message(err), ==, "'nosuch' is not a valid char driver");
    error_free(err);
    err = NULL;
    g_assert_null(chardev_new_text(w->session, "serial2", "tcp:127.0.0.1:1", NULL, &err));
    g_assert_cmpstr(error_message(err), ==, "Failed to connect to '127.0.0.1:1': Connection refused");
    error_free(err);
    world_free(w);
}

static void test_telnet(void)
{
    static const struct { const char *in; size_t len; const char *out; unsigned breaks; } rows[] = {
        { "ab", 2, "ab", 0 }, { "a\377\375\001b", 5, "ab", 0 }, { "a\377\377b", 4, "a\377b", 0 }, { "x\r\0y\r\n", 6, "x\ry\r\n", 0 },
        { "\377\363z", 3, "z", 1 }, { "a\377\372\030\001\377\377\377\360b", 10, "ab", 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].len; cut++) {       /* in two pieces, anywhere */
            g_autofree uint8_t *buf = g_memdup2(rows[i].in, rows[i].len);
            TelnetState state = TELNET_DATA;
            unsigned breaks = 0;
            size_t a = telnet_input(&state, buf, cut, &breaks), b = telnet_input(&state, buf + cut, rows[i].len - cut, &breaks);

            memmove(buf + a, buf + cut, b);
            g_assert_cmpmem(buf, a + b, rows[i].out, strlen(rows[i].out));
            g_assert_cmpuint(breaks, ==, rows[i].breaks);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chardev/server", test_server);
    g_test_add_func("/chardev/input-flow", test_input_flow);
    g_test_add_func("/chardev/output-flow", test_output_flow);
    g_test_add_func("/chardev/threads", test_threads);
    g_test_add_func("/chardev/mux", test_mux);
    g_test_add_func("/chardev/pty", test_pty);
    g_test_add_func("/chardev/file", test_file);
    g_test_add_func("/chardev/ringbuf", test_ringbuf);
    g_test_add_func("/chardev/reconnect", test_reconnect);
    g_test_add_func("/chardev/refused", test_refused);
    g_test_add_func("/chardev/text", test_text);
    g_test_add_func("/chardev/telnet", test_telnet);
    return g_test_run();
}
