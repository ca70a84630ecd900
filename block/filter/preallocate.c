/* SPDX-License-Identifier: MIT */
/*
 * A file that grows in large steps: a write beyond its end lets it grow by
 * prealloc-size, rounded up to prealloc-align, so that the host's file system
 * is asked seldom.  What was not used is cut off when the node is closed, or
 * nobody writes any more.
 */
#include "block/filter/filter.h"

#include "util/size.h"

typedef struct {
    FiberMutex lock;
    uint64_t step, align;
    uint64_t file_end;          /* of the file below */
} Prealloc;

static const OptKey prealloc_keys[] = {
    { "file", OPT_ANY, "the file" },
    { "prealloc-size", OPT_SIZE, "by how much the file grows", .def = "128M" },
    { "prealloc-align", OPT_SIZE, "what its size is a multiple of", .def = "1M" },
    {}
};

static bool prealloc_open(BlkNode *n, Json *o, Error **errp)
{
    Prealloc *s = n->state;

    fiber_mutex_init(&s->lock);
    s->step = json_get_u64(o, "prealloc-size", 128 * MiB);
    s->align = json_get_u64(o, "prealloc-align", MiB);
    if (!s->align || s->align % 512 || s->align > INT64_MAX / 2 || s->step > INT64_MAX / 2) {
        return error_set(errp, "prealloc-align parameter of preallocate filter is not aligned to 512");
    }
    if (!filter_open(n, o, "file", errp)) {
        return false;
    }
    s->file_end = n->size;
    return true;
}

/* The end of what is used becomes the file's end again. */
static bool cut(BlkNode *n, Error **errp)
{
    Prealloc *s = n->state;

    if (s->file_end == node_size(n)) {
        return true;
    }
    if (!node_resize(n->file->node, node_size(n), BLK_PREALLOC_OFF, errp)) {
        return false;
    }
    s->file_end = node_size(n);
    return true;
}

static void prealloc_close(BlkNode *n)
{
    Prealloc *s = n->state;

    if (n->file && !n->file->node->read_only && (n->file->perm & BLK_PERM_RESIZE)) {
        cut(n, NULL);
    }
    fiber_mutex_destroy(&s->lock);
}

static void prealloc_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm | (n->read_only ? 0 : BLK_PERM_WRITE | BLK_PERM_RESIZE);     /* kept to the end: closing cuts */
    *child_shared = shared & ~(n->read_only ? 0u : BLK_PERM_RESIZE);
}

/* Before a write up to `end`.  What fails here fails again, and better said, in the write. */
static void grow(BlkNode *n, uint64_t end)
{
    Prealloc *s = n->state;
    uint64_t want;

    if (end <= __atomic_load_n(&s->file_end, __ATOMIC_ACQUIRE)) {
        return;
    }
    fiber_mutex_lock(&s->lock);
    want = end + s->step;
    want = (want + s->align - 1) / s->align * s->align;
    if (end > s->file_end && want > end && node_resize(n->file->node, want, BLK_PREALLOC_FALLOC, NULL)) {
        __atomic_store_n(&s->file_end, want, __ATOMIC_RELEASE);
    }
    fiber_mutex_unlock(&s->lock);
}

static int prealloc_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    grow(n, off + len);
    return filter_write(n, off, len, v, flags);
}

static int prealloc_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    grow(n, off + len);
    return filter_zeroes(n, off, len, flags);
}

static bool prealloc_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Prealloc *s = n->state;
    bool ok;

    fiber_mutex_lock(&s->lock);
    ok = cut(n, errp) && node_resize(n->file->node, size, prealloc, errp);
    s->file_end = ok ? size : node_size(n->file->node);
    fiber_mutex_unlock(&s->lock);
    return ok;
}

static const BlkDriver preallocate = {
    .name = "preallocate", .help = "a file that grows in large steps", .kind = BLK_DRV_FILTER, .state_size = sizeof(Prealloc), .options = prealloc_keys,
    .open = prealloc_open, .close = prealloc_close, .child_perm = prealloc_perm, .read = filter_read, .write = prealloc_write, .discard = filter_discard,
    .zeroes = prealloc_zeroes, .status = filter_status, .resize = prealloc_resize, .fua = true,
};
BLK_DRIVER(preallocate);
