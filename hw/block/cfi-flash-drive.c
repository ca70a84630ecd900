/* SPDX-License-Identifier: MIT */
/* Between a flash chip and a block node: read once, write what changes. */
#include "hw/block/cfi-flash-drive.h"

#include <pthread.h>
#include <string.h>

#include "block/drive.h"
#include "hw/block/cfi-flash.h"
#include "util/log.h"

/*
 * Writes go out one after the other: firmware programs the same block again and
 * again (the states of a variable), and the host does not keep the order of
 * what overlaps in flight.
 */
typedef struct FlashWrite FlashWrite;
typedef struct FlashDrive {
    Blk *blk;
    pthread_mutex_t lock;
    FlashWrite *first, **last;      /* the first is under way; under `lock` */
} FlashDrive;

struct FlashWrite {
    BlkReq req;
    FlashDrive *drive;
    FlashWrite *next;
    struct iovec iov;
    uint8_t data[];
};

static void written(BlkReq *req, int result)
{
    FlashWrite *w = req->opaque, *next;
    FlashDrive *d = w->drive;

    if (result < 0) {
        log_print("flash: writing %" PRIu64 " bytes at 0x%" PRIx64 " to '%s' failed: %s", req->len, req->off, blk_name(req->blk), g_strerror(-result));
    }
    pthread_mutex_lock(&d->lock);
    next = d->first = w->next;
    if (!next) {
        d->last = &d->first;
    }
    pthread_mutex_unlock(&d->lock);
    g_free(w);
    if (next) {
        blk_submit(&next->req);
    }
}

static void store(void *opaque, uint64_t off, const void *data, uint64_t len)
{
    FlashDrive *d = opaque;
    FlashWrite *w = g_malloc0(sizeof(*w) + len);
    bool begin;

    memcpy(w->data, data, len);
    w->drive = d;
    w->iov = (struct iovec){ w->data, len };
    w->req = (BlkReq){ .blk = d->blk, .op = BLK_WRITE, .off = off, .len = len, .iov = &w->iov, .iovcnt = 1, .done = written, .opaque = w };
    pthread_mutex_lock(&d->lock);
    begin = !d->first;
    *d->last = w;
    d->last = &w->next;
    pthread_mutex_unlock(&d->lock);
    if (begin) {
        blk_submit(&w->req);
    }
}

static bool busy(FlashDrive *d)
{
    bool yes;

    pthread_mutex_lock(&d->lock);
    yes = d->first;
    pthread_mutex_unlock(&d->lock);
    return yes;
}

static void settle(void *opaque)
{
    FlashDrive *d = opaque;

    while (busy(d)) {
        blk_drain_begin(d->blk);
        blk_drain_end(d->blk);
    }
}

static void release(void *opaque)
{
    FlashDrive *d = opaque;

    settle(d);
    blk_flush(d->blk);
    pthread_mutex_destroy(&d->lock);
    g_free(d);
}

static const CfiFlashStore drive_store = { .write = store, .settle = settle, .release = release };

bool cfi_flash_set_drive(Device *flash, Session *s, const char *drive, bool readonly, Error **errp)
{
    Blk *blk = drive_resolve(s, drive, errp);
    uint64_t size = cfi_flash_region(flash)->size;
    g_autofree uint8_t *buf = NULL;
    FlashDrive *d;
    int ret;

    if (!blk) {
        return error_prepend(errp, "flash: ");
    }
    readonly |= blk_read_only(blk);
    if (blk_size(blk) != size) {
        return error_set(errp, "device requires %" PRIu64 " bytes, block backend provides %" PRIu64 " bytes", size, blk_size(blk));
    }
    if (!blk_set_perm(blk, BLK_PERM_READ | (readonly ? 0 : BLK_PERM_WRITE), readonly ? BLK_PERM_ALL : BLK_PERM_READ | BLK_PERM_WRITE_SAME, errp)) {
        return false;
    }
    buf = g_malloc(size);
    ret = blk_read(blk, 0, buf, size, 0);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "failed to read the initial flash content");
    }
    if (readonly) {
        cfi_flash_set_store(flash, NULL, NULL, true);
    } else {
        d = g_new0(FlashDrive, 1);
        d->blk = blk;
        d->last = &d->first;
        pthread_mutex_init(&d->lock, NULL);
        cfi_flash_set_store(flash, &drive_store, d, false);
    }
    return cfi_flash_load(flash, buf, size, errp);
}
