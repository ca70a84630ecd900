/* SPDX-License-Identifier: MIT */
/* Capabilities and the four parts of BAR 4: Virtual I/O Device 1.2, section 4.1.4. */
#include "hw/virtio/virtio.h"
#include "hw/virtio/pci-priv.h"

#include "hw/core/machine.h"
#include "util/bits.h"
#include "util/log.h"

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { PART_COMMON, PART_ISR, PART_DEVICE, PART_NOTIFY, PARTS, PART_SIZE = 0x1000, BAR = 4 };

/* 4.1.4.3 */
enum {
    DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c, CONFIG_MSIX_VECTOR = 0x10,
    NUM_QUEUES = 0x12, DEVICE_STATUS = 0x14, CONFIG_GENERATION = 0x15, QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_MSIX_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e, QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28, QUEUE_DEVICE = 0x30, QUEUE_NOTIFY_DATA = 0x38,
    QUEUE_RESET = 0x3a,
};

static VirtQueue *selected(VirtioDevice *vd)
{
    return vd->queue_sel < vd->nqueues ? virtio_queue(vd, vd->queue_sel) : NULL;
}

/* ---- common configuration ---- */

static uint64_t offered(const VirtioDevice *vd)
{
    return vd->host_features & ~BIT64(VIRTIO_F_NOTIFY_ON_EMPTY) & ~BIT64(VIRTIO_F_ANY_LAYOUT);
}

static uint32_t word_of(uint64_t v, uint32_t sel)
{
    return sel > 1 ? 0 : (uint32_t)(v >> 32 * sel);
}

static uint64_t queue_read(const VirtQueue *q, uint64_t reg)
{
    switch (reg) {
    case QUEUE_SIZE:            return q->ring.num;
    case QUEUE_MSIX_VECTOR:     return q->vector;
    case QUEUE_ENABLE:          return q->ring.ready;
    case QUEUE_NOTIFY_OFF:      return q->index;
    case QUEUE_DESC:            return (uint32_t)q->ring.desc;
    case QUEUE_DESC + 4:        return q->ring.desc >> 32;
    case QUEUE_DRIVER:          return (uint32_t)q->ring.avail;
    case QUEUE_DRIVER + 4:      return q->ring.avail >> 32;
    case QUEUE_DEVICE:          return (uint32_t)q->ring.used;
    case QUEUE_DEVICE + 4:      return q->ring.used >> 32;
    case QUEUE_NOTIFY_DATA:     return q->index;
    default:                    return 0;
    }
}

static uint64_t common_reg(VirtioDevice *vd, uint64_t reg)
{
    VirtQueue *q = selected(vd);

    switch (reg) {
    case DEVICE_FEATURE_SELECT: return vd->features_sel;
    case DEVICE_FEATURE:        return word_of(offered(vd), vd->features_sel);
    case DRIVER_FEATURE_SELECT: return vd->guest_features_sel;
    case DRIVER_FEATURE:        return word_of(vd->guest_features, vd->guest_features_sel);
    case CONFIG_MSIX_VECTOR:    return vd->config_vector;
    case NUM_QUEUES:            return vd->nqueues;
    case DEVICE_STATUS:         return vd->status;
    case CONFIG_GENERATION:     return vd->generation & 0xff;
    case QUEUE_SELECT:          return vd->queue_sel;
    default:                    return q ? queue_read(q, reg) : 0;
    }
}

static MemResult common_read(void *opaque, uint64_t reg, unsigned size, uint64_t *val, MemAttrs attrs)
{
    (void)attrs;
    *val = common_reg(opaque, reg) & mask64(0, 8 * size);
    return MEM_OK;
}

static void queue_place(VirtQueue *q, uint64_t *addr, bool high, uint64_t val)
{
    if (q->ring.ready) {
        log_guest("%s: a queue is moved while it is enabled", q->vdev->dev.path);
    } else {
        *addr = deposit64(*addr, high ? 32 : 0, 32, val);
    }
}

static void queue_write(VirtioDevice *vd, VirtQueue *q, uint64_t reg, uint64_t val)
{
    switch (reg) {
    case QUEUE_SIZE:
        if (!q->ring.ready && val && val <= q->size_max && (is_pow2(val) || virtio_has(vd, VIRTIO_F_RING_PACKED))) {
            q->ring.num = (uint16_t)val;
        } else {
            log_guest("%s: queue size %u", vd->dev.path, (unsigned)val);
        }
        break;
    case QUEUE_MSIX_VECTOR:
        q->vector = vpci_vector(vd, val);
        break;
    case QUEUE_ENABLE:
        if (val == 1) {
            virtio_queue_start(q);
        } else {
            log_guest("%s: queue_enable written with %u", vd->dev.path, (unsigned)val);
        }
        break;
    case QUEUE_RESET:
        if (val == 1 && virtio_has(vd, VIRTIO_F_RING_RESET)) {
            virtio_queue_reset(q);
        }
        break;
    case QUEUE_DESC: case QUEUE_DESC + 4:
        queue_place(q, &q->ring.desc, reg & 4, val);
        break;
    case QUEUE_DRIVER: case QUEUE_DRIVER + 4:
        queue_place(q, &q->ring.avail, reg & 4, val);
        break;
    case QUEUE_DEVICE: case QUEUE_DEVICE + 4:
        queue_place(q, &q->ring.used, reg & 4, val);
        break;
    default:
        log_guest("%s: write to common configuration at 0x%" PRIx64, vd->dev.path, reg);
    }
}

static void common_set(VirtioDevice *vd, uint64_t reg, uint64_t val)
{
    VirtQueue *q = selected(vd);

    switch (reg) {
    case DEVICE_FEATURE_SELECT:
        vd->features_sel = (uint32_t)val;
        break;
    case DRIVER_FEATURE_SELECT:
        vd->guest_features_sel = (uint32_t)val;
        break;
    case DRIVER_FEATURE:
        if (vd->guest_features_sel < 2 && !(vd->status & VIRTIO_FEATURES_OK)) {
            vd->guest_features = deposit64(vd->guest_features, 32 * vd->guest_features_sel, 32, val);
        }
        break;
    case CONFIG_MSIX_VECTOR:
        vd->config_vector = vpci_vector(vd, val);
        break;
    case DEVICE_STATUS:
        vd->vpci->modern_driver = val != 0;
        virtio_set_status(vd, (uint8_t)val);
        break;
    case QUEUE_SELECT:
        vd->queue_sel = (uint16_t)val;
        break;
    default:
        if (q) {
            queue_write(vd, q, reg, val);
        }
    }
}

static MemResult common_write(void *opaque, uint64_t reg, unsigned size, uint64_t val, MemAttrs attrs)
{
    (void)size, (void)attrs;
    common_set(opaque, reg, val);
    return MEM_OK;
}

/* ---- the other parts ---- */

static MemResult isr_read(void *opaque, uint64_t reg, unsigned size, uint64_t *val, MemAttrs attrs)
{
    (void)size, (void)attrs;
    *val = reg ? 0 : vpci_isr_read(opaque);
    return MEM_OK;
}

static MemResult isr_write(void *opaque, uint64_t reg, unsigned size, uint64_t val, MemAttrs attrs)
{
    (void)opaque, (void)reg, (void)size, (void)val, (void)attrs;
    return MEM_OK;
}

static MemResult device_read(void *opaque, uint64_t reg, unsigned size, uint64_t *val, MemAttrs attrs)
{
    (void)attrs;
    virtio_config_read(opaque, (uint32_t)reg, size, val);
    return MEM_OK;
}

static MemResult device_write(void *opaque, uint64_t reg, unsigned size, uint64_t val, MemAttrs attrs)
{
    (void)attrs;
    virtio_config_write(opaque, (uint32_t)reg, size, val);
    return MEM_OK;
}

static unsigned doorbell_stride(const VirtioDevice *vd)
{
    return vd->vpci->page_per_vq ? 4096 : 4;
}

static MemResult notify_read(void *opaque, uint64_t reg, unsigned size, uint64_t *val, MemAttrs attrs)
{
    (void)opaque, (void)reg, (void)size, (void)attrs;
    *val = 0;
    return MEM_OK;
}

static MemResult notify_write(void *opaque, uint64_t reg, unsigned size, uint64_t val, MemAttrs attrs)
{
    VirtioDevice *vd = opaque;

    (void)size, (void)val, (void)attrs;
    virtio_kick(vd, (uint32_t)(reg / doorbell_stride(vd)));
    return MEM_OK;
}

static const MemOps part_ops[PARTS] = {
    [PART_COMMON] = { common_read, common_write, 1, 4, MEM_LITTLE, false },
    [PART_ISR] = { isr_read, isr_write, 1, 4, MEM_LITTLE, false },
    [PART_DEVICE] = { device_read, device_write, 1, 4, MEM_LITTLE, false },
    [PART_NOTIFY] = { notify_read, notify_write, 1, 4, MEM_LITTLE, false },
};

/* ---- the window in configuration space, 4.1.4.9: offset and length by the driver, data at +16 ---- */

static bool window_target(VirtioDevice *vd, unsigned len, unsigned *part, uint64_t *reg)
{
    PciDevice *d = &vd->pci;
    unsigned cap = vd->vpci->window_cap;
    uint32_t offset = pci_get32(d, cap + 8), length = pci_get32(d, cap + 12);

    if (d->config[cap + 4] != BAR || length != len || offset >= d->bar[BAR].size || (offset & (length - 1))) {
        return false;
    }
    *part = MIN(offset / PART_SIZE, PART_NOTIFY);
    *reg = offset - *part * PART_SIZE;
    return true;
}

static uint32_t window_read(PciDevice *d, unsigned offset, unsigned len, uint32_t val)
{
    VirtioDevice *vd = virtio_device(&d->dev);
    unsigned part;
    uint64_t reg, v;

    if (offset != vd->vpci->window_cap + 16u || !window_target(vd, len, &part, &reg)) {
        return val;
    }
    part_ops[part].read(vd, reg, len, &v, MEM_ATTRS_NONE);
    return (uint32_t)v;
}

static void window_written(PciDevice *d, unsigned offset, unsigned len)
{
    VirtioDevice *vd = virtio_device(&d->dev);
    unsigned part;
    uint64_t reg;

    if (offset == vd->vpci->window_cap + 16u && window_target(vd, len, &part, &reg)) {
        part_ops[part].write(vd, reg, len, pci_get32(d, offset) & mask64(0, 8 * len), MEM_ATTRS_NONE);
    }
}

/* ---- layout ---- */

static uint16_t add_cap(VirtioDevice *vd, uint8_t type, unsigned part, uint32_t length, uint8_t size)
{
    PciDevice *d = &vd->pci;
    uint16_t cap = pci_add_cap(d, PCI_CAP_VENDOR, 0, size);

    pci_set8(d, cap + 2, size);
    pci_set8(d, cap + 3, type);
    pci_set8(d, cap + 4, type == CAP_PCI ? 0 : BAR);
    pci_set32(d, cap + 8, type == CAP_PCI ? 0 : part * PART_SIZE);
    pci_set32(d, cap + 12, length);
    return cap;
}

void vpci_modern_layout(VirtioDevice *vd)
{
    static const char *const names[PARTS] = { "virtio-pci-common", "virtio-pci-isr", "virtio-pci-device", "virtio-pci-notify" };
    uint32_t notify_size = vd->vpci->page_per_vq ? 4096 * vd->nqueues : MAX(PART_SIZE, 4 * vd->nqueues);
    Memory *mem = vd->dev.machine->mem;
    VirtioPci *v = vd->vpci;
    PciDevice *d = &vd->pci;
    uint16_t cap;

    mem_region_init(&v->bar, mem, "virtio-pci", pow2_ceil(MAX(4 * PART_SIZE, PART_NOTIFY * PART_SIZE + notify_size)));
    for (unsigned i = 0; i < PARTS; i++) {
        mem_region_init_io(&v->parts[i], mem, names[i], i == PART_NOTIFY ? notify_size : PART_SIZE, &part_ops[i], vd, vd->dev.mutex);
        mem_region_add(&v->bar, i * PART_SIZE, &v->parts[i]);
    }
    add_cap(vd, CAP_COMMON, PART_COMMON, PART_SIZE, 16);
    add_cap(vd, CAP_ISR, PART_ISR, PART_SIZE, 16);
    add_cap(vd, CAP_DEVICE, PART_DEVICE, PART_SIZE, 16);
    cap = add_cap(vd, CAP_NOTIFY, PART_NOTIFY, notify_size, 20);
    pci_set32(d, cap + 16, doorbell_stride(vd));
    cap = add_cap(vd, CAP_PCI, 0, 0, 20);
    v->window_cap = cap;
    pci_writable(d, cap + 4, 0xff);
    pci_writable(d, cap + 8, ~0u);
    pci_writable(d, cap + 12, ~0u);
    pci_writable(d, cap + 16, ~0u);
    d->config_read = window_read;
    d->config_written = window_written;
    pci_add_bar(d, BAR, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &v->bar);
}
