/* SPDX-License-Identifier: MIT */
/*
 * Runs a flat program on a bare machine, at EL0 with an identity map: a64-bare [host=interp|x86_64] RUNNER.bin BLOB > out
 * The program ends with SVC #0; any other exception is a failure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hw/core/machine.h"
#include "target/arm/sysregs.h"
#include "tests/target/a64-lockstep.h"
#include "tests/wait.h"

typedef struct Board {
    Machine m;
    MemRegion ram;
} Board;

static bool board_build(Machine *m, Error **errp)
{
    Board *b = (Board *)m;
    RamSpec spec = { .id = "ram", .size = m->ram_size };
    RamBlock *block = ram_block_new(m->mem, &spec, errp);
    Cpu *cpu;

    if (!block) {
        return false;
    }
    mem_region_init_ram(&b->ram, m->mem, "ram", block);
    mem_region_add(&m->system_memory, 0, &b->ram);
    cpu = cpu_new(m, cpu_type_find("aarch64", "max"), 0, NULL, errp);
    return cpu && cpu_set(cpu, "psci-conduit", "hvc", errp) && cpu_realize(cpu, errp);
}

static const MachineType board_type = { .name = "bare", .arch = "aarch64", .size = sizeof(Board), .default_ram = 0x40000000, .max_cpus = 1, .default_cpu = "max", .build = board_build };

static int done;

static bool firmware(void *opaque, Cpu *cpu, uint32_t key, CpuPortCtx ctx, uint64_t *regs)
{
    (void)opaque, (void)key, (void)ctx, (void)regs;
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    vcpu_power_off(cpu);
    return true;
}

static const CpuPort port = { .call = firmware };

static bool load(Machine *m, const char *path, paddr at)
{
    gsize len;
    char *data;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    dma_write(m->as, at, data, len, MEM_ATTRS_NONE);
    g_free(data);
    return true;
}

enum { VECTORS = 0x4000 };

/* 1 GiB identity map in 2 MiB blocks: write-back, accessed, shared inner. */
static void start_state(Machine *m)
{
    A64Cpu *c = a64_cpu(machine_cpu(m, 0));
    paddr l1 = 0x1000, l2 = 0x2000;

    mem_store(m->as, VECTORS + 0x400, 4, 0xd4000002, MEM_ATTRS_NONE);       /* HVC #0 */
    mem_store(m->as, l1, 8, l2 | 3, MEM_ATTRS_NONE);
    for (unsigned i = 0; i < 512; i++) {
        mem_store(m->as, l2 + 8 * i, 8, (uint64_t)i << 21 | (i ? 0x741 : 0x701), MEM_ATTRS_NONE);
    }
    a64_sysreg_write(c, SR_MAIR_EL1, 0xff);
    a64_sysreg_write(c, SR_TCR_EL1, 32 | 2ull << 32 | 1u << 23);
    a64_sysreg_write(c, SR_TTBR0_EL1, 0x1000);
    a64_sysreg_write(c, SR_CPACR_EL1, 3 << 20);
    a64_sysreg_write(c, SR_SCTLR_EL1, 0x30d00801 | SCTLR_C | SCTLR_I);
    a64_sysreg_write(c, SR_VBAR_EL1, VECTORS);
    a64_pstate_set(c, 0);
    c->cpu.ops->set_pc(&c->cpu, RUNNER_BASE);
}

int main(int argc, char **argv)
{
    g_autofree char *accel = g_strdup_printf("tcg,%s", argc > 1 ? argv[1] : "host=interp");
    MachineConfig config = { .accel = accel, .clock = CLOCK_FROZEN, .have_seed = true, .seed = 1, .cpu = "max" };
    Error *err = NULL;
    Machine *m;
    g_autofree uint8_t *out = g_malloc(BLOB_SIZE);

    if (argc < 4 || !(m = machine_open(NULL, &board_type, &config, &err))) {
        fprintf(stderr, "%s\n", err ? error_message(err) : "usage: a64-bare host=HOST RUNNER BLOB");
        return 1;
    }
    cpu_port_connect(machine_cpu(m, 0), CPU_PORT_FIRMWARE, &port);
    if (!machine_ready(m, &err) || !load(m, argv[2], RUNNER_BASE) || !load(m, argv[3], BLOB_BASE)) {
        return 1;
    }
    start_state(m);
    if (m->accel->state_changed) {
        m->accel->state_changed(machine_cpu(m, 0));
    }
    machine_run(m);
    for (gint64 end = wait_end(); !__atomic_load_n(&done, __ATOMIC_ACQUIRE) && g_get_monotonic_time() < end;) {
        g_usleep(100);
    }
    machine_pause(m, RUN_PAUSED);
    if (!done || a64_cpu(machine_cpu(m, 0))->sys[SR_ESR_EL1] >> 26 != EC_SVC64) {
        GString *s = g_string_new(NULL);

        machine_cpu(m, 0)->ops->dump(machine_cpu(m, 0), 1, s);
        fprintf(stderr, "did not end:\n%s", s->str);
        return 1;
    }
    dma_read(m->as, BLOB_BASE, out, BLOB_SIZE, MEM_ATTRS_NONE);
    machine_close(m);
    return fwrite(out, BLOB_SIZE, 1, stdout) != 1;
}
