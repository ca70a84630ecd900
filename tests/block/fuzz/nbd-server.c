/* SPDX-License-Identifier: MIT */
/*
 * A hostile client of the NBD server.
 *
 * The input is a script, a letter and its arguments each; an argument counts
 * from 'a' (any other byte counts for itself), so that seeds can be typed:
 *   o OPT N bytes      an option with N bytes of data
 *   g s x m l          valid: go, structured replies, extended headers, a context, the list
 *   r CMD FLAGS OFF N  a request; writes bring N KiB
 *   w N bytes          bytes as they are
 * With a 'T' as its first byte, the server wants TLS: behind option 5 comes what should be a handshake.
 * Then the client is gone, and the server must be left without connections.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/drive.h"
#include "block/nbd/server-priv.h"
#include "io/object.h"
#include "tests/fuzz/fuzz.h"
#include "util/bswap.h"

typedef struct {
    const uint8_t *p, *end;
    GByteArray *out;
    bool extended;
} Script;

static uint8_t arg(Script *s)
{
    uint8_t b = s->p < s->end ? *s->p++ : 0;

    return b >= 'a' ? b - 'a' : b;
}

static void bytes(Script *s, size_t n)
{
    n = MIN(n, (size_t)(s->end - s->p));
    g_byte_array_append(s->out, s->p, n);
    s->p += n;
}

static void option(Script *s, uint32_t opt, const void *data, uint32_t n)
{
    uint8_t head[NBD_OPTION_SIZE];

    stq_be_p(head, NBD_MAGIC_OPTION);
    stl_be_p(head + 8, opt);
    stl_be_p(head + 12, n);
    g_byte_array_append(s->out, head, sizeof(head));
    g_byte_array_append(s->out, data, n);
}

static void request(Script *s)
{
    uint8_t head[NBD_REQUEST_EXT_SIZE], cmd = arg(s), flags = arg(s), off = arg(s), n = arg(s);
    g_autofree uint8_t *data = g_malloc0(n * 1024 + 1);

    stl_be_p(head, s->extended ? NBD_MAGIC_REQUEST_EXT : NBD_MAGIC_REQUEST);
    stw_be_p(head + 4, flags);
    stw_be_p(head + 6, cmd);
    stq_be_p(head + 8, 7);
    stq_be_p(head + 16, off == 255 ? UINT64_MAX : off * 1024ull);
    if (s->extended) {
        stq_be_p(head + 24, n * 1024ull);
    } else {
        stl_be_p(head + 24, n * 1024);
    }
    g_byte_array_append(s->out, head, s->extended ? NBD_REQUEST_EXT_SIZE : NBD_REQUEST_SIZE);
    if (cmd == NBD_CMD_WRITE || (flags & NBD_CMD_PAYLOAD_LEN)) {
        g_byte_array_append(s->out, data, n * 1024);
    }
}

static void step(Script *s)
{
    static const uint8_t go[6], context[4 + 4 + 4 + 15 + 1] = "\0\0\0\0" "\0\0\0\1" "\0\0\0\17" "base:allocation";
    uint8_t opt;
    size_t n;

    switch (*s->p++) {
    case 'o':
        opt = arg(s);
        n = arg(s);
        n = MIN(n, (size_t)(s->end - s->p));
        option(s, opt, s->p, n);
        s->p += n;
        return;
    case 'g':
        option(s, NBD_OPT_GO, go, sizeof(go));
        return;
    case 's':
        option(s, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
        return;
    case 'x':
        s->extended = true;
        option(s, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
        return;
    case 'm':
        option(s, NBD_OPT_SET_META_CONTEXT, context, sizeof(context) - 1);
        return;
    case 'l':
        option(s, NBD_OPT_LIST, NULL, 0);
        return;
    case 'r':
        request(s);
        return;
    case 'w':
        bytes(s, arg(s));
        return;
    }
}

/* Everything in, everything out, the end; the socket's buffers are smaller than the script may be. */
static void talk(NbdServer *srv, Loop *loop, const GByteArray *in)
{
    int fds[2];
    size_t at = 0;
    char waste[65536];

    if (!socket_pair(fds, NULL)) {
        abort();
    }
    nbd_server_adopt(srv, fds[1]);
    while (srv->conn_count) {
        ssize_t n = at < in->len ? send(fds[0], in->data + at, in->len - at, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

        at += n > 0 ? (size_t)n : 0;
        if (at == in->len) {
            shutdown(fds[0], SHUT_WR);
            at++;
        }
        while (recv(fds[0], waste, sizeof(waste), MSG_DONTWAIT) > 0) {
        }
        loop_step(loop, false);
    }
    close(fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t hello[4] = { 0, 0, 0, 3 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    bool tls = size && *data == 'T';
    Script s = { data + tls, data + size, out, false };
    Loop *loop = loop_new("fuzz");
    Session *session;
    g_autoptr(Json) o = NULL;
    g_autofree char *name = g_strdup_printf("@fuzz-nbd-%d", getpid());
    g_autoptr(SocketAddress) a = socket_address_unix(name);
    static const char export[] = "{'type': 'nbd', 'id': 'e', 'node-name': 'n', 'name': '', 'writable': true, 'description': 'd', 'allocation-depth': true}";

    loop_attach(loop);
    session = session_new();
    if (tls && !session_object_parse(session, "tls-creds-anon,id=t,endpoint=server", NULL)) {
        tls = false;                            /* a build without TLS */
    }
    o = json_parse(export, strlen(export), NULL);
    if (!o || !blockdev_add(session, "null-co,node-name=n,size=128k,read-zeroes=on", NULL) || !nbd_server_start(session, a, &(NbdServerConfig){ .tls_creds = tls ? "t" : NULL }, NULL) ||
        !export_add(session, o, NULL)) {
        abort();
    }
    g_byte_array_append(out, hello, sizeof(hello));
    while (s.p < s.end) {
        step(&s);
    }
    talk(nbd_server_get(session), loop, out);
    session_free(session);
    loop_attach(NULL);
    loop_free(loop);
    return 0;
}
