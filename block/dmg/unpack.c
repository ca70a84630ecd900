/* SPDX-License-Identifier: MIT */
/* Chunks: ADC, zlib, bzip2, LZFSE, and LZMA where the library is there. */
#include "block/dmg/dmg-priv.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/deflate.h"
#include "block/dmg/lzfse.h"
#include "block/dmg/lzma.h"

bool dmg_packing_known(uint32_t type, Error **errp)
{
    switch (type) {
    case CHUNK_ADC:
    case CHUNK_ZLIB:
    case CHUNK_BZIP2:
    case CHUNK_LZFSE:
        return true;
    case CHUNK_LZMA:
        return dmg_lzma_here() || error_set(errp, "built without LZMA; install liblzma-dev and build again");
    default:
        return error_set(errp, "a dmg chunk of the unknown type 0x%" PRIx32, type);
    }
}

/* Apple Data Compression: runs of plain bytes, and copies of two lengths of code. */
static int unpack_adc(uint8_t *out, size_t room, const uint8_t *in, size_t len)
{
    size_t o = 0, i = 0;

    while (i < len && o < room) {
        uint8_t c = in[i];
        size_t n, back, code;

        if (c & 0x80) {
            n = (c & 0x7f) + 1;
            if (n > len - i - 1 || n > room - o) {
                return -EIO;
            }
            memcpy(out + o, in + i + 1, n);
            o += n;
            i += n + 1;
            continue;
        }
        code = c & 0x40 ? 3 : 2;
        if (code > len - i) {
            return -EIO;
        }
        n = c & 0x40 ? (c & 0x3f) + 4 : (c >> 2 & 0x0f) + 3;
        back = (c & 0x40 ? in[i + 1] << 8 | in[i + 2] : (c & 3) << 8 | in[i + 1]) + 1;
        if (back > o || n > room - o) {
            return -EIO;
        }
        for (i += code; n; n--, o++) {          /* may overlap: byte by byte */
            out[o] = out[o - back];
        }
    }
    return o == room ? 0 : -EIO;
}

static int unpack_bzip2(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    unsigned n = out_len;

    return BZ2_bzBuffToBuffDecompress((char *)out, &n, (char *)in, in_len, 0, 0) == BZ_OK && n == out_len ? 0 : -EIO;
}

int dmg_unpack(uint32_t type, uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    switch (type) {
    case CHUNK_ADC:
        return unpack_adc(out, out_len, in, in_len);
    case CHUNK_ZLIB:
        return deflate_unpack(out, out_len, in, in_len, DEFLATE_ZLIB);
    case CHUNK_BZIP2:
        return unpack_bzip2(out, out_len, in, in_len);
    case CHUNK_LZFSE:
        return lzfse_unpack(out, out_len, in, in_len);
    default:
        return dmg_lzma_unpack(out, out_len, in, in_len);
    }
}
