/* SPDX-License-Identifier: MIT */
/*
 * Session: what users name, with or without a machine: block nodes, network
 * and character back ends, secrets, objects, jobs, exports, throttle groups.
 *
 * A session maps an id to a typed object.  Kinds that share a `space` share
 * their ids.  The session owns what it holds: session_free() destroys all
 * objects, the last added first, so that what leans on another goes before it.
 * Machines and tools make one each; there is no global one.
 *
 * Ids: letters, digits, '-', '.', '_', beginning with a letter.  Ids that we
 * make up begin with '#' and so can not collide with a user's.
 *
 * A session belongs to the main thread.
 */
#ifndef IO_SESSION_H
#define IO_SESSION_H

#include "util/error.h"

typedef struct Session Session;

typedef struct SessionKind {
    const char *name;                       /* "block node", for messages */
    const char *space;                      /* namespace of the ids, compared as text */
    const char *duplicate;                  /* message with one %s for a taken id; NULL: "Duplicate ID '%s' for NAME" */
    const char *parameter;                  /* what a bad id is called: NULL for "id" */
    void (*destroy)(void *object);          /* from session_free() and session_destroy(); NULL: not owned */
} SessionKind;

Session *session_new(void);
void session_free(Session *s);              /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

/*
 * Who changes the graph of what is in here, or looks at it across waits, holds
 * this: commands that wait, jobs when they end.  Nests.  Fiber only.
 */
void session_lock(Session *s);
void session_unlock(Session *s);

/* Is this an id that a user may give? */
bool session_id_valid(const char *id);
/* With the words that clients know: Parameter 'id' expects an identifier. */
bool session_id_check(const char *parameter, const char *id, Error **errp);

/* The id is copied.  Refused: not an id (unless it begins with '#'), or taken in its space; the object stays the caller's then. */
bool session_add(Session *s, const SessionKind *kind, const char *id, void *object, Error **errp);
/* NULL when there is none of this kind with that id. */
void *session_get(const Session *s, const SessionKind *kind, const char *id);
/* Whatever has this id in the space; *kind says what it is. */
void *session_find(const Session *s, const char *space, const char *id, const SessionKind **kind);
void session_remove(Session *s, const SessionKind *kind, const char *id);       /* forget without destroying */
void session_destroy(Session *s, const SessionKind *kind, const char *id);      /* forget and destroy */
/* A fresh id "#PREFIXnnn", three digits or more, never handed out twice.  Caller frees. */
char *session_make_id(Session *s, const char *prefix);

/* In the order of adding; fn must not add or remove. */
typedef void SessionFn(const char *id, void *object, void *opaque);
void session_foreach(const Session *s, const SessionKind *kind, SessionFn *fn, void *opaque);
unsigned session_count(const Session *s, const SessionKind *kind);

#endif
