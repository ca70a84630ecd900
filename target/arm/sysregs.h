/* SPDX-License-Identifier: MIT */
/* System registers as rows: sysregs.def holds them, MRS/MSR, reset, save, `info registers` and gdb read them. */
#ifndef TARGET_ARM_SYSREGS_H
#define TARGET_ARM_SYSREGS_H

#include "target/arm/cpu.h"

/* access: who may */
enum {
    SR_R0 = 1, SR_W0 = 2, SR_R1 = 4, SR_W1 = 8,
    SR_MODE = 16,           /* a write may change the block key or the address context: the block ends */
    SR_CONST = 32,          /* never changes while running: MRS is a constant */
    SR_FP = 64,             /* belongs to FP: traps with it */
    SR_OP = 128,            /* an operation (SYS), not a register: no state */
    SR_NOP = 256,           /* ... that needs nothing done */
    SR_PLAIN = 512,         /* a slot of the compiler */
    SR_KEEP = 1024,         /* warm reset does not touch it */
    RO1 = SR_R1, WO1 = SR_W1, RW1 = SR_R1 | SR_W1, RO0 = SR_R0 | SR_R1, RW0 = SR_R0 | SR_W0 | SR_R1 | SR_W1, WO0 = SR_W0 | SR_W1,
    RU1 = RW1 | SR_R0,      /* EL0 reads, EL1 writes */
};

typedef struct A64SysReg A64SysReg;
struct A64SysReg {
    const char *name;
    uint8_t op0, op1, crn, crm, op2;
    uint16_t access;
    A64Feature feature;
    uint64_t reset;
    uint64_t mask;          /* bits that writes change; 0: all */
    uint64_t ones;          /* bits that always read as one */
    uint64_t (*read)(A64Cpu *c, const A64SysReg *r);
    void (*write)(A64Cpu *c, const A64SysReg *r, uint64_t val);
    void (*written)(A64Cpu *c, const A64SysReg *r, uint64_t old);   /* after a plain write */
    bool (*allow)(A64Cpu *c, const A64SysReg *r, bool read);        /* EL0 enables; false: trapped with EC 0x18 */
    bool gic;               /* through CPU_PORT_GIC */
};

extern const A64SysReg a64_sysregs[SR_COUNT];

/* Row index of an encoding, -1. */
int a64_sysreg_find(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2);
int a64_sysreg_by_name(const char *name);
uint64_t a64_sysreg_read(A64Cpu *c, unsigned id);
void a64_sysreg_write(A64Cpu *c, unsigned id, uint64_t val);
void a64_sysregs_reset(A64Cpu *c);

#endif
