/* SPDX-License-Identifier: MIT */
/* Inside of loops: what loop.c, loop-timer.c and loop-glib.c share. */
#ifndef IO_LOOP_PRIV_H
#define IO_LOOP_PRIV_H

#include <sys/epoll.h>

#include "io/loop.h"

enum { LOOP_BATCH = 64 };

struct LoopFd {
    Loop *loop;
    int fd;
    unsigned events;
    LoopFdFn *fn;
    void *opaque;
    bool always;                    /* epoll cannot watch it: always ready */
    bool removed;                   /* freed at the end of the dispatch */
    LoopFd *next;                   /* in loop->always or loop->dead */
};

struct Loop {
    char *name;
    int epfd;
    int wakefd;
    LoopPost *posted;               /* atomic; newest first */
    unsigned posting;               /* atomic; calls from other threads that still look at this loop */
    LoopPost *ready;                /* taken off `posted`, oldest first */
    LoopTimer **heap;               /* heap[1..timers], earliest first */
    unsigned timers, heap_room;
    LoopHook *hooks;
    LoopFd *always;
    LoopFd *dead;
    GHashTable *locals;
    unsigned depth;                 /* nested dispatches, 0 or 1 */
    bool quit;                      /* atomic */
    GSource *source;                /* of a loop in a GLib context */
    GMainContext *context;
};

/* Hooks, then how long the loop may sleep: nanoseconds, 0, or -1 for ever. */
int64_t loop_prepare(Loop *loop);
/* Run what epoll says is ready, the posts and the due timers. */
bool loop_dispatch(Loop *loop, struct epoll_event *ev, int n);
int64_t loop_timers_next(Loop *loop);           /* absolute, -1 without one */
bool loop_timers_run(Loop *loop);
/* loop-glib.c */
void loop_glib_attach(Loop *loop, GMainContext *context);
void loop_glib_detach(Loop *loop);

#endif
