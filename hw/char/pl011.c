/* SPDX-License-Identifier: MIT */
/*
 * PL011 UART: Arm DDI 0183, chapter 3.
 *
 * Transmission takes no guest time; what the back end does not take at once
 * waits in the transmit FIFO, so a guest sees TXFF when the host is slow.  The
 * receive timeout counts 32 bit periods at the programmed rate.  The UART works
 * before it is enabled, as bare-metal programs expect of this board.
 */
#include "chardev/chardev.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "util/log.h"

enum { RSR, ILPR, IBRD, FBRD, LCR_H, CR, IFLS, IMSC, RIS, DMACR, NREGS };
enum { FIFO = 16, CLOCK_HZ = 24000000 };
enum { FR_BUSY = 1 << 3, FR_RXFE = 1 << 4, FR_TXFF = 1 << 5, FR_RXFF = 1 << 6, FR_TXFE = 1 << 7 };
enum { INT_RX = 1 << 4, INT_TX = 1 << 5, INT_RT = 1 << 6, INT_FE = 1 << 7, INT_PE = 1 << 8, INT_BE = 1 << 9, INT_OE = 1 << 10, INT_ALL = 0x7ff };
enum { LCR_BRK = 1, LCR_FEN = 1 << 4, CR_LBE = 1 << 7 };
enum { DR_FE = 1 << 8, DR_BE = 1 << 10, DR_OE = 1 << 11 };

typedef struct Pl011 {
    Device dev;
    uint32_t r[NREGS];
    uint16_t rx[FIFO];          /* with error bits 8..11 */
    uint8_t tx[FIFO];
    uint32_t rx_pos, rx_n, tx_pos, tx_n;
    bool overrun;
    Timer timeout;
    char *chardev;
    CharFront front;
    InputPort port;
    uint32_t coming;            /* bytes sent to the port that have not arrived (instruction-driven time) */
} Pl011;
#define REG_OWNER Pl011

static Pl011 *pl011(Device *dev)
{
    return (Pl011 *)dev;
}

static unsigned depth(const Pl011 *s)
{
    return s->r[LCR_H] & LCR_FEN ? FIFO : 1;
}

/* IFLS: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO. */
static unsigned level(const Pl011 *s, unsigned shift)
{
    static const uint8_t levels[8] = { 2, 4, 8, 12, 14, 14, 14, 14 };

    return depth(s) == 1 ? 1 : levels[s->r[IFLS] >> shift & 7];
}

static void irq_update(Pl011 *s)
{
    irq_set(&s->dev.irq[0], (s->r[RIS] & s->r[IMSC]) != 0);
}

/* ---- transmit ---- */

static void push_out(Pl011 *s)
{
    while (s->tx_n) {
        unsigned run = MIN(s->tx_n, FIFO - s->tx_pos);
        unsigned took = (unsigned)char_write(&s->front, s->tx + s->tx_pos, run);

        s->tx_pos = (s->tx_pos + took) % FIFO;
        s->tx_n -= took;
        if (took < run) {
            break;
        }
    }
    if (s->tx_n <= (depth(s) == 1 ? 0 : level(s, 0))) {
        s->r[RIS] |= INT_TX;
    }
}

static void receive(Pl011 *s, uint16_t c);

static void send(Pl011 *s, uint8_t c)
{
    if (s->r[CR] & CR_LBE) {
        receive(s, c);
        s->r[RIS] |= INT_TX;
        return;
    }
    if (s->tx_n == FIFO) {
        log_guest("pl011: transmit FIFO overrun");
        return;
    }
    s->tx[(s->tx_pos + s->tx_n++) % FIFO] = c;
    push_out(s);
}

/* ---- receive ---- */

static void start_timeout(Pl011 *s)
{
    uint64_t divisor = MAX((uint64_t)s->r[IBRD] * 64 + s->r[FBRD], 64);

    timer_mod(&s->timeout, clock_now(device_clock(&s->dev)) + (int64_t)(32 * 16 * divisor * NS_PER_S / 64 / CLOCK_HZ));
}

static void timed_out(void *opaque)
{
    Pl011 *s = opaque;

    if (s->rx_n) {
        s->r[RIS] |= INT_RT;
        irq_update(s);
    }
}

static void receive(Pl011 *s, uint16_t c)
{
    if (s->rx_n >= depth(s)) {
        s->overrun = true;
        s->r[RSR] |= 8;
        s->r[RIS] |= INT_OE;
        return;
    }
    s->rx[(s->rx_pos + s->rx_n++) % FIFO] = c;
    if (s->rx_n >= level(s, 3)) {
        s->r[RIS] |= INT_RX;
    }
    start_timeout(s);
}

static void port_in(void *opaque, const void *data, size_t len)
{
    Pl011 *s = opaque;
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        receive(s, p[i]);
    }
    __atomic_fetch_sub(&s->coming, (uint32_t)len, __ATOMIC_RELAXED);
    irq_update(s);
}

static size_t front_can_read(void *opaque)
{
    Pl011 *s = opaque;
    uint32_t used;

    device_lock(&s->dev);
    used = s->rx_n + __atomic_load_n(&s->coming, __ATOMIC_RELAXED);
    used = used < depth(s) ? depth(s) - used : 0;
    device_unlock(&s->dev);
    return used;
}

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    Pl011 *s = opaque;

    __atomic_fetch_add(&s->coming, (uint32_t)len, __ATOMIC_RELAXED);
    input_send(&s->port, buf, len);
}

static void front_writable(void *opaque)
{
    Pl011 *s = opaque;

    device_lock(&s->dev);
    push_out(s);
    irq_update(s);
    device_unlock(&s->dev);
}

static void front_event(void *opaque, CharEvent ev)
{
    Pl011 *s = opaque;

    if (ev == CHAR_BREAK) {
        device_lock(&s->dev);
        receive(s, DR_BE | DR_FE);
        s->r[RIS] |= INT_BE | INT_FE;
        irq_update(s);
        device_unlock(&s->dev);
    }
}

static const CharOps front_ops = { .can_read = front_can_read, .read = front_read, .event = front_event, .writable = front_writable };

/* ---- registers ---- */

static uint64_t dr_read(Device *dev, const RegAccess *a)
{
    Pl011 *s = pl011(dev);
    uint16_t c = 0;

    if (s->rx_n) {
        c = s->rx[s->rx_pos];
        s->rx_pos = (s->rx_pos + 1) % FIFO;
        s->rx_n--;
        s->r[RSR] = c >> 8 & 0xf;
    }
    if (s->overrun) {
        c |= DR_OE;
        s->overrun = false;
    }
    if (s->rx_n < level(s, 3)) {
        s->r[RIS] &= ~(uint32_t)INT_RX;
    }
    if (!s->rx_n) {
        s->r[RIS] &= ~(uint32_t)INT_RT;
        timer_del(&s->timeout);
    }
    irq_update(s);
    char_accept(&s->front);
    return c;
}

static void dr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl011 *s = pl011(dev);

    s->r[RIS] &= ~(uint32_t)INT_TX;
    send(s, (uint8_t)val);
    irq_update(s);
}

static void ecr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    pl011(dev)->r[RSR] = 0;
}

static uint64_t fr_read(Device *dev, const RegAccess *a)
{
    const Pl011 *s = pl011(dev);

    return (s->rx_n ? 0 : FR_RXFE) | (s->rx_n >= depth(s) ? FR_RXFF : 0)
        | (s->tx_n ? FR_BUSY : FR_TXFE) | (s->tx_n >= depth(s) ? FR_TXFF : 0);
}

static void lcr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Pl011 *s = pl011(dev);

    if ((a->old ^ val) & LCR_FEN) {             /* the FIFOs are flushed */
        s->rx_n = s->rx_pos = s->tx_n = s->tx_pos = 0;
        char_accept(&s->front);
    }
}

static void imsc_written(Device *dev, const RegAccess *a, uint64_t val)
{
    irq_update(pl011(dev));
}

static uint64_t mis_read(Device *dev, const RegAccess *a)
{
    return pl011(dev)->r[RIS] & pl011(dev)->r[IMSC];
}

static void icr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    pl011(dev)->r[RIS] &= ~(uint32_t)val;
    irq_update(pl011(dev));
}

static const Reg pl011_regs[] = {           /* DDI 0183, table 3-1 */
    REG32V(DR, 0x00, .read = dr_read, .written = dr_written),
    REG32(RSR, 0x04, .ro = ~0u, .written = ecr_written),
    REG32V(FR, 0x18, .ro = ~0u, .read = fr_read),
    REG32(ILPR, 0x20, .rsvd = ~0xffu),
    REG32(IBRD, 0x24, .rsvd = ~0xffffu),
    REG32(FBRD, 0x28, .rsvd = ~0x3fu),
    REG32(LCR_H, 0x2c, .rsvd = ~0xffu, .written = lcr_written),
    REG32(CR, 0x30, .reset = 0x300, .rsvd = ~0xff87u),
    REG32(IFLS, 0x34, .reset = 0x12, .rsvd = ~0x3fu),
    REG32(IMSC, 0x38, .rsvd = ~0x7ffu, .written = imsc_written),
    REG32(RIS, 0x3c, .ro = ~0u),
    REG32V(MIS, 0x40, .ro = ~0u, .read = mis_read),
    REG32V(ICR, 0x44, .wo = true, .rsvd = ~0x7ffu, .written = icr_written),
    REG32(DMACR, 0x48, .rsvd = ~7u),
    REG_CONST(PERIPHID0, 0xfe0, 0x11), REG_CONST(PERIPHID1, 0xfe4, 0x10), REG_CONST(PERIPHID2, 0xfe8, 0x14), REG_CONST(PERIPHID3, 0xfec, 0x00),
    REG_CONST(PCELLID0, 0xff0, 0x0d), REG_CONST(PCELLID1, 0xff4, 0xf0), REG_CONST(PCELLID2, 0xff8, 0x05), REG_CONST(PCELLID3, 0xffc, 0xb1),
    {}
};

static const StateField pl011_state[] = {
    STATE_ARRAY(Pl011, rx, uint16_t), STATE_BUF(Pl011, tx),
    STATE_U32(Pl011, rx_pos, .max = FIFO - 1), STATE_U32(Pl011, rx_n, .max = FIFO),
    STATE_U32(Pl011, tx_pos, .max = FIFO - 1), STATE_U32(Pl011, tx_n, .max = FIFO),
    STATE_BOOL(Pl011, overrun), STATE_TIMER(Pl011, timeout), {}
};

static const Prop pl011_props[] = {
    PROP_STR("chardev", Pl011, chardev, NULL, .help = "id of the character back end"),
    {}
};

static bool pl011_realize(Device *dev, Error **errp)
{
    Pl011 *s = pl011(dev);
    Chardev *c;

    timer_init(&s->timeout, device_clock(dev), timed_out, s, dev->mutex);
    input_port_init(&s->port, device_inputs(dev), INPUT_CHAR, dev->path, port_in, s, dev->mutex);
    if (!s->chardev || !*s->chardev) {
        return true;
    }
    c = chardev_find(dev->machine->session, s->chardev);
    if (!c) {
        return error_set(errp, "Property 'pl011.chardev' can't find value '%s'", s->chardev);
    }
    return char_attach(&s->front, c, &front_ops, s, errp);
}

static void pl011_unrealize(Device *dev)
{
    Pl011 *s = pl011(dev);

    char_detach(&s->front);
    input_port_fini(&s->port);
    timer_fini(&s->timeout);
}

static void pl011_reset_hold(Device *dev)
{
    irq_update(pl011(dev));
    char_accept(&pl011(dev)->front);
}

static bool pl011_post_load(Device *dev, Error **errp)
{
    char_accept(&pl011(dev)->front);
    return true;
}

static const DeviceType pl011_type = {
    .name = "pl011", .desc = "Arm PrimeCell UART", .category = "Misc", .size = sizeof(Pl011), .props = pl011_props,
    .regs = pl011_regs, .mmio_size = 0x1000, .irqs = 1, .state = pl011_state,
    .realize = pl011_realize, .unrealize = pl011_unrealize, .reset_hold = pl011_reset_hold, .post_load = pl011_post_load,
};
DEVICE_TYPE(pl011_type);
