/* SPDX-License-Identifier: MIT */
/* TLS streams with GnuTLS. */
#include "io/tls-priv.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/stream-priv.h"

enum { RECORD = 16 * 1024 };

typedef struct {
    Stream base;
    gnutls_session_t session;
    TlsCreds *creds;
    size_t pending;                     /* bytes of a record that the library holds and could not send */
    bool shaken;
    uint8_t record[RECORD];
} TlsStream;

/* ---- bytes ---- */

static ssize_t result(ssize_t r)
{
    switch (r) {
    case GNUTLS_E_AGAIN:
    case GNUTLS_E_INTERRUPTED:
        return -EAGAIN;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return -ECONNABORTED;
    }
    return r < 0 ? -EIO : r;
}

static ssize_t tls_readv(Stream *s, const struct iovec *iov, unsigned n)
{
    TlsStream *t = (TlsStream *)s;
    ssize_t done = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t at = 0;

        while (at < iov[i].iov_len) {
            ssize_t r;

            if (done && !gnutls_record_check_pending(t->session)) {
                return done;
            }
            do {
                r = gnutls_record_recv(t->session, (char *)iov[i].iov_base + at, iov[i].iov_len - at);
            } while (r == GNUTLS_E_INTERRUPTED);
            if (r <= 0) {
                return done ? done : result(r);
            }
            at += r;
            done += r;
        }
    }
    return done;
}

static size_t fill_record(TlsStream *t, const struct iovec *iov, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n && len < RECORD; i++) {
        size_t now = MIN(iov[i].iov_len, RECORD - len);

        memcpy(t->record + len, iov[i].iov_base, now);
        len += now;
    }
    return len;
}

/* One record a call: pieces travel together.  A caller that was told -EAGAIN comes back with the same bytes. */
static ssize_t tls_writev(Stream *s, const struct iovec *iov, unsigned n)
{
    TlsStream *t = (TlsStream *)s;
    size_t len = t->pending;
    ssize_t r;

    if (!len) {
        len = fill_record(t, iov, n);
        if (!len) {
            return 0;
        }
    }
    do {
        r = t->pending ? gnutls_record_send(t->session, NULL, 0) : gnutls_record_send(t->session, t->record, len);
        t->pending = r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED ? len : 0;
    } while (r == GNUTLS_E_INTERRUPTED);
    return r < 0 ? result(r) : (ssize_t)len;
}

static bool tls_pending(Stream *s)
{
    return gnutls_record_check_pending(((TlsStream *)s)->session);
}

static void tls_shutdown(Stream *s, bool write_only)
{
    TlsStream *t = (TlsStream *)s;

    if (t->shaken && !t->pending) {
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
    }
    shutdown(s->out, write_only ? SHUT_WR : SHUT_RDWR);
}

static void tls_close(Stream *s)
{
    TlsStream *t = (TlsStream *)s;

    if (t->shaken && !t->pending && !s->down) {
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
    }
    gnutls_deinit(t->session);
    tls_creds_unref(t->creds);
    close(s->in);
}

static const StreamOps tls_ops = { .readv = tls_readv, .writev = tls_writev, .pending = tls_pending, .shutdown = tls_shutdown, .close = tls_close };

/* ---- set-up ---- */

static bool failed(int r, const char *what, Error **errp)
{
    return error_set(errp, "%s: %s", what, gnutls_strerror(r));
}

static int set_credentials(gnutls_session_t session, const TlsCreds *c)
{
    switch (c->kind) {
    case TLS_X509:
        gnutls_certificate_server_set_request(session, c->verify_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
        return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->x509);
    case TLS_PSK:
        return gnutls_credentials_set(session, GNUTLS_CRD_PSK, c->server ? (void *)c->psk_server : (void *)c->psk_client);
    case TLS_ANON:
        return gnutls_credentials_set(session, GNUTLS_CRD_ANON, c->server ? (void *)c->anon_server : (void *)c->anon_client);
    }
    return GNUTLS_E_INVALID_REQUEST;
}

static bool set_up(TlsStream *t, const TlsCreds *c, int fd, const char *hostname, Error **errp)
{
    static const char *const extra[] = { [TLS_X509] = "", [TLS_PSK] = ":+ECDHE-PSK:+DHE-PSK:+PSK", [TLS_ANON] = ":-VERS-TLS1.3:+ANON-ECDH:+ANON-DH" };
    g_autofree char *priority = g_strconcat(c->priority ? c->priority : "NORMAL", extra[c->kind], NULL);
    int r = gnutls_init(&t->session, (c->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    if (r < 0) {
        t->session = NULL;
        return failed(r, "Cannot initialize TLS session", errp);
    }
    r = gnutls_priority_set_direct(t->session, priority, NULL);
    r = r < 0 ? r : set_credentials(t->session, c);
    if (r < 0) {
        return failed(r, "Cannot set TLS session credentials", errp);
    }
    if (hostname && c->kind == TLS_X509) {
        gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, hostname, strlen(hostname));
    }
    gnutls_transport_set_int(t->session, fd);
    return true;
}

static bool shake_hands(TlsStream *t, Error **errp)
{
    for (;;) {
        int r = gnutls_handshake(t->session);

        if (r == 0) {
            t->shaken = true;
            return true;
        }
        if (r == GNUTLS_E_AGAIN) {
            stream_wait(&t->base, gnutls_record_get_direction(t->session) ? LOOP_WRITE : LOOP_READ);
        } else if (r == GNUTLS_E_FATAL_ALERT_RECEIVED) {
            return error_set(errp, "TLS handshake failed: %s: %s", gnutls_strerror(r), gnutls_alert_get_name(gnutls_alert_get(t->session)));
        } else if (gnutls_error_is_fatal(r)) {
            gnutls_alert_send_appropriate(t->session, r);
            return failed(r, "TLS handshake failed", errp);
        }
    }
}

/* ---- who is there ---- */

static const char *why_not(unsigned status)
{
    return status & GNUTLS_CERT_SIGNER_NOT_FOUND ? "The certificate hasn't got a known issuer" : status & GNUTLS_CERT_REVOKED ? "The certificate has been revoked" :
           status & GNUTLS_CERT_EXPIRED ? "The certificate has expired" : status & GNUTLS_CERT_NOT_ACTIVATED ? "The certificate is not yet active" :
           status & GNUTLS_CERT_INSECURE_ALGORITHM ? "The certificate uses an insecure algorithm" : "The certificate is not trusted";
}

static bool check_name(gnutls_session_t session, const char *hostname, char **identity, Error **errp)
{
    unsigned n = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
    gnutls_datum_t dn = {};
    gnutls_x509_crt_t crt;
    bool ok = true;

    if (!list || gnutls_x509_crt_init(&crt) < 0) {
        return error_set(errp, "No certificate peers");
    }
    if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) < 0) {
        ok = error_set(errp, "The peer's certificate cannot be read");
    } else if (hostname && !gnutls_x509_crt_check_hostname(crt, hostname)) {
        ok = error_set(errp, "Certificate does not match the hostname %s", hostname);
    } else if (gnutls_x509_crt_get_dn3(crt, &dn, 0) >= 0) {
        *identity = g_strndup((char *)dn.data, dn.size);
        gnutls_free(dn.data);
    }
    gnutls_x509_crt_deinit(crt);
    return ok;
}

static bool check_peer(TlsStream *t, const TlsCreds *c, const char *hostname, char **identity, Error **errp)
{
    unsigned status = 0;
    int r;

    if (c->kind == TLS_PSK && c->server) {
        *identity = g_strdup(gnutls_psk_server_get_username(t->session));
    }
    if (c->kind != TLS_X509 || !c->verify_peer) {
        return true;
    }
    r = gnutls_certificate_verify_peers2(t->session, &status);
    if (r < 0) {
        return failed(r, "Verify failed", errp);
    }
    if (!status && !c->server && !hostname) {
        return error_set(errp, "No hostname for certificate validation");
    }
    return status ? error_set(errp, "%s", why_not(status)) : check_name(t->session, c->server ? NULL : hostname, identity, errp);
}

static bool check_authz(const TlsAuthz *authz, const char *identity, Error **errp)
{
    if (!authz) {
        return true;
    }
    return identity ? tls_authz_allows(authz, identity, errp) : error_set(errp, "TLS x509 authz check for a client without a certificate is denied");
}

/* ---- the two ends ---- */

static Stream *start(Stream *under, TlsCreds *c, const char *hostname, const TlsAuthz *authz, Error **errp)
{
    int fd = dup(stream_fd(under));
    g_autofree char *identity = NULL;
    TlsStream *t;

    if (fd < 0) {
        error_set_errno(errp, errno, "no descriptor for TLS");
        return NULL;
    }
    t = g_new0(TlsStream, 1);
    t->creds = tls_creds_ref(c);
    stream_init(&t->base, &tls_ops, fd, fd);
    if (set_up(t, c, fd, hostname, errp) && shake_hands(t, errp)) {
        if (check_peer(t, c, hostname, &identity, errp) && check_authz(authz, identity, errp)) {
            stream_free(under);
            return &t->base;
        }
        gnutls_alert_send(t->session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
        t->shaken = false;
    }
    if (!t->session) {
        gnutls_init(&t->session, GNUTLS_CLIENT);
    }
    stream_free(&t->base);
    stream_shutdown(under);
    return NULL;
}

Stream *tls_server(Stream *under, TlsCreds *creds, const TlsAuthz *authz, Error **errp)
{
    assert(creds->server);
    return start(under, creds, NULL, authz, errp);
}

Stream *tls_client(Stream *under, TlsCreds *creds, const char *hostname, Error **errp)
{
    assert(!creds->server);
    return start(under, creds, hostname, NULL, errp);
}
