/* SPDX-License-Identifier: MIT */
#include "block/vmstate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/block-priv.h"
#include "block/job/job.h"

enum { CHUNK = 1 << 20 };

/* ---- which disks ---- */

static void disk_free(void *p)
{
    SnapDisk *d = p;

    blk_node_unref(d->node);
    g_free(d->name);
    g_free(d);
}

bool snap_disk_able(const SnapDisk *d)
{
    const BlkImageOps *ops = d->node->drv->image;

    return ops && ops->snapshot_create && ops->vmstate_write && ops->vmstate_write(d->node, 0, NULL, 0) == 0;
}

static const char *name_of(const BlkNode *n)
{
    for (const BlkChild *c = n->users; c; c = c->next_user) {
        if (c->blk && *blk_name(c->blk)) {
            return blk_name(c->blk);
        }
    }
    return n->name;
}

static void add_disk(GPtrArray *disks, BlkNode *n)
{
    BlkNode *real = blk_node_skip_filters(n);
    SnapDisk *d;

    real = real ? real : n;
    for (unsigned i = 0; i < disks->len; i++) {
        if (((SnapDisk *)disks->pdata[i])->node == real) {
            return;
        }
    }
    d = g_new0(SnapDisk, 1);
    d->node = blk_node_ref(real);
    d->name = g_strdup(name_of(n));
    g_ptr_array_add(disks, d);
}

static void add_used(Blk *b, void *opaque)
{
    if (blk_present(b) && !blk_read_only(b)) {
        add_disk(opaque, blk_node(b));
    }
}

static void add_unused(BlkNode *n, void *opaque)
{
    if (!n->users && !n->read_only) {
        add_disk(opaque, n);
    }
}

static bool add_named(Session *s, GPtrArray *disks, const Json *names, Error **errp)
{
    if (!json_size(names)) {
        return error_set(errp, "At least one device is required for snapshot");
    }
    for (unsigned i = 0; i < json_size(names); i++) {
        const char *name = json_as_string(json_at(names, i));
        BlkNode *n = name ? blk_node_find(s, name) : NULL;

        if (!n) {
            return error_set(errp, "No block device node '%s'", name ? name : "");
        }
        if (n->read_only) {
            return error_set(errp, "Device '%s' is read only", name);
        }
        add_disk(disks, n);
    }
    return true;
}

static bool all_able(const GPtrArray *disks, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];

        if (!snap_disk_able(d)) {
            return error_set(errp, "Device '%s' is writable but does not support snapshots", d->name);
        }
        if (!job_check_free(d->node, errp)) {
            return false;
        }
    }
    return true;
}

GPtrArray *snap_disks(Session *s, const Json *names, bool able, Error **errp)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func(disk_free);

    if (names && !add_named(s, disks, names, errp)) {
        g_ptr_array_unref(disks);
        return NULL;
    }
    if (!names) {
        blks_foreach(s, add_used, disks);
        blk_nodes_foreach(s, add_unused, disks);
    }
    if (able && !all_able(disks, errp)) {
        g_ptr_array_unref(disks);
        return NULL;
    }
    return disks;
}

const SnapDisk *snap_disks_vm(const GPtrArray *disks, const char *name, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];

        if (name ? !strcmp(d->node->name, name) || !strcmp(d->name, name) : snap_disk_able(d)) {
            return d;
        }
    }
    if (name) {
        error_set(errp, "vmstate block device '%s' does not exist", name);
    } else {
        error_set(errp, "no block device can store vmstate for snapshot");
    }
    return NULL;
}

/* ---- snapshots of all ---- */

static GPtrArray *list_of(const SnapDisk *d)
{
    const BlkImageOps *ops = d->node->drv->image;

    return ops && ops->snapshot_list ? ops->snapshot_list(d->node) : g_ptr_array_new();
}

static const BlkSnapshot *find(const GPtrArray *list, const char *tag)
{
    for (unsigned i = 0; i < list->len; i++) {
        const BlkSnapshot *sn = list->pdata[i];

        if (!strcmp(sn->name, tag)) {
            return sn;
        }
    }
    return NULL;
}

static unsigned count(const GPtrArray *disks, const char *tag)
{
    unsigned n = 0;

    for (unsigned i = 0; i < disks->len; i++) {
        g_autoptr(GPtrArray) list = list_of(disks->pdata[i]);

        n += find(list, tag) != NULL;
    }
    return n;
}

bool snap_disks_any(const GPtrArray *disks, const char *tag)
{
    return count(disks, tag) > 0;
}

bool snap_disks_all(const GPtrArray *disks, const char *tag)
{
    return count(disks, tag) == disks->len;
}

static bool delete_one(const SnapDisk *d, const char *tag, Error **errp)
{
    g_autoptr(GPtrArray) list = list_of(d);
    const BlkSnapshot *sn = find(list, tag);

    return !sn || d->node->drv->image->snapshot_delete(d->node, sn->id, errp) || error_prepend(errp, "Failed to delete snapshot '%s' on device '%s': ", tag, d->name);
}

bool snap_disks_delete(const GPtrArray *disks, const char *tag, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        if (!delete_one(disks->pdata[i], tag, errp)) {
            return false;
        }
    }
    return true;
}

bool snap_disks_create(const GPtrArray *disks, const SnapDisk *vm, const BlkSnapshot *sn, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];
        BlkSnapshot one = *sn;

        one.vm_state_size = d == vm ? sn->vm_state_size : 0;
        if (!d->node->drv->image->snapshot_create(d->node, &one, errp)) {
            while (i--) {
                delete_one(disks->pdata[i], sn->name, NULL);
            }
            return error_prepend(errp, "Failed to create snapshot '%s' on device '%s': ", sn->name, d->name);
        }
    }
    return true;
}

bool snap_disks_check_apply(const GPtrArray *disks, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];

        if (d->node->bitmaps) {
            return error_set(errp, "Device '%s' has active dirty bitmaps", d->name);
        }
    }
    return true;
}

bool snap_disks_apply(const GPtrArray *disks, const char *tag, Error **errp)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];
        g_autoptr(GPtrArray) list = list_of(d);
        const BlkSnapshot *sn = find(list, tag);

        if (!sn || !d->node->drv->image->snapshot_apply(d->node, sn->id, errp)) {
            return error_prepend(errp, "Could not load snapshot '%s' on '%s': ", tag, d->name);
        }
    }
    return true;
}

/* ---- the machine's state ---- */

/* The last chunk is filled up: nothing of a backing file shows in it. */
bool snap_state_write(const SnapDisk *vm, int fd, uint64_t *size, Error **errp)
{
    uint8_t *buf = blk_buffer(CHUNK);
    ssize_t got = 1;
    int r = 0;

    for (*size = 0; r == 0 && got > 0; *size += (uint64_t)MAX(got, 0)) {
        got = TEMP_FAILURE_RETRY(pread(fd, buf, CHUNK, (off_t)*size));
        r = got < 0 ? -errno : 0;
        if (got > 0) {
            memset(buf + got, 0, CHUNK - (size_t)got);
            r = vm->node->drv->image->vmstate_write(vm->node, *size, buf, CHUNK);
        }
    }
    free(buf);
    return r == 0 || error_set_errno(errp, -r, "the machine's state could not be written to '%s'", vm->name);
}

static int copy_out(const SnapDisk *vm, const BlkSnapshot *sn, int fd)
{
    uint8_t *buf = blk_buffer(CHUNK);
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < sn->vm_state_size; at += CHUNK) {
        uint64_t now = MIN(CHUNK, sn->vm_state_size - at);

        r = vm->node->drv->image->vmstate_read(vm->node, sn->id, at, buf, now);
        if (r == 0) {
            ssize_t put = TEMP_FAILURE_RETRY(pwrite(fd, buf, now, (off_t)at));

            r = put < 0 ? -errno : (uint64_t)put < now ? -ENOSPC : 0;
        }
    }
    free(buf);
    return r;
}

bool snap_state_read(const SnapDisk *vm, const char *tag, int fd, Error **errp)
{
    g_autoptr(GPtrArray) list = list_of(vm);
    const BlkSnapshot *sn = find(list, tag);
    int r;

    if (!sn || !sn->vm_state_size) {
        return error_set(errp, "This is a disk-only snapshot. Revert to it  offline using qemu-img");
    }
    r = copy_out(vm, sn, fd);
    return r == 0 || error_set_errno(errp, -r, "the machine's state could not be read from '%s'", vm->name);
}

/* ---- for people ---- */

/* Those of one disk that all have, or those that not all have. */
static Json *pick(const GPtrArray *disks, const GPtrArray *list, bool everywhere)
{
    g_autoptr(GPtrArray) some = g_ptr_array_new();

    for (unsigned i = 0; i < list->len; i++) {
        BlkSnapshot *sn = list->pdata[i];

        if (snap_disks_all(disks, sn->name) == everywhere) {
            g_ptr_array_add(some, sn);
        }
    }
    return blk_snapshots_info(some);
}

static void partial_text(const GPtrArray *disks, GString *out)
{
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapDisk *d = disks->pdata[i];
        g_autoptr(GPtrArray) list = list_of(d);
        g_autoptr(Json) some = pick(disks, list, false);

        if (json_size(some)) {
            g_string_append_printf(out, "\nList of partial (non-loadable) snapshots on '%s':\n", d->name);
            blk_snapshot_rows_text(out, some);
        }
    }
}

bool snap_disks_text(const GPtrArray *disks, GString *out, Error **errp)
{
    const SnapDisk *vm = snap_disks_vm(disks, NULL, errp);
    g_autoptr(GPtrArray) list = vm ? list_of(vm) : NULL;
    g_autoptr(Json) common = vm ? pick(disks, list, true) : NULL;
    g_autoptr(GString) partial = g_string_new(NULL);

    if (!vm) {
        return false;
    }
    partial_text(disks, partial);
    if (!json_size(common) && !partial->len) {
        g_string_append(out, "There is no snapshot available.\n");
        return true;
    }
    for (unsigned i = 0; i < json_size(common); i++) {
        json_set_string(json_at(common, i), "id", "--");    /* each disk has its own */
    }
    g_string_append(out, "List of snapshots present on all disks:\n");
    if (json_size(common)) {
        blk_snapshot_rows_text(out, common);
    } else {
        g_string_append(out, "None\n");
    }
    g_string_append_len(out, partial->str, (gssize)partial->len);
    return true;
}
