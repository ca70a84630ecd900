/* SPDX-License-Identifier: MIT */
/* query-blockstats, block-latency-histogram-set. */
#include <inttypes.h>
#include <string.h>

#include "block/cmd-priv.h"
#include "block/stats.h"

/* ---- of nodes: they know little by themselves ---- */

static Json *node_counters(const BlkNode *n, bool chain);

static void put_file(Json *j, const BlkNode *n)
{
    Json *d;

    if (strcmp(n->drv->name, "file") && strcmp(n->drv->name, "host_device")) {
        return;
    }
    d = json_object();
    json_set_string(d, "driver", n->drv->name);
    json_set_uint(d, "discard-nb-ok", __atomic_load_n(&n->discards.ok, __ATOMIC_RELAXED));
    json_set_uint(d, "discard-nb-failed", __atomic_load_n(&n->discards.failed, __ATOMIC_RELAXED));
    json_set_uint(d, "discard-bytes-ok", __atomic_load_n(&n->discards.bytes, __ATOMIC_RELAXED));
    json_set(j, "driver-specific", d);
}

static void put_node(Json *j, const BlkNode *n, Json *stats, bool chain)
{
    json_set_uint(stats, "wr_highest_offset", n ? __atomic_load_n(&n->highest, __ATOMIC_RELAXED) : 0);
    json_set(j, "stats", stats);
    if (!n) {
        return;
    }
    json_set_string(j, "node-name", n->name);
    put_file(j, n);
    if (n->file) {
        json_set(j, "parent", node_counters(n->file->node, chain));
    }
    if (n->backing && chain) {
        json_set(j, "backing", node_counters(n->backing->node, chain));
    }
}

static Json *empty_stats(void)
{
    BlkStats none;
    Json *j;

    stats_init(&none);
    none.account_invalid = none.account_failed = false;
    j = stats_record(&none, 0);
    stats_fini(&none);
    return j;
}

static Json *node_counters(const BlkNode *n, bool chain)
{
    Json *j = json_object();

    put_node(j, n, empty_stats(), chain);
    return j;
}

/* ---- of disks ---- */

static void each_disk(Blk *b, void *opaque)
{
    Json *j;

    if (!*blk_name(b) && !blk_device(b)) {
        return;                                 /* a job's, an export's */
    }
    j = json_object();
    json_set_string(j, "device", blk_name(b));
    if (blk_device(b)) {
        json_set_string(j, "qdev", blk_device(b));
    }
    put_node(j, blk_node(b), stats_record(blk_stats(b), loop_now()), true);
    json_append(opaque, j);
}

static void each_node(BlkNode *n, void *opaque)
{
    json_append(opaque, node_counters(n, false));
}

static bool stats_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    if (json_get_bool(call->args, "query-nodes", false)) {
        blk_nodes_foreach(call->session, each_node, call->ret);
    } else {
        blks_foreach(call->session, each_disk, call->ret);
    }
    return true;
}
static const OptKey stats_keys[] = { { "query-nodes", OPT_BOOL }, {} };
COMMAND(stats_command, .qmp = "query-blockstats", .keys = stats_keys, .waits = true, .run = stats_run, .ret_type = "[any]");

/* ---- for people ---- */

static void print_line(GString *out, const Json *stats, const char *label, const char *word)
{
    g_autofree char *bytes = g_strdup_printf("%s_bytes", word), *ops = g_strdup_printf("%s_operations", word), *ns = g_strdup_printf("%s_total_time_ns", word),
                    *merged = g_strdup_printf("%s_merged", word);

    g_string_append_printf(out, "%-7s", label);
    if (json_get(stats, bytes)) {
        g_string_append_printf(out, "%24" PRIu64, json_get_u64(stats, bytes, 0));
    } else {
        g_string_append_printf(out, "%24s", "");
    }
    g_string_append_printf(out, " %16" PRIu64 " %24" PRIu64, json_get_u64(stats, ops, 0), json_get_u64(stats, ns, 0));
    if (json_get(stats, merged)) {
        g_string_append_printf(out, " %10" PRIu64, json_get_u64(stats, merged, 0));
    }
    g_string_append_c(out, '\n');
}

static void print_disk(Blk *b, void *opaque)
{
    g_autoptr(Json) stats = NULL;
    GString *out = opaque;

    if (!*blk_name(b) && !blk_device(b)) {
        return;
    }
    stats = stats_record(blk_stats(b), loop_now());
    g_string_append_printf(out, "%s%s: idle_time_ns=%" PRIu64 "\n", out->len ? "\n" : "", blk_name(b), json_get_u64(stats, "idle_time_ns", 0));
    g_string_append_printf(out, "%-7s%24s %16s %24s %10s\n", "", "bytes", "operations", "total_time_ns", "merged");
    print_line(out, stats, "Read:", "rd");
    print_line(out, stats, "Write:", "wr");
    print_line(out, stats, "Flush:", "flush");
}

static bool human_run(MonCall *call, Error **errp)
{
    blks_foreach(call->session, print_disk, call->out);
    return true;
}
COMMAND(human_command, .name = "info blockstats", .help = "show block device statistics", .run = human_run);

/* ---- histograms ---- */

static bool set_boundaries(Blk *b, StatType type, const Json *list, const char *id, Error **errp)
{
    static const char *const names[STAT_TYPES] = { [STAT_READ] = "read", [STAT_WRITE] = "write", [STAT_FLUSH] = "flush" };
    unsigned n = json_size(list);
    g_autofree uint64_t *v = g_new0(uint64_t, n + 1);
    bool ok = n > 0;

    for (unsigned i = 0; ok && i < n; i++) {
        ok = json_as_u64(json_at(list, i), &v[i]);
    }
    ok = ok && stats_set_histogram(blk_stats(b), type, v, n);
    return ok || error_set(errp, "Device '%s' set %s boundaries fail", id, names[type]);
}

/* One list for all three, or one each; none at all: no more histograms. */
static bool histogram_run(MonCall *call, Error **errp)
{
    static const struct { StatType type; const char *key; } rows[] = { { STAT_READ, "boundaries-read" }, { STAT_WRITE, "boundaries-write" }, { STAT_FLUSH, "boundaries-flush" } };
    const char *id = json_get_string(call->args, "id");
    Blk *b = cmd_blk(call->session, NULL, id, errp);
    const Json *all = json_get(call->args, "boundaries");
    bool any = all;

    for (unsigned i = 0; b && i < G_N_ELEMENTS(rows); i++) {
        const Json *list = json_get(call->args, rows[i].key);

        any = any || list;
        list = list ? list : all;
        if (list && !set_boundaries(b, rows[i].type, list, id, errp)) {
            return false;
        }
    }
    for (unsigned i = 0; b && !any && i < STAT_TYPES; i++) {
        stats_set_histogram(blk_stats(b), i, NULL, 0);
    }
    return b;
}
static const OptKey histogram_keys[] = {
    { "id", OPT_STRING, .must = true }, { "boundaries", OPT_NUMBER, .many = true }, { "boundaries-read", OPT_NUMBER, .many = true },
    { "boundaries-write", OPT_NUMBER, .many = true }, { "boundaries-zap", OPT_NUMBER, .absent = "no disk here has zones" },
    { "boundaries-flush", OPT_NUMBER, .many = true }, {}
};
COMMAND(histogram_command, .qmp = "block-latency-histogram-set", .keys = histogram_keys, .waits = true, .run = histogram_run);
