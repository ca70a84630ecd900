/* SPDX-License-Identifier: MIT */
/* The NBD driver's connection: calls out, answers in, again when it broke. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "block/nbd/client-priv.h"
#include "block/nbd/proto.h"
#include "util/bswap.h"
#include "util/iov.h"

enum { SEND_PIECES = 256, NAP_FIRST_MS = 100, NAP_LAST_MS = 16000 };
#define MS 1000000ll

static void ref(NbdClient *c)
{
    c->refs++;
}

void nbd_client_unref(NbdClient *c)
{
    if (--c->refs) {
        return;
    }
    fiber_queue_destroy(&c->waiting);
    nbd_link_close(&c->link);
    loop_timer_cancel(&c->give_up);
    loop_timer_cancel(&c->nap);
    socket_address_free(c->address);
    tls_creds_unref(c->creds);
    g_free(c->export_name);
    g_free(c->hostname);
    g_free(c->context);
    g_free(c);
}

/* ---- the connection breaks ---- */

static void lose(NbdClient *c, NbdCall *call)
{
    call->lost = true;
    if (call->fiber) {
        fiber_wake(call->fiber);
        call->fiber = NULL;
    }
}

static void take_back_calls(NbdClient *c)
{
    c->out = NULL;
    c->out_last = &c->out;
    for (unsigned i = 0; i < NBD_CALLS_MAX; i++) {
        if (c->slots[i]) {
            lose(c, c->slots[i]);
            c->slots[i] = NULL;
        }
    }
    c->busy = 0;
    fiber_queue_wake_all(&c->waiting);
}

static void give_up(void *opaque)
{
    NbdClient *c = opaque;

    if (c->state == NBD_WAIT) {
        c->state = NBD_DOWN;
        fiber_queue_wake_all(&c->waiting);
    }
}

static void reconnect(void *opaque);

static void broken(NbdClient *c)
{
    if (c->state != NBD_UP) {
        return;
    }
    c->state = c->reconnect_delay && !c->quit ? NBD_WAIT : NBD_DOWN;
    stream_shutdown(c->link.stream);
    if (c->state == NBD_WAIT) {
        loop_timer_at(&c->give_up, loop_now() + c->reconnect_delay);
    }
}

/* The last fiber that used the stream is here: nothing touches the calls any more. */
static void release(NbdClient *c)
{
    if (--c->users == 0) {
        nbd_link_close(&c->link);
        take_back_calls(c);
        if (!c->quit) {
            c->reconnecting = true;
            ref(c);
            fiber_start(reconnect, c);
        }
    }
    nbd_client_unref(c);
}

/* ---- out ---- */

static unsigned add_data(const NbdCall *call, size_t from, struct iovec *iov, unsigned max)
{
    return iov_cut(call->v.iov, call->v.n, call->v.skip + from, call->len - from, iov, max);
}

static unsigned gather(NbdClient *c, struct iovec *iov, unsigned calls)
{
    unsigned n = 0;

    for (NbdCall *call = c->out; call && calls && n < SEND_PIECES; call = call->next, calls--) {
        size_t data = call->sent > call->head_len ? call->sent - call->head_len : 0;

        if (call->sent < call->head_len) {
            iov[n++] = (struct iovec){ call->head + call->sent, call->head_len - call->sent };
        }
        if (call->cmd == NBD_CMD_WRITE) {
            unsigned more = add_data(call, data, iov + n, SEND_PIECES - n);
            size_t fits = iov_bytes(iov + n, more);

            n += more;
            if (fits < call->len - data) {
                break;                  /* nothing may go between the pieces of one */
            }
        }
    }
    return n;
}

static size_t wire_size(const NbdCall *call)
{
    return call->head_len + (call->cmd == NBD_CMD_WRITE ? call->len : 0);
}

static void sent(NbdClient *c, size_t n)
{
    while (c->out && n) {
        NbdCall *call = c->out;
        size_t now = MIN(n, wire_size(call) - call->sent);

        call->sent += now;
        n -= now;
        if (call->sent == wire_size(call)) {
            c->out = call->next;
            if (!c->out) {
                c->out_last = &c->out;
            }
        }
    }
}

/* As much as goes at once; false: the server takes no more. */
static bool send_some(NbdClient *c)
{
    struct iovec iov[SEND_PIECES];

    while (c->out && c->state == NBD_UP) {
        ssize_t r = stream_writev(c->link.stream, iov, gather(c, iov, UINT_MAX));

        if (r == -EAGAIN) {
            return false;
        }
        if (r <= 0) {
            broken(c);
            break;
        }
        sent(c, r);
    }
    return true;
}

/* One call after the other: the first may be answered while the second still waits to go. */
static void send_waiting(void *opaque)
{
    NbdClient *c = opaque;
    struct iovec iov[SEND_PIECES];

    while (!send_some(c)) {
        unsigned n = gather(c, iov, 1);
        size_t len = iov_bytes(iov, n);

        if (!stream_writev_all(c->link.stream, iov, n, NULL)) {
            broken(c);
            break;
        }
        sent(c, len);
    }
    c->sending = false;
    release(c);
}

static void send_now(NbdClient *c)
{
    if (!c->sending && c->state == NBD_UP && !send_some(c)) {
        c->sending = true;
        c->users++;
        ref(c);
        fiber_start(send_waiting, c);
    }
}

static void flush_posted(void *opaque)
{
    NbdClient *c = opaque;

    c->flush_posted = false;
    send_now(c);
    nbd_client_unref(c);
}

static void send_later(NbdClient *c)
{
    if (!c->flush_posted) {
        c->flush_posted = true;
        ref(c);
        c->flush = (LoopPost){ NULL, flush_posted, c };
        loop_post_node(c->home, &c->flush);
    }
}

static void put_head(const NbdClient *c, NbdCall *call)
{
    bool ext = c->link.extended;

    stl_be_p(call->head, ext ? NBD_MAGIC_REQUEST_EXT : NBD_MAGIC_REQUEST);
    stw_be_p(call->head + 4, call->flags | (ext && call->cmd == NBD_CMD_WRITE ? NBD_CMD_PAYLOAD_LEN : 0));
    stw_be_p(call->head + 6, call->cmd);
    stq_be_p(call->head + 8, call->cookie);
    stq_be_p(call->head + 16, call->off);
    if (ext) {
        stq_be_p(call->head + 24, call->len);
    } else {
        stl_be_p(call->head + 24, call->len);
    }
    call->head_len = ext ? NBD_REQUEST_EXT_SIZE : NBD_REQUEST_SIZE;
    call->sent = 0;
    call->next = NULL;
}

/* ---- in ---- */

typedef struct {
    NbdClient *c;
    uint8_t buf[NBD_REPLY_BUFFER];
    size_t at, len;
} Input;

static bool want(Input *in, size_t n)
{
    while (in->len - in->at < n) {
        ssize_t r;

        memmove(in->buf, in->buf + in->at, in->len - in->at);
        in->len -= in->at;
        in->at = 0;
        r = stream_read_some(in->c->link.stream, in->buf + in->len, sizeof(in->buf) - in->len, NULL);
        if (r <= 0) {
            return false;
        }
        in->len += r;
    }
    return true;
}

static const uint8_t *take(Input *in, size_t n)
{
    const uint8_t *p = in->buf + in->at;

    in->at += n;
    return p;
}

static bool skip(Input *in, uint64_t n)
{
    while (n) {
        size_t now = MIN(n, sizeof(in->buf));

        if (!want(in, now)) {
            return false;
        }
        take(in, now);
        n -= now;
    }
    return true;
}

/* Data straight to where it belongs, but for what is in the buffer already. */
static bool read_data(Input *in, NbdCall *call, uint64_t at, uint64_t n)
{
    size_t have = MIN(n, in->len - in->at);

    blk_vec_write(blk_vec_from(call->v, at), take(in, have), have);
    call->got += n;
    at += have;
    n -= have;
    while (n) {
        struct iovec iov[64];
        unsigned pieces = iov_cut(call->v.iov, call->v.n, call->v.skip + at, n, iov, G_N_ELEMENTS(iov));
        size_t now = iov_bytes(iov, pieces);

        if (!stream_readv_all(in->c->link.stream, iov, pieces, NULL)) {
            return false;
        }
        at += now;
        n -= now;
    }
    return true;
}

static void finish(NbdClient *c, NbdCall *call)
{
    c->slots[call->cookie % NBD_CALLS_MAX] = NULL;
    c->busy--;
    call->done = true;
    if (call->fiber) {
        fiber_wake(call->fiber);
        call->fiber = NULL;
    }
    fiber_queue_wake(&c->waiting);
}

/* A call that is wholly sent and not answered yet. */
static NbdCall *find(NbdClient *c, uint64_t cookie)
{
    NbdCall *call = c->slots[cookie % NBD_CALLS_MAX];

    return call && call->cookie == cookie && call->sent == wire_size(call) ? call : NULL;
}

static void set_error(NbdCall *call, uint32_t wire)
{
    if (!call->result) {
        call->result = -nbd_errno_from_wire(wire ? wire : 22);
    }
}

static bool simple_reply(Input *in)
{
    const uint8_t *p;
    NbdCall *call;
    uint32_t err;

    if (in->c->link.extended || !want(in, NBD_SIMPLE_SIZE)) {
        return false;
    }
    p = take(in, NBD_SIMPLE_SIZE);
    call = find(in->c, ldq_be_p(p + 8));
    err = ldl_be_p(p + 4);
    if (!call || (in->c->link.structured && call->cmd == NBD_CMD_READ && !err)) {
        return false;
    }
    if (err) {
        set_error(call, err);
    } else if (call->cmd == NBD_CMD_READ && !read_data(in, call, 0, call->len)) {
        return false;
    }
    finish(in->c, call);
    return true;
}

typedef struct {
    uint16_t flags, type;
    uint64_t len;
} Chunk;

static bool data_chunk(Input *in, NbdCall *call, const Chunk *k)
{
    uint64_t off, n = k->len - 8;

    if (call->cmd != NBD_CMD_READ || k->len <= 8 || !want(in, 8)) {
        return false;
    }
    off = ldq_be_p(take(in, 8));
    if (off < call->off || off - call->off > call->len || n > call->len - (off - call->off)) {
        return false;
    }
    return read_data(in, call, off - call->off, n);
}

static bool hole_chunk(Input *in, NbdCall *call, const Chunk *k)
{
    const uint8_t *p;
    uint64_t off, n;

    if (call->cmd != NBD_CMD_READ || k->len != 12 || !want(in, 12)) {
        return false;
    }
    p = take(in, 12);
    off = ldq_be_p(p);
    n = ldl_be_p(p + 8);
    if (!n || off < call->off || off - call->off > call->len || n > call->len - (off - call->off)) {
        return false;
    }
    blk_vec_fill(blk_vec_from(call->v, off - call->off), 0, n);
    call->got += n;
    return true;
}

/* The first extent is all that is asked for. */
static bool status_chunk(Input *in, NbdCall *call, const Chunk *k)
{
    bool ext = k->type == NBD_CHUNK_STATUS_EXT;
    unsigned fixed = ext ? 8 : 4, entry = ext ? 16 : 8;
    const uint8_t *p;

    if (call->cmd != NBD_CMD_BLOCK_STATUS || ext != in->c->link.extended || k->len < fixed + entry || (k->len - fixed) % entry || !want(in, fixed + entry)) {
        return false;
    }
    p = take(in, fixed + entry);
    if (ldl_be_p(p) != in->c->link.context_id || call->has_status || (ext && ldl_be_p(p + 4) != (k->len - fixed) / entry)) {
        return false;
    }
    call->has_status = true;
    call->piece = ext ? ldq_be_p(p + fixed) : ldl_be_p(p + fixed);
    call->state = ext ? ldq_be_p(p + fixed + 8) : ldl_be_p(p + fixed + 4);
    return call->piece && skip(in, k->len - fixed - entry);
}

static bool error_chunk(Input *in, NbdCall *call, const Chunk *k)
{
    const uint8_t *p;

    if (k->len < 6 || !want(in, 6)) {
        return false;
    }
    p = take(in, 6);
    if (lduw_be_p(p + 4) > k->len - 6 || k->len > 6 + 8 + NBD_MAX_STRING) {
        return false;
    }
    set_error(call, ldl_be_p(p));
    return skip(in, k->len - 6);
}

static bool chunk_body(Input *in, NbdCall *call, const Chunk *k)
{
    switch (k->type) {
    case NBD_CHUNK_NONE:
        return k->len == 0 && (k->flags & NBD_CHUNK_DONE);
    case NBD_CHUNK_DATA:
        return data_chunk(in, call, k);
    case NBD_CHUNK_HOLE:
        return hole_chunk(in, call, k);
    case NBD_CHUNK_STATUS:
    case NBD_CHUNK_STATUS_EXT:
        return status_chunk(in, call, k);
    }
    return (k->type & 0x8000) && error_chunk(in, call, k);
}

static bool chunk(Input *in)
{
    unsigned size = in->c->link.extended ? NBD_CHUNK_EXT_SIZE : NBD_CHUNK_SIZE;
    const uint8_t *p;
    NbdCall *call;
    Chunk k;

    if (!in->c->link.structured || !want(in, size)) {
        return false;
    }
    p = take(in, size);
    k = (Chunk){ lduw_be_p(p + 4), lduw_be_p(p + 6), in->c->link.extended ? ldq_be_p(p + 24) : ldl_be_p(p + 16) };
    call = find(in->c, ldq_be_p(p + 8));
    if (!call || (in->c->link.extended && ldq_be_p(p + 16) != call->off) || !chunk_body(in, call, &k)) {
        return false;
    }
    if (k.flags & NBD_CHUNK_DONE) {
        finish(in->c, call);
    }
    return true;
}

static bool one_reply(Input *in)
{
    if (!want(in, 4)) {
        return false;
    }
    switch (ldl_be_p(in->buf + in->at)) {
    case NBD_MAGIC_SIMPLE:
        return simple_reply(in);
    case NBD_MAGIC_CHUNK:
        return !in->c->link.extended && chunk(in);
    case NBD_MAGIC_CHUNK_EXT:
        return in->c->link.extended && chunk(in);
    }
    return false;
}

static void reader(void *opaque)
{
    Input *in = opaque;
    NbdClient *c = in->c;

    while (c->state == NBD_UP && one_reply(in)) {
    }
    g_free(in);
    broken(c);
    release(c);
}

/* ---- connecting ---- */

static bool connect_once(NbdClient *c, Error **errp)
{
    NbdLinkConfig config = { .address = c->address, .creds = c->creds, .hostname = c->hostname, .export_name = c->export_name, .context = c->context };
    NbdLink link = {};
    bool ok;

    c->trying = &link;
    ok = nbd_link_open(&link, &config, errp);
    c->trying = NULL;
    if (ok && (c->quit || (c->size && link.info.size != c->size))) {
        nbd_link_close(&link);
        return error_set(errp, "export changed its size");
    }
    if (ok) {
        c->link = link;
    }
    return ok;
}

static void up(NbdClient *c)
{
    Input *in = g_new(Input, 1);

    in->c = c;
    in->at = in->len = 0;
    c->state = NBD_UP;
    loop_timer_cancel(&c->give_up);
    c->users = 1;
    ref(c);
    fiber_start(reader, in);
    fiber_queue_wake_all(&c->waiting);
}

static void wake_napper(void *opaque)
{
    NbdClient *c = opaque;
    Fiber *f = c->napper;

    c->napper = NULL;
    if (f) {
        fiber_wake(f);
    }
}

static void nap(NbdClient *c, int64_t ns)
{
    c->napper = fiber_self();
    loop_timer_at(&c->nap, loop_now() + ns);
    fiber_yield();
    loop_timer_cancel(&c->nap);
}

static void reconnect(void *opaque)
{
    NbdClient *c = opaque;
    int64_t ms = NAP_FIRST_MS;

    while (!c->quit) {
        if (connect_once(c, NULL)) {
            up(c);
            break;
        }
        if (!c->quit) {
            nap(c, ms * MS);
            ms = MIN(ms * 2, NAP_LAST_MS);
        }
    }
    c->reconnecting = false;
    nbd_client_unref(c);
}

bool nbd_connect_first(NbdClient *c, Error **errp)
{
    int64_t until = loop_now() + c->open_timeout;
    Error *err = NULL;

    loop_timer_init(&c->nap, c->home, wake_napper, c);
    loop_timer_init(&c->give_up, c->home, give_up, c);
    c->out_last = &c->out;
    c->state = NBD_DOWN;
    while (!connect_once(c, &err)) {
        if (loop_now() >= until) {
            return error_propagate(errp, err);
        }
        g_clear_pointer(&err, error_free);
        nap(c, NAP_FIRST_MS * MS);
    }
    return true;
}

/* The driver has looked at the link: answers may come from now on. */
void nbd_connected(NbdClient *c)
{
    up(c);
}

/* In a connect() that nobody can cut short: the fiber ends by itself, later. */
static bool hangs(const NbdClient *c)
{
    return c->trying && !c->trying->stream;
}

void nbd_disconnect(NbdClient *c)
{
    c->quit = true;
    if (c->state == NBD_UP) {
        uint8_t head[32] = {};
        NbdCall bye = { .cmd = NBD_CMD_DISC };

        if (!c->sending) {
            put_head(c, &bye);
            memcpy(head, bye.head, bye.head_len);
            stream_write(c->link.stream, head, bye.head_len);
        }
        broken(c);
    }
    c->state = NBD_DOWN;
    loop_timer_cancel(&c->give_up);
    if (c->trying && c->trying->stream) {
        stream_shutdown(c->trying->stream);
    }
    loop_timer_cancel(&c->nap);
    wake_napper(c);
    while (c->users || (c->reconnecting && !hangs(c))) {
        fiber_pause();
    }
    fiber_queue_wake_all(&c->waiting);
}

/* ---- one call ---- */

/* Wait for a connection and a slot; false: there will be no connection soon enough. */
static bool get_slot(NbdClient *c, NbdCall *call)
{
    while (c->state != NBD_UP || c->busy == NBD_CALLS_MAX || c->link.stream == NULL) {
        if (c->state == NBD_DOWN) {
            return false;
        }
        fiber_queue_wait(&c->waiting, NULL);
    }
    for (unsigned i = 0; i < NBD_CALLS_MAX; i++) {
        if (!c->slots[i]) {
            c->slots[i] = call;
            c->busy++;
            call->cookie = c->serial++ * NBD_CALLS_MAX + i;
            return true;
        }
    }
    assert(false && "a slot is free");
}

static void transact(NbdClient *c, NbdCall *call)
{
    do {
        call->done = call->lost = call->has_status = false;
        call->result = 0;
        call->got = 0;
        if (!get_slot(c, call)) {
            call->result = -EIO;
            return;
        }
        put_head(c, call);
        *c->out_last = call;
        c->out_last = &call->next;
        send_later(c);
        call->fiber = fiber_self();
        fiber_yield();
    } while (call->lost && c->state != NBD_DOWN && !c->quit);
    if (call->lost) {
        call->result = -EIO;
    } else if (call->result == 0 && ((call->cmd == NBD_CMD_READ && call->got != call->len) || (call->cmd == NBD_CMD_BLOCK_STATUS && !call->has_status))) {
        call->result = -EIO;            /* an answer with gaps */
    }
}

typedef struct {
    NbdClient *c;
    NbdCall *call;
    Fiber *fiber;
} Hop;

static void run_hop(void *opaque)
{
    Hop *h = opaque;

    transact(h->c, h->call);
    fiber_wake(h->fiber);
}

int nbd_call(NbdClient *c, NbdCall *call)
{
    if (G_LIKELY(loop_current() == c->home)) {
        transact(c, call);
    } else {
        Hop h = { c, call, fiber_self() };

        fiber_start_on(c->home, run_hop, &h);
        fiber_yield();
    }
    return call->result;
}
