/* SPDX-License-Identifier: MIT */
/* Credentials and sessions with GnuTLS: shared by io/tls-creds.c and io/tls-gnutls.c. */
#ifndef IO_TLS_PRIV_H
#define IO_TLS_PRIV_H

#include <gnutls/gnutls.h>

#include "io/tls.h"

typedef enum { TLS_X509, TLS_PSK, TLS_ANON } TlsKind;

struct TlsCreds {
    TlsKind kind;
    bool server;
    bool verify_peer;
    unsigned refs;                      /* atomic */
    char *priority;                     /* NULL: the library's own */
    gnutls_certificate_credentials_t x509;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_anon_server_credentials_t anon_server;
    gnutls_anon_client_credentials_t anon_client;
    gnutls_dh_params_t dh;
};

#endif
