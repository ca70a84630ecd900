/* SPDX-License-Identifier: MIT */
/*
 * A hostile web server.
 *
 * The first byte is 's' for a client that wants TLS; bit 0 of the second is
 * force-range.  Then come answers, parted by '|', one for each connection that
 * asks something; after the last there is only the end.  Redirections stay on
 * this server: others could lead to other hosts.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "block/driver.h"
#include "tests/fuzz/fuzz.h"

typedef struct Script {
    GMutex lock;
    const uint8_t *p, *end;             /* borrowed; NULL between inputs */
} Script;

static Script script;

/* The next answer, copied. */
static GBytes *next_answer(void)
{
    GBytes *b = NULL;

    g_mutex_lock(&script.lock);
    if (script.p) {
        const uint8_t *bar = memchr(script.p, '|', (size_t)(script.end - script.p)), *stop = bar ? bar : script.end;

        b = g_bytes_new(script.p, (size_t)(stop - script.p));
        script.p = bar ? bar + 1 : script.end;
    }
    g_mutex_unlock(&script.lock);
    return b;
}

/* Until the empty line, or the first bytes of something that is no HTTP. */
static void hear(int fd)
{
    char buf[4096];
    size_t got = 0;
    ssize_t n = 1;

    while (n > 0 && got < sizeof(buf) && !memmem(buf, got, "\r\n\r\n", 4) && (!got || buf[0] != 0x16)) {
        n = recv(fd, buf + got, sizeof(buf) - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
}

static void serve(int fd)
{
    char waste[4096];
    GBytes *answer;

    hear(fd);
    answer = next_answer();
    for (size_t at = 0, size; answer;) {
        const char *data = g_bytes_get_data(answer, &size);
        ssize_t n = at < size ? send(fd, data + at, size - at, MSG_NOSIGNAL) : 0;

        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    if (answer) {
        g_bytes_unref(answer);
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, waste, sizeof(waste), 0) > 0) {         /* a reset would lose what was sent */
    }
    close(fd);
}

static gpointer server(gpointer opaque)
{
    int fd = GPOINTER_TO_INT(opaque);

    for (;;) {
        int c = accept(fd, NULL, NULL);

        if (c >= 0) {
            serve(c);
        }
    }
    return NULL;
}

/* One for the life of the process. */
static unsigned server_port(void)
{
    static unsigned port;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd;

    if (!port) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
            abort();
        }
        port = ntohs(a.sin_port);
        g_thread_unref(g_thread_new("server", server, GINT_TO_POINTER(fd)));
    }
    return port;
}

static void use(Blk *b)
{
    g_autofree uint8_t *buf = g_malloc(8192);
    uint64_t size = blk_size(b);

    blk_read(b, 0, buf, MIN(size, 8192), 0);
    if (size > 512) {
        blk_read(b, size - 512, buf, 512, 0);
        blk_read(b, 100, buf, MIN(size - 100, 1000), 0);
    }
}

static void set_script(const uint8_t *p, const uint8_t *end)
{
    g_mutex_lock(&script.lock);
    script.p = p;
    script.end = end;
    g_mutex_unlock(&script.lock);
}

/* "location:" other than with a path of this server. */
static bool redirects(const uint8_t *data, size_t size)
{
    g_autofree char *low = g_ascii_strdown((const char *)data, (gssize)size);
    const char *p = low, *end = low + size;

    while ((p = memmem(p, (size_t)(end - p), "ocation", 7))) {
        p += 7;
        if (end - p < 4 || strncmp(p, ": /", 3) || !g_ascii_isalnum(p[3])) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *url = NULL, *text = NULL;
    Session *s;
    Loop *loop;
    Blk *b;

    if (size < 2 || redirects(data, size)) {
        return 0;
    }
    url = g_strdup_printf("http%s://127.0.0.1:%u/x", data[0] == 's' ? "s" : "", server_port());
    text = g_strdup_printf("{\"driver\": \"http%s\", \"url\": \"%s\", \"readahead\": 1024, \"sslverify\": false, \"force-range\": %s}", data[0] == 's' ? "s" : "", url,
                           data[1] & 1 ? "true" : "false");
    loop = loop_new("fuzz");
    loop_attach(loop);
    s = session_new();
    set_script(data + 2, data + size);
    b = blk_open(s, NULL, json_parse(text, strlen(text), NULL), 0, BLK_PERM_READ, BLK_PERM_ALL, NULL);
    if (b) {
        use(b);
        blk_free(b);
    }
    set_script(NULL, NULL);
    session_free(s);
    loop_attach(NULL);
    loop_free(loop);
    return 0;
}
