/* SPDX-License-Identifier: MIT */
/*
 * What a guest tells the compiler: its state slots and its runtime routines.
 * Constant tables; one TcgTarget per guest (A64 one, x86 one ...).
 */
#ifndef TCG_TARGET_H
#define TCG_TARGET_H

#include "tcg/env.h"
#include "tcg/ir.h"

typedef struct TcgSlot {
    const char *name;
    IrType type;
    int32_t offset;         /* from the TcgEnv to the value */
    uint8_t pin;            /* 1, 2, 3 ...: wish for a host register across blocks, best first; 0: none. I64 only */
    bool is_bool;           /* an I32 that is always 0 or 1: a byte store may update it */
} TcgSlot;

/* What a runtime routine may do. */
enum {
    RT_PURE     = 0,        /* only its arguments (and slots passed by address) */
    RT_READ     = 1,        /* may read any slot: all are written back before the call */
    RT_WRITE    = 2,        /* may write any slot: nothing is cached across it (implies RT_READ) */
    RT_RAISE    = 4,        /* may raise: sets env->exc (see env.h) and returns; the state it sees for that is the precise one */
    RT_FP       = 8,        /* computes with host floating point: runs under the host's default MXCSR.
                               Also what a routine needs that reads or writes env->guest_mxcsr (a guest's FP control or status) */
    RT_MEM      = 16,       /* accesses guest memory through the slow path: may change TLBs */
    RT_DROP     = 32,       /* may be dropped when its result is unused */
};

typedef enum { RT_NONE, RT_I32, RT_I64, RT_F32, RT_F64 } RtType;     /* result and argument kinds; floats travel as their bits in integer registers */

typedef struct RtRow {
    const char *name;
    void *fn;               /* R fn(TcgEnv *env, uint64_t a0, ... a5): integer registers only */
    uint8_t flags;
    uint8_t ret;            /* RtType */
    uint8_t nargs;
} RtRow;

typedef struct TcgTarget {
    const char *name;
    const TcgSlot *slots;
    unsigned nslots;
    const RtRow *rt;
    unsigned nrt;
    int32_t pending_off;    /* from the TcgEnv to the uint32_t that is non-zero when something waits (Cpu.pending) */
} TcgTarget;

#endif
