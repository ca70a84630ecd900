/* SPDX-License-Identifier: MIT */
/*
 * The power-cut machine (docs/block-crash.md).
 *
 * A workload runs on an image over a disk in memory that logs every write and
 * flush.  Then the power is cut at points of that log: what was flushed is on
 * the disk, of what came after each 512-byte sector is there or not, by chance.
 * The image must open, have no corruption, and every sector of the guest's
 * disk must hold what the last completed flush promised or something newer.
 *
 * usage: test-crash [CUTS [SEED]]
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/image.h"
#include "io/object.h"

enum { SECTOR = 512, DISK = 3 << 20, SECTORS = DISK / SECTOR, WORKERS = 4, OPS = 60, TORN_VARIANTS = 2, LARGE = 256 };

/* ---- a disk in memory with a log ---- */

typedef struct {
    uint64_t off, len;
    uint8_t *data;              /* NULL: zeroes */
    bool flush, resize;
} LogEntry;

typedef struct {
    uint8_t *bytes;
    uint64_t size, room;
    GArray *log;                /* LogEntry; NULL: not logged */
    GRand *rnd;                 /* NULL: never waits */
} MemDisk;

static MemDisk disks[3];            /* the image, what the cut left of it, the backing file */

static const OptKey mem_keys[] = { { "index", OPT_NUMBER, "" }, {} };

static MemDisk *disk_of(BlkNode *n)
{
    return *(MemDisk **)n->state;
}

static void disk_grow(MemDisk *d, uint64_t size)
{
    if (size > d->room) {
        d->bytes = g_realloc(d->bytes, size * 2);
        memset(d->bytes + d->room, 0, size * 2 - d->room);
        d->room = size * 2;
    }
    d->size = MAX(d->size, size);
}

static void log_add(MemDisk *d, LogEntry e)
{
    if (d->log) {
        g_array_append_val(d->log, e);
    }
}

static void maybe_wait(MemDisk *d)
{
    if (d->rnd && g_rand_boolean(d->rnd)) {
        fiber_pause();
    }
}

static bool mem_open(BlkNode *n, Json *o, Error **errp)
{
    *(MemDisk **)n->state = &disks[json_get_u64(o, "index", 0)];
    n->size = disk_of(n)->size;
    return true;
}

static int mem_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    maybe_wait(disk_of(n));
    blk_vec_write(v, disk_of(n)->bytes + off, len);
    return 0;
}

static void grown(BlkNode *n)
{
    __atomic_store_n(&n->size, disk_of(n)->size, __ATOMIC_RELAXED);
}

static int mem_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    MemDisk *d = disk_of(n);
    uint8_t *copy = g_malloc(len);

    maybe_wait(d);
    blk_vec_read(v, copy, len);
    disk_grow(d, off + len);
    memcpy(d->bytes + off, copy, len);
    grown(n);
    log_add(d, (LogEntry){ off, len, copy, false, false });
    if (!d->log) {
        g_free(copy);
    }
    return 0;
}

static int mem_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    MemDisk *d = disk_of(n);

    disk_grow(d, off + len);
    memset(d->bytes + off, 0, len);
    grown(n);
    log_add(d, (LogEntry){ off, len, NULL, false, false });
    return 0;
}

static int mem_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return off + len <= disk_of(n)->size ? mem_zeroes(n, off, len, 0) : 0;
}

static int mem_flush(BlkNode *n)
{
    maybe_wait(disk_of(n));
    log_add(disk_of(n), (LogEntry){ .flush = true });
    return 0;
}

static bool mem_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    MemDisk *d = disk_of(n);

    disk_grow(d, size);
    if (size < d->size) {
        memset(d->bytes + size, 0, d->size - size);
        d->size = size;
    }
    log_add(d, (LogEntry){ .off = size, .resize = true });
    return true;
}

static const BlkDriver memdisk = {
    .name = "test-memdisk", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(MemDisk *), .options = mem_keys, .open = mem_open, .read = mem_read, .write = mem_write,
    .flush = mem_flush, .discard = mem_discard, .zeroes = mem_zeroes, .resize = mem_resize,
};
BLK_DRIVER(memdisk);

/* ---- what each sector may hold ---- */

typedef struct {
    uint32_t stamp;             /* 0: zeroes */
    unsigned seq;               /* of the operation that began it */
} Version;

typedef struct {
    unsigned log;               /* entries of the log when it was done */
    unsigned seq;               /* operations finished before it began */
} Flushed;

static GArray *history[SECTORS];
static GArray *flushes;
static unsigned seq;            /* operations begun */
static unsigned finished_upto;  /* every operation with a smaller number is finished */
static bool running_op[WORKERS * OPS * 2 + 16];

static Loop *loop;
static Session *session;
static Blk *disk;
static int left;
static unsigned amended;                /* times that options changed */
static unsigned last;                   /* number of the snapshot that there is, or 0 */
static GRand *rnd;
/* A format and its options. */
static const char *const shapes[] = {
    "qcow2 cluster_size=4096", "qcow2 cluster_size=65536", "qcow2 compat=0.10 cluster_size=4096", "qcow2 cluster_size=16384 extended_l2=on", "qcow2 cluster_size=512 refcount_bits=64",
    "vdi", "parallels cluster_size=65536", "parallels cluster_size=12288",
    "vpc force_size=on", "vpc force_size=on subformat=fixed", "qed", "qed cluster_size=4096 table_size=1", "qcow", "vmdk", "vmdk zeroed_grain=on",
    "vmdk subformat=streamOptimized", "vhdx block_size=1048576",
    "qcow2 cluster_size=4096 amend", "qcow2 compat=0.10 cluster_size=4096 amend backed",
    "qcow2 cluster_size=4096 backed", "qed cluster_size=4096 table_size=1 backed", "qcow backed", "vmdk backed",
    "vpc child backed", "vhdx block_size=1048576 child backed",
    "luks key-secret=key iter-time=1", "qcow2 encrypt.format=luks encrypt.key-secret=key encrypt.iter-time=1",
};
static const char *format;              /* of the shape that runs */
static bool amending;                   /* its options change meanwhile */
static const char *secret;              /* how that is opened */
static const char *backing;             /* the same for its backing file */
static uint32_t initial;                /* what a sector holds that was never written */
enum { BELOW = 0xbacc };

static void remember(uint64_t sector, uint32_t stamp, unsigned s)
{
    Version v = { stamp, s };

    g_array_append_val(history[sector], v);
}

static unsigned op_begin(void)
{
    running_op[seq] = true;
    return seq++;
}

static void op_end(unsigned s)
{
    running_op[s] = false;
    while (finished_upto < seq && !running_op[finished_upto]) {
        finished_upto++;
    }
}

static void fill(uint8_t *buf, uint64_t sectors, uint32_t stamp)
{
    for (uint64_t i = 0; i < sectors * SECTOR / 4; i++) {
        ((uint32_t *)buf)[i] = stamp;
    }
}

static void do_write(uint64_t first, uint64_t n)
{
    unsigned s = op_begin();
    uint8_t *buf = g_malloc(n * SECTOR);

    fill(buf, n, s + 1);
    for (uint64_t i = 0; i < n; i++) {
        remember(first + i, s + 1, s);
    }
    assert(blk_write(disk, first * SECTOR, buf, n * SECTOR, g_rand_int_range(rnd, 0, 10) ? 0 : BLK_FUA) == 0);
    g_free(buf);
    op_end(s);
}

static void do_zero(uint64_t first, uint64_t n, bool discard)
{
    unsigned s = op_begin();

    for (uint64_t i = 0; i < n; i++) {
        remember(first + i, 0, s);
    }
    if (discard) {
        assert(blk_discard(disk, first * SECTOR, n * SECTOR) == 0);
        /* it may as well have done nothing: what was there stays possible */
        for (uint64_t i = 0; i < n; i++) {
            GArray *h = history[first + i];
            remember(first + i, initial, s);
            for (unsigned k = 0, count = h->len; k + 1 < count; k++) {
                remember(first + i, g_array_index(h, Version, k).stamp, s);
            }
        }
    } else {
        assert(blk_zeroes(disk, first * SECTOR, n * SECTOR, g_rand_boolean(rnd) ? BLK_MAY_UNMAP : 0) == 0);
    }
    op_end(s);
}

static void do_flush(void)
{
    Flushed f = { 0, finished_upto };

    assert(blk_flush(disk) == 0);
    f.log = disks[0].log->len;
    g_array_append_val(flushes, f);
}

static void do_snapshot(unsigned number)
{
    BlkNode *n = blk_node(disk);
    g_autofree char *name = g_strdup_printf("s%u", number);
    BlkSnapshot sn = { .name = name };
    Error *err = NULL;

    if (last && g_rand_boolean(rnd)) {
        g_autofree char *old = g_strdup_printf("s%u", last);
        if (!n->drv->image->snapshot_delete(n, old, &err)) {
            g_error("%s", error_message(err));
        }
        last = 0;
    } else if (!last) {
        assert(n->drv->image->snapshot_create(n, &sn, &err));
        last = number;
    }
}

/* What does not go together is refused, and the image goes on as it was. */
static void do_amend(void)
{
    BlkNode *n = blk_node(disk);
    g_autoptr(Json) o = json_object();
    Error *err = NULL;

    switch (g_rand_int_range(rnd, 0, 4)) {
    case 0:
        json_set_uint(o, "refcount_bits", 8u << g_rand_int_range(rnd, 0, 4));
        break;
    case 1:
        json_set_bool(o, "lazy_refcounts", g_rand_boolean(rnd));
        break;
    case 2:
        json_set_string(o, "compat", "1.1");
        break;
    default:
        json_set_string(o, "compat", "0.10");
        json_set_uint(o, "refcount_bits", 16);
        break;
    }
    amended += n->drv->image->amend(n, o, false, &err);
    error_free(err);
}

/* A worker keeps to its own part, so that the order of its writes to a sector is known. */
static void worker(void *opaque)
{
    unsigned me = GPOINTER_TO_UINT(opaque), part = SECTORS / WORKERS;

    for (int i = 0; i < OPS; i++) {
        uint64_t first = me * part + g_rand_int_range(rnd, 0, part), n = 1 + g_rand_int_range(rnd, 0, g_rand_boolean(rnd) ? 8 : 300);
        int what = g_rand_int_range(rnd, 0, 20);

        n = MIN(n, (me + 1) * part - first);
        if (amending && g_rand_int_range(rnd, 0, 8) == 0) {
            do_amend();
        }
        if (what < 13) {
            do_write(first, n);
        } else if (what < 15) {
            do_zero(first, n, false);
        } else if (what < 16) {
            do_zero(first, n, true);
        } else if (what < 17) {             /* whole clusters and grains, and a new one in their place */
            first -= first % LARGE;
            do_zero(first, MIN(LARGE, (me + 1) * part - first), true);
            do_write(me * part + g_rand_int_range(rnd, 0, part), 1);
        } else if (what < 19 || me || !blk_node(disk)->drv->image || !blk_node(disk)->drv->image->snapshot_create) {
            do_flush();
        } else {
            do_snapshot(i + 1);
        }
        fiber_pause();
    }
    left--;
}

static Blk *open_disk(unsigned index, unsigned flags)
{
    g_autofree char *text = g_strdup_printf("{\"driver\": \"%s\"%s, \"file\": {\"driver\": \"test-memdisk\", \"index\": %u}%s}", format, secret, index, backing);
    Error *err = NULL;
    Blk *b = blk_open(session, NULL, json_parse(text, strlen(text), NULL), flags, BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE : 0), BLK_PERM_ALL, &err);

    if (!b) {
        printf("# does not open: %s\n", error_message(err));
        error_free(err);
    }
    return b;
}

static char *made_of;

/* What was never written to such a disk is noise. */
static void write_zeroes(const char *path)
{
    Json *o = json_object();
    Blk *b;

    json_set_string(o, "driver", format);
    json_set_string(o, "key-secret", "key");
    b = blk_open(session, path, o, BLK_O_RDWR, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, NULL);
    assert(b && blk_zeroes(b, 0, DISK, 0) == 0);
    blk_free(b);
}

/* A format whose images have a backing file or not, for good, asks for one of its own format. */
static char *make_parent(void)
{
    g_autoptr(Json) o = json_object();
    Error *err = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("crash-XXXXXX", &path, NULL);

    close(fd);
    json_set_uint(o, "size", DISK);
    if (!strcmp(format, "vpc")) {
        json_set_bool(o, "force_size", true);
    }
    if (!blk_create(session, blk_driver_find(format), path, o, &err)) {
        g_error("%s", error_message(err));
    }
    return path;
}

static void make_image(const char *shape)
{
    g_auto(GStrv) parts = g_strsplit(shape, " ", -1);
    g_autofree char *path = NULL, *parent = NULL;
    char *bytes;
    gsize len;
    Json *o = json_object();
    Error *err = NULL;
    int fd = g_file_open_tmp("crash-XXXXXX", &path, NULL);

    close(fd);
    json_set_uint(o, "size", DISK);
    g_free(made_of);
    format = made_of = g_strdup(parts[0]);
    secret = strstr(shape, " key-secret") ? ", \"key-secret\": \"key\"" : strstr(shape, "encrypt.") ? ", \"encrypt.key-secret\": \"key\"" : "";
    initial = strstr(shape, " backed") ? BELOW : 0;
    amending = strstr(shape, " amend");
    backing = initial ? ", \"backing\": {\"driver\": \"raw\", \"file\": {\"driver\": \"test-memdisk\", \"index\": 2}}" : "";
    for (char **p = parts + 1; *p; p++) {
        char *eq = strchr(*p, '=');
        if (!eq) {
            continue;                       /* "backed", "child", "amend" */
        }
        *eq = 0;
        if (!strcmp(eq + 1, "on")) {
            json_set_bool(o, *p, true);
        } else if (strcmp(*p, "compat") && g_ascii_isdigit(eq[1])) {
            json_set_uint(o, *p, strtoull(eq + 1, NULL, 10));
        } else {
            json_set_string(o, *p, eq + 1);
        }
    }
    if (strstr(shape, " child")) {
        parent = make_parent();
        json_set_string(o, "backing_file", parent);
        json_set_string(o, "backing_fmt", format);
    }
    if (!blk_create(session, blk_driver_find(format), path, o, &err)) {
        g_error("%s", error_message(err));
    }
    if (parent) {
        unlink(parent);
    }
    json_unref(o);
    if (!strcmp(format, "luks")) {
        write_zeroes(path);
    }
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    unlink(path);
    disks[0] = (MemDisk){ .bytes = (uint8_t *)bytes, .size = len, .room = len, .log = g_array_new(false, true, sizeof(LogEntry)), .rnd = rnd };
}

/* ---- the cut ---- */

static void apply(MemDisk *d, const LogEntry *e, bool torn)
{
    if (e->flush) {
        return;
    }
    if (e->resize) {
        disk_grow(d, e->off);
        return;
    }
    disk_grow(d, e->off + e->len);
    for (uint64_t at = 0; at < e->len;) {
        uint64_t n = MIN(e->len - at, SECTOR - ((e->off + at) & (SECTOR - 1)));

        if (!torn || g_rand_boolean(rnd)) {
            if (e->data) {
                memcpy(d->bytes + e->off + at, e->data + at, n);
            } else {
                memset(d->bytes + e->off + at, 0, n);
            }
        }
        at += n;
    }
}

/* variant 0: nothing since the last flush; 1: everything; else sectors by chance */
static void make_cut(const uint8_t *base, uint64_t base_size, unsigned cut, unsigned variant)
{
    GArray *log = disks[0].log;
    unsigned durable = 0;

    g_free(disks[1].bytes);
    disks[1] = (MemDisk){};
    disk_grow(&disks[1], base_size);
    memcpy(disks[1].bytes, base, base_size);
    for (unsigned i = 0; i < cut; i++) {
        if (g_array_index(log, LogEntry, i).flush) {
            durable = i;
        }
    }
    for (unsigned i = 0; i < cut; i++) {
        bool sure = i < durable || variant == 1;

        if (sure || variant > 1) {
            apply(&disks[1], &g_array_index(log, LogEntry, i), !sure);
        }
    }
}

static bool allowed(uint64_t sector, uint32_t stamp, unsigned promised)
{
    GArray *h = history[sector];
    bool any = false;

    for (unsigned i = h->len; i-- > 0;) {
        const Version *v = &g_array_index(h, Version, i);

        if (v->stamp == stamp) {
            return true;
        }
        if (v->seq < promised && (i == 0 || g_array_index(h, Version, i - 1).seq != v->seq)) {
            any = true;             /* everything older was overwritten before the flush */
            break;
        }
    }
    return !any && stamp == initial;
}

static int check_sectors(Blk *b, unsigned promised)
{
    g_autofree uint8_t *all = g_malloc(DISK);
    int bad = 0;

    if (blk_read(b, 0, all, DISK, 0) < 0) {
        printf("# the disk can not be read\n");
        return 1;
    }
    for (uint64_t s = 0; s < SECTORS; s++) {
        uint32_t *w = (uint32_t *)(all + s * SECTOR);
        bool whole = true;

        for (unsigned i = 1; i < SECTOR / 4; i++) {
            whole = whole && w[i] == w[0];
        }
        if (!whole || !allowed(s, w[0], promised)) {
            bad += 1;
            if (bad < 4) {
                printf("# sector %" PRIu64 " holds %u%s, and flushed were all before %u\n", s, w[0], whole ? "" : " and more", promised);
            }
        }
    }
    return bad;
}

/*
 * While a snapshot comes or goes, "refcount is one" flags and counts change one
 * after the other; a flag that is behind costs a copy, or is fixed with the
 * next snapshot, and loses nothing.
 */
static void print_line(void *opaque, const char *line)
{
    if (strstr(line, "OFLAG_COPIED")) {
        ++*(unsigned *)opaque;
        return;
    }
    if (!strstr(line, "eaked")) {
        printf("# %s\n", line);
    }
}

static bool check_cut(unsigned cut)
{
    unsigned promised = 0;
    unsigned flags_behind = 0;
    BlkCheck c = { .report = print_line, .opaque = &flags_behind };
    Blk *b = !strcmp(format, "vhdx") ? open_disk(1, BLK_O_RDWR) : NULL;     /* its log is replayed only so */
    int bad;

    blk_free(b);
    b = open_disk(1, 0);
    if (!b) {
        return false;
    }
    for (unsigned i = 0; i < flushes->len; i++) {
        Flushed *f = &g_array_index(flushes, Flushed, i);
        promised = f->log <= cut ? MAX(promised, f->seq) : promised;
    }
    blk_check(b, &c);
    bad = check_sectors(b, promised);
    blk_free(b);
    c.corruptions -= flags_behind;
    if (c.corruptions || c.check_errors || bad) {
        printf("# cut at %u of %u: %" PRIu64 " corruptions, %" PRIu64 " errors, %d sectors lost\n", cut, disks[0].log->len, c.corruptions, c.check_errors, bad);
        return false;
    }
    /* and it can be written again, and be closed clean */
    b = open_disk(1, BLK_O_RDWR);
    if (!b || blk_zeroes(b, 0, 64 * SECTOR, 0) || blk_flush(b)) {
        printf("# cut at %u: cannot be written\n", cut);
        blk_free(b);
        return false;
    }
    blk_free(b);
    return true;
}

static void free_log(void)
{
    for (unsigned i = 0; i < disks[0].log->len; i++) {
        g_free(g_array_index(disks[0].log, LogEntry, i).data);
    }
    g_array_unref(disks[0].log);
    g_free(disks[0].bytes);
    g_free(disks[1].bytes);
    disks[0] = disks[1] = (MemDisk){};
}

static void run_workload(void)
{
    seq = finished_upto = last = amended = 0;
    flushes = g_array_new(false, false, sizeof(Flushed));
    for (unsigned i = 0; i < SECTORS; i++) {
        history[i] = g_array_new(false, false, sizeof(Version));
    }
    disk = open_disk(0, BLK_O_RDWR | BLK_O_UNMAP);
    left = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        fiber_start(worker, GUINT_TO_POINTER(i));
    }
    while (left) {
        loop_step(loop, true);
    }
}

static int test_shape(const char *shape, unsigned cuts, unsigned seed)
{
    g_autofree uint8_t *base = NULL;
    uint64_t base_size;
    unsigned failed = 0, log;

    rnd = g_rand_new_with_seed(seed);
    session = session_new();
    if (strstr(shape, "key-secret") && !session_object_parse(session, "secret,id=key,data=abc", NULL)) {
        printf("# no secrets in this build\n");
        return 0;
    }
    make_image(shape);
    base_size = disks[0].size;
    base = g_memdup2(disks[0].bytes, base_size);
    run_workload();
    log = disks[0].log->len;
    blk_free(disk);
    for (unsigned i = 0; i < cuts && failed < 5; i++) {
        unsigned cut = g_rand_int_range(rnd, 1, disks[0].log->len + 1);

        make_cut(base, base_size, cut, i % (TORN_VARIANTS + 2));
        failed += !check_cut(cut);
    }
    printf("# %s: %u writes and flushes, %u cuts\n", shape, log, cuts);
    if (amending && !amended) {
        printf("# nothing was amended\n");
        failed++;
    }
    for (unsigned i = 0; i < SECTORS; i++) {
        g_array_unref(history[i]);
    }
    g_array_unref(flushes);
    free_log();
    session_free(session);
    g_rand_free(rnd);
    return failed;
}

static void fill_below(void)
{
    disk_grow(&disks[2], DISK);
    fill(disks[2].bytes, SECTORS, BELOW);
}

int main(int argc, char **argv)
{
    unsigned cuts = argc > 1 ? atoi(argv[1]) : 20, seed = argc > 2 ? atoi(argv[2]) : 1, failed = 0;

    loop = loop_new("crash");
    loop_attach(loop);
    fill_below();
    printf("1..%zu\n", G_N_ELEMENTS(shapes));
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        int bad = test_shape(shapes[i], cuts, seed + i);

        printf("%s %u - %s\n", bad ? "not ok" : "ok", i + 1, shapes[i]);
        failed += bad;
    }
    g_free(disks[2].bytes);
    g_free(made_of);
    loop_free(loop);
    return failed != 0;
}
