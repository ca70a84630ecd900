/* SPDX-License-Identifier: MIT */
/* ringbuf: the last `size` bytes of output, for a monitor command to read. */
#include "chardev/chardev-priv.h"

#include <string.h>

#include "util/bits.h"

typedef struct CharRing {
    Chardev c;
    uint8_t *buf;
    uint64_t size, start, end;      /* positions since the beginning; end - start <= size */
} CharRing;

static const OptKey ringbuf_keys[] = { { "size", OPT_SIZE, .def = "64k", .help = "bytes kept, a power of two", .max = 1 << 30 }, {} };
static const OptVariant ringbuf_options = {
    .group = "chardev", .name = "ringbuf", .alias = "memory", .help = "keeps the last bytes for ringbuf_read", .keys = ringbuf_keys,
};
OPT_VARIANT(ringbuf_options);

static bool ring_open(Chardev *c, const Json *opts, Error **errp)
{
    CharRing *r = (CharRing *)c;

    r->size = json_get_u64(opts, "size", 65536);
    if (!is_pow2(r->size)) {
        return error_set(errp, "size of ringbuf chardev must be power of two");
    }
    r->buf = g_malloc(r->size);
    c->open = true;
    return true;
}

static void ring_close(Chardev *c)
{
    g_free(((CharRing *)c)->buf);
}

static ssize_t ring_write(Chardev *c, const uint8_t *buf, size_t len)
{
    CharRing *r = (CharRing *)c;

    for (size_t i = 0; i < len; i++) {
        r->buf[r->end++ & (r->size - 1)] = buf[i];
    }
    r->start = r->end - r->start > r->size ? r->end - r->size : r->start;
    return len;
}

static void ring_update(Chardev *c)
{
}

static const CharType ring_type = {
    .name = "ringbuf", .size = sizeof(CharRing), .open = ring_open, .close = ring_close, .write = ring_write, .update = ring_update,
};
CHAR_TYPE(ring_type);

static bool check(Chardev *c, Error **errp)
{
    return c->type == &ring_type || error_set(errp, "%s is not a ringbuf device", c->id);
}

uint8_t *chardev_ringbuf_read(Chardev *c, size_t max, size_t *len, Error **errp)
{
    CharRing *r = (CharRing *)c;
    uint8_t *out;

    if (!check(c, errp)) {
        return NULL;
    }
    io_lock(&c->lock);
    *len = MIN(max, r->end - r->start);
    out = g_malloc(*len + 1);
    for (size_t i = 0; i < *len; i++) {
        out[i] = r->buf[r->start++ & (r->size - 1)];
    }
    io_unlock(&c->lock);
    out[*len] = 0;
    return out;
}

bool chardev_ringbuf_write(Chardev *c, const void *buf, size_t len, Error **errp)
{
    if (!check(c, errp)) {
        return false;
    }
    io_lock(&c->lock);
    ring_write(c, buf, len);
    io_unlock(&c->lock);
    return true;
}
