/* SPDX-License-Identifier: MIT */
/*
 * Two walls, with a real kernel: KERNEL INITRD [instructions] [saves]
 *
 * Under instruction-driven time (a) two runs of the same boot have the same
 * digest after so many instructions; (b) a run that is saved on the way,
 * restored in a new machine and continued has the digest of the run that was
 * saved at the same count and went on.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/core/machine.h"
#include "io/session.h"

static const char *kernel, *initrd;
static unsigned cpus = 1;

static Machine *boot(Session *s)
{
    static const char *const props[] = { "gic-version", "3", NULL };
    MachineConfig c = {
        .accel = "tcg", .cpu = "max", .smp = { .cpus = cpus }, .ram_size = 512 << 20, .kernel = kernel, .initrd = initrd,
        .append = "console=ttyAMA0 quiet", .props = props, .clock = CLOCK_ICOUNT, .icount_shift = 0, .have_seed = true, .seed = 11,
    };
    Error *err = NULL;
    Machine *m = machine_open(s, machine_type_find("aarch64", "virt", NULL), &c, &err);

    if (!m || !machine_ready(m, &err)) {
        fprintf(stderr, "%s\n", error_message(err));
        exit(1);
    }
    return m;
}

static void run_to(Machine *m, int64_t when)
{
    machine_stop_at(m, when);
    machine_run(m);
    while (machine_is_running(m)) {
        if (!machine_poll(m)) {
            g_usleep(500);
        }
    }
    if (clock_now(m->clock) != when) {
        fprintf(stderr, "stopped at %lld, not at %lld\n", (long long)clock_now(m->clock), (long long)when);
        exit(1);
    }
}

static bool same(const char *what, uint64_t a, uint64_t b)
{
    printf("%-40s %016" PRIx64 " %016" PRIx64 " %s\n", what, a, b, a == b ? "equal" : "DIFFERENT");
    fflush(stdout);
    return a == b;
}

static void name_differences(Machine *a, Machine *b)
{
    for (guint i = 0; i < a->devices->len && i < b->devices->len; i++) {
        Device *x = g_ptr_array_index(a->devices, i), *y = g_ptr_array_index(b->devices, i);

        if (device_digest(x) != device_digest(y)) {
            printf("  differs: %s\n", x->path);
        }
    }
    for (unsigned i = 0; i < machine_ncpus(a); i++) {
        if (state_digest(machine_cpu(a, i)->ops->state, machine_cpu(a, i)) != state_digest(machine_cpu(b, i)->ops->state, machine_cpu(b, i))) {
            printf("  differs: cpu%u\n", i);
        }
    }
}

int main(int argc, char **argv)
{
    int64_t insns = argc > 3 ? atoll(argv[3]) : 300000000;
    int saves = argc > 4 ? atoi(argv[4]) : 2;
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL), *path = g_build_filename(dir, "save", NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Session *s = session_new();
    Machine *a, *b;
    bool ok = true;

    if (argc < 3) {
        fprintf(stderr, "usage: %s KERNEL INITRD [instructions] [saves] [processors]\n", argv[0]);
        return 2;
    }
    kernel = argv[1];
    initrd = argv[2];
    cpus = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
    a = boot(s);
    b = boot(s);
    ok &= same("reset", machine_digest(a, true), machine_digest(b, true));
    run_to(a, insns);
    run_to(b, insns);
    ok &= same("two runs", machine_digest(a, true), machine_digest(b, true));
    if (!ok) {
        name_differences(a, b);
    }
    machine_close(a);
    machine_close(b);
    for (int i = 0; i < saves && ok; i++) {
        int64_t at = g_rand_int_range(rand, 1, (gint32)MIN(insns, INT32_MAX));
        g_autofree char *what = g_strdup_printf("saved at %lld", (long long)at);
        Error *err = NULL;

        a = boot(s);
        run_to(a, at);
        b = boot(s);
        if (!machine_save(a, path, &err) || !machine_restore(b, path, &err)) {
            fprintf(stderr, "%s\n", error_message(err));
            return 1;
        }
        ok &= same(what, machine_digest(a, true), machine_digest(b, true));
        run_to(a, insns);
        run_to(b, insns);
        ok &= same("  and run on", machine_digest(a, true), machine_digest(b, true));
        if (!ok) {
            name_differences(a, b);
        }
        machine_close(a);
        machine_close(b);
    }
    g_remove(path);
    g_rmdir(dir);
    session_free(s);
    return ok ? 0 : 1;
}
