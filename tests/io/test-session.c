/* SPDX-License-Identifier: MIT */
#include "io/session.h"

static GString *gone;

static void destroy(void *object)
{
    g_string_append(gone, object);
}

static const SessionKind node = { .name = "node", .space = "block", .duplicate = "Duplicate nodes with node-name='%s'", .destroy = destroy };
static const SessionKind back = { .name = "block back end", .space = "block", .destroy = destroy };
static const SessionKind chr = { .name = "chardev", .space = "chardev", .destroy = destroy };

static void test_ids(void)
{
    static const char *const good[] = { "a", "a0-._", "Zz" }, *const bad[] = { "", "0a", "-a", "a b", "a/b", "_x", "\xc3\xa4" };

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(session_id_valid(good[i]));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(session_id_valid(bad[i]));
    }
}

static void test_spaces(void)
{
    Session *s = session_new();
    g_autoptr(Error) err = NULL, err2 = NULL;
    const SessionKind *kind = NULL;
    char *a, *b;

    gone = g_string_new(NULL);
    g_assert_true(session_add(s, &node, "x", (void *)"1", NULL));
    g_assert_true(session_add(s, &chr, "x", (void *)"2", NULL));
    g_assert_true(session_add(s, &back, "y", (void *)"3", NULL));
    g_assert_false(session_add(s, &node, "x", (void *)"4", &err));
    g_assert_cmpstr(error_message(err), ==, "Duplicate nodes with node-name='x'");
    g_assert_false(session_add(s, &chr, "9", (void *)"4", &err2));
    g_assert_cmpstr(error_message(err2), ==, "Parameter 'id' expects an identifier");
    g_assert_null(session_get(s, &back, "x"));
    g_assert_cmpstr(session_find(s, "block", "y", &kind), ==, "3");
    g_assert_true(kind == &back);
    a = session_make_id(s, "block");
    b = session_make_id(s, "block");
    g_assert_cmpstr(a, ==, "#block000");
    g_assert_cmpstr(b, ==, "#block001");
    g_assert_true(session_add(s, &node, a, (void *)"5", NULL));
    g_assert_cmpuint(session_count(s, &node), ==, 2);
    session_destroy(s, &back, "y");
    g_assert_cmpstr(gone->str, ==, "3");
    session_remove(s, &node, "x");
    session_free(s);
    g_assert_cmpstr(gone->str, ==, "352");              /* the last added first */
    g_free(a);
    g_free(b);
    g_string_free(gone, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/ids", test_ids);
    g_test_add_func("/session/spaces", test_spaces);
    return g_test_run();
}
