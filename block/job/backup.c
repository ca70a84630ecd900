/* SPDX-License-Identifier: MIT */
/*
 * backup: a disk as it is at the moment of the command goes to a target, while
 * the guest goes on writing.  A copy-before-write filter keeps what the guest
 * would overwrite; the job copies the rest through the same filter, each
 * granule once, whoever comes first.
 */
#include "block/job/backup.h"

#include <errno.h>

#include "block/job/cbw.h"
#include "block/job/copy.h"

typedef struct Backup {
    BlkJob job;
    BlkNode *source, *target, *filter;
    BlkNode *guard;                     /* between a target and the source below it */
    BackupSync sync;
    BlkBitmap *bitmap, *before;         /* the user's, and its bits as they were */
    BackupBitmapMode mode;
    bool compress;
} Backup;

static int backup_piece(JobCopy *c, uint64_t off, uint64_t len, bool *read)
{
    Backup *s = c->opaque;

    return cbw_copy(s->filter, off, len, s->compress ? BLK_COMPRESSED_WRITE : 0, read);
}

/* What the layer itself has, of a chain; the rest is not part of the backup. */
static int only_top(Backup *s)
{
    BlkBitmap *todo = cbw_todo(s->filter), *have;
    uint64_t granule = blk_bitmap_granularity(todo);
    int r;

    if (!blk_node_backing(s->source)) {
        return 0;
    }
    have = blk_bitmap_alloc(todo->size, granule);
    r = job_find_allocated(&s->job, s->source, blk_node_backing(s->source), have);
    for (uint64_t off = 0; r == 0 && off < todo->size; off += granule) {
        if (!blk_bitmap_get(have, off)) {
            blk_bitmap_clear(todo, off, granule);
        }
    }
    blk_bitmap_free(have);
    return r;
}

static int wait_for_end(Backup *s)
{
    while (job_go_on(&s->job)) {
        int e = cbw_error(s->filter);

        if (e) {
            return e;
        }
        job_sleep(&s->job, 100000000);
    }
    return -ECANCELED;
}

static int backup_run(BlkJob *j)
{
    Backup *s = (Backup *)j;
    BlkBitmap *todo = cbw_todo(s->filter), *mine;
    JobCopy c;
    int r = 0;

    job_set_total(j, node_size(s->source));
    if (s->sync == BACKUP_NONE) {
        return wait_for_end(s);
    }
    if (s->sync == BACKUP_TOP) {
        r = only_top(s);
    }
    mine = blk_bitmap_alloc(todo->size, blk_bitmap_granularity(todo));      /* the filter clears its own as it copies */
    blk_bitmap_merge(mine, todo);
    if (s->sync == BACKUP_BITMAP || s->sync == BACKUP_TOP) {
        job_set_total(j, blk_bitmap_bytes(mine));
    }
    job_copy_init(&c, j, mine, backup_piece, s);
    r = r ? r : job_copy_run(&c);
    job_copy_fini(&c);
    blk_bitmap_free(mine);
    r = r ? r : cbw_error(s->filter);
    return r ? r : job_flush(j, s->target);
}

/* The bits of the command's moment are put back unless the copy of them is good. */
static void settle_bitmap(Backup *s, bool ok)
{
    if (!s->bitmap) {
        return;
    }
    if (s->mode == BITMAP_NEVER || (s->mode == BITMAP_ON_SUCCESS && !ok)) {
        blk_bitmap_merge(s->bitmap, s->before);
    } else if (!ok && s->filter) {
        blk_bitmap_merge(s->bitmap, cbw_todo(s->filter));
    }
    s->bitmap->busy = false;
    s->bitmap = NULL;
}

static void backup_commit(BlkJob *j)
{
    settle_bitmap((Backup *)j, true);
}

/* Both nodes go at once: nobody sees the one without the other. */
static void remove_nodes(Backup *s)
{
    BlkNode *f = s->filter, *guard = s->guard;
    bool ok;

    if ((f && f->users) || (guard && guard->users)) {
        BlkGraph *g = blk_graph_begin(s->job.session);

        if (guard) {
            blk_graph_replace(g, guard, guard->file->node);
        }
        blk_graph_replace(g, f, f->file->node);
        ok = blk_graph_commit(g, NULL);
        g_assert(ok && "a filter asks for what its users ask for");
    }
    blk_node_unref(guard);
    blk_node_unref(f);
    s->filter = s->guard = NULL;
}

static void backup_clean(BlkJob *j)
{
    Backup *s = (Backup *)j;

    settle_bitmap(s, false);
    remove_nodes(s);
}

static void backup_free(BlkJob *j)
{
    blk_bitmap_free(((Backup *)j)->before);
}

static const JobType backup_type = {
    .name = "backup", .size = sizeof(Backup), .block = true, .run = backup_run, .commit = backup_commit, .clean = backup_clean, .free = backup_free,
};

static bool check(const BackupParams *b, Error **errp)
{
    if (b->source == b->target) {
        return error_set(errp, "Source and target cannot be the same");
    }
    if (node_size(b->source) != node_size(b->target)) {
        return error_set(errp, "Source and target image have different sizes");
    }
    if (b->compress && !b->target->drv->write_compressed) {
        return error_set(errp, "Compression is not supported for this drive %s", b->target->name);
    }
    return true;
}

static BlkNode *make_filter(const BackupParams *b, Error **errp)
{
    Json *o = json_object();

    json_set_string(o, "driver", "copy-before-write");
    json_set_string(o, "file", b->source->name);
    json_set_string(o, "target", b->target->name);
    if (b->filter_name) {
        json_set_string(o, "node-name", b->filter_name);
    }
    return blk_node_open(b->source->session, NULL, o, b->source->flags & (BLK_O_RDWR | BLK_O_UNMAP), errp);
}

/* From now on it records what comes after.  Only a backup by bitmap leaves out what it does not say. */
static void take_bitmap(Backup *s, BlkBitmap *bitmap)
{
    s->bitmap = bitmap;
    s->before = blk_bitmap_alloc(bitmap->size, blk_bitmap_granularity(bitmap));
    blk_bitmap_merge(s->before, bitmap);
    blk_bitmap_clear_all(bitmap);
    if (s->sync == BACKUP_BITMAP) {
        blk_bitmap_clear_all(cbw_todo(s->filter));
        blk_bitmap_merge(cbw_todo(s->filter), s->before);
    }
    bitmap->busy = true;
}

static bool add_guard(Backup *s, BlkGraph *g, Error **errp)
{
    if (s->sync != BACKUP_NONE || blk_node_backing(s->target) != s->source) {
        return true;
    }
    s->guard = cbw_guard_new(s->filter, s->source, errp);
    if (s->guard) {
        blk_graph_set_backing(g, s->target, s->guard);
    }
    return s->guard;
}

bool backup_new(BlkGraph *g, const BackupParams *b, const JobParams *p, BlkJob **job, Error **errp)
{
    Backup *s;

    if (!check(b, errp)) {
        return false;
    }
    s = job_new(b->source->session, &backup_type, p, errp);
    if (!s) {
        return false;
    }
    *job = &s->job;
    s->source = b->source;
    s->target = b->target;
    s->sync = b->sync;
    s->mode = b->mode;
    s->compress = b->compress;
    if (!job_claim(&s->job, b->source, errp) || !job_claim(&s->job, b->target, errp) || !job_add_node(&s->job, b->source, 0, BLK_PERM_ALL, errp) ||
        !(s->filter = make_filter(b, errp)) || !job_claim(&s->job, s->filter, errp)) {
        return false;
    }
    blk_graph_replace(g, b->source, s->filter);
    if (!add_guard(s, g, errp) || !blk_graph_apply(g, errp)) {
        return false;
    }
    if (b->bitmap) {
        take_bitmap(s, b->bitmap);
    }
    return true;
}
