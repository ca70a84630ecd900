/* SPDX-License-Identifier: MIT */
#include "hw/intc/riscv-aclint.h"

#include "hw/core/machine.h"

enum { MAX_HARTS = 4095 };
enum { KEY_TIME = 0xc01, KEY_STIMECMP = 0x14d };

/* ---- the timer: mtimecmp of each hart, mtime behind them ---- */

typedef struct AclintHart {
    uint64_t mtimecmp, stimecmp;
    Timer timer[2];             /* by AclintTimerOut */
} AclintHart;

typedef struct Mtimer {
    Device dev;
    uint32_t nharts;
    uint64_t freq, time_base;   /* time_base: address of mtime in the window */
    uint64_t delta;             /* mtime minus ticks of the machine's clock */
    AclintHart *hart;
    struct MtimerRef { struct Mtimer *s; AclintHart *h; unsigned out; } *ref;
} Mtimer;

static Mtimer *mtimer(Device *dev)
{
    return (Mtimer *)dev;
}

static uint64_t mtime(Mtimer *s)
{
    return muldiv64((uint64_t)clock_now(device_clock(&s->dev)), s->freq, NS_PER_S) + s->delta;
}

/* The moment at which the counter reaches `count`: rounded up. */
static int64_t moment(const Mtimer *s, uint64_t count)
{
    unsigned __int128 ns = ((unsigned __int128)(count - s->delta) * NS_PER_S + s->freq - 1) / s->freq;

    return ns >= (unsigned __int128)TIMER_NEVER ? TIMER_NEVER : (int64_t)ns;
}

static void compare(Mtimer *s, AclintHart *h, unsigned out)
{
    unsigned n = (unsigned)(h - s->hart);
    uint64_t cmp = out == ACLINT_TIMER_M ? h->mtimecmp : h->stimecmp;
    bool met = mtime(s) >= cmp;

    irq_set(&s->dev.irq[2 * n + out], met);
    if (met || cmp == UINT64_MAX) {
        timer_del(&h->timer[out]);
    } else {
        timer_mod(&h->timer[out], moment(s, cmp));
    }
}

static void fired(void *opaque)
{
    struct MtimerRef *r = opaque;

    compare(r->s, r->h, r->out);
}

static void compare_all(Mtimer *s)
{
    for (unsigned i = 0; i < s->nharts; i++) {
        compare(s, &s->hart[i], ACLINT_TIMER_M);
        compare(s, &s->hart[i], ACLINT_TIMER_S);
    }
}

/* Words and double words; mtimecmp of hart n at 8 n. */
static uint64_t *word_at(Mtimer *s, uint64_t off, AclintHart **h)
{
    *h = off / 8 < s->nharts ? &s->hart[off / 8] : NULL;
    return *h ? &(*h)->mtimecmp : NULL;
}

static uint64_t merge(uint64_t old, uint64_t off, unsigned size, uint64_t val)
{
    unsigned shift = 8 * (off & 7);
    uint64_t mask = size == 8 ? ~0ull : ((1ull << 8 * size) - 1) << shift;

    return (old & ~mask) | (val << shift & mask);
}

static MemResult timer_read(void *opaque, uint64_t off, unsigned size, uint64_t *val, MemAttrs attrs)
{
    Mtimer *s = opaque;
    AclintHart *h;
    uint64_t *w;

    w = word_at(s, off, &h);
    *val = off >> 3 == s->time_base >> 3 ? mtime(s) : w ? *w : 0;
    *val = *val >> 8 * (off & 7) & (size == 8 ? ~0ull : (1ull << 8 * size) - 1);
    return MEM_OK;
}

static MemResult timer_write(void *opaque, uint64_t off, unsigned size, uint64_t val, MemAttrs attrs)
{
    Mtimer *s = opaque;
    AclintHart *h;
    uint64_t *w;

    w = word_at(s, off, &h);
    if (off >> 3 == s->time_base >> 3) {
        uint64_t t = mtime(s);

        s->delta += merge(t, off, size, val) - t;
        compare_all(s);
    } else if (w) {
        *w = merge(*w, off, size, val);
        compare(s, h, ACLINT_TIMER_M);
    }
    return MEM_OK;
}

static const MemOps timer_ops = { .read = timer_read, .write = timer_write, .min = 4, .max = 8 };

/* ---- the port ---- */

static bool port_read(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *val)
{
    Mtimer *s = opaque;

    if (key == KEY_TIME) {
        *val = mtime(s);            /* delta is one word, and changes when nobody looks */
        return true;
    }
    if (key != KEY_STIMECMP) {
        return false;
    }
    device_lock(&s->dev);
    *val = s->hart[cpu->index].stimecmp;
    device_unlock(&s->dev);
    return true;
}

static bool port_write(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t val)
{
    Mtimer *s = opaque;

    if (key != KEY_STIMECMP) {
        return false;
    }
    device_lock(&s->dev);
    s->hart[cpu->index].stimecmp = val;
    compare(s, &s->hart[cpu->index], ACLINT_TIMER_S);
    device_unlock(&s->dev);
    return true;
}

void aclint_mtimer_connect(Device *dev, unsigned hart, Cpu *cpu, int m_line, int s_line)
{
    CpuPort port = { .read = port_read, .write = port_write, .opaque = dev };

    irq_connect(&dev->irq[2 * hart + ACLINT_TIMER_M], cpu_line, cpu, m_line);
    irq_connect(&dev->irq[2 * hart + ACLINT_TIMER_S], cpu_line, cpu, s_line);
    cpu_port_connect(cpu, CPU_PORT_TIMER, &port);
}

static bool mtimer_realize(Device *dev, Error **errp)
{
    Mtimer *s = mtimer(dev);

    device_add_mmio(dev, "riscv.aclint.mtimer", 0x8000, &timer_ops, s);
    device_set_irqs(dev, 2 * s->nharts, 0);
    s->hart = g_new0(AclintHart, s->nharts);
    s->ref = g_new0(struct MtimerRef, 2 * s->nharts);
    for (unsigned i = 0; i < 2 * s->nharts; i++) {
        s->ref[i] = (struct MtimerRef){ s, &s->hart[i / 2], i & 1 };
        timer_init(&s->hart[i / 2].timer[i & 1], device_clock(dev), fired, &s->ref[i], dev->mutex);
    }
    return true;
}

static void mtimer_unrealize(Device *dev)
{
    Mtimer *s = mtimer(dev);

    for (unsigned i = 0; s->hart && i < 2 * s->nharts; i++) {
        timer_fini(&s->hart[i / 2].timer[i & 1]);
    }
    g_clear_pointer(&s->hart, g_free);
    g_clear_pointer(&s->ref, g_free);
}

static void mtimer_reset_enter(Device *dev)
{
    Mtimer *s = mtimer(dev);

    for (unsigned i = 0; i < s->nharts; i++) {
        s->hart[i].mtimecmp = s->hart[i].stimecmp = UINT64_MAX;
        timer_del(&s->hart[i].timer[0]);
        timer_del(&s->hart[i].timer[1]);
    }
    s->delta = -mtime(s) + s->delta;            /* counts from 0 */
}

static void mtimer_reset_hold(Device *dev)
{
    for (unsigned i = 0; i < dev->nirq; i++) {
        irq_set(&dev->irq[i], 0);
    }
}

static const StateField hart_fields[] = {
    STATE_U64(AclintHart, mtimecmp), STATE_U64(AclintHart, stimecmp), STATE_TIMER(AclintHart, timer[0]), STATE_TIMER(AclintHart, timer[1]), {}
};
static const StateTable hart_table = { .name = "hart", .fields = hart_fields };

static const StateField mtimer_state[] = { STATE_U64(Mtimer, delta, .keep = true), STATE_STRUCT_PTR(Mtimer, hart, nharts, hart_table), {} };

static const Prop mtimer_props[] = {
    PROP_U32("num-harts", Mtimer, nharts, 1, .min = 1, .max = MAX_HARTS, .help = "harts with a comparator"),
    PROP_U64("timebase-freq", Mtimer, freq, 10000000, .min = 1, .max = 1000000000, .help = "ticks in a second"),
    PROP_U64("time-base", Mtimer, time_base, 0x7ff8, .max = 0x7ff8, .help = "where mtime is"),
    {}
};

static const DeviceType mtimer_type = {
    .name = "riscv.aclint.mtimer", .desc = "ACLINT machine timer", .category = "Misc", .size = sizeof(Mtimer), .props = mtimer_props,
    .state = mtimer_state, .realize = mtimer_realize, .unrealize = mtimer_unrealize, .reset_enter = mtimer_reset_enter, .reset_hold = mtimer_reset_hold,
};
DEVICE_TYPE(mtimer_type);

/* ---- software interrupts: a word per hart, of which bit 0 counts ---- */

typedef struct Swi {
    Device dev;
    uint32_t nharts;
    bool supervisor;            /* SSWI: writing 1 raises the pending bit, which software clears; reads as 0 */
    Cpu **cpu;
    int line;
} Swi;

static Swi *swi(Device *dev)
{
    return (Swi *)dev;
}

static MemResult swi_read(void *opaque, uint64_t off, unsigned size, uint64_t *val, MemAttrs attrs)
{
    Swi *s = opaque;

    *val = !s->supervisor && off / 4 < s->nharts ? (uint64_t)s->dev.irq[off / 4].level : 0;
    return MEM_OK;
}

static MemResult swi_write(void *opaque, uint64_t off, unsigned size, uint64_t val, MemAttrs attrs)
{
    Swi *s = opaque;

    if (off / 4 >= s->nharts) {
        /* nobody there */
    } else if (!s->supervisor) {
        irq_set(&s->dev.irq[off / 4], val & 1);
    } else if (val & 1) {
        cpu_line(s->cpu[off / 4], s->line, 1);
    }
    return MEM_OK;
}

static const MemOps swi_ops = { .read = swi_read, .write = swi_write, .min = 4, .max = 4 };

void aclint_swi_connect(Device *dev, unsigned hart, Cpu *cpu, int line)
{
    Swi *s = swi(dev);

    s->cpu[hart] = cpu;
    s->line = line;
    if (!s->supervisor) {
        irq_connect(&dev->irq[hart], cpu_line, cpu, line);
    }
}

static bool swi_realize(Device *dev, Error **errp)
{
    Swi *s = swi(dev);

    device_add_mmio(dev, "riscv.aclint.swi", 0x4000, &swi_ops, s);
    device_set_irqs(dev, s->nharts, 0);
    s->cpu = g_new0(Cpu *, s->nharts);
    return true;
}

static void swi_unrealize(Device *dev)
{
    g_clear_pointer(&swi(dev)->cpu, g_free);
}

static void swi_reset_hold(Device *dev)
{
    for (unsigned i = 0; i < dev->nirq; i++) {
        irq_set(&dev->irq[i], 0);
    }
}

static const Prop swi_props[] = {
    PROP_U32("num-harts", Swi, nharts, 1, .min = 1, .max = MAX_HARTS, .help = "harts with an interrupt"),
    PROP_BOOL("sswi", Swi, supervisor, false, .help = "interrupts of supervisor mode"),
    {}
};

static const DeviceType swi_type = {
    .name = "riscv.aclint.swi", .desc = "ACLINT software interrupts", .category = "Misc", .size = sizeof(Swi), .props = swi_props, .stateless = true,
    .realize = swi_realize, .unrealize = swi_unrealize, .reset_hold = swi_reset_hold,
};
DEVICE_TYPE(swi_type);
