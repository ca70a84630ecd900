/* SPDX-License-Identifier: MIT */
/*
 * Short requests that need not wait: what the page cache holds is copied at
 * once (RWF_NOWAIT, Linux 4.14), as is everything on a file system that has
 * no disk.  Cheaper than a turn of the loop, and for tables, which are read
 * one after the other, much cheaper.  What fails here, or was done in part,
 * is done again the long way, which reports errors.
 */
#include "block/file-priv.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "util/iov.h"

enum { NOW_MAX = 64 * 1024, NOW_PIECES = 16, NOW_TURN = 32 };

void blk_file_now_init(BlkNode *n)
{
    BlkFile *f = n->state;
    struct statfs fs;

    f->no_now = (n->flags & BLK_O_DIRECT) || f->device;
    f->in_memory = fstatfs(f->fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* A fiber that never waits would keep the loop from everything else. */
static bool turn_is_over(BlkFile *f)
{
    return __atomic_add_fetch(&f->now_count, 1, __ATOMIC_RELAXED) % NOW_TURN == 0;
}

static bool now_possible(BlkFile *f, uint64_t len, const BlkVec *v)
{
    if (len > NOW_MAX || v->n > NOW_PIECES || __atomic_load_n(&f->no_now, __ATOMIC_RELAXED) || f->threads) {
        return false;
    }
    if (turn_is_over(f)) {
        fiber_pause();
    }
    return true;
}

bool blk_file_read_now(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    BlkFile *f = n->state;
    struct iovec local[NOW_PIECES];
    unsigned cnt;
    ssize_t r;

    if (!now_possible(f, len, &v)) {
        return false;
    }
    cnt = iov_cut(v.iov, v.n, v.skip, len, local, NOW_PIECES);
    r = preadv2(f->fd, local, cnt, off, f->in_memory ? 0 : RWF_NOWAIT);
    if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        __atomic_store_n(&f->no_now, true, __ATOMIC_RELAXED);
    }
    return r == (ssize_t)len;
}

bool blk_file_write_now(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    BlkFile *f = n->state;
    struct iovec local[NOW_PIECES];
    unsigned cnt;

    if (!f->in_memory || !now_possible(f, len, &v)) {
        return false;
    }
    cnt = iov_cut(v.iov, v.n, v.skip, len, local, NOW_PIECES);
    return pwritev(f->fd, local, cnt, off) == (ssize_t)len;
}
