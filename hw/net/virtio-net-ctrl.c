/* SPDX-License-Identifier: MIT */
/* The control queue of a network card and the receive filter that it sets: Virtual I/O Device 1.2, section 5.1.6.5. */
#include "hw/net/virtio-net-priv.h"

#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"
#include "util/iov.h"

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_OFFLOADS = 5 };
enum { ACK_OK = 0, ACK_ERR = 1 };

/* ---- filter ---- */

void net_filter_reset(VirtioNet *s)
{
    NetFilter *f = &s->filter;

    memset(f, 0, sizeof(*f));
    memcpy(f->mac, s->prop_mac, sizeof(f->mac));
    f->promisc = true;                                  /* until the driver says otherwise */
    memset(f->vlans, 0xff, sizeof(f->vlans));
}

static bool in_table(const NetFilter *f, unsigned from, unsigned to, const uint8_t *mac)
{
    for (unsigned i = from; i < to; i++) {
        if (!memcmp(f->table[i], mac, 6)) {
            return true;
        }
    }
    return false;
}

bool net_filter_wants(const VirtioNet *s, const uint8_t *frame, size_t len)
{
    static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };
    const NetFilter *f = &s->filter;

    if (len < 14) {
        return false;
    }
    if (f->promisc) {
        return true;
    }
    if (len >= 18 && frame[12] == 0x81 && frame[13] == 0) {
        unsigned vlan = (frame[14] & 0xf) << 8 | frame[15];

        if (!(f->vlans[vlan / 8] & BIT(vlan % 8))) {
            return false;
        }
    }
    if (!memcmp(frame, broadcast, 6)) {
        return !f->nobcast;
    }
    if (frame[0] & 1) {
        return !f->nomulti && (f->allmulti || f->multi_overflow || in_table(f, f->unicasts, f->macs, frame));
    }
    return !f->nouni && (f->alluni || f->uni_overflow || !memcmp(frame, f->mac, 6) || in_table(f, 0, f->unicasts, frame));
}

static bool filter_check(const void *obj, Error **errp)
{
    const NetFilter *f = obj;

    return (f->macs <= NET_MACS && f->unicasts <= f->macs) || error_set(errp, "a receive filter of %u addresses; %d is the most", f->macs, NET_MACS);
}

static const StateField filter_fields[] = {
    STATE_BUF(NetFilter, mac, .keep = true), STATE_BOOL(NetFilter, promisc, .keep = true), STATE_BOOL(NetFilter, allmulti, .keep = true),
    STATE_BOOL(NetFilter, alluni, .keep = true), STATE_BOOL(NetFilter, nomulti, .keep = true), STATE_BOOL(NetFilter, nouni, .keep = true),
    STATE_BOOL(NetFilter, nobcast, .keep = true), STATE_U32(NetFilter, unicasts, .keep = true, .max = NET_MACS),
    STATE_U32(NetFilter, macs, .keep = true, .max = NET_MACS), STATE_BUF(NetFilter, table, .keep = true),
    STATE_BOOL(NetFilter, uni_overflow, .keep = true), STATE_BOOL(NetFilter, multi_overflow, .keep = true),
    STATE_BUF(NetFilter, vlans, .keep = true),
    {}
};
const StateTable net_filter_state = { .name = "filter", .fields = filter_fields, .check = filter_check, .obj_size = sizeof(NetFilter) };

/* ---- commands ---- */

static bool set_mode(NetFilter *f, uint8_t command, const uint8_t *data, size_t len)
{
    bool *const modes[] = { &f->promisc, &f->allmulti, &f->alluni, &f->nomulti, &f->nouni, &f->nobcast };

    if (command >= ARRAY_SIZE(modes) || len < 1) {
        return false;
    }
    *modes[command] = data[0] & 1;
    return true;
}

/* A count and as many addresses; what does not fit is "all of the kind". */
static bool take_table(NetFilter *f, const uint8_t **data, size_t *len, bool *overflow)
{
    uint32_t n;

    if (*len < 4) {
        return false;
    }
    n = ldl_le_p(*data);
    if (n > (*len - 4) / 6) {
        return false;
    }
    *overflow = n > NET_MACS - f->macs;
    if (!*overflow) {
        memcpy(f->table[f->macs], *data + 4, 6 * n);
        f->macs += n;
    }
    *data += 4 + 6 * (size_t)n;
    *len -= 4 + 6 * (size_t)n;
    return true;
}

static bool set_mac(VirtioNet *s, uint8_t command, const uint8_t *data, size_t len)
{
    NetFilter *f = &s->filter;
    NetFilter fresh = *f;

    if (command == 1 && len == 6) {
        memcpy(f->mac, data, 6);
        return true;
    }
    fresh.macs = 0;
    if (command || !take_table(&fresh, &data, &len, &fresh.uni_overflow)) {
        return false;
    }
    fresh.unicasts = fresh.macs;
    if (!take_table(&fresh, &data, &len, &fresh.multi_overflow) || len) {
        return false;
    }
    *f = fresh;
    return true;
}

static bool set_vlan(NetFilter *f, uint8_t command, const uint8_t *data, size_t len)
{
    unsigned vlan = len == 2 ? lduw_le_p(data) : NET_VLANS;

    if (vlan >= NET_VLANS || command > 1) {
        return false;
    }
    f->vlans[vlan / 8] = (uint8_t)(command ? f->vlans[vlan / 8] & ~BIT(vlan % 8) : f->vlans[vlan / 8] | BIT(vlan % 8));
    return true;
}

static bool command(VirtioNet *s, const uint8_t *c, size_t len)
{
    switch (c[0]) {
    case CLASS_RX:
        return set_mode(&s->filter, c[1], c + 2, len - 2);
    case CLASS_MAC:
        return set_mac(s, c[1], c + 2, len - 2);
    case CLASS_VLAN:
        return set_vlan(&s->filter, c[1], c + 2, len - 2);
    case CLASS_OFFLOADS:
        return c[1] == 0 && len == 10;                  /* we have nothing that could be turned off harmfully */
    default:
        return false;
    }
}

static void work(VirtQueue *q)
{
    VirtioNet *s = virtio_net(q->vdev);
    uint8_t buf[2 + 8 + 6 * 1024], ack;
    VringElem *e;
    size_t len;

    while ((e = virtio_pop(q))) {
        len = iov_read(e->out, e->nout, 0, buf, sizeof(buf));
        if (len < 2 || !e->in_bytes) {
            vring_drop(&q->ring, e);
            virtio_broken(q->vdev, "a control command without header or answer");
            return;
        }
        ack = e->out_bytes <= sizeof(buf) && command(s, buf, len) ? ACK_OK : ACK_ERR;
        iov_write(e->in, e->nin, 0, &ack, 1);
        virtio_push(q, e, 1);
        virtio_notify(q);
    }
}

void net_control(VirtQueue *q)
{
    virtio_queue_work(q, work);
}
