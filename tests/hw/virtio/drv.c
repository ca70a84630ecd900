/* SPDX-License-Identifier: MIT */
#include "tests/hw/virtio/drv.h"

#include <glib.h>
#include <string.h>

uint64_t drv_alloc(DrvMem *m, uint64_t size, uint64_t align)
{
    uint64_t at = (m->next + align - 1) & ~(align - 1);

    g_assert_cmpuint(at + size, <=, m->base + m->size);
    m->next = at + size;
    memset(drv_ptr(m, at), 0, size);
    return at;
}

void *drv_ptr(DrvMem *m, uint64_t addr)
{
    g_assert(addr >= m->base && addr < m->base + m->size);
    return m->host + (addr - m->base);
}

uint16_t drv_get16(DrvMem *m, uint64_t addr)
{
    return __atomic_load_n((uint16_t *)drv_ptr(m, addr), __ATOMIC_ACQUIRE);
}

uint32_t drv_get32(DrvMem *m, uint64_t addr)
{
    return __atomic_load_n((uint32_t *)drv_ptr(m, addr), __ATOMIC_ACQUIRE);
}

void drv_put16(DrvMem *m, uint64_t addr, uint16_t v)
{
    __atomic_store_n((uint16_t *)drv_ptr(m, addr), v, __ATOMIC_RELEASE);
}

void drv_put32(DrvMem *m, uint64_t addr, uint32_t v)
{
    memcpy(drv_ptr(m, addr), &v, 4);
}

void drv_put64(DrvMem *m, uint64_t addr, uint64_t v)
{
    memcpy(drv_ptr(m, addr), &v, 8);
}

DrvQueue *drvq_new(DrvMem *m, uint16_t num, bool packed, bool event_idx, bool indirect, bool legacy)
{
    DrvQueue *q = g_new0(DrvQueue, 1);

    *q = (DrvQueue){ .m = m, .num = num, .packed = packed, .event_idx = event_idx, .indirect = indirect,
                     .free_count = num, .wrap = true, .used_wrap = true };
    q->next = g_new0(uint16_t, num);
    if (legacy) {
        uint64_t first = 16ull * num + 6 + 2ull * num, second = 6 + 8ull * num;

        first = (first + 4095) & ~4095ull;
        q->desc = drv_alloc(m, first + second, 4096);
        q->avail = q->desc + 16ull * num;
        q->used = q->desc + first;
    } else {
        q->desc = drv_alloc(m, 16ull * num, 16);
        q->avail = drv_alloc(m, packed ? 4 : 6 + 2ull * num, 4);
        q->used = drv_alloc(m, packed ? 4 : 6 + 8ull * num, 4);
    }
    for (unsigned i = 0; i < num; i++) {
        q->next[i] = i + 1;
    }
    return q;
}

void drvq_free(DrvQueue *q)
{
    g_free(q->next);
    g_free(q);
}

static void put_desc(DrvQueue *q, uint64_t at, const DrvSg *sg, uint16_t third, uint16_t fourth)
{
    drv_put64(q->m, at, sg->addr);
    drv_put32(q->m, at + 8, sg->len);
    drv_put16(q->m, at + 12, third);
    drv_put16(q->m, at + 14, fourth);
}

/* All pieces in a table of their own; returns the descriptor that points to it. */
static DrvSg indirect_table(DrvQueue *q, const DrvSg *sg, unsigned nout, unsigned nin)
{
    unsigned n = nout + nin;
    DrvSg table = { drv_alloc(q->m, 16ull * n, 16), 16 * n };

    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = i >= nout ? 2 : 0;

        if (q->packed) {
            put_desc(q, table.addr + 16ull * i, &sg[i], 0, flags);
        } else {
            put_desc(q, table.addr + 16ull * i, &sg[i], flags | (i + 1 < n ? 1 : 0), i + 1);
        }
    }
    return table;
}

static int add_split(DrvQueue *q, const DrvSg *sg, unsigned n, unsigned nout, uint16_t extra)
{
    uint16_t head = q->free_head, i = head;

    for (unsigned k = 0; k < n; k++) {
        uint16_t flags = extra | (k >= nout ? 2 : 0) | (k + 1 < n ? 1 : 0);

        put_desc(q, q->desc + 16ull * i, &sg[k], flags, q->next[i]);
        if (k + 1 == n) {
            q->free_head = q->next[i];
        }
        i = q->next[i];
    }
    drv_put16(q->m, q->avail + 4 + 2ull * (q->avail_idx % q->num), head);
    drv_put16(q->m, q->avail + 2, ++q->avail_idx);
    return head;
}

static int add_packed(DrvQueue *q, const DrvSg *sg, unsigned n, unsigned nout, uint16_t extra)
{
    uint16_t head = q->avail_idx, at = head, first_flags = 0, id = q->free_head;

    for (unsigned k = 0; k < n; k++) {
        uint16_t flags = extra | (k >= nout ? 2 : 0) | (k + 1 < n ? 1 : 0) | (q->wrap ? 1 << 7 : 1 << 15);

        if (k == 0) {
            first_flags = flags;
        }
        put_desc(q, q->desc + 16ull * at, &sg[k], id, k ? flags : drv_get16(q->m, q->desc + 16ull * at + 14));
        if (++at == q->num) {
            at = 0;
            q->wrap = !q->wrap;
        }
    }
    q->avail_idx = at;
    q->free_head = q->next[id];
    q->next[id] = n;
    drv_put16(q->m, q->desc + 16ull * head + 14, first_flags);
    return id;
}

int drvq_add(DrvQueue *q, const DrvSg *sg, unsigned nout, unsigned nin)
{
    unsigned n = nout + nin;
    DrvSg table;
    int id;

    if (q->indirect && n > 1) {
        if (!q->free_count) {
            return -1;
        }
        table = indirect_table(q, sg, nout, nin);
        id = q->packed ? add_packed(q, &table, 1, 1, 4) : add_split(q, &table, 1, 1, 4);
        q->free_count--;
        return id;
    }
    if (q->free_count < n) {
        return -1;
    }
    q->free_count -= n;
    return q->packed ? add_packed(q, sg, n, nout, 0) : add_split(q, sg, n, nout, 0);
}

bool drvq_kick_wanted(DrvQueue *q)
{
    uint16_t old = q->kicked, now = q->avail_idx, event, flags;
    int from, to;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    q->kicked = now;
    if (!q->packed) {
        if (!q->event_idx) {
            return !(drv_get16(q->m, q->used) & 1);
        }
        event = drv_get16(q->m, q->used + 4 + 8ull * q->num);
        return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
    }
    flags = drv_get16(q->m, q->used + 2) & 3;
    if (flags != 2) {
        return flags == 0;
    }
    event = drv_get16(q->m, q->used);
    from = old > now || (old == now) ? old - q->num : old;
    to = (event & 0x7fff) - (!!(event & 0x8000) != q->wrap ? q->num : 0);
    return from <= to && to < now;
}

static int used_split(DrvQueue *q, uint32_t *len)
{
    uint64_t at = q->used + 4 + 8ull * (q->last_used % q->num);
    uint16_t id, i, n = 1;

    if (drv_get16(q->m, q->used + 2) == q->last_used) {
        return -1;
    }
    id = drv_get32(q->m, at);
    *len = drv_get32(q->m, at + 4);
    q->last_used++;
    for (i = id; drv_get16(q->m, q->desc + 16ull * i + 12) & 1; i = drv_get16(q->m, q->desc + 16ull * i + 14)) {
        n++;
    }
    q->next[i] = q->free_head;
    q->free_head = id;
    q->free_count += n;
    return id;
}

static int used_packed(DrvQueue *q, uint32_t *len)
{
    uint64_t at = q->desc + 16ull * q->last_used;
    uint16_t flags = drv_get16(q->m, at + 14), id, n;

    if (!!(flags & (1 << 7)) != q->used_wrap || !!(flags & (1 << 15)) != q->used_wrap) {
        return -1;
    }
    id = drv_get16(q->m, at + 12);
    *len = drv_get32(q->m, at + 8);
    n = q->next[id];
    q->last_used += n;
    if (q->last_used >= q->num) {
        q->last_used -= q->num;
        q->used_wrap = !q->used_wrap;
    }
    q->free_count += n;
    q->next[id] = q->free_head;
    q->free_head = id;
    return id;
}

int drvq_used(DrvQueue *q, uint32_t *len)
{
    uint32_t ignored;
    int id;

    len = len ? len : &ignored;
    id = q->packed ? used_packed(q, len) : used_split(q, len);
    if (id >= 0 && q->event_idx && !q->packed) {
        drv_put16(q->m, q->avail + 4 + 2ull * q->num, q->last_used);
    } else if (id >= 0 && q->event_idx) {
        drv_put16(q->m, q->avail, q->last_used | (q->used_wrap ? 0x8000 : 0));
        drv_put16(q->m, q->avail + 2, 2);
    }
    return id;
}

void drvq_interrupts(DrvQueue *q, bool on)
{
    drv_put16(q->m, q->packed ? q->avail + 2 : q->avail, !on);
}
