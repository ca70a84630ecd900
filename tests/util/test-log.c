/* SPDX-License-Identifier: MIT */
/* -d names, -D file, trace points by pattern */
#include "util/log.h"

#include <string.h>
#include <unistd.h>

#include "tests/util/trace.h"

static void test_names(void)
{
    Error *err = NULL;
    g_autofree char *help = log_help();

    g_assert_true(log_set("guest_errors,in_asm,op", NULL));
    g_assert_cmphex(log_mask, ==, LOG_GUEST | LOG_IN | LOG_IR);
    g_assert_true(log_set("guest,in,ir", NULL));
    g_assert_cmphex(log_mask, ==, LOG_GUEST | LOG_IN | LOG_IR);
    g_assert_false(log_set("int,in_sam", &err));
    g_assert_cmpstr(error_message(err), ==, "unknown log category 'in_sam'");
    g_assert_true(g_str_has_prefix(error_hint_text(err), "did you mean 'in_asm'"));
    g_assert_cmphex(log_mask, ==, LOG_GUEST | LOG_IN | LOG_IR);
    error_free(err);
    g_assert_true(log_set("none", NULL));
    g_assert_cmphex(log_mask, ==, 0);
    g_assert_true(g_str_has_prefix(help, "Log items (comma separated):\nguest_errors    "));
}

static char *logged(void (*fn)(void))
{
    g_autofree char *name = NULL;
    char *text = NULL;
    int fd = g_file_open_tmp("logXXXXXX", &name, NULL);

    close(fd);
    g_assert_true(log_open(name, NULL));
    fn();
    g_assert_true(log_open(NULL, NULL));
    g_assert_true(g_file_get_contents(name, &text, NULL, NULL));
    unlink(name);
    return text;
}

static void hit_points(void)
{
    trace_test_read("disk", 512, 7);
    trace_test_none();
}

static void flood(void)
{
    for (int i = 0; i < 1000; i++) {
        log_guest("line %d", i);
    }
}

static void test_trace(void)
{
    g_autofree char *off = logged(hit_points), *one = NULL, *both = NULL, *list = trace_list();
    Error *err = NULL;

    g_assert_cmpstr(off, ==, "");
    g_assert_true(trace_arm("test_r*", NULL));
    one = logged(hit_points);
    g_assert_cmpstr(one, ==, "test_read node=disk off=0x200 len=7\n");
    g_assert_true(log_set("trace:test_*", NULL));
    both = logged(hit_points);
    g_assert_cmpstr(both, ==, "test_read node=disk off=0x200 len=7\ntest_none\n");
    g_assert_true(trace_arm("-test_*", NULL));
    g_assert_false(trace_arm("test_raed", &err));
    g_assert_nonnull(strstr(error_hint_text(err), "'test_read'"));
    error_free(err);
    g_assert_nonnull(strstr(list, "test_none\ntest_read\n"));
}

static void test_limit(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    log_mask = LOG_GUEST;
    text = logged(flood);
    log_mask = 0;
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), <, 45);          /* 20 a second, and the clock may tick once */
    g_assert_nonnull(strstr(text, "left out for a second"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/names", test_names);
    g_test_add_func("/log/trace", test_trace);
    g_test_add_func("/log/limit", test_limit);
    return g_test_run();
}
