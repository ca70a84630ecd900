/* SPDX-License-Identifier: MIT */
/* Answers to "help" in place of an argument: what there is, one name or key per line, on stdout. */
#include <stdio.h>
#include <string.h>

#include "block/driver.h"
#include "system/firmware.h"
#include "system/system.h"
#include "util/log.h"
#include "util/trace.h"

/* ---- machines ---- */

static void print_machine(const MachineType *t, void *data)
{
    for (const char *const *a = t->aliases; a && *a; a++) {
        printf("%-20s %s (alias of %s)\n", *a, t->desc, t->name);
    }
    printf("%-20s %s%s\n", t->name, t->desc, t->is_default ? " (default)" : "");
}

static void machine_list(const ProgramName *name)
{
    puts("Supported machines are:");
    machine_types_foreach(name->arch, print_machine, NULL);
}

static bool machine_help(const ProgramName *name, const CmdArg *a, int *code)
{
    g_autofree char *type = NULL;
    const MachineType *t;

    if (!options_wants_help(options_group("machine"), a->text, &type)) {
        return false;
    }
    t = type ? machine_type_find(name->arch, type, NULL) : NULL;
    if (t) {
        g_autoptr(GString) out = g_string_new(NULL);

        props_help(t->props, out);
        printf("%s-machine options:\n%s", t->name, out->str);
    } else {
        machine_list(name);
    }
    return true;
}

/* ---- processors ---- */

typedef struct CpuList { const char *arch; } CpuList;

static void print_cpu(const CpuType *t, void *data)
{
    const CpuList *l = data;

    if (!l->arch || !strcmp(l->arch, t->arch)) {
        printf("  %s\n", t->name);
    }
}

static bool cpu_help(const ProgramName *name, const CmdArg *a, int *code)
{
    g_auto(GStrv) words = g_strsplit(a->text, ",", -1);
    CpuList list = { name->arch };
    const CpuType *t;

    if (!strcmp(a->text, "help") || !strcmp(a->text, "?")) {
        puts("Available CPUs:");
        cpu_types_foreach(print_cpu, &list);
        return true;
    }
    if (!words[0] || !words[1] || strcmp(words[1], "help")) {
        return false;
    }
    t = cpu_type_find(name->arch ? name->arch : "aarch64", words[0]);
    if (t) {
        g_autoptr(GString) out = g_string_new(NULL);

        props_help(t->props, out);
        printf("%s options:\n%s", t->name, out->str);
    } else {
        fprintf(stderr, "%s: unable to find CPU model '%s'\n", name->base, words[0]);
        *code = 1;
    }
    return true;
}

/* ---- devices ---- */

static const char *const categories[] = {
    "Controller/Bridge/Hub", "USB", "Storage", "Network", "Input", "Display", "Sound", "Misc", "CPU", "Watchdog", "Uncategorized"
};

static bool in_category(const DeviceType *t, unsigned c)
{
    const char *own = t->category ? t->category : "Uncategorized";

    if (!g_ascii_strncasecmp(categories[c], own, strlen(own))) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(categories); i++) {
        if (!g_ascii_strncasecmp(categories[i], own, strlen(own))) {
            return false;
        }
    }
    return c == G_N_ELEMENTS(categories) - 1;
}

typedef struct DeviceList { unsigned category; bool any, headed; } DeviceList;

static void print_device(const DeviceType *t, void *data)
{
    DeviceList *l = data;

    if (!t->user_creatable || !in_category(t, l->category)) {
        return;
    }
    if (!l->headed) {
        printf("%s%s devices:\n", l->any ? "\n" : "", categories[l->category]);
        l->headed = l->any = true;
    }
    printf("name \"%s\"", t->name);
    if (t->bus) {
        printf(", bus %s", t->bus);
    }
    if (t->aliases && t->aliases[0]) {
        printf(", alias \"%s\"", t->aliases[0]);
    }
    if (t->desc) {
        printf(", desc \"%s\"", t->desc);
    }
    putchar('\n');
}

static bool device_help_(const ProgramName *name, const CmdArg *a, int *code)
{
    g_autofree char *driver = NULL;
    const DeviceType *t;
    DeviceList list = { 0 };

    if (!options_wants_help(options_group("device"), a->text, &driver)) {
        return false;
    }
    t = driver ? device_type_find(driver) : NULL;
    if (t) {
        g_autoptr(GString) out = g_string_new(NULL);

        device_help(t, out);
        printf("%s", out->str);
    } else if (driver) {
        fprintf(stderr, "%s: %s: Device '%s' not found\n", name->base, a->typed, driver);
        *code = 1;
    } else {
        for (; list.category < G_N_ELEMENTS(categories); list.category++) {
            list.headed = false;
            device_types_foreach(print_device, &list);
        }
    }
    return true;
}

/* ---- groups with variants: a heading and names, or the keys of one ---- */

static void print_variants(const OptGroup *g, const char *heading, const char *indent)
{
    g_autofree const OptVariant **all = options_variants(g);

    puts(heading);
    for (unsigned i = 0; all[i]; i++) {
        if (!all[i]->absent) {
            printf("%s%s\n", indent, all[i]->name);
        }
    }
}

static bool variants_help(const char *group, const char *heading, const char *indent, const CmdArg *a)
{
    const OptGroup *g = options_group(group);
    g_autofree char *which = NULL;
    const OptVariant *v;

    if (!g || !options_wants_help(g, a->text, &which)) {
        return false;
    }
    v = which ? options_variant(g, which) : NULL;
    if (v) {
        g_autofree char *text = options_help(g, v);

        fputs(text, stdout);
    } else {
        print_variants(g, heading, indent);
    }
    return true;
}

static void print_accel(const AccelType *t, void *data)
{
    puts(t->name);
}

static bool accel_help(const ProgramName *name, const CmdArg *a, int *code)
{
    g_autofree char *which = NULL;
    const AccelType *t;

    if (!options_wants_help(options_group("accel"), a->text, &which)) {
        return false;
    }
    t = which ? accel_type_find(which) : NULL;
    if (t) {
        g_autoptr(GString) out = g_string_new(NULL);

        props_help(t->props, out);
        printf("%s-accel options:\n%s", t->name, out->str);
    } else {
        puts("Accelerators supported in QEMU binary:");
        accel_types_foreach(print_accel, NULL);
    }
    return true;
}

static bool chardev_help(const ProgramName *name, const CmdArg *a, int *code)
{
    return variants_help("chardev", "Available chardev backend types: ", "  ", a);
}

static bool netdev_help(const ProgramName *name, const CmdArg *a, int *code)
{
    return variants_help("netdev", "Available netdev backend types:", "", a);
}

static bool display_help(const ProgramName *name, const CmdArg *a, int *code)
{
    return variants_help("display", "Available display backend types:", "", a);
}

static bool object_help(const ProgramName *name, const CmdArg *a, int *code)
{
    return variants_help("object", "List of user creatable objects:", "  ", a);
}

/* ---- the rest ---- */

static bool log_items(const ProgramName *name, const CmdArg *a, int *code)
{
    g_autofree char *text = !strcmp(a->text, "help") || !strcmp(a->text, "?") ? log_help() : !strcmp(a->text, "trace:help") ? trace_list() : NULL;

    if (text) {
        fputs(text, stdout);
        *code = strcmp(a->text, "trace:help") ? 1 : 0;      /* the status that scripts know */
    }
    return text;
}

static bool trace_names(const ProgramName *name, const CmdArg *a, int *code)
{
    g_autofree char *text = !strcmp(a->text, "help") || !strcmp(a->text, "?") ? trace_list() : NULL;

    if (text) {
        fputs(text, stdout);
    }
    return text;
}

/* -drive format=help */
static bool format_list(const ProgramName *name, const CmdArg *a, int *code)
{
    g_auto(GStrv) words = options_split(a->text);
    g_autofree const BlkDriver **all = NULL;

    if (!g_strv_contains((const char *const *)words, "format=help") && !g_strv_contains((const char *const *)words, "format=?")) {
        return false;
    }
    all = blk_drivers();
    printf("Supported formats:");
    for (unsigned i = 0; all[i]; i++) {
        printf(" %s", all[i]->name);
    }
    puts("\nSupported formats (read-only):");
    return true;
}

static bool vga_help(const ProgramName *name, const CmdArg *a, int *code)
{
    if (strcmp(a->text, "help") && strcmp(a->text, "?")) {
        return false;
    }
    printf("%-20s %s\n", "none", "no graphics card (default)");
    return true;
}

static const struct {
    const char *option;
    bool (*fn)(const ProgramName *name, const CmdArg *a, int *code);
} askers[] = {
    { "machine", machine_help }, { "cpu", cpu_help }, { "device", device_help_ }, { "accel", accel_help }, { "chardev", chardev_help },
    { "netdev", netdev_help }, { "display", display_help }, { "object", object_help }, { "d", log_items }, { "trace", trace_names },
    { "vga", vga_help }, { "drive", format_list },
};

/* Any other group prints its keys: the status that scripts know is 0 for -boot and -smp, 1 for the others. */
static bool keys_help(const CmdArg *a, int *code)
{
    const OptGroup *g = a->opt->group ? options_group(a->opt->group) : NULL;
    g_autofree char *text = NULL;

    if (!g || (strcmp(a->text, "help") && strcmp(a->text, "?")) || !strcmp(g->name, "memory") || !strcmp(g->name, "name")) {
        return false;
    }
    text = options_help(g, NULL);
    fputs(text, stdout);
    *code = strcmp(g->name, "boot-opts") && strcmp(g->name, "smp-opts");
    return true;
}

bool lists_answer(const ProgramName *name, const CmdLine *cl, int *code)
{
    for (unsigned i = 0; i < cl->args->len; i++) {
        const CmdArg *a = g_ptr_array_index(cl->args, i);
        bool known = false;

        for (unsigned k = 0; k < G_N_ELEMENTS(askers); k++) {
            if (!strcmp(a->opt->name, askers[k].option)) {
                known = true;
                if (askers[k].fn(name, a, code)) {
                    return true;
                }
            }
        }
        if (!known && keys_help(a, code)) {
            return true;
        }
        if (!strcmp(a->opt->name, "L") && !strcmp(a->text, "help")) {
            g_autofree char *folders = firmware_folders(cl);

            fputs(folders, stdout);
            return true;
        }
    }
    return false;
}
