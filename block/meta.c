/* SPDX-License-Identifier: MIT */
/* The cache of table pages (block/grains.h). */
#include "block/grains.h"

#include <string.h>

#include "util/bswap.h"

enum { MAX_PAGES = 512 };

static guint page_hash(gconstpointer p)
{
    const MetaPage *m = p;
    uint64_t x = (m->offset / META_PAGE + (uintptr_t)m->file) * 0x9e3779b97f4a7c15ull;

    return x >> 32;
}

static gboolean page_equal(gconstpointer a, gconstpointer b)
{
    const MetaPage *x = a, *y = b;

    return x->offset == y->offset && x->file == y->file;
}

/* A page that may be given up; NULL: all are dirty. */
static MetaPage *victim(Grains *g)
{
    for (unsigned i = 0; i < 2 * g->pages->len; i++) {
        MetaPage *p = g->pages->pdata[g->hand++ % g->pages->len];

        if (!p->dirty && !p->used) {
            return p;
        }
        p->used = false;
    }
    return NULL;
}

static int fresh_page(BlkNode *n, Grains *g, MetaPage **out)
{
    MetaPage *p;
    int r;

    if (g->pages->len < MAX_PAGES) {
        p = g_new0(MetaPage, 1);
        g_ptr_array_add(g->pages, p);
        *out = p;
        return 0;
    }
    p = victim(g);
    if (!p) {
        r = grains_sync(n, false);
        if (r < 0) {
            return r;
        }
        p = victim(g);
    }
    if (p->file) {
        g_hash_table_remove(g->index, p);
    }
    *out = p;
    return 0;
}

static int page_get(BlkNode *n, BlkNode *file, uint64_t off, MetaPage **out)
{
    Grains *g = n->state;
    MetaPage key, *p;
    int r;

    key.file = file;
    key.offset = off & ~(uint64_t)(META_PAGE - 1);
    if (!g->index) {
        g->index = g_hash_table_new(page_hash, page_equal);
        g->pages = g_ptr_array_new_with_free_func(g_free);
    }
    p = g_hash_table_lookup(g->index, &key);
    if (!p) {
        r = fresh_page(n, g, &p);
        if (r < 0) {
            return r;
        }
        p->file = NULL;
        r = node_pread_padded(file, key.offset, p->data, META_PAGE);
        if (r < 0) {
            return r;
        }
        p->file = file;
        p->offset = key.offset;
        g_hash_table_add(g->index, p);
    }
    p->used = true;
    *out = p;
    return 0;
}

static void runs_moved(GArray *runs, const BlkNode *before, BlkNode *now)
{
    for (unsigned i = 0; runs && i < runs->len; i++) {
        GrainRun *r = &g_array_index(runs, GrainRun, i);

        r->file = r->file == before ? now : r->file;
    }
}

void grains_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    Grains *g = n->state;

    g->end_known = false;
    runs_moved(g->dropped, before, c->node);
    runs_moved(g->spare, before, c->node);
    for (unsigned i = 0; g->pages && i < g->pages->len; i++) {
        MetaPage *p = g->pages->pdata[i];

        if (p->file == before) {
            g_hash_table_remove(g->index, p);
            p->file = c->node;
            g_hash_table_add(g->index, p);
        }
    }
}

static void mark(Grains *g, MetaPage *p, unsigned from, unsigned to, unsigned level)
{
    for (unsigned s = from / META_SECTOR; s <= (to - 1) / META_SECTOR; s++) {
        p->level[s] = MAX(p->level[s], level + 1);
    }
    g->dirty += !p->dirty;
    p->dirty = true;
}

int meta_read(BlkNode *n, BlkNode *file, uint64_t off, void *buf, uint64_t len)
{
    uint8_t *to = buf;

    while (len) {
        unsigned in = off % META_PAGE, now = MIN(len, META_PAGE - in);
        MetaPage *p;
        int r = page_get(n, file, off, &p);

        if (r < 0) {
            return r;
        }
        memcpy(to, p->data + in, now);
        off += now;
        to += now;
        len -= now;
    }
    return 0;
}

static int change(BlkNode *n, BlkNode *file, uint64_t off, const uint8_t *from, uint64_t len, unsigned level)
{
    while (len) {
        unsigned in = off % META_PAGE, now = MIN(len, META_PAGE - in);
        MetaPage *p;
        int r = page_get(n, file, off, &p);

        if (r < 0) {
            return r;
        }
        if (from) {
            memcpy(p->data + in, from, now);
            from += now;
        } else {
            memset(p->data + in, 0, now);
        }
        mark(n->state, p, in, in + now, level);
        off += now;
        len -= now;
    }
    return 0;
}

int meta_write(BlkNode *n, BlkNode *file, uint64_t off, const void *buf, uint64_t len, unsigned level)
{
    return change(n, file, off, buf, len, level);
}

int meta_zero(BlkNode *n, BlkNode *file, uint64_t off, uint64_t len, unsigned level)
{
    return change(n, file, off, NULL, len, level);
}

#define META_ACCESS(bits, letter, order) \
    int meta_get##bits##order(BlkNode *n, BlkNode *file, uint64_t off, uint##bits##_t *v) \
    { \
        uint8_t b[bits / 8]; \
        int r = meta_read(n, file, off, b, sizeof(b)); \
        *v = r ? 0 : ld##letter##_##order##_p(b); \
        return r; \
    } \
    int meta_set##bits##order(BlkNode *n, BlkNode *file, uint64_t off, uint##bits##_t v, unsigned level) \
    { \
        uint8_t b[bits / 8]; \
        st##letter##_##order##_p(b, v); \
        return meta_write(n, file, off, b, sizeof(b), level); \
    }
META_ACCESS(32, l, le)
META_ACCESS(32, l, be)
META_ACCESS(64, q, le)
META_ACCESS(64, q, be)
#undef META_ACCESS

/* ---- bitmaps ---- */

static unsigned bit_of(const MetaBits *b, uint64_t i)
{
    return b->msb ? 7 - i % 8 : i % 8;
}

/* How many bits may be passed over from the byte at `p`, `left` bytes from its end, because all are as `set`: 64, 8 or none. */
static unsigned same_bits(const uint8_t *p, uint64_t left, bool set)
{
    uint64_t eight = 0;

    if (left >= 8) {
        memcpy(&eight, p, 8);
        if (eight == (set ? UINT64_MAX : 0)) {
            return 64;
        }
    }
    return *p == (set ? 0xff : 0) ? 8 : 0;
}

int meta_bits_run(BlkNode *n, const MetaBits *b, uint64_t first, uint64_t count, uint64_t *run, bool *set)
{
    uint8_t piece[512];
    uint64_t i = first, have = 0, from = 0;

    while (i < first + count) {
        unsigned more = 0;
        bool now;

        if (i / 8 >= from + have) {
            int r;

            from = i / 8;
            have = MIN(i == first ? 64 : sizeof(piece), (first + count + 7) / 8 - from);
            r = meta_read(n, b->file, b->map + from, piece, have);
            if (r < 0) {
                return r;
            }
        }
        now = piece[i / 8 - from] >> bit_of(b, i) & 1;
        if (i == first) {
            *set = now;
        } else if (now != *set) {
            break;
        }
        more = i % 8 ? 0 : same_bits(piece + (i / 8 - from), from + have - i / 8, *set);
        i += more ? more : 1;
    }
    *run = MIN(i - first, count);
    return 0;
}

int meta_bits_set(BlkNode *n, const MetaBits *b, uint64_t first, uint64_t count, unsigned level)
{
    uint8_t piece[64];
    uint64_t end = first + count;
    int r = 0;

    while (first < end && r == 0) {
        uint64_t from = first / 8, have = MIN(sizeof(piece), (end + 7) / 8 - from), upto = MIN(end, (from + have) * 8);

        r = meta_read(n, b->file, b->map + from, piece, have);
        for (; first < upto; first++) {
            piece[first / 8 - from] |= 1u << bit_of(b, first);
        }
        r = r ? r : meta_write(n, b->file, b->map + from, piece, have, level);
    }
    return r;
}

/* ---- entries ---- */

/* How many of `count` entries of a page are as the one at `first` is; all of them is what is hoped for. */
static uint64_t same_entries(const uint8_t *p, uint64_t count, const uint8_t *first, unsigned width)
{
    uint64_t i = 0;

    if (!memcmp(p, first, width) && !memcmp(p, p + width, (count - 1) * width)) {
        return count;
    }
    while (i < count && !memcmp(p + i * width, first, width)) {
        i++;
    }
    return i;
}

void meta_entries_run(BlkNode *n, const MetaEntries *t, GrainPlace *p)
{
    enum { LOOK = 1 << 16 };                        /* bytes of a table, and then the lock is somebody else's for a while */
    uint64_t count = MIN((MIN(p->want, t->left) + t->in + t->unit - 1) / t->unit, LOOK / t->width), i = 1, here, same = 0;
    uint8_t first[8];
    MetaPage *page;

    if (count > 1 && t->at % t->width == 0 && meta_read(n, t->file, t->at, first, t->width) == 0) {
        for (here = 0; same == here && i < count && page_get(n, t->file, t->at + i * t->width, &page) == 0; i += same) {
            uint64_t in = (t->at + i * t->width) % META_PAGE;

            here = MIN(count - i, (META_PAGE - in) / t->width);
            same = same_entries(page->data + in, here, first, t->width);
        }
    }
    p->run = MIN(i * t->unit - t->in, t->left);
}

/* Runs of sectors of this level; what else is in the page stays as the file has it. */
static int write_page(Grains *g, MetaPage *p, unsigned level)
{
    unsigned n = META_PAGE / META_SECTOR, left = 0;

    for (unsigned a = 0, b; a < n; a = b + 1) {
        int r;

        for (b = a; b < n && p->level[b] == level + 1; b++) {
        }
        if (b == a) {
            continue;
        }
        r = node_pwrite(p->file, p->offset + a * META_SECTOR, p->data + a * META_SECTOR, (b - a) * META_SECTOR);
        if (r < 0) {
            return r;
        }
        memset(p->level + a, 0, b - a);
    }
    for (unsigned i = 0; i < n; i++) {
        left += p->level[i] != 0;
    }
    if (!left) {
        p->dirty = false;
        g->dirty--;
    }
    return 0;
}

int meta_write_level(Grains *g, unsigned level)
{
    for (unsigned i = 0; g->pages && i < g->pages->len; i++) {
        MetaPage *p = g->pages->pdata[i];
        int r = p->dirty ? write_page(g, p, level) : 0;

        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int meta_write_page(Grains *g, MetaPage *p)
{
    int r = 0;

    for (unsigned level = 0; level < META_LEVELS && r == 0 && p->dirty; level++) {
        r = write_page(g, p, level);
    }
    return r;
}

int meta_flush_files(BlkNode *n)
{
    int r = 0;

    for (BlkChild *c = n->children; c; c = c->next) {
        if (c->role != BLK_CHILD_BACKING && !c->node->read_only) {
            int e = node_flush(c->node);
            r = r ? r : e;
        }
    }
    return r;
}
