/* SPDX-License-Identifier: MIT */
/*
 * Inside tcg/: raw access to the arrays of an IrBlock, and what folding knows.
 */
#ifndef TCG_IR_RAW_H
#define TCG_IR_RAW_H

#include "tcg/ir.h"

/* Append an operation; outs, ins, sub and imm are the caller's to fill. */
IrOp *ir_emit(IrBlock *b, IrOpcode o, IrType t);
/* A new value defined by op (the last one appended) as its output k. */
IrVal ir_out(IrBlock *b, IrOp *op, unsigned k, IrType t);

static inline const IrOp *ir_def(const IrBlock *b, IrVal v)
{
    return v.id && !b->values[v.id].is_const ? &b->ops[b->values[v.id].def] : NULL;
}

static inline unsigned ir_bits(IrType t)
{
    return t == IR_I32 || t == IR_F32 ? 32 : 64;
}

static inline bool ir_is_int(IrType t) { return t == IR_I32 || t == IR_I64; }
static inline bool ir_is_vec(IrType t) { return t >= IR_V64; }

/* A comparison that stands behind a 0/1 value. */
typedef struct IrRel { IrCond c; IrVal x, y; } IrRel;
bool ir_rel_of(const IrBlock *b, IrVal v, IrRel *r);
IrCond ir_cond_not(IrCond c);
/* Simplify (c, x, y) in place: look through 0/1 values. */
void ir_rel_simplify(const IrBlock *b, IrRel *r);
/* Both of two 0/1 values (or either) as one comparison. */
bool ir_rel_join(const IrBlock *b, IrVal p, IrVal q, bool either, bool invert_q, IrRel *out, int *fixed);
bool ir_cond_eval(IrCond c, IrType t, int64_t x, int64_t y);

/* The integer result of a pure operation on constants; false when it is not one that folds. */
bool ir_eval2(IrOpcode o, IrType t, uint16_t sub, int64_t x, int64_t y, int64_t *r);

extern const char *const ir_type_name[IR_NTYPES];
extern const char *const ir_cond_name[IR_NCOND];

#endif
