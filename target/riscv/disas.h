/* SPDX-License-Identifier: MIT */
/*
 * RV64 as text, from the rows of rv-*.decode: instructions without aliases, as `objdump -M no-aliases` prints them.
 * The rows themselves are the source of random instructions for tests.
 */
#ifndef TARGET_RISCV_DISAS_H
#define TARGET_RISCV_DISAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/riscv/features.h"

typedef struct RvText RvText;

typedef struct RvRow {
    const char *name;           /* the translator is rv_trans_NAME; several rows may share it */
    const char *mnemonic;       /* up to the first variable part */
    const char *where;          /* file:line */
    uint32_t mask, value;       /* fixed bits; a compressed one has none in the upper half */
    RvFeature feature;          /* needed always ... */
    RvFeature cond_feature;     /* ... or by some forms */
    bool (*dis)(RvText *o, uint32_t insn);      /* false: not allocated.  `o` may be NULL to ask just that */
} RvRow;

extern const RvRow rv_rows[];
extern const unsigned rv_nrows;

/* Index of the row that insn (zero-extended when compressed) belongs to, -1 for none. */
int rv_row_of(uint32_t insn);

/* Text of one instruction; false: not allocated, and the text is a directive.  pc is for branch targets. */
bool rv_disas(uint32_t insn, uint64_t pc, char *buf, size_t room);
/* From bytes; how many it took, 0: cut short. */
int rv_disas_bytes(const uint8_t *code, size_t len, uint64_t pc, char *buf, size_t room);

#endif
