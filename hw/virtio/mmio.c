/* SPDX-License-Identifier: MIT */
#include "hw/virtio/mmio.h"
#include "hw/virtio/virtio-priv.h"

#include "util/bits.h"
#include "util/log.h"

/* 4.2.2, table 4.1; 4.2.4 for the legacy ones */
enum {
    MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, VENDOR_ID = 0x0c, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SEL = 0x14,
    DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24, GUEST_PAGE_SIZE = 0x28, QUEUE_SEL = 0x30, QUEUE_NUM_MAX = 0x34, QUEUE_NUM = 0x38,
    QUEUE_ALIGN = 0x3c, QUEUE_PFN = 0x40, QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64,
    STATUS = 0x70, QUEUE_DESC_LOW = 0x80, QUEUE_DESC_HIGH = 0x84, QUEUE_DRIVER_LOW = 0x90, QUEUE_DRIVER_HIGH = 0x94,
    QUEUE_DEVICE_LOW = 0xa0, QUEUE_DEVICE_HIGH = 0xa4, SHM_SEL = 0xac, SHM_LEN_LOW = 0xb0, SHM_LEN_HIGH = 0xb4, SHM_BASE_LOW = 0xb8,
    SHM_BASE_HIGH = 0xbc, QUEUE_RESET = 0xc0, CONFIG_GENERATION = 0xfc, CONFIG = 0x100, WINDOW = 0x200,
};
enum { VENDOR = 0x554d4551, MAGIC_VALUE = 0x74726976 };

VirtioDevice *virtio_mmio_device(VirtioMmio *s)
{
    return s->bus.devices->len ? g_ptr_array_index(s->bus.devices, 0) : NULL;
}

static VirtioMmio *window_of(VirtioDevice *vd)
{
    return (VirtioMmio *)vd->dev.bus->parent;
}

static VirtQueue *selected(VirtioDevice *vd)
{
    return vd->queue_sel < vd->nqueues ? virtio_queue(vd, vd->queue_sel) : NULL;
}

static uint64_t half(uint64_t v, bool high)
{
    return high ? v >> 32 : (uint32_t)v;
}

static void set_half(uint64_t *v, bool high, uint64_t val)
{
    *v = high ? deposit64(*v, 32, 32, val) : deposit64(*v, 0, 32, val);
}

/* ---- registers of both versions ---- */

static uint32_t offered(VirtioMmio *s, VirtioDevice *vd)
{
    if (s->force_legacy) {
        return vd->features_sel ? 0 : (uint32_t)vd->host_features;
    }
    return vd->features_sel > 1 ? 0 : (uint32_t)half(vd->host_features & ~BIT64(VIRTIO_F_NOTIFY_ON_EMPTY) & ~BIT64(VIRTIO_F_ANY_LAYOUT), vd->features_sel);
}

static uint32_t queue_read(VirtioMmio *s, VirtioDevice *vd, uint64_t reg)
{
    VirtQueue *q = selected(vd);

    if (!q) {
        return 0;
    }
    switch (reg) {
    case QUEUE_NUM_MAX:
        return q->size_max;
    case QUEUE_PFN:
        return s->force_legacy && q->ring.ready ? (uint32_t)(q->ring.desc / MAX(vd->legacy_page_size, 1)) : 0;
    case QUEUE_READY:
        return !s->force_legacy && q->ring.ready;
    default:
        return 0;
    }
}

static uint32_t reg_read(VirtioMmio *s, VirtioDevice *vd, uint64_t reg)
{
    switch (reg) {
    case MAGIC:
        return MAGIC_VALUE;
    case VERSION:
        return s->force_legacy ? 1 : 2;
    case DEVICE_ID:
        return vd ? vd->ops->id : 0;
    case VENDOR_ID:
        return VENDOR;
    default:
        break;
    }
    if (!vd) {
        return 0;
    }
    switch (reg) {
    case DEVICE_FEATURES:
        return offered(s, vd);
    case QUEUE_NUM_MAX:
    case QUEUE_PFN:
    case QUEUE_READY:
        return queue_read(s, vd, reg);
    case INTERRUPT_STATUS:
        return vd->isr;
    case STATUS:
        return vd->status;
    case CONFIG_GENERATION:
        return s->force_legacy ? 0 : vd->generation;
    case SHM_LEN_LOW:
    case SHM_LEN_HIGH:
    case SHM_BASE_LOW:
    case SHM_BASE_HIGH:
        return ~0u;                                     /* no such region */
    default:
        log_guest("%s: read of register 0x%" PRIx64, s->dev.path, reg);
        return 0;
    }
}

/* ---- writes ---- */

static void features_write(VirtioMmio *s, VirtioDevice *vd, uint32_t val)
{
    uint64_t all = vd->guest_features;

    if (s->force_legacy) {
        if (!vd->guest_features_sel) {
            virtio_set_features(vd, val);
        }
    } else if (vd->guest_features_sel < 2 && !(vd->status & VIRTIO_FEATURES_OK)) {
        set_half(&all, vd->guest_features_sel, val);
        vd->guest_features = all;                       /* checked at FEATURES_OK */
    }
}

static bool pow2_size(const VirtQueue *q, uint64_t num)
{
    return num && num <= q->size_max && (is_pow2(num) || virtio_has(q->vdev, VIRTIO_F_RING_PACKED));
}

static void queue_write_legacy(VirtioMmio *s, VirtioDevice *vd, VirtQueue *q, uint64_t reg, uint32_t val)
{
    switch (reg) {
    case QUEUE_ALIGN:
        vd->legacy_align = is_pow2(val) ? val : 4096;
        break;
    case QUEUE_PFN:
        if (val && !vd->legacy_page_size) {
            log_guest("%s: a queue without a page size", s->dev.path);
            break;
        }
        virtio_queue_set_legacy(q, (uint64_t)val * vd->legacy_page_size, vd->legacy_align);
        break;
    default:
        log_guest("%s: write to register 0x%" PRIx64 " of version 2", s->dev.path, reg);
    }
}

static void queue_write_modern(VirtioMmio *s, VirtQueue *q, uint64_t reg, uint32_t val)
{
    Vring *vr = &q->ring;

    switch (reg) {
    case QUEUE_READY:
        if (val & 1) {
            virtio_queue_start(q);
        } else {
            vr->ready = false;
        }
        return;
    case QUEUE_RESET:
        if (val & 1) {
            virtio_queue_reset(q);
        }
        return;
    default:
        break;
    }
    if (vr->ready) {
        log_guest("%s: a queue is moved while it is ready", s->dev.path);
        return;
    }
    switch (reg) {
    case QUEUE_DESC_LOW: case QUEUE_DESC_HIGH:
        set_half(&vr->desc, reg & 4, val);
        break;
    case QUEUE_DRIVER_LOW: case QUEUE_DRIVER_HIGH:
        set_half(&vr->avail, reg & 4, val);
        break;
    case QUEUE_DEVICE_LOW: case QUEUE_DEVICE_HIGH:
        set_half(&vr->used, reg & 4, val);
        break;
    default:
        log_guest("%s: write to register 0x%" PRIx64 " of version 1", s->dev.path, reg);
    }
}

static void queue_write(VirtioMmio *s, VirtioDevice *vd, uint64_t reg, uint32_t val)
{
    VirtQueue *q = selected(vd);

    if (!q) {
        return;
    }
    if (reg == QUEUE_NUM) {
        if (!q->ring.ready && pow2_size(q, val)) {
            q->ring.num = (uint16_t)val;
        } else {
            log_guest("%s: queue size %u", s->dev.path, val);
        }
    } else if (s->force_legacy) {
        queue_write_legacy(s, vd, q, reg, val);
    } else {
        queue_write_modern(s, q, reg, val);
    }
}

static void reg_write(VirtioMmio *s, VirtioDevice *vd, uint64_t reg, uint32_t val)
{
    switch (reg) {
    case DEVICE_FEATURES_SEL:
        vd->features_sel = val;
        break;
    case DRIVER_FEATURES:
        features_write(s, vd, val);
        break;
    case DRIVER_FEATURES_SEL:
        vd->guest_features_sel = val;
        break;
    case GUEST_PAGE_SIZE:
        if (s->force_legacy) {
            vd->legacy_page_size = is_pow2(val) ? val : 0;
        }
        break;
    case QUEUE_SEL:
        vd->queue_sel = (uint16_t)MIN(val, 0xffff);
        break;
    case QUEUE_NOTIFY:
        virtio_kick(vd, val);
        break;
    case INTERRUPT_ACK:
        vd->isr &= (uint8_t)~val;
        vd->transport->irq_update(vd);
        break;
    case STATUS:
        virtio_set_status(vd, (uint8_t)val);
        break;
    case SHM_SEL:
        break;
    case QUEUE_NUM: case QUEUE_ALIGN: case QUEUE_PFN: case QUEUE_READY: case QUEUE_RESET:
    case QUEUE_DESC_LOW: case QUEUE_DESC_HIGH: case QUEUE_DRIVER_LOW: case QUEUE_DRIVER_HIGH: case QUEUE_DEVICE_LOW: case QUEUE_DEVICE_HIGH:
        queue_write(s, vd, reg, val);
        break;
    default:
        log_guest("%s: write to register 0x%" PRIx64, s->dev.path, reg);
    }
}

/* ---- window ---- */

static MemResult window_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    VirtioMmio *s = opaque;
    VirtioDevice *vd = virtio_mmio_device(s);

    (void)attrs;
    *val = 0;
    if (offset >= CONFIG) {
        if (vd) {
            virtio_config_read(vd, (uint32_t)(offset - CONFIG), size, val);
        }
    } else if (size == 4) {
        *val = reg_read(s, vd, offset);
    } else {
        log_guest("%s: register read of %u bytes", s->dev.path, size);
    }
    return MEM_OK;
}

static MemResult window_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    VirtioMmio *s = opaque;
    VirtioDevice *vd = virtio_mmio_device(s);

    (void)attrs;
    if (!vd) {
        return MEM_OK;
    }
    if (offset >= CONFIG) {
        virtio_config_write(vd, (uint32_t)(offset - CONFIG), size, val);
    } else if (size == 4) {
        reg_write(s, vd, offset, (uint32_t)val);
    } else {
        log_guest("%s: register write of %u bytes", s->dev.path, size);
    }
    return MEM_OK;
}

static const MemOps window_ops = { window_read, window_write, 1, 4, MEM_LITTLE, false };

/* ---- transport ---- */

static bool mmio_legacy(VirtioDevice *vd)
{
    return window_of(vd)->force_legacy;
}

static void mmio_irq_update(VirtioDevice *vd)
{
    irq_set(&window_of(vd)->dev.irq[0], vd->isr);
}

static void mmio_notify_queue(VirtioDevice *vd, VirtQueue *q)
{
    (void)q;
    mmio_irq_update(vd);
}

static const VirtioTransport mmio_transport = {
    .name = "virtio-mmio", .legacy = mmio_legacy, .notify_queue = mmio_notify_queue, .notify_config = mmio_irq_update, .irq_update = mmio_irq_update,
};

const BusType virtio_bus_type = { .name = "virtio-bus", .max_devices = 1 };

static bool mmio_realize(Device *dev, Error **errp)
{
    VirtioMmio *s = (VirtioMmio *)dev;
    g_autofree char *name = g_strdup_printf("virtio-mmio-bus.%u", s->index);

    (void)errp;
    device_add_mmio(dev, "virtio-mmio", WINDOW, &window_ops, s);
    bus_init(&s->bus, &virtio_bus_type, dev, name);
    return true;
}

static void mmio_unrealize(Device *dev)
{
    bus_fini(&((VirtioMmio *)dev)->bus);
}

static const Prop mmio_props[] = {
    PROP_BOOL("force-legacy", VirtioMmio, force_legacy, true, .help = "version 1 of the window; off: version 2"),
    PROP_U32("index", VirtioMmio, index, 0, .help = "number in the name of the bus"),
    {}
};

static const DeviceType mmio_type = {
    .name = "virtio-mmio", .desc = "Virtio window in memory", .category = "Misc", .size = sizeof(VirtioMmio),
    .props = mmio_props, .irqs = 1, .stateless = true, .realize = mmio_realize, .unrealize = mmio_unrealize,
};
DEVICE_TYPE(mmio_type);

/* ---- devices on the bus ---- */

static bool plug(Device *dev, Error **errp)
{
    VirtioDevice *vd = virtio_device(dev);

    dev->mutex = dev->bus->parent->mutex;
    vd->transport = &mmio_transport;
    return virtio_base_realize(dev, errp);
}

static bool plug_late(Device *dev, Error **errp)
{
    VirtioDevice *vd = virtio_device(dev);
    bool legacy = mmio_legacy(vd);

    vd->host_features = vd->prop_features | vd->ops->features(vd);
    if (legacy && (vd->prop_features & BIT64(VIRTIO_F_RING_PACKED))) {
        return error_set(errp, "packed=on needs the modern interface: -global virtio-mmio.force-legacy=false");
    }
    vd->host_features = legacy ? (uint32_t)vd->host_features : vd->host_features | BIT64(VIRTIO_F_VERSION_1);
    return true;
}

const DeviceBase virtio_bus_base = {
    .name = "virtio", .props = virtio_props, .state = &virtio_state, .realize = plug, .realize_late = plug_late, .unrealize = virtio_base_unrealize,
    .reset_enter = virtio_base_reset_enter, .reset_hold = virtio_base_reset_hold,
};
