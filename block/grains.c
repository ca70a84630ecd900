/* SPDX-License-Identifier: MIT */
/* Reading and writing disks in grains; what is where (block/grains.h). */
#include "block/grains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

static Grains *grains(BlkNode *n)
{
    return n->state;
}

void grains_init(BlkNode *n, const GrainOps *ops, uint64_t grain)
{
    Grains *g = grains(n);

    g->ops = ops;
    g->grain = grain;
    fiber_mutex_init(&g->lock);
    io_lock_init(&g->uses_lock);
    g->dropped = g_array_new(FALSE, FALSE, sizeof(GrainRun));
    g->spare = g_array_new(FALSE, FALSE, sizeof(GrainRun));
}

void grains_free(BlkNode *n)
{
    Grains *g = grains(n);

    if (g->index) {
        g_hash_table_unref(g->index);
        g_ptr_array_unref(g->pages);
    }
    g_free(g->unpacked);
    if (g->ops) {
        g_array_unref(g->dropped);
        g_array_unref(g->spare);
        io_lock_destroy(&g->uses_lock);
        fiber_mutex_destroy(&g->lock);
    }
}

void grains_close(BlkNode *n)
{
    Grains *g = grains(n);

    if (!n->read_only && g->begun) {
        fiber_mutex_lock(&g->lock);
        if (grains_sync(n, true) == 0) {
            grains_trim(n);
        }
        fiber_mutex_unlock(&g->lock);
    }
    grains_free(n);
}

/* ---- finding; lock held ---- */

int grains_find(BlkNode *n, uint64_t off, uint64_t want, GrainPlace *p)
{
    Grains *g = grains(n);
    uint64_t size = node_size(n);
    int r;

    *p = (GrainPlace){ .want = want };
    if (g->grain) {
        p->start = off - off % g->grain;
        p->size = g->grain;
        p->run = g->grain - (off - p->start);
    }
    r = g->ops->find(n, off, p);
    if (r == 0 && p->run > size - off) {
        p->run = size - off;
    }
    return r;
}

/* The grain's plain bytes, in memory until the next one is unpacked. */
static int unpack(BlkNode *n, const GrainPlace *p, const uint8_t **out)
{
    Grains *g = grains(n);
    int r;

    if (g->unpacked && g->unpacked_start == p->start && g->unpacked_size == p->size) {
        *out = g->unpacked;
        return 0;
    }
    g_free(g->unpacked);
    g->unpacked = g_try_malloc(p->size);
    if (!g->unpacked) {
        return -ENOMEM;
    }
    r = g->ops->unpack(n, p, g->unpacked);
    if (r < 0) {
        g_clear_pointer(&g->unpacked, g_free);
        return r;
    }
    g->unpacked_start = p->start;
    g->unpacked_size = p->size;
    *out = g->unpacked;
    return 0;
}

void grains_forget_unpacked(Grains *g)
{
    g_clear_pointer(&g->unpacked, g_free);
}

/* ---- bytes of a grain that has a place ---- */

static int data_read(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len, BlkVec v)
{
    const GrainOps *ops = grains(n)->ops;
    uint8_t *buf;
    int r = 0;

    if (!ops->decode) {
        return node_read(p->file, p->offset, len, v, 0);
    }
    buf = blk_buffer(MIN(len, CHUNK));
    for (uint64_t at = 0; at < len && r == 0;) {
        uint64_t now = MIN(len - at, CHUNK);

        r = node_pread_padded(p->file, p->offset + at, buf, now);
        r = r ? r : ops->decode(n, off + at, buf, now);
        if (r == 0) {
            blk_vec_write(blk_vec_from(v, at), buf, now);
        }
        at += now;
    }
    free(buf);
    return r;
}

static int data_write(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len, BlkVec v)
{
    const GrainOps *ops = grains(n)->ops;
    uint8_t *buf;
    int r = 0;

    if (!ops->encode) {
        return node_write(p->file, p->offset, len, v, 0);
    }
    buf = blk_buffer(MIN(len, CHUNK));
    for (uint64_t at = 0; at < len && r == 0;) {
        uint64_t now = MIN(len - at, CHUNK);

        blk_vec_read(blk_vec_from(v, at), buf, now);
        r = ops->encode(n, off + at, buf, now);
        r = r ? r : node_pwrite(p->file, p->offset + at, buf, now);
        at += now;
    }
    free(buf);
    return r;
}

/* ---- read ---- */

int grains_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Grains *g = grains(n);
    int r = 0;

    while (len && r == 0) {
        const uint8_t *plain;
        GrainPlace p;
        GrainUse u;
        uint64_t now;

        fiber_mutex_lock(&g->lock);
        r = grains_find(n, off, len, &p);
        now = MIN(len, p.run);
        if (r == 0 && p.kind == GRAIN_DATA) {
            grains_use_begin(g, &u, off, now);
        }
        if (r == 0 && p.kind == GRAIN_PACKED) {
            r = unpack(n, &p, &plain);
            if (r == 0) {
                blk_vec_write(v, plain + (off - p.start), now);
            }
        }
        fiber_mutex_unlock(&g->lock);
        if (r < 0) {
            break;
        }
        if (p.kind == GRAIN_DATA) {
            r = data_read(n, &p, off, now, v);
            grains_use_end(g, &u);
        } else if ((p.kind == GRAIN_ABSENT || p.kind == GRAIN_PART) && n->backing) {
            r = node_read_below(n->backing->node, off, now, v, flags);
        } else if (p.kind != GRAIN_PACKED) {
            blk_vec_fill(v, 0, now);
        }
        off += now;
        len -= now;
        v = blk_vec_from(v, now);
    }
    return r;
}

/* ---- a new grain; lock held ---- */

int grains_begin(BlkNode *n)
{
    Grains *g = grains(n);
    int r = g->end_known || !g->ops->find_end ? 0 : g->ops->find_end(n);

    g->end_known = r == 0;
    if (r < 0 || g->begun) {
        return r;
    }
    r = g->ops->begin ? g->ops->begin(n) : 0;
    g->begun = r == 0;
    return r;
}

/* What the grain held before, from `from` to `to`, into its new place. */
static int carry(BlkNode *n, const GrainPlace *old, const GrainPlace *p, uint64_t from, uint64_t to, bool fresh)
{
    bool below = old->kind == GRAIN_ABSENT && n->backing && from < node_size(n->backing->node), encrypted = grains(n)->ops->encode;
    const uint8_t *plain = NULL;
    uint8_t *buf;
    int r = 0;

    if (from >= to || !p->whole) {
        return 0;
    }
    if (old->kind == GRAIN_PACKED) {
        GrainPlace at = *p;

        r = unpack(n, old, &plain);
        at.offset += from - p->start;
        return r ? r : data_write(n, &at, from, to - from, BLK_VEC1(plain + (from - p->start), to - from));
    }
    if (!below && !encrypted) {
        return fresh ? 0 : node_zeroes(p->file, p->offset + (from - p->start), to - from, 0);
    }
    buf = blk_buffer(MIN(to - from, CHUNK));
    while (from < to && r == 0) {
        uint64_t now = MIN(to - from, CHUNK);
        GrainPlace at = *p;

        at.offset += from - p->start;
        if (below) {
            r = node_read_below(n->backing->node, from, now, BLK_VEC1(buf, now), 0);
        } else {
            memset(buf, 0, now);
        }
        r = r ? r : data_write(n, &at, from, now, BLK_VEC1(buf, now));
        from += now;
    }
    free(buf);
    return r;
}

int format_reach(BlkNode *file, uint64_t end)
{
    Error *err = NULL;
    int r = 0;

    if (node_size(file) < end && !node_resize(file, end, BLK_PREALLOC_OFF, &err)) {
        r = error_errno(err) ? -error_errno(err) : -ENOSPC;
        error_free(err);
    }
    return r;
}

/* Some grains on the way to their places. */
enum { BATCH = 32 };
typedef struct {
    uint64_t off, end;              /* of the request */
    unsigned count;
    GrainPlace old[BATCH], to[BATCH];
    bool fresh[BATCH];
} Making;

static int choose_places(BlkNode *n, Making *m, uint64_t *reached)
{
    const GrainOps *ops = grains(n)->ops;
    uint64_t at = m->off;
    int r = 0;

    while (m->count < BATCH && at < m->end) {
        GrainPlace *old = &m->old[m->count], *to = &m->to[m->count];

        r = grains_find(n, at, 1, old);
        if (r < 0 || old->kind == GRAIN_DATA || old->kind == GRAIN_PART) {
            break;
        }
        *to = *old;
        to->whole = !ops->mark || old->kind != GRAIN_ABSENT || (at == old->start && m->end >= MIN(old->start + old->size, node_size(n)));
        r = !ops->place || !old->size ? -ENOTSUP : grains_take_spare(grains(n), to) ? 0 : ops->place(n, to);
        if (r < 0) {
            break;
        }
        m->fresh[m->count++] = to->offset >= node_size(to->file);
        at = MIN(m->end, old->start + old->size);
    }
    *reached = at;
    m->end = at;
    return r;
}

static void give_back(BlkNode *n, const Making *m, unsigned linked)
{
    Grains *g = grains(n);

    for (unsigned i = m->count; i > linked; i--) {
        if (m->to[i - 1].reused) {
            grains_return_spare(g, &m->to[i - 1]);
        } else if (g->ops->unplace) {
            g->ops->unplace(n, &m->to[i - 1]);
        }
    }
}

/* The request's bytes, in one piece where the places follow each other. */
static int fill_places(BlkNode *n, const Making *m, BlkVec v)
{
    int r = 0;

    for (unsigned i = 0, j; i < m->count && r == 0; i = j) {
        const GrainPlace *a = &m->to[i], *z = a;
        uint64_t from = MAX(m->off, a->start), to;
        GrainPlace at = *a;

        for (j = i + 1; j < m->count && m->to[j].file == z->file && m->to[j].offset == z->offset + z->size; j++) {
            z = &m->to[j];
        }
        to = MIN(m->end, z->start + z->size);
        at.offset += from - a->start;
        r = data_write(n, &at, from, to - from, blk_vec_from(v, from - m->off));
    }
    return r;
}

static int link_grain(BlkNode *n, const Making *m, const GrainPlace *to)
{
    const GrainOps *ops = grains(n)->ops;
    uint64_t from = MAX(m->off, to->start), end = MIN(m->end, to->start + to->size);
    int r = ops->link(n, to);

    return r || !ops->mark ? r : ops->mark(n, to, from, end - from);
}

static int make_grains(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, uint64_t *done)
{
    Making m = { .off = off, .end = off + len };
    const GrainPlace *last;
    uint64_t reached;
    unsigned linked = 0;
    int r = choose_places(n, &m, &reached);

    if (r < 0 || !m.count) {
        give_back(n, &m, 0);
        return r ? r : -EIO;
    }
    last = &m.to[m.count - 1];
    r = carry(n, m.old, m.to, m.to->start, off, m.fresh[0]);
    r = r ? r : fill_places(n, &m, v);
    r = r ? r : carry(n, &m.old[m.count - 1], last, reached, last->start + last->size, m.fresh[m.count - 1]);
    while (r == 0 && linked < m.count) {
        const GrainPlace *to = &m.to[linked];

        r = format_reach(to->file, to->offset + to->size);
        if (r == 0) {
            r = link_grain(n, &m, to);
            linked++;                       /* or tried: the entry may be there */
        }
    }
    give_back(n, &m, linked);
    grains_forget_unpacked(grains(n));
    *done = reached - off;
    return r;
}

/* ---- write ---- */

/* With the lock, so that nobody gives the grain another meaning before the sectors are told of. */
static int write_part(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len, BlkVec v)
{
    int r = data_write(n, p, off, len, v);

    return r ? r : grains(n)->ops->mark(n, p, off, len);
}

int grains_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    Grains *g = grains(n);
    int r = 0;

    while (len && r == 0) {
        bool made = false;
        GrainPlace p;
        GrainUse u;
        uint64_t now;

        fiber_mutex_lock(&g->lock);
        r = grains_begin(n);
        r = r ? r : grains_find(n, off, 1, &p);
        now = r ? 0 : MIN(len, p.run);
        if (r == 0 && p.kind == GRAIN_PART) {
            r = write_part(n, &p, off, now, v);
            made = true;
        } else if (r == 0 && p.kind != GRAIN_DATA) {
            r = make_grains(n, off, len, v, &now);
            made = true;
        } else if (r == 0 && g->ops->touch) {
            r = g->ops->touch(n, &p);
        }
        if (r == 0 && !made) {
            grains_use_begin(g, &u, off, now);
        }
        fiber_mutex_unlock(&g->lock);
        if (r == 0 && !made) {
            r = data_write(n, &p, off, now, v);
            grains_use_end(g, &u);
        }
        off += now;
        len -= now;
        v = blk_vec_from(v, now);
    }
    return r;
}

static int pack_one(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, uint64_t *now)
{
    Grains *g = grains(n);
    g_autofree uint8_t *buf = NULL;
    GrainPlace p;
    int r = grains_find(n, off, 1, &p);

    if (r < 0) {
        return r;
    }
    *now = MIN(len, p.size);
    if (off != p.start || (*now < p.size && off + *now < node_size(n))) {
        return -EINVAL;
    }
    buf = g_malloc0(p.size);
    blk_vec_read(v, buf, *now);
    r = g->ops->pack(n, &p, buf);
    grains_forget_unpacked(g);
    return r;
}

/* The lock is kept: the pieces of one request follow each other in the file. */
int grains_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Grains *g = grains(n);
    uint64_t now = 0;
    int r = g->ops->pack ? 0 : -ENOTSUP;

    fiber_mutex_lock(&g->lock);
    r = r ? r : grains_begin(n);
    for (; len && r == 0; off += now, len -= now, v = blk_vec_from(v, now)) {
        r = pack_one(n, off, len, v, &now);
    }
    fiber_mutex_unlock(&g->lock);
    return r;
}

/* ---- status ---- */

/* Not here, whether the rest of the grain is or not. */
static int find_for_status(BlkNode *n, uint64_t off, uint64_t len, GrainPlace *p)
{
    int r = grains_find(n, off, len, p);

    p->kind = p->kind == GRAIN_PART ? GRAIN_ABSENT : p->kind;
    return r;
}

static bool goes_on(const GrainPlace *a, uint64_t run, const GrainPlace *b)
{
    return a->kind == b->kind && (a->kind == GRAIN_ABSENT || a->kind == GRAIN_ZERO || (a->kind == GRAIN_DATA && a->file == b->file && a->offset + run == b->offset));
}

int grains_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    enum { LOOK = 4096 };
    Grains *g = grains(n);
    GrainPlace p, q;
    int r;

    fiber_mutex_lock(&g->lock);
    r = find_for_status(n, off, len, &p);
    out->len = r ? 0 : p.run;
    for (unsigned i = 0; r == 0 && i < LOOK && out->len < len; i++) {
        if (find_for_status(n, off + out->len, len - out->len, &q) < 0 || !goes_on(&p, out->len, &q)) {
            break;
        }
        out->len += q.run;
    }
    fiber_mutex_unlock(&g->lock);
    if (r < 0) {
        return r;
    }
    out->len = MIN(out->len, len);
    if (p.kind == GRAIN_DATA) {
        out->flags = BLK_EXT_DATA | (g->ops->decode ? 0 : BLK_EXT_OFFSET);
        out->node = p.file;
        out->offset = p.offset;
    } else if (p.kind == GRAIN_PACKED) {
        out->flags = BLK_EXT_DATA | BLK_EXT_COMPRESSED;
    } else if (p.kind == GRAIN_ZERO || g->absent_is_zero) {
        out->flags = BLK_EXT_ZERO | BLK_EXT_ALLOCATED;
    }
    return 0;
}

/* ---- flush ---- */

static int sync_tables(BlkNode *n, bool durable)
{
    Grains *g = grains(n);
    int r = 0;

    if (g->ops->sync) {
        return g->ops->sync(n, durable);
    }
    for (unsigned level = 0; level < META_LEVELS && r == 0 && meta_dirty(g); level++) {
        r = meta_flush_files(n);
        r = r ? r : meta_write_level(g, level);
    }
    if (r == 0 && durable && g->ops->synced) {
        r = g->ops->synced(n);
    }
    return r || !durable ? r : meta_flush_files(n);
}

int grains_sync(BlkNode *n, bool durable)
{
    int r = sync_tables(n, durable);

    if (r == 0 && durable) {
        grains_release(n);
    }
    return r;
}

int grains_flush(BlkNode *n)
{
    Grains *g = grains(n);
    int r;

    fiber_mutex_lock(&g->lock);
    r = n->read_only ? 0 : grains_sync(n, true);
    fiber_mutex_unlock(&g->lock);
    return r;
}

/* ---- small things ---- */

bool format_open_file(BlkNode *n, Json *o, Error **errp)
{
    if (!blk_open_child(n, o, "file", NULL, BLK_CHILD_FILE, 0, errp)) {
        return false;
    }
    n->read_only = n->read_only || n->file->node->read_only;
    return true;
}

bool format_open_header(BlkNode *n, Json *o, void *buf, uint64_t len, Error **errp)
{
    int r;

    if (!format_open_file(n, o, errp)) {
        return false;
    }
    r = node_pread_padded(n->file->node, 0, buf, len);
    return r == 0 || error_set_errno(errp, -r, "Could not read image header");
}

Blk *format_create_file(Session *s, const char *filename, uint64_t size, const char *prealloc, Error **errp)
{
    Blk *b;
    int r = 0;

    if (!blk_create_file(s, filename, size, prealloc, errp)) {
        return NULL;
    }
    b = blk_open(s, filename, NULL, BLK_O_RDWR | BLK_O_PROTOCOL_NODE | BLK_O_UNMAP, BLK_PERM_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE, BLK_PERM_READ, errp);
    if (b && blk_size(b) != size) {         /* of a size of its own: what is there is not zeroes */
        r = node_zeroes(blk_node(b), 0, size, BLK_MAY_UNMAP);
    }
    if (r < 0) {
        error_set_errno(errp, -r, "Could not clear '%s'", filename);
        g_clear_pointer(&b, blk_free);
    }
    return b;
}

void format_backing_option(BlkNode *n, Json *backing)
{
    if (backing && json_is(backing, JSON_NULL)) {
        n->backing_off = true;
    } else if (backing) {
        n->backing_options = json_copy(backing);
    }
}

void format_report(BlkCheck *c, const char *fmt, ...)
{
    g_autofree char *line = NULL;
    va_list ap;

    if (!c->report) {
        return;
    }
    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c->report(c->opaque, line);
}
