/* SPDX-License-Identifier: MIT */
/*
 * GICv3: Arm IHI 0069 (GIC architecture specification 3 and 4).
 *
 * One security state (GICD_CTLR.DS = 1), affinity routing always on, five
 * priority bits, LPIs.  All state is under the device's lock; the registers of
 * the CPU interface come through CPU_PORT_GIC and take it too.
 *
 * An interrupt is looked for per processor: SGIs and PPIs in its redistributor,
 * SPIs routed to it, LPIs pending at it.  A change recomputes only the
 * processors that it can concern.
 */
#ifndef HW_INTC_GICV3_PRIV_H
#define HW_INTC_GICV3_PRIV_H

#include "hw/core/cpu.h"
#include "hw/core/device.h"
#include "hw/intc/gicv3.h"

enum {
    INTID_SPI = 32, INTID_MAX = 1020, INTID_NONE = 1023, INTID_LPI = 8192,
    WORDS = 32, PRIO_BITS = 5, PRIO_MASK = 0xf8, PRIO_IDLE = 0xff, BPR0_MIN = 7 - PRIO_BITS, BPR1_MIN = BPR0_MIN + 1,
    LPI_ID_BITS = 16,
};

/* A pending LPI at one processor, with what its configuration byte said. */
typedef struct Lpi { uint32_t intid; uint8_t prio; uint8_t enabled; } Lpi;

/* Thirty-two interrupts: one word of the distributor, or the private ones of a processor. */
typedef struct IrqWord {
    uint32_t group, enable, latched, level, active, edge, nsacr_unused;
} IrqWord;

typedef struct GicCpu {
    Cpu *cpu;
    uint32_t affinity;          /* Aff3.Aff2.Aff1.Aff0 */
    /* redistributor */
    uint32_t ctlr, waker;
    uint64_t propbaser, pendbaser;
    IrqWord priv;
    uint8_t prio[32];
    GArray *lpis;               /* of Lpi, pending */
    /* CPU interface */
    uint32_t pmr, bpr[2], ap[2], igrpen[2], icc_ctlr;
    /* derived */
    uint32_t hppi;              /* best pending interrupt of an enabled group, INTID_NONE */
    uint8_t hppi_prio, hppi_group;
} GicCpu;

typedef struct Gicv3 {
    Device dev;
    uint32_t num_irq;           /* INTIDs below the special ones, a multiple of 32 */
    uint32_t ncpu;
    uint32_t first_region;      /* redistributors in the first of two regions; 0: all */
    bool has_lpi;
    GicCpu *cpu;
    /* distributor */
    uint32_t ctlr;
    IrqWord spi[WORDS];         /* [0] is unused */
    uint8_t prio[INTID_MAX];
    uint64_t irouter[INTID_MAX];
    /* derived: processor index of each SPI, -1: none */
    int16_t target[INTID_MAX];
} Gicv3;

static inline Gicv3 *gicv3(Device *dev)
{
    return (Gicv3 *)dev;
}

static inline uint32_t irq_pending(const IrqWord *w)
{
    return w->latched | (w->level & ~w->edge);
}

/* New value of a 32-bit word of which an access wrote some byte lanes. */
static inline uint32_t reg_merge(uint32_t old, const RegAccess *a)
{
    return (old & ~a->lanes) | (a->raw & a->lanes);
}

void gicv3_update(Gicv3 *s, GicCpu *c);                 /* recompute one processor and its lines */
void gicv3_update_all(Gicv3 *s);
void gicv3_update_spis(Gicv3 *s, unsigned word, uint32_t bits);    /* processors that these SPIs are routed to */
void gicv3_route(Gicv3 *s, unsigned intid);             /* derive target[] */
GicCpu *gicv3_cpu_of(Gicv3 *s, Cpu *cpu);

extern const RegBlock gicv3_dist_block;
extern const Reg gicv3_redist_regs[];
enum { GICR_STRIDE = 0x20000 };

void gicv3_cpuif_connect(Gicv3 *s, GicCpu *c);
uint8_t gicv3_running_prio(const GicCpu *c);
uint8_t gicv3_group_prio(const GicCpu *c, unsigned group, uint8_t prio);

/* LPIs */
extern const StateKind gicv3_lpi_list_kind;
void gicv3_lpi_enable(Gicv3 *s, GicCpu *c);             /* EnableLPIs was set: read the pending table */
void gicv3_lpi_clear(GicCpu *c, uint32_t intid);
const Lpi *gicv3_lpi_best(const GicCpu *c);

#endif
