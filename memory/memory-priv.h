/* SPDX-License-Identifier: MIT */
/* What the files of memory/ share. */
#ifndef MEMORY_MEMORY_PRIV_H
#define MEMORY_MEMORY_PRIV_H

#include "memory/memory.h"

/* One visible range; `last` is inclusive, so that the top of 2^64 can be said. */
typedef struct FlatRange {
    uint64_t start, last;
    uint64_t offset;            /* of start in region */
    MemRegion *region;
    bool readonly;
} FlatRange;

typedef struct FlatView {
    unsigned n, room;
    FlatRange *r;
} FlatView;

struct AddressSpace {
    Memory *mem;
    char *name;
    MemRegion *root;
    FlatView *view;             /* RCU */
};

struct Memory {
    pthread_mutex_t topology;   /* recursive */
    int depth;
    bool changed;
    GPtrArray *spaces, *retired;
    MemListener *listeners;
    RamBlock *blocks;           /* by ram_addr; changed under topology, read under RCU */
    uint64_t *dirty[DIRTY_CLIENTS];
    int log_count[DIRTY_CLIENTS];
    uint32_t logging;
    MemRegion hole;
};

FlatView *flat_view_render(MemRegion *root);
void flat_view_free(FlatView *v);
bool flat_view_equal(const FlatView *a, const FlatView *b);
/* The range at addr or NULL; *next: where the following range begins (0: none). */
const FlatRange *flat_view_find(const FlatView *v, paddr addr, uint64_t *next);
/* Frees after a grace period; topology lock held. */
void flat_view_retire(Memory *mem, FlatView *v);
void flat_views_free_retired(Memory *mem);
FlatView *flat_view_get(AddressSpace *as);      /* in a read section */
void flat_view_set(AddressSpace *as, FlatView *v);

void dirty_init(Memory *mem);
bool dirty_ready(const Memory *mem);
void dirty_fini(Memory *mem);

#endif
