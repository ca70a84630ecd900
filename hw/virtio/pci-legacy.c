/* SPDX-License-Identifier: MIT */
/* The legacy interface in I/O BAR 0: Virtual I/O Device 1.2, section 4.1.4.10. */
#include "hw/virtio/virtio.h"
#include "hw/virtio/pci-priv.h"

#include "hw/core/machine.h"
#include "util/bits.h"
#include "util/log.h"

enum {
    HOST_FEATURES = 0, GUEST_FEATURES = 4, QUEUE_PFN = 8, QUEUE_NUM = 12, QUEUE_SEL = 14, QUEUE_NOTIFY = 16, STATUS = 18, ISR = 19,
    CONFIG_VECTOR = 20, QUEUE_VECTOR = 22, CONFIG_PLAIN = 20, CONFIG_MSIX = 24, PAGE = 4096,
};

static VirtQueue *selected(VirtioDevice *vd)
{
    return vd->queue_sel < vd->nqueues ? virtio_queue(vd, vd->queue_sel) : NULL;
}

static unsigned config_at(const VirtioDevice *vd)
{
    return pci_msix_enabled(&vd->pci) ? CONFIG_MSIX : CONFIG_PLAIN;
}

static MemResult io_read(void *opaque, uint64_t reg, unsigned size, uint64_t *val, MemAttrs attrs)
{
    VirtioDevice *vd = opaque;
    VirtQueue *q = selected(vd);

    (void)attrs;
    if (reg >= config_at(vd)) {
        virtio_config_read(vd, (uint32_t)(reg - config_at(vd)), size, val);
        return MEM_OK;
    }
    switch (reg) {
    case HOST_FEATURES:  *val = (uint32_t)vd->host_features; break;
    case GUEST_FEATURES: *val = (uint32_t)vd->guest_features; break;
    case QUEUE_PFN:      *val = q && q->ring.ready ? (uint32_t)(q->ring.desc / PAGE) : 0; break;
    case QUEUE_NUM:      *val = q ? q->size_max : 0; break;
    case QUEUE_SEL:      *val = vd->queue_sel; break;
    case STATUS:         *val = vd->status; break;
    case ISR:            *val = vpci_isr_read(vd); break;
    case CONFIG_VECTOR:  *val = vd->config_vector; break;
    case QUEUE_VECTOR:   *val = q ? q->vector : VIRTIO_NO_VECTOR; break;
    default:             *val = 0;
    }
    *val &= mask64(0, 8 * size);
    return MEM_OK;
}

static void io_set(VirtioDevice *vd, uint64_t reg, uint32_t val)
{
    VirtQueue *q = selected(vd);

    switch (reg) {
    case GUEST_FEATURES:
        virtio_set_features(vd, val);
        break;
    case QUEUE_PFN:
        if (!q) {
            break;
        }
        virtio_queue_set_legacy(q, (uint64_t)val * PAGE, PAGE);
        break;
    case QUEUE_SEL:
        vd->queue_sel = (uint16_t)val;
        break;
    case QUEUE_NOTIFY:
        virtio_kick(vd, val);
        break;
    case STATUS:
        virtio_set_status(vd, (uint8_t)val);
        break;
    case CONFIG_VECTOR:
        vd->config_vector = vpci_vector(vd, val);
        break;
    case QUEUE_VECTOR:
        if (q) {
            q->vector = vpci_vector(vd, val);
        }
        break;
    default:
        log_guest("%s: write to legacy register %u", vd->dev.path, (unsigned)reg);
    }
}

static MemResult io_write(void *opaque, uint64_t reg, unsigned size, uint64_t val, MemAttrs attrs)
{
    VirtioDevice *vd = opaque;

    (void)attrs;
    if (reg >= config_at(vd)) {
        virtio_config_write(vd, (uint32_t)(reg - config_at(vd)), size, val);
    } else {
        io_set(vd, reg, (uint32_t)val);
    }
    return MEM_OK;
}

static const MemOps io_ops = { io_read, io_write, 1, 4, MEM_LITTLE, false };

void vpci_legacy_layout(VirtioDevice *vd)
{
    unsigned head = vd->pci.cap_msix ? CONFIG_MSIX : CONFIG_PLAIN;

    mem_region_init_io(&vd->vpci->io, vd->dev.machine->mem, "virtio-pci-legacy", pow2_ceil(head + vd->config_size), &io_ops, vd, vd->dev.mutex);
    pci_add_bar(&vd->pci, 0, PCI_BAR_IO, &vd->vpci->io);
}
