/* SPDX-License-Identifier: MIT */
/* virtio-net at its queues: frames out and in, merged buffers, checksums, filter, link, flow, a lying driver; DHCP through the user network. */
#include <string.h>

#include "hw/core/machine.h"
#include "io/loop.h"
#include "net/net.h"
#include "tests/hw/virtio/guest.h"
#include "tests/wait.h"
#include "util/bits.h"

enum { RX, TX, CTRL };

static Loop *loop;

/* The other end of the cable. */
typedef struct Wire {
    NetPort *port;
    GPtrArray *got;
    bool full;
} Wire;

static bool wire_receive(NetPort *p, const uint8_t *frame, size_t len)
{
    Wire *w = net_port_opaque(p);

    if (w->full) {
        return false;
    }
    g_ptr_array_add(w->got, g_bytes_new(frame, len));
    return true;
}

static const NetOps wire_ops = { .type = "wire", .receive = wire_receive, .large_frames = true, .checksums_right = true };

typedef struct Net {
    Session *s;
    Guest *g;
    Wire *wire;
    unsigned head;
    uint64_t rx_buf[64];
    uint32_t rx_len;
} Net;

static void settle(void)
{
    while (loop_step(loop, false)) {
    }
}

static const uint64_t want = BIT64(0) | BIT64(1) | BIT64(5) | BIT64(11) | BIT64(15) | BIT64(16) | BIT64(17) | BIT64(18) | BIT64(19) | BIT64(23) |
                             BIT64(28) | BIT64(29);

static void give_buffer(Net *n, uint32_t len)
{
    DrvSg sg = { drv_alloc(&n->g->mem, len, 1), len };
    int id = drvq_add(n->g->queues[RX], &sg, 0, 1);

    g_assert_cmpint(id, >=, 0);
    n->rx_buf[id] = sg.addr;
}

static Net net_new(GuestKind kind, uint64_t features, const char *netdev)
{
    const char *props[] = { "netdev", "n", "mac", "52:54:00:01:02:03", NULL };
    Net n = { .s = session_new() };

    n.wire = g_new0(Wire, 1);
    n.wire->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    if (netdev) {
        g_autoptr(Json) o = json_object();

        json_set_string(o, "type", netdev);
        json_set_string(o, "id", "n");
        g_assert_true(netdev_add(n.s, o, NULL));
    } else {
        n.wire->port = net_port_new(n.s, &wire_ops, n.wire, "n", NULL);
    }
    n.g = guest_new(kind, n.s, "virtio-net", props);
    guest_start(n.g, features, features >> 17 & 1 ? 3 : 2, 64);
    n.head = kind == GUEST_MMIO || kind == GUEST_PCI || (n.g->features >> 15 & 1) ? 12 : 10;
    settle();
    return n;
}

static void net_free(Net *n)
{
    guest_free(n->g);
    settle();
    session_free(n->s);
    settle();
    g_ptr_array_free(n->wire->got, TRUE);
    g_free(n->wire);
}

static void transmit(Net *n, const void *hdr, const void *frame, uint32_t len)
{
    uint64_t h = drv_alloc(&n->g->mem, n->head, 1), f = drv_alloc(&n->g->mem, len, 1);
    DrvSg sg[3] = { { h, n->head }, { f, len / 3 }, { f + len / 3, len - len / 3 } };

    if (hdr) {
        memcpy(drv_ptr(&n->g->mem, h), hdr, 10);
    }
    memcpy(drv_ptr(&n->g->mem, f), frame, len);
    g_assert_cmpint(drvq_add(n->g->queues[TX], sg, 3, 0), >=, 0);
}

static void tx_done(Net *n, unsigned want_done)
{
    while (drvq_used(n->g->queues[TX], NULL) >= 0) {
        want_done--;
    }
    g_assert_cmpuint(want_done, ==, 0);
}

/* A received frame out of one or more buffers; NULL when there is none. */
static uint8_t *received(Net *n, size_t *len, unsigned *buffers)
{
    uint32_t part;
    int id = drvq_used(n->g->queues[RX], &part);
    GByteArray *all;
    uint8_t *first;
    unsigned count;

    if (id < 0) {
        return NULL;
    }
    first = drv_ptr(&n->g->mem, n->rx_buf[id]);
    count = n->head == 12 ? first[10] | first[11] << 8 : 1;
    *buffers = count;
    all = g_byte_array_new();
    g_byte_array_append(all, first + n->head, part - n->head);
    while (--count) {
        id = drvq_used(n->g->queues[RX], &part);
        g_assert_cmpint(id, >=, 0);
        g_byte_array_append(all, drv_ptr(&n->g->mem, n->rx_buf[id]), part);
    }
    *len = all->len;
    return g_byte_array_free(all, FALSE);
}

static void frames(gconstpointer data)
{
    Net n = net_new(GPOINTER_TO_UINT(data), want, NULL);
    uint8_t frame[1500] = { 0x52, 0x54, 0, 1, 2, 3 };
    unsigned buffers;
    uint64_t keep = n.g->mem.next;

    g_assert_cmpmem(&(uint64_t){ guest_config(n.g, 0, 4) }, 4, "\x52\x54\x00\x01", 4);
    g_assert_cmpuint(guest_config(n.g, 6, 2), ==, 1);
    for (unsigned i = 0; i < 300; i++) {
        size_t len, size = 60 + i * 4;
        g_autofree uint8_t *in = NULL;

        n.g->mem.next = keep;
        memset(frame + 6, (int)i, sizeof(frame) - 6);
        transmit(&n, NULL, frame, (uint32_t)size);
        guest_kick(n.g, TX);
        settle();
        tx_done(&n, 1);
        g_assert_cmpuint(n.wire->got->len, ==, 1);
        g_assert_cmpmem(g_bytes_get_data(n.wire->got->pdata[0], &len), g_bytes_get_size(n.wire->got->pdata[0]), frame, size);
        g_ptr_array_set_size(n.wire->got, 0);
        give_buffer(&n, 2048);
        net_deliver(n.wire->port, frame, size);
        g_assert_true(guest_irq(n.g));
        in = received(&n, &len, &buffers);
        g_assert_cmpmem(in, len, frame, size);
        g_assert_cmpuint(buffers, ==, 1);
    }
    net_free(&n);
}

/* A frame larger than a buffer takes several; without room it waits at the back end until the driver kicks. */
static void merged(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL);
    uint8_t frame[3000] = { 0x52, 0x54, 0, 1, 2, 3 }, *in;
    unsigned buffers;
    size_t len;

    memset(frame + 6, 0x5a, sizeof(frame) - 6);
    for (int i = 0; i < 2; i++) {
        give_buffer(&n, 1000);
    }
    net_deliver(n.wire->port, frame, sizeof(frame));
    settle();
    g_assert_null(received(&n, &len, &buffers));
    for (int i = 0; i < 2; i++) {
        give_buffer(&n, 1000);
    }
    g_assert_true(drvq_kick_wanted(n.g->queues[RX]));
    guest_kick(n.g, RX);
    settle();
    in = received(&n, &len, &buffers);
    g_assert_nonnull(in);
    g_assert_cmpuint(buffers, ==, 4);
    g_assert_cmpmem(in, len, frame, sizeof(frame));
    g_free(in);
    net_free(&n);
}

/* RFC 1071's own example in a made-up frame: the checksum field holds the pseudo header's part (0). */
static void checksum(void)
{
    Net n = net_new(GUEST_PCI, want, NULL);
    uint8_t frame[60] = { 0 }, hdr[10] = { 1, 0, 0, 0, 0, 0, 20, 0, 10, 0 };
    static const uint8_t example[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
    const uint8_t *out;
    size_t len;

    memcpy(frame + 20, example, 8);
    transmit(&n, hdr, frame, sizeof(frame));
    guest_kick(n.g, TX);
    settle();
    out = g_bytes_get_data(n.wire->got->pdata[0], &len);
    g_assert_cmphex(out[30] << 8 | out[31], ==, (uint16_t)~0xddf2);     /* the sum of the example */
    hdr[6] = 59;                                        /* outside: left alone */
    transmit(&n, hdr, frame, sizeof(frame));
    guest_kick(n.g, TX);
    settle();
    g_assert_cmpuint(n.wire->got->len, ==, 2);
    net_free(&n);
}

static uint8_t control(Net *n, const void *bytes, uint32_t len)
{
    uint64_t c = drv_alloc(&n->g->mem, len, 1), ack = drv_alloc(&n->g->mem, 1, 1);
    DrvSg sg[3] = { { c, 2 }, { c + 2, len - 2 }, { ack, 1 } };

    memcpy(drv_ptr(&n->g->mem, c), bytes, len);
    *(uint8_t *)drv_ptr(&n->g->mem, ack) = 0xee;
    drvq_add(n->g->queues[CTRL], sg, 2, 1);
    guest_kick(n->g, CTRL);
    g_assert_cmpint(drvq_used(n->g->queues[CTRL], NULL), >=, 0);
    return *(uint8_t *)drv_ptr(&n->g->mem, ack);
}

static bool gets(Net *n, const char *dst, const char *type)
{
    uint8_t frame[60] = { 0 }, *in;
    unsigned buffers;
    size_t len;

    memcpy(frame, dst, 6);
    memcpy(frame + 12, type, 4);
    give_buffer(n, 2048);
    net_deliver(n->wire->port, frame, sizeof(frame));
    in = received(n, &len, &buffers);
    g_free(in);
    return in != NULL;
}

static void filter(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL);

    g_assert_true(gets(&n, "\x02\x00\x00\x00\x00\x09", "\x08\x00\0\0"));
    g_assert_cmpuint(control(&n, "\0\0\0", 3), ==, 0);                  /* promiscuous off */
    g_assert_false(gets(&n, "\x02\x00\x00\x00\x00\x09", "\x08\x00\0\0"));
    g_assert_true(gets(&n, "\x52\x54\x00\x01\x02\x03", "\x08\x00\0\0"));
    g_assert_true(gets(&n, "\xff\xff\xff\xff\xff\xff", "\x08\x00\0\0"));
    g_assert_false(gets(&n, "\x33\x33\x00\x00\x00\x01", "\x08\x00\0\0"));
    g_assert_cmpuint(control(&n, "\1\0\1\0\0\0\x02\x00\x00\x00\x00\x09\1\0\0\0\x33\x33\x00\x00\x00\x01", 22), ==, 0);
    g_assert_true(gets(&n, "\x02\x00\x00\x00\x00\x09", "\x08\x00\0\0"));
    g_assert_true(gets(&n, "\x33\x33\x00\x00\x00\x01", "\x08\x00\0\0"));
    g_assert_false(gets(&n, "\x33\x33\x00\x00\x00\x02", "\x08\x00\0\0"));
    g_assert_cmpuint(control(&n, "\0\1\1", 3), ==, 0);                  /* all multicast */
    g_assert_true(gets(&n, "\x33\x33\x00\x00\x00\x02", "\x08\x00\0\0"));
    g_assert_false(gets(&n, "\x52\x54\x00\x01\x02\x03", "\x81\x00\x00\x05"));
    g_assert_cmpuint(control(&n, "\2\0\5\0", 4), ==, 0);
    g_assert_true(gets(&n, "\x52\x54\x00\x01\x02\x03", "\x81\x00\x00\x05"));
    g_assert_cmpuint(control(&n, "\1\1\x52\x54\x00\x0a\x0b\x0c", 8), ==, 0);
    g_assert_cmpuint(guest_config(n.g, 4, 2), ==, 0x0c0b);
    g_assert_cmpuint(control(&n, "\1\0\xff\xff\xff\xff\0\0\0\0", 10), ==, 1);
    g_assert_cmpuint(control(&n, "\x55\0\0", 3), ==, 1);
    net_free(&n);
}

static void link_state(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL);

    while (guest_irq(n.g)) {
    }
    net_set_link(n.wire->port, false);
    g_assert_true(guest_irq(n.g));
    g_assert_cmpuint(guest_config(n.g, 6, 2), ==, 0);
    net_set_link(n.wire->port, true);
    g_assert_true(guest_irq(n.g));
    g_assert_cmpuint(guest_config(n.g, 6, 2), ==, 1);
    net_free(&n);
}

/* The back end does not take frames: they wait, none is lost, order is kept. */
static void flow(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL);
    uint8_t frame[64] = { 0 };
    uint64_t keep = n.g->mem.next;
    unsigned sent = 0, done = 0;

    n.wire->full = true;
    for (int round = 0; round < 60; round++) {
        if (!n.g->queues[TX]->free_count) {
            break;
        }
        n.g->mem.next = keep + (uint64_t)(round % 30) * 0x2000;
        for (int i = 0; i < 20; i++) {
            memcpy(frame + 20, &sent, sizeof(sent));
            if (n.g->queues[TX]->free_count < 3) {
                break;
            }
            transmit(&n, NULL, frame, sizeof(frame));
            sent++;
        }
        guest_kick(n.g, TX);
        settle();
        while (drvq_used(n.g->queues[TX], NULL) >= 0) {
            done++;
        }
    }
    g_assert_cmpuint(sent, >, NET_INBOX_FRAMES);
    g_assert_cmpuint(done, <, sent);
    n.wire->full = false;
    net_ready(n.wire->port);
    settle();
    while (drvq_used(n.g->queues[TX], NULL) >= 0) {
        done++;
    }
    g_assert_cmpuint(done, ==, sent);
    g_assert_cmpuint(n.wire->got->len, ==, sent);
    for (unsigned i = 0; i < sent; i++) {
        g_assert_cmpmem((const uint8_t *)g_bytes_get_data(n.wire->got->pdata[i], NULL) + 20, 4, &i, 4);
    }
    net_free(&n);
}

static void lying(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL);
    DrvSg sg = { drv_alloc(&n.g->mem, 4, 1), 4 };

    drvq_add(n.g->queues[TX], &sg, 1, 0);               /* no room for a header */
    guest_kick(n.g, TX);
    g_assert_true(guest_status(n.g) & 64);
    net_free(&n);
}

static void offloads(void)
{
    Net n = net_new(GUEST_MMIO, want, NULL), u = net_new(GUEST_MMIO, want, "user");

    g_assert_cmphex(guest_offered(n.g) & BIT64(22), ==, 0);
    g_assert_cmphex(guest_offered(u.g) & (BIT64(0) | BIT64(11)), ==, BIT64(0) | BIT64(11));
    net_free(&n);
    net_free(&u);
}

/* Through libslirp and back: a DHCP offer lands in the receive ring. */
static void dhcp(void)
{
    Net n = net_new(GUEST_PCI_LEGACY, want, "user");
    uint8_t f[342] = { 255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 1, 2, 3, 8, 0, 0x45, 0, 328 >> 8, 328 & 255, 0, 0, 0, 0, 64, 17 };
    gint64 stop = wait_end();
    uint8_t *in = NULL, hdr[10] = { 1, 0, 0, 0, 0, 0, 14, 0, 10, 0 };
    unsigned buffers;
    size_t len = 0;

    memset(f + 30, 255, 4);
    f[35] = 68, f[37] = 67, f[38] = 308 >> 8, f[39] = 308 & 255;
    f[42] = 1, f[43] = 1, f[44] = 6;
    memcpy(f + 42 + 28, f + 6, 6);
    memcpy(f + 42 + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
    for (int i = 0; i < 16; i++) {
        give_buffer(&n, 2048);
    }
    guest_kick(n.g, RX);
    /* the IP header's checksum is left to the card: its length is 20, so the sum covers what follows too; make it right here */
    for (uint32_t i = 14, sum = 0; i < 34; i += 2) {
        sum += f[i] << 8 | f[i + 1];
        if (i == 32) {
            sum = (sum & 0xffff) + (sum >> 16);
            sum = ~sum & 0xffff;
            f[24] = (uint8_t)(sum >> 8);
            f[25] = (uint8_t)sum;
        }
    }
    memset(hdr, 0, sizeof(hdr));
    transmit(&n, hdr, f, sizeof(f));
    guest_kick(n.g, TX);
    while (!in && g_get_monotonic_time() < stop) {
        loop_step(loop, false);
        in = received(&n, &len, &buffers);
        if (in && !(len > 282 && in[12] == 8 && in[13] == 0 && in[23] == 17 && in[37] == 68)) {
            g_clear_pointer(&in, g_free);
        }
    }
    g_assert_nonnull(in);
    g_assert_cmpmem(in + 42 + 16, 4, "\x0a\x00\x02\x0f", 4);
    g_free(in);
    net_free(&n);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new("test");
    loop_attach(loop);
    g_test_add_data_func("/virtio-net/frames/mmio-legacy", GUINT_TO_POINTER(GUEST_MMIO_LEGACY), frames);
    g_test_add_data_func("/virtio-net/frames/mmio", GUINT_TO_POINTER(GUEST_MMIO), frames);
    g_test_add_data_func("/virtio-net/frames/pci", GUINT_TO_POINTER(GUEST_PCI), frames);
    g_test_add_func("/virtio-net/merged", merged);
    g_test_add_func("/virtio-net/checksum", checksum);
    g_test_add_func("/virtio-net/filter", filter);
    g_test_add_func("/virtio-net/link", link_state);
    g_test_add_func("/virtio-net/flow", flow);
    g_test_add_func("/virtio-net/lying", lying);
    g_test_add_func("/virtio-net/offloads", offloads);
    g_test_add_func("/virtio-net/dhcp", dhcp);
    status = g_test_run();
    loop_attach(NULL);
    loop_free(loop);
    return status;
}
