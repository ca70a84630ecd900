/* SPDX-License-Identifier: MIT */
/* Addresses of A64 loads and stores, for general and vector registers. */
#ifndef TARGET_ARM_TRANS_MEM_H
#define TARGET_ARM_TRANS_MEM_H

#include "target/arm/translate.h"

/* Address of an access at base + imm, or at base with the sum written back after it (post). */
IrVal ldst_addr(A64Dis *d, unsigned rn, int64_t imm, bool post);
/* After the access at addr: the base becomes addr (pre-indexed) or addr + imm (post). */
void ldst_writeback(A64Dis *d, unsigned rn, IrVal addr, int64_t imm, bool writeback, bool post);
/* Base plus a register extended by `option`, shifted left. */
IrVal ldst_addr_reg(A64Dis *d, unsigned rn, unsigned rm, unsigned option, unsigned shift);
/* Descriptor of an atomic, exclusive or ordered access: alignment to 1 << align bytes, with LSE2 only within 16. */
IrMem atomic_desc(A64Dis *d, unsigned sz, unsigned align);
IrVal ldst_load(A64Dis *d, unsigned sz, bool sign, bool sf, IrVal addr, IrMem m);

#endif
