/* SPDX-License-Identifier: MIT */
/* Snapshots inside of an image, while it is used. */
#include <string.h>

#include "block/image.h"
#include "block/job/job.h"
#include "block/transaction.h"

/* The first that has this id and this name; each may be NULL: any. */
static const BlkSnapshot *find(const GPtrArray *list, const char *id, const char *name)
{
    for (unsigned i = 0; i < list->len; i++) {
        const BlkSnapshot *sn = list->pdata[i];

        if ((!id || !strcmp(sn->id, id)) && (!name || !strcmp(sn->name, name))) {
            return sn;
        }
    }
    return NULL;
}

static BlkNode *node_with_snapshots(Session *s, const char *device, Error **errp)
{
    BlkNode *n = cmd_node(s, device, device, errp);

    if (!n || !job_check_free(n, errp)) {
        return NULL;
    }
    if (n->read_only) {
        error_set(errp, "Device '%s' is read only", device);
        return NULL;
    }
    if (!n->drv->image || !n->drv->image->snapshot_create) {
        error_set(errp, "Block format '%s' used by device '%s' does not support internal snapshots", n->drv->name, device);
        return NULL;
    }
    return n;
}

/* ---- blockdev-snapshot-internal-sync ---- */

typedef struct { Action a; BlkNode *made; } InternalAction;

static bool internal_prepare(Action *a, Error **errp)
{
    InternalAction *s = (InternalAction *)a;
    const char *device = json_get_string(a->args, "device"), *name = json_get_string(a->args, "name");
    g_autoptr(GPtrArray) list = NULL;
    int64_t now = loop_wall_time();
    BlkSnapshot sn = { .name = (char *)name, .date_sec = (uint32_t)(now / 1000000), .date_nsec = (uint32_t)(now % 1000000 * 1000), .icount = UINT64_MAX };
    BlkNode *n = node_with_snapshots(a->session, device, errp);

    if (!n) {
        return false;
    }
    if (!*name) {
        return error_set(errp, "Name is empty");
    }
    list = n->drv->image->snapshot_list(n);
    if (find(list, NULL, name)) {
        return error_set(errp, "Snapshot with name '%s' already exists on device '%s'", name, device);
    }
    if (!n->drv->image->snapshot_create(n, &sn, errp)) {
        return error_prepend(errp, "Failed to create snapshot '%s' on device '%s': ", name, device);
    }
    s->made = blk_node_ref(n);
    return true;
}

static void internal_abort(Action *a)
{
    BlkNode *n = ((InternalAction *)a)->made;
    g_autoptr(GPtrArray) list = n->drv->image->snapshot_list(n);
    const BlkSnapshot *sn = find(list, NULL, json_get_string(a->args, "name"));

    if (sn) {
        n->drv->image->snapshot_delete(n, sn->id, NULL);
    }
}

static void internal_clean(Action *a)
{
    blk_node_unref(((InternalAction *)a)->made);
}
static const OptKey internal_keys[] = { { "device", OPT_STRING, .must = true }, { "name", OPT_STRING, .must = true }, {} };
static const ActionKind internal_action = {
    .name = "blockdev-snapshot-internal-sync", .keys = internal_keys, .size = sizeof(InternalAction), .prepare = internal_prepare, .abort = internal_abort, .clean = internal_clean,
};
ACTION_KIND(internal_action);

static bool internal_run(MonCall *call, Error **errp)
{
    return action_run(call, "blockdev-snapshot-internal-sync", errp);
}
COMMAND(internal_command, .name = "snapshot_blkdev_internal", .qmp = "blockdev-snapshot-internal-sync", .params = "device name",
        .help = "take an internal snapshot of device", .keys = internal_keys, .waits = true, .run = internal_run);

/* ---- blockdev-snapshot-delete-internal-sync ---- */

static Json *record_of(const BlkSnapshot *sn)
{
    g_autoptr(GPtrArray) one = g_ptr_array_new();
    g_autoptr(Json) list = NULL;

    g_ptr_array_add(one, (void *)sn);
    list = blk_snapshots_info(one);
    return json_ref(json_at(list, 0));
}

static bool delete_run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device"), *id = json_get_string(call->args, "id"), *name = json_get_string(call->args, "name");
    g_autoptr(GPtrArray) list = NULL;
    const BlkSnapshot *sn;
    BlkNode *n = NULL;
    BlkDrain *d;
    bool ok;

    if (!id && !name) {
        return error_set(errp, "Name or id must be provided");
    }
    n = node_with_snapshots(call->session, device, errp);
    if (!n) {
        return false;
    }
    list = n->drv->image->snapshot_list(n);
    sn = find(list, id, name);
    if (!sn) {
        return error_set(errp, "Snapshot with id '%s' and name '%s' does not exist on device '%s'", id ? id : "null", name ? name : "null", device);
    }
    d = blk_drain_session(call->session);
    ok = n->drv->image->snapshot_delete(n, sn->id, errp);
    blk_undrain(d);
    if (ok && !call->out) {
        call->ret = record_of(sn);
    }
    return ok;
}
static const OptKey delete_keys[] = { { "device", OPT_STRING, .must = true }, { "name", OPT_STRING }, { "id", OPT_STRING }, {} };
COMMAND(delete_command, .name = "snapshot_delete_blkdev_internal", .qmp = "blockdev-snapshot-delete-internal-sync", .params = "device name [id]",
        .help = "delete an internal snapshot of device", .keys = delete_keys, .waits = true, .run = delete_run, .ret_type = "any");
