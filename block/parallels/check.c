/* SPDX-License-Identifier: MIT */
/*
 * check and repair.  Steps, in the order of their reports: the mark, where data
 * begins, entries that lead out of the file, what lies behind the last cluster,
 * entries that name the same cluster; then the table is counted as it is now.
 */
#include "block/parallels/parallels-priv.h"

#include <inttypes.h>
#include <stdlib.h>

/* Clusters that entries name, by number in units, each with the cluster of the disk that came first. */
typedef struct {
    BlkNode *n;
    BlkCheck *c;
    GHashTable *seen;
    uint64_t high;                  /* end of the last one */
} Walk;

static uint64_t entry_at(uint32_t i)
{
    return H_SIZE + i * 4ull;
}

static const char *does(bool repair)
{
    return repair ? "Repairing" : "ERROR";
}

static int mend32(Walk *w, uint64_t at, uint32_t v)
{
    int r = grains_begin(w->n);                 /* bitmaps are dropped before anything changes */

    r = r ? r : meta_set32le(w->n, w->n->file->node, at, v, 0);
    w->c->corruptions_fixed += r == 0;
    return r;
}

static int check_header(Walk *w)
{
    Parallels *s = w->n->state;
    bool fix = w->c->repair_all;
    int r = 0;

    if (s->in_use) {
        format_report(w->c, "%s image was not closed correctly", does(fix));
        w->c->corruptions++;
        r = fix ? mend32(w, H_INUSE, 0) : 0;
        s->in_use = !fix || r;
    }
    if (r == 0 && s->bad_data) {
        format_report(w->c, "%s data_off field has incorrect value", does(fix));
        w->c->corruptions++;
        r = fix ? mend32(w, H_DATA, (uint32_t)(s->data / 512)) : 0;
        s->bad_data = !fix || r;
    }
    return r;
}

static bool outside(const Walk *w, uint32_t e)
{
    const Parallels *s = w->n->state;
    uint64_t at = e * s->unit;

    return at >= node_size(w->n->file->node) || at < s->data;
}

/* Entries behind the end of a file that is too short for them are 0. */
static uint32_t entries(const Walk *w)
{
    const Parallels *s = w->n->state;
    uint64_t size = node_size(w->n->file->node);

    return size <= H_SIZE ? 0 : (uint32_t)MIN(s->entries, (size - H_SIZE) / 4);
}

static int check_outside(Walk *w)
{
    Parallels *s = w->n->state;

    for (uint32_t i = 0; i < entries(w); i++) {
        uint32_t e;
        int r = meta_get32le(w->n, w->n->file->node, entry_at(i), &e);

        if (r < 0) {
            return r;
        }
        if (e && outside(w, e)) {
            format_report(w->c, "%s cluster %" PRIu32 " is outside image", does(w->c->repair_all), i);
            w->c->corruptions++;
            r = w->c->repair_all ? mend32(w, entry_at(i), 0) : 0;
            if (r < 0) {
                return r;
            }
        } else if (e) {
            w->high = MAX(w->high, e * s->unit + s->g.grain);
        }
    }
    return 0;
}

static int check_tail(Walk *w)
{
    Parallels *s = w->n->state;
    uint64_t size = node_size(w->n->file->node), clusters;

    if (size <= w->high || node_fixed(w->n->file->node)) {
        return 0;
    }
    clusters = format_round(size - w->high, s->g.grain) / s->g.grain;
    format_report(w->c, "%s space leaked at the end of the image %" PRIu64, does(w->c->repair_leaks), size - w->high);
    w->c->leaks += clusters;
    if (w->c->repair_leaks && grains_begin(w->n) == 0 && node_resize(w->n->file->node, w->high, BLK_PREALLOC_OFF, NULL)) {
        w->c->leaks_fixed += clusters;
        s->g.next = 0;
    }
    return 0;
}

/* A cluster that no entry names: the first hole, or behind the last. */
static uint32_t free_cluster(Walk *w)
{
    const Parallels *s = w->n->state;
    uint64_t at = s->data;

    if (s->unit == s->g.grain) {
        while (at < w->high && g_hash_table_contains(w->seen, GSIZE_TO_POINTER(at / s->unit))) {
            at += s->unit;
        }
    } else {
        at = format_round(w->high, s->unit);            /* clusters may lie anywhere */
    }
    w->high = MAX(w->high, at + s->g.grain);
    return (uint32_t)(at / s->unit);
}

/* Both have what the one place holds. */
static int part_ways(Walk *w, uint32_t i, uint32_t e)
{
    Parallels *s = w->n->state;
    uint32_t to = free_cluster(w);
    uint8_t *buf = blk_buffer(s->g.grain);
    int r;

    g_hash_table_add(w->seen, GSIZE_TO_POINTER(to));
    r = node_pread_padded(w->n->file->node, e * s->unit, buf, s->g.grain);
    r = r ? r : node_pwrite(w->n->file->node, to * s->unit, buf, s->g.grain);
    free(buf);
    return r ? r : mend32(w, entry_at(i), to);
}

/* First who is where, so that a hole is one. */
static int see_all(Walk *w, GArray *twice)
{
    for (uint32_t i = 0; i < entries(w); i++) {
        uint32_t e;
        int r = meta_get32le(w->n, w->n->file->node, entry_at(i), &e);

        if (r < 0) {
            return r;
        }
        if (e && !outside(w, e) && !g_hash_table_add(w->seen, GSIZE_TO_POINTER(e))) {
            g_array_append_val(twice, i);
        }
    }
    return 0;
}

static int check_twice(Walk *w)
{
    g_autoptr(GArray) twice = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    int r = see_all(w, twice);

    for (unsigned k = 0; k < twice->len && r == 0; k++) {
        uint32_t i = g_array_index(twice, uint32_t, k), e;

        format_report(w->c, "%s duplicate offset in BAT entry %" PRIu32, does(w->c->repair_all), i);
        w->c->corruptions++;
        if (w->c->repair_all) {
            r = meta_get32le(w->n, w->n->file->node, entry_at(i), &e);
            r = r ? r : part_ways(w, i, e);
        }
    }
    return r;
}

static int count(Walk *w)
{
    Parallels *s = w->n->state;
    uint64_t prev = 0;

    w->c->total_clusters = s->entries;
    w->c->image_end = w->high;
    for (uint32_t i = 0; i < entries(w); i++) {
        uint32_t e;
        int r = meta_get32le(w->n, w->n->file->node, entry_at(i), &e);

        if (r < 0) {
            return r;
        }
        e = e && !outside(w, e) ? e : 0;
        w->c->allocated_clusters += e != 0;
        w->c->fragmented_clusters += e && prev && e * s->unit != prev + s->g.grain;
        prev = e * s->unit;
    }
    return 0;
}

int parallels_check(BlkNode *n, BlkCheck *c)
{
    Parallels *s = n->state;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    Walk w = { n, c, seen, s->data };
    int r;

    fiber_mutex_lock(&s->g.lock);
    r = check_header(&w);
    r = r ? r : check_outside(&w);
    r = r ? r : check_tail(&w);
    r = r ? r : check_twice(&w);
    r = r ? r : count(&w);
    r = r || n->read_only ? r : grains_sync(n, true);
    fiber_mutex_unlock(&s->g.lock);
    return r;
}
