/* SPDX-License-Identifier: MIT */
/* -help, the manual page and the shell completion, out of the option table. */
#include "system/cmdline.h"

#include <string.h>

enum { TEXT_COLUMN = 16 };

/* Lines that begin with '-' are further forms of the option, at column 0; the others go to column 16. */
static void help_lines(GString *out, const char *help, bool first_on_line)
{
    g_auto(GStrv) lines = g_strsplit(help, "\n", -1);

    for (unsigned i = 0; lines[i]; i++) {
        if (lines[i][0] != '-' && (i || !first_on_line)) {
            g_string_append_printf(out, "%*s", TEXT_COLUMN, "");
        }
        g_string_append_printf(out, "%s\n", lines[i]);
    }
}

static void help_row(GString *out, const CmdOption *o)
{
    g_autofree char *left = g_strdup_printf("-%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

    if (!strcmp(o->name, "h")) {
        g_free(left);
        left = g_strdup("-h or -help");
    }
    if (strlen(left) < TEXT_COLUMN) {
        g_string_append_printf(out, "%-*s", TEXT_COLUMN, left);
        help_lines(out, o->help, true);
    } else {
        g_string_append_printf(out, "%s\n", left);
        help_lines(out, o->help, false);
    }
}

static bool has_rows(const CmdOption *heading)
{
    for (const CmdOption *o = heading + 1; o->name; o++) {
        if (!o->hidden) {
            return true;
        }
    }
    return false;
}

char *cmdline_help(const ProgramName *p)
{
    g_autofree char *version = version_text(p);
    GString *out = g_string_new(version);

    g_string_append_printf(out, "usage: %s [options] [disk_image]\n\n'disk_image' is a raw hard disk image for IDE hard disk 0\n\n", p->base);
    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (!o->name && has_rows(o)) {
            g_string_append_printf(out, "%s%s\n", o == cmd_options ? "" : "\n", o->help);
        } else if (o->name && !o->hidden) {
            help_row(out, o);
        }
    }
    g_string_append(out, "\nWith -nographic and -serial mon:stdio, 'ctrl-a h' lists the keys of the terminal.\n");
    return g_string_free(out, FALSE);
}

/* roff: backslashes, hyphens, and dots at the start of a line. */
static void roff(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\') {
            g_string_append(out, "\\e");
        } else if (*p == '-') {
            g_string_append(out, "\\-");
        } else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n')) {
            g_string_append_printf(out, "\\&%c", *p);
        } else if (*p == '\n') {
            g_string_append(out, "\n.br\n");
        } else {
            g_string_append_c(out, *p);
        }
    }
}

char *cmdline_manual(void)
{
    GString *out = g_string_new(
        ".TH RHEA 1 \"\" \"Rhea\" \"User commands\"\n.SH NAME\nrhea \\- full\\-system emulator\n"
        ".SH SYNOPSIS\n.B rhea\n[\\fIoptions\\fR] [\\fIdisk_image\\fR]\n.SH DESCRIPTION\n"
        "Rhea runs a whole machine: processors, memory, devices. Called as rhea\\-system\\-ARCH it runs guests of that architecture.\n"
        "Options begin with one or two dashes. Where an argument is a list of keys, ',,' stands for a comma.\n.SH OPTIONS\n");

    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (!o->name && has_rows(o)) {
            g_string_append(out, ".SS \"");
            roff(out, o->help);
            g_string_append(out, "\"\n");
        } else if (o->name && !o->hidden) {
            g_string_append(out, ".TP\n.B ");
            g_string_append_printf(out, "\\-%s", o->name);
            for (const CmdOption *also = o + 1; also->name && also->hidden && !also->absent; also++) {
                g_string_append_printf(out, ", \\-%s", also->name);       /* its other spellings stand behind it */
            }
            if (o->arg) {
                g_string_append(out, " \\fI");
                roff(out, o->arg);
                g_string_append(out, "\\fR");
            }
            g_string_append_c(out, '\n');
            roff(out, o->help);
            g_string_append_c(out, '\n');
        }
    }
    return g_string_free(out, FALSE);
}

char *cmdline_completion(void)
{
    GString *names = g_string_new(NULL), *flags = g_string_new(NULL), *out = g_string_new(NULL);

    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (o->name && !o->absent) {
            g_string_append_printf(names, " -%s", o->name);
            if (!o->arg) {
                g_string_append_printf(flags, "%s-%s", flags->len ? "|" : "", o->name);
            }
        }
    }
    g_string_append_printf(out,
        "# bash completion for rhea\n"
        "_rhea()\n"
        "{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    case $prev in\n"
        "        -M|-machine) COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" -machine help 2>/dev/null | awk 'NR>1{print $1}')\" -- \"$cur\")); return;;\n"
        "        -cpu) COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" -cpu help 2>/dev/null | awk 'NR>1{print $1}')\" -- \"$cur\")); return;;\n"
        "        -device) COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" -device help 2>/dev/null | awk -F'\"' '/^name/{print $2}')\" -- \"$cur\")); return;;\n"
        "        %s) ;;\n"
        "        -*) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n"
        "    esac\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n"
        "    else\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "    fi\n"
        "}\n"
        "complete -F _rhea rhea rhea-system-aarch64 qemu-system-aarch64 rhea-system-riscv64 qemu-system-riscv64\n", flags->str, names->str + 1);
    g_string_free(names, TRUE);
    g_string_free(flags, TRUE);
    return g_string_free(out, FALSE);
}
