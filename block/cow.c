/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write files of user-mode Linux, versions 2 and 3; read only.
 *
 * Facts: images made by uml_mkcow, and the description of the header in the
 * history of the format ("safe migration path to the correct V3 COW format").
 * Big endian.  A header with the name of the backing file, a bitmap of
 * sectors, then the sectors in their places.  In version 2 the room for the
 * name was 1024 or 4096 bytes: whichever makes the fields behind it sensible.
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

enum { H_VERSION = 4, V2_NAME = 8, V3_SIZE = 12, V3_SECTOR = 20, V3_ALIGN = 24, V3_FORMAT = 28, V3_NAME = 32, NAME = 4096, H_MAX = V3_NAME + NAME };
#define MAGIC 0x4f4f4f4du

typedef struct {
    Grains g;
    uint64_t bitmap, data, sector;
} Cow;

static int cow_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && (uint32_t)ldl_be_p(buf) == MAGIC && (ldl_be_p(buf + H_VERSION) == 2 || ldl_be_p(buf + H_VERSION) == 3) ? 100 : 0;
}

static bool sensible(BlkNode *n, uint64_t size, uint64_t sector)
{
    return sector == 512 && size <= INT64_MAX / 2 && size <= node_size(n->file->node) * 64;
}

static bool read_v2(BlkNode *n, const uint8_t *h, Error **errp)
{
    Cow *s = n->state;

    for (uint64_t name = 1024; name <= NAME; name *= 4) {
        const uint8_t *p = h + V2_NAME + name;

        s->sector = (uint32_t)ldl_be_p(p + 12);
        n->size = ldq_be_p(p + 4);
        s->bitmap = V2_NAME + name + 16;
        if (sensible(n, node_size(n), s->sector)) {
            s->data = format_round(s->bitmap + (node_size(n) / s->sector + 7) / 8, s->sector);
            n->backing_name = g_strndup((const char *)h + V2_NAME, name);
            return true;
        }
    }
    return error_set(errp, "unsupported cow header of version 2");
}

static bool read_v3(BlkNode *n, const uint8_t *h, Error **errp)
{
    Cow *s = n->state;
    uint64_t align = (uint32_t)ldl_be_p(h + V3_ALIGN);

    n->size = ldq_be_p(h + V3_SIZE);
    s->sector = (uint32_t)ldl_be_p(h + V3_SECTOR);
    if (!sensible(n, node_size(n), s->sector) || align < 512 || align > 1 << 20 || (align & (align - 1)) || ldl_be_p(h + V3_FORMAT)) {
        return error_set(errp, "unsupported cow header of version 3");
    }
    s->bitmap = format_round(H_MAX, align);
    s->data = format_round(s->bitmap + (node_size(n) / s->sector + 7) / 8, align);
    n->backing_name = g_strndup((const char *)h + V3_NAME, NAME);
    return true;
}

static const GrainOps cow_ops;

static bool cow_open(BlkNode *n, Json *o, Error **errp)
{
    g_autofree uint8_t *h = g_malloc0(H_MAX + 64);

    if (!format_open_header(n, o, h, H_MAX + 64, errp)) {
        return false;
    }
    n->read_only = true;
    if (!cow_probe(h, H_MAX, NULL)) {
        return error_set(errp, "Image not in cow format");
    }
    if (!(ldl_be_p(h + H_VERSION) == 2 ? read_v2(n, h, errp) : read_v3(n, h, errp))) {
        return false;
    }
    n->size &= ~511ull;
    if (!*n->backing_name) {
        g_clear_pointer(&n->backing_name, g_free);
    }
    n->backing_format = n->backing_name ? g_strdup("raw") : NULL;
    format_backing_option(n, json_get(o, "backing"));
    grains_init(n, &cow_ops, 0);
    return true;
}

static int cow_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Cow *s = n->state;
    MetaBits bits = { n->file->node, s->bitmap, false };
    uint64_t wanted = MIN((p->want + off % 512 + 511) / 512, 1 << 19), run = 1;        /* not for longer than 64 KiB of the bitmap */
    bool set = false;
    int r = meta_bits_run(n, &bits, off / 512, wanted, &run, &set);

    p->kind = set ? GRAIN_DATA : GRAIN_ABSENT;
    p->file = n->file->node;
    p->offset = s->data + off;
    p->run = run * 512 - off % 512;
    return r;
}

static const GrainOps cow_ops = { .find = cow_find };
static const OptKey cow_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "what answers for what is not in it; null: nothing" },
    {}
};
static const BlkImageOps cow_image = { .no_dirty_flag = true };
static const BlkDriver cow = {
    .name = "cow", .help = "copy-on-write files of user-mode Linux (read only)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Cow), .options = cow_keys, .probe = cow_probe,
    .open = cow_open, .close = grains_close, .read = grains_read, .status = grains_status, .image = &cow_image, .has_backing = true,
};
BLK_DRIVER(cow);
