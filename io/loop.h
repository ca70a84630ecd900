/* SPDX-License-Identifier: MIT */
/*
 * Event loops: descriptors, timers and posted callbacks.
 *
 * A Loop belongs to the one thread that runs it.  I/O threads run theirs with
 * loop_run() on epoll; the main thread's hangs in a GLib main context as one
 * source, so that GLib users (GTK, libslirp's glue, D-Bus) run beside it.  Both
 * have the same functions.
 *
 * Everything but loop_post(), loop_call() and loop_quit() is called on the
 * loop's own thread, or before it runs.  Callbacks run one at a time, without
 * locks, never from inside the call that armed them.  A callback may remove any
 * watch or timer, its own too.
 *
 * Times are nanoseconds of the host's monotonic clock.  Devices do not use
 * this clock; they ask their machine (hw/core/clock.h).
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Loop Loop;
typedef void LoopFn(void *opaque);

/* ---- life ---- */
/* An epoll loop for the thread that will call loop_run() or loop_step(). */
Loop *loop_new(const char *name);
/* A loop that lives in a GLib context (NULL: the default one) and belongs to the calling thread, whose loop_current() it becomes. */
Loop *loop_new_glib(const char *name, GMainContext *context);
/* Not from a callback of its own.  Posts that have not run are dropped; watches and timers must be gone. */
void loop_free(Loop *loop);
const char *loop_name(const Loop *loop);
/* The loop of this thread; NULL in a thread without one. */
Loop *loop_current(void);
/* Make `loop` (or NULL) this thread's loop outside of its callbacks too; main() and tests. */
void loop_attach(Loop *loop);

/* ---- running ---- */
/* Wait for and run what is due; returns whether anything ran.  With `block`, sleeps until there is something.  Not from a callback or fiber. */
bool loop_step(Loop *loop, bool block);
/* Steps until loop_quit().  Not from a callback or fiber. */
void loop_run(Loop *loop);
void loop_quit(Loop *loop);                             /* any thread */
/* Steps until *done, which only this loop's callbacks set. */
void loop_run_until(Loop *loop, const bool *done);

/* ---- a thread that runs a loop ---- */
typedef struct LoopThread LoopThread;
LoopThread *loop_thread_new(const char *name);          /* the thread's name too, cut to 15 bytes */
Loop *loop_thread_loop(LoopThread *t);
void loop_thread_free(LoopThread *t);                   /* ends the thread after the posts it has, joins it, frees the loop */

/* ---- posted callbacks; any thread, in order per poster ---- */
typedef struct LoopPost {
    struct LoopPost *next;
    LoopFn *fn;
    void *opaque;
} LoopPost;
/* `post` belongs to the loop until fn has been called, and then to the caller again (fn may free or repost it). */
void loop_post_node(Loop *loop, LoopPost *post);
void loop_post(Loop *loop, LoopFn *fn, void *opaque);
/* Run fn on the loop and wait for its return; at once when this is the loop's thread.  Not from a fiber or callback of another loop. */
void loop_call(Loop *loop, LoopFn *fn, void *opaque);

/* ---- descriptors ---- */
enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HUP = 4 };   /* HUP (with errors) is always reported */
typedef struct LoopFd LoopFd;
typedef void LoopFdFn(void *opaque, unsigned events);
/* Level-triggered.  One watch per descriptor.  What epoll cannot watch (a regular file) is always ready.  The descriptor stays the caller's. */
LoopFd *loop_fd_add(Loop *loop, int fd, unsigned events, LoopFdFn *fn, void *opaque);
void loop_fd_events(LoopFd *w, unsigned events);        /* change what is waited for; 0 rests, and reports not even HUP */
void loop_fd_remove(LoopFd *w);                         /* before the descriptor is closed; NULL is fine */

/* ---- timers; the struct is the caller's ---- */
typedef struct LoopTimer {
    Loop *loop;
    LoopFn *fn;
    void *opaque;
    int64_t deadline;
    unsigned slot;                  /* 1-based place in the loop's heap; 0: not armed */
} LoopTimer;
int64_t loop_now(void);
int64_t loop_wall_time(void);                           /* microseconds since 1970: for dates in files, never for a guest */
void loop_timer_init(LoopTimer *t, Loop *loop, LoopFn *fn, void *opaque);
void loop_timer_at(LoopTimer *t, int64_t deadline);     /* arm, or move; fires once */
void loop_timer_cancel(LoopTimer *t);                   /* fine when not armed */
static inline bool loop_timer_armed(const LoopTimer *t)
{
    return t->slot != 0;
}

/* ---- hooks: called each time before the loop may sleep (batched submission) ---- */
typedef struct LoopHook {
    struct LoopHook *next;
    LoopFn *fn;
    void *opaque;
} LoopHook;
void loop_hook_add(Loop *loop, LoopHook *hook);
void loop_hook_remove(Loop *loop, LoopHook *hook);

/* One object per loop and key, made by its user at first need and freed with the loop; key is an address. */
void *loop_local_get(Loop *loop, const void *key);
void loop_local_set(Loop *loop, const void *key, void *object, GDestroyNotify destroy);

#endif
