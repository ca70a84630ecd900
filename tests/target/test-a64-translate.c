/* SPDX-License-Identifier: MIT */
/* Every row with random fields, and words of no row, under many block keys: the front end gives IR that keeps the rules of tcg/ir.h. */
#include <glib.h>
#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/disas.h"
#include "target/arm/translate.h"

static bool board_build(Machine *m, Error **errp)
{
    Cpu *cpu = cpu_new(m, cpu_type_find("aarch64", "max"), 0, NULL, errp);

    return cpu && cpu_realize(cpu, errp);
}

static const MachineType board_type = { .name = "bare", .arch = "aarch64", .size = sizeof(Machine), .default_ram = 1 << 20, .max_cpus = 1, .default_cpu = "max", .build = board_build };

static Machine *m;
static IrBlock *ir;

static void translate(const uint32_t *page, uint32_t off, uint64_t key, unsigned insns)
{
    TransCtx tc = { .cpu = machine_cpu(m, 0), .ir = ir, .key = key, .page = (const uint8_t *)page, .off = off, .pc = 0x1000 + off, .max_insns = insns };

    ir_begin(ir, &a64_tcg_target, off);
    a64_translate(&tc);
    ir_verify(ir);
    g_assert_cmpuint(ir->code_bytes, >, 0);
    g_assert_cmpuint(off + ir->code_bytes, <=, 4096);
}

static uint64_t random_key(void)
{
    uint64_t k = (uint64_t)g_test_rand_int() & ((1u << 30) - 1);

    k &= ~(KEY_IL | KEY_SS_DUE);            /* these never come to the instruction */
    k |= g_test_rand_bit() ? KEY_IXC : 0;
    return g_test_rand_bit() ? k | KEY_FP : k;
}

static void rows(void)
{
    uint32_t page[1024];

    for (unsigned r = 0; r < a64_nrows; r++) {
        for (unsigned i = 0; i < 24; i++) {
            for (unsigned k = 0; k < 8; k++) {
                page[1000 + k] = ((uint32_t)g_test_rand_int() & ~a64_rows[r].mask) | a64_rows[r].value;
            }
            translate(page, 4000, random_key(), 8);
        }
    }
}

static void sequences(void)
{
    uint32_t page[1024];

    for (unsigned i = 0; i < 400; i++) {
        for (unsigned k = 0; k < 1024; k++) {
            const A64Row *r = &a64_rows[(unsigned)g_test_rand_int() % a64_nrows];

            page[k] = ((uint32_t)g_test_rand_int() & ~r->mask) | r->value;
        }
        for (uint32_t off = 0; off < 4096; off += 4 * (uint32_t)g_test_rand_int_range(1, 40)) {
            translate(page, off, random_key(), (unsigned)g_test_rand_int_range(1, 128));
        }
    }
}

static void any_word(void)
{
    uint32_t page[1024];

    for (unsigned i = 0; i < 200; i++) {
        for (unsigned k = 0; k < 1024; k++) {
            page[k] = (uint32_t)g_test_rand_int();
        }
        for (uint32_t off = 0; off < 4096; off += 4) {
            translate(page, off, random_key(), 4);
        }
        translate(page, 4096 - 3, random_key(), 4);
        translate(page, 2, random_key(), 4);
    }
}

int main(int argc, char **argv)
{
    MachineConfig config = { .accel = "tcg,host=interp", .clock = CLOCK_FROZEN, .have_seed = true, .seed = 1 };
    Error *err = NULL;
    int rc;

    g_test_init(&argc, &argv, NULL);
    m = machine_open(NULL, &board_type, &config, &err);
    g_assert_nonnull(m);
    ir = g_new0(IrBlock, 1);
    g_test_add_func("/a64-translate/rows", rows);
    g_test_add_func("/a64-translate/sequences", sequences);
    g_test_add_func("/a64-translate/any-word", any_word);
    rc = g_test_run();
    g_free(ir);
    machine_close(m);
    return rc;
}
