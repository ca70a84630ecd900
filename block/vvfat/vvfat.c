/* SPDX-License-Identifier: MIT */
/* The driver: names like fat:rw:16:DIR, requests one at a time on a pool thread. */
#include "block/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/vvfat/vvfat-priv.h"
#include "util/log.h"

typedef struct {
    FiberMutex lock;
    FatDisk disk;
} Vvfat;

static const OptKey vvfat_keys[] = {
    { "dir", OPT_STRING, "folder of the host" },
    { "fat-type", OPT_NUMBER, "12, 16 or 32", .def = "0" },
    { "floppy", OPT_BOOL, "a floppy of 2.88 MB, not a hard disk", .def = "off" },
    { "label", OPT_STRING, "name of the volume, up to 11 characters", .def = "QEMU VVFAT" },
    { "rw", OPT_BOOL, "what the guest writes goes to the folder", .def = "off" },
    {}
};

/* fat:[floppy:][12:|16:|32:][rw:]DIR */
static bool vvfat_parse_filename(const char *name, Json *o, Error **errp)
{
    for (name += strlen("fat:"); ; name = strchr(name, ':') + 1) {
        if (g_str_has_prefix(name, "floppy:")) {
            json_set_bool(o, "floppy", true);
        } else if (g_str_has_prefix(name, "12:") || g_str_has_prefix(name, "16:") || g_str_has_prefix(name, "32:")) {
            json_set_int(o, "fat-type", (int)strtol(name, NULL, 10));
        } else if (g_str_has_prefix(name, "rw:")) {
            json_set_bool(o, "rw", true);
        } else {
            break;
        }
    }
    json_set_string(o, "dir", name);
    return true;
}

/* ---- requests ---- */

typedef struct {
    FatDisk *d;
    enum { DO_MAKE, DO_READ, DO_WRITE, DO_SYNC } what;
    uint64_t off, len;
    uint8_t *buf;
    int result;
    Error **errp;
} Work;

static void work(void *opaque)
{
    Work *w = opaque;

    switch (w->what) {
    case DO_MAKE:
        w->result = fat_disk_make(w->d, w->errp) ? 0 : -EIO;
        break;
    case DO_READ:
        w->result = fat_read(w->d, w->off, w->buf, w->len);
        break;
    case DO_WRITE:
        w->result = fat_write(w->d, w->off, w->buf, w->len, false);
        break;
    case DO_SYNC:
        w->result = fat_sync(w->d, w->errp) ? 0 : -EIO;
        break;
    }
}

static int run(BlkNode *n, Work w)
{
    Vvfat *s = n->state;

    w.d = &s->disk;
    fiber_mutex_lock(&s->lock);
    fiber_blocking(work, &w);
    fiber_mutex_unlock(&s->lock);
    return w.result;
}

static int vvfat_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint8_t *buf = blk_buffer(len);
    int r = run(n, (Work){ .what = DO_READ, .off = off, .len = len, .buf = buf });

    if (r == 0) {
        blk_vec_write(v, buf, len);
    }
    free(buf);
    return r;
}

static int vvfat_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    uint8_t *buf = blk_buffer(len);
    int r;

    blk_vec_read(v, buf, len);
    r = run(n, (Work){ .what = DO_WRITE, .off = off, .len = len, .buf = buf });
    free(buf);
    return r;
}

/* A file system in the middle of a change is looked at again with the next flush. */
static int vvfat_flush(BlkNode *n)
{
    Vvfat *s = n->state;
    Error *err = NULL;

    if (!n->read_only && g_hash_table_size(s->disk.fresh) && run(n, (Work){ .what = DO_SYNC, .errp = &err }) < 0) {
        log_print("vvfat: '%s' keeps waiting for the guest's changes: %s", s->disk.dir, error_message(err));
        error_free(err);
    }
    return 0;
}

/* ---- life ---- */

static bool take_label(FatDisk *d, const char *label, Error **errp)
{
    size_t len = strlen(label);

    if (len > FAT_NAME) {
        return error_set(errp, "vvfat label cannot be longer than 11 bytes");
    }
    memset(d->label, ' ', FAT_NAME);
    memcpy(d->label, label, len);
    return true;
}

static bool vvfat_open(BlkNode *n, Json *o, Error **errp)
{
    Vvfat *s = n->state;
    const char *dir = json_get_string(o, "dir"), *label = json_get_string(o, "label");
    uint64_t type = json_get_u64(o, "fat-type", 0);
    bool rw = json_get_bool(o, "rw", false);

    if (!dir) {
        return error_set(errp, "vvfat block driver requires a 'dir' option");
    }
    s->disk.floppy = json_get_bool(o, "floppy", false);
    s->disk.type = type ? (unsigned)type : s->disk.floppy ? 12 : 16;
    if (s->disk.type != 12 && s->disk.type != 16 && s->disk.type != 32) {
        return error_set(errp, "Valid FAT types are only 12, 16 and 32");
    }
    if (rw && n->read_only) {
        return error_set(errp, "Unable to set VVFAT to 'rw' when drive is read-only");
    }
    if (!rw && !n->read_only && !(n->flags & BLK_O_AUTO_RDONLY)) {
        return error_set(errp, "'%s' is not writable: fat:rw:DIR lets the guest change the folder", dir);
    }
    if (!take_label(&s->disk, label ? label : "QEMU VVFAT", errp)) {
        return false;
    }
    n->read_only = !rw;
    n->align = FAT_SECTOR;
    s->disk.dir = g_strdup(dir);
    fiber_mutex_init(&s->lock);
    if (run(n, (Work){ .what = DO_MAKE, .errp = errp }) < 0) {
        fat_disk_free(&s->disk);
        return false;
    }
    n->size = (uint64_t)s->disk.sectors * FAT_SECTOR;
    return true;
}

static void vvfat_close(BlkNode *n)
{
    Vvfat *s = n->state;

    vvfat_flush(n);
    fat_disk_free(&s->disk);
    fiber_mutex_destroy(&s->lock);
}

static int64_t vvfat_allocated(BlkNode *n)
{
    return -ENOTSUP;
}

static const BlkDriver vvfat = {
    .name = "vvfat", .help = "a folder of the host as a FAT disk", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Vvfat), .options = vvfat_keys, .prefix = "fat:",
    .parse_filename = vvfat_parse_filename, .open = vvfat_open, .close = vvfat_close, .read = vvfat_read, .write = vvfat_write, .flush = vvfat_flush,
    .allocated = vvfat_allocated,
};
BLK_DRIVER(vvfat);
