/* SPDX-License-Identifier: MIT */
/* A machine type for tests: nothing but RAM at 0 and a frozen clock; devices are put in by the test. */
#ifndef TESTS_HW_BENCH_MACHINE_H
#define TESTS_HW_BENCH_MACHINE_H

#include "hw/core/machine.h"

typedef struct BenchMachine {
    Machine m;
    MemRegion ram;
} BenchMachine;

static bool bench_build(Machine *m, Error **errp)
{
    BenchMachine *b = (BenchMachine *)m;
    RamSpec spec = { .id = "ram", .size = m->ram_size };
    RamBlock *block = ram_block_new(m->mem, &spec, errp);

    if (!block) {
        return false;
    }
    mem_region_init_ram(&b->ram, m->mem, "ram", block);
    mem_region_add(&m->system_memory, 0, &b->ram);
    return true;
}

static const MachineType bench_type = { .name = "bench", .size = sizeof(BenchMachine), .default_ram = 1 << 20, .build = bench_build };

/* No processors, so no need to run any. */
static const AccelType bench_accel = { .name = "bench" };

static inline Machine *bench_open_clock(ClockMode clock)
{
    MachineConfig config = { .accel = "bench", .clock = clock, .have_seed = true, .seed = 1 };
    Error *err = NULL;
    Machine *m = machine_open(NULL, &bench_type, &config, &err);

    if (err) {
        g_error("%s", error_message(err));
    }
    return m;
}

static inline Machine *bench_open(void)
{
    return bench_open_clock(CLOCK_FROZEN);
}

ACCEL_TYPE(bench_accel);

static inline uint64_t bench_read(Machine *m, paddr addr, unsigned size)
{
    uint64_t v;

    mem_load(m->as, addr, size, &v, MEM_ATTRS_CPU(0));
    return v;
}

static inline void bench_write(Machine *m, paddr addr, unsigned size, uint64_t v)
{
    mem_store(m->as, addr, size, v, MEM_ATTRS_CPU(0));
}

#endif
