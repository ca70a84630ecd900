/* SPDX-License-Identifier: MIT */
/*
 * The client's half of the handshake: a link to one export of a server, or
 * the list of what a server has.  Fiber only.
 *
 * Everything that a server says is checked against the protocol; what does not
 * fit ends the link with an error.
 */
#ifndef BLOCK_NBD_CLIENT_H
#define BLOCK_NBD_CLIENT_H

#include "io/socket.h"
#include "io/stream.h"
#include "io/tls.h"

typedef struct NbdInfo {
    char *name;
    char *description;                  /* NULL: none */
    uint64_t size;
    uint16_t flags;
    uint32_t min_block, pref_block, max_block;      /* 0: not said */
    GPtrArray *contexts;                /* names; of a list only */
} NbdInfo;
void nbd_info_clear(NbdInfo *i);

typedef struct NbdLinkConfig {
    const SocketAddress *address;
    TlsCreds *creds;                    /* NULL: no TLS */
    const char *hostname;               /* for the certificate */
    const char *export_name;
    const char *context;                /* to be selected, if the server has it */
} NbdLinkConfig;

typedef struct NbdLink {
    Stream *stream;                     /* set as soon as it is connected, so that another fiber can shut it down */
    NbdInfo info;
    bool structured, extended;
    bool has_context;
    uint32_t context_id;
    bool fixed, no_zeroes;
} NbdLink;

/* Connect and choose the export; on failure the link is closed. */
bool nbd_link_open(NbdLink *l, const NbdLinkConfig *c, Error **errp);
void nbd_link_close(NbdLink *l);        /* frees; nobody waits on the stream */
/* All exports with what is known of them: an array of NbdInfo, freed with g_ptr_array_free(list, true). */
GPtrArray *nbd_link_list(const NbdLinkConfig *c, bool *extended, Error **errp);

#endif
