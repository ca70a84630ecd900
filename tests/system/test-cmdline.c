/* SPDX-License-Identifier: MIT */
/* What is typed, what it means, what is refused; the texts out of the table. */
#include "system/cmdline.h"

#include <string.h>

#include "system/config-file.h"

static CmdLine *typed(const char *text, Error **errp)
{
    g_auto(GStrv) argv = g_strsplit(text, " ", -1);
    g_autoptr(CmdLine) cl = cmdline_new((int)g_strv_length(argv), argv, errp);

    return cl && cmdline_check(cl, errp) ? g_steal_pointer(&cl) : NULL;
}

/* All options of one name, merged, as JSON. */
static void test_meaning(void)
{
    static const struct { const char *line, *option, *json; } rows[] = {
        { "p -M virt,gic_version=3 -machine acpi=off -kernel a,b -append x=y", "machine",
          "{\"type\": \"virt\", \"gic_version\": \"3\", \"acpi\": \"off\", \"kernel\": \"a,b\", \"append\": \"x=y\"}" },
        { "p --machine type=virt --machine virt-8.2", "machine", "{\"type\": \"virt-8.2\"}" },
        { "p -m 2G", "m", "{\"size\": 2147483648}" },
        { "p -m 512 -m maxmem=4G,slots=2", "m", "{\"size\": 536870912, \"maxmem\": 4294967296, \"slots\": 2}" },
        { "p -smp 4 -smp cores=2,sockets=2", "smp", "{\"cpus\": 4, \"cores\": 2, \"sockets\": 2}" },
        { "p -no-reboot -no-shutdown -action panic=none", "action", "{\"reboot\": \"shutdown\", \"shutdown\": \"pause\", \"panic\": \"none\"}" },
        { "p -enable-kvm", "accel", "{\"accel\": \"kvm\"}" },
        { "p -accel tcg,thread=single,tb-size=64", "accel", "{\"accel\": \"tcg\", \"thread\": \"single\", \"tb-size\": \"64\"}" },
        { "p -rtc base=utc,clock=vm", "rtc", "{\"base\": \"utc\", \"clock\": \"vm\"}" },
        { "p -icount 5,align=off,sleep=off", "icount", "{\"shift\": \"5\", \"align\": false, \"sleep\": false}" },
        { "p -icount shift=auto", "icount", "{\"shift\": \"auto\"}" },
        { "p -name vm1,process=x", "name", "{\"guest\": \"vm1\", \"process\": \"x\"}" },
        { "p -drive file=a.qcow2,file.locking=off,if=none -drive driver=qcow2,file.driver=file,file.filename=a.qcow2", "drive", "{}" },     /* as it is, to its reader */
        { "p -device {\"driver\":\"e1000\",\"id\":\"n\"}", "device", "{\"driver\": \"e1000\", \"id\": \"n\"}" },
        { "p -chardev socket,id=c,path=x,server,nowait", "chardev",
          "{\"backend\": \"socket\", \"id\": \"c\", \"path\": \"x\", \"server\": true, \"wait\": false}" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Error *err = NULL;
        g_autoptr(CmdLine) cl = typed(rows[i].line, &err);
        g_autoptr(Json) all = NULL;
        g_autofree char *text = NULL;

        if (!cl) {
            g_error("%s: %s", rows[i].line, error_message(err));
        }
        all = cmdline_merged(cl, rows[i].option);
        text = json_text(all, JSON_COMPACT);
        g_assert_cmpstr(text, ==, rows[i].json);
    }
}

static void test_refused(void)
{
    static const struct { const char *line, *message, *hint; } rows[] = {
        { "p -bogus -version", "-bogus: invalid option", NULL },
        { "p --bogus", "--bogus: invalid option", NULL },
        { "p -nographc", "-nographc: invalid option", "did you mean 'nographic'?" },
        { "p -m", "-m: requires an argument", NULL },
        { "p -m 1Q", "-m 1Q: Parameter 'size' expects a non-negative number below 2^64", "Optional suffix k" },
        { "p -m 64M,foo=1", "-m 64M,foo=1: Invalid parameter 'foo'", NULL },
        { "p -spice port=1", "-spice port=1: not available in this build: there is no SPICE", NULL },
        { "p -display gtk", "-display gtk: display 'gtk' is not available in this build: use -display none or -nographic", NULL },
        { "p -display nosuch", "-display nosuch: Parameter 'type' does not accept value 'nosuch'", NULL },
        { "p -rtc foo=1", "-rtc foo=1: Invalid parameter 'foo'", NULL },
        { "p -device bus=x", "-device bus=x: Parameter 'driver' is missing", NULL },
        { "p -chardev null,id=1a", "-chardev null,id=1a: Parameter 'id' expects an identifier", NULL },
        { "p -device {\"driver\":", "-device {\"driver\":: JSON parse error, premature EOI", NULL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Error *err = NULL;

        g_assert_null(typed(rows[i].line, &err));
        g_assert_cmpstr(error_message(err), ==, rows[i].message);
        g_assert_true(!rows[i].hint || strstr(error_hint_text(err), rows[i].hint));
        error_free(err);
    }
}

static bool count_one(const CmdArg *a, void *data, Error **errp)
{
    g_string_append_printf(data, "%s;", a->text);
    return true;
}

static void test_order(void)
{
    g_autoptr(CmdLine) cl = typed("p -serial null -serial mon:stdio -kernel k -serial none -s disk.img", NULL);
    g_autoptr(GString) seen = g_string_new(NULL);

    g_assert_true(cmdline_each(cl, "serial", count_one, seen, NULL));
    g_assert_cmpstr(seen->str, ==, "null;mon:stdio;none;");
    g_assert_cmpstr(cmdline_text(cl, "gdb"), ==, "tcp::1234");
    g_assert_cmpstr(cmdline_text(cl, "drive"), ==, "file=disk.img,index=0,media=disk");
    g_assert_false(cmdline_has(cl, "S"));
}

static void test_config(void)
{
    static const char text[] = "# a comment\n[machine]\n  type = \"virt\"\n\n[device \"d0\"]\ndriver = \"e1000\"\nmac = \"a,b\"\n[smp-opts]\ncpus=\"2\"\n";
    g_autoptr(CmdLine) cl = typed("p -m 1G", NULL);
    g_autoptr(Json) device = NULL, smp = NULL;
    g_autofree char *shown = NULL;
    Error *err = NULL;

    g_assert_true(config_text_read(cl, "f.cfg", text, NULL) && cmdline_check(cl, NULL));
    device = cmdline_merged(cl, "device");
    shown = json_text(device, JSON_COMPACT);
    g_assert_cmpstr(shown, ==, "{\"id\": \"d0\", \"driver\": \"e1000\", \"mac\": \"a,b\"}");
    smp = cmdline_merged(cl, "smp");
    g_assert_cmpuint(json_get_u64(smp, "cpus", 0), ==, 2);
    g_assert_false(config_text_read(cl, "f.cfg", "\n[devcie]\n", &err));
    g_assert_cmpstr(error_message(err), ==, "f.cfg:2: There is no option group 'devcie'");
    g_assert_nonnull(strstr(error_hint_text(err), "'device'"));
    error_free(err);
    err = NULL;
    g_assert_false(config_text_read(cl, "f.cfg", "[machine]\nx = y\n", &err));
    g_assert_cmpstr(error_message(err), ==, "f.cfg:2: parse error: 'x = y' is not key = \"value\"");
    error_free(err);
}

static void test_names(void)
{
    static const struct { const char *argv0, *arch; bool peer; } rows[] = {
        { "/usr/bin/qemu-system-aarch64", "aarch64", true }, { "rhea-system-riscv64", "riscv64", false }, { "./rhea", NULL, false },
        { "kvm", "x86_64", true }, { "qemu-system-sparc", NULL, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        ProgramName *p = program_name_new(rows[i].argv0);
        g_autofree char *version = version_text(p);

        g_assert_cmpstr(p->arch, ==, rows[i].arch);
        g_assert_true(p->peer == rows[i].peer);
        if (p->peer) {          /* the strictest client's expression, and no number on line 2 */
            g_assert_true(g_regex_match_simple("^QEMU emulator version 8\\.2\\.0 \\([a-z0-9._-]+\\)\\n[^0-9]*\\n$", version, 0, 0));
        }
        program_name_free(p);
    }
}

static void test_help(void)
{
    static const char *const patterns[] = {
        "^QEMU emulator version", "^usage: qemu-system-aarch64 \\[options\\] \\[disk_image\\]$", "^Standard options:$", "^-h or -help     display",
        "^-gdb dev        ", "^-machine \\[type=\\]name", "^                selects the board", "^-netdev user,id=str", "aio=threads\\|native\\|io_uring",
        "^-chardev socket,id=id,path=path\\[,server=on\\|off\\]\\[,wait=on\\|off\\]", "^-blockdev \\[driver=\\]driver", "\\[,auto-read-only=on\\|off\\]",
    };
    ProgramName *p = program_name_new("qemu-system-aarch64");
    g_autofree char *help = cmdline_help(p), *man = cmdline_manual(), *complete = cmdline_completion();

    for (unsigned i = 0; i < G_N_ELEMENTS(patterns); i++) {
        if (!g_regex_match_simple(patterns[i], help, G_REGEX_MULTILINE, 0)) {
            g_error("no line of -help matches %s", patterns[i]);
        }
    }
    g_assert_null(strstr(help, "spice"));
    g_assert_nonnull(strstr(man, ".SS \"Standard options:\""));
    g_assert_nonnull(strstr(complete, " -kernel "));
    program_name_free(p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cmdline/meaning", test_meaning);
    g_test_add_func("/cmdline/refused", test_refused);
    g_test_add_func("/cmdline/order", test_order);
    g_test_add_func("/cmdline/config", test_config);
    g_test_add_func("/cmdline/names", test_names);
    g_test_add_func("/cmdline/help", test_help);
    return g_test_run();
}
