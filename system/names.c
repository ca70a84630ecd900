/* SPDX-License-Identifier: MIT */
/* What the program is called decides the default guest and how it presents itself. */
#include "system/cmdline.h"

#include <string.h>

#ifndef RHEA_VERSION
#error "meson passes RHEA_VERSION"
#endif

/* The number is a promise: the interface of the peer's release that we keep. */
static const char peer_version[] = "8.2.0";

static const char *const arches[] = { "x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32" };

static const char *arch_of(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(arches); i++) {
        if (!strcmp(name, arches[i])) {
            return arches[i];
        }
    }
    return NULL;
}

ProgramName *program_name_new(const char *argv0)
{
    ProgramName *p = g_new0(ProgramName, 1);

    p->base = g_path_get_basename(argv0);
    if (g_str_has_prefix(p->base, "qemu-system-")) {
        p->arch = arch_of(p->base + strlen("qemu-system-"));
        p->peer = true;
    } else if (g_str_has_prefix(p->base, "rhea-system-")) {
        p->arch = arch_of(p->base + strlen("rhea-system-"));
    } else if (!strcmp(p->base, "kvm") || !strcmp(p->base, "qemu-kvm")) {
        p->arch = "x86_64";
        p->peer = true;
    }
    return p;
}

void program_name_free(ProgramName *p)
{
    g_free(p->base);
    g_free(p);
}

const char *version_number(void)
{
    return peer_version;
}

const char *version_package(void)
{
    return "rhea-" RHEA_VERSION;
}

char *version_text(const ProgramName *p)
{
    if (!p->peer) {
        return g_strdup_printf("Rhea " RHEA_VERSION ", speaking the interface of QEMU %s\n", peer_version);
    }
    return g_strdup_printf("QEMU emulator version %s (%s)\nRhea: MIT licence, see LICENSE\n", peer_version, version_package());
}
