/* SPDX-License-Identifier: MIT */
#include "block/job/create.h"

#include <string.h>
#include <sys/stat.h>

#include "block/image.h"

typedef struct Create {
    BlkJob job;
    const BlkDriver *drv;
    BlkNode *node;                  /* that holds the image, or is amended; referenced */
    bool force;
    char *filename;
    Json *options;                  /* in the words of the image tool */
} Create;

static void create_free(BlkJob *j)
{
    Create *c = (Create *)j;

    blk_node_unref(c->node);
    g_free(c->filename);
    json_unref(c->options);
}

/* The node was opened on an empty file: it is as large as the host says now. */
static void look_again(BlkNode *n)
{
    struct stat st;

    if (stat(n->filename, &st) == 0 && S_ISREG(st.st_mode)) {
        blk_node_resized(n, st.st_size);
    }
}

static int create_run(BlkJob *j)
{
    Create *c = (Create *)j;
    bool ok;

    job_set_total(j, 1);
    ok = c->drv->create(j->session, c->filename, c->options, &j->error);
    if (c->node) {
        look_again(c->node);
    }
    job_progress(j, 1);
    return ok ? 0 : -EIO;
}

static int amend_run(BlkJob *j)
{
    Create *c = (Create *)j;
    bool ok;

    job_set_total(j, 1);
    session_lock(j->session);
    ok = c->node->drv->image->amend(c->node, c->options, c->force, &j->error);
    session_unlock(j->session);
    job_progress(j, 1);
    return ok ? 0 : -EIO;
}

static const JobType create_type = { .name = "create", .size = sizeof(Create), .run = create_run, .free = create_free };
static const JobType amend_type = { .name = "amend", .size = sizeof(Create), .run = amend_run, .free = create_free };

/* The program's word for an option of the image tool. */
static char *tool_name(const BlkDriver *drv, const char *key)
{
    static const struct { const char *program, *tool; } words[] = {
        { "version", "compat" }, { "backing-fmt", "backing_fmt" }, { "backing-file", "backing_file" }, { "data-file", "data_file" }, { "data-file-raw", "data_file_raw" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(key, words[i].program)) {
            return g_strdup(words[i].tool);
        }
    }
    return g_strdelimit(g_strdup(key), "-", '_');
}

static bool known(const OptKey *keys, const char *name)
{
    for (; keys && keys->name; keys++) {
        if (!strcmp(keys->name, name)) {
            return true;
        }
    }
    return false;
}

static bool take_options(Create *c, const OptKey *keys, const Json *o, Error **errp)
{
    const OptGroup group = { .name = c->drv->name, .keys = keys };

    c->options = json_object();
    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);
        g_autofree char *tool = NULL, *text = json_scalar_text(json_at(o, i));

        if (!strcmp(key, "driver") || !strcmp(key, "file") || !strcmp(key, "filename")) {
            continue;
        }
        tool = tool_name(c->drv, key);
        if (!known(keys, tool)) {
            return error_set(errp, "Parameter '%s' is unexpected", key);
        }
        if (!text) {
            return error_set(errp, "Parameter '%s' of '%s' is not available in this build", key, c->drv->name);
        }
        json_set_string(c->options, tool, !strcmp(key, "version") && !strcmp(text, "v2") ? "0.10" : !strcmp(key, "version") && !strcmp(text, "v3") ? "1.1" : text);
    }
    return options_check_text(&group, c->options, errp);
}

static bool take_place(Create *c, const Json *o, Error **errp)
{
    const char *file = json_as_string(json_get(o, "file"));

    if (c->drv->kind & BLK_DRV_PROTOCOL) {
        c->filename = g_strdup(json_get_string(o, "filename"));
        return c->filename || error_set(errp, "Parameter 'filename' is missing");
    }
    if (!file) {
        return error_set(errp, "Parameter 'file' is missing");
    }
    c->node = blk_node_find(c->job.session, file);
    if (!c->node) {
        return error_set(errp, "Cannot find device='' nor node-name='%s'", file);
    }
    blk_node_ref(c->node);
    if (c->node->users) {
        return error_set(errp, "Node '%s' is in use", file);
    }
    c->filename = g_strdup(c->node->filename);
    return true;
}

static bool file_create(Session *s, const char *filename, Json *o, Error **errp)
{
    return blk_create_file(s, filename, json_get_u64(o, "size", 0), json_get_string(o, "preallocation"), errp);
}

BlkJob *create_start(Session *s, const char *job_id, const Json *options, Error **errp)
{
    static const OptKey file_keys[] = {
        { "size", OPT_SIZE, .must = true }, { "preallocation", OPT_ENUM, .values = "off|falloc|full" }, { "nocow", OPT_BOOL }, { "extent_size_hint", OPT_SIZE }, {}
    };
    static const BlkDriver file_driver = { .name = "file", .kind = BLK_DRV_PROTOCOL, .create_options = file_keys, .create = file_create, .preallocates = true };
    const char *name = json_get_string(options, "driver");
    const BlkDriver *drv = !name ? NULL : !strcmp(name, "file") ? &file_driver : blk_driver_find(name);
    JobParams p = { .id = job_id, .auto_finalize = true };
    Create *c;

    if (!drv) {
        error_set(errp, name ? "Parameter 'driver' does not accept value '%s'" : "Parameter '%s' is missing", name ? name : "driver");
        return NULL;
    }
    if (!drv->create) {
        error_set(errp, "Driver does not support blockdev-create");
        return NULL;
    }
    c = job_new(s, &create_type, &p, errp);
    if (!c) {
        return NULL;
    }
    c->drv = drv;
    if (!take_place(c, options, errp) || !take_options(c, drv->create_options, options, errp)) {
        job_abandon(&c->job);
        return NULL;
    }
    job_start(&c->job);
    return &c->job;
}

BlkJob *amend_start(BlkNode *n, const char *job_id, const Json *options, bool force, Error **errp)
{
    JobParams p = { .id = job_id, .auto_finalize = true };
    Create *c;

    if (!n->drv->image || !n->drv->image->amend) {
        error_set(errp, "Driver does not support x-blockdev-amend");
        return NULL;
    }
    c = job_new(n->session, &amend_type, &p, errp);
    if (!c) {
        return NULL;
    }
    c->drv = n->drv;
    c->node = blk_node_ref(n);
    c->force = force;
    if (!job_claim(&c->job, n, errp) || !take_options(c, n->drv->image->amend_options, options, errp)) {
        job_abandon(&c->job);
        return NULL;
    }
    job_start(&c->job);
    return &c->job;
}
