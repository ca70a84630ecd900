/* SPDX-License-Identifier: MIT */
/*
 * Exports as files, through FUSE: the node appears as the contents of a
 * regular file, on which it is mounted.
 *
 * We speak the kernel's own protocol on /dev/fuse (linux/fuse.h): one file
 * that is the root of its file system needs no library.  Each request has a
 * fiber.  With I/O threads each has a lane: a descriptor of its own on the same
 * mount, from which the kernel lets whoever comes first read the next request,
 * and the requests that were read there.  The size changes on the main loop.
 * Nothing here may look at the mount point while it is mounted: that
 * would wait for ourselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/export/export.h"

enum { DATA_MAX = 1 << 20, REQUEST_MAX = DATA_MAX + 4096, RUNNING_MAX = 32, ANSWER_MINOR = 31 };

typedef struct {
    Export *exp;
    char *mountpoint;
    bool growable;
    bool mounted;                       /* atomic */
    unsigned opened;                    /* atomic: by others */
    uint32_t mode, uid, gid;            /* atomic each */
    FiberMutex grow;
    struct FuseLane *lanes;
    unsigned lane_count;
    bool started;
    unsigned live;                      /* atomic: lanes that are watched */
} Fuse;

typedef struct FuseLane {
    Fuse *fuse;
    Loop *loop;
    int fd;                             /* of /dev/fuse; -1: none */
    LoopFd *watch;
    unsigned running;                   /* requests */
    struct FuseJob *idle;
} FuseLane;

typedef struct FuseJob {
    Fuse *fuse;
    FuseLane *lane;
    struct FuseJob *next;
    struct fuse_in_header *in;
    void *arg;                          /* behind the header */
    size_t arg_len;
    uint8_t *buf;                       /* REQUEST_MAX bytes: what came, and what a read gives */
} FuseJob;

static const OptKey fuse_keys[] = {
    { "mountpoint", OPT_STRING, "file to be mounted on", .must = true },
    { "growable", OPT_BOOL, "writes behind the end make it larger", .def = "off" },
    { "allow-other", OPT_ENUM, "other users may look", .values = "off|on|auto", .def = "auto" },
    {}
};

static uint32_t get(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void set(uint32_t *at, uint32_t v)
{
    __atomic_store_n(at, v, __ATOMIC_RELAXED);
}

/* ---- answers ---- */

static void answer_data(FuseJob *j, int error, const void *data, size_t len)
{
    struct fuse_out_header out = { .len = sizeof(out) + len, .error = error, .unique = j->in->unique };
    struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, len } };

    if (writev(j->lane->fd, iov, len ? 2 : 1) < 0) {
        return;                         /* the request was interrupted, or the file system is gone */
    }
}

static void answer(FuseJob *j, int error)
{
    answer_data(j, error, NULL, 0);
}

static void answer_attr(FuseJob *j)
{
    const Fuse *f = j->fuse;
    uint64_t size = blk_size(f->exp->blk);
    time_t now = loop_wall_time() / 1000000;
    struct fuse_attr_out out = {
        .attr_valid = 1,
        .attr = { .ino = 1, .size = size, .blocks = (size + 511) / 512, .atime = now, .mtime = now, .ctime = now, .mode = get(&f->mode), .nlink = 1,
                  .uid = get(&f->uid), .gid = get(&f->gid), .blksize = 4096 },
    };

    answer_data(j, 0, &out, sizeof(out));
}

/* ---- size ---- */

typedef struct {
    Blk *blk;
    uint64_t size;
    bool ok;
} Resize;

static void resize(void *opaque)
{
    Resize *r = opaque;

    r->ok = blk_set_perm(r->blk, BLK_PERM_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_ALL, NULL) && blk_resize(r->blk, r->size, BLK_PREALLOC_OFF, NULL);
}

static int set_size(Fuse *f, uint64_t size)
{
    Resize r = { f->exp->blk, size };

    if (size > INT64_MAX) {
        return -EFBIG;
    }
    export_run_on(f->exp->loop, resize, &r);
    return r.ok ? 0 : -EIO;
}

static int grow_to(Fuse *f, uint64_t size)
{
    int r = 0;

    fiber_mutex_lock(&f->grow);
    if (size > blk_size(f->exp->blk)) {
        r = f->growable ? set_size(f, size) : -ENOSPC;
    }
    fiber_mutex_unlock(&f->grow);
    return r;
}

/* ---- requests ---- */

static void do_init(FuseJob *j)
{
    const struct fuse_init_in *in = j->arg;
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION, .minor = ANSWER_MINOR, .max_readahead = in->max_readahead, .max_background = RUNNING_MAX, .congestion_threshold = RUNNING_MAX * 3 / 4,
        .flags = in->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES), .max_write = DATA_MAX, .time_gran = 1, .max_pages = DATA_MAX / 4096,
    };

    if (in->major != FUSE_KERNEL_VERSION || in->minor < 23) {
        answer(j, -EPROTO);
        return;
    }
    answer_data(j, 0, &out, sizeof(out));
}

static void do_setattr(FuseJob *j)
{
    const struct fuse_setattr_in *in = j->arg;
    Fuse *f = j->fuse;
    int r = 0;

    if (in->valid >= FATTR_KILL_SUIDGID << 1) {
        r = -ENOTSUP;
    } else if (in->valid & FATTR_SIZE) {
        r = f->exp->writable ? set_size(f, in->size) : -EACCES;
    }
    if (r == 0 && (in->valid & FATTR_MODE)) {
        set(&f->mode, S_IFREG | (in->mode & 0777 & (f->exp->writable ? 0777 : 0555)));
    }
    if (r == 0) {
        set(&f->uid, in->valid & FATTR_UID ? in->uid : get(&f->uid));
        set(&f->gid, in->valid & FATTR_GID ? in->gid : get(&f->gid));
        answer_attr(j);
        return;
    }
    answer(j, r);
}

static void do_open(FuseJob *j)
{
    const struct fuse_open_in *in = j->arg;
    struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };

    if ((in->flags & O_ACCMODE) != O_RDONLY && !j->fuse->exp->writable) {
        answer(j, -EROFS);
        return;
    }
    __atomic_fetch_add(&j->fuse->opened, 1, __ATOMIC_RELAXED);
    answer_data(j, 0, &out, sizeof(out));
}

static void do_read(FuseJob *j)
{
    const struct fuse_read_in *in = j->arg;
    uint64_t size = blk_size(j->fuse->exp->blk), off = in->offset, len = off < size ? MIN(MIN(in->size, size - off), DATA_MAX) : 0;
    uint8_t *data = j->buf + 4096;      /* behind the request, and aligned */
    int r = len ? blk_read(j->fuse->exp->blk, off, data, len, 0) : 0;

    answer_data(j, r, data, r < 0 ? 0 : len);
}

static void do_write(FuseJob *j)
{
    const struct fuse_write_in *in = j->arg;
    const uint8_t *data = (const uint8_t *)(in + 1);
    Fuse *f = j->fuse;
    struct fuse_write_out out = {};
    uint64_t len = in->size, size;
    int r = f->exp->writable ? 0 : -EACCES;

    if (len > j->arg_len - sizeof(*in) || in->offset > INT64_MAX - len) {
        r = -EINVAL;
    }
    if (r == 0 && f->growable) {
        r = grow_to(f, in->offset + len);
    }
    size = blk_size(f->exp->blk);
    len = r == 0 && in->offset < size ? MIN(len, size - in->offset) : 0;
    if (r == 0 && len == 0 && in->size) {
        r = -ENOSPC;
    }
    if (r == 0) {
        r = blk_write(f->exp->blk, in->offset, data, len, 0);
    }
    out.size = len;
    answer_data(j, r, &out, r < 0 ? 0 : sizeof(out));
}

static void do_fallocate(FuseJob *j)
{
    const struct fuse_fallocate_in *in = j->arg;
    Fuse *f = j->fuse;
    uint64_t size = blk_size(f->exp->blk), end = in->offset + in->length;
    bool keep = in->mode & FALLOC_FL_KEEP_SIZE;
    int r = f->exp->writable ? 0 : -EACCES;

    if (r == 0 && end > size && !keep) {
        r = grow_to(f, end);
        size = blk_size(f->exp->blk);
    }
    end = MIN(end, size);
    if (r < 0 || in->offset >= end) {
        answer(j, r);
    } else if (in->mode & FALLOC_FL_PUNCH_HOLE) {
        answer(j, blk_zeroes(f->exp->blk, in->offset, end - in->offset, BLK_MAY_UNMAP));
    } else if (in->mode & FALLOC_FL_ZERO_RANGE) {
        answer(j, blk_zeroes(f->exp->blk, in->offset, end - in->offset, 0));
    } else {
        answer(j, in->mode & ~FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP : 0);
    }
}

/* The next byte of data, or of a hole, or the end. */
static int64_t seek(Blk *b, uint64_t off, bool data)
{
    uint64_t size = blk_size(b);

    if (off >= size) {
        return -ENXIO;
    }
    while (off < size) {
        BlkExtent e;
        int r = blk_status(b, off, size - off, true, &e);

        if (r < 0 || !e.len) {
            return r < 0 ? r : -EIO;
        }
        if (!(e.flags & BLK_EXT_ZERO) == data) {
            return off;
        }
        off += e.len;
    }
    return data ? -ENXIO : (int64_t)size;
}

static void do_lseek(FuseJob *j)
{
    const struct fuse_lseek_in *in = j->arg;
    int64_t r = in->whence == SEEK_DATA || in->whence == SEEK_HOLE ? seek(j->fuse->exp->blk, in->offset, in->whence == SEEK_DATA) : -EINVAL;
    struct fuse_lseek_out out = { .offset = r };

    answer_data(j, r < 0 ? r : 0, &out, r < 0 ? 0 : sizeof(out));
}

static void do_statfs(FuseJob *j)
{
    struct fuse_statfs_out out = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255, .files = 1, .blocks = blk_size(j->fuse->exp->blk) / 4096 } };

    answer_data(j, 0, &out, sizeof(out));
}

static void do_release(FuseJob *j)
{
    __atomic_fetch_sub(&j->fuse->opened, 1, __ATOMIC_RELAXED);
    answer(j, 0);
}

static void do_flush(FuseJob *j)
{
    answer(j, blk_flush(j->fuse->exp->blk));
}

static const struct {
    void (*run)(FuseJob *j);
    size_t arg;                         /* bytes that come with it, at least */
} requests[] = {
    [FUSE_INIT] = { do_init, 16 },
    [FUSE_GETATTR] = { answer_attr, 0 },
    [FUSE_SETATTR] = { do_setattr, sizeof(struct fuse_setattr_in) },
    [FUSE_OPEN] = { do_open, sizeof(struct fuse_open_in) },
    [FUSE_RELEASE] = { do_release, 0 },
    [FUSE_READ] = { do_read, sizeof(struct fuse_read_in) },
    [FUSE_WRITE] = { do_write, sizeof(struct fuse_write_in) },
    [FUSE_FLUSH] = { do_flush, 0 },
    [FUSE_FSYNC] = { do_flush, 0 },
    [FUSE_FALLOCATE] = { do_fallocate, sizeof(struct fuse_fallocate_in) },
    [FUSE_LSEEK] = { do_lseek, sizeof(struct fuse_lseek_in) },
    [FUSE_STATFS] = { do_statfs, 0 },
};

static FuseJob *job_get(FuseLane *l)
{
    FuseJob *j = l->idle;

    if (j) {
        l->idle = j->next;
    } else {
        j = g_new0(FuseJob, 1);
        j->fuse = l->fuse;
        j->lane = l;
        j->buf = blk_buffer(REQUEST_MAX);
    }
    return j;
}

static void job_put(FuseJob *j)
{
    j->next = j->lane->idle;
    j->lane->idle = j;
}

static void run(void *opaque)
{
    FuseJob *j = opaque;
    FuseLane *l = j->lane;
    uint32_t op = j->in->opcode;

    if (op == FUSE_FORGET || op == FUSE_BATCH_FORGET || op == FUSE_INTERRUPT) {
        /* these have no answer */
    } else if (op >= G_N_ELEMENTS(requests) || !requests[op].run) {
        answer(j, -ENOSYS);
    } else if (j->arg_len < requests[op].arg) {
        answer(j, -EINVAL);
    } else {
        requests[op].run(j);
    }
    job_put(j);
    if (l->running-- == RUNNING_MAX && l->watch) {
        loop_fd_events(l->watch, LOOP_READ);
    }
}

static void incoming(void *opaque, unsigned events)
{
    FuseLane *l = opaque;

    while (l->running < RUNNING_MAX) {
        FuseJob *j = job_get(l);
        ssize_t n = read(l->fd, j->buf, REQUEST_MAX);

        if (n < (ssize_t)sizeof(*j->in)) {
            job_put(j);
            if (n < 0 && errno == ENODEV) {
                __atomic_store_n(&l->fuse->mounted, false, __ATOMIC_RELAXED);   /* somebody has unmounted it */
                loop_fd_events(l->watch, 0);
            }
            return;
        }
        j->in = (struct fuse_in_header *)j->buf;
        j->arg = j->in + 1;
        j->arg_len = n - sizeof(*j->in);
        l->running++;
        fiber_start(run, j);
    }
    loop_fd_events(l->watch, 0);
}

/* ---- life ---- */

static bool try_mount(Fuse *f, bool others, Error **errp)
{
    g_autofree char *data = g_strdup_printf("fd=%d,rootmode=%o,user_id=%u,group_id=%u%s", f->lanes[0].fd, (unsigned)S_IFREG | 0600, f->uid, f->gid, others ? ",allow_other" : "");

    if (mount("rhea", f->mountpoint, "fuse", MS_NOSUID | MS_NODEV, data) < 0) {
        return errno == EPERM ? error_set(errp, "Failed to mount FUSE export on '%s': it needs the capability to mount", f->mountpoint) :
                                error_set_errno(errp, errno, "Failed to mount FUSE export on '%s'", f->mountpoint);
    }
    f->mounted = true;
    return true;
}

static bool check_place(Fuse *f, Error **errp)
{
    struct stat st;

    if (stat(f->mountpoint, &st) < 0) {
        return error_set_errno(errp, errno, "Failed to stat '%s'", f->mountpoint);
    }
    return S_ISREG(st.st_mode) ? true : error_set(errp, "'%s' is not a regular file", f->mountpoint);
}

/* ---- lanes ---- */

static void lane_begin(void *opaque)
{
    FuseLane *l = opaque;

    l->watch = loop_fd_add(l->loop, l->fd, LOOP_READ, incoming, l);
}

static void lane_end(void *opaque)
{
    FuseLane *l = opaque;

    loop_fd_remove(l->watch);
    l->watch = NULL;
    while (l->running) {
        fiber_sleep(20000);
    }
    __atomic_fetch_sub(&l->fuse->live, 1, __ATOMIC_RELEASE);
}

/* Another descriptor for the mount of the first lane. */
static bool lane_open(Fuse *f, unsigned i, Error **errp)
{
    FuseLane *l = &f->lanes[i];
    uint32_t first = i ? f->lanes[0].fd : 0;

    l->fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (l->fd < 0) {
        return error_set_errno(errp, errno, "Failed to open /dev/fuse");
    }
    return i == 0 || ioctl(l->fd, FUSE_DEV_IOC_CLONE, &first) == 0 || error_set_errno(errp, errno, "Failed to serve the FUSE export from several threads");
}

static void lanes_new(Fuse *f, const Export *e)
{
    f->lane_count = export_loops(e);
    f->lanes = g_new0(FuseLane, f->lane_count);
    for (unsigned i = 0; i < f->lane_count; i++) {
        f->lanes[i] = (FuseLane){ .fuse = f, .loop = export_loop(e, i), .fd = -1 };
    }
}

static void lanes_start(Fuse *f)
{
    f->started = true;
    f->live = f->lane_count;
    for (unsigned i = 0; i < f->lane_count; i++) {
        fiber_start_on(f->lanes[i].loop, lane_begin, &f->lanes[i]);
    }
}

static void lane_free(FuseLane *l)
{
    if (l->fd >= 0) {
        close(l->fd);                   /* whoever has it open still gets errors from now on */
    }
    while (l->idle) {
        FuseJob *j = l->idle;

        l->idle = j->next;
        free(j->buf);
        g_free(j);
    }
}

static void release(Fuse *f)
{
    if (__atomic_load_n(&f->mounted, __ATOMIC_RELAXED)) {
        umount2(f->mountpoint, MNT_DETACH);
    }
    for (unsigned i = 0; f->started && i < f->lane_count; i++) {
        fiber_start_on(f->lanes[i].loop, lane_end, &f->lanes[i]);
    }
    export_wait_zero(&f->live);
    for (unsigned i = 0; i < f->lane_count; i++) {
        lane_free(&f->lanes[i]);
    }
    g_free(f->lanes);
    fiber_mutex_destroy(&f->grow);
    g_free(f->mountpoint);
}

static bool mount_as(Fuse *f, const char *others, Error **errp)
{
    if (!others || !strcmp(others, "auto")) {
        return try_mount(f, true, NULL) || try_mount(f, false, errp);
    }
    return try_mount(f, !strcmp(others, "on"), errp);
}

static bool fuse_open(Export *e, const Json *o, Error **errp)
{
    Fuse *f = e->state;
    bool ok;

    f->exp = e;
    f->mountpoint = g_strdup(json_get_string(o, "mountpoint"));
    f->growable = json_get_bool(o, "growable", false);
    f->mode = S_IFREG | S_IRUSR | (e->writable ? S_IWUSR : 0);
    f->uid = getuid();
    f->gid = getgid();
    fiber_mutex_init(&f->grow);
    lanes_new(f, e);
    ok = check_place(f, errp) && lane_open(f, 0, errp) && mount_as(f, json_get_string(o, "allow-other"), errp);
    for (unsigned i = 1; ok && i < f->lane_count; i++) {
        ok = lane_open(f, i, errp);
    }
    if (!ok) {
        release(f);
        return false;
    }
    lanes_start(f);
    return true;
}

static bool fuse_in_use(const Export *e)
{
    return __atomic_load_n(&((const Fuse *)e->state)->opened, __ATOMIC_RELAXED);
}

static void fuse_close(Export *e)
{
    release(e->state);
}

static const ExportType fuse_type = { .name = "fuse", .help = "a file, through FUSE", .state_size = sizeof(Fuse), .keys = fuse_keys, .open = fuse_open, .in_use = fuse_in_use, .close = fuse_close };
EXPORT_TYPE(fuse_type);
