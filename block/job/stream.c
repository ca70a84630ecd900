/* SPDX-License-Identifier: MIT */
/*
 * stream: what a disk has in its backing files moves up into it.
 *
 * A filter sits on the disk meanwhile.  The copy of a piece owns its range in
 * the filter, so that a guest's write to it is not overwritten with what was
 * below.
 */
#include "block/job/stream.h"

#include <errno.h>

#include "block/image.h"
#include "block/job/copy.h"
#include "block/job/job-filter.h"

typedef struct Stream {
    BlkJob job;
    BlkNode *node, *filter;
    BlkNode *base;                  /* stays; NULL: nothing does.  Referenced */
    char *backing_file;             /* to be written into the image; NULL: base's name */
    BlkBitmap *todo;
    bool was_read_only;
} Stream;

/* Missing in the layer itself, and there between it and the base. */
static int stream_piece(JobCopy *c, uint64_t off, uint64_t len, bool *read)
{
    Stream *s = c->opaque;
    RangeHold hold;
    int r = 0;

    range_enter(job_filter_ranges(s->filter), &hold, off, len, true);
    for (uint64_t end = off + len, n; off < end && r == 0; off += n) {
        BlkExtent e;

        r = node_status(s->node, off, end - off, &e);
        n = r == 0 && e.len ? e.len : end - off;
        if (r == 0 && !(e.flags & BLK_EXT_ALLOCATED)) {
            r = node_status_chain(s->node, s->base, off, n, &e);
            n = r == 0 && e.len ? e.len : n;
            if (r == 0 && (e.flags & BLK_EXT_ALLOCATED)) {
                r = job_copy_range(c, s->node, s->node, off, n, BLK_SAME, read);
                continue;
            }
        }
        *read = r < 0;
    }
    range_leave(job_filter_ranges(s->filter), &hold);
    return r;
}

/* Behind the end of what lies below there are zeroes; a longer base would answer for them. */
static void want_end(Stream *s, const BlkNode *below)
{
    uint64_t from = node_size(below), end = s->base ? MIN(node_size(s->base), node_size(s->node)) : 0;

    if (from < end) {
        blk_bitmap_set(s->todo, from, end - from);
    }
}

static int stream_run(BlkJob *j)
{
    Stream *s = (Stream *)j;
    BlkNode *below = blk_node_backing(s->node);
    JobCopy c;
    int r;

    job_set_total(j, node_size(s->node));
    if (!below || below == s->base) {
        job_progress(j, j->total);
        return 0;
    }
    r = job_find_allocated(j, below, s->base, s->todo);
    want_end(s, below);
    j->current = j->total - blk_bitmap_bytes(s->todo);
    job_copy_init(&c, j, s->todo, stream_piece, s);
    r = r ? r : job_copy_run(&c);
    job_copy_fini(&c);
    return r ? r : job_flush(j, s->node);
}

/* The chain gets shorter: first in the image, then in the graph. */
static bool stream_prepare(BlkJob *j, Error **errp)
{
    Stream *s = (Stream *)j;
    g_autofree char *name = !s->base ? NULL : s->backing_file ? g_strdup(s->backing_file) : blk_node_record_name(s->base, s->node->filename);
    const char *format = s->base ? blk_node_skip_filters(s->base)->drv->name : NULL;
    BlkGraph *g;
    int r;

    if (blk_node_backing(s->node) == s->base) {
        return true;
    }
    g = blk_graph_begin(j->session);
    r = node_flush(s->node);
    if (r < 0 || !s->node->drv->image->change_backing(s->node, name, format, errp)) {
        blk_graph_abort(g);
        return r == 0 ? false : error_set_errno(errp, -r, "Could not flush '%s'", s->node->name);
    }
    blk_graph_set_backing(g, s->node, s->base);
    return blk_graph_commit(g, errp);
}

static void stream_clean(BlkJob *j)
{
    Stream *s = (Stream *)j;

    job_filter_remove(s->filter);
    s->filter = NULL;
    if (s->was_read_only) {
        blk_set_perm(j->blk, BLK_PERM_READ, BLK_PERM_ALL, NULL);
        blk_node_set_read_only(s->node, true, NULL);
    }
}

static void stream_free(BlkJob *j)
{
    Stream *s = (Stream *)j;

    blk_bitmap_free(s->todo);
    blk_node_unref(s->base);
    g_free(s->backing_file);
}

static const JobType stream_type = {
    .name = "stream", .size = sizeof(Stream), .block = true, .run = stream_run, .prepare = stream_prepare, .clean = stream_clean, .free = stream_free,
};

static bool claim_chain(BlkJob *j, BlkNode *top, BlkNode *base, Error **errp)
{
    for (BlkNode *n = top; n && n != base; n = blk_node_below(n)) {
        if (!job_claim(j, n, errp)) {
            return false;
        }
    }
    return true;
}

BlkJob *stream_start(BlkNode *n, BlkNode *base, const char *backing_file, const char *filter_name, const JobParams *p, Error **errp)
{
    Stream *s = job_new(n->session, &stream_type, p, errp);
    uint32_t granule;

    if (!s) {
        return NULL;
    }
    if (blk_node_backing(n) && blk_node_backing(n) != base && !blk_can_change_backing(n, errp)) {
        job_abandon(&s->job);
        return NULL;
    }
    s->was_read_only = n->read_only;
    s->node = n;
    s->base = base ? blk_node_ref(base) : NULL;
    s->backing_file = g_strdup(backing_file);
    granule = n->cluster ? CLAMP(n->cluster, 4096u, (uint32_t)COPY_CHUNK) : 65536;
    s->todo = blk_bitmap_alloc(node_size(n), granule);
    if (!claim_chain(&s->job, n, base, errp) || !blk_node_set_read_only(n, false, errp) ||
        !job_add_node(&s->job, n, BLK_PERM_READ | BLK_PERM_WRITE_SAME, BLK_PERM_ALL, errp)) {
        job_abandon(&s->job);
        return NULL;
    }
    s->filter = job_filter_insert(&s->job, n, filter_name, NULL, NULL, errp);
    if (!s->filter) {
        job_abandon(&s->job);
        return NULL;
    }
    job_start(&s->job);
    return &s->job;
}
