/* SPDX-License-Identifier: MIT */
/*
 * PL031 real time clock: Arm DDI 0224.
 *
 * The counter is the machine's wall clock in seconds plus an offset that the
 * guest sets by writing LR; the offset survives a reset, as on a board with a
 * battery.  The alarm runs on the machine's clock.
 */
#include "hw/core/device.h"

enum { DR, MR, LR, CR, IMSC, RIS, MIS, ICR, NREGS };

typedef struct Pl031 {
    Device dev;
    uint32_t r[NREGS];
    int64_t tick_offset;        /* seconds: counter minus wall clock */
    Timer alarm;
} Pl031;
#define REG_OWNER Pl031

static Pl031 *pl031(Device *dev)
{
    return (Pl031 *)dev;
}

static uint32_t counter(Pl031 *s)
{
    return (uint32_t)(input_host_time(device_inputs(&s->dev)) / NS_PER_S + s->tick_offset);
}

static void irq_update(Pl031 *s)
{
    irq_set(&s->dev.irq[0], s->r[RIS] & s->r[IMSC]);
}

/* The match is a second away that has not begun yet; equal means now. */
static void alarm_arm(Pl031 *s)
{
    uint32_t left = s->r[MR] - counter(s);

    timer_mod(&s->alarm, clock_now(device_clock(&s->dev)) + left * NS_PER_S);
}

static void alarm_fired(void *opaque)
{
    Pl031 *s = opaque;

    s->r[RIS] = 1;
    irq_update(s);
}

static uint64_t dr_read(Device *dev, const RegAccess *a)
{
    return counter(pl031(dev));
}

static uint64_t mis_read(Device *dev, const RegAccess *a)
{
    return pl031(dev)->r[RIS] & pl031(dev)->r[IMSC];
}

static void mr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    alarm_arm(pl031(dev));
}

static void lr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl031 *s = pl031(dev);

    s->tick_offset += (int32_t)((uint32_t)val - counter(s));
    alarm_arm(s);
}

static void imsc_written(Device *dev, const RegAccess *a, uint64_t val)
{
    irq_update(pl031(dev));
}

static void icr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl031 *s = pl031(dev);

    s->r[RIS] &= ~val;
    irq_update(s);
}

static const Reg pl031_regs[] = {                     /* table 3-1 */
    REG32(DR,   0x00, .ro = ~0u, .read = dr_read),
    REG32(MR,   0x04, .written = mr_written),
    REG32(LR,   0x08, .written = lr_written),
    REG32(CR,   0x0c, .reset = 1, .ro = ~0u),         /* once started it cannot be stopped */
    REG32(IMSC, 0x10, .rsvd = ~1u, .written = imsc_written),
    REG32(RIS,  0x14, .ro = ~0u),
    REG32(MIS,  0x18, .ro = ~0u, .read = mis_read),
    REG32(ICR,  0x1c, .wo = true, .rsvd = ~1u, .written = icr_written),
    REG_CONST(PERIPHID0, 0xfe0, 0x31), REG_CONST(PERIPHID1, 0xfe4, 0x10),
    REG_CONST(PERIPHID2, 0xfe8, 0x14), REG_CONST(PERIPHID3, 0xfec, 0x00),
    REG_CONST(PCELLID0,  0xff0, 0x0d), REG_CONST(PCELLID1,  0xff4, 0xf0),
    REG_CONST(PCELLID2,  0xff8, 0x05), REG_CONST(PCELLID3,  0xffc, 0xb1),
    {}
};

static const StateField pl031_state[] = { STATE_I64(Pl031, tick_offset, .keep = true), STATE_TIMER(Pl031, alarm), {} };

static bool pl031_realize(Device *dev, Error **errp)
{
    Pl031 *s = pl031(dev);

    timer_init(&s->alarm, device_clock(dev), alarm_fired, s, dev->mutex);
    return true;
}

static void pl031_unrealize(Device *dev)
{
    timer_fini(&pl031(dev)->alarm);
}

static void pl031_reset_hold(Device *dev)
{
    irq_update(pl031(dev));
}

static const DeviceType pl031_type = {
    .name = "pl031", .desc = "Arm PrimeCell real time clock", .category = "Misc", .size = sizeof(Pl031),
    .regs = pl031_regs, .mmio_size = 0x1000, .irqs = 1, .state = pl031_state,
    .realize = pl031_realize, .unrealize = pl031_unrealize, .reset_hold = pl031_reset_hold,
};
DEVICE_TYPE(pl031_type);
