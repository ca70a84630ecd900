/* SPDX-License-Identifier: MIT */
/* LUKS as a format: a header with keys, then the disk, sector by sector; or the disk in one file, the header in another. */
#include "block/luks/luks-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

typedef struct {
    Grains g;
    Luks luks;
} Image;

static int luks_probe(const uint8_t *buf, size_t len, const char *filename)
{
    static const uint8_t magic[8] = { 'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1 };

    return len >= 8 && !memcmp(buf, magic, 8) ? 100 : 0;
}

static const GrainOps luks_ops;

static bool luks_open(BlkNode *n, Json *o, Error **errp)
{
    Image *s = n->state;
    BlkNode *header;
    uint64_t size;

    if (!format_open_file(n, o, errp)) {
        return false;
    }
    header = n->file->node;
    size = node_size(header);
    if (json_get(o, "header")) {
        BlkChild *c = blk_open_child(n, o, "header", NULL, BLK_CHILD_FILE, 0, errp);

        if (!c) {
            return false;
        }
        header = c->node;
        n->read_only = n->read_only || header->read_only;
    }
    if (!luks_load(&s->luks, header, 0, node_size(header), header != n->file->node, errp)) {
        return false;
    }
    if (!(n->flags & BLK_O_NO_IO) && !luks_unlock(&s->luks, n->session, json_get_string(o, "key-secret"), errp)) {
        luks_free(&s->luks);
        return false;
    }
    n->size = size > s->luks.payload ? (size - s->luks.payload) & ~511ull : 0;
    n->align = 512;
    grains_init(n, &luks_ops, 0);
    return true;
}

static void luks_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before)
{
    Luks *l = &((Image *)n->state)->luks;

    l->file = l->file == before ? c->node : l->file;
}

static void luks_close(BlkNode *n)
{
    grains_close(n);
    luks_free(&((Image *)n->state)->luks);
}

static int luks_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    p->kind = GRAIN_DATA;
    p->file = n->file->node;
    p->offset = ((Image *)n->state)->luks.payload + off;
    p->run = UINT64_MAX;
    return 0;
}

static int luks_decode(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len)
{
    const Luks *l = &((Image *)n->state)->luks;

    if (!l->sectors) {
        return -EACCES;
    }
    sector_cipher_decrypt(l->sectors, off / CRYPTO_SECTOR, buf, len);
    return 0;
}

static int luks_encode(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len)
{
    const Luks *l = &((Image *)n->state)->luks;

    if (!l->sectors) {
        return -EACCES;
    }
    sector_cipher_encrypt(l->sectors, off / CRYPTO_SECTOR, buf, len);
    return 0;
}

static const GrainOps luks_ops = { .find = luks_find, .decode = luks_decode, .encode = luks_encode };

static bool luks_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    uint64_t payload = ((Image *)n->state)->luks.payload;

    if (size > INT64_MAX - payload) {
        return error_set(errp, "The requested file size is too large");
    }
    return node_resize(n->file->node, size + payload, prealloc, errp);
}

/* ---- facts ---- */

static Json *driver_info(BlkNode *n)
{
    Json *j = json_object();

    json_set_string(j, "type", "luks");
    json_set(j, "data", luks_info(&((Image *)n->state)->luks, false));
    return j;
}

static bool luks_encrypted(BlkNode *n)
{
    return true;
}

static bool luks_measure(Json *o, Blk *source, BlkMeasure *out, Error **errp)
{
    uint64_t size = source ? blk_size(source) : json_get_u64(o, "size", 0);
    Luks l;

    if (!luks_plan(&l, o, "", errp)) {
        return false;
    }
    out->required = out->fully_allocated = (json_get_bool(o, "detached-header", false) ? 0 : format_round(size, 512)) + l.payload;
    return true;
}

static bool driver_amend(BlkNode *n, Json *o, bool force, Error **errp)
{
    return luks_amend(&((Image *)n->state)->luks, n->session, o, "", force, errp);
}

/* ---- create ---- */

static const OptKey create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "key-secret", OPT_STRING, "ID of the secret that provides the keyslot passphrase" },
    LUKS_CREATE_KEYS(""),
    { "detached-header", OPT_BOOL, "Create a detached LUKS header" },
    {}
};

static bool luks_create(Session *session, const char *filename, Json *o, Error **errp)
{
    bool detached = json_get_bool(o, "detached-header", false);
    uint64_t size = detached ? 0 : format_round(json_get_u64(o, "size", 0), 512);
    Luks l;
    Blk *b;
    bool ok;

    if (!luks_plan(&l, o, "", errp)) {
        return false;
    }
    if (size > INT64_MAX - l.payload) {
        return error_set(errp, "The requested file size is too large");
    }
    b = format_create_file(session, filename, l.payload + size, NULL, errp);
    if (!b) {
        return false;
    }
    l.payload = detached ? 0 : l.payload;
    ok = luks_write(&l, blk_node(b), 0, session, o, "", errp);
    luks_free(&l);
    blk_free(b);
    return ok;
}

static const OptKey open_keys[] = {
    { "file", OPT_ANY, "what holds the image" },
    { "key-secret", OPT_STRING, "id of the secret with the password" },
    { "header", OPT_ANY, "what holds the header, when it is not in front of the disk" },
    {}
};
static const OptKey amend_keys[] = { LUKS_AMEND_KEYS(""), {} };
static const BlkImageOps image_ops = { .info = driver_info, .encrypted = luks_encrypted, .measure = luks_measure, .amend = driver_amend, .amend_options = amend_keys };
static const BlkDriver luks = {
    .name = "luks", .help = "encrypted disks, LUKS version 1", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Image), .options = open_keys, .view_options = "header",
    .probe = luks_probe, .open = luks_open,
    .close = luks_close, .child_moved = luks_child_moved, .read = grains_read, .write = grains_write, .flush = grains_flush, .zeroes = grains_zeroes, .status = grains_status, .resize = luks_resize,
    .as_long_as_file = true,
    .create_options = create_keys, .create = luks_create, .image = &image_ops,
};
BLK_DRIVER(luks);
