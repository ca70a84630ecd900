/* SPDX-License-Identifier: MIT */
/* Hubs: what one port hears, all others of the same hub do (-netdev hubport, -net). */
#include "net/net-priv.h"

#include "util/options.h"

typedef struct Hub {
    unsigned n, count;
    GPtrArray *ports;           /* NetPort */
} Hub;

static Hub *hub_get(Session *s, unsigned n)
{
    GPtrArray *hubs = net_state(s)->hubs;
    Hub *h;

    for (unsigned i = 0; i < hubs->len; i++) {
        h = g_ptr_array_index(hubs, i);
        if (h->n == n) {
            return h;
        }
    }
    h = g_new0(Hub, 1);
    h->n = n;
    h->ports = g_ptr_array_new();
    g_ptr_array_add(hubs, h);
    return h;
}

static bool hub_receive(NetPort *p, const uint8_t *frame, size_t len)
{
    Hub *h = p->opaque;

    for (unsigned i = 0; i < h->ports->len; i++) {
        NetPort *other = g_ptr_array_index(h->ports, i);

        if (other != p) {
            net_deliver(other, frame, len);
        }
    }
    return true;
}

static void hub_info(NetPort *p, GString *out)
{
    g_string_append_printf(out, "hubid=%u", ((Hub *)p->opaque)->n);
}

static void hub_port_destroy(NetPort *p)
{
    Hub *h = p->opaque;

    g_ptr_array_remove(h->ports, p);
    if (!h->ports->len) {
        g_ptr_array_free(h->ports, TRUE);
        g_ptr_array_remove(p->state->hubs, h);
    }
}

static const NetOps hub_ops = { .type = "hubport", .receive = hub_receive, .info = hub_info, .destroy = hub_port_destroy };

NetPort *hub_port_new(Session *s, unsigned n, const char *id, Error **errp)
{
    Hub *h = hub_get(s, n);
    g_autofree char *own = id ? NULL : g_strdup_printf("#hub%uport%u", n, h->count);
    NetPort *p = net_port_new(s, &hub_ops, h, id ? id : own, errp);

    if (p) {
        h->count++;
        g_ptr_array_add(h->ports, p);
    }
    return p;
}

static const OptKey hubport_keys[] = {
    { "hubid", OPT_NUMBER, .must = true, .max = INT32_MAX, .help = "number of the hub" },
    { "netdev", OPT_STRING, .help = "back end to join to the port" },
    {}
};
static const OptVariant hubport_variant = { .group = "netdev", .name = "hubport", .help = "a port of a hub", .keys = hubport_keys };
OPT_VARIANT(hubport_variant);
