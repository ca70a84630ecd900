/* SPDX-License-Identifier: MIT */
/*
 * PL061 general purpose I/O: Arm DDI 0190.
 *
 * Eight lines.  Inputs 0..7 are the pins as the board drives them; output 0 is
 * the interrupt, outputs 1..8 are the pins as the guest drives them.
 */
#include "hw/core/device.h"

enum { GPIODIR, GPIOIS, GPIOIBE, GPIOIEV, GPIOIE, GPIORIS, GPIOMIS, GPIOIC, GPIOAFSEL, NREGS };
enum { LINES = 8 };

typedef struct Pl061 {
    Device dev;
    uint32_t r[NREGS];
    uint8_t out;                /* what was written to the data register */
    uint8_t in;                 /* pins driven from outside */
} Pl061;
#define REG_OWNER Pl061

static Pl061 *pl061(Device *dev)
{
    return (Pl061 *)dev;
}

static uint8_t pins(const Pl061 *s)
{
    return (s->out & s->r[GPIODIR]) | (s->in & ~s->r[GPIODIR]);
}

static void update(Pl061 *s)
{
    uint8_t level = pins(s);

    for (int i = 0; i < LINES; i++) {
        irq_set(&s->dev.irq[1 + i], (s->r[GPIODIR] & level) >> i & 1);
    }
    /* level-sensitive inputs follow the pin: GPIOIEV says which level is active */
    s->r[GPIORIS] = (s->r[GPIORIS] & ~s->r[GPIOIS]) | (~(level ^ s->r[GPIOIEV]) & ~s->r[GPIODIR] & s->r[GPIOIS] & 0xff);
    irq_set(&s->dev.irq[0], s->r[GPIORIS] & s->r[GPIOIE]);
}

static void pin_changed(void *opaque, int n, int level)
{
    Pl061 *s = opaque;
    uint8_t bit = 1u << n;
    bool was;

    device_lock(&s->dev);
    was = s->in & bit;
    s->in = level ? s->in | bit : s->in & ~bit;
    if (was != !!level && !(s->r[GPIODIR] & bit) && !(s->r[GPIOIS] & bit)) {    /* an edge */
        if ((s->r[GPIOIBE] & bit) || !!(s->r[GPIOIEV] & bit) == !!level) {
            s->r[GPIORIS] |= bit;
        }
    }
    update(s);
    device_unlock(&s->dev);
}

/* Address bits 9:2 select the lines that an access sees (section 3.3.1). */
static uint64_t data_read(Device *dev, const RegAccess *a)
{
    return pins(pl061(dev)) & a->index;
}

static void data_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl061 *s = pl061(dev);
    uint8_t mask = a->index & s->r[GPIODIR];

    s->out = (s->out & ~mask) | (val & mask);
    update(s);
}

static uint64_t mis_read(Device *dev, const RegAccess *a)
{
    return pl061(dev)->r[GPIORIS] & pl061(dev)->r[GPIOIE];
}

static void ic_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl061 *s = pl061(dev);

    s->r[GPIORIS] &= ~(val & ~s->r[GPIOIS]);
    update(s);
}

static void any_written(Device *dev, const RegAccess *a, uint64_t val)
{
    update(pl061(dev));
}

static const Reg pl061_regs[] = {                     /* table 3-1 */
    REG32V(GPIODATA, 0x000, .count = 256, .read = data_read, .written = data_written),
    REG32(GPIODIR,   0x400, .rsvd = ~0xffu, .written = any_written),
    REG32(GPIOIS,    0x404, .rsvd = ~0xffu, .written = any_written),
    REG32(GPIOIBE,   0x408, .rsvd = ~0xffu, .written = any_written),
    REG32(GPIOIEV,   0x40c, .rsvd = ~0xffu, .written = any_written),
    REG32(GPIOIE,    0x410, .rsvd = ~0xffu, .written = any_written),
    REG32(GPIORIS,   0x414, .ro = ~0u),
    REG32(GPIOMIS,   0x418, .ro = ~0u, .read = mis_read),
    REG32(GPIOIC,    0x41c, .wo = true, .rsvd = ~0xffu, .written = ic_written),
    REG32(GPIOAFSEL, 0x420, .rsvd = ~0xffu),
    REG_CONST(PERIPHID0, 0xfe0, 0x61), REG_CONST(PERIPHID1, 0xfe4, 0x10),
    REG_CONST(PERIPHID2, 0xfe8, 0x04), REG_CONST(PERIPHID3, 0xfec, 0x00),
    REG_CONST(PCELLID0,  0xff0, 0x0d), REG_CONST(PCELLID1,  0xff4, 0xf0),
    REG_CONST(PCELLID2,  0xff8, 0x05), REG_CONST(PCELLID3,  0xffc, 0xb1),
    {}
};

static const StateField pl061_state[] = { STATE_U8(Pl061, out), STATE_U8(Pl061, in, .keep = true), {} };

static void pl061_reset_hold(Device *dev)
{
    update(pl061(dev));
}

static const DeviceType pl061_type = {
    .name = "pl061", .desc = "Arm PrimeCell general purpose I/O", .category = "Misc", .size = sizeof(Pl061),
    .regs = pl061_regs, .mmio_size = 0x1000, .irqs = 1 + LINES, .irq_inputs = LINES, .irq_in = pin_changed,
    .state = pl061_state, .reset_hold = pl061_reset_hold,
};
DEVICE_TYPE(pl061_type);
