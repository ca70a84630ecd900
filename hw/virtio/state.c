/* SPDX-License-Identifier: MIT */
/* Rows that every virtio device has: properties and saved state. */
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-priv.h"

#include "util/bits.h"

#define FEATURE(n, bit, def, ...) PROP_BIT64(n, VirtioDevice, prop_features, bit, def, __VA_ARGS__)

const Prop virtio_props[] = {
    FEATURE("indirect_desc", VIRTIO_F_INDIRECT_DESC, true, .help = "on/off"),
    FEATURE("event_idx", VIRTIO_F_EVENT_IDX, true, .help = "on/off"),
    FEATURE("notify_on_empty", VIRTIO_F_NOTIFY_ON_EMPTY, true, .help = "on/off"),
    FEATURE("any_layout", VIRTIO_F_ANY_LAYOUT, true, .help = "on/off"),
    FEATURE("iommu_platform", VIRTIO_F_ACCESS_PLATFORM, false, .help = "on/off"),
    FEATURE("packed", VIRTIO_F_RING_PACKED, false, .help = "on/off"),
    FEATURE("queue_reset", VIRTIO_F_RING_RESET, true, .help = "on/off"),
    {}
};

static bool queue_check(const void *obj, Error **errp)
{
    const VirtQueue *q = obj;

    if (q->ring.num > VRING_SIZE_MAX) {
        return error_set(errp, "a virtqueue of %u descriptors; %d is the most", q->ring.num, VRING_SIZE_MAX);
    }
    return true;
}

/* reset is virtio_reset(): the rows are for save and load */
static const StateField queue_fields[] = {
    STATE_U64(VirtQueue, ring.desc, .keep = true), STATE_U64(VirtQueue, ring.avail, .keep = true), STATE_U64(VirtQueue, ring.used, .keep = true),
    STATE_U16(VirtQueue, ring.num, .keep = true), STATE_BOOL(VirtQueue, ring.ready, .keep = true),
    STATE_U16(VirtQueue, ring.last_avail, .keep = true), STATE_U16(VirtQueue, ring.used_idx, .keep = true),
    STATE_BOOL(VirtQueue, ring.avail_wrap, .keep = true), STATE_BOOL(VirtQueue, ring.used_wrap, .keep = true),
    STATE_U16(VirtQueue, ring.in_flight, .keep = true),
    STATE_U16(VirtQueue, ring.signalled, .keep = true), STATE_BOOL(VirtQueue, ring.signalled_valid, .keep = true),
    STATE_BOOL(VirtQueue, ring.signalled_wrap, .keep = true), STATE_BOOL(VirtQueue, ring.notify_off, .keep = true),
    STATE_U16(VirtQueue, vector, .keep = true),
    {}
};
static const StateTable queue_state = { .name = "virtqueue", .fields = queue_fields, .check = queue_check, .obj_size = sizeof(VirtQueue) };

static bool queue_sane(const Vring *vr)
{
    return !vr->ready || (vr->num && vr->in_flight <= vr->num && (!vr->packed || (vr->last_avail < vr->num && vr->used_idx < vr->num)));
}

static bool post_load(void *obj, Error **errp)
{
    VirtioDevice *vd = obj;

    (void)errp;
    vd->guest_features &= vd->host_features;
    for (unsigned i = 0; i < vd->nqueues; i++) {
        VirtQueue *q = virtio_queue(vd, i);
        bool valid = q->ring.signalled_valid;

        q->ring.broken = false;
        q->ring.why = NULL;
        if (!q->ring.ready) {
            virtio_windows_close(q);
            continue;
        }
        virtio_queue_start(q);
        q->ring.signalled_valid = valid;
        if (!queue_sane(&q->ring)) {
            vd->broken = true;                          /* the driver resets it, or nobody does */
        }
    }
    return true;
}

static const StateField fields[] = {
    STATE_U64(VirtioDevice, guest_features, .keep = true),
    STATE_U32(VirtioDevice, features_sel, .keep = true), STATE_U32(VirtioDevice, guest_features_sel, .keep = true),
    STATE_U16(VirtioDevice, queue_sel, .keep = true), STATE_U16(VirtioDevice, config_vector, .keep = true),
    STATE_U8(VirtioDevice, status, .keep = true), STATE_U8(VirtioDevice, isr, .keep = true), STATE_BOOL(VirtioDevice, broken, .keep = true),
    STATE_U32(VirtioDevice, generation, .keep = true),
    STATE_U32(VirtioDevice, legacy_page_size, .keep = true), STATE_U32(VirtioDevice, legacy_align, .keep = true),
    STATE_STRUCT_PTR(VirtioDevice, queues, nqueues, queue_state, .keep = true),
    {}
};
const StateTable virtio_state = { .name = "virtio", .fields = fields, .post_load = post_load };
