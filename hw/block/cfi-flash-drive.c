/* SPDX-License-Identifier: MIT */
/* Between a flash chip and a block node: read once, write what changes. */
#include "hw/block/cfi-flash-drive.h"

#include <string.h>

#include "block/drive.h"
#include "hw/block/cfi-flash.h"
#include "util/log.h"

typedef struct FlashWrite {
    BlkReq req;
    struct iovec iov;
    uint8_t data[];
} FlashWrite;

static void written(BlkReq *req, int result)
{
    if (result < 0) {
        log_print("flash: writing %" PRIu64 " bytes at 0x%" PRIx64 " to '%s' failed: %s", req->len, req->off, blk_name(req->blk), g_strerror(-result));
    }
    g_free(req);
}

static void store(void *opaque, uint64_t off, const void *data, uint64_t len)
{
    FlashWrite *w = g_malloc0(sizeof(*w) + len);

    memcpy(w->data, data, len);
    w->iov = (struct iovec){ w->data, len };
    w->req = (BlkReq){ .blk = opaque, .op = BLK_WRITE, .off = off, .len = len, .iov = &w->iov, .iovcnt = 1, .done = written };
    blk_submit(&w->req);
}

bool cfi_flash_set_drive(Device *flash, Session *s, const char *drive, bool readonly, Error **errp)
{
    Blk *blk = drive_resolve(s, drive, errp);
    uint64_t size = cfi_flash_region(flash)->size;
    g_autofree uint8_t *buf = NULL;
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
    cfi_flash_set_store(flash, readonly ? NULL : store, blk, readonly);
    return cfi_flash_load(flash, buf, size, errp);
}
