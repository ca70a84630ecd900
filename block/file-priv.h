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
    int lost;                       /* atomic: a flush has failed with this; see file_flush() */
    bool no_zero_range, no_punch, no_copy;  /* the file system said so */
    IoLock lock;
    uint64_t seen_start, seen_end;  /* last stretch that status found alike; under `lock` */
    bool seen_hole;
    unsigned seen_gen;              /* counts what could change it */
    bool in_memory;                 /* a file system that never waits for a disk */
    bool no_now;                    /* reads cannot be asked not to wait */
    unsigned now_count;             /* atomic */
} BlkFile;

/* file-status.c: what is data and what a hole. */
int blk_file_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);
void blk_file_forget_status(BlkFile *f);

/* file-now.c: short requests for what the host has in memory, without a turn of the loop; false: do it the long way. */
void blk_file_now_init(BlkNode *n);
bool blk_file_read_now(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);
bool blk_file_write_now(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);

/* file.c: what aio=X means with these flags; how direct I/O must be aligned. */
bool blk_file_aio(const char *aio, unsigned flags, bool *threads, bool *uring, Error **errp);
uint32_t blk_file_direct_align(int fd, bool device);

/* file-reopen.c */
void *blk_file_reopen_prepare(BlkNode *n, Json *o, unsigned flags, Error **errp);
void blk_file_reopen_commit(BlkNode *n, void *state);
void blk_file_reopen_abort(BlkNode *n, void *state);

/* file-lock.c: byte 100+n says permission n is held, 200+n that it is not shared. */
bool blk_file_lock(BlkFile *f, const char *filename, unsigned perm, unsigned unshared, Error **errp);
void blk_file_unlock(BlkFile *f, unsigned keep_perm, unsigned keep_unshared);

#endif
