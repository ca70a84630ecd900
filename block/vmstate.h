/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of several disks at once, and the state of a machine beside one of
 * them (docs/saved-state.md).
 *
 * The state lies in an image behind the end of its disk, where no request can
 * reach it: it is written there, a snapshot takes it along, and what is left
 * of it in the disk's own tables is dropped.  All functions run in a fiber of
 * the main loop with session_lock() held; those that change images want the
 * session drained.
 */
#ifndef BLOCK_VMSTATE_H
#define BLOCK_VMSTATE_H

#include "block/image.h"

typedef struct SnapDisk {
    BlkNode *node;                      /* referenced; whose format has the snapshots: below filters */
    char *name;                         /* as messages call it */
} SnapDisk;

/*
 * The disks that a snapshot takes in, of SnapDisk: those of these node names, or (NULL) all that are written or may be.
 * `able`: one that cannot have snapshots is an error.
 */
GPtrArray *snap_disks(Session *s, const Json *names, bool able, Error **errp);
bool snap_disk_able(const SnapDisk *d);
/* Whose image takes the machine's state: the one of this node name, or (NULL) the first that can. */
const SnapDisk *snap_disks_vm(const GPtrArray *disks, const char *name, Error **errp);

bool snap_disks_any(const GPtrArray *disks, const char *tag);       /* one has a snapshot of this name */
bool snap_disks_all(const GPtrArray *disks, const char *tag);
/* All or none; sn->vm_state_size is that of `vm`, the others have 0. */
bool snap_disks_create(const GPtrArray *disks, const SnapDisk *vm, const BlkSnapshot *sn, Error **errp);
/* Nothing holds them back: jobs, bitmaps that would not tell of the change. */
bool snap_disks_check_apply(const GPtrArray *disks, Error **errp);
bool snap_disks_apply(const GPtrArray *disks, const char *tag, Error **errp);
bool snap_disks_delete(const GPtrArray *disks, const char *tag, Error **errp);     /* where there is one */

/* The bytes of a file as the state that the next snapshot of the image takes along. */
bool snap_state_write(const SnapDisk *vm, int fd, uint64_t *size, Error **errp);
/* The state of a snapshot into a file. */
bool snap_state_read(const SnapDisk *vm, const char *tag, int fd, Error **errp);

/* What people read of all of them. */
bool snap_disks_text(const GPtrArray *disks, GString *out, Error **errp);

#endif
