/* SPDX-License-Identifier: MIT */
/*
 * virtio-mmio: a window of 0x200 bytes with a bus for one device
 * (Virtual I/O Device 1.2, section 4.2).
 *
 * Version 1 (legacy) by default, version 2 with force-legacy=off.  The device
 * shares the window's lock.  A board makes its windows with
 * device_new(m, "virtio-mmio", ...), maps mmio[0] and connects irq[0], level
 * high; the bus is called "virtio-mmio-bus.N" after the property `index`.
 * -device takes the first bus with room, so the board makes the window that
 * shall be filled first, first.
 */
#ifndef HW_VIRTIO_MMIO_H
#define HW_VIRTIO_MMIO_H

#include "hw/virtio/virtio.h"

typedef struct VirtioMmio {
    Device dev;
    Bus bus;
    bool force_legacy;
    uint32_t index;
} VirtioMmio;

/* The device in the window, or NULL. */
VirtioDevice *virtio_mmio_device(VirtioMmio *s);

#endif
