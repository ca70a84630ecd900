/* SPDX-License-Identifier: MIT */
/*
 * Host code of guest instructions, for codegen.py: never run, so any set of host features will do.
 *
 *   codegen-dump names                  slots and fields of TcgEnv, as displacements from the base register
 *   codegen-dump FEATURES a64 WORD...   the code of A64 instructions at offset 0x100 of a page
 *   codegen-dump FEATURES ir            the code of a block in text form on standard input
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/cpu.h"
#include "target/arm/translate.h"
#include "tcg/code.h"
#include "tcg/host.h"
#include "tcg/ir-raw.h"

enum { OFF = 0x100, BIAS = 128 };       /* rbp = TcgEnv + 128: docs/tcg.md */

static bool board_build(Machine *m, Error **errp)
{
    Cpu *cpu = cpu_new(m, cpu_type_find("aarch64", "max"), 0, NULL, errp);

    return cpu && cpu_realize(cpu, errp);
}

static const MachineType board_type = { .name = "bare", .arch = "aarch64", .size = sizeof(Machine), .default_ram = 1 << 20, .max_cpus = 1, .default_cpu = "max", .build = board_build };

static void names(void)
{
#define FIELD(f) { #f, offsetof(TcgEnv, f), sizeof(((TcgEnv *)0)->f) }
    static const struct { const char *name; size_t at, size; } fields[] = {
        FIELD(page_base), FIELD(pc), FIELD(jump), FIELD(generation), FIELD(exc), FIELD(exit_arg), FIELD(arg), FIELD(ret), FIELD(ring), FIELD(ring_top),
        FIELD(guest_mxcsr), FIELD(spill), FIELD(op_in), FIELD(op_out), FIELD(fault_ra),
    };
#undef FIELD
    const TcgTarget *t = &a64_tcg_target;

    printf("%d 4 pending\n", t->pending_off - BIAS);
    for (unsigned i = 0; i < t->nslots; i++) {
        printf("%d %d %s\n", t->slots[i].offset - BIAS, t->slots[i].type == IR_V128 ? 16 : ir_bits(t->slots[i].type) / 8, t->slots[i].name);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        printf("%d %zu env.%s\n", (int)fields[i].at - BIAS, fields[i].size, fields[i].name);
    }
}

static void from_a64(IrBlock *ir, char **words)
{
    static uint32_t page[1024];
    MachineConfig config = { .accel = "tcg,host=interp", .clock = CLOCK_FROZEN, .have_seed = true, .seed = 1 };
    Machine *m = machine_open(NULL, &board_type, &config, &(Error *){ NULL });
    TransCtx tc = { .ir = ir, .key = KEY_FP, .page = (const uint8_t *)page, .off = OFF, .pc = 0x1000 + OFF, .max_insns = g_strv_length(words) };

    g_assert_nonnull(m);
    tc.cpu = machine_cpu(m, 0);
    for (unsigned i = 0; words[i]; i++) {
        page[OFF / 4 + i] = (uint32_t)strtoul(words[i], NULL, 16);
    }
    ir_begin(ir, &a64_tcg_target, OFF);
    a64_translate(&tc);
    machine_close(m);
}

static void from_text(IrBlock *ir)
{
    g_autofree char *text = NULL, *err = NULL;
    GIOChannel *in = g_io_channel_unix_new(0);

    g_io_channel_read_to_end(in, &text, NULL, NULL);
    g_io_channel_unref(in);
    if (!ir_parse(ir, &a64_tcg_target, text, &err)) {
        g_error("%s", err);
    }
}

int main(int argc, char **argv)
{
    TcgCode *code;
    TcgCtx *ctx;
    TcgBlock tb = {};
    IrBlock *ir;

    if (argc == 2 && !strcmp(argv[1], "names")) {
        names();
        return 0;
    }
    g_assert_cmpint(argc, >, 2);
    tcg_host_pretend(argv[1]);
    code = tcg_code_new(tcg_host_find("x86_64"), &a64_tcg_target, 1 << 20);
    ctx = tcg_ctx_new(code);
    ir = tcg_ctx_ir(ctx);
    if (!strcmp(argv[2], "a64")) {
        from_a64(ir, argv + 3);
    } else {
        from_text(ir);
    }
    ir_verify(ir);
    g_assert_cmpint(tcg_compile(ctx, &tb), ==, TCG_COMPILED);
    printf("%p\n", (const void *)tb.entry);
    tcg_dump_host(stdout, tcg_host_find("x86_64"), &tb);
    tcg_ctx_free(ctx);
    tcg_code_free(code);
    return 0;
}
