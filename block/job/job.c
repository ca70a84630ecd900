/* SPDX-License-Identifier: MIT */
#include "block/job/job.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "block/block-priv.h"
#include "block/cmd-priv.h"
#include "block/job/group.h"

static const char *const status_names[] = {
    "undefined", "created", "running", "paused", "ready", "standby", "waiting", "pending", "aborting", "concluded", "null"
};

/* ---- events ---- */

static const OptKey status_event_keys[] = { { "id", OPT_STRING, .must = true }, { "status", OPT_ENUM, .must = true,
    .values = "undefined|created|running|paused|ready|standby|waiting|pending|aborting|concluded|null" }, {} };
static const OptKey block_event_keys[] = {
    { "type", OPT_STRING, .must = true }, { "device", OPT_STRING, .must = true }, { "len", OPT_NUMBER, .must = true }, { "offset", OPT_NUMBER, .must = true },
    { "speed", OPT_NUMBER, .must = true }, { "error", OPT_STRING }, {}
};
static const OptKey error_event_keys[] = {
    { "device", OPT_STRING, .must = true }, { "operation", OPT_ENUM, .values = "read|write", .must = true }, { "action", OPT_ENUM, .values = "ignore|report|stop", .must = true }, {}
};
static const OptKey pending_event_keys[] = { { "type", OPT_STRING, .must = true }, { "id", OPT_STRING, .must = true }, {} };
EVENT(status_event, .name = "JOB_STATUS_CHANGE", .keys = status_event_keys);
EVENT(ready_event, .name = "BLOCK_JOB_READY", .keys = block_event_keys);
EVENT(completed_event, .name = "BLOCK_JOB_COMPLETED", .keys = block_event_keys);
EVENT(cancelled_event, .name = "BLOCK_JOB_CANCELLED", .keys = block_event_keys);
EVENT(error_event, .name = "BLOCK_JOB_ERROR", .keys = error_event_keys);
EVENT(pending_event, .name = "BLOCK_JOB_PENDING", .keys = pending_event_keys);

const char *job_status_name(JobStatus s)
{
    return status_names[s];
}

static void set_status(BlkJob *j, JobStatus s)
{
    Json *d = json_object();

    j->status = s;
    json_set_string(d, "status", status_names[s]);
    json_set_string(d, "id", j->id);
    qmp_event(j->session, "JOB_STATUS_CHANGE", d);
}

static void block_event(BlkJob *j, const char *name, bool with_error)
{
    Json *d;

    if (!j->type->block) {
        return;
    }
    d = json_object();
    json_set_string(d, "device", j->id);
    json_set_uint(d, "len", j->total);
    json_set_uint(d, "offset", j->current);
    json_set_uint(d, "speed", j->speed);
    json_set_string(d, "type", j->type->name);
    if (with_error && j->error) {
        json_set_string(d, "error", error_message(j->error));
    }
    qmp_event(j->session, name, d);
}

/* ---- life ---- */

static const SessionKind job_kind = { .name = "job", .space = "job", .duplicate = "Job ID '%s' already in use" };

BlkJob *job_find(Session *s, const char *id)
{
    return session_get(s, &job_kind, id);
}

typedef struct { void (*fn)(BlkJob *j, void *opaque); void *opaque; } EachJob;

static void each_job(const char *id, void *object, void *opaque)
{
    EachJob *e = opaque;

    e->fn(object, e->opaque);
}

void jobs_foreach(Session *s, void (*fn)(BlkJob *j, void *opaque), void *opaque)
{
    session_foreach(s, &job_kind, each_job, &(EachJob){ fn, opaque });
}

static void timer_fired(void *opaque)
{
    fiber_event_set(&((BlkJob *)opaque)->wake);
}

void *job_new(Session *s, const JobType *type, const JobParams *p, Error **errp)
{
    const char *id = p->id ? p->id : p->device && blk_find(s, p->device) ? p->device : NULL;
    BlkJob *j;

    if (!id) {
        error_set(errp, "An explicit job ID is required for this node");
        return NULL;
    }
    if (!session_id_valid(id)) {
        error_set(errp, "Invalid job ID '%s'", id);
        return NULL;
    }
    j = g_malloc0(type->size);
    j->type = type;
    j->session = s;
    j->id = g_strdup(id);
    j->auto_finalize = p->auto_finalize;
    j->auto_dismiss = p->auto_dismiss;
    j->speed = p->speed;
    j->on_read = p->on_read;
    j->on_write = p->on_write;
    j->io_status = "ok";
    j->blks = g_ptr_array_new();
    j->claimed = g_ptr_array_new();
    fiber_event_init(&j->wake);
    fiber_event_init(&j->decided);
    loop_timer_init(&j->timer, loop_current(), timer_fired, j);
    if (!session_add(s, &job_kind, id, j, errp)) {
        g_ptr_array_unref(j->blks);
        g_ptr_array_unref(j->claimed);
        g_free(j->id);
        g_free(j);
        return NULL;
    }
    set_status(j, JOB_CREATED);
    return j;
}

/* Claims and handles go; the record stays. */
static void let_go(BlkJob *j)
{
    if (j->type->clean) {
        j->type->clean(j);
    }
    for (unsigned i = 0; i < j->claimed->len; i++) {
        ((BlkNode *)j->claimed->pdata[i])->job = NULL;
    }
    for (unsigned i = 0; i < j->blks->len; i++) {
        blk_free(j->blks->pdata[i]);
    }
    for (unsigned i = 0; i < j->claimed->len; i++) {
        blk_node_unref(j->claimed->pdata[i]);
    }
    g_ptr_array_set_size(j->blks, 0);
    g_ptr_array_set_size(j->claimed, 0);
    j->blk = NULL;
}

static void job_free(BlkJob *j)
{
    job_group_remove(j);
    session_remove(j->session, &job_kind, j->id);
    if (j->type->free) {
        j->type->free(j);
    }
    loop_timer_cancel(&j->timer);
    fiber_event_destroy(&j->wake);
    fiber_event_destroy(&j->decided);
    error_free(j->error);
    g_ptr_array_unref(j->blks);
    g_ptr_array_unref(j->claimed);
    g_free(j->id);
    g_free(j);
}

void job_abandon(BlkJob *j)
{
    let_go(j);
    set_status(j, JOB_NULL);
    job_free(j);
}

Blk *job_add_node(BlkJob *j, BlkNode *n, unsigned perm, unsigned shared, Error **errp)
{
    Blk *b = blk_new(j->session, NULL, perm, shared, errp);

    if (!b) {
        return NULL;
    }
    if (!blk_insert(b, n, errp)) {
        blk_free(b);
        return NULL;
    }
    blk_pin(b);
    j->blk = j->blk ? j->blk : b;
    g_ptr_array_add(j->blks, b);
    return b;
}

bool job_check_free(const BlkNode *n, Error **errp)
{
    return !n->job || error_set(errp, "Node '%s' is busy: block device is in use by block job: %s", n->name, n->job->type->name);
}

bool job_claim(BlkJob *j, BlkNode *n, Error **errp)
{
    if (n->job == j) {
        return true;
    }
    if (!job_check_free(n, errp)) {
        return false;
    }
    n->job = j;
    g_ptr_array_add(j->claimed, blk_node_ref(n));
    return true;
}

/* ---- the job's own fiber ---- */

void job_begin(BlkJob *j)
{
    blk_begin_wait(j->blk);
}

void job_end(BlkJob *j)
{
    blk_end(j->blk);
}

void job_kick(BlkJob *j)
{
    fiber_event_set(&j->wake);
}

bool job_is_ready(const BlkJob *j)
{
    return j->status == JOB_READY || j->status == JOB_STANDBY;
}

void job_sleep(BlkJob *j, int64_t ns)
{
    j->busy = false;
    fiber_event_clear(&j->wake);
    loop_timer_at(&j->timer, loop_now() + ns);
    fiber_event_wait(&j->wake);
    loop_timer_cancel(&j->timer);
    j->busy = true;
}

static bool stopped_for_good(const BlkJob *j)
{
    return j->cancelled && (j->forced || !job_is_ready(j));
}

bool job_go_on(BlkJob *j)
{
    JobStatus before = j->status;

    if (!j->pauses || stopped_for_good(j)) {
        return !stopped_for_good(j);
    }
    set_status(j, before == JOB_READY ? JOB_STANDBY : JOB_PAUSED);
    j->busy = false;
    while (j->pauses && !stopped_for_good(j)) {
        fiber_event_clear(&j->wake);
        fiber_event_wait(&j->wake);
    }
    j->busy = true;
    set_status(j, before);
    return !stopped_for_good(j);
}

void job_throttle(BlkJob *j, uint64_t bytes)
{
    int64_t now = loop_now();

    if (!j->speed) {
        return;
    }
    j->next_at = MAX(j->next_at, now - 100000000) + (int64_t)((double)bytes * 1e9 / j->speed);
    while (j->speed && j->next_at > (now = loop_now()) && !stopped_for_good(j) && !j->pauses) {
        job_sleep(j, j->next_at - now);
    }
}

void job_ready(BlkJob *j)
{
    set_status(j, JOB_READY);
    block_event(j, "BLOCK_JOB_READY", false);
}

void job_progress(BlkJob *j, uint64_t bytes)
{
    j->current += bytes;
}

void job_set_total(BlkJob *j, uint64_t bytes)
{
    j->total = bytes;
}

JobOnError job_io_error(BlkJob *j, bool read, int error)
{
    JobOnError what = read ? j->on_read : j->on_write;
    Json *d = json_object();

    if (what == JOB_ON_ERROR_ENOSPC) {
        what = error == ENOSPC ? JOB_ON_ERROR_STOP : JOB_ON_ERROR_REPORT;
    }
    json_set_string(d, "device", j->id);
    json_set_string(d, "operation", read ? "read" : "write");
    json_set_string(d, "action", what == JOB_ON_ERROR_STOP ? "stop" : what == JOB_ON_ERROR_IGNORE ? "ignore" : "report");
    qmp_event(j->session, "BLOCK_JOB_ERROR", d);
    if (what == JOB_ON_ERROR_STOP && !j->user_paused) {
        j->user_paused = true;
        j->pauses++;
        j->io_status = error == ENOSPC ? "nospace" : "failed";
    }
    return what;
}

/* ---- the end ---- */

static void conclude(BlkJob *j)
{
    bool cancelled = j->cancelled && j->result == -ECANCELED;

    let_go(j);
    block_event(j, cancelled ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED", !cancelled);
    set_status(j, JOB_CONCLUDED);
    if (j->auto_dismiss) {
        set_status(j, JOB_NULL);
        job_free(j);
    }
}

static void failed(BlkJob *j)
{
    if (!j->error) {
        error_set(&j->error, "%s", j->result == -ECANCELED ? "Operation canceled" : g_strerror(-j->result));
    }
    set_status(j, JOB_ABORTING);
    if (j->type->abort) {
        j->type->abort(j);
    }
}

/* Somebody has to say so when it was not said beforehand. */
static void wait_for_decision(BlkJob *j)
{
    Json *d = json_object();

    json_set_string(d, "type", j->type->name);
    json_set_string(d, "id", j->id);
    qmp_event(j->session, "BLOCK_JOB_PENDING", d);
    while (!j->finalizing && !j->cancelled) {
        fiber_event_clear(&j->decided);
        fiber_event_wait(&j->decided);
    }
    if (!j->finalizing) {
        j->result = -ECANCELED;
    }
}

/* Of a job that ends alone, or of all of a group: all end well, or none does. */
static void settle(BlkJob *j)
{
    g_autoptr(GPtrArray) all = job_group_settle(j);
    bool ok = true;

    for (unsigned i = 0; all && i < all->len; i++) {
        BlkJob *one = all->pdata[i];

        if (one->result == 0 && one->type->prepare && !one->type->prepare(one, &one->error)) {
            one->result = -EIO;
        }
        ok = ok && one->result == 0;
    }
    for (unsigned i = 0; all && i < all->len; i++) {
        BlkJob *one = all->pdata[i];

        one->result = ok || one->result ? one->result : -ECANCELED;
        if (one->result < 0) {
            failed(one);
        } else if (one->type->commit) {
            one->type->commit(one);
        }
    }
}

static void job_main(void *opaque)
{
    BlkJob *j = opaque;
    bool soft;

    j->busy = true;
    job_go_on(j);                                   /* paused before it began */
    j->result = j->type->run(j);
    soft = j->cancelled && !j->forced && job_is_ready(j) && j->result == 0;
    if (j->cancelled && !soft && j->result == 0) {
        j->result = -ECANCELED;
    }
    j->busy = false;
    if (j->result == 0) {
        set_status(j, JOB_WAITING);
    }
    job_group_meet(j, JOB_MEET_WORKED);
    if (j->result == 0) {
        set_status(j, JOB_PENDING);
        if (soft) {
            j->cancelled = false;                   /* it ends well, without what completing would add */
        } else if (!j->auto_finalize) {
            wait_for_decision(j);
        }
    }
    job_group_meet(j, JOB_MEET_DECIDED);
    session_lock(j->session);
    settle(j);
    {
        Session *s = j->session;

        conclude(j);
        session_unlock(s);
    }
}

void job_start(BlkJob *j)
{
    set_status(j, JOB_RUNNING);
    fiber_start_on(loop_current(), job_main, j);
}

/* ---- commands ---- */

bool job_pause(BlkJob *j, Error **errp)
{
    if (j->user_paused) {
        return error_set(errp, "Job is already paused");
    }
    if (j->status == JOB_PENDING || j->status == JOB_WAITING || j->status >= JOB_ABORTING) {
        return error_set(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, status_names[j->status], "pause");
    }
    j->user_paused = true;
    j->pauses++;
    job_kick(j);
    return true;
}

bool job_resume(BlkJob *j, Error **errp)
{
    if (!j->user_paused) {
        return error_set(errp, "Can't resume a job that was not paused");
    }
    j->user_paused = false;
    j->io_status = "ok";
    j->pauses--;
    job_kick(j);
    return true;
}

bool job_cancel(BlkJob *j, bool force, Error **errp)
{
    if (j->status >= JOB_ABORTING || (j->status == JOB_PENDING && j->finalizing)) {
        return error_set(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, status_names[j->status], "cancel");
    }
    if (!force && j->user_paused) {
        return error_set(errp, "The block job for device '%s' is currently paused", j->id);
    }
    j->cancelled = true;
    j->forced |= force;
    fiber_event_set(&j->decided);
    job_kick(j);
    return true;
}

bool job_complete(BlkJob *j, Error **errp)
{
    if (j->pauses || j->cancelled || !j->type->complete) {
        return error_set(errp, "The active block job '%s' cannot be completed", j->id);
    }
    if (j->status != JOB_READY) {
        return error_set(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, status_names[j->status], "complete");
    }
    if (!j->type->complete(j, errp)) {
        return false;
    }
    job_kick(j);
    return true;
}

bool job_finalize(BlkJob *j, Error **errp)
{
    if (j->status != JOB_PENDING || j->finalizing) {
        return error_set(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, status_names[j->status], "finalize");
    }
    j->finalizing = true;
    fiber_event_set(&j->decided);
    job_group_finalize(j);
    return true;
}

bool job_dismiss(BlkJob *j, Error **errp)
{
    if (j->status != JOB_CONCLUDED) {
        return error_set(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, status_names[j->status], "dismiss");
    }
    set_status(j, JOB_NULL);
    job_free(j);
    return true;
}

bool job_set_speed(BlkJob *j, int64_t speed, Error **errp)
{
    if (speed < 0) {
        return error_set(errp, "Parameter 'speed' expects a non-negative value");
    }
    j->speed = speed;
    j->next_at = 0;
    job_kick(j);
    return true;
}

static void first_job(BlkJob *j, void *opaque)
{
    BlkJob **first = opaque;

    *first = *first ? *first : j;
}

void jobs_end(Session *s)
{
    for (;;) {
        BlkJob *j = NULL;

        jobs_foreach(s, first_job, &j);
        if (!j) {
            return;
        }
        if (j->status == JOB_CONCLUDED) {
            job_dismiss(j, NULL);
            continue;
        }
        job_cancel(j, true, NULL);
        loop_step(loop_current(), true);
    }
}
