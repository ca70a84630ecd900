/* SPDX-License-Identifier: MIT */
/*
 * Several copies of a disk that vote.
 *
 * A write goes to all children and is done when vote-threshold of them have
 * it.  A read asks all and takes what at least vote-threshold agree on
 * (read-pattern=quorum), or asks one after the other until one answers
 * (fifo).  rewrite-corrupted puts the winner's bytes over the others'.
 * blkverify: two children that must agree; the program ends when they do not.
 */
#include "block/filter/filter.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

enum { CHILDREN_MAX = 64 };

typedef struct {
    BlkChild *child[CHILDREN_MAX];       /* their nodes change while jobs run below */
    unsigned n, threshold;
    bool fifo, rewrite, verify;
} Quorum;

static const OptKey quorum_keys[] = {
    { "children", OPT_ANY, "list of disks" },
    { "vote-threshold", OPT_NUMBER, "how many must agree" },
    { "blkverify", OPT_BOOL, "two disks that must agree, or the program ends", .def = "off" },
    { "rewrite-corrupted", OPT_BOOL, "put what won over what lost", .def = "off" },
    { "read-pattern", OPT_ENUM, "ask all, or one after the other", .def = "quorum", .values = "quorum|fifo" },
    {}
};

/* ---- the same call on every child, side by side ---- */

typedef struct All All;
typedef int (*CallFn)(BlkNode *child, const All *a, unsigned i);
struct All {
    Quorum *s;
    CallFn fn;
    uint64_t off, len;
    BlkVec v;
    unsigned flags;
    uint8_t **bufs;
    int result[CHILDREN_MAX];
    FiberEvent done;
    unsigned running;           /* atomic */
};
typedef struct One {
    All *all;
    unsigned i;
} One;

static void run_one(void *opaque)
{
    One *o = opaque;
    All *a = o->all;

    a->result[o->i] = a->fn(a->s->child[o->i]->node, a, o->i);
    if (__atomic_sub_fetch(&a->running, 1, __ATOMIC_ACQ_REL) == 0) {
        fiber_event_set(&a->done);
    }
}

static void on_all(All *a)
{
    One one[CHILDREN_MAX];

    fiber_event_init(&a->done);
    a->running = a->s->n;
    for (unsigned i = 0; i < a->s->n; i++) {
        one[i] = (One){ a, i };
        fiber_start(run_one, &one[i]);
    }
    fiber_event_wait(&a->done);
    fiber_event_destroy(&a->done);
}

static void complain(const Quorum *s, const char *what, uint64_t off, uint64_t len, unsigned i, int result)
{
    log_print("quorum: %s of %" PRIu64 " bytes at %" PRIu64 " by '%s': %s", what, len, off, s->child[i]->node->name, result ? strerror(-result) : "differs from the others");
}

/* 0 when enough have succeeded, else the error most of them had. */
static int verdict(const All *a, const char *what)
{
    unsigned ok = 0, most = 0;
    int error = -EIO;

    for (unsigned i = 0; i < a->s->n; i++) {
        unsigned same = 0;

        ok += a->result[i] == 0;
        for (unsigned k = 0; k < a->s->n; k++) {
            same += a->result[k] == a->result[i];
        }
        if (a->result[i] && same > most) {
            most = same;
            error = a->result[i];
        }
        if (a->result[i]) {
            complain(a->s, what, a->off, a->len, i, a->result[i]);
        }
    }
    return ok >= a->s->threshold ? 0 : error;
}

/* ---- writes ---- */

static int call_write(BlkNode *c, const All *a, unsigned i)
{
    return node_write(c, a->off, a->len, a->v, a->flags);
}

static int call_zeroes(BlkNode *c, const All *a, unsigned i)
{
    return node_zeroes(c, a->off, a->len, a->flags);
}

static int call_discard(BlkNode *c, const All *a, unsigned i)
{
    return node_discard(c, a->off, a->len);
}

static int call_flush(BlkNode *c, const All *a, unsigned i)
{
    return node_flush(c);
}

static int change(BlkNode *n, CallFn fn, uint64_t off, uint64_t len, BlkVec v, unsigned flags, const char *what)
{
    All a = { .s = n->state, .fn = fn, .off = off, .len = len, .v = v, .flags = flags };

    on_all(&a);
    return verdict(&a, what);
}

static int quorum_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return change(n, call_write, off, len, v, flags, "write");
}

static int quorum_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    return change(n, call_zeroes, off, len, (BlkVec){}, flags & ~BLK_NO_FALLBACK, "write");
}

static int quorum_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    return change(n, call_discard, off, len, (BlkVec){}, 0, "discard");
}

static int quorum_flush(BlkNode *n)
{
    return change(n, call_flush, 0, 0, (BlkVec){}, 0, "flush");
}

/* ---- reads ---- */

static int call_read(BlkNode *c, const All *a, unsigned i)
{
    return node_read_below(c, a->off, a->len, BLK_VEC1(a->bufs[i], a->len), 0);
}

static int read_fifo(Quorum *s, uint64_t off, uint64_t len, BlkVec v)
{
    int r = -EIO;

    for (unsigned i = 0; i < s->n; i++) {
        r = node_read_below(s->child[i]->node, off, len, v, 0);
        if (r == 0) {
            return 0;
        }
        complain(s, "read", off, len, i, r);
    }
    return r;
}

/* The child most others agree with; -1 when too few do. */
static int vote(const All *a)
{
    unsigned best = 0, votes = 0;

    for (unsigned i = 0; i < a->s->n; i++) {
        unsigned same = 0;

        for (unsigned k = 0; k < a->s->n && a->result[i] == 0; k++) {
            same += a->result[k] == 0 && !memcmp(a->bufs[i], a->bufs[k], a->len);
        }
        if (same > votes) {
            votes = same;
            best = i;
        }
    }
    return votes >= a->s->threshold ? (int)best : -1;
}

static void verify(const All *a)
{
    uint64_t at = 0;

    if (a->result[0] || a->result[1] || !memcmp(a->bufs[0], a->bufs[1], a->len)) {
        return;
    }
    while (a->bufs[0][at] == a->bufs[1][at]) {
        at++;
    }
    fprintf(stderr, "quorum: contents mismatch at offset %" PRIu64 "\n", a->off + at);
    exit(1);
}

static void rewrite(BlkNode *n, const All *a, unsigned winner)
{
    for (unsigned i = 0; i < a->s->n; i++) {
        if (a->result[i] || memcmp(a->bufs[i], a->bufs[winner], a->len)) {
            complain(a->s, "read", a->off, a->len, i, a->result[i]);
            if (a->s->rewrite && !n->read_only) {
                node_write(a->s->child[i]->node, a->off, a->len, BLK_VEC1(a->bufs[winner], a->len), 0);
            }
        }
    }
}

static int quorum_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Quorum *s = n->state;
    uint8_t *bufs[CHILDREN_MAX];
    All a = { .s = s, .fn = call_read, .off = off, .len = len, .bufs = bufs };
    int winner, r;

    if (s->fifo) {
        return read_fifo(s, off, len, v);
    }
    for (unsigned i = 0; i < s->n; i++) {
        bufs[i] = blk_buffer(len);
    }
    on_all(&a);
    if (s->verify) {
        verify(&a);
    }
    winner = vote(&a);
    if (winner >= 0) {
        rewrite(n, &a, (unsigned)winner);
        blk_vec_write(v, bufs[winner], len);
        r = 0;
    } else {
        r = verdict(&a, "read");
        r = r ? r : -EIO;
    }
    for (unsigned i = 0; i < s->n; i++) {
        free(bufs[i]);
    }
    return r;
}

/* Zero where all say so, else data. */
static int quorum_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    Quorum *s = n->state;
    bool zero = true;

    for (unsigned i = 0; i < s->n; i++) {
        BlkExtent e;
        int r = node_status_chain(s->child[i]->node, NULL, off, len, &e);

        if (r == 0 && e.len) {
            len = MIN(len, e.len);
        }
        zero = zero && r == 0 && (e.flags & BLK_EXT_ZERO);
    }
    *out = (BlkExtent){ .len = len, .flags = zero ? BLK_EXT_ZERO : BLK_EXT_DATA };
    return 0;
}

static bool quorum_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Quorum *s = n->state;

    for (unsigned i = 0; i < s->n; i++) {
        if (!node_resize(s->child[i]->node, size, prealloc, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- life ---- */

static bool add_child(BlkNode *n, Json *spec, Error **errp)
{
    Quorum *s = n->state;
    g_autoptr(Json) o = json_object();
    g_autofree char *text = g_strdup_printf("children.%u", s->n);
    const char *name = g_intern_string(text);               /* few, and edges keep it */
    BlkChild *c;

    json_set(o, name, json_ref(spec));
    c = blk_open_child(n, o, name, NULL, BLK_CHILD_FILTERED, 0, errp);
    if (!c) {
        return false;
    }
    s->child[s->n++] = c;
    if (s->n > 1 && node_size(c->node) != n->size) {
        return error_set(errp, "Children of a quorum have to be equally large: %" PRIu64 " and %" PRIu64 " bytes", n->size, node_size(c->node));
    }
    n->size = node_size(c->node);
    n->align = MAX(n->align, c->node->align);
    n->mem_align = MAX(n->mem_align, c->node->mem_align);
    n->read_only = n->read_only || c->node->read_only;
    return true;
}

static bool check_numbers(const Quorum *s, const Json *o, Error **errp)
{
    if (!json_get(o, "vote-threshold")) {
        return error_set(errp, "Parameter 'vote-threshold' is missing");
    }
    if (s->threshold < 1) {
        return error_set(errp, "Parameter 'vote-threshold' expects a value >= 1");
    }
    if (s->threshold > s->n) {
        return error_set(errp, "threshold may not exceed children count");
    }
    if (s->verify && (s->n != 2 || s->threshold != 2)) {
        return error_set(errp, "blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
    }
    if (s->rewrite && s->verify) {
        return error_set(errp, "rewrite-corrupted=on cannot be used with blkverify=on");
    }
    return true;
}

static bool quorum_open(BlkNode *n, Json *o, Error **errp)
{
    Quorum *s = n->state;
    Json *list = json_get(o, "children");

    if (!json_is(list, JSON_ARRAY) || json_size(list) < 1) {
        return error_set(errp, "Number of provided children must be 1 or more");
    }
    if (json_size(list) > CHILDREN_MAX) {
        return error_set(errp, "A quorum of %u disks; %d is the most", json_size(list), CHILDREN_MAX);
    }
    s->threshold = (unsigned)json_get_u64(o, "vote-threshold", 0);
    s->verify = json_get_bool(o, "blkverify", false);
    s->rewrite = json_get_bool(o, "rewrite-corrupted", false);
    s->fifo = !g_strcmp0(json_get_string(o, "read-pattern"), "fifo");
    for (unsigned i = 0; i < json_size(list); i++) {
        if (!add_child(n, json_at(list, i), errp)) {
            return false;
        }
    }
    return check_numbers(s, o, errp);
}

static void quorum_perm(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm | (((Quorum *)n->state)->rewrite && !n->read_only ? BLK_PERM_WRITE : 0);
    *child_shared = shared & (BLK_PERM_READ | BLK_PERM_WRITE_SAME);     /* one that changed alone would be outvoted */
}

static const BlkDriver quorum = {
    .name = "quorum", .help = "several copies that vote", .kind = BLK_DRV_FILTER, .state_size = sizeof(Quorum), .options = quorum_keys, .open = quorum_open,
    .child_perm = quorum_perm, .read = quorum_read, .write = quorum_write, .flush = quorum_flush, .discard = quorum_discard,
    .zeroes = quorum_zeroes, .status = quorum_status, .resize = quorum_resize, .fua = true,
};
BLK_DRIVER(quorum);
