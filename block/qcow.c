/* SPDX-License-Identifier: MIT */
/*
 * qcow images of version 1.
 *
 * Facts: "The QCOW Image Format" (M. McLoughlin, 2004-2006).  Big endian.  A
 * table of tables of offsets; an entry with the top bit holds a packed
 * cluster: raw deflate with a 4 KiB window, its length above its offset.
 *
 * Tables go out before the entry that names them (levels 0 and 1).
 */
#include "block/grains.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/deflate.h"
#include "block/luks/luks.h"
#include "util/bswap.h"
#include "util/size.h"

enum { H_MAGIC = 0, H_VERSION = 4, H_BACKING = 8, H_BACKING_LEN = 16, H_MTIME = 20, H_SIZE = 24, H_CLUSTER_BITS = 32, H_L2_BITS = 33, H_CRYPT = 36, H_L1 = 40, H_LENGTH = 48 };
enum { MAX_NAME = 1023, CRYPT_NONE = 0, CRYPT_AES = 1 };
#define MAGIC 0x514649fbu
#define PACKED (1ull << 63)

typedef struct {
    Grains g;
    unsigned cluster_bits, l2_bits;
    uint64_t cluster, l1, l1_entries;
    uint32_t crypt;
    SectorCipher *aes;
} Qcow;

static int qcow_probe(const uint8_t *buf, size_t len, const char *filename)
{
    return len >= H_LENGTH && (uint32_t)ldl_be_p(buf) == MAGIC && ldl_be_p(buf + H_VERSION) == 1 ? 100 : 0;
}

/* ---- open ---- */

static bool read_backing(BlkNode *n, const uint8_t *h, Error **errp)
{
    uint64_t at = ldq_be_p(h + H_BACKING), len = (uint32_t)ldl_be_p(h + H_BACKING_LEN);
    g_autofree char *name = NULL;
    int r;

    if (!at) {
        return true;
    }
    if (len > MAX_NAME) {
        return error_set(errp, "Backing file name too long");
    }
    if (at > node_size(n->file->node) || at + len > node_size(n->file->node)) {
        return error_set(errp, "the name of the backing file lies outside of the image");
    }
    name = g_malloc0(len + 1);
    r = node_pread_padded(n->file->node, at, name, len);
    if (r < 0) {
        return error_set_errno(errp, -r, "Could not read the name of the backing file");
    }
    n->backing_name = len ? g_steal_pointer(&name) : NULL;
    return true;
}

static bool read_header(BlkNode *n, const uint8_t *h, Error **errp)
{
    Qcow *s = n->state;
    unsigned shift;

    if ((uint32_t)ldl_be_p(h) != MAGIC) {
        return error_set(errp, "Image not in qcow format");
    }
    if (ldl_be_p(h + H_VERSION) != 1) {
        error_set(errp, "qcow (v%" PRIu32 ") does not support qcow version %" PRIu32, 1u, (uint32_t)ldl_be_p(h + H_VERSION));
        return error_hint(errp, "Try the 'qcow2' driver instead.");
    }
    n->size = ldq_be_p(h + H_SIZE) & ~511ull;
    s->cluster_bits = h[H_CLUSTER_BITS];
    s->l2_bits = h[H_L2_BITS];
    s->crypt = ldl_be_p(h + H_CRYPT);
    s->l1 = ldq_be_p(h + H_L1);
    if (ldq_be_p(h + H_SIZE) <= 1) {
        return error_set(errp, "Image size is too small (must be at least 2 bytes)");
    }
    if (s->cluster_bits < 9 || s->cluster_bits > 16) {
        return error_set(errp, "Cluster size must be between 512 and 64k");
    }
    if (s->l2_bits < 9 - 3 || s->l2_bits > 16 - 3) {
        return error_set(errp, "L2 table size must be between 512 and 64k");
    }
    if (s->crypt > CRYPT_AES) {
        return error_set(errp, "invalid encryption method in qcow header");
    }
    shift = s->cluster_bits + s->l2_bits;
    s->cluster = 1ull << s->cluster_bits;
    if (n->size > INT64_MAX - (1ull << shift)) {
        return error_set(errp, "Image too large");
    }
    s->l1_entries = (n->size + (1ull << shift) - 1) >> shift;
    if (s->l1_entries > INT32_MAX / 8 || s->l1 > INT64_MAX / 2) {
        return error_set(errp, "Image too large");
    }
    return read_backing(n, h, errp);
}

static const GrainOps qcow_ops, qcow_aes_ops;

static bool qcow_open(BlkNode *n, Json *o, Error **errp)
{
    Qcow *s = n->state;
    uint8_t h[H_LENGTH];

    if (!format_open_header(n, o, h, sizeof(h), errp) || !read_header(n, h, errp)) {
        return false;
    }
    if (encrypt_option(o, "format") && strcmp(encrypt_option(o, "format"), s->crypt ? "aes" : "")) {
        return error_set(errp, "the options specify '%s' encryption, and the image is not", encrypt_option(o, "format"));
    }
    if (s->crypt && !(n->flags & BLK_O_NO_IO)) {
        s->aes = aes_legacy_cipher(n->session, encrypt_option(o, "key-secret"), errp);
        if (!s->aes) {
            return false;
        }
        n->align = CRYPTO_SECTOR;
    }
    format_backing_option(n, json_get(o, "backing"));
    n->cluster = s->cluster;
    grains_init(n, s->crypt ? &qcow_aes_ops : &qcow_ops, s->cluster);
    return true;
}

/* ---- grains ---- */

static int table_of(BlkNode *n, uint64_t off, uint64_t *table)
{
    Qcow *s = n->state;
    int r = meta_get64be(n, n->file->node, s->l1 + (off >> (s->cluster_bits + s->l2_bits)) * 8, table);

    return r ? r : *table > INT64_MAX / 2 ? -EIO : 0;
}

static uint64_t index_in(const Qcow *s, uint64_t off)
{
    return (off >> s->cluster_bits) & ((1ull << s->l2_bits) - 1);
}

static int qcow_find(BlkNode *n, uint64_t off, GrainPlace *p)
{
    Qcow *s = n->state;
    uint64_t table, e, span = 1ull << (s->cluster_bits + s->l2_bits);
    int r = table_of(n, off, &table);

    if (r < 0) {
        return r;
    }
    if (!table) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, s->l1 + off / span * 8, 8, span, off % span, UINT64_MAX }, p);
        return 0;
    }
    table += index_in(s, off) * 8;
    r = meta_get64be(n, n->file->node, table, &e);
    if (r == 0 && !e) {
        meta_entries_run(n, &(MetaEntries){ n->file->node, table, 8, s->cluster, off - p->start, span - off % span }, p);
    }
    if (r < 0 || !e) {
        return r;
    }
    p->file = n->file->node;
    if (e & PACKED) {
        p->kind = GRAIN_PACKED;
        p->packed = (e >> (63 - s->cluster_bits)) & (s->cluster - 1);
        p->offset = e & ((1ull << (63 - s->cluster_bits)) - 1);
        return 0;
    }
    p->kind = GRAIN_DATA;
    p->offset = e + (off - p->start);
    return e < INT64_MAX / 2 ? 0 : -EIO;
}

static uint64_t take(BlkNode *n, uint64_t bytes, uint64_t unit)
{
    Qcow *s = n->state;
    uint64_t at = format_round(MAX(MAX(format_end(n->file->node), s->g.next), s->l1 + s->l1_entries * 8), unit);

    s->g.next = at + bytes;
    return at;
}

static int table_end(BlkNode *n, uint64_t table, uint64_t *end)
{
    Qcow *s = n->state;
    BlkNode *file = n->file->node;
    unsigned size_at = 63 - s->cluster_bits;
    uint64_t e;
    int r = 0;

    format_in_use(end, file, table, 8ull << s->l2_bits);
    for (uint64_t i = 0; i < 1ull << s->l2_bits && table + i * 8 < node_size(file) && r == 0; i++) {
        r = meta_get64be(n, file, table + i * 8, &e);
        if (r == 0 && (e & PACKED)) {
            format_in_use(end, file, e & ((1ull << size_at) - 1), (e >> size_at) & (s->cluster - 1));
        } else if (r == 0 && e) {
            format_in_use(end, file, e, s->cluster);
        }
    }
    return r;
}

static int qcow_find_end(BlkNode *n)
{
    Qcow *s = n->state;
    BlkNode *file = n->file->node;
    uint64_t table, end = s->g.next;
    int r = 0;

    for (uint64_t i = 0; node_fixed(file) && i < s->l1_entries && s->l1 + i * 8 < node_size(file) && r == 0; i++) {
        r = meta_get64be(n, file, s->l1 + i * 8, &table);
        r = r || !table ? r : table_end(n, table, &end);
    }
    s->g.next = r ? s->g.next : end;
    return r;
}

static int qcow_place(BlkNode *n, GrainPlace *p)
{
    Qcow *s = n->state;

    p->file = n->file->node;
    p->offset = take(n, p->size, s->cluster);
    return 0;
}

static int set_entry(BlkNode *n, uint64_t off, uint64_t e)
{
    Qcow *s = n->state;
    uint64_t table;
    int r = table_of(n, off, &table);

    if (r == 0 && !table) {
        table = take(n, 8ull << s->l2_bits, s->cluster);
        r = meta_zero(n, n->file->node, table, 8ull << s->l2_bits, 0);
        r = r ? r : meta_set64be(n, n->file->node, s->l1 + (off >> (s->cluster_bits + s->l2_bits)) * 8, table, 1);
    }
    return r ? r : meta_set64be(n, n->file->node, table + index_in(s, off) * 8, e, 0);
}

static int qcow_link(BlkNode *n, const GrainPlace *p)
{
    return set_entry(n, p->start, p->offset);
}

static int qcow_unlink(BlkNode *n, const GrainPlace *p)
{
    return set_entry(n, p->start, 0);
}

static int qcow_unpack(BlkNode *n, const GrainPlace *p, uint8_t *buf)
{
    g_autofree uint8_t *in = g_malloc(p->packed + 1);
    int r = node_pread_padded(p->file, p->offset, in, p->packed);

    return r ? r : deflate_unpack(buf, p->size, in, p->packed, DEFLATE_RAW_4K);
}

/* A cluster that does not get smaller is stored as it is. */
static int qcow_pack(BlkNode *n, GrainPlace *p, const uint8_t *buf)
{
    Qcow *s = n->state;
    g_autofree uint8_t *out = g_malloc(s->cluster);
    ssize_t len = deflate_pack(out, s->cluster - 1, buf, s->cluster, DEFLATE_RAW_4K);
    uint64_t at = take(n, len > 0 ? (uint64_t)len : s->cluster, len > 0 ? 1 : 512);         /* sectors: whole clusters of padding would follow packed ones */
    int r = node_pwrite(n->file->node, at, len > 0 ? out : buf, len > 0 ? (uint64_t)len : s->cluster);

    if (at >> (63 - s->cluster_bits)) {
        return -ENOSPC;
    }
    return r ? r : set_entry(n, p->start, len > 0 ? PACKED | (uint64_t)len << (63 - s->cluster_bits) | at : at);
}

static const GrainOps qcow_ops = { .find = qcow_find, .place = qcow_place, .link = qcow_link, .unlink = qcow_unlink, .reuses = true, .find_end = qcow_find_end,
    .unpack = qcow_unpack, .pack = qcow_pack };

/* Sectors are numbered by their place in the disk. */
static int qcow_decode(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len)
{
    const Qcow *s = n->state;

    if (s->aes) {
        sector_cipher_decrypt(s->aes, off / CRYPTO_SECTOR, buf, len);
    }
    return s->aes ? 0 : -EACCES;
}

static int qcow_encode(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len)
{
    const Qcow *s = n->state;

    if (s->aes) {
        sector_cipher_encrypt(s->aes, off / CRYPTO_SECTOR, buf, len);
    }
    return s->aes ? 0 : -EACCES;
}

static const GrainOps qcow_aes_ops = { .find = qcow_find, .place = qcow_place, .link = qcow_link, .unlink = qcow_unlink, .reuses = true, .find_end = qcow_find_end,
    .unpack = qcow_unpack,
    .decode = qcow_decode, .encode = qcow_encode };

static void qcow_close(BlkNode *n)
{
    grains_close(n);
    sector_cipher_free(((Qcow *)n->state)->aes);
}

/* ---- create ---- */

static const OptKey qcow_create_keys[] = {
    { "size", OPT_SIZE, "Virtual disk size" },
    { "backing_file", OPT_STRING, "File name of a base image" },
    { "backing_fmt", OPT_STRING, "Format of the backing image" },
    { "encryption", OPT_BOOL, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
    { "encrypt.format", OPT_STRING, "Encrypt the image, format choices: 'aes'" },
    { "encrypt.key-secret", OPT_STRING, "ID of the secret that provides the AES encryption key" },
    {}
};

static bool qcow_create(Session *session, const char *filename, Json *o, Error **errp)
{
    uint64_t size = json_get_u64(o, "size", 0), l1_at, l1_bytes;
    const char *backing = json_get_string(o, "backing_file");
    unsigned cluster_bits = backing ? 9 : 12, l2_bits = backing ? 12 : 9, shift = cluster_bits + l2_bits;
    bool encrypted = json_get_bool(o, "encryption", false) || encrypt_option(o, "format");
    g_autofree uint8_t *h = NULL;
    Blk *b;
    int r;

    if (encrypt_option(o, "format") && strcmp(encrypt_option(o, "format"), "aes")) {
        return error_set(errp, "Unknown encryption format %s", encrypt_option(o, "format"));
    }
    if (encrypted && !encrypt_option(o, "key-secret")) {
        return error_set(errp, "Parameter 'encrypt.key-secret' is required for cipher");
    }
    if (!size) {
        return error_set(errp, "Image size is too small, cannot be zero length");
    }
    if (backing && strlen(backing) > MAX_NAME) {
        return error_set(errp, "Backing file name too long");
    }
    size = format_round(size, 512);
    l1_at = format_round(H_LENGTH + (backing ? strlen(backing) : 0), 8);
    l1_bytes = ((size + (1ull << shift) - 1) >> shift) * 8;
    if (l1_bytes > INT32_MAX) {
        return error_set(errp, "Image too large");
    }
    b = format_create_file(session, filename, format_round(l1_at + l1_bytes, 512), NULL, errp);
    if (!b) {
        return false;
    }
    h = g_malloc0(l1_at);
    stl_be_p(h, MAGIC);
    stl_be_p(h + H_VERSION, 1);
    stq_be_p(h + H_BACKING, backing ? H_LENGTH : 0);
    stl_be_p(h + H_BACKING_LEN, backing ? strlen(backing) : 0);
    memcpy(h + H_LENGTH, backing ? backing : "", backing ? strlen(backing) : 0);
    stq_be_p(h + H_SIZE, size);
    h[H_CLUSTER_BITS] = cluster_bits;
    h[H_L2_BITS] = l2_bits;
    stl_be_p(h + H_CRYPT, encrypted ? CRYPT_AES : CRYPT_NONE);
    stq_be_p(h + H_L1, l1_at);
    r = node_pwrite(blk_node(b), 0, h, l1_at);
    r = r ? r : node_flush(blk_node(b));
    blk_free(b);
    return r == 0 || error_set_errno(errp, -r, "Could not write the image '%s'", filename);
}

static bool qcow_encrypted(BlkNode *n)
{
    return ((Qcow *)n->state)->crypt != 0;
}

static const OptKey qcow_keys[] = {
    { "encrypt", OPT_ANY, "how it is encrypted: format, key-secret" },
    { "encrypt.format", OPT_STRING, "aes" },
    { "encrypt.key-secret", OPT_STRING, "id of the secret with the password" },
    { "file", OPT_ANY, "what holds the image" },
    { "backing", OPT_ANY, "what answers for what is not in it; null: nothing" },
    {}
};
static const BlkImageOps qcow_image = { .encrypted = qcow_encrypted };
static const BlkDriver qcow = {
    .name = "qcow", .help = "copy-on-write images, version 1", .kind = BLK_DRV_FORMAT, .state_size = sizeof(Qcow), .options = qcow_keys, .probe = qcow_probe, .open = qcow_open,
    .close = qcow_close, .child_moved = grains_child_moved,
    .read = grains_read, .write = grains_write, .write_compressed = grains_write_compressed, .flush = grains_flush, .zeroes = grains_zeroes, .discard = grains_discard, .status = grains_status,
    .create_options = qcow_create_keys, .create = qcow_create, .image = &qcow_image, .has_backing = true, .zero_init = true,
};
BLK_DRIVER(qcow);
