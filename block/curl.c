/* SPDX-License-Identifier: MIT */
/*
 * Disks behind HTTP, HTTPS, FTP and FTPS, for reading, through libcurl.
 *
 * The library is loaded when the first such disk is opened, so that nobody
 * else pays for it.  A request runs on a pool thread with a handle of its own,
 * which keeps its connection for the next one; each asks for at least the
 * read-ahead, and what was fetched last is kept.
 */
#include "block/driver.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/library.h"
#include "util/size.h"

enum { HANDLES = 8, PIECES = 16, FETCH_MAX = 16 << 20 };

static struct {
    CURLcode (*global_init)(long flags);
    CURL *(*init)(void);
    CURLcode (*setopt)(CURL *c, CURLoption option, ...);
    CURLcode (*perform)(CURL *c);
    CURLcode (*getinfo)(CURL *c, CURLINFO info, ...);
    void (*cleanup)(CURL *c);
    const char *(*strerror)(CURLcode code);
} lib;

typedef struct Piece {
    uint8_t *data;
    uint64_t off, len;
    uint64_t used;              /* of Web.clock */
} Piece;

typedef struct Web {
    char *url, *cookie;
    bool verify;
    long timeout;
    uint64_t ahead;
    FiberMutex lock;            /* of what follows */
    CURL *idle[HANDLES];
    unsigned nidle;
    Piece pieces[PIECES];
    uint64_t clock;
} Web;

static const OptKey web_keys[] = {
    { "url", OPT_STRING, "where it is" },
    { "readahead", OPT_SIZE, "bytes to fetch at least, a multiple of 512", .def = "256k" },
    { "sslverify", OPT_BOOL, "check the server's certificate", .def = "on" },
    { "timeout", OPT_NUMBER, "seconds that a request may take", .def = "5" },
    { "cookie", OPT_STRING, "sent with each request" },
    { "force-range", OPT_BOOL, "the server serves ranges although it does not say so", .def = "off" },
    {}
};

/* ---- the library ---- */

static const char *start(void)
{
    return lib.global_init(CURL_GLOBAL_DEFAULT) ? "libcurl does not start" : NULL;
}

static bool library(Error **errp)
{
    static const LibrarySymbol symbols[] = {
        { "curl_global_init", &lib.global_init }, { "curl_easy_init", &lib.init }, { "curl_easy_setopt", &lib.setopt }, { "curl_easy_perform", &lib.perform },
        { "curl_easy_getinfo", &lib.getinfo }, { "curl_easy_cleanup", &lib.cleanup }, { "curl_easy_strerror", &lib.strerror }, {}
    };
    static Library curl = { { "libcurl-gnutls.so.4", "libcurl.so.4" }, symbols, "libcurl is not installed (package libcurl3-gnutls)", start };

    return library_load(&curl, "CURL", errp);
}

/* ---- one transfer ---- */

typedef struct Transfer {
    Web *s;
    CURL *handle;
    uint64_t off, len;          /* len 0: only the head */
    uint8_t *buf;
    uint64_t got;
    bool ranges;
    int64_t size;
    CURLcode code;
    char error[CURL_ERROR_SIZE];
} Transfer;

static size_t take_body(char *data, size_t one, size_t n, void *opaque)
{
    Transfer *t = opaque;
    uint64_t take = MIN(one * n, t->len - t->got);

    memcpy(t->buf + t->got, data, take);
    t->got += take;
    return one * n > take ? 0 : one * n;                /* more than was asked for: the server ignores ranges */
}

static size_t take_header(char *data, size_t one, size_t n, void *opaque)
{
    Transfer *t = opaque;
    g_autofree char *line = g_ascii_strdown(data, (gssize)(one * n));

    if (g_str_has_prefix(line, "accept-ranges:") && strstr(line, "bytes")) {
        t->ranges = true;
    }
    return one * n;
}

static CURL *handle_new(const Web *s)
{
    CURL *c = lib.init();

    if (c) {
        lib.setopt(c, CURLOPT_URL, s->url);
        lib.setopt(c, CURLOPT_SSL_VERIFYPEER, (long)s->verify);
        lib.setopt(c, CURLOPT_SSL_VERIFYHOST, s->verify ? 2l : 0l);
        lib.setopt(c, CURLOPT_COOKIE, s->cookie);
        lib.setopt(c, CURLOPT_TIMEOUT, s->timeout);
        lib.setopt(c, CURLOPT_WRITEFUNCTION, take_body);
        lib.setopt(c, CURLOPT_HEADERFUNCTION, take_header);
        lib.setopt(c, CURLOPT_FOLLOWLOCATION, 1l);
        lib.setopt(c, CURLOPT_FAILONERROR, 1l);
        lib.setopt(c, CURLOPT_NOSIGNAL, 1l);
#if LIBCURL_VERSION_NUM >= 0x075500
        lib.setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,ftp,ftps");
        lib.setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https,ftp,ftps");
#endif
    }
    return c;
}

/* On a pool thread. */
static void run(void *opaque)
{
    Transfer *t = opaque;
    char range[64];
    curl_off_t size = -1;

    g_snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, t->off, t->off + t->len - 1);
    lib.setopt(t->handle, CURLOPT_WRITEDATA, t);
    lib.setopt(t->handle, CURLOPT_HEADERDATA, t);
    lib.setopt(t->handle, CURLOPT_ERRORBUFFER, t->error);
    lib.setopt(t->handle, CURLOPT_NOBODY, t->len ? 0l : 1l);
    if (t->len) {
        lib.setopt(t->handle, CURLOPT_HTTPGET, 1l);
        lib.setopt(t->handle, CURLOPT_RANGE, range);
    }
    t->code = lib.perform(t->handle);
    lib.getinfo(t->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    t->size = size;
    lib.setopt(t->handle, CURLOPT_ERRORBUFFER, NULL);
    if (t->code && !*t->error) {
        g_strlcpy(t->error, lib.strerror(t->code), sizeof(t->error));
    }
}

static void transfer(Web *s, Transfer *t)
{
    fiber_mutex_lock(&s->lock);
    t->handle = s->nidle ? s->idle[--s->nidle] : handle_new(s);
    fiber_mutex_unlock(&s->lock);
    t->s = s;
    if (!t->handle) {
        t->code = CURLE_OUT_OF_MEMORY;
        return;
    }
    fiber_blocking(run, t);
    fiber_mutex_lock(&s->lock);
    if (s->nidle < HANDLES && !t->code) {
        s->idle[s->nidle++] = t->handle;
        t->handle = NULL;
    }
    fiber_mutex_unlock(&s->lock);
    if (t->handle) {
        lib.cleanup(t->handle);
    }
}

/* ---- reads ---- */

/* Under the lock. */
static bool from_piece(Web *s, uint64_t off, uint64_t len, BlkVec v)
{
    for (unsigned i = 0; i < PIECES; i++) {
        Piece *p = &s->pieces[i];

        if (p->data && off >= p->off && off + len <= p->off + p->len) {
            p->used = ++s->clock;
            blk_vec_write(v, p->data + (off - p->off), len);
            return true;
        }
    }
    return false;
}

/* Under the lock; takes the data. */
static void keep(Web *s, uint8_t *data, uint64_t off, uint64_t len)
{
    Piece *oldest = s->pieces;

    for (unsigned i = 1; i < PIECES; i++) {
        oldest = s->pieces[i].used < oldest->used ? &s->pieces[i] : oldest;
    }
    g_free(oldest->data);
    *oldest = (Piece){ data, off, len, ++s->clock };
}

static int fetch(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Web *s = n->state;
    uint64_t want = MIN(MAX(len, s->ahead), n->size - off);
    Transfer t = { .off = off, .len = want, .buf = g_try_malloc(want) };

    if (!t.buf) {
        return -ENOMEM;
    }
    transfer(s, &t);
    if (t.code || t.got < want) {
        g_free(t.buf);
        return t.code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
    }
    blk_vec_write(v, t.buf, len);
    fiber_mutex_lock(&s->lock);
    keep(s, t.buf, off, want);
    fiber_mutex_unlock(&s->lock);
    return 0;
}

static int web_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Web *s = n->state;
    int r = 0;

    for (uint64_t done = 0, part; done < len && r == 0; done += part) {
        bool here;

        part = MIN(len - done, FETCH_MAX);
        fiber_mutex_lock(&s->lock);
        here = from_piece(s, off + done, part, blk_vec_from(v, done));
        fiber_mutex_unlock(&s->lock);
        r = here ? 0 : fetch(n, off + done, part, blk_vec_from(v, done));
    }
    return r;
}

/* ---- life ---- */

static bool ask_size(BlkNode *n, bool force, Error **errp)
{
    Web *s = n->state;
    Transfer t = { .size = -1 };
    bool http = g_str_has_prefix(s->url, "http");

    transfer(s, &t);
    if (t.code) {
        return error_set(errp, "CURL: Error opening file: %s", *t.error ? t.error : "no memory");
    }
    if (t.size < 0) {
        return error_set(errp, "CURL: Error opening file: Server didn't report file size.");
    }
    if (http && !t.ranges && !force) {
        return error_set(errp, "CURL: Error opening file: Server does not support 'range' (byte ranges).");
    }
    n->size = (uint64_t)t.size;
    return true;
}

static void web_close(BlkNode *n)
{
    Web *s = n->state;

    while (s->nidle) {
        lib.cleanup(s->idle[--s->nidle]);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        g_free(s->pieces[i].data);
    }
    g_free(s->url);
    g_free(s->cookie);
    fiber_mutex_destroy(&s->lock);
}

static bool web_open(BlkNode *n, Json *o, Error **errp)
{
    Web *s = n->state;
    const char *url = json_get_string(o, "url");
    g_autofree char *scheme = g_strconcat(n->drv->name, "://", NULL);

    s->ahead = json_get_u64(o, "readahead", 256 * KiB);
    s->verify = json_get_bool(o, "sslverify", true);
    s->timeout = (long)json_get_u64(o, "timeout", 5);
    if (!url) {
        return error_set(errp, "curl block driver requires an 'url' option");
    }
    if (!g_str_has_prefix(url, scheme)) {
        return error_set(errp, "CURL: '%s' is no %s URL", url, n->drv->name);
    }
    if (s->ahead % 512 || s->ahead > FETCH_MAX) {
        return error_set(errp, "CURL: readahead must be a multiple of 512, at most %d", FETCH_MAX);
    }
    if (s->timeout > 10000) {
        return error_set(errp, "CURL: timeout parameter is too large or negative");
    }
    if (!n->read_only && !(n->flags & BLK_O_AUTO_RDONLY)) {
        return error_set(errp, "curl driver does not support writes");
    }
    if (!library(errp)) {
        return false;
    }
    n->read_only = true;
    s->url = g_strdup(url);
    s->cookie = g_strdup(json_get_string(o, "cookie"));
    fiber_mutex_init(&s->lock);
    if (!ask_size(n, json_get_bool(o, "force-range", false), errp)) {
        web_close(n);
        return false;
    }
    return true;
}

static bool web_parse_filename(const char *name, Json *options, Error **errp)
{
    json_set_string(options, "url", name);
    return true;
}

static int64_t web_allocated(BlkNode *n)
{
    return -ENOTSUP;
}

#define WEB_OPS \
    .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Web), .options = web_keys, .parse_filename = web_parse_filename, .open = web_open, .close = web_close, \
    .read = web_read, .allocated = web_allocated

static const BlkDriver http = { .name = "http", .help = "a file behind HTTP", .prefix = "http://", WEB_OPS };
static const BlkDriver https = { .name = "https", .help = "a file behind HTTPS", .prefix = "https://", WEB_OPS };
static const BlkDriver ftp = { .name = "ftp", .help = "a file behind FTP", .prefix = "ftp://", WEB_OPS };
static const BlkDriver ftps = { .name = "ftps", .help = "a file behind FTPS", .prefix = "ftps://", WEB_OPS };
BLK_DRIVER(http);
BLK_DRIVER(https);
BLK_DRIVER(ftp);
BLK_DRIVER(ftps);
