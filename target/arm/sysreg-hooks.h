/* SPDX-License-Identifier: MIT */
/* Hooks of sysregs.def that live in other files: the generic timer (timer.c), debug registers (debug.c), performance monitors (pmu.c). */
#ifndef TARGET_ARM_SYSREG_HOOKS_H
#define TARGET_ARM_SYSREG_HOOKS_H

#include "target/arm/sysregs.h"

uint64_t cnt_read(A64Cpu *c, const A64SysReg *r);
uint64_t tval_read(A64Cpu *c, const A64SysReg *r);
void tval_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
uint64_t ctl_read(A64Cpu *c, const A64SysReg *r);
void ctl_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void cval_written(A64Cpu *c, const A64SysReg *r, uint64_t old);

/* debug.c */
void debug_written(A64Cpu *c, const A64SysReg *r, uint64_t old);
void oslar_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
uint64_t claimset_read(A64Cpu *c, const A64SysReg *r);
void claimset_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void claimclr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);

/* pmu.c */
bool pmu_allow(A64Cpu *c, const A64SysReg *r, bool read);
void pmcr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pm_set_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pm_clr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
uint64_t pm_pair_read(A64Cpu *c, const A64SysReg *r);
uint64_t pm_value_read(A64Cpu *c, const A64SysReg *r);
void pmswinc_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pmccntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pmevcntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pmevtyper_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
void pmccfiltr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
uint64_t pmxevtyper_read(A64Cpu *c, const A64SysReg *r);
void pmxevtyper_write(A64Cpu *c, const A64SysReg *r, uint64_t val);
uint64_t pmxevcntr_read(A64Cpu *c, const A64SysReg *r);
void pmxevcntr_write(A64Cpu *c, const A64SysReg *r, uint64_t val);

#endif
