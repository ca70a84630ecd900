/* SPDX-License-Identifier: MIT */
#include "system/firmware.h"

#include <string.h>
#include <unistd.h>

static const char *const packaged[] = {
    "/usr/share/rhea", "/usr/share/qemu", "/usr/share/qemu-efi-aarch64", "/usr/share/AAVMF", "/usr/share/OVMF", "/usr/share/seabios",
    "/usr/lib/u-boot/qemu_arm64", "/usr/lib/riscv64-linux-gnu/opensbi/generic",
};

static char *in_folder(const char *folder, const char *name)
{
    char *path = g_build_filename(folder, name, NULL);

    return access(path, R_OK) ? (g_free(path), NULL) : path;
}

char *firmware_find(const CmdLine *cl, const char *name)
{
    char *path = NULL;

    if (!access(name, R_OK) || strchr(name, '/')) {
        return g_strdup(name);
    }
    for (unsigned i = 0; !path && i < cl->args->len; i++) {
        const CmdArg *a = g_ptr_array_index(cl->args, i);

        path = !strcmp(a->opt->name, "L") ? in_folder(a->text, name) : NULL;
    }
    for (unsigned i = 0; !path && i < G_N_ELEMENTS(packaged); i++) {
        path = in_folder(packaged[i], name);
    }
    return path ? path : g_strdup(name);
}

char *firmware_default(const CmdLine *cl, const char *const *names)
{
    for (; *names; names++) {
        g_autofree char *path = firmware_find(cl, *names);

        if (strchr(path, '/') && !access(path, R_OK)) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}

char *firmware_folders(const CmdLine *cl)
{
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < cl->args->len; i++) {
        const CmdArg *a = g_ptr_array_index(cl->args, i);

        if (!strcmp(a->opt->name, "L") && strcmp(a->text, "help")) {
            g_string_append_printf(out, "%s\n", a->text);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(packaged); i++) {
        g_string_append_printf(out, "%s\n", packaged[i]);
    }
    return g_string_free(out, FALSE);
}
