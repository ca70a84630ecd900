/* SPDX-License-Identifier: MIT */
/* Opening VHD images; the driver's row. */
#include "block/vpc/vpc-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

static int vpc_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= 8 && !memcmp(buf, "conectix", 8) ? 100 : 0;
}

uint32_t vpc_checksum(const uint8_t *p, size_t len, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i >= field && i < field + 4 ? 0 : p[i];
    }
    return ~sum;
}

bool vpc_differs(const Vpc *s)
{
    return ldl_be_p(s->footer + F_TYPE) == TYPE_DIFFERENCING;
}

/* ---- open ---- */

static bool by_size_field(const uint8_t *f)
{
    static const char *const makers[] = { "win ", "qem2", "d2v ", "tap", "CTXS", "rhea" };

    for (unsigned i = 0; i < G_N_ELEMENTS(makers); i++) {
        if (!memcmp(f + F_CREATOR, makers[i], 4)) {
            return true;
        }
    }
    return false;
}

static bool disk_size(BlkNode *n, const Json *o, Error **errp)
{
    Vpc *s = n->state;
    const uint8_t *f = s->footer;
    const char *how = json_get_string(o, "force-size-calc");
    uint64_t chs = (uint64_t)lduw_be_p(f + F_CYLINDERS) * f[F_HEADS] * f[F_SECTORS], size = ldq_be_p(f + F_SIZE);
    bool use_size = how ? !strcmp(how, "current_size") : by_size_field(f) || chs == MAX_GEOMETRY;

    n->size = use_size ? size / 512 * 512 : chs * 512;
    return n->size <= MAX_SECTORS * 512 || error_set(errp, "VHD image of %" PRIu64 " bytes is larger than such an image can be", n->size);
}

static bool read_dynamic(BlkNode *n, Error **errp)
{
    Vpc *s = n->state;
    uint64_t at = ldq_be_p(s->footer + F_DATA);
    uint8_t *h = s->header;
    int r = at > INT64_MAX - DYNAMIC ? -EINVAL : node_pread_padded(n->file->node, at, h, DYNAMIC);

    if (r < 0) {
        return error_set_errno(errp, -r, "Error reading dynamic VHD header");
    }
    if (memcmp(h, "cxsparse", 8)) {
        return error_set(errp, "Invalid header magic");
    }
    s->block = (uint32_t)ldl_be_p(h + D_BLOCK);
    s->entries = ldl_be_p(h + D_ENTRIES);
    s->table = ldq_be_p(h + D_TABLE);
    if (s->block < 512 || (s->block & (s->block - 1))) {
        return error_set(errp, "Invalid block size %" PRIu64, s->block);
    }
    if (s->entries > MAX_SECTORS * 512 / s->block) {
        return error_set(errp, "Too many blocks");
    }
    if (s->entries * s->block < n->size) {
        return error_set(errp, "Page table too small");
    }
    if (s->table > INT64_MAX - s->entries * 4ull) {
        return error_set(errp, "Page table offset too large");
    }
    s->bitmap = format_round((s->block / 512 + 7) / 8, 512);
    n->cluster = s->block;
    return true;
}

static bool read_footer(BlkNode *n, Error **errp)
{
    Vpc *s = n->state;
    uint64_t size = node_size(n->file->node);
    int r = node_pread_padded(n->file->node, 0, s->footer, FOOTER);

    if (r == 0 && memcmp(s->footer, "conectix", 8) && size >= FOOTER) {
        s->fixed = true;
        r = node_pread(n->file->node, size - FOOTER, s->footer, FOOTER);
    }
    if (r < 0) {
        return error_set_errno(errp, -r, "Unable to read VHD header");
    }
    if (memcmp(s->footer, "conectix", 8) || (s->fixed && ldl_be_p(s->footer + F_TYPE) != TYPE_FIXED)) {
        return error_set(errp, "invalid VPC image");
    }
    s->fixed = ldl_be_p(s->footer + F_TYPE) == TYPE_FIXED;
    return true;
}

static bool vpc_open(BlkNode *n, Json *o, Error **errp)
{
    Json *backing = json_get(o, "backing");
    Vpc *s = n->state;

    if (!format_open_file(n, o, errp) || !read_footer(n, errp) || !disk_size(n, o, errp) || (!s->fixed && !read_dynamic(n, errp))) {
        return false;
    }
    if (vpc_differs(s) && !vpc_read_parent(n, backing || (n->flags & BLK_O_NO_BACKING), errp)) {
        return false;
    }
    if (backing && !json_is(backing, JSON_NULL) && !vpc_differs(s)) {
        return error_set(errp, "this VHD image has no parent; a child of one is made with create -b");
    }
    format_backing_option(n, backing);
    n->align = vpc_differs(s) ? 512 : n->align;             /* a child has whole sectors */
    grains_init(n, s->fixed ? &vpc_fixed_ops : vpc_differs(s) ? &vpc_diff_ops : &vpc_ops, s->fixed ? 0 : s->block);
    s->g.absent_is_zero = !vpc_differs(s);
    return true;
}

static const OptKey vpc_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "the parent of a differencing disk; null: nothing" },
    { "force-size-calc", OPT_ENUM, "where the size comes from", .values = "chs|current_size", .alias = "force_size_calc" },
    {}
};
static const BlkImageOps vpc_image = { .change_backing = vpc_change_backing };
static const BlkDriver vpc = {
    .name = "vpc", .help = "Virtual PC disk images (VHD)", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Vpc), .options = vpc_keys, .probe = vpc_probe, .open = vpc_open,
    .close = grains_close, .child_moved = grains_child_moved, .backing_is = vpc_backing_is,
    .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard, .status = grains_status,
    .create_options = vpc_create_keys, .create = vpc_create, .image = &vpc_image, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(vpc);
