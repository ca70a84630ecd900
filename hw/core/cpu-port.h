/* SPDX-License-Identifier: MIT */
/*
 * CPU ports: registers of a processor that are the state of a device.
 *
 * The target decodes the access (ICC_IAR1_EL1, x2APIC MSRs, IMSIC CSRs, PSCI
 * calls) and calls the port; the device implements it; the board connects the
 * two.  Neither includes the other.  A port without an implementer answers
 * false: the target then raises what the architecture says for an absent
 * register.
 *
 * Keys are the architecture's own encoding: for AArch64 system registers
 * CPU_KEY_A64(op0, op1, crn, crm, op2).  Calls come on the vCPU's own thread
 * with no lock held; the device takes its own.
 */
#ifndef HW_CORE_CPU_PORT_H
#define HW_CORE_CPU_PORT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Cpu Cpu;

typedef enum {
    CPU_PORT_GIC,               /* ICC_*, ICV_*, ICH_* */
    CPU_PORT_TIMER,             /* when a board models the architected timer outside the CPU */
    CPU_PORT_FIRMWARE,          /* hvc/smc calls that the board answers: key 0 HVC, 1 SMC; val points to uint64_t regs[8] in and out */
    CPU_PORT_APIC,
    CPU_PORT_IMSIC,
    CPU_PORTS
} CpuPortKind;

/* What the target tells the device beyond the value. */
typedef struct CpuPortCtx {
    uint8_t el;                 /* exception or privilege level of the access */
    bool secure;
} CpuPortCtx;

typedef struct CpuPort {
    bool (*read)(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *val);
    bool (*write)(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t val);
    bool (*call)(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *regs);
    void *opaque;
} CpuPort;

#define CPU_KEY_A64(op0, op1, crn, crm, op2) \
    ((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 | (uint32_t)(crm) << 3 | (uint32_t)(op2))

void cpu_port_connect(Cpu *cpu, CpuPortKind kind, const CpuPort *port);
bool cpu_port_read(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t *val);
bool cpu_port_write(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t val);
bool cpu_port_call(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t *regs);

/* Wires from the processor to devices (timers, PMU): the target drives, the board connects.  Names by target, in its public header. */

#endif
