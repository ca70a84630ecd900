/* SPDX-License-Identifier: MIT */
/*
 * Locks on image files, so that two programs do not write one image.
 *
 * Open-file-description locks, shared ones, on single bytes: 100+n by whoever
 * uses permission n, 200+n by whoever does not let others use it.  After ours
 * are in place we look for those of others that they clash with.  The numbers
 * are those of other emulators, which heed ours and set theirs.
 */
#include "block/file-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { USED = 100, UNSHARED = 200, BITS = 4 };

static int set_lock(int fd, off_t byte, short type)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

static bool others_lock(int fd, off_t byte)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static const char *perm_name(unsigned bit)
{
    static const char *const names[BITS] = { "consistent read", "write", "write unchanged", "resize" };

    return names[bit];
}

static bool clash(const char *filename, const char *shared, unsigned bit, Error **errp)
{
    error_set(errp, "Failed to get %s\"%s\" lock", shared, perm_name(bit));
    return error_hint(errp, "Is another process using the image [%s]?\n", filename);
}

static bool take(BlkFile *f, unsigned perm, unsigned unshared, Error **errp)
{
    for (unsigned bit = 0; bit < BITS; bit++) {
        int r = 0;

        if (perm & ~f->locked_perm & (1u << bit)) {
            r = set_lock(f->lock_fd, USED + bit, F_RDLCK);
            f->locked_perm |= r ? 0 : 1u << bit;
        }
        if (r == 0 && (unshared & ~f->locked_unshared & (1u << bit))) {
            r = set_lock(f->lock_fd, UNSHARED + bit, F_RDLCK);
            f->locked_unshared |= r ? 0 : 1u << bit;
        }
        if (r) {
            return error_set_errno(errp, -r, "Failed to lock byte %u", USED + bit);
        }
    }
    return true;
}

bool blk_file_lock(BlkFile *f, const char *filename, unsigned perm, unsigned unshared, Error **errp)
{
    if (f->lock_fd < 0) {
        return true;
    }
    if (!take(f, perm, unshared, errp)) {
        return false;
    }
    for (unsigned bit = 0; bit < BITS; bit++) {
        if ((perm & (1u << bit)) && others_lock(f->lock_fd, UNSHARED + bit)) {
            return clash(filename, "", bit, errp);
        }
        if ((unshared & (1u << bit)) && others_lock(f->lock_fd, USED + bit)) {
            return clash(filename, "shared ", bit, errp);
        }
    }
    return true;
}

void blk_file_unlock(BlkFile *f, unsigned keep_perm, unsigned keep_unshared)
{
    if (f->lock_fd < 0) {
        return;
    }
    for (unsigned bit = 0; bit < BITS; bit++) {
        if (f->locked_perm & ~keep_perm & (1u << bit)) {
            set_lock(f->lock_fd, USED + bit, F_UNLCK);
        }
        if (f->locked_unshared & ~keep_unshared & (1u << bit)) {
            set_lock(f->lock_fd, UNSHARED + bit, F_UNLCK);
        }
    }
    f->locked_perm &= keep_perm;
    f->locked_unshared &= keep_unshared;
}
