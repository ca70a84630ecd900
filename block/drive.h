/* SPDX-License-Identifier: MIT */
/*
 * Drives: -drive, -hda, -cdrom ... : a handle (Blk) with a place on a board.
 *
 * drive_add() opens the image and remembers where it is meant to go; boards
 * ask with drive_get() for the places that they have, devices find theirs by
 * id (blk_find()).  What nobody claimed is reported with drive_unclaimed().
 * -blockdev makes nodes without a drive; a device may name a node too
 * (drive_resolve()).
 *
 * Main thread.  Drives live as long as their session.
 */
#ifndef BLOCK_DRIVE_H
#define BLOCK_DRIVE_H

#include "block/block.h"

typedef enum { DRIVE_NONE, DRIVE_IDE, DRIVE_SCSI, DRIVE_FLOPPY, DRIVE_PFLASH, DRIVE_MTD, DRIVE_SD, DRIVE_VIRTIO, DRIVE_XEN, DRIVE_DEFAULT } DriveIf;
/* What happens to the machine when a request fails. */
typedef enum { DRIVE_ERROR_REPORT, DRIVE_ERROR_IGNORE, DRIVE_ERROR_STOP, DRIVE_ERROR_ENOSPC } DriveErrorAction;

typedef struct Drive {
    Blk *blk;
    DriveIf kind;
    int bus, unit, index;
    bool cdrom;
    bool claimed;                       /* set by whoever attached it */
    DriveErrorAction werror, rerror;
    char *serial;                       /* refused by -drive today; NULL */
    char *text;                         /* as typed, for messages */
} Drive;

const char *drive_if_name(DriveIf kind);            /* "virtio" */
/*
 * The text of one -drive.  `board` is where a drive without if= goes (and how
 * many units a bus of each kind has: max_devs[DriveIf], 0 for no limit).
 * `snapshot` is -snapshot: writes go to a temporary file.
 */
typedef struct DriveBoard {
    DriveIf kind;
    int max_devs[DRIVE_DEFAULT];
} DriveBoard;
Drive *drive_add(Session *s, const char *text, const DriveBoard *board, bool snapshot, Error **errp);
/* -hda FILE and its like: if=KIND,index=N,file=FILE,media=... without the comma rules. */
Drive *drive_add_file(Session *s, const char *file, DriveIf kind, int index, bool cdrom, const DriveBoard *board, bool snapshot, Error **errp);
Drive *drive_get(Session *s, DriveIf kind, int bus, int unit);
Drive *drive_get_index(Session *s, DriveIf kind, int index);
/* By the handle. */
Drive *drive_of(Session *s, const Blk *b);
/* The drive goes, and its handle. */
void drive_forget(Session *s, Blk *b);
/* The first of this kind that nobody claimed, in the order of adding; NULL when none is left. */
Drive *drive_unclaimed(Session *s, DriveIf kind);

/* -blockdev: key=value or JSON; the node belongs to the session. */
bool blockdev_add(Session *s, const char *text, Error **errp);
/* The same of an object (taken over), and away with it: refused while it is used. */
bool blockdev_add_json(Session *s, Json *options, Error **errp);
bool blockdev_del(Session *s, const char *node_name, Error **errp);
/* The property drive=NAME of a device: a drive's handle, or a fresh one on a node.  "can't find value 'NAME'" is the caller's text. */
Blk *drive_resolve(Session *s, const char *name, Error **errp);

/* A temporary copy-on-write layer over a node, gone with it; takes the reference over. */
BlkNode *blk_node_overlay(BlkNode *n, unsigned flags, Error **errp);

#endif
