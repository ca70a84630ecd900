/* SPDX-License-Identifier: MIT */
#include "tests/block/memdisk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOM = 64 << 20 };

/* One reservation for the life of the process: images of megabytes, thousands of times a second, would be spent on page faults. */
static struct {
    uint8_t *data;
    uint64_t len, dirty;                /* zero from there on */
    bool there;
} disk;
static int fail_at = -1, fail_errno;
static unsigned count;

unsigned memdisk_fail(int n, int error)
{
    unsigned before = count;

    count = 0;
    fail_at = n;
    fail_errno = error;
    return before;
}

static int fault(void)
{
    return (int)count++ == fail_at ? -fail_errno : 0;
}

static void cut(uint64_t len)
{
    if (len < disk.dirty) {
        memset(disk.data + len, 0, disk.dirty - len);
        disk.dirty = len;
    }
    disk.len = len;
}

uint8_t *memdisk_set(const void *bytes, uint64_t len)
{
    if (!disk.data) {
        disk.data = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(disk.data != MAP_FAILED);
    }
    assert(len <= ROOM);
    cut(len);
    if (len) {
        memcpy(disk.data, bytes, len);
    }
    disk.dirty = MAX(disk.dirty, len);
    disk.there = true;
    return disk.data;
}

const uint8_t *memdisk_get(uint64_t *len)
{
    *len = disk.len;
    return disk.data;
}

void memdisk_cut(uint64_t len)
{
    cut(MIN(len, disk.len));
}

void memdisk_clear(void)
{
    disk.there = false;
}

static bool bytes_open(BlkNode *n, Json *o, Error **errp)
{
    assert(disk.there);
    n->size = disk.len;
    return true;
}

static int bytes_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint64_t there = off < disk.len ? MIN(len, disk.len - off) : 0;       /* another node may have cut it */

    blk_vec_write(v, disk.data + off, there);
    blk_vec_fill(blk_vec_from(v, there), 0, len - there);
    return 0;
}

static int grow(BlkNode *n, uint64_t end)
{
    if (end > ROOM) {
        return -ENOSPC;
    }
    if (end > disk.len) {
        disk.len = end;
        disk.dirty = MAX(disk.dirty, end);
        n->size = end;
    }
    return 0;
}

static int bytes_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = fault();

    r = r ? r : off > ROOM || len > ROOM ? -ENOSPC : grow(n, off + len);
    if (r == 0) {
        blk_vec_read(v, disk.data + off, len);
    }
    return r;
}

static int bytes_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    int r = fault();

    r = r ? r : off > ROOM || len > ROOM ? -ENOSPC : grow(n, off + len);
    if (r == 0) {
        memset(disk.data + off, 0, len);
    }
    return r;
}

static int bytes_flush(BlkNode *n)
{
    return fault();
}

static bool bytes_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    if (grow(n, size) < 0) {
        return error_set(errp, "no room");
    }
    cut(size);
    return true;
}

static const BlkDriver test_bytes = {
    .name = "test-bytes", .kind = BLK_DRV_PROTOCOL, .state_size = 1, .open = bytes_open, .read = bytes_read, .write = bytes_write,
    .flush = bytes_flush, .zeroes = bytes_zeroes, .resize = bytes_resize,
};
BLK_DRIVER(test_bytes);

Blk *memdisk_open(Session *s, const char *format, unsigned flags, Error **errp)
{
    return memdisk_open_more(s, format, "", flags, errp);
}

Blk *memdisk_open_more(Session *s, const char *format, const char *more, unsigned flags, Error **errp)
{
    return memdisk_open_part(s, format, more, 0, flags, errp);
}

Blk *memdisk_open_part(Session *s, const char *format, const char *more, uint32_t part, unsigned flags, Error **errp)
{
    static const char whole[] = "{\"driver\": \"test-bytes\"}";
    g_autofree char *window = g_strdup_printf("{\"driver\": \"raw\", \"size\": %u, \"file\": %s}", part, whole);
    g_autofree char *text = g_strdup_printf("{\"driver\": \"%s\"%s, \"file\": %s}", format, more, part ? window : whole);
    unsigned perm = BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);

    return blk_open(s, NULL, json_parse(text, strlen(text), NULL), flags, perm, BLK_PERM_ALL, errp);
}
