/* SPDX-License-Identifier: MIT */
/* Apple disk images; read only. */
#include "block/dmg/dmg-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bswap.h"

enum { K_DATA = 0x18, K_FORK = 0x28, K_FORK_LEN = 0x30, K_XML = 0xd8, K_XML_LEN = 0xe0, K_SECTORS = 0x1ec, K_SIZE = 512 };

typedef struct {
    Grains g;
    GArray *chunks;                 /* DmgChunk, by start */
} Dmg;

/* The mark is at the end, out of sight: the name decides, as elsewhere. */
static int dmg_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return filename && g_str_has_suffix(filename, ".dmg") ? 2 : 0;
}

/* The trailer is the last sector, or followed by a little padding. */
static bool find_trailer(BlkNode *n, uint8_t *k, Error **errp)
{
    uint64_t size = node_size(n->file->node), span = MIN(size, 2 * K_SIZE - 1);
    uint8_t tail[2 * K_SIZE];

    if (size < K_SIZE) {
        return error_set(errp, "dmg file must be at least 512 bytes long");
    }
    if (node_pread_padded(n->file->node, size - span, tail, span) < 0) {
        return error_set(errp, "Could not read the trailer");
    }
    for (uint64_t back = K_SIZE; back <= span; back++) {
        if (!memcmp(tail + span - back, "koly", 4)) {
            memcpy(k, tail + span - back, K_SIZE);
            return true;
        }
    }
    return error_set(errp, "Could not locate UDIF trailer in dmg file");
}

static bool read_tables(BlkNode *n, const uint8_t *k, Error **errp)
{
    Dmg *s = n->state;
    bool xml = ldq_be_p(k + K_XML_LEN) != 0;
    uint64_t at = ldq_be_p(k + (xml ? K_XML : K_FORK)), len = ldq_be_p(k + (xml ? K_XML_LEN : K_FORK_LEN)), size = node_size(n->file->node), data = ldq_be_p(k + K_DATA);
    g_autofree uint8_t *bytes = NULL;

    if (!len || len > MAX_TABLES || at > size || len > size - at || data > size) {
        return error_set(errp, "the tables of a dmg image lie outside of it");
    }
    bytes = g_malloc0(len + 1);
    if (node_pread_padded(n->file->node, at, bytes, len) < 0) {
        return error_set(errp, "Could not read the tables");
    }
    return xml ? dmg_parse_plist(s->chunks, (char *)bytes, data, errp) : dmg_parse_fork(s->chunks, bytes, len, data, errp);
}

static int by_start(const void *a, const void *b)
{
    const DmgChunk *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static bool sort_chunks(BlkNode *n, Error **errp)
{
    Dmg *s = n->state;
    uint64_t end = 0;

    if (!s->chunks->len) {
        return true;                    /* all of it is zeroes */
    }
    qsort(s->chunks->data, s->chunks->len, sizeof(DmgChunk), by_start);
    for (unsigned i = 0; i < s->chunks->len; i++) {
        const DmgChunk *c = &g_array_index(s->chunks, DmgChunk, i);

        if (c->start < end) {
            return error_set(errp, "chunks of a dmg image overlap");
        }
        end = c->start + c->size;
    }
    n->size = end;
    return true;
}

static const GrainOps dmg_ops;

static bool dmg_open(BlkNode *n, Json *o, Error **errp)
{
    Dmg *s = n->state;
    uint8_t k[K_SIZE];

    if (!format_open_file(n, o, errp)) {
        return false;
    }
    n->read_only = true;
    s->chunks = g_array_new(false, false, sizeof(DmgChunk));
    if (!find_trailer(n, k, errp) || !read_tables(n, k, errp) || !sort_chunks(n, errp)) {
        g_array_unref(s->chunks);
        return false;
    }
    grains_init(n, &dmg_ops, 0);
    return true;
}

static void dmg_close(BlkNode *n)
{
    grains_close(n);
    g_array_unref(((Dmg *)n->state)->chunks);
}

/* The last chunk that begins at or before off. */
static unsigned chunk_at(const GArray *chunks, uint64_t off)
{
    unsigned lo = 0, hi = chunks->len;

    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;

        if (g_array_index(chunks, DmgChunk, mid).start <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static int dmg_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Dmg *s = n->state;
    unsigned i = chunk_at(s->chunks, off);
    const DmgChunk *c = &g_array_index(s->chunks, DmgChunk, i);

    if (off < c->start || off >= c->start + c->size) {      /* between chunks */
        p->kind = GRAIN_ZERO;
        p->run = (off < c->start ? c->start : i + 1 < s->chunks->len ? c[1].start : node_size(n)) - off;
        return 0;
    }
    p->start = c->start;
    p->size = c->size;
    p->run = c->start + c->size - off;
    p->file = n->file->node;
    p->offset = c->at;
    p->packed = c->packed;
    p->method = c->type;
    if (c->type == CHUNK_RAW) {
        p->kind = GRAIN_DATA;
        p->offset += off - c->start;
        if (off - c->start >= c->packed) {                  /* shorter than it claims */
            p->kind = GRAIN_ZERO;
        } else {
            p->run = MIN(p->run, c->packed - (off - c->start));
        }
    } else {
        p->kind = c->type & 0x80000000u ? GRAIN_PACKED : GRAIN_ZERO;
    }
    return 0;
}

static int unpack_chunk(BlkNode *n, const GrainPlace *p, uint8_t *buf)
{
    g_autofree uint8_t *in = g_try_malloc(p->packed + 1);
    int r = in ? node_pread_padded(p->file, p->offset, in, p->packed) : -ENOMEM;

    return r ? r : dmg_unpack(p->method, buf, p->size, in, p->packed);
}

static const GrainOps dmg_ops = { .find = dmg_find, .unpack = unpack_chunk };
static const OptKey dmg_keys[] = { { "file", OPT_ANY, "what holds the image" }, {} };
static const BlkImageOps dmg_image = { .no_dirty_flag = true };
static const BlkDriver dmg = {
    .name = "dmg", .help = "Apple disk images (read only)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Dmg), .options = dmg_keys, .probe = dmg_probe,
    .open = dmg_open, .close = dmg_close, .read = grains_read, .status = grains_status, .image = &dmg_image,
};
BLK_DRIVER(dmg);
