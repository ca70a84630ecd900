/* SPDX-License-Identifier: MIT */
/*
 * TLS over a stream, with credentials that are objects of the session:
 *
 *   tls-creds-x509,id=,endpoint=server|client,dir=,verify-peer=,priority=,passwordid=,sanity-check=
 *       dir holds ca-cert.pem, ca-crl.pem (if any), server-cert.pem, server-key.pem,
 *       client-cert.pem, client-key.pem (a client's are not needed), dh-params.pem (not needed)
 *   tls-creds-psk,id=,endpoint=,dir=,username=,priority=      dir holds keys.psk, lines NAME:HEX
 *   tls-creds-anon,id=,endpoint=,priority=                    no identity at all: only for tests
 *   authz-simple,id=,identity=       authz-list,id=,policy=,rules.N.match=,rules.N.policy=,rules.N.format=
 *   authz-list-file,id=,filename=    the same rules as JSON
 *
 * Credentials are counted: a connection keeps what it was made with.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "io/object.h"
#include "io/stream.h"

typedef struct TlsCreds TlsCreds;
typedef struct TlsAuthz TlsAuthz;

/* The object `id`; refused when it is none, or for the other end.  A reference of the caller's. */
TlsCreds *tls_creds_get(Session *s, const char *id, bool server, Error **errp);
TlsCreds *tls_creds_ref(TlsCreds *c);
void tls_creds_unref(TlsCreds *c);                      /* NULL is fine */

/* The object `id`, borrowed from the session. */
const TlsAuthz *tls_authz_get(Session *s, const char *id, Error **errp);
/* May the holder of a certificate with this name (or PSK user) come in? */
bool tls_authz_allows(const TlsAuthz *a, const char *identity, Error **errp);

/*
 * Shake hands over a stream; fiber only.  On success `under` is taken over and
 * gone; on failure it stays the caller's, of no more use.  The server checks a
 * certificate when its credentials say so, and its name against authz (NULL:
 * any).  The client checks the server's certificate and that it is `hostname`'s
 * (anon and psk have none, NULL is fine there and with verify-peer=off).
 */
Stream *tls_server(Stream *under, TlsCreds *creds, const TlsAuthz *authz, Error **errp);
Stream *tls_client(Stream *under, TlsCreds *creds, const char *hostname, Error **errp);

#endif
