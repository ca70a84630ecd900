/* SPDX-License-Identifier: MIT */
/*
 * Loaded before a program (LD_PRELOAD): system calls on its disk images fail, stop half way, or are interrupted.
 *
 * Orders and counters lie in a file that both sides map, named by HOST_FAULTS: struct Control, as host-faults.py packs it.
 * A call is counted when its file's path contains `match`.  Without io_uring (`threads`) every call comes through here;
 * with it, results of the ring are made short or interrupted on their way out, as the kernel may.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, FLUSH = 4, RESIZE = 8, PUNCH = 16 };
enum { WAY_ERROR, WAY_HALF, WAY_UNEVEN };       /* fail; do half of a write, then fail; every transfer short, or interrupted before it */

typedef struct Control {
    int32_t at;                 /* the first that fails; < 0: none */
    uint32_t count;             /* how many; 0: all from then on */
    uint32_t kinds;             /* that are counted, and fail */
    int32_t error;
    uint32_t way;
    uint32_t threads;           /* no io_uring */
    uint32_t counted, struck;
    char match[64];
} Control;

static Control *control;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("HOST_FAULTS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0) {
        close(fd);
    }
    control = p == MAP_FAILED ? NULL : p;
}

static bool ours(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    if (!control) {
        return false;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0) {
        return false;
    }
    path[n] = 0;
    return strstr(path, control->match) != NULL;
}

/* 0: as it is; > 0: only so many bytes; < 0: fails. */
static ssize_t ask(int fd, uint32_t kind, size_t len)
{
    static _Atomic unsigned turn;
    uint32_t at;

    if (!ours(fd) || !(control->kinds & kind)) {
        return 0;
    }
    at = __atomic_fetch_add(&control->counted, 1, __ATOMIC_SEQ_CST);
    if (control->way == WAY_UNEVEN) {
        turn++;
        if (turn % 3 == 0) {
            return -EINTR;
        }
        return len > 1 ? (ssize_t)(1 + (size_t)turn * 7919 % (len - 1)) : 0;
    }
    if (control->at < 0 || at < (uint32_t)control->at || (control->count && at >= (uint32_t)control->at + control->count)) {
        return 0;
    }
    __atomic_store_n(&control->struck, 1, __ATOMIC_SEQ_CST);
    if (control->way == WAY_HALF && at == (uint32_t)control->at && kind == WRITE && len > 1) {
        return (ssize_t)(len / 2);
    }
    return -control->error;
}

#define REAL(name) static __typeof__(name) *real; if (!real) { real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); }
#define REFUSE(r) if (r < 0) { errno = (int)-r; return -1; }

static size_t bytes_of(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

/* The first pieces, `most` bytes of them. */
static int cut(const struct iovec *iov, int n, size_t most, struct iovec *out)
{
    int k = 0;

    for (; k < n && most; k++) {
        out[k] = iov[k];
        out[k].iov_len = iov[k].iov_len < most ? iov[k].iov_len : most;
        most -= out[k].iov_len;
    }
    return k;
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t off)
{
    ssize_t r = ask(fd, READ, len);
    REAL(pread64)

    REFUSE(r)
    return real(fd, buf, r ? (size_t)r : len, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
    ssize_t r = ask(fd, WRITE, len);
    REAL(pwrite64)

    REFUSE(r)
    return real(fd, buf, r ? (size_t)r : len, off);
}

#define VECTORED(name, kind, ...) \
    ssize_t r = ask(fd, kind, bytes_of(iov, n)); \
    static _Thread_local struct iovec part[IOV_MAX];       /* fibers have small stacks */ \
    REAL(name) \
    REFUSE(r) \
    if (r) { \
        n = cut(iov, n, (size_t)r, part); \
        iov = part; \
    } \
    return real(__VA_ARGS__);

ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t off)
{
    VECTORED(preadv64, READ, fd, iov, n, off)
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
    VECTORED(pwritev64, WRITE, fd, iov, n, off)
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
    VECTORED(preadv64v2, READ, fd, iov, n, off, flags)
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
    VECTORED(pwritev64v2, WRITE, fd, iov, n, off, flags)
}

ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t len, unsigned flags)
{
    ssize_t r = ask(out, WRITE, len);
    REAL(copy_file_range)

    REFUSE(r)
    return real(in, in_off, out, out_off, r ? (size_t)r : len, flags);
}

int fdatasync(int fd)
{
    ssize_t r = ask(fd, FLUSH, 0);
    REAL(fdatasync)

    REFUSE(r)
    return real(fd);
}

int fsync(int fd)
{
    ssize_t r = ask(fd, FLUSH, 0);
    REAL(fsync)

    REFUSE(r)
    return real(fd);
}

int ftruncate64(int fd, off64_t len)
{
    ssize_t r = ask(fd, RESIZE, 0);
    REAL(ftruncate64)

    REFUSE(r)
    return real(fd, len);
}

int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    ssize_t r = ask(fd, RESIZE, 0);
    REAL(posix_fallocate64)

    return r < 0 ? (int)-r : real(fd, off, len);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
    ssize_t r = ask(fd, mode & FALLOC_FL_PUNCH_HOLE ? PUNCH : RESIZE, 0);
    REAL(fallocate64)

    REFUSE(r)
    return real(fd, mode, off, len);
}

/* ---- the ring ---- */

struct io_uring;
struct io_uring_params;
struct io_uring_cqe { uint64_t user_data; int32_t res; uint32_t flags; };      /* as the kernel lays it out */
int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);
unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count);

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
    REAL(io_uring_queue_init_params)

    return control && control->threads ? -ENOSYS : real(entries, ring, p);
}

/* What was said to be moved is moved again: the same bytes to the same place. */
unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
    static _Atomic unsigned turn;
    REAL(io_uring_peek_batch_cqe)
    unsigned n = real(ring, cqes, count);

    for (unsigned i = 0; control && control->way == WAY_UNEVEN && i < n; i++) {
        turn++;
        if (cqes[i]->res > 1 && turn % 3) {
            control->counted++;
            cqes[i]->res = turn % 3 == 1 ? -EINTR : 1 + (int)(turn * 7919u % (unsigned)(cqes[i]->res - 1));
        }
    }
    return n;
}
