/* SPDX-License-Identifier: MIT */
/* Back ends by option: -netdev, netdev_add; those that are not here are refused by name. */
#include "net/net-priv.h"

#include <string.h>

#include "util/options.h"

#define NOT_HERE(ident, n) \
    static const OptVariant ident##_variant = { .group = "netdev", .name = n, .open = true, \
        .absent = "this program has user networking and hubs; use -netdev user" }; \
    OPT_VARIANT(ident##_variant)

NOT_HERE(tap, "tap");
NOT_HERE(bridge, "bridge");
NOT_HERE(socket, "socket");
NOT_HERE(stream, "stream");
NOT_HERE(dgram, "dgram");
NOT_HERE(l2tpv3, "l2tpv3");
NOT_HERE(vde, "vde");
NOT_HERE(vhost_user, "vhost-user");
NOT_HERE(vhost_vdpa, "vhost-vdpa");

static bool hubport_add(Session *s, const char *id, const Json *opts, Error **errp)
{
    const char *behind = json_get_string(opts, "netdev");
    NetPort *back = NULL, *p;

    if (behind) {
        back = net_port_find(s, behind);
        if (!back) {
            return error_set(errp, "netdev '%s' not found", behind);
        }
        if (back->peer) {
            return error_set(errp, "netdev '%s' is in use", behind);
        }
    }
    p = hub_port_new(s, (unsigned)json_get_u64(opts, "hubid", 0), id, errp);
    if (p && back) {
        net_join(p, back);
    }
    return p != NULL;
}

bool netdev_add(Session *s, const Json *opts, Error **errp)
{
    const char *type = json_get_string(opts, "type"), *id = json_get_string(opts, "id");

    if (!strcmp(type, "user")) {
        return net_user_new(s, id, opts, errp) != NULL;
    }
    if (!strcmp(type, "hubport")) {
        return hubport_add(s, id, opts, errp);
    }
    return error_set(errp, "Parameter 'type' does not accept value '%s'", type);
}

bool netdev_del(Session *s, const char *id, Error **errp)
{
    NetPort *p = net_port_find(s, id);

    if (!p) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    net_port_free(p);
    return true;
}

NetPort *netdev_for_card(Session *s, const char *owner, const char *id, Error **errp)
{
    NetPort *p = s ? net_port_find(s, id) : NULL;

    if (!p) {
        error_set(errp, "Property '%s' can't find value '%s'", owner, id);
        return NULL;
    }
    if (p->peer) {
        error_set(errp, "Property '%s' can't take value '%s', it's in use", owner, id);
        return NULL;
    }
    return p;
}

static void warn_port(NetPort *p, void *data)
{
    GString *out = data;

    if (!p->peer && p->named) {
        if (!strcmp(p->ops->type, "hubport")) {
            g_string_append_printf(out, "hub port %s has no peer\n", p->id);
        }
        g_string_append_printf(out, "netdev %s has no peer\n", p->id);
    } else if (!p->peer) {
        g_string_append_printf(out, "nic %s has no peer\n", p->id);
    }
}

void net_warnings(Session *s, GString *out)
{
    net_ports_foreach(s, warn_port, out);
}
