/* SPDX-License-Identifier: MIT */
#include "system/drives.h"

#include <string.h>

#include "block/block.h"

static const OptKey blockdev_keys[] = { { "driver", OPT_STRING, .must = true }, { "node-name", OPT_ID }, {} };
static const OptGroup blockdev_group = { .name = "blockdev", .implied = "driver", .keys = blockdev_keys, .open = true };
OPT_GROUP(blockdev_group);

typedef struct Drive {
    char *typed;                /* for messages */
    char *id;                   /* of the Blk, and how devices name it */
    char *interface;            /* NULL until drives_plan: the machine's own */
    int index, unit;            /* -1: not given */
    bool cdrom, readonly;
    BlkNode *node;
    Blk *blk;
} Drive;

struct Drives {
    GPtrArray *list;            /* Drive * */
    GPtrArray *nodes;           /* BlkNode * of -blockdev */
    GArray *flashes;            /* MachineDrive */
};

static void drive_free(void *p)
{
    Drive *d = p;

    blk_free(d->blk);
    blk_node_unref(d->node);
    g_free(d->typed);
    g_free(d->id);
    g_free(d->interface);
    g_free(d);
}

static void node_unref(void *p)
{
    blk_node_unref(p);
}

static bool open_blockdev(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    BlkNode *n;

    if (!json_get(a->value, "node-name")) {
        return error_set(errp, "'node-name' must be specified for the root node");
    }
    n = blk_node_open(s->session, NULL, json_copy(a->value), json_get_bool(a->value, "read-only", false) ? 0 : BLK_O_RDWR, errp);
    if (n) {
        g_ptr_array_add(s->drives->nodes, n);
    }
    return n;
}

/* Words of -drive that are neither the node's nor allowed values. */
static bool drive_words_ok(const Json *o, Error **errp)
{
    const char *media = json_get_string(o, "media"), *aio = json_get_string(o, "aio"), *discard = json_get_string(o, "discard");

    if (media && strcmp(media, "disk") && strcmp(media, "cdrom")) {
        return error_set(errp, "'%s' invalid media", media);
    }
    if (aio && !options_one_of("threads|native|io_uring", aio, false)) {
        return error_set(errp, "invalid aio option");
    }
    if (discard && !options_one_of("ignore|off|unmap|on", discard, false)) {
        return error_set(errp, "invalid discard option");
    }
    if (json_get_bool(o, "copy-on-read", false)) {
        return error_set(errp, "copy-on-read=on is not available in this build");
    }
    if (json_get(o, "serial")) {
        return error_set(errp, "'serial' is a property of the device: if=none,id=D and -device X,drive=D,serial=...");
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *key = i ? "rerror" : "werror", *v = json_get_string(o, key);

        if (v && strcmp(v, i ? "report" : "enospc") && strcmp(v, "report")) {
            return error_set(errp, "%s=%s is not available in this build: errors go to the guest (report)", key, v);
        }
    }
    return true;
}

/* The options of the node: what -drive does not keep for itself, and its own words in the node's spelling. */
static Json *node_options(const Json *o)
{
    static const char *const own[] = {
        "file", "id", "if", "bus", "unit", "index", "media", "format", "cache", "aio", "snapshot", "read-only", "copy-on-read", "werror",
        "rerror", "serial", "discard", NULL
    };
    Json *node = json_object();

    for (unsigned i = 0; i < json_size(o); i++) {
        if (!g_strv_contains(own, json_key_at(o, i))) {
            json_set(node, json_key_at(o, i), json_copy(json_at(o, i)));
        }
    }
    if (json_is(json_get(o, "file"), JSON_OBJECT)) {    /* file.locking=off and the like */
        json_set(node, "file", json_copy(json_get(o, "file")));
    }
    if (json_get_string(o, "format")) {
        json_set_string(node, "driver", json_get_string(o, "format"));
    }
    if (json_get_string(o, "discard")) {
        json_set_string(node, "discard", json_get_string(o, "discard"));
    }
    return node;
}

static bool open_drive(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    const Json *o = a->value;
    const char *cache = json_get_string(o, "cache"), *id = json_get_string(o, "id"), *file = json_get_string(o, "file");
    bool temporary = json_get_bool(o, "snapshot", cmdline_has(s->cl, "snapshot"));
    unsigned flags = 0;
    Drive *d;

    if (cache && !blk_cache_flags(cache, &flags, errp)) {
        return error_set(errp, "invalid cache option");
    }
    if (!drive_words_ok(o, errp)) {
        return false;
    }
    d = g_new0(Drive, 1);
    g_ptr_array_add(s->drives->list, d);
    d->typed = g_strdup(a->typed);
    d->interface = g_strdup(json_get_string(o, "if"));
    d->index = (int)json_get_i64(o, "index", -1);
    d->unit = (int)json_get_i64(o, "unit", -1);
    d->cdrom = !g_strcmp0(json_get_string(o, "media"), "cdrom");
    d->readonly = json_get_bool(o, "read-only", d->cdrom);
    d->id = g_strdup(id);
    if (temporary) {
        return error_set(errp, "snapshot=on is not available in this build");
    }
    if (!file && !json_get(o, "driver") && !json_is(json_get(o, "file"), JSON_OBJECT)) {
        return error_set(errp, "Device needs media, but drive is empty");
    }
    flags |= d->readonly ? 0 : BLK_O_RDWR;
    d->node = blk_node_open(s->session, file, node_options(o), flags, errp);
    return d->node;
}

bool drives_open(System *s, Error **errp)
{
    s->drives = g_new0(struct Drives, 1);
    s->drives->list = g_ptr_array_new_with_free_func(drive_free);
    s->drives->nodes = g_ptr_array_new_with_free_func(node_unref);
    s->drives->flashes = g_array_new(TRUE, TRUE, sizeof(MachineDrive));
    return cmdline_each(s->cl, "blockdev", open_blockdev, s, errp) && cmdline_each(s->cl, "drive", open_drive, s, errp);
}

static bool taken(System *s, const char *id)
{
    return blk_find(s->session, id);
}

/* The name of a drive without id=: virtio0, virtio1 ... */
static char *make_id(System *s, const Drive *d)
{
    for (unsigned n = 0;; n++) {
        char *id = g_strdup_printf("%s%u", d->interface, n);

        if (!taken(s, id)) {
            return id;
        }
        g_free(id);
    }
}

static bool make_blk(System *s, Drive *d, Error **errp)
{
    unsigned perm = BLK_PERM_READ | (d->readonly || blk_node_read_only(d->node) ? 0 : BLK_PERM_WRITE);

    if (!d->id) {
        d->id = make_id(s, d);
    }
    d->blk = blk_new(s->session, d->id, perm, BLK_PERM_READ | BLK_PERM_WRITE_SAME, errp);
    return d->blk && blk_insert(d->blk, d->node, errp);
}

static void add_flash(System *s, Drive *d, int unit)
{
    MachineDrive flash = { .interface = "pflash", .unit = d->unit >= 0 ? d->unit : d->index >= 0 ? d->index : unit,
                           .node = blk_node_name(d->node), .readonly = d->readonly };

    g_array_append_val(s->drives->flashes, flash);
}

static bool same_place(System *s, unsigned n, Error **errp)
{
    const Drive *d = g_ptr_array_index(s->drives->list, n);

    for (unsigned i = 0; i < n; i++) {
        const Drive *o = g_ptr_array_index(s->drives->list, i);

        if (d->index >= 0 && d->index == o->index && !g_strcmp0(d->interface, o->interface)) {
            return error_set(errp, "drive with bus=0, unit=%d (index=%d) exists", d->index, d->index);
        }
    }
    return true;
}

static bool plan_drive(System *s, const MachineType *type, unsigned n, int *flashes, Error **errp)
{
    Drive *d = g_ptr_array_index(s->drives->list, n);

    if (!d->interface) {
        d->interface = g_strdup(type->block_default ? type->block_default : "none");
    }
    if (!same_place(s, n, errp)) {
        return false;
    }
    if (!strcmp(d->interface, "pflash")) {
        add_flash(s, d, (*flashes)++);
        return true;
    }
    if (strcmp(d->interface, "none") && strcmp(d->interface, "virtio")) {
        return options_one_of("ide|scsi|floppy|mtd|sd|xen", d->interface, false)
                   ? error_set(errp, "machine type does not support if=%s,bus=0,unit=0", d->interface)
                   : error_set(errp, "unsupported bus type '%s'", d->interface);
    }
    return make_blk(s, d, errp);
}

bool drives_plan(System *s, const MachineType *type, MachineConfig *config, Error **errp)
{
    int flashes = 0;

    for (unsigned i = 0; i < s->drives->list->len; i++) {
        if (!plan_drive(s, type, i, &flashes, errp)) {
            return error_prepend(errp, "%s: ", ((Drive *)g_ptr_array_index(s->drives->list, i))->typed);
        }
    }
    config->drives = (const MachineDrive *)s->drives->flashes->data;
    return true;
}

bool drives_devices(System *s, Error **errp)
{
    for (unsigned i = 0; i < s->drives->list->len; i++) {
        const Drive *d = g_ptr_array_index(s->drives->list, i);
        const char *opts[] = { "driver", "virtio-blk-pci", "drive", d->id, NULL };

        if (!strcmp(d->interface, "virtio") && !machine_add_device(s->machine, opts, errp)) {
            return error_prepend(errp, "%s: ", d->typed);
        }
    }
    return true;
}

void drives_close(System *s)
{
    if (s->drives) {
        g_ptr_array_unref(s->drives->list);
        g_ptr_array_unref(s->drives->nodes);
        g_array_unref(s->drives->flashes);
        g_clear_pointer(&s->drives, g_free);
    }
}
