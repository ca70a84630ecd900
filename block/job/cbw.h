/* SPDX-License-Identifier: MIT */
/* copy-before-write: the filter that keeps a disk as it was, on another one. */
#ifndef BLOCK_JOB_CBW_H
#define BLOCK_JOB_CBW_H

#include "block/bitmap.h"

BlkBitmap *cbw_todo(BlkNode *filter);           /* what is not on the target yet, and has to be */
/* Copies what of the range is to be copied; fiber. *read: the source failed. */
int cbw_copy(BlkNode *filter, uint64_t off, uint64_t len, unsigned flags, bool *read);
int cbw_error(BlkNode *filter);                 /* break-snapshot: why the copy is no longer one; 0: it is */
extern const BlkDriver cbw_driver;
/* For snapshot-access: read the disk as it was. */
int cbw_read_old(BlkNode *filter, uint64_t off, uint64_t len, BlkVec v);

/* To stand between a target and the source as its backing file: a reader there must not see what a guest writes between two looks. */
BlkNode *cbw_guard_new(BlkNode *filter, BlkNode *source, Error **errp);

#endif
