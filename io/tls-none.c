/* SPDX-License-Identifier: MIT */
#include "io/tls.h"

#define REASON "built without TLS; install libgnutls28-dev"

TlsCreds *tls_creds_get(Session *s, const char *id, bool server, Error **errp)
{
    error_set(errp, REASON);
    return NULL;
}

TlsCreds *tls_creds_ref(TlsCreds *c)
{
    return c;
}

void tls_creds_unref(TlsCreds *c)
{
}

Stream *tls_server(Stream *under, TlsCreds *creds, const TlsAuthz *authz, Error **errp)
{
    error_set(errp, REASON);
    return NULL;
}

Stream *tls_client(Stream *under, TlsCreds *creds, const char *hostname, Error **errp)
{
    error_set(errp, REASON);
    return NULL;
}

#define ABSENT(row, word) \
    static const OptVariant row = { .group = "object", .name = word, .absent = REASON, .open = true }; \
    OPT_VARIANT(row)
ABSENT(absent_x509, "tls-creds-x509");
ABSENT(absent_psk, "tls-creds-psk");
ABSENT(absent_anon, "tls-creds-anon");
