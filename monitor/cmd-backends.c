/* SPDX-License-Identifier: MIT */
/* Disks and networks. */
#include "monitor/command.h"

#include <string.h>

#include "block/block.h"
#include "net/net.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

/* ---- disks ---- */

static bool flush_run(MonCall *call, Error **errp)
{
    int ret = blk_flush_all(call->system->session);

    return !ret || error_set_errno(errp, -ret, "flush");
}
COMMAND(flush_command, .name = "flush", .help = "write what disks hold back to the host's files", .waits = true, .run = flush_run);

/* ---- networks ---- */

static void print_port(GString *out, const char *lead, NetPort *p)
{
    g_string_append_printf(out, "%s%s: index=0,type=%s", lead, net_port_id(p), net_port_ops(p)->type);
    if (net_port_ops(p)->info) {
        g_string_append_c(out, ',');
        net_port_ops(p)->info(p, out);
    }
    g_string_append_c(out, '\n');
}

static bool is_type(NetPort *p, const char *type)
{
    return !strcmp(net_port_ops(p)->type, type);
}

/* Cards with what they are joined to, then back ends without a card; a hub's ports are shown by the ends of their cables. */
static void print_card(NetPort *p, void *data)
{
    if (is_type(p, "nic")) {
        print_port(data, "", p);
        if (net_port_peer(p)) {
            print_port(data, " \\ ", net_port_peer(p));
        }
    }
}

static void print_other(NetPort *p, void *data)
{
    NetPort *peer = net_port_peer(p);

    if (!is_type(p, "nic") && !is_type(p, "hubport") && !(peer && is_type(peer, "nic"))) {
        print_port(data, "", p);
        if (peer) {
            print_port(data, " \\ ", peer);
        }
    }
}

static bool network_run(MonCall *call, Error **errp)
{
    net_ports_foreach(call->system->session, print_card, call->out);
    net_ports_foreach(call->system->session, print_other, call->out);
    return true;
}
COMMAND(network_command, .name = "info network", .help = "show the network state", .run = network_run);

static bool set_link_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "name");
    NetPort *p = net_port_find(call->system->session, name);

    if (!p) {
        return error_set(errp, "Device '%s' not found", name);
    }
    net_set_link(p, !strcmp(json_get_string(call->args, "up"), "on"));
    return true;
}
static const OptKey set_link_keys[] = { { "name", OPT_STRING, .must = true }, { "up", OPT_ENUM, .values = "on|off", .must = true }, {} };
COMMAND(set_link_command, .name = "set_link", .params = "name on|off", .help = "change the link status of a network adapter",
        .keys = set_link_keys, .run = set_link_run);

/* The only user network, or the one that is named. */
static void first_user(NetPort *p, void *data)
{
    if (is_type(p, "user") && !*(NetPort **)data) {
        *(NetPort **)data = p;
    }
}

static NetPort *user_port(MonCall *call, const char **rule, Error **errp)
{
    const char *a = json_get_string(call->args, "arg1"), *b = json_get_string(call->args, "arg2");
    NetPort *p = NULL;

    *rule = b ? b : a;
    if (b) {
        p = net_port_find(call->system->session, a);
    } else {
        net_ports_foreach(call->system->session, first_user, &p);
    }
    if (!p || !is_type(p, "user")) {
        error_set(errp, b ? "unrecognized netdev id '%s'" : "user mode network stack not in use", a);
        return NULL;
    }
    return p;
}

static bool hostfwd_add_run(MonCall *call, Error **errp)
{
    const char *rule;
    NetPort *p = user_port(call, &rule, errp);

    return p && net_user_hostfwd(p, rule, errp);
}

static bool hostfwd_remove_run(MonCall *call, Error **errp)
{
    const char *rule;
    NetPort *p = user_port(call, &rule, errp);

    if (!p || !net_user_hostfwd_remove(p, rule, errp)) {
        return false;
    }
    g_string_append_printf(call->out, "host forwarding rule for %s removed\n", rule);
    return true;
}
static const OptKey hostfwd_keys[] = { { "arg1", OPT_STRING, .must = true }, { "arg2", OPT_STRING }, {} };
COMMAND(hostfwd_add_command, .name = "hostfwd_add", .params = "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
        .help = "redirect TCP or UDP connections from host to guest", .keys = hostfwd_keys, .run = hostfwd_add_run);
COMMAND(hostfwd_remove_command, .name = "hostfwd_remove", .params = "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
        .help = "remove host-to-guest TCP or UDP redirection", .keys = hostfwd_keys, .run = hostfwd_remove_run);
