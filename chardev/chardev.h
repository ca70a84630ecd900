/* SPDX-License-Identifier: MIT */
/*
 * Character devices: a stream of bytes to the outside, and what sits on it.
 *
 * A Chardev is a back end with an id (stdio, a socket, a pty, a file ...); it
 * belongs to a Session.  A CharFront is the other side: a serial port, a
 * virtio port, a monitor, a gdb server.  A Chardev has one front; a mux has
 * several and one of them has the focus.
 *
 * Threads.  All calls come from the main loop's thread but for these, which any
 * thread may make with its device lock held: char_write(), char_write_all(),
 * char_accept(), char_is_open().  Front callbacks run on the main loop's thread
 * without any lock; a device passes what it gets through an InputPort
 * (hw/core/inputs.h) and takes its own lock.
 *
 * Input.  The back end asks can_read() and gives at most that many bytes to
 * read().  After an answer of 0 it does not ask again until char_accept().
 *
 * Output.  char_write() takes what the host takes now, and up to CHAR_QUEUE
 * bytes more into a queue; the front keeps the rest and gets writable() when
 * there is room again.  Output to a back end that nobody listens to (a socket
 * without a client, a pty that is not open) is taken and thrown away.
 */
#ifndef CHARDEV_CHARDEV_H
#define CHARDEV_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"
#include "util/json.h"

typedef struct Chardev Chardev;
typedef struct CharFront CharFront;
typedef struct Session Session;
typedef struct Loop Loop;

enum { CHAR_QUEUE = 64 * 1024 };

typedef enum {
    CHAR_OPENED,            /* somebody is there (once at attach if so already) */
    CHAR_CLOSED,            /* hung up */
    CHAR_BREAK,             /* a break condition (Ctrl-A b, telnet BRK) */
    CHAR_FOCUS_IN,          /* mux: input comes here from now on */
    CHAR_FOCUS_OUT,
} CharEvent;

typedef struct CharOps {
    size_t (*can_read)(void *opaque);
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, CharEvent ev);      /* may be NULL */
    void (*writable)(void *opaque);                 /* after a short char_write(); may be NULL */
    bool background;        /* mux: does not take the focus when it is attached behind another (monitors) */
} CharOps;

/* Embedded in its owner; zeroed memory is a front that is not attached. */
struct CharFront {
    Chardev *chr;
    const CharOps *ops;
    void *opaque;
    bool short_write;       /* writable() is owed */
};

/* ---- fronts ---- */
/* Fails when another front is there already. */
bool char_attach(CharFront *f, Chardev *c, const CharOps *ops, void *opaque, Error **errp);
void char_detach(CharFront *f);                     /* fine when not attached */
/* Bytes taken, 0..len.  Less than len: keep the rest until writable().  Without a back end: len. */
size_t char_write(CharFront *f, const void *buf, size_t len);
/* Takes all; the queue grows.  For answers whose size is bounded by the question. */
void char_write_all(CharFront *f, const void *buf, size_t len);
void char_printf(CharFront *f, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* There is room again: can_read() may be asked. */
void char_accept(CharFront *f);
bool char_is_open(const CharFront *f);
/* A descriptor that the client has sent along (SCM_RIGHTS), oldest first; -1: none.  The caller's to close. */
int char_take_fd(CharFront *f);
/* Hang up on the client (telnet, socket): the back end goes on listening. */
void char_hang_up(CharFront *f);

/* ---- back ends ---- */
/*
 * What back ends need of the program.  `quit` is Ctrl-A x; `say` prints a line
 * of its own on stdout ("char device redirected to ...").
 */
typedef struct CharHost {
    void (*quit)(void *opaque);
    void (*say)(void *opaque, const char *line);
    void (*info)(void *opaque, const char *line);       /* on stderr, while an option is worked on */
    void *opaque;
    uint8_t escape;             /* of the mux; 1 is Ctrl-A */
    const char *no_stdio;       /* "-daemonize": why stdio is refused; NULL: it is not */
} CharHost;
/* Once per session, before the first back end; the host record is copied. */
void chardevs_init(Session *s, Loop *main_loop, const CharHost *host);
/* Closes and frees all (terminals get their old settings back); fronts are detached. */
void chardevs_exit(Session *s);

/* From an object of option group "chardev" ({"backend": "socket", "id": "c0", ...}). */
Chardev *chardev_new(Session *s, const Json *opts, Error **errp);
/*
 * From what -serial, -monitor, -gdb ... take: stdio, null, vc, pty, file:PATH,
 * pipe:PATH, unix:PATH[,server][,wait=off], tcp:HOST:PORT[,...], telnet:...,
 * mon:REST (a mux; *monitor set), chardev:ID.  `none` is the caller's.
 */
Chardev *chardev_new_text(Session *s, const char *id, const char *text, bool *monitor, Error **errp);
Chardev *chardev_find(Session *s, const char *id);      /* NULL when there is none */
bool chardev_remove(Session *s, const char *id, Error **errp);      /* not while a front is attached */
void chardevs_foreach(Session *s, void (*fn)(Chardev *c, void *data), void *data);

const char *chardev_id(const Chardev *c);
/* As `info chardev` shows it: "pty:/dev/pts/3", "disconnected:tcp:0.0.0.0:4444,server=on". */
const char *chardev_filename(const Chardev *c);
bool chardev_is_mux(const Chardev *c);
bool chardev_has_front(const Chardev *c);
/* ringbuf: the oldest `max` bytes, removed; NULL with an error when the back end is none.  Caller frees. */
uint8_t *chardev_ringbuf_read(Chardev *c, size_t max, size_t *len, Error **errp);
bool chardev_ringbuf_write(Chardev *c, const void *buf, size_t len, Error **errp);

#endif
