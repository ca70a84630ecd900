/* SPDX-License-Identifier: MIT */
#ifndef HW_VIRTIO_VIRTIO_PRIV_H
#define HW_VIRTIO_VIRTIO_PRIV_H

#include "hw/virtio/virtio.h"

extern const VringMem virtio_ring_mem;      /* opaque: the VirtQueue */
void virtio_windows_open(VirtQueue *q);
void virtio_windows_close(VirtQueue *q);
extern const Prop virtio_props[];
extern const StateTable virtio_state;
bool virtio_base_realize(Device *dev, Error **errp);
void virtio_base_unrealize(Device *dev);
void virtio_base_reset_enter(Device *dev);
void virtio_base_reset_hold(Device *dev);

#endif
