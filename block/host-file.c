/* SPDX-License-Identifier: MIT */
/* What creation of an image may ask of the host's file under it, whatever the format. */
#include "block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/size.h"

const OptKey blk_host_file_keys[] = {
    { "preallocation", OPT_ENUM, "Preallocation mode (allowed values: off, falloc, full)", .values = "off|falloc|full" },
    { "nocow", OPT_BOOL, "Turn off copy-on-write (valid only on btrfs)" },
    { "extent_size_hint", OPT_SIZE, "Extent size hint for the image file, 0 to disable", .max = UINT32_MAX },
    {}
};

static bool has_key(const OptKey *keys, const char *name)
{
    for (; keys && keys->name; keys++) {
        if (!strcmp(keys->name, name)) {
            return true;
        }
    }
    return false;
}

OptKey *blk_create_keys(const BlkDriver *drv)
{
    GArray *all = g_array_new(true, true, sizeof(OptKey));

    for (const OptKey *k = drv->create_options; k && k->name; k++) {
        g_array_append_val(all, *k);
    }
    for (const OptKey *k = blk_host_file_keys; k->name; k++) {
        if (!has_key(drv->create_options, k->name)) {
            g_array_append_val(all, *k);
        }
    }
    return (OptKey *)(void *)g_array_free(all, false);
}

static const char *host_path(const char *filename)
{
    return g_str_has_prefix(filename, "file:") ? filename + 5 : blk_path_has_protocol(filename) ? NULL : filename;
}

bool blk_host_file_there(const char *filename)
{
    const char *path = host_path(filename);
    struct stat st;

    return !path || lstat(path, &st) == 0;
}

void blk_host_file_remove(const char *filename)
{
    const char *path = host_path(filename);

    if (path) {
        unlink(path);
    }
}

/* Both are wishes: a file system that does not know them is none the worse for it. */
static void set_flags(int fd, const Json *o)
{
    struct fsxattr x;
    int flags;

    if (json_get_bool(o, "nocow", false) && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
            flags = 0;
        }
    }
    if (json_get(o, "extent_size_hint") && ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0) {
        x.fsx_extsize = json_get_u64(o, "extent_size_hint", 0);
        x.fsx_xflags = x.fsx_extsize ? x.fsx_xflags | FS_XFLAG_EXTSIZE : x.fsx_xflags & ~(unsigned)FS_XFLAG_EXTSIZE;
        if (ioctl(fd, FS_IOC_FSSETXATTR, &x) < 0) {
            x.fsx_extsize = 0;
        }
    }
}

bool blk_host_file_prepare(const char *filename, const Json *o, Error **errp)
{
    const char *path = host_path(filename);
    int fd;

    if (!path || !(json_get_bool(o, "nocow", false) || json_get(o, "extent_size_hint"))) {
        return true;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not create '%s'", filename);
    }
    set_flags(fd, o);
    close(fd);
    return true;
}

/* Holes are written over with what they read as. */
static int write_holes(int fd, off_t size)
{
    g_autofree void *zero = g_malloc0(MiB);
    off_t at = lseek(fd, 0, SEEK_HOLE);

    while (at >= 0 && at < size) {
        off_t end = lseek(fd, at, SEEK_DATA);

        end = end < 0 ? size : end;
        while (at < end) {
            ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, zero, MIN((off_t)MiB, end - at), at));

            if (n <= 0) {
                return n ? errno : ENOSPC;
            }
            at += n;
        }
        at = lseek(fd, end, SEEK_HOLE);
    }
    return 0;
}

bool blk_host_file_finish(const char *filename, const Json *o, Error **errp)
{
    const char *path = host_path(filename), *mode = json_get_string(o, "preallocation");
    struct stat st;
    int fd, e = 0;

    if (!path || !mode || !strcmp(mode, "off")) {
        return true;
    }
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        e = errno;
    } else {
        do {
            e = !strcmp(mode, "full") ? write_holes(fd, st.st_size) : posix_fallocate(fd, 0, MAX(st.st_size, 1));
        } while (e == EINTR);
        e = e == 0 && TEMP_FAILURE_RETRY(fdatasync(fd)) < 0 ? errno : e;
    }
    if (fd >= 0) {
        close(fd);
    }
    return e == 0 || error_set_errno(errp, e, "Could not preallocate '%s'", filename);
}
