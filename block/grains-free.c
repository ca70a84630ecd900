/* SPDX-License-Identifier: MIT */
/*
 * Space given back (block/grains.h).
 *
 * A grain that is discarded as a whole loses its entry, where the format has a
 * word for that; its place is `dropped` until the tables are on the medium, then
 * a hole of the file and `spare`: the next new grain may go there.  A grain that
 * somebody reads or writes just now keeps its place.  Less than a grain, and all
 * of formats without such a word, becomes a hole where it lies.
 */
#include "block/grains.h"

#include <errno.h>

enum { MAX_RUNS = 4096 };

static Grains *grains(BlkNode *n)
{
    return n->state;
}

/* ---- who uses a place ---- */

void grains_use_begin(Grains *g, GrainUse *u, uint64_t off, uint64_t len)
{
    u->start = off;
    u->end = off + len;
    io_lock(&g->uses_lock);
    u->next = g->uses;
    u->link = &g->uses;
    if (u->next) {
        u->next->link = &u->next;
    }
    g->uses = u;
    io_unlock(&g->uses_lock);
}

void grains_use_end(Grains *g, GrainUse *u)
{
    io_lock(&g->uses_lock);
    *u->link = u->next;
    if (u->next) {
        u->next->link = u->link;
    }
    io_unlock(&g->uses_lock);
}

static bool used(Grains *g, uint64_t start, uint64_t end)
{
    const GrainUse *u;

    io_lock(&g->uses_lock);
    for (u = g->uses; u && (u->end <= start || u->start >= end); u = u->next) {
    }
    io_unlock(&g->uses_lock);
    return u != NULL;
}

/* ---- dropped, spare ---- */

static void run_add(GArray *runs, GrainRun run)
{
    GrainRun *last = runs->len ? &g_array_index(runs, GrainRun, runs->len - 1) : NULL;

    if (last && last->file == run.file && last->part == run.part && last->size == run.size && last->offset + last->len == run.offset) {
        last->len += run.len;
    } else {
        g_array_append_val(runs, run);
    }
}

static GrainRun run_of(const GrainPlace *p)
{
    return (GrainRun){ p->file, p->part, p->offset, p->size, p->size };
}

bool grains_can_drop(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len)
{
    Grains *g = grains(n);

    bool there = p->kind == GRAIN_DATA || p->kind == GRAIN_PACKED, whole = p->size && off == p->start && (len >= p->size || off + len >= node_size(n));

    return there && whole && g->ops->reuses && !used(g, p->start, p->start + p->size);
}

int grains_drop(BlkNode *n, const GrainPlace *p)
{
    Grains *g = grains(n);
    int r = g->ops->unlink && !n->backing ? g->ops->unlink(n, p) : g->ops->link_zero ? g->ops->link_zero(n, p) : -ENOTSUP;

    grains_forget_unpacked(g);
    if (r == 0 && p->kind == GRAIN_DATA) {          /* who knows where the next packed one begins */
        run_add(g->dropped, run_of(p));
    }
    return r || g->dropped->len < MAX_RUNS ? r : grains_sync(n, true);
}

bool grains_take_spare(Grains *g, GrainPlace *p)
{
    for (unsigned i = g->ops->mark ? 0 : g->spare->len; i > 0; i--) {
        GrainRun *run = &g_array_index(g->spare, GrainRun, i - 1);

        if (run->size == p->size && run->part == p->part) {
            p->file = run->file;
            p->offset = run->offset;
            p->reused = true;
            run->offset += run->size;
            run->len -= run->size;
            if (!run->len) {
                g_array_remove_index(g->spare, i - 1);
            }
            return true;
        }
    }
    return false;
}

void grains_return_spare(Grains *g, const GrainPlace *p)
{
    run_add(g->spare, run_of(p));
}

void grains_release(BlkNode *n)
{
    Grains *g = grains(n);

    for (unsigned i = 0; i < g->dropped->len; i++) {
        const GrainRun *run = &g_array_index(g->dropped, GrainRun, i);

        node_discard(run->file, run->offset, run->len);         /* it may do nothing */
        if (g->spare->len < MAX_RUNS) {
            run_add(g->spare, *run);
        }
    }
    g_array_set_size(g->dropped, 0);
}

static gint last_first(gconstpointer a, gconstpointer b)
{
    const GrainRun *x = a, *y = b;

    return x->offset < y->offset ? 1 : x->offset > y->offset ? -1 : 0;
}

void grains_trim(BlkNode *n)
{
    Grains *g = grains(n);

    g_array_sort(g->spare, last_first);
    for (const BlkChild *c = n->children; c; c = c->next) {
        uint64_t end = node_size(c->node);

        for (unsigned i = 0; i < g->spare->len; i++) {
            const GrainRun *run = &g_array_index(g->spare, GrainRun, i);

            end = run->file == c->node && run->offset + run->len == end ? run->offset : end;
        }
        if (end < node_size(c->node)) {
            node_resize(c->node, end, BLK_PREALLOC_OFF, NULL);
        }
    }
}
