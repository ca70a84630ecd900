/* SPDX-License-Identifier: MIT */
/* What distributor and CPU interface of the GICv2 share. */
#ifndef HW_INTC_GICV2_PRIV_H
#define HW_INTC_GICV2_PRIV_H

#include "hw/core/device.h"
#include "hw/intc/gicv2.h"

enum { GIC_IRQS = 1020, GIC_WORDS = 32, GIC_SGIS = 16, GIC_SPURIOUS = 1023, GIC_PRIO_MASK = 0xf8, GIC_MIN_BPR = 2 };

/* One bit per interrupt: the first word is banked. */
typedef struct GicBits {
    uint32_t banked[GICV2_CPUS];
    uint32_t shared[GIC_WORDS];     /* [0] is not used */
} GicBits;

typedef struct Gicv2 {
    Device dev;
    /* distributor */
    uint32_t ctlr;
    GicBits enabled, pending, active, edge, level;
    uint8_t prio_banked[GICV2_CPUS][GIC_INTERNAL], prio[GIC_IRQS], targets[GIC_IRQS];
    uint8_t sgi_from[GICV2_CPUS][GIC_SGIS];     /* [to][id]: mask of the senders */
    /* CPU interfaces */
    uint32_t c_ctlr[GICV2_CPUS], pmr[GICV2_CPUS], bpr[GICV2_CPUS], apr[GICV2_CPUS];
    uint32_t num_cpu, num_irq;
} Gicv2;

static inline Gicv2 *gicv2(Device *dev)
{
    return (Gicv2 *)dev;
}

static inline unsigned gicv2_cpu(const Gicv2 *s, MemAttrs attrs)
{
    return attrs.cpu >= 0 && (uint32_t)attrs.cpu < s->num_cpu ? (unsigned)attrs.cpu : 0;
}

static inline uint32_t *gic_word(GicBits *b, unsigned cpu, unsigned n)
{
    return n ? &b->shared[n] : &b->banked[cpu];
}

static inline void gic_bit_set(GicBits *b, unsigned cpu, unsigned irq, bool on)
{
    uint32_t *w = gic_word(b, cpu, irq / 32), bit = 1u << (irq % 32);

    *w = on ? *w | bit : *w & ~bit;
}

static inline bool gic_bit(GicBits *b, unsigned cpu, unsigned irq)
{
    return *gic_word(b, cpu, irq / 32) >> (irq % 32) & 1;
}

static inline uint8_t *gic_prio(Gicv2 *s, unsigned cpu, unsigned irq)
{
    return irq < GIC_INTERNAL ? &s->prio_banked[cpu][irq] : &s->prio[irq];
}

/* Look at one CPU's, or all CPUs', interrupts again and move their wires. Lock held. */
void gicv2_update(Gicv2 *s, unsigned cpu);
void gicv2_update_all(Gicv2 *s);
uint32_t gicv2_acknowledge(Gicv2 *s, unsigned cpu);
/* The highest that could be signalled, SGI source included; GIC_SPURIOUS: none. */
uint32_t gicv2_highest(Gicv2 *s, unsigned cpu);

extern const Reg gicv2_dist_regs[], gicv2_cpu_regs[];

#endif
