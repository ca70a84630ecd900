/* SPDX-License-Identifier: MIT */
#include "hw/intc/gicv3-priv.h"

#include <string.h>

/* ---- finding the interrupt to signal ---- */

typedef struct Best { uint32_t intid; uint8_t prio, group; } Best;

static void consider(Best *b, uint32_t intid, uint8_t prio, unsigned group)
{
    if (prio < b->prio) {
        *b = (Best){ intid, prio, group };
    }
}

static void consider_word(const Gicv3 *s, const GicCpu *c, const IrqWord *w, const uint8_t *prio, unsigned first, Best *b)
{
    uint32_t ready = irq_pending(w) & w->enable & ~w->active;

    ready &= (s->ctlr & 1 ? ~w->group : 0) | (s->ctlr & 2 ? w->group : 0);
    for (; ready; ready &= ready - 1) {
        unsigned bit = __builtin_ctz(ready);

        if (!first || s->target[first + bit] == c - s->cpu) {
            consider(b, first + bit, prio[bit], w->group >> bit & 1);
        }
    }
}

void gicv3_update(Gicv3 *s, GicCpu *c)
{
    Best b = { INTID_NONE, PRIO_IDLE, 0 };
    const Lpi *lpi;
    bool signal;

    consider_word(s, c, &c->priv, c->prio, 0, &b);
    for (unsigned w = 1; w < s->num_irq / 32; w++) {
        consider_word(s, c, &s->spi[w], s->prio + w * 32, w * 32, &b);
    }
    lpi = s->ctlr & 2 ? gicv3_lpi_best(c) : NULL;       /* LPIs are group 1 */
    if (lpi) {
        consider(&b, lpi->intid, lpi->prio, 1);
    }
    c->hppi = b.intid;
    c->hppi_prio = b.prio;
    c->hppi_group = b.group;
    signal = b.intid != INTID_NONE && c->igrpen[b.group] && b.prio < c->pmr &&
             gicv3_group_prio(c, b.group, b.prio) < gicv3_running_prio(c);
    irq_set(&s->dev.irq[2 * (c - s->cpu)], signal && b.group == 1);
    irq_set(&s->dev.irq[2 * (c - s->cpu) + 1], signal && b.group == 0);
}

void gicv3_update_all(Gicv3 *s)
{
    for (unsigned i = 0; i < s->ncpu; i++) {
        gicv3_update(s, &s->cpu[i]);
    }
}

void gicv3_update_spis(Gicv3 *s, unsigned word, uint32_t bits)
{
    int last = -1;

    for (; bits; bits &= bits - 1) {
        unsigned intid = word * 32 + __builtin_ctz(bits);

        if (intid < INTID_MAX && s->target[intid] >= 0 && s->target[intid] != last) {
            last = s->target[intid];
            gicv3_update(s, &s->cpu[last]);
        }
    }
}

/* IRM = 1 (any processor): the first that takes part. */
void gicv3_route(Gicv3 *s, unsigned intid)
{
    uint64_t r = s->irouter[intid];
    uint32_t aff = (r & 0xffffff) | (r >> 32 & 0xff) << 24;

    s->target[intid] = -1;
    for (unsigned i = 0; i < s->ncpu; i++) {
        if (r >> 31 & 1 ? !(s->cpu[i].waker & 2) : s->cpu[i].affinity == aff) {
            s->target[intid] = i;
            return;
        }
    }
}

/* ---- wires ---- */

static void input(void *opaque, int n, int level)
{
    Gicv3 *s = opaque;
    unsigned nspi = s->num_irq - INTID_SPI;
    GicCpu *c = NULL;
    IrqWord *w;
    uint32_t bit, was;

    device_lock(&s->dev);
    if ((unsigned)n < nspi) {
        w = &s->spi[(n + INTID_SPI) / 32];
        bit = 1u << n % 32;
        if (s->target[n + INTID_SPI] >= 0) {
            c = &s->cpu[s->target[n + INTID_SPI]];
        }
    } else {
        c = &s->cpu[(n - nspi) / 32];
        w = &c->priv;
        bit = 1u << (n - nspi) % 32;
    }
    was = irq_pending(w);
    if (level) {
        w->latched |= bit & w->edge & ~w->level;
        w->level |= bit;
    } else {
        w->level &= ~bit;
    }
    if (c && was != irq_pending(w)) {
        gicv3_update(s, c);
    }
    device_unlock(&s->dev);
}

unsigned gicv3_ppi(Device *dev, unsigned cpu_index, unsigned intid)
{
    return gicv3(dev)->num_irq - INTID_SPI + cpu_index * 32 + intid;
}

unsigned gicv3_ncpu(Device *dev)
{
    return gicv3(dev)->ncpu;
}

GicCpu *gicv3_cpu_of(Gicv3 *s, Cpu *cpu)
{
    return (unsigned)cpu->index < s->ncpu ? &s->cpu[cpu->index] : NULL;
}

void gicv3_connect_cpu(Device *dev, unsigned index, Cpu *cpu, uint32_t affinity)
{
    Gicv3 *s = gicv3(dev);
    GicCpu *c = &s->cpu[index];

    g_assert((unsigned)cpu->index == index);
    c->cpu = cpu;
    c->affinity = affinity;
    irq_connect(&dev->irq[2 * index], cpu_line, cpu, 0);
    irq_connect(&dev->irq[2 * index + 1], cpu_line, cpu, 1);
    gicv3_cpuif_connect(s, c);
    for (unsigned i = INTID_SPI; i < s->num_irq; i++) {
        gicv3_route(s, i);
    }
}

/* ---- life ---- */

static bool realize(Device *dev, Error **errp)
{
    Gicv3 *s = gicv3(dev);
    RegBlock redist = {
        .name = "gicv3-redist", .regs = gicv3_redist_regs, .size = GICR_STRIDE, .instances = s->ncpu, .access_max = 8,
    };

    if (s->num_irq < 64 || s->num_irq > 992 || s->num_irq % 32) {
        return error_set(errp, "num-irq is %u; a GICv3 has a multiple of 32 from 64 to 992", s->num_irq);
    }
    if (!s->ncpu || s->ncpu > 512) {
        return error_set(errp, "num-cpu is %u; a GICv3 here serves 1 to 512 processors", s->ncpu);
    }
    s->cpu = g_new0(GicCpu, s->ncpu);
    for (unsigned i = 0; i < s->ncpu; i++) {
        s->cpu[i].lpis = g_array_new(FALSE, FALSE, sizeof(Lpi));
        s->cpu[i].affinity = (i & 15) | (i >> 4) << 8;
    }
    device_set_irqs(dev, 2 * s->ncpu, s->num_irq - INTID_SPI + 32 * s->ncpu);
    device_add_regs(dev, &gicv3_dist_block);
    device_add_regs(dev, &redist);
    return true;
}

static void finalize(Device *dev)
{
    Gicv3 *s = gicv3(dev);

    for (unsigned i = 0; s->cpu && i < s->ncpu; i++) {
        g_array_unref(s->cpu[i].lpis);
    }
    g_clear_pointer(&s->cpu, g_free);
}

/* Levels are wires: they stay. */
static void word_reset(IrqWord *w, uint32_t edge, uint32_t enable)
{
    *w = (IrqWord){ .level = w->level, .edge = edge, .enable = enable };
}

static void reset_enter(Device *dev)
{
    Gicv3 *s = gicv3(dev);

    s->ctlr = 0;
    for (unsigned i = 1; i < WORDS; i++) {
        word_reset(&s->spi[i], 0, 0);
    }
    memset(s->prio, 0, sizeof(s->prio));
    memset(s->irouter, 0, sizeof(s->irouter));
    for (unsigned i = 0; i < s->ncpu; i++) {
        GicCpu *c = &s->cpu[i];

        c->ctlr = 0;
        c->waker = 6;
        c->propbaser = c->pendbaser = 0;
        word_reset(&c->priv, 0xffff, 0);                /* SGIs are edges */
        memset(c->prio, 0, sizeof(c->prio));
        g_array_set_size(c->lpis, 0);
        c->pmr = c->ap[0] = c->ap[1] = c->igrpen[0] = c->igrpen[1] = c->icc_ctlr = 0;
        c->bpr[0] = BPR0_MIN;
        c->bpr[1] = BPR1_MIN;
    }
    for (unsigned i = INTID_SPI; i < s->num_irq; i++) {
        gicv3_route(s, i);
    }
}

static void reset_hold(Device *dev)
{
    gicv3_update_all(gicv3(dev));
}

static bool post_load(Device *dev, Error **errp)
{
    Gicv3 *s = gicv3(dev);

    for (unsigned i = INTID_SPI; i < s->num_irq; i++) {
        gicv3_route(s, i);
    }
    gicv3_update_all(s);
    return true;
}

static const StateField word_rows[] = {
    STATE_U32(IrqWord, group), STATE_U32(IrqWord, enable), STATE_U32(IrqWord, latched), STATE_U32(IrqWord, level, .keep = true),
    STATE_U32(IrqWord, active), STATE_U32(IrqWord, edge), {}
};
static const StateTable word_table = { .name = "gicv3-word", .fields = word_rows };

static const StateField cpu_rows[] = {
    STATE_U32(GicCpu, ctlr, .max = 1), STATE_U32(GicCpu, waker, .max = 7), STATE_U64(GicCpu, propbaser), STATE_U64(GicCpu, pendbaser),
    STATE_STRUCT(GicCpu, priv, word_table), STATE_BUF(GicCpu, prio), STATE_KIND(GicCpu, lpis, gicv3_lpi_list_kind),
    STATE_U32(GicCpu, pmr, .max = 0xff), STATE_ARRAY(GicCpu, bpr, uint32_t, .max = 7), STATE_ARRAY(GicCpu, ap, uint32_t),
    STATE_ARRAY(GicCpu, igrpen, uint32_t, .max = 1), STATE_U32(GicCpu, icc_ctlr, .max = 3), {}
};
static const StateTable cpu_table = { .name = "gicv3-cpu", .fields = cpu_rows };

static const StateField rows[] = {
    STATE_U32(Gicv3, ctlr, .max = 3), STATE_STRUCT_ARRAY(Gicv3, spi, word_table), STATE_BUF(Gicv3, prio),
    STATE_ARRAY(Gicv3, irouter, uint64_t), STATE_STRUCT_PTR(Gicv3, cpu, ncpu, cpu_table), {}
};

static const Prop props[] = {
    PROP_U32("num-irq", Gicv3, num_irq, 256, .help = "interrupt ids, 32 private ones included"),
    PROP_U32("num-cpu", Gicv3, ncpu, 1, .help = "processors"),
    PROP_U32("redist-first", Gicv3, first_region, 0, .help = "redistributors in the first region; 0: all"),
    PROP_BOOL("has-lpi", Gicv3, has_lpi, false, .help = "message interrupts through an ITS"),
    {}
};

static const DeviceType gicv3_type = {
    .name = "arm-gicv3", .desc = "Arm generic interrupt controller, version 3", .category = "Interrupt", .size = sizeof(Gicv3),
    .props = props, .state = rows, .irq_in = input, .realize = realize, .finalize = finalize,
    .reset_enter = reset_enter, .reset_hold = reset_hold, .post_load = post_load,
};
DEVICE_TYPE(gicv3_type);
