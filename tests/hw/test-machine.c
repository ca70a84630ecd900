/* SPDX-License-Identifier: MIT */
/* The machine handle with processors that only count: run, pause, exclusive sections, requests, save and restore, two at once. */
#include "hw/core/machine.h"
#include "tests/wait.h"

#include <string.h>
#include <unistd.h>

typedef struct ToyCpu {
    Cpu cpu;
    uint64_t count;
    uint32_t start;
} ToyCpu;

typedef struct ToyBoard {
    Machine m;
    MemRegion ram;
    uint32_t knob;
} ToyBoard;

/* ---- a CPU whose program is "count, and now and then sleep" ---- */

static const StateField toy_rows[] = { STATE_U64(ToyCpu, count), {} };
static const StateTable toy_table = { .name = "toy-cpu", .fields = toy_rows };
static void toy_set(Cpu *cpu, uint64_t count) { __atomic_store_n(&((ToyCpu *)cpu)->count, count, __ATOMIC_RELAXED); }
static void toy_reset(Cpu *cpu) { toy_set(cpu, ((ToyCpu *)cpu)->start); }
static bool toy_has_work(Cpu *cpu) { return cpu_pending(cpu) & CPU_IRQ; }
static void toy_power_on(Cpu *cpu, uint64_t entry, uint64_t context) { toy_set(cpu, entry); }
static const CpuOps toy_ops = { .arch = "toy", .state = &toy_table, .reset = toy_reset, .has_work = toy_has_work, .power_on = toy_power_on };
static const Prop toy_props[] = { PROP_U32("start", ToyCpu, start, 0), {} };
static const CpuType toy_type = { .name = "toy", .arch = "toy", .size = sizeof(ToyCpu), .ops = &toy_ops, .props = toy_props };
CPU_TYPE(toy_type);

static int exclusive_now, exclusive_seen;
static void inside(void *data)
{
    g_assert_cmpint(__atomic_add_fetch(&exclusive_now, 1, __ATOMIC_SEQ_CST), ==, 1);
    exclusive_seen++;
    __atomic_sub_fetch(&exclusive_now, 1, __ATOMIC_SEQ_CST);
}

static void toy_run(Cpu *cpu)
{
    ToyCpu *t = (ToyCpu *)cpu;

    while (!(cpu_pending(cpu) & CPU_EXITS)) {
        toy_set(cpu, t->count + 1);
        if (t->count % 1000 == 0) {
            vcpu_exclusive(cpu->machine, inside, NULL);
        }
        if (t->count % 777 == 0 && cpu->index) {
            cpu->halted = true;
            break;
        }
        if (!cpu->index && t->count % 50 == 0) {
            cpu_line(machine_cpu(cpu->machine, 1), 0, t->count % 100 == 0);
        }
    }
    cpu_pending_clear(cpu, CPU_EXIT_KICK);
}

static uint64_t toy_run_count(Cpu *cpu, uint64_t insns)
{
    toy_set(cpu, ((ToyCpu *)cpu)->count + insns);
    return insns;
}

/* "tcg" when the recompiler is not linked into this program (rhea_part). */
static const AccelType toy_accel = { .name = "toy", .run = toy_run, .run_count = toy_run_count };
ACCEL_TYPE(toy_accel);

/* ---- a board ---- */

static bool board_build(Machine *m, Error **errp)
{
    ToyBoard *b = (ToyBoard *)m;
    RamSpec spec = { .id = "ram", .size = m->ram_size };
    RamBlock *block = ram_block_new(m->mem, &spec, errp);

    if (!block) {
        return false;
    }
    mem_region_init_ram(&b->ram, m->mem, "ram", block);
    mem_region_add(&m->system_memory, 0x1000, &b->ram);
    for (unsigned i = 0; i < m->smp.cpus; i++) {
        Cpu *cpu = cpu_new(m, &toy_type, (int)i, m->config->cpu, errp);

        if (!cpu) {
            return false;
        }
        if (!cpu_realize(cpu, errp)) {
            cpu_free(cpu);
            return false;
        }
    }
    return true;
}

static const Prop board_props[] = { PROP_U32("knob", ToyBoard, knob, 3), {} };
static const MachineType toy_board = {
    .name = "toyboard", .arch = "toy", .size = sizeof(ToyBoard), .default_ram = 64 * 4096, .max_cpus = 8, .props = board_props, .build = board_build,
};
MACHINE_TYPE(toy_board);

static Machine *open_board(unsigned cpus, ClockMode mode)
{
    MachineConfig config = { .accel = "toy", .smp = { .cpus = cpus }, .clock = mode, .cpu = "start=5" };
    Error *err = NULL;
    Machine *m = machine_open(NULL, &toy_board, &config, &err);
    GBytes *rom = g_bytes_new_static("boot code", 9);

    g_assert_null(err);
    g_assert_true(machine_add_rom(m, "boot", 0x2000, rom, NULL));
    g_assert_false(machine_rom_free(m, 0x2008, 1));
    g_assert_true(machine_ready(m, NULL));
    return m;
}

static uint64_t count_of(Machine *m, unsigned i)
{
    return __atomic_load_n(&((ToyCpu *)machine_cpu(m, i))->count, __ATOMIC_RELAXED);
}

static void test_pause(void)
{
    Machine *m = open_board(3, CLOCK_HOST);
    uint64_t before;

    exclusive_seen = 0;
    g_assert_cmpuint(count_of(m, 0), ==, 5);
    machine_run(m);
    for (int i = 0; i < (g_test_slow() ? 100000 : 400); i++) {
        vcpu_pause_all(m);
        before = count_of(m, 0) + count_of(m, 1) + count_of(m, 2);
        if (i % 40 == 0) {
            g_usleep(200);
        }
        g_assert_cmpuint(count_of(m, 0) + count_of(m, 1) + count_of(m, 2), ==, before);
        vcpu_resume_all(m);
    }
    before = count_of(m, 0);
    WAIT_UNTIL(count_of(m, 0) >= before + 5000, g_usleep(1000));
    machine_pause(m, RUN_PAUSED);
    g_assert_cmpint(exclusive_seen, >, 0);
    machine_close(m);
}

static void bump(Cpu *cpu, void *data)
{
    g_assert_true(vcpu_current() == cpu);
    ++*(int *)data;
}

static void test_work(void)
{
    Machine *m = open_board(2, CLOCK_HOST);
    int n = 0;

    vcpu_run_on(machine_cpu(m, 1), bump, &n);       /* parked */
    machine_run(m);
    for (int i = 0; i < 50; i++) {
        vcpu_run_on(machine_cpu(m, i & 1), bump, &n);
    }
    g_assert_cmpint(n, ==, 51);
    vcpu_pause_all(m);
    vcpu_power_off(machine_cpu(m, 1));
    vcpu_resume_all(m);
    vcpu_power_on(machine_cpu(m, 1), 1000000000, 0);
    WAIT_UNTIL(count_of(m, 1) >= 1000000000, g_usleep(1000));
    machine_close(m);
}

typedef struct Heard { MachineListener l; int resets, shutdowns; RequestCause cause; } Heard;
static void hear(MachineListener *l, Machine *m, const MachineEvent *ev)
{
    Heard *h = (Heard *)l;

    h->resets += ev->kind == EVENT_RESET;
    h->shutdowns += ev->kind == EVENT_SHUTDOWN;
    h->cause = ev->cause;
}

static void ask_off(Cpu *cpu, void *data) { machine_request(cpu->machine, REQUEST_SHUTDOWN, CAUSE_GUEST_SHUTDOWN); }
static void ask_reset(Cpu *cpu, void *data) { machine_request(cpu->machine, REQUEST_RESET, CAUSE_GUEST_RESET); }

static void test_requests(void)
{
    Machine *m = open_board(2, CLOCK_HOST);
    Heard h = { { hear } };

    machine_listener_add(m, &h.l);
    machine_run(m);
    mem_store(m->as, 0x2000, 4, 0, MEM_ATTRS_NONE);
    vcpu_run_on(machine_cpu(m, 0), ask_reset, NULL);
    g_assert_true(machine_poll(m));
    g_assert_false(machine_poll(m));
    g_assert_cmpint(h.resets, ==, 1);
    g_assert_true(machine_is_running(m));
    vcpu_run_on(machine_cpu(m, 0), ask_off, NULL);
    vcpu_run_on(machine_cpu(m, 0), ask_reset, NULL);         /* comes too late */
    g_assert_true(machine_poll(m));
    g_assert_true(h.shutdowns == 1 && h.cause == CAUSE_GUEST_SHUTDOWN && h.resets == 1);
    g_assert_cmpint(machine_state(m), ==, RUN_SHUTDOWN);
    machine_close(m);
}

static void test_save(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL), *path = g_build_filename(dir, "save", NULL);
    Machine *a = open_board(2, CLOCK_FROZEN), *b = open_board(2, CLOCK_FROZEN), *c = open_board(1, CLOCK_FROZEN);
    g_autoptr(Error) err = NULL, err2 = NULL;
    g_autofree char *bytes = NULL;
    uint64_t before, other, random[2];
    gsize len;

    inputs_seed(a->inputs, 1);
    inputs_seed(b->inputs, 1);
    input_random(a->inputs, random, 8);
    clock_step(a->clock, 12345);
    mem_store(a->as, 0x3000, 8, 0x1122334455667788, MEM_ATTRS_NONE);
    ((ToyCpu *)machine_cpu(a, 1))->count = 77;
    machine_cpu(a, 0)->halted = true;
    cpu_line(machine_cpu(a, 1), 1, 1);
    before = machine_digest(a, true);
    g_assert_true(machine_save(a, path, NULL));
    g_assert_cmpuint(machine_digest(b, true), !=, before);
    g_assert_true(machine_restore(b, path, NULL));
    g_assert_cmpuint(machine_digest(b, true), ==, before);
    g_assert_true(machine_cpu(b, 0)->halted && clock_now(b->clock) == 12345);
    input_random(a->inputs, &random[0], 8);
    input_random(b->inputs, &random[1], 8);
    g_assert_cmphex(random[0], ==, random[1]);      /* the seeded generator goes on where it was */
    g_assert_cmphex(cpu_pending(machine_cpu(b, 1)) & CPU_LINES, ==, CPU_FIQ);

    other = machine_digest(c, true);
    g_assert_false(machine_restore(c, path, &err));
    g_assert_nonnull(strstr(error_message(err), "-smp"));
    g_assert_cmpuint(machine_digest(c, true), ==, other);
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    bytes[len / 2] ^= 1;
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    mem_store(b->as, 0x3000, 8, 1, MEM_ATTRS_NONE);
    before = machine_digest(b, true);
    g_assert_false(machine_restore(b, path, &err2));
    g_assert_cmpuint(machine_digest(b, true), ==, before);
    machine_close(a);
    machine_close(b);
    machine_close(c);
    unlink(path);
    rmdir(dir);
}

static void test_two(void)
{
    Machine *a = open_board(2, CLOCK_HOST), *b = open_board(1, CLOCK_ICOUNT);

    machine_run(a);
    machine_run(b);
    WAIT_UNTIL(count_of(a, 0) >= 2000 && count_of(b, 0) >= 2000, g_usleep(1000));
    machine_pause(a, RUN_PAUSED);
    machine_pause(b, RUN_PAUSED);
    g_assert_cmpuint(count_of(b, 0), ==, 5 + clock_icount_total(b->clock));
    machine_close(a);
    g_assert_cmpuint(count_of(b, 0), >=, 2000);
    machine_close(b);
}

static void test_config(void)
{
    static const char *const knob[] = { "knb", "4", NULL };
    MachineConfig bad[] = {
        { .accel = "toy", .smp = { .cpus = 9 } }, { .accel = "toy", .props = knob }, { .accel = "nothing" },
        { .accel = "toy", .cpu = "strt=1" }, { .accel = "toy", .smp = { .cpus = 4, .cores = 3, .sockets = 1 } },
    };
    static const char *const words[] = { "max CPUs", "knb", "nothing", "strt", "topology" };
    MachineSmp smp = { .sockets = 2, .cores = 3 };
    MachineConfig good = { .accel = "toy", .smp = smp };
    Machine *m;

    for (unsigned i = 0; i < 5; i++) {
        g_autoptr(Error) err = NULL;

        g_assert_null(machine_open(NULL, &toy_board, &bad[i], &err));
        g_assert_nonnull(strstr(error_message(err), words[i]));
    }
    m = machine_open(NULL, &toy_board, &good, NULL);
    g_assert_true(m && m->smp.cpus == 6 && m->smp.max_cpus == 6 && m->smp.clusters == 1);
    machine_close(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/config", test_config);
    g_test_add_func("/machine/pause", test_pause);
    g_test_add_func("/machine/work", test_work);
    g_test_add_func("/machine/requests", test_requests);
    g_test_add_func("/machine/save", test_save);
    g_test_add_func("/machine/two", test_two);
    return g_test_run();
}
