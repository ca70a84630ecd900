/* SPDX-License-Identifier: MIT */
#include "block/job/copy.h"

#include <errno.h>
#include <stdlib.h>

typedef struct { JobCopy *c; uint64_t off, len; } Piece;

void job_copy_init(JobCopy *c, BlkJob *j, BlkBitmap *todo, int (*piece)(JobCopy *c, uint64_t off, uint64_t len, bool *read), void *opaque)
{
    *c = (JobCopy){ .job = j, .todo = todo, .piece = piece, .opaque = opaque };
    fiber_queue_init(&c->idle);
}

void job_copy_fini(JobCopy *c)
{
    while (c->spares) {
        free(c->spare[--c->spares]);
    }
    fiber_queue_destroy(&c->idle);
}

/* What was not copied: told by the policy, and kept for another try where there is one. */
static void went_wrong(JobCopy *c, const Piece *p, int r, bool read)
{
    JobOnError what = job_io_error(c->job, read, -r);

    if (what == JOB_ON_ERROR_STOP || (what == JOB_ON_ERROR_IGNORE && c->again)) {
        blk_bitmap_set(c->todo, p->off, p->len);
    } else if (what == JOB_ON_ERROR_IGNORE) {
        c->ignored = c->ignored ? c->ignored : r;
        job_progress(c->job, p->len);
    } else {
        blk_bitmap_set(c->todo, p->off, p->len);
        c->error = c->error ? c->error : r;
    }
}

static void run_piece(void *opaque)
{
    Piece *p = opaque;
    JobCopy *c = p->c;
    bool read = false;
    int r;

    job_begin(c->job);
    r = c->piece(c, p->off, p->len, &read);
    job_end(c->job);
    if (r < 0) {
        went_wrong(c, p, r, read);
    } else {
        job_progress(c->job, p->len);
    }
    c->in_flight--;
    fiber_queue_wake_all(&c->idle);
    g_free(p);
}

static void wait_for(JobCopy *c, unsigned most)
{
    while (c->in_flight > most) {
        fiber_queue_wait(&c->idle, NULL);
    }
}

static bool next_piece(JobCopy *c, uint64_t *off, uint64_t *len)
{
    uint64_t chunk = MAX(COPY_CHUNK, blk_bitmap_granularity(c->todo));

    if (!blk_bitmap_next(c->todo, c->at, chunk, off, len)) {
        c->at = 0;
        if (c->again || !blk_bitmap_next(c->todo, 0, chunk, off, len)) {
            return false;
        }
    }
    c->at = *off + *len;
    blk_bitmap_clear(c->todo, *off, *len);
    return true;
}

int job_copy_run(JobCopy *c)
{
    uint64_t off, len;

    while (!c->error) {
        Piece *p;

        if (c->job->pauses) {
            wait_for(c, 0);
        }
        if (!job_go_on(c->job)) {
            wait_for(c, 0);
            return -ECANCELED;
        }
        if (!next_piece(c, &off, &len)) {
            if (!c->in_flight || c->again) {
                break;
            }
            wait_for(c, c->in_flight - 1);          /* it may put something back */
            continue;
        }
        p = g_new(Piece, 1);
        *p = (Piece){ c, off, len };
        c->in_flight++;
        fiber_start(run_piece, p);
        wait_for(c, COPY_PIECES - 1);
        job_throttle(c->job, len);
        fiber_pause();                              /* the guest's requests have their turn */
    }
    wait_for(c, 0);
    return c->error ? c->error : c->ignored;
}

int job_flush(BlkJob *j, BlkNode *target)
{
    int r;

    do {
        if (!job_go_on(j)) {
            return -ECANCELED;
        }
        job_begin(j);
        r = node_flush(target);
        job_end(j);
    } while (r < 0 && job_io_error(j, false, -r) == JOB_ON_ERROR_STOP);
    return r;
}

/* ---- pieces of pieces ---- */

static void *buffer_take(JobCopy *c, uint64_t bytes)
{
    if (!c || bytes > COPY_CHUNK) {
        return blk_buffer(bytes);
    }
    return c->spares ? c->spare[--c->spares] : blk_buffer(COPY_CHUNK);
}

static void buffer_give(JobCopy *c, void *buf, uint64_t bytes)
{
    if (c && bytes <= COPY_CHUNK && c->spares < COPY_PIECES) {
        c->spare[c->spares++] = buf;
    } else {
        free(buf);
    }
}

static int copy_data(JobCopy *c, BlkNode *from, BlkNode *to, uint64_t off, uint64_t len, uint64_t unit, unsigned flags, bool *read)
{
    uint64_t step = MIN(len, MAX((uint64_t)COPY_CHUNK, unit));
    void *buf = buffer_take(c, step);
    int r = 0;

    for (uint64_t at = off; at < off + len && r == 0; at += step) {
        uint64_t now = MIN(step, off + len - at);

        r = node_pread_padded(from, at, buf, now);
        *read = r < 0;
        r = r ? r : node_write(to, at, now, BLK_VEC1(buf, now), flags);
    }
    buffer_give(c, buf, step);
    return r;
}

/*
 * What is written at once at least, within the range: a part of a cluster would have the target read the rest from below, which may be
 * the range that is being copied.
 */
static uint64_t unit_of(const BlkNode *to)
{
    return to->backing && to->cluster ? MIN(to->cluster, (uint32_t)COPY_UNIT_MAX) : 1;
}

int job_copy_range(JobCopy *c, BlkNode *from, BlkNode *to, uint64_t off, uint64_t len, unsigned flags, bool *read)
{
    uint64_t unit = unit_of(to);
    int r = 0;

    for (uint64_t end = off + len, n; off < end && r == 0; off += n) {
        BlkExtent e;

        r = node_status_chain(from, NULL, off, end - off, &e);
        if (r < 0) {
            *read = true;
            return r;
        }
        n = e.len ? e.len : end - off;
        if ((e.flags & BLK_EXT_ZERO) && off + n < end) {
            n -= (off + n) % unit < n ? (off + n) % unit : 0;
        }
        if ((e.flags & BLK_EXT_ZERO) && (off + n == end || (off + n) % unit == 0)) {
            r = node_zeroes(to, off, n, (flags & ~BLK_COMPRESSED_WRITE) | BLK_MAY_UNMAP);
        } else {
            n = MIN((off + n + unit - 1) / unit * unit, end) - off;
            r = copy_data(c, from, to, off, n, unit, flags, read);
        }
    }
    return r;
}

int job_find_allocated(BlkJob *j, BlkNode *top, BlkNode *base, BlkBitmap *set)
{
    uint64_t size = MIN(node_size(top), set->size);

    for (uint64_t off = 0; off < size;) {
        BlkExtent e;
        int r;

        if (!job_go_on(j)) {
            return -ECANCELED;
        }
        job_begin(j);
        r = node_status_chain(top, base, off, size - off, &e);
        if (r == 0 && (e.flags & BLK_EXT_ALLOCATED)) {
            blk_bitmap_set(set, off, e.len);
        }
        job_end(j);
        if (r < 0) {
            return r;
        }
        off += MAX(e.len, 1);
        fiber_pause();
    }
    return 0;
}
