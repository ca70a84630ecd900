/* SPDX-License-Identifier: MIT */
/* Bytes of the line editor, arguments by position, expressions. */
#include <string.h>

#include "monitor/command.h"
#include "monitor/line.h"

/* ---- the editor: keys in, bytes out ---- */

static GString *lines;

static void got_line(void *opaque, const char *text)
{
    g_string_append_printf(lines, "[%s]", text);
}

static char **words(void *opaque, const char *text)
{
    static const char *const all[] = { "stats", "status", "stop", NULL };
    const char *start = strrchr(text, ' ') ? strrchr(text, ' ') + 1 : text;
    GPtrArray *out = g_ptr_array_new();

    for (unsigned i = 0; all[i]; i++) {
        if (g_str_has_prefix(all[i], start)) {
            g_ptr_array_add(out, g_strdup(all[i]));
        }
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

static void test_editor(void)
{
    static const struct { const char *keys, *bytes, *lines; } rows[] = {
        { "inf", "i\033[K" "\033[Din\033[K" "\033[D\033[Dinf\033[K", "" },
        { "s\r", "s\033[K\r\n", "[s]" },
        { "s\r\n", "s\033[K\r\n\r\n", "[s][]" },
        { "ab\177", "a\033[K\033[Dab\033[K\033[D\033[Da\033[K", "" },
        { "ab\001c", "a\033[K\033[Dab\033[K\033[D\033[Dcab\033[K\033[D\033[D", "" },
        { "ab\001\005", "a\033[K\033[Dab\033[K\033[D\033[D\033[C\033[C", "" },
        { "a\r\033[A", "a\033[K\r\na\033[K", "[a]" },
        { "a\025\r", "a\033[K\033[D\033[K\r\n", "[]" },
        { "\014", "\033[2J\033[1;1H(qemu) ", "" },
        { "sto\t", "s\033[K\033[Dst\033[K\033[D\033[Dsto\033[K\033[D\033[D\033[Dstop \033[K", "" },
        { "st\t", "s\033[K\033[Dst\033[K\r\nstats     status    stop      \r\n(qemu) st", "" },
        { "\033[3~\033[D\033Ox\001\002", "", "" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        LineEditor e = { .prompt = "(qemu) ", .line = got_line, .complete = words };

        lines = g_string_new(NULL);
        line_init(&e);
        for (const char *k = rows[i].keys; *k; k++) {
            line_key(&e, (uint8_t)*k);
        }
        g_assert_cmpstr(e.out->str, ==, rows[i].bytes);
        g_assert_cmpstr(lines->str, ==, rows[i].lines);
        line_fini(&e);
        g_string_free(lines, TRUE);
    }
}

/* ---- commands: what reaches the function ---- */

static bool show(MonCall *call, Error **errp)
{
    g_autofree char *text = json_text(call->args, JSON_COMPACT);

    g_string_append_printf(call->out, "%s\n", text);
    return true;
}

static bool fail(MonCall *call, Error **errp)
{
    return error_set(errp, "it broke");
}

static const OptKey test_keys[] = { { "name", OPT_STRING, .must = true }, { "force", OPT_BOOL }, { "count", OPT_NUMBER }, {} };
static const MonCommand test_row = { .name = "tst", .alias = "tt", .keys = test_keys, .help = "of the test", .run = show };
static const OptKey rest_keys[] = { { "format", OPT_STRING }, { "expr", OPT_STRING, .must = true }, {} };
static const MonCommand rest_row = { .name = "tstx", .keys = rest_keys, .help = "of the test", .rest = true, .run = show };
static const MonCommand info_row = { .name = "info tst", .help = "of the test", .run = fail };
MON_COMMAND(test_row);
MON_COMMAND(rest_row);
MON_COMMAND(info_row);

static void test_commands(void)
{
    static const struct { const char *line, *out; } rows[] = {
        { "tst a", "{\"name\": \"a\"}\n" },
        { "  tt -f \"a \\\"b\" 0x10", "{\"force\": true, \"name\": \"a \\\"b\", \"count\": 16}\n" },
        { "tst", "tst: string expected\nTry \"help tst\" for more information\n" },
        { "tst -x a", "tst: unsupported option -x\nTry \"help tst\" for more information\n" },
        { "tst a 1 2", "tst|tt: extraneous characters at the end of line\nTry \"help tst\" for more information\n" },
        { "tst a b", "Error: Parameter 'count' expects a number\n" },
        { "tstx /4x $pc + 1", "{\"format\": \"/4x\", \"expr\": \"$pc + 1\"}\n" },
        { "tstx/4x $pc + 1", "{\"format\": \"/4x\", \"expr\": \"$pc + 1\"}\n" },
        { "tstx $pc", "{\"expr\": \"$pc\"}\n" },
        { "info tst", "Error: it broke\n" },
        { "foo", "unknown command: 'foo'\n" },
        { "info nosuch", "unknown command: 'info nosuch'\n" },
        { "stop;cont", "unknown command: 'stop;cont'\n" },
        { "help foo", "unknown command: 'foo'\n" },
        { "help tst", "tst|tt  -- of the test\n" },
        { "help quit", "quit|q  -- quit the emulator\n" },
        { "", "" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *out = mon_run_line(NULL, NULL, rows[i].line);

        g_assert_cmpstr(out, ==, rows[i].out);
    }
}

static void test_complete(void)
{
    g_auto(GStrv) one = mon_complete(NULL, "system_p"), info = mon_complete(NULL, "info statu"), none = mon_complete(NULL, "zzz");

    g_assert_true(one[0] && !strcmp(one[0], "system_powerdown") && !one[1]);
    g_assert_true(info[0] && !strcmp(info[0], "status") && !info[1]);
    g_assert_null(none[0]);
}

static void test_expr(void)
{
    static const struct { const char *text; int64_t v; const char *error; } rows[] = {
        { "1+2*3", 7, NULL }, { "(1+2)*3", 9, NULL }, { "0x10 - 1", 15, NULL }, { "-~0", 1, NULL }, { "7&3|8", 11, NULL }, { "'a'", 97, NULL },
        { "-9223372036854775808 / -1", INT64_MIN, NULL }, { "7 % 4", 3, NULL }, { "0xffffffffffffffff", -1, NULL },
        { "1/0", 0, "division by zero" }, { "1+", 0, "unexpected end of expression" }, { "$x", 0, "unknown register" }, { "(1", 0, "')' expected" },
        { "", 0, "unexpected end of expression" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *p = rows[i].text;
        Error *err = NULL;
        int64_t v = 0;
        bool ok = mon_expr(NULL, &p, &v, &err);

        if (rows[i].error) {
            g_assert_false(ok);
            g_assert_cmpstr(error_message(err), ==, rows[i].error);
            error_free(err);
        } else {
            g_assert_true(ok && !*p);
            g_assert_cmpint(v, ==, rows[i].v);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/editor", test_editor);
    g_test_add_func("/monitor/commands", test_commands);
    g_test_add_func("/monitor/complete", test_complete);
    g_test_add_func("/monitor/expr", test_expr);
    return g_test_run();
}
