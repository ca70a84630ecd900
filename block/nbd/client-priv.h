/* SPDX-License-Identifier: MIT */
/*
 * Inside of the NBD driver.
 *
 * A connection lives on its home loop, the one that opened the node; requests
 * of other loops hop there.  So nothing here is locked.  A request (NbdCall)
 * waits in its own fiber; calls made in one turn of the loop are sent together,
 * and one fiber reads all answers.
 *
 * When the connection breaks, all calls under way are taken back.  With
 * reconnect-delay they are made again on the next connection, and new ones
 * wait for it, until the delay is over; without, they fail with -EIO.  A fiber
 * tries to connect all the while.
 */
#ifndef BLOCK_NBD_CLIENT_PRIV_H
#define BLOCK_NBD_CLIENT_PRIV_H

#include "block/driver.h"
#include "block/nbd/client.h"

enum { NBD_CALLS_MAX = 64, NBD_REPLY_BUFFER = 32 << 10 };

typedef struct NbdClient NbdClient;

typedef struct NbdCall {
    uint16_t cmd, flags;
    uint64_t off, len;
    BlkVec v;                           /* read: where to; write: what */
    /* answers */
    uint64_t got;                       /* bytes of a read */
    uint64_t piece;                     /* of block status: the first extent */
    uint64_t state;
    bool has_status;
    /* inside */
    Fiber *fiber;
    uint64_t cookie;
    struct NbdCall *next;               /* of those to be sent */
    size_t sent;                        /* bytes of header and data */
    unsigned head_len;
    uint8_t head[32];
    int result;
    bool done, lost;
} NbdCall;

typedef enum { NBD_UP, NBD_WAIT, NBD_DOWN } NbdState;

struct NbdClient {
    unsigned refs;                      /* the node, fibers; of the home loop */
    Loop *home;
    /* as asked for */
    SocketAddress *address;
    char *export_name, *hostname, *context;
    TlsCreds *creds;
    int64_t reconnect_delay, open_timeout;      /* ns */
    /* as the server said, at the first connection */
    uint64_t size;
    uint32_t min_block;
    /* now */
    NbdState state;
    bool quit;
    bool reconnecting;                  /* a fiber tries to connect */
    NbdLink link;
    NbdLink *trying;                    /* of the fiber that connects */
    unsigned users;                     /* fibers that use the link's stream */
    FiberQueue waiting;                 /* calls without a slot or connection */
    NbdCall *slots[NBD_CALLS_MAX];
    unsigned busy;
    uint64_t serial;
    NbdCall *out, **out_last;
    bool sending, flush_posted;
    LoopPost flush;
    LoopTimer give_up;                  /* WAIT becomes DOWN */
    Fiber *napper;                      /* between two attempts */
    LoopTimer nap;
};

/* client-uri.c */
bool nbd_parse_filename(const char *name, Json *options, Error **errp);
SocketAddress *nbd_address_from_options(Session *s, Json *o, Error **errp);
char *nbd_uri(const SocketAddress *a, const char *export_name, bool tls);     /* as it is printed; NULL: has none */

/* client-io.c; on the home loop */
int nbd_call(NbdClient *c, NbdCall *call);      /* fiber only; 0 or -errno */
bool nbd_connect_first(NbdClient *c, Error **errp);     /* fiber only; then nbd_connected() */
void nbd_connected(NbdClient *c);
void nbd_disconnect(NbdClient *c);              /* fiber only; for good */
void nbd_client_unref(NbdClient *c);

#endif
