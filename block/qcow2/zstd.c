/* SPDX-License-Identifier: MIT */
#include "block/qcow2/zstd.h"

#include <errno.h>
#include <glib.h>

#include "block/qcow2/zstd-search.h"

/*
 * The default level's tables for small inputs are so full that the search
 * meets many false candidates, each a branch that is predicted wrong: more
 * room, with libzstd 1.5.4 and clusters of 64 KiB, packs 1.07 to 1.2 times as
 * fast (no difference with 1.5.7) and a trifle smaller.  Sizes that are too
 * large for the input are cut down by the library.
 */
enum { LONG_LOG = 17, SHORT_LOG = 16 };

/*
 * Data that shrinks to less than a quarter is no quicker with a search of our
 * own: there the time goes into the many matches, and not into looking for them.
 */
enum { OWN_RATIO = 4 };

struct ZstdPacker {
    ZSTD_CCtx *ctx;
    ZstdSearch *search;         /* NULL: the library's */
    bool dense;                 /* what was packed last shrank little */
};

bool qcow2_zstd_here(void)
{
    return true;
}

ZstdPacker *qcow2_zstd_new(void)
{
    ZstdPacker *p = g_new0(ZstdPacker, 1);

    p->ctx = ZSTD_createCCtx();
    if (!p->ctx) {
        g_error("no memory to compress with");
    }
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, ZSTD_CLEVEL_DEFAULT);
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_hashLog, LONG_LOG);
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_chainLog, SHORT_LOG);
    p->search = zstd_search_new(p->ctx);
    return p;
}

void qcow2_zstd_free(ZstdPacker *p)
{
    if (p) {
        ZSTD_freeCCtx(p->ctx);
        zstd_search_free(p->search);
        g_free(p);
    }
}

void qcow2_zstd_begin(ZstdPacker *p)
{
    p->dense = true;
}

ssize_t qcow2_zstd_compress(ZstdPacker *p, void *out, size_t room, const void *in, size_t len)
{
    bool own = p->search && p->dense && len <= ZSTD_SEARCH_MAX;
    size_t r = own ? zstd_search_compress(p->search, out, room, in, len) : ZSTD_compress2(p->ctx, out, room, in, len);

    p->dense = ZSTD_isError(r) || r >= len / OWN_RATIO;
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
