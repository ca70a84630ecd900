/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages: one bit per page and client, in a bitmap whose address never
 * changes (virtual memory for the largest machine, touched where RAM is).
 */
#include "memory/memory-priv.h"

#include <assert.h>
#include <sys/mman.h>

#define MAP_BYTES (MEM_RAM_MAX >> MEM_PAGE_BITS >> 3)

void dirty_init(Memory *mem)
{
    for (int i = 0; i < DIRTY_CLIENTS; i++) {
        void *map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        mem->dirty[i] = map == MAP_FAILED ? NULL : map;
    }
    mem->log_count[DIRTY_CODE] = 1;
    mem->logging = DIRTY_MASK(DIRTY_CODE);
}

/* False where the process may not have so much address space: then there are no RAM blocks. */
bool dirty_ready(const Memory *mem)
{
    for (int i = 0; i < DIRTY_CLIENTS; i++) {
        if (!mem->dirty[i]) {
            return false;
        }
    }
    return true;
}

void dirty_fini(Memory *mem)
{
    for (int i = 0; i < DIRTY_CLIENTS; i++) {
        if (mem->dirty[i]) {
            munmap(mem->dirty[i], MAP_BYTES);
        }
    }
}

uint64_t *mem_dirty_map(Memory *mem, DirtyClient client)
{
    return mem->dirty[client];
}

/* The bits of word `w` that belong to pages [first, end). */
static uint64_t word_mask(uint64_t w, uint64_t first, uint64_t end)
{
    uint64_t mask = ~0ull;

    if (w == first / 64) {
        mask &= ~0ull << (first % 64);
    }
    if (w == (end - 1) / 64) {
        mask &= ~0ull >> (63 - (end - 1) % 64);
    }
    return mask;
}

#define FOREACH_WORD(w, first, end) for (uint64_t w = (first) / 64; w <= ((end) - 1) / 64; w++)

static bool pages(uint64_t ram_addr, uint64_t len, uint64_t *first, uint64_t *end)
{
    *first = ram_addr >> MEM_PAGE_BITS;
    *end = ((ram_addr + len - 1) >> MEM_PAGE_BITS) + 1;
    assert(ram_addr + len <= MEM_RAM_MAX);
    return len != 0;
}

void mem_dirty_set(Memory *mem, uint32_t mask, uint64_t ram_addr, uint64_t len)
{
    uint64_t first, end;

    if (!pages(ram_addr, len, &first, &end)) {
        return;
    }
    for (int c = 0; c < DIRTY_CLIENTS; c++) {
        if (mask & DIRTY_MASK(c)) {
            FOREACH_WORD(w, first, end) {
                uint64_t bits = word_mask(w, first, end);

                if ((__atomic_load_n(&mem->dirty[c][w], __ATOMIC_RELAXED) & bits) != bits) {
                    __atomic_fetch_or(&mem->dirty[c][w], bits, __ATOMIC_SEQ_CST);
                }
            }
        }
    }
}

bool mem_dirty_any(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len)
{
    uint64_t first, end;

    if (!pages(ram_addr, len, &first, &end)) {
        return false;
    }
    FOREACH_WORD(w, first, end) {
        if (__atomic_load_n(&mem->dirty[client][w], __ATOMIC_ACQUIRE) & word_mask(w, first, end)) {
            return true;
        }
    }
    return false;
}

bool mem_dirty_all(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len)
{
    uint64_t first, end;

    if (!pages(ram_addr, len, &first, &end)) {
        return true;
    }
    FOREACH_WORD(w, first, end) {
        uint64_t bits = word_mask(w, first, end);

        if ((__atomic_load_n(&mem->dirty[client][w], __ATOMIC_ACQUIRE) & bits) != bits) {
            return false;
        }
    }
    return true;
}

/* Or bits [at, at + n) of a word into a bitmap that begins at page `base`. */
static void put_bits(uint64_t *out, uint64_t base, uint64_t w, uint64_t bits)
{
    while (bits) {
        unsigned i = (unsigned)__builtin_ctzll(bits);
        uint64_t page = w * 64 + i - base;

        out[page / 64] |= 1ull << (page % 64);
        bits &= bits - 1;
    }
}

bool mem_dirty_test_clear(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len, uint64_t *out)
{
    uint64_t first, end;
    bool any = false;

    if (!pages(ram_addr, len, &first, &end)) {
        return false;
    }
    if (out) {
        for (uint64_t i = 0; i < (end - first + 63) / 64; i++) {
            out[i] = 0;
        }
    }
    FOREACH_WORD(w, first, end) {
        uint64_t bits = word_mask(w, first, end), old;

        if (!(__atomic_load_n(&mem->dirty[client][w], __ATOMIC_RELAXED) & bits)) {
            continue;
        }
        old = __atomic_fetch_and(&mem->dirty[client][w], ~bits, __ATOMIC_SEQ_CST) & bits;
        any |= old != 0;
        if (out) {
            put_bits(out, first, w, old);
        }
    }
    return any;
}

void mem_dirty_log(Memory *mem, DirtyClient client, bool on)
{
    uint32_t before, now;

    mem_topology_begin(mem);
    before = mem->logging;
    mem->log_count[client] += on ? 1 : -1;
    assert(mem->log_count[client] >= 0);
    now = mem->log_count[client] ? before | DIRTY_MASK(client) : before & ~DIRTY_MASK(client);
    __atomic_store_n(&mem->logging, now, __ATOMIC_SEQ_CST);
    for (MemListener *l = mem->listeners; l && before != now; l = l->next) {
        if (l->logging) {
            l->logging(l, now);
        }
    }
    mem_topology_commit(mem);
}

uint32_t mem_dirty_logging(Memory *mem)
{
    return __atomic_load_n(&mem->logging, __ATOMIC_ACQUIRE);
}

void mem_written(Memory *mem, uint64_t ram_addr, uint64_t len)
{
    uint32_t others = mem_dirty_logging(mem) & ~DIRTY_MASK(DIRTY_CODE);

    if (!len) {
        return;
    }
    if (others) {
        mem_dirty_set(mem, others, ram_addr, len);
    }
    /* Bytes before bit, as the translator does bit before bytes: one of the two sees the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!mem_dirty_all(mem, DIRTY_CODE, ram_addr, len)) {
        mem_read_begin();
        for (MemListener *l = __atomic_load_n(&mem->listeners, __ATOMIC_ACQUIRE); l; l = l->next) {
            if (l->code_written) {
                l->code_written(l, ram_addr, len);
            }
        }
        mem_read_end();
    }
}
