/* SPDX-License-Identifier: MIT */
/*
 * The machine protocol: requests and answers in JSON, events between them.
 *
 * A Qmp is one conversation: bytes of the client go in with qmp_feed(), lines
 * for it come out through the host's write().  What carries the bytes is the
 * host's business (monitor/qmp-front.c: a character device).  Requests are run
 * in order, one at a time; a command that waits runs in a fiber, and what the
 * client sends meanwhile is kept.  A client that has not negotiated hears no
 * events.  All conversations of a session get the same events.
 *
 * Main thread.  Texts and order follow what clients know: see docs/qmp.md.
 */
#ifndef IO_QMP_H
#define IO_QMP_H

#include "io/command.h"

typedef struct Qmp Qmp;

typedef struct QmpHost {
    Session *session;
    const char *version;                            /* "8.2.0" */
    const char *package;
    bool pretty;
    void (*write)(void *opaque, const char *text, size_t len);
    void (*prepare)(void *opaque, MonCall *call);   /* adds machine and system; may be NULL */
    int (*take_fd)(void *opaque);                   /* a descriptor that came along, -1: none; may be NULL */
    void *opaque;
} QmpHost;

Qmp *qmp_new(const QmpHost *host);                  /* the record is copied */
/* Waits for the command that runs.  Not from a callback of the loop, nor from a fiber. */
void qmp_free(Qmp *q);
const QmpHost *qmp_host(const Qmp *q);
void qmp_connected(Qmp *q);                         /* somebody came: greets, a fresh negotiation */
void qmp_disconnected(Qmp *q);                      /* what he sent and has not run is dropped */
void qmp_feed(Qmp *q, const void *bytes, size_t len);
bool qmp_busy(const Qmp *q);                        /* a command waits */

/* Tell all that listen; `name` is a row's.  Data (NULL: none) is taken over. */
void qmp_event(Session *s, const char *name, Json *data);

/* qmp-schema.c: what query-qmp-schema answers. */
Json *qmp_schema(void);

#endif
