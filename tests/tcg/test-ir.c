/* SPDX-License-Identifier: MIT */
/* The builder: folding, slots, text form there and back. */
#include <glib.h>
#include <string.h>

#include "tcg/ir.h"
#include "tests/tcg/fake.h"

static IrBlock b;

static void begin(void)
{
    ir_begin(&b, &fake_target, 0x100);
    ir_insn(&b, 0x100, 0);
}

static int64_t value(IrVal v)
{
    int64_t c = -1;

    g_assert_true(ir_is_const(&b, v, &c));
    return c;
}

static void test_constants(void)
{
    IrVal x;

    begin();
    x = ir_get(&b, FAKE_X0);
    g_assert_cmpint(value(ir_add(&b, ir_i64(&b, 40), ir_i64(&b, 2))), ==, 42);
    g_assert_cmpint(value(ir_add(&b, ir_i32(&b, INT32_MAX), ir_i32(&b, 1))), ==, INT32_MIN);
    g_assert_cmpint(value(ir_shr(&b, ir_i32(&b, -1), ir_i32(&b, 36))), ==, 0x0fffffff);
    g_assert_cmpint(value(ir_setcond(&b, IR_I32, IR_LTU, ir_i64(&b, 1), ir_i64(&b, -1))), ==, 1);
    g_assert_cmpint(value(ir_extract(&b, ir_i64(&b, 0xabcd00), 8, 16)), ==, 0xabcd);
    g_assert_cmpint(value(ir_sub(&b, x, x)), ==, 0);
    g_assert_cmpint(ir_addi(&b, x, 0).id, ==, x.id);
    g_assert_cmpint(ir_get(&b, FAKE_X0).id, ==, x.id);
    g_assert_cmpint(value(ir_flags_sub(&b, ir_i64(&b, 1), ir_i64(&b, 2)).n), ==, 1);
    g_assert_cmpint(value(ir_flags_sub(&b, ir_i64(&b, 1), ir_i64(&b, 2)).c), ==, 0);
    g_assert_cmpint(value(ir_flags_add(&b, ir_i32(&b, INT32_MAX), ir_i32(&b, 1)).v), ==, 1);
}

static const IrOp *last(void)
{
    return &b.ops[b.nops - 1];
}

/* What compilers for flag machines write must end up as one comparison. */
static void test_flag_conditions(void)
{
    IrVal x, y, zero;
    IrFlags f;
    const struct { IrVal v; IrCond c; } *row;

    begin();
    x = ir_get(&b, FAKE_X0);
    y = ir_get(&b, FAKE_X1);
    zero = ir_i32(&b, 0);
    f = ir_flags_sub(&b, x, y);
    {
        const struct { IrVal v; IrCond c; } rows[] = {
            { f.z, IR_EQ }, { ir_xor(&b, f.z, ir_i32(&b, 1)), IR_NE }, { f.c, IR_GEU },
            { ir_andc(&b, f.c, f.z), IR_GTU }, { ir_xor(&b, f.n, f.v), IR_LT },
            { ir_setcond(&b, IR_I32, IR_EQ, f.n, f.v), IR_GE },
            { ir_andc(&b, ir_setcond(&b, IR_I32, IR_EQ, f.n, f.v), f.z), IR_GT },
            { ir_or(&b, ir_xor(&b, f.n, f.v), f.z), IR_LE },
        };

        row = (const void *)rows;
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
            ir_exit_if(&b, IR_NE, row[i].v, zero, 0x200);
            g_assert_cmpint(last()->sub, ==, row[i].c);
            g_assert_cmpint(last()->in[0], ==, x.id);
            g_assert_cmpint(last()->in[1], ==, y.id);
        }
    }
    f = ir_flags_and(&b, x, y);
    ir_exit_if(&b, IR_EQ, f.z, zero, 0x200);
    g_assert_cmpint(last()->sub, ==, IR_TSTNE);
}

static void test_text(void)
{
    g_autofree char *one = NULL, *two = NULL, *err = NULL;
    size_t n;
    FILE *f = open_memstream(&one, &n);
    IrVal x;

    begin();
    x = ir_get(&b, FAKE_X0);
    ir_set(&b, FAKE_X1, ir_ld(&b, IR_I64, ir_addi(&b, x, -8), 3 | IR_MEM_BE));
    ir_set(&b, FAKE_N, ir_flags_sub(&b, x, ir_i64(&b, 7)).n);
    ir_call(&b, FAKE_RT_MIX, IR_V(x), IR_SIO(FAKE_X2));
    ir_exit_if(&b, IR_LTU, x, ir_i64(&b, -1), 0x80);
    ir_goto(&b, -0x1000);
    ir_verify(&b);
    ir_print(f, &b);
    fclose(f);
    g_assert_true(ir_parse(&b, &fake_target, one, &err));
    g_assert_null(err);
    ir_verify(&b);
    f = open_memstream(&two, &n);
    ir_print(f, &b);
    fclose(f);
    /* value numbers may differ, everything else may not */
    g_assert_cmpint(strlen(one), ==, strlen(two));
    g_assert_false(ir_parse(&b, &fake_target, "block 0x0\n  insn 0x0 0\n v1:i64 = frobnicate.i64 #1:i64\n", &err));
    g_assert_nonnull(strstr(err, "line 3"));
}

static void test_verify_types(void)
{
    if (g_test_subprocess()) {
        begin();
        ir_set(&b, FAKE_X0, ir_i64(&b, 1));
        ir_ld(&b, IR_I64, ir_get(&b, FAKE_X1), 3);
        ir_goto(&b, 0);
        ir_verify(&b);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*follows ir_set*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ir/constants", test_constants);
    g_test_add_func("/ir/flag-conditions", test_flag_conditions);
    g_test_add_func("/ir/text", test_text);
    g_test_add_func("/ir/verify", test_verify_types);
    return g_test_run();
}
