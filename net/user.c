/* SPDX-License-Identifier: MIT */
/* -netdev user: a network that ends in the host's sockets, by libslirp. */
#include "net/user-priv.h"

#include <arpa/inet.h>
#include <string.h>

static bool user_receive(NetPort *p, const uint8_t *frame, size_t len)
{
    NetUser *u = p->opaque;

    slirp_input(u->slirp, frame, (int)len);
    user_refill(u);
    return true;
}

static void user_info(NetPort *p, GString *out)
{
    NetUser *u = p->opaque;

    g_string_append_printf(out, "net=%s,restrict=%s", inet_ntoa(u->net), u->restricted ? "on" : "off");
}

static void user_destroy(NetPort *p)
{
    NetUser *u = p->opaque;

    if (u->slirp) {
        slirp_cleanup(u->slirp);
    }
    user_polls_clear(u);
    g_array_free(u->polls, TRUE);
    loop_timer_cancel(&u->timeout);
    u->dead = true;
    if (!u->posted) {
        g_free(u);
    }
}

static const NetOps user_ops = { .type = "user", .receive = user_receive, .info = user_info, .destroy = user_destroy,
                                   .large_frames = true, .checksums_right = true };

static bool forward(NetUser *u, const char *rule, Error **errp)
{
    HostFwd f;

    if (!hostfwd_parse(rule, true, &f, errp)) {
        return false;
    }
    if (slirp_add_hostfwd(u->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) < 0) {
        return error_set(errp, "Could not set up host forwarding rule '%s'", rule);
    }
    user_refill(u);
    return true;
}

NetPort *net_user_new(Session *s, const char *id, const Json *opts, Error **errp)
{
    const Json *rules = json_get(opts, "hostfwd");
    NetUser *u;
    SlirpConfig cfg;
    bool ok = user_config(opts, &cfg, errp);

    if (!ok) {
        return NULL;
    }
    u = g_new0(NetUser, 1);
    u->loop = loop_current();
    u->net = cfg.vnetwork;
    u->restricted = cfg.restricted;
    user_loop_init(u);
    u->port = net_port_new(s, &user_ops, u, id, errp);
    if (u->port) {
        u->slirp = slirp_new(&cfg, &user_callbacks, u);
        for (unsigned i = 0; rules && i < json_size(rules) && ok; i++) {
            ok = forward(u, json_as_string(json_at(rules, i)), errp);
        }
    } else {
        g_array_free(u->polls, TRUE);
        g_free(u);
        g_free(cfg.vdnssearch);
        return NULL;
    }
    g_free(cfg.vdnssearch);
    if (!ok) {
        net_port_free(u->port);
        return NULL;
    }
    user_refill(u);
    return u->port;
}

static NetUser *user_of(NetPort *p, Error **errp)
{
    if (p->ops != &user_ops) {
        error_set(errp, "'%s' is no user network", p->id);
        return NULL;
    }
    return p->opaque;
}

bool net_user_hostfwd(NetPort *p, const char *rule, Error **errp)
{
    NetUser *u = user_of(p, errp);

    return u && forward(u, rule, errp);
}

bool net_user_hostfwd_remove(NetPort *p, const char *rule, Error **errp)
{
    NetUser *u = user_of(p, errp);
    HostFwd f;

    if (!u || !hostfwd_parse(rule, false, &f, errp)) {
        return false;
    }
    if (slirp_remove_hostfwd(u->slirp, f.udp, f.host, f.host_port) < 0) {
        return error_set(errp, "host forwarding rule for %s not found", rule);
    }
    user_refill(u);
    return true;
}

char *net_user_connections(NetPort *p)
{
    NetUser *u = p->ops == &user_ops ? p->opaque : NULL;

    return u ? slirp_connection_info(u->slirp) : NULL;
}
