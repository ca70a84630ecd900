/* SPDX-License-Identifier: MIT */
/*
 * One operation on values in memory: what the interpreter runs, what a host
 * falls back to for operations it has no code for, and the oracle of tests.
 *
 * Only operations without side effect but the sticky FP flags.  FP operations
 * run under the rounding and flush bits of the MXCSR in force.
 */
#ifndef TCG_INTERP_EVAL_H
#define TCG_INTERP_EVAL_H

#include "tcg/ir.h"

typedef union TcgVal {
    uint64_t q[4];
    uint32_t w[8];
    uint16_t h[16];
    uint8_t b[32];
    float f[8];
    double d[4];
} __attribute__((aligned(32))) TcgVal;

/* An operation with what evaluation needs of its block. */
typedef struct TcgEvalOp {
    uint8_t opc, type, in_type, nan_mode;
    uint16_t sub;
    int64_t imm;
} TcgEvalOp;

/* False: not an operation of this kind. Integers narrower than 64 bits: the upper bits of inputs do not matter, outputs are zero-extended. */
bool tcg_eval(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[]);

/* The three parts, each for its own opcodes. */
bool tcg_eval_int(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[]);
bool tcg_eval_fp(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[]);
bool tcg_eval_vec(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[]);

/* Scalars, shared by fp and vec: size in bits 32 or 64, values as bits. */
uint64_t tcg_fp2(unsigned opc, unsigned bits, unsigned nan_mode, uint64_t x, uint64_t y);
uint64_t tcg_fma(unsigned bits, unsigned nan_mode, unsigned neg, uint64_t x, uint64_t y, uint64_t z);
uint64_t tcg_fsqrt(unsigned bits, unsigned nan_mode, uint64_t x);
bool tcg_fcompare(unsigned bits, unsigned cond, uint64_t x, uint64_t y);
uint64_t tcg_f2i(unsigned fbits, unsigned ibits, unsigned sub, unsigned frac, unsigned nan_mode, uint64_t x);
uint64_t tcg_i2f(unsigned ibits, unsigned fbits, bool is_unsigned, unsigned frac, uint64_t x);
uint64_t tcg_fround(unsigned bits, unsigned sub, unsigned nan_mode, uint64_t x);
void tcg_sha256_rounds(const TcgVal *x, const TcgVal *y, const TcgVal *w, TcgVal *nx, TcgVal *ny);       /* results may be NULL */
void tcg_sha256_schedule(unsigned kind, const TcgVal *x, const TcgVal *y, const TcgVal *z, TcgVal *r);
void tcg_aes(unsigned kind, const TcgVal *x, const TcgVal *key, TcgVal *out);

#endif
