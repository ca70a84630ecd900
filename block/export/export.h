/* SPDX-License-Identifier: MIT */
/*
 * Exports: disks handed to other programs, over NBD, FUSE or vhost-user.
 *
 * An export has an id and a Blk of its own on a node, so it holds permissions
 * like any user and waits while the node is drained.  Kinds are rows.  All
 * functions are called on the main loop; those that end something wait until
 * no request of it is left, running the loop (or letting other fibers go on).
 *
 * Options have the names and meanings of the schema's BlockExportOptions:
 *   type, id, node-name, writable, writethrough, iothread, fixed-iothread
 *   (an iothread or a list of them: what an export does for its clients is
 *   spread over their loops; nodes have no loop of their own, so an export
 *   never has to leave the ones that it was given)
 *   nbd: name, description, bitmaps, allocation-depth
 */
#ifndef BLOCK_EXPORT_EXPORT_H
#define BLOCK_EXPORT_EXPORT_H

#include "block/block.h"
#include "block/iothread.h"
#include "io/fiber.h"
#include "io/socket.h"
#include "util/lsection.h"
#include "util/options.h"

typedef struct Export Export;

/* ---- exports ---- */
extern const OptKey export_keys[];                      /* that all kinds have */
void export_types_foreach(void (*fn)(void *opaque, const char *name, const OptKey *keys), void *opaque);
/* block-export-add.  The options are checked here; borrowed. */
Export *export_add(Session *s, const Json *options, Error **errp);
/* From what stands behind --export: [type=]TYPE,id=...,..., or JSON. */
Export *export_add_text(Session *s, const char *text, Error **errp);
Export *export_find(Session *s, const char *id);
/* block-export-del.  Without `hard`, refused while somebody uses it. */
bool export_del(Session *s, const char *id, bool hard, Error **errp);
/* query-block-exports: a list of {id, type, node-name, shutting-down}.  Caller's. */
Json *export_list(Session *s);
void exports_close_all(Session *s);                     /* as export_del() of each, hard */
const char *export_id(const Export *e);
const char *export_type(const Export *e);
Blk *export_blk(const Export *e);

/* Told when an export is gone: BLOCK_EXPORT_DELETED with its id.  One listener a session; NULL stops. */
typedef void ExportDeletedFn(void *opaque, const char *id);
void export_set_deleted(Session *s, ExportDeletedFn *fn, void *opaque);

/* ---- the NBD server of a session (nbd-server-start, -stop, -add, -remove) ---- */
typedef struct NbdServer NbdServer;

typedef struct NbdServerConfig {
    const char *tls_creds;              /* id of an object; NULL: no TLS */
    const char *tls_authz;              /* id of an object; NULL: whoever has a certificate */
    unsigned max_connections;           /* 0: no limit */
    unsigned handshake_max;             /* seconds; 0: no limit */
} NbdServerConfig;
bool nbd_server_start(Session *s, const SocketAddress *a, const NbdServerConfig *config, Error **errp);
/* addr (nested or flat), tls-creds, tls-authz, max-connections, handshake-max-seconds. */
bool nbd_server_start_json(Session *s, const Json *options, Error **errp);
bool nbd_server_stop(Session *s, Error **errp);         /* exports of the server go first */
NbdServer *nbd_server_get(Session *s);                  /* NULL when none runs */
/* Where it listens, with the port that the kernel chose; NULL if the system does not say.  Caller frees. */
SocketAddress *nbd_server_address(const NbdServer *srv);
/* Called on the loop whenever a connection has ended; `negotiated`: it had chosen an export. */
typedef void NbdClosedFn(void *opaque, unsigned connections_left, bool negotiated);
void nbd_server_set_closed(NbdServer *srv, NbdClosedFn *fn, void *opaque);

/* ---- for kinds of exports ---- */
typedef struct ExportType {
    const char *name;
    const char *help;
    size_t state_size;
    const OptKey *keys;                                 /* beside the ones that all have */
    bool (*open)(Export *e, const Json *options, Error **errp);
    bool (*in_use)(const Export *e);
    void (*close)(Export *e);                           /* waits for its users' requests; the Blk is let go after it */
} ExportType;
#define EXPORT_TYPE(row) ROW_IN_SECTION(export_types, ExportType, row)

struct Export {
    Session *session;
    const ExportType *type;
    char *id;
    char *node_name;                                    /* as the node is called */
    Blk *blk;
    bool writable;
    bool closing;
    Loop *loop;                                         /* the main one */
    IoThread **threads;                                 /* ends with NULL; none: all on the main loop */
    void *state;                                        /* of type->state_size, zeroed */
};

/* The loop of the i-th worker, round and round; export_loops() is how many there are, at least one. */
Loop *export_loop(const Export *e, unsigned i);
unsigned export_loops(const Export *e);
/* Run fn in a fiber of `loop` and wait for its end.  Fiber only. */
void export_run_on(Loop *loop, FiberFn *fn, void *opaque);
/* Let the loop (or other fibers) go on until *count is 0. */
void export_wait_zero(const unsigned *count);

#endif
