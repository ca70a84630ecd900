/* SPDX-License-Identifier: MIT */
/*
 * Everything that is written goes to the disk and, in order, into a log, from
 * which any moment of the disk can be made again.
 *
 * The log is that of Linux's dm-log-writes target (its documentation, section
 * "Log Ordering" and the structures of the on-disk format): a super block in
 * the first sector, then for each write a sector with the entry and its data.
 * A write is logged when it is done; a flush says that all before it lasts.
 */
#include "block/filter/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"

#define LOG_MAGIC 0x6a736677736872ull
enum { LOG_VERSION = 1, LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4, ENTRY_BYTES = 32, SUPER_BYTES = 28, PIECE = 1 << 20 };

typedef struct {
    FiberMutex lock;
    BlkNode *log;
    uint32_t sector;            /* bytes */
    uint64_t entries;
    uint64_t next;              /* where the log goes on, bytes */
    uint64_t interval;          /* of writing the super block */
} LogWrites;

static const OptKey log_keys[] = {
    { "file", OPT_ANY, "the disk" },
    { "log", OPT_ANY, "where the log goes" },
    { "log-append", OPT_BOOL, "go on with a log", .def = "off" },
    { "log-sector-size", OPT_SIZE, "unit of the log", .def = "512" },
    { "log-super-update-interval", OPT_NUMBER, "entries between two writes of the log's head", .def = "4096" },
    {}
};

static int write_super(LogWrites *s)
{
    uint8_t *buf = blk_buffer(s->sector);
    int r;

    memset(buf, 0, s->sector);
    stq_le_p(buf, LOG_MAGIC);
    stq_le_p(buf + 8, LOG_VERSION);
    stq_le_p(buf + 16, s->entries);
    stl_le_p(buf + 24, s->sector);
    r = node_pwrite(s->log, 0, buf, s->sector);
    free(buf);
    return r ? r : node_flush(s->log);
}

/* Find the end of a log. */
static bool append(LogWrites *s, Error **errp)
{
    uint8_t head[ENTRY_BYTES];
    uint64_t size = node_size(s->log);

    if (node_pread_padded(s->log, 0, head, SUPER_BYTES) < 0) {
        return error_set(errp, "The log cannot be read");
    }
    if (ldq_le_p(head) != LOG_MAGIC || ldq_le_p(head + 8) != LOG_VERSION || ldl_le_p(head + 24) != s->sector) {
        return error_set(errp, "log-append: not a log with sectors of %u bytes", s->sector);
    }
    s->entries = ldq_le_p(head + 16);
    for (uint64_t i = 0; i < s->entries; i++) {
        uint64_t bytes;

        if (s->next + s->sector > size || node_pread_padded(s->log, s->next, head, ENTRY_BYTES) < 0) {
            return error_set(errp, "log-append: the log ends before its %" PRIu64 " entries", s->entries);
        }
        bytes = ldq_le_p(head + 16) & LOG_DISCARD ? 0 : ldq_le_p(head + 8);
        if (bytes > size / s->sector) {
            return error_set(errp, "log-append: entry %" PRIu64 " is larger than the log", i);
        }
        s->next += s->sector + bytes * s->sector;
    }
    return true;
}

static bool log_open(BlkNode *n, Json *o, Error **errp)
{
    LogWrites *s = n->state;
    uint64_t sector = json_get_u64(o, "log-sector-size", 512);
    BlkChild *c;

    fiber_mutex_init(&s->lock);
    s->interval = json_get_u64(o, "log-super-update-interval", 4096);
    if (!is_pow2(sector) || sector < 512 || sector > 8 << 20) {
        return error_set(errp, "Invalid log sector size %" PRIu64, sector);
    }
    if (!s->interval) {
        return error_set(errp, "Invalid log superblock update interval 0");
    }
    s->sector = (uint32_t)sector;
    if (!filter_open(n, o, "file", errp)) {
        return false;
    }
    n->align = MAX(n->align, s->sector);
    c = blk_open_child(n, o, "log", NULL, BLK_CHILD_DATA, 0, errp);
    if (!c) {
        return false;
    }
    s->log = c->node;
    s->next = s->sector;
    if (n->read_only) {
        return true;
    }
    if (json_get_bool(o, "log-append", false)) {
        return append(s, errp);
    }
    return write_super(s) == 0 || error_set(errp, "The log cannot be written");
}

static void log_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    LogWrites *s = n->state;

    s->log = c->role == BLK_CHILD_DATA ? c->node : s->log;
}

static void log_close(BlkNode *n)
{
    LogWrites *s = n->state;

    if (!n->read_only) {
        write_super(s);
    }
    fiber_mutex_destroy(&s->lock);
}

/* Node and log are written for as long as the node is open. */
static void log_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    if (c->role == BLK_CHILD_FILTERED) {
        *child_perm = perm;
        *child_shared = shared;
    } else {
        *child_perm = n->read_only ? 0 : BLK_PERM_WRITE | BLK_PERM_RESIZE | BLK_PERM_READ;
        *child_shared = BLK_PERM_READ;
    }
}

static int entry(BlkNode *n, uint64_t off, uint64_t len, const BlkVec *v, unsigned flags)
{
    LogWrites *s = n->state;
    uint8_t *head = blk_buffer(s->sector);
    int r;

    memset(head, 0, s->sector);
    stq_le_p(head, off / s->sector);
    stq_le_p(head + 8, len / s->sector);
    stq_le_p(head + 16, flags);
    fiber_mutex_lock(&s->lock);
    r = node_pwrite(s->log, s->next, head, s->sector);
    if (r == 0 && v) {
        r = node_write(s->log, s->next + s->sector, len, *v, 0);
    }
    if (r == 0) {
        s->next += s->sector + (v ? len : 0);
        s->entries++;
        if (s->entries % s->interval == 0 || (flags & (LOG_FLUSH | LOG_FUA))) {
            r = write_super(s);
        }
    }
    fiber_mutex_unlock(&s->lock);
    free(head);
    return r;
}

static int log_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = filter_write(n, off, len, v, flags);

    return r ? r : entry(n, off, len, &v, flags & BLK_FUA ? LOG_FUA : 0);
}

/* As data: the log says what is read back. */
static int log_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    uint8_t *zero = blk_buffer(PIECE);
    int r = filter_zeroes(n, off, len, flags);

    memset(zero, 0, PIECE);
    while (r == 0 && len) {
        uint64_t part = MIN(len, PIECE);
        BlkVec v = BLK_VEC1(zero, part);

        r = entry(n, off, part, &v, flags & BLK_FUA && part == len ? LOG_FUA : 0);
        off += part;
        len -= part;
    }
    free(zero);
    return r;
}

static int log_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    int r = filter_discard(n, off, len);

    return r ? r : entry(n, off, len, NULL, LOG_DISCARD);
}

static int log_flush(BlkNode *n)
{
    int r = node_flush(n->file->node);

    return r || n->read_only ? r : entry(n, 0, 0, NULL, LOG_FLUSH);
}

static const BlkDriver blklogwrites = {
    .name = "blklogwrites", .help = "a log of all writes", .kind = BLK_DRV_FILTER, .state_size = sizeof(LogWrites), .options = log_keys, .open = log_open,
    .close = log_close, .child_moved = log_child_moved, .child_perm = log_perm, .read = filter_read, .write = log_write, .flush = log_flush, .discard = log_discard, .zeroes = log_zeroes,
    .status = filter_status, .fua = true,
};
BLK_DRIVER(blklogwrites);
