/* SPDX-License-Identifier: MIT */
/*
 * Requests of the host fail at each point of a workload, for every format that is written.
 *
 *   once     one request fails, of any kind
 *   dead     from one request on all fail, to the close (the disk is gone, the server has died)
 *   full     from one request on, for a while, those that need room fail
 *
 * Whatever fails, requests say so or succeed; what is read in between is what
 * was written; a disk that has room again is written again; the image opens
 * afterwards and has no corruption; and each sector holds what was last
 * flushed with success or something that was written after.
 *
 * usage: test-errors [SEEDS [FIRST-SEED [STEP [PEER [SHAPE]]]]]; a quick run takes every STEPth point only.
 * Each PEERth image is shown to another program, where one is installed: it
 * must find it sound, and read the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/image.h"
#include "io/object.h"
#include "tests/block/faults.h"
#include "tests/block/images.h"

enum { DISK = 2304 << 10, WORKERS = 3, PART = DISK / WORKERS, WINDOW = 160 << 10, SECTOR = 512, IN_WINDOW = WINDOW / SECTOR, SECTORS = WORKERS * IN_WINDOW, OPS = 20, BELOW = 251 };

static const char *const shapes[] = {
    "raw", "qcow2 cluster_size=512", "qcow2 cluster_size=4096 refcount_bits=64", "qcow2 cluster_size=65536", "qcow2 compat=0.10 cluster_size=4096", "qcow2 cluster_size=16384 extended_l2=on",
    "qcow2 cluster_size=4096 data_file=data", "qcow2 cluster_size=4096 backed", "qcow2 encrypt.format=luks encrypt.key-secret=key encrypt.iter-time=1",
    "qed cluster_size=4096 table_size=2", "qed cluster_size=4096 table_size=2 backed", "qcow", "qcow backed", "vdi", "parallels cluster_size=65536", "parallels cluster_size=12288",
    "vpc force_size=on", "vpc force_size=on subformat=fixed", "vpc child backed", "vhdx block_size=1048576", "vhdx block_size=1048576 child backed", "vmdk", "vmdk zeroed_grain=on", "vmdk backed", "vmdk subformat=streamOptimized",
    "vmdk subformat=monolithicFlat", "vmdk subformat=twoGbMaxExtentSparse", "vmdk subformat=twoGbMaxExtentFlat", "luks key-secret=key iter-time=1",
};

/* ---- what each sector may hold: sets of bytes ---- */

static ByteSet now[SECTORS];                /* read through the same handle */
static ByteSet on_disk[SECTORS];            /* after the end */
static ByteSet (*flushing[WORKERS])[SECTORS];       /* of flushes under way: what may be there when they are done */

/* v may be there from now on. */
static void may_hold(unsigned first, unsigned n, uint8_t v)
{
    for (unsigned i = first; i < first + n; i++) {
        set_add(&now[i], v);
        set_add(&on_disk[i], v);
        for (unsigned w = 0; w < WORKERS; w++) {
            if (flushing[w]) {
                set_add(&(*flushing[w])[i], v);
            }
        }
    }
}

static void holds(unsigned first, unsigned n, uint8_t v)
{
    for (unsigned i = first; i < first + n; i++) {
        now[i] = (ByteSet){};
        set_add(&now[i], v);
    }
}

/* ---- the workload ---- */

static Loop *loop;
static Session *session;
static Blk *disk;
static const char *shape, *format, *secret, *data_file, *backing;
static uint8_t initial;
static unsigned running, snapshots, refused;
static int allowed_error;
static uint8_t stamp;
static GRand *rnd;

/* By the disk; how often it refused is counted. */
static bool done(int r, const char *what)
{
    refused += r < 0;
    return told(r, allowed_error, what);
}

static uint64_t place(unsigned sector)
{
    return (uint64_t)(sector / IN_WINDOW) * PART + sector % IN_WINDOW * SECTOR;
}

static void do_write(unsigned first, unsigned n, unsigned flags)
{
    uint8_t *buf = g_malloc(n * SECTOR), v = ++stamp;

    memset(buf, v, n * SECTOR);
    may_hold(first, n, v);
    if (done(blk_write(disk, place(first), buf, n * SECTOR, flags), "write")) {
        holds(first, n, v);
        if (flags & BLK_FUA) {
            for (unsigned i = first; i < first + n; i++) {
                on_disk[i] = now[i];
            }
        }
    }
    g_free(buf);
}

static void do_zero(unsigned first, unsigned n, bool discard)
{
    may_hold(first, n, 0);
    if (discard) {
        may_hold(first, n, initial);
        done(blk_discard(disk, place(first), n * SECTOR), "discard");
    } else if (done(blk_zeroes(disk, place(first), n * SECTOR, g_rand_boolean(rnd) ? BLK_MAY_UNMAP : 0), "zeroes")) {
        holds(first, n, 0);
    }
}

static void do_flush(unsigned me)
{
    ByteSet (*at)[SECTORS] = g_memdup2(now, sizeof(now));

    flushing[me] = at;
    if (done(blk_flush(disk), "flush")) {
        for (unsigned i = 0; i < SECTORS; i++) {
            for (unsigned k = 0; k < 4; k++) {
                on_disk[i].bits[k] &= (*at)[i].bits[k];
            }
        }
    }
    flushing[me] = NULL;
    g_free(at);
}

static void do_read(unsigned first, unsigned n)
{
    uint8_t *buf = g_malloc(n * SECTOR);

    if (done(blk_read(disk, place(first), buf, n * SECTOR, 0), "read")) {
        for (unsigned i = 0; i < n; i++) {
            if (!set_has(&now[first + i], buf[i * SECTOR]) || memcmp(buf + i * SECTOR, buf + i * SECTOR + 1, SECTOR - 1)) {
                wrong("sector %u reads as %u", first + i, buf[i * SECTOR]);
                break;
            }
        }
    }
    g_free(buf);
}

static void do_snapshot(void)
{
    const BlkImageOps *ops = blk_node(disk)->drv->image;
    g_autoptr(Error) err = NULL;

    if (!ops || !ops->snapshot_create) {
        return;
    }
    if (snapshots) {
        snapshots -= ops->snapshot_delete(blk_node(disk), "s", &err);
    } else {
        snapshots += ops->snapshot_create(blk_node(disk), &(BlkSnapshot){ .name = (char *)"s" }, &err);
    }
}

static void worker(void *opaque)
{
    unsigned me = GPOINTER_TO_UINT(opaque);

    for (unsigned i = 0; i < OPS; i++) {
        unsigned first = (unsigned)g_rand_int_range(rnd, 0, IN_WINDOW), n = 1 + (unsigned)g_rand_int_range(rnd, 0, g_rand_boolean(rnd) ? 8 : 100);
        int what = g_rand_int_range(rnd, 0, 20);

        n = MIN(n, IN_WINDOW - first);
        first += me * IN_WINDOW;
        if (what < 9) {
            do_write(first, n, what ? 0 : BLK_FUA);
        } else if (what < 12) {
            do_zero(first, n, what == 11);
        } else if (what < 15) {
            do_read(first, n);
        } else if (what < 19 || me) {
            do_flush(me);
        } else {
            do_snapshot();
        }
    }
    running--;
}

/* ---- the image ---- */

static Session *new_session(void)
{
    Session *s = session_new();

    if (*secret && !session_object_parse(s, "secret,id=key,data=abc", NULL)) {
        session_free(s);
        return NULL;
    }
    return s;
}

static Blk *open_disk(Session *s, unsigned flags, Error **errp)
{
    g_autofree char *text = g_strdup_printf("{\"driver\": \"%s\"%s%s%s, \"file\": {\"driver\": \"faulty\", \"filename\": \"image\"}}", format, secret, data_file, backing);
    unsigned perm = BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE : 0);

    return blk_open(s, NULL, json_parse(text, strlen(text), NULL), flags, perm, BLK_PERM_ALL, errp);
}

static void make_below(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "below", NULL), *bytes = g_malloc(DISK);

    memset(bytes, BELOW, DISK);
    g_assert_true(g_file_set_contents(path, bytes, DISK, NULL));
}

static void empty(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        unlink(path);
    }
    g_dir_close(d);
    rmdir(dir);
}

/* What was never written to such a disk is noise. */
static void write_zeroes(void)
{
    disk = open_disk(session, BLK_O_RDWR, NULL);
    g_assert_cmpint(blk_zeroes(disk, 0, DISK, 0), ==, 0);
    blk_free(disk);
}

/* False: not in this build. */
static bool make_image(void)
{
    g_auto(GStrv) parts = g_strsplit(shape, " ", 2);
    g_autofree char *dir = g_dir_make_tmp("errors-XXXXXX", NULL), *path = g_build_filename(dir, "image", NULL), *text = g_strdup(parts[1] ? parts[1] : "");
    g_autofree char *data = g_build_filename(dir, "data", NULL), *parent = g_build_filename(dir, "parent", NULL);
    g_autoptr(Json) o = NULL;
    bool child = strstr(shape, " child");
    Error *err = NULL;

    format = g_intern_string(parts[0]);
    secret = strstr(shape, " key-secret") ? ", \"key-secret\": \"key\"" : strstr(shape, "encrypt.") ? ", \"encrypt.key-secret\": \"key\"" : "";
    data_file = strstr(shape, "data_file") ? ", \"data-file\": {\"driver\": \"faulty\", \"filename\": \"data\"}" : "";
    backing = strstr(shape, "backed") ? ", \"backing\": {\"driver\": \"raw\", \"file\": {\"driver\": \"faulty\", \"filename\": \"below\"}}" : "";
    initial = *backing ? BELOW : 0;
    if (g_str_has_suffix(text, "backed")) {
        text[strlen(text) - strlen("backed")] = 0;
    }
    if (child) {                        /* of a parent of its own format, which the open below replaces */
        text[strlen(text) - strlen("child ")] = 0;
    }
    o = image_options(g_strchomp(text), DISK);
    if (json_get(o, "compat")) {
        json_set_string(o, "compat", "0.10");
    }
    if (*data_file) {
        json_set_string(o, "data_file", data);
    }
    session = new_session();
    if (!session) {
        empty(dir);
        return false;
    }
    if (child) {
        g_autoptr(Json) options = image_options(strcmp(format, "vpc") ? "" : "force_size=on", DISK);

        if (!blk_create(session, blk_driver_find(format), parent, options, &err)) {
            g_error("%s: %s", shape, error_message(err));
        }
        json_set_string(o, "backing_file", parent);
        json_set_string(o, "backing_fmt", format);
    }
    if (!blk_create(session, blk_driver_find(format), path, o, &err)) {
        g_error("%s: %s", shape, error_message(err));
    }
    unlink(parent);
    make_below(dir);
    faults_load(dir);
    empty(dir);
    faults_set(NULL);
    if (!strcmp(format, "luks")) {
        write_zeroes();
    }
    session_free(session);
    faults_save();
    return true;
}

/* ---- a run ---- */

static void forget(void)
{
    for (unsigned i = 0; i < SECTORS; i++) {
        now[i] = on_disk[i] = (ByteSet){};
        set_add(&now[i], initial);
        set_add(&on_disk[i], initial);
    }
    stamp = 0;
    snapshots = 0;
}

/* Returns how many requests reached the files. */
static unsigned run(const Fault *f, unsigned seed, bool still)
{
    unsigned points;

    rnd = g_rand_new_with_seed(seed);
    forget();
    faults_reset();
    faults_set(NULL);
    session = new_session();
    disk = open_disk(session, BLK_O_RDWR | BLK_O_UNMAP, NULL);
    g_assert_nonnull(disk);
    allowed_error = f ? f->error : 0;
    faults_wait(rnd);
    faults_set(f);
    running = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        fiber_start(worker, GUINT_TO_POINTER(i));
    }
    while (running) {
        loop_step(loop, true);
    }
    faults_wait(NULL);
    if (f && !still) {
        faults_set(NULL);
        do_read(0, IN_WINDOW);
        do_read(IN_WINDOW, IN_WINDOW);
        do_read(2 * IN_WINDOW, IN_WINDOW);
    }
    if (f && f->full && !still) {       /* there is room again */
        const unsigned before = refused;

        do_write(20, 60, 0);
        do_zero(200, 10, false);
        do_write(2 * IN_WINDOW + 250, 60, BLK_FUA);
        do_flush(0);
        if (refused != before) {
            wrong("with room again the disk cannot be written");
        }
    }
    blk_free(disk);
    session_free(session);
    points = faults_set(NULL);
    g_rand_free(rnd);
    return points;
}

static void report_line(void *opaque, const char *line)
{
    if (strstr(line, "OFLAG_COPIED")) {
        ++*(unsigned *)opaque;          /* a flag that is behind: docs/block-crash.md */
    } else if (!strstr(line, "eaked")) {
        wrong("check: %s", line);
    }
}

static void check_bytes(const uint8_t *all)
{
    for (unsigned i = 0; i < SECTORS; i++) {
        const uint8_t *p = all + place(i);

        if (!set_has(&on_disk[i], *p) || memcmp(p, p + 1, SECTOR - 1)) {
            wrong("sector %u holds %u", i, *p);
            return;
        }
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        const uint8_t *p = all + w * PART + WINDOW;

        if (*p != initial || memcmp(p, p + 1, PART - WINDOW - 1)) {
            wrong("what nobody wrote is %u", *p);
            return;
        }
    }
}

static void check_sectors(Blk *b)
{
    g_autofree uint8_t *all = g_malloc(DISK);
    int r = blk_read(b, 0, all, DISK, 0);

    if (r < 0) {
        wrong("cannot be read: %s", g_strerror(-r));
    } else {
        check_bytes(all);
    }
}

/* ---- another program's word ---- */

static unsigned peer_every, peer_turn, peer_asked;

static int peer(const char *dir, const char *const *words)
{
    g_autofree char *out = NULL, *text = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    int status = -1;

    g_ptr_array_add(argv, (char *)"qemu-img");
    for (unsigned i = 0; words[i]; i++) {
        g_ptr_array_add(argv, (char *)words[i]);
    }
    g_ptr_array_add(argv, NULL);
    if (!g_spawn_sync(dir, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &text, &status, NULL)) {
        return -1;
    }
    peer_asked++;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void ask_peer(bool flags_behind)
{
    static const char *const checked[] = { "qcow2", "qed", "vdi", "vmdk", "vhdx", "parallels" };
    g_autofree char *program = g_find_program_in_path("qemu-img"), *dir = NULL, *raw = NULL, *bytes = NULL;
    gsize len;
    int r;

    if (!peer_every || peer_turn++ % peer_every || !program || *secret || *data_file || strstr(shape, " child")) {
        return;
    }
    dir = g_dir_make_tmp("errors-XXXXXX", NULL);
    raw = g_build_filename(dir, "raw", NULL);
    faults_dump(dir);
    for (unsigned i = 0; i < G_N_ELEMENTS(checked) && !flags_behind; i++) {
        r = strcmp(format, checked[i]) ? 0 : peer(dir, (const char *const []){ "check", "-q", "-f", format, "image", NULL });
        if (r != 0 && r != 3 && r != 63) {                  /* clean, leaks, not for this subformat */
            wrong("the other program's check says %d", r);
        }
    }
    r = *backing ? 0 : peer(dir, (const char *const []){ "convert", "-f", format, "-O", "raw", "image", "raw", NULL });
    if (r) {
        wrong("the other program cannot read it: %d", r);
    } else if (!*backing && g_file_get_contents(raw, &bytes, &len, NULL)) {
        if (len < DISK) {
            wrong("the other program reads %zu bytes", len);
        } else {
            check_bytes((const uint8_t *)bytes);
        }
    }
    unlink(raw);
    faults_undump(dir);
}

static void check(void)
{
    Session *s = new_session();
    g_autoptr(Error) err = NULL;
    unsigned behind = 0;
    BlkCheck c = { .report = report_line, .opaque = &behind };
    Blk *b = !strcmp(format, "vhdx") ? open_disk(s, BLK_O_RDWR, &err) : NULL;       /* its log is replayed only so */

    blk_free(b);
    b = err ? NULL : open_disk(s, 0, &err);
    if (!b) {
        wrong("does not open: %s", error_message(err));
        session_free(s);
        return;
    }
    blk_check(b, &c);
    if (c.corruptions - behind || c.check_errors) {
        wrong("%" PRIu64 " corruptions, %" PRIu64 " errors", c.corruptions, c.check_errors);
    }
    check_sectors(b);
    blk_free(b);
    ask_peer(behind);
    b = open_disk(s, BLK_O_RDWR, &err);
    if (!b || blk_write(b, 1000, "again", 5, 0) || blk_flush(b)) {
        wrong("cannot be written");
    }
    blk_free(b);
    session_free(s);
}

static const struct {
    const char *name;
    Fault fault;
    bool still;                         /* to the end */
} ways[] = {
    { "once, EIO", { .kinds = FAULT_ALL, .count = 1, .error = EIO } },
    { "once, ENOSPC", { .kinds = FAULT_WRITE | FAULT_ZEROES | FAULT_FLUSH | FAULT_RESIZE, .count = 1, .error = ENOSPC } },
    { "dead", { .kinds = FAULT_ALL, .error = EIO }, true },
    { "read-only", { .kinds = FAULT_ALL & ~(FAULT_READ | FAULT_STATUS), .error = EROFS }, true },
    { "full", { .kinds = FAULT_WRITE | FAULT_ZEROES | FAULT_RESIZE, .count = 60, .error = ENOSPC, .full = true } },
    { "full to the end", { .kinds = FAULT_WRITE | FAULT_ZEROES | FAULT_RESIZE, .error = ENOSPC, .full = true }, true },
};

static unsigned seeds = 1, first_seed = 1, step = 7;

static unsigned all_points(unsigned seed, unsigned way)
{
    Fault f = ways[way].fault;
    unsigned points, tried = 0;

    f.at = -1;
    points = run(&f, seed, true);
    check();
    for (unsigned i = (seed + way) % step; i < points && faults_bad < 5; i += step) {
        int before = faults_bad;

        f.at = (int)i;
        run(&f, seed, ways[way].still);
        check();
        tried++;
        if (faults_bad > before) {
            printf("# %s: that was %s, seed %u, point %u of %u\n", shape, ways[way].name, seed, i, points);
        }
    }
    return tried;
}

/* Every request of an open fails, and all from it on: it says why, or did without. */
static unsigned all_opens(void)
{
    unsigned points = 0, total = 1, asked;

    for (unsigned i = 0; i < 4 * (total + 1); i++) {            /* first without any */
        Fault f = { .kinds = FAULT_ALL, .at = (int)(i / 4) - 1, .count = i & 1, .error = EIO };
        Error *err = NULL;
        Session *s;
        Blk *b;

        faults_reset();
        s = new_session();
        faults_set(&f);
        b = open_disk(s, i & 2 ? BLK_O_RDWR : 0, &err);
        if (!b && !err) {
            wrong("an open fails without a word at point %d", f.at);
        }
        if (b && err) {
            wrong("an open succeeds with an error at point %d: %s", f.at, error_message(err));
        }
        asked = faults_set(NULL);
        total = MAX(total, asked);
        error_free(err);
        blk_free(b);
        session_free(s);
        points++;
    }
    return points;
}

static bool test_shape(void)
{
    unsigned points = 0;

    faults_bad = 0;
    if (!make_image()) {
        return true;
    }
    points = all_opens();
    for (unsigned seed = first_seed; seed < first_seed + seeds; seed++) {
        for (unsigned way = 0; way < G_N_ELEMENTS(ways); way++) {
            points += all_points(seed, way);
        }
    }
    printf("# %s: %u points", shape, points);
    printf(peer_asked ? ", %u questions to the other program\n" : "\n", peer_asked);
    peer_asked = 0;
    return faults_bad == 0;
}

int main(int argc, char **argv)
{
    bool good = true;

    seeds = argc > 1 ? (unsigned)atoi(argv[1]) : seeds;
    first_seed = argc > 2 ? (unsigned)atoi(argv[2]) : first_seed;
    step = argc > 3 ? (unsigned)atoi(argv[3]) : step;
    peer_every = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
    loop = loop_new("errors");
    loop_attach(loop);
    printf("1..%zu\n", G_N_ELEMENTS(shapes));
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        bool ok;

        shape = faults_label = shapes[i];
        ok = argc > 5 && strcmp(argv[5], shape) ? true : test_shape();
        printf("%s %u - %s\n", ok ? "ok" : "not ok", i + 1, shape);
        fflush(stdout);
        good = good && ok;
    }
    faults_clear();
    loop_free(loop);
    return !good;
}
