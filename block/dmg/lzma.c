/* SPDX-License-Identifier: MIT */
#include "block/dmg/lzma.h"

#include <errno.h>
#include <lzma.h>

bool dmg_lzma_here(void)
{
    return true;
}

int dmg_lzma_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    enum { MEMORY = 128 << 20 };
    uint64_t limit = MEMORY;
    size_t in_at = 0, out_at = 0;

    return lzma_stream_buffer_decode(&limit, 0, NULL, in, &in_at, in_len, out, &out_at, out_len) == LZMA_OK && out_at == out_len ? 0 : -EIO;
}
