/* SPDX-License-Identifier: MIT */
#include "system/drives.h"

#include <string.h>

#include "block/drive.h"
#include "block/iscsi.h"

enum { FLASHES = 2 };

struct Drives {
    DriveBoard board;
    MachineDrive flashes[FLASHES + 1];
};

/* Where a drive without if= goes, and what the board has places for. */
static void board_of(const MachineType *type, DriveBoard *board)
{
    board->kind = DRIVE_NONE;
    for (DriveIf k = DRIVE_NONE; k < DRIVE_DEFAULT; k++) {
        if (type->block_default && !strcmp(type->block_default, drive_if_name(k))) {
            board->kind = k;
        }
    }
}

static bool open_blockdev(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;

    return blockdev_add(s->session, a->text, errp);
}

static bool take_iscsi(const CmdArg *a, void *data, Error **errp)
{
    return iscsi_defaults(((System *)data)->session, a->value, errp);
}

static bool open_drive(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    Drive *d = drive_add(s->session, a->text, &s->drives->board, cmdline_has(s->cl, "snapshot"), errp);

    if (d && d->kind != DRIVE_NONE && d->kind != DRIVE_VIRTIO && d->kind != DRIVE_PFLASH) {
        return error_set(errp, "machine type does not support if=%s,bus=%d,unit=%d", drive_if_name(d->kind), d->bus, d->unit);
    }
    return d;
}

bool drives_open(System *s, Error **errp)
{
    s->drives = g_new0(struct Drives, 1);
    board_of(s->type, &s->drives->board);
    return cmdline_each(s->cl, "iscsi", take_iscsi, s, errp) && cmdline_each(s->cl, "blockdev", open_blockdev, s, errp) && cmdline_each(s->cl, "drive", open_drive, s, errp);
}

void drives_plan(System *s, MachineConfig *config)
{
    unsigned n = 0;

    for (int unit = 0; unit < FLASHES; unit++) {
        Drive *d = drive_get(s->session, DRIVE_PFLASH, 0, unit);

        if (d) {
            s->drives->flashes[n++] = (MachineDrive){
                .interface = "pflash", .unit = unit, .node = blk_name(d->blk), .readonly = blk_read_only(d->blk),
            };
        }
    }
    config->drives = s->drives->flashes;
}

bool drives_devices(System *s, Error **errp)
{
    Drive *d;

    while ((d = drive_unclaimed(s->session, DRIVE_VIRTIO))) {
        const char *opts[] = { "driver", "virtio-blk-pci", "drive", blk_name(d->blk), NULL };

        if (!machine_add_device(s->machine, opts, errp)) {
            return error_prepend(errp, "-drive %s: ", d->text);
        }
        d->claimed = true;
    }
    return true;
}

void drives_close(System *s)
{
    g_clear_pointer(&s->drives, g_free);
}
