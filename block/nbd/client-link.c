/* SPDX-License-Identifier: MIT */
#include "block/nbd/client.h"

#include <errno.h>
#include <string.h>

#include "block/nbd/proto.h"
#include "util/bswap.h"

enum { REPLY_MAX = 1 << 20, REPLIES_MAX = 10000 };

typedef struct {
    uint32_t type, len;
    uint8_t *data;                      /* len bytes and a zero */
} Reply;

void nbd_info_clear(NbdInfo *i)
{
    g_free(i->name);
    g_free(i->description);
    if (i->contexts) {
        g_ptr_array_free(i->contexts, true);
    }
    *i = (NbdInfo){};
}

void nbd_link_close(NbdLink *l)
{
    stream_free(l->stream);
    nbd_info_clear(&l->info);
    *l = (NbdLink){};
}

/* ---- options ---- */

static bool send_option(NbdLink *l, uint32_t opt, const void *data, uint32_t len, Error **errp)
{
    uint8_t head[NBD_OPTION_SIZE];
    struct iovec iov[2] = { { head, sizeof(head) }, { (void *)data, len } };

    stq_be_p(head, NBD_MAGIC_OPTION);
    stl_be_p(head + 8, opt);
    stl_be_p(head + 12, len);
    return stream_writev_all(l->stream, iov, len ? 2 : 1, errp) || error_prepend(errp, "Failed to send option '%s': ", nbd_option_name(opt));
}

static bool get_reply(NbdLink *l, uint32_t opt, Reply *r, Error **errp)
{
    uint8_t head[NBD_OPTION_REPLY_SIZE];

    *r = (Reply){};
    if (!stream_read_all(l->stream, head, sizeof(head), errp)) {
        return error_prepend(errp, "Failed to read the reply to option '%s': ", nbd_option_name(opt));
    }
    if (ldq_be_p(head) != NBD_MAGIC_OPTION_REPLY || ldl_be_p(head + 8) != opt) {
        return error_set(errp, "Unexpected reply to option '%s': the server does not keep to the protocol", nbd_option_name(opt));
    }
    r->type = ldl_be_p(head + 12);
    r->len = ldl_be_p(head + 16);
    if (r->len > REPLY_MAX) {
        return error_set(errp, "reply to option '%s' of %u bytes is too long", nbd_option_name(opt), r->len);
    }
    r->data = g_malloc(r->len + 1);
    r->data[r->len] = 0;
    if (!stream_read_all(l->stream, r->data, r->len, errp)) {
        g_clear_pointer(&r->data, g_free);
        return error_prepend(errp, "Failed to read the reply to option '%s': ", nbd_option_name(opt));
    }
    return true;
}

/* A refusal in words; the server's own follow as the hint. */
static bool refused(uint32_t opt, const Reply *r, Error **errp)
{
    if (r->type == NBD_REP_ERR_UNKNOWN) {
        error_set(errp, "Requested export not available");
    } else if (r->type == NBD_REP_ERR_TLS_REQD) {
        error_set(errp, "Server requires TLS for option %u (%s)", opt, nbd_option_name(opt));
        error_hint(errp, "Did you forget a valid tls-creds?\n");
    } else {
        error_set(errp, "Server refused option %u (%s): it %s", opt, nbd_option_name(opt), nbd_rep_error_text(r->type));
    }
    if (r->len && r->len <= NBD_MAX_STRING && g_utf8_validate((char *)r->data, r->len, NULL)) {
        error_hint(errp, "server reported: %s\n", r->data);
    }
    return false;
}

typedef enum { FAILED = -1, NO, YES } Answer;

/* An option that may not be known there.  TLS_REQD is an error, other refusals are NO. */
static Answer ask(NbdLink *l, uint32_t opt, Error **errp)
{
    Answer a = FAILED;
    Reply r;

    if (!send_option(l, opt, NULL, 0, errp) || !get_reply(l, opt, &r, errp)) {
        return FAILED;
    }
    if (r.type == NBD_REP_ACK) {
        a = r.len ? FAILED : YES;
    } else if (r.type == NBD_REP_ERR_TLS_REQD) {
        refused(opt, &r, errp);
    } else if (r.type & 0x80000000u) {
        a = NO;
    }
    if (a == FAILED && r.type != NBD_REP_ERR_TLS_REQD) {
        error_set(errp, "Unexpected reply to option '%s': type %u", nbd_option_name(opt), r.type);
    }
    g_free(r.data);
    return a;
}

static void put_text(GByteArray *b, const char *text)
{
    uint32_t n = htobe32(strlen(text));

    g_byte_array_append(b, (uint8_t *)&n, 4);
    g_byte_array_append(b, (const uint8_t *)text, strlen(text));
}

/* ---- contexts ---- */

static bool take_context(NbdLink *l, const Reply *r, const char *wanted, GPtrArray *list, Error **errp)
{
    if (r->len <= 4 || r->len > 4 + NBD_MAX_STRING) {
        return error_set(errp, "a context of %u bytes came from the server", r->len);
    }
    if (list) {
        g_ptr_array_add(list, g_strndup((char *)r->data + 4, r->len - 4));
    } else if (strlen(wanted) == r->len - 4 && !memcmp(wanted, r->data + 4, r->len - 4)) {
        l->has_context = true;
        l->context_id = ldl_be_p(r->data);
    }
    return true;
}

/* Select `context`, or list all there are into `list`. */
static bool contexts(NbdLink *l, const char *name, const char *context, GPtrArray *list, Error **errp)
{
    uint32_t opt = list ? NBD_OPT_LIST_META_CONTEXT : NBD_OPT_SET_META_CONTEXT, n = htobe32(list ? 0 : 1);
    g_autoptr(GByteArray) b = g_byte_array_new();

    put_text(b, name);
    g_byte_array_append(b, (uint8_t *)&n, 4);
    if (!list) {
        put_text(b, context);
    }
    if (!send_option(l, opt, b->data, b->len, errp)) {
        return false;
    }
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        bool ok, last;
        Reply r;

        if (!get_reply(l, opt, &r, errp)) {
            return false;
        }
        last = r.type == NBD_REP_ACK || (r.type & 0x80000000u);
        ok = last || (r.type == NBD_REP_META_CONTEXT ? take_context(l, &r, context, list, errp) : error_set(errp, "Unexpected reply to a context: type %u", r.type));
        g_free(r.data);
        if (!ok || last) {
            return ok;                  /* refused: there are none */
        }
    }
    return error_set(errp, "the server's list of contexts does not end");
}

/* ---- the export ---- */

static bool check_sizes(const NbdInfo *i, Error **errp)
{
    if (i->min_block & (i->min_block - 1) || !i->min_block || i->min_block > 65536) {
        return error_set(errp, "server's minimum block size %u is no power of two up to 64k", i->min_block);
    }
    if (i->pref_block & (i->pref_block - 1) || i->pref_block < i->min_block) {
        return error_set(errp, "server's preferred block size %u is not valid", i->pref_block);
    }
    if (i->max_block < i->min_block) {
        return error_set(errp, "server's maximum block size %u is not valid", i->max_block);
    }
    return true;
}

static bool take_info(NbdInfo *i, const Reply *r, bool *has_export, Error **errp)
{
    uint16_t type = r->len >= 2 ? lduw_be_p(r->data) : 0xffff;

    if (r->len < 2 || (type == NBD_INFO_EXPORT && r->len != 12) || (type == NBD_INFO_BLOCK_SIZE && r->len != 14)) {
        return error_set(errp, "information of %u bytes came from the server", r->len);
    }
    switch (type) {
    case NBD_INFO_EXPORT:
        i->size = ldq_be_p(r->data + 2);
        i->flags = lduw_be_p(r->data + 10);
        *has_export = true;
        return i->size > INT64_MAX ? error_set(errp, "export of %" G_GUINT64_FORMAT " bytes is too large", i->size) : true;
    case NBD_INFO_DESCRIPTION:
        g_free(i->description);
        i->description = g_strndup((char *)r->data + 2, r->len - 2);
        return true;
    case NBD_INFO_BLOCK_SIZE:
        i->min_block = ldl_be_p(r->data + 2);
        i->pref_block = ldl_be_p(r->data + 6);
        i->max_block = ldl_be_p(r->data + 10);
        return check_sizes(i, errp);
    }
    return true;                        /* information that we did not ask for */
}

/* NBD_OPT_GO or _INFO.  NO: the server has not heard of it. */
static Answer info(NbdLink *l, uint32_t opt, NbdInfo *i, Error **errp)
{
    static const uint8_t asked[] = { 0, 2, 0, NBD_INFO_BLOCK_SIZE, 0, NBD_INFO_DESCRIPTION };
    g_autoptr(GByteArray) b = g_byte_array_new();
    bool has_export = false;

    put_text(b, i->name);
    g_byte_array_append(b, asked, sizeof(asked));
    if (!send_option(l, opt, b->data, b->len, errp)) {
        return FAILED;
    }
    for (unsigned n = 0; n < REPLIES_MAX; n++) {
        Answer a = FAILED;
        bool last = true;
        Reply r;

        if (!get_reply(l, opt, &r, errp)) {
            return FAILED;
        }
        if (r.type == NBD_REP_ACK) {
            a = has_export ? YES : FAILED;
            if (!has_export) {
                error_set(errp, "the server said nothing about the export's size");
            }
        } else if (r.type == NBD_REP_ERR_UNSUP) {
            a = NO;
        } else if (r.type & 0x80000000u) {
            refused(opt, &r, errp);
        } else if (r.type != NBD_REP_INFO) {
            error_set(errp, "Unexpected reply to option '%s': type %u", nbd_option_name(opt), r.type);
        } else {
            last = !take_info(i, &r, &has_export, errp);
        }
        g_free(r.data);
        if (last) {
            return a;
        }
    }
    error_set(errp, "the server's information about an export does not end");
    return FAILED;
}

/* The first way of choosing: no answer but the export, or the end. */
static bool export_name(NbdLink *l, Error **errp)
{
    uint8_t reply[10], zeroes[124];

    if (!send_option(l, NBD_OPT_EXPORT_NAME, l->info.name, strlen(l->info.name), errp)) {
        return false;
    }
    if (!stream_read_all(l->stream, reply, sizeof(reply), errp) || (!l->no_zeroes && !stream_read_all(l->stream, zeroes, sizeof(zeroes), errp))) {
        return error_prepend(errp, "Requested export not available: ");
    }
    l->info.size = ldq_be_p(reply);
    l->info.flags = lduw_be_p(reply + 8);
    return l->info.size > INT64_MAX ? error_set(errp, "export of %" G_GUINT64_FORMAT " bytes is too large", l->info.size) : true;
}

/* ---- beginning ---- */

/* Servers of before 2011 have one export and no questions. */
static bool old_style(NbdLink *l, Error **errp)
{
    uint8_t rest[8 + 4 + 124];

    if (!stream_read_all(l->stream, rest, sizeof(rest), errp)) {
        return false;
    }
    l->info.size = ldq_be_p(rest);
    l->info.flags = ldl_be_p(rest + 8);
    return l->info.size > INT64_MAX ? error_set(errp, "export of %" G_GUINT64_FORMAT " bytes is too large", l->info.size) : true;
}

static bool start_tls(NbdLink *l, const NbdLinkConfig *c, Error **errp)
{
    Answer a = l->fixed ? ask(l, NBD_OPT_STARTTLS, errp) : NO;
    Stream *tls;

    if (a != YES) {
        return a == NO ? error_set(errp, "Server does not offer TLS") : false;
    }
    tls = tls_client(l->stream, c->creds, c->hostname, errp);
    if (!tls) {
        return false;
    }
    l->stream = tls;
    return true;
}

/* *old: nothing more to say, requests follow. */
static bool greet(NbdLink *l, const NbdLinkConfig *c, bool *old, Error **errp)
{
    uint8_t hello[16], flags[4];
    uint16_t f;

    if (!stream_read_all(l->stream, hello, sizeof(hello), errp)) {
        return error_prepend(errp, "Failed to read initial magic: ");
    }
    if (ldq_be_p(hello) != NBD_MAGIC) {
        return error_set(errp, "Bad initial magic received: 0x%" G_GINT64_MODIFIER "x", ldq_be_p(hello));
    }
    *old = ldq_be_p(hello + 8) == NBD_MAGIC_OLDSTYLE;
    if (*old) {
        return c->creds ? error_set(errp, "Server does not offer TLS") : old_style(l, errp);
    }
    if (ldq_be_p(hello + 8) != NBD_MAGIC_OPTION) {
        return error_set(errp, "Bad server magic received: 0x%" G_GINT64_MODIFIER "x", ldq_be_p(hello + 8));
    }
    if (!stream_read_all(l->stream, flags, 2, errp)) {
        return error_prepend(errp, "Failed to read server flags: ");
    }
    f = lduw_be_p(flags);
    l->fixed = f & NBD_FIXED_NEWSTYLE;
    l->no_zeroes = f & NBD_NO_ZEROES;
    stl_be_p(flags, f & (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
    if (!stream_write_all(l->stream, flags, 4, errp)) {
        return error_prepend(errp, "Failed to send client flags: ");
    }
    return !c->creds || start_tls(l, c, errp);
}

static bool modes(NbdLink *l, Error **errp)
{
    Answer a = ask(l, NBD_OPT_EXTENDED_HEADERS, errp);

    l->extended = l->structured = a == YES;
    if (a == NO) {
        a = ask(l, NBD_OPT_STRUCTURED_REPLY, errp);
        l->structured = a == YES;
    }
    return a != FAILED;
}

static bool choose(NbdLink *l, const NbdLinkConfig *c, Error **errp)
{
    if (l->fixed) {
        if (!modes(l, errp) || (l->structured && c->context && !contexts(l, c->export_name, c->context, NULL, errp))) {
            return false;
        }
        switch (info(l, NBD_OPT_GO, &l->info, errp)) {
        case YES:
            return true;
        case FAILED:
            return false;
        case NO:
            break;
        }
    }
    return export_name(l, errp);
}

static bool open_stream(NbdLink *l, const NbdLinkConfig *c, Error **errp)
{
    int fd;

    if (c->export_name && strlen(c->export_name) > NBD_MAX_STRING) {
        return error_set(errp, "export name '%.20s...' is longer than %d bytes", c->export_name, NBD_MAX_STRING);
    }
    fd = socket_connect(c->address, errp);
    if (fd < 0) {
        return false;
    }
    socket_set_nodelay(fd);
    l->stream = stream_new_fd(c->address->kind == SOCKET_FD ? dup(fd) : fd);
    return true;
}

bool nbd_link_open(NbdLink *l, const NbdLinkConfig *c, Error **errp)
{
    bool old = false;

    *l = (NbdLink){ .info.name = g_strdup(c->export_name) };
    if (open_stream(l, c, errp) && greet(l, c, &old, errp) && (old || choose(l, c, errp))) {
        return true;
    }
    nbd_link_close(l);
    return false;
}

/* ---- a list ---- */

static void free_info(void *p)
{
    nbd_info_clear(p);
    g_free(p);
}

static bool take_name(GPtrArray *list, const Reply *r, Error **errp)
{
    uint32_t n = r->len >= 4 ? ldl_be_p(r->data) : 0;
    NbdInfo *i;

    if (r->len < 4 || n > r->len - 4 || n > NBD_MAX_STRING) {
        return error_set(errp, "a name of %u bytes in a reply of %u came from the server", n, r->len);
    }
    i = g_new0(NbdInfo, 1);
    i->name = g_strndup((char *)r->data + 4, n);
    i->description = r->len > 4 + n ? g_strndup((char *)r->data + 4 + n, r->len - 4 - n) : NULL;
    i->contexts = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(list, i);
    return true;
}

static bool names(NbdLink *l, GPtrArray *list, Error **errp)
{
    if (!send_option(l, NBD_OPT_LIST, NULL, 0, errp)) {
        return false;
    }
    for (unsigned n = 0; n < REPLIES_MAX; n++) {
        bool ok, last;
        Reply r;

        if (!get_reply(l, NBD_OPT_LIST, &r, errp)) {
            return false;
        }
        last = r.type == NBD_REP_ACK;
        ok = last || (r.type & 0x80000000u ? refused(NBD_OPT_LIST, &r, errp) :
                      r.type == NBD_REP_SERVER ? take_name(list, &r, errp) : error_set(errp, "Unexpected reply to a list: type %u", r.type));
        g_free(r.data);
        if (last || !ok) {
            return ok;
        }
    }
    return error_set(errp, "the server's list does not end");
}

static bool list_all(NbdLink *l, const NbdLinkConfig *c, GPtrArray *list, Error **errp)
{
    bool old;

    if (!open_stream(l, c, errp) || !greet(l, c, &old, errp)) {
        return false;
    }
    if (old || !l->fixed) {
        return error_set(errp, "The server is too old to list what it has");
    }
    if (!modes(l, errp) || !names(l, list, errp)) {
        return false;
    }
    for (unsigned i = 0; i < list->len; i++) {
        NbdInfo *x = list->pdata[i];

        if (info(l, NBD_OPT_INFO, x, errp) == FAILED || (l->structured && !contexts(l, x->name, NULL, x->contexts, errp))) {
            return false;
        }
    }
    return send_option(l, NBD_OPT_ABORT, NULL, 0, NULL) || true;
}

GPtrArray *nbd_link_list(const NbdLinkConfig *c, bool *extended, Error **errp)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(free_info);
    NbdLink l = {};
    bool ok = list_all(&l, c, list, errp);

    *extended = l.extended;
    nbd_link_close(&l);
    if (!ok) {
        g_ptr_array_free(list, true);
        return NULL;
    }
    return list;
}
