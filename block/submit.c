/* SPDX-License-Identifier: MIT */
/* Requests of users: submission from any thread, straight-line calls, drain. */
#include "block/block-priv.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

/* ---- in flight ---- */

bool blk_begin(Blk *b)
{
    __atomic_fetch_add(&b->in_flight, 1, __ATOMIC_SEQ_CST);
    if (G_LIKELY(!__atomic_load_n(&b->quiesced, __ATOMIC_SEQ_CST))) {
        return true;
    }
    blk_end(b);
    return false;
}

static void nothing(void *opaque)
{
}

/* Nothing of b is touched after the count has gone down outside of the lock: it may be freed then. */
void blk_end(Blk *b)
{
    if (G_LIKELY(!__atomic_load_n(&b->quiesced, __ATOMIC_SEQ_CST))) {
        __atomic_fetch_sub(&b->in_flight, 1, __ATOMIC_SEQ_CST);
        return;
    }
    io_lock(&b->lock);
    if (__atomic_sub_fetch(&b->in_flight, 1, __ATOMIC_SEQ_CST) == 0 && b->drainer) {
        loop_post(b->drainer, nothing, NULL);
    }
    io_unlock(&b->lock);
}

void blk_begin_wait(Blk *b)
{
    while (!blk_begin(b)) {
        io_lock(&b->lock);
        if (!__atomic_load_n(&b->quiesced, __ATOMIC_SEQ_CST)) {
            io_unlock(&b->lock);
        } else {
            fiber_queue_wait(&b->wait, &b->lock);
        }
    }
}

unsigned blk_in_flight(const Blk *b)
{
    return __atomic_load_n(&b->in_flight, __ATOMIC_SEQ_CST);
}

/* ---- one request, checked ---- */

static int check(const Blk *b, const BlkReq *req)
{
    const BlkNode *n = blk_node(b);

    if (!n) {
        return -ENOMEDIUM;
    }
    if (req->op != BLK_FLUSH && (req->off + req->len < req->off || req->off + req->len > node_size(n))) {
        return -EIO;
    }
    if (req->op != BLK_READ && req->op != BLK_FLUSH && (n->read_only || !(b->perm & (BLK_PERM_WRITE | BLK_PERM_WRITE_SAME)))) {
        return -EPERM;
    }
    return 0;
}

static int pass_on(BlkReq *req)
{
    Blk *b = req->blk;
    BlkNode *n = blk_node(b);
    BlkVec v = { req->iov, req->iovcnt, 0 };
    unsigned flags = req->flags | (blk_writethrough(b) ? BLK_FUA : 0);

    switch (req->op) {
    case BLK_READ:
        return node_read(n, req->off, req->len, v, req->flags);
    case BLK_WRITE:
        return node_write(n, req->off, req->len, v, flags);
    case BLK_FLUSH:
        return n->read_only ? 0 : node_flush(n);
    case BLK_DISCARD:
        return node_discard(n, req->off, req->len);
    case BLK_ZEROES:
        return req->len ? node_zeroes(n, req->off, req->len, flags) : 0;
    }
    return -EINVAL;
}

static StatType stat_of(BlkOp op)
{
    static const StatType types[] = { [BLK_READ] = STAT_READ, [BLK_WRITE] = STAT_WRITE, [BLK_FLUSH] = STAT_FLUSH, [BLK_DISCARD] = STAT_UNMAP, [BLK_ZEROES] = STAT_WRITE };

    return types[op];
}

void blk_invalid(Blk *b, BlkOp op)
{
    stats_invalid(&b->stats, stat_of(op), loop_now());
}

static void count(Blk *b, const BlkReq *req, int result)
{
    if (b->counted) {
        stats_done(&b->stats, stat_of(req->op), req->op == BLK_FLUSH ? 0 : req->len, result < 0, req->begin, loop_now());
    }
}

static uint64_t limited_bytes(const BlkReq *req)
{
    return req->op == BLK_DISCARD ? 0 : req->len;
}

int blk_run_req(BlkReq *req)
{
    int r = check(req->blk, req);

    if (r < 0 || __atomic_load_n(&req->cancelled, __ATOMIC_RELAXED)) {
        return r < 0 ? r : -ECANCELED;
    }
    if (G_UNLIKELY(req->blk->throttle) && !req->limited && req->op != BLK_FLUSH) {
        r = throttle_io(req->blk->throttle, req->op != BLK_READ, limited_bytes(req), &req->cancelled);
        if (r < 0) {
            return r;
        }
    }
    r = pass_on(req);
    count(req->blk, req, r);
    return r;
}

/* ---- asynchronous ---- */

static void finish(void *opaque)
{
    BlkReq *req = opaque;
    Blk *b = req->blk;

    req->done(req, req->result);        /* the request may be gone now */
    blk_end(b);
}

static void run(void *opaque)
{
    BlkReq *req = opaque;

    req->result = blk_run_req(req);
    req->post = (LoopPost){ NULL, finish, req };
    loop_post_node(loop_current(), &req->post);
}

static void turn_came(void *opaque)
{
    BlkReq *req = opaque;

    if (req->wait.result < 0) {
        req->result = req->wait.result;
        finish(req);
        return;
    }
    fiber_start(run, req);
}

int64_t blk_take_turn(BlkReq *req, int64_t now)
{
    Blk *b = req->blk;
    int64_t wait = 0;

    req->turn_taken = true;
    if (!blk_begin(b)) {
        return 0;                       /* drained: its limits may just be changing */
    }
    if (b->throttle && req->op != BLK_FLUSH && check(b, req) == 0) {
        wait = throttle_reserve(b->throttle, req->op != BLK_READ, limited_bytes(req), now);
    }
    blk_end(b);
    return wait;
}

/* Without a fiber: as many as there are may wait. */
static void start_limited(Blk *b, BlkReq *req)
{
    req->wait = (ThrottleWait){ .loop = loop_current(), .post = { NULL, turn_came, req }, .bytes = limited_bytes(req), .cancelled = &req->cancelled };
    req->limited = true;
    if (throttle_enter(b->throttle, req->op != BLK_READ, &req->wait)) {
        fiber_start(run, req);
    }
}

static void hold(Blk *b, BlkReq *req)
{
    io_lock(&b->lock);
    req->next = NULL;
    *b->held_last = req;
    b->held_last = &req->next;
    io_unlock(&b->lock);
}

static void release_held(Blk *b);

static void start(void *opaque)
{
    BlkReq *req = opaque;
    Blk *b = req->blk;

    if (blk_begin(b)) {
        req->limited = req->turn_taken;
        if (G_UNLIKELY(b->throttle) && !req->limited && req->op != BLK_FLUSH && check(b, req) == 0) {
            start_limited(b, req);
        } else {
            fiber_start(run, req);
        }
        return;
    }
    hold(b, req);
    if (!__atomic_load_n(&b->quiesced, __ATOMIC_SEQ_CST)) {
        release_held(b);                /* the drain ended in between */
    }
}

static void submit(BlkReq *req)
{
    Loop *loop = req->loop ? req->loop : req->blk->loop;

    if (loop_current() == loop) {
        start(req);
        return;
    }
    req->post = (LoopPost){ NULL, start, req };
    loop_post_node(loop, &req->post);
}

void blk_submit(BlkReq *req)
{
    req->cancelled = 0;
    req->begin = req->blk->counted ? loop_now() : 0;
    submit(req);
}

void blk_cancel(BlkReq *req)
{
    Blk *b = req->blk;

    __atomic_store_n(&req->cancelled, 1, __ATOMIC_SEQ_CST);
    if (b->throttle) {
        throttle_check_cancelled(b->throttle);
    }
}

/* ---- drain ---- */

static void release_held(Blk *b)
{
    BlkReq *list;

    io_lock(&b->lock);
    list = b->held;
    b->held = NULL;
    b->held_last = &b->held;
    io_unlock(&b->lock);
    while (list) {
        BlkReq *req = list;

        list = req->next;
        submit(req);
    }
}

/* The timer is for the request that ended just as the drain began, and told nobody. */
static void wait_idle(Blk *b)
{
    Loop *loop = loop_current();
    LoopTimer again;

    loop_timer_init(&again, loop, nothing, NULL);
    io_lock(&b->lock);
    b->drainer = loop;
    io_unlock(&b->lock);
    while (blk_in_flight(b)) {
        if (fiber_self()) {
            fiber_sleep(20000);
        } else {
            loop_timer_at(&again, loop_now() + 1000000);
            loop_step(loop, true);
        }
    }
    loop_timer_cancel(&again);
    io_lock(&b->lock);
    b->drainer = NULL;
    io_unlock(&b->lock);
}

/* ---- nothing that is drained waits for its limits ---- */

static void tell_nodes(BlkNode *n, GHashTable *seen, GPtrArray *told)
{
    if (!g_hash_table_add(seen, n)) {
        return;
    }
    if (n->drv->drain) {
        n->drv->drain(n, true);
        g_ptr_array_add(told, blk_node_ref(n));
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        tell_nodes(c->node, seen, told);
    }
}

static void unlimit(Blk *b)
{
    if (b->throttle) {
        throttle_drain(b->throttle, true);
    }
    if (b->root && blk_drains_heard(b->session)) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        b->drained = g_ptr_array_new();
        tell_nodes(b->root->node, seen, b->drained);
    }
}

static void limit_again(Blk *b)
{
    GPtrArray *told = g_steal_pointer(&b->drained);

    if (b->throttle) {
        throttle_drain(b->throttle, false);
    }
    for (unsigned i = 0; told && i < told->len; i++) {
        BlkNode *n = told->pdata[i];

        n->drv->drain(n, false);
        blk_node_unref(n);
    }
    if (told) {
        g_ptr_array_unref(told);
    }
}

void blk_quiesce(Blk *b)
{
    if (__atomic_fetch_add(&b->quiesced, 1, __ATOMIC_SEQ_CST)) {
        return;
    }
    if (b->events && b->events->drain_begin) {
        b->events->drain_begin(b->opaque);
    }
    unlimit(b);
}

void blk_wait_idle(Blk *b)
{
    if (blk_in_flight(b)) {
        wait_idle(b);
    }
}

void blk_drain_begin(Blk *b)
{
    blk_quiesce(b);
    blk_wait_idle(b);
}

void blk_drain_end(Blk *b)
{
    if (__atomic_load_n(&b->quiesced, __ATOMIC_SEQ_CST) == 1) {
        limit_again(b);
    }
    if (__atomic_sub_fetch(&b->quiesced, 1, __ATOMIC_SEQ_CST)) {
        return;
    }
    io_lock(&b->lock);                  /* whoever saw the drain is in the queue by now */
    io_unlock(&b->lock);
    fiber_queue_wake_all(&b->wait);
    if (b->events && b->events->drain_end) {
        b->events->drain_end(b->opaque);
    }
    release_held(b);
}

static void drain_one(const char *id, void *object, void *opaque)
{
    blk_drain_begin(object);
}

static void undrain_one(const char *id, void *object, void *opaque)
{
    blk_drain_end(object);
}

void blk_drain_all_begin(Session *s)
{
    session_foreach(s, &blk_kind, drain_one, NULL);
}

void blk_drain_all_end(Session *s)
{
    session_foreach(s, &blk_kind, undrain_one, NULL);
}

/* ---- straight-line calls ---- */

typedef struct {
    FiberFn *fn;
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} Remote;

static void run_remote(void *opaque)
{
    Remote *r = opaque;

    r->fn(r->opaque);
    pthread_mutex_lock(&r->lock);
    r->done = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

void blk_run(Loop *loop, FiberFn *fn, void *opaque)
{
    Remote r = { .fn = fn, .opaque = opaque };

    if (fiber_self()) {
        fn(opaque);
        return;
    }
    if (loop_current()) {
        fiber_call(loop_current(), fn, opaque);
        return;
    }
    assert(loop);
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.cond, NULL);
    fiber_start_on(loop, run_remote, &r);
    pthread_mutex_lock(&r.lock);
    while (!r.done) {
        pthread_cond_wait(&r.cond, &r.lock);
    }
    pthread_mutex_unlock(&r.lock);
    pthread_mutex_destroy(&r.lock);
    pthread_cond_destroy(&r.cond);
}

static void run_straight(void *opaque)
{
    BlkReq *req = opaque;

    req->begin = req->blk->counted ? loop_now() : 0;
    blk_begin_wait(req->blk);
    req->result = blk_run_req(req);
    blk_end(req->blk);
}

static int straight(BlkReq *req)
{
    if (G_LIKELY(fiber_self())) {
        run_straight(req);
    } else {
        blk_run(req->blk->loop, run_straight, req);
    }
    return req->result;
}

int blk_readv(Blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len, unsigned flags)
{
    return straight(&(BlkReq){ .blk = b, .op = BLK_READ, .flags = flags, .off = off, .len = len, .iov = iov, .iovcnt = n });
}

int blk_writev(Blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len, unsigned flags)
{
    return straight(&(BlkReq){ .blk = b, .op = BLK_WRITE, .flags = flags, .off = off, .len = len, .iov = iov, .iovcnt = n });
}

int blk_read(Blk *b, uint64_t off, void *buf, uint64_t len, unsigned flags)
{
    return blk_readv(b, off, &(struct iovec){ buf, len }, 1, len, flags);
}

int blk_write(Blk *b, uint64_t off, const void *buf, uint64_t len, unsigned flags)
{
    return blk_writev(b, off, &(struct iovec){ (void *)buf, len }, 1, len, flags);
}

int blk_flush(Blk *b)
{
    return straight(&(BlkReq){ .blk = b, .op = BLK_FLUSH });
}

int blk_discard(Blk *b, uint64_t off, uint64_t len)
{
    return straight(&(BlkReq){ .blk = b, .op = BLK_DISCARD, .off = off, .len = len });
}

int blk_zeroes(Blk *b, uint64_t off, uint64_t len, unsigned flags)
{
    return straight(&(BlkReq){ .blk = b, .op = BLK_ZEROES, .flags = flags, .off = off, .len = len });
}

/* ---- the calls that have no request ---- */

typedef struct {
    Blk *b, *to;
    uint64_t off, to_off, len;
    unsigned flags;
    bool chain;
    BlkExtent *extent;
    BlkPrealloc prealloc;
    Error **errp;
    int result;
} Call;

static void run_status(void *opaque)
{
    Call *c = opaque;

    blk_begin_wait(c->b);
    if (!c->b->root) {
        c->result = -ENOMEDIUM;
    } else if (c->chain) {
        c->result = node_status_chain(c->b->root->node, NULL, c->off, c->len, c->extent);
        c->result = c->result ? c->result : node_status_refine(c->extent);
    } else {
        c->result = node_status(c->b->root->node, c->off, c->len, c->extent);
    }
    blk_end(c->b);
}

int blk_status(Blk *b, uint64_t off, uint64_t len, bool chain, BlkExtent *out)
{
    Call c = { .b = b, .off = off, .len = len, .chain = chain, .extent = out };

    blk_run(b->loop, run_status, &c);
    return c.result;
}

static void run_copy(void *opaque)
{
    Call *c = opaque;

    blk_begin_wait(c->b);
    blk_begin_wait(c->to);
    c->result = c->b->root && c->to->root ? node_copy(c->b->root->node, c->off, c->to->root->node, c->to_off, c->len, c->flags) : -ENOMEDIUM;
    blk_end(c->to);
    blk_end(c->b);
}

int blk_copy(Blk *from, uint64_t from_off, Blk *to, uint64_t to_off, uint64_t len, unsigned flags)
{
    Call c = { .b = from, .to = to, .off = from_off, .to_off = to_off, .len = len, .flags = flags };

    blk_run(from->loop, run_copy, &c);
    return c.result;
}

static void run_resize(void *opaque)
{
    Call *c = opaque;

    blk_begin_wait(c->b);
    c->result = c->b->root ? node_resize(c->b->root->node, c->len, c->prealloc, c->errp) : error_set(c->errp, "No medium inserted");
    blk_end(c->b);
}

bool blk_resize(Blk *b, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Call c = { .b = b, .len = size, .prealloc = prealloc, .errp = errp };

    blk_run(b->loop, run_resize, &c);
    return c.result;
}

static void flush_one(const char *id, void *object, void *opaque)
{
    int *first = opaque, r = blk_present(object) ? blk_flush(object) : 0;

    *first = *first ? *first : r;
}

int blk_flush_all(Session *s)
{
    int first = 0;

    session_foreach(s, &blk_kind, flush_one, &first);
    return first;
}
