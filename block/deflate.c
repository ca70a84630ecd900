/* SPDX-License-Identifier: MIT */
#include "block/deflate.h"

#include <errno.h>
#include <zlib.h>

int deflate_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len, int window)
{
    z_stream z = { .next_in = (uint8_t *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len };
    int r;

    if (inflateInit2(&z, window) != Z_OK) {
        return -EIO;
    }
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

ssize_t deflate_pack(uint8_t *out, size_t room, const uint8_t *in, size_t in_len, int window)
{
    z_stream z = {};
    ssize_t n;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
        return -ENOMEM;
    }
    z.next_in = (uint8_t *)in;
    z.avail_in = in_len;
    z.next_out = out;
    z.avail_out = room;
    n = deflate(&z, Z_FINISH) == Z_STREAM_END ? (ssize_t)(room - z.avail_out) : -ENOMEM;
    deflateEnd(&z);
    return n;
}
