/* SPDX-License-Identifier: MIT */
/*
 * What a load or store does to memory, from the encoding alone: Arm ARM (DDI 0487), C4.1.97 and the descriptions of the
 * instructions.  Written apart from the decode tables, so that these can be held against it.
 */
#ifndef TESTS_TARGET_EDGES_FACTS_H
#define TESTS_TARGET_EDGES_FACTS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { OFF_IMM, OFF_REG, OFF_LITERAL } OffsetKind;
typedef enum { WB_NONE, WB_PRE, WB_POST, WB_POST_REG } WriteBack;

typedef struct Facts {
    bool known;
    bool prefetch;              /* no access that could fault */
    bool load, store;           /* both: an atomic */
    bool exclusive;
    bool whole;                 /* the access must be aligned (within 16 bytes with FEAT_LSE2) */
    bool pair;                  /* two destinations, in bits 4:0 and 14:10 */
    bool unpriv;                /* LDTR, STTR */
    bool maint;                 /* DC and IC by address: a read that is reported as maintenance; DC IVAC asks for what a write does */
    bool line;                  /* DC ZVA: the 64 bytes around the address */
    bool el1;
    unsigned base_at;           /* field of the base: bit 5, or 0 */
    OffsetKind off;
    WriteBack wb;
    int64_t imm;                /* of address or of write-back; of a register offset: the shift */
    unsigned bytes, elem;       /* all of it; what SCTLR.A wants aligned */
} Facts;

Facts facts_of(uint32_t w);

#endif
