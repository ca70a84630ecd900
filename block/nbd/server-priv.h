/* SPDX-License-Identifier: MIT */
/*
 * Inside of the NBD server.
 *
 * One connection has one fiber that reads (server-serve.c), one fiber for each
 * request that waits for the disk, and a queue of answers that whoever comes
 * by sends (server-send.c).  Requests read together are answered together: the
 * queue is sent before the reader sleeps, or at the end of the loop's turn.
 *
 * A job lives from its header to the last byte of its answer, and what jobs
 * may hold is limited per connection, so a client that reads nothing stops
 * being read.
 *
 * A connection begins on the server's loop, the main one.  Once it has chosen
 * an export with I/O threads it goes to the loop of one of them; from then on
 * what is its own is touched there only, until it is over and the main loop
 * takes it out of the list.  The list, the exports and who uses them belong to
 * the main loop; the buffers have a lock.
 */
#ifndef BLOCK_NBD_SERVER_PRIV_H
#define BLOCK_NBD_SERVER_PRIV_H

#include "block/export/export.h"
#include "block/nbd/proto.h"
#include "io/fiber.h"
#include "io/stream.h"
#include "io/tls.h"

enum {
    NBD_JOBS_MAX = 128,                 /* of a connection */
    NBD_JOB_BYTES_MAX = 4 << 20,        /* data that they hold, but one may always run */
    NBD_INPUT_SIZE = 32 << 10,
    NBD_STATUS_BYTES = 64 << 10,        /* of one answer */
    NBD_OPTION_MAX = 64 << 10,          /* data of one option */
    NBD_CONTEXTS_MAX = 32,              /* bitmaps of an export, and the two others */
    NBD_BUFFER_CLASSES = 11,            /* kept buffers: 4 KiB << 0..10 */
    NBD_BUFFER_KEEP = 16 << 20,         /* bytes in them, for all connections together */
};

typedef struct NbdExport NbdExport;
typedef struct NbdConn NbdConn;

/* ---- what an export can say about its blocks ---- */
typedef struct NbdContext {
    char *name;                         /* "base:allocation" */
    /* The first piece of a range: its length and flags; 0 or -errno. */
    int (*status)(NbdExport *x, const struct NbdContext *c, uint64_t off, uint64_t len, uint64_t *piece, uint64_t *flags);
    void *opaque;
} NbdContext;

struct NbdExport {
    Export *exp;
    NbdServer *server;
    char *name, *description;
    uint64_t size;                      /* atomic: the disk may change */
    uint16_t flags;                     /* without those that the connection decides on */
    uint32_t min_block, pref_block;
    NbdContext contexts[NBD_CONTEXTS_MAX];
    unsigned context_count;
    unsigned users;                     /* connections */
    unsigned next_loop;                 /* of the export's threads, for the next of them */
};

typedef struct NbdBuffer {
    struct NbdBuffer *next;
} NbdBuffer;

struct NbdServer {
    Session *session;
    NbdServerConfig config;
    TlsCreds *creds;                    /* NULL: no TLS */
    const TlsAuthz *authz;              /* NULL: any certificate */
    int listener;
    char *unlink_path;                  /* of the unix socket, gone with the server */
    LoopFd *watch;
    GPtrArray *exports;                 /* NbdExport */
    NbdConn *conns;
    unsigned conn_count;
    bool stopping;
    NbdClosedFn *closed;
    void *closed_opaque;
    Loop *loop;
    IoLock buffers_lock;
    NbdBuffer *buffers[NBD_BUFFER_CLASSES];
    size_t buffers_kept;
};

/* ---- one request ---- */
typedef struct NbdJob {
    NbdConn *conn;
    uint64_t cookie, off, len;
    uint16_t cmd, flags;
    struct NbdJob *next;                /* of the queue of answers, or of free jobs */
    void *buf;                          /* payload of a write, then the data of the answer */
    size_t buf_size;                    /* as taken */
    size_t data_len;                    /* bytes of buf to be sent */
    size_t sent;                        /* bytes of head and data that are gone */
    unsigned head_len;
    uint8_t head[56];                   /* header of the answer and what precedes the data */
    uint32_t context_mask;              /* status: which contexts */
} NbdJob;

struct NbdConn {
    NbdServer *server;
    NbdConn *next;
    Stream *stream;
    NbdExport *exp;                     /* chosen */
    unsigned refs;                      /* reader, jobs, sender */
    Loop *loop;                         /* where it is served; main loop decides */
    bool ended;                         /* on `loop`: nobody refers to it any more */
    bool over, away;                    /* main loop: the same; a send-away is on its way to `loop` and back */
    LoopPost post, away_post;
    bool dead;                          /* nothing more is read or sent */
    bool closing;                       /* nothing more is read; what runs is answered */
    bool hurry;                         /* the server or the export ends: once nothing runs, unsent answers do not count */
    bool fixed, no_zeroes, structured, extended, tls, negotiated;
    NbdExport *context_exp;             /* the contexts are of this export */
    uint32_t context_mask;
    LoopTimer patience;
    /* reading */
    uint8_t *in;
    size_t in_at, in_len;
    Fiber *waits;                       /* the reader, until a job is over */
    unsigned jobs;                      /* with those that wait to be sent */
    unsigned running;                   /* not answered yet */
    uint64_t job_bytes;
    NbdJob *free_jobs;
    /* sending */
    NbdJob *out, **out_last;
    unsigned unsent;                    /* answers since the last try to send, large ones count for more */
    bool sending, flush_posted;
    LoopPost flush;
};

/* server.c */
void nbd_server_adopt(NbdServer *srv, int fd);          /* a client has come; owns fd */
void nbd_conn_unref(NbdConn *c);
void nbd_conn_kill(NbdConn *c);                         /* both directions, now */
NbdExport *nbd_server_find(NbdServer *srv, const char *name);
void nbd_server_add_export(NbdServer *srv, NbdExport *x);
void nbd_server_remove_export(NbdServer *srv, NbdExport *x);    /* sends its clients away and waits for them */
void *nbd_buffer_get(NbdServer *srv, size_t len, size_t *size);
void nbd_buffer_put(NbdServer *srv, void *buf, size_t size);

/* server-nego.c: fiber only.  True when an export is chosen and requests follow. */
bool nbd_negotiate(NbdConn *c, Error **errp);
/* server-serve.c: fiber only; returns when the client leaves. */
void nbd_serve(NbdConn *c);
/* server-send.c */
NbdJob *nbd_job_new(NbdConn *c);
void nbd_job_free(NbdJob *j);
void nbd_job_drop_buffer(NbdJob *j);
void nbd_job_abandon(NbdJob *j);                        /* it will have no answer */
void nbd_answer(NbdJob *j, int error);                  /* the whole answer, with data_len bytes of buf for a read */
void nbd_answer_raw(NbdJob *j);                         /* data_len bytes of buf are the answer, headers and all */
void nbd_put_chunk(const NbdJob *j, uint8_t *at, uint16_t flags, uint16_t type, uint64_t len);    /* a chunk's header, nbd_chunk_size() bytes */
static inline unsigned nbd_chunk_size(const NbdConn *c)
{
    return c->extended ? NBD_CHUNK_EXT_SIZE : NBD_CHUNK_SIZE;
}
void nbd_send(NbdConn *c);                              /* as much as goes without waiting; a fiber does the rest */
void nbd_send_later(NbdConn *c);                        /* at the end of this turn of the loop */
/* server-status.c */
void nbd_context_add(NbdExport *x, const char *name, int (*status)(NbdExport *, const NbdContext *, uint64_t, uint64_t, uint64_t *, uint64_t *), void *opaque);
void nbd_context_add_allocation(NbdExport *x, bool depth);
void nbd_status_run(NbdJob *j);                         /* fiber only */

#endif
