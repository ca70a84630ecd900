/* SPDX-License-Identifier: MIT */
/*
 * Two walls, with a real kernel: KERNEL INITRD [instructions] [saves] [processors] [first seed] [command] [overlay]
 *
 * Under instruction-driven time (a) two runs of the same boot have the same
 * digest after so many instructions; (b) a run that is saved on the way,
 * restored in a new process and continued has the digest of the run that was
 * saved at the same count and went on.  One run is saved at all the counts and goes on after each; a process for each save
 * restores it and runs to the end, and one more process runs there from the start without a stop.
 * With a command (base64, the initrd runs it) there are a network and a disk, a qcow2 overlay: a save takes a copy of that along.
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

static const char *kernel, *initrd, *command, *overlay;
static unsigned cpus = 1;
static int64_t insns = 300000000;
static char *dir;
static Loop *loop;

static G_GNUC_NORETURN void die(Error *err)
{
    fprintf(stderr, "%s\n", error_message(err));
    exit(1);
}

static void add_devices(Machine *m)
{
    static const char *const blk[] = { "driver", "virtio-blk-pci", "drive", "d0", NULL }, *const nic[] = { "driver", "virtio-net-pci", "netdev", "n0", NULL };
    static const char net[] = "{\"type\": \"user\", \"id\": \"n0\"}";
    static const DriveBoard board = { .kind = DRIVE_VIRTIO };
    g_autofree char *text = g_strdup_printf("if=none,id=d0,format=qcow2,file=%s", overlay);
    Error *err = NULL;
    Json *opts = json_parse(net, strlen(net), &err);

    if (!opts || !drive_add(m->session, text, &board, false, &err) || !netdev_add(m->session, opts, &err) || !machine_add_device(m, blk, &err) || !machine_add_device(m, nic, &err)) {
        die(err);
    }
    json_unref(opts);
}

static Machine *boot(void)
{
    static const char *const props[] = { "gic-version", "3", NULL };
    g_autofree char *append = g_strdup_printf("console=ttyAMA0 quiet%s%s", command ? " guestcmd=" : "", command ? command : "");
    MachineConfig c = {
        .accel = "tcg", .cpu = "max", .smp = { .cpus = cpus }, .ram_size = 512 << 20, .kernel = kernel, .initrd = initrd,
        .append = append, .props = props, .clock = CLOCK_ICOUNT, .icount_shift = 0, .have_seed = true, .seed = 11,
    };
    Error *err = NULL;
    Machine *m;

    m = machine_open(session_new(), machine_type_find("aarch64", "virt", NULL), &c, &err);
    if (!m) {
        die(err);
    }
    if (command) {
        add_devices(m);
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

/* The whole machine's digest, then that of each part, a line each. */
static char *describe(Machine *m)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "%016" PRIx64 " machine\n", machine_digest(m, true));
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = g_ptr_array_index(m->devices, i);

        g_string_append_printf(out, "%016" PRIx64 " %s\n", device_digest(dev), dev->path);
    }
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        g_string_append_printf(out, "%016" PRIx64 " cpu%u\n", state_digest(machine_cpu(m, i)->ops->state, machine_cpu(m, i)), i);
    }
    return g_string_free(out, FALSE);
}

/* ---- the other process: from the start or from a save to the end ---- */

static int follow(const char *save)
{
    Machine *m = boot();
    g_autofree char *begin = NULL, *last = NULL;
    Error *err = NULL;

    if (*save && !machine_restore(m, save, &err)) {
        die(err);
    }
    begin = describe(m);
    run_to(m, insns);
    last = describe(m);
    printf("%s\f%s", begin, last);
    end(m);
    return 0;
}

typedef struct Follower {
    int64_t at;
    char *save, *disk;
    char *begin;                /* what we were at the save */
    FILE *out;
    char *said_begin, *said_end;
} Follower;

static GQueue *followers;       /* in the order of starting */
static unsigned heard;

static void hear(Follower *f)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char line[512], *cut;
    int status;

    while (fgets(line, sizeof(line), f->out)) {
        g_string_append(text, line);
    }
    status = pclose(f->out);
    cut = strchr(text->str, '\f');
    if (status || !cut) {
        fprintf(stderr, "the process from count %lld ended with %d\n", (long long)f->at, status);
        exit(1);
    }
    *cut = 0;
    f->said_begin = g_strdup(text->str);
    f->said_end = g_strdup(cut + 1);
    if (f->save) {
        g_remove(f->save);
    }
    if (f->disk) {
        g_remove(f->disk);
    }
}

/* As many at a time as the host has processors. */
static void start(Follower *f)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *line = g_strdup_printf("exec '%s' --follow '%s' '%s' '%s' %lld %u '%s' '%s'", self, f->save ? f->save : "", kernel, initrd,
        (long long)insns, cpus, command ? command : "", f->disk ? f->disk : "");

    if (g_queue_get_length(followers) - heard >= g_get_num_processors()) {
        hear(g_queue_peek_nth(followers, heard++));
    }
    f->out = popen(line, "r");
    g_queue_push_tail(followers, f);
}

static char *copy_of_disk(unsigned n)
{
    g_autofree char *data = NULL;
    char *path = g_strdup_printf("%s/disk-%u", dir, n);
    gsize len;

    if (!g_file_get_contents(overlay, &data, &len, NULL) || !g_file_set_contents(path, data, (gssize)len, NULL)) {
        fprintf(stderr, "cannot copy %s\n", overlay);
        exit(1);
    }
    return path;
}

static void save_here(Machine *m, int64_t at, unsigned n)
{
    Follower *f = g_new0(Follower, 1);
    Error *err = NULL;

    f->at = at;
    f->begin = describe(m);
    f->save = g_strdup_printf("%s/save-%u", dir, n);
    if (!machine_save(m, f->save, &err)) {
        die(err);
    }
    if (command) {
        if (blk_flush_all(m->session)) {
            fprintf(stderr, "the disk cannot be flushed\n");
            exit(1);
        }
        f->disk = copy_of_disk(n);
    }
    start(f);
}

/* ---- what is compared ---- */

static bool same(const char *what, const char *a, const char *b)
{
    printf("%-40s %.16s %.16s %s\n", what, a, b, !strcmp(a, b) ? "equal" : "DIFFERENT");
    if (strcmp(a, b)) {
        g_auto(GStrv) x = g_strsplit(a, "\n", -1), y = g_strsplit(b, "\n", -1);

        for (unsigned i = 0; x[i] && y[i]; i++) {
            if (strcmp(x[i], y[i])) {
                printf("  differs: %s\n", x[i] + 17);
            }
        }
    }
    fflush(stdout);
    return !strcmp(a, b);
}

static bool look(Follower *f, const char *last)
{
    g_autofree char *what = g_strdup_printf(f->save ? "saved at %lld" : "at reset", (long long)f->at);
    bool ok = same(what, f->begin, f->said_begin);

    ok &= same(f->save ? "  and run on" : "  and run without a stop", last, f->said_end);
    g_free(f->save);
    g_free(f->disk);
    g_free(f->begin);
    g_free(f->said_begin);
    g_free(f->said_end);
    g_free(f);
    return ok;
}

static int compare_counts(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* One run that is saved at these counts; `fresh`: and a process that begins where it does and never stops. */
static bool lead(const int64_t *counts, unsigned n, bool fresh)
{
    g_autofree char *last = NULL;
    bool ok = true;
    Machine *m;
    Follower *f;

    followers = g_queue_new();
    heard = 0;
    m = boot();
    if (fresh) {
        f = g_new0(Follower, 1);
        f->disk = command ? copy_of_disk(n) : NULL;
        f->begin = describe(m);
        start(f);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!i || counts[i] != counts[i - 1]) {
            run_to(m, counts[i]);
            save_here(m, counts[i], i);
        }
    }
    run_to(m, insns);
    last = describe(m);
    end(m);
    while (heard < g_queue_get_length(followers)) {
        hear(g_queue_peek_nth(followers, heard++));
    }
    while ((f = g_queue_pop_head(followers))) {
        ok &= look(f, last);
    }
    g_queue_free(followers);
    return ok;
}

/* With several processors a stop ends the turn of each, and the run goes on in another order: there each save has a run of its own. */
static bool all(unsigned saves, guint32 seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autofree int64_t *counts = g_new(int64_t, saves + 1);
    bool ok = true;

    for (unsigned i = 0; i < saves; i++) {
        counts[i] = g_rand_int_range(rand, 1, (gint32)MIN(insns, INT32_MAX));
    }
    qsort(counts, saves, sizeof(*counts), compare_counts);
    if (cpus == 1) {
        return lead(counts, saves, true);
    }
    ok = lead(counts, 0, true);
    for (unsigned i = 0; i < saves; i++) {
        ok &= lead(counts + i, 1, false);
    }
    return ok;
}

int main(int argc, char **argv)
{
    bool ok;

    loop = loop_new_glib("main", NULL);
    if (argc == 9 && !strcmp(argv[1], "--follow")) {
        kernel = argv[3];
        initrd = argv[4];
        insns = atoll(argv[5]);
        cpus = (unsigned)atoi(argv[6]);
        command = *argv[7] ? argv[7] : NULL;
        overlay = argv[8];
        return follow(argv[2]);
    }
    if (argc < 3 || argc == 8) {
        fprintf(stderr, "usage: %s KERNEL INITRD [instructions] [saves] [processors] [first seed] [command overlay]\n", argv[0]);
        return 2;
    }
    kernel = argv[1];
    initrd = argv[2];
    insns = argc > 3 ? atoll(argv[3]) : insns;
    cpus = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
    command = argc > 8 ? argv[7] : NULL;
    overlay = argc > 8 ? argv[8] : NULL;
    dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    ok = all(argc > 4 ? (unsigned)atoi(argv[4]) : 2, argc > 6 ? (guint32)atoi(argv[6]) : 1);
    g_rmdir(dir);
    g_free(dir);
    loop_free(loop);
    return ok ? 0 : 1;
}
