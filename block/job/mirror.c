/* SPDX-License-Identifier: MIT */
/*
 * mirror: a second disk becomes, and stays, a copy of the first, until the
 * user ends it or has the copy take the first one's place.
 *
 * A filter on the source hears of every write.  In the background mode it
 * marks what was written once it is written; a piece is copied after its marks
 * are gone, so a write during the copy marks it again.  Pieces own their range
 * in a lock of the job's own, for an older copy must not overtake a newer one.
 * In the write-blocking mode a guest's write owns its range in the filter, as
 * pieces do, and goes to both disks; only what could not be written to the
 * copy is marked.
 *
 * The switch happens drained: what is marked then is copied, the copy flushed,
 * and the edges moved.  Before, passes go on until little is left, so that the
 * guest waits shortly; but not for ever, however busy it is.
 */
#include "block/job/mirror.h"

#include <errno.h>

#include "block/image.h"
#include "block/job/commit.h"
#include "block/job/copy.h"
#include "block/job/job-filter.h"

enum { LITTLE = 16 << 20, PASSES = 10, IDLE_NS = 100000000 };

typedef struct Mirror {
    BlkJob job;
    BlkNode *source, *target, *filter;
    MirrorSync sync;
    BlkNode *base;                  /* commit: the target; top: what lies below the source's layer */
    bool active, is_commit, completing, was_read_only;
    char *replaces;
    BlkBitmap *dirty;
    RangeLock pieces;               /* of the background mode */
    bool pieces_made;
} Mirror;

/* ---- writes of users; any thread ---- */

static bool mirror_own(void *opaque)
{
    return __atomic_load_n(&((Mirror *)opaque)->active, __ATOMIC_ACQUIRE);
}

static int write_copy(Mirror *s, BlkOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    switch (op) {
    case BLK_WRITE:
        return node_write(s->target, off, len, v, flags & ~(BLK_COMPRESSED_WRITE | BLK_SAME));
    case BLK_ZEROES:
        return node_zeroes(s->target, off, len, flags & ~BLK_NO_FALLBACK);
    default:
        return node_zeroes(s->target, off, len, BLK_MAY_UNMAP);     /* a discard may have changed what is read: copied as a piece */
    }
}

static int mirror_wrote(void *opaque, BlkOp op, uint64_t off, uint64_t len, BlkVec v, unsigned flags, int r)
{
    Mirror *s = opaque;

    if (!mirror_own(s) || r < 0 || op == BLK_DISCARD || blk_bitmap_get(s->dirty, off) || write_copy(s, op, off, len, v, flags) < 0) {
        blk_bitmap_set(s->dirty, off, len);
        job_kick(&s->job);
    }
    return r;
}

static const JobFilterOps mirror_ops = { .own = mirror_own, .wrote = mirror_wrote };

/* ---- pieces ---- */

static int mirror_piece(JobCopy *c, uint64_t off, uint64_t len, bool *read)
{
    Mirror *s = c->opaque;
    RangeLock *lock = mirror_own(s) ? job_filter_ranges(s->filter) : &s->pieces;
    RangeHold hold;
    int r;

    range_enter(lock, &hold, off, len, true);
    blk_bitmap_clear(s->dirty, off, len);           /* marks of writes that this copy will see */
    r = job_copy_range(c, s->source, s->target, off, len, 0, read);
    range_leave(lock, &hold);
    return r;
}

/* ---- the run ---- */

static int find_dirty(Mirror *s)
{
    switch (s->sync) {
    case MIRROR_FULL:
        blk_bitmap_set(s->dirty, 0, s->dirty->size);
        return 0;
    case MIRROR_TOP:
        return job_find_allocated(&s->job, s->source, s->base, s->dirty);
    default:
        return 0;                                   /* incremental: the bits were taken at the start */
    }
}

static void update_total(Mirror *s)
{
    job_set_total(&s->job, s->job.current + blk_bitmap_bytes(s->dirty));
}

/* The copy is on the medium.  1: not yet, and the policy says to go on. */
static int settle(Mirror *s)
{
    JobOnError what;
    int r;

    job_begin(&s->job);
    r = node_flush(s->target);
    job_end(&s->job);
    if (r == 0) {
        return 0;
    }
    what = job_io_error(&s->job, false, -r);
    if (what == JOB_ON_ERROR_IGNORE) {
        job_sleep(&s->job, IDLE_NS);
    }
    return what == JOB_ON_ERROR_REPORT ? r : 1;
}

/* Ready: stays a copy until somebody says what is next. */
static int follow(Mirror *s, JobCopy *c)
{
    BlkJob *j = &s->job;
    unsigned passes = 0;

    while (job_go_on(j)) {
        uint64_t left = blk_bitmap_bytes(s->dirty), before = j->current;
        int r;

        update_total(s);
        if (!job_is_ready(j) && (!left || (passes >= PASSES && left <= LITTLE))) {
            r = settle(s);
            if (r < 0) {
                return r;
            }
            if (r == 0) {
                job_ready(j);
                passes = 0;
            }
            continue;
        }
        if (job_is_ready(j) && (s->completing || j->cancelled) && (left <= LITTLE || passes >= PASSES)) {
            r = settle(s);
            if (r <= 0) {
                return r;
            }
            continue;
        }
        r = left ? job_copy_run(c) : 0;
        if (r < 0) {
            return r;
        }
        passes++;
        if (!left || j->current == before) {
            job_sleep(j, IDLE_NS);                  /* nothing to do, or nothing that could be done */
        }
    }
    return -ECANCELED;
}

static int mirror_run(BlkJob *j)
{
    Mirror *s = (Mirror *)j;
    JobCopy c;
    int r = find_dirty(s);

    job_copy_init(&c, j, s->dirty, mirror_piece, s);
    c.again = true;
    update_total(s);
    r = r ? r : follow(s, &c);
    job_copy_fini(&c);
    return r;
}

static bool mirror_complete(BlkJob *j, Error **errp)
{
    Mirror *s = (Mirror *)j;

    if (s->replaces) {
        BlkNode *n = blk_node_find(j->session, s->replaces);

        if (!n) {
            return error_set(errp, "Cannot find device='' nor node-name='%s'", s->replaces);
        }
    }
    s->completing = true;
    return true;
}

/* ---- the end ---- */

/* All users are drained: what is left is copied without anybody in between. */
static int copy_rest(Mirror *s)
{
    uint64_t off, len;
    bool read;

    while (blk_bitmap_next(s->dirty, 0, COPY_CHUNK, &off, &len)) {
        int r = job_copy_range(NULL, s->source, s->target, off, len, 0, &read);

        if (r < 0) {
            return r;
        }
        blk_bitmap_clear(s->dirty, off, len);
        job_progress(&s->job, len);
    }
    return node_flush(s->target);
}

static void move_users(Mirror *s, BlkGraph *g)
{
    BlkNode *from = s->replaces ? blk_node_find(s->job.session, s->replaces) : s->filter;

    blk_graph_replace(g, from ? from : s->filter, s->target);
}

static bool mirror_prepare(BlkJob *j, Error **errp)
{
    Mirror *s = (Mirror *)j;
    BlkGraph *g = blk_graph_begin(j->session);
    int r = copy_rest(s);

    update_total(s);
    if (r < 0) {
        blk_graph_abort(g);
        return error_set_errno(errp, -r, "Copying the rest failed");
    }
    if (s->completing) {
        /* The job's hold on the copy ends with the switch: the guest writes to it from now on. */
        if (!blk_set_perm(j->blks->pdata[1], 0, BLK_PERM_ALL, errp)) {
            blk_graph_abort(g);
            return false;
        }
        move_users(s, g);
    }
    return blk_graph_commit(g, errp);
}

static void mirror_clean(BlkJob *j)
{
    Mirror *s = (Mirror *)j;

    job_filter_remove(s->filter);
    s->filter = NULL;
    if (s->was_read_only && (j->result < 0 || !s->completing) && j->blks->len > 1) {
        blk_set_perm(j->blks->pdata[1], 0, BLK_PERM_ALL, NULL);
        blk_node_set_read_only(s->target, true, NULL);
    }
}

static void mirror_free(BlkJob *j)
{
    Mirror *s = (Mirror *)j;

    if (s->pieces_made) {
        range_lock_destroy(&s->pieces);
    }
    blk_bitmap_free(s->dirty);
    blk_node_unref(s->base);
    g_free(s->replaces);
}

#define MIRROR_OPS .size = sizeof(Mirror), .block = true, .run = mirror_run, .complete = mirror_complete, .prepare = mirror_prepare, .clean = mirror_clean, .free = mirror_free
static const JobType mirror_type = { .name = "mirror", MIRROR_OPS };
static const JobType active_commit_type = { .name = "commit", MIRROR_OPS };

bool mirror_set_active(BlkJob *j, Error **errp)
{
    Mirror *s = (Mirror *)j;
    BlkDrain *d;

    if (j->type != &mirror_type) {
        return error_set(errp, "Job type does not support change");
    }
    d = blk_drain_session(j->session);              /* no piece and no write is on its way */
    __atomic_store_n(&s->active, true, __ATOMIC_RELEASE);
    blk_undrain(d);
    return true;
}

/* ---- the start ---- */

static bool check(const MirrorParams *m, Error **errp)
{
    if (m->source == m->target) {
        return error_set(errp, "Can't mirror node into itself");
    }
    if (!m->is_commit && node_size(m->source) != node_size(m->target)) {
        return error_set(errp, "Source and target image have different sizes");
    }
    if (!m->is_commit && m->active && m->sync == MIRROR_TOP && blk_node_backing(m->source) && !m->set_backing && !blk_node_backing(m->target)) {
        return error_set(errp, "copy-mode=write-blocking with sync=top needs a target that has its backing file");
    }
    if (!m->is_commit && blk_graph_reaches(m->target, m->source)) {
        return error_set(errp, "Can't mirror node '%s' into a node above it", m->source->name);
    }
    return true;
}

static bool claim(Mirror *s, Error **errp)
{
    if (!job_claim(&s->job, s->source, errp)) {
        return false;
    }
    for (BlkNode *n = s->source; s->is_commit && n; n = blk_node_below(n)) {
        if (!job_claim(&s->job, n, errp)) {
            return false;
        }
        if (n == s->target) {
            break;
        }
    }
    return job_claim(&s->job, s->target, errp);
}

/* A guest's write to a part of a cluster needs the rest of it at once, so the target gets what lies below from the beginning. */
static bool join_backing(Mirror *s, const MirrorParams *m, Error **errp)
{
    BlkNode *backing = m->sync == MIRROR_NONE ? s->source : m->sync == MIRROR_TOP ? blk_node_backing(s->source) : NULL;
    BlkGraph *g;

    if (!m->set_backing || !backing || !s->target->drv->has_backing || s->target->backing) {
        return true;
    }
    g = blk_graph_begin(s->job.session);
    blk_graph_set_backing(g, s->target, backing);
    return blk_graph_commit(g, errp);
}

static bool take_target(Mirror *s, Error **errp)
{
    unsigned perm = s->is_commit ? BLK_PERM_READ | BLK_PERM_WRITE_SAME : BLK_PERM_WRITE;

    s->was_read_only = s->target->read_only;
    return blk_node_set_read_only(s->target, false, errp) && job_add_node(&s->job, s->source, BLK_PERM_READ, BLK_PERM_ALL, errp) &&
           job_add_node(&s->job, s->target, perm, BLK_PERM_ALL, errp) && (!s->is_commit || commit_make_room(s->target, s->source, errp));
}

BlkJob *mirror_start(const MirrorParams *m, const JobParams *p, Error **errp)
{
    BlkNode *below = blk_node_backing(m->source);
    Mirror *s;
    uint32_t granule = m->granularity ? m->granularity : m->target->cluster ? CLAMP(m->target->cluster, 4096u, 65536u) : 65536;

    if (!check(m, errp)) {
        return NULL;
    }
    if (m->sync != MIRROR_FULL && !blk_node_backing(m->target)) {
        granule = MAX(granule, m->target->cluster);         /* whole clusters, for what is below them is not there yet */
    }
    s = job_new(m->source->session, m->is_commit ? &active_commit_type : &mirror_type, p, errp);
    if (!s) {
        return NULL;
    }
    s->source = m->source;
    s->target = m->target;
    s->sync = m->is_commit ? MIRROR_TOP : m->sync;
    s->base = m->is_commit ? blk_node_ref(m->target) : m->sync == MIRROR_TOP && below ? blk_node_ref(below) : NULL;
    s->active = m->active;
    s->is_commit = m->is_commit;
    s->replaces = g_strdup(m->replaces);
    s->dirty = blk_bitmap_alloc(node_size(m->source), granule);
    range_lock_init(&s->pieces);
    s->pieces_made = true;
    if (m->bitmap) {
        blk_bitmap_merge(s->dirty, m->bitmap);
    }
    if (!claim(s, errp) || !take_target(s, errp) || !join_backing(s, m, errp) || !(s->filter = job_filter_insert(&s->job, m->source, m->filter_name, &mirror_ops, s, errp))) {
        job_abandon(&s->job);
        return NULL;
    }
    job_start(&s->job);
    return &s->job;
}
