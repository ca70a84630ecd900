/* SPDX-License-Identifier: MIT */
#ifndef NET_USER_PRIV_H
#define NET_USER_PRIV_H

#include <netinet/in.h>
#include <slirp/libslirp.h>

#include "net/net-priv.h"

typedef struct UserPoll {
    int fd;
    int events, revents;        /* SLIRP_POLL_ */
    LoopFd *watch;
    void *ready;                /* what the watch is told */
} UserPoll;

typedef struct NetUser {
    NetPort *port;
    Slirp *slirp;
    Loop *loop;
    GArray *polls;              /* UserPoll, in the order of the last fill */
    LoopTimer timeout;
    LoopPost post;
    bool posted, inside, dead;
    bool restricted;
    struct in_addr net;
} NetUser;

/* Settings from options; strings stay the options'. */
bool user_config(const Json *opts, SlirpConfig *cfg, Error **errp);
typedef struct HostFwd {
    bool udp;
    struct in_addr host, guest;
    int host_port, guest_port;
} HostFwd;
bool hostfwd_parse(const char *rule, bool with_guest, HostFwd *f, Error **errp);

void user_loop_init(NetUser *u);
extern const SlirpCb user_callbacks;
/* Something has happened in slirp: look at its descriptors and timeouts again. */
void user_refill(NetUser *u);
void user_polls_clear(NetUser *u);

#endif
