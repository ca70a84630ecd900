/* SPDX-License-Identifier: MIT */
/*
 * Room in code memory: the oldest chunks go first.
 *
 * A block has parts in up to three chunks (hot code, cold code, data) and dies
 * with the first of them; its record goes with the last.  This happens in an
 * exclusive section in which no vCPU is inside generated code: then no host
 * address is held anywhere but in return rings and dispatch caches, which are
 * emptied, and in links, which are taken back.
 */
#include <assert.h>
#include <sched.h>
#include <string.h>

#include "accel/tcg/tcg-priv.h"

enum { AT_ONCE = 16, AT_LEAST = 3 };        /* one chunk in sixteen goes, and no less than a compiler takes */

/* ---- which blocks have a part in a chunk ---- */

static InChunk **chunk_head(const TcgUnit *u, uint64_t chunk)
{
    return &u->in_chunk[chunk % tcg_code_chunks(u->code)];
}

static Block *block_of_part(InChunk *n)
{
    return (Block *)(void *)((char *)(n - n->part) - offsetof(Block, in_chunk));
}

void block_in_chunks(Block *b)
{
    const TcgCode *code = b->unit->code;
    const void *part[BLOCK_PARTS] = { b->tb.entry, b->tb.cold, b->tb.links ? (const void *)b->tb.links : b->tb.side_table };
    uint64_t chunk[BLOCK_PARTS];

    b->parts = 0;
    for (unsigned k = 0; k < BLOCK_PARTS; k++) {
        InChunk *n = &b->in_chunk[b->parts], **head;
        unsigned i = 0;

        if (!part[k]) {
            continue;
        }
        chunk[b->parts] = tcg_code_chunk_of(code, part[k]);
        while (chunk[i] != chunk[b->parts]) {
            i++;
        }
        if (i < b->parts) {
            continue;                                   /* with another part */
        }
        n->part = b->parts++;
        head = chunk_head(b->unit, chunk[i]);
        n->next = __atomic_load_n(head, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(head, &n->next, n, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        }
    }
    b->parts_left = b->parts;
}

/* ---- blocks go ---- */

static void range_drop(const Block *b, const void *at, size_t size)
{
    for (uintptr_t page = (uintptr_t)at >> 12, last = ((uintptr_t)at + size) >> 12; at && size && page <= last; page++) {
        for (HostRange **r = range_head(b->unit, page), *gone; (gone = *r);) {
            if (gone->block != b) {
                r = &gone->next;
                continue;
            }
            *r = gone->next;
            if (gone != &b->range[0] && gone != &b->range[1]) {
                g_free(gone);
            }
        }
    }
}

/* One part goes; with the first its host addresses mean nothing any more, with the last its record. */
static void part_gone(Block *b)
{
    if (b->parts_left == b->parts) {
        range_drop(b, b->tb.entry, b->tb.code_size);
        range_drop(b, b->tb.cold, b->tb.cold_size);
    }
    if (!--b->parts_left) {
        g_free(b->copy);
        g_free(b);
    }
}

static void page_emptied(TcgState *st, PageCode *p)
{
    pthread_mutex_lock(&p->lock);
    if (!p->nblocks) {
        p->granules = 0;
        page_maybe_plain(st, p);
    }
    pthread_mutex_unlock(&p->lock);
}

static unsigned evict_oldest(TcgState *st, TcgUnit *u)
{
    InChunk **head = chunk_head(u, tcg_code_oldest(u->code)), *n, *next;
    unsigned killed = 0;

    /* First all die, then the records go: whoever dies looks at the blocks that had links to it, and theirs lie here too. */
    for (n = *head; n; n = n->next) {
        Block *b = block_of_part(n);

        if (!b->tb.dead) {
            block_drop(b->page, b);
            page_emptied(st, b->page);
            killed++;
        }
    }
    for (n = *head; n; n = next) {
        next = n->next;
        part_gone(block_of_part(n));
    }
    *head = NULL;
    tcg_code_evict(u->code);
    return killed;
}

static void forget_addresses(TcgVcpu *v)
{
    tcg_ctx_evicted(v->compiler);
    ctx_forget_jumps(v);
    tcg_env_flush_ring(v->env);
}

static void evict(TcgVcpu *v)
{
    TcgState *st = v->st;
    const TcgCode *code = v->unit->code;
    unsigned n = MAX(tcg_code_chunks(code) / AT_ONCE, AT_LEAST);

    for (; n > 0 && tcg_code_oldest(code) < tcg_code_next(code); n--) {
        v->count.evicted += evict_oldest(st, v->unit);
        v->count.chunks_evicted++;
    }
    for (unsigned i = 0; i < st->vcpus->len; i++) {
        forget_addresses(g_ptr_array_index(st->vcpus, i));
    }
    __atomic_add_fetch(&st->evictions, 1, __ATOMIC_RELEASE);
}

/* ---- when ---- */

typedef struct Turn { TcgVcpu *v; uint64_t count; } Turn;

/* Others are stopped, but one may be so inside a slow path of generated code: then not now. */
static void try_evict(void *data)
{
    const Turn *t = data;
    TcgState *st = t->v->st;

    if (st->evictions != t->count) {
        return;                                         /* somebody else did */
    }
    for (unsigned i = 0; i < st->vcpus->len; i++) {
        const TcgVcpu *o = g_ptr_array_index(st->vcpus, i);

        if (o != t->v && __atomic_load_n(&o->in_code, __ATOMIC_ACQUIRE)) {
            return;
        }
    }
    evict(t->v);
}

void blocks_make_room(TcgVcpu *v)
{
    Turn t = { v, __atomic_load_n(&v->st->evictions, __ATOMIC_ACQUIRE) };

    while (__atomic_load_n(&v->st->evictions, __ATOMIC_ACQUIRE) == t.count) {
        vcpu_exclusive(v->st->m, try_evict, &t);
        flush_drain(v);
        sched_yield();
    }
}

/* The machine ends: pages and processors have gone already. */
void blocks_free_all(TcgUnit *u)
{
    for (uint64_t c = tcg_code_oldest(u->code); c < tcg_code_next(u->code); c++) {
        for (InChunk *n = *chunk_head(u, c), *next; n; n = next) {
            Block *b = block_of_part(n);

            next = n->next;
            while (b->in) {
                LinkIn *in = b->in;

                b->in = in->next;
                g_free(in);
            }
            part_gone(b);
        }
    }
}
