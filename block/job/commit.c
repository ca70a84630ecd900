/* SPDX-License-Identifier: MIT */
/*
 * commit: what lies between a layer in the middle of a chain and a base moves
 * down into the base, and the layers in between go.  Nobody writes to them, so
 * there is nothing to guard.  (A layer that guests write to is committed by a
 * mirror onto its base.)
 */
#include "block/job/commit.h"

#include "block/image.h"
#include "block/job/copy.h"

typedef struct Commit {
    BlkJob job;
    BlkNode *overlay;               /* the one above top, whose backing file the base becomes */
    BlkNode *top, *base;
    char *backing_file;
    BlkBitmap *todo;
    bool base_was_read_only, overlay_was_read_only;
} Commit;

static int commit_piece(JobCopy *c, uint64_t off, uint64_t len, bool *read)
{
    Commit *s = c->opaque;

    for (uint64_t end = off + len, n; off < end; off += n) {
        BlkExtent e;
        int r = node_status_chain(s->top, s->base, off, end - off, &e);

        n = r == 0 && e.len ? e.len : end - off;
        if (r < 0) {
            *read = true;
            return r;
        }
        if (e.flags & BLK_EXT_ALLOCATED) {
            r = job_copy_range(c, s->top, s->base, off, n, 0, read);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

/* Behind the end of what is committed the overlay has zeroes; a longer base has something else, and will be seen there. */
static int clear_end(Commit *s)
{
    uint64_t from = node_size(s->top), end = MIN(node_size(s->base), node_size(s->overlay));
    int r;

    if (from >= end) {
        return 0;
    }
    job_begin(&s->job);
    r = node_zeroes(s->base, from, end - from, BLK_MAY_UNMAP);
    job_end(&s->job);
    return r;
}

static int commit_run(BlkJob *j)
{
    Commit *s = (Commit *)j;
    JobCopy c;
    int r;

    job_set_total(j, node_size(s->top));
    r = job_find_allocated(j, s->top, s->base, s->todo);
    j->current = j->total - MIN(blk_bitmap_bytes(s->todo), j->total);
    job_copy_init(&c, j, s->todo, commit_piece, s);
    r = r ? r : job_copy_run(&c);
    job_copy_fini(&c);
    r = r ? r : clear_end(s);
    return r ? r : job_flush(j, s->base);
}

static bool commit_prepare(BlkJob *j, Error **errp)
{
    Commit *s = (Commit *)j;
    g_autofree char *name = s->backing_file ? g_strdup(s->backing_file) : blk_node_record_name(s->base, s->overlay->filename);
    BlkGraph *g;

    if (!blk_node_set_read_only(s->overlay, false, errp)) {
        return false;
    }
    g = blk_graph_begin(j->session);
    if (!s->overlay->drv->image->change_backing(s->overlay, name, s->base->drv->name, errp)) {
        blk_graph_abort(g);
        return false;
    }
    blk_graph_set_backing(g, s->overlay, s->base);
    return blk_graph_commit(g, errp);
}

static void commit_clean(BlkJob *j)
{
    Commit *s = (Commit *)j;

    if (s->overlay && s->overlay_was_read_only) {
        blk_node_set_read_only(s->overlay, true, NULL);
    }
    if (s->base && s->base_was_read_only && j->blks->len > 1) {
        blk_set_perm(j->blks->pdata[1], 0, BLK_PERM_ALL, NULL);
        blk_node_set_read_only(s->base, true, NULL);
    }
}

static void commit_free(BlkJob *j)
{
    Commit *s = (Commit *)j;

    blk_bitmap_free(s->todo);
    g_free(s->backing_file);
}

static const JobType commit_type = {
    .name = "commit", .size = sizeof(Commit), .block = true, .run = commit_run, .prepare = commit_prepare, .clean = commit_clean, .free = commit_free,
};

/* A base that is too small grows first. */
bool commit_make_room(BlkNode *base, const BlkNode *top, Error **errp)
{
    return node_size(base) >= node_size(top) || node_resize(base, node_size(top), BLK_PREALLOC_OFF, errp);
}

static bool claim_all(Commit *s, Error **errp)
{
    for (BlkNode *n = s->overlay; n; n = blk_node_below(n)) {
        if (!job_claim(&s->job, n, errp)) {
            return false;
        }
        if (n == s->base) {
            return true;
        }
    }
    return error_set(errp, "'%s' is not in the chain of '%s'", s->base->name, s->overlay->name);
}

BlkJob *commit_start(BlkNode *overlay, BlkNode *top, BlkNode *base, const char *backing_file, const JobParams *p, Error **errp)
{
    Commit *s = job_new(top->session, &commit_type, p, errp);

    if (!s) {
        return NULL;
    }
    if (!blk_can_change_backing(overlay, errp)) {
        job_abandon(&s->job);
        return NULL;
    }
    s->overlay_was_read_only = overlay->read_only;
    s->base_was_read_only = base->read_only;
    s->overlay = overlay;
    s->top = top;
    s->base = base;
    s->backing_file = g_strdup(backing_file);
    s->todo = blk_bitmap_alloc(node_size(top), base->cluster ? CLAMP(base->cluster, 4096u, (uint32_t)COPY_CHUNK) : 65536);
    if (!claim_all(s, errp) || !blk_node_set_read_only(base, false, errp) || !job_add_node(&s->job, top, BLK_PERM_READ, BLK_PERM_ALL, errp) ||
        !job_add_node(&s->job, base, BLK_PERM_READ | BLK_PERM_WRITE_SAME, BLK_PERM_ALL, errp) || !commit_make_room(base, top, errp)) {
        job_abandon(&s->job);
        return NULL;
    }
    job_start(&s->job);
    return &s->job;
}
