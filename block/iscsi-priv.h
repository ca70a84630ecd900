/* SPDX-License-Identifier: MIT */
/*
 * Inside of the iSCSI driver: a session with a target through libiscsi, and
 * SCSI commands over it.
 *
 * A session lives on its home loop, the one that opened the node; requests of
 * other loops hop there, so nothing here is locked.  A command waits in its own
 * fiber.  When the connection breaks, all commands under way come back; they
 * are made again on the next connection, which a fiber tries to get once a
 * second.  A command that has not been answered after the timeout fails with
 * -EIO; without a timeout it waits.  When a user is drained while there is no
 * connection, nothing waits for the next one.
 */
#ifndef BLOCK_ISCSI_PRIV_H
#define BLOCK_ISCSI_PRIV_H

#include "block/driver.h"

typedef struct IscsiSession IscsiSession;

/* As asked for; text is the session's. */
typedef struct IscsiConfig {
    char *portal, *target, *user, *password, *initiator;
    int lun;
    int digest;                         /* enum iscsi_header_digest */
    int64_t timeout;                    /* ns; 0: none */
} IscsiConfig;

/* One command; `in` and `out` are the bytes that it moves, one of them at most. */
typedef struct IscsiCommand {
    uint8_t cdb[16];
    unsigned cdb_len;
    BlkVec data;
    uint32_t len;
    bool out;                           /* to the target */
    /* answers */
    uint32_t got;                       /* bytes from the target */
    bool refused;                       /* ILLEGAL REQUEST: it does not know the command or the field */
    int sense;                          /* key << 16 | code; 0: none */
} IscsiCommand;

bool iscsi_library(Error **errp);
int iscsi_digest(const char *name);     /* -1: no such one */

/* Takes the configuration; connects and logs in.  Fiber only. */
IscsiSession *iscsi_session_open(IscsiConfig *c, Error **errp);
void iscsi_session_close(IscsiSession *s);      /* no commands are under way; fiber only */
/* 0 or -errno; fiber only, any loop. */
int iscsi_command(IscsiSession *s, IscsiCommand *c);
/* What waits for a connection fails now, and what comes until there is one. */
void iscsi_session_drain(IscsiSession *s);
void iscsi_config_clear(IscsiConfig *c);

#endif
