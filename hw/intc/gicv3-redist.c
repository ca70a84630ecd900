/* SPDX-License-Identifier: MIT */
/* GICv3 redistributor registers: IHI 0069, sections 12.10 and 12.11. */
#include "hw/intc/gicv3-priv.h"

enum { CTLR_ENABLE_LPIS = 1, CTLR_CES = 2, WAKER_SLEEP = 2, WAKER_CHILDREN_ASLEEP = 4 };
#define PROPBASER_BITS 0x000fffffffffff9full     /* without OuterCache: there is one memory system */
#define PENDBASER_BITS 0x400fffffffff0f80ull

static GicCpu *cpu_at(Device *dev, const RegAccess *a)
{
    return &gicv3(dev)->cpu[a->instance];
}

static uint64_t ctlr_read(Device *dev, const RegAccess *a)
{
    return cpu_at(dev, a)->ctlr | CTLR_CES;
}

/* Once on, LPIs can be switched off again (CES says so); what is pending then is forgotten. */
static void ctlr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv3 *s = gicv3(dev);
    GicCpu *c = cpu_at(dev, a);
    bool was = c->ctlr & CTLR_ENABLE_LPIS;

    c->ctlr = s->has_lpi ? a->raw & CTLR_ENABLE_LPIS : 0;
    if (!was && c->ctlr) {
        gicv3_lpi_enable(s, c);
    } else if (was && !c->ctlr) {
        g_array_set_size(c->lpis, 0);
    }
    gicv3_update(s, c);
}

static uint64_t typer_read(Device *dev, const RegAccess *a)
{
    Gicv3 *s = gicv3(dev);
    GicCpu *c = cpu_at(dev, a);
    bool last = a->instance == s->ncpu - 1 || a->instance + 1 == s->first_region;

    return (uint64_t)c->affinity << 32 | 1u << 24 | (uint32_t)a->instance << 8 | last << 4 | s->has_lpi;
}

static uint64_t waker_read(Device *dev, const RegAccess *a)
{
    return cpu_at(dev, a)->waker;
}

static void waker_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);

    c->waker = a->raw & WAKER_SLEEP ? WAKER_SLEEP | WAKER_CHILDREN_ASLEEP : 0;
}

static uint64_t merge64(uint64_t old, const RegAccess *a)
{
    return (old & ~a->lanes) | (a->raw & a->lanes);
}

static uint64_t propbaser_read(Device *dev, const RegAccess *a)
{
    return cpu_at(dev, a)->propbaser;
}

static void propbaser_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);

    if (!(c->ctlr & CTLR_ENABLE_LPIS)) {        /* else: unpredictable, kept */
        c->propbaser = merge64(c->propbaser, a) & PROPBASER_BITS;
    }
}

static uint64_t pendbaser_read(Device *dev, const RegAccess *a)
{
    return cpu_at(dev, a)->pendbaser & ~(1ull << 62);       /* PTZ reads as zero */
}

static void pendbaser_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);

    if (!(c->ctlr & CTLR_ENABLE_LPIS)) {
        c->pendbaser = merge64(c->pendbaser, a) & PENDBASER_BITS;
    }
}

/* ---- SGIs and PPIs ---- */

static uint64_t group_read(Device *dev, const RegAccess *a)
{
    return cpu_at(dev, a)->priv.group;
}

static void group_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);

    c->priv.group = reg_merge(c->priv.group, a);
    gicv3_update(gicv3(dev), c);
}

#define SET_CLEAR(name, shown, field) \
    static uint64_t name##_read(Device *dev, const RegAccess *a) \
    { \
        const IrqWord *w = &cpu_at(dev, a)->priv; \
        return shown; \
    } \
    static void name##_set(Device *dev, const RegAccess *a, uint64_t val) \
    { \
        cpu_at(dev, a)->priv.field |= a->raw & a->lanes; \
        gicv3_update(gicv3(dev), cpu_at(dev, a)); \
    } \
    static void name##_clear(Device *dev, const RegAccess *a, uint64_t val) \
    { \
        cpu_at(dev, a)->priv.field &= ~(a->raw & a->lanes); \
        gicv3_update(gicv3(dev), cpu_at(dev, a)); \
    }

SET_CLEAR(enable, w->enable, enable)
SET_CLEAR(pending, irq_pending(w), latched)
SET_CLEAR(active, w->active, active)

static uint64_t priority_read(Device *dev, const RegAccess *a)
{
    const uint8_t *p = cpu_at(dev, a)->prio + a->index * 4;

    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void priority_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);

    for (unsigned i = 0; i < 4; i++) {
        if (a->lanes >> i * 8 & 0xff) {
            c->prio[a->index * 4 + i] = (a->raw >> i * 8) & PRIO_MASK;
        }
    }
    gicv3_update(gicv3(dev), c);
}

static uint64_t icfgr1_read(Device *dev, const RegAccess *a)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 16; i++) {
        v |= (cpu_at(dev, a)->priv.edge >> (16 + i) & 1) << (2 * i + 1);
    }
    return v;
}

static void icfgr1_written(Device *dev, const RegAccess *a, uint64_t val)
{
    GicCpu *c = cpu_at(dev, a);
    uint32_t v = reg_merge(icfgr1_read(dev, a), a);

    for (unsigned i = 0; i < 16; i++) {
        uint32_t bit = 1u << (16 + i);

        c->priv.edge = v >> (2 * i + 1) & 1 ? c->priv.edge | bit : c->priv.edge & ~bit;
    }
    gicv3_update(gicv3(dev), c);
}

const Reg gicv3_redist_regs[] = {
    REG32V(CTLR,       0x00000, .read = ctlr_read, .written = ctlr_written),
    REG_CONST(IIDR,    0x00004, 0x43b),
    REG64V(TYPER,      0x00008, .ro = ~0ull, .read = typer_read),
    REG32V(STATUSR,    0x00010, .raz = true),
    REG32V(WAKER,      0x00014, .read = waker_read, .written = waker_written),
    REG64V(PROPBASER,  0x00070, .read = propbaser_read, .written = propbaser_written),
    REG64V(PENDBASER,  0x00078, .read = pendbaser_read, .written = pendbaser_written),
    REG_CONST(PIDR4, 0x0ffd0, 0x44), REG32V(PIDR567, 0x0ffd4, .count = 3, .raz = true),
    REG_CONST(PIDR0, 0x0ffe0, 0x93), REG_CONST(PIDR1, 0x0ffe4, 0xb4), REG_CONST(PIDR2, 0x0ffe8, 0x3b), REG_CONST(PIDR3, 0x0ffec, 0x00),
    REG_CONST(CIDR0, 0x0fff0, 0x0d), REG_CONST(CIDR1, 0x0fff4, 0xf0), REG_CONST(CIDR2, 0x0fff8, 0x05), REG_CONST(CIDR3, 0x0fffc, 0xb1),
    REG32V(IGROUPR0,   0x10080, .read = group_read, .written = group_written),
    REG32V(ISENABLER0, 0x10100, .read = enable_read, .written = enable_set),
    REG32V(ICENABLER0, 0x10180, .read = enable_read, .written = enable_clear),
    REG32V(ISPENDR0,   0x10200, .read = pending_read, .written = pending_set),
    REG32V(ICPENDR0,   0x10280, .read = pending_read, .written = pending_clear),
    REG32V(ISACTIVER0, 0x10300, .read = active_read, .written = active_set),
    REG32V(ICACTIVER0, 0x10380, .read = active_read, .written = active_clear),
    REG32V(IPRIORITYR, 0x10400, .count = 8, .read = priority_read, .written = priority_written),
    REG_CONST(ICFGR0,  0x10c00, 0xaaaaaaaa),                    /* SGIs */
    REG32V(ICFGR1,     0x10c04, .read = icfgr1_read, .written = icfgr1_written),
    REG32V(IGRPMODR0,  0x10d00, .raz = true),
    REG32V(NSACR,      0x10e00, .raz = true),
    {}
};
