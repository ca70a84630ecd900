/* SPDX-License-Identifier: MIT */
/*
 * A key on a GPIO line.  A rise of the input presses it; it is let go 100 ms
 * later, long enough for a driver that reads the line after the edge.
 */
#include "hw/core/device.h"

enum { HELD_MS = 100 };

typedef struct GpioKey {
    Device dev;
    bool held;
    Timer release;
} GpioKey;

static void released(void *opaque)
{
    GpioKey *s = opaque;

    s->held = false;
    irq_set(&s->dev.irq[0], 0);
}

static void pressed(void *opaque, int n, int level)
{
    GpioKey *s = opaque;

    if (level) {
        device_lock(&s->dev);
        s->held = true;
        irq_set(&s->dev.irq[0], 1);
        timer_mod(&s->release, clock_now(device_clock(&s->dev)) + HELD_MS * NS_PER_MS);
        device_unlock(&s->dev);
    }
}

static bool realize(Device *dev, Error **errp)
{
    timer_init(&((GpioKey *)dev)->release, device_clock(dev), released, dev, dev->mutex);
    return true;
}

static void unrealize(Device *dev)
{
    timer_fini(&((GpioKey *)dev)->release);
}

static void reset_hold(Device *dev)
{
    irq_set(&dev->irq[0], 0);
}

static const StateField state[] = { STATE_BOOL(GpioKey, held), STATE_TIMER(GpioKey, release), {} };

static const DeviceType gpio_key_type = {
    .name = "gpio-key", .desc = "key on a GPIO line", .category = "Input", .size = sizeof(GpioKey),
    .irqs = 1, .irq_inputs = 1, .irq_in = pressed, .state = state, .realize = realize, .unrealize = unrealize, .reset_hold = reset_hold,
};
DEVICE_TYPE(gpio_key_type);
