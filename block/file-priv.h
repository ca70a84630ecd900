/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_FILE_PRIV_H
#define BLOCK_FILE_PRIV_H

#include "block/driver.h"
#include "io/aio.h"

typedef struct BlkFile {
    int fd;
    int lock_fd;                    /* the same file, open once more: locks outlive a reopen of fd; -1: no locks */
    unsigned locked_perm, locked_unshared;  /* bits of our locks as they are */
    bool device;
    bool threads, uring;            /* aio=threads; aio=io_uring or native; neither: as the request is */
    bool temporary;
    bool no_zero_range, no_punch, no_copy;  /* the file system said so */
    IoLock lock;
    uint64_t data_start, data_end;  /* last stretch of data seen by status; under `lock` */
    unsigned data_gen;              /* counts what could change it */
} BlkFile;

/* file-lock.c: byte 100+n says permission n is held, 200+n that it is not shared. */
bool blk_file_lock(BlkFile *f, const char *filename, unsigned perm, unsigned unshared, Error **errp);
void blk_file_unlock(BlkFile *f, unsigned keep_perm, unsigned keep_unshared);

#endif
