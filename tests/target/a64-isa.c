/* SPDX-License-Identifier: MIT */
/*
 * Runs a flat program bare at EL1, translation off, from 0x80000, until HVC #0, and prints the registers:
 * a64-isa HOST CPU PROGRAM.bin
 */
#include <stdio.h>
#include <stdlib.h>

#include "hw/core/machine.h"
#include "target/arm/sysregs.h"
#include "tests/wait.h"

typedef struct Board {
    Machine m;
    MemRegion ram;
} Board;

static const char *model;

static bool board_build(Machine *m, Error **errp)
{
    Board *b = (Board *)m;
    RamSpec spec = { .id = "ram", .size = m->ram_size };
    RamBlock *block = ram_block_new(m->mem, &spec, errp);
    const char *comma = strchr(model, ',');
    g_autofree char *name = comma ? g_strndup(model, (gsize)(comma - model)) : g_strdup(model);
    Cpu *cpu;

    if (!block) {
        return false;
    }
    mem_region_init_ram(&b->ram, m->mem, "ram", block);
    mem_region_add(&m->system_memory, 0, &b->ram);
    cpu = cpu_new(m, cpu_type_find("aarch64", name), 0, comma ? comma + 1 : NULL, errp);
    if (!cpu || !cpu_set(cpu, "psci-conduit", "hvc", errp) || !cpu_realize(cpu, errp)) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {              /* the timers go straight to the interrupt lines */
        irq_connect(arm_cpu_wire(cpu, i ? ARM_WIRE_TIMER_VIRT : ARM_WIRE_TIMER_PHYS), cpu_line, cpu, i ? 0 : 1);
    }
    irq_connect(arm_cpu_wire(cpu, ARM_WIRE_PMU), cpu_line, cpu, 0);
    return true;
}

static const MachineType board_type = { .name = "bare", .arch = "aarch64", .size = sizeof(Board), .default_ram = 16 << 20, .max_cpus = 1, .default_cpu = "max", .build = board_build };

static int done;

static bool firmware(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *regs)
{
    (void)opaque, (void)key, (void)ctx, (void)regs;
    vcpu_power_off(cpu);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return true;
}

static const CpuPort port = { .call = firmware };

int main(int argc, char **argv)
{
    g_autofree char *accel = g_strdup_printf("tcg,host=%s", argc > 1 ? argv[1] : "interp");
    MachineConfig config = { .accel = accel, .clock = CLOCK_HOST, .have_seed = true, .seed = 1 };
    Error *err = NULL;
    Machine *m;
    gsize len;
    g_autofree char *data = NULL;
    A64Cpu *c;

    model = argc > 2 ? argv[2] : "max";
    if (argc < 4 || !g_file_get_contents(argv[3], &data, &len, NULL) || !(m = machine_open(NULL, &board_type, &config, &err))) {
        fprintf(stderr, "%s\n", err ? error_message(err) : "usage: a64-isa HOST CPU PROGRAM");
        return 1;
    }
    c = a64_cpu(machine_cpu(m, 0));
    cpu_port_connect(&c->cpu, CPU_PORT_FIRMWARE, &port);
    if (!machine_ready(m, &err)) {
        return 1;
    }
    dma_write(m->as, 0x80000, data, len, MEM_ATTRS_NONE);
    c->cpu.ops->set_pc(&c->cpu, 0x80000);
    m->accel->state_changed(&c->cpu);
    machine_run(m);
    for (gint64 end = wait_end(); !__atomic_load_n(&done, __ATOMIC_ACQUIRE) && g_get_monotonic_time() < end;) {
        g_usleep(100);
    }
    machine_pause(m, RUN_PAUSED);
    for (unsigned i = 0; i < 31; i++) {
        printf("x%u=0x%" PRIx64 "\n", i, c->x[i]);
    }
    printf("sp=0x%" PRIx64 "\npc=0x%" PRIx64 "\nnzcv=0x%x\n", c->sp, c->env.pc, (unsigned)(a64_pstate(c) >> 28));
    if (!done) {
        fprintf(stderr, "the program did not end\n");
    }
    machine_close(m);
    return !done;
}
