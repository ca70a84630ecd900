/* SPDX-License-Identifier: MIT */
/* GICv3 distributor registers: IHI 0069, section 12.9. */
#include "hw/intc/gicv3-priv.h"

enum { CTLR_DS = 1 << 6, CTLR_ARE = 1 << 4, CTLR_GROUPS = 3 };

static IrqWord *word(Device *dev, unsigned i)
{
    Gicv3 *s = gicv3(dev);

    return i && i < s->num_irq / 32 ? &s->spi[i] : NULL;     /* word 0 is the redistributors' */
}

static uint64_t ctlr_read(Device *dev, const RegAccess *a)
{
    return gicv3(dev)->ctlr | CTLR_DS | CTLR_ARE;
}

static void ctlr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    gicv3(dev)->ctlr = a->raw & CTLR_GROUPS;
    gicv3_update_all(gicv3(dev));
}

/* ITLinesNumber; LPIS; IDbits 16 (10 without LPIs); A3V, No1N clear of 1-of-N support as the board is known for. */
static uint64_t typer_read(Device *dev, const RegAccess *a)
{
    Gicv3 *s = gicv3(dev);
    uint32_t v = (s->num_irq / 32 - 1) | 1u << 24 | 1u << 25;

    return v | (s->has_lpi ? 1u << 17 | (LPI_ID_BITS - 1) << 19 : (LPI_ID_BITS - 1) << 19);
}

#define WORD_RW(name, field, after) \
    static uint64_t name##_read(Device *dev, const RegAccess *a) \
    { \
        IrqWord *w = word(dev, a->index); \
        return w ? w->field : 0; \
    } \
    static void name##_written(Device *dev, const RegAccess *a, uint64_t val) \
    { \
        IrqWord *w = word(dev, a->index); \
        if (w) { \
            w->field = reg_merge(w->field, a); \
            after; \
        } \
    }
#define WORD_SET_CLEAR(name, shown, field) \
    static uint64_t name##_read(Device *dev, const RegAccess *a) \
    { \
        IrqWord *w = word(dev, a->index); \
        return w ? shown : 0; \
    } \
    static void name##_set(Device *dev, const RegAccess *a, uint64_t val) \
    { \
        IrqWord *w = word(dev, a->index); \
        if (w) { \
            w->field |= a->raw & a->lanes; \
            gicv3_update_spis(gicv3(dev), a->index, a->raw & a->lanes); \
        } \
    } \
    static void name##_clear(Device *dev, const RegAccess *a, uint64_t val) \
    { \
        IrqWord *w = word(dev, a->index); \
        if (w) { \
            w->field &= ~(a->raw & a->lanes); \
            gicv3_update_spis(gicv3(dev), a->index, a->raw & a->lanes); \
        } \
    }

WORD_RW(group, group, gicv3_update_spis(gicv3(dev), a->index, ~0u))
WORD_SET_CLEAR(enable, w->enable, enable)
WORD_SET_CLEAR(pending, irq_pending(w), latched)
WORD_SET_CLEAR(active, w->active, active)

static uint64_t priority_read(Device *dev, const RegAccess *a)
{
    Gicv3 *s = gicv3(dev);
    unsigned first = a->index * 4;
    uint32_t v = 0;

    for (unsigned i = 0; i < 4 && first >= INTID_SPI && first + i < s->num_irq; i++) {
        v |= (uint32_t)s->prio[first + i] << i * 8;
    }
    return v;
}

static void priority_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv3 *s = gicv3(dev);
    unsigned first = a->index * 4;

    for (unsigned i = 0; i < 4 && first >= INTID_SPI && first + i < s->num_irq; i++) {
        if (a->lanes >> i * 8 & 0xff) {
            s->prio[first + i] = (a->raw >> i * 8) & PRIO_MASK;
        }
    }
    gicv3_update_spis(s, first / 32, 0xfu << first % 32);
}

/* Two bits an interrupt, the upper one says edge. */
static uint64_t icfgr_read(Device *dev, const RegAccess *a)
{
    IrqWord *w = word(dev, a->index / 2);
    uint32_t v = 0;

    for (unsigned i = 0; w && i < 16; i++) {
        v |= (w->edge >> (a->index % 2 * 16 + i) & 1) << (2 * i + 1);
    }
    return v;
}

static void icfgr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    IrqWord *w = word(dev, a->index / 2);
    uint32_t v = reg_merge(icfgr_read(dev, a), a);

    for (unsigned i = 0; w && i < 16; i++) {
        uint32_t bit = 1u << (a->index % 2 * 16 + i);

        w->edge = v >> (2 * i + 1) & 1 ? w->edge | bit : w->edge & ~bit;
    }
    if (w) {
        gicv3_update_spis(gicv3(dev), a->index / 2, ~0u);
    }
}

static uint64_t irouter_read(Device *dev, const RegAccess *a)
{
    Gicv3 *s = gicv3(dev);
    unsigned intid = a->index + INTID_SPI;

    return intid < s->num_irq ? s->irouter[intid] : 0;
}

static void irouter_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv3 *s = gicv3(dev);
    unsigned intid = a->index + INTID_SPI;
    int was;

    if (intid >= s->num_irq) {
        return;
    }
    was = s->target[intid];
    s->irouter[intid] = ((s->irouter[intid] & ~a->lanes) | (a->raw & a->lanes)) & 0xff80ffffffull;
    gicv3_route(s, intid);
    if (was >= 0) {
        gicv3_update(s, &s->cpu[was]);
    }
    if (s->target[intid] >= 0) {
        gicv3_update(s, &s->cpu[s->target[intid]]);
    }
}

static const Reg regs[] = {
    REG32V(CTLR,       0x0000, .read = ctlr_read, .written = ctlr_written),
    REG32V(TYPER,      0x0004, .ro = ~0u, .read = typer_read),
    REG_CONST(IIDR,    0x0008, 0x43b),
    REG32V(TYPER2,     0x000c, .raz = true),
    REG32V(STATUSR,    0x0010, .raz = true),
    REG32V(IGROUPR,    0x0080, .count = 32, .read = group_read, .written = group_written),
    REG32V(ISENABLER,  0x0100, .count = 32, .read = enable_read, .written = enable_set),
    REG32V(ICENABLER,  0x0180, .count = 32, .read = enable_read, .written = enable_clear),
    REG32V(ISPENDR,    0x0200, .count = 32, .read = pending_read, .written = pending_set),
    REG32V(ICPENDR,    0x0280, .count = 32, .read = pending_read, .written = pending_clear),
    REG32V(ISACTIVER,  0x0300, .count = 32, .read = active_read, .written = active_set),
    REG32V(ICACTIVER,  0x0380, .count = 32, .read = active_read, .written = active_clear),
    REG32V(IPRIORITYR, 0x0400, .count = 255, .read = priority_read, .written = priority_written),
    REG32V(ITARGETSR,  0x0800, .count = 255, .raz = true),      /* legacy operation is not there */
    REG32V(ICFGR,      0x0c00, .count = 64, .read = icfgr_read, .written = icfgr_written),
    REG32V(IGRPMODR,   0x0d00, .count = 32, .raz = true),       /* one security state */
    REG32V(NSACR,      0x0e00, .count = 64, .raz = true),
    REG32V(SGIR,       0x0f00, .raz = true),
    REG64V(IROUTER,    0x6100, .count = 988, .read = irouter_read, .written = irouter_written),
    REG_CONST(PIDR4, 0xffd0, 0x44), REG32V(PIDR567, 0xffd4, .count = 3, .raz = true),
    REG_CONST(PIDR0, 0xffe0, 0x92), REG_CONST(PIDR1, 0xffe4, 0xb4), REG_CONST(PIDR2, 0xffe8, 0x3b), REG_CONST(PIDR3, 0xffec, 0x00),
    REG_CONST(CIDR0, 0xfff0, 0x0d), REG_CONST(CIDR1, 0xfff4, 0xf0), REG_CONST(CIDR2, 0xfff8, 0x05), REG_CONST(CIDR3, 0xfffc, 0xb1),
    {}
};

const RegBlock gicv3_dist_block = { .name = "gicv3-dist", .regs = regs, .size = 0x10000, .access_max = 8 };
