/* SPDX-License-Identifier: MIT */
/* Commands that start jobs on disks. */
#include <string.h>

#include "block/image.h"
#include "block/job/backup.h"
#include "block/job/commit.h"
#include "block/job/mirror.h"
#include "block/job/stream.h"
#include "block/transaction.h"

/* ---- what all of them take ---- */

#define ON_ERROR(name_) { name_, OPT_ENUM, .values = "report|ignore|enospc|stop|auto" }
#define JOB_KEYS { "job-id", OPT_STRING }, { "speed", OPT_SIZE }, { "auto-finalize", OPT_BOOL }, { "auto-dismiss", OPT_BOOL }
#define TWO_ERRORS ON_ERROR("on-source-error"), ON_ERROR("on-target-error")

static JobOnError on_error(const Json *args, const char *key)
{
    const char *word = json_get_string(args, key);

    return !word || !strcmp(word, "report") ? JOB_ON_ERROR_REPORT : !strcmp(word, "ignore") ? JOB_ON_ERROR_IGNORE : !strcmp(word, "stop") ? JOB_ON_ERROR_STOP :
           JOB_ON_ERROR_ENOSPC;
}

static JobParams params(const Json *args, const char *read, const char *write)
{
    return (JobParams){
        .id = json_get_string(args, "job-id"), .device = json_get_string(args, "device"), .auto_finalize = json_get_bool(args, "auto-finalize", true),
        .auto_dismiss = json_get_bool(args, "auto-dismiss", true), .speed = json_get_u64(args, "speed", 0),
        .on_read = on_error(args, read), .on_write = on_error(args, write),
    };
}

/* A node named for a role, NULL when the key is absent; false: it is not there. */
static bool named_node(MonCall *call, const char *key, BlkNode **out, Error **errp)
{
    const char *name = json_get_string(call->args, key);

    *out = name ? blk_node_find(call->session, name) : NULL;
    return !name || *out || error_set(errp, "Cannot find device='' nor node-name='%s'", name);
}

/* A layer by the file that it was opened from. */
static BlkNode *layer_of_file(BlkNode *top, const char *file)
{
    for (BlkNode *n = top; n; n = blk_node_below(n)) {
        if (!strcmp(n->filename, file) && !blk_filtered(n)) {
            return n;
        }
    }
    return NULL;
}

/* ---- stream ---- */

static bool stream_base(MonCall *call, BlkNode *top, BlkNode **base, Error **errp)
{
    const char *file = json_get_string(call->args, "base");
    BlkNode *bottom;

    if (!named_node(call, "base-node", base, errp) || !named_node(call, "bottom", &bottom, errp)) {
        return false;
    }
    if ((file && *base) || (bottom && (file || *base))) {
        return error_set(errp, "'base', 'base-node' and 'bottom' cannot be specified at the same time");
    }
    if (bottom) {
        *base = blk_node_below(bottom);
    }
    if (file) {
        *base = layer_of_file(top, file);
        if (!*base) {
            return error_set(errp, "Can't find '%s' in the backing chain", file);
        }
    }
    if (*base == top || (*base && !blk_graph_reaches(top, *base)) || (bottom && !blk_graph_reaches(top, bottom))) {
        return error_set(errp, "Node '%s' is not a backing image of '%s'", bottom ? bottom->name : (*base)->name, top->name);
    }
    return true;
}

static bool stream_run(MonCall *call, Error **errp)
{
    JobParams p = params(call->args, "on-error", "on-error");
    const char *device = json_get_string(call->args, "device");
    BlkNode *n = cmd_node(call->session, device, device, errp), *base;

    n = n ? blk_node_skip_filters(n) : NULL;
    return n && stream_base(call, n, &base, errp) &&
           stream_start(n, base, json_get_string(call->args, "backing-file"), json_get_string(call->args, "filter-node-name"), &p, errp);
}
static const OptKey stream_keys[] = {
    JOB_KEYS, { "device", OPT_STRING, .must = true }, { "base", OPT_STRING }, { "base-node", OPT_STRING }, { "backing-file", OPT_STRING }, { "bottom", OPT_STRING },
    ON_ERROR("on-error"), { "filter-node-name", OPT_STRING }, {}
};
COMMAND(stream_command, .qmp = "block-stream", .keys = stream_keys, .waits = true, .run = stream_run);

static const OptKey human_stream_keys[] = { { "device", OPT_STRING, .must = true }, { "speed", OPT_SIZE }, { "base", OPT_STRING }, {} };
COMMAND(human_stream_command, .name = "block_stream", .params = "device [speed [base]]", .help = "copy data from a backing file into a block device",
        .keys = human_stream_keys, .waits = true, .run = stream_run);

/* ---- commit ---- */

typedef struct { BlkNode *device, *top, *base; } Layers;

static bool layer(MonCall *call, const char *node_key, const char *file_key, BlkNode *chain, BlkNode **out, Error **errp)
{
    const char *file = json_get_string(call->args, file_key);

    if (!named_node(call, node_key, out, errp)) {
        return false;
    }
    if (file && *out) {
        return error_set(errp, "'%s' and '%s' are mutually exclusive", node_key, file_key);
    }
    if (file) {
        *out = layer_of_file(chain, file);
        return *out || error_set(errp, "%s image file %s not found", !strcmp(file_key, "top") ? "Top" : "Base", file);
    }
    return true;
}

static bool layers(MonCall *call, Layers *l, Error **errp)
{
    const char *device = json_get_string(call->args, "device");

    l->device = cmd_node(call->session, device, device, errp);
    l->device = l->device ? blk_node_skip_filters(l->device) : NULL;
    if (!l->device || !layer(call, "top-node", "top", l->device, &l->top, errp) || !layer(call, "base-node", "base", l->device, &l->base, errp)) {
        return false;
    }
    l->top = l->top ? l->top : l->device;
    for (BlkNode *n = l->base ? NULL : l->top; n; n = blk_node_below(n)) {
        l->base = n;                                /* the lowest */
    }
    if (!blk_graph_reaches(l->device, l->top)) {
        return error_set(errp, "'%s' is not in this backing file chain", l->top->name);
    }
    if (l->top == l->base || !blk_graph_reaches(l->top, l->base)) {
        return error_set(errp, l->top == l->base ? "cannot commit an image into itself" : "'%s' is not in this backing file chain", l->base->name);
    }
    return true;
}

static bool commit_run(MonCall *call, Error **errp)
{
    JobParams p = params(call->args, "on-error", "on-error");
    const char *file = json_get_string(call->args, "backing-file");
    Layers l;

    if (!layers(call, &l, errp)) {
        return false;
    }
    if (l.top != l.device) {
        return commit_start(blk_node_overlay_of(l.device, l.top), l.top, l.base, file, &p, errp);
    }
    if (file) {
        return error_set(errp, "'backing-file' specified, but 'top' is the active layer");
    }
    return mirror_start(&(MirrorParams){ .source = l.top, .target = l.base, .is_commit = true, .filter_name = json_get_string(call->args, "filter-node-name") }, &p, errp);
}
static const OptKey commit_keys[] = {
    JOB_KEYS, { "device", OPT_STRING, .must = true }, { "base", OPT_STRING }, { "base-node", OPT_STRING }, { "top", OPT_STRING }, { "top-node", OPT_STRING },
    { "backing-file", OPT_STRING }, ON_ERROR("on-error"), { "filter-node-name", OPT_STRING }, {}
};
COMMAND(commit_command, .qmp = "block-commit", .keys = commit_keys, .waits = true, .run = commit_run);

/* ---- mirror ---- */

static bool mirror_sync(const char *word, MirrorSync *out, Error **errp)
{
    *out = !strcmp(word, "full") ? MIRROR_FULL : !strcmp(word, "top") ? MIRROR_TOP : !strcmp(word, "none") ? MIRROR_NONE : MIRROR_INCREMENTAL;
    return *out != MIRROR_INCREMENTAL || error_set(errp, "Sync mode '%s' not supported", word);
}

static bool mirror_params(MonCall *call, MirrorParams *m, Error **errp)
{
    const char *device = json_get_string(call->args, "device"), *sync = json_get_string(call->args, "sync");
    uint64_t granularity = json_get_u64(call->args, "granularity", 0);

    m->source = cmd_node(call->session, device, device, errp);
    m->source = m->source ? blk_node_skip_filters(m->source) : NULL;
    if (!m->source || !mirror_sync(sync, &m->sync, errp)) {
        return false;
    }
    if (m->sync == MIRROR_TOP && !blk_node_backing(m->source)) {
        m->sync = MIRROR_FULL;
    }
    if (granularity && (granularity < 512 || granularity > 64 << 20 || (granularity & (granularity - 1)))) {
        return error_set(errp, granularity & (granularity - 1) ? "Parameter 'granularity' expects a power of 2" : "Parameter 'granularity' expects a value in range [512B, 64MB]");
    }
    m->granularity = granularity;
    m->active = !g_strcmp0(json_get_string(call->args, "copy-mode"), "write-blocking");
    m->filter_name = json_get_string(call->args, "filter-node-name");
    m->replaces = json_get_string(call->args, "replaces");
    return true;
}

static bool blockdev_mirror_run(MonCall *call, Error **errp)
{
    JobParams p = params(call->args, "on-source-error", "on-target-error");
    const char *target = json_get_string(call->args, "target");
    MirrorParams m = {};

    if (!mirror_params(call, &m, errp)) {
        return false;
    }
    m.target = cmd_node(call->session, target, target, errp);
    return m.target && mirror_start(&m, &p, errp);
}
#define MIRROR_KEYS JOB_KEYS, TWO_ERRORS, { "device", OPT_STRING, .must = true }, { "target", OPT_STRING, .must = true }, { "replaces", OPT_STRING }, \
    { "sync", OPT_ENUM, .values = "top|full|none|incremental|bitmap", .must = true }, { "granularity", OPT_SIZE }, { "buf-size", OPT_SIZE, .absent = "pieces of 1 MiB, eight at once" }, \
    { "copy-mode", OPT_ENUM, .values = "background|write-blocking" }
static const OptKey blockdev_mirror_keys[] = { MIRROR_KEYS, { "filter-node-name", OPT_STRING }, {} };
COMMAND(blockdev_mirror_command, .qmp = "blockdev-mirror", .keys = blockdev_mirror_keys, .waits = true, .run = blockdev_mirror_run);

/* The new image of a drive-* command: made unless it exists, and opened without what lies below. */
static BlkNode *target_image(MonCall *call, BlkNode *source, BlkNode *backing, Error **errp)
{
    const char *file = json_get_string(call->args, "target"), *format = json_get_string(call->args, "format"), *mode = json_get_string(call->args, "mode");
    bool exists = !g_strcmp0(mode, "existing");

    format = format ? format : exists ? NULL : source->drv->name;
    if (!exists && !blk_image_create_for(call->session, file, format, node_size(source), backing, errp)) {
        return NULL;
    }
    return blk_image_open_alone(call->session, file, format ? format : source->drv->name, json_get_string(call->args, "node-name"),
                                source->flags & (BLK_O_DIRECT | BLK_O_NO_FLUSH | BLK_O_UNMAP), errp);
}

static bool drive_mirror_run(MonCall *call, Error **errp)
{
    JobParams p = params(call->args, "on-source-error", "on-target-error");
    MirrorParams m = { .set_backing = true };
    BlkJob *j;

    if (!mirror_params(call, &m, errp)) {
        return false;
    }
    m.target = target_image(call, m.source, m.sync == MIRROR_TOP ? blk_node_skip_filters(blk_node_backing(m.source)) : m.sync == MIRROR_NONE ? m.source : NULL, errp);
    if (!m.target) {
        return false;
    }
    j = mirror_start(&m, &p, errp);
    blk_node_unref(m.target);
    return j;
}
static const OptKey drive_mirror_keys[] = {
    MIRROR_KEYS, { "format", OPT_STRING }, { "node-name", OPT_STRING }, { "mode", OPT_ENUM, .values = "existing|absolute-paths" }, { "unmap", OPT_BOOL }, {}
};
COMMAND(drive_mirror_command, .qmp = "drive-mirror", .keys = drive_mirror_keys, .waits = true, .run = drive_mirror_run);

/* ---- backup ---- */

typedef struct {
    Action a;
    BlkNode *made;                  /* drive-backup: the target that was opened for it */
    BlkJob *job;
    bool started;
} BackupAction;

static bool find_bitmap(BackupParams *b, const char *name, Error **errp)
{
    b->bitmap = blk_bitmap_find(b->source, name);
    if (!b->bitmap) {
        return error_set(errp, "Bitmap '%s' could not be found", name);
    }
    if (b->bitmap->busy || b->bitmap->inconsistent) {
        return error_set(errp, b->bitmap->busy ? "Bitmap '%s' is currently in use by another operation and cannot be used" :
                         "Bitmap '%s' is inconsistent and cannot be used", name);
    }
    return true;
}

/* What a bitmap means to a kind of backup that it does not pick the data of. */
static bool bitmap_mode(const BackupParams *b, const char *sync, const char *mode, Error **errp)
{
    if (!mode) {
        return !strcmp(sync, "incremental") || error_set(errp, "Bitmap sync mode must be given when providing a bitmap");
    }
    if (b->sync == BACKUP_NONE) {
        return error_set(errp, "sync mode 'none' does not produce meaningful bitmap outputs");
    }
    return b->sync == BACKUP_BITMAP || b->mode != BITMAP_NEVER || error_set(errp, "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode '%s'", sync);
}

static bool backup_sync(const Json *args, BackupParams *b, Error **errp)
{
    const char *sync = json_get_string(args, "sync"), *bitmap = json_get_string(args, "bitmap"), *mode = json_get_string(args, "bitmap-mode");

    b->sync = !strcmp(sync, "full") ? BACKUP_FULL : !strcmp(sync, "top") ? BACKUP_TOP : !strcmp(sync, "none") ? BACKUP_NONE : BACKUP_BITMAP;
    b->mode = mode && !strcmp(mode, "never") ? BITMAP_NEVER : mode && !strcmp(mode, "always") ? BITMAP_ALWAYS : BITMAP_ON_SUCCESS;
    if (b->sync == BACKUP_BITMAP && !bitmap) {
        return error_set(errp, "must provide a valid bitmap name for '%s' sync mode", sync);
    }
    if (mode && !bitmap) {
        return error_set(errp, "Cannot specify bitmap sync mode without a bitmap");
    }
    if (!strcmp(sync, "incremental") && mode && b->mode != BITMAP_ON_SUCCESS) {
        return error_set(errp, "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'");
    }
    if (bitmap && (!find_bitmap(b, bitmap, errp) || !bitmap_mode(b, sync, mode, errp))) {
        return false;
    }
    if (b->sync == BACKUP_TOP && !blk_node_backing(b->source)) {
        b->sync = BACKUP_FULL;
    }
    return true;
}

static bool backup_prepare(Action *a, bool drive, Error **errp)
{
    BackupAction *s = (BackupAction *)a;
    JobParams p = params(a->args, "on-source-error", "on-target-error");
    const char *device = json_get_string(a->args, "device"), *target = json_get_string(a->args, "target");
    BackupParams b = { .compress = json_get_bool(a->args, "compress", false), .filter_name = json_get_string(a->args, "filter-node-name") };
    MonCall call = { .session = a->session, .args = a->args };

    b.source = cmd_node(a->session, device, device, errp);
    b.source = b.source ? blk_node_skip_filters(b.source) : NULL;
    if (!b.source || !backup_sync(a->args, &b, errp)) {
        return false;
    }
    if (drive) {
        BlkNode *backing = b.sync == BACKUP_TOP ? blk_node_skip_filters(blk_node_backing(b.source)) : b.sync == BACKUP_NONE ? b.source : NULL;

        b.target = s->made = target_image(&call, b.source, backing, errp);
        if (b.target && backing && b.sync == BACKUP_NONE) {
            blk_graph_set_backing(a->transaction->graph, b.target, backing);
        }
    } else {
        b.target = cmd_node(a->session, target, target, errp);
    }
    if (!b.target || !backup_new(a->transaction->graph, &b, &p, &s->job, errp)) {
        return false;
    }
    if (a->transaction->group) {
        job_group_add(a->transaction->group, s->job);
    }
    return true;
}

static bool blockdev_backup_prepare(Action *a, Error **errp)
{
    return backup_prepare(a, false, errp);
}

static bool drive_backup_prepare(Action *a, Error **errp)
{
    return backup_prepare(a, true, errp);
}

static void backup_commit(Action *a)
{
    ((BackupAction *)a)->started = true;
}

/* The drain is over: the job may begin, or go. */
static void backup_clean(Action *a)
{
    BackupAction *s = (BackupAction *)a;

    if (s->started) {
        job_start(s->job);
    } else if (s->job) {
        job_abandon(s->job);
    }
    blk_node_unref(s->made);
}

#define BACKUP_KEYS JOB_KEYS, TWO_ERRORS, { "device", OPT_STRING, .must = true }, { "target", OPT_STRING, .must = true }, { "bitmap", OPT_STRING }, \
    { "sync", OPT_ENUM, .values = "top|full|none|incremental|bitmap", .must = true }, { "bitmap-mode", OPT_ENUM, .values = "on-success|never|always" }, \
    { "compress", OPT_BOOL }, { "filter-node-name", OPT_STRING }
static const OptKey blockdev_backup_keys[] = { BACKUP_KEYS, {} };
static const OptKey drive_backup_keys[] = { BACKUP_KEYS, { "format", OPT_STRING }, { "mode", OPT_ENUM, .values = "existing|absolute-paths" }, {} };
static const ActionKind blockdev_backup_action = {
    .name = "blockdev-backup", .keys = blockdev_backup_keys, .size = sizeof(BackupAction), .prepare = blockdev_backup_prepare, .commit = backup_commit, .clean = backup_clean,
};
static const ActionKind drive_backup_action = {
    .name = "drive-backup", .keys = drive_backup_keys, .size = sizeof(BackupAction), .prepare = drive_backup_prepare, .commit = backup_commit, .clean = backup_clean,
};
ACTION_KIND(blockdev_backup_action);
ACTION_KIND(drive_backup_action);

static bool blockdev_backup_run(MonCall *call, Error **errp)
{
    return action_run(call, "blockdev-backup", errp);
}
COMMAND(blockdev_backup_command, .qmp = "blockdev-backup", .keys = blockdev_backup_keys, .waits = true, .run = blockdev_backup_run);

static bool drive_backup_run(MonCall *call, Error **errp)
{
    return action_run(call, "drive-backup", errp);
}
COMMAND(drive_backup_command, .qmp = "drive-backup", .keys = drive_backup_keys, .waits = true, .run = drive_backup_run);

/* ---- for people ---- */

/* drive_mirror [-n] [-f] device target [format], drive_backup [-n] [-f] [-c] device target [format] */
static Json *human_args(const MonCall *call)
{
    Json *o = json_object();

    json_set_string(o, "device", json_get_string(call->args, "device"));
    json_set_string(o, "target", json_get_string(call->args, "target"));
    json_set_string(o, "mode", json_get_bool(call->args, "reuse", false) ? "existing" : "absolute-paths");
    json_set_string(o, "sync", json_get_bool(call->args, "full", false) ? "full" : "top");
    if (json_get_string(call->args, "image-format")) {
        json_set_string(o, "format", json_get_string(call->args, "image-format"));
    }
    return o;
}

static bool human_mirror_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) args = human_args(call);
    MonCall inner = *call;

    inner.args = args;
    return drive_mirror_run(&inner, errp);
}
#define HUMAN_KEYS { "reuse", OPT_BOOL, .alias = "n" }, { "full", OPT_BOOL, .alias = "f" }, { "device", OPT_STRING, .must = true }, { "target", OPT_STRING, .must = true }, \
    { "image-format", OPT_STRING }
static const OptKey human_mirror_keys[] = { HUMAN_KEYS, {} };
COMMAND(human_mirror_command, .name = "drive_mirror", .params = "[-n] [-f] device target [format]", .help = "initiates live storage migration for a device (-n: reuse the image, -f: all of it)",
        .keys = human_mirror_keys, .waits = true, .run = human_mirror_run);

static bool human_backup_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) args = human_args(call);
    MonCall inner = *call;

    json_set_bool(args, "compress", json_get_bool(call->args, "compress", false));
    inner.args = args;
    return action_run(&inner, "drive-backup", errp);
}
static const OptKey human_backup_keys[] = { HUMAN_KEYS, { "compress", OPT_BOOL, .alias = "c" }, {} };
COMMAND(human_backup_command, .name = "drive_backup", .params = "[-n] [-f] [-c] device target [format]", .help = "initiates a point-in-time copy for a device (-n: reuse the image, -f: all of it, -c: compress)",
        .keys = human_backup_keys, .waits = true, .run = human_backup_run);
