/* SPDX-License-Identifier: MIT */
/* Commands on jobs that run. */
#include <inttypes.h>
#include <string.h>

#include "block/cmd-priv.h"
#include "block/job/create.h"
#include "block/job/job.h"
#include "block/job/mirror.h"

/* ---- finding: job-* by id, block-job-* by the device that was the id of old ---- */

static BlkJob *by_id(MonCall *call, Error **errp)
{
    BlkJob *j = job_find(call->session, json_get_string(call->args, "id"));

    if (!j) {
        error_set(errp, "Job not found");
    }
    return j;
}

static BlkJob *by_device(MonCall *call, Error **errp)
{
    const char *id = json_get_string(call->args, "device");
    BlkJob *j = job_find(call->session, id);

    if (!j || !j->type->block) {
        error_set_class(errp, ERROR_DEVICE_NOT_ACTIVE, "Block job '%s' not found", id);
        return NULL;
    }
    return j;
}

static const OptKey id_keys[] = { { "id", OPT_STRING, .must = true }, {} };
static const OptKey device_keys[] = { { "device", OPT_STRING, .must = true }, {} };

#define JOB_VERB(verb, fn) \
    static bool job_##verb##_run(MonCall *call, Error **errp) \
    { \
        BlkJob *j = by_id(call, errp); \
        return j && fn(j, errp); \
    } \
    COMMAND(job_##verb##_command, .qmp = "job-" #verb, .keys = id_keys, .run = job_##verb##_run)

static bool cancel_hard(BlkJob *j, Error **errp)
{
    return job_cancel(j, true, errp);
}
JOB_VERB(pause, job_pause);
JOB_VERB(resume, job_resume);
JOB_VERB(cancel, cancel_hard);
JOB_VERB(complete, job_complete);
JOB_VERB(finalize, job_finalize);
JOB_VERB(dismiss, job_dismiss);

#define BLOCK_JOB_VERB(verb, fn, text) \
    static bool block_job_##verb##_run(MonCall *call, Error **errp) \
    { \
        BlkJob *j = by_device(call, errp); \
        return j && fn(j, errp); \
    } \
    COMMAND(block_job_##verb##_command, .name = "block_job_" #verb, .qmp = "block-job-" #verb, .params = "device", .help = text, .keys = device_keys, \
            .run = block_job_##verb##_run)
BLOCK_JOB_VERB(pause, job_pause, "pause an active background block operation");
BLOCK_JOB_VERB(resume, job_resume, "resume a paused background block operation");
BLOCK_JOB_VERB(complete, job_complete, "stop an active background block operation");

static bool finalize_run(MonCall *call, Error **errp)
{
    BlkJob *j = by_id(call, errp);

    return j && job_finalize(j, errp);
}
COMMAND(finalize_command, .qmp = "block-job-finalize", .keys = id_keys, .run = finalize_run);

static bool dismiss_run(MonCall *call, Error **errp)
{
    BlkJob *j = by_id(call, errp);

    return j && job_dismiss(j, errp);
}
COMMAND(dismiss_command, .qmp = "block-job-dismiss", .keys = id_keys, .run = dismiss_run);

static bool block_cancel_run(MonCall *call, Error **errp)
{
    BlkJob *j = by_device(call, errp);

    return j && job_cancel(j, json_get_bool(call->args, "force", false), errp);
}
static const OptKey cancel_keys[] = { { "force", OPT_BOOL }, { "device", OPT_STRING, .must = true }, {} };
COMMAND(block_cancel_command, .name = "block_job_cancel", .qmp = "block-job-cancel", .params = "[-f] device", .help = "stop an active background block operation",
        .keys = cancel_keys, .run = block_cancel_run);

static bool speed_run(MonCall *call, Error **errp)
{
    BlkJob *j = by_device(call, errp);

    return j && job_set_speed(j, json_get_i64(call->args, "speed", 0), errp);
}
static const OptKey speed_keys[] = { { "device", OPT_STRING, .must = true }, { "speed", OPT_SIZE, .must = true, .negative = true }, {} };
COMMAND(speed_command, .name = "block_job_set_speed", .qmp = "block-job-set-speed", .params = "device speed",
        .help = "set the maximum speed of a background block operation, bytes per second", .keys = speed_keys, .run = speed_run);

static bool change_run(MonCall *call, Error **errp)
{
    BlkJob *j = by_id(call, errp);

    if (!j) {
        return false;
    }
    if (strcmp(json_get_string(call->args, "type"), j->type->name)) {
        return error_set(errp, "Job '%s' is '%s' job and cannot be changed as '%s'", j->id, j->type->name, json_get_string(call->args, "type"));
    }
    if (strcmp(json_get_string(call->args, "copy-mode"), "write-blocking")) {
        return error_set(errp, "Change to copy mode '%s' is not implemented", json_get_string(call->args, "copy-mode"));
    }
    return mirror_set_active(j, errp);
}
static const OptKey change_keys[] = {
    { "id", OPT_STRING, .must = true }, { "type", OPT_STRING, .must = true }, { "copy-mode", OPT_ENUM, .values = "background|write-blocking", .must = true }, {}
};
COMMAND(change_command, .qmp = "block-job-change", .keys = change_keys, .waits = true, .run = change_run);

/* ---- queries ---- */

static void each_job(BlkJob *j, void *opaque)
{
    Json *o = json_object();

    json_set_uint(o, "current-progress", j->current);
    json_set_string(o, "status", job_status_name(j->status));
    json_set_uint(o, "total-progress", j->total);
    json_set_string(o, "type", j->type->name);
    json_set_string(o, "id", j->id);
    if (j->error) {
        json_set_string(o, "error", error_message(j->error));
    }
    json_append(opaque, o);
}

static bool jobs_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    jobs_foreach(call->session, each_job, call->ret);
    return true;
}
static const OptKey jobs_ret[] = {
    { "id", OPT_STRING, .must = true }, { "type", OPT_STRING, .must = true }, { "status", OPT_STRING, .must = true }, { "current-progress", OPT_NUMBER, .must = true },
    { "total-progress", OPT_NUMBER, .must = true }, { "error", OPT_STRING }, {}
};
COMMAND(jobs_command, .qmp = "query-jobs", .run = jobs_run, .ret = jobs_ret, .ret_type = "[]");

static void each_block_job(BlkJob *j, void *opaque)
{
    Json *o;

    if (!j->type->block) {
        return;
    }
    o = json_object();
    json_set_bool(o, "auto-finalize", j->auto_finalize);
    json_set_string(o, "io-status", j->io_status);
    json_set_string(o, "device", j->id);
    json_set_bool(o, "auto-dismiss", j->auto_dismiss);
    json_set_bool(o, "busy", j->busy);
    json_set_uint(o, "len", j->total);
    json_set_uint(o, "offset", j->current);
    json_set_string(o, "status", job_status_name(j->status));
    json_set_bool(o, "paused", j->pauses > 0);
    json_set_uint(o, "speed", j->speed);
    json_set_bool(o, "ready", job_is_ready(j));
    json_set_string(o, "type", j->type->name);
    if (j->error) {
        json_set_string(o, "error", error_message(j->error));
    }
    json_append(opaque, o);
}

static bool block_jobs_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    jobs_foreach(call->session, each_block_job, call->ret);
    return true;
}
static const OptKey block_jobs_ret[] = {
    { "type", OPT_STRING, .must = true }, { "device", OPT_STRING, .must = true }, { "len", OPT_NUMBER, .must = true }, { "offset", OPT_NUMBER, .must = true },
    { "busy", OPT_BOOL, .must = true }, { "paused", OPT_BOOL, .must = true }, { "speed", OPT_NUMBER, .must = true }, { "io-status", OPT_STRING, .must = true },
    { "ready", OPT_BOOL, .must = true }, { "status", OPT_STRING, .must = true }, { "auto-finalize", OPT_BOOL, .must = true }, { "auto-dismiss", OPT_BOOL, .must = true },
    { "error", OPT_STRING }, {}
};
COMMAND(block_jobs_command, .qmp = "query-block-jobs", .run = block_jobs_run, .ret = block_jobs_ret, .ret_type = "[]");

static void print_job(BlkJob *j, void *opaque)
{
    GString *out = opaque;

    if (!j->type->block) {
        return;
    }
    if (!strcmp(j->type->name, "stream")) {
        g_string_append_printf(out, "Streaming device %s: Completed %" PRIu64 " of %" PRIu64 " bytes, speed limit %" PRIu64 " bytes/s\n",
                               j->id, j->current, j->total, j->speed);
    } else {
        g_string_append_printf(out, "Type %s, device %s: Completed %" PRIu64 " of %" PRIu64 " bytes, speed limit %" PRIu64 " bytes/s\n",
                               j->type->name, j->id, j->current, j->total, j->speed);
    }
}

static bool info_jobs_run(MonCall *call, Error **errp)
{
    gsize before = call->out->len;

    jobs_foreach(call->session, print_job, call->out);
    if (call->out->len == before) {
        g_string_append(call->out, "No active jobs\n");
    }
    return true;
}
COMMAND(info_jobs_command, .name = "info block-jobs", .help = "show progress of ongoing block device operations", .run = info_jobs_run);

/* ---- blockdev-create, x-blockdev-amend ---- */

static bool create_run(MonCall *call, Error **errp)
{
    return create_start(call->session, json_get_string(call->args, "job-id"), json_get(call->args, "options"), errp);
}
static const OptKey create_keys[] = { { "job-id", OPT_STRING, .must = true }, { "options", OPT_TREE, .must = true }, {} };
COMMAND(create_command, .qmp = "blockdev-create", .keys = create_keys, .waits = true, .run = create_run);

static bool amend_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "node-name");
    BlkNode *n = blk_node_find(call->session, name);

    if (!n) {
        return error_set(errp, "Failed to find node with node-name='%s'", name);
    }
    return amend_start(n, json_get_string(call->args, "job-id"), json_get(call->args, "options"), json_get_bool(call->args, "force", false), errp);
}
static const OptKey amend_keys[] = {
    { "job-id", OPT_STRING, .must = true }, { "node-name", OPT_STRING, .must = true }, { "options", OPT_TREE, .must = true }, { "force", OPT_BOOL }, {}
};
COMMAND(amend_command, .qmp = "x-blockdev-amend", .keys = amend_keys, .waits = true, .run = amend_run);
