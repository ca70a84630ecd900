/* SPDX-License-Identifier: MIT */
/* Disks by hand: drive_add, drive_del, eject, change. */
#include <string.h>

#include "block/cmd-priv.h"
#include "block/drive.h"
#include "block/job/job.h"

/* ---- drive_add, drive_del ---- */

static bool add_run(MonCall *call, Error **errp)
{
    const char *opts = json_get_string(call->args, "opts");
    DriveBoard board = { .kind = DRIVE_NONE };
    Drive *d;

    if (!json_get_bool(call->args, "node", false)) {
        d = drive_add(call->session, opts, &board, false, errp);
        if (d && d->kind != DRIVE_NONE) {
            return error_set(errp, "Can't hot-add drive to type %d: if=none, and device_add", d->kind);
        }
        if (d) {
            g_string_append(call->out, "OK\n");
        }
        return d;
    }
    return blockdev_add(call->session, opts, errp);
}
static const OptKey add_keys[] = { { "node", OPT_BOOL, .alias = "n" }, { "pci_addr", OPT_STRING, .must = true }, { "opts", OPT_STRING, .must = true }, {} };
COMMAND(add_command, .name = "drive_add", .params = "[-n] [[<domain>:]<bus>:]<slot> [file=file][,if=type][,...]", .help = "add drive to PCI storage controller",
        .keys = add_keys, .waits = true, .rest = true, .run = add_run);

static bool del_run(MonCall *call, Error **errp)
{
    const char *id = json_get_string(call->args, "id");
    Blk *b = blk_find(call->session, id);

    if (!b) {
        if (blk_node_find(call->session, id)) {
            return blockdev_del(call->session, id, errp);
        }
        return error_set(errp, "Device '%s' not found", id);
    }
    if (blk_node(b) && !job_check_free(blk_node(b), errp)) {
        return false;
    }
    blk_eject(b);                           /* a device that has it gets errors from now on */
    if (!blk_device(b)) {
        drive_forget(call->session, b);
    }
    return true;
}
static const OptKey del_keys[] = { { "id", OPT_STRING, .must = true }, {} };
COMMAND(del_command, .name = "drive_del", .params = "device", .help = "remove host block device", .keys = del_keys, .waits = true, .run = del_run);

/* ---- media: no device of today has any that can be changed ---- */

static bool not_removable(MonCall *call, const char *name, Error **errp)
{
    if (!blk_find(call->session, name)) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    }
    return error_set(errp, "Device '%s' is not removable", name);
}

static bool eject_run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device"), *id = json_get_string(call->args, "id");

    if (!device == !id) {
        return error_set(errp, "Need exactly one of 'device' and 'id'");
    }
    return not_removable(call, device ? device : id, errp);
}
static const OptKey eject_keys[] = { { "device", OPT_STRING }, { "id", OPT_STRING }, { "force", OPT_BOOL }, {} };
COMMAND(eject_command, .qmp = "eject", .keys = eject_keys, .run = eject_run);

static const OptKey human_eject_keys[] = { { "force", OPT_BOOL }, { "device", OPT_STRING, .must = true }, {} };
COMMAND(human_eject_command, .name = "eject", .params = "[-f] device", .help = "eject a removable medium (use -f to force it)", .keys = human_eject_keys, .run = eject_run);

static bool change_run(MonCall *call, Error **errp)
{
    return not_removable(call, json_get_string(call->args, "device"), errp);
}
static const OptKey change_keys[] = { { "force", OPT_BOOL }, { "device", OPT_STRING, .must = true }, { "target", OPT_STRING, .must = true }, { "arg", OPT_STRING }, {} };
COMMAND(change_command, .name = "change", .params = "[-f] device filename [format]", .help = "change a removable medium, optional format", .keys = change_keys,
        .waits = true, .run = change_run);
