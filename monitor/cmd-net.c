/* SPDX-License-Identifier: MIT */
/* Networks: info network, info usernet, set_link, netdev_add, netdev_del, hostfwd_add, hostfwd_remove. */
#include "monitor/command.h"

#include <string.h>

#include "net/net.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

/* ---- info ---- */

static void port_line(NetPort *p, GString *out)
{
    const NetOps *ops = net_port_ops(p);

    g_string_append_printf(out, "%s: index=0,type=%s", net_port_id(p), ops->type);
    if (ops->info) {
        g_string_append_c(out, ',');
        ops->info(p, out);
    }
    g_string_append_c(out, '\n');
}

static bool is_hub(NetPort *p)
{
    return !strcmp(net_port_ops(p)->type, "hubport");
}

static bool is_card(NetPort *p)
{
    return !strcmp(net_port_ops(p)->type, "nic");
}

/* The newest first. */
static void hub_line(NetPort *p, void *data)
{
    g_autoptr(GString) line = g_string_new(NULL);

    if (!is_hub(p)) {
        return;
    }
    g_string_append_printf(line, " \\ %s", net_port_id(p) + (net_port_id(p)[0] == '#'));
    if (net_port_peer(p)) {
        g_string_append(line, ": ");
        port_line(net_port_peer(p), line);
    } else {
        g_string_append_c(line, '\n');
    }
    g_string_prepend(data, line->str);
}

/* A card with what it is joined to, a back end without a card. */
static void plain_line(NetPort *p, void *data)
{
    NetPort *peer = net_port_peer(p);
    GString *out = data;

    if (is_hub(p) || (peer && is_hub(peer)) || (!is_card(p) && peer && is_card(peer))) {
        return;
    }
    port_line(p, out);
    if (is_card(p) && peer) {
        g_string_append(out, " \\ ");
        port_line(peer, out);
    }
}

static bool network_run(MonCall *call, Error **errp)
{
    g_autoptr(GString) hubs = g_string_new(NULL);

    net_ports_foreach(call->system->session, hub_line, hubs);
    if (hubs->len) {
        g_string_append_printf(call->out, "hub 0\n%s", hubs->str);
    }
    net_ports_foreach(call->system->session, plain_line, call->out);
    return true;
}
COMMAND(network_command, .name = "info network", .help = "show the network state", .run = network_run);

static void usernet_lines(NetPort *p, void *data)
{
    g_autofree char *text = net_user_connections(p);
    GString *out = data;

    if (text) {
        bool hub = net_port_peer(p) && is_hub(net_port_peer(p));

        g_string_append_printf(out, "Hub %d (%s):\n%s", hub ? 0 : -1, net_port_id(p), text);
    }
}

static bool usernet_run(MonCall *call, Error **errp)
{
    net_ports_foreach(call->system->session, usernet_lines, call->out);
    return true;
}
COMMAND(usernet_command, .name = "info usernet", .help = "show user network stack connection states", .run = usernet_run);

/* ---- link ---- */

typedef struct Find { const char *id; NetPort *found; } Find;

static void find_port(NetPort *p, void *data)
{
    Find *f = data;

    if (!strcmp(net_port_id(p), f->id)) {
        f->found = p;
    }
}

static bool set_link_run(MonCall *call, Error **errp)
{
    const char *up = json_get_string(call->args, "up");
    Find f = { .id = json_get_string(call->args, "name") };

    if (strcmp(up, "on") && strcmp(up, "off")) {
        g_string_append(call->out, "Expected 'on' or 'off'\nTry \"help set_link\" for more information\n");
        return true;
    }
    net_ports_foreach(call->system->session, find_port, &f);
    if (!f.found) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", f.id);
    }
    net_set_link(f.found, !strcmp(up, "on"));
    return true;
}
static const OptKey set_link_keys[] = { { "name", OPT_STRING, .must = true }, { "up", OPT_STRING, .must = true }, {} };
COMMAND(set_link_command, .name = "set_link", .keys = set_link_keys, .params = "name on|off", .help = "change the link status of a network adapter",
        .run = set_link_run);

/* ---- back ends ---- */

static bool netdev_add_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) opts = options_parse(options_group("netdev"), json_get_string(call->args, "options"), errp);

    return opts && netdev_add(call->system->session, opts, errp);
}
static const OptKey netdev_add_keys[] = { { "options", OPT_STRING, .must = true }, {} };
COMMAND(netdev_add_command, .name = "netdev_add", .keys = netdev_add_keys, .params = "[user|hubport],id=str[,prop=value][,...]", .rest = true,
        .help = "add host network device", .run = netdev_add_run);

static bool netdev_del_run(MonCall *call, Error **errp)
{
    return netdev_del(call->system->session, json_get_string(call->args, "id"), errp);
}
static const OptKey netdev_del_keys[] = { { "id", OPT_STRING, .must = true }, {} };
COMMAND(netdev_del_command, .name = "netdev_del", .keys = netdev_del_keys, .params = "id", .help = "remove host network device", .run = netdev_del_run);

/* ---- forwarding: "[ID] RULE" ---- */

static void find_user(NetPort *p, void *data)
{
    Find *f = data;

    if (!f->found && !strcmp(net_port_ops(p)->type, "user")) {
        f->found = p;
    }
}

static NetPort *user_network(MonCall *call, const char *id, Error **errp)
{
    Find f = { .id = id };

    net_ports_foreach(call->system->session, id ? find_port : find_user, &f);
    if (!f.found) {
        error_set(errp, id ? "unrecognized netdev id '%s'" : "user mode network stack not in use%s", id ? id : "");
    }
    return f.found;
}

/* These two speak without "Error:". */
static bool say(MonCall *call, Error *err, const char *good)
{
    if (err) {
        g_string_append_printf(call->out, "%s\n", error_message(err));
        error_free(err);
    } else if (good) {
        g_string_append_printf(call->out, "%s\n", good);
    }
    return true;
}

static bool forward(MonCall *call, bool add)
{
    const char *first = json_get_string(call->args, "arg1"), *second = json_get_string(call->args, "arg2"), *rule = second ? second : first;
    g_autofree char *removed = g_strdup_printf("host forwarding rule for %s removed", rule);
    Error *err = NULL;
    NetPort *p = user_network(call, second ? first : NULL, &err);

    if (p && add) {
        net_user_hostfwd(p, rule, &err);
    } else if (p) {
        net_user_hostfwd_remove(p, rule, &err);
    }
    return say(call, err, add ? NULL : removed);
}

static bool hostfwd_add_run(MonCall *call, Error **errp)
{
    return forward(call, true);
}

static bool hostfwd_remove_run(MonCall *call, Error **errp)
{
    return forward(call, false);
}
static const OptKey hostfwd_keys[] = { { "arg1", OPT_STRING, .must = true }, { "arg2", OPT_STRING }, {} };
COMMAND(hostfwd_add_command, .name = "hostfwd_add", .keys = hostfwd_keys, .params = "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
        .help = "redirect TCP or UDP connections from host to guest (requires -net user)", .run = hostfwd_add_run);
COMMAND(hostfwd_remove_command, .name = "hostfwd_remove", .keys = hostfwd_keys, .params = "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
        .help = "remove host-to-guest TCP or UDP redirection", .run = hostfwd_remove_run);
