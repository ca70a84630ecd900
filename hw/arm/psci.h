/* SPDX-License-Identifier: MIT */
/*
 * PSCI 1.1 (Arm DEN 0022): power of processors and of the machine, answered by
 * the board when a guest calls through HVC or SMC.
 */
#ifndef HW_ARM_PSCI_H
#define HW_ARM_PSCI_H

#include "hw/core/machine.h"

typedef struct Psci {
    Machine *m;
    uint8_t coming[512];        /* CPU_ON has been accepted and has not taken effect */
} Psci;

/* Put the firmware port on every processor of the machine. */
void psci_connect(Psci *psci, Machine *m);

#endif
