/* SPDX-License-Identifier: MIT */
/*
 * A hostile server of the NBD driver, and of a client that lists exports.
 *
 * The input is a script of answers; arguments count from 'a' as in
 * nbd-server.c.  What stands before '|' is there when the client comes, the
 * next part after the client has said something more (or nothing for a while), and so on:
 *   G, O KIB           the greeting, that of the old protocol
 *   n OPT, a OPT       an option is unknown, is accepted
 *   r OPT ERR N        an option is refused, with a text
 *   l N M              an export with names of so many bytes       m ID N      any context, listed
 *   i KIND N           information of so many bytes
 *   c ID, e KIB, b MIN MAX     a context, the export's size, its block sizes (powers of two)
 *   z COOKIE ERR       a simple reply      d COOKIE OFF N DONE   data        h COOKIE OFF N   a hole
 *   t COOKIE ID N      block status        E COOKIE ERR          an error
 *   f COOKIE           done                w N bytes             as they are
 * With an 'x' as its first byte, chunks have extended headers; with a 'T' before that, the client wants TLS; with an 'L' before all, it lists.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/nbd/client.h"
#include "block/nbd/proto.h"
#include "io/object.h"
#include "io/socket.h"
#include "tests/fuzz/fuzz.h"
#include "util/bswap.h"

enum { IDLE_MAX = 20 };

typedef struct {
    const uint8_t *p, *end;
    bool extended, list;
    int fd;
    GByteArray *out;
    size_t at;                          /* sent of out */
    unsigned idle;                      /* turns in which nothing happened */
    bool over;
} Server;

static uint8_t arg(Server *s)
{
    uint8_t b = s->p < s->end ? *s->p++ : 0;

    return b >= 'a' ? b - 'a' : b;
}

static void put(Server *s, unsigned width, uint64_t v)
{
    uint8_t b[8];

    stq_be_p(b, v);
    g_byte_array_append(s->out, b + 8 - width, width);
}

static void fill(Server *s, size_t n, uint8_t byte)
{
    for (; n; n--) {
        g_byte_array_append(s->out, &byte, 1);
    }
}

static void reply(Server *s, uint32_t opt, uint32_t type, uint32_t len)
{
    put(s, 8, NBD_MAGIC_OPTION_REPLY);
    put(s, 4, opt);
    put(s, 4, type);
    put(s, 4, len);
}

/* Calls take slot 0 of the 64 when they come one after the other. */
static void chunk(Server *s, uint8_t cookie, uint16_t flags, uint16_t type, uint64_t off, uint64_t len)
{
    put(s, 4, s->extended ? NBD_MAGIC_CHUNK_EXT : NBD_MAGIC_CHUNK);
    put(s, 2, flags);
    put(s, 2, type);
    put(s, 8, cookie * 64ull);
    if (s->extended) {
        put(s, 8, off);
    }
    put(s, s->extended ? 8 : 4, len);
}

static void status(Server *s)
{
    uint8_t cookie = arg(s), id = arg(s), n = arg(s);

    if (s->extended) {
        chunk(s, cookie, 1, NBD_CHUNK_STATUS_EXT, 0, 24);
        put(s, 4, id);
        put(s, 4, 1);
        put(s, 8, n * 1024ull);
        put(s, 8, n);
    } else {
        chunk(s, cookie, 1, NBD_CHUNK_STATUS, 0, 12);
        put(s, 4, id);
        put(s, 4, n * 1024);
        put(s, 4, n);
    }
}

static void piece(Server *s, bool hole)
{
    uint8_t cookie = arg(s), off = arg(s), n = arg(s), done = hole ? 0 : arg(s);

    chunk(s, cookie, done, hole ? NBD_CHUNK_HOLE : NBD_CHUNK_DATA, 0, hole ? 12 : 8 + n * 512ull);
    put(s, 8, off * 512ull);
    if (hole) {
        put(s, 4, n * 512);
    } else {
        fill(s, n * 512, n);
    }
}

static void info(Server *s, bool sizes)
{
    reply(s, s->list ? NBD_OPT_INFO : NBD_OPT_GO, NBD_REP_INFO, sizes ? 14 : 12);
    if (sizes) {
        put(s, 2, NBD_INFO_BLOCK_SIZE);
        put(s, 4, 1u << (arg(s) % 32));
        put(s, 4, 4096);
        put(s, 4, 1u << (arg(s) % 32));
    } else {
        put(s, 2, NBD_INFO_EXPORT);
        put(s, 8, arg(s) * 1024ull);
        put(s, 2, 0xded);
    }
}

static void old_greeting(Server *s)
{
    put(s, 8, NBD_MAGIC);
    put(s, 8, NBD_MAGIC_OLDSTYLE);
    put(s, 8, arg(s) * 1024ull);
    put(s, 4, arg(s));
    fill(s, 124, 0);
}

static void refusal(Server *s)
{
    uint8_t opt = arg(s), err = arg(s), n = arg(s);

    reply(s, opt, 0x80000000u | err, n);
    fill(s, n, n & 1 ? 'x' : 0xff);
}

static void listed(Server *s, bool context)
{
    uint8_t n = arg(s), m = arg(s);

    if (context) {
        reply(s, NBD_OPT_LIST_META_CONTEXT, NBD_REP_META_CONTEXT, 4 + m);
        put(s, 4, n);
    } else {
        reply(s, NBD_OPT_LIST, NBD_REP_SERVER, 4 + n + m);
        put(s, 4, n);
        fill(s, n, 'n');
    }
    fill(s, m, 'm');
}

static void any_info(Server *s)
{
    uint8_t kind = arg(s), n = arg(s);

    reply(s, s->list ? NBD_OPT_INFO : NBD_OPT_GO, NBD_REP_INFO, 2 + n);
    put(s, 2, kind);
    fill(s, n, n);
}

static void word(Server *s)
{
    uint8_t a;

    switch (*s->p++) {
    case 'O':
        old_greeting(s);
        return;
    case 'r':
        refusal(s);
        return;
    case 'l':
    case 'm':
        listed(s, s->p[-1] == 'm');
        return;
    case 'i':
        any_info(s);
        return;
    case 'G':
        put(s, 8, NBD_MAGIC);
        put(s, 8, NBD_MAGIC_OPTION);
        put(s, 2, 3);
        return;
    case 'n':
        reply(s, arg(s), NBD_REP_ERR_UNSUP, 0);
        return;
    case 'a':
        reply(s, arg(s), NBD_REP_ACK, 0);
        return;
    case 'c':
        reply(s, NBD_OPT_SET_META_CONTEXT, NBD_REP_META_CONTEXT, 19);
        put(s, 4, arg(s));
        g_byte_array_append(s->out, (const uint8_t *)"base:allocation", 15);
        return;
    case 'e':
    case 'b':
        info(s, s->p[-1] == 'b');
        return;
    case 'z':
        put(s, 4, NBD_MAGIC_SIMPLE);
        a = arg(s);
        put(s, 4, arg(s));
        put(s, 8, a * 64ull);
        return;
    case 'd':
    case 'h':
        piece(s, s->p[-1] == 'h');
        return;
    case 't':
        status(s);
        return;
    case 'f':
        chunk(s, arg(s), 1, NBD_CHUNK_NONE, 0, 0);
        return;
    case 'E':
        a = arg(s);
        chunk(s, a, 1, NBD_CHUNK_ERROR, 0, 6);
        put(s, 4, arg(s));
        put(s, 2, 0);
        return;
    case 'w':
        a = arg(s);
        a = MIN(a, s->end - s->p);
        g_byte_array_append(s->out, s->p, a);
        s->p += a;
        return;
    }
}

static void next_part(Server *s)
{
    while (s->p < s->end && *s->p != '|') {
        word(s);
    }
    s->p += s->p < s->end;
}

/* One turn of the server; after its last part it is gone. */
static void serve(Server *s)
{
    char waste[65536];
    ssize_t n = s->at < s->out->len ? send(s->fd, s->out->data + s->at, s->out->len - s->at, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    bool heard = recv(s->fd, waste, sizeof(waste), MSG_DONTWAIT) > 0;

    s->at += n > 0 ? (size_t)n : 0;
    if (s->at < s->out->len || s->over) {
        return;
    }
    s->idle = heard || n > 0 ? 0 : s->idle + 1;
    if (s->p < s->end) {
        if (heard || s->idle > IDLE_MAX) {      /* a client that waits for the rest of something says nothing */
            next_part(s);
            s->idle = 0;
        }
    } else {
        shutdown(s->fd, SHUT_WR);
        s->over = true;
    }
}

typedef struct {
    Session *session;
    int fd;
    bool tls, done;
} Client;

static void run_list(void *opaque)
{
    Client *c = opaque;
    SocketAddress address = { .kind = SOCKET_FD, .fd = c->fd };
    NbdLinkConfig config = { .address = &address };
    bool extended;
    GPtrArray *list;

    list = nbd_link_list(&config, &extended, NULL);
    if (list) {
        g_ptr_array_free(list, true);
    }
    c->done = true;
}

static void use(Blk *b)
{
    uint64_t size = MIN(blk_size(b), 65536);
    g_autofree uint8_t *buf = g_malloc0(65536);
    BlkExtent e;

    blk_status(b, 0, size, true, &e);
    blk_read(b, 0, buf, MIN(size, 1024), 0);
    blk_write(b, 0, buf, MIN(size, 1024), BLK_FUA);
    blk_read(b, 0, buf, size, 0);
    blk_zeroes(b, 0, size, BLK_MAY_UNMAP);
    blk_discard(b, 0, size);
    blk_flush(b);
}

static void run_client(void *opaque)
{
    Client *c = opaque;
    Json *o = json_object(), *server = json_object();
    g_autofree char *fd = g_strdup_printf("%d", c->fd);
    Blk *b;

    json_set_string(server, "type", "fd");
    json_set_string(server, "str", fd);
    json_set_string(o, "driver", "nbd");
    json_set(o, "server", server);
    if (c->tls) {
        json_set_string(o, "tls-creds", "t");
    }
    b = blk_open(c->session, NULL, o, BLK_O_RDWR | BLK_O_UNMAP, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, NULL);
    if (b) {
        use(b);
        blk_free(b);
    }
    c->done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    bool list = size && *data == 'L', tls = size && *data == 'T', extended = size > tls && data[tls] == 'x';
    Server s = { .p = data + list + tls + extended, .end = data + size, .extended = extended, .list = list, .fd = -1, .out = out };
    Loop *loop = loop_new("fuzz");
    Client c = {};
    int fds[2];

    loop_attach(loop);
    if (!socket_pair(fds, NULL)) {
        abort();
    }
    s.fd = fds[0];
    c = (Client){ .session = session_new(), .fd = fds[1] };
    c.tls = tls && session_object_parse(c.session, "tls-creds-anon,id=t,endpoint=client", NULL);
    next_part(&s);
    fiber_start(list ? run_list : run_client, &c);
    while (!c.done) {
        serve(&s);
        loop_step(loop, false);
    }
    close(fds[0]);
    close(fds[1]);
    session_free(c.session);
    loop_attach(NULL);
    loop_free(loop);
    return 0;
}
