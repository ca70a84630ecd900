/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_NBD_TOOL_PRIV_H
#define BLOCK_NBD_TOOL_PRIV_H

#include "block/block.h"
#include "block/export/export.h"

/* What was asked for on the command line. */
typedef struct NbdTool {
    const char *argv0, *name;           /* as typed, and without the folder */
    Session *session;
    Loop *loop;
    /* options */
    const char *port, *bind, *socket_path, *export_name, *description, *bitmap, *tls_creds, *tls_authz, *pid_file, *format, *snapshot_param;
    const char *cache, *aio, *detect_zeroes;
    const char *file, *device, *hostname;
    uint64_t offset;
    unsigned shared;
    unsigned handshake;             /* seconds that a client has for it; 0: any */
    unsigned flags;                     /* BLK_O_ */
    bool persistent, verbose, depth, list, do_fork, read_only, snapshot, nocache, image_opts, disconnect;
    int ready_fd;                       /* of a parent that waits; -1 */
    bool stop;
} NbdTool;

/* "NAME: text" on stderr; returns 1. */
int nbd_tool_error(NbdTool *t, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
int nbd_tool_fail(NbdTool *t, const char *what, Error *err);    /* takes the error; `what` (may be NULL) goes before it */
/* False: *status is the exit code. */
bool nbd_tool_options(NbdTool *t, int argc, char **argv, int *status);
SocketAddress *nbd_tool_address(const NbdTool *t);
int nbd_tool_list(NbdTool *t);                          /* -L */
int nbd_tool_disconnect(NbdTool *t);                    /* -d */

#endif
