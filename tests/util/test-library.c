/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <stdlib.h>

#include "util/library.h"

static long (*absolute)(long);
static int (*nothing)(void);
static int starts;

static const char *start(void)
{
    starts++;
    return starts > 1 ? "started twice" : NULL;
}

static const char *refuse(void)
{
    return "it does not start";
}

static void test_load(void)
{
    static const LibrarySymbol symbols[] = { { "labs", &absolute }, {} };
    static Library c = { { "libnot-there.so.1", "libc.so.6" }, symbols, "no C library", start };

    for (int i = 0; i < 3; i++) {
        g_assert_true(library_load(&c, "test", NULL));
    }
    g_assert_cmpint(absolute(-5), ==, 5);
    g_assert_cmpint(starts, ==, 1);
}

static void expect(Library *l, const char *text)
{
    for (int i = 0; i < 2; i++) {
        Error *err = NULL;

        g_assert_false(library_load(l, "who", &err));
        g_assert_cmpstr(error_message(err), ==, text);
        error_free(err);
    }
}

static void test_trouble(void)
{
    static const LibrarySymbol none[] = { {} }, old[] = { { "labs", &absolute }, { "no_such_function_at_all", &nothing }, {} };
    static Library gone = { { "libnot-there.so.1" }, none, "install it" }, few = { { "libc.so.6" }, old, "" }, off = { { "libc.so.6" }, none, "", refuse };

    expect(&gone, "who: install it");
    expect(&few, "who: libc.so.6 is too old: it has no no_such_function_at_all");
    expect(&off, "who: it does not start");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/library/load", test_load);
    g_test_add_func("/library/trouble", test_trouble);
    return g_test_run();
}
