/* SPDX-License-Identifier: MIT */
#ifndef NET_NET_PRIV_H
#define NET_NET_PRIV_H

#include <pthread.h>

#include "io/loop.h"
#include "net/net.h"

typedef struct NetFrame {
    struct NetFrame *next;
    size_t len;
    uint8_t data[];
} NetFrame;

struct NetPort {
    const NetOps *ops;
    void *opaque;
    char *id;
    Session *session;
    struct NetState *state;     /* of the session, or NULL */
    Loop *loop;
    NetPort *peer;              /* changes on the main loop under both locks */
    bool pulled;
    bool named;                 /* in the session under id */
    /* inbox */
    pthread_mutex_t lock;
    NetFrame *head, **tail;
    unsigned frames;
    size_t bytes;
    bool starved;               /* a sender was turned away */
    bool blocked;               /* receive() said not now */
    bool posted, dead;
    LoopPost post;
};

/* The session's own: MAC addresses given, hubs. */
typedef struct NetState {
    uint32_t macs;
    GPtrArray *hubs;
    GPtrArray *ports;           /* all */
} NetState;
NetState *net_state(Session *s);

/* A new port of hub `n`. */
NetPort *hub_port_new(Session *s, unsigned n, const char *id, Error **errp);
NetPort *net_user_new(Session *s, const char *id, const Json *opts, Error **errp);

#endif
