/* SPDX-License-Identifier: MIT */
/* What the command files of the block layer share. */
#ifndef BLOCK_CMD_PRIV_H
#define BLOCK_CMD_PRIV_H

#include "block/driver.h"
#include "io/command.h"
#include "io/qmp.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)
#define EVENT(row, ...) static const QmpEvent row = { __VA_ARGS__ }; QMP_EVENT(row)

/* The node of a handle's id or of a node's name; borrowed. */
BlkNode *cmd_node(Session *s, const char *device, const char *name, Error **errp);

/* The handle that a program means: a drive's id, or a device's id or path; exactly one is given. */
Blk *cmd_blk(Session *s, const char *device, const char *id, Error **errp);

/*
 * Actions: what may stand in a transaction.  prepare() does what can fail, on
 * a drained session; then all of the transaction's are committed, or aborted
 * in the opposite order.
 */
typedef struct Action Action;
typedef struct ActionKind {
    const char *name;
    const OptKey *keys;
    size_t size;                        /* of its own struct, which begins with Action */
    bool (*prepare)(Action *a, Error **errp);
    void (*commit)(Action *a);          /* may be NULL, as the two below */
    void (*abort)(Action *a);
    void (*clean)(Action *a);           /* after either, once the drain has ended; of one whose prepare() failed too */
} ActionKind;
struct Action {
    const ActionKind *kind;
    Session *session;
    Json *args;                         /* checked */
    struct Transaction *transaction;
};
#define ACTION_KIND(row) ROW_IN_SECTION(block_actions, ActionKind, row)
/* One action by itself, as the command of its name. */
bool action_run(MonCall *call, const char *name, Error **errp);

/* cmd-snapshot.c */
typedef struct BlkGraph BlkGraph;
/* The users of n use `overlay` from now on, whose backing file n becomes. */
bool blk_overlay_attach(BlkGraph *g, BlkNode *n, BlkNode *overlay, Error **errp);
/* An image of this size in a new file, above `backing` (may be NULL); and its node without anything below. */
bool blk_image_create_for(Session *s, const char *file, const char *format, uint64_t size, BlkNode *backing, Error **errp);
BlkNode *blk_image_open_alone(Session *s, const char *file, const char *format, const char *node_name, unsigned flags, Error **errp);

#endif
