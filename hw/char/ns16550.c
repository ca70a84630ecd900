/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART: National Semiconductor PC16550D data sheet (1995), chapter 8.
 *
 * One byte per register.  Transmission takes no guest time; what the back end does not take at once waits in the transmit
 * FIFO, so THRE tells the guest that the host is slow.  The receive timeout counts four character times at the divisor.
 */
#include "chardev/chardev.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "util/log.h"

enum { LCR, MCR, SCR, NREGS };
enum { FIFO = 16 };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { FCR_ON = 1, FCR_RX_CLEAR = 2, FCR_TX_CLEAR = 4 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 0x10, LSR_THRE = 0x20, LSR_TEMT = 0x40, LSR_ERR = 0x80 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
enum { IIR_MODEM = 0, IIR_NONE = 1, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFOS = 0xc0 };

typedef struct Ns16550 {
    Device dev;
    uint8_t r[NREGS], ier, fcr;
    uint16_t divisor;
    uint16_t rx[FIFO];          /* bit 8: a break */
    uint8_t tx[FIFO];
    uint32_t rx_pos, rx_n, tx_pos, tx_n;
    bool overrun, timed_out, tx_due;    /* tx_due: the interrupt of an empty transmitter, until IIR is read or THR written */
    uint8_t msr_delta;
    Timer timeout;
    uint64_t clock_hz;
    char *chardev;
    CharFront front;
    InputPort port;
    uint32_t coming;            /* bytes sent to the port that have not arrived (instruction-driven time) */
} Ns16550;

static Ns16550 *ns16550(Device *dev)
{
    return (Ns16550 *)dev;
}

static unsigned depth(const Ns16550 *s)
{
    return s->fcr & FCR_ON ? FIFO : 1;
}

static unsigned trigger(const Ns16550 *s)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return s->fcr & FCR_ON ? levels[s->fcr >> 6] : 1;
}

static bool break_at_top(const Ns16550 *s)
{
    return s->rx_n && s->rx[s->rx_pos] & 0x100;
}

static uint8_t pending(const Ns16550 *s)
{
    if (s->ier & IER_LINE && (s->overrun || break_at_top(s))) {
        return IIR_LINE;
    }
    if (s->ier & IER_RX && s->rx_n >= trigger(s)) {
        return IIR_RX;
    }
    if (s->ier & IER_RX && s->timed_out) {
        return IIR_TIMEOUT;
    }
    if (s->ier & IER_TX && s->tx_due) {
        return IIR_TX;
    }
    return s->ier & IER_MODEM && s->msr_delta ? IIR_MODEM : IIR_NONE;
}

static void irq_update(Ns16550 *s)
{
    irq_set(&s->dev.irq[0], pending(s) != IIR_NONE);
}

/* ---- transmit ---- */

static void push_out(Ns16550 *s)
{
    while (s->tx_n) {
        unsigned run = MIN(s->tx_n, FIFO - s->tx_pos);
        unsigned took = (unsigned)char_write(&s->front, s->tx + s->tx_pos, run);

        s->tx_pos = (s->tx_pos + took) % FIFO;
        s->tx_n -= took;
        if (took < run) {
            return;
        }
    }
    s->tx_due = true;
}

static void receive(Ns16550 *s, uint16_t c);

static void send(Ns16550 *s, uint8_t c)
{
    s->tx_due = false;
    if (s->r[MCR] & MCR_LOOP) {
        receive(s, c);
        s->tx_due = true;
        return;
    }
    if (s->tx_n >= depth(s)) {
        log_guest("ns16550: transmitter overrun");
        return;
    }
    s->tx[(s->tx_pos + s->tx_n++) % FIFO] = c;
    push_out(s);
}

/* ---- receive ---- */

static void start_timeout(Ns16550 *s)
{
    int64_t bit = (int64_t)(16ull * MAX(s->divisor, 1) * NS_PER_S / s->clock_hz);

    timer_mod(&s->timeout, clock_now(device_clock(&s->dev)) + 4 * 10 * bit);
}

static void timed_out(void *opaque)
{
    Ns16550 *s = opaque;

    if (s->rx_n) {
        s->timed_out = true;
        irq_update(s);
    }
}

static void receive(Ns16550 *s, uint16_t c)
{
    if (s->rx_n >= depth(s)) {
        s->overrun = true;
        return;
    }
    s->rx[(s->rx_pos + s->rx_n++) % FIFO] = c;
    if (s->fcr & FCR_ON) {
        start_timeout(s);
    }
}

static void port_in(void *opaque, const void *data, size_t len)
{
    Ns16550 *s = opaque;
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        receive(s, p[i]);
    }
    __atomic_fetch_sub(&s->coming, (uint32_t)len, __ATOMIC_RELAXED);
    irq_update(s);
}

static size_t front_can_read(void *opaque)
{
    Ns16550 *s = opaque;
    uint32_t used;

    device_lock(&s->dev);
    used = s->rx_n + __atomic_load_n(&s->coming, __ATOMIC_RELAXED);
    used = used < depth(s) ? depth(s) - used : 0;
    device_unlock(&s->dev);
    return used;
}

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    Ns16550 *s = opaque;

    __atomic_fetch_add(&s->coming, (uint32_t)len, __ATOMIC_RELAXED);
    input_send(&s->port, buf, len);
}

static void front_writable(void *opaque)
{
    Ns16550 *s = opaque;

    device_lock(&s->dev);
    push_out(s);
    irq_update(s);
    device_unlock(&s->dev);
}

static void front_event(void *opaque, CharEvent ev)
{
    Ns16550 *s = opaque;

    if (ev == CHAR_BREAK) {
        device_lock(&s->dev);
        receive(s, 0x100);
        irq_update(s);
        device_unlock(&s->dev);
    }
}

static const CharOps front_ops = { .can_read = front_can_read, .read = front_read, .event = front_event, .writable = front_writable };

/* ---- registers ---- */

static bool dlab(const Ns16550 *s)
{
    return s->r[LCR] & LCR_DLAB;
}

static uint64_t data_read(Device *dev, const RegAccess *a)
{
    Ns16550 *s = ns16550(dev);
    uint8_t c = 0;

    if (dlab(s)) {
        return s->divisor & 0xff;
    }
    if (s->rx_n) {
        c = (uint8_t)s->rx[s->rx_pos];
        s->rx_pos = (s->rx_pos + 1) % FIFO;
        s->rx_n--;
    }
    s->timed_out = false;
    if (!s->rx_n) {
        timer_del(&s->timeout);
    } else if (s->fcr & FCR_ON) {
        start_timeout(s);
    }
    irq_update(s);
    char_accept(&s->front);
    return c;
}

static void data_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Ns16550 *s = ns16550(dev);

    if (dlab(s)) {
        s->divisor = (uint16_t)((s->divisor & 0xff00) | (val & 0xff));
        return;
    }
    send(s, (uint8_t)val);
    irq_update(s);
}

static uint64_t ier_read(Device *dev, const RegAccess *a)
{
    Ns16550 *s = ns16550(dev);

    return dlab(s) ? s->divisor >> 8 : s->ier;
}

static void ier_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Ns16550 *s = ns16550(dev);

    if (dlab(s)) {
        s->divisor = (uint16_t)((s->divisor & 0xff) | (val & 0xff) << 8);
        return;
    }
    if (~s->ier & val & IER_TX && !s->tx_n) {
        s->tx_due = true;               /* enabling it while the transmitter is empty raises it */
    }
    s->ier = val & 0xf;
    irq_update(s);
}

static uint64_t iir_read(Device *dev, const RegAccess *a)
{
    Ns16550 *s = ns16550(dev);
    uint8_t id = pending(s);

    if (id == IIR_TX) {
        s->tx_due = false;
        irq_update(s);
    }
    return id | (s->fcr & FCR_ON ? IIR_FIFOS : 0);
}

static void clear_rx(Ns16550 *s)
{
    s->rx_n = s->rx_pos = 0;
    s->timed_out = false;
    timer_del(&s->timeout);
    char_accept(&s->front);
}

static void fcr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Ns16550 *s = ns16550(dev);
    bool toggled = (s->fcr ^ val) & FCR_ON;

    if (toggled || val & FCR_RX_CLEAR) {
        clear_rx(s);
    }
    if (toggled || val & FCR_TX_CLEAR) {
        s->tx_n = s->tx_pos = 0;
        s->tx_due = true;
    }
    s->fcr = val & FCR_ON ? val & 0xc9 : 0;
    irq_update(s);
}

static uint64_t lsr_read(Device *dev, const RegAccess *a)
{
    Ns16550 *s = ns16550(dev);
    bool brk = break_at_top(s);
    uint64_t v = (s->rx_n ? LSR_DR : 0) | (s->overrun ? LSR_OE : 0) | (brk ? LSR_BI | LSR_ERR : 0) | (s->tx_n ? 0 : LSR_THRE | LSR_TEMT);

    s->overrun = false;
    if (brk) {
        s->rx[s->rx_pos] &= 0xff;       /* told once */
    }
    irq_update(s);
    return v;
}

/* In loop mode the modem's inputs are its outputs; else somebody is always there. */
static uint64_t msr_read(Device *dev, const RegAccess *a)
{
    Ns16550 *s = ns16550(dev);
    uint8_t m = s->r[MCR], v = MSR_CTS | MSR_DSR | MSR_DCD;

    if (m & MCR_LOOP) {
        v = (m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) | (m & MCR_OUT1 ? MSR_RI : 0) | (m & MCR_OUT2 ? MSR_DCD : 0);
    }
    v |= s->msr_delta;
    s->msr_delta = 0;
    irq_update(s);
    return v;
}

#define REG_OWNER Ns16550
static const Reg ns16550_regs[] = {         /* table II */
    REG8V(DATA, 0, .read = data_read, .written = data_written),
    REG8V(IER, 1, .read = ier_read, .written = ier_written),
    REG8V(IIR_FCR, 2, .read = iir_read, .written = fcr_written),
    REG8(LCR, 3),
    REG8(MCR, 4, .reset = MCR_OUT2, .rsvd = 0xe0),
    REG8V(LSR, 5, .ro = 0xff, .read = lsr_read),
    REG8V(MSR, 6, .ro = 0xff, .read = msr_read),
    REG8(SCR, 7),
    {}
};

static const StateField ns16550_state[] = {
    STATE_U8(Ns16550, ier), STATE_U8(Ns16550, fcr), STATE_U16(Ns16550, divisor, .def = 12), STATE_ARRAY(Ns16550, rx, uint16_t), STATE_BUF(Ns16550, tx),
    STATE_U32(Ns16550, rx_pos, .max = FIFO - 1), STATE_U32(Ns16550, rx_n, .max = FIFO),
    STATE_U32(Ns16550, tx_pos, .max = FIFO - 1), STATE_U32(Ns16550, tx_n, .max = FIFO),
    STATE_BOOL(Ns16550, overrun), STATE_BOOL(Ns16550, timed_out), STATE_BOOL(Ns16550, tx_due), STATE_U8(Ns16550, msr_delta),
    STATE_TIMER(Ns16550, timeout), {}
};

static const Prop ns16550_props[] = {
    PROP_STR("chardev", Ns16550, chardev, NULL, .help = "id of the character back end"),
    PROP_U64("clock-frequency", Ns16550, clock_hz, 1843200, .min = 16, .help = "of the baud rate generator, in Hz"),
    {}
};

static bool ns16550_realize(Device *dev, Error **errp)
{
    Ns16550 *s = ns16550(dev);
    Chardev *c;

    timer_init(&s->timeout, device_clock(dev), timed_out, s, dev->mutex);
    input_port_init(&s->port, device_inputs(dev), INPUT_CHAR, dev->path, port_in, s, dev->mutex);
    if (!s->chardev || !*s->chardev) {
        return true;
    }
    c = chardev_find(dev->machine->session, s->chardev);
    if (!c) {
        return error_set(errp, "Property 'serial-mm.chardev' can't find value '%s'", s->chardev);
    }
    return char_attach(&s->front, c, &front_ops, s, errp);
}

static void ns16550_unrealize(Device *dev)
{
    Ns16550 *s = ns16550(dev);

    char_detach(&s->front);
    input_port_fini(&s->port);
    timer_fini(&s->timeout);
}

static void ns16550_reset_hold(Device *dev)
{
    irq_update(ns16550(dev));
    char_accept(&ns16550(dev)->front);
}

static bool ns16550_post_load(Device *dev, Error **errp)
{
    char_accept(&ns16550(dev)->front);
    return true;
}

static const DeviceType ns16550_type = {
    .name = "serial-mm", .desc = "16550A UART", .category = "Misc", .size = sizeof(Ns16550), .props = ns16550_props,
    .regs = ns16550_regs, .mmio_size = 8, .irqs = 1, .state = ns16550_state,
    .realize = ns16550_realize, .unrealize = ns16550_unrealize, .reset_hold = ns16550_reset_hold, .post_load = ns16550_post_load,
};
DEVICE_TYPE(ns16550_type);
