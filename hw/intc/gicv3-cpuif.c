/* SPDX-License-Identifier: MIT */
/* GICv3 CPU interface as system registers: IHI 0069, section 12.2. */
#include "hw/intc/gicv3-priv.h"

#define ICC(crn, crm, op2) CPU_KEY_A64(3, 0, crn, crm, op2)
enum {
    PMR = ICC(4, 6, 0), IAR0 = ICC(12, 8, 0), EOIR0 = ICC(12, 8, 1), HPPIR0 = ICC(12, 8, 2), BPR0 = ICC(12, 8, 3),
    AP0R0 = ICC(12, 8, 4), AP0R1, AP0R2, AP0R3, AP1R0 = ICC(12, 9, 0), AP1R1, AP1R2, AP1R3,
    ICC_DIR = ICC(12, 11, 1), RPR = ICC(12, 11, 3), SGI1R = ICC(12, 11, 5), ASGI1R, SGI0R,
    IAR1 = ICC(12, 12, 0), EOIR1, HPPIR1, BPR1, CTLR, SRE, IGRPEN0, IGRPEN1,
};
enum { CTLR_CBPR = 1, CTLR_EOIMODE = 2 };
/* PRIbits, IDbits 16, A3V */
#define CTLR_FIXED ((PRIO_BITS - 1) << 8 | 1 << 15)

/* Group priority: the part of a priority that preempts. The field of group 1 is one bit longer at the same value. */
uint8_t gicv3_group_prio(const GicCpu *c, unsigned group, uint8_t prio)
{
    unsigned cut = group == 0 || (c->icc_ctlr & CTLR_CBPR) ? c->bpr[0] + 1 : c->bpr[1];

    return prio & (0xffu << cut);
}

uint8_t gicv3_running_prio(const GicCpu *c)
{
    uint32_t active = c->ap[0] | c->ap[1];

    return active ? __builtin_ctz(active) << (8 - PRIO_BITS) : PRIO_IDLE;
}

static IrqWord *word_of(Gicv3 *s, GicCpu *c, uint32_t intid)
{
    return intid < INTID_SPI ? &c->priv : intid < s->num_irq ? &s->spi[intid / 32] : NULL;
}

static uint32_t acknowledge(Gicv3 *s, GicCpu *c, unsigned group)
{
    uint32_t intid = c->hppi;
    IrqWord *w;
    uint8_t prio = gicv3_group_prio(c, group, c->hppi_prio);

    if (intid == INTID_NONE || c->hppi_group != group || !c->igrpen[group] || c->hppi_prio >= c->pmr || prio >= gicv3_running_prio(c)) {
        return INTID_NONE;
    }
    c->ap[group] |= 1u << (prio >> (8 - PRIO_BITS));
    w = word_of(s, c, intid);
    if (w) {
        w->active |= 1u << intid % 32;
        w->latched &= ~(1u << intid % 32);
    } else {
        gicv3_lpi_clear(c, intid);
    }
    gicv3_update(s, c);
    return intid;
}

static void deactivate(Gicv3 *s, GicCpu *c, uint32_t intid)
{
    IrqWord *w = word_of(s, c, intid);

    if (!w) {
        return;                                 /* LPIs have no active state */
    }
    w->active &= ~(1u << intid % 32);
    if (intid >= INTID_SPI) {
        gicv3_update_spis(s, intid / 32, 1u << intid % 32);     /* it may be routed elsewhere by now */
    }
}

/* Drops the highest active priority of the group, whatever the number written (that is the architecture's). */
static void end_of_interrupt(Gicv3 *s, GicCpu *c, unsigned group, uint32_t intid)
{
    if (intid >= INTID_MAX && intid < INTID_LPI) {
        return;                                 /* special numbers */
    }
    c->ap[group] &= c->ap[group] - 1;
    if (!(c->icc_ctlr & CTLR_EOIMODE)) {
        deactivate(s, c, intid);
    }
    gicv3_update(s, c);
}

static void sgi_set(Gicv3 *s, GicCpu *c, unsigned intid, unsigned group)
{
    if ((c->priv.group >> intid & 1) == group) {
        c->priv.latched |= 1u << intid;
        gicv3_update(s, c);
    }
}

/* Section 12.2.17: a list of 16 within Aff3.Aff2.Aff1, or everybody else. */
static void generate_sgi(Gicv3 *s, GicCpu *self, uint64_t v, unsigned group)
{
    unsigned intid = v >> 24 & 15, range = v >> 44 & 15;
    uint32_t cluster = (v >> 48 & 0xff) << 24 | (v >> 32 & 0xff) << 16 | (v >> 16 & 0xff) << 8;
    bool others = v >> 40 & 1;

    for (unsigned i = 0; i < s->ncpu; i++) {
        GicCpu *c = &s->cpu[i];

        if (others) {
            if (c != self) {
                sgi_set(s, c, intid, group);
            }
        } else if ((c->affinity & ~0xffu) == cluster && (c->affinity >> 4 & 15) == range && (v >> (c->affinity & 15) & 1)) {
            sgi_set(s, c, intid, group);
        }
    }
}

static uint32_t highest_pending(const GicCpu *c, unsigned group)
{
    return c->hppi != INTID_NONE && c->hppi_group == group ? c->hppi : INTID_NONE;
}

static bool reg_read(Gicv3 *s, GicCpu *c, uint32_t key, uint64_t *val)
{
    switch (key) {
    case PMR:     *val = c->pmr; return true;
    case IAR0:    *val = acknowledge(s, c, 0); return true;
    case IAR1:    *val = acknowledge(s, c, 1); return true;
    case HPPIR0:  *val = highest_pending(c, 0); return true;
    case HPPIR1:  *val = highest_pending(c, 1); return true;
    case BPR0:    *val = c->bpr[0]; return true;
    case BPR1:    *val = c->icc_ctlr & CTLR_CBPR ? MIN(c->bpr[0] + 1, 7) : c->bpr[1]; return true;
    case AP0R0:   *val = c->ap[0]; return true;
    case AP1R0:   *val = c->ap[1]; return true;
    case AP0R1: case AP0R2: case AP0R3: case AP1R1: case AP1R2: case AP1R3:
        return false;                           /* not there with five priority bits */
    case RPR:     *val = gicv3_running_prio(c); return true;
    case CTLR:    *val = c->icc_ctlr | CTLR_FIXED; return true;
    case SRE:     *val = 7; return true;        /* no memory-mapped interface */
    case IGRPEN0: *val = c->igrpen[0]; return true;
    case IGRPEN1: *val = c->igrpen[1]; return true;
    default:      return false;
    }
}

static bool reg_write(Gicv3 *s, GicCpu *c, uint32_t key, uint64_t val)
{
    switch (key) {
    case PMR:     c->pmr = val & PRIO_MASK; break;
    case EOIR0:   end_of_interrupt(s, c, 0, val & 0xffffff); return true;
    case EOIR1:   end_of_interrupt(s, c, 1, val & 0xffffff); return true;
    case ICC_DIR:
        if (c->icc_ctlr & CTLR_EOIMODE) {
            deactivate(s, c, val & 0xffffff);
        }
        break;
    case BPR0:    c->bpr[0] = MAX(val & 7, BPR0_MIN); break;
    case BPR1:
        if (!(c->icc_ctlr & CTLR_CBPR)) {
            c->bpr[1] = MAX(val & 7, BPR1_MIN);
        }
        break;
    case AP0R0:   c->ap[0] = val; break;
    case AP1R0:   c->ap[1] = val; break;
    case AP0R1: case AP0R2: case AP0R3: case AP1R1: case AP1R2: case AP1R3:
        return false;
    case SGI0R:   generate_sgi(s, c, val, 0); return true;
    case SGI1R:   generate_sgi(s, c, val, 1); return true;
    case ASGI1R:  return true;                  /* the other security state is not there */
    case CTLR:    c->icc_ctlr = val & (CTLR_CBPR | CTLR_EOIMODE); break;
    case SRE:     return true;
    case IGRPEN0: c->igrpen[0] = val & 1; break;
    case IGRPEN1: c->igrpen[1] = val & 1; break;
    default:      return false;
    }
    gicv3_update(s, c);
    return true;
}

static bool port_read(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *val)
{
    Gicv3 *s = opaque;
    bool ok;

    device_lock(&s->dev);
    ok = reg_read(s, gicv3_cpu_of(s, cpu), key, val);
    device_unlock(&s->dev);
    return ok;
}

static bool port_write(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t val)
{
    Gicv3 *s = opaque;
    bool ok;

    device_lock(&s->dev);
    ok = reg_write(s, gicv3_cpu_of(s, cpu), key, val);
    device_unlock(&s->dev);
    return ok;
}

void gicv3_cpuif_connect(Gicv3 *s, GicCpu *c)
{
    CpuPort port = { .read = port_read, .write = port_write, .opaque = s };

    cpu_port_connect(c->cpu, CPU_PORT_GIC, &port);
}
