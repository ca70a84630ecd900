/* SPDX-License-Identifier: MIT */
/* Runtime routines; rows in rt.def. */
#ifndef TARGET_RISCV_RT_H
#define TARGET_RISCV_RT_H

#include "target/riscv/cpu.h"

uint64_t rt_rv_csr(TcgEnv *env, uint64_t what, uint64_t operand, uint64_t insn);
uint64_t rt_rv_trap_return(TcgEnv *env, uint64_t from);
void rt_rv_sfence(TcgEnv *env, uint64_t va, uint64_t asid, uint64_t which);
uint64_t rt_rv_fetch_next(TcgEnv *env, uint64_t va);
uint64_t rt_rv_load_reserved(TcgEnv *env, uint64_t addr, uint64_t m);
uint64_t rt_rv_store_conditional(TcgEnv *env, uint64_t addr, uint64_t val, uint64_t m);

/* Floating point that host instructions do not do: op | RvFpRound << 8 | format << 12 (0 F32, 1 F64). */
typedef enum {
    RV_FP_ADD, RV_FP_SUB, RV_FP_MUL, RV_FP_DIV, RV_FP_SQRT, RV_FP_FMA, RV_FP_TO_FORMAT, RV_FP_FROM_INT, RV_FP_CLASS,
} RvFpOp;
#define RV_FP_WHAT(op, rm, fmt) ((uint64_t)(op) | (uint64_t)(rm) << 8 | (uint64_t)(fmt) << 12)
#define RV_FP_TYPE(t) ((uint64_t)(t) << 16)         /* of conversions: 0 w, 1 wu, 2 l, 3 lu */
#define RV_FP_NEG_PROD (1ull << 20)
#define RV_FP_NEG_ADD (1ull << 21)
uint64_t rt_rv_fp(TcgEnv *env, uint64_t what, uint64_t a, uint64_t b, uint64_t c);

#endif
