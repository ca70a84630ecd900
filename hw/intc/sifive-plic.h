/* SPDX-License-Identifier: MIT */
/*
 * The platform-level interrupt controller: RISC-V PLIC specification 1.0.0.
 *
 * Inputs are sources 1 to num-sources (levels); a context is a mode of a hart and drives one output, in the order of contexts.
 */
#ifndef HW_INTC_SIFIVE_PLIC_H
#define HW_INTC_SIFIVE_PLIC_H

enum { PLIC_MAX_SOURCES = 1023, PLIC_MAX_CONTEXTS = 15872 };

#endif
