/* SPDX-License-Identifier: MIT */
/* Files and devices of the host. */
#include "block/file-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/image.h"
#include "io/fdset.h"
#include "util/iov.h"
#include "util/size.h"

enum { IOV_LOCAL = 64, POOL_WRITE = 64 << 10, POOL_READ = 512 << 10 };

static const OptKey file_keys[] = {
    { "filename", OPT_STRING, "path of the file" },
    { "aio", OPT_STRING, "how requests are made", .values = "threads|native|io_uring", .def = "io_uring where the kernel has it, threads for large requests to the page cache" },
    { "locking", OPT_ENUM, "guard against a second user", .values = "auto|on|off", .def = "auto" },
    { "aio-max-batch", OPT_NUMBER, "", .absent = "requests of one turn of the loop go to the kernel together" },
    { "drop-cache", OPT_BOOL, "", .absent = "there is no migration to another host that would need it" },
    { "x-check-cache-dropped", OPT_BOOL, "", .absent = "a debugging aid that is not here" },
    { "pr-manager", OPT_STRING, "", .absent = "SCSI persistent reservations are not here" },
    {}
};

/* ---- open ---- */

bool blk_file_aio(const char *aio, unsigned flags, bool *threads, bool *uring, Error **errp)
{
    *threads = *uring = false;
    if (!aio) {
        return true;
    }
    *threads = !strcmp(aio, "threads");
    *uring = !*threads;
    if (!strcmp(aio, "io_uring")) {
        return aio_uring_usable(loop_current(), errp);
    }
    if (!strcmp(aio, "native")) {
        if (!(flags & BLK_O_DIRECT)) {
            return error_set(errp, "aio=native was specified, but it requires cache.direct=on, which was not specified.");
        }
        return true;            /* served by io_uring, or by threads where there is none */
    }
    return *threads || error_set(errp, "invalid aio option");
}

static bool check_kind(BlkNode *n, const struct stat *st, const char *path, Error **errp)
{
    bool want_device = !strcmp(n->drv->name, "host_device");

    if (want_device && !S_ISBLK(st->st_mode) && !S_ISCHR(st->st_mode)) {
        return error_set(errp, "'%s' driver requires '%s' to be either a character or block device", n->drv->name, path);
    }
    if (!want_device && !S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        return error_set(errp, "'%s' driver requires '%s' to be a regular file", n->drv->name, path);
    }
    return true;
}

static int open_host(BlkNode *n, const char *path)
{
    int direct = n->flags & BLK_O_DIRECT ? O_DIRECT : 0;
    int fd = fdset_open(n->session, path, (n->read_only ? O_RDONLY : O_RDWR) | direct, 0);

    if (fd < 0 && (errno == EACCES || errno == EROFS) && !n->read_only && (n->flags & BLK_O_AUTO_RDONLY)) {
        n->read_only = true;
        fd = fdset_open(n->session, path, O_RDONLY | direct, 0);
    }
    return fd;
}

static uint64_t device_size(int fd)
{
    uint64_t bytes = 0;

    return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? 0 : bytes;
}

/* Direct I/O works in logical blocks; ask the file system (Linux 6.1), else try reads of growing size. */
uint32_t blk_file_direct_align(int fd, bool device)
{
    struct statx sx = {};
    int block = 0;

    if (device && ioctl(fd, BLKSSZGET, &block) == 0 && block > 0) {
        return block;
    }
#ifdef STATX_DIOALIGN
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align) {
        return MAX(sx.stx_dio_offset_align, sx.stx_dio_mem_align);
    }
#endif
    for (uint32_t align = 512; align < 4096; align *= 2) {
        char *buf = blk_buffer(align);
        bool ok = TEMP_FAILURE_RETRY(pread(fd, buf, align, 0)) >= 0;

        free(buf);
        if (ok) {
            return align;
        }
    }
    return 4096;
}

static bool locks_work(int fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &l) == 0;
}

static bool locking_option(BlkNode *n, Json *o, const struct stat *st, const char *path, Error **errp)
{
    BlkFile *f = n->state;
    const char *locking = json_get_string(o, "locking");
    bool must = locking && !strcmp(locking, "on");

    f->lock_fd = -1;
    if ((locking && !strcmp(locking, "off")) || (!must && !S_ISREG(st->st_mode))) {
        return true;
    }
    f->lock_fd = fdset_open(n->session, path, O_RDONLY, 0);
    if (f->lock_fd >= 0 && !locks_work(f->lock_fd)) {
        close(f->lock_fd);
        f->lock_fd = -1;
    }
    if (f->lock_fd < 0 && must) {
        return error_set(errp, "File locking is not available for '%s'", path);
    }
    return true;
}

static bool file_open(BlkNode *n, Json *o, Error **errp)
{
    BlkFile *f = n->state;
    const char *path = json_get_string(o, "filename");
    struct stat st;

    f->fd = f->lock_fd = -1;
    io_lock_init(&f->lock);
    if (!blk_file_aio(json_get_string(o, "aio"), n->flags, &f->threads, &f->uring, errp)) {
        return false;
    }
    f->fd = open_host(n, path);
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", path);
    }
    if (!check_kind(n, &st, path, errp) || !locking_option(n, o, &st, path, errp)) {
        close(f->fd);
        return false;
    }
    f->device = n->fixed = !S_ISREG(st.st_mode);
    f->temporary = n->flags & BLK_O_TEMPORARY;
    blk_file_now_init(n);
    n->size = f->device ? device_size(f->fd) : (uint64_t)st.st_size;
    if (n->flags & BLK_O_DIRECT) {
        n->align = n->mem_align = blk_file_direct_align(f->fd, f->device);
    }
    if (f->temporary) {
        unlink(path);
    }
    return true;
}

static void file_close(BlkNode *n)
{
    BlkFile *f = n->state;

    close(f->fd);
    if (f->lock_fd >= 0) {
        close(f->lock_fd);
    }
}

/* The descriptor's number stays, what it refers to becomes writable. */
static bool file_reopen_rw(BlkNode *n, Error **errp)
{
    BlkFile *f = n->state;
    int fd = fdset_open(n->session, json_get_string(n->options, "filename"), O_RDWR | (n->flags & BLK_O_DIRECT ? O_DIRECT : 0), 0);

    if (fd < 0 || dup3(fd, f->fd, O_CLOEXEC) < 0) {
        return error_set_errno(errp, errno, "Could not reopen file '%s'", n->filename);
    }
    close(fd);
    return true;
}

/* ---- permissions ---- */

static bool file_perm_prepare(BlkNode *n, unsigned perm, unsigned shared, Error **errp)
{
    BlkFile *f = n->state;
    unsigned had_perm = f->locked_perm, had_unshared = f->locked_unshared;

    if (n->flags & BLK_O_FORCE_SHARE) {
        return true;
    }
    if (!blk_file_lock(f, n->filename, perm & BLK_PERM_ALL, ~shared & BLK_PERM_ALL, errp)) {
        blk_file_unlock(f, had_perm, had_unshared);
        return false;
    }
    return true;
}

static void file_perm_commit(BlkNode *n, unsigned perm, unsigned shared)
{
    blk_file_unlock(n->state, perm & BLK_PERM_ALL, ~shared & BLK_PERM_ALL);
}

static void file_perm_abort(BlkNode *n)
{
    file_perm_commit(n, n->perm, n->shared);
}

/* ---- requests ---- */

typedef struct {
    AioReq req;
    Fiber *fiber;
    int64_t result;
} Wait;

static void wait_done(AioReq *req, int64_t result)
{
    Wait *w = req->opaque;

    w->result = result;
    fiber_resume(w->fiber);
}

/*
 * A ring gives writes to the page cache to one kernel thread per file, and
 * copies what is read from there on the loop's own.  Small requests are best
 * off so, as many go to the kernel at once; large ones are quicker on threads
 * of ours.  Writes of 1 MiB, 0.8 GB in all: 0.18 s on threads, 0.35 s in the
 * ring; 60000 writes of 4 KiB, 32 at a time: 0.14 and 0.10 s.
 * Reads of 256 KiB by four clients of an NBD export: 4.1 GB/s in the ring,
 * 3.6 on threads.
 */
static AioEngine engine_of(const BlkNode *n, const AioReq *req)
{
    const BlkFile *f = n->state;
    bool large = (req->op == AIO_WRITE && req->len >= POOL_WRITE) || (req->op == AIO_READ && req->len >= POOL_READ);
    bool pool = f->threads || (!f->uring && large && !(n->flags & BLK_O_DIRECT));

    return !pool && aio_uring_usable(loop_current(), NULL) ? AIO_URING : AIO_THREADS;
}

static int64_t wait_for(BlkNode *n, Wait *w)
{
    BlkFile *f = n->state;
    Loop *loop = loop_current();

    w->fiber = fiber_self();
    w->req.fd = f->fd;
    w->req.done = wait_done;
    w->req.opaque = w;
    aio_submit(loop, engine_of(n, &w->req), &w->req);
    fiber_yield();
    return w->result;
}

static bool memory_aligned(const struct iovec *iov, unsigned cnt, uint32_t align)
{
    uintptr_t all = 0;

    for (unsigned i = 0; i < cnt; i++) {
        all |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    }
    return (all & (align - 1)) == 0;
}

/* The pieces of a request: as given, cut to size on the stack, or on the heap when there are many. */
static const struct iovec *pieces(BlkVec v, uint64_t len, struct iovec *local, struct iovec **heap, unsigned *cnt)
{
    struct iovec *out = local;

    *heap = NULL;
    if (v.skip == 0 && v.n == 1 && v.iov[0].iov_len == len) {
        *cnt = 1;
        return v.iov;
    }
    if (v.n > IOV_LOCAL) {
        out = *heap = g_new(struct iovec, v.n);
    }
    *cnt = iov_cut(v.iov, v.n, v.skip, len, out, v.n);
    return out;
}

static int64_t transfer(BlkNode *n, AioOp op, uint64_t off, uint64_t len, const struct iovec *iov, unsigned cnt, unsigned flags)
{
    Wait w;

    w.req.op = op;
    w.req.flags = flags & BLK_FUA ? AIO_FUA : 0;
    w.req.iov = iov;
    w.req.iovcnt = cnt;
    w.req.off = off;
    w.req.len = len;
    return wait_for(n, &w);
}

/* The end of the file came first: what is behind it reads as zeroes. */
static int pad(int64_t r, uint64_t len, BlkVec v)
{
    if (r < 0) {
        return r;
    }
    if ((uint64_t)r < len) {
        blk_vec_fill(blk_vec_from(v, r), 0, len - r);
    }
    return 0;
}

static int64_t transfer_bounced(BlkNode *n, AioOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    char *buf = blk_buffer(len);
    int64_t r;

    if (op == AIO_WRITE) {
        blk_vec_read(v, buf, len);
    }
    r = transfer(n, op, off, len, &(struct iovec){ buf, len }, 1, flags);
    if (op == AIO_READ && r > 0) {
        blk_vec_write(v, buf, r);
    }
    free(buf);
    return r;
}

static int64_t transfer_vec(BlkNode *n, AioOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    struct iovec local[IOV_LOCAL], *heap;
    unsigned cnt;
    const struct iovec *iov = pieces(v, len, local, &heap, &cnt);
    int64_t r;

    if (n->mem_align > 1 && !memory_aligned(iov, cnt, n->mem_align)) {
        r = transfer_bounced(n, op, off, len, v, flags);
    } else {
        r = transfer(n, op, off, len, iov, cnt, flags);
    }
    g_free(heap);
    return r;
}

static int file_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return blk_file_read_now(n, off, len, v) ? 0 : pad(transfer_vec(n, AIO_READ, off, len, v, flags), len, v);
}

static void grown(BlkNode *n, uint64_t end)
{
    uint64_t size = node_size(n);

    while (end > size && !__atomic_compare_exchange_n(&n->size, &size, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/*
 * What the host could not write back, it takes for clean (fsync(2), errors): the next call would succeed and the data be gone.
 * Nobody knows which data, so this file never says again that all is on the medium. Past the page cache nothing is kept that could be lost.
 */
static int lost(BlkNode *n, int r)
{
    BlkFile *f = n->state;

    if (r < 0 && !(n->flags & BLK_O_DIRECT)) {
        __atomic_store_n(&f->lost, r, __ATOMIC_RELAXED);
    }
    return r;
}

static int file_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int64_t r = !(flags & BLK_FUA) && blk_file_write_now(n, off, len, v) ? (int64_t)len : transfer_vec(n, AIO_WRITE, off, len, v, flags);

    if (r < 0) {
        return r == -EIO && (flags & BLK_FUA) ? lost(n, -EIO) : (int)r;     /* it tells of earlier writes too */
    }
    if ((uint64_t)r < len) {
        return -ENOSPC;
    }
    grown(n, off + len);
    return 0;
}

static int file_flush(BlkNode *n)
{
    BlkFile *f = n->state;
    int r = __atomic_load_n(&f->lost, __ATOMIC_RELAXED);
    Wait w;

    if (r < 0) {
        return r;
    }
    w.req.op = AIO_FDATASYNC;
    w.req.len = 0;
    return lost(n, (int)wait_for(n, &w));
}

static int file_fallocate(BlkNode *n, int mode, uint64_t off, uint64_t len)
{
    Wait w;

    w.req.op = AIO_FALLOCATE;
    w.req.mode = mode;
    w.req.off = off;
    w.req.len = len;
    blk_file_forget_status(n->state);
    return wait_for(n, &w);
}

static bool unsupported(int r)
{
    return r == -EOPNOTSUPP || r == -ENOSYS || r == -ENODEV || r == -EPERM || r == -ENOTTY || r == -EINVAL;
}

static int punch(BlkNode *n, uint64_t off, uint64_t len)
{
    BlkFile *f = n->state;
    int r;

    if (f->no_punch) {
        return -ENOTSUP;
    }
    r = file_fallocate(n, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
    if (r < 0 && unsupported(r)) {
        f->no_punch = true;
        return -ENOTSUP;
    }
    return r;
}

static int file_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    BlkFile *f = n->state;
    uint64_t range[2] = { off, len };

    if (f->device) {
        return ioctl(f->fd, BLKDISCARD, range) < 0 ? (unsupported(-errno) ? -ENOTSUP : -errno) : 0;
    }
    return punch(n, off, len);
}

/* Behind the end: the file only has to grow. */
static int zero_behind(BlkNode *n, uint64_t off, uint64_t len)
{
    BlkFile *f = n->state;

    if (off + len > node_size(n) && TEMP_FAILURE_RETRY(ftruncate(f->fd, off + len)) < 0) {
        return -errno;
    }
    grown(n, off + len);
    return 0;
}

static int file_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    BlkFile *f = n->state;
    uint64_t size = node_size(n), inside = off < size ? MIN(len, size - off) : 0;
    int r = 0;

    if (f->device) {
        uint64_t range[2] = { off, len };
        r = flags & BLK_MAY_UNMAP || !f->no_zero_range ? ioctl(f->fd, BLKZEROOUT, range) : -1;
        return r < 0 ? -ENOTSUP : flags & BLK_FUA ? file_flush(n) : 0;
    }
    if (inside) {
        r = -ENOTSUP;
        if (flags & BLK_MAY_UNMAP) {
            r = punch(n, off, inside);
        }
        if (r == -ENOTSUP && !f->no_zero_range) {
            r = file_fallocate(n, FALLOC_FL_ZERO_RANGE, off, inside);
            if (r < 0 && unsupported(r)) {
                f->no_zero_range = true;
                r = -ENOTSUP;
            }
        }
        if (r == -ENOTSUP && !(flags & BLK_MAY_UNMAP)) {
            r = punch(n, off, inside);          /* then give it blocks again */
            if (r == 0) {
                r = file_fallocate(n, 0, off, inside);
                r = r < 0 && unsupported(r) ? 0 : r;
            }
        }
    }
    if (r == 0 && off + len > size) {
        r = zero_behind(n, off, len);
    }
    return r == 0 && (flags & BLK_FUA) ? file_flush(n) : r;
}

static int64_t file_allocated(BlkNode *n)
{
    BlkFile *f = n->state;
    struct stat st;

    return fstat(f->fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

/* ---- copying, growing ---- */

typedef struct {
    int from, to;
    uint64_t from_off, to_off, len;
    int result;
} Copy;

static void run_copy(void *opaque)
{
    Copy *c = opaque;
    off_t in = c->from_off, out = c->to_off;

    while (c->len) {
        ssize_t r = copy_file_range(c->from, &in, c->to, &out, c->len, 0);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            c->result = r < 0 ? -errno : -ENOTSUP;
            return;
        }
        c->len -= r;
    }
}

static int file_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off, uint64_t len, unsigned flags)
{
    BlkFile *f = to->state;
    Copy c = { .to = f->fd, .from_off = from_off, .to_off = to_off, .len = len };

    if (from->drv != to->drv || f->no_copy || f->device) {
        return -ENOTSUP;
    }
    c.from = ((BlkFile *)from->state)->fd;
    blk_file_forget_status(f);
    fiber_blocking(run_copy, &c);
    if (c.result < 0) {
        if (unsupported(c.result) || c.result == -EXDEV || c.result == -ENOTSUP) {
            f->no_copy = true;
            return -ENOTSUP;
        }
        return c.result;
    }
    grown(to, to_off + len);
    return flags & BLK_FUA ? file_flush(to) : 0;
}

static int fill_file(BlkNode *n, uint64_t off, uint64_t len)
{
    uint64_t chunk = MIN(len, 1u << 20);
    char *zero = blk_buffer(chunk);
    int r = 0;

    memset(zero, 0, chunk);
    while (len && r == 0) {
        uint64_t now = MIN(len, chunk);
        r = file_write(n, off, now, BLK_VEC1(zero, now), 0);
        off += now;
        len -= now;
    }
    free(zero);
    return r;
}

static bool file_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    BlkFile *f = n->state;
    uint64_t old = node_size(n);
    int r = 0;

    if (f->device) {                    /* whoever owns it changes it; we look */
        uint64_t now = device_size(f->fd);

        if (size > now) {
            return error_set(errp, "Cannot grow device files");
        }
        blk_node_resized(n, now);
        return true;
    }
    blk_file_forget_status(f);
    if (prealloc == BLK_PREALLOC_FALLOC && size > old) {
        r = file_fallocate(n, 0, old, size - old);
        if (r < 0) {
            return error_set_errno(errp, -r, "Could not preallocate data for the new file");
        }
    }
    if (prealloc == BLK_PREALLOC_FULL && size > old) {
        r = fill_file(n, old, size - old);
        if (r < 0) {
            return error_set_errno(errp, -r, "Could not write zeros for preallocation");
        }
    }
    if (TEMP_FAILURE_RETRY(ftruncate(f->fd, size)) < 0) {
        return error_set_errno(errp, errno, "Failed to resize the file");
    }
    __atomic_store_n(&n->size, size, __ATOMIC_RELAXED);
    return true;
}

/* ---- create ---- */

bool blk_create_file(Session *s, const char *filename, uint64_t size, const char *prealloc, Error **errp)
{
    const char *path = g_str_has_prefix(filename, "file:") ? filename + 5 : filename;
    BlkPrealloc how = !prealloc || !strcmp(prealloc, "off") ? BLK_PREALLOC_OFF : !strcmp(prealloc, "full") ? BLK_PREALLOC_FULL : BLK_PREALLOC_FALLOC;
    Blk *b;
    bool ok;
    int fd;

    if (blk_path_has_protocol(path) && !g_str_has_prefix(path, "host_device:")) {
        return blk_can_make(filename, errp) && blk_protocol_of(filename, errp)->make(s, filename, size, errp);
    }
    path = g_str_has_prefix(path, "host_device:") ? path + 12 : path;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not create '%s'", filename);
    }
    close(fd);
    b = blk_open(s, filename, NULL, BLK_O_RDWR | BLK_O_PROTOCOL_NODE, BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_READ | BLK_PERM_WRITE_SAME, errp);
    if (!b) {
        return false;
    }
    ok = (blk_node(b)->drv->kind & BLK_DRV_PROTOCOL) && ((BlkFile *)blk_node(b)->state)->device
        ? (blk_size(b) >= size || error_set(errp, "The device '%s' is too small", filename))
        : blk_resize(b, 0, BLK_PREALLOC_OFF, errp) && blk_resize(b, size, how, errp);
    blk_free(b);
    return ok;
}

static bool file_parse_filename(const char *name, Json *options, Error **errp)
{
    json_set_string(options, "filename", g_str_has_prefix(name, "file:") ? name + 5 : g_str_has_prefix(name, "host_device:") ? name + 12 : name);
    return true;
}

/* A record without members: readers find the type. */
static Json *file_special(BlkNode *n)
{
    Json *j = json_object();

    json_set_string(j, "type", n->drv->name);
    json_set(j, "data", json_object());
    return j;
}

static const BlkImageOps file_image_ops = { .info = file_special };

#define FILE_OPS \
    .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(BlkFile), .options = file_keys, .needs_filename = true, .parse_filename = file_parse_filename, \
    .open = file_open, .reopen_rw = file_reopen_rw, .changes = "aio", .reopen_prepare = blk_file_reopen_prepare, .reopen_commit = blk_file_reopen_commit, \
    .reopen_abort = blk_file_reopen_abort, .close = file_close, .perm_prepare = file_perm_prepare, .perm_commit = file_perm_commit, .perm_abort = file_perm_abort, \
    .read = file_read, .write = file_write, .flush = file_flush, .discard = file_discard, .zeroes = file_zeroes, .status = blk_file_status, \
    .use_options = "locking|aio|aio-max-batch|drop-cache", .copy = file_copy, .resize = file_resize, .allocated = file_allocated, .image = &file_image_ops, .fua = true

static const OptKey create_keys[] = { { "size", OPT_SIZE, "Virtual disk size" }, {} };

static bool file_create(Session *s, const char *filename, Json *o, Error **errp)
{
    return blk_create_file(s, filename, json_get_u64(o, "size", 0), json_get_string(o, "preallocation"), errp);
}

static const BlkDriver file = {
    .name = "file", .help = "a file of the host", .prefix = "file:", FILE_OPS, .create_options = create_keys, .create = file_create, .preallocates = true, .zero_init = true
};
static const BlkDriver host_device = { .name = "host_device", .help = "a device of the host", .prefix = "host_device:", FILE_OPS };
BLK_DRIVER(file);
BLK_DRIVER(host_device);
