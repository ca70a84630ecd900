/* SPDX-License-Identifier: MIT */
#include "system/netcards.h"

#include <string.h>

#include "net/net.h"

static const OptKey netdev_keys[] = { { "type", OPT_STRING, .must = true }, { "id", OPT_ID, .must = true }, {} };
/* Back ends are variants, given by net/. */
static const OptGroup netdev_group = { .name = "netdev", .implied = "type", .select = "type", .keys = netdev_keys };
OPT_GROUP(netdev_group);

/* -nic and -net: the words of a card, and those of the back end (checked as a netdev). */
static const OptKey nic_keys[] = {
    { "type", OPT_STRING, .must = true, .help = "back end, or none" }, { "model", OPT_STRING, .help = "card" },
    { "mac", OPT_STRING, .alias = "macaddr" }, { "id", OPT_ID }, { "name", OPT_ID }, { "netdev", OPT_STRING }, { "addr", OPT_STRING },
    { "vectors", OPT_NUMBER }, {}
};
static const OptGroup nic_group = { .name = "nic", .implied = "type", .keys = nic_keys, .open = true };
static const OptGroup net_group = { .name = "net", .implied = "type", .keys = nic_keys, .open = true };
OPT_GROUP(nic_group);
OPT_GROUP(net_group);

static bool add_netdev(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;

    net_cards_netdev_seen(s->cards);
    return netdev_add(s->session, a->value, errp);
}

static bool add_nic(const CmdArg *a, void *data, Error **errp)
{
    return net_cards_nic(((System *)data)->cards, a->value, errp);
}

static bool add_net(const CmdArg *a, void *data, Error **errp)
{
    return net_cards_net(((System *)data)->cards, a->value, errp);
}

bool netcards_open(System *s, Error **errp)
{
    s->cards = net_cards_new(s->session);
    if (cmdline_has(s->cl, "nodefaults")) {
        net_cards_no_default(s->cards);
    }
    return cmdline_each(s->cl, "netdev", add_netdev, s, errp) && cmdline_each(s->cl, "nic", add_nic, s, errp) &&
           cmdline_each(s->cl, "net", add_net, s, errp);
}

bool netcards_plan(System *s, const MachineType *type, MachineConfig *config, Error **errp)
{
    config->nics = net_cards_list(s->cards, type->default_nic, errp);
    return config->nics != NULL;
}

void netcards_warn(System *s)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    g_auto(GStrv) line = NULL;

    net_warnings(s->session, lines);
    line = g_strsplit(lines->str, "\n", -1);
    for (char **l = line; *l; l++) {
        if (**l) {
            system_print_info(s, "warning: %s", *l);
        }
    }
}

void netcards_close(System *s)
{
    g_clear_pointer(&s->cards, net_cards_free);
}
