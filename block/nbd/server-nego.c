/* SPDX-License-Identifier: MIT */
/*
 * The haggling before the first request: fixed newstyle.
 *
 * The answers to one option are gathered and sent together, and what was
 * looked up for them is not used after that wait: an export may go meanwhile.
 */
#include "block/nbd/server-priv.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "io/tls.h"
#include "util/bswap.h"

enum { OPTION_SKIP_MAX = 1 << 20, REFUSALS_MAX = 1000 };

typedef struct {
    NbdConn *c;
    uint32_t opt, len;
    const uint8_t *data;
    size_t at;                          /* read so far of data */
    GByteArray *out;
    bool over;                          /* the client leaves, or requests follow */
    bool start_tls;
} Haggle;

/* ---- answers ---- */

static void put(Haggle *h, const void *data, size_t len)
{
    g_byte_array_append(h->out, data, len);
}

static void put16(Haggle *h, uint16_t v)
{
    v = htobe16(v);
    put(h, &v, sizeof(v));
}

static void put32(Haggle *h, uint32_t v)
{
    v = htobe32(v);
    put(h, &v, sizeof(v));
}

static void put64(Haggle *h, uint64_t v)
{
    v = htobe64(v);
    put(h, &v, sizeof(v));
}

static void reply(Haggle *h, uint32_t type, uint32_t len)
{
    put64(h, NBD_MAGIC_OPTION_REPLY);
    put32(h, h->opt);
    put32(h, type);
    put32(h, len);
}

G_GNUC_PRINTF(3, 4)
static void refuse(Haggle *h, uint32_t type, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    reply(h, type, strlen(text));
    put(h, text, strlen(text));
}

static void malformed(Haggle *h)
{
    refuse(h, NBD_REP_ERR_INVALID, "option '%s' has data that does not add up", nbd_option_name(h->opt));
}

/* ---- an option's data ---- */

static bool get16(Haggle *h, uint16_t *v)
{
    if (h->len - h->at < 2) {
        return false;
    }
    *v = lduw_be_p(h->data + h->at);
    h->at += 2;
    return true;
}

static bool get32(Haggle *h, uint32_t *v)
{
    if (h->len - h->at < 4) {
        return false;
    }
    *v = ldl_be_p(h->data + h->at);
    h->at += 4;
    return true;
}

static char *get_text(Haggle *h)
{
    uint32_t n;
    char *text;

    if (!get32(h, &n) || n > NBD_MAX_STRING || h->len - h->at < n || memchr(h->data + h->at, 0, n)) {
        return NULL;
    }
    text = g_strndup((const char *)h->data + h->at, n);
    h->at += n;
    return text;
}

static bool at_end(const Haggle *h)
{
    return h->at == h->len;
}

/* ---- which export ---- */

static uint16_t flags_for(const NbdConn *c, const NbdExport *x)
{
    return x->flags | (c->structured ? NBD_FLAG_DF : 0) | (c->extended ? NBD_FLAG_STATUS_PAYLOAD : 0);
}

static void choose(NbdConn *c, NbdExport *x)
{
    c->exp = x;
    x->users++;
}

static void opt_export_name(Haggle *h)
{
    NbdConn *c = h->c;
    g_autofree char *name = g_strndup((const char *)h->data, MIN(h->len, NBD_MAX_STRING + 1));
    NbdExport *x = nbd_server_find(c->server, name);
    static const char zeroes[124];

    h->over = true;
    if (!x || c->extended) {
        return;                         /* this option has no way to say no */
    }
    put64(h, x->size);
    put16(h, flags_for(c, x));
    if (!c->no_zeroes) {
        put(h, zeroes, sizeof(zeroes));
    }
    choose(c, x);
}

static void info_export(Haggle *h, const NbdExport *x)
{
    reply(h, NBD_REP_INFO, 12);
    put16(h, NBD_INFO_EXPORT);
    put64(h, x->size);
    put16(h, flags_for(h->c, x));
}

static void info_text(Haggle *h, uint16_t info, const char *text)
{
    reply(h, NBD_REP_INFO, 2 + strlen(text));
    put16(h, info);
    put(h, text, strlen(text));
}

static void info_sizes(Haggle *h, const NbdExport *x)
{
    reply(h, NBD_REP_INFO, 14);
    put16(h, NBD_INFO_BLOCK_SIZE);
    put32(h, x->min_block);
    put32(h, x->pref_block);
    put32(h, NBD_MAX_DATA);
}

static void opt_info(Haggle *h)
{
    g_autofree char *name = get_text(h);
    NbdExport *x = name ? nbd_server_find(h->c->server, name) : NULL;
    unsigned asked = 0;
    uint16_t n, info = 0;

    if (!name || !get16(h, &n) || h->len - h->at != 2u * n) {
        malformed(h);
        return;
    }
    for (; n; n--) {
        get16(h, &info);
        asked |= info < 16 ? 1u << info : 0;
    }
    if (!x) {
        refuse(h, NBD_REP_ERR_UNKNOWN, "export '%s' not present", name);
        return;
    }
    if (asked & (1u << NBD_INFO_NAME)) {
        info_text(h, NBD_INFO_NAME, x->name);
    }
    if (x->description) {
        info_text(h, NBD_INFO_DESCRIPTION, x->description);
    }
    info_sizes(h, x);
    info_export(h, x);
    reply(h, NBD_REP_ACK, 0);
    if (h->opt == NBD_OPT_GO) {
        choose(h->c, x);
        h->over = true;
    }
}

static void opt_list(Haggle *h)
{
    GPtrArray *exports = h->c->server->exports;

    if (h->len) {
        malformed(h);
        return;
    }
    for (unsigned i = 0; i < exports->len; i++) {
        const NbdExport *x = exports->pdata[i];
        const char *text = x->description ? x->description : "";

        reply(h, NBD_REP_SERVER, 4 + strlen(x->name) + strlen(text));
        put32(h, strlen(x->name));
        put(h, x->name, strlen(x->name));
        put(h, text, strlen(text));
    }
    reply(h, NBD_REP_ACK, 0);
}

/* ---- modes ---- */

static void opt_structured(Haggle *h)
{
    if (h->len) {
        malformed(h);
    } else if (h->c->extended) {
        refuse(h, NBD_REP_ERR_EXT_HEADER_REQD, "extended headers are in use, and have structured replies in them");
    } else if (h->c->structured) {
        refuse(h, NBD_REP_ERR_INVALID, "structured replies were negotiated before");
    } else {
        h->c->structured = true;
        reply(h, NBD_REP_ACK, 0);
    }
}

static void opt_extended(Haggle *h)
{
    if (h->len) {
        malformed(h);
    } else if (h->c->extended) {
        refuse(h, NBD_REP_ERR_INVALID, "extended headers were negotiated before");
    } else {
        h->c->structured = h->c->extended = true;
        reply(h, NBD_REP_ACK, 0);
    }
}

static void opt_starttls(Haggle *h)
{
    NbdConn *c = h->c;

    if (h->len) {
        malformed(h);
    } else if (!c->server->creds) {
        refuse(h, NBD_REP_ERR_POLICY, "TLS not configured");
    } else if (c->tls) {
        refuse(h, NBD_REP_ERR_INVALID, "TLS is in use already");
    } else {
        reply(h, NBD_REP_ACK, 0);
        h->start_tls = true;
    }
}

/* ---- contexts ---- */

/* Exact, or for a list also a name space: "base:", "qemu:", "qemu:dirty-bitmap:". */
static bool query_matches(const char *query, const char *name, bool list)
{
    size_t n = strlen(query);

    return !strcmp(query, name) || (list && n && query[n - 1] == ':' && !strncmp(query, name, n));
}

static uint32_t match_query(const NbdExport *x, const char *query, bool list)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < x->context_count; i++) {
        if (query_matches(query, x->contexts[i].name, list)) {
            mask |= 1u << i;
        }
    }
    return mask;
}

static void put_contexts(Haggle *h, const NbdExport *x, uint32_t mask, bool list)
{
    for (unsigned i = 0; i < x->context_count; i++) {
        const char *name = x->contexts[i].name;

        if (mask & (1u << i)) {
            reply(h, NBD_REP_META_CONTEXT, 4 + strlen(name));
            put32(h, list ? 0 : i);
            put(h, name, strlen(name));
        }
    }
    reply(h, NBD_REP_ACK, 0);
}

static void opt_contexts(Haggle *h)
{
    bool list = h->opt == NBD_OPT_LIST_META_CONTEXT;
    g_autofree char *name = NULL;
    uint32_t n = 0, mask = 0;
    NbdExport *x;

    if (!list) {
        h->c->context_exp = NULL;       /* a set that fails leaves none */
        h->c->context_mask = 0;
    }
    if (!h->c->structured) {
        refuse(h, NBD_REP_ERR_INVALID, "structured replies come first");
        return;
    }
    name = get_text(h);
    x = name ? nbd_server_find(h->c->server, name) : NULL;
    if (!name || !get32(h, &n)) {
        malformed(h);
        return;
    }
    mask = list && n == 0 && x ? (uint32_t)((1ull << x->context_count) - 1) : 0;
    for (; n; n--) {
        g_autofree char *query = get_text(h);

        if (!query) {
            malformed(h);
            return;
        }
        mask |= x ? match_query(x, query, list) : 0;
    }
    if (!at_end(h)) {
        malformed(h);
    } else if (!x) {
        refuse(h, NBD_REP_ERR_UNKNOWN, "export '%s' not present", name);
    } else {
        put_contexts(h, x, mask, list);
        if (!list) {
            h->c->context_exp = x;
            h->c->context_mask = mask;
        }
    }
}

/* ---- one option ---- */

static void opt_abort(Haggle *h)
{
    reply(h, NBD_REP_ACK, 0);
    h->over = true;
}

static void run_option(Haggle *h)
{
    NbdConn *c = h->c;
    bool before_tls = h->opt == NBD_OPT_STARTTLS || h->opt == NBD_OPT_ABORT;

    if (c->server->creds && !c->tls && !before_tls) {
        if (h->opt == NBD_OPT_EXPORT_NAME) {
            h->over = true;
        } else {
            refuse(h, NBD_REP_ERR_TLS_REQD, "TLS comes first");
        }
        return;
    }
    switch (h->opt) {
    case NBD_OPT_EXPORT_NAME:
        return opt_export_name(h);
    case NBD_OPT_ABORT:
        return opt_abort(h);
    case NBD_OPT_LIST:
        return opt_list(h);
    case NBD_OPT_STARTTLS:
        return opt_starttls(h);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return opt_info(h);
    case NBD_OPT_STRUCTURED_REPLY:
        return opt_structured(h);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return opt_contexts(h);
    case NBD_OPT_EXTENDED_HEADERS:
        return opt_extended(h);
    }
    refuse(h, NBD_REP_ERR_UNSUP, "option %u is not known here", h->opt);
}

/* ---- TLS ---- */

static bool start_tls(NbdConn *c, Error **errp)
{
    Stream *tls = tls_server(c->stream, c->server->creds, c->server->authz, errp);

    if (!tls) {
        return false;                   /* the stream is as it was, and shut down */
    }
    c->stream = tls;
    c->tls = true;
    c->structured = c->extended = false;
    c->context_exp = NULL;
    if (c->dead) {
        stream_shutdown(tls);
    }
    return true;
}

/* ---- the whole of it ---- */

static bool greet(NbdConn *c, Error **errp)
{
    uint8_t hello[18], flags[4];
    uint32_t f;

    stq_be_p(hello, NBD_MAGIC);
    stq_be_p(hello + 8, NBD_MAGIC_OPTION);
    stw_be_p(hello + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    if (!stream_write_all(c->stream, hello, sizeof(hello), errp) || !stream_read_all(c->stream, flags, sizeof(flags), errp)) {
        return false;
    }
    f = ldl_be_p(flags);
    c->fixed = f & NBD_FIXED_NEWSTYLE;
    c->no_zeroes = f & NBD_NO_ZEROES;
    return f & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES) ? error_set(errp, "client has unknown flags 0x%x", f) : true;
}

static bool skip(NbdConn *c, uint32_t len, Error **errp)
{
    char waste[4096];

    while (len) {
        uint32_t now = MIN(len, sizeof(waste));

        if (!stream_read_all(c->stream, waste, now, errp)) {
            return false;
        }
        len -= now;
    }
    return true;
}

/* Read and answer one; false when the connection fails. */
static bool one_option(Haggle *h, Error **errp)
{
    NbdConn *c = h->c;
    g_autofree uint8_t *data = NULL;
    uint8_t head[NBD_OPTION_SIZE];

    if (!stream_read_all(c->stream, head, sizeof(head), errp)) {
        return false;
    }
    h->opt = ldl_be_p(head + 8);
    h->len = ldl_be_p(head + 12);
    h->at = 0;
    if (ldq_be_p(head) != NBD_MAGIC_OPTION || h->len > OPTION_SKIP_MAX || (!c->fixed && h->opt != NBD_OPT_EXPORT_NAME)) {
        return error_set(errp, "client does not speak the protocol");
    }
    g_byte_array_set_size(h->out, 0);
    if (h->len > NBD_OPTION_MAX) {
        if (!skip(c, h->len, errp)) {
            return false;
        }
        refuse(h, NBD_REP_ERR_TOO_BIG, "option '%s' with %u bytes is too long", nbd_option_name(h->opt), h->len);
    } else {
        data = g_malloc(h->len + 1);
        if (!stream_read_all(c->stream, data, h->len, errp)) {
            return false;
        }
        h->data = data;
        run_option(h);
    }
    if (!stream_write_all(c->stream, h->out->data, h->out->len, errp)) {
        return false;
    }
    if (h->start_tls) {
        h->start_tls = false;
        return start_tls(c, errp);
    }
    return true;
}

bool nbd_negotiate(NbdConn *c, Error **errp)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Haggle h = { .c = c, .out = out };

    if (!greet(c, errp)) {
        return false;
    }
    for (unsigned n = 0; !h.over && !c->dead && !c->closing; n++) {
        if (n == REFUSALS_MAX || !one_option(&h, errp)) {
            return false;
        }
    }
    return c->exp != NULL;
}
