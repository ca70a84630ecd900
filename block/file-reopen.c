/* SPDX-License-Identifier: MIT */
/* A host file with or without the page cache, by ring or by threads, while it is used. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/file-priv.h"
#include "io/fdset.h"

typedef struct Change {
    int fd;                     /* -1: it stays */
    uint32_t align;
    bool threads, uring;
} Change;

/* Whoever took the name's place meanwhile is not what we have open. */
static bool same_file(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool open_again(BlkNode *n, unsigned flags, Change *c, Error **errp)
{
    BlkFile *f = n->state;
    bool direct = flags & BLK_O_DIRECT;

    c->fd = fdset_open(n->session, json_get_string(n->options, "filename"), (n->read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0), 0);
    if (c->fd < 0) {
        return error_set_errno(errp, errno, "Could not reopen file '%s'", n->filename);
    }
    if (!same_file(c->fd, f->fd)) {
        close(c->fd);
        return error_set(errp, "Could not reopen file '%s': another file has taken its place", n->filename);
    }
    c->align = direct ? blk_file_direct_align(c->fd, f->device) : 1;
    return true;
}

void *blk_file_reopen_prepare(BlkNode *n, Json *o, unsigned flags, Error **errp)
{
    Change *c = g_new0(Change, 1);
    bool ok;

    c->fd = -1;
    ok = blk_file_aio(json_get_string(o, "aio"), flags, &c->threads, &c->uring, errp);
    if (ok && ((flags ^ n->flags) & BLK_O_DIRECT)) {
        ok = open_again(n, flags, c, errp);
    }
    if (!ok) {
        g_free(c);
        return NULL;
    }
    return c;
}

/* The number of the descriptor stays: requests of other loops have seen it. */
void blk_file_reopen_commit(BlkNode *n, void *state)
{
    BlkFile *f = n->state;
    Change *c = state;

    f->threads = c->threads;
    f->uring = c->uring;
    if (c->fd >= 0) {
        dup3(c->fd, f->fd, O_CLOEXEC);
        n->align = n->mem_align = c->align;
    }
    blk_file_reopen_abort(n, c);
}

void blk_file_reopen_abort(BlkNode *n, void *state)
{
    Change *c = state;

    (void)n;
    if (c->fd >= 0) {
        close(c->fd);
    }
    g_free(c);
}
