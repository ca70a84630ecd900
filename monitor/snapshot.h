/* SPDX-License-Identifier: MIT */
/* The machine and its disks as of one moment (docs/saved-state.md).  Fiber of the main loop, session_lock() held. */
#ifndef MONITOR_SNAPSHOT_H
#define MONITOR_SNAPSHOT_H

#include "hw/core/machine.h"
#include "util/json.h"

typedef struct SnapshotWhat {
    const char *tag;                    /* name of the snapshots */
    const char *vmstate;                /* node whose image takes the state; NULL: the first that can */
    const Json *devices;                /* names of nodes; NULL: all that are written or may be */
    bool replace;                       /* save: snapshots of this name go first */
} SnapshotWhat;

/* The machine pauses meanwhile, and goes on if it was running. */
bool snapshot_save(Machine *m, const SnapshotWhat *what, Error **errp);
/* What is refused changes nothing. */
bool snapshot_load(Machine *m, const SnapshotWhat *what, Error **errp);
bool snapshot_delete(Session *s, const SnapshotWhat *what, Error **errp);

#endif
