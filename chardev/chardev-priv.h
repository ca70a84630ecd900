/* SPDX-License-Identifier: MIT */
/* Inside of character devices: what a kind of back end gives, and what the core does for it. */
#ifndef CHARDEV_CHARDEV_PRIV_H
#define CHARDEV_CHARDEV_PRIV_H

#include <sys/types.h>

#include "chardev/chardev.h"
#include "io/lock.h"
#include "io/loop.h"
#include "util/lsection.h"
#include "util/options.h"

typedef struct CharType CharType;
typedef struct Chardevs Chardevs;

/* One session's character devices. */
struct Chardevs {
    Session *session;
    Loop *loop;
    CharHost host;
    GPtrArray *list;                /* Chardev *, in order of creation */
    Chardev *stdio;                 /* who has it */
};

/* A kind of back end; its options are the OptVariant of the same name. */
struct CharType {
    const char *name;
    size_t size;                    /* of its struct, Chardev first */
    bool (*open)(Chardev *c, const Json *opts, Error **errp);
    void (*close)(Chardev *c);      /* after a failed open too */
    /* Any thread, under c->lock: bytes taken, never waits; -1: it is gone, throw the output away. */
    ssize_t (*write)(Chardev *c, const uint8_t *buf, size_t len);
    /* Loop: what it waits for may have changed (room in the front, output queued). */
    void (*update)(Chardev *c);
    int (*take_fd)(Chardev *c);
    void (*hang_up)(Chardev *c);
    /* mux: instead of the one front */
    bool (*attach)(Chardev *c, CharFront *f, Error **errp);
    void (*detach)(Chardev *c, CharFront *f);
};
#define CHAR_TYPE(row) ROW_IN_SECTION(char_types, CharType, row)

struct Chardev {
    const CharType *type;
    Chardevs *all;
    Loop *loop;
    char *id;
    char *filename;
    CharFront *front;
    int log_fd;                     /* -1 */
    IoLock lock;                    /* what follows */
    bool open;                      /* somebody listens */
    GByteArray *out;                /* queue */
    bool posted;                    /* `post` is on its way */
    bool dead;                      /* freed when `post` arrives */
    LoopPost post;
};

/* ---- of the core, for back ends; loop's thread ---- */
size_t chardev_can_read(Chardev *c);
void chardev_input(Chardev *c, const uint8_t *buf, size_t len);
void chardev_event(Chardev *c, CharEvent ev);
/* CHAR_OPENED and CHAR_CLOSED: sets c->open and tells the front; nothing when it is so already. */
void chardev_set_open(Chardev *c, bool open);
/* Write from the queue, then tell the front that there is room. */
void chardev_drain(Chardev *c);
bool chardev_has_output(Chardev *c);
void chardev_set_filename(Chardev *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Any thread: `update` soon. */
void chardev_post_update(Chardev *c);
/* Make a back end of this kind in the session's list. */
Chardev *chardev_make(Chardevs *all, const CharType *type, const char *id, const Json *opts, Error **errp);
Chardevs *chardevs_of(Session *s);
const CharType *char_type_find(const char *name);
void chardev_free(Chardev *c);
/* Queue and write; `all`: the queue may grow beyond CHAR_QUEUE. */
size_t chardev_output(Chardev *c, const void *buf, size_t len, bool all);

/* ---- descriptors: most back ends are one for input and one for output ---- */
typedef struct CharFd {
    Chardev *c;
    int in, out;                    /* -1: none; may be the same */
    bool shared;                    /* other programs use them too: they stay blocking */
    bool eof;                       /* nothing more will come */
    LoopFd *read_watch, *write_watch;
    void (*hup)(Chardev *c);        /* end of input; may stop or close the CharFd */
    ssize_t (*receive)(Chardev *c, uint8_t *buf, size_t len);    /* instead of read(2) */
} CharFd;
/* `f` is set up but for the watches. */
void char_fd_start(CharFd *f);
void char_fd_stop(CharFd *f);       /* removes the watches; descriptors stay open */
void char_fd_update(CharFd *f);
ssize_t char_fd_write(CharFd *f, const uint8_t *buf, size_t len);
bool char_fd_nonblock(int fd);

#endif
