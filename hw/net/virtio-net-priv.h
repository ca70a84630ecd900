/* SPDX-License-Identifier: MIT */
#ifndef HW_NET_VIRTIO_NET_PRIV_H
#define HW_NET_VIRTIO_NET_PRIV_H

#include "hw/core/machine.h"
#include "hw/virtio/virtio.h"
#include "net/net.h"

/* Feature bits, 5.1.3 */
enum {
    NET_F_CSUM = 0, NET_F_GUEST_CSUM = 1, NET_F_CTRL_GUEST_OFFLOADS = 2, NET_F_MTU = 3, NET_F_MAC = 5, NET_F_HOST_TSO4 = 11, NET_F_HOST_TSO6 = 12,
    NET_F_HOST_ECN = 13, NET_F_MRG_RXBUF = 15, NET_F_STATUS = 16, NET_F_CTRL_VQ = 17, NET_F_CTRL_RX = 18, NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20, NET_F_CTRL_MAC_ADDR = 23,
};

enum { NET_MACS = 64, NET_VLANS = 4096, NET_BUFFERS = 64 };

/* Which frames the driver wants, 5.1.6.5.1 - 5.1.6.5.3 */
typedef struct NetFilter {
    uint8_t mac[6];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    uint32_t unicasts, macs;            /* the table holds unicast addresses first */
    uint8_t table[NET_MACS][6];
    bool uni_overflow, multi_overflow;
    uint8_t vlans[NET_VLANS / 8];
} NetFilter;

typedef struct VirtioNet {
    VirtioDevice vd;
    /* properties */
    char *netdev;
    uint8_t prop_mac[6];
    bool have_mac;
    uint64_t wanted;                    /* feature bits by property */
    uint16_t host_mtu, rx_size, tx_size;
    /* */
    NetPort *nic;
    InputPort port;
    NetFilter filter;
    VringElem *tx_waiting;              /* the back end is full */
    bool refused;                       /* the last frame found no buffers */
    uint8_t *scratch;                   /* frames whose checksum we complete */
} VirtioNet;

static inline VirtioNet *virtio_net(VirtioDevice *vd)
{
    return (VirtioNet *)vd;
}

extern const StateTable net_filter_state;
void net_filter_reset(VirtioNet *s);
bool net_filter_wants(const VirtioNet *s, const uint8_t *frame, size_t len);
void net_control(VirtQueue *q);         /* the control queue was kicked */

#endif
