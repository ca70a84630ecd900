/* SPDX-License-Identifier: MIT */
#include "system/cmdline.h"

#include <string.h>

#include "system/config-file.h"
#include "util/suggest.h"

const CmdOption *cmd_option_find(const char *name)
{
    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (o->name && !strcmp(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

static bool unknown(const char *typed, Error **errp)
{
    Suggest *s = suggest_new(typed + strspn(typed, "-"));

    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (o->name && !o->absent) {
            suggest_add(s, o->name);
        }
    }
    error_set(errp, "%s: invalid option", typed);
    return suggest_hint(s, "-help", errp);
}

static void arg_free(void *p)
{
    CmdArg *a = p;

    g_free(a->typed);
    g_free(a->text);
    json_unref(a->value);
    g_free(a);
}

static char *double_commas(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    return g_strjoinv(",,", parts);
}

/* The argument of what a short form stands for: %s the text with commas doubled, %R as it is. */
static char *as_text(const CmdOption *o, const char *text)
{
    const char *hole = strchr(o->as_text, '%');
    g_autofree char *in = NULL;

    if (!hole) {
        return g_strdup(o->as_text);
    }
    in = hole[1] == 's' ? double_commas(text) : g_strdup(text);
    return g_strdup_printf("%.*s%s%s", (int)(hole - o->as_text), o->as_text, in, hole + 2);
}

bool cmdline_add(CmdLine *cl, const char *name, const char *text, const char *typed, Error **errp)
{
    const CmdOption *o = cmd_option_find(name);
    CmdArg *a;

    if (!o) {
        return unknown(typed, errp);
    }
    if (o->absent) {
        return error_set(errp, "%s: not available in this build: %s", typed, o->absent);
    }
    a = g_new0(CmdArg, 1);
    a->typed = g_strdup(typed);
    a->text = o->as ? as_text(o, text) : g_strdup(text);
    a->opt = o->as ? cmd_option_find(o->as) : o;
    g_ptr_array_add(cl->args, a);
    return true;
}

/* One word of the command line, with the next when it takes one. Returns how many were used, 0: an error. */
static int take(CmdLine *cl, int left, char **argv, Error **errp)
{
    const char *word = argv[0], *name = word[0] == '-' && word[1] == '-' ? word + 2 : word + 1;
    g_autofree char *typed = NULL;
    const CmdOption *o;

    if (word[0] != '-' || !word[1]) {
        return cmdline_add(cl, "hda", word, word, errp);        /* a disk image */
    }
    o = cmd_option_find(name);
    if (!o) {
        return unknown(word, errp);
    }
    if (!o->arg) {
        return cmdline_add(cl, name, "", word, errp);
    }
    if (left < 2) {
        return error_set(errp, "%s: requires an argument", word);
    }
    typed = g_strdup_printf("%s %s", word, argv[1]);
    return cmdline_add(cl, name, argv[1], typed, errp) ? 2 : 0;
}

CmdLine *cmdline_new(int argc, char **argv, Error **errp)
{
    g_autoptr(CmdLine) cl = g_new0(CmdLine, 1);

    cl->program = g_path_get_basename(argv[0]);
    cl->args = g_ptr_array_new_with_free_func(arg_free);
    for (int i = 1; i < argc;) {
        int used = take(cl, argc - i, argv + i, errp);

        if (!used) {
            return NULL;
        }
        i += used;
    }
    return g_steal_pointer(&cl);
}

void cmdline_free(CmdLine *cl)
{
    if (cl) {
        g_free(cl->program);
        if (cl->args) {
            g_ptr_array_unref(cl->args);
        }
        g_free(cl);
    }
}

bool cmd_arg_error(const CmdArg *a, Error **errp)
{
    return error_prepend(errp, "%s: ", a->typed);
}

static bool check_arg(CmdArg *a, Error **errp)
{
    const OptGroup *g = a->opt->group ? options_group(a->opt->group) : NULL;

    if (!a->opt->group || a->value) {
        return true;
    }
    if (!g) {
        error_set(errp, "not available in this build");
        return cmd_arg_error(a, errp);
    }
    if (g->late) {
        return true;
    }
    a->value = options_parse(g, a->text, errp);
    return a->value || cmd_arg_error(a, errp);
}

bool cmdline_check(CmdLine *cl, Error **errp)
{
    for (unsigned i = 0; i < cl->args->len; i++) {          /* a file adds to the end of the list */
        CmdArg *a = g_ptr_array_index(cl->args, i);

        if (!check_arg(a, errp)) {
            return false;
        }
        if (!strcmp(a->opt->name, "readconfig") && !config_file_read(cl, a->text, errp)) {
            return cmd_arg_error(a, errp);
        }
    }
    return true;
}

const char *cmdline_text(const CmdLine *cl, const char *name)
{
    for (unsigned i = cl->args->len; i > 0; i--) {
        const CmdArg *a = g_ptr_array_index(cl->args, i - 1);

        if (!strcmp(a->opt->name, name)) {
            return a->text;
        }
    }
    return NULL;
}

bool cmdline_has(const CmdLine *cl, const char *name)
{
    return cmdline_text(cl, name);
}

Json *cmdline_merged(const CmdLine *cl, const char *name)
{
    const CmdOption *o = cmd_option_find(name);
    Json *all = json_object();

    for (unsigned i = 0; i < cl->args->len; i++) {
        const CmdArg *a = g_ptr_array_index(cl->args, i);

        if (a->opt == o && a->value) {
            options_merge(options_group(o->group), all, a->value);
        }
    }
    return all;
}

bool cmdline_each(const CmdLine *cl, const char *name, CmdArgFn *fn, void *data, Error **errp)
{
    for (unsigned i = 0; i < cl->args->len; i++) {
        const CmdArg *a = g_ptr_array_index(cl->args, i);

        if (!strcmp(a->opt->name, name) && !fn(a, data, errp)) {
            return cmd_arg_error(a, errp);
        }
    }
    return true;
}
