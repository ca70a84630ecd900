/* SPDX-License-Identifier: MIT */
/*
 * Disks of iSCSI targets (RFC 7143) through libiscsi, which is loaded when the
 * first such disk is opened.  Commands are those of SBC-4 and SPC-5.
 */
#include "block/iscsi.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/image.h"
#include "block/iscsi-priv.h"
#include "io/secret.h"
#include "util/bits.h"
#include "util/bswap.h"
#include "util/size.h"

enum {
    INQUIRY = 0x12, MODE_SENSE_6 = 0x1a, READ_CAPACITY_10 = 0x25, READ_10 = 0x28, WRITE_10 = 0x2a,
    SYNCHRONIZE_CACHE_10 = 0x35, WRITE_SAME_10 = 0x41, UNMAP = 0x42, READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_SAME_16 = 0x93,
    SERVICE_ACTION_IN_16 = 0x9e, SA_READ_CAPACITY_16 = 0x10, SA_GET_LBA_STATUS = 0x12,
    PAGE_BLOCK_LIMITS = 0xb0, PAGE_PROVISIONING = 0xb2, TYPE_DISK = 0, TYPE_CD = 5, WS_UNMAP = 0x08,
    TRANSFER_MAX = 8 << 20,
};

typedef struct Iscsi {
    IscsiSession *session;
    uint32_t block;                     /* bytes */
    bool wide;                          /* 16 byte commands */
    bool thin, reads_zero;              /* LBPME, LBPRZ */
    bool unmap, same_unmaps;            /* LBPU, LBPWS */
    bool no_same, no_status, no_flush;  /* it has said so */
    uint32_t max_bytes;                 /* of one read or write */
    uint64_t max_unmap, max_same;       /* blocks of one command */
} Iscsi;

static const OptKey iscsi_keys[] = {
    { "filename", OPT_STRING, "iscsi://[USER[%PASSWORD]@]HOST[:PORT]/TARGET/LUN" },
    { "transport", OPT_STRING, "tcp", .def = "tcp" },
    { "portal", OPT_STRING, "HOST[:PORT] of the target", .def = "port 3260" },
    { "target", OPT_STRING, "the target's name" },
    { "lun", OPT_NUMBER, "number of its unit", .def = "0", .max = 16383 },
    { "user", OPT_STRING, "who we are (CHAP)" },
    { "password", OPT_STRING, "in the clear; better is password-secret" },
    { "password-secret", OPT_STRING, "id of a secret object" },
    { "initiator-name", OPT_STRING, "our own name", .def = "iqn.2008-11.org.linux-kvm" },
    { "header-digest", OPT_STRING, "none, crc32c, none-crc32c, crc32c-none", .def = "none-crc32c" },
    { "timeout", OPT_NUMBER, "seconds until a request without an answer fails; 0: never", .def = "0", .max = 1000000 },
    {}
};

/* ---- what the unit is ---- */

static int ask(Iscsi *s, const uint8_t *cdb, unsigned cdb_len, uint8_t *buf, uint32_t len, uint32_t *got)
{
    IscsiCommand c = { .cdb_len = cdb_len, .data = BLK_VEC1(buf, len), .len = len };
    int r;

    memcpy(c.cdb, cdb, cdb_len);
    memset(buf, 0, len);
    r = iscsi_command(s->session, &c);
    *got = c.got;
    return r;
}

/* Bytes of a page of vital product data that are there; 0: no such page. */
static uint32_t vital_page(Iscsi *s, uint8_t page, uint8_t *buf, uint32_t len)
{
    uint8_t cdb[6] = { INQUIRY, 1, page, (uint8_t)(len >> 8), (uint8_t)len };
    uint32_t got;

    return ask(s, cdb, 6, buf, len, &got) == 0 && got >= 4 && buf[1] == page ? MIN(got, 4u + lduw_be_p(buf + 2)) : 0;
}

static bool ask_type(BlkNode *n, bool *writable, Error **errp)
{
    Iscsi *s = n->state;
    uint8_t cdb[6] = { INQUIRY, 0, 0, 0, 36 }, sense[6] = { MODE_SENSE_6, 0, 0x3f, 0, 192 }, buf[192];
    uint32_t got;
    int r = ask(s, cdb, 6, buf, 36, &got);

    if (r < 0 || got < 5) {
        return error_set(errp, "iSCSI: Inquiry command failed: %s", strerror(r < 0 ? -r : EIO));
    }
    if (buf[0] >> 5 || ((buf[0] & 0x1f) != TYPE_DISK && (buf[0] & 0x1f) != TYPE_CD)) {
        return error_set(errp, "iSCSI: there is no disk behind this number (peripheral type %#x)", buf[0]);
    }
    *writable = (buf[0] & 0x1f) == TYPE_DISK;
    if (ask(s, sense, 6, buf, sizeof(buf), &got) == 0 && got >= 3 && buf[2] & 0x80) {
        *writable = false;
    }
    return true;
}

static int ask_capacity(Iscsi *s, uint64_t *blocks)
{
    uint8_t wide[16] = { SERVICE_ACTION_IN_16, SA_READ_CAPACITY_16, [13] = 32 }, narrow[10] = { READ_CAPACITY_10 }, buf[32];
    uint32_t got;
    int r = ask(s, wide, 16, buf, sizeof(buf), &got);

    if (r == 0 && got >= 12) {
        s->wide = true;
        *blocks = ldq_be_p(buf) + 1;
        s->block = ldl_be_p(buf + 8);
        s->thin = got > 14 && buf[14] & 0x80;
        s->reads_zero = got > 14 && buf[14] & 0x40;
    } else {
        r = ask(s, narrow, 10, buf, 8, &got);
        if (r < 0 || got < 8) {
            return r < 0 ? r : -EIO;
        }
        *blocks = ldl_be_p(buf) + 1ull;
        s->block = ldl_be_p(buf + 4);
    }
    return s->block < 512 || s->block > 65536 || s->block & (s->block - 1) || *blocks > (UINT64_MAX >> 1) / s->block ? -EINVAL : 0;
}

static void ask_limits(Iscsi *s)
{
    uint8_t buf[64];
    uint32_t got = vital_page(s, PAGE_BLOCK_LIMITS, buf, sizeof(buf)), most = 0;

    s->max_unmap = s->max_same = UINT32_MAX;
    if (got >= 16) {
        most = ldl_be_p(buf + 8);
    }
    if (got >= 44) {
        s->max_unmap = ldl_be_p(buf + 20);
        s->max_same = ldq_be_p(buf + 36) ? MIN(ldq_be_p(buf + 36), UINT32_MAX) : UINT32_MAX;
    }
    s->max_bytes = (uint32_t)MIN((uint64_t)MIN(most ? most : 65535u, 65535u) * s->block, TRANSFER_MAX);
    s->max_bytes -= s->max_bytes % s->block;
    if (s->thin) {
        got = vital_page(s, PAGE_PROVISIONING, buf, sizeof(buf));
        s->unmap = got >= 6 && buf[5] & 0x80 && s->max_unmap;
        s->same_unmaps = got >= 6 && buf[5] & 0x40;
    }
}

static bool learn(BlkNode *n, Error **errp)
{
    Iscsi *s = n->state;
    bool writable = true;
    uint64_t blocks;
    int r;

    if (!ask_type(n, &writable, errp)) {
        return false;
    }
    if (!writable && !n->read_only) {
        if (!(n->flags & BLK_O_AUTO_RDONLY)) {
            return error_set(errp, "iSCSI: Cannot open a write protected LUN as read-write");
        }
        n->read_only = true;
        n->flags &= ~BLK_O_RDWR;
    }
    r = ask_capacity(s, &blocks);
    if (r < 0) {
        return error_set(errp, "iSCSI: Failed to send readcapacity command: %s", strerror(-r));
    }
    ask_limits(s);
    n->size = blocks * s->block;
    n->align = s->block;
    return true;
}

/* ---- requests ---- */

/* Opcode, address and blocks of a command in the form that fits. */
static void address(const Iscsi *s, IscsiCommand *c, uint8_t wide, uint8_t narrow, uint64_t off, uint64_t len)
{
    uint64_t lba = off / s->block, n = len / s->block;

    if (s->wide) {
        c->cdb_len = 16;
        c->cdb[0] = wide;
        stq_be_p(c->cdb + 2, lba);
        stl_be_p(c->cdb + 10, (uint32_t)n);
    } else {
        c->cdb_len = 10;
        c->cdb[0] = narrow;
        stl_be_p(c->cdb + 2, (uint32_t)lba);
        stw_be_p(c->cdb + 7, (uint16_t)n);
    }
}

static int transfer(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, bool out)
{
    Iscsi *s = n->state;
    int r = 0;

    for (uint64_t part; len && r == 0; off += part, len -= part, v = blk_vec_from(v, part)) {
        IscsiCommand c = { .out = out, .data = v };

        part = MIN(len, s->max_bytes);
        c.len = (uint32_t)part;
        address(s, &c, out ? WRITE_16 : READ_16, out ? WRITE_10 : READ_10, off, part);
        r = iscsi_command(s->session, &c);
        if (r == 0 && !out && c.got < part) {
            r = -EIO;
        }
    }
    return r == -ENOTSUP ? -EIO : r;
}

static int iscsi_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return transfer(n, off, len, v, false);
}

static int iscsi_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    return transfer(n, off, len, v, true);
}

static int iscsi_flush(BlkNode *n)
{
    Iscsi *s = n->state;
    IscsiCommand c = { .cdb = { SYNCHRONIZE_CACHE_10 }, .cdb_len = 10 };        /* blocks 0: to the end */
    int r = s->no_flush ? 0 : iscsi_command(s->session, &c);

    if (r == -ENOTSUP) {                /* a disk that does not know it has no cache that forgets */
        s->no_flush = true;
        r = 0;
    }
    return r;
}

static int iscsi_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    Iscsi *s = n->state;
    int r = 0;

    if (!s->unmap) {
        return -ENOTSUP;
    }
    for (uint64_t part; len && r == 0; off += part, len -= part) {
        uint8_t list[24] = { 0, 22, 0, 16 };
        IscsiCommand c = { .cdb = { UNMAP, [8] = sizeof(list) }, .cdb_len = 10, .out = true, .data = BLK_VEC1(list, sizeof(list)), .len = sizeof(list) };

        part = MIN(len, MIN(s->max_unmap, UINT32_MAX) * s->block);
        stq_be_p(list + 8, off / s->block);
        stl_be_p(list + 16, (uint32_t)(part / s->block));
        r = iscsi_command(s->session, &c);
    }
    return r;
}

static int iscsi_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    Iscsi *s = n->state;
    bool unmap = (flags & BLK_MAY_UNMAP) && s->same_unmaps && s->reads_zero;
    uint64_t most = MIN(s->max_same, s->wide ? UINT32_MAX : UINT16_MAX) * s->block;
    g_autofree uint8_t *zero = NULL;
    int r = 0;

    if (s->no_same || ((flags & BLK_NO_FALLBACK) && !unmap)) {
        return -ENOTSUP;
    }
    zero = g_malloc0(s->block);
    for (uint64_t part; len && r == 0; off += part, len -= part) {
        IscsiCommand c = { .out = true, .data = BLK_VEC1(zero, s->block), .len = s->block };

        part = MIN(len, most);
        address(s, &c, WRITE_SAME_16, WRITE_SAME_10, off, part);
        c.cdb[1] = unmap ? WS_UNMAP : 0;
        r = iscsi_command(s->session, &c);
    }
    if (r == -ENOTSUP) {                /* the layer writes them */
        s->no_same = true;
    }
    return r;
}

static int iscsi_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    Iscsi *s = n->state;
    uint8_t cdb[16] = { SERVICE_ACTION_IN_16, SA_GET_LBA_STATUS, [13] = 24 }, buf[24];
    uint64_t lba, count;
    uint32_t got;
    int r;

    *out = (BlkExtent){ .len = len, .flags = BLK_EXT_DATA | BLK_EXT_OFFSET | BLK_EXT_ALLOCATED, .offset = off, .node = n };
    if (!s->thin || !s->wide || s->no_status) {
        return 0;
    }
    stq_be_p(cdb + 2, off / s->block);
    r = ask(s, cdb, 16, buf, sizeof(buf), &got);
    if (r == -ENOTSUP) {
        s->no_status = true;
    }
    if (r < 0) {
        return r == -ENOTSUP ? 0 : r;
    }
    lba = ldq_be_p(buf + 8);
    count = ldl_be_p(buf + 16);
    if (got < 24 || lba > off / s->block || lba + count <= off / s->block) {
        return 0;                       /* says nothing of what was asked for */
    }
    out->len = MIN(len, (lba + count) * s->block - off);
    if ((buf[20] & 0xf) == 1) {         /* deallocated */
        out->flags = BLK_EXT_OFFSET | BLK_EXT_ALLOCATED | (s->reads_zero ? BLK_EXT_ZERO : 0);
    }
    return 0;
}

/* The target's owner changes the size; we look. */
static bool iscsi_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    Iscsi *s = n->state;
    uint64_t blocks;
    uint32_t before = s->block;
    int r;

    if (prealloc != BLK_PREALLOC_OFF) {
        return error_set(errp, "Unsupported preallocation mode: a target's disk is not preallocated");
    }
    r = ask_capacity(s, &blocks);
    if (r < 0 || s->block != before) {
        return error_set(errp, "Failed to refresh capacity: %s", r < 0 ? strerror(-r) : "its block size has changed");
    }
    if (blocks * s->block < size) {
        return error_set(errp, "Cannot grow iSCSI devices; the target says %" PRIu64 " bytes", blocks * s->block);
    }
    if (n->size != blocks * s->block) {
        blk_node_resized(n, blocks * s->block);
    }
    return true;
}

static int64_t iscsi_allocated(BlkNode *n)
{
    return -ENOTSUP;
}

/* ---- life ---- */

static bool take_password(BlkNode *n, const Json *o, IscsiConfig *c, Error **errp)
{
    const char *plain = json_get_string(o, "password"), *secret = json_get_string(o, "password-secret");

    if (plain && secret) {
        return error_set(errp, "'password' and 'password-secret' properties are mutually exclusive");
    }
    if (!c->user) {
        return !(plain || secret) || error_set(errp, "iSCSI: a password needs a user");
    }
    if (!plain && !secret) {
        return error_set(errp, "CHAP username specified but no password was given");
    }
    c->password = secret ? secret_get_text(n->session, secret, errp) : g_strdup(plain);
    return c->password != NULL;
}

static bool configure(BlkNode *n, const Json *o, IscsiConfig *c, Error **errp)
{
    const char *transport = json_get_string(o, "transport"), *digest = json_get_string(o, "header-digest"), *name = json_get_string(o, "initiator-name");

    c->portal = g_strdup(json_get_string(o, "portal"));
    c->target = g_strdup(json_get_string(o, "target"));
    c->user = g_strdup(json_get_string(o, "user"));
    c->initiator = g_strdup(name ? name : "iqn.2008-11.org.linux-kvm");
    c->lun = (int)json_get_u64(o, "lun", 0);
    c->timeout = (int64_t)json_get_u64(o, "timeout", 0) * 1000000000;
    c->digest = iscsi_digest(digest ? digest : "none-crc32c");
    if (transport && strcmp(transport, "tcp")) {
        return error_set(errp, "iSCSI: unknown transport '%s'; here is tcp", transport);
    }
    if (!c->portal || !*c->portal || !c->target || !*c->target) {
        return error_set(errp, "iSCSI: needs a portal and a target");
    }
    if (strlen(c->portal) > 255 || strlen(c->target) > 255 || strlen(c->initiator) > 255 || (c->user && strlen(c->user) > 255)) {
        return error_set(errp, "iSCSI: names have 255 bytes at most");
    }
    if (c->digest < 0) {
        return error_set(errp, "iSCSI: Invalid header-digest setting : %s", digest);
    }
    return take_password(n, o, c, errp);
}

static void defaults_destroy(void *object)
{
    json_unref(object);
}

static const SessionKind defaults_kind = { .name = "iSCSI settings", .space = "iscsi", .destroy = defaults_destroy };
static const char defaults_id[] = "#iscsi";

bool iscsi_defaults(Session *s, const Json *o, Error **errp)
{
    Json *copy = json_copy(o);

    if (session_get(s, &defaults_kind, defaults_id)) {
        session_destroy(s, &defaults_kind, defaults_id);
    }
    if (!session_add(s, &defaults_kind, defaults_id, copy, errp)) {
        json_unref(copy);
        return false;
    }
    return true;
}

/* The node's options over the session's; a user comes with a password of the same place. */
static Json *with_defaults(const BlkNode *n, const Json *o)
{
    static const char *const names[] = { "user", "password", "password-secret", "initiator-name", "header-digest", "timeout" };
    const Json *d = session_get(n->session, &defaults_kind, defaults_id);
    Json *all = json_copy(o);

    for (unsigned i = json_get(o, "user") ? 3 : 0; d && i < ARRAY_SIZE(names); i++) {
        if (json_get(d, names[i]) && !json_get(o, names[i])) {
            json_set(all, names[i], json_copy(json_get(d, names[i])));
        }
    }
    return all;
}

static bool iscsi_open(BlkNode *n, Json *options, Error **errp)
{
    Iscsi *s = n->state;
    IscsiConfig c = {};
    g_autoptr(Json) o = with_defaults(n, options);

    if (configure(n, o, &c, errp) && iscsi_library(errp)) {
        s->session = iscsi_session_open(&c, errp);
    }
    iscsi_config_clear(&c);
    if (!s->session) {
        return false;
    }
    if (!learn(n, errp)) {
        iscsi_session_close(s->session);
        return false;
    }
    n->fixed = true;
    return true;
}

static void iscsi_close(BlkNode *n)
{
    iscsi_session_close(((Iscsi *)n->state)->session);
}

static void iscsi_drain(BlkNode *n, bool on)
{
    if (on) {
        iscsi_session_drain(((Iscsi *)n->state)->session);
    }
}

/* USER[%PASSWORD] */
static void take_user(const char *text, size_t len, Json *o)
{
    g_autofree char *user = g_strndup(text, len);
    char *password = strchr(user, '%');

    if (password) {
        *password++ = '\0';
        json_set_string(o, "password", password);
    }
    json_set_string(o, "user", user);
}

/* iscsi://[USER[%PASSWORD]@]HOST[:PORT]/TARGET/LUN; of these only TARGET has %xx for bytes. */
static bool iscsi_parse_filename(const char *name, Json *o, Error **errp)
{
    const char *p = name + strlen("iscsi://"), *slash = strchr(p, '/'), *last = strrchr(p, '/'), *at = NULL;
    g_autofree char *portal = NULL, *target = NULL;
    uint64_t lun;
    char *end;

    for (const char *q = p; slash && q < slash; q++) {
        at = *q == '@' ? q : at;
    }
    if (at) {
        take_user(p, (size_t)(at - p), o);
        p = at + 1;
    }
    if (!slash || slash == p || last <= slash + 1 || !g_ascii_isdigit(last[1])) {
        return error_set(errp, "Failed to parse URL : it is iscsi://[USER[%%PASSWORD]@]HOST[:PORT]/TARGET/LUN");
    }
    portal = g_strndup(p, (size_t)(slash - p));
    target = g_uri_unescape_segment(slash + 1, last, NULL);
    lun = g_ascii_strtoull(last + 1, &end, 10);
    if (!target || *end || lun > 16383) {
        return error_set(errp, "Failed to parse URL : bad target or LUN in '%s'", slash + 1);
    }
    json_set_string(o, "transport", "tcp");
    json_set_string(o, "portal", portal);
    json_set_string(o, "target", target);
    json_set_uint(o, "lun", lun);
    return true;
}

static const BlkDriver iscsi = {
    .name = "iscsi", .help = "a disk of an iSCSI target", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(Iscsi), .options = iscsi_keys, .prefix = "iscsi://",
    .parse_filename = iscsi_parse_filename, .make = blk_make_there, .open = iscsi_open, .close = iscsi_close, .drain = iscsi_drain, .read = iscsi_read, .write = iscsi_write,
    .flush = iscsi_flush, .discard = iscsi_discard, .zeroes = iscsi_zeroes, .status = iscsi_status, .resize = iscsi_resize, .allocated = iscsi_allocated,
};
BLK_DRIVER(iscsi);
