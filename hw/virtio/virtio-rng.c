/* SPDX-License-Identifier: MIT */
/* Entropy device: Virtual I/O Device 1.2, section 5.4. */
#include "hw/virtio/rng.h"
#include "hw/virtio/virtio.h"

#include <string.h>

#include "hw/core/machine.h"

enum { QUEUE_SIZE = 8 };

typedef struct VirtioRng {
    VirtioDevice vd;
    char *rng;                  /* object, or NULL for the machine's own source */
    uint64_t max_bytes;
    uint32_t period;            /* ms */
    uint64_t quota;             /* bytes left in this period */
    Timer timer;
} VirtioRng;

static VirtioRng *virtio_rng(VirtioDevice *vd)
{
    return (VirtioRng *)vd;
}

static bool limited(const VirtioRng *s)
{
    return s->max_bytes < INT64_MAX;
}

static uint32_t fill(VirtioRng *s, VringElem *e)
{
    uint64_t todo = MIN(e->in_bytes, 1 << 20), done = 0;

    if (limited(s)) {
        todo = MIN(todo, s->quota);
        s->quota -= todo;
    }
    for (unsigned i = 0; i < e->nin && done < todo; i++) {
        uint64_t part = MIN(e->in[i].iov_len, todo - done);

        input_random(device_inputs(&s->vd.dev), e->in[i].iov_base, part);
        done += part;
    }
    return (uint32_t)done;
}

static void work(VirtQueue *q)
{
    VirtioRng *s = virtio_rng(q->vdev);
    VringElem *e;

    while ((!limited(s) || s->quota) && (e = virtio_pop(q))) {
        virtio_push(q, e, fill(s, e));
    }
}

static void handle(VirtQueue *q)
{
    VirtioRng *s = virtio_rng(q->vdev);

    if (limited(s) && !timer_armed(&s->timer)) {
        s->quota = s->max_bytes;
        timer_mod(&s->timer, clock_now(device_clock(&s->vd.dev)) + s->period * NS_PER_MS);
    }
    work(q);
    virtio_notify(q);
}

/* A new period; the timer rests until the driver asks again. */
static void period_over(void *opaque)
{
    VirtioRng *s = opaque;

    s->quota = s->max_bytes;
    if (virtio_running(&s->vd) && !vring_empty(&virtio_queue(&s->vd, 0)->ring)) {
        handle(virtio_queue(&s->vd, 0));
    }
}

static uint64_t rng_features(VirtioDevice *vd)
{
    (void)vd;
    return 0;
}

static bool rng_realize(Device *dev, Error **errp)
{
    VirtioRng *s = virtio_rng(virtio_device(dev));

    if (s->rng && !session_get(dev->machine->session, &rng_kind, s->rng)) {
        return error_set(errp, "Device '%s' not found", s->rng);
    }
    if (!s->period) {
        return error_set(errp, "'period' parameter expects a positive integer");
    }
    virtio_setup(&s->vd, 0, 1);
    virtio_add_queue(&s->vd, QUEUE_SIZE, handle);
    timer_init(&s->timer, device_clock(dev), period_over, s, dev->mutex);
    return true;
}

static void rng_unrealize(Device *dev)
{
    VirtioRng *s = virtio_rng(virtio_device(dev));

    if (s->timer.clock) {
        timer_fini(&s->timer);
    }
}

static const Prop rng_props[] = {
    PROP_STR("rng", VirtioRng, rng, NULL, .help = "id of an rng-random or rng-builtin object"),
    PROP_U64("max-bytes", VirtioRng, max_bytes, INT64_MAX, .help = "bytes in each period"),
    PROP_U32("period", VirtioRng, period, 1 << 16, .help = "milliseconds"),
    {}
};
static const StateField rng_state[] = { STATE_U64(VirtioRng, quota), STATE_TIMER(VirtioRng, timer), {} };
static const VirtioOps rng_ops = { .id = VIRTIO_ID_RNG, .name = "virtio-rng", .pci_class = 0x00ff00, .pci_legacy_id = 0x1005, .features = rng_features };

VIRTIO_TYPES(rng, "virtio-rng", VirtioRng, .desc = "Random bytes for the guest", .category = "Misc", .props = rng_props,
             .state = rng_state, .ops = &rng_ops, .realize = rng_realize, .unrealize = rng_unrealize);
