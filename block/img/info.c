/* SPDX-License-Identifier: MIT */
/* info: one record a node, printed as text or JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/img/img-priv.h"
#include "util/size.h"

/* What requests are rounded to: 1 is any. */
static Json *limits(const BlkNode *n)
{
    Json *j = json_object();

    if (n->cluster) {
        json_set_uint(j, "write-zeroes-alignment", n->cluster);
    }
    json_set_uint(j, "request-alignment", MAX(n->align, 1));
    json_set_uint(j, "min-mem-alignment", MAX(n->file ? n->file->node->mem_align : n->mem_align, 1));
    if (n->cluster) {
        json_set_uint(j, "discard-alignment", n->cluster);
    }
    json_set_uint(j, "opt-mem-alignment", sysconf(_SC_PAGESIZE));
    json_set_uint(j, "max-iov", sysconf(_SC_IOV_MAX));
    return j;
}

static Json *file_info(BlkNode *n, bool with_limits)
{
    Json *j = json_object(), *special = json_object();

    if (with_limits) {
        json_set(j, "limits", limits(n));
    }
    json_set(j, "children", json_array());
    json_set_uint(j, "virtual-size", node_size(n));
    json_set_string(j, "filename", n->filename);
    json_set_string(j, "format", n->drv->name);
    if (blk_node_allocated(n) >= 0) {
        json_set_int(j, "actual-size", blk_node_allocated(n));
    }
    json_set_string(special, "type", n->drv->name);
    json_set(special, "data", json_object());
    json_set(j, "format-specific", special);
    json_set_bool(j, "dirty-flag", false);
    return j;
}

static Json *children(BlkNode *n, bool with_limits)
{
    Json *list = json_array();

    for (BlkChild *c = n->children; c; c = c->next) {
        Json *j;

        if (c->role == BLK_CHILD_BACKING || !(c->node->drv->kind & BLK_DRV_PROTOCOL)) {
            continue;
        }
        j = json_object();
        json_set_string(j, "name", c->name);
        json_set(j, "info", file_info(c->node, with_limits));
        json_append(list, j);
    }
    return list;
}

static Json *node_info(BlkNode *n, bool with_limits)
{
    Json *j = json_object();

    if (with_limits) {
        json_set(j, "limits", limits(n));
    }
    json_set(j, "children", children(n, with_limits));
    blk_node_info(n, j);
    return j;
}

/* ---- text ---- */

static void print_size(const char *indent, const char *key, uint64_t bytes, bool both)
{
    g_autofree char *text = size_text(bytes);

    if (both) {
        printf("%s%s: %s (%" PRIu64 " bytes)\n", indent, key, text, bytes);
    } else {
        printf("%s%s: %s\n", indent, key, text);
    }
}

static void print_snapshots(const Json *list)
{
    printf("Snapshot list:\n%-7s %-16s %8s %19s %15s %10s\n", "ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT");
    for (unsigned i = 0; i < json_size(list); i++) {
        const Json *s = json_at(list, i);
        g_autofree char *size = size_text(json_get_u64(s, "vm-state-size", 0)), *clock = NULL, *icount = NULL;
        time_t t = json_get_u64(s, "date-sec", 0);
        uint64_t sec = json_get_u64(s, "vm-clock-sec", 0);
        char date[32];
        struct tm tm;

        localtime_r(&t, &tm);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        clock = g_strdup_printf("%04d:%02d:%02d.%03d", (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60), (int)(json_get_u64(s, "vm-clock-nsec", 0) / 1000000));
        icount = json_get(s, "icount") ? g_strdup_printf("%" PRIu64, json_get_u64(s, "icount", 0)) : g_strdup("--");
        printf("%-7s %-16s %8s %19s %15s %10s\n", json_get_string(s, "id"), json_get_string(s, "name"), size, date, clock, icount);
    }
}

void img_print_snapshots(const GPtrArray *list)
{
    g_autoptr(Json) j = blk_snapshots_info(list);

    if (list->len) {
        print_snapshots(j);
    }
}

static void print_tree(const Json *j, unsigned depth);

static void print_member(const char *key, const Json *v, unsigned depth)
{
    g_autofree char *text = json_scalar_text(v), *name = g_strdelimit(g_strdup(key), "-", ' ');

    if (json_is(v, JSON_BOOL)) {
        bool on = false;

        json_as_bool(v, &on);
        g_free(text);
        text = g_strdup(on ? "true" : "false");
    }
    printf("%*s%s:%s%s\n", depth * 4, "", name, text ? " " : "", text ? text : "");
    if (!text) {
        print_tree(v, depth + 1);
    }
}

static void print_tree(const Json *j, unsigned depth)
{
    for (unsigned i = 0; i < json_size(j); i++) {
        if (json_is(j, JSON_OBJECT)) {
            print_member(json_key_at(j, i), json_at(j, i), depth);
        } else {
            g_autofree char *index = g_strdup_printf("[%u]", i);
            print_member(index, json_at(j, i), depth);
        }
    }
}

static void print_disk_size(const char *indent, const Json *info)
{
    if (json_get(info, "actual-size")) {
        print_size(indent, "disk size", json_get_u64(info, "actual-size", 0), false);
    } else {
        printf("%sdisk size: unavailable\n", indent);
    }
}

static void print_limits(const Json *info, unsigned depth)
{
    if (json_get(info, "limits")) {
        printf("%*sBlock limits:\n", depth * 4, "");
        print_tree(json_get(info, "limits"), depth + 1);
    }
}

static void print_children(const Json *list)
{
    for (unsigned i = 0; i < json_size(list); i++) {
        const Json *c = json_at(list, i), *info = json_get(c, "info");

        printf("Child node '/%s':\n", json_get_string(c, "name"));
        printf("    filename: %s\n    protocol type: %s\n", json_get_string(info, "filename"), json_get_string(info, "format"));
        print_size("    ", "file length", json_get_u64(info, "virtual-size", 0), true);
        print_disk_size("    ", info);
        print_limits(info, 1);
    }
}

static void print_info(const Json *j)
{
    const char *backing = json_get_string(j, "backing-filename"), *full = json_get_string(j, "full-backing-filename");

    printf("image: %s\nfile format: %s\n", json_get_string(j, "filename"), json_get_string(j, "format"));
    print_size("", "virtual size", json_get_u64(j, "virtual-size", 0), true);
    print_disk_size("", j);
    if (json_get(j, "encrypted")) {
        printf("encrypted: yes\n");
    }
    if (json_get(j, "cluster-size")) {
        printf("cluster_size: %" PRIu64 "\n", json_get_u64(j, "cluster-size", 0));
    }
    if (json_get_bool(j, "dirty-flag", false)) {
        printf("cleanly shut down: no\n");
    }
    if (backing) {
        printf(strcmp(backing, full) ? "backing file: %s (actual path: %s)\n" : "backing file: %s\n", backing, full);
    }
    if (json_get_string(j, "backing-filename-format")) {
        printf("backing file format: %s\n", json_get_string(j, "backing-filename-format"));
    }
    if (json_get(j, "snapshots")) {
        print_snapshots(json_get(j, "snapshots"));
    }
    print_limits(j, 0);
    if (json_get(j, "format-specific")) {
        printf("Format specific information:\n");
        print_tree(json_get(json_get(j, "format-specific"), "data"), 1);
    }
    print_children(json_get(j, "children"));
}

/* ---- the verb ---- */

typedef struct {
    BlkNode *n;
    bool limits;
    Json *info;
} Ask;

static void run_info(void *opaque)
{
    Ask *a = opaque;

    a->info = node_info(a->n, a->limits);
}

/* One image of the chain at a time, so that a chain of any length is read with one open. */
static Json *collect(Img *im, const char *name, const char *format, bool chain, bool with_limits, unsigned flags)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *at = g_strdup(name), *fmt = g_strdup(format);
    Json *list = json_array();

    while (at) {
        Ask a = { .limits = with_limits };
        Blk *b;

        if (!g_hash_table_add(seen, g_strdup(at))) {
            img_error(im, "Backing file '%s' creates an infinite loop.", at);
            json_unref(list);
            return NULL;
        }
        b = img_open(im, at, fmt, flags | BLK_O_NO_BACKING | BLK_O_NO_IO);
        if (!b) {
            json_unref(list);
            return NULL;
        }
        a.n = blk_node(b);
        img_run(im, run_info, &a);
        json_append(list, a.info);
        g_free(at);
        g_free(fmt);
        at = g_strdup(json_get_string(a.info, "full-backing-filename"));
        fmt = g_strdup(json_get_string(a.info, "backing-filename-format"));
        im->image_opts = false;
        blk_free(b);
        if (!chain) {
            break;
        }
    }
    return list;
}

int img_info(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    bool json = false, chain = false, with_limits = false;
    unsigned flags = 0;
    g_autoptr(Json) list = NULL;
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == OPT_OUTPUT && !img_is_json(im, optarg, &json)) || (c == 't' && !img_cache(im, optarg, "", &flags))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        chain |= c == OPT_BACKING_CHAIN;
        with_limits |= c == OPT_LIMITS;
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    list = collect(im, argv[optind], format, chain, with_limits, flags);
    if (!list) {
        return 1;
    }
    if (json) {
        g_autofree char *text = json_text(chain ? list : json_at(list, 0), JSON_PRETTY);
        puts(text);
        return 0;
    }
    for (unsigned i = 0; i < json_size(list); i++) {
        printf("%s", i ? "\n" : "");
        print_info(json_at(list, i));
    }
    return 0;
}
