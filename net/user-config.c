/* SPDX-License-Identifier: MIT */
/* Options of user networking: addresses that fit together, forwarding rules. */
#include "net/user-priv.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "util/options.h"

static const OptKey user_keys[] = {
    { "ipv4", OPT_BOOL, .def = "on", .help = "IPv4 for the guest" },
    { "net", OPT_STRING, .def = "10.0.2.0/24", .alias = "ip", .help = "network that the guest sees, with bits or a mask" },
    { "host", OPT_STRING, .help = "the host's address in it (default: the 2nd)" },
    { "ipv6", OPT_BOOL, .def = "on", .help = "IPv6 for the guest" },
    { "ipv6-net", OPT_STRING, .help = "PREFIX/LENGTH" },
    { "ipv6-prefix", OPT_STRING, .def = "fec0::", .help = "network prefix" },
    { "ipv6-prefixlen", OPT_NUMBER, .def = "64", .max = 126, .help = "its length" },
    { "ipv6-host", OPT_STRING, .help = "the host's address (default: the 2nd)" },
    { "restrict", OPT_BOOL, .def = "off", .help = "the guest reaches nothing but the host's services named here" },
    { "hostname", OPT_STRING, .help = "client name in DHCP answers" },
    { "dhcpstart", OPT_STRING, .help = "first address that DHCP gives (default: the 15th)" },
    { "dns", OPT_STRING, .help = "address of the name server (default: the 3rd)" },
    { "ipv6-dns", OPT_STRING, .help = "likewise (default: the 3rd)" },
    { "dnssearch", OPT_STRING, .many = true, .help = "domain for the resolver's list" },
    { "domainname", OPT_STRING, .help = "the guest's domain" },
    { "tftp", OPT_STRING, .help = "folder that TFTP serves" },
    { "tftp-server-name", OPT_STRING, .help = "RFC 2132 option 66" },
    { "bootfile", OPT_STRING, .help = "boot file in DHCP answers" },
    { "hostfwd", OPT_STRING, .many = true, .help = "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport" },
    { "guestfwd", OPT_STRING, .many = true, .absent = "use hostfwd, or a service on the host" },
    { "smb", OPT_STRING, .absent = "this program starts no SMB server" },
    { "smbserver", OPT_STRING, .absent = "this program starts no SMB server" },
    {}
};
static const OptVariant user_variant = { .group = "netdev", .name = "user", .help = "user mode networking, no rights needed", .keys = user_keys };
OPT_VARIANT(user_variant);

/* ---- addresses ---- */

/* Of old classes, and 172.16/12: what a network without a mask means. */
static uint32_t natural_mask(uint32_t net)
{
    return !(net >> 31) ? 0xff000000 : (net & 0xfff00000) == 0xac100000 ? 0xfff00000 : (net >> 30) == 2 ? 0xffff0000 : 0xffffff00;
}

static bool parse_mask(const char *text, uint32_t *mask)
{
    struct in_addr a;
    char *end;
    unsigned long bits = strtoul(text, &end, 10);

    if (*text && !*end) {
        *mask = bits ? ~0u << (32 - MIN(bits, 32)) : 0;
        return bits >= 4 && bits <= 30;
    }
    if (!inet_aton(text, &a)) {
        return false;
    }
    *mask = ntohl(a.s_addr);
    return true;
}

static bool parse_net(const char *text, uint32_t *net, uint32_t *mask, Error **errp)
{
    g_auto(GStrv) part = g_strsplit(text, "/", 2);
    struct in_addr a;

    if (!inet_aton(part[0], &a)) {
        return error_set(errp, part[1] ? "Failed to parse network" : "Failed to parse netmask");
    }
    *net = ntohl(a.s_addr);
    *mask = natural_mask(*net);
    if (part[1] && !parse_mask(part[1], mask)) {
        return error_set(errp, "Failed to parse netmask (trailing chars)");
    }
    *net &= *mask;
    return true;
}

/* An address of the network by option, or its `nth`. */
static bool address(const Json *opts, const char *key, const char *what, uint32_t net, uint32_t mask, uint32_t nth, struct in_addr *out, Error **errp)
{
    const char *text = json_get_string(opts, key);

    out->s_addr = htonl(net | (nth & ~mask));
    if (text && !inet_aton(text, out)) {
        return error_set(errp, "Failed to parse %s", what);
    }
    if ((ntohl(out->s_addr) & mask) != net) {
        return error_set(errp, "%s doesn't belong to network", what);
    }
    return true;
}

static bool config_v4(const Json *opts, SlirpConfig *cfg, Error **errp)
{
    const char *text = json_get_string(opts, "net");
    uint32_t net = 0, mask = 0;

    if (!parse_net(text ? text : "10.0.2.0/24", &net, &mask, errp)) {
        return false;
    }
    cfg->vnetwork.s_addr = htonl(net);
    cfg->vnetmask.s_addr = htonl(mask);
    if (!address(opts, "host", "Host", net, mask, 0x0202, &cfg->vhost, errp) ||
        !address(opts, "dhcpstart", "DHCP", net, mask, 0x020f, &cfg->vdhcp_start, errp) ||
        !address(opts, "dns", "DNS", net, mask, 0x0203, &cfg->vnameserver, errp)) {
        return false;
    }
    if (cfg->vhost.s_addr == cfg->vnameserver.s_addr) {
        return error_set(errp, "DNS must be different from host");
    }
    return true;
}

static bool parse_v6(const Json *opts, const char *key, struct in6_addr *out, Error **errp)
{
    const char *text = json_get_string(opts, key);

    if (text && inet_pton(AF_INET6, text, out) != 1) {
        return error_set(errp, "Failed to parse %s '%s'", key, text);
    }
    return true;
}

static bool config_v6(const Json *opts, SlirpConfig *cfg, Error **errp)
{
    const char *net = json_get_string(opts, "ipv6-net");

    inet_pton(AF_INET6, "fec0::", &cfg->vprefix_addr6);
    cfg->vprefix_len = (uint8_t)json_get_u64(opts, "ipv6-prefixlen", 64);
    if (net) {
        g_auto(GStrv) part = g_strsplit(net, "/", 2);

        if (inet_pton(AF_INET6, part[0], &cfg->vprefix_addr6) != 1) {
            return error_set(errp, "Failed to parse ipv6-net '%s'", net);
        }
        cfg->vprefix_len = (uint8_t)(part[1] ? atoi(part[1]) : 64);
    } else if (!parse_v6(opts, "ipv6-prefix", &cfg->vprefix_addr6, errp)) {
        return false;
    }
    if (cfg->vprefix_len > 126) {
        return error_set(errp, "Invalid IPv6 prefix length %u; 126 is the most", cfg->vprefix_len);
    }
    cfg->vhost6 = cfg->vprefix_addr6;
    cfg->vhost6.s6_addr[15] |= 2;
    cfg->vnameserver6 = cfg->vprefix_addr6;
    cfg->vnameserver6.s6_addr[15] |= 3;
    return parse_v6(opts, "ipv6-host", &cfg->vhost6, errp) && parse_v6(opts, "ipv6-dns", &cfg->vnameserver6, errp);
}

bool user_config(const Json *opts, SlirpConfig *cfg, Error **errp)
{
    const Json *search = json_get(opts, "dnssearch");

    *cfg = (SlirpConfig){
        .version = 4, .restricted = json_get_bool(opts, "restrict", false),
        .in_enabled = json_get_bool(opts, "ipv4", true), .in6_enabled = json_get_bool(opts, "ipv6", true),
        .vhostname = json_get_string(opts, "hostname"), .tftp_server_name = json_get_string(opts, "tftp-server-name"),
        .tftp_path = json_get_string(opts, "tftp"), .bootfile = json_get_string(opts, "bootfile"),
        .vdomainname = json_get_string(opts, "domainname"),
    };
    if (!cfg->in_enabled && !cfg->in6_enabled) {
        return error_set(errp, "IPv4 and IPv6 disabled");
    }
    if (!config_v4(opts, cfg, errp) || !config_v6(opts, cfg, errp)) {
        return false;
    }
    if (search) {
        cfg->vdnssearch = g_new0(const char *, json_size(search) + 1);
        for (unsigned i = 0; i < json_size(search); i++) {
            cfg->vdnssearch[i] = json_as_string(json_at(search, i));
        }
    }
    return true;
}

/* ---- [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport ---- */

static bool bad_rule(const char *rule, const char *why, Error **errp)
{
    return error_set(errp, "Invalid host forwarding rule '%s' (%s)", rule, why);
}

static bool parse_port(const char *text, int *port)
{
    char *end;
    long v = strtol(text, &end, 10);

    *port = (int)v;
    return end != text && !*end && v >= 1 && v <= 65535;
}

bool hostfwd_parse(const char *rule, bool with_guest, HostFwd *f, Error **errp)
{
    g_auto(GStrv) part = g_strsplit(rule, ":", 3);
    g_auto(GStrv) ends = NULL;
    const char *colon;

    *f = (HostFwd){ 0 };
    if (!part[0] || !part[1]) {
        return bad_rule(rule, "No : separators", errp);
    }
    if (*part[0] && strcmp(part[0], "tcp") && strcmp(part[0], "udp")) {
        return bad_rule(rule, "Bad protocol name", errp);
    }
    f->udp = !strcmp(part[0], "udp");
    if (!part[2]) {
        return bad_rule(rule, "Missing : separator", errp);
    }
    if (*part[1] && !inet_aton(part[1], &f->host)) {
        return bad_rule(rule, "Bad host address", errp);
    }
    ends = g_strsplit(part[2], "-", 2);
    if (!with_guest) {
        return !ends[1] && parse_port(part[2], &f->host_port) ? true : error_set(errp, "invalid format");
    }
    if (!ends[1]) {
        return bad_rule(rule, "Bad host port separator", errp);
    }
    if (!parse_port(ends[0], &f->host_port)) {
        return bad_rule(rule, "Bad host port", errp);
    }
    colon = strchr(ends[1], ':');
    if (!colon) {
        return bad_rule(rule, "Missing guest address", errp);
    }
    if (colon != ends[1]) {
        g_autofree char *addr = g_strndup(ends[1], (gsize)(colon - ends[1]));

        if (!inet_aton(addr, &f->guest)) {
            return bad_rule(rule, "Bad guest address", errp);
        }
    }
    return parse_port(colon + 1, &f->guest_port) || bad_rule(rule, "Bad guest port", errp);
}
