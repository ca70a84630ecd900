/* SPDX-License-Identifier: MIT */
#ifndef HW_VIRTIO_PCI_PRIV_H
#define HW_VIRTIO_PCI_PRIV_H

#include "hw/virtio/virtio.h"

/* Reading the interrupt status clears it. */
uint8_t vpci_isr_read(VirtioDevice *vd);
/* A vector as a driver writes it: itself, or none when there is no such one. */
uint16_t vpci_vector(VirtioDevice *vd, uint64_t val);
void vpci_modern_layout(VirtioDevice *vd);
void vpci_legacy_layout(VirtioDevice *vd);

#endif
