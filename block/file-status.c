/* SPDX-License-Identifier: MIT */
/*
 * What of a host file is data and what a hole.  The host's answer is one
 * system call or two, so the last stretch is kept: of data until something
 * here could make a hole of it, of holes only while nobody can write.
 */
#include "block/file-priv.h"

#include <errno.h>
#include <unistd.h>

void blk_file_forget_status(BlkFile *f)
{
    io_lock(&f->lock);
    f->seen_end = f->seen_start;
    f->seen_gen++;
    io_unlock(&f->lock);
}

/* A hole stays one: we do not write, and our locks say that nobody else does. */
static bool nobody_writes(const BlkNode *n)
{
    const BlkFile *f = n->state;

    return n->read_only && f->lock_fd >= 0 && !(n->flags & BLK_O_FORCE_SHARE) && !(n->shared & (BLK_PERM_WRITE | BLK_PERM_RESIZE));
}

static bool seen(BlkFile *f, uint64_t off, uint64_t *end, bool *hole, unsigned *gen)
{
    bool hit;

    io_lock(&f->lock);
    hit = off >= f->seen_start && off < f->seen_end;
    *end = f->seen_end;
    *hole = f->seen_hole;
    *gen = f->seen_gen;
    io_unlock(&f->lock);
    return hit;
}

static void remember(BlkFile *f, uint64_t start, uint64_t end, bool hole, unsigned gen)
{
    io_lock(&f->lock);
    if (f->seen_gen == gen) {
        f->seen_start = start;
        f->seen_end = end;
        f->seen_hole = hole;
    }
    io_unlock(&f->lock);
}

/* The stretch of one kind from `off` on; false: the file system cannot say. */
static bool ask(const BlkNode *n, uint64_t off, uint64_t *end, bool *hole)
{
    const BlkFile *f = n->state;
    off_t data = lseek(f->fd, off, SEEK_DATA), next;

    if (data < 0 && errno != ENXIO) {
        return false;
    }
    *hole = data < 0 || (uint64_t)data > off;
    if (*hole) {
        *end = data < 0 ? UINT64_MAX : (uint64_t)data;
        return true;
    }
    next = lseek(f->fd, off, SEEK_HOLE);
    *end = next;
    return next > data;
}

int blk_file_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    BlkFile *f = n->state;
    uint64_t end;
    unsigned gen;
    bool hole;

    *out = (BlkExtent){ .len = len, .flags = BLK_EXT_DATA | BLK_EXT_OFFSET, .offset = off, .node = n };
    if (f->device) {
        return 0;
    }
    if (!seen(f, off, &end, &hole, &gen)) {
        if (!ask(n, off, &end, &hole)) {
            return 0;
        }
        if (!hole || nobody_writes(n)) {
            remember(f, off, end, hole, gen);
        }
    }
    if (hole) {
        out->flags = BLK_EXT_ZERO | BLK_EXT_OFFSET;
    }
    out->len = MIN(len, end - off);
    return 0;
}
