/* SPDX-License-Identifier: MIT */
/*
 * The boot order that users give with bootindex=N on disks and cards, as
 * firmware reads it from the file "bootorder" of fw_cfg: paths, one a line, NUL
 * at the end; empty when nobody gave any.
 */
#ifndef HW_VIRTIO_BOOTORDER_H
#define HW_VIRTIO_BOOTORDER_H

#include "hw/virtio/virtio.h"

/* Row of a bootable device's property table; its ops have a boot_node. */
#define VIRTIO_PROP_BOOTINDEX(S) PROP_I32("bootindex", S, vd.bootindex, -1, .help = "place in the boot order, 0 first")

/* In realize: nobody else has that number. */
bool virtio_bootindex_check(VirtioDevice *vd, Error **errp);
/* After the devices are there; the caller frees. */
GString *virtio_bootorder(Machine *m);

#endif
