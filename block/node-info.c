/* SPDX-License-Identifier: MIT */
/* What a node is, as a record: for image tools and for programs. */
#include "block/image.h"

static Json *snapshot_record(const BlkSnapshot *sn)
{
    Json *j = json_object();

    if (sn->icount != UINT64_MAX) {
        json_set_uint(j, "icount", sn->icount);
    }
    json_set_uint(j, "vm-clock-nsec", sn->vm_clock_nsec % 1000000000);
    json_set_string(j, "name", sn->name);
    json_set_uint(j, "date-sec", sn->date_sec);
    json_set_uint(j, "date-nsec", sn->date_nsec);
    json_set_uint(j, "vm-clock-sec", sn->vm_clock_nsec / 1000000000);
    json_set_string(j, "id", sn->id);
    json_set_uint(j, "vm-state-size", sn->vm_state_size);
    return j;
}

Json *blk_snapshots_info(const GPtrArray *list)
{
    Json *a = json_array();

    for (unsigned i = 0; i < list->len; i++) {
        json_append(a, snapshot_record(list->pdata[i]));
    }
    return a;
}

int64_t blk_node_allocated(BlkNode *n)
{
    while (n && !n->drv->allocated) {
        n = n->file ? n->file->node : NULL;
    }
    return n ? n->drv->allocated(n) : -1;
}

static void add_backing(Json *j, BlkNode *n)
{
    g_autofree char *full = blk_path_combine(n->filename, n->backing_name);

    json_set_string(j, "full-backing-filename", full);
    json_set_string(j, "backing-filename", n->backing_name);
}

void blk_node_info(BlkNode *n, Json *j)
{
    const BlkImageOps *ops = n->drv->image;
    Json *special;

    if (n->backing_format) {
        json_set_string(j, "backing-filename-format", n->backing_format);
    }
    if (ops && ops->snapshot_list) {
        g_autoptr(GPtrArray) list = ops->snapshot_list(n);

        if (list->len) {
            json_set(j, "snapshots", blk_snapshots_info(list));
        }
    }
    json_set_uint(j, "virtual-size", node_size(n));
    json_set_string(j, "filename", n->filename);
    if (n->cluster) {
        json_set_uint(j, "cluster-size", n->cluster);
    }
    json_set_string(j, "format", n->drv->name);
    if (blk_node_allocated(n) >= 0) {
        json_set_int(j, "actual-size", blk_node_allocated(n));
    }
    special = ops && ops->info ? ops->info(n) : NULL;
    if (special) {
        json_set(j, "format-specific", special);
    }
    if (n->backing_name) {
        add_backing(j, n);
    }
    if (ops && ops->encrypted && ops->encrypted(n)) {
        json_set_bool(j, "encrypted", true);
    }
    if (!ops || !ops->no_dirty_flag) {
        json_set_bool(j, "dirty-flag", ops && ops->dirty && ops->dirty(n));
    }
}
