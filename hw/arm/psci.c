/* SPDX-License-Identifier: MIT */
/* PSCI 1.1: Arm DEN 0022, chapter 5. */
#include "hw/arm/psci.h"

#include "target/arm/arm-cpu.h"
#include "util/log.h"

enum {
    PSCI_VERSION = 0x84000000, CPU_SUSPEND = 0x84000001, CPU_OFF = 0x84000002, CPU_ON = 0x84000003, AFFINITY_INFO = 0x84000004,
    MIGRATE_INFO_TYPE = 0x84000006, SYSTEM_OFF = 0x84000008, SYSTEM_RESET = 0x84000009, PSCI_FEATURES = 0x8400000a,
    SMC64 = 0x40000000,
};
enum { OK = 0, NOT_SUPPORTED = -1, INVALID_PARAMETERS = -2, ALREADY_ON = -4, ON_PENDING = -5 };

static Cpu *by_affinity(Machine *m, uint64_t mpidr)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        if (arm_cpu_mpidr(machine_cpu(m, i)) == (mpidr & 0xff00ffffffull)) {
            return machine_cpu(m, i);
        }
    }
    return NULL;
}

static bool is_coming(Psci *p, const Cpu *cpu)
{
    return __atomic_load_n(&p->coming[cpu->index], __ATOMIC_ACQUIRE);
}

/* Behind the power-on in the same queue. */
static void arrived(Cpu *cpu, void *data)
{
    __atomic_store_n(&((Psci *)data)->coming[cpu->index], 0, __ATOMIC_RELEASE);
}

static int64_t cpu_on(Psci *p, uint64_t mpidr, uint64_t entry, uint64_t context)
{
    Cpu *cpu = by_affinity(p->m, mpidr);

    if (!cpu) {
        return INVALID_PARAMETERS;
    }
    if (__atomic_exchange_n(&p->coming[cpu->index], 1, __ATOMIC_ACQ_REL)) {
        return ON_PENDING;
    }
    if (!__atomic_load_n(&cpu->power_off, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&p->coming[cpu->index], 0, __ATOMIC_RELEASE);
        return ALREADY_ON;
    }
    vcpu_power_on(cpu, entry, context);
    vcpu_post(cpu, arrived, p);
    return OK;
}

static int64_t affinity_info(Psci *p, uint64_t mpidr, uint64_t lowest)
{
    Cpu *cpu = by_affinity(p->m, mpidr);

    if (!cpu || lowest) {
        return INVALID_PARAMETERS;
    }
    return is_coming(p, cpu) ? 2 : __atomic_load_n(&cpu->power_off, __ATOMIC_ACQUIRE) ? 1 : 0;
}

/* Standby: like WFI, the processor keeps its state. */
static int64_t cpu_suspend(Cpu *cpu)
{
    cpu->halted = true;
    vcpu_kick(cpu);
    return OK;
}

static int64_t features(uint32_t fn)
{
    switch (fn & ~(uint32_t)SMC64) {
    case PSCI_VERSION: case CPU_SUSPEND: case CPU_OFF: case CPU_ON: case AFFINITY_INFO: case MIGRATE_INFO_TYPE:
    case SYSTEM_OFF: case SYSTEM_RESET: case PSCI_FEATURES:
        return OK;
    default:
        return NOT_SUPPORTED;
    }
}

static int64_t call(Psci *p, Cpu *cpu, uint32_t fn, const uint64_t *arg)
{
    switch (fn) {
    case PSCI_VERSION:
        return 0x10001;
    case CPU_SUSPEND: case CPU_SUSPEND | SMC64:
        return cpu_suspend(cpu);
    case CPU_OFF:
        vcpu_power_off(cpu);
        return OK;
    case CPU_ON:
        return cpu_on(p, (uint32_t)arg[1], (uint32_t)arg[2], (uint32_t)arg[3]);
    case CPU_ON | SMC64:
        return cpu_on(p, arg[1], arg[2], arg[3]);
    case AFFINITY_INFO: case AFFINITY_INFO | SMC64:
        return affinity_info(p, arg[1], arg[2]);
    case MIGRATE_INFO_TYPE:
        return 2;                               /* no trusted OS that would have to move */
    case SYSTEM_OFF:
        machine_request(p->m, REQUEST_SHUTDOWN, CAUSE_GUEST_SHUTDOWN);
        return OK;
    case SYSTEM_RESET:
        machine_request(p->m, REQUEST_RESET, CAUSE_GUEST_RESET);
        return OK;
    case PSCI_FEATURES:
        return features((uint32_t)arg[1]);
    default:
        log_unimp("psci: function 0x%08x", fn);
        return NOT_SUPPORTED;
    }
}

static bool port_call(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *regs)
{
    regs[0] = (uint64_t)call(opaque, cpu, (uint32_t)regs[0], regs);
    return true;
}

void psci_connect(Psci *psci, Machine *m)
{
    CpuPort port = { .call = port_call, .opaque = psci };

    psci->m = m;
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        cpu_port_connect(machine_cpu(m, i), CPU_PORT_FIRMWARE, &port);
    }
}
