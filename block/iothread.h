/* SPDX-License-Identifier: MIT */
/*
 * -object iothread,id=ID: a thread with a loop that disks can be served by,
 * one object for as many disks as one likes.  A session's, main thread.
 */
#ifndef BLOCK_IOTHREAD_H
#define BLOCK_IOTHREAD_H

#include "io/loop.h"
#include "io/session.h"

typedef struct IoThread IoThread;

IoThread *iothread_get(Session *s, const char *id);     /* NULL: there is none */
Loop *iothread_loop(const IoThread *t);
/* Whoever gives the loop to somebody keeps the object from being deleted meanwhile. */
void iothread_ref(IoThread *t);
void iothread_unref(IoThread *t);
/* Wait until the loop has done all that was posted before; from a fiber (a command's) too. NULL is fine. */
void iothread_settle(IoThread *t);
void iothread_settle_all(Session *s);

#endif
