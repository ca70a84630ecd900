/* SPDX-License-Identifier: MIT */
/* Descriptors that a program has handed over under a name (getfd).  Main thread. */
#ifndef IO_QMP_FDS_H
#define IO_QMP_FDS_H

#include "io/session.h"

/* The descriptor becomes the caller's, the name is free again; -1: none of this name. */
int fd_named_take(Session *s, const char *name, Error **errp);

#endif
