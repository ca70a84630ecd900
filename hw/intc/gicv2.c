/* SPDX-License-Identifier: MIT */
/*
 * Generic Interrupt Controller, version 2 (Arm IHI 0048B), without the Security
 * and Virtualization Extensions: one group, 32 priority levels.
 *
 * This file: the state, which interrupt is next, the wires in and out.
 */
#include "hw/intc/gicv2-priv.h"

#include "util/bits.h"

/* ---- which is next ---- */

static uint32_t word_pending(Gicv2 *s, unsigned cpu, unsigned n)
{
    uint32_t edge = *gic_word(&s->edge, cpu, n);

    return *gic_word(&s->pending, cpu, n) | (*gic_word(&s->level, cpu, n) & ~edge);
}

static bool for_cpu(const Gicv2 *s, unsigned cpu, unsigned irq)
{
    return irq < GIC_INTERNAL || s->num_cpu == 1 || (s->targets[irq] >> cpu & 1);
}

/* Best pending, enabled and not active: its priority, 0x100 for none. */
static unsigned best(Gicv2 *s, unsigned cpu, unsigned *irq)
{
    unsigned prio = 0x100;

    for (unsigned n = 0; n < (s->num_irq + 31) / 32; n++) {
        uint32_t w = word_pending(s, cpu, n) & *gic_word(&s->enabled, cpu, n) & ~*gic_word(&s->active, cpu, n);

        for (; w; w &= w - 1) {
            unsigned i = n * 32 + ctz32(w);

            if (*gic_prio(s, cpu, i) < prio && for_cpu(s, cpu, i)) {
                prio = *gic_prio(s, cpu, i);
                *irq = i;
            }
        }
    }
    return prio;
}

static unsigned group_mask(const Gicv2 *s, unsigned cpu)
{
    return 0xffu & ~0u << (MAX(s->bpr[cpu], GIC_MIN_BPR) + 1);
}

static unsigned running(const Gicv2 *s, unsigned cpu)
{
    return s->apr[cpu] ? ctz32(s->apr[cpu]) << 3 : 0x100;
}

/* May this priority interrupt what runs? */
static bool preempts(const Gicv2 *s, unsigned cpu, unsigned prio)
{
    return prio < s->pmr[cpu] && (prio & group_mask(s, cpu)) < running(s, cpu);
}

uint32_t gicv2_highest(Gicv2 *s, unsigned cpu)
{
    unsigned irq, prio;

    if (!(s->ctlr & 1)) {
        return GIC_SPURIOUS;
    }
    prio = best(s, cpu, &irq);
    if (prio > 0xff || prio >= s->pmr[cpu]) {
        return GIC_SPURIOUS;
    }
    return irq < GIC_SGIS && s->sgi_from[cpu][irq] ? irq | ctz32(s->sgi_from[cpu][irq]) << 10 : irq;
}

void gicv2_update(Gicv2 *s, unsigned cpu)
{
    unsigned irq, prio = s->ctlr & 1 && s->c_ctlr[cpu] & 1 ? best(s, cpu, &irq) : 0x100;

    irq_set(&s->dev.irq[cpu], prio < 0x100 && preempts(s, cpu, prio));
}

void gicv2_update_all(Gicv2 *s)
{
    for (unsigned i = 0; i < s->num_cpu; i++) {
        gicv2_update(s, i);
    }
}

uint32_t gicv2_acknowledge(Gicv2 *s, unsigned cpu)
{
    uint32_t id = gicv2_highest(s, cpu), irq = id & 0x3ff;
    unsigned prio;

    if (id == GIC_SPURIOUS || !(s->c_ctlr[cpu] & 1)) {
        return GIC_SPURIOUS;
    }
    prio = *gic_prio(s, cpu, irq);
    if (!preempts(s, cpu, prio)) {
        return GIC_SPURIOUS;
    }
    if (irq < GIC_SGIS) {
        s->sgi_from[cpu][irq] &= ~(1u << (id >> 10));
        gic_bit_set(&s->pending, cpu, irq, s->sgi_from[cpu][irq] != 0);
    } else {
        gic_bit_set(&s->pending, cpu, irq, false);
    }
    gic_bit_set(&s->active, cpu, irq, true);
    s->apr[cpu] |= 1u << ((prio & group_mask(s, cpu)) >> 3);
    if (irq < GIC_INTERNAL) {
        gicv2_update(s, cpu);
    } else {
        gicv2_update_all(s);
    }
    return id;
}

/* ---- wires in ---- */

static void set_level(Gicv2 *s, unsigned cpu, unsigned irq, int level)
{
    if (level && gic_bit(&s->edge, cpu, irq)) {
        gic_bit_set(&s->pending, cpu, irq, true);
    }
    gic_bit_set(&s->level, cpu, irq, level);
}

static void gicv2_irq_in(void *opaque, int n, int level)
{
    Gicv2 *s = opaque;
    unsigned spis = s->num_irq - GIC_INTERNAL;

    device_lock(&s->dev);
    if ((unsigned)n < spis) {
        set_level(s, 0, (unsigned)n + GIC_INTERNAL, level);
        gicv2_update_all(s);
    } else {
        unsigned cpu = ((unsigned)n - spis) / GIC_INTERNAL;

        set_level(s, cpu, ((unsigned)n - spis) % GIC_INTERNAL, level);
        gicv2_update(s, cpu);
    }
    device_unlock(&s->dev);
}

/* ---- the device ---- */

static const StateField bits_rows[] = { STATE_ARRAY(GicBits, banked, uint32_t), STATE_ARRAY(GicBits, shared, uint32_t), {} };
static const StateTable bits_table = { .name = "gic-bits", .fields = bits_rows };

static const StateField gicv2_state[] = {
    STATE_STRUCT(Gicv2, enabled, bits_table), STATE_STRUCT(Gicv2, pending, bits_table), STATE_STRUCT(Gicv2, active, bits_table),
    STATE_STRUCT(Gicv2, edge, bits_table), STATE_STRUCT(Gicv2, level, bits_table, .keep = true),
    STATE_BUF(Gicv2, prio_banked), STATE_BUF(Gicv2, prio), STATE_BUF(Gicv2, targets), STATE_BUF(Gicv2, sgi_from),
    STATE_ARRAY(Gicv2, bpr, uint32_t, .def = GIC_MIN_BPR, .max = 7), {}
};

static const Prop gicv2_props[] = {
    PROP_U32("num-cpu", Gicv2, num_cpu, 1, .min = 1, .max = GICV2_CPUS),
    PROP_U32("num-irq", Gicv2, num_irq, 256, .min = 64, .max = GIC_IRQS),
    {}
};

static bool gicv2_realize(Device *dev, Error **errp)
{
    Gicv2 *s = gicv2(dev);

    if (s->num_irq % 32) {
        return error_set(errp, "arm_gic: num-irq %u is no multiple of 32", s->num_irq);
    }
    device_set_irqs(dev, 2 * s->num_cpu, s->num_irq - GIC_INTERNAL + s->num_cpu * GIC_INTERNAL);
    return true;
}

/* SGIs are edges and always enabled (4.3.5, 4.3.13). */
static void gicv2_reset_enter(Device *dev)
{
    Gicv2 *s = gicv2(dev);

    for (unsigned i = 0; i < GICV2_CPUS; i++) {
        s->enabled.banked[i] = s->edge.banked[i] = 0xffff;
    }
}

static void gicv2_reset_hold(Device *dev)
{
    gicv2_update_all(gicv2(dev));
}

static const RegBlock gicv2_blocks[] = {
    { .name = "gic_dist", .regs = gicv2_dist_regs, .size = 0x1000 },
    { .name = "gic_cpu", .regs = gicv2_cpu_regs, .size = 0x2000 },
};

static const DeviceType gicv2_type = {
    .name = "arm_gic", .desc = "Arm Generic Interrupt Controller v2", .category = "Interrupt", .size = sizeof(Gicv2), .props = gicv2_props,
    .blocks = gicv2_blocks, .nblocks = 2, .irq_in = gicv2_irq_in, .state = gicv2_state,
    .realize = gicv2_realize, .reset_enter = gicv2_reset_enter, .reset_hold = gicv2_reset_hold,
};
DEVICE_TYPE(gicv2_type);
