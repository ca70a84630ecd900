/* SPDX-License-Identifier: MIT */
/*
 * A64 as text, from the rows of a64-*.decode: canonical instructions without aliases, as
 * `objdump -M no-aliases` prints them.  The rows themselves are the source of random instructions for tests.
 */
#ifndef TARGET_ARM_DISAS_H
#define TARGET_ARM_DISAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/arm/features.h"

typedef struct A64Text A64Text;

typedef struct A64Row {
    const char *name;           /* the translator is trans_NAME; several rows may share it */
    const char *mnemonic;       /* up to the first variable part */
    const char *where;          /* file:line */
    uint32_t mask, value;       /* fixed bits */
    A64Feature feature;         /* needed always ... */
    A64Feature cond_feature;    /* ... or by some forms */
    bool (*dis)(A64Text *o, uint32_t insn);     /* false: not allocated.  `o` may be NULL to ask just that */
} A64Row;

extern const A64Row a64_rows[];
extern const unsigned a64_nrows;

/* Index of the row that insn belongs to, -1 for none. */
int a64_row_of(uint32_t insn);

/* Text of one instruction; false: not allocated, and the text is a .inst directive.  pc is for branch targets. */
bool a64_disas(uint32_t insn, uint64_t pc, char *buf, size_t room);

#endif
