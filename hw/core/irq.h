/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: wires with a level.
 *
 * A wire belongs to its driver (`dev.irq[i]`), ends in one handler and
 * remembers its level, which is saved with the driver.  irq_set() does nothing
 * when the level stays the same.  It is called with the driver's device lock
 * held and calls the sink's handler on the same thread; the sink takes its own
 * lock.  The order is device before interrupt controller before CPU, so a
 * handler never calls back into a device.
 */
#ifndef HW_CORE_IRQ_H
#define HW_CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

typedef void IrqHandler(void *opaque, int n, int level);

typedef struct IrqLine {
    IrqHandler *fn;             /* NULL: not connected */
    void *opaque;
    int n;
    int level;
} IrqLine;

static inline void irq_set(IrqLine *line, int level)
{
    level = !!level;
    if (__atomic_exchange_n(&line->level, level, __ATOMIC_ACQ_REL) != level && line->fn) {
        line->fn(line->opaque, line->n, level);
    }
}

/* An edge: up and down again. */
static inline void irq_pulse(IrqLine *line)
{
    irq_set(line, 1);
    irq_set(line, 0);
}

/* The sink hears the present level when it is 1. */
static inline void irq_connect(IrqLine *line, IrqHandler *fn, void *opaque, int n)
{
    line->fn = fn;
    line->opaque = opaque;
    line->n = n;
    if (line->level && fn) {
        fn(opaque, n, 1);
    }
}

#endif
