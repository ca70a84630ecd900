/* SPDX-License-Identifier: MIT */
#include "system/netcards.h"

#include <string.h>

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

/* There is no network back end to hand a card to. */
static bool refuse(const CmdArg *a, void *data, Error **errp)
{
    const char *type = json_get_string(a->value, "type");

    return !strcmp(type, "none") || error_set(errp, "'%s' is not available in this build: there is no network; use none", type);
}

bool netcards_open(System *s, Error **errp)
{
    return cmdline_each(s->cl, "netdev", refuse, s, errp) && cmdline_each(s->cl, "nic", refuse, s, errp) &&
           cmdline_each(s->cl, "net", refuse, s, errp);
}

bool netcards_plan(System *s, const MachineType *type, MachineConfig *config, Error **errp)
{
    static const char *const none[] = { NULL };

    config->nics = none;            /* the board makes no default card */
    return true;
}

void netcards_close(System *s)
{
}
