/* SPDX-License-Identifier: MIT */
#include "block/drive.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/image.h"
#include "block/stats.h"
#include "block/throttle-keys.h"
#include "block/throttle.h"
#include "util/options.h"

static const char *const if_names[] = { "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen" };

static const OptKey throttling_keys[] = { THROTTLE_KEYS(""), { "group", OPT_STRING, "disks of one group share the limits" }, {} };
static const OptGroup throttling_group = { .name = "throttling", .keys = throttling_keys };
static const OptKey drive_keys[] = {
    { "file", OPT_STRING, "image file" },
    { "id", OPT_ID, "name for -device drive=" },
    { "if", OPT_STRING, "where it is attached: none, ide, scsi, floppy, pflash, mtd, sd, virtio" },
    { "index", OPT_NUMBER, "place on that interface" },
    { "bus", OPT_NUMBER, "bus number" },
    { "unit", OPT_NUMBER, "unit on the bus" },
    { "media", OPT_STRING, "disk or cdrom" },
    { "format", OPT_STRING, "format of the image", .alias = "driver" },
    { "snapshot", OPT_BOOL, "write to a temporary file" },
    { "cache", OPT_STRING, "none, writeback, writethrough, directsync, unsafe" },
    { "aio", OPT_STRING, "threads, native or io_uring" },
    { "werror", OPT_STRING, "what a failed write does: ignore, stop, report, enospc" },
    { "rerror", OPT_STRING, "what a failed read does: ignore, stop, report" },
    { "read-only", OPT_BOOL, "refuse writes", .alias = "readonly" },
    { "copy-on-read", OPT_BOOL, "keep what is read from below" },
    { "stats-account-invalid", OPT_BOOL, "requests that can not be count as activity" },
    { "stats-account-failed", OPT_BOOL, "failed requests count as activity" },
    { "stats-intervals", OPT_ANY, "stats-intervals.0=SECONDS ...: latencies of so long are kept" },
    { "throttling", OPT_TREE, "limits", .sub = &throttling_group },
    { "group", OPT_STRING, "of limits" },
    THROTTLE_OLD_KEYS(false),
    {}
};
static const OptGroup drive_group = { .name = "drive", .help = "a disk with its place", .implied = "file", .keys = drive_keys, .open = true, .late = true };
OPT_GROUP(drive_group);

static const OptKey blockdev_keys[] = {
    { "driver", OPT_STRING, "driver of the node", .must = true },
    { "node-name", OPT_STRING, "id of the node" },
    {}
};
static const OptGroup blockdev_group = { .name = "blockdev", .help = "a block node", .implied = "driver", .keys = blockdev_keys, .open = true };
OPT_GROUP(blockdev_group);

/* ---- in the session ---- */

static void drive_free(void *object)
{
    Drive *d = object;

    g_free(d->serial);
    g_free(d->text);
    g_free(d);
}

static const SessionKind drive_kind = { .name = "drive", .space = "drive", .destroy = drive_free };

static void node_unref(void *object)
{
    blk_node_unref(object);
}

/* Holds the reference of -blockdev on a node. */
static const SessionKind blockdev_kind = { .name = "blockdev", .space = "blockdev", .destroy = node_unref };

typedef struct {
    DriveIf kind;
    int bus, unit, index;
    const Blk *blk;
    bool unclaimed;
    Drive *found;
} Search;

static void search_one(const char *id, void *object, void *opaque)
{
    Search *q = opaque;
    Drive *d = object;

    if (q->found || (q->blk ? d->blk != q->blk : d->kind != q->kind)) {
        return;
    }
    if (q->unclaimed ? d->claimed : !q->blk && q->index >= 0 ? d->index != q->index : !q->blk && (d->bus != q->bus || d->unit != q->unit)) {
        return;
    }
    q->found = d;
}

static Drive *search(Session *s, Search q)
{
    session_foreach(s, &drive_kind, search_one, &q);
    return q.found;
}

Drive *drive_get(Session *s, DriveIf kind, int bus, int unit)
{
    return search(s, (Search){ .kind = kind, .bus = bus, .unit = unit, .index = -1 });
}

Drive *drive_get_index(Session *s, DriveIf kind, int index)
{
    return search(s, (Search){ .kind = kind, .index = index });
}

Drive *drive_of(Session *s, const Blk *b)
{
    return search(s, (Search){ .blk = b, .index = -1 });
}

typedef struct { const Drive *drive; char *id; } IdOf;

static void id_of(const char *id, void *object, void *opaque)
{
    IdOf *q = opaque;

    if (object == q->drive) {
        q->id = g_strdup(id);
    }
}

void drive_forget(Session *s, Blk *b)
{
    IdOf q = { drive_of(s, b), NULL };

    if (q.drive) {
        session_foreach(s, &drive_kind, id_of, &q);
        session_destroy(s, &drive_kind, q.id);
        g_free(q.id);
    }
    blk_free(b);
}

Drive *drive_unclaimed(Session *s, DriveIf kind)
{
    return search(s, (Search){ .kind = kind, .unclaimed = true, .index = -1 });
}

const char *drive_if_name(DriveIf kind)
{
    return if_names[kind];
}

/* ---- words to values ---- */

static bool parse_if(const char *name, DriveIf *out, Error **errp)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(if_names); i++) {
        if (!strcmp(name, if_names[i])) {
            *out = i;
            return true;
        }
    }
    return error_set(errp, "unsupported bus type '%s'", name);
}

static bool parse_action(const char *name, bool write, DriveErrorAction *out, Error **errp)
{
    static const char *const names[] = { "report", "ignore", "stop", "enospc" };

    *out = write ? DRIVE_ERROR_ENOSPC : DRIVE_ERROR_REPORT;
    for (unsigned i = 0; name && i < (write ? 4 : 3); i++) {
        if (!strcmp(name, names[i])) {
            *out = i;
            return true;
        }
    }
    return !name || error_set(errp, "'%s' invalid %s error action", name, write ? "write" : "read");
}

static bool parse_place(Session *s, Drive *d, const Json *o, const DriveBoard *board, Error **errp)
{
    int max = board->max_devs[d->kind];
    bool has_index = json_get(o, "index") != NULL;

    d->bus = json_get_i64(o, "bus", 0);
    d->unit = json_get_i64(o, "unit", -1);
    d->index = json_get_i64(o, "index", -1);
    if (has_index && (json_get(o, "bus") || json_get(o, "unit"))) {
        return error_set(errp, "index cannot be used with bus and unit");
    }
    if (has_index) {
        d->bus = max ? d->index / max : 0;
        d->unit = max ? d->index % max : d->index;
    } else if (d->unit < 0) {
        for (d->unit = 0; drive_get(s, d->kind, d->bus, d->unit);) {
            if (++d->unit >= max && max) {
                d->unit = 0;
                d->bus++;
            }
        }
    }
    if (max && d->unit >= max) {
        return error_set(errp, "unit %d too big (max is %d)", d->unit, max - 1);
    }
    d->index = max ? d->bus * max + d->unit : d->unit;
    if (drive_get(s, d->kind, d->bus, d->unit)) {
        return error_set(errp, "drive with bus=%d, unit=%d (index=%d) exists", d->bus, d->unit, d->index);
    }
    return true;
}

static bool parse_media(Drive *d, const Json *o, Error **errp)
{
    const char *media = json_get_string(o, "media");

    if (media && strcmp(media, "disk") && strcmp(media, "cdrom")) {
        return error_set(errp, "'%s' invalid media", media);
    }
    d->cdrom = media && media[0] == 'c';
    return true;
}

/* ---- a temporary layer ---- */

static char *temporary_file(Error **errp)
{
    const char *dir = g_getenv("TMPDIR");
    char *path = g_strdup_printf("%s/rhea-overlay-XXXXXX", dir ? dir : "/var/tmp");
    int fd = g_mkstemp(path);

    if (fd < 0) {
        error_set(errp, "Could not create a temporary file in '%s' (set TMPDIR)", dir ? dir : "/var/tmp");
        g_free(path);
        return NULL;
    }
    close(fd);
    return path;
}

BlkNode *blk_node_overlay(BlkNode *n, unsigned flags, Error **errp)
{
    g_autofree char *path = temporary_file(errp);
    const BlkDriver *qcow2 = blk_driver_find("qcow2");
    g_autoptr(Json) create = json_object();
    Json *o = json_object();
    BlkNode *top = NULL;

    json_set_uint(create, "size", (node_size(n) + 511) & ~511ull);
    json_set_string(o, "driver", "qcow2");
    json_set_string(o, "backing", n->name);
    if (!qcow2) {
        error_set(errp, "snapshot=on needs qcow2, which is not in this program");
    } else if (path && blk_create(n->session, qcow2, path, create, errp)) {
        top = blk_node_open(n->session, path, json_ref(o), (flags & ~BLK_O_DIRECT) | BLK_O_RDWR | BLK_O_NO_FLUSH | BLK_O_UNMAP, errp);
    }
    if (path) {
        unlink(path);
    }
    json_unref(o);
    blk_node_unref(n);
    return top;
}

/* ---- opening ---- */

static void warn_probed(const BlkNode *n, const char *file)
{
    if (!n->probed || strcmp(n->drv->name, "raw") || n->read_only) {
        return;
    }
    fprintf(stderr, "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n", file);
}

/* What is left of the drive's options are the node's. */
static Json *node_options(Json *o, Json *file_options)
{
    static const char *const ours[] = { "file", "id", "if", "index", "bus", "unit", "media", "format", "snapshot", "cache", "aio", "werror", "rerror", "read-only", "copy-on-read", "throttling", "group",
                                        "stats-account-invalid", "stats-account-failed", "stats-intervals" };
    Json *rest = json_copy(o);

    for (unsigned i = 0; i < G_N_ELEMENTS(ours); i++) {
        json_remove(rest, ours[i]);
    }
    for (const ThrottleName *n = throttle_names; n->name; n++) {
        json_remove(rest, n->old);
    }
    if (json_get_string(o, "format")) {
        json_set_string(rest, "driver", json_get_string(o, "format"));
    }
    if (!g_strcmp0(json_get_string(rest, "detect-zeroes"), "unmap") && g_strcmp0(json_get_string(rest, "discard"), "unmap") && g_strcmp0(json_get_string(rest, "discard"), "on")) {
        json_set_string(rest, "detect-zeroes", "on");           /* nothing is to be unmapped */
    }
    if (json_get_string(o, "aio")) {
        json_set_string(file_options, "aio", json_get_string(o, "aio"));
    }
    return rest;
}

/* The filter over a disk that may be written; takes the reference. */
static BlkNode *keep_reads(Session *s, BlkNode *n, Error **errp)
{
    Json *o = json_object();
    BlkNode *filter;

    if (n->read_only) {
        fprintf(stderr, "warning: disabling copy-on-read on read-only drive\n");
        json_unref(o);
        return n;
    }
    json_set_string(o, "driver", "copy-on-read");
    json_set_string(o, "file", n->name);
    filter = blk_node_open(s, NULL, o, BLK_O_RDWR | (n->flags & BLK_O_UNMAP), errp);
    blk_node_unref(n);
    return filter;
}

static BlkNode *open_image(Session *s, Drive *d, Json *o, Json *file_options, bool snapshot, unsigned *flags, Error **errp)
{
    const char *file = json_get_string(o, "file"), *format = json_get_string(o, "format");
    Json *rest = node_options(o, file_options);
    bool protocol = format && blk_driver_find(format) && (blk_driver_find(format)->kind & BLK_DRV_PROTOCOL);
    BlkNode *n;

    if (json_size(file_options) && !protocol) {
        if (file && !g_str_has_prefix(file, "json:")) {
            json_set_string(file_options, "filename", file);
            if (!json_get(file_options, "driver")) {
                json_set_string(file_options, "driver", "file");
            }
        }
        json_set(rest, "file", json_ref(file_options));
        n = blk_node_open(s, NULL, rest, *flags, errp);
    } else {
        n = blk_node_open(s, file && *file ? file : NULL, rest, *flags, errp);
    }
    if (n && file) {
        warn_probed(n, file);
    }
    n = n && snapshot ? blk_node_overlay(n, *flags, errp) : n;
    return n && json_get_bool(o, "copy-on-read", false) ? keep_reads(s, n, errp) : n;
}

static bool open_flags(const Json *o, const Drive *d, bool snapshot, unsigned *flags, Error **errp)
{
    const char *aio = json_get_string(o, "aio"), *cache = json_get_string(o, "cache");

    *flags = snapshot || d->cdrom || json_get_bool(o, "read-only", false) ? 0 : BLK_O_RDWR | BLK_O_AUTO_RDONLY;
    if (aio && strcmp(aio, "threads") && strcmp(aio, "native") && strcmp(aio, "io_uring")) {
        return error_set(errp, "invalid aio option");
    }
    return !cache || blk_cache_flags(cache, flags, errp);
}

/* "children.0.file=x": an option of the driver itself, whole or the beginning of a dotted one. */
static bool says_something(const Json *o, const BlkDriver *drv)
{
    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);

        for (const OptKey *k = drv->options; k && k->name; k++) {
            size_t len = strlen(k->name);

            if (strcmp(k->name, "file") && !strncmp(key, k->name, len) && (!key[len] || key[len] == '.')) {
                return true;
            }
        }
    }
    return false;
}

static bool has_image(const Json *o, const Json *file_options)
{
    const char *file = json_get_string(o, "file"), *format = json_get_string(o, "format");
    const BlkDriver *drv = format ? blk_driver_find(format) : NULL;

    return (file && *file) || json_size(file_options) || (format && g_str_has_prefix(format, "null-")) || (drv && says_something(o, drv));
}

/* throttling.X, and the old name of the same. */
static bool limits_of(const Json *o, ThrottleConfig *c, const char **group, Error **errp)
{
    const Json *t = json_get(o, "throttling");

    for (const ThrottleName *n = throttle_names; n->name; n++) {
        if (json_get(t, n->name) && json_get(o, n->old)) {
            return error_set(errp, "'throttling.%s' and its alias '%s' can't be used at the same time", n->name, n->old);
        }
    }
    *group = json_get_string(t, "group") ? json_get_string(t, "group") : json_get_string(o, "group");
    throttle_config_init(c);
    return throttle_config_read(c, o, "", true, errp) && throttle_config_read(c, t, "", false, errp) && throttle_config_check(c, errp);
}

static bool interval(BlkStats *s, const Json *v, Error **errp)
{
    g_autofree char *text = json_scalar_text(v);
    uint64_t seconds = 0;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 1, UINT32_MAX, &seconds, NULL)) {
        return error_set(errp, "Invalid interval length: %s", text ? text : json_type_name(v));
    }
    stats_add_interval(s, (unsigned)seconds, loop_now());
    return true;
}

static bool count_as(BlkStats *s, const Json *o, Error **errp)
{
    const Json *list = json_get(o, "stats-intervals");

    s->account_invalid = json_get_bool(o, "stats-account-invalid", true);
    s->account_failed = json_get_bool(o, "stats-account-failed", true);
    if (list && !json_is(list, JSON_ARRAY) && !json_is(list, JSON_OBJECT)) {
        return interval(s, list, errp);
    }
    for (unsigned i = 0; list && i < json_size(list); i++) {
        if (!interval(s, json_at(list, i), errp)) {
            return false;
        }
    }
    return true;
}

static Drive *drive_make(Session *s, Json *o, Json *file_options, const DriveBoard *board, bool snapshot, Error **errp)
{
    g_autofree char *auto_id = NULL;
    const char *id = json_get_string(o, "id");
    Drive *d = g_new0(Drive, 1);
    unsigned flags = 0, perm = BLK_PERM_READ;
    const char *group = NULL;
    ThrottleConfig limits;
    BlkNode *n = NULL;

    snapshot = json_get_bool(o, "snapshot", snapshot);
    d->kind = board->kind;
    if ((json_get_string(o, "if") && !parse_if(json_get_string(o, "if"), &d->kind, errp)) || !parse_media(d, o, errp) ||
        !parse_action(json_get_string(o, "werror"), true, &d->werror, errp) || !parse_action(json_get_string(o, "rerror"), false, &d->rerror, errp) ||
        (d->kind != DRIVE_NONE && !parse_place(s, d, o, board, errp)) || !open_flags(o, d, snapshot, &flags, errp) ||
        !limits_of(o, &limits, &group, errp)) {
        goto fail;
    }
    if (d->kind == DRIVE_NONE) {
        d->index = d->unit = -1;
    }
    snapshot = snapshot && !d->cdrom;
    if (has_image(o, file_options)) {
        n = open_image(s, d, o, file_options, snapshot, &flags, errp);
        if (!n) {
            goto fail;
        }
        perm |= n->read_only ? 0 : BLK_PERM_WRITE;
    }
    if (!id && d->kind != DRIVE_NONE) {
        id = auto_id = d->kind == DRIVE_IDE || d->kind == DRIVE_SCSI ? g_strdup_printf("%s%d-%s%d", if_names[d->kind], d->bus, d->cdrom ? "cd" : "hd", d->unit)
                     : g_strdup_printf("%s%d", if_names[d->kind], d->index);
    }
    d->blk = blk_new(s, id, perm, BLK_PERM_READ | BLK_PERM_WRITE_SAME, errp);
    if (!d->blk || !count_as(blk_stats(d->blk), o, errp) || (n && !blk_insert(d->blk, n, errp))) {
        blk_free(d->blk);
        blk_node_unref(n);
        goto fail;
    }
    blk_set_writethrough(d->blk, flags & BLK_O_WRITETHROUGH);
    blk_node_unref(n);
    if (throttle_config_on(&limits)) {
        blk_throttle(d->blk, group ? group : id ? id : "", &limits);
    }
    auto_id = (g_free(auto_id), session_make_id(s, "drive"));
    session_add(s, &drive_kind, auto_id, d, NULL);
    return d;
fail:
    drive_free(d);
    return NULL;
}

/* "file.x=y" stands beside "file=z", so they are taken apart before the table reads them. */
static bool split_text(const char *text, char **drive, char **file)
{
    g_auto(GStrv) parts = options_split(text);
    GString *out[2] = { g_string_new(NULL), g_string_new(NULL) };

    for (char **p = parts; *p; p++) {
        bool of_file = g_str_has_prefix(*p, "file.");
        GString *to = out[of_file];
        g_auto(GStrv) commas = g_strsplit(*p + (of_file ? 5 : 0), ",", -1);
        g_autofree char *escaped = g_strjoinv(",,", commas);

        g_string_append_printf(to, "%s%s", to->len ? "," : "", escaped);
    }
    *drive = g_string_free(out[0], false);
    *file = g_string_free(out[1], false);
    return true;
}

Drive *drive_add(Session *s, const char *text, const DriveBoard *board, bool snapshot, Error **errp)
{
    static const OptKey no_keys[] = { {} };
    static const OptGroup file_group = { .name = "file", .open = true, .keys = no_keys };
    g_autofree char *drive_text = NULL, *file_text = NULL;
    g_autoptr(Json) o = NULL, file = NULL;
    Drive *d;

    split_text(text, &drive_text, &file_text);
    o = options_parse(&drive_group, drive_text, errp);
    file = !o ? NULL : *file_text ? options_parse(&file_group, file_text, errp) : json_object();
    d = file ? drive_make(s, o, file, board, snapshot, errp) : NULL;
    if (d) {
        d->text = g_strdup(text);
    }
    return d;
}

Drive *drive_add_file(Session *s, const char *file, DriveIf kind, int index, bool cdrom, const DriveBoard *board, bool snapshot, Error **errp)
{
    g_autoptr(Json) o = json_object(), none = json_object();
    Drive *d;

    json_set_string(o, "file", file);
    if (kind != DRIVE_DEFAULT) {
        json_set_string(o, "if", if_names[kind]);
    }
    if (index >= 0) {
        json_set_int(o, "index", index);
    }
    json_set_string(o, "media", cdrom ? "cdrom" : "disk");
    d = drive_make(s, o, none, board, snapshot, errp);
    if (d) {
        d->text = g_strdup(file);
    }
    return d;
}

/* ---- -blockdev ---- */

bool blockdev_add(Session *s, const char *text, Error **errp)
{
    Json *o = options_parse(&blockdev_group, text, errp);

    return o && blockdev_add_json(s, o, errp);
}

bool blockdev_add_json(Session *s, Json *options, Error **errp)
{
    g_autoptr(Json) o = options;
    const char *driver = json_get_string(o, "driver");
    BlkNode *n;

    if (!blk_driver_find(driver)) {
        return error_set(errp, "Parameter 'driver' does not accept value '%s'", driver);
    }
    if (!json_get_string(o, "node-name")) {
        return error_set(errp, "'node-name' must be specified for the root node");
    }
    if (blk_driver_find(driver)->needs_filename && !json_get(o, "filename")) {
        return error_set(errp, "Parameter 'filename' is missing");
    }
    n = blk_node_open(s, NULL, json_ref(o), BLK_O_RDWR, errp);
    if (!n) {
        return false;
    }
    session_add(s, &blockdev_kind, n->name, n, NULL);
    return true;
}

bool blockdev_del(Session *s, const char *node_name, Error **errp)
{
    BlkNode *n = blk_node_find(s, node_name);

    if (!n) {
        return error_set(errp, "Failed to find node with node-name='%s'", node_name);
    }
    if (!session_get(s, &blockdev_kind, node_name)) {
        return error_set(errp, "Node %s is not owned by the monitor", node_name);
    }
    if (n->users || n->refs > 1) {
        return error_set(errp, "Node %s is in use", node_name);
    }
    session_remove(s, &blockdev_kind, node_name);
    blk_node_unref(n);
    return true;
}

Blk *drive_resolve(Session *s, const char *name, Error **errp)
{
    BlkNode *n = blk_node_find(s, name);
    Blk *b = blk_find(s, name);
    unsigned perm;

    if (b) {
        return b;
    }
    if (!n) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", name, name);
        return NULL;
    }
    perm = BLK_PERM_READ | (n->read_only ? 0 : BLK_PERM_WRITE);
    b = blk_new(s, NULL, perm, BLK_PERM_READ | BLK_PERM_WRITE_SAME, errp);
    if (b && !blk_insert(b, n, errp)) {
        blk_free(b);
        b = NULL;
    }
    return b;
}
