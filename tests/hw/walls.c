/* SPDX-License-Identifier: MIT */
/*
 * Two walls, with a real kernel: KERNEL INITRD [instructions] [saves] [processors] [first seed] [command]
 *
 * Under instruction-driven time (a) two runs of the same boot have the same
 * digest after so many instructions; (b) a run that is saved on the way,
 * restored in a new machine and continued has the digest of the run that was
 * saved at the same count and went on.  With a command (base64, the initrd runs it) there are a disk and a network: each
 * machine has its own copy of the image, and a save takes the image along.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/drive.h"
#include "hw/core/machine.h"
#include "io/loop.h"
#include "io/session.h"
#include "net/net.h"
#include "util/json.h"

enum { DISK = 16 << 20 };

static const char *kernel, *initrd, *command;
static unsigned cpus = 1;
static char *dir;
static Loop *loop;

static G_GNUC_NORETURN void die(Error *err)
{
    fprintf(stderr, "%s\n", error_message(err));
    exit(1);
}

static char *disk_of(char which)
{
    return g_strdup_printf("%s/disk-%c", dir, which);
}

static void disk_make(char which)
{
    g_autofree char *path = disk_of(which), *data = g_malloc(DISK);

    for (unsigned i = 0; i < DISK; i++) {
        data[i] = (char)(i * 2654435761u >> 24);
    }
    g_file_set_contents(path, data, DISK, NULL);
}

static void disk_copy(char from, char to)
{
    g_autofree char *a = disk_of(from), *b = disk_of(to), *data = NULL;
    gsize len;
    FILE *f = fopen(b, "r+");                       /* the other machine has it open */

    if (!f || !g_file_get_contents(a, &data, &len, NULL) || fwrite(data, len, 1, f) != 1 || fclose(f)) {
        fprintf(stderr, "cannot copy %s\n", a);
        exit(1);
    }
}

static void add_devices(Machine *m, char which)
{
    static const char *const blk[] = { "driver", "virtio-blk-pci", "drive", "d0", NULL }, *const nic[] = { "driver", "virtio-net-pci", "netdev", "n0", NULL };
    static const char net[] = "{\"type\": \"user\", \"id\": \"n0\"}";
    static const DriveBoard board = { .kind = DRIVE_VIRTIO };
    g_autofree char *path = disk_of(which), *text = g_strdup_printf("if=none,id=d0,format=raw,file=%s", path);
    Error *err = NULL;
    Json *opts = json_parse(net, strlen(net), &err);

    if (!opts || !drive_add(m->session, text, &board, false, &err) || !netdev_add(m->session, opts, &err) || !machine_add_device(m, blk, &err) || !machine_add_device(m, nic, &err)) {
        die(err);
    }
    json_unref(opts);
}

/* Machines 'a' and 'b', each with a session of its own. */
static Machine *boot(char which)
{
    static const char *const props[] = { "gic-version", "3", NULL };
    g_autofree char *append = g_strdup_printf("console=ttyAMA0 quiet%s%s", command ? " guestcmd=" : "", command ? command : "");
    MachineConfig c = {
        .accel = "tcg", .cpu = "max", .smp = { .cpus = cpus }, .ram_size = 512 << 20, .kernel = kernel, .initrd = initrd,
        .append = append, .props = props, .clock = CLOCK_ICOUNT, .icount_shift = 0, .have_seed = true, .seed = 11,
    };
    Error *err = NULL;
    Machine *m;

    if (command) {
        disk_make(which);
    }
    m = machine_open(session_new(), machine_type_find("aarch64", "virt", NULL), &c, &err);
    if (!m) {
        die(err);
    }
    if (command) {
        add_devices(m, which);
    }
    if (!machine_ready(m, &err)) {
        die(err);
    }
    return m;
}

static void end(Machine *m)
{
    Session *s = m->session;

    machine_close(m);
    session_free(s);
}

static void run_to(Machine *m, int64_t when)
{
    machine_stop_at(m, when);
    machine_run(m);
    while (machine_is_running(m)) {
        if (!machine_poll(m) && !loop_step(loop, false)) {
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

static bool runs_equal(int64_t insns)
{
    Machine *a = boot('a'), *b = boot('b');
    bool ok = same("reset", machine_digest(a, true), machine_digest(b, true));

    run_to(a, insns);
    run_to(b, insns);
    ok &= same("two runs", machine_digest(a, true), machine_digest(b, true));
    if (!ok) {
        name_differences(a, b);
    }
    end(a);
    end(b);
    return ok;
}

static bool save_equal(int64_t insns, int64_t at)
{
    g_autofree char *what = g_strdup_printf("saved at %lld", (long long)at), *path = g_build_filename(dir, "save", NULL);
    Machine *a = boot('a'), *b;
    Error *err = NULL;
    bool ok;

    run_to(a, at);
    b = boot('b');
    if (!machine_save(a, path, &err)) {
        die(err);
    }
    if (command) {
        disk_copy('a', 'b');
    }
    if (!machine_restore(b, path, &err)) {
        die(err);
    }
    ok = same(what, machine_digest(a, true), machine_digest(b, true));
    run_to(a, insns);
    run_to(b, insns);
    ok &= same("  and run on", machine_digest(a, true), machine_digest(b, true));
    if (!ok) {
        name_differences(a, b);
    }
    end(a);
    end(b);
    g_remove(path);
    return ok;
}

int main(int argc, char **argv)
{
    int64_t insns = argc > 3 ? atoll(argv[3]) : 300000000;
    int saves = argc > 4 ? atoi(argv[4]) : 2;
    g_autoptr(GRand) rand = g_rand_new_with_seed(argc > 6 ? (guint32)atoi(argv[6]) : 1);
    bool ok;

    if (argc < 3) {
        fprintf(stderr, "usage: %s KERNEL INITRD [instructions] [saves] [processors] [first seed] [command]\n", argv[0]);
        return 2;
    }
    dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    loop = loop_new_glib("main", NULL);
    kernel = argv[1];
    initrd = argv[2];
    cpus = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
    command = argc > 7 ? argv[7] : NULL;
    ok = runs_equal(insns);
    for (int i = 0; i < saves && ok; i++) {
        ok = save_equal(insns, g_rand_int_range(rand, 1, (gint32)MIN(insns, INT32_MAX)));
    }
    for (char which = 'a'; which <= 'b'; which++) {
        g_autofree char *path = disk_of(which);

        g_remove(path);
    }
    g_rmdir(dir);
    g_free(dir);
    loop_free(loop);
    return ok ? 0 : 1;
}
