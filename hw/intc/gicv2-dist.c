/* SPDX-License-Identifier: MIT */
/* GICv2 distributor registers: IHI 0048B, section 4.3. */
#include "hw/intc/gicv2-priv.h"

#include "util/bits.h"

/* Which bitmap a set/clear pair works on. */
typedef struct BitRow { size_t bits; bool clear, pending; } BitRow;

static const BitRow set_enable = { offsetof(Gicv2, enabled), false, false }, clear_enable = { offsetof(Gicv2, enabled), true, false };
static const BitRow set_pending = { offsetof(Gicv2, pending), false, true }, clear_pending = { offsetof(Gicv2, pending), true, true };
static const BitRow set_active = { offsetof(Gicv2, active), false, false }, clear_active = { offsetof(Gicv2, active), true, false };

/* Interrupts that exist in word n. */
static uint32_t present(const Gicv2 *s, unsigned n)
{
    return n * 32 < s->num_irq ? ~0u : 0;
}

static uint64_t bits_read(Device *dev, const RegAccess *a)
{
    const BitRow *row = a->reg->arg;
    Gicv2 *s = gicv2(dev);
    unsigned cpu = gicv2_cpu(s, a->attrs);
    uint32_t v = *gic_word((GicBits *)((uint8_t *)s + row->bits), cpu, a->index);

    if (row->pending) {
        v |= *gic_word(&s->level, cpu, a->index) & ~*gic_word(&s->edge, cpu, a->index);
    }
    return v & present(s, a->index);
}

static void bits_written(Device *dev, const RegAccess *a, uint64_t val)
{
    const BitRow *row = a->reg->arg;
    Gicv2 *s = gicv2(dev);
    uint32_t *w = gic_word((GicBits *)((uint8_t *)s + row->bits), gicv2_cpu(s, a->attrs), a->index);
    uint32_t bits = (uint32_t)val & present(s, a->index);

    if (a->index == 0 && (row->pending || row->bits == offsetof(Gicv2, enabled))) {
        bits &= 0xffff0000;         /* SGIs have their own pending registers and no enable */
    }
    *w = row->clear ? *w & ~bits : *w | bits;
    gicv2_update_all(s);
}

static void ctlr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    gicv2_update_all(gicv2(dev));
}

static uint64_t typer_read(Device *dev, const RegAccess *a)
{
    const Gicv2 *s = gicv2(dev);

    return (s->num_irq / 32 - 1) | (s->num_cpu - 1) << 5;
}

/* ---- bytes ---- */

static uint64_t prio_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);

    return *gic_prio(s, gicv2_cpu(s, a->attrs), a->index);
}

static void prio_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);

    if (a->index < s->num_irq) {
        *gic_prio(s, gicv2_cpu(s, a->attrs), a->index) = val & GIC_PRIO_MASK;
        gicv2_update_all(s);
    }
}

static uint64_t target_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);

    if (s->num_cpu == 1) {
        return 0;
    }
    return a->index < GIC_INTERNAL ? 1u << gicv2_cpu(s, a->attrs) : s->targets[a->index];
}

static void target_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);

    if (a->index >= GIC_INTERNAL && a->index < s->num_irq && s->num_cpu > 1) {
        s->targets[a->index] = val & ((1u << s->num_cpu) - 1);
        gicv2_update_all(s);
    }
}

/* ---- configuration: two bits each, the upper says edge ---- */

static uint64_t icfgr_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);
    uint32_t v = 0;

    for (unsigned i = 0; i < 16; i++) {
        v |= (uint32_t)gic_bit(&s->edge, gicv2_cpu(s, a->attrs), a->index * 16 + i) << (2 * i + 1);
    }
    return v;
}

static void icfgr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);

    for (unsigned i = 0; i < 16; i++) {
        unsigned irq = a->index * 16 + i;

        if (irq >= GIC_SGIS && irq < s->num_irq && (a->lanes >> (2 * i + 1) & 1)) {
            gic_bit_set(&s->edge, gicv2_cpu(s, a->attrs), irq, val >> (2 * i + 1) & 1);
        }
    }
    gicv2_update_all(s);
}

/* ---- software interrupts ---- */

static void sgi(Gicv2 *s, unsigned from, unsigned to, unsigned id)
{
    s->sgi_from[to][id] |= 1u << from;
    gic_bit_set(&s->pending, to, id, true);
    gicv2_update(s, to);
}

static void sgir_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);
    unsigned from = gicv2_cpu(s, a->attrs), all = (1u << s->num_cpu) - 1, mask;

    switch (val >> 24 & 3) {
    case 0: mask = val >> 16 & all; break;
    case 1: mask = all & ~(1u << from); break;
    case 2: mask = 1u << from; break;
    default: return;
    }
    for (; mask; mask &= mask - 1) {
        sgi(s, from, ctz32(mask), val & 0xf);
    }
}

static uint64_t sgi_pend_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);

    return s->sgi_from[gicv2_cpu(s, a->attrs)][a->index];
}

static void sgi_pend_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);
    unsigned cpu = gicv2_cpu(s, a->attrs);
    uint8_t *from = &s->sgi_from[cpu][a->index], bits = val & ((1u << s->num_cpu) - 1);

    *from = a->reg->arg ? *from & ~bits : *from | bits;
    gic_bit_set(&s->pending, cpu, a->index, *from != 0);
    gicv2_update(s, cpu);
}

#define BITS(name, off, row) REG32V(name, off, .count = 32, .read = bits_read, .written = bits_written, .arg = &(row))

#undef REG_OWNER
#define REG_OWNER Gicv2
const Reg gicv2_dist_regs[] = {
    REG32F(GICD_CTLR, 0x000, ctlr, .rsvd = ~1u, .written = ctlr_written),
    REG32V(GICD_TYPER, 0x004, .ro = ~0u, .read = typer_read),
    REG_CONST(GICD_IIDR, 0x008, 0x43b),
    { .name = "GICD_IGROUPR", .offset = 0x080, .size = 4, .count = 32, .raz = true, .virt = true },
    BITS(GICD_ISENABLER, 0x100, set_enable),
    BITS(GICD_ICENABLER, 0x180, clear_enable),
    BITS(GICD_ISPENDR, 0x200, set_pending),
    BITS(GICD_ICPENDR, 0x280, clear_pending),
    BITS(GICD_ISACTIVER, 0x300, set_active),
    BITS(GICD_ICACTIVER, 0x380, clear_active),
    REG8V(GICD_IPRIORITYR, 0x400, .count = GIC_IRQS, .read = prio_read, .written = prio_written),
    REG8V(GICD_ITARGETSR, 0x800, .count = GIC_IRQS, .read = target_read, .written = target_written),
    REG32V(GICD_ICFGR, 0xc00, .count = 64, .read = icfgr_read, .written = icfgr_written),
    REG32V(GICD_SGIR, 0xf00, .wo = true, .written = sgir_written),
    REG8V(GICD_CPENDSGIR, 0xf10, .count = 16, .read = sgi_pend_read, .written = sgi_pend_written, .arg = &clear_pending),
    REG8V(GICD_SPENDSGIR, 0xf20, .count = 16, .read = sgi_pend_read, .written = sgi_pend_written),
    REG_CONST(PIDR4, 0xfd0, 0x04),
    REG_CONST(PIDR0, 0xfe0, 0x90), REG_CONST(PIDR1, 0xfe4, 0xb4), REG_CONST(PIDR2, 0xfe8, 0x2b), REG_CONST(PIDR3, 0xfec, 0x00),
    REG_CONST(CIDR0, 0xff0, 0x0d), REG_CONST(CIDR1, 0xff4, 0xf0), REG_CONST(CIDR2, 0xff8, 0x05), REG_CONST(CIDR3, 0xffc, 0xb1),
    {}
};
