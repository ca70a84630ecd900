/* SPDX-License-Identifier: MIT */
/* Where FPSR comes from: its field, the host's sticky bits, what inline code gathered in slots; and what the block key makes of it. */
#include <glib.h>

#include "hw/core/machine.h"
#include "target/arm/cpu.h"

static bool board_build(Machine *m, Error **errp)
{
    Cpu *cpu = cpu_new(m, cpu_type_find("aarch64", "max"), 0, NULL, errp);

    return cpu && cpu_realize(cpu, errp);
}

static const MachineType board_type = { .name = "bare", .arch = "aarch64", .size = sizeof(Machine), .default_ram = 1 << 20, .max_cpus = 1, .default_cpu = "max", .build = board_build };

static A64Cpu *c;

static void gather_all(void)
{
    c->fpsr = FPSR_IXC;
    c->env.guest_mxcsr = 0x1f80 | 1;            /* IE */
    c->qc[1] = 1;
    c->idc[0][0] = 1;
}

static void sources(void)
{
    gather_all();
    g_assert_cmphex(a64_fpsr_get(c), ==, FPSR_QC | FPSR_IDC | FPSR_IXC | 1);
    a64_fpsr_set(c, 2);
    g_assert_cmphex(a64_fpsr_get(c), ==, 2);
    c->idc[0][1] = 0x8000000080000000;          /* zeros with a sign were looked at */
    c->idc[1][0] = 1ull << 63;
    g_assert_cmphex(a64_fpsr_get(c), ==, 2);
    c->idc[1][0] = 0x80000000;                  /* no sign among doubles */
    g_assert_cmphex(a64_fpsr_get(c), ==, 2 | FPSR_IDC);
}

/* ZE, OE, UE, PE; DE counts where operands are flushed only. */
static void host_bits(void)
{
    g_assert_cmphex(a64_fpsr_of_mxcsr(0x1f80 | 0x3c), ==, 0x1e);
    g_assert_cmphex(a64_fpsr_of_mxcsr(0x1f80 | 2), ==, 0);
    g_assert_cmphex(a64_fpsr_of_mxcsr(0x9fc0 | 2), ==, FPSR_IDC);
}

static void forgotten(void)
{
    gather_all();
    a64_cpu_ops.reset(&c->cpu);
    g_assert_cmphex(a64_fpsr_get(c), ==, 0);
    gather_all();
    c->fpsr = 4;                                /* as loaded */
    g_assert_true(a64_cpu_ops.state->post_load(c, NULL));
    g_assert_cmphex(a64_fpsr_get(c), ==, 4);
}

static void key(void)
{
    a64_fpsr_set(c, FPSR_IXC);
    a64_fpcr_set(c, 0);
    g_assert_cmphex(c->key & (KEY_FZ | KEY_IXC), ==, 0);
    a64_fpcr_set(c, FPCR_FZ);
    g_assert_cmphex(c->key & (KEY_FZ | KEY_IXC), ==, KEY_FZ | KEY_IXC);
    a64_fpsr_set(c, 0xf);
    a64_mode_changed(c);
    g_assert_cmphex(c->key & (KEY_FZ | KEY_IXC), ==, KEY_FZ);
}

int main(int argc, char **argv)
{
    MachineConfig config = { .accel = "tcg,host=interp", .clock = CLOCK_FROZEN, .have_seed = true, .seed = 1 };
    Error *err = NULL;
    Machine *m;
    int rc;

    g_test_init(&argc, &argv, NULL);
    m = machine_open(NULL, &board_type, &config, &err);
    g_assert_nonnull(m);
    c = a64_cpu(machine_cpu(m, 0));
    g_test_add_func("/a64-fpsr/sources", sources);
    g_test_add_func("/a64-fpsr/host-bits", host_bits);
    g_test_add_func("/a64-fpsr/forgotten", forgotten);
    g_test_add_func("/a64-fpsr/key", key);
    rc = g_test_run();
    machine_close(m);
    return rc;
}
