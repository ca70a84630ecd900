/* SPDX-License-Identifier: MIT */
/* GICv2 CPU interface registers: IHI 0048B, section 4.4. */
#include "hw/intc/gicv2-priv.h"

#include "util/bits.h"
#include "util/log.h"

enum { EOI_MODE = 1 << 9 };

static void changed(Device *dev, const RegAccess *a, uint64_t val)
{
    gicv2_update(gicv2(dev), a->bank);
}

static void bpr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);

    s->bpr[a->bank] = MAX((uint32_t)val, GIC_MIN_BPR);
    gicv2_update(s, a->bank);
}

static uint64_t iar_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);

    return gicv2_acknowledge(s, gicv2_cpu(s, a->attrs));
}

static void deactivate(Gicv2 *s, unsigned cpu, uint32_t irq)
{
    if (irq < s->num_irq) {
        gic_bit_set(&s->active, cpu, irq, false);
    }
}

/* The priority drop takes the highest active priority off, whichever interrupt is named (4.4.5). */
static void eoir_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);
    unsigned cpu = gicv2_cpu(s, a->attrs);
    uint32_t irq = val & 0x3ff;

    if (irq >= s->num_irq) {
        return;
    }
    if (!s->apr[cpu]) {
        log_guest("gic: end of interrupt %u without one active on CPU %u", irq, cpu);
        return;
    }
    s->apr[cpu] &= s->apr[cpu] - 1;
    if (!(s->c_ctlr[cpu] & EOI_MODE)) {
        deactivate(s, cpu, irq);
    }
    gicv2_update_all(s);
}

static void dir_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Gicv2 *s = gicv2(dev);
    unsigned cpu = gicv2_cpu(s, a->attrs);

    if (!(s->c_ctlr[cpu] & EOI_MODE)) {
        log_guest("gic: GICC_DIR without EOImode");
        return;
    }
    deactivate(s, cpu, val & 0x3ff);
    gicv2_update_all(s);
}

static uint64_t rpr_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);
    uint32_t apr = s->apr[gicv2_cpu(s, a->attrs)];

    return apr ? ctz32(apr) << 3 : 0xff;
}

static uint64_t hppir_read(Device *dev, const RegAccess *a)
{
    Gicv2 *s = gicv2(dev);

    return gicv2_highest(s, gicv2_cpu(s, a->attrs));
}

#define REG_OWNER Gicv2
#define RAZ(n, off) { .name = #n, .offset = off, .size = 4, .virt = true, .raz = true }
const Reg gicv2_cpu_regs[] = {
    REG32F(GICC_CTLR, 0x00, c_ctlr, .banks = GICV2_CPUS, .rsvd = ~0x3ffu, .ro = 0x1fe, .written = changed),
    REG32F(GICC_PMR, 0x04, pmr, .banks = GICV2_CPUS, .rsvd = ~0xffu, .ro = 7, .written = changed),
    REG32F(GICC_BPR, 0x08, bpr, .banks = GICV2_CPUS, .rsvd = ~7u, .shared = true, .written = bpr_written),
    REG32V(GICC_IAR, 0x0c, .ro = ~0u, .read = iar_read),
    REG32V(GICC_EOIR, 0x10, .wo = true, .written = eoir_written),
    REG32V(GICC_RPR, 0x14, .ro = ~0u, .read = rpr_read),
    REG32V(GICC_HPPIR, 0x18, .ro = ~0u, .read = hppir_read),
    RAZ(GICC_ABPR, 0x1c), RAZ(GICC_AIAR, 0x20), RAZ(GICC_AEOIR, 0x24), RAZ(GICC_AHPPIR, 0x28),
    REG32F(GICC_APR0, 0xd0, apr, .banks = GICV2_CPUS, .written = changed),
    RAZ(GICC_APR1, 0xd4), RAZ(GICC_APR2, 0xd8), RAZ(GICC_APR3, 0xdc),
    { .name = "GICC_NSAPR", .offset = 0xe0, .size = 4, .count = 4, .virt = true, .raz = true },
    REG_CONST(GICC_IIDR, 0xfc, 0x0002043b),
    REG32V(GICC_DIR, 0x1000, .wo = true, .written = dir_written),
    {}
};
