/* SPDX-License-Identifier: MIT */
/* A protocol driver over bytes in memory, "test-bytes": for images that are made on the spot. */
#ifndef TESTS_BLOCK_MEMDISK_H
#define TESTS_BLOCK_MEMDISK_H

#include "block/driver.h"

/* What nodes opened from now on hold; copied, and returned to be changed in place.  One at a time, at most 64 MiB. */
uint8_t *memdisk_set(const void *bytes, uint64_t len);
/* Shorter, before anything is opened. */
void memdisk_cut(uint64_t len);
/* The bytes as they are now; borrowed. */
const uint8_t *memdisk_get(uint64_t *len);
void memdisk_clear(void);
/* The n-th write or flush from now on fails with this errno, once; n < 0: none.  Returns how many there have been since the last call. */
unsigned memdisk_fail(int n, int error);
/* A handle on FORMAT over those bytes, or NULL. */
Blk *memdisk_open(Session *s, const char *format, unsigned flags, Error **errp);
/* With more options of the node, JSON that begins with a comma, or "". */
Blk *memdisk_open_more(Session *s, const char *format, const char *more, unsigned flags, Error **errp);
/* The same, on the first bytes of it; 0: on all. */
Blk *memdisk_open_part(Session *s, const char *format, const char *more, uint32_t part, unsigned flags, Error **errp);

#endif
