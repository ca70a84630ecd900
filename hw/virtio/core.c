/* SPDX-License-Identifier: MIT */
/* Virtio devices: features, status, configuration space, queues, reset. */
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-priv.h"

#include <assert.h>
#include <string.h>

#include "hw/core/machine.h"
#include "hw/virtio/bootorder.h"
#include "io/loop.h"
#include "util/bits.h"
#include "util/bswap.h"
#include "util/log.h"

enum { CONFIG_MAX = 256 };

/* ---- queues ---- */

struct VirtQueuePost {
    LoopPost node;
    VirtQueue *q;
};

void virtio_setup(VirtioDevice *vd, uint32_t config_size, unsigned max_queues)
{
    assert(config_size <= CONFIG_MAX && max_queues <= VIRTIO_QUEUES_MAX);
    vd->config_size = config_size;
    vd->max_queues = max_queues;
    vd->queues = g_new0(VirtQueue, max_queues);         /* stays where it is */
}

VirtQueue *virtio_add_queue(VirtioDevice *vd, uint16_t size, VirtQueueFn *handle)
{
    VirtQueue *q = &vd->queues[vd->nqueues];

    assert(vd->nqueues < vd->max_queues && size <= VRING_SIZE_MAX);
    *q = (VirtQueue){ .vdev = vd, .index = (uint16_t)vd->nqueues++, .size_max = size, .vector = VIRTIO_NO_VECTOR, .handle = handle };
    vring_init(&q->ring, &virtio_ring_mem, q);
    q->ring.num = size;
    virtio_queue_set_loop(q, vd->default_loop);
    return q;
}

/* A legacy driver may kick before DRIVER_OK; its status follows at once. */
static bool may_work(const VirtQueue *q)
{
    VirtioDevice *vd = q->vdev;

    return !vd->broken && vring_usable(&q->ring) && (virtio_running(vd) || vd->transport->legacy(vd));
}

static void posted(void *opaque)
{
    struct VirtQueuePost *p = opaque;
    VirtQueue *q = p->q;

    if (!q) {
        g_free(p);                                      /* the queue has gone meanwhile */
        return;
    }
    device_lock(&q->vdev->dev);
    q->posted = false;
    if (may_work(q)) {
        q->handle(q);
    }
    device_unlock(&q->vdev->dev);
}

void virtio_queue_set_loop(VirtQueue *q, Loop *loop)
{
    q->loop = loop;
    if (loop && !q->post) {
        q->post = g_new0(struct VirtQueuePost, 1);
        *q->post = (struct VirtQueuePost){ .node = { .fn = posted, .opaque = q->post }, .q = q };
    }
}

static void queue_free(VirtQueue *q)
{
    virtio_windows_close(q);
    if (q->post && q->posted) {
        q->post->q = NULL;                              /* the loop frees it */
    } else {
        g_free(q->post);
    }
}

/* With the vCPUs counting instructions everything happens where the guest did it. */
static bool kick_is_posted(const VirtQueue *q)
{
    return q->loop && clock_mode(q->vdev->dev.machine->clock) == CLOCK_HOST;
}

static void queue_handle(VirtQueue *q)
{
    if (!kick_is_posted(q)) {
        q->handle(q);
    } else if (!q->posted) {
        q->posted = true;
        loop_post_node(q->loop, &q->post->node);
    }
}

void virtio_kick(VirtioDevice *vd, uint32_t index)
{
    VirtQueue *q;

    if (index >= vd->nqueues) {
        log_guest("%s: kick of queue %u, there are %u", vd->dev.path, index, vd->nqueues);
        return;
    }
    q = virtio_queue(vd, index);
    if (may_work(q)) {
        queue_handle(q);
    }
}

VringElem *virtio_pop(VirtQueue *q)
{
    VringElem *e;

    if (q->vdev->broken) {
        return NULL;
    }
    e = vring_pop(&q->ring);
    if (!e && q->ring.broken) {
        virtio_broken(q->vdev, q->ring.why);
    }
    return e;
}

void virtio_push(VirtQueue *q, VringElem *e, uint32_t written)
{
    vring_push(&q->ring, e, written);
}

void virtio_notify(VirtQueue *q)
{
    VirtioDevice *vd = q->vdev;
    bool want = vring_should_notify(&q->ring);

    if (!want && virtio_has(vd, VIRTIO_F_NOTIFY_ON_EMPTY) && !q->ring.in_flight && vring_empty(&q->ring)) {
        want = vring_usable(&q->ring);
    }
    if (want) {
        vd->isr |= 1;
        vd->transport->notify_queue(vd, q);
    }
}

void virtio_queue_work(VirtQueue *q, void (*work)(VirtQueue *q))
{
    do {
        vring_set_kicks(&q->ring, false);
        work(q);
        vring_set_kicks(&q->ring, true);
    } while (!q->vdev->broken && !q->ring.broken && !vring_empty(&q->ring));
    if (q->ring.broken && !q->vdev->broken) {
        virtio_broken(q->vdev, q->ring.why);
    }
}

void virtio_queue_start(VirtQueue *q)
{
    VirtioDevice *vd = q->vdev;

    vring_start(&q->ring, virtio_has(vd, VIRTIO_F_RING_PACKED), virtio_has(vd, VIRTIO_F_EVENT_IDX));
    virtio_windows_open(q);
}

static void queue_clear(VirtQueue *q)
{
    virtio_windows_close(q);
    vring_reset(&q->ring);
    q->ring.num = q->size_max;
    q->vector = VIRTIO_NO_VECTOR;
}

void virtio_queue_reset(VirtQueue *q)
{
    if (q->vdev->ops->queue_reset) {
        q->vdev->ops->queue_reset(q);
    }
    queue_clear(q);
}

void virtio_queue_set_legacy(VirtQueue *q, uint64_t addr, uint32_t align)
{
    Vring *vr = &q->ring;

    if (!addr) {
        virtio_queue_reset(q);
        return;
    }
    vr->desc = addr;
    vr->avail = addr + vring_desc_bytes(vr);
    vr->used = ALIGN_UP(vr->avail + 6 + 2ull * vr->num, (uint64_t)MAX(align, 4));
    virtio_queue_start(q);
}

/* ---- trouble, configuration ---- */

void virtio_config_changed(VirtioDevice *vd)
{
    vd->generation++;
    if (vd->status & VIRTIO_DRIVER_OK) {
        vd->isr |= 2;
        vd->transport->notify_config(vd);
    }
}

void virtio_broken(VirtioDevice *vd, const char *why)
{
    if (vd->broken) {
        return;
    }
    log_guest("%s: %s; the device waits for a reset", vd->dev.path, why);
    vd->broken = true;
    if (virtio_has(vd, VIRTIO_F_VERSION_1)) {
        vd->status |= VIRTIO_NEEDS_RESET;
        virtio_config_changed(vd);
    }
}

void virtio_config_read(VirtioDevice *vd, uint32_t offset, unsigned size, uint64_t *val)
{
    uint8_t cfg[CONFIG_MAX] = { 0 };

    *val = 0;
    if (offset + size > vd->config_size || !vd->ops->get_config) {
        return;
    }
    vd->ops->get_config(vd, cfg);
    *val = ldn_le_p(cfg + offset, size);
}

void virtio_config_write(VirtioDevice *vd, uint32_t offset, unsigned size, uint64_t val)
{
    uint8_t cfg[CONFIG_MAX] = { 0 };

    if (offset + size > vd->config_size || !vd->ops->set_config) {
        log_guest("%s: write to read-only configuration at %u", vd->dev.path, offset);
        return;
    }
    vd->ops->get_config(vd, cfg);
    stn_le_p(cfg + offset, size, val);
    vd->ops->set_config(vd, cfg, offset, size);
}

/* ---- features and status ---- */

bool virtio_set_features(VirtioDevice *vd, uint64_t features)
{
    bool known = !(features & ~vd->host_features);

    vd->guest_features = features & vd->host_features;
    return known && (!vd->ops->features_ok || vd->ops->features_ok(vd));
}

void virtio_reset(VirtioDevice *vd)
{
    uint8_t old = vd->status;

    if (vd->ops->reset) {
        vd->ops->reset(vd);
    }
    for (unsigned i = 0; i < vd->nqueues; i++) {
        queue_clear(virtio_queue(vd, i));
    }
    vd->status = vd->isr = 0;
    vd->broken = false;
    vd->guest_features = 0;
    vd->features_sel = vd->guest_features_sel = 0;
    vd->queue_sel = 0;
    vd->config_vector = VIRTIO_NO_VECTOR;
    if (vd->transport) {
        vd->transport->irq_update(vd);
    }
    if (vd->ops->status && old) {
        vd->ops->status(vd, old);
    }
}

static void kick_all(VirtioDevice *vd)
{
    for (unsigned i = 0; i < vd->nqueues && virtio_running(vd); i++) {
        VirtQueue *q = virtio_queue(vd, i);

        if (vring_usable(&q->ring)) {
            queue_handle(q);
        }
    }
}

void virtio_set_status(VirtioDevice *vd, uint8_t status)
{
    uint8_t old = vd->status;

    if (!status) {
        virtio_reset(vd);
        return;
    }
    if (!vd->transport->legacy(vd) && (status & ~old & VIRTIO_FEATURES_OK) &&
        (!virtio_has(vd, VIRTIO_F_VERSION_1) || !virtio_set_features(vd, vd->guest_features))) {
        status &= ~VIRTIO_FEATURES_OK;
    }
    vd->status = status | (old & VIRTIO_NEEDS_RESET);
    if (vd->ops->status) {
        vd->ops->status(vd, old);
    }
    if ((status & ~old) & VIRTIO_DRIVER_OK) {
        kick_all(vd);                                   /* buffers that lie there already */
    }
}

/* ---- life ---- */

bool virtio_base_realize(Device *dev, Error **errp)
{
    VirtioDevice *vd = virtio_device(dev);

    vd->ops = dev->type->ops;
    vd->config_vector = VIRTIO_NO_VECTOR;
    if (!vd->ops->boot_node) {
        vd->bootindex = -1;
    }
    return virtio_bootindex_check(vd, errp);
}

void virtio_base_unrealize(Device *dev)
{
    VirtioDevice *vd = virtio_device(dev);

    for (unsigned i = 0; i < vd->nqueues; i++) {
        queue_free(virtio_queue(vd, i));
    }
    g_clear_pointer(&vd->queues, g_free);
    vd->nqueues = 0;
}

void virtio_base_reset_enter(Device *dev)
{
    VirtioDevice *vd = virtio_device(dev);
    const VirtioTransport *t = vd->transport;

    vd->transport = NULL;                               /* wires rest in this moment */
    virtio_reset(vd);
    vd->transport = t;
    vd->generation = 0;
    vd->legacy_page_size = vd->legacy_align = 0;        /* a driver sets them once and then resets the device */
}

void virtio_base_reset_hold(Device *dev)
{
    VirtioDevice *vd = virtio_device(dev);

    vd->transport->irq_update(vd);
}
