/* SPDX-License-Identifier: MIT */
/*
 * What every node that stores bytes has to do: many random requests in flight
 * against a copy in memory, and what is read afterwards, also by a new opening.
 */
#ifndef TESTS_BLOCK_CONFORM_H
#define TESTS_BLOCK_CONFORM_H

#include "block/driver.h"

enum { SIZE = 4 << 20 };                                /* of the disks */

extern Loop *loop;
extern Session *session;
extern char *dir;                                       /* of the test's files; main() makes it */
extern uint8_t shadow[SIZE];                            /* what the disk has to hold */

void setup(void);
void teardown(void);
char *file_of(const char *name, uint64_t size);         /* a new file of zeroes; its path */
Blk *open_ok(const char *filename, const char *options, unsigned flags);
/* Fresh: the disk is all zeroes. */
void workload(Blk *b, unsigned seed, bool fresh);
void verify(Blk *b);
/* All of it, on a disk of zeroes. */
void conform(const char *path, const char *options, unsigned flags);

#endif
