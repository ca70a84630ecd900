/* SPDX-License-Identifier: MIT */
/* Records of nodes (node-info.c) as people read them: image tools and `info block -v`. */
#include "block/image.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "util/size.h"

static void print_size(GString *out, const char *indent, const char *key, uint64_t bytes, bool both)
{
    g_autofree char *text = size_text(bytes);

    g_string_append_printf(out, "%s%s: %s", indent, key, text);
    if (both) {
        g_string_append_printf(out, " (%" PRIu64 " bytes)", bytes);
    }
    g_string_append_c(out, '\n');
}

/* ---- snapshots ---- */

static void print_snapshot(GString *out, const Json *s)
{
    g_autofree char *size = size_text(json_get_u64(s, "vm-state-size", 0)), *clock = NULL, *icount = NULL;
    time_t t = json_get_u64(s, "date-sec", 0);
    uint64_t sec = json_get_u64(s, "vm-clock-sec", 0);
    char date[32];
    struct tm tm;

    localtime_r(&t, &tm);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    clock = g_strdup_printf("%04d:%02d:%02d.%03d", (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60), (int)(json_get_u64(s, "vm-clock-nsec", 0) / 1000000));
    icount = json_get(s, "icount") ? g_strdup_printf("%" PRIu64, json_get_u64(s, "icount", 0)) : g_strdup("--");
    g_string_append_printf(out, "%-7s %-16s %8s %19s %15s %10s\n", json_get_string(s, "id"), json_get_string(s, "name"), size, date, clock, icount);
}

void blk_snapshots_text(GString *out, const Json *list)
{
    if (list && json_size(list)) {
        g_string_append(out, "Snapshot list:\n");
        blk_snapshot_rows_text(out, list);
    }
}

void blk_snapshot_rows_text(GString *out, const Json *list)
{
    if (list && json_size(list)) {
        g_string_append_printf(out, "%-7s %-16s %8s %19s %15s %10s\n", "ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT");
    }
    for (unsigned i = 0; list && i < json_size(list); i++) {
        print_snapshot(out, json_at(list, i));
    }
}

/* ---- what a format says of itself: any record ---- */

static void print_tree(GString *out, const Json *j, unsigned depth);

static void print_member(GString *out, const char *key, const Json *v, unsigned depth)
{
    g_autofree char *text = json_scalar_text(v), *name = g_strdelimit(g_strdup(key), "-", ' ');

    if (json_is(v, JSON_BOOL)) {
        bool on = false;

        json_as_bool(v, &on);
        g_free(text);
        text = g_strdup(on ? "true" : "false");
    }
    g_string_append_printf(out, "%*s%s:%s%s\n", depth * 4, "", name, text ? " " : "", text ? text : "");
    if (!text) {
        print_tree(out, v, depth + 1);
    }
}

static void print_tree(GString *out, const Json *j, unsigned depth)
{
    for (unsigned i = 0; i < json_size(j); i++) {
        if (json_is(j, JSON_OBJECT)) {
            print_member(out, json_key_at(j, i), json_at(j, i), depth);
        } else {
            g_autofree char *index = g_strdup_printf("[%u]", i);

            print_member(out, index, json_at(j, i), depth);
        }
    }
}

/* ---- a node ---- */

static void print_disk_size(GString *out, const char *indent, const Json *info)
{
    if (json_get(info, "actual-size")) {
        print_size(out, indent, "disk size", json_get_u64(info, "actual-size", 0), false);
    } else {
        g_string_append_printf(out, "%sdisk size: unavailable\n", indent);
    }
}

static void print_limits(GString *out, const Json *info, unsigned depth)
{
    if (json_get(info, "limits")) {
        g_string_append_printf(out, "%*sBlock limits:\n", depth * 4, "");
        print_tree(out, json_get(info, "limits"), depth + 1);
    }
}

static void print_backing(GString *out, const Json *info)
{
    const char *backing = json_get_string(info, "backing-filename"), *full = json_get_string(info, "full-backing-filename");

    if (backing) {
        g_string_append_printf(out, strcmp(backing, full) ? "backing file: %s (actual path: %s)\n" : "backing file: %s\n", backing, full);
    }
    if (json_get_string(info, "backing-filename-format")) {
        g_string_append_printf(out, "backing file format: %s\n", json_get_string(info, "backing-filename-format"));
    }
}

static void print_children(GString *out, const Json *list)
{
    for (unsigned i = 0; list && i < json_size(list); i++) {
        const Json *c = json_at(list, i), *info = json_get(c, "info");

        g_string_append_printf(out, "Child node '/%s':\n", json_get_string(c, "name"));
        g_string_append_printf(out, "    filename: %s\n    protocol type: %s\n", json_get_string(info, "filename"), json_get_string(info, "format"));
        print_size(out, "    ", "file length", json_get_u64(info, "virtual-size", 0), true);
        print_disk_size(out, "    ", info);
        print_limits(out, info, 1);
    }
}

void blk_info_text(GString *out, const Json *info)
{
    const Json *special = json_get(info, "format-specific");

    g_string_append_printf(out, "image: %s\nfile format: %s\n", json_get_string(info, "filename"), json_get_string(info, "format"));
    print_size(out, "", "virtual size", json_get_u64(info, "virtual-size", 0), true);
    print_disk_size(out, "", info);
    if (json_get(info, "encrypted")) {
        g_string_append(out, "encrypted: yes\n");
    }
    if (json_get(info, "cluster-size")) {
        g_string_append_printf(out, "cluster_size: %" PRIu64 "\n", json_get_u64(info, "cluster-size", 0));
    }
    if (json_get_bool(info, "dirty-flag", false)) {
        g_string_append(out, "cleanly shut down: no\n");
    }
    print_backing(out, info);
    print_limits(out, info, 0);
    blk_snapshots_text(out, json_get(info, "snapshots"));
    if (special && json_size(json_get(special, "data"))) {
        g_string_append(out, "Format specific information:\n");
        print_tree(out, json_get(special, "data"), 1);
    }
    print_children(out, json_get(info, "children"));
}
