/* SPDX-License-Identifier: MIT */
/*
 * Two tables, of eight bytes and of five, as is usual.  Positions of a cluster
 * fit sixteen bits, and a table begins as zeroes: each entry is a place within
 * the cluster that lies before the current one, so a candidate needs no test
 * but the comparison itself.  Such tests are branches that random data decides.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "block/qcow2/zstd-search.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LONG_BITS = 16, SHORT_BITS = 15 };

/* No match begins in the last bytes, so that eight can be read wherever one may; after so many bytes without one the steps get longer. */
enum { TAIL = 12, STEP_BITS = 8, MATCH_MIN = 4 };

struct ZstdSearch {
    ZSTD_CCtx *ctx;
    uint16_t longs[1 << LONG_BITS];                 /* where eight bytes with this hash were last */
    uint16_t shorts[1 << SHORT_BITS];               /* the same of five */
    ZSTD_Sequence found[ZSTD_SEARCH_MAX / MATCH_MIN + 2];
};

typedef struct {
    ZstdSearch *s;
    const uint8_t *in, *at, *literals, *limit, *end;
    uint32_t last, older;           /* distances of the last two matches that differ; 0: none yet */
    size_t n;
} Walk;

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT64_FROM_LE(v);
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT32_FROM_LE(v);
}

static uint16_t *long_of(ZstdSearch *s, uint64_t v)
{
    return &s->longs[(v * 0x9e3779b97f4a7c15ull) >> (64 - LONG_BITS)];
}

static uint16_t *short_of(ZstdSearch *s, uint64_t v)
{
    return &s->shorts[((v << 24) * 0x9e3779b97f4a7c15ull) >> (64 - SHORT_BITS)];
}

/* How far both are equal, up to `end` of the later one. */
static size_t equal(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    const uint8_t *start = a;

    for (; a + 8 <= end; a += 8, b += 8) {
        uint64_t x = load64(a) ^ load64(b);

        if (x) {
            return a - start + (__builtin_ctzll(x) >> 3);
        }
    }
    while (a < end && *a == *b) {
        a++;
        b++;
    }
    return a - start;
}

static void take(Walk *w, uint32_t distance, size_t len)
{
    w->s->found[w->n++] = (ZSTD_Sequence){ .offset = distance, .litLength = w->at - w->literals, .matchLength = len };
    w->at += len;
    w->literals = w->at;
}

/* A match with `from`, which may begin earlier than where it was found. */
static void take_new(Walk *w, const uint8_t *from, size_t known)
{
    size_t len = known + equal(w->at + known, from + known, w->end);

    while (w->at > w->literals && from > w->in && w->at[-1] == from[-1]) {
        w->at--;
        from--;
        len++;
    }
    w->older = w->last;
    w->last = w->at - from;
    take(w, w->last, len);
}

/* Five bytes are equal, perhaps: eight from the next byte on are better. */
static void take_short(Walk *w, const uint8_t *from)
{
    uint64_t v = load64(w->at + 1);
    uint16_t *slot = long_of(w->s, v);
    const uint8_t *next = w->in + *slot;

    *slot = w->at + 1 - w->in;
    if (load64(next) == v) {
        w->at++;
        take_new(w, next, 8);
    } else {
        take_new(w, from, MATCH_MIN);
    }
}

static bool repeats(const Walk *w, const uint8_t *at, uint32_t distance)
{
    return distance && (size_t)(at - w->in) >= distance && load32(at) == load32(at - distance);
}

static void note(Walk *w, size_t at_long, size_t at_short)
{
    *long_of(w->s, load64(w->in + at_long)) = at_long;
    *short_of(w->s, load64(w->in + at_short)) = at_short;
}

/* Behind a match: some of its places are noted, and the distance before the last may go on at once. */
static void after_match(Walk *w, size_t began)
{
    if (w->at >= w->limit) {
        return;
    }
    note(w, began + 2, began + 2);
    note(w, w->at - 2 - w->in, w->at - 1 - w->in);
    while (w->at < w->limit && repeats(w, w->at, w->older)) {
        uint32_t d = w->older;

        w->older = w->last;
        w->last = d;
        note(w, w->at - w->in, w->at - w->in);
        take(w, d, MATCH_MIN + equal(w->at + MATCH_MIN, w->at + MATCH_MIN - d, w->end));
    }
}

static void step(Walk *w)
{
    size_t began = w->at - w->in;
    uint64_t v = load64(w->at);
    uint16_t *slot8 = long_of(w->s, v), *slot5 = short_of(w->s, v);
    const uint8_t *from8 = w->in + *slot8, *from5 = w->in + *slot5;

    *slot8 = *slot5 = began;
    if (repeats(w, w->at + 1, w->last)) {
        w->at++;
        take(w, w->last, MATCH_MIN + equal(w->at + MATCH_MIN, w->at + MATCH_MIN - w->last, w->end));
    } else if (load64(from8) == v) {
        take_new(w, from8, 8);
    } else if (load32(from5) == (uint32_t)v) {
        take_short(w, from5);
    } else {
        w->at += 1 + ((w->at - w->literals) >> STEP_BITS);
        return;
    }
    after_match(w, began);
}

/* In one piece, so that the walk lives in registers: 1.1 times as fast. */
__attribute__((flatten)) static size_t search(ZstdSearch *s, const uint8_t *in, size_t len)
{
    Walk w = { .s = s, .in = in, .at = in + 1, .literals = in, .end = in + len, .limit = len > TAIL ? in + len - TAIL : in };

    memset(s->longs, 0, sizeof(s->longs));
    memset(s->shorts, 0, sizeof(s->shorts));
    while (w.at < w.limit) {
        step(&w);
    }
    s->found[w.n++] = (ZSTD_Sequence){ .litLength = w.end - w.literals };       /* the end of the block */
    return w.n;
}

size_t zstd_search_compress(ZstdSearch *s, void *out, size_t room, const void *in, size_t len)
{
    return ZSTD_compressSequences(s->ctx, out, room, s->found, search(s, in, len), in, len);
}

/* The door for sequences is not yet a promise of the library's: what goes in must come back. */
static bool works(ZstdSearch *s)
{
    enum { N = 512 };
    uint8_t in[N], out[2 * N], back[N];
    size_t r;

    for (unsigned i = 0; i < N; i++) {
        in[i] = (i * i) >> (i / 100);
    }
    memcpy(in + 300, in + 80, 90);
    r = zstd_search_compress(s, out, sizeof(out), in, N);
    return !ZSTD_isError(r) && ZSTD_decompress(back, N, out, r) == N && !memcmp(in, back, N);
}

/* 1.5.4: the first that takes sequences with distances that repeat.  1.5.7: as quick as this. */
enum { FIRST = 10504, QUICK = 10507 };

ZstdSearch *zstd_search_new(ZSTD_CCtx *ctx)
{
    ZstdSearch *s;

    if (ZSTD_versionNumber() < FIRST || ZSTD_versionNumber() >= QUICK ||
        ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_blockDelimiters, ZSTD_sf_explicitBlockDelimiters)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_searchForExternalRepcodes, ZSTD_ps_enable))) {
        return NULL;
    }
    s = g_new(ZstdSearch, 1);
    s->ctx = ctx;
    if (!works(s)) {
        g_clear_pointer(&s, g_free);
    }
    return s;
}

void zstd_search_free(ZstdSearch *s)
{
    g_free(s);
}
