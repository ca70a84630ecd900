/* SPDX-License-Identifier: MIT */
/*
 * Network card: Virtual I/O Device 1.2, section 5.1.
 *
 * Transmit: the kicking thread copies frames into the back end's inbox; when
 * that is full the frame waits here until resume().  Receive: frames come in on
 * the main loop through the machine's door and go straight into the driver's
 * buffers; without any the back end keeps them until the driver kicks.
 * Partial checksums are completed here; large TCP segments go out whole to a
 * back end that takes them.
 */
#include "hw/net/virtio-net-priv.h"

#include <string.h>

#include "hw/virtio/bootorder.h"
#include "util/bits.h"
#include "util/bswap.h"
#include "util/iov.h"
#include "util/log.h"

enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2, GSO_NONE = 0, GSO_TCP4 = 1, GSO_TCP6 = 4, GSO_ECN = 0x80 };
enum { RX, TX, CTRL, HDR_MAX = 12 };
enum { STATUS_LINK_UP = 1 };

typedef struct NetHdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
} NetHdr;

static unsigned hdr_bytes(const VirtioNet *s)
{
    return virtio_has(&s->vd, VIRTIO_F_VERSION_1) || virtio_has(&s->vd, NET_F_MRG_RXBUF) ? 12 : 10;
}

/* ---- transmit ---- */

/* RFC 1071 over the bytes from `start`; the pseudo header's sum lies in the field already. */
static void complete_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
    uint64_t sum = 0;
    size_t i = start;

    if (start + offset + 2 > len) {
        return;
    }
    for (; i + 4 <= len; i += 4) {
        uint32_t w;

        memcpy(&w, frame + i, 4);
        sum += w;
    }
    if (i + 2 <= len) {
        uint16_t w;

        memcpy(&w, frame + i, 2);
        sum += w;
        i += 2;
    }
    if (i < len) {
        sum += htole16(frame[i]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum = (uint16_t)~sum ? (uint16_t)~sum : 0xffff;     /* the sum is the same in either byte order */
    memcpy(frame + start + offset, &(uint16_t){ (uint16_t)sum }, 2);
}

/* False: the back end is full. */
static bool send_frame(VirtioNet *s, VringElem *e)
{
    struct iovec cut[NET_BUFFERS];
    uint64_t len = e->out_bytes - hdr_bytes(s);
    unsigned n;
    NetHdr h;

    iov_read(e->out, e->nout, 0, &h, 10);
    if (len > NET_FRAME_MAX) {
        log_guest("%s: a frame of %" PRIu64 " bytes", s->vd.dev.path, len);
        return true;
    }
    if (!(h.flags & HDR_NEEDS_CSUM) && e->nout < NET_BUFFERS) {
        n = iov_cut(e->out, e->nout, hdr_bytes(s), len, cut, NET_BUFFERS);
        return net_send(s->nic, cut, n);
    }
    iov_read(e->out, e->nout, hdr_bytes(s), s->scratch, len);
    if (h.flags & HDR_NEEDS_CSUM) {
        complete_checksum(s->scratch, len, le16toh(h.csum_start), le16toh(h.csum_offset));
    }
    return net_send(s->nic, &(struct iovec){ s->scratch, len }, 1);
}

static void tx_work(VirtQueue *q)
{
    VirtioNet *s = virtio_net(q->vdev);
    VringElem *e;

    while ((e = s->tx_waiting ? s->tx_waiting : virtio_pop(q))) {
        s->tx_waiting = NULL;
        if (e->out_bytes < hdr_bytes(s)) {
            vring_drop(&q->ring, e);
            virtio_broken(q->vdev, "a frame without header");
            return;
        }
        if (!send_frame(s, e)) {
            s->tx_waiting = e;
            break;
        }
        virtio_push(q, e, 0);
    }
    virtio_notify(q);
}

static void tx_handle(VirtQueue *q)
{
    VirtioNet *s = virtio_net(q->vdev);

    if (s->tx_waiting) {
        return;                                         /* resume() goes on */
    }
    do {
        vring_set_kicks(&q->ring, false);
        tx_work(q);
        if (s->tx_waiting) {
            return;
        }
        vring_set_kicks(&q->ring, true);
    } while (virtio_running(q->vdev) && !vring_empty(&q->ring));
}

/* Main loop, no lock. */
static void nic_resume(NetPort *p)
{
    VirtioNet *s = net_port_opaque(p);

    device_lock(&s->vd.dev);
    if (s->tx_waiting && virtio_running(&s->vd)) {
        VirtQueue *q = virtio_queue(&s->vd, TX);

        tx_work(q);
        tx_handle(q);
    }
    device_unlock(&s->vd.dev);
}

static void tx_forget(VirtioNet *s)
{
    if (s->tx_waiting) {
        vring_drop(&virtio_queue(&s->vd, TX)->ring, s->tx_waiting);
        s->tx_waiting = NULL;
    }
}

/* ---- receive ---- */

/* Buffers for `need` bytes, one, or several that count as one; 0: not there now, or not at all. */
static unsigned rx_buffers(VirtioNet *s, VringElem **e, uint64_t need)
{
    VirtQueue *q = virtio_queue(&s->vd, RX);
    unsigned n = 0, max = virtio_has(&s->vd, NET_F_MRG_RXBUF) ? NET_BUFFERS : 1;
    uint64_t room = 0;

    while (room < need && n < max && (e[n] = virtio_pop(q))) {
        room += e[n++]->in_bytes;
    }
    if (room >= need) {
        return n;
    }
    if (n == max) {                                     /* will never fit */
        log_guest("%s: receive buffers of %" PRIu64 " bytes are too small", s->vd.dev.path, room);
        vring_drop(&q->ring, e[--n]);
    } else {
        s->refused = true;
    }
    while (n--) {
        vring_unpop(&q->ring, e[n]);
    }
    return 0;
}

static void rx_store(VirtioNet *s, VringElem **e, unsigned n, const uint8_t *frame, size_t len)
{
    VirtQueue *q = virtio_queue(&s->vd, RX);
    NetHdr h = { .flags = virtio_has(&s->vd, NET_F_GUEST_CSUM) ? HDR_DATA_VALID : 0, .num_buffers = htole16((uint16_t)n) };
    unsigned head = hdr_bytes(s);
    size_t done = 0;

    iov_write(e[0]->in, e[0]->nin, 0, &h, head);
    for (unsigned i = 0; i < n; i++) {
        size_t skip = i ? 0 : head, part = iov_write(e[i]->in, e[i]->nin, skip, frame + done, len - done);

        done += part;
        vring_fill(&q->ring, e[i], (uint32_t)(skip + part));
    }
    vring_flush(&q->ring);
    virtio_notify(q);
}

/* Through the door: device lock held. */
static void rx_frame(void *opaque, const void *data, size_t len)
{
    VirtioNet *s = opaque;
    VringElem *e[NET_BUFFERS];
    VirtQueue *q = virtio_queue(&s->vd, RX);
    unsigned n;

    s->refused = false;
    if (!virtio_running(&s->vd) || !vring_usable(&q->ring) || !net_filter_wants(s, data, len)) {
        return;
    }
    n = rx_buffers(s, e, hdr_bytes(s) + len);
    if (s->refused) {                                   /* hear of new buffers; some may have come meanwhile */
        vring_set_kicks(&q->ring, true);
        n = rx_buffers(s, e, hdr_bytes(s) + len);
        s->refused = s->refused && !n;
    }
    if (n) {
        vring_set_kicks(&q->ring, false);
        rx_store(s, e, n, data, len);
    }
}

/* Main loop, no lock.  Under instruction-driven time the frame takes effect later and cannot come back. */
static bool nic_receive(NetPort *p, const uint8_t *frame, size_t len)
{
    VirtioNet *s = net_port_opaque(p);

    input_send(&s->port, frame, len);
    return clock_mode(s->vd.dev.machine->clock) == CLOCK_ICOUNT || !s->refused;
}

static void rx_handle(VirtQueue *q)
{
    net_ready(virtio_net(q->vdev)->nic);
}

/* ---- link, configuration ---- */

static bool link_up(const VirtioNet *s)
{
    return !net_port_peer(s->nic) || net_link_up(s->nic);
}

static void nic_link(NetPort *p, bool up)
{
    VirtioNet *s = net_port_opaque(p);

    (void)up;
    device_lock(&s->vd.dev);
    if (virtio_has(&s->vd, NET_F_STATUS)) {
        virtio_config_changed(&s->vd);
    }
    device_unlock(&s->vd.dev);
}

static void nic_info(NetPort *p, GString *out)
{
    VirtioNet *s = net_port_opaque(p);
    const uint8_t *m = s->filter.mac;

    g_string_append_printf(out, "model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x", s->vd.dev.type->name, m[0], m[1], m[2], m[3], m[4], m[5]);
}

static const NetOps nic_ops = { .type = "nic", .receive = nic_receive, .resume = nic_resume, .link = nic_link, .info = nic_info };

static uint64_t net_features(VirtioDevice *vd)
{
    VirtioNet *s = virtio_net(vd);
    NetPort *peer = net_port_peer(s->nic);
    uint64_t large = BIT64(NET_F_HOST_TSO4) | BIT64(NET_F_HOST_TSO6) | BIT64(NET_F_HOST_ECN);
    uint64_t f = s->wanted | BIT64(NET_F_MAC);

    if (!peer || !net_port_ops(peer)->large_frames) {
        f &= ~large;
    }
    if (!peer || !net_port_ops(peer)->checksums_right) {
        f &= ~BIT64(NET_F_GUEST_CSUM);
    }
    if (!(f & BIT64(NET_F_CSUM))) {
        f &= ~large;                                    /* 5.1.3.1 */
    }
    if (!(f & BIT64(NET_F_GUEST_CSUM))) {
        f &= ~BIT64(NET_F_CTRL_GUEST_OFFLOADS);
    }
    if (!(f & BIT64(NET_F_CTRL_VQ))) {
        f &= ~(BIT64(NET_F_CTRL_RX) | BIT64(NET_F_CTRL_VLAN) | BIT64(NET_F_CTRL_RX_EXTRA) | BIT64(NET_F_CTRL_MAC_ADDR) | BIT64(NET_F_CTRL_GUEST_OFFLOADS));
    }
    return f | (s->host_mtu ? BIT64(NET_F_MTU) : 0);
}

/* VLANs are filtered only for a driver that can ask for them. */
static bool features_ok(VirtioDevice *vd)
{
    memset(virtio_net(vd)->filter.vlans, virtio_has(vd, NET_F_CTRL_VLAN) ? 0 : 0xff, NET_VLANS / 8);
    return true;
}

static void get_config(VirtioDevice *vd, uint8_t *c)
{
    VirtioNet *s = virtio_net(vd);

    memcpy(c, s->filter.mac, 6);
    stw_le_p(c + 6, link_up(s) ? STATUS_LINK_UP : 0);
    if (s->host_mtu) {
        stw_le_p(c + 8, 1);
        stw_le_p(c + 10, s->host_mtu);
    }
}

static void set_config(VirtioDevice *vd, const uint8_t *c, uint32_t offset, uint32_t len)
{
    VirtioNet *s = virtio_net(vd);

    /* legacy drivers set the address here */
    if (offset + len <= 6 && !virtio_has(vd, VIRTIO_F_VERSION_1) && !virtio_has(vd, NET_F_CTRL_MAC_ADDR)) {
        memcpy(s->filter.mac, c, 6);
    }
}

static void net_reset(VirtioDevice *vd)
{
    VirtioNet *s = virtio_net(vd);

    tx_forget(s);
    net_filter_reset(s);
    s->refused = false;
}

static void queue_reset(VirtQueue *q)
{
    if (q->index == TX) {
        tx_forget(virtio_net(q->vdev));
    }
}

/* Frames that waited for the driver go now (or away). */
static void net_status(VirtioDevice *vd, uint8_t old)
{
    (void)old;
    net_ready(virtio_net(vd)->nic);
}

static unsigned net_vectors(VirtioDevice *vd)
{
    (void)vd;
    return 4;                                           /* pairs, control, configuration, and one as on other machines */
}

/* ---- life ---- */

typedef struct Same { const char *model; unsigned count; } Same;

static void count_same(Device *dev, void *data)
{
    Same *same = data;

    same->count += !dev->id && !strcmp(dev->type->name, same->model);
}

/* The user's id, or "virtio-net-pci.0" and up. */
static char *nic_name(VirtioNet *s)
{
    Device *dev = &s->vd.dev;
    Same same = { dev->type->name, 0 };

    devices_foreach(dev->machine, count_same, &same);
    return dev->id ? g_strdup(dev->id) : g_strdup_printf("%s.%u", dev->type->name, same.count);
}

static bool plug_cable(VirtioNet *s, Error **errp)
{
    Session *session = s->vd.dev.machine->session;
    g_autofree char *owner = g_strconcat(s->vd.dev.type->name, ".netdev", NULL), *name = nic_name(s);
    NetPort *back = NULL;

    if (s->netdev) {
        back = netdev_for_card(session, owner, s->netdev, errp);
        if (!back) {
            return false;
        }
    }
    s->nic = net_port_new(session, &nic_ops, s, name, errp);
    if (s->nic && back) {
        net_join(s->nic, back);
    }
    return s->nic != NULL;
}

static bool size_ok(uint16_t n)
{
    return is_pow2(n) && n >= 64 && n <= VRING_SIZE_MAX;
}

static bool net_realize(Device *dev, Error **errp)
{
    VirtioNet *s = virtio_net(virtio_device(dev));

    if (!size_ok(s->rx_size) || !size_ok(s->tx_size)) {
        return error_set(errp, "rx_queue_size and tx_queue_size must be powers of 2 from 64 to %d", VRING_SIZE_MAX);
    }
    if (!plug_cable(s, errp)) {
        return false;
    }
    if (!s->have_mac) {
        net_mac_next(dev->machine->session, s->prop_mac);
    }
    s->scratch = g_malloc(NET_FRAME_MAX);
    input_port_init(&s->port, device_inputs(dev), INPUT_FRAME, dev->path, rx_frame, s, dev->mutex);
    virtio_setup(&s->vd, s->host_mtu ? 12 : 8, 3);
    virtio_add_queue(&s->vd, s->rx_size, rx_handle);
    virtio_add_queue(&s->vd, s->tx_size, tx_handle);
    if (s->wanted & BIT64(NET_F_CTRL_VQ)) {
        virtio_add_queue(&s->vd, 64, net_control);
    }
    net_filter_reset(s);
    return true;
}

static void net_unrealize(Device *dev)
{
    VirtioNet *s = virtio_net(virtio_device(dev));

    if (s->scratch) {
        input_port_fini(&s->port);
        tx_forget(s);
    }
    g_clear_pointer(&s->nic, net_port_free);
    g_clear_pointer(&s->scratch, g_free);
}

/* What waits goes back into the ring; resume() finds it there. */
static void pre_save(Device *dev)
{
    VirtioNet *s = virtio_net(virtio_device(dev));

    if (s->tx_waiting) {
        vring_unpop(&virtio_queue(&s->vd, TX)->ring, s->tx_waiting);
        s->tx_waiting = NULL;
        vring_set_kicks(&virtio_queue(&s->vd, TX)->ring, true);
    }
}

/* ---- rows ---- */

static bool mac_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    VirtioNet *s = obj;

    if (!net_mac_parse(text, s->prop_mac)) {
        return error_set(errp, "Property 'virtio-net-device.%s' doesn't take value '%s'", p->name, text);
    }
    if (s->prop_mac[0] & 1) {
        return error_set(errp, "Property 'virtio-net-device.%s': '%s' is a group address", p->name, text);
    }
    s->have_mac = true;
    return true;
}

static char *mac_print(void *obj, const Prop *p)
{
    const uint8_t *m = ((VirtioNet *)obj)->prop_mac;

    (void)p;
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void mac_default(void *obj, const Prop *p)
{
    (void)p;
    ((VirtioNet *)obj)->have_mac = false;
}

static const PropType prop_mac_address = { .name = "str", .parse = mac_parse, .print = mac_print, .set_default = mac_default };

#define FEATURE(n, bit) PROP_BIT64(n, VirtioNet, wanted, bit, true, .help = "on/off")
static const Prop net_props[] = {
    { .name = "mac", .type = &prop_mac_address, .offset = offsetof(VirtioNet, prop_mac), .help = "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56" },
    PROP_STR("netdev", VirtioNet, netdev, NULL, .help = "ID of a netdev to use as a backend"),
    VIRTIO_PROP_BOOTINDEX(VirtioNet),
    PROP_U16("host_mtu", VirtioNet, host_mtu, 0, .help = "largest packet that the network takes; 0: not said"),
    PROP_U16("rx_queue_size", VirtioNet, rx_size, 256, .help = "descriptors in the receive queue"),
    PROP_U16("tx_queue_size", VirtioNet, tx_size, 256, .help = "descriptors in the transmit queue"),
    FEATURE("csum", NET_F_CSUM), FEATURE("guest_csum", NET_F_GUEST_CSUM), FEATURE("host_tso4", NET_F_HOST_TSO4),
    FEATURE("host_tso6", NET_F_HOST_TSO6), FEATURE("host_ecn", NET_F_HOST_ECN), FEATURE("mrg_rxbuf", NET_F_MRG_RXBUF),
    FEATURE("status", NET_F_STATUS), FEATURE("ctrl_vq", NET_F_CTRL_VQ), FEATURE("ctrl_rx", NET_F_CTRL_RX),
    FEATURE("ctrl_vlan", NET_F_CTRL_VLAN), FEATURE("ctrl_rx_extra", NET_F_CTRL_RX_EXTRA), FEATURE("ctrl_mac_addr", NET_F_CTRL_MAC_ADDR),
    FEATURE("ctrl_guest_offloads", NET_F_CTRL_GUEST_OFFLOADS),
    {}
};

static const StateField net_state_rows[] = { STATE_STRUCT(VirtioNet, filter, net_filter_state, .keep = true), {} };
static const VirtioOps net_ops = {
    .id = VIRTIO_ID_NET, .name = "virtio-net", .pci_class = 0x020000, .pci_legacy_id = 0x1000, .boot_node = "/ethernet-phy@0",
    .features = net_features, .features_ok = features_ok, .get_config = get_config, .set_config = set_config,
    .status = net_status, .reset = net_reset, .queue_reset = queue_reset, .pci_vectors = net_vectors,
};

VIRTIO_TYPES(virtio_net, "virtio-net", VirtioNet, .desc = "Network card", .category = "Network", .props = net_props, .state = net_state_rows,
             .pre_save = pre_save, .ops = &net_ops, .realize = net_realize, .unrealize = net_unrealize);
