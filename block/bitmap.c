/* SPDX-License-Identifier: MIT */
#include "block/bitmap.h"

#include <string.h>

#include "util/bits.h"

static uint64_t granules(const BlkBitmap *b)
{
    return (b->size + (1ull << b->shift) - 1) >> b->shift;
}

static uint64_t words_of(const BlkBitmap *b)
{
    return (granules(b) + 63) / 64;
}

uint32_t blk_bitmap_granularity(const BlkBitmap *b)
{
    return 1u << b->shift;
}

/* ---- life ---- */

BlkBitmap *blk_bitmap_alloc(uint64_t size, uint32_t granularity)
{
    BlkBitmap *b = g_new0(BlkBitmap, 1);

    b->shift = __builtin_ctz(granularity);
    b->size = size;
    b->words = g_new0(uint64_t, words_of(b) + 1);
    io_lock_init(&b->lock);
    return b;
}

void blk_bitmap_free(BlkBitmap *b)
{
    if (!b) {
        return;
    }
    if (b->node) {
        BlkBitmap **at = &b->node->bitmaps;

        io_lock(&b->node->bitmaps_lock);
        while (*at != b) {
            at = &(*at)->next;
        }
        __atomic_store_n(at, b->next, __ATOMIC_RELEASE);
        io_unlock(&b->node->bitmaps_lock);
    }
    io_lock_destroy(&b->lock);
    g_free(b->words);
    g_free(b->name);
    g_free(b);
}

BlkBitmap *blk_bitmap_new(BlkNode *n, const char *name, uint64_t granularity, Error **errp)
{
    BlkBitmap *b, **at = &n->bitmaps;

    if (name && strlen(name) > 1023) {
        error_set(errp, "Bitmap name too long");
        return NULL;
    }
    if (name && blk_bitmap_find(n, name)) {
        error_set(errp, "Bitmap already exists: %s", name);
        return NULL;
    }
    if (granularity && (granularity < 512 || granularity > 1u << 31 || (granularity & (granularity - 1)))) {
        error_set(errp, granularity < 512 ? "Granularity must be at least 512" : "Granularity must be a power of 2");
        return NULL;
    }
    granularity = granularity ? granularity : n->cluster ? CLAMP(n->cluster, 4096, 65536) : 65536;
    b = blk_bitmap_alloc(node_size(n), granularity);
    b->node = n;
    b->name = g_strdup(name);
    b->enabled = true;
    io_lock(&n->bitmaps_lock);
    while (*at) {
        at = &(*at)->next;
    }
    __atomic_store_n(at, b, __ATOMIC_RELEASE);
    io_unlock(&n->bitmaps_lock);
    return b;
}

BlkBitmap *blk_bitmap_find(const BlkNode *n, const char *name)
{
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        if (b->name && !strcmp(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

void blk_bitmap_resize(BlkBitmap *b, uint64_t size)
{
    uint64_t old, fresh;

    io_lock(&b->lock);
    old = words_of(b);
    b->size = size;
    fresh = words_of(b);
    b->words = g_renew(uint64_t, b->words, fresh + 1);
    if (fresh >= old) {
        memset(b->words + old, 0, (fresh - old + 1) * 8);
    }
    if (granules(b) % 64) {
        b->words[fresh - 1] &= (1ull << granules(b) % 64) - 1;
    }
    b->count = 0;
    for (uint64_t i = 0; i < fresh; i++) {
        b->count += __builtin_popcountll(b->words[i]);
    }
    io_unlock(&b->lock);
}

/* ---- bits; under the lock ---- */

static void put(BlkBitmap *b, uint64_t first, uint64_t end, bool set)
{
    while (first < end) {
        uint64_t word = first / 64, upto = MIN(end, (word + 1) * 64), n = upto - first;
        uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << first % 64, old = b->words[word];

        b->words[word] = set ? old | mask : old & ~mask;
        b->count += __builtin_popcountll(b->words[word]) - __builtin_popcountll(old);
        first = upto;
    }
}

/* The first granule from `at` on that is `set`; `end` if there is none. */
static uint64_t seek(const BlkBitmap *b, uint64_t at, uint64_t end, bool set)
{
    while (at < end) {
        uint64_t w = (set ? b->words[at / 64] : ~b->words[at / 64]) >> at % 64;

        if (w) {
            return MIN(end, at + __builtin_ctzll(w));
        }
        at = (at / 64 + 1) * 64;
    }
    return end;
}

void blk_bitmap_set(BlkBitmap *b, uint64_t off, uint64_t len)
{
    io_lock(&b->lock);
    if (len && off < b->size) {
        put(b, off >> b->shift, MIN(granules(b), ((off + len - 1) >> b->shift) + 1), true);
    }
    io_unlock(&b->lock);
}

void blk_bitmap_clear(BlkBitmap *b, uint64_t off, uint64_t len)
{
    uint64_t g = (1ull << b->shift) - 1;

    io_lock(&b->lock);
    if (off < b->size) {
        put(b, (off + g) >> b->shift, off + len >= b->size ? granules(b) : (off + len) >> b->shift, false);
    }
    io_unlock(&b->lock);
}

void blk_bitmap_clear_all(BlkBitmap *b)
{
    blk_bitmap_clear(b, 0, b->size);
}

bool blk_bitmap_get(BlkBitmap *b, uint64_t off)
{
    bool set;

    io_lock(&b->lock);
    set = off < b->size && (b->words[(off >> b->shift) / 64] >> ((off >> b->shift) % 64) & 1);
    io_unlock(&b->lock);
    return set;
}

bool blk_bitmap_next(BlkBitmap *b, uint64_t off, uint64_t max, uint64_t *start, uint64_t *len)
{
    uint64_t end, first, last;

    io_lock(&b->lock);
    end = granules(b);
    first = off < b->size && b->count ? seek(b, off >> b->shift, end, true) : end;
    last = first < end ? seek(b, first, MIN(end, first + MAX(max >> b->shift, 1)), false) : end;
    *start = first << b->shift;
    *len = first < end ? MIN(last << b->shift, b->size) - *start : 0;
    io_unlock(&b->lock);
    return first < end;
}

uint64_t blk_bitmap_run(BlkBitmap *b, uint64_t off, uint64_t max, bool *set)
{
    uint64_t at = off >> b->shift, end;

    io_lock(&b->lock);
    *set = off < b->size && (b->words[at / 64] >> at % 64 & 1);
    end = seek(b, at, granules(b), !*set) << b->shift;
    io_unlock(&b->lock);
    return MIN(max, MIN(end, MAX(b->size, off + 1)) - off);
}

uint64_t blk_bitmap_bytes(BlkBitmap *b)
{
    uint64_t bytes, tail;

    io_lock(&b->lock);
    bytes = b->count << b->shift;
    tail = granules(b);
    if (tail && (b->size & ((1ull << b->shift) - 1)) && (b->words[(tail - 1) / 64] >> ((tail - 1) % 64) & 1)) {
        bytes -= (1ull << b->shift) - (b->size & ((1ull << b->shift) - 1));
    }
    io_unlock(&b->lock);
    return bytes;
}

void blk_bitmap_merge(BlkBitmap *into, BlkBitmap *from)
{
    uint64_t start = 0, len;

    while (blk_bitmap_next(from, start, UINT64_MAX >> 1, &start, &len)) {
        blk_bitmap_set(into, start, len);
        start += len;
    }
}

/* ---- of nodes ---- */

void blk_bitmaps_mark(BlkNode *n, uint64_t off, uint64_t len)
{
    io_lock(&n->bitmaps_lock);
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        if (b->enabled && !b->inconsistent) {
            blk_bitmap_set(b, off, len);
        }
    }
    io_unlock(&n->bitmaps_lock);
}

void blk_bitmaps_resized(BlkNode *n, uint64_t size)
{
    io_lock(&n->bitmaps_lock);
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        blk_bitmap_resize(b, size);
    }
    io_unlock(&n->bitmaps_lock);
}

void blk_bitmaps_free(BlkNode *n)
{
    while (n->bitmaps) {
        blk_bitmap_free(n->bitmaps);
    }
}

Json *blk_bitmaps_info(BlkNode *n)
{
    Json *list = NULL;

    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        Json *j;

        if (!b->name) {
            continue;
        }
        j = json_object();
        json_set_string(j, "name", b->name);
        json_set_bool(j, "recording", b->enabled && !b->inconsistent);
        json_set_bool(j, "persistent", b->persistent);
        json_set_bool(j, "busy", b->busy);
        if (b->inconsistent) {
            json_set_bool(j, "inconsistent", true);
        }
        json_set_uint(j, "granularity", blk_bitmap_granularity(b));
        json_set_uint(j, "count", blk_bitmap_bytes(b));
        list = list ? list : json_array();
        json_append(list, j);
    }
    return list;
}
