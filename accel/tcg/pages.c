/* SPDX-License-Identifier: MIT */
/*
 * RAM pages that hold translated code.
 *
 * A page with code is protected: its DIRTY_CODE bit is clear, so no store TLB
 * entry of it is fast and every other writer tells the listener.  Protecting
 * waits until every vCPU has dropped its fast entries; only then are bytes
 * read.  A writer stores first and looks at the granules after; a translator
 * announces itself first and reads after: one of the two always sees the other.
 *
 * A page that is hit again and again becomes hot: it is left plain, its blocks
 * are short and compare their source bytes at each entry.
 */
#include <assert.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/tcg-priv.h"

enum { LEAF_BITS = 9, TOP_SIZE = MEM_RAM_MAX >> (MEM_PAGE_BITS + LEAF_BITS) };
enum { HEAT_LIMIT = 24 };       /* hits of live code within one window (HEAT_WINDOW_NS) */
#define HEAT_WINDOW_NS 50000000ull

PageCode *page_find(TcgState *st, uint64_t ram_page)
{
    PageCode **leaf = __atomic_load_n(&st->pages[ram_page >> LEAF_BITS], __ATOMIC_ACQUIRE);

    return leaf ? __atomic_load_n(&leaf[ram_page & ((1 << LEAF_BITS) - 1)], __ATOMIC_ACQUIRE) : NULL;
}

static PageCode **page_slot(TcgState *st, uint64_t ram_page)
{
    PageCode ***top = &st->pages[ram_page >> LEAF_BITS];
    PageCode **leaf = __atomic_load_n(top, __ATOMIC_ACQUIRE);

    if (!leaf) {
        PageCode **mine = g_new0(PageCode *, 1 << LEAF_BITS);

        if (__atomic_compare_exchange_n(top, &leaf, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            leaf = mine;
        } else {
            g_free(mine);
        }
    }
    return &leaf[ram_page & ((1 << LEAF_BITS) - 1)];
}

PageCode *page_get(TcgState *st, uint64_t ram_page, uint8_t *host)
{
    PageCode **slot = page_slot(st, ram_page);
    PageCode *p = __atomic_load_n(slot, __ATOMIC_ACQUIRE), *mine;

    if (p) {
        return p;
    }
    mine = g_new0(PageCode, 1);
    mine->ram_page = ram_page;
    mine->host = host;
    pthread_mutex_init(&mine->lock, NULL);
    if (!__atomic_compare_exchange_n(slot, &p, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        pthread_mutex_destroy(&mine->lock);
        g_free(mine);
        return p;
    }
    do {
        mine->all = __atomic_load_n(&st->all_pages, __ATOMIC_ACQUIRE);
    } while (!__atomic_compare_exchange_n(&st->all_pages, &mine->all, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return mine;
}

/* ---- protection ---- */

static void wait_protected(TcgVcpu *v, PageCode *p)
{
    vcpu_wait_begin(v->cpu);
    while (__atomic_load_n(&p->state, __ATOMIC_ACQUIRE) == PAGE_PROTECTING) {
        sched_yield();
    }
    vcpu_wait_end(v->cpu);
    flush_drain(v);
}

void page_protect(TcgVcpu *v, PageCode *p)
{
    uint64_t addr = p->ram_page << MEM_PAGE_BITS;
    uint32_t state;

    for (;;) {
        pthread_mutex_lock(&p->lock);
        state = __atomic_load_n(&p->state, __ATOMIC_ACQUIRE);
        if (state == PAGE_PLAIN) {
            __atomic_store_n(&p->state, PAGE_PROTECTING, __ATOMIC_RELEASE);
            mem_dirty_test_clear(v->st->m->mem, DIRTY_CODE, addr, MEM_PAGE_SIZE, NULL);
        }
        pthread_mutex_unlock(&p->lock);
        if (state != PAGE_PROTECTING) {
            break;
        }
        wait_protected(v, p);
    }
    if (state == PAGE_PLAIN) {
        FlushRec r = { .kind = REC_CODE, .host = p->host };

        v->count.protects++;
        flush_broadcast(v, &r);
        flush_apply(v, &r);
        flush_wait(v);
        __atomic_store_n(&p->state, PAGE_PROTECTED, __ATOMIC_RELEASE);
    }
}

void page_maybe_plain(TcgState *st, PageCode *p)
{
    if (__atomic_load_n(&p->state, __ATOMIC_ACQUIRE) == PAGE_PROTECTED && !p->granules && !p->translating && !p->monitored) {
        __atomic_store_n(&p->state, PAGE_PLAIN, __ATOMIC_RELEASE);
        mem_dirty_set(st->m->mem, DIRTY_MASK(DIRTY_CODE), p->ram_page << MEM_PAGE_BITS, MEM_PAGE_SIZE);
    }
}

/* ---- stores ---- */

static uint64_t granule_mask(uint64_t off, uint64_t len)
{
    unsigned first = (unsigned)(off >> GRANULE_BITS), last = (unsigned)((off + len - 1) >> GRANULE_BITS);

    return (~0ull << first) & (~0ull >> (63 - last));
}

bool page_hits(const PageCode *p, uint64_t off, uint64_t len)
{
    return __atomic_load_n(&p->granules, __ATOMIC_SEQ_CST) & granule_mask(off, len);
}

void page_heat(TcgState *st, PageCode *p)
{
    uint64_t now = tcg_now_ns() / HEAT_WINDOW_NS;

    if (st->icount) {
        return;                                         /* what is translated must not depend on host time */
    }
    if (p->heat_epoch != now) {
        __atomic_store_n(&p->hot, p->hot && p->heat_epoch + 20 > now, __ATOMIC_RELAXED);      /* a second without: give it another chance */
        p->heat = 0;
        p->heat_epoch = now;
    }
    if (++p->heat > HEAT_LIMIT) {
        __atomic_store_n(&p->hot, true, __ATOMIC_RELAXED);
    }
}

static bool overlaps(const Block *b, uint64_t off, uint64_t len)
{
    return b->tb.page_off < off + len && off < b->tb.page_off + MAX(b->tb.guest_bytes, 1u);
}

/* Page lock held. */
static bool kill_range(PageCode *p, uint64_t off, uint64_t len)
{
    uint64_t granules = 0;
    bool any = false;

    for (unsigned i = 0; i < PAGE_BUCKETS; i++) {
        Block **at = &p->bucket[i], *b;

        while ((b = *at)) {
            if (overlaps(b, off, len)) {
                __atomic_store_n(at, b->next, __ATOMIC_RELEASE);
                block_kill(b);
                p->nblocks--;
                any = true;
            } else {
                if (!b->checked) {
                    granules |= granule_mask(b->tb.page_off, MAX(b->tb.guest_bytes, 1u));
                }
                at = &b->next;
            }
        }
    }
    __atomic_store_n(&p->granules, granules, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&p->no_groups, granules, __ATOMIC_RELAXED);
    return any;
}

void page_written(TcgState *st, PageCode *p, uint64_t ram_addr, uint64_t len)
{
    uint64_t off = ram_addr & 0xfff;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);            /* the bytes before the question */
    if (!page_hits(p, off, len) && !__atomic_load_n(&p->translating, __ATOMIC_SEQ_CST)) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    __atomic_add_fetch(&p->version, 1, __ATOMIC_SEQ_CST);
    if (kill_range(p, off, len)) {
        page_heat(st, p);
    }
    page_maybe_plain(st, p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- other writers ---- */

static void code_written(MemListener *l, uint64_t ram_addr, uint64_t len)
{
    TcgState *st = (TcgState *)((char *)l - offsetof(TcgState, listener));

    for (uint64_t at = ram_addr, end = ram_addr + len; at < end;) {
        uint64_t n = MIN(end - at, MEM_PAGE_SIZE - (at & 0xfff));
        PageCode *p = page_find(st, at >> MEM_PAGE_BITS);

        if (p) {
            if (__atomic_load_n(&p->monitored, __ATOMIC_SEQ_CST)) {
                pthread_mutex_t *lock = monitor_lock(st, at);

                pthread_mutex_lock(lock);
                monitor_break(st, p, at, n, NULL);
                pthread_mutex_unlock(lock);
            }
            page_written(st, p, at, n);
        }
        at += n;
    }
}

static void topology(MemListener *l, AddressSpace *as)
{
    TcgState *st = (TcgState *)((char *)l - offsetof(TcgState, listener));

    flush_post_all(st, &(FlushRec){ .kind = REC_NEW });
}

static void logging(MemListener *l, uint32_t clients)
{
    TcgState *st = (TcgState *)((char *)l - offsetof(TcgState, listener));

    flush_post_all(st, &(FlushRec){ .kind = REC_STORES });
}

bool pages_init(TcgState *st)
{
    st->pages = mmap(NULL, TOP_SIZE * sizeof(*st->pages), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (st->pages == MAP_FAILED) {
        return false;
    }
    st->dirty_code = mem_dirty_map(st->m->mem, DIRTY_CODE);
    st->listener = (MemListener){ .topology = topology, .code_written = code_written, .logging = logging };
    mem_listener_add(st->m->mem, &st->listener);
    return true;
}

void pages_fini(TcgState *st)
{
    PageCode *p, *next;

    mem_listener_del(st->m->mem, &st->listener);
    for (p = st->all_pages; p; p = next) {
        PageCode ***leaf = &st->pages[p->ram_page >> LEAF_BITS];

        next = p->all;
        g_free(*leaf);
        *leaf = NULL;
        pthread_mutex_destroy(&p->lock);
        g_free(p);
    }
    munmap(st->pages, TOP_SIZE * sizeof(*st->pages));
}
