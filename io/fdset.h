/* SPDX-License-Identifier: MIT */
/*
 * Sets of descriptors that somebody else has opened for us (-add-fd): the file
 * name /dev/fdset/N stands for whichever descriptor of set N has the wanted
 * access mode.  The sets belong to a Session, which closes them.
 *
 * Main thread.
 */
#ifndef IO_FDSET_H
#define IO_FDSET_H

#include <stdint.h>

#include "io/session.h"

/* Takes fd over.  `set` < 0 makes a new set, the lowest free number.  The set's number, -1 on error (fd stays the caller's). */
int64_t fdset_add(Session *s, int64_t set, int fd, const char *opaque, Error **errp);
/* Out of a set, and closed; fd < 0: all of it.  Duplicates that were handed out live on. */
bool fdset_remove(Session *s, int64_t set, int fd, Error **errp);
/* In the order of making. */
typedef void FdsetFn(int64_t set, int fd, const char *opaque, void *data);
void fdset_foreach(Session *s, FdsetFn *fn, void *data);

/*
 * open() for names that users give: /dev/fdset/N becomes a duplicate of a
 * descriptor of set N with the access mode of `flags`, O_APPEND and O_TRUNC are
 * heeded, all other names go to the kernel.  Always close-on-exec.  When descriptors
 * run out the soft limit is raised to the hard one.  -1 and errno.
 */
int fdset_open(Session *s, const char *path, int flags, unsigned mode);

#endif
