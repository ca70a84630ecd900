/* SPDX-License-Identifier: MIT */
/*
 * Disks behind ssh, as files of its file transfer protocol (SFTP version 3),
 * through libssh, which is loaded when the first such disk is opened.
 *
 * One session per disk, used by one pool thread at a time.  Who the user is
 * comes from the agent or the keys in the home folder; the server has to be in
 * known_hosts unless host-key-check says otherwise.
 */
#include "block/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <stdio.h>
#include <string.h>

#include "util/bits.h"
#include "util/library.h"

#define FUNCTIONS(F) \
    F(ssh_new) F(ssh_free) F(ssh_options_set) F(ssh_options_parse_config) F(ssh_connect) F(ssh_disconnect) F(ssh_session_is_known_server) \
    F(ssh_get_server_publickey) F(ssh_get_publickey_hash) F(ssh_key_free) F(ssh_clean_pubkey_hash) F(ssh_userauth_none) F(ssh_userauth_list) \
    F(ssh_userauth_publickey_auto) F(ssh_get_error) F(sftp_new) F(sftp_init) F(sftp_free) F(sftp_open) F(sftp_close) F(sftp_fstat) \
    F(sftp_attributes_free) F(sftp_seek64) F(sftp_read) F(sftp_write) F(sftp_fsync) F(sftp_extension_supported) F(sftp_setstat) F(sftp_get_error)

static struct {
#define POINTER(name) __typeof__(&name) p_##name;
    FUNCTIONS(POINTER)
} lib;
#define L(name) lib.p_##name

enum { PIECE = 32768 };                 /* servers take at least this much in one packet */

typedef struct Ssh {
    FiberMutex lock;
    ssh_session session;
    sftp_session sftp;
    sftp_file file;
    char *path;
    bool can_sync;
} Ssh;

static const OptKey ssh_keys[] = {
    { "server", OPT_ANY, "the server: host, port" },
    { "host", OPT_STRING, "the server's name" },
    { "port", OPT_STRING, "its port", .def = "22" },
    { "path", OPT_STRING, "the file" },
    { "user", OPT_STRING, "who we are there" },
    { "host_key_check", OPT_STRING, "yes (known_hosts), no, or md5:HASH, sha1:HASH, sha256:HASH" },
    { "host-key-check", OPT_ANY, "mode (known_hosts, none, hash), type, hash" },
    {}
};

/* ---- the library ---- */

static bool library(Error **errp)
{
#define SYMBOL(name) { #name, &L(name) },
    static const LibrarySymbol symbols[] = { FUNCTIONS(SYMBOL) {} };
    static Library ssh = { { "libssh-gcrypt.so.4", "libssh.so.4" }, symbols, "libssh is not installed (package libssh-gcrypt-4)" };

    return library_load(&ssh, "ssh", errp);
}

/* ---- connecting; on a pool thread ---- */

typedef struct Where {
    Ssh *s;
    const char *host, *user;
    unsigned port;
    bool write, make;                   /* make: emptied, or made */
    int check;                          /* 0: known_hosts, 1: none, 2: hash */
    int hash_type;
    const char *hash;
    uint64_t size;
    Error **errp;
    bool ok;
} Where;

static bool ssh_failed(Ssh *s, Error **errp, const char *what)
{
    return error_set(errp, "%s: %s", what, L(ssh_get_error)(s->session));
}

static bool hash_matches(const unsigned char *got, size_t len, const char *want)
{
    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        want += *want == ':';
        if (sscanf(want, "%2x", &byte) != 1 || byte != got[i]) {
            return false;
        }
        want += 2;
    }
    return !*want;
}

static bool check_hash(const Where *w, Error **errp)
{
    unsigned char *hash = NULL;
    ssh_key key;
    size_t len;
    bool same;

    if (L(ssh_get_server_publickey)(w->s->session, &key) != SSH_OK) {
        return ssh_failed(w->s, errp, "failed to read remote host key");
    }
    same = L(ssh_get_publickey_hash)(key, (enum ssh_publickey_hash_type)w->hash_type, &hash, &len) == 0 && hash_matches(hash, len, w->hash);
    L(ssh_key_free)(key);
    L(ssh_clean_pubkey_hash)(&hash);
    return same || error_set(errp, "remote host key fingerprint does not match host_key_check '%s'", w->hash);
}

static bool check_known(const Where *w, Error **errp)
{
    switch (L(ssh_session_is_known_server)(w->s->session)) {
    case SSH_KNOWN_HOSTS_OK:
        return true;
    case SSH_KNOWN_HOSTS_CHANGED:
        return error_set(errp, "host key does not match the one in known_hosts; this may be a possible attack");
    case SSH_KNOWN_HOSTS_OTHER:
        return error_set(errp, "host key for this server not found, another type exists");
    case SSH_KNOWN_HOSTS_UNKNOWN:
        error_set(errp, "no host key was found in known_hosts");
        return error_hint(errp, "log in with ssh once, or give the fingerprint: host-key-check.mode=hash,host-key-check.type=sha256,host-key-check.hash=...\n");
    case SSH_KNOWN_HOSTS_NOT_FOUND:
        return error_set(errp, "known_hosts file not found");
    default:
        return ssh_failed(w->s, errp, "error while checking for known server");
    }
}

static bool log_in(const Where *w, Error **errp)
{
    Ssh *s = w->s;

    if (L(ssh_userauth_none)(s->session, NULL) == SSH_AUTH_SUCCESS) {
        return true;
    }
    if ((L(ssh_userauth_list)(s->session, NULL) & SSH_AUTH_METHOD_PUBLICKEY) && L(ssh_userauth_publickey_auto)(s->session, NULL, NULL) == SSH_AUTH_SUCCESS) {
        return true;
    }
    error_set(errp, "failed to authenticate using publickey authentication");
    return error_hint(errp, "passwords are not asked for: put a key into the agent or the home folder, and into the server's authorized_keys\n");
}

static bool dial(const Where *w, Error **errp)
{
    Ssh *s = w->s;
    unsigned port = w->port;
    g_autofree char *dir = g_build_filename(g_get_home_dir(), ".ssh", NULL);

    s->session = L(ssh_new)();
    if (!s->session) {
        return error_set(errp, "failed to initialize libssh session");
    }
    L(ssh_options_set)(s->session, SSH_OPTIONS_SSH_DIR, dir);
    L(ssh_options_set)(s->session, SSH_OPTIONS_HOST, w->host);
    L(ssh_options_set)(s->session, SSH_OPTIONS_PORT, &port);
    if (w->user) {
        L(ssh_options_set)(s->session, SSH_OPTIONS_USER, w->user);
    }
    L(ssh_options_parse_config)(s->session, NULL);
    if (L(ssh_connect)(s->session) != SSH_OK) {
        return ssh_failed(s, errp, "failed to establish SSH session");
    }
    return (w->check == 1 || (w->check == 2 ? check_hash(w, errp) : check_known(w, errp))) && log_in(w, errp);
}

static bool open_file(Where *w, Error **errp)
{
    Ssh *s = w->s;
    sftp_attributes st;

    s->sftp = L(sftp_new)(s->session);
    if (!s->sftp || L(sftp_init)(s->sftp) < 0) {
        return ssh_failed(s, errp, "failed to initialize sftp session");
    }
    s->file = L(sftp_open)(s->sftp, s->path, w->make ? O_RDWR | O_CREAT | O_TRUNC : w->write ? O_RDWR : O_RDONLY, 0644);
    if (!s->file) {
        return error_set(errp, "failed to open remote file '%s': %s (sftp error %d)", s->path, L(ssh_get_error)(s->session), L(sftp_get_error)(s->sftp));
    }
    st = L(sftp_fstat)(s->file);
    if (!st) {
        return ssh_failed(s, errp, "failed to read file attributes");
    }
    w->size = st->size;
    L(sftp_attributes_free)(st);
    s->can_sync = L(sftp_extension_supported)(s->sftp, "fsync@openssh.com", "1");
    return true;
}

static void run_open(void *opaque)
{
    Where *w = opaque;

    w->ok = dial(w, w->errp) && open_file(w, w->errp);
}

static void run_close(void *opaque)
{
    Ssh *s = opaque;

    if (s->file) {
        L(sftp_close)(s->file);
    }
    if (s->sftp) {
        L(sftp_free)(s->sftp);
    }
    if (s->session) {
        L(ssh_disconnect)(s->session);
        L(ssh_free)(s->session);
    }
}

/* ---- requests ---- */

typedef struct Work {
    Ssh *s;
    enum { DO_READ, DO_WRITE, DO_FLUSH, DO_RESIZE } what;
    uint64_t off, len;
    BlkVec v;
    uint8_t piece[PIECE];
    int result;
} Work;

static int read_all(Work *w)
{
    L(sftp_seek64)(w->s->file, w->off);
    for (uint64_t done = 0; done < w->len;) {
        ssize_t n = L(sftp_read)(w->s->file, w->piece, MIN(w->len - done, PIECE));

        if (n < 0) {
            return -EIO;
        }
        if (n == 0) {
            blk_vec_fill(blk_vec_from(w->v, done), 0, w->len - done);
            break;
        }
        blk_vec_write(blk_vec_from(w->v, done), w->piece, (uint64_t)n);
        done += (uint64_t)n;
    }
    return 0;
}

static int write_all(Work *w)
{
    L(sftp_seek64)(w->s->file, w->off);
    for (uint64_t done = 0; done < w->len;) {
        uint64_t part = MIN(w->len - done, PIECE);
        ssize_t n;

        blk_vec_read(blk_vec_from(w->v, done), w->piece, part);
        n = L(sftp_write)(w->s->file, w->piece, part);
        if (n <= 0) {
            return -EIO;
        }
        done += (uint64_t)n;
    }
    return 0;
}

static int resize(Work *w)
{
    struct sftp_attributes_struct a = { .flags = SSH_FILEXFER_ATTR_SIZE, .size = w->len };

    return L(sftp_setstat)(w->s->sftp, w->s->path, &a) == 0 ? 0 : -EIO;
}

static void run_work(void *opaque)
{
    Work *w = opaque;

    switch (w->what) {
    case DO_READ:
        w->result = read_all(w);
        break;
    case DO_WRITE:
        w->result = write_all(w);
        break;
    case DO_FLUSH:
        w->result = L(sftp_fsync)(w->s->file) == 0 ? 0 : -EIO;
        break;
    case DO_RESIZE:
        w->result = resize(w);
        break;
    }
}

static int work(BlkNode *n, int what, uint64_t off, uint64_t len, BlkVec v)
{
    Ssh *s = n->state;
    Work *w = g_new(Work, 1);
    int r;

    w->s = s;
    w->what = what;
    w->off = off;
    w->len = len;
    w->v = v;
    fiber_mutex_lock(&s->lock);
    fiber_blocking(run_work, w);
    fiber_mutex_unlock(&s->lock);
    r = w->result;
    g_free(w);
    return r;
}

static int ssh_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return work(n, DO_READ, off, len, v);
}

static int ssh_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = work(n, DO_WRITE, off, len, v);

    if (r == 0 && off + len > node_size(n)) {
        blk_node_resized(n, off + len);
    }
    return r;
}

/* A server without fsync@openssh.com keeps no such promise; opening said so. */
static int ssh_flush(BlkNode *n)
{
    return ((Ssh *)n->state)->can_sync ? work(n, DO_FLUSH, 0, 0, (BlkVec){}) : 0;
}

static bool ssh_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    if (prealloc != BLK_PREALLOC_OFF) {
        return error_set(errp, "Unsupported preallocation mode: files behind ssh are not preallocated");
    }
    return work(n, DO_RESIZE, 0, size, (BlkVec){}) == 0 || error_set(errp, "the server does not change the size of the file");
}

static int64_t ssh_allocated(BlkNode *n)
{
    return -ENOTSUP;
}

/* ---- life ---- */

static bool take_hash(Where *w, const char *type, const char *hash, Error **errp)
{
    static const struct { const char *name; int type; } types[] = {
        { "md5", SSH_PUBLICKEY_HASH_MD5 }, { "sha1", SSH_PUBLICKEY_HASH_SHA1 }, { "sha256", SSH_PUBLICKEY_HASH_SHA256 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        if (type && !strcmp(type, types[i].name) && hash) {
            w->check = 2;
            w->hash_type = types[i].type;
            w->hash = hash;
            return true;
        }
    }
    return error_set(errp, "host-key-check takes a type (md5, sha1, sha256) and a hash");
}

static bool take_check(Where *w, const Json *o, Error **errp)
{
    const char *old = json_get_string(o, "host_key_check");
    const Json *check = json_get(o, "host-key-check");
    const char *mode = check ? json_get_string(check, "mode") : NULL;

    if (old && check) {
        return error_set(errp, "host_key_check and host-key-check say the same thing twice");
    }
    if (old && strchr(old, ':')) {
        g_autofree char *type = g_strndup(old, strcspn(old, ":"));

        return take_hash(w, type, strchr(old, ':') + 1, errp);
    }
    if ((old && !strcmp(old, "no")) || (mode && !strcmp(mode, "none"))) {
        w->check = 1;
        return true;
    }
    if (mode && !strcmp(mode, "hash")) {
        return take_hash(w, json_get_string(check, "type"), json_get_string(check, "hash"), errp);
    }
    if ((old && strcmp(old, "yes")) || (check && g_strcmp0(mode, "known_hosts"))) {
        return error_set(errp, "unknown host_key_check setting (%s)", old ? old : mode ? mode : "no mode");
    }
    return true;
}

static bool take_server(Where *w, const Json *o, Error **errp)
{
    const Json *server = json_get(o, "server") ? json_get(o, "server") : o;
    Json *port = json_is(server, JSON_OBJECT) ? json_get(server, "port") : NULL;
    g_autofree char *text = port ? json_scalar_text(port) : g_strdup("22");
    char *end;

    w->host = json_is(server, JSON_OBJECT) ? json_get_string(server, "host") : NULL;
    if (!w->host) {
        return error_set(errp, "No hostname was specified");
    }
    w->port = (unsigned)g_ascii_strtoull(text, &end, 10);
    return (*text && !*end && w->port >= 1 && w->port <= 65535) || error_set(errp, "Use only numeric port value");
}

static void close_all(Ssh *s)
{
    fiber_blocking(run_close, s);
    g_free(s->path);
    fiber_mutex_destroy(&s->lock);
}

/* From options to an open file; what is in `w` before says how. */
static bool open_where(Where *w, const Json *o, Error **errp)
{
    Ssh *s = w->s;

    w->user = json_get_string(o, "user");
    w->errp = errp;
    if (!json_get_string(o, "path")) {
        return error_set(errp, "No path was specified");
    }
    if (!take_server(w, o, errp) || !take_check(w, o, errp) || !library(errp)) {
        return false;
    }
    s->path = g_strdup(json_get_string(o, "path"));
    fiber_mutex_init(&s->lock);
    fiber_blocking(run_open, w);
    if (!w->ok) {
        close_all(s);
    }
    return w->ok;
}

static bool ssh_open(BlkNode *n, Json *o, Error **errp)
{
    Ssh *s = n->state;
    Where w = { .s = s, .write = !n->read_only };

    if (!open_where(&w, o, errp)) {
        return false;
    }
    if (!s->can_sync && w.write) {
        fprintf(stderr, "warning: ssh server %s does not support fsync, flushes are not passed on\n", w.host);
    }
    n->size = w.size;
    return true;
}

static void ssh_close(BlkNode *n)
{
    close_all(n->state);
}

/* ssh://[user@]host[:port]/path[?host_key_check=...] */
static bool ssh_parse_filename(const char *name, Json *o, Error **errp)
{
    g_autoptr(GUri) uri = g_uri_parse(name, G_URI_FLAGS_NONE, NULL);
    g_auto(GStrv) words = uri && g_uri_get_query(uri) ? g_strsplit(g_uri_get_query(uri), "&", -1) : NULL;

    if (!uri || !g_uri_get_host(uri) || !*g_uri_get_host(uri)) {
        return error_set(errp, "missing hostname in URI");
    }
    json_set_string(o, "host", g_uri_get_host(uri));
    json_set_string(o, "path", g_uri_get_path(uri));
    if (g_uri_get_port(uri) > 0) {
        g_autofree char *port = g_strdup_printf("%d", g_uri_get_port(uri));

        json_set_string(o, "port", port);
    }
    if (g_uri_get_userinfo(uri)) {
        json_set_string(o, "user", g_uri_get_userinfo(uri));
    }
    for (char **p = words; p && *p; p++) {
        if (g_str_has_prefix(*p, "host_key_check=")) {
            json_set_string(o, "host_key_check", strchr(*p, '=') + 1);
        } else {
            return error_set(errp, "ssh: unknown word '%s' in the name", *p);
        }
    }
    return true;
}

/* Its size is that of what is written to it; one that is asked for is the last byte's. */
static bool ssh_make(Session *session, const char *filename, uint64_t size, Error **errp)
{
    g_autoptr(Json) o = json_object();
    g_autofree Ssh *s = g_new0(Ssh, 1);
    Where w = { .s = s, .write = true, .make = true };
    Work *work;
    bool ok;

    if (!ssh_parse_filename(filename, o, errp) || !open_where(&w, o, errp)) {
        return false;
    }
    work = g_new0(Work, 1);
    *work = (Work){ .s = s, .what = DO_RESIZE, .len = size };
    if (size) {
        fiber_blocking(run_work, work);
    }
    ok = work->result == 0 || error_set_errno(errp, -work->result, "Could not resize '%s'", filename);
    g_free(work);
    close_all(s);
    return ok;
}

static const BlkDriver ssh = {
    .name = "ssh", .help = "a file behind ssh", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Ssh), .options = ssh_keys, .prefix = "ssh://",
    .parse_filename = ssh_parse_filename, .open = ssh_open, .close = ssh_close, .read = ssh_read, .write = ssh_write, .flush = ssh_flush, .resize = ssh_resize,
    .allocated = ssh_allocated, .make = ssh_make,
};
BLK_DRIVER(ssh);
