/* SPDX-License-Identifier: MIT */
/* A disk that forgets: for measuring what is above it. */
#include "block/image.h"

#include "util/size.h"

typedef struct {
    int64_t latency;
    bool read_zeroes;
} Null;

static const OptKey null_keys[] = {
    { "filename", OPT_STRING, "" },
    { "size", OPT_SIZE, "size of the disk", .def = "1G" },
    { "latency-ns", OPT_NUMBER, "how long each request takes" },
    { "read-zeroes", OPT_BOOL, "reads give zeroes, and not whatever the buffer held" },
    {}
};

static bool null_parse_filename(const char *name, Json *options, Error **errp)
{
    return true;        /* null-co:// says everything */
}

static bool null_open(BlkNode *n, Json *o, Error **errp)
{
    Null *s = n->state;

    n->size = json_get_u64(o, "size", GiB);
    s->latency = json_get_u64(o, "latency-ns", 0);
    s->read_zeroes = json_get_bool(o, "read-zeroes", false);
    if (n->size > INT64_MAX) {
        return error_set(errp, "size must be at most 2^63 - 1");
    }
    return true;
}

static int delay(BlkNode *n)
{
    Null *s = n->state;

    if (s->latency) {
        fiber_sleep(s->latency);
    }
    return 0;
}

static int null_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    if (((Null *)n->state)->read_zeroes) {
        blk_vec_fill(v, 0, len);
    }
    return delay(n);
}

static int null_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return delay(n);
}

static int null_range(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    return delay(n);
}

static int null_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return delay(n);
}

static int null_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    *out = (BlkExtent){ .len = len, .flags = BLK_EXT_OFFSET | BLK_EXT_DATA, .offset = off, .node = n };
    if (((Null *)n->state)->read_zeroes) {
        out->flags |= BLK_EXT_ZERO;
    }
    return 0;
}

static bool null_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    return true;
}

static int64_t null_allocated(BlkNode *n)
{
    return 0;
}

static const BlkImageOps null_image_ops = { .no_dirty_flag = true };

#define NULL_OPS \
    .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Null), .options = null_keys, .parse_filename = null_parse_filename, .open = null_open, .read = null_read, .write = null_write, \
    .flush = delay, .discard = null_discard, .zeroes = null_range, .status = null_status, .resize = null_resize, .allocated = null_allocated, .image = &null_image_ops, .fua = true

static const BlkDriver null_co = { .name = "null-co", .help = "a disk that forgets", .prefix = "null-co://", NULL_OPS };
static const BlkDriver null_aio = { .name = "null-aio", .help = "a disk that forgets, completing from the loop", .prefix = "null-aio://", NULL_OPS };
BLK_DRIVER(null_co);
BLK_DRIVER(null_aio);
