/* SPDX-License-Identifier: MIT */
/*
 * Goldfish real time clock: the Android emulator's register list (platform/external/qemu, docs/GOLDFISH-VIRTUAL-HARDWARE.TXT, VIII).
 *
 * Nanoseconds since 1970 in two words; reading the low one fixes the high one.  The offset that the guest sets survives a reset.
 */
#include "hw/core/device.h"

enum { IRQ_ENABLED, ALARM_LOW, ALARM_HIGH, TIME_HIGH, NREGS };

typedef struct Goldfish {
    Device dev;
    uint32_t r[NREGS];
    int64_t offset;             /* ns: counter minus wall clock */
    bool running, due;
    Timer alarm;
} Goldfish;
#define REG_OWNER Goldfish

static Goldfish *goldfish(Device *dev)
{
    return (Goldfish *)dev;
}

static int64_t now(Goldfish *s)
{
    return input_host_time(device_inputs(&s->dev)) + s->offset;
}

static void irq_update(Goldfish *s)
{
    irq_set(&s->dev.irq[0], s->due && s->r[IRQ_ENABLED]);
}

static void set_alarm(Goldfish *s)
{
    int64_t at = (int64_t)((uint64_t)s->r[ALARM_HIGH] << 32 | s->r[ALARM_LOW]), left = at - now(s);

    if (left <= 0) {
        s->running = false;
        s->due = true;
        timer_del(&s->alarm);
        irq_update(s);
        return;
    }
    s->running = true;
    timer_mod(&s->alarm, clock_now(device_clock(&s->dev)) + left);
}

static void alarm_fired(void *opaque)
{
    Goldfish *s = opaque;

    s->running = false;
    s->due = true;
    irq_update(s);
}

static uint64_t low_read(Device *dev, const RegAccess *a)
{
    Goldfish *s = goldfish(dev);
    int64_t t = now(s);

    s->r[TIME_HIGH] = (uint32_t)((uint64_t)t >> 32);
    return (uint32_t)t;
}

static void low_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Goldfish *s = goldfish(dev);

    s->offset += (int64_t)((uint64_t)s->r[TIME_HIGH] << 32 | (uint32_t)val) - now(s);
}

static void alarm_written(Device *dev, const RegAccess *a, uint64_t val)
{
    set_alarm(goldfish(dev));
}

static void enable_written(Device *dev, const RegAccess *a, uint64_t val)
{
    irq_update(goldfish(dev));
}

static void clear_alarm_written(Device *dev, const RegAccess *a, uint64_t val)
{
    goldfish(dev)->running = false;
    timer_del(&goldfish(dev)->alarm);
}

static uint64_t status_read(Device *dev, const RegAccess *a)
{
    return goldfish(dev)->running;
}

static void clear_irq_written(Device *dev, const RegAccess *a, uint64_t val)
{
    goldfish(dev)->due = false;
    irq_update(goldfish(dev));
}

static const Reg goldfish_regs[] = {
    REG32V(TIME_LOW, 0x00, .read = low_read, .written = low_written),
    REG32(TIME_HIGH, 0x04),
    REG32(ALARM_LOW, 0x08, .written = alarm_written),
    REG32(ALARM_HIGH, 0x0c),
    REG32(IRQ_ENABLED, 0x10, .rsvd = ~1u, .written = enable_written),
    REG32V(CLEAR_ALARM, 0x14, .wo = true, .written = clear_alarm_written),
    REG32V(ALARM_STATUS, 0x18, .ro = ~0u, .read = status_read),
    REG32V(CLEAR_INTERRUPT, 0x1c, .wo = true, .written = clear_irq_written),
    {}
};

static const StateField goldfish_state[] = {
    STATE_I64(Goldfish, offset, .keep = true), STATE_BOOL(Goldfish, running), STATE_BOOL(Goldfish, due), STATE_TIMER(Goldfish, alarm), {}
};

static bool goldfish_realize(Device *dev, Error **errp)
{
    Goldfish *s = goldfish(dev);

    timer_init(&s->alarm, device_clock(dev), alarm_fired, s, dev->mutex);
    return true;
}

static void goldfish_unrealize(Device *dev)
{
    timer_fini(&goldfish(dev)->alarm);
}

static void goldfish_reset_hold(Device *dev)
{
    irq_update(goldfish(dev));
}

static const DeviceType goldfish_type = {
    .name = "goldfish_rtc", .desc = "Goldfish real time clock", .category = "Misc", .size = sizeof(Goldfish),
    .regs = goldfish_regs, .mmio_size = 0x24, .irqs = 1, .state = goldfish_state,
    .realize = goldfish_realize, .unrealize = goldfish_unrealize, .reset_hold = goldfish_reset_hold,
};
DEVICE_TYPE(goldfish_type);
