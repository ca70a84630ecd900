/* SPDX-License-Identifier: MIT */
/* Credentials: objects read from a folder of files. */
#include "io/tls-priv.h"

#include <gnutls/x509.h>
#include <string.h>
#include <unistd.h>

#include "io/secret.h"

/* ---- life ---- */

TlsCreds *tls_creds_ref(TlsCreds *c)
{
    __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void tls_creds_unref(TlsCreds *c)
{
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL)) {
        return;
    }
    g_clear_pointer(&c->x509, gnutls_certificate_free_credentials);
    g_clear_pointer(&c->psk_server, gnutls_psk_free_server_credentials);
    g_clear_pointer(&c->psk_client, gnutls_psk_free_client_credentials);
    g_clear_pointer(&c->anon_server, gnutls_anon_free_server_credentials);
    g_clear_pointer(&c->anon_client, gnutls_anon_free_client_credentials);
    g_clear_pointer(&c->dh, gnutls_dh_params_deinit);
    g_free(c->priority);
    g_free(c);
}

static void destroy(void *object)
{
    tls_creds_unref(object);
}

static const SessionKind creds_kind = { .name = "TLS credentials", .space = "object", .duplicate = "attempt to add duplicate property '%s' to object (type 'container')", .destroy = destroy };

TlsCreds *tls_creds_get(Session *s, const char *id, bool server, Error **errp)
{
    const SessionKind *kind = NULL;
    TlsCreds *c = session_find(s, "object", id, &kind);

    if (!c) {
        error_set(errp, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    if (kind != &creds_kind) {
        error_set(errp, "Object with id '%s' is not TLS credentials", id);
        return NULL;
    }
    if (c->server != server) {
        error_set(errp, "Expected TLS credentials for a %s endpoint", server ? "server" : "client");
        return NULL;
    }
    return tls_creds_ref(c);
}

/* ---- options that all have ---- */

static bool tls_failed(int r, const char *what, const char *name, Error **errp)
{
    return error_set(errp, "%s '%s': %s", what, name, gnutls_strerror(r));
}

static TlsCreds *creds_new(const Json *o, TlsKind kind, Error **errp)
{
    const char *endpoint = json_get_string(o, "endpoint"), *priority = json_get_string(o, "priority"), *bad;
    TlsCreds *c = g_new0(TlsCreds, 1);

    c->refs = 1;
    c->kind = kind;
    c->server = endpoint && !strcmp(endpoint, "server");
    c->verify_peer = json_get_bool(o, "verify-peer", true);
    c->priority = g_strdup(priority);
    if (priority) {
        gnutls_priority_t p;

        if (gnutls_priority_init(&p, priority, &bad) < 0) {
            error_set(errp, "Unable to set TLS session priority '%s': not understood from '%s' on", priority, bad);
            tls_creds_unref(c);
            return NULL;
        }
        gnutls_priority_deinit(p);
    }
    return c;
}

static bool creds_add(Session *s, const char *id, TlsCreds *c, Error **errp)
{
    if (!session_add(s, &creds_kind, id, c, errp)) {
        tls_creds_unref(c);
        return false;
    }
    return true;
}

/* DIR/NAME; NULL when it is not there, with an error if it must be. */
static char *file_in(const Json *o, const char *name, bool must, Error **errp)
{
    const char *dir = json_get_string(o, "dir");
    g_autofree char *path = g_build_filename(dir ? dir : "", name, NULL);

    if (access(path, R_OK) == 0) {
        return g_steal_pointer(&path);
    }
    if (must) {
        error_set(errp, "Unable to access credentials %s: No such file or directory", path);
    }
    return NULL;
}

static bool load_dh(TlsCreds *c, const Json *o, Error **errp)
{
    g_autofree char *path = file_in(o, "dh-params.pem", false, NULL), *text = NULL;
    gnutls_datum_t d;
    gsize len;
    int r;

    if (!c->server || !path) {
        return true;                    /* the library has groups of its own */
    }
    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return error_set(errp, "Unable to read %s", path);
    }
    d = (gnutls_datum_t){ (unsigned char *)text, len };
    r = gnutls_dh_params_init(&c->dh);
    r = r < 0 ? r : gnutls_dh_params_import_pkcs3(c->dh, &d, GNUTLS_X509_FMT_PEM);
    return r < 0 ? tls_failed(r, "Unable to load DH parameters from", path, errp) : true;
}

/* ---- certificates ---- */

typedef struct {
    gnutls_x509_crt_t *list;
    unsigned n;
} Certs;

static void certs_free(Certs *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        gnutls_x509_crt_deinit(c->list[i]);
    }
    gnutls_free(c->list);
}

static bool certs_load(Certs *c, const char *path, Error **errp)
{
    g_autofree char *text = NULL;
    gnutls_datum_t d;
    gsize len;
    int r;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return error_set(errp, "Cannot load certificate list from %s", path);
    }
    d = (gnutls_datum_t){ (unsigned char *)text, len };
    r = gnutls_x509_crt_list_import2(&c->list, &c->n, &d, GNUTLS_X509_FMT_PEM, 0);
    return r < 0 ? tls_failed(r, "Unable to import certificate", path, errp) : true;
}

static bool check_times(gnutls_x509_crt_t crt, const char *path, Error **errp)
{
    time_t now = g_get_real_time() / G_USEC_PER_SEC;

    if (gnutls_x509_crt_get_expiration_time(crt) < now) {
        return error_set(errp, "The certificate %s has expired", path);
    }
    if (gnutls_x509_crt_get_activation_time(crt) > now) {
        return error_set(errp, "The certificate %s is not yet active", path);
    }
    return true;
}

static bool check_purpose(gnutls_x509_crt_t crt, const char *path, const char *wanted, const char *word, Error **errp)
{
    char oid[128];
    bool any = false;

    for (unsigned i = 0;; i++) {
        size_t n = sizeof(oid);

        if (gnutls_x509_crt_get_key_purpose_oid(crt, i, oid, &n, NULL) < 0) {
            break;
        }
        any = true;
        if (!strcmp(oid, wanted) || !strcmp(oid, GNUTLS_KP_ANY)) {
            return true;
        }
    }
    return any ? error_set(errp, "Certificate %s purpose does not allow use with a TLS %s", path, word) : true;
}

static bool check_issued(const Certs *own, const char *path, const Certs *ca, const char *ca_path, Error **errp)
{
    unsigned status = 0;
    int r = gnutls_x509_crt_list_verify(own->list, own->n, ca->list, ca->n, NULL, 0, 0, &status);

    return r < 0 || status ? error_set(errp, "Our own certificate %s failed validation against %s: %s", path, ca_path,
        r < 0 ? gnutls_strerror(r) : status & GNUTLS_CERT_SIGNER_NOT_FOUND ? "The certificate hasn't got a known issuer" : status & GNUTLS_CERT_REVOKED ?
        "The certificate has been revoked" : status & GNUTLS_CERT_INSECURE_ALGORITHM ? "The certificate uses an insecure algorithm" : "The certificate is not trusted") : true;
}

/* What would fail at the first connection is said now. */
static bool sanity_check(const TlsCreds *c, const char *ca_path, const char *cert_path, Error **errp)
{
    Certs ca = {}, own = {};
    bool ok = certs_load(&ca, ca_path, errp);

    for (unsigned i = 0; ok && i < ca.n; i++) {
        ok = check_times(ca.list[i], ca_path, errp);
        if (ok && gnutls_x509_crt_get_ca_status(ca.list[i], NULL) <= 0 && gnutls_x509_crt_get_version(ca.list[i]) >= 3) {
            ok = error_set(errp, "The certificate %s basic constraints do not show a CA", ca_path);
        }
    }
    if (ok && cert_path) {
        ok = certs_load(&own, cert_path, errp) && check_times(own.list[0], cert_path, errp) &&
             check_purpose(own.list[0], cert_path, c->server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, c->server ? "server" : "client", errp) &&
             check_issued(&own, cert_path, &ca, ca_path, errp);
    }
    certs_free(&ca);
    certs_free(&own);
    return ok;
}

static bool load_pair(Session *s, TlsCreds *c, const Json *o, const char *cert, const char *key, Error **errp)
{
    const char *secret = json_get_string(o, "passwordid");
    g_autofree char *password = NULL;
    int r;

    if (secret) {
        password = secret_get_text(s, secret, errp);
        if (!password) {
            return false;
        }
    }
    r = gnutls_certificate_set_x509_key_file2(c->x509, cert, key, GNUTLS_X509_FMT_PEM, password, 0);
    return r < 0 ? error_set(errp, "Cannot load certificate '%s' & key '%s': %s", cert, key, gnutls_strerror(r)) : true;
}

static bool load_x509(Session *s, TlsCreds *c, const Json *o, Error **errp)
{
    g_autofree char *ca = file_in(o, "ca-cert.pem", true, errp), *crl = file_in(o, "ca-crl.pem", false, NULL);
    g_autofree char *cert = ca ? file_in(o, c->server ? "server-cert.pem" : "client-cert.pem", c->server, errp) : NULL;
    g_autofree char *key = cert ? file_in(o, c->server ? "server-key.pem" : "client-key.pem", true, errp) : NULL;
    int r;

    if (!ca || (c->server && !cert) || (cert && !key) || !load_dh(c, o, errp)) {
        return false;
    }
    if (json_get_bool(o, "sanity-check", true) && !sanity_check(c, ca, cert, errp)) {
        return false;
    }
    gnutls_certificate_allocate_credentials(&c->x509);
    r = gnutls_certificate_set_x509_trust_file(c->x509, ca, GNUTLS_X509_FMT_PEM);
    if (r < 0) {
        return tls_failed(r, "Cannot load CA certificate", ca, errp);
    }
    if (cert && !load_pair(s, c, o, cert, key, errp)) {
        return false;
    }
    r = crl ? gnutls_certificate_set_x509_crl_file(c->x509, crl, GNUTLS_X509_FMT_PEM) : 0;
    if (r < 0) {
        return tls_failed(r, "Cannot load CRL", crl, errp);
    }
    if (c->dh) {
        gnutls_certificate_set_dh_params(c->x509, c->dh);
    }
    return true;
}

static bool create_x509(Session *s, const char *id, const Json *o, Error **errp)
{
    TlsCreds *c = creds_new(o, TLS_X509, errp);

    if (!c) {
        return false;
    }
    if (!json_get_string(o, "dir")) {
        tls_creds_unref(c);
        return error_set(errp, "Missing 'dir' property value");
    }
    if (!load_x509(s, c, o, errp)) {
        tls_creds_unref(c);
        return false;
    }
    return creds_add(s, id, c, errp);
}

/* ---- keys that both know ---- */

/* The key of `user` in a file of lines NAME:HEX. */
static char *psk_find(const char *path, const char *user, Error **errp)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t n = strlen(user);

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        error_set(errp, "Cannot read key file %s", path);
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (!strncmp(*l, user, n) && (*l)[n] == ':') {
            return g_strdup(g_strstrip(*l + n + 1));
        }
    }
    error_set(errp, "Username %s not found in PSK file %s", user, path);
    return NULL;
}

static bool load_psk(TlsCreds *c, const Json *o, Error **errp)
{
    const char *user = json_get_string(o, "username");
    g_autofree char *path = file_in(o, "keys.psk", true, errp), *key = NULL;
    gnutls_datum_t d;
    int r;

    if (!path || !load_dh(c, o, errp)) {
        return false;
    }
    if (c->server) {
        if (user) {
            return error_set(errp, "username should not be set when endpoint=server");
        }
        gnutls_psk_allocate_server_credentials(&c->psk_server);
        r = gnutls_psk_set_server_credentials_file(c->psk_server, path);
        return r < 0 ? tls_failed(r, "Cannot set PSK server credentials from", path, errp) : true;
    }
    user = user ? user : "qemu";        /* what both ends of such files call themselves */
    key = psk_find(path, user, errp);
    if (!key) {
        return false;
    }
    d = (gnutls_datum_t){ (unsigned char *)key, strlen(key) };
    gnutls_psk_allocate_client_credentials(&c->psk_client);
    r = gnutls_psk_set_client_credentials(c->psk_client, user, &d, GNUTLS_PSK_KEY_HEX);
    return r < 0 ? tls_failed(r, "Cannot set PSK client credentials from", path, errp) : true;
}

static bool create_psk(Session *s, const char *id, const Json *o, Error **errp)
{
    TlsCreds *c = creds_new(o, TLS_PSK, errp);

    if (!c) {
        return false;
    }
    if (!json_get_string(o, "dir") || !load_psk(c, o, errp)) {
        tls_creds_unref(c);
        return json_get_string(o, "dir") ? false : error_set(errp, "Missing 'dir' property value");
    }
    return creds_add(s, id, c, errp);
}

/* ---- nobody's ---- */

static bool create_anon(Session *s, const char *id, const Json *o, Error **errp)
{
    TlsCreds *c = creds_new(o, TLS_ANON, errp);

    if (!c) {
        return false;
    }
    if (!load_dh(c, o, errp)) {
        tls_creds_unref(c);
        return false;
    }
    if (c->server) {
        gnutls_anon_allocate_server_credentials(&c->anon_server);
        if (c->dh) {
            gnutls_anon_set_server_dh_params(c->anon_server, c->dh);
        }
    } else {
        gnutls_anon_allocate_client_credentials(&c->anon_client);
    }
    return creds_add(s, id, c, errp);
}

/* ---- rows ---- */

#define CREDS_KEYS \
    { "endpoint", OPT_ENUM, "which end this is for", .values = "client|server", .def = "client" }, { "dir", OPT_STRING, "folder of the files" }, \
    { "verify-peer", OPT_BOOL, "the other end needs a valid certificate", .def = "on" }, { "priority", OPT_STRING, "GnuTLS priority string" }
static const OptKey x509_keys[] = {
    CREDS_KEYS, { "passwordid", OPT_STRING, "secret that opens the key" }, { "sanity-check", OPT_BOOL, "look at the certificates now", .def = "on" }, {}
};
static const OptKey psk_keys[] = { CREDS_KEYS, { "username", OPT_STRING, "whose key the client uses", .def = "qemu" }, {} };
static const OptKey anon_keys[] = { CREDS_KEYS, {} };
static const OptVariant x509_options = { .group = "object", .name = "tls-creds-x509", .help = "TLS with certificates", .keys = x509_keys };
static const OptVariant psk_options = { .group = "object", .name = "tls-creds-psk", .help = "TLS with keys that both ends know", .keys = psk_keys };
static const OptVariant anon_options = { .group = "object", .name = "tls-creds-anon", .help = "TLS without identities", .keys = anon_keys };
static const SessionObject x509_type = { "tls-creds-x509", create_x509, &creds_kind }, psk_type = { "tls-creds-psk", create_psk, &creds_kind },
                           anon_type = { "tls-creds-anon", create_anon, &creds_kind };
OPT_VARIANT(x509_options);
OPT_VARIANT(psk_options);
OPT_VARIANT(anon_options);
SESSION_OBJECT(x509_type);
SESSION_OBJECT(psk_type);
SESSION_OBJECT(anon_type);
