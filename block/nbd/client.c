/* SPDX-License-Identifier: MIT */
/* The driver: an export of an NBD server as a node. */
#include "block/nbd/client.h"

#include <errno.h>
#include <string.h>

#include "block/image.h"
#include "block/nbd/client-priv.h"
#include "block/nbd/proto.h"
#include "util/size.h"

typedef struct {
    NbdClient *c;
    uint16_t flags;
    bool has_status;
    uint32_t max_data;
    uint64_t max_range;                 /* of what moves no data */
} Nbd;

static const OptKey nbd_keys[] = {
    { "filename", OPT_STRING, "nbd:..., nbd://..., nbd+unix:///...?socket=" },
    { "server", OPT_ANY, "address: type=inet,host=,port= | type=unix,path= | type=vsock,cid=,port= | type=fd,str=" },
    { "server.type", OPT_STRING, "inet, unix, vsock, fd" }, { "server.host", OPT_STRING, "" }, { "server.port", OPT_STRING, "" }, { "server.path", OPT_STRING, "" },
    { "server.cid", OPT_STRING, "" }, { "server.str", OPT_STRING, "" },
    { "host", OPT_STRING, "host of the server" }, { "port", OPT_STRING, "its port", .def = "10809" }, { "path", OPT_STRING, "its unix socket" },
    { "export", OPT_STRING, "name of the export", .def = "the empty one" },
    { "tls-creds", OPT_STRING, "id of TLS credentials" }, { "tls-hostname", OPT_STRING, "name in the server's certificate" },
    { "tls", OPT_BOOL, "refuse to go on without tls-creds; nbds:// sets it" },
    { "x-dirty-bitmap", OPT_STRING, "context whose dirty parts read as holes: for looking at bitmaps" },
    { "reconnect-delay", OPT_NUMBER, "seconds that requests wait for a lost server", .def = "0" },
    { "open-timeout", OPT_NUMBER, "seconds to try the first connection", .def = "0" },
    {}
};

/* ---- open ---- */

static bool set_tls(BlkNode *n, NbdClient *c, const Json *o, Error **errp)
{
    const char *id = json_get_string(o, "tls-creds"), *hostname = json_get_string(o, "tls-hostname");

    if (!id) {
        if (hostname) {
            return error_set(errp, "tls-hostname is of no use without tls-creds");
        }
        return json_get_bool(o, "tls", false) ? error_set(errp, "nbds:// needs tls-creds=ID of an object with TLS credentials") : true;
    }
    c->creds = tls_creds_get(n->session, id, false, errp);
    c->hostname = g_strdup(hostname ? hostname : c->address->kind == SOCKET_INET ? c->address->host : NULL);
    return c->creds != NULL;
}

static NbdClient *client_new(BlkNode *n, Json *o, Error **errp)
{
    NbdClient *c = g_new0(NbdClient, 1);
    const char *name = json_get_string(o, "export"), *bitmap = json_get_string(o, "x-dirty-bitmap");

    c->refs = 1;
    c->home = loop_current();
    fiber_queue_init(&c->waiting);
    c->export_name = g_strdup(name ? name : "");
    c->context = g_strdup(bitmap ? bitmap : "base:allocation");
    c->reconnect_delay = json_get_u64(o, "reconnect-delay", 0) * 1000000000;
    c->open_timeout = json_get_u64(o, "open-timeout", 0) * 1000000000;
    c->address = nbd_address_from_options(n->session, o, errp);
    if (!c->address || !set_tls(n, c, o, errp)) {
        nbd_client_unref(c);
        return NULL;
    }
    return c;
}

static bool set_read_only(BlkNode *n, Error **errp)
{
    const Nbd *s = n->state;

    if (!(s->flags & NBD_FLAG_READ_ONLY) || n->read_only) {
        return true;
    }
    if (!(n->flags & BLK_O_AUTO_RDONLY)) {
        return error_set(errp, "the server exports '%s' for reading only; open it with read-only=on", s->c->export_name);
    }
    n->read_only = true;
    n->flags &= ~BLK_O_RDWR;
    return true;
}

static void set_facts(BlkNode *n, const Json *o)
{
    Nbd *s = n->state;
    const NbdLink *l = &s->c->link;
    char *uri = nbd_uri(s->c->address, s->c->export_name, s->c->creds);

    s->flags = l->info.flags;
    s->has_status = l->has_context;
    s->max_data = MIN(l->info.max_block ? l->info.max_block : NBD_MAX_DATA, NBD_MAX_DATA);
    s->max_range = l->extended ? 1ull << 60 : 1u << 31;
    n->size = s->c->size = l->info.size;
    n->align = l->info.min_block ? l->info.min_block : n->size % 512 ? 1 : 512;
    s->max_data = MAX(s->max_data & ~(n->align - 1), n->align);
    if (uri) {
        g_free(n->filename);
        n->filename = uri;
    }
}

static bool nbd_open(BlkNode *n, Json *o, Error **errp)
{
    Nbd *s = n->state;

    s->c = client_new(n, o, errp);
    if (!s->c) {
        return false;
    }
    if (!nbd_connect_first(s->c, errp)) {
        nbd_client_unref(s->c);
        return false;
    }
    set_facts(n, o);
    n->fixed = true;
    if (!set_read_only(n, errp) || (json_get(o, "x-dirty-bitmap") && !s->has_status && !error_set(errp, "requested x-dirty-bitmap %s not found", s->c->context))) {
        nbd_client_unref(s->c);
        return false;
    }
    nbd_connected(s->c);
    return true;
}

static void nbd_close(BlkNode *n)
{
    NbdClient *c = ((Nbd *)n->state)->c;

    nbd_disconnect(c);
    nbd_client_unref(c);
}

static bool nbd_reopen_rw(BlkNode *n, Error **errp)
{
    const Nbd *s = n->state;

    return s->flags & NBD_FLAG_READ_ONLY ? error_set(errp, "the server exports '%s' for reading only", s->c->export_name) : true;
}

/* ---- requests ---- */

static int nbd_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Nbd *s = n->state;
    int r = 0;

    while (len && r == 0) {
        uint64_t now = MIN(len, s->max_data);
        NbdCall call = { .cmd = NBD_CMD_READ, .off = off, .len = now, .v = v };

        if ((flags & BLK_PREFETCH) && (s->flags & NBD_FLAG_CACHE)) {
            call.cmd = NBD_CMD_CACHE;
        }
        r = nbd_call(s->c, &call);
        v = blk_vec_from(v, now);
        off += now;
        len -= now;
    }
    return r;
}

static int nbd_flush(BlkNode *n)
{
    Nbd *s = n->state;
    NbdCall call = { .cmd = NBD_CMD_FLUSH };

    return s->flags & NBD_FLAG_FLUSH ? nbd_call(s->c, &call) : 0;
}

/* FUA, or a flush after it where the server has none. */
static int with_fua(BlkNode *n, NbdCall *call, unsigned flags)
{
    Nbd *s = n->state;
    bool own = (flags & BLK_FUA) && (s->flags & NBD_FLAG_FUA);
    int r;

    call->flags |= own ? NBD_CMD_FUA : 0;
    r = nbd_call(s->c, call);
    return r == 0 && (flags & BLK_FUA) && !own ? nbd_flush(n) : r;
}

static int nbd_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Nbd *s = n->state;
    int r = 0;

    while (len && r == 0) {
        uint64_t now = MIN(len, s->max_data);
        NbdCall call = { .cmd = NBD_CMD_WRITE, .off = off, .len = now, .v = v };

        r = with_fua(n, &call, flags);
        v = blk_vec_from(v, now);
        off += now;
        len -= now;
    }
    return r;
}

static int nbd_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    Nbd *s = n->state;
    int r = 0;

    if (!(s->flags & NBD_FLAG_TRIM)) {
        return -ENOTSUP;
    }
    while (len && r == 0) {
        NbdCall call = { .cmd = NBD_CMD_TRIM, .off = off, .len = MIN(len, s->max_range) };

        r = nbd_call(s->c, &call);
        off += call.len;
        len -= call.len;
    }
    return r;
}

static int nbd_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    Nbd *s = n->state;
    int r = 0;

    if (!(s->flags & NBD_FLAG_WRITE_ZEROES) || ((flags & BLK_NO_FALLBACK) && !(s->flags & NBD_FLAG_FAST_ZERO))) {
        return -ENOTSUP;
    }
    while (len && r == 0) {
        NbdCall call = { .cmd = NBD_CMD_WRITE_ZEROES, .off = off, .len = MIN(len, s->max_range) };

        call.flags = (flags & BLK_MAY_UNMAP ? 0 : NBD_CMD_NO_HOLE) | (flags & BLK_NO_FALLBACK ? NBD_CMD_FAST_ZERO : 0);
        r = with_fua(n, &call, flags);
        off += call.len;
        len -= call.len;
    }
    return r;
}

static int nbd_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    Nbd *s = n->state;
    NbdCall call = { .cmd = NBD_CMD_BLOCK_STATUS, .flags = NBD_CMD_REQ_ONE, .off = off, .len = MIN(len, s->max_range) };
    int r;

    *out = (BlkExtent){ .len = len, .flags = BLK_EXT_DATA | BLK_EXT_OFFSET, .offset = off, .node = n };
    if (!s->has_status) {
        return 0;
    }
    r = nbd_call(s->c, &call);
    if (r < 0) {
        return r;
    }
    call.piece = MIN(call.piece, call.len);
    if (call.piece & (n->align - 1)) {  /* a server may say more than its block size lets us ask: the whole block is data then */
        call.state = 0;
        call.piece = MIN((call.piece | (n->align - 1)) + 1, len);
    }
    out->len = call.piece;
    out->flags = (call.state & NBD_STATE_HOLE ? 0 : BLK_EXT_DATA) | (call.state & NBD_STATE_ZERO ? BLK_EXT_ZERO : 0) | BLK_EXT_OFFSET | BLK_EXT_ALLOCATED;
    return 0;
}

static bool nbd_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    return size == n->size || error_set(errp, "Cannot resize NBD nodes");
}

static const BlkDriver nbd_driver = {
    .name = "nbd", .help = "an export of a network block device server", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Nbd), .options = nbd_keys,
    .prefix = "nbd:|nbd+tcp://|nbd+unix://|nbd+vsock://|nbds://|nbds+tcp://|nbds+unix://|nbds+vsock://", .parse_filename = nbd_parse_filename, .own_filename = true,
    .make = blk_make_there, .open = nbd_open, .reopen_rw = nbd_reopen_rw, .close = nbd_close,
    .read = nbd_read, .write = nbd_write, .flush = nbd_flush, .discard = nbd_discard, .zeroes = nbd_zeroes, .status = nbd_status, .resize = nbd_resize, .fua = true,
};
BLK_DRIVER(nbd_driver);
