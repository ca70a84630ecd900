/* SPDX-License-Identifier: MIT */
#include "block/qcow2/zstd.h"

#include <errno.h>
#include <glib.h>
#include <zstd.h>

bool qcow2_zstd_here(void)
{
    return true;
}

ZstdPacker *qcow2_zstd_new(void)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();

    if (!ctx) {
        g_error("no memory to compress with");
    }
    return (ZstdPacker *)ctx;
}

void qcow2_zstd_free(ZstdPacker *p)
{
    ZSTD_freeCCtx((ZSTD_CCtx *)p);
}

ssize_t qcow2_zstd_compress(ZstdPacker *p, void *out, size_t room, const void *in, size_t len)
{
    size_t r = ZSTD_compressCCtx((ZSTD_CCtx *)p, out, room, in, len, ZSTD_CLEVEL_DEFAULT);

    return ZSTD_isError(r) ? -ENOMEM : (ssize_t)r;
}

/* The input runs on to the end of its last sector, so it is taken as a stream: until the cluster is full. */
int qcow2_zstd_decompress(void *out, size_t out_len, const void *in, size_t len)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    ZSTD_inBuffer src = { in, len, 0 };
    ZSTD_outBuffer dst = { out, out_len, 0 };
    size_t r = 1;

    while (ctx && dst.pos < dst.size) {
        size_t before = src.pos + dst.pos;

        r = ZSTD_decompressStream(ctx, &dst, &src);
        if (ZSTD_isError(r) || src.pos + dst.pos == before) {
            break;
        }
    }
    ZSTD_freeDCtx(ctx);
    return ctx && !ZSTD_isError(r) && dst.pos == dst.size ? 0 : -EIO;
}
