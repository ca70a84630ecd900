/* SPDX-License-Identifier: MIT */
/* Runtime routines of the base instructions; rows in rt.def. */
#ifndef TARGET_ARM_RT_H
#define TARGET_ARM_RT_H

#include "target/arm/cpu.h"

uint64_t rt_a64_sysreg_read(TcgEnv *env, uint64_t row);
void rt_a64_sysreg_write(TcgEnv *env, uint64_t row, uint64_t val);
uint64_t rt_a64_gic_read(TcgEnv *env, uint64_t key);
void rt_a64_gic_write(TcgEnv *env, uint64_t key, uint64_t val);
void rt_a64_pstate_imm(TcgEnv *env, uint64_t field, uint64_t imm);
uint64_t rt_a64_eret(TcgEnv *env, uint64_t elr);
void rt_a64_firmware(TcgEnv *env, uint64_t conduit);
uint64_t rt_a64_fpsr_read(TcgEnv *env, uint64_t unused);
void rt_a64_fpsr_write(TcgEnv *env, uint64_t val);
void rt_a64_dsb(TcgEnv *env, uint64_t unused);
uint64_t rt_a64_load_excl(TcgEnv *env, uint64_t addr, uint64_t m);
void rt_a64_load_excl2(TcgEnv *env, uint64_t addr, uint64_t m, uint64_t regs);
uint64_t rt_a64_store_excl(TcgEnv *env, uint64_t addr, uint64_t val, uint64_t m);
uint64_t rt_a64_store_excl2(TcgEnv *env, uint64_t addr, uint64_t lo, uint64_t hi, uint64_t m);
void rt_a64_clrex(TcgEnv *env, uint64_t unused);
uint64_t rt_a64_pac(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key);
uint64_t rt_a64_aut(TcgEnv *env, uint64_t ptr, uint64_t mod, uint64_t key);
uint64_t rt_a64_xpac(TcgEnv *env, uint64_t ptr, uint64_t data);
uint64_t rt_a64_pacga(TcgEnv *env, uint64_t n, uint64_t m);

#endif
