/* SPDX-License-Identifier: MIT */
/*
 * Cards by option.  -nic X: a card and a back end joined to each other.
 * -net nic, -net user: each on a port of hub 0.  Nothing asked: the board's
 * default card and a user network on hub 0.
 */
#include "net/net-priv.h"

#include <string.h>

#include "util/options.h"

struct NetCards {
    Session *s;
    GPtrArray *list;            /* "model=..,netdev=..,mac=.." */
    bool asked, no_default;
};

NetCards *net_cards_new(Session *s)
{
    NetCards *c = g_new0(NetCards, 1);

    c->s = s;
    c->list = g_ptr_array_new_with_free_func(g_free);
    return c;
}

void net_cards_free(NetCards *c)
{
    if (!c) {
        return;
    }
    g_ptr_array_free(c->list, TRUE);
    g_free(c);
}

void net_cards_netdev_seen(NetCards *c)
{
    c->asked = true;
}

void net_cards_no_default(NetCards *c)
{
    c->no_default = true;
}

static const char *const card_words[] = { "model", "mac", "addr", "vectors", "name", NULL };

static bool is_card_word(const char *key)
{
    return g_strv_contains(card_words, key) || !strcmp(key, "type") || !strcmp(key, "netdev");
}

static bool check_mac(const Json *opts, Error **errp)
{
    const char *mac = json_get_string(opts, "mac");
    uint8_t bytes[6];

    return !mac || net_mac_parse(mac, bytes) || error_set(errp, "invalid syntax for ethernet address");
}

static void add_card(NetCards *c, const Json *opts, const char *netdev)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "netdev=%s", netdev);
    for (unsigned i = 0; card_words[i] && opts; i++) {
        g_autofree char *v = json_get(opts, card_words[i]) ? json_scalar_text(json_get(opts, card_words[i])) : NULL;

        if (v && strcmp(card_words[i], "name")) {
            g_string_append_printf(text, ",%s=%s", card_words[i], v);
        }
    }
    g_ptr_array_add(c->list, g_string_free(text, FALSE));
}

/* The back end's part of -nic and -net as a netdev of its own. */
static bool add_back_end(NetCards *c, const Json *opts, const char *id, Error **errp)
{
    const OptGroup *group = options_group("netdev");
    g_autoptr(Json) back = json_object();

    json_set_string(back, "type", json_get_string(opts, "type"));
    json_set_string(back, "id", "n");                   /* checked as a user's; ours begin with '#' */
    for (unsigned i = 0; i < json_size(opts); i++) {
        const char *key = json_key_at(opts, i);

        if (!is_card_word(key) && strcmp(key, "id")) {
            json_set(back, key, json_copy(json_at(opts, i)));
        }
    }
    if (!options_check_text(group, back, errp)) {
        return false;
    }
    json_set_string(back, "id", id);
    return netdev_add(c->s, back, errp);
}

bool net_cards_nic(NetCards *c, const Json *opts, Error **errp)
{
    const char *type = json_get_string(opts, "type"), *id = json_get_string(opts, "id");
    g_autofree char *own = NULL;

    c->asked = true;
    if (!strcmp(type, "none")) {
        return true;
    }
    if (!check_mac(opts, errp)) {
        return false;
    }
    own = id ? g_strdup(id) : session_make_id(c->s, "net");
    if (!add_back_end(c, opts, own, errp)) {
        return false;
    }
    add_card(c, opts, own);
    return true;
}

static bool net_nic(NetCards *c, const Json *opts, Error **errp)
{
    const char *netdev = json_get_string(opts, "netdev");
    NetPort *p;

    if (!check_mac(opts, errp)) {
        return false;
    }
    if (netdev) {
        p = net_port_find(c->s, netdev);
        if (!p) {
            return error_set(errp, "netdev '%s' not found", netdev);
        }
    } else {
        p = hub_port_new(c->s, 0, NULL, errp);
        if (!p) {
            return false;
        }
    }
    add_card(c, opts, net_port_id(p));
    return true;
}

bool net_cards_net(NetCards *c, const Json *opts, Error **errp)
{
    const char *type = json_get_string(opts, "type"), *id = json_get_string(opts, "name");
    g_autofree char *own = NULL;
    NetPort *p;

    c->asked = true;
    if (!strcmp(type, "none")) {
        return true;
    }
    if (!strcmp(type, "nic")) {
        return net_nic(c, opts, errp);
    }
    own = id ? g_strdup(id) : session_make_id(c->s, "net");
    if (!add_back_end(c, opts, own, errp)) {
        return false;
    }
    p = hub_port_new(c->s, 0, NULL, errp);
    if (p) {
        net_join(p, net_port_find(c->s, own));
    }
    return p != NULL;
}

const char *const *net_cards_list(NetCards *c, const char *model, Error **errp)
{
    if (!c->asked && !c->no_default && model) {
        g_autoptr(Json) nic = json_object(), user = json_object();

        json_set_string(nic, "type", "nic");
        json_set_string(nic, "model", model);
        json_set_string(user, "type", "user");
        if (!net_cards_net(c, nic, errp) || !net_cards_net(c, user, errp)) {
            return NULL;
        }
    }
    if (!c->list->len || g_ptr_array_index(c->list, c->list->len - 1)) {
        g_ptr_array_add(c->list, NULL);
    }
    return (const char *const *)c->list->pdata;
}
