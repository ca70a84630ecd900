/* SPDX-License-Identifier: MIT */
/* What a node is, as a record: for image tools and for programs. */
#include "block/image.h"

#include <unistd.h>

#include "block/graph.h"

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
    int64_t sum = -1;

    if (n->drv->allocated) {
        return n->drv->allocated(n);
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        int64_t one = c->role == BLK_CHILD_BACKING ? 0 : blk_node_allocated(c->node);

        if (one < 0) {
            return -1;
        }
        sum = MAX(sum, 0) + one;
    }
    return sum;
}

unsigned blk_chain_depth(const BlkNode *n)
{
    unsigned depth = 0;

    for (n = blk_node_below(n); n; n = blk_node_below(n)) {
        depth++;
    }
    return depth;
}

static void add_backing(Json *j, BlkNode *n)
{
    g_autofree char *full = blk_path_combine(n->filename, n->backing_name);

    json_set_string(j, "full-backing-filename", full);
    json_set_string(j, "backing-filename", n->backing_name);
}

/* A filter's is that of what it filters. */
static bool has_dirty_flag(BlkNode *n)
{
    n = blk_node_skip_filters(n);
    return !n->drv->image || !n->drv->image->no_dirty_flag;
}

void blk_node_info(BlkNode *n, Json *j)
{
    const BlkImageOps *ops = n->drv->image;
    g_autofree char *name = blk_node_full_name(n);
    int64_t allocated;
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
    json_set_string(j, "filename", name);
    if (n->cluster) {
        json_set_uint(j, "cluster-size", n->cluster);
    }
    json_set_string(j, "format", n->drv->name);
    allocated = blk_node_allocated(n);
    if (allocated >= 0) {
        json_set_int(j, "actual-size", allocated);
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
    if (has_dirty_flag(n)) {
        json_set_bool(j, "dirty-flag", ops && ops->dirty && ops->dirty(n));
    }
}

Json *blk_limits_info(const BlkNode *n)
{
    Json *j = json_object();
    const BlkNode *bottom = n;

    while (bottom->file) {
        bottom = bottom->file->node;
    }
    if (n->cluster && n->drv->zeroes) {
        json_set_uint(j, "write-zeroes-alignment", n->cluster);
    }
    json_set_uint(j, "request-alignment", MAX(n->align, 1));
    json_set_uint(j, "min-mem-alignment", MAX(bottom->mem_align, 1));
    if (n->cluster && n->drv->discard) {
        json_set_uint(j, "discard-alignment", n->cluster);
    }
    json_set_uint(j, "opt-mem-alignment", MAX(bottom->mem_align, (uint32_t)sysconf(_SC_PAGESIZE)));
    json_set_uint(j, "max-iov", (uint64_t)sysconf(_SC_IOV_MAX));
    return j;
}

Json *blk_image_info(BlkNode *n, bool chain)
{
    Json *j = json_object();

    blk_node_info(n, j);
    json_set(j, "limits", blk_limits_info(n));
    if (chain && blk_node_below(n)) {
        json_set(j, "backing-image", blk_image_info(blk_node_below(n), true));
    }
    return j;
}
