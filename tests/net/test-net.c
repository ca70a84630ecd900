/* SPDX-License-Identifier: MIT */
/* Cables, hubs, flow control; the user network as a guest's frames see it (RFC 826, 792, 2131); options and their errors. */
#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "net/net.h"
#include "tests/wait.h"
#include "util/options.h"

typedef struct Card {
    NetPort *port;
    GPtrArray *got;             /* GBytes */
    bool full;
    unsigned resumed, links;
} Card;

static bool card_receive(NetPort *p, const uint8_t *frame, size_t len)
{
    Card *c = net_port_opaque(p);

    if (c->full) {
        return false;
    }
    g_ptr_array_add(c->got, g_bytes_new(frame, len));
    return true;
}

static void card_resume(NetPort *p)
{
    ((Card *)net_port_opaque(p))->resumed++;
}

static void card_link(NetPort *p, bool up)
{
    (void)up;
    ((Card *)net_port_opaque(p))->links++;
}

static const NetOps card_ops = { .type = "nic", .receive = card_receive, .resume = card_resume, .link = card_link };

static Loop *loop;

static Card *card_new(Session *s, const char *id)
{
    Card *c = g_new0(Card, 1);

    c->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    c->port = net_port_new(s, &card_ops, c, id, NULL);
    return c;
}

static void card_free(Card *c)
{
    net_port_free(c->port);
    while (loop_step(loop, false)) {
    }
    g_ptr_array_free(c->got, TRUE);
    g_free(c);
}

static bool card_send(Card *c, const void *data, size_t len)
{
    struct iovec iov[2] = { { (void *)data, len / 2 }, { (uint8_t *)data + len / 2, len - len / 2 } };

    return net_send(c->port, iov, 2);
}

static void settle(void)
{
    while (loop_step(loop, false)) {
    }
}

/* Wait for the next frame. */
static const uint8_t *next_frame(Card *c, size_t *len)
{
    gint64 stop = wait_end();
    static GBytes *last;

    while (!c->got->len && g_get_monotonic_time() < stop) {
        loop_step(loop, false);
    }
    if (!c->got->len) {
        return NULL;
    }
    g_clear_pointer(&last, g_bytes_unref);
    last = g_bytes_ref(g_ptr_array_index(c->got, 0));
    g_ptr_array_remove_index(c->got, 0);
    return g_bytes_get_data(last, len);
}

static void cable(void)
{
    Card *a = card_new(NULL, "a"), *b = card_new(NULL, "b");
    uint8_t frame[100] = { 1, 2, 3 };
    unsigned sent = 0;
    size_t len;

    g_assert_true(card_send(a, frame, sizeof(frame)));  /* nobody there: gone */
    net_join(a->port, b->port);
    g_assert_true(card_send(a, frame, sizeof(frame)));
    settle();
    g_assert_cmpuint(b->got->len, ==, 1);
    g_assert_cmpmem(next_frame(b, &len), 100, frame, 100);
    b->full = true;
    while (card_send(a, frame, sizeof(frame))) {
        sent++;
        settle();
    }
    g_assert_cmpuint(sent, ==, NET_INBOX_FRAMES);
    g_assert_cmpuint(a->resumed, ==, 0);
    b->full = false;
    settle();
    g_assert_cmpuint(b->got->len, ==, 0);               /* not asked before net_ready */
    net_ready(b->port);
    settle();
    g_assert_cmpuint(b->got->len, ==, sent);
    g_assert_cmpuint(a->resumed, ==, 1);
    net_set_link(b->port, false);
    g_assert_false(net_link_up(a->port));
    g_assert_cmpuint(a->links, ==, 1);
    card_send(a, frame, sizeof(frame));
    settle();
    g_assert_cmpuint(b->got->len, ==, sent);
    net_set_link(b->port, true);
    g_assert_true(net_link_up(a->port));
    card_free(a);
    g_assert_false(net_link_up(b->port));
    card_free(b);
}

static Json *option(const char *group_name, const char *text, Error **errp)
{
    static const OptKey keys[] = { { "type", OPT_STRING, .must = true }, { "id", OPT_ID, .must = true }, {} };
    static const OptGroup netdev = { .name = "netdev", .implied = "type", .select = "type", .keys = keys };
    static const OptGroup open = { .name = "nic", .implied = "type", .open = true, .keys = keys + 2 };

    return options_parse(strcmp(group_name, "netdev") ? &open : &netdev, text, errp);
}

static void netdev(Session *s, const char *text)
{
    Error *err = NULL;
    g_autoptr(Json) opts = option("netdev", text, &err);

    if (err || !netdev_add(s, opts, &err)) {
        g_error("%s: %s", text, error_message(err));
    }
}

static void refused(const char *text, const char *why)
{
    Session *s = session_new();
    g_autoptr(Error) err = NULL;
    g_autoptr(Json) opts = option("netdev", text, &err);

    if (!err) {
        g_assert_false(netdev_add(s, opts, &err));
    }
    g_assert_cmpstr(error_message(err), ==, why);
    session_free(s);
    settle();
}

static void errors(void)
{
    refused("user,id=n,hostfwd=foo", "Invalid host forwarding rule 'foo' (No : separators)");
    refused("user,id=n,hostfwd=tcp::99999-:22", "Invalid host forwarding rule 'tcp::99999-:22' (Bad host port)");
    refused("user,id=n,net=foo", "Failed to parse netmask");
    refused("user,id=n,dhcpstart=1.2.3.4", "DHCP doesn't belong to network");
    refused("user,id=n,host=1.2.3.4", "Host doesn't belong to network");
    refused("user,id=n,foo=1", "Invalid parameter 'foo'");
    refused("user", "Parameter 'id' is missing");
}

static void duplicate(void)
{
    Session *s = session_new();
    g_autoptr(Error) err = NULL;
    g_autoptr(Json) opts = option("netdev", "user,id=n", NULL);

    g_assert_true(netdev_add(s, opts, &err));
    g_assert_false(netdev_add(s, opts, &err));
    g_assert_cmpstr(error_message(err), ==, "Duplicate ID 'n' for netdev");
    session_free(s);
    settle();
}

/* Three cards on a hub: each hears the other two. */
static void hub(void)
{
    Session *s = session_new();
    Card *c[3];
    uint8_t frame[60] = { 9 };

    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("hubport,id=h%d,hubid=4", i), *id = g_strdup_printf("h%d", i);

        netdev(s, text);
        c[i] = card_new(s, "card");
        net_join(c[i]->port, netdev_for_card(s, "x.netdev", id, NULL));
    }
    g_assert_null(netdev_for_card(s, "x.netdev", "h0", NULL));
    card_send(c[1], frame, sizeof(frame));
    settle();
    g_assert_cmpuint(c[0]->got->len, ==, 1);
    g_assert_cmpuint(c[1]->got->len, ==, 0);
    g_assert_cmpuint(c[2]->got->len, ==, 1);
    for (int i = 0; i < 3; i++) {
        card_free(c[i]);
    }
    session_free(s);
}

/* ---- the user network ---- */

static const uint8_t our_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

static uint16_t sum16(const void *data, size_t len, uint32_t sum)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        sum += i & 1 ? p[i] : p[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Ethernet and IPv4 headers around `len` bytes of payload that stand at frame + 34. */
static size_t ip_frame(uint8_t *f, const uint8_t *dst_mac, uint32_t src, uint32_t dst, uint8_t proto, size_t len)
{
    uint32_t s = htonl(src), d = htonl(dst);

    memcpy(f, dst_mac, 6);
    memcpy(f + 6, our_mac, 6);
    put16(f + 12, 0x0800);
    memset(f + 14, 0, 20);
    f[14] = 0x45;
    put16(f + 16, (uint16_t)(20 + len));
    f[22] = 64;
    f[23] = proto;
    memcpy(f + 26, &s, 4);
    memcpy(f + 30, &d, 4);
    put16(f + 24, sum16(f + 14, 20, 0));
    return 34 + len;
}

static const uint8_t *dhcp_option(const uint8_t *bootp, size_t len, uint8_t code)
{
    for (size_t i = 240; i + 1 < len && bootp[i] != 255; i += bootp[i] ? 2 + bootp[i + 1] : 1) {
        if (bootp[i] == code) {
            return bootp + i + 1;                       /* length, value */
        }
    }
    return NULL;
}

static Card *on_user_net(Session *s, const char *text)
{
    Card *c = card_new(s, "card");

    netdev(s, text);
    net_join(c->port, netdev_for_card(s, "x.netdev", "n", NULL));
    return c;
}

static void dhcp(void)
{
    Session *s = session_new();
    Card *c = on_user_net(s, "user,id=n,net=192.168.7.0/24,dhcpstart=192.168.7.40,hostname=guest,domainname=lab");
    uint8_t f[600] = { 0 }, *b = f + 42;
    static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
    const uint8_t *r, *o;
    size_t len;

    b[0] = 1, b[1] = 1, b[2] = 6, b[4] = 0x77;
    memcpy(b + 28, our_mac, 6);
    memcpy(b + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
    put16(f + 34, 68);
    put16(f + 36, 67);
    put16(f + 38, 8 + 300);
    len = ip_frame(f, all, 0, 0xffffffff, 17, 8 + 300);
    g_assert_true(card_send(c, f, len));
    do {
        r = next_frame(c, &len);
        g_assert_nonnull(r);
    } while (!(r[12] == 8 && r[13] == 0 && r[23] == 17 && r[37] == 68));
    b = (uint8_t *)r + 42;
    g_assert_cmpuint(b[0], ==, 2);
    g_assert_cmpmem(b + 16, 4, "\xc0\xa8\x07\x28", 4);
    o = dhcp_option(b, len - 42, 53);
    g_assert_cmpuint(o[1], ==, 2);                      /* offer */
    o = dhcp_option(b, len - 42, 3);
    g_assert_cmpmem(o + 1, 4, "\xc0\xa8\x07\x02", 4);
    o = dhcp_option(b, len - 42, 6);
    g_assert_cmpmem(o + 1, 4, "\xc0\xa8\x07\x03", 4);
    o = dhcp_option(b, len - 42, 12);
    g_assert_cmpmem(o + 1, o[0], "guest", 5);
    o = dhcp_option(b, len - 42, 15);
    g_assert_cmpmem(o + 1, o[0], "lab", 3);
    card_free(c);
    session_free(s);
    settle();
}

static void arp_who_has(Card *c, uint32_t who, uint8_t mac[6])
{
    uint8_t f[60] = { 0 };
    uint32_t ip = htonl(who), own = htonl(0x0a00020f);
    const uint8_t *r;
    size_t len;

    memset(f, 255, 6);
    memcpy(f + 6, our_mac, 6);
    memcpy(f + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(f + 22, our_mac, 6);
    memcpy(f + 28, &own, 4);
    memcpy(f + 38, &ip, 4);
    card_send(c, f, sizeof(f));
    do {
        r = next_frame(c, &len);
        g_assert_nonnull(r);
    } while (!(r[12] == 8 && r[13] == 6 && r[21] == 2));
    memcpy(mac, r + 22, 6);
}

static void ping(void)
{
    Session *s = session_new();
    Card *c = on_user_net(s, "user,id=n");
    uint8_t f[100] = { 0 }, mac[6];
    const uint8_t *r;
    size_t len;

    arp_who_has(c, 0x0a000202, mac);
    f[34] = 8;
    put16(f + 38, 0x1234);
    memcpy(f + 42, "hello, network", 14);
    put16(f + 36, sum16(f + 34, 22, 0));
    card_send(c, f, ip_frame(f, mac, 0x0a00020f, 0x0a000202, 1, 22));
    do {
        r = next_frame(c, &len);
        g_assert_nonnull(r);
    } while (!(r[12] == 8 && r[13] == 0 && r[23] == 1));
    g_assert_cmpuint(r[34], ==, 0);                     /* echo reply */
    g_assert_cmpmem(r + 38, 18, f + 38, 18);
    card_free(c);
    session_free(s);
    settle();
}

/* A client of the host connects to a forwarded port: the guest gets a SYN for its port 22. */
static void hostfwd(void)
{
    Session *s = session_new();
    g_autoptr(Error) err = NULL;
    Card *c;
    NetPort *p;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    g_autofree char *rule = NULL, *taken = NULL, *gone = NULL;
    const uint8_t *r;
    uint8_t mac[6];
    size_t len;

    c = on_user_net(s, "user,id=n");
    p = net_port_find(s, "n");
    /* a port nobody has: the rule itself says so, below those that the kernel gives to others meanwhile */
    for (unsigned port = 10000 + (unsigned)getpid() % 10000, end = port + 10000; port < end; port++) {
        addr.sin_port = htons((uint16_t)port);
        g_free(rule);
        rule = g_strdup_printf("tcp:127.0.0.1:%u-:22", port);
        if (net_user_hostfwd(p, rule, NULL)) {
            break;
        }
    }
    g_assert_false(net_user_hostfwd(p, rule, &err));
    taken = g_strdup_printf("Could not set up host forwarding rule '%s'", rule);
    g_assert_cmpstr(error_message(err), ==, taken);
    arp_who_has(c, 0x0a000202, mac);
    connect(client, (struct sockaddr *)&addr, sizeof(addr));
    do {
        r = next_frame(c, &len);
        g_assert_nonnull(r);
    } while (!(r[12] == 8 && r[13] == 0 && r[23] == 6));
    g_assert_cmpuint(r[36] << 8 | r[37], ==, 22);
    g_assert_cmpuint(r[47] & 0x12, ==, 2);
    gone = g_strdup_printf("tcp:127.0.0.1:%u", ntohs(addr.sin_port));
    g_assert_true(net_user_hostfwd_remove(p, gone, NULL));
    g_assert_false(net_user_hostfwd_remove(p, gone, NULL));
    close(client);
    card_free(c);
    session_free(s);
    settle();
}

static void cards(void)
{
    Session *s = session_new();
    NetCards *n = net_cards_new(s);
    Error *err = NULL;
    g_autoptr(Json) a = option("nic", "user,model=e1000,mac=52:54:00:00:00:01,hostname=x", NULL);
    g_autoptr(Json) b = option("nic", "nic,model=virtio", NULL);
    const char *const *list;

    if (!net_cards_nic(n, a, &err)) {
        g_error("%s", error_message(err));
    }
    g_assert_true(net_cards_net(n, b, &err));
    list = net_cards_list(n, "virtio-net-pci", &err);
    g_assert_cmpstr(strchr(list[0], ','), ==, ",model=e1000,mac=52:54:00:00:00:01");
    g_assert_cmpstr(list[1], ==, "netdev=#hub0port0,model=virtio");
    g_assert_null(list[2]);
    net_cards_free(n);
    n = net_cards_new(s);
    list = net_cards_list(n, "virtio-net-pci", &err);
    g_assert_true(g_str_has_suffix(list[0], ",model=virtio-net-pci"));
    g_assert_null(list[1]);
    net_cards_free(n);
    n = net_cards_new(s);
    net_cards_netdev_seen(n);
    g_assert_null(net_cards_list(n, "virtio-net-pci", &err)[0]);
    net_cards_free(n);
    session_free(s);
    settle();
}

static void macs(void)
{
    Session *s = session_new();
    uint8_t m[6];

    g_assert_true(net_mac_parse("52:54:00:ab:cd:ef", m));
    g_assert_cmpmem(m, 6, "\x52\x54\x00\xab\xcd\xef", 6);
    g_assert_false(net_mac_parse("zz", m));
    g_assert_false(net_mac_parse("52:54:00:ab:cd", m));
    g_assert_false(net_mac_parse("52:54:00:ab:cd:ef:00", m));
    net_mac_next(s, m);
    g_assert_cmpuint(m[5], ==, 0x56);
    net_mac_next(s, m);
    g_assert_cmpuint(m[5], ==, 0x57);
    session_free(s);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new("test");
    loop_attach(loop);
    g_test_add_func("/net/cable", cable);
    g_test_add_func("/net/hub", hub);
    g_test_add_func("/net/errors", errors);
    g_test_add_func("/net/duplicate", duplicate);
    g_test_add_func("/net/user/dhcp", dhcp);
    g_test_add_func("/net/user/ping", ping);
    g_test_add_func("/net/user/hostfwd", hostfwd);
    g_test_add_func("/net/cards", cards);
    g_test_add_func("/net/macs", macs);
    status = g_test_run();
    loop_attach(NULL);
    loop_free(loop);
    return status;
}
