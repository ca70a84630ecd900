/* SPDX-License-Identifier: MIT */
/*
 * Networks: Ethernet frames between cards and back ends.
 *
 * A NetPort is one end of a cable: a card's, a back end's (-netdev user), or
 * one of a hub.  Two ports are joined by net_join(); a port without a peer
 * throws frames away.  Ports with an id belong to a Session.
 *
 * Threads.  net_send() is what cards call: any thread, device lock held.  It
 * copies the frame into the peer's inbox and wakes the main loop, which hands
 * the frames on with no lock held.  net_deliver() is what back ends call, on
 * the main loop.  receive() runs on the main loop without locks; a card passes
 * the frame through its InputPort (hw/core/inputs.h).
 *
 * Flow.  receive() may answer "not now": the frame stays first in the inbox
 * until the receiver calls net_ready().  net_send() answers false when the
 * inbox is full: the sender keeps its frame and gets resume() later.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "io/session.h"
#include "util/error.h"
#include "util/json.h"

typedef struct NetPort NetPort;

enum { NET_FRAME_MAX = 65536 + 64, NET_INBOX_FRAMES = 1024, NET_INBOX_BYTES = 4 << 20 };

typedef struct NetOps {
    const char *type;                           /* "user", "nic", "hubport" */
    bool (*receive)(NetPort *p, const uint8_t *frame, size_t len);      /* false: not now */
    void (*resume)(NetPort *p);                 /* main loop: the peer takes frames again; may be NULL */
    void (*link)(NetPort *p, bool up);          /* main loop: the cable was plugged or pulled; may be NULL */
    void (*info)(NetPort *p, GString *out);     /* "net=10.0.2.0,restrict=off" */
    void (*destroy)(NetPort *p);                /* what `opaque` holds */
    bool large_frames;                          /* takes TCP segments of up to 64 KiB in one frame */
    bool checksums_right;                       /* what it sends need not be checked again */
} NetOps;

/* ---- ports ---- */
NetPort *net_port_new(Session *s, const NetOps *ops, void *opaque, const char *id, Error **errp);
void net_port_free(NetPort *p);                 /* takes the cable off */
void *net_port_opaque(const NetPort *p);
const char *net_port_id(const NetPort *p);
const NetOps *net_port_ops(const NetPort *p);
NetPort *net_port_find(Session *s, const char *id);
NetPort *net_port_peer(const NetPort *p);
void net_join(NetPort *a, NetPort *b);
void net_part(NetPort *p);
void net_ports_foreach(Session *s, void (*fn)(NetPort *p, void *data), void *data);

/* ---- frames ---- */
/* From a card: any thread, its lock held.  False: the peer's inbox is full, resume() will follow. */
bool net_send(NetPort *from, const struct iovec *iov, unsigned n);
/* From a back end on the main loop, no locks. */
void net_deliver(NetPort *from, const uint8_t *frame, size_t len);
/* The receiver can take frames again: any thread, locks held. */
void net_ready(NetPort *p);

/* ---- link ---- */
bool net_link_up(const NetPort *p);             /* neither end is pulled, and there is a peer */
/* `set_link ID on|off`: pulls the cable at this port; its peer sees it too. */
void net_set_link(NetPort *p, bool up);

/* ---- back ends by option (-netdev, netdev_add) ---- */
/* From an object of option group "netdev". */
bool netdev_add(Session *s, const Json *opts, Error **errp);
bool netdev_del(Session *s, const char *id, Error **errp);
/* For a card's property: there, and without a card. `owner` is "virtio-net-pci.netdev" for the message. */
NetPort *netdev_for_card(Session *s, const char *owner, const char *id, Error **errp);
/* user: "tcp::2222-:22"; the words of hostfwd_add and hostfwd_remove. */
bool net_user_hostfwd(NetPort *p, const char *rule, Error **errp);
bool net_user_hostfwd_remove(NetPort *p, const char *rule, Error **errp);

/* What `info usernet` shows; NULL when p is no user network.  Caller frees. */
char *net_user_connections(NetPort *p);

/* ---- cards by option (-nic, -net) ---- */
typedef struct NetCards NetCards;
NetCards *net_cards_new(Session *s);
void net_cards_free(NetCards *c);
/* Objects of the groups "nic" and "net". */
bool net_cards_nic(NetCards *c, const Json *opts, Error **errp);
bool net_cards_net(NetCards *c, const Json *opts, Error **errp);
/* -netdev was given: there is no default card. */
void net_cards_netdev_seen(NetCards *c);
/* -nodefaults */
void net_cards_no_default(NetCards *c);
/*
 * What MachineConfig.nics takes, NULL at the end; owned by c.  Adds the default
 * card of `model` with a user network behind hub 0 when nothing was asked for.
 */
const char *const *net_cards_list(NetCards *c, const char *model, Error **errp);

/* ---- addresses ---- */
bool net_mac_parse(const char *text, uint8_t mac[6]);
/* 52:54:00:12:34:56 and up, one for each card that was given none. */
void net_mac_next(Session *s, uint8_t mac[6]);
/* "netdev n has no peer" and the like, one line each, for after the devices are made. */
void net_warnings(Session *s, GString *out);

#endif
