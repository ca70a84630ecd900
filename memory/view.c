/* SPDX-License-Identifier: MIT */
/*
 * Flat views: a tree of regions turned into sorted ranges.
 *
 * Children are rendered highest priority first and each fills only what is
 * still free, so overlap needs no comparison of priorities here.  Arithmetic is
 * signed 128 bit: an alias can shift a region below zero before it is clipped.
 */
#include "memory/memory-priv.h"

#include <assert.h>
#include <string.h>

typedef __int128 Wide;

typedef struct Clip {
    Wide from, to;              /* [from, to) in the address space */
} Clip;

static Wide wide_size(const MemRegion *r)
{
    return r->size == UINT64_MAX ? (Wide)1 << 64 : (Wide)r->size;
}

static Clip clip_and(Clip a, Wide from, Wide to)
{
    return (Clip){ a.from > from ? a.from : from, a.to < to ? a.to : to };
}

static void view_insert(FlatView *v, unsigned at, const FlatRange *r)
{
    if (v->n == v->room) {
        v->room = v->room ? v->room * 2 : 32;
        v->r = g_renew(FlatRange, v->r, v->room);
    }
    memmove(v->r + at + 1, v->r + at, (v->n - at) * sizeof(*r));
    v->r[at] = *r;
    v->n++;
}

/* Put the region at `base` into what is free of the clip. */
static void view_fill(FlatView *v, MemRegion *r, Wide base, Clip clip, bool readonly)
{
    Wide at = clip.from;
    unsigned i = 0;

    while (at < clip.to) {
        while (i < v->n && (Wide)v->r[i].last < at) {
            i++;
        }
        if (i < v->n && (Wide)v->r[i].start <= at) {
            at = (Wide)v->r[i].last + 1;
        } else {
            Wide end = i < v->n && (Wide)v->r[i].start < clip.to ? (Wide)v->r[i].start : clip.to;
            FlatRange f = { (uint64_t)at, (uint64_t)(end - 1), (uint64_t)(at - base), r, readonly };

            view_insert(v, i, &f);
            at = end;
        }
    }
}

static void render(FlatView *v, MemRegion *r, Wide base, Clip clip, bool readonly)
{
    GList *l;

    clip = clip_and(clip, base, base + wide_size(r));
    if (!r->enabled || clip.from >= clip.to) {
        return;
    }
    readonly |= r->readonly;
    if (r->kind == MEM_ALIAS) {
        render(v, r->target, base - (Wide)r->target_offset, clip, readonly);
        return;
    }
    for (l = r->children; l; l = l->next) {
        MemRegion *c = l->data;

        render(v, c, base + (Wide)c->offset, clip, readonly);
    }
    if (r->kind != MEM_CONTAINER) {
        view_fill(v, r, base, clip, readonly || r->kind == MEM_ROM || r->kind == MEM_ROMD);
    }
}

static bool joins(const FlatRange *a, const FlatRange *b)
{
    return a->last + 1 == b->start && a->region == b->region && a->readonly == b->readonly
        && a->offset + (b->start - a->start) == b->offset;
}

static void view_simplify(FlatView *v)
{
    unsigned i, out = 0;

    for (i = 1; i < v->n; i++) {
        if (joins(&v->r[out], &v->r[i])) {
            v->r[out].last = v->r[i].last;
        } else {
            v->r[++out] = v->r[i];
        }
    }
    v->n = v->n ? out + 1 : 0;
}

FlatView *flat_view_render(MemRegion *root)
{
    FlatView *v = g_new0(FlatView, 1);

    /* The root is seen whole, wherever else it may be mapped. */
    render(v, root, 0, (Clip){ 0, (Wide)1 << 64 }, false);
    view_simplify(v);
    return v;
}

void flat_view_free(FlatView *v)
{
    if (v) {
        g_free(v->r);
        g_free(v);
    }
}

bool flat_view_equal(const FlatView *a, const FlatView *b)
{
    unsigned i;

    if (!a || !b || a->n != b->n) {
        return false;
    }
    for (i = 0; i < a->n; i++) {
        const FlatRange *x = &a->r[i], *y = &b->r[i];

        if (x->start != y->start || x->last != y->last || x->offset != y->offset || x->region != y->region
            || x->readonly != y->readonly) {
            return false;
        }
    }
    return true;
}

const FlatRange *flat_view_find(const FlatView *v, paddr addr, uint64_t *next)
{
    unsigned lo = 0, hi = v->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (v->r[mid].last < addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *next = 0;
    if (lo == v->n) {
        return NULL;
    }
    if (v->r[lo].start > addr) {
        *next = v->r[lo].start;
        return NULL;
    }
    return &v->r[lo];
}
